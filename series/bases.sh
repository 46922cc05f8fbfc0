#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Fetch the other kernels of Debian 12 and 13 that the series has to fit: for each
# $B/bases/VERSION/ with the folders of the base that the series touches, and
# $B/bases/VERSION.names with the path of every file that it has.
#	bases.sh [VERSION...]	default: all that Debian's archives have today
#	bases.sh --whole VERSION	all of that kernel as well, in $B/bases/VERSION.whole
#
# A VERSION is one of linux-source-6.12's (Debian's patches applied), or "oldest": of
# those that Debian has, or "upstream": the newest linux_6.12.y.orig.tar.xz that can be
# fetched, without any patch.
# What is there is not fetched again.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apt.sh"

bases=$B/bases
NEXT="make check-series (with the network up)"

# A rebuild for the older release (~deb12u1, ~bpo12+1) has the same source as what it
# is a rebuild of, so one of the two will do
versions() {
	own_apt_versions "$SOURCE_PACKAGE" | awk '{ v = $1; sub(/~.*/, "", v) } !seen[v]++'
}

# The folders of what the series edits, with what is below them; files of the top
folders() {
	hooked_files | sed 's,/[^/]*$,,' | sort -u |
		awk 'NR == 1 || index($0, last "/") != 1 { print; last = $0 }'
}

# unpack VERSION, with a compressed tar of the kernel on standard input
unpack() {
	local dir=$bases/$1

	rm -rf "$dir" "$dir.names"
	mkdir -p "$dir.tmp"
	{ folders; echo Makefile; } | sed 's,^,*/,' >"$dir.patterns"
	xz -dc -T0 | tee >(tar -t | sed 's,^[^/]*/,,' >"$dir.names.tmp") |
		tar -x -C "$dir.tmp" --strip-components=1 --wildcards \
			--no-wildcards-match-slash -T "$dir.patterns"
	wait
	[ -s "$dir.names.tmp" ]
	folders >"$dir.tmp/folders"
	kernel_version "$dir.tmp/Makefile" >"$dir.tmp/version"
	mv "$dir.names.tmp" "$dir.names"
	mv "$dir.tmp" "$dir"
	rm "$dir.patterns"
}

# package VERSION COMMAND...: with the compressed tar on the command's standard input
package() {
	local version=$1

	shift
	own_apt_download apt-get download "$SOURCE_PACKAGE=$version"
	dpkg-deb --fsys-tarfile "$APT_STATE"/download/*.deb |
		tar -xO "./usr/src/$SOURCE_PACKAGE.tar.xz" | "$@"
	rm -rf "$APT_STATE/download"
}

fetch_package() { package "$1" unpack "$1"; }

fetch_whole() {
	local dir=$bases/$1.whole

	rm -rf "$dir" "$dir.tmp"
	mkdir "$dir.tmp"
	package "$1" tar -xJ -C "$dir.tmp" --strip-components=1
	mv "$dir.tmp" "$dir"
}

# A mirror may lack the file of a version that it lists
fetch_upstream() {
	local version source tarball

	while read -r version source; do
		own_apt_download apt-get source --download-only --tar-only "$source=$version" </dev/null ||
			continue
		tarball=$(find "$APT_STATE/download" -name '*.orig.tar.xz')
		echo "$tarball"
		unpack upstream <"$tarball"
		rm -rf "$APT_STATE/download"
		return
	done < <(own_apt_sources)
	echo "no linux_6.12.y.orig.tar.xz to be had"
	return 1
}

there() {
	[ -d "$bases/$1" ] && [ -s "$bases/$1.names" ] &&
		[ "$(folders)" = "$(cat "$bases/$1/folders")" ]
}

[ -d "$BASE" ] || die "there is no $BASE: run 'make base'"
mkdir -p "$bases"
whole=
if [ "${1:-}" = --whole ]; then
	whole=1
	shift
fi
wanted=("$@")
updated=
look() {
	[ -n "$updated" ] || step "what Debian has today" bases-update own_apt_update
	updated=1
}
if [ ${#wanted[@]} = 0 ]; then
	look
	mapfile -t wanted < <(versions)
	[ ${#wanted[@]} != 0 ] || die "no $SOURCE_PACKAGE in Debian's archives"
	wanted+=(upstream)
fi
for v in "${wanted[@]}"; do
	if [ "$v" = oldest ]; then
		v=$(cat "$bases/oldest" 2>/dev/null || true)
		if [ -z "$v" ] || ! there "$v"; then
			look
			v=$(versions | tail -n 1)
			[ -n "$v" ] || die "no $SOURCE_PACKAGE in Debian's archives"
			echo "$v" >"$bases/oldest"
		fi
	fi
	if ! there "$v"; then
		look
		if [ "$v" = upstream ]; then
			step "fetching the source of upstream 6.12.y" bases-upstream fetch_upstream
		else
			step "fetching $SOURCE_PACKAGE $v" "bases-$v" fetch_package "$v"
		fi
	fi
	if [ -n "$whole" ] && [ ! -d "$bases/$v.whole" ]; then
		look
		step "fetching all of $SOURCE_PACKAGE $v" "bases-$v-whole" fetch_whole "$v"
	fi
	echo "$v"
done
