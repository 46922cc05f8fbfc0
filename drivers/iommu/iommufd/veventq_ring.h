/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The arithmetic of a vEVENTQ: which slot, which sequence number, what was lost
 *
 * A ring of @depth slots holds the records that wait to be read, in the slots
 * @head to @head + @count - 1. Every event takes the next sequence number, also
 * one that finds the ring full and is lost. Events that the hardware lost before
 * they got here, nobody knows how many, take one number together. Who reads learns
 * of a loss in one of two ways:
 *
 * - A record follows: its number is not the previous one's successor. The gap
 *   is the loss, nothing else is delivered.
 * - No record follows (yet): @lost is set, and once the ring is empty a header
 *   alone tells the number of the last event lost. The next event that finds a
 *   free slot clears @lost, because now its number shows the gap.
 *
 * So @lost always speaks of the newest events, and a ring that is read until it is
 * empty stays lost unless a new event came in between.
 *
 * Nothing here locks or allocates: the caller serialises all calls on a ring.
 * The record in a slot is not touched either. A slot between @head and @head +
 * @count belongs to the reader and all others to the producer, so a reader can
 * use a record outside the lock between peek and consume.
 */
#ifndef __VEVENTQ_RING_H
#define __VEVENTQ_RING_H

#include <linux/limits.h>
#include <linux/types.h>

/* The most records that a vEVENTQ can hold */
#define IOMMUFD_VEVENTQ_DEPTH_MAX (1U << 19)

/**
 * struct iommufd_veventq_ring - State of a vEVENTQ
 * @depth: Number of slots, 1 to %IOMMUFD_VEVENTQ_DEPTH_MAX
 * @head: Slot of the oldest record
 * @count: Number of records, 0 to @depth
 * @sequence: Number of the next event, 0 to INT_MAX
 * @lost: The newest events were lost, at least the one before @sequence
 */
struct iommufd_veventq_ring {
	u32 depth;
	u32 head;
	u32 count;
	u32 sequence;
	bool lost;
};

enum iommufd_veventq_next {
	IOMMUFD_VEVENTQ_EMPTY,	/* Nothing to read */
	IOMMUFD_VEVENTQ_RECORD,	/* A record */
	IOMMUFD_VEVENTQ_LOST,	/* A header that tells of a loss */
};

static inline u32 iommufd_vevent_seq_next(u32 sequence)
{
	return sequence == INT_MAX ? 0 : sequence + 1;
}

static inline u32 iommufd_vevent_seq_prev(u32 sequence)
{
	return sequence ? sequence - 1 : INT_MAX;
}

static inline void iommufd_veventq_ring_init(struct iommufd_veventq_ring *ring,
					     u32 depth)
{
	*ring = (struct iommufd_veventq_ring){ .depth = depth };
}

/**
 * iommufd_veventq_ring_push - An event happened
 * @ring: The ring
 * @slot: Filled in with the slot for its record
 * @sequence: Filled in with the number of the event
 *
 * The slot belongs to the reader as soon as the caller lets one run.
 *
 * Return: false if there is no free slot and the event is lost
 */
static inline bool iommufd_veventq_ring_push(struct iommufd_veventq_ring *ring,
					     u32 *slot, u32 *sequence)
{
	*sequence = ring->sequence;
	ring->sequence = iommufd_vevent_seq_next(ring->sequence);

	ring->lost = ring->count == ring->depth;
	if (ring->lost)
		return false;

	/* head and count are at most 2^19 */
	*slot = (ring->head + ring->count) % ring->depth;
	ring->count++;
	return true;
}

/**
 * iommufd_veventq_ring_lose - Events were lost on their way here
 * @ring: The ring
 */
static inline void iommufd_veventq_ring_lose(struct iommufd_veventq_ring *ring)
{
	ring->sequence = iommufd_vevent_seq_next(ring->sequence);
	ring->lost = true;
}

/**
 * iommufd_veventq_ring_peek - What a read delivers next
 * @ring: The ring
 * @pos: Filled in with the slot of a record, or with the number of the last
 *       event lost
 *
 * Return: What there is, see enum iommufd_veventq_next
 */
static inline enum iommufd_veventq_next
iommufd_veventq_ring_peek(const struct iommufd_veventq_ring *ring, u32 *pos)
{
	if (ring->count) {
		*pos = ring->head;
		return IOMMUFD_VEVENTQ_RECORD;
	}
	if (ring->lost) {
		*pos = iommufd_vevent_seq_prev(ring->sequence);
		return IOMMUFD_VEVENTQ_LOST;
	}
	return IOMMUFD_VEVENTQ_EMPTY;
}

/**
 * iommufd_veventq_ring_consume - What was peeked has been delivered
 * @ring: The ring
 * @what: What iommufd_veventq_ring_peek() returned
 * @pos: What it filled in
 *
 * Events may have come in since the peek, but no other consume. If the header of
 * a loss was delivered and was not about the newest event, then @lost speaks of
 * newer ones, if it is set at all.
 */
static inline void
iommufd_veventq_ring_consume(struct iommufd_veventq_ring *ring,
			     enum iommufd_veventq_next what, u32 pos)
{
	switch (what) {
	case IOMMUFD_VEVENTQ_RECORD:
		ring->head = ring->head + 1 == ring->depth ? 0 : ring->head + 1;
		ring->count--;
		break;
	case IOMMUFD_VEVENTQ_LOST:
		if (iommufd_vevent_seq_prev(ring->sequence) == pos)
			ring->lost = false;
		break;
	case IOMMUFD_VEVENTQ_EMPTY:
		break;
	}
}

#endif
