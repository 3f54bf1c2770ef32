/* Unit test of gateway/range: Range headers, and lines of a text in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/range.h"

static void
ranges(void **state)
{
	static const struct {
		const char *value;
		uint64_t size;
		enum gw_range kind;
		uint64_t first, len;
	} cases[] = {
	    {NULL, 10, GW_RANGE_WHOLE, 0, 0},
	    {"", 10, GW_RANGE_WHOLE, 0, 0},
	    {"bytes=0-0", 10, GW_RANGE_PART, 0, 1},
	    {"bytes=0-9", 10, GW_RANGE_PART, 0, 10},
	    {"bytes=2-4", 10, GW_RANGE_PART, 2, 3},
	    {"BYTES=2-4", 10, GW_RANGE_PART, 2, 3},
	    {"bytes= 2-4 ", 10, GW_RANGE_PART, 2, 3},
	    {"bytes=2-", 10, GW_RANGE_PART, 2, 8},
	    {"bytes=2-99999999999999999999999", 10, GW_RANGE_PART, 2, 8},
	    {"bytes=-3", 10, GW_RANGE_PART, 7, 3},
	    {"bytes=-11", 10, GW_RANGE_PART, 0, 10},
	    {"bytes=-99999999999999999999999", 10, GW_RANGE_PART, 0, 10},
	    {"bytes=0-", UINT64_MAX, GW_RANGE_PART, 0, UINT64_MAX},
	    /* behind the end */
	    {"bytes=10-", 10, GW_RANGE_NONE, 0, 0},
	    {"bytes=10-12", 10, GW_RANGE_NONE, 0, 0},
	    {"bytes=-0", 10, GW_RANGE_NONE, 0, 0},
	    {"bytes=0-0", 0, GW_RANGE_NONE, 0, 0},
	    {"bytes=-1", 0, GW_RANGE_NONE, 0, 0},
	    {"bytes=99999999999999999999999-", UINT64_MAX, GW_RANGE_NONE, 0, 0},
	    {"bytes=10-,-0", 10, GW_RANGE_NONE, 0, 0},
	    /* several: the first that can be had */
	    {"bytes=1-2,4-5", 10, GW_RANGE_PART, 1, 2},
	    {"bytes=20-30, 4-5", 10, GW_RANGE_PART, 4, 2},
	    {"bytes=,,1-2 ,", 10, GW_RANGE_PART, 1, 2},
	    /* what is no range is ignored */
	    {"bytes", 10, GW_RANGE_WHOLE, 0, 0},
	    {"bytes=", 10, GW_RANGE_WHOLE, 0, 0},
	    {"bytes=,", 10, GW_RANGE_WHOLE, 0, 0},
	    {"bytes=-", 10, GW_RANGE_WHOLE, 0, 0},
	    {"bytes=5", 10, GW_RANGE_WHOLE, 0, 0},
	    {"bytes=4-2", 10, GW_RANGE_WHOLE, 0, 0},
	    {"bytes=1--2", 10, GW_RANGE_WHOLE, 0, 0},
	    {"bytes=1-2-", 10, GW_RANGE_WHOLE, 0, 0},
	    {"bytes=a-b", 10, GW_RANGE_WHOLE, 0, 0},
	    {"bytes=+1-2", 10, GW_RANGE_WHOLE, 0, 0},
	    {"bytes=1 -2", 10, GW_RANGE_WHOLE, 0, 0},
	    {"bytes=1-2;4-5", 10, GW_RANGE_WHOLE, 0, 0},
	    {"bytes=1-2,x", 10, GW_RANGE_WHOLE, 0, 0},
	    {"lines=1-2", 10, GW_RANGE_WHOLE, 0, 0},
	    {" bytes=1-2", 10, GW_RANGE_WHOLE, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t first = 0, len = 0;
		enum gw_range got = gw_range_parse(cases[i].value, cases[i].size, &first, &len);

		if (got != cases[i].kind || first != cases[i].first || len != cases[i].len)
			fail_msg("%s of %llu: %d %llu+%llu", cases[i].value,
			         (unsigned long long)cases[i].size, (int)got,
			         (unsigned long long)first, (unsigned long long)len);
	}
}

/* The lines that come out of text when it is given in pieces of step bytes. */
static void
check_lines(const char *text, uint64_t skip, uint64_t left, size_t step, const char *want)
{
	struct gw_range_lines l = {skip, left};
	size_t len = strlen(text), got_len = 0;
	char *got = calloc(1, len + 1);

	for (size_t i = 0; i < len; i += step) {
		size_t n = len - i < step ? len - i : step, data_len;
		const char *data;
		bool more = gw_range_lines_step(&l, text + i, n, &data, &data_len);

		assert_true(data >= text + i && data + data_len <= text + i + n);
		memcpy(got + got_len, data, data_len);
		got_len += data_len;
		if (!more)
			break;
	}
	assert_string_equal(got, want);
	free(got);
}

static void
lines(void **state)
{
	static const struct {
		const char *text;
		uint64_t skip, left;
		const char *want;
	} cases[] = {
	    {"a\nb\nc\n", 0, UINT64_MAX, "a\nb\nc\n"},
	    {"a\nb\nc\n", 1, UINT64_MAX, "b\nc\n"},
	    {"a\nb\nc\n", 1, 1, "b\n"},
	    {"a\nb\nc\n", 0, 2, "a\nb\n"},
	    {"a\nb\nc", 2, 5, "c"},
	    {"a\nb\nc", 2, 1, "c"},
	    {"a\nb\nc\n", 3, 5, ""},
	    {"a\nb\nc", 7, 1, ""},
	    {"a\nb", 0, 0, ""},
	    {"\n\n\n", 1, 1, "\n"},
	    {"a\r\nb\rc\nd", 1, 1, "b\rc\n"},
	    {"", 0, 3, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step < 8; step++)
			check_lines(cases[i].text, cases[i].skip, cases[i].left, step,
			            cases[i].want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ranges),
	    cmocka_unit_test(lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
