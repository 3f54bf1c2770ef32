/* gateway/dialects/osb_session.c - /session: a bash that keeps its state from run to run.
 *
 * A session is a context of the core (language bash) that no list names.  Its runs answer as
 * commands do, line by line, with stdout and stderr apart (execd merges them); init names the
 * session, and DELETE /command?id= with that id interrupts what it runs.  Runs queue.  A status
 * other than 0 is the error CommandExecError with the status as its value; `exit` ends the shell,
 * and the next run finds a new one.  A run's cwd and timeout are its own; a client that leaves
 * interrupts its run.
 *
 * Its variables are those that a command would have got when it was made: what is written to the
 * file EXECD_ENVS later is for later sessions, since in this one it would undo what the session has
 * set itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/command_env.h"
#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/dialects/osb.h"
#include "gateway/dialects/osb_event.h"
#include "gateway/dialects/osb_shell.h"
#include "gateway/event.h"
#include "gateway/exec.h"
#include "gateway/sandbox.h"
#include "gateway/sink.h"
#include "gateway/status.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define LANGUAGE   "bash"
#define SCRIPT_MAX (8U << 20) /* bytes of a run's body: its command may bring a file */

/* --- a run's output ---------------------------------------------------------------------- */

struct run {
	struct gw_osb_shell sh;
	struct gw_sink sink;
	char *name; /* of the error that came, or NULL */
	char *value;
};

/* The status that bash's error tells, as its kernel names it; 0: another error. */
static int
status_of(const struct run *r)
{
	char *end;
	long n;

	if (r->name == NULL || r->name[0] != '\0')
		return 0;
	n = strtol(r->value, &end, 10);
	return *end == '\0' && n > 0 && n < 256 ? (int)n : 0;
}

/* Where it did not end by itself. */
static const struct {
	const char *name;
	const char *value; /* unless the core knows why */
} ends[GW_DONE_N] = {
    [GW_DONE_ERROR] = {"CommandExecError", "the command failed"},
    [GW_DONE_ABORTED] = {"CommandAborted", "the command was aborted"},
    [GW_DONE_INTERRUPTED] = {"CommandExecError", "130"}, /* 128 + SIGINT */
    [GW_DONE_TIMEOUT] = {"CommandTimeout", "the command timed out"},
    [GW_DONE_KERNEL_DIED] = {"KernelDied", "the session's shell died"},
    [GW_DONE_OVERRUN] = {"OutputLimitExceeded",
                         "the command wrote more than the gateway allows"},
};

static void
finish(struct run *r, const struct gw_event *ev)
{
	int status = ev->how == GW_DONE_ERROR ? status_of(r) : 0;
	const char *why = ev->text.len > 0 ? ev->text.ptr : NULL;
	struct err words;

	if (ev->how == GW_DONE_OK) {
		gw_osb_shell_complete(&r->sh, ev->elapsed_ms);
	} else if (status != 0) {
		(void)err_set(&words, 0, "exit status %d", status);
		gw_osb_shell_status(&r->sh, status, words.text);
	} else if (ev->how == GW_DONE_INTERRUPTED) {
		gw_osb_shell_fail(&r->sh, ends[ev->how].name, ends[ev->how].value,
		                  why != NULL ? why : "interrupted");
	} else if (r->name != NULL &&
	           (ev->how == GW_DONE_ERROR || ev->how == GW_DONE_KERNEL_DIED)) {
		gw_osb_shell_fail(&r->sh, r->name[0] != '\0' ? r->name : ends[ev->how].name,
		                  r->value, r->value);
	} else {
		why = why != NULL ? why : ends[ev->how].value;
		gw_osb_shell_fail(&r->sh, ends[ev->how].name, why, why);
	}
}

static int
put_event(struct run *r, const struct gw_event *ev)
{
	switch (ev->kind) {
	case GW_EV_STDOUT:
		return gw_osb_shell_put(&r->sh, 1, ev->text.ptr, ev->text.len);
	case GW_EV_STDERR:
	case GW_EV_CUT:
		return gw_osb_shell_put(&r->sh, 2, ev->text.ptr, ev->text.len);
	case GW_EV_DISPLAY:
	case GW_EV_UPDATE:
	case GW_EV_RESULT:
		(void)gw_osb_put_result(&r->sh.st.out, gw_osb_now(), ev->bundle);
		return gw_osb_stream_push(&r->sh.st);
	case GW_EV_ERROR:
		if (r->name == NULL) {
			r->name = mem_strdup(ev->name);
			r->value = mem_strdup(ev->text.ptr);
		}
		return 0;
	case GW_EV_DONE:
		finish(r, ev);
		return 0;
	case GW_EV_ACCEPTED:
	case GW_EV_STARTED:
	case GW_EV_CLEAR:
	case GW_EV_INPUT:
	case GW_EV_N:
	default:
		return 0;
	}
}

static int
on_event(struct gw_sink *sink, const struct gw_event *ev)
{
	struct run *r = list_entry(sink, struct run, sink);
	int rc = put_event(r, ev);

	if (rc != -ENOMEM)
		return rc;
	gw_sink_unhook(sink); /* the answer has ended */
	return 0;
}

static const struct gw_sink_ops sink_ops = {.event = on_event};

static void
on_drained(void *arg)
{
	struct run *r = arg;

	gw_sink_resume(&r->sink);
}

static void
on_closed(void *arg, bool gone)
{
	struct run *r = arg;

	(void)gone; /* the run's orphan rule knows */
	gw_sink_unhook(&r->sink);
	gw_osb_shell_fini(&r->sh);
	mem_free(r->name);
	mem_free(r->value);
	mem_free(r);
}

static const struct gw_osb_stream_ops stream_ops = {.drained = on_drained, .closed = on_closed};

/* --- requests ---------------------------------------------------------------------------- */

static void
refuse(struct gw_http *x, const char *what, int rc, const struct err *err)
{
	if (rc == -EINVAL)
		gw_osb_fail(x, 400, GW_OSB_BAD_BODY, "invalid request: %s", err->text);
	else
		gw_osb_fail(x, rc == -ENOENT ? 500 : gw_status_http(rc), GW_OSB_RUNTIME,
		            "error %s session: %s", what, err->text);
}

/* One that is being made: what EXECD_ENVS says is read first. */
struct making {
	struct gw_http *x;
	struct gw_core *core; /* borrowed */
	struct gw_command_env *env;
	char *cwd;        /* or NULL */
	char sandbox[64]; /* id */
};

static void
making_free(struct making *m)
{
	gw_command_env_free(m->env);
	mem_free(m->cwd);
	mem_free(m);
}

static void
make(const struct making *m, struct gw_sandbox *sb, const struct km_env *env)
{
	json_t *vars = gw_command_env_vars(env);
	const struct gw_ctx_request rq = {
	    .language = LANGUAGE, .cwd = m->cwd, .env = vars, .hidden = true};
	struct gw_ctx *c;
	struct err err;
	int rc = gw_ctx_new(sb, &rq, &c, &err);

	if (rc == 0)
		gw_http_reply_json(m->x, 200, json_pack("{s:s}", "session_id", gw_ctx_id(c)));
	else
		refuse(m->x, "creating", rc, &err);
	json_decref(vars);
}

static void
on_env(void *arg, struct km_env *env, const char *why)
{
	struct making *m = arg;
	struct gw_sandbox *sb = gw_sandbox_find(m->core, m->sandbox);

	if (sb == NULL)
		gw_osb_fail(m->x, 404, GW_OSB_NO_SANDBOX, "sandbox %s not found", m->sandbox);
	else if (env == NULL)
		gw_osb_fail(m->x, 500, GW_OSB_RUNTIME, "error creating session: %s", why);
	else
		make(m, sb, env);
	making_free(m);
}

static void
on_left(void *arg)
{
	making_free(arg);
}

static const struct gw_http_ops making_ops = {.closed = on_left};

void
gw_osb_session_create(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = gw_osb_sandbox(core, x);
	json_t *o = sb != NULL ? gw_osb_object(x, body, len, GW_OSB_BODY_MAX, true) : NULL;
	struct making *m;
	char *cwd = NULL;
	struct err err;
	int rc;

	if (o == NULL)
		return;
	rc = gw_osb_shell_cwd(o, sb, NULL, &cwd, &err);
	json_decref(o);
	if (rc != 0) {
		refuse(x, "creating", rc, &err);
		return;
	}
	m = mem_new(sizeof(*m));
	m->x = x;
	m->core = core;
	m->cwd = cwd;
	(void)snprintf(m->sandbox, sizeof(m->sandbox), "%s", sb->id.id);
	gw_http_set_ops(x, &making_ops, m);
	m->env = gw_command_env_new(sb, NULL, on_env, m);
}

/* The session of the path; NULL: answered. */
static struct gw_ctx *
named(struct gw_core *core, struct gw_http *x)
{
	struct gw_sandbox *sb = gw_osb_sandbox(core, x);
	const char *id = gw_http_param(x, "id");
	struct gw_ctx *c = sb != NULL ? gw_ctx_find(sb, id) : NULL;

	if (c != NULL && !gw_ctx_is_hidden(c))
		c = NULL;
	if (sb != NULL && c == NULL)
		gw_osb_fail(x, 404, GW_OSB_NO_CONTEXT, "session %.64s not found", id);
	return c;
}

static void
start(struct gw_ctx *c, struct gw_http *x, const struct gw_exec_request *rq)
{
	struct gw_exec *ex;
	struct run *r;
	struct err err;
	int rc = gw_exec_new(c, rq, &ex, &err);

	if (rc != 0) {
		refuse(x, "running in", rc, &err);
		return;
	}
	r = mem_new(sizeof(*r));
	gw_sink_init(&r->sink, &sink_ops);
	gw_osb_shell_begin(&r->sh, gw_ctx_sandbox(c)->core, x, gw_ctx_id(c), &stream_ops, r);
	gw_sink_hook(&r->sink, ex, 0);
}

void
gw_osb_session_run(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_ctx *c = named(core, x);
	json_t *o = c != NULL ? gw_osb_object(x, body, len, SCRIPT_MAX, false) : NULL;
	struct gw_exec_request rq = {.orphan = GW_ORPHAN_INTERRUPT};
	char *cwd = NULL;
	struct err err;
	int rc;

	if (o == NULL)
		return;
	rc = gw_osb_shell_command(o, &rq.code, &err);
	if (rc == 0)
		rc = gw_osb_shell_cwd(o, gw_ctx_sandbox(c), NULL, &cwd, &err);
	if (rc == 0)
		rc = gw_osb_shell_timeout(o, &rq.timeout_ms, &err);
	rq.cwd = cwd;
	if (rc == 0) {
		rq.code_len = strlen(rq.code);
		start(c, x, &rq);
	} else {
		refuse(x, "running in", rc, &err);
	}
	mem_free(cwd);
	json_decref(o);
}

void
gw_osb_session_delete(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_ctx *c = named(core, x);

	(void)body;
	(void)len;
	if (c == NULL)
		return;
	gw_ctx_free(c, "session deleted");
	gw_http_reply(x, 200, NULL, "", 0);
}
