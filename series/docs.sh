#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Render the documentation of the series, and nothing else of the kernel's, with
# the kernel's own Sphinx extensions: $B/docs/index.html. A warning is a failure.
. "$(dirname "$0")/lib.sh"

src=$B/docs-src			# a source tree with our pages alone
out=$B/docs

[ -d "$TREE" ] || die "there is no $TREE: run 'make tree'"
# graphviz: the kernel's configuration of Sphinx warns if it is not there
"$TOP/series/deps.sh" python3-sphinx python3-sphinx-rtd-theme graphviz
mapfile -t pages < <(overlay_files | cut -f2 | sed -n 's,^\(Documentation/.*\)\.rst$,\1,p')
[ ${#pages[@]} != 0 ] || die "no pages"

rm -rf "$src" "$out"
mkdir -p "$src/Documentation"
for p in "${pages[@]}"; do
	mkdir -p "$src/$(dirname "$p")"
	cp "$TREE/$p.rst" "$src/$p.rst"
done
# The pages include files by their path in the tree
for d in drivers include tools; do
	ln -s "$TREE/$d" "$src/$d"
done
{
	printf '%s\n' "vIOMMUs" "=======" "" ".. toctree::" ""
	printf '   %s\n' "${pages[@]#Documentation/}"
} >"$src/Documentation/index.rst"

render() {
	cd "$TREE/Documentation"
	srctree=$TREE BUILDDIR=$out DOCS_THEME=sphinx_rtd_theme sphinx-build -q -W --keep-going \
		-b html -c "$TREE/Documentation" -d "$B/docs-src/doctrees" \
		-D version="$(kernel_version "$TREE/Makefile")" \
		-D smartquotes=0 \
		"$src/Documentation" "$out"
}

NEXT="make docs" step "rendering ${#pages[@]} pages" docs render
say "$out/index.html"
