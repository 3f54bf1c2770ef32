/* tests/fuzz/fuzz_gw_http.c - a client's bytes to an admitted request, and chunked bodies.
 *
 * Input: one byte that says what the rest is: 0 the head of a request, 1 a chunked body, 2 a query,
 * 3 a path, 4 a Host, 5 an Origin.
 */
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/auth.h"
#include "gateway/chunk.h"
#include "gateway/dialect.h"
#include "gateway/head.h"
#include "gateway/origin.h"
#include "gateway/request.h"
#include "gateway/route.h"
#include "gateway/uri.h"
#include "tests/fuzz/fuzz.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define BODY_MAX (1U << 20)

static void
serve(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)x;
	(void)body;
	(void)len;
}

static const struct gw_ws_ops ops;

static const struct gw_route rows[] = {
    {.method = "GET", .path = "/", .access = GW_ACCESS_PUBLIC, .http = serve},
    {.method = "POST", .path = "/contexts", .access = GW_ACCESS_USER, .http = serve},
    {.method = "DELETE", .path = "/contexts/{id}", .access = GW_ACCESS_SANDBOX, .http = serve},
    {.method = "GET",
     .path = "/s/{sandbox}/{rest...}",
     .access = GW_ACCESS_USER,
     .http = serve},
    {.method = "GET", .path = "/contexts", .http = serve, .header = "e2b-sandbox-id"},
    {.method = "WS", .path = "/ws", .access = GW_ACCESS_LATE, .ws = &ops, .subprotocol = "X~"},
    {.method = "WS", .path = "/v1/ws", .access = GW_ACCESS_USER, .ws = &ops},
    {.method = NULL},
};
static const struct gw_dialect dialect = {.name = "fuzz", .prefix = "", .routes = rows};
static const struct gw_dialect *const dialects[] = {&dialect, NULL};
static const char *const origins[] = {"https://ide.example", NULL};

static const struct gw_request_policy *
policy(void)
{
	static struct gw_request_policy p;

	if (p.routes == NULL) {
		p.routes = gw_route_table_new(dialects);
		p.auth = gw_auth_new(false, ""); /* a token that nobody knows */
		p.origin =
		    (struct gw_origin_rules){.own = "127.0.0.1", .allow_origins = origins};
	}
	return &p;
}

/* Every line of a head is a field, but the first and the last; empty ones may come before. */
static void
check_lines(const struct gw_head *h, const char *text, size_t len)
{
	size_t lines = 0;

	while (len > 2 && memcmp(text, "\r\n", 2) == 0) {
		text += 2;
		len -= 2;
	}
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	assert(lines == h->n + 2);
}

static void
check_head(const struct gw_head *h)
{
	assert(h->path[0] == '/' && h->method[0] != '\0');
	assert(!h->chunked || h->length == 0);
	assert(h->host != NULL || h->http10);
	for (size_t i = 0; i < h->n; i++)
		for (const char *p = h->field[i].name; *p != '\0'; p++)
			assert(!isupper((unsigned char)*p) && *p != ' ' && *p != ':');
}

/* Without the token, only public rows let anyone in. */
static void
check_admitted(const struct gw_request *r)
{
	assert(r->match.row->access == GW_ACCESS_PUBLIC ||
	       r->match.row->access == GW_ACCESS_LATE);
	assert(r->head.websocket == (r->match.row->ws != NULL));
	for (size_t i = 0; i < r->query_n; i++)
		assert(utf8_valid(r->query[i].value, strlen(r->query[i].value)));
	if (r->subprotocol != NULL)
		assert(strpbrk(r->subprotocol, "\r\n,") == NULL);
}

static void
fuzz_head(const char *text, size_t size)
{
	struct gw_request *r = gw_request_new();
	struct gw_request_refusal no = {.status = 0};
	size_t len = gw_head_end(text, size);
	struct err err = {""};
	int status = len > 0 ? gw_head_parse(&r->head, text, len, &err) : 400;

	assert(len <= size);
	assert(len == 0 || (status == 0) == (err.text[0] == '\0'));
	if (status == 0) {
		check_lines(&r->head, text, len);
		check_head(&r->head);
		if (gw_request_admit(r, policy(), &no))
			check_admitted(r);
		else
			assert(no.status >= 204 && (no.status == 204 || no.why[0] != '\0'));
	}
	gw_request_free(r);
}

/* Returns what gw_chunk_step() said last, with the body in ret. */
static int
unchunk(const char *text, size_t size, size_t step, struct buf *ret)
{
	struct gw_chunk c = {.at = GW_CHUNK_SIZE};
	size_t at = 0;

	buf_init(ret, BODY_MAX);
	while (at < size && !gw_chunk_is_done(&c)) {
		const char *data;
		size_t n, piece = size - at < step ? size - at : step;
		int used = gw_chunk_step(&c, text + at, piece, &data, &n);

		if (used < 0)
			return used;
		assert(used > 0 && (size_t)used <= piece && n <= piece);
		assert(n == 0 || (data >= text + at && data + n <= text + at + piece));
		if (buf_append(ret, data, n) < 0)
			return 0;
		at += (size_t)used;
	}
	return gw_chunk_is_done(&c);
}

/* However the bytes are cut, the body is the same. */
static void
fuzz_chunks(const char *text, size_t size)
{
	struct buf whole, cut;
	int a = unchunk(text, size, SIZE_MAX, &whole), b = unchunk(text, size, 1, &cut);

	assert(a == b && whole.len == cut.len && memcmp(whole.data, cut.data, cut.len) == 0);
	buf_fini(&whole);
	buf_fini(&cut);
}

static void
fuzz_query(char *text)
{
	size_t max = gw_uri_query_max(text);
	struct gw_uri_pair *pairs = mem_new(max * sizeof(*pairs));
	struct err err = {""};
	int n = gw_uri_query(text, pairs, &err);

	assert(n < 0 ? err.text[0] != '\0' : (size_t)n <= max);
	for (int i = 0; i < n; i++) {
		assert(utf8_valid(pairs[i].name, strlen(pairs[i].name)));
		assert(gw_uri_find(pairs, (size_t)n, pairs[i].name) != NULL);
	}
	mem_free(pairs);
}

static bool
has(const void *arg, const char *header)
{
	(void)header;
	return arg != NULL;
}

static void
fuzz_path(const char *text)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "DELETE", "WS"};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		struct gw_route_match m = {.row = NULL};

		if (gw_route_find(policy()->routes, methods[i], text, has, i > 1 ? text : NULL,
		                  &m) == 0)
			for (size_t k = 0; k < m.n; k++)
				assert(utf8_valid(m.param[k].value, strlen(m.param[k].value)) &&
				       strcmp(m.param[k].value, "..") != 0);
		gw_route_match_fini(&m);
	}
	assert(gw_route_owner(policy()->routes, text) == &dialect);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size == 0)
		return 0;
	text = mem_new(size); /* exactly, so that a byte too far is seen; the last is a NUL */
	memcpy(text, data + 1, size - 1);
	if (data[0] == 0)
		fuzz_head((const char *)data + 1, size - 1);
	else if (data[0] == 1)
		fuzz_chunks((const char *)data + 1, size - 1);
	else if (data[0] == 2)
		fuzz_query(text);
	else if (data[0] == 3)
		fuzz_path(text);
	else if (data[0] == 4)
		(void)gw_origin_host_ok(&policy()->origin, text);
	else
		(void)gw_origin_ok(&policy()->origin, text, "http://localhost:8686");
	mem_free(text);
	return 0;
}
