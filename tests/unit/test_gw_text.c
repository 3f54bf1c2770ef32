/* Unit test of gateway/text: tracebacks without terminal sequences, always valid UTF-8. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/text.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

static void
is(json_t *lines, const char *want)
{
	char *text = gw_text_traceback(lines);

	if (strcmp(text, want) != 0)
		fail_msg("\"%s\" instead of \"%s\"", text, want);
	mem_free(text);
	json_decref(lines);
}

static void
lines_become_text(void **state)
{
	(void)state;
	is(NULL, "");
	is(json_array(), "");
	is(json_string("no list"), "");
	is(json_pack("[s]", ""), "");
	is(json_pack("[s, s]", "a", "b"), "a\nb\n");
	is(json_pack("[s, s]", "a\n", "b\nc\n\n"), "a\nb\nc\n\n");
	is(json_pack("[s, i, n, [s], s]", "a", 1, "x", "b"), "a\nb\n");
	is(json_pack("[s, s, s]", "a", "", "b"), "a\nb\n");
	is(json_pack("[s%]", "a\0b", (size_t)3), "ab\n");
}

static void
lines_are_joined_as_they_are(void **state)
{
	json_t *lines = json_pack("[s, i, s]", "a\x1b[0m", 1, "b\n");
	char *text = gw_text_joined(lines);

	(void)state;
	assert_string_equal(text, "ab\n");
	mem_free(text);
	json_decref(lines);
}

static void
terminal_sequences_go(void **state)
{
	(void)state;
	is(json_pack("[s]", "\x1b[0;31mValueError\x1b[0m: x"), "ValueError: x\n");
	is(json_pack("[s]", "\x1b[38;5;28;01mdef\x1b[39;00m"), "def\n");
	is(json_pack("[s]", "\x1b[?25lx\x1b[K"), "x\n");
	is(json_pack("[s]", "\x1b"
	                    "Mx"),
	   "x\n");
	is(json_pack("[s]", "\x1b[mx"), "x\n");
	/* sequences that are none */
	is(json_pack("[s]", "x\x1b"), "x\n");
	is(json_pack("[s]", "x\x1b["), "x\n");
	is(json_pack("[s]", "x\x1b[1;2"), "x\n");
	is(json_pack("[s]", "\x1b\x1b[1mx"), "x\n");
	is(json_pack("[s]", "\x1b\xc3\xa9"), "\xc3\xa9\n");
	is(json_pack("[s]", "\x1b[1\xe2\x82\xac"
	                    "1"),
	   "\xe2\x82\xac"
	   "1\n");
	is(json_pack("[s]", "\x1b\n\x1b[\nx"), "\n\nx\n");
}

static void
characters_stay_whole_behind_every_start_of_a_sequence(void **state)
{
	static const char *const starts[] = {"\x1b", "\x1b[", "\x1b[1;2", "\x1b]", "\x1b(", ""};

	(void)state;
	for (unsigned c = 0x80; c < 0x110000; c += c < 0x900 ? 1 : 977) {
		char utf[5] = {0};

		if (c >= 0xd800 && c < 0xe000)
			continue;
		if (c < 0x800) {
			utf[0] = (char)(0xc0 | c >> 6);
			utf[1] = (char)(0x80 | (c & 0x3f));
		} else if (c < 0x10000) {
			utf[0] = (char)(0xe0 | c >> 12);
			utf[1] = (char)(0x80 | (c >> 6 & 0x3f));
			utf[2] = (char)(0x80 | (c & 0x3f));
		} else {
			utf[0] = (char)(0xf0 | c >> 18);
			utf[1] = (char)(0x80 | (c >> 12 & 0x3f));
			utf[2] = (char)(0x80 | (c >> 6 & 0x3f));
			utf[3] = (char)(0x80 | (c & 0x3f));
		}
		for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
			json_t *l = json_pack("[s+]", starts[i], utf);
			char *text = gw_text_traceback(l);

			assert_true(utf8_valid(text, strlen(text)));
			assert_non_null(strstr(text, utf));
			mem_free(text);
			json_decref(l);
		}
	}
}

static void
ends_are(const char *text, size_t len, size_t max, const char *want)
{
	json_t *s = gw_text_ends((struct wire_slice){text, len}, max);

	assert_non_null(s);
	assert_string_equal(json_string_value(s), want);
	json_decref(s);
}

static void
long_text_keeps_its_ends(void **state)
{
	(void)state;
	ends_are(NULL, 0, 4, "");
	ends_are("abcd", 4, 4, "abcd");
	ends_are("abcde", 5, 4, "ab\n... 1 bytes left out ...\nde");
	ends_are("abcdefghij", 10, 4, "ab\n... 6 bytes left out ...\nij");
	/* two bytes each: whole ones only */
	ends_are("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", 8, 6,
	         "\xc3\xa9\n... 4 bytes left out ...\n\xc3\xa9");
	ends_are("abcdefghij", 10, 0, "\n... 10 bytes left out ...\n");
}

static void
numbers(void **state)
{
	static const char *const no[] = {"",   " 5",  "5 ",  "+5",
	                                 "-5", "0x5", "5.0", "5e1",
	                                 "a",  "201", "1",   "99999999999999999999"};
	uint64_t n = 7;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
		assert_int_equal(gw_text_number(no[i], 2, 200, &n, &err), -EINVAL);
		assert_string_equal(err.text, "expected a number from 2 to 200");
	}
	assert_int_equal(n, 7);
	assert_int_equal(gw_text_number("2", 2, 200, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_int_equal(gw_text_number("0200", 2, 200, &n, &err), 0);
	assert_int_equal(n, 200);
	assert_int_equal(gw_text_number("18446744073709551615", 0, UINT64_MAX, &n, &err), 0);
	assert_true(n == UINT64_MAX);
	assert_int_equal(gw_text_number("18446744073709551616", 1, UINT64_MAX, &n, &err),
	                 -EINVAL);
	assert_string_equal(err.text, "expected a number from 1 on");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines_become_text),
	    cmocka_unit_test(lines_are_joined_as_they_are),
	    cmocka_unit_test(terminal_sequences_go),
	    cmocka_unit_test(numbers),
	    cmocka_unit_test(long_text_keeps_its_ends),
	    cmocka_unit_test(characters_stay_whole_behind_every_start_of_a_sequence),
	};

	return cmocka_run_group_tests_name("gw/text", tests, NULL, NULL);
}
