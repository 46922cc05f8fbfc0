#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Take edits made in $B/linux back: an edited or new file becomes an overlay
# file, an edited file of the base goes into the last hook that touches it, or
# into the hook named by PATCH= (made anew if there is none of the name).
. "$(dirname "$0")/lib.sh"

# The commands of refresh_hook(). '&&' because 'set -e' is off in a condition.
refresh_in_hooks() {
	local f=$1 patch=$2 last=$3

	mkdir -p "$HOOKS/$(dirname "$f")" &&
	if hook_names | grep -qxF "$patch"; then
		[ "$(quilt_in_hooks top)" = "$patch" ] || quilt_in_hooks pop "$patch"
	else
		quilt_in_hooks new "$patch"
	fi &&
	{ [ -e "$HOOKS/$f" ] || cp -p "$BASE/$f" "$HOOKS/$f"; } &&
	{ quilt_in_hooks files | grep -qxF "$f" || quilt_in_hooks add "$f"; } &&
	git merge-file "$HOOKS/$f" "$last" "$TREE/$f" &&
	quilt_in_hooks refresh &&
	while [ -n "$(quilt_in_hooks next 2>/dev/null)" ]; do
		# Context lines of a later hook may be what was edited
		quilt_in_hooks push && quilt_in_hooks refresh || return 1
	done
}

# Put what was edited in file $1 since $3, its last synced content, into hook $2.
# Hooks after $2 are taken off for that and put back on, so that an edit can go
# into a hook in the middle. All or nothing.
refresh_hook() {
	local f=$1 patch=$2 last=$3 save

	save=$(mktemp -d "$B/refresh.XXXXXX")
	cp -a "$PATCHES/." "$save"
	if refresh_in_hooks "$f" "$patch" "$last" >"$B/refresh.log" 2>&1; then
		rm -rf "$save"
		return 0
	fi
	rsync -a --delete "$save/" "$PATCHES/"
	rm -rf "$save"
	make_hooks
	say "$f does not go into $patch, nothing changed (see $B/refresh.log)"
	return 1
}

[ -d "$TREE" ] || die "there is no $TREE: run 'make tree'"
make_hooks

# What differs from the base in the parts of the tree that may differ
base=$(realpath "$BASE")	# may be a symlink, which git diff would compare as such
changed=$(git diff --no-index --name-only --no-renames \
	"$base" "$TREE" -- 2>/dev/null | sed "s,^$TREE/,,;s,^$base/,," || true)
status=0
for f in $changed; do
	case $f in
	/dev/null | *.orig | *.rej | *~ | *.o | *.pyc) continue ;;
	esac
	if [ ! -e "$BASE/$f" ]; then
		src=$(overlay_source "$f")
		cmp -s "$TREE/$f" "$SYNCED/$f" && continue
		if [ -e "$TOP/$src" ] && [ -e "$SYNCED/$f" ] &&
		   ! cmp -s "$TOP/$src" "$SYNCED/$f"; then
			say "$src changed in the repository too, merging"
			git merge-file "$TOP/$src" "$SYNCED/$f" "$TREE/$f" || {
				say "conflict in $src"; status=1; }
		else
			mkdir -p "$TOP/$(dirname "$src")"
			cp -p "$TREE/$f" "$TOP/$src"
		fi
		say "overlay: $src"
		continue
	fi

	last=$BASE/$f
	[ ! -e "$SYNCED/$f" ] || last=$SYNCED/$f
	cmp -s "$TREE/$f" "$last" && continue
	patch=${PATCH:-}
	[ -n "$patch" ] || for p in $(hook_names); do
		grep -q "^+++ b/$f\$" "$PATCHES/$p" && patch=$p
	done
	[ -n "$patch" ] || { say "$f belongs to no hook: make refresh PATCH=<name>.patch"; status=1; continue; }
	[[ $patch = *.patch ]] || patch=$patch.patch
	refresh_hook "$f" "$patch" "$last" || { status=1; continue; }
	say "hook: $patch ($f)"
done
# An overlay file removed from the tree
(cd "$SYNCED" && find . -type f -printf '%P\n') | while read -r f; do
	[ -e "$TREE/$f" ] || [ -e "$BASE/$f" ] || {
		git -C "$TOP" rm -q --cached --ignore-unmatch "$(overlay_source "$f")"
		rm -f "$TOP/$(overlay_source "$f")"
		say "removed: $(overlay_source "$f")"
	}
done
[ "$status" = 0 ] || exit "$status"
FORCE=1 exec "$TOP/series/tree.sh"
