// SPDX-License-Identifier: GPL-2.0-only
/*
 * viommu-example: the life of a vIOMMU in one page of C
 *
 * What a VMM does for a guest with an SMMUv3 and one assigned device, from open()
 * to close(), with the guest's part left out: its STE and its commands are
 * constants here. Any PCI device will do that is behind an SMMUv3 with both stages
 * and bound to vfio-pci; its DMA is not used.
 *
 *	viommu-example /dev/vfio/devices/vfio0
 *
 * Documentation/userspace-api/iommufd-viommu.rst goes through it.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/iommufd.h>
#include <linux/vfio.h>

#define GUEST_RAM	0x40000000ull
#define GUEST_RAM_SIZE	(2ull << 20)
#define GUEST_SID	0x4201u		/* The StreamID that the guest knows */

static int iommufd;

/* Every ioctl here must succeed, or the program ends */
static void must(const char *what, int ret)
{
	if (ret < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(errno));
		exit(1);
	}
	printf("%s\n", what);
}

/* [device] The device belongs to this iommufd from here on */
static __u32 bind_device(int device)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = iommufd,
	};

	must("bound", ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	return bind.out_devid;
}

static void attach(int device, __u32 hwpt)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = hwpt,
	};

	must("attached", ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach));
}

static void detach(int device)
{
	struct vfio_device_detach_iommufd_pt detach = { .argsz = sizeof(detach) };

	must("detached", ioctl(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
}

/* [stage2] Guest memory at guest-physical addresses: the VM's stage 2 */
static __u32 make_stage2(__u32 dev_id, __u32 *ioas)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.iova = GUEST_RAM,
		.length = GUEST_RAM_SIZE,
	};
	struct iommu_hwpt_alloc parent = {
		.size = sizeof(parent),
		.flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
		.dev_id = dev_id,
	};
	void *ram = mmap(NULL, GUEST_RAM_SIZE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must("guest memory", ram == MAP_FAILED ? -1 : 0);
	must("IOAS", ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc));
	map.ioas_id = alloc.out_ioas_id;
	map.user_va = (uintptr_t)ram;
	must("map guest memory", ioctl(iommufd, IOMMU_IOAS_MAP, &map));
	parent.pt_id = alloc.out_ioas_id;
	must("nest parent", ioctl(iommufd, IOMMU_HWPT_ALLOC, &parent));
	*ioas = alloc.out_ioas_id;
	return parent.out_hwpt_id;
}

/* [viommu] The slice of the physical SMMU that the guest drives */
static __u32 make_viommu(__u32 dev_id, __u32 parent)
{
	struct iommu_viommu_alloc viommu = {
		.size = sizeof(viommu),
		.type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
		.dev_id = dev_id,
		.hwpt_id = parent,
	};

	must("vIOMMU", ioctl(iommufd, IOMMU_VIOMMU_ALLOC, &viommu));
	return viommu.out_viommu_id;
}

static __u32 make_vdevice(__u32 viommu, __u32 dev_id)
{
	struct iommu_vdevice_alloc vdevice = {
		.size = sizeof(vdevice),
		.viommu_id = viommu,
		.dev_id = dev_id,
		.virt_id = GUEST_SID,
	};

	must("vDEVICE", ioctl(iommufd, IOMMU_VDEVICE_ALLOC, &vdevice));
	return vdevice.out_vdevice_id;
}

static int make_veventq(__u32 viommu, __u32 *id)
{
	struct iommu_veventq_alloc veventq = {
		.size = sizeof(veventq),
		.viommu_id = viommu,
		.type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
		.veventq_depth = 64,
	};

	must("vEVENTQ", ioctl(iommufd, IOMMU_VEVENTQ_ALLOC, &veventq));
	must("vEVENTQ: O_NONBLOCK", fcntl(veventq.out_veventq_fd, F_SETFL, O_NONBLOCK));
	*id = veventq.out_veventq_id;
	return veventq.out_veventq_fd;
}

/* [nested] The guest wrote an STE and said so with CFGI_STE */
static __u32 make_nested(__u32 viommu, __u32 dev_id, __u64 word0, __u64 word1)
{
	struct iommu_hwpt_arm_smmuv3 vste = { { htole64(word0), htole64(word1) } };
	struct iommu_hwpt_alloc nested = {
		.size = sizeof(nested),
		.dev_id = dev_id,
		.pt_id = viommu,
		.data_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
		.data_len = sizeof(vste),
		.data_uptr = (uintptr_t)&vste,
	};

	must("nested HWPT", ioctl(iommufd, IOMMU_HWPT_ALLOC, &nested));
	return nested.out_hwpt_id;
}

/* [invalidate] Commands of the guest's queue, up to its CMD_SYNC */
static int run_commands(__u32 viommu, const struct iommu_viommu_arm_smmuv3_invalidate *cmds,
			__u32 n)
{
	struct iommu_hwpt_invalidate inv = {
		.size = sizeof(inv),
		.hwpt_id = viommu,
		.data_uptr = (uintptr_t)cmds,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
		.entry_len = sizeof(*cmds),
		.entry_num = n,
	};
	int err = ioctl(iommufd, IOMMU_HWPT_INVALIDATE, &inv) ? errno : 0;

	if (!(inv.out_report_flags & IOMMU_HWPT_INVALIDATE_REPORT_VALID)) {
		printf("%u commands: %s, no report\n", n, strerror(err));
		return -1;
	}
	printf("%u commands: %u done", n, inv.entry_num);
	if (err)
		printf(", %s at %u, CERROR %u found by the %s", strerror(err),
		       inv.out_error_index, inv.out_error_code,
		       inv.out_report_flags & IOMMU_HWPT_INVALIDATE_REPORT_HW ?
			       "SMMU" : "kernel");
	printf("\n");
	/*
	 * For the guest: CMDQ_CONS.RD at that command, CMDQ_CONS.ERR = code. What is not
	 * the fault of one command stops the queue behind the last that is done.
	 */
	if (err == EIO && inv.out_error_code == IOMMU_ARM_SMMUV3_CERROR_ILL)
		return inv.out_error_index;
	return err ? (int)inv.entry_num : -1;
}

/* [events] What the guest's stage 1 faulted on, until there is no more */
static void read_events(int fd)
{
	struct {
		struct iommufd_vevent_header header;
		struct iommu_vevent_arm_smmuv3 event;
	} record;
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	ssize_t len;

	while (poll(&pfd, 1, 0) > 0) {
		len = read(fd, &record, sizeof(record));
		must("read an event", len);
		if (record.header.flags & IOMMU_VEVENTQ_FLAG_LOST_EVENTS)
			printf("events up to %u were lost\n", record.header.sequence);
		else
			printf("event %u: 0x%llx\n", record.header.sequence,
			       (unsigned long long)le64toh(record.event.evt[0]));
	}
}

/* [destroy] */
static void destroy(const char *what, __u32 id)
{
	struct iommu_destroy destroy = { .size = sizeof(destroy), .id = id };

	must(what, ioctl(iommufd, IOMMU_DESTROY, &destroy));
}

/* [main] */
int main(int argc, char **argv)
{
	/* TLBI_NH_ASID, CFGI_CD of the guest's StreamID, and a Reserved opcode */
	const struct iommu_viommu_arm_smmuv3_invalidate cmds[] = {
		{ { htole64(0x0042000000000011), 0 } },
		{ { htole64((__u64)GUEST_SID << 32 | 0x05), htole64(1) } },
		{ { htole64(0xff), 0 } },
	};
	__u32 dev_id, ioas, parent, viommu, vdevice, veventq, abort_hwpt, s1_hwpt;
	int device, veventq_fd;

	if (argc != 2) {
		fprintf(stderr, "usage: %s /dev/vfio/devices/vfioN\n", argv[0]);
		return 2;
	}

	iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	must("/dev/iommu", iommufd);
	device = open(argv[1], O_RDWR | O_CLOEXEC);
	must(argv[1], device);

	dev_id = bind_device(device);
	parent = make_stage2(dev_id, &ioas);
	viommu = make_viommu(dev_id, parent);
	veventq_fd = make_veventq(viommu, &veventq);
	vdevice = make_vdevice(viommu, dev_id);

	/* The guest has not set up the stream yet: V = 1, Config = abort */
	abort_hwpt = make_nested(viommu, dev_id, 0x1, 0);
	attach(device, abort_hwpt);
	/* It has now: V = 1, Config = stage 1, CDs at the start of its memory */
	s1_hwpt = make_nested(viommu, dev_id, GUEST_RAM | 0xb, 0);
	attach(device, s1_hwpt);

	if (run_commands(viommu, cmds, 2) != -1 || run_commands(viommu, cmds, 3) != 2)
		return 1;
	read_events(veventq_fd);

	/* What is used can't go before its user */
	attach(device, abort_hwpt);
	destroy("destroy the nested HWPT", s1_hwpt);
	destroy("destroy the vDEVICE", vdevice);
	detach(device);
	destroy("destroy the other nested HWPT", abort_hwpt);
	close(veventq_fd);
	destroy("destroy the vEVENTQ", veventq);
	destroy("destroy the vIOMMU", viommu);
	destroy("destroy the nest parent", parent);
	destroy("destroy the IOAS", ioas);
	close(device);
	close(iommufd);
	return 0;
}
