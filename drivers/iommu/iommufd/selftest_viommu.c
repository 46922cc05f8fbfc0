// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mock driver's vIOMMU, for tools/testing/selftests/iommu
 *
 * The model: a mock device has a cache of a few words, that only an invalidation
 * on a vIOMMU clears and that only a test operation looks at. A vDEVICE links the
 * device to its vIOMMU, so that an entry that names the vDEVICE's virt_id finds
 * the cache and an event of the device finds the vEVENTQ.
 *
 * The driver keeps an index of its own, mock_viommu_dev::vdev, as a hardware
 * driver does that gets from an event's stream to the vDEVICE: what
 * <linux/iommufd_viommu.h> promises for the order of init, unpublish and destroy
 * is relied on here.
 *
 * Where a hardware driver would allocate memory or program registers there is a
 * point that fault injection (fail_iommufd) can fail.
 *
 * A page fault makes a device wait for its answer. What devices were answered is
 * remembered, so that a test can look that each fault got one answer, and which;
 * longer than the devices are, because the last answers come when a device goes.
 */
#include <linux/iommu.h>
#include <linux/iommufd_viommu.h>
#include <linux/limits.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../iommu-priv.h"
#include "selftest_viommu.h"

/*
 * A second instance of the mock IOMMU. It is not registered with the bus:
 * devices get here by mock_viommu_probe_device() alone.
 */
static struct iommu_device mock_other_iommu;

/* The answer of number n, from 0 on, is in last[n % MOCK_IOPF_ANSWERS] */
static struct {
	/* Of all members, and of mock_viommu_dev::iopf_answers */
	spinlock_t lock;
	u32 num;
	struct {
		/* NULL once the device is gone */
		struct device *dev;
		struct iommu_page_response response;
	} last[MOCK_IOPF_ANSWERS];
} mock_iopf_answers = {
	.lock = __SPIN_LOCK_UNLOCKED(mock_iopf_answers.lock),
};

static struct mock_viommu_dev *mock_viommu_dev(struct device *dev)
{
	return dev_iommu_priv_get(dev);
}

int mock_viommu_global_init(const struct iommu_ops *ops, struct device *parent)
{
	mock_other_iommu.ops = ops;
	return iommu_device_sysfs_add(&mock_other_iommu, parent, NULL,
				      "%s_other", dev_name(parent));
}

void mock_viommu_global_exit(void)
{
	iommu_device_sysfs_remove(&mock_other_iommu);
}

struct iommu_device *mock_viommu_probe_device(struct device *dev,
					      struct iommu_device *iommu)
{
	struct mock_viommu_dev *vmdev;
	unsigned int i;

	vmdev = kzalloc(sizeof(*vmdev), GFP_KERNEL);
	if (!vmdev)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i != MOCK_DEV_CACHE_NUM; i++)
		vmdev->cache[i] = IOMMU_TEST_DEV_CACHE_DEFAULT;
	init_rwsem(&vmdev->iopf_rwsem);
	dev_iommu_priv_set(dev, vmdev);

	if (mock_dev_flags(dev) & MOCK_FLAGS_DEVICE_OTHER_IOMMU)
		return &mock_other_iommu;
	return iommu;
}

/* Bound to no iommufd any more, so nobody looks at it */
void mock_viommu_release_device(struct device *dev)
{
	unsigned int i;

	scoped_guard(spinlock, &mock_iopf_answers.lock) {
		for (i = 0; i != MOCK_IOPF_ANSWERS; i++)
			if (mock_iopf_answers.last[i].dev == dev)
				mock_iopf_answers.last[i].dev = NULL;
	}
	kfree(mock_viommu_dev(dev));
}

/*
 * The property "pasid-num-bits" on a software node would have the same effect,
 * but a software node is not released when device_add() fails early, and its
 * reference count is off when one of its sysfs links could not be made.
 */
void mock_viommu_probe_finalize(struct device *dev)
{
	if (mock_dev_flags(dev) & MOCK_FLAGS_DEVICE_PASID)
		dev->iommu->max_pasids = 1U << MOCK_PASID_WIDTH;
}

static int mock_viommu_init(struct iommufd_viommu *viommu,
			    const struct iommu_user_data *user_data)
{
	struct iommu_viommu_selftest data;
	int rc;

	if (iommufd_should_fail())
		return -ENOMEM;
	if (!user_data)
		return 0;

	/* The members for mmap came later, hence the shorter minimum */
	rc = iommu_copy_struct_from_user(&data, user_data,
					 IOMMU_VIOMMU_TYPE_SELFTEST, out_data);
	if (rc)
		return rc;

	data.out_data = data.in_data;
	data.out_mmap_offset = 0;
	data.out_mmap_length = 0;
	if (copy_to_user(user_data->uptr, &data, user_data->len))
		return -EFAULT;
	return 0;
}

static struct iommu_domain *
mock_viommu_domain_alloc_nested(struct iommufd_viommu *viommu, u32 flags,
				const struct iommu_user_data *user_data)
{
	const struct iommu_ops *ops = viommu->iommu_dev->ops;
	struct iommu_domain *domain;

	/* What it does with the device is about paging domains */
	domain = ops->domain_alloc_user(NULL, flags, viommu->parent, user_data);
	if (!IS_ERR(domain))
		*mock_viommu_of_nested(domain) = viommu;
	return domain;
}

/* A nested domain on a vIOMMU belongs to the devices that the guest knows */
int mock_viommu_attach_dev(struct iommu_domain *domain, struct device *dev)
{
	struct iommufd_viommu *viommu = *mock_viommu_of_nested(domain);
	struct iopf_fault event = {
		.fault.type = IOMMU_FAULT_PAGE_REQ,
		.fault.prm.flags = IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE |
				   IOMMU_FAULT_PAGE_REQUEST_PASID_VALID,
		.fault.prm.pasid = MOCK_ATTACH_IOPF_PASID,
		.fault.prm.grpid = MOCK_ATTACH_IOPF_GRPID,
		.fault.prm.perm = IOMMU_FAULT_PERM_READ,
	};
	u64 virt_id;

	/* The core goes back to the current domain and relies on that to work */
	if (!viommu || domain == iommu_get_domain_for_dev(dev))
		return 0;

	/*
	 * A device of a group can use the domain, and is heard by another CPU,
	 * before it has turned out that another one of the group can't.
	 */
	if (mock_dev_flags(dev) & MOCK_FLAGS_DEVICE_ATTACH_IOPF)
		iommu_report_device_fault(dev, &event);
	return iommufd_viommu_get_virt_id(viommu, dev, &virt_id);
}

void mock_viommu_page_response(struct device *dev, struct iopf_fault *event,
			       struct iommu_page_response *response)
{
	unsigned int pos;

	spin_lock(&mock_iopf_answers.lock);
	pos = mock_iopf_answers.num++ % MOCK_IOPF_ANSWERS;
	mock_iopf_answers.last[pos].dev = dev;
	mock_iopf_answers.last[pos].response = *response;
	mock_viommu_dev(dev)->iopf_answers++;
	spin_unlock(&mock_iopf_answers.lock);
}

/* A report that began before has found the domain that the device was on before */
void mock_viommu_fault_sync(struct device *dev)
{
	struct mock_viommu_dev *vmdev = mock_viommu_dev(dev);

	down_write(&vmdev->iopf_rwsem);
	up_write(&vmdev->iopf_rwsem);
}

static int
mock_viommu_invalidate_one(struct iommufd_viommu *viommu,
			   const struct iommu_viommu_invalidate_selftest *inv)
{
	struct mock_viommu_dev *vmdev;
	struct iommufd_vdevice *vdev;
	unsigned int i;

	if (inv->flags & ~IOMMU_TEST_INVALIDATE_FLAG_ALL)
		return -EOPNOTSUPP;
	if (inv->cache_id > MOCK_DEV_CACHE_ID_MAX)
		return -EINVAL;

	guard(rcu)();
	vdev = iommufd_viommu_find_vdev(viommu, inv->vdev_id);
	if (!vdev)
		return -EINVAL;
	vmdev = mock_viommu_dev(vdev->dev);
	if (inv->flags & IOMMU_TEST_INVALIDATE_FLAG_ALL) {
		for (i = 0; i != MOCK_DEV_CACHE_NUM; i++)
			WRITE_ONCE(vmdev->cache[i], 0);
	} else {
		WRITE_ONCE(vmdev->cache[inv->cache_id], 0);
	}
	return 0;
}

static int
mock_viommu_cache_invalidate_user(struct iommufd_viommu *viommu,
				  struct iommu_user_data_array *array,
				  struct iommufd_invalidate_report *report)
{
	struct iommu_viommu_invalidate_selftest inv;
	u32 done = 0;
	int rc = 0;

	report->flags = IOMMU_HWPT_INVALIDATE_REPORT_VALID;

	if (array->type != IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST)
		rc = -EINVAL;

	for (; !rc && done != array->entry_num; done++) {
		if (fatal_signal_pending(current)) {
			rc = -EINTR;
			break;
		}
		rc = iommu_copy_struct_from_user_array(&inv, array,
						       array->type, done,
						       cache_id);
		if (rc)
			break;
		rc = mock_viommu_invalidate_one(viommu, &inv);
		if (rc)
			break;
		cond_resched();
	}

	if (rc)
		report->error_index = done;
	array->entry_num = done;
	return rc;
}

static int mock_vdevice_init(struct iommufd_vdevice *vdev)
{
	struct mock_viommu_dev *vmdev = mock_viommu_dev(vdev->dev);

	if (iommufd_should_fail())
		return -ENOMEM;
	/* Neither an invalidation entry nor an event could name it */
	if (vdev->virt_id > U32_MAX)
		return -EINVAL;
	/* A device with a vDEVICE does not get here a second time */
	if (WARN_ON(rcu_access_pointer(vmdev->vdev)))
		return -EEXIST;

	rcu_assign_pointer(vmdev->vdev, vdev);
	return 0;
}

static void mock_vdevice_unpublish(struct iommufd_vdevice *vdev)
{
	struct mock_viommu_dev *vmdev = mock_viommu_dev(vdev->dev);

	WARN_ON(rcu_access_pointer(vmdev->vdev) != vdev);
	RCU_INIT_POINTER(vmdev->vdev, NULL);
}

static void mock_vdevice_destroy(struct iommufd_vdevice *vdev)
{
	/* Unpublished before, and the device is still there */
	WARN_ON(rcu_access_pointer(mock_viommu_dev(vdev->dev)->vdev));
}

static const struct iommufd_veventq_desc mock_veventqs[] = {
	{
		.type = IOMMU_VEVENTQ_TYPE_SELFTEST,
		.record_len = sizeof(struct iommu_viommu_event_selftest),
	},
};

static const struct iommufd_viommu_ops mock_selftest_viommu_ops = {
	.viommu_size = sizeof(struct iommufd_viommu),
	.vdevice_size = sizeof(struct iommufd_vdevice),
	.veventqs = mock_veventqs,
	.num_veventqs = ARRAY_SIZE(mock_veventqs),
	.viommu_init = mock_viommu_init,
	.domain_alloc_nested = mock_viommu_domain_alloc_nested,
	.cache_invalidate_user = mock_viommu_cache_invalidate_user,
	.vdevice_init = mock_vdevice_init,
	.vdevice_unpublish = mock_vdevice_unpublish,
	.vdevice_destroy = mock_vdevice_destroy,
};

/* The other IOMMU's: nothing that a driver may do without */
static const struct iommufd_viommu_ops mock_other_viommu_ops = {
	.viommu_size = sizeof(struct iommufd_viommu),
	.vdevice_size = sizeof(struct iommufd_vdevice),
	.viommu_init = mock_viommu_init,
};

const struct iommufd_viommu_ops *mock_viommu_ops(struct device *dev,
						 unsigned int type)
{
	if (type != IOMMU_VIOMMU_TYPE_SELFTEST)
		return NULL;
	if (mock_dev_flags(dev) & MOCK_FLAGS_DEVICE_OTHER_IOMMU)
		return &mock_other_viommu_ops;
	return &mock_selftest_viommu_ops;
}

static struct iommufd_device *
iommufd_test_get_mock_dev(struct iommufd_ucmd *ucmd, u32 dev_id)
{
	struct iommufd_device *idev = iommufd_get_device(ucmd, dev_id);

	if (IS_ERR(idev))
		return idev;
	if (!iommufd_selftest_is_mock_dev(idev->dev)) {
		iommufd_put_object(ucmd->ictx, &idev->obj);
		return ERR_PTR(-EINVAL);
	}
	return idev;
}

int iommufd_test_dev_check_cache(struct iommufd_ucmd *ucmd,
				 struct iommu_test_cmd *cmd)
{
	u32 cache_id = cmd->check_dev_cache.id;
	struct mock_viommu_dev *vmdev;
	struct iommufd_device *idev;
	int rc = 0;

	idev = iommufd_test_get_mock_dev(ucmd, cmd->id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);

	vmdev = mock_viommu_dev(idev->dev);
	if (cache_id > MOCK_DEV_CACHE_ID_MAX ||
	    READ_ONCE(vmdev->cache[cache_id]) != cmd->check_dev_cache.cache)
		rc = -EINVAL;
	iommufd_put_object(ucmd->ictx, &idev->obj);
	return rc;
}

int iommufd_test_trigger_vevent(struct iommufd_ucmd *ucmd,
				struct iommu_test_cmd *cmd)
{
	struct iommu_viommu_event_selftest event = {};
	struct iommufd_vdevice *vdev;
	struct iommufd_device *idev;
	int rc = -ENOENT;

	idev = iommufd_test_get_mock_dev(ucmd, cmd->trigger_vevent.dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);

	rcu_read_lock();
	vdev = rcu_dereference(mock_viommu_dev(idev->dev)->vdev);
	if (vdev) {
		event.virt_id = vdev->virt_id;
		rc = iommufd_viommu_report_event(vdev->viommu,
						 IOMMU_VEVENTQ_TYPE_SELFTEST,
						 &event, sizeof(event));
	}
	rcu_read_unlock();
	iommufd_put_object(ucmd->ictx, &idev->obj);

	/* A full queue has counted the event, its reader learns of the loss */
	return rc == -ENOSPC ? 0 : rc;
}

int iommufd_test_report_iopf(struct iommufd_ucmd *ucmd,
			     struct iommu_test_cmd *cmd)
{
	struct iommu_test_report_iopf *report = &cmd->report_iopf;
	struct iopf_fault event = {
		.fault.type = IOMMU_FAULT_PAGE_REQ,
		.fault.prm.pasid = report->pasid,
		.fault.prm.grpid = report->grpid,
		.fault.prm.perm = report->perm,
		.fault.prm.addr = report->addr - (u64)report->partial * PAGE_SIZE,
	};
	struct mock_viommu_dev *vmdev;
	struct iommufd_device *idev;
	u32 i;
	int rc;

	if (report->partial > MOCK_IOPF_PARTIAL_MAX)
		return -EINVAL;
	if (report->pasid != IOMMU_NO_PASID)
		event.fault.prm.flags |= IOMMU_FAULT_PAGE_REQUEST_PASID_VALID;

	idev = iommufd_test_get_mock_dev(ucmd, report->dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);
	vmdev = mock_viommu_dev(idev->dev);

	down_read(&vmdev->iopf_rwsem);
	for (i = 0; i <= report->partial; i++) {
		if (i == report->partial)
			event.fault.prm.flags |= IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE;
		rc = iommu_report_device_fault(idev->dev, &event);
		if (rc)
			break;
		event.fault.prm.addr += PAGE_SIZE;
	}
	up_read(&vmdev->iopf_rwsem);
	iommufd_put_object(ucmd->ictx, &idev->obj);
	return rc;
}

int iommufd_test_iopf_answer(struct iommufd_ucmd *ucmd,
			     struct iommu_test_cmd *cmd)
{
	struct iommu_test_iopf_answer *answer = &cmd->iopf_answer;
	struct iommu_page_response *response = NULL;
	struct iommufd_device *idev = NULL;
	u32 index = answer->index;
	unsigned int i, pos;
	int rc;

	if (answer->dev_id) {
		idev = iommufd_test_get_mock_dev(ucmd, answer->dev_id);
		if (IS_ERR(idev))
			return PTR_ERR(idev);
	}

	scoped_guard(spinlock, &mock_iopf_answers.lock) {
		u32 num = mock_iopf_answers.num;

		answer->out_num = idev ? mock_viommu_dev(idev->dev)->iopf_answers :
					 num;
		for (i = 1; i <= min_t(u32, num, MOCK_IOPF_ANSWERS); i++) {
			pos = (num - i) % MOCK_IOPF_ANSWERS;
			if (idev && mock_iopf_answers.last[pos].dev != idev->dev)
				continue;
			if (index--)
				continue;
			response = &mock_iopf_answers.last[pos].response;
			answer->out_pasid = response->pasid;
			answer->out_grpid = response->grpid;
			answer->out_code = response->code;
			break;
		}
	}

	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (!rc && !response)
		rc = -ENOENT;
	if (idev)
		iommufd_put_object(ucmd->ictx, &idev->obj);
	return rc;
}
