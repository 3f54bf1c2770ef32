/* Unit test of kernelmgr/env: pairs, and string.Template's way of expanding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernelmgr/env.h"
#include "wire/base/err.h"

static void
sets_and_finds(void **state)
{
	struct km_env *e = km_env_new();

	(void)state;
	assert_null(km_env_list(e)[0]);
	assert_null(km_env_find(e, "A"));
	km_env_set(e, "A", "1");
	km_env_set(e, "AB", "2");
	km_env_set(e, "A", "3=4");
	assert_string_equal(km_env_find(e, "A"), "3=4");
	assert_string_equal(km_env_find(e, "AB"), "2");
	assert_null(km_env_find(e, "B"));
	assert_string_equal(km_env_list(e)[0], "A=3=4");
	assert_string_equal(km_env_list(e)[1], "AB=2");
	assert_null(km_env_list(e)[2]);
	km_env_free(e);
	km_env_free(NULL);
}

static void
inherits_all_but_ours(void **state)
{
	struct km_env *e = km_env_new();

	(void)state;
	assert_int_equal(setenv("KM_ENV_TEST", "x", 1), 0);
	assert_int_equal(setenv("KERNELBRIDGE_LISTEN", "y", 1), 0);
	assert_int_equal(setenv("KERNELBRIDGE", "z", 1), 0);
	km_env_inherit(e);
	assert_string_equal(km_env_find(e, "KM_ENV_TEST"), "x");
	assert_null(km_env_find(e, "KERNELBRIDGE_LISTEN"));
	assert_string_equal(km_env_find(e, "KERNELBRIDGE"), "z");
	km_env_free(e);
}

/* What Python 3.11's string.Template(...).safe_substitute({"A": "one", "B_2": "", "C":
 * "$A"}) gives. */
static void
expands(void **state)
{
	static const struct {
		const char *text, *expect;
	} cases[] = {
	    {"", ""},
	    {"plain", "plain"},
	    {"$A", "one"},
	    {"${A}", "one"},
	    {"x${A}y$A.z", "xoney"
	                   "one.z"},
	    {"$B_2|${B_2}", "|"},
	    {"$C", "$A"}, /* once only */
	    {"$$A", "$A"},
	    {"$$$A", "$one"},
	    {"$NONE ${NONE}", "$NONE ${NONE}"},
	    {"$AB", "$AB"},
	    {"$", "$"},
	    {"${", "${"},
	    {"${A", "${A"},
	    {"${}", "${}"},
	    {"${A-b}", "${A-b}"},
	    {"$1", "$1"},
	    {"a$-b", "a$-b"},
	    {"ends$", "ends$"},
	    {"\xc3\xa9$A\xc3\xa9", "\xc3\xa9one\xc3\xa9"},
	};
	struct km_env *values = km_env_new();

	(void)state;
	km_env_set(values, "A", "one");
	km_env_set(values, "B_2", "");
	km_env_set(values, "C", "$A");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *vars = json_pack("{s:s}", "V", cases[i].text);
		struct km_env *with = km_env_new(), *without = km_env_new();

		assert_int_equal(km_env_add(with, vars, values, NULL), 0);
		assert_string_equal(km_env_find(with, "V"), cases[i].expect);
		assert_int_equal(km_env_add(without, vars, NULL, NULL), 0);
		assert_string_equal(km_env_find(without, "V"), cases[i].text);
		km_env_free(with);
		km_env_free(without);
		json_decref(vars);
	}
	assert_int_equal(km_env_add(values, NULL, NULL, NULL), 0);
	km_env_free(values);
}

static void
bounds_what_is_expanded(void **state)
{
	char *big = calloc(1, 100001), text[64] = "$A$A";
	struct km_env *values = km_env_new(), *e = km_env_new();
	json_t *vars = json_pack("{s:s}", "V", text);
	struct err err = {""};

	(void)state;
	km_env_set(values, "A", memset(big, 'x', 100000));
	assert_int_equal(km_env_add(e, vars, values, &err), -EINVAL);
	assert_non_null(strstr(err.text, "V"));
	json_decref(vars);
	km_env_free(values);
	km_env_free(e);
	free(big);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sets_and_finds),
	    cmocka_unit_test(inherits_all_but_ours),
	    cmocka_unit_test(expands),
	    cmocka_unit_test(bounds_what_is_expanded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
