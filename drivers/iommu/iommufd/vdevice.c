// SPDX-License-Identifier: GPL-2.0-only
/*
 * vDEVICE: the ID that a guest knows a device by
 *
 * The life of a vDEVICE, in the order that <linux/iommufd_viommu.h> promises to
 * the driver:
 *
 *   made	virt_id reserved, vdevice_init() done
 *   published	in iommufd_viommu::vdevs, linked with its device
 *   torn down	out of vdevs and the driver's indices, an RCU grace period
 *		passed, vdevice_destroy() done, nothing held any more
 *   freed
 *
 * What tears it down is IOMMU_DESTROY, the close of the iommufd, or the unbind
 * of the device, whichever comes first; vdev_lock decides, see struct
 * iommufd_vdevice_object. After an unbind the object stays until one of the
 * other two, so that the ID is not given to another object under the user's
 * nose.
 *
 * The unbind does that before anything else, and has no other made from then
 * on: it goes on to wait for those who hold a short term reference on the device,
 * but not forever. A page fault that the user handles, in memory that a mapping
 * pins or in the data of a nested HWPT on a HWPT, can take longer; then the
 * iommufd_device stays behind, and the device itself may go, which its vDEVICE
 * must not outlive. User memory is not written while that reference is held.
 */
#include <linux/iommu.h>
#include <linux/rcupdate.h>
#include <uapi/linux/iommufd.h>

#include "../iommu-priv.h"
#include "iommufd_private.h"

static struct iommufd_viommu_object *
vdevice_to_viommu(struct iommufd_vdevice_object *vdev)
{
	return container_of(vdev->core.viommu, struct iommufd_viommu_object,
			    core);
}

static void vdevice_teardown(struct iommufd_vdevice_object *vdev)
{
	struct iommufd_viommu_object *viommu = vdevice_to_viommu(vdev);
	const struct iommufd_viommu_ops *ops = viommu->core.ops;

	lockdep_assert_held(&vdev->ictx->vdev_lock);

	xa_erase(&viommu->core.vdevs, vdev->core.virt_id);
	if (ops->vdevice_unpublish)
		ops->vdevice_unpublish(&vdev->core);
	synchronize_rcu();
	if (ops->vdevice_destroy)
		ops->vdevice_destroy(&vdev->core);

	vdev->idev->vdev = NULL;
	vdev->idev = NULL;
	refcount_dec(&viommu->obj.users);
}

void iommufd_vdevice_destroy(struct iommufd_object *obj)
{
	struct iommufd_vdevice_object *vdev =
		container_of(obj, struct iommufd_vdevice_object, obj);

	mutex_lock(&vdev->ictx->vdev_lock);
	if (vdev->idev)
		vdevice_teardown(vdev);
	mutex_unlock(&vdev->ictx->vdev_lock);
}

/**
 * iommufd_device_remove_vdev - A device is unbound, take its vDEVICE along
 * @idev: The device, which ioctls of other threads may still be using
 *
 * When it returns the device has no vDEVICE and won't get one, and nobody uses the
 * one that it had.
 */
void iommufd_device_remove_vdev(struct iommufd_device *idev)
{
	mutex_lock(&idev->ictx->vdev_lock);
	idev->unbinding = true;
	if (idev->vdev)
		vdevice_teardown(idev->vdev);
	mutex_unlock(&idev->ictx->vdev_lock);
}

/*
 * Make and publish: on success all is done but to tell the user. From then on
 * the device can be unbound and leave a tombstone.
 */
static int vdevice_publish(struct iommufd_vdevice_object *vdev,
			   struct iommufd_viommu_object *viommu,
			   struct iommufd_device *idev)
{
	const struct iommufd_viommu_ops *ops = viommu->core.ops;
	unsigned long index = vdev->core.virt_id;
	int rc;

	lockdep_assert_held(&vdev->ictx->vdev_lock);

	/* Its ID is about to name nothing, or would if the unbind were not stuck */
	if (idev->unbinding)
		return -ENOENT;
	if (idev->vdev)
		return -EEXIST;

	/* A reserved slot reads as NULL, and to fill it needs no memory */
	rc = xa_insert(&viommu->core.vdevs, index, XA_ZERO_ENTRY,
		       GFP_KERNEL_ACCOUNT);
	if (rc)
		return rc == -EBUSY ? -EEXIST : rc;

	if (ops->vdevice_init) {
		rc = ops->vdevice_init(&vdev->core);
		if (rc) {
			xa_release(&viommu->core.vdevs, index);
			return rc;
		}
	}

	refcount_inc(&viommu->obj.users);
	idev->vdev = vdev;
	vdev->idev = idev;
	xa_store(&viommu->core.vdevs, index, &vdev->core, GFP_KERNEL_ACCOUNT);
	return 0;
}

static struct iommufd_vdevice_object *
vdevice_alloc(struct iommufd_ctx *ictx, struct iommufd_viommu_object *viommu,
	      struct iommufd_device *idev, u64 virt_id)
{
	struct iommufd_vdevice_object *vdev;
	struct iommufd_object *obj;
	int rc;

	if (idev->dev->iommu->iommu_dev != viommu->core.iommu_dev)
		return ERR_PTR(-EINVAL);
	/* The index of an XArray */
	if (virt_id != (unsigned long)virt_id)
		return ERR_PTR(-EINVAL);

	obj = _iommufd_object_alloc(
		ictx,
		offsetof(struct iommufd_vdevice_object, core) +
			viommu->core.ops->vdevice_size,
		IOMMUFD_OBJ_VDEVICE);
	if (IS_ERR(obj))
		return ERR_CAST(obj);
	vdev = container_of(obj, struct iommufd_vdevice_object, obj);
	vdev->ictx = ictx;
	vdev->core.viommu = &viommu->core;
	vdev->core.dev = idev->dev;
	vdev->core.virt_id = virt_id;

	mutex_lock(&ictx->vdev_lock);
	rc = vdevice_publish(vdev, viommu, idev);
	mutex_unlock(&ictx->vdev_lock);
	if (rc) {
		iommufd_object_abort(ictx, obj);
		return ERR_PTR(rc);
	}
	return vdev;
}

int iommufd_vdevice_alloc_ioctl(struct iommufd_ucmd *ucmd)
{
	struct iommu_vdevice_alloc *cmd = ucmd->cmd;
	struct iommufd_viommu_object *viommu;
	struct iommufd_vdevice_object *vdev;
	struct iommufd_device *idev;
	int rc;

	viommu = iommufd_get_viommu(ucmd, cmd->viommu_id);
	if (IS_ERR(viommu))
		return PTR_ERR(viommu);

	idev = iommufd_get_device(ucmd, cmd->dev_id);
	if (IS_ERR(idev)) {
		rc = PTR_ERR(idev);
		goto out_put_viommu;
	}

	vdev = vdevice_alloc(ucmd->ictx, viommu, idev, cmd->virt_id);
	iommufd_put_object(ucmd->ictx, &idev->obj);
	if (IS_ERR(vdev)) {
		rc = PTR_ERR(vdev);
		goto out_put_viommu;
	}

	cmd->out_vdevice_id = vdev->obj.id;
	rc = iommufd_ucmd_respond(ucmd, sizeof(*cmd));
	if (rc)
		iommufd_object_abort_and_destroy(ucmd->ictx, &vdev->obj);
	else
		iommufd_object_finalize(ucmd->ictx, &vdev->obj);

out_put_viommu:
	iommufd_put_object(ucmd->ictx, &viommu->obj);
	return rc;
}
