/* gateway/body.c - see gateway/body.h.
 *
 * A body is read piece by piece, which are kept, or given to a dialect that wants them so.  A
 * connection is READING while pieces may come, and BUSY while the dialect holds them: then nothing
 * is read and no deadline runs.
 */
#include "gateway/body.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/types.h>

#include "gateway/chunk.h"
#include "gateway/dialect.h"
#include "gateway/edge.h"
#include "gateway/http.h"

#define OPEN_MAX  (64U << 10) /* body of a request that needs no token: anyone may send it */
#define PIECE_MAX (64U << 10)

static size_t
least(size_t a, uint64_t b)
{
	return a < b ? a : (size_t)b;
}

bool
gw_body_is_read(const struct gw_http *x)
{
	return x->r->head.chunked ? gw_chunk_is_done(&x->chunk) : x->body_left == 0;
}

/* --- in pieces ---------------------------------------------------------------------------- */

static void
give(struct gw_http *x, const char *data, size_t len)
{
	struct gw_conn *c = x->c;
	int rc;

	x->due = false;
	rc = x->ops->body(x->arg, data, len);
	if (c->state == GW_CONN_READING && rc == -EAGAIN && !x->due)
		gw_conn_set_state(c, GW_CONN_BUSY);
}

/* The answer to "Expect: 100-continue", unless the body already comes. */
static void
invite(struct gw_http *x)
{
	if (x->r->head.wants_continue && x->c->in.len == 0)
		gw_conn_put(x->c, "HTTP/1.1 100 Continue\r\n\r\n", 25, NULL, 0);
}

static void
begin_pieces(struct gw_http *x)
{
	struct gw_conn *c = x->c;

	x->phase = GW_HTTP_PIECES;
	x->due = true; /* at the end of the turn */
	gw_conn_set_state(c, GW_CONN_BUSY);
	x->r->match.row->http(c->s->cfg.core, x, NULL, 0);
	if (c->x != x || x->phase != GW_HTTP_PIECES)
		return; /* gone, or answered */
	assert(x->ops != NULL && x->ops->body != NULL && x->ops->body_end != NULL);
	invite(x);
	loop_task_post(&c->turn);
}

void
gw_http_receive(struct gw_http *x)
{
	x->due = true;
	if (x->c != NULL && gw_http_holds(x->c))
		loop_task_post(&x->c->turn);
}

/* --- reading ------------------------------------------------------------------------------ */

/* Push the data of the chunks in c->in together at its start.  Returns how many bytes were used,
 * or -EBADMSG. */
static ssize_t
unchunk(struct gw_http *x, size_t *ret_len)
{
	struct buf *in = &x->c->in;
	size_t at = 0, out = 0;

	while (at < in->len && out < PIECE_MAX && !gw_chunk_is_done(&x->chunk)) {
		const char *data;
		size_t len;
		int n = gw_chunk_step(&x->chunk, in->data + at,
		                      least(in->len - at, PIECE_MAX - out), &data, &len);

		if (n < 0)
			return n;
		memmove(in->data + out, data, len);
		out += len;
		at += (size_t)n;
	}
	*ret_len = out;
	return (ssize_t)at;
}

/* Use the next len bytes of the body.  Returns false where they are too many. */
static bool
take(struct gw_http *x, const char *data, size_t len)
{
	if (x->refusal.status != 0) /* they are for nobody */
		return true;
	if (len > x->body_room)
		return false;
	x->body_room -= len;
	if (x->phase != GW_HTTP_PIECES)
		return buf_append(&x->body, data, len) == 0;
	if (len > 0)
		give(x, data, len);
	return true;
}

void
gw_body_read(struct gw_http *x)
{
	struct gw_conn *c = x->c; /* x may be gone, c is not */
	const bool chunked = x->r->head.chunked;
	size_t len = least(least(c->in.len, PIECE_MAX), x->body_left);
	ssize_t used = chunked ? unchunk(x, &len) : (ssize_t)len;

	if (!chunked)
		x->body_left -= len;
	if (used < 0)
		gw_http_refuse(c, 400, "malformed chunked body");
	else if (!take(x, c->in.data, len))
		gw_http_refuse(c, 413, "the request body is too large");
	else
		buf_consume(&c->in, (size_t)used);
}

void
gw_body_end(struct gw_http *x)
{
	const bool pieces = x->phase == GW_HTTP_PIECES;

	if (x->refusal.status != 0) {
		gw_http_answer_refusal(x);
		return;
	}
	x->phase = GW_HTTP_ASKED;
	gw_conn_set_state(x->c, GW_CONN_BUSY);
	if (pieces)
		x->ops->body_end(x->arg);
	else
		x->r->match.row->http(x->c->s->cfg.core, x, x->body.data, x->body.len);
}

void
gw_body_begin(struct gw_http *x)
{
	const struct gw_head *h = &x->r->head;
	const bool open = x->r->match.row->access == GW_ACCESS_PUBLIC;
	const bool pieces = x->r->match.dialect->pieces;
	size_t max = x->c->s->cfg.max_body_bytes;

	if (open && max > OPEN_MAX)
		max = OPEN_MAX;
	x->body_room = pieces && !open ? UINT64_MAX : max;
	if (h->length > x->body_room) {
		gw_http_refuse(x->c, 413, "the request body is too large");
		return;
	}
	x->body_left = h->length;
	buf_init(&x->body, max);
	if (pieces)
		begin_pieces(x);
	else
		invite(x);
}
