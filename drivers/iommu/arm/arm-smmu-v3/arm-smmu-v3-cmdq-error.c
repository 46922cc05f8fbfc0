// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm SMMUv3: command queue errors and who caused them
 *
 * The command queue is shared: by the CPUs of the host, and by the guests whose
 * invalidation commands the host issues for them. When the SMMU stops at a
 * command it says where (CMDQ_CONS.RD) and why (CMDQ_CONS.ERR), and consumes
 * nothing until the error is acknowledged (GERROR.CMDQ_ERR, IHI 0070, section
 * 7.1). By then the CPU that issued the command would have to have been found.
 *
 * Vocabulary. A reported batch is a list of commands, maybe followed by a
 * CMD_SYNC, whose issuer wants to know about its errors. Its range is the slots
 * that the batch got in the queue. To service an error is to record it with
 * the range that holds CMDQ_CONS.RD, to heal the slot so that the SMMU can go
 * on, and to acknowledge, in this order.
 *
 * Invariant: as long as a slot of a reported batch is in the queue its range is
 * registered and its issuer waits. The issuer registers the range before it
 * marks the slots valid, so before the SMMU can see them, and waits with
 * interrupts off until CONS has passed the last one, CMD_SYNC or not. Therefore
 *  - a range lives on the stack of its issuer,
 *  - the host's own batches carry nothing that reports need,
 *  - a command of a guest never makes a CPU wait that did not issue it, for
 *    longer than it takes the issuer to look.
 * The exception is a batch that timed out; its slots count as abandoned until
 * they are seen consumed.
 *
 * The GERROR interrupt may target the very CPU that waits with interrupts off,
 * or there may be just one CPU. So the waiter services errors itself, and the
 * interrupt finds nothing left to do.
 *
 * An error in a slot of no range is the host's. It is handled and printed as
 * it always was. An error that is reported is not printed, as a guest could
 * repeat it at will; the tracepoint arm_smmu_cmdq_error has it.
 *
 * CERROR_ATC_INV_SYNC stops the queue at a CMD_SYNC and is about all ATC_INVs
 * since the last CMD_SYNC that succeeded. As a batch is contiguous in the
 * queue, a reported batch that ends in ATC_INVs and their CMD_SYNC owns what
 * that CMD_SYNC reports. A CMD_SYNC without ATC_INVs of its batch can only
 * report the host's.
 */

#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/processor.h>
#include <linux/string.h>
#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-cmdq-error.h"

#define CREATE_TRACE_POINTS
#include "arm-smmu-v3-trace.h"

/*
 * Number of errors in a row at one slot until the slot is rewritten, and again
 * that many until it is given up
 */
#define ARM_SMMU_CMDQ_RETRIES		4

/* The waiter looks for an error at least this often */
#define ARM_SMMU_CMDQ_POLL_DELAY_US	50U

void arm_smmu_cmdq_errors_init(struct arm_smmu_device *smmu)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;

	raw_spin_lock_init(&errs->lock);
	INIT_LIST_HEAD(&errs->ranges);
	errs->timeout_us = ARM_SMMU_POLL_TIMEOUT_US;
	arm_smmu_cmdq_inject_init(smmu->dev);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_errors_init);

/* Slots are numbered modulo twice the size of the queue: index and wrap bit */
static u32 arm_smmu_cmdq_slot_diff(struct arm_smmu_device *smmu, u32 to,
				   u32 from)
{
	struct arm_smmu_ll_queue *llq = &smmu->cmdq.q.llq;

	return Q_WRP(llq, to - from) | Q_IDX(llq, to - from);
}

static bool arm_smmu_cmdq_range_holds(struct arm_smmu_device *smmu,
				      struct arm_smmu_cmdq_range *range,
				      u32 slot)
{
	return arm_smmu_cmdq_slot_diff(smmu, slot, range->start) <
	       range->num + range->sync;
}

/*
 * CONS is at most the size of the queue behind the end of a range, and until
 * the issuer lets go of the queue's lock less than that in front of it.
 */
static bool arm_smmu_cmdq_range_consumed(struct arm_smmu_device *smmu,
					 struct arm_smmu_cmdq_range *range,
					 u32 cons)
{
	u32 end = range->start + range->num + range->sync;

	return !Q_WRP(&smmu->cmdq.q.llq, cons - end);
}

static bool arm_smmu_cmdq_err_active(struct arm_smmu_device *smmu, u32 *gerrorn)
{
	u32 gerror;

	*gerrorn = readl_relaxed(smmu->base + ARM_SMMU_GERRORN);
	/* readl(): CONS.ERR is valid before GERROR toggles, so read it after */
	gerror = readl(smmu->base + ARM_SMMU_GERROR);
	return (gerror ^ *gerrorn) & GERROR_CMDQ_ERR;
}

static void arm_smmu_cmdq_rewrite(struct arm_smmu_device *smmu, u32 slot,
				  u64 cmd)
{
	__le64 *ent = Q_ENT(&smmu->cmdq.q, slot);

	ent[0] = cpu_to_le64(cmd);
	ent[1] = 0;
}

/* Nobody waits for a signal of the CMD_SYNC: CONS tells */
#define ARM_SMMU_CMDQ_PLAIN_SYNC				\
	(FIELD_PREP(CMDQ_0_OP, CMDQ_OP_CMD_SYNC) |		\
	 FIELD_PREP(CMDQ_SYNC_0_CS, CMDQ_SYNC_0_CS_NONE))

/* Of a reported batch: the host's are others, they raise an event or an MSI */
static bool arm_smmu_cmdq_is_plain_sync(struct arm_smmu_device *smmu, u32 slot)
{
	__le64 *ent = Q_ENT(&smmu->cmdq.q, slot);

	return ent[0] == cpu_to_le64(ARM_SMMU_CMDQ_PLAIN_SYNC) && !ent[1];
}

/*
 * Stands in for a CMD_SYNC that does not succeed: valid on every SMMU whatever
 * its features, and costs no more than a fetch of the STE of StreamID 0.
 */
#define ARM_SMMU_CMDQ_HARMLESS					\
	(FIELD_PREP(CMDQ_0_OP, CMDQ_OP_CFGI_STE) |		\
	 FIELD_PREP(CMDQ_CFGI_0_SID, 0))

/* Let the SMMU go on from the slot at CONS, and tell the range */
static void arm_smmu_cmdq_range_error(struct arm_smmu_device *smmu,
				      struct arm_smmu_cmdq_range *range,
				      u32 cons, u32 code)
{
	u32 offset = arm_smmu_cmdq_slot_diff(smmu, cons, range->start);
	bool atc = code == CMDQ_ERR_CERROR_ATC_INV_IDX;
	bool rewrite;

	lockdep_assert_held(&smmu->cmdq_errors.lock);

	if (range->last_offset != offset) {
		range->last_offset = offset;
		range->retries = 0;
	}
	range->retries++;

	switch (code) {
	case CMDQ_ERR_CERROR_NONE_IDX:
	case CMDQ_ERR_CERROR_ABT_IDX:
		/*
		 * The acknowledgment makes the SMMU fetch the command again. An
		 * abort that goes away is no error: the command is executed. As
		 * the last resort write the slot anew, it may be poisoned.
		 */
		rewrite = range->retries > ARM_SMMU_CMDQ_RETRIES;
		break;
	case CMDQ_ERR_CERROR_ATC_INV_IDX:
		/*
		 * The acknowledgment makes the SMMU execute the CMD_SYNC again,
		 * which completes all but the ATC_INVs that timed out. The batch
		 * failed in any case, so don't insist.
		 */
		smmu->cmdq_errors.atc_timeout = true;
		rewrite = range->retries > ARM_SMMU_CMDQ_RETRIES;
		break;
	case CMDQ_ERR_CERROR_ILL_IDX:
	default:
		rewrite = true;
		break;
	}

	if (rewrite)
		arm_smmu_cmdq_rewrite(smmu, cons,
				      atc ? ARM_SMMU_CMDQ_HARMLESS :
					    ARM_SMMU_CMDQ_PLAIN_SYNC);
	if (range->retries > 2 * ARM_SMMU_CMDQ_RETRIES)
		WRITE_ONCE(range->gave_up, true);

	/*
	 * The first error counts, with two exceptions: a CMD_SYNC written anew
	 * as a CMD_SYNC is none, and an ATC_INV that timed out is one also if it
	 * shows at the CMD_SYNC in place of an illegal command.
	 */
	if ((atc && (!range->failed || range->offset == offset)) ||
	    (rewrite && !range->failed && offset < range->num) ||
	    (range->gave_up && !range->failed)) {
		range->failed = true;
		range->code = code ?: CMDQ_ERR_CERROR_ILL_IDX;
		range->offset = offset;
	}
}

/* The host's own error: what the interrupt handler always did about it */
static void arm_smmu_cmdq_host_error(struct arm_smmu_device *smmu, u32 cons,
				     u32 code)
{
	/* Seen again at another CMD_SYNC, maybe: it is a guest's to repeat */
	if (code == CMDQ_ERR_CERROR_ATC_INV_IDX &&
	    smmu->cmdq_errors.atc_timeout) {
		dev_warn_ratelimited(smmu->dev,
				     "CMDQ error (cons 0x%08x): ATC invalidate timeout\n",
				     cons);
		return;
	}

	dev_warn(smmu->dev,
		 "unexpected global error reported (0x%08x), this could be serious\n",
		 GERROR_CMDQ_ERR);
	__arm_smmu_cmdq_skip_err(smmu, &smmu->cmdq);
}

/* Whose is the command at CONS? The host's if there is no answer. */
static struct arm_smmu_cmdq_range *
arm_smmu_cmdq_find_range(struct arm_smmu_device *smmu, u32 cons, u32 code)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;
	struct arm_smmu_cmdq_range *range;

	lockdep_assert_held(&errs->lock);

	list_for_each_entry(range, &errs->ranges, elm) {
		if (!arm_smmu_cmdq_range_holds(smmu, range, cons))
			continue;
		/* None of its own ATC_INVs is in front of this CMD_SYNC */
		if (code == CMDQ_ERR_CERROR_ATC_INV_IDX &&
		    (!range->atc ||
		     !arm_smmu_cmdq_slot_diff(smmu, cons, range->start)))
			return NULL;
		return range;
	}

	/*
	 * The slots left behind may be in use again, for commands of the host. A
	 * plain CMD_SYNC is none of those.
	 */
	if (arm_smmu_cmdq_range_holds(smmu, &errs->abandoned, cons) &&
	    arm_smmu_cmdq_is_plain_sync(smmu, cons))
		return &errs->abandoned;
	return NULL;
}

/* Service CMDQ_ERR if it is active. Returns true if it was. */
static bool __arm_smmu_cmdq_service_error(struct arm_smmu_device *smmu)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;
	struct arm_smmu_cmdq_range *range;
	u32 gerrorn, cons, code;

	lockdep_assert_held(&errs->lock);

	if (!arm_smmu_cmdq_err_active(smmu, &gerrorn))
		return false;

	/* Does not change until the error is acknowledged */
	cons = readl_relaxed(smmu->cmdq.q.cons_reg);
	code = FIELD_GET(CMDQ_CONS_ERR, cons);

	range = arm_smmu_cmdq_find_range(smmu, cons, code);
	if (!range) {
		trace_arm_smmu_cmdq_error(smmu->dev, code, cons, 0,
					  ARM_SMMU_CMDQ_HOST);
		arm_smmu_cmdq_host_error(smmu, cons, code);
	} else {
		trace_arm_smmu_cmdq_error(smmu->dev, code, cons,
					  arm_smmu_cmdq_slot_diff(smmu, cons,
								  range->start),
					  range == &errs->abandoned ?
						  ARM_SMMU_CMDQ_ABANDONED :
						  ARM_SMMU_CMDQ_REPORTED);
		if (range == &errs->abandoned)
			dev_warn_ratelimited(smmu->dev,
					     "CMDQ error %u (cons 0x%08x) in commands that timed out\n",
					     code, cons);
		arm_smmu_cmdq_range_error(smmu, range, cons, code);
	}

	/* writel(): the SMMU sees the rewritten slot first */
	writel(gerrorn ^ GERROR_CMDQ_ERR, smmu->base + ARM_SMMU_GERRORN);
	return true;
}

/**
 * arm_smmu_cmdq_service_error() - Service CMDQ_ERR from a CPU that waits
 * @smmu: The SMMU
 *
 * Context: Any, interrupts on or off.
 * Return: true if there was an error to service
 */
bool arm_smmu_cmdq_service_error(struct arm_smmu_device *smmu)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;
	unsigned long flags;
	bool ret;

	raw_spin_lock_irqsave(&errs->lock, flags);
	ret = __arm_smmu_cmdq_service_error(smmu);
	/*
	 * The interrupt of this error is still to come, and finds nothing. It is
	 * an edge: one can be on its way to the handler and one be pending, any
	 * others become one with the latter.
	 */
	if (ret)
		errs->serviced = min(errs->serviced + 1, 2);
	raw_spin_unlock_irqrestore(&errs->lock, flags);
	return ret;
}

/**
 * arm_smmu_cmdq_error_irq() - Service CMDQ_ERR from the GERROR interrupt
 * @smmu: The SMMU
 *
 * Context: Any, hard interrupt as a rule.
 * Return: IRQ_HANDLED if there is an error, or was one that a waiting CPU has
 * serviced in place of the interrupt
 */
irqreturn_t arm_smmu_cmdq_error_irq(struct arm_smmu_device *smmu)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;
	irqreturn_t ret = IRQ_HANDLED;
	unsigned long flags;

	raw_spin_lock_irqsave(&errs->lock, flags);
	if (__arm_smmu_cmdq_service_error(smmu))
		errs->serviced = min(errs->serviced, 1);
	else if (errs->serviced)
		errs->serviced--;
	else
		ret = IRQ_NONE;
	raw_spin_unlock_irqrestore(&errs->lock, flags);
	return ret;
}

/**
 * arm_smmu_gerror_ack() - Acknowledge global errors other than CMDQ_ERR
 * @smmu: The SMMU
 * @gerror: SMMU_GERROR as it was when the errors were handled
 *
 * CMDQ_ERR may have become active since, or been acknowledged by a waiting CPU:
 * its bit stays as it is.
 */
void arm_smmu_gerror_ack(struct arm_smmu_device *smmu, u32 gerror)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;
	unsigned long flags;
	u32 gerrorn;

	raw_spin_lock_irqsave(&errs->lock, flags);
	gerrorn = readl_relaxed(smmu->base + ARM_SMMU_GERRORN);
	gerrorn = (gerrorn & GERROR_CMDQ_ERR) | (gerror & ~GERROR_CMDQ_ERR);
	writel(gerrorn, smmu->base + ARM_SMMU_GERRORN);
	raw_spin_unlock_irqrestore(&errs->lock, flags);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_gerror_ack);

static void arm_smmu_cmdq_write_range(struct arm_smmu_device *smmu,
				      struct arm_smmu_cmdq_range *range)
{
	struct arm_smmu_queue *q = &smmu->cmdq.q;
	u32 room = (1U << q->llq.max_n_shift) - Q_IDX(&q->llq, range->start);
	u32 first = min(range->num, room);
	u32 i;

	if (IS_ENABLED(CONFIG_CPU_LITTLE_ENDIAN)) {
		memcpy(Q_ENT(q, range->start), range->cmds,
		       first << CMDQ_ENT_SZ_SHIFT);
		if (unlikely(first < range->num))
			memcpy(q->base, range->cmds + first * CMDQ_ENT_DWORDS,
			       (range->num - first) << CMDQ_ENT_SZ_SHIFT);
	} else {
		for (i = 0; i < range->num; i++) {
			__le64 *ent = Q_ENT(q, range->start + i);

			ent[0] = cpu_to_le64(range->cmds[i * CMDQ_ENT_DWORDS]);
			ent[1] = cpu_to_le64(range->cmds[i * CMDQ_ENT_DWORDS + 1]);
		}
	}

	if (range->sync)
		arm_smmu_cmdq_rewrite(smmu, range->start + range->num,
				      ARM_SMMU_CMDQ_PLAIN_SYNC);
}

/**
 * arm_smmu_cmdq_range_begin() - Fill in and register the slots of a batch
 * @smmu: The SMMU
 * @range: The batch
 * @prod: Its first slot
 *
 * Context: Interrupts off. The slots are reserved and not yet valid.
 */
void arm_smmu_cmdq_range_begin(struct arm_smmu_device *smmu,
			       struct arm_smmu_cmdq_range *range, u32 prod)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;

	lockdep_assert_irqs_disabled();

	range->start = prod;
	arm_smmu_cmdq_write_range(smmu, range);

	raw_spin_lock(&errs->lock);
	range->abandoned_gen = errs->abandoned_gen;
	list_add_tail(&range->elm, &errs->ranges);
	raw_spin_unlock(&errs->lock);
}

/* Remember what @range leaves in the queue, with what was left there before */
static void arm_smmu_cmdq_abandon(struct arm_smmu_device *smmu,
				  const struct arm_smmu_cmdq_range *range)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;
	struct arm_smmu_cmdq_range *abandoned = &errs->abandoned;
	struct arm_smmu_ll_queue *llq = &smmu->cmdq.q.llq;
	u32 start = range->start;
	u32 end = range->start + range->num + range->sync;

	lockdep_assert_held(&errs->lock);

	/* The wrap bit of a difference is its sign */
	if (abandoned->num) {
		if (Q_WRP(llq, abandoned->start - start))
			start = abandoned->start;
		if (!Q_WRP(llq, abandoned->start + abandoned->num - end))
			end = abandoned->start + abandoned->num;
	}
	abandoned->start = start;
	abandoned->num = min(arm_smmu_cmdq_slot_diff(smmu, end, start),
			     1U << llq->max_n_shift);
	abandoned->last_offset = U32_MAX;
	errs->abandoned_gen++;
}

/* One look at CONS and at errors is done; pass some time before the next */
VISIBLE_IF_KUNIT void arm_smmu_cmdq_range_relax(struct arm_smmu_device *smmu,
						unsigned int looks)
{
	KUNIT_STATIC_STUB_REDIRECT(arm_smmu_cmdq_range_relax, smmu, looks);

	if (looks < 4 * ARM_SMMU_POLL_SPIN_COUNT)
		cpu_relax();
	else
		udelay(min(looks / ARM_SMMU_POLL_SPIN_COUNT,
			   ARM_SMMU_CMDQ_POLL_DELAY_US));
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_range_relax);

static bool arm_smmu_cmdq_range_look(struct arm_smmu_device *smmu,
				     struct arm_smmu_cmdq_range *range)
{
	/*
	 * As in __arm_smmu_cmdq_poll_until_consumed() this needs to be a
	 * readl() for the queue's lock to be let go accurately.
	 */
	range->cons = readl(smmu->cmdq.q.cons_reg);
	return arm_smmu_cmdq_range_consumed(smmu, range, range->cons);
}

/* Returns false if @range is still not consumed when it is time to give up */
static noinline bool arm_smmu_cmdq_range_poll(struct arm_smmu_device *smmu,
					      struct arm_smmu_cmdq_range *range)
{
	ktime_t timeout = ktime_add_us(ktime_get(),
				       smmu->cmdq_errors.timeout_us);
	unsigned int looks = 0;
	bool give_up;
	u32 gerrorn;

	do {
		/* If so there is another look */
		give_up = ktime_after(ktime_get(), timeout);
		looks++;
		if (arm_smmu_cmdq_err_active(smmu, &gerrorn)) {
			arm_smmu_cmdq_service_error(smmu);
			if (READ_ONCE(range->gave_up))
				give_up = true;
			/* What fails again and again gets more time */
			looks += ARM_SMMU_POLL_SPIN_COUNT;
		}
		arm_smmu_cmdq_range_relax(smmu, looks);

		if (arm_smmu_cmdq_range_look(smmu, range))
			return true;
	} while (!give_up);
	return false;
}

/**
 * arm_smmu_cmdq_range_wait() - Wait for a batch to be consumed
 * @smmu: The SMMU
 * @range: The batch
 *
 * Services errors, whosever they are, as the interrupt may target this CPU.
 * Unregisters the range and leaves CMDQ_CONS in it as last seen.
 *
 * Context: Interrupts off, the queue's lock held as shared.
 * Return: 0, or -ETIMEDOUT if commands of the batch are still in the queue
 */
int arm_smmu_cmdq_range_wait(struct arm_smmu_device *smmu,
			     struct arm_smmu_cmdq_range *range)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;
	bool consumed;
	u32 gerrorn;

	lockdep_assert_irqs_disabled();

	consumed = arm_smmu_cmdq_range_look(smmu, range) ||
		   arm_smmu_cmdq_range_poll(smmu, range);

	raw_spin_lock(&errs->lock);
	__list_del_entry(&range->elm);
	if (consumed) {
		/* The queue is in order: what was left behind before is gone */
		if (range->abandoned_gen == errs->abandoned_gen)
			errs->abandoned.num = 0;
		if (range->sync && !range->failed)
			errs->atc_timeout = false;
	} else {
		if (!range->failed &&
		    arm_smmu_cmdq_range_holds(smmu, range, range->cons) &&
		    arm_smmu_cmdq_err_active(smmu, &gerrorn))
			range->code = FIELD_GET(CMDQ_CONS_ERR, range->cons);
		arm_smmu_cmdq_abandon(smmu, range);
	}
	raw_spin_unlock(&errs->lock);
	return consumed ? 0 : -ETIMEDOUT;
}

static bool arm_smmu_cmdq_is_atc(const u64 *cmd)
{
	return FIELD_GET(CMDQ_0_OP, cmd[0]) == CMDQ_OP_ATC_INV;
}

/**
 * arm_smmu_cmdq_issue_reported() - Issue commands and learn of their errors
 * @smmu: The SMMU; its main command queue takes the commands
 * @cmds: The commands, two u64 each in CPU byte order
 * @n: Number of commands, 0 if there is just a CMD_SYNC to issue. Together with
 *     the CMD_SYNC at most the size of the queue.
 * @sync: Append a CMD_SYNC and wait for it. If not, wait until the SMMU has
 *        consumed the commands. ATC_INVs go into a batch of their own, with a
 *        CMD_SYNC.
 * @report: What became of the batch; filled in whatever the outcome
 *
 * All commands of a batch are issued, also those after one that fails.
 *
 * Context: Any context that may wait with interrupts off for as long as the
 * SMMU takes, a second at most.
 * Return:
 * * 0		- consumed, and complete if there is a CMD_SYNC
 * * -EIO	- the SMMU raised an error, see @report. All of the batch is
 *		  consumed and, but for a failed ATC_INV, complete if there is a
 *		  CMD_SYNC.
 * * -ETIMEDOUT	- part of the batch is still in the queue. @report has the error
 *		  if there was one.
 */
int arm_smmu_cmdq_issue_reported(struct arm_smmu_device *smmu, u64 *cmds,
				 int n, bool sync,
				 struct arm_smmu_cmdq_report *report)
{
	struct arm_smmu_cmdq_range range __uninitialized;
	int ret;

	/* The other members are set before they are read */
	range.cmds = cmds;
	range.num = n;
	range.sync = sync;
	range.atc = n && (arm_smmu_cmdq_is_atc(cmds) ||
			  arm_smmu_cmdq_is_atc(cmds +
					       (n - 1) * CMDQ_ENT_DWORDS));
	range.failed = false;
	range.gave_up = false;
	range.code = CMDQ_ERR_CERROR_NONE_IDX;
	range.last_offset = U32_MAX;

	ret = arm_smmu_cmdq_issue_range(smmu, &range);

	report->code = range.code;
	if (range.failed) {
		report->offset = range.offset;
		report->consumed = min_t(u32, range.offset, n);
		ret = ret ?: -EIO;
	} else if (ret) {
		report->offset = n ? n - 1 : 0;
		report->consumed = 0;
		if (arm_smmu_cmdq_range_holds(smmu, &range, range.cons))
			report->consumed = arm_smmu_cmdq_slot_diff(smmu,
								   range.cons,
								   range.start);
	} else {
		report->offset = n;
		report->consumed = n;
	}

	if (ret == -ETIMEDOUT)
		dev_err_ratelimited(smmu->dev,
				    "CMDQ timeout of %u commands%s at 0x%08x [hwprod 0x%08x, hwcons 0x%08x]\n",
				    n, sync ? " and CMD_SYNC" : "", range.start,
				    readl_relaxed(smmu->cmdq.q.prod_reg),
				    readl_relaxed(smmu->cmdq.q.cons_reg));
	trace_arm_smmu_cmdq_batch(smmu->dev, range.start, n, sync, ret);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_issue_reported);
