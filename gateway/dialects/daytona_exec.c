/* gateway/dialects/daytona_exec.c - Daytona's execute WebSocket: one connection, one execution.
 *
 * Order of frames: output in program order, then error if any, then control, then the close
 * frame.  The Python and Go SDKs return on the close frame, the others on control.  A timeout
 * and a crash send no control frame, or some SDKs would call them success.
 */
#include <errno.h>
#include <string.h>

#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/dialects/daytona.h"
#include "gateway/sandbox.h"
#include "gateway/sink.h"
#include "gateway/text.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/mem.h"
#include "wire/json.h"
#include "wire/msg.h"

#define CLOSE_OK        1000
#define CLOSE_PROTOCOL  1002
#define CLOSE_POLICY    1008
#define CLOSE_FAILED    1011
#define CLOSE_TIMEOUT   4008
#define TIMEOUT_DEFAULT 600         /* s; Daytona's own */
#define TIMEOUT_MAX     (1LL << 40) /* s: no timeout, in effect */

/* No frame is over 1 MiB, Daytona's own limit; aiohttp refuses 4 MiB.  A byte of text takes
 * up to six in JSON. */
#define RICH_MAX  1024000U
#define TEXT_MAX  65536U /* of a traceback, and of an error's value */
#define LABEL_MAX 1024U  /* of an error's name, and of a display's id */

struct session {
	struct gw_sink sink;
	struct gw_ws *ws;
	struct gw_core *core;
	json_t *error; /* frame held back until it is known how the run ends */
	bool begun;    /* the first frame came */
};

/* --- the request ------------------------------------------------------------------------ */

static int
bad_json(struct err *err)
{
	return err_set(err, CLOSE_PROTOCOL, "invalid JSON payload");
}

static bool
is_absent(const json_t *v)
{
	return v == NULL || json_is_null(v);
}

static bool
types_fit(const json_t *root, const json_t *code, const json_t *context, const json_t *envs,
          const json_t *timeout)
{
	return json_is_object(root) && (is_absent(code) || json_is_string(code)) &&
	       (is_absent(context) || json_is_string(context)) &&
	       (is_absent(envs) || json_is_object(envs)) &&
	       (is_absent(timeout) || json_is_integer(timeout));
}

static bool
has_nul(const json_t *v)
{
	return json_is_string(v) && strlen(json_string_value(v)) != json_string_length(v);
}

static int
no_context(const char *id, struct err *err)
{
	return err_set(err, CLOSE_POLICY, "context not found: %.80s", id);
}

int
gw_daytona_parse(const char *msg, size_t len, struct gw_daytona_request *ret, struct err *err)
{
	/* Repairs lone surrogates, as Daytona does. */
	json_t *root =
	    wire_json_is_few(msg, len, GW_TEXT_VALUES_MAX) ? wire_json_parse(msg, len) : NULL;
	const json_t *code = json_object_get(root, "code");
	const json_t *context = json_object_get(root, "contextId");
	const json_t *envs = json_object_get(root, "envs");
	const json_t *timeout = json_object_get(root, "timeout");
	json_int_t seconds = is_absent(timeout) ? TIMEOUT_DEFAULT : json_integer_value(timeout);
	struct err why;
	int rc = 0;

	if (!types_fit(root, code, context, envs, timeout) ||
	    gw_strings_check(envs, "envs", &why) != 0)
		rc = bad_json(err);
	else if (json_string_length(code) == 0)
		rc = err_set(err, CLOSE_POLICY, "code is required");
	else if (seconds < 0)
		rc = err_set(err, CLOSE_POLICY, "timeout must be greater than or equal to 0");
	else if (gw_env_check(envs, "envs", &why) != 0)
		rc = err_set(err, CLOSE_POLICY, "%s", why.text);
	else if (has_nul(context))
		rc = no_context(json_string_value(context), err);
	if (rc != 0) {
		json_decref(root);
		return rc;
	}
	if (seconds > TIMEOUT_MAX)
		seconds = 0;
	*ret = (struct gw_daytona_request){.root = root, .context = json_string_value(context)};
	ret->rq = (struct gw_exec_request){
	    .code = json_string_value(code),
	    .code_len = json_string_length(code),
	    .envs = is_absent(envs) ? NULL : envs,
	    .timeout_ms = (uint64_t)seconds * 1000,
	    .stdin_mode = GW_STDIN_EOF,
	    .orphan = GW_ORPHAN_DROP,
	};
	return 0;
}

/* --- frames ----------------------------------------------------------------------------- */

static json_t *
frame(const char *type, struct wire_slice text)
{
	return json_pack("{s:s, s:s%, s:s, s:s, s:s}", "type", type, "text",
	                 text.ptr != NULL ? text.ptr : "", text.len, "name", "", "value", "",
	                 "traceback", "");
}

static json_t *
rich_frame(const char *type, const struct gw_event *ev)
{
	json_t *f = frame(type, (struct wire_slice){"", 0});
	size_t size = json_dumpb(ev->bundle, NULL, 0, JSON_COMPACT);

	if (size <= RICH_MAX)
		json_object_set(f, "data", ev->bundle);
	else
		json_object_set_new(f, "omitted_bytes", json_integer((json_int_t)size));
	if (ev->id != NULL)
		json_object_set_new(
		    f, "displayId",
		    gw_text_ends((struct wire_slice){ev->id, strlen(ev->id)}, LABEL_MAX));
	return f;
}

static json_t *
clear_frame(const struct gw_event *ev)
{
	json_t *f = frame("clear_output", (struct wire_slice){"", 0});

	json_object_set_new(f, "wait", json_boolean(ev->flag));
	return f;
}

json_t *
gw_daytona_frame(const struct gw_event *ev)
{
	switch (ev->kind) {
	case GW_EV_STDOUT:
		return frame("stdout", ev->text);
	case GW_EV_STDERR:
	case GW_EV_CUT:
		return frame("stderr", ev->text);
	case GW_EV_RESULT:
		return rich_frame("result", ev);
	case GW_EV_DISPLAY:
		return rich_frame("display", ev);
	case GW_EV_UPDATE:
		return rich_frame("update_display", ev);
	case GW_EV_CLEAR:
		return clear_frame(ev);
	case GW_EV_INPUT:
	case GW_EV_ACCEPTED:
	case GW_EV_STARTED:
	case GW_EV_ERROR:
	case GW_EV_DONE:
	case GW_EV_N:
	default:
		return NULL;
	}
}

static json_t *
error_frame(struct wire_slice name, struct wire_slice value, struct wire_slice traceback)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:o}", "type", "error", "text", "", "name",
	                 gw_text_ends(name, LABEL_MAX), "value", gw_text_ends(value, TEXT_MAX),
	                 "traceback", gw_text_ends(traceback, TEXT_MAX));
}

json_t *
gw_daytona_error_frame(const struct gw_event *ev)
{
	const json_t *p = ev->plain;
	struct wire_slice name = {ev->name, strlen(ev->name)};
	char *traceback;
	json_t *f;

	if (strcmp(ev->name, "SystemExit") == 0)
		return NULL;
	if (p != NULL)
		return error_frame(wire_msg_text(json_object_get(p, "name")),
		                   wire_msg_text(json_object_get(p, "value")),
		                   wire_msg_text(json_object_get(p, "traceback")));
	traceback = gw_text_traceback(ev->traceback);
	f = error_frame(name, ev->text, (struct wire_slice){traceback, strlen(traceback)});
	mem_free(traceback);
	return f;
}

/* --- the execution's events ------------------------------------------------------------- */

static void
completed(struct session *s, const char *control)
{
	if (s->error != NULL)
		(void)gw_ws_send_json(s->ws, json_incref(s->error));
	(void)gw_ws_send_json(s->ws,
	                      frame("control", (struct wire_slice){control, strlen(control)}));
	gw_ws_close(s->ws, CLOSE_OK, "");
}

static void
on_done(struct session *s, const struct gw_event *ev)
{
	const char *why = ev->text.len > 0 ? ev->text.ptr : gw_done_name(ev->how);

	switch (ev->how) {
	case GW_DONE_OK:
	case GW_DONE_ERROR:
		completed(s, "completed");
		break;
	case GW_DONE_INTERRUPTED:
		completed(s, "interrupted");
		break;
	case GW_DONE_TIMEOUT:
		gw_ws_close(s->ws, CLOSE_TIMEOUT, "execution timed out");
		break;
	case GW_DONE_OVERRUN:
		gw_ws_close(s->ws, CLOSE_FAILED, "more output than max_output_bytes allows");
		break;
	case GW_DONE_ABORTED:
	case GW_DONE_KERNEL_DIED:
	case GW_DONE_N:
	default:
		gw_ws_close(s->ws, CLOSE_FAILED, why);
		break;
	}
}

static int
on_event(struct gw_sink *sink, const struct gw_event *ev)
{
	struct session *s = list_entry(sink, struct session, sink);
	json_t *f;

	if (ev->kind == GW_EV_DONE) {
		on_done(s, ev);
		return 0;
	}
	if (ev->kind == GW_EV_ERROR) {
		json_decref(s->error);
		s->error = gw_daytona_error_frame(ev);
		return 0;
	}
	f = gw_daytona_frame(ev);
	return f != NULL ? gw_ws_send_json(s->ws, f) : 0;
}

static const struct gw_sink_ops sink_ops = {.event = on_event};

/* --- the connection --------------------------------------------------------------------- */

static void
on_opened(struct gw_core *core, struct gw_ws *ws)
{
	struct session *s = mem_new(sizeof(*s));
	struct err err;

	s->ws = ws;
	s->core = core;
	gw_sink_init(&s->sink, &sink_ops);
	gw_ws_set_data(ws, s);
	if (gw_daytona_sandbox(core, gw_ws_param(ws, "sandbox"), gw_ws_token_sandbox(ws),
	                       &err) == NULL)
		gw_ws_close(ws, CLOSE_POLICY, err.text);
}

/* Find the context and queue the code.  Returns 0 or a close code with err. */
static int
begin(struct session *s, const struct gw_daytona_request *rq, struct err *err)
{
	struct gw_sandbox *sb = gw_daytona_sandbox(s->core, gw_ws_param(s->ws, "sandbox"),
	                                           gw_ws_token_sandbox(s->ws), err);
	struct gw_ctx *ctx = NULL;
	struct gw_exec *ex;
	struct err why;

	if (sb == NULL)
		return CLOSE_POLICY;
	if (rq->context != NULL && strcmp(rq->context, "default") != 0)
		ctx = gw_ctx_find(sb, rq->context);
	else if (gw_ctx_default(sb, NULL, &ctx, &why) != 0)
		return err_set(err, CLOSE_FAILED, "failed to get default context: %s",
		               why.text);
	if (ctx == NULL)
		return no_context(rq->context, err);
	if (gw_exec_new(ctx, &rq->rq, &ex, err) != 0)
		return CLOSE_FAILED;
	gw_sink_hook(&s->sink, ex, 0);
	return 0;
}

static void
on_message(struct gw_core *core, struct gw_ws *ws, const char *msg, size_t len, bool binary)
{
	struct session *s = gw_ws_data(ws);
	struct gw_daytona_request rq;
	struct err err;
	int code;

	(void)core;
	(void)binary; /* Daytona takes both */
	if (s->begun)
		return; /* later frames are read and ignored */
	s->begun = true;
	code = gw_daytona_parse(msg, len, &rq, &err);
	if (code == 0) {
		code = begin(s, &rq, &err);
		json_decref(rq.root);
	}
	if (code != 0)
		gw_ws_close(ws, code, err.text);
}

static void
on_drained(struct gw_core *core, struct gw_ws *ws)
{
	struct session *s = gw_ws_data(ws);

	(void)core;
	gw_sink_resume(&s->sink);
}

static void
on_closed(struct gw_core *core, struct gw_ws *ws)
{
	struct session *s = gw_ws_data(ws);

	(void)core;
	gw_sink_unhook(&s->sink);
	json_decref(s->error);
	mem_free(s);
}

const struct gw_ws_ops gw_daytona_execute_ws = {
    .opened = on_opened,
    .message = on_message,
    .drained = on_drained,
    .closed = on_closed,
};
