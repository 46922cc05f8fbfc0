#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Build the test kernel, or with "headers" its uAPI headers:
#	kernel.sh [OUT CONFIG-FRAGMENT... VARIABLE=VALUE...]
#						default: $B/arm64 and vm.config;
#						variables are for the kernel's make
#	kernel.sh headers			$B/headers/include
# SOURCE_TREE=DIR builds that tree instead of the one to test.
. "$(dirname "$0")/lib.sh"

TREE=${SOURCE_TREE:-$TREE}
out=$B/arm64
# The kernel's make writes every header anew; what includes them is built again only
# if one changes
headers() {
	mkdir -p "$B/headers/obj" "$B/headers/include"
	kmake "$B/headers/obj" INSTALL_HDR_PATH="$B/headers/install" headers_install
	rsync -rc --delete "$B/headers/install/include/" "$B/headers/include/"
}
if [ "${1:-}" = headers ]; then
	NEXT=$(again headers) step "installing the uAPI headers" headers headers
	exit
fi
variables=()
here=$TOP/tools/testing/viommu
fragments=("$here/vm.config")
if [ $# -gt 1 ]; then
	out=$B/$1
	shift
	fragments=()
	for word; do
		case $word in
		*=*) variables+=("$word") ;;
		*) fragments+=("$word") ;;
		esac
	done
fi
name=$(basename "$out")
mkdir -p "$out"

# Configure again when the fragment or any Kconfig of ours changes
cat "${fragments[@]}" >"$out/fragment"
id=$(cat "$out/fragment" "$TREE"/Makefile "$TREE"/drivers/iommu/{,*/}Kconfig* | sha256sum)
if [ "$(cat "$out/config.id" 2>/dev/null)" != "$id" ]; then
	NEXT=$(again kernel) step "configuring the kernel ($name)" "config-$name" \
		kmake "$out" KCONFIG_ALLCONFIG="$out/fragment" allnoconfig
	# Kconfig drops what it doesn't know or can't have without a word
	lost=$(grep '^CONFIG_.*=' "$out/fragment" | grep -vxFf "$out/.config" || true)
	[ -z "$lost" ] || die "the configuration did not take: $(echo "$lost" | tr '\n' ' ')"
	echo "$id" >"$out/config.id"
fi
NEXT=$(again kernel) step "building the kernel ($name)" "kernel-$name" \
	kmake "$out" Image "${variables[@]}"
