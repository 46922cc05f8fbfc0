#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Is every test that README.viommu has for a class of bugs worth its line? Two kernels
# with all the bugs of the file "bugs" are built, the second with KASAN, and booted once
# for each bug, with that one switched on, to run the tests that are to notice it. Before
# that, once without a bug, all of them must pass. ONLY="7 12" is for these bugs alone;
# results of "bugs" go to the file that "results" names, or are printed.
#
# A test that runs out of time has not noticed anything: the machine may have been busy.
# What hangs in the kernel is told from that by the kernel, whose panic names the test.
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

# boot_bug NAME SECONDS OPTION...: a boot with the bug; over is 1 if it took too long
boot_bug() {
	local name=$1 seconds=$2

	shift 2
	rm -f "$LOG/vm-$name.kernel"
	boot "$name" "$VM/$name.manifest" -c 4 -t "$seconds" -k "$image" \
		-a "viommu_bug=$number viommu_slow=$((3 * slow))" \
		-a "sysctl.kernel.hung_task_panic=1" \
		-a "sysctl.kernel.hung_task_timeout_secs=$((30 * slow))" \
		"$@" >/dev/null 2>"$work/said" || true
	over=$(grep -c "did not power off within" "$work/said" || true)
	# That QEMU can't be started is no kernel's fault
	[ -s "$LOG/vm-$name.kernel" ] || { cat "$work/said"; return 1; }
}

# noticed SUITE TEST: what the boot has shown of the TEST. That a kselftest, a case of
# KUnit, a program or the whole boot ran out of time is no more than "late".
noticed() {
	awk -F '\t' -v OFS='\t' -v n="$number" -v suite="$1" -v test="$2" -v over="$over" '
		$1 != "fail" { next }
		$2 ~ "/kernel-log$" {
			if (suite ~ /^kunit\// || index($3, test ":") == 1)
				yes = 1
			next
		}
		$2 != suite { next }
		$4 ~ /Test terminated by timeout|try timed out/ { late = 1; next }
		$3 == "end" && $4 ~ /^timeout/ { late = 1; next }
		# What is missing of one that was stopped
		over && (suite ~ /^kunit\// || $3 == "end") &&
			$4 ~ /did not (run|end|report)|the machine stopped/ { late = 1; next }
		$3 == "plan" { short = 1; next }
		{ yes = 1 }
		END { print n, test, yes || (short && !late) ? "yes" : late ? "late" : "no" }
	' "$work/boot" >>"$work/ran"
}

# One boot for each test of KUnit
run_kunit() {
	local test=$1 suite=$2 glob=$3

	: >"$VM/$label-kunit.manifest"
	boot_bug "$label-kunit" $((300 * slow)) -a kunit.enable=1 -a "kunit.filter_glob=$glob"
	{
		"$here/results.py" kunit kunit "$LOG/vm-$label-kunit.kernel" <(echo "$suite")
		"$here/results.py" splats kunit "$LOG/vm-$label-kunit.kernel"
	} >"$work/boot"
	noticed "kunit/$suite" "$test"
}

# run_programs NAME OPTION...: the others together. If the machine ends before they have
# all begun, again with the rest of them.
run_programs() {
	local vm=$label-$1 name line begun

	shift
	while [ -s "$VM/$vm.manifest" ]; do
		boot_bug "$vm" "$(SLOW=$slow seconds "$vm")" "$@"
		{
			"$here/results.py" programs p "$LOG/vm-$vm.out" "$VM/$vm.manifest"
			"$here/results.py" splats p "$LOG/vm-$vm.kernel"
		} >"$work/boot"
		begun=0
		: >"$work/rest"
		while read -r name line; do
			if grep -qa "@viommu begin $name\$" "$LOG/vm-$vm.out"; then
				noticed "p/$name" "$name"
				begun=$((begun + 1))
			else
				echo "$name $line" >>"$work/rest"
			fi
		done <"$VM/$vm.manifest"
		# What does not even boot was noticed, whoever was to come first
		if [ "$begun" = 0 ]; then
			awk -v n="$number" -v verdict="$([ "$over" = 0 ] && echo yes || echo late)" \
				'{ print n "\t" $1 "\t" verdict }' "$work/rest" >>"$work/ran"
			break
		fi
		mv "$work/rest" "$VM/$vm.manifest"
	done
}

# run NUMBER KASAN: the tests for a bug
run() {
	local number=$1 slow=1 image=$dir/plain/arch/arm64/boot/Image over test how words

	if [ "$2" != - ]; then
		image=$dir/kasan/arch/arm64/boot/Image
		slow=4
	fi
	: >"$work/programs"
	: >"$work/lifecycle"
	while IFS=$'\t' read -r test how; do
		read -ra words <<<"$how"
		case ${words[0]} in
		kunit) run_kunit "$test" "${words[@]:1}" ;;
		viommu-lifecycle) echo "$how" >>"$work/lifecycle" ;;
		*) echo "$how" >>"$work/programs" ;;
		esac
	done
	SLOW=$slow manifest "$label-programs" <"$work/programs"
	SLOW=$slow manifest "$label-lifecycle" <"$work/lifecycle"
	run_programs programs
	run_programs lifecycle -- "${lifecycle[@]}"
}

# worker K N: every Nth bug, one after the other
worker() {
	local number numbers kasan

	work=$dir/worker$1
	label=bugs$1
	mkdir -p "$work"
	: >"$work/ran"
	mapfile -t numbers < <(awk -v k="$1" -v n="$2" 'NR % n == k' "$dir/numbers")
	for number in "${numbers[@]}"; do
		kasan=$(awk -F '\t' -v n="$number" '$1 == n { print $2; exit }' "$plan")
		awk -F '\t' -v n="$number" '$1 == n { print $4 "\t" $5 }' "$plan" |
			run "$number" "$kasan"
	done
}

# Each test once, on each of the kernels that it is to run on
without_bugs() {
	local kasan

	work=$dir/worker
	label=bugs
	mkdir -p "$work"
	: >"$work/ran"
	for kasan in - K; do
		awk -F '\t' -v s="$kasan" '$2 == s && !($4 in seen) {
			seen[$4]; print $4 "\t" $5
		}' "$plan" | run 0 "$kasan"
	done
	! grep -v $'\tno$' "$work/ran"
}

# All workers come to their end, whatever becomes of one of them
with_bugs() {
	local k n pids=() status=0

	n=$(nproc)
	rm -f "$dir"/worker*/ran "$dir/ran"
	echo "${ONLY:-$(cut -f1 "$plan" | uniq)}" | tr ' ' '\n' >"$dir/numbers"
	for ((k = 0; k < n; k++)); do
		worker "$k" "$n" &
		pids+=($!)
	done
	for k in "${pids[@]}"; do
		wait "$k" || { echo "a worker failed"; status=1; }
	done
	[ "$status" = 0 ] || return 1
	for ((k = 0; k < n; k++)); do
		cat "$dir/worker$k/ran"
	done | sort -n >"$dir/ran"
}

must "a tree with bugs" bugs-tree broken_tree
export SOURCE_TREE=$dir/linux
must "kernel with bugs" kernel-bugs-plain "$here/kernel.sh" bugs/plain "$here/vm.config"
must "kernel with bugs and KASAN" kernel-bugs-kasan "$here/kernel.sh" bugs/kasan \
	"$here/vm.config" "$here/kasan.config"
must "the machine's IORT" iort iort -k "$dir/plain/arch/arm64/boot/Image"
[ -n "${ONLY:-}" ] || may "all tests without a bug" bugs-none without_bugs
may "a boot for each bug" bugs with_bugs
read -ra only <<<"${ONLY:-}"
[ "$step_status" != 0 ] ||
	"$here/bugs.py" judge "$list" "$TREE" "$dir/ran" "${only[@]}" >>"$results"
[ -z "${alone:-}" ] || finish
