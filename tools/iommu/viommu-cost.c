// SPDX-License-Identifier: GPL-2.0-only
/*
 * viommu-cost: what arrays of commands cost others, as the kernel counts it
 *
 * Memory. The kernel's tracepoints say what is allocated in a call. That must be
 * nothing for a short array, and for a long one the same whatever its length.
 *
 * Locks. /proc/lock_stat says which locks were taken, and how often. Threads that
 * invalidate, on one vIOMMU or on one each, must take no lock but those of
 * shared_locks[], so that they wait for one another in the hardware's queue alone. What
 * the rest of the system takes meanwhile is known from a run of the same time without
 * a call, and from system_locks[]. That a lock is taken is a count, the same on every
 * machine; how often threads really waited depends on the machine and is only printed.
 *
 *	viommu-cost [THREADS]
 *
 * THREADS is 4 without an argument. Takes a kernel with CONFIG_LOCK_STAT and with
 * tracepoints. Exit status: 0 if all is as it must be.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/iommufd.h>

#include "edu.h"
#include "iommufd-calls.h"
#include "tap.h"
#include "util.h"
#include "vfio.h"
#include "vsmmuv3.h"

#define VSID		0x4201u

/* Not longer than what the kernel has on its stack for it */
#define SHORT_ARRAY	64u
#define LONG_ARRAY	5000u

#define MAX_THREADS	16u
#define ROUNDS		200u
#define MAX_CLASSES	1024u

#define TRACEFS		"/sys/kernel/tracing/"

/*
 * What a call takes although it is shared: the IDs of the iommufd, in the base's
 * iommufd_get_object(), once; and what lockdep only takes for granted, in
 * might_fault() and for RCU.
 */
static const char * const shared_locks[] = {
	"&xa->xa_lock",
	"&mm->mmap_lock",
	"rcu_read_lock",
};

/*
 * What timers, the scheduler and RCU take on their own, on a slow machine or kernel more
 * often than there are calls
 */
static const char * const system_locks[] = {
	"tk_core.seq",
	"hrtimer_bases.lock",
	"&base->lock",
	"&rq->__lock",
	"&p->pi_lock",
	"rcu_node",
	/* CONFIG_DEBUG_OBJECTS, for timers and for all that is freed */
	"&obj_hash[i].lock",
};

static struct {
	int iommufd;
	uint32_t ioas;
	struct vfio_dev vfio;
	uint32_t viommu[MAX_THREADS];
} t;

static void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

static void must(bool ok, const char *what)
{
	if (!ok)
		die(what);
}

static void must_write(const char *path, const char *text)
{
	errno = write_file(path, text);
	must(!errno, path);
}

/*
 * The objects
 */

static void open_viommus(unsigned int n)
{
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct iommu_hwpt_alloc hwpt = {
		.size = sizeof(hwpt),
		.flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
	};
	struct iommu_viommu_alloc viommu = {
		.size = sizeof(viommu),
		.type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
	};
	struct iommu_vdevice_alloc vdev = {
		.size = sizeof(vdev),
		.virt_id = VSID,
	};
	unsigned int i;

	t.iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	must(t.iommufd >= 0, "/dev/iommu");
	must(!vfio_find(&t.vfio, EDU_VENDOR, EDU_DEVICE) &&
	     !vfio_open(&t.vfio, t.iommufd), "the device");

	must(!ioctl(t.iommufd, IOMMU_IOAS_ALLOC, &ioas), "IOMMU_IOAS_ALLOC");
	hwpt.dev_id = t.vfio.dev_id;
	t.ioas = ioas.out_ioas_id;
	hwpt.pt_id = t.ioas;
	must(!ioctl(t.iommufd, IOMMU_HWPT_ALLOC, &hwpt), "IOMMU_HWPT_ALLOC");

	viommu.dev_id = t.vfio.dev_id;
	viommu.hwpt_id = hwpt.out_hwpt_id;
	for (i = 0; i < n; i++) {
		must(!ioctl(t.iommufd, IOMMU_VIOMMU_ALLOC, &viommu), "IOMMU_VIOMMU_ALLOC");
		t.viommu[i] = viommu.out_viommu_id;
	}

	/* For the commands that name a device; of the first vIOMMU */
	vdev.dev_id = t.vfio.dev_id;
	vdev.viommu_id = t.viommu[0];
	must(!ioctl(t.iommufd, IOMMU_VDEVICE_ALLOC, &vdev), "IOMMU_VDEVICE_ALLOC");
}

static void fill(struct vsmmu_cmd *cmds, uint32_t n, bool cfgi)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (cfgi && (i & 1)) {
			cmds[i].w[0] = htole64(VSMMU_OP_CFGI_CD | (uint64_t)VSID << 32);
			cmds[i].w[1] = htole64(1);
		} else {
			cmds[i].w[0] = htole64(VSMMU_OP_TLBI_NH_VA | 7ull << 48);
			cmds[i].w[1] = htole64(1 | (uint64_t)i << 12);
		}
	}
}

static bool invalidate(uint32_t viommu, const struct vsmmu_cmd *cmds, uint32_t n)
{
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = viommu,
		.data_uptr = (uintptr_t)cmds,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
		.entry_len = sizeof(*cmds),
		.entry_num = n,
	};

	return !ioctl(t.iommufd, IOMMU_HWPT_INVALIDATE, &cmd) && cmd.entry_num == n;
}

/*
 * Memory
 */

static const char * const alloc_events[] = {
	"kmalloc", "kmem_cache_alloc", "mm_page_alloc",
};

/* Whoever keeps books of allocations allocates as well: kmemleak */
static const char * const bookkeepers[] = {
	"call_site=mem_pool_alloc", "call_site=__alloc_object", "call_site=__create_object",
};

static int tracing_on;

/* Opening a file allocates */
static void trace_allocations(const char *on)
{
	must(pwrite(tracing_on, on, 1, 0) == 1, TRACEFS "tracing_on");
}

static void init_tracing(void)
{
	char path[96], filter[32];
	unsigned int i;

	snprintf(filter, sizeof(filter), "common_pid == %d", getpid());
	for (i = 0; i < ARRAY_SIZE(alloc_events); i++) {
		snprintf(path, sizeof(path), TRACEFS "events/kmem/%s/filter",
			 alloc_events[i]);
		must_write(path, filter);
		snprintf(path, sizeof(path), TRACEFS "events/kmem/%s/enable",
			 alloc_events[i]);
		must_write(path, "1");
	}
	tracing_on = open(TRACEFS "tracing_on", O_WRONLY | O_CLOEXEC);
	must(tracing_on >= 0, TRACEFS "tracing_on");
	trace_allocations("0");
}

static void exit_tracing(void)
{
	char path[96];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(alloc_events); i++) {
		snprintf(path, sizeof(path), TRACEFS "events/kmem/%s/enable",
			 alloc_events[i]);
		must_write(path, "0");
		snprintf(path, sizeof(path), TRACEFS "events/kmem/%s/filter",
			 alloc_events[i]);
		must_write(path, "0");
	}
	trace_allocations("1");
	close(tracing_on);
}

struct allocations {
	unsigned int count;
	unsigned long bytes;
};

static bool is_bookkeeper(const char *line)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bookkeepers); i++)
		if (strstr(line, bookkeepers[i]))
			return true;
	return false;
}

/* What is in the trace, of pages and of objects; printed as well */
static struct allocations read_trace(const char *what)
{
	struct allocations a = {};
	char line[512];
	FILE *f = fopen(TRACEFS "trace", "re");

	must(f, TRACEFS "trace");
	while (fgets(line, sizeof(line), f)) {
		const char *bytes = strstr(line, "bytes_alloc=");
		const char *order = strstr(line, "order=");

		if (line[0] == '#' || (!bytes && !order) || is_bookkeeper(line))
			continue;
		a.count++;
		a.bytes += bytes ? strtoul(bytes + strlen("bytes_alloc="), NULL, 0) :
				   4096ul << strtoul(order + strlen("order="), NULL, 0);
		printf("# %s: %s", what, line);
	}
	fclose(f);
	return a;
}

static struct allocations count_allocations(const struct vsmmu_cmd *cmds, uint32_t n)
{
	struct allocations a, least = {};
	unsigned int i;
	char what[32];

	/* The least of some: now and then a slab is filled up in between */
	for (i = 0; i < 5; i++) {
		must_write(TRACEFS "trace", "");
		trace_allocations("1");
		must(invalidate(t.viommu[0], cmds, n), "the commands");
		trace_allocations("0");
		snprintf(what, sizeof(what), "%u commands", n);
		a = read_trace(what);
		if (!i || a.count < least.count)
			least = a;
	}
	return least;
}

static void test_memory(void)
{
	static const unsigned int lengths[] = { SHORT_ARRAY + 1, 512, 513, 4096, LONG_ARRAY };
	static struct vsmmu_cmd cmds[LONG_ARRAY];
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct allocations a, first;
	bool same = true, none = true;
	unsigned int i;

	init_tracing();
	fill(cmds, LONG_ARRAY, true);

	must_write(TRACEFS "trace", "");
	trace_allocations("1");
	must(!ioctl(t.iommufd, IOMMU_IOAS_ALLOC, &ioas), "IOMMU_IOAS_ALLOC");
	trace_allocations("0");
	tap_check(read_trace("an IOAS").count, "allocations are seen");

	for (i = 1; i <= SHORT_ARRAY; i *= 2)
		none &= !count_allocations(cmds, i).count;
	tap_check(none, "arrays of up to 64 commands allocate nothing");

	first = count_allocations(cmds, lengths[0]);
	tap_check(first.count == 1 && first.bytes <= 16384,
		  "a longer array makes one allocation of 16 KiB at most");
	for (i = 1; i < ARRAY_SIZE(lengths); i++) {
		a = count_allocations(cmds, lengths[i]);
		same &= a.count == first.count && a.bytes == first.bytes;
	}
	tap_check(same, "the same for all lengths up to 5000");
	exit_tracing();
}

/*
 * Locks
 */

struct lock_class {
	char name[80];
	unsigned long contentions;
	unsigned long acquisitions;
};

struct lock_stat {
	struct lock_class classes[MAX_CLASSES];
	unsigned int n;
};

/* The lines of classes: "name: con-bounces contentions 4 x wait acq-bounces acquisitions" */
static void read_lock_stat(struct lock_stat *stat)
{
	char line[512];
	FILE *f = fopen("/proc/lock_stat", "re");

	must(f, "/proc/lock_stat");
	stat->n = 0;
	while (stat->n < MAX_CLASSES && fgets(line, sizeof(line), f)) {
		struct lock_class *c = &stat->classes[stat->n];
		char *colon = strrchr(line, ':');
		char *name = line + strspn(line, " ");

		if (!colon)
			continue;
		*colon = '\0';
		if (sscanf(colon + 1, "%*u %lu %*f %*f %*f %*f %*u %lu", &c->contentions,
			   &c->acquisitions) != 2)
			continue;
		snprintf(c->name, sizeof(c->name), "%.79s", name);
		stat->n++;
	}
	fclose(f);
}

static unsigned long acquisitions(const struct lock_stat *stat, const char *name)
{
	unsigned int i;

	for (i = 0; i < stat->n; i++)
		if (!strcmp(stat->classes[i].name, name))
			return stat->classes[i].acquisitions;
	return 0;
}

/* What a thread calls ROUNDS times */
enum what {
	INVALIDATE,
	/* Something that takes a lock: shows that the test sees one */
	IOVA_RANGES,
	/* Nothing, until @until */
	NOTHING,
};

static pthread_barrier_t barrier;

struct thread {
	pthread_t thread;
	enum what what;
	unsigned int cpu;
	uint32_t viommu;
	uint64_t ns;
	bool ok;
};

static bool iova_ranges(void)
{
	struct iommu_iova_range ranges[8];
	struct iommu_ioas_iova_ranges cmd = {
		.size = sizeof(cmd),
		.ioas_id = t.ioas,
		.num_iovas = ARRAY_SIZE(ranges),
		.allowed_iovas = (uintptr_t)ranges,
	};

	return !ioctl(t.iommufd, IOMMU_IOAS_IOVA_RANGES, &cmd);
}

static void *run_thread(void *arg)
{
	struct vsmmu_cmd cmds[SHORT_ARRAY];
	struct thread *thread = arg;
	uint64_t start;
	cpu_set_t cpus;
	unsigned int i;

	CPU_ZERO(&cpus);
	CPU_SET(thread->cpu, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	fill(cmds, ARRAY_SIZE(cmds), false);

	thread->ok = true;
	pthread_barrier_wait(&barrier);
	/* Statistics on */
	pthread_barrier_wait(&barrier);
	start = now_ns();
	if (thread->what == NOTHING) {
		while (now_ns() - start < thread->ns)
			;
	}
	for (i = 0; i < ROUNDS; i++) {
		if (thread->what == INVALIDATE)
			thread->ok &= invalidate(thread->viommu, cmds,
						 1 + i % ARRAY_SIZE(cmds));
		else if (thread->what == IOVA_RANGES)
			thread->ok &= iova_ranges();
	}
	thread->ns = now_ns() - start;
	pthread_barrier_wait(&barrier);
	/* Statistics off */
	pthread_barrier_wait(&barrier);
	return NULL;
}

/* Returns the nanoseconds that it took, 0 if a call failed */
static uint64_t run_threads(unsigned int n, enum what what, bool one_each, uint64_t ns,
			    struct lock_stat *stat)
{
	struct thread threads[MAX_THREADS] = {};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int i;
	bool ok = true;

	pthread_barrier_init(&barrier, NULL, n + 1);
	for (i = 0; i < n; i++) {
		threads[i].what = what;
		threads[i].cpu = i % cpus;
		threads[i].viommu = t.viommu[one_each ? i : 0];
		threads[i].ns = ns;
		must(!pthread_create(&threads[i].thread, NULL, run_thread, &threads[i]),
		     "a thread");
	}

	pthread_barrier_wait(&barrier);
	must_write("/proc/lock_stat", "0");
	must_write("/proc/sys/kernel/lock_stat", "1");
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	must_write("/proc/sys/kernel/lock_stat", "0");
	pthread_barrier_wait(&barrier);
	for (i = 0, ns = 0; i < n; i++) {
		pthread_join(threads[i].thread, NULL);
		ok &= threads[i].ok;
		if (threads[i].ns > ns)
			ns = threads[i].ns;
	}
	pthread_barrier_destroy(&barrier);
	read_lock_stat(stat);
	return ok ? ns : 0;
}

static bool is_one_of(const char *name, const char * const *names, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (!strncmp(name, names[i], strlen(names[i])))
			return true;
	return false;
}

/* How many locks that are not in shared_locks[] the calls take; says which */
static unsigned int test_calls(unsigned int n, enum what what, bool one_each,
			       const char *text)
{
	static struct lock_stat with, without;
	unsigned int calls = n * ROUNDS, others = 0, i;
	char name[128];
	uint64_t ns;

	ns = run_threads(n, what, one_each, 0, &with);
	snprintf(name, sizeof(name), "%s: all done", text);
	tap_check(ns, name);
	run_threads(n, NOTHING, false, ns, &without);

	for (i = 0; i < with.n; i++) {
		const struct lock_class *c = &with.classes[i];

		if (c->acquisitions < calls + 2 * acquisitions(&without, c->name) ||
		    is_one_of(c->name, system_locks, ARRAY_SIZE(system_locks)))
			continue;
		printf("# %s: %u calls, %lu times %s, waited for %lu times\n", text, calls,
		       c->acquisitions, c->name, c->contentions);
		others += !is_one_of(c->name, shared_locks, ARRAY_SIZE(shared_locks));
	}
	return others;
}

static void test_locks(unsigned int n)
{
	char text[64], name[128];
	unsigned int one_each;

	tap_check(test_calls(n, IOVA_RANGES, false, "IOMMU_IOAS_IOVA_RANGES"),
		  "locks are seen");
	for (one_each = 0; one_each < 2; one_each++) {
		snprintf(text, sizeof(text), "%u threads, %s", n,
			 one_each ? "a vIOMMU each" : "one vIOMMU");
		snprintf(name, sizeof(name), "%s: no lock of the vIOMMU or the queue", text);
		tap_check(!test_calls(n, INVALIDATE, one_each, text), name);
	}
}

int main(int argc, char **argv)
{
	unsigned int n = argc > 1 ? strtoul(argv[1], NULL, 0) : 4;

	if (!n || n > MAX_THREADS)
		die("number of threads");

	open_viommus(n);
	test_memory();
	test_locks(n);
	return tap_end();
}
