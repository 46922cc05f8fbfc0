#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Do the tracepoints say what happened, and do the tools understand them?

    trace-test.py VM-OUT SMMU-DECODE VIOMMU-TOP

VM-OUT is the output of a boot with trace_event=arm_smmu_v3:* that ran viommu-demo and
then dumped tracefs's trace, in a manifest's entry "trace". The demo provokes what a
guest can do wrong, so every kind of line must be there; smmu-decode must have
something to say of each line of the group, and the table of viommu-top must add up to
what the lines say. Prints TAP.
"""
import re
import subprocess
import sys

GROUP = re.compile(r": (arm_smmu_\w+): ")
COUNT = 0
FAILED = 0


def check(what, good, detail=""):
    global COUNT, FAILED
    COUNT += 1
    FAILED += not good
    print(f"{'ok' if good else 'not ok'} {COUNT} {what}")
    if not good and detail:
        print("\n".join("# " + line for line in str(detail).splitlines()[:10]))


def trace_of(path):
    """The dump, as text"""
    data, inside = bytearray(), False
    with open(path, encoding="ascii", errors="replace") as f:
        for line in f:
            if line.startswith("@viommu "):
                inside = line.split()[1:3] == ["begin", "trace"]
            elif inside and re.fullmatch(r"[0-9a-f]+\s*", line):
                data += bytes.fromhex(line.strip())
    return data.decode(errors="replace")


def run(command, text):
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def main():
    out, decode, top = sys.argv[1:]
    trace = trace_of(out)
    lines = [line for line in trace.splitlines() if GROUP.search(line)]
    names = {}
    for line in lines:
        names.setdefault(GROUP.search(line)[1], []).append(line)
    for name in ("viommu_invalidate", "cmdq_batch", "cmdq_error", "vevent"):
        check(f"arm_smmu_{name} is in the trace", "arm_smmu_" + name in names, trace[:500])
    arrays = names.get("arm_smmu_viommu_invalidate", [])
    refused = [a for a in arrays if re.search(r": -5, report 0x1 code 1 ", a)]
    raised = [a for a in arrays if re.search(r": -5, report 0x3 code 1 ", a)]
    check("an array with a command that the kernel refused", refused)
    check("an array with a command that the SMMU refused", raised)
    check("the error of the SMMU is reported to the batch",
          any(" reported offset " in e for e in names.get("arm_smmu_cmdq_error", [])))
    check("nothing of it is the host's or abandoned",
          not any(re.search(r", (host|abandoned) offset ", e)
                  for e in names.get("arm_smmu_cmdq_error", [])))

    decoded = run([decode], "\n".join(lines) + "\n")
    said = [line for line in decoded.stdout.splitlines() if line.startswith("    ")
            and not GROUP.search(line)]
    check("smmu-decode has something to say of each line",
          decoded.returncode == 0 and len(said) == len(lines),
          f"{len(said)} of {len(lines)}\n{decoded.stderr}")

    table = run([top, "-"], trace)
    rows = [line.split() for line in table.stdout.splitlines()]
    seconds = float(rows[0][0]) if table.returncode == 0 else 0
    vms = [r for r in rows if re.fullmatch("0x[0-9a-f]+", r[1]) and len(r) >= 9]
    check("viommu-top makes a table of it", table.returncode == 0 and vms, table.stderr)
    check("its rates are those of the lines",
          abs(sum(int(r[-6]) for r in vms) * seconds - len(arrays)) <= len(vms) * seconds,
          table.stdout)
    check("it counts what was refused", sum(int(r[-4]) for r in vms) == len(refused), table.stdout)
    check("it counts what the SMMU raised", sum(int(r[-3]) for r in vms) == len(raised),
          table.stdout)
    check("none was late or of another error",
          not any(int(r[-2]) or int(r[-1]) for r in vms), table.stdout)
    print(f"1..{COUNT}")
    print("\n".join("# " + line for line in table.stdout.splitlines()))
    sys.exit(FAILED != 0)


if __name__ == "__main__":
    main()
