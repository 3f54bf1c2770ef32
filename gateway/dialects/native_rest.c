/* gateway/dialects/native_rest.c - the REST twins of the WebSocket's operations, below /v1. */
#include <errno.h>
#include <string.h>

#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/dialects/await.h"
#include "gateway/dialects/native.h"
#include "gateway/dialects/native_request.h"
#include "gateway/dialects/native_stream.h"
#include "gateway/exec.h"
#include "gateway/execinfo.h"
#include "gateway/sandbox.h"
#include "gateway/sink.h"
#include "gateway/status.h"
#include "wire/base/err.h"

#define DIGITS_MAX 15 /* of a number in a query: below 2^53 */

static void
reply_error(struct gw_http *x, int rc, const char *message)
{
	gw_http_reply_json(x, gw_status_http(rc),
	                   json_pack("{s:o}", "error", gw_native_error(rc, message)));
}

/* Read the body as op's and what the path names.  False: answered with an error. */
static bool
read_request(struct gw_http *x, enum gw_native_op op, const char *body, size_t len,
             struct gw_native_request *rq)
{
	struct err err;
	int rc = gw_native_request_parse_body(op, body, len, rq, &err);

	if (rc == 0)
		return true;
	reply_error(x, rc, err.text);
	gw_native_request_fini(rq);
	return false;
}

/* Operations that need no waiting; the body is {} or absent, the path names one thing. */
static void
reply_done(struct gw_core *core, struct gw_http *x, const struct gw_native_request *rq,
           int status)
{
	json_t *fields;
	struct err err;
	int rc = gw_native_do(core, rq, &fields, &err);

	if (rc != 0)
		reply_error(x, rc, err.text);
	else
		gw_http_reply_json(x, status, fields);
}

/* --- contexts --------------------------------------------------------------------------- */

/* A reply that comes when a kernel answers. */
static void
on_created(struct gw_http *x, const struct gw_ctx *c, int status, const char *why)
{
	if (status == 0)
		gw_http_reply_json(x, 201, gw_native_describe(c));
	else
		reply_error(x, status, why);
}

static void
on_restarted(struct gw_http *x, const struct gw_ctx *c, int status, const char *why)
{
	if (status == 0)
		gw_http_reply_json(x, 200, gw_native_describe(c));
	else
		reply_error(x, status, why);
}

static void
create_context(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_native_request rq;
	struct gw_ctx *c;
	struct err err;
	int rc;

	if (!read_request(x, GW_NATIVE_CREATE_CONTEXT, body, len, &rq))
		return;
	rc = gw_native_create(core, &rq, &c, &err);
	if (rc == 0)
		gw_await_kernel(x, c, false, on_created);
	else
		reply_error(x, rc, err.text);
	gw_native_request_fini(&rq);
}

static void
list_contexts(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_native_request rq = {.op = GW_NATIVE_LIST_CONTEXTS};

	(void)body;
	(void)len;
	rq.sandbox = gw_http_query(x, "sandbox");
	reply_done(core, x, &rq, 200);
}

/* Find the context of the path.  False: answered with an error. */
static bool
path_context(struct gw_core *core, struct gw_http *x, struct gw_ctx **ret)
{
	const struct gw_native_request rq = {.context = gw_http_param(x, "id")};
	struct err err;
	int rc = gw_native_context(core, &rq, ret, &err);

	if (rc != 0)
		reply_error(x, rc, err.text);
	return rc == 0;
}

static void
get_context(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_ctx *c;

	(void)body;
	(void)len;
	if (path_context(core, x, &c))
		gw_http_reply_json(x, 200, gw_native_describe(c));
}

static void
delete_context(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_native_request rq = {.op = GW_NATIVE_DELETE_CONTEXT};

	(void)body;
	(void)len;
	rq.context = gw_http_param(x, "id");
	reply_done(core, x, &rq, 200);
}

static void
restart_context(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_native_request rq;
	struct gw_ctx *c;
	struct err err;
	int rc;

	if (!read_request(x, GW_NATIVE_REST_EMPTY, body, len, &rq))
		return;
	gw_native_request_fini(&rq);
	if (!path_context(core, x, &c))
		return;
	rc = gw_ctx_restart(c, &err);
	if (rc == 0)
		gw_await_kernel(x, c, false, on_restarted);
	else
		reply_error(x, rc, err.text);
}

static void
interrupt(struct gw_core *core, struct gw_http *x, const char *body, size_t len, bool context)
{
	struct gw_native_request rq;

	if (!read_request(x, GW_NATIVE_REST_INTERRUPT, body, len, &rq))
		return;
	if (context)
		rq.context = gw_http_param(x, "id");
	else
		rq.execution = gw_http_param(x, "id");
	reply_done(core, x, &rq, 200);
	gw_native_request_fini(&rq);
}

static void
interrupt_context(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	interrupt(core, x, body, len, true);
}

/* --- executions ------------------------------------------------------------------------- */

static void
execute(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_native_request rq;
	struct gw_exec *ex;
	struct err err;
	int rc;

	if (!read_request(x, GW_NATIVE_REST_EXECUTE, body, len, &rq))
		return;
	rc = gw_native_execute(core, &rq, &ex, &err);
	if (rc != 0)
		reply_error(x, rc, err.text);
	else if (rq.detach)
		gw_http_reply_json(x, 202, gw_native_describe_exec(ex));
	else if (rq.wait)
		gw_native_stream_wait(core, x, ex);
	else
		gw_native_stream_events(core, x, ex, 0);
	gw_native_request_fini(&rq);
}

/* Find the execution of the path.  False: answered with an error. */
static bool
path_execution(struct gw_core *core, struct gw_http *x, struct gw_exec **ret)
{
	const struct gw_native_request rq = {.execution = gw_http_param(x, "id")};
	struct err err;
	int rc = gw_native_execution(core, &rq, ret, &err);

	if (rc != 0)
		reply_error(x, rc, err.text);
	return rc == 0;
}

static void
get_execution(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_exec *ex;

	(void)body;
	(void)len;
	if (path_execution(core, x, &ex))
		gw_http_reply_json(x, 200, gw_native_describe_exec(ex));
}

static int
parse_after(const char *text, uint64_t last, uint64_t *ret)
{
	uint64_t n = 0;
	size_t len = text != NULL ? strlen(text) : 0;

	if (text != NULL && (len == 0 || len > DIGITS_MAX || strspn(text, "0123456789") != len))
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		n = 10 * n + (uint64_t)(text[i] - '0');
	if (n > last)
		return -EINVAL;
	*ret = n;
	return 0;
}

static void
get_events(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_execinfo info;
	struct gw_exec *ex;
	struct err err;
	uint64_t after;

	(void)body;
	(void)len;
	if (!path_execution(core, x, &ex))
		return;
	gw_execinfo_get(ex, &info);
	if (parse_after(gw_http_query(x, "after"), info.last_seq, &after) != 0) {
		(void)err_set(&err, -EINVAL, "'after' must be a number from 0 to %llu",
		              (unsigned long long)info.last_seq);
		reply_error(x, -EINVAL, err.text);
	} else if (info.how != NULL && after == info.last_seq) {
		gw_http_reply(x, 200, "application/x-ndjson", "", 0);
	} else {
		gw_native_stream_events(core, x, ex, after);
	}
}

static void
interrupt_execution(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	interrupt(core, x, body, len, false);
}

static void
input(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_native_request rq;
	struct gw_execinfo info;
	struct gw_exec *ex;
	struct err err;
	int rc;

	if (!read_request(x, GW_NATIVE_REST_INPUT, body, len, &rq))
		return;
	rq.execution = gw_http_param(x, "id");
	rc = gw_native_execution(core, &rq, &ex, &err);
	if (rc == 0) {
		gw_execinfo_get(ex, &info);
		if (info.owner != NULL && info.owner->ops == &gw_native_ws_sink)
			rc = err_set(&err, -EACCES,
			             "another client answers the input of the execution");
	}
	if (rc == 0)
		rc = gw_native_input(ex, &rq, &err);
	if (rc == 0)
		gw_http_reply_json(x, 200, json_object());
	else
		reply_error(x, rc, err.text);
	gw_native_request_fini(&rq);
}

/* --- the rest --------------------------------------------------------------------------- */

static void
kernelspecs(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	const struct gw_native_request rq = {.op = GW_NATIVE_LIST_KERNELSPECS};

	(void)body;
	(void)len;
	reply_done(core, x, &rq, 200);
}

static void
list_sandboxes(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	const struct gw_native_request rq = {.op = GW_NATIVE_LIST_SANDBOXES};

	(void)body;
	(void)len;
	reply_done(core, x, &rq, 200);
}

static void
create_sandbox(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_native_request rq;

	if (!read_request(x, GW_NATIVE_CREATE_SANDBOX, body, len, &rq))
		return;
	reply_done(core, x, &rq, 201);
	gw_native_request_fini(&rq);
}

static void
delete_sandbox(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_native_request rq = {.op = GW_NATIVE_DELETE_SANDBOX};

	(void)body;
	(void)len;
	rq.sandbox = gw_http_param(x, "id");
	reply_done(core, x, &rq, 200);
}

#define USER GW_ACCESS_USER

/* clang-format off */
const struct gw_route gw_native_rest[] = {
	{.method = "WS", .path = "/v1/ws", .access = USER, .ws = &gw_native_ws, .subprotocol = "kernelbridge.v1"},
	{"GET",    "/v1/contexts",                  USER, .http = list_contexts},
	{"POST",   "/v1/contexts",                  USER, .http = create_context},
	{"GET",    "/v1/contexts/{id}",             USER, .http = get_context},
	{"DELETE", "/v1/contexts/{id}",             USER, .http = delete_context},
	{"POST",   "/v1/contexts/{id}/restart",     USER, .http = restart_context},
	{"POST",   "/v1/contexts/{id}/interrupt",   USER, .http = interrupt_context},
	{"POST",   "/v1/executions",                USER, .http = execute},
	{"GET",    "/v1/executions/{id}",           USER, .http = get_execution},
	{"GET",    "/v1/executions/{id}/events",    USER, .http = get_events},
	{"POST",   "/v1/executions/{id}/interrupt", USER, .http = interrupt_execution},
	{"POST",   "/v1/executions/{id}/input",     USER, .http = input},
	{"GET",    "/v1/kernelspecs",               USER, .http = kernelspecs},
	{"GET",    "/v1/native/sandboxes",          USER, .http = list_sandboxes},
	{"POST",   "/v1/native/sandboxes",          USER, .http = create_sandbox},
	{"DELETE", "/v1/native/sandboxes/{id}",     USER, .http = delete_sandbox},
	{0},
};
/* clang-format on */
