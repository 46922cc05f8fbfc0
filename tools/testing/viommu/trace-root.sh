#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Fetch Debian's bpftrace and Python for arm64 and what they need; none of it is
# changed. Does nothing when all is there:
#
#	$B/trace/root/		both, their libraries and the dynamic linker
#	$B/trace/versions	of the packages
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/debian-root.sh"

debian_root trace trixie
debian_fetch bpftrace python3-minimal
take usr/bin/bpftrace
# The modules that are there without libpython3-stdlib will do
python=$(cd "$dir/all/usr/bin" && readlink python3)
take "usr/bin/$python"
mv "$dir/root/usr/bin/$python" "$dir/root/usr/bin/python3"
rsync -am --include='*/' --include='*.py' --exclude='*' "$dir/all/usr/lib/$python" "$dir/root/usr/lib/"
debian_done bpftrace "$python-minimal"
