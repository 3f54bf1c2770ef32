/* tests/fuzz/fuzz_gw_e2b.c - an E2B client's bytes, and a kernel's, through core and dialect.
 *
 * Input: a byte that says what the rest is, modulo 6:
 *	0  the body of POST /execute, parsed
 *	1  the body of POST /contexts, parsed
 *	2  a byte for the route; a line for {id}, one for E2b-Sandbox-Id, one per query value;
 *	   the body
 *	3  the body of an execution that runs to its end
 *	4  a byte for the type of a kernel's message; its content, while a client watches
 *	5  a value of a list's query, read as metadata, as a time and as a path
 * Kernels are on paper, the edge is fake, files are not made.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "gateway/core.h"
#include "gateway/dialects/dialects.h"
#include "gateway/dialects/e2b.h"
#include "gateway/labels.h"
#include "gateway/sandbox.h"
#include "gateway/time.h"
#include "tests/fuzz/fake_edge.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_core.h"
#include "tests/unit/paper_kernel.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

static void
settle_all(void)
{
	do
		fuzz_core_settle();
	while (paper_obey());
}

/* --- bodies ----------------------------------------------------------------------------- */

static void
check_detail(json_t *detail)
{
	const json_t *one;
	size_t i;

	assert(json_array_size(detail) > 0);
	json_array_foreach (detail, i, one) {
		const json_t *loc = json_object_get(one, "loc");

		assert(json_string_length(json_object_get(one, "type")) > 0);
		assert(json_string_length(json_object_get(one, "msg")) > 0);
		assert(json_is_string(json_array_get(loc, 0)));
		assert(json_object_get(one, "input") != NULL);
	}
	json_decref(detail);
}

static void
parse_execute(const char *text, size_t len)
{
	struct gw_e2b_execute e;
	json_t *detail;

	if (gw_e2b_parse_execute(text, len, &e, &detail) != 0) {
		check_detail(detail);
		return;
	}
	assert(e.rq.code != NULL && utf8_valid(e.rq.code, e.rq.code_len));
	assert(gw_env_check(e.rq.envs, "env_vars", NULL) == 0);
	assert(e.context == NULL || e.context[0] != '\0');
	assert(e.language == NULL || e.language[0] != '\0');
	json_decref(e.root);
}

static void
parse_context(const char *text, size_t len)
{
	struct gw_e2b_context c;
	json_t *detail;

	if (gw_e2b_parse_context(text, len, &c, &detail) != 0)
		check_detail(detail);
	else
		json_decref(c.root);
}

/* --- lines ------------------------------------------------------------------------------ */

static void
check_line(const char *text, size_t len, bool last)
{
	json_t *o = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
	const char *type = json_string_value(json_object_get(o, "type"));

	assert(type != NULL);
	assert((strcmp(type, "end_of_execution") == 0) == last);
	if (strcmp(type, "stdout") == 0 || strcmp(type, "stderr") == 0) {
		assert(json_is_string(json_object_get(o, "text")));
		assert(json_is_string(json_object_get(o, "timestamp")));
	} else if (strcmp(type, "error") == 0) {
		assert(json_is_string(json_object_get(o, "name")));
		assert(json_is_string(json_object_get(o, "value")));
		assert(json_is_string(json_object_get(o, "traceback")));
	} else if (strcmp(type, "result") == 0) {
		assert(json_is_object(json_object_get(o, "extra")));
		assert(json_is_boolean(json_object_get(o, "is_main_result")));
	}
	json_decref(o);
}

static void
check_lines(const struct gw_http *x)
{
	const char *p = x->body.data;
	const char *end = p + x->body.len;

	assert(x->ended && x->status == 200 && x->body.len > 0);
	while (p < end) {
		size_t len = strcspn(p, "\n");

		assert(p + len < end);
		for (size_t i = 0; i < len; i++)
			assert((unsigned char)p[i] >= 0x20 && (unsigned char)p[i] < 0x80);
		check_line(p, len, p + len + 1 == end);
		p += len + 1;
	}
}

/* --- HTTP ------------------------------------------------------------------------------- */

static const struct gw_dialect *const dialects[] = {&gw_e2b, &gw_e2b_contexts,
                                                    &gw_e2b_sandboxes};

#define DIALECTS (sizeof(dialects) / sizeof(dialects[0]))

static const struct gw_route *
route(unsigned n)
{
	const struct gw_route *row = dialects[n % DIALECTS]->routes;
	unsigned rows = 0;

	while (row[rows].method != NULL)
		rows++;
	return &row[n / DIALECTS % rows];
}

static void
check_answer(const struct gw_http *x)
{
	static const int fine[] = {200, 201, 204, 400, 404, 409, 422, 429, 500, 501, 502};
	bool ok = false;

	assert(x->answers_n == 1 && x->ended);
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		ok = ok || x->status == fine[i];
	assert(ok);
	assert(utf8_valid(x->body.data, x->body.len));
}

static void
http(const char *text, size_t len)
{
	enum { ID, SANDBOX, METADATA, STATE, LIMIT, ORDER, NEXT, AFTER, LINES };
	char *lines[LINES] = {NULL};
	const struct gw_route *row;
	struct gw_http x;

	if (len == 0)
		return;
	row = route((unsigned char)text[0]);
	text++;
	len--;
	for (int i = 0; i < LINES; i++)
		lines[i] = fuzz_core_line(&text, &len);

	const struct fake_pair params[] = {{"id", lines[ID]}, {NULL, NULL}};
	const struct fake_pair headers[] = {
	    {"e2b-sandbox-id", lines[SANDBOX]}, {"idempotency-key", lines[NEXT]}, {NULL, NULL}};
	const struct fake_pair query[] = {{"metadata", lines[METADATA]},
	                                  {"state", lines[STATE]},
	                                  {"limit", lines[LIMIT]},
	                                  {"order", lines[ORDER]},
	                                  {"nextToken", lines[NEXT]},
	                                  {"startedAfter", lines[AFTER]},
	                                  {NULL, NULL}};

	for (int i = 0; i < 2; i++) { /* the second time what it made is there */
		fake_http_init(&x, row->method, row->path);
		x.params = strchr(row->path, '{') != NULL ? params : NULL;
		x.query = query;
		x.headers = headers;
		row->http(fuzz_core(), &x, text, len);
		settle_all();
		check_answer(&x);
		fake_http_fini(&x);
	}
	for (int i = 0; i < LINES; i++)
		mem_free(lines[i]);
}

/* --- executions ------------------------------------------------------------------------- */

static void
execute(const char *text, size_t len)
{
	struct gw_http x;

	fake_http_init(&x, "POST", "/execute");
	gw_e2b_execute(fuzz_core(), &x, text, len);
	settle_all();
	if (x.status == 200)
		check_lines(&x);
	else
		check_answer(&x);
	fake_http_fini(&x);
}

static const char *const types[] = {
    "stream", "execute_input", "execute_result", "display_data",  "update_display_data",
    "error",  "input_request", "clear_output",   "execute_reply", "status"};

/* What a kernel says, with the same bytes as content and as metadata. */
static void
kernel_message(const char *text, size_t len)
{
	static const char body[] = "{\"code\": \"1\"}";
	json_t *o;
	const char *type;
	struct gw_http x;

	if (len == 0)
		return;
	type = types[(unsigned char)text[0] % (sizeof(types) / sizeof(types[0]))];
	o = json_loadb(text + 1, len - 1, JSON_ALLOW_NUL, NULL);
	if (!json_is_object(o)) { /* wire/msg.c lets only objects through */
		json_decref(o);
		return;
	}
	fake_http_init(&x, "POST", "/execute");
	gw_e2b_execute(fuzz_core(), &x, body, sizeof(body) - 1);
	fuzz_core_settle();
	paper_ready(paper_newest());
	fuzz_core_settle();
	if (strcmp(type, "execute_reply") == 0) {
		paper_reply(paper_newest(), o);
		paper_done(paper_newest(), 0);
	} else {
		paper_say(paper_newest(), type, o, json_incref(o));
	}
	settle_all();
	check_lines(&x);
	fake_http_fini(&x);
}

static void
values(const char *text, size_t len)
{
	char *value = fuzz_core_line(&text, &len);
	json_t *o = gw_labels_parse(value, 2);
	char *here = gw_e2b_path_here("/s/home", value);
	char *theirs = gw_e2b_path_theirs("/s/home", here);

	assert(json_is_object(o) && gw_strings_check(o, "metadata", NULL) == 0);
	assert(gw_time_parse(value) >= -1);
	assert(strcmp(theirs, value) == 0 || strncmp(value, "/s/home", 7) == 0);
	json_decref(o);
	mem_free(here);
	mem_free(theirs);
	mem_free(value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parts[])(const char *text, size_t len) = {
	    parse_execute, parse_context, http, execute, kernel_message, values};
	const char *text = (const char *)data;

	(void)fuzz_core();
	if (size == 0)
		return 0;
	parts[data[0] % (sizeof(parts) / sizeof(parts[0]))](text + 1, size - 1);
	fuzz_core_clean();
	return 0;
}
