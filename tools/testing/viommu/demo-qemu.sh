#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Boot the series' kernel as a KVM host, and in it Debian's QEMU 11 with an
# accelerated SMMUv3, an NVMe and a guest. What was shown goes to standard output, a
# line each; result lines (see results.py) to the file named by "results" if there is
# one, else to a file of its own. IMAGE=FILE takes that kernel and builds none.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/vmlib.sh"

DISK_MIB=64			# the guest copies from the first half to the second
COPIED_MIB=12			# COPY_MIB in each round of qemu-host.c
ROUNDS=3

me=demo-qemu
all=${results:-}
results=$LOG/$me.results
disk=$VM/$me.disk
image=${IMAGE:-$B/kvm/arch/arm64/boot/Image}
: >"$results"

export NEXT="make demo-qemu"
NEXT="make demo-qemu (with the network up)" \
	step "fetching QEMU 11 and a guest's kernel for arm64" qemu-root "$here/qemu-root.sh"
step "building the programs" programs-qemu "$here/programs.sh" init qemu-host qemu-guest
[ -n "${IMAGE:-}" ] || "$here/kernel.sh" kvm "$here/vm.config" "$here/kvm.config"
step "taking the machine's IORT" iort iort -k "$image"

disk_image() {
	local half=$((DISK_MIB / 2))

	dd if=/dev/urandom of="$disk" bs=1M count=$half
	truncate -s "${DISK_MIB}M" "$disk"
	cp "$disk" "$disk.before"
}
step "filling the disk" "$me-disk" disk_image

initramfs() {
	local root=() f

	"$here/mkinitramfs.py" "$VM/$me-guest.cpio" "init=$VM/bin/qemu-guest"
	while read -r f; do
		root+=("$f=$B/qemu/root/$f")
	done < <(cd "$B/qemu/root" && find . -type f -printf '%P\n' | sort)
	printf '%s 6000 /bin/qemu-host\n' "$me" >"$VM/$me.manifest"
	"$here/mkinitramfs.py" --acpi "$VM/iort.aml" "$VM/$me.cpio" \
		"init=$VM/bin/init" "manifest=$VM/$me.manifest" \
		"bin/qemu-host=$VM/bin/qemu-host" "QEMU_EFI.fd=$B/qemu/QEMU_EFI.fd" \
		"guest/vmlinuz=$B/qemu/vmlinuz" "guest/initrd=$VM/$me-guest.cpio" "${root[@]}"
}
step "packing the host's root" "$me-initramfs" initramfs

# The host's devices are the guest's: none has another driver. What QEMU says goes to
# the log only.
say "booting (kernel logs: host $LOG/vm-$me.kernel, guest $LOG/$me.guest)"
: >"$LOG/$me.guest"
status=0
"$here/run-vm.sh" -k "$image" -i "$VM/$me.cpio" -o "$LOG/vm-$me" \
	-t 6300 -a "vfio-pci.ids=1234:11e8,1b36:0010" -- \
	-M virtualization=on -m 3G \
	-drive "if=none,id=disk,format=raw,file=$disk" -device "nvme,serial=viommu,drive=disk" \
	-chardev "file,id=guest,path=$LOG/$me.guest" \
	-device "virtserialport,chardev=guest,name=guest" |
	sed -un '/^\(ok\|not ok\|#\) /p' || status=$?
{
	"$here/results.py" programs "$me" "$LOG/vm-$me.out" "$VM/$me.manifest"
	"$here/results.py" splats "$me" "$LOG/vm-$me.kernel"
} >>"$results"

# From outside: what was copied is there, and nothing else changed
part() { dd if="$1" bs=1M skip="$2" count="$3" status=none; }
half=$((DISK_MIB / 2))
if cmp -n $((half << 20)) "$disk" "$disk.before" &&
   cmp <(part "$disk" $half $COPIED_MIB) <(part "$disk.before" 0 $COPIED_MIB) &&
   cmp <(part "$disk" $((half + COPIED_MIB)) $half) \
       <(part "$disk.before" $((half + COPIED_MIB)) $half); then
	said="the disk image has the $COPIED_MIB MiB of $ROUNDS rounds in place, nothing else changed"
	echo "outside: $said"
	result pass "$me/disk" "$said"
else
	echo "outside: the disk image is not as it should be"
	result fail "$me/disk" "the disk image is not as it should be" "$disk, $disk.before"
fi
[ -z "$all" ] || cat "$results" >>"$all"
if [ "$status" != 0 ] || grep -q '^fail' "$results"; then
	grep '^fail' "$results" >&2 || true
	printf '%s\n' "error: the demo failed" \
		"  log:  $LOG/vm-$me.out, $LOG/vm-$me.kernel, $LOG/$me.guest" \
		"  next: make demo-qemu (again), or make demo" >&2
	exit 1
fi
