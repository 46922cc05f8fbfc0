// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm SMMUv3: checking a guest's STE and making the nested one
 *
 * The guest owns stage 1, and says so in words 0 and 1 of an STE in a stream
 * table that the SMMU never reads. The host owns stage 2 and the STE that the
 * SMMU does read. Whatever the guest writes,
 *
 *  - its S1ContextPtr is only used with stage 2 on, as an IPA,
 *  - VMID, stage 2, STRW, SHCFG and all other fields beyond stage 1's are the
 *    host's; EATS follows the ATS state of the device,
 *  - the STE that comes out is not ILLEGAL, so that a C_BAD_STE on a stream of
 *    a guest never speaks of the host's doing,
 *  - no transaction stalls that nobody would resume.
 *
 * A guest's STE that is ILLEGAL on this SMMU, or that asks for what is not the
 * guest's, is refused. What the architecture says is IGNORED is dropped, as a
 * guest may leave anything there: all fields with V == 0, those of stage 1 if it
 * is off, those of substreams if there are none, EATS without ATS. A Reserved
 * value that "behaves as" another one becomes that one.
 *
 * "Guest" is the STE as it comes, "vSTE" what arm_smmu_vste_check() leaves of
 * it, "s2" the host's STE for the parent alone. All are little-endian, as the
 * SMMU wants them. Sections 5.2 and 3.4.3 of IHI 0070.
 */
#include <linux/bitfield.h>
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include <kunit/visibility.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-vste.h"

#define VSTE_SSIDSIZE_MAX	20

/* The guest's fields: V, Config and those of stage 1 */
#define VSTE_0_S1		(STRTAB_STE_0_S1FMT |		\
				 STRTAB_STE_0_S1CTXPTR_MASK |	\
				 STRTAB_STE_0_S1CDMAX)
#define VSTE_0_ALLOWED		(STRTAB_STE_0_V | STRTAB_STE_0_CFG | VSTE_0_S1)
#define VSTE_1_S1		(STRTAB_STE_1_S1DSS |		\
				 STRTAB_STE_1_S1CIR |		\
				 STRTAB_STE_1_S1COR |		\
				 STRTAB_STE_1_S1CSH |		\
				 STRTAB_STE_1_S1STALLD)
#define VSTE_1_ALLOWED		(VSTE_1_S1 | STRTAB_STE_1_EATS)

#define VSTE_S1FMT_RESERVED	3
#define VSTE_S1DSS_RESERVED	3

/**
 * arm_smmu_vste_limits_init() - Work out what an SMMU takes in a guest's STE
 * @limits: To fill in
 * @idr0: SMMU_IDR0 of the physical SMMU, as read
 * @idr1: SMMU_IDR1
 * @ipa_bits: Size in bits of an input address of the parent's stage 2
 */
void arm_smmu_vste_limits_init(struct arm_smmu_vste_limits *limits, u32 idr0,
			       u32 idr1, unsigned int ipa_bits)
{
	*limits = (struct arm_smmu_vste_limits){
		.cd2l = idr0 & IDR0_CD2L,
		.stall_model = FIELD_GET(IDR0_STALL_MODEL, idr0),
		.ssid_bits = min_t(u32, FIELD_GET(IDR1_SSIDSIZE, idr1),
				   VSTE_SSIDSIZE_MAX),
		.ipa_bits = min(ipa_bits, 64U),
	};
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vste_limits_init);

/* S1CDMax, S1Fmt and S1DSS: more than one CD, for transactions with a PASID */
static bool arm_smmu_vste_substreams_ok(const struct arm_smmu_vste_limits *limits,
					u64 *w0, u64 *w1)
{
	if (!limits->ssid_bits || !FIELD_GET(STRTAB_STE_0_S1CDMAX, *w0)) {
		*w0 &= ~(STRTAB_STE_0_S1CDMAX | STRTAB_STE_0_S1FMT);
		*w1 &= ~STRTAB_STE_1_S1DSS;
		return true;
	}

	if (FIELD_GET(STRTAB_STE_0_S1CDMAX, *w0) > limits->ssid_bits)
		return false;
	if (FIELD_GET(STRTAB_STE_0_S1FMT, *w0) && !limits->cd2l)
		return false;

	if (FIELD_GET(STRTAB_STE_0_S1FMT, *w0) == VSTE_S1FMT_RESERVED)
		*w0 &= ~STRTAB_STE_0_S1FMT;
	if (FIELD_GET(STRTAB_STE_1_S1DSS, *w1) == VSTE_S1DSS_RESERVED)
		*w1 &= ~STRTAB_STE_1_S1DSS;
	return true;
}

static bool arm_smmu_vste_s1_ok(const struct arm_smmu_vste_limits *limits,
				u64 *w0, u64 *w1)
{
	u64 ctxptr = *w0 & STRTAB_STE_0_S1CTXPTR_MASK;

	/*
	 * The SMMU would answer a pointer that stage 2 has no input address for
	 * either with C_BAD_STE, which is what the guest gets by the refusal,
	 * or with a stage 2 fault that is of no use to the host.
	 */
	if (limits->ipa_bits < 64 && ctxptr >> limits->ipa_bits)
		return false;

	if ((*w1 & STRTAB_STE_1_S1STALLD) &&
	    limits->stall_model != IDR0_STALL_MODEL_STALL)
		return false;

	return arm_smmu_vste_substreams_ok(limits, w0, w1);
}

/**
 * arm_smmu_vste_check() - Check a guest's STE
 * @limits: From arm_smmu_vste_limits_init()
 * @guest: Words 0 and 1 of the guest's STE, a copy that it can't change any
 *         more; little-endian
 * @vste: Filled in with what counts of it, little-endian: all 0 for V == 0.
 *        May be @guest. Left alone in case of an error.
 *
 * V == 0 stops the stream and so does Config 0b000; only the former makes an
 * SMMU record C_BAD_STE, which is up to the VMM as the physical STE is one that
 * aborts. The bits of S1ContextPtr that are RES0 due to S1CDMax may be set: the
 * SMMU takes them as 0 or fetches another CD of the guest's table.
 *
 * Return: 0, or -EIO for an STE that is ILLEGAL on this SMMU, has a Config that
 * is neither abort, bypass nor stage 1, split-stage ATS, an S1ContextPtr beyond
 * the parent's input size, or bits that are not the guest's
 */
int arm_smmu_vste_check(const struct arm_smmu_vste_limits *limits,
			const __le64 guest[2], __le64 vste[2])
{
	u64 w0 = le64_to_cpu(guest[0]), w1 = le64_to_cpu(guest[1]);

	if (!(w0 & STRTAB_STE_0_V)) {
		w0 = 0;
		w1 = 0;
		goto out;
	}

	if ((w0 & ~VSTE_0_ALLOWED) || (w1 & ~VSTE_1_ALLOWED))
		return -EIO;

	/* IGNORED without IDR0.ATS, and guests do enable it regardless */
	switch (FIELD_GET(STRTAB_STE_1_EATS, w1)) {
	case STRTAB_STE_1_EATS_ABT:
	case STRTAB_STE_1_EATS_TRANS:
		break;
	default:
		return -EIO;
	}

	switch (FIELD_GET(STRTAB_STE_0_CFG, w0)) {
	case STRTAB_STE_0_CFG_ABORT:
	case STRTAB_STE_0_CFG_BYPASS:
		w0 &= ~VSTE_0_S1;
		w1 = 0;
		break;
	case STRTAB_STE_0_CFG_S1_TRANS:
		if (!arm_smmu_vste_s1_ok(limits, &w0, &w1))
			return -EIO;
		break;
	default:
		return -EIO;
	}
out:
	vste[0] = cpu_to_le64(w0);
	vste[1] = cpu_to_le64(w1);
	return 0;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vste_check);

/**
 * arm_smmu_vste_translates() - Does a vSTE have stage 1 translate?
 * @vste: From arm_smmu_vste_check()
 *
 * Only then can the stream cause stage 1 events, and need a vDEVICE for them.
 *
 * Return: true for Config 0b101
 */
bool arm_smmu_vste_translates(const __le64 vste[2])
{
	u64 w0 = le64_to_cpu(vste[0]);

	return (w0 & STRTAB_STE_0_V) &&
	       FIELD_GET(STRTAB_STE_0_CFG, w0) == STRTAB_STE_0_CFG_S1_TRANS;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vste_translates);

/**
 * arm_smmu_vste_wants_ats() - Does a guest's STE enable ATS?
 * @vste: From arm_smmu_vste_check()
 *
 * Return: true for EATS 0b01 of a stream that translates. All others refuse
 * Translation Requests, bypass included.
 */
bool arm_smmu_vste_wants_ats(const __le64 vste[2])
{
	return arm_smmu_vste_translates(vste) &&
	       FIELD_GET(STRTAB_STE_1_EATS, le64_to_cpu(vste[1])) ==
		       STRTAB_STE_1_EATS_TRANS;
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_vste_wants_ats);

/* The host's words of a stage 2 STE, on behalf of a vIOMMU */
static void arm_smmu_vste_take_s2(struct arm_smmu_ste *target,
				  const struct arm_smmu_ste *s2,
				  const struct arm_smmu_vste_host *host)
{
	u64 w1 = le64_to_cpu(s2->data[1]), w2 = le64_to_cpu(s2->data[2]);

	/* ATS together with S2S is ILLEGAL; a PCI device must not stall */
	w1 &= ~STRTAB_STE_1_EATS;
	if (host->ats_enabled && !(w2 & STRTAB_STE_2_S2S))
		w1 |= FIELD_PREP(STRTAB_STE_1_EATS, STRTAB_STE_1_EATS_TRANS);

	w2 &= ~STRTAB_STE_2_S2VMID;
	w2 |= FIELD_PREP(STRTAB_STE_2_S2VMID, host->vmid);

	*target = *s2;
	target->data[1] = cpu_to_le64(w1);
	target->data[2] = cpu_to_le64(w2);
}

/**
 * arm_smmu_make_nested_ste() - Make the physical STE of a nested domain
 * @target: To fill in, all of it
 * @s2: The STE that arm_smmu_make_s2_domain_ste() makes of the parent
 * @vste: From arm_smmu_vste_check()
 * @host: The host's part
 *
 * V == 0 and abort give an STE that aborts, bypass one with stage 2 alone,
 * stage 1 one with both stages. The VMID is the vIOMMU's in both. Events of a
 * stream with both stages may be merged, whatever the guest would like: it could
 * fill the host's event queue otherwise.
 *
 * With IDR0.STALL_MODEL 0b00 S1STALLD is set unless @host allows stalls and the
 * guest left it 0. With the others it would be ILLEGAL, and stalls are either
 * impossible or can't be forbidden.
 */
void arm_smmu_make_nested_ste(struct arm_smmu_ste *target,
			      const struct arm_smmu_ste *s2,
			      const __le64 vste[2],
			      const struct arm_smmu_vste_host *host)
{
	u64 w0 = le64_to_cpu(vste[0]), w1;
	unsigned int cfg = STRTAB_STE_0_CFG_ABORT;

	if (w0 & STRTAB_STE_0_V)
		cfg = FIELD_GET(STRTAB_STE_0_CFG, w0);

	if (cfg != STRTAB_STE_0_CFG_BYPASS &&
	    cfg != STRTAB_STE_0_CFG_S1_TRANS) {
		w0 = STRTAB_STE_0_V |
		     FIELD_PREP(STRTAB_STE_0_CFG, STRTAB_STE_0_CFG_ABORT);
		memset(target, 0, sizeof(*target));
		target->data[0] = cpu_to_le64(w0);
		return;
	}

	arm_smmu_vste_take_s2(target, s2, host);
	if (cfg == STRTAB_STE_0_CFG_BYPASS)
		return;

	w0 &= VSTE_0_S1;
	w0 |= STRTAB_STE_0_V |
	      FIELD_PREP(STRTAB_STE_0_CFG, STRTAB_STE_0_CFG_NESTED);
	target->data[0] = cpu_to_le64(w0);

	w1 = le64_to_cpu(vste[1]) & VSTE_1_S1;
	if (host->stall_model != IDR0_STALL_MODEL_STALL)
		w1 &= ~STRTAB_STE_1_S1STALLD;
	else if (!host->stall_allowed)
		w1 |= STRTAB_STE_1_S1STALLD;
	target->data[1] |= cpu_to_le64(w1 | STRTAB_STE_1_MEV);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_make_nested_ste);
