/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vsmmuv3: the guest-visible side of an Arm SMMUv3 whose stage 1 the guest owns
 *
 * The library is what a VMM puts between its guest's MMIO accesses and iommufd:
 *
 *	guest driver                                            hardware
 *	     |  MMIO, rings and stream table in guest memory        ^
 *	     v                                                      |
 *	 struct vsmmu  --- struct vsmmu_backend_ops --->  iommufd / a test
 *	     ^  |
 *	     |  '-------- struct vsmmu_machine_ops ---->  guest memory, interrupts
 *	     '----------- vsmmu_feed_events() <---------  vEVENTQ
 *
 * It has no thread, takes no lock and sleeps only where its callbacks do: the
 * VMM serialises all calls on one struct vsmmu. It knows no system header of
 * IOMMUFD; vsmmuv3-iommufd.h has the backend for the Linux kernel.
 *
 * Vocabulary, after IHI 0070:
 *
 *  ring position	An index into a queue together with its wrap bit, as PROD
 *			and CONS hold it: LOG2SIZE + 1 bits.
 *  array		The forwarded commands that wait for one call of
 *			&vsmmu_backend_ops.invalidate. Entry i of the array came from
 *			ring position pos[i]; that mapping is kept, because commands
 *			that need no forwarding leave gaps and because the ring wraps.
 *  stream		A device behind this SMMU: a StreamID that the VMM registered.
 *
 * The invariant: CMDQ_CONS.RD never passes a command that was not executed, with
 * the one exception that the architecture makes, an ATC invalidation that timed
 * out: it is consumed, and the CMD_SYNC after it reports CERROR_ATC_INV_SYNC.
 */
#ifndef VSMMUV3_H
#define VSMMUV3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Registers that the model has (IHI 0070, section 6.2) */
#define VSMMU_IDR0			0x0000
#define VSMMU_IDR1			0x0004
#define VSMMU_IDR5			0x0014
#define VSMMU_IIDR			0x0018
#define VSMMU_AIDR			0x001c
#define VSMMU_CR0			0x0020
#define VSMMU_CR0ACK			0x0024
#define VSMMU_CR1			0x0028
#define VSMMU_CR2			0x002c
#define VSMMU_GBPA			0x0044
#define VSMMU_IRQ_CTRL			0x0050
#define VSMMU_IRQ_CTRLACK		0x0054
#define VSMMU_GERROR			0x0060
#define VSMMU_GERRORN			0x0064
#define VSMMU_STRTAB_BASE		0x0080
#define VSMMU_STRTAB_BASE_CFG		0x0088
#define VSMMU_CMDQ_BASE			0x0090
#define VSMMU_CMDQ_PROD			0x0098
#define VSMMU_CMDQ_CONS			0x009c
#define VSMMU_EVENTQ_BASE		0x00a0
#define VSMMU_EVENTQ_PROD		0x100a8
#define VSMMU_EVENTQ_CONS		0x100ac
#define VSMMU_MMIO_SIZE			0x20000

#define VSMMU_CR0_SMMUEN		(1u << 0)
#define VSMMU_CR0_EVENTQEN		(1u << 2)
#define VSMMU_CR0_CMDQEN		(1u << 3)
#define VSMMU_CR0_ATSCHK		(1u << 4)

#define VSMMU_GBPA_ABORT		(1u << 20)
#define VSMMU_GBPA_UPDATE		(1u << 31)

#define VSMMU_IRQ_CTRL_GERROR		(1u << 0)
#define VSMMU_IRQ_CTRL_EVENTQ		(1u << 2)

#define VSMMU_GERROR_CMDQ_ERR		(1u << 0)
#define VSMMU_GERROR_EVENTQ_ABT		(1u << 2)

/* In EVENTQ_PROD (OVFLG) and in EVENTQ_CONS (OVACKFLG) */
#define VSMMU_EVENTQ_OVERFLOW		(1u << 31)

#define VSMMU_CMDQ_CONS_ERR_SHIFT	24
#define VSMMU_CMDQ_CONS_ERR_MASK	0x7fu

/* The architecture's upper bound of CMDQS and EVENTQS */
#define VSMMU_QUEUE_LOG2_MAX		19

/* Command opcodes: word 0, bits 7:0 (IHI 0070, section 4.1.1) */
enum vsmmu_opcode {
	VSMMU_OP_PREFETCH_CONFIG	= 0x01,
	VSMMU_OP_PREFETCH_ADDR		= 0x02,
	VSMMU_OP_CFGI_STE		= 0x03,
	VSMMU_OP_CFGI_STE_RANGE		= 0x04,
	VSMMU_OP_CFGI_CD		= 0x05,
	VSMMU_OP_CFGI_CD_ALL		= 0x06,
	VSMMU_OP_TLBI_NH_ALL		= 0x10,
	VSMMU_OP_TLBI_NH_ASID		= 0x11,
	VSMMU_OP_TLBI_NH_VA		= 0x12,
	VSMMU_OP_TLBI_NH_VAA		= 0x13,
	VSMMU_OP_TLBI_NSNH_ALL		= 0x30,
	VSMMU_OP_ATC_INV		= 0x40,
	VSMMU_OP_SYNC			= 0x46,
};

/* CMDQ_CONS.ERR (IHI 0070, section 7.1) */
enum vsmmu_cerror {
	VSMMU_CERROR_NONE		= 0,
	VSMMU_CERROR_ILL		= 1,
	VSMMU_CERROR_ABT		= 2,
	VSMMU_CERROR_ATC_INV_SYNC	= 3,
};

/* Event numbers that a VMM may have to make up itself */
#define VSMMU_EVT_C_BAD_STE		0x04

/* A command or an event record, little-endian as in guest memory */
struct vsmmu_cmd {
	uint64_t w[2];
};

struct vsmmu_event {
	uint64_t w[4];
};

/* struct vsmmu_report flags: the values of IOMMU_HWPT_INVALIDATE_REPORT_* */
#define VSMMU_REPORT_VALID		(1u << 0)
#define VSMMU_REPORT_HW			(1u << 1)

/**
 * struct vsmmu_report - What the backend answers to an array of commands
 * @err: 0, or the errno of the ioctl as a positive number
 * @done: Entries executed and synchronised (entry_num after the ioctl)
 * @flags: VSMMU_REPORT_*; without %VSMMU_REPORT_VALID the last two members and,
 *         on an error, @done mean nothing certain
 * @code: enum vsmmu_cerror
 * @index: The highest array index that may have caused the error
 */
struct vsmmu_report {
	int err;
	uint32_t done;
	uint32_t flags;
	uint32_t code;
	uint32_t index;
};

/**
 * enum vsmmu_action - What a VMM must do with the outcome of an array
 * @VSMMU_ACT_DONE: All entries were executed: move CONS past the array
 * @VSMMU_ACT_STOP: Entries before &vsmmu_verdict.at were executed: point CONS at
 *                  that entry and raise &vsmmu_verdict.code
 * @VSMMU_ACT_ATC: Entries before &vsmmu_verdict.at were executed and an ATC
 *                 invalidation timed out. No ATC_INV from there on counts as
 *                 done, and all other entries from there on must still be
 *                 executed. CERROR_ATC_INV_SYNC is due at the next CMD_SYNC.
 * @VSMMU_ACT_SINGLE: An entry failed and what happened to the others is not
 *                    known: hand the entries over again, one by one
 */
enum vsmmu_action {
	VSMMU_ACT_DONE,
	VSMMU_ACT_STOP,
	VSMMU_ACT_ATC,
	VSMMU_ACT_SINGLE,
};

struct vsmmu_verdict {
	enum vsmmu_action action;
	uint32_t at;
	enum vsmmu_cerror code;
};

struct vsmmu_verdict vsmmu_judge(uint32_t n, const struct vsmmu_report *report);

/**
 * enum vsmmu_ste_kind - What a guest's STE asks for
 * @VSMMU_STE_INVALID: V == 0: no traffic
 * @VSMMU_STE_ABORT: Config 0b0xx: no traffic, no event
 * @VSMMU_STE_BYPASS: Stage 1 bypassed: addresses are guest-physical
 * @VSMMU_STE_S1: Stage 1 with the guest's CD
 * @VSMMU_STE_ILLEGAL: Asks for what this SMMU does not have, stage 2 for one
 */
enum vsmmu_ste_kind {
	VSMMU_STE_INVALID,
	VSMMU_STE_ABORT,
	VSMMU_STE_BYPASS,
	VSMMU_STE_S1,
	VSMMU_STE_ILLEGAL,
};

/**
 * struct vsmmu_ste - The part of a guest's STE that is handed to the host
 * @kind: What it asks for
 * @w: Words 0 and 1, little-endian, nothing but the fields that the host may
 *     take from a guest: what struct iommu_hwpt_arm_smmuv3 holds
 */
struct vsmmu_ste {
	enum vsmmu_ste_kind kind;
	uint64_t w[2];
};

/**
 * struct vsmmu_backend_ops - The way to the physical SMMU
 * @invalidate: Execute @n >= 1 commands of the guest. On return they are
 *              complete as far as @report says.
 * @ste_changed: The STE of stream @sid is now @ste, never of kind
 *               %VSMMU_STE_ILLEGAL. On return 0 the stream obeys it. Otherwise
 *               the answer is a negative errno, -EIO for an STE that is illegal
 *               on the physical SMMU, and the stream is as before.
 */
struct vsmmu_backend_ops {
	void (*invalidate)(void *backend, const struct vsmmu_cmd *cmds,
			   uint32_t n, struct vsmmu_report *report);
	int (*ste_changed)(void *backend, uint32_t sid,
			   const struct vsmmu_ste *ste);
};

enum vsmmu_irq {
	VSMMU_IRQ_EVENTQ,
	VSMMU_IRQ_CMDSYNC,
	VSMMU_IRQ_GERROR,
};

/**
 * struct vsmmu_machine_ops - The guest's machine
 * @guest_ptr: The VMM's pointer to @len bytes of guest memory at @gpa, or NULL
 *             if that is not all memory. Used before the next call only.
 * @irq: Pulse an interrupt line (edge); optional. The guest has enabled it.
 */
struct vsmmu_machine_ops {
	void *(*guest_ptr)(void *machine, uint64_t gpa, size_t len);
	void (*irq)(void *machine, enum vsmmu_irq irq);
};

/**
 * struct vsmmu_config - Choices of the VMM
 * @host_idr: SMMU_IDR0 to 5 of the physical SMMU (struct iommu_hw_info_arm_smmuv3)
 * @host_iidr: SMMU_IIDR
 * @host_aidr: SMMU_AIDR
 * @sid_bits: IDR1.SIDSIZE for the guest, 1 to 20: guest StreamIDs are the VMM's
 *            own, the physical SMMU's do not limit them
 * @cmdq_log2: Largest command queue, 1 to %VSMMU_QUEUE_LOG2_MAX. The library
 *             allocates 20 bytes for each entry of a queue of this size.
 * @eventq_log2: Largest event queue, 1 to %VSMMU_QUEUE_LOG2_MAX
 * @ssid_bits_max: Bound on IDR1.SSIDSIZE, 0 to hide PASIDs
 * @ats: Show IDR0.ATS if the physical SMMU has it
 */
struct vsmmu_config {
	uint32_t host_idr[6];
	uint32_t host_iidr;
	uint32_t host_aidr;
	unsigned int sid_bits;
	unsigned int cmdq_log2;
	unsigned int eventq_log2;
	unsigned int ssid_bits_max;
	bool ats;
};

/**
 * struct vsmmu_stats - Counters, for a VMM's own diagnostics
 * @commands: Commands consumed from the guest's ring
 * @arrays: Calls of &vsmmu_backend_ops.invalidate
 * @forwarded: Commands in those arrays
 * @largest: Commands in the largest of them
 * @errors: Times that CMDQ_ERR was raised
 * @events: Records written into the guest's event queue
 * @events_lost: Records that the host said it lost, by sequence numbers
 * @events_dropped: Records that found the guest's queue full or disabled
 */
struct vsmmu_stats {
	uint64_t commands;
	uint64_t arrays;
	uint64_t forwarded;
	uint64_t largest;
	uint64_t errors;
	uint64_t events;
	uint64_t events_lost;
	uint64_t events_dropped;
};

struct vsmmu;

struct vsmmu *vsmmu_create(const struct vsmmu_config *config,
			   const struct vsmmu_backend_ops *backend_ops,
			   void *backend,
			   const struct vsmmu_machine_ops *machine_ops,
			   void *machine);
void vsmmu_destroy(struct vsmmu *s);
void vsmmu_reset(struct vsmmu *s);

int vsmmu_add_stream(struct vsmmu *s, uint32_t sid);
void vsmmu_remove_stream(struct vsmmu *s, uint32_t sid);

uint64_t vsmmu_mmio_read(struct vsmmu *s, uint64_t offset, unsigned int size);
void vsmmu_mmio_write(struct vsmmu *s, uint64_t offset, uint64_t value,
		      unsigned int size);

/* The header of a vEVENTQ record: the values of struct iommufd_vevent_header */
struct vsmmu_vevent_header {
	uint32_t flags;
	uint32_t sequence;
};

#define VSMMU_VEVENT_LOST		(1u << 0)
#define VSMMU_VEVENT_SEQUENCE_MAX	0x7fffffffu

size_t vsmmu_feed_events(struct vsmmu *s, const void *buf, size_t len);
void vsmmu_inject_event(struct vsmmu *s, const struct vsmmu_event *event);

const struct vsmmu_stats *vsmmu_get_stats(const struct vsmmu *s);

#endif
