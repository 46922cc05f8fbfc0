#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Which lines of the series do the tests execute? Runs everything that 'make check'
# runs in a machine on a kernel that counts, prints a line for each file and the
# lines that were not executed. Fails if a test does, or if less than MIN percent of
# the lines of our files (default 95) were executed.
. "$(dirname "$0")/lib.sh"
needs_series
. "$(dirname "$0")/vmlib.sh"

prepare coverage
mapfile -t files < <({ overlay_files | cut -f2; hooked_files; } | grep '^drivers/.*\.c$')
mapfile -t counted < <(instrument GCOV_PROFILE "${files[@]}")
must "kernel with gcov" kernel-gcov "$here/kernel.sh" gcov \
	"$here/vm.config" "$here/gcov.config" "${counted[@]}"

GCOV=1 SLOW=2 vm_tests gcov- -k "$B/gcov/arch/arm64/boot/Image"

status=0
summary || status=1
echo
overlay_files | cut -f2 >"$B/gcov/ours"
hooked_files >"$B/gcov/hooked"
"$here/coverage.py" "$B/gcov" "$TREE" "$BASE" "${CROSS_COMPILE}gcov" "${MIN:-95}" \
	"$LOG"/vm-gcov-*.out || status=1
exit "$status"
