// SPDX-License-Identifier: GPL-2.0-only
/*
 * vEVENTQ: the file on which the events of a guest's stage 1 arrive
 *
 * The driver reports an event, from its interrupt thread, into a ring that was
 * allocated with the queue (viommu_driver.c); the VMM reads records from the
 * ring here. What is in the ring, in which order and with which numbers is in
 * veventq_ring.h, the locks are at struct iommufd_veventq.
 *
 * The open file holds the object, and the object its vIOMMU. The object leaves
 * iommufd_viommu::veventqs before it is freed, an RCU grace period apart, so a
 * reporter never meets a queue that is going.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/iommufd.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/rculist.h>
#include <linux/sched/signal.h>
#include <uapi/linux/iommufd.h>

#include "iommufd_private.h"

static enum iommufd_veventq_next veventq_peek(struct iommufd_veventq *veventq,
					      u32 *pos)
{
	enum iommufd_veventq_next what;

	spin_lock_irq(&veventq->lock);
	what = iommufd_veventq_ring_peek(&veventq->ring, pos);
	spin_unlock_irq(&veventq->lock);
	return what;
}

static void veventq_consume(struct iommufd_veventq *veventq,
			    enum iommufd_veventq_next what, u32 pos)
{
	spin_lock_irq(&veventq->lock);
	iommufd_veventq_ring_consume(&veventq->ring, what, pos);
	spin_unlock_irq(&veventq->lock);
}

/*
 * Deliver what is next.
 *
 * Return: Its length, 0 if there is nothing, -EINVAL if it is longer than @space,
 * -EFAULT if it can't be written
 */
static ssize_t veventq_read_one(struct iommufd_veventq *veventq,
				char __user *buf, size_t space)
{
	struct iommufd_vevent_header lost = {
		.flags = IOMMU_VEVENTQ_FLAG_LOST_EVENTS,
	};
	enum iommufd_veventq_next what;
	const void *from;
	size_t len;
	u32 pos;

	lockdep_assert_held(&veventq->read_mutex);

	what = veventq_peek(veventq, &pos);
	switch (what) {
	case IOMMUFD_VEVENTQ_RECORD:
		from = iommufd_veventq_record(veventq, pos);
		len = sizeof(lost) + veventq->record_len;
		break;
	case IOMMUFD_VEVENTQ_LOST:
		lost.sequence = pos;
		from = &lost;
		len = sizeof(lost);
		break;
	default:
		return 0;
	}

	if (len > space)
		return -EINVAL;
	if (copy_to_user(buf, from, len))
		return -EFAULT;
	veventq_consume(veventq, what, pos);
	return len;
}

static ssize_t iommufd_veventq_fops_read(struct file *filep, char __user *buf,
					 size_t count, loff_t *ppos)
{
	struct iommufd_veventq *veventq = filep->private_data;
	size_t done = 0;
	ssize_t rc;

	if (mutex_lock_interruptible(&veventq->read_mutex))
		return -ERESTARTSYS;
	do {
		rc = veventq_read_one(veventq, buf + done, count - done);
		if (rc <= 0)
			break;
		done += rc;
		cond_resched();
	} while (!signal_pending(current));
	mutex_unlock(&veventq->read_mutex);

	if (done)
		return done;
	if (!rc && (filep->f_flags & O_NONBLOCK))
		return -EAGAIN;
	return rc;
}

static __poll_t iommufd_veventq_fops_poll(struct file *filep,
					  struct poll_table_struct *wait)
{
	struct iommufd_veventq *veventq = filep->private_data;
	u32 pos;

	poll_wait(filep, &veventq->wait, wait);
	if (veventq_peek(veventq, &pos) == IOMMUFD_VEVENTQ_EMPTY)
		return 0;
	return EPOLLIN | EPOLLRDNORM;
}

static int iommufd_veventq_fops_release(struct inode *inode, struct file *filep)
{
	struct iommufd_veventq *veventq = filep->private_data;
	/* The queue can be freed as soon as the reference is dropped */
	struct iommufd_ctx *ictx = veventq->ictx;

	refcount_dec(&veventq->obj.users);
	iommufd_ctx_put(ictx);
	return 0;
}

static const struct file_operations iommufd_veventq_fops = {
	.owner = THIS_MODULE,
	.read = iommufd_veventq_fops_read,
	.poll = iommufd_veventq_fops_poll,
	.release = iommufd_veventq_fops_release,
};

/* Also undoes an allocation that got no further than to the ring */
void iommufd_veventq_destroy(struct iommufd_object *obj)
{
	struct iommufd_veventq *veventq =
		container_of(obj, struct iommufd_veventq, obj);
	struct iommufd_viommu *viommu = &veventq->viommu->core;

	/*
	 * The file goes first, also in an abort: its release() needs the object. One
	 * user is left in an abort, none otherwise.
	 */
	WARN_ON_ONCE(refcount_read(&obj->users) > 1);

	if (!list_empty(&veventq->node)) {
		spin_lock(&viommu->veventqs_lock);
		list_del_rcu(&veventq->node);
		spin_unlock(&viommu->veventqs_lock);
		synchronize_rcu();
	}
	kvfree(veventq->records);
	mutex_destroy(&veventq->read_mutex);
	refcount_dec(&veventq->viommu->obj.users);
}

static const struct iommufd_veventq_desc *
veventq_find_desc(const struct iommufd_viommu_ops *ops, u32 type)
{
	unsigned int i;

	if (type == IOMMU_VEVENTQ_TYPE_DEFAULT)
		return NULL;
	for (i = 0; i != ops->num_veventqs; i++)
		if (ops->veventqs[i].type == type)
			return &ops->veventqs[i];
	return NULL;
}

/* From here on events are queued */
static int veventq_publish(struct iommufd_veventq *veventq)
{
	struct iommufd_viommu *viommu = &veventq->viommu->core;
	struct iommufd_veventq *cur;
	int rc = 0;

	spin_lock(&viommu->veventqs_lock);
	list_for_each_entry(cur, &viommu->veventqs, node)
		if (cur->type == veventq->type)
			rc = -EEXIST;
	if (!rc)
		list_add_tail_rcu(&veventq->node, &viommu->veventqs);
	spin_unlock(&viommu->veventqs_lock);
	return rc;
}

static int veventq_open(struct iommufd_veventq *veventq)
{
	struct file *filep;

	filep = anon_inode_getfile("[iommufd-veventq]", &iommufd_veventq_fops,
				   veventq, O_RDONLY);
	if (IS_ERR(filep))
		return PTR_ERR(filep);

	/* There is no position, and readers need not wait for each other's */
	stream_open(file_inode(filep), filep);
	refcount_inc(&veventq->obj.users);
	iommufd_ctx_get(veventq->ictx);
	veventq->filep = filep;
	return 0;
}

static struct iommufd_veventq *
veventq_alloc(struct iommufd_ctx *ictx, struct iommufd_viommu_object *viommu,
	      const struct iommufd_veventq_desc *desc, u32 depth)
{
	struct iommufd_veventq *veventq;
	int rc;

	veventq = iommufd_object_alloc(ictx, veventq, IOMMUFD_OBJ_VEVENTQ);
	if (IS_ERR(veventq))
		return veventq;

	veventq->ictx = ictx;
	refcount_inc(&viommu->obj.users);
	veventq->viommu = viommu;
	INIT_LIST_HEAD(&veventq->node);
	veventq->type = desc->type;
	veventq->record_len = desc->record_len;
	veventq->stride = ALIGN(sizeof(struct iommufd_vevent_header) +
				desc->record_len, sizeof(u64));
	mutex_init(&veventq->read_mutex);
	spin_lock_init(&veventq->lock);
	iommufd_veventq_ring_init(&veventq->ring, depth);
	init_waitqueue_head(&veventq->wait);

	/* How much is the user's choice: nobody is to be killed to have it */
	veventq->records = kvcalloc(depth, veventq->stride,
				    GFP_KERNEL_ACCOUNT | __GFP_NOWARN |
				    __GFP_RETRY_MAYFAIL);
	if (!veventq->records) {
		rc = -ENOMEM;
		goto out_abort;
	}

	rc = veventq_publish(veventq);
	if (rc)
		goto out_abort;
	rc = veventq_open(veventq);
	if (rc)
		goto out_abort;
	return veventq;

out_abort:
	iommufd_object_abort_and_destroy(ictx, &veventq->obj);
	return ERR_PTR(rc);
}

int iommufd_veventq_alloc_ioctl(struct iommufd_ucmd *ucmd)
{
	struct iommu_veventq_alloc *cmd = ucmd->cmd;
	const struct iommufd_veventq_desc *desc;
	struct iommufd_viommu_object *viommu;
	struct iommufd_veventq *veventq;
	int fdno;
	int rc;

	if (cmd->flags || cmd->__reserved)
		return -EOPNOTSUPP;

	viommu = iommufd_get_viommu(ucmd, cmd->viommu_id);
	if (IS_ERR(viommu))
		return PTR_ERR(viommu);

	desc = veventq_find_desc(viommu->core.ops, cmd->type);
	if (!desc) {
		rc = -EOPNOTSUPP;
		goto out_put_viommu;
	}
	if (!cmd->veventq_depth ||
	    cmd->veventq_depth > IOMMUFD_VEVENTQ_DEPTH_MAX) {
		rc = -EINVAL;
		goto out_put_viommu;
	}

	veventq = veventq_alloc(ucmd->ictx, viommu, desc, cmd->veventq_depth);
	if (IS_ERR(veventq)) {
		rc = PTR_ERR(veventq);
		goto out_put_viommu;
	}

	fdno = get_unused_fd_flags(O_CLOEXEC);
	if (fdno < 0) {
		rc = fdno;
		goto out_abort;
	}

	cmd->out_veventq_id = veventq->obj.id;
	cmd->out_veventq_fd = fdno;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc)
		goto out_put_fdno;

	iommufd_object_finalize(ucmd->ictx, &veventq->obj);
	fd_install(fdno, veventq->filep);
	goto out_put_viommu;

out_put_fdno:
	put_unused_fd(fdno);
out_abort:
	iommufd_object_abort_and_destroy(ucmd->ictx, &veventq->obj);
out_put_viommu:
	iommufd_put_object(ucmd->ictx, &viommu->obj);
	return rc;
}
