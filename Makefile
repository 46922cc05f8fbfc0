# SPDX-License-Identifier: GPL-2.0-only
# iommufd vIOMMU for Linux 6.12: see 'make help'

B ?= $(CURDIR)/build
export B

VM := tools/testing/viommu

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help deps base tree refresh headers kernel kernel-x86 demo demo-qemu check check-long clean
.PHONY: patches check-series docs bench coverage deb deb-config

help:
	@sed -n 's/^#: \{0,1\}//p' Makefile

#: The main job and its checks
#:   make demo        boot the patched kernel in QEMU and drive a nested SMMUv3 through it
#:   make demo-qemu   boot it as a KVM host, where QEMU 11 gives a guest an SMMUv3 and an NVMe
#:   make check       every test; the last line counts them. 10 to 30 minutes from nothing
#:   make check-long  what takes longer: PARTS="kasan kcsan modules matrix coccinelle
#:                    libfuzzer coverage bugs bench qemu trace carry", or some of these; see
#:                    tools/testing/viommu/README
#:   make coverage    which lines of the series the tests in a machine execute
#:   make bench       instructions per call and per command, table and plot; PEER=7.2 to
#:                    compare with Debian's kernel of that version, PROFILE=N for the
#:                    functions that an array of N commands goes through
#:
#: What they are made of, each also a target of its own
#:   make deps        install Debian packages (root or sudo); a no-op when all are there
#:   make tree        build/linux/ := Debian's linux-source-6.12 + this series
#:   make kernel      build/arm64/arch/arm64/boot/Image, the test kernel
#:   make headers     build/headers/include/, the uAPI headers of the series (arm64)
#:   make kernel-x86  build drivers/iommu for x86_64, IOMMUFD=y and =m, no SMMU
#:   make base        build/base/ := linux-source-6.12, unpacked and nothing else
#:   make docs        build/docs/index.html, the documentation of the series
#:
#: Working on the series
#:   make refresh     take edits made in build/linux/ back to the overlay and the hooks
#:                    (PATCH=name for the first edit to a file of the base)
#:   make patches     build/patches/: the series as git format-patch would mail it
#:   make check-series  do they apply to this kernel and to all others of Debian 12 and 13,
#:                    make what was built, revert, and pass checkpatch?
#:                    (BUILD=1: does the driver build after each one, and on the oldest?)
#:   make deb         Debian packages of Debian's kernel with the series, in build/deb-arm64/
#:                    (DEB_ARCH=amd64: in build/deb-amd64/). Hours on a small machine
#:   make deb-config  what 'make deb' does before it builds: configuration and metadata
#:   make clean       remove build/
#:
#: Variables
#:   B=DIR            build there instead of build/        JOBS=N   parallel jobs
#:   FORCE=1          'make tree' drops edits not refreshed

deps:
	@series/deps.sh

base: deps
	@series/base.sh

tree: base
	@series/tree.sh

refresh:
	@series/refresh.sh

headers: tree
	@$(VM)/kernel.sh headers

kernel: tree
	@$(VM)/kernel.sh

kernel-x86: tree
	@series/x86.sh

demo: kernel headers
	@$(VM)/demo.sh

demo-qemu: tree
	@$(VM)/demo-qemu.sh

# All packages at the start: a password may have to be given
check:
	@series/deps.sh python3-sphinx python3-sphinx-rtd-theme graphviz dpkg-dev debhelper
	@$(VM)/check.sh

check-long: deps
	@$(VM)/check-long.sh

coverage: deps
	@MIN="$(MIN)" $(VM)/coverage.sh

bench: deps
	@PEER="$(PEER)" PROFILE="$(PROFILE)" $(VM)/bench.sh

docs: tree
	@series/docs.sh

patches: base
	@series/patches.sh

check-series: tree patches
	@series/check-series.sh $(if $(BUILD),--build) --fit all

deb: tree
	@series/deb.sh

deb-config: tree
	@series/deb.sh config

clean:
	rm -rf "$(B)"
