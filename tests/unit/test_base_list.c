/* Unit test of wire/base/list: order, and removal of the visited node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wire/base/list.h"

struct item {
	int n;
	struct list node;
};

static void
fill(struct list *head, struct item items[4])
{
	list_init(head);
	for (int i = 0; i < 4; i++) {
		items[i].n = i;
		list_add_before(head, &items[i].node);
	}
}

static void
keeps_order(void **state)
{
	(void)state;
	struct list head, *it, *tmp;
	struct item items[4], first = {.n = -1};
	int want = -1;

	fill(&head, items);
	list_add_before(head.next, &first.node);
	list_each (it, tmp, &head)
		assert_int_equal(list_entry(it, struct item, node)->n, want++);
	assert_int_equal(want, 4);
}

static void
visited_node_may_go(void **state)
{
	(void)state;
	struct list head, *it, *tmp;
	struct item items[4];
	int seen = 0;

	fill(&head, items);
	list_each (it, tmp, &head) {
		if (list_entry(it, struct item, node)->n % 2 == 0)
			list_del(it);
		seen++;
	}
	assert_int_equal(seen, 4);
	assert_ptr_equal(head.next, &items[1].node);
	assert_ptr_equal(head.prev, &items[3].node);
	assert_true(list_empty(&items[0].node));
}

static void
deleting_twice_is_harmless(void **state)
{
	(void)state;
	struct list head;
	struct item items[4];

	fill(&head, items);
	for (int i = 0; i < 4; i++) {
		list_del(&items[i].node);
		list_del(&items[i].node);
	}
	assert_true(list_empty(&head));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(keeps_order),
	    cmocka_unit_test(visited_node_may_go),
	    cmocka_unit_test(deleting_twice_is_harmless),
	};

	return cmocka_run_group_tests_name("wire/base/list", tests, NULL, NULL);
}
