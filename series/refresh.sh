#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Take edits made in $B/linux back: an edited or new file becomes an overlay
# file, an edited file of the base goes into the last hook that touches it, or
# into the hook named by PATCH= (made anew if there is none of the name).
. "$(dirname "$0")/lib.sh"

[ -d "$TREE" ] || die "there is no $TREE: run 'make tree'"
make_hooks

# What differs from the base in the parts of the tree that may differ
base=$(realpath "$BASE")	# may be a symlink, which git diff would compare as such
changed=$(git diff --no-index --name-only --no-renames \
	"$base" "$TREE" -- 2>/dev/null | sed "s,^$TREE/,,;s,^$base/,," || true)
status=0
for f in $changed; do
	case $f in
	*.orig | *.rej | *~ | *.o | *.pyc) continue ;;
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
	hook_names | grep -qxF "$patch" || quilt_in_hooks new "$patch" >/dev/null

	mkdir -p "$HOOKS/$(dirname "$f")"
	[ -e "$HOOKS/$f" ] || cp -p "$BASE/$f" "$HOOKS/$f"
	quilt_in_hooks files "$patch" 2>/dev/null | grep -qxF "$f" ||
		quilt_in_hooks add -P "$patch" "$f" >/dev/null
	git merge-file "$HOOKS/$f" "$last" "$TREE/$f" || {
		say "conflict in $f, not refreshed"; status=1; continue; }
	quilt_in_hooks refresh -f "$patch" >/dev/null || { status=1; continue; }
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
