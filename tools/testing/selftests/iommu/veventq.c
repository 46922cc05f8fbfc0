// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file of a vEVENTQ: records, sequence numbers, losses, and what read() and
 * poll() answer.
 *
 * A record of the mock driver has 12 bytes. The wrap of the sequence numbers, that
 * takes 2^31 events, is left to KUnit (veventq_ring).
 */
#include <pthread.h>
#include <sys/uio.h>

#include "viommu_utils.h"

#define RECORD_LEN sizeof(struct vi_record)
#define HEADER_LEN sizeof(struct iommufd_vevent_header)

#define DEPTH 4

FIXTURE(veventq)
{
	struct vi_env env;
	__u32 viommu_id;
	__u32 vdev_id;
	__u32 veventq_id;
	int fd;
};

FIXTURE_SETUP(veventq)
{
	vi_setup(_metadata, &self->env);
	VI_SELFTEST_VIOMMU(&self->env, &self->viommu_id);
	ASSERT_EQ(0, vi_vdevice_alloc(self->env.fd, self->viommu_id,
				      self->env.dev.dev_id, VI_SID_A,
				      &self->vdev_id));
	VI_SELFTEST_VEVENTQ(&self->env, self->viommu_id, DEPTH,
			    &self->veventq_id, &self->fd);
}

FIXTURE_TEARDOWN(veventq)
{
	if (self->fd != -1) {
		EXPECT_EQ(0, close(self->fd));
	}
	vi_teardown(_metadata, &self->env);
}

#define TRIGGER(_num)                                                        \
	({                                                                   \
		ASSERT_EQ(0, vi_trigger_vevents(self->env.fd,                \
						self->env.dev.dev_id, _num)); \
	})

/* poll() says that read() would give data; HUP and ERR are never set */
#define EXPECT_READY() \
	EXPECT_EQ(POLLIN | POLLRDNORM, vi_poll(self->fd, POLLIN | POLLRDNORM))
#define EXPECT_NOT_READY() \
	EXPECT_EQ(0, vi_poll(self->fd, POLLIN | POLLRDNORM))

#define EXPECT_EMPTY()                                                \
	({                                                            \
		struct vi_record _record;                             \
								      \
		EXPECT_NOT_READY();                                   \
		EXPECT_EQ(0, read(self->fd, &_record, RECORD_LEN));   \
	})

#define EXPECT_IS_RECORD(_record, _sequence)                  \
	({                                                    \
		EXPECT_EQ(0, (_record)->header.flags);        \
		EXPECT_EQ(_sequence, (_record)->header.sequence); \
		EXPECT_EQ(VI_SID_A, (_record)->event.virt_id); \
	})

/* Read one record and no more than that */
#define EXPECT_RECORD(_sequence)                                           \
	({                                                                 \
		struct vi_record _record;                                  \
									   \
		memset(&_record, 0xff, sizeof(_record));                   \
		EXPECT_READY();                                            \
		ASSERT_EQ(RECORD_LEN, read(self->fd, &_record, RECORD_LEN)); \
		EXPECT_IS_RECORD(&_record, _sequence);                     \
	})

#define EXPECT_LOST(_sequence)                                              \
	({                                                                  \
		struct vi_record _record;                                   \
									    \
		memset(&_record, 0xff, sizeof(_record));                    \
		EXPECT_READY();                                             \
		ASSERT_EQ(HEADER_LEN, read(self->fd, &_record, RECORD_LEN)); \
		EXPECT_EQ(IOMMU_VEVENTQ_FLAG_LOST_EVENTS,                   \
			  _record.header.flags);                            \
		EXPECT_EQ(_sequence, _record.header.sequence);              \
		EXPECT_EQ(UINT32_MAX, _record.event.virt_id);               \
	})

static void set_nonblock(struct __test_metadata *_metadata, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	ASSERT_NE(-1, flags);
	ASSERT_EQ(0, fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

TEST_F(veventq, file)
{
	struct vi_record record;

	/* Not inherited by a program that the VMM runs, and only for reading */
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->fd, F_GETFD));
	EXPECT_EQ(O_RDONLY, fcntl(self->fd, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(0, fcntl(self->fd, F_GETFL) & O_NONBLOCK);
	EXPECT_ERRNO(EBADF, write(self->fd, &record, sizeof(record)));

	/* A stream has no position */
	TRIGGER(1);
	EXPECT_ERRNO(ESPIPE, lseek(self->fd, 0, SEEK_SET));
	EXPECT_ERRNO(ESPIPE, pread(self->fd, &record, sizeof(record), 0));
	EXPECT_RECORD(0);
}

TEST_F(veventq, empty)
{
	struct vi_record record;

	/* Does not block, or the alarm of the harness goes off */
	EXPECT_EMPTY();
	EXPECT_EQ(0, read(self->fd, &record, 1));
	EXPECT_EQ(0, read(self->fd, &record, 0));

	set_nonblock(_metadata, self->fd);
	EXPECT_NOT_READY();
	EXPECT_ERRNO(EAGAIN, read(self->fd, &record, sizeof(record)));
	TRIGGER(1);
	EXPECT_RECORD(0);
	EXPECT_ERRNO(EAGAIN, read(self->fd, &record, sizeof(record)));
}

TEST_F(veventq, sequence)
{
	unsigned int i;

	for (i = 0; i != 3 * DEPTH + 1; i++) {
		EXPECT_NOT_READY();
		TRIGGER(1);
		EXPECT_RECORD(i);
	}
	EXPECT_EMPTY();
}

/* As many whole records as there are and as fit */
TEST_F(veventq, batch)
{
	struct vi_record records[DEPTH + 1];
	unsigned int i;

	TRIGGER(3);
	memset(records, 0xff, sizeof(records));
	ASSERT_EQ(3 * RECORD_LEN, read(self->fd, records, sizeof(records)));
	for (i = 0; i != 3; i++)
		EXPECT_IS_RECORD(&records[i], i);
	/* Nothing is written behind them */
	EXPECT_EQ(UINT32_MAX, records[3].header.flags);
	EXPECT_EMPTY();

	/* Room for two and most of a third */
	TRIGGER(3);
	memset(records, 0xff, sizeof(records));
	ASSERT_EQ(2 * RECORD_LEN, read(self->fd, records, 3 * RECORD_LEN - 1));
	EXPECT_IS_RECORD(&records[0], 3);
	EXPECT_IS_RECORD(&records[1], 4);
	EXPECT_EQ(UINT32_MAX, records[2].header.flags);
	EXPECT_RECORD(5);
	EXPECT_EMPTY();

	/* Round the end of the ring */
	TRIGGER(DEPTH);
	ASSERT_EQ(DEPTH * RECORD_LEN, read(self->fd, records, sizeof(records)));
	for (i = 0; i != DEPTH; i++)
		EXPECT_IS_RECORD(&records[i], 6 + i);
	EXPECT_EMPTY();
}

TEST_F(veventq, small_buffer)
{
	char buf[RECORD_LEN];
	unsigned int len;
	ssize_t rc;

	TRIGGER(1);
	for (len = 1; len != RECORD_LEN; len++) {
		EXPECT_ERRNO(EINVAL, read(self->fd, buf, len));
		EXPECT_READY();
	}
	rc = read(self->fd, buf, 0);
	EXPECT_TRUE(!rc || (rc == -1 && errno == EINVAL));
	EXPECT_RECORD(0);
	EXPECT_EMPTY();

	/* The same for the header of a loss */
	TRIGGER(DEPTH + 1);
	for (len = 1; len <= DEPTH; len++)
		EXPECT_RECORD(len);
	for (len = 1; len != HEADER_LEN; len++) {
		EXPECT_ERRNO(EINVAL, read(self->fd, buf, len));
		EXPECT_READY();
	}
	EXPECT_LOST(DEPTH + 1);
	EXPECT_EMPTY();
}

/* A loss behind the last record is a header of its own, read once */
TEST_F(veventq, tail_loss)
{
	unsigned int i;

	TRIGGER(DEPTH + 3);
	for (i = 0; i != DEPTH; i++)
		EXPECT_RECORD(i);
	EXPECT_LOST(DEPTH + 2);
	EXPECT_EMPTY();

	/* What comes next continues the count */
	TRIGGER(1);
	EXPECT_RECORD(DEPTH + 3);
	EXPECT_EMPTY();
}

/* The header needs no more than its 8 bytes, alone or behind records */
TEST_F(veventq, tail_loss_room)
{
	struct {
		struct vi_record records[DEPTH];
		struct iommufd_vevent_header header;
	} buf;

	TRIGGER(DEPTH + 1);
	memset(&buf, 0xff, sizeof(buf));
	ASSERT_EQ(DEPTH * RECORD_LEN + HEADER_LEN,
		  read(self->fd, &buf, DEPTH * RECORD_LEN + HEADER_LEN));
	EXPECT_IS_RECORD(&buf.records[DEPTH - 1], DEPTH - 1);
	EXPECT_EQ(IOMMU_VEVENTQ_FLAG_LOST_EVENTS, buf.header.flags);
	EXPECT_EQ(DEPTH, buf.header.sequence);
	EXPECT_EMPTY();

	TRIGGER(DEPTH + 1);
	ASSERT_EQ(DEPTH * RECORD_LEN,
		  read(self->fd, &buf, DEPTH * RECORD_LEN + HEADER_LEN - 1));
	EXPECT_READY();
	ASSERT_EQ(HEADER_LEN, read(self->fd, &buf.header, HEADER_LEN));
	EXPECT_EQ(IOMMU_VEVENTQ_FLAG_LOST_EVENTS, buf.header.flags);
	EXPECT_EQ(2 * DEPTH + 1, buf.header.sequence);
	EXPECT_EMPTY();
}

/* A loss that a record follows is a gap and nothing else */
TEST_F(veventq, loss_becomes_gap)
{
	unsigned int i;

	TRIGGER(DEPTH + 2);
	EXPECT_RECORD(0);
	TRIGGER(1);
	for (i = 1; i != DEPTH; i++)
		EXPECT_RECORD(i);
	EXPECT_RECORD(DEPTH + 2);
	EXPECT_EMPTY();
}

/* and one behind the gap is a header again */
TEST_F(veventq, loss_gap_loss)
{
	unsigned int i;

	TRIGGER(DEPTH + 2);
	EXPECT_RECORD(0);
	TRIGGER(3);
	for (i = 1; i != DEPTH; i++)
		EXPECT_RECORD(i);
	EXPECT_RECORD(DEPTH + 2);
	EXPECT_LOST(DEPTH + 4);
	EXPECT_EMPTY();
	TRIGGER(1);
	EXPECT_RECORD(DEPTH + 5);
	EXPECT_EMPTY();
}

/* The header tells of the last event lost when it is read, not when it was made */
TEST_F(veventq, loss_goes_on)
{
	unsigned int i;

	TRIGGER(DEPTH + 1);
	TRIGGER(1);
	for (i = 0; i != DEPTH; i++)
		EXPECT_RECORD(i);
	EXPECT_READY();
	/* Withdrawn: the next record's number shows the loss */
	TRIGGER(1);
	EXPECT_RECORD(DEPTH + 2);
	EXPECT_EMPTY();
}

TEST_F(veventq, depth_one)
{
	struct vi_env *env = &self->env;

	ASSERT_EQ(0, close(self->fd));
	self->fd = -1;
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, self->veventq_id));
	VI_SELFTEST_VEVENTQ(env, self->viommu_id, 1, &self->veventq_id,
			    &self->fd);
	TRIGGER(1);
	EXPECT_RECORD(0);
	TRIGGER(3);
	EXPECT_RECORD(1);
	EXPECT_LOST(3);
	EXPECT_EMPTY();
	TRIGGER(2);
	EXPECT_RECORD(4);
	TRIGGER(1);
	EXPECT_RECORD(6);
	EXPECT_EMPTY();
}

TEST_F(veventq, depth_max)
{
	struct vi_env *env = &self->env;

	ASSERT_EQ(0, close(self->fd));
	self->fd = -1;
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, self->veventq_id));
	VI_SELFTEST_VEVENTQ(env, self->viommu_id, VI_MAX_DEPTH,
			    &self->veventq_id, &self->fd);
	TRIGGER(1000);
	EXPECT_RECORD(0);
	EXPECT_RECORD(1);
}

/* The record goes over the end of the buffer's memory: nothing is lost by that */
TEST_F(veventq, fault)
{
	char *edge = vi_map_guarded(_metadata, 1);
	struct vi_record *record;
	unsigned int i;

	TRIGGER(2);
	/* Cut in the header, at its end, and in the data */
	for (i = 0; i != RECORD_LEN; i += 4) {
		EXPECT_ERRNO(EFAULT,
			     read(self->fd, edge - i, 2 * RECORD_LEN));
		EXPECT_READY();
	}
	EXPECT_ERRNO(EFAULT, read(self->fd, edge, RECORD_LEN));

	/* The first one fits, the second one does not: it stays */
	for (i = 0; i != RECORD_LEN; i += 4) {
		TRIGGER(i ? 1 : 0);
		record = (void *)(edge - RECORD_LEN - i);
		memset(record, 0xff, RECORD_LEN);
		ASSERT_EQ(RECORD_LEN, read(self->fd, record, 2 * RECORD_LEN));
		EXPECT_IS_RECORD(record, i / 4);
		EXPECT_READY();
	}
	EXPECT_RECORD(RECORD_LEN / 4);
	EXPECT_EMPTY();
}

TEST_F(veventq, fault_at_loss)
{
	char *edge = vi_map_guarded(_metadata, 1);
	struct vi_record *records = (void *)(edge - DEPTH * RECORD_LEN);

	TRIGGER(DEPTH + 1);
	/* All records, then a header that can't be written */
	ASSERT_EQ(DEPTH * RECORD_LEN, read(self->fd, records, PAGE_SIZE));
	EXPECT_IS_RECORD(&records[DEPTH - 1], DEPTH - 1);
	EXPECT_READY();
	EXPECT_ERRNO(EFAULT, read(self->fd, edge, PAGE_SIZE));
	EXPECT_ERRNO(EFAULT, read(self->fd, edge - 4, PAGE_SIZE));
	EXPECT_READY();
	EXPECT_LOST(DEPTH);
	EXPECT_EMPTY();
}

/* The failed read must not make room, and not count twice */
TEST_F(veventq, fault_in_full_queue)
{
	char *edge = vi_map_guarded(_metadata, 1);
	unsigned int i;

	TRIGGER(DEPTH);
	EXPECT_ERRNO(EFAULT, read(self->fd, edge - 8, RECORD_LEN));
	TRIGGER(1);
	for (i = 0; i != DEPTH; i++)
		EXPECT_RECORD(i);
	EXPECT_LOST(DEPTH);
	EXPECT_EMPTY();
}

static void *trigger_later(void *arg)
{
	struct vi_env *env = arg;

	usleep(200000);
	return (void *)(long)vi_trigger_vevent(env->fd, env->dev.dev_id);
}

TEST_F(veventq, poll_wakes_up)
{
	struct pollfd pfd = { .fd = self->fd, .events = POLLIN };
	pthread_t thread;
	void *rc;

	EXPECT_EQ(0, poll(&pfd, 1, 50));
	ASSERT_EQ(0, pthread_create(&thread, NULL, trigger_later, &self->env));
	EXPECT_EQ(1, poll(&pfd, 1, 20000));
	EXPECT_EQ(POLLIN, pfd.revents);
	ASSERT_EQ(0, pthread_join(thread, &rc));
	EXPECT_EQ(NULL, rc);
	EXPECT_RECORD(0);

	/* Nothing can be written, ever */
	EXPECT_EQ(0, vi_poll(self->fd, POLLOUT));
}

/* No vEVENTQ is needed to have events, they are just not for anybody */
TEST_F(veventq, no_receiver)
{
	struct vi_env *env = &self->env;
	struct vi_dev other;

	vi_add_dev(_metadata, env, 0, &other);
	EXPECT_ERRNO(ENOENT, vi_trigger_vevent(env->fd, other.dev_id));
	EXPECT_ERRNO(ENOENT, vi_trigger_vevent(env->fd, VI_NO_ID));

	ASSERT_EQ(0, close(self->fd));
	self->fd = -1;
	/* The object is there and takes events, though nobody can read them */
	TRIGGER(DEPTH + 1);
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, self->veventq_id));
	EXPECT_ERRNO(EOPNOTSUPP, vi_trigger_vevent(env->fd, env->dev.dev_id));

	/* A new queue has a count of its own */
	VI_SELFTEST_VEVENTQ(env, self->viommu_id, DEPTH, &self->veventq_id,
			    &self->fd);
	EXPECT_EMPTY();
	TRIGGER(1);
	EXPECT_RECORD(0);

	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, self->vdev_id));
	EXPECT_ERRNO(ENOENT, vi_trigger_vevent(env->fd, env->dev.dev_id));
	EXPECT_EMPTY();
}

TEST_F(veventq, second_queue)
{
	struct vi_env *env = &self->env;
	int fds = vi_count_fds();

	EXPECT_ERRNO(EEXIST, vi_veventq_alloc(env->fd, self->viommu_id,
					      IOMMU_VEVENTQ_TYPE_SELFTEST, 1,
					      NULL, NULL));
	/* The object holds the type, its file does not matter */
	ASSERT_EQ(0, close(self->fd));
	self->fd = -1;
	EXPECT_ERRNO(EEXIST, vi_veventq_alloc(env->fd, self->viommu_id,
					      IOMMU_VEVENTQ_TYPE_SELFTEST, 1,
					      NULL, NULL));
	EXPECT_EQ(fds - 1, vi_count_fds());
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, self->veventq_id));
	VI_SELFTEST_VEVENTQ(env, self->viommu_id, 1, &self->veventq_id,
			    &self->fd);
}

/* Events go to the vIOMMU of the device's vDEVICE */
TEST_F(veventq, two_viommus)
{
	__u32 viommu2_id, veventq2_id;
	struct vi_env *env = &self->env;
	struct vi_record record;
	struct vi_dev other;
	int fd2;

	vi_add_dev(_metadata, env, 0, &other);
	VI_SELFTEST_VIOMMU(env, &viommu2_id);
	VI_SELFTEST_VEVENTQ(env, viommu2_id, DEPTH, &veventq2_id, &fd2);
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, viommu2_id, other.dev_id,
				      VI_SID_B, NULL));

	ASSERT_EQ(0, vi_trigger_vevents(env->fd, other.dev_id, 2));
	EXPECT_NOT_READY();
	TRIGGER(1);
	EXPECT_RECORD(0);
	EXPECT_EMPTY();
	ASSERT_EQ(RECORD_LEN, read(fd2, &record, RECORD_LEN));
	EXPECT_EQ(0, record.header.sequence);
	EXPECT_EQ(VI_SID_B, record.event.virt_id);
	ASSERT_EQ(RECORD_LEN, read(fd2, &record, RECORD_LEN));
	EXPECT_EQ(1, record.header.sequence);
	ASSERT_EQ(0, close(fd2));
}

/* Two devices of one vIOMMU share its queue and its count */
TEST_F(veventq, two_devices)
{
	struct vi_env *env = &self->env;
	struct vi_record record;
	struct vi_dev other;

	vi_add_dev(_metadata, env, 0, &other);
	ASSERT_EQ(0, vi_vdevice_alloc(env->fd, self->viommu_id, other.dev_id,
				      VI_SID_B, NULL));
	TRIGGER(1);
	ASSERT_EQ(0, vi_trigger_vevent(env->fd, other.dev_id));
	EXPECT_RECORD(0);
	ASSERT_EQ(RECORD_LEN, read(self->fd, &record, RECORD_LEN));
	EXPECT_EQ(0, record.header.flags);
	EXPECT_EQ(1, record.header.sequence);
	EXPECT_EQ(VI_SID_B, record.event.virt_id);
}

/* The open file keeps the vEVENTQ, which keeps the vIOMMU */
TEST_F(veventq, destroy_while_open)
{
	struct vi_env *env = &self->env;
	int dup_fd = dup(self->fd);

	ASSERT_NE(-1, dup_fd);
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(env->fd, self->veventq_id));
	ASSERT_EQ(0, close(dup_fd));
	EXPECT_ERRNO(EBUSY, _test_ioctl_destroy(env->fd, self->veventq_id));
	/* EBUSY did not break it */
	TRIGGER(1);
	EXPECT_RECORD(0);
	TRIGGER(2);
	ASSERT_EQ(0, close(self->fd));
	self->fd = -1;
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, self->veventq_id));
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, self->vdev_id));
	ASSERT_EQ(0, _test_ioctl_destroy(env->fd, self->viommu_id));
}

/* The file outlives the user's last reference to the iommufd */
TEST_F(veventq, iommufd_closed_first)
{
	struct vi_record record;

	TRIGGER(DEPTH + 1);
	ASSERT_EQ(0, close(self->env.fd));
	self->env.fd = -1;
	EXPECT_RECORD(0);
	EXPECT_READY();
	ASSERT_EQ(RECORD_LEN, read(self->fd, &record, RECORD_LEN));
	/* The last reference to everything goes with the teardown's close */
}

struct reader {
	struct vi_env *env;
	int fd;
	size_t buf_len;
	unsigned int records;
	unsigned int lost;
	int error;
	__u32 next;
	bool stop;
};

/* Until stopped, and then to the end */
static void *read_all(void *arg)
{
	struct reader *reader = arg;
	struct pollfd pfd = { .fd = reader->fd, .events = POLLIN };
	char buf[16 * RECORD_LEN];

	for (;;) {
		bool last = __atomic_load_n(&reader->stop, __ATOMIC_ACQUIRE);
		ssize_t len, pos = 0;
		int ready;

		ready = poll(&pfd, 1, last ? 0 : 10);
		len = read(reader->fd, buf, reader->buf_len);
		/* There is one reader: what was ready still is */
		if (len < 0 || (ready == 1 && !len)) {
			reader->error = 1;
			return NULL;
		}
		while (pos < len) {
			struct vi_record *record = (void *)(buf + pos);

			reader->lost += record->header.sequence - reader->next;
			reader->next = record->header.sequence + 1;
			if (record->header.flags ==
			    IOMMU_VEVENTQ_FLAG_LOST_EVENTS) {
				reader->lost++;
				pos += HEADER_LEN;
				continue;
			}
			if (record->header.flags ||
			    record->event.virt_id != VI_SID_A)
				reader->error = 2;
			reader->records++;
			pos += RECORD_LEN;
		}
		if (pos != len)
			reader->error = 3;
		if (last && !len)
			return NULL;
	}
}

/* Every event is read or told lost, and none twice */
TEST_F_TIMEOUT(veventq, concurrent, 60)
{
	static const size_t buf_lens[] = {
		RECORD_LEN, 3 * RECORD_LEN - 1, 16 * RECORD_LEN,
	};
	__u32 next = 0;
	unsigned int i;

	for (i = 0; i != ARRAY_SIZE(buf_lens); i++) {
		struct reader reader = {
			.env = &self->env,
			.fd = self->fd,
			.buf_len = buf_lens[i],
			.next = next,
		};
		__u64 end = vi_now_us() + 2000000;
		unsigned int triggered = 0;
		pthread_t thread;

		ASSERT_EQ(0, pthread_create(&thread, NULL, read_all, &reader));
		while (vi_now_us() < end) {
			if (vi_trigger_vevent(self->env.fd,
					      self->env.dev.dev_id))
				break;
			triggered++;
			/* Now let the reader keep up and now not */
			if (triggered % 64 < 8)
				usleep(100);
		}
		__atomic_store_n(&reader.stop, true, __ATOMIC_RELEASE);
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_LT(0, triggered);
		EXPECT_EQ(0, reader.error);
		EXPECT_EQ(triggered, reader.records + reader.lost);
		EXPECT_EQ(next + triggered, reader.next);
		EXPECT_LT(0, reader.records);
		next = reader.next;
	}
	EXPECT_EMPTY();
}

static void *read_some(void *arg)
{
	struct reader *reader = arg;
	struct vi_record record;

	while (!__atomic_load_n(&reader->stop, __ATOMIC_ACQUIRE)) {
		ssize_t len = read(reader->fd, &record, sizeof(record));

		if (len == RECORD_LEN) {
			reader->records++;
			/* Each reader sees rising numbers */
			if (record.header.flags ||
			    record.header.sequence < reader->next)
				reader->error = 1;
			reader->next = record.header.sequence + 1;
		} else if (len == HEADER_LEN) {
			if (record.header.flags != IOMMU_VEVENTQ_FLAG_LOST_EVENTS)
				reader->error = 2;
		} else if (len) {
			reader->error = 3;
		}
	}
	return NULL;
}

/* Readers that race share the records between them */
TEST_F(veventq, two_readers)
{
	struct reader readers[2] = {
		{ .fd = self->fd }, { .fd = self->fd },
	};
	unsigned int triggered = 0, i;
	struct vi_record record;
	pthread_t threads[2];
	__u64 end = vi_now_us() + 2000000;

	for (i = 0; i != 2; i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, read_some,
					    &readers[i]));
	}
	while (vi_now_us() < end && !vi_trigger_vevent(self->env.fd,
						       self->env.dev.dev_id))
		triggered++;
	for (i = 0; i != 2; i++) {
		__atomic_store_n(&readers[i].stop, true, __ATOMIC_RELEASE);
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		EXPECT_EQ(0, readers[i].error);
	}
	while (read(self->fd, &record, sizeof(record)) == RECORD_LEN)
		readers[0].records++;
	EXPECT_LT(0, triggered);
	EXPECT_LT(0, readers[0].records + readers[1].records);
	EXPECT_GE(triggered, readers[0].records + readers[1].records);
	EXPECT_EMPTY();
}

TEST_HARNESS_MAIN
