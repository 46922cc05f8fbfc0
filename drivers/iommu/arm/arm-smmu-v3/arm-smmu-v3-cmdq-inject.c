// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arm SMMUv3: make the SMMU raise a command error
 *
 * No command that passes the check of a guest's commands is illegal on any SMMU,
 * so the way of a hardware command error to its caller can't be tested with
 * commands. Here one is made illegal after the check: for a batch with the
 * entry of the array that the "index" attribute names, if the usual attributes
 * of fault injection say so, its opcode becomes one that is Reserved.
 *
 * <debugfs>/fail_arm_smmu_cmdq, see Documentation/fault-injection/
 */

#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/fault-inject.h>
#include <linux/mutex.h>
#include <kunit/visibility.h>

#include "arm-smmu-v3.h"
#include "arm-smmu-v3-cmdq-error.h"

/* Reserved: the last of the opcodes (IHI 0070, section 4.1.2) */
#define ARM_SMMU_CMDQ_OP_ILLEGAL	0xff

static struct {
	struct fault_attr attr;
	u32 index;
	/* Of the SMMUs that there are; protected by the mutex */
	struct mutex lock;
	unsigned int users;
	struct dentry *dir;
} inject = {
	.attr = FAULT_ATTR_INITIALIZER,
	.lock = __MUTEX_INITIALIZER(inject.lock),
};

/**
 * arm_smmu_cmdq_inject() - Make a command illegal if it is to be
 * @cmds: Commands about to be issued as a reported batch, in CPU byte order
 * @n: Number of commands
 * @first: Index in the caller's array of the first of them
 */
void arm_smmu_cmdq_inject(u64 *cmds, u32 n, u32 first)
{
	u32 offset = READ_ONCE(inject.index) - first;

	if (offset < n && should_fail(&inject.attr, 1))
		u64p_replace_bits(&cmds[offset * CMDQ_ENT_DWORDS],
				  ARM_SMMU_CMDQ_OP_ILLEGAL, CMDQ_0_OP);
}

#if IS_ENABLED(CONFIG_KUNIT)
/* What a test does by its attributes */
void arm_smmu_cmdq_inject_setup(u32 index, unsigned long probability, int times)
{
	WRITE_ONCE(inject.index, index);
	inject.attr.probability = probability;
	inject.attr.verbose = 0;
	atomic_set(&inject.attr.times, times);
}
EXPORT_SYMBOL_IF_KUNIT(arm_smmu_cmdq_inject_setup);
#endif

static void arm_smmu_cmdq_inject_exit(void *unused)
{
	guard(mutex)(&inject.lock);
	if (!--inject.users)
		debugfs_remove(inject.dir);
}

/**
 * arm_smmu_cmdq_inject_init() - Offer the attributes as long as a device is there
 * @dev: The device, an SMMU that is being probed
 *
 * Failure to do so is no reason not to use the SMMU.
 */
void arm_smmu_cmdq_inject_init(struct device *dev)
{
	scoped_guard(mutex, &inject.lock) {
		if (!inject.users++) {
			inject.dir = fault_create_debugfs_attr("fail_arm_smmu_cmdq",
							       NULL,
							       &inject.attr);
			if (!IS_ERR(inject.dir))
				debugfs_create_u32("index", 0600, inject.dir,
						   &inject.index);
		}
	}
	if (devm_add_action_or_reset(dev, arm_smmu_cmdq_inject_exit, NULL))
		dev_dbg(dev, "no injection of command errors\n");
}
