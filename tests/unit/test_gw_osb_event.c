/* Unit test of gateway/dialects/osb_event and osb_stream: what execd's clients read, and how it
 * leaves. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/dialects/osb_event.h"
#include "gateway/dialects/osb_stream.h"
#include "tests/fuzz/fake_edge.h"
#include "tests/unit/gw_rig.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"
#include "wire/json.h"

#define NOW 1700000000123
#define END ",\"timestamp\":1700000000123}\n\n"

/* --- events --------------------------------------------------------------------------------- */

/* Consumes what is in b. */
static void
is(struct buf *b, int rc, const char *want)
{
	if (rc != 0 || b->len != strlen(want) || strcmp(b->data, want) != 0)
		fail_msg("%d\n%s\ninstead of\n%s", rc, b->data, want);
	buf_fini(b);
}

static struct wire_slice
slice(const char *s)
{
	return (struct wire_slice){s, strlen(s)};
}

static void
events(void **state)
{
	json_t *lines = json_pack("[s, s]", "\x1b[31m--\x1b[0m", "E: \xe2\x80\xa8v");
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	is(&b, gw_osb_put_init(&b, NOW, "id"), "{\"type\":\"init\",\"text\":\"id\"" END);
	is(&b, gw_osb_put_ping(&b, NOW), "{\"type\":\"ping\",\"text\":\"pong\"" END);
	is(&b, gw_osb_put_text(&b, NOW, "stdout", slice("a\n")),
	   "{\"type\":\"stdout\",\"text\":\"a\\n\"" END);
	is(&b, gw_osb_put_count(&b, NOW, 7),
	   "{\"type\":\"execution_count\",\"execution_count\":7" END);
	is(&b, gw_osb_put_complete(&b, NOW, 0),
	   "{\"type\":\"execution_complete\",\"execution_time\":0" END);
	is(&b, gw_osb_put_error(&b, NOW, "E\"", "v", NULL),
	   "{\"type\":\"error\",\"error\":{\"ename\":\"E\\\"\",\"evalue\":\"v\","
	   "\"traceback\":[]}" END);
	is(&b, gw_osb_put_raised(&b, NOW, "E", (struct wire_slice){"a\0b", 3}, lines),
	   "{\"type\":\"error\",\"error\":{\"ename\":\"E\",\"evalue\":\"a\\u0000b\","
	   "\"traceback\":[\"\\u001b[31m--\\u001b[0m\",\"E: \\u2028v\"]}" END);
	json_decref(lines);
}

static void
result_is(const char *bundle, const char *want)
{
	json_t *o = wire_json_parse(bundle, strlen(bundle));
	char event[512];
	struct buf b;

	(void)snprintf(event, sizeof(event), "{\"type\":\"result\",\"results\":%s" END, want);
	buf_init(&b, 4096);
	is(&b, gw_osb_put_result(&b, NOW, o), event);
	json_decref(o);
}

static void
results(void **state)
{
	(void)state;
	result_is("{}", "{}");
	result_is("{\"text/plain\":\"1\"}", "{\"text\":\"1\"}");
	result_is("{\"text/html\":\"<b>\",\"text/plain\":\"t\",\"image/png\":\"iVBO\\n\"}",
	          "{\"text/html\":\"<b>\",\"text\":\"t\",\"image/png\":\"iVBO\\n\"}");
	result_is("{\"application/json\":{\"a\":[1,null,\"\xe2\x80\xa9\"]},\"\xc2\x85\":0.5}",
	          "{\"application/json\":{\"a\":[1,null,\"\\u2029\"]},\"\\u0085\":0.5}");
}

static void
only_lines_are_escaped(void **state)
{
	static const char text[] = "\xc2\x84\xc2\x85\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9"
				   "\xf0\x9f\x98\x80\x0b\x0c\x1c\x1d\x1e\r\n";
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	is(&b, gw_osb_put_text(&b, NOW, "stderr", slice(text)),
	   "{\"type\":\"stderr\",\"text\":\"\xc2\x84\\u0085\xe2\x80\xa7\\u2028\\u2029"
	   "\xf0\x9f\x98\x80\\u000b\\f\\u001c\\u001d\\u001e\\r\\n\"" END);
}

/* The room ends after each byte once. */
static void
no_half_event_stays(void **state)
{
	json_t *o = json_pack("{s:s, s:[i]}", "text/plain", "x\n\xc2\x85", "a", 1);
	size_t room = 4;
	int rc;

	(void)state;
	do {
		struct buf b;

		buf_init(&b, room++);
		assert_int_equal(buf_append(&b, "kept", 4), 0);
		rc = gw_osb_put_result(&b, NOW, o);
		assert_true(rc == 0 || (rc == -EMSGSIZE && strcmp(b.data, "kept") == 0));
		if (rc != 0)
			rc = gw_osb_put_error(&b, NOW, "E", "v", o);
		assert_true(rc == 0 || (rc == -EMSGSIZE && strcmp(b.data, "kept") == 0));
		buf_fini(&b);
	} while (rc != 0 && room < 500);
	assert_int_equal(rc, 0);
	json_decref(o);
}

/* --- streams -------------------------------------------------------------------------------- */

struct owner {
	struct gw_osb_stream st;
	struct gw_http x;
	unsigned drained_n, closed_n;
	bool gone;
};

static void
on_drained(void *arg)
{
	struct owner *o = arg;

	o->drained_n++;
}

static void
on_closed(void *arg, bool gone)
{
	struct owner *o = arg;

	gw_osb_stream_fini(&o->st);
	o->closed_n++;
	o->gone = gone;
}

static const struct gw_osb_stream_ops ops = {.drained = on_drained, .closed = on_closed};

static void
begin(struct rig *r, struct owner *o)
{
	*o = (struct owner){.gone = false};
	fake_http_init(&o->x, "POST", "/code");
	gw_osb_stream_begin(&o->st, r->core, &o->x, &ops, o);
	assert_int_equal(o->x.status, 200);
	assert_string_equal(o->x.added.data,
	                    "Cache-Control: no-cache\nX-Accel-Buffering: no\n");
}

static void
put(struct owner *o, const char *text)
{
	assert_int_equal(buf_append(&o->st.out, text, strlen(text)), 0);
}

static void
a_stream_to_its_end(void **state)
{
	struct rig *r = rig_ready();
	struct owner o;

	(void)state;
	begin(r, &o);
	put(&o, "one");
	assert_int_equal(gw_osb_stream_push(&o.st), 0);
	assert_string_equal(o.x.body.data, "one");
	assert_int_equal(gw_osb_stream_push(&o.st), 0); /* nothing new */
	put(&o, " two");
	gw_osb_stream_end(&o.st);
	assert_true(o.x.ended);
	assert_string_equal(o.x.body.data, "one two");
	assert_int_equal(o.closed_n, 0); /* never from inside */
	gw_osb_stream_end(&o.st);
	assert_int_equal(gw_osb_stream_push(&o.st), 0);
	rig_settle(r);
	assert_int_equal(o.closed_n, 1);
	assert_false(o.gone);
	fake_http_fini(&o.x);
	rig_free(r);
}

static void
a_slow_client(void **state)
{
	struct rig *r = rig_ready();
	size_t size = 3 << 20;
	char *big = mem_new(size + 1);
	struct owner o;

	(void)state;
	memset(big, 'A', size);
	begin(r, &o);
	o.x.full = true;
	put(&o, big);
	assert_int_equal(gw_osb_stream_push(&o.st), -EAGAIN);
	assert_int_equal(o.x.body.len, size);
	put(&o, "more");
	assert_int_equal(gw_osb_stream_push(&o.st), -EAGAIN); /* and it is not asked again */
	assert_int_equal(o.x.body.len, size);
	o.x.ops->drained(o.x.ops_arg);
	assert_int_equal(o.x.body.len, size + 4);
	assert_int_equal(o.drained_n, 0); /* that was too much again */
	o.x.full = false;
	o.x.ops->drained(o.x.ops_arg);
	assert_int_equal(o.drained_n, 1);
	assert_memory_equal(o.x.body.data + size, "more", 4);

	o.x.full = true; /* the end waits as well */
	put(&o, big);
	assert_int_equal(gw_osb_stream_push(&o.st), -EAGAIN);
	gw_osb_stream_end(&o.st);
	assert_false(o.x.ended);
	o.x.full = false;
	o.x.ops->drained(o.x.ops_arg);
	assert_true(o.x.ended);
	assert_int_equal(o.drained_n, 1);
	rig_settle(r);
	assert_int_equal(o.closed_n, 1);
	assert_false(o.gone);
	fake_http_fini(&o.x);
	mem_free(big);
	rig_free(r);
}

static void
a_client_that_leaves(void **state)
{
	struct rig *r = rig_ready();
	struct owner o;

	(void)state;
	begin(r, &o);
	o.x.full = true;
	put(&o, "some");
	assert_int_equal(gw_osb_stream_push(&o.st), -EAGAIN);
	o.x.ops->closed(o.x.ops_arg);
	assert_int_equal(o.closed_n, 1);
	assert_true(o.gone);
	rig_settle(r);
	assert_int_equal(o.closed_n, 1);
	fake_http_fini(&o.x);
	rig_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(events),
	    cmocka_unit_test(results),
	    cmocka_unit_test(only_lines_are_escaped),
	    cmocka_unit_test(no_half_event_stays),
	    cmocka_unit_test(a_stream_to_its_end),
	    cmocka_unit_test(a_slow_client),
	    cmocka_unit_test(a_client_that_leaves),
	};

	return cmocka_run_group_tests_name("gateway/osb_event", tests, NULL, NULL);
}
