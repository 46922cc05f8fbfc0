// SPDX-License-Identifier: GPL-2.0-only
/*
 * viommu-errors: the SMMU itself refuses a command of an array
 *
 * For arrays of many lengths, and the bad command at many places in them. Two pages
 * are changed; entry k - 1 invalidates the first, entry k is made illegal in front of
 * the SMMU, and the last entry invalidates the second. The call must say where and
 * why, and within milliseconds; DMA must find the first page changed, and the second one
 * too if it is in the kernel's block of entry k and not if it is in a later one; and
 * the next call must be as if nothing had happened. The host's log must not have
 * a line about all that.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/iommufd.h>

#include "demo.h"
#include "inject.h"
#include "iommufd-calls.h"
#include "kmsg.h"
#include "tap.h"
#include "util.h"

#define MAX_ARRAY	5000u
/* An error that waits for a timeout takes a second */
#define SOON_MS		100u
/* The machine may be busy with something else, but not each time */
#define TRIES		3u

/* The kernel issues so many commands at once, in arrays longer than BLOCK_SMALL */
#define BLOCK		512u
#define BLOCK_SMALL	64u

static struct demo d;
static struct vsmmu_cmd cmds[MAX_ARRAY];
static struct iommu_hwpt_invalidate report;
/* Which of two pages each of the pair leads to */
static unsigned int now;
static unsigned int slowest;

/* What demo-host.c and demo-translate.c say */

bool demo_line(const char *step, bool ok, const char *expected, const char *seen, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, seen);
	vsnprintf(text, sizeof(text), seen, ap);
	va_end(ap);
	if (!ok)
		printf("# expected %s, seen %s\n", expected, text);
	return tap_check(ok, step);
}

void demo_left_out(const char *step, const char *why)
{
	printf("# %s: left out, %s\n", step, why);
}

void demo_heading(const char *text)
{
	printf("# %s\n", text);
}

static struct vsmmu_cmd cmd_page(unsigned int which)
{
	return cmd_tlbi_va(VSMMU_OP_TLBI_NH_VA, d.asid,
			   DEMO_IOVA_PAIR + which * GUEST_PAGE);
}

static void change_pages(void)
{
	now = !now;
	guest_map(&d.guest, d.table, DEMO_IOVA_PAIR, d.page[2 + now], 0);
	guest_map(&d.guest, d.table, DEMO_IOVA_PAIR + GUEST_PAGE, d.page[4 + now], 0);
}

static int invalidate(const struct vsmmu_cmd *array, unsigned int n)
{
	return ic_invalidate(d.iommufd, d.viommu.viommu_id, array, n, &report);
}

static bool is_reported(int err, unsigned int k)
{
	return err == EIO && report.entry_num == k && report.out_error_index == k &&
	       report.out_error_code == IOMMU_ARM_SMMUV3_CERROR_ILL &&
	       report.out_report_flags == (IOMMU_HWPT_INVALIDATE_REPORT_VALID |
					   IOMMU_HWPT_INVALIDATE_REPORT_HW);
}

static bool is_clean(int err, unsigned int n)
{
	return !err && report.entry_num == n && !report.out_error_code &&
	       report.out_report_flags == IOMMU_HWPT_INVALIDATE_REPORT_VALID;
}

/* Entry @k of @n is refused. Returns false if the report is wrong. */
static bool error_at(unsigned int n, unsigned int k, unsigned int *ms)
{
	unsigned int start;
	int err;

	if (!inject_errors(k, 1, 100))
		return false;
	start = now_ms();
	err = invalidate(cmds, n);
	*ms = now_ms() - start;
	if (is_reported(err, k))
		return true;
	printf("# %s, entry_num %u, flags 0x%x, code %u, index %u\n", strerror(err),
	       report.entry_num, report.out_report_flags, report.out_error_code,
	       report.out_error_index);
	return false;
}

static void test_error(unsigned int n, unsigned int k)
{
	unsigned int block = n > BLOCK_SMALL ? BLOCK : BLOCK_SMALL;
	bool same_block = k / block == (n - 1) / block;
	unsigned int i, ms = 0, again;
	bool told, quick, first, second, clean;
	char seen[2], name[64];

	for (i = 0; i < n; i++)
		cmds[i] = cmd_tlbi_va(VSMMU_OP_TLBI_NH_VA, d.asid,
				      DEMO_IOVA_NONE + (uint64_t)i * GUEST_PAGE);
	cmds[n - 1] = cmd_page(1);
	if (k)
		cmds[k - 1] = cmd_page(0);

	/* The TLB has both pages from the time before */
	change_pages();
	told = error_at(n, k, &ms);
	demo_where_pair(&d, DEMO_IOVA_PAIR, seen);
	/* What was invalidated is where it is now, what was not is where it was */
	first = seen[0] == 'C' + (char)(k ? now : !now);
	second = seen[1] == 'E' + (char)(k < n - 1 && same_block ? now : !now);

	/* The next two have no error, and leave nothing stale */
	clean = is_clean(invalidate(cmds, n), n);
	cmds[0] = cmd_page(0);
	clean &= is_clean(invalidate(cmds, 1), 1);
	demo_where_pair(&d, DEMO_IOVA_PAIR, seen);
	clean &= seen[0] == 'C' + (char)now && seen[1] == 'E' + (char)now;

	for (i = 1; told && ms >= SOON_MS && i < TRIES; i++)
		if (error_at(n, k, &again) && again < ms)
			ms = again;
	quick = ms < SOON_MS;
	if (ms > slowest)
		slowest = ms;

	snprintf(name, sizeof(name), "entry %u of %u", k, n);
	if (!(told && quick && first && second && clean))
		printf("# %s%s%s%s%s: %u ms\n", told ? "" : "wrong report, ",
		       quick ? "" : "too late, ", first ? "" : "entries before it, ",
		       second ? "" : "entries after it, ", clean ? "" : "the next call", ms);
	tap_check(told && quick && first && second && clean, name);
}

int main(void)
{
	static const unsigned int lengths[] = {
		1, 2, 63, 64, 65, 511, 512, 513, 4096, 5000,
	};
	static const unsigned int places[] = { 0, 63, 64, 511, 512, 4999 };
	struct kmsg_count log;
	unsigned int i, j, n;
	char seen[2];
	int kmsg;

	if (demo_setup(&d) && demo_guest_starts(&d) && demo_fill_buffer(&d)) {
		demo_where_pair(&d, DEMO_IOVA_PAIR, seen);
		tap_check(seen[0] == 'C' && seen[1] == 'E', "DMA through the guest's tables");
		kmsg = kmsg_open();
		for (i = 0; i < ARRAY_SIZE(lengths); i++) {
			n = lengths[i];
			for (j = 0; j < ARRAY_SIZE(places) && places[j] < n - 1; j++)
				test_error(n, places[j]);
			test_error(n, n - 1);
		}
		inject_errors(0, 0, 0);
		printf("# slowest: %u ms\n", slowest);

		kmsg_count(kmsg, &log);
		if (log.cmdq || log.lost)
			printf("# %lu lines%s\n", log.cmdq, log.lost ? " and lost ones" : "");
		tap_check(!log.cmdq && !log.lost, "no line in the host's log");
	}
	demo_teardown(&d);
	return tap_end();
}
