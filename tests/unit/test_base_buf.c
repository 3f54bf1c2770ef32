/* Unit test of wire/base/buf: growth, the ceiling to the byte, and nothing lost on refusal. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/base/buf.h"

static void
starts_empty_and_terminated(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 10);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	assert_int_equal(buf_append(&b, "", 0), 0);
	assert_int_equal(buf_printf(&b, "%s", ""), 0);
	assert_int_equal(b.cap, 0);
	assert_string_equal(b.data, "");
	buf_consume(&b, 0);
	buf_fini(&b);
	buf_fini(&b);
}

static void
ceiling_is_exact(void **state)
{
	(void)state;
	const size_t ceilings[] = {0, 1, 63, 64, 65, 127, 128, 1000};

	for (size_t i = 0; i < sizeof(ceilings) / sizeof(ceilings[0]); i++) {
		struct buf b;

		buf_init(&b, ceilings[i]);
		for (size_t n = 0; n < ceilings[i]; n++)
			assert_int_equal(buf_append(&b, "x", 1), 0);
		assert_int_equal(buf_append(&b, "y", 1), -EMSGSIZE);
		assert_int_equal(buf_printf(&b, "%d", 7), -EMSGSIZE);
		assert_int_equal(b.len, ceilings[i]);
		assert_int_equal(strlen(b.data), ceilings[i]);
		assert_null(strchr(b.data, 'y'));
		buf_fini(&b);
	}
}

static void
refusal_changes_nothing(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 8);
	assert_int_equal(buf_append(&b, "abc", 3), 0);
	assert_int_equal(buf_append(&b, "toolong", 7), -EMSGSIZE);
	assert_int_equal(buf_printf(&b, "%s", "toolong"), -EMSGSIZE);
	assert_int_equal(buf_append(&b, "", SIZE_MAX), -EMSGSIZE);
	assert_string_equal(b.data, "abc");
	assert_int_equal(buf_printf(&b, "%s", "12345"), 0);
	assert_string_equal(b.data, "abc12345");
	buf_fini(&b);
	assert_int_equal(b.max, 8);
}

static void
printf_appends(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 100000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(buf_printf(&b, "%03d,", i), 0);
	assert_int_equal(b.len, 4000);
	assert_memory_equal(&b.data[2068], "517,", 4);
	assert_int_equal(buf_printf(&b, "%s", ""), 0);
	assert_int_equal(b.len, 4000);
	buf_fini(&b);
}

static void
consume_drops_the_front(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 20);
	assert_int_equal(buf_append(&b, "a\0bcd", 5), 0);
	buf_consume(&b, 2);
	assert_string_equal(b.data, "bcd");
	buf_consume(&b, 3);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	assert_int_equal(buf_append(&b, "again", 5), 0);
	assert_string_equal(b.data, "again");
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(starts_empty_and_terminated), cmocka_unit_test(ceiling_is_exact),
	    cmocka_unit_test(refusal_changes_nothing),     cmocka_unit_test(printf_appends),
	    cmocka_unit_test(consume_drops_the_front),
	};

	return cmocka_run_group_tests_name("wire/base/buf", tests, NULL, NULL);
}
