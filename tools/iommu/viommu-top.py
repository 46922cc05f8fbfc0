#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Invalidations and events of each VM on an SMMUv3, from the driver's tracepoints.

    viommu-top.py [-i SECONDS] [-n TIMES]     what happens now, as root
    viommu-top.py FILE                        a recorded trace, or - for standard input

A line is a vIOMMU, which the SMMU knows by its VMID, with the process that called
last. It has the calls of IOMMU_HWPT_INVALIDATE and the commands that they had
executed, both per second; and of the calls that failed how many had a command that the
kernel refused, one that the SMMU raised an error for, that did not end in time, and
the others. A line below is a device whose stage 1 faulted, with its events per second
and those that did not reach the VMM.

Live it uses an instance of tracefs of its own, which others' tracing does not notice.
A FILE is the text of tracefs, of 'trace-cmd report', or of 'perf script'.
"""
import argparse
import collections
import os
import re
import select
import signal
import sys
import time

LINE = re.compile(r"^\s*(?P<comm>.*?)[- ]\s*(?P<pid>\d+)\s+(?:\([\s\d-]+\)\s+)?\[\d+\].*?"
                  r"\s(?P<time>\d+\.\d+): (?:arm_smmu_v3:)?(?P<event>arm_smmu_\w+): +"
                  r"(?P<smmu>\S+): (?P<rest>.*)$")
ARRAY = re.compile(r"VMID 0x(?P<vmid>[0-9a-f]+) (?P<done>\d+) of (?P<num>\d+) commands: "
                   r"(?P<ret>-?\d+), report 0x(?P<flags>[0-9a-f]+) ")
EVENT = re.compile(r"event 0x(?P<id>[0-9a-f]+) of SID 0x(?P<sid>[0-9a-f]+) "
                   r"vSID 0x(?P<vsid>[0-9a-f]+) \w+: (?P<ret>-?\d+)")
LOST = re.compile(r"(LOST|lost) (?P<n>\d+) (EVENTS|events)")

REPORT_HW = 2
EIO, ETIMEDOUT = 5, 110


class Table:
    """What was seen since it was made"""

    def __init__(self):
        self.vms = collections.defaultdict(collections.Counter)
        self.devices = collections.defaultdict(collections.Counter)
        self.caller = {}
        self.first = self.last = None
        self.lost = 0

    def add(self, line):
        """Take a line of a trace; false if it is none of ours"""
        m = LINE.match(line)
        if not m:
            lost = LOST.search(line)
            self.lost += int(lost["n"]) if lost else 0
            return False
        what = {"arm_smmu_viommu_invalidate": (ARRAY, self.add_array),
                "arm_smmu_vevent": (EVENT, self.add_event)}.get(m["event"])
        data = what and what[0].match(m["rest"])
        if not data:
            return False
        now = float(m["time"])
        self.first = min(now, self.first or now)
        self.last = max(now, self.last or now)
        what[1](m, data)
        return True

    def add_array(self, m, data):
        key = m["smmu"], int(data["vmid"], 16)
        vm = self.vms[key]
        self.caller[key] = f"{m['comm'].strip()} {m['pid']}"
        vm["calls"] += 1
        vm["commands"] += int(data["done"])
        err = -int(data["ret"])
        if not err:
            return
        if int(data["flags"], 16) & REPORT_HW:
            vm["smmu"] += 1
        elif err == ETIMEDOUT:
            vm["late"] += 1
        elif err == EIO:
            vm["refused"] += 1
        else:
            vm["other"] += 1

    def add_event(self, m, data):
        device = self.devices[m["smmu"], int(data["sid"], 16), int(data["vsid"], 16)]
        device["events"] += 1
        device["dropped"] += data["ret"] != "0"

    def show(self, seconds):
        """Print it; seconds is how long it took"""
        def rate(n):
            return f"{n / seconds:.0f}"

        rows = [("SMMU", "VMID", "process", "calls/s", "commands/s", "refused", "SMMU error",
                 "late", "other")]
        for key, vm in sorted(self.vms.items()):
            rows.append((key[0], f"0x{key[1]:x}", self.caller[key], rate(vm["calls"]),
                         rate(vm["commands"]), vm["refused"], vm["smmu"], vm["late"],
                         vm["other"]))
        print_rows(rows)
        if self.devices:
            rows = [("SMMU", "StreamID", "in the guest", "events/s", "dropped")]
            for key, device in sorted(self.devices.items()):
                rows.append((key[0], f"0x{key[1]:x}", f"0x{key[2]:x}",
                             rate(device["events"]), device["dropped"]))
            print_rows(rows)
        if self.lost:
            print(f"{self.lost} lines of the trace were lost")
        sys.stdout.flush()


def print_rows(rows):
    """Text to the left, numbers to the right"""
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(f"{cell!s:<{width}}" if i < 3 else f"{cell!s:>{width}}"
                        for i, (cell, width) in enumerate(zip(row, widths))).rstrip())


def recorded(stream):
    """One table of all of it"""
    table = Table()
    for line in stream:
        table.add(line)
    if table.first is None:
        sys.exit("viommu-top: no line of arm_smmu_viommu_invalidate or arm_smmu_vevent")
    seconds = max(table.last - table.first, 1e-6)
    print(f"{seconds:.3f} seconds")
    table.show(seconds)


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def live(interval, times):
    """A table each interval, for ever or times times"""
    tracefs = next((d for d in ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
                    if os.path.isdir(d + "/instances")), None)
    if not tracefs:
        sys.exit("viommu-top: no tracefs at /sys/kernel/tracing (are you root?)")
    instance = f"{tracefs}/instances/viommu-top-{os.getpid()}"
    # Whatever ends it, the instance has to go
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.mkdir(instance)
    try:
        for event in ("arm_smmu_viommu_invalidate", "arm_smmu_vevent"):
            write(f"{instance}/events/arm_smmu_v3/{event}/enable", "1")
        with open(f"{instance}/trace_pipe", "rb", buffering=0) as pipe:
            watch(pipe, interval, times)
    except FileNotFoundError as e:
        sys.exit(f"viommu-top: {e.filename}: this kernel has no such tracepoint")
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # Nobody reads it any more, and nor shall the interpreter's last flush fail
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        os.rmdir(instance)


def watch(pipe, interval, times):
    rest = b""
    while times is None or times > 0:
        table, start = Table(), time.monotonic()
        while (left := start + interval - time.monotonic()) > 0:
            if not select.select([pipe], [], [], left)[0]:
                continue
            *lines, rest = (rest + pipe.read(1 << 16)).split(b"\n")
            for line in lines:
                table.add(line.decode(errors="replace"))
        seconds = time.monotonic() - start
        print(f"{time.strftime('%H:%M:%S')}, {seconds:.3f} seconds")
        table.show(seconds)
        times = times and times - 1


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", type=float, default=1, metavar="SECONDS", dest="interval")
    parser.add_argument("-n", type=int, metavar="TIMES", dest="times")
    parser.add_argument("file", nargs="?")
    args = parser.parse_args()
    if args.file is None:
        live(args.interval, args.times)
    elif args.file == "-":
        recorded(sys.stdin)
    else:
        with open(args.file, encoding="ascii", errors="replace") as f:
            recorded(f)


if __name__ == "__main__":
    main()
