// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm SMMUv3: a guest's array of invalidation commands, from check to report
 *
 * The array may have any length. It goes through a buffer of fixed size block
 * by block: copy a block from user memory, check its commands in place, issue
 * them as reported batches. Each entry is read once.
 *
 * Vocabulary. An entry is checked, then issued; it is executed when the SMMU
 * has consumed it and synchronised when a CMD_SYNC after it has completed.
 *
 * Invariant: on return entry_num is the number of entries that are executed
 * and synchronised, from entry 0 on without a gap, and nothing else of the array
 * is executed but what the SMMU took in the same batch after a command that it
 * refused.
 *
 * Blocks are issued without a CMD_SYNC; one at the end of the array covers them
 * all. ATC_INV is the exception. It must not start before the TLBIs and CFGIs
 * in front of it are complete, or the device might fetch the stale translation
 * again (IHI 0070, section 3.9.1). And when it times out that shows at the next
 * CMD_SYNC on the queue, without naming it. So a run of ATC_INVs, of a limited
 * length, is a batch of its own between two CMD_SYNCs: the first completes what is
 * pending, and takes the blame for ATC_INVs of others.
 *
 * A vSID is looked up in the RCU read-side critical section in which the command
 * is executed: a vDEVICE that goes away waits for it, so no command addresses a
 * StreamID after its vDEVICE is gone. But for what a batch that timed out leaves in
 * the queue, which invalidates more than it had to.
 */

#include <linux/cleanup.h>
#include <linux/iommufd.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <uapi/linux/iommufd.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-trace.h"
#include "arm-smmu-v3-viommu.h"

/* A guest's command is a command */
static_assert(sizeof(struct iommu_viommu_arm_smmuv3_invalidate) ==
	      1 << CMDQ_ENT_SZ_SHIFT);

/* Commands in the buffer on the stack, enough for most arrays */
#define ARM_SMMU_VINV_SMALL		64

/*
 * Commands in the buffer of longer arrays. Interrupts are off and others wait
 * for as long as the SMMU takes for a block.
 */
#define ARM_SMMU_VINV_LARGE		512

/*
 * Commands in a batch of ATC_INVs, which have a second to complete: so few that
 * a device may take its time for each.
 */
#define ARM_SMMU_VINV_ATC		32

/*
 * struct arm_smmu_vinv - State of an array on its way
 * @viommu: Whose guest it is from
 * @report: For the caller
 * @cmds: The block: the guest's commands, the host's after the check
 * @done: Number of entries executed and synchronised
 * @issued: Number of entries executed
 * @stuck: The queue does not move on: no use to synchronise anything
 */
struct arm_smmu_vinv {
	struct arm_smmu_viommu *viommu;
	struct iommufd_invalidate_report *report;
	u64 *cmds;
	u32 done;
	u32 issued;
	bool stuck;
};

/* The array ends with @err */
static noinline int arm_smmu_vinv_error(struct arm_smmu_vinv *vinv, int err,
					bool hw, u32 code, u32 index)
{
	vinv->report->flags = IOMMU_HWPT_INVALIDATE_REPORT_VALID;
	if (hw)
		vinv->report->flags |= IOMMU_HWPT_INVALIDATE_REPORT_HW;
	vinv->report->error_code = code;
	vinv->report->error_index = index;
	return err;
}

/*
 * Whether ATS is enabled at the moment does not matter: a guest invalidates a
 * device's ATC when it has just switched ATS off, and the device answers
 * Unsupported Request, which is no error to the SMMU.
 */
VISIBLE_IF_KUNIT bool arm_smmu_vinv_has_ats(struct arm_smmu_master *master)
{
	KUNIT_STATIC_STUB_REDIRECT(arm_smmu_vinv_has_ats, master);

	return arm_smmu_ats_supported(master);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vinv_has_ats);

/*
 * struct arm_smmu_vinv_streams - The vSIDs of a run of commands
 * @viommu: Whose they are
 * @found: There was one
 * @vsid: The last one
 * @target: What it stands for, until the end of the RCU read-side critical
 *          section
 */
struct arm_smmu_vinv_streams {
	struct arm_smmu_viommu *viommu;
	bool found;
	u32 vsid;
	struct arm_smmu_vcmd_target target;
};

static bool arm_smmu_vinv_lookup(void *ctx, u32 vsid,
				 struct arm_smmu_vcmd_target *target)
{
	struct arm_smmu_vinv_streams *streams = ctx;
	struct iommufd_vdevice *core;
	struct arm_smmu_vdevice *vdev;

	/* Most often it is the same again */
	if (!streams->found || streams->vsid != vsid) {
		core = iommufd_viommu_find_vdev(&streams->viommu->core, vsid);
		if (!core)
			return false;

		vdev = to_arm_smmu_vdevice(core);
		streams->found = true;
		streams->vsid = vsid;
		streams->target.sid = vdev->sid;
		streams->target.ats = arm_smmu_vinv_has_ats(vdev->master);
		streams->target.pasid = vdev->master->ssid_bits;
	}

	*target = streams->target;
	return true;
}

/*
 * Issue @n commands as one batch; they are entry @vinv->issued and following.
 * Returns 0 or what the array ends with; @vinv and the report are up to date.
 */
static int arm_smmu_vinv_batch(struct arm_smmu_vinv *vinv, u64 *cmds, u32 n,
			       enum arm_smmu_cmdq_syncs syncs)
{
	struct arm_smmu_cmdq_report report;
	u32 first = vinv->issued;
	u32 index;
	int ret;

	arm_smmu_cmdq_inject(cmds, n, first);
	ret = arm_smmu_cmdq_issue_reported(vinv->viommu->smmu, cmds, n, syncs,
					   &report);
	if (likely(!ret)) {
		vinv->issued += n;
		if (syncs != ARM_SMMU_CMDQ_SYNC_NONE)
			vinv->done = vinv->issued;
		return 0;
	}

	index = first;
	if (report.issued)
		index += report.offset;
	/* About a CMD_SYNC, or about what was there before: the last entry issued */
	if (index && (!report.issued || report.offset >= n))
		index--;

	if (report.fenced)
		vinv->done = vinv->issued;
	/* Which of the ATC_INVs are not complete nobody knows */
	if (report.code != IOMMU_ARM_SMMUV3_CERROR_ATC_INV_SYNC)
		vinv->issued += report.consumed;
	if (report.synced)
		vinv->done = vinv->issued;
	/* A CMD_SYNC that failed, for good, won't succeed the next time */
	vinv->stuck = report.stuck ||
		      (syncs != ARM_SMMU_CMDQ_SYNC_NONE && !report.synced);
	return arm_smmu_vinv_error(vinv, ret, report.code, report.code, index);
}

static bool arm_smmu_vinv_is_atc(const u64 *cmd)
{
	return FIELD_GET(CMDQ_0_OP, cmd[0]) == CMDQ_OP_ATC_INV;
}

/* How many of the @n commands at @cmds are a run of ATC_INVs, or have none of them */
static u32 arm_smmu_vinv_run_len(const u64 *cmds, u32 n, bool atc)
{
	u32 i;

	if (atc)
		n = min(n, ARM_SMMU_VINV_ATC);
	for (i = 1; i < n; i++)
		if (arm_smmu_vinv_is_atc(&cmds[i * CMDQ_ENT_DWORDS]) != atc)
			break;
	return i;
}

/*
 * Check and execute @n entries, which are all ATC_INV (@atc) or none of them.
 * With @sync what is executed is synchronised.
 */
static __always_inline int arm_smmu_vinv_run(struct arm_smmu_vinv *vinv,
					     u64 *cmds, u32 n, bool atc,
					     bool sync)
{
	struct arm_smmu_vinv_streams streams = { .viommu = vinv->viommu };
	u32 good;
	int ret;

	if (unlikely(READ_ONCE(vinv->viommu->smmu->cmdq_errors.num_abandoned)))
		arm_smmu_cmdq_await_abandoned(vinv->viommu->smmu);

	guard(rcu)();

	good = arm_smmu_vcmd_check_array(&vinv->viommu->limits,
					 arm_smmu_vinv_lookup, &streams, cmds,
					 n);
	if (good) {
		enum arm_smmu_cmdq_syncs syncs = ARM_SMMU_CMDQ_SYNC_NONE;

		if (atc)
			syncs = ARM_SMMU_CMDQ_SYNC_AROUND;
		else if (sync || good < n)
			syncs = ARM_SMMU_CMDQ_SYNC_AFTER;
		ret = arm_smmu_vinv_batch(vinv, cmds, good, syncs);
		if (ret)
			return ret;
	}

	if (good < n)
		return arm_smmu_vinv_error(vinv, -EIO, false,
					   IOMMU_ARM_SMMUV3_CERROR_ILL,
					   vinv->issued);
	return 0;
}

/*
 * Check and execute the @n entries of the block run by run. A device can take its
 * time to answer an ATC_INV, so others get a chance after each run of them.
 */
static noinline int arm_smmu_vinv_runs(struct arm_smmu_vinv *vinv, u32 n,
				       bool last)
{
	u64 *cmds = vinv->cmds;
	u32 run;
	int ret;

	for (; n; n -= run, cmds += run * CMDQ_ENT_DWORDS) {
		bool atc = arm_smmu_vinv_is_atc(cmds);

		run = arm_smmu_vinv_run_len(cmds, n, atc);
		ret = arm_smmu_vinv_run(vinv, cmds, run, atc, run == n && last);
		if (ret)
			return ret;

		if (atc && run < n) {
			cond_resched();
			if (fatal_signal_pending(current))
				return arm_smmu_vinv_error(vinv, -EINTR, false,
							   0, vinv->issued);
		}
	}
	return 0;
}

/*
 * Check and execute the @n entries of the block. @last: no others follow, so
 * what is executed gets synchronised.
 */
static int arm_smmu_vinv_block(struct arm_smmu_vinv *vinv, u32 n, bool last)
{
	u32 i;

	if (!IS_ENABLED(CONFIG_CPU_LITTLE_ENDIAN)) {
		for (i = 0; i < n * CMDQ_ENT_DWORDS; i++)
			le64_to_cpus(&vinv->cmds[i]);
	}

	/* Without ATS no ATC_INV passes the check */
	if (!vinv->viommu->limits.ats)
		return arm_smmu_vinv_run(vinv, vinv->cmds, n, false, last);
	return arm_smmu_vinv_runs(vinv, n, last);
}

/*
 * Read entries @first to @first + @n - 1 of the array into the block. Returns
 * the number of entries read; *err is why there are not more.
 */
static u32 arm_smmu_vinv_read(const struct iommu_user_data_array *array,
			      u64 *cmds, u32 first, u32 n, int *err)
{
	const size_t len = 1 << CMDQ_ENT_SZ_SHIFT;
	void __user *uptr = array->uptr + (size_t)first * array->entry_len;
	u32 i = 0;

	*err = 0;
	if (likely(array->entry_len == len)) {
		unsigned long left = copy_from_user(cmds, uptr, n * len);

		if (likely(!left))
			return n;
		/*
		 * It may have stopped early. Entries that were not read as a
		 * whole are read one by one, to find the first that can't be.
		 */
		i = n - DIV_ROUND_UP(left, len);
	}

	for (; i < n; i++) {
		*err = copy_struct_from_user(&cmds[i * CMDQ_ENT_DWORDS], len,
					     uptr + (size_t)i * array->entry_len,
					     array->entry_len);
		if (*err)
			break;
	}
	return i;
}

/* Execute all of the array, or what comes before its first error */
static int arm_smmu_vinv_array(struct arm_smmu_vinv *vinv,
			       const struct iommu_user_data_array *array,
			       u32 total, u32 block)
{
	int ret, err = 0;
	u32 n;

	do {
		n = arm_smmu_vinv_read(array, vinv->cmds, vinv->issued,
				       min(block, total - vinv->issued), &err);
		ret = arm_smmu_vinv_block(vinv, n,
					  err || vinv->issued + n == total);
		if (ret || err || vinv->issued == total)
			break;

		cond_resched();
		if (fatal_signal_pending(current))
			err = -EINTR;
	} while (!err);

	if (!ret && err)
		ret = arm_smmu_vinv_error(vinv, err, false, 0, vinv->issued);

	/* If this fails too it is the earlier problem: it is about done, not issued */
	if (vinv->done != vinv->issued && !vinv->stuck)
		ret = arm_smmu_vinv_batch(vinv, vinv->cmds, 0,
					  ARM_SMMU_CMDQ_SYNC_AFTER) ?: ret;
	return ret;
}

/**
 * arm_smmu_viommu_cache_invalidate() - Execute an array of a guest's commands
 * @viommu: The vIOMMU
 * @array: &struct iommu_viommu_arm_smmuv3_invalidate entries. On return
 *         entry_num is the number of entries executed and synchronised.
 * @report: Outcome for the caller, zeroed. error_code is a CMDQ_CONS.ERR value
 *          (IHI 0070, section 7.1).
 *
 * See iommufd_viommu_ops::cache_invalidate_user.
 *
 * Context: May sleep. Any number of threads at once.
 * Return:
 * * 0		- all entries are done
 * * -EINVAL	- not the type of data, or too short an entry_len
 * * -EIO	- entry error_index does not pass the check, or the SMMU raised an
 *		  error, for which it is the last that may be the cause
 *		  (%IOMMU_HWPT_INVALIDATE_REPORT_HW)
 * * -ETIMEDOUT	- the SMMU does not complete what it was given, up to entry
 *		  error_index
 * * -EFAULT	- entry error_index can't be read
 * * -E2BIG	- entry error_index has something in its tail that is not known
 * * -EINTR	- the caller is being killed
 */
int arm_smmu_viommu_cache_invalidate(struct iommufd_viommu *viommu,
				     struct iommu_user_data_array *array,
				     struct iommufd_invalidate_report *report)
{
	/* No entry of it is used that was not read into it */
	u64 small[ARM_SMMU_VINV_SMALL * CMDQ_ENT_DWORDS] __uninitialized;
	struct arm_smmu_vinv vinv = {
		.viommu = to_arm_smmu_viommu(viommu),
		.report = report,
		.cmds = small,
	};
	struct arm_smmu_device *smmu = vinv.viommu->smmu;
	u32 block = ARM_SMMU_VINV_SMALL;
	u32 total = array->entry_num;
	u64 *large = NULL;
	int ret;

	array->entry_num = 0;
	report->flags = IOMMU_HWPT_INVALIDATE_REPORT_VALID;
	if (array->type != IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3)
		return -EINVAL;
	if (!total)
		return 0;
	if (array->entry_len < sizeof(struct iommu_viommu_arm_smmuv3_invalidate))
		return -EINVAL;

	if (total > ARM_SMMU_VINV_SMALL) {
		large = kmalloc_array(ARM_SMMU_VINV_LARGE, 1 << CMDQ_ENT_SZ_SHIFT,
				      GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		/* Leave half of the queue to others; it has at least 128 entries */
		if (large) {
			vinv.cmds = large;
			block = min(ARM_SMMU_VINV_LARGE,
				    1U << (smmu->cmdq.q.llq.max_n_shift - 1));
		}
	}

	ret = arm_smmu_vinv_array(&vinv, array, total, block);

	kfree(large);
	array->entry_num = vinv.done;
	trace_arm_smmu_viommu_invalidate(smmu->dev, vinv.viommu->limits.vmid,
					 total, vinv.done, ret, report);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_viommu_cache_invalidate);
