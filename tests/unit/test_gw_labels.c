/* Unit test of gateway/labels.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/labels.h"
#include "wire/base/mem.h"

static void
labels_are_read(void **state)
{
	static const struct {
		const char *text;
		const char *want;
	} cases[] = {
	    {"", "{}"},
	    {"a=b", "{\"a\":\"b\"}"},
	    {"a=b&c=d", "{\"a\":\"b\",\"c\":\"d\"}"},
	    {"a%2520b=c%252Fd", "{\"a b\":\"c/d\"}"}, /* as E2B's SDKs send it */
	    {"a%20b=c+d", "{\"a b\":\"c d\"}"},
	    {"a=%2526%253D%2525", "{\"a\":\"&=%\"}"},
	    {"a", "{\"a\":\"\"}"},
	    {"a==", "{\"a\":\"=\"}"},
	    {"&&", "{}"},
	    {"a=%zz%4", "{\"a\":\"%zz%4\"}"},
	    {"a=%00", "{\"a\":\"%00\"}"},
	    {"a=%ff", "{}"}, /* no text */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *o = gw_labels_parse(cases[i].text, 2);
		char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);

		assert_string_equal(text, cases[i].want);
		mem_free(text);
		json_decref(o);
	}
}

static void
decoding_once_or_more(void **state)
{
	static const char *const want[] = {"a+%2520", "a %20", "a  "};

	(void)state;
	for (unsigned times = 0; times < 3; times++) {
		json_t *o = gw_labels_parse("k=a+%2520", times);

		assert_string_equal(json_string_value(json_object_get(o, "k")), want[times]);
		json_decref(o);
	}
}

static void
all_that_are_wanted(void **state)
{
	static const struct {
		const char *wanted;
		bool matches;
	} cases[] = {
	    {"", true},     {"a=1", true},  {"a=1&b=2", true},
	    {"a=2", false}, {"c=1", false}, {"a=1&c=", false},
	};
	json_t *labels = json_pack("{s:s, s:s}", "a", "1", "b", "2");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *wanted = gw_labels_parse(cases[i].wanted, 1);

		assert_int_equal(gw_labels_match(labels, wanted), cases[i].matches);
		json_decref(wanted);
	}
	json_decref(labels);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(labels_are_read),
	    cmocka_unit_test(decoding_once_or_more),
	    cmocka_unit_test(all_that_are_wanted),
	};

	return cmocka_run_group_tests_name("gw/labels", tests, NULL, NULL);
}
