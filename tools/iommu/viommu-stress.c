// SPDX-License-Identifier: GPL-2.0-only
/*
 * viommu-stress: everything at once, for some seconds
 *
 *	viommu-stress [--mock] [--no-injection] [--seed N] [--threads N] [SECONDS]
 *
 * Two tests of SECONDS each, of which --mock, for a machine without an SMMUv3, leaves
 * the second: objects that come and go, see stress-mix.c. --threads is for that one.
 * The seed is printed: the same one has each thread make the same choices, in whatever
 * order the threads come.
 *
 * The first is one vIOMMU that stays, under load. What is checked is that nobody gets
 * what is not theirs. The injected hardware errors are at one index of an array only:
 * callers with shorter arrays, and the host's own unmaps on the same command queue, must
 * never see one, and callers with longer arrays must see that index and no other. Random
 * commands must be refused by the kernel's check or run: the SMMU itself must have no
 * complaint, also about one that changes between legal and not while it is read. Records
 * of the vEVENTQ must be numbered without a repetition, and be of this device.
 *
 * --no-injection is for a kernel without CONFIG_ARM_SMMU_V3_FAULT_INJECTION.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <linux/iommufd.h>

#include "edu.h"
#include "inject.h"
#include "iommufd-calls.h"
#include "rng.h"
#include "stress-mix.h"
#include "tap.h"
#include "util.h"
#include "vfio.h"
#include "vsmmuv3-iommufd.h"

#define VSID		0x4201u
#define MEM_BASE	0x40000000ull
#define MEM_SIZE	(4u << 20)
#define OTHER_BASE	0x60000000ull
#define OTHER_SIZE	(64u << 10)
#define VEVENTQ_DEPTH	32u

#define INJECT_INDEX	7u
#define MAX_ARRAY	400u

#define C_BAD_CD	0x0au

/* ILLEGAL in a CFGI_CD that does not come from the Secure state */
#define CFGI_CD_SSEC	(1u << 10)

static struct {
	int iommufd;
	uint32_t ioas;
	uint32_t parent;
	struct vfio_dev vfio;
	struct edu edu;
	struct vsmmu_iommufd viommu;
	bool inject;
	uint64_t seed;
	/* Everything below is counted by one thread each, and read after they ended */
	unsigned long clean, clean_bad;
	unsigned long hit, hit_errors, hit_bad;
	unsigned long fuzz, fuzz_refused, fuzz_bad;
	unsigned long flipped, flipped_refused, flipped_bad;
	unsigned long maps, maps_bad;
	unsigned long attaches, attaches_bad;
	unsigned long dmas;
	unsigned long events, events_lost, events_bad;
} t;

static int stop;
static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

/* Not by the library: it counts in one structure, and these are many threads */
static int invalidate(const struct vsmmu_cmd *cmds, uint32_t n,
		      struct iommu_hwpt_invalidate *cmd)
{
	memset(cmd, 0, sizeof(*cmd));
	cmd->size = sizeof(*cmd);
	cmd->hwpt_id = t.viommu.viommu_id;
	cmd->data_uptr = (uintptr_t)cmds;
	cmd->data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3;
	cmd->entry_len = sizeof(*cmds);
	cmd->entry_num = n;
	return ioctl(t.iommufd, IOMMU_HWPT_INVALIDATE, cmd) ? errno : 0;
}

static void fill(struct vsmmu_cmd *cmds, uint32_t n, struct rng *rng)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		switch (rng_below(rng, 4)) {
		case 0:
			cmds[i].w[0] = htole64(VSMMU_OP_TLBI_NH_ASID |
					       (uint64_t)rng_below(rng, 8) << 48);
			cmds[i].w[1] = 0;
			break;
		case 1:
			cmds[i].w[0] = htole64(VSMMU_OP_TLBI_NH_VA);
			cmds[i].w[1] = htole64((uint64_t)rng_below(rng, 1024) << 12 | 1);
			break;
		case 2:
			cmds[i].w[0] = htole64(VSMMU_OP_CFGI_CD | (uint64_t)VSID << 32);
			cmds[i].w[1] = htole64(1);
			break;
		default:
			cmds[i].w[0] = htole64(VSMMU_OP_TLBI_NSNH_ALL);
			cmds[i].w[1] = 0;
		}
	}
}

static bool all_done(int err, const struct iommu_hwpt_invalidate *cmd, uint32_t n)
{
	return !err && cmd->entry_num == n && !cmd->out_error_code &&
	       cmd->out_report_flags == IOMMU_HWPT_INVALIDATE_REPORT_VALID;
}

/* Good commands in arrays that end before the injected error */
static void *clean_thread(void *arg)
{
	struct vsmmu_cmd cmds[INJECT_INDEX];
	struct iommu_hwpt_invalidate cmd;
	struct rng rng = rng_of(t.seed, 1);
	uint32_t n;
	int err;

	(void)arg;
	while (!stopped()) {
		n = 1 + rng_below(&rng, INJECT_INDEX);
		fill(cmds, n, &rng);
		err = invalidate(cmds, n, &cmd);
		t.clean++;
		if (!all_done(err, &cmd, n))
			t.clean_bad++;
	}
	return NULL;
}

/* Good commands in arrays that reach it */
static void *hit_thread(void *arg)
{
	static struct vsmmu_cmd cmds[MAX_ARRAY];
	struct iommu_hwpt_invalidate cmd;
	struct rng rng = rng_of(t.seed, 2);
	uint32_t n;
	int err;

	(void)arg;
	while (!stopped()) {
		n = INJECT_INDEX + 1 + rng_below(&rng, MAX_ARRAY - INJECT_INDEX);
		fill(cmds, n, &rng);
		err = invalidate(cmds, n, &cmd);
		t.hit++;
		if (all_done(err, &cmd, n))
			continue;
		t.hit_errors++;
		if (err != EIO || cmd.entry_num != INJECT_INDEX ||
		    cmd.out_error_index != INJECT_INDEX ||
		    cmd.out_error_code != IOMMU_ARM_SMMUV3_CERROR_ILL ||
		    cmd.out_report_flags != (IOMMU_HWPT_INVALIDATE_REPORT_VALID |
					     IOMMU_HWPT_INVALIDATE_REPORT_HW))
			t.hit_bad++;
	}
	return NULL;
}

/* A good command with some bits wrong, or random bits with an opcode that exists */
static void random_command(struct vsmmu_cmd *cmd, struct rng *rng)
{
	static const unsigned int ops[] = {
		0x05, 0x06, 0x10, 0x11, 0x12, 0x13, 0x30, 0x40, 0x03, 0x46, 0x20, 0x28,
	};
	unsigned int flips, bit;
	uint64_t w0;

	if (rng_below(rng, 4)) {
		fill(cmd, 1, rng);
		for (flips = rng_below(rng, 4); flips; flips--) {
			/* Most rules are about the bits next to the opcode */
			bit = rng_below(rng, rng_below(rng, 2) ? 128 : 16);
			cmd->w[bit / 64] ^= htole64(1ull << bit % 64);
		}
		return;
	}
	w0 = rng_next(rng) & ~0xffull;
	cmd->w[0] = htole64(w0 | ops[rng_below(rng, ARRAY_SIZE(ops))]);
	cmd->w[1] = htole64(rng_next(rng));
}

/* Refused by the check, and not by the SMMU */
static bool refused(int err, const struct iommu_hwpt_invalidate *cmd)
{
	return err == EIO && !cmd->entry_num && !cmd->out_error_index &&
	       cmd->out_error_code == IOMMU_ARM_SMMUV3_CERROR_ILL &&
	       cmd->out_report_flags == IOMMU_HWPT_INVALIDATE_REPORT_VALID;
}

static void *fuzz_thread(void *arg)
{
	struct iommu_hwpt_invalidate cmd;
	struct vsmmu_cmd one;
	struct rng rng = rng_of(t.seed, 3);
	int err;

	(void)arg;
	while (!stopped()) {
		random_command(&one, &rng);
		err = invalidate(&one, 1, &cmd);
		t.fuzz++;
		if (all_done(err, &cmd, 1))
			continue;
		t.fuzz_refused++;
		if (!refused(err, &cmd))
			t.fuzz_bad++;
	}
	return NULL;
}

static struct vsmmu_cmd flipping;

/*
 * Another CPU of the guest writes the command while it is read. Without a pause: who
 * yields would hardly run while the other does. With one CPU it is left either way.
 */
static void *flip_thread(void *arg)
{
	(void)arg;
	/* If there is a second CPU: the two threads could as well share one all the time */
	pin(1);
	while (!stopped())
		__atomic_fetch_xor(&flipping.w[0], htole64(CFGI_CD_SSEC), __ATOMIC_RELAXED);
	return NULL;
}

/* What was checked is what runs: if it is read twice the SMMU raises an error */
static void *flipped_thread(void *arg)
{
	struct iommu_hwpt_invalidate cmd;
	int err;

	(void)arg;
	pin(0);
	while (!stopped()) {
		err = invalidate(&flipping, 1, &cmd);
		t.flipped++;
		if (all_done(err, &cmd, 1))
			continue;
		t.flipped_refused++;
		if (!refused(err, &cmd))
			t.flipped_bad++;
	}
	return NULL;
}

/* The host's own use of the command queue: stage 2 of the same IOAS */
static void *map_thread(void *arg)
{
	void *mem = mmap(NULL, OTHER_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	while (!stopped()) {
		struct iommu_ioas_map map = {
			.size = sizeof(map),
			.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
				 IOMMU_IOAS_MAP_WRITEABLE,
			.ioas_id = t.ioas,
			.user_va = (uintptr_t)mem,
			.length = OTHER_SIZE,
			.iova = OTHER_BASE,
		};
		struct iommu_ioas_unmap unmap = {
			.size = sizeof(unmap),
			.ioas_id = t.ioas,
			.iova = OTHER_BASE,
			.length = OTHER_SIZE,
		};

		t.maps++;
		if (ioctl(t.iommufd, IOMMU_IOAS_MAP, &map) ||
		    ioctl(t.iommufd, IOMMU_IOAS_UNMAP, &unmap))
			t.maps_bad++;
	}
	return NULL;
}

/* The guest changes its STE, by the library's backend: a HWPT is made and another goes */
static void *attach_thread(void *arg)
{
	struct rng rng = rng_of(t.seed, 4);

	(void)arg;
	while (!stopped()) {
		struct vsmmu_ste ste = { .kind = VSMMU_STE_S1 };
		unsigned int kind = rng_below(&rng, 6);

		if (kind == 0) {
			ste.kind = VSMMU_STE_ABORT;
		} else if (kind == 1) {
			ste.kind = VSMMU_STE_BYPASS;
		} else {
			ste.w[0] = htole64(0xbull | (MEM_BASE + 0x40 * rng_below(&rng, 64)));
			ste.w[1] = htole64(0xd6);
		}
		t.attaches++;
		if (vsmmu_iommufd_ops.ste_changed(&t.viommu, VSID, &ste))
			t.attaches_bad++;
		usleep(rng_below(&rng, 30000));
	}
	return NULL;
}

/* C_BAD_CD with stage 1, as all CDs are zero; fine with bypass */
static void *dma_thread(void *arg)
{
	(void)arg;
	while (!stopped()) {
		edu_write(&t.edu, MEM_BASE + 0x100000, 0, 1024);
		t.dmas++;
	}
	return NULL;
}

static void take_record(const struct iommufd_vevent_header *header, const uint64_t *evt,
			uint32_t *next)
{
	uint32_t gap = (header->sequence - *next) & 0x7fffffff;

	/* Numbers only grow; they are far from wrapping here */
	if (header->sequence < *next)
		t.events_bad++;
	*next = header->sequence + 1;
	if (!evt) {
		t.events_lost += gap + 1;
		if (header->flags != IOMMU_VEVENTQ_FLAG_LOST_EVENTS)
			t.events_bad++;
		return;
	}
	t.events++;
	t.events_lost += gap;
	if (header->flags || le64toh(evt[0]) != (C_BAD_CD | (uint64_t)VSID << 32) ||
	    evt[1] || evt[2] || evt[3])
		t.events_bad++;
}

static void *event_thread(void *arg)
{
	struct iommufd_vevent_header header;
	unsigned char buf[5 * 40];
	uint32_t next = 0;
	uint64_t evt[4];
	ssize_t len, off;

	(void)arg;
	while (!stopped()) {
		struct pollfd pfd = { .fd = t.viommu.veventq_fd, .events = POLLIN };

		if (poll(&pfd, 1, 50) <= 0)
			continue;
		len = read(t.viommu.veventq_fd, buf, sizeof(buf));
		/* poll() said there was something, and nobody else reads */
		if (len <= 0) {
			t.events_bad++;
			continue;
		}
		for (off = 0; off < len;) {
			memcpy(&header, buf + off, sizeof(header));
			off += sizeof(header);
			if (header.flags & IOMMU_VEVENTQ_FLAG_LOST_EVENTS) {
				take_record(&header, NULL, &next);
				continue;
			}
			if (len - off < (ssize_t)sizeof(evt)) {
				t.events_bad++;
				break;
			}
			memcpy(evt, buf + off, sizeof(evt));
			off += sizeof(evt);
			take_record(&header, evt, &next);
		}
	}
	return NULL;
}

static bool alloc_parent(void)
{
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct iommu_hwpt_alloc hwpt = {
		.size = sizeof(hwpt),
		.flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
		.dev_id = t.vfio.dev_id,
	};
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.length = MEM_SIZE,
		.iova = MEM_BASE,
	};
	void *mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED || ioctl(t.iommufd, IOMMU_IOAS_ALLOC, &ioas))
		return false;
	t.ioas = ioas.out_ioas_id;
	map.ioas_id = t.ioas;
	map.user_va = (uintptr_t)mem;
	hwpt.pt_id = t.ioas;
	if (ioctl(t.iommufd, IOMMU_IOAS_MAP, &map) ||
	    ioctl(t.iommufd, IOMMU_HWPT_ALLOC, &hwpt))
		return false;
	t.parent = hwpt.out_hwpt_id;
	return true;
}

static bool setup(void)
{
	t.iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	return tap_check(t.iommufd >= 0 && !vfio_find(&t.vfio, EDU_VENDOR, EDU_DEVICE) &&
			 !vfio_open(&t.vfio, t.iommufd), "device") &&
	       tap_check(alloc_parent(), "nest parent") &&
	       tap_check(!vfio_attach(&t.vfio, t.parent) && !vfio_map_bar0(&t.vfio) &&
			 !vfio_bus_master(&t.vfio) && !edu_probe(&t.edu, t.vfio.bar0),
			 "DMA engine") &&
	       tap_check(!vsmmu_iommufd_init(&t.viommu, t.iommufd, t.vfio.dev_id, t.parent,
					     VEVENTQ_DEPTH) &&
			 !vsmmu_iommufd_add_device(&t.viommu, t.vfio.fd, t.vfio.dev_id,
						   VSID), "vIOMMU, vDEVICE, vEVENTQ");
}

static void run(unsigned int seconds)
{
	void *(*const threads[])(void *) = {
		clean_thread, hit_thread, fuzz_thread, flip_thread, flipped_thread,
		map_thread, attach_thread, dma_thread, event_thread,
	};
	pthread_t id[ARRAY_SIZE(threads)];
	unsigned int i;

	flipping.w[0] = htole64(VSMMU_OP_CFGI_CD | (uint64_t)VSID << 32);
	flipping.w[1] = htole64(1);
	if (t.inject)
		tap_check(inject_errors(INJECT_INDEX, -1, 20), "hardware errors are injected");
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		if (pthread_create(&id[i], NULL, threads[i], NULL))
			exit(1);
	sleep(seconds);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(id[i], NULL);
	if (t.inject)
		inject_errors(0, 0, 0);
}

static void results(void)
{
	printf("# short arrays: %lu, wrong %lu\n", t.clean, t.clean_bad);
	tap_check(t.clean && !t.clean_bad, "short arrays never see an error");
	printf("# long arrays: %lu, hardware errors %lu, wrong %lu\n", t.hit, t.hit_errors,
	       t.hit_bad);
	tap_check(t.hit && !t.hit_bad, "long arrays see their own errors only");
	tap_check(!t.hit_errors == !t.inject, "hardware errors are raised if they are injected");
	printf("# random commands: %lu, refused %lu, wrong %lu\n", t.fuzz, t.fuzz_refused,
	       t.fuzz_bad);
	tap_check(t.fuzz_refused && t.fuzz > t.fuzz_refused && !t.fuzz_bad,
		  "random commands run or are refused");
	printf("# a changing command: %lu, refused %lu, wrong %lu\n", t.flipped,
	       t.flipped_refused, t.flipped_bad);
	tap_check(t.flipped_refused && t.flipped > t.flipped_refused && !t.flipped_bad,
		  "a command is read once");
	printf("# maps and unmaps: %lu, wrong %lu\n", t.maps, t.maps_bad);
	tap_check(t.maps && !t.maps_bad, "the host's unmaps work");
	printf("# STE changes: %lu, wrong %lu\n", t.attaches, t.attaches_bad);
	tap_check(t.attaches && !t.attaches_bad, "STE changes work");
	printf("# transfers: %lu, events: %lu, lost %lu, wrong %lu\n", t.dmas, t.events,
	       t.events_lost, t.events_bad);
	tap_check(t.events && !t.events_bad, "events are in order and the device's");
}

/* One vIOMMU, under load */
static void load(unsigned int seconds)
{
	if (setup()) {
		run(seconds);
		results();
		tap_check(!vsmmu_iommufd_remove_device(&t.viommu, VSID) &&
			  !vsmmu_iommufd_exit(&t.viommu), "nothing is busy at the end");
	}
	vfio_close(&t.vfio);
	close(t.iommufd);
}

int main(int argc, char **argv)
{
	unsigned int seconds = 8, threads = 4;
	bool mock = false;
	int i;

	t.inject = true;
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--mock"))
			mock = true;
		else if (!strcmp(argv[i], "--no-injection"))
			t.inject = false;
		else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
			t.seed = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--threads") && i + 1 < argc)
			threads = atoi(argv[++i]);
		else
			seconds = atoi(argv[i]);
	}
	if (!seconds || !threads) {
		fprintf(stderr,
			"usage: %s [--mock] [--no-injection] [--seed N] [--threads N] [SECONDS]\n",
			argv[0]);
		return 2;
	}
	if (!t.seed && getrandom(&t.seed, sizeof(t.seed), 0) != sizeof(t.seed))
		t.seed = time(NULL);
	printf("# seed %#llx, %u threads, %u s, %s\n", (unsigned long long)t.seed, threads,
	       seconds, mock ? "mock driver" : "SMMUv3");

	if (!mock)
		load(seconds);
	stress_mix(mock, t.seed, threads, seconds);
	return tap_end();
}
