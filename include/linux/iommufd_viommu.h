/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iommufd vIOMMU: what the iommufd core and an IOMMU driver are to each other
 *
 * An IOMMU driver offers a type of vIOMMU by answering iommu_ops::viommu_ops()
 * with a struct iommufd_viommu_ops. The core allocates every object, charged to
 * the caller and zeroed, with room for the driver's own structure; the driver
 * embeds struct iommufd_viommu or struct iommufd_vdevice as the first member of
 * its structure and gets from one to the other with container_of(). That
 * structure is at most a page, and aligned as a u64 is, not more.
 *
 * Order of life. A vIOMMU is destroyed after all of its nested HWPTs, vDEVICEs
 * and vEVENTQs. A vDEVICE is torn down when the user destroys it or when its
 * device is unbound, whichever is first.
 *
 * Visibility. A vDEVICE is in iommufd_viommu::vdevs only between a successful
 * vdevice_init() and the start of its teardown. Teardown removes it from there,
 * calls vdevice_unpublish() for the driver to remove it from its own indices,
 * waits for an RCU grace period and only then calls vdevice_destroy(). So a
 * vDEVICE found inside an RCU read-side critical section stays valid until the
 * end of that section, and so does its device.
 *
 * A vIOMMU keeps the driver's module, and so the physical IOMMU, even when all
 * its devices are unbound and gone.
 *
 * A driver may be built in with iommufd a module: the functions below are in
 * the always built-in part (IOMMUFD_DRIVER).
 */
#ifndef __LINUX_IOMMUFD_VIOMMU_H
#define __LINUX_IOMMUFD_VIOMMU_H

#include <linux/errno.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/xarray.h>
#include <uapi/linux/iommufd_viommu.h>

struct device;
struct iommu_device;
struct iommu_domain;
struct iommu_group;
struct iommu_user_data;
struct iommu_user_data_array;
struct iommufd_vdevice;
struct iommufd_viommu_ops;

/**
 * struct iommufd_viommu - Driver-visible part of a vIOMMU
 * @ops: What the driver answered for the type
 * @iommu_dev: The physical IOMMU
 * @parent: The nest parent domain; lives as long as the vIOMMU
 * @type: The uAPI type (enum iommu_viommu_type)
 * @vdevs: struct iommufd_vdevice by virt_id. Readers use RCU, writers hold the
 *         xa_lock; while a vDEVICE is being made its slot is reserved and reads
 *         as NULL.
 * @veventqs: The vEVENTQs, for iommufd_viommu_report_event(). Readers use RCU,
 *            writers hold @veventqs_lock.
 * @veventqs_lock: Serialises the writers of @veventqs, a leaf lock
 */
struct iommufd_viommu {
	const struct iommufd_viommu_ops *ops;
	struct iommu_device *iommu_dev;
	struct iommu_domain *parent;
	unsigned int type;
	struct xarray vdevs;
	struct list_head veventqs;
	spinlock_t veventqs_lock;
};

/**
 * struct iommufd_vdevice - Driver-visible part of a vDEVICE
 * @viommu: The vIOMMU; lives as long as the vDEVICE is not torn down
 * @dev: The device; bound to the iommufd as long as the vDEVICE is not torn
 *       down
 * @virt_id: The guest's ID of the device, in native width
 */
struct iommufd_vdevice {
	struct iommufd_viommu *viommu;
	struct device *dev;
	u64 virt_id;
};

/**
 * struct iommufd_invalidate_report - Outcome of an array of invalidations
 * @flags: enum iommu_hwpt_invalidate_report_flags
 * @error_code: The hardware's error code, 0 if there is none
 * @error_index: Highest index in the array that may have caused the error
 *
 * The core hands it to the driver zeroed and copies it to the user whatever
 * the driver's callback returns.
 */
struct iommufd_invalidate_report {
	u32 flags;
	u32 error_code;
	u32 error_index;
};

/**
 * struct iommufd_veventq_desc - A type of vEVENTQ that a vIOMMU offers
 * @type: The uAPI type (enum iommu_veventq_type)
 * @record_len: Length in bytes of every record of the type, at most
 *              %IOMMUFD_VEVENT_RECORD_MAX
 */
struct iommufd_veventq_desc {
	u32 type;
	u32 record_len;
};

/* The longest native event record that a vEVENTQ can carry, in bytes */
#define IOMMUFD_VEVENT_RECORD_MAX 64

/**
 * struct iommufd_viommu_ops - A driver's vIOMMU of one type
 * @viommu_size: sizeof() of the driver's structure that embeds struct
 *               iommufd_viommu as its first member
 * @vdevice_size: The same for struct iommufd_vdevice
 * @veventqs: The types of vEVENTQ offered, @num_veventqs of them
 * @num_veventqs: Number of elements of @veventqs
 * @viommu_init: Make the vIOMMU usable. All members of struct iommufd_viommu
 *               are set. @user_data is NULL if the user passed none. Returns
 *               -EOPNOTSUPP if the host lacks what the type needs, -EINVAL if
 *               the parent is not one of this IOMMU's. May sleep. If it fails
 *               viommu_destroy() is not called.
 * @viommu_destroy: Undo @viommu_init. Optional. May sleep.
 * @domain_alloc_nested: Allocate an IOMMU_DOMAIN_NESTED domain on the vIOMMU;
 *               @flags has no IOMMU_HWPT_FAULT_ID_VALID left in it, @user_data is
 *               never NULL nor of length 0. The domain is freed before the
 *               vIOMMU. Optional. May sleep. No device is held, or an unbind
 *               would wait for accesses to user memory: that a device fits is
 *               for attach_dev() to check.
 * @cache_invalidate_user: Execute an array of native invalidation commands.
 *               Must set @array->entry_num to the number of entries that were
 *               executed and synchronised, and fill in @report. An array with
 *               entry_num 0 only checks @array->type (-EINVAL). Of any other the
 *               core has checked that entry_num is at most 2^19 and entry_len 1
 *               to PAGE_SIZE. Called without locks, by several threads at once.
 *               May sleep. Optional.
 * @vdevice_init: Make the vDEVICE usable and, as the last step, visible in the
 *               driver's own indices. Returns -EINVAL for a virt_id that the
 *               type can't have. May sleep. Optional. Called with the iommufd's
 *               vDEVICE lock held, as the next two.
 * @vdevice_unpublish: Remove the vDEVICE from the driver's own indices; no new
 *               user may find it afterwards. Optional.
 * @vdevice_destroy: Undo the rest of @vdevice_init, an RCU grace period after
 *               @vdevice_unpublish. May sleep. Optional.
 */
struct iommufd_viommu_ops {
	size_t viommu_size;
	size_t vdevice_size;
	const struct iommufd_veventq_desc *veventqs;
	unsigned int num_veventqs;

	int (*viommu_init)(struct iommufd_viommu *viommu,
			   const struct iommu_user_data *user_data);
	void (*viommu_destroy)(struct iommufd_viommu *viommu);
	struct iommu_domain *(*domain_alloc_nested)(
		struct iommufd_viommu *viommu, u32 flags,
		const struct iommu_user_data *user_data);
	int (*cache_invalidate_user)(struct iommufd_viommu *viommu,
				     struct iommu_user_data_array *array,
				     struct iommufd_invalidate_report *report);
	int (*vdevice_init)(struct iommufd_vdevice *vdev);
	void (*vdevice_unpublish)(struct iommufd_vdevice *vdev);
	void (*vdevice_destroy)(struct iommufd_vdevice *vdev);
};

#if IS_ENABLED(CONFIG_IOMMUFD_DRIVER)
struct iommufd_vdevice *iommufd_viommu_find_vdev(struct iommufd_viommu *viommu,
						 u64 virt_id);
int iommufd_viommu_get_virt_id(struct iommufd_viommu *viommu,
			       struct device *dev, u64 *virt_id);
int iommufd_viommu_report_event(struct iommufd_viommu *viommu, u32 type,
				const void *data, size_t len);
int iommufd_viommu_report_loss(struct iommufd_viommu *viommu, u32 type);
void iommufd_group_fault_sync(struct iommu_group *group);
#else
static inline struct iommufd_vdevice *
iommufd_viommu_find_vdev(struct iommufd_viommu *viommu, u64 virt_id)
{
	return NULL;
}

static inline int iommufd_viommu_get_virt_id(struct iommufd_viommu *viommu,
					     struct device *dev, u64 *virt_id)
{
	return -ENOENT;
}

static inline int iommufd_viommu_report_event(struct iommufd_viommu *viommu,
					      u32 type, const void *data,
					      size_t len)
{
	return -EOPNOTSUPP;
}

static inline int iommufd_viommu_report_loss(struct iommufd_viommu *viommu,
					     u32 type)
{
	return -EOPNOTSUPP;
}

static inline void iommufd_group_fault_sync(struct iommu_group *group)
{
}
#endif

#endif
