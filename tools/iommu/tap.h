/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Results of a test program and its children, counted and printed as TAP
 */
#ifndef TAP_H
#define TAP_H

#include <stdbool.h>

/* Begin, before the first fork: children count on. Else the first result does. */
void tap_begin(void);
/* One result; returns @ok */
bool tap_check(bool ok, const char *name);
/* The plan and the sum; returns the program's exit status, that of a failure if none ran */
int tap_end(void);

#endif
