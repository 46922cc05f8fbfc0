/* SPDX-License-Identifier: GPL-2.0-only */
/* As much of KUnit as lets the suites of the pure code run in user space */
#ifndef _FUZZ_KUNIT_TEST_H
#define _FUZZ_KUNIT_TEST_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/bits.h>
#include <linux/kernel.h>
#include <linux/types.h>

struct kunit {
	bool failed;
};

struct kunit_case {
	void (*run_case)(struct kunit *test);
	const char *name;
};

struct kunit_suite {
	const char *name;
	struct kunit_case *test_cases;
	struct kunit_suite *next;
};

void kunit_register(struct kunit_suite *suite);

#define KUNIT_CASE(fn)		{ .run_case = fn, .name = #fn }
#define KUNIT_CASE_SLOW(fn)	KUNIT_CASE(fn)
#define kunit_test_suites(suite)					\
	static void __attribute__((constructor)) kunit_init(void)	\
	{								\
		kunit_register(suite);					\
	}

#define kunit_info(test, ...)						\
	do {								\
		(void)(test);						\
		printf("    # " __VA_ARGS__);				\
	} while (0)

#define KUNIT_FAIL(test, ...)						\
	do {								\
		(test)->failed = true;					\
		printf("    # %s:%d: ", __FILE__, __LINE__);		\
		printf(__VA_ARGS__);					\
		printf("\n");						\
	} while (0)

#define KUNIT_LL(x)	((unsigned long long)(x))
#define KUNIT_EXPECT_CMP(test, a, op, b)				\
	do {								\
		unsigned long long __a = KUNIT_LL(a), __b = KUNIT_LL(b);\
									\
		if (!(__a op __b))					\
			KUNIT_FAIL(test, "%s " #op " %s: %#llx, %#llx",	\
				   #a, #b, __a, __b);			\
	} while (0)
#define KUNIT_EXPECT_EQ_MSG(test, a, b, ...)				\
	do {								\
		unsigned long long __a = KUNIT_LL(a), __b = KUNIT_LL(b);\
		struct kunit *__test = (test);				\
									\
		if (__a != __b) {					\
			KUNIT_FAIL(__test, "%s == %s: %#llx, %#llx",	\
				   #a, #b, __a, __b);			\
			kunit_info(__test, __VA_ARGS__);		\
			printf("\n");					\
		}							\
	} while (0)
#define KUNIT_EXPECT_EQ(test, a, b)	KUNIT_EXPECT_CMP(test, a, ==, b)
#define KUNIT_EXPECT_GT(test, a, b)	KUNIT_EXPECT_CMP(test, a, >, b)
#define KUNIT_EXPECT_NE(test, a, b)	KUNIT_EXPECT_CMP(test, a, !=, b)
#define KUNIT_EXPECT_LT(test, a, b)	KUNIT_EXPECT_CMP(test, a, <, b)
#define KUNIT_EXPECT_TRUE(test, a)	KUNIT_EXPECT_CMP(test, !!(a), ==, 1)
#define KUNIT_EXPECT_FALSE(test, a)	KUNIT_EXPECT_CMP(test, !!(a), ==, 0)

#endif
