/* gateway/dialects/e2b_context.c - /contexts: those of one sandbox. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/dialects/await.h"
#include "gateway/dialects/e2b.h"
#include "gateway/sandbox.h"
#include "gateway/status.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

/* --- /home/user --------------------------------------------------------------------------- */

/* What of path follows dir: "", "/...", or NULL when it is not below it. */
static const char *
below(const char *dir, const char *path)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '/' || path[len] == '\0')
	           ? path + len
	           : NULL;
}

static char *
joined(const char *dir, const char *rest)
{
	size_t size = strlen(dir) + strlen(rest) + 1;
	char *path = mem_new(size);

	(void)snprintf(path, size, "%s%s", dir, rest);
	return path;
}

char *
gw_e2b_path_here(const char *home, const char *path)
{
	const char *rest = below(home, path) == NULL ? below(GW_E2B_HOME, path) : NULL;

	return rest != NULL ? joined(home, rest) : mem_strdup(path);
}

char *
gw_e2b_path_theirs(const char *home, const char *path)
{
	const char *rest = below(home, path);

	return rest != NULL ? joined(GW_E2B_HOME, rest) : mem_strdup(path);
}

/* --- answers that wait for a kernel ------------------------------------------------------- */

static json_t *
context_json(const struct gw_ctx *c)
{
	char *cwd = gw_e2b_path_theirs(gw_ctx_sandbox(c)->home, gw_ctx_cwd(c));
	json_t *o = json_pack("{s:s, s:s, s:s}", "id", gw_ctx_id(c), "language",
	                      gw_ctx_language(c), "cwd", cwd);

	mem_free(cwd);
	return o;
}

static void
on_created(struct gw_http *x, const struct gw_ctx *c, int status, const char *why)
{
	if (status == 0)
		gw_http_reply_json(x, 200, context_json(c));
	else
		gw_e2b_text(x, 500, "Failed to create context: %s", why);
}

static void
on_restarted(struct gw_http *x, const struct gw_ctx *c, int status, const char *why)
{
	if (status == 0)
		gw_http_reply_json(x, 200, json_null());
	else
		gw_e2b_text(x, 500, "Failed to restart context %s: %s", gw_ctx_id(c), why);
}

/* --- handlers ----------------------------------------------------------------------------- */

void
gw_e2b_context_create(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = gw_e2b_sandbox(core, x);
	struct gw_ctx_request rq = {0};
	struct gw_e2b_context want;
	struct gw_ctx *c;
	json_t *detail;
	struct err err;
	char *cwd;
	int rc;

	if (sb == NULL)
		return;
	if (gw_e2b_parse_context(body, len, &want, &detail) != 0) {
		gw_http_reply_json(x, 422, json_pack("{s:o}", "detail", detail));
		return;
	}
	cwd = want.cwd != NULL ? gw_e2b_path_here(sb->home, want.cwd) : NULL;
	rq.language = want.language;
	rq.cwd = cwd;
	rc = gw_ctx_new(sb, &rq, &c, &err);
	mem_free(cwd);
	json_decref(want.root);
	if (rc == 0)
		gw_await_kernel(x, c, true, on_created);
	else
		gw_e2b_text(x, rc == -ENOENT ? 500 : gw_status_http(rc),
		            "Failed to create context: %s", err.text);
}

void
gw_e2b_context_list(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = gw_e2b_sandbox(core, x);
	json_t *all;
	struct list *it;
	struct list *tmp;

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	all = json_array();
	list_each (it, tmp, &sb->contexts) {
		const struct gw_ctx *c = list_entry(it, struct gw_ctx, node);

		if (gw_ctx_is_listed(c))
			json_array_append_new(all, context_json(c));
	}
	gw_http_reply_json(x, 200, all);
}

/* The context of the path, or NULL: answered. */
static struct gw_ctx *
named(struct gw_core *core, struct gw_http *x)
{
	struct gw_sandbox *sb = gw_e2b_sandbox(core, x);
	const char *id = gw_http_param(x, "id");
	struct gw_ctx *c;

	if (sb == NULL)
		return NULL;
	c = gw_ctx_find(sb, id);
	if (c == NULL)
		gw_e2b_text(x, 404, "Context %.200s not found", id);
	return c;
}

void
gw_e2b_context_restart(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_ctx *c = named(core, x);
	struct err err;
	int rc;

	(void)body;
	(void)len;
	if (c == NULL)
		return;
	rc = gw_ctx_restart(c, &err);
	if (rc == 0)
		gw_await_kernel(x, c, false, on_restarted);
	else
		gw_e2b_text(x, rc == -ENOENT ? 500 : gw_status_http(rc),
		            "Failed to restart context %s: %s", gw_ctx_id(c), err.text);
}

void
gw_e2b_context_delete(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_ctx *c = named(core, x);

	(void)body;
	(void)len;
	if (c == NULL)
		return;
	gw_ctx_delete(c);
	gw_http_reply_json(x, 200, json_null());
}
