// SPDX-License-Identifier: GPL-2.0-only
/*
 * FUZZ_TARGET for libFuzzer, whose names for what it calls the Makefile has. With
 * FUZZ_REACH in the environment a run that has not made something legal of each kind
 * fails in the end.
 */
#include <unistd.h>

#include "fuzz.h"

unsigned long fuzz_legal[256];

static void reached(void)
{
	const char *kind;
	bool all = true;

	for (kind = FUZZ_TARGET.kinds; *kind; kind++) {
		unsigned long seen = fuzz_legal[(u8)*kind];

		printf("# %s: %#x: %lu legal\n", FUZZ_TARGET.name, (u8)*kind, seen);
		all &= seen != 0;
	}
	fflush(stdout);
	if (!all)
		_exit(1);
}

int libfuzzer_start(int *argc, char ***argv)
{
	return getenv("FUZZ_REACH") ? atexit(reached) : 0;
}

int libfuzzer_entry(const uint8_t *data, size_t size)
{
	FUZZ_TARGET.one(data, size);
	return 0;
}
