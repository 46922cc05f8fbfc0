// SPDX-License-Identifier: GPL-2.0-only
/*
 * viommu-cost: what arrays of commands cost others, as the kernel counts it
 *
 * Memory. The kernel's tracepoints say what is allocated in a call. That must be
 * nothing for a short array, and for a long one the same whatever its length.
 *
 * Locks. /proc/lock_stat says which locks were taken. Threads that invalidate, on one
 * vIOMMU or on one each, must not take a lock that they share but for those in
 * shared_locks[], so that they wait for one another in the hardware's queue alone.
 * That no lock is taken is a count, the same on every machine; how often threads
 * really waited depends on the machine and is only printed.
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
#include "util.h"
#include "vfio.h"
#include "vsmmuv3.h"

#define VSID		0x4201u

/* Not longer than what the kernel has on its stack for it */
#define SHORT_ARRAY	64u
#define LONG_ARRAY	5000u

#define MAX_THREADS	16u
#define ROUNDS		500u
#define MAX_CLASSES	1024u

#define TRACEFS		"/sys/kernel/tracing/"

/*
 * What a thread takes in the system call although it is shared:
 *
 *  - the IDs of an iommufd, in the base's iommufd_get_object(), once per call,
 *  - what lockdep only takes for granted: might_fault(), and the RCU.
 */
static const char * const shared_locks[] = {
	"&xa->xa_lock",
	"&mm->mmap_lock",
	"rcu_read_lock",
};

static struct {
	int iommufd;
	struct vfio_dev vfio;
	uint32_t viommu[MAX_THREADS];
} t;

static unsigned int nr, nr_failed;

static bool check(bool ok, const char *name)
{
	nr++;
	printf("%sok %u %s\n", ok ? "" : "not ", nr, name);
	fflush(stdout);
	if (!ok)
		nr_failed++;
	return ok;
}

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

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	ssize_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != len)
		die(path);
	close(fd);
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
	hwpt.pt_id = ioas.out_ioas_id;
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

static void trace_allocations(const char *on)
{
	char path[96];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(alloc_events); i++) {
		snprintf(path, sizeof(path), TRACEFS "events/kmem/%s/enable",
			 alloc_events[i]);
		write_file(path, on);
	}
}

static void init_tracing(void)
{
	char path[96], filter[32];
	unsigned int i;

	snprintf(filter, sizeof(filter), "common_pid == %d", getpid());
	for (i = 0; i < ARRAY_SIZE(alloc_events); i++) {
		snprintf(path, sizeof(path), TRACEFS "events/kmem/%s/filter",
			 alloc_events[i]);
		write_file(path, filter);
	}
	write_file(TRACEFS "tracing_on", "1");
}

struct allocations {
	unsigned int count;
	unsigned long bytes;
};

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

		if (line[0] == '#' || (!bytes && !order))
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
	char what[32];

	/* Everything that is allocated once is there */
	must(invalidate(t.viommu[0], cmds, n), "the commands");

	write_file(TRACEFS "trace", "");
	trace_allocations("1");
	must(invalidate(t.viommu[0], cmds, n), "the commands");
	trace_allocations("0");
	snprintf(what, sizeof(what), "%u commands", n);
	return read_trace(what);
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

	write_file(TRACEFS "trace", "");
	trace_allocations("1");
	must(!ioctl(t.iommufd, IOMMU_IOAS_ALLOC, &ioas), "IOMMU_IOAS_ALLOC");
	trace_allocations("0");
	check(read_trace("an IOAS").count, "allocations are seen");

	for (i = 1; i <= SHORT_ARRAY; i *= 2)
		none &= !count_allocations(cmds, i).count;
	check(none, "arrays of up to 64 commands allocate nothing");

	first = count_allocations(cmds, lengths[0]);
	check(first.count == 1 && first.bytes <= 16384,
	      "a longer array makes one allocation of 16 KiB at most");
	for (i = 1; i < ARRAY_SIZE(lengths); i++) {
		a = count_allocations(cmds, lengths[i]);
		same &= a.count == first.count && a.bytes == first.bytes;
	}
	check(same, "the same for all lengths up to 5000");
}

/*
 * Locks
 */

struct lock_class {
	char name[80];
	unsigned long contentions;
	unsigned long acquisitions;
};

static struct lock_class classes[MAX_CLASSES];
static unsigned int nr_classes;

/* The lines of classes: "name: con-bounces contentions 4 x wait acq-bounces acquisitions" */
static void read_lock_stat(void)
{
	char line[512];
	FILE *f = fopen("/proc/lock_stat", "re");

	must(f, "/proc/lock_stat");
	nr_classes = 0;
	while (nr_classes < MAX_CLASSES && fgets(line, sizeof(line), f)) {
		struct lock_class *c = &classes[nr_classes];
		char *colon = strrchr(line, ':');
		char *name = line + strspn(line, " ");

		if (!colon)
			continue;
		*colon = '\0';
		if (sscanf(colon + 1, "%*u %lu %*f %*f %*f %*f %*u %lu", &c->contentions,
			   &c->acquisitions) != 2)
			continue;
		snprintf(c->name, sizeof(c->name), "%.79s", name);
		nr_classes++;
	}
	fclose(f);
}

static pthread_barrier_t barrier;

struct thread {
	pthread_t thread;
	unsigned int cpu;
	uint32_t viommu;
	bool ok;
};

static void *run_thread(void *arg)
{
	struct vsmmu_cmd cmds[SHORT_ARRAY];
	struct thread *thread = arg;
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
	for (i = 0; i < ROUNDS; i++)
		thread->ok &= invalidate(thread->viommu, cmds, 1 + i % ARRAY_SIZE(cmds));
	pthread_barrier_wait(&barrier);
	/* Statistics off */
	pthread_barrier_wait(&barrier);
	return NULL;
}

static bool is_shared(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(shared_locks); i++)
		if (!strncmp(name, shared_locks[i], strlen(shared_locks[i])))
			return true;
	return false;
}

static void test_locks(unsigned int n, bool one_each)
{
	struct thread threads[MAX_THREADS] = {};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int calls = n * ROUNDS, i;
	bool ok = true, table = false, others = false;
	char name[96];

	pthread_barrier_init(&barrier, NULL, n + 1);
	for (i = 0; i < n; i++) {
		threads[i].cpu = i % cpus;
		threads[i].viommu = t.viommu[one_each ? i : 0];
		must(!pthread_create(&threads[i].thread, NULL, run_thread, &threads[i]),
		     "a thread");
	}

	pthread_barrier_wait(&barrier);
	write_file("/proc/lock_stat", "0");
	write_file("/proc/sys/kernel/lock_stat", "1");
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	write_file("/proc/sys/kernel/lock_stat", "0");
	pthread_barrier_wait(&barrier);
	for (i = 0; i < n; i++) {
		pthread_join(threads[i].thread, NULL);
		ok &= threads[i].ok;
	}
	pthread_barrier_destroy(&barrier);

	/* A lock that an array takes is taken as often as there are arrays */
	read_lock_stat();
	for (i = 0; i < nr_classes; i++) {
		const struct lock_class *c = &classes[i];

		if (c->acquisitions < calls)
			continue;
		printf("# %u calls: %lu times %s, waited for %lu times\n", calls,
		       c->acquisitions, c->name, c->contentions);
		if (!is_shared(c->name))
			others = true;
		else if (!strncmp(c->name, shared_locks[0], strlen(shared_locks[0])))
			table = true;
	}

	snprintf(name, sizeof(name), "%u threads, %s: all commands done", n,
		 one_each ? "a vIOMMU each" : "one vIOMMU");
	check(ok, name);
	snprintf(name, sizeof(name), "%u threads, %s: the statistics work", n,
		 one_each ? "a vIOMMU each" : "one vIOMMU");
	check(table, name);
	snprintf(name, sizeof(name), "%u threads, %s: no lock of the vIOMMU or the queue", n,
		 one_each ? "a vIOMMU each" : "one vIOMMU");
	check(!others, name);
}

int main(int argc, char **argv)
{
	unsigned int n = argc > 1 ? strtoul(argv[1], NULL, 0) : 4;

	if (!n || n > MAX_THREADS)
		die("number of threads");

	printf("TAP version 13\n");
	open_viommus(n);
	test_memory();
	test_locks(n, false);
	test_locks(n, true);
	printf("1..%u\n", nr);
	return nr_failed ? 1 : 0;
}
