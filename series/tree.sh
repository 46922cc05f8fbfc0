#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Prepare the source: $B/linux := base + overlay + hooks. Only files whose
# content changes are touched, so that builds stay incremental. Edits made in
# $B/linux that 'make refresh' has not taken back are never overwritten.
. "$(dirname "$0")/lib.sh"

exec 9>"$B/tree.lock"
flock 9

[ -d "$TREE" ] || {
	say "copying the base to $TREE"
	rm -rf "$TREE.tmp" "$SYNCED"
	mkdir "$TREE.tmp"
	cp -a --reflink=auto "$BASE/." "$TREE.tmp"	# the base may be a symlink
	mv "$TREE.tmp" "$TREE"
}
[ ! "$TREE" -ef "$BASE" ] || die "$TREE is the base itself: remove it"
mkdir -p "$SYNCED"

refuse_edited

make_hooks
want=$B/want
rm -rf "$want"
mkdir -p "$want"
for f in $(hooked_files); do
	mkdir -p "$want/$(dirname "$f")"
	cp "$HOOKS/$f" "$want/$f"
done
while IFS=$'\t' read -r src dst; do
	[ ! -e "$want/$dst" ] || die "$dst is both an overlay file and hooked"
	[ ! -e "$BASE/$dst" ] || die "$dst is a file of the base, it can't be in the overlay"
	mkdir -p "$want/$(dirname "$dst")"
	cp -p "$TOP/$src" "$want/$dst"
done < <(overlay_files)

# Files that are ours no more
(cd "$SYNCED" && find . -type f -printf '%P\n') | while read -r f; do
	[ ! -e "$want/$f" ] || continue
	if [ -e "$BASE/$f" ]; then cp "$BASE/$f" "$TREE/$f"; else rm -f "$TREE/$f"; fi
done
rsync -rc --perms --executability "$want/" "$TREE/"
rsync -rc --perms --delete "$want/" "$SYNCED/"
rm -rf "$want"
