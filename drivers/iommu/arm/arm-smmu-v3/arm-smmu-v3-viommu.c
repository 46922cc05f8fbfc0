// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm SMMUv3: the vIOMMU and its devices
 *
 * A vIOMMU is the slice of one SMMU that one VM drives: a nest parent (stage 2,
 * the host's), a VMID and the devices that the guest knows by a vSID. A vDEVICE
 * ties a vSID to the StreamID of a device.
 *
 *	vSID   guest's commands	-> iommufd_viommu::vdevs     -> StreamID
 *	StreamID  SMMU's events	-> arm_smmu_device::vdevs    -> vSID
 *
 * Two indices by StreamID serve the event path, which must not wait for anything:
 *
 *  - arm_smmu_device::vdevs, the vDEVICE. Readers use RCU; an entry is there from
 *    the end of vdevice_init() to vdevice_unpublish(), and the vDEVICE lives on
 *    for a grace period.
 *  - arm_smmu_device::nested_sids, the era of a stream that is on a nested domain
 *    of whatever kind, or was. Changed by attaching, under arm_smmu_asid_lock;
 *    an era that is over is forgotten by the event thread.
 *
 * An event is the guest's if the stream was on a nested domain when the SMMU
 * recorded it, or was about to be, if it is about stage 1, and if nobody waits for
 * an answer to it.
 * Then the host has nothing to say about it, even if there is no vDEVICE or
 * vEVENTQ to take it: a guest could fill the host's log otherwise.
 *
 * The thread may read an event long after it was recorded, when the stream has
 * gone back to the host or on to another VM. Records are in order, and when the
 * CMD_SYNC that ends a change of an STE is complete, all events of the old STE are
 * in the queue and no other will follow (IHI 0070, 4.7.3). So the number of
 * records in the queue by then tells one era from the next: see
 * arm_smmu_vevent_owner().
 *
 * What a guest says is only ever checked against what the SMMU says of itself in
 * its ID registers, IHI 0070 section 6.3.
 */
#include <linux/bitfield.h>
#include <linux/io.h>
#include <linux/io-pgtable.h>
#include <linux/iommu.h>
#include <linux/iommufd_viommu.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <uapi/linux/iommufd.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-trace.h"
#include "arm-smmu-v3-vevent.h"
#include "arm-smmu-v3-viommu.h"

#define ARM_SMMU_IDR(n)		(4 * (n))
#define ARM_SMMU_AIDR		0x1c

/* How long to wait for a stuck queue, and how often: arm_smmu_viommu_free_vmid() */
#define ARM_SMMU_VMID_WAIT_US	(100 * USEC_PER_SEC)
#define ARM_SMMU_VMID_WAITS	3

static u32 arm_smmu_read_idr(struct arm_smmu_device *smmu, unsigned int n)
{
	return readl_relaxed(smmu->base + ARM_SMMU_IDR(n));
}

/**
 * arm_smmu_hw_info() - iommu_ops::hw_info
 * @dev: A device behind the SMMU
 * @length: Set to the size of the result in bytes
 * @type: Set to IOMMU_HW_INFO_TYPE_ARM_SMMUV3
 *
 * Return: struct iommu_hw_info_arm_smmuv3, to be freed with kfree(), or
 * ERR_PTR(-ENOMEM)
 */
void *arm_smmu_hw_info(struct device *dev, u32 *length, u32 *type)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct iommu_hw_info_arm_smmuv3 *info;
	unsigned int i;

	info = kzalloc(sizeof(*info), GFP_KERNEL);
	if (!info)
		return ERR_PTR(-ENOMEM);

	for (i = 0; i < ARRAY_SIZE(info->idr); i++)
		info->idr[i] = arm_smmu_read_idr(master->smmu, i);
	info->iidr = readl_relaxed(master->smmu->base + ARM_SMMU_IIDR);
	info->aidr = readl_relaxed(master->smmu->base + ARM_SMMU_AIDR);

	*length = sizeof(*info);
	*type = IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
	return info;
}

/**
 * arm_smmu_master_can_nest() - May a guest own stage 1 of this device?
 * @master: The device
 *
 * Stage 1 sets the cacheability of the device's accesses. With it a guest could
 * have the device read and write around the caches, and find there what memory
 * held before the host cleared it for the guest. Either stage 2 overrides what
 * stage 1 says, which all nest parents of an SMMU with S2FWB do, or the root
 * complex keeps all accesses coherent (CANWBS).
 *
 * Return: true if the host stays safe
 */
bool arm_smmu_master_can_nest(struct arm_smmu_master *master)
{
	struct iommu_fwspec *fwspec = dev_iommu_fwspec_get(master->dev);

	if (master->smmu->features & ARM_SMMU_FEAT_S2FWB)
		return true;
	return fwspec && (fwspec->flags & IOMMU_FWSPEC_PCI_RC_CANWBS);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_master_can_nest);

static int arm_smmu_viommu_init(struct iommufd_viommu *core,
				const struct iommu_user_data *user_data)
{
	struct arm_smmu_viommu *viommu = to_arm_smmu_viommu(core);
	struct arm_smmu_device *smmu =
		container_of(core->iommu_dev, struct arm_smmu_device, iommu);
	struct arm_smmu_domain *s2_parent;
	u32 idr0 = arm_smmu_read_idr(smmu, 0);
	u32 idr1 = arm_smmu_read_idr(smmu, 1);
	const struct io_pgtable_cfg *pgtbl_cfg;
	int vmid, ret;

	/* No data is defined */
	if (user_data)
		return -EOPNOTSUPP;
	if (core->parent->owner != core->iommu_dev->ops)
		return -EINVAL;
	s2_parent = to_smmu_domain(core->parent);
	if (!s2_parent->nest_parent || s2_parent->smmu != smmu)
		return -EINVAL;

	vmid = ida_alloc_range(&smmu->vmid_map, 1, (1 << smmu->vmid_bits) - 1,
			       GFP_KERNEL);
	if (vmid < 0)
		return vmid;

	pgtbl_cfg = &io_pgtable_ops_to_pgtable(s2_parent->pgtbl_ops)->cfg;
	arm_smmu_vcmd_limits_init(&viommu->limits, idr0, idr1,
				  arm_smmu_read_idr(smmu, 3),
				  arm_smmu_read_idr(smmu, 5), vmid);
	arm_smmu_vste_limits_init(&viommu->vste_limits, idr0, idr1,
				  pgtbl_cfg->ias);
	viommu->smmu = smmu;
	viommu->s2_parent = s2_parent;
	ret = arm_smmu_nest_parent_join(viommu);
	if (ret)
		ida_free(&smmu->vmid_map, vmid);
	return ret;
}

/*
 * The next owner of the VMID must not find a TLB entry of this one's. A device that
 * does not answer an ATC_INV keeps the SMMU from executing what comes behind it, for
 * a minute and a half at most: wait for that, killed or not, as the VMID is the
 * SMMU's and not the caller's. If the TLBI is not executed even then nobody gets the
 * VMID any more.
 */
static void arm_smmu_viommu_free_vmid(struct arm_smmu_device *smmu, u16 vmid)
{
	struct arm_smmu_cmdq_ent cmd = {
		.opcode = CMDQ_OP_TLBI_S12_VMALL,
		.tlbi.vmid = vmid,
	};
	unsigned int waits = ARM_SMMU_VMID_WAITS;
	int ret;

	ret = arm_smmu_cmdq_issue_cmd_with_sync(smmu, &cmd);
	while (ret && waits-- &&
	       arm_smmu_cmdq_await_consumed(smmu, ARM_SMMU_VMID_WAIT_US))
		ret = arm_smmu_cmdq_issue_cmd_with_sync(smmu, &cmd);

	if (!ret)
		ida_free(&smmu->vmid_map, vmid);
	else
		dev_warn_ratelimited(smmu->dev,
				     "VMID %u can't be invalidated, and won't be used again\n",
				     vmid);
}

static void arm_smmu_viommu_destroy(struct iommufd_viommu *core)
{
	struct arm_smmu_viommu *viommu = to_arm_smmu_viommu(core);

	arm_smmu_nest_parent_leave(viommu);
	arm_smmu_viommu_free_vmid(viommu->smmu, viommu->limits.vmid);
}

static int arm_smmu_vdevice_init(struct iommufd_vdevice *core)
{
	struct arm_smmu_viommu *viommu = to_arm_smmu_viommu(core->viommu);
	struct arm_smmu_vdevice *vdev = to_arm_smmu_vdevice(core);
	struct arm_smmu_master *master = dev_iommu_priv_get(core->dev);

	if (core->virt_id > U32_MAX)
		return -EINVAL;
	if (master->smmu != viommu->smmu)
		return -EINVAL;
	if (!arm_smmu_master_can_nest(master))
		return -EOPNOTSUPP;
	/*
	 * A vSID stands for one stream: one guest command for several would
	 * take several host commands, and their number is the guest's choice.
	 */
	if (master->num_streams != 1)
		return -EOPNOTSUPP;

	vdev->master = master;
	vdev->sid = master->streams[0].id;
	return xa_insert(&viommu->smmu->vdevs, vdev->sid, vdev, GFP_KERNEL);
}

static void arm_smmu_vdevice_unpublish(struct iommufd_vdevice *core)
{
	struct arm_smmu_viommu *viommu = to_arm_smmu_viommu(core->viommu);

	xa_erase(&viommu->smmu->vdevs, to_arm_smmu_vdevice(core)->sid);
}

static const struct iommufd_veventq_desc arm_smmu_veventqs[] = {
	{
		.type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
		.record_len = sizeof(struct iommu_vevent_arm_smmuv3),
	},
};

static const struct iommufd_viommu_ops arm_smmu_viommu_smmuv3_ops = {
	.viommu_size = sizeof(struct arm_smmu_viommu),
	.vdevice_size = sizeof(struct arm_smmu_vdevice),
	.veventqs = arm_smmu_veventqs,
	.num_veventqs = ARRAY_SIZE(arm_smmu_veventqs),
	.viommu_init = arm_smmu_viommu_init,
	.viommu_destroy = arm_smmu_viommu_destroy,
	.domain_alloc_nested = arm_smmu_domain_alloc_nested,
	.cache_invalidate_user = arm_smmu_viommu_cache_invalidate,
	.vdevice_init = arm_smmu_vdevice_init,
	.vdevice_unpublish = arm_smmu_vdevice_unpublish,
};

/**
 * arm_smmu_viommu_ops() - iommu_ops::viommu_ops
 * @dev: A device behind the SMMU
 * @type: enum iommu_viommu_type
 *
 * Return: What the vIOMMU of @type is made of, NULL if it can't be had here
 */
const struct iommufd_viommu_ops *arm_smmu_viommu_ops(struct device *dev,
						     unsigned int type)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);
	struct arm_smmu_device *smmu = master->smmu;

	if (type != IOMMU_VIOMMU_TYPE_ARM_SMMUV3)
		return NULL;
	if (!(smmu->features & ARM_SMMU_FEAT_NESTING))
		return NULL;
	/* Errata that a guest's commands would have to work around */
	if (smmu->options & ARM_SMMU_OPT_CMDQ_FORCE_SYNC)
		return NULL;
	if (!arm_smmu_master_can_nest(master))
		return NULL;
	return &arm_smmu_viommu_smmuv3_ops;
}

static int arm_smmu_vevent_queue(struct arm_smmu_vdevice *vdev, const u64 *evt)
{
	struct iommu_vevent_arm_smmuv3 vevent;

	if (!arm_smmu_vevent_make(evt, vdev->core.virt_id, vevent.evt))
		return -EINVAL;
	return iommufd_viommu_report_event(vdev->core.viommu,
					   IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
					   &vevent, sizeof(vevent));
}

/* Whose stream was it when the SMMU recorded the event that is read next? */
static enum arm_smmu_vevent_owner
arm_smmu_vevent_next_owner(struct arm_smmu_device *smmu, u32 sid)
{
	u64 pos = smmu->evts_read;
	void *entry = xa_load(&smmu->nested_sids, sid);
	unsigned long era = entry ? xa_to_value(entry) : 0;

	/* Pairs with arm_smmu_nested_evt_pos(): an era is read before it ends */
	smp_store_release(&smmu->evts_read, pos + 1);

	if (arm_smmu_vevent_era_over(era, pos))
		xa_cmpxchg(&smmu->nested_sids, sid, entry, NULL, 0);
	smmu->evt_owner = arm_smmu_vevent_owner(era, pos);
	return smmu->evt_owner;
}

/**
 * arm_smmu_vevent_still_guests() - Is the stream still with the guest that it was
 *                                  with when the SMMU recorded an event?
 * @smmu: The SMMU
 * @sid: StreamID of the event that arm_smmu_vevent_report() saw last
 *
 * Called by the event queue's thread.
 *
 * Return: false if the stream has changed hands, to the host or to whomever
 */
bool arm_smmu_vevent_still_guests(struct arm_smmu_device *smmu, u32 sid)
{
	void *entry = xa_load(&smmu->nested_sids, sid);

	return smmu->evt_owner == ARM_SMMU_VEVENT_GUEST && entry &&
	       arm_smmu_vevent_owner(xa_to_value(entry), smmu->evts_read - 1) ==
		       ARM_SMMU_VEVENT_GUEST;
}

/**
 * arm_smmu_vevent_now_guests() - Is the stream with a guest now?
 * @smmu: The SMMU
 * @sid: StreamID
 *
 * Return: true if an event that the SMMU records from now on is a guest's
 */
bool arm_smmu_vevent_now_guests(struct arm_smmu_device *smmu, u32 sid)
{
	void *entry = xa_load(&smmu->nested_sids, sid);

	return entry && arm_smmu_vevent_owner(xa_to_value(entry), U64_MAX) ==
				ARM_SMMU_VEVENT_GUEST;
}

/**
 * arm_smmu_vevent_forward() - Tell the guest of the event that was read last
 * @smmu: The SMMU that recorded it
 * @evt: The record, CPU-endian, of which arm_smmu_vevent_is_guests() is true
 *
 * Called by the event queue's thread. Does not sleep, allocate or wait.
 */
void arm_smmu_vevent_forward(struct arm_smmu_device *smmu, const u64 *evt)
{
	u32 sid = FIELD_GET(EVTQ_0_SID, evt[0]);
	struct arm_smmu_vdevice *vdev;
	int ret = -ENOENT;
	u32 vsid = 0;

	if (smmu->evt_owner == ARM_SMMU_VEVENT_GUEST) {
		rcu_read_lock();
		vdev = xa_load(&smmu->vdevs, sid);
		/*
		 * Since the owner was looked up the stream may have gone on to
		 * another VM, and this be its vDEVICE. Who sees that sees that
		 * the era of the event is over.
		 */
		smp_rmb();
		if (vdev && arm_smmu_vevent_still_guests(smmu, sid)) {
			vsid = vdev->core.virt_id;
			ret = arm_smmu_vevent_queue(vdev, evt);
		}
		rcu_read_unlock();
	}

	trace_arm_smmu_vevent(smmu->dev, sid, vsid, FIELD_GET(EVTQ_0_ID, evt[0]),
			      ret);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vevent_forward);

/**
 * arm_smmu_vevent_overflow() - The SMMU has lost events of whatever stream
 * @smmu: The SMMU
 *
 * Tells each guest that one may have been its. Called by the event queue's thread,
 * when it has read what was in the queue. Does not sleep, allocate or wait.
 */
void arm_smmu_vevent_overflow(struct arm_smmu_device *smmu)
{
	struct arm_smmu_viommu *viommu;
	struct arm_smmu_vdevice *vdev;
	unsigned long sid;

	smmu->evtq_overflows++;
	rcu_read_lock();
	xa_for_each(&smmu->vdevs, sid, vdev) {
		viommu = to_arm_smmu_viommu(vdev->core.viommu);
		/* Once, however many devices it has */
		if (viommu->evtq_overflows == smmu->evtq_overflows)
			continue;
		viommu->evtq_overflows = smmu->evtq_overflows;
		iommufd_viommu_report_loss(&viommu->core,
					   IOMMU_VEVENTQ_TYPE_ARM_SMMUV3);
	}
	rcu_read_unlock();
}

/**
 * arm_smmu_vevent_report() - Give an event to the guest that it belongs to
 * @smmu: The SMMU that recorded it
 * @evt: The record, CPU-endian
 *
 * Called by the event queue's thread, once for each record, in their order. Does
 * not sleep, allocate or wait.
 *
 * Return: true if the event is a guest's, reported or not; false if it is left
 * to the host
 */
bool arm_smmu_vevent_report(struct arm_smmu_device *smmu, const u64 *evt)
{
	u32 sid = FIELD_GET(EVTQ_0_SID, evt[0]);

	KUNIT_STATIC_STUB_REDIRECT(arm_smmu_vevent_report, smmu, evt);

	if (arm_smmu_vevent_next_owner(smmu, sid) == ARM_SMMU_VEVENT_HOST)
		return false;
	if (!arm_smmu_vevent_is_guests(evt))
		return false;
	/* The transaction waits, see arm_smmu_report_stall() */
	if (arm_smmu_vevent_is_stall(evt))
		return false;

	arm_smmu_vevent_forward(smmu, evt);
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vevent_report);

MODULE_IMPORT_NS(IOMMUFD);
