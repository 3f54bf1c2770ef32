/* Unit test of gateway/dialects/osb_command, osb_log and osb_metrics: real programs, a fake edge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/command.h"
#include "gateway/dialects/osb.h"
#include "gateway/dialects/osb_shell.h"
#include "tests/fuzz/fake_edge.h"
#include "tests/unit/gw_rig.h"
#include "tests/unit/km_run.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

/* clang-format off */
#define PLACE {"sandbox", "default"}, {"port", "44772"}
/* clang-format on */

static const struct fake_pair plain[] = {PLACE, {NULL, NULL}};

/* --- asking ------------------------------------------------------------------------------ */

static void
call(struct rig *r, gw_http_fn *fn, struct gw_http *x, const char *body)
{
	fake_http_init(x, "POST", "/");
	x->params = plain;
	fn(r->core, x, body, strlen(body));
}

static bool
has_ended(void *arg)
{
	const struct gw_http *x = arg;

	return x->ended;
}

static void
wait_end(struct rig *r, struct gw_http *x)
{
	if (!run_until(r->lp, has_ended, x))
		fail_msg("no end: %s", x->body.data);
	rig_settle(r);
}

/* The same with a parameter of the path called id, and perhaps a cursor; to the end. */
static void
ask(struct rig *r, gw_http_fn *fn, struct gw_http *x, const char *id, const char *cursor)
{
	const struct fake_pair params[] = {PLACE, {"id", id}, {NULL, NULL}};
	const struct fake_pair query[] = {
	    {cursor != NULL ? "cursor" : "id", cursor != NULL ? cursor : id}, {NULL, NULL}};

	fake_http_init(x, "GET", "/");
	x->params = params;
	x->query = query;
	fn(r->core, x, "", 0);
	wait_end(r, x);
}

static void
answer_is(struct gw_http *x, int status, const char *body)
{
	if (x->status != status || strcmp(x->body.data, body) != 0)
		fail_msg("%d %s instead of %d %s", x->status, x->body.data, status, body);
	fake_http_fini(x);
}

/* --- events ------------------------------------------------------------------------------ */

/* Where p goes on behind this field, if it is there. */
static const char *
behind(const char *p, const char *field)
{
	size_t n = strlen(field);

	return strncmp(p, field, n) == 0 ? p + n + strspn(p + n, "0123456789") : p;
}

/* The events of an answer without their times and the empty lines, and without the first, which
 * names the command: its id goes to id.  Owned by the caller. */
static char *
told(const struct gw_http *x, char id[33])
{
	static const char init[] = "{\"type\":\"init\",\"text\":\"";
	char *text = mem_strdup(x->body.data);
	char *to = text;

	assert_memory_equal(text, init, sizeof(init) - 1);
	memcpy(id, text + sizeof(init) - 1, 32);
	id[32] = '\0';
	for (const char *p = strchr(x->body.data, '\n') + 2; *p != '\0'; p++) {
		p = behind(p, ",\"execution_time\":");
		p = behind(p, ",\"timestamp\":");
		if (*p == '\n')
			assert_true(*++p == '\n');
		*to++ = *p;
	}
	*to = '\0';
	return text;
}

#define OUT(text) "{\"type\":\"stdout\",\"text\":\"" text "\"}\n"
#define ERR(text) "{\"type\":\"stderr\",\"text\":\"" text "\"}\n"
#define COMPLETE  "{\"type\":\"execution_complete\"}\n"
#define FAILED(code, why)                                                                      \
	"{\"type\":\"error\",\"error\":{\"ename\":\"CommandExecError\",\"evalue\":\"" code     \
	"\",\"traceback\":[\"" why "\"]}}\n"

static void
told_is(struct gw_http *x, char id[33], const char *want)
{
	char *text = told(x, id);

	if (strcmp(text, want) != 0)
		fail_msg("\n%s\ninstead of\n%s", text, want);
	mem_free(text);
	fake_http_fini(x);
}

static void
events_of_commands(void **state)
{
	static const struct {
		const char *body;
		const char *want;
	} cases[] = {
	    {"{\"command\":\"echo hi\"}", OUT("hi") COMPLETE},
	    {"{\"command\":\":\"}", COMPLETE},
	    {"{\"command\":\"printf 'a\\\\n\\\\nb'\"}", OUT("a") OUT("\\n") OUT("b") COMPLETE},
	    {"{\"command\":\"echo oh >&2; exit 7\"}", ERR("oh") FAILED("7", "exit status 7")},
	    {"{\"command\":\"kill -9 $$\"}", FAILED("137", "killed by signal 9 (Killed)")},
	    {"{\"command\":\"sleep 60\", \"timeout\": 50}",
	     FAILED("137", "timed out after 50 ms")},
	    {"{\"argv\":[\"printf\",\"%s|\",\"a b\",\"$HOME\"]}", OUT("a b|$HOME|") COMPLETE},
	    {"{\"command\":\"printf '\\\\377'; printf '\\\\342\\\\200\\\\250'\"}",
	     OUT("\xef\xbf\xbd\\u2028") COMPLETE},
	    {"{\"command\":\"echo $A\", \"envs\":{\"A\":\"x\"}}", OUT("x") COMPLETE},
	    {"{\"command\":\"pwd\", \"cwd\":\"$D\", \"envs\":{\"D\":\"/\"}}",
	     OUT("/") COMPLETE},
	    {"{\"command\":\"echo hi\", \"background\":true}", COMPLETE},
	};
	struct rig *r = rig_with_auth();
	char id[33];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_http x;

		call(r, gw_osb_command, &x, cases[i].body);
		wait_end(r, &x);
		assert_int_equal(x.status, 200);
		told_is(&x, id, cases[i].want);
	}
	rig_end(r);
}

#define REFUSED(text)                                                                          \
	"{\"code\":\"INVALID_REQUEST_BODY\",\"message\":\"invalid request: " text "\"}"

static void
requests_that_are_none(void **state)
{
	static const struct {
		const char *body;
		const char *want;
	} cases[] = {
	    {"{}", "command is missing or empty"},
	    {"{\"command\":\"\"}", "command is missing or empty"},
	    {"{\"command\":1}", "command is not a string"},
	    {"{\"command\":\"a\",\"argv\":[\"a\"]}",
	     "command and argv: only one of them can be given"},
	    {"{\"argv\":[]}", "argv is not a list of at least one string"},
	    {"{\"argv\":{}}", "argv is not a list of at least one string"},
	    {"{\"argv\":[\"a\",null]}", "argv[1] is not a string"},
	    {"{\"argv\":[\"\"]}", "argv[0] is empty"},
	    {"{\"command\":\"a\",\"cwd\":{}}", "cwd is not a string"},
	    {"{\"command\":\"a\",\"cwd\":\"x$NO_SUCH_1/y\"}",
	     "cwd: the variable NO_SUCH_1 is not set"},
	    {"{\"command\":\"a\",\"background\":1}", "background is not true or false"},
	    {"{\"command\":\"a\",\"timeout\":-1}", "timeout is not a whole number from 0 on"},
	    {"{\"command\":\"a\",\"timeout\":1.0}", "timeout is not a whole number from 0 on"},
	    {"{\"command\":\"a\",\"uid\":\"0\"}", "uid is not a whole number from 0 on"},
	    {"{\"command\":\"a\",\"gid\":0}", "uid is required when gid is provided"},
	};
	struct rig *r = rig_with_auth();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_http x;
		char want[256];

		(void)snprintf(want, sizeof(want), REFUSED("%s"), cases[i].want);
		call(r, gw_osb_command, &x, cases[i].body);
		assert_true(x.ended);
		answer_is(&x, 400, want);
	}
	rig_end(r);
}

/* It would be read on the loop. */
static void
a_body_that_is_too_large(void **state)
{
	size_t size = (1 << 20) + 1;
	char *body = mem_new(size + 1);
	struct rig *r = rig_with_auth();
	struct gw_http x;

	(void)state;
	memset(body, ' ', size);
	call(r, gw_osb_command, &x, body);
	assert_true(x.ended);
	answer_is(&x, 413,
	          "{\"code\":\"INVALID_REQUEST_BODY\",\"message\":\"the body has more than "
	          "1048576 bytes\"}");
	mem_free(body);
	rig_end(r);
}

/* --- cwd --------------------------------------------------------------------------------- */

static void
what_a_cwd_means(void **state)
{
	static const struct {
		const char *cwd;
		const char *want; /* behind the home where it has no / at first */
	} cases[] = {
	    {"~", ""},        {"~/", ""},       {"~/a", "a"}, {"a/b", "a/b"},   {"~a", "~a"},
	    {"/", "/"},       {"/a b", "/a b"}, {"$V", "/v"}, {"${V}x", "/vx"}, {"$Vx", NULL},
	    {"a$", "a$"},     {"a$$V", "a$/v"}, {"$1", "$1"}, {"${V", "${V"},   {"${}", "${}"},
	    {"$HOME/a", "a"}, {"$T/a", "a"},
	};
	struct rig *r = rig_with_auth();
	json_t *vars = json_pack("{s:s, s:s}", "V", "/v", "T", "~");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *o = json_pack("{s:s}", "cwd", cases[i].cwd);
		char *got = NULL;
		char want[512];
		struct err err;
		int rc = gw_osb_shell_cwd(o, r->sandbox, vars, &got, &err);

		if (cases[i].want == NULL)
			assert_null(got);
		else if (cases[i].want[0] == '/')
			(void)snprintf(want, sizeof(want), "%s", cases[i].want);
		else
			(void)snprintf(want, sizeof(want), "%s%s%s", r->sandbox->home,
			               cases[i].want[0] != '\0' ? "/" : "", cases[i].want);
		assert_int_equal(rc == 0, cases[i].want != NULL);
		if (rc == 0)
			assert_string_equal(got, want);
		mem_free(got);
		json_decref(o);
	}
	json_decref(vars);
	rig_end(r);
}

static void
a_cwd_has_a_ceiling(void **state)
{
	struct rig *r = rig_with_auth();
	char *text = mem_new(5001);
	char *got = NULL;
	struct err err;
	json_t *o;

	(void)state;
	memset(text, 'x', 5000);
	o = json_pack("{s:s}", "cwd", text);
	assert_int_not_equal(gw_osb_shell_cwd(o, r->sandbox, NULL, &got, &err), 0);
	assert_null(got);
	json_decref(o);
	mem_free(text);
	rig_end(r);
}

/* --- a command's life -------------------------------------------------------------------- */

static bool
has_more(void *arg)
{
	const struct gw_http *x = arg;

	return x->body.len > x->promised; /* which no stream of events uses */
}

static void
wait_more(struct rig *r, struct gw_http *x)
{
	x->promised = x->body.len;
	assert_true(run_until(r->lp, has_more, x));
}

/* A client that takes one piece at a time gets all of it, and holds the command up meanwhile. */
static void
a_slow_client(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;
	size_t lines = 0;
	char id[33];
	char *text;

	(void)state;
	call(r, gw_osb_command, &x, "{\"command\":\"seq 1 100000\"}");
	x.full = true;
	wait_more(r, &x);
	for (size_t before = 0; !x.ended; before = x.body.len) {
		rig_settle(r);
		assert_true(before == 0 || x.body.len - before < 8U << 20);
		x.ops->drained(x.ops_arg);
		rig_settle(r);
	}
	text = told(&x, id);
	for (const char *p = text; *p != '\0'; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 100001);
	mem_free(text);
	fake_http_fini(&x);
	rig_end(r);
}

static bool
is_over(void *arg)
{
	struct gw_command *c = arg;
	json_t *o = gw_command_describe(c);
	bool over = json_is_false(json_object_get(o, "running"));

	json_decref(o);
	return over;
}

static void
end_is(struct rig *r, const char *id, int code)
{
	struct gw_command *c = gw_command_find(r->sandbox, id);
	json_t *o;

	assert_non_null(c);
	assert_true(run_until(r->lp, is_over, c));
	o = gw_command_describe(c);
	assert_int_equal(json_integer_value(json_object_get(o, "exit_code")), code);
	json_decref(o);
}

static void
a_client_that_leaves(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;
	char id[33];
	char *text;

	(void)state;
	call(r, gw_osb_command, &x,
	     "{\"command\":\"trap '' INT TERM; echo hi; sleep 60; sleep 60\"}");
	wait_more(r, &x);
	text = told(&x, id);
	x.ops->closed(x.ops_arg);
	end_is(r, id, 137);
	mem_free(text);
	fake_http_fini(&x);
	rig_end(r);
}

static void
a_client_that_leaves_at_once(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;
	char id[33];
	char *text;

	(void)state;
	call(r, gw_osb_command, &x, "{\"command\":\"sleep 60\"}");
	text = told(&x, id);
	x.ops->closed(x.ops_arg);
	end_is(r, id, 130);
	mem_free(text);
	fake_http_fini(&x);
	rig_end(r);
}

static void
an_interrupt(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;
	struct gw_http y;
	char id[33];
	char *text;

	(void)state;
	call(r, gw_osb_command, &x, "{\"command\":\"echo hi; sleep 60\"}");
	wait_more(r, &x);
	text = told(&x, id);
	for (unsigned i = 0; i < 2; i++) { /* the second one comes too late: fine */
		ask(r, gw_osb_command_interrupt, &y, id, NULL);
		answer_is(&y, 200, "");
		wait_end(r, &x);
	}
	mem_free(text);
	told_is(&x, id, OUT("hi") FAILED("130", "killed by signal 2 (Interrupt)"));
	ask(r, gw_osb_command_interrupt, &y, "x", NULL);
	answer_is(
	    &y, 500,
	    "{\"code\":\"RUNTIME_ERROR\",\"message\":\"error interrupting command: no such "
	    "session: x\"}");
	ask(r, gw_osb_command_interrupt, &y, "", NULL);
	answer_is(&y, 400,
	          "{\"code\":\"MISSING_QUERY\",\"message\":\"missing query parameter 'id'\"}");
	rig_end(r);
}

/* The sandbox goes while a command runs: its client is told. */
static void
a_sandbox_that_goes(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;
	char id[33];

	(void)state;
	call(r, gw_osb_command, &x, "{\"command\":\"echo hi; sleep 60\"}");
	wait_more(r, &x);
	gw_commands_end(r->sandbox, "sandbox killed");
	wait_end(r, &x);
	told_is(&x, id, OUT("hi") FAILED("-1", "sandbox killed"));
	rig_end(r);
}

/* --- logs -------------------------------------------------------------------------------- */

/* Start a command in the background. */
static void
background(struct rig *r, const char *command, char id[33])
{
	struct gw_http x;
	char body[512];

	(void)snprintf(body, sizeof(body), "{\"command\":\"%s\",\"background\":true}", command);
	call(r, gw_osb_command, &x, body);
	wait_end(r, &x);
	told_is(&x, id, COMPLETE);
}

static void
log_is(struct rig *r, const char *id, const char *cursor, const char *want, const char *next)
{
	struct gw_http x;
	char added[80];

	(void)snprintf(added, sizeof(added), "EXECD-COMMANDS-TAIL-CURSOR: %s\n", next);
	ask(r, gw_osb_command_logs, &x, id, cursor);
	assert_string_equal(x.added.data, added);
	answer_is(&x, 200, want);
}

static void
logs_from_a_cursor(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;
	char id[33];

	(void)state;
	background(r, "echo one; echo two >&2; exit 3", id);
	end_is(r, id, 3);
	log_is(r, id, NULL, "one\ntwo\n", "8");
	log_is(r, id, "4", "two\n", "8");
	log_is(r, id, "8", "", "8");
	log_is(r, id, "1000", "", "1000");
	ask(r, gw_osb_command_logs, &x, id, "-1");
	answer_is(
	    &x, 400,
	    "{\"code\":\"MISSING_QUERY\",\"message\":\"cursor=-1: expected a number from 0 "
	    "on\"}");
	ask(r, gw_osb_command_logs, &x, "x", NULL);
	answer_is(&x, 404,
	          "{\"code\":\"COMMAND_NOT_FOUND\",\"message\":\"command not found: x\"}");
	ask(r, gw_osb_command_status, &x, "x", NULL);
	answer_is(&x, 404,
	          "{\"code\":\"COMMAND_NOT_FOUND\",\"message\":\"command not found: x\"}");
	rig_end(r);
}

/* A log of several pieces, read by a client that takes them one by one. */
static void
a_long_log(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;
	char id[33];

	(void)state;
	background(r, "head -c 1000000 /dev/zero | tr '\\\\0' x", id);
	end_is(r, id, 0);
	fake_http_init(&x, "GET", "/");
	x.params = (const struct fake_pair[]){PLACE, {"id", id}, {NULL, NULL}};
	x.full = true;
	gw_osb_command_logs(r->core, &x, "", 0);
	for (unsigned n = 0; !x.ended; n++) {
		size_t before = x.body.len;

		assert_true(n < 10);
		while (x.body.len == before && !x.ended)
			rig_settle(r);
		if (!x.ended)
			x.ops->drained(x.ops_arg);
	}
	assert_int_equal(x.body.len, 1000000);
	fake_http_fini(&x);
	rig_end(r);
}

/* It leaves while a thread reads, and while nothing does. */
static void
a_reader_that_leaves(void **state)
{
	struct rig *r = rig_with_auth();
	char id[33];

	(void)state;
	background(r, "head -c 1000000 /dev/zero", id);
	end_is(r, id, 0);
	for (unsigned i = 0; i < 2; i++) {
		struct gw_http x;

		fake_http_init(&x, "GET", "/");
		x.params = (const struct fake_pair[]){PLACE, {"id", id}, {NULL, NULL}};
		x.full = true;
		gw_osb_command_logs(r->core, &x, "", 0);
		while (i == 1 && x.body.len == 0)
			rig_settle(r);
		x.ops->closed(x.ops_arg);
		rig_settle(r);
		fake_http_fini(&x);
	}
	rig_end(r);
}

static void
a_log_that_is_lost(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;
	uint64_t bytes;
	char id[33];

	(void)state;
	background(r, "echo hi", id);
	end_is(r, id, 0);
	assert_int_equal(unlink(gw_command_log(gw_command_find(r->sandbox, id), &bytes)), 0);
	ask(r, gw_osb_command_logs, &x, id, NULL);
	answer_is(
	    &x, 500,
	    "{\"code\":\"RUNTIME_ERROR\",\"message\":\"cannot read the log: No such file or "
	    "directory\"}");
	rig_end(r);
}

/* Nobody writes to the pipe: to wait for that would hold a thread, and the gateway's stop. */
static void
a_log_that_is_a_pipe(void **state)
{
	struct rig *r = rig_with_auth();
	const char *path;
	struct gw_http x;
	uint64_t bytes;
	char id[33];

	(void)state;
	background(r, "echo hi", id);
	end_is(r, id, 0);
	path = gw_command_log(gw_command_find(r->sandbox, id), &bytes);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	ask(r, gw_osb_command_logs, &x, id, NULL);
	answer_is(&x, 500,
	          "{\"code\":\"RUNTIME_ERROR\",\"message\":\"cannot read the log: Invalid "
	          "argument\"}");
	rig_end(r);
}

static void
no_log_of_a_command_in_front(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;
	char id[33];

	(void)state;
	call(r, gw_osb_command, &x, "{\"command\":\":\"}");
	wait_end(r, &x);
	told_is(&x, id, COMPLETE);
	ask(r, gw_osb_command_logs, &x, id, NULL);
	assert_int_equal(x.status, 400);
	fake_http_fini(&x);
	rig_end(r);
}

/* --- metrics ----------------------------------------------------------------------------- */

static void
metrics_are_figures(void **state)
{
	static const char *const names[] = {"cpu_count", "cpu_used_pct", "mem_total_mib",
	                                    "mem_used_mib"};
	struct rig *r = rig_with_auth();
	struct gw_http x;
	json_t *o;

	(void)state;
	call(r, gw_osb_metrics, &x, "");
	assert_int_equal(x.status, 200);
	o = json_loads(x.body.data, 0, NULL);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_true(json_is_real(json_object_get(o, names[i])));
	assert_true(json_is_integer(json_object_get(o, "timestamp")));
	assert_int_equal(json_object_size(o), 5);
	json_decref(o);
	fake_http_fini(&x);
	rig_end(r);
}

/* One look at once, more later; a client that does not read misses some; it leaves. */
static void
a_watch(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;

	(void)state;
	call(r, gw_osb_metrics_watch, &x, "");
	assert_true(x.body.len > 0);
	x.full = true;
	wait_more(r, &x);
	x.ops->drained(x.ops_arg);
	wait_more(r, &x);
	assert_false(x.ended);
	x.ops->closed(x.ops_arg);
	fake_http_fini(&x);
	rig_end(r);
}

/* Else the next request on that connection would wait for ever. */
static void
a_head_of_a_watch_ends(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;

	(void)state;
	fake_http_init(&x, "HEAD", "/");
	x.params = plain;
	gw_osb_metrics_watch(r->core, &x, "", 0);
	assert_true(x.ended);
	fake_http_fini(&x);
	rig_end(r);
}

static void
a_watch_ends_with_its_sandbox(void **state)
{
	static const struct gw_sandbox_request rq = {.id = "there"};
	struct rig *r = rig_with_auth();
	struct gw_sandbox *sb;
	struct gw_http x;
	struct err err;

	(void)state;
	assert_int_equal(gw_sandbox_new(r->core, &rq, &sb, &err), 0);
	fake_http_init(&x, "GET", "/");
	x.params =
	    (const struct fake_pair[]){{"sandbox", "there"}, {"port", "44772"}, {NULL, NULL}};
	gw_osb_metrics_watch(r->core, &x, "", 0);
	assert_false(x.ended);
	gw_sandbox_delete(sb, "gone");
	wait_end(r, &x);
	fake_http_fini(&x);
	rig_end(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(events_of_commands),
	    cmocka_unit_test(requests_that_are_none),
	    cmocka_unit_test(a_body_that_is_too_large),
	    cmocka_unit_test(what_a_cwd_means),
	    cmocka_unit_test(a_cwd_has_a_ceiling),
	    cmocka_unit_test(a_slow_client),
	    cmocka_unit_test(a_client_that_leaves),
	    cmocka_unit_test(a_client_that_leaves_at_once),
	    cmocka_unit_test(an_interrupt),
	    cmocka_unit_test(a_sandbox_that_goes),
	    cmocka_unit_test(logs_from_a_cursor),
	    cmocka_unit_test(a_long_log),
	    cmocka_unit_test(a_reader_that_leaves),
	    cmocka_unit_test(a_log_that_is_lost),
	    cmocka_unit_test(a_log_that_is_a_pipe),
	    cmocka_unit_test(no_log_of_a_command_in_front),
	    cmocka_unit_test(metrics_are_figures),
	    cmocka_unit_test(a_watch),
	    cmocka_unit_test(a_head_of_a_watch_ends),
	    cmocka_unit_test(a_watch_ends_with_its_sandbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
