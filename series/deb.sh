#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2317 # functions that a step calls
# Installable Debian packages of the kernel with the series, by the kernel's own
# bindeb-pkg: $B/deb-ARCH/*.deb.
#	deb.sh [config]		config: only configure, and check the configuration and
#				the packages' metadata
#
# DEB_ARCH=arm64|amd64	which Debian architecture, arm64 by default
# LOCALVERSION=-NAME	what the kernel's release ends with, -viommu by default; each has
#			objects of its own
# FLAVOUR=NAME		Debian's flavour: arm64, arm64-16k, cloud-arm64, amd64, ...
# CONFIG=FILE		start from this configuration instead of Debian's
# DEBUG=1		with debug information, and a package of it
. "$(dirname "$0")/lib.sh"

DEB_ARCH=${DEB_ARCH:-arm64}
FLAVOUR=${FLAVOUR:-$DEB_ARCH}
APT_ARCH=$DEB_ARCH
. "$(dirname "$0")/apt.sh"

case $DEB_ARCH in
arm64) kernel_arch=arm64 triplet=aarch64-linux-gnu ;;
amd64) kernel_arch=x86_64 triplet=x86_64-linux-gnu ;;
*) die "DEB_ARCH=$DEB_ARCH: arm64 and amd64 are known" ;;
esac
prefix=$triplet-
[ "$(dpkg --print-architecture)" != "$DEB_ARCH" ] || prefix=
suffix=${LOCALVERSION--viommu}
unset LOCALVERSION		# the kernel's make would add it once more
out=$B/deb-$DEB_ARCH		# the packages
obj=$B/deb-obj-$DEB_ARCH$suffix
export NEXT="make deb"

[ -d "$TREE" ] || die "there is no $TREE: run 'make tree'"
cc=${prefix}gcc
command -v ccache >/dev/null && cc="ccache $cc"
deb_make() {
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES -u DEB_ARCH -u CONFIG \
		make -C "$TREE" O="$obj" ARCH="$kernel_arch" CROSS_COMPILE="$prefix" CC="$cc" \
		-j"$JOBS" "$@"
}

# Debian's configuration of the version of the base, or the newest
debian_config() {
	local version

	own_apt_update
	version=$(own_apt_versions linux-config-6.12 | awk -v base="$(kernel_version "$BASE/Makefile")" '
		NR == 1 { v = $1 } index($1, base "-") == 1 { v = $1; exit } END { print v }')
	[ -n "$version" ] || { echo "no linux-config-6.12 for $DEB_ARCH"; return 1; }
	own_apt_download apt-get download "linux-config-6.12=$version"
	dpkg-deb --fsys-tarfile "$APT_STATE"/download/*.deb |
		tar -xO "./usr/src/linux-config-6.12/config.${DEB_ARCH}_none_$FLAVOUR.xz" |
		xz -dc >"$B/deb-$FLAVOUR.config.tmp"
	rm -rf "$APT_STATE/download"
	grep -q '^CONFIG_MODULES=y' "$B/deb-$FLAVOUR.config.tmp"
	mv "$B/deb-$FLAVOUR.config.tmp" "$B/deb-$FLAVOUR.config"
}

fragment() {
	local drop='^$'

	[ "$DEB_ARCH" = arm64 ] || drop=ARM_SMMU
	[ -z "${DEBUG:-}" ] || drop+='|DEBUG_INFO'
	grep -vE "$drop" "$TOP/series/debian.config"
	printf 'CONFIG_LOCALVERSION="%s"\n# CONFIG_LOCALVERSION_AUTO is not set\n' "$suffix"
}

configure() {
	mkdir -p "$obj"
	fragment >"$obj/fragment"
	"$TREE/scripts/kconfig/merge_config.sh" -m -Q -O "$obj" "$1" "$obj/fragment"
	deb_make olddefconfig
	took "$obj/.config"
}

# Kconfig drops what it can't have without a word. A configuration may know nothing
# of signatures or debug information, but what is the reason for all this must be there.
took() {
	local line lost=

	while read -r line; do
		case $line in
		*IOMMUFD=* | *_CDEV=*) ;;
		*) grep -q "^${line%%=*}=" "$1" || continue ;;
		esac
		lost+=" $line"
	done < <(grep '^CONFIG_.*=' "$obj/fragment" | grep -vxFf "$1")
	[ -z "${DEBUG:-}" ] || grep -qx CONFIG_DEBUG_INFO_BTF=y "$1" ||
		lost+=" CONFIG_DEBUG_INFO_BTF=y"
	[ -z "$lost" ] || { echo "did not take:$lost"; return 1; }
}

# What the packages will say of themselves
metadata() {
	local release control=$obj/debian/control field

	deb_make include/config/kernel.release
	# shellcheck disable=SC2016 # for make
	deb_make run-command KBUILD_RUN_COMMAND='+$(MAKE) -f $(srctree)/scripts/Makefile.package debian'
	release=$(deb_make -s kernelrelease)
	for field in "Package: linux-image-$release" "Package: linux-headers-$release" \
		"Architecture: $DEB_ARCH"; do
		grep -xF "$field" "$control"
	done
	case $release in
	*"$suffix") ;;
	*) echo "release $release does not end with $suffix"; return 1 ;;
	esac
}

# A line every half minute: a kernel of Debian's configuration takes hours
build() {
	local log=$LOG/deb-$DEB_ARCH.log start=$SECONDS pid n

	say "building the packages, release $(deb_make -s kernelrelease), log: $log"
	deb_make bindeb-pkg >"$log" 2>&1 </dev/null &
	pid=$!
	trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
	for ((n = 1; ; n++)); do
		sleep 1
		kill -0 "$pid" 2>/dev/null || break
		[ $((n % 30)) != 0 ] || printf '    %4d min, %5d files done, now: %s\n' \
			$(((SECONDS - start) / 60)) "$(grep -cE '^  (CC|AS|LD) ' "$log" || true)" \
			"$(tail -n 1 "$log" | cut -c1-60)" >&2
	done
	trap - INT TERM
	wait "$pid" || {
		grep -E '(error|Error|undefined reference)[: ]' "$log" | head -n 10 >&2 || true
		tail -n 5 "$log" >&2
		die "building the packages failed, see $log"
	}
}

# The package of headers has programs in it that are built for its architecture, with
# that one's libssl. A machine of another mostly lacks it, and goes without headers.
export DEB_BUILD_PROFILES=${DEB_BUILD_PROFILES:-}
if [ -n "$prefix" ] && [ ! -e "/usr/lib/$triplet/libcrypto.so" ]; then
	say "no libssl-dev:$DEB_ARCH here, so no package of kernel headers"
	DEB_BUILD_PROFILES+=" pkg.linux-upstream.nokernelheaders"
fi
export KDEB_CHANGELOG_DIST=${KDEB_CHANGELOG_DIST:-unstable}
KDEB_PKGVERSION=${KDEB_PKGVERSION:-$(kernel_version "$BASE/Makefile")-1}
export KDEB_PKGVERSION

need=(dpkg-dev debhelper)
# Without pahole Kconfig leaves BTF out, and says nothing
[ -z "${DEBUG:-}" ] || need+=(dwarves)
case $DEB_ARCH:$(dpkg --print-architecture) in
amd64:amd64 | arm64:arm64) need+=(gcc) ;;
amd64:*) need+=(gcc-x86-64-linux-gnu libc6-dev-amd64-cross) ;;
esac
"$TOP/series/deps.sh" "${need[@]}"

config=${CONFIG:-$B/deb-$FLAVOUR.config}
[ -n "${CONFIG:-}" ] || [ -f "$config" ] || step "Debian's configuration ($FLAVOUR)" deb-config debian_config
step "configuring ($DEB_ARCH)" "deb-configure-$DEB_ARCH" configure "$(realpath "$config")"
step "the packages' metadata" "deb-metadata-$DEB_ARCH" metadata
[ "${1:-}" != config ] || exit 0

# The packages have the kernel, the driver, the module, the options and the headers that
# they were made for
inspect() {
	local image libc release dir=$B/deb-inspect-$DEB_ARCH

	release=$(deb_make -s kernelrelease)
	image=$out/linux-image-${release}_${KDEB_PKGVERSION}_$DEB_ARCH.deb
	dpkg-deb -I "$image"
	dpkg-deb -c "$image" | awk '{ print $6 }' >"$LOG/deb-$DEB_ARCH.files"
	grep -xF "./boot/vmlinuz-$release" "$LOG/deb-$DEB_ARCH.files"
	grep -E "^\./lib/modules/$release/kernel/drivers/iommu/iommufd/iommufd\.ko" \
		"$LOG/deb-$DEB_ARCH.files"
	rm -rf "$dir"
	dpkg-deb -x "$image" "$dir"
	took "$dir/boot/config-$release"
	[ "$DEB_ARCH" != arm64 ] || grep -w arm_smmu_viommu_ops "$dir/boot/System.map-$release"
	rm -rf "$dir"

	libc=$out/linux-libc-dev_${KDEB_PKGVERSION}_$DEB_ARCH.deb
	dpkg-deb -c "$libc" | grep -F ./usr/include/linux/iommufd_viommu.h
	case $DEB_BUILD_PROFILES in
	*nokernelheaders*) return ;;
	esac
	dpkg-deb -c "$out/linux-headers-${release}_${KDEB_PKGVERSION}_$DEB_ARCH.deb" |
		grep -F "./usr/src/linux-headers-$release/Module.symvers"
}

build
mkdir -p "$out"
# bindeb-pkg writes beside its object folder
find "$B" -maxdepth 1 -newer "$obj/fragment" \( -name 'linux-*.deb' -o -name 'linux-upstream_*' \) \
	-exec mv -t "$out" {} +
step "what is in the packages" "deb-inspect-$DEB_ARCH" inspect
say "the packages. To run the kernel: apt install .../linux-image-*.deb"
find "$out" -name "*${KDEB_PKGVERSION}_$DEB_ARCH.deb" -printf '%p (%k KiB)\n' | sort
