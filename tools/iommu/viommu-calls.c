// SPDX-License-Identifier: GPL-2.0-only
/*
 * viommu-calls: the calls that VMMs make, in their order and with their sizes
 *
 * VMMs were written for the interface without the report of
 * IOMMU_HWPT_INVALIDATE. Some hand over one command per call and a structure of
 * 32 bytes, allocate the vDEVICE late, read the vEVENTQ one record at a time, destroy
 * objects in an order of their own or not at all. Others hand over whole queues and
 * use a vEVENTQ that blocks. What they rely on is repeated here.
 *
 * With --no-canwbs the host is one that can't have a vIOMMU, and says so.
 *
 * The first run destroys nothing and ends like a VMM that was killed, in a process of
 * its own; the second needs the device again.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/iommufd.h>

#include "edu.h"
#include "tap.h"
#include "util.h"
#include "vfio.h"

#define VSID		0x208u
#define MEM_BASE	0x40000000ull
#define MEM_SIZE	(4u << 20)
/* A CD that is all zero is as good as any: no DMA is done */
#define STE_S1_W0	(0xbull | (MEM_BASE + 0x2000))
#define STE_S1_W1	0xd6ull

#define SIZE_WITHOUT_REPORT	32u

static const char *prefix = "";

static bool check(bool ok, const char *name)
{
	char text[128];

	snprintf(text, sizeof(text), "%s%s", prefix, name);
	return tap_check(ok, text);
}

static int fd;

/* 0 or a positive errno */
static int call(unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) ? errno : 0;
}

static int destroy(uint32_t id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return call(IOMMU_DESTROY, &cmd);
}

static struct vmm {
	struct vfio_dev vfio;
	uint32_t ioas;
	uint32_t parent;
	uint32_t viommu;
	uint32_t abort_hwpt;
	uint32_t bypass_hwpt;
	uint32_t s1_hwpt;
	uint32_t vdevice;
	uint32_t veventq;
	int veventq_fd;
} v;

/* Probes */

static void probe(void)
{
	struct { uint32_t size, reserved; } change = { .size = 8 };
	struct iommu_hw_info_arm_smmuv3 info;
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd),
		.dev_id = v.vfio.dev_id,
		.data_len = sizeof(info),
		.data_uptr = (uintptr_t)&info,
	};
	int ret;

	/* IOMMU_IOAS_CHANGE_PROCESS: a kernel without it says so */
	check(call(_IO(IOMMUFD_TYPE, 0x92), &change) == ENOTTY, "unknown ioctl");

	memset(&info, 0xff, sizeof(info));
	ret = call(IOMMU_GET_HW_INFO, &cmd);
	check(!ret && cmd.out_data_type == IOMMU_HW_INFO_TYPE_ARM_SMMUV3 &&
	      cmd.data_len == sizeof(info), "hw_info type and length");
	check(!info.flags && !info.__reserved, "hw_info reserved fields");
	/* Both stages, and an output address size */
	check((info.idr[0] & 3) == 3 && (info.idr[5] & 7) <= 6, "hw_info IDRs");

	/* Neither in QEMU's device nor in its SMMU */
	check((cmd.out_capabilities & IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED) &&
	      !cmd.out_max_pasid_log2, "hw_info: no ATS, no PASIDs");

	/* A type of information that is for another IOMMU */
	memset(&cmd, 0, sizeof(cmd));
	cmd.size = sizeof(cmd);
	cmd.flags = 1;
	cmd.dev_id = v.vfio.dev_id;
	cmd.data_len = 8;
	cmd.data_uptr = (uintptr_t)&info;
	((uint32_t *)&cmd)[6] = 3;
	check(call(IOMMU_GET_HW_INFO, &cmd) == EOPNOTSUPP, "hw_info INPUT_TYPE");
}

/* Objects */

static int alloc_hwpt(uint32_t pt, const uint64_t *ste, uint32_t *id)
{
	struct iommu_hwpt_arm_smmuv3 data = {};
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.dev_id = v.vfio.dev_id,
		.pt_id = pt,
	};
	int ret;

	if (ste) {
		data.ste[0] = htole64(ste[0]);
		data.ste[1] = htole64(ste[1]);
		cmd.data_type = IOMMU_HWPT_DATA_ARM_SMMUV3;
		cmd.data_len = sizeof(data);
		cmd.data_uptr = (uintptr_t)&data;
	} else {
		cmd.flags = IOMMU_HWPT_ALLOC_NEST_PARENT;
	}
	ret = call(IOMMU_HWPT_ALLOC, &cmd);
	if (!ret)
		*id = cmd.out_hwpt_id;
	return ret;
}

static int alloc_vdevice(uint64_t vsid, uint32_t *id)
{
	struct iommu_vdevice_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = v.viommu,
		.dev_id = v.vfio.dev_id,
		.virt_id = vsid,
	};
	int ret = call(IOMMU_VDEVICE_ALLOC, &cmd);

	if (!ret)
		*id = cmd.out_vdevice_id;
	return ret;
}

static int alloc_veventq(uint32_t depth)
{
	struct iommu_veventq_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = v.viommu,
		.type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
		.veventq_depth = depth,
	};
	int ret = call(IOMMU_VEVENTQ_ALLOC, &cmd);

	if (!ret) {
		v.veventq = cmd.out_veventq_id;
		v.veventq_fd = cmd.out_veventq_fd;
	}
	return ret;
}

static bool make_host_side(void)
{
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE |
			 IOMMU_IOAS_MAP_READABLE,
		.length = MEM_SIZE,
		.iova = MEM_BASE,
	};
	void *mem;

	if (!check(!call(IOMMU_IOAS_ALLOC, &ioas), "IOAS"))
		return false;
	v.ioas = ioas.out_ioas_id;
	mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0);
	map.ioas_id = v.ioas;
	map.user_va = (uintptr_t)mem;
	return check(mem != MAP_FAILED && !call(IOMMU_IOAS_MAP, &map), "map memory") &&
	       check(!alloc_hwpt(v.ioas, NULL, &v.parent), "nest parent") &&
	       check(!vfio_attach(&v.vfio, v.parent), "attach to the parent");
}

static bool make_viommu(void)
{
	const uint64_t abort_ste[2] = { 0x1 }, bypass_ste[2] = { 0x9 };
	struct iommu_viommu_alloc cmd = {
		.size = sizeof(cmd),
		.type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
		.dev_id = v.vfio.dev_id,
		.hwpt_id = v.parent,
	};

	if (!check(!call(IOMMU_VIOMMU_ALLOC, &cmd), "vIOMMU"))
		return false;
	v.viommu = cmd.out_viommu_id;
	return check(!alloc_hwpt(v.viommu, abort_ste, &v.abort_hwpt), "abort HWPT") &&
	       check(!alloc_hwpt(v.viommu, bypass_ste, &v.bypass_hwpt), "bypass HWPT") &&
	       check(!vfio_attach(&v.vfio, v.bypass_hwpt), "attach to bypass, no vDEVICE") &&
	       check(!vfio_attach(&v.vfio, v.bypass_hwpt), "attach to the same again");
}

/* Invalidations */

static struct iommu_hwpt_invalidate last;

static int invalidate(const uint64_t (*cmds)[2], uint32_t n, uint32_t size)
{
	struct iommu_viommu_arm_smmuv3_invalidate le[16];
	uint32_t i;

	for (i = 0; i < n; i++) {
		le[i].cmd[0] = htole64(cmds[i][0]);
		le[i].cmd[1] = htole64(cmds[i][1]);
	}
	/* What the kernel must not touch, or must overwrite */
	memset(&last, 0, sizeof(last));
	last.size = size;
	last.hwpt_id = v.viommu;
	last.data_uptr = (uintptr_t)le;
	last.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3;
	last.entry_len = sizeof(le[0]);
	last.entry_num = n;
	if (size == SIZE_WITHOUT_REPORT)
		memset((char *)&last + size, 0xa5, sizeof(last) - size);
	return call(IOMMU_HWPT_INVALIDATE, &last);
}

static bool tail_untouched(void)
{
	const unsigned char *p = (const unsigned char *)&last;
	size_t i;

	for (i = SIZE_WITHOUT_REPORT; i < sizeof(last); i++)
		if (p[i] != 0xa5)
			return false;
	return true;
}

static void invalidate_one(uint64_t w0, uint64_t w1, const char *name)
{
	const uint64_t cmd[1][2] = { { w0, w1 } };

	check(!invalidate(cmd, 1, SIZE_WITHOUT_REPORT) && last.entry_num == 1 &&
	      tail_untouched(), name);
}

static void one_by_one(void)
{
	const uint64_t bad[1][2] = { { 0x05 | 1ull << 10 | (uint64_t)VSID << 32, 0 } };
	const uint64_t stranger[1][2] = { { 0x05 | 0x777ull << 32, 1 } };

	invalidate_one(0x05 | (uint64_t)VSID << 32, 1, "one: CFGI_CD");
	invalidate_one(0x11 | 5ull << 48, 0, "one: TLBI_NH_ASID");
	invalidate_one(0x12 | 5ull << 48, 0x12345001, "one: TLBI_NH_VA");
	invalidate_one(0x12 | 5ull << 48 | 7 << 12 | 2 << 20, 0x12345401,
		       "one: TLBI_NH_VA, range");
	check(invalidate(bad, 1, SIZE_WITHOUT_REPORT) == EIO && !last.entry_num &&
	      tail_untouched(), "one: bad command");
	check(invalidate(stranger, 1, SIZE_WITHOUT_REPORT) == EIO && !last.entry_num,
	      "one: StreamID of nobody");
}

static void whole_queues(void)
{
	uint64_t cmds[16][2] = {};
	unsigned int i;
	struct {
		struct iommu_hwpt_invalidate cmd;
		uint64_t more;
	} longer;

	for (i = 0; i < 16; i++)
		cmds[i][0] = 0x11 | (uint64_t)i << 48;
	check(!invalidate(cmds, 16, SIZE_WITHOUT_REPORT) && last.entry_num == 16,
	      "many: all good");
	cmds[9][0] = 0x46;
	check(invalidate(cmds, 16, SIZE_WITHOUT_REPORT) == EIO && last.entry_num == 9 &&
	      tail_untouched(), "many: entry_num is the bad one");
	check(invalidate(cmds, 16, sizeof(last)) == EIO && last.entry_num == 9 &&
	      last.out_report_flags == IOMMU_HWPT_INVALIDATE_REPORT_VALID &&
	      last.out_error_code == IOMMU_ARM_SMMUV3_CERROR_ILL &&
	      last.out_error_index == 9, "many: the report says so too");
	check(!invalidate(cmds, 9, sizeof(last)) && last.entry_num == 9 &&
	      last.out_report_flags == IOMMU_HWPT_INVALIDATE_REPORT_VALID &&
	      !last.out_error_code && !last.out_error_index, "many: report of success");
	check(!invalidate(cmds, 0, sizeof(last)) && !last.entry_num, "none: a probe");

	/* A nested HWPT is an STE, it has no queue */
	last.hwpt_id = v.bypass_hwpt;
	last.entry_num = 1;
	check(call(IOMMU_HWPT_INVALIDATE, &last) == EOPNOTSUPP && !last.entry_num &&
	      !last.out_report_flags, "nested HWPT: no commands");
	last.hwpt_id = v.parent;
	last.entry_num = 1;
	check(call(IOMMU_HWPT_INVALIDATE, &last) == ENOENT && !last.entry_num &&
	      !last.out_report_flags, "nest parent: no commands");
	last.hwpt_id = v.viommu;

	/* A structure of a later kernel's, with and without something new in it */
	longer.cmd = last;
	longer.cmd.size = sizeof(longer);
	longer.cmd.entry_num = 0;
	longer.more = 0;
	check(!call(IOMMU_HWPT_INVALIDATE, &longer), "longer structure, zeroed");
	longer.cmd.size = sizeof(longer);
	longer.more = 1;
	check(call(IOMMU_HWPT_INVALIDATE, &longer) == E2BIG, "longer structure, used");
}

static void nonblocking_veventq(void)
{
	unsigned char record[40];
	struct pollfd pfd;

	if (!check(!alloc_veventq(0x20000), "vEVENTQ of 2^17"))
		return;
	check(alloc_veventq(16) == EEXIST, "second vEVENTQ");
	fcntl(v.veventq_fd, F_SETFL, O_NONBLOCK);
	pfd.fd = v.veventq_fd;
	pfd.events = POLLIN;
	check(!poll(&pfd, 1, 0), "vEVENTQ: nothing to poll");
	check(read(v.veventq_fd, record, sizeof(record)) == -1 && errno == EAGAIN,
	      "vEVENTQ: EAGAIN when empty");
	check(write(v.veventq_fd, record, sizeof(record)) == -1, "vEVENTQ: no write");
}

static void blocking_veventq(void)
{
	unsigned char records[16 * 40];

	if (!check(!alloc_veventq(256), "vEVENTQ of 256"))
		return;
	check(read(v.veventq_fd, records, sizeof(records)) == 0,
	      "vEVENTQ: 0 when empty, without O_NONBLOCK");
}

static bool open_all(void)
{
	memset(&v, 0, sizeof(v));
	fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	return check(fd >= 0 && !vfio_find(&v.vfio, EDU_VENDOR, EDU_DEVICE) &&
		     !vfio_open(&v.vfio, fd), "device bound");
}

static bool use_all(void)
{
	const uint64_t s1_ste[2] = { STE_S1_W0, STE_S1_W1 }, all[1][2] = { { 0x30 } };
	uint32_t unused;

	probe();
	if (!make_host_side() || !make_viommu())
		return false;
	/* A guest's driver starts with this, before it looks for errors */
	check(!invalidate(all, 1, SIZE_WITHOUT_REPORT), "TLBI_NSNH_ALL, no vDEVICE");
	if (!check(!alloc_hwpt(v.viommu, s1_ste, &v.s1_hwpt), "stage 1 HWPT"))
		return false;
	check(vfio_attach(&v.vfio, v.s1_hwpt) == -ENOENT, "stage 1 without vDEVICE");
	if (!check(!alloc_vdevice(VSID, &v.vdevice), "vDEVICE while attached to bypass"))
		return false;
	check(alloc_vdevice(VSID + 1, &unused) == EEXIST, "second vDEVICE");
	return check(!vfio_attach(&v.vfio, v.s1_hwpt), "attach to stage 1");
}

/* Like a VMM that was killed: all files close while everything is in use */
static void dies(void)
{
	if (!open_all() || !use_all())
		return;
	nonblocking_veventq();
	one_by_one();
}

/* A longer entry ends with zeros, and is no longer than a page */
static void long_entry(void)
{
	const uint32_t page = sysconf(_SC_PAGESIZE);
	uint64_t *entry = calloc(2, page);

	if (!check(entry, "memory for an entry"))
		return;
	entry[0] = htole64(0x30);
	memset(&last, 0, sizeof(last));
	last.size = sizeof(last);
	last.hwpt_id = v.viommu;
	last.data_uptr = (uintptr_t)entry;
	last.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3;
	last.entry_len = page;
	last.entry_num = 1;
	check(!call(IOMMU_HWPT_INVALIDATE, &last) && last.entry_num == 1, "entry of a page");
	entry[page / sizeof(*entry) - 1] = 1;
	check(call(IOMMU_HWPT_INVALIDATE, &last) == E2BIG && !last.entry_num &&
	      last.out_report_flags == IOMMU_HWPT_INVALIDATE_REPORT_VALID,
	      "entry of a page, with something in it");
	entry[page / sizeof(*entry) - 1] = 0;
	last.entry_len = page + 1;
	last.entry_num = 1;
	check(call(IOMMU_HWPT_INVALIDATE, &last) == EINVAL && !last.entry_num &&
	      !last.out_report_flags, "entry longer than a page");
	free(entry);
}

static void leaves(void)
{
	const uint64_t new_ste[2] = { STE_S1_W0 + 0x40, STE_S1_W1 };
	uint32_t old;

	if (!open_all() || !use_all())
		return;
	blocking_veventq();
	one_by_one();
	whole_queues();
	long_entry();

	/* The guest changes its STE */
	old = v.s1_hwpt;
	check(!alloc_hwpt(v.viommu, new_ste, &v.s1_hwpt), "another stage 1 HWPT");
	check(destroy(old) == EBUSY, "attached HWPT is busy");
	check(!vfio_attach(&v.vfio, v.s1_hwpt), "replace stage 1 by stage 1");
	check(!destroy(old), "old HWPT");

	/* Unplug */
	check(destroy(v.viommu) == EBUSY, "used vIOMMU is busy");
	check(destroy(v.parent) == EBUSY, "used parent is busy");
	check(!vfio_attach(&v.vfio, v.parent), "back to the parent");
	check(!destroy(v.s1_hwpt), "destroy stage 1 HWPT");
	check(!destroy(v.vdevice), "destroy vDEVICE");
	check(destroy(v.veventq) == EBUSY, "open vEVENTQ is busy");
	close(v.veventq_fd);
	check(!destroy(v.veventq), "destroy vEVENTQ");
	check(!destroy(v.bypass_hwpt), "destroy bypass HWPT");
	check(!destroy(v.abort_hwpt), "destroy abort HWPT");
	check(!destroy(v.viommu), "destroy vIOMMU");
	check(!vfio_detach(&v.vfio), "detach");
	check(!destroy(v.parent), "destroy parent");
	check(!destroy(v.ioas), "destroy IOAS");
	vfio_close(&v.vfio);
	close(fd);
}

/* A host whose root complex does not promise coherence: no vIOMMU, all else works */
static int refused(void)
{
	struct iommu_viommu_alloc cmd = {
		.size = sizeof(cmd),
		.type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
	};

	prefix = "no CANWBS: ";
	if (open_all() && make_host_side()) {
		cmd.dev_id = v.vfio.dev_id;
		cmd.hwpt_id = v.parent;
		check(call(IOMMU_VIOMMU_ALLOC, &cmd) == EOPNOTSUPP, "no vIOMMU");
		check(!vfio_detach(&v.vfio), "detach");
		check(!destroy(v.parent), "destroy parent");
	}
	return tap_end();
}

int main(int argc, char **argv)
{
	int status = 0;
	pid_t pid;

	tap_begin();
	if (argc == 2 && !strcmp(argv[1], "--no-canwbs"))
		return refused();
	pid = fork();
	if (!pid) {
		prefix = "dies: ";
		dies();
		/* No exit handlers, no close: the kernel cleans up */
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		return 1;

	prefix = "leaves: ";
	leaves();
	return tap_end();
}
