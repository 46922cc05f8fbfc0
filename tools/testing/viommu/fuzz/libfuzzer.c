// SPDX-License-Identifier: GPL-2.0-only
/* FUZZ_TARGET for libFuzzer, whose name for the entry point the Makefile has */
#include "fuzz.h"

int libfuzzer_entry(const uint8_t *data, size_t size);

int libfuzzer_entry(const uint8_t *data, size_t size)
{
	FUZZ_TARGET.one(data, size);
	return 0;
}
