/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iommufd's side of vIOMMU, vDEVICE and vEVENTQ, see <linux/iommufd_viommu.h>
 * for the drivers' side. Included by iommufd_private.h.
 *
 *	viommu.c	the vIOMMU and its nested HWPTs
 *	vdevice.c	the vDEVICE
 *	veventq.c	the vEVENTQ and its file
 *	fault_answer.c	page faults that user space no longer answers
 *	veventq_ring.h	the arithmetic of a vEVENTQ
 *	invalidate.c	from IOMMU_HWPT_INVALIDATE to the driver and back
 *	hw_info.c	IOMMU_GET_HW_INFO: the type asked for, ATS, the answer
 *	viommu_driver.c	what drivers call, always built in
 *
 * Who holds whom, by a reference on iommufd_object::users:
 *
 *	nested HWPT -> vIOMMU -> nest parent HWPT -> IOAS
 *	vDEVICE     -> vIOMMU			until it is torn down
 *	vEVENTQ     -> vIOMMU
 *	vEVENTQ's file -> vEVENTQ, struct iommufd_ctx
 *
 * A vDEVICE holds no reference on its device: unbinding a device must not fail.
 * Instead the unbind begins by tearing the vDEVICE down; the iommufd_object that
 * stays is a tombstone, an ID that nothing leads from.
 */
#ifndef __IOMMUFD_VIOMMU_PRIVATE_H
#define __IOMMUFD_VIOMMU_PRIVATE_H

#include <linux/iommufd_viommu.h>
#include <linux/wait.h>

#include "veventq_ring.h"

/**
 * struct iommufd_viommu_object - A vIOMMU
 * @obj: The object
 * @ictx: The iommufd it belongs to
 * @hwpt: The nest parent
 * @owner: Module of the IOMMU driver
 * @core: The driver's view. The driver's own structure starts here and trails
 *        this one, so this is the last member.
 *
 * Constant from IOMMU_VIOMMU_ALLOC to the destruction, but for the indices in
 * @core, which have their locks there.
 */
struct iommufd_viommu_object {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct iommufd_hwpt_paging *hwpt;
	struct module *owner;
	struct iommufd_viommu core;
};

/**
 * struct iommufd_vdevice_object - A vDEVICE
 * @obj: The object
 * @ictx: The iommufd it belongs to
 * @idev: The device; NULL if torn down
 * @core: The driver's view, last as in struct iommufd_viommu_object. Not to be
 *        used once @idev is NULL.
 *
 * iommufd_ctx::vdev_lock protects @idev here and iommufd_device::vdev, which
 * point at each other as long as the vDEVICE is not torn down, and
 * iommufd_device::unbinding, which once set keeps the latter NULL. It is held over
 * the driver's vdevice_init(), vdevice_unpublish() and vdevice_destroy(), but
 * not over accesses to user memory.
 *
 * Lock order: the locks under which VFIO unbinds a device -> vdev_lock -> the
 * driver's locks, xa_lock of iommufd_viommu::vdevs.
 */
struct iommufd_vdevice_object {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct iommufd_device *idev;
	struct iommufd_vdevice core;
};

/**
 * struct iommufd_veventq - A vEVENTQ
 * @obj: The object
 * @ictx: The iommufd it belongs to
 * @viommu: The vIOMMU whose events it receives
 * @filep: The file
 * @node: In iommufd_viommu::veventqs
 * @type: The uAPI type (enum iommu_veventq_type)
 * @record_len: Length of the data of a record in bytes
 * @stride: Distance of two records in @records in bytes
 * @records: iommufd_veventq_ring::depth records, each a struct
 *           iommufd_vevent_header and @record_len bytes of data
 * @read_mutex: Serialises readers
 * @lock: Protects @ring. The producer fills in a record with it held; a reader
 *        does not hold it while it copies a record, see veventq_ring.h. Taken
 *        in any context.
 * @ring: Which records there are
 * @wait: Who polls
 *
 * @lock nests inside @read_mutex. The other members are constant from
 * IOMMU_VEVENTQ_ALLOC on. The producer finds the queue by RCU.
 */
struct iommufd_veventq {
	struct iommufd_object obj;
	struct iommufd_ctx *ictx;
	struct iommufd_viommu_object *viommu;
	struct file *filep;

	struct list_head node;
	u32 type;
	u32 record_len;
	size_t stride;
	void *records;

	struct mutex read_mutex;
	spinlock_t lock;
	struct iommufd_veventq_ring ring;
	wait_queue_head_t wait;
};

static inline void *iommufd_veventq_record(struct iommufd_veventq *veventq,
					   u32 slot)
{
	return veventq->records + slot * veventq->stride;
}

static inline struct iommufd_viommu_object *
iommufd_get_viommu(struct iommufd_ucmd *ucmd, u32 id)
{
	return container_of(iommufd_get_object(ucmd->ictx, id,
					       IOMMUFD_OBJ_VIOMMU),
			    struct iommufd_viommu_object, obj);
}

int iommufd_viommu_alloc_ioctl(struct iommufd_ucmd *ucmd);
void iommufd_viommu_destroy(struct iommufd_object *obj);
struct iommufd_hwpt_nested *
iommufd_viommu_alloc_hwpt_nested(struct iommufd_ctx *ictx,
				 struct iommufd_object *viommu_obj,
				 struct iommufd_device *idev, u32 flags,
				 const struct iommu_user_data *user_data);
void iommufd_viommu_put_hwpt_nested(struct iommufd_hwpt_nested *hwpt_nested);

int iommufd_vdevice_alloc_ioctl(struct iommufd_ucmd *ucmd);
void iommufd_vdevice_destroy(struct iommufd_object *obj);
void iommufd_device_remove_vdev(struct iommufd_device *idev);

int iommufd_veventq_alloc_ioctl(struct iommufd_ucmd *ucmd);
void iommufd_veventq_destroy(struct iommufd_object *obj);

int iommufd_invalidate(struct iommufd_ctx *ictx, u32 id,
		       struct iommu_user_data_array *array,
		       struct iommufd_invalidate_report *report);

void iommufd_fault_delivered(struct iommufd_fault *fault, struct iopf_group *group)
	__releases(&fault->lock);
void iommufd_fault_close(struct iommufd_fault *fault);

int iommufd_hw_info_input(const struct iommu_hw_info *cmd, u32 *type);
int iommufd_hw_info_check_type(const struct iommu_hw_info *cmd, u32 type);
u64 iommufd_hw_info_ats(struct device *dev);
int iommufd_hw_info_respond(struct iommufd_ucmd *ucmd, const void *data,
			    u32 data_len);

#endif
