/* Unit test of gateway/server: listeners, and clients on the server's own loop. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/auth.h"
#include "gateway/dialect.h"
#include "gateway/server.h"
#include "tests/unit/edge_rig.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/loop.h"

#define BIG 600000 /* bytes of a message that is not copied */
#define UPGRADE                                                                                \
	"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"           \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

/* --- a dialect for tests ---------------------------------------------------------------- */

static struct {
	struct gw_http *held; /* asked, not answered */
	struct gw_ws *ws;
	size_t http_closed, ws_closed, drained;
	size_t left; /* of a stream */
	struct loop *lp;
	struct gw_server *server;
} seen;

static void
hello(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	gw_http_reply(x, 200, "text/plain", len > 0 ? body : "hello", len > 0 ? len : 5);
}

/* As the gateway ends: the answer is queued when all connections are told to go. */
static void
stop(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	hello(core, x, body, len);
	gw_server_close_all(seen.server);
}

static void
on_closed(void *arg)
{
	assert_ptr_equal(arg, &seen);
	seen.http_closed++;
	seen.held = NULL;
	loop_stop(seen.lp);
}

static void
pump(void *arg)
{
	static const char block[10000];

	(void)arg;
	seen.drained++;
	for (; seen.left > 0; seen.left--)
		if (gw_http_stream_write(seen.held, block, sizeof(block)) == -EAGAIN) {
			seen.left--;
			return;
		}
	gw_http_stream_end(seen.held);
}

static const struct gw_http_ops http_ops = {.drained = pump, .closed = on_closed};

static void
hold(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	seen.held = x;
	gw_http_set_ops(x, &http_ops, &seen);
	loop_stop(seen.lp);
}

static void
stream(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	hold(core, x, body, len);
	gw_http_stream_begin(x, 200, "application/octet-stream");
	pump(&seen);
}

static void
ws_opened(struct gw_core *core, struct gw_ws *c)
{
	(void)core;
	seen.ws = c;
	assert_string_equal(gw_ws_header(c, "host"), "localhost");
}

/* A message that is taken, and one behind it. */
static void
send_big(struct gw_ws *c)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < GW_WS_ROOM; i++)
		(void)buf_append(&b, "-", 1);
	while (b.len < GW_WS_ROOM + BIG)
		(void)buf_append(&b, "0123456789", 10);
	assert_int_equal(gw_ws_send_buf(c, &b), -EAGAIN);
	assert_int_equal(b.len, 0);
	for (size_t i = 0; i <= GW_WS_ROOM; i++)
		(void)buf_append(&b, "<", 1);
	assert_int_equal(gw_ws_send_buf(c, &b), -EAGAIN);
	buf_fini(&b);
}

static void
ws_message(struct gw_core *core, struct gw_ws *c, const char *msg, size_t len, bool binary)
{
	(void)core;
	(void)binary;
	if (len == 3 && memcmp(msg, "end", 3) == 0) {
		(void)gw_ws_send(c, "last", 4);
		gw_ws_close(c, 4008, "over");
		(void)gw_ws_send(c, "lost", 4);
	} else if (len == 3 && memcmp(msg, "big", 3) == 0) {
		send_big(c);
	} else {
		(void)gw_ws_send(c, msg, len);
	}
}

static void
ws_closed(struct gw_core *core, struct gw_ws *c)
{
	(void)core;
	assert_ptr_equal(c, seen.ws);
	seen.ws = NULL;
	seen.ws_closed++;
}

static const struct gw_ws_ops ws_ops = {
    .opened = ws_opened, .message = ws_message, .closed = ws_closed};

static const struct gw_route rows[] = {
    {.method = "GET", .path = "/hello", .access = GW_ACCESS_PUBLIC, .http = hello},
    {.method = "POST", .path = "/hello", .access = GW_ACCESS_PUBLIC, .http = hello},
    {.method = "GET", .path = "/hold", .access = GW_ACCESS_USER, .http = hold},
    {.method = "GET", .path = "/stop", .access = GW_ACCESS_PUBLIC, .http = stop},
    {.method = "GET", .path = "/stream", .access = GW_ACCESS_PUBLIC, .http = stream},
    {.method = "GET", .path = "/forgotten", .http = hello},
    {.method = "GET", .path = "/one", .access = GW_ACCESS_SANDBOX, .http = hello},
    {.method = "GET", .path = "/s/{sandbox}", .access = GW_ACCESS_USER, .http = hello},
    {.method = "WS", .path = "/ws", .access = GW_ACCESS_PUBLIC, .ws = &ws_ops},
    {.method = "WS", .path = "/late", .access = GW_ACCESS_LATE, .ws = &ws_ops},
    {.method = NULL},
};
static const struct gw_dialect dialect = {.name = "test", .prefix = "", .routes = rows};
static const struct gw_dialect *const dialects[] = {&dialect, NULL};

static int
set_up(void **state)
{
	struct edge *r = edge_new(dialects);

	memset(&seen, 0, sizeof(seen));
	seen.lp = r->lp;
	seen.server = r->server;
	*state = r;
	return 0;
}

static int
tear_down(void **state)
{
	edge_free(*state);
	return 0;
}

/* --- tests ------------------------------------------------------------------------------ */

static void
listening(void **state)
{
	struct edge *r = *state;
	struct gw_server *other = NULL;
	const char *listen[] = {NULL, NULL};
	struct gw_server_config cfg = r->cfg;
	struct err err = {""};
	static const char *const bad[] = {
	    "",    "x",      "127.0.0.1", "127.0.0.1:",      "127.0.0.1:8x",
	    ":80", "::1:80", "[::1:80",   "127.0.0.1:99999", "8.8.8.8:0"};

	cfg.listen = listen;
	listen[0] = gw_server_url(r->server, 0) + strlen("http://");
	assert_int_equal(gw_server_start(&cfg, &other, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "address in use"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		listen[0] = bad[i];
		assert_int_equal(gw_server_start(&cfg, &other, &err), -EINVAL);
	}
	assert_null(other);
	assert_null(gw_server_url(r->server, 1));
}

/* Commands find the gateway at 127.0.0.1. */
static void
the_port_of_loopback(void **state)
{
	static const struct {
		const char *listen[3];
		int which; /* -1: none */
	} cases[] = {
	    {{"127.0.0.1:0"}, 0},
	    {{"0.0.0.0:0"}, 0},
	    {{"127.0.0.2:0", "127.0.0.1:0"}, 1},
	    {{"127.0.0.2:0", "0.0.0.0:0"}, 1},
	    {{"127.0.0.2:0"}, -1},
	};
	struct edge *r = *state;
	struct gw_server_config cfg = r->cfg;
	struct gw_server *s = NULL;
	struct err err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned port = 0;

		cfg.listen = cases[i].listen;
		assert_int_equal(gw_server_start(&cfg, &s, &err), 0);
		if (cases[i].which >= 0)
			port = (unsigned)strtoul(
			    strrchr(gw_server_url(s, (size_t)cases[i].which), ':') + 1, NULL,
			    10);
		assert_int_equal(gw_server_port_of_loopback(s), port);
		gw_server_free(s);
	}
}

/* Where there is IPv6: its listeners take no IPv4. */
static void
no_port_of_loopback(void **state)
{
	static const char *const listen[] = {"[::1]:0", "[::]:0", NULL};
	struct edge *r = *state;
	struct gw_server_config cfg = r->cfg;
	struct gw_server *s = NULL;
	struct err err;

	cfg.listen = listen;
	if (gw_server_start(&cfg, &s, &err) != 0)
		skip();
	assert_int_equal(gw_server_port_of_loopback(s), 0);
	gw_server_free(s);
}

static void
requests_are_answered(void **state)
{
	struct edge *r = *state;

	edge_expect(r, "GET /hello HTTP/1.1\r\n" HOST CLOSE, "HTTP/1.1 200 OK\r\n", NULL);
	edge_expect(r, "HEAD /hello HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n",
	            "\r\n\r\n");
	edge_expect(r, "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc",
	            "HTTP/1.1 200", "\r\n\r\nabc");
	edge_expect(r,
	            "POST /hello HTTP/1.1\r\n" HOST
	            "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
	            "HTTP/1.1 200", "\r\n\r\nabc");
	edge_expect(r,
	            "POST /hello HTTP/1.1\r\n" HOST
	            "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
	            "HTTP/1.1 100 Continue\r\n\r\n", "\r\n\r\n");
	edge_expect(r,
	            "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
	            "GET /hello HTTP/1.1\r\n" HOST CLOSE,
	            "HTTP/1.1 200", "\r\n\r\nhello");
	edge_expect(r, "GET /hello HTTP/1.0\r\n\r\n", "HTTP/1.1 200", NULL);
}

static void
requests_are_refused(void **state)
{
	struct edge *r = *state;

	edge_expect(r, "GET /nope HTTP/1.1\r\n" HOST CLOSE, "HTTP/1.1 404", NULL);
	edge_expect(r, "PUT /hello HTTP/1.1\r\n" HOST CLOSE, "HTTP/1.1 405", NULL);
	edge_expect(r, "GET /hold HTTP/1.1\r\n" HOST CLOSE, "HTTP/1.1 401", NULL);
	edge_expect(r, "GET /forgotten?token=secret HTTP/1.1\r\n" HOST CLOSE, "HTTP/1.1 403",
	            NULL);
	edge_expect(r, "GET /hello HTTP/1.1\r\nHost: evil.example\r\n" CLOSE, "HTTP/1.1 403",
	            NULL);
	edge_expect(r, "POST /hello HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n" CLOSE,
	            "HTTP/1.1 403", NULL);
	edge_expect(r, "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n",
	            "HTTP/1.1 413", NULL);
	edge_expect(
	    r, "GET /hello HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
	    "HTTP/1.1 400", NULL);
	edge_expect(r, "GET /ws HTTP/1.1\r\n" HOST CLOSE, "HTTP/1.1 426", NULL);
	edge_expect(r, "GET /hello HTTP/1.1\r\n" HOST UPGRADE "\r\n", "HTTP/1.1 404", "}}");
}

static void
sandbox_tokens_open_what_they_may(void **state)
{
	struct edge *r = *state;
	char *token = gw_auth_sandbox_token(r->auth, "box"), text[400];
	static const struct {
		const char *path, *status;
	} cases[] = {{"/s/box", "HTTP/1.1 200"},
	             {"/s/other", "HTTP/1.1 401"},
	             {"/one", "HTTP/1.1 200"},
	             {"/hold", "HTTP/1.1 401"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)snprintf(text, sizeof(text),
		               "GET %s HTTP/1.1\r\n" HOST "X-Access-Token: %s\r\n" CLOSE,
		               cases[i].path, token);
		edge_expect(r, text, cases[i].status, NULL);
	}
	free(token);
}

static void
a_client_that_leaves_is_noticed(void **state)
{
	static const char text[] =
	    "GET /hold HTTP/1.1\r\n" HOST "Authorization: bearer secret\r\n\r\n";
	struct edge *r = *state;
	int fd = edge_dial(r);

	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	edge_run(r); /* until the dialect has it */
	assert_non_null(seen.held);
	(void)close(fd);
	edge_run(r); /* until it hears of that */
	assert_int_equal(seen.http_closed, 1);
	assert_int_equal(gw_server_connections(r->server), 0);
}

static void
a_stream_waits_for_its_reader(void **state)
{
	static const char text[] = "GET /stream HTTP/1.1\r\n" HOST CLOSE;
	struct edge *r = *state;
	int fd = edge_dial(r);
	struct buf b;

	seen.left = 2000; /* of 10,000 bytes: more than sockets hold */
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	edge_run(r);
	assert_true(seen.left > 0);
	buf_init(&b, 1U << 30);
	edge_talk(r, fd, "", 0, NULL, &b);
	assert_int_equal(seen.left, 0);
	assert_true(b.len > 20000000);
	assert_memory_equal(b.data + b.len - 5, "0\r\n\r\n", 5);
	assert_true(seen.drained > 10);
	assert_int_equal(seen.http_closed, 0);
	buf_fini(&b);
	(void)close(fd);
}

static void
a_stream_that_is_cut_is_not_complete(void **state)
{
	static const char text[] = "GET /hold?token=secret HTTP/1.1\r\n" HOST "\r\n";
	struct edge *r = *state;
	int fd = edge_dial(r);
	struct buf b;

	buf_init(&b, 10000);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	edge_run(r);
	gw_http_stream_begin(seen.held, 200, NULL);
	assert_int_equal(gw_http_stream_write(seen.held, "half", 4), 0);
	edge_talk(r, fd, "", 0, "half\r\n", &b); /* all is sent */
	gw_http_stream_cut(seen.held);
	edge_talk(r, fd, "", 0, NULL, &b);
	assert_string_equal(strstr(b.data, "\r\n\r\n"), "\r\n\r\n4\r\nhalf\r\n");
	assert_null(strstr(b.data, "Content-Type"));
	assert_int_equal(seen.http_closed, 0);
	buf_fini(&b);
	(void)close(fd);
}

static void
a_websocket_talks_and_ends(void **state)
{
	static const char upgrade[] = "GET /ws HTTP/1.1\r\n" HOST UPGRADE "\r\n";
	static const char hi[] = "\x81\x82\0\0\0\0hi", end[] = "\x81\x83\0\0\0\0end";
	struct edge *r = *state;
	int fd = edge_dial(r);
	struct buf b;

	buf_init(&b, 10000);
	edge_talk(r, fd, upgrade, sizeof(upgrade) - 1, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
	          &b);
	assert_int_equal(strncmp(b.data, "HTTP/1.1 101", 12), 0);
	edge_talk(r, fd, hi, sizeof(hi) - 1, "\x81\x02hi", &b);
	assert_non_null(seen.ws);
	edge_talk(r, fd, end, sizeof(end) - 1, "\x81\x04last\x88\x06\x0f\xa8over", &b);
	edge_talk(r, fd, "\x88\x82\0\0\0\0\x0f\xa8", 8, NULL, &b);
	assert_int_equal(seen.ws_closed, 1);
	assert_null(memmem(b.data, b.len, "lost", 4));
	buf_fini(&b);
	(void)close(fd);
}

/* Whoever has shown no token may neither send much nor stay. */
static void
strangers_get_little(void **state)
{
	static const char upgrade[] = "GET /late HTTP/1.1\r\n" HOST UPGRADE "\r\n";
	static const char large[] = "\x81\xff\0\0\0\0\0\1\xff\xff\0\0\0\0x";
	struct edge *r = *state;
	struct buf b;
	int fd;

	r->cfg.max_body_bytes = r->cfg.max_message_bytes = 1 << 20;
	r->cfg.idle_timeout_ms = 100;
	edge_restart(r);
	edge_expect(r, "POST /hello HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n",
	            "HTTP/1.1 413", NULL);
	buf_init(&b, 10000);
	fd = edge_dial(r);
	edge_talk(r, fd, upgrade, sizeof(upgrade) - 1, "\r\n\r\n", &b);
	edge_talk(r, fd, large, sizeof(large) - 1, "\x03\xf1message too large", &b);
	(void)close(fd);
	fd = edge_dial(r);
	edge_talk(r, fd, upgrade, sizeof(upgrade) - 1, "\x03\xf0no token came", &b);
	(void)close(fd);
	buf_fini(&b);
}

static void
too_many_are_told(void **state)
{
	static const char text[] = "GET /hello HTTP/1.1\r\n" HOST "\r\n";
	struct edge *r = *state;
	int fd[4];

	for (int i = 0; i < 4; i++) {
		struct buf b;

		fd[i] = edge_dial(r);
		buf_init(&b, 10000);
		edge_talk(r, fd[i], text, sizeof(text) - 1, "hello", &b);
		buf_fini(&b);
	}
	assert_int_equal(gw_server_connections(r->server), 4);
	edge_expect(r, "", "HTTP/1.1 503", NULL);
	for (int i = 0; i < 4; i++)
		(void)close(fd[i]);
}

static void
an_answer_outlives_the_order_to_stop(void **state)
{
	static const char text[] = "GET /stop HTTP/1.1\r\n" HOST "\r\n";
	struct edge *r = *state;
	int fd = edge_dial(r);
	struct buf b;

	buf_init(&b, 10000);
	edge_talk(r, fd, text, sizeof(text) - 1, NULL, &b);
	assert_non_null(strstr(b.data, "\r\n\r\nhello"));
	buf_fini(&b);
	(void)close(fd);
}

/* tear_down() ends a server with all of these open. */
static void
open_ends(void **state)
{
	static const char hold_[] = "GET /hold?token=secret HTTP/1.1\r\n" HOST "\r\n";
	static const char upgrade[] = "GET /ws HTTP/1.1\r\n" HOST UPGRADE "\r\n";
	struct edge *r = *state;
	struct buf b;
	int half = edge_dial(r), held = edge_dial(r), ws = edge_dial(r);

	buf_init(&b, 10000);
	assert_int_equal(write(half, "GET", 3), 3);
	assert_int_equal(write(held, hold_, sizeof(hold_) - 1), sizeof(hold_) - 1);
	edge_run(r);
	edge_talk(r, ws, upgrade, sizeof(upgrade) - 1, "\r\n\r\n", &b);
	assert_int_equal(gw_server_connections(r->server), 3);
	gw_server_drain(r->server);
	gw_server_close_all(r->server);
	assert_int_equal(seen.http_closed, 1);
	buf_fini(&b);
	(void)close(half);
	(void)close(held);
	(void)close(ws);
}

/* What a client puts together again from the frames at the start of b; *ret_frames are counted. */
static size_t
unframe(const struct buf *b, char *ret, size_t room, size_t *ret_frames)
{
	const unsigned char *p = (const unsigned char *)b->data;
	size_t total = 0;
	bool last = false;

	for (*ret_frames = 0; !last; (*ret_frames)++) {
		size_t len = p[1];
		int n = len == 127 ? 8 : len == 126 ? 2 : 0;

		assert_int_equal(p[0] & 0x7F, *ret_frames == 0 ? 1 : 0); /* text, then more */
		last = (p[0] & 0x80) != 0;
		if (n > 0)
			len = 0;
		for (int i = 0; i < n; i++)
			len = len << 8 | p[2 + i];
		assert_true(total + len <= room);
		memcpy(ret + total, p + 2 + n, len);
		total += len;
		p += 2 + n + len;
	}
	return total;
}

/* A large message comes in fragments, all of it, and before what was sent after it. */
static void
a_large_message_goes_in_fragments(void **state)
{
	static const char upgrade[] = "GET /ws HTTP/1.1\r\n" HOST UPGRADE "\r\n";
	static const char big[] = "\x81\x83\0\0\0\0big";
	static char got[BIG];
	struct edge *r = *state;
	int fd = edge_dial(r);
	size_t frames;
	struct buf b;

	buf_init(&b, 1 << 20);
	edge_talk(r, fd, upgrade, strlen(upgrade), "\r\n\r\n", &b);
	buf_consume(&b, b.len);
	edge_talk(r, fd, big, sizeof(big) - 1, "\x81\x01<", &b);
	assert_int_equal(unframe(&b, got, sizeof(got), &frames), BIG);
	assert_true(frames > 1);
	for (size_t i = 0; i < BIG; i++)
		assert_int_equal(got[i], '0' + i % 10);
	buf_fini(&b);
	(void)close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(listening, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(the_port_of_loopback, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(no_port_of_loopback, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(requests_are_answered, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(requests_are_refused, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(sandbox_tokens_open_what_they_may, set_up,
	                                    tear_down),
	    cmocka_unit_test_setup_teardown(a_client_that_leaves_is_noticed, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_stream_waits_for_its_reader, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_stream_that_is_cut_is_not_complete, set_up,
	                                    tear_down),
	    cmocka_unit_test_setup_teardown(a_websocket_talks_and_ends, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(a_large_message_goes_in_fragments, set_up,
	                                    tear_down),
	    cmocka_unit_test_setup_teardown(strangers_get_little, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(too_many_are_told, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(an_answer_outlives_the_order_to_stop, set_up,
	                                    tear_down),
	    cmocka_unit_test_setup_teardown(open_ends, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
