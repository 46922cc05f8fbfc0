// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMM of the demo: iommufd, VFIO and guest memory
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/iommufd.h>

#include "demo.h"

static const char *outcome(int ret)
{
	return ret ? strerror(-ret) : "done";
}

static bool host_line(const char *step, int ret)
{
	return demo_line(step, !ret, "done", "%s", outcome(ret));
}

static int do_ioctl(const struct demo *d, unsigned long request, void *arg)
{
	return ioctl(d->iommufd, request, arg) ? -errno : 0;
}

static int destroy(const struct demo *d, uint32_t id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return do_ioctl(d, IOMMU_DESTROY, &cmd);
}

/* The callbacks of the library */

static void *machine_guest_ptr(void *machine, uint64_t gpa, size_t len)
{
	return guest_ptr(machine, gpa, len);
}

static const struct vsmmu_machine_ops machine_ops = {
	.guest_ptr = machine_guest_ptr,
};

/* Setting up */

static int alloc_ioas(struct demo *d)
{
	struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
	int ret;

	ret = do_ioctl(d, IOMMU_IOAS_ALLOC, &cmd);
	if (!ret)
		d->ioas = cmd.out_ioas_id;
	return ret;
}

static int map_guest_memory(struct demo *d)
{
	struct iommu_ioas_map cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = d->ioas,
		.length = DEMO_MEM_SIZE,
		.iova = DEMO_MEM_BASE,
	};
	void *p;

	p = mmap(NULL, DEMO_MEM_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	d->guest.mem = p;
	d->guest.base = DEMO_MEM_BASE;
	d->guest.size = DEMO_MEM_SIZE;
	d->guest.next = DEMO_MEM_BASE;
	cmd.user_va = (uintptr_t)p;
	return do_ioctl(d, IOMMU_IOAS_MAP, &cmd);
}

static int alloc_parent(struct demo *d)
{
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
		.dev_id = d->vfio.dev_id,
		.pt_id = d->ioas,
	};
	int ret;

	ret = do_ioctl(d, IOMMU_HWPT_ALLOC, &cmd);
	if (!ret)
		d->parent = cmd.out_hwpt_id;
	return ret;
}

static bool show_host(const struct demo *d, struct vsmmu_config *config)
{
	int ret = vsmmu_iommufd_host_info(d->iommufd, d->vfio.dev_id, config);

	if (ret)
		return demo_line("host: hw_info", false, "an SMMUv3", "%s", outcome(ret));
	return demo_line("host: hw_info", (config->host_idr[0] & 3) == 3,
			 "an SMMUv3 with stages 1 and 2",
			 "IDR0 %08x IDR1 %08x IDR3 %x IDR5 %x",
			 config->host_idr[0], config->host_idr[1],
			 config->host_idr[3], config->host_idr[5]);
}

/* The device with nothing but stage 2: does the engine work at all? */
static bool check_engine(struct demo *d)
{
	static const char text[16] = "viommu-demo edu";
	uint64_t from = guest_alloc(&d->guest, GUEST_PAGE);
	uint64_t to = guest_alloc(&d->guest, GUEST_PAGE);
	bool same;
	int ret;

	memcpy(guest_ptr(&d->guest, from, sizeof(text)), text, sizeof(text));
	ret = edu_read(&d->edu, from, 0, sizeof(text));
	if (!ret)
		ret = edu_write(&d->edu, to, 0, sizeof(text));
	same = !memcmp(guest_ptr(&d->guest, to, sizeof(text)), text, sizeof(text));
	return demo_line("host: DMA, stage 2 only", !ret && same, "data copied",
			 "%s", ret ? outcome(ret) : same ? "data copied" : "no data");
}

static bool open_device(struct demo *d)
{
	int ret;

	d->vfio.fd = -1;
	d->iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (d->iommufd < 0)
		return demo_line("host: /dev/iommu", false, "opened", "%s", outcome(-errno));
	ret = vfio_find(&d->vfio, EDU_VENDOR, EDU_DEVICE);
	if (ret)
		return demo_line("host: edu device", false, "1234:11e8", "%s", outcome(ret));
	ret = vfio_open(&d->vfio, d->iommufd);
	return demo_line("host: VFIO device", !ret, "bound to iommufd", "%s: %s",
			 d->vfio.bdf, ret ? outcome(ret) : "bound to iommufd");
}

static bool start_device(struct demo *d)
{
	int ret;

	ret = vfio_attach(&d->vfio, d->parent);
	if (!ret)
		ret = vfio_map_bar0(&d->vfio);
	if (!ret)
		ret = vfio_bus_master(&d->vfio);
	if (!ret)
		ret = edu_probe(&d->edu, d->vfio.bar0);
	return host_line("host: attach to parent", ret);
}

static bool create_vsmmu(struct demo *d, struct vsmmu_config *config)
{
	int ret;

	ret = vsmmu_iommufd_init(&d->viommu, d->iommufd, d->vfio.dev_id, d->parent,
				 DEMO_VEVENTQ_DEPTH);
	if (!host_line("host: vIOMMU, vEVENTQ", ret))
		return false;
	ret = vsmmu_iommufd_add_device(&d->viommu, d->vfio.fd, d->vfio.dev_id, DEMO_VSID);
	if (!demo_line("host: vDEVICE", !ret, "done", "StreamID 0x%x in the guest: %s",
		       DEMO_VSID, outcome(ret)))
		return false;
	ret = destroy(d, d->viommu.viommu_id);
	if (!demo_line("host: destroy used vIOMMU", ret == -EBUSY, strerror(EBUSY),
		       "%s", outcome(ret)))
		return false;

	config->sid_bits = DEMO_SID_BITS;
	config->cmdq_log2 = DEMO_CMDQ_LOG2;
	config->eventq_log2 = DEMO_EVENTQ_LOG2;
	d->vsmmu = vsmmu_create(config, &vsmmu_iommufd_ops, &d->viommu, &machine_ops,
				&d->guest);
	if (!d->vsmmu)
		return host_line("host: vSMMU", -errno);
	return host_line("host: vSMMU", vsmmu_add_stream(d->vsmmu, DEMO_VSID));
}

bool demo_setup(struct demo *d)
{
	struct vsmmu_config config = {};

	demo_heading("The host makes a vIOMMU");
	return open_device(d) && show_host(d, &config) &&
	       host_line("host: IOAS", alloc_ioas(d)) &&
	       host_line("host: guest memory", map_guest_memory(d)) &&
	       host_line("host: nest parent HWPT", alloc_parent(d)) &&
	       start_device(d) && check_engine(d) && create_vsmmu(d, &config);
}

/* Tearing down: what is used can't go before its user */

void demo_teardown(struct demo *d)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = d->ioas,
		.iova = DEMO_MEM_BASE,
		.length = DEMO_MEM_SIZE,
	};

	demo_heading("Everything goes, in order");
	if (d->vsmmu) {
		vsmmu_remove_stream(d->vsmmu, DEMO_VSID);
		host_line("vDEVICE, nested HWPT",
			  vsmmu_iommufd_remove_device(&d->viommu, DEMO_VSID));
		vsmmu_destroy(d->vsmmu);
	}
	if (d->viommu.viommu_id)
		host_line("vEVENTQ, HWPTs, vIOMMU", vsmmu_iommufd_exit(&d->viommu));
	if (d->parent) {
		host_line("detach", vfio_detach(&d->vfio));
		host_line("nest parent HWPT", destroy(d, d->parent));
	}
	if (d->guest.mem)
		host_line("unmap guest memory", do_ioctl(d, IOMMU_IOAS_UNMAP, &unmap));
	if (d->ioas)
		host_line("IOAS", destroy(d, d->ioas));
	vfio_close(&d->vfio);
	if (d->iommufd > 0)
		close(d->iommufd);
}
