// SPDX-License-Identifier: GPL-2.0-only
/*
 * What IOMMU drivers call. Always built in, because a driver can be built in
 * with iommufd a module.
 *
 * All is lookup by RCU: callers are interrupt threads and invalidation paths,
 * which must not wait for whoever makes or destroys an object. The last function is
 * called by iommu.c and not by iommufd, whose callers of that differ from one 6.12.y
 * to the next.
 */
#include <linux/export.h>
#include <linux/iommu.h>
#include <linux/poll.h>
#include <linux/rculist.h>

#include "iommufd_private.h"

/**
 * iommufd_viommu_find_vdev - Find a vDEVICE by the guest's ID
 * @viommu: The vIOMMU
 * @virt_id: The guest's ID
 *
 * Context: Any, in an RCU read-side critical section; the vDEVICE and its device
 *          are valid until that ends.
 * Return: The vDEVICE, NULL if there is none
 */
struct iommufd_vdevice *iommufd_viommu_find_vdev(struct iommufd_viommu *viommu,
						 u64 virt_id)
{
	RCU_LOCKDEP_WARN(!rcu_read_lock_held(),
			 "a vDEVICE is valid under rcu_read_lock() alone");

	if (virt_id != (unsigned long)virt_id)
		return NULL;
	return xa_load(&viommu->vdevs, virt_id);
}
EXPORT_SYMBOL_NS_GPL(iommufd_viommu_find_vdev, IOMMUFD);

/**
 * iommufd_viommu_get_virt_id - The guest's ID of a device
 * @viommu: The vIOMMU
 * @dev: The device
 * @virt_id: Filled in
 *
 * Walks the vDEVICEs of the vIOMMU. A driver that needs this often keeps an
 * index of its own.
 *
 * Context: Any
 * Return: 0, or -ENOENT if the device has no vDEVICE on the vIOMMU
 */
int iommufd_viommu_get_virt_id(struct iommufd_viommu *viommu,
			       struct device *dev, u64 *virt_id)
{
	struct iommufd_vdevice *vdev;
	unsigned long index;
	int rc = -ENOENT;

	rcu_read_lock();
	xa_for_each(&viommu->vdevs, index, vdev) {
		if (vdev->dev == dev) {
			*virt_id = vdev->virt_id;
			rc = 0;
			break;
		}
	}
	rcu_read_unlock();
	return rc;
}
EXPORT_SYMBOL_NS_GPL(iommufd_viommu_get_virt_id, IOMMUFD);

/* In an RCU read-side critical section, which the vEVENTQ is valid in */
static struct iommufd_veventq *veventq_find(struct iommufd_viommu *viommu,
					    u32 type)
{
	struct iommufd_veventq *veventq;

	list_for_each_entry_rcu(veventq, &viommu->veventqs, node)
		if (veventq->type == type)
			return veventq;
	return NULL;
}

static int veventq_add(struct iommufd_veventq *veventq, const void *data)
{
	struct iommufd_vevent_header *header;
	unsigned long flags;
	u32 sequence;
	bool stored;
	u32 slot;

	spin_lock_irqsave(&veventq->lock, flags);
	stored = iommufd_veventq_ring_push(&veventq->ring, &slot, &sequence);
	if (stored) {
		header = iommufd_veventq_record(veventq, slot);
		header->flags = 0;
		header->sequence = sequence;
		memcpy(header + 1, data, veventq->record_len);
	}
	spin_unlock_irqrestore(&veventq->lock, flags);

	/* With the ring full who waits has been woken long ago */
	if (!stored)
		return -ENOSPC;
	wake_up_poll(&veventq->wait, EPOLLIN | EPOLLRDNORM);
	return 0;
}

/**
 * iommufd_viommu_report_event - Queue an event record for the VMM
 * @viommu: The vIOMMU
 * @type: Type of the record (enum iommu_veventq_type)
 * @data: The record, as the guest is to see it
 * @len: Its length in bytes, that of the type's struct iommufd_veventq_desc
 *
 * The record is copied into memory that was allocated with the vEVENTQ. An
 * event that finds it full takes a sequence number too, so that the VMM sees
 * the loss.
 *
 * Context: Any in which a spinlock_t can be taken, that is also a hard interrupt
 *          unless PREEMPT_RT is on. Does not sleep and does not allocate. The
 *          caller makes sure that the vIOMMU stays, e.g. found its vDEVICE in
 *          the RCU read-side critical section that it still is in.
 * Return: 0, -EOPNOTSUPP if nobody asked for events of the type, -EINVAL for a
 *         length that is not the type's, -ENOSPC if the queue is full and the
 *         event was lost
 */
int iommufd_viommu_report_event(struct iommufd_viommu *viommu, u32 type,
				const void *data, size_t len)
{
	struct iommufd_veventq *veventq;
	int rc = -EOPNOTSUPP;

	rcu_read_lock();
	veventq = veventq_find(viommu, type);
	if (veventq)
		rc = len == veventq->record_len ? veventq_add(veventq, data) :
						  -EINVAL;
	rcu_read_unlock();
	return rc;
}
EXPORT_SYMBOL_NS_GPL(iommufd_viommu_report_event, IOMMUFD);

/**
 * iommufd_viommu_report_loss - Events were lost that may have been the guest's
 * @viommu: The vIOMMU
 * @type: Type of their records (enum iommu_veventq_type)
 *
 * For hardware whose own queue overflowed. The loss takes a sequence number, as an
 * event does that finds the vEVENTQ full.
 *
 * Context: As iommufd_viommu_report_event()
 * Return: 0, or -EOPNOTSUPP if nobody asked for events of the type
 */
int iommufd_viommu_report_loss(struct iommufd_viommu *viommu, u32 type)
{
	struct iommufd_veventq *veventq;
	unsigned long flags;
	int rc = -EOPNOTSUPP;

	rcu_read_lock();
	veventq = veventq_find(viommu, type);
	if (veventq) {
		spin_lock_irqsave(&veventq->lock, flags);
		iommufd_veventq_ring_lose(&veventq->ring);
		spin_unlock_irqrestore(&veventq->lock, flags);
		wake_up_poll(&veventq->wait, EPOLLIN | EPOLLRDNORM);
		rc = 0;
	}
	rcu_read_unlock();
	return rc;
}
EXPORT_SYMBOL_NS_GPL(iommufd_viommu_report_loss, IOMMUFD);

static int fault_sync(struct device *dev, void *data)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);

	if (ops->fault_sync)
		ops->fault_sync(dev);
	return 0;
}

/**
 * iommufd_group_fault_sync - Wait for page faults on their way to a fault queue
 * @group: A group whose attach handle was just removed or replaced
 *
 * Whoever reports a page fault looks up the attach handle of the group first, and
 * holds nothing that keeps it. When this returns, a fault that found the old one
 * is in the fault queue, for iommufd to answer, and the handle can be freed. That
 * is so without a fault queue too: the report looks at the handle to see that.
 *
 * Context: May sleep, takes the mutex of the group.
 */
void iommufd_group_fault_sync(struct iommu_group *group)
{
	iommu_group_for_each_dev(group, NULL, fault_sync);
}
