/* gateway/ws.c - see gateway/edge.h and gateway/dialect.h: WebSockets, on libwebsockets 4.1.6.
 *
 * libwebsockets gets a descriptor whose upgrade request was already read and admitted, as a new
 * head that says only what the handshake needs.  It parses frames, answers pings and closes.
 *
 * Frames to the client are made here and leave by LWS_WRITE_HTTP, which in a WebSocket means raw
 * bytes: so several frames, the closing one among them, go out in one system call, at the end
 * of the turn that made them, without waiting for a WRITEABLE event.  Where the socket takes less,
 * libwebsockets keeps the rest of that one piece and says WRITEABLE when it is gone.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "gateway/auth.h"
#include "gateway/dialect.h"
#include "gateway/edge.h"
#include "gateway/metrics.h"
#include "gateway/ws.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"
#include "wire/json_put.h"

#define CLOSE_WAIT_MS  5000 /* for the answer to our close frame */
#define UNANSWERED_MAX 2    /* pings */
#define REASON_MAX     123  /* RFC 6455, section 5.5.1 */
#define HEAD_MAX       (4U << 10)
#define STRANGER_MAX   (64U << 10) /* bytes of a message before a late token came */

#define FRAGMENT_MIN   (256U << 10) /* a larger message is not copied, and leaves in fragments */
#define FRAGMENT_MAX   (256U << 10)
#define FRAME_HEAD_MAX GW_WS_ROOM

enum { OP_MORE = 0, OP_TEXT = 1, OP_CLOSE = 8, OP_PING = 9, FIN = 0x80 };

struct gw_ws {
	struct list node; /* of websockets */
	struct gw_server *s;
	struct log_id id;
	struct gw_request *r;
	const struct gw_ws_ops *ops;
	struct lws *wsi; /* NULL: libwebsockets is done with us */
	void *data;
	struct buf in; /* fragments of one message */
	bool in_binary;
	struct gw_outq out;
	struct loop_task turn;
	bool opened;
	bool stranger;   /* its token has yet to come (GW_ACCESS_LATE) */
	bool closing;    /* nothing more is said or heard: either side has closed */
	bool close_sent; /* ours, it left the queue */
	bool full;
	int close_code;
	unsigned unanswered; /* pings */
	uint64_t next_ping_ms;
	uint64_t moved_ms; /* when bytes last left the queue, or the close frame did */
	uint64_t opened_ms;
	uint64_t in_n, out_n; /* messages */
};

/* --- sending ------------------------------------------------------------------------------ */

static void
kill_socket(struct gw_ws *c, const char *why)
{
	log_debug(&c->id, "dropped: %s", why);
	if (c->wsi != NULL) /* it will see the end of file, in its own time */
		(void)shutdown(lws_get_socket_fd(c->wsi), SHUT_RDWR);
}

/* Write the head of an unmasked frame (RFC 6455, section 5.2).  Returns its length. */
static size_t
make_frame(unsigned char ret[FRAME_HEAD_MAX], int first_byte, size_t len)
{
	unsigned char *p = ret;

	*p++ = (unsigned char)first_byte;
	if (len < 126) {
		*p++ = (unsigned char)len;
	} else {
		int n = len <= UINT16_MAX ? 2 : 8;

		*p++ = n == 2 ? 126 : 127;
		while (n-- > 0)
			*p++ = (unsigned char)(len >> (8 * n));
	}
	return (size_t)(p - ret);
}

/* rc is what the queue said: after a refusal the client is given up. */
static void
queued(struct gw_ws *c, int rc)
{
	static struct gw_edge_warn warn;
	uint64_t held;

	if (rc == 0) {
		loop_task_post(&c->turn);
		return;
	}
	c->closing = true;
	if (gw_edge_may_warn(c->s, &warn, &held))
		log_warn(&c->id, "client is too far behind, connection dropped bytes=%zu",
		         c->out.bytes);
	kill_socket(c, "too far behind");
}

static void
put_frame(struct gw_ws *c, int opcode, const void *a, size_t an, const void *b, size_t bn)
{
	unsigned char head[FRAME_HEAD_MAX + 2];
	size_t n = make_frame(head, FIN | opcode, an + bn);

	assert(an <= 2);
	if (an > 0)
		memcpy(head + n, a, an);
	queued(c, gw_outq_put(&c->out, head, n + an, b, bn));
}

/* What to write next: a piece of whole frames, or a fragment of a large message (section 5.4),
 * whose head goes over what was sent before it.  Returns the bytes of the queue in it, 0: none. */
static size_t
next_piece(const struct gw_ws *c, struct iovec *ret)
{
	unsigned char head[FRAME_HEAD_MAX];
	struct gw_outq_taken t;
	size_t n;
	size_t len;

	if (!gw_outq_first_taken(&c->out, &t))
		return gw_outq_vec(&c->out, ret, 1) == 1 ? ret->iov_len : 0;
	len = t.left < FRAGMENT_MAX ? t.left : FRAGMENT_MAX;
	n = make_frame(head, (len == t.left ? FIN : 0) | (t.begun ? OP_MORE : OP_TEXT), len);
	memcpy(t.at - n, head, n);
	*ret = (struct iovec){.iov_base = t.at - n, .iov_len = n + len};
	return len;
}

/* Hand pieces to libwebsockets for as long as the socket takes them whole. */
static void
flush(struct gw_ws *c)
{
	struct iovec piece;
	size_t n;

	while (c->wsi != NULL && !lws_partial_buffered(c->wsi) &&
	       (n = next_piece(c, &piece)) > 0) {
		if (lws_write(c->wsi, piece.iov_base, piece.iov_len, LWS_WRITE_HTTP) < 0) {
			c->closing = true;
			kill_socket(c, "the client is gone");
			return;
		}
		gw_outq_drop(&c->out, n);
		if (!c->s->stopping)
			c->moved_ms = loop_now_ms(c->s->cfg.lp);
	}
	if (c->closing && c->out.bytes == 0)
		c->close_sent = true;
	if (c->full && c->out.bytes < c->s->cfg.send_low_bytes) {
		c->full = false;
		if (!c->closing && c->ops->drained != NULL)
			c->ops->drained(c->s->cfg.core, c);
	}
}

static void
on_turn(void *arg)
{
	flush(arg);
}

static int
sent(struct gw_ws *c)
{
	c->out_n++;
	if (c->out.bytes >= c->s->cfg.send_high_bytes)
		c->full = true;
	return c->full ? -EAGAIN : 0;
}

int
gw_ws_send(struct gw_ws *c, const void *ptr, size_t len)
{
	if (c->closing)
		return 0;
	put_frame(c, OP_TEXT, NULL, 0, ptr, len);
	return sent(c);
}

int
gw_ws_send_buf(struct gw_ws *c, struct buf *b)
{
	int rc = 0;

	if (!c->closing && b->len - GW_WS_ROOM > FRAGMENT_MIN) {
		queued(c, gw_outq_take(&c->out, b, GW_WS_ROOM));
		rc = sent(c);
	} else {
		rc = gw_ws_send(c, b->data + GW_WS_ROOM, b->len - GW_WS_ROOM);
	}
	buf_consume(b, b->len);
	return rc;
}

int
gw_ws_send_json(struct gw_ws *c, json_t *json)
{
	struct buf b;
	int rc = 0;

	buf_init(&b, GW_EDGE_QUEUE_MAX);
	if (wire_json_put(&b, json, WIRE_JSON_PLAIN) == 0)
		rc = gw_ws_send(c, b.data, b.len);
	else /* never the half of it */
		gw_ws_close(c, 1011, "a message is too large to be sent");
	json_decref(json);
	buf_fini(&b);
	return rc;
}

void
gw_ws_close(struct gw_ws *c, int code, const char *reason)
{
	unsigned char be[2] = {(unsigned char)(code >> 8), (unsigned char)code};
	size_t len = reason != NULL ? strlen(reason) : 0;

	if (c->closing)
		return;
	if (len > 0)
		len = utf8_span(reason, len < REASON_MAX ? len : REASON_MAX);
	put_frame(c, OP_CLOSE, be, sizeof(be), reason, len);
	c->closing = true;
	c->close_code = code;
	c->moved_ms = loop_now_ms(c->s->cfg.lp);
}

/* --- receiving ---------------------------------------------------------------------------- */

static void
on_receive(struct gw_ws *c, const char *ptr, size_t len)
{
	size_t max = c->s->cfg.max_message_bytes;
	struct buf msg;

	if (c->stranger && max > STRANGER_MAX)
		max = STRANGER_MAX;
	c->unanswered = 0;
	if (c->closing)
		return;
	if (lws_is_first_fragment(c->wsi)) {
		buf_consume(&c->in, c->in.len);
		c->in_binary = lws_frame_is_binary(c->wsi) != 0;
	}
	if (lws_remaining_packet_payload(c->wsi) > max || len > max - c->in.len ||
	    buf_append(&c->in, ptr, len) != 0) {
		gw_ws_close(c, 1009, "message too large");
		return;
	}
	if (!lws_is_final_fragment(c->wsi))
		return;
	if (!c->in_binary && !utf8_valid(c->in.data, c->in.len)) {
		gw_ws_close(c, 1007, "text is not UTF-8");
		return;
	}
	c->in_n++;
	msg = c->in; /* the dialect may end us */
	buf_init(&c->in, c->s->cfg.max_message_bytes);
	c->ops->message(c->s->cfg.core, c, msg.data, msg.len, c->in_binary);
	buf_fini(&msg);
}

/* libwebsockets refuses longer or unmasked nonsense itself and echoes the close. */
static int
on_peer_close(struct gw_ws *c, const unsigned char *payload, size_t len)
{
	if (c->closing)
		return -1; /* the answer to ours, or crossing it: done */
	c->closing = true;
	c->close_code = len >= 2 ? payload[0] << 8 | payload[1] : 1005;
	gw_outq_fini(&c->out);
	return 0;
}

/* --- life --------------------------------------------------------------------------------- */

static void
free_later(void *arg)
{
	struct gw_ws *c = arg;

	loop_task_cancel(&c->turn);
	gw_request_free(c->r);
	buf_fini(&c->in);
	gw_outq_fini(&c->out);
	mem_free(c);
}

/* The only way out: libwebsockets has begun to close. */
static void
finish(struct gw_ws *c)
{
	uint64_t ms = loop_now_ms(c->s->cfg.lp) - c->opened_ms;

	if (c->wsi != NULL)
		lws_set_opaque_user_data(c->wsi, NULL);
	c->wsi = NULL;
	c->closing = true;
	list_del(&c->node);
	c->s->open_n--;
	gw_metric[GW_M_CONNECTIONS]--;
	loop_later(c->s->cfg.lp, free_later, c);
	if (!c->opened)
		return;
	gw_metric[GW_M_WEBSOCKETS]--;
	log_info(&c->id, "websocket closed code=%d in=%llu out=%llu ms=%llu", c->close_code,
	         (unsigned long long)c->in_n, (unsigned long long)c->out_n,
	         (unsigned long long)ms);
	c->ops->closed(c->s->cfg.core, c);
}

static int
add_headers(const struct gw_ws *c, struct lws *wsi, struct lws_process_html_args *args)
{
	unsigned char *p = (unsigned char *)args->p, *end = p + args->max_len;
	const char *name = c->r->subprotocol;

	if (name == NULL)
		return 0;
	if (lws_add_http_header_by_name(wsi, (const unsigned char *)"Sec-WebSocket-Protocol:",
	                                (const unsigned char *)name, (int)strlen(name), &p,
	                                end))
		return -1;
	args->p = (char *)p;
	return 0;
}

static void
on_established(struct gw_ws *c)
{
	const struct gw_server_config *cfg = &c->s->cfg;

	c->opened = true;
	c->opened_ms = c->moved_ms = loop_now_ms(cfg->lp);
	c->next_ping_ms = c->opened_ms + cfg->ping_every_ms;
	gw_metric[GW_M_WEBSOCKETS]++;
	c->ops->opened(cfg->core, c);
}

int
gw_ws_on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
             size_t len)
{
	struct gw_ws *c = wsi != NULL ? lws_get_opaque_user_data(wsi) : NULL;

	(void)user;
	if (reason == LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED) {
		struct gw_wsd *d = lws_context_user(lws_get_context(wsi));

		c = d->adopting;
		c->wsi = wsi;
		lws_set_opaque_user_data(wsi, c);
		return 0;
	}
	if (c == NULL)
		return 0;
	switch ((int)reason) { /* a few of many */
	case LWS_CALLBACK_ADD_HEADERS:
		return add_headers(c, wsi, in);
	case LWS_CALLBACK_ESTABLISHED:
		on_established(c);
		return 0;
	case LWS_CALLBACK_RECEIVE:
		on_receive(c, in, len);
		return 0;
	case LWS_CALLBACK_RECEIVE_PONG:
		c->unanswered = 0;
		return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		flush(c);
		return 0;
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		return on_peer_close(c, in, len);
	case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL: /* closing began */
	case LWS_CALLBACK_CLOSED:
	case LWS_CALLBACK_WSI_DESTROY:
		finish(c);
		return 0;
	default:
		return 0;
	}
}

/* What libwebsockets is given to read: the handshake's own headers and nothing that could make
 * it do more (extensions, subprotocols, other upgrades). */
static size_t
make_head(const struct gw_request *r, const struct buf *rest, char *ret, size_t size)
{
	int n = snprintf(ret, size,
	                 "GET / HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade\r\n"
	                 "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
	                 "Sec-WebSocket-Key: %s\r\n\r\n",
	                 gw_head_get(&r->head, "sec-websocket-key"));

	memcpy(ret + n, rest->data, rest->len);
	return (size_t)n + rest->len;
}

void
gw_ws_adopt(struct gw_conn *from, struct gw_request *r)
{
	struct gw_server *s = from->s;
	struct gw_ws *c = mem_new(sizeof(*c));
	char *head = mem_new(HEAD_MAX + from->in.len);
	size_t len = make_head(r, &from->in, head, HEAD_MAX);
	struct lws *wsi;

	*c = (struct gw_ws){
	    .s = s, .id = from->id, .r = r, .ops = r->match.row->ws, .close_code = 1006};
	c->stranger =
	    r->match.row->access == GW_ACCESS_LATE && !gw_auth_check(s->cfg.auth, NULL);
	c->id.kind = "ws";
	buf_init(&c->in, s->cfg.max_message_bytes);
	gw_outq_init(&c->out, GW_EDGE_QUEUE_MAX);
	loop_task_init(&c->turn, s->cfg.lp, on_turn, c);
	list_add_before(&s->websockets, &c->node);
	s->wsd->adopting = c;
	wsi = lws_adopt_socket_vhost_readbuf(s->wsd->vhost, gw_conn_release(from), head, len);
	if (wsi == NULL && s->wsd->adopting->wsi == NULL && !list_empty(&c->node))
		finish(c); /* it never became one of theirs */
	s->wsd->adopting = NULL;
	mem_free(head);
}

struct gw_ws *
gw_ws_of_node(struct list *node)
{
	return list_entry(node, struct gw_ws, node);
}

void
gw_ws_tick(struct gw_ws *c, uint64_t now_ms)
{
	const struct gw_server_config *cfg = &c->s->cfg;

	if (c->closing) {
		const bool soon = c->close_sent || c->s->stopping;

		if (now_ms - c->moved_ms >= (soon ? CLOSE_WAIT_MS : cfg->idle_timeout_ms))
			kill_socket(c, "no answer to our close");
		return;
	}
	if (c->opened && c->stranger && now_ms - c->opened_ms >= cfg->idle_timeout_ms) {
		gw_ws_close(c, 1008, "no token came");
		return;
	}
	if (!c->opened || cfg->ping_every_ms == 0 || now_ms < c->next_ping_ms)
		return;
	c->next_ping_ms = now_ms + cfg->ping_every_ms;
	if (c->unanswered >= UNANSWERED_MAX) {
		kill_socket(c, "pings went unanswered");
	} else if (c->out.bytes == 0 && !lws_partial_buffered(c->wsi)) {
		c->unanswered++; /* with output waiting, TCP knows better who is there */
		put_frame(c, OP_PING, NULL, 0, "kb", 2); /* an empty pong is not reported */
	}
}

void
gw_ws_close_all(struct gw_server *s)
{
	struct list *it, *tmp;

	list_each (it, tmp, &s->websockets)
		gw_ws_close(gw_ws_of_node(it), 1001, "the gateway stops");
}

/* --- what dialects see -------------------------------------------------------------------- */

const char *
gw_ws_param(const struct gw_ws *c, const char *name)
{
	return gw_request_param(c->r, name);
}

const char *
gw_ws_query(const struct gw_ws *c, const char *name)
{
	return gw_uri_find(c->r->query, c->r->query_n, name);
}

const char *
gw_ws_header(const struct gw_ws *c, const char *name)
{
	return gw_head_get(&c->r->head, name);
}

const char *
gw_ws_origin(const struct gw_ws *c)
{
	return c->r->self;
}

const char *
gw_ws_token_sandbox(const struct gw_ws *c)
{
	return c->r->token_sandbox;
}

void
gw_ws_set_data(struct gw_ws *c, void *data)
{
	c->data = data;
}

void *
gw_ws_data(const struct gw_ws *c)
{
	return c->data;
}

bool
gw_ws_authenticate(struct gw_ws *c, const char *token)
{
	if (!gw_request_authenticate(c->r, c->s->cfg.auth, token))
		return false;
	c->stranger = false;
	return true;
}
