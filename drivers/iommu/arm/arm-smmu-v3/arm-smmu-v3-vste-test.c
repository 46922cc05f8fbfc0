// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm SMMUv3: tests of a guest's STE and of the nested one
 *
 * As for the commands, section 5.2 of IHI 0070 is written down a second time
 * with plain numbers, and most tests compare the driver with that.
 */
#include <kunit/test.h>
#include <linux/prandom.h>

#include "arm-smmu-v3.h"	/* struct arm_smmu_ste, nothing else */
#include "arm-smmu-v3-vste.h"

#define POISON		0xdeadbeefdeadbeefULL
#define VMID		0x5a17

struct vste_hw {
	bool cd2l;
	unsigned int stall_model;
	unsigned int ssidsize;
	unsigned int ipa_bits;
};

/* All other bits of the registers are 1, they must not matter */
static void vste_hw_limits(const struct vste_hw *hw,
			   struct arm_smmu_vste_limits *limits)
{
	u32 idr0 = ~(1U << 19 | 3U << 24);
	u32 idr1 = ~(0x1fU << 6);

	idr0 |= hw->cd2l << 19 | hw->stall_model << 24;
	idr1 |= hw->ssidsize << 6;
	arm_smmu_vste_limits_init(limits, idr0, idr1, hw->ipa_bits);
}

/* 2 * 3 * 4 */
#define NUM_HW 24

static struct vste_hw vste_hw(unsigned int n)
{
	static const unsigned int ssidsize[] = { 0, 1, 8, 20 };
	struct vste_hw hw = { .ipa_bits = 44 };

	hw.cd2l = n % 2;
	n /= 2;
	hw.stall_model = n % 3;
	n /= 3;
	hw.ssidsize = ssidsize[n % 4];
	return hw;
}

/*
 * The oracles
 */
static bool vste_oracle(const struct vste_hw *hw, u64 w0, u64 w1, u64 out[2])
{
	unsigned int config = (w0 >> 1) & 7;
	unsigned int s1fmt = (w0 >> 4) & 3;
	unsigned int s1cdmax = w0 >> 59;
	unsigned int s1dss = w1 & 3;
	unsigned int s1stalld = (w1 >> 27) & 1;
	unsigned int eats = (w1 >> 28) & 3;

	out[0] = 0;
	out[1] = 0;
	if (!(w0 & 1))
		return true;
	if ((w0 & ~0xf80fffffffffffffULL) || (w1 & ~0x380000ffULL))
		return false;
	if (eats > 1)
		return false;

	if (config == 0 || config == 4) {
		out[0] = 1 | config << 1;
		return true;
	}
	if (config != 5)
		return false;

	if (hw->ipa_bits < 52 &&
	    (w0 & 0x000fffffffffffffULL) >> hw->ipa_bits)
		return false;
	if (s1stalld && hw->stall_model != 0)
		return false;

	out[0] = w0 & 0x000fffffffffffcfULL;
	out[1] = w1 & 0x380000fcULL;
	if (hw->ssidsize && s1cdmax) {
		if (s1cdmax > hw->ssidsize)
			return false;
		if (s1fmt && !hw->cd2l)
			return false;
		out[0] |= (u64)s1cdmax << 59;
		out[0] |= (s1fmt == 3 ? 0 : s1fmt) << 4;
		out[1] |= s1dss == 3 ? 0 : s1dss;
	}
	return true;
}

static void vste_oracle_nested(const u64 s2[8], const u64 vste[2],
			       const struct arm_smmu_vste_host *host,
			       u64 out[8])
{
	bool s2s = (s2[2] >> 57) & 1;
	unsigned int i;

	for (i = 0; i < 8; i++)
		out[i] = 0;
	out[0] = 1;
	if (!(vste[0] & 1) || !(vste[0] & 0xe))
		return;

	for (i = 0; i < 8; i++)
		out[i] = s2[i];
	out[1] &= ~0x30000000ULL;
	if (host->ats_enabled && !s2s)
		out[1] |= 0x10000000;
	out[2] = (s2[2] & ~0xffffULL) | host->vmid;
	if ((vste[0] & 0xe) == 8)
		return;

	out[0] = 0xf | (vste[0] & 0xf80ffffffffffff0ULL);
	out[1] |= 0x00080000 | (vste[1] & 0xff);
	if (host->stall_model == 0 &&
	    (!host->stall_allowed || (vste[1] & 0x08000000)))
		out[1] |= 0x08000000;
}

/* All hold for every STE; false after a report */
static bool vste_compare(struct kunit *test, const struct vste_hw *hw,
			 const struct arm_smmu_vste_limits *limits,
			 u64 w0, u64 w1)
{
	const __le64 guest[2] = { cpu_to_le64(w0), cpu_to_le64(w1) };
	__le64 vste[2] = { cpu_to_le64(POISON), cpu_to_le64(~POISON) };
	__le64 inplace[2] = { guest[0], guest[1] };
	u64 want[2];
	int ret, want_ret = 0;

	if (!vste_oracle(hw, w0, w1, want)) {
		want_ret = -EIO;
		want[0] = POISON;
		want[1] = ~POISON;
	}
	ret = arm_smmu_vste_check(limits, guest, vste);
	if (ret != want_ret || le64_to_cpu(vste[0]) != want[0] ||
	    le64_to_cpu(vste[1]) != want[1])
		goto fail;

	/* Refused: unchanged. Taken: the same again, as nothing is left to do */
	arm_smmu_vste_check(limits, inplace, inplace);
	if (inplace[0] != (ret ? guest[0] : vste[0]) ||
	    inplace[1] != (ret ? guest[1] : vste[1]))
		goto fail;
	if (!ret && (arm_smmu_vste_check(limits, inplace, inplace) ||
		     inplace[0] != vste[0] || inplace[1] != vste[1]))
		goto fail;
	return true;
fail:
	KUNIT_FAIL(test,
		   "%016llx %016llx (cd2l %d stall_model %u ssidsize %u ipa_bits %u): %d, %016llx %016llx; want %d, %016llx %016llx; in place %016llx %016llx",
		   w0, w1, hw->cd2l, hw->stall_model, hw->ssidsize,
		   hw->ipa_bits, ret, le64_to_cpu(vste[0]),
		   le64_to_cpu(vste[1]), want_ret, want[0], want[1],
		   le64_to_cpu(inplace[0]), le64_to_cpu(inplace[1]));
	return false;
}

static bool vste_compare_nested(struct kunit *test, const u64 s2[8],
				const u64 vste[2],
				const struct arm_smmu_vste_host *host)
{
	__le64 in[2] = { cpu_to_le64(vste[0]), cpu_to_le64(vste[1]) };
	struct arm_smmu_ste s2_ste, target;
	u64 want[8];
	unsigned int i;

	for (i = 0; i < 8; i++)
		s2_ste.data[i] = cpu_to_le64(s2[i]);
	memset(&target, 0xa5, sizeof(target));

	vste_oracle_nested(s2, vste, host, want);
	arm_smmu_make_nested_ste(&target, &s2_ste, in, host);
	for (i = 0; i < 8; i++) {
		if (le64_to_cpu(target.data[i]) == want[i])
			continue;
		KUNIT_FAIL(test,
			   "vSTE %016llx %016llx (stall_model %u stall_allowed %d ats %d): word %u %016llx, want %016llx",
			   vste[0], vste[1], host->stall_model,
			   host->stall_allowed, host->ats_enabled, i,
			   le64_to_cpu(target.data[i]), want[i]);
		return false;
	}
	return true;
}

/*
 * The tests
 */
static const struct vste_hw vste_hw_all = {
	.cd2l = true, .stall_model = 0, .ssidsize = 20, .ipa_bits = 48,
};

static const struct vste_hw vste_hw_min = {
	.stall_model = 1, .ipa_bits = 40,
};

static void vste_test_examples(struct kunit *test)
{
	static const struct {
		const struct vste_hw *hw;
		u64 in[2];
		int ret;
		u64 out[2];
	} cases[] = {
		/* Invalid: anything goes, nothing stays */
		{ &vste_hw_min, { 0, 0 }, 0, { 0, 0 } },
		{ &vste_hw_min, { ~1ULL, ~0ULL }, 0, { 0, 0 } },
		/* Abort, bypass: what is left behind of stage 1 is dropped */
		{ &vste_hw_min, { 0x1, 0 }, 0, { 0x1, 0 } },
		{ &vste_hw_min, { 0x9, 0 }, 0, { 0x9, 0 } },
		{ &vste_hw_min, { 0xf80ffffffffffff1, 0x180000ff }, 0, { 0x1 } },
		{ &vste_hw_min, { 0xf80ffffffffffff9, 0x180000ff }, 0, { 0x9 } },
		/* Stage 1 */
		{ &vste_hw_min, { 0x123456780b, 0x10000054 },
		  0, { 0x123456780b, 0x10000054 } },
		{ &vste_hw_min, { 0x123456783b, 0x57 },
		  0, { 0x123456780b, 0x54 } },
		{ &vste_hw_min, { 0xf8000012345678fb, 0x57 },
		  0, { 0x00000012345678cb, 0x54 } },
		{ &vste_hw_all, { 0xa00000123456782b, 0x08000056 },
		  0, { 0xa00000123456782b, 0x08000056 } },
		{ &vste_hw_all, { 0x080000123456783b, 0x57 },
		  0, { 0x080000123456780b, 0x54 } },
		/* Illegal, or not the guest's */
		{ &vste_hw_all, { 0xa80000123456780b, 0 }, -EIO }, /* S1CDMax */
		{ &vste_hw_min, { 0x0b, 0x08000000 }, -EIO },	/* S1STALLD */
		{ &vste_hw_min, { 0x01000000000b, 0 }, -EIO },	/* 40 bits */
		{ &vste_hw_all, { 0x03, 0 }, -EIO },		/* Config 1 */
		{ &vste_hw_all, { 0x0d, 0 }, -EIO },		/* Config 6 */
		{ &vste_hw_all, { 0x0f, 0 }, -EIO },		/* Config 7 */
		{ &vste_hw_all, { 0x0b, 0x20000000 }, -EIO },	/* EATS 2 */
		{ &vste_hw_all, { 0x0b, 0x30000000 }, -EIO },	/* EATS 3 */
		{ &vste_hw_all, { 0x01, 0x20000000 }, -EIO },
		{ &vste_hw_all, { 0x0b, 0x00080000 }, -EIO },	/* MEV */
		{ &vste_hw_all, { 0x0b, 0x40000000 }, -EIO },	/* STRW */
		{ &vste_hw_all, { 0x0b, 0x00020000 }, -EIO },	/* DCP */
		{ &vste_hw_all, { 0x0b, 0x00002000 }, -EIO },	/* CONT */
		{ &vste_hw_all, { 0x0b, 1ULL << 44 }, -EIO },	/* SHCFG */
	};
	struct arm_smmu_vste_limits limits;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		__le64 in[2] = { cpu_to_le64(cases[i].in[0]),
				 cpu_to_le64(cases[i].in[1]) };
		__le64 out[2] = {};

		vste_hw_limits(cases[i].hw, &limits);
		KUNIT_EXPECT_EQ_MSG(test, cases[i].ret,
				    arm_smmu_vste_check(&limits, in, out),
				    "example %u", i);
		KUNIT_EXPECT_EQ_MSG(test, cases[i].out[0], le64_to_cpu(out[0]),
				    "example %u", i);
		KUNIT_EXPECT_EQ_MSG(test, cases[i].out[1], le64_to_cpu(out[1]),
				    "example %u", i);
	}
}

/* Each of the 128 bits of STEs of each kind */
static void vste_test_bits(struct kunit *test)
{
	static const u64 stes[][2] = {
		{ 0, 0 },
		{ 1, 0 },
		{ 9, 0 },
		{ 0xb, 0 },
		{ 0x000001234567890b, 0x10000054 },
		{ 0x080001234567891b, 0x00000056 },
		{ 0xa00001234567892b, 0x180000fd },
		{ ~0ULL, ~0ULL },
	};
	struct arm_smmu_vste_limits limits;
	unsigned int n, i, bit;

	for (n = 0; n < NUM_HW; n++) {
		struct vste_hw hw = vste_hw(n);

		vste_hw_limits(&hw, &limits);
		for (i = 0; i < ARRAY_SIZE(stes); i++) {
			u64 w0 = stes[i][0], w1 = stes[i][1];

			for (bit = 0; bit < 64; bit++)
				if (!vste_compare(test, &hw, &limits,
						  w0 ^ BIT_ULL(bit), w1) ||
				    !vste_compare(test, &hw, &limits, w0,
						  w1 ^ BIT_ULL(bit)))
					return;
		}
	}
}

/* All values of the fields that have rules, on all SMMUs */
static void vste_test_fields(struct kunit *test)
{
	struct arm_smmu_vste_limits limits;
	unsigned int n, fields;

	for (n = 0; n < NUM_HW; n++) {
		struct vste_hw hw = vste_hw(n);

		vste_hw_limits(&hw, &limits);
		for (fields = 0; fields < 1 << 15; fields++) {
			/* Config, S1Fmt; S1CDMax; S1DSS; S1STALLD, EATS */
			u64 w0 = 1 | (fields & 0x1f) << 1 |
				 (u64)(fields >> 5 & 0x1f) << 59;
			u64 w1 = (fields >> 10 & 3) | (fields >> 12) << 27;

			if (!vste_compare(test, &hw, &limits,
					  w0 | 0x12345678000, w1 | 0x54))
				return;
		}
	}
}

static void vste_test_s1contextptr(struct kunit *test)
{
	unsigned int ipa_bits, bit;

	for (ipa_bits = 32; ipa_bits <= 70; ipa_bits++) {
		struct arm_smmu_vste_limits limits;
		struct vste_hw hw = vste_hw_all;

		hw.ipa_bits = ipa_bits;
		vste_hw_limits(&hw, &limits);
		for (bit = 0; bit < 64; bit++) {
			if (!vste_compare(test, &hw, &limits,
					  0xb | BIT_ULL(bit), 0) ||
			    /* Not looked at if stage 1 is off */
			    !vste_compare(test, &hw, &limits,
					  0x9 | BIT_ULL(bit), 0) ||
			    !vste_compare(test, &hw, &limits,
					  0xb | (BIT_ULL(bit) - 1), 0))
				return;
		}
	}
}

static void vste_test_predicates(struct kunit *test)
{
	unsigned int n, config, eats;

	for (n = 0; n < 2; n++) {
		for (config = 0; config < 8; config++) {
			for (eats = 0; eats < 4; eats++) {
				__le64 vste[2] = {
					cpu_to_le64(config << 1 | n),
					cpu_to_le64((u64)eats << 28),
				};

				KUNIT_EXPECT_EQ(test, n && config == 5,
						arm_smmu_vste_translates(vste));
				KUNIT_EXPECT_EQ(test,
						n && config == 5 && eats == 1,
						arm_smmu_vste_wants_ats(vste));
			}
		}
	}
}

/* What the base makes of a stage 2 domain, less the VMID */
static const u64 vste_s2[8] = {
	0x000000000000000d, 0x0000100000000000,
	0x044e35940000beef, 0x0000000812345000,
};

/* By hand: one STE of each kind, with the stall rule */
static void vste_test_nested_examples(struct kunit *test)
{
	static const struct {
		u64 vste[2];
		struct arm_smmu_vste_host host;
		u64 out[8];
	} cases[] = {
		{ { 0, 0 }, { .vmid = VMID, .ats_enabled = true }, { 0x1 } },
		{ { 1, 0 }, { .vmid = VMID, .ats_enabled = true }, { 0x1 } },
		{ { 0x3, 0 }, { .vmid = VMID }, { 0x1 } },
		{ { 0xf, 0 }, { .vmid = VMID }, { 0x1 } },
		{ { 0x9, 0 }, { .vmid = VMID },
		  { 0xd, 0x0000100000000000,
		    0x044e359400005a17, 0x0000000812345000 } },
		{ { 0xa00001234567892b, 0x56 }, { .vmid = VMID },
		  { 0xa00001234567892f, 0x0000100008080056,
		    0x044e359400005a17, 0x0000000812345000 } },
		{ { 0x1234567890b, 0x10000054 },
		  { .vmid = VMID, .ats_enabled = true },
		  { 0x1234567890f, 0x0000100018080054,
		    0x044e359400005a17, 0x0000000812345000 } },
		/* What the guest says of ATS is for the caller to decide */
		{ { 0xb, 0x10000000 }, { .vmid = VMID, .stall_model = 1 },
		  { 0xf, 0x0000100000080000,
		    0x044e359400005a17, 0x0000000812345000 } },
		/* Stalls: allowed, and the guest agrees or not */
		{ { 0xb, 0 }, { .vmid = VMID, .stall_allowed = true },
		  { 0xf, 0x0000100000080000,
		    0x044e359400005a17, 0x0000000812345000 } },
		{ { 0xb, 0x08000000 }, { .vmid = VMID, .stall_allowed = true },
		  { 0xf, 0x0000100008080000,
		    0x044e359400005a17, 0x0000000812345000 } },
		/* Forced, where S1STALLD is illegal */
		{ { 0xb, 0 }, { .vmid = VMID, .stall_model = 2 },
		  { 0xf, 0x0000100000080000,
		    0x044e359400005a17, 0x0000000812345000 } },
	};
	unsigned int i, w;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		__le64 in[2] = { cpu_to_le64(cases[i].vste[0]),
				 cpu_to_le64(cases[i].vste[1]) };
		struct arm_smmu_ste s2, target;

		for (w = 0; w < 8; w++)
			s2.data[w] = cpu_to_le64(vste_s2[w]);
		memset(&target, 0xa5, sizeof(target));
		arm_smmu_make_nested_ste(&target, &s2, in, &cases[i].host);
		for (w = 0; w < 8; w++)
			KUNIT_EXPECT_EQ_MSG(test,
					    cases[i].out[w],
					    le64_to_cpu(target.data[w]),
					    "example %u, word %u", i, w);
	}
}

static u64 vste_rand64(struct rnd_state *rnd)
{
	return (u64)prandom_u32_state(rnd) << 32 | prandom_u32_state(rnd);
}

/* All host states with all STEs, and words of stage 2 that may be anything */
static void vste_test_nested(struct kunit *test)
{
	static const u64 vstes[][2] = {
		{ 0, 0 },
		{ 0x1, 0 },
		{ 0x9, 0 },
		{ 0xb, 0 },
		{ 0xb, 0x08000000 },
		{ 0xb, 0x10000000 },
		{ 0xf80ffffffffffffb, 0x180000ff },
	};
	unsigned int n, i, w, round;
	struct rnd_state rnd;

	prandom_seed_state(&rnd, 0x57e);
	for (round = 0; round < 64; round++) {
		u64 s2[8];

		for (w = 0; w < 8; w++)
			s2[w] = round ? vste_rand64(&rnd) : vste_s2[w];
		s2[0] = 0xd;
		/* Not a part of stage 2: the fields that are stage 1's */
		s2[1] &= ~0x080000ffULL;
		for (n = 0; n < 2 * 2 * 4; n++) {
			struct arm_smmu_vste_host host = {
				.vmid = vste_rand64(&rnd),
				.stall_allowed = n & 1,
				.ats_enabled = n & 2,
				.stall_model = n >> 2,
			};

			for (i = 0; i < ARRAY_SIZE(vstes); i++)
				if (!vste_compare_nested(test, s2, vstes[i],
							 &host))
					return;
		}
	}
}

/* From the guest's words to the physical STE, whatever comes */
#define NUM_RANDOM (500 * 1000)

static void vste_test_random(struct kunit *test)
{
	struct arm_smmu_vste_limits limits = {};
	unsigned int i, passed = 0;
	struct vste_hw hw = {};
	struct rnd_state rnd;

	prandom_seed_state(&rnd, 0x57e5eed);
	for (i = 0; i < NUM_RANDOM; i++) {
		u32 how = prandom_u32_state(&rnd);
		u64 w0 = vste_rand64(&rnd), w1 = vste_rand64(&rnd), out[2];
		struct arm_smmu_vste_host host = {
			.vmid = how >> 16,
			.stall_allowed = how & 1,
			.ats_enabled = how & 2,
		};

		if (i % 512 == 0) {
			hw = vste_hw(prandom_u32_state(&rnd) % NUM_HW);
			hw.ipa_bits = 32 + prandom_u32_state(&rnd) % 21;
			vste_hw_limits(&hw, &limits);
		}
		host.stall_model = hw.stall_model;
		if (how & 0xc) {
			w0 &= 0xf80fffffffffffff;
			w1 &= 0x180000ff;
		}
		if (how & 0x10)
			w0 &= ~0x000fffffffffffc0ULL |
			      (BIT_ULL(hw.ipa_bits) - 1);
		if (how & 0x20)
			w0 = (w0 & ~0xeULL) | 0xb;
		if (how & 0x40)
			w0 &= ~0xf000000000000000ULL;
		if (!vste_compare(test, &hw, &limits, w0, w1))
			return;
		if (!vste_oracle(&hw, w0, w1, out))
			continue;
		passed++;
		if (!vste_compare_nested(test, vste_s2, out, &host))
			return;
	}
	kunit_info(test, "%u of %u STEs were legal\n", passed, NUM_RANDOM);
	KUNIT_EXPECT_GT(test, passed, NUM_RANDOM / 10);
	KUNIT_EXPECT_LT(test, passed, NUM_RANDOM / 10 * 9);
}

static void vste_test_limits(struct kunit *test)
{
	struct arm_smmu_vste_limits limits;

	arm_smmu_vste_limits_init(&limits, 0, 0, 44);
	KUNIT_EXPECT_FALSE(test, limits.cd2l);
	KUNIT_EXPECT_EQ(test, 0, limits.stall_model);
	KUNIT_EXPECT_EQ(test, 0, limits.ssid_bits);
	KUNIT_EXPECT_EQ(test, 44, limits.ipa_bits);

	arm_smmu_vste_limits_init(&limits, 1 << 19 | 2 << 24, 16 << 6, 300);
	KUNIT_EXPECT_TRUE(test, limits.cd2l);
	KUNIT_EXPECT_EQ(test, 2, limits.stall_model);
	KUNIT_EXPECT_EQ(test, 16, limits.ssid_bits);
	KUNIT_EXPECT_EQ(test, 64, limits.ipa_bits);

	arm_smmu_vste_limits_init(&limits, 0, 31 << 6, 44);
	KUNIT_EXPECT_EQ(test, 20, limits.ssid_bits);
}

static struct kunit_case arm_smmu_vste_cases[] = {
	KUNIT_CASE(vste_test_examples),
	KUNIT_CASE(vste_test_limits),
	KUNIT_CASE(vste_test_bits),
	KUNIT_CASE_SLOW(vste_test_fields),
	KUNIT_CASE(vste_test_s1contextptr),
	KUNIT_CASE(vste_test_predicates),
	KUNIT_CASE(vste_test_nested_examples),
	KUNIT_CASE(vste_test_nested),
	KUNIT_CASE_SLOW(vste_test_random),
	{},
};

static struct kunit_suite arm_smmu_vste_suite = {
	.name = "arm-smmu-v3-vste",
	.test_cases = arm_smmu_vste_cases,
};

kunit_test_suites(&arm_smmu_vste_suite);
