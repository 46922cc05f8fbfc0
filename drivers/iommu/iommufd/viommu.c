// SPDX-License-Identifier: GPL-2.0-only
/*
 * vIOMMU: the slice of a physical IOMMU that a VM drives
 *
 * It ties a nest parent HWPT, the VM's stage 2, to the physical IOMMU of a
 * device, and lets the IOMMU driver hang what it needs on that pair. The core
 * knows what a vIOMMU holds and who holds it, the driver knows the rest.
 *
 * The physical IOMMU must outlive the vIOMMU. While a device behind it is bound
 * it can't go; but all devices can be unbound, and unplugged, with the vIOMMU
 * left in the file descriptor. So a vIOMMU also holds the module of the IOMMU
 * driver: instances come and go only with that, as drivers that offer vIOMMUs
 * suppress_bind_attrs.
 *
 * That is also why no reference on the device is needed for longer than it takes
 * to see what it is behind. Who unbinds a device waits for those who hold one,
 * and a page fault on user memory can take as long as the user likes. So the
 * device is let go before the driver gets to see any user data.
 */
#include <linux/iommu.h>
#include <linux/module.h>
#include <uapi/linux/iommufd.h>

#include "../iommu-priv.h"
#include "iommufd_private.h"

/* A driver that gets these wrong would corrupt memory, refuse it at the door */
static bool viommu_ops_are_sane(const struct iommufd_viommu_ops *ops)
{
	unsigned int i;

	if (ops->viommu_size < sizeof(struct iommufd_viommu) ||
	    ops->viommu_size > PAGE_SIZE ||
	    ops->vdevice_size < sizeof(struct iommufd_vdevice) ||
	    ops->vdevice_size > PAGE_SIZE || !ops->viommu_init)
		return false;
	for (i = 0; i != ops->num_veventqs; i++)
		if (!ops->veventqs[i].record_len ||
		    ops->veventqs[i].record_len > IOMMUFD_VEVENT_RECORD_MAX)
			return false;
	return true;
}

static const struct iommufd_viommu_ops *viommu_ops_of(struct device *dev,
						      u32 type)
{
	const struct iommu_ops *iommu_ops = dev_iommu_ops(dev);
	const struct iommufd_viommu_ops *ops;

	if (type == IOMMU_VIOMMU_TYPE_DEFAULT || !iommu_ops->viommu_ops)
		return NULL;
	ops = iommu_ops->viommu_ops(dev, type);
	if (!ops || WARN_ON_ONCE(!viommu_ops_are_sane(ops)))
		return NULL;
	return ops;
}

/* Undo all but the driver's viommu_init() */
static void viommu_release(struct iommufd_viommu_object *viommu)
{
	/* Empty, but for nodes of vDEVICEs that got some of theirs and then no more */
	xa_destroy(&viommu->core.vdevs);
	refcount_dec(&viommu->hwpt->common.obj.users);
	module_put(viommu->owner);
}

void iommufd_viommu_destroy(struct iommufd_object *obj)
{
	struct iommufd_viommu_object *viommu =
		container_of(obj, struct iommufd_viommu_object, obj);

	if (viommu->core.ops->viommu_destroy)
		viommu->core.ops->viommu_destroy(&viommu->core);
	viommu_release(viommu);
}

/* All but the driver's viommu_init(). It is not for others to find yet. */
static struct iommufd_viommu_object *
viommu_alloc(struct iommufd_ctx *ictx, struct iommu_device *iommu_dev,
	     struct iommufd_hwpt_paging *hwpt,
	     const struct iommufd_viommu_ops *ops, u32 type)
{
	struct iommufd_viommu_object *viommu;
	struct iommufd_object *obj;

	if (hwpt->auto_domain || !hwpt->nest_parent ||
	    hwpt->common.domain->owner != iommu_dev->ops)
		return ERR_PTR(-EINVAL);

	obj = _iommufd_object_alloc(
		ictx,
		offsetof(struct iommufd_viommu_object, core) + ops->viommu_size,
		IOMMUFD_OBJ_VIOMMU);
	if (IS_ERR(obj))
		return ERR_CAST(obj);
	viommu = container_of(obj, struct iommufd_viommu_object, obj);

	/* The device is bound, so its driver is not on the way out */
	__module_get(iommu_dev->ops->owner);
	viommu->owner = iommu_dev->ops->owner;
	refcount_inc(&hwpt->common.obj.users);
	viommu->hwpt = hwpt;
	viommu->ictx = ictx;

	viommu->core.ops = ops;
	viommu->core.iommu_dev = iommu_dev;
	viommu->core.parent = hwpt->common.domain;
	viommu->core.type = type;
	xa_init_flags(&viommu->core.vdevs, XA_FLAGS_ACCOUNT);
	INIT_LIST_HEAD(&viommu->core.veventqs);
	spin_lock_init(&viommu->core.veventqs_lock);
	return viommu;
}

static int viommu_init(struct iommufd_viommu_object *viommu,
		       const struct iommu_viommu_alloc *cmd)
{
	const struct iommu_user_data user_data = {
		.type = cmd->type,
		.uptr = u64_to_user_ptr(cmd->data_uptr),
		.len = cmd->data_len,
	};

	return viommu->core.ops->viommu_init(&viommu->core,
					     cmd->data_len ? &user_data : NULL);
}

int iommufd_viommu_alloc_ioctl(struct iommufd_ucmd *ucmd)
{
	struct iommu_viommu_alloc *cmd = ucmd->cmd;
	const struct iommufd_viommu_ops *ops;
	struct iommufd_viommu_object *viommu;
	struct iommufd_hwpt_paging *hwpt;
	struct iommufd_device *idev;
	int rc;

	if (cmd->flags || cmd->__reserved)
		return -EOPNOTSUPP;

	idev = iommufd_get_device(ucmd, cmd->dev_id);
	if (IS_ERR(idev))
		return PTR_ERR(idev);

	ops = viommu_ops_of(idev->dev, cmd->type);
	if (!ops) {
		rc = -EOPNOTSUPP;
		goto out_put_idev;
	}

	hwpt = iommufd_get_hwpt_paging(ucmd, cmd->hwpt_id);
	if (IS_ERR(hwpt)) {
		rc = PTR_ERR(hwpt);
		goto out_put_idev;
	}

	viommu = viommu_alloc(ucmd->ictx, idev->dev->iommu->iommu_dev, hwpt, ops,
			      cmd->type);
	iommufd_put_object(ucmd->ictx, &hwpt->common.obj);
	iommufd_put_object(ucmd->ictx, &idev->obj);
	if (IS_ERR(viommu))
		return PTR_ERR(viommu);

	rc = viommu_init(viommu, cmd);
	if (rc) {
		viommu_release(viommu);
		iommufd_object_abort(ucmd->ictx, &viommu->obj);
		return rc;
	}

	cmd->out_viommu_id = viommu->obj.id;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc)
		iommufd_object_abort_and_destroy(ucmd->ictx, &viommu->obj);
	else
		iommufd_object_finalize(ucmd->ictx, &viommu->obj);
	return rc;

out_put_idev:
	iommufd_put_object(ucmd->ictx, &idev->obj);
	return rc;
}

/* The nested HWPT @hwpt_nested is gone: drop the vIOMMU that it was made on */
void iommufd_viommu_put_hwpt_nested(struct iommufd_hwpt_nested *hwpt_nested)
{
	if (hwpt_nested->viommu)
		refcount_dec(&hwpt_nested->viommu->obj.users);
}

/**
 * iommufd_viommu_alloc_hwpt_nested - Make a nested HWPT on a vIOMMU
 * @ictx: The iommufd
 * @viommu_obj: The object of a vIOMMU
 * @idev: The device to make it for, behind the vIOMMU's physical IOMMU. The
 *        caller's reference is put, also in case of an error.
 * @flags: From IOMMU_HWPT_ALLOC; the caller sees to IOMMU_HWPT_FAULT_ID_VALID
 * @user_data: From IOMMU_HWPT_ALLOC
 *
 * The caller finalizes or aborts the new object. That holds the vIOMMU and, as
 * any nested HWPT, its parent.
 *
 * Return: The HWPT or an ERR_PTR()
 */
struct iommufd_hwpt_nested *
iommufd_viommu_alloc_hwpt_nested(struct iommufd_ctx *ictx,
				 struct iommufd_object *viommu_obj,
				 struct iommufd_device *idev, u32 flags,
				 const struct iommu_user_data *user_data)
{
	struct iommufd_viommu_object *viommu =
		container_of(viommu_obj, struct iommufd_viommu_object, obj);
	const struct iommufd_viommu_ops *ops = viommu->core.ops;
	struct iommufd_hwpt_nested *hwpt_nested;
	struct iommu_domain *domain;
	bool behind;
	int rc;

	behind = idev->dev->iommu->iommu_dev == viommu->core.iommu_dev;
	iommufd_put_object(ictx, &idev->obj);

	if ((flags & ~IOMMU_HWPT_FAULT_ID_VALID) || !user_data->len ||
	    !ops->domain_alloc_nested)
		return ERR_PTR(-EOPNOTSUPP);
	if (!behind)
		return ERR_PTR(-EINVAL);

	hwpt_nested = __iommufd_object_alloc(ictx, hwpt_nested,
					     IOMMUFD_OBJ_HWPT_NESTED,
					     common.obj);
	if (IS_ERR(hwpt_nested))
		return hwpt_nested;

	refcount_inc(&viommu->hwpt->common.obj.users);
	hwpt_nested->parent = viommu->hwpt;
	refcount_inc(&viommu->obj.users);
	hwpt_nested->viommu = viommu;

	domain = ops->domain_alloc_nested(&viommu->core,
					  flags & ~IOMMU_HWPT_FAULT_ID_VALID,
					  user_data);
	if (IS_ERR(domain)) {
		rc = PTR_ERR(domain);
		goto out_abort;
	}
	hwpt_nested->common.domain = domain;
	domain->owner = viommu->core.iommu_dev->ops;

	if (WARN_ON_ONCE(domain->type != IOMMU_DOMAIN_NESTED)) {
		rc = -EINVAL;
		goto out_abort;
	}
	return hwpt_nested;

out_abort:
	iommufd_object_abort_and_destroy(ictx, &hwpt_nested->common.obj);
	return ERR_PTR(rc);
}
