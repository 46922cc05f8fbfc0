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

bool arm_smmu_vevent_is_guests(const u64 evt[4]);
bool arm_smmu_vevent_is_stall(const u64 evt[4]);
bool arm_smmu_vevent_make(const u64 evt[4], u32 vsid, __le64 guest[4]);

#endif
