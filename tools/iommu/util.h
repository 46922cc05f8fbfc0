/* SPDX-License-Identifier: GPL-2.0-only */
/* What every C program lacks */
#ifndef UTIL_H
#define UTIL_H

#include <stdint.h>

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))

/* The compiler checks the arguments of a function like printf() */
#define PRINTF_LIKE(fmt, args)	__attribute__((\
					__format__(__printf__, fmt, args)))

/* All of a file, as those of sysfs, is @text then; returns 0 or a positive errno */
int write_file(const char *path, const char *text);
/* Bytes read, @text is terminated; -errno */
int read_file(const char *path, char *text, unsigned int size);

/* Have this thread run on that CPU alone; nothing happens if there is none */
void pin(unsigned int cpu);

/* Of a clock that only goes forward */
uint64_t now_ns(void);
uint64_t now_ms(void);

#endif
