/* Unit test of gateway/config: where settings come from, what is refused and how, what is
 * printed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/config.h"
#include "gateway/config_value.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define ARGS_MAX 8

static char file[] = "/tmp/gw_config_XXXXXX";

static void
write_file(const char *text)
{
	FILE *f = fopen(file, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

/* Load with arguments (NULL-terminated) and, unless text is NULL, a file of that text. */
static int
load(const char *text, const char *const *args, struct gw_config **ret, struct err *err)
{
	char *argv[ARGS_MAX + 2];
	int argc = 0;
	int rc;

	if (text != NULL) {
		write_file(text);
		argv[argc++] = mem_strdup("--config");
		argv[argc++] = mem_strdup(file);
	}
	for (; args != NULL && *args != NULL; args++)
		argv[argc++] = mem_strdup(*args);
	rc = gw_config_load(argc, argv, ret, err);
	while (argc > 0)
		mem_free(argv[--argc]);
	return rc;
}

static struct gw_config *
good(const char *text, const char *const *args)
{
	struct gw_config *cfg = NULL;
	struct err err;

	if (load(text, args, &cfg, &err) != 0)
		fail_msg("%s", err.text);
	return cfg;
}

static void
defaults(void **state)
{
	struct gw_config *cfg = good(NULL, NULL);

	(void)state;
	assert_string_equal(cfg->auth, "token");
	assert_string_equal(cfg->listen[0], "127.0.0.1:8686");
	assert_null(cfg->listen[1]);
	assert_null(cfg->allow_hosts[0]);
	assert_false(cfg->insecure);
	assert_int_equal(cfg->max_output_bytes, 0);
	assert_string_equal(cfg->token_file, "");
	assert_string_equal(cfg->state_dir, "/home/of/test/.local/state/kernelbridge");
	assert_string_equal(cfg->prefix, "/home/of/test/.local/share/kernelbridge");
	gw_config_free(cfg);
	gw_config_free(NULL);
}

static void
a_state_dir_is_not_too_long(void **state)
{
	char arg[1100] = "--state_dir=/";
	const char *args[] = {arg, NULL};
	struct gw_config *cfg = NULL;
	struct err err = {""};

	(void)state;
	memset(arg + strlen(arg), 'x', 1025 + strlen("--state_dir=") - strlen(arg));
	assert_int_equal(load(NULL, args, &cfg, &err), -EINVAL);
	assert_non_null(strstr(err.text, "longer than 1024 bytes"));
	*strrchr(arg, 'x') = '\0';
	gw_config_free(good(NULL, args));
}

static void
weaker_sources_give_way(void **state)
{
	struct gw_config *cfg;

	(void)state;
	cfg = good("max_queue = 5\n", NULL);
	assert_int_equal(cfg->max_queue, 5);
	gw_config_free(cfg);
	assert_int_equal(setenv("KERNELBRIDGE_MAX_QUEUE", "6", 1), 0);
	cfg = good("max_queue = 5\n", NULL);
	assert_int_equal(cfg->max_queue, 6);
	gw_config_free(cfg);
	cfg = good("max_queue = 5\n", (const char *[]){"--max_queue=7", NULL});
	assert_int_equal(cfg->max_queue, 7);
	gw_config_free(cfg);
	cfg = good(NULL, (const char *[]){"--max_queue", "8", NULL});
	assert_int_equal(cfg->max_queue, 8);
	gw_config_free(cfg);
	assert_int_equal(unsetenv("KERNELBRIDGE_MAX_QUEUE"), 0);
}

static void
lists_add_up_in_one_source_and_are_replaced_by_the_next(void **state)
{
	struct gw_config *cfg;

	(void)state;
	cfg = good("listen = 127.0.0.1:1, 127.0.0.1:2\nlisten = [::1]:3\n", NULL);
	assert_string_equal(cfg->listen[0], "127.0.0.1:1");
	assert_string_equal(cfg->listen[1], "127.0.0.1:2");
	assert_string_equal(cfg->listen[2], "[::1]:3");
	assert_null(cfg->listen[3]);
	gw_config_free(cfg);
	cfg = good("listen = 127.0.0.1:1\n",
	           (const char *[]){"--listen=127.0.0.1:8", "--listen=127.0.0.1:9", NULL});
	assert_string_equal(cfg->listen[0], "127.0.0.1:8");
	assert_string_equal(cfg->listen[1], "127.0.0.1:9");
	assert_null(cfg->listen[2]);
	gw_config_free(cfg);
}

static void
what_is_refused_and_how(void **state)
{
	static const struct {
		const char *text;
		const char *arg;
		const char *says;
	} cases[] = {
	    {NULL, "--max_queu=1", "unknown setting 'max_queu'; the nearest is 'max_queue'"},
	    {NULL, "--Listen=1", "the nearest is 'listen'"},
	    {NULL, "--=1", "unknown setting ''"},
	    {NULL, "listen=1", "unexpected argument 'listen=1'"},
	    {NULL, "-x", "unexpected argument '-x'"},
	    {NULL, "--listen", "--listen needs a value"},
	    {NULL, "--config", "--config needs a value"},
	    {NULL, "--listen=", "listen is empty"},
	    {NULL, "--listen= , ", "listen is empty"},
	    {NULL, "--max_queue=0", "expected a whole number from 1 to 1000000"},
	    {NULL, "--max_queue=1000001", "max_queue = 1000001: expected"},
	    {NULL, "--max_queue=-1", "max_queue = -1: expected"},
	    {NULL, "--max_queue= 1", "expected a whole number"},
	    {NULL, "--max_queue=1k", "expected a whole number"},
	    {NULL, "--max_queue=1.5", "expected a whole number"},
	    {NULL, "--max_queue=0x10", "expected a whole number"},
	    {NULL, "--max_queue=", "expected a whole number"},
	    {NULL, "--max_queue=99999999999999999999", "expected a whole number"},
	    {NULL, "--insecure=yes", "insecure = yes: expected true or false"},
	    {NULL, "--auth=tokens", "auth = tokens: expected token|none"},
	    {NULL, "--auth=toke", "expected token|none"},
	    {NULL, "--auth=", "expected token|none"},
	    {NULL, "--auth=token|none", "expected token|none"},
	    {NULL, "--auth=none|", "expected token|none"},
	    {NULL, "--state_dir=relative", "state_dir = relative: expected an absolute path"},
	    {NULL, "--state_dir=", "expected an absolute path"},
	    {NULL, "--prefix=", "prefix is empty: expected a path"},
	    {NULL, "--send_low_bytes=65536", "send_low_bytes must be below send_high_bytes"},
	    {NULL, "--config=/no/such/file", "cannot read /no/such/file: No such file"},
	    {NULL, "--config=/tmp", "cannot read /tmp as"},
	    {"# one\n\nmax_queue = 0\n", NULL, ":3: max_queue = 0: expected a whole number"},
	    {"auth = token\nauth = nobody\n", NULL, ":2: auth = nobody: expected"},
	    {"max_queue = 1\nmax_que = 1", NULL, ":2: unknown setting 'max_que'"},
	    {"listen = 127.0.0.1:1\n    port = 2\n", NULL, ":1: 'listen' has indented lines"},
	    {"max_queue\n", NULL, ":1: expected key = value"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_config *cfg = NULL;
		struct err err = {""};
		const char *args[] = {cases[i].arg, NULL};

		assert_int_equal(load(cases[i].text, args, &cfg, &err), -EINVAL);
		assert_null(cfg);
		if (strstr(err.text, cases[i].says) == NULL)
			fail_msg("case %zu says \"%s\"", i, err.text);
	}
}

static void
booleans(void **state)
{
	static const char *const yes[] = {"--insecure", "--insecure=true", "--insecure=1"};
	struct gw_config *cfg;

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		cfg = good("insecure = false\n", (const char *[]){yes[i], "--auth=none", NULL});
		assert_true(cfg->insecure);
		assert_string_equal(cfg->auth, "none");
		gw_config_free(cfg);
	}
	cfg = good("insecure = true\n", (const char *[]){"--insecure=0", NULL});
	assert_false(cfg->insecure);
	gw_config_free(cfg);
}

static void
expands_to(const char *value, const char *want)
{
	char *got = gw_config_value_expand(value);

	if (strcmp(got, want) != 0)
		fail_msg("%s: %s", value, got);
	mem_free(got);
}

static void
paths_are_expanded(void **state)
{
	char *longest = mem_new(20000);
	struct gw_config *cfg;

	(void)state;
	assert_int_equal(setenv("KB_TEST_SET", "/set", 1), 0);
	assert_int_equal(setenv("KB_TEST_EMPTY", "", 1), 0);
	expands_to("", "");
	expands_to("~", "~");
	expands_to("~/a", "/home/of/test/a");
	expands_to("/a/~/b", "/a/~/b");
	expands_to("${KB_TEST_SET:-/def}/x", "/set/x");
	expands_to("${KB_TEST_EMPTY:-/def}/x", "/def/x");
	expands_to("${KB_TEST_NOT:-~/def}/x", "/home/of/test/def/x");
	expands_to("${KB_TEST_NOT:-}", "");
	expands_to("${KB_TEST_SET}", "${KB_TEST_SET}");
	expands_to("${:-x}", "x");
	expands_to("}:-${", "}:-${");
	expands_to("${a}:-b", "${a}:-b");
	(void)memset(longest, 'x', 19999);
	memcpy(longest, "--prefix=/", 10);
	cfg = good(NULL, (const char *[]){longest, NULL});
	assert_string_equal(cfg->prefix, longest + 9);
	gw_config_free(cfg);
	mem_free(longest);
	assert_int_equal(setenv("XDG_STATE_HOME", "/xdg", 1), 0);
	cfg = good(NULL, NULL);
	assert_string_equal(cfg->state_dir, "/xdg/kernelbridge");
	gw_config_free(cfg);
	assert_int_equal(unsetenv("XDG_STATE_HOME"), 0);
}

static char *
printed(const struct gw_config *cfg)
{
	struct buf b;
	char *text;

	buf_init(&b, 1 << 20);
	gw_config_print(cfg, &b);
	text = mem_strdup(b.data);
	buf_fini(&b);
	return text;
}

static void
what_is_printed_reads_back(void **state)
{
	const char *args[] = {"--listen=127.0.0.1:1,[::1]:2",
	                      "--prefix=/a b#c",
	                      "--token_file=/t",
	                      "--allow_origins=https://a.example *",
	                      "--insecure",
	                      "--max_output_bytes=9007199254740992",
	                      "--state_dir=/home/of/test/state",
	                      NULL};
	struct gw_config *a = good(NULL, args);
	char *first = printed(a);
	struct gw_config *b = good(first, NULL);
	char *second = printed(b);

	(void)state;
	assert_string_equal(first, second);
	assert_string_equal(b->prefix, "/a b#c");
	assert_string_equal(b->listen[1], "[::1]:2");
	assert_true(b->max_output_bytes == UINT64_C(9007199254740992));
	assert_null(gw_config_fixed_difference(a, b));
	mem_free(first);
	mem_free(second);
	gw_config_free(a);
	gw_config_free(b);
}

static void
defaults_are_printed_as_they_are_written(void **state)
{
	struct gw_config *a = good(NULL, NULL);
	char *text = printed(a);
	char *other;
	struct gw_config *b = good(text, NULL);

	(void)state;
	assert_null(strstr(text, "/home/of/test"));
	assert_non_null(strstr(text, "prefix = ${XDG_DATA_HOME:-~/.local/share}/kernelbridge"));
	assert_int_equal(setenv("HOME", "/elsewhere", 1), 0);
	other = printed(b); /* what the default was then is no default now */
	assert_non_null(strstr(other, "prefix = /home/of/test/.local/share/kernelbridge"));
	assert_int_equal(setenv("HOME", "/home/of/test", 1), 0);
	mem_free(text);
	mem_free(other);
	gw_config_free(a);
	gw_config_free(b);
}

static void
keys_are_in_order_and_each_has_help(void **state)
{
	struct gw_config *cfg = good(NULL, NULL);
	char *text = printed(cfg);
	char last[64] = "";
	char *save = NULL;
	unsigned n = 0;
	struct buf help;

	(void)state;
	buf_init(&help, 1 << 20);
	gw_config_help(&help);
	for (char *line = strtok_r(text, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save)) {
		char option[80];

		if (line[0] == '#')
			continue;
		*strchr(line, ' ') = '\0';
		assert_true(strcmp(last, line) < 0);
		(void)snprintf(last, sizeof(last), "%s", line);
		(void)snprintf(option, sizeof(option), "--%s=", line);
		assert_non_null(strstr(help.data, option));
		n++;
	}
	assert_true(n >= 25);
	buf_fini(&help);
	mem_free(text);
	gw_config_free(cfg);
}

static void
what_a_reload_may_change(void **state)
{
	struct gw_config *a = good(NULL, NULL);
	struct gw_config *same = good(NULL, (const char *[]){"--max_queue=5", NULL});
	struct gw_config *b = good(NULL, (const char *[]){"--listen=127.0.0.1:9", NULL});
	struct gw_config *c = good(NULL, (const char *[]){"--insecure", NULL});

	(void)state;
	assert_null(gw_config_fixed_difference(a, same));
	assert_string_equal(gw_config_fixed_difference(a, b), "listen");
	assert_string_equal(gw_config_fixed_difference(a, c), "insecure");
	gw_config_free(a);
	gw_config_free(same);
	gw_config_free(b);
	gw_config_free(c);
}

static int
setup(void **state)
{
	int fd = mkstemp(file);

	(void)state;
	if (fd < 0 || close(fd) != 0 || setenv("HOME", "/home/of/test", 1) != 0)
		return -1;
	(void)unsetenv("XDG_STATE_HOME");
	return unsetenv("XDG_DATA_HOME");
}

static int
teardown(void **state)
{
	(void)state;
	return unlink(file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults),
	    cmocka_unit_test(a_state_dir_is_not_too_long),
	    cmocka_unit_test(weaker_sources_give_way),
	    cmocka_unit_test(lists_add_up_in_one_source_and_are_replaced_by_the_next),
	    cmocka_unit_test(what_is_refused_and_how),
	    cmocka_unit_test(booleans),
	    cmocka_unit_test(paths_are_expanded),
	    cmocka_unit_test(what_is_printed_reads_back),
	    cmocka_unit_test(defaults_are_printed_as_they_are_written),
	    cmocka_unit_test(keys_are_in_order_and_each_has_help),
	    cmocka_unit_test(what_a_reload_may_change),
	};

	return cmocka_run_group_tests_name("gw/config", tests, setup, teardown);
}
