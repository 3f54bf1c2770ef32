/* gateway/context.c - see gateway/context.h.
 *
 * A seat ties one kernel to its context.  When the context leaves it (deletion, restart), the seat
 * stays with the core until the process is reaped, so no kernel is ever forgotten.
 */
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
#include "gateway/rundir.h"
#include "gateway/sandbox.h"
#include "kernelmgr/kernel.h"
#include "kernelmgr/spec.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/msg.h"

struct gw_seat {
	struct list node;   /* in the core */
	struct gw_ctx *ctx; /* NULL: it left */
	struct km_spec *spec;
	struct km_kernel *kernel;
	struct gw_home *home; /* held: its working directory may be there */
};

static struct gw_exec *
first(const struct gw_ctx *c)
{
	return list_empty(&c->queue) ? NULL : list_entry(c->queue.next, struct gw_exec, node);
}

struct gw_seat *
gw_seat_at(struct list *node)
{
	return list_entry(node, struct gw_seat, node);
}

void
gw_seat_free(struct gw_seat *seat)
{
	km_kernel_free(seat->kernel);
	km_spec_free(seat->spec);
	list_del(&seat->node);
	gw_home_release(seat->home);
	mem_free(seat);
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

/* The kernel may go; died frees the seat. */
static void
leave_seat(struct gw_ctx *c)
{
	if (c->seat == NULL)
		return;
	km_kernel_stop(c->seat->kernel);
	c->seat->ctx = NULL;
	c->seat = NULL;
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

/* --- the kernel's callbacks ------------------------------------------------------------- */

static void
on_ready(void *arg)
{
	struct gw_seat *seat = arg;
	struct gw_ctx *c = seat->ctx;

	if (c == NULL)
		return;
	c->provisional = false;
	if (is_very_default(c) && strcmp(c->sandbox->id.id, GW_SANDBOX_DEFAULT) == 0)
		c->core->warm = true;
	loop_task_post(&c->next); /* tells who waits, runs the first in the queue */
}

static void
on_died(void *arg, bool started, const char *why)
{
	struct gw_seat *seat = arg;
	struct gw_ctx *c = seat->ctx;
	struct gw_exec *ex = c != NULL ? first(c) : NULL;
	int code = km_kernel_exit_code(seat->kernel);
	char text[2048];

	gw_metric[GW_M_KERNEL_DEATHS]++;
	if (started)
		(void)snprintf(text, sizeof(text), "kernel died: %s", why);
	else
		(void)snprintf(text, sizeof(text), "kernel '%s' could not start: %s",
		               seat->spec->name, why);
	if (c != NULL) {
		c->seat = NULL; /* before anything can ask for the next kernel */
		log_warn(&c->id, "%s", text);
		if (!started)
			finish_all(c, GW_DONE_KERNEL_DIED, text);
		else if (ex != NULL && ex->state == GW_EXEC_RUNNING && !ex->ended &&
		         code >= 0 && c->row != NULL && c->row->exit_ends)
			gw_exec_exited(ex, code);
		else if (ex != NULL && ex->state != GW_EXEC_QUEUED)
			gw_exec_finish(ex, GW_DONE_KERNEL_DIED, text);
		loop_task_post(&c->next); /* who waits gets the next kernel */
		if (!started)
			tell_waits(c, -EIO, text);
	}
	gw_seat_free(seat);
}

static void
on_stray(void *arg, const struct wire_msg *m)
{
	const struct gw_seat *seat = arg;
	struct gw_exec *ex = seat->ctx != NULL ? first(seat->ctx) : NULL;

	if (ex != NULL && gw_exec_flush_late(ex, m))
		return;
	if (strcmp(m->type, "stream") == 0 || strcmp(m->type, "display_data") == 0)
		gw_metric[GW_M_LATE_OUTPUT]++;
}

static const struct km_kernel_ops kernel_ops = {
    .ready = on_ready,
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

static int
start_kernel(struct gw_ctx *c, struct err *err)
{
	struct gw_core *core = c->core;
	struct gw_seat *seat = mem_new(sizeof(*seat));
	json_t *env = kernel_env(c);
	struct km_kernel_config cfg = {
	    .lp = core->lp,
	    .launcher = core->launcher,
	    .run_dir = gw_rundir_path(core->rundir),
	    .cwd = c->cwd,
	    .env = env,
	    .start_timeout_ms = core->cfg->start_timeout_ms,
	    .stop_grace_ms = core->cfg->stop_grace_ms,
	};
	int rc;

	list_init(&seat->node);
	if (gw_core_kernels(core) >= 2 * core->cfg->max_contexts)
		rc = err_set(err, -EBUSY, "too many kernels of deleted contexts still end");
	else
		rc = km_spec_find(core->specs, c->spec, &seat->spec, err);
	cfg.spec = seat->spec;
	if (rc == 0)
		gw_language_adapt(c->row, seat->spec);
	if (rc == 0)
		rc = km_kernel_start(&cfg, &kernel_ops, seat, &seat->kernel, err);
	json_decref(env);
	if (rc != 0) {
		gw_seat_free(seat);
		return rc;
	}
	gw_metric[GW_M_KERNEL_STARTS]++;
	c->starts++;
	c->unasked = 0;
	c->asked = 0;
	c->surrounded = false;
	seat->ctx = c;
	seat->home = gw_home_hold(c->sandbox->folder);
	c->seat = seat;
	list_add_before(&core->seats, &seat->node);
	return 0;
}

/* The one place that decides what a context does next. */
static void
on_next(void *arg)
{
	struct gw_ctx *c = arg;
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
	    start_kernel(c, &err) != 0) {
		finish_all(c, GW_DONE_KERNEL_DIED, err.text);
		tell_waits(c, -EIO, err.text);
		return;
	}
	if (ex != NULL && km_kernel_state(c->seat->kernel) == KM_READY)
		gw_exec_run(ex, c->seat->kernel);
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
	rc = start_kernel(c, err);
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

struct gw_ctx *
gw_ctx_find(struct gw_sandbox *sb, const char *id)
{
	struct list *it;
	struct list *tmp;

	list_each (it, tmp, &sb->contexts) {
		struct gw_ctx *c = list_entry(it, struct gw_ctx, node);

		if (strcmp(c->id.id, id) == 0 ||
		    (strcmp(id, "default") == 0 && is_very_default(c)))
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
	leave_seat(c);
	tell_waits(c, -EIO, why);
	loop_task_cancel(&c->next);
	list_del(&c->node);
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
	leave_seat(c);
	loop_task_post(&c->next); /* who waits is told also when this fails */
	return start_kernel(c, err);
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
	enum km_kstate st;

	if (c->seat == NULL)
		return NULL;
	st = km_kernel_state(c->seat->kernel);
	return st == KM_READY || st == KM_BUSY ? c->seat->kernel : NULL;
}

struct gw_exec *
gw_ctx_running(const struct gw_ctx *c)
{
	struct gw_exec *ex = first(c);

	return ex != NULL && ex->state != GW_EXEC_QUEUED ? ex : NULL;
}

struct gw_exec *
gw_ctx_first(const struct gw_ctx *c)
{
	return first(c);
}

const char *
gw_ctx_state(const struct gw_ctx *c)
{
	return c->seat == NULL ? "none" : km_kstate_name(km_kernel_state(c->seat->kernel));
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
gw_ctx_speaks(const struct gw_ctx *c, const char *language)
{
	return strcmp(c->language, canonical(c->core, language)) == 0;
}

struct gw_sandbox *
gw_ctx_sandbox(const struct gw_ctx *c)
{
	return c->sandbox;
}
