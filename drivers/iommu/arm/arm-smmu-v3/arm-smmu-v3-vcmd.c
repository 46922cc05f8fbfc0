// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm SMMUv3: checking a guest's commands
 *
 * A guest's command goes to the one command queue that the host and all other
 * guests of the SMMU share. The SMMU stops that queue when it meets a command it
 * calls illegal, and takes the VMID and the StreamID of a command at face value.
 * So, whatever 128 bits the guest comes up with, a command that passes here
 *
 *  - has no bit set that is RES0 on this SMMU and no combination of values that
 *    is ILLEGAL, Reserved or out of range: no conforming SMMU can answer it with
 *    CERROR_ILL (IHI 0070, sections 4.1.3 and 7.1),
 *  - carries the VMID of the vIOMMU if it has a VMID, and the StreamID of one of
 *    the vIOMMU's devices if it has a StreamID,
 *  - sends a device nothing that it was not made for: no ATC_INV without ATS, and
 *    none with a PASID without those,
 *  - has the effect on this guest's translations that the guest asked for.
 *
 * All others are CERROR_ILL, as the guest would see from an SMMU of its own that
 * checks everything. What the architecture says is IGNORED is cleared instead: a
 * guest may leave anything there. So is the PASID of an ATC_INV for a device without.
 * Addresses are not checked, an odd one only has odd effects on the guest itself.
 *
 * "Word 0" and "word 1" are bits 63:0 and 127:64 of a command. "Guest" is the
 * command as it comes, "host" the one for the physical queue.
 *
 * arm_smmu_vcmd_ops[] has a row per command. arm_smmu_vcmd_limits_init() boils
 * it down to masks for one SMMU, so that a command costs a table look-up, two
 * mask compares and what its row says in .checks.
 */
#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include <kunit/visibility.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-vcmd.h"

/* The driver itself has no use for it */
#define CMDQ_OP_TLBI_NH_VAA	0x13

#define VCMD_IDR5_DS		BIT(7)
#define VCMD_SSIDSIZE_MAX	20

/* With IDR5.DS, SCALE has a sixth bit */
#define VCMD_TLBI_0_SCALE_DS	GENMASK_ULL(25, 20)
#define VCMD_TLBI_SCALE_MAX	39
/* NUM, SCALE and what is RES0 around them */
#define VCMD_TLBI_0_RANGE	GENMASK_ULL(31, 12)
#define VCMD_TLBI_1_TG_TTL	(CMDQ_TLBI_1_TG | CMDQ_TLBI_1_TTL)
#define VCMD_TLBI_0_ASID_LOW	GENMASK_ULL(55, 48)
#define VCMD_TLBI_TG_16K	2
/* Of the commands that have one */
#define VCMD_1_ADDRESS		GENMASK_ULL(63, 12)

/* Features of the SMMU that give bits of a command a meaning */
enum {
	VCMD_ALWAYS,
	VCMD_ASID16,
	VCMD_RIL,
	VCMD_RIL_DS,
	VCMD_SSID,
	VCMD_NUM_FEATS,
};

/* Checks beyond the masks; arm_smmu_vcmd_rule::checks */
#define VCMD_CHECK_RANGE	BIT(0)
#define VCMD_CHECK_STREAM	BIT(1)
#define VCMD_CHECK_ATC		BIT(2)

/*
 * @opcode: What the guest says
 * @host_opcode: What the SMMU gets instead, 0 for the same
 * @needs_s1p: Illegal without IDR0.S1P
 * @needs_ats: Illegal without IDR0.ATS
 * @set_vmid: VMID field gets the vIOMMU's VMID. A guest sees no stage 2, so the
 *            field is RES0 for it.
 * @ssid: SubstreamID field takes as many bits as IDR1.SSIDSIZE says
 * @checks: VCMD_CHECK_*
 * @w0: Bits of word 0 that a feature of the SMMU makes the guest's
 * @w1: Bits of word 1 that a feature of the SMMU makes the guest's
 */
struct arm_smmu_vcmd_op {
	u8 opcode;
	u8 host_opcode;
	unsigned int needs_s1p : 1;
	unsigned int needs_ats : 1;
	unsigned int set_vmid : 1;
	unsigned int ssid : 1;
	u32 checks;
	u64 w0[VCMD_NUM_FEATS];
	u64 w1[VCMD_NUM_FEATS];
};

static const struct arm_smmu_vcmd_op arm_smmu_vcmd_ops[] = {
	{
		/* Everything of everybody: of this guest, that is its VMID's */
		.opcode			= CMDQ_OP_TLBI_NSNH_ALL,
		.host_opcode		= CMDQ_OP_TLBI_NH_ALL,
		.needs_s1p		= 1,
		.set_vmid		= 1,
	},
	{
		.opcode			= CMDQ_OP_TLBI_NH_ALL,
		.needs_s1p		= 1,
		.set_vmid		= 1,
	},
	{
		.opcode			= CMDQ_OP_TLBI_NH_ASID,
		.needs_s1p		= 1,
		.set_vmid		= 1,
		.w0[VCMD_ALWAYS]	= VCMD_TLBI_0_ASID_LOW,
		.w0[VCMD_ASID16]	= CMDQ_TLBI_0_ASID,
	},
	{
		.opcode			= CMDQ_OP_TLBI_NH_VA,
		.needs_s1p		= 1,
		.set_vmid		= 1,
		.checks			= VCMD_CHECK_RANGE,
		.w0[VCMD_ALWAYS]	= VCMD_TLBI_0_ASID_LOW,
		.w0[VCMD_ASID16]	= CMDQ_TLBI_0_ASID,
		.w0[VCMD_RIL]		= CMDQ_TLBI_0_NUM | CMDQ_TLBI_0_SCALE,
		.w0[VCMD_RIL_DS]	= VCMD_TLBI_0_SCALE_DS,
		.w1[VCMD_ALWAYS]	= CMDQ_TLBI_1_LEAF | CMDQ_TLBI_1_VA_MASK,
		.w1[VCMD_RIL]		= CMDQ_TLBI_1_TTL | CMDQ_TLBI_1_TG,
	},
	{
		.opcode			= CMDQ_OP_TLBI_NH_VAA,
		.needs_s1p		= 1,
		.set_vmid		= 1,
		.checks			= VCMD_CHECK_RANGE,
		.w0[VCMD_RIL]		= CMDQ_TLBI_0_NUM | CMDQ_TLBI_0_SCALE,
		.w0[VCMD_RIL_DS]	= VCMD_TLBI_0_SCALE_DS,
		.w1[VCMD_ALWAYS]	= CMDQ_TLBI_1_LEAF | CMDQ_TLBI_1_VA_MASK,
		.w1[VCMD_RIL]		= CMDQ_TLBI_1_TTL | CMDQ_TLBI_1_TG,
	},
	{
		.opcode			= CMDQ_OP_CFGI_CD,
		.needs_s1p		= 1,
		.ssid			= 1,
		.checks			= VCMD_CHECK_STREAM,
		.w0[VCMD_ALWAYS]	= CMDQ_CFGI_0_SID,
		.w1[VCMD_ALWAYS]	= CMDQ_CFGI_1_LEAF,
	},
	{
		.opcode			= CMDQ_OP_CFGI_CD_ALL,
		.needs_s1p		= 1,
		.checks			= VCMD_CHECK_STREAM,
		.w0[VCMD_ALWAYS]	= CMDQ_CFGI_0_SID,
	},
	{
		/* G and SubstreamID are IGNORED without SSV, not RES0 */
		.opcode			= CMDQ_OP_ATC_INV,
		.needs_ats		= 1,
		.checks			= VCMD_CHECK_STREAM | VCMD_CHECK_ATC,
		.w0[VCMD_ALWAYS]	= CMDQ_ATC_0_SID | CMDQ_ATC_0_SSID |
					  CMDQ_ATC_0_GLOBAL,
		.w0[VCMD_SSID]		= CMDQ_0_SSV,
		.w1[VCMD_ALWAYS]	= CMDQ_ATC_1_SIZE | CMDQ_ATC_1_ADDR_MASK,
	},
};

static_assert(ARRAY_SIZE(arm_smmu_vcmd_ops) + 1 == ARM_SMMU_VCMD_NUM_RULES);

static u64 arm_smmu_vcmd_ssid_mask(const struct arm_smmu_vcmd_limits *limits)
{
	return FIELD_PREP(CMDQ_CFGI_0_SSID, BIT_ULL(limits->ssid_bits) - 1);
}

/*
 * NUM, SCALE, TG and TTL: IHI 0070, section 4.4.1.1. All that matters of NUM and
 * SCALE is whether there is a range, so arm_smmu_vcmd_limits::ranges has the
 * answers for all commands: bit n is for n = {range, TG, TTL}.
 */
static bool arm_smmu_vcmd_range_ok(const struct arm_smmu_vcmd_limits *limits,
				   bool range, unsigned int tg,
				   unsigned int ttl)
{
	/* Any granule: no range and no level hint, their fields are RES0 */
	if (!tg)
		return !range && !ttl;

	/*
	 * No level 1 leaves with this granule: Reserved. The SMMU takes it as
	 * no hint, and then raises CERROR_ILL for a range of one.
	 */
	if (tg == VCMD_TLBI_TG_16K && ttl == 1 && !limits->ds)
		return false;

	/* A granule with neither range nor hint is Reserved */
	return range || ttl;
}

/**
 * arm_smmu_vcmd_limits_init() - Work out what an SMMU takes from a guest
 * @limits: To fill in
 * @idr0: SMMU_IDR0 of the physical SMMU, as read
 * @idr1: SMMU_IDR1
 * @idr3: SMMU_IDR3
 * @idr5: SMMU_IDR5
 * @vmid: The VMID of the vIOMMU, allocated from this SMMU and never 0
 */
void arm_smmu_vcmd_limits_init(struct arm_smmu_vcmd_limits *limits, u32 idr0,
			       u32 idr1, u32 idr3, u32 idr5, u16 vmid)
{
	bool have[VCMD_NUM_FEATS] = {};
	unsigned int i, feat;

	memset(limits, 0, sizeof(*limits));
	limits->vmid = vmid;
	limits->s1p = idr0 & IDR0_S1P;
	limits->ats = idr0 & IDR0_ATS;
	limits->asid16 = idr0 & IDR0_ASID16;
	limits->ril = idr3 & IDR3_RIL;
	limits->ds = idr5 & VCMD_IDR5_DS;
	limits->ssid_bits = min_t(u32, FIELD_GET(IDR1_SSIDSIZE, idr1),
				  VCMD_SSIDSIZE_MAX);

	have[VCMD_ALWAYS] = true;
	have[VCMD_ASID16] = limits->asid16;
	have[VCMD_RIL] = limits->ril;
	have[VCMD_RIL_DS] = limits->ril && limits->ds;
	have[VCMD_SSID] = limits->ssid_bits;

	for (i = 0; i < 32; i++)
		if (arm_smmu_vcmd_range_ok(limits, i >> 4, (i >> 2) & 3, i & 3))
			limits->ranges |= BIT(i);

	/* Rule 0: what is left of word 0 is 0 and never matches */
	limits->rules[0].keep[0] = ~0ULL;
	limits->rules[0].match = 1;

	for (i = 0; i < ARRAY_SIZE(arm_smmu_vcmd_ops); i++) {
		const struct arm_smmu_vcmd_op *op = &arm_smmu_vcmd_ops[i];
		struct arm_smmu_vcmd_rule *rule = &limits->rules[i + 1];

		if ((op->needs_s1p && !limits->s1p) ||
		    (op->needs_ats && !limits->ats))
			continue;

		for (feat = 0; feat < VCMD_NUM_FEATS; feat++) {
			if (!have[feat])
				continue;
			rule->keep[0] |= op->w0[feat];
			rule->keep[1] |= op->w1[feat];
		}
		if (op->ssid)
			rule->keep[0] |= arm_smmu_vcmd_ssid_mask(limits);

		rule->match = op->opcode;
		rule->set = op->host_opcode ?: op->opcode;
		if (op->set_vmid)
			rule->set |= FIELD_PREP(CMDQ_TLBI_0_VMID, vmid);
		rule->checks = op->checks;
		limits->index[op->opcode] = i + 1;
	}
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vcmd_limits_init);

/* SSV, G, SubstreamID and Size: IHI 0070, section 4.5.1 */
static bool arm_smmu_vcmd_atc_ok(const struct arm_smmu_vcmd_limits *limits,
				 u64 *w0, u64 w1)
{
	if (FIELD_GET(CMDQ_ATC_1_SIZE, w1) > ATC_INV_SIZE_ALL)
		return false;

	if (!(*w0 & CMDQ_0_SSV)) {
		*w0 &= ~(CMDQ_ATC_0_GLOBAL | CMDQ_ATC_0_SSID);
		return true;
	}
	return !(*w0 & CMDQ_ATC_0_SSID & ~arm_smmu_vcmd_ssid_mask(limits));
}

/* The rest of a command that names a device; out of the way of the TLBIs */
static noinline bool
arm_smmu_vcmd_convert_stream(const struct arm_smmu_vcmd_limits *limits,
			     arm_smmu_vcmd_lookup_fn lookup, void *ctx,
			     u32 checks, u64 w0, u64 w1, u64 host[2])
{
	struct arm_smmu_vcmd_target target;

	if ((checks & VCMD_CHECK_ATC) && !arm_smmu_vcmd_atc_ok(limits, &w0, w1))
		return false;

	if (!lookup(ctx, FIELD_GET(CMDQ_CFGI_0_SID, w0), &target))
		return false;
	if ((checks & VCMD_CHECK_ATC) && !target.ats)
		return false;
	/* What has no PASIDs has nothing in its ATC that is tagged with one */
	if ((checks & VCMD_CHECK_ATC) && !target.pasid)
		w0 &= ~(CMDQ_0_SSV | CMDQ_ATC_0_GLOBAL | CMDQ_ATC_0_SSID);

	w0 &= ~CMDQ_CFGI_0_SID;
	host[0] = w0 | FIELD_PREP(CMDQ_CFGI_0_SID, target.sid);
	host[1] = w1;
	return true;
}

static const struct arm_smmu_vcmd_rule *
arm_smmu_vcmd_find_rule(const struct arm_smmu_vcmd_limits *limits, u64 w0)
{
	size_t index = limits->index[FIELD_GET(CMDQ_0_OP, w0)];

	return &limits->rules[index];
}

static __always_inline bool
arm_smmu_vcmd_convert(const struct arm_smmu_vcmd_limits *limits,
		      const struct arm_smmu_vcmd_rule *rule,
		      arm_smmu_vcmd_lookup_fn lookup, void *ctx,
		      u64 w0, u64 w1, u64 host[2])
{
	if ((w0 & ~rule->keep[0]) != rule->match || (w1 & ~rule->keep[1]))
		return false;

	/* Without range and hint there is nothing to go wrong */
	if ((rule->checks & VCMD_CHECK_RANGE) &&
	    ((w0 & VCMD_TLBI_0_RANGE) | (w1 & VCMD_TLBI_1_TG_TTL))) {
		unsigned int n = FIELD_GET(VCMD_TLBI_1_TG_TTL, w1);

		if (w0 & VCMD_TLBI_0_RANGE)
			n |= BIT(4);
		if (!(limits->ranges & BIT(n)) ||
		    FIELD_GET(VCMD_TLBI_0_SCALE_DS, w0) > VCMD_TLBI_SCALE_MAX)
			return false;
	}

	w0 = (w0 & rule->keep[0]) | rule->set;
	if (rule->checks & VCMD_CHECK_STREAM)
		return arm_smmu_vcmd_convert_stream(limits, lookup, ctx,
						    rule->checks, w0, w1, host);

	host[0] = w0;
	host[1] = w1;
	return true;
}

/**
 * arm_smmu_vcmd_check() - Check a guest's command and make the host's of it
 * @limits: From arm_smmu_vcmd_limits_init()
 * @lookup: Called once at most, for a command that has a StreamID and is
 *          otherwise right
 * @ctx: For @lookup
 * @guest: The guest's command, a copy that it can't change any more; CPU-endian
 * @host: Filled in for the physical command queue, CPU-endian; may be @guest.
 *        Left alone if the command is refused.
 *
 * Any context that @lookup can be called in.
 *
 * Return: A code of CMDQ_CONS.ERR: %IOMMU_ARM_SMMUV3_CERROR_NONE, or
 * %IOMMU_ARM_SMMUV3_CERROR_ILL for a command that the guest can't have
 */
u32 arm_smmu_vcmd_check(const struct arm_smmu_vcmd_limits *limits,
			arm_smmu_vcmd_lookup_fn lookup, void *ctx,
			const u64 guest[2], u64 host[2])
{
	const struct arm_smmu_vcmd_rule *rule =
		arm_smmu_vcmd_find_rule(limits, guest[0]);

	return arm_smmu_vcmd_convert(limits, rule, lookup, ctx, guest[0],
				     guest[1], host) ?
		       CMDQ_ERR_CERROR_NONE_IDX :
		       CMDQ_ERR_CERROR_ILL_IDX;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vcmd_check);

/**
 * arm_smmu_vcmd_check_array() - Do arm_smmu_vcmd_check() on an array, in place
 * @limits: From arm_smmu_vcmd_limits_init()
 * @lookup: As for arm_smmu_vcmd_check()
 * @ctx: For @lookup
 * @cmds: @n commands of two words each; CPU-endian
 * @n: Number of commands
 *
 * Return: How many commands at the start of @cmds passed and are the host's
 * now. If that is less than @n the next one is %IOMMU_ARM_SMMUV3_CERROR_ILL; it
 * and those behind it were left alone.
 */
unsigned int arm_smmu_vcmd_check_array(const struct arm_smmu_vcmd_limits *limits,
				       arm_smmu_vcmd_lookup_fn lookup,
				       void *ctx, u64 *cmds, unsigned int n)
{
	u64 *cmd = cmds, *end = cmds + (size_t)n * CMDQ_ENT_DWORDS;
	const struct arm_smmu_vcmd_rule *rule;
	u64 w0, w1, host, address;

	while (cmd != end) {
		w0 = cmd[0];
		w1 = cmd[1];
		rule = arm_smmu_vcmd_find_rule(limits, w0);
		if (!arm_smmu_vcmd_convert(limits, rule, lookup, ctx, w0, w1,
					   cmd))
			break;

		/*
		 * A guest that unmaps sends many of a kind. Those with another
		 * address alone are as legal, and their word 0 becomes the same.
		 */
		host = cmd[0];
		cmd += CMDQ_ENT_DWORDS;
		if (cmd == end || cmd[0] != w0)
			continue;
		address = rule->keep[1] & VCMD_1_ADDRESS;
		for (; cmd != end; cmd += CMDQ_ENT_DWORDS) {
			if (cmd[0] != w0 || ((cmd[1] ^ w1) & ~address))
				break;
			cmd[0] = host;
		}
	}
	return (size_t)(cmd - cmds) / CMDQ_ENT_DWORDS;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vcmd_check_array);
