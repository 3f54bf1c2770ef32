/* Unit test of gateway/evlog: numbers, pieces, merging, trimming. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/evlog.h"
#include "gateway/metrics.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define ALL UINT64_MAX /* everything was read: nothing may grow */

static void
put(struct gw_evlog *l, enum gw_event_kind kind, const char *text, size_t len, uint64_t read)
{
	const struct gw_event ev = {.kind = kind, .text = {text, len}};

	gw_evlog_append(l, &ev, read);
}

static void
put_s(struct gw_evlog *l, const char *text, uint64_t read)
{
	put(l, GW_EV_STDOUT, text, strlen(text), read);
}

static unsigned
count(const struct gw_evlog *l)
{
	const struct gw_event *ev = gw_evlog_after(l, 0);
	unsigned n = 0;

	for (; ev != NULL; ev = gw_evlog_next(l, ev))
		n++;
	return n;
}

static void
numbers_and_order(void **state)
{
	struct gw_evlog l;
	const struct gw_event *ev;

	(void)state;
	gw_evlog_init(&l);
	assert_null(gw_evlog_after(&l, 0));
	for (unsigned i = 0; i < 5; i++)
		put(&l, GW_EV_CLEAR, NULL, 0, 0);
	assert_int_equal(l.last_seq, 5);
	for (uint64_t seq = 0; seq < 5; seq++)
		assert_int_equal(gw_evlog_after(&l, seq)->seq, seq + 1);
	assert_null(gw_evlog_after(&l, 5));
	assert_null(gw_evlog_after(&l, 1000));
	ev = gw_evlog_after(&l, 3);
	assert_int_equal(gw_evlog_next(&l, ev)->seq, 5);
	assert_null(gw_evlog_next(&l, gw_evlog_next(&l, ev)));
	assert_string_equal(ev->text.ptr, ""); /* terminated even where there is none */
	gw_evlog_fini(&l);
}

static void
a_log_owns_what_it_holds(void **state)
{
	struct gw_evlog l;
	char text[] = "text";
	char id[] = "id";
	char name[] = "name";
	json_t *bundle = json_pack("{s:s}", "text/plain", "x");
	const struct gw_event ev = {.kind = GW_EV_DISPLAY,
	                            .text = {text, 4},
	                            .id = id,
	                            .name = name,
	                            .bundle = bundle,
	                            .metadata = bundle,
	                            .traceback = bundle,
	                            .plain = bundle};
	const struct gw_event *kept;

	(void)state;
	gw_evlog_init(&l);
	gw_evlog_append(&l, &ev, 0);
	json_decref(bundle);
	memset(text, '#', 4);
	memset(id, '#', 2);
	memset(name, '#', 4);
	kept = gw_evlog_after(&l, 0);
	assert_string_equal(kept->text.ptr, "text");
	assert_string_equal(kept->id, "id");
	assert_string_equal(kept->name, "name");
	assert_int_equal(json_object_size(kept->bundle), 1);
	assert_int_equal(json_object_size(kept->plain), 1);
	gw_evlog_fini(&l);
	assert_int_equal(l.bytes, 0);
	assert_int_equal(gw_metric[GW_M_EVENTS_BYTES], 0);
}

static void
unread_stream_text_merges(void **state)
{
	struct gw_evlog l;

	(void)state;
	gw_evlog_init(&l);
	put_s(&l, "a", 0);
	put_s(&l, "b", 0);
	put(&l, GW_EV_STDERR, "e", 1, 0); /* another stream: order is kept */
	put_s(&l, "c", 0);
	put(&l, GW_EV_CLEAR, NULL, 0, 0);
	put_s(&l, "d", 0);
	assert_int_equal(count(&l), 5);
	assert_string_equal(gw_evlog_after(&l, 0)->text.ptr, "ab");
	assert_string_equal(gw_evlog_after(&l, 2)->text.ptr, "c");
	put_s(&l, "e", 4); /* somebody read up to 4: 5 may grow */
	assert_string_equal(gw_evlog_after(&l, 4)->text.ptr, "de");
	put_s(&l, "f", 5); /* 5 was read: it may not */
	assert_string_equal(gw_evlog_after(&l, 4)->text.ptr, "de");
	assert_string_equal(gw_evlog_after(&l, 5)->text.ptr, "f");
	put(&l, GW_EV_STDOUT, "\0g", 2, 0);
	assert_int_equal(gw_evlog_after(&l, 5)->text.len, 3);
	assert_memory_equal(gw_evlog_after(&l, 5)->text.ptr, "f\0g", 4);
	put_s(&l, "", 0); /* no text, no event */
	put_s(&l, "", ALL);
	assert_int_equal(l.last_seq, 6);
	gw_evlog_fini(&l);
}

/* size bytes of n-byte characters after skip single ones, appended to l in one go or in parts;
 * every piece must be valid, and all of it there. */
static void
pieces_are_whole(const char *character, size_t skip, size_t size, size_t part)
{
	size_t n = strlen(character);
	bool valid = utf8_valid(character, n) && part % n == 0;
	char *text = mem_new(size + n + skip);
	size_t len = skip;
	struct gw_evlog l;
	const struct gw_event *ev;
	size_t at = 0;

	memset(text, 'x', skip);
	for (; len < size; len += n)
		memcpy(text + len, character, n);
	gw_evlog_init(&l);
	for (size_t i = 0; i < len; i += part)
		put(&l, GW_EV_STDOUT, text + i, len - i < part ? len - i : part, 0);
	for (ev = gw_evlog_after(&l, 0); ev != NULL; ev = gw_evlog_next(&l, ev)) {
		assert_in_range(ev->text.len, 1, GW_EVLOG_PIECE);
		assert_true(!valid || utf8_valid(ev->text.ptr, ev->text.len));
		assert_memory_equal(ev->text.ptr, text + at, ev->text.len);
		at += ev->text.len;
	}
	assert_int_equal(at, len);
	if (n == 1 && valid)
		assert_int_equal(count(&l), (len + GW_EVLOG_PIECE - 1) / GW_EVLOG_PIECE);
	gw_evlog_fini(&l);
	mem_free(text);
}

static void
long_text_is_cut_between_characters(void **state)
{
	(void)state;
	for (size_t skip = 0; skip < 5; skip++) {
		pieces_are_whole("y", skip, 3 * GW_EVLOG_PIECE, SIZE_MAX / 2);
		pieces_are_whole("\xc3\xa9", skip, 3 * GW_EVLOG_PIECE, SIZE_MAX / 2);
		pieces_are_whole("\xe2\x82\xac", skip, 3 * GW_EVLOG_PIECE, SIZE_MAX / 2);
		pieces_are_whole("\xf0\x9f\x98\x80", skip, 3 * GW_EVLOG_PIECE, SIZE_MAX / 2);
	}
	pieces_are_whole("\xf0\x9f\x98\x80", 0, 3 * GW_EVLOG_PIECE,
	                 4 * 999); /* grows piecewise */
	pieces_are_whole("\xe2\x82\xac", 0, 3 * GW_EVLOG_PIECE, 3);
	pieces_are_whole("y", 0, GW_EVLOG_PIECE, SIZE_MAX / 2); /* exactly one */
	pieces_are_whole("y", 0, GW_EVLOG_PIECE + 1, SIZE_MAX / 2);
	pieces_are_whole("\x80", 0, 2 * GW_EVLOG_PIECE,
	                 7); /* no UTF-8 at all: still all there */
}

static void
bytes_are_counted(void **state)
{
	struct gw_evlog l;
	size_t one;
	char big[1000];
	json_t *text = json_stringn(memset(big, 'x', sizeof(big)), sizeof(big));
	const struct gw_event ev = {.kind = GW_EV_ERROR, .traceback = text, .plain = text};
	size_t before;

	(void)state;
	gw_evlog_init(&l);
	put_s(&l, "a", ALL);
	one = l.bytes;
	put_s(&l, "b", ALL);
	assert_int_equal(l.bytes, 2 * one);
	assert_int_equal(gw_evlog_bytes_after(&l, 0), 2 * one);
	assert_int_equal(gw_evlog_bytes_after(&l, 1), one);
	assert_int_equal(gw_evlog_bytes_after(&l, 2), 0);
	assert_int_equal(gw_evlog_bytes_after(&l, 99), 0);
	put_s(&l, "cc", 0); /* grows b */
	assert_int_equal(l.bytes, 2 * one + 2);
	assert_int_equal(gw_metric[GW_M_EVENTS_BYTES], (int64_t)l.bytes);
	before = l.bytes;
	gw_evlog_append(&l, &ev, 0);
	assert_true(l.bytes - before >= 2 * sizeof(big)); /* both texts count */
	json_decref(text);
	gw_evlog_fini(&l);
	assert_int_equal(gw_metric[GW_M_EVENTS_BYTES], 0);
}

static void
trimming_takes_the_oldest_that_were_read(void **state)
{
	struct gw_evlog l;
	size_t one;

	(void)state;
	gw_evlog_init(&l);
	for (unsigned i = 0; i < 10; i++)
		put_s(&l, "x", ALL);
	one = l.bytes / 10;
	gw_evlog_trim(&l, 10, 10 * one);
	assert_int_equal(count(&l), 10); /* nothing to do */
	gw_evlog_trim(&l, 3, 0);
	assert_int_equal(count(&l), 7); /* what was not read stays */
	assert_int_equal(gw_evlog_after(&l, 0)->seq, 4);
	gw_evlog_trim(&l, 10, 2 * one);
	assert_int_equal(count(&l), 2);
	assert_int_equal(gw_evlog_after(&l, 0)->seq, 9);
	gw_evlog_trim(&l, 10, 0);
	assert_int_equal(count(&l), 0);
	put_s(&l, "y", 0);
	assert_int_equal(gw_evlog_after(&l, 0)->seq, 11); /* numbers go on */
	gw_evlog_fini(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(numbers_and_order),
	    cmocka_unit_test(a_log_owns_what_it_holds),
	    cmocka_unit_test(unread_stream_text_merges),
	    cmocka_unit_test(long_text_is_cut_between_characters),
	    cmocka_unit_test(bytes_are_counted),
	    cmocka_unit_test(trimming_takes_the_oldest_that_were_read),
	};

	return cmocka_run_group_tests_name("gw/evlog", tests, NULL, NULL);
}
