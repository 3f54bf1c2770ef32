/* tests/fuzz/fuzz_gw_osb.c - an OpenSandbox client's bytes, and a kernel's, through the core.
 *
 * Input: a byte that says what the rest is, modulo 6:
 *	0  the body of a create, parsed
 *	1  a byte for the route; a line for {sandbox}, for {id} ("@": of what is there), for {port},
 *	   for x-kernelbridge-disconnect, one per query value; the body
 *	2  the body of an execution that runs to its end
 *	3  a byte for the type of a kernel's message; its content, while a client watches
 *	4  a value of a list's query, read as metadata and as a time
 *	5  a patch of metadata
 * Kernels and commands are on paper, the edge is fake.  The files' rows are left out, since they
 * touch the disk: fuzz_gw_osb_files.c, fuzz_gw_osb_form.c, fuzz_gw_range.c and fuzz_gw_multipart.c
 * read what they are sent.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/dialects/dialects.h"
#include "gateway/dialects/osb.h"
#include "gateway/dialects/osb_sandbox.h"
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

/* --- answers ------------------------------------------------------------------------------ */

/* One line of JSON with a type and a timestamp, which Python's splitlines() leaves whole. */
static bool
is_event(const char *text, size_t len)
{
	json_t *o = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
	bool ok = json_string_length(json_object_get(o, "type")) > 0 &&
	          json_is_integer(json_object_get(o, "timestamp"));

	for (size_t i = 0; i < len; i++)
		assert((unsigned char)text[i] >= 0x20);
	assert(memmem(text, len, "\xc2\x85", 2) == NULL);
	assert(memmem(text, len, "\xe2\x80\xa8", 3) == NULL);
	assert(memmem(text, len, "\xe2\x80\xa9", 3) == NULL);
	json_decref(o);
	return ok;
}

static void
check_events(const struct gw_http *x)
{
	const char *p = x->body.data;
	const char *end = p + x->body.len;

	while (p < end) {
		const char *stop = memmem(p, (size_t)(end - p), "\n\n", 2);

		assert(stop != NULL);
		assert(is_event(p, (size_t)(stop - p)));
		p = stop + 2;
	}
}

/* {"code", "message"}, without a null anywhere in what is told of a sandbox. */
static void
check_json(const struct gw_http *x)
{
	json_t *o;
	json_t *v;
	const char *key;

	if (x->body.len == 0)
		return;
	o = json_loadb(x->body.data, x->body.len, JSON_DECODE_ANY, NULL);
	assert(o != NULL);
	if (x->status >= 400) {
		assert(json_object_size(o) == 2);
		assert(json_string_length(json_object_get(o, "code")) > 0);
		assert(json_string_length(json_object_get(o, "message")) > 0);
	}
	json_object_foreach (o, key, v)
		assert(!json_is_null(v));
	json_decref(o);
}

/* The answer is whole, or goes on until its client leaves, which it now does. */
static void
check_answer(struct gw_http *x, bool streams)
{
	static const int fine[] = {200, 202, 204, 400, 403, 404, 409, 413, 429, 500};
	bool ok = false;

	assert(x->answers_n == 1);
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		ok = ok || x->status == fine[i];
	assert(ok);
	assert(utf8_valid(x->body.data, x->body.len));
	if (!x->ended) {
		assert(streams && x->ops != NULL && x->ops->closed != NULL);
		x->ops->closed(x->ops_arg);
	} else if (x->status != 200 || !streams) {
		check_json(x);
	}
}

/* --- HTTP --------------------------------------------------------------------------------- */

static const struct gw_dialect *const dialects[] = {&gw_osb, &gw_osb_execd, &gw_osb_events};

#define DIALECTS (sizeof(dialects) / sizeof(dialects[0]))

static bool
touches_disk(const struct gw_route *row)
{
	return strstr(row->path, "/files") != NULL || strstr(row->path, "/directories") != NULL;
}

/* The n-th that does not touch the disk. */
static const struct gw_route *
route(unsigned n)
{
	const struct gw_route *row = dialects[n % DIALECTS]->routes;
	unsigned rows = 0;
	unsigned skip;

	for (unsigned i = 0; row[i].method != NULL; i++)
		rows += !touches_disk(&row[i]);
	skip = n / DIALECTS % rows;
	while (touches_disk(row) || skip > 0) {
		skip -= !touches_disk(row);
		row++;
	}
	return row;
}

/* Server-sent events, or the text of a log. */
static bool
may_stream(const struct gw_route *row)
{
	const char *end = strrchr(row->path, '/');

	return strcmp(row->method, "POST") == 0
	           ? strcmp(end, "/code") == 0 || strcmp(end, "/command") == 0 ||
	                 strcmp(end, "/run") == 0
	           : strcmp(end, "/logs") == 0 || strcmp(end, "/watch") == 0;
}

/* What {id} is: a line, or instead of "@" something that is there. */
static const char *
meant(const struct gw_route *row, const char *line, const struct gw_sandbox *sb)
{
	struct gw_ctx *c;
	struct err err;

	if (strcmp(line, "@") != 0)
		return line;
	if (strncmp(row->path, "/v1/", 4) == 0)
		return sb->id.id;
	return gw_ctx_default(gw_sandbox_find(fuzz_core(), GW_SANDBOX_DEFAULT), NULL, &c,
	                      &err) == 0
	           ? gw_ctx_id(c)
	           : line;
}

/* A sandbox to be named by "@". */
static struct gw_sandbox *
another(void)
{
	const struct gw_sandbox_request rq = {.timeout_ms = 3600000};
	struct gw_sandbox *sb;
	struct err err;
	int rc = gw_sandbox_new(fuzz_core(), &rq, &sb, &err);

	assert(rc == 0);
	return sb;
}

enum { SANDBOX, ID, PORT, DISCONNECT, Q_ID, LANGUAGE, METADATA, STATE, PAGE, CURSOR, LINES };

static void
ask(const struct gw_route *row, char *const *lines, const char *id, const char *text,
    size_t len)
{
	const struct fake_pair params[] = {
	    {"sandbox", lines[SANDBOX]}, {"id", id}, {"port", lines[PORT]}, {NULL, NULL}};
	const struct fake_pair headers[] = {{"x-kernelbridge-disconnect", lines[DISCONNECT]},
	                                    {NULL, NULL}};
	const struct fake_pair query[] = {
	    {"id", lines[Q_ID]},           {"language", lines[LANGUAGE]},
	    {"metadata", lines[METADATA]}, {"state", lines[STATE]},
	    {"page", lines[PAGE]},         {"pageSize", lines[PAGE]},
	    {"cursor", lines[CURSOR]},     {NULL, NULL}};
	struct gw_http x;

	fake_http_init(&x, row->method, row->path);
	x.params = params;
	x.query = query;
	x.headers = headers;
	x.origin = "http://localhost:1";
	row->http(fuzz_core(), &x, text, len);
	settle_all();
	while (x.answers_n == 0) { /* a folder is looked at elsewhere */
		(void)usleep(100);
		settle_all();
	}
	check_answer(&x, may_stream(row));
	settle_all();
	fake_http_fini(&x);
}

static void
http(const char *text, size_t len)
{
	char *lines[LINES] = {NULL};
	const struct gw_route *row;

	if (len == 0)
		return;
	row = route((unsigned char)text[0]);
	text++;
	len--;
	for (int i = 0; i < LINES; i++)
		lines[i] = fuzz_core_line(&text, &len);
	for (int i = 0; i < 2; i++) /* the second time what it made is there */
		ask(row, lines, meant(row, lines[ID], another()), text, len);
	for (int i = 0; i < LINES; i++)
		mem_free(lines[i]);
}

/* --- bodies ------------------------------------------------------------------------------- */

static void
create(const char *text, size_t len)
{
	struct gw_osb_create c;
	struct err err = {""};
	const json_t *notes;
	int rc = gw_osb_create_parse(text, len, &c, &err);

	if (rc != 0) {
		assert(rc == -EINVAL || rc == -EMSGSIZE || rc == -ENOTSUP);
		assert(err.text[0] != '\0');
		return;
	}
	notes = json_object_get(c.told, "notes");
	assert(c.rq.image != NULL && c.rq.image[0] != '\0');
	assert(gw_env_check(c.rq.env, "env", &err) == 0);
	assert(gw_strings_check(c.rq.labels, "metadata", &err) == 0);
	assert(gw_osb_metadata_check(c.rq.labels, false, &err) == 0);
	assert(c.rq.timeout_ms <= (uint64_t)GW_OSB_LIFE_MAX_MS);
	assert(notes == NULL ||
	       json_string_length(json_object_get(notes, GW_OSB_NOT_ENFORCED)) > 0);
	gw_osb_create_fini(&c);
}

static void
patch(const char *text, size_t len)
{
	static const struct fake_pair params[] = {{"id", GW_SANDBOX_DEFAULT}, {NULL, NULL}};
	const struct gw_sandbox *sb = gw_sandbox_find(fuzz_core(), GW_SANDBOX_DEFAULT);
	struct gw_http x;
	struct err err;

	fake_http_init(&x, "PATCH", "/v1/sandboxes/default/metadata");
	x.params = params;
	gw_osb_patch_metadata(fuzz_core(), &x, text, len);
	check_answer(&x, false);
	assert(gw_strings_check(sb->labels, "labels", &err) == 0);
	assert(gw_osb_metadata_check(sb->labels, false, &err) == 0);
	assert(gw_strings_size(sb->labels, GW_SANDBOX_LABELS_MAX, "metadata", &err) == 0);
	json_object_clear(sb->labels);
	fake_http_fini(&x);
}

static void
value(const char *text, size_t len)
{
	char *line = fuzz_core_line(&text, &len);
	json_t *o = gw_labels_parse(line, 1);

	assert(json_is_object(o) && gw_strings_check(o, "metadata", NULL) == 0);
	assert(gw_labels_match(o, o));
	assert(gw_time_parse(line) >= -1);
	json_decref(o);
	mem_free(line);
}

/* --- executions --------------------------------------------------------------------------- */

static const struct fake_pair execd[] = {
    {"sandbox", GW_SANDBOX_DEFAULT}, {"port", "44772"}, {NULL, NULL}};

static void
execute(const char *text, size_t len)
{
	struct gw_http x;

	fake_http_init(&x, "POST", "/code");
	x.params = execd;
	gw_osb_code(fuzz_core(), &x, text, len);
	settle_all();
	assert(x.ended);
	if (x.status == 200)
		check_events(&x);
	else
		check_answer(&x, false);
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
	const char *type;
	struct gw_http x;
	json_t *o;

	if (len == 0)
		return;
	type = types[(unsigned char)text[0] % (sizeof(types) / sizeof(types[0]))];
	o = json_loadb(text + 1, len - 1, JSON_ALLOW_NUL, NULL);
	if (!json_is_object(o)) { /* wire/msg.c lets only objects through */
		json_decref(o);
		return;
	}
	fake_http_init(&x, "POST", "/code");
	x.params = execd;
	gw_osb_code(fuzz_core(), &x, body, sizeof(body) - 1);
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
	assert(x.ended && x.status == 200);
	check_events(&x);
	fake_http_fini(&x);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parts[])(const char *text, size_t len) = {
	    create, http, execute, kernel_message, value, patch};
	const char *text = (const char *)data;

	(void)fuzz_core();
	if (size == 0)
		return 0;
	parts[data[0] % (sizeof(parts) / sizeof(parts[0]))](text + 1, size - 1);
	fuzz_core_clean();
	return 0;
}
