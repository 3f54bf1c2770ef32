/* Unit test of gateway/head, gateway/uri and gateway/chunk: what of HTTP is read, and what
 * refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/chunk.h"
#include "gateway/head.h"
#include "gateway/uri.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"

#define HOST "Host: h\r\n"

static int
parse(struct gw_head *h, const char *text, struct err *err)
{
	size_t len = strlen(text);

	assert_int_equal(gw_head_end(text, len), len);
	return gw_head_parse(h, text, len, err);
}

static void
a_request_is_read(void **state)
{
	struct gw_head h;
	struct err err = {""};

	(void)state;
	assert_int_equal(
	    parse(&h,
	          "\r\nPOST /a%20b?x=1&y HTTP/1.1\r\nHOST:  h:1 \r\nX-Some: a\t b\r\n"
	          "content-length: 12\r\nConnection: Keep-Alive, Upgrade\r\n\r\n",
	          &err),
	    0);
	assert_string_equal(h.method, "POST");
	assert_string_equal(h.path, "/a%20b");
	assert_string_equal(h.query, "x=1&y");
	assert_string_equal(h.host, "h:1");
	assert_string_equal(gw_head_get(&h, "x-some"), "a\t b");
	assert_null(gw_head_get(&h, "x-none"));
	assert_int_equal(h.length, 12);
	assert_true(h.keep_alive && !h.http10 && !h.chunked && !h.websocket &&
	            !h.wants_continue);
	gw_head_fini(&h);
}

static void
meanings(void **state)
{
	struct gw_head h;
	struct err err = {""};

	(void)state;
	assert_int_equal(parse(&h, "GET http://o:2/p HTTP/1.1\r\n" HOST "\r\n", &err), 0);
	assert_string_equal(h.host, "o:2"); /* the target's wins: RFC 9112, 3.2.2 */
	assert_string_equal(h.path, "/p");
	gw_head_fini(&h);
	assert_int_equal(parse(&h, "GET / HTTP/1.0\r\n\r\n", &err), 0);
	assert_true(h.http10 && !h.keep_alive && h.host == NULL);
	gw_head_fini(&h);
	assert_int_equal(parse(&h, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &err),
	                 0);
	assert_true(h.keep_alive);
	gw_head_fini(&h);
	assert_int_equal(parse(&h, "GET / HTTP/1.1\r\n" HOST "Connection: CLOSE\r\n\r\n", &err),
	                 0);
	assert_false(h.keep_alive);
	gw_head_fini(&h);
	assert_int_equal(parse(&h,
	                       "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n"
	                       "Expect: 100-Continue\r\n\r\n",
	                       &err),
	                 0);
	assert_true(h.chunked && h.wants_continue && h.length == 0);
	gw_head_fini(&h);
	assert_int_equal(parse(&h,
	                       "GET / HTTP/1.1\r\n" HOST "Connection: keep-alive, upgrade\r\n"
	                       "Upgrade: h2c, WebSocket\r\n\r\n",
	                       &err),
	                 0);
	assert_true(h.websocket);
	gw_head_fini(&h);
	assert_int_equal(
	    parse(&h, "GET / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
	          &err),
	    0);
	assert_false(h.websocket); /* other upgrades are ignored */
	gw_head_fini(&h);
	assert_int_equal(parse(&h,
	                       "GET / HTTP/1.1\r\n" HOST "Connection: keep-alive, closer\r\n"
	                       "Upgrade: h2c\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
	                       "Connection: x , CLOSE\r\n\r\n",
	                       &err),
	                 0);
	assert_true(h.websocket && !h.keep_alive); /* one list in several lines */
	gw_head_fini(&h);
	assert_int_equal(
	    parse(&h, "GET / HTTP/1.1\r\n" HOST "Connection: closer\r\n\r\n", &err), 0);
	assert_true(h.keep_alive);
	gw_head_fini(&h);
}

static void
what_could_be_read_in_two_ways_is_refused(void **state)
{
	static const struct {
		int status;
		const char *text;
	} cases[] = {
	    {400, "hello\r\n\r\n"},
	    {400, "GET /\r\n\r\n"},
	    {400, "GET  / HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "GET / HTTP/1.1 \r\n" HOST "\r\n"},
	    {400, "GET / http/1.1\r\n" HOST "\r\n"},
	    {505, "GET / HTTP/2.0\r\n" HOST "\r\n"},
	    {505, "GET / HTTP/1.12\r\n" HOST "\r\n"},
	    {400, "G@T / HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "GET x HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "GET * HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "GET http:///x HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "GET http://h HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "GET /a#b HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "GET / HTTP/1.1\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n"},
	    {400, "GET / HTTP/1.1\n" HOST "\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST "A: b\nC: d\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST "\rTransfer-Encoding: chunked\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST "A: b\r\n\r\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST "\n\rA: b\r\n\r\n"},
	    {400, "\rGET / HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "\nGET / HTTP/1.1\r\n" HOST "\r\n"},
	    {400, "\r\n\r\n\n\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST " folded\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST "no colon\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n"},
	    {400, "GET / HTTP/1.1\r\n" HOST "A: \x01\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST
	          "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: \r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST "Content-Length: 1234567890123456789\r\n\r\n"},
	    {501, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n"},
	    {501, "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"},
	    {400, "POST / HTTP/1.1\r\n" HOST
	          "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
	    {417, "POST / HTTP/1.1\r\n" HOST "Expect: a miracle\r\n\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_head h;
		struct err err = {""};
		int status = parse(&h, cases[i].text, &err);

		if (status != cases[i].status || err.text[0] == '\0')
			fail_msg("%s: %d", cases[i].text, status);
		gw_head_fini(&h);
	}
}

/* Not by its text, which may be a token that lost its name. */
static void
a_malformed_line_is_named_by_its_number(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
	    {"\r\n\r\nGET / HTTP/1.1\n" HOST "\r\n", "line 1 of the head ends without CR"},
	    {"GET / HTTP/1.1\r\n" HOST "Bearer secret\r\n\r\n",
	     "line 3 of the head is no header"},
	    {"GET / HTTP/1.1\r\nsecret token: x\r\n" HOST "\r\n",
	     "line 2 of the head is no header"},
	    {"GET / HTTP/1.1\r\n" HOST "A: b\r\nC: \x01secret\r\n\r\n",
	     "line 4 of the head has a control character"},
	    {"GET / HTTP/1.1\r\n" HOST "A: b\rsecret\r\n\r\n",
	     "line 3 of the head has a stray CR"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_head h;
		struct err err = {""};

		assert_int_equal(parse(&h, cases[i].text, &err), 400);
		assert_string_equal(err.text, cases[i].why);
		gw_head_fini(&h);
	}
}

static void
ceilings(void **state)
{
	struct gw_head h;
	struct err err = {""};
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	(void)buf_printf(&b, "GET /%0*d HTTP/1.1\r\n" HOST "\r\n", GW_HEAD_TARGET_MAX, 0);
	assert_int_equal(parse(&h, b.data, &err), 414);
	gw_head_fini(&h);
	buf_fini(&b);
	(void)buf_printf(&b, "GET / HTTP/1.1\r\n" HOST);
	for (int i = 0; i < GW_HEAD_FIELDS_MAX; i++)
		(void)buf_printf(&b, "a: b\r\n");
	(void)buf_printf(&b, "\r\n");
	assert_int_equal(parse(&h, b.data, &err), 431);
	gw_head_fini(&h);
	buf_fini(&b);
}

static void
the_end_of_a_head(void **state)
{
	struct gw_head h;
	struct err err = {""};

	(void)state;
	assert_int_equal(gw_head_end("", 0), 0);
	assert_int_equal(gw_head_end("\r\n", 2), 0);
	assert_int_equal(gw_head_end("\r\n\r\n\r\n\r\n", 8), 0);
	assert_int_equal(gw_head_end("GET / HTTP/1.1\r\nA: b\r\n\r", 23), 0);
	assert_int_equal(gw_head_end("a\r\n\r\nbody\r\n\r\n", 13), 5);
	assert_int_equal(gw_head_parse(&h, "", 0, &err), 400);
	gw_head_fini(&h);
}

static void
a_list_may_have_several_fields(void **state)
{
	static const char *const want[] = {"a", "b c", "d", "e"};
	struct gw_head h;
	struct gw_head_list l = {.h = &h, .name = "x"}, none = {.h = &h, .name = "y"};
	struct err err = {""};
	const char *el;

	(void)state;
	assert_int_equal(parse(&h,
	                       "GET / HTTP/1.1\r\nX:  a ,, b c,d\r\n" HOST
	                       "x: \r\nX: , \r\nX: e\r\n\r\n",
	                       &err),
	                 0);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_int_equal(gw_head_list_next(&l, &el), strlen(want[i]));
		assert_memory_equal(el, want[i], strlen(want[i]));
	}
	assert_int_equal(gw_head_list_next(&l, &el), 0);
	assert_int_equal(gw_head_list_next(&none, &el), 0);
	assert_true(gw_head_list_has(&h, "x", "E"));
	assert_false(gw_head_list_has(&h, "x", "b"));
	assert_false(gw_head_list_has(&h, "y", "a"));
	gw_head_fini(&h);
}

static void
queries(void **state)
{
	struct gw_uri_pair p[4];
	char good[] = "a=1&&b%26=%3d+x&c", none[] = "";
	struct err err;

	(void)state;
	assert_int_equal(gw_uri_query_max(good), 4);
	assert_int_equal(gw_uri_query(good, p, &err), 3);
	assert_string_equal(gw_uri_find(p, 3, "a"), "1");
	assert_string_equal(gw_uri_find(p, 3, "b&"), "= x");
	assert_string_equal(gw_uri_find(p, 3, "c"), "");
	assert_null(gw_uri_find(p, 3, "d"));
	assert_int_equal(gw_uri_query(none, p, &err), 0);
}

static void
a_malformed_query_is_named(void **state)
{
	static const struct {
		const char *query, *why;
	} cases[] = {
	    {"a=1&path=%4", "the value of 'path' has a malformed percent-encoding"},
	    {"path=x%00y", "the value of 'path' has a zero byte"},
	    {"path=%c3%28", "the value of 'path' is no UTF-8 text"},
	    {"p%0ath=%ff", "the value of 'p\\x0ath' is no UTF-8 text"},
	    {"%ff=1", "the name of a parameter is no UTF-8 text"},
	    {"%f", "the name of a parameter has a malformed percent-encoding"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_uri_pair p[2];
		char text[40];
		struct err err;

		(void)snprintf(text, sizeof(text), "%s", cases[i].query);
		assert_int_equal(gw_uri_query(text, p, &err), -EINVAL);
		assert_string_equal(err.text, cases[i].why);
	}
}

/* Feed text in steps of at most step bytes; returns 0 when done, 1 when more is needed,
 * -EBADMSG. */
static int
unchunk(const char *text, size_t step, struct buf *ret)
{
	struct gw_chunk c = {.at = GW_CHUNK_SIZE};
	size_t len = strlen(text), at = 0;

	buf_init(ret, 1000);
	while (at < len && !gw_chunk_is_done(&c)) {
		const char *data;
		size_t n, piece = len - at < step ? len - at : step;
		int used = gw_chunk_step(&c, text + at, piece, &data, &n);

		if (used < 0)
			return used;
		assert_int_equal(buf_append(ret, data, n), 0);
		at += (size_t)used;
	}
	return gw_chunk_is_done(&c) && at == len ? 0 : 1;
}

static void
chunks(void **state)
{
	static const struct {
		int rc;
		const char *text, *body;
	} cases[] = {
	    {0, "0\r\n\r\n", ""},
	    {0, "5\r\nhello\r\n0\r\n\r\n", "hello"},
	    {0, "5;a=b\r\nhello\r\n0006\r\n world\r\n0\r\nTrailer: x\r\nB: c\r\n\r\n",
	     "hello world"},
	    {0, "A\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
	    {1, "5\r\nhel", "hel"},
	    {-EBADMSG, "\r\n", ""},
	    {-EBADMSG, "5\nhello\r\n", ""},
	    {-EBADMSG, "g\r\n", ""},
	    {-EBADMSG, "-1\r\n", ""},
	    {-EBADMSG, "0x5\r\nhello\r\n", ""},
	    {-EBADMSG, "5 \r\nhello\r\n", ""},
	    {-EBADMSG, "5\r\nhelloX\r\n", "hello"},
	    {-EBADMSG, "5\r\nhello\n0\r\n\r\n", "hello"},
	    {-EBADMSG, "1000000000000000\r\n", ""},
	    {-EBADMSG, "0\r\nA: b\n\r\n", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t step = 1; step < 20; step += 6) {
			struct buf b;
			int rc = unchunk(cases[i].text, step, &b);

			if (rc != cases[i].rc || strcmp(b.data, cases[i].body) != 0)
				fail_msg("%s: %d '%s'", cases[i].text, rc, b.data);
			buf_fini(&b);
		}
}

static void
endless_extras_are_refused(void **state)
{
	struct buf b, body;

	(void)state;
	buf_init(&b, 1 << 20);
	(void)buf_printf(&b, "0\r\n");
	for (int i = 0; i < 1000; i++)
		(void)buf_printf(&b, "Trailer: x\r\n");
	assert_int_equal(unchunk(b.data, 100, &body), -EBADMSG);
	buf_fini(&b);
	buf_fini(&body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_request_is_read),
	    cmocka_unit_test(meanings),
	    cmocka_unit_test(what_could_be_read_in_two_ways_is_refused),
	    cmocka_unit_test(a_malformed_line_is_named_by_its_number),
	    cmocka_unit_test(ceilings),
	    cmocka_unit_test(the_end_of_a_head),
	    cmocka_unit_test(a_list_may_have_several_fields),
	    cmocka_unit_test(queries),
	    cmocka_unit_test(a_malformed_query_is_named),
	    cmocka_unit_test(chunks),
	    cmocka_unit_test(endless_extras_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
