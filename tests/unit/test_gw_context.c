/* Unit test of gateway/context: the queue, kernels that die or do not start, restart,
 * deletion, waiting. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gw_rig.h"
#include "wire/base/err.h"
#include "wire/msg.h"

static const struct gw_ctx_request any = {.language = NULL};

static void
runs_are_one_at_a_time_in_order(void **state)
{
	struct rig *r = rig_ready();
	struct km_kernel *k = paper_newest();
	const char *codes[] = {"a", "b", "c"};
	struct gw_exec *ex[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		ex[i] = rig_exec(r->ctx, codes[i], NULL);
	for (unsigned i = 0; i < 3; i++) {
		rig_settle(r);
		assert_int_equal(k->executes_n, i + 1);
		assert_string_equal(json_string_value(json_object_get(k->content, "code")),
		                    codes[i]);
		assert_ptr_equal(gw_ctx_first(r->ctx), ex[i]);
		assert_int_equal(gw_exec_position(ex[2]), 2 - i);
		assert_int_equal(gw_metric[GW_M_EXECUTIONS_QUEUED], 2 - i);
		assert_int_equal(gw_metric[GW_M_EXECUTIONS_RUNNING], 1);
		paper_finish(k, i == 1 ? "error" : "ok"); /* an error stops nobody */
	}
	rig_settle(r);
	assert_int_equal(gw_metric[GW_M_EXECUTIONS_RUNNING], 0);
	assert_int_equal(gw_exec_position(ex[2]), 0);
	assert_int_equal(gw_metric_done[GW_DONE_OK], 2);
	assert_int_equal(gw_metric_done[GW_DONE_ERROR], 1);
	rig_free(r);
}

static void
a_run_waits_for_the_kernel_to_answer(void **state)
{
	struct rig *r = rig_new();
	struct tape *t = tape_new();

	(void)state;
	assert_string_equal(gw_core_not_ready(r->core),
	                    "the default Python kernel has not answered yet");
	assert_string_equal(gw_ctx_state(r->ctx), "starting");
	(void)rig_exec(r->ctx, "1", t);
	rig_settle(r);
	assert_string_equal(tape_text(t), "1 accepted 0");
	assert_null(gw_ctx_kernel(r->ctx));
	paper_ready(paper_newest());
	rig_settle(r);
	assert_null(gw_core_not_ready(r->core));
	assert_int_equal(paper_newest()->executes_n, 1);
	assert_string_equal(gw_ctx_state(r->ctx), "busy");
	paper_finish(paper_newest(), "ok");
	rig_settle(r);
	assert_int_equal(t->how, GW_DONE_OK);
	tape_free(t);
	rig_free(r);
}

static void
only_the_default_python_context_makes_it_ready(void **state)
{
	struct rig *r = rig_new();
	const struct gw_sandbox_request rq = {.name = "other"};
	struct gw_sandbox *sb;
	struct gw_ctx *c;
	struct err err;

	(void)state;
	assert_int_equal(gw_sandbox_new(r->core, &rq, &sb, &err), 0);
	assert_int_equal(gw_ctx_default(sb, NULL, &c, &err), 0);
	paper_ready(paper_newest());
	rig_settle(r);
	assert_non_null(gw_core_not_ready(r->core));
	paper_ready(list_entry(paper_kernels.next, struct km_kernel, node));
	rig_settle(r);
	assert_null(gw_core_not_ready(r->core));
	gw_core_drain(r->core);
	assert_string_equal(gw_core_not_ready(r->core), "the gateway is stopping");
	rig_free(r);
}

/* --- death ------------------------------------------------------------------------------ */

static void
death_while_running_ends_that_run_only(void **state)
{
	struct rig *r = rig_ready();
	struct tape *t = tape_new();
	struct tape *next = tape_new();
	struct km_kernel *k = paper_newest();

	(void)state;
	(void)rig_exec(r->ctx, "1", t);
	(void)rig_exec(r->ctx, "2", next);
	rig_settle(r);
	paper_input(k, 1);
	paper_print(k, "last words");
	paper_die(k, "signal 11");
	rig_settle(r);
	assert_string_equal(tape_text(t), "1 accepted 0|2 started 1|3 stdout last words|"
	                                  "4 error KernelDied: kernel died: signal 11|"
	                                  "5 done kernel_died: kernel died: signal 11");
	assert_string_equal(tape_text(next), "1 accepted 1");
	assert_int_equal(paper_count(), 1); /* the next one */
	assert_int_equal(gw_metric[GW_M_KERNEL_DEATHS], 1);
	paper_ready(paper_newest());
	rig_settle(r);
	paper_finish(paper_newest(), "ok");
	rig_settle(r);
	assert_string_equal(tape_text(next), "1 accepted 1|2 done ok");
	tape_free(t);
	tape_free(next);
	rig_free(r);
}

static void
death_while_idle_costs_nobody_anything(void **state)
{
	struct rig *r = rig_ready();
	struct tape *t = tape_new();

	(void)state;
	paper_die(paper_newest(), "signal 9");
	rig_settle(r);
	assert_int_equal(paper_count(), 0); /* lazily */
	assert_false(gw_ctx_is_active(r->ctx));
	assert_string_equal(gw_ctx_state(r->ctx), "none");
	(void)rig_exec(r->ctx, "1", t);
	rig_settle(r);
	assert_true(gw_ctx_is_active(r->ctx));
	while (paper_obey())
		rig_settle(r);
	assert_int_equal(t->how, GW_DONE_OK);
	tape_free(t);
	rig_free(r);
}

static void
a_start_that_fails_fails_the_queue(void **state)
{
	struct rig *r = rig_new();
	struct tape *t[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		t[i] = tape_new();
		(void)rig_exec(r->ctx, "1", t[i]);
	}
	rig_settle(r);
	paper_die(paper_newest(), "exit code 1: no module named ipykernel");
	rig_settle(r);
	for (unsigned i = 0; i < 3; i++) {
		assert_non_null(
		    strstr(tape_text(t[i]),
		           "|2 error KernelDied: kernel 'python3' could not start: "
		           "exit code 1: no module named ipykernel|3 done kernel_died"));
		tape_free(t[i]);
	}
	assert_int_equal(paper_count(), 0); /* it is not tried again by itself */
	rig_free(r);
}

static void
a_launch_that_fails_fails_the_queue(void **state)
{
	struct rig *r = rig_ready();
	struct tape *t = tape_new();
	struct tape *later = tape_new();

	(void)state;
	paper_die(paper_newest(), "signal 9");
	paper_start_rc = -ENOENT;
	(void)rig_exec(r->ctx, "1", t);
	rig_settle(r);
	assert_string_equal(tape_text(t), "1 accepted 0|2 error KernelDied: no such program|"
	                                  "3 done kernel_died: no such program");
	paper_start_rc = 0;
	(void)rig_exec(r->ctx, "2", later);
	rig_settle(r);
	while (paper_obey())
		rig_settle(r);
	assert_int_equal(later->how, GW_DONE_OK);
	tape_free(t);
	tape_free(later);
	rig_free(r);
}

static void
output_of_nobody_is_counted(void **state)
{
	struct rig *r = rig_ready();
	struct km_kernel *k = paper_newest();
	const struct wire_msg late = {.type = "stream"};
	const struct wire_msg status = {.type = "status"};

	(void)state;
	k->ops.stray(k->arg, &late);
	k->ops.stray(k->arg, &status);
	assert_int_equal(gw_metric[GW_M_LATE_OUTPUT], 1);
	rig_free(r);
}

/* --- deletion and restart --------------------------------------------------------------- */

static void
deletion_ends_all_of_it(void **state)
{
	struct rig *r = rig_ready();
	struct tape *a = tape_new();
	struct tape *b = tape_new();
	struct km_kernel *k = paper_newest();
	struct gw_exec *ex = rig_exec(r->ctx, "1", a);
	char id[40];

	(void)state;
	(void)rig_exec(r->ctx, "2", b);
	rig_settle(r);
	(void)snprintf(id, sizeof(id), "%s", gw_ctx_id(r->ctx));
	assert_ptr_equal(gw_ctx_find(r->sandbox, id), r->ctx);
	assert_ptr_equal(gw_ctx_find_any(r->core, id), r->ctx);
	gw_ctx_delete(r->ctx);
	assert_null(gw_ctx_find(r->sandbox, id));
	assert_null(gw_ctx_find(r->sandbox, "default"));
	assert_int_equal(k->stops_n, 1);
	assert_int_equal(gw_core_kernels(r->core), 1); /* on its way out */
	assert_int_equal(gw_exec_position(ex), 0);     /* kept, of no context */
	rig_settle(r);
	assert_string_equal(tape_text(a), "1 accepted 0|2 done aborted: context deleted");
	assert_string_equal(tape_text(b), "1 accepted 1|2 done aborted: context deleted");
	paper_print(k, "too late"); /* nobody is there */
	paper_die(k, "signal 15");
	rig_settle(r);
	assert_int_equal(gw_core_kernels(r->core), 0);
	assert_int_equal(gw_metric[GW_M_CONTEXTS], 0);
	tape_free(a);
	tape_free(b);
	rig_free(r);
}

static void
a_restart_is_a_fresh_kernel_under_the_same_id(void **state)
{
	struct rig *r = rig_ready();
	struct tape *t = tape_new();
	struct tape *next = tape_new();
	struct km_kernel *old = paper_newest();
	struct err err;

	(void)state;
	(void)rig_exec(r->ctx, "1", t);
	rig_settle(r);
	assert_int_equal(gw_ctx_restart(r->ctx, &err), 0);
	assert_int_equal(old->stops_n, 1);
	assert_ptr_not_equal(paper_newest(), old);
	(void)rig_exec(r->ctx, "2", next);
	paper_ready(paper_newest()); /* before the old one is gone */
	rig_settle(r);
	assert_string_equal(tape_text(t), "1 accepted 0|2 done aborted: context restarted");
	paper_die(old, "signal 9");
	rig_settle(r);
	assert_int_equal(gw_ctx_first(r->ctx)->state, GW_EXEC_RUNNING);
	paper_finish(paper_newest(), "ok");
	rig_settle(r);
	assert_int_equal(next->how, GW_DONE_OK);
	tape_free(t);
	tape_free(next);
	rig_free(r);
}

/* --- waiting ---------------------------------------------------------------------------- */

static void
who_waits_is_told_once(void **state)
{
	struct rig *r = rig_new();
	struct waiter w, ready, gone;

	(void)state;
	rig_wait(r->ctx, &w);
	rig_wait(r->ctx, &gone);
	gw_ctx_wait_cancel(&gone.w);
	gw_ctx_wait_cancel(&gone.w);
	rig_settle(r);
	assert_int_equal(w.calls_n, 0);
	paper_ready(paper_newest());
	assert_int_equal(w.calls_n, 0);
	rig_settle(r);
	assert_int_equal(w.calls_n, 1);
	assert_int_equal(w.status, 0);
	gw_ctx_wait_cancel(&w.w);
	rig_wait(r->ctx, &ready);           /* it answers already */
	assert_int_equal(ready.calls_n, 0); /* later, never at once */
	rig_settle(r);
	assert_int_equal(ready.status, 0);
	assert_int_equal(gone.calls_n, 0);
	rig_free(r);
}

static void
who_waits_makes_a_kernel_start(void **state)
{
	struct rig *r = rig_ready();
	struct waiter w;

	(void)state;
	paper_die(paper_newest(), "signal 9");
	rig_settle(r);
	rig_wait(r->ctx, &w);
	rig_settle(r);
	assert_int_equal(paper_count(), 1);
	paper_ready(paper_newest());
	rig_settle(r);
	assert_int_equal(w.calls_n, 1);
	assert_int_equal(w.status, 0);
	rig_free(r);
}

static void
who_waits_for_a_dying_kernel_gets_the_next(void **state)
{
	struct rig *r = rig_ready();
	struct waiter w;

	(void)state;
	km_kernel_kill(paper_newest());
	rig_wait(r->ctx, &w);
	rig_settle(r);
	assert_int_equal(w.calls_n, 0);
	paper_die(paper_newest(), "signal 9");
	rig_settle(r);
	assert_int_equal(w.calls_n, 0);
	paper_ready(paper_newest());
	rig_settle(r);
	assert_int_equal(w.status, 0);
	rig_free(r);
}

static void
who_waits_is_told_of_failure(void **state)
{
	struct rig *r = rig_new();
	struct waiter w[4];
	struct err err;

	(void)state;
	rig_wait(r->ctx, &w[0]);
	paper_die(paper_newest(), "exit code 1");
	rig_settle(r);
	assert_string_equal(w[0].why, "kernel 'python3' could not start: exit code 1");
	paper_start_rc = -EBUSY;
	paper_start_why = "no sockets left";
	rig_wait(r->ctx, &w[1]);
	rig_settle(r);
	assert_string_equal(w[1].why, "no sockets left");
	paper_start_rc = 0;
	rig_wait(r->ctx, &w[2]);
	rig_settle(r);
	paper_start_rc = -EBUSY;
	assert_int_equal(gw_ctx_restart(r->ctx, &err), -EBUSY);
	rig_settle(r);
	assert_string_equal(w[2].why, "no sockets left");
	paper_start_rc = 0;
	rig_wait(r->ctx, &w[3]);
	gw_ctx_delete(r->ctx);
	assert_string_equal(w[3].why, "context deleted");
	rig_settle(r);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(w[i].calls_n, 1);
		assert_int_equal(w[i].status, -EIO);
	}
	rig_free(r);
}

/* A context that its client hears of only when it answers. */
static void
a_provisional_context_goes_when_it_cannot_start(void **state)
{
	struct rig *r = rig_ready();
	struct waiter w;
	struct gw_ctx *c;
	struct err err;

	(void)state;
	assert_int_equal(gw_ctx_new(r->sandbox, &any, &c, &err), 0);
	gw_ctx_set_provisional(c);
	rig_wait(c, &w);
	paper_die(paper_newest(), "exit code 1");
	rig_settle(r);
	assert_int_equal(w.calls_n, 1);
	assert_int_equal(w.status, -EIO);
	assert_int_equal(gw_metric[GW_M_CONTEXTS], 1); /* the default one */

	assert_int_equal(gw_ctx_new(r->sandbox, &any, &c, &err), 0);
	gw_ctx_set_provisional(c);
	paper_ready(paper_newest());
	rig_settle(r);
	paper_die(paper_newest(), "signal 9"); /* it was told of: it stays */
	rig_settle(r);
	assert_int_equal(gw_metric[GW_M_CONTEXTS], 2);
	rig_free(r);
}

/* --- making ----------------------------------------------------------------------------- */

static void
what_a_context_may_be(void **state)
{
	struct rig *r = rig_ready();
	struct gw_ctx *c;
	struct gw_ctx *again;
	struct err err;
	char spec[512];

	(void)state;
	assert_int_equal(gw_ctx_new(r->sandbox, &any, &c, &err), 0);
	assert_string_equal(gw_ctx_language(c), "python");
	assert_string_equal(gw_ctx_cwd(c), r->sandbox->home);
	assert_string_equal(paper_newest()->cwd, r->sandbox->home);
	assert_false(gw_ctx_is_default(c));
	assert_ptr_equal(gw_ctx_sandbox(c), r->sandbox);
	assert_int_equal(gw_ctx_new(r->sandbox,
	                            &(struct gw_ctx_request){.language = "python3", .cwd = "/"},
	                            &c, &err),
	                 0);
	assert_string_equal(gw_ctx_cwd(c), "/");
	assert_string_equal(gw_ctx_language(c), "python");

	assert_int_equal(
	    gw_ctx_new(r->sandbox, &(struct gw_ctx_request){.language = "cobol"}, &c, &err),
	    -ENOENT);
	assert_int_equal(gw_ctx_new(r->sandbox,
	                            &(struct gw_ctx_request){.language = "../python3"}, &c,
	                            &err),
	                 -EINVAL);
	assert_int_equal(
	    gw_ctx_new(r->sandbox, &(struct gw_ctx_request){.cwd = "relative"}, &c, &err),
	    -EINVAL);
	assert_int_equal(
	    gw_ctx_new(r->sandbox, &(struct gw_ctx_request){.cwd = "/no/such"}, &c, &err),
	    -EINVAL);
	assert_non_null(strstr(err.text, "/no/such"));
	(void)snprintf(spec, sizeof(spec), "%s/share/jupyter/kernels/python3/kernel.json",
	               r->dir);
	assert_int_equal(
	    gw_ctx_new(r->sandbox, &(struct gw_ctx_request){.cwd = spec}, &c, &err), -EINVAL);

	assert_int_equal(gw_ctx_default(r->sandbox, "python", &again, &err), 0);
	assert_ptr_equal(again, r->ctx);
	assert_int_equal(gw_ctx_default(r->sandbox, "", &again, &err), 0);
	assert_ptr_equal(again, r->ctx);
	assert_null(gw_ctx_find(r->sandbox, "nobody"));
	assert_int_equal(gw_metric[GW_M_CONTEXTS], 3);
	rig_free(r);
}

static void
contexts_have_limits(void **state)
{
	struct rig *r = rig_ready();
	struct gw_ctx *c;
	struct err err;

	(void)state;
	paper_start_rc = -EBUSY;
	assert_int_equal(gw_ctx_new(r->sandbox, &any, &c, &err), -EBUSY);
	paper_start_rc = 0;
	assert_int_equal(gw_metric[GW_M_CONTEXTS], 1); /* nothing is left behind */
	r->cfg->max_contexts = 2;
	assert_int_equal(gw_ctx_new(r->sandbox, &any, &c, &err), 0);
	assert_int_equal(gw_ctx_new(r->sandbox, &any, &c, &err), -EBUSY);
	assert_non_null(strstr(err.text, "max_contexts"));
	gw_sandbox_stop(r->sandbox, "stopped");
	assert_int_equal(gw_metric[GW_M_CONTEXTS], 0);
	assert_int_equal(gw_ctx_new(r->sandbox, &any, &c, &err), -EINVAL);
	gw_sandbox_start(r->sandbox);
	assert_int_equal(gw_ctx_new(r->sandbox, &any, &c, &err), 0);
	gw_core_drain(r->core);
	assert_int_equal(gw_ctx_new(r->sandbox, &any, &c, &err), -ECANCELED);
	rig_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(runs_are_one_at_a_time_in_order),
	    cmocka_unit_test(a_run_waits_for_the_kernel_to_answer),
	    cmocka_unit_test(only_the_default_python_context_makes_it_ready),
	    cmocka_unit_test(death_while_running_ends_that_run_only),
	    cmocka_unit_test(death_while_idle_costs_nobody_anything),
	    cmocka_unit_test(a_start_that_fails_fails_the_queue),
	    cmocka_unit_test(a_launch_that_fails_fails_the_queue),
	    cmocka_unit_test(output_of_nobody_is_counted),
	    cmocka_unit_test(deletion_ends_all_of_it),
	    cmocka_unit_test(a_restart_is_a_fresh_kernel_under_the_same_id),
	    cmocka_unit_test(who_waits_is_told_once),
	    cmocka_unit_test(who_waits_makes_a_kernel_start),
	    cmocka_unit_test(who_waits_for_a_dying_kernel_gets_the_next),
	    cmocka_unit_test(who_waits_is_told_of_failure),
	    cmocka_unit_test(a_provisional_context_goes_when_it_cannot_start),
	    cmocka_unit_test(what_a_context_may_be),
	    cmocka_unit_test(contexts_have_limits),
	};

	return cmocka_run_group_tests_name("gw/context", tests, NULL, NULL);
}
