# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034 # used by the scripts that include this
# What all scripts share: where things are, messages, steps, the kernel's make.
# Usage: . "$(dirname "$0")/lib.sh"
#
# The scripts run in two places. In the repository of the series, series/lib.sh says
# where things are, and the kernel is a patched copy of Debian's source. In a kernel tree
# with the series, without series/, that tree is the one to test; B=DIR says where to
# build, packages are not installed, and what is about patches is left out.
#
#	TOP	the root of either		B	where to build
#	TREE	the kernel's source		LOG	what the steps print
#	SERIES	series/, empty in a kernel tree

say() { printf '%s\n' "==> $*" >&2; }
die() { printf '%s\n' "error: $*" >&2; exit 1; }

if [ "${BASH_SOURCE[1]##*/}" != lib.sh ]; then
	TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
	if [ -f "$TOP/series/lib.sh" ]; then
		. "$TOP/series/lib.sh"		# which includes this
		return
	fi
	set -euo pipefail
	SERIES=
	[ -n "${B:-}" ] || die "where to build? Run B=DIR $0"
	mkdir -p "$B/log"
	B=$(cd "$B" && pwd)
	TREE=$TOP
	LOG=$B/log
fi
# For scripts that make no sense elsewhere
needs_series() {
	[ -n "$SERIES" ] || die "this takes the repository of the series, not a kernel tree"
}

# again TARGET: what to run once more after a failure
again() {
	if [ -n "$SERIES" ]; then echo "make $1"; else echo "B=$B $0"; fi
}

JOBS=${JOBS:-$(($(nproc) + 1))}
export LC_ALL=C
export CCACHE_BASEDIR=$B CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=time_macros

# The kernel's own make, for the arm64 build of the tree
CROSS_COMPILE=${CROSS_COMPILE:-aarch64-linux-gnu-}
if command -v ccache >/dev/null; then
	CC=${CC:-ccache ${CROSS_COMPILE}gcc}
else
	CC=${CC:-${CROSS_COMPILE}gcc}
fi
kmake() {
	local out=$1

	shift
	# Not the options and variables of the make that runs us
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES \
		make -C "$TREE" O="$out" ARCH=arm64 CROSS_COMPILE="$CROSS_COMPILE" \
		CC="$CC" -j"$JOBS" "$@"
}

# step NAME LOG COMMAND...: run a step with its output in a log and show that it
# lives. A failure says where to look and what to run next (NEXT), and ends the
# script; with try it is left in step_status. Neither may be called in a
# condition: bash would ignore 'set -e' in the command.
try() {
	local name=$1 log=$LOG/$2.log start=$SECONDS pid ticks=0

	shift 2
	step_status=0
	printf '==> %s ' "$name" >&2
	(set -e; "$@") >"$log" 2>&1 </dev/null &
	pid=$!
	trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		ticks=$((ticks + 1))
		[ $((ticks % 25)) != 0 ] || printf . >&2
	done
	wait "$pid" || step_status=$?
	trap - INT TERM
	if [ "$step_status" = 0 ]; then
		printf '(%d s)\n' $((SECONDS - start)) >&2
		return
	fi
	printf 'FAILED (%d s)\n' $((SECONDS - start)) >&2
	{
		grep -E '(error|Error|undefined reference)[: ]' "$log" | head -n 10 || true
		tail -n "${TAIL:-12}" "$log"
	} | cut -c1-300 | sed 's/^/    /' >&2
	printf '%s\n' "error: $name failed" "  log:  $log" >&2
	[ -z "${NEXT:-}" ] || printf '%s\n' "  next: $NEXT" >&2
}

step() {
	try "$@"
	[ "$step_status" = 0 ] || exit "$step_status"
}
