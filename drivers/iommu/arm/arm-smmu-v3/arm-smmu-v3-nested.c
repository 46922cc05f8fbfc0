// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm SMMUv3: nested domains, and what stage 2 owes to nesting
 *
 * A nest parent is a stage 2 domain whose input addresses are a VM's physical
 * addresses. Several vIOMMUs can sit on top of one, each with a VMID of its
 * own: what the guest does with TLBI commands stays within that VMID, and a
 * vIOMMU that goes away takes all of its TLB entries with it. A nested domain is
 * one STE of a guest: its stage 1 on the parent's stage 2, or the parent's
 * stage 2 alone (bypass), or nothing (abort). Always under the VMID of the
 * vIOMMU; only a device that is attached to the nest parent itself uses the VMID
 * of the parent.
 *
 *	nest parent		VMID p	S2TTB t
 *	  vIOMMU a		VMID a
 *	    nested domain		STE {S1 of the guest, VMID a, S2TTB t}
 *	  vIOMMU b		VMID b
 *	    nested domain		STE {bypass, VMID b, S2TTB t}
 *
 * Invariants
 *  - An unmap in the nest parent returns when no TLB entry of any VMID above and
 *    no ATC holds the translation: neither stage 2 entries nor those that
 *    combine both stages. See __arm_smmu_nest_parent_inv_range(). If the command
 *    queue is stuck it returns after a second for each of its CMD_SYNCs, up to
 *    four, and they go later, as on every domain of the driver.
 *  - A vIOMMU's VMID has no TLB entry when it is given to another.
 *  - A stream whose STE translates stage 1 has stage 2 on: nothing that a guest
 *    writes anywhere is ever taken as a physical address.
 *  - ATS in the device and STE.EATS agree.
 *
 * Locking
 *  - arm_smmu_domain::viommus: RCU for readers, who may be in atomic context,
 *    and arm_smmu_domain::viommus_lock for writers.
 *  - attaching: the group mutex, taken by the iommu core, then
 *    arm_smmu_asid_lock as for all domains, then
 *    arm_smmu_device::streams_mutex to wait for the event thread.
 *
 * Sections of IHI 0070: 3.4, 3.17 and 4.4 for TLB entries of the two stages, 5.2
 * for the STE, 3.21.3 for updating one in use.
 */
#include <linux/bitfield.h>
#include <linux/cleanup.h>
#include <linux/iommu.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <kunit/visibility.h>
#include <uapi/linux/iommufd.h>

#include "../../iommu-pages.h"
#include "arm-smmu-v3.h"
#include "arm-smmu-v3-vevent.h"
#include "arm-smmu-v3-viommu.h"

/*
 * Nest parents
 */

/**
 * arm_smmu_nest_parent_init() - Make a new domain a nest parent
 * @smmu_domain: The domain, not finalised yet
 * @master: The device that it is allocated for
 * @flags: enum iommufd_hwpt_alloc_flags
 *
 * Return: 0, or -EOPNOTSUPP if the SMMU can't nest or @flags ask for more
 */
int arm_smmu_nest_parent_init(struct arm_smmu_domain *smmu_domain,
			      struct arm_smmu_master *master, u32 flags)
{
	if (!(master->smmu->features & ARM_SMMU_FEAT_NESTING))
		return -EOPNOTSUPP;
	/* Dirty tracking is a feature of the driver's stage 1 */
	if (flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING)
		return -EOPNOTSUPP;

	smmu_domain->stage = ARM_SMMU_DOMAIN_S2;
	smmu_domain->smmu = master->smmu;
	smmu_domain->nest_parent = true;
	INIT_LIST_HEAD(&smmu_domain->viommus);
	spin_lock_init(&smmu_domain->viommus_lock);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_nest_parent_init);

static void *arm_smmu_nest_parent_alloc_table(void *cookie, size_t size,
					      gfp_t gfp)
{
	struct arm_smmu_domain *smmu_domain = cookie;

	return iommu_alloc_pages_node(dev_to_node(smmu_domain->smmu->dev),
				      gfp | __GFP_ACCOUNT, get_order(size));
}

static void arm_smmu_nest_parent_free_table(void *cookie, void *pages,
					    size_t size)
{
	iommu_free_pages(pages, get_order(size));
}

/**
 * arm_smmu_nest_parent_tables() - Have a nest parent's tables charged to the VM
 * @smmu_domain: A stage 2 domain, not finalised yet
 * @cfg: Of its page table
 *
 * The tables that a mapping needs are charged by the caller, but the one to
 * start from, of up to 64 KiB, is not; and a VMM can have as many nest parents
 * as there are VMIDs.
 */
void arm_smmu_nest_parent_tables(struct arm_smmu_domain *smmu_domain,
				 struct io_pgtable_cfg *cfg)
{
	if (!smmu_domain->nest_parent)
		return;
	cfg->alloc = arm_smmu_nest_parent_alloc_table;
	cfg->free = arm_smmu_nest_parent_free_table;
}

/**
 * arm_smmu_nest_parent_join() - Have the nest parent know of a vIOMMU
 * @viommu: The vIOMMU, complete but for this
 *
 * To be called before an STE with the vIOMMU's VMID is written.
 *
 * Return: 0, or -ENOSPC if there are %ARM_SMMU_NEST_PARENT_VIOMMUS already
 */
int arm_smmu_nest_parent_join(struct arm_smmu_viommu *viommu)
{
	struct arm_smmu_domain *s2_parent = viommu->s2_parent;

	scoped_guard(spinlock, &s2_parent->viommus_lock) {
		if (list_count_nodes(&s2_parent->viommus) >=
		    ARM_SMMU_NEST_PARENT_VIOMMUS)
			return -ENOSPC;
		list_add_tail_rcu(&viommu->s2_elm, &s2_parent->viommus);
	}

	/* Pairs with arm_smmu_nest_parent_mb() */
	smp_mb();
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_nest_parent_join);

/**
 * arm_smmu_nest_parent_leave() - Undo arm_smmu_nest_parent_join()
 * @viommu: The vIOMMU, whose VMID no STE has any more
 *
 * Returns when no unmap looks at the vIOMMU any more. May sleep. A command with its
 * VMID can still come.
 */
void arm_smmu_nest_parent_leave(struct arm_smmu_viommu *viommu)
{
	struct arm_smmu_domain *s2_parent = viommu->s2_parent;

	spin_lock(&s2_parent->viommus_lock);
	list_del_rcu(&viommu->s2_elm);
	spin_unlock(&s2_parent->viommus_lock);
	synchronize_rcu();
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_nest_parent_leave);

/*
 * Either an unmap sees a vIOMMU that joins, or the SMMU sees the unmap when it
 * walks stage 2 on behalf of the vIOMMU:
 *
 *	unmap				IOMMU_VIOMMU_ALLOC, attach
 *	clear the PTE			list_add_tail_rcu()
 *	smp_mb()			smp_mb()
 *	read the list			write the STE
 *					(the SMMU reads STE, then PTE)
 */
static void arm_smmu_nest_parent_mb(void)
{
	/* Pairs with arm_smmu_nest_parent_join() */
	smp_mb();
}

/*
 * The queue may be stuck, and then each CMD_SYNC takes a second, and if it is full room
 * for a command takes as long as it is stuck. So nobody waits for it in an RCU read-side
 * critical section. What was read of a vIOMMU there is its VMID, which may be another's
 * by the time of the command: that one loses its TLB entries, and no more.
 */

/* No command is issued while they are being collected */
static_assert(ARM_SMMU_NEST_PARENT_VIOMMUS <= CMDQ_BATCH_ENTRIES);

/*
 * Everything of all vIOMMUs, both stages at once, with one CMD_SYNC. The commands are
 * on the stack, and should not stay there any longer.
 */
static noinline void
arm_smmu_nest_parent_inv_vmids(struct arm_smmu_domain *s2_parent)
{
	struct arm_smmu_device *smmu = s2_parent->smmu;
	struct arm_smmu_cmdq_ent cmd = {
		.opcode = CMDQ_OP_TLBI_S12_VMALL,
	};
	struct arm_smmu_cmdq_batch cmds;
	struct arm_smmu_viommu *viommu;

	arm_smmu_cmdq_batch_init(smmu, &cmds, &cmd);
	rcu_read_lock();
	list_for_each_entry_rcu(viommu, &s2_parent->viommus, s2_elm) {
		cmd.tlbi.vmid = viommu->limits.vmid;
		arm_smmu_cmdq_batch_add(smmu, &cmds, &cmd);
	}
	rcu_read_unlock();
	if (cmds.num)
		arm_smmu_cmdq_batch_submit(smmu, &cmds);
}

/* A range, and all that has stage 1, of the only vIOMMU */
static void arm_smmu_nest_parent_inv_vmid_range(struct arm_smmu_domain *s2_parent,
						u16 vmid, unsigned long iova,
						size_t size, size_t granule,
						bool leaf)
{
	struct arm_smmu_cmdq_ent s2 = {
		.opcode = CMDQ_OP_TLBI_S2_IPA,
		.tlbi = {
			.vmid = vmid,
			.leaf = leaf,
		},
	};
	struct arm_smmu_cmdq_ent s1 = {
		.opcode = CMDQ_OP_TLBI_NH_ALL,
		.tlbi.vmid = vmid,
	};

	__arm_smmu_tlb_inv_range(&s2, iova, size, granule, s2_parent);
	arm_smmu_cmdq_issue_cmd_with_sync(s2_parent->smmu, &s1);
}

/**
 * __arm_smmu_nest_parent_inv_all() - Drop everything that is based on a nest
 *                                    parent from the TLBs
 * @s2_parent: The nest parent
 *
 * With one CMD_SYNC. Its own VMID is the caller's business. Any context.
 */
void __arm_smmu_nest_parent_inv_all(struct arm_smmu_domain *s2_parent)
{
	arm_smmu_nest_parent_mb();
	arm_smmu_nest_parent_inv_vmids(s2_parent);
}
EXPORT_SYMBOL_IF_KUNIT(__arm_smmu_nest_parent_inv_all);

/**
 * __arm_smmu_nest_parent_inv_range() - Drop what is based on a range of a nest
 *                                      parent from the TLBs
 * @s2_parent: The nest parent
 * @iova: Start of the range, in bytes
 * @size: Size of the range, in bytes
 * @granule: Size of a page in the range, in bytes
 * @leaf: No table was removed
 *
 * TLBI_S2_IPA takes stage 2 entries only. An entry that combines both stages is
 * found by its input address alone, which is the guest's, so all entries with
 * stage 1 of the VMID have to go. They have to go second, with a CMD_SYNC in
 * between: a walk that is on its way with the old stage 2 entry would bring such
 * an entry back.
 *
 * That is two CMD_SYNCs, and there can be many vIOMMUs. So with more than one, which is
 * unusual, stage 2 entries of other addresses are given up too: a TLBI_S12_VMALL for
 * each takes both stages, and one CMD_SYNC is enough for all.
 *
 * The VMID of the nest parent itself is the caller's business, and so are the
 * ATCs afterwards. Any context.
 */
void __arm_smmu_nest_parent_inv_range(struct arm_smmu_domain *s2_parent,
				      unsigned long iova, size_t size,
				      size_t granule, bool leaf)
{
	struct list_head *viommus = &s2_parent->viommus;
	struct arm_smmu_viommu *viommu;
	bool several = false;
	u16 vmid = 0;

	if (!size)
		return;

	arm_smmu_nest_parent_mb();
	rcu_read_lock();
	viommu = list_first_or_null_rcu(viommus, struct arm_smmu_viommu, s2_elm);
	if (viommu) {
		vmid = viommu->limits.vmid;
		several = list_next_or_null_rcu(viommus, &viommu->s2_elm,
						struct arm_smmu_viommu, s2_elm);
	}
	rcu_read_unlock();

	if (several)
		arm_smmu_nest_parent_inv_vmids(s2_parent);
	else if (vmid)
		arm_smmu_nest_parent_inv_vmid_range(s2_parent, vmid, iova, size,
						    granule, leaf);
}
EXPORT_SYMBOL_IF_KUNIT(__arm_smmu_nest_parent_inv_range);

/**
 * arm_smmu_nested_atc_inv_to_cmd() - The ATC_INV for a device on a nested domain
 *                                    after an unmap in the nest parent
 * @cmd: Filled in but for the StreamID
 *
 * What the host unmapped is an IPA; which addresses of the device went there,
 * the guest knows. So all of the ATC, of all PASIDs.
 */
void arm_smmu_nested_atc_inv_to_cmd(struct arm_smmu_cmdq_ent *cmd)
{
	*cmd = (struct arm_smmu_cmdq_ent) {
		.opcode = CMDQ_OP_ATC_INV,
		.atc.size = ATC_INV_SIZE_ALL,
	};
}

/*
 * Nested domains
 */

/**
 * arm_smmu_nested_s2_parent() - The nest parent of a nested domain
 * @domain: A domain of type IOMMU_DOMAIN_NESTED
 *
 * Return: The nest parent
 */
struct arm_smmu_domain *arm_smmu_nested_s2_parent(struct iommu_domain *domain)
{
	return to_arm_smmu_nested_domain(domain)->viommu->s2_parent;
}

/*
 * The stage 2 STE to build on. The driver makes stage 2 faults of a device stall
 * if that device can. On behalf of a VM they are errors that no fault handler can
 * do anything about, so don't, unless the SMMU can't do without.
 */
static void arm_smmu_nested_make_s2_ste(struct arm_smmu_nested_domain *nested,
					struct arm_smmu_master *master,
					struct arm_smmu_ste *ste)
{
	arm_smmu_make_s2_domain_ste(ste, master, nested->viommu->s2_parent,
				    false);
	if (!(master->smmu->features & ARM_SMMU_FEAT_STALL_FORCE))
		ste->data[2] &= ~cpu_to_le64(STRTAB_STE_2_S2S);
}

/*
 * The position of the event that the SMMU records next, and in @read that of the
 * one that the event thread looks at next. The thread goes on meanwhile, but not
 * by half a queue.
 */
static u64 arm_smmu_nested_evt_pos(struct arm_smmu_device *smmu, u64 *read)
{
	struct arm_smmu_queue *q = &smmu->evtq.q;
	u32 prod;

	/* Everything that the CMD_SYNC before made visible */
	rmb();
	guard(preempt)();
	/* PROD first: what is read next is not older */
	prod = readl(q->prod_reg);
	/* Pairs with arm_smmu_vevent_next_owner() */
	*read = smp_load_acquire(&smmu->evts_read);
	return arm_smmu_vevent_pos(*read, prod, q->llq.max_n_shift);
}

/* From here on events of the streams are the host's */
static void arm_smmu_nested_end_era(struct arm_smmu_master *master)
{
	struct xarray *sids = &master->smmu->nested_sids;
	unsigned int i;
	u64 pos, read;

	lockdep_assert_held(&arm_smmu_asid_lock);

	pos = arm_smmu_nested_evt_pos(master->smmu, &read);
	for (i = 0; i < master->num_streams; i++) {
		u32 sid = master->streams[i].id;

		/* Takes the place of another value, so nothing is allocated */
		if (pos == read || !xa_load(sids, sid))
			xa_erase(sids, sid);
		else
			xa_store(sids, sid,
				 xa_mk_value(arm_smmu_vevent_era_end(pos)),
				 GFP_KERNEL);
	}
}

/*
 * An attach to a nested domain failed: as before arm_smmu_nested_enter(), but that the
 * host's events that are not read yet are taken for those of a former guest.
 */
static void arm_smmu_nested_cancel(struct arm_smmu_master *master)
{
	if (!master->attached || master->attached->type != IOMMU_DOMAIN_NESTED)
		arm_smmu_nested_end_era(master);
}

/*
 * From here on events of the streams are the guest's, and so are stalled
 * transactions. If the event thread has just found that one is the host's, it is
 * done with it on return.
 */
static int arm_smmu_nested_enter(struct arm_smmu_master *master)
{
	struct xarray *sids = &master->smmu->nested_sids;
	unsigned int i;
	u64 pos, read;
	int ret;

	lockdep_assert_held(&arm_smmu_asid_lock);

	if (master->attached && master->attached->type == IOMMU_DOMAIN_NESTED)
		return 0;

	pos = arm_smmu_nested_evt_pos(master->smmu, &read);
	for (i = 0; i < master->num_streams; i++) {
		u32 sid = master->streams[i].id;
		unsigned long era;

		era = arm_smmu_vevent_era_begin(pos, xa_load(sids, sid));
		ret = xa_err(xa_store(sids, sid, xa_mk_value(era), GFP_KERNEL));
		if (ret) {
			arm_smmu_nested_cancel(master);
			return ret;
		}
	}

	/* The event thread may have just read the era, see arm_smmu_report_stall() */
	mutex_lock(&master->smmu->streams_mutex);
	mutex_unlock(&master->smmu->streams_mutex);
	return 0;
}

/**
 * __arm_smmu_nested_leave() - A device went from a nested domain to another kind
 * @state: Of the attach
 */
void __arm_smmu_nested_leave(struct arm_smmu_attach_state *state)
{
	lockdep_assert_held(&arm_smmu_asid_lock);
	arm_smmu_nested_end_era(state->master);
}

/*
 * Stalled transactions of the device go to the fault queue of a domain from here
 * on. It stays like this until the IOPF feature is disabled, which is when no
 * domain with a fault queue is attached any more: a fault that is read after
 * the detach must find its way too. The caller of both, iommufd, serialises them
 * by the lock of its group.
 */
static int arm_smmu_nested_enable_iopf(struct arm_smmu_master *master)
{
	struct iopf_queue *queue = master->smmu->evtq.iopf;
	int ret;

	if (master->nested_iopf)
		return 0;
	if (!master->iopf_enabled || !queue)
		return -ENODEV;

	ret = iopf_queue_add_device(queue, master->dev);
	if (ret)
		return ret;
	master->nested_iopf = true;
	return 0;
}

/**
 * arm_smmu_nested_disable_iopf() - Called when IOMMU_DEV_FEAT_IOPF is disabled
 * @master: The device, not on a domain with a fault queue any more
 */
void arm_smmu_nested_disable_iopf(struct arm_smmu_master *master)
{
	if (!master->nested_iopf)
		return;
	iopf_queue_remove_device(master->smmu->evtq.iopf, master->dev);
	master->nested_iopf = false;
}

static int arm_smmu_attach_dev_nested(struct iommu_domain *domain,
				      struct device *dev)
{
	struct arm_smmu_nested_domain *nested =
		to_arm_smmu_nested_domain(domain);
	struct arm_smmu_viommu *viommu = nested->viommu;
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct arm_smmu_attach_state state = {
		.master = master,
		.ssid = IOMMU_NO_PASID,
	};
	struct arm_smmu_vste_host host = {
		.vmid = viommu->limits.vmid,
		.stall_model = viommu->vste_limits.stall_model,
		.stall_allowed = domain->iopf_handler && master->stall_enabled,
	};
	struct arm_smmu_ste s2_ste, target;
	u64 vsid;
	int ret;

	if (master->smmu != viommu->smmu || !arm_smmu_master_can_nest(master))
		return -EINVAL;
	if (arm_smmu_ssids_in_use(&master->cd_table))
		return -EBUSY;
	/*
	 * Stage 1 means invalidations and events, and they need the vSID. An
	 * attach that failed goes back to the domain that the group is on, and
	 * that must not fail. A device that joins a group later comes to the
	 * group's domain in the same way, and goes without: nobody but the
	 * VM's owner can have it, and its events reach nobody.
	 */
	if (arm_smmu_vste_translates(nested->vste) &&
	    domain != iommu_get_domain_for_dev(dev)) {
		ret = iommufd_viommu_get_virt_id(&viommu->core, dev, &vsid);
		if (ret)
			return ret;
	}

	if (domain->iopf_handler) {
		ret = arm_smmu_nested_enable_iopf(master);
		if (ret)
			return ret;
	}

	mutex_lock(&arm_smmu_asid_lock);
	ret = arm_smmu_nested_enter(master);
	if (ret)
		goto err_unlock;

	arm_smmu_nested_make_s2_ste(nested, master, &s2_ste);
	/* EATS with S2S is ILLEGAL */
	state.disable_ats = !arm_smmu_vste_wants_ats(nested->vste) ||
			    s2_ste.data[2] & cpu_to_le64(STRTAB_STE_2_S2S);
	ret = arm_smmu_attach_prepare(&state, domain);
	if (ret) {
		arm_smmu_nested_cancel(master);
		goto err_unlock;
	}

	host.ats_enabled = state.ats_enabled;
	arm_smmu_make_nested_ste(&target, &s2_ste, nested->vste, &host);
	arm_smmu_install_ste_for_dev(master, &target);
	/* As for any stage 2 domain: the host's CD is no longer in use */
	arm_smmu_clear_cd(master, IOMMU_NO_PASID);
	arm_smmu_attach_commit(&state);

err_unlock:
	mutex_unlock(&arm_smmu_asid_lock);
	return ret;
}

static struct iommu_domain *arm_smmu_nested_msi_domain(struct iommu_domain *domain)
{
	return &arm_smmu_nested_s2_parent(domain)->domain;
}

static void arm_smmu_domain_nested_free(struct iommu_domain *domain)
{
	kfree(to_arm_smmu_nested_domain(domain));
}

static const struct iommu_domain_ops arm_smmu_nested_ops = {
	.attach_dev = arm_smmu_attach_dev_nested,
	.msi_domain = arm_smmu_nested_msi_domain,
	.free = arm_smmu_domain_nested_free,
};

/**
 * arm_smmu_domain_alloc_nested() - iommufd_viommu_ops::domain_alloc_nested
 * @core: The vIOMMU
 * @flags: Must be 0
 * @user_data: struct iommu_hwpt_arm_smmuv3
 *
 * Return: The nested domain, or an ERR_PTR: -EOPNOTSUPP for flags, -EINVAL for
 * data of another type or size, -EIO for an STE that is not acceptable, -EFAULT,
 * -E2BIG or -ENOMEM
 */
struct iommu_domain *
arm_smmu_domain_alloc_nested(struct iommufd_viommu *core, u32 flags,
			     const struct iommu_user_data *user_data)
{
	struct arm_smmu_viommu *viommu = to_arm_smmu_viommu(core);
	struct arm_smmu_nested_domain *nested;
	struct iommu_hwpt_arm_smmuv3 arg;
	int ret;

	if (flags)
		return ERR_PTR(-EOPNOTSUPP);

	ret = iommu_copy_struct_from_user(&arg, user_data,
					  IOMMU_HWPT_DATA_ARM_SMMUV3, ste);
	if (ret)
		return ERR_PTR(ret);

	nested = kzalloc(sizeof(*nested), GFP_KERNEL_ACCOUNT);
	if (!nested)
		return ERR_PTR(-ENOMEM);

	ret = arm_smmu_vste_check(&viommu->vste_limits, arg.ste, nested->vste);
	if (ret) {
		kfree(nested);
		return ERR_PTR(ret);
	}

	nested->viommu = viommu;
	nested->domain.type = IOMMU_DOMAIN_NESTED;
	nested->domain.ops = &arm_smmu_nested_ops;
	return &nested->domain;
}

/*
 * STE updates
 */

/* EATS and MEV may change at any time: see arm_smmu_ste_step_early() */
#define STE_1_EARLY	(STRTAB_STE_1_EATS | STRTAB_STE_1_MEV)

static bool arm_smmu_ste_config_has(const struct arm_smmu_ste *ste, u64 bit)
{
	u64 w0 = le64_to_cpu(ste->data[0]);

	return (w0 & STRTAB_STE_0_V) &&
	       (FIELD_GET(STRTAB_STE_0_CFG, w0) & (BIT(2) | bit)) ==
		       (BIT(2) | bit);
}

static bool arm_smmu_ste_has_s1(const struct arm_smmu_ste *ste)
{
	return arm_smmu_ste_config_has(ste, BIT(0));
}

static bool arm_smmu_ste_has_s2(const struct arm_smmu_ste *ste)
{
	return arm_smmu_ste_config_has(ste, BIT(1));
}

static bool arm_smmu_ste_translates(const struct arm_smmu_ste *ste)
{
	return arm_smmu_ste_has_s1(ste) || arm_smmu_ste_has_s2(ste);
}

static void arm_smmu_ste_drop_unused(struct arm_smmu_ste *ste)
{
	struct arm_smmu_ste used = {};
	unsigned int i;

	arm_smmu_get_ste_used(ste->data, used.data);
	for (i = 0; i < ARRAY_SIZE(ste->data); i++)
		ste->data[i] &= used.data[i];
}

/*
 * Neither EATS nor MEV changes what a transaction does that is not ATS: EATS
 * changes only while ATS is off in the device (arm_smmu_attach_prepare()), and
 * MEV is about the events of faults. So they can change ahead of the rest.
 */
static bool arm_smmu_ste_step_early(struct arm_smmu_ste *step,
				    const struct arm_smmu_ste *target)
{
	__le64 mask = cpu_to_le64(STE_1_EARLY);

	if (!arm_smmu_ste_translates(step) || !arm_smmu_ste_translates(target))
		return false;
	if (!((step->data[1] ^ target->data[1]) & mask))
		return false;
	step->data[1] = (step->data[1] & ~mask) | (target->data[1] & mask);
	return true;
}

static bool arm_smmu_ste_same_s2(const struct arm_smmu_ste *a,
				 const struct arm_smmu_ste *b)
{
	return arm_smmu_ste_has_s2(a) && arm_smmu_ste_has_s2(b) &&
	       a->data[3] == b->data[3] &&
	       !((a->data[2] ^ b->data[2]) & ~cpu_to_le64(STRTAB_STE_2_S2VMID));
}

/*
 * Between the nest parent and stage 1 on top of it two words change: Config with
 * the stage 1 pointer, and the VMID. Stage 2 alone under the vIOMMU's VMID is a
 * valid configuration between the two (it is what bypass is), and stage 1 never
 * runs under the VMID of the parent. A stream that translates stage 1 under two
 * VMIDs, one after the other, is none of this.
 */
static bool arm_smmu_ste_step_vmid(struct arm_smmu_ste *step,
				   const struct arm_smmu_ste *target)
{
	if (!arm_smmu_ste_same_s2(step, target) ||
	    step->data[2] == target->data[2])
		return false;

	if (!arm_smmu_ste_has_s1(step) && arm_smmu_ste_has_s1(target)) {
		step->data[2] = target->data[2];
		return true;
	}
	if (arm_smmu_ste_has_s1(step) && !arm_smmu_ste_has_s1(target)) {
		step->data[0] = target->data[0];
		return true;
	}
	return false;
}

/**
 * arm_smmu_write_ste_entry() - Update an STE that the SMMU may be using
 * @writer: As for arm_smmu_write_entry()
 * @ste: The STE in the stream table
 * @target: What it is to become
 *
 * arm_smmu_write_entry() is hitless if just one word changes of those bits that
 * are in use, and makes the stream fault for a moment otherwise. Where valid
 * configurations lead to @target one word at a time, take that way.
 */
void arm_smmu_write_ste_entry(struct arm_smmu_entry_writer *writer,
			      struct arm_smmu_ste *ste,
			      const struct arm_smmu_ste *target)
{
	struct arm_smmu_ste step = *ste;

	if (arm_smmu_ste_step_early(&step, target)) {
		arm_smmu_ste_drop_unused(&step);
		arm_smmu_write_entry(writer, ste->data, step.data);
	}

	step = *ste;
	if (arm_smmu_ste_step_vmid(&step, target)) {
		arm_smmu_ste_drop_unused(&step);
		arm_smmu_write_entry(writer, ste->data, step.data);
	}

	arm_smmu_write_entry(writer, ste->data, target->data);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_write_ste_entry);
