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
 * Vocabulary. A reported batch is a list of commands, maybe with a CMD_SYNC in
 * front or behind, whose issuer wants to know about its errors. Its range is the
 * slots that the batch got in the queue. To service an error is to record it with
 * the range that holds CMDQ_CONS.RD, to heal the slot so that the SMMU can go
 * on, and to acknowledge, in this order.
 *
 * Invariant: as long as a slot of a reported batch is in the queue its range is
 * registered and its issuer waits. The issuer registers the range before it
 * marks the slots valid, so before the SMMU can see them, and waits with
 * interrupts off until CONS has passed the last one, CMD_SYNC or not. Therefore
 *  - a range lives on the stack of its issuer,
 *  - a CPU has one at a time and registers it in a variable of its own: issuers share
 *    the queue and nothing else, the lock is for who services errors,
 *  - the host's own batches carry nothing that reports need,
 *  - a command of a guest never makes a CPU wait that did not issue it, for
 *    longer than it takes the issuer to look.
 *
 * The exception is a batch that timed out: its slots are abandoned. As long as
 * there are any in the queue no reported batch is added, so that a device that
 * does not answer has one ATC_INV batch per CPU in the queue at most. Nobody waits
 * for abandoned slots, so they may leave the queue unnoticed, and belong to the
 * host when the same slot numbers come again. So no more is done to them than to
 * the host's, unless they are known by their contents: the CMD_SYNCs of reported
 * batches are different from the host's, see arm_smmu_cmdq_is_plain_sync().
 *
 * The GERROR interrupt may target the very CPU that waits with interrupts off,
 * or there may be just one CPU. So the waiter services errors itself, and the
 * interrupt finds nothing left to do.
 *
 * An error in a slot of no range is the host's. It is handled and printed as
 * it always was, but ATC_INV timeouts are rate-limited: a guest's can show at a
 * CMD_SYNC of the host. An error that is reported is not printed, as a guest could
 * repeat it at will; the tracepoint arm_smmu_cmdq_error has it.
 *
 * CERROR_ATC_INV_SYNC stops the queue at a CMD_SYNC and is about all ATC_INVs
 * since the last CMD_SYNC that succeeded. A batch is contiguous in the queue. So
 * ATC_INVs are between two CMD_SYNCs of their batch: what the first reports is
 * about others, the host's or what is left of an earlier timeout; what the second
 * reports is about the batch.
 */

#include <linux/bitfield.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/percpu.h>
#include <linux/processor.h>
#include <linux/sched/signal.h>
#include <linux/string.h>
#include <kunit/static_stub.h>
#include <kunit/visibility.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-cmdq-error.h"

#define CREATE_TRACE_POINTS
#include "arm-smmu-v3-trace.h"

/*
 * Number of errors in a row at one slot until the slot is rewritten, or rewritten
 * with something else, and again that many until it is given up
 */
#define ARM_SMMU_CMDQ_RETRIES		4

/* The waiter looks for an error at least this often */
#define ARM_SMMU_CMDQ_POLL_DELAY_US	50U

/* A batch, which has interrupts off, waits so long for abandoned slots to leave the queue */
#define ARM_SMMU_CMDQ_GRACE_US		(10 * USEC_PER_MSEC)

/**
 * arm_smmu_cmdq_errors_init() - Get ready for batches whose errors are reported
 * @smmu: The SMMU, before its command queue is enabled
 *
 * What it allocates goes with the device of the SMMU.
 *
 * Context: May sleep.
 * Return: 0, or -ENOMEM
 */
int arm_smmu_cmdq_errors_init(struct arm_smmu_device *smmu)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;

	raw_spin_lock_init(&errs->lock);
	errs->timeout_us = ARM_SMMU_POLL_TIMEOUT_US;
	errs->max_abandoned = max_t(u32, num_possible_cpus(), ARM_SMMU_CMDQ_ABANDONED_MIN);
	errs->abandoned = devm_kcalloc(smmu->dev, errs->max_abandoned,
				       sizeof(*errs->abandoned), GFP_KERNEL);
	if (!errs->abandoned)
		return -ENOMEM;
	errs->ranges = devm_alloc_percpu(smmu->dev,
					 struct arm_smmu_cmdq_range *);
	if (!errs->ranges)
		return -ENOMEM;

	arm_smmu_cmdq_inject_init(smmu->dev);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_errors_init);

/*
 * Slots
 */

/* Slots are numbered modulo twice the size of the queue: index and wrap bit */
static u32 arm_smmu_cmdq_slot_diff(struct arm_smmu_device *smmu, u32 to,
				   u32 from)
{
	struct arm_smmu_ll_queue *llq = &smmu->cmdq.q.llq;

	return Q_WRP(llq, to - from) | Q_IDX(llq, to - from);
}

/* Is @slot one of the @n slots from @start on? */
static bool arm_smmu_cmdq_slot_in(struct arm_smmu_device *smmu, u32 slot,
				  u32 start, u32 n)
{
	return arm_smmu_cmdq_slot_diff(smmu, slot, start) < n;
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

/* What the driver puts in the place of an illegal command of the host */
#define ARM_SMMU_CMDQ_HOST_SYNC					\
	(FIELD_PREP(CMDQ_0_OP, CMDQ_OP_CMD_SYNC) |		\
	 FIELD_PREP(CMDQ_SYNC_0_CS, CMDQ_SYNC_0_CS_SEV) |	\
	 FIELD_PREP(CMDQ_SYNC_0_MSH, ARM_SMMU_SH_ISH) |		\
	 FIELD_PREP(CMDQ_SYNC_0_MSIATTR, ARM_SMMU_MEMATTR_OIWB))

/*
 * Stands in for a command that has to go: valid on every SMMU whatever its
 * features, and costs no more than a fetch of the STE of StreamID 0.
 */
#define ARM_SMMU_CMDQ_HARMLESS					\
	(FIELD_PREP(CMDQ_0_OP, CMDQ_OP_CFGI_STE) |		\
	 FIELD_PREP(CMDQ_CFGI_0_SID, 0))

/* Of a reported batch: the host's are others, they raise an event or an MSI */
static bool arm_smmu_cmdq_is_plain_sync(struct arm_smmu_device *smmu, u32 slot)
{
	__le64 *ent = Q_ENT(&smmu->cmdq.q, slot);

	return ent[0] == cpu_to_le64(ARM_SMMU_CMDQ_PLAIN_SYNC) && !ent[1];
}

static bool arm_smmu_cmdq_is_atc_inv(struct arm_smmu_device *smmu, u32 slot)
{
	__le64 *ent = Q_ENT(&smmu->cmdq.q, slot);

	return FIELD_GET(CMDQ_0_OP, le64_to_cpu(ent[0])) == CMDQ_OP_ATC_INV;
}

/*
 * Abandoned slots
 */

/*
 * Forget what has left the queue. Slots up to the driver's own PROD count as in the
 * queue, as a batch may time out before the SMMU is told of it.
 */
static void arm_smmu_cmdq_prune_abandoned(struct arm_smmu_device *smmu)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;
	u32 cons = readl(smmu->cmdq.q.cons_reg);
	u32 prod = READ_ONCE(smmu->cmdq.q.llq.prod);
	u32 queued = arm_smmu_cmdq_slot_diff(smmu, prod, cons);
	u32 i, n = 0;

	lockdep_assert_held(&errs->lock);

	for (i = 0; i < errs->num_abandoned; i++) {
		struct arm_smmu_cmdq_abandoned *left = &errs->abandoned[i];

		if (arm_smmu_cmdq_slot_in(smmu, left->start + left->slots - 1,
					  cons, queued))
			errs->abandoned[n++] = *left;
	}
	WRITE_ONCE(errs->num_abandoned, n);
}

/* Forget what overlaps with slots that are being used again */
static void arm_smmu_cmdq_reuse_abandoned(struct arm_smmu_device *smmu,
					  const struct arm_smmu_cmdq_range *range)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;
	u32 i, n = 0;

	lockdep_assert_held(&errs->lock);

	for (i = 0; i < errs->num_abandoned; i++) {
		struct arm_smmu_cmdq_abandoned *left = &errs->abandoned[i];

		if (!arm_smmu_cmdq_slot_in(smmu, left->start, range->start,
					   range->slots) &&
		    !arm_smmu_cmdq_slot_in(smmu, range->start, left->start,
					   left->slots))
			errs->abandoned[n++] = *left;
	}
	WRITE_ONCE(errs->num_abandoned, n);
}

/*
 * Remember what @range leaves in the queue. If that is too much forget the others,
 * all of them: so it is certain that no batch that is not remembered timed out
 * in slots of one that is, see arm_smmu_cmdq_disarm_abandoned().
 */
static void arm_smmu_cmdq_abandon(struct arm_smmu_device *smmu,
				  const struct arm_smmu_cmdq_range *range)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;
	u32 n;

	lockdep_assert_held(&errs->lock);

	arm_smmu_cmdq_prune_abandoned(smmu);
	n = errs->num_abandoned;
	if (n == errs->max_abandoned)
		n = 0;
	errs->abandoned[n] = (struct arm_smmu_cmdq_abandoned) {
		.start = range->start,
		.slots = range->slots,
		.atc = range->fence,
	};
	WRITE_ONCE(errs->num_abandoned, n + 1);

	/*
	 * Pairs with arm_smmu_cmdq_range_begin(): either who got slots again that
	 * have left the queue since sees this, or it is forgotten here.
	 */
	smp_mb();
	arm_smmu_cmdq_prune_abandoned(smmu);
}

/*
 * A device that has not answered one ATC_INV will hardly answer the next, and each
 * takes the SMMU up to a minute and a half. So when the SMMU has stopped, which is
 * when slots may be rewritten, take all out that nobody waits for.
 *
 * They are still there if the batch's CMD_SYNC is. That is no other batch's: one
 * that waits has a range that is disjoint, and one that timed out would have been
 * remembered in its place.
 */
static void arm_smmu_cmdq_disarm_abandoned(struct arm_smmu_device *smmu, u32 cons)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;
	u32 prod = readl_relaxed(smmu->cmdq.q.prod_reg);
	u32 queued = arm_smmu_cmdq_slot_diff(smmu, prod, cons);
	u32 i, j;

	lockdep_assert_held(&errs->lock);

	arm_smmu_cmdq_prune_abandoned(smmu);
	for (i = 0; i < errs->num_abandoned; i++) {
		struct arm_smmu_cmdq_abandoned *left = &errs->abandoned[i];
		u32 last = left->start + left->slots - 1;

		if (!left->atc || !arm_smmu_cmdq_slot_in(smmu, last, cons, queued) ||
		    !arm_smmu_cmdq_is_plain_sync(smmu, last))
			continue;
		for (j = left->start; j != last; j++)
			if (arm_smmu_cmdq_slot_in(smmu, j, cons, queued) &&
			    arm_smmu_cmdq_is_atc_inv(smmu, j))
				arm_smmu_cmdq_rewrite(smmu, j,
						      ARM_SMMU_CMDQ_HARMLESS);
		left->atc = false;
	}
}

static bool arm_smmu_cmdq_is_abandoned(struct arm_smmu_device *smmu, u32 slot)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;
	u32 i;

	lockdep_assert_held(&errs->lock);

	for (i = 0; i < errs->num_abandoned; i++)
		if (arm_smmu_cmdq_slot_in(smmu, slot, errs->abandoned[i].start,
					  errs->abandoned[i].slots))
			return true;
	return arm_smmu_cmdq_is_plain_sync(smmu, slot);
}

/*
 * Servicing errors
 */

/* Let the SMMU go on from the slot at CONS, and tell the range */
static void arm_smmu_cmdq_range_error(struct arm_smmu_device *smmu,
				      struct arm_smmu_cmdq_range *range,
				      u32 cons, u32 code)
{
	u32 offset = arm_smmu_cmdq_slot_diff(smmu, cons, range->start);
	bool is_fence = offset < range->fence;
	bool is_sync = offset == range->fence + range->num;
	bool again, failed;
	u64 instead = 0;

	lockdep_assert_held(&smmu->cmdq_errors.lock);

	if (range->last_offset != offset) {
		range->last_offset = offset;
		range->retries = 0;
	}
	range->retries++;
	again = range->retries > ARM_SMMU_CMDQ_RETRIES;

	switch (code) {
	case CMDQ_ERR_CERROR_NONE_IDX:
	case CMDQ_ERR_CERROR_ABT_IDX:
		/*
		 * The acknowledgment makes the SMMU fetch the command again. An
		 * abort that goes away is no error: the command is executed. As
		 * the last resort write the slot anew, it may be poisoned. A
		 * CMD_SYNC that is written anew is the same CMD_SYNC.
		 */
		if (again)
			instead = ARM_SMMU_CMDQ_PLAIN_SYNC;
		failed = again && !is_fence && !is_sync;
		break;
	case CMDQ_ERR_CERROR_ATC_INV_IDX:
		/*
		 * The acknowledgment makes the SMMU execute the CMD_SYNC again,
		 * which completes all but the ATC_INVs that timed out. The batch
		 * failed in any case, so don't insist.
		 */
		if (again)
			instead = ARM_SMMU_CMDQ_HARMLESS;
		failed = true;
		break;
	case CMDQ_ERR_CERROR_ILL_IDX:
	default:
		instead = again ? ARM_SMMU_CMDQ_HARMLESS :
				  ARM_SMMU_CMDQ_PLAIN_SYNC;
		failed = again || (!is_fence && !is_sync);
		break;
	}

	if (instead)
		arm_smmu_cmdq_rewrite(smmu, cons, instead);
	if (instead == ARM_SMMU_CMDQ_HARMLESS) {
		range->fence_lost |= is_fence;
		range->sync_lost |= is_sync;
	}
	if (range->retries > 2 * ARM_SMMU_CMDQ_RETRIES) {
		WRITE_ONCE(range->gave_up, true);
		failed = true;
	}

	/*
	 * The first error counts, but for an ATC_INV that timed out and shows at
	 * the CMD_SYNC in the place of an illegal command.
	 */
	if (failed && (!range->failed ||
		       (code == CMDQ_ERR_CERROR_ATC_INV_IDX &&
			range->offset == offset))) {
		range->failed = true;
		range->code = code ?: CMDQ_ERR_CERROR_ILL_IDX;
		range->offset = offset;
	}
}

/* The number of commands of @range in its first @slots slots */
static u32 arm_smmu_cmdq_range_cmds(const struct arm_smmu_cmdq_range *range,
				    u32 slots)
{
	return min(slots - min(slots, range->fence), range->num);
}

/*
 * An error that is not that of a range: what the interrupt handler always did about
 * it, but that a CMD_SYNC of a batch that timed out can be replaced.
 */
static void arm_smmu_cmdq_other_error(struct arm_smmu_device *smmu,
				      struct arm_smmu_cmdq_error *err)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;
	__le64 *ent = Q_ENT(&smmu->cmdq.q, err->cons);
	u32 slot = arm_smmu_cmdq_slot_diff(smmu, err->cons, 0);

	lockdep_assert_held(&errs->lock);

	if (errs->last_slot != slot)
		errs->retries = 0;
	errs->last_slot = slot;
	errs->retries++;

	switch (err->code) {
	case CMDQ_ERR_CERROR_NONE_IDX:
	case CMDQ_ERR_CERROR_ABT_IDX:
		break;
	case CMDQ_ERR_CERROR_ATC_INV_IDX:
		/* Not while somebody waits for the CMD_SYNC */
		if (err->abandoned && errs->retries > ARM_SMMU_CMDQ_RETRIES &&
		    arm_smmu_cmdq_is_plain_sync(smmu, err->cons))
			arm_smmu_cmdq_rewrite(smmu, err->cons,
					      ARM_SMMU_CMDQ_HARMLESS);
		break;
	case CMDQ_ERR_CERROR_ILL_IDX:
	default:
		err->cmd[0] = le64_to_cpu(ent[0]);
		err->cmd[1] = le64_to_cpu(ent[1]);
		arm_smmu_cmdq_rewrite(smmu, err->cons,
				      arm_smmu_cmdq_is_plain_sync(smmu, err->cons) ?
					      ARM_SMMU_CMDQ_HARMLESS :
					      ARM_SMMU_CMDQ_HOST_SYNC);
		break;
	}
}

VISIBLE_IF_KUNIT void
arm_smmu_cmdq_print_error(struct arm_smmu_device *smmu,
			  const struct arm_smmu_cmdq_error *err)
{
	static const char * const cerror_str[] = {
		[CMDQ_ERR_CERROR_NONE_IDX]	= "No error",
		[CMDQ_ERR_CERROR_ILL_IDX]	= "Illegal command",
		[CMDQ_ERR_CERROR_ABT_IDX]	= "Abort on command fetch",
		[CMDQ_ERR_CERROR_ATC_INV_IDX]	= "ATC invalidate timeout",
	};
	const char *str = err->code < ARRAY_SIZE(cerror_str) ?
			  cerror_str[err->code] : "Unknown";

	KUNIT_STATIC_STUB_REDIRECT(arm_smmu_cmdq_print_error, smmu, err);

	/* Maybe a guest's to repeat */
	if (err->abandoned || err->code == CMDQ_ERR_CERROR_ATC_INV_IDX) {
		dev_err_ratelimited(smmu->dev, "CMDQ error (cons 0x%08x): %s%s\n",
				    err->cons, str,
				    err->abandoned ? ", command timed out" : "");
		return;
	}

	dev_warn(smmu->dev,
		 "unexpected global error reported (0x%08x), this could be serious\n",
		 GERROR_CMDQ_ERR);
	dev_err(smmu->dev, "CMDQ error (cons 0x%08x): %s\n", err->cons, str);
	if (err->code == CMDQ_ERR_CERROR_ABT_IDX)
		dev_err(smmu->dev, "retrying command fetch\n");
	if (err->code == CMDQ_ERR_CERROR_NONE_IDX ||
	    err->code == CMDQ_ERR_CERROR_ABT_IDX)
		return;
	dev_err(smmu->dev, "skipping command in error state:\n");
	dev_err(smmu->dev, "\t0x%016llx\n", err->cmd[0]);
	dev_err(smmu->dev, "\t0x%016llx\n", err->cmd[1]);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_print_error);

/* Whose slot is this? The host's or an abandoned one if there is no answer. */
static struct arm_smmu_cmdq_range *
arm_smmu_cmdq_find_range(struct arm_smmu_device *smmu, u32 slot)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;
	struct arm_smmu_cmdq_range *range;
	int cpu;

	lockdep_assert_held(&errs->lock);
	/* Pairs with arm_smmu_cmdq_range_withdraw() */
	smp_mb();

	for_each_possible_cpu(cpu) {
		range = READ_ONCE(*per_cpu_ptr(errs->ranges, cpu));
		for (; range; range = range->prev)
			if (arm_smmu_cmdq_slot_in(smmu, slot, range->start,
						  range->slots))
				return range;
	}
	return NULL;
}

/* Is an error in this slot of @range about commands of @range? */
static bool arm_smmu_cmdq_range_is_cause(struct arm_smmu_device *smmu,
					 struct arm_smmu_cmdq_range *range,
					 u32 slot, u32 code)
{
	if (code != CMDQ_ERR_CERROR_ATC_INV_IDX)
		return true;
	/* There must be one of its own ATC_INVs in front of the CMD_SYNC */
	return range->fence &&
	       arm_smmu_cmdq_slot_diff(smmu, slot, range->start) > range->fence;
}

/*
 * Service CMDQ_ERR if it is active. Returns true if it was. What @print has is for
 * the log, when the lock is not held any more.
 */
static bool __arm_smmu_cmdq_service_error(struct arm_smmu_device *smmu,
					  struct arm_smmu_cmdq_error *print)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;
	struct arm_smmu_cmdq_range *range;
	u32 gerrorn, cons, code;

	lockdep_assert_held(&errs->lock);

	print->there = false;
	if (!arm_smmu_cmdq_err_active(smmu, &gerrorn))
		return false;

	/* Does not change until the error is acknowledged */
	cons = readl_relaxed(smmu->cmdq.q.cons_reg);
	code = FIELD_GET(CMDQ_CONS_ERR, cons);

	if (unlikely(errs->num_abandoned))
		arm_smmu_cmdq_disarm_abandoned(smmu, cons);

	range = arm_smmu_cmdq_find_range(smmu, cons);
	if (range && arm_smmu_cmdq_range_is_cause(smmu, range, cons, code)) {
		u32 offset = arm_smmu_cmdq_slot_diff(smmu, cons, range->start);

		trace_arm_smmu_cmdq_error(smmu->dev, code, cons,
					  arm_smmu_cmdq_range_cmds(range, offset),
					  ARM_SMMU_CMDQ_REPORTED);
		arm_smmu_cmdq_range_error(smmu, range, cons, code);
	} else {
		print->there = true;
		print->abandoned = !range && arm_smmu_cmdq_is_abandoned(smmu, cons);
		print->cons = cons;
		print->code = code;
		trace_arm_smmu_cmdq_error(smmu->dev, code, cons, 0,
					  print->abandoned ?
						  ARM_SMMU_CMDQ_ABANDONED :
						  ARM_SMMU_CMDQ_HOST);
		arm_smmu_cmdq_other_error(smmu, print);
	}

	/* writel(): the SMMU sees the rewritten slots first */
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
	struct arm_smmu_cmdq_error print;
	unsigned long flags;
	bool ret;

	raw_spin_lock_irqsave(&errs->lock, flags);
	ret = __arm_smmu_cmdq_service_error(smmu, &print);
	/*
	 * The interrupt of this error is still to come, and finds nothing. It is
	 * an edge: one can be on its way to the handler and one be pending, any
	 * others become one with the latter.
	 */
	if (ret)
		errs->serviced = min(errs->serviced + 1, 2);
	raw_spin_unlock_irqrestore(&errs->lock, flags);

	if (print.there)
		arm_smmu_cmdq_print_error(smmu, &print);
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
	struct arm_smmu_cmdq_error print;
	irqreturn_t ret = IRQ_HANDLED;
	unsigned long flags;

	raw_spin_lock_irqsave(&errs->lock, flags);
	if (__arm_smmu_cmdq_service_error(smmu, &print))
		errs->serviced = min(errs->serviced, 1);
	else if (errs->serviced)
		errs->serviced--;
	else
		ret = IRQ_NONE;
	raw_spin_unlock_irqrestore(&errs->lock, flags);

	if (print.there)
		arm_smmu_cmdq_print_error(smmu, &print);
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

/*
 * Reported batches
 */

static void arm_smmu_cmdq_write_range(struct arm_smmu_device *smmu,
				      struct arm_smmu_cmdq_range *range)
{
	struct arm_smmu_queue *q = &smmu->cmdq.q;
	u32 start = range->start + range->fence;
	u32 room = (1U << q->llq.max_n_shift) - Q_IDX(&q->llq, start);
	u32 first = min(range->num, room);
	u32 i;

	if (range->fence)
		arm_smmu_cmdq_rewrite(smmu, range->start,
				      ARM_SMMU_CMDQ_PLAIN_SYNC);

	if (IS_ENABLED(CONFIG_CPU_LITTLE_ENDIAN)) {
		memcpy(Q_ENT(q, start), range->cmds,
		       first << CMDQ_ENT_SZ_SHIFT);
		if (unlikely(first < range->num))
			memcpy(q->base, range->cmds + first * CMDQ_ENT_DWORDS,
			       (range->num - first) << CMDQ_ENT_SZ_SHIFT);
	} else {
		for (i = 0; i < range->num; i++) {
			__le64 *ent = Q_ENT(q, start + i);

			ent[0] = cpu_to_le64(range->cmds[i * CMDQ_ENT_DWORDS]);
			ent[1] = cpu_to_le64(range->cmds[i * CMDQ_ENT_DWORDS + 1]);
		}
	}

	if (range->sync)
		arm_smmu_cmdq_rewrite(smmu, start + range->num,
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
	range->prev = this_cpu_read(*errs->ranges);
	arm_smmu_cmdq_write_range(smmu, range);

	/* Pairs with arm_smmu_cmdq_abandon(): CONS was read before */
	smp_rmb();
	if (unlikely(READ_ONCE(errs->num_abandoned))) {
		raw_spin_lock(&errs->lock);
		arm_smmu_cmdq_reuse_abandoned(smmu, range);
		raw_spin_unlock(&errs->lock);
	}
	/* Who finds the range finds it filled in */
	smp_store_release(this_cpu_ptr(errs->ranges), range);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_range_begin);

/* The opposite of arm_smmu_cmdq_range_begin(): nobody uses @range any more */
static void arm_smmu_cmdq_range_withdraw(struct arm_smmu_device *smmu,
					 struct arm_smmu_cmdq_range *range)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;

	this_cpu_write(*errs->ranges, range->prev);
	/*
	 * Who services an error takes the lock, then looks for the range. If the
	 * lock is not taken after this, @range will not be found.
	 */
	smp_mb();
	if (unlikely(raw_spin_is_locked(&errs->lock))) {
		raw_spin_lock(&errs->lock);
		raw_spin_unlock(&errs->lock);
	}
	/* What was recorded in it is visible */
	smp_acquire__after_ctrl_dep();
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

/* What timeouts are measured by */
VISIBLE_IF_KUNIT ktime_t arm_smmu_cmdq_time(struct arm_smmu_device *smmu)
{
	KUNIT_STATIC_STUB_REDIRECT(arm_smmu_cmdq_time, smmu);

	return ktime_get();
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_time);

static void arm_smmu_cmdq_wait_begin(struct arm_smmu_device *smmu,
				     struct arm_smmu_cmdq_range *range, u32 us)
{
	range->timeout = ktime_add_us(arm_smmu_cmdq_time(smmu), us);
	range->looks = 0;
}

/*
 * Between two looks at the queue: service an error and pass some time. Returns false
 * if the look that follows is to be the last one.
 */
static bool arm_smmu_cmdq_wait_more(struct arm_smmu_device *smmu,
				    struct arm_smmu_cmdq_range *range)
{
	bool more = !ktime_after(arm_smmu_cmdq_time(smmu), range->timeout);
	u32 gerrorn;

	range->looks++;
	if (arm_smmu_cmdq_err_active(smmu, &gerrorn)) {
		arm_smmu_cmdq_service_error(smmu);
		/* What fails again and again gets more time */
		range->looks += ARM_SMMU_POLL_SPIN_COUNT;
	}
	arm_smmu_cmdq_range_relax(smmu, range->looks);
	return more;
}

/* Are there abandoned slots in the queue still? */
static bool arm_smmu_cmdq_any_abandoned(struct arm_smmu_device *smmu)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;
	unsigned long flags;
	bool any;

	raw_spin_lock_irqsave(&errs->lock, flags);
	arm_smmu_cmdq_prune_abandoned(smmu);
	any = errs->num_abandoned;
	raw_spin_unlock_irqrestore(&errs->lock, flags);
	return any;
}

VISIBLE_IF_KUNIT void arm_smmu_cmdq_sleep(struct arm_smmu_device *smmu)
{
	KUNIT_STATIC_STUB_REDIRECT(arm_smmu_cmdq_sleep, smmu);

	usleep_range(100, 1000);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_sleep);

/**
 * arm_smmu_cmdq_await_abandoned() - Let abandoned slots leave the queue
 * @smmu: The SMMU
 *
 * For who is about to issue a reported batch, which is not added before. Another VM's
 * device may just be slow: this waits for it as long as its own VM did, which is
 * arm_smmu_cmdq_errors::timeout_us, a second. There may be some left after that.
 *
 * Context: May sleep. Returns early when the caller is being killed.
 */
void arm_smmu_cmdq_await_abandoned(struct arm_smmu_device *smmu)
{
	ktime_t timeout = ktime_add_us(arm_smmu_cmdq_time(smmu),
				       smmu->cmdq_errors.timeout_us);
	u32 gerrorn;

	might_sleep();

	while (arm_smmu_cmdq_any_abandoned(smmu)) {
		if (ktime_after(arm_smmu_cmdq_time(smmu), timeout) ||
		    fatal_signal_pending(current))
			break;
		if (arm_smmu_cmdq_err_active(smmu, &gerrorn))
			arm_smmu_cmdq_service_error(smmu);
		arm_smmu_cmdq_sleep(smmu);
	}
}

/**
 * arm_smmu_cmdq_await_consumed() - Wait for what is in the queue
 * @smmu: The SMMU
 * @timeout_us: How long to wait at most, in microseconds
 *
 * For who has to know that a command of the host's is executed whose CMD_SYNC timed
 * out. What it is stuck behind may be the host's as well as a guest's.
 *
 * Context: May sleep. Does not care whether the caller is being killed.
 * Return: true if all is consumed that was in the queue at the time of the call. Not
 *         more than that: to be complete takes another CMD_SYNC.
 */
bool arm_smmu_cmdq_await_consumed(struct arm_smmu_device *smmu, u64 timeout_us)
{
	struct arm_smmu_queue *q = &smmu->cmdq.q;
	ktime_t timeout = ktime_add_us(arm_smmu_cmdq_time(smmu), timeout_us);
	u32 from = readl_relaxed(q->cons_reg);
	u32 n = arm_smmu_cmdq_slot_diff(smmu, READ_ONCE(q->llq.prod), from);
	u32 gerrorn;

	might_sleep();

	/* CONS leaves these slots at the end of them, however often it comes around */
	while (arm_smmu_cmdq_slot_in(smmu, readl_relaxed(q->cons_reg), from, n)) {
		if (ktime_after(arm_smmu_cmdq_time(smmu), timeout))
			return false;
		if (arm_smmu_cmdq_err_active(smmu, &gerrorn))
			arm_smmu_cmdq_service_error(smmu);
		arm_smmu_cmdq_sleep(smmu);
	}
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_await_consumed);

/* Wait for abandoned slots to leave the queue. Returns false if they don't. */
static noinline bool
arm_smmu_cmdq_wait_abandoned(struct arm_smmu_device *smmu,
			     struct arm_smmu_cmdq_range *range)
{
	bool more = true;

	arm_smmu_cmdq_wait_begin(smmu, range,
				 min_t(u32, ARM_SMMU_CMDQ_GRACE_US,
				       smmu->cmdq_errors.timeout_us));
	for (;;) {
		if (!arm_smmu_cmdq_any_abandoned(smmu))
			return true;
		if (!more)
			return false;
		more = arm_smmu_cmdq_wait_more(smmu, range);
	}
}

/**
 * arm_smmu_cmdq_range_full() - Wait a little for room in the queue
 * @smmu: The SMMU
 * @range: The batch that there is no room for
 *
 * Services errors, as there will be no room as long as one is active.
 *
 * Context: Not registered, the queue's lock not held.
 * Return: 0, or -EBUSY if it is time to give up
 */
int arm_smmu_cmdq_range_full(struct arm_smmu_device *smmu,
			     struct arm_smmu_cmdq_range *range)
{
	struct arm_smmu_cmdq_errors *errs = &smmu->cmdq_errors;

	if (!range->looks)
		arm_smmu_cmdq_wait_begin(smmu, range, errs->timeout_us);
	if (!arm_smmu_cmdq_wait_more(smmu, range))
		return -EBUSY;
	if (READ_ONCE(errs->num_abandoned)) {
		if (!arm_smmu_cmdq_wait_abandoned(smmu, range))
			return -EBUSY;
		range->looks = 0;
	}
	return 0;
}

static bool arm_smmu_cmdq_range_look(struct arm_smmu_device *smmu,
				     struct arm_smmu_cmdq_range *range)
{
	/*
	 * As in __arm_smmu_cmdq_poll_until_consumed() this needs to be a
	 * readl() for the queue's lock to be let go accurately.
	 */
	range->cons = readl(smmu->cmdq.q.cons_reg);

	/*
	 * CONS is at most the size of the queue behind the end of a range, and
	 * until the issuer lets go of the queue's lock less than that in front.
	 */
	return !Q_WRP(&smmu->cmdq.q.llq,
		      range->cons - (range->start + range->slots));
}

/* Returns false if @range is still not consumed when it is time to give up */
static noinline bool arm_smmu_cmdq_range_poll(struct arm_smmu_device *smmu,
					      struct arm_smmu_cmdq_range *range)
{
	bool more;

	arm_smmu_cmdq_wait_begin(smmu, range, smmu->cmdq_errors.timeout_us);
	do {
		more = arm_smmu_cmdq_wait_more(smmu, range);
		if (arm_smmu_cmdq_range_look(smmu, range))
			return true;
	} while (more && !READ_ONCE(range->gave_up));
	return false;
}

/*
 * @range is not consumed and nobody is going to wait for it. Returns true if it
 * is consumed after all. If not, an error that is there, and that nobody has
 * serviced yet, is why.
 */
static noinline bool arm_smmu_cmdq_range_abandon(struct arm_smmu_device *smmu,
						 struct arm_smmu_cmdq_range *range)
{
	u32 gerrorn, code;
	bool active = arm_smmu_cmdq_err_active(smmu, &gerrorn);

	lockdep_assert_held(&smmu->cmdq_errors.lock);

	/* Once more, as CMDQ_ERR may have become active since */
	if (arm_smmu_cmdq_range_look(smmu, range))
		return true;

	range->passed = 0;
	if (arm_smmu_cmdq_slot_in(smmu, range->cons, range->start, range->slots))
		range->passed = arm_smmu_cmdq_slot_diff(smmu, range->cons,
							range->start);

	code = FIELD_GET(CMDQ_CONS_ERR, range->cons);
	if (active && !range->failed) {
		if (arm_smmu_cmdq_find_range(smmu, range->cons) == range &&
		    arm_smmu_cmdq_range_is_cause(smmu, range, range->cons, code)) {
			range->failed = true;
			range->code = code ?: CMDQ_ERR_CERROR_ILL_IDX;
			range->offset = range->passed;
		} else if (code == CMDQ_ERR_CERROR_ABT_IDX) {
			/* See arm_smmu_cmdq_stuck_code() */
			range->code = code;
		}
	}
	arm_smmu_cmdq_abandon(smmu, range);
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

	lockdep_assert_irqs_disabled();

	consumed = arm_smmu_cmdq_range_look(smmu, range) ||
		   arm_smmu_cmdq_range_poll(smmu, range);

	if (likely(consumed)) {
		arm_smmu_cmdq_range_withdraw(smmu, range);
		return 0;
	}

	/* At once: no slot is in a range and abandoned */
	raw_spin_lock(&errs->lock);
	consumed = arm_smmu_cmdq_range_abandon(smmu, range);
	this_cpu_write(*errs->ranges, range->prev);
	raw_spin_unlock(&errs->lock);
	return consumed ? 0 : -ETIMEDOUT;
}

/*
 * Why the queue is stuck. An abort is about the memory of the queue and nobody's
 * command; all else is told only to whom it belongs.
 */
static u32 arm_smmu_cmdq_stuck_code(struct arm_smmu_device *smmu)
{
	u32 gerrorn, code = CMDQ_ERR_CERROR_NONE_IDX;
	unsigned long flags;

	raw_spin_lock_irqsave(&smmu->cmdq_errors.lock, flags);
	if (arm_smmu_cmdq_err_active(smmu, &gerrorn))
		code = FIELD_GET(CMDQ_CONS_ERR,
				 readl_relaxed(smmu->cmdq.q.cons_reg));
	raw_spin_unlock_irqrestore(&smmu->cmdq_errors.lock, flags);
	return code == CMDQ_ERR_CERROR_ABT_IDX ? code : CMDQ_ERR_CERROR_NONE_IDX;
}

/* An error, or commands left behind: find out what the issuer must be told */
static noinline int arm_smmu_cmdq_range_report(struct arm_smmu_device *smmu,
					       struct arm_smmu_cmdq_range *range,
					       int ret,
					       struct arm_smmu_cmdq_report *report)
{
	u32 last = range->num ? range->num - 1 : 0;

	if (ret == -EBUSY) {
		/* It is not even in the queue */
		range->code = arm_smmu_cmdq_stuck_code(smmu);
		range->start = readl_relaxed(smmu->cmdq.q.prod_reg);
		range->passed = 0;
		last = 0;
	} else if (!ret) {
		range->passed = range->slots;
	}

	report->code = range->code;
	report->issued = ret != -EBUSY;
	report->consumed = arm_smmu_cmdq_range_cmds(range, range->passed);
	report->offset = last;
	if (range->failed) {
		report->offset = arm_smmu_cmdq_range_cmds(range, range->offset);
		report->consumed = min(report->consumed, report->offset);
	}
	report->fenced = range->passed >= 1 && range->fence && !range->fence_lost;
	report->synced = !ret && range->sync && !range->sync_lost;
	report->stuck = ret;

	if (ret)
		dev_err_ratelimited(smmu->dev,
				    "CMDQ timeout of %u commands%s at 0x%08x%s [hwprod 0x%08x, hwcons 0x%08x]\n",
				    range->num, range->sync ? " and CMD_SYNC" : "",
				    range->start,
				    ret == -EBUSY ? ", not issued" : "",
				    readl_relaxed(smmu->cmdq.q.prod_reg),
				    readl_relaxed(smmu->cmdq.q.cons_reg));
	return range->failed ? -EIO : -ETIMEDOUT;
}

/**
 * arm_smmu_cmdq_issue_reported() - Issue commands and learn of their errors
 * @smmu: The SMMU; its main command queue takes the commands
 * @cmds: The commands, two u64 each in CPU byte order
 * @n: Number of commands, 0 if there is just a CMD_SYNC to issue. Together with
 *     the CMD_SYNCs at most the size of the queue.
 * @syncs: The CMD_SYNCs that go with them. Without any, wait until the SMMU has
 *         consumed the commands. ATC_INVs go into a batch of their own, and between
 *         two CMD_SYNCs.
 * @report: What became of the batch; filled in whatever the outcome
 *
 * All commands of a batch are issued, also those after one that fails.
 *
 * Context: Any context that may wait with interrupts off for as long as the
 * SMMU takes: arm_smmu_cmdq_errors::timeout_us at most, a second, once it is in the
 * queue, and as much before that if there is no room.
 * Return:
 * * 0		- consumed, and complete if there is a CMD_SYNC behind
 * * -EIO	- the SMMU raised an error, see @report. The rest of the batch may be
 *		  in the queue still.
 * * -ETIMEDOUT	- part of the batch is still in the queue, or none of it ever was, as
 *		  the queue is full or has commands of such a batch in it
 */
int arm_smmu_cmdq_issue_reported(struct arm_smmu_device *smmu, u64 *cmds,
				 u32 n, enum arm_smmu_cmdq_syncs syncs,
				 struct arm_smmu_cmdq_report *report)
{
	struct arm_smmu_cmdq_range range __uninitialized;
	int ret = -EBUSY;

	/* The other members are set before they are read */
	range.cmds = cmds;
	range.num = n;
	range.fence = syncs == ARM_SMMU_CMDQ_SYNC_AROUND;
	range.sync = syncs != ARM_SMMU_CMDQ_SYNC_NONE;
	range.slots = n + range.fence + range.sync;
	range.failed = false;
	range.gave_up = false;
	range.fence_lost = false;
	range.sync_lost = false;
	range.code = CMDQ_ERR_CERROR_NONE_IDX;
	range.last_offset = U32_MAX;
	range.looks = 0;

	if (likely(!READ_ONCE(smmu->cmdq_errors.num_abandoned)) ||
	    arm_smmu_cmdq_wait_abandoned(smmu, &range)) {
		range.looks = 0;
		ret = arm_smmu_cmdq_issue_range(smmu, &range);
	}

	if (likely(!ret && !range.failed)) {
		report->code = CMDQ_ERR_CERROR_NONE_IDX;
		report->offset = n;
		report->consumed = n;
		report->fenced = range.fence;
		report->synced = range.sync;
		report->stuck = false;
	} else {
		ret = arm_smmu_cmdq_range_report(smmu, &range, ret, report);
	}
	trace_arm_smmu_cmdq_batch(smmu->dev, range.start, n, range.sync, ret);
	return ret;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_issue_reported);
