// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random choices that follow from a seed
 */
#include <endian.h>
#include <string.h>

#include "iommufd-calls.h"
#include "rng.h"

struct rng rng_of(uint64_t seed, unsigned int stream)
{
	struct rng r = { (seed + stream + 1) * 0x9e3779b97f4a7c15ull };

	if (!r.state)
		r.state = 1;
	rng_next(&r);
	return r;
}

uint64_t rng_next(struct rng *r)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return r->state * 0x2545f4914f6cdd1dull;
}

unsigned int rng_below(struct rng *r, unsigned int n)
{
	return (rng_next(r) >> 32) % n;
}

void rng_ste(struct rng *r, unsigned int n, uint64_t cds, struct iommu_hwpt_arm_smmuv3 *ste)
{
	memset(ste, 0, sizeof(*ste));
	switch (rng_below(r, n)) {
	case 0:
		ste->ste[0] = htole64(STE_ABORT_W0);
		break;
	case 1:
		ste->ste[0] = htole64(STE_BYPASS_W0);
		break;
	default:
		ste->ste[0] = htole64(STE_S1_W0(cds + 64 * rng_below(r, 64)));
		ste->ste[1] = htole64(STE_S1_W1);
	}
}
