#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2034,SC2317 # used by what is included, called through may
# Other ways to configure and to compile what the series adds: all of our files that a
# configuration is to have are compiled and no others, no warning from a file of ours,
# none from a file that we hook but those of the base. Result lines are appended to the
# file named by the argument. MATRIX="matrix-x86-gcc-*": only what logs to such a name.
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

# expected ARCH CONFIG: the objects of ours that a kernel with this .config must have. It
# says so by what was asked for: symbols of ours may be lost without a word.
expected() {
	local arch=$1 config=$2 f needs symbol

	overlay_files | cut -f2 | grep '^drivers/.*\.c$' | while read -r f; do
		# By the name alone: checkpatch takes a slash and an asterisk for a comment
		case ${f##*/} in
		arm-smmu-v3-cmdq-error.c) needs=ARM_SMMU_V3 ;;
		arm-smmu-v3-cmdq-inject.c) needs="ARM_SMMU_V3 IOMMUFD FAULT_INJECTION" ;;
		arm-smmu-v3-*-test.c | arm-smmu-v3-*-model.c) needs="ARM_SMMU_V3 IOMMUFD KUNIT" ;;
		arm-smmu-v3-*) needs="ARM_SMMU_V3 IOMMUFD" ;;
		*-test.c) needs="IOMMUFD KUNIT" ;;
		selftest*) needs="IOMMUFD FAULT_INJECTION" ;;
		*) needs=IOMMUFD ;;
		esac
		[ "$arch" = arm64 ] || [[ $needs != ARM_* ]] || continue
		for symbol in $needs; do
			grep -q "^CONFIG_$symbol=[my]\$" "$config" || continue 2
		done
		echo "${f%.c}.o"
	done | sort
}

# compiled LOG: the objects of ours that were compiled
compiled() {
	sed -nE 's,^  CC (\[M\])? *(drivers/.*\.o)$,\2,p' "$1" | sort -u |
		comm -12 - <(overlay_files | cut -f2 | sed -n 's/\.c$/.o/p' | sort)
}

# objects ARCH COMPILER GOAL FRAGMENT [SYMBOL=VALUE...]: configure with GOAL (as
# allnoconfig), FRAGMENT and the symbols, and compile from nothing, so that every
# warning shows; with SPARSE=1 those of sparse too
objects() {
	local arch=$1 compiler=$2 goal=$3 fragment=$4 out=$B/matrix-$1-$2 symbol differ
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
	make_for "$arch" "$compiler" "$out" W=1 ${SPARSE:+C=1} "${dirs[@]}" \
		>"$out/objects.log" 2>&1 ||
		{ grep -A5 -E 'error:|\*\*\*' "$out/objects.log"; return 1; }
	grep -q '^  CC .* drivers/' "$out/objects.log" ||
		{ echo "error: nothing compiled"; return 1; }
	[ -z "${SPARSE:-}" ] || grep -q '^  CHECK ' "$out/objects.log" ||
		{ echo "error: sparse did not run"; return 1; }
	differ=$(diff <(expected "$arch" "$out/.config") <(compiled "$out/objects.log")) ||
		{ printf '%s\n' "error: of our objects are missing <, not expected >:" "$differ"
		  return 1; }
	our_warnings "$out/objects.log"
}

# configuration NAME LOG ARGUMENT...: what objects says, if it is one of those wanted
configuration() {
	# shellcheck disable=SC2053 # a pattern
	[[ $2 = ${MATRIX:-*} ]] || return 0
	may "$@"
}

vm=$here/vm.config
x86=$here/x86.config
# The SMMU driver, iommufd and KUnit, each n, m and y; check-long.sh links those where
# modules and what is built in meet
for compiler in gcc clang; do
	for both in n:n n:m n:y m:n m:m m:y y:n y:m y:y; do
		IFS=: read -r iommufd kunit <<<"$both"
		configuration "x86_64 $compiler W=1, IOMMUFD=$iommufd KUNIT=$kunit" \
			"matrix-x86-$compiler-$iommufd$kunit" \
			objects x86_64 "$compiler" allnoconfig "$x86" \
			IOMMUFD="$iommufd" KUNIT="$kunit"
		for smmu in n m y; do
			configuration "arm64 $compiler W=1, SMMU=$smmu IOMMUFD=$iommufd KUNIT=$kunit" \
				"matrix-$compiler-$smmu$iommufd$kunit" \
				objects arm64 "$compiler" allnoconfig "$vm" \
				ARM_SMMU_V3="$smmu" IOMMUFD="$iommufd" KUNIT="$kunit"
		done
	done
done
configuration "arm64 gcc W=1, no fault injection, no SVA" matrix-less \
	objects arm64 gcc allnoconfig "$vm" FAULT_INJECTION=n ARM_SMMU_V3_SVA=n
# make check has sparse look at one configuration, of arm64
SPARSE=1 configuration "x86_64 gcc W=1 and sparse" matrix-x86-sparse \
	objects x86_64 gcc allnoconfig "$x86" IOMMUFD=y KUNIT=y
# GCC's plugins need its headers, and their warnings are not this compiler's
whole=(WERROR=n GCC_PLUGINS=n IOMMUFD=m KUNIT=m FAULT_INJECTION=y)
for compiler in gcc clang; do
	configuration "arm64 $compiler W=1, allmodconfig" "matrix-arm64-$compiler-allmod" \
		objects arm64 "$compiler" allmodconfig /dev/null "${whole[@]}" ARM_SMMU_V3=m
	configuration "x86_64 $compiler W=1, allmodconfig" "matrix-x86-$compiler-allmod" \
		objects x86_64 "$compiler" allmodconfig /dev/null "${whole[@]}"
done
