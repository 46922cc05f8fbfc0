// SPDX-License-Identifier: GPL-2.0-only
/*
 * vsmmuv3: the guest-visible side of an Arm SMMUv3 whose stage 1 the guest owns
 *
 * How the guest's ring is worked off. The commands are copied out of guest memory
 * once each and classified on the copy:
 *
 *	forward	joins the array
 *	skip	has no effect here: prefetches, commands on streams of nobody
 *	stop	flushes the array first, then acts: CMD_SYNC, CFGI_STE*, illegal ones
 *
 * The array is also flushed when the ring is exhausted. So the array never
 * reaches across a command whose effect is visible to the guest, and CMDQ_CONS
 * moves only when everything before it was executed.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vsmmuv3.h"

#define BIT32(n)		(1u << (n))
#define GENMASK64(h, l)		((~0ull >> (63 - (h))) & (~0ull << (l)))

/*
 * IDR0: kept from the host, and forced. Not HTTU: firmware may have told the host that
 * the register is wrong.
 */
#define IDR0_S1P		BIT32(1)
#define IDR0_TTF		(3u << 2)
#define IDR0_COHACC		BIT32(4)
#define IDR0_ATS		BIT32(10)
#define IDR0_ASID16		BIT32(12)
#define IDR0_CD2L		BIT32(19)
#define IDR0_TTENDIAN		(3u << 21)
#define IDR0_STALL_TERMINATE	(1u << 24)
#define IDR0_TERM_MODEL		BIT32(26)
#define IDR0_KEEP		(IDR0_TTF | IDR0_COHACC | IDR0_ASID16 | IDR0_CD2L | \
				 IDR0_TTENDIAN | IDR0_TERM_MODEL)

#define IDR1_SSIDSIZE_SHIFT	6
#define IDR1_SSIDSIZE		0x1fu
#define IDR1_EVENTQS_SHIFT	16
#define IDR1_CMDQS_SHIFT	21

#define IDR3_HAD		BIT32(2)
#define IDR3_STT		BIT32(9)
#define IDR3_RIL		BIT32(10)
#define IDR3_BBML		(3u << 11)
#define IDR3_E0PD		BIT32(13)
#define IDR3_KEEP		(IDR3_HAD | IDR3_STT | IDR3_RIL | IDR3_BBML | IDR3_E0PD)

#define IDR5_OAS		(7u << 0)
#define IDR5_GRANULES		(7u << 4)
#define IDR5_VAX		(3u << 10)
#define IDR5_KEEP		(IDR5_OAS | IDR5_GRANULES | IDR5_VAX)

#define GERROR_KNOWN		(VSMMU_GERROR_CMDQ_ERR | VSMMU_GERROR_EVENTQ_ABT)

#define QUEUE_LOG2		0x1fu
#define QUEUE_ADDR		GENMASK64(51, 5)
#define STRTAB_ADDR		GENMASK64(51, 6)
#define STRTAB_LOG2		0x3fu
#define STRTAB_FMT		(3u << 16)

#define CMD_OPCODE		0xffu
#define CMD_SSEC		(1ull << 10)
#define CMD_SID_SHIFT		32
#define CMD_SYNC_CS_SHIFT	12
#define CMD_SYNC_CS		3u
#define CMD_SYNC_CS_IRQ		1u
#define CMD_SYNC_CS_RESERVED	3u
#define CMD_RANGE		0x1fu

#define STE_SIZE		64
#define STE_V			(1ull << 0)
#define STE_CONFIG_SHIFT	1
#define STE_CONFIG		7u
#define STE_CONFIG_BYPASS	4u
#define STE_CONFIG_S1		5u
/* V, Config, S1Fmt, S1ContextPtr, S1CDMax; S1DSS, S1CIR, S1COR, S1CSH, S1STALLD, EATS */
#define STE_W0_HOST		(GENMASK64(63, 59) | GENMASK64(51, 0))
#define STE_W1_EATS		GENMASK64(29, 28)
#define STE_W1_S1STALLD		(1ull << 27)
#define STE_W1_HOST		(GENMASK64(7, 0) | STE_W1_S1STALLD | STE_W1_EATS)

struct vsmmu {
	const struct vsmmu_backend_ops *backend_ops;
	void *backend;
	const struct vsmmu_machine_ops *machine_ops;
	void *machine;

	uint32_t idr[6];
	uint32_t iidr;
	uint32_t aidr;
	unsigned int sid_bits;
	unsigned int cmdq_log2;
	unsigned int eventq_log2;

	uint32_t cr0;
	uint32_t cr1;
	uint32_t cr2;
	uint32_t gbpa;
	uint32_t irq_ctrl;
	uint32_t gerror;
	uint32_t gerrorn;
	uint64_t strtab_base;
	uint32_t strtab_base_cfg;
	uint64_t cmdq_base;
	uint32_t cmdq_prod;
	uint32_t cmdq_cons;
	uint64_t eventq_base;
	uint32_t eventq_prod;
	uint32_t eventq_cons;

	/* An ATC_INV was lost: the next CMD_SYNC reports it */
	bool atc_failed;

	/* The array, see vsmmuv3.h; room for 1 << cmdq_log2 entries */
	struct vsmmu_cmd *array;
	uint32_t *pos;
	uint32_t nr;

	/* One bit for each StreamID */
	uint64_t *streams;

	/* vEVENTQ: the sequence number that comes next if nothing gets lost */
	uint32_t next_sequence;

	struct vsmmu_stats stats;
};

/*
 * Queues
 */

struct queue {
	uint64_t addr;
	unsigned int log2;
};

static struct queue queue_of(uint64_t base, unsigned int log2_max, size_t entry)
{
	struct queue q;

	q.log2 = base & QUEUE_LOG2;
	if (q.log2 > log2_max)
		q.log2 = log2_max;
	q.addr = base & QUEUE_ADDR & ~(((uint64_t)entry << q.log2) - 1);
	return q;
}

static uint32_t queue_index(const struct queue *q, uint32_t position)
{
	return position & ((1u << q->log2) - 1);
}

static uint32_t queue_position(const struct queue *q, uint32_t reg)
{
	return reg & ((2u << q->log2) - 1);
}

static uint32_t queue_next(const struct queue *q, uint32_t position)
{
	return queue_position(q, position + 1);
}

static uint32_t queue_count(const struct queue *q, uint32_t prod, uint32_t cons)
{
	return queue_position(q, prod - cons);
}

static void *queue_entry(const struct vsmmu *s, const struct queue *q,
			 uint32_t position, size_t entry)
{
	uint64_t gpa = q->addr + (uint64_t)queue_index(q, position) * entry;

	return s->machine_ops->guest_ptr(s->machine, gpa, entry);
}

/* The guest may write at any time: take each word once, use the copy */
static void copy_from_guest(uint64_t *dst, const uint64_t *src, unsigned int words)
{
	unsigned int i;

	for (i = 0; i < words; i++)
		dst[i] = __atomic_load_n(&src[i], __ATOMIC_RELAXED);
}

/*
 * Global errors and interrupts
 */

static void raise_irq(struct vsmmu *s, enum vsmmu_irq irq)
{
	if (irq == VSMMU_IRQ_GERROR && !(s->irq_ctrl & VSMMU_IRQ_CTRL_GERROR))
		return;
	if (irq == VSMMU_IRQ_EVENTQ && !(s->irq_ctrl & VSMMU_IRQ_CTRL_EVENTQ))
		return;
	if (s->machine_ops->irq)
		s->machine_ops->irq(s->machine, irq);
}

static bool gerror_active(const struct vsmmu *s, uint32_t bit)
{
	return (s->gerror ^ s->gerrorn) & bit;
}

static void raise_gerror(struct vsmmu *s, uint32_t bit)
{
	if (gerror_active(s, bit))
		return;
	__atomic_store_n(&s->gerror, s->gerror ^ bit, __ATOMIC_RELEASE);
	raise_irq(s, VSMMU_IRQ_GERROR);
}

static void cmdq_error(struct vsmmu *s, uint32_t position, enum vsmmu_cerror code)
{
	s->stats.errors++;
	s->cmdq_cons = position | (uint32_t)code << VSMMU_CMDQ_CONS_ERR_SHIFT;
	raise_gerror(s, VSMMU_GERROR_CMDQ_ERR);
}

/*
 * Events
 */

static void eventq_overflow(struct vsmmu *s)
{
	if (!((s->eventq_prod ^ s->eventq_cons) & VSMMU_EVENTQ_OVERFLOW))
		s->eventq_prod ^= VSMMU_EVENTQ_OVERFLOW;
}

/**
 * vsmmu_inject_event - Write one record into the guest's event queue
 * @s: The vSMMU
 * @event: The record
 *
 * A full queue sets the overflow flag, a disabled one or one with an active
 * EVENTQ_ABT drops the record silently (IHI 0070, section 7.2).
 */
void vsmmu_inject_event(struct vsmmu *s, const struct vsmmu_event *event)
{
	struct queue q = queue_of(s->eventq_base, s->eventq_log2, sizeof(*event));
	uint32_t prod = queue_position(&q, s->eventq_prod);
	uint32_t cons = queue_position(&q, s->eventq_cons);
	void *entry;

	if (!(s->cr0 & VSMMU_CR0_EVENTQEN) ||
	    gerror_active(s, VSMMU_GERROR_EVENTQ_ABT)) {
		s->stats.events_dropped++;
		return;
	}
	if (queue_count(&q, prod, cons) >= 1u << q.log2) {
		s->stats.events_dropped++;
		eventq_overflow(s);
		return;
	}
	entry = queue_entry(s, &q, prod, sizeof(*event));
	if (!entry) {
		s->stats.events_dropped++;
		raise_gerror(s, VSMMU_GERROR_EVENTQ_ABT);
		return;
	}
	memcpy(entry, event, sizeof(*event));
	s->stats.events++;
	/* The record is visible before the index that announces it */
	__atomic_store_n(&s->eventq_prod,
			 queue_next(&q, prod) |
			 (s->eventq_prod & VSMMU_EVENTQ_OVERFLOW),
			 __ATOMIC_RELEASE);
	if (prod == cons)
		raise_irq(s, VSMMU_IRQ_EVENTQ);
}

/**
 * vsmmu_feed_events - Take what was read from the vEVENTQ
 * @s: The vSMMU
 * @buf: Headers and records, as read() returned them
 * @len: Bytes in @buf
 *
 * A gap between the sequence numbers and a header that says LOST_EVENTS are
 * losses on the host; both become the overflow flag of the guest's queue. The
 * numbers go from 0 to INT_MAX and then to 0 again, which is no gap.
 *
 * Return: the bytes taken, less than @len if the last record is not complete
 */
size_t vsmmu_feed_events(struct vsmmu *s, const void *buf, size_t len)
{
	struct vsmmu_vevent_header header;
	struct vsmmu_event event;
	size_t off = 0;
	uint32_t lost;

	while (len - off >= sizeof(header)) {
		memcpy(&header, (const char *)buf + off, sizeof(header));
		lost = (header.sequence - s->next_sequence) & VSMMU_VEVENT_SEQUENCE_MAX;

		if (header.flags & VSMMU_VEVENT_LOST) {
			/* The sequence is that of the last event lost */
			off += sizeof(header);
			s->stats.events_lost += (lost + 1) & VSMMU_VEVENT_SEQUENCE_MAX;
			eventq_overflow(s);
		} else {
			if (len - off < sizeof(header) + sizeof(event))
				break;
			memcpy(&event, (const char *)buf + off + sizeof(header),
			       sizeof(event));
			off += sizeof(header) + sizeof(event);
			if (lost) {
				s->stats.events_lost += lost;
				eventq_overflow(s);
			}
			vsmmu_inject_event(s, &event);
		}
		s->next_sequence = (header.sequence + 1) & VSMMU_VEVENT_SEQUENCE_MAX;
	}
	return off;
}

/*
 * Streams and their STEs
 */

static bool stream_known(const struct vsmmu *s, uint32_t sid)
{
	if (sid >> s->sid_bits)
		return false;
	return s->streams[sid / 64] >> (sid % 64) & 1;
}

/* The host-visible part of a guest's STE; everything else is the host's policy */
static struct vsmmu_ste parse_ste(const struct vsmmu *s, uint64_t w0, uint64_t w1)
{
	struct vsmmu_ste ste = { VSMMU_STE_INVALID, { 0, 0 } };
	unsigned int config = w0 >> STE_CONFIG_SHIFT & STE_CONFIG;

	if (!(w0 & STE_V))
		return ste;

	if (!(config & 4)) {
		ste.kind = VSMMU_STE_ABORT;
		ste.w[0] = htole64(STE_V);
	} else if (config == STE_CONFIG_BYPASS) {
		ste.kind = VSMMU_STE_BYPASS;
		ste.w[0] = htole64(STE_V | STE_CONFIG_BYPASS << STE_CONFIG_SHIFT);
	} else if (config == STE_CONFIG_S1 && !(w1 & STE_W1_S1STALLD)) {
		ste.kind = VSMMU_STE_S1;
		ste.w[0] = htole64(w0 & STE_W0_HOST);
		w1 &= STE_W1_HOST;
		if (!(s->idr[0] & IDR0_ATS))
			w1 &= ~STE_W1_EATS;
		ste.w[1] = htole64(w1);
	} else {
		/* Stage 2 is not there, and S1STALLD goes with stalls, which are not either */
		ste.kind = VSMMU_STE_ILLEGAL;
	}
	return ste;
}

static struct vsmmu_ste read_ste(const struct vsmmu *s, uint32_t sid)
{
	struct vsmmu_ste invalid = { VSMMU_STE_INVALID, { 0, 0 } };
	unsigned int log2 = s->strtab_base_cfg & STRTAB_LOG2;
	uint64_t gpa, w[2];
	const uint64_t *entry;

	/* IDR0.ST_LEVEL says that there are linear tables only */
	if (s->strtab_base_cfg & STRTAB_FMT)
		return invalid;
	if (log2 > s->sid_bits)
		log2 = s->sid_bits;
	if (sid >> log2)
		return invalid;
	gpa = s->strtab_base & STRTAB_ADDR & ~(((uint64_t)STE_SIZE << log2) - 1);
	gpa += (uint64_t)sid * STE_SIZE;
	entry = s->machine_ops->guest_ptr(s->machine, gpa, STE_SIZE);
	if (!entry)
		return invalid;
	copy_from_guest(w, entry, 2);
	return parse_ste(s, le64toh(w[0]), le64toh(w[1]));
}

static struct vsmmu_ste disabled_ste(const struct vsmmu *s)
{
	struct vsmmu_ste ste = { VSMMU_STE_BYPASS, { 0, 0 } };
	uint64_t w0 = STE_V | STE_CONFIG_BYPASS << STE_CONFIG_SHIFT;

	if (s->gbpa & VSMMU_GBPA_ABORT) {
		ste.kind = VSMMU_STE_ABORT;
		w0 = STE_V;
	}
	ste.w[0] = htole64(w0);
	return ste;
}

/*
 * Make the host obey the guest's STE. A stream whose STE the host does not take
 * is blocked: the guest relies on the old translation being gone. The SMMU would
 * record C_BAD_STE for each transaction; a blocked stream tells of none, so there
 * is one record, now.
 */
static int update_stream(struct vsmmu *s, uint32_t sid)
{
	const struct vsmmu_ste invalid = { VSMMU_STE_INVALID, { 0, 0 } };
	struct vsmmu_ste ste;
	struct vsmmu_event event = {};
	int ret = -EIO;

	if (s->cr0 & VSMMU_CR0_SMMUEN)
		ste = read_ste(s, sid);
	else
		ste = disabled_ste(s);

	if (ste.kind != VSMMU_STE_ILLEGAL) {
		ret = s->backend_ops->ste_changed(s->backend, sid, &ste);
		if (!ret)
			return 0;
	}

	if (s->backend_ops->ste_changed(s->backend, sid, &invalid) || ret != -EIO)
		return ret;

	event.w[0] = htole64(VSMMU_EVT_C_BAD_STE | (uint64_t)sid << CMD_SID_SHIFT);
	vsmmu_inject_event(s, &event);
	return 0;
}

/* All of them whatever happens; the first error counts */
static int update_streams(struct vsmmu *s, uint64_t first, uint64_t last)
{
	int ret, first_error = 0;
	uint64_t sid;

	if (last >> s->sid_bits)
		last = (1ull << s->sid_bits) - 1;
	for (sid = first; sid <= last; sid++) {
		if (!(sid % 64) && !s->streams[sid / 64]) {
			sid += 63;
			continue;
		}
		if (!stream_known(s, sid))
			continue;
		ret = update_stream(s, sid);
		if (ret && !first_error)
			first_error = ret;
	}
	return first_error;
}

/**
 * vsmmu_add_stream - A device appears behind the vSMMU
 * @s: The vSMMU
 * @sid: Its StreamID, for which the backend has a vDEVICE already
 *
 * Return: 0 with the stream obeying the guest's STE, -EINVAL for a StreamID out
 * of range, -EEXIST for a known one, or the backend's error with the stream
 * not added
 */
int vsmmu_add_stream(struct vsmmu *s, uint32_t sid)
{
	int ret;

	if (sid >> s->sid_bits)
		return -EINVAL;
	if (stream_known(s, sid))
		return -EEXIST;
	ret = update_stream(s, sid);
	if (!ret)
		s->streams[sid / 64] |= 1ull << (sid % 64);
	return ret;
}

/**
 * vsmmu_remove_stream - A device disappears
 * @s: The vSMMU
 * @sid: Its StreamID; unknown ones are ignored
 *
 * The backend is not called: call this first, then detach the device.
 */
void vsmmu_remove_stream(struct vsmmu *s, uint32_t sid)
{
	if (!(sid >> s->sid_bits))
		s->streams[sid / 64] &= ~(1ull << (sid % 64));
}

/*
 * Commands
 */

/**
 * vsmmu_judge - What a VMM must do with the outcome of an array of commands
 * @n: Entries handed over, at least 1
 * @r: The answer
 *
 *	errno		report		code	-> action
 *	0, done == n	any		any	-> done
 *	EIO		VALID		ILL	-> stop at index with CERROR_ILL
 *	EIO		VALID		ABT	-> stop at done with CERROR_ABT
 *	EIO		VALID		ATC	-> the rest without its ATC_INVs, and
 *						   CERROR_ATC_INV_SYNC at the CMD_SYNC
 *	EIO		none, n == 1	-	-> stop with CERROR_ILL
 *	EIO		none, n > 1	-	-> one by one
 *	other		VALID		any	-> stop at done with CERROR_ABT
 *	other		none		-	-> stop at 0 with CERROR_ABT
 *
 * Why CERROR_ABT, "the command could not be fetched", for what is no fault of the
 * command (ETIMEDOUT, EFAULT, ENOMEM and so on): a driver answers CERROR_ILL by
 * skipping the command and CERROR_ABT by having it fetched again. A skipped
 * invalidation leaves a stale translation behind. ETIMEDOUT does not say which
 * command it was even if it comes with a code.
 *
 * Why stop at done and not at index with CERROR_ABT: entries in between were not
 * executed for certain. They run again, which does no harm.
 *
 * A kernel without the report (REPORT_VALID clear) may have counted entries in
 * entry_num that it had only read; only for an array of one entry is its answer
 * exact. The same goes for a report that contradicts itself.
 *
 * Return: the verdict; pure, no side effects
 */
struct vsmmu_verdict vsmmu_judge(uint32_t n, const struct vsmmu_report *r)
{
	struct vsmmu_verdict v = { VSMMU_ACT_STOP, 0, VSMMU_CERROR_ABT };
	bool valid = r->flags & VSMMU_REPORT_VALID;

	if (!r->err && r->done == n) {
		v.action = VSMMU_ACT_DONE;
		v.at = n;
		v.code = VSMMU_CERROR_NONE;
		return v;
	}

	if (valid && r->done < n)
		v.at = r->done;

	if (r->err != EIO)
		return v;

	if (valid) {
		switch (r->code) {
		case VSMMU_CERROR_ILL:
			v.code = VSMMU_CERROR_ILL;
			if (r->index != v.at && n > 1)
				v.action = VSMMU_ACT_SINGLE;
			return v;
		case VSMMU_CERROR_ATC_INV_SYNC:
			v.action = VSMMU_ACT_ATC;
			v.code = VSMMU_CERROR_ATC_INV_SYNC;
			return v;
		default:
			return v;
		}
	}

	v.code = VSMMU_CERROR_ILL;
	if (n > 1)
		v.action = VSMMU_ACT_SINGLE;
	return v;
}

static unsigned int opcode_of(const struct vsmmu_cmd *cmd)
{
	return le64toh(cmd->w[0]) & CMD_OPCODE;
}

static struct vsmmu_verdict run_array(struct vsmmu *s, uint32_t first, uint32_t n)
{
	struct vsmmu_report report = {};

	s->stats.arrays++;
	s->stats.forwarded += n;
	if (n > s->stats.largest)
		s->stats.largest = n;
	s->backend_ops->invalidate(s->backend, &s->array[first], n, &report);
	return vsmmu_judge(n, &report);
}

/* Drop the array's entries before @at, and all ATC_INV from there on */
static bool drop_atc(struct vsmmu *s, uint32_t at)
{
	bool dropped = false;
	uint32_t i, kept = 0;

	for (i = at; i < s->nr; i++) {
		if (opcode_of(&s->array[i]) == VSMMU_OP_ATC_INV) {
			dropped = true;
			continue;
		}
		s->array[kept] = s->array[i];
		s->pos[kept] = s->pos[i];
		kept++;
	}
	if (dropped)
		s->nr = kept;
	return dropped;
}

static bool flush_single(struct vsmmu *s)
{
	struct vsmmu_verdict v;
	uint32_t i;

	for (i = 0; i < s->nr; i++) {
		v = run_array(s, i, 1);
		if (v.action == VSMMU_ACT_DONE)
			continue;
		if (v.action == VSMMU_ACT_ATC &&
		    opcode_of(&s->array[i]) == VSMMU_OP_ATC_INV) {
			s->atc_failed = true;
			continue;
		}
		cmdq_error(s, s->pos[i],
			   v.action == VSMMU_ACT_ATC ? VSMMU_CERROR_ABT : v.code);
		return false;
	}
	return true;
}

/*
 * Execute the array. False if the guest's queue stopped: CMDQ_CONS is set then.
 * Each round but the last takes an ATC_INV out of the array, so that it ends.
 */
static bool flush(struct vsmmu *s)
{
	bool ok = true;

	while (ok && s->nr) {
		struct vsmmu_verdict v = run_array(s, 0, s->nr);

		switch (v.action) {
		case VSMMU_ACT_DONE:
			s->nr = 0;
			break;
		case VSMMU_ACT_ATC:
			if (drop_atc(s, v.at)) {
				s->atc_failed = true;
				break;
			}
			/* No ATC_INV there that could have timed out */
			cmdq_error(s, s->pos[v.at], VSMMU_CERROR_ABT);
			ok = false;
			break;
		case VSMMU_ACT_SINGLE:
			ok = flush_single(s);
			s->nr = 0;
			break;
		case VSMMU_ACT_STOP:
			cmdq_error(s, s->pos[v.at], v.code);
			ok = false;
			break;
		}
	}
	s->nr = 0;
	return ok;
}

enum handling {
	HANDLE_FORWARD,
	HANDLE_SKIP,
	HANDLE_STE,
	HANDLE_SYNC,
	HANDLE_ILLEGAL,
};

/*
 * Forwarded commands are not checked here beyond what depends on the guest's
 * view: the kernel checks them against the physical SMMU and says which is bad.
 */
static enum handling classify(const struct vsmmu *s, const struct vsmmu_cmd *cmd)
{
	uint64_t w0 = le64toh(cmd->w[0]);
	bool known = stream_known(s, w0 >> CMD_SID_SHIFT);

	switch (w0 & CMD_OPCODE) {
	case VSMMU_OP_PREFETCH_CONFIG:
	case VSMMU_OP_PREFETCH_ADDR:
		return w0 & CMD_SSEC ? HANDLE_ILLEGAL : HANDLE_SKIP;
	case VSMMU_OP_CFGI_STE:
	case VSMMU_OP_CFGI_STE_RANGE:
		return w0 & CMD_SSEC ? HANDLE_ILLEGAL : HANDLE_STE;
	case VSMMU_OP_CFGI_CD:
	case VSMMU_OP_CFGI_CD_ALL:
		/* No error for the SMMU, but the kernel has no vDEVICE for it */
		if (!known)
			return w0 & CMD_SSEC ? HANDLE_ILLEGAL : HANDLE_SKIP;
		return HANDLE_FORWARD;
	case VSMMU_OP_ATC_INV:
		if (!(s->idr[0] & IDR0_ATS))
			return HANDLE_ILLEGAL;
		return known ? HANDLE_FORWARD : HANDLE_SKIP;
	case VSMMU_OP_TLBI_NH_ALL:
	case VSMMU_OP_TLBI_NH_ASID:
	case VSMMU_OP_TLBI_NH_VA:
	case VSMMU_OP_TLBI_NH_VAA:
	case VSMMU_OP_TLBI_NSNH_ALL:
		return HANDLE_FORWARD;
	case VSMMU_OP_SYNC:
		if ((w0 >> CMD_SYNC_CS_SHIFT & CMD_SYNC_CS) == CMD_SYNC_CS_RESERVED)
			return HANDLE_ILLEGAL;
		return HANDLE_SYNC;
	default:
		return HANDLE_ILLEGAL;
	}
}

static int do_cfgi_ste(struct vsmmu *s, const struct vsmmu_cmd *cmd)
{
	uint64_t w0 = le64toh(cmd->w[0]);
	uint64_t first = w0 >> CMD_SID_SHIFT;
	uint64_t last = first;

	/* Without SMMUEN no STE is used; enabling it reads them all */
	if (!(s->cr0 & VSMMU_CR0_SMMUEN))
		return 0;

	if ((w0 & CMD_OPCODE) == VSMMU_OP_CFGI_STE_RANGE) {
		uint64_t span = 2ull << (le64toh(cmd->w[1]) & CMD_RANGE);

		first &= ~(span - 1);
		last = first + span - 1;
	}
	return update_streams(s, first, last);
}

/* Execute a command that is not forwarded, after all before it */
static enum vsmmu_cerror emulate(struct vsmmu *s, const struct vsmmu_cmd *cmd,
				 enum handling handling)
{
	switch (handling) {
	case HANDLE_STE:
		return do_cfgi_ste(s, cmd) ? VSMMU_CERROR_ABT : VSMMU_CERROR_NONE;
	case HANDLE_SYNC:
		if (s->atc_failed) {
			s->atc_failed = false;
			return VSMMU_CERROR_ATC_INV_SYNC;
		}
		return VSMMU_CERROR_NONE;
	default:
		return VSMMU_CERROR_ILL;
	}
}

static bool wants_irq(const struct vsmmu_cmd *cmd)
{
	return (le64toh(cmd->w[0]) >> CMD_SYNC_CS_SHIFT & CMD_SYNC_CS) == CMD_SYNC_CS_IRQ;
}

static void run_cmdq(struct vsmmu *s)
{
	struct queue q = queue_of(s->cmdq_base, s->cmdq_log2, sizeof(struct vsmmu_cmd));
	uint32_t prod = queue_position(&q, s->cmdq_prod);
	uint32_t rd = queue_position(&q, s->cmdq_cons);

	if (!(s->cr0 & VSMMU_CR0_CMDQEN) ||
	    gerror_active(s, VSMMU_GERROR_CMDQ_ERR))
		return;

	/* More than the queue holds: the guest has lost its way, wait for a better PROD */
	if (queue_count(&q, prod, rd) > 1u << q.log2)
		return;

	/* The entries are read after the index that announced them */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);

	while (rd != prod) {
		const uint64_t *entry = queue_entry(s, &q, rd, sizeof(struct vsmmu_cmd));
		struct vsmmu_cmd cmd;
		enum handling handling;
		enum vsmmu_cerror code;

		if (!entry) {
			if (flush(s))
				cmdq_error(s, rd, VSMMU_CERROR_ABT);
			return;
		}
		copy_from_guest(cmd.w, entry, 2);
		handling = classify(s, &cmd);

		if (handling == HANDLE_FORWARD) {
			s->array[s->nr] = cmd;
			s->pos[s->nr] = rd;
			s->nr++;
		} else if (handling != HANDLE_SKIP) {
			if (!flush(s))
				return;
			code = emulate(s, &cmd, handling);
			if (code != VSMMU_CERROR_NONE) {
				cmdq_error(s, rd, code);
				return;
			}
		}
		rd = queue_next(&q, rd);
		s->stats.commands++;
		/* What runs on other vCPUs may be waiting for these already */
		if (!s->nr)
			__atomic_store_n(&s->cmdq_cons, rd, __ATOMIC_RELEASE);
		if (handling == HANDLE_SYNC && wants_irq(&cmd))
			raise_irq(s, VSMMU_IRQ_CMDSYNC);
	}
	if (flush(s))
		__atomic_store_n(&s->cmdq_cons, rd, __ATOMIC_RELEASE);
}

/*
 * Registers
 */

static void write_cr0(struct vsmmu *s, uint32_t value)
{
	uint32_t changed;

	value &= VSMMU_CR0_SMMUEN | VSMMU_CR0_EVENTQEN | VSMMU_CR0_CMDQEN |
		 VSMMU_CR0_ATSCHK;
	if (!(s->idr[0] & IDR0_ATS))
		value &= ~VSMMU_CR0_ATSCHK;
	changed = s->cr0 ^ value;
	s->cr0 = value;

	if (changed & VSMMU_CR0_SMMUEN)
		update_streams(s, 0, UINT32_MAX);
	if (changed & VSMMU_CR0_CMDQEN)
		s->atc_failed = false;
	run_cmdq(s);
}

static void write_gbpa(struct vsmmu *s, uint32_t value)
{
	if (!(value & VSMMU_GBPA_UPDATE))
		return;
	/* The update completes at once */
	s->gbpa = value & VSMMU_GBPA_ABORT;
	if (!(s->cr0 & VSMMU_CR0_SMMUEN))
		update_streams(s, 0, UINT32_MAX);
}

static void write_gerrorn(struct vsmmu *s, uint32_t value)
{
	uint32_t ack = (value ^ s->gerrorn) & (s->gerror ^ s->gerrorn) & GERROR_KNOWN;

	s->gerrorn ^= ack;
	if (ack & VSMMU_GERROR_CMDQ_ERR)
		run_cmdq(s);
}

static void write_half(uint64_t *reg, uint64_t offset, uint64_t value, unsigned int size)
{
	if (size == 8)
		*reg = value;
	else if (offset & 4)
		*reg = (*reg & UINT32_MAX) | value << 32;
	else
		*reg = (*reg & ~(uint64_t)UINT32_MAX) | (value & UINT32_MAX);
}

static uint32_t cmdq_cons_mask(void)
{
	return GENMASK64(VSMMU_QUEUE_LOG2_MAX, 0);
}

/**
 * vsmmu_mmio_write - A guest's write to the register frames
 * @s: The vSMMU
 * @offset: From the start of page 0
 * @value: What it writes
 * @size: 4 or 8 bytes, aligned; others and unknown registers are ignored
 *
 * Commands run before this returns: CMDQ_PROD, CR0 and GERRORN may take as long
 * as the backend takes.
 */
void vsmmu_mmio_write(struct vsmmu *s, uint64_t offset, uint64_t value,
		      unsigned int size)
{
	bool smmu_off = !(s->cr0 & VSMMU_CR0_SMMUEN);
	bool cmdq_off = !(s->cr0 & VSMMU_CR0_CMDQEN);
	bool eventq_off = !(s->cr0 & VSMMU_CR0_EVENTQEN);

	if ((size != 4 && size != 8) || offset % size)
		return;

	switch (offset) {
	case VSMMU_CR0:
		write_cr0(s, value);
		break;
	case VSMMU_CR1:
		s->cr1 = value;
		break;
	case VSMMU_CR2:
		s->cr2 = value;
		break;
	case VSMMU_GBPA:
		write_gbpa(s, value);
		break;
	case VSMMU_IRQ_CTRL:
		s->irq_ctrl = value & (VSMMU_IRQ_CTRL_GERROR | VSMMU_IRQ_CTRL_EVENTQ);
		break;
	case VSMMU_GERRORN:
		write_gerrorn(s, value);
		break;
	case VSMMU_STRTAB_BASE:
	case VSMMU_STRTAB_BASE + 4:
		if (smmu_off)
			write_half(&s->strtab_base, offset, value, size);
		break;
	case VSMMU_STRTAB_BASE_CFG:
		if (smmu_off)
			s->strtab_base_cfg = value;
		break;
	case VSMMU_CMDQ_BASE:
	case VSMMU_CMDQ_BASE + 4:
		if (cmdq_off)
			write_half(&s->cmdq_base, offset, value, size);
		break;
	case VSMMU_CMDQ_PROD:
		s->cmdq_prod = value & cmdq_cons_mask();
		run_cmdq(s);
		break;
	case VSMMU_CMDQ_CONS:
		if (cmdq_off)
			s->cmdq_cons = value & cmdq_cons_mask();
		break;
	case VSMMU_EVENTQ_BASE:
	case VSMMU_EVENTQ_BASE + 4:
		if (eventq_off)
			write_half(&s->eventq_base, offset, value, size);
		break;
	case VSMMU_EVENTQ_PROD:
		if (eventq_off)
			s->eventq_prod = value;
		break;
	case VSMMU_EVENTQ_CONS:
		s->eventq_cons = value;
		break;
	}
}

static uint64_t read_half(uint64_t reg, uint64_t offset, unsigned int size)
{
	if (size == 8)
		return reg;
	return offset & 4 ? reg >> 32 : reg & UINT32_MAX;
}

/**
 * vsmmu_mmio_read - A guest's read of the register frames
 * @s: The vSMMU
 * @offset: From the start of page 0
 * @size: 4 or 8 bytes, aligned
 *
 * Return: the value, 0 for what is not there
 */
uint64_t vsmmu_mmio_read(struct vsmmu *s, uint64_t offset, unsigned int size)
{
	if ((size != 4 && size != 8) || offset % size)
		return 0;

	switch (offset) {
	case VSMMU_IDR0 ... VSMMU_IDR5:
		return s->idr[offset / 4];
	case VSMMU_IIDR:
		return s->iidr;
	case VSMMU_AIDR:
		return s->aidr;
	case VSMMU_CR0:
	case VSMMU_CR0ACK:
		return s->cr0;
	case VSMMU_CR1:
		return s->cr1;
	case VSMMU_CR2:
		return s->cr2;
	case VSMMU_GBPA:
		return s->gbpa;
	case VSMMU_IRQ_CTRL:
	case VSMMU_IRQ_CTRLACK:
		return s->irq_ctrl;
	case VSMMU_GERROR:
		return s->gerror;
	case VSMMU_GERRORN:
		return s->gerrorn;
	case VSMMU_STRTAB_BASE:
	case VSMMU_STRTAB_BASE + 4:
		return read_half(s->strtab_base, offset, size);
	case VSMMU_STRTAB_BASE_CFG:
		return s->strtab_base_cfg;
	case VSMMU_CMDQ_BASE:
	case VSMMU_CMDQ_BASE + 4:
		return read_half(s->cmdq_base, offset, size);
	case VSMMU_CMDQ_PROD:
		return s->cmdq_prod;
	case VSMMU_CMDQ_CONS:
		return s->cmdq_cons;
	case VSMMU_EVENTQ_BASE:
	case VSMMU_EVENTQ_BASE + 4:
		return read_half(s->eventq_base, offset, size);
	case VSMMU_EVENTQ_PROD:
		return s->eventq_prod;
	case VSMMU_EVENTQ_CONS:
		return s->eventq_cons;
	default:
		return 0;
	}
}

/*
 * Life and death
 */

/*
 * The guest's SMMU has stage 1 only, no virtual machines, no hypervisor, no page
 * requests, no MSIs and events of its own, no stalls, linear stream tables.
 */
static void set_id_registers(struct vsmmu *s, const struct vsmmu_config *config)
{
	const uint32_t *host = config->host_idr;
	uint32_t ssid_bits = host[1] >> IDR1_SSIDSIZE_SHIFT & IDR1_SSIDSIZE;

	if (ssid_bits > config->ssid_bits_max)
		ssid_bits = config->ssid_bits_max;

	s->idr[0] = (host[0] & IDR0_KEEP) | IDR0_S1P | IDR0_STALL_TERMINATE;
	if (config->ats)
		s->idr[0] |= host[0] & IDR0_ATS;
	s->idr[1] = config->sid_bits | ssid_bits << IDR1_SSIDSIZE_SHIFT |
		    config->eventq_log2 << IDR1_EVENTQS_SHIFT |
		    config->cmdq_log2 << IDR1_CMDQS_SHIFT;
	s->idr[3] = host[3] & IDR3_KEEP;
	s->idr[5] = host[5] & IDR5_KEEP;
	s->iidr = config->host_iidr;
	s->aidr = config->host_aidr;
}

static bool config_sane(const struct vsmmu_config *config)
{
	return config->sid_bits >= 1 && config->sid_bits <= 20 &&
	       config->cmdq_log2 >= 1 && config->cmdq_log2 <= VSMMU_QUEUE_LOG2_MAX &&
	       config->eventq_log2 >= 1 && config->eventq_log2 <= VSMMU_QUEUE_LOG2_MAX &&
	       (config->host_idr[0] & IDR0_S1P);
}

/**
 * vsmmu_create - Make a vSMMU in its reset state
 * @config: Choices; copied
 * @backend_ops: The way to the physical SMMU
 * @backend: Passed to @backend_ops
 * @machine_ops: Guest memory and interrupts
 * @machine: Passed to @machine_ops
 *
 * Return: the vSMMU, or NULL with errno EINVAL or ENOMEM
 */
struct vsmmu *vsmmu_create(const struct vsmmu_config *config,
			   const struct vsmmu_backend_ops *backend_ops,
			   void *backend,
			   const struct vsmmu_machine_ops *machine_ops,
			   void *machine)
{
	struct vsmmu *s;

	if (!config_sane(config)) {
		errno = EINVAL;
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->backend_ops = backend_ops;
	s->backend = backend;
	s->machine_ops = machine_ops;
	s->machine = machine;
	s->sid_bits = config->sid_bits;
	s->cmdq_log2 = config->cmdq_log2;
	s->eventq_log2 = config->eventq_log2;
	set_id_registers(s, config);

	s->array = calloc(1u << s->cmdq_log2, sizeof(*s->array));
	s->pos = calloc(1u << s->cmdq_log2, sizeof(*s->pos));
	s->streams = calloc(((1u << s->sid_bits) + 63) / 64, sizeof(*s->streams));
	if (!s->array || !s->pos || !s->streams) {
		vsmmu_destroy(s);
		errno = ENOMEM;
		return NULL;
	}
	return s;
}

/**
 * vsmmu_destroy - Free a vSMMU; the backend is not called
 * @s: The vSMMU or NULL
 */
void vsmmu_destroy(struct vsmmu *s)
{
	if (!s)
		return;
	free(s->streams);
	free(s->pos);
	free(s->array);
	free(s);
}

/**
 * vsmmu_reset - Reset of the guest's machine
 * @s: The vSMMU
 *
 * All streams bypass stage 1 again. The vEVENTQ lives on and so does the count of
 * its sequence numbers; what it still holds is from before the reset, the VMM
 * reads and drops it through vsmmu_feed_events(), the queue being disabled.
 */
void vsmmu_reset(struct vsmmu *s)
{
	s->cr0 = 0;
	s->cr1 = 0;
	s->cr2 = 0;
	s->gbpa = 0;
	s->irq_ctrl = 0;
	s->gerror = 0;
	s->gerrorn = 0;
	s->strtab_base = 0;
	s->strtab_base_cfg = 0;
	s->cmdq_base = 0;
	s->cmdq_prod = 0;
	s->cmdq_cons = 0;
	s->eventq_base = 0;
	s->eventq_prod = 0;
	s->eventq_cons = 0;
	s->atc_failed = false;
	s->nr = 0;
	update_streams(s, 0, UINT32_MAX);
}

/**
 * vsmmu_get_stats - The counters
 * @s: The vSMMU
 *
 * Return: a pointer that stays valid, whose target changes
 */
const struct vsmmu_stats *vsmmu_get_stats(const struct vsmmu *s)
{
	return &s->stats;
}
