/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arm SMMUv3: checking a guest's STE and making the nested one
 *
 * Pure functions over plain values: no driver structure, no lock, no memory but
 * the arguments. KUnit and user space programs (fuzzers) build them as they are.
 */
#ifndef _ARM_SMMU_V3_VSTE_H
#define _ARM_SMMU_V3_VSTE_H

#include <linux/types.h>

struct arm_smmu_ste;

/* STE.Config of both stages; the driver has no use for it without nesting */
#define STRTAB_STE_0_CFG_NESTED		7

/**
 * struct arm_smmu_vste_limits - What the physical SMMU takes in a guest's STE
 * @cd2l: IDR0.CD2L, two-level CD tables
 * @stall_model: IDR0.STALL_MODEL
 * @ssid_bits: IDR1.SSIDSIZE, 0 to 20
 * @ipa_bits: Size in bits of an input address of the parent's stage 2
 *
 * The values are those of the physical ID registers, never what the guest was
 * shown (IHI 0070, section 6.3).
 */
struct arm_smmu_vste_limits {
	bool cd2l;
	u8 stall_model;
	u8 ssid_bits;
	u8 ipa_bits;
};

/**
 * struct arm_smmu_vste_host - The host's part in a nested STE
 * @vmid: The VMID of the vIOMMU
 * @stall_model: IDR0.STALL_MODEL
 * @stall_allowed: Stalled transactions of the stream get an answer: the device
 *                 may stall and the domain has a fault queue
 * @ats_enabled: ATS will be on in the device while this STE is in use
 */
struct arm_smmu_vste_host {
	u16 vmid;
	u8 stall_model;
	bool stall_allowed;
	bool ats_enabled;
};

void arm_smmu_vste_limits_init(struct arm_smmu_vste_limits *limits, u32 idr0,
			       u32 idr1, unsigned int ipa_bits);
int arm_smmu_vste_check(const struct arm_smmu_vste_limits *limits,
			const __le64 guest[2], __le64 vste[2]);
bool arm_smmu_vste_translates(const __le64 vste[2]);
bool arm_smmu_vste_wants_ats(const __le64 vste[2]);
void arm_smmu_make_nested_ste(struct arm_smmu_ste *target,
			      const struct arm_smmu_ste *s2,
			      const __le64 vste[2],
			      const struct arm_smmu_vste_host *host);

#endif
