// SPDX-License-Identifier: GPL-2.0-only
/*
 * smmu-decode: Arm SMMUv3 commands, event records, STEs and error registers in
 * words
 *
 * A record is an array of 64-bit words. What is in it is in tables: a row for each
 * command, event and kind of STE, with a list of fields by bit number, counted
 * through all words as the figures of IHI 0070 do (bit 64 is bit 0 of word 1).
 * The same tables tell which bits are RES0: those that no field has.
 *
 * Text is passed through line by line, and a line that has something to decode is
 * followed by what it says: lines of words in this program's own syntax, what the
 * driver prints into the kernel log, and its tracepoints.
 *
 * Not here: what depends on the ID registers of an SMMU. A bit that only some of
 * them have counts as a field.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define MAX_WORDS	8

/* IOMMU_HWPT_INVALIDATE_REPORT_HW of <linux/iommufd.h> */
#define REPORT_HW	2u

/**
 * enum show - How a field is shown
 * @SHOW_HEX: Its name and the number
 * @SHOW_DEC: The same, decimal
 * @SHOW_ADDR: The same, as an address: bits below the field are 0
 * @SHOW_FLAG: Its name, if it is set
 * @SHOW_NAME: Its name and the name of the value
 * @SHOW_WORD: The name of the value alone
 * @SHOW_IF: Or-ed in: not if it is 0
 */
enum show {
	SHOW_HEX,
	SHOW_DEC,
	SHOW_ADDR,
	SHOW_FLAG,
	SHOW_NAME,
	SHOW_WORD,
	SHOW_IF = 0x10,
};

/**
 * struct field - Some bits of a record
 * @name: As the architecture calls it
 * @hi: Highest bit, or 0 if there is just one
 * @lo: Lowest bit, in the same word
 * @show: enum show
 * @when: The field means something only if this bit is set; 0 for always
 * @values: Names, for %SHOW_NAME and %SHOW_WORD
 */
struct field {
	const char *name;
	unsigned short hi;
	unsigned short lo;
	unsigned char show;
	unsigned char when;
	const char *const *values;
};

/**
 * struct record - A kind of record
 * @id: Its number, word 0 bits 7:0 for commands and events
 * @name: As the architecture calls it
 * @fields: What is in it, but for the number; ends with a field without a name.
 *          NULL if nothing is known of them here.
 * @more: More of them, optional
 * @extra: Prints what @fields doesn't say, optional
 * @mask: Bits of words 0 and 1 that @extra is about
 * @partial: There may be more fields than here
 */
struct record {
	unsigned int id;
	const char *name;
	const struct field *fields;
	const struct field *more;
	void (*extra)(const uint64_t *w);
	uint64_t mask[2];
	bool partial;
};

#define FIELDS(...)		((const struct field[]){ __VA_ARGS__, END })
#define HEX(n, h, l)		{ n, h, l, SHOW_HEX, 0, NULL }
#define HEX_IF(n, h, l)		{ n, h, l, SHOW_HEX | SHOW_IF, 0, NULL }
#define HEX_WHEN(n, h, l, b)	{ n, h, l, SHOW_HEX, b, NULL }
#define DEC(n, h, l)		{ n, h, l, SHOW_DEC, 0, NULL }
#define DEC_IF(n, h, l)		{ n, h, l, SHOW_DEC | SHOW_IF, 0, NULL }
#define DEC_WHEN(n, h, l, b)	{ n, h, l, SHOW_DEC, b, NULL }
#define ADDR(n, h, l)		{ n, h, l, SHOW_ADDR, 0, NULL }
#define ADDR_IF(n, h, l)	{ n, h, l, SHOW_ADDR | SHOW_IF, 0, NULL }
#define ADDR_WHEN(n, h, l, b)	{ n, h, l, SHOW_ADDR, b, NULL }
#define FLAG(n, b)		{ n, 0, b, SHOW_FLAG, 0, NULL }
#define NAME(n, h, l, v)	{ n, h, l, SHOW_NAME, 0, v }
#define NAME_IF(n, h, l, v)	{ n, h, l, SHOW_NAME | SHOW_IF, 0, v }
#define NAME_WHEN(n, h, l, v, b) { n, h, l, SHOW_NAME, b, v }
#define WORD(h, l, v)		{ "", h, l, SHOW_WORD, 0, v }
#define END			{ NULL, 0, 0, 0, 0, NULL }

static const char *const tg_names[] = { NULL, "4K", "16K", "64K" };

static const char *const cs_names[] = { "none", "interrupt or MSI", "SEV", "Reserved" };

static const char *const resume_names[] = {
	"terminate", "retry", "terminate with abort", "retry"
};

static const char *const pri_names[] = { "failure", "invalid", "success", "ILLEGAL" };

static const char *const rnw_names[] = { "write", "read" };

static const char *const access_names[] = {
	"write, data, unprivileged", "write, data, privileged",
	"write, instruction, unprivileged", "write, instruction, privileged",
	"read, data, unprivileged", "read, data, privileged",
	"read, instruction, unprivileged", "read, instruction, privileged"
};

static const char *const stage_names[] = { "stage 1", "stage 2" };

static const char *const class_names[] = {
	"CD", "TT (translation table)", "IN (input address)", "Reserved"
};

static const char *const config_names[] = {
	"0b000 (abort)", "0b001 (abort)", "0b010 (abort)", "0b011 (abort)",
	"0b100 (bypass)", "0b101 (stage 1)", "0b110 (stage 2)", "0b111 (stages 1 and 2)"
};

static const char *const s1fmt_names[] = {
	"linear", "two levels of 4K", "two levels of 64K", "Reserved (as linear)"
};

static const char *const s1dss_names[] = {
	"terminate", "bypass stage 1", "use CD 0", "Reserved (as terminate)"
};

static const char *const cache_names[] = {
	"non-cacheable", "write-back read-allocate", "write-through", "write-back"
};

static const char *const share_names[] = {
	"non-shareable", "Reserved", "outer", "inner"
};

static const char *const valid_names[] = { "V 0 (invalid)", "V" };

static const char *const eats_names[] = {
	"none", "full ATS", "split-stage ATS", "full ATS with DPT"
};

static const char *const strw_names[] = { "EL1", "Reserved", "EL2", "EL3 or Reserved" };

static const char *const shcfg_names[] = {
	"non-shareable", "incoming", "outer", "inner"
};

static const char *const error_names[] = {
	"CERROR_NONE", "CERROR_ILL", "CERROR_ABT", "CERROR_ATC_INV_SYNC"
};

static const char *const error_texts[] = {
	"no error", "an illegal command",
	"the command could not be fetched",
	"a CMD_SYNC met ATC invalidations that timed out"
};

/*
 * Output: a line of things with commas between them
 */

static bool line_started;

static void PRINTF_LIKE(1, 2) say(const char *format, ...)
{
	va_list ap;

	if (line_started)
		fputs(", ", stdout);
	line_started = true;
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
}

static void start_line(const char *head)
{
	printf("%s: ", head);
	line_started = false;
}

static void end_line(void)
{
	if (!line_started)
		fputs("no fields", stdout);
	putchar('\n');
}

/* Bits @hi to @lo; @hi is 0 for bit @lo alone */
static uint64_t get(const uint64_t *w, unsigned int hi, unsigned int lo)
{
	unsigned int width = hi > lo ? hi - lo + 1 : 1;
	uint64_t v = w[lo / 64] >> (lo % 64);

	return width == 64 ? v : v & ((1ull << width) - 1);
}

/* A number of bytes that is a power of two or a multiple of one */
static const char *size_text(unsigned int log2)
{
	static char text[24];
	static const char unit[] = "BKMGTPE";

	snprintf(text, sizeof(text), "%u %c%s", 1u << (log2 % 10), unit[log2 / 10],
		 log2 < 10 ? "" : "iB");
	return text;
}

/*
 * Commands: IHI 0070, sections 4.2 to 4.7
 */

/* NUM, SCALE, TG, TTL, and what they are the range of */
static void say_range(const uint64_t *w)
{
	unsigned int tg = get(w, 75, 74), ttl = get(w, 73, 72);
	unsigned int num = get(w, 16, 12), scale = get(w, 25, 20);
	unsigned int granule = 10 + 2 * tg;

	if (!tg) {
		if (num || scale || ttl)
			say("NUM %u SCALE %u TTL %u without TG: RES0", num, scale, ttl);
		return;
	}
	if (ttl)
		say("TTL %u", ttl);
	if (!num && !scale && !ttl)
		say("no range and no level: Reserved");
	else if (!num && !scale)
		say("TG %s", tg_names[tg]);
	else
		say("TG %s, (%u + 1) * 2^%u pages of %s", tg_names[tg], num, scale,
		    size_text(granule));
}

static void say_atc(const uint64_t *w)
{
	unsigned int size = get(w, 69, 64);
	uint64_t address = w[1] & ~0xfffull;

	if (size == 52)
		say("all addresses");
	else if (size > 52)
		say("Size %u: out of range", size);
	else
		say("%s at 0x%llx", size_text(12 + size),
		    (unsigned long long)address >> (12 + size) << (12 + size));
}

static void say_cfgi_range(const uint64_t *w)
{
	unsigned int range = get(w, 68, 64);
	unsigned long long mask = (2ull << range) - 1;
	unsigned long long sid = get(w, 63, 32);

	if (range == 31)
		say("all StreamIDs");
	else
		say("StreamIDs 0x%llx to 0x%llx", sid & ~mask, sid | mask);
}

#define F_SSEC		FLAG("SSec", 10)
#define F_SID		HEX("StreamID", 63, 32)
/* Valid if bit SSV is set */
#define F_SSID_SSV	HEX_WHEN("SubstreamID", 31, 12, 11)
#define F_VMID		HEX("VMID", 47, 32)
#define F_ASID		HEX("ASID", 63, 48)
#define F_LEAF		FLAG("Leaf", 64)
#define F_TTL128	FLAG("TTL128", 71)
#define F_VA		ADDR("address", 127, 76)
/* NUM and SCALE, TG and TTL */
#define RANGE_MASK	{ 0x3f1f000, 0xf00 }
#define NO_MASK		{ 0, 0 }

static const struct record commands[] = {
	{ 0x01, "PREFETCH_CONFIG", FIELDS(F_SID, F_SSID_SSV, F_SSEC), NULL, NULL, NO_MASK,
	  false },
	{ 0x02, "PREFETCH_ADDR", FIELDS(F_SID, F_SSID_SSV, F_SSEC, DEC("Size", 68, 64), F_VA),
	  NULL, NULL, NO_MASK, true },
	{ 0x03, "CFGI_STE", FIELDS(F_SID, F_SSEC, F_LEAF), NULL, NULL, NO_MASK, false },
	{ 0x04, "CFGI_STE_RANGE", FIELDS(F_SSEC), NULL, say_cfgi_range,
	  { 0xffffffff00000000, 0x1f }, false },
	{ 0x05, "CFGI_CD", FIELDS(F_SID, HEX("SubstreamID", 31, 12), F_SSEC, F_LEAF), NULL,
	  NULL, NO_MASK, false },
	{ 0x06, "CFGI_CD_ALL", FIELDS(F_SID, F_SSEC), NULL, NULL, NO_MASK, false },
	{ 0x07, "CFGI_VMS_PIDM", FIELDS(F_VMID, F_SSEC), NULL, NULL, NO_MASK, true },
	{ 0x10, "TLBI_NH_ALL", FIELDS(F_VMID), NULL, NULL, NO_MASK, false },
	{ 0x11, "TLBI_NH_ASID", FIELDS(F_VMID, F_ASID), NULL, NULL, NO_MASK, false },
	{ 0x12, "TLBI_NH_VA", FIELDS(F_VMID, F_ASID, F_LEAF, F_TTL128, F_VA), NULL, say_range,
	  RANGE_MASK, false },
	{ 0x13, "TLBI_NH_VAA", FIELDS(F_VMID, F_LEAF, F_TTL128, F_VA), NULL, say_range,
	  RANGE_MASK, false },
	{ 0x18, "TLBI_EL3_ALL", FIELDS(END), NULL, NULL, NO_MASK, true },
	{ 0x1a, "TLBI_EL3_VA", FIELDS(F_LEAF, F_TTL128, F_VA), NULL, say_range, RANGE_MASK,
	  true },
	{ 0x20, "TLBI_EL2_ALL", FIELDS(END), NULL, NULL, NO_MASK, true },
	{ 0x21, "TLBI_EL2_ASID", FIELDS(F_ASID), NULL, NULL, NO_MASK, true },
	{ 0x22, "TLBI_EL2_VA", FIELDS(F_ASID, F_LEAF, F_TTL128, F_VA), NULL, say_range,
	  RANGE_MASK, true },
	{ 0x23, "TLBI_EL2_VAA", FIELDS(F_LEAF, F_TTL128, F_VA), NULL, say_range, RANGE_MASK,
	  true },
	{ 0x28, "TLBI_S12_VMALL", FIELDS(F_VMID), NULL, NULL, NO_MASK, false },
	{ 0x2a, "TLBI_S2_IPA", FIELDS(F_VMID, F_LEAF, F_TTL128, ADDR("IPA", 119, 76)), NULL,
	  say_range, RANGE_MASK, false },
	{ 0x30, "TLBI_NSNH_ALL", FIELDS(END), NULL, NULL, NO_MASK, false },
	{ 0x40, "ATC_INV", FIELDS(F_SID, F_SSID_SSV, FLAG("Global", 9)), NULL, say_atc,
	  { 0, 0xfffffffffffff03f }, false },
	{ 0x41, "PRI_RESP", FIELDS(F_SID, F_SSID_SSV, HEX("PRGIndex", 72, 64),
				   NAME("Resp", 77, 76, pri_names)),
	  NULL, NULL, NO_MASK, true },
	{ 0x44, "RESUME", FIELDS(F_SID, HEX("STAG", 79, 64), WORD(13, 12, resume_names),
				 F_SSEC),
	  NULL, NULL, NO_MASK, false },
	{ 0x45, "STALL_TERM", FIELDS(F_SID, F_SSEC), NULL, NULL, NO_MASK, false },
	{ 0x46, "SYNC", FIELDS(NAME("CS", 13, 12, cs_names), HEX_IF("MSH", 23, 22),
			       HEX_IF("MSIAttr", 27, 24), HEX_IF("MSIData", 63, 32),
			       ADDR_IF("MSIAddress", 119, 66)),
	  NULL, NULL, NO_MASK, false },
	/* Of the Secure state, and of devices' permission tables: names alone */
	{ 0x50, "TLBI_S_EL2_ALL", NULL, NULL, NULL, NO_MASK, true },
	{ 0x51, "TLBI_S_EL2_ASID", NULL, NULL, NULL, NO_MASK, true },
	{ 0x52, "TLBI_S_EL2_VA", NULL, NULL, NULL, NO_MASK, true },
	{ 0x53, "TLBI_S_EL2_VAA", NULL, NULL, NULL, NO_MASK, true },
	{ 0x58, "TLBI_S_S12_VMALL", NULL, NULL, NULL, NO_MASK, true },
	{ 0x5a, "TLBI_S_S2_IPA", NULL, NULL, NULL, NO_MASK, true },
	{ 0x60, "TLBI_SNH_ALL", NULL, NULL, NULL, NO_MASK, true },
	{ 0x70, "DPTI_ALL", NULL, NULL, NULL, NO_MASK, true },
	{ 0x73, "DPTI_PA", NULL, NULL, NULL, NO_MASK, true },
};

/*
 * Event records: IHI 0070, section 7.3
 */

#define F_ACCESS	WORD(99, 97, access_names)
#define F_STALL		HEX_WHEN("stalled with STAG", 79, 64, 95)
#define F_S2		WORD(103, 103, stage_names)
#define F_CLASS		NAME("CLASS", 105, 104, class_names)
#define F_INPUT		ADDR("address", 191, 128)
#define F_INPUT_4K	ADDR("address", 191, 140)
#define F_IPA		ADDR_WHEN("IPA", 247, 204, 103)
#define F_IMPDEF	HEX_IF("IMPL_DEF", 127, 112)
#define F_FETCH		ADDR("FetchAddr", 247, 195)
#define F_REASON	HEX_IF("Reason", 79, 64)
#define F_REASON_LONG	HEX_IF("Reason", 95, 64)
#define F_GPCF		FLAG("GPCF", 80)
#define EVENT(id, name, fields)	{ id, name, fields, NULL, NULL, NO_MASK, false }
#define PARTIAL(id, name, fields) { id, name, fields, NULL, NULL, NO_MASK, true }

static const struct record events[] = {
	PARTIAL(0x01, "F_UUT", FIELDS(F_SID, F_SSID_SSV, F_ACCESS, F_INPUT, F_REASON)),
	EVENT(0x02, "C_BAD_STREAMID", FIELDS(F_SID, F_SSID_SSV)),
	PARTIAL(0x03, "F_STE_FETCH", FIELDS(F_SID, F_SSID_SSV, F_FETCH, F_REASON, F_GPCF)),
	EVENT(0x04, "C_BAD_STE", FIELDS(F_SID, F_SSID_SSV)),
	EVENT(0x05, "F_BAD_ATS_TREQ",
	      FIELDS(F_SID, F_SSID_SSV, FLAG("R", 95), FLAG("W", 94), FLAG("X", 93),
		     FLAG("P", 92), DEC("Span", 67, 64), F_INPUT_4K)),
	EVENT(0x06, "F_STREAM_DISABLED", FIELDS(F_SID)),
	EVENT(0x07, "F_TRANSL_FORBIDDEN", FIELDS(F_SID, WORD(0, 99, rnw_names), F_INPUT)),
	EVENT(0x08, "C_BAD_SUBSTREAMID", FIELDS(F_SID, HEX("SubstreamID", 31, 12))),
	PARTIAL(0x09, "F_CD_FETCH", FIELDS(F_SID, F_SSID_SSV, F_FETCH, F_REASON, F_GPCF)),
	EVENT(0x0a, "C_BAD_CD", FIELDS(F_SID, F_SSID_SSV)),
	PARTIAL(0x0b, "F_WALK_EABT",
		FIELDS(F_SID, F_SSID_SSV, F_ACCESS, F_S2, F_CLASS, F_INPUT, F_FETCH, F_REASON,
		       F_GPCF)),
	EVENT(0x10, "F_TRANSLATION",
	      FIELDS(F_SID, F_SSID_SSV, F_ACCESS, F_S2, F_CLASS, F_INPUT, F_IPA, F_STALL,
		     FLAG("NSIPA", 100), F_IMPDEF)),
	EVENT(0x11, "F_ADDR_SIZE",
	      FIELDS(F_SID, F_SSID_SSV, F_ACCESS, F_S2, F_CLASS, F_INPUT, F_IPA, F_STALL,
		     FLAG("NSIPA", 100), F_IMPDEF)),
	EVENT(0x12, "F_ACCESS",
	      FIELDS(F_SID, F_SSID_SSV, F_ACCESS, F_S2, F_CLASS, F_INPUT, F_IPA, F_STALL,
		     FLAG("NSIPA", 100), F_IMPDEF)),
	EVENT(0x13, "F_PERMISSION",
	      FIELDS(F_SID, F_SSID_SSV, F_ACCESS, F_S2, F_CLASS, F_INPUT, F_IPA, F_STALL,
		     FLAG("NSIPA", 100), NAME_IF("TTRnW", 0, 108, rnw_names),
		     HEX_IF("bits 111:109", 111, 109), HEX_IF("bits 107:106", 107, 106),
		     F_IMPDEF)),
	PARTIAL(0x20, "F_TLB_CONFLICT",
		FIELDS(F_SID, F_SSID_SSV, F_ACCESS, F_S2, F_INPUT, F_IPA, F_REASON_LONG)),
	PARTIAL(0x21, "F_CFG_CONFLICT", FIELDS(F_SID, F_SSID_SSV, F_REASON_LONG)),
	PARTIAL(0x24, "E_PAGE_REQUEST",
		FIELDS(F_SID, F_SSID_SSV, HEX("permissions", 103, 97), DEC("Span", 115, 108),
		       F_INPUT_4K)),
	PARTIAL(0x25, "F_VMS_FETCH", FIELDS(F_SID, F_SSID_SSV, F_FETCH, F_REASON, F_GPCF)),
};

/*
 * STEs: IHI 0070, section 5.2
 */

/* The fields of a stage mean something if its bit of Config is 1 */
#define STAGE1		1
#define STAGE2		2

static const struct field ste_guest_fields[] = {
	WORD(0, 0, valid_names), NAME("Config", 3, 1, config_names),
	NAME_WHEN("S1Fmt", 5, 4, s1fmt_names, STAGE1),
	ADDR_WHEN("S1ContextPtr", 55, 6, STAGE1),
	DEC_WHEN("S1CDMax", 63, 59, STAGE1),
	NAME_WHEN("S1DSS", 65, 64, s1dss_names, STAGE1),
	NAME_WHEN("S1CIR", 67, 66, cache_names, STAGE1),
	NAME_WHEN("S1COR", 69, 68, cache_names, STAGE1),
	NAME_WHEN("S1CSH", 71, 70, share_names, STAGE1),
	FLAG("S1STALLD", 91), NAME("EATS", 93, 92, eats_names), END
};

static const struct field ste_host_fields[] = {
	DEC_IF("CONT", 80, 77), FLAG("DRE", 76), FLAG("DCP", 81), FLAG("PPAR", 82),
	FLAG("MEV", 83), FLAG("S1PIE", 88), FLAG("S2FWB", 89), FLAG("S1MPAM", 90),
	NAME_IF("STRW", 95, 94, strw_names), HEX_IF("MemAttr", 99, 96),
	NAME("SHCFG", 109, 108, shcfg_names), HEX_IF("NSCFG", 111, 110),
	HEX_IF("PRIVCFG", 113, 112), HEX_IF("INSTCFG", 115, 114),
	HEX("S2VMID", 143, 128), DEC_WHEN("S2T0SZ", 165, 160, STAGE2),
	DEC_WHEN("S2SL0", 167, 166, STAGE2), DEC_WHEN("S2IR0", 169, 168, STAGE2),
	DEC_WHEN("S2OR0", 171, 170, STAGE2), DEC_WHEN("S2SH0", 173, 172, STAGE2),
	DEC_WHEN("S2TG", 175, 174, STAGE2), DEC_WHEN("S2PS", 178, 176, STAGE2),
	FLAG("S2AA64", 179), FLAG("S2ENDI", 180), FLAG("S2PTW", 182), FLAG("S2S", 185),
	FLAG("S2R", 186), ADDR_WHEN("S2TTB", 243, 196, STAGE2), END
};

static const struct record ste_guest = {
	0, "vSTE", ste_guest_fields, NULL, NULL, NO_MASK, false
};

static const struct record ste_host = {
	0, "STE", ste_guest_fields, ste_host_fields, NULL, NO_MASK, true
};

/*
 * The decoder
 */

static void say_field(const struct field *f, const uint64_t *w)
{
	unsigned long long v = get(w, f->hi, f->lo);

	if (f->when && !get(w, 0, f->when))
		return;
	if ((f->show & SHOW_IF) && !v)
		return;
	switch (f->show & ~SHOW_IF) {
	case SHOW_HEX:
		say("%s 0x%llx", f->name, v);
		break;
	case SHOW_DEC:
		say("%s %llu", f->name, v);
		break;
	case SHOW_ADDR:
		say("%s 0x%llx", f->name, v << (f->lo % 64));
		break;
	case SHOW_FLAG:
		if (v)
			say("%s", f->name);
		break;
	case SHOW_NAME:
		say("%s %s", f->name, f->values[v]);
		break;
	case SHOW_WORD:
		say("%s", f->values[v]);
		break;
	}
}

/* Bits that are set and that no field has, as the figures write them */
static void say_others(const struct record *r, const uint64_t *w, unsigned int n)
{
	const char *what = r == &ste_guest ? "not a guest's" : "RES0";
	const struct field *f;
	uint64_t left[MAX_WORDS];
	unsigned int bit, hi;

	memcpy(left, w, n * sizeof(*w));
	left[0] &= ~r->mask[0];
	left[1] &= ~r->mask[1];
	if (r != &ste_guest)
		left[0] &= ~0xffull;
	for (f = r->fields; f->name; f++) {
		left[f->lo / 64] &= ~(get(w, f->hi, f->lo) << (f->lo % 64));
		if (f->when)
			left[f->when / 64] &= ~(1ull << (f->when % 64));
	}

	for (bit = n * 64; bit--; ) {
		if (!get(left, 0, bit))
			continue;
		for (hi = bit; bit % 64 && get(left, 0, bit - 1); bit--)
			;
		if (hi == bit)
			say("bit %u set: %s", bit, what);
		else
			say("bits %u:%u 0x%llx: %s", hi, bit,
			    (unsigned long long)get(left, hi, bit), what);
	}
}

static void decode(const struct record *r, const uint64_t *w, unsigned int n)
{
	const struct field *f;

	start_line(r->name);
	if (!r->fields) {
		say("fields not known here");
		end_line();
		return;
	}
	for (f = r->fields; f->name; f++)
		say_field(f, w);
	for (f = r->more; f && f->name; f++)
		say_field(f, w);
	if (r->extra)
		r->extra(w);
	if (!r->partial)
		say_others(r, w, n);
	end_line();
}

static const struct record *find(const struct record *table, size_t n, unsigned int id)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (table[i].id == id)
			return &table[i];
	return NULL;
}

static const char *event_name(unsigned int id)
{
	const struct record *r = find(events, ARRAY_SIZE(events), id);

	if (r)
		return r->name;
	return id >= 0xe0 && id <= 0xef ? "IMPLEMENTATION DEFINED" : "unknown";
}

static void decode_command(const uint64_t *w)
{
	unsigned int id = w[0] & 0xff;
	const struct record *r = find(commands, ARRAY_SIZE(commands), id);

	if (r)
		decode(r, w, 2);
	else if (id >= 0x80 && id <= 0x8f)
		printf("opcode 0x%02x: IMPLEMENTATION DEFINED\n", id);
	else
		printf("opcode 0x%02x: Reserved\n", id);
}

static void decode_event(const uint64_t *w)
{
	unsigned int id = w[0] & 0xff;
	const struct record *r = find(events, ARRAY_SIZE(events), id);

	if (r)
		decode(r, w, 4);
	else
		printf("event 0x%02x: %s\n", id, event_name(id));
}

/* LOG2SIZE of the queue, if known: it says which bit is RD's wrap bit */
static int queue_log2 = -1;

static void say_error(unsigned int code)
{
	if (code < ARRAY_SIZE(error_names))
		say("ERR %u %s: %s", code, error_names[code], error_texts[code]);
	else
		say("ERR 0x%x: not defined", code);
}

static void say_position(uint32_t reg)
{
	if (queue_log2 < 0)
		say("RD 0x%x", reg & 0xfffff);
	else
		say("RD index 0x%x, wrap %u", reg & ((1u << queue_log2) - 1),
		    reg >> queue_log2 & 1);
}

static void decode_cons(uint32_t cons)
{
	start_line("CMDQ_CONS");
	say_position(cons);
	say_error(cons >> 24 & 0x7f);
	if (cons & 0x80f00000)
		say("0x%x: RES0", cons & 0x80f00000);
	end_line();
}

static const struct {
	unsigned int bit;
	const char *name;
	const char *text;
} gerrors[] = {
	{ 0, "CMDQ_ERR", "the command queue has stopped, see CMDQ_CONS.ERR" },
	{ 2, "EVENTQ_ABT_ERR", "a write to the event queue was aborted" },
	{ 3, "PRIQ_ABT_ERR", "a write to the PRI queue was aborted" },
	{ 4, "MSI_CMDQ_ABT_ERR", "the MSI of a CMD_SYNC was aborted" },
	{ 5, "MSI_EVENTQ_ABT_ERR", "the MSI of the event queue was aborted" },
	{ 6, "MSI_PRIQ_ABT_ERR", "the MSI of the PRI queue was aborted" },
	{ 7, "MSI_GERROR_ABT_ERR", "the MSI of GERROR was aborted" },
	{ 8, "SFM_ERR", "service failure mode" },
	{ 9, "CMDQP_ERR", "a page of an enhanced command queue has an error" },
	{ 10, "DPT_ERR", "device permission table" },
};

static void decode_gerror(uint32_t active)
{
	unsigned int i;

	start_line("GERROR");
	for (i = 0; i < ARRAY_SIZE(gerrors); i++) {
		if (active & 1u << gerrors[i].bit)
			say("%s: %s", gerrors[i].name, gerrors[i].text);
		active &= ~(1u << gerrors[i].bit);
	}
	if (active)
		say("0x%x: RES0", active);
	if (!line_started)
		say("no error is active");
	end_line();
}

/*
 * Words: "TYPE WORD..."
 */

static bool parse_word(const char *text, uint64_t *w)
{
	char *end;

	if (!isxdigit((unsigned char)*text))
		return false;
	errno = 0;
	*w = strtoull(text, &end, 16);
	return !*end && !errno;
}

/* Return false if that is no way to write something to decode */
static bool decode_words(unsigned int n, char *const *text)
{
	uint64_t w[MAX_WORDS] = {};
	const char *type = text[0];
	unsigned int i;

	if (n < 2 || n > MAX_WORDS + 1)
		return false;
	for (i = 1; i < n; i++)
		if (!parse_word(text[i], &w[i - 1]))
			return false;
	n--;
	if (!strcmp(type, "cmd") && n == 2)
		decode_command(w);
	else if (!strcmp(type, "event") && n == 4)
		decode_event(w);
	else if (!strcmp(type, "ste") && n == 2)
		decode(&ste_guest, w, n);
	else if (!strcmp(type, "ste") && (n == 4 || n == 8))
		decode(&ste_host, w, n);
	else if (!strcmp(type, "cons") && n == 1 && w[0] <= UINT32_MAX)
		decode_cons(w[0]);
	else if (!strcmp(type, "gerror") && n == 2 && w[0] <= UINT32_MAX && w[1] <= UINT32_MAX)
		decode_gerror(w[0] ^ w[1]);
	else
		return false;
	return true;
}

/*
 * Text
 */

/*
 * Words that the driver prints one to a line
 * @want: How many make the record; 0 if none is on its way
 * @have: How many of them were seen
 */
static struct {
	unsigned int want;
	unsigned int have;
	uint64_t w[MAX_WORDS];
} dump;

/* The number in hex behind @key */
static bool number_after(const char *line, const char *key, uint64_t *v)
{
	const char *p = strstr(line, key);
	char *end;

	if (!p || !isxdigit((unsigned char)p[strlen(key)]))
		return false;
	*v = strtoull(p + strlen(key), &end, 16);
	return true;
}

static bool dump_line(const char *line)
{
	const char *p = strrchr(line, 'x');
	char *end;

	if (!dump.want)
		return false;
	/* A tab and 16 digits end the line */
	if (!p || p < line + 2 || p[-1] != '0' || !isspace((unsigned char)p[-2]) ||
	    strspn(p + 1, "0123456789abcdef") != 16) {
		dump.want = 0;
		return false;
	}
	dump.w[dump.have++] = strtoull(p + 1, &end, 16);
	if (dump.have < dump.want)
		return true;
	fputs("    ", stdout);
	if (dump.want == 4)
		decode_event(dump.w);
	else
		decode_command(dump.w);
	dump.want = 0;
	return true;
}

static void expect_dump(unsigned int words)
{
	dump.want = words;
	dump.have = 0;
}

/* What the driver prints into the kernel log */
static bool log_line(const char *line)
{
	uint64_t v;

	if (number_after(line, "event 0x", &v) && strstr(line, " received:")) {
		expect_dump(4);
		return true;
	}
	if (strstr(line, "skipping command in error state:")) {
		expect_dump(2);
		return true;
	}
	if (number_after(line, "(cons 0x", &v) || number_after(line, "hwcons 0x", &v)) {
		fputs("    ", stdout);
		decode_cons(v);
		return true;
	}
	if (number_after(line, "global error reported (0x", &v)) {
		fputs("    ", stdout);
		decode_gerror(v);
		return true;
	}
	return false;
}

static void trace_cmdq_error(const char *rest)
{
	static const struct {
		const char *word;
		const char *text;
	} origins[] = {
		{ "host", "a command of the host's own" },
		{ "reported", "in a batch whose issuer is told" },
		{ "abandoned", "in a batch that timed out, nobody is told" },
	};
	unsigned int code, cons, offset, i;
	char origin[16];

	if (sscanf(rest, " error %u at slot 0x%x, %15s offset %u", &code, &cons, origin,
		   &offset) != 4)
		return;
	start_line("    CMDQ_ERR");
	say_position(cons);
	say_error(code);
	for (i = 0; i < ARRAY_SIZE(origins); i++)
		if (!strcmp(origin, origins[i].word))
			say("%s", origins[i].text);
	if (strcmp(origin, "host"))
		say("command %u of it", offset);
	end_line();
}

static const char *errno_text(int err)
{
	return err ? strerror(abs(err)) : "no error";
}

static void trace_cmdq_batch(const char *rest)
{
	const char *result = strrchr(rest, ':');
	unsigned int n, slot;

	if (!result || sscanf(rest, " %u commands", &n) != 1 ||
	    !strstr(rest, " at slot 0x") ||
	    sscanf(strstr(rest, " at slot 0x"), " at slot 0x%x", &slot) != 1)
		return;
	start_line("    batch");
	if (queue_log2 >= 0)
		say("first at index 0x%x, wrap %u", slot & ((1u << queue_log2) - 1),
		    slot >> queue_log2 & 1);
	say("%s", strstr(rest, " and CMD_SYNC ") ? "with CMD_SYNC" : "without CMD_SYNC");
	say("%s", errno_text(atoi(result + 1)));
	end_line();
}

static void trace_viommu_invalidate(const char *rest)
{
	unsigned int vmid, done, n, flags, code, index;
	int ret;

	if (sscanf(rest, " VMID 0x%x %u of %u commands: %d, report 0x%x code %u index %u",
		   &vmid, &done, &n, &ret, &flags, &code, &index) != 7)
		return;
	start_line("    array");
	if (!ret) {
		say("all done");
	} else {
		say("%s", errno_text(ret));
		say("%u done", done);
		say("command %u in error", index);
		if (code)
			say_error(code);
		say(flags & REPORT_HW ? "raised by the SMMU" :
		    "found by the kernel");
	}
	end_line();
}

static void trace_vevent(const char *rest)
{
	const char *result = strrchr(rest, ':');
	unsigned int id, sid, vsid;

	if (!result || sscanf(rest, " event 0x%x of SID 0x%x vSID 0x%x", &id,
			      &sid, &vsid) != 3)
		return;
	start_line("    event");
	say("%s of StreamID 0x%x in the guest", event_name(id), vsid);
	say("%s", atoi(result + 1) ? "the guest does not get it" : "queued for the guest");
	if (atoi(result + 1))
		say("%s", errno_text(atoi(result + 1)));
	end_line();
}

static bool trace_line(const char *line)
{
	static const struct {
		const char *name;
		void (*show)(const char *rest);
	} tracepoints[] = {
		{ "arm_smmu_cmdq_error: ", trace_cmdq_error },
		{ "arm_smmu_cmdq_batch: ", trace_cmdq_batch },
		{ "arm_smmu_vevent: ", trace_vevent },
		{ "arm_smmu_viommu_invalidate: ", trace_viommu_invalidate },
	};
	const char *p;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tracepoints); i++) {
		p = strstr(line, tracepoints[i].name);
		if (!p)
			continue;
		/* Behind the device's name, which may have colons in it */
		p = strstr(p + strlen(tracepoints[i].name), ": ");
		if (p)
			tracepoints[i].show(p + 1);
		return true;
	}
	return false;
}

static bool is_type(const char *text)
{
	static const char *const types[] = { "cmd", "event", "ste", "cons", "gerror" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(types); i++)
		if (!strcmp(text, types[i]))
			return true;
	return false;
}

static void words_line(const char *line)
{
	char copy[256], *text[MAX_WORDS + 2], *save = NULL, *p;
	unsigned int n = 0;
	uint64_t w;

	if (strlen(line) >= sizeof(copy))
		return;
	snprintf(copy, sizeof(copy), "%s", line);
	for (p = strtok_r(copy, " \t\n", &save); p; p = strtok_r(NULL, " \t\n", &save)) {
		if (n == ARRAY_SIZE(text) || (n ? !parse_word(p, &w) : !is_type(p)))
			return;
		text[n++] = p;
	}
	if (!n)
		return;
	fputs("    ", stdout);
	if (!decode_words(n, text))
		fputs("not that many words, or too large\n", stdout);
}

static int annotate(FILE *in)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, in)) > 0) {
		fwrite(line, 1, len, stdout);
		if (line[len - 1] != '\n')
			putchar('\n');
		if (!dump_line(line) && !trace_line(line) && !log_line(line))
			words_line(line);
		fflush(stdout);
	}
	free(line);
	return ferror(in) ? -1 : 0;
}

static int help(FILE *out)
{
	fputs("usage: smmu-decode [-q LOG2SIZE] cmd WORD0 WORD1\n"
	      "       smmu-decode [-q LOG2SIZE] event WORD0 WORD1 WORD2 WORD3\n"
	      "       smmu-decode [-q LOG2SIZE] ste WORD0 WORD1 [WORD2 WORD3 [... WORD7]]\n"
	      "       smmu-decode [-q LOG2SIZE] cons CMDQ_CONS\n"
	      "       smmu-decode [-q LOG2SIZE] gerror GERROR GERRORN\n"
	      "       smmu-decode [-q LOG2SIZE] < TEXT\n"
	      "Words are 64-bit numbers in hex.\n", out);
	return out == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
	char *end;
	int i = 1;

	if (argc > 1 && !strcmp(argv[1], "--help"))
		return help(stdout);
	if (argc > 2 && !strcmp(argv[1], "-q")) {
		queue_log2 = strtol(argv[2], &end, 10);
		if (!*argv[2] || *end || queue_log2 < 0 || queue_log2 > 19) {
			fprintf(stderr, "smmu-decode: %s is not the log2 of a queue's size\n",
				argv[2]);
			return 2;
		}
		i = 3;
	}
	if (i == argc) {
		if (annotate(stdin)) {
			perror("smmu-decode");
			return 1;
		}
		return 0;
	}
	return decode_words(argc - i, argv + i) ? 0 : help(stderr);
}
