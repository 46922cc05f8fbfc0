// SPDX-License-Identifier: GPL-2.0-only
/*
 * Answers to page faults that user space no longer gives
 *
 * A fault that waits in a fault queue, or was read and not answered yet, keeps
 * its transaction waiting. The answer comes from the kernel when the domain that
 * it was reported on is detached or replaced (iommufd_auto_response_faults()), and
 * when the file of the fault queue is closed for good: nobody can read another
 * fault from it, nor answer. For the former, what is on its way into the queue has
 * to arrive first: iommufd_group_fault_sync().
 */
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "../iommu-priv.h"
#include "iommufd_private.h"

static void iommufd_fault_refuse(struct iopf_group *group)
{
	iopf_group_response(group, IOMMU_PAGE_RESP_INVALID);
	iopf_free_group(group);
}

/**
 * iommufd_fault_delivered - A fault was put into a fault queue
 * @fault: The fault queue, locked. It is unlocked on return.
 * @group: The fault, the last of fault->deliver. It waits to be read, or is
 *         answered here if nobody will read it.
 *
 * Context: Any in which a fault is reported; does not sleep.
 */
void iommufd_fault_delivered(struct iommufd_fault *fault, struct iopf_group *group)
	__releases(&fault->lock)
{
	bool closed = fault->closed;

	lockdep_assert_held(&fault->lock);

	if (closed)
		list_del(&group->node);
	spin_unlock(&fault->lock);

	if (closed)
		iommufd_fault_refuse(group);
	else
		wake_up_interruptible(&fault->wait_queue);
}

/**
 * iommufd_fault_close - The file of a fault queue is closed
 * @fault: The fault queue
 *
 * Context: May sleep, takes the mutex of the fault queue.
 */
void iommufd_fault_close(struct iommufd_fault *fault)
{
	struct iopf_group *group;
	unsigned long index;
	LIST_HEAD(waiting);

	/* Against iommufd_auto_response_faults(), which may free what we need */
	mutex_lock(&fault->mutex);
	spin_lock(&fault->lock);
	fault->closed = true;
	list_splice_init(&fault->deliver, &waiting);
	spin_unlock(&fault->lock);

	while ((group = list_first_entry_or_null(&waiting, struct iopf_group,
						 node))) {
		list_del(&group->node);
		iommufd_fault_refuse(group);
	}
	xa_for_each(&fault->response, index, group) {
		xa_erase(&fault->response, index);
		iommufd_fault_refuse(group);
	}
	mutex_unlock(&fault->mutex);
}
