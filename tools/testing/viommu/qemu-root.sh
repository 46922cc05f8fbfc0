#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Fetch Debian's QEMU 11 and what it needs, for arm64, and a kernel for its guest;
# none of it is changed. Needs no root, and does nothing when all is there:
#
#	$B/qemu/root/		QEMU, its libraries and the dynamic linker
#	$B/qemu/QEMU_EFI.fd	the guest's firmware
#	$B/qemu/vmlinuz		the guest's kernel
#	$B/qemu/versions	of the packages
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/debian-root.sh"

QEMU_MIN=1:11			# the first with an accelerated SMMUv3
GUEST=linux-image-cloud-arm64	# NVMe and SMMUv3 drivers are no modules there

debian_root qemu trixie trixie-backports
# What the name stands for today; by itself, as its dependencies are for a machine
# that installs it
kernel=$(apt-cache "${apt_options[@]}" depends "$GUEST" |
	sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1)
[ -n "$kernel" ] || die "$GUEST depends on no kernel"
(cd "$dir/cache/archives" && apt-get "${apt_options[@]}" download "$kernel")
debian_fetch qemu-system-arm qemu-efi-aarch64
qemu=$(dpkg-deb -f "$(newest qemu-system-arm)" Version)
dpkg --compare-versions "$qemu" ge "$QEMU_MIN" ||
	die "$newest_suite has QEMU $qemu, an accelerated SMMUv3 needs $QEMU_MIN"

take usr/bin/qemu-system-aarch64
cp "$dir/all/usr/share/qemu-efi-aarch64/QEMU_EFI.fd" "$dir/QEMU_EFI.fd"
cp "$dir/all/boot/vmlinuz-${kernel#linux-image-}" "$dir/vmlinuz"
debian_done qemu-system-arm qemu-efi-aarch64 "$kernel"
