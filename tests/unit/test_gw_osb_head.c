/* Unit test of gateway/dialects/osb_head: names in headers, and what the client knows already. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "gateway/dialects/osb_head.h"
#include "tests/fuzz/fake_edge.h"
#include "wire/base/buf.h"

static void
names(void **state)
{
	static const struct {
		const char *path, *want;
	} cases[] = {
	    {"a.txt", "attachment; filename=\"a.txt\""},
	    {"/x y/a b;c=d.txt", "attachment; filename=\"a b;c=d.txt\""},
	    {"d/", "attachment; filename=\"\""},
	    {"a\"b\\c", "attachment; filename=\"a_b_c\"; filename*=UTF-8''a%22b%5Cc"},
	    {"a\r\nb: c", "attachment; filename=\"a__b: c\"; filename*=UTF-8''a%0D%0Ab%3A%20c"},
	    {"\xc3\xa4", "attachment; filename=\"__\"; filename*=UTF-8''%C3%A4"},
	    {"100%", "attachment; filename=\"100_\"; filename*=UTF-8''100%25"},
	    {"'*~!", "attachment; filename=\"'*~!\""},
	    {"'*~\x7f", "attachment; filename=\"'*~_\"; filename*=UTF-8''%27%2A~%7F"},
	};
	struct buf got;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_init(&got, 2048);
		gw_osb_head_disposition(cases[i].path, &got);
		assert_string_equal(got.data, cases[i].want);
		buf_fini(&got);
	}
}

static void
tags(void **state)
{
	static const struct {
		const char *list;
		bool has;
	} cases[] = {
	    {"\"t\"", true},           {"W/\"t\"", true},    {"\"a\", \"t\"", true},
	    {"\"a\",W/\"t\",", true},  {" , \"t\"", true},   {"*", true},
	    {"\"a,\\\", \"t\"", true}, {"", false},          {"t", false},
	    {"\"tt\"", false},         {"\"a,\"t\"", false}, {"\"T\"", false},
	    {"w/\"t\"", false},        {"\"", false},        {"W/", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (gw_osb_head_has_tag(cases[i].list, "\"t\"") != cases[i].has)
			fail_msg("%s", cases[i].list);
}

/* The head of a file changed at 1,000,000,000.5 s, for a client with one header more. */
static void
ask(const char *name, const char *value, bool *is_known, bool *may_range)
{
	const struct fake_pair headers[] = {{name, value}, {NULL, NULL}};
	struct stat st = {.st_ino = 7, .st_size = 10};
	struct gw_http x;
	struct gw_osb_head h;

	st.st_mtim = (struct timespec){1000000000, 500000000};
	fake_http_init(&x, "GET", "/");
	x.headers = headers;
	gw_osb_head_init(&h, &x, &st);
	assert_string_equal(h.date, "Sun, 09 Sep 2001 01:46:40 GMT");
	assert_string_equal(h.etag, "\"7-3b9aca001dcd6500-a\"");
	*is_known = gw_osb_head_is_known(&h);
	*may_range = gw_osb_head_may_range(&h);
	fake_http_fini(&x);
}

static void
conditions(void **state)
{
	static const struct {
		const char *name, *value;
		bool known, range;
	} cases[] = {
	    {NULL, NULL, false, true},
	    {"if-none-match", "\"7-3b9aca001dcd6500-a\"", true, true},
	    {"if-none-match", "\"7\"", false, true},
	    {"if-modified-since", "Sun, 09 Sep 2001 01:46:40 GMT", true, true},
	    {"if-modified-since", "Sun, 09 Sep 2001 01:46:41 GMT", true, true},
	    {"if-modified-since", "Sun, 09 Sep 2001 01:46:39 GMT", false, true},
	    {"if-modified-since", "Sun, 09 Sep 2001 01:46:41 GMT, or so", false, true},
	    {"if-modified-since", "", false, true},
	    {"if-range", "\"7-3b9aca001dcd6500-a\"", false, true},
	    {"if-range", "W/\"7-3b9aca001dcd6500-a\"", false, false},
	    {"if-range", "\"7\"", false, false},
	    {"if-range", "Sun, 09 Sep 2001 01:46:40 GMT", false, true},
	    {"if-range", "Sun, 09 Sep 2001 01:46:41 GMT", false, false},
	    {"if-range", "", false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool known, range;

		ask(cases[i].name, cases[i].value, &known, &range);
		if (known != cases[i].known || range != cases[i].range)
			fail_msg("%s: %s", cases[i].name, cases[i].value);
	}
}

/* A year that no date can tell. */
static void
a_file_of_no_time(void **state)
{
	struct stat st = {.st_mtim = {INT64_MAX, 0}};
	struct gw_http x;
	struct gw_osb_head h;

	(void)state;
	fake_http_init(&x, "GET", "/");
	gw_osb_head_init(&h, &x, &st);
	assert_string_equal(h.date, "");
	gw_osb_head_add(&h);
	assert_null(strstr(x.added.data, "Last-Modified"));
	fake_http_fini(&x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names),
	    cmocka_unit_test(tags),
	    cmocka_unit_test(conditions),
	    cmocka_unit_test(a_file_of_no_time),
	};

	return cmocka_run_group_tests_name("gw/osb_head", tests, NULL, NULL);
}
