// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who goes first: a vDEVICE and its device, the objects and their files, a process
 * and all that it holds.
 *
 * When a device is unbound its vDEVICE is torn down, and the ID stays as a
 * tombstone until the user destroys it.
 */
#include <pthread.h>
#include <signal.h>

#include "viommu_utils.h"

FIXTURE(lifetime)
{
	struct vi_env env;
	struct vi_dev dev;
	__u32 viommu_id;
	__u32 vdev_id;
	struct iommu_hwpt_invalidate cmd;
};

FIXTURE_SETUP(lifetime)
{
	vi_setup(_metadata, &self->env);
	/* The one that goes; the nest parent was made with the other */
	vi_add_dev(_metadata, &self->env, 0, &self->dev);
	VI_SELFTEST_VIOMMU(&self->env, &self->viommu_id);
	ASSERT_EQ(0, vi_vdevice_alloc(self->env.fd, self->viommu_id,
				      self->dev.dev_id, VI_SID_A,
				      &self->vdev_id));
}

FIXTURE_TEARDOWN(lifetime)
{
	vi_teardown(_metadata, &self->env);
}

static const struct iommu_viommu_invalidate_selftest inv_a = {
	.flags = IOMMU_TEST_INVALIDATE_FLAG_ALL,
	.vdev_id = VI_SID_A,
};

#define DESTROY(_id) \
	({ ASSERT_EQ(0, _test_ioctl_destroy(self->env.fd, _id)); })
#define EXPECT_GONE(_id) \
	EXPECT_ERRNO(ENOENT, _test_ioctl_destroy(self->env.fd, _id))

TEST_F(lifetime, device_first)
{
	int fd = self->env.fd;

	ASSERT_EQ(0, vi_invalidate(fd, self->viommu_id, &inv_a, 1, &self->cmd));
	DESTROY(self->dev.stdev_id);

	/* Nothing reaches the device through the vDEVICE any more */
	EXPECT_ERRNO(EINVAL, vi_invalidate(fd, self->viommu_id, &inv_a, 1,
					   &self->cmd));
	EXPECT_EQ(0, self->cmd.entry_num);
	EXPECT_EQ(0, self->cmd.out_error_index);
	EXPECT_ERRNO(ENOENT, vi_trigger_vevent(fd, self->dev.dev_id));

	/* The ID is nobody else's until it is destroyed, once */
	DESTROY(self->vdev_id);
	EXPECT_GONE(self->vdev_id);
	DESTROY(self->viommu_id);
	DESTROY(self->env.parent_id);
}

TEST_F(lifetime, vdevice_first)
{
	DESTROY(self->vdev_id);
	EXPECT_GONE(self->vdev_id);
	/* The device takes another one, also under the same name */
	ASSERT_EQ(0, vi_vdevice_alloc(self->env.fd, self->viommu_id,
				      self->dev.dev_id, VI_SID_A,
				      &self->vdev_id));
	ASSERT_EQ(0, vi_invalidate(self->env.fd, self->viommu_id, &inv_a, 1,
				   &self->cmd));
	EXPECT_EQ(0x0f, vi_cache_mask(self->env.fd, self->dev.dev_id));
	DESTROY(self->vdev_id);
	DESTROY(self->dev.stdev_id);
	DESTROY(self->viommu_id);
	DESTROY(self->env.parent_id);
}

/* The tombstone keeps its ID, and neither the virt_id nor the vIOMMU */
TEST_F(lifetime, tombstone)
{
	__u32 vdev2_id, ioas_id;
	struct vi_dev other;
	unsigned int i;

	DESTROY(self->dev.stdev_id);
	for (i = 0; i != 16; i++) {
		ASSERT_EQ(0, _test_ioctl_ioas_alloc(self->env.fd, &ioas_id));
		EXPECT_NE(self->vdev_id, ioas_id);
	}

	vi_add_dev(_metadata, &self->env, 0, &other);
	EXPECT_NE(self->vdev_id, other.dev_id);
	EXPECT_NE(self->vdev_id, other.stdev_id);
	ASSERT_EQ(0, vi_vdevice_alloc(self->env.fd, self->viommu_id,
				      other.dev_id, VI_SID_A, &vdev2_id));
	EXPECT_NE(self->vdev_id, vdev2_id);
	ASSERT_EQ(0, vi_invalidate(self->env.fd, self->viommu_id, &inv_a, 1,
				   &self->cmd));
	EXPECT_EQ(0x0f, vi_cache_mask(self->env.fd, other.dev_id));
	EXPECT_EQ(0, vi_cache_mask(self->env.fd, self->env.dev.dev_id));

	/* Destroying the tombstone does nothing to its successor */
	DESTROY(self->vdev_id);
	ASSERT_EQ(0, vi_invalidate(self->env.fd, self->viommu_id, &inv_a, 1,
				   &self->cmd));
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(self->env.fd, self->viommu_id));
	DESTROY(vdev2_id);
	DESTROY(self->viommu_id);
}

/* A tombstone is no vDEVICE: what holds the vIOMMU went with the device */
TEST_F(lifetime, viommu_before_tombstone)
{
	DESTROY(self->dev.stdev_id);
	DESTROY(self->viommu_id);
	DESTROY(self->env.parent_id);
	DESTROY(self->vdev_id);
	EXPECT_GONE(self->vdev_id);
}

/* Many at once, unbound in an order that is not the one of their making */
TEST_F(lifetime, many_devices)
{
	struct vi_dev devs[32];
	__u32 vdev_ids[32];
	unsigned int i, pos;

	for (i = 0; i != ARRAY_SIZE(devs); i++) {
		vi_add_dev(_metadata, &self->env, 0, &devs[i]);
		ASSERT_EQ(0, vi_vdevice_alloc(self->env.fd, self->viommu_id,
					      devs[i].dev_id, 0x1000 * i,
					      &vdev_ids[i]));
	}
	for (i = 0; i != ARRAY_SIZE(devs); i++) {
		pos = i * 13 % ARRAY_SIZE(devs);
		DESTROY(devs[pos].stdev_id);
		if (i % 2)
			DESTROY(vdev_ids[pos]);
	}
	/* The rest are tombstones for the close to clear away */
}

/* Attached to a nested HWPT when its vDEVICE goes, and when it goes itself */
TEST_F(lifetime, attached)
{
	__u32 nested_id;

	ASSERT_EQ(0, vi_nested_alloc(self->env.fd, self->dev.dev_id,
				     self->viommu_id, 0, 0, &nested_id));
	ASSERT_EQ(0, _test_cmd_mock_domain_replace(self->env.fd,
						   self->dev.stdev_id,
						   nested_id, NULL));
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(self->env.fd, nested_id));
	DESTROY(self->dev.stdev_id);
	DESTROY(nested_id);
	DESTROY(self->vdev_id);
	DESTROY(self->viommu_id);
	DESTROY(self->env.parent_id);
}

static void make_everything(struct __test_metadata *_metadata, int *fd_out)
{
	struct vi_env env = { .kmsg = -1 };
	__u32 viommu_id, vdev_id, veventq_id, nested_id, fault_id, fault_fd;
	struct vi_dev gone;
	int veventq_fd;

	vi_setup(_metadata, &env);
	VI_SELFTEST_VIOMMU(&env, &viommu_id);
	ASSERT_EQ(0, vi_vdevice_alloc(env.fd, viommu_id, env.dev.dev_id,
				      VI_SID_A, &vdev_id));
	VI_SELFTEST_VEVENTQ(&env, viommu_id, 2, &veventq_id, &veventq_fd);
	ASSERT_EQ(0, _test_ioctl_fault_alloc(env.fd, &fault_id, &fault_fd));
	ASSERT_EQ(0, vi_nested_alloc(env.fd, env.dev.dev_id, viommu_id,
				     IOMMU_HWPT_FAULT_ID_VALID, fault_id,
				     &nested_id));
	ASSERT_EQ(0, _test_cmd_mock_domain_replace(env.fd, env.dev.stdev_id,
						   nested_id, NULL));
	ASSERT_EQ(0, vi_trigger_vevents(env.fd, env.dev.dev_id, 3));
	vi_add_dev(_metadata, &env, 0, &gone);
	ASSERT_EQ(0, vi_vdevice_alloc(env.fd, viommu_id, gone.dev_id, VI_SID_B,
				      NULL));
	ASSERT_EQ(0, _test_ioctl_destroy(env.fd, gone.stdev_id));
	*fd_out = env.fd;
}

/* Everything alive, a tombstone too, events unread: exit closes the files */
TEST_F(lifetime, process_exit)
{
	unsigned int i;
	int status, fd;
	pid_t pid;

	for (i = 0; i != 8; i++) {
		pid = fork();
		ASSERT_NE(-1, pid);
		if (!pid) {
			make_everything(_metadata, &fd);
			/* Every other one is killed instead */
			if (i % 2)
				raise(SIGKILL);
			_exit(0);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(i % 2 ? SIGKILL : 0, status);
	}
}

TEST_F(lifetime, close_iommufd_first)
{
	int fd, i;

	make_everything(_metadata, &fd);
	ASSERT_EQ(0, close(fd));
	/* The files of the vEVENTQ and of the fault queue, kmsg is harmless */
	for (i = 3; i != 64; i++)
		if (i != self->env.fd && i != self->env.kmsg)
			close(i);
}

static void *poll_forever(void *arg)
{
	struct pollfd pfd = { .fd = *(int *)arg, .events = POLLIN };

	poll(&pfd, 1, -1);
	return NULL;
}

/* The file is in poll(), and read, when everybody goes */
TEST_F(lifetime, exit_in_poll)
{
	struct vi_env env = {};
	__u32 viommu_id, id;
	pthread_t thread;
	int status, fd;
	pid_t pid;

	pid = fork();
	ASSERT_NE(-1, pid);
	if (!pid) {
		vi_setup(_metadata, &env);
		VI_SELFTEST_VIOMMU(&env, &viommu_id);
		VI_SELFTEST_VEVENTQ(&env, viommu_id, 2, &id, &fd);
		if (pthread_create(&thread, NULL, poll_forever, &fd))
			_exit(1);
		usleep(100000);
		close(env.fd);
		close(fd);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

struct racer {
	int fd;
	__u32 id;
	pthread_barrier_t *start;
	int rc;
	int error;
};

static void *destroy_one(void *arg)
{
	struct racer *racer = arg;

	pthread_barrier_wait(racer->start);
	racer->rc = _test_ioctl_destroy(racer->fd, racer->id);
	racer->error = errno;
	return NULL;
}

/* Both tear the vDEVICE down. One does, both succeed. */
TEST_F_TIMEOUT(lifetime, race_of_destroys, 120)
{
	pthread_barrier_t start;
	unsigned int i, j;

	ASSERT_EQ(0, pthread_barrier_init(&start, NULL, 2));
	DESTROY(self->vdev_id);
	for (i = 0; i != 100; i++) {
		struct racer racers[2] = {
			{ .fd = self->env.fd, .start = &start },
			{ .fd = self->env.fd, .start = &start },
		};
		pthread_t threads[2];
		struct vi_dev dev;

		vi_add_dev(_metadata, &self->env, 0, &dev);
		ASSERT_EQ(0, vi_vdevice_alloc(self->env.fd, self->viommu_id,
					      dev.dev_id, VI_SID_A,
					      &racers[0].id));
		racers[1].id = dev.stdev_id;
		for (j = 0; j != 2; j++) {
			ASSERT_EQ(0, pthread_create(&threads[j], NULL,
						    destroy_one, &racers[j]));
		}
		for (j = 0; j != 2; j++) {
			ASSERT_EQ(0, pthread_join(threads[j], NULL));
			EXPECT_EQ(0, racers[j].rc)
			{
				TH_LOG("destroy %u: errno %d", j,
				       racers[j].error);
			}
		}
	}
	DESTROY(self->viommu_id);
}

struct closer {
	int fd;
	pthread_barrier_t *start;
	int rc;
};

static void *close_one(void *arg)
{
	struct closer *closer = arg;

	pthread_barrier_wait(closer->start);
	closer->rc = close(closer->fd);
	return NULL;
}

/* The file holds the object: what is destroyed as soon as it can be, was let go */
TEST_F_TIMEOUT(lifetime, close_races_destroy, 120)
{
	__u64 end = vi_now_us() + 6000000;
	unsigned int rounds = 0;
	pthread_barrier_t start;

	ASSERT_EQ(0, pthread_barrier_init(&start, NULL, 2));
	while (vi_now_us() < end) {
		struct closer closer = { .start = &start };
		__u64 give_up;
		pthread_t thread;
		__u32 id, fd;
		int rc;

		/* The file of a vEVENTQ, and of a fault queue */
		if (rounds % 2) {
			VI_SELFTEST_VEVENTQ(&self->env, self->viommu_id, 4, &id,
					    &closer.fd);
		} else {
			ASSERT_EQ(0, _test_ioctl_fault_alloc(self->env.fd, &id,
							     &fd));
			closer.fd = fd;
		}
		ASSERT_EQ(0, pthread_create(&thread, NULL, close_one, &closer));
		pthread_barrier_wait(&start);
		give_up = vi_now_us() + 10000000;
		do {
			rc = _test_ioctl_destroy(self->env.fd, id);
		} while (rc && errno == EBUSY && vi_now_us() < give_up);
		EXPECT_EQ(0, rc);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_EQ(0, closer.rc);
		rounds++;
	}
	EXPECT_LT(1, rounds);
	/* Nothing holds them still */
	DESTROY(self->vdev_id);
	DESTROY(self->viommu_id);
}

/* The shape of the storm: threads that use what others make and destroy */
struct storm {
	struct vi_env *env;
	__u32 viommu_id;
	int veventq_fd;
	__u32 dev_id;
	unsigned int calls;
	int error;
	bool stop;
};

static bool storm_on(struct storm *storm)
{
	storm->calls++;
	return !__atomic_load_n(&storm->stop, __ATOMIC_RELAXED);
}

static void *storm_invalidate(void *arg)
{
	struct iommu_viommu_invalidate_selftest inv[64];
	struct iommu_hwpt_invalidate cmd;
	struct storm *storm = arg;
	unsigned int i;

	for (i = 0; i != ARRAY_SIZE(inv); i++)
		inv[i] = inv_a;
	while (storm_on(storm)) {
		if (!vi_invalidate(storm->env->fd, storm->viommu_id, inv,
				   ARRAY_SIZE(inv), &cmd)) {
			if (cmd.entry_num != ARRAY_SIZE(inv))
				storm->error = 1;
		} else if (errno != EINVAL ||
			   cmd.entry_num >= ARRAY_SIZE(inv) ||
			   cmd.out_error_index != cmd.entry_num) {
			storm->error = errno ?: 2;
		}
	}
	return NULL;
}

static void *storm_events(void *arg)
{
	struct storm *storm = arg;
	__u32 dev_id;

	while (storm_on(storm)) {
		dev_id = __atomic_load_n(&storm->dev_id, __ATOMIC_RELAXED);
		if (vi_trigger_vevent(storm->env->fd, dev_id) &&
		    errno != ENOENT)
			storm->error = errno;
	}
	return NULL;
}

static void *storm_read(void *arg)
{
	struct storm *storm = arg;
	struct vi_record record;

	while (storm_on(storm)) {
		if (read(storm->veventq_fd, &record, sizeof(record)) < 0)
			storm->error = errno;
		else
			usleep(100);
	}
	return NULL;
}

/* Invalidations and events find a vDEVICE whole or not at all */
TEST_F_TIMEOUT(lifetime, storm, 120)
{
	void *(*const fns[])(void *) = {
		storm_invalidate, storm_events, storm_read,
	};
	struct storm storms[ARRAY_SIZE(fns)];
	pthread_t threads[ARRAY_SIZE(fns)];
	__u64 end = vi_now_us() + 8000000;
	unsigned int i, rounds = 0;
	__u32 veventq_id;
	int veventq_fd;

	DESTROY(self->vdev_id);
	VI_SELFTEST_VEVENTQ(&self->env, self->viommu_id, 8, &veventq_id,
			    &veventq_fd);
	for (i = 0; i != ARRAY_SIZE(fns); i++) {
		storms[i] = (struct storm){
			.env = &self->env,
			.viommu_id = self->viommu_id,
			.veventq_fd = veventq_fd,
		};
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, fns[i],
					    &storms[i]));
	}
	while (vi_now_us() < end) {
		struct vi_dev dev;
		__u32 vdev_id;

		vi_add_dev(_metadata, &self->env, 0, &dev);
		__atomic_store_n(&storms[1].dev_id, dev.dev_id,
				 __ATOMIC_RELAXED);
		for (i = 0; i != 4; i++) {
			ASSERT_EQ(0, vi_vdevice_alloc(self->env.fd,
						      self->viommu_id,
						      dev.dev_id, VI_SID_A,
						      &vdev_id));
			if (i != 3)
				DESTROY(vdev_id);
		}
		DESTROY(dev.stdev_id);
		DESTROY(vdev_id);
		rounds++;
	}
	for (i = 0; i != ARRAY_SIZE(fns); i++) {
		__atomic_store_n(&storms[i].stop, true, __ATOMIC_RELAXED);
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(0, storms[i].error);
		EXPECT_LT(1, storms[i].calls);
	}
	EXPECT_LT(1, rounds);
	ASSERT_EQ(0, close(veventq_fd));
	DESTROY(veventq_id);
	DESTROY(self->viommu_id);
	DESTROY(self->env.parent_id);
}

TEST_HARNESS_MAIN
