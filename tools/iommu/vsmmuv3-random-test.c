// SPDX-License-Identifier: GPL-2.0-only
/*
 * vsmmuv3 against a random guest and a random host
 *
 * The guest puts random commands into its ring and treats errors as a driver does. The
 * host answers each array with one of all outcomes that the ABI knows, and keeps to
 * its contract: it executes what it reports as done, and of the rest what it likes.
 * The invariant of vsmmuv3.h is checked after every step:
 *
 *  - no command is behind CONS that was not executed, but for an ATC_INV, and but for
 *    a command that the guest itself took back after CERROR_ILL
 *  - no CMD_SYNC is behind CONS with an ATC_INV before it that was not executed
 *    and of which CERROR_ATC_INV_SYNC did not tell
 *  - CERROR_ILL is at a command that the host, or this SMMU, found illegal
 *  - an error is active whenever CONS is not at PROD
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"
#include "vsmmuv3.h"

#define SID		7u
#define MEM_BASE	0x10000ull
#define STRTAB_GPA	MEM_BASE
#define CMDQ_GPA	(MEM_BASE + 0x4000)
#define MEM_SIZE	0x8000u
#define LOG2_MAX	6u
#define NR_IDS		(1u << 20)

enum fate { PENDING, EXECUTED, BAD, TAKEN_BACK };

struct slot {
	unsigned int op;
	uint32_t id;
};

static struct {
	struct vsmmu *s;
	uint64_t mem[MEM_SIZE / 8];
	unsigned int log2;
	uint32_t prod;
	uint32_t cons;
	struct slot slot[1u << LOG2_MAX];
	unsigned char fate[NR_IDS];
	uint32_t next_id;
	/* ATC_INVs behind CONS that were not executed */
	uint32_t atc[1u << LOG2_MAX];
	unsigned int nr_atc;
	bool no_reports;
	unsigned int errors[4];
	bool failed;
} r;

static uint64_t seed;

static uint32_t rnd(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(seed >> 33) % n;
}

static void fail(const char *what)
{
	if (!r.failed)
		printf("# %s\n", what);
	r.failed = true;
}

/* The host */

static uint32_t id_of(const struct vsmmu_cmd *cmd)
{
	return le64toh(cmd->w[1]) >> 12;
}

static void execute(const struct vsmmu_cmd *cmds, uint32_t from, uint32_t to)
{
	for (; from < to; from++)
		r.fate[id_of(&cmds[from])] = EXECUTED;
}

/* Some of those that are not reported as done were executed all the same */
static void execute_some(const struct vsmmu_cmd *cmds, uint32_t from, uint32_t to)
{
	for (; from < to; from++)
		if (rnd(2))
			execute(cmds, from, from + 1);
}

static bool atc_timeout(const struct vsmmu_cmd *cmds, uint32_t n,
			struct vsmmu_report *report)
{
	uint32_t i, first = n, last = 0;

	for (i = 0; i < n; i++) {
		if ((le64toh(cmds[i].w[0]) & 0xff) != VSMMU_OP_ATC_INV)
			continue;
		if (first == n) {
			if (rnd(3) == 0)
				continue;
			first = i;
		}
		last = i;
	}
	if (first == n)
		return false;
	execute(cmds, 0, first);
	execute_some(cmds, first + 1, n);
	report->err = EIO;
	report->flags = VSMMU_REPORT_VALID | VSMMU_REPORT_HW;
	report->code = VSMMU_CERROR_ATC_INV_SYNC;
	report->done = first;
	report->index = last;
	return true;
}

static void invalidate(void *backend, const struct vsmmu_cmd *cmds, uint32_t n,
		       struct vsmmu_report *report)
{
	uint32_t k = rnd(n);

	(void)backend;
	if (r.no_reports) {
		static const int errnos[] = { EIO, EIO, EIO, ETIMEDOUT, ENOMEM, ENOENT };

		report->done = n;
		if (rnd(2)) {
			execute(cmds, 0, n);
			return;
		}
		/* What it says of more than one entry means nothing */
		report->err = errnos[rnd(ARRAY_SIZE(errnos))];
		report->done = n == 1 ? 0 : rnd(n + 1);
		if (n > 1)
			execute_some(cmds, 0, n);
		else if (report->err == EIO)
			r.fate[id_of(&cmds[0])] = BAD;
		return;
	}

	report->flags = VSMMU_REPORT_VALID;
	switch (rnd(8)) {
	case 0:
		execute(cmds, 0, k);
		r.fate[id_of(&cmds[k])] = BAD;
		report->err = EIO;
		report->flags |= rnd(2) ? VSMMU_REPORT_HW : 0;
		report->code = VSMMU_CERROR_ILL;
		report->done = k;
		report->index = k;
		return;
	case 1:
		execute(cmds, 0, k);
		execute_some(cmds, k, n);
		report->err = EIO;
		report->flags |= VSMMU_REPORT_HW;
		report->code = VSMMU_CERROR_ABT;
		report->done = k;
		report->index = k + rnd(n - k);
		return;
	case 2:
		if (atc_timeout(cmds, n, report))
			return;
		break;
	case 3:
		execute(cmds, 0, k);
		execute_some(cmds, k, n);
		report->err = ETIMEDOUT;
		report->code = rnd(4);
		report->done = k;
		report->index = n - 1;
		return;
	case 4:
		execute(cmds, 0, k);
		report->err = EFAULT;
		report->done = k;
		report->index = k;
		return;
	}
	execute(cmds, 0, n);
	report->done = n;
}

static int ste_changed(void *backend, uint32_t sid, const struct vsmmu_ste *ste)
{
	(void)backend;
	(void)sid;
	(void)ste;
	return rnd(8) ? 0 : -ENOMEM;
}

static void *guest_ptr(void *machine, uint64_t gpa, size_t len)
{
	(void)machine;
	if (gpa < MEM_BASE || gpa - MEM_BASE > MEM_SIZE - len)
		return NULL;
	return (char *)r.mem + (gpa - MEM_BASE);
}

/* The guest */

static uint32_t index_of(uint32_t position)
{
	return position & ((1u << r.log2) - 1);
}

static uint32_t next(uint32_t position)
{
	return (position + 1) & ((2u << r.log2) - 1);
}

static void put_at(uint32_t position, unsigned int op, uint64_t w0)
{
	struct slot *slot = &r.slot[index_of(position)];
	uint64_t *entry = &r.mem[(CMDQ_GPA - MEM_BASE) / 8 + index_of(position) * 2];

	slot->op = op;
	slot->id = r.next_id++;
	entry[0] = htole64(op | w0);
	entry[1] = htole64((uint64_t)slot->id << 12);
}

static void put(uint32_t position)
{
	static const unsigned int ops[] = {
		VSMMU_OP_TLBI_NH_VA, VSMMU_OP_TLBI_NH_VA, VSMMU_OP_TLBI_NH_VA,
		VSMMU_OP_TLBI_NH_ALL, VSMMU_OP_CFGI_CD, VSMMU_OP_ATC_INV, VSMMU_OP_ATC_INV,
		VSMMU_OP_SYNC, VSMMU_OP_PREFETCH_CONFIG, VSMMU_OP_CFGI_STE, 0x7f,
	};

	put_at(position, ops[rnd(ARRAY_SIZE(ops))], (uint64_t)SID << 32);
}

static bool forwarded(const struct slot *slot)
{
	return slot->op == VSMMU_OP_TLBI_NH_VA || slot->op == VSMMU_OP_TLBI_NH_ALL ||
	       slot->op == VSMMU_OP_CFGI_CD || slot->op == VSMMU_OP_ATC_INV;
}

/* CONS moved over this one */
static void passed(const struct slot *slot)
{
	unsigned int i;

	if (slot->op == VSMMU_OP_SYNC) {
		for (i = 0; i < r.nr_atc; i++)
			if (r.fate[r.atc[i]] != EXECUTED)
				fail("CMD_SYNC completed without an ATC_INV");
		r.nr_atc = 0;
	} else if (slot->op == 0x7f) {
		fail("an illegal command was consumed");
	} else if (forwarded(slot) &&
		   (r.fate[slot->id] == PENDING || r.fate[slot->id] == BAD)) {
		if (slot->op != VSMMU_OP_ATC_INV)
			fail("a command was consumed and not executed");
		else
			r.atc[r.nr_atc++] = slot->id;
	}
}

static void follow_cons(void)
{
	uint32_t reg = vsmmu_mmio_read(r.s, VSMMU_CMDQ_CONS, 4);
	uint32_t cons = reg & ((2u << r.log2) - 1), steps = 0;
	uint32_t gerror = vsmmu_mmio_read(r.s, VSMMU_GERROR, 4);
	uint32_t gerrorn = vsmmu_mmio_read(r.s, VSMMU_GERRORN, 4);
	unsigned int err = reg >> VSMMU_CMDQ_CONS_ERR_SHIFT & VSMMU_CMDQ_CONS_ERR_MASK;

	while (r.cons != cons) {
		if (r.cons == r.prod || steps++ > 2u << r.log2) {
			fail("CONS ran past PROD");
			return;
		}
		passed(&r.slot[index_of(r.cons)]);
		r.cons = next(r.cons);
	}

	if (!((gerror ^ gerrorn) & VSMMU_GERROR_CMDQ_ERR)) {
		if (cons != r.prod)
			fail("CONS stopped without an error");
		return;
	}
	if (err < VSMMU_CERROR_ILL || err > VSMMU_CERROR_ATC_INV_SYNC) {
		fail("an error without a code");
		return;
	}
	r.errors[err]++;
	if (err == VSMMU_CERROR_ILL) {
		if (r.slot[index_of(cons)].op != 0x7f &&
		    r.fate[r.slot[index_of(cons)].id] != BAD)
			fail("CERROR_ILL at a good command");
		/* As Linux does: the command becomes a CMD_SYNC, or a better one */
		r.fate[r.slot[index_of(cons)].id] = TAKEN_BACK;
		put_at(cons, rnd(2) ? VSMMU_OP_SYNC : VSMMU_OP_TLBI_NH_VA, 0);
	} else if (err == VSMMU_CERROR_ATC_INV_SYNC) {
		if (r.slot[index_of(cons)].op != VSMMU_OP_SYNC)
			fail("CERROR_ATC_INV_SYNC is not at a CMD_SYNC");
		r.nr_atc = 0;
	}
	/* Sometimes the guest puts more, or kicks, before it acknowledges */
	if (rnd(4) == 0)
		vsmmu_mmio_write(r.s, VSMMU_CMDQ_PROD, r.prod, 4);
	vsmmu_mmio_write(r.s, VSMMU_GERRORN, gerror, 4);
}

static bool run(uint64_t number)
{
	static const struct vsmmu_backend_ops backend_ops = { invalidate, ste_changed };
	static const struct vsmmu_machine_ops machine_ops = { guest_ptr, NULL };
	struct vsmmu_config config = {
		.host_idr = { 1 << 10 | 3 },
		.sid_bits = 4,
		.cmdq_log2 = LOG2_MAX,
		.eventq_log2 = 4,
		.ats = true,
	};
	unsigned int rounds = 300, i, n;

	memset(&r, 0, sizeof(r));
	seed = number * 2654435761u + 1;
	r.log2 = 1 + rnd(LOG2_MAX);
	r.no_reports = rnd(4) == 0;
	r.s = vsmmu_create(&config, &backend_ops, NULL, &machine_ops, NULL);
	if (!r.s)
		return false;
	while (vsmmu_add_stream(r.s, SID))
		;
	vsmmu_mmio_write(r.s, VSMMU_STRTAB_BASE, STRTAB_GPA, 8);
	vsmmu_mmio_write(r.s, VSMMU_STRTAB_BASE_CFG, 4, 4);
	vsmmu_mmio_write(r.s, VSMMU_CMDQ_BASE, CMDQ_GPA | r.log2, 8);
	vsmmu_mmio_write(r.s, VSMMU_CR0, VSMMU_CR0_CMDQEN | VSMMU_CR0_SMMUEN, 4);

	while (rounds-- && !r.failed) {
		n = rnd((1u << r.log2) + 1);
		for (i = 0; i < n; i++) {
			/* Full? */
			if (r.prod != r.cons && index_of(r.prod) == index_of(r.cons))
				break;
			put(r.prod);
			r.prod = next(r.prod);
		}
		vsmmu_mmio_write(r.s, VSMMU_CMDQ_PROD, r.prod, 4);
		follow_cons();
	}
	vsmmu_destroy(r.s);
	return !r.failed;
}

int main(int argc, char **argv)
{
	unsigned long i, runs = argc > 1 ? strtoul(argv[1], NULL, 0) : 2000;
	unsigned long good = 0, bad = 0;
	unsigned long errors[4] = {};
	unsigned int e;

	for (i = 0; i < runs; i++) {
		if (run(i)) {
			good++;
		} else {
			printf("# run %lu failed\n", i);
			bad++;
		}
		for (e = 0; e < ARRAY_SIZE(errors); e++)
			errors[e] += r.errors[e];
	}
	/* Each code must have been seen, or nothing was tested */
	if (!errors[VSMMU_CERROR_ILL] || !errors[VSMMU_CERROR_ABT] ||
	    !errors[VSMMU_CERROR_ATC_INV_SYNC])
		bad++;
	printf("# errors: %lu ILL, %lu ABT, %lu ATC_INV_SYNC\n", errors[VSMMU_CERROR_ILL],
	       errors[VSMMU_CERROR_ABT], errors[VSMMU_CERROR_ATC_INV_SYNC]);
	printf("1..1\n%sok 1 vsmmuv3.random\n", bad ? "not " : "");
	printf("%lu passed, %lu failed\n", good, bad);
	return bad ? 1 : 0;
}
