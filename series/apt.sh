# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# apt with sources and lists of its own, in $B/apt-ARCH: the 6.12 kernels of Debian
# 12 and 13. What the machine has configured and installed stays as it is. Files are
# verified as apt always does, by Debian's keys.
# Usage: . "$(dirname "$0")/apt.sh", after lib.sh

APT_ARCH=${APT_ARCH:-$(dpkg --print-architecture 2>/dev/null || true)}
APT_STATE=$B/apt-$APT_ARCH
mirror=${DEBIAN_MIRROR:-http://deb.debian.org}

command -v apt-get >/dev/null || die "this takes Debian's apt"

# own_apt COMMAND ARGUMENT...: apt-get or apt-cache
own_apt() {
	local command=$1

	shift
	"$command" -q -o APT::Architecture="$APT_ARCH" -o APT::Architectures="$APT_ARCH" \
		-o Dir::Etc::SourceList="$APT_STATE/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State::Lists="$APT_STATE/lists" -o Dir::Cache="$APT_STATE/cache" \
		-o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=5 "$@"
}

# The keys of both releases are in the keyring of either
own_apt_update() {
	local suite

	mkdir -p "$APT_STATE/lists/partial" "$APT_STATE/cache/archives/partial"
	for suite in debian:trixie debian:trixie-updates debian-security:trixie-security \
		debian:bookworm-backports debian-security:bookworm-security; do
		printf 'deb%s [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s\n' \
			'' "$mirror/${suite%:*} ${suite#*:} main" \
			-src "$mirror/${suite%:*} ${suite#*:} main"
	done >"$APT_STATE/sources.list"
	own_apt apt-get update -o APT::Update::Error-Mode=any
}

# own_apt_versions PACKAGE: those that can be had, newest first
own_apt_versions() {
	own_apt apt-cache madison "$1" | awk -F ' *[|] *' '/Packages$/ { print $2 }' | sort -rVu
}

# Of the kernel's source packages as "VERSION PACKAGE", newest first: Debian 12 has
# one of another name
own_apt_sources() {
	own_apt apt-cache madison linux linux-6.12 |
		awk -F ' *[|] *' '/Sources$/ && $2 ~ /^6\.12\./ {
			sub(/^ */, "", $1); print $2, $1 }' | sort -rVu
}

# own_apt_download COMMAND ARGUMENT...: what it fetches into an empty $APT_STATE/download
own_apt_download() {
	rm -rf "$APT_STATE/download"
	mkdir -p "$APT_STATE/download"
	(cd "$APT_STATE/download" && own_apt "$@")
}
