#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Put bugs into the kernel, each behind a switch, and see who notices.

    bugs.py apply LIST TREE OUT	the files of TREE that LIST names, with all bugs, in OUT
    bugs.py plan LIST TREE	what is to run: number, K or -, class, test, and how to run it
    bugs.py judge LIST TREE RAN [NUMBER...]
				results of tests (see results.py), of these bugs alone if
				there are NUMBERs. RAN has lines of number, test, and how
				it went with the bug: it failed (yes), it passed (no), or
				it ran out of time (late), which tells nothing

LIST has a class of bugs in a line, the bugs of that class in the lines after it, and
their fields separated by one TAB:

    CLASS:
	FILE	SED-EXPRESSION	WHAT IS WRONG [TEST...]
	+	FILE	SED-EXPRESSION

In the expression "BUG" is true when this bug is on, and "+" is one more edit of the same
bug. The tests of a class are those of README.viommu; a class that it does not have, or a
bug that not all of them are about, names tests. A test is a program of tools/iommu, or
FILE.TEST for one of a kselftest or a KUnit suite.
"""
import pathlib
import re
import subprocess
import sys

import classes

SWITCH = "drivers/iommu/iommu.c"
SWITCH_CODE = """
int viommu_bug;
EXPORT_SYMBOL_GPL(viommu_bug);
core_param(viommu_bug, viommu_bug, int, 0444);
"""
DECLARATION = "extern int viommu_bug;\n"
# A race has to be lost, so a bug may wait
DELAY = "#include <linux/delay.h>\n"
# For a machine of its own, so not in vm-tests
LIFECYCLE = "viommu-lifecycle 120 /bin/viommu-lifecycle"
# How long one test of a kselftest may take: the harness itself gives up after 30 s, three
# times that in the machine
KSELFTEST_SECONDS = 120


class Bug:
    def __init__(self, number, bug_class, what, tests):
        self.number = number
        self.bug_class = bug_class
        self.what = what
        self.tests = tests
        self.edits = []


def parse(path, rows):
    """The bugs of LIST; rows are {class: (needs KASAN, tests)}"""
    bugs = []
    current = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith("\t"):
            current = line.rstrip(":")
            continue
        fields = line[1:].split("\t")
        if fields[0] == "+" and len(fields) == 3 and bugs:
            bugs[-1].edits.append(fields[1:])
        elif len(fields) in (3, 4) and current:
            tests = fields[3].split() if len(fields) == 4 else rows.get(current, (0, ()))[1]
            if not tests:
                sys.exit(f"{path}:{number}: no test for: {current}")
            bugs.append(Bug(len(bugs) + 1, current, fields[2], tests))
            bugs[-1].edits.append(fields[:2])
        else:
            sys.exit(f"{path}:{number}: not a line that is understood")
    return bugs


def rows_of(tree):
    """{class: (needs KASAN, [test...])} of the README; what is no program of a machine is
    not run here"""
    rows = {}
    readme = tree / "tools/testing/selftests/iommu/README.viommu"
    for name, tests in classes.table(readme.read_text()):
        slow, name = name.endswith(" (K)"), name.removesuffix(" (K)")
        rows.setdefault(name, (slow, []))[1].extend(t for t in tests if t != "bench")
    return rows


def edit(text, bug, expression):
    """text with one edit, which must change one place"""
    if not re.search(r"\bBUG\b", expression):
        raise ValueError("has no BUG")
    expression = re.sub(r"\bBUG\b", f"unlikely(viommu_bug == {bug.number})", expression)
    done = subprocess.run(["sed", expression], input=text, text=True, capture_output=True)
    if done.returncode:
        raise ValueError(done.stderr.strip())
    switch = f"viommu_bug == {bug.number})"
    added = done.stdout.count(switch) - text.count(switch)
    if added != expression.count(switch):
        raise ValueError(f"is for one place, adds {added} switches")
    return done.stdout


def apply(bugs, tree, out):
    def original(name):
        text = (tree / name).read_text()
        if not name.endswith(".c"):
            return DECLARATION + text
        # Behind the other headers: what is defined in front of them must come first
        at = text.index("\n", text.rindex("\n#include ") + 1) + 1
        return text[:at] + DELAY + DECLARATION + text[at:]

    texts = {SWITCH: original(SWITCH) + SWITCH_CODE}
    bad = 0
    for bug in bugs:
        for name, expression in bug.edits:
            text = texts.get(name) or original(name)
            try:
                texts[name] = edit(text, bug, expression)
            except ValueError as e:
                print(f"{bug.bug_class}: {name}: {expression}: {e}")
                bad += 1
    # A file that is as it was is not to be compiled again
    for name, text in texts.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    for path in out.rglob("*"):
        if path.is_file() and str(path.relative_to(out)) not in texts:
            path.unlink()
    return bad > 0


def programs(tree):
    lines = (tree / "tools/iommu/vm-tests").read_text().splitlines()
    return {line.split()[0]: line.split()[1:] for line in lines + [LIFECYCLE]
            if not line.startswith("#")}


def how(tree, tests, test):
    """A line of a machine's manifest, or "kunit SUITE GLOB" """
    if test in tests:
        return " ".join([test] + tests[test])
    file, _, case = test.partition(".")
    if (tree / f"tools/testing/selftests/iommu/{file}.c").exists():
        return f"{test} {KSELFTEST_SECONDS} /bin/{file} -t {case}"
    source = next((tree / "drivers/iommu").glob(f"**/{file}.c")).read_text()
    for name, cases in re.findall(r"\bkunit_suite \w+ = \{.*?\.name = \"([^\"]+)\","
                                  r".*?\.test_cases = (\w+),", source, re.S):
        body = re.search(rf"\bkunit_case {cases}\[\] = \{{(.*?)^\}};", source, re.S | re.M)
        if re.search(rf"\b{case}\b", body[1]):
            return f"kunit {name} {name}.{case}"
    sys.exit(f"{test}: in no suite of KUnit")


def plan(bugs, rows, tree):
    tests = programs(tree)
    for bug in bugs:
        for test in bug.tests:
            print(bug.number, "K" if rows.get(bug.bug_class, (0,))[0] else "-",
                  bug.bug_class, test, how(tree, tests, test), sep="\t")


def judge(bugs, rows, ran, only):
    def emit(good, test, detail):
        print("pass" if good else "fail", "bugs", test, detail, sep="\t")

    noticed = {}
    for line in ran.read_text().splitlines():
        number, test, verdict = line.split("\t")
        noticed.setdefault(int(number), {})[test] = verdict
    for number in sorted(only - {bug.number for bug in bugs}):
        emit(False, f"bug {number}", "there is none")
    for bug in bugs:
        if only and bug.number not in only:
            continue
        verdicts = noticed.get(bug.number, {})
        told = [t for t, verdict in verdicts.items() if verdict == "yes"]
        late = [t for t, verdict in verdicts.items() if verdict == "late"]
        emit(told, f"{bug.bug_class}: {bug.what}",
             f"noticed by {' '.join(told)}" if told else f"bug {bug.number} is not noticed")
        if late:
            emit(False, f"{bug.bug_class}: {bug.what}: in time",
                 f"bug {bug.number}: {' '.join(late)} ran out of time")
    # A test that is there for a class of bugs is to notice one of them
    for name, (_, tests) in rows.items() if not only else ():
        numbers = [bug.number for bug in bugs if bug.bug_class == name]
        for test in tests:
            told = [n for n in numbers if noticed.get(n, {}).get(test) == "yes"]
            emit(told, f"{name}: {test}", f"notices {' '.join(map(str, told))}" if told else
                 f"notices none of {' '.join(map(str, numbers)) or 'them: there is none'}")


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    tree = pathlib.Path(sys.argv[3])
    rows = rows_of(tree)
    bugs = parse(pathlib.Path(sys.argv[2]), rows)
    if sys.argv[1] == "apply" and len(sys.argv) == 5:
        return apply(bugs, tree, pathlib.Path(sys.argv[4]))
    if sys.argv[1] == "plan":
        plan(bugs, rows, tree)
    elif sys.argv[1] == "judge" and len(sys.argv) >= 5:
        judge(bugs, rows, pathlib.Path(sys.argv[4]), set(map(int, sys.argv[5:])))
    else:
        sys.exit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
