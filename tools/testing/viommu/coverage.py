#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Print what of the series the tests executed:

	coverage.py OBJECTS TREE BASE GCOV MIN LOG...

OBJECTS is the build of a kernel with gcov; in it "ours" and "hooked" list the files
to look at. LOG is what a machine printed, with its counts (see @gcov in init.c).
Of a hooked file only the lines count that differ from those of BASE. What is in the
file "not-executed" beside this one is listed with the reason. Exits with 1 if there is
another line that was not executed, but for those of the tests and the mock driver, or
if less than MIN percent of the lines of our files were executed.
"""
import collections
import difflib
import json
import os
import re
import subprocess
import sys
import tempfile

NEAR = 8
HEX = re.compile(r"^[0-9a-f]+$")
# The tests and the mock driver; what they leave out is nobody's loss
TESTS = re.compile(r"(-test\.c|-model\.[ch]|/selftest_viommu\.[ch]|/iommufd_test_viommu\.h"
                   r"|/selftest\.c)$")


def dumped(log, objects):
    """(object's path in the build, counts) of each file that a log has in hexadecimal"""
    name = None
    digits = []
    with open(log, encoding="utf-8", errors="replace") as f:
        for line in f:
            line = line.rstrip("\n")
            if line.startswith("@viommu "):
                if name:
                    yield name, bytes.fromhex("".join(digits))
                words = line.split()
                name, digits = None, []
                if words[1] == "file":
                    name = os.path.relpath(words[2].partition("/gcov")[2], objects)
            elif name and HEX.match(line):
                digits.append(line)


def executed(objects, gcov, log, counts):
    """Add what gcov makes of one log to counts: file -> line -> times"""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in dumped(log, objects):
            stem = os.path.join(folder, "object")
            with open(stem + ".gcda", "wb") as f:
                f.write(data)
            notes = os.path.join(objects, os.path.splitext(name)[0] + ".gcno")
            os.symlink(notes, stem + ".gcno")
            out = subprocess.run([gcov, "--json-format", "--stdout", stem + ".gcda"],
                                 check=True, capture_output=True, text=True, cwd=folder)
            os.unlink(stem + ".gcno")
            for text in out.stdout.splitlines():
                add(json.loads(text), counts)


def add(report, counts):
    for source in report["files"]:
        path = os.path.realpath(os.path.join(report["current_working_directory"], source["file"]))
        for line in source["lines"]:
            counts[path][line["line_number"]] += line["count"]


def changed_lines(old, new):
    """Numbers of the lines of new that old does not have"""
    with open(old, encoding="utf-8") as f:
        before = f.readlines()
    with open(new, encoding="utf-8") as f:
        after = f.readlines()
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return {n + 1 for tag, _, _, start, end in matcher.get_opcodes() if tag != "equal"
            for n in range(start, end)}


def excuses():
    """file -> line of it, stripped -> why no test executes it"""
    reasons = collections.defaultdict(dict)
    name = reason = None
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "not-executed"),
              encoding="utf-8") as f:
        for line in map(str.strip, f):
            if line.startswith("#"):
                reason = line.lstrip("# ")
            elif line.startswith("drivers/") and line.endswith(":"):
                name = line[:-1]
            elif line:
                reasons[name][line] = reason
    return reasons


def ranges(numbers, known):
    """Numbers as "3-7, 9"; a few lines between that are no code do not divide"""
    known = sorted(known)
    parts = []
    for number in sorted(numbers):
        at = known.index(number)
        if parts and known[at - 1] == parts[-1][1] and number - parts[-1][1] < NEAR:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def main():
    if len(sys.argv) < 7:
        sys.exit(__doc__)
    objects, tree, base, gcov = (os.path.abspath(p) if "/" in p else p for p in sys.argv[1:5])
    minimum = float(sys.argv[5])
    counts = collections.defaultdict(collections.Counter)
    for log in sys.argv[6:]:
        executed(objects, gcov, log, counts)

    rows = {"ours": [], "hooks": [], "tests": []}
    missed = []
    excused = []
    reasons = excuses()
    for listed in ("ours", "hooked"):
        with open(os.path.join(objects, listed), encoding="utf-8") as f:
            names = f.read().split()
        for name in names:
            lines = counts.get(os.path.realpath(os.path.join(tree, name)))
            if listed == "hooked" and lines:
                wanted = changed_lines(os.path.join(base, name), os.path.join(tree, name))
                lines = {n: count for n, count in lines.items() if n in wanted}
            if not lines:
                if listed == "ours" and name.endswith(".c"):
                    missed.append((name, "all of it, it has no counts"))
                continue
            kind = "tests" if TESTS.search(name) else "ours" if listed == "ours" else "hooks"
            not_run = [n for n, count in lines.items() if not count]
            rows[kind].append((name, len(lines), len(lines) - len(not_run)))
            if not_run and kind != "tests":
                with open(os.path.join(tree, name), encoding="utf-8") as f:
                    text = [line.strip() for line in f]
                why = {n: reasons[name].get(text[n - 1]) or
                          reasons[name].get(f"{text[n - 2]} => {text[n - 1]}") for n in not_run}
                excused += [f"{name}:{n}: {why[n]}" for n in not_run if why[n]]
                not_run = [n for n in not_run if not why[n]]
            if not_run and kind != "tests":
                missed.append((name, ranges(not_run, lines)))

    width = max(len(row[0]) for kind in rows.values() for row in kind)
    enough = False
    for kind, title in (("tests", "the tests and the mock driver"),
                        ("hooks", "lines that hooks add"), ("ours", "files of the series")):
        print(f"{title:<{width}}  lines   run      %")
        total = tuple(map(sum, list(zip(*rows[kind]))[1:])) if rows[kind] else (0, 0)
        for name, lines, run in rows[kind] + [("all of them", *total)]:
            print(f"{name:<{width}}  {lines:5} {run:5}  {100 * run / max(lines, 1):5.1f}")
        print()
        if kind == "ours":
            enough = total[0] and 100 * total[1] >= minimum * total[0]
    print("Not executed, and why:")
    for line in excused:
        print(f"  {line}")
    print("\nNot executed, and not in not-executed:")
    for name, where in missed:
        print(f"  {name}: {where}")
    if not enough:
        print(f"\nless than {minimum:g} % of the lines of the series")
    return 0 if enough and not missed else 1


if __name__ == "__main__":
    sys.exit(main())
