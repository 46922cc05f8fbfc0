// SPDX-License-Identifier: GPL-2.0-only
/*
 * DMA through the guest's tables, and one step per kind of invalidation
 *
 * Each step changes what the guest's tables say and lets the engine write three
 * times: before the change, after the change, and after the command. An SMMU that
 * caches, as QEMU's does, shows the old page in the second: so the step sees
 * that its command, and nothing else, made the difference.
 *
 * CFGI steps change the ASID along with the table: TLB entries are tagged with it,
 * so no TLB invalidation is needed, and none hides that CFGI did not work.
 */
#include <stdio.h>
#include <string.h>

#include "demo.h"

#define PROBE_LEN	16u
/* The pair is written with one transfer across the page boundary */
#define PAIR_OFFSET	(GUEST_PAGE - PROBE_LEN)

static const char probe_text[2 * PROBE_LEN] = "end of page one.head of page two";

/* Let the engine read the pattern; it stays in its buffer */
bool demo_fill_buffer(struct demo *d)
{
	memcpy(guest_ptr(&d->guest, d->pattern, GUEST_PAGE), probe_text, sizeof(probe_text));
	return !edu_read(&d->edu, DEMO_IOVA_PATTERN, 0, sizeof(probe_text));
}

static void clear_pages(struct demo *d)
{
	unsigned int i;

	for (i = 0; i < DEMO_PAGES; i++)
		memset(guest_ptr(&d->guest, d->page[i], GUEST_PAGE), 0, GUEST_PAGE);
}

static char find(struct demo *d, unsigned int offset, const char *text)
{
	char name = '-';
	unsigned int i;

	for (i = 0; i < DEMO_PAGES; i++) {
		const char *page = guest_ptr(&d->guest, d->page[i], GUEST_PAGE);

		if (memcmp(page + offset, text, PROBE_LEN))
			continue;
		if (name != '-')
			return '?';
		name = 'A' + i;
	}
	return name;
}

/* Which page does a write to this IOVA end in? */
char demo_where(struct demo *d, uint64_t iova)
{
	clear_pages(d);
	if (edu_write(&d->edu, iova, 0, PROBE_LEN))
		return '!';
	return find(d, iova % GUEST_PAGE, probe_text);
}

/* The same for a page and the one after it */
void demo_where_pair(struct demo *d, uint64_t iova, char where[2])
{
	clear_pages(d);
	if (edu_write(&d->edu, iova + PAIR_OFFSET, 0, 2 * PROBE_LEN)) {
		where[0] = '!';
		where[1] = '!';
		return;
	}
	where[0] = find(d, PAIR_OFFSET, probe_text);
	where[1] = find(d, 0, probe_text + PROBE_LEN);
}

/* A table of its own, with an ASID that was never used: DEMO_IOVA leads to @page */
void demo_new_context(struct demo *d, unsigned int page)
{
	d->table = guest_table(&d->guest);
	d->asid = ++d->last_asid;
	guest_map(&d->guest, d->table, DEMO_IOVA_PATTERN, d->pattern, GUEST_RO);
	guest_map(&d->guest, d->table, DEMO_IOVA, d->page[page], 0);
	guest_map(&d->guest, d->table, DEMO_IOVA_PAIR, d->page[2], 0);
	guest_map(&d->guest, d->table, DEMO_IOVA_PAIR + GUEST_PAGE, d->page[4], 0);
}

/* What a driver does to start using the SMMU for the device */
bool demo_guest_starts(struct demo *d)
{
	struct guest *g = &d->guest;
	enum vsmmu_cerror err;
	unsigned int i;

	demo_heading("The guest starts its SMMU");
	if (guest_smmu_start(g, d->vsmmu, DEMO_SID_BITS, DEMO_CMDQ_LOG2, DEMO_EVENTQ_LOG2))
		return demo_line("guest: SMMU enabled", false, "CR0ACK", "no CR0ACK");
	demo_line("guest: SMMU enabled", (guest_read(g, VSMMU_IDR0) & 3) == 2,
		  "stage 1 and no stage 2", "IDR0 %08x IDR1 %08x IDR3 %x IDR5 %x",
		  guest_read(g, VSMMU_IDR0), guest_read(g, VSMMU_IDR1),
		  guest_read(g, 0xc), guest_read(g, VSMMU_IDR5));

	for (i = 0; i < DEMO_PAGES; i++)
		d->page[i] = guest_alloc(g, GUEST_PAGE);
	d->pattern = guest_alloc(g, GUEST_PAGE);
	d->cd = guest_alloc(g, 64);
	demo_new_context(d, 0);
	guest_write_cd(g, d->cd, d->table, d->asid, true);
	guest_write_ste(g, DEMO_VSID, GUEST_STE_S1 | d->cd, GUEST_STE_S1_W1);
	guest_put(g, cmd_cfgi(VSMMU_OP_CFGI_STE, DEMO_VSID));
	err = guest_sync(g);
	return demo_line("guest: STE with stage 1", !err, "CFGI_STE completes",
			 err ? "CMDQ_CONS.ERR %u" : "CFGI_STE completes", err);
}

/*
 * Steps: a change of tables, and the command that announces it
 */

static void change_page(struct demo *d, unsigned int page)
{
	guest_map(&d->guest, d->table, DEMO_IOVA, d->page[page], 0);
}

static void change_cd(struct demo *d, unsigned int page)
{
	demo_new_context(d, page);
	guest_write_cd(&d->guest, d->cd, d->table, d->asid, true);
}

static void change_ste(struct demo *d, unsigned int page)
{
	demo_new_context(d, page);
	d->cd = guest_alloc(&d->guest, 64);
	guest_write_cd(&d->guest, d->cd, d->table, d->asid, true);
	guest_write_ste(&d->guest, DEMO_VSID, GUEST_STE_S1 | d->cd, GUEST_STE_S1_W1);
}

struct step {
	const char *name;
	enum vsmmu_opcode op;
	void (*change)(struct demo *d, unsigned int page);
};

static const struct step steps[] = {
	{ "TLBI_NH_VA", VSMMU_OP_TLBI_NH_VA, change_page },
	{ "TLBI_NH_VAA", VSMMU_OP_TLBI_NH_VAA, change_page },
	{ "TLBI_NH_ASID", VSMMU_OP_TLBI_NH_ASID, change_page },
	{ "TLBI_NH_ALL", VSMMU_OP_TLBI_NH_ALL, change_page },
	{ "TLBI_NSNH_ALL", VSMMU_OP_TLBI_NSNH_ALL, change_page },
	{ "CFGI_CD", VSMMU_OP_CFGI_CD, change_cd },
	{ "CFGI_CD_ALL", VSMMU_OP_CFGI_CD_ALL, change_cd },
	{ "CFGI_STE", VSMMU_OP_CFGI_STE, change_ste },
	{ "CFGI_ALL", VSMMU_OP_CFGI_STE_RANGE, change_ste },
};

static struct vsmmu_cmd step_cmd(const struct demo *d, enum vsmmu_opcode op)
{
	switch (op) {
	case VSMMU_OP_TLBI_NH_VA:
	case VSMMU_OP_TLBI_NH_VAA:
		return cmd_tlbi_va(op, d->asid, DEMO_IOVA);
	case VSMMU_OP_TLBI_NH_ASID:
		return cmd_tlbi_asid(d->asid);
	case VSMMU_OP_CFGI_CD:
	case VSMMU_OP_CFGI_CD_ALL:
	case VSMMU_OP_CFGI_STE:
		return cmd_cfgi(op, DEMO_VSID);
	default:
		return cmd_plain(op);
	}
}

static void run_step(struct demo *d, const struct step *step, unsigned int old_page,
		     unsigned int new_page)
{
	char before, stale, after, expected[48];
	enum vsmmu_cerror err;

	before = demo_where(d, DEMO_IOVA);
	step->change(d, new_page);
	stale = demo_where(d, DEMO_IOVA);
	guest_put(&d->guest, step_cmd(d, step->op));
	err = guest_sync(&d->guest);
	after = demo_where(d, DEMO_IOVA);

	snprintf(expected, sizeof(expected), "%c, stale %c, then %c", 'A' + old_page,
		 'A' + old_page, 'A' + new_page);
	demo_line(step->name, !err && before == (char)('A' + old_page) && stale == before &&
		  after == (char)('A' + new_page), expected, "%c, %s %c, then %c%s", before,
		  stale == before ? "stale" : "at once", stale, after,
		  err ? ", command error" : "");
}

/* A range takes its pages and no more: the page behind it stays stale */
static void step_range(struct demo *d)
{
	struct guest *g = &d->guest;
	char before[2], stale[2], after[2];
	enum vsmmu_cerror err;
	bool ok;

	demo_where_pair(d, DEMO_IOVA_PAIR, before);
	guest_map(g, d->table, DEMO_IOVA_PAIR, d->page[3], 0);
	guest_map(g, d->table, DEMO_IOVA_PAIR + GUEST_PAGE, d->page[5], 0);
	demo_where_pair(d, DEMO_IOVA_PAIR, stale);
	/* (3 + 1) << 1 pages */
	guest_put(g, cmd_tlbi_range(d->asid, DEMO_IOVA_RANGE, 3, 1));
	err = guest_sync(g);
	demo_where_pair(d, DEMO_IOVA_PAIR, after);

	ok = !err && !memcmp(before, "CE", 2) && !memcmp(stale, "CE", 2) &&
	     !memcmp(after, "DE", 2);
	demo_line("TLBI_NH_VA, 8 pages", ok, "last C, C, then D; behind it E, E, E",
		  "last %c, %c, then %c; behind it %c, %c, %c%s", before[0], stale[0],
		  after[0], before[1], stale[1], after[1], err ? ", command error" : "");

	/* As the other steps found it */
	guest_map(g, d->table, DEMO_IOVA_PAIR, d->page[2], 0);
	guest_map(g, d->table, DEMO_IOVA_PAIR + GUEST_PAGE, d->page[4], 0);
	guest_put(g, cmd_tlbi_asid(d->asid));
	guest_sync(g);
}

static void step_data(struct demo *d)
{
	bool filled = demo_fill_buffer(d);
	char where = demo_where(d, DEMO_IOVA);
	const char *copy = guest_ptr(&d->guest, d->page[0], GUEST_PAGE);
	bool same;

	/* Another write, longer, so that the data themselves are compared as well */
	same = !edu_write(&d->edu, DEMO_IOVA + 0x100, 0, sizeof(probe_text)) &&
	       !memcmp(copy + 0x100, probe_text, sizeof(probe_text));
	demo_line("DMA by stage 1 and 2", filled && where == 'A' && same,
		  "data read, written to page A", "data %s, written to page %c",
		  same ? "read" : "wrong", where);
}

void demo_translate(struct demo *d)
{
	unsigned int i, page = 0;

	demo_heading("The guest's tables translate; each change needs its command");
	step_data(d);
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		run_step(d, &steps[i], page, !page);
		page = !page;
	}
	step_range(d);
}
