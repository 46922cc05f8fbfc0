/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The mock driver's vIOMMU as its tests see it. iommufd_test.h includes this
 * header and has the numbers of the test operations.
 */
#ifndef _UAPI_IOMMUFD_TEST_VIOMMU_H
#define _UAPI_IOMMUFD_TEST_VIOMMU_H

#include <linux/iommufd.h>
#include <linux/types.h>

/* Every mock device caches this many words, each of them DEFAULT at first */
enum {
	MOCK_DEV_CACHE_ID_MAX = 3,
	MOCK_DEV_CACHE_NUM = 4,
};

#define IOMMU_TEST_DEV_CACHE_DEFAULT 0xbaddad

/* Width of the PASIDs of a device made with MOCK_FLAGS_DEVICE_PASID */
#define MOCK_PASID_WIDTH 20

/* Should not be equal to any value of enum iommu_viommu_type */
#define IOMMU_VIOMMU_TYPE_SELFTEST 0xdeadbeef

/**
 * struct iommu_viommu_selftest - Data of IOMMU_VIOMMU_ALLOC, optional
 *                                (IOMMU_VIOMMU_TYPE_SELFTEST)
 * @in_data: Any value
 * @out_data: Output, @in_data
 * @out_mmap_offset: Output, 0: there is nothing to map
 * @out_mmap_length: Output, 0: there is nothing to map
 */
struct iommu_viommu_selftest {
	__u32 in_data;
	__u32 out_data;
	__aligned_u64 out_mmap_offset;
	__aligned_u64 out_mmap_length;
};

/* Should not be equal to any value of enum iommu_hwpt_invalidate_data_type */
#define IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST 0xdeadbeef
#define IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST_INVALID 0xdadbeef

/**
 * struct iommu_viommu_invalidate_selftest - Invalidate the cache of a device
 *                                   (IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST)
 * @flags: 0 for one word or IOMMU_TEST_INVALIDATE_FLAG_ALL for all
 * @vdev_id: virt_id of a vDEVICE of the vIOMMU
 * @cache_id: The word, at most MOCK_DEV_CACHE_ID_MAX whatever @flags is
 *
 * An invalidated word becomes 0.
 */
struct iommu_viommu_invalidate_selftest {
	__u32 flags;
	__u32 vdev_id;
	__u32 cache_id;
};

/* Should not be equal to any value of enum iommu_veventq_type */
#define IOMMU_VEVENTQ_TYPE_SELFTEST 0xbeefbeef

/**
 * struct iommu_viommu_event_selftest - Record of a vEVENTQ
 *                                      (IOMMU_VEVENTQ_TYPE_SELFTEST)
 * @virt_id: virt_id of the vDEVICE that the event is of
 */
struct iommu_viommu_event_selftest {
	__u32 virt_id;
};

/* A group of page faults has at most this many besides its last one */
#define MOCK_IOPF_PARTIAL_MAX 16

/**
 * struct iommu_test_report_iopf - Have a group of page faults
 *                                 (IOMMU_TEST_OP_REPORT_IOPF)
 * @dev_id: The device
 * @pasid: PASID of the faults
 * @grpid: Number of the group
 * @perm: What was to be done with the pages, IOMMU_FAULT_PERM_*
 * @partial: How many faults come before the last one, each a page below the next
 * @__reserved: Not looked at
 * @addr: Address of the last fault
 *
 * Unlike IOMMU_TEST_OP_TRIGGER_IOPF this tells what the report of the faults has
 * returned, and may come while the device is attached or detached.
 */
struct iommu_test_report_iopf {
	__u32 dev_id;
	__u32 pasid;
	__u32 grpid;
	__u32 perm;
	__u32 partial;
	__u32 __reserved;
	__aligned_u64 addr;
};

/* The page fault of a device made with MOCK_FLAGS_DEVICE_ATTACH_IOPF */
#define MOCK_ATTACH_IOPF_PASID 1
#define MOCK_ATTACH_IOPF_GRPID 0xa77ac4

/* The mock driver remembers this many answers to page faults */
#define MOCK_IOPF_ANSWERS 16

/**
 * struct iommu_test_iopf_answer - What a device was told of its page faults
 *                                 (IOMMU_TEST_OP_IOPF_ANSWER)
 * @dev_id: The device, or 0 for all: also those that are gone, or never came
 * @index: 0 for the last answer, 1 for the one before it and so on
 * @out_num: Output, how many answers there were ever
 * @out_pasid: Output, PASID of the group of page faults that was answered
 * @out_grpid: Output, its number
 * @out_code: Output, the answer: enum iommu_page_response_code
 *
 * ENOENT if there was no such answer or it is not remembered; @out_num is told all
 * the same.
 */
struct iommu_test_iopf_answer {
	__u32 dev_id;
	__u32 index;
	__u32 out_num;
	__u32 out_pasid;
	__u32 out_grpid;
	__u32 out_code;
};

#endif
