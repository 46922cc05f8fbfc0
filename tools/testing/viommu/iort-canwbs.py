#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Say CANWBS in an IORT: iort-canwbs.py IN OUT

A nested domain needs DMA that stays coherent whatever attributes the guest's
stage 1 asks for. On hardware without S2FWB the firmware says so by the CANWBS
flag of the root complex ("coherency attributes of the memory accesses can be
overridden to Normal Write-Back Shareable", bit 2 of the memory access flags,
IORT specification DEN 0049). QEMU's memory is always coherent, but its firmware
table leaves the flag out: the copy written here sets it in every root-complex
node, and has a higher OEM revision, without which the kernel prefers the
firmware's own table.

IN is the table as binary, or a log in which init.c dumped it in hexadecimal.
"""
import re
import struct
import sys

HEADER = 36             # an ACPI table's common header
IORT_NODES = 36         # u32 number of nodes, u32 offset of the first
ROOT_COMPLEX = 2
MEMORY_FLAGS = 16 + 7   # the node's header, then the last byte of the memory access properties
CANWBS = 1 << 2


def die(text):
    sys.exit(f"iort-canwbs: {text}")


def load(path):
    with open(path, "rb") as f:
        data = f.read()
    if data[:4] != b"IORT":
        digits = re.findall(rb"^[0-9a-f]+$", data, re.MULTILINE)
        data = bytes.fromhex(b"".join(digits).decode())
    if len(data) < IORT_NODES + 8 or data[:4] != b"IORT":
        die(f"{path} is not an IORT")
    length, = struct.unpack_from("<I", data, 4)
    if length != len(data):
        die(f"{path}: the table says {length} bytes, there are {len(data)}")
    if sum(data) & 0xff:
        die(f"{path}: wrong checksum")
    return bytearray(data)


def set_canwbs(table):
    count, offset = struct.unpack_from("<II", table, IORT_NODES)
    changed = 0
    for _ in range(count):
        if offset + 16 > len(table):
            die("a node is outside the table")
        kind, length = struct.unpack_from("<BH", table, offset)
        if length < 16 or offset + length > len(table):
            die("a node has a wrong length")
        if kind == ROOT_COMPLEX:
            if length <= MEMORY_FLAGS:
                die("a root-complex node is too short")
            table[offset + MEMORY_FLAGS] |= CANWBS
            changed += 1
        offset += length
    if not changed:
        die("there is no root-complex node")


def main():
    if len(sys.argv) != 3:
        die("usage: iort-canwbs.py IN OUT")
    table = load(sys.argv[1])
    set_canwbs(table)
    revision, = struct.unpack_from("<I", table, 24)
    struct.pack_into("<I", table, 24, revision + 1)
    table[9] = 0
    table[9] = -sum(table) & 0xff
    with open(sys.argv[2], "wb") as f:
        f.write(table)


if __name__ == "__main__":
    main()
