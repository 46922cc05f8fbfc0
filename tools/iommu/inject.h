/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hardware errors on request: fail_arm_smmu_cmdq of a kernel with
 * CONFIG_ARM_SMMU_V3_FAULT_INJECTION
 */
#ifndef INJECT_H
#define INJECT_H

#include <stdbool.h>

/*
 * The SMMU is going to refuse entry @index of an array, @times arrays long or if
 * that is -1 for ever, @probability percent of those that have such an entry.
 * Returns false if the kernel can't.
 */
bool inject_errors(unsigned int index, int times, unsigned int probability);

#endif
