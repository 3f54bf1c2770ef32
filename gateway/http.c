/* gateway/http.c - see gateway/edge.h and gateway/dialect.h: the exchanges on a connection. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "gateway/body.h"
#include "gateway/dialect.h"
#include "gateway/edge.h"
#include "gateway/http.h"
#include "gateway/metrics.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define DISCARD_MAX (64U << 10) /* body of a refused request, read to keep the connection */

void
gw_http_free(void *arg)
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
	buf_init(&x->extra, GW_HTTP_EXTRA_MAX);
	c->x = x;
	return x;
}

/* The dialect knows of x, and has not answered all. */
static bool
is_asked(const struct gw_http *x)
{
	return x->phase == GW_HTTP_PIECES || x->phase == GW_HTTP_ASKED ||
	       x->phase == GW_HTTP_STREAM;
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
	if (is_asked(x) && x->ops == NULL)
		return; /* the dialect still holds it; its answer frees it */
	loop_later(lp, gw_http_free, x);
	if (is_asked(x) && x->ops->closed != NULL)
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

	if (x != NULL && x->phase == GW_HTTP_STREAM && x->ops != NULL &&
	    x->ops->drained != NULL)
		x->ops->drained(x->arg);
}

/* --- refusing ----------------------------------------------------------------------------- */

/* One line for what is wrong with a client, not for one that merely asks for what is not there. */
static void
log_refusal(const struct gw_http *x)
{
	static struct gw_edge_warn warn;
	const int status = x->refusal.status;
	const char *path = x->r->head.path != NULL ? x->r->head.path : "";
	char safe[LOG_SAFE_MAX];
	uint64_t held;

	(void)log_safe(path, strlen(path), safe);
	if (status == 204 || status == 404 || status == 405 || status == 426)
		log_debug(&x->c->id, "refused: %s status=%d path=%s", x->refusal.why, status,
		          safe);
	else if (gw_edge_may_warn(x->c->s, &warn, &held))
		log_warn(&x->c->id, "refused: %s status=%d path=%s peer=%s more=%llu",
		         x->refusal.why, status, safe, x->c->peer, (unsigned long long)held);
}

void
gw_http_refuse(struct gw_conn *c, int status, const char *why)
{
	struct gw_http *x = c->x != NULL ? c->x : new_exchange(c);
	const struct gw_http_ops *ops = x->phase == GW_HTTP_PIECES ? x->ops : NULL;
	void *arg = x->arg;

	if (ops != NULL) { /* x is the dialect's no more */
		x->phase = GW_HTTP_BODY;
		buf_fini(&x->extra);
	}
	c->close_after = true;
	x->refusal.status = status;
	(void)snprintf(x->refusal.why, sizeof(x->refusal.why), "%s", why);
	log_refusal(x);
	gw_http_answer_refusal(x);
	if (ops != NULL && ops->closed != NULL)
		ops->closed(arg);
}

/* A request was not let in. Read a small body first, so that the connection can go on. */
static void
turn_away(struct gw_http *x)
{
	const struct gw_head *h = &x->r->head;

	log_refusal(x);
	if (!h->chunked && h->length == 0) {
		gw_http_answer_refusal(x);
	} else if (h->chunked || h->wants_continue || h->length > DISCARD_MAX) {
		x->c->close_after = true;
		gw_http_answer_refusal(x);
	} else {
		x->body_left = h->length;
	}
}

/* --- reading ------------------------------------------------------------------------------ */

static void
begin(struct gw_http *x, size_t head_len)
{
	struct gw_conn *c = x->c;
	const struct gw_request_policy policy = {
	    .routes = c->s->routes, .auth = c->s->cfg.auth, .origin = *gw_edge_rules(c->from)};
	struct err err;
	int status = gw_head_parse(&x->r->head, c->in.data, head_len, &err);

	buf_consume(&c->in, head_len);
	gw_metric[GW_M_HTTP_REQUESTS]++;
	c->requests_n++;
	if (status != 0) {
		gw_http_refuse(c, status, err.text);
	} else if (!gw_request_admit(x->r, &policy, &x->refusal)) {
		turn_away(x);
	} else if (x->r->head.websocket) {
		struct gw_request *r = x->r;

		x->r = NULL;
		c->x = NULL;
		loop_later(c->s->cfg.lp, gw_http_free, x);
		gw_ws_adopt(c, r);
	} else {
		gw_body_begin(x);
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

void
gw_http_input(struct gw_conn *c)
{
	while (c->state == GW_CONN_READING) {
		struct gw_http *x = c->x;

		if (x != NULL && gw_body_is_read(x)) {
			gw_body_end(x);
			continue;
		}
		if (c->in.len == 0 || (x == NULL && !read_head(c)))
			return;
		if (x != NULL)
			gw_body_read(x);
	}
}

bool
gw_http_holds(const struct gw_conn *c)
{
	return c->state == GW_CONN_BUSY && c->x != NULL && c->x->phase == GW_HTTP_PIECES;
}

void
gw_http_turn(struct gw_conn *c)
{
	if (!gw_http_holds(c) || !c->x->due)
		return;
	gw_conn_set_state(c, GW_CONN_READING);
	gw_http_input(c);
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
gw_http_query_at(const struct gw_http *x, const char *name, size_t i)
{
	for (size_t k = 0; k < x->r->query_n; k++)
		if (strcmp(x->r->query[k].name, name) == 0 && i-- == 0)
			return x->r->query[k].value;
	return NULL;
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
