/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before anything else in a kselftest: the time-out of the harness is for
 * hardware. How many times slower the machine may be is on the kernel's command line
 * (see vmlib.sh), which is init's environment and that of its children.
 */
#ifndef VIOMMU_SLOW_H
#define VIOMMU_SLOW_H

#include <stdlib.h>
#include <unistd.h>

static inline unsigned int slow_alarm(unsigned int seconds)
{
	const char *slow = getenv("viommu_slow");

	return alarm(slow ? seconds * atoi(slow) : seconds);
}

#define alarm(seconds) slow_alarm(seconds)

#endif
