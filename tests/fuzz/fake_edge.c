/* tests/fuzz/fake_edge.c - see tests/fuzz/fake_edge.h. */
#include "tests/fuzz/fake_edge.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define KEEP_MAX (1U << 28) /* more than any input can make */

static const char *
find(const struct fake_pair *p, const char *name)
{
	for (; p != NULL && p->name != NULL; p++) {
		if (strcmp(p->name, name) == 0)
			return p->value;
	}
	return NULL;
}

static void
keep(struct buf *b, const void *ptr, size_t len)
{
	int rc = buf_append(b, ptr, len);

	assert(rc == 0);
}

/* Take json, append its text to b. */
static size_t
keep_json(struct buf *b, json_t *json)
{
	char *text;
	size_t len;

	assert(json != NULL);
	text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
	assert(text != NULL);
	len = strlen(text);
	keep(b, text, len);
	free(text);
	json_decref(json);
	return len;
}

/* --- one HTTP exchange ------------------------------------------------------------------ */

void
fake_http_init(struct gw_http *x, const char *method, const char *path)
{
	*x = (struct gw_http){.method = method, .path = path, .origin = "http://gw:1"};
	buf_init(&x->body, KEEP_MAX);
	buf_init(&x->added, KEEP_MAX);
}

void
fake_http_fini(struct gw_http *x)
{
	buf_fini(&x->body);
	buf_fini(&x->added);
}

const char *
gw_http_method(const struct gw_http *x)
{
	return x->method;
}

const char *
gw_http_path(const struct gw_http *x)
{
	return x->path;
}

const char *
gw_http_param(const struct gw_http *x, const char *name)
{
	return find(x->params, name);
}

const char *
gw_http_query(const struct gw_http *x, const char *name)
{
	return find(x->query, name);
}

const char *
gw_http_query_at(const struct gw_http *x, const char *name, size_t i)
{
	for (const struct fake_pair *p = x->query; p != NULL && p->name != NULL; p++)
		if (strcmp(p->name, name) == 0 && i-- == 0)
			return p->value;
	return NULL;
}

const char *
gw_http_header(const struct gw_http *x, const char *name)
{
	return find(x->headers, name);
}

const char *
gw_http_origin(const struct gw_http *x)
{
	return x->origin;
}

const char *
gw_http_token_sandbox(const struct gw_http *x)
{
	return x->token_sandbox;
}

void
gw_http_add_header(struct gw_http *x, const char *name, const char *value)
{
	int rc;

	assert(x->answers_n == 0);
	assert(strpbrk(name, "\r\n:") == NULL && strpbrk(value, "\r\n") == NULL);
	rc = buf_printf(&x->added, "%s: %s\n", name, value);
	assert(rc == 0);
}

static void
begin(struct gw_http *x, int status)
{
	assert(x->answers_n++ == 0);
	assert(status >= 200 && status < 600);
	x->status = status;
}

void
gw_http_reply(struct gw_http *x, int status, const char *content_type, const void *body,
              size_t len)
{
	assert(content_type != NULL || len == 0);
	begin(x, status);
	keep(&x->body, body, len);
	x->ended = true;
}

void
gw_http_reply_json(struct gw_http *x, int status, json_t *json)
{
	begin(x, status);
	(void)keep_json(&x->body, json);
	x->ended = true;
}

void
gw_http_set_ops(struct gw_http *x, const struct gw_http_ops *ops, void *arg)
{
	x->ops = ops;
	x->ops_arg = arg;
}

void
gw_http_stream_begin(struct gw_http *x, int status, const char *content_type)
{
	(void)content_type;
	begin(x, status);
}

void
gw_http_stream_begin_sized(struct gw_http *x, int status, const char *content_type,
                           uint64_t length)
{
	gw_http_stream_begin(x, status, content_type);
	x->promised = length;
	x->sized = true;
}

void
gw_http_receive(struct gw_http *x)
{
	assert(x->answers_n == 0);
	x->receives_n++;
}

int
gw_http_stream_write(struct gw_http *x, const void *ptr, size_t len)
{
	assert(x->answers_n == 1 && !x->ended);
	keep(&x->body, ptr, len);
	return x->full && len > 0 ? -EAGAIN : 0;
}

int
gw_http_stream_write_buf(struct gw_http *x, struct buf *b)
{
	int rc = gw_http_stream_write(x, b->data, b->len);

	buf_consume(b, b->len);
	return rc;
}

void
gw_http_stream_end(struct gw_http *x)
{
	assert(x->answers_n == 1 && !x->ended);
	assert(!x->sized || x->cut || x->body.len == x->promised ||
	       (strcmp(x->method, "HEAD") == 0 && x->body.len == 0));
	x->ended = true;
}

void
gw_http_stream_cut(struct gw_http *x)
{
	x->cut = true;
	gw_http_stream_end(x);
}

/* --- one WebSocket ---------------------------------------------------------------------- */

void
fake_ws_init(struct gw_ws *c)
{
	*c = (struct gw_ws){.origin = "http://gw:1"};
	buf_init(&c->sent, KEEP_MAX);
	buf_init(&c->reason, KEEP_MAX);
}

void
fake_ws_fini(struct gw_ws *c)
{
	buf_fini(&c->sent);
	buf_fini(&c->reason);
}

const char *
gw_ws_param(const struct gw_ws *c, const char *name)
{
	return find(c->params, name);
}

const char *
gw_ws_query(const struct gw_ws *c, const char *name)
{
	return find(c->query, name);
}

const char *
gw_ws_header(const struct gw_ws *c, const char *name)
{
	return find(c->headers, name);
}

const char *
gw_ws_origin(const struct gw_ws *c)
{
	return c->origin;
}

const char *
gw_ws_token_sandbox(const struct gw_ws *c)
{
	return c->token_sandbox;
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

static int
sent(struct gw_ws *c, size_t len)
{
	keep(&c->sent, "\n", 1);
	c->sent_n++;
	if (len > c->longest)
		c->longest = len;
	return c->full ? -EAGAIN : 0;
}

int
gw_ws_send(struct gw_ws *c, const void *ptr, size_t len)
{
	assert(c->close_code == 0);
	assert(utf8_valid(ptr, len));
	keep(&c->sent, ptr, len);
	return sent(c, len);
}

int
gw_ws_send_buf(struct gw_ws *c, struct buf *b)
{
	int rc = gw_ws_send(c, b->data + GW_WS_ROOM, b->len - GW_WS_ROOM);

	buf_consume(b, b->len);
	return rc;
}

int
gw_ws_send_json(struct gw_ws *c, json_t *json)
{
	assert(c->close_code == 0);
	return sent(c, keep_json(&c->sent, json));
}

void
gw_ws_close(struct gw_ws *c, int code, const char *reason)
{
	if (c->close_code != 0)
		return; /* the edge closes once */
	assert(code >= 1000 && code < 5000);
	assert(utf8_valid(reason, strlen(reason)));
	c->close_code = code;
	keep(&c->reason, reason, strlen(reason));
}

bool
gw_ws_authenticate(struct gw_ws *c, const char *token)
{
	return c->good_token != NULL && strcmp(c->good_token, token) == 0;
}

char *
fake_long_body(const char *begin, size_t len, const char *end)
{
	char *s = mem_new(len + 1);

	memset(s, 'x', len);
	memcpy(s, begin, strlen(begin));
	memcpy(s + len - strlen(end), end, strlen(end));
	return s;
}
