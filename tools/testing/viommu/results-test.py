#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Does results.py see what goes wrong? Runs it on small logs; TAP on standard output."""
import os
import subprocess
import sys
import tempfile

RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results.py")
KTAP = """[    1.000000] KTAP version 1
[    1.000000] 1..1
[    1.000000]     KTAP version 1
[    1.000000]     # Subtest: suite
[    1.000000]     1..2
{cases}
[    1.000000] {verdict} 1 suite
"""
MANIFEST = "prog 10 /bin/prog\n"
COUNT = 0


def run(mode, *contents):
    """results.py's lines as (kind, test); a content is a file's text"""
    with tempfile.TemporaryDirectory() as folder:
        args = []
        for i, text in enumerate(contents):
            path = os.path.join(folder, str(i))
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            args.append(path)
        out = subprocess.run([sys.executable, RESULTS, mode, "label", *args],
                             check=True, capture_output=True, text=True).stdout
    return [tuple(line.split("\t")[:3:2]) for line in out.splitlines()]


def test(name, got, want):
    global COUNT
    COUNT += 1
    print(f"{'ok' if got == want else 'not ok'} {COUNT} {name}")
    if got != want:
        print(f"# got  {got}\n# want {want}")
    return got == want


def program(body, end="exit=0"):
    text = f"@viommu begin prog\n{body}"
    return run("programs", text + (f"@viommu end prog {end} seconds=1\n" if end else ""), MANIFEST)


def suite(cases, verdict="ok", expected="suite\n"):
    cases = "\n".join("[    1.000000]     " + c for c in cases)
    return run("kunit", KTAP.format(cases=cases, verdict=verdict), expected)


def splat(*lines):
    return [kind for kind, _ in run("splats", "".join(f"[    1.000000] {s}\n" for s in lines))]


def total(*rows):
    """The last line and the exit status of "sum", for rows of result lines"""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("rows", "".join("\t".join(row) + "\n" for row in rows)),
                           ("skips", "# a comment\n\nsmall/*  some-*  too [1-3] CPUs\n")):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                f.write(text)
        done = subprocess.run([sys.executable, RESULTS, "sum", os.path.join(folder, "skips"),
                               os.path.join(folder, "rows")],
                              check=False, capture_output=True, text=True)
    return done.stdout.splitlines()[-1], done.returncode


def event(word1, number=0x10):
    return [f"arm-smmu-v3 arm-smmu-v3.0.auto: {text}" for text in (
        f"event 0x{number:02x} received:", f"\t0x00000010000000{number:02x}",
        f"\t0x{word1:016x}",
        "\t0x0000000000001000", "\t0x0000000040001000")]


GOOD = ["ok 1 a", "ok 2 b"]
PASS = ("pass", "other", "test", "")
SKIP = ("skip", "small/suite", "some-test", "SKIP too 2 CPUs")
ok = [
    test("plain program", program("hello\n"), [("pass", "label/prog")]),
    test("plain program fails", program("hello\n", "exit=1"), [("fail", "label/prog")]),
    test("plain program skips", program("no device\n", "exit=4"), [("skip", "label/prog")]),
    test("killed", program("hello\n", "signal=11"), [("fail", "label/prog")]),
    test("timeout", program("hello\n", "timeout"), [("fail", "label/prog")]),
    test("the machine died in it", program("hello\n", None), [("fail", "label/prog")]),
    test("never started", run("programs", "", MANIFEST), [("fail", "prog")]),
    test("end on the program's last line", program("no newline"), [("pass", "label/prog")]),
    test("TAP", program("1..2\nok 1 a\nok 2 b\n"), [("pass", "a"), ("pass", "b")]),
    test("TAP fails", program("1..2\nok 1 a\nnot ok 2 b\n", "exit=1"),
         [("pass", "a"), ("fail", "b")]),
    test("TAP skips", program("1..1\nok 1 a # SKIP no device\n"), [("skip", "a")]),
    test("TAP stops short", program("1..2\nok 1 a\n"), [("pass", "a"), ("fail", "plan")]),
    test("TAP is fine, the exit status is not", program("1..1\nok 1 a\n", "exit=1"),
         [("pass", "a"), ("fail", "end")]),
    test("TAP fails and it crashes", program("1..2\nnot ok 1 a\nok 2 b\n", "signal=6"),
         [("fail", "a"), ("pass", "b"), ("fail", "end")]),
    test("TAP plan and nothing else", program("1..3\n"), [("fail", "plan")]),
    test("KUnit", suite(GOOD), [("pass", "a"), ("pass", "b")]),
    test("KUnit fails", suite(["ok 1 a", "not ok 2 b"], "not ok"), [("pass", "a"), ("fail", "b")]),
    test("KUnit parameters", suite(["    ok 1 x", "    not ok 2 y", "not ok 1 a", "ok 2 b"], "not ok"),
         [("pass", "a: x"), ("fail", "a: y"), ("pass", "b")]),
    test("KUnit stops short", suite(["ok 1 a"]), [("pass", "a"), ("fail", "suite")]),
    test("KUnit suite missing", run("kunit", "[    1.000000] boot\n", "suite\n"),
         [("fail", "suite")]),
    test("KUnit suite not listed", suite(GOOD, "ok", "# none\n"),
         [("pass", "a"), ("pass", "b"), ("fail", "suite")]),
    test("KUnit all skipped", suite(["ok 1 a # SKIP x", "ok 2 b # SKIP x"]),
         [("skip", "a"), ("skip", "b"), ("fail", "suite")]),
    test("KUnit suite's init fails", suite(GOOD, "not ok"),
         [("pass", "a"), ("pass", "b"), ("fail", "suite")]),
    test("clean kernel log", splat("Run /init as init process"), ["pass"]),
    test("empty kernel log", splat(), ["fail"]),
    test("stage 2 event", splat(*event(0x8000000000)), ["pass"]),
    test("stage 1 event", splat(*event(0x0800000000)), ["fail"]),
    test("stage 1 event of the host's", splat("viommu: begin viommu-fuzz", *event(0x0800000000),
                                              "viommu: end viommu-fuzz"), ["pass"]),
    test("stage 1 event after that", splat("viommu: begin viommu-fuzz",
                                           "viommu: end viommu-fuzz", *event(0x0800000000)),
         ["fail"]),
    test("bad STE between two of the host's", splat("viommu: begin viommu-stress",
                                                    *event(0, 0x04)), ["pass"]),
    test("bad STE elsewhere", splat("viommu: begin viommu-demo", *event(0, 0x04)), ["fail"]),
    test("another event there", splat("viommu: begin viommu-stress", *event(0, 0x0a)), ["fail"]),
    test("event of a KUnit test", splat(*(line.replace("arm-smmu-v3 ", "arm-smmu-v3-model.1 case.")
                                          for line in event(0x0800000000))), ["pass"]),
    test("command queue error", splat(
        "arm-smmu-v3 arm-smmu-v3.0.auto: CMDQ error (cons 0x01000005): Illegal command"), ["fail"]),
    test("command queue timeout", splat(
        "arm-smmu-v3 arm-smmu-v3.1.auto: CMD_SYNC timeout at 0x00000005 [hwprod 0x00000006, hwcons 0x00000005]"),
         ["fail"]),
    test("command queue error of a KUnit model", splat(
        "arm-smmu-v3-model test_hang.arm-smmu-v3-model: CMDQ timeout of 4 commands"), ["pass"]),
    test("size of the command queue", splat(
        "arm-smmu-v3 arm-smmu-v3.0.auto: allocated 262144 entries for cmdq"), ["pass"]),
    test("sum", total(PASS, PASS), ("2 passed, 0 failed, 0 skipped", 0)),
    test("sum with a failure", total(PASS, ("fail", "s", "t", "")),
         ("1 passed, 1 failed, 0 skipped", 1)),
    test("sum of nothing", total(), ("0 passed, 0 failed, 0 skipped", 1)),
    test("a skip that is allowed", total(PASS, SKIP), ("1 passed, 0 failed, 1 skipped", 0)),
    test("no test but skips", total(SKIP), ("0 passed, 0 failed, 1 skipped", 1)),
    test("a skip of another suite", total(PASS, SKIP[:1] + ("a",) + SKIP[2:]),
         ("1 passed, 1 failed, 0 skipped", 1)),
    test("a skip of another test", total(PASS, SKIP[:2] + ("a",) + SKIP[3:]),
         ("1 passed, 1 failed, 0 skipped", 1)),
    test("a skip for another reason", total(PASS, SKIP[:3] + ("SKIP too 4 CPUs",)),
         ("1 passed, 1 failed, 0 skipped", 1)),
    test("a skip without a reason", total(PASS, SKIP[:3] + ("",)),
         ("1 passed, 1 failed, 0 skipped", 1)),
    test("injected faults", splat("FAULT_INJECTION: forcing a failure.", "name failslab"), ["pass"]),
]
for complaint in (
        "WARNING: CPU: 0 PID: 1 at drivers/iommu/x.c:1 f+0x0/0x10",
        "WARNING: possible circular locking dependency detected",
        "WARNING: suspicious RCU usage",
        "BUG: KASAN: slab-use-after-free in f+0x0/0x10",
        "BUG: KCSAN: data-race in f / g",
        "BUG: sleeping function called from invalid context at x.c:1",
        "BUG: spinlock bad magic on CPU#0",
        "kernel BUG at drivers/iommu/x.c:1!",
        "Internal error: Oops: 0000000096000004 [#1] SMP",
        "Unable to handle kernel NULL pointer dereference at 0",
        "Kernel panic - not syncing: x",
        "rcu: INFO: rcu_sched self-detected stall on CPU",
        "INFO: task prog:12 blocked for more than 120 seconds.",
        "watchdog: BUG: soft lockup - CPU#0 stuck for 22s!",
        "refcount_t: underflow; use-after-free.",
        "ODEBUG: free active (active state 0) object",
        "UBSAN: shift-out-of-bounds in x.c:1",
        "kmemleak: unreferenced object 0xffff000000000000 (size 8):"):
    ok.append(test(complaint.split(" in f")[0].replace("#", ""), splat("fine", complaint), ["fail"]))
print(f"1..{COUNT}")
sys.exit(not all(ok))
