/* Unit test of kernelmgr/zygote_msg: what a zygote may say, and what it is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "kernelmgr/zygote_msg.h"
#include "wire/base/mem.h"

static void
answers(void **state)
{
	static const struct {
		const char *text;
		enum km_zygote_word word;
		unsigned n;
		pid_t pid;
		const char *why;
	} cases[] = {
	    {"{\"ready\": true}", KM_ZYGOTE_READY, 0, 0, ""},
	    {"{\"ready\": true, \"more\": 1}", KM_ZYGOTE_READY, 0, 0, ""},
	    {"{\"n\": 7, \"pid\": 123}", KM_ZYGOTE_FORKED, 7, 123, ""},
	    {"{\"n\": 4294967295, \"pid\": 2147483647}", KM_ZYGOTE_FORKED, 4294967295U,
	     2147483647, ""},
	    {"{\"n\": 1, \"error\": \"no \\\"fork\\\"\"}", KM_ZYGOTE_REFUSED, 1, 0,
	     "no \"fork\""},
	    {"{\"n\": 1, \"error\": \"\"}", KM_ZYGOTE_REFUSED, 1, 0, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct km_zygote_msg m;

		if (km_zygote_msg_parse(cases[i].text, strlen(cases[i].text), &m) != 0)
			fail_msg("%s", cases[i].text);
		assert_int_equal(m.word, cases[i].word);
		assert_int_equal(m.n, cases[i].n);
		assert_int_equal(m.pid, cases[i].pid);
		assert_string_equal(m.why, cases[i].why);
	}
}

static void
broken_answers(void **state)
{
	static const char *const texts[] = {
	    "",
	    "{",
	    "[]",
	    "null",
	    "{}",
	    "{\"ready\": false}",
	    "{\"ready\": 1}",
	    "{\"n\": 7}",
	    "{\"pid\": 7}",
	    "{\"n\": 0, \"pid\": 7}",
	    "{\"n\": -1, \"pid\": 7}",
	    "{\"n\": 4294967296, \"pid\": 7}",
	    "{\"n\": \"7\", \"pid\": 7}",
	    "{\"n\": 7.0, \"pid\": 7}",
	    "{\"n\": 7, \"pid\": 1}",
	    "{\"n\": 7, \"pid\": 0}",
	    "{\"n\": 7, \"pid\": -5}",
	    "{\"n\": 7, \"pid\": 2147483648}",
	    "{\"n\": 7, \"pid\": \"8\"}",
	    "{\"n\": 7, \"pid\": null}",
	    "{\"n\": 7, \"error\": 8}",
	    "{\"n\": 7, \"error\": \"\\ud800\"}",
	    "{\"n\": 7, \"error\": \"\xff\"}",
	    "{\"n\": 7, \"error\": \"x\", \"pid\": 8}",
	    "{\"n\": 7, \"pid\": 8}x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct km_zygote_msg m;

		if (km_zygote_msg_parse(texts[i], strlen(texts[i]), &m) != -EBADMSG)
			fail_msg("%s", texts[i]);
	}
}

static void
long_reason_is_cut(void **state)
{
	char text[1000] = "{\"n\": 1, \"error\": \"";
	size_t len = strlen(text);
	struct km_zygote_msg m;

	(void)state;
	(void)memset(text + len, 'x', 500);
	(void)memcpy(text + len + 500, "\"}", 3);
	assert_int_equal(km_zygote_msg_parse(text, strlen(text), &m), 0);
	assert_int_equal(strlen(m.why), sizeof(m.why) - 1);
}

static void
requests(void **state)
{
	char a[] = "A=1", b[] = "B=x=\"y\"\n\xc3\xa9", none[] = "C=", odd[] = "no pair";
	char *env[] = {a, b, none, odd, NULL};
	const struct km_zygote_fork f = {.n = 4000000000U,
	                                 .connection_file = "/r/c.json",
	                                 .kernel_id = "ab12cd34",
	                                 .cwd = "/home \"x\"",
	                                 .env = env};
	char *bytes = km_zygote_msg_fork(&f);
	json_t *got, *want;

	(void)state;
	assert_non_null(bytes);
	got = json_loads(bytes, 0, NULL);
	want = json_pack("{s:I, s:s, s:s, s:s, s:{s:s, s:s, s:s}}", "n", (json_int_t)4000000000,
	                 "connection_file", "/r/c.json", "kernel_id", "ab12cd34", "cwd",
	                 "/home \"x\"", "env", "A", "1", "B", "x=\"y\"\n\xc3\xa9", "C", "");
	assert_true(json_equal(got, want));
	json_decref(got);
	json_decref(want);
	mem_free(bytes);
}

static void
not_utf8(void **state)
{
	char bad[] = "A=\xff", bad_name[] = "\xff=A", good[] = "A=1";
	char *envs[][2] = {{bad, NULL}, {bad_name, NULL}, {good, NULL}};

	(void)state;
	for (size_t i = 0; i < sizeof(envs) / sizeof(envs[0]); i++) {
		const struct km_zygote_fork f = {.n = 1,
		                                 .connection_file = "/c",
		                                 .kernel_id = "1",
		                                 .cwd = i == 2 ? "/\xff" : "/",
		                                 .env = envs[i]};

		assert_null(km_zygote_msg_fork(&f));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(answers),
	    cmocka_unit_test(broken_answers),
	    cmocka_unit_test(long_reason_is_cut),
	    cmocka_unit_test(requests),
	    cmocka_unit_test(not_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
