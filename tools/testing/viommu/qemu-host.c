// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's side of "make demo-qemu": starts the QEMU that is in this machine's
 * initramfs with an accelerated SMMUv3 and two assigned devices, an NVMe and edu,
 * and drives it over three channels:
 *
 *	QMP		reset, unplug, plug
 *	a virtio port	requests to qemu-guest.c, the guest's only process
 *	tracefs		what the host's SMMU driver carried meanwhile
 *
 * Prints TAP: a result for each thing that was to be shown, with what was seen.
 * The guest's kernel log goes to a virtio port of this machine.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../iommu/util.c"

#define QEMU		"/usr/bin/qemu-system-aarch64"
#define FIRMWARE	"/QEMU_EFI.fd"
#define KERNEL		"/guest/vmlinuz"
#define INITRD		"/guest/initrd"
#define QMP_PATH	"/run/qmp"
#define PORT_PATH	"/run/port"
#define EVENTS		"/sys/kernel/tracing/events/arm_smmu_v3/"

#define PCI_DIR		"/sys/bus/pci/devices"

/* A guest on an emulated host on a busy machine takes its time */
#define BOOT_SECONDS	1500
#define SECONDS		400

/* Each round copies so much, from its own part of the disk's first half */
#define COPY_MIB	4u
#define HALF_MIB	32u
#define FAULTS		3u

static struct {
	pid_t pid;
	char nvme[NAME_MAX + 1];
	char edu[NAME_MAX + 1];
	char console[64];
} qemu;

/* A stream of lines from QEMU */
struct lines {
	int fd;
	char buf[32768];
	size_t used;		/* by the line given last, its end included */
	size_t len;
};

static struct lines qmp, port;
static unsigned int tests;
static bool failed;

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static bool PRINTF_LIKE(2, 3) result(bool ok, const char *fmt, ...)
{
	va_list args;

	printf("%sok %u - ", ok ? "" : "not ", ++tests);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	failed |= !ok;
	return ok;
}

/* Nothing that follows makes sense */
static void give_up(void)
{
	if (qemu.pid > 0)
		kill(qemu.pid, SIGKILL);
	printf("1..%u\n", tests);
	exit(1);
}

static bool read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = 0;

	if (fd < 0)
		return false;
	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
		len += n;
	close(fd);
	buf[len] = '\0';
	return n >= 0;
}

/* The host's tracepoints: counted in the kernel, not one is lost */

static const struct {
	const char *event, *keys;
} traces[] = {
	{ "arm_smmu_cmdq_batch", "hist:keys=ret:vals=num" },
	{ "arm_smmu_cmdq_error", "hist:keys=origin,code" },
	{ "arm_smmu_vevent", "hist:keys=id,ret" },
};

static void start_traces(void)
{
	char path[PATH_MAX];
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(traces); i++) {
		snprintf(path, sizeof(path), EVENTS "%s/trigger", traces[i].event);
		err = write_file(path, traces[i].keys);
		if (err) {
			result(false, "%s: %s", path, strerror(err));
			give_up();
		}
	}
}

struct count {
	unsigned long hits, sum;
};

/*
 * The entries of a histogram with all of the text in them, or all others. A line is
 * "{ ret:          0 } hitcount:         12  num:         12".
 */
static struct count count_trace(const char *event, const char *with, bool others)
{
	static char text[65536];
	struct count c = { 0 };
	char path[PATH_MAX], *line, *save;

	snprintf(path, sizeof(path), EVENTS "%s/hist", event);
	if (!read_text(path, text, sizeof(text))) {
		result(false, "%s: %s", path, strerror(errno));
		return c;
	}
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long hits, sum = 0;
		char key[128], *in, *out = key;
		char *end = strstr(line, " } hitcount:");

		if (line[0] != '{' || !end)
			continue;
		for (in = line + 1; in < end && out < key + sizeof(key) - 1; in++)
			if (*in != ' ')
				*out++ = *in;
		*out = '\0';
		if (!!strstr(key, with) == others)
			continue;
		hits = strtoul(strchr(end, ':') + 1, &end, 10);
		end = strstr(end, "num:");
		if (end)
			sum = strtoul(end + 4, NULL, 10);
		c.hits += hits;
		c.sum += sum;
	}
	return c;
}

/* Lines of QEMU */

static bool running(void)
{
	int status;

	if (qemu.pid <= 0)
		return false;
	if (waitpid(qemu.pid, &status, WNOHANG) != qemu.pid)
		return true;
	qemu.pid = 0;
	if (WIFSIGNALED(status))
		printf("# QEMU died of signal %d\n", WTERMSIG(status));
	else
		printf("# QEMU ended with status %d\n", WEXITSTATUS(status));
	return false;
}

/* Until the deadline, or the end of QEMU: NULL then */
static char *next_line(struct lines *l, long deadline)
{
	char *end;

	memmove(l->buf, l->buf + l->used, l->len - l->used);
	l->len -= l->used;
	l->used = 0;
	while (!(end = memchr(l->buf, '\n', l->len))) {
		struct pollfd p = { .fd = l->fd, .events = POLLIN };
		ssize_t n;

		if (l->len == sizeof(l->buf)) {
			printf("# a line of QEMU is too long\n");
			return NULL;
		}
		if (poll(&p, 1, 500) > 0) {
			n = read(l->fd, l->buf + l->len, sizeof(l->buf) - l->len);
			if (n > 0) {
				l->len += n;
				continue;
			}
			if (!n || (errno != EINTR && errno != EAGAIN)) {
				printf("# QEMU closed the connection\n");
				running();
				return NULL;
			}
		}
		if (!running())
			return NULL;
		if (now() >= deadline)
			return NULL;
	}
	l->used = end + 1 - l->buf;
	*end = '\0';
	l->buf[strcspn(l->buf, "\r")] = '\0';
	return l->buf;
}

static bool send_line(struct lines *l, const char *text)
{
	size_t len = strlen(text);

	return send(l->fd, text, len, MSG_NOSIGNAL) == (ssize_t)len &&
	       send(l->fd, "\n", 1, MSG_NOSIGNAL) == 1;
}

static bool connect_to(struct lines *l, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	long deadline = now() + SECONDS;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	while (connect(l->fd, (struct sockaddr *)&addr, sizeof(addr))) {
		if (!running() || now() >= deadline)
			return false;
		usleep(100000);
	}
	return true;
}

/* A command of QMP; what it returns, or NULL. Events that come first are dropped. */
static char *qmp_do(const char *command)
{
	long deadline = now() + SECONDS;
	char *line;

	if (!send_line(&qmp, command))
		return NULL;
	while ((line = next_line(&qmp, deadline))) {
		if (strstr(line, "\"return\":"))
			return line;
		if (strstr(line, "\"error\":"))
			break;
	}
	printf("# QMP: %s -> %s\n", command, line ? line : "nothing");
	return NULL;
}

static bool qmp_event(const char *event, const char *with, long seconds)
{
	long deadline = now() + seconds;
	char *line;

	while ((line = next_line(&qmp, deadline)))
		if (strstr(line, event) && strstr(line, with))
			return true;
	printf("# QMP: no %s within %ld s\n", event, seconds);
	return false;
}

/* A request to the guest; what it says after "ok", or NULL */
static PRINTF_LIKE(2, 3) char *ask(long seconds, const char *fmt, ...)
{
	long deadline = now() + seconds;
	char text[128], *line;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (!send_line(&port, text))
		return NULL;
	while ((line = next_line(&port, deadline)) && strncmp(line, "bad ", 4))
		if (!strncmp(line, "ok ", 3))
			return line + 3;
	printf("# guest: %s -> %s\n", text, line ? line : "no answer");
	return NULL;
}

/* The machine's devices, bound to vfio-pci by the kernel's command line */

static bool find_device(const char *file, const char *value, char addr[NAME_MAX + 1])
{
	char path[PATH_MAX], text[64];
	struct dirent *e;
	bool found = false;
	DIR *dir = opendir(PCI_DIR);

	if (!dir)
		return false;
	while (!found && (e = readdir(dir))) {
		snprintf(path, sizeof(path), PCI_DIR "/%s/%s", e->d_name, file);
		if (e->d_name[0] == '.' || !read_text(path, text, sizeof(text)) ||
		    strncmp(text, value, strlen(value)))
			continue;
		snprintf(path, sizeof(path), PCI_DIR "/%s/vfio-dev", e->d_name);
		if (access(path, F_OK))
			continue;
		snprintf(addr, NAME_MAX + 1, "%s", e->d_name);
		found = true;
	}
	closedir(dir);
	return found;
}

static bool find_console(void)
{
	char path[PATH_MAX], name[64];
	unsigned int i, j;

	for (i = 0; i < 8; i++) {
		for (j = 1; j < 4; j++) {
			snprintf(path, sizeof(path),
				 "/sys/class/virtio-ports/vport%up%u/name", i, j);
			if (!read_text(path, name, sizeof(name)) || strncmp(name, "guest\n", 6))
				continue;
			snprintf(qemu.console, sizeof(qemu.console), "/dev/vport%up%u", i, j);
			return true;
		}
	}
	return false;
}

static void start_qemu(void)
{
	char nvme[NAME_MAX + 64], edu[NAME_MAX + 64], serial[128];
	const char *const argv[] = {
		QEMU,
		"-M", "virt,gic-version=3,its=on", "-accel", "kvm", "-cpu", "host",
		"-smp", "2", "-m", "768M", "-nodefaults", "-display", "none",
		"-object", "iommufd,id=iommufd0",
		"-bios", FIRMWARE, "-kernel", KERNEL, "-initrd", INITRD,
		"-append", "console=ttyAMA0 quiet panic=-1",
		"-chardev", serial, "-serial", "chardev:console",
		"-qmp", "unix:" QMP_PATH ",server=on,wait=off",
		"-device", "virtio-serial-pci,bus=pcie.0",
		"-chardev", "socket,id=port,path=" PORT_PATH ",server=on,wait=off",
		"-device", "virtserialport,chardev=port,name=qemu-host",
		"-device", "virtserialport,chardev=console,name=kmsg",
		"-device", "pxb-pcie,id=pcie.1,bus_nr=2,bus=pcie.0",
		"-device", "arm-smmuv3,primary-bus=pcie.1,id=smmuv3.0,accel=on",
		"-device", "pcie-root-port,id=rp1,bus=pcie.1,chassis=1",
		"-device", "pcie-root-port,id=rp2,bus=pcie.1,chassis=2",
		"-device", nvme, "-device", edu,
		NULL
	};

	snprintf(serial, sizeof(serial), "file,id=console,mux=on,path=%s", qemu.console);
	snprintf(nvme, sizeof(nvme), "vfio-pci,id=nvme,host=%s,bus=rp1,iommufd=iommufd0",
		 qemu.nvme);
	snprintf(edu, sizeof(edu), "vfio-pci,id=edu,host=%s,bus=rp2,iommufd=iommufd0",
		 qemu.edu);
	fflush(stdout);
	qemu.pid = fork();
	if (!qemu.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execv(argv[0], (char **)argv);
		dprintf(2, "# exec %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
}

/* What the firmware says on the port comes first */
static bool wait_ready(const char *when, long start)
{
	char *line;

	while ((line = next_line(&port, start + BOOT_SECONDS)))
		if (!strncmp(line, "ready ", 6))
			break;
	return result(line, "%s: Linux %s after %ld s", when,
		      line ? line + 6 : "does not say that it is there", now() - start);
}

/* Interrupts of the disk so far */
static unsigned long ask_irqs(void)
{
	char *said = ask(SECONDS, "irqs");

	return said ? strtoul(said, NULL, 10) : 0;
}

/* Reads and writes by DMA, and the interrupts of that */
static void try_disk(const char *when, unsigned int round)
{
	unsigned long before = ask_irqs(), irqs;
	char *said;

	said = ask(SECONDS, "copy %u %u %u", round * COPY_MIB, HALF_MIB + round * COPY_MIB,
		   COPY_MIB);
	result(said, "%s: %s MiB read from the NVMe, written to it and read back",
	       when, said ? said : "not");
	irqs = ask_irqs();
	/* One at least for each of the three; more completions than one may share one */
	result(irqs >= before + 3, "%s: %lu MSIs of the NVMe meanwhile", when, irqs - before);
}

static void try_domain(const char *when, const char *name)
{
	char *said = ask(SECONDS, "domain %s", name);

	result(said, "%s: its SMMUv3 driver translates for the %s (%s)", when, name,
	       said ? said : "it does not");
}

/* Each fault is the guest's: one forwarded event, one in its log */
static void try_faults(const char *when)
{
	struct count old = count_trace("arm_smmu_vevent", "id:16,ret:0", false), new;
	char *said = ask(SECONDS, "fault %u", FAULTS);

	new = count_trace("arm_smmu_vevent", "id:16,ret:0", false);
	result(said && new.hits - old.hits == FAULTS,
	       "%s: %u DMAs of edu to unmapped pages, %s F_TRANSLATION in its log, %lu forwarded",
	       when, FAULTS, said ? said : "not all", new.hits - old.hits);
}

static void show_counts(void)
{
	struct count good = count_trace("arm_smmu_cmdq_batch", "ret:0", false);
	struct count bad = count_trace("arm_smmu_cmdq_batch", "ret:0", true);
	struct count errors = count_trace("arm_smmu_cmdq_error", "", false);
	struct count events = count_trace("arm_smmu_vevent", "ret:0", false);
	struct count lost = count_trace("arm_smmu_vevent", "ret:0", true);

	result(good.sum && !bad.hits && !errors.hits,
	       "host: %lu invalidations of the guest on the command queue, %lu refused, %lu errors",
	       good.sum, bad.sum, errors.hits);
	result(events.hits == 2 * FAULTS && !lost.hits,
	       "host: %lu events to the guest's queue, %lu dropped", events.hits, lost.hits);
}

static void first_boot(void)
{
	long start = now();
	char *version = NULL, *line;

	start_qemu();
	if (connect_to(&qmp, QMP_PATH))
		version = next_line(&qmp, now() + SECONDS);
	if (version) {
		int major = 0, minor = 0, micro = 0;
		char package[64] = "";

		line = strstr(version, "\"micro\":");
		if (line)
			sscanf(line, "\"micro\": %d, \"minor\": %d, \"major\": %d", &micro,
			       &minor, &major);
		line = strstr(version, "\"package\":");
		if (line)
			sscanf(line, "\"package\": \"%63[^\"]", package);
		result(major >= 11, "QEMU %d.%d.%d (%s) has an accelerated SMMUv3", major, minor,
		       micro, package);
	} else {
		result(false, "QEMU does not start");
		give_up();
	}
	if (!qmp_do("{\"execute\":\"qmp_capabilities\"}") || !connect_to(&port, PORT_PATH) ||
	    !wait_ready("guest", start))
		give_up();
	try_domain("guest", "nvme");
	try_domain("guest", "edu");
	try_disk("guest", 0);
	try_faults("guest");
}

static void second_boot(void)
{
	long start = now();

	send_line(&port, "reboot");
	if (!result(qmp_event("\"RESET\"", "guest-reset", SECONDS),
		    "reboot: QEMU resets the machine") ||
	    !wait_ready("rebooted", start))
		give_up();
	try_domain("rebooted", "nvme");
	try_domain("rebooted", "edu");
	try_disk("rebooted", 1);
	try_faults("rebooted");
}

static void unplug_and_plug(void)
{
	char command[512];
	char *said;

	result(qmp_do("{\"execute\":\"device_del\",\"arguments\":{\"id\":\"nvme\"}}") &&
	       qmp_event("\"DEVICE_DELETED\"", "\"nvme\"", SECONDS) && ask(SECONDS, "gone"),
	       "unplug: QEMU and the guest have no NVMe");
	snprintf(command, sizeof(command),
		 "{\"execute\":\"device_add\",\"arguments\":{\"driver\":\"vfio-pci\",\"id\":\"nvme\",\"host\":\"%s\",\"bus\":\"rp1\",\"iommufd\":\"iommufd0\"}}",
		 qemu.nvme);
	said = qmp_do(command);
	result(said && ask(SECONDS, "back"), "plug: the guest has it again");
	try_domain("plugged", "nvme");
	try_disk("plugged", 2);
}

static void power_off(void)
{
	long deadline = now() + SECONDS;
	int status = -1;
	pid_t pid = 0;

	send_line(&port, "off");
	while (now() < deadline && !(pid = waitpid(qemu.pid, &status, WNOHANG)))
		usleep(100000);
	result(pid == qemu.pid && !status, "power off: QEMU %s",
	       pid != qemu.pid ? "is still there" : status ? "fails" : "ends");
	if (pid == qemu.pid)
		qemu.pid = 0;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!find_device("class", "0x010802", qemu.nvme) ||
	    !find_device("device", "0x11e8", qemu.edu) || !find_console()) {
		result(false, "host: no NVMe or edu bound to vfio-pci, or no console port");
		give_up();
	}
	start_traces();
	first_boot();
	second_boot();
	unplug_and_plug();
	power_off();
	show_counts();
	printf("1..%u\n", tests);
	return failed;
}
