/* Unit test of gateway/dialects/daytona*: requests, frames, and how a connection ends. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/dialects/daytona.h"
#include "gateway/dialects/dialects.h"
#include "tests/fuzz/fake_edge.h"
#include "tests/unit/gw_rig.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

/* --- the first frame -------------------------------------------------------------------- */

static void
frames_that_are_refused(void **state)
{
	static const struct {
		const char *msg;
		int code;
		const char *reason;
	} cases[] = {
	    {"", 1002, "invalid JSON payload"},
	    {"{", 1002, "invalid JSON payload"},
	    {"[]", 1002, "invalid JSON payload"},
	    {"null", 1002, "invalid JSON payload"},
	    {"\"code\"", 1002, "invalid JSON payload"},
	    {"{\"code\": 1}", 1002, "invalid JSON payload"},
	    {"{\"code\": \"1\", \"timeout\": 1.5}", 1002, "invalid JSON payload"},
	    {"{\"code\": \"1\", \"timeout\": \"1\"}", 1002, "invalid JSON payload"},
	    {"{\"code\": \"1\", \"timeout\": 99999999999999999999}", 1002,
	     "invalid JSON payload"},
	    {"{\"code\": \"1\", \"envs\": []}", 1002, "invalid JSON payload"},
	    {"{\"code\": \"1\", \"envs\": {\"A\": 1}}", 1002, "invalid JSON payload"},
	    {"{\"code\": \"1\", \"envs\": {\"A\": null}}", 1002, "invalid JSON payload"},
	    {"{\"code\": \"1\", \"contextId\": 1}", 1002, "invalid JSON payload"},
	    {"{}", 1008, "code is required"},
	    {"{\"code\": \"\"}", 1008, "code is required"},
	    {"{\"code\": null}", 1008, "code is required"},
	    {"{\"code\": \"\", \"timeout\": -1}", 1008, "code is required"},
	    {"{\"code\": \"1\", \"timeout\": -1}", 1008,
	     "timeout must be greater than or equal to 0"},
	    {"{\"code\": \"1\", \"envs\": {\"A=B\": \"\"}}", 1008,
	     "envs: 'A=B' cannot be a variable's name"},
	    {"{\"code\": \"1\", \"envs\": {\"A\": \"\\u0000\"}}", 1008, "envs.A holds a NUL"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_daytona_request rq;
		struct err err = {""};
		int code = gw_daytona_parse(cases[i].msg, strlen(cases[i].msg), &rq, &err);

		if (code != cases[i].code || strcmp(err.text, cases[i].reason) != 0)
			fail_msg("%s: %d %s", cases[i].msg, code, err.text);
	}
}

static struct gw_daytona_request
parsed(const char *msg)
{
	struct gw_daytona_request rq;
	struct err err;

	if (gw_daytona_parse(msg, strlen(msg), &rq, &err) != 0)
		fail_msg("%s: %s", msg, err.text);
	return rq;
}

static void
frames_that_are_taken(void **state)
{
	struct gw_daytona_request rq = parsed("{\"code\": \"a\\u0000b\", \"more\": [1]}");

	(void)state;
	assert_int_equal(rq.rq.code_len, 3);
	assert_memory_equal(rq.rq.code, "a\0b", 3);
	assert_null(rq.context);
	assert_null(rq.rq.envs);
	assert_int_equal(rq.rq.timeout_ms, 600 * 1000); /* Daytona's default */
	assert_int_equal(rq.rq.stdin_mode, GW_STDIN_EOF);
	assert_int_equal(rq.rq.orphan, GW_ORPHAN_DROP);
	json_decref(rq.root);

	rq =
	    parsed("{\"code\": \"1\", \"contextId\": null, \"envs\": null, \"timeout\": null}");
	assert_null(rq.context);
	assert_null(rq.rq.envs);
	assert_int_equal(rq.rq.timeout_ms, 600 * 1000);
	json_decref(rq.root);

	rq = parsed("{\"code\": \"1\", \"contextId\": \"\", \"envs\": {\"A\": \"b\"}, "
	            "\"timeout\": 0}");
	assert_string_equal(rq.context, "");
	assert_string_equal(json_string_value(json_object_get(rq.rq.envs, "A")), "b");
	assert_int_equal(rq.rq.timeout_ms, 0);
	json_decref(rq.root);

	rq = parsed("{\"code\": \"\xff\\udc80\"}"); /* repaired, as Go's decoder does */
	assert_string_equal(rq.rq.code, "\xef\xbf\xbd\xef\xbf\xbd");
	json_decref(rq.root);

	rq = parsed("{\"code\": \"1\", \"timeout\": 3}");
	assert_int_equal(rq.rq.timeout_ms, 3000);
	json_decref(rq.root);
	rq = parsed("{\"code\": \"1\", \"timeout\": 9223372036854775807}");
	assert_int_equal(rq.rq.timeout_ms, 0); /* no multiplication overflows: none */
	json_decref(rq.root);
}

/* --- frames out ------------------------------------------------------------------------- */

static void
frame_is(json_t *f, const char *want)
{
	char *text = json_dumps(f, JSON_COMPACT);

	assert_non_null(text);
	assert_string_equal(text, want);
	mem_free(text);
	json_decref(f);
}

static void
events_become_frames(void **state)
{
	struct gw_event ev = {.kind = GW_EV_STDOUT, .text = {"a\0\xc3\xa9", 4}};
	json_t *bundle = json_pack("{s:s}", "text/plain", "1");

	(void)state;
	frame_is(
	    gw_daytona_frame(&ev),
	    "{\"type\":\"stdout\",\"text\":\"a\\u0000\xc3\xa9\",\"name\":\"\",\"value\":\"\","
	    "\"traceback\":\"\"}");
	ev.kind = GW_EV_STDERR;
	ev.text = (struct wire_slice){"e", 1};
	frame_is(gw_daytona_frame(&ev), "{\"type\":\"stderr\",\"text\":\"e\",\"name\":\"\","
	                                "\"value\":\"\",\"traceback\":\"\"}");
	ev.kind = GW_EV_CUT;
	frame_is(gw_daytona_frame(&ev), "{\"type\":\"stderr\",\"text\":\"e\",\"name\":\"\","
	                                "\"value\":\"\",\"traceback\":\"\"}");
	ev = (struct gw_event){.kind = GW_EV_DISPLAY, .bundle = bundle, .id = "d"};
	frame_is(gw_daytona_frame(&ev),
	         "{\"type\":\"display\",\"text\":\"\",\"name\":\"\",\"value\":\"\","
	         "\"traceback\":\"\",\"data\":{\"text/plain\":\"1\"},\"displayId\":\"d\"}");
	json_decref(bundle);
	ev = (struct gw_event){.kind = GW_EV_CLEAR, .flag = true};
	frame_is(gw_daytona_frame(&ev),
	         "{\"type\":\"clear_output\",\"text\":\"\",\"name\":\"\",\"value\":\"\","
	         "\"traceback\":\"\",\"wait\":true}");
	for (int kind = 0; kind < GW_EV_N; kind++) {
		ev = (struct gw_event){.kind = (enum gw_event_kind)kind};
		if (kind == GW_EV_ACCEPTED || kind == GW_EV_STARTED || kind == GW_EV_INPUT ||
		    kind == GW_EV_DONE || kind == GW_EV_ERROR)
			assert_null(gw_daytona_frame(&ev));
	}
}

static void
errors_become_frames(void **state)
{
	json_t *lines = json_pack("[s, s]", "\x1b[31mTraceback\x1b[0m", "E: v");
	json_t *plain = json_pack("{s:s, s:s, s:s}", "name", "E", "value", "v", "traceback",
	                          "Traceback (most recent call last):\nE: v\n");
	struct gw_event ev = {
	    .kind = GW_EV_ERROR, .name = "E", .text = {"v\0", 2}, .traceback = lines};

	(void)state;
	frame_is(gw_daytona_error_frame(&ev),
	         "{\"type\":\"error\",\"text\":\"\",\"name\":\"E\",\"value\":\"v\\u0000\","
	         "\"traceback\":\"Traceback\\nE: v\\n\"}");
	ev.plain = plain;
	frame_is(gw_daytona_error_frame(&ev),
	         "{\"type\":\"error\",\"text\":\"\",\"name\":\"E\",\"value\":\"v\","
	         "\"traceback\":\"Traceback (most recent call last):\\nE: v\\n\"}");
	ev.name = "SystemExit";
	assert_null(gw_daytona_error_frame(&ev));
	ev = (struct gw_event){.kind = GW_EV_ERROR, .name = "KernelDied", .text = {"why", 3}};
	frame_is(gw_daytona_error_frame(&ev),
	         "{\"type\":\"error\",\"text\":\"\",\"name\":\"KernelDied\",\"value\":\"why\","
	         "\"traceback\":\"\"}");
	json_decref(lines);
	json_decref(plain);
}

#define FRAME_MAX (1024 * 1024) /* what Daytona itself can send at most */

static void
no_frame_is_larger_than_clients_take(void **state)
{
	size_t size = 8 * FRAME_MAX;
	char *big = mem_new(size + 1);
	json_t *bundle;
	json_t *plain;
	json_t *lines;
	struct gw_event ev;
	json_t *f;

	(void)state;
	memset(big, 1, size); /* six bytes each in JSON */
	bundle = json_pack("{s:s}", "image/png", big);
	ev = (struct gw_event){.kind = GW_EV_RESULT, .bundle = bundle};
	f = gw_daytona_frame(&ev);
	assert_in_range(json_dumpb(f, NULL, 0, JSON_COMPACT), 1, FRAME_MAX);
	assert_true(json_integer_value(json_object_get(f, "omitted_bytes")) > FRAME_MAX);
	json_decref(f);
	json_decref(bundle);

	lines = json_pack("[s]", big);
	ev = (struct gw_event){
	    .kind = GW_EV_ERROR, .name = "E", .text = {big, size}, .traceback = lines};
	f = gw_daytona_error_frame(&ev);
	assert_in_range(json_dumpb(f, NULL, 0, JSON_COMPACT), 1, FRAME_MAX);
	json_decref(f);
	json_decref(lines);

	memset(big, 'v', size);
	memcpy(big, "first", 5);
	memcpy(big + size - 4, "last", 4);
	plain = json_pack("{s:s, s:s, s:s}", "name", "E", "value", big, "traceback", big);
	ev.plain = plain;
	f = gw_daytona_error_frame(&ev);
	assert_in_range(json_dumpb(f, NULL, 0, JSON_COMPACT), 1, FRAME_MAX);
	mem_free(big);
	big = mem_strdup(json_string_value(json_object_get(f, "traceback")));
	assert_int_equal(strncmp(big, "first", 5), 0); /* both ends are there, and a mark */
	assert_string_equal(big + strlen(big) - 4, "last");
	assert_non_null(strstr(big, "bytes left out"));
	json_decref(f);
	json_decref(plain);
	mem_free(big);
}

/* --- a connection ----------------------------------------------------------------------- */

static const struct fake_pair box[] = {{"sandbox", "default"}, {NULL, NULL}};

struct conn {
	struct rig *r;
	struct gw_ws ws;
};

static struct conn *
opened(struct rig *r, const struct fake_pair *params)
{
	struct conn *c = mem_new(sizeof(*c));

	c->r = r;
	fake_ws_init(&c->ws);
	c->ws.params = params;
	gw_daytona_execute_ws.opened(r->core, &c->ws);
	return c;
}

static void
says(struct conn *c, const char *msg)
{
	gw_daytona_execute_ws.message(c->r->core, &c->ws, msg, strlen(msg), false);
	rig_settle(c->r);
}

static void
closed(struct conn *c)
{
	gw_daytona_execute_ws.closed(c->r->core, &c->ws);
	fake_ws_fini(&c->ws);
	mem_free(c);
}

static void
conn_is(const struct conn *c, const char *sent, int code, const char *reason)
{
	assert_string_equal(c->ws.sent.data, sent);
	assert_int_equal(c->ws.close_code, code);
	assert_string_equal(c->ws.reason.data, reason);
}

#define FRAME(type, text)                                                                      \
	"{\"type\":\"" type "\",\"text\":\"" text                                              \
	"\",\"name\":\"\",\"value\":\"\",\"traceback\":\"\"}\n"
#define ERROR(name, value)                                                                     \
	"{\"type\":\"error\",\"text\":\"\",\"name\":\"" name "\",\"value\":\"" value           \
	"\",\"traceback\":\"\"}\n"

static void
a_run(void **state)
{
	struct rig *r = rig_ready();
	struct conn *c = opened(r, box);
	struct km_kernel *k = paper_newest();

	(void)state;
	says(c, "{\"code\": \"print(1)\"}");
	says(c, "{\"code\": \"ignored\"}");
	assert_int_equal(k->executes_n, 1);
	paper_input(k, 1);
	paper_print(k, "1\n");
	rig_settle(r);
	conn_is(c, FRAME("stdout", "1\\n"), 0, ""); /* at once */
	paper_finish(k, "ok");
	rig_settle(r);
	conn_is(c, FRAME("stdout", "1\\n") FRAME("control", "completed"), 1000, "");
	closed(c);
	rig_free(r);
}

static void
the_error_comes_after_all_output(void **state)
{
	struct rig *r = rig_ready();
	struct conn *c = opened(r, box);
	struct km_kernel *k = paper_newest();

	(void)state;
	says(c, "{\"code\": \"1/0\", \"contextId\": \"default\"}");
	paper_say(k, "error", json_pack("{s:s, s:s}", "ename", "E", "evalue", "v"), NULL);
	paper_print(k, "finally");
	paper_finish(k, "error");
	rig_settle(r);
	conn_is(c, FRAME("stdout", "finally") ERROR("E", "v") FRAME("control", "completed"),
	        1000, "");
	closed(c);
	rig_free(r);
}

static void
sys_exit_is_no_error(void **state)
{
	struct rig *r = rig_ready();
	struct conn *c = opened(r, box);

	(void)state;
	says(c, "{\"code\": \"exit()\"}");
	paper_say(paper_newest(), "error",
	          json_pack("{s:s, s:s}", "ename", "SystemExit", "evalue", "0"), NULL);
	paper_finish(paper_newest(), "error");
	rig_settle(r);
	conn_is(c, FRAME("control", "completed"), 1000, "");
	closed(c);
	rig_free(r);
}

/* How a run ends; then what the client sees. */
static void
it_ends(void (*how)(struct rig *r), const char *sent, int code, const char *reason)
{
	struct rig *r = rig_ready();
	struct conn *c = opened(r, box);

	says(c, "{\"code\": \"1\"}");
	paper_input(paper_newest(), 1);
	how(r);
	rig_settle(r);
	conn_is(c, sent, code, reason);
	closed(c);
	while (paper_obey())
		rig_settle(r);
	rig_free(r);
}

static void
by_timeout(struct rig *r)
{
	gw_exec_stop(gw_ctx_first(r->ctx), GW_DONE_TIMEOUT, 0);
	paper_finish(paper_newest(), "error");
}

static void
by_interrupt(struct rig *r)
{
	gw_exec_stop(gw_ctx_first(r->ctx), GW_DONE_INTERRUPTED, 0);
	paper_finish(paper_newest(), "ok");
}

static void
by_crash(struct rig *r)
{
	(void)r;
	paper_die(paper_newest(), "signal 11");
}

static void
by_deletion(struct rig *r)
{
	gw_ctx_delete(r->ctx);
}

static void
by_overrun(struct rig *r)
{
	r->cfg->max_output_bytes = 1;
	paper_print(paper_newest(), "too much");
	paper_finish(paper_newest(), "ok");
}

static void
by_shutdown(struct rig *r)
{
	gw_core_stop(r->core, "the gateway is stopping");
}

static void
how_connections_end(void **state)
{
	(void)state;
	it_ends(by_timeout, "", 4008, "execution timed out");
	it_ends(by_interrupt, FRAME("control", "interrupted"), 1000, "");
	it_ends(by_crash, "", 1011, "kernel died: signal 11");
	it_ends(by_deletion, "", 1011, "context deleted");
	it_ends(by_overrun, "", 1011, "more output than max_output_bytes allows");
	it_ends(by_shutdown, "", 1011, "the gateway is stopping");
}

static void
connections_that_find_nothing(void **state)
{
	static const struct fake_pair nobody[] = {{"sandbox", "nobody"}, {NULL, NULL}};
	struct rig *r = rig_ready();
	struct conn *c = opened(r, nobody);

	(void)state;
	conn_is(c, "", 1008, "Sandbox with ID or name nobody not found");
	closed(c);
	c = opened(r, box);
	says(c, "{\"code\": \"1\", \"contextId\": \"nobody\"}");
	conn_is(c, "", 1008, "context not found: nobody");
	closed(c);
	c = opened(r, box);
	says(c, "{\"code\": \"1\", \"contextId\": \"default\\u0000\"}");
	conn_is(c, "", 1008, "context not found: default");
	closed(c);
	c = opened(r, box);
	says(c, "no JSON");
	conn_is(c, "", 1002, "invalid JSON payload");
	closed(c);
	r->cfg->max_queue = 1;
	(void)rig_exec(r->ctx, "1", NULL);
	c = opened(r, box);
	says(c, "{\"code\": \"1\"}");
	conn_is(c, "", 1011, "the context has 1 executions waiting, the limit");
	closed(c);
	gw_ctx_delete(r->ctx);
	paper_start_rc = -ENOENT;
	c = opened(r, box);
	says(c, "{\"code\": \"1\"}");
	conn_is(c, "", 1011, "failed to get default context: no such program");
	closed(c);
	rig_free(r);
}

static void
a_slow_client_is_waited_for(void **state)
{
	struct rig *r = rig_ready();
	struct conn *c = opened(r, box);
	struct km_kernel *k = paper_newest();

	(void)state;
	c->ws.full = true;
	says(c, "{\"code\": \"1\"}");
	paper_print(k, "a");
	rig_settle(r);
	paper_print(k, "b");
	paper_print(k, "c");
	rig_settle(r);
	conn_is(c, FRAME("stdout", "a"), 0, "");
	c->ws.full = false;
	gw_daytona_execute_ws.drained(r->core, &c->ws);
	rig_settle(r);
	conn_is(c, FRAME("stdout", "a") FRAME("stdout", "bc"), 0, "");
	closed(c); /* it goes away: Daytona's runs go on */
	assert_int_equal(gw_metric[GW_M_EXECUTIONS_RUNNING], 1);
	paper_finish(k, "ok");
	rig_settle(r);
	rig_free(r);
}

/* --- REST ------------------------------------------------------------------------------- */

static const struct gw_route *
route(const char *method, const char *path)
{
	for (const struct gw_route *r = gw_daytona.routes; r->method != NULL; r++) {
		if (strcmp(r->method, method) == 0 && strcmp(r->path, path) == 0)
			return r;
	}
	fail_msg("no route %s %s", method, path);
	return NULL;
}

/* Ask and return the parsed answer; its status must be as given. */
static json_t *
ask(struct rig *r, const struct gw_route *row, const struct fake_pair *params,
    const struct fake_pair *query, const char *body, int status)
{
	struct gw_http x;
	json_t *answer;

	fake_http_init(&x, row->method, "/path");
	x.params = params;
	x.query = query;
	row->http(r->core, &x, body, strlen(body));
	assert_true(x.ended);
	if (x.status != status)
		fail_msg("%s %s %s: %d %s", row->method, row->path, body, x.status,
		         x.body.data);
	answer = json_loadb(x.body.data, x.body.len, 0, NULL);
	assert_non_null(answer);
	if (status >= 400) {
		assert_int_equal(json_integer_value(json_object_get(answer, "statusCode")),
		                 status);
		assert_true(json_string_length(json_object_get(answer, "message")) > 0);
		assert_true(json_string_length(json_object_get(answer, "code")) > 0);
	}
	fake_http_fini(&x);
	return answer;
}

static const char *
string_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	assert_non_null(s);
	return s;
}

static void
sandboxes_are_made_and_listed(void **state)
{
	struct rig *r = rig_ready();
	const struct gw_route *post = route("POST", "/daytona/api/sandbox");
	const struct gw_route *list = route("GET", "/daytona/api/sandbox");
	const char *cursor = "0";
	unsigned n = 0;
	json_t *a;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		char body[128];

		(void)snprintf(body, sizeof(body),
		               "{\"name\": \"box-%u\", \"labels\": {\"odd\": \"%u\"}}", i,
		               i % 2);
		a = ask(r, post, NULL, NULL, body, 200);
		assert_string_equal(string_of(a, "state"), "started");
		assert_string_equal(string_of(a, "toolboxProxyUrl"),
		                    "http://gw:1/daytona/toolbox");
		json_decref(a);
	}
	json_decref(ask(r, post, NULL, NULL, "{\"name\": \"box-1\"}", 409));
	while (cursor != NULL) { /* pages of two: default and four more */
		const struct fake_pair query[] = {
		    {"limit", "2"}, {"cursor", cursor}, {NULL, NULL}};

		a = ask(r, list, NULL, query, "", 200);
		n += (unsigned)json_array_size(json_object_get(a, "items"));
		cursor = json_string_value(json_object_get(a, "nextCursor"));
		cursor = cursor == NULL ? NULL : strcmp(cursor, "2") == 0 ? "2" : "4";
		json_decref(a);
		assert_in_range(n, 1, 5);
	}
	assert_int_equal(n, 5);
	{
		const struct fake_pair query[] = {{"labels", "{\"odd\": \"1\"}"},
		                                  {"name", "box"},
		                                  {"states", "started"},
		                                  {NULL, NULL}};

		a = ask(r, list, NULL, query, "", 200);
		assert_int_equal(json_array_size(json_object_get(a, "items")), 2);
		json_decref(a);
	}
	rig_free(r);
}

static void
what_is_too_long(void **state)
{
	static const struct {
		const char *begin;
		size_t len;
		const char *end;
		int status;
		const char *says;
	} cases[] = {
	    {"{\"labels\": {\"a\": \"", 66000, "\"}}", 400, "labels has more than 65536 bytes"},
	    {"{\"env\": {\"a\": \"", (1 << 20) + 100, "\"}}", 400,
	     "env has more than 1048576 bytes"},
	    {"{\"name\": \"", 1100, "\"}", 400, "name has more than 1024 bytes"},
	    {"{\"more\": \"", (2 << 20) + 1, "\"}", 413,
	     "the body has more than 2097152 bytes"},
	};
	struct rig *r = rig_ready();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *body = fake_long_body(cases[i].begin, cases[i].len, cases[i].end);
		json_t *a = ask(r, route("POST", "/daytona/api/sandbox"), NULL, NULL, body,
		                cases[i].status);

		assert_string_equal(string_of(a, "message"), cases[i].says);
		json_decref(a);
		mem_free(body);
	}
	rig_free(r);
}

/* Sandboxes whose variables come to more than one answer takes: the page ends before. */
static void
a_page_of_large_sandboxes(void **state)
{
	enum { N = 20 };
	struct rig *r = rig_ready();
	char *body = fake_long_body("{\"env\": {\"a\": \"", 1 << 20, "\"}}");
	struct fake_pair query[] = {{"cursor", "0"}, {NULL, NULL}};
	const struct gw_route *list = route("GET", "/daytona/api/sandbox");
	char cursor[24] = "0";
	size_t n = 0;
	size_t pages = 0;

	(void)state;
	for (unsigned i = 0; i < N; i++)
		json_decref(
		    ask(r, route("POST", "/daytona/api/sandbox"), NULL, NULL, body, 200));
	mem_free(body);
	while (cursor[0] != '\0') {
		json_t *a;
		const char *next;

		query[0].value = cursor;
		a = ask(r, list, NULL, query, "", 200);
		n += json_array_size(json_object_get(a, "items"));
		next = json_string_value(json_object_get(a, "nextCursor"));
		(void)snprintf(cursor, sizeof(cursor), "%s", next != NULL ? next : "");
		pages++;
		json_decref(a);
	}
	assert_int_equal(n, N + 1); /* and the default one */
	assert_int_equal(pages, 2);
	rig_free(r);
}

static void
what_the_control_plane_refuses(void **state)
{
	static const char *const bodies[] = {"",
	                                     "[]",
	                                     "null",
	                                     "{",
	                                     "{\"name\": 1}",
	                                     "{\"name\": \"\"}",
	                                     "{\"env\": []}",
	                                     "{\"env\": {\"A\": 1}}",
	                                     "{\"labels\": {\"A\": {}}}",
	                                     "{\"name\": \"a\\u0000b\"}"};
	static const struct fake_pair queries[][2] = {
	    {{"limit", "-1"}, {NULL, NULL}},
	    {{"limit", "0"}, {NULL, NULL}},
	    {{"limit", "x"}, {NULL, NULL}},
	    {{"limit", "1001"}, {NULL, NULL}},
	    {{"cursor", "1e3"}, {NULL, NULL}},
	    {{"cursor", "99999999999999999999"}, {NULL, NULL}},
	    {{"labels", "x"}, {NULL, NULL}},
	    {{"labels", "[1]"}, {NULL, NULL}},
	};
	static const struct fake_pair nobody[] = {
	    {"sandbox", "n\xc3\xb6-one"}, {"id", "x"}, {NULL, NULL}};
	struct rig *r = rig_ready();
	const struct gw_route *post = route("POST", "/daytona/api/sandbox");
	const struct gw_route *list = route("GET", "/daytona/api/sandbox");

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		json_decref(ask(r, post, NULL, NULL, bodies[i], 400));
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++)
		json_decref(ask(r, list, NULL, queries[i], "", 400));
	for (const struct gw_route *row = gw_daytona.routes; row->method != NULL; row++) {
		if (row->http == NULL || strstr(row->path, "{sandbox}") == NULL ||
		    strstr(row->path, "/execute") != NULL)
			continue;
		json_decref(ask(r, row, nobody, NULL, "{}", 404));
	}
	json_decref(
	    ask(r, route("DELETE", "/daytona/api/sandbox/{sandbox}"), box, NULL, "", 400));
	rig_free(r);
}

static void
contexts_are_made_listed_and_deleted(void **state)
{
	static const char *const bodies[] = {"",
	                                     "[]",
	                                     "{\"cwd\": 1}",
	                                     "{\"language\": \"r\"}",
	                                     "{\"language\": 1}",
	                                     "{\"cwd\": \"/no/such\"}",
	                                     "{\"cwd\": \"relative\"}"};
	struct rig *r = rig_ready();
	const char *base = "/daytona/toolbox/{sandbox}/process/interpreter/context";
	const char *one = "/daytona/toolbox/{sandbox}/process/interpreter/context/{id}";
	struct fake_pair params[] = {{"sandbox", "default"}, {"id", "default"}, {NULL, NULL}};
	json_t *a;
	json_t *l;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		json_decref(ask(r, route("POST", base), box, NULL, bodies[i], 400));
	json_decref(ask(r, route("DELETE", one), params, NULL, "", 400));
	params[1].value = gw_ctx_id(r->ctx);
	json_decref(ask(r, route("DELETE", one), params, NULL, "", 400));
	params[1].value = "nobody";
	json_decref(ask(r, route("DELETE", one), params, NULL, "", 404));
	a = ask(r, route("POST", base), box, NULL,
	        "{\"cwd\": \"/\", \"language\": \"python\", \"more\": null}", 200);
	assert_string_equal(string_of(a, "cwd"), "/");
	assert_string_equal(string_of(a, "language"), "python");
	assert_true(json_is_true(json_object_get(a, "active")));
	l = ask(r, route("GET", base), box, NULL, "", 200);
	assert_int_equal(json_array_size(json_object_get(l, "contexts")), 1); /* not default */
	json_decref(l);
	params[1].value = string_of(a, "id");
	json_decref(ask(r, route("DELETE", one), params, NULL, "", 200));
	json_decref(ask(r, route("DELETE", one), params, NULL, "", 404));
	json_decref(a);
	rig_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_that_are_refused),
	    cmocka_unit_test(frames_that_are_taken),
	    cmocka_unit_test(events_become_frames),
	    cmocka_unit_test(errors_become_frames),
	    cmocka_unit_test(no_frame_is_larger_than_clients_take),
	    cmocka_unit_test(a_run),
	    cmocka_unit_test(the_error_comes_after_all_output),
	    cmocka_unit_test(sys_exit_is_no_error),
	    cmocka_unit_test(how_connections_end),
	    cmocka_unit_test(connections_that_find_nothing),
	    cmocka_unit_test(a_slow_client_is_waited_for),
	    cmocka_unit_test(sandboxes_are_made_and_listed),
	    cmocka_unit_test(what_is_too_long),
	    cmocka_unit_test(a_page_of_large_sandboxes),
	    cmocka_unit_test(what_the_control_plane_refuses),
	    cmocka_unit_test(contexts_are_made_listed_and_deleted),
	};

	return cmocka_run_group_tests_name("gw/daytona", tests, NULL, NULL);
}
