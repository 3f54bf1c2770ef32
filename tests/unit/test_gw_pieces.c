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
#include "gateway/edge.h"
#include "tests/unit/edge_rig.h"

#define PIECE_MAX (64U << 10)
#define LARGE     40000000U /* more than sockets hold */

#define UP        "POST /up?token=secret HTTP/1.1\r\n" HOST
#define SIZED     "Content-Length: 6\r\n\r\n"
#define CHUNKED   "Transfer-Encoding: chunked\r\n\r\n"
#define EXPECT    "Expect: 100-continue\r\n"
#define INVITED   "HTTP/1.1 100 Continue\r\n\r\n"

/* --- a dialect that takes uploads ------------------------------------------------------- */

enum deed { NOTHING, ANSWER, STREAM, STOP, RECEIVE };

static struct {
	/* What it does. */
	bool hold;        /* every piece is one too many */
	bool mute;        /* a complete body gets no answer yet */
	bool stops;       /* the loop, at whatever happens */
	enum deed asked;  /* when it is asked */
	enum deed first;  /* with the first piece */
	enum deed closed; /* as it hears of the end */
	/* What it saw. */
	struct gw_http *x; /* asked, not answered, the client still there */
	bool busy;         /* the handler or gw_http_receive() is on the stack */
	size_t asked_n, pieces_n, ended_n, closed_n, bytes;
	struct buf body;
	struct edge *r;
} seen;

static void
answer(void)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "took %zu.", seen.bytes);
	struct gw_http *x = seen.x;

	seen.x = NULL;
	gw_http_reply(x, 200, "text/plain", text, (size_t)n);
}

static void
act(enum deed deed)
{
	if (deed == ANSWER)
		answer();
	if (deed == STREAM) {
		gw_http_stream_begin(seen.x, 200, "text/plain");
		(void)gw_http_stream_write(seen.x, "begun", 5);
	}
	if (deed == STOP)
		gw_server_close_all(seen.r->server);
	if (deed == RECEIVE)
		gw_http_receive(seen.x);
	if (seen.stops)
		loop_stop(seen.r->lp);
}

static int
on_body(void *arg, const char *data, size_t len)
{
	assert_ptr_equal(arg, &seen);
	assert_false(seen.busy);
	assert_non_null(seen.x);
	assert_true(len > 0 && len <= PIECE_MAX);
	assert_int_equal(seen.ended_n, 0);
	seen.bytes += len;
	assert_int_equal(buf_append(&seen.body, data, len), 0);
	act(seen.pieces_n++ == 0 || seen.first == RECEIVE ? seen.first : NOTHING);
	return seen.hold ? -EAGAIN : 0;
}

static void
on_body_end(void *arg)
{
	assert_ptr_equal(arg, &seen);
	assert_false(seen.busy);
	assert_non_null(seen.x);
	seen.ended_n++;
	act(seen.mute ? NOTHING : ANSWER);
}

static void
on_closed(void *arg)
{
	assert_ptr_equal(arg, &seen);
	seen.closed_n++;
	seen.x = NULL;
	act(seen.closed);
}

static const struct gw_http_ops ops = {
    .body = on_body, .body_end = on_body_end, .closed = on_closed};

static void
upload(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	assert_null(body);
	assert_int_equal(len, 0);
	seen.asked_n++;
	seen.ended_n = seen.pieces_n = 0;
	seen.busy = true;
	seen.x = x;
	gw_http_set_ops(x, &ops, &seen);
	gw_http_add_header(x, "X-Upload", "yes");
	act(seen.asked);
	seen.busy = false;
}

static void
receive(void)
{
	size_t before = seen.pieces_n + seen.ended_n;

	seen.busy = true;
	gw_http_receive(seen.x);
	seen.busy = false;
	assert_int_equal(seen.pieces_n + seen.ended_n, before);
}

static const struct gw_route rows[] = {
    {.method = "GET", .path = "/up", .access = GW_ACCESS_USER, .http = upload},
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
	memset(&seen, 0, sizeof(seen));
	seen.r = edge_new(dialects);
	buf_init(&seen.body, 2 * LARGE);
	*state = seen.r;
	return 0;
}

static int
tear_down(void **state)
{
	edge_free(*state);
	buf_fini(&seen.body);
	return 0;
}

/* --- a client --------------------------------------------------------------------------- */

/* The server's side of the only connection; there must be one. */
static struct gw_conn *
conn_of(struct edge *r)
{
	assert_false(list_empty(&r->server->conns));
	return list_entry(r->server->conns.next, struct gw_conn, node);
}

/* A connection on which this is said; back when the server has done all it can. */
static int
say(struct edge *r, const char *text)
{
	int fd = edge_dial(r);

	edge_send(fd, text, strlen(text));
	edge_settle(r);
	return fd;
}

/* Write zeros until the socket takes no more, or max are written.  Returns how many were. */
static size_t
fill(int fd, size_t max)
{
	static const char block[PIECE_MAX];
	size_t done = 0;

	while (done < max) {
		size_t left = max - done;
		ssize_t n = write(fd, block, left < sizeof(block) ? left : sizeof(block));

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

/* Write as much of max bytes as the sockets take, where nobody reads. */
static size_t
fill_up(struct edge *r, int fd, size_t max)
{
	size_t sent = 0, n = 1;

	while (n > 0) {
		sent += n = fill(fd, max - sent);
		edge_settle(r);
	}
	return sent;
}

/* Close it; abruptly: with a reset. */
static void
leave(int fd, bool abruptly)
{
	const struct linger now = {.l_onoff = 1};

	if (abruptly)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close(fd);
}

/* Read up to `until`, NULL: all; the answer starts with status. */
static void
hear(struct edge *r, int fd, const char *status, const char *until)
{
	struct buf b;

	buf_init(&b, 100000);
	edge_talk(r, fd, "", 0, until, &b);
	if (strncmp(b.data, status, strlen(status)) != 0)
		fail_msg("%s is not %s", b.data, status);
	buf_fini(&b);
}

/* --- tests ------------------------------------------------------------------------------ */

static void
bodies_arrive(void **state)
{
	struct edge *r = *state;

	edge_expect(r, UP SIZED "abcdef", "HTTP/1.1 200", "took 6.");
	assert_int_equal(seen.ended_n, 1);
	edge_expect(r, UP "Content-Length: 0\r\n\r\n", "HTTP/1.1 200", "took 6.");
	assert_int_equal(seen.ended_n, 1);
	edge_expect(r, UP "\r\n", "HTTP/1.1 200", "took 6.");
	edge_expect(r, UP CHUNKED "0\r\n\r\n", "HTTP/1.1 200", "took 6.");
	edge_expect(r, UP CHUNKED "2\r\ngh\r\n1;x=y\r\ni\r\n0\r\n\r\n", "HTTP/1.1 200",
	            "took 9.");
	edge_expect(r, "POST /up?token=secret HTTP/1.0\r\nContent-Length: 3\r\n\r\njkl",
	            "HTTP/1.1 200", NULL);
	edge_expect(r, "GET /up?token=secret HTTP/1.0\r\n\r\n", "HTTP/1.1 200", NULL);
	assert_string_equal(seen.body.data, "abcdefghijkl");
	assert_int_equal(seen.asked_n, 7);
	assert_int_equal(seen.closed_n, 0);
}

/* Wherever a chunked body is cut into packets, it is the same, and so is the request behind it. */
static void
chunks_are_put_together(void **state)
{
	static const char text[] = UP CHUNKED
	    "3\r\nabc\r\n0b;e=1\r\nde\r\nfghij\r\n\r\n0\r\nTrailer: x\r\n\r\n" UP SIZED
	    "second";
	struct edge *r = *state;

	for (size_t cut = strlen(UP); cut < strlen(text); cut++) {
		int fd = edge_dial(r);

		buf_consume(&seen.body, seen.body.len);
		seen.asked_n = seen.bytes = 0;
		edge_send(fd, text, cut);
		edge_settle(r);
		edge_send(fd, text + cut, strlen(text) - cut);
		hear(r, fd, "HTTP/1.1 200", "took 20.");
		assert_string_equal(seen.body.data, "abcde\r\nfghij\r\nsecond");
		assert_int_equal(seen.asked_n, 2);
		(void)close(fd);
	}
	assert_int_equal(seen.closed_n, 0);
}

/* A byte a chunk, but not a call a byte. */
static void
small_chunks_come_together(void **state)
{
	static char text[200000];
	struct edge *r = *state;
	int fd = edge_dial(r);
	size_t n = (size_t)snprintf(text, sizeof(text), "%s", UP CHUNKED);

	for (; n < 100000; n += 6)
		memcpy(text + n, "1\r\nx\r\n", 6);
	memcpy(text + n, "0\r\n\r\n", 5);
	edge_send(fd, text, n + 5);
	hear(r, fd, "HTTP/1.1 200", ".");
	assert_true(seen.bytes > 10000 && seen.pieces_n < 20);
	(void)close(fd);
}

/* The dialect takes one piece at a time: nothing is read ahead of it, however much waits. */
static void
a_dialect_sets_the_pace(void **state)
{
	static const char head[] = UP "Content-Length: 40000000\r\n\r\n";
	struct edge *r = *state;
	int fd = say(r, head);
	size_t sent = 0;

	seen.hold = true;
	for (size_t i = 1; i <= 5; i++) {
		sent += fill_up(r, fd, LARGE - sent);
		assert_true(sent < LARGE);
		edge_until(r, seen.pieces_n >= i);
		edge_settle(r);
		assert_int_equal(seen.pieces_n, i);
		assert_true(conn_of(r)->in.len <= GW_EDGE_READ_MAX);
		receive();
	}
	seen.stops = true;
	while (seen.bytes < LARGE) {
		sent += fill(fd, LARGE - sent);
		edge_run(r);
		if (seen.bytes < LARGE)
			receive();
		assert_true(conn_of(r)->in.cap <= 4 * (size_t)GW_EDGE_READ_MAX);
	}
	seen.stops = false;
	edge_settle(r);
	assert_int_equal(seen.ended_n, 0); /* not while it holds the last piece */
	receive();
	hear(r, fd, "HTTP/1.1 200", "took 40000000.");
	assert_int_equal(seen.ended_n, 1);
	(void)close(fd);
}

/* More may be asked for at any time; what is asked twice comes once. */
static void
more_is_asked_for_early_and_twice(void **state)
{
	struct edge *r = *state;
	int fd;

	seen.hold = true;
	seen.asked = seen.first = RECEIVE;
	edge_expect(r, UP CHUNKED "1\r\na\r\n1\r\nb\r\n0\r\n\r\n", "HTTP/1.1 200", "took 2.");
	seen.asked = seen.first = NOTHING;
	seen.bytes = 0;
	fd = say(r, UP SIZED "abc");
	edge_until(r, seen.bytes == 3);
	receive();
	receive();
	edge_settle(r);
	receive(); /* it holds none */
	edge_send(fd, "de", 2);
	edge_until(r, seen.bytes == 5);
	edge_send(fd, "f", 1);
	edge_settle(r);
	loop_task_post(&conn_of(r)->turn); /* as when something was sent */
	edge_settle(r);
	assert_int_equal(seen.bytes, 5); /* held, although more was asked for before it */
	receive();
	edge_until(r, seen.bytes == 6);
	receive();
	hear(r, fd, "HTTP/1.1 200", "took 6.");
	(void)close(fd);
}

static void
a_client_is_told_to_go_on(void **state)
{
	struct edge *r = *state;
	struct buf b;
	int fd = edge_dial(r);

	buf_init(&b, 10000);
	edge_talk(r, fd, UP EXPECT SIZED, strlen(UP EXPECT SIZED), INVITED, &b);
	assert_string_equal(b.data, INVITED);
	edge_talk(r, fd, "abcdef", 6, "took 6.", &b);
	(void)close(fd);
	fd = say(r, UP EXPECT SIZED "abcdef"); /* who does not wait need not be told */
	hear(r, fd, "HTTP/1.1 200", "took 12.");
	(void)close(fd);
	seen.asked = ANSWER; /* nor who is answered */
	fd = say(r, UP EXPECT SIZED);
	hear(r, fd, "HTTP/1.1 200", NULL);
	(void)close(fd);
	buf_fini(&b);
}

/* An answer that comes first is heard, also by a client that sends its whole body before it reads;
 * then the connection ends. */
static void
an_early_answer_is_heard(void **state)
{
	static const char head[] = UP "Content-Length: 40000000\r\n\r\n";
	static const struct {
		enum deed asked, first;
	} cases[] = {
	    {.asked = ANSWER}, {.first = ANSWER}, {.asked = STREAM}, {.first = STREAM}};
	struct edge *r = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t sent = 0;
		int fd;

		seen.asked = cases[i].asked;
		seen.first = cases[i].first;
		fd = say(r, head);
		edge_until(r, (sent += fill(fd, LARGE - sent)) == LARGE);
		edge_until(r, seen.asked_n == i + 1 && (i % 2 == 0 || seen.pieces_n == 1));
		if (seen.x != NULL) {
			gw_http_stream_end(seen.x);
			seen.x = NULL;
		}
		hear(r, fd, "HTTP/1.1 200", NULL);
		assert_true(seen.pieces_n <= 1);
		assert_int_equal(seen.ended_n, 0);
		(void)close(fd);
		edge_until(r, list_empty(&r->server->conns));
	}
	assert_int_equal(seen.closed_n, 0);
}

/* The time for that grows while bytes come, up to half a minute. */
static void
an_early_answer_has_time(void **state)
{
	struct edge *r = *state;
	uint64_t deadline, since;
	int fd;

	seen.asked = ANSWER;
	fd = say(r, UP "Content-Length: 1000\r\n\r\n");
	edge_until(r, conn_of(r)->state == GW_CONN_LINGER);
	deadline = conn_of(r)->deadline_ms;
	edge_send(fd, "x", 1);
	edge_until(r, conn_of(r)->deadline_ms > deadline);
	since = conn_of(r)->since_ms -= 29000;
	deadline = conn_of(r)->deadline_ms;
	edge_send(fd, "x", 1);
	edge_until(r, conn_of(r)->deadline_ms < deadline);
	assert_int_equal(conn_of(r)->deadline_ms, since + 30000);
	hear(r, fd, "HTTP/1.1 200", NULL);
	(void)close(fd);
}

/* What was read to its end needs no new connection. */
static void
an_answer_to_the_last_piece_keeps_the_connection(void **state)
{
	struct edge *r = *state;
	int fd = edge_dial(r);

	seen.first = ANSWER;
	edge_send(fd, UP SIZED "abcdef" UP SIZED, strlen(UP SIZED "abcdef" UP SIZED));
	hear(r, fd, "HTTP/1.1 200", "took 6.");
	edge_until(r, seen.asked_n == 2);
	edge_send(fd, "ghijkl", 6);
	hear(r, fd, "HTTP/1.1 200", "took 12.");
	assert_int_equal(seen.ended_n, 0);
	(void)close(fd);
}

static void
a_malformed_chunk_ends_it(void **state)
{
	static const char *const bad[] = {"z\r\n", "1\r\nabc\r\n", "1\nx", "-1\r\n"};
	struct edge *r = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = say(r, UP CHUNKED "1\r\na\r\n");
		struct buf b;

		buf_init(&b, 10000);
		edge_talk(r, fd, bad[i], strlen(bad[i]), NULL, &b);
		assert_int_equal(strncmp(b.data, "HTTP/1.1 400", 12), 0);
		assert_non_null(strstr(b.data, "malformed chunked body"));
		assert_null(strstr(b.data, "X-Upload")); /* was meant for another answer */
		assert_int_equal(seen.closed_n, i + 1);
		assert_int_equal(seen.ended_n, 0);
		buf_fini(&b);
		(void)close(fd);
	}
	seen.closed = STOP; /* which drops the connection as it is being answered */
	(void)close(say(r, UP CHUNKED "z"));
	edge_until(r, seen.closed_n == sizeof(bad) / sizeof(bad[0]) + 1);
}

/* max_body_bytes is 1000 here. */
static void
strangers_may_not_send_much(void **state)
{
	static const char open_[] = "POST /open HTTP/1.1\r\n" HOST;
	struct edge *r = *state;
	char text[2000], body[1001];

	memset(body, 'x', 1000);
	body[1000] = '\0';
	(void)snprintf(text, sizeof(text), "%sContent-Length: 1001\r\n\r\n", open_);
	edge_expect(r, text, "HTTP/1.1 413", NULL);
	assert_int_equal(seen.asked_n, 0);
	(void)snprintf(text, sizeof(text), "%s" CHUNKED "3e8\r\n%s\r\n0\r\n\r\n", open_, body);
	edge_expect(r, text, "HTTP/1.1 200", "took 1000.");
	(void)snprintf(text, sizeof(text), "%s" CHUNKED "3e8\r\n%s\r\n1\r\nx\r\n", open_, body);
	edge_expect(r, text, "HTTP/1.1 413", NULL);
	assert_int_equal(seen.closed_n, 1);
}

/* 408 for who stops sending, while one whose piece is held may wait. */
static void
only_the_client_is_hurried(void **state)
{
	struct edge *r = *state;
	int held, slow;

	r->cfg.idle_timeout_ms = 100;
	edge_restart(r);
	seen.hold = true;
	held = say(r, UP SIZED "abc");
	edge_until(r, seen.pieces_n == 1);
	assert_int_equal(conn_of(r)->deadline_ms, 0);
	for (size_t i = 0; i < 3; i++) {
		struct gw_http *x = seen.x;

		seen.hold = false;
		slow = say(r, UP CHUNKED "2\r\na");
		hear(r, slow, "HTTP/1.1 408", NULL);
		(void)close(slow);
		assert_int_equal(seen.closed_n, i + 1);
		seen.x = x;
	}
	receive(); /* now it is the client's turn */
	hear(r, held, "HTTP/1.1 408", NULL);
	assert_int_equal(seen.closed_n, 4);
	(void)close(held);
}

static void
clients_vanish(void **state)
{
	static const struct {
		const char *why, *said;
		bool hold, mute, leaves_late; /* noticed when the dialect goes on */
		size_t pieces;
		enum deed first;
	} cases[] = {
	    {"before the body", .said = UP SIZED},
	    {"before the body, told to go on", .said = UP EXPECT SIZED},
	    {"during the body", .said = UP SIZED "abc", .pieces = 1},
	    {"in the size of a chunk", .said = UP CHUNKED "1"},
	    {"in a chunk", .said = UP CHUNKED "6\r\nabc", .pieces = 1},
	    {"in the last chunk", .said = UP CHUNKED "1\r\na\r\n0\r\n", .pieces = 1},
	    {"held", .said = UP SIZED "abc", .hold = true, .leaves_late = true, .pieces = 1},
	    {"complete", .said = UP SIZED "abcdef", .mute = true, .pieces = 1},
	    {"answered by half", .said = UP SIZED "abc", .pieces = 1, .first = STREAM},
	};
	struct edge *r = *state;

	for (size_t i = 0; i < 2 * (sizeof(cases) / sizeof(cases[0])); i++) {
		int fd;

		seen.hold = cases[i / 2].hold;
		seen.mute = cases[i / 2].mute;
		seen.first = cases[i / 2].first;
		fd = say(r, cases[i / 2].said);
		edge_until(r, seen.asked_n == i + 1 && seen.pieces_n == cases[i / 2].pieces);
		assert_int_equal(seen.closed_n, i);
		leave(fd, i % 2 == 1);
		edge_settle(r);
		if (cases[i / 2].leaves_late)
			receive();
		edge_until(r, list_empty(&r->server->conns));
		if (seen.closed_n != i + 1 || seen.x != NULL)
			fail_msg("%s: %zu", cases[i / 2].why, seen.closed_n);
	}
}

/* A gateway that takes no more clients lets an upload end. */
static void
draining(void **state)
{
	struct edge *r = *state;
	int fd = say(r, UP SIZED "abc");
	struct buf b;

	buf_init(&b, 10000);
	edge_until(r, seen.pieces_n == 1);
	gw_server_drain(r->server);
	edge_settle(r);
	edge_talk(r, fd, "def", 3, NULL, &b);
	assert_non_null(strstr(b.data, "Connection: close\r\n"));
	assert_non_null(strstr(b.data, "took 6."));
	assert_int_equal(seen.closed_n, 0);
	buf_fini(&b);
	(void)close(fd);
}

/* One that stops ends it, in whatever state, also from within the dialect. */
static void
stopping(void **state)
{
	static const struct {
		const char *said;
		bool hold, mute;
		enum deed asked, first;
	} cases[] = {
	    {.said = UP SIZED},
	    {.said = UP SIZED "abc"},
	    {.said = UP SIZED "abc", .hold = true},
	    {.said = UP SIZED "abcdef", .mute = true},
	    {.said = UP SIZED "abc", .asked = STOP},
	    {.said = UP SIZED "abc", .first = STOP},
	    {.said = UP SIZED "abcdef", .first = STOP},
	    {.said = UP SIZED "abc", .first = STOP, .hold = true},
	    {.said = UP CHUNKED "3\r\nabc\r\n0\r\n\r\n", .first = STOP},
	    {.said = UP SIZED "abc", .first = STREAM},
	};
	struct edge *r = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd;

		seen.hold = cases[i].hold;
		seen.mute = cases[i].mute;
		seen.asked = cases[i].asked;
		seen.first = cases[i].first;
		fd = say(r, cases[i].said);
		edge_until(r, seen.asked_n == i + 1);
		edge_settle(r);
		gw_server_close_all(r->server);
		assert_int_equal(seen.closed_n, i + 1);
		edge_restart(r);
		assert_int_equal(seen.closed_n, i + 1);
		(void)close(fd);
	}
	seen.first = seen.asked = NOTHING;
	seen.hold = true;
	(void)close(say(r, UP SIZED "abc")); /* tear_down() frees the server with it */
	edge_until(r, seen.pieces_n == 1);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(bodies_arrive),
	    TEST(chunks_are_put_together),
	    TEST(small_chunks_come_together),
	    TEST(a_dialect_sets_the_pace),
	    TEST(more_is_asked_for_early_and_twice),
	    TEST(a_client_is_told_to_go_on),
	    TEST(an_early_answer_is_heard),
	    TEST(an_early_answer_has_time),
	    TEST(an_answer_to_the_last_piece_keeps_the_connection),
	    TEST(a_malformed_chunk_ends_it),
	    TEST(strangers_may_not_send_much),
	    TEST(only_the_client_is_hurried),
	    TEST(clients_vanish),
	    TEST(draining),
	    TEST(stopping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
