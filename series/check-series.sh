#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2317 # the functions are called through step
# Do the exported patches make of the base what is built and tested? Applies
# $B/patches with git am to the base, compares every file with $B/linux, reverts
# all and compares with the base, runs checkpatch on each patch. With --build
# also builds drivers/iommu after each patch, for arm64 and for x86_64.
#
# Another base: SOURCE_TARBALL=linux-6.12.y.tar.xz B=/somewhere make check-series
. "$(dirname "$0")/lib.sh"

repo=$B/check-series		# the base with a git repository in it
NEXT="make check-series"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_COMMITTER_NAME=series GIT_COMMITTER_EMAIL=series
export GIT_AUTHOR_NAME=series GIT_AUTHOR_EMAIL=series

build=
case ${1:-} in
--build) build=1 ;;
'') ;;
*) die "usage: check-series.sh [--build]" ;;
esac
mapfile -t patches < <(find "$B/patches" -name '*.patch' ! -name '0000-*' | sort)
[ ${#patches[@]} != 0 ] || die "no patches there: run 'make patches'"
[ -d "$TREE" ] || die "no $TREE there: run 'make tree'"

in_repo() { git -C "$repo" "$@"; }
mapfile -t ours < <({ overlay_files | cut -f2; hooked_files; } | sort -u)

# The whole tree is there, so that a new file that the base has would be seen;
# git knows of the files that the series edits. It replaces files, and never
# writes into them, so they can be links to the base's.
prepare() {
	local f id

	id=$(cat "$B/base.id"; hooked_files)
	if [ "$(cat "$repo.id" 2>/dev/null)" = "$id" ]; then
		rm -rf "$repo/.git/rebase-apply" "$repo/.git/sequencer"
		in_repo checkout -q -f -B series base
		return
	fi
	rm -rf "$repo" "$repo.id"
	mkdir "$repo"
	cp -al "$BASE/." "$repo"
	in_repo init -q -b base
	in_repo config gc.auto 0
	hooked_files | while read -r f; do
		if [ -e "$BASE/$f" ]; then echo "$f"; fi
	done | in_repo add -f --pathspec-from-file=-
	in_repo commit -q -m base
	in_repo checkout -q -b series
	echo "$id" >"$repo.id"
}

apply() { in_repo am -q --whitespace=error "${patches[@]}"; }

same_as_built() {
	local f status=0

	for f in "${ours[@]}"; do
		cmp "$repo/$f" "$TREE/$f" || status=1
	done
	# Nothing else either
	diff <(printf '%s\n' "${ours[@]}") \
		<(in_repo diff --no-renames --name-only base series | sort) || status=1
	return "$status"
}

revert() {
	local f status=0

	in_repo checkout -q -B reverted series
	in_repo revert --no-edit base..series >/dev/null
	in_repo diff --quiet base || { echo "the reverts leave something"; status=1; }
	for f in "${ours[@]}"; do
		if [ -e "$BASE/$f" ]; then
			cmp "$repo/$f" "$BASE/$f" || status=1
		elif [ -e "$repo/$f" ]; then
			echo "$f is still there"
			status=1
		fi
	done
	in_repo checkout -q series
	return "$status"
}

# Without GIT_DIR checkpatch looks up licences with a script that needs more
checkpatch() {
	local p files status=0

	cd "$repo"
	for p in "${patches[@]}"; do
		mapfile -t files < <(sed -n 's,^+++ b/,,p' "$p")
		GIT_DIR=/nonexistent perl scripts/checkpatch.pl -q --strict --terse \
			--show-types --no-summary --ignore "$(checkpatch_ignore "${files[@]}")" \
			"$p" || status=1
	done
	return "$status"
}

# A fragment of a kernel's configuration, without what this step doesn't know
configure() {
	local out=$1

	make -C "$repo" O="$out" "${arch[@]}" KCONFIG_ALLCONFIG="$2" allnoconfig
}

# What the files of the series use of each other must be in what was built
linked() {
	local out=$1 nm=$2 lost

	lost=$(comm -23 \
		<("$nm" "$out/drivers/iommu/built-in.a" 2>/dev/null | sed -n 's/^ *U //p' |
			grep -E '^_*(iommufd|arm_smmu|mock_viommu)_' | sort -u) \
		<("$nm" "$out/drivers/iommu/built-in.a" 2>/dev/null |
			sed -n 's/^[0-9a-f]* [A-TV-Za-z] //p' | sort -u))
	[ -z "$lost" ] || { printf 'undefined: %s\n' "$lost"; return 1; }
}

# build_step ARCH COMPILER-PREFIX FRAGMENT
build_step() {
	local out=$B/check-series-$1 cc=${2}gcc arch

	command -v ccache >/dev/null && cc="ccache $cc"
	mkdir -p "$out"
	arch=(ARCH="$1" CROSS_COMPILE="$2" CC="$cc" -j"$JOBS")
	unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
	configure "$out" "$3" && make -C "$repo" O="$out" "${arch[@]}" \
		KCFLAGS=-Werror drivers/iommu/ && linked "$out" "${2}nm"
}

step "the base in a git repository" series-prepare prepare
step "git am" series-am apply
step "comparing with $TREE" series-same same_as_built
step "reverting" series-revert revert
failed=0
try "checkpatch --strict" series-checkpatch checkpatch
[ "$step_status" = 0 ] || failed=1

if [ -n "$build" ]; then
	NEXT="make check-series BUILD=1"
	x86=
	[ "$(uname -m)" = x86_64 ] || x86=x86_64-linux-gnu-
	fragments=$TOP/tools/testing/viommu
	n=0
	for commit in $(in_repo rev-list --reverse base..series); do
		n=$((n + 1))
		in_repo checkout -q "$commit"
		say "$n: $(in_repo log -1 --format=%s)"
		step "arm64" "series-build-$n-arm64" build_step arm64 "$CROSS_COMPILE" \
			"$fragments/vm.config"
		step "x86_64" "series-build-$n-x86" build_step x86_64 "$x86" \
			"$fragments/x86.config"
	done
	in_repo checkout -q series
fi
exit $failed
