/* gateway/http.c - see gateway/edge.h and gateway/dialect.h: the exchanges on a connection. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "gateway/chunk.h"
#include "gateway/dialect.h"
#include "gateway/edge.h"
#include "gateway/http.h"
#include "gateway/metrics.h"
#include "wire/base/mem.h"

#define EXTRA_MAX   8192         /* header lines of one answer */
#define DISCARD_MAX (64U << 10)  /* body of a refused request, read to keep the connection */
#define JSON_MAX    (256U << 20) /* an answer; the queue's ceiling is far below */

enum phase {
	BODY,   /* its body is being read */
	ASKED,  /* the dialect has it */
	STREAM, /* and has begun to answer */
	DONE,
};

struct gw_http {
	struct gw_conn *c; /* NULL: the client left and nobody wanted to know */
	struct gw_request *r;
	enum phase phase;
	struct buf body;
	struct gw_chunk chunk;
	uint64_t body_left;                /* of a body with a length */
	struct gw_request_refusal refusal; /* status 0: none; else the body goes nowhere */
	bool chunks_out;                   /* the answer's body is framed */
	struct buf extra;                  /* header lines from the dialect */
	const struct gw_http_ops *ops;
	void *arg;
};

static void
free_later(void *arg)
{
	struct gw_http *x = arg;

	gw_request_free(x->r);
	buf_fini(&x->body);
	buf_fini(&x->extra);
	mem_free(x);
}

static struct gw_http *
new_exchange(struct gw_conn *c)
{
	struct gw_http *x = mem_new(sizeof(*x));

	*x = (struct gw_http){.c = c, .r = gw_request_new()};
	buf_init(&x->body, c->s->cfg.max_body_bytes);
	buf_init(&x->extra, EXTRA_MAX);
	c->x = x;
	return x;
}

void
gw_http_end(struct gw_conn *c)
{
	struct gw_http *x = c->x;
	struct loop *lp = c->s->cfg.lp;

	if (x == NULL)
		return;
	c->x = NULL;
	x->c = NULL;
	if ((x->phase == ASKED || x->phase == STREAM) && x->ops == NULL)
		return; /* the dialect still holds it; its answer frees it */
	loop_later(lp, free_later, x);
	if ((x->phase == ASKED || x->phase == STREAM) && x->ops->closed != NULL)
		x->ops->closed(x->arg);
}

bool
gw_http_wants_out(const struct gw_conn *c)
{
	return c->state == GW_CONN_FLUSHING && c->out.bytes > 0;
}

void
gw_http_drained(struct gw_conn *c)
{
	struct gw_http *x = c->x;

	if (x != NULL && x->phase == STREAM && x->ops != NULL && x->ops->drained != NULL)
		x->ops->drained(x->arg);
}

/* --- answering ---------------------------------------------------------------------------- */

/* "Date: ...", made once a second (RFC 9110, section 6.6.1). */
static const char *
date_line(void)
{
	static time_t made;
	static char line[64];
	time_t now = time(NULL);
	struct tm tm;

	if (now != made && gmtime_r(&now, &tm) != NULL) {
		(void)strftime(line, sizeof(line), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
		made = now;
	}
	return line;
}

static bool
has_body(const struct gw_http *x, int status)
{
	const char *method = x->r->head.method;

	return status != 204 && status != 304 &&
	       (method == NULL || strcmp(method, "HEAD") != 0);
}

/* Queue the head of the answer: framing says how its body ends. */
static void
put_head(struct gw_http *x, int status, const char *type, const char *framing)
{
	struct gw_conn *c = x->c;
	const struct gw_head *h = &x->r->head;
	struct buf b;

	if (!h->keep_alive || c->s->draining)
		c->close_after = true;
	buf_init(&b, 2 * EXTRA_MAX + GW_HEAD_TARGET_MAX);
	(void)buf_printf(&b, "HTTP/1.1 %d %s\r\n%s%s", status, gw_http_reason(status),
	                 date_line(), framing);
	if (type != NULL)
		(void)buf_printf(&b, "Content-Type: %s\r\nX-Content-Type-Options: nosniff\r\n",
		                 type);
	if (c->close_after)
		(void)buf_printf(&b, "Connection: close\r\n");
	else if (h->http10)
		(void)buf_printf(&b, "Connection: keep-alive\r\n");
	if (x->r->foreign != NULL)
		(void)buf_printf(&b, "Access-Control-Allow-Origin: %s\r\nVary: Origin\r\n",
		                 x->r->foreign);
	(void)buf_append(&b, x->extra.data, x->extra.len);
	(void)buf_append(&b, "\r\n", 2);
	gw_conn_put(c, b.data, b.len, NULL, 0);
	buf_fini(&b);
}

/* The last byte is queued.  Without a client, this was all the dialect still had it for. */
static void
done(struct gw_http *x)
{
	x->phase = DONE;
	if (x->c == NULL)
		free_later(x);
	else if (x->c->state != GW_CONN_DEAD)
		gw_conn_set_state(x->c, GW_CONN_FLUSHING);
}

void
gw_http_reply(struct gw_http *x, int status, const char *content_type, const void *body,
              size_t len)
{
	char framing[48] = "";

	assert(x->phase == BODY || x->phase == ASKED);
	if (x->c != NULL) {
		if (status != 204 && status != 304)
			(void)snprintf(framing, sizeof(framing), "Content-Length: %zu\r\n",
			               len);
		put_head(x, status, content_type, framing);
		if (has_body(x, status))
			gw_conn_put(x->c, body, len, NULL, 0);
	}
	done(x);
}

static int
append_json(const char *text, size_t len, void *arg)
{
	return buf_append(arg, text, len);
}

void
gw_http_reply_json(struct gw_http *x, int status, json_t *json)
{
	struct buf b;

	buf_init(&b, JSON_MAX);
	if (json_dump_callback(json, append_json, &b, JSON_COMPACT) == 0)
		gw_http_reply(x, status, "application/json", b.data, b.len);
	else
		gw_http_reply(x, 500, NULL, "", 0);
	json_decref(json);
	buf_fini(&b);
}

void
gw_http_stream_begin(struct gw_http *x, int status, const char *content_type)
{
	assert(x->phase == ASKED);
	x->phase = STREAM;
	if (x->c == NULL)
		return;
	x->chunks_out = !x->r->head.http10;
	if (!x->chunks_out)
		x->c->close_after = true;
	put_head(x, status, content_type,
	         x->chunks_out ? "Transfer-Encoding: chunked\r\n" : "");
}

int
gw_http_stream_write(struct gw_http *x, const void *ptr, size_t len)
{
	char size[24];
	int n;

	assert(x->phase == STREAM);
	if (x->c == NULL || len == 0 || !has_body(x, 200))
		return 0;
	if (x->chunks_out) {
		n = snprintf(size, sizeof(size), "%zx\r\n", len);
		gw_conn_put(x->c, size, (size_t)n, ptr, len);
		gw_conn_put(x->c, "\r\n", 2, NULL, 0);
	} else {
		gw_conn_put(x->c, ptr, len, NULL, 0);
	}
	return gw_conn_is_full(x->c) ? -EAGAIN : 0;
}

void
gw_http_stream_end(struct gw_http *x)
{
	assert(x->phase == STREAM);
	if (x->c != NULL && x->chunks_out && has_body(x, 200))
		gw_conn_put(x->c, "0\r\n\r\n", 5, NULL, 0);
	done(x);
}

void
gw_http_add_header(struct gw_http *x, const char *name, const char *value)
{
	assert(x->phase == BODY || x->phase == ASKED);
	if (strpbrk(value, "\r\n") == NULL) /* nobody splits an answer by what he asked for */
		(void)buf_printf(&x->extra, "%s: %s\r\n", name, value);
}

/* --- refusing ----------------------------------------------------------------------------- */

static void
add_refusal_headers(struct gw_http *x, int status)
{
	const struct gw_head *h = &x->r->head;
	struct buf allow;

	if (status == 401)
		gw_http_add_header(x, "WWW-Authenticate", "Bearer");
	if (status == 503)
		gw_http_add_header(x, "Retry-After", "1");
	if (status == 426) {
		gw_http_add_header(x, "Upgrade", "websocket");
		gw_http_add_header(x, "Sec-WebSocket-Version", "13");
	}
	if (status != 405 && status != 204)
		return;
	buf_init(&allow, EXTRA_MAX);
	gw_route_allow(x->c->s->routes, h->path, &allow);
	gw_http_add_header(x, "Allow", allow.data);
	if (status == 204 && x->r->foreign != NULL) {
		const char *want = gw_head_get(h, "access-control-request-headers");

		gw_http_add_header(x, "Access-Control-Allow-Methods", allow.data);
		gw_http_add_header(x, "Access-Control-Allow-Headers",
		                   want != NULL ? want : "Authorization, Content-Type");
		gw_http_add_header(x, "Access-Control-Max-Age", "600");
	}
	buf_fini(&allow);
}

/* Send the refusal kept in x, worded by the dialect that owns the path. */
static void
answer_refusal(struct gw_http *x)
{
	const struct gw_request_refusal *no = &x->refusal;
	const char *path = x->r->head.path != NULL ? x->r->head.path : "/";
	const struct gw_dialect *owner = gw_route_owner(x->c->s->routes, path);

	add_refusal_headers(x, no->status);
	if (no->status == 204)
		gw_http_reply(x, 204, NULL, "", 0);
	else if (owner != NULL && owner->error != NULL)
		gw_http_reply_json(x, no->status, owner->error(no->status, no->why, path));
	else
		gw_http_reply_json(x, no->status,
		                   json_pack("{s:{s:i,s:s}}", "error", "code", no->status,
		                             "message", no->why));
}

void
gw_http_refuse(struct gw_conn *c, int status, const char *why)
{
	struct gw_http *x = c->x != NULL ? c->x : new_exchange(c);

	c->close_after = true;
	x->refusal.status = status;
	(void)snprintf(x->refusal.why, sizeof(x->refusal.why), "%s", why);
	if (status != 408 && status != 503)
		log_debug(&c->id, "refused: %d %s", status, why);
	answer_refusal(x);
}

/* A request was not let in. Read a small body first, so that the connection can go on. */
static void
turn_away(struct gw_http *x)
{
	static struct gw_edge_warn warn;
	const struct gw_head *h = &x->r->head;
	const int status = x->refusal.status;
	char safe[LOG_SAFE_MAX];
	uint64_t held;

	if ((status == 401 || status == 403) && gw_edge_may_warn(x->c->s, &warn, &held))
		log_warn(&x->c->id, "refused: %s status=%d path=%s more=%llu", x->refusal.why,
		         status, log_safe(h->path, strlen(h->path), safe),
		         (unsigned long long)held);
	if (!h->chunked && h->length == 0) {
		answer_refusal(x);
	} else if (h->chunked || h->wants_continue || h->length > DISCARD_MAX) {
		x->c->close_after = true;
		answer_refusal(x);
	} else {
		x->body_left = h->length;
	}
}

/* --- reading ------------------------------------------------------------------------------ */

static void
dispatch(struct gw_http *x)
{
	x->phase = ASKED;
	gw_conn_set_state(x->c, GW_CONN_BUSY);
	x->r->match.row->http(x->c->s->cfg.core, x, x->body.data, x->body.len);
}

/* The head is admitted: what comes next? */
static void
begin_body(struct gw_http *x)
{
	const struct gw_head *h = &x->r->head;
	struct gw_conn *c = x->c;

	if (h->length > c->s->cfg.max_body_bytes) {
		gw_http_refuse(c, 413, "the request body is too large");
		return;
	}
	x->body_left = h->length;
	if (!h->chunked && h->length == 0)
		dispatch(x);
	else if (h->wants_continue && c->in.len == 0)
		gw_conn_put(c, "HTTP/1.1 100 Continue\r\n\r\n", 25, NULL, 0);
}

static void
begin(struct gw_http *x, size_t head_len)
{
	struct gw_conn *c = x->c;
	const struct gw_request_policy policy = {
	    .routes = c->s->routes, .auth = c->s->cfg.auth, .origin = *gw_edge_rules(c->from)};
	const char *why = NULL;
	int status = gw_head_parse(&x->r->head, c->in.data, head_len, &why);

	buf_consume(&c->in, head_len);
	gw_metric[GW_M_HTTP_REQUESTS]++;
	c->requests_n++;
	if (status != 0) {
		gw_http_refuse(c, status, why);
	} else if (!gw_request_admit(x->r, &policy, &x->refusal)) {
		turn_away(x);
	} else if (x->r->head.websocket) {
		struct gw_request *r = x->r;

		x->r = NULL;
		gw_http_end(c);
		gw_ws_adopt(c, r);
	} else {
		begin_body(x);
	}
}

/* Returns true if there is more to look at. */
static bool
read_head(struct gw_conn *c)
{
	const size_t max = c->s->cfg.max_header_bytes;
	size_t n = gw_head_end(c->in.data, c->in.len);

	if (n == 0 && c->in.len <= max)
		return false;
	if (n == 0 || n > max)
		gw_http_refuse(c, 431, "the request header is too large");
	else
		begin(new_exchange(c), n);
	return true;
}

static bool
keep_body(struct gw_http *x, const char *data, size_t len)
{
	if (x->refusal.status != 0)
		return true;
	if (buf_append(&x->body, data, len) == 0)
		return true;
	gw_http_refuse(x->c, 413, "the request body is too large");
	return false;
}

static void
body_is_there(struct gw_http *x)
{
	if (x->refusal.status != 0)
		answer_refusal(x);
	else
		dispatch(x);
}

static void
read_body(struct gw_http *x)
{
	struct gw_conn *c = x->c;
	size_t n = c->in.len < x->body_left ? c->in.len : (size_t)x->body_left;

	if (!keep_body(x, c->in.data, n))
		return;
	buf_consume(&c->in, n);
	x->body_left -= n;
	if (x->body_left == 0)
		body_is_there(x);
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
		if (!keep_body(x, data, len))
			return;
		at += (size_t)n;
	}
	buf_consume(&c->in, at);
	if (gw_chunk_is_done(&x->chunk))
		body_is_there(x);
}

void
gw_http_input(struct gw_conn *c)
{
	while (c->state == GW_CONN_READING && c->in.len > 0) {
		if (c->x == NULL) {
			if (!read_head(c))
				return;
		} else if (c->x->r->head.chunked) {
			read_chunks(c->x);
		} else {
			read_body(c->x);
		}
	}
}

/* --- what dialects see -------------------------------------------------------------------- */

const char *
gw_http_method(const struct gw_http *x)
{
	return x->r->head.method;
}

const char *
gw_http_path(const struct gw_http *x)
{
	return x->r->head.path;
}

const char *
gw_http_param(const struct gw_http *x, const char *name)
{
	return gw_request_param(x->r, name);
}

const char *
gw_http_query(const struct gw_http *x, const char *name)
{
	return gw_uri_find(x->r->query, x->r->query_n, name);
}

const char *
gw_http_header(const struct gw_http *x, const char *name)
{
	return gw_head_get(&x->r->head, name);
}

const char *
gw_http_origin(const struct gw_http *x)
{
	return x->r->self;
}

const char *
gw_http_token_sandbox(const struct gw_http *x)
{
	return x->r->token_sandbox;
}

void
gw_http_set_ops(struct gw_http *x, const struct gw_http_ops *ops, void *arg)
{
	x->ops = ops;
	x->arg = arg;
}
