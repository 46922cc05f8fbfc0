#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# shellcheck disable=SC2317 # the functions are called through step
# What can be said of the series without running it; result lines (see
# results.py) are appended to the file named by the argument.
. "$(dirname "$0")/lib.sh"
needs_series
. "$(dirname "$0")/vmlib.sh"

results=${1:-$LOG/static.results}
failed=0 ended=
NEXT="make check"
# What was not looked at must not pass
trap '[ -n "$ended" ] || printf "fail\tstatic\tall checks made\t%s\n" "$0" >>"$results"' EXIT

# check NAME LOG COMMAND...: a step whose output must have no complaint
check() {
	try "$@"
	if [ "$step_status" = 0 ]; then
		printf 'pass\tstatic\t%s\t\n' "$1" >>"$results"
	else
		printf 'fail\tstatic\t%s\t%s\n' "$1" "$LOG/$2.log" >>"$results"
		failed=1
	fi
}

mapfile -t ours < <(overlay_files | cut -f2)
mapfile -t c_files < <(printf '%s\n' "${ours[@]}" | grep '\.[ch]$')
mapfile -t doc_files < <(printf '%s\n' "${c_files[@]}" | grep -v '^tools/')
# quiet COMMAND...: fails too when the command says something
quiet() {
	local said status=0

	said=$("$@" 2>&1) || status=$?
	[ -z "$said" ] || printf '%s\n' "$said"
	[ "$status" = 0 ] && [ -z "$said" ]
}

checkpatch() {
	quiet scripts/checkpatch.pl -q --strict --terse --showfile --show-types \
		--no-summary "$@"
}

checkpatch_files() {
	local status=0 f ignore files
	local -A kinds=()

	cd "$TREE" || return
	for f in "${c_files[@]}"; do
		kinds[$(checkpatch_ignore "$f")]+=" $f"
	done
	for ignore in "${!kinds[@]}"; do
		read -ra files <<<"${kinds[$ignore]}"
		checkpatch --ignore "$ignore" -f "${files[@]}" || status=1
	done
	return "$status"
}

# A hook is a commit message, without its author, and a diff
checkpatch_hooks() {
	local status=0 p ignore files

	cd "$TREE" || return
	for p in $(hook_names); do
		sed '0,\,^--- a/,s,,---\n\n&,' "$PATCHES/$p" >"$B/hook.patch"
		mapfile -t files < <(sed -n 's,^+++ b/,,p' "$PATCHES/$p")
		ignore=$(checkpatch_ignore "${files[@]}"),MISSING_SIGN_OFF
		checkpatch --ignore "$ignore" "$B/hook.patch" ||
			{ echo "in $p"; status=1; }
		sed -n '1s/^Subject: .*: ./ok/p' "$PATCHES/$p" | grep -q ok ||
			{ echo "$p: the first line is no subject"; status=1; }
		! grep -qE '^(From|Signed-off-by):' "$PATCHES/$p" ||
			{ echo "$p: has an author"; status=1; }
	done
	return "$status"
}

doc_warnings() {
	scripts/kernel-doc -none -Wall "$1" 2>&1 | sed 's/^[^:]*:[0-9]*: //' | sort -u
}
# Of our files none, of those that we hook none but the base's
kernel_doc() {
	local f bad

	cd "$TREE"
	bad=$(hooked_files | grep '\.[ch]$' | while read -r f; do
		comm -13 <(doc_warnings "$BASE/$f") <(doc_warnings "$f") | sed "s,^,$f: ,"
	done)
	printf '%s' "$bad"
	quiet scripts/kernel-doc -none -Wall "${doc_files[@]}" && [ -z "$bad" ]
}

# W=1 and sparse on the directories with files of ours or hooked ones: no warning from a
# file of ours, and from a file that we hook none but those that the base gives by itself
compiler() {
	local out=$B/arm64-w1 dirs=(drivers/iommu/ drivers/acpi/arm64/)

	mkdir -p "$out"
	(cd "$out" && rm -rf "${dirs[@]}") &&
	kmake "$out" KCONFIG_ALLCONFIG="$TOP/tools/testing/viommu/vm.config" allnoconfig &&
	kmake "$out" W=1 C=1 "${dirs[@]}"
}
no_warnings() {
	local log=$LOG/w1-build.log

	compiler >"$log" 2>&1 || { grep -A5 'error:' "$log"; return 1; }
	our_warnings "$log"
}

# As a C90 user of the header would see it, alone
uapi_alone() {
	local h

	for h in linux/iommufd.h linux/iommufd_viommu.h; do
		echo "#include <$h>" | quiet "${CROSS_COMPILE}gcc" -x c -std=c90 -Wall -Wextra \
			-Werror -fsyntax-only -I"$B/headers/include" - || return 1
	done
}

scripts() {
	cd "$TOP"
	shellcheck -x series/*.sh tools/testing/viommu/*.sh tools/testing/viommu/fuzz/*.sh \
		tools/iommu/*.sh .ci/run
	python3 - tools/testing/viommu/*.py tools/iommu/*.py <<-'EOP'
		import sys
		for path in sys.argv[1:]:
		    compile(open(path).read(), path, "exec")
	EOP
}

# Every file of the series has an entry in MAINTAINERS
maintainers() {
	printf '%s\n' "${ours[@]}" | python3 -c '
import fnmatch, sys
patterns = [line.split()[1] for line in open(sys.argv[1]) if line.startswith("F:")]
bad = [path for path in sys.stdin.read().split()
       if not any(fnmatch.fnmatchcase(path, p + "*" if p.endswith("/") else p) for p in patterns)]
print("\n".join(bad))
sys.exit(bool(bad))' "$TOP/MAINTAINERS"
}

spdx() {
	local bad

	bad=$(cd "$TOP" && git ls-files -z | xargs -0 grep -L SPDX-License-Identifier) || true
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

check "an SPDX tag in every file" spdx spdx
check "checkpatch --strict, our files" checkpatch-files checkpatch_files
check "checkpatch --strict, the hooks" checkpatch-hooks checkpatch_hooks
check "kernel-doc" kernel-doc kernel_doc
check "gcc W=1 and sparse" w1 no_warnings
check "uAPI headers alone" uapi-alone uapi_alone
check "MAINTAINERS" maintainers maintainers
check "a test for each class of bugs" classes "$here/classes.py" "$TREE"
check "shellcheck, python" scripts scripts
ended=1
exit $failed
