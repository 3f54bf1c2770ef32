/* Unit test of wire/json: what kernels write, also where it is not JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/json.h"

#define FFFD "\xef\xbf\xbd"

/* clang-format off */
static const struct {
	const char *why;
	const char *text;
	const char *want; /* compact, or NULL: no reading makes sense of it */
} cases[] = {
	{"plain",                    "{\"a\": [1, 2.5, true, null]}", "{\"a\":[1,2.5,true,null]}"},
	{"raw byte of a surrogate",  "{\"t\":\"a\x80z\"}",            "{\"t\":\"a" FFFD "z\"}"},
	{"escaped low surrogate",    "[\"\\udc80\"]",                 "[\"" FFFD "\"]"},
	{"escaped high surrogate",   "[\"\\ud83d!\"]",                "[\"" FFFD "!\"]"},
	{"high at the end",          "[\"\\uD83D\"]",                 "[\"" FFFD "\"]"},
	{"high, then high and low",  "[\"\\ud83d\\ud83d\\ude00\"]",   "[\"" FFFD "\xf0\x9f\x98\x80\"]"},
	{"low, then low",            "[\"\\ude00\\ude01\"]",         "[\"" FFFD FFFD "\"]"},
	{"low before high",          "[\"\\ude00\\ud83d\"]",          "[\"" FFFD FFFD "\"]"},
	{"high, then another escape", "[\"\\ud83d\\n\"]",             "[\"" FFFD "\\n\"]"},
	{"a pair stays",             "[\"\\ud83d\\ude00\"]",          "[\"\xf0\x9f\x98\x80\"]"},
	{"escaped backslash, then u", "[\"\\\\udc80\", NaN]",         "[\"\\\\udc80\",null]"},
	{"escaped quote, then NaN",  "[\"\\\" NaN\", NaN]",           "[\"\\\" NaN\",null]"},
	{"NUL in a value",           "[\"a\\u0000b\"]",               "[\"a\\u0000b\"]"},
	{"NUL in a key",             "{\"a\\u0000\":1}",              "{\"a" FFFD "\":1}"},
	{"NaN and infinities",       "[NaN, Infinity, -Infinity]",    "[null,null,null]"},
	{"words in strings stay",    "{\"NaN\":\"Infinity\",\"x\":NaN}", "{\"NaN\":\"Infinity\",\"x\":null}"},
	{"last 64-bit integers",     "[9223372036854775807,-9223372036854775808]", "[9223372036854775807,-9223372036854775808]"},
	{"one past them",            "[9223372036854775808,-9223372036854775809]", "[9.2233720368547758e18,-9.2233720368547758e18]"},
	{"small beside big",         "[3,99999999999999999999]",      "[3,1e20]"},
	{"real out of range",        "[1e999,-1e999,1.5]",            "[null,null,1.5]"},
	{"top level null",           "null",                          "null"},
	{"white space",              " \n{ \"a\"\t:\r[ ] , \"b\" : { } } ", "{\"a\":[],\"b\":{}}"},
	{"every escape",             "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\"]", "[\"\\\"\\\\/\\b\\f\\n\\r\\tA\xc3\xa9\xe2\x82\xac\"]"},
	{"an escaped key",           "{\"a\\nb\":\"c\\nd\"}",         "{\"a\\nb\":\"c\\nd\"}"},
	{"long run, then an escape", "[\"0123456789abcdef\\n0123456789\x7f\"]", "[\"0123456789abcdef\\n0123456789\x7f\"]"},
	{"numbers",                  "[0,-0,-1,1e2,1.5E+1,25e-2,0.5]", "[0,0,-1,100.0,15.0,0.25,0.5]"},
	{"underflow",                "[1e-999]",                      "[0.0]"},
	{"duplicate keys",           "{\"a\":1,\"a\":2}",             "{\"a\":2}"},
	{"empty",                    "",                              NULL},
	{"two values",               "{} {}",                         NULL},
	{"cut",                      "{\"a\":\"b",                    NULL},
	{"cut escape",               "[\"\\u12",                      NULL},
	{"cut in a pair",            "[\"\\ud83d\\ude",               NULL},
	{"no hex",                   "[\"\\uzzzz\"]",                 NULL},
	{"unknown word",             "[nan]",                         NULL},
	{"word with a tail",         "[NaNa]",                        NULL},
	{"lone minus",               "[-]",                           NULL},
	{"raw control character",    "[\"a\nb\"]",                    NULL},
	{"trailing comma",           "[1,]",                          NULL},
	{"leading zero",             "[01]",                          NULL},
	{"no digit after the point", "[1.]",                          NULL},
	{"no digit before it",       "[.5]",                          NULL},
	{"no exponent",              "[1e]",                          NULL},
	{"plus",                     "[+1]",                          NULL},
	{"minus word",               "[-null]",                       NULL},
	{"cut word",                 "[tru",                          NULL},
	{"unknown escape",           "[\"\\x\"]",                      NULL},
	{"cut backslash",            "[\"a\\",                        NULL},
	{"control after a long run", "[\"0123456789abcde\t\"]",       NULL},
	{"no comma",                 "[1 2]",                         NULL},
	{"no colon",                 "{\"a\" 1}",                     NULL},
	{"no key",                   "{1:2}",                         NULL},
	{"comma before the end",     "{\"a\":1,}",                    NULL},
	{"other bracket",            "[1}",                           NULL},
	{"not closed",               "[[1]",                          NULL},
	{"bytes outside of strings", "[\xc3\xa9]",                    NULL},
	{"pickle",                   "\x80\x04\x95.",                 NULL},
};
/* clang-format on */

static void
table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *v = wire_json_parse(cases[i].text, strlen(cases[i].text));
		char *got = v == NULL ? NULL : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

		if ((got == NULL) != (cases[i].want == NULL) ||
		    (got != NULL && strcmp(got, cases[i].want) != 0))
			fail_msg("%s: %s", cases[i].why, got == NULL ? "refused" : got);
		free(got);
		json_decref(v);
	}
}

static void
integer_of_400_digits_is_null(void **state)
{
	(void)state;
	for (size_t digits = 300; digits <= 500; digits += 100) {
		char text[600] = "[";
		json_t *v;

		memset(text + 1, '9', digits);
		memcpy(text + 1 + digits, "]", 2);
		v = wire_json_parse(text, digits + 2);
		assert_int_equal(json_typeof(json_array_get(v, 0)),
		                 digits == 300 ? JSON_REAL : JSON_NULL);
		json_decref(v);
	}
}

/* inner in depth arrays, owned by the caller. */
static char *
nested(size_t depth, char inner, size_t *ret_len)
{
	size_t len = 2 * depth + 1;
	char *text = malloc(len);

	assert_non_null(text);
	memset(text, '[', depth);
	text[depth] = inner;
	memset(text + depth + 1, ']', depth);
	*ret_len = len;
	return text;
}

static void
nesting_has_a_limit(void **state)
{
	(void)state;
	const struct {
		size_t depth;
		char inner;
		int taken;
	} depths[] = {{2000, '1', 1}, {3000, '1', 0}, {1000000, '1', 0}, {2000, '?', 0}};

	for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		size_t len = 0;
		char *text = nested(depths[i].depth, depths[i].inner, &len);
		json_t *v = wire_json_parse(text, len);

		assert_int_equal(v != NULL, depths[i].taken);
		json_decref(v);
		free(text);
	}
}

/* Runs are found eight bytes at a time: what ends one may be anywhere in them. */
static void
spans(void **state)
{
	static const char ends[] = {'"', '\\', '\n', '\0', '\x1f'};
	char text[40];

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		memset(text, '\xe9', sizeof(text));
		assert_int_equal(wire_json_span(text, len), len);
		memset(text, '!', sizeof(text));
		assert_int_equal(wire_json_span(text, len), len);
		for (size_t i = 0; i < sizeof(ends); i++) {
			text[len] = ends[i];
			assert_int_equal(wire_json_span(text, sizeof(text)), len);
		}
	}
}

static void
big_strings_are_whole(void **state)
{
	const size_t len = (size_t)1 << 20;
	char *text = malloc(len);

	(void)state;
	assert_non_null(text);
	for (int escaped = 0; escaped < 2; escaped++) {
		json_t *v;

		memset(text, 'x', len);
		text[0] = text[len - 1] = '"';
		if (escaped != 0)
			memcpy(text + len / 2, "\\t", 2);
		v = wire_json_parse(text, len);
		assert_int_equal(json_string_length(v), len - 2 - (size_t)escaped);
		assert_int_equal(strspn(json_string_value(v), "x"),
		                 escaped != 0 ? len / 2 - 1 : len - 2);
		json_decref(v);
	}
	free(text);
}

static void
values_are_counted(void **state)
{
	static const struct {
		const char *text;
		size_t n; /* at most so many */
	} counts[] = {
	    {"1", 1},
	    {"[1,2,3]", 4},
	    {"{\"a\":1,\"b\":{\"c\":[2]}}", 5},
	    {"\",,,[[[{{{\"", 1},
	    {"[\"a\\\",\",\",\"]", 3},
	    {"[\"\\\\\",\"[\"]", 3},
	    {"\"no end, [", 1},
	    {"\"no end\\", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		size_t len = strlen(counts[i].text);

		assert_true(wire_json_is_few(counts[i].text, len, counts[i].n));
		assert_false(wire_json_is_few(counts[i].text, len, counts[i].n - 1));
	}
}

/* Strings are found without values where there would be an object, and as they would be. */
static void
members_are_picked(void **state)
{
	(void)state;
	/* clang-format off */
	static const struct { const char *text, *want; } picks[] = {
		{"{}",                                      ""},
		{" {\"id\" : \"x\"} ",                      "x"},
		{"{\"other\":{\"id\":\"no\"},\"id\":\"x\"}",  "x"},
		{"{\"l\":[{\"id\":\"no\"},\"id\"]}",        ""},
		{"{\"id\":\"x\",\"id\":7}",                ""},
		{"{\"id\":null,\"id\":\"y\"}",             "y"},
		{"{\"\\u0069d\":\"\\u00e9\\n\"}",          "\xc3\xa9\n"},
		{"{\"id\":\"a\\u0000b\"}",                 "a"},
		{"{\"id\":\"123456789\"}",                "1234567"},
		{"{\"id\":\"12345\xe2\x82\xac\"}",        "12345"},
		{"{\"id\":\"\xff\"}",                     FFFD},
		{"{\"ida\":\"a\",\"i\":\"b\"}",            ""},
	};
	/* clang-format on */
	char got[8];
	const struct wire_json_pick pick = {"id", got, sizeof(got)};

	for (size_t i = 0; i < sizeof(picks) / sizeof(picks[0]); i++) {
		assert_int_equal(wire_json_pick(picks[i].text, strlen(picks[i].text), &pick, 1),
		                 0);
		assert_string_equal(got, picks[i].want);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool object = cases[i].want != NULL && cases[i].want[0] == '{';
		int rc = wire_json_pick(cases[i].text, strlen(cases[i].text), &pick, 1);

		if ((rc == 0) != object)
			fail_msg("%s", cases[i].why);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table),
	    cmocka_unit_test(integer_of_400_digits_is_null),
	    cmocka_unit_test(nesting_has_a_limit),
	    cmocka_unit_test(spans),
	    cmocka_unit_test(values_are_counted),
	    cmocka_unit_test(members_are_picked),
	    cmocka_unit_test(big_strings_are_whole),
	};

	return cmocka_run_group_tests_name("wire/json", tests, NULL, NULL);
}
