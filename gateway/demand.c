/* gateway/demand.c - see gateway/demand.h. */
#include "gateway/demand.h"

#include <stdbool.h>

void
gw_demand_init(struct gw_demand *d, struct loop *lp, loop_fn *shrank, void *arg)
{
	*d = (struct gw_demand){.lp = lp, .shrank = shrank, .arg = arg};
}

void
gw_demand_fini(struct gw_demand *d)
{
	loop_timer_free(d->quiet);
	d->quiet = NULL;
}

static void on_quiet(void *arg);

static void
watch(struct gw_demand *d)
{
	d->window_n = 0;
	d->quiet = loop_timer_new(d->lp, GW_DEMAND_QUIET_MS, on_quiet, d);
}

static void
on_quiet(void *arg)
{
	struct gw_demand *d = arg;

	gw_demand_fini(d);
	if (d->window_n > d->base) {
		watch(d);
		return;
	}
	d->target = d->base;
	d->shrank(d->arg);
}

void
gw_demand_set_base(struct gw_demand *d, size_t base)
{
	if (base == d->base)
		return;
	gw_demand_fini(d);
	d->base = d->target = base;
	d->asked_n = 0;
}

void
gw_demand_ask(struct gw_demand *d)
{
	const size_t max = d->base * GW_DEMAND_GROWTH;

	d->window_n++;
	if (++d->asked_n <= d->target || d->target >= max)
		return;
	d->asked_n = 0;
	d->target *= 2;
	if (d->quiet == NULL)
		watch(d);
}

void
gw_demand_met(struct gw_demand *d)
{
	d->asked_n = 0;
}
