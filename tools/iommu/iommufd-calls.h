/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * iommufd's ioctls as functions, and what a test of them needs besides
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

/* A file of a file system of the kernel's; returns 0 or a positive errno */
int write_file(const char *path, const char *text);
/* Bytes read, text is terminated; -errno */
int read_file(const char *path, char *text, unsigned int size);

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

/* TAP: the results of a program and its children, counted. Returns @ok. */
bool tap_check(bool ok, const char *name);
/* The plan and the sum; returns the program's exit status */
int tap_end(void);

#endif
