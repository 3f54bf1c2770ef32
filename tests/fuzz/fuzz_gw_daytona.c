/* tests/fuzz/fuzz_gw_daytona.c - a Daytona client's bytes, and a kernel's, through core and
 * dialect.
 *
 * Input: a byte that says what the rest is, modulo 5:
 *	0  the first frame of an execute connection, parsed
 *	1  a byte for the route; a line for {sandbox}, one for {id} and {port}, one per query
 *	   value; the body
 *	2  a frame of an execute connection that runs to its end
 *	3  a frame of Socket.IO per line
 *	4  a byte for the type of a kernel's message; its content, while a client watches
 * Kernels are on paper, the edge is fake, files are not made.
 */
#include <assert.h>
#include <string.h>

#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/dialects/daytona.h"
#include "gateway/dialects/dialects.h"
#include "gateway/sandbox.h"
#include "tests/fuzz/fake_edge.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_core.h"
#include "tests/unit/paper_kernel.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define FRAME_MAX 1048576 /* bytes */

static void
parse(const char *text, size_t len)
{
	struct gw_daytona_request rq;
	struct err err = {""};
	int code = gw_daytona_parse(text, len, &rq, &err);

	if (code != 0) {
		assert(code == 1002 || code == 1008);
		assert(err.text[0] != '\0' && utf8_valid(err.text, strlen(err.text)));
		return;
	}
	assert(rq.rq.code_len > 0 && utf8_valid(rq.rq.code, rq.rq.code_len));
	assert(rq.rq.envs == NULL || json_is_object(rq.rq.envs));
	assert(gw_env_check(rq.rq.envs, "envs", NULL) == 0);
	json_decref(rq.root);
}

/* --- HTTP ------------------------------------------------------------------------------- */

static const struct gw_route *
http_route(unsigned n)
{
	const struct gw_route *rows = gw_daytona.routes;
	unsigned http_n = 0;
	unsigned i = 0;

	for (const struct gw_route *r = rows; r->method != NULL; r++)
		http_n += r->http != NULL;
	n %= http_n;
	while (rows[i].http == NULL || n-- > 0)
		i++;
	return &rows[i];
}

static void
check_answer(const struct gw_http *x)
{
	json_t *o = json_loadb(x->body.data, x->body.len, 0, NULL);

	assert(x->answers_n == 1 && x->ended);
	assert(json_is_object(o));
	assert(x->status == 200 || x->status == 400 || x->status == 404 || x->status == 409 ||
	       x->status == 429);
	if (x->status != 200) {
		assert(json_integer_value(json_object_get(o, "statusCode")) == x->status);
		assert(json_string_length(json_object_get(o, "message")) > 0);
		assert(json_string_length(json_object_get(o, "code")) > 0);
	}
	json_decref(o);
}

static void
http(const char *text, size_t len)
{
	enum { SANDBOX, ID, LABELS, LIMIT, CURSOR, STATES, NAME, LINES };
	char *lines[LINES] = {NULL};
	const struct gw_route *row;
	struct gw_http x;

	if (len == 0)
		return;
	row = http_route((unsigned char)text[0]);
	text++;
	len--;
	for (int i = 0; i < LINES; i++)
		lines[i] = fuzz_core_line(&text, &len);

	const struct fake_pair params[] = {
	    {"sandbox", lines[SANDBOX][0] != '\0' ? lines[SANDBOX] : GW_SANDBOX_DEFAULT},
	    {"id", lines[ID]},
	    {"port", lines[ID]},
	    {NULL, NULL}};
	const struct fake_pair query[] = {{"labels", lines[LABELS]}, {"limit", lines[LIMIT]},
	                                  {"cursor", lines[CURSOR]}, {"states", lines[STATES]},
	                                  {"name", lines[NAME]},     {NULL, NULL}};

	for (int i = 0; i < 2; i++) { /* the second time what it made is there */
		fake_http_init(&x, row->method, lines[NAME]);
		x.params = strchr(row->path, '{') != NULL ? params : NULL;
		x.query = query;
		row->http(fuzz_core(), &x, text, len);
		check_answer(&x);
		fake_http_fini(&x);
	}
	for (int i = 0; i < LINES; i++)
		mem_free(lines[i]);
}

/* --- WebSockets ------------------------------------------------------------------------- */

static const char *const fields[] = {"type", "text", "name", "value", "traceback"};

static void
check_frames(const struct gw_ws *c)
{
	const char *text = c->sent.data;

	assert(c->longest <= FRAME_MAX);
	for (unsigned i = 0; i < c->sent_n; i++) {
		size_t len = strcspn(text, "\n");
		json_t *f = json_loadb(text, len, JSON_ALLOW_NUL, NULL);

		for (size_t j = 0; j < sizeof(fields) / sizeof(fields[0]); j++)
			assert(json_is_string(json_object_get(f, fields[j])));
		json_decref(f);
		text += len + 1;
	}
	assert(*text == '\0');
}

static void
open_ws(struct gw_ws *c, const struct gw_ws_ops *ops)
{
	static const struct fake_pair box[] = {{"sandbox", GW_SANDBOX_DEFAULT}, {NULL, NULL}};

	fake_ws_init(c);
	c->params = box;
	c->good_token = "token";
	ops->opened(fuzz_core(), c);
}

static void
execute(const char *text, size_t len)
{
	struct gw_ws c;

	open_ws(&c, &gw_daytona_execute_ws);
	gw_daytona_execute_ws.message(fuzz_core(), &c, text, len, false);
	do
		fuzz_core_settle();
	while (paper_obey());
	assert(c.close_code == 1000 || c.close_code == 1002 || c.close_code == 1008);
	assert(c.close_code != 1000 || c.sent_n == 1); /* control */
	check_frames(&c);
	gw_daytona_execute_ws.closed(fuzz_core(), &c);
	fake_ws_fini(&c);
}

static void
socketio(const char *text, size_t len)
{
	struct gw_ws c;

	open_ws(&c, &gw_daytona_socketio_ws);
	assert(c.sent_n == 1);
	while (len > 0 && c.close_code == 0) {
		char *msg = fuzz_core_line(&text, &len);

		gw_daytona_socketio_ws.message(fuzz_core(), &c, msg, strlen(msg), false);
		mem_free(msg);
	}
	gw_daytona_socketio_ws.closed(fuzz_core(), &c);
	fake_ws_fini(&c);
}

static const char *const types[] = {
    "stream", "execute_input", "execute_result", "display_data",  "update_display_data",
    "error",  "input_request", "clear_output",   "execute_reply", "status"};

/* What a kernel says, with the same bytes as content and as metadata. */
static void
kernel_message(const char *text, size_t len)
{
	static const char first[] = "{\"code\": \"1\"}";
	json_t *o;
	const char *type;
	struct gw_ws c;

	if (len == 0)
		return;
	type = types[(unsigned char)text[0] % (sizeof(types) / sizeof(types[0]))];
	o = json_loadb(text + 1, len - 1, JSON_ALLOW_NUL, NULL);
	if (!json_is_object(o)) { /* wire/msg.c lets only objects through */
		json_decref(o);
		return;
	}
	open_ws(&c, &gw_daytona_execute_ws);
	gw_daytona_execute_ws.message(fuzz_core(), &c, first, sizeof(first) - 1, false);
	fuzz_core_settle();
	paper_ready(paper_newest());
	fuzz_core_settle();
	if (strcmp(type, "execute_reply") == 0) {
		paper_reply(paper_newest(), o);
		paper_done(paper_newest(), 0);
	} else {
		paper_say(paper_newest(), type, o, json_incref(o));
	}
	while (paper_obey())
		fuzz_core_settle();
	fuzz_core_settle();
	assert(c.close_code == 1000 || c.close_code == 1011);
	check_frames(&c);
	gw_daytona_execute_ws.closed(fuzz_core(), &c);
	fake_ws_fini(&c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parts[])(const char *text, size_t len) = {parse, http, execute,
	                                                              socketio, kernel_message};
	const char *text = (const char *)data;

	if (size == 0)
		return 0;
	parts[data[0] % (sizeof(parts) / sizeof(parts[0]))](text + 1, size - 1);
	fuzz_core_clean();
	return 0;
}
