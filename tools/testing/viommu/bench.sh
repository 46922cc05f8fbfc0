#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Count what the calls of a VMM cost: boot viommu-bench on kernels without
# debugging, in a machine whose clock counts instructions. "bench.sh" prints the
# tables and writes bench.json and bench.svg; "bench.sh goals" appends result lines
# to the file named by "results" instead of drawing. Both compare with the base;
# PEER=7.2 also with Debian's kernel source of that version, if apt has it.
. "$(dirname "$0")/../../../series/lib.sh"
. "$(dirname "$0")/vmlib.sh"

out=$B/bench
mkdir -p "$out"
export NEXT="make bench"

# build NAME SOURCE [GREP]: $out/NAME from SOURCE, without the symbols that match
build() {
	local name=$1 tree=$2 drop=${3:-} dir=$out/$1 id lost

	mkdir -p "$dir"
	grep -v "${drop:-^$}" "$here/bench.config" >"$dir/fragment"
	id=$(cat "$B/base.id" "$dir/fragment" "$TOP/Kconfig" "$PATCHES"/*.patch | sha256sum)
	if [ "$(cat "$dir/config.id" 2>/dev/null)" != "$id" ]; then
		TREE=$tree kmake "$dir" KCONFIG_ALLCONFIG="$dir/fragment" allnoconfig
		lost=$(grep '^CONFIG_.*=' "$dir/fragment" | grep -vxFf "$dir/.config" || true)
		[ -z "$lost" ] || die "the configuration did not take: $lost"
		echo "$id" >"$dir/config.id"
	fi
	TREE=$tree kmake "$dir" Image
}

# count NAME PROGRAM...: boot $out/NAME and let PROGRAM count
count() {
	local name=$1

	shift
	echo "bench 600 $*" >"$VM/bench-$name.manifest"
	boot "bench-$name" "$VM/bench-$name.manifest" -I -t 600 \
		-k "$out/$name/arch/arm64/boot/Image" -- -trace smmuv3_cmdq_opcode
}

# The source of Debian's linux-source-PEER, in $out/peer-PEER
peer_source() {
	local package=linux-source-$PEER dir=$out/peer-$PEER

	[ ! -d "$dir" ] || return 0
	if ! [ -f "/usr/src/$package.tar.xz" ]; then
		"$TOP/series/deps.sh" "$package"
	fi
	rm -rf "$dir.tmp"
	mkdir "$dir.tmp"
	tar -C "$dir.tmp" --strip-components=1 -xf "/usr/src/$package.tar.xz"
	mv "$dir.tmp" "$dir"
}

"$TOP/series/base.sh"
"$TOP/series/tree.sh"
if [ -n "${PEER:-}" ] && [ ! -f "/usr/src/linux-source-$PEER.tar.xz" ] &&
   ! apt-cache policy "linux-source-$PEER" 2>/dev/null | grep -q 'Candidate: [0-9]'; then
	die "apt has no linux-source-$PEER on this machine, so there is nothing to compare with:" \
		"add an archive that has it (Debian's backports or sid), or leave out PEER"
fi
command -v gnuplot >/dev/null || "$TOP/series/deps.sh" gnuplot-nox
"$TOP/series/kernel.sh" headers
step "programs for the test machine" programs "$here/programs.sh"
step "the machine's IORT" iort iort

step "building the kernel (bench, series)" bench-series build series "$TREE"
step "building the kernel (bench, base)" bench-base build base "$BASE" ARM_SMMU_V3_IOMMUFD
step "counting: series" bench-count-series count series /bin/viommu-bench
step "counting: base" bench-count-base count base /bin/viommu-bench map
kernels=("series=$LOG/vm-bench-series" "base=$LOG/vm-bench-base")
if [ -n "${PEER:-}" ]; then
	peer_source
	step "building the kernel (bench, $PEER)" bench-peer build "$PEER" "$out/peer-$PEER"
	step "counting: $PEER" bench-count-peer count "$PEER" /bin/viommu-bench
	kernels+=("$PEER=$LOG/vm-bench-$PEER")
fi

"$here/bench.py" report "$out/bench.json" "${kernels[@]}" >"$out/bench.txt"
if [ "${1:-}" = goals ]; then
	"$here/bench.py" goals "$out/bench.json" >>"$results"
	exit
fi
cat "$out/bench.txt"
"$here/bench.py" plot "$out/bench.json" "$out/bench.svg"
say "also in $out: bench.json, bench.txt, bench.svg"
