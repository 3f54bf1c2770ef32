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
#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#include "gateway/dialect.h"
#include "gateway/edge.h"
#include "gateway/metrics.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define READ_BYTES      (16U << 10) /* of one read, and of each WebSocket's buffer */
#define CLOSE_WAIT_MS   5000        /* for the answer to our close frame */
#define UNANSWERED_MAX  2           /* pings */
#define REASON_MAX      123         /* RFC 6455, section 5.5.1 */
#define HEAD_MAX        (4U << 10)
#define LWS_FDS_MAX     65536 /* its tables are sized by the limit; a million would be 24 MB */
#define CLOSE_TURNS_MAX 10000

enum { OP_TEXT = 1, OP_CLOSE = 8, OP_PING = 9 };

struct gw_wsd {
	struct gw_server *s;
	struct lws_context *ctx; /* set to NULL by libwebsockets when it is gone */
	struct lws_vhost *vhost;
	struct lws_protocols protocols[2];
	void *loops[1];
	struct gw_ws *adopting; /* the one whose descriptor is being handed over */
};

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
	bool
	    closing; /* nothing more is sent or heard; a close frame is queued, sent or received */
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
kill_socket(struct gw_ws *w, const char *why)
{
	log_debug(&w->id, "dropped: %s", why);
	if (w->wsi != NULL) /* it will see the end of file, in its own time */
		(void)shutdown(lws_get_socket_fd(w->wsi), SHUT_RDWR);
}

static void
put_frame(struct gw_ws *w, int opcode, const void *a, size_t an, const void *b, size_t bn)
{
	static struct gw_edge_warn warn;
	unsigned char head[10 + 2], *p = head;
	size_t len = an + bn;
	uint64_t held;

	*p++ = (unsigned char)(0x80 | opcode); /* final, unmasked: RFC 6455, section 5.2 */
	if (len < 126) {
		*p++ = (unsigned char)len;
	} else {
		int n = len <= UINT16_MAX ? 2 : 8;

		*p++ = n == 2 ? 126 : 127;
		while (n-- > 0)
			*p++ = (unsigned char)(len >> (8 * n));
	}
	assert(an <= 2);
	if (an > 0)
		memcpy(p, a, an);
	if (gw_outq_put(&w->out, head, (size_t)(p - head) + an, b, bn) < 0) {
		w->closing = true;
		if (gw_edge_may_warn(w->s, &warn, &held))
			log_warn(&w->id,
			         "client is too far behind, connection dropped bytes=%zu",
			         w->out.bytes);
		kill_socket(w, "too far behind");
		return;
	}
	loop_task_post(&w->turn);
}

/* Hand pieces to libwebsockets for as long as the socket takes them whole. */
static void
flush(struct gw_ws *w)
{
	struct iovec piece;

	while (w->wsi != NULL && !lws_partial_buffered(w->wsi) &&
	       gw_outq_vec(&w->out, &piece, 1) == 1) {
		if (lws_write(w->wsi, piece.iov_base, piece.iov_len, LWS_WRITE_HTTP) < 0) {
			w->closing = true;
			kill_socket(w, "the client is gone");
			return;
		}
		gw_outq_drop(&w->out, piece.iov_len);
		w->moved_ms = loop_now_ms(w->s->cfg.lp);
	}
	if (w->closing && w->out.bytes == 0)
		w->close_sent = true;
	if (w->full && w->out.bytes < w->s->cfg.send_low_bytes) {
		w->full = false;
		if (!w->closing && w->ops->drained != NULL)
			w->ops->drained(w->s->cfg.core, w);
	}
}

static void
on_turn(void *arg)
{
	flush(arg);
}

int
gw_ws_send(struct gw_ws *w, const void *ptr, size_t len)
{
	if (w->closing)
		return 0;
	put_frame(w, OP_TEXT, NULL, 0, ptr, len);
	w->out_n++;
	if (w->out.bytes >= w->s->cfg.send_high_bytes)
		w->full = true;
	return w->full ? -EAGAIN : 0;
}

static int
append_json(const char *text, size_t len, void *arg)
{
	return buf_append(arg, text, len);
}

int
gw_ws_send_json(struct gw_ws *w, json_t *json)
{
	struct buf b;
	int rc;

	buf_init(&b, GW_EDGE_QUEUE_MAX + 1); /* larger is dropped by the queue */
	(void)json_dump_callback(json, append_json, &b, JSON_COMPACT);
	rc = gw_ws_send(w, b.data, b.len);
	json_decref(json);
	buf_fini(&b);
	return rc;
}

void
gw_ws_close(struct gw_ws *w, int code, const char *reason)
{
	unsigned char be[2] = {(unsigned char)(code >> 8), (unsigned char)code};
	size_t len = reason != NULL ? strlen(reason) : 0;

	if (w->closing)
		return;
	if (len > 0)
		len = utf8_span(reason, len < REASON_MAX ? len : REASON_MAX);
	put_frame(w, OP_CLOSE, be, sizeof(be), reason, len);
	w->closing = true;
	w->close_code = code;
	w->moved_ms = loop_now_ms(w->s->cfg.lp);
}

/* --- receiving ---------------------------------------------------------------------------- */

static void
on_receive(struct gw_ws *w, const char *ptr, size_t len)
{
	const size_t max = w->s->cfg.max_message_bytes;
	struct buf msg;

	w->unanswered = 0;
	if (w->closing)
		return;
	if (lws_is_first_fragment(w->wsi)) {
		buf_consume(&w->in, w->in.len);
		w->in_binary = lws_frame_is_binary(w->wsi) != 0;
	}
	if (lws_remaining_packet_payload(w->wsi) > max ||
	    buf_append(&w->in, ptr, len) == -EMSGSIZE) {
		gw_ws_close(w, 1009, "message too large");
		return;
	}
	if (!lws_is_final_fragment(w->wsi))
		return;
	if (!w->in_binary && !utf8_valid(w->in.data, w->in.len)) {
		gw_ws_close(w, 1007, "text is not UTF-8");
		return;
	}
	w->in_n++;
	msg = w->in; /* the dialect may end us */
	buf_init(&w->in, max);
	w->ops->message(w->s->cfg.core, w, msg.data, msg.len, w->in_binary);
	buf_fini(&msg);
}

/* libwebsockets refuses longer or unmasked nonsense itself and echoes the close. */
static int
on_peer_close(struct gw_ws *w, const unsigned char *payload, size_t len)
{
	if (w->closing)
		return -1; /* the answer to ours, or crossing it: done */
	w->closing = true;
	w->close_code = len >= 2 ? payload[0] << 8 | payload[1] : 1005;
	gw_outq_fini(&w->out);
	return 0;
}

/* --- life --------------------------------------------------------------------------------- */

static void
free_later(void *arg)
{
	struct gw_ws *w = arg;

	loop_task_cancel(&w->turn);
	gw_request_free(w->r);
	buf_fini(&w->in);
	gw_outq_fini(&w->out);
	mem_free(w);
}

/* The only way out: libwebsockets has begun to close. */
static void
finish(struct gw_ws *w)
{
	uint64_t ms = loop_now_ms(w->s->cfg.lp) - w->opened_ms;

	if (w->wsi != NULL)
		lws_set_opaque_user_data(w->wsi, NULL);
	w->wsi = NULL;
	w->closing = true;
	list_del(&w->node);
	w->s->open_n--;
	gw_metric[GW_M_CONNECTIONS]--;
	loop_later(w->s->cfg.lp, free_later, w);
	if (!w->opened)
		return;
	gw_metric[GW_M_WEBSOCKETS]--;
	log_info(&w->id, "websocket closed code=%d in=%llu out=%llu ms=%llu", w->close_code,
	         (unsigned long long)w->in_n, (unsigned long long)w->out_n,
	         (unsigned long long)ms);
	w->ops->closed(w->s->cfg.core, w);
}

static int
add_headers(const struct gw_ws *w, struct lws *wsi, struct lws_process_html_args *args)
{
	unsigned char *p = (unsigned char *)args->p, *end = p + args->max_len;
	const char *name = w->r->subprotocol;

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
on_established(struct gw_ws *w)
{
	const struct gw_server_config *cfg = &w->s->cfg;

	w->opened = true;
	w->opened_ms = w->moved_ms = loop_now_ms(cfg->lp);
	w->next_ping_ms = w->opened_ms + cfg->ping_every_ms;
	gw_metric[GW_M_WEBSOCKETS]++;
	w->ops->opened(cfg->core, w);
}

static int
on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct gw_ws *w = wsi != NULL ? lws_get_opaque_user_data(wsi) : NULL;

	(void)user;
	if (reason == LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED) {
		struct gw_wsd *d = lws_context_user(lws_get_context(wsi));

		w = d->adopting;
		w->wsi = wsi;
		lws_set_opaque_user_data(wsi, w);
		return 0;
	}
	if (w == NULL)
		return 0;
	switch ((int)reason) { /* a few of many */
	case LWS_CALLBACK_ADD_HEADERS:
		return add_headers(w, wsi, in);
	case LWS_CALLBACK_ESTABLISHED:
		on_established(w);
		return 0;
	case LWS_CALLBACK_RECEIVE:
		on_receive(w, in, len);
		return 0;
	case LWS_CALLBACK_RECEIVE_PONG:
		w->unanswered = 0;
		return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		flush(w);
		return 0;
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		return on_peer_close(w, in, len);
	case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL: /* closing began */
	case LWS_CALLBACK_CLOSED:
	case LWS_CALLBACK_WSI_DESTROY:
		finish(w);
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
gw_ws_adopt(struct gw_conn *c, struct gw_request *r)
{
	struct gw_server *s = c->s;
	struct gw_ws *w = mem_new(sizeof(*w));
	char *head = mem_new(HEAD_MAX + c->in.len);
	size_t len = make_head(r, &c->in, head, HEAD_MAX);
	struct lws *wsi;

	*w = (struct gw_ws){
	    .s = s, .id = c->id, .r = r, .ops = r->match.row->ws, .close_code = 1006};
	w->id.kind = "ws";
	buf_init(&w->in, s->cfg.max_message_bytes);
	gw_outq_init(&w->out, GW_EDGE_QUEUE_MAX);
	loop_task_init(&w->turn, s->cfg.lp, on_turn, w);
	list_add_before(&s->websockets, &w->node);
	s->wsd->adopting = w;
	wsi = lws_adopt_socket_vhost_readbuf(s->wsd->vhost, gw_conn_release(c), head, len);
	if (wsi == NULL && s->wsd->adopting->wsi == NULL && !list_empty(&w->node))
		finish(w); /* it never became one of theirs */
	s->wsd->adopting = NULL;
	mem_free(head);
}

struct gw_ws *
gw_ws_of_node(struct list *node)
{
	return list_entry(node, struct gw_ws, node);
}

void
gw_ws_tick(struct gw_ws *w, uint64_t now_ms)
{
	const struct gw_server_config *cfg = &w->s->cfg;

	if (w->closing) {
		if (now_ms - w->moved_ms >=
		    (w->close_sent ? CLOSE_WAIT_MS : cfg->idle_timeout_ms))
			kill_socket(w, "no answer to our close");
		return;
	}
	if (!w->opened || cfg->ping_every_ms == 0 || now_ms < w->next_ping_ms)
		return;
	w->next_ping_ms = now_ms + cfg->ping_every_ms;
	if (w->unanswered >= UNANSWERED_MAX) {
		kill_socket(w, "pings went unanswered");
	} else if (w->out.bytes == 0 && !lws_partial_buffered(w->wsi)) {
		w->unanswered++; /* with output waiting, TCP knows better who is there */
		put_frame(w, OP_PING, NULL, 0, NULL, 0);
	}
}

void
gw_ws_close_all(struct gw_server *s)
{
	struct list *it, *tmp;

	list_each (it, tmp, &s->websockets)
		gw_ws_close(gw_ws_of_node(it), 1001, "the gateway stops");
}

/* --- the engine --------------------------------------------------------------------------- */

static void
on_lws_log(int level, const char *line)
{
	(void)level;
	log_debug(NULL, "libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

struct gw_wsd *
gw_wsd_new(struct gw_server *s)
{
	struct gw_wsd *d = mem_new(sizeof(*d));
	struct rlimit rl = {0, 0}, low;
	struct lws_context_creation_info info;

	*d = (struct gw_wsd){.s = s, .loops = {loop_uv(s->cfg.lp)}};
	d->protocols[0] =
	    (struct lws_protocols){.name = "",
	                           .callback = on_lws,
	                           .per_session_data_size = 1, /* or no DROP_PROTOCOL */
	                           .rx_buffer_size = READ_BYTES,
	                           .tx_packet_size = GW_EDGE_QUEUE_MAX};
	memset(&info, 0, sizeof(info));
	info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
	info.protocols = d->protocols;
	info.options = LWS_SERVER_OPTION_LIBUV;
	info.foreign_loops = d->loops;
	info.user = d;
	info.pcontext = &d->ctx;
	info.pt_serv_buf_size = READ_BYTES + LWS_PRE;
	lws_set_log_level(LLL_WARN, on_lws_log);
	(void)getrlimit(RLIMIT_NOFILE, &rl);
	low = rl;
	if (low.rlim_cur > LWS_FDS_MAX)
		low.rlim_cur = LWS_FDS_MAX;
	(void)setrlimit(RLIMIT_NOFILE, &low);
	d->ctx = lws_create_context(&info);
	(void)setrlimit(RLIMIT_NOFILE, &rl);
	assert(d->ctx != NULL);
	d->vhost = lws_get_vhost_by_name(d->ctx, "default");
	assert(d->vhost != NULL);
	return d;
}

static void
count_closing(uv_handle_t *h, void *arg)
{
	*(size_t *)arg += uv_is_closing(h) != 0;
}

/* libwebsockets frees its own uv handles' memory in its second destroy, so they must have been
 * closed by then: run the loop until nothing is closing. */
static void
settle(uv_loop_t *loop)
{
	size_t closing = 1;

	for (int i = 0; closing > 0 && i < CLOSE_TURNS_MAX; i++) {
		(void)uv_run(loop, UV_RUN_NOWAIT);
		closing = 0;
		uv_walk(loop, count_closing, &closing);
	}
}

void
gw_wsd_free(struct gw_wsd *d)
{
	if (d == NULL)
		return;
	lws_context_destroy(d->ctx);
	settle(d->loops[0]);
	if (d->ctx != NULL)
		lws_context_destroy(d->ctx);
	lws_set_log_level(0, NULL);
	mem_free(d);
}

/* --- what dialects see -------------------------------------------------------------------- */

const char *
gw_ws_param(const struct gw_ws *w, const char *name)
{
	return gw_request_param(w->r, name);
}

const char *
gw_ws_query(const struct gw_ws *w, const char *name)
{
	return gw_uri_find(w->r->query, w->r->query_n, name);
}

const char *
gw_ws_header(const struct gw_ws *w, const char *name)
{
	return gw_head_get(&w->r->head, name);
}

const char *
gw_ws_origin(const struct gw_ws *w)
{
	return w->r->self;
}

const char *
gw_ws_token_sandbox(const struct gw_ws *w)
{
	return w->r->token_sandbox;
}

void
gw_ws_set_data(struct gw_ws *w, void *data)
{
	w->data = data;
}

void *
gw_ws_data(const struct gw_ws *w)
{
	return w->data;
}

bool
gw_ws_authenticate(struct gw_ws *w, const char *token)
{
	return gw_request_authenticate(w->r, w->s->cfg.auth, token);
}
