/* SPDX-License-Identifier: GPL-2.0-only */
/* What is in here is on the compiler's command line, see the Makefile */
