// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel prints while a test runs
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kmsg.h"
#include "util.h"

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
