// SPDX-License-Identifier: GPL-2.0-only
/*
 * iommufd's ioctls as functions, and what a test of them needs besides
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "iommufd-calls.h"
#include "util.h"

int ic_call(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) ? errno : 0;
}

int ic_destroy(int fd, uint32_t id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return ic_call(fd, IOMMU_DESTROY, &cmd);
}

int ic_ioas(int fd, uint32_t *id)
{
	struct iommu_ioas_alloc cmd = { .size = sizeof(cmd) };
	int ret = ic_call(fd, IOMMU_IOAS_ALLOC, &cmd);

	if (!ret)
		*id = cmd.out_ioas_id;
	return ret;
}

int ic_map(int fd, uint32_t ioas, uint64_t iova, void *mem, uint64_t len)
{
	struct iommu_ioas_map cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
			 IOMMU_IOAS_MAP_WRITEABLE,
		.ioas_id = ioas,
		.user_va = (uintptr_t)mem,
		.length = len,
		.iova = iova,
	};

	return ic_call(fd, IOMMU_IOAS_MAP, &cmd);
}

int ic_unmap(int fd, uint32_t ioas, uint64_t iova, uint64_t len)
{
	struct iommu_ioas_unmap cmd = {
		.size = sizeof(cmd),
		.ioas_id = ioas,
		.iova = iova,
		.length = len,
	};

	return ic_call(fd, IOMMU_IOAS_UNMAP, &cmd);
}

int ic_parent(int fd, uint32_t dev_id, uint32_t ioas, uint32_t *id)
{
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
		.dev_id = dev_id,
		.pt_id = ioas,
	};
	int ret = ic_call(fd, IOMMU_HWPT_ALLOC, &cmd);

	if (!ret)
		*id = cmd.out_hwpt_id;
	return ret;
}

int ic_nested(int fd, uint32_t dev_id, uint32_t pt_id, uint64_t w0, uint64_t w1,
	      uint32_t *id)
{
	struct iommu_hwpt_arm_smmuv3 data = { .ste = { htole64(w0), htole64(w1) } };
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd),
		.dev_id = dev_id,
		.pt_id = pt_id,
		.data_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
		.data_len = sizeof(data),
		.data_uptr = (uintptr_t)&data,
	};
	int ret = ic_call(fd, IOMMU_HWPT_ALLOC, &cmd);

	if (!ret)
		*id = cmd.out_hwpt_id;
	return ret;
}

int ic_viommu(int fd, uint32_t dev_id, uint32_t parent, uint32_t *id)
{
	struct iommu_viommu_alloc cmd = {
		.size = sizeof(cmd),
		.type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
		.dev_id = dev_id,
		.hwpt_id = parent,
	};
	int ret = ic_call(fd, IOMMU_VIOMMU_ALLOC, &cmd);

	if (!ret)
		*id = cmd.out_viommu_id;
	return ret;
}

int ic_vdevice(int fd, uint32_t viommu, uint32_t dev_id, uint64_t vsid,
	       uint32_t *id)
{
	struct iommu_vdevice_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = viommu,
		.dev_id = dev_id,
		.virt_id = vsid,
	};
	int ret = ic_call(fd, IOMMU_VDEVICE_ALLOC, &cmd);

	if (!ret)
		*id = cmd.out_vdevice_id;
	return ret;
}

int ic_veventq(int fd, uint32_t viommu, uint32_t depth, uint32_t *id,
	       int *veventq_fd)
{
	struct iommu_veventq_alloc cmd = {
		.size = sizeof(cmd),
		.viommu_id = viommu,
		.type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
		.veventq_depth = depth,
	};
	int ret = ic_call(fd, IOMMU_VEVENTQ_ALLOC, &cmd);

	if (!ret) {
		*id = cmd.out_veventq_id;
		*veventq_fd = cmd.out_veventq_fd;
	}
	return ret;
}

int ic_invalidate(int fd, uint32_t viommu, const void *cmds, uint32_t num,
		  struct iommu_hwpt_invalidate *cmd)
{
	*cmd = (struct iommu_hwpt_invalidate){
		.size = sizeof(*cmd),
		.hwpt_id = viommu,
		.data_uptr = (uintptr_t)cmds,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
		.entry_len = sizeof(struct iommu_viommu_arm_smmuv3_invalidate),
		.entry_num = num,
	};
	return ic_call(fd, IOMMU_HWPT_INVALIDATE, cmd);
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = errno;
	close(fd);
	return ret;
}

int read_file(const char *path, char *text, unsigned int size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, text, size - 1);
	if (len < 0)
		len = -errno;
	else
		text[len] = '\0';
	close(fd);
	return len;
}

int kmsg_open(void)
{
	int kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (kmsg >= 0)
		lseek(kmsg, 0, SEEK_END);
	return kmsg;
}

void kmsg_count(int kmsg, struct kmsg_count *count)
{
	static const char *const splats[] = {
		"WARNING: ", "BUG: ", "Oops", "Internal error", "refcount_t",
		"suspicious RCU usage", "INFO: possible", "INFO: task",
		"INFO: rcu", "Time out waiting for iommufd", "UBSAN", "KCSAN",
	};
	/* What the kernel says of a machine that is slow, whoever keeps it busy */
	static const char *const slow[] = {
		"hrtimer: interrupt took", "RT throttling", "clocksource:",
		"hogged CPU",
	};
	char line[2048], *nl;
	unsigned int i;
	ssize_t len;

	memset(count, 0, sizeof(*count));
	for (;;) {
		len = read(kmsg, line, sizeof(line) - 1);
		if (len < 0 && errno == EPIPE) {
			count->lost = true;
			continue;
		}
		if (len <= 0)
			return;
		line[len] = '\0';
		nl = strchr(line, '\n');
		if (nl)
			*nl = '\0';
		for (i = 0; i < ARRAY_SIZE(slow) && !strstr(line, slow[i]); i++)
			;
		count->lines += i == ARRAY_SIZE(slow);
		if (strstr(line, "CMDQ") || strstr(line, "CMD_SYNC") ||
		    strstr(line, "global error"))
			count->cmdq++;
		for (i = 0; i < ARRAY_SIZE(splats); i++) {
			if (!strstr(line, splats[i]))
				continue;
			if (!count->splats++)
				snprintf(count->splat, sizeof(count->splat), "%.255s", line);
			break;
		}
	}
}

/* Processes that are forked after the first test count on */
static struct {
	unsigned int nr, failed;
} *tap;

bool tap_check(bool ok, const char *name)
{
	if (!tap) {
		tap = mmap(NULL, sizeof(*tap), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (tap == MAP_FAILED)
			exit(1);
		printf("TAP version 13\n");
	}
	tap->nr++;
	printf("%sok %u %s\n", ok ? "" : "not ", tap->nr, name);
	fflush(stdout);
	if (!ok)
		tap->failed++;
	return ok;
}

int tap_end(void)
{
	if (!tap)
		return 1;
	printf("1..%u\n# %u passed, %u failed\n", tap->nr, tap->nr - tap->failed,
	       tap->failed);
	return tap->failed ? 1 : 0;
}
