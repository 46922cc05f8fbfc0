/* SPDX-License-Identifier: GPL-2.0-only */
/* Not the kernel's sequence, but as good and as repeatable */
#ifndef _FUZZ_LINUX_PRANDOM_H
#define _FUZZ_LINUX_PRANDOM_H

#include <linux/types.h>

struct rnd_state {
	u64 s;
};

static inline u32 prandom_u32_state(struct rnd_state *rnd)
{
	u64 z = rnd->s += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (z ^ z >> 31) >> 32;
}

static inline void prandom_seed_state(struct rnd_state *rnd, u64 seed)
{
	rnd->s = seed;
}

#endif
