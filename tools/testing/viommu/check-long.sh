#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2317 # functions that a step calls
# What takes longer than 'make check': the same machine tests under the kernel's
# heavy checkers, and other ways to build. About an hour on two cores.
. "$(dirname "$0")/../../../series/lib.sh"
. "$(dirname "$0")/vmlib.sh"

prepare check-long

# Memory errors and leaks, then data races
must "kernel with KASAN" kernel-kasan \
	"$TOP/series/kernel.sh" kasan "$here/vm.config" "$here/kasan.config"
SLOW=4 KMEMLEAK=1 vm_tests kasan- -k "$B/kasan/arch/arm64/boot/Image"

must "kernel with KCSAN" kernel-kcsan \
	"$TOP/series/kernel.sh" kcsan "$here/vm.config" "$here/kcsan.config"
SLOW=4 vm_tests kcsan- -k "$B/kcsan/arch/arm64/boot/Image"

# What calls cost, on kernels without debugging; appends its own results
may "counting instructions" bench env results="$results" "$here/bench.sh" goals

# The same objects by the other compiler
clang_objects() {
	local out=$B/clang dirs=(drivers/iommu/iommufd/ drivers/iommu/arm/arm-smmu-v3/)

	command -v clang >/dev/null || "$TOP/series/deps.sh" clang lld llvm
	mkdir -p "$out"
	(cd "$out" && rm -rf "${dirs[@]}")
	kmake "$out" LLVM=1 CC=clang KCONFIG_ALLCONFIG="$here/vm.config" allnoconfig
	kmake "$out" LLVM=1 CC=clang W=1 WERROR=1 "${dirs[@]}"
}
may "clang W=1" clang clang_objects

# Both as modules: modpost sees every missing export
modules() {
	local out=$B/modules

	mkdir -p "$out"
	sed -E -e 's/^(CONFIG_(ARM_SMMU_V3|IOMMUFD|VFIO|VFIO_PCI|KUNIT|.*_KUNIT_TEST))=y/\1=m/' \
		"$here/vm.config" >"$out/fragment"
	kmake "$out" KCONFIG_ALLCONFIG="$out/fragment" allnoconfig
	kmake "$out" vmlinux modules
}
may "the SMMU driver and iommufd as modules" modules modules
finish
