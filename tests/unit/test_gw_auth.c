/* Unit test of gateway/auth: who is let in, and the token's file. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/auth.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

static void
only_the_token_opens(void **state)
{
	struct gw_auth *a = gw_auth_new(false, "secret"), *none = gw_auth_new(true, NULL),
		       *empty = gw_auth_new(false, "");

	(void)state;
	assert_true(gw_auth_check(a, "secret"));
	assert_false(gw_auth_check(a, "secre"));
	assert_false(gw_auth_check(a, "secret "));
	assert_false(gw_auth_check(a, ""));
	assert_false(gw_auth_check(a, NULL));
	assert_true(gw_auth_check(none, NULL));
	assert_true(gw_auth_check(none, "x"));
	assert_false(gw_auth_check(empty, "")); /* no token is nobody's token */
	gw_auth_set_token(a, "next");
	assert_false(gw_auth_check(a, "secret"));
	assert_true(gw_auth_check(a, "next"));
	gw_auth_free(a);
	gw_auth_free(none);
	gw_auth_free(empty);
	gw_auth_free(NULL);
}

static void
a_sandbox_token_names_its_sandbox(void **state)
{
	struct gw_auth *a = gw_auth_new(false, "secret"), *b = gw_auth_new(false, "other");
	char *t = gw_auth_sandbox_token(a, "box.1"), *of;

	(void)state;
	assert_false(gw_auth_check(a, t)); /* not the gateway */
	of = gw_auth_token_sandbox(a, t);
	assert_string_equal(of, "box.1");
	mem_free(of);
	assert_null(gw_auth_token_sandbox(b, t));
	t[strlen(t) - 1] = t[strlen(t) - 1] == '0' ? '1' : '0';
	assert_null(gw_auth_token_sandbox(a, t));
	mem_free(t);
	t = gw_auth_sandbox_token(a, "box.1");
	gw_auth_set_token(a, "next");
	assert_null(gw_auth_token_sandbox(a, t));
	mem_free(t);
	gw_auth_free(a);
	gw_auth_free(b);
}

static void
garbled_sandbox_tokens_are_nobodys(void **state)
{
	static const char *const bad[] = {"",       "kb1",      "kb1.",     "kb1..", "kb1.x",
	                                  "kb1.x.", "kb1.x.00", "KB1.x.00", "."};
	struct gw_auth *a = gw_auth_new(false, "secret");

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(gw_auth_token_sandbox(a, bad[i]));
	gw_auth_free(a);
}

static void
the_token_file_is_made_once(void **state)
{
	char dir[] = "/tmp/kb-auth-XXXXXX", path[64];
	char *one = NULL, *two = NULL;
	struct err err = {""};
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/token", dir);
	assert_int_equal(gw_auth_token_file(path, &one, &err), 0);
	assert_int_equal(strlen(one), 64);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(gw_auth_token_file(path, &two, &err), 0);
	assert_string_equal(one, two);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(gw_auth_token_file(path, &two, &err), -EACCES);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(gw_auth_token_file(path, &two, &err), -EIO);
	mem_free(one);
	mem_free(two);
}

static void
a_token_file_by_hand(void **state)
{
	static const struct {
		const char *text;
		int rc;
	} cases[] = {
	    {"abc\n", 0}, {"abc", 0}, {" \n", -EINVAL}, {"", -EINVAL}, {"a b\n", -EINVAL}};
	char path[] = "/tmp/kb-auth-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {""};
		char *t = NULL;
		ssize_t n = (ssize_t)strlen(cases[i].text);

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, cases[i].text, (size_t)n, 0), n);
		assert_int_equal(gw_auth_token_file(path, &t, &err), cases[i].rc);
		if (cases[i].rc == 0)
			assert_string_equal(t, "abc");
		else
			assert_true(err.text[0] != '\0');
		mem_free(t);
	}
	(void)close(fd);
	(void)unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(only_the_token_opens),
	    cmocka_unit_test(a_sandbox_token_names_its_sandbox),
	    cmocka_unit_test(garbled_sandbox_tokens_are_nobodys),
	    cmocka_unit_test(the_token_file_is_made_once),
	    cmocka_unit_test(a_token_file_by_hand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
