// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm SMMUv3: telling a guest's events from the host's
 *
 * The SMMU records the events of all streams in one queue. With a stream whose
 * stage 1 is a guest's, some of them are about what the guest set up: its STE,
 * CDs and translation tables, and the transactions that its device makes with
 * them. Those are the guest's, and of no use to the host, which the guest could
 * flood with them. Events of stage 2, of the host's own structures, of the bus
 * and those that only the implementation knows are the host's.
 *
 * The guest's record is the SMMU's with the StreamID that the guest knows and
 * with nothing else but the fields that the architecture defines for a stage 1
 * event. All others are 0: what is UNKNOWN (IPA), what is a physical address
 * (FetchAddr), what only the vendor can read (Reason, IMPL_DEF), and RES0.
 * Neither Stall nor STAG pass: a stalled transaction takes the way of recoverable
 * faults, and the guest would be resuming what is not there to be resumed.
 *
 * A stream changes hands while events of it wait in the queue. Events have a
 * position, the number of records before them since the queue was set up. An era
 * says of a stream: from this position on it is (or is not) a guest's, and before
 * it was (or was not) a former guest's.
 *
 * arm_smmu_vevents[] has a row per event that can be the guest's. Sections
 * 7.3.1 to 7.3.20 of IHI 0070. "Word n" is bits 64n+63:64n of the record.
 */
#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/kernel.h>

#include <kunit/visibility.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-vevent.h"

/* Access attributes of the transaction */
#define VEVT_1_ACCESS		(EVTQ_1_PnU | EVTQ_1_InD | EVTQ_1_RnW)
#define VEVT_1_FAULT		(VEVT_1_ACCESS | EVTQ_1_CLASS)
#define VEVT_2_ADDR_4K		GENMASK_ULL(63, 12)

/* F_BAD_ATS_TREQ: the request's R, W, X and Priv, number of STUs */
#define VEVT_1_TREQ_PERM	GENMASK_ULL(31, 28)
#define VEVT_1_TREQ_SPAN	GENMASK_ULL(3, 0)

/* E_PAGE_REQUEST: R, W and X, privileged and not; number of pages */
#define VEVT_1_PAGE_PERM	GENMASK_ULL(39, 33)
#define VEVT_1_PAGE_SPAN	GENMASK_ULL(51, 44)

/* What a record says of a SubstreamID */
enum {
	VEVT_NO_SSID,
	VEVT_SSV,		/* Valid if SSV is set */
	VEVT_SSID,		/* Always valid, there is no SSV */
};

/*
 * @guests: The event can be the guest's
 * @has_s2: Bit S2 exists and makes it the host's
 * @can_stall: Bit Stall exists
 * @ssid: VEVT_*
 * @w1: What is left of word 1
 * @w2: What is left of word 2. Of word 3 nothing is.
 */
struct arm_smmu_vevent {
	u8 guests : 1;
	u8 has_s2 : 1;
	u8 can_stall : 1;
	u8 ssid : 2;
	u64 w1;
	u64 w2;
};

static const struct arm_smmu_vevent arm_smmu_vevents[] = {
	/* C_BAD_STE: not the host's part of it, see arm_smmu_make_nested_ste() */
	[0x04] = {
		.guests		= 1,
		.ssid		= VEVT_SSV,
	},
	/* F_BAD_ATS_TREQ: the guest's STE does not enable ATS */
	[0x05] = {
		.guests		= 1,
		.ssid		= VEVT_SSV,
		.w1		= VEVT_1_TREQ_PERM | VEVT_1_TREQ_SPAN,
		.w2		= VEVT_2_ADDR_4K,
	},
	/* F_STREAM_DISABLED */
	[0x06] = {
		.guests		= 1,
	},
	/* C_BAD_SUBSTREAMID */
	[0x08] = {
		.guests		= 1,
		.ssid		= VEVT_SSID,
	},
	/* F_CD_FETCH: no stage 2 fault but an abort, the IPA is a bad place */
	[0x09] = {
		.guests		= 1,
		.ssid		= VEVT_SSV,
	},
	/* C_BAD_CD */
	[0x0a] = {
		.guests		= 1,
		.ssid		= VEVT_SSV,
	},
	/* F_WALK_EABT */
	[0x0b] = {
		.guests		= 1,
		.has_s2		= 1,
		.ssid		= VEVT_SSV,
		.w1		= VEVT_1_FAULT,
		.w2		= EVTQ_2_ADDR,
	},
	[EVT_ID_TRANSLATION_FAULT] = {
		.guests		= 1,
		.has_s2		= 1,
		.can_stall	= 1,
		.ssid		= VEVT_SSV,
		.w1		= VEVT_1_FAULT,
		.w2		= EVTQ_2_ADDR,
	},
	[EVT_ID_ADDR_SIZE_FAULT] = {
		.guests		= 1,
		.has_s2		= 1,
		.can_stall	= 1,
		.ssid		= VEVT_SSV,
		.w1		= VEVT_1_FAULT,
		.w2		= EVTQ_2_ADDR,
	},
	[EVT_ID_ACCESS_FAULT] = {
		.guests		= 1,
		.has_s2		= 1,
		.can_stall	= 1,
		.ssid		= VEVT_SSV,
		.w1		= VEVT_1_FAULT,
		.w2		= EVTQ_2_ADDR,
	},
	/* TTRnW is UNKNOWN, as stage 1 has no faults with CLASS TT here */
	[EVT_ID_PERMISSION_FAULT] = {
		.guests		= 1,
		.has_s2		= 1,
		.can_stall	= 1,
		.ssid		= VEVT_SSV,
		.w1		= VEVT_1_FAULT,
		.w2		= EVTQ_2_ADDR,
	},
	/* F_TLB_CONFLICT: the guest broke break-before-make */
	[0x20] = {
		.guests		= 1,
		.has_s2		= 1,
		.ssid		= VEVT_SSV,
		.w1		= VEVT_1_ACCESS,
		.w2		= EVTQ_2_ADDR,
	},
	/* E_PAGE_REQUEST: a hint of the device to who owns its translations */
	[0x24] = {
		.guests		= 1,
		.ssid		= VEVT_SSV,
		.w1		= VEVT_1_PAGE_PERM | VEVT_1_PAGE_SPAN,
		.w2		= VEVT_2_ADDR_4K,
	},
};

static const struct arm_smmu_vevent *arm_smmu_vevent_find(const u64 evt[4])
{
	const struct arm_smmu_vevent *row;
	u8 id = FIELD_GET(EVTQ_0_ID, evt[0]);

	if (id >= ARRAY_SIZE(arm_smmu_vevents))
		return NULL;
	row = &arm_smmu_vevents[id];
	if (!row->guests || (row->has_s2 && (evt[1] & EVTQ_1_S2)))
		return NULL;
	return row;
}

/**
 * arm_smmu_vevent_is_guests() - Is an event one that a guest may have caused?
 * @evt: The SMMU's record, CPU-endian
 *
 * Only of meaning for a stream whose stage 1 is a guest's. Any context.
 *
 * Return: true for an event that belongs to the owner of stage 1; the host need
 * not say anything about it. false for one that belongs to the host.
 */
bool arm_smmu_vevent_is_guests(const u64 evt[4])
{
	return arm_smmu_vevent_find(evt);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vevent_is_guests);

/**
 * arm_smmu_vevent_is_stall() - Does the transaction of an event wait?
 * @evt: The SMMU's record, CPU-endian
 *
 * The bit means other things in other events: each F_BAD_ATS_TREQ has it set.
 * Any context.
 *
 * Return: true if the transaction waits for a CMD_RESUME
 */
bool arm_smmu_vevent_is_stall(const u64 evt[4])
{
	u8 id = FIELD_GET(EVTQ_0_ID, evt[0]);

	return id < ARRAY_SIZE(arm_smmu_vevents) &&
	       arm_smmu_vevents[id].can_stall && (evt[1] & EVTQ_1_STALL);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vevent_is_stall);

/**
 * arm_smmu_vevent_make() - Make a guest's event record of the SMMU's
 * @evt: The SMMU's record, CPU-endian
 * @vsid: The guest's StreamID of the stream
 * @guest: Filled in for struct iommu_vevent_arm_smmuv3, little-endian. Left
 *         alone if the event is the host's.
 *
 * Any context.
 *
 * Return: as arm_smmu_vevent_is_guests()
 */
bool arm_smmu_vevent_make(const u64 evt[4], u32 vsid, __le64 guest[4])
{
	const struct arm_smmu_vevent *row = arm_smmu_vevent_find(evt);
	u64 w0;

	if (!row)
		return false;

	w0 = (evt[0] & EVTQ_0_ID) | FIELD_PREP(EVTQ_0_SID, vsid);
	if (row->ssid == VEVT_SSID)
		w0 |= evt[0] & EVTQ_0_SSID;
	else if (row->ssid == VEVT_SSV && (evt[0] & EVTQ_0_SSV))
		w0 |= evt[0] & (EVTQ_0_SSV | EVTQ_0_SSID);

	guest[0] = cpu_to_le64(w0);
	guest[1] = cpu_to_le64(evt[1] & row->w1);
	guest[2] = cpu_to_le64(evt[2] & row->w2);
	guest[3] = 0;
	return true;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vevent_make);

/* An era: a position, and whose the events from there on and before are */
#define VEVT_ERA_GUEST		BIT(0)
#define VEVT_ERA_FORMER		BIT(1)
#define VEVT_ERA_POS_SHIFT	2

/**
 * arm_smmu_vevent_pos() - The position that an index of the queue stands for
 * @read: Position of the event that the reader looks at next. The reader may
 *        have gone on since, but not by half the queue.
 * @prod: Index that the SMMU writes next, with the wrap bit above it. Other bits
 *        are ignored.
 * @shift: Log2 of the size of the queue in records
 *
 * The reader frees the slot of a record before it looks at it, so the SMMU may be
 * ahead by one record more than the queue has. Any context.
 *
 * Return: Position of the event that the SMMU records next. @read if the reader
 * is past that already.
 */
u64 arm_smmu_vevent_pos(u64 read, u32 prod, unsigned int shift)
{
	u32 ahead = (prod - (u32)read) & ((2U << shift) - 1);

	return ahead <= (1U << shift) + 1 ? read + ahead : read;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vevent_pos);

/**
 * arm_smmu_vevent_era_begin() - A stream becomes a guest's
 * @pos: From this event on
 * @former: Events before that may be a former guest's, else they are the host's
 *
 * Return: The era, never 0
 */
unsigned long arm_smmu_vevent_era_begin(u64 pos, bool former)
{
	return pos << VEVT_ERA_POS_SHIFT | VEVT_ERA_GUEST |
	       (former ? VEVT_ERA_FORMER : 0);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vevent_era_begin);

/**
 * arm_smmu_vevent_era_end() - A stream is a guest's no longer
 * @pos: From this event on
 *
 * Return: The era, never 0
 */
unsigned long arm_smmu_vevent_era_end(u64 pos)
{
	return pos << VEVT_ERA_POS_SHIFT | VEVT_ERA_FORMER;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vevent_era_end);

/**
 * arm_smmu_vevent_era_over() - Can an era be forgotten?
 * @era: The era, 0 for a stream of the host's
 * @pos: Position of the event that is read next
 *
 * Return: true if all events from @pos on are the host's and there is an era
 */
bool arm_smmu_vevent_era_over(unsigned long era, u64 pos)
{
	return era && !(era & VEVT_ERA_GUEST) &&
	       pos >= era >> VEVT_ERA_POS_SHIFT;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vevent_era_over);

/**
 * arm_smmu_vevent_owner() - Whose was the stream when an event was recorded?
 * @era: The era of its stream, 0 for a stream of the host's
 * @pos: Position of the event
 *
 * Return: enum arm_smmu_vevent_owner
 */
enum arm_smmu_vevent_owner arm_smmu_vevent_owner(unsigned long era, u64 pos)
{
	if (pos < era >> VEVT_ERA_POS_SHIFT)
		return era & VEVT_ERA_FORMER ? ARM_SMMU_VEVENT_FORMER :
					       ARM_SMMU_VEVENT_HOST;
	return era & VEVT_ERA_GUEST ? ARM_SMMU_VEVENT_GUEST :
				      ARM_SMMU_VEVENT_HOST;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vevent_owner);
