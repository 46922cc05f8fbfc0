// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm SMMUv3: stalled transactions of devices on nested domains
 *
 * A transaction that faults may wait in the SMMU, its record in the event queue
 * with Stall set, until a CMD_RESUME retries or terminates it. For the host's
 * domains the page fault code of the IOMMU core finds who handles the fault. On
 * a nested domain
 *
 *  - a stage 1 fault goes to the fault queue of the domain, if it has one, and
 *    the VMM answers it;
 *  - without a fault queue the transaction is terminated at once with an abort,
 *    and the guest is told by an event, as if it had never stalled. S1STALLD
 *    prevents that where it can be set: this is for an SMMU that knows nothing
 *    but stalls (IDR0.STALL_MODEL 0b10);
 *  - a stage 2 fault, which only such an SMMU stalls, is terminated and left to
 *    the host's log as all stage 2 events: no answer of a guest could mend it.
 *
 * Invariant: each stalled transaction gets exactly one CMD_RESUME. A fault that
 * was queued and not answered by the time its domain is detached or replaced, or
 * the fault queue's file closed, is answered with an abort by iommufd. One that
 * is still in the event queue at that time must not reach another VM's fault
 * queue: it is of a former owner of the stream, be that a VM or the host, and
 * terminated. So is one of a device that is gone.
 *
 * Locking. arm_smmu_device::streams_mutex is held from the decision until the
 * fault is in its queue. A detach first changes the era of the stream and then
 * takes that mutex, in arm_smmu_fault_sync(). So either the fault is in the queue
 * when iommufd empties that, or the decision sees the era. An attach changes the
 * era, takes that mutex, and only then does the IOMMU core get to know the fault
 * queue: iommu_{attach,replace}_group_handle() enter the handle last. So who decided
 * before finds no fault queue of the guest.
 *
 * Sections 3.12, 4.7.1 and 7.3 of IHI 0070.
 */
#include <linux/bitfield.h>
#include <linux/iommu.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-vevent.h"
#include "arm-smmu-v3-viommu.h"

/**
 * arm_smmu_vstall_abort() - Terminate a stalled transaction
 * @smmu: The SMMU
 * @evt: Its record, CPU-endian
 *
 * By the StreamID of the record: a device may have several, or be gone by now.
 * CMD_RESUME asks for no CMD_SYNC, which does not hurt either.
 */
void arm_smmu_vstall_abort(struct arm_smmu_device *smmu, const u64 *evt)
{
	struct arm_smmu_cmdq_ent cmd = {
		.opcode = CMDQ_OP_RESUME,
		.resume = {
			.sid = FIELD_GET(EVTQ_0_SID, evt[0]),
			.stag = FIELD_GET(EVTQ_1_STAG, evt[1]),
			.resp = CMDQ_RESUME_0_RESP_ABORT,
		},
	};

	arm_smmu_cmdq_issue_cmd_with_sync(smmu, &cmd);
}

/**
 * arm_smmu_report_stall() - Find who answers a stalled transaction
 * @master: The device
 * @evt: The record, CPU-endian, that arm_smmu_vevent_report() saw last
 * @fault: The same for the page fault code
 *
 * Called by the event queue's thread. When it returns the transaction is answered
 * or in a fault queue.
 *
 * Return: 0, or what makes the host print the event
 */
int arm_smmu_report_stall(struct arm_smmu_master *master, const u64 *evt,
			  struct iopf_fault *fault)
{
	struct arm_smmu_device *smmu = master->smmu;
	u32 sid = FIELD_GET(EVTQ_0_SID, evt[0]);

	lockdep_assert_held(&smmu->streams_mutex);

	if (smmu->evt_owner == ARM_SMMU_VEVENT_HOST) {
		if (arm_smmu_vevent_now_guests(smmu, sid)) {
			arm_smmu_vstall_abort(smmu, evt);
			return 0;
		}
		if (rcu_access_pointer(master->dev->iommu->fault_param))
			return iommu_report_device_fault(master->dev, fault);
		/*
		 * Only SVA and a nested domain have the device's page faults taken. A
		 * user can give any other HWPT a fault queue, and then the core warns
		 * of each fault, with a backtrace.
		 */
		arm_smmu_vstall_abort(smmu, evt);
		return -EOPNOTSUPP;
	}

	if (evt[1] & EVTQ_1_S2) {
		arm_smmu_vstall_abort(smmu, evt);
		return -EOPNOTSUPP;
	}

	/* Looks again, as the stream may have changed hands since */
	if (!arm_smmu_vevent_still_guests(smmu, sid)) {
		arm_smmu_vstall_abort(smmu, evt);
		return 0;
	}

	/* This fails without a fault queue, after it has answered with an abort */
	if (!master->stall_enabled)
		arm_smmu_vstall_abort(smmu, evt);
	else if (!iommu_report_device_fault(master->dev, fault))
		return 0;
	arm_smmu_vevent_forward(smmu, evt);
	return 0;
}

/**
 * arm_smmu_fault_sync() - iommu_ops::fault_sync
 * @dev: A device whose fault queue is not found any more
 *
 * Waits for the event thread, which may have found it just before.
 */
void arm_smmu_fault_sync(struct device *dev)
{
	struct arm_smmu_master *master = dev_iommu_priv_get(dev);

	mutex_lock(&master->smmu->streams_mutex);
	mutex_unlock(&master->smmu->streams_mutex);
}
