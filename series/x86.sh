#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The series must leave other architectures alone: build and link an x86_64
# kernel with iommufd as a module (modpost sees every missing export), built in,
# and left out.
. "$(dirname "$0")/lib.sh"

out=$B/x86
mkdir -p "$out"
cross=
[ "$(uname -m)" = x86_64 ] || cross=x86_64-linux-gnu-
cc=${cross}gcc
command -v ccache >/dev/null && cc="ccache $cc"
kmake_x86() {
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES \
		make -C "$TREE" O="$out" ARCH=x86_64 CROSS_COMPILE="$cross" CC="$cc" \
		-j"$JOBS" "$@"
}

build() {
	local how=$1 fragment=$out/fragment lost

	shift
	# KUnit as a module in all of them: it changes task_struct, and so every object
	{
		grep -v 'CONFIG_IOMMUFD' "$TOP/tools/testing/viommu/x86.config"
		[ "$how" = n ] || printf '%s\n' CONFIG_IOMMUFD="$how" CONFIG_IOMMUFD_TEST=y \
			CONFIG_IOMMUFD_KUNIT_TEST=m
	} >"$fragment"
	kmake_x86 KCONFIG_ALLCONFIG="$fragment" allnoconfig
	lost=$(grep '^CONFIG_.*=' "$fragment" | grep -vxFf "$out/.config" || true)
	[ -z "$lost" ] || die "the configuration did not take: $lost"
	kmake_x86 "$@"
}

export NEXT="make kernel-x86"
# In this order: the symbols of a built-in iommufd would be exported twice
rm -f "$out/Module.symvers" "$out/vmlinux.symvers"
step "x86_64 with IOMMUFD=m" x86-m build m vmlinux modules
step "x86_64 with IOMMUFD=y" x86-y build y vmlinux
step "x86_64 without IOMMUFD" x86-n build n drivers/iommu/
