/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A fuzz target states a property of the driver's pure code as a function of
 * some bytes. libFuzzer picks the bytes by coverage, check.c at random.
 */
#ifndef _FUZZ_H
#define _FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/prandom.h>
#include <linux/types.h>

/*
 * @name: Of the target
 * @one: Does the property hold for these bytes? abort() if not. Returns how many
 *       things in them were legal.
 * @generate: Make bytes that get deeper than random ones would; returns how many
 * @kinds: Of legal things; each has to occur, and is counted in fuzz_legal
 */
struct fuzz_target {
	const char *name;
	unsigned int (*one)(const uint8_t *data, size_t size);
	size_t (*generate)(struct rnd_state *rnd, uint8_t *data, size_t max);
	const char *kinds;
};

extern const struct fuzz_target fuzz_vcmd, fuzz_vste, fuzz_vevent;
extern unsigned long fuzz_legal[256];

int libfuzzer_start(int *argc, char ***argv);
int libfuzzer_entry(const uint8_t *data, size_t size);

#define must(cond, ...)							\
	do {								\
		if (!(cond)) {						\
			printf("# %s:%d: !(%s): ", __FILE__, __LINE__,	\
			       #cond);					\
			printf(__VA_ARGS__);				\
			printf("\n");					\
			fflush(stdout);					\
			abort();					\
		}							\
	} while (0)

/* Bits hi to lo of words of 64 bits each, numbered as IHI 0070 does */
static inline u64 field(const u64 *words, unsigned int hi, unsigned int lo)
{
	return (words[lo / 64] >> (lo % 64)) & (~0ULL >> (63 - (hi - lo)));
}

static inline u64 rand64(struct rnd_state *rnd)
{
	return (u64)prandom_u32_state(rnd) << 32 | prandom_u32_state(rnd);
}

#endif
