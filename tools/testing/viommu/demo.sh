#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Run the reference VMM's main job in the test machine; its table goes to
# standard output, its exit status is this script's.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/vmlib.sh"

NEXT=$(again demo)
export NEXT
if [ -z "$SERIES" ]; then
	"$here/kernel.sh" headers
	"$here/kernel.sh"
fi
step "building the programs" programs "$here/programs.sh"
step "taking the machine's IORT" iort iort

printf 'demo 240 /bin/viommu-demo\n' >"$VM/demo.manifest"
say "booting (the kernel's log goes to $LOG/vm-demo.kernel)"
status=0
boot demo "$VM/demo.manifest" -t 300 | sed '/^@viommu /d' || status=$?
results=$LOG/demo.results
{
	"$here/results.py" programs demo "$LOG/vm-demo.out" "$VM/demo.manifest"
	"$here/results.py" splats demo "$LOG/vm-demo.kernel"
} >"$results"
if [ "$status" != 0 ] || grep -q '^fail' "$results"; then
	grep '^fail' "$results" >&2 || true
	printf '%s\n' "error: the demo failed" "  log:  $LOG/vm-demo.out, $LOG/vm-demo.kernel" \
		"  next: make demo (again), or make check" >&2
	exit 1
fi
