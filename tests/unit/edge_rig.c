/* tests/unit/edge_rig.c - see tests/unit/edge_rig.h. */
#include "tests/unit/edge_rig.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/auth.h"
#include "gateway/metrics.h"
#include "wire/base/err.h"
#include "wire/base/loop.h"

#define DEADLINE_MS 20000

static void
start(struct edge *r)
{
	struct err err;

	if (gw_server_start(&r->cfg, &r->server, &err) != 0)
		fail_msg("%s", err.text);
}

struct edge *
edge_new(const struct gw_dialect *const *dialects)
{
	struct edge *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->lp = loop_new();
	r->auth = gw_auth_new(false, "secret");
	r->listen[0] = "127.0.0.1:0";
	r->cfg = (struct gw_server_config){
	    .lp = r->lp,
	    .auth = r->auth,
	    .dialects = dialects,
	    .listen = r->listen,
	    .max_body_bytes = 1000,
	    .max_message_bytes = 1000,
	    .max_header_bytes = 2000,
	    .max_connections = 4,
	    .send_high_bytes = 100000,
	    .send_low_bytes = 20000,
	    .idle_timeout_ms = 60000,
	    .ping_every_ms = 60000,
	};
	start(r);
	return r;
}

void
edge_restart(struct edge *r)
{
	gw_server_free(r->server);
	start(r);
}

void
edge_free(struct edge *r)
{
	gw_server_free(r->server);
	gw_auth_free(r->auth);
	loop_free(r->lp);
	assert_int_equal(gw_metric[GW_M_CONNECTIONS], 0);
	assert_int_equal(gw_metric[GW_M_WEBSOCKETS], 0);
	free(r);
}

static void
too_late(void *arg)
{
	(void)arg;
	fail_msg("nothing happened for %d ms", DEADLINE_MS);
}

void
edge_run(struct edge *r)
{
	struct loop_timer *t = loop_timer_new(r->lp, DEADLINE_MS, too_late, r);

	loop_run(r->lp);
	loop_timer_free(t);
}

static void
on_settled(void *arg)
{
	loop_stop(arg);
}

/* A timer is due after the I/O that came before it. */
void
edge_settle(struct edge *r)
{
	for (int i = 0; i < 5; i++) {
		struct loop_timer *t = loop_timer_new(r->lp, 2, on_settled, r->lp);

		loop_run(r->lp);
		loop_timer_free(t);
	}
}

int
edge_dial(struct edge *r)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const char *colon = strrchr(gw_server_url(r->server, 0), ':');

	sin.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

void
edge_send(int fd, const void *text, size_t len)
{
	assert_int_equal(write(fd, text, len), len);
}

struct reader {
	int fd;
	struct buf *b;
	const char *until; /* NULL: the end of the stream */
	struct loop *lp;
};

static void
on_bytes(void *arg, unsigned events)
{
	struct reader *r = arg;
	char block[4096];
	ssize_t n = read(r->fd, block, sizeof(block));

	(void)events;
	if (n > 0)
		(void)buf_append(r->b, block, (size_t)n);
	if (r->until != NULL ? memmem(r->b->data, r->b->len, r->until, strlen(r->until)) != NULL
	                     : n <= 0)
		loop_stop(r->lp);
	else if (n == 0)
		fail_msg("closed before '%s': %s", r->until, r->b->data);
}

void
edge_talk(struct edge *r, int fd, const char *text, size_t len, const char *until,
          struct buf *b)
{
	struct reader rd = {.fd = fd, .b = b, .until = until, .lp = r->lp};
	struct loop_fd *w;

	edge_send(fd, text, len);
	w = loop_fd_new(r->lp, fd, LOOP_READ, on_bytes, &rd);
	edge_run(r);
	loop_fd_free(w);
}

void
edge_expect(struct edge *r, const char *request, const char *status, const char *end)
{
	int fd = edge_dial(r);
	struct buf b;

	buf_init(&b, 1 << 20);
	edge_talk(r, fd, request, strlen(request), end, &b);
	if (strncmp(b.data, status, strlen(status)) != 0)
		fail_msg("%s\n-> %s", request, b.data);
	buf_fini(&b);
	(void)close(fd);
}
