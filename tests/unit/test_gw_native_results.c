/* Unit test of gateway/dialects/native_results: what is kept, updated, and dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "gateway/dialects/native_results.h"
#include "gateway/event.h"
#include "wire/base/buf.h"

#define MAX 100000

/* An event whose bundle is text. */
static void
add(struct gw_native_results *r, enum gw_event_kind kind, const char *id, const char *text)
{
	struct gw_event ev = {
	    .kind = kind, .id = id, .bundle = json_pack("{s:s}", "text/plain", text)};

	gw_native_results_add(r, &ev);
	json_decref(ev.bundle);
}

/* What comes of it is these events with these texts: "display a|result b"; frees r. */
static void
expect(struct gw_native_results *r, const char *want)
{
	json_t *array = gw_native_results_take(r), *o;
	struct buf got;
	size_t i;

	buf_init(&got, 1000);

	json_array_foreach (array, i, o) {
		const char *event, *text;

		assert_int_equal(json_unpack(o, "{s:s, s:{s:s}, s:{}}", "event", &event,
		                             "bundle", "text/plain", &text, "metadata"),
		                 0);
		assert_int_equal(buf_printf(&got, "%s%s %s", i > 0 ? "|" : "", event, text), 0);
	}
	assert_string_equal(got.data, want);
	buf_fini(&got);
	json_decref(array);
	gw_native_results_fini(r);
}

/* A text of len bytes, owned by the caller. */
static char *
text_of(size_t len)
{
	char *text = calloc(1, len + 1);

	assert_non_null(text);
	memset(text, 'x', len);
	return text;
}

static void
updates_reach_what_came_before_them(void **state)
{
	struct gw_native_results r;

	(void)state;
	gw_native_results_init(&r, MAX);
	add(&r, GW_EV_UPDATE, "d", "of nothing");
	add(&r, GW_EV_DISPLAY, "d", "1");
	add(&r, GW_EV_DISPLAY, NULL, "2");
	add(&r, GW_EV_DISPLAY, "e", "3");
	add(&r, GW_EV_DISPLAY, "d", "4");
	add(&r, GW_EV_UPDATE, "d", "old");
	add(&r, GW_EV_UPDATE, NULL, "of nothing");
	add(&r, GW_EV_UPDATE, "d", "new");
	add(&r, GW_EV_DISPLAY, "d", "5");
	add(&r, GW_EV_RESULT, NULL, "6");
	assert_false(r.truncated);
	expect(&r, "display new|display 2|display 3|display new|display 5|result 6");
	gw_native_results_init(&r, MAX);
	gw_native_results_fini(&r); /* not taken */
}

static void
what_does_not_fit_is_dropped(void **state)
{
	struct gw_native_results r;
	char *large = text_of(MAX), *half = text_of(MAX / 2);

	(void)state;
	gw_native_results_init(&r, MAX);
	add(&r, GW_EV_DISPLAY, "d", "1");
	add(&r, GW_EV_RESULT, NULL, large);
	assert_true(r.truncated);
	add(&r, GW_EV_UPDATE, "d", large);
	add(&r, GW_EV_DISPLAY, large, "its id is large");
	add(&r, GW_EV_DISPLAY, "d", "2");
	add(&r, GW_EV_UPDATE, "d", half); /* there are two of it */
	expect(&r, "display 1|display 2");
	gw_native_results_init(&r, MAX);
	for (int i = 0; i < 1000; i++)
		add(&r, GW_EV_DISPLAY, NULL, "many");
	assert_true(r.truncated && r.bytes <= MAX && json_array_size(r.array) < 1000);
	gw_native_results_fini(&r);
	free(large);
	free(half);
}

/* An animation shows one frame, however many there were; what an update replaces is still there. */
static void
an_update_takes_the_place_of_the_last_one(void **state)
{
	struct gw_native_results r;
	char *half = text_of(MAX / 2);

	(void)state;
	gw_native_results_init(&r, MAX);
	add(&r, GW_EV_DISPLAY, "d", "1");
	for (int i = 0; i < 10; i++)
		add(&r, GW_EV_UPDATE, "d", half);
	add(&r, GW_EV_UPDATE, "d", "last");
	assert_false(r.truncated);
	expect(&r, "display last");
	gw_native_results_init(&r, MAX);
	add(&r, GW_EV_DISPLAY, "d", half);
	add(&r, GW_EV_UPDATE, "d", "small");
	add(&r, GW_EV_DISPLAY, "e", half);
	assert_true(r.truncated);
	expect(&r, "display small");
	free(half);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(updates_reach_what_came_before_them),
	    cmocka_unit_test(what_does_not_fit_is_dropped),
	    cmocka_unit_test(an_update_takes_the_place_of_the_last_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
