/* Unit test of gateway/time.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/time.h"

static void
times_as_clients_write_them(void **state)
{
	static const struct {
		const char *text;
		long long want;
	} cases[] = {
	    {"1970-01-01T00:00:00Z", 0},
	    {"1970-01-01T00:00:01.5Z", 1500},
	    {"1970-01-01T00:00:01.123456789Z", 1123},
	    {"1970-01-01T01:00:00+01:00", 0},
	    {"1970-01-01T01:00:00 01:00", 0},
	    {"1969-12-31T23:00:00.250-0130", 1800250},
	    {"2026-11-21T10:08:30.918152+00:00", 1795255710918},
	    {"9999-12-31T23:59:59.999Z", 253402300799999},
	    {"", -1},
	    {"1970-01-01", -1},
	    {"1970-01-01T00:00:00", -1},
	    {"1970-01-01T00:00:00+", -1},
	    {"1970-01-01T00:00:00+1", -1},
	    {"1970-01-01T00:00:00+01:", -1},
	    {"1970-01-01T00:00:00+01:00x", -1},
	    {"1969-01-01T00:00:00Z", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (gw_time_parse(cases[i].text) != cases[i].want)
			fail_msg("%s is %lld", cases[i].text,
			         (long long)gw_time_parse(cases[i].text));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(times_as_clients_write_them),
	};

	return cmocka_run_group_tests_name("gw/time", tests, NULL, NULL);
}
