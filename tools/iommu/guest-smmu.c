// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's side of the demo: memory and a small SMMUv3 driver
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest-smmu.h"

/* CD word 0 (IHI 0070, section 5.4) */
#define CD_T0SZ_39		25ull
#define CD_IRGN0_WB		(1ull << 8)
#define CD_ORGN0_WB		(1ull << 10)
#define CD_SH0_INNER		(3ull << 12)
#define CD_EPD1			(1ull << 30)
#define CD_V			(1ull << 31)
#define CD_IPS_SHIFT		32
#define CD_AA64			(1ull << 41)
#define CD_R			(1ull << 45)
#define CD_A			(1ull << 46)
#define CD_ASET			(1ull << 47)
#define CD_ASID_SHIFT		48

/* Memory attributes: 0 normal write-back, 1 device nGnRE */
#define CD_MAIR			0x04ffull

#define PTE_VALID_TABLE		3ull
#define PTE_DEVICE		(1ull << 2)
#define PTE_AP_UNPRIV		(1ull << 6)
#define PTE_AP_RO		(1ull << 7)
#define PTE_SH_INNER		(3ull << 8)
#define PTE_AF			(1ull << 10)
#define PTE_NG			(1ull << 11)
#define PTE_XN			(3ull << 53)
#define PTE_ADDR		0x0000fffffffff000ull

/*
 * Memory
 */

void *guest_ptr(const struct guest *g, uint64_t gpa, size_t len)
{
	if (gpa < g->base || len > g->size || gpa - g->base > g->size - len)
		return NULL;
	return g->mem + (gpa - g->base);
}

/* Zeroed and aligned to its size, a power of two; the demo frees nothing */
uint64_t guest_alloc(struct guest *g, size_t size)
{
	uint64_t gpa = (g->next + size - 1) & ~((uint64_t)size - 1);

	if (!guest_ptr(g, gpa, size)) {
		fprintf(stderr, "guest memory is too small\n");
		exit(1);
	}
	g->next = gpa + size;
	return gpa;
}

static void put64(const struct guest *g, uint64_t gpa, uint64_t value)
{
	uint64_t *p = guest_ptr(g, gpa, sizeof(*p));

	__atomic_store_n(p, htole64(value), __ATOMIC_RELEASE);
}

static uint64_t get64(const struct guest *g, uint64_t gpa)
{
	uint64_t *p = guest_ptr(g, gpa, sizeof(*p));

	return le64toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

/*
 * Translation tables
 */

uint64_t guest_table(struct guest *g)
{
	return guest_alloc(g, GUEST_PAGE);
}

/* Address of the last-level entry */
static uint64_t leaf(struct guest *g, uint64_t table, uint64_t iova)
{
	unsigned int level;
	uint64_t entry, desc;

	for (level = 1; level < 3; level++) {
		entry = table + (iova >> (39 - 9 * level) & 511) * 8;
		desc = get64(g, entry);
		if (!desc) {
			desc = guest_alloc(g, GUEST_PAGE) | PTE_VALID_TABLE;
			put64(g, entry, desc);
		}
		table = desc & PTE_ADDR;
	}
	return table + (iova >> 12 & 511) * 8;
}

void guest_map(struct guest *g, uint64_t table, uint64_t iova, uint64_t gpa, int prot)
{
	uint64_t desc = gpa | PTE_VALID_TABLE | PTE_AP_UNPRIV | PTE_SH_INNER | PTE_AF |
			PTE_NG | PTE_XN;

	if (prot & GUEST_RO)
		desc |= PTE_AP_RO;
	if (prot & GUEST_DEVICE)
		desc |= PTE_DEVICE;
	put64(g, leaf(g, table, iova), desc);
}

void guest_unmap(struct guest *g, uint64_t table, uint64_t iova)
{
	put64(g, leaf(g, table, iova), 0);
}

/*
 * Context descriptors and STEs
 */

void guest_write_cd(struct guest *g, uint64_t cd, uint64_t table, uint16_t asid,
		    bool valid)
{
	uint64_t ips = guest_read(g, VSMMU_IDR5) & 7;
	uint64_t w0 = CD_T0SZ_39 | CD_IRGN0_WB | CD_ORGN0_WB | CD_SH0_INNER | CD_EPD1 |
		      ips << CD_IPS_SHIFT | CD_AA64 | CD_R | CD_A | CD_ASET |
		      (uint64_t)asid << CD_ASID_SHIFT;

	if (valid)
		w0 |= CD_V;
	put64(g, cd + 8, table);
	put64(g, cd + 24, CD_MAIR);
	put64(g, cd, w0);
}

void guest_write_ste(struct guest *g, uint32_t sid, uint64_t w0, uint64_t w1)
{
	uint64_t ste = g->strtab + (uint64_t)sid * 64;

	put64(g, ste + 8, w1);
	put64(g, ste, w0);
}

/*
 * The SMMU
 */

uint32_t guest_read(const struct guest *g, uint64_t reg)
{
	return vsmmu_mmio_read(g->smmu, reg, 4);
}

static void guest_write(const struct guest *g, uint64_t reg, uint32_t value)
{
	vsmmu_mmio_write(g->smmu, reg, value, 4);
}

static void guest_write64(const struct guest *g, uint64_t reg, uint64_t value)
{
	vsmmu_mmio_write(g->smmu, reg, value, 8);
}

/**
 * guest_smmu_start - What a driver does when it finds the SMMU
 * @g: The guest
 * @smmu: The SMMU
 * @strtab_log2: StreamIDs in the stream table; all STEs are invalid at first
 * @cmdq_log2: Entries of the command queue
 * @eventq_log2: Entries of the event queue
 *
 * Return: 0, or -1 if the SMMU does not offer so much or does not come up
 */
int guest_smmu_start(struct guest *g, struct vsmmu *smmu, unsigned int strtab_log2,
		     unsigned int cmdq_log2, unsigned int eventq_log2)
{
	const uint32_t on = VSMMU_CR0_SMMUEN | VSMMU_CR0_EVENTQEN | VSMMU_CR0_CMDQEN;
	uint32_t idr1;

	g->smmu = smmu;
	g->cmdq_log2 = cmdq_log2;
	g->eventq_log2 = eventq_log2;
	idr1 = guest_read(g, VSMMU_IDR1);
	if ((idr1 >> 21 & 31) < cmdq_log2 || (idr1 >> 16 & 31) < eventq_log2 ||
	    (idr1 & 63) < strtab_log2)
		return -1;

	g->strtab = guest_alloc(g, (size_t)64 << strtab_log2);
	g->cmdq = guest_alloc(g, (size_t)16 << cmdq_log2);
	g->eventq = guest_alloc(g, (size_t)32 << eventq_log2);

	guest_write64(g, VSMMU_STRTAB_BASE, g->strtab);
	guest_write(g, VSMMU_STRTAB_BASE_CFG, strtab_log2);
	guest_write64(g, VSMMU_CMDQ_BASE, g->cmdq | cmdq_log2);
	guest_write(g, VSMMU_CMDQ_PROD, 0);
	guest_write(g, VSMMU_CMDQ_CONS, 0);
	guest_write64(g, VSMMU_EVENTQ_BASE, g->eventq | eventq_log2);
	guest_write(g, VSMMU_EVENTQ_PROD, 0);
	guest_write(g, VSMMU_EVENTQ_CONS, 0);
	guest_write(g, VSMMU_IRQ_CTRL, VSMMU_IRQ_CTRL_GERROR | VSMMU_IRQ_CTRL_EVENTQ);
	guest_write(g, VSMMU_CR0, VSMMU_CR0_CMDQEN);

	guest_put(g, cmd_plain(VSMMU_OP_CFGI_STE_RANGE));
	guest_put(g, cmd_plain(VSMMU_OP_TLBI_NSNH_ALL));
	if (guest_sync(g))
		return -1;
	guest_write(g, VSMMU_CR0, on);
	return guest_read(g, VSMMU_CR0ACK) == on ? 0 : -1;
}

/*
 * Commands
 */

static uint32_t position_mask(const struct guest *g)
{
	return (2u << g->cmdq_log2) - 1;
}

/* Into the ring; the SMMU learns of it with guest_sync(). Returns the position. */
uint32_t guest_put(struct guest *g, struct vsmmu_cmd cmd)
{
	uint32_t position = g->prod;

	guest_rewrite(g, position, cmd);
	g->prod = (position + 1) & position_mask(g);
	return position;
}

void guest_rewrite(struct guest *g, uint32_t position, struct vsmmu_cmd cmd)
{
	uint32_t index = position & ((1u << g->cmdq_log2) - 1);

	put64(g, g->cmdq + index * 16 + 8, cmd.w[1]);
	put64(g, g->cmdq + index * 16, cmd.w[0]);
}

/* SMMU_CMDQ_CONS.RD with its wrap bit */
uint32_t guest_cons(const struct guest *g)
{
	return guest_read(g, VSMMU_CMDQ_CONS) & position_mask(g);
}

/*
 * Wait for the queue to drain. Whoever polls CONS must look at GERROR too, or wait
 * for ever.
 */
static enum vsmmu_cerror wait_cmdq(const struct guest *g)
{
	while (guest_cons(g) != g->prod) {
		uint32_t active = guest_read(g, VSMMU_GERROR) ^
				  guest_read(g, VSMMU_GERRORN);

		if (active & VSMMU_GERROR_CMDQ_ERR)
			return guest_read(g, VSMMU_CMDQ_CONS) >>
			       VSMMU_CMDQ_CONS_ERR_SHIFT & VSMMU_CMDQ_CONS_ERR_MASK;
	}
	return VSMMU_CERROR_NONE;
}

/* Run what was put, with a CMD_SYNC behind it */
enum vsmmu_cerror guest_sync(struct guest *g)
{
	guest_put(g, cmd_plain(VSMMU_OP_SYNC));
	guest_write(g, VSMMU_CMDQ_PROD, g->prod);
	return wait_cmdq(g);
}

/* Acknowledge a command error: the SMMU goes on at CONS */
enum vsmmu_cerror guest_acknowledge(struct guest *g)
{
	guest_write(g, VSMMU_GERRORN, guest_read(g, VSMMU_GERROR));
	return wait_cmdq(g);
}

struct vsmmu_cmd cmd_plain(enum vsmmu_opcode op)
{
	struct vsmmu_cmd cmd = { { op, 0 } };

	/* Range 31: all streams */
	if (op == VSMMU_OP_CFGI_STE_RANGE)
		cmd.w[1] = 31;
	return cmd;
}

/* One page, last level */
struct vsmmu_cmd cmd_tlbi_va(enum vsmmu_opcode op, uint16_t asid, uint64_t iova)
{
	struct vsmmu_cmd cmd = { { op, iova | 1 } };

	if (op == VSMMU_OP_TLBI_NH_VA)
		cmd.w[0] |= (uint64_t)asid << 48;
	return cmd;
}

/* (num + 1) << scale pages of 4 KiB */
struct vsmmu_cmd cmd_tlbi_range(uint16_t asid, uint64_t iova, unsigned int num,
				unsigned int scale)
{
	struct vsmmu_cmd cmd = cmd_tlbi_va(VSMMU_OP_TLBI_NH_VA, asid, iova);

	cmd.w[0] |= (uint64_t)num << 12 | (uint64_t)scale << 20;
	cmd.w[1] |= 1 << 10;
	return cmd;
}

struct vsmmu_cmd cmd_tlbi_asid(uint16_t asid)
{
	struct vsmmu_cmd cmd = { { VSMMU_OP_TLBI_NH_ASID | (uint64_t)asid << 48, 0 } };

	return cmd;
}

struct vsmmu_cmd cmd_cfgi(enum vsmmu_opcode op, uint32_t sid)
{
	struct vsmmu_cmd cmd = { { op | (uint64_t)sid << 32, 0 } };

	/* Leaf */
	if (op == VSMMU_OP_CFGI_STE || op == VSMMU_OP_CFGI_CD)
		cmd.w[1] = 1;
	return cmd;
}

/*
 * Events
 */

/* Take the oldest record off the queue */
bool guest_event(struct guest *g, struct vsmmu_event *event)
{
	uint32_t mask = (2u << g->eventq_log2) - 1;
	uint32_t prod = guest_read(g, VSMMU_EVENTQ_PROD) & mask;
	uint32_t reg = guest_read(g, VSMMU_EVENTQ_CONS);
	uint32_t cons = reg & mask;
	unsigned int i;

	if (prod == cons)
		return false;
	for (i = 0; i < 4; i++)
		event->w[i] = get64(g, g->eventq + (cons & (mask >> 1)) * 32 + i * 8);
	guest_write(g, VSMMU_EVENTQ_CONS,
		    ((cons + 1) & mask) | (reg & VSMMU_EVENTQ_OVERFLOW));
	return true;
}

bool guest_events_lost(const struct guest *g)
{
	return (guest_read(g, VSMMU_EVENTQ_PROD) ^ guest_read(g, VSMMU_EVENTQ_CONS)) &
	       VSMMU_EVENTQ_OVERFLOW;
}

void guest_events_lost_ack(struct guest *g)
{
	uint32_t cons = guest_read(g, VSMMU_EVENTQ_CONS) & ~VSMMU_EVENTQ_OVERFLOW;

	guest_write(g, VSMMU_EVENTQ_CONS,
		    cons | (guest_read(g, VSMMU_EVENTQ_PROD) & VSMMU_EVENTQ_OVERFLOW));
}
