#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Which lines of the series do the tests execute? Runs everything that 'make check'
# runs in a machine on a kernel that counts, prints a line for each file and the
# lines that were not executed. Fails if a test does, if there is a line that was not
# executed and that "not-executed" doesn't explain, or if less than MIN percent of the
# lines of our files (default 95) were executed. Results go to the file that "results"
# names, or are printed.
. "$(dirname "$0")/lib.sh"
needs_series
. "$(dirname "$0")/vmlib.sh"

[ -n "${results:-}" ] || { alone=1; prepare coverage; }
mapfile -t files < <({ overlay_files | cut -f2; hooked_files; } | grep '^drivers/.*\.c$')
mapfile -t counted < <(instrument GCOV_PROFILE "${files[@]}")
must "kernel with gcov" kernel-gcov "$here/kernel.sh" gcov \
	"$here/vm.config" "$here/gcov.config" "${counted[@]}"

GCOV=1 SLOW=2 vm_tests gcov- -k "$B/gcov/arch/arm64/boot/Image"

overlay_files | cut -f2 | grep '^drivers/' >"$B/gcov/ours"
hooked_files | grep '^drivers/' >"$B/gcov/hooked"
may "each line is executed or explained" coverage-lines "$here/coverage.py" "$B/gcov" "$TREE" \
	"$BASE" "${CROSS_COMPILE}gcov" "${MIN:-95}" "$LOG"/vm-gcov-*.out
[ -n "${alone:-}" ] || exit 0
echo
cat "$LOG/coverage-lines.log"
finish
