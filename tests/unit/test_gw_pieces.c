/* Unit test of gateway/body: a request's body in pieces, from a socket to a dialect. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/dialect.h"
#include "gateway/metrics.h"
#include "tests/unit/edge_rig.h"
#include "wire/base/loop.h"

#define PIECE_MAX (64U << 10)

/* --- a dialect that takes uploads ------------------------------------------------------- */

static struct {
	struct gw_http *x; /* asked, not answered, the client still there */
	bool busy;         /* the handler, or gw_http_receive() is on the stack */
	bool hold;         /* every piece is one too many */
	bool stops;        /* the loop, at whatever happens */
	size_t asked, pieces, ended, closed;
	size_t bytes, longest;
	size_t answer_at; /* this piece is answered: 0 none */
	struct buf body;
	struct loop *lp;
} seen;

static void
happened(void)
{
	if (seen.stops)
		loop_stop(seen.lp);
}

static void
answer(void)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "took %zu.", seen.bytes);

	gw_http_reply(seen.x, 200, "text/plain", text, (size_t)n);
	seen.x = NULL;
}

static int
on_body(void *arg, const char *data, size_t len)
{
	assert_ptr_equal(arg, &seen);
	assert_false(seen.busy);
	assert_non_null(seen.x);
	assert_true(len > 0 && len <= PIECE_MAX);
	assert_int_equal(seen.ended, 0);
	seen.pieces++;
	seen.bytes += len;
	seen.longest = len > seen.longest ? len : seen.longest;
	(void)buf_append(&seen.body, data, len);
	happened();
	if (seen.pieces == seen.answer_at)
		answer();
	return seen.hold ? -EAGAIN : 0;
}

static void
on_body_end(void *arg)
{
	assert_ptr_equal(arg, &seen);
	assert_false(seen.busy);
	seen.ended++;
	answer();
	happened();
}

static void
on_closed(void *arg)
{
	assert_ptr_equal(arg, &seen);
	seen.closed++;
	seen.x = NULL;
	happened();
}

static const struct gw_http_ops ops = {
    .body = on_body, .body_end = on_body_end, .closed = on_closed};

static void
upload(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	assert_null(body);
	assert_int_equal(len, 0);
	seen.asked++;
	seen.ended = seen.pieces = 0;
	seen.x = x;
	gw_http_set_ops(x, &ops, &seen);
	happened();
}

static void
receive(void)
{
	seen.busy = true;
	gw_http_receive(seen.x);
	seen.busy = false;
}

static const struct gw_route rows[] = {
    {.method = "POST", .path = "/up", .access = GW_ACCESS_USER, .http = upload},
    {.method = "POST", .path = "/open", .access = GW_ACCESS_PUBLIC, .http = upload},
    {.method = NULL},
};
static const struct gw_dialect dialect = {
    .name = "test", .prefix = "", .routes = rows, .pieces = true};
static const struct gw_dialect *const dialects[] = {&dialect, NULL};

static int
set_up(void **state)
{
	struct edge *r = edge_new(dialects);

	memset(&seen, 0, sizeof(seen));
	seen.lp = r->lp;
	buf_init(&seen.body, 64U << 20);
	*state = r;
	return 0;
}

static int
tear_down(void **state)
{
	edge_free(*state);
	buf_fini(&seen.body);
	return 0;
}

#define UP "POST /up?token=secret HTTP/1.1\r\n" HOST

/* --- tests ------------------------------------------------------------------------------ */

static void
bodies_arrive(void **state)
{
	struct edge *r = *state;

	edge_expect(r, UP "Content-Length: 3\r\n\r\nabc", "HTTP/1.1 200", "took 3.");
	edge_expect(r, UP "Content-Length: 0\r\n\r\n", "HTTP/1.1 200", "took 3.");
	edge_expect(r, UP "\r\n", "HTTP/1.1 200", "took 3.");
	edge_expect(r,
	            UP "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n",
	            "HTTP/1.1 200", "took 6.");
	assert_string_equal(seen.body.data, "abcabc");
	assert_int_equal(seen.closed, 0);
}

/* Write zeros until the socket takes no more, or `left` are written.  Returns how many were. */
static size_t
fill(int fd, size_t left)
{
	static const char block[PIECE_MAX];
	size_t done = 0;
	ssize_t n;

	while (done < left &&
	       (n = write(fd, block,
	                  left - done < sizeof(block) ? left - done : sizeof(block))) > 0)
		done += (size_t)n;
	return done;
}

/* The dialect takes one piece at a time: nothing is read ahead of it, however much waits. */
static void
a_dialect_sets_the_pace(void **state)
{
	static const char head[] = UP "Content-Length: 40000000\r\n\r\n";
	struct edge *r = *state;
	int fd = edge_dial(r);
	size_t sent = 0, n;
	struct buf b;

	seen.hold = seen.stops = true;
	edge_send(fd, head, strlen(head));
	edge_run(r);
	for (size_t i = 1; i <= 3; i++) {
		do {
			sent += n = fill(fd, 40000000 - sent);
			edge_settle(r);
		} while (n > 0);
		assert_true(sent < 40000000);
		assert_int_equal(seen.pieces, i);
		assert_true(seen.bytes <= PIECE_MAX * i);
		receive();
		assert_int_equal(seen.pieces, i); /* in a later turn */
	}
	while (seen.bytes < 40000000) {
		sent += fill(fd, 40000000 - sent);
		edge_run(r);
		receive();
	}
	buf_init(&b, 10000);
	edge_talk(r, fd, "", 0, "took 40000000.", &b);
	buf_fini(&b);
	(void)close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(bodies_arrive, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_dialect_sets_the_pace, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
