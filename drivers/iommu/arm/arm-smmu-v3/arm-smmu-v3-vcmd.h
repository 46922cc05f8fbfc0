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

/**
 * struct arm_smmu_vcmd_limits - What the physical SMMU takes from a guest
 * @vmid: VMID that every TLBI command gets
 * @s1p: IDR0.S1P, stage 1 is implemented
 * @ats: IDR0.ATS
 * @asid16: IDR0.ASID16
 * @ril: IDR3.RIL
 * @ds: IDR5.DS
 * @ssid_bits: IDR1.SSIDSIZE, 0 to 20
 *
 * The values are those of the physical ID registers, never what the guest was
 * shown (IHI 0070, section 6.3).
 */
struct arm_smmu_vcmd_limits {
	u16 vmid;
	bool s1p;
	bool ats;
	bool asid16;
	bool ril;
	bool ds;
	u8 ssid_bits;
};

/**
 * struct arm_smmu_vcmd_target - What a vSID stands for
 * @sid: Physical StreamID
 * @ats: The device behind it can do ATS
 */
struct arm_smmu_vcmd_target {
	u32 sid;
	bool ats;
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

u32 arm_smmu_vcmd_check(const struct arm_smmu_vcmd_limits *limits,
			arm_smmu_vcmd_lookup_fn lookup, void *ctx,
			const u64 guest[2], u64 host[2]);

#endif
