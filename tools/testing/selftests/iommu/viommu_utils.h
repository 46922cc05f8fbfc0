/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of iommufd's vIOMMU, vDEVICE and vEVENTQ objects on the
 * mock driver; on top of iommufd_utils.h, that has everything older.
 *
 * Functions that start with vi_ and return int give 0, or -1 and errno, as the
 * ioctls do. Those that take _metadata assert.
 */
#ifndef __SELFTEST_IOMMUFD_VIOMMU_UTILS
#define __SELFTEST_IOMMUFD_VIOMMU_UTILS

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "iommufd_utils.h"

/* An ID that no object has */
#define VI_NO_ID 0x7fffffffU

/* What the tests call their devices in the guest */
#define VI_SID_A 0x99
#define VI_SID_B 0x88

/* Put into output members before a call, to see that they were written */
#define VI_POISON 0x5a5a5a5aU

/* What the tests' page faults are about */
#define VI_IOPF_PASID 1
#define VI_IOPF_ADDR 0xdeadb000

#define VI_MAX_DEPTH (1U << 19)
#define VI_SEQ_HEADER sizeof(struct iommufd_vevent_header)

/* A record of the mock vEVENTQ as read() gives it */
struct vi_record {
	struct iommufd_vevent_header header;
	struct iommu_viommu_event_selftest event;
};

struct vi_dev {
	__u32 stdev_id;
	__u32 hwpt_id;
	__u32 dev_id;
};

/* One iommufd with a device and a nest parent */
struct vi_env {
	int fd;
	int kmsg;
	__u32 ioas_id;
	__u32 parent_id;
	struct vi_dev dev;
};

static inline int vi_viommu_alloc_cmd(int fd, struct iommu_viommu_alloc *cmd)
{
	return ioctl(fd, IOMMU_VIOMMU_ALLOC, cmd);
}

static int vi_viommu_alloc(int fd, __u32 dev_id, __u32 hwpt_id, __u32 type,
			   void *data, __u32 data_len, __u32 *viommu_id)
{
	struct iommu_viommu_alloc cmd = {
		.size = sizeof(cmd),
		.type = type,
		.dev_id = dev_id,
		.hwpt_id = hwpt_id,
		.data_len = data_len,
		.data_uptr = (uintptr_t)data,
	};

	if (vi_viommu_alloc_cmd(fd, &cmd))
		return -1;
	if (viommu_id)
		*viommu_id = cmd.out_viommu_id;
	return 0;
}

static int vi_vdevice_alloc(int fd, __u32 viommu_id, __u32 dev_id,
			    __u64 virt_id, __u32 *vdev_id)
{
	struct iommu_vdevice_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = viommu_id,
		.dev_id = dev_id,
		.virt_id = virt_id,
	};

	if (ioctl(fd, IOMMU_VDEVICE_ALLOC, &cmd))
		return -1;
	if (vdev_id)
		*vdev_id = cmd.out_vdevice_id;
	return 0;
}

static int vi_veventq_alloc(int fd, __u32 viommu_id, __u32 type, __u32 depth,
			    __u32 *veventq_id, int *veventq_fd)
{
	struct iommu_veventq_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = viommu_id,
		.type = type,
		.veventq_depth = depth,
	};

	if (ioctl(fd, IOMMU_VEVENTQ_ALLOC, &cmd))
		return -1;
	if (veventq_id)
		*veventq_id = cmd.out_veventq_id;
	if (veventq_fd)
		*veventq_fd = cmd.out_veventq_fd;
	return 0;
}

/* @cmd is filled with the whole 48 byte call, outputs poisoned, and made */
static int vi_invalidate(int fd, __u32 id, const void *entries, __u32 num,
			 struct iommu_hwpt_invalidate *cmd)
{
	*cmd = (struct iommu_hwpt_invalidate){
		.size = sizeof(*cmd),
		.hwpt_id = id,
		.data_uptr = (uintptr_t)entries,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
		.entry_len = sizeof(struct iommu_viommu_invalidate_selftest),
		.entry_num = num,
		.out_report_flags = VI_POISON,
		.out_error_code = VI_POISON,
		.out_error_index = VI_POISON,
	};
	return ioctl(fd, IOMMU_HWPT_INVALIDATE, cmd);
}

static int vi_check_cache(int fd, __u32 dev_id, __u32 cache_id, __u32 value)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_DEV_CHECK_CACHE,
		.id = dev_id,
		.check_dev_cache = { .id = cache_id, .cache = value },
	};

	return ioctl(fd, _IOMMU_TEST_CMD(IOMMU_TEST_OP_DEV_CHECK_CACHE), &cmd);
}

/* The words of @dev_id that were invalidated, a bit each; -1 if one is neither */
static int vi_cache_mask(int fd, __u32 dev_id)
{
	int mask = 0, i;

	for (i = 0; i != MOCK_DEV_CACHE_NUM; i++) {
		if (!vi_check_cache(fd, dev_id, i, 0))
			mask |= 1 << i;
		else if (vi_check_cache(fd, dev_id, i,
					IOMMU_TEST_DEV_CACHE_DEFAULT))
			return -1;
	}
	return mask;
}

static int vi_trigger_vevent(int fd, __u32 dev_id)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_TRIGGER_VEVENT,
		.trigger_vevent = { .dev_id = dev_id },
	};

	return ioctl(fd, _IOMMU_TEST_CMD(IOMMU_TEST_OP_TRIGGER_VEVENT), &cmd);
}

static int vi_trigger_vevents(int fd, __u32 dev_id, unsigned int num)
{
	while (num--)
		if (vi_trigger_vevent(fd, dev_id))
			return -1;
	return 0;
}

/* Each is a group of faults, of @partial + 1 pages up to the one at VI_IOPF_ADDR */
static int vi_trigger_iopf(int fd, __u32 dev_id, __u32 grpid, __u32 partial)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_REPORT_IOPF,
		.report_iopf = {
			.dev_id = dev_id,
			.pasid = VI_IOPF_PASID,
			.grpid = grpid,
			.perm = IOMMU_PGFAULT_PERM_READ,
			.partial = partial,
			.addr = VI_IOPF_ADDR,
		},
	};

	return ioctl(fd, _IOMMU_TEST_CMD(IOMMU_TEST_OP_REPORT_IOPF), &cmd);
}

/* The answer to a page fault before the last @index ones; ENOENT if there is none */
static int vi_iopf_answer(int fd, __u32 dev_id, __u32 index,
			  struct iommu_test_iopf_answer *answer)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_IOPF_ANSWER,
		.iopf_answer = {
			.dev_id = dev_id,
			.index = index,
			.out_num = VI_POISON,
		},
	};
	int rc;

	rc = ioctl(fd, _IOMMU_TEST_CMD(IOMMU_TEST_OP_IOPF_ANSWER), &cmd);
	*answer = cmd.iopf_answer;
	return rc;
}

/* How many there were; of all devices if @dev_id is 0 */
static __u32 vi_num_iopf_answers(int fd, __u32 dev_id)
{
	struct iommu_test_iopf_answer answer;

	vi_iopf_answer(fd, dev_id, 0, &answer);
	return answer.out_num;
}

/* Answer the group that was read with @cookie */
static ssize_t vi_respond_iopf(int fd, __u32 cookie, __u32 code)
{
	struct iommu_hwpt_page_response response = {
		.cookie = cookie,
		.code = code,
	};

	return write(fd, &response, sizeof(response));
}

static int vi_poll(int fd, short events)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int n = poll(&pfd, 1, 0);

	return n < 0 ? n : pfd.revents;
}

/* Nested HWPT; @pt_id is a vIOMMU or a nest parent */
static int vi_nested_alloc(int fd, __u32 dev_id, __u32 pt_id, __u32 flags,
			   __u32 fault_id, __u32 *hwpt_id)
{
	struct iommu_hwpt_selftest data = { .iotlb = IOMMU_TEST_IOTLB_DEFAULT };

	return _test_cmd_hwpt_alloc(fd, dev_id, pt_id, fault_id, flags, hwpt_id,
				    IOMMU_HWPT_DATA_SELFTEST, &data,
				    sizeof(data));
}

static int vi_check_iotlb(int fd, __u32 hwpt_id, __u32 iotlb_id, __u32 value)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_MD_CHECK_IOTLB,
		.id = hwpt_id,
		.check_iotlb = { .id = iotlb_id, .iotlb = value },
	};

	return ioctl(fd, _IOMMU_TEST_CMD(IOMMU_TEST_OP_MD_CHECK_IOTLB), &cmd);
}

/* 0 if every word of the nested HWPT's IOTLB has the value */
static int vi_check_iotlb_all(int fd, __u32 hwpt_id, __u32 value)
{
	__u32 i;

	for (i = 0; i != MOCK_NESTED_DOMAIN_IOTLB_NUM; i++)
		if (vi_check_iotlb(fd, hwpt_id, i, value))
			return -1;
	return 0;
}

/* Numbers of files that are taken: open, or reserved and never given back */
static int vi_count_fds(void)
{
	int fd, got, num = 0;

	for (fd = 0; fd != 64; fd++) {
		if (fcntl(fd, F_GETFD) != -1) {
			num++;
			continue;
		}
		got = fcntl(STDERR_FILENO, F_DUPFD, fd);
		if (got != fd)
			num++;
		if (got != -1)
			close(got);
	}
	return num;
}

static __u64 vi_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ULL + ts.tv_nsec / 1000;
}

/*
 * @pages accessible pages followed by one that is not. Returns the address of the
 * inaccessible one.
 */
static inline char *vi_map_guarded(struct __test_metadata *_metadata,
				   unsigned int pages)
{
	char *base;

	base = mmap(NULL, (pages + 1) * PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, base);
	ASSERT_EQ(0, munmap(base + pages * PAGE_SIZE, PAGE_SIZE));
	return base + pages * PAGE_SIZE;
}

/*
 * A memory bug on an error path shows in the kernel log or nowhere: every test
 * ends with a look at what the kernel printed since its setup.
 */
static void vi_kmsg_start(struct __test_metadata *_metadata, int *kmsg)
{
	*kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_NE(-1, *kmsg);
	ASSERT_EQ(0, lseek(*kmsg, 0, SEEK_END));
}

static void vi_kmsg_check(struct __test_metadata *_metadata, int kmsg)
{
	static const char *const splats[] = {
		"WARNING: ", "BUG: ", "Oops", "Internal error", "refcount_t",
		"suspicious RCU usage", "INFO: possible", "INFO: task",
		"INFO: rcu", "Time out waiting for iommufd", "UBSAN", "KCSAN",
	};
	char line[2048];
	unsigned int i;
	ssize_t len;

	for (;;) {
		len = read(kmsg, line, sizeof(line) - 1);
		if (len < 0 && errno == EPIPE)
			continue;
		if (len <= 0)
			break;
		line[len] = 0;
		for (i = 0; i != ARRAY_SIZE(splats); i++) {
			if (!strstr(line, splats[i]))
				continue;
			EXPECT_EQ(NULL, strstr(line, splats[i]))
			{
				TH_LOG("kernel log: %s", line);
			}
			break;
		}
	}
	EXPECT_EQ(0, close(kmsg));
}

static void vi_add_dev(struct __test_metadata *_metadata, struct vi_env *env,
		       __u32 flags, struct vi_dev *dev)
{
	ASSERT_EQ(0, _test_cmd_mock_domain_flags(env->fd, env->ioas_id, flags,
						 &dev->stdev_id, &dev->hwpt_id,
						 &dev->dev_id));
}

static void vi_setup(struct __test_metadata *_metadata, struct vi_env *env)
{
	PAGE_SIZE = sysconf(_SC_PAGE_SIZE);
	vi_kmsg_start(_metadata, &env->kmsg);
	env->fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	ASSERT_NE(-1, env->fd);
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(env->fd, &env->ioas_id));
	vi_add_dev(_metadata, env, 0, &env->dev);
	ASSERT_EQ(0, _test_cmd_hwpt_alloc(env->fd, env->dev.dev_id,
					  env->ioas_id, 0,
					  IOMMU_HWPT_ALLOC_NEST_PARENT,
					  &env->parent_id, IOMMU_HWPT_DATA_NONE,
					  NULL, 0));
}

static void vi_teardown(struct __test_metadata *_metadata, struct vi_env *env)
{
	if (env->fd != -1) {
		EXPECT_EQ(0, close(env->fd));
	}
	vi_kmsg_check(_metadata, env->kmsg);
}

/* Both assert */
#define VI_SELFTEST_VIOMMU(_env, _viommu_id)                                  \
	({                                                                    \
		ASSERT_EQ(0, vi_viommu_alloc((_env)->fd, (_env)->dev.dev_id,  \
					     (_env)->parent_id,               \
					     IOMMU_VIOMMU_TYPE_SELFTEST,      \
					     NULL, 0, _viommu_id));           \
	})

#define VI_SELFTEST_VEVENTQ(_env, _viommu_id, _depth, _id, _fd)               \
	({                                                                    \
		ASSERT_EQ(0, vi_veventq_alloc((_env)->fd, _viommu_id,         \
					      IOMMU_VEVENTQ_TYPE_SELFTEST,    \
					      _depth, _id, _fd));             \
	})

#endif
