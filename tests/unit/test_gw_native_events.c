/* Unit test of gateway/dialects/native_events: one event of each kind, and text that needs care. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "gateway/dialects/native_events.h"
#include "gateway/event.h"
#include "wire/base/buf.h"

#define TEXT(lit)                                                                              \
	{                                                                                      \
		(lit), sizeof(lit) - 1                                                         \
	}

/* Encode ev and compare with expected, both as JSON values. */
static void
check(const char *why, const struct gw_event *ev, const char *expected)
{
	json_t *want = json_loads(expected, JSON_ALLOW_NUL, NULL);
	json_t *got;
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_int_equal(gw_native_events_encode(&b, "x", ev), 0);
	got = json_loadb(b.data, b.len, JSON_ALLOW_NUL, NULL);
	assert_non_null(want);
	if (got == NULL || !json_equal(got, want))
		fail_msg("%s: %s", why, b.data);
	json_decref(got);
	json_decref(want);
	buf_fini(&b);
}

static void
every_kind_has_its_fields(void **state)
{
	json_t *bundle = json_pack("{s:s}", "text/plain", "42");
	json_t *metadata = json_pack("{s:{s:i}}", "image/png", "width", 3);
	json_t *traceback = json_pack("[s, s]", "a", "b");
	json_t *plain =
	    json_pack("{s:s, s:s, s:s}", "name", "E", "value", "v", "traceback", "t");
	const struct {
		const char *why;
		struct gw_event ev;
		const char *json;
	} cases[] = {
	    {"accepted",
	     {.kind = GW_EV_ACCEPTED, .seq = 1, .count = 2},
	     "{\"execution\":\"x\",\"seq\":1,\"event\":\"accepted\",\"position\":2}"},
	    {"started",
	     {.kind = GW_EV_STARTED, .seq = 2, .count = 7},
	     "{\"execution\":\"x\",\"seq\":2,\"event\":\"started\",\"count\":7}"},
	    {"stderr",
	     {.kind = GW_EV_STDERR, .seq = 3, .text = TEXT("oops")},
	     "{\"execution\":\"x\",\"seq\":3,\"event\":\"stderr\",\"text\":\"oops\"}"},
	    {"display without an id",
	     {.kind = GW_EV_DISPLAY, .seq = 4, .bundle = bundle},
	     "{\"execution\":\"x\",\"seq\":4,\"event\":\"display\","
	     "\"bundle\":{\"text/plain\":\"42\"},\"metadata\":{}}"},
	    {"update",
	     {.kind = GW_EV_UPDATE,
	      .seq = 5,
	      .bundle = bundle,
	      .metadata = metadata,
	      .id = "d"},
	     "{\"execution\":\"x\",\"seq\":5,\"event\":\"update\",\"display_id\":\"d\","
	     "\"bundle\":{\"text/plain\":\"42\"},\"metadata\":{\"image/png\":{\"width\":3}}}"},
	    {"clear",
	     {.kind = GW_EV_CLEAR, .seq = 6, .flag = true},
	     "{\"execution\":\"x\",\"seq\":6,\"event\":\"clear\",\"wait\":true}"},
	    {"cut",
	     {.kind = GW_EV_CUT, .seq = 6, .cut_bytes = 5000000000, .cut_messages = 2},
	     "{\"execution\":\"x\",\"seq\":6,\"event\":\"cut\",\"bytes\":5000000000,"
	     "\"messages\":2}"},
	    {"result",
	     {.kind = GW_EV_RESULT, .seq = 7, .bundle = bundle, .count = 3},
	     "{\"execution\":\"x\",\"seq\":7,\"event\":\"result\",\"count\":3,"
	     "\"bundle\":{\"text/plain\":\"42\"},\"metadata\":{}}"},
	    {"error",
	     {.kind = GW_EV_ERROR,
	      .seq = 8,
	      .name = "E",
	      .text = TEXT("v"),
	      .traceback = traceback,
	      .plain = plain},
	     "{\"execution\":\"x\",\"seq\":8,\"event\":\"error\",\"name\":\"E\",\"value\":"
	     "\"v\","
	     "\"traceback\":[\"a\",\"b\"],"
	     "\"plain\":{\"name\":\"E\",\"value\":\"v\",\"traceback\":\"t\"}}"},
	    {"error of the gateway",
	     {.kind = GW_EV_ERROR, .seq = 8, .name = "KernelDied", .text = TEXT("signal 9")},
	     "{\"execution\":\"x\",\"seq\":8,\"event\":\"error\",\"name\":\"KernelDied\","
	     "\"value\":\"signal 9\",\"traceback\":[]}"},
	    {"input",
	     {.kind = GW_EV_INPUT, .seq = 9, .text = TEXT("? "), .flag = true},
	     "{\"execution\":\"x\",\"seq\":9,\"event\":\"input\",\"prompt\":\"? \","
	     "\"password\":true}"},
	    {"done",
	     {.kind = GW_EV_DONE, .seq = 10, .how = GW_DONE_OK, .count = 3, .elapsed_ms = 12},
	     "{\"execution\":\"x\",\"seq\":10,\"event\":\"done\",\"how\":\"ok\","
	     "\"count\":3,\"elapsed_ms\":12}"},
	    {"done without a start",
	     {.kind = GW_EV_DONE, .seq = 2, .how = GW_DONE_ABORTED, .text = TEXT("deleted")},
	     "{\"execution\":\"x\",\"seq\":2,\"event\":\"done\",\"how\":\"aborted\","
	     "\"elapsed_ms\":0,\"why\":\"deleted\"}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check(cases[i].why, &cases[i].ev, cases[i].json);
	json_decref(bundle);
	json_decref(metadata);
	json_decref(traceback);
	json_decref(plain);
}

static void
text_comes_back_as_it_was(void **state)
{
	static const struct {
		const char *why;
		struct wire_slice text;
	} cases[] = {
	    {"empty", TEXT("")},
	    {"plain", TEXT("hello")},
	    {"quote and backslash", TEXT("a\"b\\c\\")},
	    {"controls", TEXT("\x01\x1f\b\f\n\r\t\x7f")},
	    {"NUL", TEXT("a\0b\0")},
	    {"beyond ASCII", TEXT("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80")},
	    {"separators that JavaScript minds", TEXT("\xe2\x80\xa8\xe2\x80\xa9")},
	    {"escapes at both ends", TEXT("\nmiddle\n")},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *v;
		struct buf b;

		buf_init(&b, 4096);
		assert_int_equal(gw_native_events_string(&b, cases[i].text), 0);
		v = json_loadb(b.data, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		if (json_string_length(v) != cases[i].text.len ||
		    memcmp(json_string_value(v), cases[i].text.ptr, cases[i].text.len) != 0)
			fail_msg("%s: %s", cases[i].why, b.data);
		json_decref(v);
		buf_fini(&b);
	}
}

static void
a_full_buffer_says_so(void **state)
{
	json_t *bundle =
	    json_pack("{s:s}", "text/plain", "0123456789012345678901234567890123456789");
	const struct gw_event kinds[] = {
	    {.kind = GW_EV_STDOUT,
	     .seq = 1,
	     .text = TEXT("0123456789\n\n\n\n0123456789012345")},
	    {.kind = GW_EV_DISPLAY, .seq = 1, .bundle = bundle},
	};

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		for (size_t max = 1; max < 64; max++) {
			struct buf b;

			buf_init(&b, max);
			assert_int_equal(gw_native_events_encode(&b, "x", &kinds[k]),
			                 -EMSGSIZE);
			buf_fini(&b);
		}
	}
	json_decref(bundle);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_kind_has_its_fields),
	    cmocka_unit_test(text_comes_back_as_it_was),
	    cmocka_unit_test(a_full_buffer_says_so),
	};

	return cmocka_run_group_tests_name("gw/native_events", tests, NULL, NULL);
}
