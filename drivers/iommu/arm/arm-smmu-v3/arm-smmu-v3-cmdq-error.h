/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arm SMMUv3: command queue errors and who caused them
 */
#ifndef _ARM_SMMU_V3_CMDQ_ERROR_H
#define _ARM_SMMU_V3_CMDQ_ERROR_H

#include <linux/types.h>

struct arm_smmu_device;

/**
 * struct arm_smmu_cmdq_report - What became of a batch of commands
 * @code: CMDQ_CONS.ERR of the first error of the batch, 0 without one
 * @offset: The command that the error is about. The number of commands in the
 *          batch stands for its CMD_SYNC.
 * @consumed: Number of commands that the SMMU is known to have consumed before
 *            the first error; all of them if there was none
 */
struct arm_smmu_cmdq_report {
	u32 code;
	u32 offset;
	u32 consumed;
};

int arm_smmu_cmdq_issue_reported(struct arm_smmu_device *smmu, u64 *cmds,
				 int n, bool sync,
				 struct arm_smmu_cmdq_report *report);

#endif
