// SPDX-License-Identifier: GPL-2.0-only
/*
 * viommu-bench: what a VMM's calls cost
 *
 * Time is the arm64 system counter, read right before and right after the system
 * call's instruction. Under QEMU's "-icount shift=0" with one CPU it counts
 * instructions, a nanosecond each; elsewhere it is time. Now and then an interrupt is
 * in it, so the figure of a call is its most frequent one of many rounds, which is the
 * same in every run; the smallest and the largest are printed too.
 *
 *	viommu-bench [map] [invalidate] [events] [memory]
 *
 * does all parts, or those named. Lines of the output, fields separated by blanks:
 *
 *	time NAME UNITS ROUNDS MIN MODE MAX	in counter ticks; UNITS commands,
 *						records or pages per call
 *	memory OBJECT CACHE COUNT BYTES		COUNT objects of CACHE, BYTES each,
 *						for one OBJECT
 *	skip NAME REASON
 *
 * Before an array of commands is measured, and after the last, a mark goes to the
 * command queue, three commands in one array: TLBI_NH_VAA, TLBI_NH_ALL, TLBI_NH_VAA.
 * Who watches the queue can tell by it what the arrays became there.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/iommufd.h>

#include "edu.h"
#include "util.h"
#include "vfio.h"
#include "vsmmuv3-iommufd.h"

#define VSID		0x4201u
#define MEM_BASE	0x40000000ull
#define MEM_SIZE	(2u << 20)
#define MAX_ARRAY	4096u
#define MAX_ROUNDS	1000u
#define NSEC_PER_MSEC	1000000ull

/* Also what a vEVENTQ holds */
#define MAX_EVENTS	512u
#define RECORD		(sizeof(struct iommufd_vevent_header) + \
			 sizeof(struct iommu_vevent_arm_smmuv3))

#define FEW_RECORDS	64u
/* What others allocate meanwhile is not in most of the rounds */
#define MEMORY_ROUNDS	15u

/* An opcode that is not defined */
#define OP_RESERVED	0xffull

#define IDR0_ATS	(1u << 10)
#define IDR3_RIL	(1u << 10)

static struct {
	int iommufd;
	uint32_t ioas;
	uint32_t parent;
	void *mem;
	struct vfio_dev vfio;
	struct edu edu;
	struct vsmmu_iommufd viommu;
} t;

static uint64_t samples[MAX_ROUNDS];
static unsigned int nr_samples;

static void die(const char *what)
{
	printf("error: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void must(bool ok, const char *what)
{
	if (!ok)
		die(what);
}

/*
 * Time
 */

static uint64_t now(void)
{
	uint64_t ticks;

	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r" (ticks) :: "memory");
	return ticks;
}

/* What the reading alone takes */
static uint64_t overhead(void)
{
	uint64_t from, to;

	__asm__ volatile("isb; mrs %0, cntvct_el0\n\tisb; mrs %1, cntvct_el0"
			 : "=&r" (from), "=r" (to) :: "memory");
	return to - from;
}

/* A system call by its instruction alone; a negative result is an errno */
static long timed_syscall(long nr, unsigned long a, unsigned long b, unsigned long c,
			  uint64_t *ticks)
{
	register long x8 __asm__("x8") = nr;
	register unsigned long x0 __asm__("x0") = a;
	register unsigned long x1 __asm__("x1") = b;
	register unsigned long x2 __asm__("x2") = c;
	uint64_t from, to;

	__asm__ volatile("isb; mrs %[from], cntvct_el0\n\t"
			 "svc #0\n\t"
			 "isb; mrs %[to], cntvct_el0"
			 : [from] "=&r" (from), [to] "=&r" (to), "+r" (x0)
			 : "r" (x8), "r" (x1), "r" (x2)
			 : "memory");
	*ticks = to - from;
	return (long)x0;
}

static void sample(uint64_t ticks)
{
	static uint64_t empty;

	if (!empty)
		empty = overhead();
	if (nr_samples < MAX_ROUNDS)
		samples[nr_samples++] = ticks > empty ? ticks - empty : 0;
}

static long sample_syscall(long nr, unsigned long a, unsigned long b, unsigned long c)
{
	uint64_t ticks;
	long ret = timed_syscall(nr, a, b, c, &ticks);

	sample(ticks);
	return ret;
}

static long sample_ioctl(int fd, unsigned long request, void *arg)
{
	return sample_syscall(SYS_ioctl, fd, request, (unsigned long)arg);
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Print what was sampled, and forget it */
static void print_samples(const char *name, unsigned int units)
{
	unsigned int i, run = 0, best = 0;
	uint64_t mode = 0;

	must(nr_samples, name);
	qsort(samples, nr_samples, sizeof(samples[0]), compare);
	for (i = 0; i < nr_samples; i++) {
		run = i && samples[i] == samples[i - 1] ? run + 1 : 1;
		if (run > best) {
			best = run;
			mode = samples[i];
		}
	}
	printf("time %s %u %u %llu %llu %llu\n", name, units, nr_samples,
	       (unsigned long long)samples[0], (unsigned long long)mode,
	       (unsigned long long)samples[nr_samples - 1]);
	fflush(stdout);
	nr_samples = 0;
}

/*
 * The host's map and unmap; on any kernel with iommufd
 */

static void alloc_ioas(void)
{
	struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };

	must(!ioctl(t.iommufd, IOMMU_IOAS_ALLOC, &cmd), "IOMMU_IOAS_ALLOC");
	t.ioas = cmd.out_ioas_id;
}

static void open_device(void)
{
	int ret;

	t.iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	must(t.iommufd >= 0, "/dev/iommu");
	ret = vfio_find(&t.vfio, EDU_VENDOR, EDU_DEVICE);
	if (!ret)
		ret = vfio_open(&t.vfio, t.iommufd);
	errno = -ret;
	must(!ret, "the device");
	alloc_ioas();
}

static void close_device(void)
{
	vfio_close(&t.vfio);
	close(t.iommufd);
}

static int map_memory(uint64_t length, uint64_t iova, bool timed)
{
	struct iommu_ioas_map cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = t.ioas,
		.user_va = (uintptr_t)t.mem,
		.length = length,
		.iova = iova,
	};

	return timed ? sample_ioctl(t.iommufd, IOMMU_IOAS_MAP, &cmd) :
		       ioctl(t.iommufd, IOMMU_IOAS_MAP, &cmd);
}

static int unmap_memory(uint64_t length, uint64_t iova, bool timed)
{
	struct iommu_ioas_unmap cmd = {
		.size = sizeof(cmd),
		.ioas_id = t.ioas,
		.iova = iova,
		.length = length,
	};

	return timed ? sample_ioctl(t.iommufd, IOMMU_IOAS_UNMAP, &cmd) :
		       ioctl(t.iommufd, IOMMU_IOAS_UNMAP, &cmd);
}

/* The memory is one huge page, so it is made of the same pieces in every run */
static void bench_map_length(const char *name, uint64_t length)
{
	const unsigned int rounds = 200;
	char full[64];
	unsigned int i;

	for (i = 0; i < rounds; i++) {
		must(!map_memory(length, MEM_BASE, true), "IOMMU_IOAS_MAP");
		must(!unmap_memory(length, MEM_BASE, false), "IOMMU_IOAS_UNMAP");
	}
	snprintf(full, sizeof(full), "map-%s", name);
	print_samples(full, length >> 12);

	for (i = 0; i < rounds; i++) {
		must(!map_memory(length, MEM_BASE, false), "IOMMU_IOAS_MAP");
		must(!unmap_memory(length, MEM_BASE, true), "IOMMU_IOAS_UNMAP");
	}
	snprintf(full, sizeof(full), "unmap-%s", name);
	print_samples(full, length >> 12);
}

static void bench_map(void)
{
	unsigned int i;
	int ret;

	for (i = 0; i < MAX_ROUNDS; i++)
		sample_syscall(SYS_getppid, 0, 0, 0);
	print_samples("getppid", 1);

	open_device();
	ret = vfio_attach(&t.vfio, t.ioas);
	errno = -ret;
	must(!ret, "attach to the IOAS");
	bench_map_length("4k", 4u << 10);
	bench_map_length("64k", 64u << 10);
	bench_map_length("2m", MEM_SIZE);
	close_device();
}

/*
 * Arrays of commands
 */

static bool open_viommu(void)
{
	struct iommu_hwpt_alloc hwpt = {
		.size = sizeof(hwpt),
		.flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
	};
	int ret;

	open_device();
	must(!map_memory(MEM_SIZE, MEM_BASE, false), "IOMMU_IOAS_MAP");
	hwpt.dev_id = t.vfio.dev_id;
	hwpt.pt_id = t.ioas;
	if (ioctl(t.iommufd, IOMMU_HWPT_ALLOC, &hwpt)) {
		close_device();
		return false;
	}
	t.parent = hwpt.out_hwpt_id;

	ret = vsmmu_iommufd_init(&t.viommu, t.iommufd, t.vfio.dev_id, t.parent, MAX_EVENTS);
	if (!ret)
		ret = vsmmu_iommufd_add_device(&t.viommu, t.vfio.fd, t.vfio.dev_id, VSID);
	errno = -ret;
	must(!ret, "the vIOMMU");
	return true;
}

static void close_viommu(void)
{
	must(!vsmmu_iommufd_remove_device(&t.viommu, VSID) &&
	     !vsmmu_iommufd_exit(&t.viommu), "closing the vIOMMU");
	close_device();
}

static void fill(struct vsmmu_cmd *cmds, uint32_t n, uint64_t w0, uint64_t w1, uint64_t step)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		cmds[i].w[0] = htole64(w0);
		cmds[i].w[1] = htole64(w1 + i * step);
	}
}

/* Returns the number of entries done */
static uint32_t invalidate(const struct vsmmu_cmd *cmds, uint32_t n, bool timed, long *ret)
{
	alignas(64) struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = t.viommu.viommu_id,
		.data_uptr = (uintptr_t)cmds,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
		.entry_len = sizeof(*cmds),
		.entry_num = n,
	};

	*ret = timed ? sample_ioctl(t.iommufd, IOMMU_HWPT_INVALIDATE, &cmd) :
		       ioctl(t.iommufd, IOMMU_HWPT_INVALIDATE, &cmd);
	return cmd.entry_num;
}

static void mark(void)
{
	static const unsigned int ops[] = {
		VSMMU_OP_TLBI_NH_VAA, VSMMU_OP_TLBI_NH_ALL, VSMMU_OP_TLBI_NH_VAA,
	};
	struct vsmmu_cmd cmds[ARRAY_SIZE(ops)];
	unsigned int i;
	long ret;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		fill(&cmds[i], 1, ops[i], 0, 0);
	must(invalidate(cmds, i, false, &ret) == i, "three commands");
}

/* @bad: the last entry is not legal */
static void bench_array(const char *name, const struct vsmmu_cmd *cmds, uint32_t n, bool bad)
{
	unsigned int rounds = 32768 / (n + 64), i;
	uint32_t good = bad ? n - 1 : n, done;
	long ret;

	mark();
	for (i = 0; i < rounds; i++) {
		done = invalidate(cmds, n, true, &ret);
		if (ret != (bad ? -EIO : 0) || done != good) {
			errno = -ret;
			printf("skip %s %u entries done: %s\n", name, done, strerror(errno));
			nr_samples = 0;
			return;
		}
	}
	print_samples(name, n);
}

static void bench_invalidate(void)
{
	static const unsigned int sizes[] = { 0, 1, 2, 8, 64, 65, 512, 513, 4096 };
	/* The kernel copies what is not aligned with some instructions more */
	static alignas(64) struct vsmmu_cmd cmds[MAX_ARRAY];
	const uint64_t asid = 7ull << 48, sid = (uint64_t)VSID << 32;
	struct vsmmu_config config = {};
	char name[64];
	unsigned int i;
	int ret;

	if (!open_viommu()) {
		printf("skip invalidate no nest parents on this kernel\n");
		return;
	}
	ret = vsmmu_iommufd_host_info(t.iommufd, t.vfio.dev_id, &config);
	errno = -ret;
	must(!ret, "IOMMU_GET_HW_INFO");

	fill(cmds, MAX_ARRAY, VSMMU_OP_TLBI_NH_VA | asid, 1, 0x1000);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		snprintf(name, sizeof(name), "tlbi_nh_va-%u", sizes[i]);
		bench_array(name, cmds, sizes[i], false);
	}

	cmds[511].w[0] = htole64(OP_RESERVED);
	bench_array("rejected-512", cmds, 512, true);
	cmds[0].w[0] = htole64(OP_RESERVED);
	bench_array("rejected-1", cmds, 1, true);

	if (config.host_idr[3] & IDR3_RIL) {
		/* 16 pages of 4 KiB, leaves of level 3 */
		fill(cmds, 512, VSMMU_OP_TLBI_NH_VA | asid | 15ull << 12,
		     1 | 1ull << 10 | 3ull << 8, 0x10000);
		bench_array("tlbi_nh_va_range-512", cmds, 512, false);
	}
	/* No command like the one before */
	fill(cmds, 512, VSMMU_OP_TLBI_NH_VA | asid, 1, 0x1000);
	for (i = 1; i < 512; i += 2)
		fill(&cmds[i], 1, VSMMU_OP_TLBI_NH_ASID | asid, 0, 0);
	bench_array("mixed-512", cmds, 512, false);

	fill(cmds, 512, VSMMU_OP_TLBI_NH_VAA, 1, 0x1000);
	bench_array("tlbi_nh_vaa-512", cmds, 512, false);
	fill(cmds, 512, VSMMU_OP_TLBI_NH_ASID | asid, 0, 0);
	bench_array("tlbi_nh_asid-512", cmds, 512, false);
	fill(cmds, 512, VSMMU_OP_TLBI_NH_ALL, 0, 0);
	bench_array("tlbi_nh_all-512", cmds, 512, false);
	fill(cmds, 512, VSMMU_OP_TLBI_NSNH_ALL, 0, 0);
	bench_array("tlbi_nsnh_all-512", cmds, 512, false);
	fill(cmds, 512, VSMMU_OP_CFGI_CD_ALL | sid, 0, 0);
	bench_array("cfgi_cd_all-512", cmds, 512, false);
	fill(cmds, 512, VSMMU_OP_CFGI_CD | sid, 1, 0);
	bench_array("cfgi_cd-512", cmds, 512, false);
	bench_array("cfgi_cd-1", cmds, 1, false);
	if (config.host_idr[0] & IDR0_ATS) {
		fill(cmds, 512, VSMMU_OP_ATC_INV | sid, 0, 0x1000);
		bench_array("atc_inv-512", cmds, 512, false);
	} else {
		printf("skip atc_inv-512 the SMMU has no ATS\n");
	}
	mark();
	close_viommu();
}

/*
 * Events. All CDs are zero, so every 4 bytes that the device writes are a C_BAD_CD.
 */

/* Read in pieces of @max records until nothing is left; returns how many there were */
static unsigned int read_events(unsigned int max, bool timed)
{
	static unsigned char buf[MAX_EVENTS * RECORD];
	unsigned int n = 0;
	long got;

	for (;;) {
		if (timed)
			got = sample_syscall(SYS_read, t.viommu.veventq_fd,
					     (unsigned long)buf, max * RECORD);
		else
			got = read(t.viommu.veventq_fd, buf, max * RECORD);
		if (got <= 0)
			break;
		n += got / RECORD;
	}
	/* The last one found nothing */
	if (timed)
		nr_samples--;
	return n;
}

/*
 * Make @n events, wait until poll() says that there are some, and return how long ago
 * the SMMU raised its interrupt, or 0 if that is not known. The device writes, all at
 * once, 100 ms after the beginning of the millisecond in which it is told so. The SMMU
 * has the records and raises the interrupt in the same instant. With @read_one the time is
 * until the first record is in the caller's memory.
 */
static uint64_t make_events(unsigned int n, bool read_one)
{
	struct pollfd pfd = { .fd = t.viommu.veventq_fd, .events = POLLIN };
	unsigned char record[RECORD];
	uint64_t before, after, done;

	before = now();
	edu_start_write(&t.edu, MEM_BASE + 0x100000, 0, n * 4);
	after = now();
	must(poll(&pfd, 1, 2000) == 1, "poll");
	if (read_one)
		must(read(pfd.fd, record, sizeof(record)) == sizeof(record), "a record");
	done = now();

	if (before / NSEC_PER_MSEC != after / NSEC_PER_MSEC)
		return 0;
	return done - (before / NSEC_PER_MSEC + 100) * NSEC_PER_MSEC;
}

static void bench_make_events(const char *name, unsigned int n, bool read_one)
{
	unsigned int rounds = 16;
	uint64_t ticks;

	while (rounds--) {
		ticks = make_events(n, read_one);
		if (ticks)
			sample(ticks);
		usleep(1000);
		must(read_events(MAX_EVENTS, false) == n - read_one, "all events are there");
	}
	print_samples(name, n);
}

static void bench_read_events(const char *name, unsigned int max)
{
	unsigned int rounds = max < FEW_RECORDS ? 1 : 4;

	while (rounds--) {
		make_events(MAX_EVENTS, false);
		usleep(1000);
		must(read_events(max, true) == MAX_EVENTS, "all events are there");
	}
	print_samples(name, max);
}

static void bench_events(void)
{
	struct vsmmu_ste ste = {
		.kind = VSMMU_STE_S1,
		.w = { htole64(0xbull | MEM_BASE), htole64(0xd6) },
	};
	uint64_t freq;

	if (!open_viommu()) {
		printf("skip events no nest parents on this kernel\n");
		return;
	}
	must(!vfio_map_bar0(&t.vfio) && !vfio_bus_master(&t.vfio) &&
	     !edu_probe(&t.edu, t.vfio.bar0), "the DMA engine");
	must(!vsmmu_iommufd_ops.ste_changed(&t.viommu, VSID, &ste), "the STE");

	/* When the interrupt was is known only if the counter is QEMU's clock */
	__asm__ volatile("mrs %0, cntfrq_el0" : "=r" (freq));
	if (freq == 1000 * NSEC_PER_MSEC) {
		bench_make_events("event-to-poll", 1, false);
		bench_make_events("event-to-record", 1, true);
		bench_make_events("events-to-poll-512", MAX_EVENTS, false);
	}
	bench_read_events("read-1", 1);
	bench_read_events("read-64", 64);
	bench_read_events("read-512", MAX_EVENTS);

	ste = (struct vsmmu_ste){ .kind = VSMMU_STE_ABORT, .w = { htole64(1) } };
	must(!vsmmu_iommufd_ops.ste_changed(&t.viommu, VSID, &ste), "the STE");
	close_viommu();
}

/*
 * Memory: the objects in the kernel's caches, before and after. The kernel counts them
 * exactly with "slab_debug=F" only; else those that a CPU has in reserve are in it.
 */

#define MAX_CACHES	256

static struct cache {
	char name[64];
	unsigned int size;
	long objects;
	long more[MEMORY_ROUNDS];
} caches[MAX_CACHES];
static unsigned int nr_caches;

static struct cache *find_cache(const char *name)
{
	unsigned int i;

	for (i = 0; i < nr_caches; i++)
		if (!strcmp(caches[i].name, name))
			return &caches[i];
	must(nr_caches < MAX_CACHES, "number of caches");
	snprintf(caches[nr_caches].name, sizeof(caches[0].name), "%.63s", name);
	return &caches[nr_caches++];
}

/* @round: How many more there are than before is the result of this round */
static void count_objects(int round)
{
	char line[512], name[64];
	unsigned int size;
	long objects;
	FILE *f = fopen("/proc/slabinfo", "re");

	must(f, "/proc/slabinfo");
	while (fgets(line, sizeof(line), f)) {
		struct cache *c;

		if (sscanf(line, "%63s %ld %*u %u", name, &objects, &size) != 3)
			continue;
		c = find_cache(name);
		c->size = size;
		if (round >= 0)
			c->more[round] = objects - c->objects;
		c->objects = objects;
	}
	fclose(f);
}

static int compare_long(const void *a, const void *b)
{
	const long *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void print_objects(const char *object)
{
	unsigned int i;

	for (i = 0; i < nr_caches; i++) {
		struct cache *c = &caches[i];

		qsort(c->more, MEMORY_ROUNDS, sizeof(c->more[0]), compare_long);
		if (c->more[MEMORY_ROUNDS / 2] > 0)
			printf("memory %s %s %ld %u\n", object, c->name,
			       c->more[MEMORY_ROUNDS / 2], c->size);
	}
	fflush(stdout);
	nr_caches = 0;
	memset(caches, 0, sizeof(caches));
}

static uint32_t alloc_viommu(void)
{
	struct iommu_viommu_alloc cmd = {
		.size = sizeof(cmd),
		.type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
		.dev_id = t.vfio.dev_id,
		.hwpt_id = t.parent,
	};

	must(!ioctl(t.iommufd, IOMMU_VIOMMU_ALLOC, &cmd), "IOMMU_VIOMMU_ALLOC");
	return cmd.out_viommu_id;
}

static uint32_t alloc_vdevice(uint32_t viommu)
{
	struct iommu_vdevice_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = viommu,
		.dev_id = t.vfio.dev_id,
		.virt_id = VSID,
	};

	must(!ioctl(t.iommufd, IOMMU_VDEVICE_ALLOC, &cmd), "IOMMU_VDEVICE_ALLOC");
	return cmd.out_vdevice_id;
}

static uint32_t alloc_veventq(uint32_t viommu, int *fd)
{
	struct iommu_veventq_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = viommu,
		.type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
		.veventq_depth = FEW_RECORDS,
	};

	must(!ioctl(t.iommufd, IOMMU_VEVENTQ_ALLOC, &cmd), "IOMMU_VEVENTQ_ALLOC");
	*fd = cmd.out_veventq_fd;
	return cmd.out_veventq_id;
}

static void destroy(uint32_t id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	must(!ioctl(t.iommufd, IOMMU_DESTROY, &cmd), "IOMMU_DESTROY");
}

static void bench_memory(void)
{
	uint32_t viommu, id;
	unsigned int i;
	char name[32];
	int fd;

	if (access("/proc/slabinfo", R_OK)) {
		printf("skip memory no /proc/slabinfo\n");
		return;
	}
	if (!open_viommu()) {
		printf("skip memory no nest parents on this kernel\n");
		return;
	}
	must(!vsmmu_iommufd_remove_device(&t.viommu, VSID), "removing the device");

	for (i = 0; i < MEMORY_ROUNDS; i++) {
		usleep(1000);
		count_objects(-1);
		id = alloc_viommu();
		count_objects(i);
		destroy(id);
	}
	print_objects("viommu");

	viommu = alloc_viommu();
	for (i = 0; i < MEMORY_ROUNDS; i++) {
		usleep(1000);
		count_objects(-1);
		id = alloc_vdevice(viommu);
		count_objects(i);
		destroy(id);
	}
	print_objects("vdevice");

	for (i = 0; i < MEMORY_ROUNDS; i++) {
		usleep(1000);
		count_objects(-1);
		id = alloc_veventq(viommu, &fd);
		count_objects(i);
		close(fd);
		destroy(id);
	}
	snprintf(name, sizeof(name), "veventq-%u", FEW_RECORDS);
	print_objects(name);
	/* What is left goes with the process */
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} parts[] = {
		{ "map", bench_map },
		{ "invalidate", bench_invalidate },
		{ "events", bench_events },
		{ "memory", bench_memory },
	};
	unsigned int i;
	int j;

	t.mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	must(t.mem != MAP_FAILED, "a huge page");
	memset(t.mem, 0, MEM_SIZE);

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		bool wanted = argc == 1;

		for (j = 1; j < argc; j++)
			wanted |= !strcmp(argv[j], parts[i].name);
		if (wanted)
			parts[i].run();
	}
	return 0;
}
