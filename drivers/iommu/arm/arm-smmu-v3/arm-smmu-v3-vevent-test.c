// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm SMMUv3: tests of telling a guest's events from the host's
 *
 * The table of what a guest may see of each event is written down a second time
 * with plain numbers (IHI 0070, section 7.3).
 */
#include <kunit/test.h>
#include <linux/prandom.h>

#include "arm-smmu-v3-vevent.h"

#define POISON	0xdeadbeefdeadbeefULL
#define VSID	0x89abcdef

/*
 * The oracle: bits of the words that may reach the guest, StreamID aside.
 * SubstreamID is only kept in company of SSV, but for C_BAD_SUBSTREAMID.
 */
static const struct vevent_bits {
	u8 id;
	bool s2;	/* There is a bit S2 */
	u64 w0, w1, w2;
} vevent_bits[] = {
	{ 0x04, false, 0x00000000fffff8ff, 0, 0 },
	{ 0x05, false, 0x00000000fffff8ff, 0x00000000f000000f,
	  0xfffffffffffff000 },
	{ 0x06, false, 0x00000000000000ff, 0, 0 },
	{ 0x08, false, 0x00000000fffff0ff, 0, 0 },
	{ 0x09, false, 0x00000000fffff8ff, 0, 0 },
	{ 0x0a, false, 0x00000000fffff8ff, 0, 0 },
	{ 0x0b, true, 0x00000000fffff8ff, 0x0000030e00000000, ~0ULL },
	{ 0x10, true, 0x00000000fffff8ff, 0x0000030e00000000, ~0ULL },
	{ 0x11, true, 0x00000000fffff8ff, 0x0000030e00000000, ~0ULL },
	{ 0x12, true, 0x00000000fffff8ff, 0x0000030e00000000, ~0ULL },
	{ 0x13, true, 0x00000000fffff8ff, 0x0000030e00000000, ~0ULL },
	{ 0x20, true, 0x00000000fffff8ff, 0x0000000e00000000, ~0ULL },
	{ 0x24, false, 0x00000000fffff8ff, 0x000ff0fe00000000,
	  0xfffffffffffff000 },
};

static bool vevent_oracle(const u64 evt[4], u64 out[4])
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vevent_bits); i++) {
		const struct vevent_bits *bits = &vevent_bits[i];

		if (bits->id != (evt[0] & 0xff))
			continue;
		if (bits->s2 && (evt[1] >> 39) & 1)
			return false;
		out[0] = evt[0] & bits->w0;
		if (bits->w0 & 0x800 && !(evt[0] & 0x800))
			out[0] &= 0xff;
		out[0] |= (u64)VSID << 32;
		out[1] = evt[1] & bits->w1;
		out[2] = evt[2] & bits->w2;
		out[3] = 0;
		return true;
	}
	return false;
}

/* All must hold for every record; false after a report */
static bool vevent_compare(struct kunit *test, const u64 evt[4])
{
	__le64 guest[4];
	u64 want[4];
	bool got, ours;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		guest[i] = cpu_to_le64(POISON);
		want[i] = POISON;
	}
	ours = vevent_oracle(evt, want);
	got = arm_smmu_vevent_make(evt, VSID, guest);
	if (got != ours || got != arm_smmu_vevent_is_guests(evt))
		goto fail;
	if (arm_smmu_vevent_is_stall(evt) !=
	    ((evt[0] & 0xfc) == 0x10 && (evt[1] & 0x80000000)))
		goto fail;
	for (i = 0; i < 4; i++)
		if (le64_to_cpu(guest[i]) != want[i])
			goto fail;
	return true;
fail:
	KUNIT_FAIL(test,
		   "%016llx %016llx %016llx %016llx: %d, %016llx %016llx %016llx %016llx; want %d, %016llx %016llx %016llx %016llx",
		   evt[0], evt[1], evt[2], evt[3], got, le64_to_cpu(guest[0]),
		   le64_to_cpu(guest[1]), le64_to_cpu(guest[2]),
		   le64_to_cpu(guest[3]), ours, want[0], want[1], want[2],
		   want[3]);
	return false;
}

/* By hand: records as a stream of a guest causes them */
static void vevent_test_examples(struct kunit *test)
{
	static const struct {
		u64 in[4];
		bool guests;
		u64 out[4];
	} cases[] = {
		/* F_TRANSLATION of a read at stage 1, IPA and IMPL_DEF UNKNOWN */
		{ { 0x0000001700000010, 0xabcd020800001234,
		    0x0000ffffdeadb000, 0x000f123456789000 },
		  true,
		  { 0x89abcdef00000010, 0x0000020800000000,
		    0x0000ffffdeadb000, 0 } },
		/* The same with a PASID, stalled */
		{ { 0x0000001700abc810, 0x0000020a80000001,
		    0x0000ffffdeadb123, 0 },
		  true,
		  { 0x89abcdef00abc810, 0x0000020a00000000,
		    0x0000ffffdeadb123, 0 } },
		/* No PASID: the field is UNKNOWN */
		{ { 0x0000001700abc010, 0x0000020800000000, 0x1000, 0 },
		  true,
		  { 0x89abcdef00000010, 0x0000020800000000, 0x1000, 0 } },
		/* Stage 2 */
		{ { 0x0000001700000010, 0x0000028800000000, 0x1000, 0x8000 },
		  false },
		{ { 0x0000001700000013, 0x0000118800000000, 0x1000, 0x8000 },
		  false },
		/* F_WALK_EABT: the address of the descriptor is a physical one */
		{ { 0x000000170000000b, 0x000001080001ffff,
		    0x0000ffffdeadb000, 0x000000089abcdef8 },
		  true,
		  { 0x89abcdef0000000b, 0x0000010800000000,
		    0x0000ffffdeadb000, 0 } },
		{ { 0x000000170000000b, 0x0000018800000000, 0x1000, 0x8000 },
		  false },
		/* F_CD_FETCH likewise, in another place with QEMU */
		{ { 0x0000001700000009, 0x000000000001ffff,
		    0x000000089abcdef8, 0x000000089abcdef8 },
		  true, { 0x89abcdef00000009, 0, 0, 0 } },
		/* C_BAD_SUBSTREAMID has no SSV */
		{ { 0x00000017fffff008, 0, 0, 0 },
		  true, { 0x89abcdeffffff008, 0, 0, 0 } },
		{ { 0x00000017fffff808, 0, 0, 0 },
		  true, { 0x89abcdeffffff008, 0, 0, 0 } },
		{ { 0x00000017fffff806, ~0ULL, ~0ULL, ~0ULL },
		  true, { 0x89abcdef00000006, 0, 0, 0 } },
		/* F_BAD_ATS_TREQ and E_PAGE_REQUEST use bit 103 for other ends */
		{ { 0x0000001700000005, ~0ULL, ~0ULL, ~0ULL },
		  true,
		  { 0x89abcdef00000005, 0xf000000f, 0xfffffffffffff000, 0 } },
		{ { 0x0000001700000024, ~0ULL, ~0ULL, ~0ULL },
		  true,
		  { 0x89abcdef00000024, 0x000ff0fe00000000,
		    0xfffffffffffff000, 0 } },
		/* The host's, the bus's, the vendor's */
		{ { 0x0000001700000001 }, false },
		{ { 0x0000001700000002 }, false },
		{ { 0x0000001700000003 }, false },
		{ { 0x0000001700000007 }, false },
		{ { 0x0000001700000021 }, false },
		{ { 0x0000001700000025 }, false },
		{ { 0x00000017000000e0 }, false },
		{ { 0 }, false },
	};
	unsigned int i, w;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		__le64 guest[4] = {};

		KUNIT_EXPECT_EQ_MSG(test, cases[i].guests,
				    arm_smmu_vevent_make(cases[i].in, VSID,
							 guest),
				    "example %u", i);
		for (w = 0; w < 4; w++)
			KUNIT_EXPECT_EQ_MSG(test, cases[i].out[w],
					    le64_to_cpu(guest[w]),
					    "example %u, word %u", i, w);
	}
}

/* Every event ID, with each of the other 248 bits alone and alone missing */
static void vevent_test_bits(struct kunit *test)
{
	unsigned int id, bit;

	for (id = 0; id < 256; id++) {
		for (bit = 8; bit < 256; bit++) {
			u64 one[4] = { id };
			u64 all[4] = { ~0xffULL | id, ~0ULL, ~0ULL, ~0ULL };
			/* All of a stage 1 event */
			u64 s1[4] = { ~0xffULL | id, ~BIT_ULL(39), ~0ULL,
				      ~0ULL };

			one[bit / 64] ^= BIT_ULL(bit % 64);
			all[bit / 64] ^= BIT_ULL(bit % 64);
			s1[bit / 64] ^= BIT_ULL(bit % 64);
			if (!vevent_compare(test, one) ||
			    !vevent_compare(test, all) ||
			    !vevent_compare(test, s1))
				return;
		}
	}
}

static void vevent_test_random(struct kunit *test)
{
	struct rnd_state rnd;
	unsigned int i, w;

	prandom_seed_state(&rnd, 0xe4e47);
	for (i = 0; i < 500 * 1000; i++) {
		u64 evt[4];

		for (w = 0; w < 4; w++)
			evt[w] = (u64)prandom_u32_state(&rnd) << 32 |
				 prandom_u32_state(&rnd);
		if (i % 8)
			evt[0] &= ~0xd0ULL;
		if (!vevent_compare(test, evt))
			return;
	}
}

/* A queue of 8 records: 16 values of the index with the wrap bit */
static void vevent_test_pos(struct kunit *test)
{
	u64 read;
	int ahead;

	for (read = 0; read < 64; read++) {
		/* Full, and one more that the reader has not looked at */
		for (ahead = 0; ahead <= 9; ahead++) {
			u32 prod = (read + ahead) % 16;

			KUNIT_EXPECT_EQ(test, arm_smmu_vevent_pos(read, prod, 3),
					read + ahead);
			/* The overflow flag is no part of the index */
			KUNIT_EXPECT_EQ(test,
					arm_smmu_vevent_pos(read,
							    prod | 1U << 31, 3),
					read + ahead);
		}
		for (ahead = 1; ahead <= 6; ahead++)
			KUNIT_EXPECT_EQ(test,
					arm_smmu_vevent_pos(read,
							    (read - ahead) % 16,
							    3),
					read);
	}
	/* The index is 32 bits and the position is not */
	KUNIT_EXPECT_EQ(test, arm_smmu_vevent_pos(0x1fffffffeULL, 3, 3),
			0x200000003ULL);
	KUNIT_EXPECT_EQ(test, arm_smmu_vevent_pos(5, 0, 19), 5ULL);
}

#define OWNER(era, pos, who)						\
	KUNIT_EXPECT_EQ(test, arm_smmu_vevent_owner(era, pos),		\
			ARM_SMMU_VEVENT_##who)

static void vevent_test_era(struct kunit *test)
{
	unsigned long era;

	/* Never a guest's */
	OWNER(0, 0, HOST);
	OWNER(0, 1000, HOST);
	KUNIT_EXPECT_FALSE(test, arm_smmu_vevent_era_over(0, 1000));

	/* What the host left behind stays the host's */
	era = arm_smmu_vevent_era_begin(10, false);
	OWNER(era, 9, HOST);
	OWNER(era, 10, GUEST);
	OWNER(era, 1ULL << 40, GUEST);
	KUNIT_EXPECT_FALSE(test, arm_smmu_vevent_era_over(era, 9));
	KUNIT_EXPECT_FALSE(test, arm_smmu_vevent_era_over(era, 10));

	/* The guest's do not become the host's, however late */
	era = arm_smmu_vevent_era_end(20);
	OWNER(era, 0, FORMER);
	OWNER(era, 19, FORMER);
	OWNER(era, 20, HOST);
	KUNIT_EXPECT_FALSE(test, arm_smmu_vevent_era_over(era, 19));
	KUNIT_EXPECT_TRUE(test, arm_smmu_vevent_era_over(era, 20));
	KUNIT_EXPECT_TRUE(test, arm_smmu_vevent_era_over(era, 21));

	/* Nor the next guest's */
	era = arm_smmu_vevent_era_begin(30, true);
	OWNER(era, 19, FORMER);
	OWNER(era, 29, FORMER);
	OWNER(era, 30, GUEST);
	KUNIT_EXPECT_FALSE(test, arm_smmu_vevent_era_over(era, 31));

	/* From the first record on */
	era = arm_smmu_vevent_era_begin(0, false);
	KUNIT_EXPECT_NE(test, era, 0);
	OWNER(era, 0, GUEST);
	KUNIT_EXPECT_NE(test, arm_smmu_vevent_era_end(0), 0);
	OWNER(arm_smmu_vevent_era_end(0), 0, HOST);
}

static struct kunit_case arm_smmu_vevent_cases[] = {
	KUNIT_CASE(vevent_test_pos),
	KUNIT_CASE(vevent_test_era),
	KUNIT_CASE(vevent_test_examples),
	KUNIT_CASE(vevent_test_bits),
	KUNIT_CASE_SLOW(vevent_test_random),
	{},
};

static struct kunit_suite arm_smmu_vevent_suite = {
	.name = "arm-smmu-v3-vevent",
	.test_cases = arm_smmu_vevent_cases,
};

kunit_test_suites(&arm_smmu_vevent_suite);
