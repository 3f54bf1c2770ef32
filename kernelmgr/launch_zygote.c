/* kernelmgr/launch_zygote.c - see kernelmgr/launch_zygote.h; a job's life is in zygote_job.c. */
#include "kernelmgr/launch_zygote.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>

#include "kernelmgr/cmdline.h"
#include "kernelmgr/launch_zygote_impl.h"
#include "kernelmgr/spec.h"
#include "kernelmgr/zygotes.h"
#include "wire/base/err.h"
#include "wire/base/list.h"
#include "wire/base/mem.h"

#define BOOT_MS  30000
#define REPLY_MS 10000
#define RETRY_MS 1000
#define START_MS 5000

/* --- kinds ---------------------------------------------------------------------------------- */

static void
kind_free(struct kind *kd)
{
	list_del(&kd->node);
	km_zygotes_free(kd->zs);
	mem_free(kd);
}

/* Returns true if kd was left, and nothing of it was left: it is gone. */
static bool
kind_is_over(struct kind *kd)
{
	if (!kd->leaving || kd->jobs_n > 0 || km_zygotes_count(kd->zs) > 0)
		return false;
	kind_free(kd);
	return true;
}

/* What waits for its zygotes is spawned when they have ended. */
static void
kind_leave(struct kind *kd)
{
	kd->leaving = true;
	km_zygotes_end(kd->zs);
	(void)kind_is_over(kd);
}

/* The zygotes of what a kernelspec was before it changed go. */
static struct kind *
kind_of(struct launcher *l, const struct km_spec *spec, const char *domain)
{
	struct list *it, *tmp;
	struct kind *kd;

	list_each (it, tmp, &l->kinds) {
		kd = list_entry(it, struct kind, node);
		if (kd->leaving || !km_zygotes_are_named(kd->zs, spec, domain))
			continue;
		if (km_zygotes_are_like(kd->zs, spec))
			return kd;
		kind_leave(kd);
	}
	kd = mem_new(sizeof(*kd));
	kd->l = l;
	kd->zs = km_zygotes_new(&l->cfg, spec, domain, km_launch_zygote_changed, kd);
	list_add_before(&l->kinds, &kd->node);
	return kd;
}

/* A domain's zygote goes with its last kernel; the gateway's own stays. */
void
km_launch_zygote_release(struct kind *kd)
{
	if (kd == NULL || --kd->jobs_n > 0 || kind_is_over(kd))
		return;
	if (km_zygotes_domain(kd->zs) != NULL)
		kind_leave(kd);
}

/* True if a job may wait for a zygote: one serves, or loads and another was spawned meanwhile. */
static bool
may_wait(struct kind *kd)
{
	enum km_zygotes_state st = km_zygotes_state(kd->zs);

	if (st == KM_ZYGOTES_NONE && km_zygotes_want(kd->zs)) {
		st = KM_ZYGOTES_LOADING;
		kd->spared = false;
	}
	if (st == KM_ZYGOTES_LOADING && !kd->spared) {
		kd->spared = true;
		return false;
	}
	return st != KM_ZYGOTES_NONE;
}

/* --- the line ------------------------------------------------------------------------------- */

void
km_launch_zygote_pump(struct launcher *l)
{
	struct list *it, *tmp;

	list_each (it, tmp, &l->line) {
		struct km_job *job = list_entry(it, struct km_job, node);
		int rc;

		if (l->starting_n >= l->starting_max)
			break;
		if (km_zygotes_state(job->kind->zs) != KM_ZYGOTES_SERVING)
			continue;
		rc = km_zygote_job_ask(job);
		if (rc != 0 && rc != -EAGAIN)
			km_zygote_job_spawn_later(job);
	}
}

/* Nothing that waits for kd's zygotes waits in vain. */
void
km_launch_zygote_changed(void *arg)
{
	struct kind *kd = arg;
	struct launcher *l = kd->l;
	bool none = km_zygotes_state(kd->zs) == KM_ZYGOTES_NONE;
	struct list *it, *tmp;

	if (kind_is_over(kd))
		return;
	if (km_zygotes_state(kd->zs) != KM_ZYGOTES_LOADING)
		kd->spared = false;
	list_each (it, tmp, &l->line) {
		struct km_job *job = list_entry(it, struct km_job, node);

		if (none && job->kind == kd)
			km_zygote_job_spawn_later(job);
	}
	km_launch_zygote_pump(l);
}

/* --- what kernel.c calls -------------------------------------------------------------------- */

int
km_launch_zygote_start(struct km_launcher *launcher, const struct km_launch *what,
                       km_exited_fn *exited, void *arg, struct km_job **ret, struct err *err)
{
	struct launcher *l = (struct launcher *)launcher;
	struct km_job *job = km_zygote_job_new(l, what, exited, arg);
	bool waits = false;
	int rc = 0;

	if (what->spec->zygote != NULL && !l->stopping &&
	    km_spec_env_is_late(what->spec, what->env)) {
		job->kind = kind_of(l, what->spec, what->domain);
		job->kind->jobs_n++;
		waits = may_wait(job->kind);
	}
	if (waits)
		rc = km_zygote_job_prepare(job, err);
	if (rc == 0 && job->packet == NULL)
		rc = km_zygote_job_spawn(job, err);
	if (rc != 0) {
		km_zygote_job_free(job);
		return rc;
	}
	if (job->state != LOCAL)
		km_zygote_job_wait(job);
	km_launch_zygote_pump(l);
	*ret = job;
	return 0;
}

/* --- its own life --------------------------------------------------------------------------- */

struct km_launcher *
km_launch_zygote_new(const struct km_launch_zygote_config *cfg)
{
	struct launcher *l = mem_new(sizeof(*l));

	l->base.ops = &km_zygote_job_ops;
	l->local = cfg->local;
	l->prefix = mem_strdup(cfg->prefix);
	l->preload = km_cmdline_copy(cfg->preload);
	l->starting_max = cfg->starting_max > 0 ? cfg->starting_max : 1;
	l->start_ms = cfg->start_ms > 0 ? cfg->start_ms : START_MS;
	l->cfg = (struct km_zygotes_config){
	    .lp = cfg->lp,
	    .reaper = cfg->reaper,
	    .prefix = l->prefix,
	    .preload = l->preload,
	    .boot_ms = cfg->boot_ms > 0 ? cfg->boot_ms : BOOT_MS,
	    .reply_ms = cfg->reply_ms > 0 ? cfg->reply_ms : REPLY_MS,
	    .retry_ms = cfg->retry_ms > 0 ? cfg->retry_ms : RETRY_MS,
	};
	list_init(&l->kinds);
	list_init(&l->line);
	list_init(&l->asked);
	return &l->base;
}

void
km_launch_zygote_free(struct km_launcher *launcher)
{
	struct launcher *l = (struct launcher *)launcher;

	if (l == NULL)
		return;
	assert(list_empty(&l->line));
	while (!list_empty(&l->asked)) {
		struct km_job *job = list_entry(l->asked.next, struct km_job, node);

		assert(job->exited == NULL);
		list_del(&job->ask.node);
		km_zygote_job_free(job);
	}
	while (!list_empty(&l->kinds))
		kind_free(list_entry(l->kinds.next, struct kind, node));
	km_cmdline_free(l->preload);
	mem_free(l->prefix);
	mem_free(l);
}

void
km_launch_zygote_warm(struct km_launcher *launcher, const struct km_spec *spec)
{
	struct launcher *l = (struct launcher *)launcher;
	struct kind *kd;

	if (spec->zygote == NULL || l->stopping)
		return;
	kd = kind_of(l, spec, NULL);
	if (km_zygotes_want(kd->zs))
		kd->spared = false;
}

void
km_launch_zygote_stop(struct km_launcher *launcher)
{
	struct launcher *l = (struct launcher *)launcher;
	struct list *it, *tmp;

	l->stopping = true;
	list_each (it, tmp, &l->line) {
		struct km_job *job = list_entry(it, struct km_job, node);

		km_zygote_job_stop(job);
	}
	list_each (it, tmp, &l->kinds)
		km_zygotes_end(list_entry(it, struct kind, node)->zs);
}

unsigned
km_launch_zygote_count(const struct km_launcher *launcher)
{
	const struct launcher *l = (const struct launcher *)launcher;
	struct list *it, *tmp;
	unsigned n = 0;

	list_each (it, tmp, &l->kinds)
		n += km_zygotes_count(list_entry(it, struct kind, node)->zs);
	return n;
}
