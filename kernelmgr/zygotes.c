/* kernelmgr/zygotes.c - see kernelmgr/zygotes.h. */
#include "kernelmgr/zygotes.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "kernelmgr/cmdline.h"
#include "kernelmgr/spec.h"
#include "kernelmgr/zygote.h"
#include "wire/base/err.h"
#include "wire/base/list.h"
#include "wire/base/log.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define RETRY_MAX_MS 60000

enum role {
	LOADING,
	SERVING,
	LEAVING /* it finishes what it was asked for */
};

struct member {
	struct list node;
	struct km_zygotes *zs;
	struct km_zygote *z;
	enum role role;
};

struct km_zygotes {
	const struct km_zygotes_config *cfg; /* borrowed */
	struct km_spec *spec;                /* what starts a zygote needs of it */
	char *domain;
	struct list members;
	bool ending, bloated;     /* bloated: the one that serves is */
	unsigned failures_n;      /* in a row that forked nothing */
	struct loop_timer *retry; /* pending: none is started before */
	void (*changed)(void *arg);
	void *arg;
};

static struct member *
find(const struct km_zygotes *zs, enum role role)
{
	struct list *it, *tmp;

	list_each (it, tmp, &zs->members) {
		struct member *m = list_entry(it, struct member, node);

		if (m->role == role)
			return m;
	}
	return NULL;
}

/* --- what they are for ---------------------------------------------------------------------- */

static bool
is_same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool
km_zygotes_are_named(const struct km_zygotes *zs, const struct km_spec *spec,
                     const char *domain)
{
	return strcmp(zs->spec->name, spec->name) == 0 && is_same_text(zs->domain, domain);
}

bool
km_zygotes_are_like(const struct km_zygotes *zs, const struct km_spec *spec)
{
	char *const *a = zs->spec->zygote, *const *b = spec->zygote;

	while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
		a++;
		b++;
	}
	return *a == NULL && *b == NULL && strcmp(zs->spec->dir, spec->dir) == 0 &&
	       json_equal(zs->spec->env, spec->env);
}

const char *
km_zygotes_domain(const struct km_zygotes *zs)
{
	return zs->domain;
}

/* --- their lives ---------------------------------------------------------------------------- */

static bool boot(struct km_zygotes *zs);

static void
on_ready(void *arg)
{
	struct member *m = arg, *before = find(m->zs, SERVING);

	if (before != NULL) {
		before->role = LEAVING;
		km_zygote_retire(before->z);
	}
	m->role = SERVING;
	m->zs->bloated = false;
	m->zs->changed(m->zs->arg);
}

static void
on_room(void *arg)
{
	const struct member *m = arg;

	m->zs->changed(m->zs->arg);
}

static void
on_bloated(void *arg)
{
	const struct member *m = arg;
	struct km_zygotes *zs = m->zs;

	if (m->role != SERVING)
		return;
	zs->bloated = true;
	log_info(km_zygote_id(m->z), "grew to more than twice its size: another takes over");
	if (find(zs, LOADING) == NULL)
		(void)boot(zs);
}

/* True if it forked kernels: such a one is followed by the next at once. */
static bool
was_useful(const struct member *m)
{
	return m->role == SERVING && km_zygote_forks(m->z) > 0;
}

static void
stop_retry(struct km_zygotes *zs)
{
	loop_timer_free(zs->retry);
	zs->retry = NULL;
}

static void
on_retry(void *arg)
{
	struct km_zygotes *zs = arg;

	stop_retry(zs);
	if (!km_zygotes_want(zs) && zs->bloated && find(zs, LOADING) == NULL)
		(void)boot(zs);
}

/* When the next may be tried: returns the milliseconds until then. */
static uint64_t
plan_retry(struct km_zygotes *zs, bool useful)
{
	uint64_t ms;

	if (useful) {
		zs->failures_n = 0;
		stop_retry(zs);
		return 0;
	}
	ms = loop_backoff_ms(zs->cfg->retry_ms, ++zs->failures_n, RETRY_MAX_MS);
	stop_retry(zs);
	zs->retry = loop_timer_new(zs->cfg->lp, ms, on_retry, zs);
	return ms;
}

/* What to do without it, in words for the log. */
static void
replace(struct km_zygotes *zs, const struct log_id *id, bool useful, const char *why)
{
	uint64_t ms = plan_retry(zs, useful);

	if (useful && (find(zs, LOADING) != NULL || boot(zs)))
		log_warn(id, "ended: %s; another takes over", why);
	else if (useful)
		log_warn(id, "ended: %s", why); /* boot() has said why there is no other */
	else
		log_warn(id, "ended: %s; %s, the next try is in %llu ms", why,
		         find(zs, SERVING) != NULL ? "the one before stays"
		                                   : "kernels are spawned",
		         (unsigned long long)ms);
}

static void
on_ended(void *arg, const char *why)
{
	struct member *m = arg;
	struct km_zygotes *zs = m->zs;
	const struct log_id id = *km_zygote_id(m->z);
	bool useful = was_useful(m);
	bool was_wanted = m->role != LEAVING && !zs->ending;

	list_del(&m->node);
	km_zygote_free(m->z);
	mem_free(m);
	if (was_wanted)
		replace(zs, &id, useful, why);
	else
		log_info(&id, "ended: %s", why);
	zs->changed(zs->arg);
}

static bool
boot(struct km_zygotes *zs)
{
	static const struct km_zygote_ops ops = {
	    .ready = on_ready, .room = on_room, .bloated = on_bloated, .ended = on_ended};
	const struct km_zygote_config cfg = {
	    .lp = zs->cfg->lp,
	    .reaper = zs->cfg->reaper,
	    .spec = zs->spec,
	    .prefix = zs->cfg->prefix,
	    .preload = zs->cfg->preload,
	    .boot_ms = zs->cfg->boot_ms,
	    .reply_ms = zs->cfg->reply_ms,
	};
	struct member *m;
	struct err err;

	if (zs->ending || zs->retry != NULL)
		return false;
	m = mem_new(sizeof(*m));
	m->zs = zs;
	if (km_zygote_new(&cfg, &ops, m, &m->z, &err) != 0) {
		mem_free(m);
		log_warn(NULL,
		         "no zygote of %s: %s; kernels are spawned, the next try is in %llu ms",
		         zs->spec->name, err.text, (unsigned long long)plan_retry(zs, false));
		return false;
	}
	list_add_before(&zs->members, &m->node);
	return true;
}

/* --- for the launcher ----------------------------------------------------------------------- */

struct km_zygotes *
km_zygotes_new(const struct km_zygotes_config *cfg, const struct km_spec *spec,
               const char *domain, void (*changed)(void *arg), void *arg)
{
	struct km_zygotes *zs = mem_new(sizeof(*zs));

	zs->cfg = cfg;
	zs->spec = mem_new(sizeof(*zs->spec));
	zs->spec->name = mem_strdup(spec->name);
	zs->spec->dir = mem_strdup(spec->dir);
	zs->spec->env = json_incref(spec->env);
	zs->spec->zygote = km_cmdline_copy(spec->zygote);
	zs->domain = domain != NULL ? mem_strdup(domain) : NULL;
	zs->changed = changed;
	zs->arg = arg;
	list_init(&zs->members);
	return zs;
}

void
km_zygotes_free(struct km_zygotes *zs)
{
	struct list *it, *tmp;

	if (zs == NULL)
		return;
	list_each (it, tmp, &zs->members) {
		struct member *m = list_entry(it, struct member, node);

		km_zygote_free(m->z);
		mem_free(m);
	}
	stop_retry(zs);
	km_spec_free(zs->spec);
	mem_free(zs->domain);
	mem_free(zs);
}

enum km_zygotes_state
km_zygotes_state(const struct km_zygotes *zs)
{
	if (find(zs, SERVING) != NULL)
		return KM_ZYGOTES_SERVING;
	return find(zs, LOADING) != NULL ? KM_ZYGOTES_LOADING : KM_ZYGOTES_NONE;
}

bool
km_zygotes_want(struct km_zygotes *zs)
{
	return km_zygotes_state(zs) == KM_ZYGOTES_NONE && boot(zs);
}

void
km_zygotes_end(struct km_zygotes *zs)
{
	struct list *it, *tmp;

	zs->ending = true;
	stop_retry(zs);
	list_each (it, tmp, &zs->members)
		km_zygote_kill(list_entry(it, struct member, node)->z);
}

int
km_zygotes_ask(struct km_zygotes *zs, struct km_zygote_ask *a, const char *packet, int fd)
{
	const struct member *m = find(zs, SERVING);

	return m != NULL ? km_zygote_ask(m->z, a, packet, fd) : -EPIPE;
}

unsigned
km_zygotes_count(const struct km_zygotes *zs)
{
	struct list *it, *tmp;
	unsigned n = 0;

	list_each (it, tmp, &zs->members)
		n++;
	return n;
}
