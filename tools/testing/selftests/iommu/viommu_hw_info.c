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

/* Whoever is killed does not clear all of a huge buffer first */
TEST_F_TIMEOUT(hw_info, killed, 120)
{
	const size_t len = 0xfffff000, piece = 2 << 20;
	int fd = memfd_create("piece", 0), status;
	__u8 *buf, *first, *last;
	size_t off;
	pid_t pid;

	/* The same 2 MiB all the way, but for the first page and the last */
	ASSERT_NE(-1, fd);
	ASSERT_EQ(0, ftruncate(fd, piece));
	buf = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, buf);
	for (off = 0; off < len; off += piece)
		ASSERT_EQ(buf + off, mmap(buf + off, len - off < piece ? len - off : piece,
					  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
					  fd, 0));
	first = buf;
	last = buf + len - PAGE_SIZE;
	ASSERT_EQ(first, mmap(first, PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ASSERT_EQ(last, mmap(last, PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	first[PAGE_SIZE - 1] = 0xff;
	*last = 0xff;

	pid = fork();
	ASSERT_NE(-1, pid);
	if (!pid) {
		self->cmd.data_uptr = (uintptr_t)buf;
		self->cmd.data_len = len;
		GET();
		_exit(0);
	}
	while (__atomic_load_n(&first[PAGE_SIZE - 1], __ATOMIC_RELAXED))
		;
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(0xff, *last);
	munmap(buf, len);
	close(fd);
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
