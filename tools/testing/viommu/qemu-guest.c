// SPDX-License-Identifier: GPL-2.0-only
/*
 * The only process of the guest of "make demo-qemu": PID 1 of its initramfs. It has
 * a kernel with NVMe and SMMUv3 drivers, and does what the host's qemu-host.c asks
 * through a virtio port, a line at a time, once it has said "ready RELEASE". What
 * comes earlier is lost to the firmware, for which the port is a terminal. Each
 * request is answered by one line, "ok ..." or "bad ...":
 *
 *	domain NAME	what translates for a device, "nvme" or "edu"
 *	copy A B N	N MiB of the disk from A to B (both MiB), and compares
 *	irqs		the number of the disk's interrupts so far, if all are MSIs
 *	fault N		N DMAs of edu to where nothing is mapped; the events that the
 *			SMMU driver printed for them
 *	gone, back	waits until there is no disk, or one that can be read
 *	reboot, off	are not answered
 *
 * The guest never makes data up: the disk's contents come from outside, so that a
 * copy with the right contents has been read and written by DMA.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

/* One file to build, and to look at when something in it is new */
#include "../../iommu/edu.c"
#include "../../iommu/util.c"

#define PCI_DIR		"/sys/bus/pci/devices"
#define DISK		"/dev/nvme0n1"
#define PORT		"qemu-host"

#define MIB		(1024u * 1024)
#define MAX_COPY	64u
#define BLOCK		4096
#define EDU_BAR_SIZE	MIB
#define WAIT_SECONDS	300u
#define TICK_US		50000

/* Nothing of the guest's has ever been mapped there */
#define BAD_IOVA	0x5000000000ull

static int port = -1;

static bool PRINTF_LIKE(2, 3) answer(bool ok, const char *fmt, ...)
{
	char line[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	dprintf(port, "%s %s\n", ok ? "ok" : "bad", line);
	return ok;
}

/* The first line of a file, without its end */
static bool read_line(const char *path, char *buf, size_t size)
{
	if (read_file(path, buf, size) < 0)
		return false;
	buf[strcspn(buf, "\n")] = '\0';
	return true;
}

static unsigned long read_hex(const char *dir, const char *dev, const char *file)
{
	char path[PATH_MAX], text[32];

	snprintf(path, sizeof(path), "%s/%s/%s", dir, dev, file);
	return read_line(path, text, sizeof(text)) ? strtoul(text, NULL, 16) : 0;
}

/* The address of the device that "nvme" or "edu" names */
static bool find_device(const char *name, char addr[NAME_MAX + 1])
{
	bool nvme = !strcmp(name, "nvme");
	struct dirent *e;
	bool found = false;
	DIR *dir = opendir(PCI_DIR);

	if (!dir)
		return false;
	while (!found && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		if (nvme ? read_hex(PCI_DIR, e->d_name, "class") != 0x010802 :
		    read_hex(PCI_DIR, e->d_name, "vendor") != EDU_VENDOR ||
		    read_hex(PCI_DIR, e->d_name, "device") != EDU_DEVICE)
			continue;
		snprintf(addr, NAME_MAX + 1, "%s", e->d_name);
		found = true;
	}
	closedir(dir);
	return found;
}

/*
 * A device gets its IOMMU domain when a driver is offered to it, and edu has none:
 * virtio's looks at its capabilities and declines.
 */
static void offer_driver(const char *addr)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), PCI_DIR "/%s/driver_override", addr);
	if (write_file(path, "virtio-pci"))
		return;
	write_file("/sys/bus/pci/drivers_probe", addr);
}

static void do_domain(const char *name)
{
	char addr[NAME_MAX + 1], path[PATH_MAX], type[64], target[PATH_MAX];
	const char *smmu;
	ssize_t n;

	if (!find_device(name, addr)) {
		answer(false, "no %s", name);
		return;
	}
	if (!strcmp(name, "edu"))
		offer_driver(addr);
	snprintf(path, sizeof(path), PCI_DIR "/%s/iommu_group/type", addr);
	if (!read_line(path, type, sizeof(type))) {
		answer(false, "%s has no IOMMU group", addr);
		return;
	}
	snprintf(path, sizeof(path), PCI_DIR "/%s/iommu", addr);
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = '\0';
	smmu = strrchr(target, '/');
	answer(smmu && !strncmp(type, "DMA", 3), "%s %s %s", addr,
	       smmu ? smmu + 1 : "none", type);
}

/* All of it, with the cache out of the way */
static bool transfer_disk(int fd, bool out, char *buf, size_t size, off_t at)
{
	while (size) {
		ssize_t n = out ? pwrite(fd, buf, size, at) : pread(fd, buf, size, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		buf += n;
		size -= n;
		at += n;
	}
	return true;
}

static bool copy(int fd, off_t from, off_t to, size_t size)
{
	char *data = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *back = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool ok;

	if (data == MAP_FAILED || back == MAP_FAILED)
		return answer(false, "mmap: %s", strerror(errno));
	if (!transfer_disk(fd, false, data, size, from))
		ok = answer(false, "read: %s", strerror(errno));
	else if (!transfer_disk(fd, true, data, size, to) || fsync(fd))
		ok = answer(false, "write: %s", strerror(errno));
	else if (!transfer_disk(fd, false, back, size, to))
		ok = answer(false, "read back: %s", strerror(errno));
	else if (memcmp(data, back, size))
		ok = answer(false, "what was read back is not what was written");
	else
		ok = answer(true, "%zu", size / MIB);
	munmap(data, size);
	munmap(back, size);
	return ok;
}

static void do_copy(unsigned int from, unsigned int to, unsigned int mib)
{
	int fd;

	if (!mib || mib > MAX_COPY) {
		answer(false, "1 to %u MiB", MAX_COPY);
		return;
	}
	fd = open(DISK, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0) {
		answer(false, DISK ": %s", strerror(errno));
		return;
	}
	copy(fd, (off_t)from * MIB, (off_t)to * MIB, (size_t)mib * MIB);
	close(fd);
}

static void do_irqs(void)
{
	FILE *f = fopen("/proc/interrupts", "re");
	unsigned long total = 0, vectors = 0;
	char line[1024];
	bool msi = true;

	if (!f) {
		answer(false, "/proc/interrupts: %s", strerror(errno));
		return;
	}
	while (fgets(line, sizeof(line), f)) {
		char *p = strchr(line, ':'), *end;

		if (!p || !strstr(line, "nvme"))
			continue;
		vectors++;
		msi &= !!strstr(line, "MSI");
		for (p++;; p = end) {
			unsigned long n = strtoul(p, &end, 10);

			if (end == p)
				break;
			total += n;
		}
	}
	fclose(f);
	answer(vectors && msi, "%lu", total);
}

/* The kernel's log from here on */
static int open_kmsg(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/*
 * Events in the log for a bad DMA. The driver prints one as "event 0x10 received:"
 * and four records with a word each; the third is the address.
 */
static unsigned int count_events(int kmsg, unsigned int wanted)
{
	unsigned int events = 0, tries, word = 4;
	char record[1024];

	for (tries = 0; tries < 200 && events < wanted; tries++) {
		ssize_t n = read(kmsg, record, sizeof(record) - 1);
		unsigned long long value;
		char *text, *end;

		if (n < 0) {
			if (errno == EAGAIN)
				usleep(TICK_US);
			continue;
		}
		record[n] = '\0';
		record[strcspn(record, "\n")] = '\0';
		text = strstr(record, "arm-smmu-v3");
		if (!text)
			continue;
		if (strstr(text, "event 0x10 received:")) {
			word = 0;
			continue;
		}
		text = strrchr(text, 'x');
		if (!text || word >= 4)
			continue;
		value = strtoull(text + 1, &end, 16);
		if (end != text + 17)
			continue;
		if (word++ == 2 && (value & ~0xfffffull) == BAD_IOVA)
			events++;
	}
	return events;
}

static bool fault(const char *addr, int kmsg, unsigned int wanted)
{
	char path[PATH_MAX];
	uint16_t command;
	struct edu edu;
	unsigned int i;
	void *bar;
	int fd;

	snprintf(path, sizeof(path), PCI_DIR "/%s/enable", addr);
	write_file(path, "1");
	snprintf(path, sizeof(path), PCI_DIR "/%s/config", addr);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, &command, 2, 4) != 2)
		return answer(false, "%s: %s", path, strerror(errno));
	command |= 1 << 1 | 1 << 2;	/* memory, bus master */
	if (pwrite(fd, &command, 2, 4) != 2)
		return answer(false, "%s: %s", path, strerror(errno));
	close(fd);

	snprintf(path, sizeof(path), PCI_DIR "/%s/resource0", addr);
	fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
	if (fd < 0)
		return answer(false, "%s: %s", path, strerror(errno));
	bar = mmap(NULL, EDU_BAR_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (bar == MAP_FAILED)
		return answer(false, "mmap of BAR 0: %s", strerror(errno));

	if (edu_probe(&edu, bar))
		return answer(false, "BAR 0 is not that of an edu");
	for (i = 0; i < wanted; i++)
		/* One access of the device's, so one event */
		if (edu_write(&edu, BAD_IOVA + i * 0x1000, 0, 4))
			return answer(false, "edu: a DMA does not end");
	munmap(bar, EDU_BAR_SIZE);

	i = count_events(kmsg, wanted);
	return answer(i == wanted, "%u", i);
}

static void do_fault(unsigned int wanted)
{
	char addr[NAME_MAX + 1];
	int kmsg;

	if (!find_device("edu", addr)) {
		answer(false, "no edu");
		return;
	}
	kmsg = open_kmsg();
	if (kmsg < 0) {
		answer(false, "/dev/kmsg: %s", strerror(errno));
		return;
	}
	fault(addr, kmsg, wanted);
	close(kmsg);
}

static bool disk_readable(void)
{
	int fd = open(DISK, O_RDONLY | O_DIRECT | O_CLOEXEC);
	void *block = aligned_alloc(BLOCK, BLOCK);
	bool ok;

	ok = fd >= 0 && block && pread(fd, block, BLOCK, 0) == BLOCK;
	if (fd >= 0)
		close(fd);
	free(block);
	return ok;
}

static void do_wait(bool back)
{
	char addr[NAME_MAX + 1];
	unsigned int i;

	for (i = 0; i < WAIT_SECONDS * (1000000 / TICK_US); i++) {
		if (back ? disk_readable() :
		    !find_device("nvme", addr) && access(DISK, F_OK)) {
			answer(true, "%s", back ? "back" : "gone");
			return;
		}
		usleep(TICK_US);
	}
	answer(false, "the disk is %s", back ? "not back" : "still there");
}

/* The port's number depends on the machine: find it by the name it was given */
static int open_port(const char *wanted)
{
	char path[128], name[64];
	unsigned int tries, i;

	for (tries = 0; tries < 600; tries++) {
		for (i = 0; i < 8 * 4; i++) {
			unsigned int dev = i / 4, nr = 1 + i % 4;

			snprintf(path, sizeof(path),
				 "/sys/class/virtio-ports/vport%up%u/name", dev, nr);
			if (!read_line(path, name, sizeof(name)) || strcmp(name, wanted))
				continue;
			snprintf(path, sizeof(path), "/dev/vport%up%u", dev, nr);
			return open(path, O_RDWR | O_CLOEXEC);
		}
		usleep(TICK_US);
	}
	errno = ENODEV;
	return -1;
}

/*
 * The kernel's log by a virtio port: its serial console would cost the host an exit
 * or two for each character
 */
static void copy_log(void)
{
	int log = open_port("kmsg"), kmsg = open("/dev/kmsg", O_RDONLY | O_CLOEXEC);
	char record[1024 + 64];

	if (log < 0 || kmsg < 0 || fork())
		return;
	for (;;) {
		ssize_t n = read(kmsg, record, sizeof(record) - 1);
		unsigned long long us;
		char *text;

		if (n < 0)
			continue;
		record[n] = '\0';
		record[strcspn(record, "\n")] = '\0';
		text = strchr(record, ';');
		if (text && sscanf(record, "%*u,%*u,%llu", &us) == 1)
			dprintf(log, "[%5llu.%06llu] %s\n", us / 1000000, us % 1000000, text + 1);
	}
}

static void mount_or_say(const char *type, const char *where)
{
	mkdir(where, 0755);
	if (mount(type, where, type, 0, NULL) && errno != EBUSY)
		fprintf(stderr, "qemu-guest: mount %s: %s\n", where, strerror(errno));
}

static void end(int how)
{
	sync();
	reboot(how);
	_exit(1);
}

static void serve(char *line)
{
	unsigned int a, b, n;

	if (!strncmp(line, "domain ", 7))
		do_domain(line + 7);
	else if (sscanf(line, "copy %u %u %u", &a, &b, &n) == 3)
		do_copy(a, b, n);
	else if (!strcmp(line, "irqs"))
		do_irqs();
	else if (sscanf(line, "fault %u", &n) == 1)
		do_fault(n);
	else if (!strcmp(line, "gone") || !strcmp(line, "back"))
		do_wait(line[0] == 'b');
	else if (!strcmp(line, "reboot"))
		end(RB_AUTOBOOT);
	else if (!strcmp(line, "off"))
		end(RB_POWER_OFF);
	else
		answer(false, "no such request: %s", line);
}

int main(void)
{
	struct utsname uts;
	char line[256];
	FILE *requests;

	if (getpid() != 1) {
		fprintf(stderr, "init of a guest, not a program to run by hand\n");
		return 1;
	}
	mount_or_say("proc", "/proc");
	mount_or_say("sysfs", "/sys");
	mount_or_say("devtmpfs", "/dev");

	copy_log();
	port = open_port(PORT);
	requests = port < 0 ? NULL : fdopen(port, "r");
	if (!requests) {
		fprintf(stderr, "qemu-guest: no port: %s\n", strerror(errno));
		end(RB_POWER_OFF);
	}
	uname(&uts);
	dprintf(port, "\nready %s\n", uts.release);
	for (;;) {
		/* The host may not have connected yet */
		if (!fgets(line, sizeof(line), requests)) {
			clearerr(requests);
			usleep(TICK_US);
			continue;
		}
		line[strcspn(line, "\n")] = '\0';
		serve(line);
	}
}
