// SPDX-License-Identifier: GPL-2.0-only
/*
 * IOMMU_GET_HW_INFO: the type that the caller asks for, and what the answer holds.
 */
#include "viommu_utils.h"

FIXTURE(hw_info)
{
	struct vi_env env;
	struct iommu_hw_info cmd;
	struct {
		struct iommu_test_hw_info info;
		__u8 more[64];
	} buf;
};

FIXTURE_SETUP(hw_info)
{
	vi_setup(_metadata, &self->env);
	memset(&self->buf, 0xff, sizeof(self->buf));
	self->cmd = (struct iommu_hw_info){
		.size = sizeof(self->cmd),
		.dev_id = self->env.dev.dev_id,
		.data_len = sizeof(self->buf.info),
		.data_uptr = (uintptr_t)&self->buf,
	};
}

FIXTURE_TEARDOWN(hw_info)
{
	vi_teardown(_metadata, &self->env);
}

#define GET() ioctl(self->env.fd, IOMMU_GET_HW_INFO, &self->cmd)

#define EXPECT_INFO()                                                        \
	({                                                                   \
		ASSERT_EQ(0, GET());                                         \
		EXPECT_EQ(IOMMU_HW_INFO_TYPE_SELFTEST,                       \
			  self->cmd.out_data_type);                          \
		EXPECT_EQ(sizeof(self->buf.info), self->cmd.data_len);       \
		EXPECT_EQ(0, self->buf.info.flags);                          \
		EXPECT_EQ(IOMMU_HW_INFO_SELFTEST_REGVAL,                     \
			  self->buf.info.test_reg);                          \
	})

TEST_F(hw_info, without_flag)
{
	EXPECT_INFO();
	EXPECT_EQ(UINT8_MAX, self->buf.more[0]);

	/* The member was output alone once: a VMM leaves anything in it */
	self->cmd.in_data_type = VI_POISON;
	EXPECT_INFO();
	EXPECT_INFO();
}

TEST_F(hw_info, type)
{
	self->cmd.flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE;
	self->cmd.in_data_type = IOMMU_HW_INFO_TYPE_SELFTEST;
	EXPECT_INFO();
	self->cmd.in_data_type = IOMMU_HW_INFO_TYPE_DEFAULT;
	EXPECT_INFO();
}

TEST_F(hw_info, other_type)
{
	static const __u32 types[] = {
		IOMMU_HW_INFO_TYPE_INTEL_VTD, IOMMU_HW_INFO_TYPE_ARM_SMMUV3,
		IOMMU_HW_INFO_TYPE_SELFTEST + 1, UINT32_MAX,
	};
	unsigned int i;

	self->cmd.flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE;
	for (i = 0; i != ARRAY_SIZE(types); i++) {
		self->cmd.in_data_type = types[i];
		EXPECT_ERRNO(EOPNOTSUPP, GET());
		/* Nothing was given away */
		EXPECT_EQ(UINT8_MAX, *(__u8 *)&self->buf);
	}
}

TEST_F(hw_info, bad_call)
{
	self->cmd.flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE << 1;
	EXPECT_ERRNO(EOPNOTSUPP, GET());
	self->cmd.flags = 1U << 31;
	EXPECT_ERRNO(EOPNOTSUPP, GET());
	self->cmd.flags = 0;
	self->cmd.__reserved[1] = 1;
	EXPECT_ERRNO(EOPNOTSUPP, GET());
	self->cmd.__reserved[1] = 0;
	self->cmd.dev_id = VI_NO_ID;
	EXPECT_ERRNO(ENOENT, GET());
	self->cmd.dev_id = self->env.dev.dev_id;
	self->cmd.data_uptr = 8;
	EXPECT_ERRNO(EFAULT, GET());
}

TEST_F(hw_info, length)
{
	unsigned int i;

	/* Too long: the rest is cleared */
	self->cmd.data_len = sizeof(self->buf);
	EXPECT_INFO();
	for (i = 0; i != sizeof(self->buf.more); i++) {
		EXPECT_EQ(0, self->buf.more[i]);
	}

	/* Too short: what fits is given, and how long it would be */
	memset(&self->buf, 0xff, sizeof(self->buf));
	self->cmd.data_len = sizeof(self->buf.info.flags);
	ASSERT_EQ(0, GET());
	EXPECT_EQ(sizeof(self->buf.info), self->cmd.data_len);
	EXPECT_EQ(0, self->buf.info.flags);
	EXPECT_EQ(UINT32_MAX, self->buf.info.test_reg);

	self->cmd.data_len = 0;
	self->cmd.data_uptr = 0;
	ASSERT_EQ(0, GET());
	EXPECT_EQ(sizeof(self->buf.info), self->cmd.data_len);
}

/* PASIDs and ATS are of the device and not of the type of data */
TEST_F(hw_info, capabilities)
{
	struct vi_dev dev;

	EXPECT_INFO();
	EXPECT_EQ(0, self->cmd.out_max_pasid_log2);
	/* Nothing is said about the ATS of what is no PCI device */
	EXPECT_EQ(IOMMU_HW_CAP_DIRTY_TRACKING, self->cmd.out_capabilities);

	vi_add_dev(_metadata, &self->env, MOCK_FLAGS_DEVICE_PASID, &dev);
	self->cmd.dev_id = dev.dev_id;
	EXPECT_INFO();
	EXPECT_EQ(MOCK_PASID_WIDTH, self->cmd.out_max_pasid_log2);
	EXPECT_EQ(IOMMU_HW_CAP_DIRTY_TRACKING, self->cmd.out_capabilities);

	vi_add_dev(_metadata, &self->env,
		   MOCK_FLAGS_DEVICE_NO_DIRTY | MOCK_FLAGS_DEVICE_OTHER_IOMMU,
		   &dev);
	self->cmd.dev_id = dev.dev_id;
	EXPECT_INFO();
	EXPECT_EQ(0, self->cmd.out_max_pasid_log2);
	EXPECT_EQ(0, self->cmd.out_capabilities);
}

TEST_HARNESS_MAIN
