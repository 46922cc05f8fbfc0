# SPDX-License-Identifier: GPL-2.0-only
# iommufd vIOMMU for Linux 6.12: see 'make help'

B ?= $(CURDIR)/build
export B

.PHONY: base tree refresh
base:
	@series/base.sh

tree: base
	@series/tree.sh

refresh:
	@series/refresh.sh
