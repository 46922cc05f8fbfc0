/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arm SMMUv3 behind iommufd: the vIOMMU, its devices and its nested domains
 *
 * arm-smmu-v3-viommu.c		objects: vIOMMU, vDEVICE, the vSID and SID indices
 * arm-smmu-v3-nested.c		nested domains, STEs, what stage 2 owes nesting
 * arm-smmu-v3-vste.c		checks a guest's STE, makes the nested one (pure)
 * arm-smmu-v3-vcmd.c		checks a guest's command, makes the host's (pure)
 * arm-smmu-v3-vinvalidate.c	takes an array of commands from check to issue
 * arm-smmu-v3-cmdq-error.c	issues a batch and brings its errors back
 * arm-smmu-v3-vevent.c		turns an event record into the guest's (pure)
 */
#ifndef _ARM_SMMU_V3_VIOMMU_H
#define _ARM_SMMU_V3_VIOMMU_H

#include <linux/iommufd_viommu.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-vcmd.h"

/**
 * struct arm_smmu_viommu - A vSMMU: a guest's view of one physical SMMU
 * @core: What iommufd knows of it
 * @smmu: The physical SMMU
 * @s2_parent: The nest parent, a stage 2 domain of @smmu
 * @s2_elm: In arm_smmu_domain::viommus of @s2_parent
 * @limits: For the command checker; limits.vmid is this vIOMMU's own VMID
 *
 * All members are constant from viommu_init() to viommu_destroy(), but for
 * @s2_elm, which belongs to the list's lock.
 */
struct arm_smmu_viommu {
	struct iommufd_viommu core;
	struct arm_smmu_device *smmu;
	struct arm_smmu_domain *s2_parent;
	struct list_head s2_elm;
	struct arm_smmu_vcmd_limits limits;
};

/**
 * struct arm_smmu_vdevice - A device behind a vSMMU
 * @core: What iommufd knows of it; core.virt_id is the vSID
 * @master: The device; valid as long as the vDEVICE is published
 * @sid: The physical StreamID, the device's only one
 *
 * Constant while the vDEVICE is published.
 */
struct arm_smmu_vdevice {
	struct iommufd_vdevice core;
	struct arm_smmu_master *master;
	u32 sid;
};

static inline struct arm_smmu_viommu *
to_arm_smmu_viommu(struct iommufd_viommu *core)
{
	return container_of(core, struct arm_smmu_viommu, core);
}

static inline struct arm_smmu_vdevice *
to_arm_smmu_vdevice(struct iommufd_vdevice *core)
{
	return container_of(core, struct arm_smmu_vdevice, core);
}

/* arm-smmu-v3-vinvalidate.c */
int arm_smmu_viommu_cache_invalidate(struct iommufd_viommu *viommu,
				     struct iommu_user_data_array *array,
				     struct iommufd_invalidate_report *report);

#endif
