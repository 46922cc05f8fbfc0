#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Unpack the base: $B/base := the kernel source package. A newer package is
# unpacked anew.
. "$(dirname "$0")/lib.sh"

tarball=${SOURCE_TARBALL:-/usr/src/$SOURCE_PACKAGE.tar.xz}
[ -f "$tarball" ] || die "$tarball is not there: run 'make deps' (installs $SOURCE_PACKAGE)"

id=$(stat -c '%n %s %Y' "$tarball")
[ "$(cat "$B/base.id" 2>/dev/null)" != "$id" ] || exit 0

refuse_edited
unpack() {
	rm -rf "$BASE" "$BASE.tmp" "$TREE" "$SYNCED"
	mkdir -p "$BASE.tmp"
	tar -C "$BASE.tmp" --strip-components=1 -xf "$tarball"
	mv "$BASE.tmp" "$BASE"
}
export NEXT="make base"
step "unpacking $tarball" base unpack
echo "$id" >"$B/base.id"
