/* Unit test of wire/base/table: what is added is found until it is taken out, however many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "wire/base/table.h"

#define MANY 1000

struct thing {
	char name[16];
	struct table_node node;
};

static void
what_is_there_is_found(void **state)
{
	static struct thing things[MANY];
	struct table t = {0};

	(void)state;
	assert_null(table_find(&t, "0"));
	for (size_t i = 0; i < MANY; i++) {
		(void)snprintf(things[i].name, sizeof(things[i].name), "%zu", i);
		table_add(&t, &things[i].node, things[i].name);
	}
	for (size_t i = 0; i < MANY; i += 2)
		table_del(&t, &things[i].node);
	table_del(&t, &things[0].node); /* it is in none */
	assert_int_equal(t.n, MANY / 2);
	for (size_t i = 0; i < MANY; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%zu", i);
		assert_ptr_equal(table_find(&t, name), i % 2 == 0 ? NULL : &things[i].node);
	}
	assert_null(table_find(&t, ""));
	table_fini(&t);
	assert_null(things[1].node.key);
	table_del(&t, &things[1].node);
	assert_null(table_find(&t, "1"));
}

static void
the_later_of_a_name_is_found(void **state)
{
	static struct table_node others[MANY];
	struct table_node a = {0}, b = {0};
	struct table t = {0};
	static char names[MANY][8];

	(void)state;
	table_add(&t, &a, "same");
	table_add(&t, &b, "same");
	for (size_t i = 0; i < MANY; i++) { /* it grows */
		(void)snprintf(names[i], sizeof(names[i]), "%zu", i);
		table_add(&t, &others[i], names[i]);
	}
	assert_ptr_equal(table_find(&t, "same"), &b);
	table_del(&t, &b);
	assert_ptr_equal(table_find(&t, "same"), &a);
	table_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_there_is_found),
	    cmocka_unit_test(the_later_of_a_name_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
