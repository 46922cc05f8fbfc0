/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vIOMMU demo: a VMM, its guest's SMMU driver and a DMA engine in one process
 *
 *	viommu-demo.c	the table that is printed, main()
 *	demo-host.c	the VMM: iommufd, VFIO, guest memory; setting up, tearing down
 *	demo-translate.c	DMA through the guest's tables, one step per invalidation
 *	demo-errors.c	commands that fail, large arrays, injected hardware errors
 *	demo-faults.c	events, overflow
 *	demo-streams.c	abort, bypass, invalid STEs, MSI
 *
 * How a step sees a translation: the engine writes a pattern to an IOVA, and the
 * page of guest memory in which it turns up tells where the IOVA led to. Pages are
 * called A, B, C and so on in the table, "-" is nowhere.
 */
#ifndef DEMO_H
#define DEMO_H

#include <stdbool.h>
#include <stdint.h>

#include "edu.h"
#include "guest-smmu.h"
#include "util.h"
#include "vfio.h"
#include "vsmmuv3-iommufd.h"

/* The guest's StreamID of the device: nothing like the physical one */
#define DEMO_VSID		0x4201u
#define DEMO_SID_BITS		16u

#define DEMO_MEM_BASE		0x40000000ull
#define DEMO_MEM_SIZE		(32u << 20)

#define DEMO_CMDQ_LOG2		13u
#define DEMO_EVENTQ_LOG2	7u
#define DEMO_VEVENTQ_DEPTH	16u

/* Where the guest's tables put things: 39 bits, nothing identical */
#define DEMO_IOVA_PATTERN	0x2000000000ull
#define DEMO_IOVA		0x3456789000ull
/* Two pages in a row, the first is the last of a range of eight */
#define DEMO_IOVA_RANGE		0x4000000000ull
#define DEMO_RANGE_PAGES	8u
#define DEMO_IOVA_PAIR		(DEMO_IOVA_RANGE + (DEMO_RANGE_PAGES - 1) * GUEST_PAGE)
/* Never mapped */
#define DEMO_IOVA_NONE		0x5000000000ull

/* The MSI doorbell is here in the guest's physical address space */
#define DEMO_MSI_BASE		0x08000000ull
#define DEMO_MSI_SIZE		0x00100000ull

#define DEMO_PAGES		8u

/**
 * struct demo - Everything
 * @iommufd: The VMM's file
 * @ioas: Guest memory
 * @parent: Nest parent HWPT on @ioas
 * @vfio: The device
 * @edu: Its registers
 * @viommu: The backend
 * @vsmmu: The guest's SMMU
 * @guest: The guest
 * @page: Pages of guest memory that IOVAs lead to, A first
 * @pattern: A page that the engine's buffer is filled from
 * @table: The guest's current translation table
 * @cd: Its current CD
 * @asid: The ASID in it
 * @last_asid: The highest used so far
 * @inject: Hardware errors are to be injected
 */
struct demo {
	int iommufd;
	uint32_t ioas;
	uint32_t parent;
	struct vfio_dev vfio;
	struct edu edu;
	struct vsmmu_iommufd viommu;
	struct vsmmu *vsmmu;
	struct guest guest;
	uint64_t page[DEMO_PAGES];
	uint64_t pattern;
	uint64_t table;
	uint64_t cd;
	uint16_t asid;
	uint16_t last_asid;
	bool inject;
};

/* viommu-demo.c */
bool PRINTF_LIKE(4, 5) demo_line(const char *step, bool ok, const char *expected,
				 const char *seen, ...);
void demo_left_out(const char *step, const char *why);
void demo_heading(const char *text);

/* demo-host.c */
bool demo_setup(struct demo *d);
void demo_teardown(struct demo *d);

/* demo-translate.c */
bool demo_guest_starts(struct demo *d);
void demo_translate(struct demo *d);
bool demo_fill_buffer(struct demo *d);
char demo_where(struct demo *d, uint64_t iova);
void demo_where_pair(struct demo *d, uint64_t iova, char where[2]);
void demo_new_context(struct demo *d, unsigned int page);

/* demo-errors.c */
void demo_errors(struct demo *d);

/* demo-faults.c */
void demo_faults(struct demo *d);
bool demo_wait_events(struct demo *d, uint64_t count, unsigned int ms);
void demo_drop_events(struct demo *d);

/* demo-streams.c */
void demo_streams(struct demo *d);
void demo_msi(struct demo *d);

#endif
