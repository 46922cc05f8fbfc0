// SPDX-License-Identifier: GPL-2.0-only
/*
 * The only process of the test machine that is not under test: PID 1 of the
 * initramfs. Mounts the usual file systems, runs the programs that /manifest
 * lists one after the other, reports each one's end, and powers off.
 *
 * Two channels leave the machine. The serial console carries the kernel log
 * alone; the virtio port carries what the programs print, and between it the
 * lines of this file, which start with MARK:
 *
 *	@viommu begin NAME
 *	@viommu end NAME exit=STATUS | signal=NUMBER | timeout, and seconds=N
 *	@viommu done
 *
 * The host takes a machine that stops without "done" for crashed. Begin and end
 * go to the kernel log too, so that a splat can be laid at a program's door.
 *
 * A line of /manifest is "NAME TIMEOUT PROGRAM [ARGUMENT...]", split at blanks.
 * PROGRAM may be one of these instead, done by init itself:
 *
 *	@dump FILE	print FILE in hexadecimal
 *	@gcov		print what a kernel with gcov has counted: MARK "file PATH",
 *			then the file in hexadecimal, for each
 *	@kmemleak	look for leaked kernel memory, and fail if there is some
 *	@load FILE [PARAMETER...]
 *			load a module. All are loaded before anything else happens, in
 *			this order: without the SMMU's driver there may be no virtio port
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MARK "@viommu "
#define MAX_ARGS 32
#define MAX_MODULES 32

/* How the loading of the modules ended, in the order of the manifest */
static int load_errors[MAX_MODULES];
static int nr_loaded, nr_reported;

static int out_fd = -1;
static int kmsg_fd = -1;

static void write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		buf += n;
		len -= n;
	}
}

static void report(const char *fmt, ...)
{
	char line[512];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(line, sizeof(line) - 1, fmt, args);
	va_end(args);
	if (len < 0)
		return;
	if (len > (int)sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	write_all(out_fd, line, len);
}

static void log_kernel(const char *what, const char *name)
{
	char line[256];
	int len = snprintf(line, sizeof(line), "viommu: %s %s\n", what, name);

	/* One write is one record */
	if (len > 0 && len < (int)sizeof(line) &&
	    write(kmsg_fd, line, len) != len)
		report("kmsg: %s", strerror(errno));
}

static void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

/* The port's number depends on the machine: find it by the name it was given */
static int open_port(const char *wanted)
{
	char path[128], name[64];
	int port, tries;

	for (tries = 0; tries < 100; tries++) {
		for (port = 0; port < 8; port++) {
			ssize_t n;
			int fd;

			snprintf(path, sizeof(path),
				 "/sys/class/virtio-ports/vport%dp1/name", port);
			fd = open(path, O_RDONLY);
			if (fd < 0)
				continue;
			n = read(fd, name, sizeof(name) - 1);
			close(fd);
			if (n <= 0)
				continue;
			name[n] = '\0';
			name[strcspn(name, "\n")] = '\0';
			if (strcmp(name, wanted))
				continue;
			snprintf(path, sizeof(path), "/dev/vport%dp1", port);
			return open(path, O_WRONLY | O_CLOEXEC);
		}
		usleep(20000);
	}
	errno = ENODEV;
	return -1;
}

static void mount_or_say(const char *type, const char *where, const char *opts)
{
	mkdir(where, 0755);
	if (mount(type, where, type, 0, opts) && errno != EBUSY)
		dprintf(2, "viommu: mount %s: %s\n", where, strerror(errno));
}

static int print_file(const char *path)
{
	unsigned char buf[32];
	char line[2 * sizeof(buf) + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n, i;

	if (fd < 0) {
		report("%s: %s", path, strerror(errno));
		return 1;
	}
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (i = 0; i < n; i++)
			sprintf(line + 2 * i, "%02x", buf[i]);
		report("%s", line);
	}
	close(fd);
	return n < 0;
}

static int print_counts(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	size_t len = strlen(path);

	(void)st;
	(void)ftw;
	/* The notes beside them are links to files of the host */
	if (type != FTW_F || len < 5 || strcmp(path + len - 5, ".gcda"))
		return 0;
	report(MARK "file %s", path);
	return print_file(path);
}

static void load_modules(FILE *manifest)
{
	char line[1024], path[256], parameters[256];

	while (nr_loaded < MAX_MODULES && fgets(line, sizeof(line), manifest)) {
		int fd;

		parameters[0] = '\0';
		if (sscanf(line, "%*s %*s @load %255s %255[^\n]", path, parameters) < 1)
			continue;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0))
			load_errors[nr_loaded] = errno;
		if (fd >= 0)
			close(fd);
		nr_loaded++;
	}
	rewind(manifest);
}

static int loaded(const char *path)
{
	if (nr_reported >= nr_loaded) {
		report("%s: too many modules", path);
		return 1;
	}
	if (load_errors[nr_reported])
		report("%s: %s", path, strerror(load_errors[nr_reported]));
	return load_errors[nr_reported++] != 0;
}

/*
 * kunit_vm_mmap() of the base attaches an mm to the thread of the test by
 * kthread_use_mm(), and leaves it to the end of the thread, which doesn't drop
 * what that took: each test that uses it leaks an mm.
 */
static bool known_leak(const char *object)
{
	return strstr(object, " kunit_vm_mmap_init+");
}

/* Prints the objects that kmemleak reports, returns if there was one */
static bool print_leaks(char *text)
{
	static const char start[] = "unreferenced object";
	char *object = text, *next;
	unsigned int known = 0;
	bool leak = false;

	for (; object && *object; object = next) {
		next = strstr(object + 1, start);
		if (next)
			next[-1] = '\0';
		if (known_leak(object)) {
			known++;
			continue;
		}
		write_all(out_fd, object, strlen(object));
		report("");
		leak = true;
	}
	if (known)
		report("and %u objects of kunit_vm_mmap()", known);
	return leak;
}

static int find_leaks(void)
{
	static const char path[] = "/sys/kernel/debug/kmemleak";
	static char text[1 << 20];
	size_t len = 0;
	ssize_t n;
	int fd, i;

	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		report("%s: %s", path, strerror(errno));
		return 1;
	}
	/*
	 * An object is reported when two scans have found no pointer to it; what
	 * RCU is about to free needs time to go.
	 */
	for (i = 0; i < 3; i++) {
		sleep(6);
		if (write(fd, "scan", 4) != 4) {
			report("%s: %s", path, strerror(errno));
			close(fd);
			return 1;
		}
	}
	while (len < sizeof(text) - 1) {
		n = read(fd, text + len, sizeof(text) - 1 - len);
		if (n <= 0)
			break;
		len += n;
	}
	close(fd);
	return print_leaks(text) || n < 0;
}

static long elapsed(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - start->tv_sec;
}

/* Runs the program to its end or its time-out; status as waitpid() gives it */
static bool run(char **argv, long timeout, int *status)
{
	static const struct timespec tick = { .tv_nsec = 200 * 1000 * 1000 };
	struct timespec start;
	sigset_t chld;
	pid_t pid;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	clock_gettime(CLOCK_MONOTONIC, &start);

	pid = fork();
	if (pid < 0) {
		report("fork: %s", strerror(errno));
		*status = 1 << 8;
		return true;
	}
	if (!pid) {
		int null = open("/dev/null", O_RDONLY);

		sigprocmask(SIG_UNBLOCK, &chld, NULL);
		setsid();
		dup2(null, 0);
		dup2(out_fd, 1);
		dup2(out_fd, 2);
		if (null > 2)
			close(null);
		execv(argv[0], argv);
		dprintf(2, "exec %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}

	for (;;) {
		int st;
		pid_t got = waitpid(-1, &st, WNOHANG);

		if (got == pid) {
			/* What it left behind must not disturb the next one */
			kill(-pid, SIGKILL);
			*status = st;
			return true;
		}
		if (got > 0)
			continue;
		if (elapsed(&start) >= timeout) {
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			/* A task stuck in the kernel may never go: do not wait for it */
			for (st = 0; st < 25; st++) {
				if (waitpid(pid, status, WNOHANG) == pid)
					break;
				nanosleep(&tick, NULL);
			}
			return false;
		}
		sigtimedwait(&chld, NULL, &tick);
	}
}

static void run_line(char *line)
{
	char *argv[MAX_ARGS + 1], *name, *word, *save;
	struct timespec start;
	int argc = 0, status = 0;
	long timeout;

	name = strtok_r(line, " \t\n", &save);
	if (!name || name[0] == '#')
		return;
	word = strtok_r(NULL, " \t\n", &save);
	timeout = word ? strtol(word, NULL, 10) : 0;
	while (argc < MAX_ARGS && (word = strtok_r(NULL, " \t\n", &save)))
		argv[argc++] = word;
	argv[argc] = NULL;

	report(MARK "begin %s", name);
	log_kernel("begin", name);
	if (!argc || timeout <= 0) {
		report("manifest: bad line for %s", name);
		report(MARK "end %s exit=126 seconds=0", name);
		return;
	}

	clock_gettime(CLOCK_MONOTONIC, &start);
	if (argv[0][0] == '@') {
		if (!strcmp(argv[0], "@dump") && argc == 2)
			status = print_file(argv[1]);
		else if (!strcmp(argv[0], "@gcov"))
			status = nftw("/sys/kernel/debug/gcov", print_counts, 16, FTW_PHYS) != 0;
		else if (!strcmp(argv[0], "@kmemleak"))
			status = find_leaks();
		else if (!strcmp(argv[0], "@load") && argc >= 2)
			status = loaded(argv[1]);
		else
			status = 126;
		report(MARK "end %s exit=%d seconds=%ld", name, status, elapsed(&start));
		return;
	}
	if (!run(argv, timeout, &status))
		report(MARK "end %s timeout seconds=%ld", name, elapsed(&start));
	else if (WIFSIGNALED(status))
		report(MARK "end %s signal=%d seconds=%ld", name,
		       WTERMSIG(status), elapsed(&start));
	else
		report(MARK "end %s exit=%d seconds=%ld", name,
		       WEXITSTATUS(status), elapsed(&start));
	log_kernel("end", name);
}

int main(void)
{
	static const struct rlimit no_core, no_limit = { RLIM_INFINITY, RLIM_INFINITY };
	char line[1024];
	FILE *manifest;

	if (getpid() != 1) {
		fprintf(stderr, "init of the test machine, not a program to run by hand\n");
		return 1;
	}

	mount_or_say("proc", "/proc", NULL);
	mount_or_say("sysfs", "/sys", NULL);
	mount_or_say("devtmpfs", "/dev", NULL);
	mount_or_say("devpts", "/dev/pts", NULL);
	mount_or_say("tmpfs", "/dev/shm", NULL);
	mount_or_say("tmpfs", "/tmp", NULL);
	mount_or_say("tmpfs", "/run", NULL);
	mount_or_say("debugfs", "/sys/kernel/debug", NULL);
	mount_or_say("tracefs", "/sys/kernel/tracing", NULL);

	setrlimit(RLIMIT_CORE, &no_core);
	setrlimit(RLIMIT_MEMLOCK, &no_limit);
	setenv("PATH", "/bin", 1);
	setenv("HOME", "/", 1);

	kmsg_fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	manifest = fopen("/manifest", "re");
	if (!manifest) {
		dprintf(2, "viommu: /manifest: %s\n", strerror(errno));
		power_off();
	}
	load_modules(manifest);
	out_fd = open_port("viommu");
	if (out_fd < 0) {
		dprintf(2, "viommu: no virtio port: %s\n", strerror(errno));
		power_off();
	}
	while (fgets(line, sizeof(line), manifest))
		run_line(line);
	report(MARK "done");
	power_off();
	return 1;
}
