/* Unit test of gateway/answer: what goes back to a client, and what of its request a dialect
 * sees. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/dialect.h"
#include "tests/unit/edge_rig.h"
#include "wire/base/mem.h"

#define BLOCK 10000
#define BIG   (16U << 20)

/* --- a dialect for tests ---------------------------------------------------------------- */

static struct {
	struct gw_http *x; /* a stream that waits for its reader */
	size_t left;       /* of it, in blocks */
	size_t drained, closed;
} seen;

static void
hello(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_http_reply(x, 200, "text/plain", "hello", 5);
}

static size_t
number(const struct gw_http *x, const char *name)
{
	const char *text = gw_http_query(x, name);

	return text != NULL ? strtoul(text, NULL, 10) : 0;
}

/* ?promise=N&give=M */
static void
sized(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	static const char block[] = "123456789";

	(void)core;
	(void)body;
	(void)len;
	gw_http_add_header(x, "X-Kind", "sized");
	gw_http_stream_begin_sized(x, 206, "text/plain", number(x, "promise"));
	(void)gw_http_stream_write(x, block, number(x, "give"));
	gw_http_stream_end(x);
}

static void
pump(void *arg)
{
	static const char block[BLOCK];

	assert_ptr_equal(arg, &seen);
	seen.drained++;
	while (seen.left > 0) {
		seen.left--;
		if (gw_http_stream_write(seen.x, block, sizeof(block)) != 0)
			return;
	}
	gw_http_stream_end(seen.x);
}

static void
on_closed(void *arg)
{
	assert_ptr_equal(arg, &seen);
	seen.closed++;
}

static const struct gw_http_ops ops = {.drained = pump, .closed = on_closed};

static void
large(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	seen.left = 2000;
	seen.x = x;
	gw_http_set_ops(x, &ops, &seen);
	gw_http_stream_begin_sized(x, 200, NULL, 2000 * BLOCK);
	pump(&seen);
}

static void
stream(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_http_stream_begin(x, 200, "text/plain");
	gw_http_stream_end(x);
}

/* An array of n times the same string of BIG bytes. */
static void
big_json(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	char *text = mem_new(BIG + 1);
	json_t *string, *o = json_array();

	(void)core;
	(void)body;
	(void)len;
	memset(text, 'Z', BIG);
	string = json_string(text);
	for (size_t i = number(x, "n"); i > 0; i--)
		json_array_append(o, string);
	json_decref(string);
	mem_free(text);
	gw_http_reply_json(x, 200, o);
}

/* A stream that is one piece of n times BIG bytes, between two small ones. */
static void
big_piece(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	const size_t size = number(x, "n") * BIG;
	struct buf b;

	(void)core;
	(void)body;
	(void)len;
	buf_init(&b, SIZE_MAX / 4);
	gw_http_stream_begin(x, 200, "text/plain");
	assert_int_equal(buf_append(&b, "begin ", 6), 0);
	assert_int_equal(gw_http_stream_write_buf(x, &b), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_reserve(&b, size), 0);
	memset(b.data, 'Z', size);
	b.len = size;
	assert_int_equal(gw_http_stream_write_buf(x, &b),
	                 strcmp(gw_http_method(x), "HEAD") == 0 ? 0 : -EAGAIN);
	assert_int_equal(b.len, 0);
	assert_int_equal(gw_http_stream_write_buf(x, &b),
	                 0); /* nothing: it asks for no patience */
	assert_int_equal(buf_append(&b, " end", 4), 0);
	(void)gw_http_stream_write_buf(x, &b);
	gw_http_stream_end(x);
	buf_fini(&b);
}

/* How many paths there are, and the last of them. */
static void
paths(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	char text[100];
	size_t n = 0;
	int text_n;

	(void)core;
	(void)body;
	(void)len;
	while (gw_http_query_at(x, "p", n) != NULL)
		n++;
	assert_null(gw_http_query_at(x, "q", 0));
	text_n = snprintf(text, sizeof(text), "%zu, %s.", n,
	                  n > 0 ? gw_http_query_at(x, "p", n - 1) : "none");
	gw_http_reply(x, 200, "text/plain", text, (size_t)text_n);
}

static const struct gw_route rows[] = {
    {.method = "GET", .path = "/hello", .access = GW_ACCESS_PUBLIC, .http = hello},
    {.method = "POST", .path = "/hello", .access = GW_ACCESS_PUBLIC, .http = hello},
    {.method = "GET", .path = "/user", .access = GW_ACCESS_USER, .http = hello},
    {.method = "GET", .path = "/sized", .access = GW_ACCESS_PUBLIC, .http = sized},
    {.method = "GET", .path = "/large", .access = GW_ACCESS_PUBLIC, .http = large},
    {.method = "GET", .path = "/stream", .access = GW_ACCESS_PUBLIC, .http = stream},
    {.method = "GET", .path = "/json", .access = GW_ACCESS_PUBLIC, .http = big_json},
    {.method = "GET", .path = "/piece", .access = GW_ACCESS_PUBLIC, .http = big_piece},
    {.method = "GET", .path = "/paths", .access = GW_ACCESS_PUBLIC, .http = paths},
    {.method = NULL},
};
static const struct gw_dialect dialect = {.name = "test", .prefix = "", .routes = rows};
static const struct gw_dialect *const dialects[] = {&dialect, NULL};

static int
set_up(void **state)
{
	memset(&seen, 0, sizeof(seen));
	*state = edge_new(dialects);
	return 0;
}

static int
tear_down(void **state)
{
	edge_free(*state);
	return 0;
}

/* Say text and read up to `until` (NULL: all).  Returns what came; the caller frees it. */
static char *
ask(struct edge *r, const char *text, const char *until)
{
	int fd = edge_dial(r);
	struct buf b;
	char *got;

	buf_init(&b, 1 << 20);
	edge_talk(r, fd, text, strlen(text), until, &b);
	got = mem_strdup(b.data);
	buf_fini(&b);
	(void)close(fd);
	return got;
}

/* --- answers of a known length ---------------------------------------------------------- */

#define HELLO "GET /hello HTTP/1.1\r\n" HOST CLOSE

static void
a_promise_is_kept(void **state)
{
	struct edge *r = *state;
	char *got = ask(r, "GET /sized?promise=7&give=7 HTTP/1.1\r\n" HOST "\r\n" HELLO, NULL);

	assert_non_null(strstr(got, "HTTP/1.1 206 "));
	assert_non_null(strstr(got, "\r\nContent-Length: 7\r\n"));
	assert_non_null(strstr(got, "\r\nX-Kind: sized\r\n"));
	assert_null(strstr(got, "Transfer-Encoding"));
	mem_free(got);
	edge_expect(r, "GET /sized?promise=7&give=7 HTTP/1.1\r\n" HOST "\r\n" HELLO,
	            "HTTP/1.1 206", "hello");
	edge_expect(r, "GET /sized HTTP/1.1\r\n" HOST "\r\n" HELLO, "HTTP/1.1 206", "hello");
	edge_expect(
	    r, "GET /sized?promise=7&give=7 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" HELLO,
	    "HTTP/1.1 206", "hello");
}

/* The next request on that connection gets no answer: the client could not tell where it begins. */
static void
a_broken_promise_closes(void **state)
{
	struct edge *r = *state;
	char *got = ask(r, "GET /sized?promise=7&give=6 HTTP/1.1\r\n" HOST "\r\n" HELLO, NULL);

	assert_non_null(strstr(got, "\r\nContent-Length: 7\r\n"));
	assert_null(strstr(got, "200 OK"));
	mem_free(got);
}

/* HEAD: the length that a GET would have, whatever the dialect writes. */
static void
heads_have_a_length_and_no_body(void **state)
{
	static const char *const gives[] = {"", "&give=3", "&give=7"};
	struct edge *r = *state;

	for (size_t i = 0; i < sizeof(gives) / sizeof(gives[0]); i++) {
		char text[300], *got, *end;

		(void)snprintf(text, sizeof(text),
		               "HEAD /sized?promise=7%s HTTP/1.1\r\n" HOST "\r\n" HELLO,
		               gives[i]);
		got = ask(r, text, NULL);
		assert_int_equal(strncmp(got, "HTTP/1.1 206", 12), 0);
		end = strstr(got, "\r\n\r\n");
		assert_non_null(end);
		assert_int_equal(strncmp(end + 4, "HTTP/1.1 200", 12), 0);
		*end = '\0';
		assert_non_null(strstr(got, "\r\nContent-Length: 7"));
		mem_free(got);
	}
}

static void
a_large_one_waits_for_its_reader(void **state)
{
	static const char text[] = "GET /large HTTP/1.1\r\n" HOST "\r\n" HELLO;
	struct edge *r = *state;
	int fd = edge_dial(r);
	struct buf b;

	edge_send(fd, text, strlen(text));
	edge_until(r, seen.x != NULL);
	edge_settle(r);
	assert_true(seen.left > 0);
	buf_init(&b, 4000 * BLOCK);
	edge_talk(r, fd, "", 0, NULL, &b);
	assert_int_equal(seen.left, 0);
	assert_true(seen.drained > 10);
	assert_true(b.len > 2000 * BLOCK);
	assert_memory_equal(b.data + b.len - 5, "hello", 5);
	assert_int_equal(seen.closed, 0);
	buf_fini(&b);
	(void)close(fd);
}

/* --- longer than what may wait for a client ------------------------------------------------ */

/* Ask for path and then for hello: how many Z came of it; the rest, cut, goes to ret. */
static size_t
count_z(struct edge *r, const char *line, char *ret, size_t size)
{
	int fd = edge_dial(r);
	char text[200];
	size_t n = 0, kept = 0;
	struct buf b;

	(void)snprintf(text, sizeof(text), "%s\r\n" HOST "\r\n" HELLO, line);
	buf_init(&b, 10 * BIG);
	edge_talk(r, fd, text, strlen(text), NULL, &b);
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] == 'Z')
			n++;
		else if (kept + 1 < size)
			ret[kept++] = b.data[i];
	ret[kept] = '\0';
	buf_fini(&b);
	(void)close(fd);
	return n;
}

static void
a_long_one_arrives_whole(void **state)
{
	struct edge *r = *state;
	char rest[1000], *second;

	assert_int_equal(count_z(r, "GET /json?n=5 HTTP/1.1", rest, sizeof(rest)), 5 * BIG);
	second = strstr(rest, "[\"\",\"\",\"\",\"\",\"\"]HTTP/1.1 200 OK");
	assert_non_null(second);
	assert_non_null(strstr(second, "hello"));
	assert_int_equal(count_z(r, "GET /piece?n=5 HTTP/1.1", rest, sizeof(rest)), 5 * BIG);
	second =
	    strstr(rest, "6\r\nbegin \r\n5000000\r\n\r\n4\r\n end\r\n0\r\n\r\nHTTP/1.1 200 OK");
	assert_non_null(second);
	assert_non_null(strstr(second, "hello"));
	assert_int_equal(count_z(r, "HEAD /piece?n=5 HTTP/1.1", rest, sizeof(rest)), 0);
	assert_non_null(strstr(rest, "hello"));
	assert_int_equal(count_z(r, "GET /piece?n=5 HTTP/1.0", rest, sizeof(rest)), 5 * BIG);
	assert_non_null(strstr(rest, "\r\n\r\nbegin  end"));
}

static void
one_that_is_too_long_says_so(void **state)
{
	struct edge *r = *state;

	edge_expect(r, "GET /json?n=16 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 500",
	            "the answer is longer than 256 MiB");
}

/* --- X-Request-ID ----------------------------------------------------------------------- */

static void
answers_repeat_the_request_id(void **state)
{
	static const struct {
		const char *line, *status;
	} cases[] = {
	    {"GET /hello HTTP/1.1\r\n" HOST, "200"},
	    {"GET /stream HTTP/1.1\r\n" HOST, "200"},
	    {"GET /sized HTTP/1.1\r\n" HOST, "206"},
	    {"GET /user HTTP/1.1\r\n" HOST, "401"},
	    {"GET /nope HTTP/1.1\r\n" HOST, "404"},
	    {"PUT /hello HTTP/1.1\r\n" HOST, "405"},
	    {"OPTIONS /hello HTTP/1.1\r\n" HOST, "204"},
	    {"POST /hello HTTP/1.1\r\nContent-Length: 1001\r\n" HOST, "413"},
	    {"GET /hello HTTP/1.1\r\nHost: evil.example\r\n", "403"},
	    {"GET /hello?a=%ff HTTP/1.1\r\n" HOST, "400"},
	    {"GET /hello HTTP/1.1\r\n", "400"},
	};
	struct edge *r = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[300], *got;

		(void)snprintf(text, sizeof(text), "%sx-request-id: 4f-b!\r\n" CLOSE,
		               cases[i].line);
		got = ask(r, text, NULL);
		assert_int_equal(strncmp(got + strlen("HTTP/1.1 "), cases[i].status, 3), 0);
		assert_non_null(strstr(got, "\r\nX-Request-ID: 4f-b!\r\n"));
		mem_free(got);
	}
}

static void
other_request_ids_are_not_repeated(void **state)
{
	static const char digits[] = "0123456789abcdef0123456789abcdef0123456789abcdef"
				     "0123456789abcdef0123456789abcdef0123456789abcdef"
				     "0123456789abcdef0123456789abcdef";
	struct edge *r = *state;
	const struct {
		const char *id, *more;
		bool repeated;
	} cases[] = {
	    {digits, "", true}, {digits, "x", false}, {"", "", false},
	    {"a b", "", false}, {"a", "\tb", false},  {"caf\xc3\xa9", "", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[400], *got;

		(void)snprintf(text, sizeof(text),
		               "GET /hello HTTP/1.1\r\n" HOST "X-Request-ID: %s%s\r\n" CLOSE,
		               cases[i].id, cases[i].more);
		got = ask(r, text, NULL);
		assert_int_equal(strstr(got, "X-Request-ID: ") != NULL, cases[i].repeated);
		mem_free(got);
	}
}

/* --- queries ---------------------------------------------------------------------------- */

static void
a_parameter_may_come_often(void **state)
{
	struct edge *r = *state;
	struct buf b;

	r->cfg.max_header_bytes = 8000;
	edge_restart(r);
	edge_expect(r, "GET /paths HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", "0, none.");
	buf_init(&b, 10000);
	(void)buf_printf(&b, "GET /paths?p=0");
	for (int i = 1; i < 1024; i++)
		(void)buf_printf(&b, "&p=%x", i);
	(void)buf_printf(&b, " HTTP/1.1\r\n" HOST "\r\n");
	edge_expect(r, b.data, "HTTP/1.1 200", "1024, 3ff.");
	memcpy(strchr(b.data, '?'), "?&", 2); /* 1025 */
	edge_expect(r, b.data, "HTTP/1.1 400", "too many query parameters: at most 1024");
	buf_fini(&b);
}

static void
a_malformed_query_is_named(void **state)
{
	struct edge *r = *state;

	edge_expect(r, "GET /paths?a=1&p=caf%e9 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400",
	            "malformed query string: the value of 'p' is no UTF-8 text");
}

static void
what_is_not_understood_is_named(void **state)
{
	struct edge *r = *state;

	edge_expect(r, "BREW /hello HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 501",
	            "unknown method: BREW");
	edge_expect(r, "GET /caf%e9 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400",
	            "malformed path: /caf%e9");
	edge_expect(r, "GET /hello HTTP/1.1\r\n" HOST "hello\r\n\r\n", "HTTP/1.1 400",
	            "line 3 of the head is no header");
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_promise_is_kept),
	    TEST(a_broken_promise_closes),
	    TEST(heads_have_a_length_and_no_body),
	    TEST(a_large_one_waits_for_its_reader),
	    TEST(a_long_one_arrives_whole),
	    TEST(one_that_is_too_long_says_so),
	    TEST(answers_repeat_the_request_id),
	    TEST(other_request_ids_are_not_repeated),
	    TEST(a_parameter_may_come_often),
	    TEST(a_malformed_query_is_named),
	    TEST(what_is_not_understood_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
