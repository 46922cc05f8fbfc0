// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested HWPTs on a vIOMMU: what makes one, which device may be attached, and page
 * faults.
 */
#include <pthread.h>

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
	/* That the test has seen */
	__u32 answers;
};

FIXTURE_SETUP(iopf)
{
	struct vi_env *env = &self->env;

	vi_setup(_metadata, env);
	self->answers = vi_num_iopf_answers(env->fd, 0);
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
	if (self->fault_fd != VI_NO_ID) {
		EXPECT_EQ(0, close(self->fault_fd));
	}
	vi_teardown(_metadata, &self->env);
}

static int trigger_iopf(struct vi_env *env, __u32 grpid)
{
	return vi_trigger_iopf(env->fd, env->dev.dev_id, grpid, 0);
}

static ssize_t respond(int fd, __u32 cookie)
{
	return vi_respond_iopf(fd, cookie, IOMMUFD_PAGE_RESP_SUCCESS);
}

struct answer {
	__u32 grpid;
	__u32 code;
};

#define DONE(_grpid) { _grpid, IOMMUFD_PAGE_RESP_SUCCESS }
#define REFUSED(_grpid) { _grpid, IOMMUFD_PAGE_RESP_INVALID }

/* These are, in any order, what the devices were answered since the last look */
static void expect_answers(struct __test_metadata *_metadata,
			   FIXTURE_DATA(iopf) *self, const struct answer *answers,
			   unsigned int num, unsigned int line)
{
	__u32 all = vi_num_iopf_answers(self->env.fd, 0);
	struct iommu_test_iopf_answer got;
	unsigned int i, j, met = 0;

	EXPECT_EQ(num, all - self->answers)
	{
		TH_LOG("line %u: not that many answers", line);
	}
	for (i = 0; i != all - self->answers && i != MOCK_IOPF_ANSWERS; i++) {
		ASSERT_EQ(0, vi_iopf_answer(self->env.fd, 0, i, &got));
		EXPECT_EQ(VI_IOPF_PASID, got.out_pasid);
		for (j = 0; j != num; j++) {
			if (!(met & (1 << j)) &&
			    got.out_grpid == answers[j].grpid &&
			    got.out_code == answers[j].code)
				break;
		}
		EXPECT_NE(num, j)
		{
			TH_LOG("line %u: answer %u to group %#x", line,
			       got.out_code, got.out_grpid);
		}
		met |= 1 << j;
	}
	self->answers = all;
}

#define EXPECT_ANSWERS(...)                                               \
	({                                                                \
		const struct answer _answers[] = { __VA_ARGS__ };         \
									  \
		expect_answers(_metadata, self, _answers,                 \
			       ARRAY_SIZE(_answers), __LINE__);           \
	})
#define EXPECT_NO_ANSWER() expect_answers(_metadata, self, NULL, 0, __LINE__)

TEST_F(iopf, request_and_response)
{
	struct iommu_hwpt_pgfault fault;
	struct vi_env *env = &self->env;

	EXPECT_EQ(0, vi_poll(self->fault_fd, POLLIN));
	ASSERT_EQ(0, trigger_iopf(env, 7));
	EXPECT_EQ(POLLIN, vi_poll(self->fault_fd, POLLIN));
	memset(&fault, 0xff, sizeof(fault));
	ASSERT_EQ(sizeof(fault), read(self->fault_fd, &fault, sizeof(fault)));
	EXPECT_EQ(IOMMU_PGFAULT_FLAGS_PASID_VALID |
		  IOMMU_PGFAULT_FLAGS_LAST_PAGE, fault.flags);
	EXPECT_EQ(env->dev.dev_id, fault.dev_id);
	EXPECT_EQ(VI_IOPF_PASID, fault.pasid);
	EXPECT_EQ(7, fault.grpid);
	EXPECT_EQ(IOMMU_PGFAULT_PERM_READ, fault.perm);
	EXPECT_EQ(0, fault.__reserved);
	EXPECT_EQ(VI_IOPF_ADDR, fault.addr);
	EXPECT_EQ(0, fault.length);
	EXPECT_NE(0, fault.cookie);
	EXPECT_EQ(0, vi_poll(self->fault_fd, POLLIN));
	EXPECT_NO_ANSWER();

	/* Each request is answered once */
	EXPECT_ERRNO(EINVAL, respond(self->fault_fd, fault.cookie + 1));
	EXPECT_NO_ANSWER();
	EXPECT_EQ(sizeof(struct iommu_hwpt_page_response),
		  respond(self->fault_fd, fault.cookie));
	EXPECT_ANSWERS(DONE(7));
	EXPECT_ERRNO(EINVAL, respond(self->fault_fd, fault.cookie));
	EXPECT_NO_ANSWER();

	/* And with what user space says */
	ASSERT_EQ(0, trigger_iopf(env, 8));
	ASSERT_EQ(sizeof(fault), read(self->fault_fd, &fault, sizeof(fault)));
	EXPECT_EQ(sizeof(struct iommu_hwpt_page_response),
		  vi_respond_iopf(self->fault_fd, fault.cookie,
				  IOMMUFD_PAGE_RESP_INVALID));
	EXPECT_ANSWERS(REFUSED(8));

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
	EXPECT_NO_ANSWER();
	ASSERT_LT(0, respond(self->fault_fd, first->cookie));
	ASSERT_LT(0, respond(self->fault_fd, faults[0].cookie));
	EXPECT_ANSWERS(DONE(1), DONE(2));
}

/* A group is delivered whole, or not at all and whole by the next read */
TEST_F(iopf, read_fault_in_group)
{
	char *edge = vi_map_guarded(_metadata, 1);
	struct iommu_hwpt_pgfault faults[4], *first;
	unsigned int i;

	ASSERT_EQ(0, vi_trigger_iopf(self->env.fd, self->env.dev.dev_id, 1, 2));
	ASSERT_EQ(0, trigger_iopf(&self->env, 2));

	/* No room for it */
	EXPECT_ERRNO(EINVAL, read(self->fault_fd, faults, 2 * sizeof(*faults)));
	for (i = 1; i != 3; i++) {
		/* Room for all of it, but memory for 1 and for 2 faults only */
		first = (void *)(edge - i * sizeof(*first));
		memset(first, 0, i * sizeof(*first));
		EXPECT_ERRNO(EFAULT,
			     read(self->fault_fd, first, sizeof(faults)));
		EXPECT_EQ(POLLIN, vi_poll(self->fault_fd, POLLIN));
		/* It doesn't wait for a response */
		EXPECT_ERRNO(EINVAL, respond(self->fault_fd, first->cookie));
	}
	EXPECT_NO_ANSWER();

	memset(faults, 0xff, sizeof(faults));
	ASSERT_EQ(sizeof(faults), read(self->fault_fd, faults, sizeof(faults)));
	for (i = 0; i != 3; i++) {
		EXPECT_EQ(1, faults[i].grpid);
		EXPECT_EQ(faults[0].cookie, faults[i].cookie);
		EXPECT_EQ(IOMMU_PGFAULT_FLAGS_PASID_VALID |
			  (i == 2 ? IOMMU_PGFAULT_FLAGS_LAST_PAGE : 0),
			  faults[i].flags);
		EXPECT_EQ(self->env.dev.dev_id, faults[i].dev_id);
		EXPECT_EQ(VI_IOPF_PASID, faults[i].pasid);
		EXPECT_EQ(IOMMU_PGFAULT_PERM_READ, faults[i].perm);
		EXPECT_EQ(0, faults[i].__reserved);
		EXPECT_EQ(VI_IOPF_ADDR - (2 - i) * PAGE_SIZE, faults[i].addr);
		EXPECT_EQ(0, faults[i].length);
	}
	EXPECT_EQ(2, faults[3].grpid);
	EXPECT_NE(faults[0].cookie, faults[3].cookie);
	EXPECT_EQ(0, vi_poll(self->fault_fd, POLLIN));

	/* All of the group has one answer */
	ASSERT_LT(0, respond(self->fault_fd, faults[0].cookie));
	EXPECT_ANSWERS(DONE(1));
	ASSERT_LT(0, respond(self->fault_fd, faults[3].cookie));
	EXPECT_ANSWERS(DONE(2));

	/* A group that was delivered before is not taken back */
	ASSERT_EQ(0, trigger_iopf(&self->env, 3));
	ASSERT_EQ(0, vi_trigger_iopf(self->env.fd, self->env.dev.dev_id, 4, 1));
	first = (void *)(edge - 2 * sizeof(*first));
	ASSERT_EQ(sizeof(*first), read(self->fault_fd, first, sizeof(faults)));
	EXPECT_EQ(3, first->grpid);
	ASSERT_EQ(2 * sizeof(*faults),
		  read(self->fault_fd, faults, sizeof(faults)));
	EXPECT_EQ(4, faults[0].grpid);
	EXPECT_EQ(4, faults[1].grpid);
	ASSERT_LT(0, respond(self->fault_fd, first->cookie));
	ASSERT_LT(0, respond(self->fault_fd, faults[0].cookie));
	EXPECT_ANSWERS(DONE(3), DONE(4));
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
	EXPECT_ANSWERS(DONE(1));
	EXPECT_ERRNO(EINVAL, write(self->fault_fd, &responses[1],
				   2 * sizeof(responses[0])));
	EXPECT_NO_ANSWER();
	EXPECT_EQ(sizeof(responses[0]),
		  write(self->fault_fd, &responses[2], sizeof(responses[0])));
	EXPECT_ANSWERS(DONE(2));
	responses[0].code = 0x100;
	EXPECT_ERRNO(EINVAL, write(self->fault_fd, responses,
				   sizeof(responses[0])));
	EXPECT_ERRNO(ESPIPE, write(self->fault_fd, responses, 1));
	EXPECT_NO_ANSWER();
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
	EXPECT_ANSWERS(REFUSED(1), REFUSED(2));
	EXPECT_EQ(0, vi_poll(self->fault_fd, POLLIN));
	EXPECT_ERRNO(EINVAL, respond(self->fault_fd, fault.cookie));
	EXPECT_ERRNO(EINVAL, respond(fault2_fd, fault.cookie));
	EXPECT_NO_ANSWER();

	ASSERT_EQ(0, trigger_iopf(env, 3));
	EXPECT_EQ(0, vi_poll(self->fault_fd, POLLIN));
	ASSERT_EQ(sizeof(fault), read(fault2_fd, &fault, sizeof(fault)));
	EXPECT_EQ(3, fault.grpid);
	DESTROY(self->nested_id);
	EXPECT_NO_ANSWER();
	ASSERT_LT(0, respond(fault2_fd, fault.cookie));
	EXPECT_ANSWERS(DONE(3));

	ASSERT_EQ(0, close(fault2_fd));
	ASSERT_EQ(0, attach(env, &env->dev, env->ioas_id));
	DESTROY(nested2_id);
	DESTROY(fault2_id);
	EXPECT_NO_ANSWER();
}

/* By a HWPT that takes no page faults, what follows has nobody to go to */
TEST_F(iopf, replace_without_faults)
{
	struct vi_env *env = &self->env;
	struct iommu_hwpt_pgfault fault;

	ASSERT_EQ(0, trigger_iopf(env, 1));
	ASSERT_EQ(sizeof(fault), read(self->fault_fd, &fault, sizeof(fault)));
	ASSERT_EQ(0, vi_trigger_iopf(env->fd, env->dev.dev_id, 2, 1));
	ASSERT_EQ(0, attach(env, &env->dev, env->ioas_id));
	EXPECT_ANSWERS(REFUSED(1), REFUSED(2));
	EXPECT_EQ(0, vi_poll(self->fault_fd, POLLIN));
	EXPECT_ERRNO(EINVAL, respond(self->fault_fd, fault.cookie));

	EXPECT_ERRNO(EINVAL, trigger_iopf(env, 3));
	EXPECT_ANSWERS(REFUSED(3));

	ASSERT_EQ(0, attach(env, &env->dev, self->nested_id));
	EXPECT_NO_ANSWER();
	ASSERT_EQ(0, trigger_iopf(env, 4));
	ASSERT_EQ(sizeof(fault), read(self->fault_fd, &fault, sizeof(fault)));
	EXPECT_EQ(4, fault.grpid);
	ASSERT_LT(0, respond(self->fault_fd, fault.cookie));
	EXPECT_ANSWERS(DONE(4));
}

/* Until the new HWPT is there a fault is one of the old HWPT, and answered with those */
TEST_F(iopf, fault_at_replace)
{
	struct vi_env *env = &self->env;
	__u32 fault2_id, fault2_fd, nested2_id;
	struct vi_dev other;

	ASSERT_EQ(0, _test_ioctl_fault_alloc(env->fd, &fault2_id, &fault2_fd));
	ASSERT_EQ(0, vi_nested_alloc(env->fd, env->dev.dev_id, self->viommu_id,
				     IOMMU_HWPT_FAULT_ID_VALID, fault2_id,
				     &nested2_id));
	vi_add_dev(_metadata, env, MOCK_FLAGS_DEVICE_ATTACH_IOPF, &other);
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id, other.dev_id,
				      VI_SID_B, NULL));

	/* The IOAS takes none */
	ASSERT_EQ(0, attach(env, &other, self->nested_id));
	EXPECT_ANSWERS(REFUSED(MOCK_ATTACH_IOPF_GRPID));

	ASSERT_EQ(0, vi_trigger_iopf(env->fd, other.dev_id, 1, 0));
	ASSERT_EQ(0, attach(env, &other, nested2_id));
	EXPECT_ANSWERS(REFUSED(1), REFUSED(MOCK_ATTACH_IOPF_GRPID));
	EXPECT_EQ(0, vi_poll(self->fault_fd, POLLIN));
	EXPECT_EQ(0, vi_poll(fault2_fd, POLLIN));

	DESTROY(other.stdev_id);
	EXPECT_NO_ANSWER();
	ASSERT_EQ(0, close(fault2_fd));
}

/* A device that leaves takes along its own faults, and none of the others' */
TEST_F(iopf, two_devices)
{
	struct vi_env *env = &self->env;
	struct iommu_hwpt_pgfault fault, faults[2];
	__u32 num, grpid, i;
	struct vi_dev other;

	vi_add_dev(_metadata, env, 0, &other);
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id, other.dev_id,
				      VI_SID_B, NULL));
	num = vi_num_iopf_answers(env->fd, env->dev.dev_id);

	/* By way of another HWPT, and for good */
	for (i = 0; i != 2; i++) {
		ASSERT_EQ(0, attach(env, &other, self->nested_id));

		/* One of each is read and one is not, under one number all */
		grpid = i + 1;
		ASSERT_EQ(0, trigger_iopf(env, grpid));
		ASSERT_EQ(0, vi_trigger_iopf(env->fd, other.dev_id, grpid, 0));
		ASSERT_EQ(sizeof(faults),
			  read(self->fault_fd, faults, sizeof(faults)));
		EXPECT_EQ(env->dev.dev_id, faults[0].dev_id);
		EXPECT_EQ(other.dev_id, faults[1].dev_id);
		EXPECT_NE(faults[0].cookie, faults[1].cookie);
		ASSERT_EQ(0, vi_trigger_iopf(env->fd, other.dev_id, grpid, 0));
		ASSERT_EQ(0, trigger_iopf(env, grpid));

		if (i)
			DESTROY(other.stdev_id);
		else
			ASSERT_EQ(0, attach(env, &other, env->ioas_id));
		EXPECT_ANSWERS(REFUSED(grpid), REFUSED(grpid));
		EXPECT_EQ(num, vi_num_iopf_answers(env->fd, env->dev.dev_id));
		EXPECT_ERRNO(EINVAL, respond(self->fault_fd, faults[1].cookie));

		/* The other one's user space has its say */
		EXPECT_EQ(POLLIN, vi_poll(self->fault_fd, POLLIN));
		ASSERT_EQ(sizeof(fault),
			  read(self->fault_fd, &fault, sizeof(fault)));
		EXPECT_EQ(env->dev.dev_id, fault.dev_id);
		EXPECT_EQ(0, vi_poll(self->fault_fd, POLLIN));
		EXPECT_LT(0, respond(self->fault_fd, faults[0].cookie));
		EXPECT_LT(0, respond(self->fault_fd, fault.cookie));
		EXPECT_ANSWERS(DONE(grpid), DONE(grpid));
		num += 2;
		EXPECT_EQ(num, vi_num_iopf_answers(env->fd, env->dev.dev_id));
	}
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
	ASSERT_EQ(0, vi_trigger_iopf(env->fd, env->dev.dev_id, 2, 1));
	EXPECT_NO_ANSWER();
	ASSERT_EQ(0, close(fault2_fd));
	EXPECT_ANSWERS(REFUSED(1), REFUSED(2));
	EXPECT_EQ(0, trigger_iopf(env, 3));
	EXPECT_ANSWERS(REFUSED(3));

	/* The device goes on with another fault queue */
	ASSERT_EQ(0, attach(env, &env->dev, self->nested_id));
	DESTROY(nested2_id);
	DESTROY(fault2_id);
	EXPECT_NO_ANSWER();
	ASSERT_EQ(0, trigger_iopf(env, 4));
	ASSERT_EQ(sizeof(fault), read(self->fault_fd, &fault, sizeof(fault)));
	EXPECT_EQ(4, fault.grpid);
	ASSERT_LT(0, respond(self->fault_fd, fault.cookie));
	EXPECT_ANSWERS(DONE(4));
}

struct faulter {
	int fd;
	__u32 dev_id;
	unsigned int triggered;
	int error;
	bool stop;
};

/* Until stopped, or the device is gone. EINVAL: no fault queue, so it was refused. */
static void *trigger_iopfs(void *arg)
{
	struct faulter *faulter = arg;

	while (!__atomic_load_n(&faulter->stop, __ATOMIC_ACQUIRE)) {
		if (vi_trigger_iopf(faulter->fd, faulter->dev_id,
				    faulter->triggered, 0) && errno != EINVAL) {
			__atomic_store_n(&faulter->error, errno,
					 __ATOMIC_RELEASE);
			break;
		}
		__atomic_add_fetch(&faulter->triggered, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void wait_triggered(struct faulter *faulter, unsigned int num)
{
	while (__atomic_load_n(&faulter->triggered, __ATOMIC_ACQUIRE) < num &&
	       !__atomic_load_n(&faulter->error, __ATOMIC_ACQUIRE))
		;
}

/* Nobody reports to the HWPT that the device has left, when its faults are answered */
TEST_F_TIMEOUT(iopf, replace_races_faults, 120)
{
	struct vi_env *env = &self->env;
	struct faulter faulter = {
		.fd = env->fd,
		.dev_id = env->dev.dev_id,
	};
	__u32 fault2_id, fault2_fd, pt_ids[3], i;
	__u64 end = vi_now_us() + 3000000;
	pthread_t thread;

	ASSERT_EQ(0, _test_ioctl_fault_alloc(env->fd, &fault2_id, &fault2_fd));
	ASSERT_EQ(0, vi_nested_alloc(env->fd, env->dev.dev_id, self->viommu_id,
				     IOMMU_HWPT_FAULT_ID_VALID, fault2_id,
				     &pt_ids[0]));
	pt_ids[1] = env->ioas_id;
	pt_ids[2] = self->nested_id;

	ASSERT_EQ(0, pthread_create(&thread, NULL, trigger_iopfs, &faulter));
	for (i = 0; vi_now_us() < end; i++) {
		ASSERT_EQ(0, attach(env, &env->dev, pt_ids[i % 3]));
		wait_triggered(&faulter, i);
	}
	ASSERT_EQ(0, attach(env, &env->dev, env->ioas_id));
	__atomic_store_n(&faulter.stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, faulter.error);
	EXPECT_LT(1, i);
	EXPECT_EQ(faulter.triggered,
		  vi_num_iopf_answers(env->fd, env->dev.dev_id));
	EXPECT_EQ(0, vi_poll(self->fault_fd, POLLIN));
	EXPECT_EQ(0, vi_poll(fault2_fd, POLLIN));
	ASSERT_EQ(0, close(fault2_fd));
}

/* The same with a device that goes */
TEST_F_TIMEOUT(iopf, device_gone_races_faults, 120)
{
	struct vi_env *env = &self->env;
	__u64 end = vi_now_us() + 3000000;

	while (vi_now_us() < end) {
		__u32 before = vi_num_iopf_answers(env->fd, 0), vdev_id;
		struct faulter faulter = { .fd = env->fd };
		pthread_t thread;
		struct vi_dev dev;

		vi_add_dev(_metadata, env, 0, &dev);
		ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id,
					      dev.dev_id, VI_SID_B, &vdev_id));
		ASSERT_EQ(0, attach(env, &dev, self->nested_id));
		faulter.dev_id = dev.dev_id;
		ASSERT_EQ(0, pthread_create(&thread, NULL, trigger_iopfs,
					    &faulter));
		wait_triggered(&faulter, 2);
		DESTROY(dev.stdev_id);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_EQ(ENOENT, faulter.error);
		EXPECT_LE(2, faulter.triggered);
		ASSERT_EQ(faulter.triggered,
			  vi_num_iopf_answers(env->fd, 0) - before);
		ASSERT_EQ(0, vi_poll(self->fault_fd, POLLIN));
		DESTROY(vdev_id);
	}
}

/* Faults that come while the file is closed have one answer too */
TEST_F_TIMEOUT(iopf, close_races_faults, 120)
{
	struct vi_env *env = &self->env;
	__u64 end = vi_now_us() + 3000000;

	while (vi_now_us() < end) {
		__u32 before = vi_num_iopf_answers(env->fd, 0);
		struct faulter faulter = {
			.fd = env->fd,
			.dev_id = env->dev.dev_id,
		};
		__u32 fault2_id, fault2_fd, nested2_id;
		struct iommu_hwpt_pgfault fault;
		pthread_t thread;

		ASSERT_EQ(0, _test_ioctl_fault_alloc(env->fd, &fault2_id,
						     &fault2_fd));
		ASSERT_EQ(0, vi_nested_alloc(env->fd, env->dev.dev_id,
					     self->viommu_id,
					     IOMMU_HWPT_FAULT_ID_VALID,
					     fault2_id, &nested2_id));
		ASSERT_EQ(0, attach(env, &env->dev, nested2_id));
		ASSERT_EQ(0, pthread_create(&thread, NULL, trigger_iopfs,
					    &faulter));
		wait_triggered(&faulter, 2);
		ASSERT_EQ(sizeof(fault),
			  read(fault2_fd, &fault, sizeof(fault)));
		ASSERT_EQ(0, close(fault2_fd));
		__atomic_store_n(&faulter.stop, true, __ATOMIC_RELEASE);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_EQ(0, faulter.error);
		/* The attach finds nothing to answer */
		ASSERT_EQ(faulter.triggered,
			  vi_num_iopf_answers(env->fd, 0) - before);
		ASSERT_EQ(0, attach(env, &env->dev, self->nested_id));
		DESTROY(nested2_id);
		DESTROY(fault2_id);
		ASSERT_EQ(faulter.triggered,
			  vi_num_iopf_answers(env->fd, 0) - before);
	}
}

/* The file of the fault queue keeps everything, and takes everything with it */
TEST_F(iopf, iommufd_closed_first)
{
	struct vi_env *env = &self->env;
	struct iommu_hwpt_pgfault faults[2];

	ASSERT_EQ(0, trigger_iopf(env, 1));
	ASSERT_EQ(0, trigger_iopf(env, 2));
	ASSERT_EQ(0, trigger_iopf(env, 3));
	ASSERT_EQ(0, close(env->fd));
	env->fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	ASSERT_NE(-1, env->fd);
	EXPECT_NO_ANSWER();

	ASSERT_EQ(sizeof(faults), read(self->fault_fd, faults, sizeof(faults)));
	ASSERT_LT(0, respond(self->fault_fd, faults[0].cookie));
	EXPECT_ANSWERS(DONE(1));
	ASSERT_EQ(0, close(self->fault_fd));
	self->fault_fd = VI_NO_ID;
	EXPECT_ANSWERS(REFUSED(2), REFUSED(3));
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
	EXPECT_NO_ANSWER();
	ASSERT_EQ(sizeof(fault), read(self->fault_fd, &fault, sizeof(fault)));
	ASSERT_LT(0, respond(self->fault_fd, fault.cookie));
	EXPECT_ANSWERS(DONE(1));
	ASSERT_EQ(0, trigger_iopf(env, 2));
	EXPECT_EQ(POLLIN, vi_poll(self->fault_fd, POLLIN));
	EXPECT_NO_ANSWER();
}

/* Also those that it has meanwhile: it never left */
TEST_F(iopf, fault_at_refused_attach)
{
	struct vi_env *env = &self->env;
	__u32 viommu2_id, nested2_id;
	struct iommu_hwpt_pgfault fault;
	struct vi_dev other;

	VI_SELFTEST_VIOMMU(env, &viommu2_id);
	ASSERT_EQ(0, vi_nested_alloc(env->fd, env->dev.dev_id, viommu2_id,
				     IOMMU_HWPT_FAULT_ID_VALID, self->fault_id,
				     &nested2_id));
	vi_add_dev(_metadata, env, MOCK_FLAGS_DEVICE_ATTACH_IOPF, &other);
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id, other.dev_id,
				      VI_SID_B, NULL));
	ASSERT_EQ(0, attach(env, &other, self->nested_id));
	EXPECT_ANSWERS(REFUSED(MOCK_ATTACH_IOPF_GRPID));

	EXPECT_ERRNO(ENOENT, attach(env, &other, nested2_id));
	EXPECT_NO_ANSWER();
	DESTROY(nested2_id);
	ASSERT_EQ(sizeof(fault), read(self->fault_fd, &fault, sizeof(fault)));
	EXPECT_EQ(other.dev_id, fault.dev_id);
	EXPECT_EQ(MOCK_ATTACH_IOPF_GRPID, fault.grpid);
	ASSERT_EQ(0, vi_trigger_iopf(env->fd, other.dev_id, 1, 0));
	ASSERT_LT(0, respond(self->fault_fd, fault.cookie));
	EXPECT_ANSWERS(DONE(MOCK_ATTACH_IOPF_GRPID));
	DESTROY(other.stdev_id);
	EXPECT_ANSWERS(REFUSED(1));
}

/*
 * The same with the fault-capable one being refused. A fault that the device has
 * meanwhile is not in the queue: nobody would be there to answer it.
 */
TEST_F(iopf, refused_attach_with_faults)
{
	struct vi_env *env = &self->env;
	struct vi_dev other;
	int rc;

	/* A device that never was anywhere */
	rc = _test_cmd_mock_domain_flags(env->fd, self->nested_id,
					 MOCK_FLAGS_DEVICE_ATTACH_IOPF,
					 &other.stdev_id, &other.hwpt_id,
					 &other.dev_id);
	EXPECT_ERRNO(ENOENT, rc);
	EXPECT_ANSWERS(REFUSED(MOCK_ATTACH_IOPF_GRPID));
	ASSERT_EQ(0, vi_poll(self->fault_fd, POLLIN));

	vi_add_dev(_metadata, env, MOCK_FLAGS_DEVICE_ATTACH_IOPF, &other);
	EXPECT_ERRNO(ENOENT, attach(env, &other, self->nested_id));
	EXPECT_ANSWERS(REFUSED(MOCK_ATTACH_IOPF_GRPID));
	ASSERT_EQ(0, vi_poll(self->fault_fd, POLLIN));

	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id, other.dev_id,
				      VI_SID_B, NULL));
	ASSERT_EQ(0, attach(env, &other, self->nested_id));
	EXPECT_ANSWERS(REFUSED(MOCK_ATTACH_IOPF_GRPID));
	ASSERT_EQ(0, vi_trigger_iopf(env->fd, other.dev_id, 1, 0));
	EXPECT_EQ(POLLIN, vi_poll(self->fault_fd, POLLIN));
	DESTROY(other.stdev_id);
	EXPECT_ANSWERS(REFUSED(1));
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
	EXPECT_NO_ANSWER();
}

/* The device goes with requests unread and unanswered */
TEST_F(iopf, device_gone)
{
	struct vi_env *env = &self->env;
	struct iommu_hwpt_pgfault fault;

	ASSERT_EQ(0, trigger_iopf(env, 1));
	ASSERT_EQ(sizeof(fault), read(self->fault_fd, &fault, sizeof(fault)));
	ASSERT_EQ(0, vi_trigger_iopf(env->fd, env->dev.dev_id, 2, 1));
	DESTROY(env->dev.stdev_id);
	EXPECT_ANSWERS(REFUSED(1), REFUSED(2));
	EXPECT_EQ(0, vi_poll(self->fault_fd, POLLIN));
	EXPECT_ERRNO(EINVAL, respond(self->fault_fd, fault.cookie));
	DESTROY(self->vdev_id);
	DESTROY(self->nested_id);
	DESTROY(self->viommu_id);
	EXPECT_NO_ANSWER();
}

TEST_HARNESS_MAIN
