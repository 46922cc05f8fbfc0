/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arm SMMUv3: command queue errors and who caused them
 *
 * arm_smmu_cmdq_issue_reported() is the interface. The rest is between
 * arm-smmu-v3.c and arm-smmu-v3-cmdq-error.c.
 */
#ifndef _ARM_SMMU_V3_CMDQ_ERROR_H
#define _ARM_SMMU_V3_CMDQ_ERROR_H

#include <linux/irqreturn.h>
#include <linux/ktime.h>
#include <linux/percpu-defs.h>
#include <linux/spinlock_types.h>
#include <linux/types.h>

struct arm_smmu_device;
struct device;

/**
 * enum arm_smmu_cmdq_syncs - The CMD_SYNCs of a reported batch
 * @ARM_SMMU_CMDQ_SYNC_NONE: None; its issuer still waits until it is consumed
 * @ARM_SMMU_CMDQ_SYNC_AFTER: One behind the commands
 * @ARM_SMMU_CMDQ_SYNC_AROUND: One in front of them, one behind them; for ATC_INVs,
 *			       and for nothing else
 */
enum arm_smmu_cmdq_syncs {
	ARM_SMMU_CMDQ_SYNC_NONE,
	ARM_SMMU_CMDQ_SYNC_AFTER,
	ARM_SMMU_CMDQ_SYNC_AROUND,
};

/**
 * struct arm_smmu_cmdq_report - What became of a batch of commands
 * @code: CMDQ_CONS.ERR of the first error of the batch, 0 without one (IHI 0070,
 *        section 7.1). A timeout alone has no code.
 * @offset: The command that the error is about; the number of commands in the
 *          batch stands for the CMD_SYNC behind them. Without an error the number
 *          of commands in the batch, or if it timed out the last one of it, or 0
 *          if it never got into the queue.
 * @issued: It got into the queue; if not, none of its commands can be the cause
 * @consumed: Number of commands that the SMMU is known to have consumed before
 *            the first error; all of them if there was none. Consumed is not
 *            complete: that takes a CMD_SYNC.
 * @fenced: The CMD_SYNC in front succeeded: all that was consumed before the batch
 *          is complete
 * @synced: The CMD_SYNC behind succeeded: all of the batch that was consumed, but
 *          for ATC_INVs that timed out, is complete
 * @stuck: Not all of the batch was consumed
 */
struct arm_smmu_cmdq_report {
	u32 code;
	u32 offset;
	bool issued;
	u32 consumed;
	bool fenced;
	bool synced;
	bool stuck;
};

int arm_smmu_cmdq_issue_reported(struct arm_smmu_device *smmu, u64 *cmds,
				 u32 n, enum arm_smmu_cmdq_syncs syncs,
				 struct arm_smmu_cmdq_report *report);
void arm_smmu_cmdq_await_abandoned(struct arm_smmu_device *smmu);
bool arm_smmu_cmdq_await_consumed(struct arm_smmu_device *smmu, u64 timeout_us);

/**
 * struct arm_smmu_cmdq_range - The slots of a reported batch
 * @prev: What was in arm_smmu_cmdq_errors::ranges before. NULL but in a test, which
 *        issues a batch while the same CPU waits for another.
 * @cmds: The commands, in CPU byte order
 * @num: Number of commands, not counting CMD_SYNCs
 * @fence: Number of CMD_SYNCs in front of the commands, 0 or 1. If there is one the
 *         commands are ATC_INVs.
 * @sync: A CMD_SYNC follows the commands
 * @slots: Number of all of these
 * @start: First slot, index and wrap bit as in CMDQ_PROD
 * @failed: An error was recorded in @code and @offset
 * @gave_up: The slot at CONS can't be made to go away; set once
 * @fence_lost: The CMD_SYNC in front had to be replaced by something else
 * @sync_lost: So had the one behind
 * @code: CMDQ_CONS.ERR of the first error
 * @offset: Slot of the first error, relative to @start
 * @last_offset: Slot of the latest error, relative to @start
 * @retries: Number of errors in a row at @last_offset
 * @cons: CMDQ_CONS as the issuer last saw it
 * @passed: Number of slots consumed, when the range is not registered any more
 * @looks: Number of looks at the queue since the issuer began to wait
 * @timeout: When the issuer is going to stop waiting
 *
 * On the stack of the CPU that issues the batch, which keeps interrupts off as
 * long as the range is registered. @cmds to @start are constant by then, @cons and
 * the following the issuer's own; arm_smmu_cmdq_errors::lock protects the others.
 */
struct arm_smmu_cmdq_range {
	struct arm_smmu_cmdq_range *prev;
	u64 *cmds;
	u32 num;
	u32 fence;
	bool sync;
	u32 slots;
	u32 start;
	bool failed;
	bool gave_up;
	bool fence_lost;
	bool sync_lost;
	u32 code;
	u32 offset;
	u32 last_offset;
	u32 retries;
	u32 cons;
	u32 passed;
	unsigned int looks;
	ktime_t timeout;
};

/**
 * struct arm_smmu_cmdq_abandoned - Slots that a batch left in the queue
 * @start: First slot
 * @slots: Number of slots
 * @atc: There are ATC_INVs in it, between two CMD_SYNCs
 */
struct arm_smmu_cmdq_abandoned {
	u32 start;
	u32 slots;
	bool atc;
};

/*
 * As many batches can time out together and be remembered, or one of each CPU if that
 * is more: a CPU that begins another waits for those first.
 */
#define ARM_SMMU_CMDQ_ABANDONED_MIN	8

/**
 * struct arm_smmu_cmdq_errors - Errors of the main command queue of an SMMU
 * @lock: Serialises the handling of CMDQ_ERR, protects the other members but
 *        @ranges, and every write to SMMU_GERRORN. Taken in hard interrupt
 *        context. Nothing is taken inside but what tracing takes; nothing is
 *        printed inside.
 * @ranges: Per CPU: the batch that it waits for, if any. The CPU changes it with
 *          interrupts off, others read it with @lock held.
 * @abandoned: Slots that batches left behind when they timed out. Disjoint, and
 *             disjoint from @ranges. They may be consumed, and even in use again by
 *             the host, until somebody looks.
 * @num_abandoned: Number of elements of @abandoned in use
 * @max_abandoned: Number of elements of @abandoned
 * @last_slot: Slot of the latest error that was not reported
 * @retries: Number of errors in a row at @last_slot
 * @serviced: Number of interrupts that may still come for errors that a waiting
 *            CPU has handled, 0 to 2
 * @timeout_us: How long a batch may take, in microseconds
 */
struct arm_smmu_cmdq_errors {
	raw_spinlock_t lock;
	struct arm_smmu_cmdq_range * __percpu *ranges;
	struct arm_smmu_cmdq_abandoned *abandoned;
	u32 num_abandoned;
	u32 max_abandoned;
	u32 last_slot;
	u32 retries;
	int serviced;
	u32 timeout_us;
};

int arm_smmu_cmdq_errors_init(struct arm_smmu_device *smmu);

/* Called by the insertion of a reported batch */
int arm_smmu_cmdq_range_full(struct arm_smmu_device *smmu,
			     struct arm_smmu_cmdq_range *range);
void arm_smmu_cmdq_range_begin(struct arm_smmu_device *smmu,
			       struct arm_smmu_cmdq_range *range, u32 prod);
int arm_smmu_cmdq_range_wait(struct arm_smmu_device *smmu,
			     struct arm_smmu_cmdq_range *range);

/* Called by the handler of the GERROR interrupt */
irqreturn_t arm_smmu_cmdq_error_irq(struct arm_smmu_device *smmu);
void arm_smmu_gerror_ack(struct arm_smmu_device *smmu, u32 gerror);

bool arm_smmu_cmdq_service_error(struct arm_smmu_device *smmu);

#ifdef CONFIG_ARM_SMMU_V3_FAULT_INJECTION
void arm_smmu_cmdq_inject_init(struct device *dev);
void arm_smmu_cmdq_inject(u64 *cmds, u32 n, u32 first);
#else
static inline void arm_smmu_cmdq_inject_init(struct device *dev)
{
}

static inline void arm_smmu_cmdq_inject(u64 *cmds, u32 n, u32 first)
{
}
#endif

/**
 * struct arm_smmu_cmdq_error - An error that nobody but the log is told of
 * @there: There is one
 * @abandoned: In slots of a batch that timed out; the host's otherwise
 * @cons: CMDQ_CONS
 * @code: CMDQ_CONS.ERR
 * @cmd: The command, if it was replaced
 */
struct arm_smmu_cmdq_error {
	bool there;
	bool abandoned;
	u32 cons;
	u32 code;
	u64 cmd[2];
};

#if IS_ENABLED(CONFIG_KUNIT)
void arm_smmu_cmdq_inject_setup(u32 index, unsigned long probability, int times);
void arm_smmu_cmdq_print_error(struct arm_smmu_device *smmu,
			       const struct arm_smmu_cmdq_error *err);
ktime_t arm_smmu_cmdq_time(struct arm_smmu_device *smmu);
void arm_smmu_cmdq_range_relax(struct arm_smmu_device *smmu,
			       unsigned int looks);
void arm_smmu_cmdq_sleep(struct arm_smmu_device *smmu);
irqreturn_t arm_smmu_gerror_handler(int irq, void *dev);
int arm_smmu_cmdq_issue_host(struct arm_smmu_device *smmu, u64 *cmds, int n,
			     bool sync);
#endif

/* In arm-smmu-v3.c: insert a batch, see arm_smmu_cmdq_issue_cmdlist() there */
int arm_smmu_cmdq_issue_range(struct arm_smmu_device *smmu,
			      struct arm_smmu_cmdq_range *range);

#endif
