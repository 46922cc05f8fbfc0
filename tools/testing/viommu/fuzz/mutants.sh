#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# mutants.sh LIST OUT SRC COMMAND...: break SRC/arm-smmu-v3-FILE.c as each line of
# LIST says, in OUT, and run COMMAND, which is to build OUT/check. A mutant that
# the checks do not notice is a failure; TAP on stdout.
list=$1 out=$2 src=$3
shift 3

n=0 failed=0
echo "TAP version 13"
while IFS=$'\t' read -r file expression; do
	case $file in '' | '#'*) continue ;; esac
	n=$((n + 1))
	name="$file: $expression"
	rm -rf "$out"
	mkdir -p "$out/src"
	cp "$src"/* "$out/src/"
	sed -i "$expression" "$out/src/arm-smmu-v3-$file.c"
	if cmp -s "$src/arm-smmu-v3-$file.c" "$out/src/arm-smmu-v3-$file.c"; then
		verdict="not ok" why=" # matches nothing"
	elif ! "$@" >"$out/log" 2>&1; then
		verdict="not ok" why=" # does not build: $(grep -m1 error: "$out/log")"
	elif "$out/check" 0 >"$out/log" 2>&1; then
		verdict="not ok" why=" # not noticed"
	else
		verdict=ok why=" # $(grep -c '^not ok.*arm-smmu' "$out/log") tests"
	fi
	[ "$verdict" = ok ] || failed=1
	echo "$verdict $n $name$why"
done <"$list"
echo "1..$n"
exit $failed
