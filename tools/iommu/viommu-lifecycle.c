// SPDX-License-Identifier: GPL-2.0-only
/*
 * viommu-lifecycle: devices and VMMs that come and go
 *
 * What a device can reach is found out by DMA: the devices have a marker in their
 * buffer, write it to an address, and the page of guest memory that it turns up in
 * tells how the address was translated. The guest's tables are written by hand and
 * nothing is invalidated but where it says so: QEMU's SMMU keeps what it has
 * translated until it is told to forget it, so a stale translation shows.
 *
 * Needs three edu devices, the last in a slot, and an NVMe controller, for its
 * function-level reset.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "edu.h"
#include "iommufd-calls.h"
#include "kmsg.h"
#include "tap.h"
#include "util.h"
#include "vfio.h"

/* The slot that the last edu is in, see vm_tests() */
#define EDU_SLOT	"7"
#define PROVE_LOCKING	"/sys/module/lockdep/parameters/prove_locking"

#define NVME_VENDOR	0x1b36
#define NVME_DEVICE	0x0010

#define MEM_BASE	0x40000000ull
#define MEM_SIZE	(2u << 20)
#define PAGE		4096u
/* In guest memory: sets of tables, then pages of data */
#define SET_SIZE	(4 * PAGE)
#define SET(n)		((n) * SET_SIZE)
#define SETS		8u
#define DATA		SET(SETS)
#define DATA_PAGES	16u
#define DATA_IPA(page)	(MEM_BASE + DATA + (uint64_t)(page) * PAGE)
/* An address that the guest's stage 1 translates */
#define IOVA		0x10000000ull
#define NOWHERE		(-1)

#define MARKER		0x4d41524b45522121ull

#define VSID(n)		(0x4200u + (n))
#define BLOCK_MS	300u
#define TIMEOUT_MS	20000u

/* Of the context descriptor: 4K granule, 39 bits, stage 1 of ASID */
#define CD_W0(asid)	(25ull | 1ull << 8 | 1ull << 10 | 3ull << 12 | 1ull << 30 |	\
			 1ull << 31 | 4ull << 32 | 1ull << 41 | 1ull << 45 |	\
			 1ull << 46 | 1ull << 47 | (uint64_t)(asid) << 48)
#define CD_MAIR		0xffull
/* Of descriptors: valid, accessed, inner shareable, writable, not global */
#define PTE_TABLE	0x3ull
#define PTE_PAGE	(0x3ull | 1ull << 6 | 3ull << 8 | 1ull << 10 | 1ull << 11)

#define CMD_TLBI_NSNH_ALL	0x30
#define CMD_TLBI_NH_ASID(asid)	(0x11 | (uint64_t)(asid) << 48)
#define CMD_CFGI_CD(vsid)	(0x05 | (uint64_t)(vsid) << 32)

static int kmsg;

/*
 * A VM: guest memory, and what the host makes of it. Two of these can share the
 * memory, as different parents do.
 */
struct vm {
	int fd;
	uint8_t *mem;
	uint32_t ioas;
	uint32_t parent;
};

/* A device of it */
struct dev {
	struct vfio_dev vfio;
	struct edu edu;
};

static void put64(struct vm *vm, uint32_t offset, uint64_t value)
{
	uint64_t le = htole64(value);

	memcpy(vm->mem + offset, &le, sizeof(le));
	__sync_synchronize();
}

/* A CD and three levels of tables for IOVA, which leads nowhere yet */
static uint64_t make_set(struct vm *vm, unsigned int n, unsigned int asid)
{
	uint32_t cd = SET(n);
	uint64_t ipa = MEM_BASE + cd;

	memset(vm->mem + cd, 0, SET_SIZE);
	put64(vm, cd + PAGE + 8 * (IOVA >> 30), (ipa + 2 * PAGE) | PTE_TABLE);
	put64(vm, cd + 2 * PAGE + 8 * (IOVA >> 21 & 0x1ff), (ipa + 3 * PAGE) | PTE_TABLE);
	put64(vm, cd + 8, ipa + PAGE);
	put64(vm, cd + 24, CD_MAIR);
	put64(vm, cd, CD_W0(asid));
	return ipa;
}

/* IOVA plus @index pages is data page @page from now on, or nowhere */
static void map_page(struct vm *vm, unsigned int set, unsigned int index, int page)
{
	put64(vm, SET(set) + 3 * PAGE + 8 * index,
	      page == NOWHERE ? 0 : DATA_IPA(page) | PTE_PAGE);
}

static int vm_make(struct vm *vm)
{
	vm->fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	vm->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (vm->fd < 0 || vm->mem == MAP_FAILED)
		return errno;
	return ic_ioas(vm->fd, &vm->ioas) ?:
	       ic_map(vm->fd, vm->ioas, MEM_BASE, vm->mem, MEM_SIZE);
}

static void vm_end(struct vm *vm)
{
	close(vm->fd);
	munmap(vm->mem, MEM_SIZE);
}

static int dev_find(struct dev *d, unsigned int n)
{
	char after[sizeof(d->vfio.bdf)] = "";
	int ret;

	do {
		ret = vfio_find_after(&d->vfio, EDU_VENDOR, EDU_DEVICE, after);
		memcpy(after, d->vfio.bdf, sizeof(after));
	} while (!ret && n--);
	return -ret;
}

/* The @n-th edu, on the nest parent, with the marker in its buffer */
static int dev_add(struct vm *vm, struct dev *d, unsigned int n)
{
	int ret;

	ret = dev_find(d, n) ?: -vfio_open(&d->vfio, vm->fd);
	if (!ret && !vm->parent)
		ret = ic_parent(vm->fd, d->vfio.dev_id, vm->ioas, &vm->parent);
	if (ret)
		return ret;
	ret = -vfio_attach(&d->vfio, vm->parent) ?: -vfio_bus_master(&d->vfio) ?:
	      -vfio_map_bar0(&d->vfio) ?: -edu_probe(&d->edu, d->vfio.bar0);
	if (ret)
		return ret;
	put64(vm, DATA, MARKER);
	return -edu_read(&d->edu, DATA_IPA(0), 0, sizeof(uint64_t));
}

/* Which data page a DMA to the address reaches */
static int where(struct vm *vm, const struct dev *d, uint64_t addr)
{
	unsigned int page;
	uint64_t value;

	memset(vm->mem + DATA, 0, DATA_PAGES * PAGE);
	__sync_synchronize();
	if (edu_write(&d->edu, addr, 0, sizeof(value)))
		return NOWHERE;
	for (page = 0; page < DATA_PAGES; page++) {
		memcpy(&value, vm->mem + DATA + page * PAGE, sizeof(value));
		if (le64toh(value) == MARKER)
			return page;
	}
	return NOWHERE;
}

static int invalidate(struct vm *vm, uint32_t viommu, uint64_t w0, uint64_t w1)
{
	const uint64_t cmd[2] = { htole64(w0), htole64(w1) };
	struct iommu_hwpt_invalidate arg;

	return ic_invalidate(vm->fd, viommu, cmd, 1, &arg);
}

/* A stage 1 of the tables in @set, and @d attached to it */
static int stage1(struct vm *vm, struct dev *d, uint32_t viommu, unsigned int set,
		  uint32_t *hwpt)
{
	int ret = ic_nested(vm->fd, d->vfio.dev_id, viommu,
			    STE_S1_W0(MEM_BASE + SET(set)), STE_S1_W1, hwpt);

	return ret ?: -vfio_attach(&d->vfio, *hwpt);
}

/* The kernel has not complained; what faulted on purpose is the guest's */
static void quiet(const char *name)
{
	struct kmsg_count count;
	char text[128];

	kmsg_count(kmsg, &count);
	if (count.splats)
		printf("# %s\n", count.splat);
	snprintf(text, sizeof(text), "%s: the kernel has nothing to say", name);
	tap_check(!count.splats && !count.lost, text);
}

/*
 * A vIOMMU ends, the next has its VMID: the same ASID and address, other tables
 */
static void vmid_reuse(void)
{
	uint32_t viommu, vdevice, hwpt;
	struct vm vm = {};
	struct dev d;
	int ret, round;

	if (!tap_check(!vm_make(&vm) && !dev_add(&vm, &d, 0), "VMID: set up"))
		return;
	for (round = 0; round < 3; round++) {
		char text[64];

		make_set(&vm, 0, 7);
		map_page(&vm, 0, 0, 1 + round);
		ret = ic_viommu(vm.fd, d.vfio.dev_id, vm.parent, &viommu) ?:
		      ic_vdevice(vm.fd, viommu, d.vfio.dev_id, VSID(0), &vdevice) ?:
		      stage1(&vm, &d, viommu, 0, &hwpt);
		snprintf(text, sizeof(text), "VMID: owner %d sees its own tables", round);
		tap_check(!ret && where(&vm, &d, IOVA) == 1 + round, text);
		/* It is in the TLB now: the tables change and nothing happens */
		map_page(&vm, 0, 0, 9);
		snprintf(text, sizeof(text), "VMID: owner %d left an entry in the TLB", round);
		tap_check(where(&vm, &d, IOVA) == 1 + round, text);
		ret = -vfio_attach(&d.vfio, vm.parent) ?: ic_destroy(vm.fd, hwpt) ?:
		      ic_destroy(vm.fd, vdevice) ?: ic_destroy(vm.fd, viommu);
		tap_check(!ret, "VMID: all of the vIOMMU is destroyed");
	}
	tap_check(where(&vm, &d, DATA_IPA(4)) == 4, "VMID: the parent is as it was");
	vfio_close(&d.vfio);
	vm_end(&vm);
	quiet("VMID");
}

/* Two devices, one guest: each by its own vSID */
static void two_devices(void)
{
	unsigned char record[40];
	uint32_t viommu, vdevice[2], hwpt[2], veventq_id;
	struct vm vm = {};
	struct dev d[2];
	uint32_t vsid;
	int fd = -1, ret;
	unsigned int i;

	if (!tap_check(!vm_make(&vm) && !dev_add(&vm, &d[0], 0) && !dev_add(&vm, &d[1], 1),
		       "two devices: set up"))
		return;
	ret = ic_viommu(vm.fd, d[0].vfio.dev_id, vm.parent, &viommu) ?:
	      ic_vdevice(vm.fd, viommu, d[0].vfio.dev_id, VSID(0), &vdevice[0]);
	tap_check(!ret && ic_vdevice(vm.fd, viommu, d[1].vfio.dev_id, VSID(0),
				     &vdevice[1]) == EEXIST,
		  "two devices: a vSID for one only");
	ret = ic_vdevice(vm.fd, viommu, d[1].vfio.dev_id, VSID(1), &vdevice[1]) ?:
	      ic_veventq(vm.fd, viommu, 64, &veventq_id, &fd);
	for (i = 0; i < 2; i++) {
		make_set(&vm, i, 1 + i);
		map_page(&vm, i, 0, 1 + i);
		ret = ret ?: stage1(&vm, &d[i], viommu, i, &hwpt[i]);
	}
	tap_check(!ret && where(&vm, &d[0], IOVA) == 1 && where(&vm, &d[1], IOVA) == 2,
		  "two devices: each with a stage 1 of its own");

	/* By ASID, so of one of them */
	map_page(&vm, 0, 0, 3);
	map_page(&vm, 1, 0, 4);
	ret = invalidate(&vm, viommu, CMD_TLBI_NH_ASID(1), 0);
	tap_check(!ret && where(&vm, &d[0], IOVA) == 3 && where(&vm, &d[1], IOVA) == 2,
		  "two devices: an invalidation of the first one's ASID");
	ret = invalidate(&vm, viommu, CMD_TLBI_NH_ASID(2), 0);
	tap_check(!ret && where(&vm, &d[1], IOVA) == 4,
		  "two devices: an invalidation of the second one's ASID");

	for (i = 0; i < 2; i++) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		char text[64];

		where(&vm, &d[i], IOVA + PAGE);
		/* A transfer faults more than once, and all of it is the first one's */
		do {
			poll(&pfd, 1, TIMEOUT_MS);
			memset(record, 0, sizeof(record));
			ret = read(fd, record, sizeof(record));
			memcpy(&vsid, record + 8 + 4, sizeof(vsid));
		} while (i && ret == sizeof(record) && le32toh(vsid) == VSID(0));
		snprintf(text, sizeof(text), "two devices: a fault of device %u is its own", i);
		tap_check(ret == sizeof(record) && le32toh(vsid) == VSID(i), text);
	}

	/* The first goes, the second does not notice */
	ret = -vfio_attach(&d[0].vfio, vm.parent) ?: ic_destroy(vm.fd, hwpt[0]) ?:
	      ic_destroy(vm.fd, vdevice[0]);
	vfio_close(&d[0].vfio);
	tap_check(!ret && where(&vm, &d[1], IOVA) == 4, "two devices: one of them goes");
	tap_check(invalidate(&vm, viommu, CMD_CFGI_CD(VSID(0)), 1) == EIO &&
		  !invalidate(&vm, viommu, CMD_CFGI_CD(VSID(1)), 1),
		  "two devices: and with it its vSID");
	vfio_close(&d[1].vfio);
	close(fd);
	vm_end(&vm);
	quiet("two devices");
}

/* Two vIOMMUs on one parent: the same ASID and address mean two things */
static void two_viommus(void)
{
	uint32_t viommu[2], vdevice[2], hwpt[2], unused;
	struct vm vm = {};
	struct dev d[2];
	unsigned int i;
	int ret = 0;

	if (!tap_check(!vm_make(&vm) && !dev_add(&vm, &d[0], 0) && !dev_add(&vm, &d[1], 1),
		       "two vIOMMUs: set up"))
		return;
	for (i = 0; i < 2; i++) {
		make_set(&vm, i, 5);
		map_page(&vm, i, 0, 1 + i);
		ret = ret ?: ic_viommu(vm.fd, d[i].vfio.dev_id, vm.parent, &viommu[i]) ?:
		      ic_vdevice(vm.fd, viommu[i], d[i].vfio.dev_id, VSID(0), &vdevice[i]) ?:
		      stage1(&vm, &d[i], viommu[i], i, &hwpt[i]);
	}
	tap_check(!ret && where(&vm, &d[0], IOVA) == 1 && where(&vm, &d[1], IOVA) == 2,
		  "two vIOMMUs: each with its own stage 1");
	tap_check(ic_vdevice(vm.fd, viommu[1], d[0].vfio.dev_id, VSID(3), &unused) == EEXIST,
		  "two vIOMMUs: a device is behind one only");
	tap_check(vfio_attach(&d[0].vfio, hwpt[1]) == -ENOENT && where(&vm, &d[0], IOVA) == 1,
		  "two vIOMMUs: no stage 1 of the other one's");

	/* The guest of the first has everything invalidated; the second has not */
	map_page(&vm, 0, 0, 3);
	map_page(&vm, 1, 0, 4);
	ret = invalidate(&vm, viommu[0], CMD_TLBI_NSNH_ALL, 0);
	tap_check(!ret && where(&vm, &d[0], IOVA) == 3 && where(&vm, &d[1], IOVA) == 2,
		  "two vIOMMUs: everything of one is nothing of the other");

	/* The host takes memory away: from both */
	ret = ic_unmap(vm.fd, vm.ioas, MEM_BASE, MEM_SIZE);
	tap_check(!ret && where(&vm, &d[0], IOVA) == NOWHERE &&
		  where(&vm, &d[1], IOVA) == NOWHERE,
		  "two vIOMMUs: an unmap in the parent is for both");
	ret = ic_map(vm.fd, vm.ioas, MEM_BASE, vm.mem, MEM_SIZE);
	tap_check(!ret && where(&vm, &d[0], IOVA) == 3 && where(&vm, &d[1], IOVA) == 4,
		  "two vIOMMUs: and so is a map");
	vfio_close(&d[0].vfio);
	vfio_close(&d[1].vfio);
	vm_end(&vm);
	quiet("two vIOMMUs");
}

/* Two parents in one iommufd: two memories at the same guest-physical address */
static void two_parents(void)
{
	uint32_t viommu[2], vdevice[2], hwpt[2], unused;
	struct vm vm[2] = {};
	struct dev d[2];
	unsigned int i;
	int ret;

	ret = vm_make(&vm[0]);
	vm[1].fd = vm[0].fd;
	vm[1].mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ret = ret ?: ic_ioas(vm[1].fd, &vm[1].ioas) ?:
	      ic_map(vm[1].fd, vm[1].ioas, MEM_BASE, vm[1].mem, MEM_SIZE) ?:
	      dev_add(&vm[0], &d[0], 0) ?: dev_add(&vm[1], &d[1], 1);
	if (!tap_check(!ret && vm[0].parent != vm[1].parent, "two parents: set up"))
		return;
	for (i = 0; i < 2; i++) {
		make_set(&vm[i], 0, 5);
		map_page(&vm[i], 0, 0, 1 + i);
		ret = ret ?:
		      ic_viommu(vm[i].fd, d[i].vfio.dev_id, vm[i].parent, &viommu[i]) ?:
		      ic_vdevice(vm[i].fd, viommu[i], d[i].vfio.dev_id, VSID(0), &vdevice[i]) ?:
		      stage1(&vm[i], &d[i], viommu[i], 0, &hwpt[i]);
	}
	tap_check(!ret && where(&vm[0], &d[0], IOVA) == 1 && where(&vm[1], &d[1], IOVA) == 2,
		  "two parents: each device in its own memory");

	/* From one parent to the other, vDEVICE and all */
	tap_check(vfio_attach(&d[0].vfio, hwpt[1]) == -ENOENT,
		  "two parents: a vDEVICE is of one");
	map_page(&vm[1], 0, 1, 6);
	ret = -vfio_attach(&d[0].vfio, vm[0].parent) ?: ic_destroy(vm[0].fd, vdevice[0]) ?:
	      ic_vdevice(vm[1].fd, viommu[1], d[0].vfio.dev_id, VSID(1), &unused) ?:
	      -vfio_attach(&d[0].vfio, hwpt[1]);
	tap_check(!ret && where(&vm[1], &d[0], IOVA + PAGE) == 6,
		  "two parents: the device moves from one to the other");
	vfio_close(&d[0].vfio);
	vfio_close(&d[1].vfio);
	munmap(vm[1].mem, MEM_SIZE);
	vm_end(&vm[0]);
	quiet("two parents");
}

/* The vDEVICE comes when the guest's driver does, with the device on bypass or abort */
static void late_vdevice(void)
{
	static const uint64_t ste[] = { STE_ABORT_W0, STE_BYPASS_W0 };
	static const char *const name[] = { "abort", "bypass" };
	uint32_t viommu, vdevice, host, s1;
	struct vm vm = {};
	struct dev d;
	unsigned int i;
	char text[80];
	int ret;

	if (!tap_check(!vm_make(&vm) && !dev_add(&vm, &d, 0) &&
		       !ic_viommu(vm.fd, d.vfio.dev_id, vm.parent, &viommu),
		       "late vDEVICE: set up"))
		return;
	make_set(&vm, 0, 5);
	map_page(&vm, 0, 0, 1);
	for (i = 0; i < ARRAY_SIZE(ste); i++) {
		ret = ic_nested(vm.fd, d.vfio.dev_id, viommu, ste[i], 0, &host) ?:
		      -vfio_attach(&d.vfio, host);
		snprintf(text, sizeof(text), "late vDEVICE: on %s without one", name[i]);
		tap_check(!ret && where(&vm, &d, DATA_IPA(5)) == (i ? 5 : NOWHERE), text);
		ret = ic_vdevice(vm.fd, viommu, d.vfio.dev_id, VSID(0), &vdevice);
		snprintf(text, sizeof(text), "late vDEVICE: on %s with one", name[i]);
		tap_check(!ret && where(&vm, &d, DATA_IPA(5)) == (i ? 5 : NOWHERE), text);
		ret = stage1(&vm, &d, viommu, 0, &s1);
		snprintf(text, sizeof(text), "late vDEVICE: from %s to stage 1", name[i]);
		tap_check(!ret && where(&vm, &d, IOVA) == 1, text);
		ret = -vfio_attach(&d.vfio, host) ?: ic_destroy(vm.fd, s1) ?:
		      ic_destroy(vm.fd, vdevice);
		snprintf(text, sizeof(text), "late vDEVICE: back to %s, and gone", name[i]);
		tap_check(!ret && where(&vm, &d, DATA_IPA(5)) == (i ? 5 : NOWHERE), text);
	}
	vfio_close(&d.vfio);
	vm_end(&vm);
	quiet("late vDEVICE");
}

/* A device on stage 1 of a vIOMMU */
struct user {
	struct vm vm;
	struct dev d;
	uint32_t viommu, vdevice, veventq, hwpt;
	int veventq_fd;
};

/* The @n-th edu behind it */
static int user_make(struct user *u, unsigned int n)
{
	int ret;

	memset(u, 0, sizeof(*u));
	ret = vm_make(&u->vm) ?: dev_add(&u->vm, &u->d, n);
	if (ret)
		return ret;
	make_set(&u->vm, 0, 5);
	map_page(&u->vm, 0, 0, 1);
	return ic_viommu(u->vm.fd, u->d.vfio.dev_id, u->vm.parent, &u->viommu) ?:
	       ic_vdevice(u->vm.fd, u->viommu, u->d.vfio.dev_id, VSID(0), &u->vdevice) ?:
	       ic_veventq(u->vm.fd, u->viommu, 64, &u->veventq, &u->veventq_fd) ?:
	       stage1(&u->vm, &u->d, u->viommu, 0, &u->hwpt);
}

/* A VMM is killed whatever it does, and the next one finds the device as new */
static void killed_vmms(void)
{
	int status, fds[2], round, bad = 0;
	struct user u;
	pid_t pid;
	char c;

	for (round = 0; round < 4; round++) {
		if (pipe(fds))
			return;
		pid = fork();
		if (!pid) {
			if (user_make(&u, 0))
				_exit(1);
			edu_start_write(&u.d.edu, IOVA + (round & 1) * PAGE, 0, 8);
			if (write(fds[1], "", 1) != 1)
				_exit(1);
			for (;;)
				invalidate(&u.vm, u.viommu, CMD_TLBI_NSNH_ALL, 0);
		}
		close(fds[1]);
		/* End of file if it failed */
		bad += pid < 0 || read(fds[0], &c, 1) != 1;
		usleep(round * 50000);
		if (pid > 0) {
			kill(pid, SIGKILL);
			bad += waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status);
		}
		close(fds[0]);
	}
	tap_check(!bad, "killed: four VMMs, in the middle of DMA and invalidations");
	tap_check(!user_make(&u, 0) && where(&u.vm, &u.d, IOVA) == 1,
		  "killed: the next one has the device");
	/* And leaves without a word: files are closed in an order of their own */
	close(u.vm.fd);
	tap_check(where(&u.vm, &u.d, IOVA) == 1, "killed: the device keeps the iommufd");
	vfio_close(&u.d.vfio);
	close(u.veventq_fd);
	quiet("killed");
}

/* Write to a file of sysfs, in a process of its own: it may block */
static pid_t write_later(struct vfio_dev *vfio, const char *path, const char *text)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	/* Or it would wait for itself */
	vfio_close(vfio);
	_exit(write_file(path, text));
}

/* 0 when @pid has ended with 0, else ETIMEDOUT or its status */
static int wait_ms(pid_t pid, unsigned int ms)
{
	int status, ret = ETIMEDOUT;
	unsigned int i;

	for (i = 0; i < ms && ret == ETIMEDOUT; i += 10) {
		usleep(10000);
		if (waitpid(pid, &status, WNOHANG) == pid)
			ret = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
	}
	return ret;
}

/* The vDEVICE is all that is left of the device */
static void expect_tombstone(struct user *u, const char *name)
{
	uint32_t again;
	char text[96];

	snprintf(text, sizeof(text), "%s: the vSID leads nowhere", name);
	tap_check(invalidate(&u->vm, u->viommu, CMD_CFGI_CD(VSID(0)), 1) == EIO, text);
	snprintf(text, sizeof(text), "%s: the vIOMMU is still there", name);
	tap_check(!invalidate(&u->vm, u->viommu, CMD_TLBI_NSNH_ALL, 0) &&
		  ic_nested(u->vm.fd, u->d.vfio.dev_id, u->viommu, STE_BYPASS_W0, 0,
			    &again) == ENOENT, text);
	snprintf(text, sizeof(text), "%s: the vIOMMU is busy", name);
	tap_check(ic_destroy(u->vm.fd, u->viommu) == EBUSY, text);
	snprintf(text, sizeof(text), "%s: all of it can be destroyed", name);
	close(u->veventq_fd);
	tap_check(!ic_destroy(u->vm.fd, u->vdevice) && !ic_destroy(u->vm.fd, u->hwpt) &&
		  !ic_destroy(u->vm.fd, u->veventq) && !ic_destroy(u->vm.fd, u->viommu) &&
		  !ic_destroy(u->vm.fd, u->vm.parent) && !ic_destroy(u->vm.fd, u->vm.ioas),
		  text);
}

/*
 * The host unbinds the device from vfio-pci, removes it from the kernel, or lets it be
 * unplugged, with the VMM in the middle of it. VFIO waits for the VMM to close the
 * device; the VMM can take its time, and the vIOMMU works on.
 */
static const struct removal {
	const char *name;
	unsigned int edu;
	/* Printed with the device's address: a file, what is written to it; the way back */
	const char *file, *text;
	const char *back, *back_text;
	bool no_lockdep;
} removals[] = {
	{
		.name = "unbound",
		.file = "/sys/bus/pci/devices/%s/driver/unbind",
		.text = "%s",
		.back = "/sys/bus/pci/drivers/vfio-pci/bind",
		.back_text = "%s",
	}, {
		.name = "removed",
		.file = "/sys/bus/pci/devices/%s/remove",
		.text = "1",
		.back = "/sys/bus/pci/rescan",
		.back_text = "1",
	}, {
		/* The last one is in a slot; QEMU takes it away when that has no power */
		.name = "unplugged",
		.edu = 2,
		.file = "/sys/bus/pci/slots/" EDU_SLOT "/power",
		.text = "0",
		/* 6.12's pciehp takes two locks of its own in both orders, VFIO or not */
		.no_lockdep = true,
	},
};

static void removed(const struct removal *r)
{
	char text[96], path[PATH_MAX], what[32];
	const char *name = r->name;
	struct user u;
	pid_t pid;
	int ret;

	snprintf(text, sizeof(text), "%s: set up", name);
	if (!tap_check(!user_make(&u, r->edu), text))
		return;
	snprintf(path, sizeof(path), r->file, u.d.vfio.bdf);
	snprintf(what, sizeof(what), r->text, u.d.vfio.bdf);
	if (r->no_lockdep)
		write_file(PROVE_LOCKING, "0");
	pid = write_later(&u.d.vfio, path, what);
	snprintf(text, sizeof(text), "%s: waits for the VMM", name);
	tap_check(pid > 0 && wait_ms(pid, BLOCK_MS) == ETIMEDOUT, text);
	snprintf(text, sizeof(text), "%s: meanwhile all is as it was", name);
	tap_check(where(&u.vm, &u.d, IOVA) == 1 &&
		  !invalidate(&u.vm, u.viommu, CMD_CFGI_CD(VSID(0)), 1), text);

	vfio_close(&u.d.vfio);
	snprintf(text, sizeof(text), "%s: done when the VMM closes the device", name);
	tap_check(!wait_ms(pid, TIMEOUT_MS), text);
	if (r->no_lockdep)
		write_file(PROVE_LOCKING, "1");
	expect_tombstone(&u, name);
	vm_end(&u.vm);

	if (r->back) {
		snprintf(what, sizeof(what), r->back_text, u.d.vfio.bdf);
		ret = write_file(r->back, what);
		snprintf(text, sizeof(text), "%s: and back again", name);
		if (tap_check(!ret && !user_make(&u, r->edu) &&
			      where(&u.vm, &u.d, IOVA) == 1, text)) {
			vfio_close(&u.d.vfio);
			close(u.veventq_fd);
			vm_end(&u.vm);
		}
	} else {
		struct dev gone;

		snprintf(text, sizeof(text), "%s: the device is gone", name);
		tap_check(dev_find(&gone, r->edu) == ENODEV, text);
	}
	quiet(name);
}

/*
 * A function-level reset. The edu has none, so it is an NVMe controller, which
 * reads its queues and writes what it is through the guest's stage 1.
 */
#define NVME_CC			0x14
#define NVME_CSTS		0x1c
#define NVME_AQA		0x24
#define NVME_ASQ		0x28
#define NVME_ACQ		0x30
#define NVME_SQ0TDBL		0x1000
#define NVME_CC_EN		(1u | 6u << 16 | 4u << 20)
#define NVME_CSTS_RDY		1u
/* Pages of the data area, and of IOVA */
#define NVME_SQ			2u
#define NVME_CQ			3u
#define NVME_DATA		4u

static uint32_t nvme_rd(const struct vfio_dev *v, uint32_t reg)
{
	const uint32_t *p = (const uint32_t *)((uint8_t *)v->bar0 + reg);

	return le32toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

static void nvme_wr(const struct vfio_dev *v, uint32_t reg, uint32_t value)
{
	uint32_t *p = (uint32_t *)((uint8_t *)v->bar0 + reg);

	__atomic_store_n(p, htole32(value), __ATOMIC_RELAXED);
}

static bool nvme_ready(const struct vfio_dev *v, bool ready)
{
	unsigned int ms;

	for (ms = 0; ms < TIMEOUT_MS; ms += 10) {
		if (!!(nvme_rd(v, NVME_CSTS) & NVME_CSTS_RDY) == ready)
			return true;
		usleep(10000);
	}
	return false;
}

/* Identify; true if the answer came, and is of this controller */
static bool nvme_identify(struct vm *vm, const struct vfio_dev *v, bool translated)
{
	uint64_t base = translated ? IOVA : DATA_IPA(0);
	uint8_t *data = vm->mem + DATA + NVME_DATA * PAGE;
	const uint32_t *status = (uint32_t *)(vm->mem + DATA + NVME_CQ * PAGE) + 3;
	uint8_t *sqe = vm->mem + DATA + NVME_SQ * PAGE;
	uint64_t prp = htole64(base + NVME_DATA * PAGE);
	unsigned int ms;
	uint32_t value;

	memset(vm->mem + DATA, 0, DATA_PAGES * PAGE);
	nvme_wr(v, NVME_CC, 0);
	if (!nvme_ready(v, false))
		return false;
	nvme_wr(v, NVME_AQA, 1u << 16 | 1u);
	nvme_wr(v, NVME_ASQ, base + NVME_SQ * PAGE);
	nvme_wr(v, NVME_ASQ + 4, 0);
	nvme_wr(v, NVME_ACQ, base + NVME_CQ * PAGE);
	nvme_wr(v, NVME_ACQ + 4, 0);
	nvme_wr(v, NVME_CC, NVME_CC_EN);
	if (!nvme_ready(v, true))
		return false;
	sqe[0] = 0x06;
	sqe[2] = 0x5a;
	memcpy(sqe + 24, &prp, sizeof(prp));
	sqe[40] = 1;
	__sync_synchronize();
	nvme_wr(v, NVME_SQ0TDBL, 1);
	for (ms = 0; ms < TIMEOUT_MS / 10; ms += 10) {
		/* The phase of the entry is 1, its status 0 */
		value = le32toh(__atomic_load_n(status, __ATOMIC_ACQUIRE));
		if (value >> 16) {
			return value == (1u << 16 | 0x5a) &&
			       data[0] == (NVME_VENDOR & 0xff) &&
			       data[1] == NVME_VENDOR >> 8;
		}
		usleep(10000);
	}
	return false;
}

static void function_reset(void)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	uint32_t viommu, vdevice, hwpt, page;
	struct vm vm = {};
	struct dev d;
	int ret;

	ret = vm_make(&vm) ?: -vfio_find(&d.vfio, NVME_VENDOR, NVME_DEVICE) ?:
	      -vfio_open(&d.vfio, vm.fd) ?:
	      ic_parent(vm.fd, d.vfio.dev_id, vm.ioas, &vm.parent) ?:
	      -vfio_attach(&d.vfio, vm.parent) ?: -vfio_bus_master(&d.vfio) ?:
	      -vfio_map_bar0(&d.vfio);
	if (!tap_check(!ret && !ioctl(d.vfio.fd, VFIO_DEVICE_GET_INFO, &info) &&
		       (info.flags & VFIO_DEVICE_FLAGS_RESET), "reset: set up"))
		return;
	tap_check(nvme_identify(&vm, &d.vfio, false), "reset: the device reads and writes");

	make_set(&vm, 0, 5);
	for (page = 0; page < DATA_PAGES; page++)
		map_page(&vm, 0, page, page);
	ret = ic_viommu(vm.fd, d.vfio.dev_id, vm.parent, &viommu) ?:
	      ic_vdevice(vm.fd, viommu, d.vfio.dev_id, VSID(0), &vdevice) ?:
	      stage1(&vm, &d, viommu, 0, &hwpt);
	tap_check(!ret && nvme_identify(&vm, &d.vfio, true), "reset: through stage 1");
	tap_check(!ioctl(d.vfio.fd, VFIO_DEVICE_RESET) && !vfio_bus_master(&d.vfio) &&
		  !(nvme_rd(&d.vfio, NVME_CSTS) & NVME_CSTS_RDY), "reset: done");
	tap_check(nvme_identify(&vm, &d.vfio, true), "reset: still through stage 1");
	ret = invalidate(&vm, viommu, CMD_CFGI_CD(VSID(0)), 1) ?:
	      -vfio_attach(&d.vfio, vm.parent);
	tap_check(!ret && nvme_identify(&vm, &d.vfio, false), "reset: and back on the parent");
	vfio_close(&d.vfio);
	vm_end(&vm);
	quiet("reset");
}

/* What an invalidating process of the guest's has done, and whether it is to go on */
struct progress {
	bool stop;
	unsigned long calls, failed;
};

static pid_t invalidate_on(struct user *u, struct progress *progress)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	while (!__atomic_load_n(&progress->stop, __ATOMIC_RELAXED)) {
		/* Of no ASID in use: what is in the TLB stays there */
		if (invalidate(&u->vm, u->viommu, CMD_TLBI_NH_ASID(99), 0))
			__atomic_fetch_add(&progress->failed, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&progress->calls, 1, __ATOMIC_RELAXED);
	}
	_exit(0);
}

/* Wait for more than @calls; how many, or 0 */
static unsigned long calls_after(struct progress *progress, unsigned long calls)
{
	unsigned long now;
	unsigned int i;

	for (i = 0; i < TIMEOUT_MS; i += 10) {
		now = __atomic_load_n(&progress->calls, __ATOMIC_RELAXED);
		if (now > calls)
			return now;
		usleep(10000);
	}
	return 0;
}

static unsigned long suspends(void)
{
	char text[32];

	return read_file("/sys/power/suspend_stats/success", text, sizeof(text)) > 0 ?
	       strtoul(text, NULL, 10) : 0;
}

/* To idle and back, with all devices suspended and interrupts held back for a second */
static int suspend_resume(void)
{
	int ret = write_file("/sys/power/pm_test", "platform") ?:
		  write_file("/sys/module/suspend/parameters/pm_test_delay", "1") ?:
		  write_file("/sys/power/state", "freeze");

	write_file("/sys/power/pm_test", "none");
	return ret;
}

/* The next event is the device's, of this address, and has this sequence number */
static bool next_event(struct user *u, uint32_t sequence, uint64_t iova)
{
	struct pollfd pfd = { .fd = u->veventq_fd, .events = POLLIN };
	struct iommufd_vevent_header header;
	uint64_t record[5], word;

	if (poll(&pfd, 1, TIMEOUT_MS) != 1 ||
	    read(u->veventq_fd, record, sizeof(record)) != sizeof(record))
		return false;
	memcpy(&header, record, sizeof(header));
	memcpy(&word, record + 1, sizeof(word));
	return !header.flags && header.sequence == sequence &&
	       le64toh(word) >> 32 == VSID(0) && le64toh(record[3]) == iova;
}

/* The next two are those of a transfer of 8 bytes: edu makes an access of each 4 */
static bool next_transfer(struct user *u, uint32_t sequence, uint64_t iova)
{
	return next_event(u, sequence, iova) && next_event(u, sequence + 1, iova + 4);
}

/*
 * The machine suspends and resumes under a guest. The SMMU is on all the time, as
 * it is on machines that 6.12 can suspend: nothing of the guest's may be different
 * afterwards, and what the device faults on meanwhile arrives late and in its order.
 */
static void suspended(void)
{
	unsigned long before, calls, later, failed;
	struct progress *progress;
	struct user u;
	pid_t pid;
	int ret;

	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!tap_check(progress != MAP_FAILED && !user_make(&u, 0) &&
		       where(&u.vm, &u.d, IOVA) == 1, "suspend: set up"))
		return;
	/* An entry in the TLB that the tables don't have, and an event nobody has read */
	map_page(&u.vm, 0, 0, 2);
	where(&u.vm, &u.d, IOVA + PAGE);
	pid = invalidate_on(&u, progress);
	tap_check(calls_after(progress, 0), "suspend: invalidations meanwhile");
	before = suspends();
	ret = edu_start_write(&u.d.edu, IOVA + 2 * PAGE, 0, 8) ? EIO : suspend_resume();
	if (ret)
		printf("# suspend: %s\n", strerror(ret));
	tap_check(!ret && suspends() == before + 1, "suspend: to idle and back");

	calls = __atomic_load_n(&progress->calls, __ATOMIC_RELAXED);
	later = calls_after(progress, calls);
	failed = __atomic_load_n(&progress->failed, __ATOMIC_RELAXED);
	printf("# suspend: %lu invalidations by then, %lu soon after, %lu failed\n", calls,
	       later, failed);
	tap_check(calls && later && !failed, "suspend: invalidations go on where they were");
	__atomic_store_n(&progress->stop, true, __ATOMIC_RELAXED);
	tap_check(pid > 0 && !wait_ms(pid, TIMEOUT_MS), "suspend: and end when they shall");
	tap_check(next_transfer(&u, 0, IOVA + PAGE) &&
		  next_transfer(&u, 2, IOVA + 2 * PAGE),
		  "suspend: the event before and the one meanwhile, in order");
	tap_check(where(&u.vm, &u.d, IOVA) == 1, "suspend: nothing was translated anew");
	tap_check(!invalidate(&u.vm, u.viommu, CMD_TLBI_NH_ASID(5), 0) &&
		  where(&u.vm, &u.d, IOVA) == 2, "suspend: until the guest says so");
	where(&u.vm, &u.d, IOVA + PAGE);
	tap_check(next_transfer(&u, 4, IOVA + PAGE), "suspend: events are counted on");
	tap_check(!vfio_attach(&u.d.vfio, u.vm.parent) &&
		  where(&u.vm, &u.d, DATA_IPA(4)) == 4 &&
		  !vfio_attach(&u.d.vfio, u.hwpt) && where(&u.vm, &u.d, IOVA) == 2,
		  "suspend: to the parent and back to stage 1");
	vfio_close(&u.d.vfio);
	close(u.veventq_fd);
	vm_end(&u.vm);
	munmap(progress, sizeof(*progress));
	quiet("suspend");
}

int main(void)
{
	unsigned int i;

	kmsg = kmsg_open();
	if (kmsg < 0)
		return 1;
	vmid_reuse();
	two_devices();
	two_viommus();
	two_parents();
	late_vdevice();
	killed_vmms();
	for (i = 0; i < ARRAY_SIZE(removals); i++)
		removed(&removals[i]);
	function_reset();
	suspended();
	return tap_end();
}
