/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STRESS_MIX_H
#define STRESS_MIX_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct rng - Numbers that follow from a seed
 * @state: Not 0
 */
struct rng {
	uint64_t state;
};

/* The @stream-th sequence of a seed */
struct rng rng_of(uint64_t seed, unsigned int stream);
uint64_t rng_next(struct rng *r);
/* Less than @n */
unsigned int rng_below(struct rng *r, unsigned int n);

/*
 * Random calls by @num_threads threads on objects that they share, for about @seconds:
 * on QEMU's "edu" behind an SMMUv3, or on the mock driver. Results go to tap_check().
 */
void stress_mix(bool mock, uint64_t seed, unsigned int num_threads, unsigned int seconds);

#endif
