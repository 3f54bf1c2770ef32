/* Unit test of gateway/dialects/osb_code and osb_context: runs and contexts as execd answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/dialects/osb.h"
#include "gateway/exec_feed.h"
#include "gateway/metrics.h"
#include "tests/fuzz/fake_edge.h"
#include "tests/unit/gw_rig.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define PARAMS                                                                                 \
	{"sandbox", "default"},                                                                \
	{                                                                                      \
		"port", "44772"                                                                \
	}

static const struct fake_pair plain[] = {PARAMS, {NULL, NULL}};

/* Call fn with a body, where it is. */
static void
call(struct rig *r, gw_http_fn *fn, struct gw_http *x, const char *body)
{
	fake_http_init(x, "POST", "/");
	x->params = plain;
	fn(r->core, x, body, strlen(body));
	rig_settle(r);
}

/* The same with one query parameter, or a last path parameter where it is called id. */
static void
call_with(struct rig *r, gw_http_fn *fn, struct gw_http *x, const char *name, const char *value)
{
	const struct fake_pair params[] = {PARAMS, {name, value}, {NULL, NULL}};
	const struct fake_pair query[] = {{name, value}, {NULL, NULL}};

	fake_http_init(x, "GET", "/");
	x->params = params;
	x->query = query;
	fn(r->core, x, "", 0);
	rig_settle(r);
	x->params = x->query = NULL;
}

static void
answer_is(struct gw_http *x, int status, const char *body)
{
	if (!x->ended || x->status != status || strcmp(x->body.data, body) != 0)
		fail_msg("%d %s instead of %d %s", x->status, x->body.data, status, body);
	fake_http_fini(x);
}

static void
interrupt(struct rig *r, const char *id)
{
	struct gw_http x;

	call_with(r, gw_osb_code_interrupt, &x, "id", id);
	answer_is(&x, 200, "");
}

/* The events of an answer without their times, and without the empty lines; owned by the caller. */
static char *
told(const struct gw_http *x)
{
	char *text = mem_strdup(x->body.data);
	char *to = text;

	for (const char *from = x->body.data; *from != '\0'; from++) {
		if (strncmp(from, ",\"timestamp\":", 13) == 0)
			from += 13 + strspn(from + 13, "0123456789");
		if (*from == '\n')
			assert_true(*++from == '\n');
		*to++ = *from;
	}
	*to = '\0';
	return text;
}

#define ERROR(name, value, traceback)                                                          \
	"{\"type\":\"error\",\"error\":{\"ename\":\"" name "\",\"evalue\":\"" value            \
	"\",\"traceback\":[" traceback "]}}\n"
#define COUNT(n) "{\"type\":\"execution_count\",\"execution_count\":" #n "}\n"

/* What x was told after init and ping is want; where it ends with "execution_complete" the rest of
 * that event is any. */
static void
told_is(struct rig *r, struct gw_http *x, const char *want)
{
	char *all = told(x);
	char head[256];
	const char *rest;

	(void)snprintf(head, sizeof(head),
	               "{\"type\":\"init\",\"text\":\"%s\"}\n"
	               "{\"type\":\"ping\",\"text\":\"pong\"}\n",
	               gw_ctx_id(r->ctx));
	assert_memory_equal(all, head, strlen(head));
	rest = all + strlen(head);
	if (strncmp(rest, want, strlen(want)) != 0 ||
	    (rest[strlen(want)] != '\0' && strstr(want, "execution_complete") == NULL))
		fail_msg("\n%s\ninstead of\n%s", rest, want);
	mem_free(all);
}

#define COMPLETE "{\"type\":\"execution_complete\",\"execution_time\":"

/* --- runs ----------------------------------------------------------------------------------- */

static json_t *
bundle(const char *text)
{
	return json_pack("{s:{s:s}, s:{}, s:{s:s}, s:i}", "data", "text/plain", text,
	                 "metadata", "transient", "display_id", "d", "execution_count", 1);
}

static void
a_run(void **state)
{
	struct rig *r = rig_with_auth();
	struct km_kernel *k = paper_newest();
	const struct gw_event cut = {.kind = GW_EV_CUT, .text = {"cut", 3}};
	struct gw_http x;

	(void)state;
	call(r, gw_osb_code, &x, "{\"code\": \"a\\u0000b\"}");
	told_is(r, &x, ""); /* before the kernel has said anything */
	assert_int_equal(json_string_length(json_object_get(k->content, "code")), 3);
	assert_false(json_is_true(json_object_get(k->content, "allow_stdin")));
	paper_input(k, 1);
	paper_print(k, "hi");
	paper_say(k, "display_data", bundle("one"), NULL);
	paper_say(k, "clear_output", json_pack("{s:b}", "wait", 0), NULL);
	paper_say(k, "update_display_data", bundle("two"), NULL);
	paper_say(k, "stream", json_pack("{s:s, s:s}", "name", "stderr", "text", "oh"), NULL);
	gw_exec_append(gw_ctx_first(r->ctx), &cut);
	paper_say(k, "execute_result", bundle("three"), NULL);
	rig_settle(r);
	assert_false(x.ended);
	paper_finish(k, "ok");
	rig_settle(r);
	assert_true(x.ended);
	told_is(r, &x,
	        COUNT(1) "{\"type\":\"stdout\",\"text\":\"hi\"}\n"
	                 "{\"type\":\"result\",\"results\":{\"text\":\"one\"}}\n"
	                 "{\"type\":\"result\",\"results\":{\"text\":\"two\"}}\n"
	                 "{\"type\":\"stderr\",\"text\":\"oh\"}\n"
	                 "{\"type\":\"stderr\",\"text\":\"cut\"}\n"
	                 "{\"type\":\"result\",\"results\":{\"text\":\"three\"}}\n" COMPLETE);
	fake_http_fini(&x);
	rig_end(r);
}

static void
say_error(struct km_kernel *k, const char *name, const char *value)
{
	paper_say(k, "error",
	          json_pack("{s:s, s:s, s:[s]}", "ename", name, "evalue", value, "traceback",
	                    "\x1b[31m-"),
	          NULL);
}

static void
a_run_that_fails(void **state)
{
	struct rig *r = rig_with_auth();
	struct km_kernel *k = paper_newest();
	struct gw_http x;

	(void)state;
	call(r, gw_osb_code, &x, "{\"code\": \"1\", \"context\": null}");
	say_error(k, "First", "1");
	say_error(k, "Second", "2");
	paper_print(k, "after");
	rig_settle(r);
	told_is(r, &x, "{\"type\":\"stdout\",\"text\":\"after\"}\n"); /* the error waits */
	paper_finish(k, "error");
	rig_settle(r);
	assert_true(x.ended);
	told_is(r, &x,
	        "{\"type\":\"stdout\",\"text\":\"after\"}\n" ERROR("First", "1",
	                                                           "\"\\u001b[31m-\""));
	fake_http_fini(&x);
	rig_end(r);
}

/* What is told last where the kernel, or the core, ends a run. */
static void
runs_that_end_otherwise(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;

	(void)state;
	call(r, gw_osb_code, &x, "{\"code\": \"1\"}");
	interrupt(r, gw_ctx_id(r->ctx));
	say_error(paper_newest(), "KeyboardInterrupt", "");
	paper_finish(paper_newest(), "error");
	rig_settle(r);
	told_is(r, &x, ERROR("KeyboardInterrupt", "", "\"\\u001b[31m-\""));
	fake_http_fini(&x);

	call(r, gw_osb_code, &x, "{\"code\": \"1\"}");
	interrupt(r, "default");
	paper_finish(paper_newest(), "ok"); /* the code took it for no end */
	rig_settle(r);
	told_is(r, &x, ERROR("KeyboardInterrupt", "the execution was interrupted", ""));
	fake_http_fini(&x);

	call(r, gw_osb_code, &x, "{\"code\": \"1\"}");
	say_error(paper_newest(), "E", "v");
	paper_die(paper_newest(), "signal 9 (SIGKILL)");
	rig_settle(r);
	told_is(r, &x, ERROR("KernelDied", "kernel died: signal 9 (SIGKILL)", ""));
	fake_http_fini(&x);

	call(r, gw_osb_code, &x, "{\"code\": \"1\"}"); /* in a fresh kernel that starts */
	interrupt(r, "default");
	told_is(r, &x, ERROR("ExecutionAborted", "cancelled before it ran", ""));
	fake_http_fini(&x);
	rig_end(r);
}

static void
a_context_that_is_busy_queues(void **state)
{
	struct rig *r = rig_with_auth();
	struct km_kernel *k = paper_newest();
	struct gw_http x[2];

	(void)state;
	call(r, gw_osb_code, &x[0], "{\"code\": \"1\"}");
	call(r, gw_osb_code, &x[1], "{\"code\": \"2\", \"context\": {\"language\": \"\"}}");
	told_is(r, &x[1], "");
	assert_int_equal(k->executes_n, 1);
	interrupt(r, "default");
	assert_int_equal(k->interrupts_n, 1); /* the one that runs */
	assert_false(x[1].ended);
	paper_finish(k, "ok");
	rig_settle(r);
	assert_int_equal(k->executes_n, 2);
	paper_finish(k, "ok");
	rig_settle(r);
	told_is(r, &x[1], COMPLETE);
	fake_http_fini(&x[0]);
	fake_http_fini(&x[1]);
	rig_end(r);
}

/* --- clients that leave --------------------------------------------------------------------- */

static void
leave(struct rig *r, const char *rule, unsigned executes_n, unsigned interrupts_n)
{
	const struct fake_pair headers[] = {{"x-kernelbridge-disconnect", rule}, {NULL, NULL}};
	struct km_kernel *k = paper_newest();
	unsigned executed = k->executes_n;
	unsigned interrupted = k->interrupts_n;
	struct gw_http x[2];

	for (int i = 0; i < 2; i++) {
		fake_http_init(&x[i], "POST", "/code");
		x[i].params = plain;
		x[i].headers = rule != NULL ? headers : NULL;
		gw_osb_code(r->core, &x[i], "{\"code\":\"1\"}", 12);
		rig_settle(r);
		x[i].headers = NULL;
	}
	paper_input(k, 1);
	rig_settle(r);
	x[1].ops->closed(x[1].ops_arg);
	x[0].ops->closed(x[0].ops_arg);
	rig_settle(r);
	assert_int_equal(k->interrupts_n - interrupted, interrupts_n);
	paper_finish(k, "ok");
	rig_settle(r);
	assert_int_equal(k->executes_n - executed, executes_n);
	if (k->in_flight)
		paper_finish(k, "ok");
	rig_settle(r);
	fake_http_fini(&x[0]);
	fake_http_fini(&x[1]);
}

static void
clients_that_leave(void **state)
{
	struct rig *r = rig_with_auth();

	(void)state;
	leave(r, NULL, 2, 0);
	leave(r, "finish", 2, 0);
	leave(r, "drop", 1, 0);
	leave(r, "interrupt", 1, 1);
	rig_end(r);
}

/* --- requests that are refused -------------------------------------------------------------- */

#define BAD(message)    "{\"code\":\"INVALID_REQUEST_BODY\",\"message\":\"" message "\"}"
#define FAILED(message) "{\"code\":\"RUNTIME_ERROR\",\"message\":\"" message "\"}"

static void
code_is_refused(struct rig *r, const char *body, int status, const char *want)
{
	struct gw_http x;

	call(r, gw_osb_code, &x, body);
	answer_is(&x, status, want);
}

static void
code_that_is_refused(void **state)
{
	static const struct fake_pair odd[] = {{"x-kernelbridge-disconnect", "stop"},
	                                       {NULL, NULL}};
	static const char *const bodies[] = {"", "{", "[]", "null", "\"code\"", "{} x"};
	struct rig *r = rig_with_auth();
	struct gw_http x;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		code_is_refused(r, bodies[i], 400,
		                BAD("error parsing request: the body is not a JSON object"));
	code_is_refused(r, "{}", 400, BAD("error validating request: there is no code"));
	code_is_refused(r, "{\"code\":\"\"}", 400,
	                BAD("error validating request: there is no code"));
	code_is_refused(r, "{\"code\":null}", 400,
	                BAD("error validating request: code is not a string"));
	code_is_refused(r, "{\"code\":\"1\",\"context\":[]}", 400,
	                BAD("error parsing request: context is not an object"));
	code_is_refused(r, "{\"code\":\"1\",\"context\":{\"id\":1}}", 400,
	                BAD("error parsing request: id is not a string"));
	code_is_refused(r, "{\"code\":\"1\",\"context\":{\"id\":\"default\\u0000\"}}", 400,
	                BAD("error parsing request: id holds a NUL"));
	code_is_refused(r, "{\"code\":\"1\",\"context\":{\"language\":{}}}", 400,
	                BAD("error parsing request: language is not a string"));
	code_is_refused(r, "{\"code\":\"1\",\"context\":{\"language\":\"cobol\"}}", 500,
	                FAILED("error running codes unknown language: cobol"));
	code_is_refused(r, "{\"code\":\"1\",\"context\":{\"id\":\"x\"}}", 500,
	                FAILED("error running codes context not found"));
	call(r, gw_osb_code, &x,
	     "{\"code\":\"1\",\"context\":{\"id\":\"default\",\"language\":\"java\"}}");
	assert_int_equal(x.status, 400);
	assert_non_null(strstr(x.body.data, " runs python, not java\"}"));
	fake_http_fini(&x);
	/* A language that the table knows, and nobody installed. */
	call(r, gw_osb_code, &x, "{\"code\":\"1\",\"context\":{\"language\":\"java\"}}");
	assert_int_equal(x.status, 500);
	assert_non_null(strstr(x.body.data, "scripts/install-kernels java"));
	fake_http_fini(&x);

	fake_http_init(&x, "POST", "/code");
	x.params = plain;
	x.headers = odd;
	gw_osb_code(r->core, &x, "{\"code\":\"1\"}", 12);
	answer_is(&x, 400,
	          BAD("X-Kernelbridge-Disconnect is finish, drop or interrupt, not stop"));
	r->cfg->max_queue = 0;
	call(r, gw_osb_code, &x, "{\"code\":\"1\"}");
	assert_int_equal(x.status, 429);
	fake_http_fini(&x);
	rig_end(r);
}

static void
interrupts(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;

	(void)state;
	call(r, gw_osb_code_interrupt, &x, "");
	answer_is(&x, 400,
	          "{\"code\":\"MISSING_QUERY\",\"message\":\"missing query parameter 'id'\"}");
	call_with(r, gw_osb_code_interrupt, &x, "id", "");
	answer_is(&x, 400,
	          "{\"code\":\"MISSING_QUERY\",\"message\":\"missing query parameter 'id'\"}");
	call_with(r, gw_osb_code_interrupt, &x, "id", "x");
	answer_is(&x, 500, FAILED("error interrupting code context x: no such session"));
	call_with(r, gw_osb_code_interrupt, &x, "id", "default"); /* nothing runs */
	answer_is(&x, 200, "");
	assert_int_equal(paper_newest()->interrupts_n, 0);
	rig_end(r);
}

/* --- contexts ------------------------------------------------------------------------------- */

/* A list of contexts that a client gets. */
static json_t *
listed(struct rig *r, const char *language)
{
	struct gw_http x;
	json_t *all;

	call_with(r, gw_osb_context_list, &x, language != NULL ? "language" : "x", language);
	assert_int_equal(x.status, 200);
	all = json_loads(x.body.data, 0, NULL);
	assert_true(json_is_array(all));
	fake_http_fini(&x);
	return all;
}

static void
count_is(struct rig *r, const char *language, size_t n)
{
	json_t *all = listed(r, language);

	assert_int_equal(json_array_size(all), n);
	json_decref(all);
}

/* Who reads the list must not use what goes with its creator. */
static void
a_context_is_listed_when_its_creator_knows_it(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;
	struct gw_http y;

	(void)state;
	call(r, gw_osb_context_create, &x, "{}");
	count_is(r, NULL, 1); /* the rig's own */
	call_with(r, gw_osb_contexts_delete, &y, "language", "python");
	answer_is(&y, 200, "");
	r->ctx = NULL;
	count_is(r, NULL, 0);
	assert_int_equal(x.answers_n, 0);
	paper_ready(paper_newest());
	rig_settle(r);
	assert_int_equal(x.status, 200);
	count_is(r, NULL, 1);
	fake_http_fini(&x);
	rig_end(r);
}

static void
one_context(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;
	char id[64];
	json_t *o;

	(void)state;
	call(r, gw_osb_context_create, &x, "{\"language\": \"PY\"}");
	assert_int_equal(x.answers_n, 0); /* until its kernel answers */
	paper_ready(paper_newest());
	rig_settle(r);
	assert_int_equal(x.status, 200);
	o = json_loads(x.body.data, 0, NULL);
	(void)snprintf(id, sizeof(id), "%s", json_string_value(json_object_get(o, "id")));
	assert_string_equal(json_string_value(json_object_get(o, "language")), "python");
	assert_int_equal(json_object_size(o), 2);
	json_decref(o);
	fake_http_fini(&x);
	call_with(r, gw_osb_context_get, &x, "id", id);
	assert_int_equal(x.status, 200);
	fake_http_fini(&x);
	call_with(r, gw_osb_context_delete, &x, "id", id);
	answer_is(&x, 200, "");
	call_with(r, gw_osb_context_get, &x, "id", "x");
	answer_is(&x, 404,
	          "{\"code\":\"CONTEXT_NOT_FOUND\",\"message\":\"context x not found\"}");
	call_with(r, gw_osb_context_delete, &x, "id", id);
	assert_int_equal(x.status, 404);
	fake_http_fini(&x);
	rig_end(r);
}

static void
lists_of_contexts(void **state)
{
	const struct gw_ctx_request hidden = {.hidden = true};
	struct rig *r = rig_with_auth();
	struct gw_ctx *c;
	struct gw_http x;
	struct err err;

	(void)state;
	rig_spec(r, "other",
	         "{\"argv\": [\"other\", \"{connection_file}\"], \"language\": \"other\"}");
	assert_int_equal(gw_ctx_new(r->sandbox, &hidden, &c, &err), 0);
	call(r, gw_osb_context_create, &x, "{\"language\": \"other\"}");
	paper_ready(paper_newest());
	rig_settle(r);
	assert_int_equal(x.status, 200);
	fake_http_fini(&x);
	count_is(r, NULL, 2);
	count_is(r, "", 2);
	count_is(r, "ipython", 1);
	count_is(r, "other", 1);
	count_is(r, "cobol", 0);

	call_with(r, gw_osb_context_get, &x, "id", gw_ctx_id(c));
	assert_int_equal(x.status, 404);
	fake_http_fini(&x);
	call_with(r, gw_osb_code_interrupt, &x, "id", gw_ctx_id(c));
	assert_int_equal(x.status, 500);
	fake_http_fini(&x);

	call(r, gw_osb_contexts_delete, &x, "");
	answer_is(&x, 400,
	          "{\"code\":\"MISSING_QUERY\","
	          "\"message\":\"missing query parameter 'language'\"}");
	call_with(r, gw_osb_contexts_delete, &x, "language", "cobol");
	answer_is(&x, 200, "");
	call_with(r, gw_osb_contexts_delete, &x, "language", "py");
	answer_is(&x, 200, "");
	r->ctx = NULL;
	count_is(r, NULL, 1);
	assert_ptr_equal(gw_ctx_find(r->sandbox, gw_ctx_id(c)), c); /* not asked for */
	rig_end(r);
}

static void
contexts_that_are_not_made(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;

	(void)state;
	call(r, gw_osb_context_create, &x, "{\"language\": 1}");
	answer_is(&x, 400, BAD("error parsing request: language is not a string"));
	call(r, gw_osb_context_create, &x, "[]");
	assert_int_equal(x.status, 400);
	fake_http_fini(&x);
	call(r, gw_osb_context_create, &x, "{\"language\": \"cobol\"}");
	answer_is(&x, 500, FAILED("error creating context unknown language: cobol"));
	call(r, gw_osb_context_create, &x, "{}");
	paper_die(paper_newest(), "exit code 1");
	rig_settle(r);
	assert_int_equal(x.status, 500);
	assert_non_null(strstr(x.body.data, "error creating context "));
	assert_non_null(strstr(x.body.data, "exit code 1"));
	fake_http_fini(&x);
	count_is(r, NULL, 1);
	call(r, gw_osb_context_create, &x, "{}");
	assert_int_equal(gw_metric[GW_M_CONTEXTS], 2);
	x.ops->closed(x.ops_arg); /* nobody will know its id */
	fake_http_fini(&x);
	assert_int_equal(gw_metric[GW_M_CONTEXTS], 1);
	r->cfg->max_contexts = 1;
	call(r, gw_osb_context_create, &x, "{}");
	assert_int_equal(x.status, 429);
	fake_http_fini(&x);
	rig_end(r);
}

static void
contexts_somewhere(void **state)
{
	struct rig *r = rig_with_auth();
	const struct km_kernel *first = paper_newest();
	char want[4096];
	struct gw_http x;

	(void)state;
	call(r, gw_osb_context_create, &x, "{\"cwd\": \"~/a/../b c\"}");
	while (paper_newest() == first)
		rig_settle(r); /* a thread makes the folder */
	(void)snprintf(want, sizeof(want), "%s/b c", r->sandbox->home);
	assert_string_equal(paper_newest()->cwd, want);
	paper_ready(paper_newest());
	rig_settle(r);
	assert_int_equal(x.status, 200);
	fake_http_fini(&x);

	call(r, gw_osb_context_create, &x, "{\"cwd\": \"../etc\"}");
	rig_wait_n(r, &x.answers_n, 1);
	assert_in_range(x.status, 400, 403);
	assert_non_null(strstr(x.body.data, "error creating context cwd: "));
	fake_http_fini(&x);
	call(r, gw_osb_context_create, &x, "{\"cwd\": \"b c\", \"language\": \"cobol\"}");
	rig_wait_n(r, &x.answers_n, 1);
	answer_is(&x, 500, FAILED("error creating context unknown language: cobol"));
	count_is(r, NULL, 2);

	fake_http_init(&x, "POST", "/");
	x.params = plain;
	gw_osb_context_create(r->core, &x, "{\"cwd\": \"b c\"}", 14);
	x.ops->closed(x.ops_arg); /* while the thread works: the core waits for it at its end */
	fake_http_fini(&x);
	rig_end(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_run),
	    cmocka_unit_test(a_run_that_fails),
	    cmocka_unit_test(runs_that_end_otherwise),
	    cmocka_unit_test(a_context_that_is_busy_queues),
	    cmocka_unit_test(clients_that_leave),
	    cmocka_unit_test(code_that_is_refused),
	    cmocka_unit_test(interrupts),
	    cmocka_unit_test(one_context),
	    cmocka_unit_test(a_context_is_listed_when_its_creator_knows_it),
	    cmocka_unit_test(lists_of_contexts),
	    cmocka_unit_test(contexts_that_are_not_made),
	    cmocka_unit_test(contexts_somewhere),
	};

	return cmocka_run_group_tests_name("gateway/osb_code", tests, NULL, NULL);
}
