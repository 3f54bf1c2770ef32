/* Unit test of gateway/dialects/e2b*: what the interpreter is asked, and its lines. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/dialects/dialects.h"
#include "gateway/dialects/e2b.h"
#include "gateway/dialects/e2b_line.h"
#include "gateway/sandbox.h"
#include "tests/fuzz/fake_edge.h"
#include "tests/unit/gw_rig.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/json.h"

#define NOW "2026-11-21T10:08:30.918Z"
#define END "{\"type\":\"end_of_execution\"}\n"

/* --- lines ------------------------------------------------------------------------------ */

static struct wire_slice
slice(const char *s)
{
	return (struct wire_slice){s, strlen(s)};
}

/* Consumes what is in l->out. */
static void
out_is(struct gw_e2b_line *l, const char *want)
{
	if (l->out.len != strlen(want) || strcmp(l->out.data, want) != 0)
		fail_msg("\n%s\ninstead of\n%s", l->out.data, want);
	buf_consume(&l->out, l->out.len);
}

static void
event_is(const struct gw_event *ev, const char *want)
{
	struct gw_e2b_line l;

	gw_e2b_line_init(&l);
	gw_e2b_line_event(&l, ev, NOW);
	out_is(&l, want);
	gw_e2b_line_fini(&l);
}

static void
events_become_lines(void **state)
{
	struct gw_event ev = {.kind = GW_EV_STARTED, .count = 7};
	struct gw_e2b_line l;

	(void)state;
	event_is(&ev, "{\"type\":\"number_of_executions\",\"execution_count\":7}\n");
	ev = (struct gw_event){.kind = GW_EV_STDOUT, .text = slice("a\n")};
	event_is(&ev, "{\"type\":\"stdout\",\"text\":\"a\\n\",\"timestamp\":\"" NOW "\"}\n");
	ev.kind = GW_EV_STDERR;
	event_is(&ev, "{\"type\":\"stderr\",\"text\":\"a\\n\",\"timestamp\":\"" NOW "\"}\n");
	ev.kind = GW_EV_CUT;
	event_is(&ev, "{\"type\":\"stderr\",\"text\":\"a\\n\",\"timestamp\":\"" NOW "\"}\n");
	for (int kind = 0; kind < GW_EV_N; kind++) {
		ev = (struct gw_event){.kind = (enum gw_event_kind)kind};
		if (kind == GW_EV_ACCEPTED || kind == GW_EV_UPDATE || kind == GW_EV_CLEAR ||
		    kind == GW_EV_INPUT)
			event_is(&ev, "");
	}
	gw_e2b_line_init(&l);
	gw_e2b_line_keepalive(&l);
	out_is(&l, "{\"type\":\"keepalive\"}\n");
	gw_e2b_line_fini(&l);
}

static void
text_is(const char *text, size_t len, const char *want)
{
	const struct gw_event ev = {.kind = GW_EV_STDOUT, .text = {text, len}};
	char line[512];

	(void)snprintf(line, sizeof(line),
	               "{\"type\":\"stdout\",\"text\":\"%s\",\"timestamp\":\"" NOW "\"}\n",
	               want);
	event_is(&ev, line);
}

static void
text_is_ascii(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		const char *want;
	} cases[] = {
	    {"", 0, ""},
	    {"\"\\/", 3, "\\\"\\\\/"},
	    {"\b\f\n\r\t", 5, "\\b\\f\\n\\r\\t"},
	    {"\0\x01\x0b\x1b\x1f\x7f", 6, "\\u0000\\u0001\\u000b\\u001b\\u001f\x7f"},
	    {"\xc2\x80\xc2\x85\xc3\xa9", 6, "\\u0080\\u0085\\u00e9"},
	    {"\xe2\x80\xa8\xe2\x80\xa9\xef\xbf\xbf", 9, "\\u2028\\u2029\\uffff"},
	    {"\xf0\x9d\x84\x9e\xf4\x8f\xbf\xbf", 8, "\\ud834\\udd1e\\udbff\\udfff"},
	    {"\xf0\x90\x80\x80", 4, "\\ud800\\udc00"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		text_is(cases[i].text, cases[i].len, cases[i].want);
}

/* Text is scanned eight bytes at a time: each special byte at each place. */
static void
no_special_byte_is_overlooked(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 0x80; c++)
		for (size_t at = 0; at < 20; at++) {
			char text[20];
			struct gw_event ev = {.kind = GW_EV_STDOUT, .text = {text, 20}};
			struct gw_e2b_line l;
			json_t *o;
			json_t *s;

			memset(text, 'x', sizeof(text));
			text[at] = (char)c;
			gw_e2b_line_init(&l);
			gw_e2b_line_event(&l, &ev, NOW);
			o = json_loadb(l.out.data, l.out.len, JSON_ALLOW_NUL, NULL);
			s = json_object_get(o, "text");
			assert_int_equal(json_string_length(s), 20);
			assert_memory_equal(json_string_value(s), text, 20);
			assert_ptr_equal(strchr(l.out.data, '\n') + 1, l.out.data + l.out.len);
			json_decref(o);
			gw_e2b_line_fini(&l);
		}
}

static void
result_is(const char *bundle, enum gw_event_kind kind, const char *want)
{
	json_t *o = wire_json_parse(bundle, strlen(bundle));
	const struct gw_event ev = {.kind = kind, .bundle = o};
	struct gw_e2b_line l;
	char line[2048];

	(void)snprintf(line, sizeof(line), "{\"type\":\"result\"%s,\"is_main_result\":%s}\n",
	               want, kind == GW_EV_RESULT ? "true" : "false");
	gw_e2b_line_init(&l);
	gw_e2b_line_event(&l, &ev, NOW);
	out_is(&l, line);
	gw_e2b_line_fini(&l);
	json_decref(o);
}

static void
bundles_become_results(void **state)
{
	(void)state;
	result_is("{}", GW_EV_DISPLAY, ",\"extra\":{}");
	result_is("{\"text/plain\": \"1\"}", GW_EV_RESULT, ",\"text\":\"1\",\"extra\":{}");
	result_is("{\"a/b\": \"\xc3\xa9\", \"e2b/chart\": {\"type\": \"bar\"}, "
	          "\"e2b/data\": {\"n\": [1.0, NaN, \"\xc3\xa9\"]}, "
	          "\"application/javascript\": \"j()\", \"application/json\": [1], "
	          "\"text/latex\": \"l\", \"application/pdf\": \"JVBE\", "
	          "\"image/jpeg\": \"/9j/\", \"image/png\": \"iVBO\\n\", "
	          "\"image/svg+xml\": \"<svg/>\", \"text/markdown\": \"*m*\", "
	          "\"text/html\": \"<b>\", \"text/plain\": \"t\", \"c/d\": {\"x\": null}}",
	          GW_EV_DISPLAY,
	          ",\"text\":\"t\",\"html\":\"<b>\",\"markdown\":\"*m*\",\"svg\":\"<svg/>\","
	          "\"png\":\"iVBO\\n\",\"jpeg\":\"/9j/\",\"pdf\":\"JVBE\",\"latex\":\"l\","
	          "\"json\":[1],\"javascript\":\"j()\","
	          "\"data\":{\"n\":[1.0,null,\"\\u00e9\"]},\"chart\":{\"type\":\"bar\"},"
	          "\"extra\":{\"a/b\":\"\\u00e9\",\"c/d\":{\"x\":null}}");
	result_is("{\"text/html\": null, \"application/json\": null}", GW_EV_RESULT,
	          ",\"extra\":{}");
	result_is("{\"application/json\": \"s\"}", GW_EV_RESULT,
	          ",\"json\":\"s\",\"extra\":{}");
	result_is("{\"text/plain\": [1]}", GW_EV_RESULT, ",\"text\":[1],\"extra\":{}");
}

static void
quotes_of_a_repr_are_cut(void **state)
{
	static const char *const cases[][2] = {
	    {"'a'", "a"},       {"\"a\"", "a"}, {"''", ""},           {"'", ""},
	    {"'a\"", "'a\\\""}, {"a'", "a'"},   {"'a\\n'", "a\\\\n"}, {"", ""},
	    {"''a''", "'a'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *o = json_pack("{s:s}", "text/plain", cases[i][0]);
		char *text = json_dumps(o, 0);
		char want[128];

		(void)snprintf(want, sizeof(want), ",\"text\":\"%s\",\"extra\":{}",
		               cases[i][1]);
		result_is(text, GW_EV_RESULT, want);
		mem_free(text);
		json_decref(o);
	}
}

#define ERROR(name, value, traceback)                                                          \
	"{\"type\":\"error\",\"name\":\"" name "\",\"value\":\"" value                         \
	"\",\"traceback\":\"" traceback "\"}\n"
#define CLOSED "Connection to the execution was closed before the execution was finished"

/* What a run that raised (name, or NULL: it did not) sends when it is done. */
static void
end_is(const char *name, const char *value, enum gw_done how, const char *why, const char *want)
{
	json_t *lines = json_pack("[s, s]", "\x1b[31m----\x1b[0m", "E: v\n");
	struct gw_event ev = {
	    .kind = GW_EV_ERROR, .name = name, .text = slice(value), .traceback = lines};
	struct gw_e2b_line l;

	gw_e2b_line_init(&l);
	if (name != NULL)
		gw_e2b_line_event(&l, &ev, NOW);
	out_is(&l, ""); /* not before it is known how it ends */
	ev = (struct gw_event){.kind = GW_EV_DONE, .how = how, .text = slice(why)};
	gw_e2b_line_event(&l, &ev, NOW);
	out_is(&l, want);
	gw_e2b_line_fini(&l);
	json_decref(lines);
}

static void
how_runs_end(void **state)
{
	(void)state;
	end_is(NULL, "", GW_DONE_OK, "", END);
	end_is("E", "\xc3\xa9", GW_DONE_ERROR, "", ERROR("E", "\\u00e9", "----E: v\\n") END);
	end_is("", "1", GW_DONE_ERROR, "", ERROR("", "1", "----E: v\\n") END); /* bash */
	end_is("SystemExit", "", GW_DONE_ERROR, "", END);
	end_is("SystemExit", "0", GW_DONE_ERROR, "", END);
	end_is("SystemExit", "None", GW_DONE_ERROR, "", END);
	end_is("SystemExit", "2", GW_DONE_ERROR, "",
	       ERROR("SystemExit", "2", "----E: v\\n") END);
	end_is(
	    "KernelDied", "kernel died: signal 9", GW_DONE_KERNEL_DIED, "kernel died: signal 9",
	    ERROR("ContextRestarting", "Context was restarted: kernel died: signal 9", "") END);
	end_is("E", "v", GW_DONE_ABORTED, "context restarted",
	       ERROR("UnexpectedEndOfExecution", CLOSED ": context restarted", "") END);
	end_is("KeyboardInterrupt", "", GW_DONE_INTERRUPTED, "",
	       ERROR("KeyboardInterrupt", "", "----E: v\\n") END);
	end_is(NULL, "", GW_DONE_INTERRUPTED, "",
	       ERROR("ExecutionInterrupted", "Execution was interrupted", "") END);
	end_is("KeyboardInterrupt", "", GW_DONE_TIMEOUT, "",
	       ERROR("ExecutionTimeout", "Execution timed out", "") END);
	end_is("KeyboardInterrupt", "", GW_DONE_OVERRUN, "",
	       ERROR("OutputLimitExceeded", "The execution wrote more than the gateway allows",
	             "") END);
}

#define LOST ERROR("OutputLost", "The gateway had no memory for a part of the output", "")

/* A run whose end there is no memory for has not ended well. */
static void
an_end_that_is_lost(void **state)
{
	char why[1000];
	struct gw_event ev = {
	    .kind = GW_EV_DONE, .how = GW_DONE_ABORTED, .text = {why, sizeof(why)}};
	struct gw_e2b_line l;

	(void)state;
	memset(why, 'w', sizeof(why));
	why[sizeof(why) - 1] = '\0';
	gw_e2b_line_init(&l);
	l.out.max = 500;
	assert_int_equal(gw_e2b_line_event(&l, &ev, NOW), 0);
	out_is(&l, LOST END);
	gw_e2b_line_fini(&l);
	gw_e2b_line_init(&l);
	l.out.max = 50;
	assert_int_equal(gw_e2b_line_event(&l, &ev, NOW), -ENOMEM); /* to be cut off */
	out_is(&l, "");
	gw_e2b_line_fini(&l);

	ev = (struct gw_event){.kind = GW_EV_STDOUT, .text = {why, sizeof(why)}};
	gw_e2b_line_init(&l);
	l.out.max = 500;
	assert_int_equal(gw_e2b_line_event(&l, &ev, NOW), 0);
	out_is(&l, "");
	ev = (struct gw_event){.kind = GW_EV_DONE, .how = GW_DONE_OK};
	assert_int_equal(gw_e2b_line_event(&l, &ev, NOW), 0);
	out_is(&l, LOST END);
	gw_e2b_line_fini(&l);
}

static void
the_first_error_is_the_one(void **state)
{
	struct gw_event ev = {.kind = GW_EV_ERROR, .name = "First", .text = slice("1")};
	struct gw_e2b_line l;

	(void)state;
	gw_e2b_line_init(&l);
	gw_e2b_line_event(&l, &ev, NOW);
	ev.name = "Second";
	gw_e2b_line_event(&l, &ev, NOW);
	ev = (struct gw_event){.kind = GW_EV_DONE, .how = GW_DONE_ERROR};
	gw_e2b_line_event(&l, &ev, NOW);
	out_is(&l, ERROR("First", "1", "") END);
	gw_e2b_line_fini(&l);
}

/* --- bodies ----------------------------------------------------------------------------- */

#define FAULT(type, loc, msg, input)                                                           \
	"{\"type\":\"" type "\",\"loc\":[\"body\"" loc "],\"msg\":\"" msg                      \
	"\",\"input\":" input "}"
#define STRING "Input should be a valid string"
#define OBJECT "Input should be a valid dictionary or object to extract fields from"

static void
detail_is(const char *body, int rc, json_t *detail, const char *want)
{
	char *text;

	if (rc != -EINVAL)
		fail_msg("%s was taken", body);
	text = json_dumps(detail, JSON_COMPACT);
	if (strcmp(text, want) != 0)
		fail_msg("%s:\n%s\ninstead of\n%s", body, text, want);
	mem_free(text);
	json_decref(detail);
}

static void
bodies_that_are_refused(void **state)
{
	static const struct {
		const char *body;
		const char *want;
	} cases[] = {
	    {"", "[" FAULT("missing", "", "Field required", "null") "]"},
	    {"[1]", "[" FAULT("model_attributes_type", "", OBJECT, "[1]") "]"},
	    {"null", "[" FAULT("model_attributes_type", "", OBJECT, "null") "]"},
	    {"{\"x\":1}", "[" FAULT("missing", ",\"code\"", "Field required", "{\"x\":1}") "]"},
	    {"{\"code\":1}", "[" FAULT("string_type", ",\"code\"", STRING, "1") "]"},
	    {"{\"code\":null}", "[" FAULT("string_type", ",\"code\"", STRING, "null") "]"},
	    {"{\"code\":\"1\",\"context_id\":2,\"language\":[]}",
	     "[" FAULT("string_type", ",\"context_id\"", STRING,
	               "2") "," FAULT("string_type", ",\"language\"", STRING, "[]") "]"},
	    {"{\"code\":\"1\",\"env_vars\":[]}",
	     "[" FAULT("dict_type", ",\"env_vars\"", "Input should be a valid dictionary",
	               "[]") "]"},
	    {"{\"code\":\"1\",\"env_vars\":{\"A\":1,\"B\":\"\",\"C\":null}}",
	     "[" FAULT("string_type", ",\"env_vars\",\"A\"", STRING, "1") "," FAULT(
		 "string_type", ",\"env_vars\",\"C\"", STRING, "null") "]"},
	    {"{\"code\":\"1\",\"env_vars\":{\"A=B\":\"\"}}",
	     "[" FAULT("value_error", ",\"env_vars\"",
	               "Value error, env_vars: 'A=B' cannot be a variable's name",
	               "{\"A=B\":\"\"}") "]"},
	    {"{\"code\":\"1\",\"context_id\":\"a\\u0000b\"}",
	     "[" FAULT("value_error", ",\"context_id\"", "Value error, it holds a NUL",
	               "\"a\\u0000b\"") "]"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_e2b_execute e;
		json_t *detail = NULL;
		int rc =
		    gw_e2b_parse_execute(cases[i].body, strlen(cases[i].body), &e, &detail);

		detail_is(cases[i].body, rc, detail, cases[i].want);
	}
}

static void
bodies_that_are_no_json(void **state)
{
	static const char *const bodies[] = {"{", "{\"code\": \"", "x", "{\"code\": \"1\"} x"};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct gw_e2b_context c;
		json_t *detail = NULL;
		const json_t *fault;

		assert_int_equal(
		    gw_e2b_parse_context(bodies[i], strlen(bodies[i]), &c, &detail), -EINVAL);
		fault = json_array_get(detail, 0);
		assert_string_equal(json_string_value(json_object_get(fault, "type")),
		                    "json_invalid");
		assert_string_equal(json_string_value(json_object_get(fault, "msg")),
		                    "JSON decode error");
		json_decref(detail);
	}
}

static void
bodies_that_are_taken(void **state)
{
	static const char nulls[] =
	    "{\"code\":\"a\\u0000b\",\"context_id\":null,\"language\":null,\"env_vars\":null}";
	static const char full[] = "{\"code\":\"\",\"context_id\":\"c\",\"language\":\" R\\n\","
				   "\"env_vars\":{\"A\":\"'\"},\"more\":1}";
	static const char blank[] = "{\"code\":\"\",\"context_id\":\"\",\"language\":\"  \"}";
	static const char context[] = "{\"language\":\"js\",\"cwd\":\"/home/user\"}";
	struct gw_e2b_context c;
	struct gw_e2b_execute e;
	json_t *detail;

	(void)state;
	assert_int_equal(gw_e2b_parse_execute(nulls, strlen(nulls), &e, &detail), 0);
	assert_int_equal(e.rq.code_len, 3);
	assert_memory_equal(e.rq.code, "a\0b", 3);
	assert_true(e.context == NULL && e.language == NULL && e.rq.envs == NULL);
	assert_int_equal(e.rq.stdin_mode, GW_STDIN_DENY);
	assert_int_equal(e.rq.orphan, GW_ORPHAN_INTERRUPT);
	assert_int_equal(e.rq.timeout_ms, 0);
	assert_true(e.rq.rich);
	json_decref(e.root);

	assert_int_equal(gw_e2b_parse_execute(full, strlen(full), &e, &detail), 0);
	assert_int_equal(e.rq.code_len, 0);
	assert_string_equal(e.context, "c");
	assert_string_equal(e.language, "R");
	assert_string_equal(json_string_value(json_object_get(e.rq.envs, "A")), "'");
	json_decref(e.root);

	assert_int_equal(gw_e2b_parse_execute(blank, strlen(blank), &e, &detail), 0);
	assert_true(e.context == NULL && e.language == NULL);
	json_decref(e.root);

	assert_int_equal(gw_e2b_parse_context(context, strlen(context), &c, &detail), 0);
	assert_string_equal(c.language, "js");
	assert_string_equal(c.cwd, "/home/user");
	json_decref(c.root);
	assert_int_equal(gw_e2b_parse_context("{}", 2, &c, &detail), 0);
	assert_true(c.language == NULL && c.cwd == NULL);
	json_decref(c.root);
}

static void
a_large_body_is_not_told_back(void **state)
{
	size_t size = 100 << 10;
	char *body = mem_new(size + 1);
	struct gw_e2b_execute e;
	json_t *detail = NULL;
	int rc;

	(void)state;
	memset(body, ' ', size);
	memcpy(body, "{\"code\":7}", 10);
	rc = gw_e2b_parse_execute(body, size, &e, &detail);
	detail_is("large", rc, detail,
	          "[" FAULT("string_type", ",\"code\"", STRING, "null") "]");
	mem_free(body);
}

/* Parse a run with n variables called 0, 1, ... with that value. */
static int
parse_variables(unsigned n, const char *value, json_t **detail)
{
	struct gw_e2b_execute e;
	struct buf body;
	int rc;

	buf_init(&body, 1 << 20);
	(void)buf_printf(&body, "{\"code\":\"1\",\"env_vars\":{");
	for (unsigned i = 0; i < n; i++)
		(void)buf_printf(&body, "%s\"%u\":%s", i > 0 ? "," : "", i, value);
	(void)buf_printf(&body, "}}");
	rc = gw_e2b_parse_execute(body.data, body.len, &e, detail);
	buf_fini(&body);
	if (rc == 0)
		json_decref(e.root);
	return rc;
}

static const char *
message(const json_t *detail)
{
	return json_string_value(json_object_get(json_array_get(detail, 0), "msg"));
}

/* Each fault takes a kilobyte. */
static void
variables_without_end(void **state)
{
	json_t *detail = NULL;

	(void)state;
	assert_int_equal(parse_variables(GW_ENV_VARS_MAX + 1, "1", &detail), -EINVAL);
	assert_int_equal(json_array_size(detail), 1);
	assert_string_equal(message(detail),
	                    "Value error, env_vars has more than 4096 variables");
	json_decref(detail);
	assert_int_equal(parse_variables(GW_ENV_VARS_MAX, "1", &detail), -EINVAL);
	assert_int_equal(json_array_size(detail), 100);
	assert_string_equal(message(detail), "Input should be a valid string");
	json_decref(detail);
	assert_int_equal(parse_variables(GW_ENV_VARS_MAX, "\"\"", &detail), 0);
}

/* --- POST /execute ---------------------------------------------------------------------- */

static void
post(struct rig *r, struct gw_http *x, const char *body)
{
	fake_http_init(x, "POST", "/execute");
	gw_e2b_execute(r->core, x, body, strlen(body));
	rig_settle(r);
}

static void
answer_is(struct gw_http *x, int status, const char *body)
{
	if (!x->ended || x->status != status || strcmp(x->body.data, body) != 0)
		fail_msg("%d %s instead of %d %s", x->status, x->body.data, status, body);
	fake_http_fini(x);
}

#define COUNT(n) "{\"type\":\"number_of_executions\",\"execution_count\":" #n "}\n"

static void
a_run(void **state)
{
	struct rig *r = rig_with_auth();
	struct km_kernel *k = paper_newest();
	json_t *wants;
	struct gw_http x;
	char *head;

	(void)state;
	post(r, &x, "{\"code\": \"1\", \"env_vars\": {\"A\": \"b\"}}");
	assert_int_equal(x.status, 200); /* before the kernel has said anything */
	assert_string_equal(x.body.data, "");
	assert_false(json_is_true(json_object_get(k->content, "allow_stdin")));
	wants = json_object_get(k->metadata, "kernelbridge");
	assert_true(json_is_true(json_object_get(wants, "rich")));
	paper_input(k, 1);
	rig_settle(r);
	assert_string_equal(x.body.data, COUNT(1));
	paper_print(k, "hi");
	rig_settle(r);
	head = strstr(x.body.data, "{\"type\":\"stdout\",\"text\":\"hi\",\"timestamp\":\"20");
	assert_non_null(head);
	paper_say(k, "execute_result",
	          json_pack("{s:{s:s}, s:{}, s:i}", "data", "text/plain", "'s'", "metadata",
	                    "execution_count", 1),
	          NULL);
	paper_finish(k, "ok");
	rig_settle(r);
	assert_true(x.ended);
	head = strchr(x.body.data + strlen(COUNT(1)), '\n') + 1;
	assert_string_equal(head, "{\"type\":\"result\",\"text\":\"s\",\"extra\":{},"
	                          "\"is_main_result\":true}\n" END);
	fake_http_fini(&x);
	rig_end(r);
}

static void
requests_that_are_refused(void **state)
{
	static const struct fake_pair nobody[] = {{"e2b-sandbox-id", "nobody"}, {NULL, NULL}};
	struct rig *r = rig_with_auth();
	struct gw_http x;

	(void)state;
	post(r, &x, "{\"code\": \"1\", \"context_id\": \"c\", \"language\": \"python\"}");
	answer_is(&x, 400, "Only one of context_id or language can be provided");
	post(r, &x, "{\"code\": \"1\", \"context_id\": \"c\"}");
	answer_is(&x, 404, "Context c not found");
	post(r, &x, "{\"code\": \"1\", \"language\": \"cobol\"}");
	assert_int_equal(x.status, 500);
	assert_non_null(strstr(x.body.data, "Failed to create context: "));
	assert_non_null(strstr(x.body.data, "cobol"));
	fake_http_fini(&x);
	post(r, &x, "{}");
	answer_is(&x, 422,
	          "{\"detail\":[" FAULT("missing", ",\"code\"", "Field required", "{}") "]}");

	fake_http_init(&x, "POST", "/execute");
	x.headers = nobody;
	gw_e2b_execute(r->core, &x, "{}", 2);
	answer_is(&x, 502, "The sandbox nobody was not found");
	fake_http_init(&x, "POST", "/execute");
	x.headers = nobody;
	x.token_sandbox = "another";
	gw_e2b_execute(r->core, &x, "{}", 2);
	answer_is(&x, 403, "The token was made for another sandbox than nobody");
	fake_http_init(&x, "POST", "/execute");
	x.token_sandbox = "gone"; /* and no header */
	gw_e2b_execute(r->core, &x, "{}", 2);
	answer_is(&x, 502, "The sandbox gone was not found");

	r->cfg->max_queue = 0;
	post(r, &x, "{\"code\": \"1\"}");
	assert_int_equal(x.status, 429);
	fake_http_fini(&x);
	rig_end(r);
}

static void
the_sandbox_of_a_header(void **state)
{
	static const struct fake_pair debug[] = {{"e2b-sandbox-id", "debug_sandbox_id"},
	                                         {NULL, NULL}};
	static const struct fake_pair empty[] = {{"e2b-sandbox-id", ""}, {NULL, NULL}};
	struct rig *r = rig_with_auth();
	const struct gw_sandbox_request rq = {.name = "mine"};
	const struct fake_pair mine[] = {{"e2b-sandbox-id", "mine"}, {NULL, NULL}};
	struct gw_sandbox *sb;
	struct gw_http x;
	struct err err;

	(void)state;
	assert_int_equal(gw_sandbox_new(r->core, &rq, &sb, &err), 0);
	fake_http_init(&x, "POST", "/execute");
	assert_ptr_equal(gw_e2b_sandbox(r->core, &x), r->sandbox);
	x.headers = empty;
	assert_ptr_equal(gw_e2b_sandbox(r->core, &x), r->sandbox);
	x.headers = debug;
	assert_ptr_equal(gw_e2b_sandbox(r->core, &x), r->sandbox);
	x.headers = mine;
	x.token_sandbox = sb->id.id;
	assert_ptr_equal(gw_e2b_sandbox(r->core, &x), sb);
	x.headers = NULL;
	assert_ptr_equal(gw_e2b_sandbox(r->core, &x), sb);
	gw_sandbox_pause(sb);
	assert_null(gw_e2b_sandbox(r->core, &x));
	assert_int_equal(x.status, 502);
	fake_http_fini(&x);
	rig_end(r);
}

/* A client that reads slowly: nothing more is sent while its queue is full. */
static void
back_pressure(void **state)
{
	struct rig *r = rig_with_auth();
	struct km_kernel *k = paper_newest();
	size_t size = 3 << 20;
	char *big = mem_new(size + 1);
	struct gw_http x;

	(void)state;
	memset(big, 'A', size);
	post(r, &x, "{\"code\": \"1\"}");
	x.full = true;
	paper_say(k, "display_data",
	          json_pack("{s:{s:s}, s:{}}", "data", "image/png", big, "metadata"), NULL);
	paper_print(k, "after");
	paper_finish(k, "ok");
	rig_settle(r);
	assert_true(x.body.len > size);
	assert_null(strstr(x.body.data, "after"));
	x.ops->drained(x.ops_arg);
	rig_settle(r);
	assert_non_null(strstr(x.body.data, "after"));
	assert_false(x.ended);
	x.full = false;
	x.ops->drained(x.ops_arg);
	rig_settle(r);
	assert_true(x.ended);
	assert_string_equal(x.body.data + x.body.len - strlen(END), END);
	fake_http_fini(&x);
	mem_free(big);
	rig_end(r);
}

/* The last lines are the edge's to send, however slow the client. */
static void
the_end_does_not_wait(void **state)
{
	struct rig *r = rig_with_auth();
	size_t size = 1 << 20;
	char *big = mem_new(size + 1);
	struct gw_http x;

	(void)state;
	memset(big, 'v', size);
	post(r, &x, "{\"code\": \"1\"}");
	x.full = true;
	paper_say(paper_newest(), "error",
	          json_pack("{s:s, s:s, s:[]}", "ename", "E", "evalue", big, "traceback"),
	          NULL);
	paper_finish(paper_newest(), "error");
	rig_settle(r);
	assert_true(x.ended);
	assert_true(x.body.len > size);
	assert_string_equal(x.body.data + x.body.len - strlen(END), END);
	fake_http_fini(&x);
	mem_free(big);
	rig_end(r);
}

static void
a_client_that_leaves_interrupts_its_run(void **state)
{
	struct rig *r = rig_with_auth();
	struct km_kernel *k = paper_newest();
	struct gw_http x[2];

	(void)state;
	post(r, &x[0], "{\"code\": \"1\"}");
	post(r, &x[1], "{\"code\": \"2\"}");
	paper_input(k, 1);
	x[1].ops->closed(x[1].ops_arg); /* queued: it is dropped */
	rig_settle(r);
	assert_int_equal(k->interrupts_n, 0);
	x[0].ops->closed(x[0].ops_arg);
	rig_settle(r);
	assert_int_equal(k->interrupts_n, 1);
	paper_finish(k, "error");
	rig_settle(r);
	assert_int_equal(k->executes_n, 1);
	fake_http_fini(&x[0]);
	fake_http_fini(&x[1]);
	rig_end(r);
}

static void
runs_that_end_from_outside(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;

	(void)state;
	post(r, &x, "{\"code\": \"1\"}");
	paper_die(paper_newest(), "signal 9");
	rig_settle(r);
	answer_is(&x, 200,
	          ERROR("ContextRestarting", "Context was restarted: kernel died: signal 9", "")
	              END);
	post(r, &x, "{\"code\": \"1\"}");
	paper_ready(paper_newest());
	rig_settle(r);
	gw_ctx_delete(r->ctx);
	rig_settle(r);
	answer_is(&x, 200,
	          ERROR("UnexpectedEndOfExecution", CLOSED ": context deleted", "") END);
	post(r, &x, "{\"code\": \"1\"}"); /* a new default context */
	paper_ready(paper_newest());
	rig_settle(r);
	paper_finish(paper_newest(), "ok");
	rig_settle(r);
	answer_is(&x, 200, END);
	rig_end(r);
}

/* The sandbox goes: the SDKs tell their callers so, when the answer is cut off. */
static void
a_run_in_a_sandbox_that_is_killed(void **state)
{
	struct rig *r = rig_with_auth();
	const struct gw_sandbox_request rq = {.name = "mine"};
	static const struct fake_pair mine[] = {{"e2b-sandbox-id", "mine"}, {NULL, NULL}};
	struct gw_sandbox *sb;
	struct gw_http x;
	struct err err;

	(void)state;
	assert_int_equal(gw_sandbox_new(r->core, &rq, &sb, &err), 0);
	fake_http_init(&x, "POST", "/execute");
	x.headers = mine;
	gw_e2b_execute(r->core, &x, "{\"code\": \"1\"}", 13);
	paper_ready(paper_newest());
	rig_settle(r);
	paper_input(paper_newest(), 1);
	rig_settle(r);
	assert_false(x.ended);
	gw_sandbox_delete(sb, "sandbox killed");
	rig_settle(r);
	assert_true(x.cut);
	answer_is(&x, 200, COUNT(1));
	rig_end(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(events_become_lines),
	    cmocka_unit_test(text_is_ascii),
	    cmocka_unit_test(no_special_byte_is_overlooked),
	    cmocka_unit_test(bundles_become_results),
	    cmocka_unit_test(quotes_of_a_repr_are_cut),
	    cmocka_unit_test(how_runs_end),
	    cmocka_unit_test(the_first_error_is_the_one),
	    cmocka_unit_test(an_end_that_is_lost),
	    cmocka_unit_test(bodies_that_are_refused),
	    cmocka_unit_test(bodies_that_are_no_json),
	    cmocka_unit_test(bodies_that_are_taken),
	    cmocka_unit_test(a_large_body_is_not_told_back),
	    cmocka_unit_test(variables_without_end),
	    cmocka_unit_test(a_run),
	    cmocka_unit_test(requests_that_are_refused),
	    cmocka_unit_test(the_sandbox_of_a_header),
	    cmocka_unit_test(back_pressure),
	    cmocka_unit_test(the_end_does_not_wait),
	    cmocka_unit_test(a_client_that_leaves_interrupts_its_run),
	    cmocka_unit_test(runs_that_end_from_outside),
	    cmocka_unit_test(a_run_in_a_sandbox_that_is_killed),
	};

	return cmocka_run_group_tests_name("gw/e2b", tests, NULL, NULL);
}
