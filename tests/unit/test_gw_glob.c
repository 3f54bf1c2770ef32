/* Unit test of gateway/glob: which paths a pattern matches. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/glob.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

static bool
matches(const char *pattern, const char *path)
{
	struct gw_glob *g = NULL;
	struct err err = {""};
	bool yes;

	if (gw_glob_new(pattern, &g, &err) != 0)
		fail_msg("%s: %s", pattern, err.text);
	yes = gw_glob_match(g, path);
	gw_glob_free(g);
	return yes;
}

static void
names(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool yes;
	} cases[] = {
	    {"a", "a", true},
	    {"a", "b", false},
	    {"a", "dir/a", true},
	    {"a", "a/b", false},
	    {"*", "a", true},
	    {"*", ".hidden", true},
	    {"*", "d/.hidden", true},
	    {"*.py", "x.py", true},
	    {"*.py", "deep/er/x.py", true},
	    {"*.py", "x.pyc", false},
	    {"*.py", ".py", true},
	    {"x*y*z", "xaybz", true},
	    {"x*y*z", "xaybzq", false},
	    {"a*b*c*d*e*", "axbxcxdxe", true},
	    {"?", "a", true},
	    {"?", "ab", false},
	    {"a?b",
	     "a\xe2\x98\xba"
	     "b",
	     true},
	    {"a??b",
	     "a\xe2\x98\xba"
	     "b",
	     false},
	    {"?", "\xff", true},
	    {"?", "\xe2\x98", false},
	    {"??", "\xe2\x98", true},
	    {"*", "\xff\xfe", true},
	    {"**", "a", true},
	    {"**", "a/b/c", true},
	    {"**b", "ab", true},
	    {"a**", "a/b", false},
	    {"***", "abc", true},
	    {"./a", "a", true},
	    {"././*", "b", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (matches(cases[i].pattern, cases[i].path) != cases[i].yes)
			fail_msg("%s with %s", cases[i].pattern, cases[i].path);
	}
}

static void
paths(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool yes;
	} cases[] = {
	    {"a/b", "a/b", true},
	    {"a/b", "x/a/b", false},
	    {"*/b", "a/b", true},
	    {"*/b", "b", false},
	    {"*/b", "a/c/b", false},
	    {"a*/b", "abc/b", true},
	    {"a*b", "a/b", false},
	    {"a?b/c", "a/b/c", false},
	    {"**/b", "b", true},
	    {"**/b", "a/b", true},
	    {"**/b", "a/a/a/b", true},
	    {"**/b", "a/b/c", false},
	    {"**/b", "ab", false},
	    {"a/**", "a/b", true},
	    {"a/**", "a/b/c", true},
	    {"a/**", "a", false},
	    {"a/**/c", "a/c", true},
	    {"a/**/c", "a/x/y/c", true},
	    {"a/**/c", "a/x/y/d", false},
	    {"**/a/**/b*/c", "q/a/z/a/bb/x/b/c", true},
	    {"**/a/**/b*/c", "q/a/z/a/bb/x/c", false},
	    {"**/**/x", "x", true},
	    {"a/**b/c", "a/xb/c", true},
	    {"a/**b/c", "a/x/b/c", false},
	    {"a/", "a", false},
	    {"**/", "a/b", false},
	    {"a/**/", "a/b", false},
	    {"/a", "a", false},
	    {"{a/*.c,*.h}", "a/x.c", true},
	    {"{a/*.c,*.h}", "b/x.c", false},
	    {"{a/*.c,*.h}", "b/c/x.h", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (matches(cases[i].pattern, cases[i].path) != cases[i].yes)
			fail_msg("%s with %s", cases[i].pattern, cases[i].path);
	}
}

static void
classes_braces_and_escapes(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool yes;
	} cases[] = {
	    {"[abc]", "b", true},
	    {"[abc]", "d", false},
	    {"[b-d]x", "cx", true},
	    {"[b-d]x", "ex", false},
	    {"[!b-d]", "a", true},
	    {"[^b-d]", "c", false},
	    {"[-x]", "-", true},
	    {"[x-]", "-", true},
	    {"[a-b-d]", "-", true},
	    {"[a-b-d]", "c", false},
	    {"[\\]a]", "]", true},
	    {"[\\-x]", "-", true},
	    {"[\\-x]", "a", false},
	    {"[a\\-c]", "b", false},
	    {"[\xce\xb1-\xcf\x89]", "\xce\xb2", true},
	    {"[\xce\xb1-\xcf\x89]", "b", false},
	    {"[!a]", "\xff", true},
	    {"[!a]/b", "//b", false},
	    {"[+-9]x", "/x", false},
	    {"[{]", "{", true},
	    {"{a,b}", "a", true},
	    {"{a,b}", "c", false},
	    {"x{,yz}", "x", true},
	    {"x{,yz}", "xyz", true},
	    {"{a}", "a", true},
	    {"{a,b{c,d}}e", "bde", true},
	    {"{a,b{c,d}}e", "be", false},
	    {"{a,b}{1,2}", "b1", true},
	    {"{a,[,}]}", "}", true},
	    {"{\\,,\\}}", ",", true},
	    {"{\\,,\\}}", "}", true},
	    {"a}", "a}", true},
	    {"a,b", "a,b", true},
	    {"\\*", "*", true},
	    {"\\*", "a", false},
	    {"\\{a,b}", "{a,b}", true},
	    {"\\a", "a", true},
	    {"a\\\\b", "a\\b", true},
	    {"*\\]", "x]", true},
	    {"]", "]", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (matches(cases[i].pattern, cases[i].path) != cases[i].yes)
			fail_msg("%s with %s", cases[i].pattern, cases[i].path);
	}
}

static void
bad_patterns(void **state)
{
	static const char *const bad[] = {"",     "./",     "[",     "[]",    "[]a]", "[^",
	                                  "[^bc", "a[b",    "[a\\]", "\\",    "a\\",  "{",
	                                  "{a,b", "{a,{b}", "{[}",   "{a\\}", "[!]x]"};
	struct gw_glob *g = NULL;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (gw_glob_new(bad[i], &g, &err) != -EINVAL)
			fail_msg("%s", bad[i]);
		assert_memory_equal(err.text, "pattern: ", 9);
	}
	assert_null(g);
}

static void
ceilings(void **state)
{
	char text[GW_GLOB_MAX + 2];
	struct gw_glob *g = NULL;
	struct err err;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[GW_GLOB_MAX + 1] = '\0';
	assert_int_equal(gw_glob_new(text, &g, &err), -EMSGSIZE);
	text[GW_GLOB_MAX] = '\0';
	assert_int_equal(gw_glob_new(text, &g, &err), 0);
	gw_glob_free(g);
	/* 2 to the 8th forms, and to the 9th */
	assert_int_equal(gw_glob_new("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", &g, &err), 0);
	gw_glob_free(g);
	assert_int_equal(gw_glob_new("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", &g, &err),
	                 -EMSGSIZE);
	for (size_t i = 0; i + 3 <= GW_GLOB_MAX; i += 3)
		memcpy(text + i, "{a}", 3);
	text[GW_GLOB_MAX - 1] = '\0';
	assert_int_equal(gw_glob_new(text, &g, &err), 0);
	gw_glob_free(g);
	gw_glob_free(NULL);
}

static void
no_pattern_takes_for_ever(void **state)
{
	char path[2048];
	struct gw_glob *g;
	struct err err;

	(void)state;
	memset(path, 'a', sizeof(path));
	for (size_t i = 7; i < sizeof(path); i += 8)
		path[i] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(gw_glob_new("**/*a*a*a*a*a*a*/**/*a*a*a*a*/**/*b", &g, &err), 0);
	assert_false(gw_glob_match(g, path));
	assert_true(gw_glob_steps(g) < (uint64_t)35 * sizeof(path) * (sizeof(path) / 8));
	gw_glob_free(g);
}

/* Who stops a search that takes too long must see what a class costs. */
static void
a_class_is_as_many_steps_as_it_is_long(void **state)
{
	char pattern[GW_GLOB_MAX + 1] = "*[";
	char name[256];
	struct gw_glob *g;
	struct err err;

	(void)state;
	memset(pattern + 2, 'b', 1000);
	pattern[1002] = ']';
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(gw_glob_new(pattern, &g, &err), 0);
	assert_false(gw_glob_match(g, name));
	assert_true(gw_glob_steps(g) >= 255 * 1000);
	gw_glob_free(g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names),
	    cmocka_unit_test(paths),
	    cmocka_unit_test(classes_braces_and_escapes),
	    cmocka_unit_test(bad_patterns),
	    cmocka_unit_test(ceilings),
	    cmocka_unit_test(no_pattern_takes_for_ever),
	    cmocka_unit_test(a_class_is_as_many_steps_as_it_is_long),
	};

	return cmocka_run_group_tests_name("gw/glob", tests, NULL, NULL);
}
