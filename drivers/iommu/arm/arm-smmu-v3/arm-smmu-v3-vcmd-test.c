// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm SMMUv3: tests of the check of a guest's commands
 *
 * What a guest may say is written down here a second time, with plain numbers
 * out of sections 4.3 to 4.5 of IHI 0070 and nothing of the driver's macros: a
 * table of the bits that may be set and a function with the rules that a table
 * can't say. All tests but the first compare the two.
 */
#include <kunit/test.h>
#include <linux/prandom.h>

#include "arm-smmu-v3-vcmd.h"

#define ILL		1	/* CMDQ_CONS.ERR */
#define VMID		0x1234
#define VSID		0x00000042
#define SID		0xfeed0117
#define VSID_NO_ATS	0x80000001
#define SID_NO_ATS	0x00000009
#define VSID_NO_PASID	0x00abcdef
#define SID_NO_PASID	0x0000ffff
#define POISON		0xdeadbeefdeadbeefULL

/* Values of ID register fields */
struct vcmd_hw {
	bool s1p, ats, asid16, ril, ds;
	unsigned int ssidsize;
};

struct vcmd_lookups {
	unsigned int calls;
	u32 vsid;
};

static bool vcmd_test_lookup(void *ctx, u32 vsid,
			     struct arm_smmu_vcmd_target *target)
{
	struct vcmd_lookups *lookups = ctx;

	lookups->calls++;
	lookups->vsid = vsid;
	switch (vsid) {
	case VSID:
		*target = (struct arm_smmu_vcmd_target){ SID, true, true };
		return true;
	case VSID_NO_ATS:
		*target = (struct arm_smmu_vcmd_target){ SID_NO_ATS, false };
		return true;
	case VSID_NO_PASID:
		*target = (struct arm_smmu_vcmd_target){ SID_NO_PASID, true };
		return true;
	default:
		return false;
	}
}

/* All other bits of the registers are 1, they must not matter */
static void vcmd_hw_limits(const struct vcmd_hw *hw,
			   struct arm_smmu_vcmd_limits *limits)
{
	u32 idr0 = ~(1U << 1 | 1U << 10 | 1U << 12);
	u32 idr1 = ~(0x1fU << 6);
	u32 idr3 = ~(1U << 10);
	u32 idr5 = ~(1U << 7);

	idr0 |= hw->s1p << 1 | hw->ats << 10 | hw->asid16 << 12;
	idr1 |= hw->ssidsize << 6;
	idr3 |= hw->ril << 10;
	idr5 |= hw->ds << 7;
	arm_smmu_vcmd_limits_init(limits, idr0, idr1, idr3, idr5, VMID);
}

/* The combinations that differ: 2 * 2 * 2 * SSIDSIZE 4 * 2 * 2 */
#define NUM_HW 128

static struct vcmd_hw vcmd_hw(unsigned int n)
{
	static const unsigned int ssidsize[] = { 0, 1, 8, 20 };
	struct vcmd_hw hw = {};

	hw.s1p = n % 2;
	n /= 2;
	hw.ats = n % 2;
	n /= 2;
	hw.asid16 = n % 2;
	n /= 2;
	hw.ssidsize = ssidsize[n % 4];
	n /= 4;
	hw.ril = n % 2;
	hw.ds = n / 2;
	return hw;
}

/*
 * The oracle
 */
enum { OLD, RIL, RIL_DS };

struct vcmd_masks {
	u8 op;
	u64 bits[3][2];
};

static const struct vcmd_masks vcmd_masks[] = {
	{ 0x30, { { 0x00000000000000ff, 0 },
		  { 0x00000000000000ff, 0 },
		  { 0x00000000000000ff, 0 } } },
	{ 0x10, { { 0x0000ffff000000ff, 0 },
		  { 0x0000ffff000000ff, 0 },
		  { 0x0000ffff000000ff, 0 } } },
	{ 0x11, { { 0xffffffff000000ff, 0 },
		  { 0xffffffff000000ff, 0 },
		  { 0xffffffff000000ff, 0 } } },
	{ 0x12, { { 0xffffffff000000ff, 0xfffffffffffff001 },
		  { 0xffffffff01f1f0ff, 0xffffffffffffff01 },
		  { 0xffffffff03f1f0ff, 0xffffffffffffff01 } } },
	{ 0x13, { { 0x0000ffff000000ff, 0xfffffffffffff001 },
		  { 0x0000ffff01f1f0ff, 0xffffffffffffff01 },
		  { 0x0000ffff03f1f0ff, 0xffffffffffffff01 } } },
	{ 0x40, { { 0xfffffffffffffaff, 0xfffffffffffff03f },
		  { 0xfffffffffffffaff, 0xfffffffffffff03f },
		  { 0xfffffffffffffaff, 0xfffffffffffff03f } } },
	{ 0x05, { { 0xfffffffffffff0ff, 0x0000000000000001 },
		  { 0xfffffffffffff0ff, 0x0000000000000001 },
		  { 0xfffffffffffff0ff, 0x0000000000000001 } } },
	{ 0x06, { { 0xffffffff000000ff, 0 },
		  { 0xffffffff000000ff, 0 },
		  { 0xffffffff000000ff, 0 } } },
};

static const struct vcmd_masks *vcmd_find_masks(u8 op)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vcmd_masks); i++)
		if (vcmd_masks[i].op == op)
			return &vcmd_masks[i];
	return NULL;
}

static bool vcmd_oracle(const struct vcmd_hw *hw, const u64 in[2], u64 out[2])
{
	const struct vcmd_masks *masks = vcmd_find_masks(in[0] & 0xff);
	const u64 *bits;
	u8 op = in[0] & 0xff;
	bool is_va = op == 0x12 || op == 0x13;
	bool is_tlbi = op >= 0x10 && op <= 0x30;

	if (!masks)
		return false;
	bits = masks->bits[!hw->ril ? OLD : !hw->ds ? RIL : RIL_DS];
	if ((in[0] & ~bits[0]) || (in[1] & ~bits[1]))
		return false;

	/* 4.5.1, and 4.3.3 and 4.4.2 */
	if (op == 0x40 ? !hw->ats : !hw->s1p)
		return false;
	/* The guest has no stage 2, hence no VMID */
	if (is_tlbi && (in[0] & 0x0000ffff00000000))
		return false;
	if ((op == 0x11 || op == 0x12) && !hw->asid16 && in[0] >> 56)
		return false;
	if (op == 0x05 && ((in[0] >> 12) & 0xfffff) >> hw->ssidsize)
		return false;

	/* 4.4.1.1 */
	if (is_va) {
		unsigned int num = (in[0] >> 12) & 0x1f;
		unsigned int scale = (in[0] >> 20) & 0x3f;
		unsigned int ttl = (in[1] >> 8) & 3;
		unsigned int tg = (in[1] >> 10) & 3;

		if (tg == 0 && (num || scale || ttl))
			return false;
		if (tg != 0 && !num && !scale && !ttl)
			return false;
		if (tg == 2 && ttl == 1 && !hw->ds)
			return false;
		if (scale > 39)
			return false;
	}

	out[0] = in[0];
	out[1] = in[1];
	if (is_tlbi)
		out[0] |= (u64)VMID << 32;
	if (op == 0x30)
		out[0] ^= 0x30 ^ 0x10;

	if (op == 0x40) {
		if ((in[1] & 0x3f) > 52)
			return false;
		if (in[0] & 0x800) {
			if (!hw->ssidsize ||
			    ((in[0] >> 12) & 0xfffff) >> hw->ssidsize)
				return false;
		} else {
			/* IGNORED */
			out[0] &= ~0x00000000fffff200ULL;
		}
	}

	if (!is_tlbi) {
		u32 vsid = in[0] >> 32;

		if (vsid != VSID && vsid != VSID_NO_PASID &&
		    (vsid != VSID_NO_ATS || op == 0x40))
			return false;
		out[0] &= 0xffffffff;
		out[0] |= (u64)(vsid == VSID	    ? SID :
				vsid == VSID_NO_ATS ? SID_NO_ATS :
						      SID_NO_PASID) << 32;
		/* SSV, Global, SubstreamID: nothing of it to the device */
		if (op == 0x40 && vsid == VSID_NO_PASID)
			out[0] &= ~0x00000000fffffa00ULL;
	}
	return true;
}

/* What must hold for all commands; false after a report */
static bool vcmd_compare(struct kunit *test, const struct vcmd_hw *hw,
			 const struct arm_smmu_vcmd_limits *limits,
			 u64 w0, u64 w1)
{
	const u64 in[2] = { w0, w1 };
	u64 host[2] = { POISON, ~POISON }, want[2] = { POISON, ~POISON };
	struct vcmd_lookups lookups = {};
	bool ok = vcmd_oracle(hw, in, want);
	u32 code;

	if (!ok) {
		want[0] = POISON;
		want[1] = ~POISON;
	}
	code = arm_smmu_vcmd_check(limits, vcmd_test_lookup, &lookups, in, host);
	if (code == (ok ? 0 : ILL) && host[0] == want[0] && host[1] == want[1] &&
	    lookups.calls <= 1)
		return true;

	KUNIT_FAIL(test,
		   "%016llx %016llx (s1p %d ats %d asid16 %d ril %d ds %d ssidsize %u): code %u, %016llx %016llx; want %s, %016llx %016llx; %u lookups",
		   w0, w1, hw->s1p, hw->ats, hw->asid16, hw->ril, hw->ds,
		   hw->ssidsize, code, host[0], host[1], ok ? "0" : "ILL",
		   want[0], want[1], lookups.calls);
	return false;
}

/*
 * The tests
 */
static const struct vcmd_hw vcmd_hw_all = {
	.s1p = true, .ats = true, .asid16 = true, .ril = true, .ds = true,
	.ssidsize = 20,
};

static const struct vcmd_hw vcmd_hw_ril = {
	.s1p = true, .ats = true, .asid16 = true, .ril = true, .ssidsize = 20,
};

static const struct vcmd_hw vcmd_hw_min = { .s1p = true };

/* By hand, without the oracle: which bits a command ends up with */
static void vcmd_test_examples(struct kunit *test)
{
	static const struct {
		const struct vcmd_hw *hw;
		u64 in[2];
		u32 code;
		u64 out[2];
	} cases[] = {
		/* Rewritten: opcode, VMID, StreamID */
		{ &vcmd_hw_min, { 0x30, 0 }, 0, { 0x0000123400000010, 0 } },
		{ &vcmd_hw_min, { 0x10, 0 }, 0, { 0x0000123400000010, 0 } },
		{ &vcmd_hw_min, { 0x0056000000000011, 0 },
		  0, { 0x0056123400000011, 0 } },
		{ &vcmd_hw_min, { 0x0056000000000012, 0x0000ffff12345001 },
		  0, { 0x0056123400000012, 0x0000ffff12345001 } },
		{ &vcmd_hw_min, { 0x13, 0x0000ffff12345000 },
		  0, { 0x0000123400000013, 0x0000ffff12345000 } },
		{ &vcmd_hw_min, { 0x0000004200000005, 1 },
		  0, { 0xfeed011700000005, 1 } },
		{ &vcmd_hw_min, { 0x0000004200000006, 0 },
		  0, { 0xfeed011700000006, 0 } },
		{ &vcmd_hw_all, { 0x0000004200000040, 0x34 },
		  0, { 0xfeed011700000040, 0x34 } },
		/* Substreams */
		{ &vcmd_hw_all, { 0x00000042fffff005, 0 },
		  0, { 0xfeed0117fffff005, 0 } },
		{ &vcmd_hw_min, { 0x0000004200001005, 0 }, ILL },
		{ &vcmd_hw_all, { 0x0000004200005240, 0x1003 }, 0,
		  { 0xfeed011700000040, 0x1003 } },
		{ &vcmd_hw_all, { 0x0000004200005840, 0x1003 }, 0,
		  { 0xfeed011700005840, 0x1003 } },
		{ &vcmd_hw_all, { 0x0000004200005a40, 0x1003 }, 0,
		  { 0xfeed011700005a40, 0x1003 } },
		{ &vcmd_hw_all, { 0x00000042ffffea40, 0x1003 }, 0,
		  { 0xfeed0117ffffea40, 0x1003 } },
		/* A device that must not be sent one */
		{ &vcmd_hw_all, { 0x00abcdef00005a40, 0x1003 }, 0,
		  { 0x0000ffff00000040, 0x1003 } },
		{ &vcmd_hw_all, { 0x00abcdefffffe840, 0x34 }, 0,
		  { 0x0000ffff00000040, 0x34 } },
		{ &vcmd_hw_all, { 0x00abcdef00001005, 0 }, 0,
		  { 0x0000ffff00001005, 0 } },
		/* What real SMMUs refuse */
		{ &vcmd_hw_all, { 0x0000004200000405, 0 }, ILL },	/* SSec */
		{ &vcmd_hw_all, { 0x0000004200000406, 0 }, ILL },
		{ &vcmd_hw_min, { 0x0000004200000040, 0 }, ILL },	/* no ATS */
		{ &vcmd_hw_ril, { 0x12, 0x400 }, ILL },	/* 4K, nothing else */
		{ &vcmd_hw_ril, { 0x12, 0x900 }, ILL },	/* 16K, level 1 */
		{ &vcmd_hw_all, { 0x12, 0x900 },
		  0, { 0x0000123400000012, 0x900 } },
		{ &vcmd_hw_ril, { 0x1012, 0 }, ILL },	/* NUM without TG */
		{ &vcmd_hw_ril, { 0x100012, 0 }, ILL },	/* SCALE without TG */
		{ &vcmd_hw_ril, { 0x12, 0x300 }, ILL },	/* TTL without TG */
		{ &vcmd_hw_ril, { 0x2000012, 0x400 }, ILL },
		{ &vcmd_hw_all, { 0x2000012, 0x400 },
		  0, { 0x0000123402000012, 0x400 } },
		{ &vcmd_hw_all, { 0x2800012, 0x400 }, ILL },	/* SCALE 40 */
		{ &vcmd_hw_all, { 0x12, 0x780 }, ILL },		/* TTL128 */
		{ &vcmd_hw_all, { 0x0000004200000040, 0x35 }, ILL },
		{ &vcmd_hw_min, { 0x0100000000000011, 0 }, ILL },	/* ASID */
		{ &vcmd_hw_min, { 0x0000000100000011, 0 }, ILL },	/* VMID */
		/* Not the guest's devices */
		{ &vcmd_hw_all, { 0x0000004300000005, 0 }, ILL },
		{ &vcmd_hw_all, { 0xfeed011700000006, 0 }, ILL },
		{ &vcmd_hw_all, { 0x8000000100000006, 0 },
		  0, { 0x0000000900000006, 0 } },
		{ &vcmd_hw_all, { 0x8000000100000040, 0x34 }, ILL },
		/* Not the guest's commands */
		{ &vcmd_hw_all, { 0x0000004200000003, 0 }, ILL },
		{ &vcmd_hw_all, { 0x04, 0x1f }, ILL },
		{ &vcmd_hw_all, { 0x20, 0 }, ILL },
		{ &vcmd_hw_all, { 0x28, 0 }, ILL },
		{ &vcmd_hw_all, { 0x46, 0 }, ILL },
		{ &vcmd_hw_all, { 0, 0 }, ILL },
		{ &vcmd_hw_all, { ~0ULL, 0 }, ILL },
	};
	struct arm_smmu_vcmd_limits limits;
	struct vcmd_lookups lookups;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 host[2] = {};

		vcmd_hw_limits(cases[i].hw, &limits);
		KUNIT_EXPECT_EQ_MSG(test, cases[i].code,
				    arm_smmu_vcmd_check(&limits,
							vcmd_test_lookup,
							&lookups, cases[i].in,
							host),
				    "example %u", i);
		KUNIT_EXPECT_EQ_MSG(test, cases[i].out[0], host[0],
				    "example %u", i);
		KUNIT_EXPECT_EQ_MSG(test, cases[i].out[1], host[1],
				    "example %u", i);
	}
}

/* Every opcode; all but eight are refused whatever else they say */
static void vcmd_test_opcodes(struct kunit *test)
{
	static const u64 rest[] = { 0, (u64)VSID << 32, ~0xffULL };
	struct arm_smmu_vcmd_limits limits;
	unsigned int n, op, i, passed;

	for (n = 0; n < NUM_HW; n++) {
		struct vcmd_hw hw = vcmd_hw(n);

		vcmd_hw_limits(&hw, &limits);
		passed = 0;
		for (op = 0; op < 256; op++) {
			bool any = false;

			for (i = 0; i < ARRAY_SIZE(rest); i++) {
				const u64 in[2] = { rest[i] | op, 0 };
				u64 out[2];

				if (!vcmd_compare(test, &hw, &limits, in[0], 0))
					return;
				if (!vcmd_compare(test, &hw, &limits, in[0],
						  ~0ULL))
					return;
				any |= vcmd_oracle(&hw, in, out);
			}
			passed += any;
		}
		KUNIT_EXPECT_EQ(test, passed, hw.s1p * 7 + hw.ats * 1);
	}
}

/* Commands that are legal on an SMMU that has everything */
static const u64 vcmd_legal[][2] = {
	{ 0x30, 0 },
	{ 0x10, 0 },
	{ 0x11, 0 },
	{ 0xffff000000000011, 0 },
	{ 0x12, 0 },
	{ 0x00ff000000000012, 0x0000ffff12345001 },
	{ 0xffff000000000012, 0xfffffffffffff001 },
	{ 0x0001000001f1f012, 0x0000ffff12345401 },
	{ 0x0001000000100012, 0x0000ffff12345b00 },
	{ 0x0001000000001012, 0x0000ffff12345c00 },
	{ 0x0001000000000012, 0x0000ffff12345d01 },
	{ 0x13, 0 },
	{ 0x0000000002700013, 0x0000ffff12345901 },
	{ (u64)VSID << 32 | 0x05, 0 },
	{ (u64)VSID << 32 | 0xfffff005, 1 },
	{ (u64)VSID_NO_ATS << 32 | 0x1005, 1 },
	{ (u64)VSID << 32 | 0x06, 0 },
	{ (u64)VSID << 32 | 0x40, 0x34 },
	{ (u64)VSID << 32 | 0x1840, 0x0000ffff12345000 },
	{ (u64)VSID << 32 | 0xfffffa40, 0xfffffffffffff033 },
	{ (u64)VSID_NO_PASID << 32 | 0xfffffa40, 0xfffffffffffff033 },
};

/* Each of the 128 bits, and each pair of them, of each legal command */
static void vcmd_test_bits(struct kunit *test)
{
	struct arm_smmu_vcmd_limits limits;
	unsigned int n, i, bit;

	for (n = 0; n < NUM_HW; n++) {
		struct vcmd_hw hw = vcmd_hw(n);

		vcmd_hw_limits(&hw, &limits);
		for (i = 0; i < ARRAY_SIZE(vcmd_legal); i++) {
			const u64 *cmd = vcmd_legal[i];

			if (!vcmd_compare(test, &hw, &limits, cmd[0], cmd[1]))
				return;
			for (bit = 0; bit < 64; bit++)
				if (!vcmd_compare(test, &hw, &limits,
						  cmd[0] ^ BIT_ULL(bit),
						  cmd[1]) ||
				    !vcmd_compare(test, &hw, &limits, cmd[0],
						  cmd[1] ^ BIT_ULL(bit)))
					return;
		}
	}
}

static void vcmd_test_bit_pairs(struct kunit *test)
{
	struct arm_smmu_vcmd_limits limits;
	unsigned int i, a, b;

	vcmd_hw_limits(&vcmd_hw_all, &limits);
	for (i = 0; i < ARRAY_SIZE(vcmd_legal); i++) {
		for (a = 0; a < 128; a++) {
			for (b = 0; b < a; b++) {
				u64 cmd[2] = { vcmd_legal[i][0],
					       vcmd_legal[i][1] };

				cmd[a / 64] ^= BIT_ULL(a % 64);
				cmd[b / 64] ^= BIT_ULL(b % 64);
				if (!vcmd_compare(test, &vcmd_hw_all, &limits,
						  cmd[0], cmd[1]))
					return;
			}
		}
	}
}

/* A legal command is one on an SMMU that has everything, or the rest is moot */
static void vcmd_test_legal(struct kunit *test)
{
	struct arm_smmu_vcmd_limits limits;
	struct vcmd_lookups lookups;
	unsigned int i;

	vcmd_hw_limits(&vcmd_hw_all, &limits);
	for (i = 0; i < ARRAY_SIZE(vcmd_legal); i++) {
		u64 host[2];

		KUNIT_EXPECT_EQ_MSG(test, 0,
				    arm_smmu_vcmd_check(&limits,
							vcmd_test_lookup,
							&lookups,
							vcmd_legal[i], host),
				    "command %u", i);
	}
}

/* NUM, SCALE, TTL128, TTL, TG: all values of all of them */
static void vcmd_test_range(struct kunit *test)
{
	struct arm_smmu_vcmd_limits limits;
	unsigned int n, num, scale, low;

	for (n = 0; n < 3; n++) {
		struct vcmd_hw hw = vcmd_hw_all;

		hw.ril = n > 0;
		hw.ds = n > 1;
		vcmd_hw_limits(&hw, &limits);
		for (num = 0; num < 32; num++) {
			for (scale = 0; scale < 64; scale++) {
				for (low = 0; low < 32; low++) {
					u64 w0 = scale << 20 | num << 12;
					u64 w1 = 0x12345000 | low << 7;

					if (!vcmd_compare(test, &hw, &limits,
							  w0 | 0x12, w1) ||
					    !vcmd_compare(test, &hw, &limits,
							  w0 | 0x13, w1))
						return;
				}
			}
		}
	}
}

/* Size, SSV, G, and SubstreamID to either side of each power of two */
static void vcmd_test_atc(struct kunit *test)
{
	struct arm_smmu_vcmd_limits limits;
	unsigned int ssidsize, size, flags, bit;

	for (ssidsize = 0; ssidsize <= 20; ssidsize++) {
		struct vcmd_hw hw = vcmd_hw_all;

		hw.ssidsize = ssidsize;
		vcmd_hw_limits(&hw, &limits);
		for (size = 0; size < 128; size++) {
			for (flags = 0; flags < 16; flags++) {
				for (bit = 0; bit < 21; bit++) {
					u64 ssid = (1ULL << bit) - 1;
					u64 w0 = 0x40 | (u64)VSID << 32 |
						 flags << 8;

					if (!vcmd_compare(test, &hw, &limits,
							  w0 | ssid << 12,
							  size) ||
					    !vcmd_compare(test, &hw, &limits,
							  w0 | ((ssid + 1) & 0xfffff) << 12,
							  size))
						return;
				}
			}
		}
	}
}

/* An SSIDSIZE that the architecture does not have is no licence for more bits */
static void vcmd_test_ssidsize(struct kunit *test)
{
	struct arm_smmu_vcmd_limits limits;
	unsigned int ssidsize;

	for (ssidsize = 21; ssidsize < 32; ssidsize++) {
		struct vcmd_hw hw = vcmd_hw_all;

		hw.ssidsize = ssidsize;
		vcmd_hw_limits(&hw, &limits);
		KUNIT_EXPECT_EQ(test, 20, limits.ssid_bits);
		hw.ssidsize = 20;
		vcmd_compare(test, &hw, &limits, 0x42fffff005, 0);
		vcmd_compare(test, &hw, &limits, 0x42fffff840, 0);
	}
}

/* The lookup: only for a command that names a device, with what it names */
static void vcmd_test_lookups(struct kunit *test)
{
	struct arm_smmu_vcmd_limits limits;
	unsigned int i, bit;

	vcmd_hw_limits(&vcmd_hw_all, &limits);
	for (i = 0; i < ARRAY_SIZE(vcmd_legal); i++) {
		u8 op = vcmd_legal[i][0] & 0xff;
		bool names = op == 0x05 || op == 0x06 || op == 0x40;
		struct vcmd_lookups lookups = {};
		u64 host[2];

		arm_smmu_vcmd_check(&limits, vcmd_test_lookup, &lookups,
				    vcmd_legal[i], host);
		KUNIT_EXPECT_EQ(test, names, lookups.calls);
		if (!names)
			continue;
		KUNIT_EXPECT_EQ(test, vcmd_legal[i][0] >> 32, lookups.vsid);

		/* A neighbour is not the guest's, however close it is */
		for (bit = 32; bit < 64; bit++) {
			u64 cmd[2] = { vcmd_legal[i][0] ^ BIT_ULL(bit),
				       vcmd_legal[i][1] };

			KUNIT_EXPECT_EQ(test, ILL,
					arm_smmu_vcmd_check(&limits,
							    vcmd_test_lookup,
							    &lookups, cmd,
							    host));
			KUNIT_EXPECT_EQ(test, cmd[0] >> 32, lookups.vsid);
		}
	}
}

/* In place; stops at the first bad one and leaves it and the rest alone */
static void vcmd_test_array(struct kunit *test)
{
	struct arm_smmu_vcmd_limits limits;
	struct vcmd_lookups lookups = {};
	const unsigned int n = ARRAY_SIZE(vcmd_legal);
	u64 cmds[ARRAY_SIZE(vcmd_legal)][2];
	unsigned int bad, i;

	vcmd_hw_limits(&vcmd_hw_all, &limits);
	for (bad = 0; bad <= n; bad++) {
		memcpy(cmds, vcmd_legal, sizeof(cmds));
		if (bad < n)
			cmds[bad][0] |= 0x400;

		KUNIT_EXPECT_EQ(test, bad,
				arm_smmu_vcmd_check_array(&limits,
							  vcmd_test_lookup,
							  &lookups, cmds[0],
							  n));
		for (i = 0; i < n; i++) {
			u64 want[2] = { vcmd_legal[i][0], vcmd_legal[i][1] };

			if (i < bad)
				KUNIT_EXPECT_TRUE(test,
						  vcmd_oracle(&vcmd_hw_all,
							      vcmd_legal[i],
							      want));
			else if (i == bad)
				want[0] |= 0x400;
			KUNIT_EXPECT_EQ(test, want[0], cmds[i][0]);
			KUNIT_EXPECT_EQ(test, want[1], cmds[i][1]);
		}
	}
	KUNIT_EXPECT_EQ(test, 0,
			arm_smmu_vcmd_check_array(&limits, vcmd_test_lookup,
						  &lookups, cmds[0], 0));
}

/*
 * Commands in an array become what each becomes alone: twice the same, so that the
 * check does not look at all of it again, and then another
 */
static bool vcmd_compare_array(struct kunit *test, const struct vcmd_hw *hw,
			       const struct arm_smmu_vcmd_limits *limits,
			       const u64 first[2], u64 w0, u64 w1)
{
	u64 cmds[6] = { first[0], first[1], first[0], first[1], w0, w1 };
	u64 want[6];
	struct vcmd_lookups lookups = {};
	unsigned int good, n;

	for (n = 0; n < 3; n++)
		if (!vcmd_oracle(hw, cmds + 2 * n, want + 2 * n))
			break;
	/* Left alone */
	memcpy(want + 2 * n, cmds + 2 * n, sizeof(want) - n * 2 * sizeof(u64));
	good = arm_smmu_vcmd_check_array(limits, vcmd_test_lookup, &lookups,
					 cmds, 3);
	if (good == n && !memcmp(cmds, want, sizeof(cmds)))
		return true;

	KUNIT_FAIL(test, "%016llx %016llx after %016llx %016llx: %u of %u pass",
		   w0, w1, first[0], first[1], good, n);
	return false;
}

/* Legal commands, and then one that differs in a bit, and in its address maybe */
static void vcmd_test_alike(struct kunit *test)
{
	static const u64 address[] = { 0, 0x1000, 0xfffffffffffff000 };
	struct arm_smmu_vcmd_limits limits;
	unsigned int n, i, bit;

	for (n = 0; n < NUM_HW; n++) {
		struct vcmd_hw hw = vcmd_hw(n);

		vcmd_hw_limits(&hw, &limits);
		for (i = 0; i < ARRAY_SIZE(vcmd_legal) * ARRAY_SIZE(address); i++) {
			const u64 *cmd = vcmd_legal[i / ARRAY_SIZE(address)];
			u64 w1 = cmd[1] ^ address[i % ARRAY_SIZE(address)];

			if (!vcmd_compare_array(test, &hw, &limits, cmd, cmd[0], w1))
				return;
			for (bit = 0; bit < 64; bit++)
				if (!vcmd_compare_array(test, &hw, &limits, cmd,
							cmd[0] ^ BIT_ULL(bit),
							w1) ||
				    !vcmd_compare_array(test, &hw, &limits, cmd,
							cmd[0],
							w1 ^ BIT_ULL(bit)))
					return;
		}
	}
}

static u64 vcmd_rand64(struct rnd_state *rnd)
{
	return (u64)prandom_u32_state(rnd) << 32 | prandom_u32_state(rnd);
}

/*
 * Whatever comes: mostly commands that are nearly right, as those that are
 * random in all bits hardly ever get past the first mask.
 */
#define NUM_RANDOM (3 * 1000 * 1000)

static void vcmd_test_random(struct kunit *test)
{
	struct arm_smmu_vcmd_limits limits = {};
	unsigned int i, passed = 0;
	struct rnd_state rnd;
	struct vcmd_hw hw = {};

	prandom_seed_state(&rnd, 0x5ec0de);
	for (i = 0; i < NUM_RANDOM; i++) {
		u32 how = prandom_u32_state(&rnd);
		u64 cmd[2] = { vcmd_rand64(&rnd), vcmd_rand64(&rnd) };
		u64 out[2];

		if (i % 4096 == 0) {
			hw = vcmd_hw(prandom_u32_state(&rnd) % NUM_HW);
			vcmd_hw_limits(&hw, &limits);
		}

		if (how % 8) {
			const struct vcmd_masks *masks =
				&vcmd_masks[(how >> 3) % 8];

			if (how & 0x40)
				cmd[0] &= vcmd_rand64(&rnd);
			if (how & 0x80)
				cmd[1] &= vcmd_rand64(&rnd);
			cmd[0] &= masks->bits[(how >> 8) % 3][0] & ~0xffULL;
			cmd[1] &= masks->bits[(how >> 8) % 3][1];
			cmd[0] |= masks->op;
			if (how & 0x1000)
				cmd[0] &= masks->op <= 0x06 ||
					  masks->op == 0x40 ?
					  0xffffffff : ~0xffff00000000ULL;
			if (cmd[0] >> 32 == 0)
				cmd[0] |= (u64)VSID << 32;
			if (masks->op >= 0x10 && masks->op <= 0x30)
				cmd[0] &= ~0xffff00000000ULL;
			if (how & 0x2000)
				cmd[0] &= ~0x3f1f000ULL;
			if (how & 0x4000)
				cmd[1] &= ~0xf80ULL;
			if ((how & 0x38000) == 0)
				cmd[how >> 31] ^= BIT_ULL((how >> 20) % 64);
		}
		if (!vcmd_compare(test, &hw, &limits, cmd[0], cmd[1]))
			return;
		passed += vcmd_oracle(&hw, cmd, out);
	}
	kunit_info(test, "%u of %u commands were legal\n", passed, NUM_RANDOM);
	KUNIT_EXPECT_GT(test, passed, NUM_RANDOM / 20);
	KUNIT_EXPECT_LT(test, passed, NUM_RANDOM / 20 * 19);
}

static struct kunit_case arm_smmu_vcmd_cases[] = {
	KUNIT_CASE(vcmd_test_examples),
	KUNIT_CASE(vcmd_test_legal),
	KUNIT_CASE(vcmd_test_opcodes),
	KUNIT_CASE_SLOW(vcmd_test_bits),
	KUNIT_CASE_SLOW(vcmd_test_bit_pairs),
	KUNIT_CASE_SLOW(vcmd_test_range),
	KUNIT_CASE_SLOW(vcmd_test_atc),
	KUNIT_CASE(vcmd_test_ssidsize),
	KUNIT_CASE(vcmd_test_lookups),
	KUNIT_CASE(vcmd_test_array),
	KUNIT_CASE(vcmd_test_alike),
	KUNIT_CASE_SLOW(vcmd_test_random),
	{},
};

static struct kunit_suite arm_smmu_vcmd_suite = {
	.name = "arm-smmu-v3-vcmd",
	.test_cases = arm_smmu_vcmd_cases,
};

kunit_test_suites(&arm_smmu_vcmd_suite);

MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING);
MODULE_DESCRIPTION("KUnit tests of the SMMUv3 driver's vIOMMU");
MODULE_LICENSE("GPL");
