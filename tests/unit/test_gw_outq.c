/* Unit test of gateway/outq: order, pieces that stay whole, the ceiling. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

#include <cmocka.h>

#include "gateway/outq.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"

static void
what_goes_in_comes_out(void **state)
{
	struct gw_outq q;
	struct iovec v[4];

	(void)state;
	gw_outq_init(&q, 100);
	assert_int_equal(gw_outq_vec(&q, v, 4), 0);
	assert_int_equal(gw_outq_put(&q, "head", 4, "body", 4), 0);
	assert_int_equal(gw_outq_put(&q, "x", 1, NULL, 0), 0);
	assert_int_equal(gw_outq_put(&q, NULL, 0, NULL, 0), 0);
	assert_int_equal(q.bytes, 9);
	assert_int_equal(gw_outq_vec(&q, v, 4), 1); /* small ones share a piece */
	assert_int_equal(v[0].iov_len, 9);
	assert_memory_equal(v[0].iov_base, "headbodyx", 9);
	gw_outq_drop(&q, 4);
	assert_int_equal(gw_outq_vec(&q, v, 4), 1);
	assert_memory_equal(v[0].iov_base, "bodyx", 5);
	gw_outq_drop(&q, 5);
	assert_int_equal(q.bytes, 0);
	assert_int_equal(gw_outq_vec(&q, v, 4), 0);
	assert_int_equal(gw_outq_put(&q, "again", 5, NULL, 0), 0);
	gw_outq_fini(&q);
}

static void
a_put_is_never_torn(void **state)
{
	const size_t each = 3000;
	char *data = mem_new(each);
	struct gw_outq q;
	struct iovec v[64];
	size_t n, total = 0;

	(void)state;
	gw_outq_init(&q, 1 << 20);
	for (int i = 0; i < 100; i++)
		assert_int_equal(gw_outq_put(&q, "hd", 2, data, each), 0);
	n = gw_outq_vec(&q, v, 64);
	assert_true(n > 1 && n < 64);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(v[i].iov_len % (each + 2), 0);
		total += v[i].iov_len;
	}
	assert_int_equal(total, q.bytes);
	gw_outq_drop(&q, v[0].iov_len + v[1].iov_len + 1); /* across pieces, into one */
	assert_int_equal(q.bytes, total - v[0].iov_len - v[1].iov_len - 1);
	gw_outq_fini(&q);
	mem_free(data);
}

static void
past_the_ceiling_nothing_is_taken(void **state)
{
	struct gw_outq q;

	(void)state;
	gw_outq_init(&q, 8);
	assert_int_equal(gw_outq_put(&q, "12345", 5, "678", 3), 0);
	assert_int_equal(gw_outq_put(&q, "9", 1, NULL, 0), -EMSGSIZE);
	gw_outq_drop(&q, 2);
	assert_int_equal(gw_outq_put(&q, "9", 1, "0A", 2), -EMSGSIZE);
	assert_int_equal(gw_outq_put(&q, "9", 1, "0", SIZE_MAX), -EMSGSIZE);
	assert_int_equal(q.bytes, 6);
	assert_int_equal(gw_outq_put(&q, "9", 1, "0", 1), 0);
	gw_outq_fini(&q);
	assert_int_equal(q.bytes, 0);
}

static void
what_is_taken_is_not_copied(void **state)
{
	struct gw_outq_taken t;
	struct gw_outq q;
	struct iovec v[4];
	struct buf b;
	const char *data;

	(void)state;
	gw_outq_init(&q, 20);
	buf_init(&b, 100);
	assert_int_equal(buf_append(&b, "--message", 9), 0);
	data = b.data;
	assert_int_equal(gw_outq_put(&q, "before", 6, NULL, 0), 0);
	assert_int_equal(gw_outq_take(&q, &b, 2), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(gw_outq_put(&q, "after", 5, NULL, 0), 0);
	assert_int_equal(q.bytes, 18);
	assert_int_equal(gw_outq_vec(&q, v, 4), 3);
	assert_ptr_equal(v[1].iov_base, data + 2);
	assert_false(gw_outq_first_taken(&q, &t));
	gw_outq_drop(&q, 6);
	assert_true(gw_outq_first_taken(&q, &t));
	assert_ptr_equal(t.at, data + 2);
	assert_int_equal(t.left, 7);
	assert_false(t.begun);
	gw_outq_drop(&q, 3);
	assert_true(gw_outq_first_taken(&q, &t));
	assert_int_equal(t.left, 4);
	assert_true(t.begun);
	gw_outq_drop(&q, 4);
	assert_false(gw_outq_first_taken(&q, &t));
	assert_int_equal(gw_outq_vec(&q, v, 4), 1);
	assert_memory_equal(v[0].iov_base, "after", 5);
	gw_outq_fini(&q);
	assert_false(gw_outq_first_taken(&q, &t));
	buf_fini(&b);
}

/* One may be larger than the ceiling, which then is for what comes behind it. */
static void
one_may_pass_the_ceiling(void **state)
{
	struct gw_outq q;
	struct buf b;

	(void)state;
	gw_outq_init(&q, 8);
	buf_init(&b, 100);
	assert_int_equal(buf_append(&b, "-123456789", 10), 0);
	assert_int_equal(gw_outq_take(&q, &b, 1), 0);
	assert_int_equal(q.bytes, 9);
	assert_int_equal(gw_outq_put(&q, "12345678", 8, NULL, 0), 0);
	assert_int_equal(gw_outq_put(&q, "9", 1, NULL, 0), -EMSGSIZE);
	assert_int_equal(buf_append(&b, "-another", 8), 0);
	assert_int_equal(gw_outq_take(&q, &b, 1), -EMSGSIZE);
	assert_int_equal(b.len, 8);
	gw_outq_drop(&q, 9);
	assert_int_equal(gw_outq_put(&q, "9", 1, NULL, 0), -EMSGSIZE);
	gw_outq_drop(&q, 4);
	assert_int_equal(gw_outq_put(&q, "9", 1, NULL, 0), 0);
	assert_int_equal(gw_outq_take(&q, &b, 1), 0);
	gw_outq_fini(&q); /* with it in the queue */
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_goes_in_comes_out),
	    cmocka_unit_test(a_put_is_never_torn),
	    cmocka_unit_test(past_the_ceiling_nothing_is_taken),
	    cmocka_unit_test(what_is_taken_is_not_copied),
	    cmocka_unit_test(one_may_pass_the_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
