/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iommufd's ioctls as functions
 *
 * The functions that make a call return 0 or a positive errno, and set their output
 * only if it is 0.
 */
#ifndef IOMMUFD_CALLS_H
#define IOMMUFD_CALLS_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/iommufd.h>

int ic_call(int fd, unsigned long request, void *arg);
int ic_destroy(int fd, uint32_t id);
int ic_ioas(int fd, uint32_t *id);
int ic_map(int fd, uint32_t ioas, uint64_t iova, void *mem, uint64_t len);
int ic_unmap(int fd, uint32_t ioas, uint64_t iova, uint64_t len);
int ic_parent(int fd, uint32_t dev_id, uint32_t ioas, uint32_t *id);
int ic_nested(int fd, uint32_t dev_id, uint32_t pt_id, uint64_t w0, uint64_t w1,
	      uint32_t *id);
int ic_viommu(int fd, uint32_t dev_id, uint32_t parent, uint32_t *id);
int ic_vdevice(int fd, uint32_t viommu, uint32_t dev_id, uint64_t vsid,
	       uint32_t *id);
int ic_veventq(int fd, uint32_t viommu, uint32_t depth, uint32_t *id,
	       int *veventq_fd);
int ic_invalidate(int fd, uint32_t viommu, const void *cmds, uint32_t num,
		  struct iommu_hwpt_invalidate *cmd);

/* Guests' STEs that need nothing of the guest, and one with a CD at @ipa */
#define STE_ABORT_W0	0x1ull
#define STE_BYPASS_W0	0x9ull
#define STE_S1_W0(ipa)	(0xbull | (ipa))
#define STE_S1_W1	0xd6ull

#endif
