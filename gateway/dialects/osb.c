/* gateway/dialects/osb.c - OpenSandbox's routes, its errors, and which sandbox a request is for.
 *
 * Whose paths they are: /v1/sandboxes and /v1/metrics are the lifecycle's, and of E2B's
 * /sandboxes all below {sandbox}/proxy.  A client reaches execd only by the path that the
 * lifecycle's endpoint call hands out, with the token in its headers.
 */
#include "gateway/dialects/osb.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/core.h"
#include "gateway/dialects/dialects.h"
#include "gateway/sandbox.h"
#include "gateway/status.h"
#include "wire/base/utf8.h"

#define TEXT_MAX   4096    /* of an error */
#define EXECD_PORT "44772" /* a label: execd has no port of its own here */

/* --- errors ------------------------------------------------------------------------------- */

static json_t *
error_body(const char *code, const char *message)
{
	return json_pack("{s:s, s:s%}", "code", code, "message", message,
	                 utf8_span(message, strlen(message)));
}

void
gw_osb_fail(struct gw_http *x, int status, const char *code, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	gw_http_reply_json(x, status, error_body(code, text));
}

/* What the edge finds itself, in the words of the lifecycle server. */
static json_t *
edge_error(int status, const char *message, const char *path)
{
	const char *code = GW_OSB_RUNTIME;

	(void)path;
	if (status == 401)
		code = "INVALID_API_KEY";
	else if (status == 404 || status == 405)
		code = "NOT_FOUND";
	else if (status == 400 || status == 413 || status == 431)
		code = GW_OSB_BAD_BODY;
	return error_body(code, message);
}

/* --- requests ----------------------------------------------------------------------------- */

/* Whether the parameter called name is absent, or the number id. */
static bool
is_ours(const struct gw_http *x, const char *name, unsigned long id)
{
	const char *text = gw_http_param(x, name);
	char own[24];

	(void)snprintf(own, sizeof(own), "%lu", id);
	return text == NULL || strcmp(text, own) == 0;
}

struct gw_sandbox *
gw_osb_sandbox(struct gw_core *core, struct gw_http *x)
{
	const char *id = gw_http_param(x, "sandbox");
	const char *port = gw_http_param(x, "port");
	struct gw_sandbox *sb = gw_sandbox_find(core, id);

	if (strcmp(port, EXECD_PORT) != 0)
		gw_osb_fail(x, 404, "NOT_FOUND",
		            "nothing is served at port %.16s: execd's is " EXECD_PORT, port);
	else if (sb == NULL)
		gw_osb_fail(x, 404, GW_OSB_NO_SANDBOX, "sandbox %.64s not found", id);
	else if (sb->paused || sb->stopped)
		gw_osb_fail(x, 409, "SANDBOX_PAUSED", "sandbox %.64s is paused", id);
	else if (!is_ours(x, "uid", geteuid()) || !is_ours(x, "gid", getegid()))
		gw_osb_fail(x, 400, GW_OSB_BAD_BODY,
		            "files belong to uid %lu and gid %lu, as whom all sandboxes run: "
		            "no other identity can be taken",
		            (unsigned long)geteuid(), (unsigned long)getegid());
	else
		return sb;
	return NULL;
}

json_t *
gw_osb_object(struct gw_http *x, const char *body, size_t len, size_t max, bool empty_ok)
{
	json_error_t why = {.text = ""};
	json_t *o;

	if (len == 0 && empty_ok)
		return json_object();
	if (len > max) {
		gw_osb_fail(x, 413, GW_OSB_BAD_BODY, "the body has more than %zu bytes", max);
		return NULL;
	}
	o = json_loadb(body, len, 0, &why);
	if (json_is_object(o))
		return o;
	gw_osb_fail(x, 400, GW_OSB_BAD_BODY, "error parsing request: %s",
	            o != NULL ? "the body is not an object" : why.text);
	json_decref(o);
	return NULL;
}

int64_t
gw_osb_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
ping(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)body;
	(void)len;
	if (gw_osb_sandbox(core, x) != NULL)
		gw_http_reply(x, 200, NULL, "", 0);
}

/* --- routes ------------------------------------------------------------------------------- */

/* The sandbox's own token opens execd's rows; the gateway's opens all. */
#define USER  GW_ACCESS_USER
#define EXECD "/sandboxes/{sandbox}/proxy/{port}"

/* clang-format off */
static const struct gw_route lifecycle[] = {
	{"POST",   "/v1/sandboxes",                         USER, gw_osb_create,         NULL, NULL, NULL},
	{"GET",    "/v1/sandboxes",                         USER, gw_osb_list,           NULL, NULL, NULL},
	{"GET",    "/v1/sandboxes/{id}",                    USER, gw_osb_get,            NULL, NULL, NULL},
	{"DELETE", "/v1/sandboxes/{id}",                    USER, gw_osb_kill,           NULL, NULL, NULL},
	{"POST",   "/v1/sandboxes/{id}/renew-expiration",   USER, gw_osb_renew,          NULL, NULL, NULL},
	{"POST",   "/v1/sandboxes/{id}/pause",              USER, gw_osb_pause,          NULL, NULL, NULL},
	{"POST",   "/v1/sandboxes/{id}/resume",             USER, gw_osb_resume,         NULL, NULL, NULL},
	{"PATCH",  "/v1/sandboxes/{id}/metadata",           USER, gw_osb_patch_metadata, NULL, NULL, NULL},
	{"GET",    "/v1/sandboxes/{id}/endpoints/{port}",   USER, gw_osb_endpoint,       NULL, NULL, NULL},
	{NULL, NULL, GW_ACCESS_DENY, NULL, NULL, NULL, NULL},
};

static const struct gw_route events[] = {
	{"POST",   "/v1/metrics/events",                    USER, gw_osb_event,          NULL, NULL, NULL},
	{NULL, NULL, GW_ACCESS_DENY, NULL, NULL, NULL, NULL},
};

#define FILE_ROWS(base) \
	{"GET",    base "/files/info",              USER, gw_osb_files_info,        NULL, NULL, NULL}, \
	{"DELETE", base "/files",                   USER, gw_osb_files_delete,      NULL, NULL, NULL}, \
	{"POST",   base "/files/mv",                USER, gw_osb_files_move,        NULL, NULL, NULL}, \
	{"POST",   base "/files/permissions",       USER, gw_osb_files_chmod,       NULL, NULL, NULL}, \
	{"GET",    base "/files/search",            USER, gw_osb_files_search,      NULL, NULL, NULL}, \
	{"POST",   base "/files/replace",           USER, gw_osb_files_replace,     NULL, NULL, NULL}, \
	{"GET",    base "/files/download",          USER, gw_osb_download,          NULL, NULL, NULL}, \
	{"POST",   base "/directories",             USER, gw_osb_dirs_make,         NULL, NULL, NULL}, \
	{"DELETE", base "/directories",             USER, gw_osb_dirs_delete,       NULL, NULL, NULL}, \
	{"GET",    base "/directories/list",        USER, gw_osb_dirs_list,         NULL, NULL, NULL}

static const struct gw_route execd[] = {
	{"GET",    EXECD "/ping",                   USER, ping,                     NULL, NULL, NULL},
	{"POST",   EXECD "/code",                   USER, gw_osb_code,              NULL, NULL, NULL},
	{"DELETE", EXECD "/code",                   USER, gw_osb_code_interrupt,    NULL, NULL, NULL},
	{"POST",   EXECD "/code/context",           USER, gw_osb_context_create,    NULL, NULL, NULL},
	{"GET",    EXECD "/code/contexts",          USER, gw_osb_context_list,      NULL, NULL, NULL},
	{"DELETE", EXECD "/code/contexts",          USER, gw_osb_contexts_delete,   NULL, NULL, NULL},
	{"GET",    EXECD "/code/contexts/{id}",     USER, gw_osb_context_get,       NULL, NULL, NULL},
	{"DELETE", EXECD "/code/contexts/{id}",     USER, gw_osb_context_delete,    NULL, NULL, NULL},
	{"POST",   EXECD "/command",                USER, gw_osb_command,           NULL, NULL, NULL},
	{"DELETE", EXECD "/command",                USER, gw_osb_command_interrupt, NULL, NULL, NULL},
	{"GET",    EXECD "/command/status/{id}",    USER, gw_osb_command_status,    NULL, NULL, NULL},
	{"GET",    EXECD "/command/{id}/logs",      USER, gw_osb_command_logs,      NULL, NULL, NULL},
	{"POST",   EXECD "/session",                USER, gw_osb_session_create,    NULL, NULL, NULL},
	{"POST",   EXECD "/session/{id}/run",       USER, gw_osb_session_run,       NULL, NULL, NULL},
	{"DELETE", EXECD "/session/{id}",           USER, gw_osb_session_delete,    NULL, NULL, NULL},
	FILE_ROWS("/sandboxes/{sandbox}/proxy/{port}"),
	FILE_ROWS("/sandboxes/{sandbox}/proxy/{port}/v1/filesystem/{uid}/{gid}"), /* as a user */
	{"GET",    EXECD "/metrics",                USER, gw_osb_metrics,           NULL, NULL, NULL},
	{"GET",    EXECD "/metrics/watch",          USER, gw_osb_metrics_watch,     NULL, NULL, NULL},
	{NULL, NULL, GW_ACCESS_DENY, NULL, NULL, NULL, NULL},
};

static const struct gw_route upload[] = {
	{"POST",   EXECD "/files/upload",           USER, gw_osb_upload,            NULL, NULL, NULL},
	{"POST",   EXECD "/v1/filesystem/{uid}/{gid}/files/upload",
	                                            USER, gw_osb_upload,            NULL, NULL, NULL},
	{NULL, NULL, GW_ACCESS_DENY, NULL, NULL, NULL, NULL},
};
/* clang-format on */

const struct gw_dialect gw_osb = {
    .name = "opensandbox",
    .prefix = "/v1/sandboxes",
    .routes = lifecycle,
    .error = edge_error,
};

const struct gw_dialect gw_osb_events = {
    .name = "opensandbox",
    .prefix = "/v1/metrics",
    .routes = events,
    .error = edge_error,
};

const struct gw_dialect gw_osb_execd = {
    .name = "opensandbox",
    .prefix = EXECD,
    .routes = execd,
    .error = edge_error,
};

const struct gw_dialect gw_osb_uploads = {
    .name = "opensandbox",
    .prefix = EXECD "/files/upload",
    .routes = upload,
    .error = edge_error,
    .pieces = true,
};
