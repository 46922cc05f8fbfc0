// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit: the command queue of the SMMUv3 driver against a model of an SMMU
 *
 * The code under test is the driver's, unchanged: insertion of host and of
 * reported batches, the service of errors, the GERROR interrupt handler and the
 * loop over a guest's array. The model is the other side of the queue: it reads
 * PROD and GERRORN, fetches and "executes" commands, and writes CONS and GERROR,
 * registers and queue being plain memory. It stops at an error and goes on
 * from CONS when that is acknowledged, as IHI 0070 section 7.1 has it, and it
 * notes what software must not do.
 *
 * A command says by itself what is to happen to it: fault bits in its address
 * field, see TEST_F_*. So a thread knows what it has to be told, however many
 * threads there are.
 *
 * The model is driven in one of two ways. In the cases of a single thread the
 * driver's poll loop is redirected to it, which takes just one CPU and no time, as
 * time passes only there; a batch can also be issued while another waits, from its
 * poll loop. In the other cases the model has a thread and a CPU of its own, as
 * issuers wait with interrupts off, and so has the interrupt handler.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <kunit/device.h>
#include <linux/delay.h>
#include <linux/fault-inject.h>
#include <linux/kmsg_dump.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/prandom.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <uapi/linux/iommufd.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-cmdq-error.h"
#include "arm-smmu-v3-vcmd.h"
#include "arm-smmu-v3-viommu.h"

#define TEST_QSHIFT		7
#define TEST_QSIZE		(1U << TEST_QSHIFT)
#define TEST_LOG_MAX		(1U << 16)

#define TEST_OP_ILL		0xff
#define TEST_VMID		7
#define TEST_TIMEOUT_US		(20 * USEC_PER_SEC)
#define TEST_VSID		0x21
#define TEST_SID		0x42

/* What happens to a command; in bits 15:12 of word 1, the rest is a tag */
#define TEST_F_ILL		BIT(0)	/* illegal */
#define TEST_F_ABT		BIT(1)	/* its fetch aborts twice */
#define TEST_F_ABT_HARD		BIT(2)	/* its fetch aborts until rewritten */
#define TEST_F_ATC		BIT(3)	/* ATC_INV: times out */
#define TEST_TAG(tag, faults)	(((u64)(tag) << 16) | ((u64)(faults) << 12))

struct test_cmd {
	u64 w[CMDQ_ENT_DWORDS];
};

/*
 * struct test_model - An SMMU, as far as its command queue goes
 * @smmu: What the driver knows of it
 * @qsize: Number of entries of the queue
 * @lock: Protects the rest against the threads of the test; never the driver's
 * @rd: CMDQ_CONS.RD
 * @gerror: GERROR
 * @gerrorn: GERRORN as last seen
 * @paused: Consumes nothing, as an SMMU that hangs
 * @pause_raised: Hangs when it has raised so many errors
 * @err_slot: The command here ends with @err_code, @err_count times
 * @abt_left: Of the TEST_F_ABT command at @rd, aborts still to come
 * @atc_failed: CMD_SYNCs that fail for an ATC_INV that timed out
 * @atc_repeat: How many do for each such ATC_INV
 * @irq_pending: A GERROR interrupt was raised and not taken, or more than one
 * @irq_handled, @irq_none: What the handler returned
 * @time: In nanoseconds, for cases of a single thread
 * @relax: Runs once, instead of the model, in the driver's poll loop
 * @report: Of the last batch
 * @print: Errors for the log, the last one
 * @printed: Number of them
 * @print_raises: Bits of GERROR to toggle while the next one is printed
 * @raised: Errors raised
 * @acked: Errors acknowledged
 * @violations: Things that software must not do
 * @log: Commands executed
 * @executed: Number of them
 */
struct test_model {
	struct arm_smmu_device smmu;
	u32 qsize;
	raw_spinlock_t lock;
	u32 rd;
	u32 gerror;
	u32 gerrorn;
	bool paused;
	unsigned int pause_raised;
	u32 err_slot;
	u32 err_code;
	int err_count;
	int abt_left;
	int atc_failed;
	int atc_repeat;
	atomic_t irq_pending;
	unsigned int irq_handled;
	unsigned int irq_none;
	ktime_t time;
	void (*relax)(struct test_model *m);
	struct arm_smmu_cmdq_report report;
	struct arm_smmu_cmdq_error print;
	unsigned int printed;
	u32 print_raises;
	unsigned int raised;
	unsigned int acked;
	unsigned int violations;
	struct test_cmd *log;
	unsigned int executed;
	struct task_struct *consumer;
	struct task_struct *irq_thread;
};

static void __iomem *test_reg(struct test_model *m, u32 offset)
{
	return m->smmu.base + offset;
}

static u32 test_slot(struct test_model *m, u32 slot)
{
	return slot & (2 * m->qsize - 1);
}

static void test_raise(struct test_model *m, u32 code)
{
	writel(m->rd | FIELD_PREP(CMDQ_CONS_ERR, code),
	       test_reg(m, ARM_SMMU_CMDQ_CONS));
	m->gerror ^= GERROR_CMDQ_ERR;
	writel(m->gerror, test_reg(m, ARM_SMMU_GERROR));
	if (++m->raised == m->pause_raised)
		m->paused = true;
	atomic_set(&m->irq_pending, 1);
}

/* Notice what was acknowledged. Returns true if an error is still active. */
static bool test_error_active(struct test_model *m)
{
	u32 gerrorn = readl(test_reg(m, ARM_SMMU_GERRORN));
	u32 toggled = gerrorn ^ m->gerrorn;

	/* Only active errors may be acknowledged */
	if (toggled & ~(m->gerror ^ m->gerrorn))
		m->violations++;
	if (toggled & GERROR_CMDQ_ERR)
		m->acked++;
	m->gerrorn = gerrorn;
	return (m->gerror ^ gerrorn) & GERROR_CMDQ_ERR;
}

/* The error that the command at CONS ends with, or 0 */
static u32 test_execute(struct test_model *m, const struct test_cmd *cmd)
{
	u32 faults = FIELD_GET(GENMASK_ULL(15, 12), cmd->w[1]);
	u8 op = FIELD_GET(CMDQ_0_OP, cmd->w[0]);

	if (m->err_count && m->err_slot == m->rd) {
		if (m->err_count > 0)
			m->err_count--;
		return m->err_code;
	}

	switch (op) {
	case CMDQ_OP_CMD_SYNC:
		if (m->atc_failed) {
			m->atc_failed--;
			return CMDQ_ERR_CERROR_ATC_INV_IDX;
		}
		return 0;
	case CMDQ_OP_CFGI_STE:
	case CMDQ_OP_CFGI_CD:
	case CMDQ_OP_CFGI_CD_ALL:
	case CMDQ_OP_TLBI_NH_ASID:
	case 0x10:
		return 0;
	case CMDQ_OP_TLBI_NH_VA:
	case CMDQ_OP_ATC_INV:
		break;
	default:
		return CMDQ_ERR_CERROR_ILL_IDX;
	}

	if (faults & TEST_F_ILL)
		return CMDQ_ERR_CERROR_ILL_IDX;
	if (faults & TEST_F_ABT_HARD)
		return CMDQ_ERR_CERROR_ABT_IDX;
	if (faults & TEST_F_ABT) {
		if (!m->abt_left)
			m->abt_left = 3;
		if (--m->abt_left)
			return CMDQ_ERR_CERROR_ABT_IDX;
	}
	if (op == CMDQ_OP_ATC_INV && (faults & TEST_F_ATC))
		m->atc_failed = m->atc_repeat;
	return 0;
}

/* Consume one command. Returns false if there was nothing to do. */
static bool test_step(struct test_model *m)
{
	struct test_cmd cmd;
	unsigned long flags;
	bool busy = false;
	__le64 *ent;
	u32 prod, code;

	raw_spin_lock_irqsave(&m->lock, flags);
	if (test_error_active(m) || READ_ONCE(m->paused))
		goto out;

	prod = readl(test_reg(m, ARM_SMMU_CMDQ_PROD));
	if (test_slot(m, prod - m->rd) > m->qsize)
		m->violations++;
	if (prod == m->rd)
		goto out;

	busy = true;
	ent = Q_ENT(&m->smmu.cmdq.q, m->rd);
	cmd.w[0] = le64_to_cpu(READ_ONCE(ent[0]));
	cmd.w[1] = le64_to_cpu(READ_ONCE(ent[1]));
	code = test_execute(m, &cmd);
	if (code) {
		test_raise(m, code);
		goto out;
	}
	if (m->executed < TEST_LOG_MAX)
		m->log[m->executed] = cmd;
	m->executed++;
	m->rd = test_slot(m, m->rd + 1);
	/* ERR is UNKNOWN without an error */
	writel(m->rd | FIELD_PREP(CMDQ_CONS_ERR, 0x55),
	       test_reg(m, ARM_SMMU_CMDQ_CONS));
out:
	raw_spin_unlock_irqrestore(&m->lock, flags);
	return busy;
}

static void test_drain(struct test_model *m)
{
	while (test_step(m))
		;
}

/* Takes the place of the time that passes in the driver's poll loop */
static void test_relax(struct arm_smmu_device *smmu, unsigned int looks)
{
	struct test_model *m = container_of(smmu, struct test_model, smmu);
	void (*relax)(struct test_model *m) = m->relax;

	m->time = ktime_add_us(m->time, 50);
	m->relax = NULL;
	if (relax)
		relax(m);
	else
		test_drain(m);
}

static ktime_t test_time(struct arm_smmu_device *smmu)
{
	return container_of(smmu, struct test_model, smmu)->time;
}

static void test_print(struct arm_smmu_device *smmu,
		       const struct arm_smmu_cmdq_error *err)
{
	struct test_model *m = container_of(smmu, struct test_model, smmu);

	m->print = *err;
	m->printed++;
}

/* An error and its interrupt are one: not between the two steps of test_raise() */
static bool test_irq_taken(struct test_model *m)
{
	unsigned long flags;
	bool pending;

	raw_spin_lock_irqsave(&m->lock, flags);
	pending = atomic_xchg(&m->irq_pending, 0);
	raw_spin_unlock_irqrestore(&m->lock, flags);
	return pending;
}

static int test_irq(struct test_model *m)
{
	int n = 0;

	while (test_irq_taken(m)) {
		if (arm_smmu_gerror_handler(0, &m->smmu) == IRQ_HANDLED)
			m->irq_handled++;
		else
			m->irq_none++;
		n++;
	}
	return n;
}

static int test_consumer(void *data)
{
	struct test_model *m = data;

	while (!kthread_should_stop()) {
		if (!test_step(m))
			cond_resched();
	}
	return 0;
}

static int test_irq_fn(void *data)
{
	struct test_model *m = data;

	while (!kthread_should_stop()) {
		if (!test_irq(m))
			cond_resched();
	}
	return 0;
}

static struct test_model *test_model(struct kunit *test)
{
	return test->priv;
}

static void test_free_log(void *data)
{
	kvfree(((struct test_model *)data)->log);
}

static int test_init_model(struct kunit *test, unsigned int qshift)
{
	struct test_model *m;
	struct arm_smmu_queue *q;
	struct device *dev;
	void *regs;

	m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m);
	m->log = kvcalloc(TEST_LOG_MAX, sizeof(*m->log), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m->log);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, test_free_log, m));
	regs = kunit_kzalloc(test, SZ_4K, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, regs);
	/* A case can have one of each */
	dev = kunit_device_register(test, qshift == TEST_QSHIFT ?
					  "arm-smmu-v3-model" :
					  "arm-smmu-v3-model-large");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, dev);

	m->qsize = 1U << qshift;
	raw_spin_lock_init(&m->lock);
	m->atc_repeat = 1;
	m->smmu.dev = dev;
	m->smmu.base = (void __iomem *)regs;

	q = &m->smmu.cmdq.q;
	q->llq.max_n_shift = qshift;
	q->ent_dwords = CMDQ_ENT_DWORDS;
	q->base = kunit_kzalloc(test, m->qsize << CMDQ_ENT_SZ_SHIFT, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, q->base);
	q->prod_reg = test_reg(m, ARM_SMMU_CMDQ_PROD);
	q->cons_reg = test_reg(m, ARM_SMMU_CMDQ_CONS);
	m->smmu.cmdq.valid_map =
		kunit_kzalloc(test, BITS_TO_LONGS(m->qsize) * sizeof(long),
			      GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m->smmu.cmdq.valid_map);
	KUNIT_ASSERT_EQ(test, arm_smmu_cmdq_errors_init(&m->smmu), 0);

	test->priv = m;
	return 0;
}

static int test_init(struct kunit *test)
{
	return test_init_model(test, TEST_QSHIFT);
}

/* And of that in which a caller sleeps */
static void test_sleep(struct arm_smmu_device *smmu)
{
	test_relax(smmu, 0);
}

static void test_use_stub(struct kunit *test)
{
	kunit_activate_static_stub(test, arm_smmu_cmdq_range_relax, test_relax);
	kunit_activate_static_stub(test, arm_smmu_cmdq_sleep, test_sleep);
	kunit_activate_static_stub(test, arm_smmu_cmdq_time, test_time);
	kunit_activate_static_stub(test, arm_smmu_cmdq_print_error, test_print);
}

/* Nobody waits for a batch */
static void test_expect_no_ranges(struct kunit *test)
{
	struct test_model *m = test_model(test);
	int cpu;

	for_each_possible_cpu(cpu)
		KUNIT_EXPECT_PTR_EQ(test, NULL,
				    *per_cpu_ptr(m->smmu.cmdq_errors.ranges,
						 cpu));
}

/* What must hold at the end of every case */
static void test_check_model(struct kunit *test)
{
	struct test_model *m = test_model(test);
	u32 prod = readl(test_reg(m, ARM_SMMU_CMDQ_PROD));

	KUNIT_EXPECT_FALSE(test, test_error_active(m));
	KUNIT_EXPECT_EQ(test, m->violations, 0);
	KUNIT_EXPECT_EQ(test, m->acked, m->raised);
	KUNIT_EXPECT_EQ(test, m->rd, prod);
	test_expect_no_ranges(test);
	KUNIT_EXPECT_EQ(test, atomic_read(&m->smmu.cmdq.lock), 0);

	/* No interrupt is spurious, but for one that there is no reason for */
	test_irq(m);
	KUNIT_EXPECT_EQ(test, !m->irq_handled, !m->raised);
	KUNIT_EXPECT_EQ(test, m->irq_none, 0);
	arm_smmu_gerror_handler(0, &m->smmu);
	KUNIT_EXPECT_EQ(test, arm_smmu_gerror_handler(0, &m->smmu), IRQ_NONE);
}

static void test_make(u64 *cmds, u32 i, u8 op, u64 tag, u32 faults)
{
	cmds[i * CMDQ_ENT_DWORDS] = FIELD_PREP(CMDQ_0_OP, op) |
				    (op == CMDQ_OP_ATC_INV ?
				     FIELD_PREP(CMDQ_ATC_0_SID, TEST_SID) :
				     FIELD_PREP(CMDQ_TLBI_0_VMID, TEST_VMID));
	cmds[i * CMDQ_ENT_DWORDS + 1] = TEST_TAG(tag, faults);
}

static void test_make_n(u64 *cmds, u32 n, u8 op, u64 tag)
{
	u32 i;

	for (i = 0; i < n; i++)
		test_make(cmds, i, op, tag + i, 0);
}

/*
 * The log from @first on is the batch @cmds, with the command at @skip, if it is
 * there, replaced by a plain CMD_SYNC
 */
static void test_expect_log(struct kunit *test, unsigned int first,
			    const u64 *cmds, u32 n, bool sync, u32 skip)
{
	struct test_model *m = test_model(test);
	u32 i;

	KUNIT_ASSERT_EQ(test, m->executed, first + n + sync);
	for (i = 0; i < n + sync; i++) {
		const struct test_cmd *cmd = &m->log[first + i];

		if (i == n || i == skip) {
			KUNIT_EXPECT_EQ_MSG(test, cmd->w[0], CMDQ_OP_CMD_SYNC,
					    "entry %u", i);
			KUNIT_EXPECT_EQ(test, cmd->w[1], 0);
			continue;
		}
		KUNIT_EXPECT_EQ_MSG(test, cmd->w[0], cmds[2 * i], "entry %u", i);
		KUNIT_EXPECT_EQ_MSG(test, cmd->w[1], cmds[2 * i + 1],
				    "entry %u", i);
	}
}

#define TEST_EXPECT_REPORT(test, report, code_, offset_, consumed_)	\
do {									\
	KUNIT_EXPECT_EQ(test, (report).code, code_);			\
	KUNIT_EXPECT_EQ(test, (report).offset, offset_);		\
	KUNIT_EXPECT_EQ(test, (report).consumed, consumed_);		\
} while (0)

#define TEST_NONE	ARM_SMMU_CMDQ_SYNC_NONE
#define TEST_AFTER	ARM_SMMU_CMDQ_SYNC_AFTER
#define TEST_AROUND	ARM_SMMU_CMDQ_SYNC_AROUND

#define TEST_ILL	CMDQ_ERR_CERROR_ILL_IDX
#define TEST_ABT	CMDQ_ERR_CERROR_ABT_IDX
#define TEST_ATC	CMDQ_ERR_CERROR_ATC_INV_IDX

/* Milliseconds within which an error must be back at its caller */
#define TEST_SOON	100

/* Issue a batch: what is returned, and the report but for CMD_SYNCs */
#define TEST_BATCH(test, cmds, n, syncs, ret, code, offset, consumed)	\
do {									\
	struct test_model *__m = test_model(test);			\
									\
	KUNIT_EXPECT_EQ(test, ret,					\
			arm_smmu_cmdq_issue_reported(&__m->smmu, cmds, n,	\
						     syncs, &__m->report));	\
	TEST_EXPECT_REPORT(test, __m->report, code, offset, consumed);	\
	KUNIT_EXPECT_EQ(test, __m->report.stuck,			\
			__m->rd != readl(test_reg(__m, ARM_SMMU_CMDQ_PROD))); \
} while (0)

/* A batch that nothing is wrong with */
#define TEST_GOOD(test, cmds, n, syncs)					\
do {									\
	TEST_BATCH(test, cmds, n, syncs, 0, 0, n, n);			\
	KUNIT_EXPECT_EQ(test, test_model(test)->report.fenced,		\
			(syncs) == TEST_AROUND);			\
	KUNIT_EXPECT_EQ(test, test_model(test)->report.synced,		\
			(syncs) != TEST_NONE);				\
} while (0)

#define TEST_EXPECT_SYNCS(test, fenced_, synced_)			\
do {									\
	KUNIT_EXPECT_EQ(test, test_model(test)->report.fenced, fenced_);	\
	KUNIT_EXPECT_EQ(test, test_model(test)->report.synced, synced_);	\
} while (0)

/* The @nth slot after PROD raises @code, @count times or if < 0 for ever */
static void test_err_at(struct test_model *m, u32 nth, u32 code, int count)
{
	m->err_slot = test_slot(m, m->rd + nth);
	m->err_code = code;
	m->err_count = count;
}

/* The opcode of the @nth command executed since @first */
static u8 test_log_op(struct test_model *m, unsigned int first, u32 nth)
{
	return FIELD_GET(CMDQ_0_OP, m->log[first + nth].w[0]);
}

/* The SMMU runs, and the interrupt is taken, until nothing is left to do */
static void test_settle(struct test_model *m)
{
	while (test_step(m) || test_irq(m))
		;
}

/* Batches of all lengths, many times around the queue */
static void test_batches(struct kunit *test)
{
	struct test_model *m = test_model(test);
	unsigned int i, first;
	u64 *cmds;

	test_use_stub(test);
	cmds = kunit_kmalloc(test, TEST_QSIZE << CMDQ_ENT_SZ_SHIFT, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, cmds);

	for (i = 0; i < 5 * TEST_QSIZE; i++) {
		bool sync = i & 1;
		u32 n = (i * 7) % (TEST_QSIZE / 2 + 1);

		if (!n && !sync)
			n = TEST_QSIZE;
		first = m->executed;
		test_make_n(cmds, n, CMDQ_OP_TLBI_NH_VA, i << 8);
		TEST_GOOD(test, cmds, n, sync ? TEST_AFTER : TEST_NONE);
		test_expect_log(test, first, cmds, n, sync, U32_MAX);
	}
	/* And with a CMD_SYNC in front */
	for (i = 0; i < 3 * TEST_QSIZE; i++) {
		u32 n = 1 + i % (TEST_QSIZE - 2);

		first = m->executed;
		test_make_n(cmds, n, CMDQ_OP_ATC_INV, i << 8);
		TEST_GOOD(test, cmds, n, TEST_AROUND);
		KUNIT_EXPECT_EQ(test, test_log_op(m, first, 0), CMDQ_OP_CMD_SYNC);
		test_expect_log(test, first + 1, cmds, n, true, U32_MAX);
	}
	KUNIT_EXPECT_EQ(test, m->raised, 0);
	test_check_model(test);
}

/*
 * CERROR_ILL at every place of a batch and at every place of the queue. It is back
 * soon although nobody takes the interrupt.
 */
static void test_ill(struct kunit *test)
{
	struct test_model *m = test_model(test);
	u64 cmds[9 * CMDQ_ENT_DWORDS];
	unsigned int i, first;
	ktime_t start = m->time;

	test_use_stub(test);
	for (i = 0; i < 3 * TEST_QSIZE; i++) {
		u32 n = 1 + i % 9, bad = (i / 9) % n;
		bool sync = i & 1;

		first = m->executed;
		test_make_n(cmds, n, CMDQ_OP_TLBI_NH_VA, i << 8);
		test_make(cmds, bad, CMDQ_OP_TLBI_NH_VA, i << 8, TEST_F_ILL);
		TEST_BATCH(test, cmds, n, sync ? TEST_AFTER : TEST_NONE, -EIO,
			   TEST_ILL, bad, bad);
		TEST_EXPECT_SYNCS(test, false, sync);
		test_expect_log(test, first, cmds, n, sync, bad);
		KUNIT_EXPECT_EQ(test, m->raised, i + 1);
	}
	KUNIT_EXPECT_EQ(test, m->printed, 0);
	KUNIT_EXPECT_LT(test, ktime_us_delta(m->time, start) / i, 1000);
	test_check_model(test);
}

/* Of several errors the first counts */
static void test_ill_first(struct kunit *test)
{
	u64 cmds[4 * CMDQ_ENT_DWORDS];

	test_use_stub(test);
	test_make_n(cmds, 4, CMDQ_OP_TLBI_NH_VA, 1);
	test_make(cmds, 1, CMDQ_OP_TLBI_NH_VA, 1, TEST_F_ABT_HARD);
	test_make(cmds, 2, CMDQ_OP_TLBI_NH_VA, 1, TEST_F_ILL);
	test_make(cmds, 3, TEST_OP_ILL, 1, 0);
	TEST_BATCH(test, cmds, 4, TEST_AFTER, -EIO, TEST_ABT, 1, 1);
	test_check_model(test);
}

/* A CMD_SYNC that is said to be illegal: written anew, then replaced, then given up */
static void test_ill_sync(struct kunit *test)
{
	struct test_model *m = test_model(test);
	u64 cmds[3 * CMDQ_ENT_DWORDS];
	unsigned int first;

	test_use_stub(test);
	test_make_n(cmds, 3, CMDQ_OP_TLBI_NH_VA, 1);
	test_err_at(m, 3, TEST_ILL, 4);
	TEST_GOOD(test, cmds, 3, TEST_AFTER);
	test_expect_log(test, 0, cmds, 3, true, U32_MAX);

	first = m->executed;
	test_err_at(m, 3, TEST_ILL, 5);
	TEST_BATCH(test, cmds, 3, TEST_AFTER, -EIO, TEST_ILL, 3, 3);
	TEST_EXPECT_SYNCS(test, false, false);
	KUNIT_EXPECT_EQ(test, test_log_op(m, first, 3), CMDQ_OP_CFGI_STE);

	/* The one in front of ATC_INVs: nothing is known to have been in order */
	first = m->executed;
	test_make_n(cmds, 3, CMDQ_OP_ATC_INV, 1);
	test_err_at(m, 0, TEST_ILL, 5);
	TEST_BATCH(test, cmds, 3, TEST_AROUND, -EIO, TEST_ILL, 0, 0);
	TEST_EXPECT_SYNCS(test, false, true);
	KUNIT_EXPECT_EQ(test, test_log_op(m, first, 0), CMDQ_OP_CFGI_STE);
	KUNIT_EXPECT_EQ(test, m->executed, first + 5);

	/* It is illegal whatever it is; the interrupt handler finds it abandoned */
	test_make_n(cmds, 3, CMDQ_OP_TLBI_NH_VA, 1);
	test_err_at(m, 3, TEST_ILL, -1);
	TEST_BATCH(test, cmds, 3, TEST_AFTER, -EIO, TEST_ILL, 3, 3);
	TEST_EXPECT_SYNCS(test, false, false);
	m->err_count = 0;
	test_settle(m);
	KUNIT_EXPECT_EQ(test, m->printed, 1);
	KUNIT_EXPECT_TRUE(test, m->print.abandoned);
	TEST_GOOD(test, cmds, 3, TEST_AFTER);
	test_check_model(test);
}

/* A fetch that aborts for a while is no error */
static void test_abt_heals(struct kunit *test)
{
	struct test_model *m = test_model(test);
	u64 cmds[3 * CMDQ_ENT_DWORDS];

	test_use_stub(test);
	test_make_n(cmds, 3, CMDQ_OP_TLBI_NH_VA, 1);
	test_make(cmds, 1, CMDQ_OP_TLBI_NH_VA, 1, TEST_F_ABT);
	TEST_GOOD(test, cmds, 3, TEST_AFTER);
	KUNIT_EXPECT_EQ(test, m->raised, 2);
	test_expect_log(test, 0, cmds, 3, true, U32_MAX);
	test_check_model(test);
}

/* One that aborts until its slot is written anew fails, the batch goes on */
static void test_abt_rewrite(struct kunit *test)
{
	struct test_model *m = test_model(test);
	u64 cmds[3 * CMDQ_ENT_DWORDS];

	test_use_stub(test);
	test_make_n(cmds, 3, CMDQ_OP_TLBI_NH_VA, 1);
	test_make(cmds, 2, CMDQ_OP_TLBI_NH_VA, 1, TEST_F_ABT_HARD);
	TEST_BATCH(test, cmds, 3, TEST_AFTER, -EIO, TEST_ABT, 2, 2);
	TEST_EXPECT_SYNCS(test, false, true);
	test_expect_log(test, 0, cmds, 3, true, 2);
	KUNIT_EXPECT_LT(test, m->raised, 50);

	/* A CMD_SYNC written anew is the same CMD_SYNC: nothing has failed */
	test_make_n(cmds, 1, CMDQ_OP_TLBI_NH_VA, 1);
	test_err_at(m, 1, TEST_ABT, 6);
	TEST_GOOD(test, cmds, 1, TEST_AFTER);
	KUNIT_EXPECT_EQ(test, m->err_count, 0);

	/* As is the one in front */
	test_make_n(cmds, 1, CMDQ_OP_ATC_INV, 1);
	test_err_at(m, 0, TEST_ABT, 6);
	TEST_GOOD(test, cmds, 1, TEST_AROUND);
	KUNIT_EXPECT_EQ(test, m->err_count, 0);
	test_check_model(test);
}

/* One that aborts for ever is given up, soon. What it leaves is nobody's. */
static void test_abt_persists(struct kunit *test)
{
	struct test_model *m = test_model(test);
	struct arm_smmu_cmdq_errors *errs = &m->smmu.cmdq_errors;
	u64 cmds[4 * CMDQ_ENT_DWORDS];
	ktime_t start = m->time;
	u32 prod;

	test_use_stub(test);
	test_make_n(cmds, 4, CMDQ_OP_TLBI_NH_VA, 1);
	test_err_at(m, 2, TEST_ABT, -1);
	TEST_BATCH(test, cmds, 4, TEST_AFTER, -EIO, TEST_ABT, 2, 2);
	KUNIT_EXPECT_TRUE(test, m->report.stuck);
	KUNIT_EXPECT_EQ(test, errs->num_abandoned, 1);
	KUNIT_EXPECT_EQ(test, errs->abandoned[0].slots, 5);
	test_expect_no_ranges(test);
	KUNIT_EXPECT_EQ(test, m->printed, 0);

	/* No other batch gets behind it. An abort is nobody's command. */
	prod = readl(test_reg(m, ARM_SMMU_CMDQ_PROD));
	TEST_BATCH(test, cmds, 4, TEST_AFTER, -ETIMEDOUT, TEST_ABT, 0, 0);
	KUNIT_EXPECT_TRUE(test, m->report.stuck);
	KUNIT_EXPECT_EQ(test, readl(test_reg(m, ARM_SMMU_CMDQ_PROD)), prod);
	KUNIT_EXPECT_LT(test, ktime_ms_delta(m->time, start), TEST_SOON);
	KUNIT_EXPECT_TRUE(test, m->printed && m->print.abandoned);

	/* As the host's: retried, by the interrupt now */
	test_drain(m);
	test_irq(m);
	m->err_count = 0;
	test_settle(m);
	KUNIT_EXPECT_EQ(test, m->executed, 5);
	KUNIT_EXPECT_EQ(test, errs->num_abandoned, 1);

	/* The next batch sees that it is gone */
	test_make_n(cmds, 4, CMDQ_OP_TLBI_NH_VA, 1);
	TEST_GOOD(test, cmds, 4, TEST_AFTER);
	KUNIT_EXPECT_EQ(test, errs->num_abandoned, 0);

	/* The CMD_SYNC can't be fetched */
	test_err_at(m, 4, TEST_ABT, -1);
	TEST_BATCH(test, cmds, 4, TEST_AFTER, -EIO, TEST_ABT, 4, 4);
	TEST_EXPECT_SYNCS(test, false, false);
	m->err_count = 0;
	test_settle(m);

	/* Nor can the one in front */
	test_make_n(cmds, 4, CMDQ_OP_ATC_INV, 1);
	test_err_at(m, 0, TEST_ABT, -1);
	TEST_BATCH(test, cmds, 4, TEST_AROUND, -EIO, TEST_ABT, 0, 0);
	TEST_EXPECT_SYNCS(test, false, false);
	m->err_count = 0;
	test_settle(m);
	test_check_model(test);
}

/* An ATC_INV that times out fails the batch that has it, at its CMD_SYNC */
static void test_atc(struct kunit *test)
{
	struct test_model *m = test_model(test);
	u64 cmds[4 * CMDQ_ENT_DWORDS];

	test_use_stub(test);
	test_make_n(cmds, 4, CMDQ_OP_ATC_INV, 1);
	test_make(cmds, 0, CMDQ_OP_ATC_INV, 1, TEST_F_ATC);
	TEST_BATCH(test, cmds, 4, TEST_AROUND, -EIO, TEST_ATC, 4, 4);
	TEST_EXPECT_SYNCS(test, true, true);
	KUNIT_EXPECT_EQ(test, m->raised, 1);
	KUNIT_EXPECT_EQ(test, test_log_op(m, 0, 0), CMDQ_OP_CMD_SYNC);
	test_expect_log(test, 1, cmds, 4, true, U32_MAX);

	/* The next one is fine */
	test_make_n(cmds, 4, CMDQ_OP_ATC_INV, 1);
	TEST_GOOD(test, cmds, 4, TEST_AROUND);
	KUNIT_EXPECT_EQ(test, m->printed, 0);
	test_check_model(test);
}

/* If the CMD_SYNC never succeeds it makes way for others */
static void test_atc_persists(struct kunit *test)
{
	struct test_model *m = test_model(test);
	u64 cmds[2 * CMDQ_ENT_DWORDS];
	unsigned int printed;

	test_use_stub(test);
	m->atc_repeat = 1000;
	test_make_n(cmds, 2, CMDQ_OP_ATC_INV, 1);
	test_make(cmds, 1, CMDQ_OP_ATC_INV, 1, TEST_F_ATC);
	TEST_BATCH(test, cmds, 2, TEST_AROUND, -EIO, TEST_ATC, 2, 2);
	TEST_EXPECT_SYNCS(test, true, false);
	KUNIT_EXPECT_EQ(test, m->executed, 4);
	KUNIT_EXPECT_EQ(test, test_log_op(m, 0, 3), CMDQ_OP_CFGI_STE);
	KUNIT_EXPECT_EQ(test, m->log[3].w[1], 0);
	KUNIT_EXPECT_LT(test, m->raised, 50);
	KUNIT_EXPECT_EQ(test, m->printed, 0);

	/* Another batch, without ATC_INVs, is not blamed for it */
	m->atc_failed = 3;
	test_make_n(cmds, 2, CMDQ_OP_TLBI_NH_VA, 1);
	TEST_GOOD(test, cmds, 2, TEST_AFTER);
	KUNIT_EXPECT_EQ(test, m->printed, 3);
	KUNIT_EXPECT_FALSE(test, m->print.abandoned);

	/* Nor is a CMD_SYNC alone */
	m->atc_failed = 2;
	TEST_GOOD(test, cmds, 0, TEST_AFTER);

	/* Nor are ATC_INVs: that is what the CMD_SYNC in front of them is for */
	m->atc_failed = 20;
	test_make_n(cmds, 2, CMDQ_OP_ATC_INV, 1);
	TEST_GOOD(test, cmds, 2, TEST_AROUND);
	KUNIT_EXPECT_EQ(test, m->atc_failed, 0);

	/* But they are if they fail as well */
	printed = m->printed;
	m->atc_failed = 3;
	m->atc_repeat = 2;
	test_make(cmds, 0, CMDQ_OP_ATC_INV, 1, TEST_F_ATC);
	TEST_BATCH(test, cmds, 2, TEST_AROUND, -EIO, TEST_ATC, 2, 2);
	TEST_EXPECT_SYNCS(test, true, true);
	KUNIT_EXPECT_EQ(test, m->printed, printed + 3);
	test_check_model(test);
}

/* An illegal command becomes a CMD_SYNC, and that reports an ATC_INV before */
static void test_atc_and_ill(struct kunit *test)
{
	struct test_model *m = test_model(test);
	u64 cmds[4 * CMDQ_ENT_DWORDS];

	test_use_stub(test);
	test_make_n(cmds, 4, CMDQ_OP_ATC_INV, 1);
	test_make(cmds, 1, CMDQ_OP_ATC_INV, 1, TEST_F_ATC);
	test_make(cmds, 2, CMDQ_OP_ATC_INV, 1, TEST_F_ILL);
	TEST_BATCH(test, cmds, 4, TEST_AROUND, -EIO, TEST_ATC, 2, 2);

	/* If it is the first one there are none before: an ATC_INV of others */
	test_make_n(cmds, 4, CMDQ_OP_ATC_INV, 1);
	test_make(cmds, 0, CMDQ_OP_ATC_INV, 1, TEST_F_ILL);
	test_err_at(m, 1, TEST_ATC, 1);
	TEST_BATCH(test, cmds, 4, TEST_AROUND, -EIO, TEST_ILL, 0, 0);
	TEST_EXPECT_SYNCS(test, true, true);
	KUNIT_EXPECT_EQ(test, m->printed, 1);

	/* An earlier error stays the first */
	test_make_n(cmds, 4, CMDQ_OP_ATC_INV, 1);
	test_make(cmds, 0, CMDQ_OP_ATC_INV, 1, TEST_F_ILL);
	test_make(cmds, 2, CMDQ_OP_ATC_INV, 1, TEST_F_ATC);
	TEST_BATCH(test, cmds, 4, TEST_AROUND, -EIO, TEST_ILL, 0, 0);
	test_check_model(test);
}

/* An SMMU that hangs: no error, no end; and then it goes on after all */
static void test_hang(struct kunit *test)
{
	struct test_model *m = test_model(test);
	struct arm_smmu_cmdq_errors *errs = &m->smmu.cmdq_errors;
	u64 cmds[4 * CMDQ_ENT_DWORDS];
	ktime_t start;
	u32 prod;

	test_use_stub(test);
	errs->timeout_us = 20000;
	m->paused = true;
	test_make_n(cmds, 4, CMDQ_OP_TLBI_NH_VA, 1);
	/* Some of what is left behind is bad */
	test_make(cmds, 1, CMDQ_OP_TLBI_NH_VA, 1, TEST_F_ILL);
	start = m->time;
	TEST_BATCH(test, cmds, 4, TEST_AFTER, -ETIMEDOUT, 0, 3, 0);
	TEST_EXPECT_SYNCS(test, false, false);
	KUNIT_EXPECT_GE(test, ktime_us_delta(m->time, start), 20000);
	KUNIT_EXPECT_EQ(test, errs->num_abandoned, 1);
	KUNIT_EXPECT_EQ(test, errs->abandoned[0].start, 0);
	KUNIT_EXPECT_EQ(test, errs->abandoned[0].slots, 5);
	KUNIT_EXPECT_EQ(test, m->executed, 0);

	/* Nobody else gets behind it, and soon knows */
	errs->timeout_us = TEST_TIMEOUT_US;
	prod = readl(test_reg(m, ARM_SMMU_CMDQ_PROD));
	start = m->time;
	TEST_BATCH(test, cmds, 4, TEST_AFTER, -ETIMEDOUT, 0, 0, 0);
	TEST_BATCH(test, cmds, 0, TEST_AFTER, -ETIMEDOUT, 0, 0, 0);
	KUNIT_EXPECT_LT(test, ktime_ms_delta(m->time, start), TEST_SOON);
	KUNIT_EXPECT_EQ(test, readl(test_reg(m, ARM_SMMU_CMDQ_PROD)), prod);
	KUNIT_EXPECT_EQ(test, errs->num_abandoned, 1);

	/* Errors in what was left behind don't reach the next batch */
	m->paused = false;
	test_make_n(cmds, 4, CMDQ_OP_TLBI_NH_VA, 1);
	TEST_GOOD(test, cmds, 4, TEST_AFTER);
	KUNIT_EXPECT_EQ(test, m->executed, 10);
	KUNIT_EXPECT_EQ(test, m->raised, 1);
	KUNIT_EXPECT_EQ(test, m->printed, 1);
	KUNIT_EXPECT_TRUE(test, m->print.abandoned);
	KUNIT_EXPECT_EQ(test, errs->num_abandoned, 0);
	test_check_model(test);
}

/* The first error is known, and then the SMMU hangs */
static void test_error_then_hang(struct kunit *test)
{
	struct test_model *m = test_model(test);
	u64 cmds[4 * CMDQ_ENT_DWORDS];

	test_use_stub(test);
	m->smmu.cmdq_errors.timeout_us = 2000;

	test_make_n(cmds, 4, CMDQ_OP_TLBI_NH_VA, 1);
	test_make(cmds, 2, CMDQ_OP_TLBI_NH_VA, 1, TEST_F_ILL);
	m->pause_raised = 1;
	TEST_BATCH(test, cmds, 4, TEST_AFTER, -EIO, TEST_ILL, 2, 2);
	TEST_EXPECT_SYNCS(test, false, false);
	KUNIT_EXPECT_TRUE(test, m->report.stuck);
	m->paused = false;
	test_settle(m);

	test_make_n(cmds, 4, CMDQ_OP_ATC_INV, 1);
	test_make(cmds, 2, CMDQ_OP_ATC_INV, 1, TEST_F_ATC);
	m->pause_raised = 2;
	TEST_BATCH(test, cmds, 4, TEST_AROUND, -EIO, TEST_ATC, 4, 4);
	TEST_EXPECT_SYNCS(test, true, false);
	KUNIT_EXPECT_TRUE(test, m->report.stuck);
	m->paused = false;
	test_settle(m);

	/* Aborts, fewer than it takes to call it an error, and then none */
	test_make_n(cmds, 4, CMDQ_OP_TLBI_NH_VA, 1);
	test_err_at(m, 1, TEST_ABT, 2);
	m->pause_raised = 4;
	TEST_BATCH(test, cmds, 4, TEST_AFTER, -ETIMEDOUT, 0, 3, 1);
	m->paused = false;
	test_settle(m);
	TEST_GOOD(test, cmds, 4, TEST_AFTER);
	test_check_model(test);
}

static void test_relax_late(struct test_model *m)
{
	m->time = ktime_add_us(m->time, m->smmu.cmdq_errors.timeout_us);
}

/* An error becomes active at the very end, when it is not going to be serviced */
static void test_error_late(struct kunit *test)
{
	struct test_model *m = test_model(test);
	struct arm_smmu_cmdq_errors *errs = &m->smmu.cmdq_errors;
	u64 cmds[4 * CMDQ_ENT_DWORDS], host[2 * CMDQ_ENT_DWORDS];

	test_use_stub(test);
	errs->timeout_us = 2000;

	test_make_n(cmds, 4, CMDQ_OP_TLBI_NH_VA, 1);
	test_make(cmds, 2, CMDQ_OP_TLBI_NH_VA, 1, TEST_F_ILL);
	m->relax = test_relax_late;
	TEST_BATCH(test, cmds, 4, TEST_AFTER, -EIO, TEST_ILL, 2, 2);
	test_settle(m);
	KUNIT_EXPECT_EQ(test, m->printed, 1);

	test_make_n(cmds, 4, CMDQ_OP_TLBI_NH_VA, 1);
	test_err_at(m, 1, TEST_ABT, 1);
	m->relax = test_relax_late;
	TEST_BATCH(test, cmds, 4, TEST_AFTER, -EIO, TEST_ABT, 1, 1);
	test_settle(m);

	test_make_n(cmds, 4, CMDQ_OP_ATC_INV, 1);
	test_make(cmds, 2, CMDQ_OP_ATC_INV, 1, TEST_F_ATC);
	m->relax = test_relax_late;
	TEST_BATCH(test, cmds, 4, TEST_AROUND, -EIO, TEST_ATC, 4, 4);
	TEST_EXPECT_SYNCS(test, true, false);
	test_settle(m);

	/* A host's ATC_INV that it has not synchronised, at our CMD_SYNC */
	test_make_n(host, 2, CMDQ_OP_ATC_INV, 0x80);
	test_make(host, 1, CMDQ_OP_ATC_INV, 0x80, TEST_F_ATC);
	test_make_n(cmds, 4, CMDQ_OP_TLBI_NH_VA, 1);
	KUNIT_EXPECT_EQ(test, 0, arm_smmu_cmdq_issue_host(&m->smmu, host, 2, false));
	m->relax = test_relax_late;
	TEST_BATCH(test, cmds, 4, TEST_AFTER, -ETIMEDOUT, 0, 3, 4);
	test_settle(m);

	/* An illegal command of the host's in front */
	test_make_n(host, 2, CMDQ_OP_TLBI_NH_VA, 0x80);
	test_make(host, 1, CMDQ_OP_TLBI_NH_VA, 0x80, TEST_F_ILL);
	KUNIT_EXPECT_EQ(test, 0, arm_smmu_cmdq_issue_host(&m->smmu, host, 2, false));
	m->relax = test_relax_late;
	TEST_BATCH(test, cmds, 4, TEST_AFTER, -ETIMEDOUT, 0, 3, 0);
	test_settle(m);

	/* Nobody can go on if a fetch aborts, wherever it is */
	test_make_n(host, 2, CMDQ_OP_TLBI_NH_VA, 0x80);
	test_err_at(m, 1, TEST_ABT, 1);
	KUNIT_EXPECT_EQ(test, 0, arm_smmu_cmdq_issue_host(&m->smmu, host, 2, false));
	m->relax = test_relax_late;
	TEST_BATCH(test, cmds, 4, TEST_AFTER, -ETIMEDOUT, TEST_ABT, 3, 0);
	test_settle(m);
	TEST_GOOD(test, cmds, 4, TEST_AFTER);
	test_check_model(test);
}

/* A batch of 2 ATC_INVs for each that waits already, and in the end nothing moves */
static u64 test_nested_cmds[2 * CMDQ_ENT_DWORDS];
static unsigned int test_nested_left;

static void test_relax_nested(struct test_model *m)
{
	struct arm_smmu_cmdq_report report;

	if (!test_nested_left)
		return;
	test_nested_left--;
	m->relax = test_relax_nested;
	arm_smmu_cmdq_issue_reported(&m->smmu, test_nested_cmds, 2, TEST_AROUND,
				     &report);
}

/* Have @n batches of ATC_INVs time out together, of which the first fails */
static void test_abandon(struct kunit *test, unsigned int n)
{
	struct test_model *m = test_model(test);
	u64 cmds[2 * CMDQ_ENT_DWORDS];

	m->smmu.cmdq_errors.timeout_us = 2000;
	m->paused = true;
	test_make_n(cmds, 2, CMDQ_OP_ATC_INV, 0x70);
	test_make(cmds, 0, CMDQ_OP_ATC_INV, 0x70, TEST_F_ATC);
	test_make_n(test_nested_cmds, 2, CMDQ_OP_ATC_INV, 0x70);
	test_nested_left = n - 1;
	m->relax = test_relax_nested;
	TEST_BATCH(test, cmds, 2, TEST_AROUND, -ETIMEDOUT, 0, 1, 0);
	m->relax = NULL;
	m->smmu.cmdq_errors.timeout_us = TEST_TIMEOUT_US;
}

/*
 * ATC_INVs that nobody waits for any more are taken out of the queue when the first
 * of them has failed; the CMD_SYNC that it failed at as well, if it goes on failing.
 */
static void test_atc_abandoned(struct kunit *test)
{
	struct test_model *m = test_model(test);
	struct arm_smmu_cmdq_errors *errs = &m->smmu.cmdq_errors;
	static const u8 expected[] = {
		CMDQ_OP_CMD_SYNC, CMDQ_OP_ATC_INV, CMDQ_OP_ATC_INV, CMDQ_OP_CFGI_STE,
		CMDQ_OP_CMD_SYNC, CMDQ_OP_CFGI_STE, CMDQ_OP_CFGI_STE, CMDQ_OP_CMD_SYNC,
		CMDQ_OP_CMD_SYNC, CMDQ_OP_CFGI_STE, CMDQ_OP_CFGI_STE, CMDQ_OP_CMD_SYNC,
		/* The host's, which happens to be the same */
		CMDQ_OP_ATC_INV, CMDQ_OP_ATC_INV,
		CMDQ_OP_CMD_SYNC, CMDQ_OP_ATC_INV, CMDQ_OP_ATC_INV, CMDQ_OP_CMD_SYNC,
	};
	u64 cmds[2 * CMDQ_ENT_DWORDS];
	unsigned int i;

	test_use_stub(test);
	test_abandon(test, 3);
	KUNIT_ASSERT_EQ(test, errs->num_abandoned, 3);
	KUNIT_EXPECT_EQ(test, arm_smmu_cmdq_issue_host(&m->smmu, test_nested_cmds, 2,
						       false), 0);

	m->paused = false;
	m->atc_repeat = 5;
	test_make_n(cmds, 2, CMDQ_OP_ATC_INV, 1);
	TEST_GOOD(test, cmds, 2, TEST_AROUND);
	KUNIT_EXPECT_EQ(test, m->raised, 5);
	KUNIT_EXPECT_EQ(test, m->printed, 5);
	KUNIT_EXPECT_TRUE(test, m->print.abandoned);
	KUNIT_ASSERT_EQ(test, m->executed, ARRAY_SIZE(expected));
	for (i = 0; i < ARRAY_SIZE(expected); i++)
		KUNIT_EXPECT_EQ_MSG(test, test_log_op(m, 0, i), expected[i],
				    "command %u", i);
	test_check_model(test);
}

/*
 * Slots that were abandoned, consumed, and are the host's now. Nothing of the
 * host's is rewritten, whatever happens while they are in use.
 */
static void test_abandoned_reused(struct kunit *test)
{
	struct test_model *m = test_model(test);
	struct arm_smmu_cmdq_errors *errs = &m->smmu.cmdq_errors;
	u64 host[8 * CMDQ_ENT_DWORDS], cmds[1 * CMDQ_ENT_DWORDS];
	unsigned int i, first, code;

	test_use_stub(test);
	test_make_n(cmds, 1, CMDQ_OP_TLBI_NH_VA, 1);
	for (code = TEST_ILL; code <= TEST_ATC; code++) {
		for (i = 0; i < 4; i++) {
			u32 start = readl(test_reg(m, ARM_SMMU_CMDQ_PROD)), j;
			struct arm_smmu_cmdq_abandoned left;

			m->atc_repeat = 0;
			test_abandon(test, 1);
			KUNIT_ASSERT_EQ(test, errs->num_abandoned, 1);
			left = errs->abandoned[0];
			m->paused = false;
			test_settle(m);

			/* The host goes around until the slots have the same numbers */
			test_make_n(host, 4, CMDQ_OP_ATC_INV, 0x90);
			for (j = 4; j < 2 * m->qsize; j += 4) {
				KUNIT_ASSERT_EQ(test, 0,
						arm_smmu_cmdq_issue_host(&m->smmu,
									 host, 4, false));
				test_settle(m);
			}
			KUNIT_ASSERT_EQ(test, readl(test_reg(m, ARM_SMMU_CMDQ_PROD)),
					start);

			/* Errors in them and behind them */
			first = m->executed;
			test_make_n(host, 8, CMDQ_OP_ATC_INV, 0xa0);
			KUNIT_ASSERT_EQ(test, 0,
					arm_smmu_cmdq_issue_host(&m->smmu, host, 8,
								 false));
			KUNIT_EXPECT_EQ(test, errs->num_abandoned, 1);
			KUNIT_EXPECT_EQ(test, errs->abandoned[0].start, left.start);
			test_err_at(m, 2 * i, code, 7);
			m->printed = 0;
			if (code == TEST_ILL)
				m->err_count = 1;
			test_settle(m);
			KUNIT_EXPECT_EQ(test, m->executed, first + 8);
			for (j = 0; j < 8; j++) {
				const struct test_cmd *cmd = &m->log[first + j];

				if (code == TEST_ILL && j == 2 * i) {
					/* As the host's: it raises an event */
					KUNIT_EXPECT_EQ(test, cmd->w[0] & 0xff,
							CMDQ_OP_CMD_SYNC);
					KUNIT_EXPECT_NE(test, cmd->w[0],
							CMDQ_OP_CMD_SYNC);
					continue;
				}
				KUNIT_EXPECT_EQ(test, cmd->w[0], host[2 * j]);
				KUNIT_EXPECT_EQ(test, cmd->w[1], host[2 * j + 1]);
			}
			KUNIT_EXPECT_EQ(test, m->printed, code == TEST_ILL ? 1 : 7);
			TEST_GOOD(test, cmds, 1, TEST_AFTER);
			KUNIT_EXPECT_EQ(test, errs->num_abandoned, 0);
			m->executed = 0;
		}
	}
	test_check_model(test);
}

/*
 * A batch that timed out has gone as far as its CMD_SYNC, where the SMMU stopped, and the
 * host has filled all of the queue, also what that batch has left of its slots.
 */
static void test_abandoned_full(struct kunit *test)
{
	struct test_model *m = test_model(test);
	u64 host[1 * CMDQ_ENT_DWORDS];
	unsigned int i, first;

	test_use_stub(test);
	test_abandon(test, 1);
	m->paused = false;
	test_drain(m);
	KUNIT_ASSERT_EQ(test, m->executed, 3);
	KUNIT_ASSERT_EQ(test, m->raised, 1);

	for (i = 0; i < m->qsize - 1; i++) {
		test_make(host, 0, CMDQ_OP_ATC_INV, i, 0);
		KUNIT_ASSERT_EQ(test, 0, arm_smmu_cmdq_issue_host(&m->smmu, host, 1,
								  false));
	}
	test_settle(m);
	first = 4;
	KUNIT_ASSERT_EQ(test, m->executed, first + m->qsize - 1);
	for (i = 0; i < m->qsize - 1; i++) {
		test_make(host, 0, CMDQ_OP_ATC_INV, i, 0);
		KUNIT_EXPECT_EQ_MSG(test, m->log[first + i].w[0], host[0], "%u", i);
		KUNIT_EXPECT_EQ_MSG(test, m->log[first + i].w[1], host[1], "%u", i);
	}
	test_check_model(test);
}

/* More of them than are remembered */
static void test_abandoned_many(struct kunit *test)
{
	struct test_model *m = test_model(test);
	struct arm_smmu_cmdq_errors *errs = &m->smmu.cmdq_errors;
	u64 cmds[1 * CMDQ_ENT_DWORDS];
	unsigned int n;

	test_use_stub(test);
	test_make_n(cmds, 1, CMDQ_OP_TLBI_NH_VA, 1);
	KUNIT_EXPECT_GE(test, errs->max_abandoned, num_possible_cpus());
	errs->max_abandoned = ARM_SMMU_CMDQ_ABANDONED_MIN;
	for (n = 1; n <= errs->max_abandoned + 2; n++) {
		test_abandon(test, n);
		KUNIT_EXPECT_EQ(test, errs->num_abandoned,
				n <= errs->max_abandoned ? n : n - errs->max_abandoned);
		TEST_BATCH(test, cmds, 1, TEST_AFTER, -ETIMEDOUT, 0, 0, 0);
		m->paused = false;
		TEST_GOOD(test, cmds, 1, TEST_AFTER);
		KUNIT_EXPECT_EQ(test, errs->num_abandoned, 0);
	}
	test_check_model(test);
}

/* Put @n commands of the host into the queue, that it does not wait for */
static void test_fill(struct kunit *test, u32 n)
{
	struct test_model *m = test_model(test);
	u64 host[8 * CMDQ_ENT_DWORDS];

	for (; n; n -= min(n, 8)) {
		test_make_n(host, 8, CMDQ_OP_TLBI_NH_VA, 0x80);
		KUNIT_ASSERT_EQ(test, 0,
				arm_smmu_cmdq_issue_host(&m->smmu, host, min(n, 8),
							 false));
	}
}

/* There is no room: wait for it, service errors meanwhile, but not for ever */
static void test_full(struct kunit *test)
{
	struct test_model *m = test_model(test);
	struct arm_smmu_cmdq_errors *errs = &m->smmu.cmdq_errors;
	u64 cmds[4 * CMDQ_ENT_DWORDS];
	unsigned int i;
	ktime_t start;

	test_use_stub(test);
	test_make_n(cmds, 4, CMDQ_OP_TLBI_NH_VA, 1);
	for (i = 0; i < 3; i++) {
		/* A bit less than full is full, too */
		m->paused = true;
		errs->timeout_us = 20000;
		test_fill(test, m->qsize - i);
		start = m->time;
		TEST_BATCH(test, cmds, 4, TEST_AFTER, -ETIMEDOUT, 0, 0, 0);
		KUNIT_EXPECT_GE(test, ktime_us_delta(m->time, start), 20000);
		KUNIT_EXPECT_LT(test, ktime_ms_delta(m->time, start), TEST_SOON);
		KUNIT_EXPECT_EQ(test, errs->num_abandoned, 0);

		errs->timeout_us = TEST_TIMEOUT_US;
		m->paused = false;
		test_err_at(m, 5, TEST_ILL, 1);
		m->printed = 0;
		TEST_GOOD(test, cmds, 4, TEST_AFTER);
		KUNIT_EXPECT_EQ(test, m->printed, 1);
		KUNIT_EXPECT_FALSE(test, m->print.abandoned);
	}
	test_check_model(test);
}

/* Whatever is in the queue is waited for, and has its errors serviced, but not for ever */
static void test_await_consumed(struct kunit *test)
{
	struct test_model *m = test_model(test);
	ktime_t start;
	u32 n;

	test_use_stub(test);
	/* Nothing to wait for */
	KUNIT_ASSERT_TRUE(test, arm_smmu_cmdq_await_consumed(&m->smmu, 2000));
	/* A few commands, and a full queue: then CONS and PROD differ in the wrap bit alone */
	for (n = 4; n <= m->qsize; n += m->qsize - 4) {
		m->paused = true;
		test_fill(test, n);
		start = m->time;
		KUNIT_ASSERT_FALSE(test, arm_smmu_cmdq_await_consumed(&m->smmu, 2000));
		KUNIT_EXPECT_GE(test, ktime_us_delta(m->time, start), 2000);
		KUNIT_EXPECT_LT(test, ktime_us_delta(m->time, start), 3000);

		m->paused = false;
		test_err_at(m, 2, TEST_ILL, 1);
		KUNIT_ASSERT_TRUE(test, arm_smmu_cmdq_await_consumed(&m->smmu, 2000));
		KUNIT_EXPECT_EQ(test, m->rd, readl_relaxed(m->smmu.cmdq.q.prod_reg));
	}
	KUNIT_EXPECT_EQ(test, m->raised, 2);
	test_check_model(test);
}

/* Another CPU finds its CMD_SYNC consumed, and says how far the SMMU is */
static void test_relax_consumed(struct test_model *m)
{
	m->paused = false;
	test_drain(m);
	WRITE_ONCE(m->smmu.cmdq.q.llq.cons, m->rd);
}

/* There is no room, and it is another CPU's to say when there is some */
static void test_full_shared(struct kunit *test)
{
	struct test_model *m = test_model(test);
	struct arm_smmu_cmdq_errors *errs = &m->smmu.cmdq_errors;
	u64 cmds[4 * CMDQ_ENT_DWORDS];

	test_use_stub(test);
	test_make_n(cmds, 4, CMDQ_OP_TLBI_NH_VA, 1);
	m->paused = true;
	test_fill(test, m->qsize);

	/* It waits for a CMD_SYNC in the queue, which the SMMU does not get to */
	atomic_set(&m->smmu.cmdq.lock, 1);
	errs->timeout_us = 20000;
	TEST_BATCH(test, cmds, 4, TEST_AFTER, -ETIMEDOUT, 0, 0, 0);
	KUNIT_EXPECT_EQ(test, errs->num_abandoned, 0);

	/* It does, and the CPU still has the queue's lock when the batch goes on */
	errs->timeout_us = TEST_TIMEOUT_US;
	m->relax = test_relax_consumed;
	TEST_GOOD(test, cmds, 4, TEST_AFTER);
	KUNIT_EXPECT_EQ(test, atomic_read(&m->smmu.cmdq.lock), 1);
	atomic_set(&m->smmu.cmdq.lock, 0);

	TEST_GOOD(test, cmds, 4, TEST_AFTER);
	test_check_model(test);
}

/* A batch gets slots again in which another was abandoned, before anybody looked */
static void test_abandoned_taken(struct kunit *test)
{
	struct test_model *m = test_model(test);
	struct arm_smmu_cmdq_errors *errs = &m->smmu.cmdq_errors;
	struct arm_smmu_cmdq_abandoned left;
	u64 cmds[2 * CMDQ_ENT_DWORDS];
	unsigned long flags;
	unsigned int i;

	test_use_stub(test);
	test_make_n(cmds, 2, CMDQ_OP_TLBI_NH_VA, 1);
	test_abandon(test, 1);
	KUNIT_ASSERT_EQ(test, errs->num_abandoned, 1);
	left = errs->abandoned[0];
	KUNIT_ASSERT_EQ(test, left.slots, 4);
	m->paused = false;
	m->atc_repeat = 0;
	test_settle(m);

	/* Three slots; the fourth from its first on is the first abandoned one, at first */
	for (i = 0; i < 10; i++) {
		struct arm_smmu_cmdq_range range = {
			.cmds = cmds,
			.num = 2,
			.sync = true,
			.slots = 3,
		};

		errs->abandoned[0] = left;
		errs->num_abandoned = 1;
		local_irq_save(flags);
		arm_smmu_cmdq_range_begin(&m->smmu, &range,
					  test_slot(m, left.start - 4 + i));
		this_cpu_write(*errs->ranges, range.prev);
		local_irq_restore(flags);
		KUNIT_EXPECT_EQ_MSG(test, errs->num_abandoned, i < 2 || i > 7,
				    "%u", i);
	}
	errs->num_abandoned = 0;
	test_check_model(test);
}

static void test_relax_resume(struct test_model *m)
{
	m->paused = false;
	test_drain(m);
}

static bool test_resumes;

/* Another CPU gets what room there is, and is not served */
static void test_relax_abandon(struct test_model *m)
{
	struct arm_smmu_cmdq_report report;
	unsigned int i;

	m->paused = false;
	for (i = 0; i < 8; i++)
		test_step(m);
	m->paused = true;
	arm_smmu_cmdq_issue_reported(&m->smmu, test_nested_cmds, 2, TEST_AFTER,
				     &report);
	if (test_resumes)
		m->relax = test_relax_resume;
}

/* There is no room, and who waits for it finds that another has timed out */
static void test_full_abandoned(struct kunit *test)
{
	struct test_model *m = test_model(test);
	struct arm_smmu_cmdq_errors *errs = &m->smmu.cmdq_errors;
	u64 cmds[16 * CMDQ_ENT_DWORDS];

	test_use_stub(test);
	test_make_n(cmds, 16, CMDQ_OP_TLBI_NH_VA, 1);
	test_make_n(test_nested_cmds, 2, CMDQ_OP_TLBI_NH_VA, 2);
	errs->timeout_us = 20000;

	m->paused = true;
	test_fill(test, m->qsize);
	test_resumes = false;
	m->relax = test_relax_abandon;
	TEST_BATCH(test, cmds, 16, TEST_AFTER, -ETIMEDOUT, 0, 0, 0);
	KUNIT_EXPECT_EQ(test, errs->num_abandoned, 1);
	m->paused = false;
	TEST_GOOD(test, cmds, 16, TEST_AFTER);
	KUNIT_EXPECT_EQ(test, errs->num_abandoned, 0);

	m->paused = true;
	test_fill(test, m->qsize);
	test_resumes = true;
	m->relax = test_relax_abandon;
	TEST_GOOD(test, cmds, 16, TEST_AFTER);
	KUNIT_EXPECT_EQ(test, errs->num_abandoned, 0);
	KUNIT_EXPECT_EQ(test, m->raised, 0);
	test_check_model(test);
}

/*
 * A host's batch between two of guests, any of them with an error: a guest is
 * told nothing but its own, and the host goes on and is printed. All on one CPU: the
 * others are issued while the first one waits.
 */
static struct test_between {
	struct kunit *test;
	u64 host[3 * CMDQ_ENT_DWORDS];
	u64 second[3 * CMDQ_ENT_DWORDS];
	struct arm_smmu_cmdq_report report;
	int ret;
} test_between;

static void test_relax_between(struct test_model *m)
{
	struct test_between *b = &test_between;

	KUNIT_EXPECT_EQ(b->test, 0,
			arm_smmu_cmdq_issue_host(&m->smmu, b->host, 3, false));
	b->ret = arm_smmu_cmdq_issue_reported(&m->smmu, b->second, 3, TEST_AFTER,
					      &b->report);
}

static void test_three(struct kunit *test)
{
	struct test_model *m = test_model(test);
	struct test_between *b = &test_between;
	u64 cmds[3 * CMDQ_ENT_DWORDS];
	unsigned int bad, first, i;

	test_use_stub(test);
	b->test = test;
	for (bad = 0; bad < 16; bad++) {
		test_make_n(cmds, 3, CMDQ_OP_TLBI_NH_VA, 0xa0);
		test_make_n(b->host, 3, CMDQ_OP_TLBI_NH_VA, 0xb0);
		test_make_n(b->second, 3, CMDQ_OP_TLBI_NH_VA, 0xc0);
		if (bad & 1)
			test_make(cmds, 1, CMDQ_OP_TLBI_NH_VA, 0xa1, TEST_F_ILL);
		if (bad & 2)
			test_make(b->host, 2, CMDQ_OP_TLBI_NH_VA, 0xb2, TEST_F_ILL);
		if (bad & 4)
			test_make(b->second, 0, CMDQ_OP_TLBI_NH_VA, 0xc0, TEST_F_ILL);

		first = m->executed;
		m->printed = 0;
		m->relax = test_relax_between;
		if (bad & 1)
			TEST_BATCH(test, cmds, 3, bad & 8 ? TEST_AFTER : TEST_NONE,
				   -EIO, TEST_ILL, 1, 1);
		else
			TEST_GOOD(test, cmds, 3, bad & 8 ? TEST_AFTER : TEST_NONE);
		if (bad & 4) {
			KUNIT_EXPECT_EQ(test, b->ret, -EIO);
			TEST_EXPECT_REPORT(test, b->report, TEST_ILL, 0, 0);
		} else {
			KUNIT_EXPECT_EQ(test, b->ret, 0);
			TEST_EXPECT_REPORT(test, b->report, 0, 3, 3);
		}
		KUNIT_EXPECT_EQ(test, m->printed, !!(bad & 2));
		KUNIT_ASSERT_EQ(test, m->executed, first + 3 + !!(bad & 8) + 3 + 3 + 1);
		first += 3 + !!(bad & 8);
		for (i = 0; i < 3; i++)
			if (!(bad & 2) || i != 2)
				KUNIT_EXPECT_EQ(test, m->log[first + i].w[1],
						b->host[2 * i + 1]);
		if (bad & 2) {
			KUNIT_EXPECT_EQ(test, m->print.code, TEST_ILL);
			KUNIT_EXPECT_EQ(test, m->print.cmd[1], b->host[5]);
			KUNIT_EXPECT_EQ(test, test_log_op(m, first, 2),
					CMDQ_OP_CMD_SYNC);
		}
	}
	test_check_model(test);
}

/* Interrupts of errors that a waiting CPU serviced, which become one as they are edges */
static void test_coalesced(struct kunit *test)
{
	struct test_model *m = test_model(test);
	struct arm_smmu_cmdq_errors *errs = &m->smmu.cmdq_errors;
	u64 cmds[1 * CMDQ_ENT_DWORDS];
	unsigned int i;

	test_use_stub(test);
	test_make(cmds, 0, CMDQ_OP_TLBI_NH_VA, 1, TEST_F_ILL);
	for (i = 0; i < 10; i++)
		TEST_BATCH(test, cmds, 1, TEST_AFTER, -EIO, TEST_ILL, 0, 0);
	KUNIT_EXPECT_EQ(test, errs->serviced, 2);
	atomic_set(&m->irq_pending, 0);
	KUNIT_EXPECT_EQ(test, arm_smmu_gerror_handler(0, &m->smmu), IRQ_HANDLED);
	KUNIT_EXPECT_EQ(test, arm_smmu_gerror_handler(0, &m->smmu), IRQ_HANDLED);
	KUNIT_EXPECT_EQ(test, arm_smmu_gerror_handler(0, &m->smmu), IRQ_NONE);

	/* One that the interrupt services leaves at most one to come */
	for (i = 0; i < 10; i++)
		TEST_BATCH(test, cmds, 1, TEST_AFTER, -EIO, TEST_ILL, 0, 0);
	KUNIT_EXPECT_EQ(test, 0, arm_smmu_cmdq_issue_host(&m->smmu, cmds, 1, false));
	test_drain(m);
	atomic_set(&m->irq_pending, 0);
	KUNIT_EXPECT_EQ(test, arm_smmu_gerror_handler(0, &m->smmu), IRQ_HANDLED);
	KUNIT_EXPECT_EQ(test, m->printed, 1);
	test_drain(m);
	KUNIT_EXPECT_EQ(test, arm_smmu_gerror_handler(0, &m->smmu), IRQ_HANDLED);
	KUNIT_EXPECT_EQ(test, arm_smmu_gerror_handler(0, &m->smmu), IRQ_NONE);
	m->irq_handled++;
	test_check_model(test);
}

/* Lines about @m in the kernel log behind the last line that has @mark */
static unsigned int test_log_lines(struct test_model *m, const char *mark)
{
	struct kmsg_dump_iter iter;
	unsigned int n = 0;
	bool behind = false;
	char line[256];
	size_t len;

	kmsg_dump_rewind(&iter);
	while (kmsg_dump_get_line(&iter, false, line, sizeof(line) - 1, &len)) {
		line[len] = 0;
		if (strstr(line, mark)) {
			behind = true;
			n = 0;
		} else if (behind && strstr(line, dev_name(m->smmu.dev))) {
			n++;
		}
	}
	return n;
}

/* What may be a guest's to repeat is rate-limited, all else that is the host's is not */
static void test_log(struct kunit *test)
{
	struct test_model *m = test_model(test);
	struct arm_smmu_cmdq_error err = { .there = true, .code = TEST_ATC };
	u64 cmds[1 * CMDQ_ENT_DWORDS];
	unsigned int i, n;

	kunit_activate_static_stub(test, arm_smmu_cmdq_range_relax, test_relax);
	kunit_activate_static_stub(test, arm_smmu_cmdq_time, test_time);

	pr_info("cmdq-test: reported errors\n");
	test_make(cmds, 0, CMDQ_OP_TLBI_NH_VA, 1, TEST_F_ILL);
	for (i = 0; i < 50; i++)
		TEST_BATCH(test, cmds, 1, TEST_AFTER, -EIO, TEST_ILL, 0, 0);
	KUNIT_EXPECT_EQ(test, 0, test_log_lines(m, "cmdq-test: reported errors"));

	pr_info("cmdq-test: ATC timeouts\n");
	for (i = 0; i < 100; i++)
		arm_smmu_cmdq_print_error(&m->smmu, &err);
	n = test_log_lines(m, "cmdq-test: ATC timeouts");
	KUNIT_EXPECT_GT(test, n, 0);
	/* And one that says how many there were; twice if it takes so long */
	KUNIT_EXPECT_LE(test, n, 22);

	pr_info("cmdq-test: the host's\n");
	err.code = TEST_ILL;
	for (i = 0; i < 12; i++)
		arm_smmu_cmdq_print_error(&m->smmu, &err);
	KUNIT_EXPECT_EQ(test, 5 * 12, test_log_lines(m, "cmdq-test: the host's"));
	test_check_model(test);
}

/* Acknowledging other errors leaves CMDQ_ERR as it is, active or not */
static void test_gerror_ack(struct kunit *test)
{
	struct test_model *m = test_model(test);
	void __iomem *gerrorn = test_reg(m, ARM_SMMU_GERRORN);
	u32 handled;

	m->gerror = GERROR_EVTQ_ABT_ERR;
	writel(m->gerror, test_reg(m, ARM_SMMU_GERROR));
	KUNIT_EXPECT_EQ(test, arm_smmu_gerror_handler(0, &m->smmu), IRQ_HANDLED);
	KUNIT_EXPECT_EQ(test, readl(gerrorn), GERROR_EVTQ_ABT_ERR);

	/* CMDQ_ERR becomes active after the handler has read GERROR */
	handled = GERROR_EVTQ_ABT_ERR | GERROR_PRIQ_ABT_ERR;
	m->gerror = handled | GERROR_CMDQ_ERR;
	writel(m->gerror, test_reg(m, ARM_SMMU_GERROR));
	arm_smmu_gerror_ack(&m->smmu, handled);
	KUNIT_EXPECT_EQ(test, readl(gerrorn), handled);

	/* It is acknowledged by another CPU after the handler has read GERROR */
	writel(m->gerror, gerrorn);
	arm_smmu_gerror_ack(&m->smmu, handled);
	KUNIT_EXPECT_EQ(test, readl(gerrorn), m->gerror);
	KUNIT_EXPECT_EQ(test, arm_smmu_gerror_handler(0, &m->smmu), IRQ_NONE);
}

/* As the handler prints an error the next one is raised, and one that is not CMDQ_ERR */
static void test_print_and_raise(struct arm_smmu_device *smmu,
				 const struct arm_smmu_cmdq_error *err)
{
	struct test_model *m = container_of(smmu, struct test_model, smmu);

	test_print(smmu, err);
	test_drain(m);
	if (m->print_raises) {
		m->gerror ^= m->print_raises;
		writel(m->gerror, test_reg(m, ARM_SMMU_GERROR));
		m->print_raises = 0;
	}
}

/*
 * CMDQ_ERR becomes active again while the handler is about to look for other errors:
 * it is none of those, and not to be acknowledged with them. The next interrupt's it is.
 */
static void test_gerror_again(struct kunit *test)
{
	struct test_model *m = test_model(test);
	u64 cmds[2 * CMDQ_ENT_DWORDS];
	unsigned int round;

	test_use_stub(test);
	kunit_deactivate_static_stub(test, arm_smmu_cmdq_print_error);
	kunit_activate_static_stub(test, arm_smmu_cmdq_print_error,
				   test_print_and_raise);
	test_make(cmds, 0, CMDQ_OP_TLBI_NH_VA, 1, TEST_F_ILL);
	test_make(cmds, 1, CMDQ_OP_TLBI_NH_VA, 2, TEST_F_ILL);
	for (round = 0; round < 2; round++) {
		m->print_raises = round ? GERROR_EVTQ_ABT_ERR : 0;
		pr_info("cmdq-test: CMDQ_ERR again, round %u\n", round);
		KUNIT_EXPECT_EQ(test, 0,
				arm_smmu_cmdq_issue_host(&m->smmu, cmds, 2, false));
		test_drain(m);
		KUNIT_EXPECT_EQ(test, arm_smmu_gerror_handler(0, &m->smmu),
				IRQ_HANDLED);
		KUNIT_EXPECT_EQ(test, m->raised, 2 * round + 2);
		KUNIT_EXPECT_EQ(test, m->printed, 2 * round + 1);
		KUNIT_EXPECT_TRUE(test, test_error_active(m));
		/* The other error is acknowledged */
		KUNIT_EXPECT_EQ(test, m->gerror ^ m->gerrorn, GERROR_CMDQ_ERR);
		if (!round)
			KUNIT_EXPECT_EQ(test, 0,
					test_log_lines(m, "CMDQ_ERR again, round 0"));

		KUNIT_EXPECT_EQ(test, arm_smmu_gerror_handler(0, &m->smmu),
				IRQ_HANDLED);
		KUNIT_EXPECT_EQ(test, m->printed, 2 * round + 2);
		test_drain(m);
	}
	atomic_set(&m->irq_pending, 0);
	m->irq_handled++;
	test_check_model(test);
}

/* An event queue that the SMMU can't write to, as often as a guest has events */
static void test_gerror_log(struct kunit *test)
{
	struct test_model *m = test_model(test);
	unsigned int i;

	pr_info("cmdq-test: events aborted\n");
	for (i = 0; i < 100; i++) {
		m->gerror ^= GERROR_EVTQ_ABT_ERR;
		writel(m->gerror, test_reg(m, ARM_SMMU_GERROR));
		KUNIT_EXPECT_EQ(test, arm_smmu_gerror_handler(0, &m->smmu),
				IRQ_HANDLED);
	}
	/* Two messages, ten times each; twice if it takes so long */
	KUNIT_EXPECT_LE(test, test_log_lines(m, "cmdq-test: events aborted"), 40);
}

/* Threads */

struct test_thread {
	struct test_model *m;
	struct task_struct *task;
	struct completion done;
	bool host;
	u32 id;
	u64 *cmds;
	u32 n;
	enum arm_smmu_cmdq_syncs syncs;
	int ret;
	struct arm_smmu_cmdq_report report;
	ktime_t time;
	unsigned int wrong;
	unsigned int slow;
	unsigned int failed;
};

static struct task_struct *test_thread(struct kunit *test, int (*fn)(void *),
				       void *data, unsigned int nth)
{
	struct task_struct *task;

	task = kthread_create(fn, data, "smmu-cmdq-test");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	kthread_bind(task, cpumask_nth(nth, cpu_online_mask));
	return task;
}

static struct task_struct *test_thread_run(struct kunit *test,
					   int (*fn)(void *), void *data,
					   unsigned int nth)
{
	struct task_struct *task = test_thread(test, fn, data, nth);

	wake_up_process(task);
	return task;
}

static void test_stop(void *data)
{
	struct test_model *m = data;

	if (m->irq_thread)
		kthread_stop(m->irq_thread);
	if (m->consumer)
		kthread_stop(m->consumer);
	m->irq_thread = NULL;
	m->consumer = NULL;
	set_cpus_allowed_ptr(current, cpu_possible_mask);
}

/*
 * The first CPUs are for issuers, which have interrupts off; so the interrupt
 * handler needs one that is none of those. The last is the SMMU's, and the case
 * itself shares it.
 */
static void test_start(struct kunit *test, unsigned int issuers)
{
	struct test_model *m = test_model(test);
	unsigned int last = num_online_cpus() - 1;
	const struct cpumask *mask = cpumask_of(cpumask_nth(last, cpu_online_mask));

	if (last < issuers)
		kunit_skip(test, "needs %u CPUs", issuers + 1);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, test_stop, m));
	KUNIT_ASSERT_EQ(test, 0, set_cpus_allowed_ptr(current, mask));
	m->consumer = test_thread_run(test, test_consumer, m, last);
	m->irq_thread = test_thread_run(test, test_irq_fn, m,
					min(issuers, last));
}

static int test_issue_fn(void *data)
{
	struct test_thread *t = data;

	ktime_t start = ktime_get();

	if (t->host)
		t->ret = arm_smmu_cmdq_issue_host(&t->m->smmu, t->cmds, t->n,
						  t->syncs != TEST_NONE);
	else
		t->ret = arm_smmu_cmdq_issue_reported(&t->m->smmu, t->cmds,
						      t->n, t->syncs,
						      &t->report);
	t->time = ktime_sub(ktime_get(), start);
	complete(&t->done);
	return 0;
}

/*
 * Make a thread for a batch on CPU @nth. To be done for all of them before one
 * is issued, as kthreadd may need the CPU of an issuer.
 */
static void test_batch(struct kunit *test, struct test_thread *t, bool host,
		       u64 *cmds, u32 n, enum arm_smmu_cmdq_syncs syncs,
		       unsigned int nth)
{
	*t = (struct test_thread) {
		.m = test_model(test), .host = host, .cmds = cmds, .n = n,
		.syncs = syncs,
	};
	init_completion(&t->done);
	t->task = test_thread(test, test_issue_fn, t, nth);
}

/* Issue the batch and wait until it is in the queue */
static void test_issue(struct kunit *test, struct test_thread *t)
{
	struct test_model *m = t->m;
	u32 prod = readl(test_reg(m, ARM_SMMU_CMDQ_PROD));
	ktime_t end = ktime_add_ms(ktime_get(), 5000);

	wake_up_process(t->task);
	while (readl(test_reg(m, ARM_SMMU_CMDQ_PROD)) == prod &&
	       ktime_before(ktime_get(), end))
		cond_resched();
	KUNIT_EXPECT_EQ(test, readl(test_reg(m, ARM_SMMU_CMDQ_PROD)),
			test_slot(m, prod + t->n + (t->syncs != TEST_NONE) +
				     (t->syncs == TEST_AROUND)));
}

/*
 * Put batches into the queue one after the other while the SMMU pauses, and wait
 * until all are over. The host waits for a second, so if the machine is too slow
 * for a host's batch to be a matter of the SMMU alone, false is returned: again.
 */
static bool test_queue_up(struct kunit *test, struct test_thread **threads,
			  unsigned int n)
{
	struct test_model *m = test_model(test);
	ktime_t start = 0;
	unsigned int i;

	WRITE_ONCE(m->paused, true);
	for (i = 0; i < n; i++) {
		if (threads[i]->host && !start)
			start = ktime_get();
		test_issue(test, threads[i]);
	}
	WRITE_ONCE(m->paused, false);
	for (i = 0; i < n; i++)
		wait_for_completion(&threads[i]->done);
	return ktime_ms_delta(ktime_get(), start) < 900;
}

#define TEST_TRIES	50

/*
 * A host's batch between two of guests, any of them with an error: the host
 * waits on and is told nothing, a guest is told nothing but its own.
 */
static void test_host_between(struct kunit *test)
{
	struct test_model *m = test_model(test);
	u64 a[3 * CMDQ_ENT_DWORDS], h[3 * CMDQ_ENT_DWORDS];
	u64 b[3 * CMDQ_ENT_DWORDS];
	struct test_thread ta, th, tb;
	struct test_thread *all[] = { &ta, &th, &tb };
	unsigned int bad, first, tries = 0;

	m->smmu.cmdq_errors.timeout_us = TEST_TIMEOUT_US;
	test_start(test, 3);
	for (bad = 0; bad < 16; bad++) {
		bool sync = bad & 8, fast;

		test_make_n(a, 3, CMDQ_OP_TLBI_NH_VA, 0xa0);
		test_make_n(h, 3, CMDQ_OP_TLBI_NH_VA, 0xb0);
		test_make_n(b, 3, CMDQ_OP_TLBI_NH_VA, 0xc0);
		if (bad & 1)
			test_make(a, 1, CMDQ_OP_TLBI_NH_VA, 0xa1, TEST_F_ILL);
		if (bad & 2)
			test_make(h, 2, CMDQ_OP_TLBI_NH_VA, 0xb2, TEST_F_ILL);
		if (bad & 4)
			test_make(b, 0, CMDQ_OP_TLBI_NH_VA, 0xc0, TEST_F_ILL);
		test_batch(test, &ta, false, a, 3, sync ? TEST_AFTER : TEST_NONE, 0);
		test_batch(test, &th, true, h, 3, TEST_AFTER, 1);
		test_batch(test, &tb, false, b, 3, sync ? TEST_NONE : TEST_AFTER, 2);

		first = m->executed;
		fast = test_queue_up(test, all, 3);
		if (bad & 1) {
			KUNIT_EXPECT_EQ(test, ta.ret, -EIO);
			TEST_EXPECT_REPORT(test, ta.report,
					   CMDQ_ERR_CERROR_ILL_IDX, 1, 1);
		} else {
			KUNIT_EXPECT_EQ(test, ta.ret, 0);
			TEST_EXPECT_REPORT(test, ta.report, 0, 3, 3);
		}
		if (bad & 4) {
			KUNIT_EXPECT_EQ(test, tb.ret, -EIO);
			TEST_EXPECT_REPORT(test, tb.report,
					   CMDQ_ERR_CERROR_ILL_IDX, 0, 0);
		} else {
			KUNIT_EXPECT_EQ(test, tb.ret, 0);
			TEST_EXPECT_REPORT(test, tb.report, 0, 3, 3);
		}
		KUNIT_EXPECT_EQ(test, m->executed, first + 3 * 3 + 2);

		if (fast) {
			KUNIT_EXPECT_EQ(test, th.ret, 0);
		} else {
			KUNIT_ASSERT_LT(test, ++tries, TEST_TRIES);
			bad--;
		}
	}
	test_stop(m);
	test_check_model(test);
}

/* ATC_INVs of a guest and CMD_SYNCs of others around them */
static void test_atc_foreign_sync(struct kunit *test)
{
	struct test_model *m = test_model(test);
	u64 a[2 * CMDQ_ENT_DWORDS], b[2 * CMDQ_ENT_DWORDS];
	struct test_thread ta, tb;
	struct test_thread *guest_first[] = { &ta, &tb };
	struct test_thread *host_first[] = { &tb, &ta };
	unsigned int raised, first, tries = 0;
	bool fast;

	m->smmu.cmdq_errors.timeout_us = TEST_TIMEOUT_US;
	test_start(test, 2);

	/* The guest's CMD_SYNC first: it is told, the host is not */
	do {
		KUNIT_ASSERT_LT(test, tries++, TEST_TRIES);
		raised = m->raised;
		test_make_n(a, 2, CMDQ_OP_ATC_INV, 0xa0);
		test_make(a, 0, CMDQ_OP_ATC_INV, 0xa0, TEST_F_ATC);
		test_make_n(b, 2, CMDQ_OP_TLBI_NH_VA, 0xb0);
		test_batch(test, &ta, false, a, 2, TEST_AROUND, 0);
		test_batch(test, &tb, true, b, 2, TEST_AFTER, 1);
		fast = test_queue_up(test, guest_first, 2);
		KUNIT_EXPECT_EQ(test, ta.ret, -EIO);
		TEST_EXPECT_REPORT(test, ta.report,
				   CMDQ_ERR_CERROR_ATC_INV_IDX, 2, 2);
		KUNIT_EXPECT_EQ(test, m->raised, raised + 1);
	} while (!fast);
	KUNIT_EXPECT_EQ(test, tb.ret, 0);

	/* ATC_INVs of the host that it has not synchronised, then a guest */
	raised = m->raised;
	test_make_n(b, 2, CMDQ_OP_ATC_INV, 0xb0);
	test_make(b, 1, CMDQ_OP_ATC_INV, 0xb1, TEST_F_ATC);
	test_make_n(a, 2, CMDQ_OP_TLBI_NH_VA, 0xa0);
	test_batch(test, &tb, true, b, 2, TEST_NONE, 1);
	test_batch(test, &ta, false, a, 2, TEST_AFTER, 0);
	test_queue_up(test, host_first, 2);
	KUNIT_EXPECT_EQ(test, tb.ret, 0);
	KUNIT_EXPECT_EQ(test, ta.ret, 0);
	TEST_EXPECT_REPORT(test, ta.report, 0, 2, 2);
	KUNIT_EXPECT_EQ(test, m->raised, raised + 1);

	/* And then a guest with ATC_INVs of its own, which are fine */
	raised = m->raised;
	test_make_n(a, 2, CMDQ_OP_ATC_INV, 0xa0);
	test_batch(test, &tb, true, b, 2, TEST_NONE, 1);
	test_batch(test, &ta, false, a, 2, TEST_AROUND, 0);
	test_queue_up(test, host_first, 2);
	KUNIT_EXPECT_EQ(test, tb.ret, 0);
	KUNIT_EXPECT_EQ(test, ta.ret, 0);
	TEST_EXPECT_REPORT(test, ta.report, 0, 2, 2);
	KUNIT_EXPECT_EQ(test, m->raised, raised + 1);

	/* A guest's that goes on to show at the host's CMD_SYNC */
	m->atc_repeat = 12;
	do {
		KUNIT_ASSERT_LT(test, tries++, TEST_TRIES);
		raised = m->raised;
		first = m->executed;
		test_make_n(a, 2, CMDQ_OP_ATC_INV, 0xa0);
		test_make(a, 1, CMDQ_OP_ATC_INV, 0xa0, TEST_F_ATC);
		test_make_n(b, 2, CMDQ_OP_TLBI_NH_VA, 0xb0);
		test_batch(test, &ta, false, a, 2, TEST_AROUND, 0);
		test_batch(test, &tb, true, b, 2, TEST_AFTER, 1);
		fast = test_queue_up(test, guest_first, 2);
		KUNIT_EXPECT_EQ(test, ta.ret, -EIO);
		TEST_EXPECT_REPORT(test, ta.report,
				   CMDQ_ERR_CERROR_ATC_INV_IDX, 2, 2);
		/* What is left of it when the host has given up */
		while (READ_ONCE(m->rd) != readl(test_reg(m, ARM_SMMU_CMDQ_PROD)))
			cond_resched();
	} while (!fast);
	KUNIT_EXPECT_EQ(test, tb.ret, 0);
	KUNIT_EXPECT_EQ(test, m->raised, raised + 12);
	/* The guest made way soon, the host's CMD_SYNC is what it was */
	KUNIT_EXPECT_EQ(test, m->executed, first + 4 + 3);
	KUNIT_EXPECT_EQ(test, test_log_op(m, first, 3), CMDQ_OP_CFGI_STE);
	KUNIT_EXPECT_EQ(test, test_log_op(m, first, 6), CMDQ_OP_CMD_SYNC);

	test_stop(m);
	test_check_model(test);
}

/*
 * Nobody takes the interrupt: an error is still back soon, and not when the second is
 * over that a batch has. Of some rounds the fastest counts, for the machine may be busy.
 */
static void test_no_irq(struct kunit *test)
{
	struct test_model *m = test_model(test);
	u64 cmds[3 * CMDQ_ENT_DWORDS];
	s64 best = S64_MAX;
	struct test_thread t;
	unsigned int i;

	test_start(test, 1);
	kthread_stop(m->irq_thread);
	m->irq_thread = NULL;
	test_make_n(cmds, 3, CMDQ_OP_TLBI_NH_VA, 1);
	test_make(cmds, 1, CMDQ_OP_TLBI_NH_VA, 1, TEST_F_ILL);
	for (i = 0; i < 10; i++) {
		test_batch(test, &t, false, cmds, 3, TEST_AFTER, 0);
		wake_up_process(t.task);
		wait_for_completion(&t.done);
		KUNIT_EXPECT_EQ(test, t.ret, -EIO);
		TEST_EXPECT_REPORT(test, t.report, TEST_ILL, 1, 1);
		best = min(best, ktime_to_ms(t.time));
	}
	KUNIT_EXPECT_LT(test, best, TEST_SOON);
	test_stop(m);
	test_check_model(test);
}

/* Enough rounds, and at least some on a slow machine */
#define TEST_STRESS_ROUNDS	2000
#define TEST_STRESS_MIN		50
#define TEST_STRESS_SECS	20
#define TEST_STRESS_MAX		24

/* Batches of random size with random errors; all answers must be as planned */
static int test_stress_fn(void *data)
{
	struct test_thread *t = data;
	ktime_t end = ktime_add_ms(ktime_get(), TEST_STRESS_SECS * MSEC_PER_SEC);
	struct rnd_state rnd;
	u32 i, j;

	prandom_seed_state(&rnd, 0x5eed + t->id);
	for (i = 0; i < TEST_STRESS_ROUNDS; i++) {
		if (i >= TEST_STRESS_MIN && ktime_after(ktime_get(), end))
			break;
		u32 n = prandom_u32_state(&rnd) % TEST_STRESS_MAX + 1;
		u32 expect = n, code = 0;
		bool sync = prandom_u32_state(&rnd) & 1;
		enum arm_smmu_cmdq_syncs syncs = sync ? TEST_AFTER : TEST_NONE;

		for (j = 0; j < n; j++) {
			u32 r = prandom_u32_state(&rnd), faults = 0;

			/* The host prints each of its errors */
			if (r % (t->host ? 2048 : 64) == 0)
				faults = TEST_F_ILL;
			else if (r % (t->host ? 2048 : 64) == 1)
				faults = TEST_F_ABT;
			test_make(t->cmds, j, CMDQ_OP_TLBI_NH_VA,
				  ((u64)t->id << 24) | (i << 8) | j, faults);
			if (faults == TEST_F_ILL && !code) {
				code = CMDQ_ERR_CERROR_ILL_IDX;
				expect = j;
			}
		}

		if (t->host) {
			/* It waits for a second, so the machine may be too slow */
			t->ret = arm_smmu_cmdq_issue_host(&t->m->smmu, t->cmds,
							  n, sync);
			if (t->ret == -ETIMEDOUT)
				t->slow++;
			else if (t->ret)
				t->wrong++;
		} else {
			t->ret = arm_smmu_cmdq_issue_reported(&t->m->smmu,
							      t->cmds, n, syncs,
							      &t->report);
			if (t->ret != (code ? -EIO : 0) ||
			    t->report.code != code ||
			    t->report.offset != expect ||
			    t->report.consumed != expect) {
				pr_err("thread %u round %u: %d, code %u offset %u consumed %u instead of code %u offset %u\n",
				       t->id, i, t->ret, t->report.code,
				       t->report.offset, t->report.consumed,
				       code, expect);
				t->wrong++;
			}
			if (code)
				t->failed++;
		}
		cond_resched();
	}
	complete(&t->done);
	return 0;
}

static void test_stress(struct kunit *test)
{
	struct test_model *m = test_model(test);
	struct test_thread *threads;
	unsigned int i, n, issuers = max(num_online_cpus(), 3U) - 2;

	m->smmu.cmdq_errors.timeout_us = TEST_TIMEOUT_US;
	test_start(test, issuers);
	/* Two guests and a host on each CPU that is left */
	n = 3 * issuers;
	threads = kunit_kcalloc(test, n, sizeof(*threads), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, threads);
	for (i = 0; i < n; i++) {
		struct test_thread *t = &threads[i];

		t->m = m;
		t->id = i;
		t->host = i % 3 == 2;
		t->cmds = kunit_kmalloc(test, TEST_STRESS_MAX << CMDQ_ENT_SZ_SHIFT,
					GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, t->cmds);
		init_completion(&t->done);
		t->task = test_thread_run(test, test_stress_fn, t, i % issuers);
	}
	for (i = 0; i < n; i++) {
		wait_for_completion(&threads[i].done);
		KUNIT_EXPECT_EQ_MSG(test, threads[i].wrong, 0, "thread %u", i);
		KUNIT_EXPECT_LT_MSG(test, threads[i].slow, 10, "thread %u", i);
		if (!threads[i].host)
			KUNIT_EXPECT_GT(test, threads[i].failed, 0);
	}
	/* What hosts have not synchronised */
	while (readl(test_reg(m, ARM_SMMU_CMDQ_PROD)) != READ_ONCE(m->rd))
		usleep_range(100, 200);
	test_stop(m);
	kunit_info(test, "%u commands, %u errors\n", m->executed, m->raised);
	KUNIT_EXPECT_GT(test, m->raised, 0);
	test_check_model(test);
}

static struct kunit_case test_cases[] = {
	KUNIT_CASE(test_batches),
	KUNIT_CASE(test_ill),
	KUNIT_CASE(test_ill_first),
	KUNIT_CASE(test_ill_sync),
	KUNIT_CASE(test_abt_heals),
	KUNIT_CASE(test_abt_rewrite),
	KUNIT_CASE(test_abt_persists),
	KUNIT_CASE(test_atc),
	KUNIT_CASE(test_atc_persists),
	KUNIT_CASE(test_atc_and_ill),
	KUNIT_CASE(test_hang),
	KUNIT_CASE(test_error_then_hang),
	KUNIT_CASE(test_error_late),
	KUNIT_CASE(test_atc_abandoned),
	KUNIT_CASE(test_abandoned_reused),
	KUNIT_CASE(test_abandoned_full),
	KUNIT_CASE(test_abandoned_many),
	KUNIT_CASE(test_abandoned_taken),
	KUNIT_CASE(test_full_abandoned),
	KUNIT_CASE(test_full),
	KUNIT_CASE(test_await_consumed),
	KUNIT_CASE(test_full_shared),
	KUNIT_CASE(test_three),
	KUNIT_CASE(test_coalesced),
	KUNIT_CASE(test_log),
	KUNIT_CASE(test_gerror_ack),
	KUNIT_CASE(test_gerror_again),
	KUNIT_CASE(test_gerror_log),
	KUNIT_CASE(test_host_between),
	KUNIT_CASE(test_atc_foreign_sync),
	KUNIT_CASE(test_no_irq),
	KUNIT_CASE_SLOW(test_stress),
	{}
};

static struct kunit_suite arm_smmu_cmdq_suite = {
	.name = "arm-smmu-v3-cmdq",
	.init = test_init,
	.test_cases = test_cases,
};

/* Arrays of a guest's commands */

#define INV_QSHIFT		11
#define INV_BLOCK_SMALL		64
#define INV_BLOCK		512
#define INV_ATC_RUN		32
#define INV_MAX			2500
#define INV_LEN			(1U << CMDQ_ENT_SZ_SHIFT)

/*
 * struct test_vm - A guest and its VMM
 * @viommu: The vIOMMU, with one vDEVICE
 * @cmds: The array as the VMM wrote it
 * @uend: End of the user memory; what follows can't be read
 * @total: Number of entries of the array that was issued
 */
struct test_vm {
	struct test_model *m;
	struct arm_smmu_viommu viommu;
	struct arm_smmu_vdevice vdev;
	struct arm_smmu_master master;
	__le64 *cmds;
	unsigned long uend;
	struct iommufd_invalidate_report report;
	u32 total;
	u32 num;
};

static bool test_has_ats(struct arm_smmu_master *master)
{
	return true;
}

static int inv_init(struct kunit *test)
{
	return test_init_model(test, INV_QSHIFT);
}

static void test_vm_free(void *data)
{
	struct test_vm *vm = data;

	xa_destroy(&vm->viommu.core.vdevs);
}

static struct test_vm *test_vm(struct kunit *test)
{
	size_t size = PAGE_ALIGN(2 * INV_MAX * INV_LEN);
	struct test_vm *vm;
	unsigned long addr;

	vm = kunit_kzalloc(test, sizeof(*vm), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vm);
	vm->m = test_model(test);
	vm->cmds = kunit_kzalloc(test, INV_MAX * INV_LEN, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, vm->cmds);

	xa_init(&vm->viommu.core.vdevs);
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, test_vm_free, vm));
	vm->viommu.smmu = &vm->m->smmu;
	arm_smmu_vcmd_limits_init(&vm->viommu.limits,
				  IDR0_S1P | IDR0_ATS | IDR0_ASID16, 0,
				  IDR3_RIL, 0, TEST_VMID);
	vm->master.smmu = &vm->m->smmu;
	vm->vdev.master = &vm->master;
	vm->vdev.sid = TEST_SID;
	KUNIT_ASSERT_EQ(test, 0,
			xa_err(xa_store(&vm->viommu.core.vdevs, TEST_VSID,
					&vm->vdev.core, GFP_KERNEL)));

	addr = kunit_vm_mmap(test, NULL, 0, size + PAGE_SIZE,
			     PROT_READ | PROT_WRITE,
			     MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	vm->uend = addr + size;
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(vm->uend, PAGE_SIZE));

	test_use_stub(test);
	kunit_activate_static_stub(test, arm_smmu_vinv_has_ats, test_has_ats);
	return vm;
}

static void inv_set(struct test_vm *vm, u32 i, u8 op, u32 faults)
{
	u64 w0 = FIELD_PREP(CMDQ_0_OP, op);

	if (op == CMDQ_OP_ATC_INV || op == CMDQ_OP_CFGI_CD)
		w0 |= FIELD_PREP(CMDQ_CFGI_0_SID, TEST_VSID);
	vm->cmds[2 * i] = cpu_to_le64(w0);
	vm->cmds[2 * i + 1] = 0;
	if (op != CMDQ_OP_CFGI_CD)
		vm->cmds[2 * i + 1] = cpu_to_le64(TEST_TAG(i + 1, faults));
}

static void inv_fill(struct test_vm *vm, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		inv_set(vm, i, CMDQ_OP_TLBI_NH_VA, 0);
}

/* What the SMMU must see of entry @i */
static u64 inv_host_w0(struct test_vm *vm, u32 i)
{
	u64 w0 = le64_to_cpu(vm->cmds[2 * i]);
	u8 op = FIELD_GET(CMDQ_0_OP, w0);

	if (op == CMDQ_OP_ATC_INV || op == CMDQ_OP_CFGI_CD)
		return FIELD_PREP(CMDQ_0_OP, op) |
		       FIELD_PREP(CMDQ_CFGI_0_SID, TEST_SID);
	return w0 | FIELD_PREP(CMDQ_TLBI_0_VMID, TEST_VMID);
}

/*
 * Invalidate with the @n entries so placed in user memory that @bytes of them
 * are readable
 */
static int inv_run_at(struct kunit *test, struct test_vm *vm, u32 n, u32 len,
		      size_t bytes)
{
	struct iommu_user_data_array array = {
		.type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
		.uptr = (void __user *)(vm->uend - bytes),
		.entry_len = len,
		.entry_num = n,
	};
	size_t i, room = bytes;
	int ret;

	for (i = 0; i < n && room; i++) {
		size_t part = min_t(size_t, INV_LEN, room);

		KUNIT_ASSERT_EQ(test, 0,
				copy_to_user(array.uptr + i * len,
					     &vm->cmds[2 * i], part));
		room -= min_t(size_t, len, room);
	}

	vm->m->executed = 0;
	vm->total = n;
	memset(&vm->report, 0, sizeof(vm->report));
	ret = arm_smmu_viommu_cache_invalidate(&vm->viommu.core, &array,
					       &vm->report);
	vm->num = array.entry_num;
	return ret;
}

static int inv_run(struct kunit *test, struct test_vm *vm, u32 n)
{
	return inv_run_at(test, vm, n, INV_LEN, (size_t)n * INV_LEN);
}

#define INV_EXPECT(test, vm, num_, hw, code, index)			\
do {									\
	KUNIT_EXPECT_EQ(test, (vm)->num, num_);				\
	KUNIT_EXPECT_EQ(test, (vm)->report.flags,			\
			IOMMU_HWPT_INVALIDATE_REPORT_VALID |		\
			((hw) ? IOMMU_HWPT_INVALIDATE_REPORT_HW : 0));	\
	KUNIT_EXPECT_EQ(test, (vm)->report.error_code, code);		\
	KUNIT_EXPECT_EQ(test, (vm)->report.error_index, index);		\
} while (0)

/* Entries that are issued together */
static u32 inv_block(struct test_vm *vm)
{
	return min(vm->total > INV_BLOCK_SMALL ? INV_BLOCK : INV_BLOCK_SMALL,
		   vm->m->qsize / 2);
}

static void inv_expect_sync(struct kunit *test, struct test_vm *vm, u32 *pos, u32 i)
{
	KUNIT_EXPECT_EQ_MSG(test, test_log_op(vm->m, 0, *pos), CMDQ_OP_CMD_SYNC,
			    "before entry %u", i);
	++*pos;
}

/*
 * The SMMU saw entries 0 to @n - 1 in order, and CMD_SYNCs where they have to be
 * and nowhere else: around a run of ATC_INVs, which ends where its block ends or when
 * there are enough, and at the end.
 */
static void inv_expect_log(struct kunit *test, struct test_vm *vm, u32 n)
{
	u32 block = inv_block(vm);
	struct test_model *m = vm->m;
	u32 i, pos = 0, run = 0;
	bool atc;

	for (i = 0; i < n; i++) {
		atc = (inv_host_w0(vm, i) & 0xff) == CMDQ_OP_ATC_INV;
		if (run && (!atc || i % block == 0 || run == INV_ATC_RUN)) {
			inv_expect_sync(test, vm, &pos, i);
			run = 0;
		}
		if (atc && !run++)
			inv_expect_sync(test, vm, &pos, i);
		KUNIT_ASSERT_EQ_MSG(test, m->log[pos].w[0], inv_host_w0(vm, i),
				    "entry %u", i);
		KUNIT_ASSERT_EQ_MSG(test, m->log[pos++].w[1],
				    le64_to_cpu(vm->cmds[2 * i + 1]),
				    "entry %u", i);
	}
	if (n)
		inv_expect_sync(test, vm, &pos, n);
	KUNIT_EXPECT_EQ(test, m->executed, pos);
}

static const u32 inv_lens[] = {
	1, 2, 3, 63, 64, 65, 66, 128, 511, 512, 513, 1023, 1024, 1025, 2500,
};

static void inv_lengths(struct kunit *test)
{
	struct test_vm *vm = test_vm(test);
	u32 i, n;

	for (i = 0; i < ARRAY_SIZE(inv_lens); i++) {
		n = inv_lens[i];
		inv_fill(vm, n);
		inv_set(vm, n / 2, CMDQ_OP_CFGI_CD, 0);
		KUNIT_EXPECT_EQ(test, 0, inv_run(test, vm, n));
		INV_EXPECT(test, vm, n, false, 0, 0);
		inv_expect_log(test, vm, n);
	}
	test_check_model(test);
}

/* A probe, and what is not even looked at */
static void inv_arguments(struct kunit *test)
{
	struct test_vm *vm = test_vm(test);
	struct iommu_user_data_array array = {
		.type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
		.entry_len = INV_LEN,
	};
	struct iommufd_invalidate_report report = {};

	KUNIT_EXPECT_EQ(test, 0,
			arm_smmu_viommu_cache_invalidate(&vm->viommu.core,
							 &array, &report));
	KUNIT_EXPECT_EQ(test, report.flags, IOMMU_HWPT_INVALIDATE_REPORT_VALID);

	array.type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1;
	report.flags = 0;
	KUNIT_EXPECT_EQ(test, -EINVAL,
			arm_smmu_viommu_cache_invalidate(&vm->viommu.core,
							 &array, &report));
	KUNIT_EXPECT_EQ(test, report.flags, IOMMU_HWPT_INVALIDATE_REPORT_VALID);
	inv_fill(vm, 1);
	KUNIT_EXPECT_EQ(test, -EINVAL, inv_run_at(test, vm, 1, 8, 8));
	KUNIT_EXPECT_EQ(test, vm->num, 0);
	KUNIT_EXPECT_EQ(test, vm->m->executed, 0);
}

/* An entry that does not pass the check */
static void inv_check_fails(struct kunit *test)
{
	struct test_vm *vm = test_vm(test);
	u32 i, j, n;

	for (i = 0; i < ARRAY_SIZE(inv_lens); i++) {
		n = inv_lens[i];
		for (j = 0; j < ARRAY_SIZE(inv_lens); j++) {
			u32 bad = inv_lens[j] - 1;

			if (bad >= n)
				break;
			inv_fill(vm, n);
			if (j & 1)
				inv_set(vm, bad, CMDQ_OP_TLBI_S12_VMALL, 0);
			else
				vm->cmds[2 * bad] =
					cpu_to_le64(CMDQ_OP_CFGI_CD_ALL);
			KUNIT_EXPECT_EQ(test, -EIO, inv_run(test, vm, n));
			INV_EXPECT(test, vm, bad, false,
				   IOMMU_ARM_SMMUV3_CERROR_ILL, bad);
			inv_expect_log(test, vm, bad);
		}
	}
	KUNIT_EXPECT_EQ(test, vm->m->raised, 0);
	test_check_model(test);
}

/* An error of the SMMU: all before is done, nothing after its block is */
static void inv_hw_ill(struct kunit *test)
{
	struct test_vm *vm = test_vm(test);
	struct test_model *m = vm->m;
	u32 i, j, n;

	for (i = 0; i < ARRAY_SIZE(inv_lens); i++) {
		n = inv_lens[i];
		for (j = 0; j < ARRAY_SIZE(inv_lens); j++) {
			u32 bad = inv_lens[j] - 1, block, end;

			if (bad >= n)
				break;
			vm->total = n;
			block = inv_block(vm);
			end = min(n, round_down(bad, block) + block);
			inv_fill(vm, n);
			inv_set(vm, bad, CMDQ_OP_TLBI_NH_VA, TEST_F_ILL);
			/* And another one, which is not the first */
			if (bad + 1 < end)
				inv_set(vm, end - 1, CMDQ_OP_TLBI_NH_VA,
					TEST_F_ILL);
			KUNIT_EXPECT_EQ(test, -EIO, inv_run(test, vm, n));
			INV_EXPECT(test, vm, bad, true,
				   IOMMU_ARM_SMMUV3_CERROR_ILL, bad);
			/* One CMD_SYNC for what is before, if there is any */
			KUNIT_EXPECT_EQ(test, m->executed,
					end + (bad || end == n));
			KUNIT_EXPECT_EQ(test, m->log[m->executed - 1].w[0],
					CMDQ_OP_CMD_SYNC);
			KUNIT_EXPECT_EQ(test, m->printed, 0);
		}
	}
	test_check_model(test);
}

/* User memory ends in the array, also in the middle of an entry */
static void inv_fault(struct kunit *test)
{
	struct test_vm *vm = test_vm(test);
	u32 i, j, n, part;

	for (i = 0; i < ARRAY_SIZE(inv_lens); i++) {
		n = inv_lens[i];
		for (j = 0; j < ARRAY_SIZE(inv_lens); j++) {
			u32 good = inv_lens[j] - 1;

			if (good >= n)
				break;
			inv_fill(vm, n);
			for (part = 0; part < INV_LEN; part += 5) {
				KUNIT_EXPECT_EQ(test, -EFAULT,
						inv_run_at(test, vm, n, INV_LEN,
							   good * INV_LEN +
							   part));
				INV_EXPECT(test, vm, good, false, 0, good);
				inv_expect_log(test, vm, good);
			}
		}
	}

	/* An illegal entry in front of it is the first problem */
	inv_fill(vm, 600);
	inv_set(vm, 512, CMDQ_OP_TLBI_EL2_ALL, 0);
	KUNIT_EXPECT_EQ(test, -EIO,
			inv_run_at(test, vm, 600, INV_LEN, 550 * INV_LEN));
	INV_EXPECT(test, vm, 512, false, IOMMU_ARM_SMMUV3_CERROR_ILL, 512);
	inv_expect_log(test, vm, 512);
	test_check_model(test);
}

/* Longer entries, of a VMM that knows more than this kernel */
static void inv_long_entries(struct kunit *test)
{
	struct test_vm *vm = test_vm(test);
	u32 n = 700;
	u8 one = 1;

	inv_fill(vm, n);
	KUNIT_EXPECT_EQ(test, 0, inv_run_at(test, vm, n, 24, n * 24));
	INV_EXPECT(test, vm, n, false, 0, 0);
	inv_expect_log(test, vm, n);

	/* Something in the tail of entry 650 */
	KUNIT_ASSERT_EQ(test, 0,
			copy_to_user((void __user *)(vm->uend - n * 24 +
						     650 * 24 + 23), &one, 1));
	KUNIT_EXPECT_EQ(test, -E2BIG, inv_run_at(test, vm, n, 24, n * 24));
	INV_EXPECT(test, vm, 650, false, 0, 650);
	inv_expect_log(test, vm, 650);

	/* The end in the tail of entry 3 */
	KUNIT_ASSERT_EQ(test, 0, clear_user((void __user *)(vm->uend - 92), 92));
	KUNIT_EXPECT_EQ(test, -EFAULT,
			inv_run_at(test, vm, 5, 24, 3 * 24 + 20));
	INV_EXPECT(test, vm, 3, false, 0, 3);
	inv_expect_log(test, vm, 3);
	test_check_model(test);
}

/* Runs of TLBIs and of ATC_INVs, of any length */
static void inv_atc(struct kunit *test)
{
	struct test_vm *vm = test_vm(test);
	struct rnd_state rnd;
	u32 i, n, round;

	prandom_seed_state(&rnd, 42);
	for (round = 0; round < 300; round++) {
		u32 change = 1 + prandom_u32_state(&rnd) % 200;
		u8 op = CMDQ_OP_ATC_INV;

		n = prandom_u32_state(&rnd) % 1200 + 1;
		for (i = 0; i < n; i++) {
			if (!(prandom_u32_state(&rnd) % change))
				op ^= CMDQ_OP_ATC_INV ^ CMDQ_OP_TLBI_NH_VA;
			inv_set(vm, i, op, 0);
		}
		KUNIT_EXPECT_EQ(test, 0, inv_run(test, vm, n));
		INV_EXPECT(test, vm, n, false, 0, 0);
		inv_expect_log(test, vm, n);
	}
	test_check_model(test);
}

/* An ATC_INV that times out: its run is not known to be complete */
static void inv_atc_timeout(struct kunit *test)
{
	struct test_vm *vm = test_vm(test);
	static const struct {
		/* A run of ATC_INVs, the one that times out, and the report */
		u32 from, to, bad, num, index;
	} runs[] = {
		{ 0, 1, 0, 0, 0 },
		{ 0, 5, 3, 0, 4 },
		{ 3, 9, 3, 3, 8 },
		/* A long run is several batches */
		{ 0, 64, 31, 0, 31 },
		{ 0, 64, 32, 32, 63 },
		{ 20, 64, 63, 52, 63 },
		/* And so is a run in two blocks */
		{ 500, 600, 505, 500, 511 },
		{ 500, 600, 550, 544, 575 },
		{ 512, 520, 519, 512, 519 },
		{ 700, 701, 700, 700, 700 },
	}, *run;
	struct test_cmd *last;
	u32 i, j, n;

	/* So often that the CMD_SYNC has to go, the second time around */
	for (i = 0; i < 2 * ARRAY_SIZE(runs); i++) {
		if (i == ARRAY_SIZE(runs))
			vm->m->atc_repeat = 5;
		n = runs[i % ARRAY_SIZE(runs)].to > 64 ? 800 : 64;
		inv_fill(vm, n);
		run = &runs[i % ARRAY_SIZE(runs)];
		for (j = run->from; j < run->to; j++)
			inv_set(vm, j, CMDQ_OP_ATC_INV,
				j == run->bad ? TEST_F_ATC : 0);
		KUNIT_EXPECT_EQ(test, -EIO, inv_run(test, vm, n));
		INV_EXPECT(test, vm, run->num, true,
			   IOMMU_ARM_SMMUV3_CERROR_ATC_INV_SYNC, run->index);

		/* Nothing was executed after the batch that failed */
		last = &vm->m->log[vm->m->executed - 1];
		if (vm->m->atc_repeat > 1) {
			KUNIT_EXPECT_EQ(test, last->w[0], CMDQ_OP_CFGI_STE);
			last->w[0] = CMDQ_OP_CMD_SYNC;
		}
		inv_expect_log(test, vm, run->index + 1);
		KUNIT_EXPECT_EQ(test, vm->m->printed, 0);
	}
	test_check_model(test);
}

/* An SMMU that hangs, from the start and from the second block on */
static void inv_hang(struct kunit *test)
{
	struct test_vm *vm = test_vm(test);
	struct test_model *m = vm->m;

	m->smmu.cmdq_errors.timeout_us = 2000;
	m->paused = true;
	inv_fill(vm, 1300);
	KUNIT_EXPECT_EQ(test, -ETIMEDOUT, inv_run(test, vm, 10));
	INV_EXPECT(test, vm, 0, false, 0, 9);
	m->paused = false;
	test_drain(m);

	/* Aborts of the fetch for ever: given up with the code it has */
	test_err_at(m, 600, TEST_ABT, -1);
	KUNIT_EXPECT_EQ(test, -EIO, inv_run(test, vm, 1300));
	INV_EXPECT(test, vm, 0, true, IOMMU_ARM_SMMUV3_CERROR_ABT, 600);

	/* The next array does not even get into the queue */
	KUNIT_EXPECT_EQ(test, -ETIMEDOUT, inv_run(test, vm, 10));
	INV_EXPECT(test, vm, 0, true, IOMMU_ARM_SMMUV3_CERROR_ABT, 0);
	m->err_count = 0;
	test_settle(m);

	/* Those before an ATC_INV are known to be complete */
	inv_fill(vm, 1300);
	inv_set(vm, 599, CMDQ_OP_ATC_INV, 0);
	test_err_at(m, 610, TEST_ABT, -1);
	KUNIT_EXPECT_EQ(test, -EIO, inv_run(test, vm, 1300));
	/*
	 * 512 commands, 87, 1 between two CMD_SYNCs, and then as they come: slot 610
	 * is entry 608
	 */
	INV_EXPECT(test, vm, 600, true, IOMMU_ARM_SMMUV3_CERROR_ABT, 608);
	m->err_count = 0;
	test_settle(m);

	/* It hangs at the CMD_SYNC of that: those in front of the other are */
	test_err_at(m, 601, TEST_ABT, 1);
	m->pause_raised = m->raised + 1;
	KUNIT_EXPECT_EQ(test, -ETIMEDOUT, inv_run(test, vm, 1300));
	INV_EXPECT(test, vm, 599, false, 0, 599);
	m->paused = false;
	test_settle(m);
	inv_fill(vm, 1);
	KUNIT_EXPECT_EQ(test, 0, inv_run(test, vm, 1));
	test_check_model(test);
}

/* The CMD_SYNC for what is in front of an error fails itself: nothing is done */
static void inv_last_sync(struct kunit *test)
{
	struct test_vm *vm = test_vm(test);
	struct test_model *m = vm->m;

	m->smmu.cmdq_errors.timeout_us = 2000;
	inv_fill(vm, 1300);
	inv_set(vm, 100, CMDQ_OP_TLBI_NH_VA, TEST_F_ILL);
	test_err_at(m, INV_BLOCK, TEST_ABT, -1);
	KUNIT_EXPECT_EQ(test, -EIO, inv_run(test, vm, 1300));
	INV_EXPECT(test, vm, 0, true, IOMMU_ARM_SMMUV3_CERROR_ABT, 99);
	m->err_count = 0;
	test_settle(m);

	m->pause_raised = m->raised + 2;
	test_err_at(m, INV_BLOCK, TEST_ABT, 1);
	KUNIT_EXPECT_EQ(test, -ETIMEDOUT, inv_run(test, vm, 1300));
	INV_EXPECT(test, vm, 0, false, 0, 99);
	m->paused = false;
	test_settle(m);

	/* User memory ends between two blocks */
	inv_fill(vm, 1300);
	test_err_at(m, INV_BLOCK, TEST_ILL, 5);
	KUNIT_EXPECT_EQ(test, -EIO,
			inv_run_at(test, vm, 1300, INV_LEN, INV_BLOCK * INV_LEN));
	INV_EXPECT(test, vm, 0, true, IOMMU_ARM_SMMUV3_CERROR_ILL, INV_BLOCK - 1);
	KUNIT_EXPECT_EQ(test, m->executed, INV_BLOCK + 1);

	/* The CMD_SYNC of the array is refused: it is not tried again */
	test_err_at(m, 5, TEST_ILL, 5);
	KUNIT_EXPECT_EQ(test, -EIO, inv_run(test, vm, 5));
	INV_EXPECT(test, vm, 0, true, IOMMU_ARM_SMMUV3_CERROR_ILL, 4);
	KUNIT_EXPECT_EQ(test, m->executed, 6);

	/* All is well without an error */
	KUNIT_EXPECT_EQ(test, 0, inv_run(test, vm, 1300));
	INV_EXPECT(test, vm, 1300, false, 0, 0);
	test_check_model(test);
}

#ifdef CONFIG_ARM_SMMU_V3_FAULT_INJECTION
static void inv_injection_off(void *data)
{
	arm_smmu_cmdq_inject_setup(0, 0, 0);
}

/* Injection hits one entry of an array, wherever it is, as often as it is to */
static void inv_injection(struct kunit *test)
{
	struct test_vm *vm = test_vm(test);
	struct test_model *m = vm->m;
	u32 i, j, n, bad, raised;

	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, inv_injection_off,
							   NULL));
	for (i = 0; i < ARRAY_SIZE(inv_lens); i++) {
		n = inv_lens[i];
		inv_fill(vm, n);
		for (j = 0; j < ARRAY_SIZE(inv_lens); j++) {
			bad = inv_lens[j] - 1;
			raised = m->raised;
			arm_smmu_cmdq_inject_setup(bad, 100, 1);
			if (bad < n) {
				KUNIT_EXPECT_EQ(test, -EIO, inv_run(test, vm, n));
				INV_EXPECT(test, vm, bad, true,
					   IOMMU_ARM_SMMUV3_CERROR_ILL, bad);
				raised++;
			}
			/* Just once; and not what is not there */
			KUNIT_EXPECT_EQ(test, 0, inv_run(test, vm, n));
			INV_EXPECT(test, vm, n, false, 0, 0);
			inv_expect_log(test, vm, n);
			KUNIT_EXPECT_EQ(test, m->raised, raised);
		}
	}

	/* An ATC_INV becomes illegal, and those around it are still executed */
	inv_fill(vm, 10);
	for (i = 3; i < 8; i++)
		inv_set(vm, i, CMDQ_OP_ATC_INV, 0);
	for (i = 3; i < 8; i++) {
		arm_smmu_cmdq_inject_setup(i, 100, 1);
		KUNIT_EXPECT_EQ(test, -EIO, inv_run(test, vm, 10));
		INV_EXPECT(test, vm, i, true, IOMMU_ARM_SMMUV3_CERROR_ILL, i);
		KUNIT_EXPECT_EQ(test, m->executed, 3 + 1 + 5 + 1);
	}

	/* Never, unless asked for */
	arm_smmu_cmdq_inject_setup(0, 0, -1);
	KUNIT_EXPECT_EQ(test, 0, inv_run(test, vm, 10));
	test_check_model(test);
}
#else
static void inv_injection(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_ARM_SMMU_V3_FAULT_INJECTION");
}
#endif

/* inv_run() for somebody who is being killed */
static int inv_run_killed(struct kunit *test, struct test_vm *vm, u32 n)
{
	int ret;

	sigaddset(&current->pending.signal, SIGKILL);
	set_tsk_thread_flag(current, TIF_SIGPENDING);
	ret = inv_run(test, vm, n);
	sigdelset(&current->pending.signal, SIGKILL);
	clear_tsk_thread_flag(current, TIF_SIGPENDING);
	return ret;
}

/* The caller is killed between two blocks, or when the first ATC_INVs are done */
static void inv_killed(struct kunit *test)
{
	struct test_vm *vm = test_vm(test);
	u32 i;

	inv_fill(vm, 1300);
	KUNIT_EXPECT_EQ(test, -EINTR, inv_run_killed(test, vm, 1300));
	INV_EXPECT(test, vm, INV_BLOCK, false, 0, INV_BLOCK);
	inv_expect_log(test, vm, INV_BLOCK);

	inv_fill(vm, 20);
	for (i = 5; i < 8; i++)
		inv_set(vm, i, CMDQ_OP_ATC_INV, 0);
	KUNIT_EXPECT_EQ(test, -EINTR, inv_run_killed(test, vm, 20));
	INV_EXPECT(test, vm, 8, false, 0, 8);
	inv_expect_log(test, vm, 8);
	test_check_model(test);
}

static unsigned int inv_looks;

static void inv_relax_slow(struct test_model *m)
{
	if (--inv_looks) {
		m->relax = inv_relax_slow;
		return;
	}
	m->paused = false;
	test_drain(m);
}

/* What another one's slow device keeps in the queue is waited for, if not for ever */
static void inv_slow_device(struct kunit *test)
{
	struct test_vm *vm = test_vm(test);
	struct test_model *m = vm->m;
	ktime_t start;

	m->smmu.cmdq_errors.timeout_us = 100 * USEC_PER_MSEC;
	m->paused = true;
	inv_fill(vm, 10);
	KUNIT_EXPECT_EQ(test, -ETIMEDOUT, inv_run(test, vm, 10));
	start = m->time;
	KUNIT_EXPECT_EQ(test, -ETIMEDOUT, inv_run(test, vm, 10));
	INV_EXPECT(test, vm, 0, false, 0, 0);
	KUNIT_EXPECT_GE(test, ktime_ms_delta(m->time, start), 100);
	KUNIT_EXPECT_LE(test, ktime_ms_delta(m->time, start), 120);
	/* Nor at all by who is being killed */
	start = m->time;
	KUNIT_EXPECT_EQ(test, -ETIMEDOUT, inv_run_killed(test, vm, 10));
	KUNIT_EXPECT_LE(test, ktime_ms_delta(m->time, start), 20);

	/* Longer than a batch waits that can't sleep */
	inv_looks = 50 * USEC_PER_MSEC / 50;
	m->relax = inv_relax_slow;
	KUNIT_EXPECT_EQ(test, 0, inv_run(test, vm, 10));
	KUNIT_EXPECT_EQ(test, inv_looks, 0);
	test_check_model(test);
}

/* The block is consumed, and another VM's batch is left behind it */
static void inv_relax_abandon(struct test_model *m)
{
	struct arm_smmu_cmdq_report report;

	test_relax_resume(m);
	m->paused = true;
	arm_smmu_cmdq_issue_reported(&m->smmu, test_nested_cmds, 2, TEST_AFTER, &report);
}

/* A block that never got into the queue is not what is in error */
static void inv_not_issued(struct kunit *test)
{
	struct test_vm *vm = test_vm(test);
	struct test_model *m = vm->m;

	test_make_n(test_nested_cmds, 2, CMDQ_OP_TLBI_NH_VA, 2);
	m->smmu.cmdq_errors.timeout_us = 2000;
	m->paused = true;
	m->relax = inv_relax_abandon;
	inv_fill(vm, 1300);
	KUNIT_EXPECT_EQ(test, -ETIMEDOUT, inv_run(test, vm, 1300));
	INV_EXPECT(test, vm, 0, false, 0, INV_BLOCK - 1);
	KUNIT_EXPECT_EQ(test, m->smmu.cmdq_errors.num_abandoned, 1);
	m->paused = false;
	test_settle(m);
	KUNIT_EXPECT_EQ(test, 0, inv_run(test, vm, 1300));
	test_check_model(test);
}

/* The smallest queue that the driver takes, and blocks of half of it */
static void inv_small_queue(struct kunit *test)
{
	struct test_vm *vm;
	u32 i, j, n;

	KUNIT_ASSERT_EQ(test, 0, test_init_model(test, TEST_QSHIFT));
	vm = test_vm(test);
	for (i = 0; i < ARRAY_SIZE(inv_lens); i++) {
		n = inv_lens[i];
		inv_fill(vm, n);
		KUNIT_EXPECT_EQ(test, 0, inv_run(test, vm, n));
		INV_EXPECT(test, vm, n, false, 0, 0);
		inv_expect_log(test, vm, n);

		inv_set(vm, n - 1, CMDQ_OP_TLBI_NH_VA, TEST_F_ILL);
		KUNIT_EXPECT_EQ(test, -EIO, inv_run(test, vm, n));
		INV_EXPECT(test, vm, n - 1, true, IOMMU_ARM_SMMUV3_CERROR_ILL,
			   n - 1);

		for (j = n / 2; j < n; j++)
			inv_set(vm, j, CMDQ_OP_ATC_INV, 0);
		KUNIT_EXPECT_EQ(test, 0, inv_run(test, vm, n));
		INV_EXPECT(test, vm, n, false, 0, 0);
		inv_expect_log(test, vm, n);
	}
	test_check_model(test);
}

static struct kunit_case inv_cases[] = {
	KUNIT_CASE(inv_small_queue),
	KUNIT_CASE(inv_lengths),
	KUNIT_CASE(inv_arguments),
	KUNIT_CASE(inv_check_fails),
	KUNIT_CASE(inv_hw_ill),
	KUNIT_CASE(inv_fault),
	KUNIT_CASE(inv_long_entries),
	KUNIT_CASE(inv_atc),
	KUNIT_CASE(inv_atc_timeout),
	KUNIT_CASE(inv_hang),
	KUNIT_CASE(inv_slow_device),
	KUNIT_CASE(inv_not_issued),
	KUNIT_CASE(inv_last_sync),
	KUNIT_CASE(inv_injection),
	KUNIT_CASE(inv_killed),
	{}
};

static struct kunit_suite arm_smmu_vinvalidate_suite = {
	.name = "arm-smmu-v3-vinvalidate",
	.init = inv_init,
	.test_cases = inv_cases,
};

kunit_test_suites(&arm_smmu_cmdq_suite, &arm_smmu_vinvalidate_suite);
