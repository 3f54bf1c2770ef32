/* gateway/dialects/daytona.c - Daytona's control plane, and the dialect's routes. */
#include "gateway/dialects/daytona.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gateway/auth.h"
#include "gateway/core.h"
#include "gateway/dialects/dialects.h"
#include "gateway/labels.h"
#include "gateway/sandbox.h"
#include "gateway/status.h"
#include "gateway/text.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define URL_MAX        4096
#define TOOLBOX_PORT   "2280" /* of Daytona's toolbox; the Ruby SDK asks for its preview URL */
#define LIST_LIMIT     100
#define LIST_LIMIT_MAX 1000
#define PAGE_BYTES     (16U << 20) /* of variables and labels: then a page ends */
#define BODY_MAX       (2U << 20)  /* variables at their ceiling, with escapes */

/* --- errors ------------------------------------------------------------------------------- */

static const char *
error_code(int status)
{
	switch (status) {
	case 400:
		return "BAD_REQUEST";
	case 401:
		return "UNAUTHORIZED";
	case 403:
		return "FORBIDDEN";
	case 404:
		return "NOT_FOUND";
	case 409:
		return "CONFLICT";
	case 413:
		return "PAYLOAD_TOO_LARGE";
	case 429:
		return "TOO_MANY_REQUESTS";
	case 503:
		return "SERVICE_UNAVAILABLE";
	default:
		return status < 500 ? "REQUEST_FAILED" : "INTERNAL_SERVER_ERROR";
	}
}

json_t *
gw_daytona_error(int status, const char *message, const char *path)
{
	char now[32];

	gw_core_time(0, now);
	/* What is quoted in them may have been cut within a character. */
	return json_pack("{s:i, s:s%, s:s, s:s%, s:s, s:s, s:s}", "statusCode", status,
	                 "message", message, utf8_span(message, strlen(message)), "error",
	                 gw_status_phrase(status), "path", path, utf8_span(path, strlen(path)),
	                 "timestamp", now, "code", error_code(status), "source", "DAYTONA_API");
}

void
gw_daytona_fail(struct gw_http *x, int rc, const struct err *err)
{
	int status = gw_status_http(rc);

	gw_http_reply_json(x, status, gw_daytona_error(status, err->text, gw_http_path(x)));
}

int
gw_daytona_object(const char *body, size_t len, json_t **ret, struct err *err)
{
	json_error_t why = {.text = ""};
	json_t *o;

	if (len > BODY_MAX)
		return err_set(err, -EMSGSIZE, "the body has more than %u bytes", BODY_MAX);
	o = json_loadb(body, len, 0, &why);
	if (json_is_object(o)) {
		*ret = o;
		return 0;
	}
	json_decref(o);
	return err_set(err, -EINVAL, "the body is not a JSON object%s%.120s",
	               why.text[0] != '\0' ? ": " : "", why.text);
}

/* --- sandboxes ---------------------------------------------------------------------------- */

struct gw_sandbox *
gw_daytona_sandbox(struct gw_core *core, const char *param, const char *made_for,
                   struct err *err)
{
	const char *by_token = made_for != NULL ? made_for : GW_SANDBOX_DEFAULT;
	const char *id = param != NULL ? param : by_token;
	struct gw_sandbox *sb = gw_sandbox_find(core, id);

	if (sb == NULL)
		(void)err_set(err, -ENOENT, "Sandbox with ID or name %.64s not found", id);
	return sb;
}

static json_t *
sandbox_json(const struct gw_sandbox *sb, const char *origin, const char *state)
{
	char url[URL_MAX];

	(void)snprintf(url, sizeof(url), "%s/daytona/toolbox", origin);
	return json_pack(
	    "{s:s, s:s, s:s, s:s, s:O, s:O, s:b, s:b, s:b, s:s, s:i, s:i, s:i, s:i, s:s, s:s, "
	    "s:s, s:s, s:s}",
	    "id", sb->id.id, "organizationId", "kernelbridge", "name", sb->name, "user",
	    "daytona", "env", sb->env, "labels", sb->labels, "public", 0, "networkBlockAll", 0,
	    "kvm", 0, "target", "local", "cpu", 1, "gpu", 0, "memory", 1, "disk", 3,
	    "toolboxProxyUrl", url, "state", state, "desiredState", state, "createdAt",
	    sb->created, "updatedAt", sb->created);
}

static void
reply_sandbox(struct gw_http *x, const struct gw_sandbox *sb)
{
	gw_http_reply_json(
	    x, 200, sandbox_json(sb, gw_http_origin(x), sb->stopped ? "stopped" : "started"));
}

/* The sandbox of the path, or NULL when the request was answered with 404. */
static struct gw_sandbox *
named(struct gw_core *core, struct gw_http *x)
{
	struct err err;
	struct gw_sandbox *sb =
	    gw_daytona_sandbox(core, gw_http_param(x, "sandbox"), NULL, &err);

	if (sb == NULL)
		gw_daytona_fail(x, -ENOENT, &err);
	return sb;
}

static void
get_sandbox(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	const struct gw_sandbox *sb = named(core, x);

	(void)body;
	(void)len;
	if (sb != NULL)
		reply_sandbox(x, sb);
}

static int
make(struct gw_core *core, const json_t *root, struct gw_sandbox **ret, struct err *err)
{
	const json_t *name = json_object_get(root, "name");
	const struct gw_sandbox_request rq = {
	    .name = json_string_value(name),
	    .env = json_object_get(root, "env"),
	    .labels = json_object_get(root, "labels"),
	};

	if (name != NULL && !json_is_null(name) && json_string_length(name) == 0)
		return err_set(err, -EINVAL, "name: expected a string that is not empty");
	return gw_sandbox_new(core, &rq, ret, err);
}

static void
create_sandbox(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = NULL;
	json_t *root = NULL;
	struct err err;
	int rc = gw_daytona_object(body, len, &root, &err);

	if (rc == 0)
		rc = make(core, root, &sb, &err);
	json_decref(root);
	if (rc != 0)
		gw_daytona_fail(x, rc, &err);
	else
		reply_sandbox(x, sb);
}

static void
delete_sandbox(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = named(core, x);
	json_t *last;
	struct err err;

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	if (strcmp(sb->id.id, GW_SANDBOX_DEFAULT) == 0) {
		(void)err_set(&err, -EINVAL, "the default sandbox cannot be deleted");
		gw_daytona_fail(x, -EINVAL, &err);
		return;
	}
	last = sandbox_json(sb, gw_http_origin(x), "destroyed");
	gw_sandbox_delete(sb, "sandbox deleted");
	gw_http_reply_json(x, 200, last);
}

static void
start_sandbox(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = named(core, x);

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	gw_sandbox_start(sb);
	reply_sandbox(x, sb);
}

static void
stop_sandbox(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = named(core, x);

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	gw_sandbox_stop(sb, "sandbox stopped");
	reply_sandbox(x, sb);
}

/* --- list: filters and pages ---------------------------------------------------------------- */

struct filter {
	const char *id, *name, *states; /* borrowed, or NULL */
	json_t *labels;                 /* object: all of them must match; or NULL */
	uint64_t skip, limit;
};

static bool
matches(const struct gw_sandbox *sb, const struct filter *f)
{
	const char *state = sb->stopped ? "stopped" : "started";

	return (f->id == NULL || strncmp(sb->id.id, f->id, strlen(f->id)) == 0) &&
	       (f->name == NULL || strncmp(sb->name, f->name, strlen(f->name)) == 0) &&
	       (f->states == NULL || strstr(f->states, state) != NULL) &&
	       gw_labels_match(sb->labels, f->labels);
}

/* Read the query value what, if there is one, to *ret. */
static int
number(const struct gw_http *x, const char *what, uint64_t min, uint64_t max, uint64_t *ret,
       struct err *err)
{
	const char *text = gw_http_query(x, what);
	struct err why;

	if (text == NULL || text[0] == '\0' || gw_text_number(text, min, max, ret, &why) == 0)
		return 0;
	return err_set(err, -EINVAL, "%s=%.40s: %s", what, text, why.text);
}

static int
read_filter(const struct gw_http *x, struct filter *f, struct err *err)
{
	const char *labels = gw_http_query(x, "labels");
	int rc = number(x, "limit", 1, LIST_LIMIT_MAX, &f->limit, err);

	if (rc == 0)
		rc = number(x, "cursor", 0, UINT32_MAX, &f->skip, err);
	f->id = gw_http_query(x, "id");
	f->name = gw_http_query(x, "name");
	f->states = gw_http_query(x, "states");
	if (f->states != NULL && f->states[0] == '\0')
		f->states = NULL;
	if (rc != 0 || labels == NULL || labels[0] == '\0')
		return rc;
	f->labels = json_loads(labels, 0, NULL);
	if (!json_is_object(f->labels))
		return err_set(err, -EINVAL, "labels: expected a JSON object");
	return 0;
}

static void
list_sandboxes(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct filter f = {.limit = LIST_LIMIT};
	json_t *items = json_array();
	json_t *cursor = NULL;
	uint64_t at = 0;
	size_t bytes = 0;
	struct list *it;
	struct list *tmp;
	struct err err;
	int rc = read_filter(x, &f, &err);

	(void)body;
	(void)len;
	list_each (it, tmp, &core->sandboxes) {
		const struct gw_sandbox *sb = list_entry(it, struct gw_sandbox, node);
		char next[24];

		if (rc != 0 || cursor != NULL || !matches(sb, &f) || at++ < f.skip)
			continue;
		bytes += gw_strings_bytes(sb->env) + gw_strings_bytes(sb->labels);
		if (json_array_size(items) == f.limit ||
		    (bytes > PAGE_BYTES && json_array_size(items) > 0)) {
			(void)snprintf(next, sizeof(next), "%llu",
			               (unsigned long long)(at - 1));
			cursor = json_string(next);
			continue;
		}
		json_array_append_new(items, sandbox_json(sb, gw_http_origin(x),
		                                          sb->stopped ? "stopped" : "started"));
	}
	json_decref(f.labels);
	if (rc != 0) {
		json_decref(items);
		gw_daytona_fail(x, rc, &err);
		return;
	}
	gw_http_reply_json(x, 200,
	                   json_pack("{s:o, s:o}", "items", items, "nextCursor",
	                             cursor != NULL ? cursor : json_null()));
}

/* --- URLs ----------------------------------------------------------------------------------- */

static void
toolbox_url(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	char url[URL_MAX];

	(void)body;
	(void)len;
	if (named(core, x) == NULL)
		return;
	(void)snprintf(url, sizeof(url), "%s/daytona/toolbox", gw_http_origin(x));
	gw_http_reply_json(x, 200, json_pack("{s:s}", "url", url));
}

/* The Ruby SDK keeps scheme and host of this URL, puts /process/interpreter/execute behind
 * it and sends the token as X-Daytona-Preview-Token: so the token says which sandbox. */
static void
preview_url(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	const struct gw_sandbox *sb = named(core, x);
	const char *port = gw_http_param(x, "port");
	struct err err;
	char *token;

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	if (strcmp(port, TOOLBOX_PORT) != 0) {
		(void)err_set(&err, -EINVAL,
		              "port %.20s: only the toolbox's port " TOOLBOX_PORT " has a URL",
		              port);
		gw_daytona_fail(x, -EINVAL, &err);
		return;
	}
	token = gw_auth_sandbox_token(core->auth, sb->id.id);
	gw_http_reply_json(x, 200,
	                   json_pack("{s:s, s:s, s:s}", "sandboxId", sb->id.id, "url",
	                             gw_http_origin(x), "token", token));
	mem_free(token);
}

/* --- routes --------------------------------------------------------------------------------- */

#define API     "/daytona/api"
#define BOX     "/daytona/toolbox/{sandbox}/process/interpreter"
#define ROOT    "/process/interpreter"
#define USER    GW_ACCESS_USER
#define ANY     GW_ACCESS_SANDBOX
#define VERSION "X-Daytona-SDK-Version~"

/* clang-format off */
static const struct gw_route routes[] = {
	{"GET",    API "/sandbox",                               USER, list_sandboxes, NULL, NULL, NULL},
	{"POST",   API "/sandbox",                               USER, create_sandbox, NULL, NULL, NULL},
	{"GET",    API "/sandbox/{sandbox}",                     USER, get_sandbox,    NULL, NULL, NULL},
	{"DELETE", API "/sandbox/{sandbox}",                     USER, delete_sandbox, NULL, NULL, NULL},
	{"POST",   API "/sandbox/{sandbox}/start",               USER, start_sandbox,  NULL, NULL, NULL},
	{"POST",   API "/sandbox/{sandbox}/stop",                USER, stop_sandbox,   NULL, NULL, NULL},
	{"GET",    API "/sandbox/{sandbox}/toolbox-proxy-url",   USER, toolbox_url,    NULL, NULL, NULL},
	{"GET",    API "/sandbox/{sandbox}/ports/{port}/preview-url", USER, preview_url, NULL, NULL, NULL},
	{"WS",     API "/socket.io/",           GW_ACCESS_LATE, NULL, &gw_daytona_socketio_ws, NULL, NULL},

	{"POST",   BOX "/context",      USER, gw_daytona_context_create, NULL, NULL, NULL},
	{"GET",    BOX "/context",      USER, gw_daytona_context_list,   NULL, NULL, NULL},
	{"DELETE", BOX "/context/{id}", USER, gw_daytona_context_delete, NULL, NULL, NULL},
	{"GET",    BOX "/execute",      USER, gw_daytona_execute_plain,  NULL, NULL, NULL},
	{"POST",   BOX "/execute",      USER, gw_daytona_execute_plain,  NULL, NULL, NULL},
	{"WS",     BOX "/execute",      USER, NULL, &gw_daytona_execute_ws, NULL, VERSION},

	{"POST",   ROOT "/context",      ANY, gw_daytona_context_create, NULL, NULL, NULL},
	{"GET",    ROOT "/context",      ANY, gw_daytona_context_list,   NULL, NULL, NULL},
	{"DELETE", ROOT "/context/{id}", ANY, gw_daytona_context_delete, NULL, NULL, NULL},
	{"GET",    ROOT "/execute",      ANY, gw_daytona_execute_plain,  NULL, NULL, NULL},
	{"POST",   ROOT "/execute",      ANY, gw_daytona_execute_plain,  NULL, NULL, NULL},
	{"WS",     ROOT "/execute",      ANY, NULL, &gw_daytona_execute_ws, NULL, VERSION},
	{NULL, NULL, GW_ACCESS_DENY, NULL, NULL, NULL, NULL},
};
/* clang-format on */

const struct gw_dialect gw_daytona = {
    .name = "daytona",
    .prefix = "/daytona",
    .routes = routes,
    .error = gw_daytona_error,
};
