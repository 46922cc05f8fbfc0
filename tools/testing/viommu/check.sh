#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every test, from pure code to a machine. A step that fails is one failed test
# and the others go on where they can; the last line counts.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/vmlib.sh"

prepare check
must "test kernel" kernel "$here/kernel.sh"
vm_tests ""

# What a command more in an array costs, and what reaches the SMMU: that differs
# little from a kernel without debugging. The whole of it is for check-long.
echo "bench 300 /bin/viommu-bench map invalidate" | manifest bench
vm bench "$VM/bench.manifest" -I -- -trace smmuv3_cmdq_opcode
"$here/bench.py" slope "$LOG/vm-bench" >>"$results" ||
	result fail bench slope "see $LOG/vm-bench.out"

# What the tracepoints say of the demo, and what the tools make of that
printf '%s\n' "viommu-demo 120 /bin/viommu-demo" "trace 60 @dump /sys/kernel/tracing/trace" |
	manifest trace
vm trace "$VM/trace.manifest" -a "trace_event=arm_smmu_v3:*"

# The longest time with interrupts off, and what others wait, where 1 ns is an instruction:
# on the CPU of who means harm, and on another one, which waits for the same queue. The
# second edu is another VM's.
for cpus in 1 2; do
	echo "viommu-dos 600 /bin/viommu-dos irqsoff latency --bound" | manifest "irqsoff-smp$cpus"
	vm "irqsoff-smp$cpus" "$VM/irqsoff-smp$cpus.manifest" -I -c "$cpus" -t 900 -- \
		-device "edu,dma_mask=0xffffffffffffffff"
done

host results results "$here/results-test.py"
if [ -f "$here/fuzz/Makefile" ]; then
	host fuzz fuzz env -u MAKEFLAGS make -C "$here/fuzz" O="$B/fuzz" check
fi
if grep -qs '^check:' "$TOP/tools/iommu/Makefile"; then
	host tools-iommu tools-iommu env -u MAKEFLAGS -u CC make -C "$TOP/tools/iommu" \
		O="$B/tools/iommu-host" UAPI="$B/headers/include" check
fi

host trace-tools trace-tools "$here/trace-test.py" "$LOG/vm-trace.out" \
	"$B/tools/iommu-host/host/smmu-decode" "$TOP/tools/iommu/viommu-top.py"

# All else is about patches and packages
[ -n "$SERIES" ] || finish
"$here/static.sh" "$results" || true
may "patches of the series" patches "$SERIES/patches.sh"
# And fit the oldest 6.12 that Debian has
may "patches make what was tested" check-series "$SERIES/check-series.sh" --fit oldest
may "documentation without a warning" docs "$SERIES/docs.sh"
may "Debian's configuration and metadata" deb-config "$SERIES/deb.sh" config
may "x86_64 with IOMMUFD=m, =y, =n" x86 "$SERIES/x86.sh"
finish
