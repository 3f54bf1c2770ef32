/* gateway/conn.c - see gateway/edge.h: one socket that speaks HTTP. */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "gateway/edge.h"
#include "gateway/metrics.h"
#include "wire/base/mem.h"

#define READS_MAX     4           /* in one turn */
#define PIPELINE_MAX  (64U << 10) /* read ahead of the exchange in progress */
#define LINGER_MS     2000        /* of silence */
#define LINGER_MAX_MS 30000
#define ALIVE_IDLE_S  60 /* of silence, then this many probes, this far apart */
#define ALIVE_EACH_S  15
#define ALIVE_PROBES  4
#define VECS_MAX      16
#define BODY_RATE_MIN 1            /* bytes a millisecond that a body may not fall below */
#define COPY_MAX      (256U << 10) /* more is not copied into the queue */

static const bool may_go[GW_CONN_STATE_N][GW_CONN_STATE_N] = {
    [GW_CONN_READING] =
	{[GW_CONN_BUSY] = true, [GW_CONN_FLUSHING] = true, [GW_CONN_DEAD] = true},
    [GW_CONN_BUSY] =
	{[GW_CONN_READING] = true, [GW_CONN_FLUSHING] = true, [GW_CONN_DEAD] = true},
    [GW_CONN_FLUSHING] =
	{[GW_CONN_READING] = true, [GW_CONN_LINGER] = true, [GW_CONN_DEAD] = true},
    [GW_CONN_LINGER] = {[GW_CONN_DEAD] = true},
};

static void on_event(void *arg, unsigned events);

/* What still comes is for nobody. */
static bool
is_deaf(const struct gw_conn *c)
{
	return c->close_after && c->state != GW_CONN_READING;
}

static void
watch(struct gw_conn *c)
{
	unsigned want = c->blocked ? LOOP_WRITE : 0;

	if (!c->eof && !gw_http_holds(c) &&
	    (c->state == GW_CONN_READING || is_deaf(c) || c->in.len < PIPELINE_MAX))
		want |= LOOP_READ;
	if (c->state == GW_CONN_DEAD)
		want = 0;
	if (want == c->watching)
		return;
	loop_fd_free(c->watch);
	c->watch = want != 0 ? loop_fd_new(c->s->cfg.lp, c->fd, want, on_event, c) : NULL;
	c->watching = want;
}

static void
set_deadline(struct gw_conn *c, uint64_t ms)
{
	c->since_ms = loop_now_ms(c->s->cfg.lp);
	c->deadline_ms = ms == 0 ? 0 : c->since_ms + ms;
}

void
gw_conn_set_state(struct gw_conn *c, enum gw_conn_state to)
{
	assert(may_go[c->state][to]);
	c->state = to;
	switch (to) {
	case GW_CONN_READING:
	case GW_CONN_FLUSHING:
		set_deadline(c, c->s->cfg.idle_timeout_ms);
		break;
	case GW_CONN_LINGER:
		set_deadline(c, LINGER_MS);
		break;
	case GW_CONN_BUSY:
	case GW_CONN_DEAD:
	case GW_CONN_STATE_N:
		set_deadline(c, 0);
		break;
	}
}

static void
free_later(void *arg)
{
	struct gw_conn *c = arg;

	loop_task_cancel(&c->turn);
	mem_wipe(c->in.data, c->in.cap); /* tokens came that way */
	buf_fini(&c->in);
	gw_outq_fini(&c->out);
	mem_free(c);
}

/* Take c out of everything but the memory that the caller may still be using. */
static void
retire(struct gw_conn *c)
{
	gw_conn_set_state(c, GW_CONN_DEAD);
	watch(c);
	loop_task_cancel(&c->turn);
	list_del(&c->node);
	if (c->refused)
		c->s->refused_n--;
	loop_later(c->s->cfg.lp, free_later, c);
}

void
gw_conn_drop(struct gw_conn *c, const char *why)
{
	if (c->state == GW_CONN_DEAD)
		return;
	log_debug(&c->id, "closed: %s requests=%llu", why, (unsigned long long)c->requests_n);
	retire(c);
	(void)close(c->fd);
	c->fd = -1;
	c->s->open_n--;
	gw_metric[GW_M_CONNECTIONS]--;
	gw_http_end(c);
}

void
gw_conn_wind_up(struct gw_conn *c)
{
	if (c->state != GW_CONN_FLUSHING) {
		gw_conn_drop(c, "the gateway stops");
		return;
	}
	c->close_after = true;
	set_deadline(c, LINGER_MS);
}

int
gw_conn_release(struct gw_conn *c)
{
	int fd = c->fd;

	retire(c);
	c->fd = -1;
	return fd;
}

/* Everything that was to be sent is: the next request, or the end. */
static void
flushed(struct gw_conn *c)
{
	if (c->full && c->out.bytes < c->s->cfg.send_low_bytes) {
		c->full = false;
		gw_http_drained(c);
	}
	if (c->state != GW_CONN_FLUSHING || c->out.bytes > 0)
		return;
	gw_http_end(c);
	if (c->close_after) {
		(void)shutdown(c->fd, SHUT_WR);
		buf_consume(&c->in, c->in.len);
		gw_conn_set_state(c, GW_CONN_LINGER);
	} else {
		gw_conn_set_state(c, GW_CONN_READING);
		gw_http_input(c);
	}
	if (c->eof && c->state != GW_CONN_DEAD && !gw_http_wants_out(c))
		gw_conn_drop(c, "the client left");
}

/* Send what the socket takes.  Returns 0 or -errno. */
static int
flush(struct gw_conn *c)
{
	struct iovec vec[VECS_MAX];

	while (c->out.bytes > 0) {
		struct msghdr msg = {.msg_iov = vec,
		                     .msg_iovlen = gw_outq_vec(&c->out, vec, VECS_MAX)};
		ssize_t n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			c->blocked = true;
			return 0;
		}
		if (n < 0)
			return -errno;
		gw_outq_drop(&c->out, (size_t)n);
		if (c->state == GW_CONN_FLUSHING && !c->s->stopping) /* it moves: wait on */
			set_deadline(c, c->s->cfg.idle_timeout_ms);
	}
	c->blocked = false;
	return 0;
}

static void
on_turn(void *arg)
{
	struct gw_conn *c = arg;

	if (c->state == GW_CONN_DEAD)
		return;
	if (flush(c) < 0) {
		gw_conn_drop(c, "the client is gone");
		return;
	}
	flushed(c);
	gw_http_turn(c);
	watch(c);
}

/* rc is what the queue said: after a refusal the client is given up. */
static void
queued(struct gw_conn *c, int rc)
{
	static struct gw_edge_warn warn;
	uint64_t held;

	if (rc < 0) {
		if (gw_edge_may_warn(c->s, &warn, &held))
			log_warn(&c->id,
			         "client is too far behind, connection dropped bytes=%zu",
			         c->out.bytes);
		(void)shutdown(c->fd, SHUT_RDWR); /* the loop will notice, not this caller */
		c->eof = false;
		watch(c);
	}
	loop_task_post(&c->turn);
}

void
gw_conn_put(struct gw_conn *c, const void *a, size_t an, const void *b, size_t bn)
{
	if (c->state != GW_CONN_DEAD)
		queued(c, gw_outq_put(&c->out, a, an, b, bn));
}

void
gw_conn_put_buf(struct gw_conn *c, struct buf *b)
{
	if (c->state != GW_CONN_DEAD)
		queued(c, b->len > COPY_MAX ? gw_outq_take(&c->out, b, 0)
		                            : gw_outq_put(&c->out, b->data, b->len, NULL, 0));
	buf_consume(b, b->len);
}

bool
gw_conn_is_full(struct gw_conn *c)
{
	if (c->out.bytes >= c->s->cfg.send_high_bytes)
		c->full = true;
	return c->full;
}

/* The client sends no more.  A request that waits for its answer is abandoned by that; an answer
 * that is complete may still leave. */
static void
on_eof(struct gw_conn *c)
{
	c->eof = true;
	if (!gw_http_wants_out(c))
		gw_conn_drop(c, "the client left");
}

/* n bytes of a body came.  It must keep coming: what came fast is no credit for a long pause. */
static void
extend_deadline(struct gw_conn *c, size_t n)
{
	uint64_t latest = loop_now_ms(c->s->cfg.lp) + c->s->cfg.idle_timeout_ms;

	c->deadline_ms += n / BODY_RATE_MIN;
	if (c->deadline_ms > latest)
		c->deadline_ms = latest;
}

/* A client that first sends all and then reads must not find its answer lost to a reset. */
static void
linger_on(struct gw_conn *c)
{
	uint64_t next = loop_now_ms(c->s->cfg.lp) + LINGER_MS,
		 last = c->since_ms + LINGER_MAX_MS;

	if (!c->s->stopping)
		c->deadline_ms = next < last ? next : last;
}

/* Returns false when the connection is no more, or waits for nothing now. */
static bool
read_some(struct gw_conn *c)
{
	ssize_t n = recv(c->fd, c->s->scratch, GW_EDGE_READ_MAX, 0);

	if (n < 0)
		return errno == EINTR || (errno != EAGAIN && errno != EWOULDBLOCK &&
		                          (gw_conn_drop(c, "the client is gone"), false));
	if (n == 0)
		return on_eof(c), false;
	if (c->state == GW_CONN_LINGER)
		linger_on(c);
	if (is_deaf(c))
		return true;
	if (c->state == GW_CONN_READING && c->x != NULL)
		extend_deadline(c, (size_t)n);
	else if (c->state == GW_CONN_READING && c->in.len == 0) /* a head begins */
		set_deadline(c, c->s->cfg.idle_timeout_ms);
	if (buf_append(&c->in, c->s->scratch, (size_t)n) < 0)
		return gw_conn_drop(c, "out of memory"), false;
	if (c->state == GW_CONN_READING)
		gw_http_input(c);
	return c->state != GW_CONN_DEAD && !gw_http_holds(c) && (size_t)n == GW_EDGE_READ_MAX;
}

static void
on_event(void *arg, unsigned events)
{
	struct gw_conn *c = arg;

	if ((events & LOOP_WRITE) != 0)
		loop_task_post(&c->turn);
	if ((events & LOOP_READ) != 0)
		for (int i = 0; i < READS_MAX && read_some(c); i++)
			;
	if (c->state != GW_CONN_DEAD)
		watch(c);
}

/* A client that waits for a long run may be gone without a word: its machine or its way. */
static void
set_options(int fd)
{
	const int one = 1, idle = ALIVE_IDLE_S, each = ALIVE_EACH_S, probes = ALIVE_PROBES;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &each, sizeof(each));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

void
gw_conn_new(struct gw_server *s, const struct gw_listener *from, int fd, const char *peer)
{
	struct gw_conn *c = mem_new(sizeof(*c));

	*c = (struct gw_conn){.s = s, .from = from, .fd = fd, .state = GW_CONN_READING};
	c->id.kind = "conn";
	(void)snprintf(c->id.id, sizeof(c->id.id), "%llu", (unsigned long long)++s->last_id);
	(void)snprintf(c->peer, sizeof(c->peer), "%s", peer);
	set_options(fd);
	list_add_before(&s->conns, &c->node);
	buf_init(&c->in, s->cfg.max_header_bytes + PIPELINE_MAX +
	                     (size_t)(READS_MAX + 1) * GW_EDGE_READ_MAX);
	gw_outq_init(&c->out, GW_EDGE_QUEUE_MAX);
	loop_task_init(&c->turn, s->cfg.lp, on_turn, c);
	s->open_n++;
	gw_metric[GW_M_CONNECTIONS]++;
	set_deadline(c, s->cfg.idle_timeout_ms);
	log_debug(&c->id, "accepted from %s", peer);
	if (s->open_n > s->cfg.max_connections) {
		c->refused = true;
		s->refused_n++;
		gw_http_refuse(c, 503, "too many connections");
	}
	watch(c);
}

void
gw_conn_tick(struct gw_conn *c, uint64_t now_ms)
{
	if (c->deadline_ms == 0 || now_ms < c->deadline_ms)
		return;
	if (c->state == GW_CONN_READING && (c->in.len > 0 || c->x != NULL))
		gw_http_refuse(c, 408, "the request did not arrive in time");
	else
		gw_conn_drop(c, "nothing came in time");
}
