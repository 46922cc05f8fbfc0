/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vsmmuv3 backend for the Linux kernel: iommufd's vIOMMU and VFIO's devices
 *
 * The objects, and who makes them:
 *
 *	IOAS, nest parent HWPT		the VMM
 *	vIOMMU, vEVENTQ, three HWPTs	vsmmu_iommufd_init()
 *	vDEVICE				vsmmu_iommufd_add_device()
 *	a nested HWPT per vSTE		the library, as the guest changes its STEs
 *
 * The three HWPTs are those whose STE holds nothing of the guest's: V == 0, abort
 * and bypass. They are made once so that blocking a device cannot fail for want of
 * memory. All functions return 0 or a negative errno and print nothing.
 */
#ifndef VSMMUV3_IOMMUFD_H
#define VSMMUV3_IOMMUFD_H

#include "vsmmuv3.h"

struct vsmmu_iommufd_device;

/**
 * struct vsmmu_iommufd - One vIOMMU
 * @iommufd: The VMM's file, not owned
 * @parent_hwpt: The nest parent, not owned
 * @viommu_id: The vIOMMU
 * @fixed_hwpt: For %VSMMU_STE_INVALID, %VSMMU_STE_ABORT, %VSMMU_STE_BYPASS
 * @veventq_id: The vEVENTQ
 * @veventq_fd: Its file, O_NONBLOCK; poll it and call vsmmu_iommufd_pump()
 * @devices: The vDEVICEs
 * @invalidate_ioctls: How often IOMMU_HWPT_INVALIDATE was called
 * @last: What the last failing one answered
 */
struct vsmmu_iommufd {
	int iommufd;
	uint32_t parent_hwpt;
	uint32_t viommu_id;
	uint32_t fixed_hwpt[3];
	uint32_t veventq_id;
	int veventq_fd;
	struct vsmmu_iommufd_device *devices;
	uint64_t invalidate_ioctls;
	struct vsmmu_report last;
};

/* Pass it to vsmmu_create() with the struct vsmmu_iommufd as the backend */
extern const struct vsmmu_backend_ops vsmmu_iommufd_ops;

int vsmmu_iommufd_host_info(int iommufd, uint32_t dev_id,
			    struct vsmmu_config *config);
int vsmmu_iommufd_init(struct vsmmu_iommufd *b, int iommufd, uint32_t dev_id,
		       uint32_t parent_hwpt, uint32_t veventq_depth);
int vsmmu_iommufd_add_device(struct vsmmu_iommufd *b, int device_fd,
			     uint32_t dev_id, uint32_t vsid);
int vsmmu_iommufd_remove_device(struct vsmmu_iommufd *b, uint32_t vsid);
int vsmmu_iommufd_exit(struct vsmmu_iommufd *b);
int vsmmu_iommufd_pump(struct vsmmu_iommufd *b, struct vsmmu *s,
		       unsigned int max_records);

#endif
