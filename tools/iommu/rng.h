/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Random choices that follow from a seed
 */
#ifndef RNG_H
#define RNG_H

#include <stdint.h>

#include <linux/iommufd.h>

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
 * A guest's STE: one of @n aborts, one has no stage 1, the others have one of the 64
 * CDs at @cds
 */
void rng_ste(struct rng *r, unsigned int n, uint64_t cds, struct iommu_hwpt_arm_smmuv3 *ste);

#endif
