/* gateway/dialects/e2b_sandbox.c - E2B's control plane: create, connect, describe, end. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "gateway/auth.h"
#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/dialects/e2b.h"
#include "gateway/sandbox.h"
#include "gateway/status.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define ENVD_VERSION "0.5.7" /* the SDKs ask for 0.1.0 at least */
#define CLIENT_ID    "kernelbridge"
#define TEMPLATE     "base"                     /* where the client named none; E2B's own */
#define FOREVER      "9999-12-31T23:59:59.999Z" /* the end of what has none */
#define TIMEOUT_MAX  31536000                   /* s: a year */
#define KEY_MAX      255                        /* of an idempotency key; the SDKs' own */
#define BODY_MAX     (2U << 20)                 /* variables at their ceiling, with escapes */
#define KEY_CHARS    "abcdefghijklmnopqrstuvwxyz0123456789-"

static void
fail(struct gw_http *x, int rc, const struct err *err)
{
	gw_e2b_fail(x, gw_status_http(rc), "%s", err->text);
}

/* The sandbox of the path, or NULL: answered. */
static struct gw_sandbox *
named(struct gw_core *core, struct gw_http *x)
{
	const char *id = gw_http_param(x, "id");
	struct gw_sandbox *sb = gw_e2b_find(core, id);

	if (sb == NULL)
		gw_e2b_fail(x, 404, "Sandbox %.64s not found", id);
	return sb;
}

/* The same, but not the default one, which stays as it is. */
static struct gw_sandbox *
named_own(struct gw_core *core, struct gw_http *x, const char *what)
{
	struct gw_sandbox *sb = named(core, x);

	if (sb == NULL || strcmp(sb->id.id, GW_SANDBOX_DEFAULT) != 0)
		return sb;
	gw_e2b_fail(x, 400, "the default sandbox cannot be %s", what);
	return NULL;
}

/* --- answers ------------------------------------------------------------------------------ */

const char *
gw_e2b_state(const struct gw_sandbox *sb)
{
	return sb->paused || sb->stopped ? "paused" : "running";
}

static const char *
template_of(const struct gw_sandbox *sb)
{
	return sb->image[0] != '\0' ? sb->image : TEMPLATE;
}

/* This machine's: a sandbox has no limits of its own. */
static json_int_t
memory_mb(void)
{
	return (json_int_t)sysconf(_SC_PHYS_PAGES) / 1024 * sysconf(_SC_PAGESIZE) / 1024;
}

static json_int_t
disk_mb(const char *dir)
{
	struct statvfs fs;

	if (statvfs(dir, &fs) != 0)
		return 0;
	return (json_int_t)(fs.f_blocks / 1024 * fs.f_frsize / 1024);
}

json_t *
gw_e2b_describe(const struct gw_sandbox *sb)
{
	return json_pack(
	    "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:s, s:O, s:{s:s, s:b}}",
	    "templateID", template_of(sb), "sandboxID", sb->id.id, "clientID", CLIENT_ID,
	    "startedAt", sb->created, "endAt", sb->ends[0] != '\0' ? sb->ends : FOREVER,
	    "cpuCount", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "memoryMB", memory_mb(),
	    "diskSizeMB", disk_mb(sb->home), "state", gw_e2b_state(sb), "envdVersion",
	    ENVD_VERSION, "metadata", sb->labels, "lifecycle", "onTimeout",
	    sb->pauses ? "pause" : "kill", "autoResume", sb->wakes);
}

/* What create and connect answer: also the token that opens the interpreter for this sandbox. */
static void
reply_created(struct gw_http *x, int status, const struct gw_sandbox *sb)
{
	char *token = gw_auth_sandbox_token(sb->core->auth, sb->id.id);
	const char *domain = sb->core->cfg->e2b_domain;

	gw_http_reply_json(x, status,
	                   json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s?}", "templateID",
	                             template_of(sb), "sandboxID", sb->id.id, "clientID",
	                             CLIENT_ID, "envdVersion", ENVD_VERSION, "envdAccessToken",
	                             token, "trafficAccessToken", token, "domain",
	                             domain[0] != '\0' ? domain : NULL));
	mem_free(token);
}

/* --- requests ----------------------------------------------------------------------------- */

/* Read a body: an object, or nothing at all where empty_ok.  Returns 0 with *ret owned by the
 * caller, -EINVAL, or -EMSGSIZE. */
static int
read_object(const char *body, size_t len, bool empty_ok, json_t **ret, struct err *err)
{
	json_error_t why = {.text = ""};
	json_t *o;

	if (len > BODY_MAX)
		return err_set(err, -EMSGSIZE, "the body has more than %u bytes", BODY_MAX);
	o = len == 0 && empty_ok ? json_object() : json_loadb(body, len, 0, &why);
	if (json_is_object(o)) {
		*ret = o;
		return 0;
	}
	json_decref(o);
	return err_set(err, -EINVAL, "the body is not a JSON object%s%.120s",
	               why.text[0] != '\0' ? ": " : "", why.text);
}

/* Its timeout in ms, at least 1: a timeout of 0 s is over at once. */
static int
read_timeout(const json_t *root, uint64_t *ret, struct err *err)
{
	const json_t *v = json_object_get(root, "timeout");
	json_int_t s = json_integer_value(v);

	if (v == NULL || json_is_null(v))
		s = GW_E2B_TIMEOUT_DEFAULT;
	else if (!json_is_integer(v) || s < 0 || s > TIMEOUT_MAX)
		return err_set(err, -EINVAL,
		               "timeout: expected a number of seconds from 0 to %d",
		               TIMEOUT_MAX);
	*ret = s > 0 ? (uint64_t)s * 1000 : 1;
	return 0;
}

static int
read_create(const json_t *root, struct gw_sandbox_request *rq, struct err *err)
{
	const json_t *image = json_object_get(root, "templateID");
	int rc = read_timeout(root, &rq->timeout_ms, err);

	rq->labels = json_object_get(root, "metadata");
	rq->env = json_object_get(root, "envVars");
	rq->image = json_string_value(image);
	rq->pauses = json_is_true(json_object_get(root, "autoPause"));
	rq->wakes =
	    json_is_true(json_object_get(json_object_get(root, "autoResume"), "enabled"));
	if (rc == 0 && image != NULL && !json_is_null(image) && !json_is_string(image))
		rc = err_set(err, -EINVAL, "templateID: expected a string");
	else if (rc == 0 && json_string_length(image) > GW_SANDBOX_NAME_MAX)
		rc = err_set(err, -EINVAL, "templateID has more than %u bytes",
		             GW_SANDBOX_NAME_MAX);
	if (rc == 0)
		rc = gw_strings_check(rq->labels, "metadata", err);
	if (rc == 0)
		rc = gw_strings_size(rq->labels, GW_SANDBOX_LABELS_MAX, "metadata", err);
	if (rc == 0)
		rc = gw_env_check(rq->env, "envVars", err);
	return rc == 0 ? gw_strings_size(rq->env, GW_SANDBOX_ENV_MAX, "envVars", err) : rc;
}

/* A retried create names its sandbox by its key, so that the second one finds the first's. */
static int
read_key(const struct gw_http *x, char name[KEY_MAX + 8], struct err *err)
{
	const char *key = gw_http_header(x, "idempotency-key");
	size_t len = key != NULL ? strlen(key) : 0;

	name[0] = '\0';
	if (key == NULL)
		return 0;
	if (len == 0 || len > KEY_MAX || strspn(key, KEY_CHARS) != len)
		return err_set(err, -EINVAL, "Idempotency-Key: expected 1 to %d of " KEY_CHARS,
		               KEY_MAX);
	(void)snprintf(name, KEY_MAX + 8, "once-%s", key);
	return 0;
}

/* --- handlers ----------------------------------------------------------------------------- */

void
gw_e2b_sandbox_create(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox_request rq = {0};
	struct gw_sandbox *sb = NULL;
	char name[KEY_MAX + 8];
	json_t *root = NULL;
	struct gw_ctx *c;
	struct err unsaid;
	struct err err;
	int rc = read_key(x, name, &err);

	if (rc == 0)
		rc = read_object(body, len, false, &root, &err);
	if (rc == 0)
		rc = read_create(root, &rq, &err);
	if (rc == 0 && name[0] != '\0') {
		rq.name = name;
		sb = gw_sandbox_find(core, name);
	}
	if (rc == 0 && sb == NULL) {
		rc = gw_sandbox_new(core, &rq, &sb, &err);
		/* As E2B's server does: the first run finds its kernel warm.  What goes wrong
		 * here is told to that run. */
		if (rc == 0)
			(void)gw_ctx_default(sb, NULL, &c, &unsaid);
	}
	json_decref(root);
	if (rc != 0)
		fail(x, rc, &err);
	else
		reply_created(x, 201, sb);
}

/* Wake it up if it sleeps; else only ever prolong its life. */
void
gw_e2b_sandbox_connect(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = named(core, x);
	json_t *root = NULL;
	uint64_t msec = 0;
	char ends[32];
	struct err err;
	int rc;

	if (sb == NULL)
		return;
	rc = read_object(body, len, true, &root, &err);
	if (rc == 0)
		rc = read_timeout(root, &msec, &err);
	json_decref(root);
	if (rc != 0) {
		fail(x, rc, &err);
		return;
	}
	if (sb->paused || sb->stopped) {
		gw_sandbox_start(sb);
		gw_sandbox_resume(sb, msec);
		reply_created(x, 201, sb);
		return;
	}
	gw_core_time(msec, ends); /* such times sort as text */
	if (sb->ends[0] != '\0' && strcmp(ends, sb->ends) > 0)
		gw_sandbox_set_timeout(sb, msec);
	reply_created(x, 200, sb);
}

void
gw_e2b_sandbox_get(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	const struct gw_sandbox *sb = named(core, x);

	(void)body;
	(void)len;
	if (sb != NULL)
		gw_http_reply_json(x, 200, gw_e2b_describe(sb));
}

void
gw_e2b_sandbox_kill(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = named_own(core, x, "killed");

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	gw_sandbox_delete(sb, "sandbox killed");
	gw_http_reply(x, 204, NULL, "", 0);
}

void
gw_e2b_sandbox_timeout(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = named(core, x);
	json_t *root = NULL;
	uint64_t msec = 0;
	struct err err;
	int rc;

	if (sb == NULL)
		return;
	rc = read_object(body, len, false, &root, &err);
	if (rc == 0 && json_object_get(root, "timeout") == NULL)
		rc = err_set(&err, -EINVAL, "timeout is required");
	if (rc == 0)
		rc = read_timeout(root, &msec, &err);
	if (rc == 0 && (sb->paused || sb->stopped))
		rc = err_set(&err, -EEXIST, "Sandbox %.64s is paused", sb->id.id);
	json_decref(root);
	if (rc != 0) {
		fail(x, rc, &err);
		return;
	}
	gw_sandbox_set_timeout(sb, msec);
	gw_http_reply(x, 204, NULL, "", 0);
}

void
gw_e2b_sandbox_pause(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = named_own(core, x, "paused");

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	if (sb->paused || sb->stopped) {
		gw_e2b_fail(x, 409, "Sandbox %.64s is already paused", sb->id.id);
		return;
	}
	gw_sandbox_pause(sb);
	gw_http_reply(x, 204, NULL, "", 0);
}

/* What older SDKs call instead of connect. */
void
gw_e2b_sandbox_resume(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = named(core, x);

	if (sb == NULL)
		return;
	if (!sb->paused && !sb->stopped)
		gw_e2b_fail(x, 409, "Sandbox %.64s is running", sb->id.id);
	else
		gw_e2b_sandbox_connect(core, x, body, len);
}

/* None are measured per sandbox; GET /metrics has the gateway's. */
void
gw_e2b_sandbox_metrics(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)body;
	(void)len;
	if (named(core, x) != NULL)
		gw_http_reply_json(x, 200, json_array());
}
