// SPDX-License-Identifier: GPL-2.0-only
/*
 * A PCI device through its VFIO character device
 *
 * All functions return 0 or a negative errno.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include "util.h"
#include "vfio.h"

#define PCI_DEVICES	"/sys/bus/pci/devices"

static unsigned long read_id(const char *bdf, const char *file)
{
	char path[PATH_MAX], text[32];

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/%s", bdf, file);
	if (read_file(path, text, sizeof(text)) < 0)
		return ULONG_MAX;
	return strtoul(text, NULL, 0);
}

/**
 * vfio_find_after - Find the next device of a kind
 * @v: Its bdf is set
 * @vendor: PCI vendor ID
 * @device: PCI device ID
 * @bdf: The one before it, "" for the first
 *
 * Return: 0, or -ENODEV
 */
int vfio_find_after(struct vfio_dev *v, uint16_t vendor, uint16_t device,
		    const char *bdf)
{
	const struct dirent *entry;
	int ret = -ENODEV;
	DIR *dir;

	memset(v, 0, sizeof(*v));
	v->fd = -1;
	dir = opendir(PCI_DEVICES);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (strlen(entry->d_name) >= sizeof(v->bdf) ||
		    strcmp(entry->d_name, bdf) <= 0 ||
		    (v->bdf[0] && strcmp(entry->d_name, v->bdf) > 0) ||
		    read_id(entry->d_name, "vendor") != vendor ||
		    read_id(entry->d_name, "device") != device)
			continue;
		snprintf(v->bdf, sizeof(v->bdf), "%.15s", entry->d_name);
		ret = 0;
	}
	closedir(dir);
	return ret;
}

/* vfio_find - Find the first device of a kind, see vfio_find_after() */
int vfio_find(struct vfio_dev *v, uint16_t vendor, uint16_t device)
{
	return vfio_find_after(v, vendor, device, "");
}

static int bind_driver(const char *bdf)
{
	char path[PATH_MAX], driver[PATH_MAX];
	const char *name = NULL;
	ssize_t len;
	int ret;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver", bdf);
	len = readlink(path, driver, sizeof(driver) - 1);
	if (len > 0) {
		driver[len] = '\0';
		name = strrchr(driver, '/');
		if (name && !strcmp(name, "/vfio-pci"))
			return 0;
		snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver/unbind", bdf);
		ret = -write_file(path, bdf);
		if (ret)
			return ret;
	}
	snprintf(path, sizeof(path), PCI_DEVICES "/%s/driver_override", bdf);
	ret = -write_file(path, "vfio-pci");
	if (ret)
		return ret;
	return -write_file("/sys/bus/pci/drivers_probe", bdf);
}

static int open_cdev(const char *bdf)
{
	char path[PATH_MAX], name[32] = "";
	const struct dirent *entry;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), PCI_DEVICES "/%s/vfio-dev", bdf);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, "vfio", 4) &&
		    strlen(entry->d_name) < sizeof(name))
			snprintf(name, sizeof(name), "%.31s", entry->d_name);
	closedir(dir);
	if (!name[0])
		return -ENODEV;
	snprintf(path, sizeof(path), "/dev/vfio/devices/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/**
 * vfio_open - Open the device and bind it to an iommufd
 * @v: From vfio_find()
 * @iommufd: Where dev_id will be valid
 *
 * The device is taken from its driver and given to vfio-pci where needed.
 *
 * Return: 0 or a negative errno
 */
int vfio_open(struct vfio_dev *v, int iommufd)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = iommufd,
	};
	int ret;

	ret = bind_driver(v->bdf);
	if (ret)
		return ret;
	ret = open_cdev(v->bdf);
	if (ret < 0)
		return ret;
	v->fd = ret;
	if (ioctl(v->fd, VFIO_DEVICE_BIND_IOMMUFD, &bind))
		return -errno;
	v->dev_id = bind.out_devid;
	return 0;
}

int vfio_attach(const struct vfio_dev *v, uint32_t pt_id)
{
	struct vfio_device_attach_iommufd_pt cmd = {
		.argsz = sizeof(cmd),
		.pt_id = pt_id,
	};

	return ioctl(v->fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &cmd) ? -errno : 0;
}

int vfio_detach(const struct vfio_dev *v)
{
	struct vfio_device_detach_iommufd_pt cmd = { .argsz = sizeof(cmd) };

	return ioctl(v->fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &cmd) ? -errno : 0;
}

static int region(const struct vfio_dev *v, uint32_t index,
		  struct vfio_region_info *info)
{
	memset(info, 0, sizeof(*info));
	info->argsz = sizeof(*info);
	info->index = index;
	return ioctl(v->fd, VFIO_DEVICE_GET_REGION_INFO, info) ? -errno : 0;
}

int vfio_map_bar0(struct vfio_dev *v)
{
	struct vfio_region_info info;
	void *p;
	int ret;

	ret = region(v, VFIO_PCI_BAR0_REGION_INDEX, &info);
	if (ret)
		return ret;
	p = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, info.offset);
	if (p == MAP_FAILED)
		return -errno;
	v->bar0 = p;
	v->bar0_size = info.size;
	return 0;
}

/* Memory accesses to the device and by the device */
int vfio_bus_master(const struct vfio_dev *v)
{
	struct vfio_region_info info;
	uint16_t command;
	int ret;

	ret = region(v, VFIO_PCI_CONFIG_REGION_INDEX, &info);
	if (ret)
		return ret;
	if (pread(v->fd, &command, 2, info.offset + PCI_COMMAND) != 2)
		return -EIO;
	command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	if (pwrite(v->fd, &command, 2, info.offset + PCI_COMMAND) != 2)
		return -EIO;
	return 0;
}

/**
 * vfio_msi - The device's one MSI signals an eventfd
 * @v: The device
 * @eventfd: The eventfd, -1 to take the MSI down
 *
 * Return: 0 or a negative errno
 */
int vfio_msi(const struct vfio_dev *v, int eventfd)
{
	alignas(struct vfio_irq_set) char buf[sizeof(struct vfio_irq_set) + sizeof(int32_t)];
	struct vfio_irq_set *set = (struct vfio_irq_set *)buf;
	int32_t fd = eventfd;

	memset(buf, 0, sizeof(buf));
	set->index = VFIO_PCI_MSI_IRQ_INDEX;
	set->flags = VFIO_IRQ_SET_ACTION_TRIGGER;
	if (eventfd < 0) {
		set->argsz = sizeof(*set);
		set->flags |= VFIO_IRQ_SET_DATA_NONE;
	} else {
		set->argsz = sizeof(buf);
		set->flags |= VFIO_IRQ_SET_DATA_EVENTFD;
		set->count = 1;
		memcpy(set->data, &fd, sizeof(fd));
	}
	return ioctl(v->fd, VFIO_DEVICE_SET_IRQS, set) ? -errno : 0;
}

void vfio_close(struct vfio_dev *v)
{
	if (v->bar0)
		munmap(v->bar0, v->bar0_size);
	v->bar0 = NULL;
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
}
