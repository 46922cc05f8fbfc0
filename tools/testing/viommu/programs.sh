#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Build what runs in the test machine, static and for arm64, into $B/vm/bin:
# init, the kselftests (the base's own and the series'), the programs of tools/iommu.
# With arguments, only those of this directory that they name.
. "$(dirname "$0")/lib.sh"

here=$TOP/tools/testing/viommu
bin=$B/vm/bin
selftests=$TREE/tools/testing/selftests
mkdir -p "$bin"

# compile OUT SOURCE FLAG...: only when one of OUT's inputs is newer
compile() {
	local out=$1 src=$2 deps newer=1

	deps=$bin/.$(basename "$1").d
	shift 2
	if [ -f "$out" ] && [ -f "$deps" ]; then
		newer=$(sed -e 's/^[^:]*://' -e 's/\\$//' "$deps" | xargs -n 1 |
			while read -r f; do
				if [ ! -e "$f" ] || [ "$f" -nt "$out" ]; then echo "$f"; fi
			done)
	fi
	[ -n "$newer" ] || [ "$0" -nt "$out" ] || return 0
	echo "CC $src"
	# shellcheck disable=SC2086 # CC may have ccache in front
	$CC -static -O2 -g -Wall -MMD -MF "$deps" -MT x -o "$out.tmp" "$@" "$src" -lpthread
	mv "$out.tmp" "$out"
}

own() {
	compile "$bin/$1" "$here/$1.c" -D_GNU_SOURCE= -Wextra -Werror
}
if [ $# != 0 ]; then
	for name; do own "$name"; done
	exit
fi

own init
for src in "$selftests"/iommu/*.c; do
	name=$(basename "$src" .c)
	# The base's gives up after 400 points of failure, and says that a limit like this
	# may have to grow: with kmemleak each allocation is two of them
	if [ "$name" = iommufd_fail_nth ]; then
		mkdir -p "$bin/.src"
		sed 's/ASSERT_GT(400, nth_state/ASSERT_GT(2000, nth_state/' "$src" \
			>"$bin/.src/$name.new"
		cmp -s "$bin/.src/$name.new" "$bin/.src/$name.c" ||
			mv "$bin/.src/$name.new" "$bin/.src/$name.c"
		src=$bin/.src/$name.c
	fi
	compile "$bin/$name" "$src" -D_GNU_SOURCE= -include "$here/slow.h" \
		-Wno-unused-function -I"$selftests/iommu" \
		-I"$B/headers/include" -isystem "$selftests/../../include" -I"$selftests"
done

if [ -f "$TREE/tools/iommu/Makefile" ]; then
	env -u MAKEFLAGS make -C "$TREE/tools/iommu" O="$B/tools/iommu" \
		CROSS_COMPILE="$CROSS_COMPILE" CC="$CC" UAPI="$B/headers/include" all
	find "$B/tools/iommu" -maxdepth 1 -type f -perm -u+x -exec cp -u {} "$bin/" \;
fi

# The VM runs nothing that is not for it
for program in "$bin"/*; do
	file=$(od -An -tx1 -j18 -N2 "$program" | tr -d ' \n')
	[ "$file" = b700 ] || die "$program is not an arm64 program"
done
