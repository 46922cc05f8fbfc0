// SPDX-License-Identifier: GPL-2.0-only
/*
 * vsmmuv3 backend for the Linux kernel: iommufd's vIOMMU and VFIO's devices
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/iommufd.h>
#include <linux/vfio.h>

#include "util.h"
#include "vsmmuv3-iommufd.h"

/* The library has no system header; its copies of the ABI must be the ABI */
#define SAME_SIZE(a, b)		static_assert(sizeof(a) == sizeof(b), #a)
#define SAME_VALUE(a, b)	static_assert((int)(a) == (int)(b), #a)
SAME_SIZE(struct vsmmu_cmd, struct iommu_viommu_arm_smmuv3_invalidate);
SAME_SIZE(struct vsmmu_event, struct iommu_vevent_arm_smmuv3);
SAME_SIZE(struct vsmmu_vevent_header, struct iommufd_vevent_header);
SAME_VALUE(VSMMU_VEVENT_LOST, IOMMU_VEVENTQ_FLAG_LOST_EVENTS);
SAME_VALUE(VSMMU_REPORT_VALID, IOMMU_HWPT_INVALIDATE_REPORT_VALID);
SAME_VALUE(VSMMU_REPORT_HW, IOMMU_HWPT_INVALIDATE_REPORT_HW);
SAME_VALUE(VSMMU_CERROR_ILL, IOMMU_ARM_SMMUV3_CERROR_ILL);
SAME_VALUE(VSMMU_CERROR_ABT, IOMMU_ARM_SMMUV3_CERROR_ABT);
SAME_VALUE(VSMMU_CERROR_ATC_INV_SYNC, IOMMU_ARM_SMMUV3_CERROR_ATC_INV_SYNC);

/**
 * struct vsmmu_iommufd_device - A device behind the vIOMMU
 * @next: The next one
 * @fd: Its VFIO character device, not owned
 * @dev_id: Its iommufd ID
 * @vsid: The guest's StreamID
 * @vdevice_id: The vDEVICE
 * @s1_hwpt: The nested HWPT of the guest's stage 1, 0 if another is attached
 */
struct vsmmu_iommufd_device {
	struct vsmmu_iommufd_device *next;
	int fd;
	uint32_t dev_id;
	uint32_t vsid;
	uint32_t vdevice_id;
	uint32_t s1_hwpt;
};

static int do_ioctl(int fd, unsigned long request, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : 0;
}

static int destroy(const struct vsmmu_iommufd *b, uint32_t *id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = *id };
	int ret;

	if (!*id)
		return 0;
	ret = do_ioctl(b->iommufd, IOMMU_DESTROY, &cmd);
	if (!ret)
		*id = 0;
	return ret;
}

static int attach(int device_fd, uint32_t hwpt)
{
	struct vfio_device_attach_iommufd_pt cmd = {
		.argsz = sizeof(cmd),
		.pt_id = hwpt,
	};

	return do_ioctl(device_fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd);
}

static int alloc_nested(const struct vsmmu_iommufd *b, uint32_t dev_id,
			const struct vsmmu_ste *ste, uint32_t *hwpt)
{
	struct iommu_hwpt_arm_smmuv3 data = { .ste = { ste->w[0], ste->w[1] } };
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.dev_id = dev_id,
		.pt_id = b->viommu_id,
		.data_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
		.data_len = sizeof(data),
		.data_uptr = (uintptr_t)&data,
	};
	int ret;

	ret = do_ioctl(b->iommufd, IOMMU_HWPT_ALLOC, &cmd);
	if (!ret)
		*hwpt = cmd.out_hwpt_id;
	return ret;
}

/*
 * The callbacks of the library
 */

static void invalidate(void *backend, const struct vsmmu_cmd *cmds, uint32_t n,
		       struct vsmmu_report *report)
{
	struct vsmmu_iommufd *b = backend;
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd),
		.hwpt_id = b->viommu_id,
		.data_uptr = (uintptr_t)cmds,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
		.entry_len = sizeof(*cmds),
		.entry_num = n,
	};

	b->invalidate_ioctls++;
	report->err = -do_ioctl(b->iommufd, IOMMU_HWPT_INVALIDATE, &cmd);
	report->done = cmd.entry_num;
	report->flags = cmd.out_report_flags;
	report->code = cmd.out_error_code;
	report->index = cmd.out_error_index;
	/* An ioctl that failed early has written nothing back: done is what we put in */
	if (report->err && !(report->flags & VSMMU_REPORT_VALID) && report->done >= n)
		report->done = 0;
	if (report->err)
		b->last = *report;
}

static int ste_changed(void *backend, uint32_t sid, const struct vsmmu_ste *ste)
{
	struct vsmmu_iommufd *b = backend;
	struct vsmmu_iommufd_device *dev;
	uint32_t hwpt, old;
	int ret;

	for (dev = b->devices; dev; dev = dev->next)
		if (dev->vsid == sid)
			break;
	if (!dev)
		return -ENODEV;

	if (ste->kind == VSMMU_STE_S1) {
		ret = alloc_nested(b, dev->dev_id, ste, &hwpt);
		if (ret)
			return ret;
	} else {
		hwpt = b->fixed_hwpt[ste->kind];
	}

	/* Replaces what is attached; there is no moment without translation */
	ret = attach(dev->fd, hwpt);
	if (ret) {
		if (ste->kind == VSMMU_STE_S1)
			destroy(b, &hwpt);
		return ret;
	}
	old = dev->s1_hwpt;
	dev->s1_hwpt = ste->kind == VSMMU_STE_S1 ? hwpt : 0;
	return destroy(b, &old);
}

const struct vsmmu_backend_ops vsmmu_iommufd_ops = {
	.invalidate = invalidate,
	.ste_changed = ste_changed,
};

/*
 * The VMM's side
 */

/**
 * vsmmu_iommufd_host_info - Fill in what the physical SMMU is
 * @iommufd: The VMM's file
 * @dev_id: A device that is bound to it
 * @config: host_idr, host_iidr and host_aidr are set
 *
 * Return: 0, -ENODEV if the IOMMU is no SMMUv3, or the ioctl's error
 */
int vsmmu_iommufd_host_info(int iommufd, uint32_t dev_id,
			    struct vsmmu_config *config)
{
	struct iommu_hw_info_arm_smmuv3 info = {};
	struct iommu_hw_info cmd = {
		.size = sizeof(cmd),
		.dev_id = dev_id,
		.data_len = sizeof(info),
		.data_uptr = (uintptr_t)&info,
	};
	int ret;

	ret = do_ioctl(iommufd, IOMMU_GET_HW_INFO, &cmd);
	if (ret)
		return ret;
	if (cmd.out_data_type != IOMMU_HW_INFO_TYPE_ARM_SMMUV3)
		return -ENODEV;
	memcpy(config->host_idr, info.idr, sizeof(config->host_idr));
	config->host_iidr = info.iidr;
	config->host_aidr = info.aidr;
	return 0;
}

static int alloc_viommu(struct vsmmu_iommufd *b, uint32_t dev_id)
{
	struct iommu_viommu_alloc cmd = {
		.size = sizeof(cmd),
		.type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
		.dev_id = dev_id,
		.hwpt_id = b->parent_hwpt,
	};
	int ret;

	ret = do_ioctl(b->iommufd, IOMMU_VIOMMU_ALLOC, &cmd);
	if (!ret)
		b->viommu_id = cmd.out_viommu_id;
	return ret;
}

static int alloc_veventq(struct vsmmu_iommufd *b, uint32_t depth)
{
	struct iommu_veventq_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = b->viommu_id,
		.type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
		.veventq_depth = depth,
	};
	int ret, flags;

	ret = do_ioctl(b->iommufd, IOMMU_VEVENTQ_ALLOC, &cmd);
	if (ret)
		return ret;
	b->veventq_id = cmd.out_veventq_id;
	b->veventq_fd = cmd.out_veventq_fd;
	flags = fcntl(b->veventq_fd, F_GETFL);
	if (flags < 0 || fcntl(b->veventq_fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/**
 * vsmmu_iommufd_init - Make a vIOMMU and what belongs to it
 * @b: To fill in; after a failure nothing is left in it
 * @iommufd: The VMM's file
 * @dev_id: A device behind the physical SMMU
 * @parent_hwpt: HWPT with IOMMU_HWPT_ALLOC_NEST_PARENT on the IOAS that maps
 *               guest memory
 * @veventq_depth: Records that the kernel holds until they are read
 *
 * Return: 0 or the error of the first ioctl that failed
 */
int vsmmu_iommufd_init(struct vsmmu_iommufd *b, int iommufd, uint32_t dev_id,
		       uint32_t parent_hwpt, uint32_t veventq_depth)
{
	static const struct {
		enum vsmmu_ste_kind kind;
		uint64_t w0;
	} fixed[] = {
		{ VSMMU_STE_INVALID, 0x0 },
		{ VSMMU_STE_ABORT, 0x1 },
		{ VSMMU_STE_BYPASS, 0x9 },
	};
	unsigned int i;
	int ret;

	memset(b, 0, sizeof(*b));
	b->iommufd = iommufd;
	b->parent_hwpt = parent_hwpt;
	b->veventq_fd = -1;

	ret = alloc_viommu(b, dev_id);
	for (i = 0; !ret && i < 3; i++) {
		struct vsmmu_ste ste = { fixed[i].kind, { htole64(fixed[i].w0), 0 } };

		ret = alloc_nested(b, dev_id, &ste, &b->fixed_hwpt[fixed[i].kind]);
	}
	if (!ret)
		ret = alloc_veventq(b, veventq_depth);
	if (ret)
		vsmmu_iommufd_exit(b);
	return ret;
}

/**
 * vsmmu_iommufd_add_device - Put a device behind the vIOMMU
 * @b: The vIOMMU
 * @device_fd: VFIO character device that is bound to the same iommufd; stays the
 *             caller's and must stay open
 * @dev_id: Its ID there
 * @vsid: The StreamID that the guest knows it by
 *
 * The device is left blocked. vsmmu_add_stream() comes next.
 *
 * Return: 0 or the error of the ioctl that failed
 */
int vsmmu_iommufd_add_device(struct vsmmu_iommufd *b, int device_fd,
			     uint32_t dev_id, uint32_t vsid)
{
	struct iommu_vdevice_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = b->viommu_id,
		.dev_id = dev_id,
		.virt_id = vsid,
	};
	struct vsmmu_iommufd_device *dev;
	int ret;

	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return -ENOMEM;
	dev->fd = device_fd;
	dev->dev_id = dev_id;
	dev->vsid = vsid;

	ret = attach(device_fd, b->fixed_hwpt[VSMMU_STE_ABORT]);
	if (!ret)
		ret = do_ioctl(b->iommufd, IOMMU_VDEVICE_ALLOC, &cmd);
	if (ret) {
		free(dev);
		return ret;
	}
	dev->vdevice_id = cmd.out_vdevice_id;
	dev->next = b->devices;
	b->devices = dev;
	return 0;
}

/**
 * vsmmu_iommufd_remove_device - Take a device out
 * @b: The vIOMMU
 * @vsid: The StreamID, removed from the library by vsmmu_remove_stream() before
 *
 * The device is left attached to the nest parent.
 *
 * Return: 0, -ENODEV, or the error of the ioctl that failed, with the device
 * still there
 */
int vsmmu_iommufd_remove_device(struct vsmmu_iommufd *b, uint32_t vsid)
{
	struct vsmmu_iommufd_device **link = &b->devices, *dev;
	int ret;

	while (*link && (*link)->vsid != vsid)
		link = &(*link)->next;
	dev = *link;
	if (!dev)
		return -ENODEV;

	ret = attach(dev->fd, b->parent_hwpt);
	if (!ret)
		ret = destroy(b, &dev->s1_hwpt);
	if (!ret)
		ret = destroy(b, &dev->vdevice_id);
	if (ret)
		return ret;
	*link = dev->next;
	free(dev);
	return 0;
}

/**
 * vsmmu_iommufd_exit - Destroy the vIOMMU
 * @b: The vIOMMU, without devices
 *
 * Return: 0, or the first error; what could be destroyed is
 */
int vsmmu_iommufd_exit(struct vsmmu_iommufd *b)
{
	int ret, first_error = 0;
	uint32_t *ids[] = { &b->veventq_id, &b->fixed_hwpt[VSMMU_STE_BYPASS],
			    &b->fixed_hwpt[VSMMU_STE_ABORT],
			    &b->fixed_hwpt[VSMMU_STE_INVALID], &b->viommu_id };
	unsigned int i;

	/* The open file keeps the vEVENTQ */
	if (b->veventq_fd >= 0)
		close(b->veventq_fd);
	b->veventq_fd = -1;
	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		ret = destroy(b, ids[i]);
		if (ret && !first_error)
			first_error = ret;
	}
	return first_error;
}

/**
 * vsmmu_iommufd_pump - Move event records to the guest's queue
 * @b: The vIOMMU
 * @s: The vSMMU of the guest
 * @max_records: Stop after about so many, so that a flood of faults does not keep
 *               the VMM from its other work; 0 for all there are
 *
 * Return: 0 when nothing is left or @max_records was reached, read()'s error,
 * or -EPROTO for records that are none
 */
int vsmmu_iommufd_pump(struct vsmmu_iommufd *b, struct vsmmu *s,
		       unsigned int max_records)
{
	const size_t record = sizeof(struct iommufd_vevent_header) +
			      sizeof(struct iommu_vevent_arm_smmuv3);
	size_t budget = max_records ? max_records * record : SIZE_MAX;

	/* read() returns whole records only */
	while (budget >= record) {
		unsigned char buf[64 * 40];
		size_t room = budget < sizeof(buf) ? budget : sizeof(buf);
		ssize_t got;

		got = read(b->veventq_fd, buf, room);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return 0;
		if (got < 0)
			return -errno;
		if (!got)
			return 0;
		if (vsmmu_feed_events(s, buf, got) != (size_t)got)
			return -EPROTO;
		budget -= got;
	}
	return 0;
}
