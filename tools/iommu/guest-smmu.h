/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's side of the demo: memory and a small SMMUv3 driver
 *
 * The driver knows the SMMU from its registers and from guest memory alone, as
 * a guest's kernel does. Addresses are guest-physical.
 */
#ifndef GUEST_SMMU_H
#define GUEST_SMMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vsmmuv3.h"

#define GUEST_PAGE	4096u

/**
 * struct guest - A guest
 * @mem: Its memory
 * @base: Guest-physical address of @mem
 * @size: Bytes in @mem
 * @next: First free address
 * @smmu: What its accesses to the SMMU's registers end in
 * @strtab: Stream table
 * @cmdq: Command queue
 * @cmdq_log2: Its size
 * @prod: The driver's copy of CMDQ_PROD
 * @eventq: Event queue
 * @eventq_log2: Its size
 */
struct guest {
	unsigned char *mem;
	uint64_t base;
	size_t size;
	uint64_t next;
	struct vsmmu *smmu;
	uint64_t strtab;
	uint64_t cmdq;
	unsigned int cmdq_log2;
	uint32_t prod;
	uint64_t eventq;
	unsigned int eventq_log2;
};

/* Memory */
void *guest_ptr(const struct guest *g, uint64_t gpa, size_t len);
uint64_t guest_alloc(struct guest *g, size_t size);

/* Translation tables: 39 bits, 4 KiB granule */
enum guest_prot {
	GUEST_RO = 1 << 0,
	GUEST_DEVICE = 1 << 1,
};

uint64_t guest_table(struct guest *g);
void guest_map(struct guest *g, uint64_t table, uint64_t iova, uint64_t gpa, int prot);
void guest_unmap(struct guest *g, uint64_t table, uint64_t iova);

/* Context descriptors and STEs */
void guest_write_cd(struct guest *g, uint64_t cd, uint64_t table, uint16_t asid,
		    bool valid);
void guest_write_ste(struct guest *g, uint32_t sid, uint64_t w0, uint64_t w1);

#define GUEST_STE_V		(1ull << 0)
#define GUEST_STE_ABORT		(GUEST_STE_V | 0ull << 1)
#define GUEST_STE_BYPASS	(GUEST_STE_V | 4ull << 1)
#define GUEST_STE_S1		(GUEST_STE_V | 5ull << 1)
/* S1DSS: CD 0, S1CIR, S1COR: write-back, S1CSH: inner shareable */
#define GUEST_STE_S1_W1		0xd6ull

/* The SMMU */
int guest_smmu_start(struct guest *g, struct vsmmu *smmu, unsigned int strtab_log2,
		     unsigned int cmdq_log2, unsigned int eventq_log2);
uint32_t guest_read(const struct guest *g, uint64_t reg);

/* Commands: put some, then run them; nothing runs before */
uint32_t guest_put(struct guest *g, struct vsmmu_cmd cmd);
void guest_rewrite(struct guest *g, uint32_t position, struct vsmmu_cmd cmd);
enum vsmmu_cerror guest_sync(struct guest *g);
uint32_t guest_cons(const struct guest *g);
enum vsmmu_cerror guest_acknowledge(struct guest *g);

struct vsmmu_cmd cmd_tlbi_va(enum vsmmu_opcode op, uint16_t asid, uint64_t iova);
struct vsmmu_cmd cmd_tlbi_range(uint16_t asid, uint64_t iova, unsigned int num,
				unsigned int scale);
struct vsmmu_cmd cmd_tlbi_asid(uint16_t asid);
struct vsmmu_cmd cmd_plain(enum vsmmu_opcode op);
struct vsmmu_cmd cmd_cfgi(enum vsmmu_opcode op, uint32_t sid);

/* Events */
#define GUEST_EVT_C_BAD_STE	0x04
#define GUEST_EVT_C_BAD_CD	0x0a
#define GUEST_EVT_F_TRANSLATION	0x10
#define GUEST_EVT_F_PERMISSION	0x13

bool guest_event(struct guest *g, struct vsmmu_event *event);
bool guest_events_lost(const struct guest *g);
void guest_events_lost_ack(struct guest *g);

#endif
