/* Unit test of wire/json_put: what is written is what jansson writes, and reads the same again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/base/buf.h"
#include "wire/json.h"
#include "wire/json_put.h"

/* clang-format off */
static const struct {
	const char *text;  /* JSON, as it is written where nothing more is escaped */
	const char *ascii; /* NULL: the same */
	const char *lines; /* NULL: the same as text */
} cases[] = {
	{"{}", NULL, NULL},
	{"[]", NULL, NULL},
	{"[1,-9223372036854775808,9223372036854775807,0.5,1e20,true,false,null]", NULL, NULL},
	{"{\"b\":{\"c\":[[],{}]},\"a\":\"\"}", NULL, NULL},
	{"\"\\\"\\\\\\n\\r\\t\\b\\f\\u0000\\u001f\x7f/\"", NULL, NULL},
	{"{\"k\\n\xc3\xa9\":1}", "{\"k\\n\\u00e9\":1}", NULL},
	{"\"a long run of plain text \xe2\x82\xac and more\"", "\"a long run of plain text \\u20ac and more\"", NULL},
	{"\"\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\xc2\x80\"", "\"\\ud83d\\ude00\\udbff\\udfff\\u0080\"", NULL},
	{"\"\xe2\x80\xa8\\n\xe2\x80\xa9\"", "\"\\u2028\\n\\u2029\"", "\"\\u2028\\n\\u2029\""},
	{"\"\xc2\x84\xc2\x85\xc2\x86\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\"",
	 "\"\\u0084\\u0085\\u0086\\u2027\\u2028\\u2029\\u202a\"",
	 "\"\xc2\x84\\u0085\xc2\x86\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa\""},
	{"{\"\xe2\x80\xa8\":[\"0123456789\xc2\x85\"]}", "{\"\\u2028\":[\"0123456789\\u0085\"]}",
	 "{\"\\u2028\":[\"0123456789\\u0085\"]}"},
	/* Bytes of these are part of others. */
	{"\"\xe2\x81\xa8\xe2\x84\xa9\xc3\x85\xf0\x9f\x80\xa8\"", "\"\\u2068\\u2129\\u00c5\\ud83c\\udc28\"", NULL},
};
/* clang-format on */

static void
table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *v = wire_json_parse(cases[i].text, strlen(cases[i].text));

		assert_non_null(v);
		for (int how = WIRE_JSON_PLAIN; how <= WIRE_JSON_LINES; how++) {
			const char *want = how == WIRE_JSON_ASCII   ? cases[i].ascii
			                   : how == WIRE_JSON_LINES ? cases[i].lines
			                                            : NULL;
			struct buf b;
			json_t *again;

			if (want == NULL)
				want = cases[i].text;
			buf_init(&b, 1000);
			assert_int_equal(wire_json_put(&b, v, (enum wire_json_escape)how), 0);
			assert_string_equal(b.data, want);
			again =
			    json_loadb(b.data, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
			assert_true(json_equal(v, again));
			json_decref(again);
			buf_fini(&b);
		}
		json_decref(v);
	}
}

static void
members_have_no_braces(void **state)
{
	json_t *v = wire_json_parse("{\"a\":1,\"b\":[2]}", 15);
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(wire_json_put_members(&b, v, WIRE_JSON_PLAIN), 0);
	assert_string_equal(b.data, "\"a\":1,\"b\":[2]");
	json_decref(v);
	buf_fini(&b);
}

static void
nothing_is_an_empty_string(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(
	    wire_json_put_string(&b, (struct wire_slice){NULL, 0}, WIRE_JSON_ASCII), 0);
	assert_string_equal(b.data, "\"\"");
	buf_fini(&b);
}

/* The room ends after each byte once. */
static void
a_full_buffer_is_told(void **state)
{
	static const char text[] =
	    "{\"a\":[1,0.5,true,false,null,\"x\\n\xc3\xa9\xf0\x9f\x98\x80\"],\"b\":{}}";

	(void)state;
	for (int how = WIRE_JSON_PLAIN; how <= WIRE_JSON_ASCII; how++) {
		json_t *v = wire_json_parse(text, strlen(text));
		size_t room = 0;
		int rc;

		do {
			struct buf b;

			buf_init(&b, room++);
			rc = wire_json_put(&b, v, (enum wire_json_escape)how);
			assert_true(rc == 0 || rc == -EMSGSIZE);
			buf_fini(&b);
		} while (rc != 0 && room < 200);
		assert_int_equal(rc, 0);
		assert_int_equal(room - 1,
		                 how == WIRE_JSON_ASCII ? strlen(text) + 12 : strlen(text));
		json_decref(v);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table),
	    cmocka_unit_test(members_have_no_braces),
	    cmocka_unit_test(nothing_is_an_empty_string),
	    cmocka_unit_test(a_full_buffer_is_told),
	};

	return cmocka_run_group_tests_name("wire/json_put", tests, NULL, NULL);
}
