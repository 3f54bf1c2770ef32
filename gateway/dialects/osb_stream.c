/* gateway/dialects/osb_stream.c - see gateway/dialects/osb_stream.h. */
#include "gateway/dialects/osb_stream.h"

#include <errno.h>

#include "gateway/core.h"
#include "gateway/dialects/osb.h"
#include "gateway/dialects/osb_event.h"
#include "wire/base/loop.h"

#define BEAT_MS 3000 /* without an event; execd's own */

static void
on_over(void *arg)
{
	struct gw_osb_stream *st = arg;

	st->ops->closed(st->arg, false);
}

/* Hand the edge what is in out; end the answer behind it if that is due. */
static void
send_on(struct gw_osb_stream *st)
{
	st->full = gw_http_stream_write_buf(st->x, &st->out) == -EAGAIN;
	if (!st->ending)
		return;
	gw_http_stream_end(st->x);
	st->x = NULL;
	loop_task_post(&st->over);
}

static void
on_drained(void *arg)
{
	struct gw_osb_stream *st = arg;

	send_on(st);
	if (!st->full && !st->ending && st->ops->drained != NULL)
		st->ops->drained(st->arg);
}

static void
on_closed(void *arg)
{
	struct gw_osb_stream *st = arg;

	st->x = NULL;
	st->ops->closed(st->arg, true);
}

static const struct gw_http_ops http_ops = {.drained = on_drained, .closed = on_closed};

/* A proxy, or a client of its own, may give up on a connection that is silent. */
static void
on_beat(void *arg)
{
	struct gw_osb_stream *st = arg;
	uint64_t silent = loop_now_ms(st->core->lp) - st->last_ms;

	loop_timer_free(st->beat);
	if (silent >= BEAT_MS) {
		silent = 0;
		st->last_ms = loop_now_ms(st->core->lp);
		if (!st->full && gw_osb_put_ping(&st->out, gw_osb_now()) == 0)
			send_on(st);
	}
	st->beat = loop_timer_new(st->core->lp, BEAT_MS - silent, on_beat, st);
}

void
gw_osb_stream_begin(struct gw_osb_stream *st, struct gw_core *core, struct gw_http *x,
                    const struct gw_osb_stream_ops *ops, void *arg)
{
	*st = (struct gw_osb_stream){.x = x, .core = core, .ops = ops, .arg = arg};
	buf_init(&st->out, SIZE_MAX / 4);
	loop_task_init(&st->over, core->lp, on_over, st);
	st->last_ms = loop_now_ms(core->lp);
	st->beat = loop_timer_new(core->lp, BEAT_MS, on_beat, st);
	gw_http_set_ops(x, &http_ops, st);
	gw_http_add_header(x, "Cache-Control", "no-cache");
	gw_http_add_header(x, "X-Accel-Buffering", "no"); /* nginx: pass each event on */
	gw_http_stream_begin(x, 200, "text/event-stream");
}

int
gw_osb_stream_push(struct gw_osb_stream *st)
{
	if (st->x == NULL) /* it ended, or its client left */
		return 0;
	if (st->out.len > 0)
		st->last_ms = loop_now_ms(st->core->lp);
	if (!st->full)
		send_on(st);
	return st->full ? -EAGAIN : 0;
}

void
gw_osb_stream_end(struct gw_osb_stream *st)
{
	if (st->ending || st->x == NULL)
		return;
	st->ending = true;
	loop_timer_free(st->beat);
	st->beat = NULL;
	if (!st->full)
		send_on(st);
}

void
gw_osb_stream_fini(struct gw_osb_stream *st)
{
	loop_task_cancel(&st->over);
	loop_timer_free(st->beat);
	st->beat = NULL;
	buf_fini(&st->out);
}
