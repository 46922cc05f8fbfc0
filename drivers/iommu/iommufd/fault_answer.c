// SPDX-License-Identifier: GPL-2.0-only
/*
 * Answers to page faults that user space no longer gives
 *
 * A fault that waits in a fault queue, or was read and not answered yet, keeps
 * its transaction waiting. The answer comes from the kernel when the domain that
 * it was reported on is detached or replaced (iommufd_auto_response_faults()), and
 * when the file of the fault queue is closed for good: nobody can read another
 * fault from it, nor answer.
 */
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include "../iommu-priv.h"
#include "iommufd_private.h"

static void iommufd_fault_refuse(struct iopf_group *group)
{
	iopf_group_response(group, IOMMU_PAGE_RESP_INVALID);
	iopf_free_group(group);
}

/**
 * iommufd_fault_sync() - Wait for faults on their way to a fault queue
 * @dev: A device that was just detached from the domain with the fault queue, or
 *       attached to another one
 *
 * Whoever reports a fault looks up the attach handle of the device first. When
 * this returns, a fault that found the old one is in the fault queue, where
 * iommufd_auto_response_faults() finds it, and the handle can be freed.
 */
void iommufd_fault_sync(struct device *dev)
{
	const struct iommu_ops *ops = dev_iommu_ops(dev);

	if (ops->fault_sync)
		ops->fault_sync(dev);
}

/**
 * iommufd_fault_deliver() - Put a fault into a fault queue
 * @fault: The fault queue
 * @group: The fault, to be answered here if nobody else will
 *
 * Return: true if it waits to be read
 */
bool iommufd_fault_deliver(struct iommufd_fault *fault, struct iopf_group *group)
{
	bool closed;

	spin_lock(&fault->lock);
	closed = fault->closed;
	if (!closed)
		list_add_tail(&group->node, &fault->deliver);
	spin_unlock(&fault->lock);

	if (closed)
		iommufd_fault_refuse(group);
	return !closed;
}

/**
 * iommufd_fault_close() - The file of a fault queue is closed
 * @fault: The fault queue
 */
void iommufd_fault_close(struct iommufd_fault *fault)
{
	struct iopf_group *group, *next;
	unsigned long index;
	LIST_HEAD(waiting);

	/* Against iommufd_auto_response_faults(), which may free what we need */
	mutex_lock(&fault->mutex);
	spin_lock(&fault->lock);
	fault->closed = true;
	list_splice_init(&fault->deliver, &waiting);
	spin_unlock(&fault->lock);

	list_for_each_entry_safe(group, next, &waiting, node) {
		list_del(&group->node);
		iommufd_fault_refuse(group);
	}
	xa_for_each(&fault->response, index, group) {
		xa_erase(&fault->response, index);
		iommufd_fault_refuse(group);
	}
	mutex_unlock(&fault->mutex);
}
