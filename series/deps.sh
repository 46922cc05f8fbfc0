#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Install what the build and the tests need, on Debian 12 or 13. Does nothing,
# and needs no network, when everything is there. With PRINT=1 only tells what
# is missing. Arguments are packages to install in addition.
. "$(dirname "$0")/lib.sh"

QEMU_MIN=9.2			# nested stage of the emulated SMMUv3

packages=(
	"$SOURCE_PACKAGE" quilt git make python3 perl xz-utils zstd rsync ccache
	gcc libc6-dev flex bison bc cpio kmod libssl-dev libelf-dev
	sparse shellcheck
	qemu-system-arm qemu-efi-aarch64
)
# On an arm64 machine the native compiler has the cross compiler's name
case $(uname -m) in
aarch64) packages+=(gcc-x86-64-linux-gnu) ;;
*) packages+=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross) ;;
esac

packages+=("$@")

installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }
version() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null; }

command -v dpkg-query >/dev/null ||
	die "only Debian is known here; install the equivalents of: ${packages[*]}"

missing=()
for p in "${packages[@]}"; do
	installed "$p" || missing+=("$p")
done
qemu_old=
if ! installed qemu-system-arm || dpkg --compare-versions "$(version qemu-system-arm)" lt "1:$QEMU_MIN~"; then
	qemu_old=1
fi
[ ${#missing[@]} != 0 ] || [ -n "$qemu_old" ] || exit 0
if [ -n "${PRINT:-}" ]; then
	echo "missing: ${missing[*]:-nothing}${qemu_old:+; QEMU >= $QEMU_MIN}"
	exit 1
fi

root=()
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null ||
		die "missing packages (${missing[*]}${qemu_old:+ qemu-system-arm >= $QEMU_MIN}): run 'make deps' as root"
	root=(sudo)
fi
apt() {
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o Dpkg::Use-Pty=0 "$@"
}
update() { apt update; }
install() { apt install -y --no-install-recommends "$@"; }

codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
export NEXT="make deps (as root, with the network up)"

step "apt-get update" deps-update update

# Debian 12's own QEMU (7.2) knows no nested SMMUv3: take the one of backports
target=()
candidate() { apt-cache policy "$1" | sed -n 's/^  Candidate: //p'; }
available() { [ -n "$(candidate "$1")" ] && [ "$(candidate "$1")" != "(none)" ]; }
newest() { apt-cache madison "$1" | awk '{ print $3 }' | sort -V | tail -n 1; }

if [ -n "$qemu_old" ] &&
   dpkg --compare-versions "$(newest qemu-system-arm)" lt "1:$QEMU_MIN~" &&
   [ "$codename" = bookworm ]; then
	say "adding bookworm-backports to apt's sources, for QEMU >= $QEMU_MIN"
	"${root[@]}" tee /etc/apt/sources.list.d/viommu-backports.sources >/dev/null <<-EOS
		Types: deb
		URIs: http://deb.debian.org/debian
		Suites: bookworm-backports
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	EOS
	step "apt-get update" deps-update update
fi
if [ -n "$qemu_old" ]; then
	if dpkg --compare-versions "$(candidate qemu-system-arm)" lt "1:$QEMU_MIN~"; then
		target=(-t "$codename-backports")
	fi
	TAIL=30 step "installing QEMU" deps-qemu install "${target[@]}" qemu-system-arm
fi
available "$SOURCE_PACKAGE" ||
	die "apt knows no $SOURCE_PACKAGE: enable $codename-security (or $codename-backports) in apt's sources"
TAIL=30 step "installing ${#missing[@]} packages" deps-install install "${packages[@]}"
