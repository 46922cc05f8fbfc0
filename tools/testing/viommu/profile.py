#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""Where the instructions of a call go: step through one IOMMU_HWPT_INVALIDATE

	profile.py SYSTEM.MAP SOCKET ENTRIES [TRACE]

SOCKET is that of a QEMU's gdbstub ("-gdb unix:SOCKET,server=on -S"), in which
viommu-bench runs on the kernel of SYSTEM.MAP. Lets the machine run until the third
call that has an array of ENTRIES, steps through the one after it from the exception
vector to the return to user space, and prints how many instructions each function
had, and how often it was entered. TRACE gets all addresses, for addr2line. The sum
is what viommu-bench counts, but for the reading of the counter.
"""
import bisect
import collections
import socket
import struct
import sys

REQUEST = 0x3b8d	# IOMMU_HWPT_INVALIDATE
WARM = 3
KERNEL = 1 << 63
REG_PC = 32
REG_CPSR = 33
PAN = 1 << 22


class Gdb:
    """As much of the remote serial protocol as this takes"""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("rb")

    def ask(self, text):
        checksum = sum(text.encode()) & 0xff
        self.socket.sendall(f"${text}#{checksum:02x}".encode())
        while self.file.read(1) != b"$":
            pass
        answer = bytearray()
        while (c := self.file.read(1)) != b"#":
            answer += c
        self.file.read(2)
        self.socket.sendall(b"+")
        return answer.decode()

    def must(self, text):
        answer = self.ask(text)
        if answer != "OK":
            sys.exit(f"error: QEMU's gdbstub says '{answer}' to '{text}'")

    def register(self, n):
        return struct.unpack("<Q", bytes.fromhex(self.ask(f"p{n:x}"))[:8])[0]

    def read_user(self, address, length):
        """Memory of the user, while the kernel runs: not with PSTATE.PAN"""
        cpsr = struct.unpack("<I", bytes.fromhex(self.ask(f"p{REG_CPSR:x}"))[:4])[0]
        self.must(f"P{REG_CPSR:x}={struct.pack('<I', cpsr & ~PAN).hex()}")
        data = self.ask(f"m{address:x},{length:x}")
        self.must(f"P{REG_CPSR:x}={struct.pack('<I', cpsr).hex()}")
        return bytes.fromhex(data)

    def run_to(self, address):
        self.must(f"Z1,{address:x},4")
        self.ask("c")
        self.must(f"z1,{address:x},4")
        if self.register(REG_PC) != address:
            sys.exit("error: the machine stopped elsewhere")


class Symbols:
    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            rows = [line.split() for line in f]
        self.address = {name: int(address, 16) for address, kind, name in rows}
        self.rows = sorted((int(address, 16), name) for address, kind, name in rows
                           if kind in "tTwW" and not name.startswith("$"))
        self.starts = [address for address, name in self.rows]

    def find(self, pc):
        return self.rows[bisect.bisect_right(self.starts, pc) - 1]


def find_call(gdb, symbols, entries):
    """Stop at the system call after WARM calls with an array of that many"""
    seen = 0
    while seen < WARM:
        gdb.run_to(symbols.address["iommufd_fops_ioctl"])
        if gdb.register(1) != REQUEST:
            gdb.ask("s")
            continue
        # struct iommu_hwpt_invalidate::entry_num
        count = struct.unpack("<I", gdb.read_user(gdb.register(2) + 24, 4))[0]
        seen += count == entries
        gdb.ask("s")
    # From EL0, synchronous
    gdb.run_to(symbols.address["vectors"] + 0x400)


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    symbols = Symbols(sys.argv[1])
    gdb = Gdb(sys.argv[2])
    gdb.ask("?")
    find_call(gdb, symbols, int(sys.argv[3], 0))

    trace = []
    pc = gdb.register(REG_PC)
    while pc & KERNEL:
        trace.append(pc)
        gdb.ask("s")
        pc = gdb.register(REG_PC)
    gdb.ask("D")

    counts = collections.Counter()
    entered = collections.Counter()
    for pc in trace:
        start, name = symbols.find(pc)
        counts[name] += 1
        entered[name] += pc == start
    print(f"{len(trace)} instructions")
    for name, count in counts.most_common():
        print(f"{count:6} {entered[name]:5} {name}")
    if len(sys.argv) == 5:
        with open(sys.argv[4], "w", encoding="utf-8") as f:
            f.writelines(f"{pc:x}\n" for pc in trace)


if __name__ == "__main__":
    main()
