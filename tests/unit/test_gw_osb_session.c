/* Unit test of gateway/dialects/osb_session: shell sessions over kernels on paper. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/dialects/osb.h"
#include "tests/fuzz/fake_edge.h"
#include "tests/unit/gw_rig.h"
#include "tests/unit/km_run.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define BASH                                                                                   \
	"{\"argv\": [\"bash\", \"{connection_file}\"], \"display_name\": \"Bash\", "           \
	"\"language\": \"bash\", \"metadata\": {\"kernelbridge\": {\"env\": true}}}"

/* clang-format off */
#define PLACE {"sandbox", "default"}, {"port", "44772"}
/* clang-format on */

#define BAD(text)                                                                              \
	"{\"code\":\"INVALID_REQUEST_BODY\",\"message\":\"invalid request: " text "\"}"

/* --- asking ------------------------------------------------------------------------------ */

static struct rig *
rig_bash(void)
{
	struct rig *r = rig_with_auth();

	rig_spec(r, "bash", BASH);
	return r;
}

static void
call(struct rig *r, gw_http_fn *fn, struct gw_http *x, const char *id, const char *body)
{
	const struct fake_pair params[] = {PLACE, {"id", id}, {NULL, NULL}};
	const struct fake_pair query[] = {{"id", id}, {NULL, NULL}};

	fake_http_init(x, "POST", "/");
	x->params = params;
	x->query = query;
	fn(r->core, x, body, strlen(body));
	rig_settle(r);
	x->params = x->query = NULL;
}

static bool
has_ended(void *arg)
{
	const struct gw_http *x = arg;

	return x->ended;
}

static void
answer_is(struct gw_http *x, int status, const char *body)
{
	if (!x->ended || x->status != status || strcmp(x->body.data, body) != 0)
		fail_msg("%d %s instead of %d %s", x->status, x->body.data, status, body);
	fake_http_fini(x);
}

/* Make a session, whose shell still starts; its id is written. */
static void
begin_session(struct rig *r, char id[40])
{
	struct gw_http x;

	call(r, gw_osb_session_create, &x, "", "{\"cwd\": \"/\"}");
	assert_true(run_until(r->lp, has_ended, &x));
	assert_int_equal(x.status, 200);
	assert_int_equal(sscanf(x.body.data, "{\"session_id\":\"%36[^\"]\"}", id), 1);
	fake_http_fini(&x);
}

/* The same; its kernel, ready, is returned. */
static struct km_kernel *
session(struct rig *r, char id[40])
{
	begin_session(r, id);
	paper_ready(paper_newest());
	rig_settle(r);
	return paper_newest();
}

static void
run(struct rig *r, struct gw_http *x, const char *id, const char *body)
{
	call(r, gw_osb_session_run, x, id, body);
}

/* --- events ------------------------------------------------------------------------------ */

static const char *
behind(const char *p, const char *field)
{
	size_t n = strlen(field);

	return strncmp(p, field, n) == 0 ? p + n + strspn(p + n, "0123456789") : p;
}

/* The events without times and empty lines; the first is init with the session's id. */
static void
told_is(struct gw_http *x, const char *id, const char *want)
{
	char *text = mem_strdup(x->body.data);
	char *to = text;
	char head[128];

	for (const char *p = x->body.data; *p != '\0'; p++) {
		p = behind(p, ",\"execution_time\":");
		p = behind(p, ",\"timestamp\":");
		if (*p == '\n')
			assert_true(*++p == '\n');
		*to++ = *p;
	}
	*to = '\0';
	(void)snprintf(head, sizeof(head), "{\"type\":\"init\",\"text\":\"%s\"}\n", id);
	assert_memory_equal(text, head, strlen(head));
	if (strcmp(text + strlen(head), want) != 0)
		fail_msg("\n%s\ninstead of\n%s", text + strlen(head), want);
	mem_free(text);
}

#define OUT(text) "{\"type\":\"stdout\",\"text\":\"" text "\"}\n"
#define ERR(text) "{\"type\":\"stderr\",\"text\":\"" text "\"}\n"
#define COMPLETE  "{\"type\":\"execution_complete\"}\n"
#define FAILED(name, value, why)                                                               \
	"{\"type\":\"error\",\"error\":{\"ename\":\"" name "\",\"evalue\":\"" value            \
	"\",\"traceback\":[\"" why "\"]}}\n"

static void
error(struct km_kernel *k, const char *name, const char *value)
{
	paper_say(k, "error",
	          json_pack("{s:s, s:s, s:[]}", "ename", name, "evalue", value, "traceback"),
	          NULL);
	paper_finish(k, "error");
}

/* --- sessions ---------------------------------------------------------------------------- */

static void
lines_of_a_run(void **state)
{
	struct rig *r = rig_bash();
	struct gw_http x;
	char id[40];
	struct km_kernel *k = session(r, id);

	(void)state;
	assert_string_equal(k->cwd, "/");
	run(r, &x, id, "{\"command\": \"ls\"}");
	told_is(&x, id, "");
	assert_string_equal(json_string_value(json_object_get(k->content, "code")), "ls");
	paper_print(k, "one\ntw");
	paper_say(k, "stream", json_pack("{s:s, s:s}", "name", "stderr", "text", "oh"), NULL);
	paper_print(k, "o\n\n10%\r");
	paper_print(k, "\nrest");
	rig_settle(r);
	told_is(&x, id, OUT("one") OUT("two") OUT("\\n") OUT("10%"));
	paper_finish(k, "ok");
	rig_settle(r);
	told_is(&x, id,
	        OUT("one") OUT("two") OUT("\\n") OUT("10%") OUT("rest") ERR("oh") COMPLETE);
	assert_true(x.ended);
	fake_http_fini(&x);
	rig_end(r);
}

/* A script may bring a file along; it is read on the loop all the same. */
static void
long_commands(void **state)
{
	static const char begin[] = "{\"command\": \"";
	size_t size = (8 << 20) + 1;
	char *body = mem_new(size + 1);
	struct rig *r = rig_bash();
	struct gw_http x;
	char id[40];
	struct km_kernel *k = session(r, id);

	(void)state;
	memset(body, 'x', size);
	memcpy(body, begin, strlen(begin));
	memcpy(body + size - 2, "\"}", 2);
	run(r, &x, id, body);
	assert_int_equal(x.status, 413);
	assert_non_null(strstr(x.body.data, "more than 8388608 bytes"));
	fake_http_fini(&x);
	memcpy(body + size - 3, "\"}", 3);
	run(r, &x, id, body);
	assert_int_equal(json_string_length(json_object_get(k->content, "code")),
	                 size - 3 - strlen(begin));
	paper_finish(k, "ok");
	rig_settle(r);
	assert_true(x.ended);
	fake_http_fini(&x);
	mem_free(body);
	rig_end(r);
}

static void
how_runs_end(void **state)
{
	static const struct {
		const char *name;
		const char *value;
		const char *want;
	} cases[] = {
	    {"", "3", FAILED("CommandExecError", "3", "exit status 3")},
	    {"", "255", FAILED("CommandExecError", "255", "exit status 255")},
	    {"", "0", FAILED("CommandExecError", "0", "0")},
	    {"", "256", FAILED("CommandExecError", "256", "256")},
	    {"", "x", FAILED("CommandExecError", "x", "x")},
	    {"bash", "A: readonly variable",
	     FAILED("bash", "A: readonly variable", "A: readonly variable")},
	};
	struct rig *r = rig_bash();
	char id[40];
	struct km_kernel *k = session(r, id);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_http x;

		run(r, &x, id, "{\"command\": \"f\"}");
		error(k, cases[i].name, cases[i].value);
		rig_settle(r);
		told_is(&x, id, cases[i].want);
		assert_true(x.ended);
		fake_http_fini(&x);
	}
	rig_end(r);
}

static void
a_timeout(void **state)
{
	struct rig *r = rig_bash();
	struct gw_http x;
	char id[40];
	struct km_kernel *k = session(r, id);

	(void)state;
	run(r, &x, id, "{\"command\": \"sleep 9\", \"timeout\": 10}");
	paper_input(k, 1);
	rig_wait_n(r, &k->interrupts_n, 1);
	error(k, "", "130");
	rig_settle(r);
	assert_non_null(strstr(x.body.data, "\"ename\":\"CommandTimeout\""));
	assert_non_null(strstr(x.body.data, "timed out"));
	assert_true(x.ended);
	fake_http_fini(&x);
	rig_end(r);
}

static void
an_interrupt(void **state)
{
	struct rig *r = rig_bash();
	struct gw_http x;
	struct gw_http y;
	char id[40];
	struct km_kernel *k = session(r, id);

	(void)state;
	run(r, &x, id, "{\"command\": \"sleep 9\"}");
	paper_input(k, 1);
	call(r, gw_osb_command_interrupt, &y, id, "");
	answer_is(&y, 200, "");
	assert_int_equal(k->interrupts_n, 1);
	error(k, "", "130");
	rig_settle(r);
	told_is(&x, id, FAILED("CommandExecError", "130", "interrupted"));
	fake_http_fini(&x);
	call(r, gw_osb_command_interrupt, &y, id, ""); /* nothing runs: fine */
	answer_is(&y, 200, "");
	rig_end(r);
}

static void
an_interrupt_while_the_shell_starts(void **state)
{
	struct rig *r = rig_bash();
	struct gw_http x;
	struct gw_http y;
	char id[40];

	(void)state;
	begin_session(r, id);
	run(r, &x, id, "{\"command\": \"sleep 9\"}");
	call(r, gw_osb_command_interrupt, &y, id, "");
	answer_is(&y, 200, "");
	told_is(&x, id,
	        FAILED("CommandAborted", "cancelled before it ran", "cancelled before it ran"));
	assert_true(x.ended);
	fake_http_fini(&x);
	paper_ready(paper_newest());
	rig_settle(r);
	assert_null(paper_newest()->content); /* it was asked for nothing */
	rig_end(r);
}

static void
a_shell_that_dies(void **state)
{
	struct rig *r = rig_bash();
	struct gw_http x;
	char id[40];
	struct km_kernel *k = session(r, id);

	(void)state;
	run(r, &x, id, "{\"command\": \"f\"}");
	paper_print(k, "half");
	paper_die(k, "killed by signal 9");
	rig_settle(r);
	told_is(&x, id,
	        OUT("half") FAILED("KernelDied", "kernel died: killed by signal 9",
	                           "kernel died: killed by signal 9"));
	fake_http_fini(&x);
	rig_end(r);
}

static void
a_session_that_is_deleted(void **state)
{
	struct rig *r = rig_bash();
	struct gw_http x;
	struct gw_http y;
	char want[128];
	char id[40];

	(void)state;
	(void)session(r, id);
	(void)snprintf(want, sizeof(want),
	               "{\"code\":\"CONTEXT_NOT_FOUND\",\"message\":\"session %s not found\"}",
	               id);
	run(r, &x, id, "{\"command\": \"f\"}");
	call(r, gw_osb_session_delete, &y, id, "");
	answer_is(&y, 200, "");
	rig_settle(r);
	told_is(&x, id, FAILED("CommandAborted", "session deleted", "session deleted"));
	fake_http_fini(&x);
	call(r, gw_osb_session_delete, &y, id, "");
	answer_is(&y, 404, want);
	run(r, &y, id, "{\"command\": \"f\"}");
	answer_is(&y, 404, want);
	rig_end(r);
}

/* A context of the same sandbox is none. */
static void
a_context_is_no_session(void **state)
{
	struct rig *r = rig_bash();
	struct gw_http x;

	(void)state;
	run(r, &x, gw_ctx_id(r->ctx), "{\"command\": \"f\"}");
	assert_int_equal(x.status, 404);
	fake_http_fini(&x);
	call(r, gw_osb_session_delete, &x, gw_ctx_id(r->ctx), "");
	assert_int_equal(x.status, 404);
	fake_http_fini(&x);
	rig_end(r);
}

/* --- clients ----------------------------------------------------------------------------- */

static void
a_client_that_leaves(void **state)
{
	struct rig *r = rig_bash();
	struct gw_http x;
	char id[40];
	struct km_kernel *k = session(r, id);

	(void)state;
	run(r, &x, id, "{\"command\": \"sleep 9\"}");
	paper_input(k, 1);
	x.ops->closed(x.ops_arg);
	rig_settle(r);
	assert_int_equal(k->interrupts_n, 1);
	error(k, "", "130");
	fake_http_fini(&x);
	rig_end(r);
}

static void
a_client_that_leaves_too_early(void **state)
{
	struct rig *r = rig_bash();
	const struct fake_pair params[] = {PLACE, {NULL, NULL}};
	int64_t before = gw_metric[GW_M_CONTEXTS];
	struct gw_http x;

	(void)state;
	fake_http_init(&x, "POST", "/");
	x.params = params;
	gw_osb_session_create(r->core, &x, "", 0);
	assert_false(x.ended);
	x.ops->closed(x.ops_arg);
	rig_settle(r);
	assert_int_equal(gw_metric[GW_M_CONTEXTS], before);
	fake_http_fini(&x);
	rig_end(r);
}

static void
a_slow_client(void **state)
{
	struct rig *r = rig_bash();
	struct gw_http x;
	char id[40];
	struct km_kernel *k = session(r, id);

	(void)state;
	run(r, &x, id, "{\"command\": \"f\"}");
	x.full = true;
	paper_print(k, "one\n");
	rig_settle(r);
	paper_print(k, "two\n");
	rig_settle(r);
	told_is(&x, id, OUT("one"));
	x.full = false;
	x.ops->drained(x.ops_arg);
	rig_settle(r);
	told_is(&x, id, OUT("one") OUT("two"));
	paper_finish(k, "ok");
	rig_settle(r);
	told_is(&x, id, OUT("one") OUT("two") COMPLETE);
	fake_http_fini(&x);
	rig_end(r);
}

/* --- requests ---------------------------------------------------------------------------- */

static void
runs_that_are_none(void **state)
{
	static const struct {
		const char *body;
		const char *want;
	} cases[] = {
	    {"{}", BAD("command is missing or empty")},
	    {"{\"command\": null}", BAD("command is missing or empty")},
	    {"{\"command\": 1}", BAD("command is not a string")},
	    {"{\"command\": \"a\", \"cwd\": 1}", BAD("cwd is not a string")},
	    {"{\"command\": \"a\", \"timeout\": -1}",
	     BAD("timeout is not a whole number from 0 on")},
	};
	struct rig *r = rig_bash();
	struct gw_http x;
	char id[40];

	(void)state;
	(void)session(r, id);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run(r, &x, id, cases[i].body);
		answer_is(&x, 400, cases[i].want);
	}
	run(r, &x, id, "");
	assert_int_equal(x.status, 400);
	fake_http_fini(&x);
	call(r, gw_osb_session_create, &x, "", "{\"cwd\": 1}");
	answer_is(&x, 400, BAD("cwd is not a string"));
	call(r, gw_osb_session_create, &x, "", "[]");
	assert_int_equal(x.status, 400);
	fake_http_fini(&x);
	rig_end(r);
}

static void
no_shell_is_installed(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;

	(void)state;
	call(r, gw_osb_session_create, &x, "", "");
	assert_true(run_until(r->lp, has_ended, &x));
	assert_int_equal(x.status, 500);
	assert_non_null(strstr(x.body.data, "RUNTIME_ERROR"));
	fake_http_fini(&x);
	rig_end(r);
}

/* What a command would get, its kernel gets. */
static void
variables_of_a_session(void **state)
{
	struct rig *r = rig_bash();
	const struct km_kernel *k;
	char path[512];
	char id[40];
	FILE *f;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/envs", r->sandbox->folder->dir);
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fputs("KEPT='a b'\n", f);
	assert_int_equal(fclose(f), 0);
	k = session(r, id);
	assert_string_equal(json_string_value(json_object_get(k->env, "KEPT")), "a b");
	assert_string_equal(json_string_value(json_object_get(k->env, "HOME")),
	                    r->sandbox->home);
	assert_string_equal(json_string_value(json_object_get(k->env, "EXECD_ENVS")), path);
	assert_null(json_object_get(k->env, "PATH"));
	rig_end(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines_of_a_run),
	    cmocka_unit_test(how_runs_end),
	    cmocka_unit_test(long_commands),
	    cmocka_unit_test(a_timeout),
	    cmocka_unit_test(an_interrupt),
	    cmocka_unit_test(an_interrupt_while_the_shell_starts),
	    cmocka_unit_test(a_shell_that_dies),
	    cmocka_unit_test(a_session_that_is_deleted),
	    cmocka_unit_test(a_context_is_no_session),
	    cmocka_unit_test(a_client_that_leaves),
	    cmocka_unit_test(a_client_that_leaves_too_early),
	    cmocka_unit_test(a_slow_client),
	    cmocka_unit_test(runs_that_are_none),
	    cmocka_unit_test(no_shell_is_installed),
	    cmocka_unit_test(variables_of_a_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
