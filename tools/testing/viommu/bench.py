#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What viommu-bench printed in the test machine, as tables, JSON and a plot

	bench.py report OUT.json NAME=PREFIX...	tables; kernel NAME's boot left PREFIX.out
						and PREFIX.qemu; the series' is "series"
	bench.py plot JSON FILE.svg		instructions per command (gnuplot)
	bench.py goals JSON			result lines, see results.py: the goals
	bench.py slope PREFIX			result lines: what holds on any kernel

The boot was one with "-icount shift=0", so the ticks are instructions, and with
"-trace smmuv3_cmdq_opcode", so the commands that reached the SMMU are known.
"""
import collections
import json
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
SLOPES = (("tlbi_nh_va-8", "tlbi_nh_va-64", 25), ("tlbi_nh_va-512", "tlbi_nh_va-4096", 45))

COMMAND = re.compile(r"^smmuv3_cmdq_opcode <--- SMMU_CMD_(\w+)")
MARK = ["TLBI_NH_VAA", "TLBI_NH_ALL", "TLBI_NH_VAA", "SYNC"]
NAMES = {
    "getppid": "a system call that does nothing",
    "tlbi_nh_va-0": "IOMMU_HWPT_INVALIDATE, no entry",
    "event-to-poll": "interrupt to poll()'s return, 1 event",
    "events-to-poll-512": "interrupt to poll()'s return, 512",
}


def read_boot(prefix):
    """{"time": {name: ...}, "memory": {object: [...]}, "skip": {name: why}}"""
    boot = {"time": {}, "memory": collections.defaultdict(list), "skip": {}}
    ended = False
    with open(prefix + ".out", encoding="utf-8", errors="replace") as f:
        for line in f:
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
        sys.exit(f"error: viommu-bench did not come to its end, see {prefix}.out")
    add_syncs(boot, prefix)
    return boot


def add_syncs(boot, prefix):
    """CMD_SYNCs of each array, and the commands that the SMMU saw in all"""
    names = [n for n in boot["time"] if re.match(r"(tlbi_|cfgi_|atc_|mixed|rejected)", n)]
    seen = []
    with open(prefix + ".qemu", encoding="utf-8", errors="replace") as f:
        commands = [m[1] for m in map(COMMAND.match, f) if m]
    for i, command in enumerate(commands):
        if command == MARK[0] and commands[i:i + 4] == MARK:
            seen.append([])
        elif seen:
            seen[-1].append(command)
    # The last one is behind the last array
    if names and len(seen) != len(names) + 1:
        sys.exit(f"error: {len(seen)} marks in {prefix}.qemu, {len(names)} arrays")
    for name, part in zip(names, seen):
        entry = boot["time"][name]
        # The first three are the rest of the mark
        entry["syncs"] = part[3:].count("SYNC") / entry["rounds"]


def heading(text):
    print(f"\n{text}\n{'-' * len(text)}")


def number(x):
    return f"{x:.0f}" if x == int(x) else f"{x:.1f}"


def report(boots):
    series = boots["series"]["time"]
    others = [n for n in boots if n != "series"]
    heading("Instructions per call")
    head = f"{'':38}{'call':>9}{'each':>8}{'goal':>9}{'spread':>8}{'syncs':>7}"
    print(head + "".join(f"{n:>10}" for n in others))
    for name, entry in series.items():
        units = entry["units"]
        goal = GOALS.get(name)
        if name.startswith(("map", "unmap")) and "base" in boots:
            goal = boots["base"]["time"][name]["mode"]
        line = f"{NAMES.get(name, name):38}{entry['mode']:9}"
        line += f"{entry['mode'] / units:8.1f}" if units else f"{'':8}"
        line += f"{goal or '':>9}{entry['max'] - entry['min']:8}"
        line += f"{number(entry['syncs']):>7}" if "syncs" in entry else f"{'':7}"
        for other in others:
            line += f"{boots[other]['time'].get(name, {}).get('mode', ''):>10}"
        print(line.rstrip())
    for name, why in boots["series"]["skip"].items():
        print(f"{name:38}not measured: {why}")

    heading("Memory, bytes")
    for name, parts in boots["series"]["memory"].items():
        total = sum(p["count"] * p["bytes"] for p in parts)
        what = ", ".join(f"{p['count']} of {p['cache']}" if p["count"] > 1 else p["cache"]
                         for p in parts)
        print(f"{name:38}{total:9}   {what}")
    print()


def plot(boots, svg):
    """Instructions per command over the length of the array, all kernels that have it"""
    sizes = re.compile(r"tlbi_nh_va-(\d+)$")
    data = []
    curves = []
    for label, boot in boots.items():
        points = sorted((e["units"], e["mode"] / e["units"])
                        for n, e in boot["time"].items() if sizes.match(n) and e["units"])
        if points:
            data.append("".join(f"{x} {y}\n" for x, y in points))
            curves.append(f"'-' with linespoints title '{label}'")
    data.append("".join(f"{boots['series']['time'][n]['units']} "
                        f"{g / boots['series']['time'][n]['units']}\n" for n, g in GOALS.items()))
    curves.append("'-' with points title 'goal'")
    script = f"""set terminal svg size 720,480 background 'white'
set output '{svg}'
set logscale xy 2
set xlabel 'commands in the array'
set ylabel 'instructions per command'
set title 'IOMMU_HWPT_INVALIDATE, TLBI_NH_VA (QEMU -icount)'
set grid
plot {', '.join(curves)}
""" + "e\n".join(data) + "e\n"
    subprocess.run(["gnuplot"], input=script, text=True, check=True)


def emit(ok, test, detail):
    print(f"{'pass' if ok else 'fail'}\tbench\t{test}\t{detail}")


def check_syncs(times):
    for name, entry in times.items():
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
    check_syncs(times)


def slope(boot):
    times = boot["time"]
    for few, many, most in SLOPES:
        each = ((times[many]["mode"] - times[few]["mode"]) /
                (times[many]["units"] - times[few]["units"]))
        emit(each <= most, f"{few} to {many}: instructions per command more",
             f"{each:.1f}, at most {most}")
    check_syncs(times)


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
