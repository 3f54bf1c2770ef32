/* gateway/dialects/native_stream.c - see gateway/dialects/native_stream.h. */
#include "gateway/dialects/native_stream.h"

#include <errno.h>
#include <string.h>

#include "gateway/dialects/native.h"
#include "gateway/dialects/native_events.h"
#include "gateway/dialects/native_results.h"
#include "gateway/event.h"
#include "gateway/exec.h"
#include "gateway/sink.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"

#define NDJSON       "application/x-ndjson"
#define WAIT_BYTES   (8U << 20)   /* stdout and stderr in one summary, each */
#define RESULT_BYTES (128U << 20) /* its results, all together */

struct stream {
	struct gw_http *x;
	struct gw_exec *exec; /* borrowed while the sink is hooked */
	struct gw_sink sink;
	struct buf out; /* a line being encoded */
	/* for the summary: */
	struct buf text[2]; /* stdout, stderr */
	struct gw_native_results results;
	json_t *error;
	bool truncated[2];
	uint64_t cut_bytes; /* of CUT events */
};

static void
stream_free(struct stream *st)
{
	gw_sink_unhook(&st->sink);
	buf_fini(&st->out);
	buf_fini(&st->text[0]);
	buf_fini(&st->text[1]);
	gw_native_results_fini(&st->results);
	json_decref(st->error);
	mem_free(st);
}

static void
on_drained(void *arg)
{
	struct stream *st = arg;

	gw_sink_resume(&st->sink);
}

static void
on_closed(void *arg)
{
	stream_free(arg);
}

static const struct gw_http_ops http_ops = {.drained = on_drained, .closed = on_closed};

static struct stream *
stream_new(struct gw_http *x, struct gw_exec *ex, const struct gw_sink_ops *ops, uint64_t after)
{
	struct stream *st = mem_new(sizeof(*st));

	st->x = x;
	st->exec = ex;
	buf_init(&st->out, SIZE_MAX / 4);
	buf_init(&st->text[0], WAIT_BYTES);
	buf_init(&st->text[1], WAIT_BYTES);
	gw_native_results_init(&st->results, RESULT_BYTES);
	gw_sink_init(&st->sink, ops);
	gw_http_set_ops(x, &http_ops, st);
	gw_sink_hook(&st->sink, ex, after);
	return st;
}

/* --- lines ------------------------------------------------------------------------------ */

static int
on_event(struct gw_sink *sink, const struct gw_event *ev)
{
	struct stream *st = list_entry(sink, struct stream, sink);
	bool done = ev->kind == GW_EV_DONE;
	int rc = gw_native_events_encode(&st->out, gw_exec_id(st->exec), ev);

	if (rc == 0)
		rc = buf_append(&st->out, "\n", 1);
	if (rc == 0)
		rc = gw_http_stream_write_buf(st->x, &st->out);
	else
		buf_fini(&st->out);
	if (done) {
		gw_http_stream_end(st->x);
		stream_free(st);
	}
	return rc == -EAGAIN ? rc : 0;
}

static const struct gw_sink_ops line_ops = {.event = on_event};

void
gw_native_stream_events(struct gw_core *core, struct gw_http *x, struct gw_exec *ex,
                        uint64_t after)
{
	(void)core;
	gw_http_add_header(x, "cache-control", "no-store");
	gw_http_add_header(x, "x-accel-buffering", "no");
	gw_http_add_header(x, "x-execution-id", gw_exec_id(ex));
	gw_http_stream_begin(x, 200, NDJSON);
	(void)stream_new(x, ex, &line_ops, after);
}

/* --- one object ------------------------------------------------------------------------- */

static void
add_text(struct stream *st, unsigned which, struct wire_slice text)
{
	if (!st->truncated[which] && buf_append(&st->text[which], text.ptr, text.len) != 0)
		st->truncated[which] = true;
}

static json_t *
text_json(const struct buf *b)
{
	return json_stringn_nocheck(b->len > 0 ? b->data : "", b->len);
}

static json_t *
summary(struct stream *st, const struct gw_event *done)
{
	json_t *o =
	    json_pack("{s:s, s:s, s:I, s:o, s:o, s:o}", "execution", gw_exec_id(st->exec),
	              "how", gw_done_name(done->how), "elapsed_ms",
	              (json_int_t)done->elapsed_ms, "stdout", text_json(&st->text[0]), "stderr",
	              text_json(&st->text[1]), "results", gw_native_results_take(&st->results));

	json_object_set_new(o, "error",
	                    st->error != NULL ? json_incref(st->error) : json_null());
	if (done->count > 0)
		json_object_set_new(o, "count", json_integer(done->count));
	if (done->text.len > 0)
		json_object_set_new(o, "why",
		                    json_stringn_nocheck(done->text.ptr, done->text.len));
	if (st->truncated[0] || st->truncated[1] || st->results.truncated)
		json_object_set_new(o, "truncated", json_true());
	if (st->cut_bytes > 0)
		json_object_set_new(o, "cut_bytes", json_integer((json_int_t)st->cut_bytes));
	return o;
}

static int
on_summary_event(struct gw_sink *sink, const struct gw_event *ev)
{
	struct stream *st = list_entry(sink, struct stream, sink);

	switch (ev->kind) {
	case GW_EV_STDOUT:
		add_text(st, 0, ev->text);
		break;
	case GW_EV_STDERR:
		add_text(st, 1, ev->text);
		break;
	case GW_EV_CUT:
		st->cut_bytes += ev->cut_bytes;
		break;
	case GW_EV_DISPLAY:
	case GW_EV_RESULT:
	case GW_EV_UPDATE:
		gw_native_results_add(&st->results, ev);
		break;
	case GW_EV_ERROR:
		json_decref(st->error);
		st->error = gw_native_events_fields(ev);
		break;
	case GW_EV_DONE:
		gw_http_reply_json(st->x, 200, summary(st, ev));
		stream_free(st);
		break;
	case GW_EV_ACCEPTED:
	case GW_EV_STARTED:
	case GW_EV_CLEAR:
	case GW_EV_INPUT:
	case GW_EV_N:
	default:
		break;
	}
	return 0;
}

static const struct gw_sink_ops summary_ops = {.event = on_summary_event};

void
gw_native_stream_wait(struct gw_core *core, struct gw_http *x, struct gw_exec *ex)
{
	(void)core;
	(void)stream_new(x, ex, &summary_ops, 0);
}
