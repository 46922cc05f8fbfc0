/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel prints while a test runs
 */
#ifndef KMSG_H
#define KMSG_H

#include <stdbool.h>

/* The kernel's log from the moment of the call on; -1 */
int kmsg_open(void);

/**
 * struct kmsg_count - What was printed
 * @lines: Lines in all, but for those of the kernel about a slow machine
 * @lost: The log went round before it was read
 * @cmdq: Lines about errors of an SMMU's command queue
 * @splats: Lines that speak of a bug in the kernel
 * @splat: The first of those
 */
struct kmsg_count {
	unsigned long lines;
	bool lost;
	unsigned long cmdq;
	unsigned long splats;
	char splat[256];
};

void kmsg_count(int kmsg, struct kmsg_count *count);

#endif
