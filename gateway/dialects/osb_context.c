/* gateway/dialects/osb_context.c - /code/contexts: those of one sandbox.
 *
 * Bash sessions are contexts as well, but not among these: see osb_session.c.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/dialects/await.h"
#include "gateway/dialects/osb.h"
#include "gateway/fs.h"
#include "gateway/language.h"
#include "gateway/sandbox.h"
#include "gateway/status.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

/* --- shared with /code ---------------------------------------------------------------------- */

struct gw_ctx *
gw_osb_context(struct gw_sandbox *sb, const char *id)
{
	struct gw_ctx *c = gw_ctx_find(sb, id);

	return c != NULL && !gw_ctx_is_hidden(c) ? c : NULL;
}

void
gw_osb_context_fail(struct gw_core *core, struct gw_http *x, const char *what,
                    const char *language, int rc, const struct err *err)
{
	if (rc == -ENOENT && language != NULL &&
	    gw_languages_find(core->languages, language) == NULL)
		gw_osb_fail(x, 500, GW_OSB_RUNTIME, "%s unknown language: %.64s", what,
		            language);
	else
		gw_osb_fail(x, rc == -ENOENT ? 500 : gw_status_http(rc), GW_OSB_RUNTIME,
		            "%s %s", what, err->text);
}

bool
gw_osb_string(struct gw_http *x, const json_t *o, const char *key, const char **ret)
{
	const json_t *v = json_object_get(o, key);

	*ret = json_string_value(v);
	if (v == NULL || json_is_null(v) ||
	    (*ret != NULL && strlen(*ret) == json_string_length(v)))
		return true;
	gw_osb_fail(x, 400, GW_OSB_BAD_BODY, "error parsing request: %s %s", key,
	            *ret != NULL ? "holds a NUL" : "is not a string");
	return false;
}

static json_t *
context_json(const struct gw_ctx *c)
{
	return json_pack("{s:s, s:s}", "id", gw_ctx_id(c), "language", gw_ctx_language(c));
}

/* --- creation, answered when the kernel is ready -------------------------------------------- */

static void
on_created(struct gw_http *x, const struct gw_ctx *c, int status, const char *why)
{
	if (status == 0)
		gw_http_reply_json(x, 200, context_json(c));
	else
		gw_osb_fail(x, 500, GW_OSB_RUNTIME, "error creating context %s", why);
}

/* cwd is absolute, or NULL. */
static void
create(struct gw_sandbox *sb, struct gw_http *x, const char *language, const char *cwd)
{
	const struct gw_ctx_request rq = {.language = language, .cwd = cwd};
	struct gw_ctx *c;
	struct err err;
	int rc = gw_ctx_new(sb, &rq, &c, &err);

	if (rc == 0)
		gw_await_kernel(x, c, true, on_created);
	else
		gw_osb_context_fail(sb->core, x, "error creating context", language, rc, &err);
}

/* --- the same in a directory of its own, which is made where it misses -------------------- */

struct place {
	struct gw_http *x; /* NULL: its client left */
	struct gw_core *core;
	struct gw_fs *fs; /* held */
	char *language;   /* or NULL */
	char *cwd;        /* as it was given */
	int rc;           /* of the work */
	struct err err;
};

static void
place_free(struct place *p)
{
	gw_fs_release(p->fs);
	mem_free(p->language);
	mem_free(p->cwd);
	mem_free(p);
}

/* In a thread. */
static void
make_dir(void *arg)
{
	struct place *p = arg;

	p->rc = gw_fs_mkdirs(p->fs, p->cwd, GW_FS_MODE_KEEP, &p->err);
}

static void
create_there(struct place *p, struct gw_sandbox *sb)
{
	char *here = NULL;
	struct buf path;

	buf_init(&path, SIZE_MAX / 4);
	if (p->rc == 0)
		p->rc = gw_fs_here(p->fs, p->cwd, &here, &p->err);
	if (p->rc == 0)
		p->rc = buf_printf(&path, "%s/%s", gw_fs_home(p->fs), here);
	if (p->rc == 0)
		create(sb, p->x, p->language, strcmp(here, ".") == 0 ? NULL : path.data);
	else
		gw_osb_fail(p->x, gw_status_http(p->rc), GW_OSB_BAD_BODY,
		            "error creating context cwd: %s", p->err.text);
	mem_free(here);
	buf_fini(&path);
}

static void
on_dir(void *arg)
{
	struct place *p = arg;
	struct gw_sandbox *sb = p->x != NULL ? gw_osb_sandbox(p->core, p->x) : NULL;

	if (sb != NULL)
		create_there(p, sb);
	place_free(p);
}

static void
on_left(void *arg)
{
	struct place *p = arg;

	p->x = NULL; /* freed once the work is done */
}

static const struct gw_http_ops place_ops = {.closed = on_left};

/* An absolute path of elsewhere: it must be there, as for commands and in the other dialects. */
static bool
is_elsewhere(const struct gw_fs *fs, const char *cwd)
{
	char *here = NULL;
	bool yes = cwd[0] == '/' && gw_fs_here(fs, cwd, &here, NULL) == -EACCES;

	mem_free(here);
	return yes;
}

static void
place(struct gw_sandbox *sb, struct gw_http *x, const char *language, const char *cwd)
{
	struct place *p;
	struct gw_fs *fs;
	struct err err;
	int rc = gw_sandbox_fs(sb, &fs, &err);

	if (rc != 0) {
		gw_osb_context_fail(sb->core, x, "error creating context", language, rc, &err);
		return;
	}
	if (is_elsewhere(fs, cwd)) {
		create(sb, x, language, cwd);
		return;
	}
	p = mem_new(sizeof(*p));
	p->x = x;
	p->core = sb->core;
	p->fs = gw_fs_hold(fs);
	p->language = language != NULL ? mem_strdup(language) : NULL;
	p->cwd = mem_strdup(cwd);
	gw_http_set_ops(x, &place_ops, p);
	loop_work(sb->core->lp, make_dir, on_dir, p);
}

void
gw_osb_context_create(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = gw_osb_sandbox(core, x);
	const char *language, *cwd;
	json_t *o;

	if (sb == NULL)
		return;
	o = gw_osb_object(x, body, len, GW_OSB_BODY_MAX, false);
	if (o == NULL)
		return;
	if (gw_osb_string(x, o, "language", &language) && gw_osb_string(x, o, "cwd", &cwd)) {
		if (cwd == NULL || cwd[0] == '\0')
			create(sb, x, language, NULL);
		else
			place(sb, x, language, cwd);
	}
	json_decref(o);
}

/* --- lists ---------------------------------------------------------------------------------- */

/* True if c is one that a client asks for by this language; NULL or "": any. */
static bool
is_wanted(const struct gw_ctx *c, const char *language)
{
	return gw_ctx_is_listed(c) &&
	       (language == NULL || language[0] == '\0' || gw_ctx_speaks(c, language));
}

void
gw_osb_context_list(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = gw_osb_sandbox(core, x);
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

		if (is_wanted(c, gw_http_query(x, "language")))
			json_array_append_new(all, context_json(c));
	}
	gw_http_reply_json(x, 200, all);
}

void
gw_osb_contexts_delete(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = gw_osb_sandbox(core, x);
	const char *language = gw_http_query(x, "language");
	struct list *it;
	struct list *tmp;

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	if (language == NULL || language[0] == '\0') {
		gw_osb_fail(x, 400, GW_OSB_BAD_QUERY, "missing query parameter 'language'");
		return;
	}
	list_each (it, tmp, &sb->contexts) {
		struct gw_ctx *c = list_entry(it, struct gw_ctx, node);

		if (is_wanted(c, language))
			gw_ctx_delete(c);
	}
	gw_http_reply(x, 200, NULL, "", 0);
}

/* --- one ------------------------------------------------------------------------------------ */

/* The context of the path, or NULL: answered. */
static struct gw_ctx *
named(struct gw_core *core, struct gw_http *x)
{
	struct gw_sandbox *sb = gw_osb_sandbox(core, x);
	const char *id = gw_http_param(x, "id");
	struct gw_ctx *c;

	if (sb == NULL)
		return NULL;
	c = gw_osb_context(sb, id);
	if (c == NULL)
		gw_osb_fail(x, 404, GW_OSB_NO_CONTEXT, "context %.200s not found", id);
	return c;
}

void
gw_osb_context_get(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	const struct gw_ctx *c = named(core, x);

	(void)body;
	(void)len;
	if (c != NULL)
		gw_http_reply_json(x, 200, context_json(c));
}

void
gw_osb_context_delete(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_ctx *c = named(core, x);

	(void)body;
	(void)len;
	if (c == NULL)
		return;
	gw_ctx_delete(c);
	gw_http_reply(x, 200, NULL, "", 0);
}
