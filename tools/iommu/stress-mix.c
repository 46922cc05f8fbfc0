// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything that a VMM can do with a vIOMMU, by threads that don't know of each other
 *
 * The threads share a few slots for each kind of object. A thread picks a slot at
 * random and makes an object for it, uses the one in it, or takes it out and destroys
 * it; devices are slots, too, which are unbound and bound. Each call is a good one, but
 * an ID may be gone, or be another object's by now, when the kernel looks.
 *
 * An ID is destroyed by the one thread that took it out of its slot. That makes the
 * answers of IOMMU_DESTROY exact: 0, or EBUSY if somebody uses the object. One that is
 * in use goes to limbo, to be tried again. What must hold besides:
 *
 *  - every other call ends with 0 or with an errno that a lost race explains
 *  - an array is done up to the entry at which it failed, and it failed at one that
 *    names a device; the SMMU itself has no complaint
 *  - the records of a queue are whole, numbered upwards, and of a device that there was
 *  - at the end of every second round all is destroyed, from the leaves to the root,
 *    and no destroy finds a reference left over. The other rounds end with the files
 *    being closed, in either order.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/iommufd.h>

#include "../../drivers/iommu/iommufd/iommufd_test.h"

#include "edu.h"
#include "iommufd-calls.h"
#include "kmsg.h"
#include "rng.h"
#include "stress-mix.h"
#include "tap.h"
#include "util.h"
#include "vfio.h"

#define MEM_BASE	0x40000000ull
#define MEM_SIZE	(1u << 20)
/* Where the device writes without stage 1: not to what are CDs with it */
#define DMA_BASE	(MEM_BASE + MEM_SIZE / 2)
/* A thread's own piece of the address space, mapped and unmapped */
#define OWN_BASE(n)	(0x60000000ull + ((uint64_t)(n) << 20))
#define OWN_SIZE	(16u << 10)

#define FIRST_VSID	0x4201u
#define NUM_VSIDS	3u
#define SLOTS		3u
#define MAX_DEVS	3u
#define MAX_THREADS	16u
#define MAX_LIMBO	512u
#define MAX_ENTRIES	64u
#define DEPTH		16u

#define OP_CFGI_CD	0x05u
#define OP_NH_ASID	0x11u
#define OP_NH_VA	0x12u
#define OP_NSNH_ALL	0x30u
#define EVT_BAD_STE	0x04u
#define EVT_BAD_CD	0x0au

/* In the order in which they can be destroyed */
enum object { NESTED, VEVENTQ, VDEVICE, FAULT, VIOMMU, PARENT, KINDS };

enum op {
	OP_PARENT, OP_VIOMMU, OP_VDEVICE, OP_VEVENTQ, OP_NESTED, OP_FAULT, OP_INVALIDATE,
	OP_ATTACH, OP_TRIGGER, OP_READ, OP_POLL, OP_ANSWER, OP_MAP, OP_CLOSE, OP_DESTROY,
	OP_UNBIND, OPS
};

static const struct {
	const char *name;
	unsigned int weight;
	/* Besides 0: what a race that was lost looks like */
	int errnos[6];
} ops[OPS] = {
	[OP_PARENT] = { "nest parent", 4, { ENOENT, EINVAL, ENOSPC } },
	[OP_VIOMMU] = { "vIOMMU", 10, { ENOENT, EINVAL, ENOSPC } },
	[OP_VDEVICE] = { "vDEVICE", 20, { ENOENT, EINVAL, EEXIST } },
	[OP_VEVENTQ] = { "vEVENTQ", 10, { ENOENT, EINVAL, EEXIST } },
	[OP_NESTED] = { "nested HWPT", 20, { ENOENT, EINVAL } },
	[OP_FAULT] = { "fault queue", 4, {} },
	[OP_INVALIDATE] = { "invalidate", 60, { ENOENT, EINVAL, EIO } },
	[OP_ATTACH] = { "attach or replace", 20, { ENOENT, EINVAL, EBUSY, ENODEV } },
	/* EOPNOTSUPP: there is no queue for it */
	[OP_TRIGGER] = { "trigger", 30, { ENOENT, EOPNOTSUPP } },
	[OP_READ] = { "read", 30, { EAGAIN } },
	[OP_POLL] = { "poll", 6, {} },
	[OP_ANSWER] = { "answer a fault", 20, { EINVAL } },
	[OP_MAP] = { "map and unmap", 10, {} },
	[OP_CLOSE] = { "close", 1, {} },
	[OP_DESTROY] = { "destroy", 6, { EBUSY } },
	[OP_UNBIND] = { "unbind and bind", 1, { EBUSY } },
};

/*
 * A vEVENTQ's or a fault queue's file. @lock is for @fd and @round; who reads has @order
 * as well, for as long as it takes to look at what was read.
 */
struct file {
	pthread_mutex_t lock;
	int fd;
	/* Counts the queues that were here */
	unsigned int round;
	pthread_mutex_t order;
	unsigned int next_round;
	uint32_t next;
};

struct lost {
	enum object kind;
	uint32_t id;
};

static struct {
	bool mock;
	int fd;
	uint32_t ioas;
	void *mem;
	uint32_t slots[KINDS][SLOTS];
	struct file files[2][SLOTS];
	/* mock: the device's own object | ID << 32, 0 while it is being bound */
	uint64_t devs[MAX_DEVS];
	unsigned int num_devs;
	/* Held to write by who unbinds, as a file's number is not a reference */
	pthread_rwlock_t vfio_lock;
	struct vfio_dev vfio;
	struct edu edu;
	pthread_mutex_t limbo_lock;
	/* And what is left in the slots, at the end */
	struct lost limbo[MAX_LIMBO + KINDS * SLOTS];
	unsigned int num_limbo;
	int stop;
} m;

struct worker {
	pthread_t thread;
	unsigned int number;
	struct rng rng;
	void *own;
	unsigned long calls[OPS], good[OPS];
	unsigned long events, lost, faults, bad;
	char why[160];
};

static struct worker workers[MAX_THREADS];
static unsigned int num_workers;

static unsigned int rnd(struct worker *w, unsigned int n)
{
	return rng_below(&w->rng, n);
}

static void PRINTF_LIKE(2, 3) complain(struct worker *w, const char *fmt, ...)
{
	va_list args;

	if (!w->bad++) {
		va_start(args, fmt);
		vsnprintf(w->why, sizeof(w->why), fmt, args);
		va_end(args);
	}
}

static int count(struct worker *w, enum op which, int err)
{
	unsigned int i;

	w->calls[which]++;
	w->good[which] += !err;
	for (i = 0; err && i < ARRAY_SIZE(ops[0].errnos); i++)
		if (ops[which].errnos[i] == err)
			return err;
	if (err)
		complain(w, "%s: %s", ops[which].name, strerror(err));
	return err;
}

/* The first of each kind most often, so that there are some that fit each other */
static unsigned int pick(struct worker *w)
{
	return rnd(w, 2) ? 0 : rnd(w, SLOTS);
}

static uint32_t *slot(struct worker *w, enum object kind)
{
	return &m.slots[kind][pick(w)];
}

static uint32_t look(struct worker *w, enum object kind)
{
	return __atomic_load_n(slot(w, kind), __ATOMIC_RELAXED);
}

static uint64_t look_dev(struct worker *w)
{
	return __atomic_load_n(&m.devs[rnd(w, m.num_devs)], __ATOMIC_RELAXED);
}

static struct file *file_of(enum object kind, unsigned int i)
{
	return &m.files[kind == FAULT][i];
}

static void limbo_add(struct worker *w, enum object kind, uint32_t id)
{
	pthread_mutex_lock(&m.limbo_lock);
	if (m.num_limbo < MAX_LIMBO)
		m.limbo[m.num_limbo++] = (struct lost){ kind, id };
	else
		complain(w, "limbo is full");
	pthread_mutex_unlock(&m.limbo_lock);
}

static bool limbo_is_crowded(void)
{
	bool crowded;

	pthread_mutex_lock(&m.limbo_lock);
	/* Each thread is at one, and each slot may lose its own */
	crowded = m.num_limbo + MAX_THREADS + KINDS * SLOTS > MAX_LIMBO;
	pthread_mutex_unlock(&m.limbo_lock);
	return crowded;
}

/* @id is out of its slot, and nobody else is going to destroy it */
static void destroy_id(struct worker *w, enum object kind, uint32_t id)
{
	if (count(w, OP_DESTROY, ic_destroy(m.fd, id)))
		limbo_add(w, kind, id);
}

/* The only one who knows of a new ID is the caller */
static void keep(struct worker *w, enum object kind, uint32_t *to, uint32_t id)
{
	uint32_t none = 0;

	if (!__atomic_compare_exchange_n(to, &none, id, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		destroy_id(w, kind, id);
}

static bool is_full(const uint32_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED) || limbo_is_crowded();
}

static void parent(struct worker *w)
{
	uint32_t *to = slot(w, PARENT), id;
	uint64_t dev = look_dev(w);

	if (is_full(to) || !dev)
		return;
	if (!count(w, OP_PARENT, ic_parent(m.fd, dev >> 32, m.ioas, &id)))
		keep(w, PARENT, to, id);
}

static void viommu(struct worker *w)
{
	struct iommu_viommu_alloc cmd = {
		.size = sizeof(cmd),
		.type = m.mock ? IOMMU_VIOMMU_TYPE_SELFTEST : IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
		.dev_id = look_dev(w) >> 32,
		.hwpt_id = look(w, PARENT),
	};
	uint32_t *to = slot(w, VIOMMU);

	if (is_full(to) || !cmd.dev_id || !cmd.hwpt_id)
		return;
	if (!count(w, OP_VIOMMU, ic_call(m.fd, IOMMU_VIOMMU_ALLOC, &cmd)))
		keep(w, VIOMMU, to, cmd.out_viommu_id);
}

static void vdevice(struct worker *w)
{
	uint32_t *to = slot(w, VDEVICE), viommu_id = look(w, VIOMMU), id;
	uint64_t dev = look_dev(w);

	if (is_full(to) || !dev || !viommu_id)
		return;
	if (!count(w, OP_VDEVICE, ic_vdevice(m.fd, viommu_id, dev >> 32,
					     FIRST_VSID + rnd(w, NUM_VSIDS), &id)))
		keep(w, VDEVICE, to, id);
}

/* The file goes where the ID does; who finds a file there closes the new one */
static void keep_file(enum object kind, uint32_t *to, int fd)
{
	struct file *file = file_of(kind, to - m.slots[kind]);

	fcntl(fd, F_SETFL, O_NONBLOCK);
	pthread_mutex_lock(&file->lock);
	if (file->fd < 0) {
		file->fd = fd;
		file->round++;
		fd = -1;
	}
	pthread_mutex_unlock(&file->lock);
	if (fd >= 0)
		close(fd);
}

static void veventq(struct worker *w)
{
	struct iommu_veventq_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = look(w, VIOMMU),
		.type = m.mock ? IOMMU_VEVENTQ_TYPE_SELFTEST :
				 IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
		.veventq_depth = 1 + rnd(w, DEPTH),
	};
	uint32_t *to = slot(w, VEVENTQ);

	if (is_full(to) || !cmd.viommu_id)
		return;
	if (count(w, OP_VEVENTQ, ic_call(m.fd, IOMMU_VEVENTQ_ALLOC, &cmd)))
		return;
	keep_file(VEVENTQ, to, cmd.out_veventq_fd);
	keep(w, VEVENTQ, to, cmd.out_veventq_id);
}

static void fault(struct worker *w)
{
	struct iommu_fault_alloc cmd = { .size = sizeof(cmd) };
	uint32_t *to = slot(w, FAULT);

	if (is_full(to))
		return;
	if (count(w, OP_FAULT, ic_call(m.fd, IOMMU_FAULT_QUEUE_ALLOC, &cmd)))
		return;
	keep_file(FAULT, to, cmd.out_fault_fd);
	keep(w, FAULT, to, cmd.out_fault_id);
}

static void nested(struct worker *w)
{
	struct iommu_hwpt_selftest mock_data = { .iotlb = IOMMU_TEST_IOTLB_DEFAULT };
	struct iommu_hwpt_arm_smmuv3 ste = {};
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.dev_id = look_dev(w) >> 32,
		.pt_id = look(w, VIOMMU),
	};
	uint32_t *to = slot(w, NESTED);

	if (is_full(to) || !cmd.dev_id || !cmd.pt_id)
		return;
	if (m.mock) {
		cmd.data_type = IOMMU_HWPT_DATA_SELFTEST;
		cmd.data_len = sizeof(mock_data);
		cmd.data_uptr = (uintptr_t)&mock_data;
		cmd.fault_id = rnd(w, 2) ? look(w, FAULT) : 0;
		if (cmd.fault_id)
			cmd.flags = IOMMU_HWPT_FAULT_ID_VALID;
	} else {
		cmd.data_type = IOMMU_HWPT_DATA_ARM_SMMUV3;
		cmd.data_len = sizeof(ste);
		cmd.data_uptr = (uintptr_t)&ste;
		rng_ste(&w->rng, 6, MEM_BASE, &ste);
	}
	if (!count(w, OP_NESTED, ic_call(m.fd, IOMMU_HWPT_ALLOC, &cmd)))
		keep(w, NESTED, to, cmd.out_hwpt_id);
}

static bool names_device(const void *array, unsigned int i)
{
	const struct iommu_viommu_invalidate_selftest *inv = array;
	const uint64_t (*cmds)[2] = array;

	if (m.mock)
		return inv[i].vdev_id;
	return (le64toh(cmds[i][0]) & 0xff) == OP_CFGI_CD;
}

/* Of the entries that name a device all name one, which may have no vDEVICE */
static void fill(struct worker *w, void *array, unsigned int num)
{
	struct iommu_viommu_invalidate_selftest *inv = array;
	uint32_t vsid = FIRST_VSID + rnd(w, NUM_VSIDS);
	uint64_t (*cmds)[2] = array, w0, w1;
	unsigned int i;

	for (i = 0; i < num; i++) {
		if (m.mock) {
			inv[i] = (struct iommu_viommu_invalidate_selftest){
				.vdev_id = vsid,
				.cache_id = rnd(w, MOCK_DEV_CACHE_NUM),
			};
			continue;
		}
		w1 = 0;
		switch (rnd(w, 8)) {
		case 0:
			w0 = OP_CFGI_CD | (uint64_t)vsid << 32;
			w1 = 1;
			break;
		case 1:
		case 2:
		case 3:
			w0 = OP_NH_ASID | (uint64_t)rnd(w, 8) << 48;
			break;
		case 4:
			w0 = OP_NSNH_ALL;
			break;
		default:
			w0 = OP_NH_VA;
			w1 = (uint64_t)rnd(w, 1024) << 12 | 1;
		}
		cmds[i][0] = htole64(w0);
		cmds[i][1] = htole64(w1);
	}
}

static void invalidate(struct worker *w)
{
	uint64_t array[2 * MAX_ENTRIES];
	uint32_t num = 1 + rnd(w, MAX_ENTRIES);
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = look(w, VIOMMU),
		.data_uptr = (uintptr_t)array,
		.data_type = m.mock ? IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST :
				      IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
		.entry_len = m.mock ? sizeof(struct iommu_viommu_invalidate_selftest) : 16,
		.entry_num = num,
	};
	int err;

	if (!cmd.hwpt_id)
		return;
	fill(w, array, num);
	err = count(w, OP_INVALIDATE, ic_call(m.fd, IOMMU_HWPT_INVALIDATE, &cmd));
	if (cmd.out_report_flags & IOMMU_HWPT_INVALIDATE_REPORT_HW) {
		complain(w, "the SMMU raised an error");
	} else if (!err) {
		if (cmd.entry_num != num || cmd.out_error_code || cmd.out_error_index)
			complain(w, "%u of %u done without an error", cmd.entry_num, num);
	} else if (cmd.out_report_flags & IOMMU_HWPT_INVALIDATE_REPORT_VALID) {
		if (cmd.entry_num >= num || cmd.out_error_index != cmd.entry_num ||
		    !names_device(array, cmd.entry_num))
			complain(w, "%u of %u done, %s at %u", cmd.entry_num, num,
				 strerror(err), cmd.out_error_index);
	} else if (err == EIO) {
		complain(w, "EIO without a report");
	}
}

static int mock_call(struct iommu_test_cmd *cmd)
{
	cmd->size = sizeof(*cmd);
	return ic_call(m.fd, IOMMU_TEST_CMD, cmd);
}

static int attach_to(uint64_t dev, uint32_t pt_id)
{
	struct iommu_test_cmd cmd = {
		.op = IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
		.id = (uint32_t)dev,
		.mock_domain_replace = { .pt_id = pt_id },
	};

	return m.mock ? mock_call(&cmd) : -vfio_attach(&m.vfio, pt_id);
}

static void attach(struct worker *w)
{
	uint32_t pt_id = rnd(w, 4) ? look(w, NESTED) : look(w, PARENT);
	uint64_t dev = look_dev(w);

	if (!dev || !pt_id)
		return;
	pthread_rwlock_rdlock(&m.vfio_lock);
	if (m.mock || m.vfio.fd >= 0)
		count(w, OP_ATTACH, attach_to(dev, pt_id));
	pthread_rwlock_unlock(&m.vfio_lock);
}

/* An event or a fault, if the device is where there are some */
static void trigger(struct worker *w)
{
	struct iommu_test_cmd cmd = {};
	uint64_t dev = look_dev(w);

	if (!dev)
		return;
	if (!m.mock) {
		pthread_rwlock_rdlock(&m.vfio_lock);
		/* edu takes 100 ms, and goes on when it is told twice */
		if (m.edu.bar0 && !edu_busy(&m.edu))
			count(w, OP_TRIGGER, edu_start_write(&m.edu, DMA_BASE, 0, 64));
		pthread_rwlock_unlock(&m.vfio_lock);
		return;
	}
	if (rnd(w, 3)) {
		cmd.op = IOMMU_TEST_OP_TRIGGER_VEVENT;
		cmd.trigger_vevent.dev_id = dev >> 32;
	} else {
		cmd.op = IOMMU_TEST_OP_TRIGGER_IOPF;
		cmd.trigger_iopf.dev_id = dev >> 32;
		cmd.trigger_iopf.pasid = -1;
		cmd.trigger_iopf.grpid = rnd(w, 100);
		cmd.trigger_iopf.perm = IOMMU_PGFAULT_PERM_READ;
	}
	count(w, OP_TRIGGER, mock_call(&cmd));
}

/* A file of the queue that stays open whoever closes the other; -1 */
static int file_get(struct file *file, unsigned int *round)
{
	int fd;

	pthread_mutex_lock(&file->lock);
	fd = file->fd < 0 ? -1 : dup(file->fd);
	*round = file->round;
	pthread_mutex_unlock(&file->lock);
	return fd;
}

static bool vsid_fits(uint64_t vsid)
{
	return vsid >= FIRST_VSID && vsid < FIRST_VSID + NUM_VSIDS;
}

static bool event_fits(const unsigned char *event)
{
	struct iommu_viommu_event_selftest mock;
	uint64_t evt[4];
	uint32_t id;

	if (m.mock) {
		memcpy(&mock, event, sizeof(mock));
		return vsid_fits(mock.virt_id);
	}
	memcpy(evt, event, sizeof(evt));
	id = le64toh(evt[0]);
	/*
	 * All CDs are zero. From one vIOMMU or parent to another the STE changes in more
	 * than can be changed at once, and the device may find it invalid.
	 */
	return (id == EVT_BAD_CD || id == EVT_BAD_STE) &&
	       vsid_fits(le64toh(evt[0]) >> 32) && !evt[1] && !evt[2] && !evt[3];
}

/* Records of one queue, read by one thread at a time, numbered from 0 on */
static void take_records(struct worker *w, struct file *file, const unsigned char *buf,
			 size_t len)
{
	size_t event_len = m.mock ? sizeof(struct iommu_viommu_event_selftest) : 32, off;
	struct iommufd_vevent_header header;
	uint64_t words[2];

	for (off = 0; off < len;) {
		if (len - off < sizeof(header)) {
			complain(w, "half a header");
			return;
		}
		memcpy(&header, buf + off, sizeof(header));
		off += sizeof(header);
		/* They don't live long enough for the number to wrap */
		if (header.sequence < file->next)
			complain(w, "record %u after %u", header.sequence, file->next - 1);
		w->lost += header.sequence - file->next;
		file->next = header.sequence + 1;
		if (header.flags == IOMMU_VEVENTQ_FLAG_LOST_EVENTS) {
			w->lost++;
			continue;
		}
		if (header.flags || len - off < event_len || !event_fits(buf + off)) {
			memset(words, 0, sizeof(words));
			memcpy(words, buf + off, len - off < 16 ? len - off : 16);
			complain(w, "record %u of flags %#x, %zu bytes left: %016llx %016llx",
				 header.sequence, header.flags, len - off,
				 (unsigned long long)words[0], (unsigned long long)words[1]);
			return;
		}
		off += event_len;
		w->events++;
	}
}

static void read_events(struct worker *w)
{
	struct file *file = file_of(VEVENTQ, pick(w));
	unsigned char buf[5 * 40];
	unsigned int round;
	ssize_t len;
	int fd;

	if (pthread_mutex_trylock(&file->order))
		return;
	fd = file_get(file, &round);
	if (fd >= 0) {
		if (file->next_round != round) {
			file->next_round = round;
			file->next = 0;
		}
		len = read(fd, buf, sizeof(buf));
		if (!count(w, OP_READ, len < 0 ? errno : 0))
			take_records(w, file, buf, len);
		close(fd);
	}
	pthread_mutex_unlock(&file->order);
}

static void poll_file(struct worker *w)
{
	struct file *file = file_of(rnd(w, 4) ? VEVENTQ : FAULT, rnd(w, SLOTS));
	struct pollfd pfd = { .events = POLLIN };
	unsigned int round;

	pfd.fd = file_get(file, &round);
	if (pfd.fd < 0)
		return;
	count(w, OP_POLL, poll(&pfd, 1, rnd(w, 4)) < 0 ? errno : 0);
	if (pfd.revents & POLLNVAL)
		complain(w, "poll: POLLNVAL");
	close(pfd.fd);
}

/* EINVAL: the kernel has answered it meanwhile, as the device went */
static void answer(struct worker *w)
{
	struct file *file = file_of(FAULT, pick(w));
	struct iommu_hwpt_page_response response = {};
	struct iommu_hwpt_pgfault fault;
	unsigned int round;
	ssize_t len;
	int fd = file_get(file, &round);

	if (fd < 0)
		return;
	len = read(fd, &fault, sizeof(fault));
	if (len > 0) {
		w->faults++;
		if (len != sizeof(fault) || fault.__reserved || fault.grpid >= 100 ||
		    fault.perm != IOMMU_PGFAULT_PERM_READ)
			complain(w, "a fault of %zd bytes, group %u", len, fault.grpid);
		/* Some are left to the end of the queue or of the device */
		if (rnd(w, 4)) {
			response.cookie = fault.cookie;
			len = write(fd, &response, sizeof(response));
			count(w, OP_ANSWER, len < 0 ? errno : 0);
		}
	} else if (len && errno != EAGAIN) {
		complain(w, "fault queue: %s", strerror(errno));
	}
	close(fd);
}

static void map(struct worker *w)
{
	uint64_t iova = OWN_BASE(w->number);

	if (!count(w, OP_MAP, ic_map(m.fd, m.ioas, iova, w->own, OWN_SIZE)))
		count(w, OP_MAP, ic_unmap(m.fd, m.ioas, iova, OWN_SIZE));
}

static bool close_file(struct file *file)
{
	int fd;

	pthread_mutex_lock(&file->lock);
	fd = file->fd;
	file->fd = -1;
	pthread_mutex_unlock(&file->lock);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void close_one(struct worker *w)
{
	if (close_file(file_of(rnd(w, 2) ? VEVENTQ : FAULT, rnd(w, SLOTS))))
		count(w, OP_CLOSE, 0);
}

static void destroy(struct worker *w)
{
	enum object kind = rnd(w, KINDS);
	unsigned int i = rnd(w, SLOTS);
	struct lost lost = {};
	uint32_t id;

	id = __atomic_exchange_n(&m.slots[kind][i], 0, __ATOMIC_RELAXED);
	/* Mostly the file goes, too, sooner or later */
	if ((kind == VEVENTQ || kind == FAULT) && rnd(w, 4))
		close_file(file_of(kind, i));
	if (id)
		destroy_id(w, kind, id);

	pthread_mutex_lock(&m.limbo_lock);
	if (m.num_limbo) {
		i = rnd(w, m.num_limbo);
		lost = m.limbo[i];
		m.limbo[i] = m.limbo[--m.num_limbo];
	}
	pthread_mutex_unlock(&m.limbo_lock);
	if (lost.id)
		destroy_id(w, lost.kind, lost.id);
}

static int bind(uint64_t *dev)
{
	struct iommu_test_cmd cmd = {
		.op = IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
		.id = m.ioas,
	};
	uint64_t ids;
	int err;

	if (m.mock) {
		err = mock_call(&cmd);
		if (err)
			return err;
		ids = cmd.mock_domain_flags.out_stdev_id |
		      (uint64_t)cmd.mock_domain_flags.out_idev_id << 32;
	} else {
		err = -vfio_find(&m.vfio, EDU_VENDOR, EDU_DEVICE);
		if (!err)
			err = -vfio_open(&m.vfio, m.fd);
		if (!err)
			err = -vfio_map_bar0(&m.vfio);
		if (!err)
			err = -vfio_bus_master(&m.vfio);
		if (!err)
			err = -edu_probe(&m.edu, m.vfio.bar0);
		if (err)
			return err;
		ids = (uint64_t)m.vfio.dev_id << 32;
	}
	__atomic_store_n(dev, ids, __ATOMIC_RELAXED);
	return 0;
}

static int unbind(uint64_t ids)
{
	if (m.mock)
		return ic_destroy(m.fd, (uint32_t)ids);
	m.edu.bar0 = NULL;
	vfio_close(&m.vfio);
	return 0;
}

/* The device goes with what it is attached to, and comes back under another ID */
static void rebind(struct worker *w)
{
	uint64_t *dev = &m.devs[rnd(w, m.num_devs)], ids;
	int err;

	/* The one device behind the SMMU needs some time to raise an event */
	if (rnd(w, m.mock ? 4 : 16))
		return;
	pthread_rwlock_wrlock(&m.vfio_lock);
	ids = __atomic_exchange_n(dev, 0, __ATOMIC_RELAXED);
	if (ids) {
		/* Busy: a call takes the ID for that of an object that had it before */
		err = unbind(ids);
		if (err == EBUSY)
			__atomic_store_n(dev, ids, __ATOMIC_RELAXED);
		else if (!err)
			err = bind(dev);
		count(w, OP_UNBIND, err);
	}
	pthread_rwlock_unlock(&m.vfio_lock);
}

/* At first most slots are full, and the devices attached */
static void fill_slots(struct worker *w)
{
	unsigned int i;

	for (i = 0; i < 10; i++) {
		parent(w);
		viommu(w);
		vdevice(w);
		veventq(w);
		nested(w);
		attach(w);
		trigger(w);
	}
}

static void *work(void *arg)
{
	static void (*const calls[OPS])(struct worker *) = {
		[OP_PARENT] = parent, [OP_VIOMMU] = viommu, [OP_VDEVICE] = vdevice,
		[OP_VEVENTQ] = veventq, [OP_NESTED] = nested, [OP_FAULT] = fault,
		[OP_INVALIDATE] = invalidate, [OP_ATTACH] = attach, [OP_TRIGGER] = trigger,
		[OP_READ] = read_events, [OP_POLL] = poll_file, [OP_ANSWER] = answer,
		[OP_MAP] = map, [OP_CLOSE] = close_one, [OP_DESTROY] = destroy,
		[OP_UNBIND] = rebind,
	};
	unsigned int sum = 0, op, n;
	struct worker *w = arg;

	for (op = 0; op < OPS; op++)
		sum += ops[op].weight;
	while (!__atomic_load_n(&m.stop, __ATOMIC_RELAXED)) {
		n = rnd(w, sum);
		for (op = 0; n >= ops[op].weight; op++)
			n -= ops[op].weight;
		calls[op](w);
	}
	return NULL;
}

static int open_all(void)
{
	unsigned int i;
	int err;

	m.num_devs = m.mock ? MAX_DEVS : 1;
	m.fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (m.fd < 0)
		return errno;
	err = ic_ioas(m.fd, &m.ioas);
	if (!err)
		err = ic_map(m.fd, m.ioas, MEM_BASE, m.mem, MEM_SIZE);
	for (i = 0; !err && i < m.num_devs; i++)
		err = bind(&m.devs[i]);
	return err;
}

static void close_files(void)
{
	unsigned int i;

	for (i = 0; i < SLOTS; i++) {
		close_file(file_of(VEVENTQ, i));
		close_file(file_of(FAULT, i));
	}
}

/* From the leaves on; whatever is busy now is so for ever */
static void destroy_all(struct worker *w)
{
	unsigned int i;
	enum object kind;
	int err;

	close_files();
	for (i = 0; i < m.num_devs; i++) {
		err = m.devs[i] ? unbind(m.devs[i]) : 0;
		if (err)
			complain(w, "unbind at the end: %s", strerror(err));
	}
	for (kind = 0; kind < KINDS; kind++) {
		for (i = 0; i < SLOTS; i++)
			if (m.slots[kind][i])
				m.limbo[m.num_limbo++] =
					(struct lost){ kind, m.slots[kind][i] };
		for (i = 0; i < m.num_limbo; i++) {
			if (m.limbo[i].kind != kind)
				continue;
			err = ic_destroy(m.fd, m.limbo[i].id);
			if (err)
				complain(w, "destroy at the end, kind %u: %s", kind,
					 strerror(err));
		}
	}
	err = ic_unmap(m.fd, m.ioas, MEM_BASE, MEM_SIZE);
	if (!err)
		err = ic_destroy(m.fd, m.ioas);
	if (err)
		complain(w, "the IOAS at the end: %s", strerror(err));
}

static void close_all(unsigned int round)
{
	if (round % 4 == 1)
		close_files();
	if (!m.mock)
		unbind(0);
	close(m.fd);
	close_files();
	memset(m.slots, 0, sizeof(m.slots));
	memset(m.devs, 0, sizeof(m.devs));
	m.num_limbo = 0;
}

static unsigned long sum_calls(enum op op, unsigned long *good)
{
	unsigned long calls = 0;
	unsigned int i;

	*good = 0;
	for (i = 0; i < num_workers; i++) {
		calls += workers[i].calls[op];
		*good += workers[i].good[op];
	}
	return calls;
}

/* What a device behind the SMMU has no page faults for */
static bool is_for_mock(enum op op)
{
	return op == OP_FAULT || op == OP_ANSWER;
}

static bool all_seen(void)
{
	unsigned long good, events = 0;
	unsigned int i;
	enum op op;

	for (op = 0; op < OPS; op++) {
		sum_calls(op, &good);
		if (!good && (m.mock || !is_for_mock(op)))
			return false;
	}
	for (i = 0; i < num_workers; i++)
		events += workers[i].events;
	return events;
}

/* A machine that is slow gets up to ten times @seconds to see everything */
static bool run(unsigned int seconds)
{
	uint64_t start = now_ms(), took;
	unsigned int i, round;
	int err;

	for (round = 0;; round++) {
		took = now_ms() - start;
		if (round > 1 && took >= 1000ull * seconds &&
		    (all_seen() || took >= 10000ull * seconds)) {
			printf("# %u rounds\n", round);
			return true;
		}
		err = open_all();
		if (err) {
			printf("# round %u: %s\n", round, strerror(err));
			return false;
		}
		fill_slots(&workers[0]);
		__atomic_store_n(&m.stop, 0, __ATOMIC_RELAXED);
		for (i = 0; i < num_workers; i++)
			if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
				exit(1);
		usleep(1000000);
		__atomic_store_n(&m.stop, 1, __ATOMIC_RELAXED);
		for (i = 0; i < num_workers; i++)
			pthread_join(workers[i].thread, NULL);
		if (!(round & 1))
			destroy_all(&workers[0]);
		close_all(round);
	}
}

static void results(void)
{
	unsigned long calls, good, events = 0, lost = 0, faults = 0, bad = 0;
	const char *on = m.mock ? "mock" : "SMMU";
	unsigned int i;
	char name[80];
	enum op op;

	for (op = 0; op < OPS; op++) {
		calls = sum_calls(op, &good);
		printf("# %-18s %8lu calls, %8lu succeeded\n", ops[op].name, calls, good);
		if (!m.mock && is_for_mock(op))
			continue;
		snprintf(name, sizeof(name), "%s: %s", on, ops[op].name);
		tap_check(good, name);
	}
	for (i = 0; i < num_workers; i++) {
		const struct worker *w = &workers[i];

		if (w->bad)
			printf("# thread %u: %s (%lu times)\n", i, w->why, w->bad);
		events += w->events;
		lost += w->lost;
		faults += w->faults;
		bad += w->bad;
	}
	printf("# %lu events, %lu lost, %lu page faults\n", events, lost, faults);
	snprintf(name, sizeof(name), "%s: events arrive", on);
	tap_check(events, name);
	snprintf(name, sizeof(name), "%s: each call says what was done", on);
	tap_check(!bad, name);
}

static void *memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void stress_mix(bool mock, uint64_t seed, unsigned int num_threads, unsigned int seconds)
{
	struct kmsg_count log;
	int kmsg = kmsg_open();
	unsigned int i, j;

	memset(workers, 0, sizeof(workers));
	num_workers = num_threads < MAX_THREADS ? num_threads : MAX_THREADS;
	m.mock = mock;
	m.vfio.fd = -1;
	m.mem = memory(MEM_SIZE);
	pthread_rwlock_init(&m.vfio_lock, NULL);
	pthread_mutex_init(&m.limbo_lock, NULL);
	for (i = 0; i < ARRAY_SIZE(m.files); i++)
		for (j = 0; j < SLOTS; j++) {
			m.files[i][j] = (struct file){ .fd = -1 };
			pthread_mutex_init(&m.files[i][j].lock, NULL);
			pthread_mutex_init(&m.files[i][j].order, NULL);
		}
	for (i = 0; i < num_workers; i++) {
		workers[i].number = i;
		workers[i].rng = rng_of(seed, i);
		workers[i].own = memory(OWN_SIZE);
	}
	if (tap_check(kmsg >= 0 && m.mem && run(seconds), "all at random"))
		results();
	kmsg_count(kmsg, &log);
	if (log.splats)
		printf("# %s\n", log.splat);
	tap_check(!log.splats, "the kernel has no complaint");
	close(kmsg);
	for (i = 0; i < num_workers; i++)
		munmap(workers[i].own, OWN_SIZE);
	munmap(m.mem, MEM_SIZE);
}
