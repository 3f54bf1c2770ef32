/* gateway/sandbox.c - see gateway/sandbox.h. */
#include "gateway/sandbox.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/command.h"
#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/files.h"
#include "gateway/fs.h"
#include "gateway/metrics.h"
#include "gateway/rundir.h"
#include "gateway/sweep.h"
#include "wire/base/err.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"
#include "wire/msg.h"

int
gw_strings_check(const json_t *o, const char *what, struct err *err)
{
	const char *key;
	json_t *v;

	if (o == NULL || json_is_null(o))
		return 0;
	if (!json_is_object(o))
		return err_set(err, -EINVAL, "%s is not an object", what);
	json_object_foreach ((json_t *)(uintptr_t)o, key, v) {
		if (!json_is_string(v))
			return err_set(err, -EINVAL, "%s.%s is not a string", what, key);
	}
	return 0;
}

int
gw_env_check(const json_t *o, const char *what, struct err *err)
{
	const char *key;
	json_t *v;
	int rc;

	if (json_object_size(o) > GW_ENV_VARS_MAX)
		return err_set(err, -EINVAL, "%s has more than %d variables", what,
		               GW_ENV_VARS_MAX);
	rc = gw_strings_check(o, what, err);
	if (rc != 0 || !json_is_object(o))
		return rc;
	json_object_foreach ((json_t *)(uintptr_t)o, key, v) {
		if (strlen(key) > GW_ENV_NAME_MAX)
			return err_set(err, -EINVAL,
			               "%s: '%.60s...': a variable's name has at most %d bytes",
			               what, key, GW_ENV_NAME_MAX);
		if (key[0] == '\0' || strchr(key, '=') != NULL)
			return err_set(err, -EINVAL, "%s: '%.60s' cannot be a variable's name",
			               what, key);
		if (strlen(json_string_value(v)) != json_string_length(v))
			return err_set(err, -EINVAL, "%s.%.60s holds a NUL", what, key);
	}
	return 0;
}

size_t
gw_strings_bytes(const json_t *o)
{
	const char *key;
	size_t bytes = 0;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)o, key, v)
		bytes += strlen(key) + json_string_length(v);
	return bytes;
}

int
gw_strings_size(const json_t *o, size_t max, const char *what, struct err *err)
{
	if (gw_strings_bytes(o) <= max)
		return 0;
	return err_set(err, -EINVAL, "%s has more than %zu bytes", what, max);
}

/* --- the folder --------------------------------------------------------------------------- */

struct gw_home *
gw_home_hold(struct gw_home *h)
{
	h->holders_n++;
	return h;
}

void
gw_home_release(struct gw_home *h)
{
	if (h == NULL || --h->holders_n > 0)
		return;
	if (h->mark != NULL) {
		gw_files_remove_tree(h->dir);
		(void)unlink(h->mark);
	}
	mem_free(h->dir);
	mem_free(h->mark);
	mem_free(h);
}

/* Make dir/home, marked first.  Returns 0 with *ret held once, or -EIO. */
static int
home_new(const struct gw_core *core, const char *id, struct gw_home **ret, char **home,
         struct err *err)
{
	struct gw_home *h = mem_new(sizeof(*h));
	char path[4096];
	int rc = 0;

	(void)snprintf(path, sizeof(path), "%.3900s/sandboxes/%s", core->cfg->state_dir, id);
	h->dir = mem_strdup(path);
	(void)gw_home_hold(h);
	if (strcmp(id, GW_SANDBOX_DEFAULT) != 0) {
		(void)snprintf(path, sizeof(path), "%.3900s/%s" GW_SWEEP_SANDBOX,
		               gw_rundir_path(core->rundir), id);
		h->mark = mem_strdup(path);
		rc = gw_files_touch(h->mark, err);
	}
	(void)snprintf(path, sizeof(path), "%.3990s/home", h->dir);
	if (rc == 0)
		rc = gw_files_mkdirs(path, err);
	if (rc != 0) {
		gw_home_release(h);
		return rc;
	}
	*home = mem_strdup(path);
	*ret = h;
	return 0;
}

/* --- sandboxes ---------------------------------------------------------------------------- */

static json_t *
copy_or_empty(const json_t *o)
{
	return json_is_object(o) ? json_deep_copy(o) : json_object();
}

static int
check_name(const char *name, const char *what, struct err *err)
{
	if (name == NULL || strlen(name) <= GW_SANDBOX_NAME_MAX)
		return 0;
	return err_set(err, -EINVAL, "%s has more than %u bytes", what, GW_SANDBOX_NAME_MAX);
}

static int
check_request(const struct gw_sandbox_request *rq, struct err *err)
{
	int rc = gw_env_check(rq->env, "env", err);

	if (rc == 0)
		rc = gw_strings_size(rq->env, GW_SANDBOX_ENV_MAX, "env", err);
	if (rc == 0)
		rc = gw_strings_check(rq->labels, "labels", err);
	if (rc == 0)
		rc = gw_strings_size(rq->labels, GW_SANDBOX_LABELS_MAX, "labels", err);
	if (rc == 0)
		rc = check_name(rq->name, "name", err);
	return rc == 0 ? check_name(rq->image, "image", err) : rc;
}

int
gw_sandbox_new(struct gw_core *core, const struct gw_sandbox_request *rq,
               struct gw_sandbox **ret, struct err *err)
{
	struct gw_sandbox *sb;
	int rc = check_request(rq, err);

	if (rc != 0)
		return rc;
	if (rq->name != NULL && gw_sandbox_find(core, rq->name) != NULL)
		return err_set(err, -EEXIST, "a sandbox called '%.64s' exists", rq->name);
	if (gw_metric[GW_M_SANDBOXES] >= (int64_t)core->cfg->max_sandboxes)
		return err_set(err, -EBUSY,
		               "there are %llu sandboxes, the limit (max_sandboxes)",
		               (unsigned long long)core->cfg->max_sandboxes);
	sb = mem_new(sizeof(*sb));
	sb->core = core;
	sb->id.kind = "sandbox";
	if (rq->id != NULL)
		(void)snprintf(sb->id.id, sizeof(sb->id.id), "%s", rq->id);
	else
		wire_uuid(sb->id.id);
	rc = home_new(core, sb->id.id, &sb->folder, &sb->home, err);
	if (rc != 0) {
		mem_free(sb);
		return rc;
	}
	sb->name = mem_strdup(rq->name != NULL ? rq->name : sb->id.id);
	sb->env = copy_or_empty(rq->env);
	sb->labels = copy_or_empty(rq->labels);
	sb->pauses = rq->pauses;
	sb->wakes = rq->wakes;
	sb->any_version = rq->any_version;
	sb->told = copy_or_empty(rq->told);
	sb->image = mem_strdup(rq->image != NULL ? rq->image : "");
	gw_core_time(0, sb->created);
	list_init(&sb->contexts);
	list_init(&sb->commands);
	list_add_before(&core->sandboxes, &sb->node);
	table_add(&core->sandbox_ids, &sb->by_id, sb->id.id);
	table_add(&core->sandbox_names, &sb->by_name, sb->name);
	gw_metric[GW_M_SANDBOXES]++;
	gw_sandbox_set_timeout(sb, rq->timeout_ms);
	log_info(&sb->id, "sandbox made timeout_ms=%llu", (unsigned long long)rq->timeout_ms);
	*ret = sb;
	return 0;
}

/* Where name says, else the folder below the gateway's own home. */
static void
keep_place(json_t *vars, const char *name, const char *below)
{
	const char *home = getenv("HOME"); /* NOLINT(concurrency-mt-unsafe): nobody sets any */
	char path[4096];

	if (getenv(name) != NULL || home == NULL) /* NOLINT(concurrency-mt-unsafe) */
		return;
	(void)snprintf(path, sizeof(path), "%s/%s", home, below);
	json_object_set_new_nocheck(vars, name, json_string_nocheck(path));
}

json_t *
gw_sandbox_vars(const struct gw_sandbox *sb)
{
	json_t *vars = json_object();

	json_object_set_new_nocheck(vars, "HOME", json_string_nocheck(sb->home));
	keep_place(vars, "XDG_CACHE_HOME", ".cache");
	keep_place(vars, "IPYTHONDIR", ".ipython");
	json_object_update(vars, sb->env);
	return vars;
}

struct gw_sandbox *
gw_sandbox_find(struct gw_core *core, const char *id_or_name)
{
	struct table_node *node = table_find(&core->sandbox_ids, id_or_name);

	if (node != NULL)
		return list_entry(node, struct gw_sandbox, by_id);
	node = table_find(&core->sandbox_names, id_or_name);
	return node != NULL ? list_entry(node, struct gw_sandbox, by_name) : NULL;
}

static void
end_all(struct gw_sandbox *sb, const char *why)
{
	gw_commands_end(sb, why);
	while (!list_empty(&sb->contexts))
		gw_ctx_free(list_entry(sb->contexts.next, struct gw_ctx, node), why);
}

void
gw_sandbox_stop(struct gw_sandbox *sb, const char *why)
{
	end_all(sb, why);
	sb->stopped = true;
}

void
gw_sandbox_start(struct gw_sandbox *sb)
{
	sb->stopped = false;
}

static void
on_expiry(void *arg)
{
	struct gw_sandbox *sb = arg;

	if (sb->pauses)
		gw_sandbox_pause(sb);
	else
		gw_sandbox_delete(sb, "sandbox expired");
}

static void
stop_clock(struct gw_sandbox *sb)
{
	loop_timer_free(sb->expiry);
	sb->expiry = NULL;
	sb->ends[0] = '\0';
}

void
gw_sandbox_set_timeout(struct gw_sandbox *sb, uint64_t msec)
{
	stop_clock(sb);
	if (msec == 0 || strcmp(sb->id.id, GW_SANDBOX_DEFAULT) == 0)
		return;
	gw_core_time(msec, sb->ends);
	sb->span_ms = msec;
	sb->due_ms = loop_now_ms(sb->core->lp) + msec;
	if (!sb->paused)
		sb->expiry = loop_timer_new(sb->core->lp, msec, on_expiry, sb);
}

void
gw_sandbox_pause(struct gw_sandbox *sb)
{
	if (!sb->paused) {
		uint64_t now = loop_now_ms(sb->core->lp);

		sb->left_ms = sb->due_ms > now ? sb->due_ms - now : sb->span_ms;
		if (sb->expiry == NULL)
			sb->left_ms = 0;
	}
	sb->paused = true;
	stop_clock(sb);
}

void
gw_sandbox_resume(struct gw_sandbox *sb, uint64_t msec)
{
	sb->paused = false;
	gw_sandbox_set_timeout(sb, msec);
}

int
gw_sandbox_fs(struct gw_sandbox *sb, struct gw_fs **ret, struct err *err)
{
	int rc = sb->fs != NULL ? 0 : gw_fs_new(sb->folder, sb->home, &sb->fs, err);

	if (rc == 0)
		*ret = sb->fs;
	return rc;
}

void
gw_sandbox_free(struct gw_sandbox *sb, const char *why)
{
	stop_clock(sb);
	end_all(sb, why);
	list_del(&sb->node);
	table_del(&sb->core->sandbox_ids, &sb->by_id);
	table_del(&sb->core->sandbox_names, &sb->by_name);
	gw_metric[GW_M_SANDBOXES]--;
	log_info(&sb->id, "sandbox gone why=%s", why);
	json_decref(sb->env);
	json_decref(sb->labels);
	json_decref(sb->told);
	mem_free(sb->name);
	mem_free(sb->image);
	mem_free(sb->home);
	gw_fs_end(sb->fs);
	gw_fs_release(sb->fs);
	gw_home_release(sb->folder);
	mem_free(sb);
}

void
gw_sandbox_delete(struct gw_sandbox *sb, const char *why)
{
	assert(strcmp(sb->id.id, GW_SANDBOX_DEFAULT) != 0);
	gw_sandbox_free(sb, why);
}
