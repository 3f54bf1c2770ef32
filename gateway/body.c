/* gateway/body.c - see gateway/body.h.
 *
 * A connection is READING while pieces may come, and BUSY while the dialect holds them: then
 * nothing is read and no deadline runs.
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

/* --- whole -------------------------------------------------------------------------------- */

static void
is_whole(struct gw_http *x)
{
	if (x->refusal.status != 0) {
		gw_http_answer_refusal(x);
		return;
	}
	x->phase = GW_HTTP_ASKED;
	gw_conn_set_state(x->c, GW_CONN_BUSY);
	x->r->match.row->http(x->c->s->cfg.core, x, x->body.data, x->body.len);
}

static bool
keep(struct gw_http *x, const char *data, size_t len)
{
	if (x->refusal.status != 0)
		return true;
	if (buf_append(&x->body, data, len) == 0)
		return true;
	gw_http_refuse(x->c, 413, "the request body is too large");
	return false;
}

static void
read_sized(struct gw_http *x)
{
	struct gw_conn *c = x->c;
	size_t n = least(c->in.len, x->body_left);

	if (!keep(x, c->in.data, n))
		return;
	buf_consume(&c->in, n);
	x->body_left -= n;
	if (x->body_left == 0)
		is_whole(x);
}

static void
read_chunks(struct gw_http *x)
{
	struct gw_conn *c = x->c;
	size_t at = 0;

	while (at < c->in.len && !gw_chunk_is_done(&x->chunk)) {
		const char *data;
		size_t len;
		int n = gw_chunk_step(&x->chunk, c->in.data + at, c->in.len - at, &data, &len);

		if (n < 0) {
			gw_http_refuse(c, 400, "malformed chunked body");
			return;
		}
		if (!keep(x, data, len))
			return;
		at += (size_t)n;
	}
	buf_consume(&c->in, at);
	if (gw_chunk_is_done(&x->chunk))
		is_whole(x);
}

/* --- in pieces ---------------------------------------------------------------------------- */

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

static void
read_piece(struct gw_http *x)
{
	struct gw_conn *c = x->c;
	size_t len = least(least(c->in.len, PIECE_MAX), x->body_left);
	ssize_t used = x->r->head.chunked ? unchunk(x, &len) : (ssize_t)len;

	if (used < 0) {
		gw_http_refuse(c, 400, "malformed chunked body");
	} else if (len > x->body_room) {
		gw_http_refuse(c, 413, "the request body is too large");
	} else {
		x->body_room -= len;
		if (!x->r->head.chunked)
			x->body_left -= len;
		if (len > 0)
			give(x, c->in.data, len); /* x may be gone, c is not */
		buf_consume(&c->in, (size_t)used);
	}
}

void
gw_body_end(struct gw_http *x)
{
	x->phase = GW_HTTP_ASKED;
	gw_conn_set_state(x->c, GW_CONN_BUSY);
	x->ops->body_end(x->arg);
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

/* --- both --------------------------------------------------------------------------------- */

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
	else if (!h->chunked && h->length == 0)
		is_whole(x);
	else
		invite(x);
}

void
gw_body_read(struct gw_http *x)
{
	if (x->phase == GW_HTTP_PIECES)
		read_piece(x);
	else if (x->r->head.chunked)
		read_chunks(x);
	else
		read_sized(x);
}
