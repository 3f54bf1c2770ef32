/* Unit test of gateway/route: which row a request finds, and what it carries. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/dialect.h"
#include "gateway/route.h"
#include "wire/base/buf.h"

static void
serve(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)x;
	(void)body;
	(void)len;
}

static const struct gw_ws_ops ops;

#define HTTP(method_, path_)                                                                   \
	{                                                                                      \
		.method = (method_), .path = (path_), .http = serve                            \
	}

static const struct gw_route root_rows[] = {
    HTTP("GET", "/"),
    HTTP("GET", "/contexts"),
    HTTP("POST", "/contexts"),
    HTTP("DELETE", "/contexts/{id}"),
    HTTP("POST", "/contexts/{id}/restart"),
    HTTP("GET", "/contexts/default"),
    HTTP("GET", "/{any}/special"),
    {.method = "GET", .path = "/contexts", .http = serve, .header = "e2b-sandbox-id"},
    HTTP("GET", "/proxy/{port}/{rest...}"),
    {.method = "WS", .path = "/live", .ws = &ops},
    {.method = NULL},
};
static const struct gw_route daytona_rows[] = {
    HTTP("GET", "/daytona/api/sandbox/{sandbox}"),
    {.method = NULL},
};
static const struct gw_dialect root = {.name = "root", .prefix = "", .routes = root_rows};
static const struct gw_dialect daytona = {
    .name = "daytona", .prefix = "/daytona", .routes = daytona_rows};
static const struct gw_dialect *const dialects[] = {&root, &daytona, NULL};

static bool
has(const void *arg, const char *header)
{
	return arg != NULL && strcmp(arg, header) == 0;
}

static void
rows_are_found(void **state)
{
	static const struct {
		const char *why, *method, *path, *header;
		int rc, row; /* of root_rows; -1: daytona's */
	} cases[] = {
	    {"the root", "GET", "/", NULL, 0, 0},
	    {"a literal", "GET", "/contexts", NULL, 0, 1},
	    {"by method", "POST", "/contexts", NULL, 0, 2},
	    {"HEAD finds GET", "HEAD", "/contexts", NULL, 0, 1},
	    {"a row with a header first", "GET", "/contexts", "e2b-sandbox-id", 0, 7},
	    {"a parameter", "DELETE", "/contexts/a", NULL, 0, 3},
	    {"a literal before a parameter", "GET", "/contexts/default", NULL, 0, 5},
	    {"another method of a path that also has a literal", "DELETE", "/contexts/default",
	     NULL, 0, 3},
	    {"literal for longer wins", "POST", "/contexts/x/restart", NULL, 0, 4},
	    {"parameter first", "GET", "/zzz/special", NULL, 0, 6},
	    {"encoded letters are letters", "GET", "/%63ontexts", NULL, 0, 1},
	    {"the rest", "GET", "/proxy/80/a/b", NULL, 0, 8},
	    {"an empty rest", "GET", "/proxy/80/", NULL, 0, 8},
	    {"no rest at all", "GET", "/proxy/80", NULL, -ENOENT, 0},
	    {"a WebSocket", "WS", "/live", NULL, 0, 9},
	    {"not for GET", "GET", "/live", NULL, -EACCES, 0},
	    {"wrong method", "PUT", "/contexts", NULL, -EACCES, 0},
	    {"unknown", "GET", "/nope", NULL, -ENOENT, 0},
	    {"a parameter is not empty", "DELETE", "/contexts/", NULL, -ENOENT, 0},
	    {"a slash too many", "GET", "/contexts/", NULL, -ENOENT, 0},
	    {"a slash too many in front", "GET", "//contexts", NULL, -ENOENT, 0},
	    {"case matters", "GET", "/Contexts", NULL, -ENOENT, 0},
	    {"an encoded slash is no separator", "GET", "/contexts%2Fdefault", NULL, -ENOENT,
	     0},
	    {"bad encoding", "GET", "/contexts/%zz", NULL, -EINVAL, 0},
	    {"an encoded zero", "GET", "/contexts/%00", NULL, -EINVAL, 0},
	    {"no UTF-8", "GET", "/contexts/%ff", NULL, -EINVAL, 0},
	    {"dots", "GET", "/a/../contexts", NULL, -EINVAL, 0},
	    {"encoded dots", "GET", "/a/%2e%2E/contexts", NULL, -EINVAL, 0},
	    {"one dot", "GET", "/./contexts", NULL, -EINVAL, 0},
	    {"another dialect", "GET", "/daytona/api/sandbox/s", NULL, 0, -1},
	};
	struct gw_route_table *t = gw_route_table_new(dialects);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_route_match m = {.row = NULL};
		int rc =
		    gw_route_find(t, cases[i].method, cases[i].path, has, cases[i].header, &m);

		if (rc != cases[i].rc)
			fail_msg("%s: %d", cases[i].why, rc);
		if (rc == 0 &&
		    m.row != (cases[i].row < 0 ? daytona_rows : &root_rows[cases[i].row]))
			fail_msg("%s: row %s %s", cases[i].why, m.row->method, m.row->path);
		if (rc == 0)
			assert_ptr_equal(m.dialect, cases[i].row < 0 ? &daytona : &root);
		gw_route_match_fini(&m);
	}
	gw_route_table_free(t);
}

static void
parameters_are_decoded(void **state)
{
	struct gw_route_table *t = gw_route_table_new(dialects);
	struct gw_route_match m;

	(void)state;
	assert_int_equal(gw_route_find(t, "DELETE", "/contexts/a%2Fb%20c+d", has, NULL, &m), 0);
	assert_string_equal(gw_uri_find(m.param, m.n, "id"), "a/b c+d");
	assert_null(gw_uri_find(m.param, m.n, "sandbox"));
	gw_route_match_fini(&m);
	assert_int_equal(gw_route_find(t, "GET", "/proxy/%38080/x%20y//z%2f/", has, NULL, &m),
	                 0);
	assert_string_equal(gw_uri_find(m.param, m.n, "port"), "8080");
	assert_string_equal(gw_uri_find(m.param, m.n, "rest"), "x y//z//");
	gw_route_match_fini(&m);
	gw_route_table_free(t);
}

static void
allow_lists_what_a_path_has(void **state)
{
	struct gw_route_table *t = gw_route_table_new(dialects);
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	gw_route_allow(t, "/contexts", &b);
	assert_string_equal(b.data, "GET, HEAD, POST");
	buf_fini(&b);
	gw_route_allow(t, "/contexts/default", &b);
	assert_string_equal(b.data, "GET, HEAD, DELETE");
	buf_fini(&b);
	gw_route_allow(t, "/live", &b);
	assert_string_equal(b.data, "");
	buf_fini(&b);
	gw_route_table_free(t);
}

static void
the_longest_prefix_owns_errors(void **state)
{
	struct gw_route_table *t = gw_route_table_new(dialects);

	(void)state;
	assert_ptr_equal(gw_route_owner(t, "/daytona/x"), &daytona);
	assert_ptr_equal(gw_route_owner(t, "/daytona"), &daytona);
	assert_ptr_equal(gw_route_owner(t, "/daytonas"), &root);
	assert_ptr_equal(gw_route_owner(t, "/"), &root);
	gw_route_table_free(t);
}

static void
a_prefix_may_have_parameters(void **state)
{
#define EXECD "/sandboxes/{sandbox}/proxy/{port}"
	static const struct gw_route none[] = {{.method = NULL}};
	static const struct gw_dialect any = {.prefix = "", .routes = none},
				       boxes = {.prefix = "/sandboxes", .routes = none},
				       execd = {.prefix = EXECD, .routes = none},
				       up = {.prefix = EXECD "/files/upload", .routes = none};
	static const struct gw_dialect *const all[] = {&up, &boxes, &any, &execd, NULL};
	static const struct {
		const char *path;
		const struct gw_dialect *owner;
	} cases[] = {
	    {"/sandboxes/abc/proxy/44772/nope", &execd},
	    {"/sandboxes/abc/proxy/44772", &execd},
	    {"/sandboxes/a%2Fb/proxy/44772/", &execd},
	    {"/sandboxes/abc/proxy/44772/files/upload", &up},
	    {"/sandboxes/abc/proxy/44772/files/upload/x", &up},
	    {"/sandboxes/abc/proxy/44772/files/uploads", &execd},
	    {"/sandboxes/abc/proxy/", &boxes},
	    {"/sandboxes/abc/proxy", &boxes},
	    {"/sandboxes//proxy/44772/nope", &boxes},
	    {"/sandboxes/abc/x/proxy/44772", &boxes},
	    {"/sandboxes/abc/proxied/44772", &boxes},
	    {"/sandboxes", &boxes},
	    {"/sandboxes/{sandbox}/proxy/{port}", &execd},
	    {"/sandboxes2/abc/proxy/44772", &any},
	    {"/", &any},
	};
	struct gw_route_table *t = gw_route_table_new(all);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (gw_route_owner(t, cases[i].path) != cases[i].owner)
			fail_msg("%s", cases[i].path);
	gw_route_table_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rows_are_found),
	    cmocka_unit_test(parameters_are_decoded),
	    cmocka_unit_test(allow_lists_what_a_path_has),
	    cmocka_unit_test(the_longest_prefix_owns_errors),
	    cmocka_unit_test(a_prefix_may_have_parameters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
