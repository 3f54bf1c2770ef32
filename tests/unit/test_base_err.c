/* Unit test of wire/base/err: one sentence, cut to fit, always valid UTF-8. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/base/err.h"
#include "wire/base/utf8.h"

static void
the_code_comes_back(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_set(&e, -EINVAL, "port %d is %s", 7, "odd"), -EINVAL);
	assert_string_equal(e.text, "port 7 is odd");
	assert_int_equal(err_set(NULL, -EIO, "nobody reads %d", 1), -EIO);
}

static void
a_cut_leaves_no_half_character(void **state)
{
	char text[600];
	struct err e;

	(void)state;
	for (size_t skip = 0; skip < 4; skip++) {
		memset(text, 'x', skip);
		for (size_t i = 0; i < 100; i++)
			memcpy(text + skip + 4 * i, "\xf0\x9f\x98\x80", 5);
		(void)err_set(&e, -EINVAL, "%s", text);
		assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
		assert_true(utf8_valid(e.text, strlen(e.text)));
		(void)err_set(&e, -EINVAL, "name '%.10s' is taken", text);
		assert_true(utf8_valid(e.text, strlen(e.text)));
		assert_non_null(strstr(e.text, "' is taken"));
	}
	(void)err_set(&e, -EINVAL, "%s", "a\xff\xc3(\x80z");
	assert_string_equal(e.text, "a\?\?(\?z");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_code_comes_back),
	    cmocka_unit_test(a_cut_leaves_no_half_character),
	};

	return cmocka_run_group_tests_name("base/err", tests, NULL, NULL);
}
