/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arm SMMUv3: telling a guest's events from the host's
 *
 * Pure functions over plain values: no driver structure, no lock, no memory but
 * the arguments. KUnit and user space programs (fuzzers) build them as they are.
 */
#ifndef _ARM_SMMU_V3_VEVENT_H
#define _ARM_SMMU_V3_VEVENT_H

#include <linux/types.h>

/**
 * enum arm_smmu_vevent_owner - Whose was a stream when an event was recorded?
 * @ARM_SMMU_VEVENT_HOST: The host's
 * @ARM_SMMU_VEVENT_GUEST: Of the guest that has it now
 * @ARM_SMMU_VEVENT_FORMER: Of a guest that has it no longer
 */
enum arm_smmu_vevent_owner {
	ARM_SMMU_VEVENT_HOST,
	ARM_SMMU_VEVENT_GUEST,
	ARM_SMMU_VEVENT_FORMER,
};

u64 arm_smmu_vevent_pos(u64 read, u32 prod, unsigned int shift);
unsigned long arm_smmu_vevent_era_begin(u64 pos, bool former);
unsigned long arm_smmu_vevent_era_end(u64 pos);
bool arm_smmu_vevent_era_over(unsigned long era, u64 pos);
enum arm_smmu_vevent_owner arm_smmu_vevent_owner(unsigned long era, u64 pos);

bool arm_smmu_vevent_is_guests(const u64 evt[4]);
bool arm_smmu_vevent_is_stall(const u64 evt[4]);
bool arm_smmu_vevent_make(const u64 evt[4], u32 vsid, __le64 guest[4]);

#endif
