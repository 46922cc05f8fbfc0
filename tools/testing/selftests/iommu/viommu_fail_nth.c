// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every call of the vIOMMU's interface with every point that fault injection can
 * fail on its way failed once: each allocation (failslab, fail_page_alloc), each
 * access to user memory (fail_usercopy), and the points of iommufd and the mock
 * driver (fail_iommufd).
 *
 * The philosophy is that of iommufd_fail_nth.c, and on top each failed call is
 * held to this: it says so with an errno that fits, it leaves no file and no
 * reference behind, and the same call succeeds right after it. A call that could
 * do without what it was denied may succeed.
 *
 * An XArray asks for a node twice, so that one failed point is healed by the next.
 * Therefore those calls are made again with a slab cache that has nothing more to
 * give from some point on.
 */
#include <dirent.h>

#include "viommu_utils.h"

/* More points than any of the calls has; a kernel that grows may need more */
#define MAX_NTH 400

#define FAILSLAB "/sys/kernel/debug/failslab"
/* Where the nodes of XArrays are from, and how many entries one has */
#define NODES "radix_tree_node"
#define NODE_ENTRIES 64

static bool have_fault_injection, have_usercopy;

static int write_file(const char *dir, const char *name, const char *value)
{
	char path[300];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY);
	if (fd == -1)
		return -1;
	len = write(fd, value, strlen(value));
	close(fd);
	return len == strlen(value) ? 0 : -1;
}

/* Sleeping allocations can fail too, and the log stays readable */
static __attribute__((constructor)) void setup_fault_injection(void)
{
	static const char debugfs[] = "/sys/kernel/debug";
	DIR *dir = opendir(debugfs);
	struct dirent *entry;
	char path[300];

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, "fail", 4))
			continue;
		if (!strcmp(entry->d_name, "fail_usercopy"))
			have_usercopy = true;
		snprintf(path, sizeof(path), "%s/%s", debugfs, entry->d_name);
		write_file(path, "verbose", "0");
	}
	closedir(dir);

	write_file("/sys/kernel/debug/fail_page_alloc", "ignore-gfp-wait", "N");
	write_file("/sys/kernel/debug/fail_page_alloc", "ignore-gfp-highmem",
		   "N");
	have_fault_injection =
		!write_file(FAILSLAB, "ignore-gfp-wait", "N") &&
		!access("/sys/kernel/slab/" NODES "/failslab", W_OK) &&
		!access("/proc/thread-self/fail-nth", W_OK) &&
		!access("/sys/kernel/debug/fail_iommufd", X_OK);
}

FIXTURE(fail_nth)
{
	struct vi_env env;
	struct vi_dev dev;
	int nth_fd;
	int make_it_fail_fd;
	const char *cache;
	unsigned int cache_size;
	__u32 viommu_id;
	__u32 vdev_id;
	__u32 veventq_id;
	int veventq_fd;
	__u32 fault_id;
	__u32 fault_fd;
	__u32 nested_id;
	unsigned int failures;
	struct vi_record records[4];
	struct iommu_hwpt_invalidate cmd;
};

/* A whole guest's set of objects around the one that the test is about */
FIXTURE_SETUP(fail_nth)
{
	struct vi_env *env = &self->env;

	if (!have_fault_injection)
		SKIP(return, "no failslab, fail_iommufd or fail-nth");
	vi_setup(_metadata, env);
	vi_add_dev(_metadata, env, 0, &self->dev);
	VI_SELFTEST_VIOMMU(env, &self->viommu_id);
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id,
				      env->dev.dev_id, VI_SID_A,
				      &self->vdev_id));
	VI_SELFTEST_VEVENTQ(env, self->viommu_id, ARRAY_SIZE(self->records),
			    &self->veventq_id, &self->veventq_fd);
	ASSERT_EQ(0, _test_ioctl_fault_alloc(env->fd, &self->fault_id,
					     &self->fault_fd));
	ASSERT_EQ(0, vi_nested_alloc(env->fd, env->dev.dev_id, self->viommu_id,
				     IOMMU_HWPT_FAULT_ID_VALID, self->fault_id,
				     &self->nested_id));
	self->nth_fd = open("/proc/thread-self/fail-nth", O_RDWR);
	ASSERT_NE(-1, self->nth_fd);
	self->make_it_fail_fd = open("/proc/thread-self/make-it-fail", O_RDWR);
	ASSERT_NE(-1, self->make_it_fail_fd);
}

FIXTURE_TEARDOWN(fail_nth)
{
	struct vi_env *env = &self->env;

	/* All references are where they were: everything comes apart */
	EXPECT_EQ(0, close(self->nth_fd));
	EXPECT_EQ(0, close(self->make_it_fail_fd));
	EXPECT_EQ(0, close(self->veventq_fd));
	EXPECT_EQ(0, close(self->fault_fd));
	EXPECT_EQ(0, _test_ioctl_destroy(env->fd, self->nested_id));
	EXPECT_EQ(0, _test_ioctl_destroy(env->fd, self->fault_id));
	EXPECT_EQ(0, _test_ioctl_destroy(env->fd, self->veventq_id));
	EXPECT_EQ(0, _test_ioctl_destroy(env->fd, self->vdev_id));
	EXPECT_EQ(0, _test_ioctl_destroy(env->fd, self->viommu_id));
	EXPECT_EQ(0, _test_ioctl_destroy(env->fd, self->env.dev.stdev_id));
	EXPECT_EQ(0, _test_ioctl_destroy(env->fd, self->env.parent_id));
	vi_teardown(_metadata, env);
}

static void arm(struct __test_metadata *_metadata,
		FIXTURE_DATA(fail_nth) *self, unsigned int nth)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%u", nth);

	ASSERT_EQ(len, pwrite(self->nth_fd, buf, len, 0));
}

/* Whether the point was reached. Disarming can be what is failed. */
static bool disarm(struct __test_metadata *_metadata,
		   FIXTURE_DATA(fail_nth) *self)
{
	char buf[16] = {};
	bool hit;
	ssize_t len;

	len = pread(self->nth_fd, buf, sizeof(buf) - 1, 0);
	hit = len > 0 && atoi(buf) == 0;
	if (pwrite(self->nth_fd, "0", 1, 0) != 1) {
		ASSERT_EQ(1, pwrite(self->nth_fd, "0", 1, 0));
	}
	return hit;
}

/* Bytes in an object of a slab cache, 0 if there is none */
static unsigned int cache_size(const char *cache)
{
	char path[64], text[16] = {};
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/object_size", cache);
	fd = open(path, O_RDONLY);
	if (fd == -1)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return atoi(text);
}

static int write_cache(const char *cache, const char *value)
{
	char dir[64];

	snprintf(dir, sizeof(dir), "/sys/kernel/slab/%s", cache);
	return write_file(dir, "failslab", value);
}

/*
 * From here to feed(), starved() is without memory from the slab cache @cache, or from
 * any if it is NULL
 */
static void starve(struct __test_metadata *_metadata,
		   FIXTURE_DATA(fail_nth) *self, const char *cache)
{
	self->cache = cache;
	self->cache_size = 0;
	if (cache) {
		self->cache_size = cache_size(cache);
		ASSERT_NE(0, self->cache_size);
		ASSERT_EQ(0, write_cache(cache, "1"));
	}
	ASSERT_EQ(0, write_file(FAILSLAB, "cache-filter", cache ? "Y" : "N"));
	ASSERT_EQ(0, write_file(FAILSLAB, "task-filter", "Y"));
	ASSERT_EQ(0, write_file(FAILSLAB, "times", "-1"));
	ASSERT_EQ(0, write_file(FAILSLAB, "probability", "100"));
}

static void feed(struct __test_metadata *_metadata,
		 FIXTURE_DATA(fail_nth) *self)
{
	ASSERT_EQ(0, write_file(FAILSLAB, "probability", "0"));
	ASSERT_EQ(0, write_file(FAILSLAB, "times", "0"));
	ASSERT_EQ(0, write_file(FAILSLAB, "space", "0"));
	ASSERT_EQ(0, write_file(FAILSLAB, "task-filter", "N"));
	ASSERT_EQ(0, write_file(FAILSLAB, "cache-filter", "N"));
	if (self->cache) {
		ASSERT_EQ(0, write_cache(self->cache, "0"));
	}
}

/* @call with no more than @spare allocations of this thread that succeed */
static int starved(struct __test_metadata *_metadata,
		   FIXTURE_DATA(fail_nth) *self,
		   int (*call)(FIXTURE_DATA(fail_nth) *self),
		   unsigned int spare)
{
	char space[16];
	int rc, error;

	/* Bytes; one that can't be had in full is not had */
	snprintf(space, sizeof(space), "%u",
		 spare ? spare * self->cache_size + 1 : 0);
	ASSERT_EQ(0, write_file(FAILSLAB, "space", space));
	ASSERT_EQ(1, pwrite(self->make_it_fail_fd, "1", 1, 0));
	/* Nothing else meanwhile, not even a line on standard output */
	rc = call(self);
	error = errno;
	/* Of a file that is open, so without memory */
	ASSERT_EQ(1, pwrite(self->make_it_fail_fd, "0", 1, 0));
	errno = error;
	return rc;
}

struct call {
	int (*make)(FIXTURE_DATA(fail_nth) *self);
	/* After a success, back to before; can be NULL */
	int (*undo)(FIXTURE_DATA(fail_nth) *self);
	/* What a failure can say but ENOMEM, ENOENT and EFAULT */
	int errnos[8];
};

static bool errno_fits(const struct call *call, int error)
{
	unsigned int i;

	/* Of an allocation, of iommufd_get_object(), of user memory */
	if (error == ENOMEM || error == ENOENT || error == EFAULT)
		return true;
	for (i = 0; i != ARRAY_SIZE(call->errnos); i++)
		if (call->errnos[i] && call->errnos[i] == error)
			return true;
	return false;
}

static void sweep(struct __test_metadata *_metadata,
		  FIXTURE_DATA(fail_nth) *self, const struct call *call)
{
	int fds = vi_count_fds();
	unsigned int nth;
	int rc, error;
	bool hit;

	self->failures = 0;
	for (nth = 1;; nth++) {
		ASSERT_GT(MAX_NTH, nth);
		arm(_metadata, self, nth);
		rc = call->make(self);
		error = errno;
		hit = disarm(_metadata, self);
		if (!hit) {
			ASSERT_EQ(0, rc)
			{
				TH_LOG("not injected, errno %d", error);
			}
		}
		if (rc) {
			self->failures++;
			EXPECT_TRUE(errno_fits(call, error))
			{
				TH_LOG("point %u: errno %d", nth, error);
			}
			EXPECT_EQ(fds, vi_count_fds());
			ASSERT_EQ(0, call->make(self))
			{
				TH_LOG("point %u: again: errno %d", nth, errno);
			}
		}
		if (call->undo) {
			ASSERT_EQ(0, call->undo(self))
			{
				TH_LOG("point %u: undo: errno %d", nth, errno);
			}
		}
		EXPECT_EQ(fds, vi_count_fds());
		if (!hit)
			break;
	}
}

/* As sweep(), but @cache has nothing more to give from one point after the other on */
static void sweep_starved(struct __test_metadata *_metadata,
			  FIXTURE_DATA(fail_nth) *self, const struct call *call,
			  const char *cache)
{
	int fds = vi_count_fds();
	unsigned int spare;
	int rc, error;

	self->failures = 0;
	starve(_metadata, self, cache);
	for (spare = 0;; spare++) {
		ASSERT_GT(MAX_NTH, spare);
		rc = starved(_metadata, self, call->make, spare);
		error = errno;
		if (rc) {
			self->failures++;
			EXPECT_EQ(ENOMEM, error);
			EXPECT_EQ(fds, vi_count_fds());
			ASSERT_EQ(0, call->make(self))
			{
				TH_LOG("%u spare: again: errno %d", spare,
				       errno);
			}
		}
		/* What goes needs none */
		ASSERT_EQ(0, starved(_metadata, self, call->undo, 0))
		{
			TH_LOG("%u spare: undo: errno %d", spare, errno);
		}
		EXPECT_EQ(fds, vi_count_fds());
		if (!rc)
			break;
	}
	feed(_metadata, self);
}

static __u32 made_id;
static int made_fd = -1;

static int destroy_made(FIXTURE_DATA(fail_nth) *self)
{
	return _test_ioctl_destroy(self->env.fd, made_id);
}

static int make_viommu(FIXTURE_DATA(fail_nth) *self)
{
	struct iommu_viommu_selftest data = { .in_data = 1 };

	return vi_viommu_alloc(self->env.fd, self->env.dev.dev_id,
			       self->env.parent_id, IOMMU_VIOMMU_TYPE_SELFTEST,
			       &data, sizeof(data), &made_id);
}

TEST_F_TIMEOUT(fail_nth, viommu_alloc, 120)
{
	const struct call call = { make_viommu, destroy_made };

	sweep(_metadata, self, &call);
	/* Two lookups, the driver's init and at least the object */
	EXPECT_LE(4, self->failures);
}

static int make_vdevice(FIXTURE_DATA(fail_nth) *self)
{
	/* Far from the other one: the index needs a new node each time */
	return vi_vdevice_alloc(self->env.fd, self->viommu_id, self->dev.dev_id,
				0x10000000, &made_id);
}

TEST_F_TIMEOUT(fail_nth, vdevice_alloc, 120)
{
	const struct call call = { make_vdevice, destroy_made };

	sweep(_metadata, self, &call);
	EXPECT_LE(4, self->failures);
}

static __u32 spare_viommu_id;

static int make_veventq(FIXTURE_DATA(fail_nth) *self)
{
	return vi_veventq_alloc(self->env.fd, spare_viommu_id,
				IOMMU_VEVENTQ_TYPE_SELFTEST, 1000, &made_id,
				&made_fd);
}

static int undo_veventq(FIXTURE_DATA(fail_nth) *self)
{
	if (close(made_fd))
		return -1;
	return destroy_made(self);
}

TEST_F_TIMEOUT(fail_nth, veventq_alloc, 120)
{
	const struct call call = { make_veventq, undo_veventq, { ENFILE } };

	VI_SELFTEST_VIOMMU(&self->env, &spare_viommu_id);
	sweep(_metadata, self, &call);
	EXPECT_LE(3, self->failures);
	EXPECT_EQ(0, _test_ioctl_destroy(self->env.fd, spare_viommu_id));
}

static int make_nested(FIXTURE_DATA(fail_nth) *self)
{
	return vi_nested_alloc(self->env.fd, self->env.dev.dev_id,
			       self->viommu_id, IOMMU_HWPT_FAULT_ID_VALID,
			       self->fault_id, &made_id);
}

TEST_F_TIMEOUT(fail_nth, hwpt_alloc, 120)
{
	/* EINVAL is what IOMMU_HWPT_ALLOC says of an unknown pt_id */
	const struct call call = { make_nested, destroy_made, { EINVAL } };

	sweep(_metadata, self, &call);
	EXPECT_LE(5, self->failures);
}

static int attach_nested(FIXTURE_DATA(fail_nth) *self)
{
	return _test_cmd_mock_domain_replace(self->env.fd,
					     self->env.dev.stdev_id,
					     self->nested_id, NULL);
}

static int attach_ioas(FIXTURE_DATA(fail_nth) *self)
{
	return _test_cmd_mock_domain_replace(self->env.fd,
					     self->env.dev.stdev_id,
					     self->env.ioas_id, NULL);
}

TEST_F_TIMEOUT(fail_nth, attach, 120)
{
	const struct call call = { attach_nested, attach_ioas };

	sweep(_metadata, self, &call);
	EXPECT_LE(2, self->failures);
}

static const struct iommu_viommu_invalidate_selftest inv[4] = {
	{ .vdev_id = VI_SID_B, .cache_id = 0 },
	{ .vdev_id = VI_SID_B, .cache_id = 1 },
	{ .vdev_id = VI_SID_B, .cache_id = 2 },
	{ .vdev_id = VI_SID_B, .cache_id = 3 },
};

static int invalidate(FIXTURE_DATA(fail_nth) *self)
{
	return vi_invalidate(self->env.fd, self->viommu_id, inv,
			     ARRAY_SIZE(inv), &self->cmd);
}

/*
 * The count is right also if the call fails: entry n is word n of the cache, each time
 * of a new device. There is nothing to allocate. If the structure itself can't be read
 * or written the caller learns no count.
 */
TEST_F_TIMEOUT(fail_nth, invalidate, 120)
{
	const int all = (1 << ARRAY_SIZE(inv)) - 1;
	unsigned int nth, told = 0;
	int fd = self->env.fd;
	struct vi_dev dev;
	int rc, error, mask;
	bool hit = true;
	__u32 vdev_id;

	for (nth = 1; hit; nth++) {
		ASSERT_GT(MAX_NTH, nth);
		vi_add_dev(_metadata, &self->env, 0, &dev);
		ASSERT_EQ(0, vi_vdevice_alloc(fd, self->viommu_id, dev.dev_id,
					      VI_SID_B, &vdev_id));
		arm(_metadata, self, nth);
		rc = invalidate(self);
		error = errno;
		hit = disarm(_metadata, self);
		mask = vi_cache_mask(fd, dev.dev_id);
		if (rc) {
			ASSERT_TRUE(hit);
			if (error == ENOENT) {
				EXPECT_EQ(0, self->cmd.entry_num);
				EXPECT_EQ(0, self->cmd.out_report_flags);
				EXPECT_EQ(0, mask);
				told++;
			} else if (self->cmd.out_report_flags == VI_POISON) {
				EXPECT_EQ(EFAULT, error);
				EXPECT_TRUE(mask == 0 || mask == all);
			} else {
				EXPECT_EQ(EFAULT, error);
				EXPECT_EQ(IOMMU_HWPT_INVALIDATE_REPORT_VALID,
					  self->cmd.out_report_flags);
				EXPECT_GT(ARRAY_SIZE(inv), self->cmd.entry_num);
				EXPECT_EQ(self->cmd.entry_num,
					  self->cmd.out_error_index);
				EXPECT_EQ((1 << self->cmd.entry_num) - 1, mask);
				told++;
			}
			ASSERT_EQ(0, invalidate(self))
			{
				TH_LOG("point %u: again: errno %d", nth, errno);
			}
			mask = vi_cache_mask(fd, dev.dev_id);
		}
		EXPECT_EQ(ARRAY_SIZE(inv), self->cmd.entry_num);
		EXPECT_EQ(all, mask);
		ASSERT_EQ(0, _test_ioctl_destroy(fd, dev.stdev_id));
		ASSERT_EQ(0, _test_ioctl_destroy(fd, vdev_id));
	}
	/* The lookup of the vIOMMU's ID, and each entry if user memory can fail */
	EXPECT_EQ(have_usercopy ? 1 + ARRAY_SIZE(inv) : 1, told);
}

static int trigger(FIXTURE_DATA(fail_nth) *self)
{
	return vi_trigger_vevent(self->env.fd, self->env.dev.dev_id);
}

static int read_event(FIXTURE_DATA(fail_nth) *self)
{
	ssize_t len = read(self->veventq_fd, self->records,
			   sizeof(self->records));

	if (len < 0)
		return -1;
	errno = EPROTO;
	return len == sizeof(self->records[0]) ? 0 : -1;
}

/* To report an event no memory is needed: a guest's fault is never lost to that */
TEST_F(fail_nth, report_event)
{
	const struct call call = { trigger, read_event };

	sweep(_metadata, self, &call);
	/* The test operation's structure, and the lookup of the device's ID */
	EXPECT_EQ(have_usercopy ? 2 : 1, self->failures);
}

TEST_F(fail_nth, read_event)
{
	const struct call call = { read_event, trigger };

	ASSERT_EQ(0, trigger(self));
	sweep(_metadata, self, &call);
	EXPECT_EQ(have_usercopy ? 1 : 0, self->failures);
}

static struct iommu_hwpt_pgfault pgfault;

static int trigger_pgfault(FIXTURE_DATA(fail_nth) *self)
{
	return vi_trigger_iopf(self->env.fd, self->env.dev.dev_id, 1, 0);
}

static int read_pgfault(FIXTURE_DATA(fail_nth) *self)
{
	ssize_t len = read(self->fault_fd, &pgfault, sizeof(pgfault));

	if (len < 0)
		return -1;
	errno = EPROTO;
	return len == sizeof(pgfault) ? 0 : -1;
}

static int respond_pgfault(FIXTURE_DATA(fail_nth) *self)
{
	ssize_t len = vi_respond_iopf(self->fault_fd, pgfault.cookie,
				      IOMMUFD_PAGE_RESP_SUCCESS);

	if (len < 0)
		return -1;
	errno = EPROTO;
	return len == sizeof(struct iommu_hwpt_page_response) ? 0 : -1;
}

static int next_pgfault(FIXTURE_DATA(fail_nth) *self)
{
	if (respond_pgfault(self))
		return -1;
	return trigger_pgfault(self);
}

static int pgfault_to_answer(FIXTURE_DATA(fail_nth) *self)
{
	if (trigger_pgfault(self))
		return -1;
	return read_pgfault(self);
}

/* A page fault whose read fails is the next read's, and the device goes on waiting */
TEST_F(fail_nth, read_pgfault)
{
	const struct call call = { read_pgfault, next_pgfault };
	__u32 dev_id = self->env.dev.dev_id, num;
	int fd = self->env.fd;

	ASSERT_EQ(0, attach_nested(self));
	ASSERT_EQ(0, trigger_pgfault(self));
	sweep(_metadata, self, &call);
	EXPECT_LE(have_usercopy ? 1 : 0, self->failures);

	num = vi_num_iopf_answers(fd, dev_id);
	starve(_metadata, self, NULL);
	EXPECT_ERRNO(ENOMEM, starved(_metadata, self, read_pgfault, 0));
	feed(_metadata, self);
	EXPECT_EQ(POLLIN, vi_poll(self->fault_fd, POLLIN));
	ASSERT_EQ(0, read_pgfault(self));
	EXPECT_EQ(num, vi_num_iopf_answers(fd, dev_id));
	ASSERT_EQ(0, respond_pgfault(self));
	EXPECT_EQ(num + 1, vi_num_iopf_answers(fd, dev_id));
	EXPECT_EQ(0, vi_poll(self->fault_fd, POLLIN));
	ASSERT_EQ(0, attach_ioas(self));
	EXPECT_EQ(num + 1, vi_num_iopf_answers(fd, dev_id));
}

/* To answer one no memory is needed, and an answer that can't be read is none */
TEST_F(fail_nth, answer_pgfault)
{
	const struct call call = { respond_pgfault, pgfault_to_answer };
	__u32 dev_id = self->env.dev.dev_id, num;
	int fd = self->env.fd;

	ASSERT_EQ(0, attach_nested(self));
	num = vi_num_iopf_answers(fd, dev_id);
	ASSERT_EQ(0, pgfault_to_answer(self));
	sweep(_metadata, self, &call);
	EXPECT_EQ(have_usercopy ? 1 : 0, self->failures);
	/* One in the last round, and one in each that failed */
	EXPECT_EQ(num + 1 + self->failures, vi_num_iopf_answers(fd, dev_id));

	starve(_metadata, self, NULL);
	EXPECT_EQ(0, starved(_metadata, self, respond_pgfault, 0));
	feed(_metadata, self);
	ASSERT_EQ(0, attach_ioas(self));
	EXPECT_EQ(num + 2 + self->failures, vi_num_iopf_answers(fd, dev_id));
}

/* Reported or answered: without memory too the device does not wait for nothing */
TEST_F(fail_nth, report_pgfault)
{
	__u32 dev_id = self->env.dev.dev_id, num;
	unsigned int nth, answered = 0;
	int fd = self->env.fd, rc, error;
	bool hit = true;

	ASSERT_EQ(0, attach_nested(self));
	for (nth = 1; hit; nth++) {
		ASSERT_GT(MAX_NTH, nth);
		num = vi_num_iopf_answers(fd, dev_id);
		arm(_metadata, self, nth);
		rc = trigger_pgfault(self);
		error = errno;
		hit = disarm(_metadata, self);
		if (rc) {
			/* The test operation did not get to the device */
			EXPECT_TRUE(hit && (error == EFAULT || error == ENOENT));
			EXPECT_EQ(num, vi_num_iopf_answers(fd, dev_id));
		} else if (vi_poll(self->fault_fd, POLLIN) == POLLIN) {
			EXPECT_EQ(num, vi_num_iopf_answers(fd, dev_id));
			ASSERT_EQ(0, read_pgfault(self));
			ASSERT_EQ(0, respond_pgfault(self));
			EXPECT_EQ(num + 1, vi_num_iopf_answers(fd, dev_id));
		} else {
			EXPECT_TRUE(hit);
			EXPECT_EQ(num + 1, vi_num_iopf_answers(fd, dev_id));
			answered++;
		}
	}
	EXPECT_LT(0, answered);
	ASSERT_EQ(0, attach_ioas(self));
}

/* A structure that can't be read is a call not made */
static int destroy_once(FIXTURE_DATA(fail_nth) *self, __u32 id)
{
	int rc = _test_ioctl_destroy(self->env.fd, id);

	if (rc && errno == EFAULT)
		rc = _test_ioctl_destroy(self->env.fd, id);
	return rc;
}

/* What goes must go: no step of a teardown may depend on memory */
TEST_F_TIMEOUT(fail_nth, destroy, 120)
{
	int (*const make[])(FIXTURE_DATA(fail_nth) *) = {
		make_viommu, make_vdevice, make_veventq, make_nested,
	};
	unsigned int i, nth;
	bool hit;

	VI_SELFTEST_VIOMMU(&self->env, &spare_viommu_id);
	for (i = 0; i != ARRAY_SIZE(make); i++) {
		for (nth = 1, hit = true; hit; nth++) {
			ASSERT_GT(MAX_NTH, nth);
			made_fd = -1;
			ASSERT_EQ(0, make[i](self));
			if (made_fd != -1) {
				ASSERT_EQ(0, close(made_fd));
			}
			arm(_metadata, self, nth);
			EXPECT_EQ(0, destroy_once(self, made_id));
			hit = disarm(_metadata, self);
			EXPECT_ERRNO(ENOENT, destroy_made(self));
		}
	}
	EXPECT_EQ(0, _test_ioctl_destroy(self->env.fd, spare_viommu_id));
}

TEST_F_TIMEOUT(fail_nth, close_file, 120)
{
	unsigned int nth;
	bool hit = true;

	VI_SELFTEST_VIOMMU(&self->env, &spare_viommu_id);
	for (nth = 1; hit; nth++) {
		ASSERT_GT(MAX_NTH, nth);
		ASSERT_EQ(0, make_veventq(self));
		arm(_metadata, self, nth);
		EXPECT_EQ(0, close(made_fd));
		hit = disarm(_metadata, self);
		ASSERT_EQ(0, destroy_made(self));
	}
	EXPECT_EQ(0, _test_ioctl_destroy(self->env.fd, spare_viommu_id));
}

/* The unbind takes the vDEVICE along, whatever memory there is */
TEST_F_TIMEOUT(fail_nth, device_gone, 120)
{
	struct iommu_viommu_invalidate_selftest gone = { .vdev_id = VI_SID_B };
	unsigned int nth;
	struct vi_dev dev;
	bool hit = true;
	__u32 vdev_id;

	for (nth = 1; hit; nth++) {
		ASSERT_GT(MAX_NTH, nth);
		vi_add_dev(_metadata, &self->env, 0, &dev);
		ASSERT_EQ(0, vi_vdevice_alloc(self->env.fd, self->viommu_id,
					      dev.dev_id, VI_SID_B, &vdev_id));
		arm(_metadata, self, nth);
		EXPECT_EQ(0, destroy_once(self, dev.stdev_id));
		hit = disarm(_metadata, self);
		EXPECT_ERRNO(EINVAL, vi_invalidate(self->env.fd,
						   self->viommu_id, &gone, 1,
						   &self->cmd));
		ASSERT_EQ(0, _test_ioctl_destroy(self->env.fd, vdev_id));
	}
}

static struct vi_dev made_dev;

static int make_device(FIXTURE_DATA(fail_nth) *self)
{
	return _test_cmd_mock_domain_flags(
		self->env.fd, self->env.ioas_id,
		MOCK_FLAGS_DEVICE_PASID | MOCK_FLAGS_DEVICE_OTHER_IOMMU,
		&made_dev.stdev_id, &made_dev.hwpt_id, &made_dev.dev_id);
}

static int undo_device(FIXTURE_DATA(fail_nth) *self)
{
	return _test_ioctl_destroy(self->env.fd, made_dev.stdev_id);
}

/* The mock driver's own part. A device that no IOMMU took can't be bound. */
TEST_F_TIMEOUT(fail_nth, mock_device, 300)
{
	const struct call call = { make_device, undo_device,
				   { EINVAL, ENODEV } };

	sweep(_metadata, self, &call);
	EXPECT_LE(10, self->failures);
}

static int get_hw_info(FIXTURE_DATA(fail_nth) *self)
{
	struct iommu_test_hw_info info;

	return _test_cmd_get_hw_info(self->env.fd, self->env.dev.dev_id,
				     IOMMU_HW_INFO_TYPE_SELFTEST, &info,
				     sizeof(info), NULL, NULL);
}

TEST_F(fail_nth, hw_info)
{
	const struct call call = { get_hw_info };

	sweep(_metadata, self, &call);
	EXPECT_LE(2, self->failures);
}

static int make_parent(FIXTURE_DATA(fail_nth) *self)
{
	struct vi_env *env = &self->env;

	return _test_cmd_hwpt_alloc(env->fd, env->dev.dev_id, env->ioas_id, 0,
				    IOMMU_HWPT_ALLOC_NEST_PARENT, &made_id,
				    IOMMU_HWPT_DATA_NONE, NULL, 0);
}

static int make_ioas(FIXTURE_DATA(fail_nth) *self)
{
	return _test_ioctl_ioas_alloc(self->env.fd, &made_id);
}

/* What is made next is the first that needs nodes for its ID: a leaf, and a root */
#define ID_NODES 2

static unsigned int fill_ids(struct __test_metadata *_metadata,
			     FIXTURE_DATA(fail_nth) *self, __u32 *ids)
{
	unsigned int num;

	starve(_metadata, self, NODES);
	for (num = 0; !starved(_metadata, self, make_ioas, 0); num++) {
		ASSERT_GT(NODE_ENTRIES, num);
		ids[num] = made_id;
	}
	EXPECT_EQ(ENOMEM, errno);
	feed(_metadata, self);
	return num;
}

static void free_ids(struct __test_metadata *_metadata,
		     FIXTURE_DATA(fail_nth) *self, const __u32 *ids,
		     unsigned int num)
{
	while (num--) {
		ASSERT_EQ(0, _test_ioctl_destroy(self->env.fd, ids[num]));
	}
}

static void sweep_starved_calls(struct __test_metadata *_metadata,
				FIXTURE_DATA(fail_nth) *self)
{
	static const struct {
		const char *name;
		struct call call;
		unsigned int nodes;
	} calls[] = {
		{ "vIOMMU", { make_viommu, destroy_made }, ID_NODES },
		/* Three roots on top of VI_SID_A's, four down from the last */
		{ "vDEVICE", { make_vdevice, destroy_made }, ID_NODES + 7 },
		{ "vEVENTQ", { make_veventq, undo_veventq }, ID_NODES },
		{ "nested HWPT", { make_nested, destroy_made }, ID_NODES },
		{ "nest parent", { make_parent, destroy_made }, ID_NODES },
	};
	__u32 ids[NODE_ENTRIES];
	unsigned int i, num;

	VI_SELFTEST_VIOMMU(&self->env, &spare_viommu_id);
	num = fill_ids(_metadata, self, ids);
	for (i = 0; i != ARRAY_SIZE(calls); i++) {
		sweep_starved(_metadata, self, &calls[i].call, NODES);
		EXPECT_LE(calls[i].nodes, self->failures)
		{
			TH_LOG("%s: %u failures", calls[i].name,
			       self->failures);
		}
	}
	free_ids(_metadata, self, ids, num);
	EXPECT_EQ(0, _test_ioctl_destroy(self->env.fd, spare_viommu_id));
}

/* Without nodes no object has an ID, and no vDEVICE a place in its vIOMMU */
TEST_F_TIMEOUT(fail_nth, starved, 120)
{
	sweep_starved_calls(_metadata, self);
}

static int make_spare_vdevice(FIXTURE_DATA(fail_nth) *self)
{
	return vi_vdevice_alloc(self->env.fd, spare_viommu_id, self->dev.dev_id,
				0x10000000, NULL);
}

/* Nodes that a vDEVICE got before there were no more are its vIOMMU's to free */
static void abandon_nodes(struct __test_metadata *_metadata,
			  FIXTURE_DATA(fail_nth) *self)
{
	unsigned int spare;

	starve(_metadata, self, NODES);
	for (spare = 1; spare != 4; spare++) {
		VI_SELFTEST_VIOMMU(&self->env, &spare_viommu_id);
		EXPECT_ERRNO(ENOMEM, starved(_metadata, self,
					     make_spare_vdevice, spare));
		EXPECT_EQ(0, _test_ioctl_destroy(self->env.fd,
						 spare_viommu_id));
	}
	feed(_metadata, self);
}

#define KMEMLEAK "/sys/kernel/debug/kmemleak"

/* What no object and no file shows, where the kernel can tell */
TEST_F_TIMEOUT(fail_nth, kmemleak, 300)
{
	const struct call calls[] = {
		{ make_viommu, destroy_made },
		{ make_vdevice, destroy_made },
		{ make_veventq, undo_veventq, { ENFILE } },
		{ make_nested, destroy_made, { EINVAL } },
		{ attach_nested, attach_ioas },
	};
	char report[16384];
	unsigned int i;
	ssize_t len;
	int fd;

	if (access(KMEMLEAK, W_OK))
		SKIP(return, "no kmemleak");
	ASSERT_EQ(0, write_file("/sys/kernel/debug", "kmemleak", "scan"));
	ASSERT_EQ(0, write_file("/sys/kernel/debug", "kmemleak", "clear"));
	VI_SELFTEST_VIOMMU(&self->env, &spare_viommu_id);
	for (i = 0; i != ARRAY_SIZE(calls); i++)
		sweep(_metadata, self, &calls[i]);
	EXPECT_EQ(0, _test_ioctl_destroy(self->env.fd, spare_viommu_id));
	sweep_starved_calls(_metadata, self);
	abandon_nodes(_metadata, self);

	/* It reports nothing younger than 5 s, and not at first sight */
	for (i = 0; i != 3; i++) {
		if (i == 1)
			sleep(6);
		ASSERT_EQ(0, write_file("/sys/kernel/debug", "kmemleak",
					"scan"));
	}
	fd = open(KMEMLEAK, O_RDONLY);
	ASSERT_NE(-1, fd);
	len = read(fd, report, sizeof(report) - 1);
	ASSERT_LE(0, len);
	report[len] = 0;
	EXPECT_EQ(NULL, strstr(report, "iommufd"))
	{
		TH_LOG("%s", report);
	}
	EXPECT_EQ(0, close(fd));
}

TEST_HARNESS_MAIN
