/* SPDX-License-Identifier: GPL-2.0-only */
/* What every C program lacks */
#ifndef UTIL_H
#define UTIL_H

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))

/* The compiler checks the arguments of a function like printf() */
#define PRINTF_LIKE(fmt, args)	__attribute__((\
					__format__(__printf__, fmt, args)))

#endif
