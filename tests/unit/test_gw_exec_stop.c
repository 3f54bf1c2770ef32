/* Unit test of gateway/exec: timeouts, interrupts, clients that go away, kernels that do not
 * obey. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gw_rig.h"
#include "wire/base/mem.h"

#define LONG_MS 3600000 /* never, in a test */

static struct gw_exec *
start(struct rig *r, const struct gw_exec_request *rq, struct tape *t)
{
	struct gw_exec *ex = rig_exec_with(r->ctx, rq, t);

	rig_settle(r);
	return ex;
}

static void
a_timeout_interrupts(void **state)
{
	struct rig *r = rig_ready();
	const struct gw_exec_request rq = {.code = "1", .code_len = 1, .timeout_ms = 1};
	struct km_kernel *k = paper_newest();
	struct tape *t = tape_new();

	(void)state;
	r->cfg->interrupt_grace_ms = LONG_MS;
	(void)start(r, &rq, t);
	paper_input(k, 1);
	rig_wait_n(r, &k->interrupts_n, 1);
	assert_int_equal(t->done_n, 0);
	paper_finish(k, "error");
	rig_settle(r);
	assert_string_equal(tape_text(t), "1 accepted 0|2 started 1|"
	                                  "3 error Interrupt: stop []|4 done timeout");
	assert_int_equal(k->kills_n, 0);
	assert_int_equal(k->interrupts_n, 1); /* it had begun: once is enough */
	tape_free(t);
	rig_free(r);
}

static void
the_timeout_counts_from_the_run_not_from_the_queue(void **state)
{
	struct rig *r = rig_ready();
	const struct gw_exec_request rq = {.code = "1", .code_len = 1, .timeout_ms = 1};
	struct tape *t = tape_new();
	struct gw_exec *ex;

	(void)state;
	(void)rig_exec(r->ctx, "first", NULL);
	ex = start(r, &rq, t);
	assert_int_equal(ex->state, GW_EXEC_QUEUED);
	assert_null(ex->timeout);
	paper_finish(paper_newest(), "ok");
	rig_settle(r);
	assert_int_not_equal(ex->state, GW_EXEC_QUEUED);
	rig_wait_n(r, &paper_newest()->interrupts_n, 1);
	paper_finish(paper_newest(), "ok"); /* it swallowed the interrupt: still a timeout */
	rig_settle(r);
	assert_int_equal(t->how, GW_DONE_TIMEOUT);
	tape_free(t);
	rig_free(r);
}

static void
a_kernel_that_ignores_the_interrupt_is_killed(void **state)
{
	struct rig *r = rig_ready();
	const struct gw_exec_request rq = {.code = "1", .code_len = 1, .timeout_ms = 1};
	struct km_kernel *k = paper_newest();
	struct tape *t = tape_new();
	struct tape *next = tape_new();

	(void)state;
	r->cfg->interrupt_grace_ms = 1;
	(void)rig_exec_with(r->ctx, &rq, t);
	(void)start(r, &(struct gw_exec_request){.code = "2", .code_len = 1}, next);
	paper_input(k, 1);
	rig_wait_n(r, &k->kills_n, 1);
	assert_int_equal(k->interrupts_n, 1);
	paper_die(k, "signal 9");
	rig_settle(r);
	assert_string_equal(tape_text(t),
	                    "1 accepted 0|2 started 1|"
	                    "3 done timeout: the kernel did not stop when interrupted and was "
	                    "killed: its state is lost");
	k = paper_newest(); /* the queue goes on with a fresh one */
	assert_int_equal(k->executes_n, 0);
	paper_ready(k);
	rig_settle(r);
	paper_finish(k, "ok");
	rig_settle(r);
	assert_int_equal(next->how, GW_DONE_OK);
	tape_free(t);
	tape_free(next);
	rig_free(r);
}

static void
a_kernel_that_dies_of_the_interrupt_was_not_killed(void **state)
{
	struct rig *r = rig_ready();
	struct km_kernel *k = paper_newest();
	struct tape *t = tape_new();
	struct gw_exec *ex = rig_exec(r->ctx, "1", t);

	(void)state;
	rig_settle(r);
	paper_input(k, 1);
	gw_exec_stop(ex, GW_DONE_INTERRUPTED, LONG_MS);
	paper_die(k, "signal 2");
	rig_settle(r);
	assert_string_equal(tape_text(t), "1 accepted 0|2 started 1|"
	                                  "3 done interrupted: kernel died: signal 2");
	tape_free(t);
	rig_free(r);
}

static void
an_interrupt_is_repeated_until_the_code_runs(void **state)
{
	struct rig *r = rig_ready();
	struct km_kernel *k = paper_newest();
	struct tape *t = tape_new();
	struct gw_exec *ex = rig_exec(r->ctx, "1", t);
	unsigned before;

	(void)state;
	rig_settle(r);
	gw_exec_stop(ex, GW_DONE_INTERRUPTED, 0);
	assert_int_equal(k->interrupts_n, 1);
	paper_say(k, "status", json_pack("{s:s}", "execution_state", "busy"), NULL);
	rig_wait_n(r, &k->interrupts_n, 3); /* busy is not begun */
	before = k->interrupts_n;           /* more than 3 where the machine is slow */
	paper_input(k, 1);
	assert_non_null(ex->again);
	rig_wait_n(r, &k->interrupts_n, before + 1); /* the one that the code gets */
	assert_null(ex->again);
	assert_null(ex->grace); /* no kill was asked for */
	paper_finish(k, "error");
	rig_settle(r);
	assert_int_equal(t->how, GW_DONE_INTERRUPTED);
	tape_free(t);
	rig_free(r);
}

static void
a_silent_run_begins_when_the_kernel_is_busy(void **state)
{
	struct rig *r = rig_ready();
	const struct gw_exec_request rq = {.code = "1", .code_len = 1, .silent = true};
	struct km_kernel *k = paper_newest();
	struct tape *t = tape_new();
	struct gw_exec *ex = start(r, &rq, t);

	(void)state;
	paper_say(k, "status", json_pack("{s:s}", "execution_state", "busy"), NULL);
	gw_exec_stop(ex, GW_DONE_INTERRUPTED, 0);
	rig_wait_n(r, &k->interrupts_n, 2);
	assert_null(ex->again);
	paper_finish(k, "error");
	rig_settle(r);
	assert_int_equal(t->how, GW_DONE_INTERRUPTED);
	tape_free(t);
	rig_free(r);
}

static void
stopping_what_waits_ends_it_at_once(void **state)
{
	struct rig *r = rig_ready();
	struct tape *first = tape_new();
	struct tape *t = tape_new();
	struct gw_exec *ex;

	(void)state;
	(void)rig_exec(r->ctx, "1", first);
	ex = rig_exec(r->ctx, "2", t);
	rig_settle(r);
	gw_exec_stop(ex, GW_DONE_INTERRUPTED, 0);
	assert_int_equal(paper_newest()->interrupts_n, 0); /* it is not its run */
	rig_settle(r);
	assert_string_equal(tape_text(t),
	                    "1 accepted 1|2 done aborted: cancelled before it ran");
	gw_exec_stop(ex, GW_DONE_INTERRUPTED, 0); /* done: nothing */
	paper_finish(paper_newest(), "ok");
	rig_settle(r);
	assert_int_equal(first->how, GW_DONE_OK);
	assert_int_equal(paper_newest()->executes_n, 1);
	tape_free(first);
	tape_free(t);
	rig_free(r);
}

static void
a_timeout_outranks_an_interrupt(void **state)
{
	struct rig *r = rig_ready();
	const struct gw_exec_request rq = {.code = "1", .code_len = 1, .timeout_ms = 1};
	struct km_kernel *k = paper_newest();
	struct tape *t = tape_new();
	struct gw_exec *ex;

	(void)state;
	r->cfg->interrupt_grace_ms = LONG_MS;
	ex = start(r, &rq, t);
	paper_input(k, 1);
	gw_exec_stop(ex, GW_DONE_INTERRUPTED, 0);
	rig_wait_n(r, &k->interrupts_n, 2);
	assert_non_null(ex->grace); /* the timeout kills where the interrupt did not */
	gw_exec_stop(ex, GW_DONE_INTERRUPTED, 0);
	paper_finish(k, "error");
	rig_settle(r);
	assert_int_equal(t->how, GW_DONE_TIMEOUT);
	tape_free(t);
	rig_free(r);
}

static void
done_before_the_deadline_stops_every_timer(void **state)
{
	struct rig *r = rig_ready();
	const struct gw_exec_request rq = {.code = "1", .code_len = 1, .timeout_ms = LONG_MS};
	struct tape *t = tape_new();
	struct gw_exec *ex = start(r, &rq, t);

	(void)state;
	assert_non_null(ex->timeout);
	gw_exec_stop(ex, GW_DONE_INTERRUPTED, LONG_MS);
	paper_finish(paper_newest(), "ok");
	assert_null(ex->timeout);
	assert_null(ex->again);
	assert_null(ex->grace);
	rig_settle(r);
	assert_int_equal(t->how, GW_DONE_INTERRUPTED);
	tape_free(t);
	rig_free(r);
}

static void
print_bytes(struct km_kernel *k, size_t len)
{
	char *text = mem_new(len + 1);

	memset(text, 'x', len);
	paper_print(k, text);
	mem_free(text);
}

static void
a_client_that_stalls_does_not_keep_a_run_from_stopping(void **state)
{
	struct rig *r = rig_ready();
	const struct gw_exec_request rq = {.code = "1", .code_len = 1, .timeout_ms = 1};
	struct km_kernel *k = paper_newest();
	struct tape *t = tape_new();
	const size_t piece = 65536;

	(void)state;
	r->cfg->event_high_bytes = piece;
	r->cfg->interrupt_grace_ms = LONG_MS;
	t->stall_at = 1;
	(void)start(r, &rq, t);
	paper_input(k, 1);
	print_bytes(k, 2 * piece);
	assert_true(k->paused);
	rig_wait_n(r, &k->interrupts_n, 1);
	assert_false(k->paused); /* or its idle, which is behind the output, would never come */
	for (unsigned i = 0; i < 200; i++)
		print_bytes(k, piece);
	assert_true(k->paused); /* it does not obey: there is an end to it */
	paper_finish(k, "error");
	gw_sink_resume(&t->sink);
	rig_settle(r);
	assert_int_equal(t->how, GW_DONE_TIMEOUT);
	assert_int_equal(t->text_bytes, 202 * piece); /* nothing is lost */
	tape_free(t);
	rig_free(r);
}

static void
a_request_that_cannot_be_sent_ends_its_run(void **state)
{
	struct rig *r = rig_ready();
	struct tape *t = tape_new();

	(void)state;
	(void)rig_exec(r->ctx, "1", t);
	rig_settle(r);
	paper_done(paper_newest(), -EPIPE); /* and the kernel lives */
	rig_settle(r);
	assert_int_equal(t->how, GW_DONE_KERNEL_DIED);
	(void)rig_exec(r->ctx, "2", NULL);
	rig_settle(r);
	assert_int_equal(paper_newest()->executes_n, 2);
	paper_finish(paper_newest(), "ok");
	rig_settle(r);
	tape_free(t);
	rig_free(r);
}

/* --- clients that go away --------------------------------------------------------------- */

/* Its only client goes away, while it waits or runs; the kernel then obeys.  How did it end? */
static enum gw_done
orphan_ends(enum gw_orphan rule, bool running, bool set_late, unsigned *ret_interrupts)
{
	const struct gw_exec_request rq = {
	    .code = "2", .code_len = 1, .orphan = set_late ? GW_ORPHAN_FINISH : rule};
	struct rig *r = rig_ready();
	struct tape *t = tape_new();
	struct gw_exec *ex;
	enum gw_done how = GW_DONE_N;
	int64_t before[GW_DONE_N];

	if (!running)
		(void)rig_exec(r->ctx, "1", NULL);
	ex = start(r, &rq, t);
	memcpy(before, gw_metric_done, sizeof(before));
	if (set_late)
		gw_exec_set_orphan(ex, rule);
	tape_free(t);
	*ret_interrupts = paper_newest()->interrupts_n;
	while (paper_obey())
		rig_settle(r);
	if (!running)
		before[GW_DONE_OK]++; /* the first one */
	for (unsigned i = 0; i < GW_DONE_N; i++) {
		if (gw_metric_done[i] == before[i])
			continue;
		assert_int_equal(gw_metric_done[i], before[i] + 1);
		assert_int_equal(how, GW_DONE_N); /* it ended once */
		how = (enum gw_done)i;
	}
	rig_free(r);
	return how;
}

static void
what_becomes_of_orphans(void **state)
{
	static const struct {
		const char *why;
		enum gw_orphan rule;
		bool running;
		enum gw_done how;
		unsigned interrupts;
	} cases[] = {
	    {"finish, queued", GW_ORPHAN_FINISH, false, GW_DONE_OK, 0},
	    {"finish, running", GW_ORPHAN_FINISH, true, GW_DONE_OK, 0},
	    {"drop, queued", GW_ORPHAN_DROP, false, GW_DONE_ABORTED, 0},
	    {"drop, running", GW_ORPHAN_DROP, true, GW_DONE_OK, 0},
	    {"interrupt, queued", GW_ORPHAN_INTERRUPT, false, GW_DONE_ABORTED, 0},
	    {"interrupt, running", GW_ORPHAN_INTERRUPT, true, GW_DONE_INTERRUPTED, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned late = 0; late < 2; late++) {
			unsigned interrupts;
			enum gw_done how = orphan_ends(cases[i].rule, cases[i].running,
			                               late == 1, &interrupts);

			if (how != cases[i].how || interrupts != cases[i].interrupts)
				fail_msg("%s: %d, %u interrupts", cases[i].why, (int)how,
				         interrupts);
		}
	}
}

static void
one_of_two_clients_is_no_orphan(void **state)
{
	const struct gw_exec_request rq = {
	    .code = "1", .code_len = 1, .orphan = GW_ORPHAN_INTERRUPT};
	struct rig *r = rig_ready();
	struct tape *a = tape_new();
	struct tape *b = tape_new();
	struct gw_exec *ex = start(r, &rq, a);

	(void)state;
	gw_sink_hook(&b->sink, ex, 0);
	tape_free(a);
	assert_int_equal(ex->state, GW_EXEC_RUNNING);
	tape_free(b);
	assert_int_equal(ex->state, GW_EXEC_STOPPING);
	while (paper_obey())
		rig_settle(r);
	rig_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_timeout_interrupts),
	    cmocka_unit_test(the_timeout_counts_from_the_run_not_from_the_queue),
	    cmocka_unit_test(a_kernel_that_ignores_the_interrupt_is_killed),
	    cmocka_unit_test(a_kernel_that_dies_of_the_interrupt_was_not_killed),
	    cmocka_unit_test(an_interrupt_is_repeated_until_the_code_runs),
	    cmocka_unit_test(a_silent_run_begins_when_the_kernel_is_busy),
	    cmocka_unit_test(stopping_what_waits_ends_it_at_once),
	    cmocka_unit_test(a_timeout_outranks_an_interrupt),
	    cmocka_unit_test(done_before_the_deadline_stops_every_timer),
	    cmocka_unit_test(a_client_that_stalls_does_not_keep_a_run_from_stopping),
	    cmocka_unit_test(a_request_that_cannot_be_sent_ends_its_run),
	    cmocka_unit_test(what_becomes_of_orphans),
	    cmocka_unit_test(one_of_two_clients_is_no_orphan),
	};

	return cmocka_run_group_tests_name("gw/exec stop", tests, NULL, NULL);
}
