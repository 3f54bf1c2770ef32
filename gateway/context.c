/* gateway/context.c - see gateway/context.h. */
#include "gateway/context.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gateway/core.h"
#include "gateway/exec.h"
#include "gateway/exec_flush.h"
#include "gateway/files.h"
#include "gateway/language.h"
#include "gateway/metrics.h"
#include "gateway/pool.h"
#include "gateway/sandbox.h"
#include "gateway/seat.h"
#include "kernelmgr/kernel.h"
#include "kernelmgr/spec.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/msg.h"

/* More than this in variables: the launcher judges whether a process can have them. */
#define LATE_ENV_BYTES 65536

static struct gw_exec *
first(const struct gw_ctx *c)
{
	return list_empty(&c->queue) ? NULL : list_entry(c->queue.next, struct gw_exec, node);
}

/* What a client calls a language, as the table does; lent. */
static const char *
canonical(const struct gw_core *core, const char *language)
{
	const char *name =
	    language != NULL && language[0] != '\0' ? language : GW_LANGUAGE_DEFAULT;
	const struct gw_language *row = gw_languages_find(core->languages, name);

	return row != NULL ? row->name : name;
}

/* True if it is what a client gets that names neither a context nor a language. */
static bool
is_very_default(const struct gw_ctx *c)
{
	return c->is_default && strcmp(c->language, canonical(c->core, NULL)) == 0;
}

static void
tell_waits(struct gw_ctx *c, int status, const char *why)
{
	while (!list_empty(&c->waits)) {
		struct gw_ctx_wait *w = list_entry(c->waits.next, struct gw_ctx_wait, node);

		list_del(&w->node);
		w->fn(w->arg, status, why);
	}
}

static void
finish_all(struct gw_ctx *c, enum gw_done how, const char *why)
{
	struct gw_exec *ex;

	while ((ex = first(c)) != NULL)
		gw_exec_finish(ex, how, why);
}

/* --- its kernel --------------------------------------------------------------------------- */

static void
on_ready(void *arg)
{
	struct gw_ctx *c = arg;

	c->provisional = false;
	loop_task_post(&c->next); /* tells who waits, runs the first in the queue */
}

static void
on_died(void *arg, bool started, const char *why)
{
	struct gw_ctx *c = arg;
	struct gw_exec *ex = first(c);
	int code = km_kernel_exit_code(gw_seat_kernel(c->seat));
	char text[2048];

	if (started)
		(void)snprintf(text, sizeof(text), "kernel died: %s", why);
	else
		(void)snprintf(text, sizeof(text), "kernel '%s' could not start: %s",
		               gw_seat_spec(c->seat)->name, why);
	c->seat = NULL; /* before anything can ask for the next kernel */
	log_warn(&c->id, "%s", text);
	if (!started)
		finish_all(c, GW_DONE_KERNEL_DIED, text);
	else if (ex != NULL && ex->state == GW_EXEC_RUNNING && !ex->ended && code >= 0 &&
	         c->row != NULL && c->row->exit_ends)
		gw_exec_exited(ex, code);
	else if (ex != NULL && ex->state != GW_EXEC_QUEUED)
		gw_exec_finish(ex, GW_DONE_KERNEL_DIED, text);
	loop_task_post(&c->next); /* who waits gets the next kernel */
	if (!started)
		tell_waits(c, -EIO, text);
}

static void
on_stray(void *arg, const struct wire_msg *m)
{
	struct gw_exec *ex = first(arg);

	if (ex != NULL && gw_exec_flush_late(ex, m))
		return;
	if (strcmp(m->type, "stream") == 0 || strcmp(m->type, "display_data") == 0)
		gw_metric[GW_M_LATE_OUTPUT]++;
}

static void on_refused(void *arg, const char *why);

static const struct gw_seat_ops seat_ops = {
    .ready = on_ready,
    .refused = on_refused,
    .died = on_died,
    .stray = on_stray,
};

/* The sandbox's variables and its own over them; owned by the caller. */
static json_t *
kernel_env(const struct gw_ctx *c)
{
	json_t *env = gw_sandbox_vars(c->sandbox);

	json_object_update(env, c->env);
	return env;
}

/* True if a kernel that runs already can have cwd and env: where a launch would fail, one must
 * be tried, for its error. */
static bool
is_late(const char *cwd, json_t *env)
{
	size_t bytes = 0;
	const char *name;
	json_t *value;
	struct err err;

	json_object_foreach (env, name, value)
		bytes += strlen(name) + json_string_length(value);
	return bytes <= LATE_ENV_BYTES && gw_files_check_dir(cwd, &err) == 0;
}

/* A new kernel; spec is taken.  Those of the pool go first where there may be no more. */
static int
launch(struct gw_ctx *c, struct km_spec *spec, const json_t *env, struct err *err)
{
	const struct gw_seat_plan plan = {
	    .spec = spec, .cwd = c->cwd, .env = env, .ops = &seat_ops, .holder = c};
	int rc = gw_seat_new(c->core, &plan, &c->seat, err);

	if (rc == -EBUSY && gw_pool_yield(c->core->pool))
		rc = gw_seat_new(c->core, &plan, &c->seat, err);
	if (rc != 0)
		km_spec_free(spec);
	return rc;
}

/* Get a kernel: from the pool if it has one and ahead, else a new one. */
static int
start_kernel(struct gw_ctx *c, bool ahead, struct err *err)
{
	struct km_spec *spec = NULL;
	json_t *env;
	int rc = km_spec_find(c->core->specs, c->spec, &spec, err);

	if (rc != 0)
		return rc;
	gw_language_adapt(c->row, spec);
	env = kernel_env(c);
	if (ahead && is_late(c->cwd, env))
		c->seat = gw_pool_take(c->core->pool, spec, env);
	if (c->seat != NULL) {
		km_spec_free(spec);
		gw_seat_pass(c->seat, &seat_ops, c);
		gw_seat_assign(c->seat, c->cwd, env);
	} else {
		rc = launch(c, spec, env, err);
	}
	json_decref(env);
	if (rc != 0)
		return rc;
	gw_seat_hold_home(c->seat, c->sandbox->folder);
	c->starts++;
	c->unasked = 0;
	c->asked = 0;
	c->surrounded = false;
	return 0;
}

/* No kernel could be had: nobody waits for one any more. */
static void
give_up(struct gw_ctx *c, const char *why)
{
	finish_all(c, GW_DONE_KERNEL_DIED, why);
	tell_waits(c, -EIO, why);
}

/* What the pool gave is lost; whoever asked for a kernel gets another. */
static void
on_refused(void *arg, const char *why)
{
	struct gw_ctx *c = arg;
	struct err err;

	c->seat = NULL;
	log_warn(&c->id, "a kernel that was started ahead is lost, starting another: %s", why);
	if (start_kernel(c, false, &err) == 0)
		return;
	log_warn(&c->id, "no kernel: %s", err.text);
	give_up(c, err.text);
	loop_task_post(&c->next); /* a provisional one goes */
}

/* The one place that decides what a context does next. */
static void
on_next(void *arg)
{
	struct gw_ctx *c = arg;
	struct km_kernel *k;
	struct gw_exec *ex;
	struct err err;

	if (gw_ctx_kernel(c) != NULL)
		tell_waits(c, 0, NULL);
	ex = first(c);
	if (c->provisional && c->seat == NULL) {
		gw_ctx_free(c, "its kernel could not start");
		return;
	}
	if (ex != NULL && ex->state != GW_EXEC_QUEUED)
		return;
	if (c->seat == NULL && (ex != NULL || !list_empty(&c->waits)) &&
	    start_kernel(c, true, &err) != 0) {
		give_up(c, err.text);
		return;
	}
	k = gw_ctx_kernel(c);
	if (ex != NULL && k != NULL && km_kernel_state(k) == KM_READY)
		gw_exec_run(ex, k);
}

/* --- making and finding ----------------------------------------------------------------- */

static struct gw_ctx *
ctx_new(struct gw_sandbox *sb, const char *language, const char *cwd, const json_t *env)
{
	struct gw_ctx *c = mem_new(sizeof(*c));

	c->core = sb->core;
	c->sandbox = sb;
	c->id.kind = "ctx";
	wire_uuid(c->id.id);
	c->language = mem_strdup(language);
	c->cwd = mem_strdup(cwd);
	c->env = json_is_object(env) ? json_deep_copy(env) : json_object();
	gw_core_time(0, c->created);
	list_init(&c->queue);
	list_init(&c->waits);
	loop_task_init(&c->next, sb->core->lp, on_next, c);
	list_add_before(&sb->contexts, &c->node);
	table_add(&sb->core->contexts, &c->by_id, c->id.id);
	gw_metric[GW_M_CONTEXTS]++;
	return c;
}

int
gw_ctx_new(struct gw_sandbox *sb, const struct gw_ctx_request *rq, struct gw_ctx **ret,
           struct err *err)
{
	const char *lang = canonical(sb->core, rq->language);
	const char *dir = rq->cwd != NULL && rq->cwd[0] != '\0' ? rq->cwd : sb->home;
	const struct gw_language *row = gw_languages_find(sb->core->languages, lang);
	struct km_spec *spec = NULL;
	struct gw_ctx *c;
	int rc;

	if (sb->core->draining)
		return err_set(err, -ECANCELED, "the gateway is stopping");
	if (sb->stopped || sb->paused)
		return err_set(err, -EINVAL, "sandbox '%s' is %s", sb->name,
		               sb->stopped ? "stopped" : "paused");
	if (gw_metric[GW_M_CONTEXTS] >= (int64_t)sb->core->cfg->max_contexts)
		return err_set(err, -EBUSY, "there are %llu contexts, the limit (max_contexts)",
		               (unsigned long long)sb->core->cfg->max_contexts);
	rc = gw_files_check_dir(dir, err);
	if (rc == 0)
		rc = gw_env_check(rq->env, "env", err);
	if (rc == 0)
		rc = gw_language_choose(sb->core->languages, sb->core->specs, lang, sb->env,
		                        &spec, err);
	if (rc == -ENOENT && sb->any_version)
		rc = gw_language_choose(sb->core->languages, sb->core->specs, lang, NULL, &spec,
		                        err);
	if (rc != 0)
		return rc;
	c = ctx_new(sb, lang, dir, rq->env);
	c->spec = mem_strdup(spec->name);
	c->hidden = rq->hidden;
	c->row = row != NULL ? row : gw_language_of(sb->core->languages, spec);
	km_spec_free(spec);
	rc = start_kernel(c, true, err);
	if (rc != 0) {
		gw_ctx_free(c, err->text);
		return rc;
	}
	log_info(&c->id, "context made language=%s kernelspec=%s sandbox=%.8s", c->language,
	         c->spec, sb->id.id);
	*ret = c;
	return 0;
}

int
gw_ctx_default(struct gw_sandbox *sb, const char *language, struct gw_ctx **ret,
               struct err *err)
{
	const struct gw_ctx_request rq = {.language = canonical(sb->core, language)};
	struct list *it;
	struct list *tmp;
	int rc;

	list_each (it, tmp, &sb->contexts) {
		struct gw_ctx *c = list_entry(it, struct gw_ctx, node);

		if (c->is_default && strcmp(c->language, rq.language) == 0) {
			*ret = c;
			return 0;
		}
	}
	rc = gw_ctx_new(sb, &rq, ret, err);
	if (rc == 0)
		(*ret)->is_default = true;
	return rc;
}

static struct gw_ctx *
find_by_id(const struct gw_core *core, const char *id)
{
	struct table_node *node = table_find(&core->contexts, id);

	return node != NULL ? list_entry(node, struct gw_ctx, by_id) : NULL;
}

struct gw_ctx *
gw_ctx_find(struct gw_sandbox *sb, const char *id)
{
	struct list *it;
	struct list *tmp;

	if (strcmp(id, "default") != 0) {
		struct gw_ctx *c = find_by_id(sb->core, id);

		return c != NULL && c->sandbox == sb ? c : NULL;
	}
	list_each (it, tmp, &sb->contexts) {
		struct gw_ctx *c = list_entry(it, struct gw_ctx, node);

		if (is_very_default(c))
			return c;
	}
	return NULL;
}

struct gw_ctx *
gw_ctx_find_any(struct gw_core *core, const char *id)
{
	struct gw_ctx *c = NULL;
	struct list *it;
	struct list *tmp;

	if (strcmp(id, "default") != 0)
		return find_by_id(core, id);
	list_each (it, tmp, &core->sandboxes) {
		c = gw_ctx_find(list_entry(it, struct gw_sandbox, node), id);
		if (c != NULL)
			break;
	}
	return c;
}

/* --- ending ----------------------------------------------------------------------------- */

void
gw_ctx_free(struct gw_ctx *c, const char *why)
{
	finish_all(c, GW_DONE_ABORTED, why);
	gw_seat_leave(&c->seat);
	tell_waits(c, -EIO, why);
	loop_task_cancel(&c->next);
	list_del(&c->node);
	table_del(&c->core->contexts, &c->by_id);
	gw_metric[GW_M_CONTEXTS]--;
	log_info(&c->id, "context gone why=%s kernels=%u", why, c->starts);
	mem_free(c->language);
	mem_free(c->cwd);
	json_decref(c->env);
	mem_free(c->spec);
	mem_free(c);
}

void
gw_ctx_delete(struct gw_ctx *c)
{
	gw_ctx_free(c, "context deleted");
}

int
gw_ctx_restart(struct gw_ctx *c, struct err *err)
{
	if (c->core->draining)
		return err_set(err, -ECANCELED, "the gateway is stopping");
	finish_all(c, GW_DONE_ABORTED, "context restarted");
	gw_seat_leave(&c->seat);
	loop_task_post(&c->next); /* who waits is told also when this fails */
	return start_kernel(c, true, err);
}

void
gw_ctx_set_provisional(struct gw_ctx *c)
{
	c->provisional = gw_ctx_kernel(c) == NULL;
}

/* --- waiting, queueing, asking ---------------------------------------------------------- */

void
gw_ctx_wait(struct gw_ctx *c, struct gw_ctx_wait *w, gw_ctx_ready_fn *fn, void *arg)
{
	w->fn = fn;
	w->arg = arg;
	list_add_before(&c->waits, &w->node);
	if (c->seat == NULL || gw_ctx_kernel(c) != NULL)
		loop_task_post(&c->next); /* starts one, or tells w */
}

void
gw_ctx_wait_cancel(struct gw_ctx_wait *w)
{
	if (w->node.next != NULL)
		list_del(&w->node);
}

void
gw_ctx_enqueue(struct gw_ctx *c, struct gw_exec *ex)
{
	list_add_before(&c->queue, &ex->node);
	c->queue_n++;
	loop_task_post(&c->next);
}

void
gw_ctx_dequeue(struct gw_ctx *c, struct gw_exec *ex)
{
	assert(c->queue_n > 0);
	list_del(&ex->node);
	c->queue_n--;
	loop_task_post(&c->next);
}

struct km_kernel *
gw_ctx_kernel(const struct gw_ctx *c)
{
	return c->seat != NULL ? gw_seat_answering(c->seat) : NULL;
}

struct gw_exec *
gw_ctx_first(const struct gw_ctx *c)
{
	return first(c);
}

const char *
gw_ctx_state(const struct gw_ctx *c)
{
	return c->seat == NULL ? "none" : gw_seat_state(c->seat);
}

bool
gw_ctx_is_active(const struct gw_ctx *c)
{
	return c->seat != NULL;
}

const char *
gw_ctx_id(const struct gw_ctx *c)
{
	return c->id.id;
}

const char *
gw_ctx_language(const struct gw_ctx *c)
{
	return c->language;
}

const char *
gw_ctx_cwd(const struct gw_ctx *c)
{
	return c->cwd;
}

const char *
gw_ctx_created(const struct gw_ctx *c)
{
	return c->created;
}

bool
gw_ctx_is_default(const struct gw_ctx *c)
{
	return c->is_default;
}

bool
gw_ctx_is_hidden(const struct gw_ctx *c)
{
	return c->hidden;
}

bool
gw_ctx_is_listed(const struct gw_ctx *c)
{
	return !c->hidden && !c->provisional;
}

bool
gw_ctx_speaks(const struct gw_ctx *c, const char *language)
{
	return strcmp(c->language, canonical(c->core, language)) == 0;
}

struct gw_sandbox *
gw_ctx_sandbox(const struct gw_ctx *c)
{
	return c->sandbox;
}
