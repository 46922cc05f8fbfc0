// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults of the guest's stage 1: on the vEVENTQ, and then in the guest's queue
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"
#include "util.h"

#define WAIT_MS			2000u
/* For events that must not come */
#define QUIET_MS		100u

/* Word 1 of a record */
#define EVT1_PNU		(1ull << 33)
#define EVT1_IND		(1ull << 34)
#define EVT1_RNW		(1ull << 35)
#define EVT1_CLASS		(3ull << 40)
#define EVT1_CLASS_IN		(2ull << 40)

/* The engine makes one access, and so one fault, of 4 bytes each */
#define FAULT_BYTES		4u

static uint64_t accounted(const struct demo *d)
{
	const struct vsmmu_stats *stats = vsmmu_get_stats(d->vsmmu);

	return stats->events + stats->events_lost + stats->events_dropped;
}

/* Until @count more events were delivered or are known to be lost */
bool demo_wait_events(struct demo *d, uint64_t count, unsigned int ms)
{
	uint64_t goal = accounted(d) + count;
	unsigned int start = now_ms(), spent;

	while (accounted(d) < goal || !count) {
		struct pollfd pfd = { .fd = d->viommu.veventq_fd, .events = POLLIN };

		spent = now_ms() - start;
		if (spent >= ms)
			return !count;
		if (poll(&pfd, 1, ms - spent) > 0 &&
		    vsmmu_iommufd_pump(&d->viommu, d->vsmmu, 0))
			return false;
	}
	return true;
}

/* Nothing left in either queue */
void demo_drop_events(struct demo *d)
{
	struct vsmmu_event event;

	vsmmu_iommufd_pump(&d->viommu, d->vsmmu, 0);
	while (guest_event(&d->guest, &event))
		;
	guest_events_lost_ack(&d->guest);
}

static const char *event_name(unsigned int id)
{
	switch (id) {
	case GUEST_EVT_C_BAD_STE:
		return "C_BAD_STE";
	case GUEST_EVT_C_BAD_CD:
		return "C_BAD_CD";
	case GUEST_EVT_F_TRANSLATION:
		return "F_TRANSLATION";
	case GUEST_EVT_F_PERMISSION:
		return "F_PERMISSION";
	default:
		return "?";
	}
}

/*
 * One record of a translation fault: the guest's StreamID, the address, the
 * direction, and that the fault was in the translation of the input address. All else
 * is 0: no substream, no stall, no stage 2, no IPA.
 */
static void check_fault(struct demo *d, const char *step, unsigned int id, uint64_t iova,
			bool read)
{
	const uint64_t known = EVT1_RNW | EVT1_PNU | EVT1_IND | EVT1_CLASS;
	struct vsmmu_event e = {}, extra;
	char expected[64];
	uint64_t rest;
	bool ok;

	demo_wait_events(d, 1, WAIT_MS);
	ok = guest_event(&d->guest, &e);
	ok = ok && e.w[0] == (id | (uint64_t)DEMO_VSID << 32) &&
	     !!(e.w[1] & EVT1_RNW) == read && (e.w[1] & EVT1_CLASS) == EVT1_CLASS_IN &&
	     e.w[2] == iova;
	rest = (e.w[0] & 0xffffff00) | (e.w[1] & ~known) | e.w[3];
	ok = ok && !rest && !guest_event(&d->guest, &extra);

	snprintf(expected, sizeof(expected), "%s %x %c %llx, rest 0", event_name(id),
		 DEMO_VSID, read ? 'R' : 'W', (unsigned long long)iova);
	demo_line(step, ok, expected, "%s %x %c %llx, rest %llx",
		  event_name(e.w[0] & 0xff), (unsigned int)(e.w[0] >> 32),
		  e.w[1] & EVT1_RNW ? 'R' : 'W', (unsigned long long)e.w[2],
		  (unsigned long long)rest);
	demo_drop_events(d);
}

static void step_unmapped(struct demo *d)
{
	uint64_t iova = DEMO_IOVA_NONE + 0x124;

	edu_write(&d->edu, iova, 0, FAULT_BYTES);
	check_fault(d, "write, not mapped", GUEST_EVT_F_TRANSLATION, iova, false);
	edu_read(&d->edu, iova + 0x40000, 0, FAULT_BYTES);
	check_fault(d, "read, not mapped", GUEST_EVT_F_TRANSLATION, iova + 0x40000, true);
}

static void step_read_only(struct demo *d)
{
	uint64_t iova = DEMO_IOVA_PATTERN + 0x7c0;

	edu_write(&d->edu, iova, 0, FAULT_BYTES);
	check_fault(d, "write, read-only", GUEST_EVT_F_PERMISSION, iova, false);
}

static void step_bad_cd(struct demo *d)
{
	struct guest *g = &d->guest;
	struct vsmmu_event e = {};
	bool ok;

	guest_write_cd(g, d->cd, d->table, d->asid, false);
	guest_put(g, cmd_cfgi(VSMMU_OP_CFGI_CD, DEMO_VSID));
	guest_sync(g);
	edu_write(&d->edu, DEMO_IOVA, 0, FAULT_BYTES);
	demo_wait_events(d, 1, WAIT_MS);
	ok = guest_event(g, &e) && !e.w[1] && !e.w[2] && !e.w[3] &&
	     e.w[0] == (GUEST_EVT_C_BAD_CD | (uint64_t)DEMO_VSID << 32);
	demo_line("CD with V == 0", ok, "C_BAD_CD 4201, rest 0", "%s %x, rest %llx",
		  event_name(e.w[0] & 0xff), (unsigned int)(e.w[0] >> 32),
		  (unsigned long long)(e.w[1] | e.w[2] | e.w[3]));

	guest_write_cd(g, d->cd, d->table, d->asid, true);
	guest_put(g, cmd_cfgi(VSMMU_OP_CFGI_CD, DEMO_VSID));
	guest_sync(g);
	demo_drop_events(d);
}

/* More faults at once than the vEVENTQ holds */
static void burst(struct demo *d, unsigned int faults)
{
	edu_write(&d->edu, DEMO_IOVA_NONE, 0, faults * FAULT_BYTES);
	/* They get in one after the other; the VMM is busy elsewhere meanwhile */
	usleep(300000);
}

static unsigned int take_events(struct demo *d)
{
	struct vsmmu_event e;
	unsigned int n = 0;

	while (guest_event(&d->guest, &e))
		n++;
	return n;
}

struct overflow {
	unsigned int kept;
	uint64_t lost;
	bool flag, early;
};

/*
 * On a machine that is busy elsewhere the events may come in after the VMM has begun to
 * read, and there is room for more: then nothing is shown, so begin again.
 */
#define OVERFLOW_TRIES	5

/* The loss is the last thing that happened: a header tells */
static bool overflow_tail(struct demo *d, struct overflow *o)
{
	const struct vsmmu_stats *stats = vsmmu_get_stats(d->vsmmu);
	bool all;

	o->lost = stats->events_lost;
	burst(d, 64);
	all = demo_wait_events(d, 64, WAIT_MS);
	o->lost = stats->events_lost - o->lost;
	o->kept = take_events(d);
	o->flag = guest_events_lost(&d->guest);
	demo_drop_events(d);
	return all && o->flag && o->kept == DEMO_VEVENTQ_DEPTH &&
	       o->lost == 64 - DEMO_VEVENTQ_DEPTH;
}

static void step_overflow_tail(struct demo *d)
{
	struct overflow o = {};
	unsigned int i;
	bool ok;

	for (i = 0, ok = false; !ok && i < OVERFLOW_TRIES; i++)
		ok = overflow_tail(d, &o);
	demo_line("64 faults, room for 16", ok, "16 kept, 48 lost, overflow flag",
		  "%u kept, %llu lost, %s", o.kept, (unsigned long long)o.lost,
		  o.flag ? "overflow flag" : "no flag");
}

/* The loss is between events: a gap tells, and no header */
static bool overflow_gap(struct demo *d, struct overflow *o)
{
	const struct vsmmu_stats *stats = vsmmu_get_stats(d->vsmmu);
	bool all;

	o->lost = stats->events_lost;
	burst(d, 32);
	/* Makes room, without reaching the end */
	vsmmu_iommufd_pump(&d->viommu, d->vsmmu, 4);
	o->early = stats->events_lost != o->lost;
	edu_write(&d->edu, DEMO_IOVA_NONE + 0x1000, 0, FAULT_BYTES);
	usleep(QUIET_MS * 1000);
	all = demo_wait_events(d, 33 - 4, WAIT_MS);
	o->lost = stats->events_lost - o->lost;
	o->kept = take_events(d);
	o->flag = guest_events_lost(&d->guest);
	demo_drop_events(d);
	return all && !o->early && o->flag && o->kept == DEMO_VEVENTQ_DEPTH + 1 &&
	       o->lost == 32 - DEMO_VEVENTQ_DEPTH;
}

static void step_overflow_gap(struct demo *d)
{
	struct overflow o = {};
	unsigned int i;
	bool ok;

	for (i = 0, ok = false; !ok && i < OVERFLOW_TRIES; i++)
		ok = overflow_gap(d, &o);
	demo_line("32 faults, then another", ok, "17 kept, 16 lost in a gap, overflow",
		  "%u kept, %llu lost %s, %s", o.kept, (unsigned long long)o.lost,
		  o.early ? "early" : "in a gap", o.flag ? "overflow" : "no flag");
}

/* After the acknowledgment the queue is as good as new */
static void step_after_overflow(struct demo *d)
{
	uint64_t iova = DEMO_IOVA_NONE + 0x2000;
	bool flag;

	edu_write(&d->edu, iova, 0, FAULT_BYTES);
	demo_wait_events(d, 1, WAIT_MS);
	flag = guest_events_lost(&d->guest);
	demo_line("overflow acknowledged", !flag && take_events(d) == 1,
		  "1 record, no overflow flag", "%s",
		  flag ? "overflow flag" : "1 record, no overflow flag");
}

void demo_faults(struct demo *d)
{
	demo_heading("A fault of the guest's stage 1 is the guest's");
	demo_drop_events(d);
	step_unmapped(d);
	step_read_only(d);
	step_bad_cd(d);
	step_overflow_tail(d);
	step_overflow_gap(d);
	step_after_overflow(d);
}
