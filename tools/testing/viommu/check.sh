#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every test, from pure code to a machine. A step that fails is one failed test
# and the others go on where they can; the last line counts.
. "$(dirname "$0")/../../../series/lib.sh"
. "$(dirname "$0")/vmlib.sh"

results=$LOG/check.results
: >"$results"
start=$SECONDS
export NEXT="make check"

result() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:-}" >>"$results"; }

finish() {
	echo
	say "all results: $results; took $((SECONDS - start)) s"
	"$here/results.py" sum "$results"
	exit
}

# must NAME LOG COMMAND...: a step that the rest needs
must() {
	try "$@"
	if [ "$step_status" = 0 ]; then
		result pass build "$1"
	else
		result fail build "$1" "$LOG/$2.log"
		finish
	fi
}

# vm NAME MANIFEST OPTION...: a boot, its programs' results and the kernel's complaints
vm() {
	local name=$1 manifest=$2

	try "booting: $name" "vm-$name" boot "$@"
	"$here/results.py" programs "$name" "$LOG/vm-$name.out" "$manifest" >>"$results"
	"$here/results.py" splats "$name" "$LOG/vm-$name.kernel" >>"$results"
	if [ "$step_status" != 0 ]; then
		result fail "$name" boot "the machine did not come to its end, see $LOG/vm-$name.kernel"
	fi
}

# host SUITE LOG COMMAND...: a host-side test program, TAP or not
host() {
	local suite=$1 log=$2

	try "$@"
	"$here/results.py" tap "$suite" "$step_status" "$LOG/$log.log" >>"$results"
}

"$TOP/series/base.sh"
"$TOP/series/tree.sh"
must "uAPI headers" headers "$TOP/series/kernel.sh" headers
must "programs for the test machine" programs "$here/programs.sh"
must "test kernel" kernel "$TOP/series/kernel.sh"
must "the machine's IORT" iort iort

# KUnit: all suites at boot. Four CPUs, so that what waits for another CPU does;
# then one, where nobody else can service the interrupt.
for cpus in 4 1; do
	printf '# only the boot counts\n' >"$VM/kunit$cpus.manifest"
	vm "kunit-smp$cpus" "$VM/kunit$cpus.manifest" -c "$cpus" -t 300 -a kunit.enable=1
	"$here/results.py" kunit "kunit-smp$cpus" "$LOG/vm-kunit-smp$cpus.kernel" \
		"$here/kunit-suites" >>"$results"
done

# kselftests; a line of a vm-tests file says what the default can't
selftests=$TREE/tools/testing/selftests/iommu
: >"$VM/selftests.manifest"
for src in "$selftests"/*.c; do
	name=$(basename "$src" .c)
	grep -hs "^${name}[[:space:]]" "$selftests/vm-tests" ||
		echo "$name 300 /bin/$name"
done >"$VM/selftests.manifest"
vm kselftest "$VM/selftests.manifest" -c 4 -t 900

# The demo, with as many CPUs as usual and with one
if [ -x "$VM/bin/viommu-demo" ]; then
	{
		echo 'demo 240 /bin/viommu-demo'
		grep -hsv '^#' "$TOP/tools/iommu/vm-tests" || true
	} >"$VM/vmm.manifest"
	vm vmm-smp2 "$VM/vmm.manifest" -t 600
	vm vmm-smp1 "$VM/vmm.manifest" -c 1 -t 600
else
	result fail vmm demo "tools/iommu builds no viommu-demo"
fi

# What runs on the host
if [ -f "$here/fuzz/Makefile" ]; then
	host fuzz fuzz env -u MAKEFLAGS make -C "$here/fuzz" O="$B/fuzz" check
fi
if grep -qs '^check:' "$TOP/tools/iommu/Makefile"; then
	host tools-iommu tools-iommu env -u MAKEFLAGS -u CC make -C "$TOP/tools/iommu" \
		O="$B/tools/iommu-host" UAPI="$B/headers/include" check
fi
"$here/static.sh" "$results" || true
try "x86_64 with IOMMUFD=m, =y, =n" x86 "$TOP/series/x86.sh"
if [ "$step_status" = 0 ]; then
	result pass build x86_64
else
	result fail build x86_64 "$LOG/x86.log"
fi
finish
