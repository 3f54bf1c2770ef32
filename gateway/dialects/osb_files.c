/* gateway/dialects/osb_files.c - execd's endpoints for names, folders and text; upload and download
 * are files of their own.
 *
 * A request is read on the loop and done in a thread, item by item until one fails: what was done
 * before stays done, as with execd.  What waits for a thread when its client leaves is not begun,
 * and a search gives up: who asks and leaves, again and again, would else keep the threads busy.
 *
 * Errors: 404 FILE_NOT_FOUND, 403 FORBIDDEN_PATH (outside of the sandbox), 400, and execd's 500
 * RUNTIME_ERROR for the rest.  The Python SDK knows code and message of the statuses that
 * execd-api lists for a call, and has the body in its exception's text for all others.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "gateway/core.h"
#include "gateway/dialects/osb.h"
#include "gateway/dialects/osb_files.h"
#include "gateway/fs.h"
#include "gateway/sandbox.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define ANSWER_MAX (48U << 20) /* bytes; the edge keeps 64 MiB for one client */
#define BODY_MAX   (8U << 20)  /* texts to replace, or thousands of paths; read on the loop */

/* One request on its way through a thread. */
struct job {
	struct gw_http *x; /* NULL: the client has left */
	struct gw_fs_work work;
	struct gw_fs *fs; /* held */
	int (*run)(struct job *j);
	json_t *ask;   /* paths, or items (osb_files.h); the thread's, as all below */
	char *pattern; /* of a search, or NULL */
	unsigned depth;
	bool verbose;
	int rc;
	struct buf out; /* JSON, or empty */
	struct err err;
};

/* --- the way through ---------------------------------------------------------------------- */

static void
fail(struct gw_http *x, int rc, const struct err *err)
{
	if (rc == -ENOENT)
		gw_osb_fail(x, 404, GW_OSB_NO_FILE, "%s", err->text);
	else if (rc == -ECANCELED)
		gw_osb_fail(x, 404, GW_OSB_NO_SANDBOX, "%s", err->text);
	else if (rc == -EACCES)
		gw_osb_fail(x, 403, GW_OSB_FORBIDDEN, "%s", err->text);
	else if (rc == -EINVAL)
		gw_osb_fail(x, 400, GW_OSB_BAD_BODY, "%s", err->text);
	else
		gw_osb_fail(x, 500, GW_OSB_RUNTIME, "%s", err->text);
}

static void
on_thread(void *arg)
{
	struct job *j = arg;

	j->rc = j->run(j);
	json_decref(j->ask); /* may be large, too */
	j->ask = NULL;
}

static void
on_done(void *arg)
{
	struct job *j = arg;

	if (j->x != NULL && j->rc != 0)
		fail(j->x, j->rc, &j->err);
	else if (j->x != NULL && j->out.len > 0)
		gw_http_reply(j->x, 200, "application/json", j->out.data, j->out.len);
	else if (j->x != NULL)
		gw_http_reply(j->x, 200, NULL, "", 0);
	gw_fs_release(j->fs);
	json_decref(j->ask); /* of one that was not begun */
	buf_fini(&j->out);
	mem_free(j->pattern);
	mem_free(j);
}

static void
on_closed(void *arg)
{
	struct job *j = arg;

	j->x = NULL;
	gw_fs_work_leave(&j->work);
}

/* A job for x with ask, which is taken; NULL: answered, and ask is gone. */
static struct job *
job_new(struct gw_core *core, struct gw_http *x, json_t *ask, int (*run)(struct job *j))
{
	static const struct gw_http_ops ops = {.closed = on_closed};
	struct gw_sandbox *sb = gw_osb_sandbox(core, x);
	struct gw_fs *fs = NULL;
	struct err err;
	struct job *j;

	if (sb != NULL && gw_sandbox_fs(sb, &fs, &err) != 0)
		fail(x, -EIO, &err);
	if (fs == NULL) {
		json_decref(ask);
		return NULL;
	}
	j = mem_new(sizeof(*j));
	j->x = x;
	j->fs = gw_fs_hold(fs);
	j->ask = ask;
	j->run = run;
	buf_init(&j->out, ANSWER_MAX);
	gw_http_set_ops(x, &ops, j);
	return j;
}

static void
start(struct gw_core *core, struct job *j)
{
	if (j != NULL)
		gw_fs_work(core->lp, j->fs, &j->work, on_thread, on_done, j);
}

/* Answer with o, which is taken. */
static int
put(struct job *j, json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT);
	int rc = buf_append(&j->out, text, strlen(text));

	mem_free(text);
	json_decref(o);
	return rc == 0 ? 0 : err_set(&j->err, rc, "the answer is too long");
}

/* --- requests ----------------------------------------------------------------------------- */

/* All paths of the query, which may be none; owned by the caller. */
static json_t *
paths(const struct gw_http *x)
{
	json_t *all = json_array();
	const char *path;

	for (size_t i = 0; (path = gw_http_query_at(x, "path", i)) != NULL; i++)
		json_array_append_new(all, json_string(path));
	return all;
}

/* The one path of the query; NULL: answered. */
static json_t *
one_path(struct gw_http *x)
{
	const char *path = gw_http_query(x, "path");

	if (path != NULL && path[0] != '\0')
		return json_pack("[s]", path);
	gw_osb_fail(x, 400, GW_OSB_BAD_QUERY, "missing query parameter 'path'");
	return NULL;
}

/* Read the body and do it; verbose: tell of what was done. */
static void
do_body(struct gw_core *core, struct gw_http *x, const char *body, size_t len,
        int (*read)(const char *body, size_t len, json_t **ret, struct err *err),
        int (*run)(struct job *j))
{
	const char *verbose = gw_http_query(x, "verbose");
	struct err err;
	json_t *ask = NULL;
	struct job *j;
	int rc;

	if (len > BODY_MAX) {
		gw_osb_fail(x, 413, GW_OSB_BAD_BODY, "the body has more than %u bytes",
		            BODY_MAX);
		return;
	}
	rc = read(body, len, &ask, &err);
	if (rc != 0) {
		fail(x, rc, &err);
		return;
	}
	j = job_new(core, x, ask, run);
	if (j != NULL)
		j->verbose = verbose != NULL && strcmp(verbose, "true") == 0;
	start(core, j);
}

static const char *
text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

/* --- describe, list, search --------------------------------------------------------------- */

static int
run_info(struct job *j)
{
	json_t *all = json_object();
	json_t *path;
	size_t i;
	int rc = 0;

	json_array_foreach (j->ask, i, path) {
		json_t *info = NULL;

		rc = gw_fs_info(j->fs, json_string_value(path), &info, &j->err);
		if (rc != 0)
			break;
		json_object_set_new(all, json_string_value(path), info);
	}
	if (rc == 0)
		return put(j, all);
	json_decref(all);
	return rc;
}

void
gw_osb_files_info(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)body;
	(void)len;
	start(core, job_new(core, x, paths(x), run_info));
}

static int
run_search(struct job *j)
{
	return gw_fs_search(j->fs, json_string_value(json_array_get(j->ask, 0)), j->pattern,
	                    &j->out, &j->err);
}

void
gw_osb_files_search(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	const char *pattern = gw_http_query(x, "pattern");
	json_t *path = one_path(x);
	struct job *j;

	(void)body;
	(void)len;
	if (path == NULL)
		return;
	j = job_new(core, x, path, run_search);
	if (j != NULL)
		j->pattern = mem_strdup(pattern != NULL && pattern[0] != '\0' ? pattern : "**");
	start(core, j);
}

static int
run_list(struct job *j)
{
	return gw_fs_list(j->fs, json_string_value(json_array_get(j->ask, 0)), j->depth,
	                  &j->out, &j->err);
}

void
gw_osb_dirs_list(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	json_t *path = one_path(x);
	struct err err;
	unsigned depth;
	struct job *j;

	(void)body;
	(void)len;
	if (path == NULL)
		return;
	if (gw_osb_files_depth(gw_http_query(x, "depth"), &depth, &err) != 0) {
		json_decref(path);
		fail(x, -EINVAL, &err);
		return;
	}
	j = job_new(core, x, path, run_list);
	if (j != NULL)
		j->depth = depth;
	start(core, j);
}

/* --- names -------------------------------------------------------------------------------- */

/* Do one to each path, until it fails. */
static int
each_path(struct job *j, int (*one)(const struct gw_fs *fs, const char *path, struct err *err))
{
	json_t *path;
	size_t i;
	int rc = 0;

	json_array_foreach (j->ask, i, path) {
		rc = one(j->fs, json_string_value(path), &j->err);
		if (rc != 0)
			break;
	}
	return rc;
}

static int
run_delete(struct job *j)
{
	return each_path(j, gw_fs_remove);
}

void
gw_osb_files_delete(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)body;
	(void)len;
	start(core, job_new(core, x, paths(x), run_delete));
}

static int
run_delete_trees(struct job *j)
{
	return each_path(j, gw_fs_remove_tree);
}

void
gw_osb_dirs_delete(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)body;
	(void)len;
	start(core, job_new(core, x, paths(x), run_delete_trees));
}

static int
run_move(struct job *j)
{
	json_t *item;
	size_t i;
	int rc = 0;

	json_array_foreach (j->ask, i, item) {
		rc = gw_fs_move(j->fs, text_of(item, "src"), text_of(item, "dest"), &j->err);
		if (rc != 0)
			break;
	}
	return rc;
}

void
gw_osb_files_move(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	do_body(core, x, body, len, gw_osb_files_moves, run_move);
}

/* --- permissions -------------------------------------------------------------------------- */

/* Of each item, before any is touched: whether its owner is ours. */
static int
check_owners(struct job *j)
{
	const char *path;
	json_t *item;
	int rc = 0;

	json_object_foreach (j->ask, path, item) {
		rc = gw_fs_check_owner(text_of(item, "owner"), text_of(item, "group"), &j->err);
		if (rc != 0)
			break;
	}
	return rc;
}

static int
run_chmod(struct job *j)
{
	const char *path;
	json_t *item;
	int rc = check_owners(j);

	if (rc != 0)
		return rc;
	json_object_foreach (j->ask, path, item) {
		rc = gw_fs_chmod(j->fs, path, gw_osb_files_mode(item), &j->err);
		if (rc != 0)
			break;
	}
	return rc;
}

void
gw_osb_files_chmod(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	do_body(core, x, body, len, gw_osb_files_permissions, run_chmod);
}

static int
run_mkdirs(struct job *j)
{
	const char *path;
	json_t *item;
	int rc = check_owners(j);

	if (rc != 0)
		return rc;
	json_object_foreach (j->ask, path, item) {
		rc = gw_fs_mkdirs(j->fs, path, gw_osb_files_mode(item), &j->err);
		if (rc != 0)
			break;
	}
	return rc;
}

void
gw_osb_dirs_make(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	do_body(core, x, body, len, gw_osb_files_permissions, run_mkdirs);
}

/* --- text --------------------------------------------------------------------------------- */

static int
run_replace(struct job *j)
{
	json_t *counts = json_object();
	const char *path;
	json_t *item;
	int rc = 0;

	json_object_foreach (j->ask, path, item) {
		uint64_t n = 0;

		rc = gw_fs_replace(j->fs, path, text_of(item, "old"), text_of(item, "new"), &n,
		                   &j->err);
		if (rc != 0)
			break;
		json_object_set_new(counts, path,
		                    json_pack("{s:I}", "replacedCount", (json_int_t)n));
	}
	if (rc == 0 && j->verbose)
		return put(j, counts);
	json_decref(counts);
	return rc;
}

void
gw_osb_files_replace(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	do_body(core, x, body, len, gw_osb_files_replacements, run_replace);
}
