// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hardware errors on request
 */
#include <stdio.h>

#include "inject.h"
#include "util.h"

#define INJECT_DIR	"/sys/kernel/debug/fail_arm_smmu_cmdq"

static bool set_attr(const char *attr, int value)
{
	char path[128], text[16];

	snprintf(path, sizeof(path), INJECT_DIR "/%s", attr);
	snprintf(text, sizeof(text), "%d", value);
	return !write_file(path, text);
}

bool inject_errors(unsigned int index, int times, unsigned int probability)
{
	return set_attr("verbose", 0) && set_attr("interval", 1) &&
	       set_attr("index", index) && set_attr("times", times) &&
	       set_attr("probability", probability);
}
