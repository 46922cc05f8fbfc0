#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Install what the build and the tests need, on Debian 12 or 13. Does nothing,
# and needs no network, when everything is there. With PRINT=1 only tells what
# is missing. Arguments are packages to install in addition.
. "$(dirname "$0")/lib.sh"

QEMU_MIN=1:9.2			# nested stage of the emulated SMMUv3
SOURCE_MIN=6.12.117		# what the hooks apply to

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

# at_least VERSION MINIMUM: MINIMUM is an upstream version, with epoch if it has one
at_least() { [ -n "$1" ] && [ "$1" != "(none)" ] && dpkg --compare-versions "$1" ge "$2~"; }

missing=()
for p in "${packages[@]}"; do
	case $p in
	qemu-system-arm) at_least "$(version "$p")" "$QEMU_MIN" || missing+=("$p") ;;
	"$SOURCE_PACKAGE") at_least "$(version "$p")" "$SOURCE_MIN" || missing+=("$p") ;;
	*) installed "$p" || missing+=("$p") ;;
	esac
done
[ ${#missing[@]} != 0 ] || exit 0
if [ -n "${PRINT:-}" ]; then
	echo "missing or too old: ${missing[*]}"
	exit 1
fi

root=()
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null ||
		die "missing or too old: ${missing[*]}: run 'make deps' as root"
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

candidate() { apt-cache policy "$1" | sed -n 's/^  Candidate: //p'; }
newest() { apt-cache madison "$1" | awk '{ print $3 }' | sort -V | tail -n 1; }

# add_source SUITE URI PACKAGE: one more archive of Debian's, for the package
add_source() {
	say "adding $1 to apt's sources, for $3"
	"${root[@]}" tee "/etc/apt/sources.list.d/viommu-$1.sources" >/dev/null <<-EOS
		Types: deb
		URIs: $2
		Suites: $1
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	EOS
	step "apt-get update" deps-update update
}

needs() { [[ " ${missing[*]} " = *" $1 "* ]]; }

# Both releases have the source of their current 6.12 kernel in the security
# archive; that of backports is older
if needs "$SOURCE_PACKAGE"; then
	if ! at_least "$(candidate "$SOURCE_PACKAGE")" "$SOURCE_MIN"; then
		add_source "$codename-security" http://deb.debian.org/debian-security "$SOURCE_PACKAGE >= $SOURCE_MIN"
	fi
	step "installing $SOURCE_PACKAGE" deps-source install "$SOURCE_PACKAGE"
	at_least "$(version "$SOURCE_PACKAGE")" "$SOURCE_MIN" ||
		die "$codename has no $SOURCE_PACKAGE >= $SOURCE_MIN"
fi

# A library that is here from backports already has its -dev package there too
others() {
	install "$@" || install -t "$codename-backports" "$@"
}
rest=()
for p in "${missing[@]}"; do
	[ "$p" = qemu-system-arm ] || [ "$p" = "$SOURCE_PACKAGE" ] || rest+=("$p")
done
if [ ${#rest[@]} != 0 ]; then
	TAIL=30 step "installing packages (${#rest[@]} missing)" deps-install others "${rest[@]}"
fi

# Debian 12's own QEMU (7.2) knows no nested SMMUv3: take the one of backports. It
# comes last, so that no more than it needs is from there.
if needs qemu-system-arm; then
	if ! at_least "$(newest qemu-system-arm)" "$QEMU_MIN"; then
		add_source "$codename-backports" http://deb.debian.org/debian "qemu-system-arm >= $QEMU_MIN"
	fi
	release=()
	at_least "$(candidate qemu-system-arm)" "$QEMU_MIN" || release=(-t "$codename-backports")
	TAIL=30 step "installing QEMU" deps-qemu install "${release[@]}" qemu-system-arm
	at_least "$(version qemu-system-arm)" "$QEMU_MIN" ||
		die "$codename has no qemu-system-arm >= $QEMU_MIN"
fi
