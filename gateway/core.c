/* gateway/core.c - see gateway/core.h. */
#include "gateway/core.h"

#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "gateway/context.h"
#include "gateway/exec.h"
#include "gateway/language.h"
#include "gateway/metrics.h"
#include "gateway/pool.h"
#include "gateway/rundir.h"
#include "gateway/sandbox.h"
#include "gateway/seat.h"
#include "gateway/warm.h"
#include "kernelmgr/launch_local.h"
#include "kernelmgr/launch_zygote.h"
#include "kernelmgr/reaper.h"
#include "kernelmgr/spec.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define TIME_END_MS  UINT64_C(253402300799999) /* the year 9999 */
#define STARTING_MIN 4

void
gw_core_time(uint64_t msec, char out[32])
{
	struct timeval tv;
	struct tm tm;
	char day[24];
	uint64_t at;

	(void)gettimeofday(&tv, NULL);
	at = (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000;
	at = msec < TIME_END_MS - at ? at + msec : TIME_END_MS;
	tv.tv_sec = (time_t)(at / 1000);
	(void)gmtime_r(&tv.tv_sec, &tm);
	(void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out, 32, "%s.%03dZ", day, (int)(at % 1000));
}

/* --- kept executions -------------------------------------------------------------------- */

static void on_expire(void *arg);

static void
arm_expiry(struct gw_core *core)
{
	if (core->expire == NULL)
		core->expire = loop_timer_new(core->lp, 1000, on_expire, core);
}

/* What the kept ones hold; 0 where all logs together are within the limit. */
static size_t
kept_bytes(const struct gw_core *core)
{
	size_t sum = 0;
	struct list *it;
	struct list *tmp;

	if (gw_metric[GW_M_EVENTS_BYTES] <= (int64_t)core->cfg->keep_executions_bytes)
		return 0;
	list_each (it, tmp, &core->kept)
		sum += list_entry(it, struct gw_exec, node)->log.bytes;
	return sum;
}

static void
forget(struct gw_core *core, struct gw_exec *ex)
{
	core->kept_n--;
	gw_metric[GW_M_EXECUTIONS_KEPT]--;
	gw_exec_free(ex);
}

/* Forget the oldest ones; never one that somebody still reads. */
static void
trim(void *arg)
{
	struct gw_core *core = arg;
	const struct gw_config *cfg = core->cfg;
	uint64_t now = loop_now_ms(core->lp);
	size_t bytes = kept_bytes(core);
	struct list *it;
	struct list *tmp;

	list_each (it, tmp, &core->kept) {
		struct gw_exec *ex = list_entry(it, struct gw_exec, node);
		bool old = now - ex->started_ms >= cfg->keep_executions_ms;

		if (!old && core->kept_n <= cfg->keep_executions &&
		    bytes <= cfg->keep_executions_bytes)
			break;
		if (!list_empty(&ex->sinks))
			continue;
		bytes -= bytes > ex->log.bytes ? ex->log.bytes : bytes;
		forget(core, ex);
	}
}

static void
on_expire(void *arg)
{
	struct gw_core *core = arg;

	loop_timer_free(core->expire);
	core->expire = NULL;
	trim(core);
	if (!list_empty(&core->kept))
		arm_expiry(core);
}

void
gw_core_keep(struct gw_core *core, struct gw_exec *ex)
{
	ex->started_ms = loop_now_ms(core->lp);
	list_add_before(&core->kept, &ex->node);
	core->kept_n++;
	gw_metric[GW_M_EXECUTIONS_KEPT]++;
	if (core->kept_n > core->cfg->keep_executions ||
	    gw_metric[GW_M_EVENTS_BYTES] > (int64_t)core->cfg->keep_executions_bytes)
		loop_task_post(&core->trim);
	arm_expiry(core);
}

static struct gw_exec *
find_in(struct list *head, const char *id)
{
	struct list *it;
	struct list *tmp;

	list_each (it, tmp, head) {
		struct gw_exec *ex = list_entry(it, struct gw_exec, node);

		if (strcmp(ex->id.id, id) == 0)
			return ex;
	}
	return NULL;
}

static struct gw_exec *
find_in_contexts(struct gw_sandbox *sb, const char *id)
{
	struct gw_exec *ex = NULL;
	struct list *it;
	struct list *tmp;

	list_each (it, tmp, &sb->contexts) {
		ex = find_in(&list_entry(it, struct gw_ctx, node)->queue, id);
		if (ex != NULL)
			break;
	}
	return ex;
}

struct gw_exec *
gw_exec_find(struct gw_core *core, const char *id)
{
	struct gw_exec *ex = find_in(&core->kept, id);
	struct list *it;
	struct list *tmp;

	list_each (it, tmp, &core->sandboxes) {
		if (ex != NULL)
			break;
		ex = find_in_contexts(list_entry(it, struct gw_sandbox, node), id);
	}
	return ex;
}

/* --- its life --------------------------------------------------------------------------- */

/* A start is mostly the processor's work: more than a few at once make each of them slow. */
static unsigned
starting_max(void)
{
	long n = 2 * sysconf(_SC_NPROCESSORS_ONLN);

	return n > STARTING_MIN ? (unsigned)n : STARTING_MIN;
}

static void
open_launchers(struct gw_core *core)
{
	struct km_launch_zygote_config cfg = {
	    .lp = core->lp,
	    .reaper = core->reaper,
	    .prefix = core->cfg->prefix,
	    .preload = core->cfg->zygote_preload,
	    .starting_max = starting_max(),
	};

	core->local = km_launch_local_new(core->lp, core->reaper, core->cfg->prefix);
	core->launcher = cfg.local = core->local;
	if (strcmp(core->cfg->launcher, "zygote") == 0)
		core->launcher = core->zygote = km_launch_zygote_new(&cfg);
}

static int
open_core(struct gw_core *core, struct err *err)
{
	const struct gw_sandbox_request rq = {.id = GW_SANDBOX_DEFAULT};
	struct gw_sandbox *sb;
	int rc;

	rc = gw_languages_load(core->cfg->languages_file, &core->languages, err);
	if (rc == 0)
		rc = gw_rundir_new(core->cfg->state_dir, &core->rundir, err);
	if (rc == 0)
		rc = gw_sandbox_new(core, &rq, &sb, err);
	if (rc != 0)
		return rc;
	core->warm = gw_warm_new(sb);
	return 0;
}

int
gw_core_new(struct loop *lp, const struct gw_config *cfg, struct gw_auth *auth,
            struct gw_core **ret, struct err *err)
{
	struct gw_core *core = mem_new(sizeof(*core));
	int rc;

	core->lp = lp;
	core->cfg = cfg;
	core->auth = auth;
	loop_task_init(&core->trim, lp, trim, core);
	list_init(&core->sandboxes);
	list_init(&core->kept);
	list_init(&core->seats);
	core->specs = km_spec_path_new(cfg->prefix);
	core->reaper = km_reaper_new(lp);
	open_launchers(core);
	core->pool = gw_pool_new(core);
	rc = open_core(core, err);
	if (rc != 0) {
		gw_core_free(core);
		return rc;
	}
	*ret = core;
	return 0;
}

void
gw_core_set_config(struct gw_core *core, const struct gw_config *cfg)
{
	core->cfg = cfg;
	gw_pool_wake(core->pool);
}

void
gw_core_drain(struct gw_core *core)
{
	core->draining = true;
	gw_warm_free(core->warm);
	core->warm = NULL;
	gw_pool_wake(core->pool);
}

size_t
gw_core_executions(const struct gw_core *core)
{
	size_t n =
	    (size_t)(gw_metric[GW_M_EXECUTIONS_QUEUED] + gw_metric[GW_M_EXECUTIONS_RUNNING]);
	const struct list *it;

	n += core->commands_n;
	for (it = core->kept.next; it != &core->kept; it = it->next)
		n += !list_empty(&list_entry(it, struct gw_exec, node)->sinks);
	return n;
}

size_t
gw_core_kernels(const struct gw_core *core)
{
	const struct list *it;
	size_t n = 0;

	for (it = core->seats.next; it != &core->seats; it = it->next)
		n++;
	return n;
}

bool
gw_core_has_processes(const struct gw_core *core)
{
	return km_reaper_pending(core->reaper) > 0;
}

void
gw_core_print_metrics(const struct gw_core *core, struct buf *b)
{
	gw_metric[GW_M_ZYGOTES] =
	    core->zygote != NULL ? km_launch_zygote_count(core->zygote) : 0;
	gw_metrics_print(b);
}

void
gw_core_stop(struct gw_core *core, const char *why)
{
	struct list *it;
	struct list *tmp;

	gw_core_drain(core);
	list_each (it, tmp, &core->sandboxes)
		gw_sandbox_stop(list_entry(it, struct gw_sandbox, node), why);
	if (core->zygote != NULL)
		km_launch_zygote_stop(core->zygote);
}

void
gw_core_free(struct gw_core *core)
{
	if (core == NULL)
		return;
	core->draining = true;
	gw_warm_free(core->warm);
	while (!list_empty(&core->sandboxes))
		gw_sandbox_free(list_entry(core->sandboxes.next, struct gw_sandbox, node),
		                "the gateway is stopping");
	gw_pool_free(core->pool);
	core->pool = NULL;
	while (!list_empty(&core->seats))
		gw_seat_free(gw_seat_at(core->seats.next));
	while (!list_empty(&core->kept))
		forget(core, list_entry(core->kept.next, struct gw_exec, node));
	loop_timer_free(core->expire);
	loop_task_cancel(&core->trim);
	km_launch_zygote_free(core->zygote);
	km_launch_local_free(core->local);
	km_reaper_free(core->reaper);
	km_spec_path_free(core->specs);
	gw_languages_free(core->languages);
	gw_rundir_free(core->rundir);
	table_fini(&core->sandbox_ids);
	table_fini(&core->sandbox_names);
	table_fini(&core->contexts);
	mem_free(core);
}

const char *
gw_core_not_ready(const struct gw_core *core)
{
	if (core->draining)
		return "the gateway is stopping";
	return gw_warm_is_done(core->warm) ? NULL
	                                   : "the default Python kernel has not answered yet";
}

static void
add_spec(void *arg, const struct km_spec *spec)
{
	json_array_append_new(arg,
	                      json_pack("{s:s, s:s, s:s}", "name", spec->name, "display_name",
	                                spec->display_name, "language", spec->language));
}

json_t *
gw_core_kernelspecs(const struct gw_core *core)
{
	json_t *list = json_array();

	km_spec_each(core->specs, add_spec, list);
	return list;
}

void
gw_core_unmet_versions(const struct gw_core *core, const json_t *env, struct buf *ret)
{
	gw_language_unmet(core->languages, core->specs, env, ret);
}
