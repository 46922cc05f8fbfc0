/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arm SMMUv3: checking a guest's commands
 *
 * Pure functions over plain values: no driver structure, no lock, no memory but
 * the arguments. KUnit and user space programs (fuzzers) build them as they are.
 */
#ifndef _ARM_SMMU_V3_VCMD_H
#define _ARM_SMMU_V3_VCMD_H

#include <linux/types.h>

/* Commands that a guest can have at all, plus one for all others */
#define ARM_SMMU_VCMD_NUM_RULES		9

/**
 * struct arm_smmu_vcmd_rule - One command of the guest on this SMMU
 * @keep: Bits that the guest decides, of words 0 and 1. All others must be 0,
 *        but for the opcode.
 * @set: What word 0 becomes outside of @keep: the opcode that the SMMU gets,
 *       and the VMID if the command has one
 * @match: What word 0 must be outside of @keep: the opcode that the guest uses
 * @checks: What the masks can't express, for arm-smmu-v3-vcmd.c alone
 */
struct arm_smmu_vcmd_rule {
	u64 keep[2];
	u64 set;
	u32 match;
	u32 checks;
};

/**
 * struct arm_smmu_vcmd_limits - What the physical SMMU takes from a guest
 * @vmid: VMID that every TLBI command gets
 * @s1p: IDR0.S1P, stage 1 is implemented
 * @ats: IDR0.ATS
 * @asid16: IDR0.ASID16
 * @ril: IDR3.RIL
 * @ds: IDR5.DS
 * @ssid_bits: IDR1.SSIDSIZE, 0 to 20
 * @ranges: Which combinations of NUM, SCALE, TG and TTL are legal, for
 *          arm-smmu-v3-vcmd.c alone
 * @index: Index into @rules by opcode; 0 is the rule that refuses everything
 * @rules: The rules of the commands that this SMMU has
 *
 * The values are those of the physical ID registers, never what the guest was
 * shown (IHI 0070, section 6.3). arm_smmu_vcmd_limits_init() fills in all of it;
 * constant afterwards.
 */
struct arm_smmu_vcmd_limits {
	u16 vmid;
	bool s1p;
	bool ats;
	bool asid16;
	bool ril;
	bool ds;
	u8 ssid_bits;

	u32 ranges;
	u8 index[256];
	struct arm_smmu_vcmd_rule rules[ARM_SMMU_VCMD_NUM_RULES];
};

/**
 * struct arm_smmu_vcmd_target - What a vSID stands for
 * @sid: Physical StreamID
 * @ats: The device behind it can do ATS. An ATC_INV for any other device would
 *       wait for an answer that never comes.
 * @pasid: PASIDs are enabled in it. A request with a PASID makes a port of any other
 *         device report a malformed packet, by default a fatal error, and the
 *         recovery from that resets all that is below the port.
 */
struct arm_smmu_vcmd_target {
	u32 sid;
	bool ats;
	bool pasid;
};

/**
 * typedef arm_smmu_vcmd_lookup_fn - Find the device of a vSID
 * @ctx: As passed to arm_smmu_vcmd_check()
 * @vsid: The StreamID in the guest's command
 * @target: Filled in if the vSID is known
 *
 * Return: true if the vSID is known
 */
typedef bool (*arm_smmu_vcmd_lookup_fn)(void *ctx, u32 vsid,
					struct arm_smmu_vcmd_target *target);

void arm_smmu_vcmd_limits_init(struct arm_smmu_vcmd_limits *limits, u32 idr0,
			       u32 idr1, u32 idr3, u32 idr5, u16 vmid);
u32 arm_smmu_vcmd_check(const struct arm_smmu_vcmd_limits *limits,
			arm_smmu_vcmd_lookup_fn lookup, void *ctx,
			const u64 guest[2], u64 host[2]);
unsigned int arm_smmu_vcmd_check_array(const struct arm_smmu_vcmd_limits *limits,
				       arm_smmu_vcmd_lookup_fn lookup,
				       void *ctx, u64 *cmds, unsigned int n);

#endif
