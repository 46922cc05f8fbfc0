/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef STRESS_MIX_H
#define STRESS_MIX_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Random calls by @num_threads threads on objects that they share, for about @seconds:
 * on QEMU's "edu" behind an SMMUv3, or on the mock driver. Results go to tap_check().
 */
void stress_mix(bool mock, uint64_t seed, unsigned int num_threads, unsigned int seconds);

#endif
