// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested HWPTs on a vIOMMU: what makes one, which device may be attached, and page
 * faults.
 */
#include "viommu_utils.h"

FIXTURE(hwpt)
{
	struct vi_env env;
	__u32 viommu_id;
};

FIXTURE_SETUP(hwpt)
{
	vi_setup(_metadata, &self->env);
	VI_SELFTEST_VIOMMU(&self->env, &self->viommu_id);
}

FIXTURE_TEARDOWN(hwpt)
{
	vi_teardown(_metadata, &self->env);
}

#define DESTROY(_id) \
	({ ASSERT_EQ(0, _test_ioctl_destroy(self->env.fd, _id)); })

static int attach(struct vi_env *env, struct vi_dev *dev, __u32 pt_id)
{
	return _test_cmd_mock_domain_replace(env->fd, dev->stdev_id, pt_id,
					     NULL);
}

TEST_F(hwpt, alloc)
{
	struct vi_env *env = &self->env;
	__u32 ids[3], i;

	for (i = 0; i != ARRAY_SIZE(ids); i++) {
		ASSERT_EQ(0, vi_nested_alloc(env->fd, env->dev.dev_id,
					     self->viommu_id, 0, 0, &ids[i]));
		EXPECT_EQ(0, vi_check_iotlb_all(env->fd, ids[i],
						IOMMU_TEST_IOTLB_DEFAULT));
	}
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(env->fd, self->viommu_id));
	for (i = 0; i != ARRAY_SIZE(ids); i++)
		DESTROY(ids[i]);
	DESTROY(self->viommu_id);
	DESTROY(env->parent_id);
}

TEST_F(hwpt, alloc_errors)
{
	struct iommu_hwpt_selftest data = { .iotlb = IOMMU_TEST_IOTLB_DEFAULT };
	const struct iommu_hwpt_alloc good = {
		.size = sizeof(good),
		.dev_id = self->env.dev.dev_id,
		.pt_id = self->viommu_id,
		.data_type = IOMMU_HWPT_DATA_SELFTEST,
		.data_len = sizeof(data),
		.data_uptr = (uintptr_t)&data,
	};
	struct vi_env *env = &self->env;
	struct iommu_hwpt_alloc cmd;
	struct vi_dev foreign;
	__u32 vdev_id;

	vi_add_dev(_metadata, env, MOCK_FLAGS_DEVICE_OTHER_IOMMU, &foreign);
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id,
				      env->dev.dev_id, VI_SID_A, &vdev_id));

#define TEST_ERROR(_errno, _member, _value)                              \
	({                                                               \
		cmd = good;                                              \
		cmd._member = _value;                                    \
		EXPECT_ERRNO(_errno, ioctl(env->fd, IOMMU_HWPT_ALLOC, &cmd)); \
	})

	TEST_ERROR(EOPNOTSUPP, flags, IOMMU_HWPT_ALLOC_NEST_PARENT);
	TEST_ERROR(EOPNOTSUPP, flags, IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
	TEST_ERROR(EOPNOTSUPP, flags, 1 << 3);
	TEST_ERROR(EOPNOTSUPP, flags, 1U << 31);
	TEST_ERROR(EOPNOTSUPP, flags,
		   IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_FAULT_ID_VALID);
	TEST_ERROR(EOPNOTSUPP, __reserved, 1);
	TEST_ERROR(EOPNOTSUPP, data_type, IOMMU_HWPT_DATA_SELFTEST + 1);
	TEST_ERROR(EOPNOTSUPP, data_type, IOMMU_HWPT_DATA_ARM_SMMUV3);
	TEST_ERROR(EINVAL, data_type, IOMMU_HWPT_DATA_NONE);
	TEST_ERROR(EINVAL, data_len, 0);
	TEST_ERROR(EINVAL, data_len, sizeof(data) - 1);
	TEST_ERROR(EINVAL, data_len, sizeof(data) + 1);
	TEST_ERROR(EINVAL, data_len, UINT32_MAX);
	TEST_ERROR(EFAULT, data_uptr, 0);
	TEST_ERROR(ENOENT, dev_id, VI_NO_ID);
	TEST_ERROR(EINVAL, dev_id, foreign.dev_id);
	TEST_ERROR(EINVAL, pt_id, vdev_id);
	TEST_ERROR(EINVAL, pt_id, VI_NO_ID);
#undef TEST_ERROR

	/* No data at all */
	cmd = good;
	cmd.data_type = IOMMU_HWPT_DATA_NONE;
	cmd.data_len = 0;
	EXPECT_ERRNO(EOPNOTSUPP, ioctl(env->fd, IOMMU_HWPT_ALLOC, &cmd));

	DESTROY(vdev_id);
	DESTROY(self->viommu_id);
	DESTROY(env->parent_id);
}

TEST_F(hwpt, fault_id)
{
	struct vi_env *env = &self->env;
	__u32 fault_id, fault_fd, nested_id;

	EXPECT_ERRNO(ENOENT, vi_nested_alloc(env->fd, env->dev.dev_id,
					     self->viommu_id,
					     IOMMU_HWPT_FAULT_ID_VALID,
					     VI_NO_ID, &nested_id));
	EXPECT_ERRNO(ENOENT, vi_nested_alloc(env->fd, env->dev.dev_id,
					     self->viommu_id,
					     IOMMU_HWPT_FAULT_ID_VALID,
					     self->viommu_id, &nested_id));
	/* Without the flag the ID means nothing */
	ASSERT_EQ(0, vi_nested_alloc(env->fd, env->dev.dev_id, self->viommu_id,
				     0, VI_NO_ID, &nested_id));
	DESTROY(nested_id);

	ASSERT_EQ(0, _test_ioctl_fault_alloc(env->fd, &fault_id, &fault_fd));
	ASSERT_EQ(0, vi_nested_alloc(env->fd, env->dev.dev_id, self->viommu_id,
				     IOMMU_HWPT_FAULT_ID_VALID, fault_id,
				     &nested_id));
	ASSERT_EQ(0, close(fault_fd));
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(env->fd, fault_id));
	DESTROY(nested_id);
	DESTROY(fault_id);
	DESTROY(self->viommu_id);
	DESTROY(env->parent_id);
}

/* Only a device that the guest has a name for can use the guest's table */
TEST_F(hwpt, attach_needs_vdevice)
{
	struct vi_env *env = &self->env;
	__u32 nested_id, viommu2_id, vdev_id;
	struct vi_dev other;

	vi_add_dev(_metadata, env, 0, &other);
	ASSERT_EQ(0, vi_nested_alloc(env->fd, env->dev.dev_id, self->viommu_id,
				     0, 0, &nested_id));
	EXPECT_ERRNO(ENOENT, attach(env, &env->dev, nested_id));

	/* One on another vIOMMU, and another device's, are no help */
	VI_SELFTEST_VIOMMU(env, &viommu2_id);
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, viommu2_id, env->dev.dev_id,
				      VI_SID_A, &vdev_id));
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id, other.dev_id,
				      VI_SID_A, NULL));
	EXPECT_ERRNO(ENOENT, attach(env, &env->dev, nested_id));
	/* The device stays where it was, and the HWPT is not held */
	DESTROY(nested_id);

	ASSERT_EQ(0, vi_nested_alloc(env->fd, other.dev_id, self->viommu_id, 0,
				     0, &nested_id));
	ASSERT_EQ(0, attach(env, &other, nested_id));
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(env->fd, nested_id));

	DESTROY(vdev_id);
	EXPECT_ERRNO(ENOENT, attach(env, &env->dev, nested_id));
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id,
				      env->dev.dev_id, VI_SID_B, &vdev_id));
	ASSERT_EQ(0, attach(env, &env->dev, nested_id));

	/* Back, and from one nested HWPT to another */
	ASSERT_EQ(0, attach(env, &env->dev, env->ioas_id));
	ASSERT_EQ(0, attach(env, &env->dev, env->parent_id));
	ASSERT_EQ(0, attach(env, &env->dev, nested_id));
	ASSERT_EQ(0, attach(env, &env->dev, env->ioas_id));
	ASSERT_EQ(0, attach(env, &other, env->ioas_id));
	DESTROY(nested_id);
}

/* Without a vIOMMU there is no vDEVICE to ask for */
TEST_F(hwpt, attach_without_viommu)
{
	struct vi_env *env = &self->env;
	__u32 nested_id;

	ASSERT_EQ(0, vi_nested_alloc(env->fd, env->dev.dev_id, env->parent_id,
				     0, 0, &nested_id));
	ASSERT_EQ(0, attach(env, &env->dev, nested_id));
	ASSERT_EQ(0, attach(env, &env->dev, env->ioas_id));
	DESTROY(nested_id);
}

/* The invalidations of a nested HWPT work on a vIOMMU too, if the driver has both */
TEST_F(hwpt, invalidate_by_hwpt)
{
	struct iommu_hwpt_invalidate_selftest inv = {
		.flags = IOMMU_TEST_INVALIDATE_FLAG_ALL,
	};
	struct vi_env *env = &self->env;
	__u32 ids[2], num = 1, i;

	for (i = 0; i != 2; i++) {
		ASSERT_EQ(0, vi_nested_alloc(env->fd, env->dev.dev_id,
					     self->viommu_id, 0, 0, &ids[i]));
	}
	ASSERT_EQ(0, _test_cmd_hwpt_invalidate(
			     env->fd, ids[0], &inv,
			     IOMMU_HWPT_INVALIDATE_DATA_SELFTEST, sizeof(inv),
			     &num));
	EXPECT_EQ(1, num);
	EXPECT_EQ(0, vi_check_iotlb_all(env->fd, ids[0], 0));
	EXPECT_EQ(0, vi_check_iotlb_all(env->fd, ids[1],
					IOMMU_TEST_IOTLB_DEFAULT));
}

FIXTURE(iopf)
{
	struct vi_env env;
	__u32 viommu_id;
	__u32 vdev_id;
	__u32 fault_id;
	__u32 fault_fd;
	__u32 nested_id;
};

FIXTURE_SETUP(iopf)
{
	struct vi_env *env = &self->env;

	vi_setup(_metadata, env);
	VI_SELFTEST_VIOMMU(env, &self->viommu_id);
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id,
				      env->dev.dev_id, VI_SID_A,
				      &self->vdev_id));
	ASSERT_EQ(0, _test_ioctl_fault_alloc(env->fd, &self->fault_id,
					     &self->fault_fd));
	ASSERT_EQ(0, vi_nested_alloc(env->fd, env->dev.dev_id, self->viommu_id,
				     IOMMU_HWPT_FAULT_ID_VALID, self->fault_id,
				     &self->nested_id));
	ASSERT_EQ(0, attach(env, &env->dev, self->nested_id));
}

FIXTURE_TEARDOWN(iopf)
{
	EXPECT_EQ(0, close(self->fault_fd));
	vi_teardown(_metadata, &self->env);
}

static int trigger_iopf(struct vi_env *env, __u32 grpid)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_TRIGGER_IOPF,
		.trigger_iopf = {
			.dev_id = env->dev.dev_id,
			.pasid = 1,
			.grpid = grpid,
			.perm = IOMMU_PGFAULT_PERM_READ,
			.addr = 0xdeadb000,
		},
	};

	return ioctl(env->fd, _IOMMU_TEST_CMD(IOMMU_TEST_OP_TRIGGER_IOPF),
		     &cmd);
}

static ssize_t respond(int fd, __u32 cookie)
{
	struct iommu_hwpt_page_response response = {
		.code = IOMMUFD_PAGE_RESP_SUCCESS,
		.cookie = cookie,
	};

	return write(fd, &response, sizeof(response));
}

TEST_F(iopf, request_and_response)
{
	struct iommu_hwpt_pgfault fault;
	struct vi_env *env = &self->env;

	EXPECT_EQ(0, vi_poll(self->fault_fd, POLLIN));
	ASSERT_EQ(0, trigger_iopf(env, 7));
	EXPECT_EQ(POLLIN, vi_poll(self->fault_fd, POLLIN));
	memset(&fault, 0xff, sizeof(fault));
	ASSERT_EQ(sizeof(fault), read(self->fault_fd, &fault, sizeof(fault)));
	EXPECT_EQ(env->dev.dev_id, fault.dev_id);
	EXPECT_EQ(1, fault.pasid);
	EXPECT_EQ(7, fault.grpid);
	EXPECT_EQ(IOMMU_PGFAULT_PERM_READ, fault.perm);
	EXPECT_EQ(0xdeadb000, fault.addr);
	EXPECT_EQ(0, fault.length);
	EXPECT_EQ(0, vi_poll(self->fault_fd, POLLIN));

	/* Each request is answered once */
	EXPECT_ERRNO(EINVAL, respond(self->fault_fd, fault.cookie + 1));
	EXPECT_EQ(sizeof(struct iommu_hwpt_page_response),
		  respond(self->fault_fd, fault.cookie));
	EXPECT_ERRNO(EINVAL, respond(self->fault_fd, fault.cookie));

	/* A page fault is no event of the vEVENTQ's kind and the other way round */
	EXPECT_ERRNO(EOPNOTSUPP, vi_trigger_vevent(env->fd, env->dev.dev_id));
}

/* What can't be copied to the user is not lost, and not delivered by half */
TEST_F(iopf, read_fault)
{
	char *edge = vi_map_guarded(_metadata, 1);
	struct iommu_hwpt_pgfault faults[2], *first;

	ASSERT_EQ(0, trigger_iopf(&self->env, 1));
	ASSERT_EQ(0, trigger_iopf(&self->env, 2));
	EXPECT_ERRNO(EFAULT, read(self->fault_fd, edge, sizeof(faults)));
	EXPECT_ERRNO(EFAULT, read(self->fault_fd, edge - 8, sizeof(faults)));
	EXPECT_EQ(POLLIN, vi_poll(self->fault_fd, POLLIN));

	first = (void *)(edge - sizeof(*first));
	ASSERT_EQ(sizeof(*first), read(self->fault_fd, first, sizeof(faults)));
	EXPECT_EQ(1, first->grpid);
	ASSERT_EQ(sizeof(faults[0]),
		  read(self->fault_fd, faults, sizeof(faults)));
	EXPECT_EQ(2, faults[0].grpid);
	EXPECT_ERRNO(ESPIPE, read(self->fault_fd, faults,
				  sizeof(faults[0]) - 1));
	ASSERT_LT(0, respond(self->fault_fd, first->cookie));
	ASSERT_LT(0, respond(self->fault_fd, faults[0].cookie));
}

/* The number of bytes written is that of the responses that were taken */
TEST_F(iopf, write_partly)
{
	struct iommu_hwpt_page_response responses[3] = {};
	struct iommu_hwpt_pgfault faults[2];

	ASSERT_EQ(0, trigger_iopf(&self->env, 1));
	ASSERT_EQ(0, trigger_iopf(&self->env, 2));
	ASSERT_EQ(sizeof(faults), read(self->fault_fd, faults, sizeof(faults)));
	responses[0].cookie = faults[0].cookie;
	responses[1].cookie = VI_NO_ID;
	responses[2].cookie = faults[1].cookie;
	EXPECT_EQ(sizeof(responses[0]),
		  write(self->fault_fd, responses, sizeof(responses)));
	EXPECT_ERRNO(EINVAL, write(self->fault_fd, &responses[1],
				   2 * sizeof(responses[0])));
	EXPECT_EQ(sizeof(responses[0]),
		  write(self->fault_fd, &responses[2], sizeof(responses[0])));
	responses[0].code = 0x100;
	EXPECT_ERRNO(EINVAL, write(self->fault_fd, responses,
				   sizeof(responses[0])));
	EXPECT_ERRNO(ESPIPE, write(self->fault_fd, responses, 1));
}

/* Requests of the HWPT that was left are answered by the kernel, not by the next */
TEST_F(iopf, replace)
{
	struct vi_env *env = &self->env;
	struct iommu_hwpt_pgfault fault;
	__u32 fault2_id, fault2_fd, nested2_id;

	ASSERT_EQ(0, _test_ioctl_fault_alloc(env->fd, &fault2_id, &fault2_fd));
	ASSERT_EQ(0, vi_nested_alloc(env->fd, env->dev.dev_id, self->viommu_id,
				     IOMMU_HWPT_FAULT_ID_VALID, fault2_id,
				     &nested2_id));
	ASSERT_EQ(0, trigger_iopf(env, 1));
	ASSERT_EQ(sizeof(fault), read(self->fault_fd, &fault, sizeof(fault)));
	ASSERT_EQ(0, trigger_iopf(env, 2));

	ASSERT_EQ(0, attach(env, &env->dev, nested2_id));
	EXPECT_EQ(0, vi_poll(self->fault_fd, POLLIN));
	EXPECT_ERRNO(EINVAL, respond(self->fault_fd, fault.cookie));
	EXPECT_ERRNO(EINVAL, respond(fault2_fd, fault.cookie));

	ASSERT_EQ(0, trigger_iopf(env, 3));
	EXPECT_EQ(0, vi_poll(self->fault_fd, POLLIN));
	ASSERT_EQ(sizeof(fault), read(fault2_fd, &fault, sizeof(fault)));
	EXPECT_EQ(3, fault.grpid);
	DESTROY(self->nested_id);
	ASSERT_LT(0, respond(fault2_fd, fault.cookie));

	ASSERT_EQ(0, close(fault2_fd));
	ASSERT_EQ(0, attach(env, &env->dev, env->ioas_id));
	DESTROY(nested2_id);
	DESTROY(fault2_id);
}

/* Nobody can answer any more: the kernel does, what waits and what is to come */
TEST_F(iopf, closed)
{
	struct vi_env *env = &self->env;
	struct iommu_hwpt_pgfault fault;
	__u32 fault2_id, fault2_fd, nested2_id;

	ASSERT_EQ(0, _test_ioctl_fault_alloc(env->fd, &fault2_id, &fault2_fd));
	ASSERT_EQ(0, vi_nested_alloc(env->fd, env->dev.dev_id, self->viommu_id,
				     IOMMU_HWPT_FAULT_ID_VALID, fault2_id,
				     &nested2_id));
	ASSERT_EQ(0, attach(env, &env->dev, nested2_id));
	ASSERT_EQ(0, trigger_iopf(env, 1));
	ASSERT_EQ(sizeof(fault), read(fault2_fd, &fault, sizeof(fault)));
	ASSERT_EQ(0, trigger_iopf(env, 2));
	ASSERT_EQ(0, close(fault2_fd));
	EXPECT_EQ(0, trigger_iopf(env, 3));

	/* The device goes on with another fault queue */
	ASSERT_EQ(0, attach(env, &env->dev, self->nested_id));
	DESTROY(nested2_id);
	DESTROY(fault2_id);
	ASSERT_EQ(0, trigger_iopf(env, 4));
	ASSERT_EQ(sizeof(fault), read(self->fault_fd, &fault, sizeof(fault)));
	EXPECT_EQ(4, fault.grpid);
	ASSERT_LT(0, respond(self->fault_fd, fault.cookie));
}

/* A refused attach leaves the device with the HWPT and the faults it had */
TEST_F(iopf, refused_attach)
{
	struct vi_env *env = &self->env;
	struct iommu_hwpt_pgfault fault;
	__u32 viommu2_id, nested2_id;

	VI_SELFTEST_VIOMMU(env, &viommu2_id);
	ASSERT_EQ(0, vi_nested_alloc(env->fd, env->dev.dev_id, viommu2_id, 0,
				     0, &nested2_id));
	ASSERT_EQ(0, trigger_iopf(env, 1));
	EXPECT_ERRNO(ENOENT, attach(env, &env->dev, nested2_id));
	ASSERT_EQ(sizeof(fault), read(self->fault_fd, &fault, sizeof(fault)));
	ASSERT_LT(0, respond(self->fault_fd, fault.cookie));
	ASSERT_EQ(0, trigger_iopf(env, 2));
	EXPECT_EQ(POLLIN, vi_poll(self->fault_fd, POLLIN));
}

/* The same with the fault-capable one being refused */
TEST_F(iopf, refused_attach_with_faults)
{
	struct vi_env *env = &self->env;
	struct vi_dev other;

	vi_add_dev(_metadata, env, 0, &other);
	EXPECT_ERRNO(ENOENT, attach(env, &other, self->nested_id));
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id, other.dev_id,
				      VI_SID_B, NULL));
	ASSERT_EQ(0, attach(env, &other, self->nested_id));
	DESTROY(other.stdev_id);
}

/* The vDEVICE goes first: the device still goes back to where it was */
TEST_F(iopf, refused_attach_without_vdevice)
{
	struct vi_env *env = &self->env;
	__u32 viommu2_id, nested2_id;

	VI_SELFTEST_VIOMMU(env, &viommu2_id);
	ASSERT_EQ(0, vi_nested_alloc(env->fd, env->dev.dev_id, viommu2_id, 0,
				     0, &nested2_id));
	DESTROY(self->vdev_id);
	EXPECT_ERRNO(ENOENT, attach(env, &env->dev, nested2_id));
	ASSERT_EQ(0, trigger_iopf(env, 1));
	EXPECT_EQ(POLLIN, vi_poll(self->fault_fd, POLLIN));
}

/* The device goes with requests unread and unanswered */
TEST_F(iopf, device_gone)
{
	struct vi_env *env = &self->env;
	struct iommu_hwpt_pgfault fault;

	ASSERT_EQ(0, trigger_iopf(env, 1));
	ASSERT_EQ(sizeof(fault), read(self->fault_fd, &fault, sizeof(fault)));
	ASSERT_EQ(0, trigger_iopf(env, 2));
	DESTROY(env->dev.stdev_id);
	EXPECT_EQ(0, vi_poll(self->fault_fd, POLLIN));
	EXPECT_ERRNO(EINVAL, respond(self->fault_fd, fault.cookie));
	DESTROY(self->vdev_id);
	DESTROY(self->nested_id);
	DESTROY(self->viommu_id);
}

TEST_HARNESS_MAIN
