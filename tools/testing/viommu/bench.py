#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What viommu-bench printed in the test machine, as tables, JSON and a plot

	bench.py report OUT.json NAME=PREFIX...	tables; kernel NAME's boots left PREFIX.out,
						PREFIX.qemu and PREFIX-memory.out; the
						series' is "series"
	bench.py plot JSON FILE.svg		instructions per command (gnuplot)
	bench.py goals JSON			result lines, see results.py: the goals
	bench.py slope PREFIX			result lines: what holds on any kernel

The boot was one with "-icount shift=0", so the ticks are instructions, and with
"-trace smmuv3_cmdq_opcode", so the commands that reached the SMMU are known.
"""
import collections
import json
import os
import re
import subprocess
import sys

# Instructions per call, from the system call's instruction to its return
GOALS = {
    "tlbi_nh_va-1": 1300,
    "tlbi_nh_va-8": 8 * 180,
    "tlbi_nh_va-64": 64 * 50,
    "tlbi_nh_va-512": 512 * 28,
    "tlbi_nh_va-4096": 4096 * 28,
}
# Of commands that need none in between
SYNCS_PER_ARRAY = 1
# What another compiler may make of the same code
MARGIN = 1.03

# With debugging on, a call has many instructions more but a command hardly any
SLOPES = (("tlbi_nh_va-8", "tlbi_nh_va-64", 22), ("tlbi_nh_va-512", "tlbi_nh_va-4096", 33))
# What a call with no entry, and with one, has more than a system call that does nothing:
# 3750 and 3700 with vm.config. A lock and its release are 600, an allocation is 5000.
STEPS = (("getppid", "tlbi_nh_va-0", 4300), ("tlbi_nh_va-0", "tlbi_nh_va-1", 4250))

COMMAND = re.compile(r"^smmuv3_cmdq_opcode <--- SMMU_CMD_(\w+)")
MARK = ["TLBI_NH_VAA", "TLBI_NH_ALL", "TLBI_NH_VAA", "SYNC"]
NAMES = {
    "getppid": "a system call that does nothing",
    "tlbi_nh_va-0": "IOMMU_HWPT_INVALIDATE, no entry",
    "event-to-poll": "interrupt to poll()'s return",
    "event-to-record": "interrupt to the record in user space",
    "events-to-poll-512": "interrupt to poll()'s return, 512 events",
    "read-1": "read() of 1 record",
    "read-64": "read() of 64 records",
    "read-512": "read() of 512 records",
}
# Headings of the table, by what a name begins with: the first that matches
GROUPS = (
    ("getppid|map|unmap", "Host: map and unmap"),
    ("tlbi_nh_va-", "Arrays of TLBI_NH_VA"),
    ("rejected", "Arrays whose last entry is refused"),
    ("event|read-", "Events"),
    ("", "Arrays of other commands"),
)


def lines(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.readlines()


def read_boot(prefix):
    """{"version": ..., "time": {name: ...}, "memory": {object: [...]}, "skip": {name: why}}"""
    boot = {"version": "", "time": {}, "memory": collections.defaultdict(list), "skip": {}}
    for line in lines(prefix + ".kernel"):
        m = re.search(r"Linux version (\S+)", line)
        if m:
            boot["version"] = m[1]
            break
    for path in (prefix + ".out", prefix + "-memory.out"):
        if path != prefix + ".out" and not os.path.exists(path):
            continue
        ended = False
        for line in lines(path):
            words = line.split()
            if words[:1] == ["time"] and len(words) == 7:
                keys = ("units", "rounds", "min", "mode", "max")
                boot["time"][words[1]] = dict(zip(keys, map(int, words[2:])))
            elif words[:1] == ["memory"] and len(words) == 5:
                boot["memory"][words[1]].append(
                    {"cache": words[2], "count": int(words[3]), "bytes": int(words[4])})
            elif words[:1] == ["skip"]:
                boot["skip"][words[1]] = " ".join(words[2:])
            ended |= words[:2] == ["@viommu", "end"] and "exit=0" in words
        if not ended:
            sys.exit(f"error: viommu-bench did not come to its end, see {path}")
    add_syncs(boot, prefix)
    return boot


def add_syncs(boot, prefix):
    """CMD_SYNCs of each array, and the commands that the SMMU saw in all"""
    names = []
    for words in map(str.split, lines(prefix + ".out")):
        if (words[:1] == ["time"] or (words[:1] == ["skip"] and "done:" in words)) and \
           re.match(r"(tlbi_|cfgi_|atc_|mixed|rejected)", words[1]):
            names.append(words[1])
    seen = []
    commands = [m[1] for m in map(COMMAND.match, lines(prefix + ".qemu")) if m]
    for i, command in enumerate(commands):
        if command == MARK[0] and commands[i:i + 4] == MARK:
            seen.append([])
        elif seen:
            seen[-1].append(command)
    # The last one is behind the last array
    if names and len(seen) != len(names) + 1:
        sys.exit(f"error: {len(seen)} marks in {prefix}.qemu, {len(names)} arrays")
    for name, part in zip(names, seen):
        if name not in boot["time"]:
            continue
        entry = boot["time"][name]
        # The first three are the rest of the mark
        entry["syncs"] = part[3:].count("SYNC") / entry["rounds"]


def heading(text):
    print(f"\n{text}\n{'-' * len(text)}")


def number(x):
    return f"{x:.0f}" if x == int(x) else f"{x:.1f}"


def goal_of(boots, name):
    if name.startswith(("map", "unmap")) and "base" in boots:
        return boots["base"]["time"][name]["mode"]
    return GOALS.get(name)


def cells(entry):
    """One kernel's columns: a call, per unit, CMD_SYNCs"""
    if not entry:
        return " " * 25
    each = f"{entry['mode'] / entry['units']:.1f}" if entry["units"] > 1 else ""
    syncs = number(entry["syncs"]) if "syncs" in entry else ""
    return f"{entry['mode']:9}{each:>9}{syncs:>7}"


def report_time(boots):
    series = boots["series"]["time"]
    others = [n for n in boots if n != "series"]
    heading("Instructions: per call, and of that per command, page or record; CMD_SYNCs")
    print(f"{'':42}{'series':>25}{'goal':>9}{'spread':>8}" +
          "".join(f"{n:>25}{'ratio':>7}" for n in others))
    print(f"{'':42}" + f"{'call':>9}{'each':>9}{'SYNCs':>7}" + f"{'':17}" +
          "".join(f"{'call':>9}{'each':>9}{'SYNCs':>7}{'':7}" for n in others).rstrip())
    last = None
    for name, entry in series.items():
        group = next(text for names, text in GROUPS if re.match(names, name))
        if group != last:
            print(group)
            last = group
        line = f"  {NAMES.get(name, name):40}{cells(entry)}"
        line += f"{goal_of(boots, name) or '':>9}{entry['max'] - entry['min']:8}"
        for other in others:
            its = boots[other]["time"].get(name)
            line += cells(its)
            line += f"{its['mode'] / entry['mode']:7.2f}" if its else f"{'':7}"
        print(line.rstrip())
    for label, boot in boots.items():
        for name, why in boot["skip"].items():
            print(f"  {name:40}not measured: {label}, {why}")


def report_memory(boots):
    heading("Memory of one object, bytes")
    for name in ("viommu", "vdevice", "veventq-64"):
        for label, boot in boots.items():
            if not boot["memory"]:
                continue
            parts = boot["memory"].get(name, [])
            total = sum(p["count"] * p["bytes"] for p in parts)
            what = ", ".join(f"{p['count']} of {p['cache']}" if p["count"] > 1 else p["cache"]
                             for p in parts)
            print(f"  {name:20}{label:>10}{total:9}   {what}")


def report(boots):
    for label, boot in boots.items():
        print(f"{label}: Linux {boot['version']}")
    report_time(boots)
    report_memory(boots)
    print()


def curve(boot, value):
    """Points of the arrays of TLBI_NH_VA, as gnuplot takes them"""
    points = sorted((e["units"], value(e)) for n, e in boot["time"].items()
                    if re.match(r"tlbi_nh_va-\d+$", n) and e["units"] and "syncs" in e)
    return "".join(f"{x} {y}\n" for x, y in points)


def plot(boots, svg):
    """Instructions per command, and CMD_SYNCs, over the length of the array"""
    kernels = {n: b for n, b in boots.items() if curve(b, lambda e: 1)}
    goals = "".join(f"{boots['series']['time'][n]['units']} "
                    f"{g / boots['series']['time'][n]['units']}\n" for n, g in GOALS.items())
    blocks = {"goals": goals}
    panels = ([], [])
    for i, (label, boot) in enumerate(kernels.items()):
        blocks[f"each{i}"] = curve(boot, lambda e: e["mode"] / e["units"])
        blocks[f"syncs{i}"] = curve(boot, lambda e: e["syncs"])
        title = f"{label} (Linux {boot['version']})"
        panels[0].append(f"$each{i} using 1:2 with linespoints ls {i + 1} title '{title}'")
        panels[1].append(f"$syncs{i} using 1:2 with linespoints ls {i + 1} notitle")
        # The figures at the sizes that have a goal
        shift = "0,-0.9" if i == 0 else "0,0.9"
        panels[0].append(f"$each{i} using 1:($1==1||$1==8||$1==64||$1==512||$1==4096?$2:NaN)"
                         f":(sprintf('%.{0 if i else 0}f',$2)) with labels offset {shift} "
                         f"textcolor ls {i + 1} notitle")
    panels[0].append("$goals using 1:2 with points ls 9 title 'goal, at most'")
    script = "".join(f"${name} << EOD\n{text}EOD\n" for name, text in blocks.items())
    script += f"""
set terminal svg size 1000,480 background 'white' font 'sans-serif,13' rounded
set output '{svg}'
set style line 1 lc rgb '#0060ad' lw 2.2 pt 7 ps 0.6
set style line 2 lc rgb '#c44e20' lw 2.2 pt 5 ps 0.6
set style line 3 lc rgb '#3a8a3a' lw 2.2 pt 9 ps 0.6
set style line 9 lc rgb '#404040' lw 1.6 pt 2 ps 0.9
set border 3 lc rgb '#606060'
set tics nomirror
set grid lc rgb '#dddddd' lt 1
set logscale xy
set xtics (1, 2, 8, 64, 512, 4096)
set xrange [0.6:8000]
set xlabel 'commands in the array'
set key top right reverse Left spacing 1.2
set multiplot layout 1,2 title 'IOMMU\\_HWPT\\_INVALIDATE with an array of TLBI\\_NH\\_VA, QEMU -icount'
set title 'Instructions per command'
set yrange [10:4000]
plot {', '.join(panels[0])}
unset key
set title 'CMD\\_SYNCs per array'
set yrange [0.7:150]
plot {', '.join(panels[1])}
unset multiplot
"""
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def emit(ok, test, detail):
    print(f"{'pass' if ok else 'fail'}\tbench\t{test}\t{detail}")


def check_arrays(boot):
    for name, why in boot["skip"].items():
        if "done:" in why:
            emit(False, name, why)
    for name, entry in boot["time"].items():
        if "syncs" in entry and not name.startswith("atc") and entry["units"]:
            # A rejected array of one has nothing to synchronise
            want = 0 if name == "rejected-1" else SYNCS_PER_ARRAY
            emit(entry["syncs"] == want, f"{name}: CMD_SYNCs per array",
                 f"{number(entry['syncs'])}, want {want}")


def goals(boots):
    times = boots["series"]["time"]
    for name, goal in GOALS.items():
        emit(times[name]["mode"] <= goal * MARGIN, f"{name}: instructions",
             f"{times[name]['mode']}, goal {goal}")
    base = boots["base"]["time"]
    for name in base:
        if name.startswith(("map", "unmap")):
            emit(times[name]["mode"] <= base[name]["mode"], f"{name}: no more than the base's",
                 f"{times[name]['mode']}, {base[name]['mode']} without the series")
    check_arrays(boots["series"])


def slope(boot):
    times = boot["time"]
    for few, many, most in SLOPES:
        each = ((times[many]["mode"] - times[few]["mode"]) /
                (times[many]["units"] - times[few]["units"]))
        emit(each <= most, f"{few} to {many}: instructions per command more",
             f"{each:.1f}, at most {most}")
    for less, more, most in STEPS:
        steps = times[more]["mode"] - times[less]["mode"]
        emit(steps <= most, f"{less} to {more}: instructions more", f"{steps}, at most {most}")
    check_arrays(boot)


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def main():
    args = sys.argv[1:]
    if len(args) >= 3 and args[0] == "report":
        boots = {name: read_boot(prefix)
                 for name, prefix in (a.split("=", 1) for a in args[2:])}
        with open(args[1], "w", encoding="utf-8") as f:
            json.dump(boots, f, indent=1)
            f.write("\n")
        report(boots)
    elif len(args) == 3 and args[0] == "plot":
        plot(load(args[1]), args[2])
    elif len(args) == 2 and args[0] == "goals":
        goals(load(args[1]))
    elif len(args) == 2 and args[0] == "slope":
        slope(read_boot(args[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
