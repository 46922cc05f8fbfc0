# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2154 # used by, and from, what includes this
# Programs of Debian for the test machine, arm64 and unchanged, with the libraries that
# they need. Needs no root, installs nothing: apt checks the archive's signature and
# every package's hash; its lists and its cache are in a folder of $B, this machine's
# own are left alone. Usage: . debian-root.sh, behind lib.sh
#
#	debian_root NAME SUITE...	into $B/NAME, as $dir; ends the script, with
#					$dir/versions shown, when this very script was done
#					with it before
#	debian_fetch PACKAGE...		and what they depend on, from the last suite if
#					it has them; unpacked into $dir/all
#	take FILE			that file of $dir/all, and its libraries, into
#					$dir/root
#	debian_done PACKAGE...		writes their versions to $dir/versions

MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

debian_root() {
	local suite

	dir=$B/$1
	shift
	id=$(cat "$0" "${BASH_SOURCE[0]}" | sha256sum)
	if [ "$(cat "$dir/id" 2>/dev/null)" = "$id" ]; then
		cat "$dir/versions"
		exit
	fi

	[ -f "$KEYRING" ] || die "there is no $KEYRING: install debian-archive-keyring"
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/log"
	rm -rf "$dir/id" "$dir/all" "$dir/root"
	: >"$dir/status"
	: >"$dir/preferences"
	for suite; do
		echo "deb [arch=arm64 signed-by=$KEYRING] $MIRROR $suite main"
	done >"$dir/sources.list"

	# A proxy comes from this machine's configuration, all else from here
	apt_options=(
		-q
		-o APT::Architecture=arm64 -o APT::Architectures=arm64
		-o APT::Default-Release= -o APT::Install-Recommends=false
		-o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=5
		-o Dir::State="$dir" -o Dir::State::lists="$dir/lists"
		-o Dir::State::status="$dir/status" -o Dir::Cache="$dir/cache"
		-o Dir::Log="$dir/log" -o Dir::Etc::SourceList="$dir/sources.list"
		-o Dir::Etc::SourceParts=/dev/null -o Dir::Etc::Preferences="$dir/preferences"
		-o Dir::Etc::PreferencesParts=/dev/null -o Dir::Etc::Trusted=/dev/null
		-o Dir::Etc::TrustedParts=/dev/null
	)
	apt-get "${apt_options[@]}" update
	newest_suite=${!#}
}

# Of versions that an earlier run left here, the newest
newest() {
	local deb best='' version='' v

	for deb in "$dir/cache/archives/$1"_*.deb; do
		v=$(dpkg-deb -f "$deb" Version)
		if [ -z "$best" ] || dpkg --compare-versions "$v" gt "$version"; then
			best=$deb version=$v
		fi
	done
	echo "$best"
}

debian_unpack() {
	local deb package

	for deb in "$dir"/cache/archives/*.deb; do
		basename "$deb" | sed 's/_.*//'
	done | sort -u | while read -r package; do
		dpkg-deb -x "$(newest "$package")" "$dir/all"
	done
}

debian_fetch() {
	apt-get "${apt_options[@]}" install -y --download-only -t "$newest_suite" "$@"
	debian_unpack
}

libs=usr/lib/aarch64-linux-gnu
take() {
	local lib

	[ ! -e "$dir/root/$1" ] || return 0
	mkdir -p "$(dirname "$dir/root/$1")"
	cp -L "$dir/all/$1" "$dir/root/$1"
	for lib in $(readelf -d "$dir/all/$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
		[ -e "$dir/all/$libs/$lib" ] || die "$1 needs $lib, no package has it"
		take "$libs/$lib"
	done
	[ -e "$dir/root/lib/ld-linux-aarch64.so.1" ] || {
		mkdir -p "$dir/root/lib"
		cp -L "$dir/all/$libs/ld-linux-aarch64.so.1" "$dir/root/lib/"
	}
}

debian_done() {
	local package

	for package; do
		echo "$package $(dpkg-deb -f "$(newest "$package")" Version)"
	done >"$dir/versions"
	rm -rf "$dir/all"
	cat "$dir/versions"
	echo "$id" >"$dir/id"
}
