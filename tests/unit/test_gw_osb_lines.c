/* Unit test of gateway/dialects/osb_lines: output as lines, however it was cut on its way. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/dialects/osb_lines.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define MAX 8

struct tape {
	struct buf text; /* [line] after [line] */
	unsigned lines_n;
	unsigned fail_at; /* the line of this number is refused; 0: none */
};

static int
on_line(void *arg, struct wire_slice text)
{
	struct tape *t = arg;

	assert_true(text.len > 0);
	assert_true(utf8_valid(text.ptr, text.len));
	assert_int_equal(buf_append(&t->text, "[", 1), 0);
	assert_int_equal(buf_append(&t->text, text.ptr, text.len), 0);
	assert_int_equal(buf_append(&t->text, "]", 1), 0);
	return ++t->lines_n == t->fail_at ? -EMSGSIZE : 0;
}

/* The lines of data, fed step bytes at a time. */
static void
lines_are(const char *data, size_t len, size_t step, const char *want, size_t want_len)
{
	struct tape t = {.lines_n = 0};
	struct gw_osb_lines l;

	buf_init(&t.text, 1 << 20);
	gw_osb_lines_init(&l, MAX, on_line, &t);
	for (size_t i = 0; i < len; i += step)
		assert_int_equal(
		    gw_osb_lines_put(&l, data + i, step < len - i ? step : len - i), 0);
	assert_int_equal(gw_osb_lines_end(&l), 0);
	if (t.text.len != want_len || memcmp(t.text.data, want, want_len) != 0)
		fail_msg("steps of %zu: %s instead of %s", step, t.text.data, want);
	gw_osb_lines_fini(&l);
	buf_fini(&t.text);
}

#define S(text) text, sizeof(text) - 1

static void
output_becomes_lines(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		const char *want;
		size_t want_len;
		const char *why;
	} cases[] = {
	    {S(""), S(""), "nothing"},
	    {S("a\nb\n"), S("[a][b]"), "lines"},
	    {S("a\nb"), S("[a][b]"), "the last one has no end"},
	    {S("\n\n"), S("[\n][\n]"), "empty lines"},
	    {S("a\n\nb\n"), S("[a][\n][b]"), "one between two"},
	    {S("a\r\nb\r\n"), S("[a][b]"), "\\r\\n is one end"},
	    {S("\r\n\r\n"), S("[\n][\n]"), "of an empty line too"},
	    {S("10\r20\r30\n"), S("[10][20][30]"), "progress"},
	    {S("a\n\rb"), S("[a][\n][b]"), "\\n\\r is two ends"},
	    {S("a\r\r\nb"), S("[a][\n][b]"), "an end, and one more"},
	    {S("\0a\0\n\0"), S("[\0a\0][\0]"), "NUL is text"},
	    {S("12345678\n"), S("[12345678]"), "just as long as it may be"},
	    {S("12345678"), S("[12345678]"), "without an end"},
	    {S("123456789\n"), S("[12345678][9]"), "longer: two pieces"},
	    {S("1234567812345678\n\n"), S("[12345678][12345678][\n]"), "no empty third"},
	    {S("1234567812345678\r\nx"), S("[12345678][12345678][x]"), "nor with \\r\\n"},
	    {S("1234567\xc3\xa9\n"), S("[1234567][\xc3\xa9]"), "cut between characters"},
	    {S("12345\xf0\x9f\x98\x80\n"), S("[12345][\xf0\x9f\x98\x80]"), "of four bytes"},
	    {S("123456\xe2\x82\xac\xe2\x82\xac"), S("[123456][\xe2\x82\xac\xe2\x82\xac]"),
	     "of three"},
	    {S("\xff\xfe\n\xc3\n"), S("[\xef\xbf\xbd\xef\xbf\xbd][\xef\xbf\xbd]"),
	     "no UTF-8: repaired"},
	    {S("a\xe2\x82"), S("[a\xef\xbf\xbd\xef\xbf\xbd]"), "a character without its end"},
	    {S("\x80\x80\x80\x80\x80\x80\x80\x80\x80"),
	     S("[\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
	       "\xef\xbf\xbd\xef\xbf\xbd][\xef\xbf\xbd]"),
	     "repaired text is longer than max"},
	    {S("a\xe2\x80\xa8"
	       "b\xc2\x85\n"),
	     S("[a\xe2\x80\xa8"
	       "b\xc2\x85]"),
	     "Unicode's line ends are text"},
	    {S("\v\f\x1c\n"), S("[\v\f\x1c]"), "and so is what Python takes for them"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step <= cases[i].len + 1; step++)
			lines_are(cases[i].data, cases[i].len, step, cases[i].want,
			          cases[i].want_len);
}

/* A line is not held back until the next byte. */
static void
a_line_is_given_at_its_end(void **state)
{
	struct tape t = {.lines_n = 0};
	struct gw_osb_lines l;

	(void)state;
	buf_init(&t.text, 1 << 10);
	gw_osb_lines_init(&l, MAX, on_line, &t);
	assert_int_equal(gw_osb_lines_put(&l, "50%\r", 4), 0);
	assert_int_equal(t.lines_n, 1);
	assert_int_equal(gw_osb_lines_put(&l, "a\n", 2), 0);
	assert_int_equal(t.lines_n, 2);
	gw_osb_lines_fini(&l);
	buf_fini(&t.text);
}

static void
a_refused_line_ends_the_call(void **state)
{
	struct tape t = {.fail_at = 2};
	struct gw_osb_lines l;

	(void)state;
	buf_init(&t.text, 1 << 10);
	gw_osb_lines_init(&l, MAX, on_line, &t);
	assert_int_equal(gw_osb_lines_put(&l, "a\nb\nc\n", 6), -EMSGSIZE);
	assert_int_equal(t.lines_n, 2);
	gw_osb_lines_fini(&l);
	buf_fini(&t.text);
}

static void
a_last_character_may_go_on(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		size_t want;
	} cases[] = {
	    {"", 0, 0},
	    {"abc", 3, 3},
	    {"a\xc3", 2, 1},
	    {"a\xc3\xa9", 3, 3},
	    {"a\xe2\x82", 3, 1},
	    {"a\xf0\x9f\x98", 4, 1},
	    {"\xf0\x9f\x98\x80", 4, 4},
	    {"a\x80\x80", 3, 3},
	    {"a\xff", 2, 2},
	    {"\x80\x80\x80\x80", 4, 4},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(gw_osb_lines_whole(cases[i].text, cases[i].len),
		                 cases[i].want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(output_becomes_lines),
	    cmocka_unit_test(a_line_is_given_at_its_end),
	    cmocka_unit_test(a_refused_line_ends_the_call),
	    cmocka_unit_test(a_last_character_may_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
