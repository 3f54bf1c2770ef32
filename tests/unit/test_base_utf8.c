/* Unit test of wire/base/utf8: Unicode's table 3-7, and what is outside it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/base/buf.h"
#include "wire/base/utf8.h"

#define FFFD "\xef\xbf\xbd"

static const struct {
	const char *why;
	const char *bytes;
	size_t span; /* valid bytes at the start */
	const char *repaired;
} cases[] = {
    {"empty", "", 0, ""},
    {"ascii", "hello, world: more than eight bytes", 35, "hello, world: more than eight bytes"},
    {"two, three, four bytes", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9,
     "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
    {"lowest and highest of each length",
     "\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 18,
     "\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
    {"around the surrogates", "\xed\x9f\xbf\xee\x80\x80", 6, "\xed\x9f\xbf\xee\x80\x80"},
    {"raw byte of ipykernel", "a\x80z", 1, "a" FFFD "z"},
    {"surrogate", "\xed\xa0\x80", 0, FFFD FFFD FFFD},
    {"overlong slash", "\xc0\xaf", 0, FFFD FFFD},
    {"overlong of three", "\xe0\x9f\xbf", 0, FFFD FFFD FFFD},
    {"overlong of four", "\xf0\x8f\xbf\xbf", 0, FFFD FFFD FFFD FFFD},
    {"above U+10FFFF", "\xf4\x90\x80\x80", 0, FFFD FFFD FFFD FFFD},
    {"never a first byte", "\xf5\xfe\xff", 0, FFFD FFFD FFFD},
    {"cut two", "12345678\xc3", 8, "12345678" FFFD},
    {"cut three", "\xe2\x82", 0, FFFD FFFD},
    {"cut four", "\xf0\x9f\x98", 0, FFFD FFFD FFFD},
    {"bad after good eight", "abcdefgh\xffijklmnop", 8, "abcdefgh" FFFD "ijklmnop"},
    {"new character inside one", "\xe2\xc3\xa9", 0, FFFD "\xc3\xa9"},
};

static void
table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].bytes);
		struct buf out;

		if (utf8_span(cases[i].bytes, len) != cases[i].span)
			fail_msg("span of: %s", cases[i].why);
		buf_init(&out, 100);
		assert_int_equal(utf8_repair(&out, cases[i].bytes, len), 0);
		if (strcmp(out.data, cases[i].repaired) != 0)
			fail_msg("repair of: %s", cases[i].why);
		assert_true(utf8_valid(out.data, out.len));
		buf_fini(&out);
	}
}

static void
nul_is_a_character(void **state)
{
	(void)state;
	assert_true(utf8_valid("a\0b", 3));
	assert_true(utf8_valid(NULL, 0));
}

static void
ceiling_is_kept(void **state)
{
	(void)state;
	struct buf out;

	buf_init(&out, 2);
	assert_int_equal(utf8_repair(&out, "\xff", 1), -EMSGSIZE);
	assert_int_equal(utf8_repair(&out, "abc", 3), -EMSGSIZE);
	buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table),
	    cmocka_unit_test(nul_is_a_character),
	    cmocka_unit_test(ceiling_is_kept),
	};

	return cmocka_run_group_tests_name("wire/base/utf8", tests, NULL, NULL);
}
