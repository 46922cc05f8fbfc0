#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2317 # functions that a step calls
# What takes longer than 'make check': the same machine tests under the kernel's
# heavy checkers, and other ways to build and to look at the code. Each part is one
# function; PARTS="kasan modules" runs these only. With BUDGET all of it ends within that
# many seconds: a part that is not begun as it would take too long, or that is stopped
# then, counts as skipped.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/vmlib.sh"

# alive LABEL TEXT: a checker that is not there finds nothing
alive() {
	if grep -q "$2" "$LOG/vm-$1.kernel"; then
		result pass "$1" "the kernel has its checkers"
	else
		result fail "$1" "the kernel has its checkers" "no '$2' in $LOG/vm-$1.kernel"
	fi
}

# instrumented NAME VARIABLE [REGEXP]: a kernel NAME with vm.config and NAME.config,
# where VARIABLE is for the objects of the IOMMU drivers but those that match
instrumented() {
	local variables

	mapfile -t variables < <(instrument "$2" "$TREE"/drivers/iommu/*.c \
		"$TREE"/drivers/iommu/{iommufd,arm/arm-smmu-v3}/*.c | grep -vE -e "${3:-^$}")
	may "kernel with ${1^^}" "kernel-$1" \
		"$here/kernel.sh" "$1" "$here/vm.config" "$here/$1.config" "${variables[@]}"
}

# Memory errors and leaks, what lockdep sees when all is slow; undefined behaviour in
# the IOMMU drivers
kasan() {
	instrumented kasan UBSAN_SANITIZE
	[ "$step_status" = 0 ] || return 0
	SLOW=4 KMEMLEAK=1 vm_tests kasan- -k "$B/kasan/arch/arm64/boot/Image"
	alive kasan-kunit-smp4 "KernelAddressSanitizer initialized"
	alive kasan-kunit-smp4 "Kernel memory leak detector initialized"

	manifest kasan-fuzz <<-EOM
		viommu-fuzz 120 /bin/viommu-fuzz 60
		viommu-fuzz-mock 120 /bin/viommu-fuzz --mock 60
	EOM
	vm kasan-fuzz "$VM/kasan-fuzz.manifest" -t 600 -k "$B/kasan/arch/arm64/boot/Image"
}

# Data races of the IOMMU drivers, whoever they race with; the pure code shares no
# data, and its tests are long loops
kcsan() {
	instrumented kcsan KCSAN_SANITIZE '-(vcmd|vste)(-test)?\.o'
	[ "$step_status" = 0 ] || return 0
	SLOW=4 vm_tests kcsan- -k "$B/kcsan/arch/arm64/boot/Image"
	alive kcsan-kunit-smp4 "kcsan: enabled early"
	alive kcsan-kunit-smp4 "kcsan: selftest: .*/.* tests passed"
}

# link SMMU IOMMUFD: link a kernel with these (y or m), and with VFIO and KUnit as
# modules: modpost sees every missing export
link() {
	local out=$B/modules

	mkdir -p "$out"
	sed -E -e 's/^(CONFIG_(VFIO|VFIO_PCI|KUNIT|.*_KUNIT_TEST))=y/\1=m/' \
		-e "s/^(CONFIG_ARM_SMMU_V3)=y/\1=$1/" -e "s/^(CONFIG_IOMMUFD)=y/\1=$2/" \
		"$here/vm.config" >"$out/fragment"
	kmake "$out" KCONFIG_ALLCONFIG="$out/fragment" allnoconfig
	grep -qx "CONFIG_ARM_SMMU_V3=$1" "$out/.config"
	grep -qx "CONFIG_IOMMUFD=$2" "$out/.config"
	# The symbols of a module that is built in now would be exported twice
	rm -f "$out/Module.symvers" "$out/vmlinux.symvers"
	kmake "$out" Image modules
}
# The last of them runs: KUnit when its modules are loaded, then who uses the others
modules() {
	local smmu=/drivers/iommu/arm/arm-smmu-v3 iommufd=/drivers/iommu/iommufd vfio=/drivers/vfio

	may "SMMU=y, IOMMUFD=m linked" modules-ym link y m
	may "SMMU=m, IOMMUFD=y linked" modules-my link m y
	may "SMMU=m, IOMMUFD=m linked" modules-mm link m m

	manifest modules <<-EOM
		load-kunit 60 @load /lib/kunit/kunit.ko enable=1
		load-iommufd 60 @load $iommufd/iommufd.ko
		load-smmu 60 @load $smmu/arm_smmu_v3.ko
		load-vfio 60 @load $vfio/vfio.ko
		load-irqbypass 60 @load /virt/lib/irqbypass.ko
		load-vfio-pci-core 60 @load $vfio/pci/vfio-pci-core.ko
		load-vfio-pci 60 @load $vfio/pci/vfio-pci.ko ids=1234:11e8
		load-smmu-test 60 @load $smmu/arm-smmu-v3-test.ko
		load-smmu-viommu-test 60 @load $smmu/arm-smmu-v3-viommu-test.ko
		load-iommufd-test 60 @load $iommufd/veventq-test.ko
		viommu_objects 120 /bin/viommu_objects
		viommu_invalidate 120 /bin/viommu_invalidate
		viommu-demo 120 /bin/viommu-demo
		viommu-calls 120 /bin/viommu-calls
	EOM
	MODULES=$B/modules vm modules "$VM/modules.manifest" -c 4 -t 600 \
		-k "$B/modules/arch/arm64/boot/Image"
	"$here/results.py" kunit modules "$LOG/vm-modules.kernel" "$here/kunit-suites" >>"$results"
}

# Other configurations and compilers
matrix() { "$here/matrix.sh" "$results"; }

# The kernel's semantic patches on our files: "make coccicheck MODE=report" for a list
# of files instead of a directory
semantic_patches() {
	local c options said status=0

	command -v spatch >/dev/null || "$SERIES/deps.sh" coccinelle
	cd "$TREE"
	mapfile -t files < <(overlay_files | cut -f2 | grep '^\(drivers\|include\)/.*\.[ch]$')
	mapfile -t patches < <(find scripts/coccinelle -name '*.cocci' | sort)
	[ ${#files[@]} -gt 20 ] && [ ${#patches[@]} -gt 50 ]
	for c in "${patches[@]}"; do
		# Those with OCaml in them need its compiler, and look at one driver
		! grep -q '^@.*script:ocaml' "$c" || continue
		read -ra options < <(sed -n 's,^// Options: *,,p' "$c"; echo)
		said=$(spatch --very-quiet --cocci-file "$c" -D report "${options[@]}" \
			--no-show-diff -I include -I include/uapi "${files[@]}" \
			2>"$B/spatch.err") ||
			{ status=1; echo "$c: spatch failed"; cat "$B/spatch.err"; }
		[ -n "$said" ] || continue
		status=1
		printf '%s\n' "in $c:" "$said"
	done
	return "$status"
}
coccinelle() { may "coccinelle" coccinelle semantic_patches; }

# What "make deb" makes of the test kernel's configuration, which is small: is what it
# takes for a VM in the packages, and does it run?
small_packages() {
	mkdir -p "$B/deb-small"
	rm -f "$B"/deb-arm64/*-small_*
	kmake "$B/deb-small" KCONFIG_ALLCONFIG="$here/vm.config" allnoconfig
	LOCALVERSION=-small CONFIG=$B/deb-small/.config "$SERIES/deb.sh"
}
unpack_package() {
	rm -rf "$B/deb-root"
	find "$B/deb-arm64" -name 'linux-image-*-small_*.deb' -exec dpkg-deb -x {} "$B/deb-root" \;
	gzip -dc "$B"/deb-root/boot/vmlinuz-* >"$B/deb-root/Image"
}
packages() {
	local iommufd=/drivers/iommu/iommufd vfio=/drivers/vfio modules

	may "Debian packages" deb small_packages
	[ "$step_status" = 0 ] || return 0
	may "unpacking the package" deb-unpack unpack_package
	must "the machine's IORT" iort iort -k "$B/deb-root/Image"
	manifest deb <<-EOM
		load-iommufd 60 @load $iommufd/iommufd.ko
		load-vfio 60 @load $vfio/vfio.ko
		load-irqbypass 60 @load /virt/lib/irqbypass.ko
		load-vfio-pci-core 60 @load $vfio/pci/vfio-pci-core.ko
		load-vfio-pci 60 @load $vfio/pci/vfio-pci.ko ids=1234:11e8
		viommu-demo 120 /bin/viommu-demo
		viommu-calls 120 /bin/viommu-calls
		viommu-example 30 /bin/viommu-example /dev/vfio/devices/vfio0
	EOM
	modules=$(echo "$B"/deb-root/lib/modules/*/kernel)
	MODULES=$modules vm deb "$VM/deb.manifest" -k "$B/deb-root/Image"
}

# Each patch of the series builds, and it fits all of Debian's 6.12; packages; and the
# tree, without the repository, runs the demo by itself
carry() {
	may "patches of the series" patches "$SERIES/patches.sh"
	[ "$step_status" = 0 ] || return 0
	may "each patch builds, the series fits" series-build \
		"$SERIES/check-series.sh" --build --fit all
	packages
	may "a kernel tree with the series runs the demo" in-tree \
		env B="$B" "$TREE/tools/testing/viommu/demo.sh"
}

# The properties of the pure code, with inputs that libFuzzer makes up; and rules of it
# broken, which its tests are to notice
libfuzzer() {
	command -v clang >/dev/null || "$SERIES/deps.sh" clang lld llvm
	may "libFuzzer" libfuzzer env -u MAKEFLAGS make -C "$here/fuzz" O="$B/fuzz" fuzz
	host mutants mutants env -u MAKEFLAGS make -C "$here/fuzz" O="$B/fuzz" mutants
}

# Each class of bugs put back, and the tests that README.viommu has for it
bugs() { may "known bugs put back" bugs-all env results="$results" "$here/bugs.sh"; }

# Is each line of the series executed, or is there a reason why not?
coverage() { may "coverage" coverage env results="$results" "$here/coverage.sh"; }

# What calls cost, on kernels without debugging; appends its own results
bench() { may "counting instructions" bench env results="$results" "$here/bench.sh" goals; }

# A guest of Debian's QEMU on a host with the series, by an accelerated SMMUv3
qemu() { may "QEMU with a guest" demo-qemu env results="$results" "$here/demo-qemu.sh"; }

# viommu-top live, by Python and by bpftrace, on what viommu-demo does
trace() {
	may "Debian's bpftrace and Python for arm64" trace-root "$here/trace-root.sh"
	[ "$step_status" = 0 ] || return 0
	may "kernel with BPF" kernel-bpf \
		"$here/kernel.sh" bpf "$here/vm.config" "$here/bpf.config"
	[ "$step_status" = 0 ] || return 0
	must "the machine's IORT" iort iort
	mkdir -p "$B/trace/root/opt"
	cp "$here/trace-live.py" "$TOP"/tools/iommu/viommu-top.{py,bt} "$B/trace/root/opt/"
	{
		printf 'trace-live 900 /usr/bin/python3 /opt/trace-live.py '
		echo "/opt/viommu-top.py /opt/viommu-top.bt /bin/viommu-demo"
	} | manifest trace-live
	ROOT=$B/trace/root vm trace-live "$VM/trace-live.manifest" -t 1200 \
		-k "$B/bpf/arch/arm64/boot/Image" -- -m 3G
}

# What a part takes on two CPUs, if all has to be compiled; no need to begin with less
declare -A takes=(
	[kasan]=1800 [kcsan]=1200 [modules]=600 [matrix]=1800 [coccinelle]=120 [libfuzzer]=360
	[bugs]=2400 [coverage]=1500 [bench]=900 [qemu]=600 [trace]=900 [carry]=5400
)

# stop PID: it and what it has started
stop() {
	local child

	kill -STOP "$1" 2>/dev/null || return 0
	while read -r child; do
		stop "$child"
	done < <(grep -lsx "PPid:[[:space:]]*$1" /proc/[0-9]*/status | cut -d/ -f3)
	kill -KILL "$1" 2>/dev/null || true
}

# within SECONDS PART: as step_status is, in_time is how it went. Not for a condition.
within() {
	local limit=$((SECONDS + $1)) pid

	in_time=1
	"$2" &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		if [ "$SECONDS" -ge "$limit" ]; then
			in_time=0
			stop "$pid"
			wait "$pid" 2>/dev/null || true
			return
		fi
		sleep 1
	done
	# What went wrong is among the results, or the part did not come to its end
	wait "$pid" || result fail check-long "$2" "ended early"
}

prepare check-long
parts="kasan kcsan modules libfuzzer bugs qemu trace"
[ -z "$SERIES" ] || parts+=" matrix coccinelle bench coverage carry"
for part in ${PARTS:-$parts}; do
	start=$SECONDS
	if [ -z "${BUDGET:-}" ]; then
		"$part"
	elif [ $((SECONDS + ${takes[$part]:-0})) -gt "$BUDGET" ]; then
		result skip check-long "$part" "out of time"
	else
		within $((BUDGET - SECONDS)) "$part"
		[ "$in_time" = 1 ] ||
			result skip check-long "$part" "out of time after $((SECONDS - start)) s"
	fi
	say "$part: $((SECONDS - start)) s"
done
finish
