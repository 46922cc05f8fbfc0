#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Fetch Debian's QEMU 11 and what it needs, for arm64, and a kernel for its guest;
# none of it is changed. Needs no root, and does nothing when all is there:
#
#	$B/qemu/root/		QEMU, its libraries and the dynamic linker
#	$B/qemu/QEMU_EFI.fd	the guest's firmware
#	$B/qemu/vmlinuz		the guest's kernel
#	$B/qemu/versions	of the packages
#
# apt checks the archive's signature and every package's hash; its lists and its
# cache are in $B/qemu, this machine's own are left alone.
. "$(dirname "$0")/lib.sh"

QEMU_SUITE=trixie-backports
QEMU_MIN=1:11			# the first with an accelerated SMMUv3
GUEST=linux-image-cloud-arm64	# NVMe and SMMUv3 drivers are no modules there
MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

dir=$B/qemu
id=$(sha256sum <"$0")
if [ "$(cat "$dir/id" 2>/dev/null)" = "$id" ]; then
	cat "$dir/versions"
	exit
fi

[ -f "$KEYRING" ] || die "there is no $KEYRING: install debian-archive-keyring"
mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/log"
rm -rf "$dir/id" "$dir/all" "$dir/root"
: >"$dir/status"
: >"$dir/preferences"
for suite in trixie "$QEMU_SUITE"; do
	echo "deb [arch=arm64 signed-by=$KEYRING] $MIRROR $suite main"
done >"$dir/sources.list"

# A proxy comes from this machine's configuration, all else from here
apt_options=(
	-q
	-o APT::Architecture=arm64 -o APT::Architectures=arm64
	-o APT::Default-Release= -o APT::Install-Recommends=false
	-o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3
	-o Dir::State="$dir" -o Dir::State::lists="$dir/lists" -o Dir::State::status="$dir/status"
	-o Dir::Cache="$dir/cache" -o Dir::Log="$dir/log"
	-o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null
	-o Dir::Etc::Preferences="$dir/preferences" -o Dir::Etc::PreferencesParts=/dev/null
	-o Dir::Etc::Trusted=/dev/null -o Dir::Etc::TrustedParts=/dev/null
)

apt-get "${apt_options[@]}" update
apt-get "${apt_options[@]}" install -y --download-only -t "$QEMU_SUITE" \
	qemu-system-arm qemu-efi-aarch64
# What the name stands for today; by itself, as its dependencies are for a machine
# that installs it
kernel=$(apt-cache "${apt_options[@]}" depends "$GUEST" |
	sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1)
[ -n "$kernel" ] || die "$GUEST depends on no kernel"
(cd "$dir/cache/archives" && apt-get "${apt_options[@]}" download "$kernel")

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

for deb in "$dir"/cache/archives/*.deb; do
	basename "$deb" | sed 's/_.*//'
done | sort -u | while read -r package; do
	dpkg-deb -x "$(newest "$package")" "$dir/all"
done
qemu=$(dpkg-deb -f "$(newest qemu-system-arm)" Version)
dpkg --compare-versions "$qemu" ge "$QEMU_MIN" ||
	die "$QEMU_SUITE has QEMU $qemu, an accelerated SMMUv3 needs $QEMU_MIN"

# take FILE: it and the libraries that it needs
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
}
take usr/bin/qemu-system-aarch64
mkdir -p "$dir/root/lib"
cp -L "$dir/all/$libs/ld-linux-aarch64.so.1" "$dir/root/lib/"
cp "$dir/all/usr/share/qemu-efi-aarch64/QEMU_EFI.fd" "$dir/QEMU_EFI.fd"
cp "$dir/all/boot/vmlinuz-${kernel#linux-image-}" "$dir/vmlinuz"
for package in qemu-system-arm qemu-efi-aarch64 "$kernel"; do
	echo "$package $(dpkg-deb -f "$(newest "$package")" Version)"
done >"$dir/versions"
rm -rf "$dir/all"
cat "$dir/versions"
echo "$id" >"$dir/id"
