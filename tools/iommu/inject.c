// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hardware errors on request
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "inject.h"

#define INJECT_DIR	"/sys/kernel/debug/fail_arm_smmu_cmdq"

static bool set_attr(const char *attr, int value)
{
	char path[128], text[16];
	int fd, len, ret;

	snprintf(path, sizeof(path), INJECT_DIR "/%s", attr);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = snprintf(text, sizeof(text), "%d", value);
	ret = write(fd, text, len);
	close(fd);
	return ret == len;
}

bool inject_errors(unsigned int index, int times, unsigned int probability)
{
	return set_attr("verbose", 0) && set_attr("interval", 1) &&
	       set_attr("index", index) && set_attr("times", times) &&
	       set_attr("probability", probability);
}
