#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Count what the calls of a VMM cost: boot viommu-bench on kernels without
# debugging, in a machine whose clock counts instructions. "bench.sh" prints the
# tables and writes bench.json and bench.svg; "bench.sh goals" appends result lines
# to the file named by "results" instead of drawing. Both compare with the base;
# PEER=7.2 also with Debian's kernel source of that version. PROFILE=N adds where the
# instructions of an array of N commands go.
. "$(dirname "$0")/lib.sh"
needs_series
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

# count NAME PART...: boot $out/NAME and let viommu-bench count; then again for the
# memory, as the kernel counts objects exactly only at a cost
count() {
	local name=$1 image=$out/$1/arch/arm64/boot/Image

	shift
	echo "bench 600 /bin/viommu-bench $*" >"$VM/bench-$name.manifest"
	boot "bench-$name" "$VM/bench-$name.manifest" -I -t 600 -k "$image" -- \
		-trace smmuv3_cmdq_opcode
	echo "bench 600 /bin/viommu-bench memory" >"$VM/bench-$name-memory.manifest"
	boot "bench-$name-memory" "$VM/bench-$name-memory.manifest" -I -t 600 \
		-k "$image" -a slab_debug=F
}

# profile NAME N: step $out/NAME through an array of N commands
profile() {
	local name=$1 n=$2 dir pid

	dir=$(mktemp -d)
	echo "bench 600 /bin/viommu-bench invalidate" >"$VM/bench-profile.manifest"
	boot bench-profile "$VM/bench-profile.manifest" -I -t 600 \
		-k "$out/$name/arch/arm64/boot/Image" -- \
		-gdb "unix:$dir/gdb,server=on,wait=off" -S &
	pid=$!
	while [ ! -S "$dir/gdb" ]; do
		kill -0 "$pid"
		sleep 0.1
	done
	"$here/profile.py" "$out/$name/System.map" "$dir/gdb" "$n" \
		"$out/profile-$name-$n.addresses" >"$out/profile-$name-$n.txt"
	wait "$pid"
	rm -r "$dir"
}

# Debian's linux-source-PEER: that of this machine, or fetched from Debian's archive.
# apt checks the signature; it works with a configuration of its own in $out/apt and
# the machine's sources and lists stay as they are.
peer_package() {
	local dir=$out/apt suite
	local apt=(
		apt-get -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=-
		-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache"
		-o "APT::Sandbox::User=$(id -un)" -o Acquire::Languages=none
	)

	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	for suite in sid trixie-backports; do
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
			"${DEBIAN_MIRROR:-http://deb.debian.org/debian} $suite main"
	done >"$dir/sources.list"
	"${apt[@]}" update
	(cd "$dir" && "${apt[@]}" download "linux-source-$PEER")
}

# The source in $out/peer-PEER
peer_source() {
	local name=linux-source-$PEER dir=$out/peer-$PEER deb

	rm -rf "$dir.tmp"
	mkdir "$dir.tmp"
	if [ -f "/usr/src/$name.tar.xz" ]; then
		tar -C "$dir.tmp" --strip-components=1 -xf "/usr/src/$name.tar.xz"
		dpkg-query -W -f '${Version}\n' "$name" >"$dir.version" || true
	else
		find "$out" -path "$out/apt/${name}_*.deb" -delete
		peer_package
		deb=$(echo "$out/apt/${name}"_*.deb)
		dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/src/$name.tar.xz" |
			tar -C "$dir.tmp" --strip-components=1 -xJ
		dpkg-deb -f "$deb" Version >"$dir.version"
		rm "$deb"
	fi
	mv "$dir.tmp" "$dir"
}

"$TOP/series/base.sh"
"$TOP/series/tree.sh"
command -v gnuplot >/dev/null || "$TOP/series/deps.sh" gnuplot-nox
"$here/kernel.sh" headers
step "programs for the test machine" programs "$here/programs.sh"
step "the machine's IORT" iort iort

step "building the kernel (bench, series)" bench-series build series "$TREE"
step "building the kernel (bench, base)" bench-base build base "$BASE" ARM_SMMU_V3_IOMMUFD
step "counting: series" bench-count-series count series map invalidate events
step "counting: base" bench-count-base count base map
kernels=("series=$LOG/vm-bench-series" "base=$LOG/vm-bench-base")
if [ -n "${PEER:-}" ]; then
	[ -d "$out/peer-$PEER" ] ||
		step "Debian's linux-source-$PEER" bench-peer-source peer_source
	step "building the kernel (bench, $PEER)" bench-peer build "$PEER" "$out/peer-$PEER"
	step "counting: $PEER" bench-count-peer count "$PEER" map invalidate events
	kernels+=("$PEER=$LOG/vm-bench-$PEER")
fi

"$here/bench.py" report "$out/bench.json" "${kernels[@]}" >"$out/bench.txt"
if [ "${1:-}" = goals ]; then
	"$here/bench.py" goals "$out/bench.json" >>"$results"
	exit
fi
for kernel in "${kernels[@]}"; do
	name=${kernel%%=*}
	if [ -n "${PROFILE:-}" ] && [ "$name" != base ]; then
		step "stepping through $PROFILE commands: $name" "bench-profile-$name" \
			profile "$name" "$PROFILE"
		{
			echo "$name: an array of $PROFILE commands, instructions and calls by function"
			cat "$out/profile-$name-$PROFILE.txt"
			echo
		} >>"$out/bench.txt"
	fi
done
cat "$out/bench.txt"
"$here/bench.py" plot "$out/bench.json" "$out/bench.svg"
say "also in $out: bench.json, bench.txt, bench.svg"
