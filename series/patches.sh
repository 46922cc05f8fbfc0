#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Export the series for review: $B/patches := a cover letter and the patches that
# series/patches.list names, made by git format-patch. Fails, naming it, if a
# file of the overlay or a hook is not in exactly one patch. PREFIX= is what
# stands in the subjects' brackets.
. "$(dirname "$0")/lib.sh"

list=$TOP/series/patches.list
entries=$B/export.list		# the list, cut into pieces
repo=$B/export			# a git repository with what the series touches
out=$B/patches

[ -d "$BASE" ] || die "there is no $BASE: run 'make base'"

# entries/NNN.{subject,hooks,files,body}; 000 is the cover letter
rm -rf "$entries" "$repo"
mkdir -p "$entries" "$repo"
awk -v dir="$entries" '
	/^#/ { next }
	/^Cover: / { if (n++) bad("Cover: is not first"); start() }
	/^Subject: / { if (!n++) bad("Cover: is missing"); start() }
	!n && NF { bad("text in front of Cover:") }
	head && /^$/ { head = 0; next }
	head && /^(Cover|Subject): / { say("subject"); next }
	head && /^Hook: / { say("hooks"); next }
	head && /^File: / { say("files"); next }
	head { bad("no header that is known") }
	n { print > (name ".body") }
	function start() { name = sprintf("%s/%03d", dir, n - 1); head = 1 }
	function say(what) { sub(/^[^ ]*: */, ""); print > (name "." what) }
	function bad(why) { print FILENAME ":" FNR ": " why > "/dev/stderr"; exit 1 }
' "$list" || exit

# entry_has NNN KIND: the lines of that kind
entry_has() { cat "$entries/$1.$2" 2>/dev/null || true; }
numbers() { find "$entries" -name '*.subject' -printf '%f\n' | sort | sed 's/\..*//'; }
mapfile -t patches < <(numbers | grep -v '^000$')
[ ${#patches[@]} != 0 ] || die "$list: no patches"

# A pattern is a file, a folder (with a slash at the end), or a file with * in its
# name
# shellcheck disable=SC2053
matches() {
	local file=$1 pattern=$2

	case $pattern in
	*/) [[ $file = "$pattern"* ]] ;;
	*) [[ ${file%/*} = "${pattern%/*}" && ${file##*/} = ${pattern##*/} ]] ;;
	esac
}

# Sets claims[name] to the patches that have it, and checks the list against it
declare -A claims overlay
while IFS=$'\t' read -r src dst; do
	overlay[$dst]=$src
	claims[$dst]=
done < <(overlay_files)
while read -r p; do
	claims[$p]=
done < <(hook_names)

status=0
complain() { printf '%s\n' "$list: $*" >&2; status=1; }

for n in "${patches[@]}"; do
	while read -r p; do
		p=${p%.patch}.patch
		[ -n "${claims[$p]+there}" ] || complain "hook ${p%.patch} is not in the quilt series"
		claims[$p]+=" $n"
	done < <(entry_has "$n" hooks)
	: >"$entries/$n.copy"
	while read -r pattern; do
		found=
		for f in "${!overlay[@]}"; do
			matches "$f" "$pattern" || continue
			found=1
			claims[$f]+=" $n"
			echo "$f" >>"$entries/$n.copy"
		done
		[ -n "$found" ] || complain "$pattern is no file of the series"
	done < <(entry_has "$n" files)
done
while read -r name; do
	read -ra in <<<"${claims[$name]}"
	case ${#in[@]} in
	0) complain "$name is in no patch" ;;
	1) ;;
	*) complain "$name is in several patches: $(for n in "${in[@]}"; do
		entry_has "$n" subject; done | paste -sd';')" ;;
	esac
done < <(printf '%s\n' "${!claims[@]}" | sort)
[ "$status" = 0 ] || exit "$status"

# Whoever exports is the author; nothing else of its configuration counts
ident=$(git -C "$TOP" var GIT_AUTHOR_IDENT 2>/dev/null) || {
	say "no git identity (git config user.name, user.email): fit for a check, not for mailing"
	ident="no identity <nobody@localhost>"
}
export GIT_AUTHOR_NAME=${ident%% <*} GIT_COMMITTER_NAME=${ident%% <*}
ident=${ident#*<}
export GIT_AUTHOR_EMAIL=${ident%%>*} GIT_COMMITTER_EMAIL=${ident%%>*}
GIT_AUTHOR_DATE=$(git -C "$TOP" log -1 --format=%cI)
export GIT_AUTHOR_DATE GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1

version=$(kernel_version "$BASE/Makefile")
in_repo() { git -C "$repo" "$@"; }
commit() { in_repo add -A -f . && in_repo commit -q --cleanup=whitespace -F -; }

in_repo init -q -b series
for f in $(hooked_files); do
	[ -f "$BASE/$f" ] || continue
	mkdir -p "$repo/$(dirname "$f")"
	cp "$BASE/$f" "$repo/$f"
done
echo "Linux $version" | commit
base=$(in_repo rev-parse HEAD)

# The text of a hook above its diff, without the subject and the licence
hook_body() {
	sed -e '/^--- a\//,$d' -e 1,2d -e '/^SPDX-License-Identifier:/d' "$PATCHES/$1" | fmt -w 73
}

for n in "${patches[@]}"; do
	subject=$(entry_has "$n" subject)
	while read -r f; do
		mkdir -p "$repo/$(dirname "$f")"
		cp "$TOP/${overlay[$f]}" "$repo/$f"
	done <"$entries/$n.copy"
	mapfile -t hooks < <(entry_has "$n" hooks)
	for p in "${hooks[@]}"; do
		p=${p%.patch}.patch
		patch -d "$repo" -p1 --fuzz=0 --no-backup-if-mismatch -s <"$PATCHES/$p" >&2 ||
			die "$list: ${p%.patch} does not apply in '$subject'"
	done
	if ! grep -q . "$entries/$n.body" 2>/dev/null; then
		[ ${#hooks[@]} = 1 ] || die "$list: '$subject' has no text"
		hook_body "${hooks[0]%.patch}.patch" >"$entries/$n.body"
	fi
	{
		printf '%s\n\n' "$subject"
		cat "$entries/$n.body"
	} | commit || die "$list: '$subject' changes nothing"
done

in_repo config branch.series.description "$(
	entry_has 000 subject
	echo
	sed "s/@BASE@/Linux $version/g" "$entries/000.body"
)"
rm -rf "$out"
in_repo format-patch -q -s -o "$out" --cover-letter --cover-from-description=subject \
	--subject-prefix="${PREFIX:-PATCH 6.12}" --no-renames --stat=72 --zero-commit \
	--no-signature "$base..series"
say "${#patches[@]} patches on Linux $version: $out"
