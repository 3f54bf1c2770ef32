/* gateway/dialects/e2b.c - E2B's routes, its errors, and which sandbox a request is for.
 *
 * Whose paths they are: /execute and /contexts are E2B's, and so is all below /sandboxes and
 * /v2/sandboxes, except /sandboxes/{id}/proxy/..., which is kept for OpenSandbox; its
 * sandboxes' API is below /v1/sandboxes.  /health is admin's and knows E2B's rule.
 */
#include "gateway/dialects/e2b.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gateway/core.h"
#include "gateway/dialects/dialects.h"
#include "gateway/sandbox.h"
#include "wire/base/utf8.h"

#define DEBUG_ID "debug_sandbox_id" /* the SDKs' name where E2B_DEBUG is set */
#define TEXT_MAX 4096               /* of an error */

/* --- which sandbox ------------------------------------------------------------------------ */

static const char *
meant(const char *id)
{
	return id == NULL || id[0] == '\0' || strcmp(id, DEBUG_ID) == 0 ? GW_SANDBOX_DEFAULT
	                                                                : id;
}

struct gw_sandbox *
gw_e2b_find(struct gw_core *core, const char *id)
{
	return gw_sandbox_find(core, meant(id));
}

struct gw_sandbox *
gw_e2b_running(struct gw_core *core, const char *id)
{
	struct gw_sandbox *sb = gw_e2b_find(core, id);

	return sb != NULL && !sb->paused && !sb->stopped ? sb : NULL;
}

struct gw_sandbox *
gw_e2b_sandbox(struct gw_core *core, struct gw_http *x)
{
	const char *made_for = gw_http_token_sandbox(x);
	const char *header = gw_http_header(x, "e2b-sandbox-id");
	const char *id = meant(header == NULL && made_for != NULL ? made_for : header);
	struct gw_sandbox *sb = gw_e2b_find(core, id);
	const char *true_id = sb != NULL ? sb->id.id : id; /* it may have come by its name */

	if (made_for != NULL && strcmp(made_for, true_id) != 0) {
		gw_e2b_text(x, 403, "The token was made for another sandbox than %.64s", id);
		return NULL;
	}
	if (sb != NULL && sb->paused && sb->wakes)
		gw_sandbox_resume(sb, GW_E2B_TIMEOUT_DEFAULT * 1000ULL);
	if (sb == NULL)
		gw_e2b_text(x, 502, "The sandbox %.64s was not found", id);
	else if (gw_e2b_running(core, id) == NULL)
		gw_e2b_text(x, 502, "The sandbox %.64s is paused", id);
	else
		return sb;
	return NULL;
}

/* --- errors ------------------------------------------------------------------------------- */

/* Returns its length: what was quoted in it may have been cut within a character. */
__attribute__((format(printf, 2, 0))) static size_t
write_text(char text[TEXT_MAX], const char *fmt, va_list ap)
{
	(void)vsnprintf(text, TEXT_MAX, fmt, ap);
	return utf8_span(text, strlen(text));
}

void
gw_e2b_text(struct gw_http *x, int status, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	len = write_text(text, fmt, ap);
	va_end(ap);
	gw_http_reply(x, status, "text/plain; charset=utf-8", text, len);
}

static json_t *
api_error(int status, const char *message, const char *path)
{
	(void)path;
	return json_pack("{s:i, s:s%}", "code", status, "message", message,
	                 utf8_span(message, strlen(message)));
}

void
gw_e2b_fail(struct gw_http *x, int status, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)write_text(text, fmt, ap);
	va_end(ap);
	gw_http_reply_json(x, status, api_error(status, text, ""));
}

/* As FastAPI words what it finds itself. */
static json_t *
interpreter_error(int status, const char *message, const char *path)
{
	const char *detail = message;

	(void)path;
	if (status == 404)
		detail = "Not Found";
	else if (status == 405)
		detail = "Method Not Allowed";
	return json_pack("{s:s%}", "detail", detail, utf8_span(detail, strlen(detail)));
}

#define NO_ENVD                                                                                \
	"{\"code\":\"unimplemented\","                                                         \
	"\"message\":\"envd (files, commands, pty) is not served by this gateway\"}"
#define CONNECT "application/connect+"

/* E2B's other daemon in a sandbox, for files and commands.  An error of the Connect protocol
 * (connectrpc.com/docs/protocol), in the one form or the other, so that the SDKs show its words. */
static void
no_envd(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	static const char end[] = "{\"error\":" NO_ENVD "}"; /* of a stream */
	static const char head[] = {2, 0, 0, 0, (char)(sizeof(end) - 1)};
	const char *type = gw_http_header(x, "content-type");

	(void)core;
	(void)body;
	(void)len;
	if (type == NULL || strncmp(type, CONNECT, strlen(CONNECT)) != 0) {
		gw_http_reply(x, 501, "application/json", NO_ENVD, sizeof(NO_ENVD) - 1);
		return;
	}
	gw_http_stream_begin(
	    x, 200, strcmp(type, CONNECT "json") == 0 ? CONNECT "json" : CONNECT "proto");
	(void)gw_http_stream_write(x, head, sizeof(head));
	(void)gw_http_stream_write(x, end, sizeof(end) - 1);
	gw_http_stream_end(x);
}

/* --- routes ------------------------------------------------------------------------------- */

/* The SDKs send the gateway's token to the sandboxes' API only; the interpreter gets the token
 * that create hands out (protocols: E2B, 1). */
#define USER GW_ACCESS_USER
#define ANY  GW_ACCESS_SANDBOX

/* clang-format off */
#define SANDBOX_ROWS(base) \
	{"POST",   base,                  USER, gw_e2b_sandbox_create,  NULL, NULL, NULL}, \
	{"GET",    base,                  USER, gw_e2b_sandbox_list,    NULL, NULL, NULL}, \
	{"GET",    base "/{id}",          USER, gw_e2b_sandbox_get,     NULL, NULL, NULL}, \
	{"DELETE", base "/{id}",          USER, gw_e2b_sandbox_kill,    NULL, NULL, NULL}, \
	{"POST",   base "/{id}/connect",  USER, gw_e2b_sandbox_connect, NULL, NULL, NULL}, \
	{"POST",   base "/{id}/timeout",  USER, gw_e2b_sandbox_timeout, NULL, NULL, NULL}, \
	{"POST",   base "/{id}/pause",    USER, gw_e2b_sandbox_pause,   NULL, NULL, NULL}, \
	{"POST",   base "/{id}/resume",   USER, gw_e2b_sandbox_resume,  NULL, NULL, NULL}, \
	{"GET",    base "/{id}/metrics",  USER, gw_e2b_sandbox_metrics, NULL, NULL, NULL}, \
	{NULL, NULL, GW_ACCESS_DENY, NULL, NULL, NULL, NULL}

static const struct gw_route sandboxes[] = {SANDBOX_ROWS("/sandboxes")};
static const struct gw_route sandboxes_v2[] = {SANDBOX_ROWS("/v2/sandboxes")};

static const struct gw_route contexts[] = {
	{"POST",   "/contexts",              ANY, gw_e2b_context_create,  NULL, NULL, NULL},
	{"GET",    "/contexts",              ANY, gw_e2b_context_list,    NULL, NULL, NULL},
	{"POST",   "/contexts/{id}/restart", ANY, gw_e2b_context_restart, NULL, NULL, NULL},
	{"DELETE", "/contexts/{id}",         ANY, gw_e2b_context_delete,  NULL, NULL, NULL},
	{NULL, NULL, GW_ACCESS_DENY, NULL, NULL, NULL, NULL},
};

static const struct gw_route execute[] = {
	{"POST", "/execute",                       ANY,  gw_e2b_execute, NULL, NULL, NULL},
	{"GET",  "/files",                         ANY,  no_envd,        NULL, NULL, NULL},
	{"POST", "/files",                         ANY,  no_envd,        NULL, NULL, NULL},
	{"POST", "/process.Process/{call}",        ANY,  no_envd,        NULL, NULL, NULL},
	{"POST", "/filesystem.Filesystem/{call}",  ANY,  no_envd,        NULL, NULL, NULL},
	{NULL, NULL, GW_ACCESS_DENY, NULL, NULL, NULL, NULL},
};
/* clang-format on */

const struct gw_dialect gw_e2b = {
    .name = "e2b",
    .prefix = "/execute",
    .routes = execute,
    .error = interpreter_error,
};

const struct gw_dialect gw_e2b_contexts = {
    .name = "e2b",
    .prefix = "/contexts",
    .routes = contexts,
    .error = interpreter_error,
};

const struct gw_dialect gw_e2b_sandboxes = {
    .name = "e2b",
    .prefix = "/sandboxes",
    .routes = sandboxes,
    .error = api_error,
};

const struct gw_dialect gw_e2b_sandboxes_v2 = {
    .name = "e2b",
    .prefix = "/v2/sandboxes",
    .routes = sandboxes_v2,
    .error = api_error,
};
