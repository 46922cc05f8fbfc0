#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Turn logs into results, one line each: "pass|fail|skip TAB suite TAB test TAB detail"

	results.py programs LABEL OUT MANIFEST	what run-vm.sh printed
	results.py tap SUITE STATUS FILE	one program's output and exit status
	results.py kunit LABEL KERNEL SUITES	KUnit in a kernel log, SUITES lists who must report
	results.py splats LABEL KERNEL		complaints in a kernel log
	results.py sum SKIPS FILE...		count result lines, last line "N passed, N failed,
						N skipped"; a skip that SKIPS does not list is
						a failure

A test counts by what it says and by what it leaves out: a program that ends
badly, prints less than its plan, or never ran is a failure of its own.
"""
import collections
import fnmatch
import itertools
import re
import sys

SKIP_STATUS = 4         # KSFT_SKIP
TIMESTAMP = re.compile(r"^\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ")
RESULT = re.compile(r"^(not ok|ok) (\d+)(?: -)? ?(.*)$")
PLAN = re.compile(r"^1\.\.(\d+)")
SUBTEST = re.compile(r"^# Subtest: (.+)$")
BEGIN = re.compile(r"viommu: begin (\S+)")
END = re.compile(r"viommu: end (\S+)")

# What the kernel says when it finds itself wrong
SPLAT = re.compile("|".join((
    r"\bWARNING: ", r"\bBUG: ", r"kernel BUG at", r"Internal error:", r"\bOops\b",
    r"Kernel panic", r"\bKCSAN:", r"Unable to handle kernel", r"\bUBSAN:", r"\bODEBUG:",
    r"refcount_t:", r"list_(?:add|del) corruption", r"unreferenced object",
    r"rcu: INFO:", r"INFO: rcu", r"INFO: task .* blocked", r"soft lockup",
    r"possible (?:recursive|circular|irq|deadlock)", r"inconsistent lock state",
    r"held lock freed", r"suspicious RCU usage", r"sleeping function called",
    r"Invalid wait context", r"bad unlock balance", r"lock.* still held",
    r"INFO: trying to register non-static key", r"scheduling while atomic",
    r"page allocation failure", r"nobody cared", r"Bad page state",
    r"Object padding overwritten|Redzone overwritten|Poison overwritten",
)))
# A record of the SMMU's event queue that the driver prints, and each of its words. The
# devices of the KUnit tests have other drivers, and some events are theirs to print.
EVENT = re.compile(r"\barm-smmu-v3 \S+: event 0x([0-9a-f]{2}) received:")
# It also attaches the device to domains where the host uses stage 1 itself
HOST_STAGE_1 = "viommu-fuzz"
# It replaces one nest parent by another while the device does DMA: the STE that is invalid
# meanwhile is the host's
HOST_STE = "viommu-stress"
BAD_STE = 0x04
EVENT_WORD = re.compile(r"\barm-smmu-v3 \S+:\s+0x([0-9a-f]{16})$")
# The driver about the command queue of the machine's SMMU; KUnit's has another name
CMDQ = re.compile(r"arm-smmu-v3\.\d+\.auto: (?:CMDQ|CMD_SYNC|skipping|retrying|unexpected global)")
# Not a complaint: a test says in its name or comment what a splat is called,
# or a KUnit test that provokes one
NO_SPLAT = re.compile(r"^\s*(?:#|ok |not ok )|FAULT_INJECTION: forcing")


def lines_of(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return [line.rstrip("\r\n") for line in f]


def clean(text):
    return re.sub(r"[\t\r\n]+", " ", text).strip()


def emit(kind, suite, test, detail=""):
    print("\t".join((kind, clean(suite), clean(test), clean(detail))))


def kind_of(verdict, name):
    """(kind, name, remark) of the parts of a TAP result line"""
    name, _, directive = name.partition(" # ")
    if name.startswith("# "):
        name, directive = "", name[2:]
    if verdict == "ok":
        return ("skip" if directive.upper().startswith("SKIP") else "pass", name, directive)
    return "fail", name, directive


def tap(suite, lines, ending):
    """One program's lines; ending is None if it ended well, else what happened"""
    planned = None
    count = 0
    failed = False
    last = []
    for line in lines:
        match = PLAN.match(line)
        if match and planned is None:
            planned = int(match[1])
            continue
        match = RESULT.match(line)
        if not match:
            last = (last + [line])[-3:]
            continue
        kind, name, remark = kind_of(match[1], match[3])
        count += 1
        failed |= kind == "fail"
        emit(kind, suite, name or f"test {match[2]}",
             remark or (" | ".join(last) if kind == "fail" else ""))
        last = []
    if not count and planned is None:
        if ending == "skip":
            emit("skip", suite, suite, " | ".join(last))
        else:
            emit("fail" if ending else "pass", suite, suite,
                 f"{ending}: {' | '.join(last)}" if ending else "")
        return
    if planned is not None and count < planned and not (planned == 0 or ending == "skip"):
        emit("fail", suite, "plan", f"{planned} tests planned, {count} reported")
    # A failed test explains a bad exit status, nothing else does
    if ending and ending != "skip" and not (failed and ending.startswith("exit=")):
        emit("fail", suite, "end", f"{ending}: {' | '.join(last)}")
    if ending == "skip" and not count:
        emit("skip", suite, suite, " | ".join(last))


def programs(label, out, manifest):
    bodies = {}
    endings = {}
    current = None
    for line in lines_of(out):
        # What the program wrote before has not always ended its line
        at = line.find("@viommu ")
        if at < 0:
            if current is not None:
                bodies[current].append(line)
            continue
        words = line[at:].split()
        if at and current is not None:
            bodies[current].append(line[:at])
        if words[1] == "begin":
            current = words[2]
            bodies[current] = []
        elif words[1] == "end":
            endings[words[2]] = words[3]
            current = None
    for line in lines_of(manifest):
        words = line.split()
        if not words or words[0].startswith("#") or words[2] == "@dump":
            continue
        name = words[0]
        suite = f"{label}/{name}"
        if name not in bodies:
            emit("fail", suite, name, "never started: the machine stopped before")
            continue
        ending = endings.get(name, "the machine stopped while it ran")
        if ending == "exit=0":
            ending = None
        elif ending == f"exit={SKIP_STATUS}":
            ending = "skip"
        tap(suite, bodies[name], ending)


def kunit(label, kernel, suites):
    expected = [s.split("#")[0].strip() for s in lines_of(suites)]
    expected = [s for s in expected if s]
    cases = collections.defaultdict(list)   # suite -> [(kind, case, remark)]
    verdicts = {}
    suite = None
    params = []
    notes = []
    plans = {}
    for line in lines_of(kernel):
        line = TIMESTAMP.sub("", line)
        indent = len(line) - len(line.lstrip(" "))
        text = line.strip()
        match = SUBTEST.match(text)
        if match and indent == 4:
            suite, params, notes = match[1], [], []
            continue
        match = PLAN.match(text)
        if match and indent == 4 and suite:
            plans[suite] = int(match[1])
            continue
        match = RESULT.match(text)
        if not match:
            if suite and text and not text.startswith("KTAP"):
                notes = (notes + [text])[-4:]
            continue
        kind, name, remark = kind_of(match[1], match[3])
        if indent >= 8:
            params.append((kind, name, remark or (" | ".join(notes) if kind == "fail" else "")))
            notes = []
        elif indent == 4 and suite:
            detail = remark or (" | ".join(notes) if kind == "fail" else "")
            if params:
                cases[suite] += [(k, f"{name}: {n}", r) for k, n, r in params]
                if kind == "fail" and all(p[0] != "fail" for p in params):
                    cases[suite].append(("fail", name, detail))
            else:
                cases[suite].append((kind, name, detail))
            plans[suite] = plans.get(suite, 0) - 1
            params, notes = [], []
        elif indent == 0 and suite:
            verdicts[name] = kind
            suite = None

    for name in expected + [s for s in cases if s not in expected]:
        full = f"{label}/{name}"
        for kind, case, detail in cases[name]:
            emit(kind, full, case, detail)
        if name not in cases or not cases[name]:
            emit("fail", full, name, "the suite did not run")
        elif all(kind == "skip" for kind, _, _ in cases[name]):
            emit("fail", full, name, "every case was skipped")
        elif name not in verdicts:
            emit("fail", full, name, "the suite did not end")
        elif plans.get(name, 0) > 0:
            emit("fail", full, name, f"{plans[name]} planned cases did not report")
        elif verdicts[name] == "fail" and all(k != "fail" for k, _, _ in cases[name]):
            emit("fail", full, name, "the suite's own init or exit failed")
        if name not in expected:
            emit("fail", full, name, f"not listed in {suites}: add it")


def guest_events(lines):
    """Events of a guest's stage 1 that the host printed: (line number, line)"""
    during = ""
    for number, line in enumerate(lines, 1):
        if match := BEGIN.search(line):
            during = match[1]
        elif END.search(line):
            during = ""
        match = EVENT.search(line)
        if not match or during == HOST_STAGE_1:
            continue
        if during == HOST_STE and int(match[1], 16) == BAD_STE:
            continue
        words = [int(m[1], 16) for l in lines[number:number + 4] if (m := EVENT_WORD.search(l))]
        # S2: bit 103 of the record
        if len(words) < 2 or not words[1] >> 39 & 1:
            yield number, line


def splats(label, kernel):
    during = "boot"
    found = 0
    quiet_until = 0
    lines = [TIMESTAMP.sub("", line) for line in lines_of(kernel)]
    for number, line in enumerate(lines, 1):
        if match := BEGIN.search(line):
            during = match[1]
        elif END.search(line):
            during = "between programs"
        if number < quiet_until or NO_SPLAT.search(line) or not SPLAT.search(line):
            continue
        # One complaint has many lines that look like one
        quiet_until = number + 30
        found += 1
        if found <= 20:
            emit("fail", f"{label}/kernel-log", f"{during}: {line}", f"{kernel}:{number}")
    # All other stage 1 faults are of guests, and none of the host's business
    for number, line in list(guest_events(lines))[:20]:
        found += 1
        emit("fail", f"{label}/kernel-log", f"a guest's event: {line}", f"{kernel}:{number}")
    # All errors of commands are injected into guests' here, and their callers are told
    cmdq = [number for number, line in enumerate(lines, 1) if CMDQ.search(line)]
    if cmdq:
        found += 1
        emit("fail", f"{label}/kernel-log", f"{len(cmdq)} of the command queue: "
             f"{lines[cmdq[0] - 1]}", f"{kernel}:{cmdq[0]}")
    if not lines:
        emit("fail", f"{label}/kernel-log", "empty", f"{kernel}: the kernel said nothing")
    elif not found:
        emit("pass", f"{label}/kernel-log", "no complaint")


def allowed_skips(path):
    """The rows of a list of SUITE TEST REASON"""
    lines = [line.split("#")[0].split(None, 2) for line in lines_of(path)]
    return [words for words in lines if words]


def may_skip(skips, suite, test, detail):
    detail = re.sub(r"^SKIP\s*", "", detail).strip()
    return any(all(map(fnmatch.fnmatchcase, (suite, test, detail), words)) for words in skips)


def total(skips, *paths):
    skips = allowed_skips(skips)
    counts = collections.Counter()
    suites = collections.OrderedDict()
    bad = []
    skipped = []
    for line in itertools.chain.from_iterable(map(lines_of, paths)):
        kind, suite, test, detail = line.split("\t")
        if kind == "skip" and not may_skip(skips, suite, test, detail):
            kind, detail = "fail", f"may not skip: {detail}"
        counts[kind] += 1
        suites.setdefault(suite, collections.Counter())[kind] += 1
        if kind == "fail":
            bad.append((suite, test, detail))
        elif kind == "skip":
            skipped.append((suite, test, detail))
    width = max((len(s) for s in suites), default=0)
    for suite, c in suites.items():
        print(f"{suite:<{width}}  {c['pass']:4} passed  {c['fail']:3} failed"
              + (f"  {c['skip']:3} skipped" if c["skip"] else ""))
    for title, rows in (("skipped", skipped), ("FAILED", bad)):
        if rows:
            print()
        for suite, test, detail in rows[:50]:
            print(f"{title}: {suite}: {test}" + (f" ({detail})" if detail else ""))
        if len(rows) > 50:
            print(f"{title}: and {len(rows) - 50} more, see {' '.join(paths)}")
    print()
    print(f"{counts['pass']} passed, {counts['fail']} failed, {counts['skip']} skipped")
    return 0 if counts["pass"] and not counts["fail"] else 1


def main():
    args = sys.argv[1:]
    if len(args) == 4 and args[0] == "programs":
        programs(*args[1:])
    elif len(args) == 4 and args[0] == "kunit":
        kunit(*args[1:])
    elif len(args) == 4 and args[0] == "tap":
        status = int(args[2])
        ending = None if not status else "skip" if status == SKIP_STATUS else f"exit={status}"
        tap(args[1], lines_of(args[3]), ending)
    elif len(args) == 3 and args[0] == "splats":
        splats(*args[1:])
    elif len(args) >= 3 and args[0] == "sum":
        return total(*args[1:])
    else:
        sys.exit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
