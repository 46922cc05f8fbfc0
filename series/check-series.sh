#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2317 # the functions are called through step
# Do the exported patches make of the base what is built and tested? Applies
# $B/patches with git am to the base, compares every file with $B/linux, reverts
# all and compares with the base, runs checkpatch on each patch.
#	check-series.sh [--build] [--fit VERSION...|--fit all]
# --fit: do the patches fit these other kernels of Debian's too (see bases.sh)?
# --build: does drivers/iommu build after each patch, for arm64 with and without
# tests and for x86_64 (HOW="arm64 plain x86"; FROM=N begins with the Nth), and do
# kernels link at the end? And do the drivers build on the oldest kernel of Debian's?
# An hour on two CPUs.
#
# Any other base: SOURCE_TARBALL=linux-6.12.y.tar.xz B=/somewhere make check-series
. "$(dirname "$0")/lib.sh"

repo=$B/check-series		# the base with a git repository in it
NEXT="make check-series"
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_COMMITTER_NAME=series GIT_COMMITTER_EMAIL=series
export GIT_AUTHOR_NAME=series GIT_AUTHOR_EMAIL=series

build=
fit=()
while [ $# != 0 ]; do
	case $1 in
	--build) build=1 ;;
	--fit) shift; fit=("$@"); break ;;
	*) die "usage: check-series.sh [--build] [--fit VERSION...|--fit all]" ;;
	esac
	shift
done
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

# The series edits our files and no others
nothing_else() {
	diff <(printf '%s\n' "${ours[@]}") \
		<(in_repo diff --no-renames --name-only base series | sort)
}

same_as_built() {
	local f status=0

	for f in "${ours[@]}"; do
		cmp "$repo/$f" "$TREE/$f" || status=1
	done
	nothing_else || status=1
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

# Another kernel, of which $B/bases has what the series edits and a list of all
# files. The outcome must be what 'make tree' would make of it: the new files, and
# the hooks by patch(1).
fits() {
	local from=$B/bases/$1 repo=$B/check-series-fit hooks=$B/check-series-fit.hooks f p status=0

	if comm -12 <(sort "$from.names") <(overlay_files | cut -f2 | sort) | grep .; then
		echo "that base has these files already"
		return 1
	fi
	rm -rf "$repo" "$hooks"
	mkdir -p "$repo" "$hooks"
	in_repo init -q -b base
	hooked_files | while read -r f; do
		if [ -e "$from/$f" ]; then echo "$f"; fi
	done | tar -c -C "$from" -T - | tee >(tar -x -C "$hooks") | tar -x -C "$repo"
	wait
	in_repo add -A -f .
	in_repo commit -q -m base
	in_repo checkout -q -b series
	apply || return
	nothing_else || status=1

	for p in $(hook_names); do
		patch -d "$hooks" -p1 --fuzz=0 --no-backup-if-mismatch -s <"$PATCHES/$p" ||
			status=1
	done
	for f in "${ours[@]}"; do
		if [ -e "$hooks/$f" ]; then
			cmp "$repo/$f" "$hooks/$f" || status=1
		else
			cmp "$repo/$f" "$TREE/$f" || status=1
		fi
	done

	in_repo revert --no-edit base..series >/dev/null
	in_repo diff --quiet base || { echo "the reverts leave something"; status=1; }
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

# build_step NAME ARCH COMPILER-PREFIX FRAGMENT: configuring takes as long as
# building, and is not needed when no Kconfig has changed. What the fragment has
# and the step does not know yet is left out.
build_step() {
	local out=$B/check-series-$1 arch=$2 prefix=$3 fragment=$4 cc id

	shift 4

	cc=${prefix}gcc
	command -v ccache >/dev/null && cc="ccache $cc"
	arch=(ARCH="$arch" CROSS_COMPILE="$prefix" CC="$cc" -j"$JOBS")
	unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
	mkdir -p "$out"
	id=$(cd "$repo" && cat "$fragment" drivers/iommu/Kconfig* drivers/iommu/*/Kconfig | sha256sum)
	if [ "$(cat "$out/config.id" 2>/dev/null)" != "$id" ]; then
		make -C "$repo" O="$out" "${arch[@]}" KCONFIG_ALLCONFIG="$fragment" allnoconfig
		echo "$id" >"$out/config.id"
	fi
	make -C "$repo" O="$out" "${arch[@]}" KCFLAGS=-Werror drivers/iommu/ "$@"
	linked "$out" "${prefix}nm"
}

# What a distribution does with the patches, on a kernel that is not the one they were
# made on. patch(1) replaces files too.
built_on() {
	local repo=$B/check-series-on p

	rm -rf "$repo"
	cp -al "$B/bases/$1.whole" "$repo"
	for p in "${patches[@]}"; do
		patch -d "$repo" -p1 --fuzz=0 --no-backup-if-mismatch -s <"$p"
	done
	build_step on arm64 "$CROSS_COMPILE" "$TOP/tools/testing/viommu/vm.config" \
		drivers/acpi/arm64/
}

# touches PATTERN...: does the commit that is checked out edit such files?
touches() { [ -n "$(in_repo diff --name-only HEAD^ HEAD -- "$@")" ]; }

# The end is what is in $B/linux, so that is where whole kernels are linked
build_steps() {
	local n=0 commit how v x86="" fragments=$TOP/tools/testing/viommu

	[ "$(uname -m)" = x86_64 ] || x86=x86_64-linux-gnu-
	# Without KUnit, the mock driver and fault injection: what a distribution ships
	grep -v -E 'KUNIT|FAULT|FAILSLAB|IOMMUFD_TEST' "$fragments/vm.config" >"$B/check-series.plain"
	for commit in $(in_repo rev-list --reverse base..series); do
		n=$((n + 1))
		[ "$n" -ge "${FROM:-1}" ] || continue
		in_repo checkout -q "$commit"
		say "$n: $(in_repo log -1 --format=%s)"
		touches drivers include || continue	# nothing of it is built
		for how in ${HOW:-arm64 plain x86}; do
			case $how in
			arm64) step "arm64" "series-build-$n-arm64" build_step arm64 arm64 \
				"$CROSS_COMPILE" "$fragments/vm.config" ;;
			plain) step "arm64, no tests" "series-build-$n-plain" build_step plain arm64 \
				"$CROSS_COMPILE" "$B/check-series.plain" ;;
			# Where there is no SMMU
			x86) ! touches drivers include ':!drivers/iommu/arm' ||
				step "x86_64" "series-build-$n-x86" build_step x86 x86_64 \
					"$x86" "$fragments/x86.config" ;;
			esac
		done
	done
	in_repo checkout -q series
	"$TOP/tools/testing/viommu/kernel.sh"
	"$TOP/series/x86.sh"
	v=$("$TOP/series/bases.sh" --whole oldest)
	step "$v with the series, arm64" series-build-on built_on "$v"
}

step "the base in a git repository" series-prepare prepare
step "git am" series-am apply
step "comparing with $TREE" series-same same_as_built
step "reverting" series-revert revert
failed=0
try "checkpatch --strict" series-checkpatch checkpatch
[ "$step_status" = 0 ] || failed=1

if [ ${#fit[@]} != 0 ]; then
	[ "${fit[*]}" != all ] || fit=()
	"$TOP/series/bases.sh" "${fit[@]}" >"$B/fit.list"
	mapfile -t fit <"$B/fit.list"
	for v in "${fit[@]}"; do
		try "git am on $v ($(cat "$B/bases/$v/version"))" "series-fit-$v" fits "$v"
		[ "$step_status" = 0 ] || failed=1
	done
fi
if [ -n "$build" ]; then
	NEXT="make check-series BUILD=1"
	build_steps
fi
exit $failed
