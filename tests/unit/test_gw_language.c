/* tests/unit/test_gw_language.c - the language table: reading it, choosing by it, its code. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/language.h"
#include "kernelmgr/spec.h"
#include "tests/unit/gw_rig.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define TABLE                                                                                  \
	"{\"Zed\": {\"aliases\": [\"z\", \"zz\"], \"kernelspec\": \"zed-1\","                  \
	" \"install\": \"zeds\", \"version_env\": \"ZED_VERSION\","                            \
	" \"interrupt\": \"message\", \"transport\": \"tcp\","                                 \
	" \"exit\": \"kernel\","                                                               \
	" \"enter\": [\"in\", \"{each}{cd}{other}\"], \"enter_each\": \"<{name}={value}>\","   \
	" \"enter_cd\": \"cd {path};\","                                                       \
	" \"leave\": \"out {each}{cd}\", \"leave_each\": \"<{name}>\","                        \
	" \"leave_cd\": \"cd {path}\"},"                                                       \
	" \"shell\": {\"quote\": \"ansi-c\", \"enter\": \"{each}\","                           \
	" \"enter_each\": \"{name}={value};\"}, \"bare\": {}}"

static struct gw_languages *
table(const char *text)
{
	struct gw_languages *t = NULL;
	struct err err;

	if (gw_languages_parse("t", text, strlen(text), &t, &err) != 0)
		fail_msg("%s", err.text);
	return t;
}

static void
names_and_defaults(void **state)
{
	struct gw_languages *t = table(TABLE);
	const struct gw_language *l = gw_languages_find(t, "ZZ");

	(void)state;
	assert_non_null(l);
	assert_string_equal(l->name, "zed");
	assert_ptr_equal(gw_languages_find(t, "zed"), l);
	assert_true(l->message && l->tcp && l->exit_ends && !l->ansi_c);
	assert_string_equal(l->enter, "in\n{each}{cd}{other}");
	l = gw_languages_find(t, "bare");
	assert_string_equal(l->kernelspec, "bare");
	assert_string_equal(l->install, "bare");
	assert_false(l->message || l->tcp || l->exit_ends);
	assert_null(gw_languages_find(t, ""));
	assert_null(gw_languages_find(t, "cobol"));
	gw_languages_free(t);
}

static void
the_built_in_table_is_sound(void **state)
{
	struct gw_languages *t = NULL;
	struct err err;

	(void)state;
	assert_int_equal(gw_languages_load("", &t, &err), 0);
	assert_non_null(gw_languages_find(t, GW_LANGUAGE_DEFAULT));
	gw_languages_free(t);
	assert_int_equal(gw_languages_load("/no/such.json", &t, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/no/such.json"));
}

static void
a_broken_table_is_named(void **state)
{
	static const char *const cases[][2] = {
	    {"", "t:1"},
	    {"[]", "t is not an object"},
	    {"{\"a\": 1}", "a is not an object"},
	    {"{\"a\": {\"colour\": 1}}", "a.colour is no key"},
	    {"{\"a\": {\"kernelspec\": \"\"}}", "a.kernelspec is not a string"},
	    {"{\"a\": {\"aliases\": \"b\"}}", "a.aliases is not an array"},
	    {"{\"a\": {\"aliases\": [1]}}", "a.aliases is not an array"},
	    {"{\"a\": {\"enter\": [\"x\", 1]}}", "a.enter is neither"},
	    {"{\"a\": {\"quote\": \"double\"}}", "a.quote is neither"},
	    {"{\"a\": {}, \"A\": {}}", "a is there twice"},
	    {"{\"a\": {\"aliases\": [\"x\"]}, \"b\": {\"aliases\": [\"X\"]}}",
	     "x is there twice"},
	    {"{\"a\": {}, \"a\": {}}", "t:1"},
	};
	struct gw_languages *t;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(
		    gw_languages_parse("t", cases[i][0], strlen(cases[i][0]), &t, &err),
		    -EINVAL);
		if (strcasestr(err.text, cases[i][1]) == NULL)
			fail_msg("case %zu: %s", i, err.text);
	}
}

static void
code_around_a_run(void **state)
{
	struct gw_languages *t = table(TABLE);
	const struct gw_language *l = gw_languages_find(t, "zed");
	json_t *env = json_pack("{s:s, s:s}", "A", "{name}\"\\\n\t\xf0\x9f\x98\x80", "B", "");
	struct buf b;
	struct err err;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(gw_language_enter(l, env, "/a b", &b, &err), 0);
	assert_string_equal(b.data, "in\n<\"A\"=\"{name}\\\"\\\\\\n\\t\xf0\x9f\x98\x80\">"
	                            "<\"B\"=\"\">cd \"/a b\";{other}");
	buf_consume(&b, b.len);
	assert_int_equal(gw_language_leave(l, env, NULL, "/home", &b, &err), 0);
	assert_string_equal(b.data, "out <\"A\"><\"B\">");
	buf_consume(&b, b.len);
	assert_int_equal(gw_language_leave(l, NULL, "/x", "/home", &b, &err), 0);
	assert_string_equal(b.data, "out cd \"/home\"");
	buf_consume(&b, b.len);

	json_object_set_new(env, "A", json_string("it's\n\t\\ \x7f\xc3\xa9"));
	l = gw_languages_find(t, "shell");
	assert_int_equal(gw_language_enter(l, env, NULL, &b, &err), 0);
	assert_string_equal(b.data, "$'A'=$'it\\'s\\012\\011\\\\ \\177\\303\\251';$'B'=$'';");
	assert_int_equal(gw_language_enter(l, NULL, "/x", &b, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "shell cannot change its directory"));
	l = gw_languages_find(t, "bare");
	assert_int_equal(gw_language_enter(l, env, NULL, &b, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "bare: variables cannot be set"));
	buf_fini(&b);
	json_decref(env);
	gw_languages_free(t);
}

#define SPEC(language, version)                                                                \
	"{\"argv\": [\"x\"], \"language\": \"" language "\", \"metadata\": "                   \
	"{\"kernelbridge\": {\"version\": \"" version "\"}}}"

/* The kernelspec that is chosen for name with ZED_VERSION = version, or the error. */
static const char *
chosen(const struct gw_languages *t, const struct km_spec_path *path, const char *name,
       const char *version)
{
	static struct err err;
	static char ret[64];
	json_t *env = version != NULL ? json_pack("{s:s}", "ZED_VERSION", version) : NULL;
	struct km_spec *spec = NULL;

	if (gw_language_choose(t, path, name, env, &spec, &err) == 0)
		(void)snprintf(ret, sizeof(ret), "%s", spec->name);
	else
		ret[0] = '\0';
	km_spec_free(spec);
	json_decref(env);
	return ret[0] != '\0' ? ret : err.text;
}

static void
choosing_a_kernelspec(void **state)
{
	struct rig *r = rig_new();
	struct gw_languages *t = table(TABLE);
	struct km_spec_path *path = km_spec_path_new(r->dir);

	(void)state;
	assert_string_equal(chosen(t, path, "z", NULL),
	                    "no kernel for zed is installed; this installs one: "
	                    "scripts/install-kernels zeds");
	rig_spec(r, "zed-9", SPEC("ZZ", "9.1"));
	assert_string_equal(chosen(t, path, "zed", NULL), "zed-9");
	rig_spec(r, "zed-1", SPEC("", "1.24.3"));
	rig_spec(r, "zed-10", SPEC("zed", "10.0"));
	rig_spec(r, "zed-10b", SPEC("zed", "10.2"));
	rig_spec(
	    r, "unversioned",
	    "{\"argv\": [\"x\"], \"language\": \"zed\", \"display_name\": \"Zed v3 (x)\"}");
	assert_string_equal(chosen(t, path, "z", NULL), "zed-1");
	assert_string_equal(chosen(t, path, "z", ""), "zed-1");
	assert_string_equal(chosen(t, path, "z", "1"), "zed-1");
	assert_string_equal(chosen(t, path, "z", "1.24"), "zed-1");
	assert_string_equal(chosen(t, path, "z", "v10"), "zed-10b");
	assert_string_equal(chosen(t, path, "z", "10.0"), "zed-10");
	assert_string_equal(chosen(t, path, "z", "9"), "zed-9");
	assert_string_equal(chosen(t, path, "z", "3"), "unversioned");
	assert_non_null(
	    strstr(chosen(t, path, "z", "1.2"), "no zed kernel has ZED_VERSION = 1.2"));
	assert_non_null(strstr(chosen(t, path, "z", "1.2"), "zed-1 (1.24.3)"));
	assert_non_null(strstr(chosen(t, path, "z", "latest"), "installed: "));
	assert_string_equal(chosen(t, path, "zed-10", NULL), "zed-10");
	assert_string_equal(chosen(t, path, "unversioned", NULL), "unversioned");
	assert_non_null(strstr(chosen(t, path, "cobol", NULL), "cobol"));
	km_spec_path_free(path);
	gw_languages_free(t);
	rig_free(r);
}

static void
what_the_table_adds_to_a_kernelspec(void **state)
{
	static const char silent[] =
	    "{\"argv\": [\"x\"], \"metadata\": {\"kernelbridge\": {}}}";
	static const char loud[] = "{\"argv\": [\"x\"], \"interrupt_mode\": \"signal\"}";
	struct gw_languages *t = table(TABLE);
	const struct gw_language *l = gw_languages_find(t, "zed");
	struct km_spec *spec;

	(void)state;
	assert_int_equal(km_spec_parse("q", "/q", silent, sizeof(silent) - 1, &spec, NULL), 0);
	gw_language_adapt(NULL, spec);
	assert_true(spec->interrupt_mode == KM_INTERRUPT_SIGNAL && !spec->tcp);
	gw_language_adapt(l, spec);
	assert_true(spec->interrupt_mode == KM_INTERRUPT_MESSAGE && spec->tcp);
	km_spec_free(spec);
	assert_int_equal(km_spec_parse("q", "/q", loud, sizeof(loud) - 1, &spec, NULL), 0);
	gw_language_adapt(l, spec);
	assert_true(spec->interrupt_mode == KM_INTERRUPT_SIGNAL && spec->tcp);
	km_spec_free(spec);
	gw_languages_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_and_defaults),
	    cmocka_unit_test(the_built_in_table_is_sound),
	    cmocka_unit_test(a_broken_table_is_named),
	    cmocka_unit_test(code_around_a_run),
	    cmocka_unit_test(choosing_a_kernelspec),
	    cmocka_unit_test(what_the_table_adds_to_a_kernelspec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
