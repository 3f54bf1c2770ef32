/* Unit test of kernelmgr/spec: every way a kernel.json can be wrong, and where one is looked
 * for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "kernelmgr/spec.h"
#include "tests/unit/km_run.h"
#include "wire/base/err.h"

static void
full_spec(void **state)
{
	static const char text[] =
	    "{\"argv\": [\"python3\", \"-m\", \"ipykernel_launcher\", \"-f\", "
	    "\"{connection_file}\"],"
	    "\"display_name\": \"Pyth\\u00f6n\", \"language\": \"Python\","
	    "\"interrupt_mode\": \"message\", \"env\": {\"A\": \"${HOME}/x\", \"B\": \"\"},"
	    "\"metadata\": {\"debugger\": true, \"kernelbridge\": {\"waits\": true,"
	    "\"transport\": \"tcp\", \"env\": true, \"complete\": true, "
	    "\"assign\": true, \"zygote\": [\"{prefix}/z\", \"-P\"], \"start_env\": [\"A*\"],"
	    "\"version\": \"3.11\", \"other\": 1}}, \"kernel_protocol_version\": \"5.5\"}";
	struct km_spec *s = NULL;

	(void)state;
	assert_int_equal(
	    km_spec_parse("MyPython", "/dir/MyPython", text, strlen(text), &s, NULL), 0);
	assert_string_equal(s->name, "mypython");
	assert_string_equal(s->dir, "/dir/MyPython");
	assert_string_equal(s->display_name, "Pyth\xc3\xb6n");
	assert_string_equal(s->language, "python");
	assert_string_equal(s->argv[0], "python3");
	assert_string_equal(s->argv[4], "{connection_file}");
	assert_null(s->argv[5]);
	assert_string_equal(json_string_value(json_object_get(s->env, "A")), "${HOME}/x");
	assert_int_equal(json_object_size(s->env), 2);
	assert_true(json_is_true(json_object_get(s->metadata, "debugger")));
	assert_int_equal(s->interrupt_mode, KM_INTERRUPT_MESSAGE);
	assert_true(s->waits);
	assert_true(s->tcp);
	assert_true(s->interrupt_given);
	assert_true(s->takes_env);
	assert_true(s->complete);
	assert_string_equal(s->version, "3.11");
	assert_true(s->assign);
	assert_string_equal(s->zygote[0], "{prefix}/z");
	assert_string_equal(s->zygote[1], "-P");
	assert_null(s->zygote[2]);
	assert_string_equal(s->start_env[0], "A*");
	assert_null(s->start_env[1]);
	km_spec_free(s);
	km_spec_free(NULL);
}

static void
small_spec(void **state)
{
	struct km_spec *s = NULL;

	(void)state;
	assert_int_equal(km_spec_parse("k", "/d/k", "{\"argv\":[\"x\"]}", 14, &s, NULL), 0);
	assert_string_equal(s->display_name, "k");
	assert_string_equal(s->language, "");
	assert_int_equal(s->interrupt_mode, KM_INTERRUPT_SIGNAL);
	assert_int_equal(json_object_size(s->env), 0);
	assert_int_equal(json_object_size(s->metadata), 0);
	assert_false(s->waits);
	assert_true(s->tcp);
	assert_false(s->interrupt_given);
	assert_false(s->takes_env);
	assert_false(s->complete);
	assert_string_equal(s->version, "");
	assert_false(s->assign);
	assert_null(s->zygote);
	assert_null(s->start_env);
	km_spec_free(s);
}

/* Which variables of a launch only a program that is started with them can have. */
static void
late_variables(void **state)
{
	static const struct {
		const char *start_env; /* JSON, or NULL: none */
		const char *env;       /* JSON, or NULL */
		bool late;
	} cases[] = {
	    {NULL, NULL, true},
	    {NULL, "{\"A\": \"1\"}", true},
	    {"[\"A\"]", NULL, true},
	    {"[\"A\"]", "{}", true},
	    {"[\"A\"]", "{\"A\": \"1\"}", false},
	    {"[\"A\"]", "{\"A\": \"\"}", false},
	    {"[\"A\"]", "{\"B\": \"\", \"AB\": \"\", \"a\": \"\"}", true},
	    {"[\"A\"]", "{\"B\": \"\", \"A\": \"\"}", false},
	    {"[\"A*\"]", "{\"A\": \"\"}", false},
	    {"[\"A*\"]", "{\"AB\": \"\"}", false},
	    {"[\"A*\"]", "{\"BA\": \"\"}", true},
	    {"[\"A*B\"]", "{\"AXB\": \"\"}", true},
	    {"[\"A*B\"]", "{\"A*B\": \"\"}", false},
	    {"[\"*\"]", "{\"X\": \"\"}", false},
	    {"[\"*\", \"!X\"]", "{\"X\": \"\"}", true},
	    {"[\"!X\", \"*\"]", "{\"X\": \"\"}", true},
	    {"[\"!X\", \"*\"]", "{\"X\": \"\", \"Y\": \"\"}", false},
	    {"[\"A*\", \"!AB*\"]", "{\"ABC\": \"\"}", true},
	    {"[\"A*\", \"!AB*\"]", "{\"AC\": \"\"}", false},
	    {"[\"!A\"]", "{\"A\": \"\", \"B\": \"\"}", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *env = cases[i].env != NULL ? json_loads(cases[i].env, 0, NULL) : NULL;
		struct km_spec *s = NULL;
		char text[256];

		(void)snprintf(text, sizeof(text), "{\"argv\": [\"x\"]%s%s%s}",
		               cases[i].start_env != NULL
		                   ? ", \"metadata\": {\"kernelbridge\": {\"start_env\": "
		                   : "",
		               cases[i].start_env != NULL ? cases[i].start_env : "",
		               cases[i].start_env != NULL ? "}}" : "");
		assert_int_equal(km_spec_parse("k", "/d/k", text, strlen(text), &s, NULL), 0);
		if (km_spec_env_is_late(s, env) != cases[i].late)
			fail_msg("%s %s", text, cases[i].env != NULL ? cases[i].env : "");
		km_spec_free(s);
		json_decref(env);
	}
}

static void
broken_specs(void **state)
{
#define ARGV       "\"argv\": [\"x\"], "
#define OURS(text) "{" ARGV "\"metadata\": {\"kernelbridge\": {" text "}}}"
	static const struct {
		const char *text, *says;
	} cases[] = {
	    {"", "line 1 column 0"},
	    {"{", "line 1"},
	    {"{\"argv\": [\"x\"],\n}", "line 2 column 1"},
	    {"{" ARGV "\"env\": {\"A\": \"\xff\"}}", "line 1"},
	    {"[]", "not an object"},
	    {"null", "line 1"},
	    {"\"x\"", "line 1"},
	    {"{}", "argv is missing"},
	    {"{\"argv\": \"x\"}", "argv is not an array"},
	    {"{\"argv\": null}", "argv is not an array"},
	    {"{\"argv\": {\"0\": \"x\"}}", "argv is not an array"},
	    {"{\"argv\": []}", "argv is empty"},
	    {"{\"argv\": [\"\"]}", "argv[0] is empty"},
	    {"{\"argv\": [1]}", "argv[0] is not a string"},
	    {"{\"argv\": [\"x\", null]}", "argv[1] is not a string"},
	    {"{\"argv\": [\"x\", [\"y\"]]}", "argv[1] is not a string"},
	    {"{\"argv\": [\"x\", \"a\\u0000b\"]}", "line 1"},
	    {"{" ARGV "\"display_name\": 1}", "display_name is not a string"},
	    {"{" ARGV "\"display_name\": null}", "display_name is not a string"},
	    {"{" ARGV "\"language\": []}", "language is not a string"},
	    {"{" ARGV "\"interrupt_mode\": \"SIGNAL\"}", "interrupt_mode is 'SIGNAL'"},
	    {"{" ARGV "\"interrupt_mode\": \"\"}", "interrupt_mode is ''"},
	    {"{" ARGV "\"interrupt_mode\": true}", "interrupt_mode is not a string"},
	    {"{" ARGV "\"env\": []}", "env is not an object"},
	    {"{" ARGV "\"env\": null}", "env is not an object"},
	    {"{" ARGV "\"env\": {\"A\": 1}}", "env.A is not a string"},
	    {"{" ARGV "\"env\": {\"A\": null}}", "env.A is not a string"},
	    {"{" ARGV "\"env\": {\"\": \"x\"}}", "''"},
	    {"{" ARGV "\"env\": {\"A=B\": \"x\"}}", "'A=B'"},
	    {"{" ARGV "\"metadata\": 1}", "metadata is not an object"},
	    {"{" ARGV "\"metadata\": {\"kernelbridge\": 1}}", "metadata.kernelbridge is not"},
	    {OURS("\"assign\": 1"), "metadata.kernelbridge.assign is not true or false"},
	    {OURS("\"zygote\": \"x\""), "metadata.kernelbridge.zygote is not an array"},
	    {OURS("\"zygote\": null"), "metadata.kernelbridge.zygote is not an array"},
	    {OURS("\"zygote\": []"), "metadata.kernelbridge.zygote is empty"},
	    {OURS("\"zygote\": [\"\"]"), "metadata.kernelbridge.zygote[0] is empty"},
	    {OURS("\"zygote\": [\"x\", 1]"), "metadata.kernelbridge.zygote[1] is not a string"},
	    {OURS("\"start_env\": {}"), "metadata.kernelbridge.start_env is not an array"},
	    {OURS("\"start_env\": [1]"), "metadata.kernelbridge.start_env[0] is not a string"},
	    {OURS("\"start_env\": [\"A\", \"\"]"), "metadata.kernelbridge.start_env has ''"},
	    {OURS("\"start_env\": [\"!\"]"), "metadata.kernelbridge.start_env has '!'"},
	    {OURS("\"start_env\": [\"A=B\"]"), "metadata.kernelbridge.start_env has 'A=B'"},
	    {"{" ARGV "\"metadata\": {\"kernelbridge\": {\"waits\": 1}}}", "waits is not true"},
	    {"{" ARGV "\"metadata\": {\"kernelbridge\": {\"transport\": \"udp\"}}}", "'udp'"},
	    {"{" ARGV "\"metadata\": {\"kernelbridge\": {\"transport\": 1}}}",
	     "transport is not"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct km_spec *s = NULL;
		struct err err = {""};
		int status = km_spec_parse("odd", "/some/odd", cases[i].text,
		                           strlen(cases[i].text), &s, &err);

		if (status != -EINVAL || s != NULL || strstr(err.text, cases[i].says) == NULL ||
		    strstr(err.text, "'odd'") == NULL || strstr(err.text, "/some/odd") == NULL)
			fail_msg("%s: %d %s", cases[i].text, status, err.text);
		assert_int_equal(km_spec_parse("odd", "/some/odd", cases[i].text,
		                               strlen(cases[i].text), &s, NULL),
		                 -EINVAL);
	}
}

/* The search, in directories of its own */

struct tree {
	char *dir;
	struct km_spec_path *path;
};

/* DIR/DATA/kernels/NAME/kernel.json with the text; NULL: the directory alone. */
static void
put(const char *dir, const char *data, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s/kernels/%s/kernel.json", dir, data, name);
	for (char *p = path + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		(void)mkdir(path, 0700);
		*p = '/';
	}
	if (text == NULL)
		return;
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	fclose(f);
}

/* A kernelspec that tells where it is from by its display name. */
static void
put_named(const char *dir, const char *data, const char *name, const char *language)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
	               "{\"argv\": [\"x\"], \"display_name\": \"%s\", \"language\": \"%s\"}",
	               data, language);
	put(dir, data, name, text);
}

static int
setup(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));
	char list[512], prefix[256], user[256];

	t->dir = run_tmpdir();
	(void)snprintf(list, sizeof(list), "%s/path1::%s/path2:", t->dir, t->dir);
	(void)snprintf(prefix, sizeof(prefix), "%s/prefix", t->dir);
	(void)snprintf(user, sizeof(user), "%s/user", t->dir);
	(void)setenv("JUPYTER_PATH", list, 1);
	(void)setenv("JUPYTER_DATA_DIR", user, 1);
	t->path = km_spec_path_new(prefix);
	(void)unsetenv("JUPYTER_PATH"); /* was read */
	(void)unsetenv("JUPYTER_DATA_DIR");
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct tree *t = *state;

	km_spec_path_free(t->path);
	km_spec_path_free(NULL);
	run_remove(t->dir);
	free(t);
	return 0;
}

static void
expect_from(const struct tree *t, const char *name, const char *from)
{
	struct km_spec *s = NULL;
	struct err err = {""};

	if (km_spec_find(t->path, name, &s, &err) != 0)
		fail_msg("%s: %s", name, err.text);
	assert_string_equal(s->display_name, from);
	km_spec_free(s);
}

static void
search_order(void **state)
{
	static const char *const order[] = {"user", "prefix/share/jupyter", "path2", "path1"};
	struct tree *t = *state;

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		put_named(t->dir, order[i], "km-test", "x");
		expect_from(t, "km-test", order[i]);
	}
}

static void
default_user_directories(void **state)
{
	struct tree *t = *state;
	char *home = getenv("HOME") != NULL ? strdup(getenv("HOME")) : NULL;
	char xdg[256];
	struct km_spec *s = NULL;

	put_named(t->dir, ".local/share/jupyter", "km-test", "x");
	put_named(t->dir, "xdg/jupyter", "km-test", "x");
	(void)setenv("HOME", t->dir, 1);
	(void)unsetenv("XDG_DATA_HOME");
	km_spec_path_free(t->path);
	t->path = km_spec_path_new("");
	expect_from(t, "km-test", ".local/share/jupyter");
	(void)snprintf(xdg, sizeof(xdg), "%s/xdg", t->dir);
	(void)setenv("XDG_DATA_HOME", xdg, 1);
	km_spec_path_free(t->path);
	t->path = km_spec_path_new("");
	expect_from(t, "km-test", "xdg/jupyter");
	(void)unsetenv("XDG_DATA_HOME");
	(void)unsetenv("HOME");
	km_spec_path_free(t->path);
	t->path = km_spec_path_new("");
	assert_int_equal(km_spec_find(t->path, "km-test", &s, NULL), -ENOENT);
	if (home != NULL)
		(void)setenv("HOME", home, 1);
	free(home);
}

static void
names(void **state)
{
	static const char *const bad[] = {"",    ".",        "..",    "a/b", "../x",
	                                  "a b", "a\n",      "k\xc3", "a:b", "a\\b",
	                                  "*",   "km-test/", "~",     "{x}", "a%20b"};
	struct tree *t = *state;
	struct km_spec *s = NULL;
	char big[102];

	put_named(t->dir, "user", "Km-Test_1.0", "x");
	put_named(t->dir, "user", "not a name", "km-lang-odd");
	expect_from(t, "km-test_1.0", "user");
	expect_from(t, "KM-TEST_1.0", "user");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(km_spec_find(t->path, bad[i], &s, NULL), -EINVAL);
	memset(big, 'x', 101);
	big[101] = '\0';
	assert_int_equal(km_spec_find(t->path, big, &s, NULL), -EINVAL);
	big[100] = '\0';
	assert_int_equal(km_spec_find(t->path, big, &s, NULL), -ENOENT);
	assert_int_equal(km_spec_find_language(t->path, "km-lang-odd", &s, NULL), -ENOENT);
}

static void
missing_lists_what_there_is(void **state)
{
	struct tree *t = *state;
	struct km_spec *s = NULL;
	struct err err = {""};

	put_named(t->dir, "path1", "km-one", "x");
	put_named(t->dir, "user", "km-two", "x");
	put(t->dir, "user", "km-empty", NULL); /* no kernel.json: is none */
	assert_int_equal(km_spec_find(t->path, "km-three", &s, &err), -ENOENT);
	assert_non_null(strstr(err.text, "'km-three'"));
	assert_non_null(strstr(err.text, "km-one, km-two"));
	assert_null(strstr(err.text, "km-empty"));
	for (int i = 0; i < 40; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "km-many-%02d", i);
		put_named(t->dir, "path1", name, "x");
	}
	assert_int_equal(km_spec_find(t->path, "km-three", &s, &err), -ENOENT);
	assert_non_null(strstr(err.text, "km-many-00"));
	assert_string_equal(err.text + strlen(err.text) - 5, ", ...");
}

static void
broken_one_shadows(void **state)
{
	struct tree *t = *state;
	struct km_spec *s = NULL;
	struct err err = {""};
	char big[70000], fifo[512];

	put_named(t->dir, "user", "km-test", "x");
	put(t->dir, "path1", "km-test", "{");
	assert_int_equal(km_spec_find(t->path, "km-test", &s, &err), -EINVAL);
	assert_non_null(strstr(err.text, "path1/kernels/km-test"));
	put(t->dir, "path1", "km-test", "");
	assert_int_equal(km_spec_find(t->path, "km-test", &s, &err), -EINVAL);
	memset(big, ' ', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	put(t->dir, "path1", "km-test", big);
	assert_int_equal(km_spec_find(t->path, "km-test", &s, &err), -EINVAL);
	assert_non_null(strstr(err.text, "larger than"));
	(void)snprintf(fifo, sizeof(fifo), "%s/path1/kernels/km-test/kernel.json", t->dir);
	assert_int_equal(unlink(fifo), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0); /* must not be waited for */
	assert_int_equal(km_spec_find(t->path, "km-test", &s, &err), -EINVAL);
	assert_non_null(strstr(err.text, "cannot be read"));
}

struct seen {
	char names[4096];
};

static void
see(void *arg, const struct km_spec *spec)
{
	struct seen *seen = arg;

	if (strncmp(spec->name, "km-", 3) == 0) {
		strncat(seen->names, spec->name, 64);
		strncat(seen->names, "=", 2);
		strncat(seen->names, spec->display_name, 64);
		strncat(seen->names, " ", 2);
	}
}

static void
each_once_in_order(void **state)
{
	struct tree *t = *state;
	struct seen seen = {""};

	put_named(t->dir, "path2", "km-b", "x");
	put_named(t->dir, "path2", "km-a", "x");
	put_named(t->dir, "path1", "KM-B", "x");
	put_named(t->dir, "user", "km-c", "x");
	put(t->dir, "path1", "km-broken", "{}");
	put_named(t->dir, "user", "km-broken", "x"); /* shadowed, so not shown */
	km_spec_each(t->path, see, &seen);
	assert_string_equal(seen.names, "km-b=path1 km-a=path2 km-c=user ");
}

static void
by_language(void **state)
{
	struct tree *t = *state;
	struct km_spec *s = NULL;
	struct err err = {""};

	put(t->dir, "path1", "km-broken", "{\"argv\": [], \"language\": \"km-lang\"}");
	put_named(t->dir, "path2", "km-other", "km-other-lang");
	put_named(t->dir, "prefix/share/jupyter", "km-second", "KM-Lang");
	put_named(t->dir, "user", "km-third", "km-lang");
	assert_int_equal(km_spec_find_language(t->path, "km-LANG", &s, &err), 0);
	assert_string_equal(s->name, "km-second");
	km_spec_free(s);
	assert_int_equal(km_spec_find_language(t->path, NULL, &s, &err), 0);
	assert_string_equal(s->name, "km-other");
	km_spec_free(s);
	assert_int_equal(km_spec_find_language(t->path, "km-none", &s, &err), -ENOENT);
	assert_non_null(strstr(err.text, "km-none"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(full_spec),
	    cmocka_unit_test(small_spec),
	    cmocka_unit_test(broken_specs),
	    cmocka_unit_test(late_variables),
	    cmocka_unit_test_setup_teardown(search_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(default_user_directories, setup, teardown),
	    cmocka_unit_test_setup_teardown(names, setup, teardown),
	    cmocka_unit_test_setup_teardown(missing_lists_what_there_is, setup, teardown),
	    cmocka_unit_test_setup_teardown(broken_one_shadows, setup, teardown),
	    cmocka_unit_test_setup_teardown(each_once_in_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(by_language, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
