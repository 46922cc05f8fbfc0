// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls that meet a page fault which the user takes forever to handle.
 *
 * userfaultfd stops a call in the middle, wherever it touches user memory, for as
 * long as the test likes. Whatever the call holds then, others must get on: a
 * device that it was about can be unbound, and events are queued for a reader
 * that is stuck. Without userfaultfd it is a matter of luck to get there.
 */
#include <pthread.h>
#include <sys/syscall.h>
#include <linux/userfaultfd.h>

#include "viommu_utils.h"

/* Who waits for a reference waits for a minute, and then complains */
#define PROMPTLY_US 30000000ULL

struct held {
	int fd;
	unsigned long request;
	void *arg;
	pthread_t thread;
	int rc;
	int error;
};

FIXTURE(userfault)
{
	struct vi_env env;
	struct vi_dev dev;
	__u32 viommu_id;
	int uffd;
	/* Whose first access to @page is stopped */
	void *page;
	struct held held;
};

FIXTURE_SETUP(userfault)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP,
	};

	self->uffd = syscall(__NR_userfaultfd, O_CLOEXEC);
	if (access("/proc/sys/vm/unprivileged_userfaultfd", F_OK))
		SKIP(return, "no userfaultfd");
	ASSERT_NE(-1, self->uffd);
	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_API, &api));

	vi_setup(_metadata, &self->env);
	/* The one that goes; the nest parent was made with the other */
	vi_add_dev(_metadata, &self->env, 0, &self->dev);
	VI_SELFTEST_VIOMMU(&self->env, &self->viommu_id);
	self->page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->page);
}

FIXTURE_TEARDOWN(userfault)
{
	EXPECT_EQ(0, close(self->uffd));
	EXPECT_EQ(0, munmap(self->page, PAGE_SIZE));
	vi_teardown(_metadata, &self->env);
}

#define DESTROY(_id) \
	({ ASSERT_EQ(0, _test_ioctl_destroy(self->env.fd, _id)); })

static void watch(struct __test_metadata *_metadata,
		  FIXTURE_DATA(userfault) *self, __u64 mode)
{
	struct uffdio_register reg = {
		.range = { (uintptr_t)self->page, PAGE_SIZE },
		.mode = mode,
	};

	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_REGISTER, &reg));
}

/* There is no page: who reads or writes is stopped */
static void watch_missing(struct __test_metadata *_metadata,
			  FIXTURE_DATA(userfault) *self)
{
	watch(_metadata, self, UFFDIO_REGISTER_MODE_MISSING);
}

/* The page is there with what the test wrote to it: who writes is stopped */
static void watch_writes(struct __test_metadata *_metadata,
			 FIXTURE_DATA(userfault) *self)
{
	struct uffdio_writeprotect wp = {
		.range = { (uintptr_t)self->page, PAGE_SIZE },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	watch(_metadata, self, UFFDIO_REGISTER_MODE_WP);
	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_WRITEPROTECT, &wp));
}

static void *make_call(void *arg)
{
	struct held *held = arg;

	if (held->request)
		held->rc = ioctl(held->fd, held->request, held->arg);
	else
		held->rc = read(held->fd, held->arg, PAGE_SIZE);
	held->error = errno;
	return NULL;
}

/* Returns with the call stuck in its access to the page */
static void hold(struct __test_metadata *_metadata,
		 FIXTURE_DATA(userfault) *self, int fd, unsigned long request,
		 void *arg)
{
	struct pollfd pfd = { .fd = self->uffd, .events = POLLIN };
	struct uffd_msg msg;

	self->held = (struct held){
		.fd = fd,
		.request = request,
		.arg = arg,
	};
	ASSERT_EQ(0, pthread_create(&self->held.thread, NULL, make_call,
				    &self->held));
	ASSERT_EQ(1, poll(&pfd, 1, 30000));
	ASSERT_EQ(sizeof(msg), read(self->uffd, &msg, sizeof(msg)));
	ASSERT_EQ(UFFD_EVENT_PAGEFAULT, msg.event);
}

static void join(struct __test_metadata *_metadata,
		 FIXTURE_DATA(userfault) *self)
{
	ASSERT_EQ(0, pthread_join(self->held.thread, NULL));
	errno = self->held.error;
}

/* The call goes on, with @len bytes of @data in the page */
static void release(struct __test_metadata *_metadata,
		    FIXTURE_DATA(userfault) *self, const void *data, size_t len)
{
	char *page = calloc(1, PAGE_SIZE);
	struct uffdio_copy copy = {
		.dst = (uintptr_t)self->page,
		.src = (uintptr_t)page,
		.len = PAGE_SIZE,
	};

	ASSERT_NE(NULL, page);
	if (len)
		memcpy(page, data, len);
	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_COPY, &copy));
	free(page);
	join(_metadata, self);
}

static void release_writes(struct __test_metadata *_metadata,
			   FIXTURE_DATA(userfault) *self)
{
	struct uffdio_writeprotect wp = {
		.range = { (uintptr_t)self->page, PAGE_SIZE },
	};

	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_WRITEPROTECT, &wp));
	join(_metadata, self);
}

/* The device goes while the call is stuck. No complaint: see vi_teardown() */
static void unbind(struct __test_metadata *_metadata,
		   FIXTURE_DATA(userfault) *self)
{
	__u64 start = vi_now_us();

	DESTROY(self->dev.stdev_id);
	EXPECT_GT(PROMPTLY_US, vi_now_us() - start);
}

TEST_F_TIMEOUT(userfault, viommu_alloc, 120)
{
	struct iommu_viommu_selftest data = { .in_data = 0x1234 };
	struct iommu_viommu_alloc cmd = {
		.size = sizeof(cmd),
		.type = IOMMU_VIOMMU_TYPE_SELFTEST,
		.dev_id = self->dev.dev_id,
		.hwpt_id = self->env.parent_id,
		.data_len = sizeof(data),
		.data_uptr = (uintptr_t)self->page,
	};
	struct iommu_viommu_selftest *out = self->page;

	watch_missing(_metadata, self);
	hold(_metadata, self, self->env.fd, IOMMU_VIOMMU_ALLOC, &cmd);
	unbind(_metadata, self);
	/* Nor can what it is made of be destroyed under it */
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(self->env.fd,
						self->env.parent_id));
	release(_metadata, self, &data, sizeof(data));
	ASSERT_EQ(0, self->held.rc);
	EXPECT_EQ(0x1234, out->out_data);
	DESTROY(cmd.out_viommu_id);
	DESTROY(self->viommu_id);
	DESTROY(self->env.parent_id);
}

TEST_F_TIMEOUT(userfault, viommu_alloc_respond, 120)
{
	struct iommu_viommu_alloc *cmd = self->page;

	*cmd = (struct iommu_viommu_alloc){
		.size = sizeof(*cmd),
		.type = IOMMU_VIOMMU_TYPE_SELFTEST,
		.dev_id = self->dev.dev_id,
		.hwpt_id = self->env.parent_id,
	};
	watch_writes(_metadata, self);
	hold(_metadata, self, self->env.fd, IOMMU_VIOMMU_ALLOC, cmd);
	unbind(_metadata, self);
	release_writes(_metadata, self);
	ASSERT_EQ(0, self->held.rc);
	DESTROY(cmd->out_viommu_id);
}

TEST_F_TIMEOUT(userfault, hwpt_alloc, 120)
{
	struct iommu_hwpt_selftest data = { .iotlb = 0x4321 };
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.dev_id = self->dev.dev_id,
		.pt_id = self->viommu_id,
		.data_type = IOMMU_HWPT_DATA_SELFTEST,
		.data_len = sizeof(data),
		.data_uptr = (uintptr_t)self->page,
	};

	watch_missing(_metadata, self);
	hold(_metadata, self, self->env.fd, IOMMU_HWPT_ALLOC, &cmd);
	unbind(_metadata, self);
	EXPECT_ERRNO(EBUSY,
		     _test_ioctl_destroy(self->env.fd, self->viommu_id));
	release(_metadata, self, &data, sizeof(data));
	ASSERT_EQ(0, self->held.rc);
	EXPECT_EQ(0, vi_check_iotlb_all(self->env.fd, cmd.out_hwpt_id, 0x4321));
	DESTROY(cmd.out_hwpt_id);
	DESTROY(self->viommu_id);
}

TEST_F_TIMEOUT(userfault, hwpt_alloc_respond, 120)
{
	struct iommu_hwpt_selftest data = { .iotlb = IOMMU_TEST_IOTLB_DEFAULT };
	struct iommu_hwpt_alloc *cmd = self->page;

	*cmd = (struct iommu_hwpt_alloc){
		.size = sizeof(*cmd),
		.dev_id = self->dev.dev_id,
		.pt_id = self->viommu_id,
		.data_type = IOMMU_HWPT_DATA_SELFTEST,
		.data_len = sizeof(data),
		.data_uptr = (uintptr_t)&data,
	};
	watch_writes(_metadata, self);
	hold(_metadata, self, self->env.fd, IOMMU_HWPT_ALLOC, cmd);
	unbind(_metadata, self);
	release_writes(_metadata, self);
	ASSERT_EQ(0, self->held.rc);
	DESTROY(cmd->out_hwpt_id);
	DESTROY(self->viommu_id);
}

/* What is no business of a vIOMMU holds the device no longer either */
TEST_F_TIMEOUT(userfault, hwpt_alloc_ioas_respond, 120)
{
	struct iommu_hwpt_alloc *cmd = self->page;
	__u32 ioas_id;

	/* Not the one that the device is on: the call keeps a lock of it */
	ASSERT_EQ(0, _test_ioctl_ioas_alloc(self->env.fd, &ioas_id));
	*cmd = (struct iommu_hwpt_alloc){
		.size = sizeof(*cmd),
		.dev_id = self->dev.dev_id,
		.pt_id = ioas_id,
	};
	watch_writes(_metadata, self);
	hold(_metadata, self, self->env.fd, IOMMU_HWPT_ALLOC, cmd);
	unbind(_metadata, self);
	release_writes(_metadata, self);
	ASSERT_EQ(0, self->held.rc);
	DESTROY(cmd->out_hwpt_id);
	DESTROY(ioas_id);
	DESTROY(self->viommu_id);
}

/* The vDEVICE is made, and torn down before the caller knows its ID */
TEST_F_TIMEOUT(userfault, vdevice_alloc_respond, 120)
{
	struct iommu_vdevice_alloc *cmd = self->page;

	*cmd = (struct iommu_vdevice_alloc){
		.size = sizeof(*cmd),
		.viommu_id = self->viommu_id,
		.dev_id = self->dev.dev_id,
		.virt_id = VI_SID_A,
	};
	watch_writes(_metadata, self);
	hold(_metadata, self, self->env.fd, IOMMU_VDEVICE_ALLOC, cmd);
	unbind(_metadata, self);
	release_writes(_metadata, self);
	ASSERT_EQ(0, self->held.rc);
	DESTROY(cmd->out_vdevice_id);
	DESTROY(self->viommu_id);
}

/* No device is involved, but the vIOMMU */
TEST_F_TIMEOUT(userfault, veventq_alloc_respond, 120)
{
	struct iommu_veventq_alloc *cmd = self->page;

	*cmd = (struct iommu_veventq_alloc){
		.size = sizeof(*cmd),
		.viommu_id = self->viommu_id,
		.type = IOMMU_VEVENTQ_TYPE_SELFTEST,
		.veventq_depth = 4,
	};
	watch_writes(_metadata, self);
	hold(_metadata, self, self->env.fd, IOMMU_VEVENTQ_ALLOC, cmd);
	unbind(_metadata, self);
	EXPECT_ERRNO(EBUSY,
		     _test_ioctl_destroy(self->env.fd, self->viommu_id));
	release_writes(_metadata, self);
	ASSERT_EQ(0, self->held.rc);
	ASSERT_EQ(0, close(cmd->out_veventq_fd));
	DESTROY(cmd->out_veventq_id);
	DESTROY(self->viommu_id);
}

TEST_F_TIMEOUT(userfault, hw_info, 120)
{
	struct iommu_test_hw_info *info = self->page;
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd),
		.dev_id = self->dev.dev_id,
		.data_len = sizeof(*info),
		.data_uptr = (uintptr_t)info,
	};

	watch_missing(_metadata, self);
	hold(_metadata, self, self->env.fd, IOMMU_GET_HW_INFO, &cmd);
	unbind(_metadata, self);
	release(_metadata, self, NULL, 0);
	ASSERT_EQ(0, self->held.rc);
	EXPECT_EQ(IOMMU_HW_INFO_SELFTEST_REGVAL, info->test_reg);
}

TEST_F_TIMEOUT(userfault, hw_info_respond, 120)
{
	struct iommu_hw_info *cmd = self->page;

	*cmd = (struct iommu_hw_info){
		.size = sizeof(*cmd),
		.dev_id = self->dev.dev_id,
	};
	watch_writes(_metadata, self);
	hold(_metadata, self, self->env.fd, IOMMU_GET_HW_INFO, cmd);
	unbind(_metadata, self);
	release_writes(_metadata, self);
	ASSERT_EQ(0, self->held.rc);
	EXPECT_EQ(sizeof(struct iommu_test_hw_info), cmd->data_len);
}

/* What the entries name is looked up when they have been read */
TEST_F_TIMEOUT(userfault, invalidate, 120)
{
	const struct iommu_viommu_invalidate_selftest entry = {
		.vdev_id = VI_SID_A,
	};
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = self->viommu_id,
		.data_uptr = (uintptr_t)self->page,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST,
		.entry_len = sizeof(entry),
		.entry_num = 1,
	};
	__u32 vdev_id;

	ASSERT_EQ(0, vi_vdevice_alloc(self->env.fd, self->viommu_id,
				      self->dev.dev_id, VI_SID_A, &vdev_id));
	watch_missing(_metadata, self);
	hold(_metadata, self, self->env.fd, IOMMU_HWPT_INVALIDATE, &cmd);
	unbind(_metadata, self);
	DESTROY(vdev_id);
	EXPECT_ERRNO(EBUSY,
		     _test_ioctl_destroy(self->env.fd, self->viommu_id));
	release(_metadata, self, &entry, sizeof(entry));
	EXPECT_ERRNO(EINVAL, self->held.rc);
	EXPECT_EQ(0, cmd.entry_num);
	EXPECT_EQ(IOMMU_HWPT_INVALIDATE_REPORT_VALID, cmd.out_report_flags);
	DESTROY(self->viommu_id);
}

/* Who reports events is an interrupt thread: it must not wait for a reader */
TEST_F_TIMEOUT(userfault, veventq_read, 120)
{
	const struct vi_record *record = self->page;
	__u32 vdev_id, veventq_id;
	int veventq_fd;
	__u64 start;

	ASSERT_EQ(0, vi_vdevice_alloc(self->env.fd, self->viommu_id,
				      self->dev.dev_id, VI_SID_A, &vdev_id));
	VI_SELFTEST_VEVENTQ(&self->env, self->viommu_id, 2, &veventq_id,
			    &veventq_fd);
	ASSERT_EQ(0, vi_trigger_vevent(self->env.fd, self->dev.dev_id));
	watch_missing(_metadata, self);
	hold(_metadata, self, veventq_fd, 0, self->page);

	/* One more fits, two are lost */
	start = vi_now_us();
	ASSERT_EQ(0, vi_trigger_vevents(self->env.fd, self->dev.dev_id, 3));
	EXPECT_EQ(POLLIN, vi_poll(veventq_fd, POLLIN));
	unbind(_metadata, self);
	EXPECT_GT(PROMPTLY_US, vi_now_us() - start);
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(self->env.fd, veventq_id));

	release(_metadata, self, NULL, 0);
	ASSERT_EQ(2 * sizeof(*record) + VI_SEQ_HEADER, self->held.rc);
	EXPECT_EQ(0, record[0].header.sequence);
	EXPECT_EQ(1, record[1].header.sequence);
	EXPECT_EQ(VI_SID_A, record[1].event.virt_id);
	EXPECT_EQ(IOMMU_VEVENTQ_FLAG_LOST_EVENTS, record[2].header.flags);
	EXPECT_EQ(3, record[2].header.sequence);
	ASSERT_EQ(0, close(veventq_fd));
	DESTROY(veventq_id);
	DESTROY(vdev_id);
	DESTROY(self->viommu_id);
}

static void *unbind_thread(void *arg)
{
	struct held *held = arg;

	held->rc = _test_ioctl_destroy(held->fd, *(__u32 *)held->arg);
	__atomic_store_n(&held->error, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* A call that does hold the device: it makes a nested HWPT on a HWPT */
static struct iommu_hwpt_alloc holding_call(FIXTURE_DATA(userfault) *self)
{
	return (struct iommu_hwpt_alloc) {
		.size = sizeof(struct iommu_hwpt_alloc),
		.dev_id = self->dev.dev_id,
		.pt_id = self->env.parent_id,
		.data_type = IOMMU_HWPT_DATA_SELFTEST,
		.data_len = sizeof(struct iommu_hwpt_selftest),
		.data_uptr = (uintptr_t)self->page,
	};
}

/* The unbind waits for a call that holds the device, and not on after that */
TEST_F_TIMEOUT(userfault, unbind_in_use, 120)
{
	struct iommu_hwpt_selftest data = { .iotlb = IOMMU_TEST_IOTLB_DEFAULT };
	struct iommu_hwpt_alloc cmd = holding_call(self);
	struct held other = {
		.fd = self->env.fd,
		.arg = &self->dev.stdev_id,
	};
	__u64 start = vi_now_us();

	watch_missing(_metadata, self);
	hold(_metadata, self, self->env.fd, IOMMU_HWPT_ALLOC, &cmd);
	ASSERT_EQ(0, pthread_create(&other.thread, NULL, unbind_thread,
				    &other));
	usleep(500000);
	EXPECT_EQ(0, __atomic_load_n(&other.error, __ATOMIC_ACQUIRE));
	release(_metadata, self, &data, sizeof(data));
	EXPECT_EQ(0, self->held.rc);
	ASSERT_EQ(0, pthread_join(other.thread, NULL));
	EXPECT_EQ(0, other.rc);
	EXPECT_GT(PROMPTLY_US, vi_now_us() - start);
	DESTROY(cmd.out_hwpt_id);
	DESTROY(self->viommu_id);
}

/*
 * The vDEVICE goes first, for the unbind may give up, and the device go all the
 * same. And none is made in its place.
 */
TEST_F_TIMEOUT(userfault, unbind_in_use_vdevice, 120)
{
	struct iommu_hwpt_selftest data = { .iotlb = IOMMU_TEST_IOTLB_DEFAULT };
	const struct iommu_viommu_invalidate_selftest entry = {
		.flags = IOMMU_TEST_INVALIDATE_FLAG_ALL,
		.vdev_id = VI_SID_A,
	};
	struct iommu_hwpt_alloc cmd = holding_call(self);
	struct held other = {
		.fd = self->env.fd,
		.arg = &self->dev.stdev_id,
	};
	struct iommu_hwpt_invalidate inv;
	__u64 start = vi_now_us();
	__u32 vdev_id;
	int rc;

	ASSERT_EQ(0, vi_vdevice_alloc(self->env.fd, self->viommu_id,
				      self->dev.dev_id, VI_SID_A, &vdev_id));
	EXPECT_EQ(0, vi_invalidate(self->env.fd, self->viommu_id, &entry, 1,
				   &inv));
	watch_missing(_metadata, self);
	hold(_metadata, self, self->env.fd, IOMMU_HWPT_ALLOC, &cmd);
	ASSERT_EQ(0, pthread_create(&other.thread, NULL, unbind_thread,
				    &other));
	do {
		rc = vi_invalidate(self->env.fd, self->viommu_id, &entry, 1,
				   &inv);
	} while (!rc && vi_now_us() - start < 10000000);
	EXPECT_ERRNO(EINVAL, rc);
	EXPECT_ERRNO(ENOENT, vi_vdevice_alloc(self->env.fd, self->viommu_id,
					      self->dev.dev_id, VI_SID_B,
					      NULL));
	EXPECT_ERRNO(ENOENT, vi_trigger_vevent(self->env.fd, self->dev.dev_id));
	EXPECT_EQ(0, __atomic_load_n(&other.error, __ATOMIC_ACQUIRE));

	release(_metadata, self, &data, sizeof(data));
	EXPECT_EQ(0, self->held.rc);
	ASSERT_EQ(0, pthread_join(other.thread, NULL));
	EXPECT_EQ(0, other.rc);
	EXPECT_GT(PROMPTLY_US, vi_now_us() - start);
	DESTROY(cmd.out_hwpt_id);
	DESTROY(vdev_id);
	DESTROY(self->viommu_id);
}

TEST_HARNESS_MAIN
