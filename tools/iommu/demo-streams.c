// SPDX-License-Identifier: GPL-2.0-only
/*
 * STEs without stage 1, and the MSI of a device behind stage 1
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "demo.h"

#define QUIET_MS	200
#define MSI_WAIT_MS	2000

static bool set_ste(struct demo *d, uint64_t w0, uint64_t w1)
{
	guest_write_ste(&d->guest, DEMO_VSID, w0, w1);
	guest_put(&d->guest, cmd_cfgi(VSMMU_OP_CFGI_STE, DEMO_VSID));
	return guest_sync(&d->guest) == VSMMU_CERROR_NONE;
}

/*
 * DMA to an IOVA of stage 1 and to the guest-physical address of page H; the events
 * that come of it
 */
static void step_ste(struct demo *d, const char *name, uint64_t w0, uint64_t w1,
		     char by_s1, char by_identity, unsigned int event)
{
	struct vsmmu_event e;
	char s1, identity, expected[64];
	unsigned int seen = 0;
	bool done;

	demo_drop_events(d);
	done = set_ste(d, w0, w1);
	identity = demo_where(d, d->page[7]);
	/* With bypass this is a fault of stage 2, which is no event for the guest */
	s1 = demo_where(d, DEMO_IOVA);
	demo_wait_events(d, 0, QUIET_MS);
	while (guest_event(&d->guest, &e))
		seen = seen ? 0x100 : e.w[0] & 0xff;

	snprintf(expected, sizeof(expected), "IOVA: %c, guest-physical: %c, %s", by_s1,
		 by_identity, event ? "C_BAD_STE" : "no event");
	demo_line(name, done && s1 == by_s1 && identity == by_identity && seen == event,
		  expected, "IOVA: %c, guest-physical: %c, %s%s", s1, identity,
		  !seen ? "no event" : seen == GUEST_EVT_C_BAD_STE ? "C_BAD_STE" : "event",
		  done ? "" : ", command error");
}

/* Back to stage 1: the buffer has its pattern still, DEMO_IOVA leads to A */
static void step_s1_again(struct demo *d)
{
	char s1;
	bool done;

	demo_new_context(d, 0);
	guest_write_cd(&d->guest, d->cd, d->table, d->asid, true);
	done = set_ste(d, GUEST_STE_S1 | d->cd, GUEST_STE_S1_W1);
	s1 = demo_where(d, DEMO_IOVA);
	demo_line("stage 1 again", done && s1 == 'A', "IOVA: A", "IOVA: %c%s", s1,
		  done ? "" : ", command error");
}

void demo_streams(struct demo *d)
{
	demo_heading("The guest's STE decides what the device may do");
	/* The faults before left the buffer in an unknown state */
	demo_fill_buffer(d);
	step_ste(d, "STE: abort", GUEST_STE_ABORT, 0, '-', '-', 0);
	step_ste(d, "STE: bypass", GUEST_STE_BYPASS, 0, '-', 'H', 0);
	step_ste(d, "STE: V == 0", 0, 0, '-', '-', 0);
	step_ste(d, "STE: stage 2, illegal", GUEST_STE_V | 6 << 1, 0, '-', '-',
		 GUEST_EVT_C_BAD_STE);
	step_s1_again(d);
}

/*
 * MSI
 */

static bool signalled(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint64_t count;

	return poll(&pfd, 1, ms) > 0 && read(fd, &count, sizeof(count)) == sizeof(count);
}

static void step_msi_unmapped(struct demo *d, int fd)
{
	struct vsmmu_event e = {};
	bool came, ok;

	edu_raise(&d->edu, 1);
	came = signalled(fd, QUIET_MS);
	edu_ack(&d->edu, 1);
	demo_wait_events(d, 1, MSI_WAIT_MS);
	ok = guest_event(&d->guest, &e) &&
	     e.w[0] == (GUEST_EVT_F_TRANSLATION | (uint64_t)DEMO_VSID << 32) &&
	     e.w[2] >= DEMO_MSI_BASE && e.w[2] < DEMO_MSI_BASE + DEMO_MSI_SIZE;
	demo_line("MSI, doorbell not mapped", ok && !came, "F_TRANSLATION at 80xxxxx, no MSI",
		  "%s at %llx, %s", (e.w[0] & 0xff) == GUEST_EVT_F_TRANSLATION ?
		  "F_TRANSLATION" : "no such event", (unsigned long long)e.w[2],
		  came ? "MSI" : "no MSI");
	demo_drop_events(d);
}

static void step_msi(struct demo *d, int fd)
{
	uint64_t iova;
	bool came, again;

	for (iova = DEMO_MSI_BASE; iova < DEMO_MSI_BASE + DEMO_MSI_SIZE; iova += GUEST_PAGE)
		guest_map(&d->guest, d->table, iova, iova, GUEST_DEVICE);
	edu_raise(&d->edu, 1);
	came = signalled(fd, MSI_WAIT_MS);
	edu_ack(&d->edu, 1);
	edu_raise(&d->edu, 2);
	again = signalled(fd, MSI_WAIT_MS);
	edu_ack(&d->edu, 2);
	demo_line("MSI through stage 1", came && again, "2 interrupts", "%u interrupts",
		  came + again);
}

void demo_msi(struct demo *d)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int ret;

	demo_heading("The device's MSI passes the guest's stage 1");
	ret = vfio_msi(&d->vfio, fd);
	if (demo_line("MSI to an eventfd", !ret, "done", "%s",
		      ret ? strerror(-ret) : "done")) {
		step_msi_unmapped(d, fd);
		step_msi(d, fd);
		vfio_msi(&d->vfio, -1);
	}
	close(fd);
}
