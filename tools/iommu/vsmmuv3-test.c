// SPDX-License-Identifier: GPL-2.0-only
/*
 * Unit tests of vsmmuv3 on any machine: guest memory is an array, the physical SMMU
 * is a script of answers, and every array that reaches it is kept for inspection.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "vsmmuv3.h"

#define MEM_BASE	0x40000000ull
#define MEM_SIZE	(4u << 20)
#define CMDQ_GPA	(MEM_BASE + 0x000000)
#define EVENTQ_GPA	(MEM_BASE + 0x100000)
#define STRTAB_GPA	(MEM_BASE + 0x200000)
#define UNBACKED_GPA	0x80000000ull

#define CMDQ_LOG2	3u
#define EVENTQ_LOG2	2u
#define STRTAB_LOG2	8u
#define SID		0x42u
#define OTHER_SID	0x43u

#define MAX_CALLS	64
#define MAX_ENTRIES	1024u

#define IDR0_ATS	(1u << 10)

struct call {
	uint32_t n;
	uint64_t w0[MAX_ENTRIES];
};

struct ste_call {
	uint32_t sid;
	struct vsmmu_ste ste;
};

static uint64_t memory[MEM_SIZE / 8];

static struct {
	struct vsmmu *s;
	unsigned char *mem;

	/* What happened */
	struct call call[MAX_CALLS];
	unsigned int nr_calls;
	struct ste_call ste[64];
	unsigned int nr_stes;
	unsigned int irqs[3];
	uint32_t cons_at_irq;

	/* Answers to come: taken in order, then everything succeeds */
	struct vsmmu_report answer[MAX_CALLS];
	unsigned int nr_answers, next_answer;
	/* Every entry with this word 0 fails, without a report, as 7.2 does */
	uint64_t poison;
	bool poisoned;
	int ste_error[8];
	unsigned int nr_ste_errors, next_ste_error;

	uint32_t prod;
} t;

static unsigned int passed, failed;
static bool test_ok;

static void check(bool ok, const char *expr, int line)
{
	if (ok)
		return;
	if (test_ok)
		printf("# line %d: %s\n", line, expr);
	test_ok = false;
}

#define CHECK(expr)	check(expr, #expr, __LINE__)

/* The machine and the backend */

static char machine_tag, backend_tag;

#define CHECK_IN_CALLBACK(expr)	check(expr, #expr, __LINE__)

static void *guest_ptr(void *machine, uint64_t gpa, size_t len)
{
	CHECK_IN_CALLBACK(machine == &machine_tag);
	if (gpa < MEM_BASE || gpa - MEM_BASE > MEM_SIZE - len)
		return NULL;
	return &t.mem[gpa - MEM_BASE];
}

static void irq(void *machine, enum vsmmu_irq irq)
{
	CHECK_IN_CALLBACK(machine == &machine_tag);
	t.irqs[irq]++;
	t.cons_at_irq = vsmmu_mmio_read(t.s, VSMMU_CMDQ_CONS, 4);
}

static void invalidate(void *backend, const struct vsmmu_cmd *cmds, uint32_t n,
		       struct vsmmu_report *report)
{
	struct call *call;
	uint32_t i;

	CHECK_IN_CALLBACK(backend == &backend_tag);
	if (t.nr_calls == MAX_CALLS || n > MAX_ENTRIES) {
		printf("# the script is too short\n");
		exit(2);
	}
	call = &t.call[t.nr_calls++];
	call->n = n;
	for (i = 0; i < n; i++)
		call->w0[i] = le64toh(cmds[i].w[0]);

	if (t.next_answer < t.nr_answers) {
		*report = t.answer[t.next_answer++];
		return;
	}
	for (i = 0; t.poisoned && i < n; i++) {
		if (call->w0[i] != t.poison)
			continue;
		/* Counts one entry that it never issued */
		report->err = EIO;
		report->done = i ? i - 1 : 0;
		return;
	}
	report->done = n;
	report->flags = VSMMU_REPORT_VALID;
}

static int ste_changed(void *backend, uint32_t sid, const struct vsmmu_ste *ste)
{
	CHECK_IN_CALLBACK(backend == &backend_tag);
	if (t.nr_stes == 64)
		exit(2);
	t.ste[t.nr_stes].sid = sid;
	t.ste[t.nr_stes++].ste = *ste;
	if (t.next_ste_error < t.nr_ste_errors)
		return t.ste_error[t.next_ste_error++];
	return 0;
}

static const struct vsmmu_backend_ops backend_ops = { invalidate, ste_changed };
static const struct vsmmu_machine_ops machine_ops = { guest_ptr, irq };

/* The guest */

static uint32_t rd32(uint64_t offset)
{
	return vsmmu_mmio_read(t.s, offset, 4);
}

static void wr32(uint64_t offset, uint32_t value)
{
	vsmmu_mmio_write(t.s, offset, value, 4);
}

static const struct vsmmu_config default_config = {
	.host_idr = { 0x0d44101b | IDR0_ATS | 1 << 18 | 1 << 16 | 1 << 13 | 1 << 9 | 1 << 5,
		      0x82730010 | 8 << 6 | 5 << 11, 0x3, 0x1414 | 1 << 8 | 1 << 15, 0xff,
		      0x00ff0074 | 1 << 7 },
	.host_iidr = 0x4832043b,
	.host_aidr = 3,
	.sid_bits = 16,
	.cmdq_log2 = 10,
	.eventq_log2 = 10,
	.ssid_bits_max = 4,
	.ats = true,
};

static struct vsmmu *create(const struct vsmmu_config *config)
{
	return vsmmu_create(config, &backend_ops, &backend_tag, &machine_ops, &machine_tag);
}

static void enable(uint32_t cmdq_log2, uint32_t start)
{
	vsmmu_mmio_write(t.s, VSMMU_STRTAB_BASE, STRTAB_GPA, 8);
	wr32(VSMMU_STRTAB_BASE_CFG, STRTAB_LOG2);
	vsmmu_mmio_write(t.s, VSMMU_CMDQ_BASE, CMDQ_GPA | cmdq_log2, 8);
	wr32(VSMMU_CMDQ_PROD, start);
	wr32(VSMMU_CMDQ_CONS, start);
	vsmmu_mmio_write(t.s, VSMMU_EVENTQ_BASE, EVENTQ_GPA | EVENTQ_LOG2, 8);
	wr32(VSMMU_IRQ_CTRL, VSMMU_IRQ_CTRL_GERROR | VSMMU_IRQ_CTRL_EVENTQ);
	wr32(VSMMU_CR0, VSMMU_CR0_CMDQEN | VSMMU_CR0_EVENTQEN | VSMMU_CR0_SMMUEN);
	t.prod = start;
}

static void start_at(uint32_t cmdq_log2, uint32_t start)
{
	vsmmu_destroy(t.s);
	memset(&t, 0, sizeof(t));
	memset(memory, 0, sizeof(memory));
	t.mem = (unsigned char *)memory;
	t.s = create(&default_config);
	if (!t.s)
		exit(2);
	if (vsmmu_add_stream(t.s, SID))
		exit(2);
	enable(cmdq_log2, start);
	t.nr_stes = 0;
}

static void start(void)
{
	start_at(CMDQ_LOG2, 0);
}

static void put_at(uint32_t log2, uint32_t position, uint64_t w0, uint64_t w1)
{
	uint64_t w[2] = { htole64(w0), htole64(w1) };

	memcpy(&t.mem[CMDQ_GPA - MEM_BASE + (position & ((1u << log2) - 1)) * 16],
	       w, sizeof(w));
}

static void put_log2(uint32_t log2, uint64_t w0, uint64_t w1)
{
	put_at(log2, t.prod, w0, w1);
	t.prod = (t.prod + 1) & ((2u << log2) - 1);
}

static void put(uint64_t w0)
{
	put_log2(CMDQ_LOG2, w0, 0);
}

static void kick(void)
{
	wr32(VSMMU_CMDQ_PROD, t.prod);
}

/* Commands told apart by their ASID */
static uint64_t tlbi(unsigned int asid)
{
	return VSMMU_OP_TLBI_NH_ASID | (uint64_t)asid << 48;
}

static uint64_t atc(void)
{
	return VSMMU_OP_ATC_INV | (uint64_t)SID << 32;
}

static uint64_t cfgi(enum vsmmu_opcode op, uint32_t sid)
{
	return op | (uint64_t)sid << 32;
}

static void put_ste(uint32_t sid, uint64_t w0, uint64_t w1)
{
	uint64_t w[2] = { htole64(w0), htole64(w1) };

	memcpy(&t.mem[STRTAB_GPA - MEM_BASE + sid * 64], w, sizeof(w));
}

static uint32_t cons(void)
{
	return rd32(VSMMU_CMDQ_CONS) & 0xfffff;
}

static uint32_t cons_err(void)
{
	return rd32(VSMMU_CMDQ_CONS) >> VSMMU_CMDQ_CONS_ERR_SHIFT &
	       VSMMU_CMDQ_CONS_ERR_MASK;
}

static bool cmdq_err_active(void)
{
	return (rd32(VSMMU_GERROR) ^ rd32(VSMMU_GERRORN)) & VSMMU_GERROR_CMDQ_ERR;
}

static void ack(void)
{
	wr32(VSMMU_GERRORN, rd32(VSMMU_GERROR));
}

static void answer(int err, uint32_t done, uint32_t flags, uint32_t code,
		   uint32_t index)
{
	t.answer[t.nr_answers++] = (struct vsmmu_report){ err, done, flags, code, index };
}

static void answer_ill(uint32_t k)
{
	answer(EIO, k, VSMMU_REPORT_VALID, VSMMU_CERROR_ILL, k);
}

/* The tests: registers */

static void test_id_registers(void)
{
	start();
	/* S2P, BTM, Hyp, MSI, PRI, VMID16 are gone; stalls and two-level tables too */
	CHECK(rd32(0x00) == (0x0540101au | IDR0_ATS));
	CHECK((rd32(0x04) & 0x3f) == 16);
	CHECK((rd32(0x04) >> 6 & 0x1f) == 4);
	CHECK((rd32(0x04) >> 11 & 0x1f) == 0);
	CHECK((rd32(0x04) >> 16 & 0x1f) == 10);
	CHECK((rd32(0x04) >> 21 & 0x1f) == 10);
	CHECK(rd32(0x04) >> 26 == 0);
	CHECK(rd32(0x08) == 0);
	CHECK(rd32(0x0c) == 0x1404);
	CHECK(rd32(0x10) == 0);
	CHECK(rd32(0x14) == 0x74);
	CHECK(rd32(VSMMU_AIDR) == 3);
	CHECK(rd32(VSMMU_IIDR) == 0x4832043b);
}

static void test_bad_config(void)
{
	struct vsmmu_config config = default_config;

	start();
	config.cmdq_log2 = VSMMU_QUEUE_LOG2_MAX + 1;
	CHECK(!create(&config));
	CHECK(errno == EINVAL);
	config = default_config;
	config.sid_bits = 0;
	CHECK(!create(&config));
	config = default_config;
	config.host_idr[0] &= ~(1u << 1);
	CHECK(!create(&config));
}

static void test_register_guards(void)
{
	start();
	CHECK(rd32(VSMMU_CR0ACK) == rd32(VSMMU_CR0));
	vsmmu_mmio_write(t.s, VSMMU_CMDQ_BASE, 0, 8);
	CHECK(vsmmu_mmio_read(t.s, VSMMU_CMDQ_BASE, 8) == (CMDQ_GPA | CMDQ_LOG2));
	vsmmu_mmio_write(t.s, VSMMU_STRTAB_BASE, 0, 8);
	CHECK(vsmmu_mmio_read(t.s, VSMMU_STRTAB_BASE, 8) == STRTAB_GPA);
	wr32(VSMMU_CMDQ_CONS, 5);
	CHECK(cons() == 0);
	/* Halves of a 64-bit register */
	wr32(VSMMU_CR0, 0);
	wr32(VSMMU_CMDQ_BASE, 0x40000003);
	wr32(VSMMU_CMDQ_BASE + 4, 0x12);
	CHECK(vsmmu_mmio_read(t.s, VSMMU_CMDQ_BASE, 8) == 0x1240000003ull);
	CHECK(rd32(VSMMU_CMDQ_BASE + 4) == 0x12);
	/* Odd accesses do nothing */
	vsmmu_mmio_write(t.s, VSMMU_CR0, 1, 2);
	vsmmu_mmio_write(t.s, VSMMU_CR0 + 2, 1, 4);
	CHECK(rd32(VSMMU_CR0) == 0);
	CHECK(vsmmu_mmio_read(t.s, VSMMU_IDR0 + 1, 4) == 0);
}

/* The tests: the command queue */

static void test_one_array(void)
{
	start();
	put(tlbi(1));
	put(tlbi(2));
	put(cfgi(VSMMU_OP_CFGI_CD, SID));
	put(VSMMU_OP_SYNC);
	kick();
	CHECK(t.nr_calls == 1);
	CHECK(t.call[0].n == 3);
	CHECK(t.call[0].w0[0] == tlbi(1));
	CHECK(t.call[0].w0[2] == cfgi(VSMMU_OP_CFGI_CD, SID));
	CHECK(cons() == 4);
	CHECK(!cmdq_err_active());
}

static void test_forwarded_opcodes(void)
{
	static const uint64_t ops[] = {
		VSMMU_OP_TLBI_NH_ALL, VSMMU_OP_TLBI_NH_ASID, VSMMU_OP_TLBI_NH_VA,
		VSMMU_OP_TLBI_NH_VAA, VSMMU_OP_TLBI_NSNH_ALL, VSMMU_OP_CFGI_CD,
		VSMMU_OP_CFGI_CD_ALL, VSMMU_OP_ATC_INV,
	};
	unsigned int i;

	start_at(5, 0);
	for (i = 0; i < 8; i++)
		put_log2(5, ops[i] | (uint64_t)(i >= 5 ? SID : 0) << 32, 0);
	kick();
	CHECK(t.nr_calls == 1);
	CHECK(t.call[0].n == 8);
	CHECK(cons() == 8);
}

static void test_flush_without_sync(void)
{
	start();
	put(tlbi(1));
	kick();
	CHECK(t.nr_calls == 1);
	CHECK(cons() == 1);
	put(tlbi(2));
	kick();
	CHECK(t.nr_calls == 2);
	CHECK(t.call[1].w0[0] == tlbi(2));
	CHECK(cons() == 2);
}

static void test_sync_alone(void)
{
	start();
	put(VSMMU_OP_SYNC);
	put(VSMMU_OP_SYNC | 1 << 12);
	kick();
	CHECK(t.nr_calls == 0);
	CHECK(cons() == 2);
	CHECK(t.irqs[VSMMU_IRQ_CMDSYNC] == 1);
	/* The interrupt comes when CONS is past the command */
	CHECK(t.cons_at_irq == 2);
}

static void test_sync_interrupt_in_between(void)
{
	start();
	put(tlbi(1));
	put(VSMMU_OP_SYNC | 1 << 12);
	put(tlbi(2));
	kick();
	CHECK(t.irqs[VSMMU_IRQ_CMDSYNC] == 1);
	CHECK(t.cons_at_irq == 2);
	CHECK(cons() == 3);
}

static void test_queue_larger_than_offered(void)
{
	uint32_t i;

	start();
	wr32(VSMMU_CR0, 0);
	/* LOG2SIZE 20, CMDQS 10: it is 10 */
	vsmmu_mmio_write(t.s, VSMMU_CMDQ_BASE, CMDQ_GPA | 20, 8);
	wr32(VSMMU_CMDQ_CONS, 1000);
	t.prod = 1000;
	for (i = 0; i < 1024; i++)
		put_log2(10, tlbi(i), 0);
	kick();
	wr32(VSMMU_CR0, VSMMU_CR0_CMDQEN);
	CHECK(t.nr_calls == 1);
	CHECK(t.call[0].n == 1024);
	CHECK(t.call[0].w0[0] == tlbi(0));
	CHECK(t.call[0].w0[1023] == tlbi(1023));
	CHECK(cons() == (2024 & 0x7ff));
	CHECK(vsmmu_get_stats(t.s)->largest == 1024);
	CHECK(vsmmu_get_stats(t.s)->forwarded == 1024);
}

static void test_two_syncs(void)
{
	start();
	put(tlbi(1));
	put(VSMMU_OP_SYNC);
	put(tlbi(2));
	put(tlbi(3));
	put(VSMMU_OP_SYNC);
	kick();
	CHECK(t.nr_calls == 2);
	CHECK(t.call[0].n == 1);
	CHECK(t.call[1].n == 2);
	CHECK(cons() == 5);
}

static void error_at(uint32_t ring_start, uint32_t k)
{
	uint32_t mask = (2u << CMDQ_LOG2) - 1, i;

	start_at(CMDQ_LOG2, ring_start);
	for (i = 0; i < 5; i++)
		put(tlbi(i));
	put(VSMMU_OP_SYNC);
	answer_ill(k);
	kick();
	CHECK(t.nr_calls == 1);
	CHECK(cons() == ((ring_start + k) & mask));
	CHECK(cons_err() == VSMMU_CERROR_ILL);
	CHECK(cmdq_err_active());
	CHECK(rd32(VSMMU_GERROR) == VSMMU_GERROR_CMDQ_ERR);
	CHECK(rd32(VSMMU_GERRORN) == 0);
	CHECK(t.irqs[VSMMU_IRQ_GERROR] == 1);

	/* The driver mends the entry and acknowledges: on from there */
	put_at(CMDQ_LOG2, ring_start + k, tlbi(77), 0);
	ack();
	CHECK(!cmdq_err_active());
	CHECK(t.nr_calls == 2);
	CHECK(t.call[1].n == 5 - k);
	CHECK(t.call[1].w0[0] == tlbi(77));
	CHECK(cons() == ((ring_start + 6) & mask));
	CHECK(rd32(VSMMU_GERROR) == rd32(VSMMU_GERRORN));
}

static void test_error_first(void)
{
	error_at(0, 0);
}

static void test_error_middle(void)
{
	error_at(0, 2);
}

static void test_error_last(void)
{
	error_at(0, 4);
}

static void test_error_at_every_position_of_the_ring(void)
{
	uint32_t start, k;

	for (start = 0; start < 2u << CMDQ_LOG2; start++)
		for (k = 0; k < 5; k++)
			error_at(start, k);
}

static void test_wrap(void)
{
	uint32_t i, round;

	start();
	/* More than once around, with the wrap bit in both states */
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 4; i++)
			put(tlbi(round * 4 + i));
		put(VSMMU_OP_SYNC);
		kick();
		CHECK(t.nr_calls == round + 1);
		CHECK(t.call[round].n == 4);
		CHECK(t.call[round].w0[3] == tlbi(round * 4 + 3));
		CHECK(cons() == t.prod);
	}
}

static void test_full_ring(void)
{
	uint32_t i;

	start_at(CMDQ_LOG2, 5);
	for (i = 0; i < 8; i++)
		put(tlbi(i));
	kick();
	CHECK(t.nr_calls == 1);
	CHECK(t.call[0].n == 8);
	CHECK(t.call[0].w0[7] == tlbi(7));
	CHECK(cons() == t.prod);
}

static void test_prod_beyond_ring(void)
{
	start();
	wr32(VSMMU_CMDQ_PROD, 9);
	CHECK(t.nr_calls == 0);
	CHECK(cons() == 0);
	CHECK(!cmdq_err_active());
	/* A sane one goes */
	put(tlbi(1));
	kick();
	CHECK(t.nr_calls == 1);
	CHECK(cons() == 1);
}

static void test_large_array(void)
{
	uint32_t i;

	start_at(10, 700);
	for (i = 0; i < 1000; i++)
		put_log2(10, tlbi(i), 0);
	put_log2(10, VSMMU_OP_SYNC, 0);
	answer_ill(999);
	kick();
	CHECK(t.nr_calls == 1);
	CHECK(t.call[0].n == 1000);
	CHECK(cons() == (1699 & 0x7ff));
	ack();
	CHECK(t.call[1].n == 1);
	CHECK(cons() == t.prod);
}

static void test_stopped_until_acknowledged(void)
{
	start();
	put(tlbi(1));
	answer_ill(0);
	kick();
	CHECK(cmdq_err_active());
	put(tlbi(2));
	kick();
	CHECK(t.nr_calls == 1);
	CHECK(cons() == 0);
	/* Toggling CMDQEN acknowledges nothing */
	wr32(VSMMU_CR0, VSMMU_CR0_SMMUEN);
	wr32(VSMMU_CR0, VSMMU_CR0_SMMUEN | VSMMU_CR0_CMDQEN);
	CHECK(t.nr_calls == 1);
	CHECK(cmdq_err_active());
	/* Neither do writes that leave the bit or toggle inactive ones */
	wr32(VSMMU_GERRORN, 0);
	wr32(VSMMU_GERRORN, VSMMU_GERROR_EVENTQ_ABT);
	CHECK(rd32(VSMMU_GERRORN) == 0);
	CHECK(t.nr_calls == 1);
	ack();
	CHECK(t.nr_calls == 2);
	CHECK(t.call[1].n == 2);
	CHECK(cons() == 2);
}

static void test_gerror_toggles(void)
{
	unsigned int i;

	start();
	for (i = 0; i < 5; i++) {
		uint32_t before = rd32(VSMMU_GERROR);

		put(tlbi(i));
		answer_ill(0);
		/* Consumed by the resumed run */
		answer(0, 1, VSMMU_REPORT_VALID, 0, 0);
		kick();
		CHECK((rd32(VSMMU_GERROR) ^ before) == VSMMU_GERROR_CMDQ_ERR);
		CHECK(t.irqs[VSMMU_IRQ_GERROR] == i + 1);
		ack();
		CHECK(cons() == t.prod);
	}
	CHECK(vsmmu_get_stats(t.s)->errors == 5);
}

static void test_same_command_fails_again(void)
{
	start();
	put(tlbi(1));
	put(tlbi(2));
	answer_ill(1);
	answer_ill(0);
	kick();
	CHECK(cons() == 1);
	ack();
	CHECK(cmdq_err_active());
	CHECK(cons() == 1);
	CHECK(rd32(VSMMU_GERROR) == 0);
	CHECK(rd32(VSMMU_GERRORN) == VSMMU_GERROR_CMDQ_ERR);
	ack();
	CHECK(!cmdq_err_active());
	CHECK(cons() == 2);
}

static void test_unknown_opcode(void)
{
	start();
	put(tlbi(1));
	put(0x7f);
	put(tlbi(2));
	kick();
	/* What came before was executed */
	CHECK(t.nr_calls == 1);
	CHECK(t.call[0].n == 1);
	CHECK(cons() == 1);
	CHECK(cons_err() == VSMMU_CERROR_ILL);
	put_at(CMDQ_LOG2, 1, VSMMU_OP_SYNC, 0);
	ack();
	CHECK(t.nr_calls == 2);
	CHECK(cons() == 3);
}

static void test_illegal_opcodes(void)
{
	static const uint64_t ops[] = {
		0x00, 0x07, 0x18, 0x20, 0x21, 0x22, 0x28, 0x2a, 0x41, 0x44, 0x45, 0x50,
		0x70, 0x80, 0xff,
		VSMMU_OP_SYNC | 3 << 12,
		VSMMU_OP_PREFETCH_CONFIG | 1 << 10,
		VSMMU_OP_CFGI_STE | 1 << 10,
		VSMMU_OP_CFGI_STE_RANGE | 1 << 10,
		/* SSec on a stream of nobody: the kernel never sees it */
		VSMMU_OP_CFGI_CD | 1 << 10 | (uint64_t)OTHER_SID << 32,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		start();
		put(ops[i]);
		kick();
		CHECK(cmdq_err_active());
		CHECK(cons_err() == VSMMU_CERROR_ILL);
		CHECK(cons() == 0);
		CHECK(t.nr_calls == 0);
	}
}

static void test_error_before_unknown_opcode(void)
{
	start();
	put(tlbi(1));
	put(tlbi(2));
	put(0x7f);
	answer_ill(1);
	kick();
	CHECK(cons() == 1);
	ack();
	/* Now the second is done and the third is the culprit */
	CHECK(cmdq_err_active());
	CHECK(cons() == 2);
	CHECK(t.nr_calls == 2);
}

static void test_skipped_commands_keep_the_mapping(void)
{
	start();
	put(tlbi(1));
	put(VSMMU_OP_PREFETCH_CONFIG);
	put(cfgi(VSMMU_OP_CFGI_CD, OTHER_SID));
	put(tlbi(2));
	/* Beyond SIDSIZE */
	put(cfgi(VSMMU_OP_CFGI_CD_ALL, 0x10000 + SID));
	put(tlbi(3));
	put(VSMMU_OP_SYNC);
	answer_ill(2);
	kick();
	CHECK(t.nr_calls == 1);
	CHECK(t.call[0].n == 3);
	CHECK(t.call[0].w0[1] == tlbi(2));
	/* Entry 2 of the array is entry 5 of the ring */
	CHECK(cons() == 5);
	ack();
	CHECK(cons() == 7);
}

static void test_ring_not_memory(void)
{
	start();
	wr32(VSMMU_CR0, 0);
	vsmmu_mmio_write(t.s, VSMMU_CMDQ_BASE, UNBACKED_GPA | CMDQ_LOG2, 8);
	wr32(VSMMU_CR0, VSMMU_CR0_CMDQEN);
	wr32(VSMMU_CMDQ_PROD, 1);
	CHECK(cmdq_err_active());
	CHECK(cons_err() == VSMMU_CERROR_ABT);
	CHECK(cons() == 0);
	ack();
	CHECK(cmdq_err_active());
}

static void test_disabled_queue(void)
{
	start();
	wr32(VSMMU_CR0, 0);
	put(tlbi(1));
	kick();
	CHECK(t.nr_calls == 0);
	wr32(VSMMU_CR0, VSMMU_CR0_CMDQEN);
	CHECK(t.nr_calls == 1);
	CHECK(cons() == 1);
}

/* The tests: every outcome of the ioctl */

static void test_no_report_goes_one_by_one(void)
{
	start();
	t.poison = tlbi(3);
	t.poisoned = true;
	put(tlbi(1));
	put(tlbi(2));
	put(tlbi(3));
	put(tlbi(4));
	kick();
	/* The array, then 1, 2 and 3 alone; 4 is not reached */
	CHECK(t.nr_calls == 4);
	CHECK(t.call[1].w0[0] == tlbi(1));
	CHECK(t.call[3].n == 1);
	CHECK(t.call[3].w0[0] == tlbi(3));
	CHECK(cons() == 2);
	CHECK(cons_err() == VSMMU_CERROR_ILL);
	t.poisoned = false;
	ack();
	CHECK(t.call[4].n == 2);
	CHECK(cons() == 4);
}

static void test_no_report_single(void)
{
	start();
	put(tlbi(1));
	answer(EIO, 0, 0, 0, 0);
	kick();
	CHECK(t.nr_calls == 1);
	CHECK(cons() == 0);
	CHECK(cons_err() == VSMMU_CERROR_ILL);
	/* One entry can only be that one */
	answer(EIO, 0, VSMMU_REPORT_VALID, VSMMU_CERROR_ILL, 5);
	ack();
	CHECK(t.nr_calls == 2);
	CHECK(cons_err() == VSMMU_CERROR_ILL);
	CHECK(cmdq_err_active());
}

static void test_no_report_says_all_done(void)
{
	struct vsmmu_report r = { .err = ENOMEM, .done = 4 };
	struct vsmmu_verdict v = vsmmu_judge(4, &r);

	start();
	/* entry_num is not believed without the report */
	CHECK(v.action == VSMMU_ACT_STOP && v.at == 0 && v.code == VSMMU_CERROR_ABT);
}

static void test_contradicting_report(void)
{
	start();
	put(tlbi(1));
	put(tlbi(2));
	put(tlbi(3));
	answer(EIO, 0, VSMMU_REPORT_VALID, VSMMU_CERROR_ILL, 2);
	kick();
	/* All succeed one by one: no error for the guest */
	CHECK(t.nr_calls == 4);
	CHECK(!cmdq_err_active());
	CHECK(cons() == 3);
}

static void test_success_that_is_none(void)
{
	start();
	put(tlbi(1));
	put(tlbi(2));
	answer(0, 1, VSMMU_REPORT_VALID, 0, 0);
	kick();
	CHECK(cmdq_err_active());
	CHECK(cons() == 1);
	CHECK(cons_err() == VSMMU_CERROR_ABT);
	ack();
	CHECK(cons() == 2);
}

static void retried(int err, uint32_t flags, uint32_t code, uint32_t done, uint32_t at)
{
	start();
	put(tlbi(0));
	put(tlbi(1));
	put(tlbi(2));
	put(VSMMU_OP_SYNC);
	answer(err, done, flags, code, 2);
	kick();
	CHECK(cmdq_err_active());
	CHECK(cons_err() == VSMMU_CERROR_ABT);
	CHECK(cons() == at);
	ack();
	/* Nothing that is not known complete is left out */
	CHECK(t.nr_calls == 2);
	CHECK(t.call[1].n == 3 - at);
	CHECK(t.call[1].w0[0] == tlbi(at));
	CHECK(cons() == 4);
}

static void test_outcomes_that_are_retried(void)
{
	const uint32_t valid = VSMMU_REPORT_VALID, hw = valid | VSMMU_REPORT_HW;

	retried(EIO, hw, VSMMU_CERROR_ABT, 1, 1);
	retried(ETIMEDOUT, valid, 0, 1, 1);
	retried(ETIMEDOUT, hw, VSMMU_CERROR_ILL, 1, 1);
	retried(ETIMEDOUT, 0, 0, 2, 0);
	retried(EFAULT, valid, 0, 2, 2);
	retried(ENOMEM, valid, 0, 0, 0);
	retried(ENOENT, 0, 0, 3, 0);
	retried(EIO, valid, 0, 1, 1);
	retried(EIO, valid, 77, 1, 1);
}

static void test_atc_timeout(void)
{
	start_at(5, 0);
	put_log2(5, tlbi(0), 0);
	put_log2(5, atc(), 0);
	put_log2(5, tlbi(1), 0);
	put_log2(5, atc(), 0x1000);
	put_log2(5, tlbi(2), 0);
	put_log2(5, VSMMU_OP_SYNC, 0);
	put_log2(5, tlbi(3), 0);
	answer(EIO, 1, VSMMU_REPORT_VALID | VSMMU_REPORT_HW, VSMMU_CERROR_ATC_INV_SYNC, 3);
	kick();
	/* What is left runs, without the ATC_INVs; the CMD_SYNC has the error */
	CHECK(t.nr_calls == 2);
	CHECK(t.call[1].n == 2);
	CHECK(t.call[1].w0[0] == tlbi(1));
	CHECK(t.call[1].w0[1] == tlbi(2));
	CHECK(cmdq_err_active());
	CHECK(cons() == 5);
	CHECK(cons_err() == VSMMU_CERROR_ATC_INV_SYNC);
	/* Acknowledged: the same CMD_SYNC runs again and completes */
	ack();
	CHECK(t.nr_calls == 3);
	CHECK(cons() == 7);
	CHECK(!cmdq_err_active());
}

static void test_atc_timeout_before_sync_arrives(void)
{
	start();
	put(atc());
	answer(EIO, 0, VSMMU_REPORT_VALID | VSMMU_REPORT_HW, VSMMU_CERROR_ATC_INV_SYNC, 0);
	kick();
	/* Consumed, no error yet */
	CHECK(t.nr_calls == 1);
	CHECK(!cmdq_err_active());
	CHECK(cons() == 1);
	put(tlbi(1));
	put(VSMMU_OP_SYNC);
	put(VSMMU_OP_SYNC);
	kick();
	CHECK(cmdq_err_active());
	CHECK(cons() == 2);
	CHECK(cons_err() == VSMMU_CERROR_ATC_INV_SYNC);
	ack();
	CHECK(!cmdq_err_active());
	CHECK(cons() == 4);
}

static void test_atc_timeout_then_bad_command(void)
{
	start();
	put(atc());
	put(tlbi(1));
	put(tlbi(2));
	put(VSMMU_OP_SYNC);
	answer(EIO, 0, VSMMU_REPORT_VALID | VSMMU_REPORT_HW, VSMMU_CERROR_ATC_INV_SYNC, 0);
	answer_ill(1);
	kick();
	CHECK(cons() == 2);
	CHECK(cons_err() == VSMMU_CERROR_ILL);
	ack();
	CHECK(cons() == 3);
	CHECK(cons_err() == VSMMU_CERROR_ATC_INV_SYNC);
	ack();
	CHECK(cons() == 4);
	CHECK(!cmdq_err_active());
}

static void test_atc_timeout_of_no_atc(void)
{
	start();
	put(tlbi(1));
	put(tlbi(2));
	answer(EIO, 1, VSMMU_REPORT_VALID | VSMMU_REPORT_HW, VSMMU_CERROR_ATC_INV_SYNC, 1);
	kick();
	CHECK(cmdq_err_active());
	CHECK(cons() == 1);
	CHECK(cons_err() == VSMMU_CERROR_ABT);
}

static void test_atc_timeout_one_by_one(void)
{
	start();
	put(tlbi(1));
	put(atc());
	put(tlbi(2));
	put(VSMMU_OP_SYNC);
	answer(EIO, 0, VSMMU_REPORT_VALID, VSMMU_CERROR_ILL, 2);
	answer(0, 1, VSMMU_REPORT_VALID, 0, 0);
	answer(EIO, 0, VSMMU_REPORT_VALID | VSMMU_REPORT_HW, VSMMU_CERROR_ATC_INV_SYNC, 0);
	kick();
	CHECK(t.nr_calls == 4);
	CHECK(t.call[3].w0[0] == tlbi(2));
	CHECK(cons() == 3);
	CHECK(cons_err() == VSMMU_CERROR_ATC_INV_SYNC);

	/* An entry that is no ATC_INV can't have timed out */
	start();
	put(tlbi(1));
	put(tlbi(2));
	answer(EIO, 0, VSMMU_REPORT_VALID, VSMMU_CERROR_ILL, 1);
	answer(EIO, 0, VSMMU_REPORT_VALID | VSMMU_REPORT_HW, VSMMU_CERROR_ATC_INV_SYNC, 0);
	kick();
	CHECK(cons() == 0);
	CHECK(cons_err() == VSMMU_CERROR_ABT);
}

static void test_atc_timeout_forgotten_with_the_queue(void)
{
	start();
	put(atc());
	answer(EIO, 0, VSMMU_REPORT_VALID | VSMMU_REPORT_HW, VSMMU_CERROR_ATC_INV_SYNC, 0);
	kick();
	wr32(VSMMU_CR0, VSMMU_CR0_SMMUEN);
	wr32(VSMMU_CR0, VSMMU_CR0_SMMUEN | VSMMU_CR0_CMDQEN);
	put(VSMMU_OP_SYNC);
	kick();
	CHECK(!cmdq_err_active());
	CHECK(cons() == 2);
}

static void test_atc_without_ats(void)
{
	struct vsmmu_config config = default_config;

	start();
	vsmmu_destroy(t.s);
	config.ats = false;
	t.s = create(&config);
	vsmmu_add_stream(t.s, SID);
	enable(CMDQ_LOG2, 0);
	put(atc());
	kick();
	CHECK(cons_err() == VSMMU_CERROR_ILL);
	CHECK(cmdq_err_active());
	CHECK(t.nr_calls == 0);
	/* EATS and ATSCHK are not there either */
	put_ste(SID, 0xb | 0x40123440, 0x100000d6);
	put_at(CMDQ_LOG2, 0, cfgi(VSMMU_OP_CFGI_STE, SID), 0);
	t.nr_stes = 0;
	ack();
	CHECK(t.nr_stes == 1 && le64toh(t.ste[0].ste.w[1]) == 0xd6);
	wr32(VSMMU_CR0, VSMMU_CR0_SMMUEN | VSMMU_CR0_ATSCHK);
	CHECK(rd32(VSMMU_CR0) == VSMMU_CR0_SMMUEN);
}

/* The tests: stream table */

static void test_ste_kinds(void)
{
	start();
	put_ste(SID, 0xb | 0x40123440 | 5ull << 59, 0x0c0000d6);
	put(cfgi(VSMMU_OP_CFGI_STE, SID));
	put_log2(CMDQ_LOG2, VSMMU_OP_SYNC, 0);
	kick();
	/* S1STALLD with STALL_MODEL 01 is illegal: blocked, one C_BAD_STE */
	CHECK(t.nr_stes == 1);
	CHECK(t.ste[0].ste.kind == VSMMU_STE_INVALID);
	CHECK(rd32(VSMMU_EVENTQ_PROD) == 1);
	CHECK(t.mem[EVENTQ_GPA - MEM_BASE] == VSMMU_EVT_C_BAD_STE);
	CHECK(t.mem[EVENTQ_GPA - MEM_BASE + 4] == SID);

	/* Only the fields that the host takes; EATS stays because ATS is shown */
	t.nr_stes = 0;
	put_ste(SID, 0xb | 0x40123440 | 5ull << 59 | 0xf0ull << 52, 0xfffffffff7ffffffull);
	put(cfgi(VSMMU_OP_CFGI_STE, SID));
	kick();
	CHECK(t.nr_stes == 1 && t.ste[0].sid == SID);
	CHECK(t.ste[0].ste.kind == VSMMU_STE_S1);
	CHECK(le64toh(t.ste[0].ste.w[0]) == (0xb | 0x40123440 | 5ull << 59));
	CHECK(le64toh(t.ste[0].ste.w[1]) == 0x300000ff);

	t.nr_stes = 0;
	put_ste(SID, 0x9 | 0x40123440, 0xd6);
	put(cfgi(VSMMU_OP_CFGI_STE, SID));
	kick();
	CHECK(t.ste[0].ste.kind == VSMMU_STE_BYPASS);
	CHECK(le64toh(t.ste[0].ste.w[0]) == 0x9 && !t.ste[0].ste.w[1]);

	t.nr_stes = 0;
	put_ste(SID, 0x1 | 0x40123440, 0xd6);
	put(cfgi(VSMMU_OP_CFGI_STE, SID));
	kick();
	CHECK(t.ste[0].ste.kind == VSMMU_STE_ABORT);
	CHECK(le64toh(t.ste[0].ste.w[0]) == 0x1 && !t.ste[0].ste.w[1]);

	t.nr_stes = 0;
	put_ste(SID, 0xa | 0x40123440, 0xd6);
	put(cfgi(VSMMU_OP_CFGI_STE, SID));
	kick();
	CHECK(t.ste[0].ste.kind == VSMMU_STE_INVALID);
	CHECK(!t.ste[0].ste.w[0] && !t.ste[0].ste.w[1]);

	/* Stage 2 is not there */
	t.nr_stes = 0;
	put_ste(SID, 0xf | 0x40123440, 0);
	put(cfgi(VSMMU_OP_CFGI_STE, SID));
	kick();
	CHECK(t.nr_stes == 1);
	CHECK(t.ste[0].ste.kind == VSMMU_STE_INVALID);
	CHECK(rd32(VSMMU_EVENTQ_PROD) == 2);
	CHECK(!cmdq_err_active());
}

static void test_ste_flushes_first(void)
{
	start();
	put_ste(SID, 0x9, 0);
	put(tlbi(1));
	put(cfgi(VSMMU_OP_CFGI_STE, SID));
	put(tlbi(2));
	answer_ill(0);
	kick();
	CHECK(t.nr_stes == 0);
	CHECK(cons() == 0);
	ack();
	CHECK(t.nr_stes == 1);
	CHECK(t.nr_calls == 3);
	CHECK(cons() == 3);
}

static void test_ste_range(void)
{
	start();
	CHECK(vsmmu_add_stream(t.s, 0x40) == 0);
	CHECK(vsmmu_add_stream(t.s, 0x47) == 0);
	CHECK(vsmmu_add_stream(t.s, 0x48) == 0);
	CHECK(vsmmu_add_stream(t.s, 0x48) == -EEXIST);
	CHECK(vsmmu_add_stream(t.s, 0x10000) == -EINVAL);
	t.nr_stes = 0;
	/* Range 2: eight StreamIDs, aligned down */
	put_log2(CMDQ_LOG2, cfgi(VSMMU_OP_CFGI_STE_RANGE, 0x45), 2);
	kick();
	CHECK(t.nr_stes == 3);
	CHECK(t.ste[0].sid == 0x40 && t.ste[1].sid == 0x42 && t.ste[2].sid == 0x47);
	t.nr_stes = 0;
	/* CFGI_ALL */
	put_log2(CMDQ_LOG2, cfgi(VSMMU_OP_CFGI_STE_RANGE, 0), 31);
	kick();
	CHECK(t.nr_stes == 4);
	t.nr_stes = 0;
	vsmmu_remove_stream(t.s, 0x47);
	put(cfgi(VSMMU_OP_CFGI_STE, 0x47));
	put(cfgi(VSMMU_OP_CFGI_STE, 0xffffffff));
	kick();
	CHECK(t.nr_stes == 0);
	CHECK(cons() == 4);
}

static void test_ste_outside_table(void)
{
	start();
	CHECK(vsmmu_add_stream(t.s, 0x1042) == 0);
	t.nr_stes = 0;
	put_ste(SID, 0x9, 0);
	put(cfgi(VSMMU_OP_CFGI_STE, 0x1042));
	kick();
	CHECK(t.nr_stes == 1);
	CHECK(t.ste[0].ste.kind == VSMMU_STE_INVALID);
	/* A two-level table was not offered */
	wr32(VSMMU_CR0, 0);
	wr32(VSMMU_STRTAB_BASE_CFG, STRTAB_LOG2 | 1 << 16);
	t.nr_stes = 0;
	wr32(VSMMU_CR0, VSMMU_CR0_SMMUEN);
	CHECK(t.nr_stes == 2);
	CHECK(t.ste[0].ste.kind == VSMMU_STE_INVALID);
}

static void test_ste_refused_by_host(void)
{
	start();
	put_ste(SID, 0xb | 0x40123440, 0);
	put(cfgi(VSMMU_OP_CFGI_STE, SID));
	t.ste_error[t.nr_ste_errors++] = -EIO;
	kick();
	CHECK(t.nr_stes == 2);
	CHECK(t.ste[1].ste.kind == VSMMU_STE_INVALID);
	CHECK(!cmdq_err_active());
	CHECK(cons() == 1);
	CHECK(rd32(VSMMU_EVENTQ_PROD) == 1);
}

static void test_ste_host_out_of_memory(void)
{
	start();
	put_ste(SID, 0xb | 0x40123440, 0);
	put(cfgi(VSMMU_OP_CFGI_STE, SID));
	t.ste_error[t.nr_ste_errors++] = -ENOMEM;
	kick();
	/* Blocked, and the guest tries again */
	CHECK(t.nr_stes == 2);
	CHECK(t.ste[1].ste.kind == VSMMU_STE_INVALID);
	CHECK(cmdq_err_active());
	CHECK(cons() == 0);
	CHECK(cons_err() == VSMMU_CERROR_ABT);
	ack();
	CHECK(t.nr_stes == 3);
	CHECK(t.ste[2].ste.kind == VSMMU_STE_S1);
	CHECK(cons() == 1);
	CHECK(rd32(VSMMU_EVENTQ_PROD) == 0);
}

static void test_ste_error_stops_no_other_stream(void)
{
	start();
	CHECK(vsmmu_add_stream(t.s, 0x44) == 0);
	put_ste(SID, 0x9, 0);
	put_ste(0x44, 0x9, 0);
	t.nr_stes = 0;
	t.ste_error[t.nr_ste_errors++] = -ENOMEM;
	t.ste_error[t.nr_ste_errors++] = -ENOMEM;
	put_log2(CMDQ_LOG2, cfgi(VSMMU_OP_CFGI_STE_RANGE, 0), 31);
	kick();
	CHECK(t.nr_stes == 3);
	CHECK(t.ste[2].sid == 0x44 && t.ste[2].ste.kind == VSMMU_STE_BYPASS);
	CHECK(cons_err() == VSMMU_CERROR_ABT);
	ack();
	CHECK(t.nr_stes == 5);
	CHECK(cons() == 1);
	/* A device that the host can't make obey is not added */
	t.next_ste_error = 0;
	CHECK(vsmmu_add_stream(t.s, 0x45) == -ENOMEM);
	t.nr_stes = 0;
	put(cfgi(VSMMU_OP_CFGI_STE, 0x45));
	kick();
	CHECK(t.nr_stes == 0);
}

static void test_smmuen_and_gbpa(void)
{
	start();
	put_ste(SID, 0xb | 0x40123440, 0);
	wr32(VSMMU_CR0, 0);
	CHECK(t.nr_stes == 1 && t.ste[0].ste.kind == VSMMU_STE_BYPASS);
	CHECK(le64toh(t.ste[0].ste.w[0]) == 0x9);
	wr32(VSMMU_GBPA, VSMMU_GBPA_ABORT);
	CHECK(t.nr_stes == 1);
	wr32(VSMMU_GBPA, VSMMU_GBPA_ABORT | VSMMU_GBPA_UPDATE);
	CHECK(t.nr_stes == 2 && t.ste[1].ste.kind == VSMMU_STE_ABORT);
	CHECK(le64toh(t.ste[1].ste.w[0]) == 0x1);
	CHECK(rd32(VSMMU_GBPA) == VSMMU_GBPA_ABORT);
	wr32(VSMMU_CR0, VSMMU_CR0_SMMUEN);
	CHECK(t.nr_stes == 3 && t.ste[2].ste.kind == VSMMU_STE_S1);
	vsmmu_reset(t.s);
	CHECK(t.nr_stes == 4 && t.ste[3].ste.kind == VSMMU_STE_BYPASS);
	CHECK(rd32(VSMMU_CR0) == 0 && rd32(VSMMU_GBPA) == 0);
}

/* The tests: events */

static size_t event_buf(unsigned char *buf, size_t off, uint32_t flags, uint32_t seq,
			uint64_t tag)
{
	struct vsmmu_vevent_header header = { flags, seq };
	uint64_t w[4] = { htole64(tag), 0, 0, 0 };

	memcpy(buf + off, &header, sizeof(header));
	if (flags & VSMMU_VEVENT_LOST)
		return off + sizeof(header);
	memcpy(buf + off + sizeof(header), w, sizeof(w));
	return off + sizeof(header) + sizeof(w);
}

static void feed(uint32_t flags, uint32_t seq, uint64_t tag)
{
	unsigned char buf[40];
	size_t len = event_buf(buf, 0, flags, seq, tag);

	CHECK(vsmmu_feed_events(t.s, buf, len) == len);
}

static uint64_t event_at(unsigned int index)
{
	uint64_t w;

	memcpy(&w, &t.mem[EVENTQ_GPA - MEM_BASE + index * 32], sizeof(w));
	return le64toh(w);
}

static bool overflow_flag(void)
{
	return (rd32(VSMMU_EVENTQ_PROD) ^ rd32(VSMMU_EVENTQ_CONS)) >> 31;
}

static void test_interrupts_masked(void)
{
	start();
	wr32(VSMMU_IRQ_CTRL, 0);
	put(tlbi(1));
	answer_ill(0);
	kick();
	CHECK(cmdq_err_active());
	CHECK(t.irqs[VSMMU_IRQ_GERROR] == 0);
	feed(0, 0, 1);
	CHECK(t.irqs[VSMMU_IRQ_EVENTQ] == 0);
	wr32(VSMMU_IRQ_CTRL, VSMMU_IRQ_CTRL_EVENTQ);
	ack();
	put(tlbi(1));
	answer_ill(0);
	kick();
	CHECK(t.irqs[VSMMU_IRQ_GERROR] == 0);
}

static void test_events(void)
{
	unsigned char buf[3 * 40];
	size_t len = 0;

	start();
	len = event_buf(buf, len, 0, 0, 0x10);
	len = event_buf(buf, len, 0, 1, 0x11);
	len = event_buf(buf, len, 0, 2, 0x13);
	/* The last record is torn: it is left to the caller */
	CHECK(vsmmu_feed_events(t.s, buf, len - 1) == 80);
	CHECK(rd32(VSMMU_EVENTQ_PROD) == 2);
	CHECK(vsmmu_feed_events(t.s, buf + 80, 40) == 40);
	CHECK(rd32(VSMMU_EVENTQ_PROD) == 3);
	CHECK(event_at(0) == 0x10 && event_at(1) == 0x11 && event_at(2) == 0x13);
	CHECK(!overflow_flag());
	/* Not empty before: no interrupt but the first */
	CHECK(t.irqs[VSMMU_IRQ_EVENTQ] == 1);
	CHECK(vsmmu_feed_events(t.s, buf, 7) == 0);
}

static void test_events_wrap(void)
{
	uint32_t i;

	start();
	for (i = 0; i < 11; i++) {
		feed(0, i, i);
		CHECK((rd32(VSMMU_EVENTQ_PROD) & 7) == ((i + 1) & 7));
		CHECK(event_at(i & 3) == i);
		wr32(VSMMU_EVENTQ_CONS, (i + 1) & 7);
	}
	CHECK(t.irqs[VSMMU_IRQ_EVENTQ] == 11);
	CHECK(!overflow_flag());
}

static void test_event_gap(void)
{
	start();
	feed(0, 0, 1);
	CHECK(!overflow_flag());
	feed(0, 3, 2);
	CHECK(overflow_flag());
	CHECK(rd32(VSMMU_EVENTQ_PROD) == (VSMMU_EVENTQ_OVERFLOW | 2));
	CHECK(vsmmu_get_stats(t.s)->events_lost == 2);
	/* Another gap before the acknowledgment: one overflow condition */
	feed(0, 5, 3);
	CHECK(rd32(VSMMU_EVENTQ_PROD) == (VSMMU_EVENTQ_OVERFLOW | 3));
	wr32(VSMMU_EVENTQ_CONS, VSMMU_EVENTQ_OVERFLOW | 3);
	CHECK(!overflow_flag());
	feed(0, 6, 4);
	CHECK(!overflow_flag());
	/* The flag toggles back the next time */
	feed(0, 8, 5);
	CHECK(overflow_flag());
	CHECK(!(rd32(VSMMU_EVENTQ_PROD) & VSMMU_EVENTQ_OVERFLOW));
}

static void test_lost_header(void)
{
	start();
	feed(0, 0, 1);
	feed(VSMMU_VEVENT_LOST, 4, 0);
	CHECK(overflow_flag());
	CHECK(vsmmu_get_stats(t.s)->events_lost == 4);
	CHECK((rd32(VSMMU_EVENTQ_PROD) & 7) == 1);
	wr32(VSMMU_EVENTQ_CONS, VSMMU_EVENTQ_OVERFLOW | 1);
	/* Goes on right after the last lost one: no second loss */
	feed(0, 5, 2);
	CHECK(!overflow_flag());
	CHECK(vsmmu_get_stats(t.s)->events_lost == 4);
}

static void test_lost_at_the_very_start(void)
{
	start();
	feed(VSMMU_VEVENT_LOST, 0, 0);
	CHECK(overflow_flag());
	CHECK(vsmmu_get_stats(t.s)->events_lost == 1);
}

static void test_sequence_wrap(void)
{
	start();
	feed(VSMMU_VEVENT_LOST, VSMMU_VEVENT_SEQUENCE_MAX - 2, 0);
	wr32(VSMMU_EVENTQ_CONS, VSMMU_EVENTQ_OVERFLOW);
	feed(0, VSMMU_VEVENT_SEQUENCE_MAX - 1, 1);
	feed(0, VSMMU_VEVENT_SEQUENCE_MAX, 2);
	feed(0, 0, 3);
	feed(0, 1, 4);
	CHECK(!overflow_flag());
	wr32(VSMMU_EVENTQ_CONS, VSMMU_EVENTQ_OVERFLOW | 4);
	/* A gap across the wrap */
	feed(VSMMU_VEVENT_LOST, VSMMU_VEVENT_SEQUENCE_MAX - 1, 0);
	wr32(VSMMU_EVENTQ_CONS, 4);
	CHECK(!overflow_flag());
	feed(0, 2, 5);
	CHECK(overflow_flag());
	CHECK(vsmmu_get_stats(t.s)->events_lost ==
	      (VSMMU_VEVENT_SEQUENCE_MAX - 1ull) + (VSMMU_VEVENT_SEQUENCE_MAX - 2ull) + 3);
}

static void test_guest_queue_full(void)
{
	uint32_t i;

	start();
	for (i = 0; i < 4; i++)
		feed(0, i, i);
	CHECK(!overflow_flag());
	feed(0, 4, 4);
	CHECK(overflow_flag());
	CHECK(event_at(0) == 0);
	CHECK((rd32(VSMMU_EVENTQ_PROD) & 7) == 4);
	CHECK(vsmmu_get_stats(t.s)->events_dropped == 1);
	/* Room again, records flow, the flag stays until it is acknowledged */
	wr32(VSMMU_EVENTQ_CONS, 2);
	feed(0, 5, 5);
	CHECK(event_at(0) == 5);
	CHECK(overflow_flag());
	wr32(VSMMU_EVENTQ_CONS, VSMMU_EVENTQ_OVERFLOW | 5);
	CHECK(!overflow_flag());
}

static void test_event_queue_disabled(void)
{
	start();
	wr32(VSMMU_CR0, VSMMU_CR0_SMMUEN);
	feed(0, 0, 1);
	CHECK(rd32(VSMMU_EVENTQ_PROD) == 0);
	wr32(VSMMU_CR0, VSMMU_CR0_SMMUEN | VSMMU_CR0_EVENTQEN);
	/* Numbers went on: no gap */
	feed(0, 1, 2);
	CHECK(rd32(VSMMU_EVENTQ_PROD) == 1);
}

static void test_event_queue_not_memory(void)
{
	start();
	wr32(VSMMU_CR0, VSMMU_CR0_SMMUEN);
	vsmmu_mmio_write(t.s, VSMMU_EVENTQ_BASE, UNBACKED_GPA | EVENTQ_LOG2, 8);
	wr32(VSMMU_CR0, VSMMU_CR0_SMMUEN | VSMMU_CR0_EVENTQEN);
	feed(0, 0, 1);
	CHECK((rd32(VSMMU_GERROR) ^ rd32(VSMMU_GERRORN)) == VSMMU_GERROR_EVENTQ_ABT);
	CHECK(rd32(VSMMU_EVENTQ_PROD) == 0);
	feed(0, 1, 2);
	CHECK(t.irqs[VSMMU_IRQ_GERROR] == 1);
	ack();
	feed(0, 2, 3);
	CHECK(t.irqs[VSMMU_IRQ_GERROR] == 2);
}

static void test_reset(void)
{
	static const uint64_t zero[] = {
		VSMMU_CR0, VSMMU_CR1, VSMMU_CR2, VSMMU_GBPA, VSMMU_IRQ_CTRL, VSMMU_GERROR,
		VSMMU_GERRORN, VSMMU_STRTAB_BASE, VSMMU_STRTAB_BASE_CFG, VSMMU_CMDQ_BASE,
		VSMMU_CMDQ_PROD, VSMMU_CMDQ_CONS, VSMMU_EVENTQ_BASE, VSMMU_EVENTQ_PROD,
		VSMMU_EVENTQ_CONS,
	};
	unsigned int i;

	start();
	wr32(VSMMU_CR1, 0xd75);
	wr32(VSMMU_CR2, 7);
	CHECK(rd32(VSMMU_CR1) == 0xd75 && rd32(VSMMU_CR2) == 7);
	put(tlbi(1));
	answer_ill(0);
	kick();
	ack();
	put(atc());
	answer(EIO, 0, VSMMU_REPORT_VALID | VSMMU_REPORT_HW, VSMMU_CERROR_ATC_INV_SYNC, 0);
	kick();
	put(tlbi(1));
	answer_ill(0);
	kick();
	ack();
	put(tlbi(1));
	answer_ill(0);
	kick();
	CHECK(rd32(VSMMU_GERROR) && !rd32(VSMMU_GERRORN));
	feed(0, 0, 1);
	wr32(VSMMU_EVENTQ_CONS, 1);
	vsmmu_reset(t.s);
	for (i = 0; i < ARRAY_SIZE(zero); i++)
		CHECK(rd32(zero[i]) == 0);
	/* The lost ATC_INV is forgotten, and the numbers of the vEVENTQ are not */
	enable(CMDQ_LOG2, 0);
	put(VSMMU_OP_SYNC);
	kick();
	CHECK(cons() == 1 && !cmdq_err_active());
	feed(0, 1, 2);
	CHECK((rd32(VSMMU_EVENTQ_PROD) ^ rd32(VSMMU_EVENTQ_CONS)) == 1);
	/* Where the last driver left off */
	wr32(VSMMU_CR0, 0);
	wr32(VSMMU_EVENTQ_PROD, 3);
	wr32(VSMMU_EVENTQ_CONS, 3);
	CHECK(rd32(VSMMU_EVENTQ_PROD) == 3);
}

#define TEST(name)	{ #name, test_##name }

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	TEST(id_registers),
	TEST(bad_config),
	TEST(register_guards),
	TEST(one_array),
	TEST(forwarded_opcodes),
	TEST(flush_without_sync),
	TEST(sync_alone),
	TEST(sync_interrupt_in_between),
	TEST(queue_larger_than_offered),
	TEST(two_syncs),
	TEST(error_first),
	TEST(error_middle),
	TEST(error_last),
	TEST(error_at_every_position_of_the_ring),
	TEST(wrap),
	TEST(full_ring),
	TEST(prod_beyond_ring),
	TEST(large_array),
	TEST(stopped_until_acknowledged),
	TEST(gerror_toggles),
	TEST(same_command_fails_again),
	TEST(interrupts_masked),
	TEST(unknown_opcode),
	TEST(illegal_opcodes),
	TEST(error_before_unknown_opcode),
	TEST(skipped_commands_keep_the_mapping),
	TEST(ring_not_memory),
	TEST(disabled_queue),
	TEST(no_report_goes_one_by_one),
	TEST(no_report_single),
	TEST(no_report_says_all_done),
	TEST(contradicting_report),
	TEST(success_that_is_none),
	TEST(outcomes_that_are_retried),
	TEST(atc_timeout),
	TEST(atc_timeout_before_sync_arrives),
	TEST(atc_timeout_then_bad_command),
	TEST(atc_timeout_of_no_atc),
	TEST(atc_timeout_one_by_one),
	TEST(atc_timeout_forgotten_with_the_queue),
	TEST(atc_without_ats),
	TEST(ste_kinds),
	TEST(ste_flushes_first),
	TEST(ste_range),
	TEST(ste_outside_table),
	TEST(ste_refused_by_host),
	TEST(ste_host_out_of_memory),
	TEST(ste_error_stops_no_other_stream),
	TEST(smmuen_and_gbpa),
	TEST(reset),
	TEST(events),
	TEST(events_wrap),
	TEST(event_gap),
	TEST(lost_header),
	TEST(lost_at_the_very_start),
	TEST(sequence_wrap),
	TEST(guest_queue_full),
	TEST(event_queue_disabled),
	TEST(event_queue_not_memory),
};

int main(void)
{
	unsigned int i;

	printf("TAP version 13\n1..%zu\n", ARRAY_SIZE(tests));
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		test_ok = true;
		tests[i].run();
		vsmmu_destroy(t.s);
		t.s = NULL;
		printf("%s %u vsmmuv3.%s\n", test_ok ? "ok" : "not ok", i + 1,
		       tests[i].name);
		if (test_ok)
			passed++;
		else
			failed++;
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed ? 1 : 0;
}
