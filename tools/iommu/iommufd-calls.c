// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd's ioctls as functions
 */
#include <endian.h>
#include <errno.h>
#include <sys/ioctl.h>

#include "iommufd-calls.h"

int ic_call(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) ? errno : 0;
}

int ic_destroy(int fd, uint32_t id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return ic_call(fd, IOMMU_DESTROY, &cmd);
}

int ic_ioas(int fd, uint32_t *id)
{
	struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
	int ret = ic_call(fd, IOMMU_IOAS_ALLOC, &cmd);

	if (!ret)
		*id = cmd.out_ioas_id;
	return ret;
}

int ic_map(int fd, uint32_t ioas, uint64_t iova, void *mem, uint64_t len)
{
	struct iommu_ioas_map cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = ioas,
		.user_va = (uintptr_t)mem,
		.length = len,
		.iova = iova,
	};

	return ic_call(fd, IOMMU_IOAS_MAP, &cmd);
}

int ic_unmap(int fd, uint32_t ioas, uint64_t iova, uint64_t len)
{
	struct iommu_ioas_unmap cmd = {
		.size = sizeof(cmd),
		.ioas_id = ioas,
		.iova = iova,
		.length = len,
	};

	return ic_call(fd, IOMMU_IOAS_UNMAP, &cmd);
}

int ic_parent(int fd, uint32_t dev_id, uint32_t ioas, uint32_t *id)
{
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
		.dev_id = dev_id,
		.pt_id = ioas,
	};
	int ret = ic_call(fd, IOMMU_HWPT_ALLOC, &cmd);

	if (!ret)
		*id = cmd.out_hwpt_id;
	return ret;
}

int ic_nested(int fd, uint32_t dev_id, uint32_t pt_id, uint64_t w0, uint64_t w1,
	      uint32_t *id)
{
	struct iommu_hwpt_arm_smmuv3 data = { .ste = { htole64(w0), htole64(w1) } };
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.dev_id = dev_id,
		.pt_id = pt_id,
		.data_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
		.data_len = sizeof(data),
		.data_uptr = (uintptr_t)&data,
	};
	int ret = ic_call(fd, IOMMU_HWPT_ALLOC, &cmd);

	if (!ret)
		*id = cmd.out_hwpt_id;
	return ret;
}

int ic_viommu(int fd, uint32_t dev_id, uint32_t parent, uint32_t *id)
{
	struct iommu_viommu_alloc cmd = {
		.size = sizeof(cmd),
		.type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
		.dev_id = dev_id,
		.hwpt_id = parent,
	};
	int ret = ic_call(fd, IOMMU_VIOMMU_ALLOC, &cmd);

	if (!ret)
		*id = cmd.out_viommu_id;
	return ret;
}

int ic_vdevice(int fd, uint32_t viommu, uint32_t dev_id, uint64_t vsid,
	       uint32_t *id)
{
	struct iommu_vdevice_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = viommu,
		.dev_id = dev_id,
		.virt_id = vsid,
	};
	int ret = ic_call(fd, IOMMU_VDEVICE_ALLOC, &cmd);

	if (!ret)
		*id = cmd.out_vdevice_id;
	return ret;
}

int ic_veventq(int fd, uint32_t viommu, uint32_t depth, uint32_t *id,
	       int *veventq_fd)
{
	struct iommu_veventq_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = viommu,
		.type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
		.veventq_depth = depth,
	};
	int ret = ic_call(fd, IOMMU_VEVENTQ_ALLOC, &cmd);

	if (!ret) {
		*id = cmd.out_veventq_id;
		*veventq_fd = cmd.out_veventq_fd;
	}
	return ret;
}

int ic_invalidate(int fd, uint32_t viommu, const void *cmds, uint32_t num,
		  struct iommu_hwpt_invalidate *cmd)
{
	*cmd = (struct iommu_hwpt_invalidate){
		.size = sizeof(*cmd),
		.hwpt_id = viommu,
		.data_uptr = (uintptr_t)cmds,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
		.entry_len = sizeof(struct iommu_viommu_arm_smmuv3_invalidate),
		.entry_num = num,
	};
	return ic_call(fd, IOMMU_HWPT_INVALIDATE, cmd);
}
