#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Run the sessions in the given files: a line "$ command" and what the command
# prints, up to an empty line or the next command. A page of the manual will do
# as a file, so that its examples stay true. Prints TAP.
#
# Usage: smmu-decode-test.sh PROGRAM FILE...
set -u

program=$1
shift
smmu-decode() { "$program" "$@"; }
n=0
failed=0

# run COMMAND EXPECTED
run() {
	local seen

	n=$((n + 1))
	seen=$(eval "$1" 2>&1)
	if [ "$seen" = "$2" ]; then
		echo "ok $n $1"
		return
	fi
	echo "not ok $n $1"
	diff <(echo "$2") <(echo "$seen") | sed 's/^/# /'
	failed=1
}

for file in "$@"; do
	command=
	expected=
	while IFS= read -r line || [ -n "$line" ]; do
		case $file in
		*.[1-9])
			line=${line//\\-/-}
			line=${line//\\e/\\}
			case $line in .*) line= ;; esac
			;;
		esac
		case $line in
		'$ '* | '')
			[ -z "$command" ] || run "$command" "${expected%$'\n'}"
			command=${line#'$ '}
			expected=
			;;
		*)
			expected+=$line$'\n'
			;;
		esac
	done <"$file"
	[ -z "$command" ] || run "$command" "${expected%$'\n'}"
done
echo "1..$n"
[ "$n" != 0 ] && [ "$failed" = 0 ]
