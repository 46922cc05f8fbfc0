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
debian_fetch bpftrace python3-minimal dash
# It takes a shell to run other programs, and does not survive without one
take usr/bin/bpftrace
take usr/bin/dash
mkdir "$dir/root/bin"
mv "$dir/root/usr/bin/dash" "$dir/root/bin/sh"
# The modules that are there without libpython3-stdlib will do
python=$(cd "$dir/all/usr/bin" && readlink python3)
take "usr/bin/$python"
mv "$dir/root/usr/bin/$python" "$dir/root/usr/bin/python3"
# bpftrace takes the types of the tracepoints' fields from the kernel's BTF, or, as here,
# from a header that it expects in the kernel's source
mkdir -p "$dir/root/usr/include/linux"
for bits in 8:char 16:short 32:int 64:"long long"; do
	echo "typedef unsigned ${bits#*:} u${bits%:*};"
	echo "typedef signed ${bits#*:} s${bits%:*};"
done >"$dir/root/usr/include/linux/types.h"
rsync -am --include='*/' --include='*.py' --exclude='*' "$dir/all/usr/lib/$python" \
	"$dir/root/usr/lib/"
debian_done bpftrace "$python-minimal"
