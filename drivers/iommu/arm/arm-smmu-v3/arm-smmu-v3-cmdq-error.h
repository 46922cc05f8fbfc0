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
#include <linux/list.h>
#include <linux/spinlock_types.h>
#include <linux/types.h>

struct arm_smmu_device;
struct device;

/**
 * struct arm_smmu_cmdq_report - What became of a batch of commands
 * @code: CMDQ_CONS.ERR of the first error of the batch, 0 without one (IHI 0070,
 *        section 7.1). A timeout alone has no code.
 * @offset: The command that the error is about; the number of commands in the
 *          batch stands for its CMD_SYNC. Without an error the number of
 *          commands in the batch.
 * @consumed: Number of commands that the SMMU is known to have consumed before
 *            the first error; all of them if there was none. Consumed is not
 *            complete: that takes a CMD_SYNC.
 */
struct arm_smmu_cmdq_report {
	u32 code;
	u32 offset;
	u32 consumed;
};

int arm_smmu_cmdq_issue_reported(struct arm_smmu_device *smmu, u64 *cmds,
				 int n, bool sync,
				 struct arm_smmu_cmdq_report *report);

/**
 * struct arm_smmu_cmdq_range - The slots of a reported batch
 * @elm: In arm_smmu_cmdq_errors::ranges
 * @cmds: The commands, in CPU byte order
 * @num: Number of commands, not counting the CMD_SYNC
 * @sync: A CMD_SYNC follows the commands
 * @atc: The CMD_SYNC has ATC_INVs of the batch to wait for
 * @start: First slot, index and wrap bit as in CMDQ_PROD
 * @failed: An error was recorded in @code and @offset
 * @gave_up: The slot at CONS can't be made to go away; set once
 * @code: CMDQ_CONS.ERR of the first error
 * @offset: Slot of the first error, relative to @start
 * @last_offset: Slot of the latest error, relative to @start
 * @retries: Number of errors in a row at @last_offset
 * @cons: CMDQ_CONS as the issuer last saw it
 * @abandoned_gen: arm_smmu_cmdq_errors::abandoned_gen at the registration
 *
 * On the stack of the CPU that issues the batch, which keeps interrupts off as
 * long as the range is registered. @cmds, @num, @sync and @atc are constant;
 * arm_smmu_cmdq_errors::lock protects the others while the range is registered.
 */
struct arm_smmu_cmdq_range {
	struct list_head elm;
	u64 *cmds;
	u32 num;
	bool sync;
	bool atc;
	u32 start;
	bool failed;
	bool gave_up;
	u32 code;
	u32 offset;
	u32 last_offset;
	u32 retries;
	u32 cons;
	u32 abandoned_gen;
};

/**
 * struct arm_smmu_cmdq_errors - Errors of the main command queue of an SMMU
 * @lock: Serialises the handling of CMDQ_ERR, protects the other members and
 *        every write to SMMU_GERRORN. Taken in hard interrupt context. Nothing
 *        is taken inside but what printing and tracing take.
 * @ranges: struct arm_smmu_cmdq_range of the batches in the queue
 * @abandoned: Slots that batches left behind when they timed out and that have
 *             not been seen consumed since; num is 0 if there are none. Not in
 *             @ranges: nobody is told of their errors.
 * @abandoned_gen: Changes whenever @abandoned grows
 * @serviced: Number of interrupts that may still come for errors that a waiting
 *            CPU has handled, 0 to 2
 * @atc_timeout: An ATC_INV of a reported batch timed out, and no CMD_SYNC of a
 *               reported batch has succeeded since. Until then a CMD_SYNC of
 *               the host may fail for it.
 * @timeout_us: How long a batch may take, in microseconds
 */
struct arm_smmu_cmdq_errors {
	raw_spinlock_t lock;
	struct list_head ranges;
	struct arm_smmu_cmdq_range abandoned;
	u32 abandoned_gen;
	int serviced;
	bool atc_timeout;
	u32 timeout_us;
};

void arm_smmu_cmdq_errors_init(struct arm_smmu_device *smmu);

/* Called by the insertion of a reported batch */
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

#if IS_ENABLED(CONFIG_KUNIT)
void arm_smmu_cmdq_range_relax(struct arm_smmu_device *smmu,
			       unsigned int looks);
irqreturn_t arm_smmu_gerror_handler(int irq, void *dev);
int arm_smmu_cmdq_issue_host(struct arm_smmu_device *smmu, u64 *cmds, int n,
			     bool sync);
#endif

/* In arm-smmu-v3.c: insert a batch, see arm_smmu_cmdq_issue_cmdlist() there */
int arm_smmu_cmdq_issue_range(struct arm_smmu_device *smmu,
			      struct arm_smmu_cmdq_range *range);

#endif
