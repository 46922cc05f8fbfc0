# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2154 # for the scripts that include this
# Boots of the test machine, on top of series/lib.sh.

here=$TOP/tools/testing/viommu
VM=$B/vm
mkdir -p "$VM"

# VM/iort.aml: this QEMU's and firmware's IORT with CANWBS in it, taken by a boot
# of its own the first time
iort() {
	local firmware=${QEMU_EFI:-/usr/share/qemu-efi-aarch64/QEMU_EFI.fd} id

	id=$(
		"${QEMU:-qemu-system-aarch64}" --version
		sha256sum "$firmware" "$here/run-vm.sh" "$here/iort-canwbs.py" | cut -c1-64
	)
	if [ -f "$VM/iort.aml" ] && [ "$(cat "$VM/iort.id" 2>/dev/null)" = "$id" ]; then
		return
	fi
	printf 'iort 30 @dump /sys/firmware/acpi/tables/IORT\n' >"$VM/iort.manifest"
	"$here/mkinitramfs.py" "$VM/iort.cpio" "init=$VM/bin/init" "manifest=$VM/iort.manifest"
	"$here/run-vm.sh" -i "$VM/iort.cpio" -o "$LOG/vm-iort" -t 120
	"$here/iort-canwbs.py" "$LOG/vm-iort.out" "$VM/iort.aml"
	echo "$id" >"$VM/iort.id"
}

# boot NAME MANIFEST run-vm-OPTION...: one boot with the programs that the
# manifest names; logs in LOG/vm-NAME.{out,kernel}, status as run-vm.sh's
boot() {
	local name=$1 manifest=$2 files

	shift 2
	mapfile -t files < <(awk '$1 !~ /^#/ && $3 ~ /^\/bin\// { print $3 }' "$manifest" |
		sort -u | sed "s,^/bin/\(.*\),bin/\1=$VM/bin/\1,")
	"$here/mkinitramfs.py" --acpi "$VM/iort.aml" "$VM/$name.cpio" \
		"init=$VM/bin/init" "manifest=$manifest" "${files[@]}" &&
	"$here/run-vm.sh" -i "$VM/$name.cpio" -o "$LOG/vm-$name" "$@"
}
