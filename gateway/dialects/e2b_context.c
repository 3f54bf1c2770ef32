/* gateway/dialects/e2b_context.c - /contexts: those of one sandbox. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gateway/context.h"
#include "gateway/core.h"
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

struct wait {
	struct gw_http *x;
	struct gw_ctx *ctx; /* borrowed */
	struct gw_ctx_wait ready;
	bool restart; /* else it is new */
	char id[40];  /* of ctx */
};

static void
wait_free(struct wait *w)
{
	gw_ctx_wait_cancel(&w->ready);
	mem_free(w);
}

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
on_ready(void *arg, int status, const char *why)
{
	struct wait *w = arg;

	if (status != 0 && w->restart)
		gw_e2b_text(w->x, 500, "Failed to restart context %s: %s", w->id, why);
	else if (status != 0)
		gw_e2b_text(w->x, 500, "Failed to create context: %s", why);
	else
		gw_http_reply_json(w->x, 200, w->restart ? json_null() : context_json(w->ctx));
	wait_free(w);
}

/* The client left.  A new context goes with it: nobody knows its id. */
static void
on_closed(void *arg)
{
	struct wait *w = arg;
	struct gw_ctx *c = w->restart ? NULL : w->ctx;

	wait_free(w);
	if (c != NULL)
		gw_ctx_delete(c);
}

static const struct gw_http_ops wait_ops = {.closed = on_closed};

static void
reply_when_ready(struct gw_http *x, struct gw_ctx *c, bool restart)
{
	struct wait *w = mem_new(sizeof(*w));

	w->x = x;
	w->ctx = c;
	w->restart = restart;
	(void)snprintf(w->id, sizeof(w->id), "%s", gw_ctx_id(c));
	list_init(&w->ready.node);
	gw_http_set_ops(x, &wait_ops, w);
	gw_ctx_wait(c, &w->ready, on_ready, w);
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
	if (rc == 0) {
		gw_ctx_set_provisional(c);
		reply_when_ready(x, c, false);
	} else {
		gw_e2b_text(x, rc == -ENOENT ? 500 : gw_status_http(rc),
		            "Failed to create context: %s", err.text);
	}
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

		if (!gw_ctx_is_hidden(c))
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
		reply_when_ready(x, c, true);
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
