/* gateway/dialects/osb_code.c - /code: an execution as server-sent events, and its interruption.
 *
 * The answer begins at once, also while the context is busy or its kernel starts.  The error of a
 * run is held back until it is known how the run ends, so exactly one event ends the answer, after
 * all output: execution_complete or error.
 */
#include <errno.h>
#include <string.h>

#include "gateway/context.h"
#include "gateway/dialects/osb.h"
#include "gateway/dialects/osb_event.h"
#include "gateway/dialects/osb_stream.h"
#include "gateway/event.h"
#include "gateway/exec.h"
#include "gateway/sandbox.h"
#include "gateway/sink.h"
#include "gateway/status.h"
#include "gateway/text.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/json.h"

struct run {
	struct gw_osb_stream st;
	struct gw_sink sink;
	struct buf held; /* the error's event, or empty */
	bool counted;    /* execution_count was told */
};

/* --- events --------------------------------------------------------------------------------- */

/* Where the code itself told of no error. */
static const struct {
	const char *name;
	const char *value; /* unless the core knows why */
} ends[GW_DONE_N] = {
    [GW_DONE_ERROR] = {"Error", "the code failed"},
    [GW_DONE_ABORTED] = {"ExecutionAborted", "the execution was aborted"},
    [GW_DONE_INTERRUPTED] = {"KeyboardInterrupt", "the execution was interrupted"},
    [GW_DONE_TIMEOUT] = {"TimeoutError", "the execution timed out"},
    [GW_DONE_KERNEL_DIED] = {"KernelDied", "the kernel died"},
    [GW_DONE_OVERRUN] = {"OutputLimitExceeded",
                         "the execution wrote more than the gateway allows"},
};

/* The error that the code raised says how the run ended, unless more happened than that. */
static bool
is_held_the_end(const struct run *r, const struct gw_event *done)
{
	return r->held.len > 0 && (done->how == GW_DONE_ERROR ||
	                           (done->how == GW_DONE_INTERRUPTED && done->text.len == 0));
}

static int
put_end(struct run *r, const struct gw_event *ev)
{
	struct buf *out = &r->st.out;
	struct wire_slice why = ev->text;

	if (ev->how == GW_DONE_OK)
		return gw_osb_put_complete(out, gw_osb_now(), ev->elapsed_ms);
	if (is_held_the_end(r, ev))
		return buf_append(out, r->held.data, r->held.len);
	if (why.len == 0)
		why = (struct wire_slice){ends[ev->how].value, strlen(ends[ev->how].value)};
	return gw_osb_put_raised(out, gw_osb_now(), ends[ev->how].name, why, NULL);
}

static int
put_count(struct run *r, int64_t count)
{
	if (r->counted || count <= 0)
		return 0;
	r->counted = true;
	return gw_osb_put_count(&r->st.out, gw_osb_now(), count);
}

static int
put_output(struct run *r, const char *type, struct wire_slice text)
{
	return text.len == 0 ? 0 : gw_osb_put_text(&r->st.out, gw_osb_now(), type, text);
}

static int
put_event(struct run *r, const struct gw_event *ev)
{
	int rc;

	switch (ev->kind) {
	case GW_EV_STARTED:
		return put_count(r, ev->count);
	case GW_EV_STDOUT:
		return put_output(r, "stdout", ev->text);
	case GW_EV_STDERR:
	case GW_EV_CUT:
		return put_output(r, "stderr", ev->text);
	case GW_EV_RESULT:
	case GW_EV_DISPLAY:
	case GW_EV_UPDATE:
		return gw_osb_put_result(&r->st.out, gw_osb_now(), ev->bundle);
	case GW_EV_ERROR:
		return r->held.len > 0 ? 0
		                       : gw_osb_put_raised(&r->held, gw_osb_now(), ev->name,
		                                           ev->text, ev->traceback);
	case GW_EV_DONE:
		rc = put_count(r, ev->count);
		return rc == 0 ? put_end(r, ev) : rc;
	case GW_EV_ACCEPTED:
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

	if (put_event(r, ev) != 0) {
		/* The client must not take what it has for the whole. */
		(void)gw_osb_put_error(&r->st.out, gw_osb_now(), "OutputLost",
		                       "the gateway had no memory for a part of the output",
		                       NULL);
		gw_sink_unhook(sink);
		gw_osb_stream_end(&r->st);
		return 0;
	}
	if (ev->kind != GW_EV_DONE)
		return gw_osb_stream_push(&r->st);
	gw_osb_stream_end(&r->st);
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

	(void)gone; /* what becomes of the run then, its orphan rule says */
	gw_sink_unhook(&r->sink);
	gw_osb_stream_fini(&r->st);
	buf_fini(&r->held);
	mem_free(r);
}

static const struct gw_osb_stream_ops stream_ops = {.drained = on_drained, .closed = on_closed};

static void
stream(struct gw_core *core, struct gw_http *x, const struct gw_ctx *c, struct gw_exec *ex)
{
	struct run *r = mem_new(sizeof(*r));

	buf_init(&r->held, SIZE_MAX / 4);
	gw_sink_init(&r->sink, &sink_ops);
	gw_osb_stream_begin(&r->st, core, x, &stream_ops, r);
	(void)gw_osb_put_init(&r->st.out, gw_osb_now(), gw_ctx_id(c));
	(void)gw_osb_put_ping(&r->st.out, gw_osb_now());
	(void)gw_osb_stream_push(&r->st);
	gw_sink_hook(&r->sink, ex, 0);
}

/* --- the request ---------------------------------------------------------------------------- */

/* What becomes of the run when its client leaves.  False: answered. */
static bool
read_orphan(struct gw_http *x, enum gw_orphan *ret)
{
	const char *v = gw_http_header(x, "x-kernelbridge-disconnect");

	*ret = GW_ORPHAN_FINISH;
	if (v == NULL || strcmp(v, "finish") == 0)
		return true;
	*ret = strcmp(v, "drop") == 0 ? GW_ORPHAN_DROP : GW_ORPHAN_INTERRUPT;
	if (*ret == GW_ORPHAN_DROP || strcmp(v, "interrupt") == 0)
		return true;
	gw_osb_fail(x, 400, GW_OSB_BAD_BODY,
	            "X-Kernelbridge-Disconnect is finish, drop or interrupt, not %.64s", v);
	return false;
}

/* The context called id, which a language that is given must fit; NULL: answered. */
static struct gw_ctx *
named(struct gw_sandbox *sb, struct gw_http *x, const char *id, const char *language)
{
	struct gw_ctx *c = gw_osb_context(sb, id);

	if (c == NULL) {
		gw_osb_fail(x, 500, GW_OSB_RUNTIME, "error running codes context not found");
	} else if (language != NULL && language[0] != '\0' && !gw_ctx_speaks(c, language)) {
		gw_osb_fail(x, 400, GW_OSB_BAD_BODY,
		            "error running codes context %.64s runs %.64s, not %.64s",
		            gw_ctx_id(c), gw_ctx_language(c), language);
	} else {
		return c;
	}
	return NULL;
}

/* The context of a request; NULL: answered. */
static struct gw_ctx *
choose(struct gw_sandbox *sb, struct gw_http *x, const json_t *body)
{
	const json_t *context = json_object_get(body, "context");
	const char *id, *language;
	struct gw_ctx *c;
	struct err err;
	int rc;

	if (context != NULL && !json_is_object(context) && !json_is_null(context)) {
		gw_osb_fail(x, 400, GW_OSB_BAD_BODY,
		            "error parsing request: context is not an object");
		return NULL;
	}
	if (!gw_osb_string(x, context, "id", &id) ||
	    !gw_osb_string(x, context, "language", &language))
		return NULL;
	if (id != NULL && id[0] != '\0')
		return named(sb, x, id, language);
	rc = gw_ctx_default(sb, language, &c, &err);
	if (rc == 0)
		return c;
	gw_osb_context_fail(sb->core, x, "error running codes", language, rc, &err);
	return NULL;
}

static void
run(struct gw_core *core, struct gw_http *x, const json_t *body)
{
	struct gw_sandbox *sb = gw_osb_sandbox(core, x);
	struct gw_exec_request rq = {.stdin_mode = GW_STDIN_DENY};
	const json_t *code = json_object_get(body, "code");
	struct gw_exec *ex;
	struct gw_ctx *c;
	struct err err;
	int rc;

	if (sb == NULL || !read_orphan(x, &rq.orphan))
		return;
	rq.code = json_string_value(code);
	rq.code_len = json_string_length(code);
	if (rq.code_len == 0) {
		gw_osb_fail(x, 400, GW_OSB_BAD_BODY, "error validating request: %s",
		            code == NULL || json_is_string(code) ? "there is no code"
		                                                 : "code is not a string");
		return;
	}
	c = choose(sb, x, body);
	if (c == NULL)
		return;
	rc = gw_exec_new(c, &rq, &ex, &err);
	if (rc == 0)
		stream(core, x, c, ex);
	else
		gw_osb_fail(x, gw_status_http(rc), GW_OSB_RUNTIME, "error running codes %s",
		            err.text);
}

void
gw_osb_code(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	bool few = wire_json_is_few(body, len, GW_TEXT_VALUES_MAX);
	/* Code may hold NULs, and be long. */
	json_t *o = few ? wire_json_parse(body, len) : NULL;

	if (json_is_object(o))
		run(core, x, o);
	else if (!few)
		gw_osb_fail(x, 413, GW_OSB_BAD_BODY,
		            "error parsing request: the body has more than %u values",
		            GW_TEXT_VALUES_MAX);
	else
		gw_osb_fail(x, 400, GW_OSB_BAD_BODY,
		            "error parsing request: the body is not a JSON object");
	json_decref(o);
}

void
gw_osb_code_interrupt(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = gw_osb_sandbox(core, x);
	const char *id = gw_http_query(x, "id");
	struct gw_exec *ex;
	struct gw_ctx *c;

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	if (id == NULL || id[0] == '\0') {
		gw_osb_fail(x, 400, GW_OSB_BAD_QUERY, "missing query parameter 'id'");
		return;
	}
	c = gw_osb_context(sb, id);
	if (c == NULL) {
		gw_osb_fail(x, 500, GW_OSB_RUNTIME,
		            "error interrupting code context %.200s: no such session", id);
		return;
	}
	ex = gw_ctx_first(c);
	if (ex != NULL)
		gw_exec_stop(ex, GW_DONE_INTERRUPTED, 0);
	gw_http_reply(x, 200, NULL, "", 0);
}
