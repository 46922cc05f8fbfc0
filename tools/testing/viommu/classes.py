#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Is every test that README.viommu names for a class of bugs there?

    classes.py TREE

The table's lines are indented, class and tests with tabs between them. A test is
"file.test", in a kselftest or a KUnit suite, or the name of a program in
tools/iommu/vm-tests.
"""
import pathlib
import re
import sys


def tests_by_file(tree):
    """{file without its suffix: names of the tests in it}"""
    tests = {}
    for path in (tree / "tools/testing/selftests/iommu").glob("*.c"):
        tests[path.stem] = set(re.findall(r"^TEST_F(?:_TIMEOUT)?\(\w+,\s*(\w+)",
                                          path.read_text(), re.M))
    for path in (tree / "drivers/iommu").glob("**/*-test.c"):
        tests[path.stem] = set(re.findall(r"KUNIT_CASE(?:_\w+)?\((\w+)",
                                          path.read_text()))
    return tests


def table(text):
    """(class, [test...]) for each line of the table, in order"""
    bug = None
    for line in text.split("Bug classes and the tests")[1].splitlines():
        if "\t" not in line:
            continue
        name, _, names = line.partition("\t")
        if name.strip():
            bug = name.strip()
        yield bug, names.split()


def main():
    tree = pathlib.Path(sys.argv[1])
    tests = tests_by_file(tree)
    programs = {line.split()[0]
                for line in (tree / "tools/iommu/vm-tests").read_text().splitlines()
                if line.strip() and not line.startswith("#")} | {"bench"}
    readme = tree / "tools/testing/selftests/iommu/README.viommu"
    rows = list(table(readme.read_text()))
    bad = 0
    for bug, names in rows:
        for name in names:
            file, _, test = name.partition(".")
            if not (test in tests.get(file, ()) if test else name in programs):
                print(f"{readme.name}: {bug}: there is no test {name}")
                bad += 1
    # A table that was not understood proves nothing
    if len(rows) < 40 or not any(bug for bug, _ in rows):
        print(f"{readme.name}: the table has {len(rows)} lines only")
        bad += 1
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
