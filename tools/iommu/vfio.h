/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A PCI device through its VFIO character device
 */
#ifndef DEMO_VFIO_H
#define DEMO_VFIO_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct vfio_dev - An opened PCI device
 * @bdf: Its name in sysfs
 * @fd: Its character device
 * @dev_id: Its ID in the iommufd it is bound to
 * @bar0: Its registers
 * @bar0_size: Bytes in @bar0
 */
struct vfio_dev {
	char bdf[16];
	int fd;
	uint32_t dev_id;
	void *bar0;
	size_t bar0_size;
};

int vfio_find(struct vfio_dev *v, uint16_t vendor, uint16_t device);
int vfio_find_after(struct vfio_dev *v, uint16_t vendor, uint16_t device,
		    const char *bdf);
int vfio_open(struct vfio_dev *v, int iommufd);
int vfio_attach(const struct vfio_dev *v, uint32_t pt_id);
int vfio_detach(const struct vfio_dev *v);
int vfio_map_bar0(struct vfio_dev *v);
int vfio_bus_master(const struct vfio_dev *v);
int vfio_msi(const struct vfio_dev *v, int eventfd);
void vfio_close(struct vfio_dev *v);

#endif
