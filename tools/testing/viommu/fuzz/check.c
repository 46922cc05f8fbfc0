// SPDX-License-Identifier: GPL-2.0-only
/*
 * Run the KUnit suites that are linked in, then try each property on a number of
 * inputs, the same ones every time. TAP on stdout.
 *
 *	check [inputs per property [seed]]
 */
#include <sys/wait.h>
#include <unistd.h>

#include <kunit/test.h>

#include "fuzz.h"

/* Of each property's inputs, those of each kind that must at least be legal */
#define ENOUGH(n)	((n) / 200)

unsigned long fuzz_legal[256];

static struct kunit_suite *suites;
static const struct fuzz_target *targets[] = {
#ifndef KUNIT_ALONE
	&fuzz_vcmd, &fuzz_vste, &fuzz_vevent,
#endif
};

void kunit_register(struct kunit_suite *suite)
{
	suite->next = suites;
	suites = suite;
}

static bool hold(const struct fuzz_target *target, unsigned long n, u64 seed)
{
	unsigned long i, legal = 0;
	struct rnd_state rnd;
	const char *kind;
	uint8_t data[512];
	bool enough;

	prandom_seed_state(&rnd, seed);
	for (i = 0; i < n; i++) {
		size_t len = target->generate(&rnd, data, sizeof(data));
		/* In memory of just its size, for AddressSanitizer */
		uint8_t *copy = malloc(len);

		memcpy(copy, data, len);
		legal += target->one(copy, len);
		free(copy);
	}
	printf("# %s: %lu inputs, %lu legal\n", target->name, n, legal);
	/* Nothing but rubbish proves nothing */
	enough = legal > n / 20;
	for (kind = target->kinds; *kind; kind++) {
		unsigned long seen = fuzz_legal[(u8)*kind];

		printf("# %s: %#x: %lu\n", target->name, (u8)*kind, seen);
		enough &= seen > ENOUGH(n);
	}
	fflush(stdout);
	return enough;
}

/* In a process of its own, as a property that fails aborts */
static bool hold_forked(const struct fuzz_target *target, unsigned long n,
			u64 seed)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(!hold(target, n, seed));
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

int main(int argc, char **argv)
{
	unsigned long inputs = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000000;
	u64 seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	unsigned int n = 0, failed = 0, i;
	struct kunit_suite *suite;
	struct kunit_case *c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n");
	for (suite = suites; suite; suite = suite->next) {
		for (c = suite->test_cases; c->run_case; c++) {
			struct kunit test = {};

			c->run_case(&test);
			failed += test.failed;
			printf("%sok %u %s.%s\n", test.failed ? "not " : "",
			       ++n, suite->name, c->name);
		}
	}
	for (i = 0; i < ARRAY_SIZE(targets); i++) {
		bool ok = hold_forked(targets[i], inputs, seed);

		failed += !ok;
		printf("%sok %u property.%s\n", ok ? "" : "not ", ++n,
		       targets[i]->name);
	}
	printf("1..%u\n", n);
	return failed || !suites;
}
