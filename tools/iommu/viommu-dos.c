// SPDX-License-Identifier: GPL-2.0-only
/*
 * viommu-dos: what a VM that means harm can take away from others
 *
 *	viommu-dos [log | irqsoff | memory | latency]...
 *
 * log		lines in the kernel's log while a VM does, in a tight loop, what the
 *		kernel or the SMMU refuses, or has its device do that
 * irqsoff	the longest time with interrupts off during the same, by the irqsoff
 *		tracer. A bound only means something where the clock counts
 *		instructions: --bound checks it, in a machine with QEMU's -icount.
 * memory	what objects cost, that it is charged to the VM's memory cgroup, and
 *		what happens at the limit of that
 * latency	how long an invalidation of another VM and an unmap of the host take
 *		with and without a VM in a tight loop beside them. On CPUs that others
 *		may want as well the bound is so loose that only who is locked out
 *		exceeds it; --bound is for the machine with -icount again.
 *
 * All but irqsoff if nothing is named. With more than one CPU the VM that means harm has
 * one, and all else, of which it is measured what it suffers, has another.
 *
 * The device is QEMU's "edu". If there is a second one it is the other VM's, which has an
 * iommufd of its own then. A vIOMMU can't be made without a device, so else the other VM
 * is one more vIOMMU in the same iommufd: what is shared is the SMMU and that file. The
 * irqsoff boots of check.sh have a second one.
 *
 * Not tried: a third VM; an attack from several CPUs at once; ATC_INVs, which edu would
 * have to take its time to answer, and page requests: it has neither ATS nor PRI.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "edu.h"
#include "inject.h"
#include "iommufd-calls.h"
#include "kmsg.h"
#include "tap.h"
#include "util.h"
#include "vfio.h"

#define VSID		0x4201u
#define MEM_BASE	0x40000000ull
#define MEM_SIZE	(4u << 20)
#define HOST_SIZE	(64u << 10)
/* Nothing is mapped there, neither by the guest nor by the host */
#define NOWHERE		0x70000000ull
#define LARGE		(1u << 17)
#define ATTACK_MS	800u
/* With --bound: a clock that counts instructions is slow, and shorter tells as much */
#define ATTACK_MS_BOUND	300u

#define TRACING		"/sys/kernel/tracing/"
#define CGROUPS		"/tmp/viommu-dos-cgroup"

/* What the host maps and unmaps for a VM without a vIOMMU */
struct host {
	int fd;
	uint32_t ioas, hwpt;
};

/* One VM: the guest with the device is the one that means harm */
static struct {
	int fd;
	struct vfio_dev vfio;
	struct edu edu;
	uint32_t ioas, parent, viommu, vdevice, veventq, bypass, s1;
	int veventq_fd;
	/* Another VM. Without a device of its own it is in the first one's iommufd */
	struct {
		int fd;
		struct vfio_dev vfio;
		uint32_t ioas, parent, viommu, vdevice, bypass;
	} other;
	/* The host's own, and another one's, which the host can be busy with meanwhile */
	struct host host, busy_host;
	void *mem;
	uint64_t (*large)[2];
} t;

static unsigned int attack_ms = ATTACK_MS;
static int stop;

static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static bool set_up_host(struct host *host, int fd, uint32_t dev_id)
{
	host->fd = fd;
	return !ic_ioas(fd, &host->ioas) && !ic_parent(fd, dev_id, host->ioas, &host->hwpt);
}

/* With a device of its own if there is one; the host's is beside it */
static bool set_up_other(void)
{
	bool own = !vfio_find_after(&t.other.vfio, EDU_VENDOR, EDU_DEVICE, t.vfio.bdf);
	uint32_t dev_id = t.vfio.dev_id;

	t.other.fd = t.fd;
	if (own) {
		t.other.fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
		if (t.other.fd < 0 || vfio_open(&t.other.vfio, t.other.fd))
			return false;
		dev_id = t.other.vfio.dev_id;
	}
	if (!set_up_host(&t.host, t.other.fd, dev_id) ||
	    !set_up_host(&t.busy_host, t.fd, t.vfio.dev_id))
		return false;
	if (ic_ioas(t.other.fd, &t.other.ioas) ||
	    ic_parent(t.other.fd, dev_id, t.other.ioas, &t.other.parent) ||
	    ic_viommu(t.other.fd, dev_id, t.other.parent, &t.other.viommu))
		return false;
	return !own ||
	       (!ic_vdevice(t.other.fd, t.other.viommu, dev_id, VSID, &t.other.vdevice) &&
		!ic_nested(t.other.fd, dev_id, t.other.viommu, STE_BYPASS_W0, 0,
			   &t.other.bypass) &&
		!vfio_attach(&t.other.vfio, t.other.bypass));
}

static bool set_up(void)
{
	unsigned int i;

	t.mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		     -1, 0);
	t.large = malloc(LARGE * sizeof(*t.large));
	if (t.mem == MAP_FAILED || !t.large)
		return false;
	for (i = 0; i < LARGE; i++) {
		t.large[i][0] = htole64(0x12 | (uint64_t)(i & 0xff) << 48);
		t.large[i][1] = htole64((uint64_t)i << 12 | 1);
	}
	t.fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	return t.fd >= 0 && !vfio_find(&t.vfio, EDU_VENDOR, EDU_DEVICE) &&
	       !vfio_open(&t.vfio, t.fd) && !vfio_map_bar0(&t.vfio) &&
	       !vfio_bus_master(&t.vfio) && !edu_probe(&t.edu, t.vfio.bar0) &&
	       !ic_ioas(t.fd, &t.ioas) &&
	       !ic_map(t.fd, t.ioas, MEM_BASE, t.mem, MEM_SIZE) &&
	       !ic_parent(t.fd, t.vfio.dev_id, t.ioas, &t.parent) &&
	       !ic_viommu(t.fd, t.vfio.dev_id, t.parent, &t.viommu) &&
	       !ic_vdevice(t.fd, t.viommu, t.vfio.dev_id, VSID, &t.vdevice) &&
	       !ic_veventq(t.fd, t.viommu, 8, &t.veventq, &t.veventq_fd) &&
	       !ic_nested(t.fd, t.vfio.dev_id, t.viommu, STE_BYPASS_W0, 0, &t.bypass) &&
	       !ic_nested(t.fd, t.vfio.dev_id, t.viommu, STE_S1_W0(MEM_BASE), STE_S1_W1,
			  &t.s1) &&
	       !vfio_attach(&t.vfio, t.s1) && set_up_other();
}

static void tear_down(void)
{
	close(t.veventq_fd);
	vfio_close(&t.vfio);
	vfio_close(&t.other.vfio);
	if (t.other.fd != t.fd)
		close(t.other.fd);
	close(t.fd);
	free(t.large);
	munmap(t.mem, MEM_SIZE);
}

/* Attacks. Each returns how often it got a turn. */

static int invalidate(const void *cmds, uint32_t num)
{
	struct iommu_hwpt_invalidate cmd;

	return ic_invalidate(t.fd, t.viommu, cmds, num, &cmd);
}

static unsigned long bad_commands(void)
{
	/* A reserved bit, an unknown opcode, a StreamID of nobody's */
	static const uint64_t cmds[][2] = {
		{ 0x10 | 1 << 9 }, { 0x46 }, { 0x05 | 0x777ull << 32, 1 },
	};
	uint64_t cmd[2];
	unsigned long n;

	for (n = 0; !stopped(); n++) {
		cmd[0] = htole64(cmds[n % ARRAY_SIZE(cmds)][0]);
		cmd[1] = htole64(cmds[n % ARRAY_SIZE(cmds)][1]);
		if (invalidate(cmd, 1) != EIO)
			return 0;
	}
	return n;
}

static unsigned long tiny_arrays(void)
{
	unsigned long n;

	for (n = 0; !stopped(); n++)
		if (invalidate(t.large, 1))
			return 0;
	return n;
}

static unsigned long large_arrays(void)
{
	unsigned long n;

	for (n = 0; !stopped(); n++)
		if (invalidate(t.large, LARGE))
			return 0;
	return n;
}

static unsigned long hardware_errors(void)
{
	unsigned long n;

	for (n = 0; !stopped(); n++)
		if (invalidate(t.large, 2) != EIO)
			return 0;
	return n;
}

/* An event per 4 bytes; the engine takes a transfer in 100 ms. The CD is all zero. */
static unsigned long faults(void)
{
	unsigned long n;

	for (n = 0; !stopped(); n++)
		if (edu_write(&t.edu, NOWHERE, 0, EDU_BUFFER))
			return 0;
	return n * EDU_BUFFER / 4;
}

static unsigned long bad_stes(void)
{
	unsigned long n;
	uint32_t id;

	for (n = 0; !stopped(); n++)
		if (ic_nested(t.fd, t.vfio.dev_id, t.viommu, STE_S1_W0(MEM_BASE),
			      STE_S1_W1 | 1ull << 40, &id) != EIO)
			return 0;
	return n;
}

static unsigned long objects(void)
{
	uint32_t viommu, hwpt, veventq;
	unsigned long n;
	int fd;

	for (n = 0; !stopped(); n++) {
		if (ic_viommu(t.fd, t.vfio.dev_id, t.parent, &viommu) ||
		    ic_nested(t.fd, t.vfio.dev_id, viommu, STE_BYPASS_W0, 0, &hwpt) ||
		    ic_veventq(t.fd, viommu, 64, &veventq, &fd))
			return 0;
		close(fd);
		if (ic_destroy(t.fd, veventq) || ic_destroy(t.fd, hwpt) ||
		    ic_destroy(t.fd, viommu))
			return 0;
	}
	return n;
}

/*
 * A guest's loop of STE changes and CFGI_STE: its VMM makes a nested HWPT for each, puts
 * the device on it and destroys the one before.
 */
static unsigned long ste_changes(void)
{
	uint32_t id, last = t.s1;
	unsigned long n;

	for (n = 0; !stopped(); n++) {
		if (n % 2 ? ic_nested(t.fd, t.vfio.dev_id, t.viommu, STE_S1_W0(MEM_BASE),
				      STE_S1_W1, &id) :
			    ic_nested(t.fd, t.vfio.dev_id, t.viommu, STE_BYPASS_W0, 0, &id))
			return 0;
		if (vfio_attach(&t.vfio, id) || (n && ic_destroy(t.fd, last)))
			return 0;
		last = id;
	}
	if (vfio_attach(&t.vfio, t.s1) || (n && ic_destroy(t.fd, last)))
		return 0;
	return n;
}

/* The host's own, to compare with: what 6.12 does for an unmap */
static bool map_unmap(const struct host *host)
{
	return !ic_map(host->fd, host->ioas, MEM_BASE, t.mem, HOST_SIZE) &&
	       !ic_unmap(host->fd, host->ioas, MEM_BASE, HOST_SIZE);
}

static bool host_unmap(void)
{
	return map_unmap(&t.host);
}

static bool other_vm(void)
{
	struct iommu_hwpt_invalidate cmd;

	return !ic_invalidate(t.other.fd, t.other.viommu, t.large, 1, &cmd);
}

static unsigned long host_unmaps(void)
{
	unsigned long n;

	for (n = 0; !stopped(); n++)
		if (!map_unmap(&t.busy_host))
			return 0;
	return n;
}

/*
 * As a command that gets past the check and that the SMMU refuses would; the second
 * one, as the others have arrays of one.
 */
static bool start_injection(void)
{
	return inject_errors(1, -1, 100);
}

static bool stop_injection(void)
{
	return inject_errors(1, -1, 0);
}

static bool to_bypass(void)
{
	return !vfio_attach(&t.vfio, t.bypass);
}

static bool to_s1(void)
{
	return !vfio_attach(&t.vfio, t.s1);
}

/*
 * max_lines: in ATTACK_MS. The host prints stage 2 faults, which are its business, and
 * what it reports of an SMMU's error: not more than 10 at a time, which are of a few
 * lines each.
 */
struct attack {
	const char *name;
	unsigned long (*run)(void);
	unsigned long max_lines;
	bool (*before)(void);
	bool (*after)(void);
};

static const struct attack attacks[] = {
	{ "host's unmaps", host_unmaps, 0, NULL, NULL },
	{ "bad commands", bad_commands, 0, NULL, NULL },
	{ "arrays of one", tiny_arrays, 0, NULL, NULL },
	{ "arrays of 2^17", large_arrays, 0, NULL, NULL },
	{ "hardware errors", hardware_errors, 0, start_injection, stop_injection },
	{ "stage 1 faults", faults, 0, NULL, NULL },
	{ "bad STEs", bad_stes, 0, NULL, NULL },
	{ "STE changes", ste_changes, 0, NULL, NULL },
	{ "making objects", objects, 0, NULL, NULL },
	/* Last, as on a slow machine the event queue's thread is late to print */
	{ "stage 2 faults", faults, 100, to_bypass, to_s1 },
};

static bool many_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) > 1;
}

static void *attack_thread(void *arg)
{
	const struct attack *attack = arg;

	/* CPU 0, which has the SMMU's interrupts too, is for all else */
	pin(many_cpus());
	return (void *)attack->run();
}

static bool begin(const struct attack *attack, pthread_t *thread)
{
	if (attack->before && !attack->before())
		return false;
	__atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
	return !pthread_create(thread, NULL, attack_thread, (void *)attack);
}

static unsigned long end(const struct attack *attack, pthread_t thread)
{
	void *turns;

	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, &turns);
	if (attack->after && !attack->after())
		return 0;
	return (unsigned long)turns;
}

static unsigned long run(const struct attack *attack)
{
	pthread_t thread;

	if (!begin(attack, &thread))
		return 0;
	usleep(attack_ms * 1000);
	return end(attack, thread);
}

static void check_log(void)
{
	struct kmsg_count log;
	unsigned long turns;
	unsigned int i;
	char name[80];
	int kmsg;

	printf("# lines in the kernel's log in %u ms\n", attack_ms);
	for (i = 0; i < ARRAY_SIZE(attacks); i++) {
		kmsg = kmsg_open();
		turns = run(&attacks[i]);
		/* The event queue's thread may not be through */
		usleep(200000);
		kmsg_count(kmsg, &log);
		close(kmsg);
		printf("# %-16s %8lu times %8lu lines\n", attacks[i].name, turns, log.lines);
		snprintf(name, sizeof(name), "log: %s", attacks[i].name);
		tap_check(turns && !log.lost && !log.splats &&
			  log.lines <= attacks[i].max_lines, name);
	}
}

static long max_latency(void)
{
	char text[32];

	if (read_file(TRACING "tracing_max_latency", text, sizeof(text)) <= 0)
		return -1;
	return atol(text);
}

/* Where it started and ended, from the tracer's own report */
static void print_where(void)
{
	static char text[8192];
	char *line, *save;

	if (read_file(TRACING "trace", text, sizeof(text)) <= 0)
		return;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strstr(line, "=> started at") || strstr(line, "=> ended at"))
			printf("#   %s\n", line);
}

/*
 * What the host may need by itself, and what a VM may add to that. Measured are 70 to 160
 * and less than 70; most of it is debugging code, and of several CPUs the others' turns.
 */
#define IRQSOFF_BASE_MAX_US	500
#define IRQSOFF_BOUND_US	200

/* Another CPU has what may make it wait with interrupts off */
static unsigned long run_beside(const struct attack *attack)
{
	uint64_t until = now_ms() + attack_ms;
	pthread_t thread;
	bool ok = true;

	if (!many_cpus())
		return run(attack);
	if (!begin(attack, &thread))
		return 0;
	while (ok && now_ms() < until)
		ok = host_unmap() && (attack->run == host_unmaps || other_vm());
	return end(attack, thread) * ok;
}

static void check_irqsoff(bool bound)
{
	long base = 0, us;
	unsigned int i;
	char name[80];

	if (write_file(TRACING "current_tracer", "irqsoff")) {
		tap_check(!bound, "irqsoff # SKIP no irqsoff tracer");
		return;
	}
	tap_check(!write_file(TRACING "tracing_on", "1"), "interrupts off: measured");
	printf("# longest time with interrupts off\n");
	for (i = 0; i < ARRAY_SIZE(attacks); i++) {
		unsigned long turns;
		bool ok;

		ok = !write_file(TRACING "tracing_max_latency", "0");
		turns = run_beside(&attacks[i]);
		us = max_latency();
		if (!i)
			base = us;
		printf("# %-16s %8lu times %8ld us\n", attacks[i].name, turns, us);
		print_where();
		snprintf(name, sizeof(name), "interrupts off: %s", attacks[i].name);
		tap_check(ok && turns && us > 0 &&
			  (!bound || us <= (i ? base + IRQSOFF_BOUND_US :
					    IRQSOFF_BASE_MAX_US)),
			  name);
	}
	write_file(TRACING "current_tracer", "nop");
}

/* Latency of others */

#define MAX_SAMPLES	100000u
/* As many as a quantile takes, in a time that is not without end */
#define MIN_SAMPLES	10u
#define MAX_SECONDS	60u
/*
 * Where the clock counts instructions: twice what it is alone, and that for each CPU, as
 * they take turns. What 1 of 100 calls may wait for is a few turns, or if there is one CPU
 * only, that the attacker's time is over: a tick of 4 ms, and as long as that then takes to
 * let others run.
 */
#define MAX_RATIO	2
#define P99_TURNS_US	25
#define P99_TICK_US	5000
/* Of the medians, where it does not */
#define MAX_RATIO_LOOSE	200
#define LOOSE_US	100000

static uint32_t samples[MAX_SAMPLES];

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

struct latency {
	unsigned int n;
	double p50, p99;
};

static bool measure(bool (*victim)(void), struct latency *l)
{
	uint64_t start = now_ns(), before, after = start;

	l->n = 0;
	while (l->n < MAX_SAMPLES &&
	       (after - start < attack_ms * 1000000ull ||
		(l->n < MIN_SAMPLES && after - start < MAX_SECONDS * 1000000000ull))) {
		before = now_ns();
		if (!victim())
			return false;
		after = now_ns();
		samples[l->n++] = (after - before) / 1000;
	}
	qsort(samples, l->n, sizeof(samples[0]), by_value);
	l->p50 = samples[l->n / 2];
	l->p99 = samples[l->n - 1 - l->n / 100];
	return true;
}

static bool latency_fits(const struct latency *alone, const struct latency *beside,
			 bool bound)
{
	double max = MAX_RATIO_LOOSE * (alone->p50 ?: 1), ratio;

	if (beside->n < MIN_SAMPLES)
		return false;
	if (!bound)
		return beside->p50 <= (max > LOOSE_US ? max : LOOSE_US);
	ratio = MAX_RATIO * sysconf(_SC_NPROCESSORS_ONLN);
	return beside->p50 <= ratio * alone->p50 &&
	       beside->p99 <= ratio * alone->p99 +
			      (many_cpus() ? P99_TURNS_US : P99_TICK_US);
}

static void check_latency(bool bound)
{
	static const struct {
		const char *name;
		bool (*call)(void);
	} victims[] = {
		{ "another VM's array", other_vm },
		{ "host's map, unmap", host_unmap },
	};
	struct latency alone, beside;
	unsigned int v, i;
	pthread_t thread;
	char name[80];
	bool ok;

	printf("# us, and how many times what it is alone\n");
	printf("# %-20s %-16s %8s %8s %6s %6s\n", "of", "beside", "p50", "p99", "p50",
	       "p99");
	for (v = 0; v < ARRAY_SIZE(victims); v++) {
		ok = measure(victims[v].call, &alone);
		printf("# %-20s %-16s %8.0f %8.0f\n", victims[v].name, "-", alone.p50,
		       alone.p99);
		/* Without the host's unmaps and with those of the VM alone */
		for (i = 1; ok && i < ARRAY_SIZE(attacks); i++) {
			ok = begin(&attacks[i], &thread);
			if (!ok)
				break;
			ok = measure(victims[v].call, &beside);
			ok &= end(&attacks[i], thread) > 0;
			printf("# %-20s %-16s %8.0f %8.0f %6.1f %6.1f\n", victims[v].name,
			       attacks[i].name, beside.p50, beside.p99,
			       beside.p50 / (alone.p50 ?: 1),
			       beside.p99 / (alone.p99 ?: 1));
			ok &= latency_fits(&alone, &beside, bound);
		}
		snprintf(name, sizeof(name), "latency: %s goes on", victims[v].name);
		tap_check(ok, name);
	}
}

/* Memory */

static long long cgroup_number(const char *cgroup, const char *file, const char *key)
{
	static char text[8192];
	char path[128];
	char *p;

	snprintf(path, sizeof(path), CGROUPS "/%s/%s", cgroup, file);
	if (read_file(path, text, sizeof(text)) <= 0)
		return -1;
	if (!key)
		return strcmp(text, "max\n") ? atoll(text) : -1;
	for (p = strtok(text, "\n"); p; p = strtok(NULL, "\n"))
		if (!strncmp(p, key, strlen(key)) && p[strlen(key)] == ' ')
			return atoll(p + strlen(key));
	return -1;
}

/* Page tables of all IOMMUs */
static long long host_tables(void)
{
	static char text[8192];
	char *p;

	if (read_file("/proc/meminfo", text, sizeof(text)) <= 0)
		return -1;
	p = strstr(text, "SecPageTables:");
	return p ? atoll(p + strlen("SecPageTables:")) << 10 : -1;
}

static bool cgroup_set(const char *cgroup, const char *file, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), CGROUPS "/%s/%s", cgroup, file);
	return !write_file(path, value);
}

static long long vm_memory(void)
{
	return cgroup_number("vm", "memory.current", NULL);
}

static long long vm_tables(void)
{
	return cgroup_number("vm", "memory.stat", "sec_pagetables");
}

/* What a CPU may have charged ahead of its use, or not have given back */
#define AHEAD	(256ll << 10)
/* What is left without that: parts of pages, the program's own stack and tables */
#define NOISE	(12ll << 10)

/*
 * What this CPU has charged ahead is given back at once when memory.high is set to less
 * than what is charged. That is undone before there is anything to charge, for which the
 * VM would have to wait.
 */
static bool give_back(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open(CGROUPS "/vm/memory.high", O_WRONLY | O_CLOEXEC);
	return fd >= 0 && pwrite(fd, "0", 1, 0) == 1 && pwrite(fd, "max", 3, 0) == 3;
}

/*
 * least: bytes that each must be charged for, with the configuration vm.config. Of a small
 * allocation that is the size of its slab and a pointer. So many that each allocation that
 * one takes is four times the noise, all of them together.
 */
struct cost {
	const char *name;
	unsigned int num;
	long long least;
	bool (*make)(void);
};

#define PARENTS			370u
/* The most that a nest parent takes */
#define VIOMMUS_PER_PARENT	64u
#define VIOMMUS			1100u

static uint32_t parents[PARENTS], viommus[VIOMMUS];
static unsigned int num_parents, num_viommus, num_veventqs, num_vdevices;

static bool more_parent(void)
{
	return !ic_parent(t.fd, t.vfio.dev_id, t.ioas, &parents[num_parents++]);
}

static bool more_viommu(void)
{
	uint32_t parent = parents[num_viommus / VIOMMUS_PER_PARENT];

	return !ic_viommu(t.fd, t.vfio.dev_id, parent, &viommus[num_viommus++]);
}

static bool more_nested(void)
{
	uint32_t id;

	return !ic_nested(t.fd, t.vfio.dev_id, t.viommu, STE_BYPASS_W0, 0, &id);
}

/* What stays of one when its device is unbound; a device can have one at a time */
static bool more_vdevice(void)
{
	uint32_t id;

	vfio_close(&t.vfio);
	return !vfio_open(&t.vfio, t.fd) &&
	       !ic_vdevice(t.fd, t.viommu, t.vfio.dev_id, VSID + ++num_vdevices, &id);
}

static bool more_veventq(uint32_t depth)
{
	uint32_t id;
	int fd;

	return !ic_veventq(t.fd, viommus[num_veventqs++], depth, &id, &fd);
}

static bool more_small_veventq(void)
{
	return more_veventq(1);
}

static bool more_medium_veventq(void)
{
	return more_veventq(4096);
}

static bool more_large_veventq(void)
{
	return more_veventq(1 << 19);
}

/* A record of a vEVENTQ and its header */
#define RECORD	40ll

/* In the cgroup from before the first call on, as a VMM is that a manager starts */
static void memory_costs(void)
{
	static const struct cost costs[] = {
		{ "nest parent HWPT", PARENTS, (3 << 12) + 136, more_parent },
		{ "vIOMMU", VIOMMUS, 1032, more_viommu },
		{ "nested HWPT", 3000, 2 * 136, more_nested },
		{ "vDEVICE, unbound", 480, 104, more_vdevice },
		{ "vEVENTQ of 1", 700, 1312, more_small_veventq },
		{ "vEVENTQ of 2^12", 20, RECORD << 12, more_medium_veventq },
		{ "vEVENTQ of 2^19", 3, RECORD << 19, more_large_veventq },
	};
	long long before, after, tables;
	unsigned int i, n, wait;
	char name[80];
	bool ok;

	/* With the first one what the device was used for goes, as the map of its registers */
	if (!tap_check(more_vdevice(), "memory: a device is bound again"))
		return;
	for (i = 0; i < ARRAY_SIZE(costs); i++) {
		tables = host_tables() - vm_tables();
		ok = give_back();
		before = vm_memory();
		for (n = 0; ok && n < costs[i].num; n++)
			ok = costs[i].make();
		ok &= give_back();
		after = vm_memory();
		/* The cgroup's figure may be two seconds old */
		for (wait = 0; wait < 50; wait++) {
			if (host_tables() - vm_tables() - tables <= AHEAD)
				break;
			usleep(100000);
		}
		tables = host_tables() - vm_tables() - tables;
		printf("# %-24s %4u made, %9lld bytes each charged, %lld of tables not\n",
		       costs[i].name, n, (after - before) / costs[i].num, tables);
		snprintf(name, sizeof(name), "memory: %s is charged", costs[i].name);
		tap_check(ok && before >= 0 &&
			  after - before + NOISE >= costs[i].least * costs[i].num &&
			  tables <= AHEAD, name);
	}
}

/*
 * 16 MiB of room: a queue of 20 MiB must be refused, with nobody killed for it. Small
 * objects are made until one is refused or, as the kernel does it for what is not
 * large, the VMM is killed by its own cgroup.
 */
#define ROOM	(16ll << 20)
/* In all, for the VM that eats; its guest's memory and its program are in it too */
#define ALL	(11ll << 20)

static void memory_limit(void)
{
	uint32_t veventq, viommu;
	char text[32];
	bool ok;
	int fd;

	if (!tap_check(!ic_viommu(t.fd, t.vfio.dev_id, t.parent, &viommu),
		       "memory: a vIOMMU before the limit"))
		return;
	snprintf(text, sizeof(text), "%lld", vm_memory() + ROOM);
	ok = cgroup_set("vm", "memory.max", text);
	tap_check(ok && ic_veventq(t.fd, viommu, 1 << 19, &veventq, &fd) == ENOMEM,
		  "memory: a queue beyond the limit gets ENOMEM");
	tap_check(!cgroup_number("vm", "memory.events", "oom_kill"),
		  "memory: nobody is killed for it");
	tap_check(!ic_veventq(t.fd, viommu, 1 << 10, &veventq, &fd),
		  "memory: one within the limit is made");
}

/* Runs in the cgroup; in a process of its own as it may be killed */
static int memory_eater(void)
{
	uint32_t id;
	int err;

	do {
		err = ic_nested(t.fd, t.vfio.dev_id, t.viommu, STE_BYPASS_W0, 0, &id);
	} while (!err);
	return err == ENOMEM ? 0 : 1;
}

static bool enter_cgroup(void)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", getpid());
	return cgroup_set("vm", "cgroup.procs", text);
}

/* 0 if all of the child's checks were fine */
static int in_cgroup(int (*child)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(enter_cgroup() ? child() : 2);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

static int costs_child(void)
{
	/* Then there is the noise of one CPU only */
	pin(0);
	if (!tap_check(set_up(), "memory: a VM in a cgroup"))
		return 1;
	memory_costs();
	memory_limit();
	/* With all of it alive: the kernel takes it apart */
	return 0;
}

static int eater_child(void)
{
	if (!set_up())
		return 3;
	return memory_eater();
}

static void check_memory(void)
{
	long long left, peak;
	unsigned int i;
	char text[32];
	int status;

	mkdir(CGROUPS, 0755);
	if (mount("cgroup2", CGROUPS, "cgroup2", 0, NULL) ||
	    !cgroup_set("", "cgroup.subtree_control", "+memory") ||
	    mkdir(CGROUPS "/vm", 0755)) {
		tap_check(true, "memory # SKIP no memory cgroups");
		return;
	}

	/* The device is needed there */
	tear_down();
	status = in_cgroup(costs_child);
	tap_check(!status, "memory: the VM came to its end");

	/* RCU, and a work that uncharges */
	for (i = 0; i < 50 && vm_memory() > AHEAD * sysconf(_SC_NPROCESSORS_ONLN); i++)
		usleep(100000);
	left = vm_memory();
	printf("# %lld bytes charged when the VM is gone\n", left);
	tap_check(left >= 0 && left <= AHEAD * sysconf(_SC_NPROCESSORS_ONLN),
		  "memory: all is given back");

	/* Another one, as the peak is that of a cgroup's whole life */
	rmdir(CGROUPS "/vm");
	mkdir(CGROUPS "/vm", 0755);
	snprintf(text, sizeof(text), "%lld", ALL);
	cgroup_set("vm", "memory.max", text);
	status = in_cgroup(eater_child);
	peak = cgroup_number("vm", "memory.peak", NULL);
	printf("# at the limit: %s, peak %lld of %lld bytes\n",
	       WIFSIGNALED(status) ? "killed by its cgroup" :
	       status ? "another error" : "ENOMEM", peak, ALL);
	tap_check(!status || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
			      cgroup_number("vm", "memory.events.local", "oom_kill") > 0),
		  "memory: a VM at its limit is stopped");
	tap_check(peak > ALL / 2 && peak <= ALL + AHEAD, "memory: the limit holds");
	rmdir(CGROUPS "/vm");
	umount2(CGROUPS, MNT_DETACH);
	if (!set_up())
		exit(1);
}

int main(int argc, char **argv)
{
	bool log = argc < 2, irqsoff = false, memory = argc < 2, latency = argc < 2;
	bool bound = false;
	struct kmsg_count count;
	int kmsg, i;

	for (i = 1; i < argc; i++) {
		log |= !strcmp(argv[i], "log");
		irqsoff |= !strcmp(argv[i], "irqsoff");
		memory |= !strcmp(argv[i], "memory");
		latency |= !strcmp(argv[i], "latency");
		bound |= !strcmp(argv[i], "--bound");
	}

	if (bound)
		attack_ms = ATTACK_MS_BOUND;
	pin(0);
	kmsg = kmsg_open();
	/* Without it the kernel's errors can't be provoked */
	if (!tap_check(stop_injection(), "hardware errors can be injected") ||
	    !tap_check(set_up(), "VMs"))
		return tap_end();
	if (log)
		check_log();
	if (irqsoff)
		check_irqsoff(bound);
	if (latency)
		check_latency(bound);
	if (memory)
		check_memory();
	tap_check(other_vm() && host_unmap(), "others still get on");
	tear_down();
	kmsg_count(kmsg, &count);
	if (count.splats)
		printf("# %s\n", count.splat);
	tap_check(!count.splats, "the kernel has no complaint");
	return tap_end();
}
