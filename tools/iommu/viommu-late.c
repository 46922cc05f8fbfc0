// SPDX-License-Identifier: GPL-2.0-only
/*
 * viommu-late: events that the host reads late
 *
 * A stream goes from the guest to the host while events of it still wait in the
 * SMMU's event queue. They were the guest's when they were recorded: the host must
 * not log them, or a guest could fill its log, and nobody else may get them.
 *
 * To be late for sure, this program keeps the thread of the event queue from
 * running: it is on the same CPU with a higher priority, and never sleeps from
 * before the fault until the stream has changed hands.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "edu.h"
#include "iommufd-calls.h"
#include "kmsg.h"
#include "tap.h"
#include "util.h"
#include "vfio.h"

#define VSID		0x208u
#define MEM_BASE	0x40000000ull
#define MEM_SIZE	(2u << 20)
/* A context descriptor of zeroes: each transaction is a C_BAD_CD */
#define CD_IPA		(MEM_BASE + 0x2000)
#define FAULT_IOVA	0x1000ull
#define FAULT_BYTES	8u
#define ROUNDS		6u
/* A machine that is busy elsewhere may take too long for the DMA: try again */
#define TRIES		(5 * ROUNDS)
/* Real-time threads get 950 ms of a second, the thread of an interrupt has 50 */
#define DMA_MS		500u
#define PRIORITY	80
#define SETTLE_US	200000u
#define ARRIVES_MS	10000

static int fd, veventq, kmsg;
static struct vfio_dev vfio;
static struct edu edu;

/* The CPU that the thread of the event queue is bound to, -1 if there is none */
static int evtq_cpu(void)
{
	char text[64], path[64], line[1024];
	int irq = -1;
	FILE *f;

	f = fopen("/proc/interrupts", "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, "arm-smmu-v3-evtq")) {
			irq = atoi(line);
			break;
		}
	}
	fclose(f);
	if (irq < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/irq/%d/effective_affinity_list", irq);
	return read_file(path, text, sizeof(text)) > 0 ? atoi(text) : -1;
}

/* On @cpu, ahead of the thread; or as any other process */
static int ahead(bool on)
{
	struct sched_param param = { .sched_priority = on ? PRIORITY : 0 };

	return sched_setscheduler(0, on ? SCHED_FIFO : SCHED_OTHER, &param) ? -errno : 0;
}

/* One DMA that faults, without sleeping */
static int fault(void)
{
	uint64_t end = now_ms() + DMA_MS;

	if (edu_start_write(&edu, FAULT_IOVA, 0, FAULT_BYTES))
		return -EIO;
	while (edu_busy(&edu))
		if (now_ms() > end)
			return -ETIMEDOUT;
	return 0;
}

/* Let the engine come to its end, and the event thread */
static void settle(void)
{
	while (edu_busy(&edu))
		usleep(1000);
	usleep(SETTLE_US);
}

/* Records in the vEVENTQ, which are taken out */
static unsigned int events(void)
{
	char record[256];
	unsigned int n = 0;
	ssize_t len;

	while ((len = read(veventq, record, sizeof(record))) > 0)
		n += len / (sizeof(struct iommufd_vevent_header) +
			    sizeof(struct iommu_vevent_arm_smmuv3));
	return n;
}

/* One DMA that faults, and time for its event to arrive */
static int fault_in_time(void)
{
	struct pollfd pfd = { .fd = veventq, .events = POLLIN };
	int ret = fault();

	if (ret == -ETIMEDOUT)
		ret = 0;
	settle();
	return ret ?: poll(&pfd, 1, ARRIVES_MS) == 1 ? 0 : -ETIMEDOUT;
}

/* Lines about an event in the kernel's log since the last call */
static unsigned int logged(void)
{
	char line[2048];
	unsigned int n = 0;
	ssize_t len;

	for (;;) {
		len = read(kmsg, line, sizeof(line) - 1);
		if (len < 0 && errno == EPIPE)
			continue;
		if (len <= 0)
			return n;
		line[len] = '\0';
		if (strstr(line, ": event 0x"))
			n++;
	}
}

int main(void)
{
	uint32_t ioas, parent, viommu, vdevice, veventq_id, s1;
	unsigned int i, n, tries, seen = 0, late = 0, lines = 0;
	bool ok = true;
	cpu_set_t set;
	void *mem;
	int cpu;

	mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	fd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	kmsg = kmsg_open();
	if (mem == MAP_FAILED || fd < 0 || kmsg < 0 ||
	    vfio_find(&vfio, EDU_VENDOR, EDU_DEVICE) || vfio_open(&vfio, fd) ||
	    ic_ioas(fd, &ioas) || ic_map(fd, ioas, MEM_BASE, mem, MEM_SIZE) ||
	    ic_parent(fd, vfio.dev_id, ioas, &parent) ||
	    vfio_attach(&vfio, parent) || vfio_bus_master(&vfio) ||
	    vfio_map_bar0(&vfio) || edu_probe(&edu, vfio.bar0) ||
	    ic_viommu(fd, vfio.dev_id, parent, &viommu) ||
	    ic_vdevice(fd, viommu, vfio.dev_id, VSID, &vdevice) ||
	    ic_veventq(fd, viommu, 64, &veventq_id, &veventq) ||
	    ic_nested(fd, vfio.dev_id, viommu, STE_S1_W0(CD_IPA), STE_S1_W1, &s1)) {
		tap_check(false, "set up a device with a stage 1 that faults");
		return tap_end();
	}
	fcntl(veventq, F_SETFL, O_NONBLOCK);

	cpu = evtq_cpu();
	CPU_ZERO(&set);
	if (cpu >= 0)
		CPU_SET(cpu, &set);
	tap_check(cpu >= 0 && !sched_setaffinity(0, sizeof(set), &set) && !ahead(true) &&
		  !ahead(false), "run where the event thread runs, ahead of it");

	/* On time: the guest's */
	ok = !vfio_attach(&vfio, s1) && !fault_in_time();
	n = events();
	tap_check(ok && n >= 1, "an event read in time is the guest's");
	tap_check(!logged(), "... and not logged");

	for (i = 0, tries = 0, ok = true; ok && i < ROUNDS && tries < TRIES; tries++) {
		ok &= !vfio_attach(&vfio, s1) && !ahead(true);
		if (fault()) {
			ok &= !ahead(false);
			settle();
			events();
			continue;
		}
		/* The thread has not run */
		seen += events();
		ok &= !(i % 2 ? vfio_attach(&vfio, parent) : vfio_detach(&vfio));
		ok &= !ahead(false);
		usleep(SETTLE_US);
		late += events();
		lines += logged();
		if (!(i % 2))
			ok &= !vfio_attach(&vfio, parent);
		i++;
	}
	ok &= i == ROUNDS;
	tap_check(ok && !seen, "have the stream change hands while an event waits");
	printf("# %u late events in %u rounds reached the guest, %u lines in the log\n", late,
	       ROUNDS, lines);
	tap_check(!late, "a late event does not go to who has the stream no more");
	tap_check(!lines, "a late event of a guest is not logged");

	/* What comes late does no harm to what comes next */
	ok = !vfio_attach(&vfio, s1) && !fault_in_time();
	n = events();
	tap_check(ok && n >= 1 && !logged(), "the next event is the guest's again");

	vfio_detach(&vfio);
	return tap_end();
}
