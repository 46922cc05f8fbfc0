// SPDX-License-Identifier: GPL-2.0-only
/*
 * vIOMMU, vDEVICE and vEVENTQ as objects: what makes one, what does not, and who
 * holds whom.
 */
#include "viommu_utils.h"

FIXTURE(objects)
{
	struct vi_env env;
	__u32 viommu_id;
};

FIXTURE_SETUP(objects)
{
	vi_setup(_metadata, &self->env);
	VI_SELFTEST_VIOMMU(&self->env, &self->viommu_id);
}

FIXTURE_TEARDOWN(objects)
{
	vi_teardown(_metadata, &self->env);
}

/* Nothing is left on the nest parent but the fixture's vIOMMU */
static void expect_no_leak(struct __test_metadata *_metadata,
			   struct vi_env *env, __u32 viommu_id)
{
	EXPECT_EQ(0, _test_ioctl_destroy(env->fd, viommu_id));
	EXPECT_EQ(0, _test_ioctl_destroy(env->fd, env->parent_id));
}

/*
 * Struct sizes: shorter than the first version is EINVAL, longer is fine as long
 * as the kernel's own version ends before the first byte that is not zero.
 */
TEST_F(objects, cmd_length)
{
	int fd = self->env.fd;

#define TEST_LENGTH(_struct, _ioctl, _last)                               \
	({                                                                \
		struct {                                                  \
			struct _struct cmd;                               \
			__u8 extra;                                       \
		} cmd = { .extra = UINT8_MAX };                           \
		int old_errno;                                            \
									  \
		cmd.cmd.size = offsetofend(struct _struct, _last) - 1;    \
		EXPECT_ERRNO(EINVAL, ioctl(fd, _ioctl, &cmd));            \
		cmd.cmd.size = 0;                                         \
		EXPECT_ERRNO(EINVAL, ioctl(fd, _ioctl, &cmd));            \
		cmd.cmd.size = sizeof(cmd.cmd) + 1;                       \
		EXPECT_ERRNO(E2BIG, ioctl(fd, _ioctl, &cmd));             \
		cmd.cmd.size = sizeof(cmd.cmd);                           \
		ASSERT_EQ(-1, ioctl(fd, _ioctl, &cmd));                   \
		old_errno = errno;                                        \
		cmd.extra = 0;                                            \
		cmd.cmd.size = sizeof(cmd.cmd) + 1;                       \
		EXPECT_ERRNO(old_errno, ioctl(fd, _ioctl, &cmd));         \
	})

	TEST_LENGTH(iommu_viommu_alloc, IOMMU_VIOMMU_ALLOC, out_viommu_id);
	TEST_LENGTH(iommu_vdevice_alloc, IOMMU_VDEVICE_ALLOC, virt_id);
	TEST_LENGTH(iommu_veventq_alloc, IOMMU_VEVENTQ_ALLOC, out_veventq_fd);
	TEST_LENGTH(iommu_hwpt_invalidate, IOMMU_HWPT_INVALIDATE, __reserved);
#undef TEST_LENGTH
}

TEST_F(objects, viommu_alloc)
{
	__u32 second_id, third_id;

	ASSERT_NE(0, self->viommu_id);

	/* A nest parent may have several */
	VI_SELFTEST_VIOMMU(&self->env, &second_id);
	ASSERT_NE(self->viommu_id, second_id);
	ASSERT_EQ(0, _test_ioctl_destroy(self->env.fd, second_id));
	EXPECT_ERRNO(ENOENT, _test_ioctl_destroy(self->env.fd, second_id));

	VI_SELFTEST_VIOMMU(&self->env, &third_id);
	ASSERT_EQ(0, _test_ioctl_destroy(self->env.fd, third_id));
	expect_no_leak(_metadata, &self->env, self->viommu_id);
}

/* The first version of the structure ended with out_viommu_id */
TEST_F(objects, viommu_alloc_first_version)
{
	struct iommu_viommu_alloc cmd = {
		.size = offsetofend(struct iommu_viommu_alloc, out_viommu_id),
		.type = IOMMU_VIOMMU_TYPE_SELFTEST,
		.dev_id = self->env.dev.dev_id,
		.hwpt_id = self->env.parent_id,
		.data_len = VI_POISON,
		.__reserved = VI_POISON,
		.data_uptr = VI_POISON,
	};

	ASSERT_EQ(0, vi_viommu_alloc_cmd(self->env.fd, &cmd));
	ASSERT_NE(0, cmd.out_viommu_id);
	EXPECT_EQ(VI_POISON, cmd.data_len);
	EXPECT_EQ(0, _test_ioctl_destroy(self->env.fd, cmd.out_viommu_id));
}

TEST_F(objects, viommu_alloc_errors)
{
	const struct iommu_viommu_alloc good = {
		.size = sizeof(good),
		.type = IOMMU_VIOMMU_TYPE_SELFTEST,
		.dev_id = self->env.dev.dev_id,
		.hwpt_id = self->env.parent_id,
	};
	struct iommu_viommu_alloc cmd;
	int fd = self->env.fd;
	__u32 no_parent_id, nested_id;

	ASSERT_EQ(0, _test_cmd_hwpt_alloc(fd, self->env.dev.dev_id,
					  self->env.ioas_id, 0, 0,
					  &no_parent_id, IOMMU_HWPT_DATA_NONE,
					  NULL, 0));
	ASSERT_EQ(0, vi_nested_alloc(fd, self->env.dev.dev_id,
				     self->env.parent_id, 0, 0, &nested_id));

#define TEST_ERROR(_errno, _member, _value)                         \
	({                                                          \
		cmd = good;                                         \
		cmd._member = _value;                               \
		EXPECT_ERRNO(_errno, vi_viommu_alloc_cmd(fd, &cmd)); \
	})

	TEST_ERROR(EOPNOTSUPP, flags, 1);
	TEST_ERROR(EOPNOTSUPP, flags, 1U << 31);
	TEST_ERROR(EOPNOTSUPP, __reserved, 1);
	TEST_ERROR(EOPNOTSUPP, type, IOMMU_VIOMMU_TYPE_DEFAULT);
	TEST_ERROR(EOPNOTSUPP, type, IOMMU_VIOMMU_TYPE_ARM_SMMUV3);
	TEST_ERROR(EOPNOTSUPP, type, IOMMU_VIOMMU_TYPE_SELFTEST + 1);
	TEST_ERROR(EOPNOTSUPP, type, UINT32_MAX);
	TEST_ERROR(ENOENT, dev_id, VI_NO_ID);
	TEST_ERROR(ENOENT, dev_id, 0);
	TEST_ERROR(ENOENT, dev_id, self->env.parent_id);
	TEST_ERROR(ENOENT, hwpt_id, VI_NO_ID);
	TEST_ERROR(ENOENT, hwpt_id, 0);
	TEST_ERROR(ENOENT, hwpt_id, self->env.ioas_id);
	TEST_ERROR(ENOENT, hwpt_id, self->viommu_id);
	TEST_ERROR(ENOENT, hwpt_id, nested_id);
	TEST_ERROR(EINVAL, hwpt_id, no_parent_id);
	/* Made by the attach, so nobody's to nest on */
	TEST_ERROR(EINVAL, hwpt_id, self->env.dev.hwpt_id);
#undef TEST_ERROR

	ASSERT_EQ(0, _test_ioctl_destroy(fd, nested_id));
	ASSERT_EQ(0, _test_ioctl_destroy(fd, no_parent_id));
	expect_no_leak(_metadata, &self->env, self->viommu_id);
}

TEST_F(objects, viommu_data)
{
	struct iommu_viommu_selftest data = {
		.in_data = 0x1234abcd,
		.out_data = VI_POISON,
		.out_mmap_offset = VI_POISON,
		.out_mmap_length = VI_POISON,
	};
	struct {
		struct iommu_viommu_selftest data;
		__u64 more;
	} large = { .more = 1 };
	struct vi_env *env = &self->env;
	__u32 id;

	ASSERT_EQ(0, vi_viommu_alloc(env->fd, env->dev.dev_id, env->parent_id,
				     IOMMU_VIOMMU_TYPE_SELFTEST, &data,
				     sizeof(data), &id));
	EXPECT_EQ(0x1234abcd, data.in_data);
	EXPECT_EQ(0x1234abcd, data.out_data);
	EXPECT_EQ(0, data.out_mmap_offset);
	EXPECT_EQ(0, data.out_mmap_length);
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, id));

	/* A shorter structure is not written past its end */
	data.in_data = 5;
	data.out_mmap_offset = VI_POISON;
	ASSERT_EQ(0, vi_viommu_alloc(env->fd, env->dev.dev_id, env->parent_id,
				     IOMMU_VIOMMU_TYPE_SELFTEST, &data,
				     offsetofend(struct iommu_viommu_selftest,
						 out_data), &id));
	EXPECT_EQ(5, data.out_data);
	EXPECT_EQ(VI_POISON, data.out_mmap_offset);
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, id));

	EXPECT_ERRNO(EINVAL, vi_viommu_alloc(env->fd, env->dev.dev_id,
					     env->parent_id,
					     IOMMU_VIOMMU_TYPE_SELFTEST, &data,
					     sizeof(data.in_data), &id));
	EXPECT_ERRNO(EINVAL, vi_viommu_alloc(env->fd, env->dev.dev_id,
					     env->parent_id,
					     IOMMU_VIOMMU_TYPE_SELFTEST, &large,
					     sizeof(large), &id));
	EXPECT_ERRNO(EINVAL, vi_viommu_alloc(env->fd, env->dev.dev_id,
					     env->parent_id,
					     IOMMU_VIOMMU_TYPE_SELFTEST, &large,
					     UINT32_MAX, &id));
	EXPECT_ERRNO(EFAULT, vi_viommu_alloc(env->fd, env->dev.dev_id,
					     env->parent_id,
					     IOMMU_VIOMMU_TYPE_SELFTEST, NULL,
					     sizeof(data), &id));
	expect_no_leak(_metadata, env, self->viommu_id);
}

TEST_F(objects, vdevice_alloc)
{
	struct vi_env *env = &self->env;
	__u32 id, id2;

	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id,
				      env->dev.dev_id, VI_SID_A, &id));
	ASSERT_NE(0, id);
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, id));
	EXPECT_ERRNO(ENOENT, _test_ioctl_destroy(env->fd, id));

	/* The device and the virt_id are free again; 0 is a virt_id as any */
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id,
				      env->dev.dev_id, VI_SID_A, &id));
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, id));
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id,
				      env->dev.dev_id, 0, &id2));
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, id2));
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id,
				      env->dev.dev_id, UINT32_MAX, &id2));
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, id2));
	expect_no_leak(_metadata, env, self->viommu_id);
}

/* What the driver does not offer is refused, and works where it needs no driver */
TEST_F(objects, least_driver)
{
	struct iommu_viommu_invalidate_selftest inv = {};
	struct iommu_hwpt_invalidate cmd;
	struct vi_env *env = &self->env;
	__u32 viommu_id, vdev_id, id;
	struct vi_dev dev;
	int fd = env->fd;

	vi_add_dev(_metadata, env, MOCK_FLAGS_DEVICE_OTHER_IOMMU, &dev);
	ASSERT_EQ(0, vi_viommu_alloc(fd, dev.dev_id, env->parent_id,
				     IOMMU_VIOMMU_TYPE_SELFTEST, NULL, 0,
				     &viommu_id));
	EXPECT_ERRNO(EOPNOTSUPP, vi_invalidate(fd, viommu_id, &inv, 1, &cmd));
	EXPECT_EQ(0, cmd.entry_num);
	EXPECT_EQ(0, cmd.out_report_flags);
	EXPECT_ERRNO(EOPNOTSUPP, vi_nested_alloc(fd, dev.dev_id, viommu_id, 0,
						 0, &id));
	EXPECT_ERRNO(EOPNOTSUPP,
		     vi_veventq_alloc(fd, viommu_id,
				      IOMMU_VEVENTQ_TYPE_SELFTEST, 4, &id,
				      NULL));
	ASSERT_EQ(0, vi_vdevice_alloc(fd, viommu_id, dev.dev_id, VI_SID_A,
				      &vdev_id));
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(fd, viommu_id));
	ASSERT_EQ(0, _test_ioctl_destroy(fd, vdev_id));

	/* The driver has nothing to undo when the device goes, either */
	ASSERT_EQ(0, vi_vdevice_alloc(fd, viommu_id, dev.dev_id, VI_SID_A,
				      &vdev_id));
	ASSERT_EQ(0, _test_ioctl_destroy(fd, dev.stdev_id));
	ASSERT_EQ(0, _test_ioctl_destroy(fd, vdev_id));
	ASSERT_EQ(0, _test_ioctl_destroy(fd, viommu_id));
}

TEST_F(objects, vdevice_alloc_errors)
{
	struct vi_env *env = &self->env;
	struct vi_dev other, foreign;
	__u32 viommu2_id, id, id2;
	int fd = env->fd;

	vi_add_dev(_metadata, env, 0, &other);
	vi_add_dev(_metadata, env, MOCK_FLAGS_DEVICE_OTHER_IOMMU, &foreign);
	VI_SELFTEST_VIOMMU(env, &viommu2_id);

	EXPECT_ERRNO(ENOENT, vi_vdevice_alloc(fd, VI_NO_ID, env->dev.dev_id,
					      VI_SID_A, NULL));
	EXPECT_ERRNO(ENOENT, vi_vdevice_alloc(fd, env->parent_id,
					      env->dev.dev_id, VI_SID_A, NULL));
	EXPECT_ERRNO(ENOENT, vi_vdevice_alloc(fd, self->viommu_id, VI_NO_ID,
					      VI_SID_A, NULL));
	EXPECT_ERRNO(ENOENT, vi_vdevice_alloc(fd, self->viommu_id,
					      self->viommu_id, VI_SID_A, NULL));
	EXPECT_ERRNO(ENOENT, vi_vdevice_alloc(fd, self->viommu_id,
					      env->dev.stdev_id, VI_SID_A,
					      NULL));
	/* A device behind another IOMMU is no device of this vIOMMU */
	EXPECT_ERRNO(EINVAL, vi_vdevice_alloc(fd, self->viommu_id,
					      foreign.dev_id, VI_SID_A, NULL));
	/* The driver's own check. It must leave nothing behind. */
	EXPECT_ERRNO(EINVAL, vi_vdevice_alloc(fd, self->viommu_id,
					      env->dev.dev_id, 1ULL << 32,
					      NULL));
	EXPECT_ERRNO(EINVAL, vi_vdevice_alloc(fd, self->viommu_id,
					      env->dev.dev_id, 1ULL << 32,
					      NULL));
	EXPECT_ERRNO(EINVAL, vi_vdevice_alloc(fd, self->viommu_id,
					      env->dev.dev_id, UINT64_MAX,
					      NULL));

	ASSERT_EQ(0, vi_vdevice_alloc(fd, self->viommu_id, env->dev.dev_id,
				      VI_SID_A, &id));
	/* The device has one, whatever the vIOMMU and the virt_id */
	EXPECT_ERRNO(EEXIST, vi_vdevice_alloc(fd, self->viommu_id,
					      env->dev.dev_id, VI_SID_A, NULL));
	EXPECT_ERRNO(EEXIST, vi_vdevice_alloc(fd, self->viommu_id,
					      env->dev.dev_id, VI_SID_B, NULL));
	EXPECT_ERRNO(EEXIST, vi_vdevice_alloc(fd, viommu2_id, env->dev.dev_id,
					      VI_SID_A, NULL));
	/* The virt_id is in use, for any device */
	EXPECT_ERRNO(EEXIST, vi_vdevice_alloc(fd, self->viommu_id,
					      other.dev_id, VI_SID_A, NULL));
	/* but not on another vIOMMU */
	ASSERT_EQ(0, vi_vdevice_alloc(fd, viommu2_id, other.dev_id, VI_SID_A,
				      &id2));
	ASSERT_EQ(0, _test_ioctl_destroy(fd, id2));

	/* What failed has reserved nothing */
	ASSERT_EQ(0, vi_vdevice_alloc(fd, self->viommu_id, other.dev_id,
				      VI_SID_B, &id2));
	ASSERT_EQ(0, _test_ioctl_destroy(fd, id));
	ASSERT_EQ(0, _test_ioctl_destroy(fd, id2));
	ASSERT_EQ(0, _test_ioctl_destroy(fd, viommu2_id));
	expect_no_leak(_metadata, env, self->viommu_id);
}

TEST_F(objects, veventq_alloc_errors)
{
	const struct iommu_veventq_alloc good = {
		.size = sizeof(good),
		.viommu_id = self->viommu_id,
		.type = IOMMU_VEVENTQ_TYPE_SELFTEST,
		.veventq_depth = 2,
	};
	struct iommu_veventq_alloc cmd;
	int fd = self->env.fd, fds = vi_count_fds();

#define TEST_ERROR(_errno, _member, _value)                              \
	({                                                               \
		cmd = good;                                              \
		cmd._member = _value;                                    \
		EXPECT_ERRNO(_errno, ioctl(fd, IOMMU_VEVENTQ_ALLOC, &cmd)); \
		EXPECT_EQ(fds, vi_count_fds());                          \
	})

	TEST_ERROR(EOPNOTSUPP, flags, 1);
	TEST_ERROR(EOPNOTSUPP, __reserved, 1);
	TEST_ERROR(EOPNOTSUPP, type, IOMMU_VEVENTQ_TYPE_DEFAULT);
	TEST_ERROR(EOPNOTSUPP, type, IOMMU_VEVENTQ_TYPE_ARM_SMMUV3);
	TEST_ERROR(EOPNOTSUPP, type, UINT32_MAX);
	TEST_ERROR(ENOENT, viommu_id, VI_NO_ID);
	TEST_ERROR(ENOENT, viommu_id, self->env.parent_id);
	TEST_ERROR(EINVAL, veventq_depth, 0);
	TEST_ERROR(EINVAL, veventq_depth, VI_MAX_DEPTH + 1);
	TEST_ERROR(EINVAL, veventq_depth, 1U << 31);
	TEST_ERROR(EINVAL, veventq_depth, UINT32_MAX);
#undef TEST_ERROR

	expect_no_leak(_metadata, &self->env, self->viommu_id);
}

/*
 * The ID can't be told to the user: every object must go again, file included,
 * at once and not when a work item runs.
 */
TEST_F(objects, respond_fault)
{
	struct vi_env *env = &self->env;
	union {
		struct iommu_viommu_alloc viommu;
		struct iommu_vdevice_alloc vdevice;
		struct iommu_veventq_alloc veventq;
		struct iommu_hwpt_alloc hwpt;
	} *cmd;
	struct iommu_hwpt_selftest data = { .iotlb = IOMMU_TEST_IOTLB_DEFAULT };
	int fds = vi_count_fds(), i;
	__u32 id, fault_id, fault_fd;

	ASSERT_EQ(0, _test_ioctl_fault_alloc(env->fd, &fault_id, &fault_fd));
	fds++;
	cmd = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, cmd);

#define TEST_RESPOND(_ioctl, _member, ...)                                   \
	({                                                                   \
		cmd->_member = (typeof(cmd->_member)){                       \
			.size = sizeof(cmd->_member), __VA_ARGS__ };         \
		ASSERT_EQ(0, mprotect(cmd, PAGE_SIZE, PROT_READ));           \
		for (i = 0; i != 3; i++)                                     \
			EXPECT_ERRNO(EFAULT, ioctl(env->fd, _ioctl, cmd));   \
		EXPECT_EQ(fds, vi_count_fds());                              \
		ASSERT_EQ(0, mprotect(cmd, PAGE_SIZE,                        \
				      PROT_READ | PROT_WRITE));              \
	})

	TEST_RESPOND(IOMMU_VIOMMU_ALLOC, viommu,
		     .type = IOMMU_VIOMMU_TYPE_SELFTEST,
		     .dev_id = env->dev.dev_id, .hwpt_id = env->parent_id);
	TEST_RESPOND(IOMMU_VDEVICE_ALLOC, vdevice,
		     .viommu_id = self->viommu_id, .dev_id = env->dev.dev_id,
		     .virt_id = VI_SID_A);
	TEST_RESPOND(IOMMU_VEVENTQ_ALLOC, veventq,
		     .viommu_id = self->viommu_id,
		     .type = IOMMU_VEVENTQ_TYPE_SELFTEST, .veventq_depth = 2);
	TEST_RESPOND(IOMMU_HWPT_ALLOC, hwpt, .dev_id = env->dev.dev_id,
		     .pt_id = self->viommu_id,
		     .flags = IOMMU_HWPT_FAULT_ID_VALID, .fault_id = fault_id,
		     .data_type = IOMMU_HWPT_DATA_SELFTEST,
		     .data_len = sizeof(data), .data_uptr = (uintptr_t)&data);
#undef TEST_RESPOND

	/* The vDEVICE that nobody knows of is not there either */
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id,
				      env->dev.dev_id, VI_SID_A, &id));
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, id));
	ASSERT_EQ(0, close(fault_fd));
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, fault_id));
	expect_no_leak(_metadata, env, self->viommu_id);
}

TEST_F(objects, veventq_no_fd_left)
{
	struct rlimit old, limit;
	struct vi_env *env = &self->env;
	int fd, veventq_fd;
	__u32 id;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	limit = old;
	/* The lowest free number is what would be handed out */
	fd = dup(env->fd);
	ASSERT_NE(-1, fd);
	ASSERT_EQ(0, close(fd));
	limit.rlim_cur = fd;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_ERRNO(EMFILE, vi_veventq_alloc(env->fd, self->viommu_id,
					      IOMMU_VEVENTQ_TYPE_SELFTEST, 1,
					      &id, &veventq_fd));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));

	VI_SELFTEST_VEVENTQ(env, self->viommu_id, 1, &id, &veventq_fd);
	ASSERT_EQ(0, close(veventq_fd));
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, id));
	expect_no_leak(_metadata, env, self->viommu_id);
}

/* Everybody holds what is above */
TEST_F(objects, relations)
{
	struct vi_env *env = &self->env;
	__u32 vdev_id, veventq_id, nested_id;
	int fd = env->fd, veventq_fd;

	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(fd, env->parent_id));

	ASSERT_EQ(0, vi_vdevice_alloc(fd, self->viommu_id, env->dev.dev_id,
				      VI_SID_A, &vdev_id));
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(fd, self->viommu_id));
	ASSERT_EQ(0, _test_ioctl_destroy(fd, vdev_id));

	VI_SELFTEST_VEVENTQ(env, self->viommu_id, 1, &veventq_id, &veventq_fd);
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(fd, self->viommu_id));
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(fd, veventq_id));
	ASSERT_EQ(0, close(veventq_fd));
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(fd, self->viommu_id));
	ASSERT_EQ(0, _test_ioctl_destroy(fd, veventq_id));

	ASSERT_EQ(0, vi_nested_alloc(fd, env->dev.dev_id, self->viommu_id, 0, 0,
				     &nested_id));
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(fd, self->viommu_id));
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(fd, env->parent_id));
	ASSERT_EQ(0, _test_ioctl_destroy(fd, nested_id));

	/* EBUSY took nothing away and left nothing behind */
	ASSERT_EQ(0, vi_vdevice_alloc(fd, self->viommu_id, env->dev.dev_id,
				      VI_SID_A, &vdev_id));
	ASSERT_EQ(0, _test_ioctl_destroy(fd, vdev_id));
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(fd, env->parent_id));
	expect_no_leak(_metadata, env, self->viommu_id);
}

/* A vIOMMU is of an IOMMU, not of the device that it was made with */
TEST_F(objects, viommu_without_its_device)
{
	struct vi_env *env = &self->env;
	struct vi_dev other;
	__u32 vdev_id, nested_id;

	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, env->dev.stdev_id));
	vi_add_dev(_metadata, env, 0, &other);
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id, other.dev_id,
				      VI_SID_A, &vdev_id));
	ASSERT_EQ(0, vi_nested_alloc(env->fd, other.dev_id, self->viommu_id, 0,
				     0, &nested_id));
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, nested_id));
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, vdev_id));
	expect_no_leak(_metadata, env, self->viommu_id);
}

/*
 * The kernel picks an IOVA for a guest's memory: where only the end of the address
 * space is allowed, to align its start must not end at its beginning.
 */
TEST_F(objects, iova_alignment)
{
	const __u64 length = 2 << 20;
	struct iommu_iova_range allowed = {
		.start = -2 * (__u64)PAGE_SIZE,
		.last = -(__u64)PAGE_SIZE - 1,
	};
	struct iommu_ioas_allow_iovas allow = {
		.size = sizeof(allow),
		.num_iovas = 1,
		.allowed_iovas = (uintptr_t)&allowed,
	};
	int fd = self->env.fd;
	uintptr_t aligned;
	__u32 ioas_id;
	__u64 iova;
	void *mem;

	mem = mmap(NULL, 2 * length, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, mem);
	aligned = ((uintptr_t)mem + length - 1) & -length;

	ASSERT_EQ(0, _test_ioctl_ioas_alloc(fd, &ioas_id));
	allow.ioas_id = ioas_id;
	ASSERT_EQ(0, ioctl(fd, IOMMU_IOAS_ALLOW_IOVAS, &allow));
	EXPECT_ERRNO(ENOSPC, _test_ioctl_ioas_map(fd, ioas_id, (void *)aligned,
						  length, &iova,
						  IOMMU_IOAS_MAP_READABLE));
	/* There is room for a page */
	ASSERT_EQ(0, _test_ioctl_ioas_map(fd, ioas_id, (void *)aligned, PAGE_SIZE,
					  &iova, IOMMU_IOAS_MAP_READABLE));
	EXPECT_EQ(allowed.start, iova);
	ASSERT_EQ(0, _test_ioctl_destroy(fd, ioas_id));
	ASSERT_EQ(0, munmap(mem, 2 * length));
}

/* IDs are no more guessable across iommufds than others */
TEST_F(objects, other_iommufd)
{
	struct vi_env *env = &self->env;
	int fd2 = open("/dev/iommu", O_RDWR);
	struct iommu_hwpt_invalidate cmd;

	ASSERT_NE(-1, fd2);
	EXPECT_ERRNO(ENOENT, vi_viommu_alloc(fd2, env->dev.dev_id,
					     env->parent_id,
					     IOMMU_VIOMMU_TYPE_SELFTEST, NULL,
					     0, NULL));
	EXPECT_ERRNO(ENOENT, vi_vdevice_alloc(fd2, self->viommu_id,
					      env->dev.dev_id, VI_SID_A, NULL));
	EXPECT_ERRNO(ENOENT, vi_veventq_alloc(fd2, self->viommu_id,
					      IOMMU_VEVENTQ_TYPE_SELFTEST, 1,
					      NULL, NULL));
	EXPECT_ERRNO(ENOENT, vi_invalidate(fd2, self->viommu_id, NULL, 0,
					   &cmd));
	ASSERT_EQ(0, close(fd2));
}

TEST_HARNESS_MAIN
