#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Is every test that README.viommu has for a class of bugs worth its line? Two kernels
# with all the bugs of the file "bugs" are built, the second with KASAN, and booted once
# for each bug, with that one switched on, to run the tests that are to notice it. Before
# that, once without a bug, all of them must pass. ONLY="7 12" is for these bugs alone;
# results of "bugs" go to the file that "results" names, or are printed.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/vmlib.sh"

[ -n "${results:-}" ] || { alone=1; prepare bugs; }
list=$here/bugs
dir=$B/bugs
plan=$dir/plan
mkdir -p "$dir"

# What is to be run, and the tree with the bugs: what they change is written when it
# changes, all else is links
broken_tree() {
	"$here/bugs.py" plan "$list" "$TREE" >"$plan"
	"$here/bugs.py" apply "$list" "$TREE" "$dir/changed"
	rsync -a --delete --link-dest="$TREE" --exclude=/.git "$TREE/" "$dir/linux/"
	rsync -a "$dir/changed/" "$dir/linux/"
}

# noticed NUMBER SUITE TEST: TEST's line of what the boot has shown
noticed() {
	local verdict=no

	if awk -F '\t' -v suite="$2" -v test="$3" '
		$1 == "fail" && ($2 == suite ||
			$2 ~ "/kernel-log$" && (suite ~ "kunit" || index($3, test ":") == 1)) {
			bad = 1
		}
		END { exit !bad }' "$work/boot"; then
		verdict=yes
	fi
	printf '%s\t%s\t%s\n' "$1" "$3" "$verdict" >>"$work/ran"
}

# One boot for each test of KUnit
run_kunit() {
	local number=$1 test=$2 suite=$3 glob=$4

	: >"$VM/$label-kunit.manifest"
	boot "$label-kunit" "$VM/$label-kunit.manifest" -c 4 -t 120 -k "$image" \
		-a kunit.enable=1 -a "kunit.filter_glob=$glob" -a "viommu_bug=$number" \
		>/dev/null 2>&1 || true
	{
		"$here/results.py" kunit kunit "$LOG/vm-$label-kunit.kernel" <(echo "$suite")
		"$here/results.py" splats kunit "$LOG/vm-$label-kunit.kernel"
	} >"$work/boot"
	noticed "$number" "kunit/$suite" "$test"
}

# run_programs NUMBER NAME OPTION...: the others together. If the machine ends before they
# have all begun, again with the rest of them.
run_programs() {
	local number=$1 vm=$label-$2 name seconds begun

	shift 2
	while [ -s "$VM/$vm.manifest" ]; do
		seconds=$(awk '{ s += $2 } END { print s + 60 }' "$VM/$vm.manifest")
		boot "$vm" "$VM/$vm.manifest" -c 4 -t "$seconds" -k "$image" \
			-a "viommu_bug=$number" "$@" >/dev/null 2>&1 || true
		{
			"$here/results.py" programs p "$LOG/vm-$vm.out" "$VM/$vm.manifest"
			"$here/results.py" splats p "$LOG/vm-$vm.kernel"
		} >"$work/boot"
		begun=0
		: >"$work/rest"
		while read -r name seconds rest; do
			if grep -qa "@viommu begin $name\$" "$LOG/vm-$vm.out"; then
				noticed "$number" "p/$name" "$name"
				begun=$((begun + 1))
			else
				echo "$name $seconds $rest" >>"$work/rest"
			fi
		done <"$VM/$vm.manifest"
		# What does not even boot was noticed, whoever was to come first
		if [ "$begun" = 0 ]; then
			awk -v n="$number" '{ print n "\t" $1 "\tyes" }' "$work/rest" >>"$work/ran"
			break
		fi
		mv "$work/rest" "$VM/$vm.manifest"
	done
}

# run NUMBER KASAN: the tests for a bug
run() {
	local number=$1 test how words

	image=$B/bugs-plain/arch/arm64/boot/Image
	[ "$2" = - ] || image=$B/bugs-kasan/arch/arm64/boot/Image
	: >"$VM/$label-programs.manifest"
	: >"$VM/$label-lifecycle.manifest"
	while IFS=$'\t' read -r test how; do
		read -ra words <<<"$how"
		case ${words[0]} in
		kunit) run_kunit "$number" "$test" "${words[@]:1}" ;;
		viommu-lifecycle) echo "$how" >>"$VM/$label-lifecycle.manifest" ;;
		*) echo "$how" >>"$VM/$label-programs.manifest" ;;
		esac
	done
	run_programs "$number" programs
	run_programs "$number" lifecycle -- "${lifecycle[@]}"
}

# worker K N: every Nth bug, one after the other
worker() {
	local number numbers slow

	work=$dir/worker$1
	label=bugs$1
	mkdir -p "$work"
	: >"$work/ran"
	mapfile -t numbers < <(awk -v k="$1" -v n="$2" 'NR % n == k' "$dir/numbers")
	for number in "${numbers[@]}"; do
		slow=$(awk -F '\t' -v n="$number" '$1 == n { print $2; exit }' "$plan")
		awk -F '\t' -v n="$number" '$1 == n { print $4 "\t" $5 }' "$plan" |
			run "$number" "$slow"
	done
}

# Each test once, on each of the kernels that it is to run on
without_bugs() {
	local slow

	work=$dir/worker
	label=bugs
	mkdir -p "$work"
	: >"$work/ran"
	for slow in - K; do
		awk -F '\t' -v s="$slow" '$2 == s && !($4 in seen) {
			seen[$4]; print $4 "\t" $5
		}' "$plan" | run 0 "$slow"
	done
	! grep $'\tyes$' "$work/ran"
}

with_bugs() {
	local k n pids=()

	n=$(nproc)
	echo "${ONLY:-$(cut -f1 "$plan" | uniq)}" | tr ' ' '\n' >"$dir/numbers"
	for ((k = 0; k < n; k++)); do
		worker "$k" "$n" &
		pids+=($!)
	done
	for k in "${pids[@]}"; do
		wait "$k"
	done
	for ((k = 0; k < n; k++)); do
		cat "$dir/worker$k/ran"
	done | sort -n >"$dir/ran"
}

must "a tree with bugs" bugs-tree broken_tree
export SOURCE_TREE=$dir/linux
must "kernel with bugs" kernel-bugs-plain "$here/kernel.sh" bugs-plain "$here/vm.config"
must "kernel with bugs and KASAN" kernel-bugs-kasan "$here/kernel.sh" bugs-kasan \
	"$here/vm.config" "$here/kasan.config"
must "the machine's IORT" iort iort -k "$B/bugs-plain/arch/arm64/boot/Image"
[ -n "${ONLY:-}" ] || may "all tests without a bug" bugs-none without_bugs
may "a boot for each bug" bugs with_bugs
"$here/bugs.py" judge "$list" "$TREE" "$dir/ran" >>"$results"
[ -z "${alone:-}" ] || finish
