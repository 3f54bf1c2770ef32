/* gateway/seat.c - see gateway/seat.h. */
#include "gateway/seat.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "gateway/core.h"
#include "gateway/metrics.h"
#include "gateway/pool.h"
#include "gateway/rundir.h"
#include "gateway/sandbox.h"
#include "kernelmgr/kernel.h"
#include "kernelmgr/spec.h"
#include "wire/base/err.h"
#include "wire/base/list.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define ASSIGN_MS 5000 /* a kernel that has not taken its directory by then hangs */

struct gw_seat {
	struct list node; /* in the core */
	struct gw_core *core;
	const struct gw_seat_ops *ops;
	void *holder; /* NULL: it left */
	struct km_spec *spec;
	struct km_kernel *kernel;
	struct gw_home *home;      /* held, or NULL */
	struct loop_timer *assign; /* pending: the kernel is given what it needs; or NULL */
};

static void
stop_clock(struct gw_seat *seat)
{
	loop_timer_free(seat->assign);
	seat->assign = NULL;
}

/* --- the kernel's callbacks --------------------------------------------------------------- */

static void
on_ready(void *arg)
{
	struct gw_seat *seat = arg;

	gw_pool_wake(seat->core->pool);
	if (seat->holder != NULL)
		seat->ops->ready(seat->holder);
}

/* The kernel is no good; its process goes, and frees the seat. */
static void
refuse(struct gw_seat *seat, const char *why)
{
	void *holder = seat->holder;

	stop_clock(seat);
	seat->holder = NULL;
	km_kernel_kill(seat->kernel);
	seat->ops->refused(holder, why);
}

static void
on_died(void *arg, bool started, const char *why)
{
	struct gw_seat *seat = arg;

	gw_metric[GW_M_KERNEL_DEATHS]++;
	gw_pool_wake(seat->core->pool);
	if (seat->assign != NULL)
		refuse(seat, why);
	else if (seat->holder != NULL)
		seat->ops->died(seat->holder, started, why);
	gw_seat_free(seat);
}

static void
on_stray(void *arg, const struct wire_msg *m)
{
	const struct gw_seat *seat = arg;

	if (seat->holder != NULL && seat->ops->stray != NULL)
		seat->ops->stray(seat->holder, m);
}

static const struct km_kernel_ops kernel_ops = {
    .ready = on_ready,
    .died = on_died,
    .stray = on_stray,
};

/* --- its life ----------------------------------------------------------------------------- */

int
gw_seat_new(struct gw_core *core, const struct gw_seat_plan *plan, struct gw_seat **ret,
            struct err *err)
{
	const struct km_kernel_config cfg = {
	    .lp = core->lp,
	    .launcher = core->launcher,
	    .spec = plan->spec,
	    .run_dir = gw_rundir_path(core->rundir),
	    .cwd = plan->cwd,
	    .env = plan->env,
	    .start_timeout_ms = core->cfg->start_timeout_ms,
	    .stop_grace_ms = core->cfg->stop_grace_ms,
	    .max_message_bytes = core->cfg->max_kernel_message_bytes,
	};
	struct gw_seat *seat;
	int rc;

	if (gw_core_kernels(core) >= 2 * core->cfg->max_contexts)
		return err_set(err, -EBUSY, "too many kernels of deleted contexts still end");
	seat = mem_new(sizeof(*seat));
	rc = km_kernel_start(&cfg, &kernel_ops, seat, &seat->kernel, err);
	if (rc != 0) {
		mem_free(seat);
		return rc;
	}
	gw_metric[GW_M_KERNEL_STARTS]++;
	seat->core = core;
	seat->spec = plan->spec;
	gw_seat_pass(seat, plan->ops, plan->holder);
	list_add_before(&core->seats, &seat->node);
	gw_pool_wake(core->pool);
	*ret = seat;
	return 0;
}

void
gw_seat_pass(struct gw_seat *seat, const struct gw_seat_ops *ops, void *holder)
{
	seat->ops = ops;
	seat->holder = holder;
}

static void
on_assigned(void *arg, int status, const char *why)
{
	struct gw_seat *seat = arg;

	if (seat->assign == NULL)
		return; /* it was left, or given up */
	if (status != 0) {
		refuse(seat, why);
		return;
	}
	stop_clock(seat);
	seat->ops->ready(seat->holder);
}

static void
on_late(void *arg)
{
	refuse(arg, "it did not take its directory and variables");
}

void
gw_seat_assign(struct gw_seat *seat, const char *cwd, json_t *env)
{
	assert(seat->assign == NULL && km_kernel_state(seat->kernel) == KM_READY);
	seat->assign = loop_timer_new(seat->core->lp, ASSIGN_MS, on_late, seat);
	km_kernel_assign(seat->kernel, cwd, env, on_assigned, seat);
}

void
gw_seat_hold_home(struct gw_seat *seat, struct gw_home *home)
{
	assert(seat->home == NULL);
	seat->home = gw_home_hold(home);
}

void
gw_seat_leave(struct gw_seat **seat)
{
	struct gw_seat *s = *seat;

	if (s == NULL)
		return;
	*seat = NULL;
	s->holder = NULL;
	if (s->assign != NULL)
		km_kernel_kill(s->kernel);
	else
		km_kernel_stop(s->kernel);
	stop_clock(s);
}

void
gw_seat_free(struct gw_seat *seat)
{
	stop_clock(seat);
	km_kernel_free(seat->kernel);
	km_spec_free(seat->spec);
	list_del(&seat->node);
	gw_home_release(seat->home);
	mem_free(seat);
}

struct km_kernel *
gw_seat_kernel(const struct gw_seat *seat)
{
	return seat->kernel;
}

struct km_kernel *
gw_seat_answering(const struct gw_seat *seat)
{
	enum km_kstate st = km_kernel_state(seat->kernel);

	return seat->assign == NULL && (st == KM_READY || st == KM_BUSY) ? seat->kernel : NULL;
}

const char *
gw_seat_state(const struct gw_seat *seat)
{
	return km_kstate_name(seat->assign != NULL ? KM_STARTING
	                                           : km_kernel_state(seat->kernel));
}

const struct km_spec *
gw_seat_spec(const struct gw_seat *seat)
{
	return seat->spec;
}

struct gw_seat *
gw_seat_at(struct list *node)
{
	return list_entry(node, struct gw_seat, node);
}
