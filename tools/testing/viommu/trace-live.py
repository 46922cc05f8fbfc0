#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Do both viommu-top see, while it happens, what a program does?

    trace-live.py VIOMMU-TOP.PY VIOMMU-TOP.BT PROGRAM [ARGUMENT...]

For the test machine. Runs the program under both of them, and compares what they print
with what an instance of tracefs has recorded meanwhile, and with the number of calls of
IOMMU_HWPT_INVALIDATE that the system call's tracepoint counted. Prints TAP.
"""
import collections
import os
import re
import signal
import subprocess
import sys
import threading
import time

TRACING = "/sys/kernel/tracing"
HERE = TRACING + "/instances/trace-live"
HWPT_INVALIDATE = 0x3b8d
# How long tables may take to come: a machine that interprets instructions is slow to load
# a compiler
WAIT = 300
# What begins a table, of viommu-top.py with the seconds that it is for
CLOCK = re.compile(r"\d\d:\d\d:\d\d(?:, (\d+\.\d+) seconds)?")
COUNT = 0
FAILED = 0


def check(what, good, detail=""):
    global COUNT, FAILED
    COUNT += 1
    FAILED += not good
    print(f"{'ok' if good else 'not ok'} {COUNT} {what}")
    if not good and detail:
        print("\n".join("# " + line for line in str(detail).splitlines()[:20]))
    sys.stdout.flush()


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def read(path):
    with open(path, encoding="ascii", errors="replace") as f:
        return f.read()


class Watcher:
    """A program that prints tables until it is interrupted"""

    def __init__(self, *command):
        self.lines = []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        self.thread = threading.Thread(target=self.collect)
        self.thread.start()

    def collect(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def tables(self):
        return sum(bool(CLOCK.fullmatch(line)) for line in list(self.lines))

    def more(self, n):
        """Wait for n more tables; false if it ends before, or takes too long"""
        n += self.tables()
        deadline = time.monotonic() + WAIT
        while self.tables() < n:
            if self.process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def end(self, how):
        self.process.send_signal(how)
        status = self.process.wait()
        self.thread.join()
        return status

    def text(self):
        return "\n".join(self.lines + [f"status {self.process.poll()}"])


def recorded():
    """What the instance has: a Counter of the figures that the tables have too"""
    seen = collections.Counter()
    for line in read(HERE + "/trace").splitlines():
        if m := re.search(r"viommu_invalidate: .* (\d+) of \d+ commands: (-?\d+), report 0x(\w+)",
                          line):
            seen["calls"] += 1
            seen["commands"] += int(m[1])
            seen["hardware"] += m[2] == "-5" and int(m[3], 16) & 2 != 0
            seen["refused"] += m[2] == "-5" and int(m[3], 16) & 2 == 0
        elif m := re.search(r"arm_smmu_vevent: .*: (-?\d+)$", line):
            seen["events"] += 1
            seen["dropped"] += m[1] != "0"
        elif "arm_smmu_cmdq_error: " in line:
            seen["raised"] += 1
        elif "sys_ioctl(" in line:
            seen["ioctls"] += 1
    return seen


def by_python(lines):
    """The sums of viommu-top.py's tables, whose rates are rounded"""
    seen, events, seconds = collections.Counter(), False, 0
    for line in lines:
        row = line.split()
        if m := CLOCK.fullmatch(line):
            seconds = float(m[1])
        elif not row or row[0] == "SMMU":
            events = len(row) > 1 and row[1] == "StreamID"
        elif len(row) > 1 and row[1].startswith("0x"):
            if events:
                seen["events"] += int(row[-2]) * seconds
                seen["dropped"] += int(row[-1])
            else:
                seen["calls"] += int(row[-6]) * seconds
                seen["commands"] += int(row[-5]) * seconds
                seen["refused"] += int(row[-4])
                seen["hardware"] += int(row[-3])
    return seen


def by_bpftrace(lines):
    """The sums of viommu-top.bt's maps"""
    seen = collections.Counter()
    for line in lines:
        m = re.fullmatch(r"@(\w+)\[(.*)\]: (\d+)", line)
        if not m:
            continue
        name, n, key = m[1], int(m[3]), m[2].split(", ")
        if name == "errors":
            seen["hardware" if key[3] == "1" else "refused"] += n
        elif name == "cmdq_errors":
            seen["raised"] += n
        elif name in ("calls", "commands", "events"):
            seen[name] += n
            seen["dropped"] += n if name == "events" and key[2] != "0" else 0
    return seen


def compare(who, seen, want, exact, near, off):
    """Figures that must be exact, and those that may be off by so many or by a tenth"""
    for name in exact:
        check(f"{who}: {name}", seen[name] == want[name], f"{seen[name]}, was {want[name]}")
    for name in near:
        check(f"{who}: {name}, about", abs(seen[name] - want[name]) <= max(off, want[name] / 10),
              f"{seen[name]:.1f}, was {want[name]}")


def main():
    top, script, *program = sys.argv[1:]

    os.mkdir(HERE)
    write(HERE + "/buffer_size_kb", "8192")
    ioctl = HERE + "/events/syscalls/sys_enter_ioctl"
    write(ioctl + "/filter", f"cmd == {HWPT_INVALIDATE}")

    start = time.monotonic()
    bpftrace = Watcher("/usr/bin/bpftrace", "-B", "line", script)
    check("bpftrace takes viommu-top.bt", bpftrace.more(1), bpftrace.text())
    print(f"# after {time.monotonic() - start:.0f} s")
    python = Watcher("/usr/bin/python3", top, "-i", "1")
    check("viommu-top.py runs", python.more(1), python.text())

    # From here on all three count
    check("bpftrace goes on", bpftrace.more(1), bpftrace.text())
    write(ioctl + "/enable", "1")
    write(HERE + "/events/arm_smmu_v3/enable", "1")
    done = subprocess.run(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    check(f"{program[0]} succeeds", done.returncode == 0, done.stdout[-1000:])
    check("viommu-top.py has seen all of it", python.more(2), python.text())
    check("bpftrace has seen all of it", bpftrace.more(2), bpftrace.text())
    check("bpftrace ends well", bpftrace.end(signal.SIGINT) == 0, bpftrace.text())
    check("viommu-top.py ends well", python.end(signal.SIGTERM) == 0, python.text())
    left = [d for d in os.listdir(TRACING + "/instances") if d.startswith("viommu-top")]
    check("and leaves no instance of tracefs", not left, left)

    want = recorded()
    check("there was something of each kind",
          all(want[name] for name in ("calls", "commands", "refused", "hardware", "events",
                                      "dropped", "raised")), want)
    check("a line for each call of IOMMU_HWPT_INVALIDATE",
          want["ioctls"] == want["calls"], want)
    # Python's rates are rounded. What comes between a print and the clear of a map is in
    # no table of bpftrace's.
    compare("viommu-top.py", by_python(python.lines), want, ("refused", "hardware", "dropped"),
            ("calls", "commands", "events"), 3)
    compare("viommu-top.bt", by_bpftrace(bpftrace.lines), want, (),
            ("calls", "commands", "refused", "hardware", "events", "dropped", "raised"), 1)
    print(f"1..{COUNT}")
    for text in (str(dict(want)), python.text(), bpftrace.text()):
        print("\n".join("# " + line for line in text.splitlines()))
    os.rmdir(HERE)
    sys.exit(FAILED != 0)


if __name__ == "__main__":
    main()
