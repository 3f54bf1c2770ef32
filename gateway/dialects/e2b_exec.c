/* gateway/dialects/e2b_exec.c - POST /execute: an execution as lines of JSON.
 *
 * The answer begins at once, also while the context is busy.  When the sandbox goes, it is cut off:
 * the SDKs then ask /health and tell their callers what happened.
 */
#include <errno.h>
#include <stdio.h>

#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/dialects/e2b.h"
#include "gateway/dialects/e2b_line.h"
#include "gateway/event.h"
#include "gateway/exec.h"
#include "gateway/sandbox.h"
#include "gateway/sink.h"
#include "gateway/status.h"
#include "wire/base/err.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define BEAT_MS 5000 /* without a line; E2B's own */

struct stream {
	struct gw_http *x;
	struct gw_core *core; /* borrowed */
	struct gw_sink sink;
	struct gw_e2b_line line;
	bool full;               /* drained is due */
	struct loop_timer *beat; /* pending */
	uint64_t last_ms;        /* of the last line */
	char sandbox[40];        /* id */
};

static void
stream_free(struct stream *st)
{
	gw_sink_unhook(&st->sink);
	loop_timer_free(st->beat);
	gw_e2b_line_fini(&st->line);
	mem_free(st);
}

/* --- sending ------------------------------------------------------------------------------ */

static void
send_lines(struct stream *st)
{
	st->full = gw_http_stream_write_buf(st->x, &st->line.out) == -EAGAIN;
}

static void
on_drained(void *arg)
{
	struct stream *st = arg;

	st->full = false;
	gw_sink_resume(&st->sink);
}

static void
on_closed(void *arg)
{
	stream_free(arg);
}

static const struct gw_http_ops http_ops = {.drained = on_drained, .closed = on_closed};

static int
on_event(struct gw_sink *sink, const struct gw_event *ev)
{
	struct stream *st = list_entry(sink, struct stream, sink);
	char now[32];
	int rc;

	if (ev->kind == GW_EV_DONE && ev->how == GW_DONE_ABORTED &&
	    gw_sandbox_find(st->core, st->sandbox) == NULL) {
		gw_http_stream_cut(st->x);
		stream_free(st);
		return 0;
	}
	gw_core_time(0, now);
	rc = gw_e2b_line_event(&st->line, ev, now);
	st->last_ms = loop_now_ms(st->core->lp);
	send_lines(st);
	if (ev->kind != GW_EV_DONE)
		return st->full ? -EAGAIN : 0;
	if (rc == 0)
		gw_http_stream_end(st->x);
	else
		gw_http_stream_cut(st->x);
	stream_free(st);
	return 0;
}

static const struct gw_sink_ops sink_ops = {.event = on_event};

/* A proxy, or a client of its own, may give up on a connection that is silent. */
static void
on_beat(void *arg)
{
	struct stream *st = arg;
	uint64_t now = loop_now_ms(st->core->lp);
	uint64_t silent = now - st->last_ms;

	loop_timer_free(st->beat);
	if (silent >= BEAT_MS) {
		silent = 0;
		st->last_ms = now;
	}
	st->beat = loop_timer_new(st->core->lp, BEAT_MS - silent, on_beat, st);
	if (silent == 0 && !st->full) {
		gw_e2b_line_keepalive(&st->line);
		send_lines(st);
	}
}

static void
stream(const struct gw_sandbox *sb, struct gw_http *x, struct gw_exec *ex)
{
	struct stream *st = mem_new(sizeof(*st));

	st->x = x;
	st->core = sb->core;
	(void)snprintf(st->sandbox, sizeof(st->sandbox), "%s", sb->id.id);
	st->last_ms = loop_now_ms(sb->core->lp);
	st->beat = loop_timer_new(sb->core->lp, BEAT_MS, on_beat, st);
	gw_e2b_line_init(&st->line);
	gw_sink_init(&st->sink, &sink_ops);
	gw_http_set_ops(x, &http_ops, st);
	gw_http_add_header(x, "Cache-Control", "no-store");
	gw_http_add_header(x, "X-Accel-Buffering", "no"); /* nginx: pass each line on */
	gw_http_stream_begin(x, 200, NULL);
	gw_sink_hook(&st->sink, ex, 0);
}

/* --- the request -------------------------------------------------------------------------- */

/* The context of the request; NULL: answered. */
static struct gw_ctx *
choose(struct gw_sandbox *sb, struct gw_http *x, const struct gw_e2b_execute *e)
{
	struct gw_ctx *c = NULL;
	struct err err;
	int rc;

	if (e->context != NULL && e->language != NULL) {
		gw_e2b_text(x, 400, "Only one of context_id or language can be provided");
	} else if (e->context != NULL) {
		c = gw_ctx_find(sb, e->context);
		if (c == NULL)
			gw_e2b_text(x, 404, "Context %.200s not found", e->context);
	} else {
		rc = gw_ctx_default(sb, e->language, &c, &err);
		if (rc != 0) {
			c = NULL;
			gw_e2b_text(x, rc == -ENOENT ? 500 : gw_status_http(rc),
			            "Failed to create context: %s", err.text);
		}
	}
	return c;
}

void
gw_e2b_execute(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = gw_e2b_sandbox(core, x);
	struct gw_e2b_execute e;
	struct gw_exec *ex;
	struct gw_ctx *c;
	json_t *detail;
	struct err err;
	int rc;

	if (sb == NULL)
		return;
	if (gw_e2b_parse_execute(body, len, &e, &detail) != 0) {
		gw_http_reply_json(x, 422, json_pack("{s:o}", "detail", detail));
		return;
	}
	c = choose(sb, x, &e);
	if (c != NULL) {
		rc = gw_exec_new(c, &e.rq, &ex, &err);
		if (rc == 0)
			stream(sb, x, ex);
		else
			gw_e2b_text(x, gw_status_http(rc), "%s", err.text);
	}
	json_decref(e.root);
}
