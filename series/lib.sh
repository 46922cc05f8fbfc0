# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034 # used by the scripts that include this
# Shared by the scripts of the series: paths and the list of overlay files, on top of what
# the scripts of the tests share.
# Usage: . "$(dirname "$0")/lib.sh"

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
B=${B:-$TOP/build}
[[ $B = /* ]] || B=$TOP/$B
mkdir -p "$B/log"
B=$(cd "$B" && pwd)

BASE=$B/base			# the unpatched source package
TREE=$B/linux			# base + overlay + hooks, what gets built
HOOKS=$B/hooks			# a quilt directory with just the hooked files
SYNCED=$B/synced		# TREE's files of ours as the last sync left them
PATCHES=$TOP/patches/6.12
SOURCE_PACKAGE=${SOURCE_PACKAGE:-linux-source-6.12}
LOG=$B/log			# of the steps
SERIES=$TOP/series
# The clone may be another user's, as in a container
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$TOP

. "$TOP/tools/testing/viommu/lib.sh"

# kernel_version MAKEFILE: of the kernel that it is the top Makefile of
kernel_version() {
	awk '/^(VERSION|PATCHLEVEL|SUBLEVEL) =/ { v = v s $3; s = "." } END { print v }' "$1"
}

# Overlay files as "path in the repository<TAB>path in the kernel tree". All are
# at their in-tree path but for the series' Kconfig.
overlay_files() {
	(
		cd "$TOP"
		{
			# What git ignores is no source; without git there is none
			git ls-files -co --exclude-standard drivers include tools Documentation \
				2>/dev/null ||
				find drivers include tools Documentation -type f 2>/dev/null || true
		} | while read -r f; do
			case $f in
			*.o | *~ | *.orig | *.rej | *.pyc | *.sw?) ;;
			*) [ ! -f "$f" ] || printf '%s\t%s\n' "$f" "$f" ;;
			esac
		done | sort -u
		[ ! -f Kconfig ] || printf 'Kconfig\tdrivers/iommu/Kconfig.viommu\n'
	)
}

# The in-tree path's place in the repository
overlay_source() {
	case $1 in
	drivers/iommu/Kconfig.viommu) echo Kconfig ;;
	*) echo "$1" ;;
	esac
}

hook_names() {
	[ -f "$PATCHES/series" ] || return 0
	sed -e 's/#.*//' -e '/^[[:space:]]*$/d' -e 's/[[:space:]].*//' "$PATCHES/series"
}

hooked_files() {
	local p

	for p in $(hook_names); do
		sed -n 's,^+++ b/\([^[:space:]]*\).*,\1,p' "$PATCHES/$p"
	done | sort -u
}

quilt_in_hooks() {
	(
		cd "$HOOKS"
		QUILT_PATCHES=$PATCHES QUILT_PC=.pc QUILTRC=- \
		QUILT_REFRESH_ARGS="-p ab --no-timestamps --no-index" \
		QUILT_PUSH_ARGS="" QUILT_DIFF_ARGS="-p ab" quilt "$@"
	)
}

# Fails if a file of ours in TREE was edited since the last sync, unless FORCE=1
refuse_edited() {
	local edited

	[ -d "$SYNCED" ] || return 0
	edited=$(cd "$SYNCED" && find . -type f -printf '%P\n' | while read -r f; do
		cmp -s "$f" "$TREE/$f" || echo "$f"
	done)
	[ -n "$edited" ] && [ -z "${FORCE:-}" ] || return 0
	printf '\t%s\n' "${edited//$'\n'/$'\n\t'}" >&2
	die "edited in $TREE since the last sync: run 'make refresh', or 'make tree FORCE=1' to drop the edits"
}

# HOOKS := the hooked files, hooks applied. Fails with the name of a hook that
# does not apply.
make_hooks() {
	local f

	rm -rf "$HOOKS"
	mkdir -p "$HOOKS"
	for f in $(hooked_files); do
		mkdir -p "$HOOKS/$(dirname "$f")"
		[ ! -f "$BASE/$f" ] || cp -p "$BASE/$f" "$HOOKS/$f"
	done
	[ -n "$(hook_names)" ] || return 0
	quilt_in_hooks push -a --fuzz=0 >"$B/hooks.log" 2>&1 || {
		tail -n 20 "$B/hooks.log" >&2
		die "a hook does not apply, see $B/hooks.log"
	}
}

# What checkpatch --strict says that does not hold for a file: FILE... gives the
# value for --ignore.
# - New files need no entry in the kernel's MAINTAINERS, and a Kconfig file names
#   the one it sources.
# - drivers/iommu breaks long calls behind the parenthesis; a power of two is no
#   bit; locks are described in kernel-doc, where checkpatch does not look.
# - TRACE_EVENT() has its own layout.
# - A test's macros evaluate what they are given. ASSERT_EQ() of the kselftest
#   harness needs braces around it, and FIXTURE_DATA() is a type.
# - ACPICA has a spacing of its own, and scripts repeat words.
checkpatch_ignore() {
	local f

	printf FILE_PATH_CHANGES,EMBEDDED_FILENAME,OPEN_ENDED_LINE,BIT_MACRO,UNCOMMENTED_DEFINITION
	for f; do
		case $f in
		include/acpi/*) echo SPACING ;;
		*trace.h) echo PARENTHESIS_ALIGNMENT SPACING ;;
		*-test.c) echo MACRO_ARG_REUSE ;;
		tools/testing/selftests/*) echo BRACES SPACING MACRO_ARG_REUSE MACRO_ARG_PRECEDENCE ;;
		*.[ch]) ;;
		tools/*) echo REPEATED_WORD LONG_LINE_STRING ;;
		esac
	done | tr ' ' '\n' | sort -u | sed 's/^/,/' | tr -d '\n'
}
