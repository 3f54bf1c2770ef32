/* Unit test of kernelmgr/cause: what a client is told about an end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernelmgr/cause.h"
#include "kernelmgr/launcher.h"
#include "wire/base/utf8.h"

static void
exits(void **state)
{
	static const struct {
		int how;
		const char *expect;
	} cases[] = {
	    {0, "exit code 0"},          {3, "exit code 3"},
	    {139, "exit code 139"},      {KM_SIGNALLED + 9, "signal 9"},
	    {-1, "the process is gone"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[KM_CAUSE_MAX];

		km_cause_exit(cases[i].how, out);
		assert_string_equal(out, cases[i].expect);
	}
}

static void
quotes(void **state)
{
	static const struct {
		const char *tail, *expect;
	} cases[] = {
	    {"", "x"},
	    {" \n\t\n", "x"},
	    {"one\n", "x: one"},
	    {"one\n  two\r\n\n\nthree\n", "x: one two three"},
	    {"a\033[1;31mred\033[0m b", "x: ared b"},
	    {"\033[", "x"},
	    {"\033[12", "x"},
	    {"a\033", "x: a"},
	    {"a\x7f\x01z", "x: a z"},
	    {"caf\xc3\xa9", "x: caf\xc3\xa9"},
	    {"bad \xff byte", "x: bad \xef\xbf\xbd byte"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[KM_CAUSE_MAX] = "x";

		km_cause_quote(out, cases[i].tail);
		assert_string_equal(out, cases[i].expect);
	}
}

static void
keeps_the_end(void **state)
{
	static const char *const fills[] = {"x", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
	                                    "\xff"};

	(void)state;
	for (size_t f = 0; f < sizeof(fills) / sizeof(fills[0]); f++) {
		char out[KM_CAUSE_MAX] = "exit code 1", tail[9000] = "START ";
		size_t len = strlen(tail);

		while (len < 8000)
			len += (size_t)snprintf(tail + len, sizeof(tail) - len, "%s", fills[f]);
		(void)snprintf(tail + len, sizeof(tail) - len, "%s No module named 'x'\n",
		               f % 2 == 0 ? "" : "y");
		km_cause_quote(out, tail);
		assert_true(strncmp(out, "exit code 1: ... ", 17) == 0);
		assert_null(strstr(out, "START"));
		assert_true(utf8_valid(out, strlen(out)));
		if (fills[f][0] != '\xff') /* each grows threefold: cut at the end, too */
			assert_string_equal(out + strlen(out) - 3, "'x'");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(exits),
	    cmocka_unit_test(quotes),
	    cmocka_unit_test(keeps_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
