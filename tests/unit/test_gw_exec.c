/* Unit test of gateway/exec: what a kernel says becomes events, and how runs end. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gw_rig.h"
#include "tests/unit/km_run.h"
#include "wire/base/err.h"

static void
table_of_states(void **state)
{
	(void)state;
	for (unsigned st = 0; st < GW_EXEC_DONE; st++)
		assert_true(gw_exec_may((enum gw_exec_state)st, GW_EXEC_DONE));
	for (unsigned st = 0; st < GW_EXEC_N; st++) {
		assert_false(gw_exec_may(GW_EXEC_DONE, (enum gw_exec_state)st));
		assert_false(gw_exec_may((enum gw_exec_state)st, GW_EXEC_QUEUED));
	}
	assert_true(gw_exec_may(GW_EXEC_QUEUED, GW_EXEC_RUNNING));
	assert_false(gw_exec_may(GW_EXEC_QUEUED, GW_EXEC_STOPPING));
	assert_true(gw_exec_may(GW_EXEC_RUNNING, GW_EXEC_STOPPING));
	assert_string_equal(gw_exec_state_name(GW_EXEC_STOPPING), "stopping");
}

static void
a_run_from_accepted_to_done(void **state)
{
	struct rig *r = rig_ready();
	struct tape *t = tape_new();
	struct gw_exec *ex = rig_exec(r->ctx, "1", t);
	struct km_kernel *k;

	(void)state;
	assert_int_equal(t->events_n, 0); /* later, never at once */
	rig_settle(r);
	k = paper_newest();
	assert_string_equal(tape_text(t), "1 accepted 0");
	assert_int_equal(k->executes_n, 1);
	assert_string_equal(json_string_value(json_object_get(k->content, "code")), "1");
	assert_true(json_is_true(json_object_get(k->content, "store_history")));
	assert_true(json_is_false(json_object_get(k->content, "silent")));
	assert_true(json_is_true(json_object_get(k->content, "stop_on_error")));
	assert_true(json_is_false(json_object_get(k->content, "allow_stdin")));
	assert_int_equal(json_object_size(json_object_get(k->metadata, "kernelbridge")), 1);
	assert_string_equal(rig_meta(k, "stdin"), "deny");
	assert_ptr_equal(gw_exec_find(r->core, gw_exec_id(ex)), ex);
	assert_ptr_equal(gw_ctx_first(r->ctx), ex);
	paper_input(k, 7);
	paper_print(k, "hi\n");
	paper_say(k, "execute_result",
	          json_pack("{s:i, s:{s:s}, s:{}}", "execution_count", 7, "data", "text/plain",
	                    "1", "metadata"),
	          NULL);
	rig_settle(r);
	paper_reply(k, json_pack("{s:s, s:i}", "status", "ok", "execution_count", 7));
	rig_settle(r);
	assert_int_equal(t->done_n, 0); /* the reply is half of it */
	paper_done(k, 0);
	rig_settle(r);
	assert_string_equal(tape_text(t), "1 accepted 0|2 started 7|3 stdout hi\n|"
	                                  "4 result {\"text/plain\":\"1\"}|5 done ok");
	assert_null(gw_ctx_first(r->ctx));
	assert_ptr_equal(gw_exec_find(r->core, gw_exec_id(ex)), ex); /* kept */
	tape_free(t);
	rig_free(r);
}

static void
envs_and_silent_travel(void **state)
{
	struct rig *r = rig_ready();
	json_t *envs = json_pack("{s:s, s:s}", "A", "it's \"x\"\n", "B", "");
	const struct gw_exec_request rq = {
	    .code = "a\0b", .code_len = 3, .envs = envs, .silent = true};
	struct km_kernel *k = paper_newest();
	struct tape *t = tape_new();
	const json_t *sent;

	(void)state;
	(void)rig_exec_with(r->ctx, &rq, t);
	json_object_set_new(envs, "A", json_string("changed later"));
	json_decref(envs);
	rig_settle(r);
	assert_int_equal(json_string_length(json_object_get(k->content, "code")), 3);
	assert_true(json_is_true(json_object_get(k->content, "silent")));
	assert_true(json_is_false(json_object_get(k->content, "store_history")));
	sent = json_object_get(json_object_get(k->metadata, "kernelbridge"), "env");
	assert_int_equal(json_object_size(sent), 2);
	assert_string_equal(json_string_value(json_object_get(sent, "A")), "it's \"x\"\n");
	paper_finish(k, "ok");
	rig_settle(r);
	assert_string_equal(tape_text(t), "1 accepted 0|2 done ok");
	tape_free(t);
	rig_free(r);
}

static json_t *
error_content(json_t *traceback)
{
	return json_pack("{s:s, s:s, s:o}", "ename", "E", "evalue", "v", "traceback",
	                 traceback);
}

/* One run whose kernel says one thing; what the tape holds of it. */
static void
one_message_is(const char *type, json_t *content, json_t *metadata, const char *want)
{
	struct rig *r = rig_ready();
	struct tape *t = tape_new();
	struct km_kernel *k = paper_newest();

	(void)rig_exec(r->ctx, "1", t);
	rig_settle(r);
	paper_say(k, type, content, metadata);
	paper_finish(k, "ok");
	rig_settle(r);
	if (strcmp(tape_text(t), want) != 0)
		fail_msg("%s: \"%s\" instead of \"%s\"", type, tape_text(t), want);
	tape_free(t);
	rig_free(r);
}

static void
messages_become_events(void **state)
{
	(void)state;
	one_message_is("stream", json_pack("{s:s, s:s}", "name", "stderr", "text", "e"), NULL,
	               "1 accepted 0|2 stderr e|3 done ok");
	one_message_is("stream", json_pack("{s:s}", "text", "no name"), NULL,
	               "1 accepted 0|2 stdout no name|3 done ok");
	one_message_is("stream", json_pack("{s:s, s:s}", "name", "stdout", "text", ""), NULL,
	               "1 accepted 0|2 done ok");
	one_message_is("stream", json_pack("{s:s, s:i}", "name", "stdout", "text", 1), NULL,
	               "1 accepted 0|2 done ok");
	one_message_is("display_data",
	               json_pack("{s:{s:s}, s:{s:s}}", "data", "text/html", "<b>", "transient",
	                         "display_id", "d1"),
	               NULL, "1 accepted 0|2 display d1 {\"text/html\":\"<b>\"}|3 done ok");
	one_message_is("display_data", json_pack("{s:s}", "data", "no bundle"), NULL,
	               "1 accepted 0|2 done ok");
	one_message_is("update_display_data",
	               json_pack("{s:{s:{s:i}}, s:{s:s}}", "data", "application/json", "a", 1,
	                         "transient", "display_id", "d1"),
	               NULL,
	               "1 accepted 0|2 update d1 {\"application/json\":{\"a\":1}}|3 done ok");
	one_message_is("clear_output", json_pack("{s:b}", "wait", 1), NULL,
	               "1 accepted 0|2 clear wait|3 done ok");
	one_message_is("clear_output", json_object(), NULL, "1 accepted 0|2 clear|3 done ok");
	one_message_is("status", json_pack("{s:s}", "execution_state", "busy"), NULL,
	               "1 accepted 0|2 done ok");
	one_message_is("comm_open", json_object(), NULL, "1 accepted 0|2 done ok");
}

static void
errors_become_events(void **state)
{
	(void)state;
	one_message_is("error", error_content(json_pack("[s, s]", "a", "b")), NULL,
	               "1 accepted 0|2 error E: v [\"a\",\"b\"]|3 done error");
	one_message_is("error", error_content(json_string("one string")), NULL,
	               "1 accepted 0|2 error E: v [\"one string\"]|3 done error");
	one_message_is("error", error_content(json_null()), NULL,
	               "1 accepted 0|2 error E: v []|3 done error");
	one_message_is("error", json_object(), NULL, "1 accepted 0|2 error :  []|3 done error");
	one_message_is("error", error_content(json_array()),
	               json_pack("{s:{s:s, s:s, s:s}}", "kernelbridge", "name", "E", "value",
	                         "v", "traceback", "E: v\n"),
	               "1 accepted 0|2 error E: v [] plain|3 done error");
	/* half of what our kernel sends: not ours */
	one_message_is("error", error_content(json_array()),
	               json_pack("{s:{s:s}}", "kernelbridge", "traceback", "E: v\n"),
	               "1 accepted 0|2 error E: v []|3 done error");
}

static void
an_error_value_may_hold_a_nul(void **state)
{
	struct rig *r = rig_ready();
	struct tape *t = tape_new();
	struct gw_exec *ex = rig_exec(r->ctx, "1", t);
	struct km_kernel *k = paper_newest();
	const struct gw_event *ev;

	(void)state;
	rig_settle(r);
	paper_say(k, "error",
	          json_pack("{s:s, s:s%, s:[]}", "ename", "E", "evalue", "a\0b", (size_t)3,
	                    "traceback"),
	          NULL);
	ev = gw_evlog_after(&ex->log, 1);
	assert_int_equal(ev->kind, GW_EV_ERROR);
	assert_int_equal(ev->text.len, 3);
	assert_memory_equal(ev->text.ptr, "a\0b", 3);
	paper_finish(k, "error");
	rig_settle(r);
	tape_free(t);
	rig_free(r);
}

/* How a run ends by what the kernel replied. */
static void
replies_decide_how_it_ends(void **state)
{
	static const struct {
		const char *why;
		const char *reply;
		const char *want;
	} cases[] = {
	    {"ok", "{\"status\": \"ok\"}", "1 accepted 0|2 done ok"},
	    {"error only in the reply (Deno)",
	     "{\"status\": \"error\", \"ename\": \"Error\", \"evalue\": \"x\", "
	     "\"traceback\": []}",
	     "1 accepted 0|2 error Error: x []|3 done error"},
	    {"traceback as a string in the reply",
	     "{\"status\": \"error\", \"ename\": \"Error\", \"evalue\": \"x\", "
	     "\"traceback\": \"tb\"}",
	     "1 accepted 0|2 error Error: x [\"tb\"]|3 done error"},
	    {"aborted without a count", "{\"status\": \"aborted\"}",
	     "1 accepted 0|2 done aborted: the kernel aborted it"},
	    {"abort (IRkernel)", "{\"status\": \"abort\"}",
	     "1 accepted 0|2 done aborted: the kernel aborted it"},
	    {"no status", "{}", "1 accepted 0|2 done aborted: the kernel aborted it"},
	    {"status is no string", "{\"status\": 1}",
	     "1 accepted 0|2 done aborted: the kernel aborted it"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig *r = rig_ready();
		struct tape *t = tape_new();

		(void)rig_exec(r->ctx, "1", t);
		rig_settle(r);
		paper_reply(paper_newest(), json_loads(cases[i].reply, 0, NULL));
		paper_done(paper_newest(), 0);
		rig_settle(r);
		if (strcmp(tape_text(t), cases[i].want) != 0)
			fail_msg("%s: \"%s\"", cases[i].why, tape_text(t));
		tape_free(t);
		rig_free(r);
	}
}

static void
the_first_error_in_iopub_is_not_told_twice(void **state)
{
	struct rig *r = rig_ready();
	struct tape *t = tape_new();
	struct km_kernel *k = paper_newest();

	(void)state;
	(void)rig_exec(r->ctx, "1", t);
	rig_settle(r);
	paper_say(k, "error", error_content(json_array()), NULL);
	paper_reply(k, json_pack("{s:s, s:s, s:s, s:[]}", "status", "error", "ename", "E",
	                         "evalue", "v", "traceback"));
	paper_done(k, 0);
	rig_settle(r);
	assert_string_equal(tape_text(t), "1 accepted 0|2 error E: v []|3 done error");
	tape_free(t);
	rig_free(r);
}

static void
a_kernel_that_goes_idle_without_a_reply(void **state)
{
	struct rig *r = rig_ready();
	struct tape *t = tape_new();
	struct tape *next = tape_new();

	(void)state;
	(void)rig_exec(r->ctx, "1", t);
	(void)rig_exec(r->ctx, "2", next);
	rig_settle(r);
	paper_done(paper_newest(), -EBADMSG);
	rig_settle(r);
	assert_string_equal(tape_text(t),
	                    "1 accepted 0|2 error KernelDied: the kernel gave no reply|"
	                    "3 done kernel_died: the kernel gave no reply");
	assert_int_equal(paper_newest()->executes_n, 2);
	paper_finish(paper_newest(), "ok");
	rig_settle(r);
	assert_int_equal(next->how, GW_DONE_OK);
	tape_free(t);
	tape_free(next);
	rig_free(r);
}

/* --- input ------------------------------------------------------------------------------ */

static void
ask_for_input(struct km_kernel *k, const char *prompt)
{
	paper_say(k, "input_request", json_pack("{s:s, s:b}", "prompt", prompt, "password", 1),
	          NULL);
}

static void
input_is_asked_for(void **state)
{
	struct rig *r = rig_ready();
	const struct gw_exec_request rq = {
	    .code = "1", .code_len = 1, .stdin_mode = GW_STDIN_ASK};
	struct km_kernel *k = paper_newest();
	struct tape *t = tape_new();
	struct gw_exec *ex = rig_exec_with(r->ctx, &rq, t);

	(void)state;
	assert_int_equal(gw_exec_input(ex, "x", 1), -ENOENT);
	rig_settle(r);
	assert_true(json_is_true(json_object_get(k->content, "allow_stdin")));
	assert_int_equal(gw_exec_input(ex, "x", 1), -ENOENT); /* not asked for */
	ask_for_input(k, "name? ");
	rig_settle(r);
	assert_int_equal(gw_exec_input(ex, "Ann", 3), 0);
	assert_string_equal(k->input, "Ann");
	assert_int_equal(gw_exec_input(ex, "Ann", 3), -ENOENT); /* once */
	ask_for_input(k, "");
	paper_reply(k, json_pack("{s:s}", "status", "ok"));
	assert_int_equal(gw_exec_input(ex, "late", 4), -ENOENT);
	paper_done(k, 0);
	rig_settle(r);
	assert_int_equal(gw_exec_input(ex, "later", 5), -ENOENT);
	assert_string_equal(tape_text(t), "1 accepted 0|2 input name?  secret|"
	                                  "3 input  secret|4 done ok");
	tape_free(t);
	rig_free(r);
}

static void
input_at_its_end(void **state)
{
	struct rig *r = rig_ready();
	const struct gw_exec_request rq = {
	    .code = "1", .code_len = 1, .stdin_mode = GW_STDIN_EOF};
	struct km_kernel *k = paper_newest();
	struct tape *t = tape_new();
	const struct gw_exec *ex = rig_exec_with(r->ctx, &rq, t);

	(void)state;
	rig_settle(r);
	assert_true(json_is_true(json_object_get(k->content, "allow_stdin")));
	ask_for_input(k, "name? ");
	assert_string_equal(k->input, "\x04");
	ask_for_input(k, ""); /* no prompt, no output */
	assert_int_equal(k->inputs_n, 2);
	assert_int_equal(ex->output_bytes, strlen("name? ")); /* it is output, so it counts */
	paper_finish(k, "ok");
	rig_settle(r);
	assert_string_equal(tape_text(t), "1 accepted 0|2 stdout name? |3 done ok");
	tape_free(t);
	rig_free(r);
}

/* --- limits ----------------------------------------------------------------------------- */

static void
the_queue_has_a_limit(void **state)
{
	struct rig *r = rig_ready();
	const struct gw_exec_request rq = {.code = "1", .code_len = 1};
	struct gw_exec *ex;
	struct err err;

	(void)state;
	r->cfg->max_queue = 3;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(gw_exec_position(rig_exec(r->ctx, "1", NULL)), i);
	assert_int_equal(gw_exec_new(r->ctx, &rq, &ex, &err), -EBUSY);
	assert_non_null(strstr(err.text, "3"));
	rig_settle(r);
	paper_finish(paper_newest(), "ok");
	rig_settle(r);
	assert_int_equal(gw_exec_new(r->ctx, &rq, &ex, &err), 0);
	gw_core_drain(r->core);
	assert_int_equal(gw_exec_new(r->ctx, &rq, &ex, &err), -ECANCELED);
	assert_int_equal(gw_core_executions(r->core), 3);
	while (paper_obey())
		rig_settle(r);
	assert_int_equal(gw_core_executions(r->core), 0);
	rig_free(r);
}

static void
output_over_its_limit_is_cut_and_told(void **state)
{
	struct rig *r = rig_ready();
	struct tape *t = tape_new();
	struct km_kernel *k = paper_newest();

	(void)state;
	r->cfg->max_output_bytes = 10;
	(void)rig_exec(r->ctx, "1", t);
	rig_settle(r);
	paper_input(k, 1);
	paper_print(k, "0123456789"); /* all that is allowed */
	assert_int_equal(k->interrupts_n, 0);
	paper_print(k, "x");
	assert_int_equal(k->interrupts_n, 1);
	paper_print(k, "y");
	assert_int_equal(k->interrupts_n, 1); /* asked once, not per message */
	paper_finish(k, "error");
	rig_settle(r);
	assert_string_equal(tape_text(t), "1 accepted 0|2 started 1|3 stdout 0123456789|"
	                                  "4 error Interrupt: stop []|5 done overrun");
	tape_free(t);
	rig_free(r);
}

static void
a_cut_is_told_also_when_it_was_to_stop_anyway(void **state)
{
	struct rig *r = rig_ready();
	struct tape *t = tape_new();
	struct km_kernel *k = paper_newest();
	struct gw_exec *ex;

	(void)state;
	r->cfg->max_output_bytes = 10;
	ex = rig_exec(r->ctx, "1", t);
	rig_settle(r);
	paper_input(k, 1);
	gw_exec_stop(ex, GW_DONE_INTERRUPTED, 0);
	paper_print(k, "0123456789+");
	paper_finish(k, "error");
	rig_settle(r);
	assert_string_equal(tape_text(t), "1 accepted 0|2 started 1|"
	                                  "3 error Interrupt: stop []|4 done overrun");
	tape_free(t);
	rig_free(r);
}

static unsigned
kept(const struct rig *r)
{
	return (unsigned)r->core->kept_n;
}

static bool
two_are_kept(void *arg)
{
	return kept(arg) == 2;
}

static void
old_ones_are_forgotten_but_not_while_read(void **state)
{
	struct rig *r = rig_ready();
	struct tape *reader = tape_new();
	char id[3][40];
	struct gw_exec *ex;

	(void)state;
	r->cfg->keep_executions = 2;
	reader->stalls = true;
	for (unsigned i = 0; i < 3; i++) {
		ex = rig_exec(r->ctx, "1", i == 0 ? reader : NULL);
		memcpy(id[i], gw_exec_id(ex), sizeof(id[i]));
		rig_settle(r);
		paper_finish(paper_newest(), "ok");
		rig_settle(r);
	}
	assert_true(run_until(r->lp, two_are_kept, r));
	assert_non_null(gw_exec_find(r->core, id[0])); /* it is being read */
	assert_null(gw_exec_find(r->core, id[1]));
	assert_non_null(gw_exec_find(r->core, id[2]));
	tape_free(reader);
	rig_free(r);
}

static bool
none_is_kept(void *arg)
{
	return kept(arg) == 0;
}

static void
large_ones_are_forgotten_early(void **state)
{
	struct rig *r = rig_ready();
	char text[5000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	r->cfg->keep_executions_bytes = sizeof(text) / 2;
	(void)rig_exec(r->ctx, "1", NULL);
	rig_settle(r);
	paper_print(paper_newest(), text);
	paper_finish(paper_newest(), "ok");
	assert_int_equal(kept(r), 1);
	assert_true(run_until(r->lp, none_is_kept, r));
	rig_free(r);
}

static bool
is_forgotten(void *arg)
{
	struct rig *r = arg;

	return gw_metric[GW_M_EVENTS_BYTES] <= (int64_t)r->cfg->keep_executions_bytes;
}

static void
kept_ones_have_a_limit_in_bytes(void **state)
{
	static char text[100001];
	struct rig *r = rig_ready();
	char first[40];
	const struct gw_exec *ex = NULL;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	r->cfg->keep_executions_bytes = 250000;
	for (unsigned i = 0; i < 4; i++) {
		ex = rig_exec(r->ctx, "1", NULL);
		if (i == 0)
			memcpy(first, gw_exec_id(ex), sizeof(first));
		rig_settle(r);
		paper_print(paper_newest(), text);
		paper_finish(paper_newest(), "ok");
		rig_settle(r);
	}
	assert_true(run_until(r->lp, is_forgotten, r));
	assert_int_equal(kept(r), 2);
	assert_null(gw_exec_find(r->core, first));
	assert_ptr_equal(gw_exec_find(r->core, gw_exec_id(ex)), ex);
	rig_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table_of_states),
	    cmocka_unit_test(a_run_from_accepted_to_done),
	    cmocka_unit_test(envs_and_silent_travel),
	    cmocka_unit_test(messages_become_events),
	    cmocka_unit_test(errors_become_events),
	    cmocka_unit_test(an_error_value_may_hold_a_nul),
	    cmocka_unit_test(replies_decide_how_it_ends),
	    cmocka_unit_test(the_first_error_in_iopub_is_not_told_twice),
	    cmocka_unit_test(a_kernel_that_goes_idle_without_a_reply),
	    cmocka_unit_test(input_is_asked_for),
	    cmocka_unit_test(input_at_its_end),
	    cmocka_unit_test(large_ones_are_forgotten_early),
	    cmocka_unit_test(the_queue_has_a_limit),
	    cmocka_unit_test(output_over_its_limit_is_cut_and_told),
	    cmocka_unit_test(a_cut_is_told_also_when_it_was_to_stop_anyway),
	    cmocka_unit_test(kept_ones_have_a_limit_in_bytes),
	    cmocka_unit_test(old_ones_are_forgotten_but_not_while_read),
	};

	return cmocka_run_group_tests_name("gw/exec", tests, NULL, NULL);
}
