#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Write the test machine's initramfs: mkinitramfs.py [--acpi TABLE.aml] OUT NAME=FILE...

NAME is the path in the initramfs, FILE is a file of the host; every file gets
mode 0755 and belongs to root. With --acpi the table comes first, in an
uncompressed archive of its own: that is where the kernel's ACPI table upgrade
looks for it (Documentation/admin-guide/acpi/initrd_table_override.rst).
Needs no root, no cpio, and its output depends on its input alone.
"""
import argparse
import os
import stat


class Cpio:
    """An archive in the "newc" format, as the kernel's initramfs.c reads it"""

    def __init__(self):
        self.data = bytearray()
        self.inode = 0
        self.known = set()

    def _pad(self):
        self.data += b"\0" * (-len(self.data) % 4)

    def _entry(self, name, mode, content=b"", rdev=(0, 0)):
        raw = name.encode() + b"\0"
        self.inode += 1
        fields = (self.inode, mode, 0, 0, 1, 0, len(content), 0, 0,
                  rdev[0], rdev[1], len(raw), 0)
        self.data += b"070701" + b"".join(b"%08x" % f for f in fields) + raw
        self._pad()
        self.data += content
        self._pad()

    def _parents(self, name):
        parts = name.split("/")[:-1]
        for i in range(len(parts)):
            self.directory("/".join(parts[:i + 1]))

    def directory(self, name):
        if name not in self.known:
            self._parents(name)
            self.known.add(name)
            self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, content):
        self._parents(name)
        self._entry(name, stat.S_IFREG | 0o755, content)

    def console(self):
        self.directory("dev")
        self._entry("dev/console", stat.S_IFCHR | 0o600, rdev=(5, 1))

    def finish(self):
        self._entry("TRAILER!!!", 0)
        self.data += b"\0" * (-len(self.data) % 512)
        return self.data


def read(path):
    with open(path, "rb") as f:
        return f.read()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--acpi", action="append", default=[], metavar="TABLE")
    parser.add_argument("out")
    parser.add_argument("file", nargs="*", metavar="NAME=FILE")
    args = parser.parse_args()

    result = bytearray()
    if args.acpi:
        tables = Cpio()
        for path in args.acpi:
            tables.file("kernel/firmware/acpi/" + os.path.basename(path), read(path))
        result += tables.finish()

    root = Cpio()
    root.console()
    for spec in args.file:
        name, sep, path = spec.partition("=")
        if not sep:
            parser.error(f"{spec}: not NAME=FILE")
        root.file(name.lstrip("/"), read(path))
    result += root.finish()

    tmp = args.out + ".tmp"
    with open(tmp, "wb") as f:
        f.write(result)
    os.replace(tmp, args.out)


if __name__ == "__main__":
    main()
