/* Unit test of gateway/envfile: what a line means, and what is too much. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/envfile.h"
#include "kernelmgr/env.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

/* The environment before: HOME=/h and A=old. */
static struct km_env *
env_new(void)
{
	struct km_env *env = km_env_new();

	km_env_set(env, "HOME", "/h");
	km_env_set(env, "A", "old");
	return env;
}

/* Everything that was not there before, "NAME=value|NAME=value"; A too if it changed. */
static char *
changes(struct km_env *env)
{
	struct buf b;
	char *ret;

	buf_init(&b, 1 << 20);
	for (char *const *var = km_env_list(env); *var != NULL; var++)
		if (strcmp(*var, "HOME=/h") != 0 && strcmp(*var, "A=old") != 0)
			(void)buf_printf(&b, "%s%s", b.len > 0 ? "|" : "", *var);
	ret = mem_strdup(b.len > 0 ? b.data : "");
	buf_fini(&b);
	return ret;
}

static void
lines(void **state)
{
	static const struct {
		const char *text, *set;
	} cases[] = {
	    {"", ""},
	    {"\n\n  \n# comment\n  # A=1\n", ""},
	    {"B=1", "B=1"},
	    {"B=1\n", "B=1"},
	    {"B=1\r\nC=2\r\n", "B=1|C=2"},
	    {"  B=1  \n\tC=two words \n", "B=1|C=two words"},
	    {"export B=1\nexport  C='x'\n", "B=1|C=x"},
	    {"exportB=1\n", "exportB=1"},
	    {"B=\nC=''\nD=\"\"\n", "B=|C=|D="},
	    {"B=a=b\nC==\n", "B=a=b|C=="},
	    {"B=a#b # c\n", "B=a#b # c"},
	    {"A=new\n", "A=new"},
	    {"B=1\nB=2\n", "B=2"},
	    /* no lines of a variable */
	    {"B\n=1\nB C=1\n1B=1\nB-C=1\n B =1\nexport\nexport =1\nC=ok\n", "C=ok"},
	    {"\xc3\xa4=1\nB=\xc3\xa4\xff\n", "B=\xc3\xa4\xff"},
	    /* single quotes: as it is */
	    {"B='$HOME \\n \" #'\n", "B=$HOME \\n \" #"},
	    {"B=' x '  # comment\n", "B= x "},
	    {"B='one\ntwo\n\n# four'\nC=1\n", "B=one\ntwo\n\n# four|C=1"},
	    /* double quotes */
	    {"B=\"a\\nb\\tc\\rd\\\"e\\\\f\\$g\"\n", "B=a\nb\tc\rd\"e\\f$g"},
	    {"B=\"\\x \\' \\u0041\"\n", "B=\\x \\' \\u0041"},
	    {"B=\"it's\"\n", "B=it's"},
	    {"B=\"one\ntwo\"\n", "B=one\ntwo"},
	    {"B=\"$HOME/x ${HOME}y\"\n", "B=/h/x /hy"},
	    /* variables */
	    {"B=$HOME/x:${A}:$NONE:${NONE}.\n", "B=/h/x:old::."},
	    {"B=1\nC=$B$B\nB=$C$B\n", "B=111|C=11"},
	    {"A=$A:more\n", "A=old:more"},
	    {"B=$ $$ $1 ${ ${} ${A ${A-x} $\n", "B=$ $$ $1 ${ ${} ${A ${A-x} $"},
	    {"B=\\$HOME\n", "B=\\/h"},
	    /* quotes that do not end, or not where they should */
	    {"B='x\nC=1\n", "C=1"},
	    {"B=\"x\nC=1\n", "C=1"},
	    {"B=\"x\\\"\nC=1\n", "C=1"},
	    {"B='x'y\nC=1\n", "C=1"},
	    {"B='x' 'y'\nC=1\n", "C=1"},
	    {"B='x'\\''y'\nC=1\n", "C=1"},
	    {"B='a\nb' x\nC=1\n", "C=1"},
	    {"B=x'y'\n", "B=x'y'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct km_env *env = env_new();
		struct err err = {""};
		char *set;

		if (gw_envfile_parse(cases[i].text, strlen(cases[i].text), env, &err) != 0)
			fail_msg("case %zu: %s", i, err.text);
		set = changes(env);
		if (strcmp(set, cases[i].set) != 0)
			fail_msg("case %zu: <%s>, not <%s>", i, set, cases[i].set);
		assert_string_equal(km_env_find(env, "HOME"), "/h");
		mem_free(set);
		km_env_free(env);
	}
}

static void
nul_bytes(void **state)
{
	static const char file[] = "B=x\0y\nC='x\0y'\n\0D=1\nE=\0\nF=1\n";
	struct km_env *env = env_new();
	struct err err = {""};
	char *set;

	(void)state;
	assert_int_equal(gw_envfile_parse(file, sizeof(file) - 1, env, &err), 0);
	set = changes(env);
	assert_string_equal(set, "F=1");
	mem_free(set);
	km_env_free(env);
}

/* Parse b, which is emptied; returns what that returns. */
static int
parse(struct buf *b)
{
	struct km_env *env = env_new();
	struct err err = {""};
	int rc = gw_envfile_parse(b->data, b->len, env, &err);

	assert_int_equal(rc == 0, err.text[0] == '\0');
	km_env_free(env);
	buf_fini(b);
	return rc;
}

static void
add_chars(struct buf *b, char c, size_t n)
{
	char piece[1024];

	memset(piece, c, sizeof(piece));
	for (size_t k; n > 0; n -= k) {
		k = n < sizeof(piece) ? n : sizeof(piece);
		assert_int_equal(buf_append(b, piece, k), 0);
	}
}

static void
ceilings(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4 * GW_ENVFILE_MAX);
	for (unsigned i = 0; i < GW_ENVFILE_VARS_MAX; i++)
		(void)buf_printf(&b, "V%u=\n", i);
	(void)buf_printf(&b, "V0=again\n");
	assert_int_equal(parse(&b), 0);

	for (unsigned i = 0; i <= GW_ENVFILE_VARS_MAX; i++)
		(void)buf_printf(&b, "V%u=\n", i);
	assert_int_equal(parse(&b), -EMSGSIZE);

	(void)buf_printf(&b, "B=");
	for (unsigned i = 0; i < GW_ENVFILE_NAMED_MAX; i++)
		(void)buf_printf(&b, "$Q");
	assert_int_equal(parse(&b), 0);
	(void)buf_printf(&b, "B=");
	for (unsigned i = 0; i <= GW_ENVFILE_NAMED_MAX; i++)
		(void)buf_printf(&b, "$Q");
	assert_int_equal(parse(&b), -EMSGSIZE);

	(void)buf_printf(&b, "#");
	add_chars(&b, 'x', GW_ENVFILE_MAX - 1);
	assert_int_equal(parse(&b), 0);
	add_chars(&b, '#', GW_ENVFILE_MAX + 1);
	assert_int_equal(parse(&b), -EMSGSIZE);

	(void)buf_printf(&b, "B="); /* execve(2) takes 128 KiB, with the name */
	add_chars(&b, 'x', 131072 - 3);
	assert_int_equal(parse(&b), 0);
	(void)buf_printf(&b, "B=");
	add_chars(&b, 'x', 131072 - 2);
	assert_int_equal(parse(&b), -EINVAL);

	/* doubling: a short file that would be a terabyte */
	(void)buf_printf(&b, "B=0123456789\n");
	for (int i = 0; i < 40; i++)
		(void)buf_printf(&b, "B=$B$B\n");
	assert_int_equal(parse(&b), -EMSGSIZE);

	add_chars(&b, 'N', 2000); /* no name is so long */
	(void)buf_printf(&b, "=1\nB=${");
	add_chars(&b, 'N', 2000);
	(void)buf_printf(&b, "}\n");
	assert_int_equal(parse(&b), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines),
	    cmocka_unit_test(nul_bytes),
	    cmocka_unit_test(ceilings),
	};

	return cmocka_run_group_tests_name("gw/envfile", tests, NULL, NULL);
}
