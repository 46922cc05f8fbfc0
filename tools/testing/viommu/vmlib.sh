# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2154 # for the scripts that include this
# Boots of the test machine and the collection of results, on top of lib.sh.

here=$TOP/tools/testing/viommu
VM=$B/vm
mkdir -p "$VM"

# prepare NAME: what every run needs but a kernel. Its results go to
# LOG/NAME.results, and the target NAME is what to run again.
prepare() {
	results=$LOG/$1.results
	: >"$results"
	NEXT=$(again "$1")
	export NEXT
	if [ -n "$SERIES" ]; then
		"$SERIES/base.sh"
		"$SERIES/tree.sh"
	fi
	must "uAPI headers" headers "$here/kernel.sh" headers
	must "programs for the test machine" programs "$here/programs.sh"
}

# A slot that a device can be pulled out of
slot=(-device "pcie-root-port,id=rp7,chassis=1,slot=7")
# Devices that come and go, for viommu-lifecycle: another DMA engine, one in the slot,
# and one that can be reset
lifecycle=(
	-device "edu,dma_mask=0xffffffffffffffff"
	"${slot[@]}" -device "edu,dma_mask=0xffffffffffffffff,bus=rp7"
	-drive "file=null-co://,if=none,format=raw,id=nvm"
	-device "nvme,serial=viommu,drive=nvm"
)

# VM/iort.aml: this QEMU's and firmware's IORT with CANWBS in it, taken by a boot
# of its own the first time; run-vm-OPTION... is for that. It is for the buses that
# the machine has then, so the slot is there, whether or not later.
iort() {
	local firmware=${QEMU_EFI:-/usr/share/qemu-efi-aarch64/QEMU_EFI.fd} id

	id=$(
		"${QEMU:-qemu-system-aarch64}" --version
		sha256sum "$firmware" "$here/run-vm.sh" "$here/iort-canwbs.py" | cut -c1-64
		echo "${slot[@]}"
	)
	if [ -f "$VM/iort.aml" ] && [ "$(cat "$VM/iort.id" 2>/dev/null)" = "$id" ]; then
		return
	fi
	printf 'iort 30 @dump /sys/firmware/acpi/tables/IORT\n' >"$VM/iort.manifest"
	"$here/mkinitramfs.py" "$VM/iort.cpio" "init=$VM/bin/init" "manifest=$VM/iort.manifest"
	"$here/run-vm.sh" -i "$VM/iort.cpio" -o "$LOG/vm-iort" -t 120 "$@" \
		-- "${slot[@]}"
	"$here/iort-canwbs.py" "$LOG/vm-iort.out" "$VM/iort.aml"
	echo "$id" >"$VM/iort.id"
}

# boot NAME MANIFEST run-vm-OPTION...: one boot with the programs that the
# manifest names; logs in LOG/vm-NAME.{out,kernel}, status as run-vm.sh's. With
# NO_CANWBS the machine's own IORT, with MODULES that build's modules to load, with
# ROOT the files of that folder.
boot() {
	local name=$1 manifest=$2 files acpi=(--acpi "$VM/iort.aml")

	[ -z "${NO_CANWBS:-}" ] || acpi=()
	shift 2
	mapfile -t files < <(
		awk '$1 !~ /^#/ { for (i = 3; i <= NF; i++) if ($i ~ /^\/bin\//) print $i }' \
			"$manifest" | sort -u | sed "s,^/bin/\(.*\),bin/\1=$VM/bin/\1,"
		awk -v build="${MODULES:-}" \
			'$3 == "@load" { print substr($4, 2) "=" build "/" substr($4, 2) }' "$manifest"
		[ -z "${ROOT:-}" ] || find "$ROOT" -type f -printf '%P=%p\n' | sort
	)
	"$here/mkinitramfs.py" "${acpi[@]}" "$VM/$name.cpio" \
		"init=$VM/bin/init" "manifest=$manifest" "${files[@]}" &&
	"$here/run-vm.sh" -i "$VM/$name.cpio" -o "$LOG/vm-$name" "$@"
}

# Results go to the file named by "results", see results.py
result() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:-}" >>"$results"; }

summary() {
	echo
	say "all results: $results; took $SECONDS s"
	"$here/results.py" sum "$here/allowed-skips" "$results"
}

finish() {
	summary
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

# may NAME LOG COMMAND...: a step that is a test by itself
may() {
	try "$@"
	if [ "$step_status" = 0 ]; then
		result pass build "$1"
	else
		result fail build "$1" "$LOG/$2.log"
	fi
}

# host SUITE LOG COMMAND...: a test program of the host, TAP or not
host() {
	local suite=$1 log=$2

	try "$@"
	"$here/results.py" tap "$suite" "$step_status" "$LOG/$log.log" >>"$results"
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

# manifest NAME: write the lines on standard input as a boot's manifest. SLOW is
# how many times slower than usual the kernel is.
manifest() {
	awk -v slow="${SLOW:-1}" '!/^#/ && NF >= 3 { $2 *= slow; print }' >"$VM/$1.manifest"
	[ -z "${KMEMLEAK:-}" ] || echo "kmemleak $((60 * SLOW)) @kmemleak" >>"$VM/$1.manifest"
	[ -z "${GCOV:-}" ] || echo "gcov 120 @gcov" >>"$VM/$1.manifest"
}

# seconds NAME: that a boot with this manifest may take, all its programs and their time
# to start and to end. They all have a limit of their own.
seconds() {
	awk -v slow="${SLOW:-1}" '{ s += $2 } END { print s + 180 * slow }' "$VM/$1.manifest"
}

# instrument VARIABLE FILE...: variables for the kernel's make that say with VARIABLE,
# as KCSAN_SANITIZE, that the objects of these files are instrumented and no others
instrument() {
	local variable=$1 f

	shift
	echo "$variable=n"
	for f; do
		echo "${variable}_$(basename "$f" .c).o=y"
	done
}

# our_warnings LOG: fail with a compiler's warnings that are from a file of ours, or
# from a file that we hook and not known of the base
our_warnings() {
	local bad

	bad=$(grep -E '(warning|error):' "$1" | sed "s,^$TREE/,,;s,^\(\.\./\)*linux/,,;s,^\./,," |
		sort -u | grep -E "^($({ overlay_files | cut -f2; hooked_files; } |
			sed 's,[.],\\.,g' | paste -sd'|')):" |
		grep -vFf <(grep -v '^#' "$here/base-warnings") || true)
	printf '%s\n' "$bad"
	[ -z "$bad" ]
}

# vm_tests PREFIX OPTION...: everything that runs in a machine
vm_tests() {
	local prefix=$1 slow=${SLOW:-1} selftests=$TREE/tools/testing/selftests/iommu cpus src name

	shift
	must "the machine's IORT" iort iort "$@"
	# Three times what the harness thinks: a machine can be busy
	set -- "$@" -a "viommu_slow=$((3 * slow))"

	# KUnit runs at boot. Four CPUs, so that what waits for another CPU does;
	# then one, where nobody else can service the interrupt.
	for cpus in 4 1; do
		name=${prefix}kunit-smp$cpus
		manifest "$name" </dev/null
		vm "$name" "$VM/$name.manifest" -c "$cpus" -t $((300 * slow)) "$@" -a kunit.enable=1
		"$here/results.py" kunit "$name" "$LOG/vm-$name.kernel" \
			"$here/kunit-suites" >>"$results"
	done

	# kselftests; a line of a vm-tests file says what the default can't
	for src in "$selftests"/*.c; do
		name=$(basename "$src" .c)
		grep -hs "^${name}[[:space:]]" "$selftests/vm-tests" || echo "$name 300 /bin/$name"
	done | manifest "${prefix}kselftest"
	name=${prefix}kselftest
	vm "$name" "$VM/$name.manifest" -c 4 -t "$(seconds "$name")" "$@"

	# The reference VMM, with as many CPUs as usual and with one
	if [ ! -x "$VM/bin/viommu-demo" ]; then
		result fail vmm demo "tools/iommu builds no viommu-demo"
		return
	fi
	for cpus in 2 1; do
		name=${prefix}vmm-smp$cpus
		manifest "$name" <"$TOP/tools/iommu/vm-tests"
		vm "$name" "$VM/$name.manifest" -c "$cpus" -t "$(seconds "$name")" "$@"
	done

	name=${prefix}vmm-lifecycle
	echo "viommu-lifecycle 120 /bin/viommu-lifecycle" | manifest "$name"
	vm "$name" "$VM/$name.manifest" -c 2 -t "$(seconds "$name")" "$@" -- "${lifecycle[@]}"

	# A host that can't nest
	name=${prefix}vmm-no-canwbs
	echo "viommu-calls 60 /bin/viommu-calls --no-canwbs" | manifest "$name"
	NO_CANWBS=1 vm "$name" "$VM/$name.manifest" -t "$(seconds "$name")" "$@"
}
