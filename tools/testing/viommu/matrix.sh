#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2034,SC2317 # used by what is included, called through may
# Other ways to configure and to compile what the series adds: no warning from a file
# of ours, none from a file that we hook but those of the base. Result lines are
# appended to the file named by the argument.
. "$(dirname "$0")/lib.sh"
needs_series
. "$(dirname "$0")/vmlib.sh"

results=${1:-$LOG/matrix.results}
NEXT="make check-long"

# Compiled are the directories with files of ours or hooked ones. A cross compiler
# for what the machine is not.
dirs_arm64=(drivers/iommu/ drivers/acpi/arm64/)
dirs_x86_64=(drivers/iommu/)
cross_arm64=$CROSS_COMPILE
cross_x86_64=
[ "$(uname -m)" = x86_64 ] || cross_x86_64=x86_64-linux-gnu-

# make_for ARCH COMPILER OUT ARGUMENT...: the kernel's make
make_for() {
	local arch=$1 compiler=$2 out=$3
	local -n cross=cross_$arch

	shift 3
	if [ "$compiler" = clang ]; then
		kmake "$out" ARCH="$arch" LLVM=1 CC="${CCACHE_CC}clang" "$@"
	else
		kmake "$out" ARCH="$arch" CROSS_COMPILE="$cross" CC="$CCACHE_CC${cross}gcc" "$@"
	fi
}
CCACHE_CC=
! command -v ccache >/dev/null || CCACHE_CC="ccache "

# objects ARCH COMPILER GOAL FRAGMENT [SYMBOL=VALUE...]: configure with GOAL (as
# allnoconfig), FRAGMENT and the symbols, and compile from nothing, so that every
# warning shows
objects() {
	local arch=$1 compiler=$2 goal=$3 fragment=$4 out=$B/matrix-$1-$2 symbol
	local -n dirs=dirs_$arch

	shift 4
	mkdir -p "$out"
	cp "$fragment" "$out/fragment"
	for symbol; do
		sed -i "/^CONFIG_${symbol%=*}=/d" "$out/fragment"
		echo "CONFIG_$symbol" >>"$out/fragment"
	done
	make_for "$arch" "$compiler" "$out" KCONFIG_ALLCONFIG="$out/fragment" "$goal"
	for symbol; do
		case $symbol in
		*=n) ! grep "^CONFIG_${symbol%=n}=" "$out/.config" ;;
		*) grep -qx "CONFIG_$symbol" "$out/.config" ;;
		esac || { echo "error: $symbol did not take"; return 1; }
	done
	(cd "$out" && rm -rf "${dirs[@]}")
	make_for "$arch" "$compiler" "$out" W=1 "${dirs[@]}" >"$out/objects.log" 2>&1 ||
		{ grep -A5 -E 'error:|\*\*\*' "$out/objects.log"; return 1; }
	grep -q '^  CC .* drivers/' "$out/objects.log" ||
		{ echo "error: nothing compiled"; return 1; }
	our_warnings "$out/objects.log"
}

vm=$here/vm.config
x86=$here/x86.config
# The SMMU driver, iommufd and KUnit, each n, m and y; check-long.sh links those where
# modules and what is built in meet
for compiler in gcc clang; do
	for both in n:n n:m n:y m:n m:m m:y y:n y:m y:y; do
		IFS=: read -r iommufd kunit <<<"$both"
		may "x86_64 $compiler W=1, IOMMUFD=$iommufd KUNIT=$kunit" \
			"matrix-x86-$compiler-$iommufd$kunit" \
			objects x86_64 "$compiler" allnoconfig "$x86" \
			IOMMUFD="$iommufd" KUNIT="$kunit"
		for smmu in n m y; do
			may "arm64 $compiler W=1, SMMU=$smmu IOMMUFD=$iommufd KUNIT=$kunit" \
				"matrix-$compiler-$smmu$iommufd$kunit" \
				objects arm64 "$compiler" allnoconfig "$vm" \
				ARM_SMMU_V3="$smmu" IOMMUFD="$iommufd" KUNIT="$kunit"
		done
	done
done
may "arm64 gcc W=1, no fault injection, no SVA" matrix-less \
	objects arm64 gcc allnoconfig "$vm" FAULT_INJECTION=n ARM_SMMU_V3_SVA=n
for arch in arm64 x86_64; do
	# GCC's plugins need its headers, and their warnings are not this compiler's
	may "$arch gcc W=1, allmodconfig" "matrix-$arch-allmod" \
		objects "$arch" gcc allmodconfig /dev/null WERROR=n GCC_PLUGINS=n
done
