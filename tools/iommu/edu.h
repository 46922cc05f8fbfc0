/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * QEMU's "edu" PCI device as a DMA engine
 *
 * It has a buffer of 4 KiB and copies between that and memory, in either
 * direction, on request. The buffer can't be seen but by DMA. A transfer starts
 * 100 ms of virtual time after the request, and it ends like a good one even if the
 * IOMMU refused it: what happened shows in memory and in the IOMMU's events only.
 */
#ifndef EDU_H
#define EDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EDU_VENDOR	0x1234
#define EDU_DEVICE	0x11e8
#define EDU_BUFFER	4096u

struct edu {
	void *bar0;
};

int edu_probe(struct edu *e, void *bar0);
int edu_read(const struct edu *e, uint64_t iova, uint32_t offset, uint32_t len);
int edu_write(const struct edu *e, uint64_t iova, uint32_t offset, uint32_t len);
int edu_start_write(const struct edu *e, uint64_t iova, uint32_t offset, uint32_t len);
bool edu_busy(const struct edu *e);
void edu_raise(const struct edu *e, uint32_t value);
void edu_ack(const struct edu *e, uint32_t value);

#endif
