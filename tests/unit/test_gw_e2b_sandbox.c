/* Unit test of gateway/dialects/e2b_{context,sandbox,list}.c: contexts and sandboxes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/auth.h"
#include "gateway/dialects/dialects.h"
#include "gateway/dialects/e2b.h"
#include "gateway/time.h"
#include "tests/fuzz/fake_edge.h"
#include "tests/unit/gw_rig.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

/* Call handler.  id is what its path names, or NULL. */
static void
call(struct rig *r, struct gw_http *x, gw_http_fn *handler, const char *id, const char *body)
{
	static char param[64];
	static const struct fake_pair params[] = {{"id", param}, {NULL, NULL}};

	fake_http_init(x, "POST", "/");
	(void)snprintf(param, sizeof(param), "%s", id != NULL ? id : "");
	x->params = id != NULL ? params : NULL;
	handler(r->core, x, body, strlen(body));
	rig_settle(r);
}

static void
answer_is(struct gw_http *x, int status, const char *body)
{
	if (!x->ended || x->status != status || strcmp(x->body.data, body) != 0)
		fail_msg("%d %s instead of %d %s", x->status, x->body.data, status, body);
	fake_http_fini(x);
}

static void
status_is(struct gw_http *x, int status)
{
	if (!x->ended || x->status != status)
		fail_msg("%d %s instead of %d", x->status, x->body.data, status);
	fake_http_fini(x);
}

/* The JSON of an answer with that status; owned by the caller. */
static json_t *
json_of(struct gw_http *x, int status)
{
	json_t *v = json_loads(x->body.data, JSON_DECODE_ANY, NULL);

	assert_non_null(v);
	status_is(x, status);
	return v;
}

static const char *
member(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	if (s == NULL)
		fail_msg("%s is missing", key);
	return s;
}

/* --- contexts ----------------------------------------------------------------------------- */

static void
paths_are_mapped(void **state)
{
	static const struct {
		const char *theirs;
		const char *here;
	} cases[] = {
	    {"/home/user", "/s/home"},
	    {"/home/user/", "/s/home/"},
	    {"/home/user/a/b", "/s/home/a/b"},
	    {"/home/username", "/home/username"},
	    {"/tmp", "/tmp"},
	    {"relative", "relative"},
	    {"/home/user/../x", "/s/home/../x"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *here = gw_e2b_path_here("/s/home", cases[i].theirs);
		char *back = gw_e2b_path_theirs("/s/home", here);

		assert_string_equal(here, cases[i].here);
		assert_string_equal(back, cases[i].theirs);
		mem_free(here);
		mem_free(back);
	}
	{ /* a state directory of a user who is called "user" */
		char *here = gw_e2b_path_here("/home/user/s/home", "/home/user/s/home/x");

		assert_string_equal(here, "/home/user/s/home/x");
		mem_free(here);
	}
}

static void
contexts_are_made_and_listed(void **state)
{
	struct rig *r = rig_with_auth();
	json_t *made;
	json_t *all;
	struct gw_http x;

	(void)state;
	call(r, &x, gw_e2b_context_create, NULL, "{\"language\": \"Python\"}");
	assert_false(x.ended); /* until its kernel answers */
	assert_string_equal(paper_newest()->cwd, r->sandbox->home);
	paper_ready(paper_newest());
	rig_settle(r);
	made = json_of(&x, 200);
	assert_string_equal(member(made, "language"), "python");
	assert_string_equal(member(made, "cwd"), "/home/user");

	call(r, &x, gw_e2b_context_list, NULL, "");
	all = json_of(&x, 200);
	assert_int_equal(json_array_size(all), 2); /* the default one first */
	assert_string_equal(member(json_array_get(all, 0), "id"), gw_ctx_id(r->ctx));
	assert_string_equal(member(json_array_get(all, 0), "cwd"), "/home/user");
	assert_true(json_equal(json_array_get(all, 1), made));
	json_decref(all);

	call(r, &x, gw_e2b_context_delete, member(made, "id"), "");
	answer_is(&x, 200, "null");
	call(r, &x, gw_e2b_context_delete, "c1", "");
	answer_is(&x, 404, "Context c1 not found");
	call(r, &x, gw_e2b_context_restart, "c1", "");
	answer_is(&x, 404, "Context c1 not found");
	json_decref(made);
	rig_end(r);
}

static void
contexts_that_cannot_be(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;

	(void)state;
	call(r, &x, gw_e2b_context_create, NULL, "{\"cwd\": \"/no/such\"}");
	answer_is(&x, 400, "Failed to create context: cwd '/no/such' does not exist");
	call(r, &x, gw_e2b_context_create, NULL, "{\"cwd\": \"here\"}");
	answer_is(&x, 400, "Failed to create context: cwd 'here' is not an absolute path");
	call(r, &x, gw_e2b_context_create, NULL, "{\"language\": \"cobol\"}");
	assert_non_null(strstr(x.body.data, "Failed to create context: "));
	status_is(&x, 500);
	call(r, &x, gw_e2b_context_create, NULL, "{\"language\": 1}");
	status_is(&x, 422);
	call(r, &x, gw_e2b_context_create, NULL, "{}");
	paper_die(paper_newest(), "exit 1");
	rig_settle(r);
	answer_is(&x, 500,
	          "Failed to create context: kernel 'python3' could not start: exit 1");
	call(r, &x, gw_e2b_context_list, NULL, "");
	assert_null(strstr(x.body.data, "},{"));
	status_is(&x, 200);
	rig_end(r);
}

static void
a_context_that_nobody_heard_of_goes(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;

	(void)state;
	call(r, &x, gw_e2b_context_create, NULL, "{}");
	assert_int_equal(gw_metric[GW_M_CONTEXTS], 2);
	x.ops->closed(x.ops_arg);
	assert_int_equal(gw_metric[GW_M_CONTEXTS], 1);
	fake_http_fini(&x);
	rig_end(r);
}

static void
a_restart(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;

	(void)state;
	call(r, &x, gw_e2b_context_restart, gw_ctx_id(r->ctx), "");
	assert_false(x.ended);
	paper_ready(paper_newest());
	rig_settle(r);
	answer_is(&x, 200, "null");
	call(r, &x, gw_e2b_context_restart, gw_ctx_id(r->ctx), "");
	x.ops->closed(x.ops_arg); /* it is there all the same */
	fake_http_fini(&x);
	assert_int_equal(gw_metric[GW_M_CONTEXTS], 1);
	paper_start_rc = -EIO;
	call(r, &x, gw_e2b_context_restart, gw_ctx_id(r->ctx), "");
	assert_non_null(strstr(x.body.data, "Failed to restart context "));
	status_is(&x, 500);
	paper_start_rc = 0;
	rig_end(r);
}

/* --- sandboxes ---------------------------------------------------------------------------- */

/* Make one; its id, owned by the caller. */
static char *
made(struct rig *r, const char *body)
{
	struct gw_http x;
	json_t *o;
	char *id;

	call(r, &x, gw_e2b_sandbox_create, NULL, body);
	o = json_of(&x, 201);
	id = mem_strdup(member(o, "sandboxID"));
	json_decref(o);
	return id;
}

static void
a_sandbox_is_made(void **state)
{
	static char domain[] = "sandboxes.example";
	struct rig *r = rig_with_auth();
	char *none = r->cfg->e2b_domain;
	const struct gw_sandbox *sb;
	struct gw_http x;
	json_t *o;
	char *id, *of;

	(void)state;
	call(r, &x, gw_e2b_sandbox_create, NULL,
	     "{\"templateID\": \"t\", \"timeout\": 120, \"metadata\": {\"a\": \"b\"}, "
	     "\"envVars\": {\"K\": \"V\"}, \"autoPause\": false, \"secure\": true}");
	o = json_of(&x, 201);
	id = mem_strdup(member(o, "sandboxID"));
	assert_string_equal(member(o, "templateID"), "t");
	assert_int_equal(strlen(member(o, "clientID")) > 0, 1);
	assert_string_equal(member(o, "envdVersion"), "0.5.7");
	assert_string_equal(member(o, "envdAccessToken"), member(o, "trafficAccessToken"));
	of = gw_auth_token_sandbox(r->core->auth, member(o, "trafficAccessToken"));
	assert_string_equal(of, id);
	mem_free(of);
	assert_true(json_is_null(json_object_get(o, "domain")));
	json_decref(o);
	r->cfg->e2b_domain = domain;
	call(r, &x, gw_e2b_sandbox_connect, id, "{\"timeout\": 1}");
	r->cfg->e2b_domain = none;
	o = json_of(&x, 200);
	assert_string_equal(member(o, "domain"), domain);
	json_decref(o);

	sb = gw_sandbox_find(r->core, id);
	assert_non_null(sb);
	assert_string_equal(json_string_value(json_object_get(sb->env, "K")), "V");
	assert_false(list_empty(&sb->contexts)); /* its first kernel starts */

	call(r, &x, gw_e2b_sandbox_get, id, "");
	o = json_of(&x, 200);
	assert_string_equal(member(o, "sandboxID"), id);
	assert_string_equal(member(o, "templateID"), "t");
	assert_string_equal(member(o, "state"), "running");
	assert_int_equal(
	    gw_time_parse(member(o, "endAt")) - gw_time_parse(member(o, "startedAt")), 120000);
	assert_string_equal(member(json_object_get(o, "metadata"), "a"), "b");
	assert_true(json_integer_value(json_object_get(o, "cpuCount")) > 0);
	assert_true(json_integer_value(json_object_get(o, "memoryMB")) > 0);
	assert_true(json_is_integer(json_object_get(o, "diskSizeMB")));
	json_decref(o);

	call(r, &x, gw_e2b_sandbox_metrics, id, "");
	answer_is(&x, 200, "[]");
	call(r, &x, gw_e2b_sandbox_kill, id, "");
	answer_is(&x, 204, "");
	call(r, &x, gw_e2b_sandbox_kill, id, "");
	assert_non_null(strstr(x.body.data, "{\"code\":404,\"message\":\"Sandbox "));
	status_is(&x, 404);
	mem_free(id);
	rig_end(r);
}

static void
what_is_too_long(void **state)
{
	static const struct {
		const char *begin;
		size_t len;
		const char *end;
		int status;
		const char *says;
	} cases[] = {
	    {"{\"metadata\": {\"a\": \"", 66000, "\"}}", 400,
	     "metadata has more than 65536 bytes"},
	    {"{\"envVars\": {\"a\": \"", (1 << 20) + 100, "\"}}", 400,
	     "envVars has more than 1048576 bytes"},
	    {"{\"templateID\": \"", 1100, "\"}", 400, "templateID has more than 1024 bytes"},
	    {"{\"more\": \"", (2 << 20) + 1, "\"}", 413,
	     "the body has more than 2097152 bytes"},
	};
	struct rig *r = rig_with_auth();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *body = fake_long_body(cases[i].begin, cases[i].len, cases[i].end);
		struct gw_http x;
		json_t *o;

		call(r, &x, gw_e2b_sandbox_create, NULL, body);
		o = json_of(&x, cases[i].status);
		assert_string_equal(member(o, "message"), cases[i].says);
		json_decref(o);
		mem_free(body);
	}
	rig_end(r);
}

static void
sandboxes_that_cannot_be(void **state)
{
	static const char *const bodies[] = {
	    "",
	    "[]",
	    "{",
	    "{\"timeout\": -1}",
	    "{\"timeout\": 1.5}",
	    "{\"timeout\": \"1\"}",
	    "{\"timeout\": 99999999999}",
	    "{\"metadata\": []}",
	    "{\"metadata\": {\"a\": 1}}",
	    "{\"envVars\": {\"a\": null}}",
	    "{\"envVars\": {\"a=b\": \"\"}}",
	    "{\"templateID\": 1}",
	};
	struct rig *r = rig_with_auth();
	struct gw_http x;
	json_t *o;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		call(r, &x, gw_e2b_sandbox_create, NULL, bodies[i]);
		o = json_of(&x, 400);
		assert_int_equal(json_integer_value(json_object_get(o, "code")), 400);
		assert_true(strlen(member(o, "message")) > 0);
		json_decref(o);
	}
	r->cfg->max_sandboxes = 1;
	call(r, &x, gw_e2b_sandbox_create, NULL, "{}");
	status_is(&x, 429);
	call(r, &x, gw_e2b_sandbox_get, "nope", "");
	answer_is(&x, 404, "{\"code\":404,\"message\":\"Sandbox nope not found\"}");
	rig_end(r);
}

static void
a_create_that_is_sent_twice(void **state)
{
	static const struct fake_pair key[] = {{"idempotency-key", "k-1"}, {NULL, NULL}};
	static const struct fake_pair bad[] = {{"idempotency-key", "K"}, {NULL, NULL}};
	struct rig *r = rig_with_auth();
	struct gw_http x;
	char *first = NULL;

	(void)state;
	for (int i = 0; i < 2; i++) {
		json_t *o;

		fake_http_init(&x, "POST", "/sandboxes");
		x.headers = key;
		gw_e2b_sandbox_create(r->core, &x, "{}", 2);
		o = json_of(&x, 201);
		if (first == NULL)
			first = mem_strdup(member(o, "sandboxID"));
		assert_string_equal(member(o, "sandboxID"), first);
		json_decref(o);
	}
	assert_int_equal(gw_metric[GW_M_SANDBOXES], 2);
	fake_http_init(&x, "POST", "/sandboxes");
	x.headers = bad;
	gw_e2b_sandbox_create(r->core, &x, "{}", 2);
	status_is(&x, 400);
	mem_free(first);
	rig_end(r);
}

/* Seconds to live, about. */
static long
left(const struct gw_sandbox *sb)
{
	char now[32];

	gw_core_time(0, now);
	return (long)((gw_time_parse(sb->ends) - gw_time_parse(now) + 500) / 1000);
}

static void
the_timeout(void **state)
{
	struct rig *r = rig_with_auth();
	char *id = made(r, "{}");
	const struct gw_sandbox *sb = gw_sandbox_find(r->core, id);
	struct gw_http x;

	(void)state;
	assert_in_range(left(sb), 290, 300); /* E2B's default */
	call(r, &x, gw_e2b_sandbox_timeout, id, "{\"timeout\": 100}");
	answer_is(&x, 204, "");
	assert_in_range(left(sb), 90, 100);
	call(r, &x, gw_e2b_sandbox_connect, id, "{\"timeout\": 50}");
	status_is(&x, 200);
	assert_in_range(left(sb), 90, 100); /* connecting never shortens it */
	call(r, &x, gw_e2b_sandbox_connect, id, "{}");
	status_is(&x, 200);
	assert_in_range(left(sb), 290, 300);
	call(r, &x, gw_e2b_sandbox_timeout, id, "{}");
	answer_is(&x, 400, "{\"code\":400,\"message\":\"timeout is required\"}");
	call(r, &x, gw_e2b_sandbox_timeout, "nope", "{}");
	status_is(&x, 404);
	call(r, &x, gw_e2b_sandbox_connect, "nope", "{}");
	status_is(&x, 404);
	call(r, &x, gw_e2b_sandbox_timeout, id, "{\"timeout\": 0}"); /* over at once */
	answer_is(&x, 204, "");
	while (gw_sandbox_find(r->core, id) != NULL)
		rig_settle(r);
	mem_free(id);
	rig_end(r);
}

static void
pausing(void **state)
{
	struct rig *r = rig_with_auth();
	char *id = made(r, "{\"timeout\": 10}");
	const struct gw_sandbox *sb = gw_sandbox_find(r->core, id);
	struct gw_http x;

	(void)state;
	call(r, &x, gw_e2b_sandbox_resume, id, "{}");
	status_is(&x, 409); /* it runs */
	call(r, &x, gw_e2b_sandbox_pause, id, "{}");
	answer_is(&x, 204, "");
	assert_string_equal(gw_e2b_state(sb), "paused");
	assert_null(gw_e2b_running(r->core, id));
	call(r, &x, gw_e2b_sandbox_pause, id, "");
	status_is(&x, 409);
	call(r, &x, gw_e2b_sandbox_timeout, id, "{\"timeout\": 5}");
	status_is(&x, 409);
	call(r, &x, gw_e2b_sandbox_connect, id, "{\"timeout\": 5}");
	status_is(&x, 201);
	assert_string_equal(gw_e2b_state(sb), "running");
	assert_in_range(left(sb), 1, 5);
	call(r, &x, gw_e2b_sandbox_pause, id, "{}");
	status_is(&x, 204);
	call(r, &x, gw_e2b_sandbox_resume, id, "{}");
	status_is(&x, 201);
	mem_free(id);
	rig_end(r);
}

static void
one_that_pauses_by_itself(void **state)
{
	struct rig *r = rig_with_auth();
	char *id = made(r, "{\"autoPause\": true, \"autoResume\": {\"enabled\": true}}");
	const struct fake_pair headers[] = {{"e2b-sandbox-id", id}, {NULL, NULL}};
	struct gw_sandbox *sb = gw_sandbox_find(r->core, id);
	struct gw_http x;

	(void)state;
	call(r, &x, gw_e2b_sandbox_get, id, "");
	assert_non_null(
	    strstr(x.body.data, "\"lifecycle\":{\"onTimeout\":\"pause\",\"autoResume\":true}"));
	status_is(&x, 200);
	call(r, &x, gw_e2b_sandbox_timeout, id, "{\"timeout\": 0}");
	answer_is(&x, 204, "");
	while (!sb->paused)
		rig_settle(r);
	fake_http_init(&x, "POST", "/execute");
	x.headers = headers;
	assert_ptr_equal(gw_e2b_sandbox(r->core, &x), sb); /* awake again */
	assert_in_range(left(sb), 290, 300);
	fake_http_fini(&x);
	mem_free(id);
	rig_end(r);
}

static void
the_default_sandbox_stays(void **state)
{
	struct rig *r = rig_with_auth();
	struct gw_http x;

	(void)state;
	call(r, &x, gw_e2b_sandbox_kill, "default", "");
	answer_is(&x, 400,
	          "{\"code\":400,\"message\":\"the default sandbox cannot be killed\"}");
	call(r, &x, gw_e2b_sandbox_pause, "debug_sandbox_id", "");
	status_is(&x, 400);
	call(r, &x, gw_e2b_sandbox_connect, "default", "{\"timeout\": 1}");
	status_is(&x, 200);
	call(r, &x, gw_e2b_sandbox_timeout, "default", "{\"timeout\": 1}");
	status_is(&x, 204);
	assert_null(r->sandbox->expiry);
	call(r, &x, gw_e2b_sandbox_get, "default", "");
	assert_non_null(strstr(x.body.data, "\"endAt\":\"9999-12-31T23:59:59.999Z\""));
	status_is(&x, 200);
	rig_end(r);
}

static void
health_of_a_sandbox(void **state)
{
	static const struct fake_pair nobody[] = {{"e2b-sandbox-id", "nobody"}, {NULL, NULL}};
	static const struct fake_pair debug[] = {{"e2b-sandbox-id", "debug_sandbox_id"},
	                                         {NULL, NULL}};
	struct rig *r = rig_with_auth();
	const struct gw_route *row = gw_admin.routes;
	struct gw_http x;

	(void)state;
	while (strcmp(row->path, "/health") != 0)
		row++;
	call(r, &x, row->http, NULL, "");
	answer_is(&x, 200, "\"OK\"");
	fake_http_init(&x, "GET", "/health");
	x.headers = debug;
	row->http(r->core, &x, "", 0);
	answer_is(&x, 200, "\"OK\"");
	fake_http_init(&x, "GET", "/health");
	x.headers = nobody;
	row->http(r->core, &x, "", 0);
	status_is(&x, 502);
	rig_end(r);
}

/* --- the list ----------------------------------------------------------------------------- */

/* Ask for the list; what is owned by the caller.  next: the token of the next page, or "". */
static json_t *
listed(struct rig *r, const struct fake_pair *query, char next[128])
{
	struct gw_http x;

	fake_http_init(&x, "GET", "/v2/sandboxes");
	x.query = query;
	gw_e2b_sandbox_list(r->core, &x, "", 0);
	next[0] = '\0';
	if (x.added.len > 0)
		assert_int_equal(sscanf(x.added.data, "X-Next-Token: %127s\n", next), 1);
	return json_of(&x, 200);
}

static void
list_is(struct rig *r, const char *name, const char *value, size_t want)
{
	const struct fake_pair query[] = {{name, value}, {NULL, NULL}};
	char next[128];
	json_t *all = listed(r, query, next);

	if (json_array_size(all) != want)
		fail_msg("%s=%s: %zu instead of %zu", name, value, json_array_size(all), want);
	assert_string_equal(next, "");
	json_decref(all);
}

static void
the_list_is_filtered(void **state)
{
	struct rig *r = rig_with_auth();
	char *ids[] = {made(r, "{\"metadata\": {\"k\": \"1\", \"l\": \"x\"}}"),
	               made(r, "{\"metadata\": {\"k\": \"2\"}, \"templateID\": \"t\"}"),
	               made(r, "{\"metadata\": {\"k\": \"1\"}}")};

	(void)state;
	gw_sandbox_pause(gw_sandbox_find(r->core, ids[1]));
	list_is(r, "none", "", 3); /* the default one is not listed */
	list_is(r, "metadata", "k=1", 2);
	list_is(r, "metadata", "k=1&l=x", 1);
	list_is(r, "metadata", "k=3", 0);
	list_is(r, "state", "running", 2);
	list_is(r, "state", "paused", 1);
	list_is(r, "state", "running,paused", 3);
	list_is(r, "template", "t", 1);
	list_is(r, "startedAfter", "2020-01-01T00:00:00Z", 3);
	list_is(r, "startedAfter", "2999-01-01T00:00:00Z", 0);
	for (int i = 0; i < 3; i++)
		mem_free(ids[i]);
	rig_end(r);
}

static void
the_list_has_pages(void **state)
{
	static const char *const orders[] = {"asc", "desc"};
	struct rig *r = rig_with_auth();

	(void)state;
	for (int i = 0; i < 5; i++)
		mem_free(made(r, "{}"));
	for (int o = 0; o < 2; o++) {
		char token[128] = "";
		char last[32] = "";
		int seen = 0;

		do {
			const struct fake_pair query[] = {{"limit", "2"},
			                                  {"order", orders[o]},
			                                  {"nextToken", token},
			                                  {NULL, NULL}};
			char next[128];
			json_t *page = listed(r, query, next);
			json_t *one;
			size_t i;

			json_array_foreach (page, i, one) {
				int cmp = strcmp(member(one, "startedAt"), last);

				assert_true(seen == 0 || (o == 0 ? cmp >= 0 : cmp <= 0));
				(void)snprintf(last, sizeof(last), "%s",
				               member(one, "startedAt"));
				seen++;
			}
			memcpy(token, next, sizeof(token));
			json_decref(page);
		} while (token[0] != '\0');
		assert_int_equal(seen, 5);
	}
	rig_end(r);
}

static void
lists_that_are_refused(void **state)
{
	static const struct fake_pair cases[][2] = {
	    {{"limit", "0"}, {NULL, NULL}},        {{"limit", "101"}, {NULL, NULL}},
	    {{"limit", "-1"}, {NULL, NULL}},       {{"limit", "1x"}, {NULL, NULL}},
	    {{"order", "up"}, {NULL, NULL}},       {{"state", "gone"}, {NULL, NULL}},
	    {{"state", "running,"}, {NULL, NULL}}, {{"startedAfter", "now"}, {NULL, NULL}},
	};
	struct rig *r = rig_with_auth();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_http x;
		json_t *o;

		fake_http_init(&x, "GET", "/v2/sandboxes");
		x.query = cases[i];
		gw_e2b_sandbox_list(r->core, &x, "", 0);
		o = json_of(&x, 400);
		assert_int_equal(json_integer_value(json_object_get(o, "code")), 400);
		json_decref(o);
	}
	rig_end(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths_are_mapped),
	    cmocka_unit_test(contexts_are_made_and_listed),
	    cmocka_unit_test(contexts_that_cannot_be),
	    cmocka_unit_test(a_context_that_nobody_heard_of_goes),
	    cmocka_unit_test(a_restart),
	    cmocka_unit_test(a_sandbox_is_made),
	    cmocka_unit_test(sandboxes_that_cannot_be),
	    cmocka_unit_test(what_is_too_long),
	    cmocka_unit_test(a_create_that_is_sent_twice),
	    cmocka_unit_test(the_timeout),
	    cmocka_unit_test(pausing),
	    cmocka_unit_test(one_that_pauses_by_itself),
	    cmocka_unit_test(the_default_sandbox_stays),
	    cmocka_unit_test(health_of_a_sandbox),
	    cmocka_unit_test(the_list_is_filtered),
	    cmocka_unit_test(the_list_has_pages),
	    cmocka_unit_test(lists_that_are_refused),
	};

	return cmocka_run_group_tests_name("gw/e2b_sandbox", tests, NULL, NULL);
}
