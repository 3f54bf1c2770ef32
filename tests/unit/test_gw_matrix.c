/* Every state of an execution x everything that can happen: one DONE, and nothing left behind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gw_rig.h"
#include "tests/unit/km_run.h"
#include "wire/base/err.h"

#define LONG_MS 3600000 /* never, in a test */

struct scene {
	struct rig *r;
	struct gw_exec *ex; /* what it is about */
	struct tape *tape;  /* its client; NULL when it went away */
	char id[40];        /* of ex */
	unsigned executions_n;
};

/* --- states ----------------------------------------------------------------------------- */

static void
queue(struct scene *s)
{
	const struct gw_exec_request rq = {.code = "1",
	                                   .code_len = 1,
	                                   .timeout_ms = LONG_MS,
	                                   .stdin_mode = GW_STDIN_ASK,
	                                   .orphan = GW_ORPHAN_INTERRUPT};

	s->ex = rig_exec_with(s->r->ctx, &rq, s->tape);
	memcpy(s->id, gw_exec_id(s->ex), sizeof(s->id));
	s->executions_n++;
}

static void
fresh(struct scene *s)
{
	queue(s); /* not even a turn of the loop */
}

static void
kernel_starts(struct scene *s)
{
	km_kernel_kill(paper_newest());
	paper_die(paper_newest(), "signal 9");
	queue(s);
	rig_settle(s->r);
}

static void
behind_another(struct scene *s)
{
	(void)rig_exec(s->r->ctx, "first", NULL);
	s->executions_n++;
	queue(s);
	rig_settle(s->r);
}

static void
sent(struct scene *s)
{
	queue(s);
	rig_settle(s->r);
}

static void
started(struct scene *s)
{
	sent(s);
	paper_input(paper_newest(), 1);
	paper_print(paper_newest(), "output");
	rig_settle(s->r);
}

static void
waits_for_input(struct scene *s)
{
	started(s);
	paper_say(paper_newest(), "input_request", json_pack("{s:s}", "prompt", "? "), NULL);
	rig_settle(s->r);
}

static void
paused(struct scene *s)
{
	static char big[65536 * 2 + 1];

	s->r->cfg->event_high_bytes = 65536;
	s->tape->stalls = true;
	started(s);
	memset(big, 'x', sizeof(big) - 1);
	paper_print(paper_newest(), big);
	assert_true(paper_newest()->paused);
}

static void
replied(struct scene *s)
{
	started(s);
	paper_reply(paper_newest(), json_pack("{s:s}", "status", "ok")); /* idle is to come */
}

static void
stopping(struct scene *s)
{
	started(s);
	gw_exec_stop(s->ex, GW_DONE_INTERRUPTED, LONG_MS);
}

static void
stopping_before_started(struct scene *s)
{
	sent(s);
	gw_exec_stop(s->ex, GW_DONE_TIMEOUT, LONG_MS);
}

static void
killed(struct scene *s)
{
	s->r->cfg->interrupt_grace_ms = 1;
	started(s);
	gw_exec_stop(s->ex, GW_DONE_TIMEOUT, 1);
	rig_wait_n(s->r, &paper_newest()->kills_n, 1);
}

static void
done(struct scene *s)
{
	started(s);
	paper_finish(paper_newest(), "ok"); /* DONE is not read yet */
}

/* --- steps ------------------------------------------------------------------------------ */

static void
nothing(struct scene *s)
{
	(void)s;
}

static void
client_goes(struct scene *s)
{
	tape_free(s->tape);
	s->tape = NULL;
}

static void
client_goes_in_event(struct scene *s)
{
	s->tape->free_at = s->tape->last_seq + 1;
	gw_sink_resume(&s->tape->sink);
	rig_settle(s->r);
	while (paper_obey())
		rig_settle(s->r);
	s->tape = NULL; /* there was a next event in any case */
}

static void
client_stalls(struct scene *s)
{
	s->tape->stalls = true;
}

static void
kernel_dies(struct scene *s)
{
	(void)s;
	if (paper_count() > 0)
		paper_die(paper_newest(), "signal 11");
}

static void
kernel_gives_no_reply(struct scene *s)
{
	(void)s;
	if (paper_newest()->in_flight)
		paper_done(paper_newest(), -EBADMSG);
}

static void
next_start_fails(struct scene *s)
{
	paper_start_rc = -ENOENT;
	kernel_dies(s);
	rig_settle(s->r);
	paper_start_rc = 0;
}

static void
interrupt(struct scene *s)
{
	gw_exec_stop(s->ex, GW_DONE_INTERRUPTED, LONG_MS);
}

static void
timeout(struct scene *s)
{
	gw_exec_stop(s->ex, GW_DONE_TIMEOUT, 1);
}

static void
overrun(struct scene *s)
{
	s->r->cfg->max_output_bytes = 1;
	if (paper_newest()->in_flight)
		paper_print(paper_newest(), "too much");
}

static void delete (struct scene *s)
{
	gw_ctx_delete(s->r->ctx);
}

static void
restart(struct scene *s)
{
	struct err err;

	assert_int_equal(gw_ctx_restart(s->r->ctx, &err), 0);
}

static void
restart_fails(struct scene *s)
{
	struct err err;

	paper_start_rc = -EBUSY;
	assert_int_equal(gw_ctx_restart(s->r->ctx, &err), -EBUSY);
	paper_start_rc = 0;
}

static void
stop_sandbox(struct scene *s)
{
	gw_sandbox_stop(s->r->sandbox, "sandbox stopped");
}

static void
drain(struct scene *s)
{
	gw_core_drain(s->r->core);
}

static void
stop_gateway(struct scene *s)
{
	gw_core_stop(s->r->core, "the gateway is stopping");
}

static void
two_at_once(struct scene *s)
{
	interrupt(s);
	kernel_dies(s);
	delete (s);
}

/* --- all of them ------------------------------------------------------------------------ */

typedef void scene_fn(struct scene *s);

struct named {
	const char *name;
	scene_fn *fn;
};

#define ROW(f)                                                                                 \
	{                                                                                      \
#f, f                                                                          \
	}

static const struct named states[] = {
    ROW(fresh),    ROW(kernel_starts),           ROW(behind_another), ROW(sent),
    ROW(started),  ROW(waits_for_input),         ROW(paused),         ROW(replied),
    ROW(stopping), ROW(stopping_before_started), ROW(killed),         ROW(done),
};

static const struct named steps[] = {
    ROW(nothing),          ROW(client_goes),  ROW(client_goes_in_event),
    ROW(client_stalls),    ROW(kernel_dies),  ROW(kernel_gives_no_reply),
    ROW(next_start_fails), ROW(interrupt),    ROW(timeout),
    ROW(overrun),          ROW(delete),       ROW(restart),
    ROW(restart_fails),    ROW(stop_sandbox), ROW(drain),
    ROW(stop_gateway),     ROW(two_at_once),
};

static bool
all_quiet(void *arg)
{
	const struct scene *s = arg;

	(void)paper_obey();
	if (s->tape != NULL)
		gw_sink_resume(&s->tape->sink);
	return gw_core_executions(s->r->core) == 0 && (s->tape == NULL || s->tape->done_n > 0);
}

static unsigned
done_total(void)
{
	int64_t n = 0;

	for (unsigned i = 0; i < GW_DONE_N; i++)
		n += gw_metric_done[i];
	return (unsigned)n;
}

static void
play(const struct named *st, const struct named *step)
{
	struct scene s = {.r = rig_ready(), .tape = tape_new()};
	struct gw_exec *ex;

	st->fn(&s);
	step->fn(&s);
	if (!run_until(s.r->lp, all_quiet, &s))
		fail_msg("%s x %s: not done", st->name, step->name);
	rig_settle(s.r);
	if (done_total() != s.executions_n)
		fail_msg("%s x %s: %u DONE of %u executions", st->name, step->name,
		         done_total(), s.executions_n);
	ex = gw_exec_find(s.r->core, s.id);
	assert_non_null(ex); /* whoever comes back learns how it ended */
	assert_null(ex->timeout);
	assert_null(ex->again);
	assert_null(ex->grace);
	assert_null(ex->kernel);
	if (s.tape != NULL) {
		assert_int_equal(strncmp(tape_text(s.tape), "1 accepted ", 11), 0);
		assert_int_equal(s.tape->done_n, 1);
		tape_free(s.tape);
	}
	if (paper_count() > 0)
		assert_false(paper_newest()->paused);
	assert_int_equal(gw_metric[GW_M_EXECUTIONS_QUEUED], 0);
	assert_int_equal(gw_metric[GW_M_EXECUTIONS_RUNNING], 0);
	rig_free(s.r); /* checks the other gauges */
}

static void
every_state_and_step(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		for (size_t j = 0; j < sizeof(steps) / sizeof(steps[0]); j++)
			play(&states[i], &steps[j]);
	}
}

/* The core goes away with everything in the middle of it. */
static void
every_state_and_the_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		struct scene s = {.r = rig_ready(), .tape = tape_new()};

		states[i].fn(&s);
		rig_free(s.r);
		assert_null(s.tape->sink.exec); /* unhooked, nothing dangles */
		tape_free(s.tape);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_state_and_step),
	    cmocka_unit_test(every_state_and_the_end),
	};

	return cmocka_run_group_tests_name("gw/matrix", tests, NULL, NULL);
}
