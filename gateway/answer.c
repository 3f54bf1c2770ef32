/* gateway/answer.c - see gateway/http.h and gateway/dialect.h: what goes back to a client. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "gateway/body.h"
#include "gateway/dialect.h"
#include "gateway/edge.h"
#include "gateway/http.h"
#include "gateway/status.h"
#include "wire/json_put.h"

#define REQUEST_ID_MAX 128

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

/* The dialect answers before it has the whole body: the rest stays unread. */
static bool
is_early(const struct gw_http *x)
{
	return x->phase == GW_HTTP_PIECES && !gw_body_is_read(x);
}

static bool
is_before_answer(const struct gw_http *x)
{
	return x->phase == GW_HTTP_BODY || x->phase == GW_HTTP_PIECES ||
	       x->phase == GW_HTTP_ASKED;
}

/* What the client calls this request, to be told again; NULL: nothing, or nothing presentable. */
static const char *
request_id(const struct gw_head *h)
{
	const char *id = gw_head_get(h, "x-request-id");
	size_t len = id != NULL ? strlen(id) : 0;

	for (size_t i = 0; i < len; i++)
		if (id[i] <= 0x20 || id[i] >= 0x7f)
			return NULL;
	return len > 0 && len <= REQUEST_ID_MAX ? id : NULL;
}

/* Queue the head of the answer: framing says how its body ends. */
static void
put_head(struct gw_http *x, int status, const char *type, const char *framing)
{
	struct gw_conn *c = x->c;
	const struct gw_head *h = &x->r->head;
	const char *id = request_id(h);
	struct buf b;

	if (!h->keep_alive || c->s->draining || is_early(x))
		c->close_after = true;
	buf_init(&b, 4096 + GW_HTTP_EXTRA_MAX + c->s->cfg.max_header_bytes);
	(void)buf_printf(&b, "HTTP/1.1 %d %s\r\n%s%s", status, gw_status_phrase(status),
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
	if (id != NULL)
		(void)buf_printf(&b, "X-Request-ID: %s\r\n", id);
	(void)buf_append(&b, x->extra.data, x->extra.len);
	(void)buf_append(&b, "\r\n", 2);
	gw_conn_put(c, b.data, b.len, NULL, 0);
	buf_fini(&b);
}

/* The last byte is queued.  Without a client, this was all the dialect still had it for. */
static void
done(struct gw_http *x)
{
	x->phase = GW_HTTP_DONE;
	if (x->c == NULL)
		gw_http_free(x);
	else if (x->c->state != GW_CONN_DEAD) {
		gw_conn_set_state(x->c, GW_CONN_FLUSHING);
		loop_task_post(&x->c->turn); /* also where all was sent before: see _cut() */
	}
}

/* The dialect says no; what the edge refuses has had its line. */
static void
log_answer(const struct gw_http *x, int status)
{
	static struct gw_edge_warn warn;
	const char *path = x->r->head.path != NULL ? x->r->head.path : "";
	char safe[LOG_SAFE_MAX];
	uint64_t held;

	if (status == 404 || status == 503) /* asked for what is not there, or not yet */
		log_debug(&x->c->id, "answered status=%d path=%s", status,
		          log_safe(path, strlen(path), safe));
	else if (gw_edge_may_warn(x->c->s, &warn, &held))
		log_info(&x->c->id, "answered status=%d path=%s peer=%s more=%llu", status,
		         log_safe(path, strlen(path), safe), x->c->peer,
		         (unsigned long long)held);
}

/* Begin an answer of len bytes.  Returns true where they are to be put. */
static bool
begin_reply(struct gw_http *x, int status, const char *content_type, size_t len)
{
	char framing[48] = "";

	assert(is_before_answer(x));
	if (status >= 400 && x->refusal.status == 0 && x->c != NULL)
		log_answer(x, status);
	if (x->c == NULL)
		return false;
	if (status != 204 && status != 304)
		(void)snprintf(framing, sizeof(framing), "Content-Length: %zu\r\n", len);
	put_head(x, status, content_type, framing);
	return has_body(x, status);
}

void
gw_http_reply(struct gw_http *x, int status, const char *content_type, const void *body,
              size_t len)
{
	if (begin_reply(x, status, content_type, len))
		gw_conn_put(x->c, body, len, NULL, 0);
	done(x);
}

/* The dialect has an answer, but not one that can be sent. */
static void
reply_too_large(struct gw_http *x)
{
	if (x->c == NULL ||
	    x->refusal.status != 0) { /* nor can the error, for want of memory */
		gw_http_reply(x, 500, NULL, "", 0);
		return;
	}
	log_answer(x, 500);
	x->refusal.status = 500;
	(void)snprintf(x->refusal.why, sizeof(x->refusal.why),
	               "the answer is longer than %u MiB", GW_HTTP_JSON_MAX >> 20);
	gw_http_answer_refusal(x);
}

void
gw_http_reply_json(struct gw_http *x, int status, json_t *json)
{
	struct buf b;

	if (json == NULL) { /* could not be made */
		gw_http_reply(x, 500, NULL, "", 0);
		return;
	}
	buf_init(&b, GW_HTTP_JSON_MAX);
	if (wire_json_put(&b, json, WIRE_JSON_PLAIN) != 0) {
		reply_too_large(x);
	} else {
		if (begin_reply(x, status, "application/json", b.len))
			gw_conn_put_buf(x->c, &b);
		done(x);
	}
	json_decref(json);
	buf_fini(&b);
}

static void
begin_stream(struct gw_http *x, int status, const char *type, const char *framing)
{
	assert(x->phase == GW_HTTP_PIECES || x->phase == GW_HTTP_ASKED);
	if (x->c != NULL) {
		put_head(x, status, type, framing);
		if (x->c->state == GW_CONN_READING) /* more of the body */
			gw_conn_set_state(x->c, GW_CONN_BUSY);
	}
	x->phase = GW_HTTP_STREAM;
}

void
gw_http_stream_begin_sized(struct gw_http *x, int status, const char *content_type,
                           uint64_t length)
{
	char framing[48];

	x->sized_out = true;
	x->owed = length;
	(void)snprintf(framing, sizeof(framing), "Content-Length: %llu\r\n",
	               (unsigned long long)length);
	begin_stream(x, status, content_type, framing);
}

void
gw_http_stream_begin(struct gw_http *x, int status, const char *content_type)
{
	x->chunks_out = !x->r->head.http10;
	if (!x->chunks_out && x->c != NULL)
		x->c->close_after = true;
	begin_stream(x, status, content_type,
	             x->chunks_out ? "Transfer-Encoding: chunked\r\n" : "");
}

/* Begin a piece of len bytes.  Returns true where they are to be put. */
static bool
begin_piece(struct gw_http *x, size_t len)
{
	char size[24];
	int n;

	assert(x->phase == GW_HTTP_STREAM);
	if (x->sized_out) {
		assert(len <= x->owed);
		x->owed -= len;
	}
	if (x->c == NULL || len == 0 || !has_body(x, 200))
		return false;
	if (x->chunks_out) {
		n = snprintf(size, sizeof(size), "%zx\r\n", len);
		gw_conn_put(x->c, size, (size_t)n, NULL, 0);
	}
	return true;
}

static int
end_piece(struct gw_http *x)
{
	if (x->chunks_out)
		gw_conn_put(x->c, "\r\n", 2, NULL, 0);
	return gw_conn_is_full(x->c) ? -EAGAIN : 0;
}

int
gw_http_stream_write(struct gw_http *x, const void *ptr, size_t len)
{
	if (!begin_piece(x, len))
		return 0;
	gw_conn_put(x->c, ptr, len, NULL, 0);
	return end_piece(x);
}

int
gw_http_stream_write_buf(struct gw_http *x, struct buf *b)
{
	if (begin_piece(x, b->len)) {
		gw_conn_put_buf(x->c, b);
		return end_piece(x);
	}
	buf_consume(b, b->len);
	return 0;
}

/* The client was told of more: it must not take what comes next for that. */
static void
break_promise(struct gw_http *x)
{
	log_info(&x->c->id, "answer cut short path=%s missing=%llu", x->r->match.row->path,
	         (unsigned long long)x->owed);
	x->c->close_after = true;
}

void
gw_http_stream_end(struct gw_http *x)
{
	assert(x->phase == GW_HTTP_STREAM);
	if (x->c != NULL && has_body(x, 200)) {
		if (x->chunks_out)
			gw_conn_put(x->c, "0\r\n\r\n", 5, NULL, 0);
		if (x->sized_out && x->owed > 0)
			break_promise(x);
	}
	done(x);
}

void
gw_http_stream_cut(struct gw_http *x)
{
	assert(x->phase == GW_HTTP_STREAM);
	if (x->c != NULL) {
		x->c->close_after = true;
		loop_task_post(&x->c->turn); /* also where nothing waits to be sent */
	}
	done(x);
}

void
gw_http_add_header(struct gw_http *x, const char *name, const char *value)
{
	assert(is_before_answer(x));
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
	buf_init(&allow, GW_HTTP_EXTRA_MAX);
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

/* {"error": {"code": "not_found", "message": why}}, the code being the status in words. */
static json_t *
default_error(int status, const char *why)
{
	char code[48];
	size_t n = 0;

	for (const char *p = gw_status_phrase(status); *p != '\0' && n < sizeof(code) - 1; p++)
		code[n++] = (char)(*p == ' ' ? '_' : *p | 0x20);
	code[n] = '\0';
	return json_pack("{s:{s:s,s:s}}", "error", "code", code, "message", why);
}

void
gw_http_answer_refusal(struct gw_http *x)
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
		gw_http_reply_json(x, no->status, default_error(no->status, no->why));
}
