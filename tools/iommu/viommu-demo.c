// SPDX-License-Identifier: GPL-2.0-only
/*
 * viommu-demo: drive a nested SMMUv3 as a VMM and its guest do
 *
 * Prints one line per step, what was expected beside what was seen. The exit
 * status is 0 if every line is as expected.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "demo.h"

static unsigned int nr_lines, nr_failed;

void demo_heading(const char *text)
{
	printf("\n%s\n", text);
}

bool demo_line(const char *step, bool ok, const char *expected, const char *seen, ...)
{
	char text[160];
	va_list ap;

	va_start(ap, seen);
	vsnprintf(text, sizeof(text), seen, ap);
	va_end(ap);
	printf("  %-26s  %-39s  %-45s  %s\n", step, expected, text, ok ? "ok" : "FAIL");
	fflush(stdout);
	nr_lines++;
	if (!ok)
		nr_failed++;
	return ok;
}

/* Not counted: nothing was seen */
void demo_left_out(const char *step, const char *why)
{
	printf("  %-26s  left out: %s\n", step, why);
}

static int bad_usage(const char *name)
{
	fprintf(stderr,
		"usage: %s [--no-injection]\n"
		"  --no-injection  the kernel has no CONFIG_ARM_SMMU_V3_FAULT_INJECTION:\n"
		"                  leave hardware errors out\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	static struct demo d = { .inject = true };
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--no-injection"))
			d.inject = false;
		else
			return bad_usage(argv[0]);
	}

	printf("  %-26s  %-39s  %s\n", "step", "expected", "seen");
	if (demo_setup(&d) && demo_guest_starts(&d)) {
		demo_translate(&d);
		demo_errors(&d);
		demo_faults(&d);
		demo_msi(&d);
		demo_streams(&d);
	}
	demo_teardown(&d);

	printf("\n%u lines, %u as expected, %u failed\n", nr_lines,
	       nr_lines - nr_failed, nr_failed);
	return nr_failed ? 1 : 0;
}
