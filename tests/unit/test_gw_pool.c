/* Unit test of gateway/pool, and of what gateway/context and gateway/seat do with its kernels. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/pool.h"
#include "gateway/pss.h"
#include "kernelmgr/spec.h"
#include "tests/unit/gw_rig.h"
#include "tests/unit/hand_clock.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define SETTLE_MS  30
#define ASSIGN_MS  5000
#define QUIET_MS   60000
#define YIELD_MS   5000
#define GROWTH_MAX 8

static const struct gw_ctx_request any = {.language = NULL};

/* Write python3's kernel.json again; more goes into metadata.kernelbridge. */
static void
put_spec(const struct rig *r, const char *argv1, const char *more)
{
	char path[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/share/jupyter/kernels/python3/kernel.json",
	               r->dir);
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fprintf(f,
	              "{\"argv\": [\"python3\", \"%s\", \"{connection_file}\"], "
	              "\"display_name\": \"Python 3\", \"language\": \"python\", "
	              "\"metadata\": {\"kernelbridge\": {\"env\": true, \"waits\": true%s}}}",
	              argv1, more);
	assert_int_equal(fclose(f), 0);
}

#define ASSIGN ", \"assign\": true, \"start_env\": [\"PYTHON*\"]"

/* The default kernel starts; n others are wanted. */
static struct rig *
pool_new(unsigned n)
{
	struct rig *r = rig_new();

	put_spec(r, "-f", ASSIGN);
	r->cfg->pool_python = n;
	return r;
}

static size_t
waiting(void)
{
	return (size_t)gw_metric[GW_M_POOL_KERNELS];
}

/* What starts gets ready, as process pid, and what starts then. */
static void
fill_as(struct rig *r, pid_t pid)
{
	rig_settle(r);
	while (km_kernel_count(KM_STARTING) > 0) {
		struct list *it;
		struct list *tmp;

		list_each (it, tmp, &paper_kernels) {
			struct km_kernel *k = list_entry(it, struct km_kernel, node);

			k->pid = pid;
			if (k->state == KM_STARTING)
				paper_ready(k);
		}
		rig_settle(r);
	}
}

static void
fill(struct rig *r)
{
	fill_as(r, 0);
}

/* n kernels wait. */
static struct rig *
pool_full(unsigned n)
{
	struct rig *r = pool_new(n);

	fill(r);
	assert_int_equal(waiting(), n);
	return r;
}

static struct gw_ctx *
make(struct rig *r)
{
	struct gw_ctx *c;
	struct err err;

	if (gw_ctx_new(r->sandbox, &any, &c, &err) != 0)
		fail_msg("gw_ctx_new: %s", err.text);
	return c;
}

/* The kernel that is being given away; fails unless there is exactly one. */
static struct km_kernel *
given(void)
{
	struct km_kernel *found = NULL;
	struct list *it;
	struct list *tmp;

	list_each (it, tmp, &paper_kernels) {
		struct km_kernel *k = list_entry(it, struct km_kernel, node);

		if (k->assigned == NULL)
			continue;
		assert_null(found);
		found = k;
	}
	assert_non_null(found);
	return found;
}

static unsigned
in_state(enum km_kstate st)
{
	return km_kernel_count(st);
}

/* --- filling ------------------------------------------------------------------------------ */

static void
it_fills_behind_the_default_kernel(void **state)
{
	struct rig *r = pool_new(3);

	(void)state;
	hand_clock_pass(r, 1000);
	assert_int_equal(paper_count(), 1);
	paper_ready(paper_newest());
	rig_settle(r);
	assert_int_equal(in_state(KM_STARTING), 1); /* how large is one? */
	assert_string_equal(paper_newest()->cwd, "/");
	assert_int_equal(json_object_size(paper_newest()->env), 0);
	paper_ready(paper_newest());
	rig_settle(r);
	assert_int_equal(in_state(KM_STARTING), 2);
	assert_int_equal(waiting(), 1);
	fill(r);
	assert_int_equal(waiting(), 3);
	assert_int_equal(paper_count(), 4);
	assert_int_equal(gw_metric[GW_M_POOL_MISSES], 0);
	rig_free(r);
}

static void
it_fills_when_there_is_no_default_kernel(void **state)
{
	struct rig *r = pool_new(1);

	(void)state;
	paper_die(paper_newest(), "exit code 1");
	fill(r);
	assert_int_equal(waiting(), 1);
	rig_free(r);
}

static void
at_most_two_start_at_once(void **state)
{
	struct rig *r = pool_full(1);

	(void)state;
	r->cfg->pool_python = 5;
	gw_core_set_config(r->core, r->cfg);
	rig_settle(r);
	assert_int_equal(in_state(KM_STARTING), 2);
	paper_ready(paper_newest());
	rig_settle(r);
	assert_int_equal(in_state(KM_STARTING), 2);
	fill(r);
	assert_int_equal(waiting(), 5);
	rig_free(r);
}

static void
who_waits_for_a_kernel_comes_first(void **state)
{
	struct rig *r = pool_full(1);
	struct gw_ctx *c;

	(void)state;
	(void)make(r);
	paper_assigned(given(), 0, "");
	c = make(r);
	assert_int_equal(gw_metric[GW_M_POOL_MISSES], 1);
	hand_clock_pass(r, 1000);
	assert_int_equal(in_state(KM_STARTING), 1); /* c's */
	assert_string_equal(gw_ctx_state(c), "starting");
	paper_ready(paper_newest());
	hand_clock_pass(r, 0);
	assert_string_equal(gw_ctx_state(c), "ready");
	assert_int_equal(in_state(KM_STARTING), 2); /* the pool's */
	rig_free(r);
}

static void
kernels_that_cannot_be_given_are_not_started(void **state)
{
	static const char *const more[] = {"", ", \"assign\": false"};
	struct rig *r = pool_new(2);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		put_spec(r, "-f", more[i]);
		fill(r);
		hand_clock_pass(r, QUIET_MS);
		assert_int_equal(paper_count(), 1);
	}
	put_spec(r, "-f", ASSIGN); /* installed meanwhile */
	hand_clock_pass(r, QUIET_MS);
	fill(r);
	assert_int_equal(waiting(), 2);
	rig_free(r);
}

/* --- handing out -------------------------------------------------------------------------- */

static void
a_context_gets_one_that_waits(void **state)
{
	struct rig *r = pool_full(2);
	struct km_kernel *k = list_entry(paper_kernels.next->next, struct km_kernel, node);
	struct tape *t = tape_new();
	struct gw_ctx *c = make(r);

	(void)state;
	assert_ptr_equal(given(), k); /* the oldest */
	assert_string_equal(k->cwd, r->sandbox->home);
	assert_string_equal(json_string_value(json_object_get(k->env, "HOME")),
	                    r->sandbox->home);
	assert_string_equal(gw_ctx_state(c), "starting");
	assert_true(gw_ctx_is_active(c));
	assert_null(gw_ctx_kernel(c));
	assert_int_equal(waiting(), 1);
	(void)rig_exec(c, "1", t);
	rig_settle(r);
	assert_string_equal(tape_text(t), "1 accepted 0");
	paper_assigned(k, 0, "");
	rig_settle(r);
	assert_ptr_equal(gw_ctx_kernel(c), k);
	assert_string_equal(gw_ctx_state(c), "busy");
	assert_int_equal(in_state(KM_STARTING), 0); /* its first run is not disturbed */
	paper_finish(k, "ok");
	hand_clock_pass(r, SETTLE_MS);
	assert_int_equal(t->how, GW_DONE_OK);
	assert_int_equal(in_state(KM_STARTING), 1);
	assert_int_equal(gw_metric[GW_M_POOL_HITS], 1);
	assert_int_equal(gw_metric[GW_M_POOL_MISSES], 0);
	tape_free(t);
	rig_free(r);
}

/* What goes wrong with a kernel that is handed out: all of it looks the same to a client. */
static void
it_refuses(struct rig *r, struct km_kernel *k)
{
	(void)r;
	paper_assigned(k, -EIO, "no such directory");
}

static void
it_dies(struct rig *r, struct km_kernel *k)
{
	(void)r;
	paper_die(k, "signal 9");
}

static void
it_hangs(struct rig *r, struct km_kernel *k)
{
	hand_clock_pass(r, ASSIGN_MS);
	paper_assigned(k, 0, ""); /* too late */
}

static void (*const mishaps[])(struct rig *, struct km_kernel *) = {
    it_refuses,
    it_dies,
    it_hangs,
};

static void
one_that_is_lost_on_the_way_is_replaced(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mishaps) / sizeof(mishaps[0]); i++) {
		struct rig *r = pool_full(1);
		struct waiter w;
		struct tape *t = tape_new();
		struct gw_ctx *c = make(r);
		struct km_kernel *lost = given();

		gw_ctx_set_provisional(c);
		rig_wait(c, &w);
		(void)rig_exec(c, "1", t);
		mishaps[i](r, lost);
		rig_settle(r);
		assert_int_equal(w.calls_n, 0);
		assert_string_equal(gw_ctx_state(c), "starting");
		assert_string_equal(paper_newest()->cwd, r->sandbox->home);
		assert_int_equal(paper_newest()->assigns_n, 0);
		paper_ready(paper_newest());
		rig_settle(r);
		assert_int_equal(w.calls_n, 1);
		assert_int_equal(w.status, 0);
		paper_finish(gw_ctx_kernel(c), "ok");
		rig_settle(r);
		assert_string_equal(tape_text(t), "1 accepted 0|2 done ok");
		while (in_state(KM_STOPPING) > 0)
			(void)paper_obey();
		tape_free(t);
		rig_free(r);
	}
}

static void
one_that_is_lost_and_no_other(void **state)
{
	struct rig *r = pool_full(1);
	struct waiter w;
	struct tape *t = tape_new();
	struct gw_ctx *c = make(r);

	(void)state;
	gw_ctx_set_provisional(c);
	rig_wait(c, &w);
	(void)rig_exec(c, "1", t);
	paper_start_rc = -ENOENT;
	paper_die(given(), "signal 9");
	rig_settle(r);
	assert_int_equal(w.status, -EIO);
	assert_string_equal(w.why, "no such program");
	assert_string_equal(tape_text(t), "1 accepted 0|2 error KernelDied: no such program|"
	                                  "3 done kernel_died: no such program");
	assert_int_equal(gw_metric[GW_M_CONTEXTS], 1); /* it was provisional */
	tape_free(t);
	rig_free(r);
}

static void
a_context_may_go_while_it_is_given_one(void **state)
{
	struct rig *r = pool_full(1);
	struct gw_ctx *c = make(r);
	struct km_kernel *k = given();

	(void)state;
	gw_ctx_delete(c);
	assert_int_equal(k->kills_n, 1);
	paper_die(k, "signal 9");
	rig_settle(r);
	assert_int_equal(gw_core_kernels(r->core), 1);
	hand_clock_pass(r, ASSIGN_MS);
	fill(r);
	assert_int_equal(waiting(), 1);
	(void)make(r); /* the gateway ends while one is being given away */
	(void)given();
	rig_free(r);
}

static void
a_restart_takes_one(void **state)
{
	struct rig *r = pool_full(2);
	struct km_kernel *old = gw_ctx_kernel(r->ctx);
	struct err err;

	(void)state;
	assert_int_equal(gw_ctx_restart(r->ctx, &err), 0);
	assert_int_equal(old->stops_n, 1);
	paper_assigned(given(), 0, "");
	rig_settle(r);
	assert_string_equal(gw_ctx_state(r->ctx), "ready");
	paper_die(old, "signal 15");
	paper_die(gw_ctx_kernel(r->ctx), "signal 9"); /* the next run finds another */
	(void)rig_exec(r->ctx, "1", NULL);
	rig_settle(r);
	paper_assigned(given(), 0, "");
	rig_settle(r);
	assert_int_equal(gw_ctx_kernel(r->ctx)->executes_n, 1);
	paper_finish(gw_ctx_kernel(r->ctx), "ok");
	assert_int_equal(gw_metric[GW_M_POOL_HITS], 2);
	rig_free(r);
}

/* Errors come as they always did, from a start that is tried. */
static void
what_a_running_kernel_cannot_have_is_started(void **state)
{
	char dir[] = "/tmp/test_gw_pool_XXXXXX";
	struct rig *r = pool_full(2);
	char *big = mem_new(70001);
	json_t *envs[3];
	struct gw_ctx *c;
	struct err err;

	(void)state;
	memset(big, 'x', 70000);
	envs[0] = json_pack("{s:s}", "PYTHONHASHSEED", "1");
	envs[1] = json_pack("{s:s}", "BIG", big);
	envs[2] = json_pack("{s:s}", "A", "1");
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < 3; i++) {
		const struct gw_ctx_request rq = {.env = envs[i], .cwd = i == 2 ? dir : NULL};
		struct km_kernel *before = paper_newest();

		assert_int_equal(gw_ctx_new(r->sandbox, &rq, &c, &err), 0);
		assert_int_equal(paper_newest() != before, i < 2);
		assert_int_equal(gw_metric[GW_M_POOL_HITS], i == 2);
		json_decref(envs[i]);
	}
	mem_free(big);
	assert_string_equal(given()->cwd, dir);
	assert_string_equal(json_string_value(json_object_get(given()->env, "A")), "1");
	paper_assigned(given(), 0, "");
	fill(r);
	assert_int_equal(rmdir(dir), 0);
	paper_start_rc = -ENOENT; /* as a launcher would */
	assert_int_equal(gw_ctx_restart(c, &err), -ENOENT);
	assert_int_equal(gw_metric[GW_M_POOL_MISSES], 0);
	rig_free(r);
}

/* --- how many ----------------------------------------------------------------------------- */

/* Take n; what has to start does. */
static void
burst(struct rig *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct gw_ctx *c = make(r);
		struct km_kernel *k;

		if (in_state(KM_STARTING) > 0)
			paper_ready(paper_newest());
		else
			paper_assigned(given(), 0, "");
		rig_settle(r);
		k = gw_ctx_kernel(c);
		assert_non_null(k);
		gw_ctx_delete(c);
		paper_die(k, "exit code 0");
	}
}

static void
demand_makes_it_grow_and_quiet_shrink(void **state)
{
	struct rig *r = pool_full(2);

	(void)state;
	burst(r, 2);
	hand_clock_pass(r, SETTLE_MS);
	fill(r);
	assert_int_equal(waiting(), 2); /* no more than it had were asked for */
	burst(r, 3);
	assert_int_equal(gw_metric[GW_M_POOL_MISSES], 1);
	hand_clock_pass(r, SETTLE_MS);
	fill(r);
	assert_int_equal(waiting(), 4);
	burst(r, 60);
	hand_clock_pass(r, SETTLE_MS);
	fill(r);
	assert_int_equal(waiting(), 2 * GROWTH_MAX); /* and no more */
	hand_clock_pass(r, QUIET_MS);                /* not since the last look: it stays */
	fill(r);
	assert_int_equal(waiting(), 2 * GROWTH_MAX);
	hand_clock_pass(r, QUIET_MS / 2);
	burst(r, 1); /* that is quiet, too */
	hand_clock_pass(r, QUIET_MS / 2);
	assert_int_equal(waiting(), 2);
	assert_int_equal(in_state(KM_STOPPING), 2 * GROWTH_MAX - 2);
	while (in_state(KM_STOPPING) > 0)
		(void)paper_obey();
	hand_clock_pass(r, 2 * QUIET_MS);
	assert_int_equal(waiting(), 2);
	rig_free(r);
}

static void
count_bytes(void *arg, size_t bytes)
{
	*(size_t *)arg = bytes;
}

static void
memory_bounds_it(void **state)
{
	struct rig *r = pool_new(5);
	size_t bytes = 0;

	(void)state;
	(void)gw_pss_read(r->lp, getpid(), count_bytes, &bytes);
	rig_settle(r);
	assert_true(bytes > 100000);
	r->cfg->pool_bytes = 2 * bytes + bytes / 2;
	fill_as(r, getpid());
	assert_int_equal(waiting(), 2);
	r->cfg->pool_bytes = bytes / 2; /* a reload */
	gw_core_set_config(r->core, r->cfg);
	rig_settle(r);
	assert_int_equal(waiting(), 0);
	assert_int_equal(in_state(KM_STOPPING), 2);
	while (in_state(KM_STOPPING) > 0)
		(void)paper_obey();
	hand_clock_pass(r, QUIET_MS);
	assert_int_equal(paper_count(), 1); /* how large one is, is known */
	r->cfg->pool_bytes = 1000 * bytes;
	gw_core_set_config(r->core, r->cfg);
	fill_as(r, getpid());
	assert_int_equal(waiting(), 5);
	rig_free(r);
}

static void
too_large_a_kernel_goes_again(void **state)
{
	struct rig *r = pool_new(2);

	(void)state;
	r->cfg->pool_bytes = 4096;
	fill_as(r, getpid());
	assert_int_equal(waiting(), 0);
	assert_int_equal(in_state(KM_STOPPING), 1);
	rig_free(r);
}

static void
no_memory_no_kernel(void **state)
{
	struct rig *r = pool_new(2);

	(void)state;
	r->cfg->pool_bytes = 0;
	fill(r);
	assert_int_equal(paper_count(), 1);
	rig_free(r);
}

static void
what_is_measured_may_go_meanwhile(void **state)
{
	struct rig *r = pool_new(1);

	(void)state;
	paper_ready(paper_newest());
	rig_settle(r);
	paper_ready(paper_newest()); /* measured from now on */
	(void)make(r);
	rig_settle(r);
	assert_ptr_equal(given(), paper_newest());
	rig_free(r);
}

static void
no_more_wait_than_contexts_may_come(void **state)
{
	struct rig *r = pool_new(4);
	struct gw_ctx *c;
	struct err err;

	(void)state;
	r->cfg->max_contexts = 3;
	fill(r);
	assert_int_equal(waiting(), 2);
	burst(r, 1);
	hand_clock_pass(r, SETTLE_MS);
	fill(r);
	assert_int_equal(waiting(), 2);
	(void)make(r);
	paper_assigned(given(), 0, "");
	hand_clock_pass(r, SETTLE_MS);
	assert_int_equal(waiting(), 1);
	assert_int_equal(in_state(KM_STARTING), 0);
	assert_int_equal(
	    gw_ctx_new(r->sandbox, &(struct gw_ctx_request){.env = NULL}, &c, &err), 0);
	assert_int_equal(gw_ctx_new(r->sandbox, &any, &c, &err), -EBUSY);
	assert_non_null(strstr(err.text, "max_contexts"));
	rig_settle(r);
	assert_int_equal(waiting(), 0);
	rig_free(r);
}

/* Kernels of deleted contexts that take their time count, and the pool makes room for a new one. */
static void
it_gives_way_where_there_may_be_no_more(void **state)
{
	struct rig *r = pool_new(1);
	json_t *env = json_pack("{s:s}", "PYTHONHASHSEED", "1");
	const struct gw_ctx_request own = {.env = env};
	struct gw_ctx *c;
	struct err err;

	(void)state;
	r->cfg->max_contexts = 2;
	fill(r);
	assert_int_equal(waiting(), 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(gw_ctx_new(r->sandbox, &own, &c, &err), 0);
		gw_ctx_delete(c);
		rig_settle(r);
	}
	assert_int_equal(gw_core_kernels(r->core), 4);
	assert_int_equal(gw_ctx_new(r->sandbox, &own, &c, &err), 0);
	assert_int_equal(waiting(), 0);
	gw_ctx_delete(c);
	assert_int_equal(gw_ctx_new(r->sandbox, &own, &c, &err), -EBUSY);
	assert_string_equal(err.text, "too many kernels of deleted contexts still end");
	while (in_state(KM_STOPPING) > 0)
		(void)paper_obey();
	hand_clock_pass(r, YIELD_MS - 1);
	assert_int_equal(paper_count(), 1);
	hand_clock_pass(r, 1);
	fill(r);
	assert_int_equal(waiting(), 1);
	json_decref(env);
	rig_free(r);
}

/* --- mishaps ------------------------------------------------------------------------------ */

static void
one_that_dies_is_replaced(void **state)
{
	static const uint64_t pauses[] = {10, 20, 40, 80, 160, 320, 640, 1000, 1000};
	struct rig *r = pool_full(1);

	(void)state;
	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		paper_die(paper_newest(), "signal 9");
		hand_clock_pass(r, pauses[i] - 1);
		assert_int_equal(paper_count(), 1);
		hand_clock_pass(r, 1);
		assert_int_equal(paper_count(), 2);
		fill(r);
		assert_int_equal(waiting(), 1);
	}
	burst(r, 1);
	hand_clock_pass(r, SETTLE_MS);
	fill(r);
	paper_die(paper_newest(), "signal 9");
	hand_clock_pass(r, 10); /* they are of use again */
	assert_int_equal(in_state(KM_STARTING), 1);
	rig_free(r);
}

/* It was killed, which nobody has been told yet. */
static void
one_that_ends_is_given_to_nobody(void **state)
{
	struct rig *r = pool_full(2);
	struct km_kernel *newest = paper_newest();

	(void)state;
	km_kernel_kill(newest);
	(void)make(r);
	assert_ptr_not_equal(given(), newest);
	paper_assigned(given(), 0, "");
	(void)make(r);
	assert_string_equal(paper_newest()->cwd, r->sandbox->home); /* one of its own */
	assert_int_equal(gw_metric[GW_M_POOL_HITS], 1);
	assert_int_equal(gw_metric[GW_M_POOL_MISSES], 1);
	paper_die(newest, "signal 9");
	fill(r);
	rig_free(r);
}

static void
one_that_cannot_start_is_tried_again(void **state)
{
	static const uint64_t pauses[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
	struct rig *r = pool_new(1);

	(void)state;
	paper_ready(paper_newest());
	rig_settle(r);
	for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++) {
		assert_int_equal(in_state(KM_STARTING), 1);
		if (i % 2 == 0)
			paper_start_rc = -EBUSY; /* the next one */
		paper_die(paper_newest(), "exit code 1");
		hand_clock_pass(r, pauses[i] - 1);
		assert_int_equal(paper_count(), 1);
		if (i % 2 == 0) {
			hand_clock_pass(r, 1);
			assert_int_equal(paper_count(), 1);
			paper_start_rc = 0;
			i++;
			hand_clock_pass(r, pauses[i] - 1);
			assert_int_equal(paper_count(), 1);
		}
		hand_clock_pass(r, 1);
	}
	fill(r);
	assert_int_equal(waiting(), 1);
	rig_free(r);
}

/* --- other settings ----------------------------------------------------------------------- */

static void
a_reload_is_followed(void **state)
{
	struct rig *r = pool_full(2);

	(void)state;
	r->cfg->pool_python = 0;
	gw_core_set_config(r->core, r->cfg);
	rig_settle(r);
	assert_int_equal(waiting(), 0);
	assert_int_equal(in_state(KM_STOPPING), 2);
	(void)make(r);
	assert_int_equal(in_state(KM_STARTING), 1);
	assert_int_equal(gw_metric[GW_M_POOL_MISSES], 0);
	r->cfg->pool_python = 3;
	gw_core_set_config(r->core, r->cfg);
	fill(r);
	assert_int_equal(waiting(), 3);
	rig_free(r);
}

static void
draining_ends_it(void **state)
{
	struct rig *r = pool_full(2);

	(void)state;
	gw_core_drain(r->core);
	rig_settle(r);
	assert_int_equal(waiting(), 0);
	while (in_state(KM_STOPPING) > 0)
		(void)paper_obey();
	hand_clock_pass(r, QUIET_MS);
	assert_int_equal(gw_core_kernels(r->core), 1);
	rig_free(r);
}

static void
another_kernelspec_drops_them(void **state)
{
	struct rig *r = pool_full(2);
	struct gw_ctx *c;

	(void)state;
	put_spec(r, "-X", ASSIGN);
	c = make(r);
	assert_int_equal(in_state(KM_STOPPING), 2);
	assert_int_equal(in_state(KM_STARTING), 1);
	assert_string_equal(paper_newest()->spec->argv[1], "-X");
	fill(r);
	assert_int_equal(waiting(), 2);
	while (in_state(KM_STOPPING) > 0)
		(void)paper_obey();
	put_spec(r, "-Y", ASSIGN); /* seen when the next one starts */
	paper_die(paper_newest(), "signal 9");
	hand_clock_pass(r, 1000);
	fill(r);
	assert_int_equal(waiting(), 2);
	assert_int_equal(in_state(KM_STOPPING), 1);
	put_spec(r, "-Y", "");
	gw_ctx_delete(c);
	c = make(r);
	assert_int_equal(waiting(), 0);
	assert_string_equal(gw_ctx_state(c), "starting");
	rig_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_fills_behind_the_default_kernel),
	    cmocka_unit_test(it_fills_when_there_is_no_default_kernel),
	    cmocka_unit_test(at_most_two_start_at_once),
	    cmocka_unit_test(who_waits_for_a_kernel_comes_first),
	    cmocka_unit_test(kernels_that_cannot_be_given_are_not_started),
	    cmocka_unit_test(a_context_gets_one_that_waits),
	    cmocka_unit_test(one_that_is_lost_on_the_way_is_replaced),
	    cmocka_unit_test(one_that_is_lost_and_no_other),
	    cmocka_unit_test(a_context_may_go_while_it_is_given_one),
	    cmocka_unit_test(a_restart_takes_one),
	    cmocka_unit_test(what_a_running_kernel_cannot_have_is_started),
	    cmocka_unit_test(demand_makes_it_grow_and_quiet_shrink),
	    cmocka_unit_test(memory_bounds_it),
	    cmocka_unit_test(too_large_a_kernel_goes_again),
	    cmocka_unit_test(no_memory_no_kernel),
	    cmocka_unit_test(what_is_measured_may_go_meanwhile),
	    cmocka_unit_test(no_more_wait_than_contexts_may_come),
	    cmocka_unit_test(it_gives_way_where_there_may_be_no_more),
	    cmocka_unit_test(one_that_dies_is_replaced),
	    cmocka_unit_test(one_that_ends_is_given_to_nobody),
	    cmocka_unit_test(one_that_cannot_start_is_tried_again),
	    cmocka_unit_test(a_reload_is_followed),
	    cmocka_unit_test(draining_ends_it),
	    cmocka_unit_test(another_kernelspec_drops_them),
	};

	return cmocka_run_group_tests_name("gw/pool", tests, NULL, NULL);
}
