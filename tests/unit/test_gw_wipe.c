/* Unit test of gateway/conn, gateway/head and gateway/server: memory is given back without the
 * tokens that were in it. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/auth.h"
#include "gateway/dialect.h"
#include "tests/unit/edge_rig.h"
#include "wire/base/buf.h"

#define TOKEN "very-secret"

static size_t found;

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names for them */
void __real_free(void *p);
void __wrap_free(void *p);
/* NOLINTEND(bugprone-reserved-identifier) */

/* Of this program and what is linked into it: see CMakeLists.txt. */
void
__wrap_free(void *p)
{
	if (p != NULL && memmem(p, malloc_usable_size(p), TOKEN, sizeof(TOKEN) - 1) != NULL)
		found++;
	__real_free(p);
}

static void
hello(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_http_reply(x, 200, "text/plain", "hello", 5);
}

static const struct gw_route rows[] = {
    {.method = "GET", .path = "/hello", .access = GW_ACCESS_USER, .http = hello},
    {.method = NULL},
};
static const struct gw_dialect dialect = {.name = "test", .prefix = "", .routes = rows};
static const struct gw_dialect *const dialects[] = {&dialect, NULL};

static void
what_is_freed_holds_no_token(void **state)
{
	static const struct {
		const char *request, *status;
	} cases[] = {
	    {"GET /hello HTTP/1.1\r\n" HOST "Authorization: Bearer " TOKEN "\r\n" CLOSE, "200"},
	    {"GET /hello HTTP/1.1\r\n" HOST "X-API-KEY: " TOKEN "\r\n" CLOSE, "200"},
	    {"GET /hello?token=" TOKEN " HTTP/1.1\r\n" HOST CLOSE, "200"},
	    {"GET /hello HTTP/1.1\r\n" HOST "Cookie: a=b; DAYTONA_SANDBOX_AUTH_KEY=" TOKEN
	     "\r\n" CLOSE,
	     "200"},
	    {"GET /hello HTTP/1.1\r\n" HOST "Sec-WebSocket-Protocol: kernelbridge.token." TOKEN
	     "\r\n" CLOSE,
	     "200"},
	    {"GET /hello HTTP/1.1\r\n" HOST "X-API-KEY: not-" TOKEN "\r\n" CLOSE, "401"},
	    {"GET /hello HTTP/1.1\r\n" HOST "X-API-KEY " TOKEN "\r\n" CLOSE, "400"},
	};
	struct edge *r = edge_new(dialects);
	char *p = strdup(TOKEN);

	(void)state;
	assert_non_null(p);
	free(p);
	assert_int_equal(found, 1);
	found = 0;
	gw_auth_set_token(r->auth, TOKEN);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd = edge_dial(r);
		struct buf b;

		buf_init(&b, 10000);
		edge_talk(r, fd, cases[i].request, strlen(cases[i].request), NULL, &b);
		assert_int_equal(strncmp(b.data + strlen("HTTP/1.1 "), cases[i].status, 3), 0);
		buf_fini(&b);
		(void)close(fd);
	}
	edge_free(r);
	assert_int_equal(found, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_freed_holds_no_token),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
