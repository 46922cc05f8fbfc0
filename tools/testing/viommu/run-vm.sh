#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Boot the test machine once: run-vm.sh [option...] [-- QEMU argument...]
#
#	-k IMAGE	kernel (default: the one of 'make kernel')
#	-i INITRD	initramfs, from mkinitramfs.py
#	-o PREFIX	PREFIX.out := what the programs print, PREFIX.kernel := the kernel log
#	-c CPUS		default 2, with -I 1
#	-t SECONDS	time limit of the whole boot, default 300
#	-a WORDS	more of the kernel's command line
#	-I		a clock that counts instructions: 1 ns each, whatever the host is busy
#			with. Several CPUs take turns of some 10 us, in which time passes for
#			the others, too.
#
# What the programs print is also copied to standard output as it comes. Exit
# status: 0 if init ran its manifest to the end and powered off, 1 if not (a
# crash, a hang); what the programs returned is for results.py to tell.
. "$(dirname "$0")/lib.sh"

image=$B/arm64/arch/arm64/boot/Image initrd='' prefix=$LOG/vm cpus='' limit=300 append='' count=''
while getopts k:i:o:c:t:a:I opt; do
	case $opt in
	k) image=$OPTARG ;;
	i) initrd=$OPTARG ;;
	o) prefix=$OPTARG ;;
	c) cpus=$OPTARG ;;
	t) limit=$OPTARG ;;
	a) append+=" $OPTARG" ;;
	I) count=1 ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))

clock=(-accel "tcg,thread=multi")
if [ -n "$count" ]; then
	cpus=${cpus:-1}
	clock=(-accel "tcg,thread=single" -icount "shift=0,sleep=off")
	# A turn lasts until the next timer of the machine is due, divided by the number of
	# CPUs: with the guest's ticks alone that is 2 ms, in which another CPU may be stuck
	# with interrupts off. A filter of packets, of which there are none, has a timer
	# that the guest does not see.
	[ "$cpus" = 1 ] || clock+=(-netdev "hubport,id=turns,hubid=0"
		-object "filter-buffer,id=timer,netdev=turns,interval=20")
fi

[ -f "$image" ] || die "there is no $image: run 'make kernel'"
[ -f "$initrd" ] || die "run-vm.sh: no initramfs"
firmware=${QEMU_EFI:-/usr/share/qemu-efi-aarch64/QEMU_EFI.fd}
[ -f "$firmware" ] || die "there is no $firmware: run 'make deps'"

: >"$prefix.kernel"
words=(
	console=ttyAMA0 loglevel=8 panic=-1 oops=panic hugepages=64
	vfio-pci.ids=1234:11e8 lockdep.lock_stat=0
)
# The console has the kernel log alone; "-no-reboot" ends a panic at once.
# PCI devices of the machine itself (virtio) are not behind its SMMU's
# translation: they do without the IOMMU, as virtio does by default.
qemu=(
	"${QEMU:-qemu-system-aarch64}"
	-M "virt,gic-version=3,its=on,iommu=smmuv3" -cpu "max,pauth-impdef=on"
	"${clock[@]}" -global arm-smmuv3.stage=nested
	-smp "${cpus:-2}" -m 2G -nodefaults -display none -no-reboot
	-bios "$firmware" -kernel "$image" -initrd "$initrd"
	-append "${words[*]} $append"
	-chardev "file,id=kernel,path=$prefix.kernel" -serial chardev:kernel
	-device virtio-serial-pci -chardev "file,id=out,path=/dev/stdout"
	-device "virtserialport,chardev=out,name=viommu"
	-device "edu,dma_mask=0xffffffffffffffff"
	"$@"
)
printf '%q ' "${qemu[@]}" >"$prefix.command"
status=0
timeout -k 10 "$limit" "${qemu[@]}" </dev/null 2>"$prefix.qemu" | tee "$prefix.out" || status=$?
if ! grep -qa '@viommu done' "$prefix.out"; then
	[ "$status" != 124 ] || say "the machine did not power off within $limit s"
	tail -n 5 "$prefix.qemu" >&2
	exit 1
fi
