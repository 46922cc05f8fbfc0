// SPDX-License-Identifier: GPL-2.0-only
/* FUZZ_TARGET for libFuzzer */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FUZZ_TARGET.one(data, size);
	return 0;
}
