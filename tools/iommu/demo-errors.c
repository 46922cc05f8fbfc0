// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands that fail, and how the guest learns of it
 *
 * The guest's queue holds, in this order: an invalidation of one page, the bad
 * command, an invalidation of the page after it. Both pages were changed before.
 * What was executed shows in where DMA to the pages goes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "demo.h"
#include "inject.h"

/* An index and a wrap bit */
static uint32_t ring_distance(const struct demo *d, uint32_t from, uint32_t to)
{
	return (to - from) & ((2u << d->guest.cmdq_log2) - 1);
}

static bool gerror_active(const struct demo *d)
{
	return (guest_read(&d->guest, VSMMU_GERROR) ^
		guest_read(&d->guest, VSMMU_GERRORN)) & VSMMU_GERROR_CMDQ_ERR;
}

static void map_pair(struct demo *d, unsigned int first, unsigned int second)
{
	guest_map(&d->guest, d->table, DEMO_IOVA_PAIR, d->page[first], 0);
	guest_map(&d->guest, d->table, DEMO_IOVA_PAIR + GUEST_PAGE, d->page[second], 0);
}

static struct vsmmu_cmd cmd_pair(const struct demo *d, unsigned int which)
{
	return cmd_tlbi_va(VSMMU_OP_TLBI_NH_VA, d->asid,
			   DEMO_IOVA_PAIR + which * GUEST_PAGE);
}

/* Both pages of the pair translated and cached as C and E, then changed to D and F */
static void prepare_pair(struct demo *d)
{
	char where[2];

	map_pair(d, 2, 4);
	guest_put(&d->guest, cmd_tlbi_asid(d->asid));
	guest_sync(&d->guest);
	demo_where_pair(d, DEMO_IOVA_PAIR, where);
	map_pair(d, 3, 5);
}

/*
 * Run {page 0, @bad, page 1, SYNC}. The guest must find CONS at the bad command, the
 * code, GERROR toggled, the first page invalidated and the second not; when it has
 * mended the command and acknowledged, the second too.
 *
 * The kernel's check stops at the bad command. The physical SMMU stopped as well, but
 * other users of its queue wait behind it: the kernel lets it go on, and the
 * rest of the array runs early. It runs again after the acknowledgment.
 */
static void step_bad_command(struct demo *d, const char *name, struct vsmmu_cmd bad,
			     bool from_hardware)
{
	struct guest *g = &d->guest;
	uint32_t gerror, at, cons, first;
	char stopped[2], resumed[2], expected[64];
	struct vsmmu_report *last = &d->viommu.last;
	enum vsmmu_cerror err, again;
	bool toggled, ok;

	memset(last, 0, sizeof(*last));
	gerror = guest_read(g, VSMMU_GERROR);
	first = guest_put(g, cmd_pair(d, 0));
	at = guest_put(g, bad);
	guest_put(g, cmd_pair(d, 1));
	err = guest_sync(g);
	cons = guest_cons(g);
	toggled = (guest_read(g, VSMMU_GERROR) ^ gerror) == VSMMU_GERROR_CMDQ_ERR;

	snprintf(expected, sizeof(expected), "kernel: EIO, index 1, code 1%s",
		 from_hardware ? ", HW" : "");
	demo_line(name, last->err == EIO && last->index == 1 && last->done == 1 &&
		  last->code == VSMMU_CERROR_ILL &&
		  last->flags == (VSMMU_REPORT_VALID |
				  (from_hardware ? VSMMU_REPORT_HW : 0)),
		  expected, "%s, index %u, done %u, code %u%s%s",
		  last->err == EIO ? "EIO" : strerror(last->err), last->index, last->done,
		  last->code, last->flags & VSMMU_REPORT_VALID ? "" : ", no report",
		  last->flags & VSMMU_REPORT_HW ? ", HW" : "");

	demo_line("  guest sees", err == VSMMU_CERROR_ILL && cons == at && toggled,
		  "CONS at command 1, ERR 1, GERROR", "CONS at command %u, ERR %u%s",
		  ring_distance(d, first, cons), err, toggled ? ", GERROR" : "");

	demo_where_pair(d, DEMO_IOVA_PAIR, stopped);
	if (gerror_active(d)) {
		guest_rewrite(g, at, cmd_pair(d, 0));
		again = guest_acknowledge(g);
	} else {
		again = VSMMU_CERROR_NONE;
	}
	demo_where_pair(d, DEMO_IOVA_PAIR, resumed);
	ok = stopped[0] == 'D' && (stopped[1] == 'E' || from_hardware) &&
	     resumed[0] == 'D' && resumed[1] == 'F' && !again && !gerror_active(d) &&
	     guest_cons(g) == g->prod;
	demo_line("  before it, after ack", ok,
		  from_hardware ? "D done; then D, F" : "D done, E waits; then D, F",
		  "%c %s, %c %s; then %c, %c%s", stopped[0],
		  stopped[0] == 'D' ? "done" : "lost", stopped[1],
		  stopped[1] == 'E' ? "waits" : "done", resumed[0], resumed[1],
		  again ? ", error again" : "");
}

static void step_ssec(struct demo *d)
{
	struct vsmmu_cmd bad = cmd_cfgi(VSMMU_OP_CFGI_CD, DEMO_VSID);

	bad.w[0] |= 1 << 10;
	prepare_pair(d);
	step_bad_command(d, "CFGI_CD with SSec", bad, false);
}

static void step_reserved_bit(struct demo *d)
{
	struct vsmmu_cmd bad = cmd_plain(VSMMU_OP_TLBI_NH_ALL);

	bad.w[1] |= 1 << 5;
	prepare_pair(d);
	step_bad_command(d, "TLBI_NH_ALL, reserved bit", bad, false);
}

/* The VMM's own refusal: the kernel never sees the command */
static void step_unknown_opcode(struct demo *d)
{
	struct guest *g = &d->guest;
	struct vsmmu_cmd bad = { { 0x7f, 0 } };
	uint32_t at, cons;
	enum vsmmu_cerror err, again = VSMMU_CERROR_NONE;

	guest_put(g, cmd_tlbi_asid(d->asid));
	at = guest_put(g, bad);
	err = guest_sync(g);
	cons = guest_cons(g);
	if (gerror_active(d)) {
		guest_rewrite(g, at, cmd_tlbi_asid(d->asid));
		again = guest_acknowledge(g);
	}
	demo_line("unknown opcode", err == VSMMU_CERROR_ILL && cons == at && !again,
		  "ERR 1 at it, then completes", "ERR %u %s, then %s", err,
		  cons == at ? "at it" : "elsewhere", again ? "error" : "completes");
}

/* All in one ioctl, and the very last one counts */
static void step_large(struct demo *d, unsigned int n)
{
	struct guest *g = &d->guest;
	const struct vsmmu_stats *stats = vsmmu_get_stats(d->vsmmu);
	uint64_t ioctls, commands;
	char before, stale, after, expected[64];
	enum vsmmu_cerror err;
	unsigned int i;

	guest_map(g, d->table, DEMO_IOVA, d->page[0], 0);
	guest_put(g, cmd_tlbi_asid(d->asid));
	guest_sync(g);
	before = demo_where(d, DEMO_IOVA);
	guest_map(g, d->table, DEMO_IOVA, d->page[1], 0);
	stale = demo_where(d, DEMO_IOVA);

	ioctls = d->viommu.invalidate_ioctls;
	commands = stats->forwarded;
	for (i = 0; i < n - 1; i++)
		guest_put(g, cmd_tlbi_va(VSMMU_OP_TLBI_NH_VA, d->asid,
					 DEMO_IOVA_NONE + (uint64_t)i * GUEST_PAGE));
	guest_put(g, cmd_tlbi_va(VSMMU_OP_TLBI_NH_VA, d->asid, DEMO_IOVA));
	err = guest_sync(g);
	ioctls = d->viommu.invalidate_ioctls - ioctls;
	commands = stats->forwarded - commands;
	after = demo_where(d, DEMO_IOVA);

	snprintf(expected, sizeof(expected), "%u in 1 ioctl; A, stale A, then B", n);
	demo_line("large array", !err && ioctls == 1 && commands == n && before == 'A' &&
		  stale == 'A' && after == 'B', expected,
		  "%llu in %llu ioctl; %c, stale %c, then %c%s",
		  (unsigned long long)commands, (unsigned long long)ioctls, before, stale,
		  after, err ? ", command error" : "");
}

/*
 * Hardware errors
 */

/*
 * The index is right far out in an array: the kernel works in blocks. The bad command
 * has a reserved bit, or the hardware is made to dislike it.
 */
static void step_far_error(struct demo *d, const char *name, unsigned int n,
			   unsigned int k, bool wraps, bool from_hardware)
{
	struct guest *g = &d->guest;
	const struct vsmmu_report *last = &d->viommu.last;
	struct vsmmu_cmd good = cmd_tlbi_asid(d->asid), bad = good;
	uint32_t at = 0, cons, first = g->prod, pos, size = 1u << g->cmdq_log2;
	enum vsmmu_cerror err, again = VSMMU_CERROR_NONE;
	char expected[64];
	bool wrapped, hw, ok;
	unsigned int i;

	if (!from_hardware)
		bad.w[1] = 1;
	for (i = 0; i < n; i++) {
		pos = guest_put(g, i == k ? bad : good);
		if (i == k)
			at = pos;
	}
	wrapped = (first ^ at) & size;
	memset(&d->viommu.last, 0, sizeof(d->viommu.last));
	err = guest_sync(g);
	cons = guest_cons(g);
	hw = last->flags & VSMMU_REPORT_HW;
	if (gerror_active(d)) {
		guest_rewrite(g, at, good);
		again = guest_acknowledge(g);
	}
	ok = err == VSMMU_CERROR_ILL && cons == at && last->index == k &&
	     wrapped == wraps && hw == from_hardware && !again &&
	     guest_cons(g) == g->prod;
	snprintf(expected, sizeof(expected), "index %u, CONS there%s%s", k,
		 wraps ? ", wrapped" : "", from_hardware ? ", HW" : "");
	demo_line(name, ok, expected, "index %u, CONS %s%s%s%s", last->index,
		  cons == at ? "there" : "elsewhere", wrapped ? ", wrapped" : "",
		  hw ? ", HW" : "", again ? ", error again" : "");
}

static void step_hardware_error(struct demo *d)
{
	if (!d->inject) {
		demo_left_out("hardware error", "--no-injection");
		return;
	}
	prepare_pair(d);
	if (!inject_errors(1, 1, 100)) {
		demo_line("hardware error", false, "injected at index 1",
			  "the kernel can't");
		return;
	}
	step_bad_command(d, "hardware error, injected", cmd_tlbi_asid(d->last_asid + 1), true);
	inject_errors(4321, 1, 100);
	step_far_error(d, "hardware error, far out", 6000, 4321, false, true);
	inject_errors(0, 0, 0);
}

void demo_errors(struct demo *d)
{
	demo_heading("A command fails: the guest learns which one");
	step_ssec(d);
	step_reserved_bit(d);
	step_unknown_opcode(d);
	step_large(d, 5000);
	step_far_error(d, "error far out, ring wraps", 6000, 5432, true, false);
	step_hardware_error(d);
}
