/* Unit test of kernelmgr/cmdline: templates, and which interpreter "python" is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "kernelmgr/cmdline.h"
#include "tests/unit/km_run.h"
#include "wire/base/mem.h"

static void
templates(void **state)
{
	static const struct {
		const char *arg, *expect;
	} cases[] = {
	    {"", ""},
	    {"-f", "-f"},
	    {"{connection_file}", "/run/c.json"},
	    {"--conn={connection_file}", "--conn=/run/c.json"},
	    {"{connection_file}{connection_file}", "/run/c.json/run/c.json"},
	    {"{prefix}/bin/{resource_dir}x", "/p/bin/{prefix}x"}, /* once only */
	    {"{other}", "{other}"},
	    {"{", "{"},
	    {"{{prefix}}", "{/p}"},
	    {"{prefix", "{prefix"},
	    {"{Prefix}", "{Prefix}"},
	};
	const struct km_cmdline_vars vars = {
	    .connection_file = "/run/c.json", .prefix = "/p", .resource_dir = "{prefix}"};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *arg = mem_strdup(cases[i].arg), name[] = "kernel";
		char *argv[] = {name, arg, NULL};
		char **got = km_cmdline_new(argv, &vars);

		assert_string_equal(got[0], "kernel");
		assert_string_equal(got[1], cases[i].expect);
		assert_null(got[2]);
		km_cmdline_free(got);
		mem_free(arg);
	}
	km_cmdline_free(NULL);
}

/* Make DIR/PATH with its directories; an executable file if mode says so. */
static void
make(const char *dir, const char *path, mode_t mode)
{
	char full[512];
	FILE *f;

	(void)snprintf(full, sizeof(full), "%s/%s", dir, path);
	for (char *p = full + strlen(dir) + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		(void)mkdir(full, 0700);
		*p = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(chmod(full, mode), 0);
}

static void
programs(void **state)
{
	/* each path is below the test's directory */
	static const struct {
		const char *name, *spec_dir, *expect;
	} cases[] = {
	    {"tool", "env/share/jupyter/kernels/k", "env/bin/tool"},
	    {"tool", "prefix/share/jupyter/kernels/k", "path/tool"},
	    {"python", "env/share/jupyter/kernels/k", "env/bin/python"},
	    {"python3", "env/share/jupyter/kernels/k", "prefix/venv/bin/python3"},
	    {"python3.11", "env/share/jupyter/kernels/k", "path/python3.11"},
	    {"python", "prefix/share/jupyter/kernels/k", "prefix/venv/bin/python"},
	    {"python", "elsewhere/k", "prefix/venv/bin/python"},
	    {"python3-config", "env/share/jupyter/kernels/k", "env/bin/python3-config"},
	    {"later", "env/share/jupyter/kernels/k", "path2/later"}, /* path/later cannot run */
	    {"nothing", "env/share/jupyter/kernels/k", NULL},
	    {"python2", "env/share/jupyter/kernels/k", NULL},
	};
	char *dir = run_tmpdir(), prefix[256], path[512];

	(void)state;
	make(dir, "env/bin/python", 0700);
	make(dir, "env/bin/tool", 0700);
	make(dir, "env/bin/python3-config", 0700);
	make(dir, "prefix/venv/bin/python", 0700);
	make(dir, "prefix/venv/bin/python3", 0700);
	make(dir, "path/python", 0700);
	make(dir, "path/python3", 0700);
	make(dir, "path/python3.11", 0700);
	make(dir, "path/python3-config", 0700);
	make(dir, "path/tool", 0700);
	make(dir, "path/later", 0600);
	make(dir, "path2/later", 0700);
	make(dir, "path2/tool", 0700);
	make(dir, "path/nothing/dir", 0700);
	(void)snprintf(prefix, sizeof(prefix), "%s/prefix", dir);
	(void)snprintf(path, sizeof(path), "%s/none::%s/path:%s/path2", dir, dir, dir);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char spec_dir[256], expect[256], *got;

		(void)snprintf(spec_dir, sizeof(spec_dir), "%s/%s", dir, cases[i].spec_dir);
		got = km_cmdline_program(cases[i].name, spec_dir, prefix, path);
		(void)snprintf(expect, sizeof(expect), "%s/%s", dir,
		               cases[i].expect != NULL ? cases[i].expect : "");
		if ((got == NULL) != (cases[i].expect == NULL) ||
		    (got != NULL && strcmp(got, expect) != 0))
			fail_msg("%s in %s: %s", cases[i].name, cases[i].spec_dir,
			         got != NULL ? got : "none");
		mem_free(got);
	}
	run_remove(dir);
}

static void
paths_stay(void **state)
{
	char *got = km_cmdline_program("./a/b", "/x", "", "");

	(void)state;
	assert_string_equal(got, "./a/b");
	mem_free(got);
	assert_null(km_cmdline_program("python", "/share/jupyter/kernels/k", "", ""));
	assert_null(km_cmdline_program("python", "k", "", "::"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(templates),
	    cmocka_unit_test(programs),
	    cmocka_unit_test(paths_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
