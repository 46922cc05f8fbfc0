/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the mock driver (selftest.c) and its vIOMMU (selftest_viommu.c) are to
 * each other. The mock device and the mock domains are private to selftest.c;
 * the vIOMMU reaches what it needs of them through the two accessors below. What
 * it keeps of a device is the private data of dev->iommu.
 */
#ifndef __IOMMUFD_SELFTEST_VIOMMU_H
#define __IOMMUFD_SELFTEST_VIOMMU_H

#include <linux/rcupdate.h>
#include <linux/rwsem.h>
#include <linux/types.h>

#include "iommufd_private.h"
#include "iommufd_test.h"

struct device;
struct iommu_device;
struct iommu_domain;
struct iommu_ops;
struct iommu_page_response;
struct iommufd_vdevice;
struct iommufd_viommu;
struct iommufd_viommu_ops;
struct iopf_fault;

/* The flags of mock device creation that selftest_viommu.c implements */
#define MOCK_FLAGS_DEVICE_VIOMMU \
	(MOCK_FLAGS_DEVICE_PASID | MOCK_FLAGS_DEVICE_OTHER_IOMMU | \
	 MOCK_FLAGS_DEVICE_ATTACH_IOPF)

/**
 * struct mock_viommu_dev - The vIOMMU's part of a mock device
 * @cache: What invalidations clear. Any thread writes it at any time, a word at
 *         a time.
 * @vdev: The device's vDEVICE. Readers use RCU, the iommufd's vDEVICE lock
 *        serialises the writers.
 * @iopf_rwsem: Held, as a reader, by who reports a page fault
 * @iopf_answers: How many answers to page faults the device was given, under the
 *                lock of those that are remembered
 */
struct mock_viommu_dev {
	u32 cache[MOCK_DEV_CACHE_NUM];
	struct iommufd_vdevice __rcu *vdev;
	struct rw_semaphore iopf_rwsem;
	u32 iopf_answers;
};

/* selftest.c */
unsigned long mock_dev_flags(struct device *dev);
struct iommufd_viommu **mock_viommu_of_nested(struct iommu_domain *domain);

/* selftest_viommu.c */
int mock_viommu_global_init(const struct iommu_ops *ops,
			    struct device *parent);
void mock_viommu_global_exit(void);
struct iommu_device *mock_viommu_probe_device(struct device *dev,
					      struct iommu_device *iommu);
void mock_viommu_release_device(struct device *dev);
void mock_viommu_probe_finalize(struct device *dev);
const struct iommufd_viommu_ops *mock_viommu_ops(struct device *dev,
						 unsigned int type);
int mock_viommu_attach_dev(struct iommu_domain *domain, struct device *dev);
void mock_viommu_page_response(struct device *dev, struct iopf_fault *event,
			       struct iommu_page_response *response);
void mock_viommu_fault_sync(struct device *dev);
int iommufd_test_dev_check_cache(struct iommufd_ucmd *ucmd,
				 struct iommu_test_cmd *cmd);
int iommufd_test_trigger_vevent(struct iommufd_ucmd *ucmd,
				struct iommu_test_cmd *cmd);
int iommufd_test_report_iopf(struct iommufd_ucmd *ucmd,
			     struct iommu_test_cmd *cmd);
int iommufd_test_iopf_answer(struct iommufd_ucmd *ucmd,
			     struct iommu_test_cmd *cmd);

#endif
