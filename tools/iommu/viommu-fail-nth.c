// SPDX-License-Identifier: GPL-2.0-only
/*
 * viommu-fail-nth: every call of the vIOMMU's interface on a real device, with each
 * point on its way that the kernel's fault injection can fail failed once
 *
 * The points are memory allocations (failslab, fail_page_alloc), accesses to user
 * memory (fail_usercopy), iommufd's own and the injected command errors of the SMMU. A
 * failed call is held to this: the errno fits, it leaves no file behind and no object,
 * and the same call succeeds right after it. At the end everything comes apart, which
 * a reference left behind would prevent, and the kernel's log has no complaint.
 *
 * XArrays and IDAs ask for memory twice, so that one failed point is healed by the next.
 * Therefore calls are made again with a slab cache that has nothing more to give from
 * some point on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "edu.h"
#include "iommufd-calls.h"
#include "kmsg.h"
#include "tap.h"
#include "util.h"
#include "vfio.h"

#define VSID		0x4201u
#define MEM_BASE	0x40000000ull
#define MEM_SIZE	(4u << 20)
/* More points than any of the calls has */
#define MAX_NTH		400u
/* So many that the array goes through the larger buffer, which is allocated */
#define NUM_CMDS	200u

/* Where the nodes of XArrays are from, and how many entries one has */
#define NODES		"radix_tree_node"
#define NODE_ENTRIES	64u
/* Where the bitmaps of IDAs are from; without one it has numbers to 62 */
#define BITMAPS		"kmalloc-128"

#define DEBUGFS		"/sys/kernel/debug/"
#define FAILSLAB	DEBUGFS "failslab/"
#define KSFT_SKIP	4

static struct {
	int fd;
	int nth_fd;
	int make_it_fail_fd;
	/* Of the slab cache that starve() is about */
	unsigned int cache_size;
	struct vfio_dev vfio;
	uint32_t ioas;
	uint32_t parent;
	uint32_t viommu;
	uint32_t bypass;
	/* What the call at hand made */
	uint32_t made;
	int made_fd;
} t;

static uint64_t cmds[NUM_CMDS][2];

/* Sleeping allocations can fail too, and the log stays readable */
static bool set_up_injection(void)
{
	static const char *const kinds[] = {
		"failslab", "fail_page_alloc", "fail_usercopy", "fail_iommufd",
		"fail_arm_smmu_cmdq",
	};
	char path[64];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		snprintf(path, sizeof(path), DEBUGFS "%s/verbose", kinds[i]);
		write_file(path, "0");
	}
	write_file(DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N");
	write_file(DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N");
	write_file(DEBUGFS "fail_page_alloc/min-order", "0");
	if (write_file(FAILSLAB "ignore-gfp-wait", "N"))
		return false;
	t.nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	t.make_it_fail_fd = open("/proc/thread-self/make-it-fail", O_RDWR | O_CLOEXEC);
	return t.nth_fd >= 0 && t.make_it_fail_fd >= 0;
}

static void write_nth(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	/* With a point left over this write can be what fails, once */
	if (pwrite(t.nth_fd, text, len, 0) != len &&
	    pwrite(t.nth_fd, text, len, 0) != len) {
		printf("Bail out! fail-nth: %s\n", strerror(errno));
		exit(1);
	}
}

/* Was the point reached? */
static bool disarm(void)
{
	char text[16] = "";
	ssize_t len = pread(t.nth_fd, text, sizeof(text) - 1, 0);

	write_nth(0);
	return len > 0 && atoi(text) == 0;
}

/* From here to feed(), starved() is without memory from the slab cache @cache */
static bool starve(const char *cache)
{
	char path[64], text[16];

	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/object_size", cache);
	if (read_file(path, text, sizeof(text)) < 0)
		return false;
	t.cache_size = atoi(text);
	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/failslab", cache);
	return t.cache_size && !write_file(path, "1") &&
	       !write_file(FAILSLAB "cache-filter", "Y") &&
	       !write_file(FAILSLAB "task-filter", "Y") &&
	       !write_file(FAILSLAB "probability", "100") &&
	       !write_file(FAILSLAB "times", "-1");
}

static bool feed(const char *cache)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/failslab", cache);
	return !write_file(path, "0") &&
	       !write_file(FAILSLAB "probability", "0") &&
	       !write_file(FAILSLAB "times", "0") &&
	       !write_file(FAILSLAB "space", "0") &&
	       !write_file(FAILSLAB "task-filter", "N") &&
	       !write_file(FAILSLAB "cache-filter", "N");
}

/* An error here is none that a call may have */
static int write_make_it_fail(const char *text)
{
	/* Of a file that is open, so without memory */
	return pwrite(t.make_it_fail_fd, text, 1, 0) == 1 ? 0 : EPROTO;
}

/* @call with no more than @spare allocations that succeed */
static int starved(int (*call)(void), unsigned int spare)
{
	char space[16];
	int err;

	/* Bytes; one that can't be had in full is not had */
	snprintf(space, sizeof(space), "%u", spare ? spare * t.cache_size + 1 : 0);
	err = write_file(FAILSLAB "space", space) ? EPROTO : write_make_it_fail("1");
	/* Nothing else meanwhile, not even a line on standard output */
	if (!err)
		err = call();
	return write_make_it_fail("0") ?: err;
}

/* Numbers of files that are taken: open, or reserved and never given back */
static unsigned int count_fds(void)
{
	unsigned int num = 0;
	int fd, got;

	for (fd = 0; fd < 32; fd++) {
		if (fcntl(fd, F_GETFD) != -1) {
			num++;
			continue;
		}
		got = fcntl(t.fd, F_DUPFD, fd);
		num += got != fd;
		if (got >= 0)
			close(got);
	}
	return num;
}

/*
 * make() returns an errno, undo() goes back to before: it must succeed, whatever fails
 * on its way. errnos: what else a failure may say.
 */
struct call {
	const char *name;
	int (*make)(void);
	int (*undo)(void);
	/* Of those that happen always: an index may have room for one more ID */
	unsigned int min_failures;
	int errnos[4];
};

static bool errno_fits(const struct call *call, int err)
{
	unsigned int i;

	/* Memory, user memory, and an ID that iommufd pretends not to know */
	if (err == ENOMEM || err == EFAULT || err == ENOENT)
		return true;
	for (i = 0; i < ARRAY_SIZE(call->errnos); i++)
		if (call->errnos[i] && call->errnos[i] == err)
			return true;
	return false;
}

static bool sweep(const struct call *call, unsigned int *failures)
{
	unsigned int nth, fds = count_fds();
	bool hit = true;
	int err;

	*failures = 0;
	for (nth = 1; hit; nth++) {
		if (nth > MAX_NTH) {
			printf("# %s: no end\n", call->name);
			return false;
		}
		write_nth(nth);
		err = call->make();
		hit = disarm();
		if (err) {
			++*failures;
			if (!hit || !errno_fits(call, err)) {
				printf("# %s, point %u: %s, %sinjected\n", call->name, nth,
				       strerror(err), hit ? "" : "not ");
				return false;
			}
			if (count_fds() != fds) {
				printf("# %s, point %u: leaves a file\n", call->name, nth);
				return false;
			}
			err = call->make();
			if (err) {
				printf("# %s, point %u: again: %s\n", call->name, nth,
				       strerror(err));
				return false;
			}
		}
		/* Each way back meets a failure as well */
		if (call->undo) {
			write_nth(nth);
			err = call->undo();
			disarm();
			if (err) {
				printf("# undo of %s, point %u: %s\n", call->name, nth,
				       strerror(err));
				return false;
			}
		}
		if (count_fds() != fds) {
			printf("# %s, point %u: a file is left\n", call->name, nth);
			return false;
		}
	}
	return true;
}

/* As sweep(), but the cache has nothing more to give from one point after the other on */
static bool sweep_starved(const struct call *call, unsigned int *failures)
{
	unsigned int spare, fds = count_fds();
	bool starving = true;
	int err;

	*failures = 0;
	for (spare = 0; starving; spare++) {
		if (spare > MAX_NTH) {
			printf("# %s: no end\n", call->name);
			return false;
		}
		err = starved(call->make, spare);
		starving = err != 0;
		if (starving) {
			++*failures;
			if (err != ENOMEM || count_fds() != fds) {
				printf("# %s, %u spare: %s, %u files\n", call->name, spare,
				       strerror(err), count_fds() - fds);
				return false;
			}
			err = call->make();
			if (err) {
				printf("# %s, %u spare: again: %s\n", call->name, spare,
				       strerror(err));
				return false;
			}
		}
		/* What goes needs none */
		err = starved(call->undo, 0);
		if (err || count_fds() != fds) {
			printf("# undo of %s, %u spare: %s, %u files\n", call->name, spare,
			       strerror(err), count_fds() - fds);
			return false;
		}
	}
	return true;
}

/*
 * IOMMU_DESTROY copies its structure from user memory and finds it, both can be failed:
 * then it has done nothing, and is made again.
 */
static int undo_made(void)
{
	int err = ic_destroy(t.fd, t.made);

	if (err == EFAULT || err == ENOENT)
		err = ic_destroy(t.fd, t.made);
	return err;
}

static int make_hw_info(void)
{
	struct iommu_hw_info_arm_smmuv3 info;
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd),
		.dev_id = t.vfio.dev_id,
		.data_len = sizeof(info),
		.data_uptr = (uintptr_t)&info,
	};

	return ic_call(t.fd, IOMMU_GET_HW_INFO, &cmd);
}

static int make_parent(void)
{
	return ic_parent(t.fd, t.vfio.dev_id, t.ioas, &t.made);
}

static int make_viommu(void)
{
	return ic_viommu(t.fd, t.vfio.dev_id, t.parent, &t.made);
}

static int make_s1(void)
{
	return ic_nested(t.fd, t.vfio.dev_id, t.viommu, STE_S1_W0(MEM_BASE), STE_S1_W1,
			 &t.made);
}

static int make_bypass(void)
{
	return ic_nested(t.fd, t.vfio.dev_id, t.viommu, STE_BYPASS_W0, 0, &t.made);
}

static int make_vdevice(void)
{
	return ic_vdevice(t.fd, t.viommu, t.vfio.dev_id, VSID, &t.made);
}

static int make_veventq(void)
{
	return ic_veventq(t.fd, t.viommu, 1000, &t.made, &t.made_fd);
}

/* Of several pages, so not from the slab */
static int make_long_veventq(void)
{
	return ic_veventq(t.fd, t.viommu, 1 << 17, &t.made, &t.made_fd);
}

static int undo_veventq(void)
{
	close(t.made_fd);
	return undo_made();
}

static int read_veventq(void)
{
	unsigned char buf[40];

	return read(t.made_fd, buf, sizeof(buf)) < 0 ? errno : 0;
}

static int attach(void)
{
	return -vfio_attach(&t.vfio, t.made);
}

/* Back to what holds nothing of the guest; it is no call of ours that may fail here */
static int undo_attach(void)
{
	write_nth(0);
	return write_make_it_fail("0") ?: -vfio_attach(&t.vfio, t.parent);
}

static int invalidate(uint32_t num)
{
	struct iommu_hwpt_invalidate cmd;
	int err = ic_invalidate(t.fd, t.viommu, cmds, num, &cmd);

	/* Not written if it could not be read or written: then it is as before */
	if (!err ? cmd.entry_num != num : err != EFAULT && cmd.entry_num >= num)
		err = EPROTO;
	return err;
}

static int invalidate_few(void)
{
	return invalidate(10);
}

static int invalidate_many(void)
{
	return invalidate(NUM_CMDS);
}

static bool run(const struct call *call)
{
	unsigned int failures;
	bool ok = sweep(call, &failures);

	printf("# %s: %u failures\n", call->name, failures);
	return tap_check(ok && failures >= call->min_failures, call->name);
}

/* @call fails in @min_failures places at least if @cache has nothing more to give */
static bool run_starved(const struct call *call, const char *cache, unsigned int min_failures)
{
	unsigned int failures = 0;
	char name[64];
	bool ok;

	snprintf(name, sizeof(name), "%s without %s", call->name, cache);
	ok = starve(cache) && sweep_starved(call, &failures);
	ok &= feed(cache);
	printf("# %s: %u failures\n", name, failures);
	return tap_check(ok && failures >= min_failures, name);
}

static int make_ioas(void)
{
	return ic_ioas(t.fd, &t.made);
}

/*
 * Make objects with @make, their IDs go to @ids, for as long as @cache is not needed:
 * what is next fails for the want of it
 */
static unsigned int fill(int (*make)(void), const char *cache, const char *name, uint32_t *ids)
{
	unsigned int num = 0;
	int err = EPROTO;

	if (starve(cache))
		while (num < NODE_ENTRIES && !(err = starved(make, 0)))
			ids[num++] = t.made;
	printf("# %u fit in, then %s\n", num, strerror(err));
	tap_check(feed(cache) && num && err == ENOMEM, name);
	return num;
}

static bool destroy_all(const uint32_t *ids, unsigned int num)
{
	while (num--)
		if (ic_destroy(t.fd, ids[num]))
			return false;
	return true;
}

/* @call when a nest parent and its vIOMMUs have all VMIDs that there are without a bitmap */
static void run_last_vmid(const struct call *call)
{
	uint32_t ids[NODE_ENTRIES];
	unsigned int num;
	char name[64];
	int err = EPROTO;

	/* The first one can do without */
	if (starve(BITMAPS))
		err = starved(make_parent, 0);
	snprintf(name, sizeof(name), "%s: VMID without a bitmap", call->name);
	if (!tap_check(feed(BITMAPS) && !err, name))
		return;
	t.parent = t.made;
	snprintf(name, sizeof(name), "%s: all VMIDs without one", call->name);
	num = fill(make_viommu, BITMAPS, name, ids);
	run_starved(call, BITMAPS, 1);
	snprintf(name, sizeof(name), "%s: VMIDs are free", call->name);
	tap_check(destroy_all(ids, num) && !ic_destroy(t.fd, t.parent), name);
}

/* The guest's CFGI_CD_ALL for its device */
static int invalidate_vsid(void)
{
	const uint64_t cfgi_cd_all[2] = { 0x06 | (uint64_t)VSID << 32, 0 };
	struct iommu_hwpt_invalidate cmd;

	return ic_invalidate(t.fd, t.viommu, cfgi_cd_all, 1, &cmd);
}

/*
 * The device is let go of, on stage 1: whatever fails, its vDEVICE and the attachment are
 * gone. There may be nothing on the way that can fail.
 */
static bool sweep_unbind(uint32_t s1)
{
	bool hit = true, known, gone;
	unsigned int nth;
	int err;

	for (nth = 1; hit; nth++) {
		if (nth > MAX_NTH || make_vdevice() || vfio_attach(&t.vfio, s1))
			return false;
		known = !invalidate_vsid();
		write_nth(nth);
		vfio_close(&t.vfio);
		hit = disarm();
		gone = invalidate_vsid() == EIO;
		err = ic_destroy(t.fd, t.made) ?: -vfio_open(&t.vfio, t.fd);
		if (!known || !gone || err) {
			printf("# unbind, point %u: vSID %s before, %s after, %s\n", nth,
			       known ? "known" : "unknown", gone ? "unknown" : "known",
			       strerror(err));
			return false;
		}
	}
	printf("# unbind: %u points\n", nth - 2);
	return true;
}

/*
 * The core gives a device back to its default domain. For one that translates an SMMU
 * needs memory, as in 6.12, so have one that does not.
 */
static void unbind(uint32_t s1)
{
	char path[64], type[16];

	vfio_close(&t.vfio);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group/type", t.vfio.bdf);
	if (tap_check(read_file(path, type, sizeof(type)) > 0 &&
		      !write_file(path, "identity") && !vfio_open(&t.vfio, t.fd),
		      "host without translation")) {
		tap_check(sweep_unbind(s1), "unbind");
		vfio_close(&t.vfio);
	}
	tap_check(!write_file(path, type) && !vfio_open(&t.vfio, t.fd),
		  "host as before");
}

static bool prepare(void)
{
	void *mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	t.fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	return t.fd >= 0 && mem != MAP_FAILED &&
	       !vfio_find(&t.vfio, EDU_VENDOR, EDU_DEVICE) &&
	       !vfio_open(&t.vfio, t.fd) && !ic_ioas(t.fd, &t.ioas) &&
	       !ic_map(t.fd, t.ioas, MEM_BASE, mem, MEM_SIZE);
}

/* In an order in which each has what it needs */
static void calls(void)
{
	static const struct call hw_info = { "hw_info", make_hw_info, NULL, 3, {} };
	static const struct call parent = {
		/* The pt_id's errno, as in 6.12 */
		"nest parent", make_parent, undo_made, 4, { EINVAL }
	};
	static const struct call viommu = { "vIOMMU", make_viommu, undo_made, 3, {} };
	static const struct call bypass = {
		"bypass HWPT", make_bypass, undo_made, 4, { EINVAL }
	};
	static const struct call s1 = {
		"stage 1 HWPT", make_s1, undo_made, 4, { EINVAL }
	};
	static const struct call vdevice = { "vDEVICE", make_vdevice, undo_made, 3, {} };
	static const struct call veventq = {
		"vEVENTQ", make_veventq, undo_veventq, 3, { ENFILE }
	};
	static const struct call long_veventq = {
		"long vEVENTQ", make_long_veventq, undo_veventq, 3, { ENFILE }
	};
	static const struct call read_empty = { "read", read_veventq, NULL, 0, {} };
	static const struct call few = {
		/* The command that the injection makes illegal */
		"short array", invalidate_few, NULL, 4, { EIO }
	};
	static const struct call many = {
		"long array", invalidate_many, NULL, 4, { EIO }
	};
	static const struct call attach_bypass = {
		"attach to bypass", attach, undo_attach, 1, {}
	};
	static const struct call attach_s1 = {
		"attach to stage 1", attach, undo_attach, 1, {}
	};
	uint32_t vdevice_id, s1_id, ids[NODE_ENTRIES];
	unsigned int i, num;

	for (i = 0; i < NUM_CMDS; i++)
		cmds[i][0] = 0x11 | (uint64_t)i << 48;

	run(&hw_info);
	run(&parent);
	run_last_vmid(&parent);
	run_last_vmid(&viommu);
	if (!tap_check(!make_parent(), "a parent"))
		return;
	t.parent = t.made;
	run(&viommu);
	if (!tap_check(!make_viommu(), "a vIOMMU"))
		return;
	t.viommu = t.made;
	run(&bypass);
	run(&s1);
	run(&vdevice);
	run(&veventq);
	run(&long_veventq);
	run(&few);
	run(&many);

	if (!tap_check(!make_veventq(), "a vEVENTQ"))
		return;
	run(&read_empty);
	tap_check(!undo_veventq(), "the vEVENTQ goes");

	/* The next ID needs a leaf, and a root above what there is */
	num = fill(make_ioas, NODES, "all IDs of one node", ids);
	/* And the IOAS wants to know of it */
	run_starved(&parent, NODES, 2 + 1);
	run_starved(&viommu, NODES, 2);
	run_starved(&bypass, NODES, 2);
	run_starved(&s1, NODES, 2);
	run_starved(&veventq, NODES, 2);
	/* The vSID needs three, the only StreamID one or more */
	run_starved(&vdevice, NODES, 2 + 3 + 1);
	tap_check(destroy_all(ids, num), "IDs are free");

	if (tap_check(!make_s1(), "a stage 1 HWPT for unbinding")) {
		s1_id = t.made;
		unbind(s1_id);
		tap_check(!ic_destroy(t.fd, s1_id), "nothing is attached to it");
	}

	if (!tap_check(!vfio_attach(&t.vfio, t.parent) && !make_vdevice(), "a vDEVICE"))
		return;
	vdevice_id = t.made;
	if (tap_check(!make_bypass(), "a bypass HWPT")) {
		run(&attach_bypass);
		tap_check(!undo_made(), "the bypass HWPT goes");
	}
	if (tap_check(!make_s1(), "a stage 1 HWPT")) {
		run(&attach_s1);
		/* The StreamIDs that are a guest's are in an XArray */
		run_starved(&attach_s1, NODES, 1);
		s1_id = t.made;
		tap_check(!ic_destroy(t.fd, s1_id), "the stage 1 HWPT goes");
	}
	tap_check(!vfio_detach(&t.vfio), "detach");
	tap_check(!ic_destroy(t.fd, vdevice_id) && !ic_destroy(t.fd, t.viommu) &&
		  !ic_destroy(t.fd, t.parent) && !ic_destroy(t.fd, t.ioas),
		  "nothing is busy at the end");
}

int main(void)
{
	struct kmsg_count count;
	int kmsg = kmsg_open();

	if (!set_up_injection()) {
		printf("1..0 # SKIP the kernel has no failslab or fail-nth\n");
		return KSFT_SKIP;
	}
	if (tap_check(kmsg >= 0 && prepare(), "device"))
		calls();
	kmsg_count(kmsg, &count);
	if (count.splats)
		printf("# %s\n", count.splat);
	printf("# %lu lines in the kernel's log\n", count.lines);
	tap_check(!count.splats, "the kernel has no complaint");
	return tap_end();
}
