// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU_HWPT_INVALIDATE: from the ID to the driver, and the outcome back
 *
 * The ID is that of a nested HWPT, where the entries invalidate what that one
 * page table has in the caches, or of a vIOMMU, where they are native commands
 * that name what they are about. Both end with the number of entries done and a
 * report. A nested HWPT's driver knows no report: the first entry that was not
 * done is the one in error.
 */
#include <linux/iommu.h>
#include <uapi/linux/iommufd.h>

#include "iommufd_private.h"

static int invalidate_hwpt_nested(struct iommufd_object *obj,
				  struct iommu_user_data_array *array,
				  struct iommufd_invalidate_report *report)
{
	struct iommu_domain *domain =
		container_of(obj, struct iommufd_hw_pagetable, obj)->domain;
	int rc;

	/* On a vIOMMU the driver may offer the vIOMMU's way alone */
	if (!domain->ops->cache_invalidate_user) {
		array->entry_num = 0;
		return -EOPNOTSUPP;
	}

	rc = domain->ops->cache_invalidate_user(domain, array);
	report->flags = IOMMU_HWPT_INVALIDATE_REPORT_VALID;
	if (rc)
		report->error_index = array->entry_num;
	return rc;
}

static int invalidate_viommu(struct iommufd_object *obj,
			     struct iommu_user_data_array *array,
			     struct iommufd_invalidate_report *report)
{
	struct iommufd_viommu *viommu =
		&container_of(obj, struct iommufd_viommu_object, obj)->core;

	if (!viommu->ops->cache_invalidate_user) {
		array->entry_num = 0;
		return -EOPNOTSUPP;
	}
	return viommu->ops->cache_invalidate_user(viommu, array, report);
}

/**
 * iommufd_invalidate - Execute an array of invalidations
 * @ictx: The iommufd
 * @id: A nested HWPT or a vIOMMU
 * @array: The array; on return, also with an error, @array->entry_num is the
 *         number of entries that were executed
 * @report: Zeroed; filled in if the array got as far as to the driver
 *
 * Return: 0 or a negative errno, -ENOENT if @id is neither
 */
int iommufd_invalidate(struct iommufd_ctx *ictx, u32 id,
		       struct iommu_user_data_array *array,
		       struct iommufd_invalidate_report *report)
{
	struct iommufd_object *obj;
	int rc;

	obj = iommufd_get_object(ictx, id, IOMMUFD_OBJ_ANY);
	if (IS_ERR(obj)) {
		array->entry_num = 0;
		return PTR_ERR(obj);
	}

	switch (obj->type) {
	case IOMMUFD_OBJ_HWPT_NESTED:
		rc = invalidate_hwpt_nested(obj, array, report);
		break;
	case IOMMUFD_OBJ_VIOMMU:
		rc = invalidate_viommu(obj, array, report);
		break;
	default:
		array->entry_num = 0;
		rc = -ENOENT;
	}
	iommufd_put_object(ictx, obj);
	return rc;
}
