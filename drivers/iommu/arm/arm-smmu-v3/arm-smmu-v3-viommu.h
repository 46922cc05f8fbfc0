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
 * arm-smmu-v3-vstall.c		who answers a stalled transaction
 */
#ifndef _ARM_SMMU_V3_VIOMMU_H
#define _ARM_SMMU_V3_VIOMMU_H

#include <linux/io-pgtable.h>
#include <linux/iommufd_viommu.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-vcmd.h"
#include "arm-smmu-v3-vste.h"

struct arm_smmu_attach_state;

/*
 * The most vIOMMUs on one nest parent. A VM needs one, as it has a nest parent for
 * each SMMU. An unmap in the parent invalidates for all of them, without a break: a
 * command for each, and one CMD_SYNC. That many fit into one batch of the driver.
 */
#define ARM_SMMU_NEST_PARENT_VIOMMUS	64

/**
 * struct arm_smmu_viommu - A vSMMU: a guest's view of one physical SMMU
 * @core: What iommufd knows of it
 * @smmu: The physical SMMU
 * @s2_parent: The nest parent, a stage 2 domain of @smmu
 * @s2_elm: In arm_smmu_domain::viommus of @s2_parent
 * @limits: For the command checker; limits.vmid is this vIOMMU's own VMID
 * @vste_limits: For the STE checker
 * @evtq_overflows: arm_smmu_device::evtq_overflows when the guest was last told of
 *                  one, the event thread's alone
 *
 * All other members are constant from viommu_init() to viommu_destroy(), but for
 * @s2_elm: readers use RCU, writers hold arm_smmu_domain::viommus_lock.
 */
struct arm_smmu_viommu {
	struct iommufd_viommu core;
	struct arm_smmu_device *smmu;
	struct arm_smmu_domain *s2_parent;
	struct list_head s2_elm;
	struct arm_smmu_vcmd_limits limits;
	struct arm_smmu_vste_limits vste_limits;
	u64 evtq_overflows;
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

/**
 * struct arm_smmu_nested_domain - A guest's stage 1 on top of a nest parent
 * @domain: What the iommu core knows of it, of type IOMMU_DOMAIN_NESTED
 * @viommu: The vIOMMU, which outlives it
 * @vste: Words 0 and 1 of the guest's STE, checked; little-endian
 *
 * Constant once allocated.
 */
struct arm_smmu_nested_domain {
	struct iommu_domain domain;
	struct arm_smmu_viommu *viommu;
	__le64 vste[2];
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

static inline struct arm_smmu_nested_domain *
to_arm_smmu_nested_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct arm_smmu_nested_domain, domain);
}

/*
 * What the page table of a stage 2 domain has to be like. The STE follows the
 * table: STE.S2FWB says how the SMMU reads the memory attributes in there.
 */
static inline unsigned long
arm_smmu_nest_parent_quirks(const struct arm_smmu_domain *smmu_domain,
			    const struct arm_smmu_device *smmu)
{
	if (smmu_domain->nest_parent && (smmu->features & ARM_SMMU_FEAT_S2FWB))
		return IO_PGTABLE_QUIRK_ARM_S2FWB;
	return 0;
}

#ifdef CONFIG_ARM_SMMU_V3_IOMMUFD
/* arm-smmu-v3-viommu.c */
void *arm_smmu_hw_info(struct device *dev, u32 *length, u32 *type);
const struct iommufd_viommu_ops *arm_smmu_viommu_ops(struct device *dev,
						     unsigned int type);
bool arm_smmu_master_can_nest(struct arm_smmu_master *master);
bool arm_smmu_vevent_report(struct arm_smmu_device *smmu, const u64 *evt);
bool arm_smmu_vevent_still_guests(struct arm_smmu_device *smmu, u32 sid);
bool arm_smmu_vevent_now_guests(struct arm_smmu_device *smmu, u32 sid);
void arm_smmu_vevent_forward(struct arm_smmu_device *smmu, const u64 *evt);
void arm_smmu_vevent_overflow(struct arm_smmu_device *smmu);

/* arm-smmu-v3-vstall.c */
int arm_smmu_report_stall(struct arm_smmu_master *master, const u64 *evt,
			  struct iopf_fault *fault);
void arm_smmu_vstall_abort(struct arm_smmu_device *smmu, const u64 *evt);
void arm_smmu_fault_sync(struct device *dev);

/* arm-smmu-v3-nested.c */
int arm_smmu_nest_parent_init(struct arm_smmu_domain *smmu_domain,
			      struct arm_smmu_master *master, u32 flags);
void arm_smmu_nest_parent_tables(struct arm_smmu_domain *smmu_domain,
				 struct io_pgtable_cfg *cfg);
int arm_smmu_nest_parent_join(struct arm_smmu_viommu *viommu);
void arm_smmu_nest_parent_leave(struct arm_smmu_viommu *viommu);
void __arm_smmu_nest_parent_inv_all(struct arm_smmu_domain *s2_parent);
void __arm_smmu_nest_parent_inv_range(struct arm_smmu_domain *s2_parent,
				      unsigned long iova, size_t size,
				      size_t granule, bool leaf);
struct arm_smmu_domain *arm_smmu_nested_s2_parent(struct iommu_domain *domain);
void arm_smmu_nested_atc_inv_to_cmd(struct arm_smmu_cmdq_ent *cmd);
void __arm_smmu_nested_leave(struct arm_smmu_attach_state *state);
void arm_smmu_nested_disable_iopf(struct arm_smmu_master *master);
void arm_smmu_write_ste_entry(struct arm_smmu_entry_writer *writer,
			      struct arm_smmu_ste *ste,
			      const struct arm_smmu_ste *target);
struct iommu_domain *
arm_smmu_domain_alloc_nested(struct iommufd_viommu *core, u32 flags,
			     const struct iommu_user_data *user_data);

/* Called for every unmap of a stage 2 domain: a nest parent or not */
static inline void
arm_smmu_nest_parent_inv_all(struct arm_smmu_domain *smmu_domain)
{
	if (smmu_domain->nest_parent)
		__arm_smmu_nest_parent_inv_all(smmu_domain);
}

static inline void
arm_smmu_nest_parent_inv_range(struct arm_smmu_domain *smmu_domain,
			       unsigned long iova, size_t size, size_t granule,
			       bool leaf)
{
	if (smmu_domain->nest_parent)
		__arm_smmu_nest_parent_inv_range(smmu_domain, iova, size,
						 granule, leaf);
}

/* The last step of an attach of whatever domain */
static inline void arm_smmu_nested_leave(struct arm_smmu_attach_state *state)
{
	if (state->old_domain &&
	    state->old_domain->type == IOMMU_DOMAIN_NESTED &&
	    state->new_domain->type != IOMMU_DOMAIN_NESTED)
		__arm_smmu_nested_leave(state);
}

#else /* CONFIG_ARM_SMMU_V3_IOMMUFD */

#define arm_smmu_hw_info NULL
#define arm_smmu_viommu_ops NULL
#define arm_smmu_fault_sync NULL

static inline int arm_smmu_report_stall(struct arm_smmu_master *master,
					const u64 *evt,
					struct iopf_fault *fault)
{
	return iommu_report_device_fault(master->dev, fault);
}

static inline void arm_smmu_vstall_abort(struct arm_smmu_device *smmu,
					 const u64 *evt)
{
}

static inline bool arm_smmu_vevent_report(struct arm_smmu_device *smmu,
					  const u64 *evt)
{
	return false;
}

static inline void arm_smmu_vevent_overflow(struct arm_smmu_device *smmu)
{
}

static inline int
arm_smmu_nest_parent_init(struct arm_smmu_domain *smmu_domain,
			  struct arm_smmu_master *master, u32 flags)
{
	return -EOPNOTSUPP;
}

static inline void
arm_smmu_nest_parent_tables(struct arm_smmu_domain *smmu_domain,
			    struct io_pgtable_cfg *cfg)
{
}

static inline void
arm_smmu_nest_parent_inv_all(struct arm_smmu_domain *smmu_domain)
{
}

static inline void
arm_smmu_nest_parent_inv_range(struct arm_smmu_domain *smmu_domain,
			       unsigned long iova, size_t size, size_t granule,
			       bool leaf)
{
}

static inline struct arm_smmu_domain *
arm_smmu_nested_s2_parent(struct iommu_domain *domain)
{
	return NULL;
}

static inline void arm_smmu_nested_atc_inv_to_cmd(struct arm_smmu_cmdq_ent *cmd)
{
}

static inline void arm_smmu_nested_leave(struct arm_smmu_attach_state *state)
{
}

static inline void arm_smmu_nested_disable_iopf(struct arm_smmu_master *master)
{
}

/* No function, because what it calls may be static in arm-smmu-v3.c */
#define arm_smmu_write_ste_entry(writer, ste, target) \
	arm_smmu_write_entry(writer, (ste)->data, (target)->data)
#endif /* CONFIG_ARM_SMMU_V3_IOMMUFD */

/* arm-smmu-v3-vinvalidate.c */
int arm_smmu_viommu_cache_invalidate(struct iommufd_viommu *viommu,
				     struct iommu_user_data_array *array,
				     struct iommufd_invalidate_report *report);
#if IS_ENABLED(CONFIG_KUNIT)
bool arm_smmu_vinv_has_ats(struct arm_smmu_master *master);
#endif

#endif
