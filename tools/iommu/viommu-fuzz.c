// SPDX-License-Identifier: GPL-2.0-only
/*
 * viommu-fuzz: calls of the vIOMMU's interface as nobody would make them
 *
 *	viommu-fuzz [--mock] [--seed N] [--threads N] [SECONDS]
 *
 * Several threads share some objects of each kind. A call starts as a valid one on
 * objects that exist and is then spoilt: IDs of another kind, gone or made up, flags,
 * reserved members, structures that are too short or too long, lengths, and pointers
 * to no memory, to memory that can't be written, across the end of memory and to the
 * kernel. Objects are destroyed, queues read and closed and devices unbound meanwhile,
 * and every second or so all is dropped, in either order of the files, and made anew.
 *
 * What must hold: each call ends with one of the errnos that are documented for it,
 * and both with and without an error; an array says as many entries done as it may,
 * and the SMMU itself has no complaint about a guest's command; the kernel's log has
 * none either; and afterwards all still works.
 *
 * The device is QEMU's "edu" behind an SMMUv3 or, with --mock, what CONFIG_IOMMUFD_TEST
 * has. One thread (--threads 1) makes the same calls for the same seed.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "../../drivers/iommu/iommufd/iommufd_test.h"
#include "edu.h"
#include "iommufd-calls.h"
#include "kmsg.h"
#include "rng.h"
#include "tap.h"
#include "util.h"
#include "vfio.h"

#define MEM_BASE	0x40000000ull
#define MEM_SIZE	(1u << 20)
#define NUM_SIDS	4u
#define SLOTS		6u
#define MAX_DEVS	3u
#define MAX_THREADS	16u
/* What a thread's calls read and write, and then memory ends */
#define ARENA		(64u << 10)
#define PAGE		4096u

enum kind { IOAS, PARENT, VIOMMU, VDEVICE, VEVENTQ, FAULT, NESTED, KINDS };

enum op {
	OP_PARENT, OP_VIOMMU, OP_NESTED, OP_VDEVICE, OP_VEVENTQ, OP_INVALIDATE,
	OP_HW_INFO, OP_DESTROY, OP_ATTACH, OP_READ, OP_FAULT, OP_UNKNOWN, OPS
};

static const struct {
	const char *name;
	unsigned int weight;
	int errnos[10];
} ops[OPS] = {
	[OP_PARENT] = { "nest parent", 4, { EOPNOTSUPP, EINVAL, ENOENT, ENOSPC } },
	[OP_VIOMMU] = { "vIOMMU", 8, { EOPNOTSUPP, EINVAL, ENOENT, ENOSPC } },
	[OP_NESTED] = { "nested HWPT", 12, { EOPNOTSUPP, EINVAL, ENOENT, EIO } },
	[OP_VDEVICE] = { "vDEVICE", 12, { EOPNOTSUPP, EINVAL, ENOENT, EEXIST } },
	[OP_VEVENTQ] = { "vEVENTQ", 6, { EOPNOTSUPP, EINVAL, ENOENT, EEXIST } },
	[OP_INVALIDATE] = { "invalidate", 40, { EOPNOTSUPP, EINVAL, ENOENT, EIO } },
	[OP_HW_INFO] = { "hw_info", 4, { EOPNOTSUPP, EINVAL, ENOENT } },
	[OP_DESTROY] = { "destroy", 8, { EINVAL, ENOENT, EBUSY } },
	[OP_ATTACH] = { "attach", 8, { EINVAL, ENOENT, EBUSY, ENODEV, EOPNOTSUPP } },
	/* ESPIPE: a fault queue, of half a record */
	[OP_READ] = { "read", 10, { EINVAL, EAGAIN, EBADF, ESPIPE } },
	[OP_FAULT] = { "fault queue", 2, { EOPNOTSUPP, EINVAL } },
	[OP_UNKNOWN] = { "unknown ioctl", 2, { ENOTTY, EINVAL, EOPNOTSUPP, ENOENT, EBUSY } },
};

struct dev {
	uint32_t stdev_id;
	uint32_t dev_id;
};

static struct {
	bool mock;
	int fd;
	uint32_t ioas;
	/* An object's ID and its file: id | (fd + 1) << 32, exchanged as one */
	uint64_t slots[KINDS][SLOTS];
	/* Written with the lock held for writing, and when there are no threads */
	struct dev devs[MAX_DEVS];
	unsigned int num_devs;
	struct vfio_dev vfio;
	struct edu edu;
	pthread_rwlock_t lock;
	void *mem;
	int stop;
} t;

struct worker {
	pthread_t thread;
	struct rng rng;
	unsigned char *arena;
	unsigned char *read_only;
	unsigned char *no_access;
	unsigned long calls[OPS], good[OPS], bad;
	char why[160];
};

static struct worker workers[MAX_THREADS];
static unsigned int num_workers = 3;

static uint64_t rnd64(struct worker *w)
{
	return rng_next(&w->rng);
}

static unsigned int rnd(struct worker *w, unsigned int n)
{
	return rng_below(&w->rng, n);
}

static bool one_in(struct worker *w, unsigned int n)
{
	return !rnd(w, n);
}

static uint32_t load(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
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

/* A number that is a limit of something, or any */
static uint64_t odd_number(struct worker *w)
{
	static const uint64_t some[] = {
		0, 1, 2, 3, 4, 8, 15, 16, 17, 24, 32, 40, 48, 4095, 4096, 4097, 65535,
		1 << 19, (1 << 19) + 1, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff,
		0x100000000ull, 0x7fffffffffffffffull, ~0ull,
	};

	switch (rnd(w, 4)) {
	case 0:
		return rnd64(w);
	case 1:
		return 1ull << rnd(w, 64);
	default:
		return some[rnd(w, ARRAY_SIZE(some))];
	}
}

/* Mostly an object of the kind */
static uint32_t pick(struct worker *w, enum kind of)
{
	if (one_in(w, 12))
		of = rnd(w, KINDS);
	if (one_in(w, 50))
		return odd_number(w);
	if (one_in(w, 50))
		return rnd(w, 100);
	if (of == IOAS)
		return t.ioas;
	return __atomic_load_n(&t.slots[of][rnd(w, SLOTS)], __ATOMIC_RELAXED);
}

static uint32_t pick_dev(struct worker *w)
{
	if (one_in(w, 20))
		return pick(w, rnd(w, KINDS));
	return load(&t.devs[rnd(w, t.num_devs)].dev_id);
}

static int pick_file(struct worker *w, enum kind of)
{
	uint64_t slot = __atomic_load_n(&t.slots[of][rnd(w, SLOTS)], __ATOMIC_RELAXED);

	return (int)(slot >> 32) - 1;
}

static void drop(uint64_t slot)
{
	if (slot >> 32)
		close((int)(slot >> 32) - 1);
	if ((uint32_t)slot)
		ic_destroy(t.fd, slot);
}

/* One goes for it, unless it is in use: then it stays until all is closed */
static void keep(struct worker *w, enum kind of, uint32_t id, int fd)
{
	drop(__atomic_exchange_n(&t.slots[of][rnd(w, SLOTS)],
				 (uint64_t)(fd + 1) << 32 | id, __ATOMIC_RELAXED));
}

/* Somewhere in user memory, or not */
static void *pointer(struct worker *w, size_t len)
{
	unsigned char *end = w->arena + ARENA;

	switch (rnd(w, 40)) {
	case 0:
		return NULL;
	case 1:
		return w->read_only + 8 * rnd(w, 8);
	case 2:
		return w->no_access;
	case 3:
		return (void *)(0xffff800000000000ull + (rnd64(w) & 0xffffffffff));
	case 4:
		/* The last page of user space, and beyond */
		return (void *)(0x0000fffffffff000ull + 8 * rnd(w, 513));
	case 5:
		return (void *)rnd64(w);
	case 6:
		return w->arena + 1 + rnd(w, 7);
	case 7:
	case 8:
		return end - rnd(w, len + 8);
	default:
		return w->arena + ARENA / 2 + 8 * rnd(w, 64);
	}
}

/* How much of @len bytes at @p a thread can write itself */
static size_t usable(const struct worker *w, const void *p, size_t len)
{
	const unsigned char *c = p;

	if (c < w->arena || c >= w->arena + ARENA)
		return 0;
	if (len > (size_t)(w->arena + ARENA - c))
		len = w->arena + ARENA - c;
	return len;
}

/*
 * A few words of @cmd. The pointer at @uptr, if not 0, becomes another of the odd ones:
 * with a bit or a half changed it may point to this program's own stacks, which the
 * zeroes of IOMMU_GET_HW_INFO overwrite, or to a BAR, which can't be read like memory.
 */
static void spoil(struct worker *w, void *cmd, size_t len, size_t uptr)
{
	uint32_t *words = cmd, size = len;
	unsigned int n, word;
	uint64_t p;

	for (n = one_in(w, 3) ? 1 + rnd(w, 3) : 0; n; n--) {
		word = rnd(w, len / 4);
		if (uptr && word / 2 == uptr / 8) {
			p = (uintptr_t)pointer(w, rnd(w, ARENA));
			memcpy((char *)cmd + uptr, &p, sizeof(p));
		} else if (one_in(w, 4)) {
			words[word] ^= 1u << rnd(w, 32);
		} else {
			words[word] = odd_number(w);
		}
	}
	/* The size only now and then, as nothing else matters then */
	words[0] = size;
	if (one_in(w, 20))
		words[0] = one_in(w, 2) ? odd_number(w) : size - 16 + 4 * rnd(w, 9);
}

static bool errno_fits(enum op which, int err)
{
	unsigned int i;

	if (!err || err == EFAULT || err == E2BIG || err == ENOMEM)
		return true;
	for (i = 0; i < ARRAY_SIZE(ops[0].errnos) && ops[which].errnos[i]; i++)
		if (ops[which].errnos[i] == err)
			return true;
	return false;
}

static int count(struct worker *w, enum op which, int err)
{
	w->calls[which]++;
	w->good[which] += !err;
	if (!errno_fits(which, err))
		complain(w, "%s: %s", ops[which].name, strerror(err));
	return err;
}

/*
 * A call with @cmd put somewhere. @cmd is updated if the kernel could have done so,
 * which is told by *@seen.
 */
static int call_as_is(struct worker *w, enum op which, unsigned long request, void *cmd,
		      size_t len, bool *seen)
{
	void *p = one_in(w, 6) ? pointer(w, len) : w->arena;
	size_t n = usable(w, p, len + 64);
	int err;

	*seen = n >= len;
	if (n) {
		memcpy(p, cmd, n < len ? n : len);
		/* What a longer structure has at its end */
		if (n > len)
			memset((char *)p + len, one_in(w, 2) ? 0 : 0x5a, n - len);
	}
	err = ioctl(t.fd, request, p) ? errno : 0;
	if (*seen)
		memcpy(cmd, p, len);
	return count(w, which, err);
}

/* The same with @cmd spoilt before, which has a pointer at @uptr, or none with 0 */
static int call(struct worker *w, enum op which, unsigned long request, void *cmd,
		size_t len, size_t uptr, bool *seen)
{
	spoil(w, cmd, len, uptr);
	return call_as_is(w, which, request, cmd, len, seen);
}

static void parent(struct worker *w)
{
	struct iommu_hwpt_alloc cmd = {
		.flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
		.dev_id = pick_dev(w),
		.pt_id = pick(w, IOAS),
	};
	bool seen;

	if (!call(w, OP_PARENT, IOMMU_HWPT_ALLOC, &cmd, sizeof(cmd),
		  offsetof(struct iommu_hwpt_alloc, data_uptr), &seen) && seen)
		keep(w, PARENT, cmd.out_hwpt_id, -1);
}

static void viommu(struct worker *w)
{
	struct iommu_viommu_alloc cmd = {
		.type = t.mock ? IOMMU_VIOMMU_TYPE_SELFTEST : IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
		.dev_id = pick_dev(w),
		.hwpt_id = pick(w, PARENT),
	};
	bool seen;

	if (one_in(w, 3)) {
		cmd.data_len = t.mock ? sizeof(struct iommu_viommu_selftest) : rnd(w, 64);
		cmd.data_uptr = (uintptr_t)pointer(w, cmd.data_len);
	}
	if (!call(w, OP_VIOMMU, IOMMU_VIOMMU_ALLOC, &cmd, sizeof(cmd),
		  offsetof(struct iommu_viommu_alloc, data_uptr), &seen) && seen)
		keep(w, VIOMMU, cmd.out_viommu_id, -1);
}

static void nested(struct worker *w)
{
	struct iommu_hwpt_selftest mock_data = { .iotlb = 1 };
	struct iommu_hwpt_arm_smmuv3 ste;
	size_t len = t.mock ? sizeof(mock_data) : sizeof(ste), room;
	struct iommu_hwpt_alloc cmd = {
		.dev_id = pick_dev(w),
		.pt_id = pick(w, VIOMMU),
		.data_type = t.mock ? (uint32_t)IOMMU_HWPT_DATA_SELFTEST :
				      IOMMU_HWPT_DATA_ARM_SMMUV3,
		.data_len = len,
	};
	bool seen;
	void *p;

	rng_ste(&w->rng, 5, MEM_BASE, &ste);
	if (one_in(w, 4))
		ste.ste[rnd(w, 2)] ^= htole64(1ull << rnd(w, 64));
	if (one_in(w, 8)) {
		cmd.flags = IOMMU_HWPT_FAULT_ID_VALID;
		cmd.fault_id = pick(w, FAULT);
	}
	p = pointer(w, len);
	room = usable(w, p, len);
	if (room)
		memcpy(p, t.mock ? (void *)&mock_data : (void *)&ste, room);
	cmd.data_uptr = (uintptr_t)p;
	if (!call(w, OP_NESTED, IOMMU_HWPT_ALLOC, &cmd, sizeof(cmd),
		  offsetof(struct iommu_hwpt_alloc, data_uptr), &seen) && seen)
		keep(w, NESTED, cmd.out_hwpt_id, -1);
}

static void vdevice(struct worker *w)
{
	struct iommu_vdevice_alloc cmd = {
		.viommu_id = pick(w, VIOMMU),
		.dev_id = pick_dev(w),
		.virt_id = one_in(w, 10) ? odd_number(w) : rnd(w, NUM_SIDS),
	};
	bool seen;

	if (!call(w, OP_VDEVICE, IOMMU_VDEVICE_ALLOC, &cmd, sizeof(cmd), 0, &seen) && seen)
		keep(w, VDEVICE, cmd.out_vdevice_id, -1);
}

static void veventq(struct worker *w)
{
	struct iommu_veventq_alloc cmd = {
		.viommu_id = pick(w, VIOMMU),
		.type = t.mock ? IOMMU_VEVENTQ_TYPE_SELFTEST :
				 IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
		.veventq_depth = 1 + rnd(w, 40),
	};
	bool seen;

	/* Half of them don't wait for anything anyway */
	if (!call(w, OP_VEVENTQ, IOMMU_VEVENTQ_ALLOC, &cmd, sizeof(cmd), 0,
		  &seen) && seen) {
		if (one_in(w, 2))
			fcntl(cmd.out_veventq_fd, F_SETFL, O_NONBLOCK);
		keep(w, VEVENTQ, cmd.out_veventq_id, cmd.out_veventq_fd);
	}
}

/* All but CFGI_CD if there is no vDEVICE of the ID; an array names one or none */
static void good_command(struct worker *w, uint64_t cmd[2], uint32_t vsid)
{
	cmd[1] = 0;
	switch (rnd(w, 5)) {
	case 0:
		cmd[0] = 0x11 | (uint64_t)rnd(w, 8) << 48;
		break;
	case 1:
		cmd[0] = 0x12;
		cmd[1] = (uint64_t)rnd(w, 1024) << 12 | 1;
		break;
	case 2:
		if (vsid >= NUM_SIDS / 2) {
			cmd[0] = 0x10;
			break;
		}
		cmd[0] = 0x05 | (uint64_t)vsid << 32;
		cmd[1] = 1;
		break;
	case 3:
		cmd[0] = 0x12 | 7 << 12 | 2 << 20;
		cmd[1] = (uint64_t)rnd(w, 1024) << 12 | 1 << 10 | 1 << 8;
		break;
	default:
		cmd[0] = 0x30;
	}
}

/* An array has none or few bad entries, so that some of any length end well */
static void fill(struct worker *w, void *array, size_t len)
{
	unsigned int bad_in = one_in(w, 2) ? ~0u : 10u << rnd(w, 8);
	struct iommu_viommu_invalidate_selftest inv;
	uint32_t vdev_id = rnd(w, NUM_SIDS);
	uint64_t cmd[2];
	size_t off;

	if (t.mock) {
		for (off = 0; off + sizeof(inv) <= len; off += sizeof(inv)) {
			inv.flags = !one_in(w, 3);
			inv.vdev_id = vdev_id;
			inv.cache_id = rnd(w, MOCK_DEV_CACHE_NUM);
			if (one_in(w, bad_in))
				((uint32_t *)&inv)[rnd(w, 3)] = odd_number(w);
			memcpy((char *)array + off, &inv, sizeof(inv));
		}
		return;
	}
	for (off = 0; off + sizeof(cmd) <= len; off += sizeof(cmd)) {
		good_command(w, cmd, vdev_id);
		if (one_in(w, bad_in))
			cmd[rnd(w, 2)] ^= 1ull << rnd(w, 64);
		if (one_in(w, bad_in))
			cmd[rnd(w, 2)] = rnd64(w);
		cmd[0] = htole64(cmd[0]);
		cmd[1] = htole64(cmd[1]);
		memcpy((char *)array + off, cmd, sizeof(cmd));
	}
}

/* What an array of @in's members may end with */
static void check_outcome(struct worker *w, int err, const struct iommu_hwpt_invalidate *in,
			  const struct iommu_hwpt_invalidate *out)
{
	bool valid = out->out_report_flags & IOMMU_HWPT_INVALIDATE_REPORT_VALID;
	uint32_t code = out->out_error_code, index = out->out_error_index;

	if (out->out_report_flags & ~IOMMU_HWPT_INVALIDATE_REPORT_VALID)
		complain(w, "the SMMU raised an error: flags %#x", out->out_report_flags);
	if (!err && (!valid || code || index || out->entry_num != in->entry_num))
		complain(w, "success: %u of %u done, flags %#x, error %u at %u",
			 out->entry_num, in->entry_num, out->out_report_flags, code, index);
	if (err && out->entry_num >= in->entry_num && in->entry_num)
		complain(w, "%s: %u of %u done", strerror(err), out->entry_num,
			 in->entry_num);
	if (!valid && (out->entry_num || code || index))
		complain(w, "%s: %u done, error %u at %u without a report", strerror(err),
			 out->entry_num, code, index);
	if (err && index != out->entry_num)
		complain(w, "%s at %u after %u", strerror(err), index, out->entry_num);
	if (err && !t.mock && code != (err == EIO ? IOMMU_ARM_SMMUV3_CERROR_ILL :
						    IOMMU_ARM_SMMUV3_CERROR_NONE))
		complain(w, "%s with code %u", strerror(err), code);
}

static void invalidate(struct worker *w)
{
	uint32_t entry_len = t.mock ? sizeof(struct iommu_viommu_invalidate_selftest) : 16;
	uint32_t num = 1 + rnd(w, one_in(w, 10) ? 3000 : 40);
	struct iommu_hwpt_invalidate cmd = {
		.hwpt_id = pick(w, one_in(w, 12) ? NESTED : VIOMMU),
		.data_type = t.mock ? IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST :
				      IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
		.entry_len = entry_len,
		.entry_num = num,
	}, in;
	void *p = pointer(w, entry_len * num);
	size_t room = usable(w, p, entry_len * num);
	bool seen;
	int err;

	if (room)
		fill(w, p, room);
	cmd.data_uptr = (uintptr_t)p;
	if (one_in(w, 30))
		cmd.entry_num = odd_number(w);
	if (one_in(w, 30))
		cmd.entry_len = odd_number(w);
	spoil(w, &cmd, sizeof(cmd), offsetof(struct iommu_hwpt_invalidate, data_uptr));
	in = cmd;
	err = call_as_is(w, OP_INVALIDATE, IOMMU_HWPT_INVALIDATE, &cmd, sizeof(cmd), &seen);

	/* What can be taken has its outcome written, whatever that is */
	if (seen && in.size == sizeof(cmd))
		check_outcome(w, err, &in, &cmd);
}

static void hw_info(struct worker *w)
{
	struct iommu_hw_info cmd = {
		.dev_id = pick_dev(w),
		.data_len = one_in(w, 10) ? odd_number(w) : rnd(w, 100),
	};
	bool seen;

	cmd.data_uptr = (uintptr_t)pointer(w, cmd.data_len % ARENA);
	if (one_in(w, 3)) {
		cmd.flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE;
		cmd.in_data_type = rnd(w, 4);
	}
	call(w, OP_HW_INFO, IOMMU_GET_HW_INFO, &cmd, sizeof(cmd),
	     offsetof(struct iommu_hw_info, data_uptr), &seen);
}

static void destroy(struct worker *w)
{
	struct iommu_destroy cmd = { .id = pick(w, 1 + rnd(w, KINDS - 1)) };
	unsigned int i;
	bool seen;

	/* What the threads need to get anywhere */
	if (cmd.id == t.ioas)
		return;
	for (i = 0; i < t.num_devs; i++)
		if (cmd.id == load(&t.devs[i].stdev_id))
			return;
	call(w, OP_DESTROY, IOMMU_DESTROY, &cmd, sizeof(cmd), 0, &seen);
}

static int mock_replace(uint32_t stdev_id, uint32_t pt_id)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
		.id = stdev_id,
		.mock_domain_replace = { .pt_id = pt_id },
	};

	return ic_call(t.fd, IOMMU_TEST_CMD, &cmd);
}

static int mock_event(uint32_t dev_id)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_TRIGGER_VEVENT,
		.trigger_vevent = { .dev_id = dev_id },
	};

	return ic_call(t.fd, IOMMU_TEST_CMD, &cmd);
}

static int mock_add(struct dev *dev)
{
	struct iommu_test_cmd cmd = {
		.size = sizeof(cmd),
		.op = IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
		.id = t.ioas,
	};
	int err = ic_call(t.fd, IOMMU_TEST_CMD, &cmd);

	if (err)
		return err;
	__atomic_store_n(&dev->stdev_id, cmd.mock_domain_flags.out_stdev_id,
			 __ATOMIC_RELAXED);
	__atomic_store_n(&dev->dev_id, cmd.mock_domain_flags.out_idev_id,
			 __ATOMIC_RELAXED);
	return 0;
}

static void attach(struct worker *w)
{
	uint32_t pt_id = one_in(w, 3) ? pick(w, PARENT) : pick(w, NESTED);
	struct dev *dev = &t.devs[rnd(w, t.num_devs)];
	int err;

	pthread_rwlock_rdlock(&t.lock);
	if (t.mock)
		err = mock_replace(load(&dev->stdev_id), pt_id);
	else
		err = -vfio_attach(&t.vfio, pt_id);
	/* It raises events all the while: edu takes 100 ms for a transfer */
	if (t.mock)
		mock_event(load(&dev->dev_id));
	else if (t.edu.bar0)
		edu_start_write(&t.edu, rnd64(w) & 0xffffffff, 0, 4 * (1 + rnd(w, 16)));
	pthread_rwlock_unlock(&t.lock);
	count(w, OP_ATTACH, err);
}

static void read_events(struct worker *w)
{
	int fd = pick_file(w, one_in(w, 8) ? FAULT : VEVENTQ);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	size_t len = rnd(w, 8) ? 8 * rnd(w, 60) : odd_number(w) % (1 << 30);

	if (fd < 0)
		return;
	if (one_in(w, 3))
		poll(&pfd, 1, 0);
	count(w, OP_READ, read(fd, pointer(w, len % ARENA), len) < 0 ? errno : 0);
}

static void fault_queue(struct worker *w)
{
	struct iommu_fault_alloc cmd = {};
	bool seen;

	if (call(w, OP_FAULT, IOMMU_FAULT_QUEUE_ALLOC, &cmd, sizeof(cmd), 0, &seen) || !seen)
		return;
	fcntl(cmd.out_fault_fd, F_SETFL, O_NONBLOCK);
	keep(w, FAULT, cmd.out_fault_id, cmd.out_fault_fd);
}

/* Numbers around those that there are, which are 0x80 to 0x8e, 0x90, 0x91 and 0x93 */
static void unknown(struct worker *w)
{
	static const unsigned int nrs[] = { 0x00, 0x7f, 0x8f, 0x92, 0x94, 0x95, 0x9f, 0xff };
	uint32_t words[16] = {};
	bool seen;

	call(w, OP_UNKNOWN, _IO(IOMMUFD_TYPE, nrs[rnd(w, ARRAY_SIZE(nrs))]), words,
	     sizeof(words), 0, &seen);
}

static bool bind_smmu(void)
{
	if (vfio_find(&t.vfio, EDU_VENDOR, EDU_DEVICE) || vfio_open(&t.vfio, t.fd))
		return false;
	if (vfio_map_bar0(&t.vfio) || vfio_bus_master(&t.vfio) ||
	    edu_probe(&t.edu, t.vfio.bar0))
		return false;
	__atomic_store_n(&t.devs[0].dev_id, t.vfio.dev_id, __ATOMIC_RELAXED);
	return true;
}

/* The device goes, with whatever it is attached to, and comes back as another */
static void rebind(struct worker *w)
{
	struct dev *dev = &t.devs[rnd(w, t.num_devs)];
	unsigned int tries;
	int err = 0;

	pthread_rwlock_wrlock(&t.lock);
	if (t.mock) {
		/* A call with a wrong ID that happens to be this one may hold it */
		for (tries = 0; tries < 200; tries++) {
			err = ic_destroy(t.fd, load(&dev->stdev_id));
			if (err != EBUSY)
				break;
			usleep(1000);
		}
		/*
		 * A thread may have destroyed the device by an ID that it kept for
		 * too long. Then the ID is nobody's, or that of something in use.
		 */
		if (!err || err == EBUSY || err == ENOENT)
			err = mock_add(dev);
	} else {
		t.edu.bar0 = NULL;
		vfio_close(&t.vfio);
		if (!bind_smmu())
			err = EIO;
	}
	pthread_rwlock_unlock(&t.lock);
	if (err)
		complain(w, "unbind and bind: %s", strerror(err));
}

static void *work(void *arg)
{
	static void (*const calls[OPS])(struct worker *) = {
		[OP_PARENT] = parent, [OP_VIOMMU] = viommu, [OP_NESTED] = nested,
		[OP_VDEVICE] = vdevice, [OP_VEVENTQ] = veventq,
		[OP_INVALIDATE] = invalidate, [OP_HW_INFO] = hw_info,
		[OP_DESTROY] = destroy, [OP_ATTACH] = attach, [OP_READ] = read_events,
		[OP_FAULT] = fault_queue, [OP_UNKNOWN] = unknown,
	};
	struct worker *w = arg;
	unsigned int sum, op, n;

	for (sum = 0, op = 0; op < OPS; op++)
		sum += ops[op].weight;
	/* Nothing is there at first */
	parent(w);
	viommu(w);
	while (!__atomic_load_n(&t.stop, __ATOMIC_RELAXED)) {
		n = rnd(w, sum);
		for (op = 0; n >= ops[op].weight; op++)
			n -= ops[op].weight;
		calls[op](w);
		if (one_in(w, 1000))
			rebind(w);
	}
	return NULL;
}

static bool open_all(void)
{
	unsigned int i;

	t.fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (t.fd < 0 || ic_ioas(t.fd, &t.ioas) ||
	    ic_map(t.fd, t.ioas, MEM_BASE, t.mem, MEM_SIZE))
		return false;
	if (!t.mock) {
		t.num_devs = 1;
		return bind_smmu();
	}
	t.num_devs = MAX_DEVS;
	for (i = 0; i < MAX_DEVS; i++)
		if (mock_add(&t.devs[i]))
			return false;
	return true;
}

static void close_files(void)
{
	unsigned int kind, i;

	for (kind = 0; kind < KINDS; kind++)
		for (i = 0; i < SLOTS; i++) {
			if (t.slots[kind][i] >> 32)
				close((int)(t.slots[kind][i] >> 32) - 1);
			t.slots[kind][i] = 0;
		}
}

static void close_all(bool files_first)
{
	if (files_first)
		close_files();
	if (!t.mock) {
		t.edu.bar0 = NULL;
		vfio_close(&t.vfio);
	}
	close(t.fd);
	if (!files_first)
		close_files();
}

static bool prepare_worker(struct worker *w, uint64_t seed)
{
	unsigned char *p;

	w->rng = rng_of(seed, w - workers);
	/* The arena between holes, and a page of each of the other kinds */
	p = mmap(NULL, ARENA + 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return false;
	w->arena = p + PAGE;
	w->read_only = w->arena + ARENA + PAGE;
	w->no_access = w->arena + ARENA + 2 * PAGE;
	return !mprotect(w->arena, ARENA, PROT_READ | PROT_WRITE) &&
	       !mprotect(w->read_only, PAGE, PROT_READ);
}

static void sum(unsigned int op, unsigned long *calls, unsigned long *good)
{
	unsigned int i;

	*calls = 0;
	*good = 0;
	for (i = 0; i < num_workers; i++) {
		*calls += workers[i].calls[op];
		*good += workers[i].good[op];
	}
}

/* Has each kind of call succeeded and failed, but for those that can't succeed? */
static bool all_seen(void)
{
	unsigned long calls, good;
	unsigned int op;

	for (op = 0; op < OPS; op++) {
		sum(op, &calls, &good);
		if (good == calls || (!good && op != OP_UNKNOWN))
			return false;
	}
	return true;
}

/* On a machine that is slow it takes some time to see everything */
static bool fuzz(unsigned int seconds)
{
	unsigned int i, round, more = seconds < 6 ? 10 * seconds : 60;
	uint64_t end = now_ms() + seconds * 1000ull, now;

	for (round = 0;; round++) {
		now = now_ms();
		if (now >= end && (all_seen() || now >= end + more * 1000ull))
			return true;
		if (!open_all()) {
			printf("# round %u: %s\n", round, strerror(errno));
			return false;
		}
		__atomic_store_n(&t.stop, 0, __ATOMIC_RELAXED);
		for (i = 0; i < num_workers; i++)
			if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
				exit(1);
		usleep(1500000);
		__atomic_store_n(&t.stop, 1, __ATOMIC_RELAXED);
		for (i = 0; i < num_workers; i++)
			pthread_join(workers[i].thread, NULL);
		close_all(round & 1);
	}
}

static void results(void)
{
	unsigned long calls, good, bad = 0;
	unsigned int i, op;
	char name[80];

	for (op = 0; op < OPS; op++) {
		sum(op, &calls, &good);
		printf("# %-14s %8lu calls, %8lu succeeded\n", ops[op].name, calls, good);
		snprintf(name, sizeof(name), "%s succeeds and fails", ops[op].name);
		if (op == OP_UNKNOWN)
			tap_check(calls && !good, "an unknown ioctl fails");
		else
			tap_check(good && good < calls, name);
	}
	for (i = 0; i < num_workers; i++) {
		if (workers[i].bad)
			printf("# thread %u: %s (%lu times)\n", i, workers[i].why,
			       workers[i].bad);
		bad += workers[i].bad;
	}
	tap_check(!bad, "errnos and reports are as documented");
}

/* One record of the device's, which may take a while */
static bool event_arrives(int veventq_fd, uint32_t vsid)
{
	struct pollfd pfd = { .fd = veventq_fd, .events = POLLIN };
	unsigned char buf[48];
	uint32_t id;

	if (t.mock ? mock_event(t.devs[0].dev_id) :
		     edu_write(&t.edu, 0x123000, 0, 4))
		return false;
	if (poll(&pfd, 1, 10000) != 1 || read(veventq_fd, buf, sizeof(buf)) <= 8)
		return false;
	memcpy(&id, buf + (t.mock ? 8 : 12), sizeof(id));
	return id == vsid;
}

/* What a guest would do, from the start to the end */
static void still_works(void)
{
	uint32_t parent_id, viommu_id, vdevice_id, veventq_id, nested_id;
	struct iommu_viommu_invalidate_selftest inv = { .vdev_id = 2 };
	uint64_t cmds[2][2] = { { htole64(0x30) }, { htole64(0x05 | 2ull << 32), htole64(1) } };
	struct iommu_viommu_alloc viommu_cmd = {
		.size = sizeof(viommu_cmd),
		.type = t.mock ? IOMMU_VIOMMU_TYPE_SELFTEST : IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
	};
	struct iommu_hwpt_selftest mock_data = { .iotlb = 1 };
	struct iommu_hwpt_arm_smmuv3 ste = {
		.ste = { htole64(STE_S1_W0(MEM_BASE)), htole64(STE_S1_W1) },
	};
	struct iommu_hwpt_alloc nested_cmd = {
		.size = sizeof(nested_cmd),
		.data_type = t.mock ? (uint32_t)IOMMU_HWPT_DATA_SELFTEST :
				      IOMMU_HWPT_DATA_ARM_SMMUV3,
		.data_len = t.mock ? sizeof(mock_data) : sizeof(ste),
		.data_uptr = t.mock ? (uintptr_t)&mock_data : (uintptr_t)&ste,
	};
	struct iommu_veventq_alloc veventq_cmd = {
		.size = sizeof(veventq_cmd),
		.type = t.mock ? IOMMU_VEVENTQ_TYPE_SELFTEST :
				 IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
		.veventq_depth = 4,
	};
	struct iommu_hwpt_invalidate inv_cmd = {
		.size = sizeof(inv_cmd),
		.data_type = t.mock ? IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST :
				      IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
		.entry_len = t.mock ? sizeof(inv) : sizeof(cmds[0]),
		.entry_num = t.mock ? 1 : 2,
		.data_uptr = t.mock ? (uintptr_t)&inv : (uintptr_t)cmds,
	};
	uint32_t dev_id;

	if (!tap_check(open_all(), "afterwards: a device"))
		return;
	dev_id = t.devs[0].dev_id;
	if (!tap_check(!ic_parent(t.fd, dev_id, t.ioas, &parent_id), "afterwards: a parent"))
		return;
	viommu_cmd.dev_id = dev_id;
	viommu_cmd.hwpt_id = parent_id;
	if (!tap_check(!ic_call(t.fd, IOMMU_VIOMMU_ALLOC, &viommu_cmd),
		       "afterwards: a vIOMMU"))
		return;
	viommu_id = viommu_cmd.out_viommu_id;
	nested_cmd.dev_id = dev_id;
	nested_cmd.pt_id = viommu_id;
	veventq_cmd.viommu_id = viommu_id;
	inv_cmd.hwpt_id = viommu_id;
	if (!tap_check(!ic_vdevice(t.fd, viommu_id, dev_id, 2, &vdevice_id) &&
		       !ic_call(t.fd, IOMMU_VEVENTQ_ALLOC, &veventq_cmd) &&
		       !ic_call(t.fd, IOMMU_HWPT_ALLOC, &nested_cmd),
		       "afterwards: a vDEVICE, a vEVENTQ and a HWPT"))
		return;
	veventq_id = veventq_cmd.out_veventq_id;
	nested_id = nested_cmd.out_hwpt_id;
	tap_check(t.mock ? !mock_replace(t.devs[0].stdev_id, nested_id) :
			   !vfio_attach(&t.vfio, nested_id), "afterwards: attach");
	tap_check(!ic_call(t.fd, IOMMU_HWPT_INVALIDATE, &inv_cmd) &&
		  inv_cmd.entry_num == (t.mock ? 1u : 2u) && !inv_cmd.out_error_code,
		  "afterwards: commands run");
	tap_check(event_arrives(veventq_cmd.out_veventq_fd, 2), "afterwards: an event arrives");
	tap_check(t.mock ? !mock_replace(t.devs[0].stdev_id, t.ioas) :
			   !vfio_detach(&t.vfio), "afterwards: detach");
	close(veventq_cmd.out_veventq_fd);
	tap_check(!ic_destroy(t.fd, nested_id) && !ic_destroy(t.fd, veventq_id) &&
		  !ic_destroy(t.fd, vdevice_id) && !ic_destroy(t.fd, viommu_id) &&
		  !ic_destroy(t.fd, parent_id), "afterwards: nothing is busy");
	close_all(true);
}

int main(int argc, char **argv)
{
	unsigned int seconds = 5, i;
	struct kmsg_count log;
	uint64_t seed = 0;
	int kmsg, arg;

	for (arg = 1; arg < argc; arg++) {
		if (!strcmp(argv[arg], "--mock"))
			t.mock = true;
		else if (!strcmp(argv[arg], "--seed") && arg + 1 < argc)
			seed = strtoull(argv[++arg], NULL, 0);
		else if (!strcmp(argv[arg], "--threads") && arg + 1 < argc)
			num_workers = atoi(argv[++arg]);
		else
			seconds = atoi(argv[arg]);
	}
	if (!num_workers || num_workers > MAX_THREADS || !seconds) {
		fprintf(stderr, "usage: %s [--mock] [--seed N] [--threads N] [SECONDS]\n",
			argv[0]);
		return 2;
	}
	if (!seed && getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = time(NULL);
	printf("# seed %#llx, %u threads, %u s, %s\n", (unsigned long long)seed, num_workers,
	       seconds, t.mock ? "mock driver" : "SMMUv3");

	kmsg = kmsg_open();
	pthread_rwlock_init(&t.lock, NULL);
	t.mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	for (i = 0; i < num_workers; i++)
		if (!prepare_worker(&workers[i], seed))
			return 1;
	if (tap_check(kmsg >= 0 && t.mem != MAP_FAILED && fuzz(seconds), "fuzzing"))
		results();
	still_works();
	kmsg_count(kmsg, &log);
	if (log.splats)
		printf("# %s\n", log.splat);
	printf("# %lu lines in the kernel's log\n", log.lines);
	tap_check(!log.splats, "the kernel has no complaint");
	return tap_end();
}
