/* gateway/dialects/osb_sandbox.c - see gateway/dialects/osb.h: OpenSandbox's lifecycle of one
 * sandbox.
 */
#include "gateway/dialects/osb_sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/auth.h"
#include "gateway/core.h"
#include "gateway/dialects/osb.h"
#include "gateway/status.h"
#include "gateway/time.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define EVENT_MAX    (64U << 10) /* body of an SDK's report about itself */
#define NOTE_MAX     4096
#define PORT_MAX     65535
#define EXECD_PORT   44772
#define EGRESS_PORT  18080 /* the SDKs ask where it is, and most never go there */
#define TOKEN_HEADER "X-EXECD-ACCESS-TOKEN"

/* --- what clients are told ---------------------------------------------------------------- */

const char *
gw_osb_state(const struct gw_sandbox *sb)
{
	return sb->paused || sb->stopped ? "Paused" : "Running";
}

json_t *
gw_osb_metadata(const struct gw_sandbox *sb)
{
	json_t *o = json_deep_copy(sb->labels);
	const json_t *notes = json_object_get(sb->told, "notes");
	char *home = realpath(sb->home, NULL);

	if (notes != NULL)
		json_object_update(o, (json_t *)(uintptr_t)notes);
	/* Left out where it is not UTF-8. */
	(void)json_object_set_new(o, GW_OSB_HOME, json_string(home != NULL ? home : sb->home));
	free(home); /* NOLINT: realpath's */
	return o;
}

static json_t *
status_of(const struct gw_sandbox *sb)
{
	json_t *o = json_pack("{s:s}", "state", gw_osb_state(sb));

	if (sb->stopped || sb->paused) {
		json_object_set_new(o, "reason",
		                    json_string(sb->stopped ? "STOPPED" : "PAUSED"));
		json_object_set_new(o, "message",
		                    json_string(sb->stopped ? "its kernels were ended"
		                                            : "its clock stands still"));
	}
	return o;
}

json_t *
gw_osb_describe(const struct gw_sandbox *sb)
{
	static const char *const repeated[] = {"extensions", "platform"};
	json_t *entrypoint = json_object_get(sb->told, "entrypoint");
	json_t *o = json_pack("{s:s, s:o, s:s, s:o}", "id", sb->id.id, "status", status_of(sb),
	                      "createdAt", sb->created, "metadata", gw_osb_metadata(sb));

	/* As the lifecycle server does for those that have none. */
	json_object_set_new(o, "entrypoint",
	                    entrypoint != NULL
	                        ? json_incref(entrypoint)
	                        : json_pack("[s, s, s]", "tail", "-f", "/dev/null"));
	if (sb->ends[0] != '\0')
		json_object_set_new(o, "expiresAt", json_string(sb->ends));
	if (sb->image[0] != '\0')
		json_object_set_new(o, "image", json_pack("{s:s}", "uri", sb->image));
	for (size_t i = 0; i < sizeof(repeated) / sizeof(repeated[0]); i++) {
		json_t *v = json_object_get(sb->told, repeated[i]);

		if (v != NULL)
			json_object_set(o, repeated[i], v);
	}
	return o;
}

/* --- errors, and which sandbox ------------------------------------------------------------ */

static void
fail(struct gw_http *x, int rc, const struct err *err)
{
	const char *code = "INTERNAL_ERROR";

	if (rc == -EINVAL || rc == -EMSGSIZE)
		code = GW_OSB_BAD_BODY;
	else if (rc == -ENOTSUP)
		code = GW_OSB_UNSUPPORTED;
	else if (rc == -EBUSY)
		code = "TOO_MANY_SANDBOXES";
	gw_osb_fail(x, rc == -ENOTSUP ? 400 : gw_status_http(rc), code, "%s", err->text);
}

/* The sandbox of the path, or NULL: answered. */
static struct gw_sandbox *
named(struct gw_core *core, struct gw_http *x)
{
	const char *id = gw_http_param(x, "id");
	struct gw_sandbox *sb = gw_sandbox_find(core, id);

	if (sb == NULL)
		gw_osb_fail(x, 404, GW_OSB_NO_SANDBOX, "sandbox %.64s not found", id);
	return sb;
}

/* The same, but not the default one, which stays as it is. */
static struct gw_sandbox *
named_own(struct gw_core *core, struct gw_http *x, const char *what)
{
	struct gw_sandbox *sb = named(core, x);

	if (sb == NULL || strcmp(sb->id.id, GW_SANDBOX_DEFAULT) != 0)
		return sb;
	gw_osb_fail(x, 409, "DEFAULT_SANDBOX", "the default sandbox cannot be %s", what);
	return NULL;
}

static bool
rests(const struct gw_sandbox *sb)
{
	return sb->paused || sb->stopped;
}

static void
fail_paused(struct gw_http *x, const struct gw_sandbox *sb)
{
	gw_osb_fail(x, 409, "SANDBOX_PAUSED", "sandbox %.64s is paused", sb->id.id);
}

/* --- create ------------------------------------------------------------------------------- */

/* Returns false: answered, since the gateway is strict. */
static bool
may_create(const struct gw_core *core, struct gw_http *x, const struct gw_osb_create *c)
{
	const json_t *notes = json_object_get(c->told, "notes");
	const char *names = json_string_value(json_object_get(notes, GW_OSB_NOT_ENFORCED));

	if (!core->cfg->strict_policies)
		return true;
	if (names == NULL) /* neither is another version what was asked for */
		names = json_string_value(json_object_get(notes, GW_OSB_NOT_INSTALLED));
	if (names == NULL)
		return true;
	gw_osb_fail(x, 400, "POLICY_NOT_ENFORCED",
	            "this gateway cannot enforce: %s (strict_policies = true refuses such "
	            "sandboxes)",
	            names);
	return false;
}

static void
note_versions(const struct gw_core *core, struct gw_osb_create *c)
{
	struct buf b;

	buf_init(&b, NOTE_MAX);
	gw_core_unmet_versions(core, c->rq.env, &b);
	if (b.len > 0)
		gw_osb_note(c->told, GW_OSB_NOT_INSTALLED, b.data);
	buf_fini(&b);
}

/* What its client asked for and does not get. */
static void
warn_unmet(const struct gw_sandbox *sb)
{
	const json_t *notes = json_object_get(sb->told, "notes");
	const char *names = json_string_value(json_object_get(notes, GW_OSB_NOT_ENFORCED));
	const char *versions = json_string_value(json_object_get(notes, GW_OSB_NOT_INSTALLED));

	if (names != NULL)
		log_warn(&sb->id, "asked for, not enforced: %s", names);
	if (versions != NULL)
		log_warn(&sb->id, "asked for, not installed: %s", versions);
}

static void
reply_created(struct gw_http *x, const struct gw_sandbox *sb)
{
	char where[sizeof(sb->id.id) + sizeof("/v1/sandboxes/")];

	(void)snprintf(where, sizeof(where), "/v1/sandboxes/%s", sb->id.id);
	gw_http_add_header(x, "Location", where);
	gw_http_reply_json(x, 202, gw_osb_describe(sb));
}

void
gw_osb_create(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = NULL;
	struct gw_osb_create c;
	struct err err;
	int rc = gw_osb_create_parse(body, len, &c, &err);

	if (rc != 0) {
		fail(x, rc, &err);
		return;
	}
	note_versions(core, &c);
	if (may_create(core, x, &c)) {
		c.rq.any_version = true; /* note_versions() said so */
		rc = gw_sandbox_new(core, &c.rq, &sb, &err);
		if (rc != 0)
			fail(x, rc, &err);
	}
	gw_osb_create_fini(&c);
	if (sb == NULL)
		return;
	warn_unmet(sb);
	reply_created(x, sb);
}

/* --- the rest of its life ----------------------------------------------------------------- */

void
gw_osb_get(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	const struct gw_sandbox *sb = named(core, x);

	(void)body;
	(void)len;
	if (sb != NULL)
		gw_http_reply_json(x, 200, gw_osb_describe(sb));
}

void
gw_osb_kill(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = named_own(core, x, "killed");

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	gw_sandbox_delete(sb, "sandbox killed");
	gw_http_reply(x, 204, NULL, "", 0);
}

/* How long from now until expiresAt, in ms. */
static int
read_expiry(const json_t *root, uint64_t *ret, struct err *err)
{
	const char *text = json_string_value(json_object_get(root, "expiresAt"));
	int64_t at = text != NULL ? gw_time_parse(text) : -1;
	int64_t now = gw_osb_now();

	if (at < 0)
		return err_set(err, -EINVAL, "expiresAt: expected an RFC 3339 time");
	if (at <= now)
		return err_set(err, -EINVAL, "expiresAt: %.40s is not in the future", text);
	if (at - now > GW_OSB_LIFE_MAX_MS)
		return err_set(err, -EINVAL, "expiresAt: %.40s is more than 100 years ahead",
		               text);
	*ret = (uint64_t)(at - now);
	return 0;
}

void
gw_osb_renew(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = named_own(core, x, "made to expire");
	json_t *root = sb != NULL ? gw_osb_object(x, body, len, GW_OSB_BODY_MAX, false) : NULL;
	uint64_t msec = 0;
	struct err err;
	int rc;

	if (root == NULL)
		return;
	rc = read_expiry(root, &msec, &err);
	json_decref(root);
	if (rc != 0) {
		gw_osb_fail(x, 400, "INVALID_EXPIRATION", "%s", err.text);
	} else if (rests(sb)) {
		fail_paused(x, sb);
	} else {
		gw_sandbox_set_timeout(sb, msec);
		gw_http_reply_json(x, 200, json_pack("{s:s}", "expiresAt", sb->ends));
	}
}

void
gw_osb_pause(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = named_own(core, x, "paused");

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	if (rests(sb)) {
		fail_paused(x, sb);
		return;
	}
	gw_sandbox_pause(sb);
	gw_http_reply(x, 202, NULL, "", 0);
}

void
gw_osb_resume(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = named(core, x);

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	if (!rests(sb)) {
		gw_osb_fail(x, 409, "SANDBOX_NOT_PAUSED", "sandbox %.64s is not paused",
		            sb->id.id);
		return;
	}
	gw_sandbox_start(sb);
	if (sb->paused)
		gw_sandbox_resume(sb, sb->left_ms);
	gw_http_reply(x, 202, NULL, "", 0);
}

/* JSON merge patch (RFC 7396) of an object of strings. */
static int
patch(json_t *labels, const json_t *change, struct err *err)
{
	json_t *o = json_copy(labels);
	const char *key;
	json_t *v;
	int rc = gw_osb_metadata_check(change, true, err);

	json_object_foreach ((json_t *)(uintptr_t)change, key, v) {
		if (json_is_null(v))
			(void)json_object_del(o, key);
		else
			json_object_set(o, key, v);
	}
	if (rc == 0)
		rc = gw_strings_size(o, GW_SANDBOX_LABELS_MAX, "metadata", err);
	if (rc == 0) {
		json_object_clear(labels);
		json_object_update(labels, o);
	}
	json_decref(o);
	return rc;
}

void
gw_osb_patch_metadata(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = named(core, x);
	json_t *root = sb != NULL ? gw_osb_object(x, body, len, GW_OSB_BODY_MAX, false) : NULL;
	struct err err;
	int rc;

	if (root == NULL)
		return;
	rc = patch(sb->labels, root, &err);
	json_decref(root);
	if (rc == 0)
		gw_http_reply_json(x, 200, gw_osb_describe(sb));
	else
		fail(x, rc, &err);
}

/* --- endpoints ---------------------------------------------------------------------------- */

/* 1 to 65535, or 0. */
static int
read_port(const char *text)
{
	size_t n = strlen(text);
	long port = n <= 5 && strspn(text, "0123456789") == n ? strtol(text, NULL, 10) : 0;

	return port <= PORT_MAX ? (int)port : 0;
}

/* The host as the client named it, without scheme. */
static const char *
authority(const struct gw_http *x)
{
	const char *origin = gw_http_origin(x);
	const char *sep = strstr(origin, "://");

	return sep != NULL ? sep + 3 : origin;
}

/* Its length without the port; an IPv6 address is in brackets. */
static int
name_len(const char *host)
{
	const char *end = host[0] == '[' ? strchr(host, ']') : NULL;

	return (int)(end != NULL ? end + 1 - host : (ptrdiff_t)strcspn(host, ":"));
}

static json_t *
execd_endpoint(const struct gw_http *x, const struct gw_sandbox *sb, int port)
{
	char *token = gw_auth_sandbox_token(sb->core->auth, sb->id.id);
	json_t *at = json_sprintf("%s/sandboxes/%s/proxy/%d", authority(x), sb->id.id, port);
	json_t *o = json_pack("{s:o, s:{s:s}}", "endpoint", at, "headers", TOKEN_HEADER, token);

	mem_free(token);
	return o;
}

void
gw_osb_endpoint(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	const struct gw_sandbox *sb = named(core, x);
	int port = read_port(gw_http_param(x, "port"));
	const char *host = authority(x);

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	if (port == 0)
		gw_osb_fail(x, 400, "INVALID_PORT", "expected a port from 1 to %d", PORT_MAX);
	else if (gw_http_query(x, "expires") != NULL)
		gw_osb_fail(x, 400, GW_OSB_UNSUPPORTED, "endpoints are not signed here");
	else if (rests(sb)) /* so that who connects need not wait for a ping */
		fail_paused(x, sb);
	else if (port == EXECD_PORT || port == EGRESS_PORT)
		gw_http_reply_json(x, 200, execd_endpoint(x, sb, port));
	else /* what a sandbox serves, it serves on this machine */
		gw_http_reply_json(
		    x, 200,
		    json_pack("{s:o}", "endpoint",
		              json_sprintf("%.*s:%d", name_len(host), host, port)));
}

/* What SDKs tell of themselves: checked, not kept. */
void
gw_osb_event(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	json_t *root = gw_osb_object(x, body, len, EVENT_MAX, false);

	(void)core;
	if (root == NULL)
		return;
	json_decref(root);
	gw_http_reply(x, 204, NULL, "", 0);
}
