// SPDX-License-Identifier: GPL-2.0-only
/*
 * Results of a test program and its children, counted and printed as TAP
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tap.h"

/* Shared by all processes */
static struct {
	unsigned int nr, failed;
} *tap;

void tap_begin(void)
{
	tap = mmap(NULL, sizeof(*tap), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tap == MAP_FAILED)
		exit(1);
	printf("TAP version 13\n");
	fflush(stdout);
}

bool tap_check(bool ok, const char *name)
{
	if (!tap)
		tap_begin();
	tap->nr++;
	printf("%sok %u %s\n", ok ? "" : "not ", tap->nr, name);
	fflush(stdout);
	if (!ok)
		tap->failed++;
	return ok;
}

int tap_end(void)
{
	if (!tap)
		return 1;
	printf("1..%u\n# %u passed, %u failed\n", tap->nr, tap->nr - tap->failed,
	       tap->failed);
	return tap->failed ? 1 : 0;
}
