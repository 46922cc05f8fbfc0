// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU_GET_HW_INFO: what a caller may ask for, what it learns about ATS, and how
 * it is told
 */
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>
#include <uapi/linux/iommufd.h>

#include "iommufd_private.h"

/**
 * iommufd_hw_info_input - The type of data that the caller asks for
 * @cmd: As passed by the caller
 * @type: Filled in, IOMMU_HW_INFO_TYPE_DEFAULT if any will do
 *
 * Without the flag the member is output alone and may hold anything.
 *
 * Return: 0, or -EOPNOTSUPP for an unknown flag
 */
int iommufd_hw_info_input(const struct iommu_hw_info *cmd, u32 *type)
{
	if (cmd->flags & ~IOMMU_HW_INFO_FLAG_INPUT_TYPE)
		return -EOPNOTSUPP;

	*type = IOMMU_HW_INFO_TYPE_DEFAULT;
	if (cmd->flags & IOMMU_HW_INFO_FLAG_INPUT_TYPE)
		*type = cmd->in_data_type;
	return 0;
}

/**
 * iommufd_hw_info_check_type - Does the caller get what it asked for?
 * @cmd: As filled in by the driver
 * @type: From iommufd_hw_info_input()
 *
 * Return: 0, or -EOPNOTSUPP if the driver reports another type
 */
int iommufd_hw_info_check_type(const struct iommu_hw_info *cmd, u32 type)
{
	if (type != IOMMU_HW_INFO_TYPE_DEFAULT && type != cmd->out_data_type)
		return -EOPNOTSUPP;
	return 0;
}

/**
 * iommufd_hw_info_ats - What enum iommufd_hw_capabilities says about ATS
 * @dev: A bound device
 *
 * ATS takes the device, the root complex and the IOMMU. Where the driver of the
 * IOMMU does not rule it out it is not known, and not denied.
 *
 * Return: %IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED or 0
 */
u64 iommufd_hw_info_ats(struct device *dev)
{
	if (!dev_is_pci(dev))
		return 0;
	if (!pci_ats_supported(to_pci_dev(dev)) ||
	    device_iommu_capable(dev, IOMMU_CAP_NO_ATS))
		return IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED;
	return 0;
}

/* What is cleared at a time */
#define HW_INFO_CLEAR_BYTES SZ_64K

/* The length is the caller's, up to 4 GiB: who is killed does not clear all of it */
static int hw_info_clear(void __user *uptr, u32 len)
{
	u32 n;

	for (; len; len -= n, uptr += n) {
		n = min_t(u32, len, HW_INFO_CLEAR_BYTES);
		if (clear_user(uptr, n))
			return -EFAULT;
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

/**
 * iommufd_hw_info_respond - Tell the caller
 * @ucmd: The call, its struct iommu_hw_info filled in but for data_len
 * @data: What the driver reports
 * @data_len: Its length
 *
 * Called without a reference on the device: who unbinds it waits for those, and a
 * page fault on user memory can take as long as the user likes.
 *
 * Return: 0, -EFAULT, or -EINTR for a caller that is killed
 */
int iommufd_hw_info_respond(struct iommufd_ucmd *ucmd, const void *data,
			    u32 data_len)
{
	struct iommu_hw_info *cmd = ucmd->cmd;
	void __user *uptr = u64_to_user_ptr(cmd->data_uptr);
	u32 len = min(cmd->data_len, data_len);
	int rc;

	if (copy_to_user(uptr, data, len))
		return -EFAULT;
	/* A buffer that is longer than the data ends with zeroes */
	rc = hw_info_clear(uptr + len, cmd->data_len - len);
	if (rc)
		return rc;

	/* What there is, which can be more than the caller had room for */
	cmd->data_len = data_len;
	return iommufd_ucmd_respond(ucmd, sizeof(*cmd));
}
