// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU_GET_HW_INFO: what a caller may ask for and what it learns about ATS
 */
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/pci-ats.h>
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
 * A device that has a firmware description of what it is behind has the root
 * complex' support there. Where there is none it is not known, and not denied.
 *
 * Return: %IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED or 0
 */
u64 iommufd_hw_info_ats(struct device *dev)
{
	struct iommu_fwspec *fwspec = dev_iommu_fwspec_get(dev);

	if (!dev_is_pci(dev))
		return 0;
	if (!pci_ats_supported(to_pci_dev(dev)))
		return IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED;
	if (fwspec && !(fwspec->flags & IOMMU_FWSPEC_PCI_RC_ATS))
		return IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED;
	return 0;
}
