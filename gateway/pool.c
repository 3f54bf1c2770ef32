/* gateway/pool.c - see gateway/pool.h.
 *
 * look() compares what a stock holds with what it should hold and does the next step; it runs at
 * the end of a turn in which something changed.  Everything else only writes down what happened.
 */
#include "gateway/pool.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "gateway/core.h"
#include "gateway/demand.h"
#include "gateway/language.h"
#include "gateway/metrics.h"
#include "gateway/pss.h"
#include "gateway/seat.h"
#include "kernelmgr/kernel.h"
#include "kernelmgr/launch_zygote.h"
#include "kernelmgr/spec.h"
#include "wire/base/err.h"
#include "wire/base/list.h"
#include "wire/base/log.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define PLACE        "/"  /* where they wait: it is nobody's, and does not go */
#define STARTING_MAX 2    /* at once, of one stock */
#define SETTLE_MS    30   /* who took one uses it first, then the next one starts */
#define YIELD_MS     5000 /* without a start after others needed the room */
#define RETRY_MS     1000 /* after a failed start; doubled each time */
#define RETRY_MAX_MS 60000
#define LOST_MS      10 /* the same after one died that waited */
#define LOST_MAX_MS  1000

static uint64_t
pool_python(const struct gw_config *cfg)
{
	return cfg->pool_python;
}

/* Which kernels wait: those of a language's kernelspec, so many as the configuration says. */
static const struct {
	const char *language;
	uint64_t (*n)(const struct gw_config *cfg);
} plans[] = {
    {GW_LANGUAGE_DEFAULT, pool_python},
};

#define STOCKS (sizeof(plans) / sizeof(plans[0]))

/* The kernels of one kernelspec. */
struct stock {
	struct gw_pool *pool;
	struct list kernels;     /* struct pooled, oldest first */
	char *name;              /* of the kernelspec; NULL: none was tried */
	size_t ready_n;          /* of kernels */
	size_t starting_n;       /* the others */
	struct gw_demand demand; /* its target: how many there should be */
	size_t bytes;            /* that the last measured one takes; 0: not known */
	unsigned failed_n;       /* starts in a row */
	unsigned lost_n;         /* that died since one was taken */
	struct loop_timer *rest; /* pending: none is started; or NULL */
};

struct pooled {
	struct list node;
	struct stock *stock;
	struct gw_seat *seat;
	bool ready;
	struct gw_pss *measure; /* in flight, or NULL */
	size_t bytes;           /* 0: not known yet */
};

struct gw_pool {
	struct gw_core *core;
	struct loop_task look;
	struct stock stocks[STOCKS];
};

/* --- one kernel --------------------------------------------------------------------------- */

static struct pooled *
last(const struct stock *s)
{
	return list_entry(s->kernels.prev, struct pooled, node);
}

/* Take it out and release it; its seat is the caller's. */
static struct gw_seat *
unpool(struct pooled *k)
{
	struct gw_seat *seat = k->seat;

	gw_pss_cancel(k->measure);
	if (k->ready) {
		k->stock->ready_n--;
		gw_metric[GW_M_POOL_KERNELS]--;
	} else {
		k->stock->starting_n--;
	}
	list_del(&k->node);
	mem_free(k);
	return seat;
}

static void
drop(struct pooled *k)
{
	struct gw_seat *seat = unpool(k);

	gw_seat_leave(&seat);
}

/* --- pauses ------------------------------------------------------------------------------- */

static void
on_rest(void *arg)
{
	struct stock *s = arg;

	loop_timer_free(s->rest);
	s->rest = NULL;
	gw_pool_wake(s->pool);
}

/* Start none for msec. */
static void
rest(struct stock *s, uint64_t msec)
{
	loop_timer_free(s->rest);
	s->rest = loop_timer_new(s->pool->core->lp, msec, on_rest, s);
}

/* Said once, until one starts. */
static void
start_failed(struct stock *s, const char *why)
{
	if (s->failed_n++ == 0)
		log_warn(NULL, "no kernel can be started ahead, trying again: %s", why);
	rest(s, loop_backoff_ms(RETRY_MS, s->failed_n, RETRY_MAX_MS));
}

/* --- the kernel's callbacks --------------------------------------------------------------- */

static void
on_measured(void *arg, size_t bytes)
{
	struct pooled *k = arg;

	k->measure = NULL;
	k->bytes = bytes > 0 ? bytes : 1;
	k->stock->bytes = k->bytes;
	gw_pool_wake(k->stock->pool);
}

static void
on_ready(void *arg)
{
	struct pooled *k = arg;
	struct stock *s = k->stock;

	k->ready = true;
	s->starting_n--;
	s->ready_n++;
	s->failed_n = 0;
	gw_metric[GW_M_POOL_KERNELS]++;
	k->measure = gw_pss_read(s->pool->core->lp, km_kernel_pid(gw_seat_kernel(k->seat)),
	                         on_measured, k);
}

static void
on_died(void *arg, bool started, const char *why)
{
	struct pooled *k = arg;
	struct stock *s = k->stock;

	(void)unpool(k);
	if (!started) {
		start_failed(s, why);
		return;
	}
	log_debug(NULL, "a kernel that was started ahead died: %s", why);
	rest(s, loop_backoff_ms(LOST_MS, ++s->lost_n, LOST_MAX_MS));
}

static const struct gw_seat_ops seat_ops = {.ready = on_ready, .died = on_died};

/* --- kernelspecs -------------------------------------------------------------------------- */

static bool
is_same_list(char *const *a, char *const *b)
{
	while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
		a++;
		b++;
	}
	return *a == NULL && *b == NULL;
}

/* True if a kernel started from a could have been started from b. */
static bool
is_same(const struct km_spec *a, const struct km_spec *b)
{
	return strcmp(a->dir, b->dir) == 0 && is_same_list(a->argv, b->argv) &&
	       json_equal(a->env, b->env) && json_equal(a->metadata, b->metadata) &&
	       a->interrupt_mode == b->interrupt_mode && a->tcp == b->tcp;
}

/* The kernelspec is spec: those of another, or of what it was, go. */
static void
drop_others(struct stock *s, const struct km_spec *spec)
{
	struct list *it;
	struct list *tmp;

	list_each (it, tmp, &s->kernels) {
		struct pooled *k = list_entry(it, struct pooled, node);

		if (!is_same(gw_seat_spec(k->seat), spec))
			drop(k);
	}
	if (s->name != NULL && strcmp(s->name, spec->name) == 0)
		return;
	mem_free(s->name);
	s->name = mem_strdup(spec->name);
}

/* Read the kernelspec.  Returns 0 with *ret owned by the caller, or with err -ENOENT, -EINVAL, or
 * -ENOTSUP (its kernels cannot be started ahead). */
static int
read_spec(const struct stock *s, struct km_spec **ret, struct err *err)
{
	const struct gw_core *core = s->pool->core;
	const char *language = plans[s - s->pool->stocks].language;
	struct km_spec *spec;
	int rc = gw_language_choose(core->languages, core->specs, language, NULL, &spec, err);

	if (rc != 0)
		return rc;
	if (!spec->assign) {
		km_spec_free(spec);
		return err_set(err, -ENOTSUP, "its kernelspec says no `assign`");
	}
	gw_language_adapt(gw_languages_find(core->languages, language), spec);
	*ret = spec;
	return 0;
}

/* --- how many ----------------------------------------------------------------------------- */

static size_t
count(const struct stock *s)
{
	return s->ready_n + s->starting_n;
}

/* What they take, as far as that is known; *ret_unknown_n do not say. */
static size_t
total(const struct gw_pool *p, size_t *ret_unknown_n)
{
	size_t sum = 0;

	*ret_unknown_n = 0;
	for (size_t i = 0; i < STOCKS; i++) {
		const struct stock *s = &p->stocks[i];
		const struct list *it;

		for (it = s->kernels.next; it != &s->kernels; it = it->next) {
			size_t bytes = list_entry(it, struct pooled, node)->bytes;

			sum += bytes > 0 ? bytes : s->bytes;
			*ret_unknown_n += bytes == 0 && s->bytes == 0;
		}
	}
	return sum;
}

/* True if one more is within pool_bytes; while nobody knows how large they are, one by one. */
static bool
has_memory(const struct stock *s)
{
	size_t unknown_n;
	size_t sum = total(s->pool, &unknown_n);
	uint64_t max = s->pool->core->cfg->pool_bytes;

	return unknown_n == 0 && sum < max && s->bytes <= max - sum;
}

/* Contexts that may still be made, for all stocks: more kernels than that are of no use. */
static size_t
room(const struct gw_pool *p)
{
	uint64_t max = p->core->cfg->max_contexts;
	uint64_t n = (uint64_t)gw_metric[GW_M_CONTEXTS];

	return n < max ? (size_t)(max - n) : 0;
}

static size_t
others(const struct stock *s)
{
	size_t n = 0;

	for (size_t i = 0; i < STOCKS; i++)
		if (&s->pool->stocks[i] != s)
			n += count(&s->pool->stocks[i]);
	return n;
}

/* --- looking ------------------------------------------------------------------------------ */

/* The newest go first: of those that start, nobody had any use yet. */
static void
trim(struct stock *s)
{
	size_t max = room(s->pool);
	size_t taken = others(s);
	size_t unknown_n;

	max = max > taken ? max - taken : 0;
	while (count(s) > s->demand.target || count(s) > max)
		drop(last(s));
	while (count(s) > 0 && total(s->pool, &unknown_n) > s->pool->core->cfg->pool_bytes)
		drop(last(s));
}

/* True if somebody waits for a kernel that starts. */
static bool
is_needed(const struct gw_pool *p)
{
	size_t own = 0;

	for (size_t i = 0; i < STOCKS; i++)
		own += p->stocks[i].starting_n;
	return km_kernel_count(KM_STARTING) > own;
}

/* Start one, or rest. */
static void
start_one(struct stock *s)
{
	struct gw_seat_plan plan = {.cwd = PLACE, .ops = &seat_ops};
	struct pooled *k;
	struct err err;
	int rc = read_spec(s, &plan.spec, &err);

	if (rc != 0) {
		log_debug(NULL, "no kernel is started ahead: %s", err.text);
		rest(s, RETRY_MAX_MS);
		return;
	}
	drop_others(s, plan.spec);
	plan.holder = k = mem_new(sizeof(*k));
	k->stock = s;
	rc = gw_seat_new(s->pool->core, &plan, &k->seat, &err);
	if (rc != 0) {
		km_spec_free(plan.spec);
		mem_free(k);
		start_failed(s, err.text);
		return;
	}
	s->starting_n++;
	list_add_before(&s->kernels, &k->node);
}

static void
look_at(struct stock *s)
{
	const struct gw_core *core = s->pool->core;
	uint64_t base = plans[s - s->pool->stocks].n(core->cfg);

	gw_demand_set_base(&s->demand, core->draining ? 0 : (size_t)base);
	trim(s);
	if (s->ready_n >= s->demand.target)
		gw_demand_met(&s->demand);
	while (s->rest == NULL && !is_needed(s->pool) && s->starting_n < STARTING_MAX &&
	       count(s) < s->demand.target && count(s) + others(s) < room(s->pool) &&
	       has_memory(s))
		start_one(s);
}

static void
look(void *arg)
{
	struct gw_pool *p = arg;

	for (size_t i = 0; i < STOCKS; i++)
		look_at(&p->stocks[i]);
}

/* --- its life ----------------------------------------------------------------------------- */

static void
on_shrank(void *arg)
{
	const struct stock *s = arg;

	gw_pool_wake(s->pool);
}

struct gw_pool *
gw_pool_new(struct gw_core *core)
{
	struct gw_pool *p = mem_new(sizeof(*p));

	p->core = core;
	loop_task_init(&p->look, core->lp, look, p);
	for (size_t i = 0; i < STOCKS; i++) {
		struct stock *s = &p->stocks[i];

		s->pool = p;
		list_init(&s->kernels);
		gw_demand_init(&s->demand, core->lp, on_shrank, s);
	}
	gw_pool_wake(p);
	return p;
}

void
gw_pool_free(struct gw_pool *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < STOCKS; i++) {
		struct stock *s = &p->stocks[i];

		while (count(s) > 0)
			gw_seat_free(unpool(last(s)));
		loop_timer_free(s->rest);
		gw_demand_fini(&s->demand);
		mem_free(s->name);
	}
	loop_task_cancel(&p->look);
	mem_free(p);
}

/* The oldest one that answers: the end of one is told a turn after it was seen. */
static struct pooled *
first_ready(const struct stock *s)
{
	struct list *it;
	struct list *tmp;

	list_each (it, tmp, &s->kernels) {
		struct pooled *k = list_entry(it, struct pooled, node);

		if (k->ready && km_kernel_state(gw_seat_kernel(k->seat)) == KM_READY)
			return k;
	}
	return NULL;
}

static struct stock *
find(struct gw_pool *p, const char *name)
{
	for (size_t i = 0; i < STOCKS; i++) {
		struct stock *s = &p->stocks[i];

		if (s->name != NULL && strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

struct gw_seat *
gw_pool_take(struct gw_pool *p, const struct km_spec *spec, const json_t *env)
{
	struct stock *s = find(p, spec->name);
	struct pooled *k;

	if (s == NULL || s->demand.base == 0)
		return NULL;
	drop_others(s, spec);
	if (!spec->assign || !km_spec_env_is_late(spec, env))
		return NULL;
	gw_demand_ask(&s->demand);
	gw_pool_wake(p);
	k = first_ready(s);
	if (k == NULL) {
		gw_metric[GW_M_POOL_MISSES]++;
		return NULL;
	}
	gw_metric[GW_M_POOL_HITS]++;
	s->lost_n = 0;
	if (s->rest == NULL)
		rest(s, SETTLE_MS);
	return unpool(k);
}

void
gw_pool_wake(struct gw_pool *p)
{
	if (p != NULL)
		loop_task_post(&p->look);
}

bool
gw_pool_yield(struct gw_pool *p)
{
	bool any = false;

	for (size_t i = 0; i < STOCKS; i++) {
		struct stock *s = &p->stocks[i];

		any = any || count(s) > 0;
		while (count(s) > 0)
			gw_seat_free(unpool(last(s)));
		rest(s, YIELD_MS);
	}
	return any;
}
