/* gateway/dialects/daytona_rest.c - contexts of Daytona's interpreter. */
#include <errno.h>
#include <string.h>

#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/dialects/daytona.h"
#include "gateway/sandbox.h"
#include "wire/base/err.h"

static struct gw_sandbox *
named(struct gw_core *core, struct gw_http *x)
{
	struct err err;
	struct gw_sandbox *sb = gw_daytona_sandbox(core, gw_http_param(x, "sandbox"),
	                                           gw_http_token_sandbox(x), &err);

	if (sb == NULL)
		gw_daytona_fail(x, -ENOENT, &err);
	return sb;
}

static json_t *
context_json(const struct gw_ctx *c)
{
	return json_pack("{s:s, s:s, s:s, s:b, s:s}", "id", gw_ctx_id(c), "cwd", gw_ctx_cwd(c),
	                 "createdAt", gw_ctx_created(c), "active", gw_ctx_is_active(c),
	                 "language", gw_ctx_language(c));
}

/* A member that is a string, null or missing (both: *ret NULL). */
static int
string_member(const json_t *root, const char *key, const char **ret, struct err *err)
{
	const json_t *v = json_object_get(root, key);

	if (v != NULL && !json_is_null(v) && !json_is_string(v))
		return err_set(err, -EINVAL, "%s: expected a string", key);
	*ret = json_string_value(v);
	return 0;
}

static int
create(struct gw_sandbox *sb, const json_t *root, struct gw_ctx **ret, struct err *err)
{
	const char *cwd = NULL;
	const char *language = NULL;
	int rc;

	rc = string_member(root, "cwd", &cwd, err);
	if (rc == 0)
		rc = string_member(root, "language", &language, err);
	if (rc != 0)
		return rc;
	if (language != NULL && language[0] != '\0' && strcmp(language, "python") != 0)
		return err_set(err, -EINVAL,
		               "unsupported language: %.40s (only 'python' is supported)",
		               language);
	return gw_ctx_new(sb, &(struct gw_ctx_request){.cwd = cwd}, ret, err);
}

void
gw_daytona_context_create(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = named(core, x);
	struct gw_ctx *c = NULL;
	json_t *root = NULL;
	struct err err;
	int rc;

	if (sb == NULL)
		return;
	rc = gw_daytona_object(body, len, &root, &err);
	if (rc == 0)
		rc = create(sb, root, &c, &err);
	json_decref(root);
	if (rc != 0)
		gw_daytona_fail(x, rc, &err);
	else
		gw_http_reply_json(x, 200, context_json(c));
}

void
gw_daytona_context_list(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = named(core, x);
	json_t *contexts;
	struct list *it;
	struct list *tmp;

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	contexts = json_array();
	list_each (it, tmp, &sb->contexts) {
		const struct gw_ctx *c = list_entry(it, struct gw_ctx, node);

		if (!gw_ctx_is_default(c) && gw_ctx_is_listed(c))
			json_array_append_new(contexts, context_json(c));
	}
	gw_http_reply_json(x, 200, json_pack("{s:o}", "contexts", contexts));
}

void
gw_daytona_context_delete(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = named(core, x);
	const char *id = gw_http_param(x, "id");
	struct gw_ctx *c;
	struct err err;
	int rc = 0;

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	c = gw_ctx_find(sb, id);
	if (strcmp(id, "default") == 0 || (c != NULL && gw_ctx_is_default(c)))
		rc = err_set(&err, -EINVAL, "cannot delete default context");
	else if (c == NULL)
		rc = err_set(&err, -ENOENT, "context with ID '%.64s' not found", id);
	if (rc != 0) {
		gw_daytona_fail(x, rc, &err);
		return;
	}
	gw_ctx_delete(c);
	gw_http_reply_json(x, 200,
	                   json_pack("{s:s}", "message", "Context deleted successfully"));
}

void
gw_daytona_execute_plain(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct err err;
	bool get = strcmp(gw_http_method(x), "GET") == 0;
	int rc = err_set(&err, get ? -EINVAL : -ENOENT, "expected a WebSocket upgrade");

	(void)core;
	(void)body;
	(void)len;
	gw_daytona_fail(x, rc, &err);
}
