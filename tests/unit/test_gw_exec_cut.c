/* Unit test of gateway/exec_cut and exec_setup: kernels that cannot wait, slow clients. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/exec_feed.h"
#include "tests/unit/gw_rig.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define HELD  10000 /* kernel_buffer_bytes */
#define PIECE 3000

struct scene {
	struct rig *r;
	struct km_kernel *k;
	struct tape *t;
	struct gw_exec *ex;
};

/* A run whose reader stalls at its first event, of a kernel that cannot wait. */
static struct scene
scene_new(void)
{
	struct scene s = {.r = rig_ready(), .t = tape_new()};

	s.k = paper_newest();
	s.r->cfg->kernel_buffer_bytes = HELD;
	s.r->cfg->event_high_bytes = PIECE;
	s.t->stall_at = 1;
	s.ex = rig_exec(s.r->ctx, "1", s.t);
	rig_settle(s.r);
	s.k->waits = false; /* it runs already, so nobody tried to make it wait */
	return s;
}

static void
scene_free(struct scene *s)
{
	tape_free(s->t);
	rig_free(s->r);
}

static void
say(struct km_kernel *k, const char *stream, size_t len, const char *end)
{
	char text[PIECE + 1];

	assert_true(len <= PIECE);
	memset(text, 'x', len);
	memcpy(text + len - strlen(end), end, strlen(end));
	text[len] = '\0';
	paper_say(k, "stream", json_pack("{s:s, s:s}", "name", stream, "text", text), NULL);
}

static void
flood(struct scene *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		say(s->k, "stdout", PIECE, "\n");
	rig_settle(s->r);
}

static void
go_on(struct scene *s)
{
	gw_sink_resume(&s->t->sink);
	rig_settle(s->r);
}

static void
output_is_cut_and_marked_once(void **state)
{
	struct scene s = scene_new();
	int64_t before = gw_metric[GW_M_OUTPUT_CUT];

	(void)state;
	flood(&s, 10);
	assert_false(s.k->paused);
	assert_true(gw_exec_behind(s.ex) <= HELD + PIECE + 1000);
	paper_finish(s.k, "ok");
	rig_settle(s.r);
	assert_int_equal(s.t->done_n, 0);
	go_on(&s);
	assert_string_equal(tape_text(s.t), "1 accepted 0|2 stdout #12000|3 cut 18000 in 6|"
	                                    "4 done ok");
	assert_int_equal(gw_metric[GW_M_OUTPUT_CUT] - before, 6 * PIECE);
	scene_free(&s);
}

static void
a_reader_that_keeps_up_misses_nothing(void **state)
{
	struct scene s = scene_new();

	(void)state;
	go_on(&s);
	for (unsigned i = 0; i < 20; i++)
		flood(&s, 1);
	paper_finish(s.k, "ok");
	rig_settle(s.r);
	assert_int_equal(s.t->text_bytes, 20 * PIECE);
	assert_null(strstr(tape_text(s.t), "cut"));
	scene_free(&s);
}

static void
a_kernel_that_waits_is_not_cut(void **state)
{
	struct scene s = scene_new();

	(void)state;
	s.k->waits = true;
	flood(&s, 20);
	assert_true(s.k->paused);
	assert_int_equal(gw_metric[GW_M_KERNELS_PAUSED], 1);
	paper_finish(s.k, "ok");
	assert_int_equal(gw_metric[GW_M_KERNELS_PAUSED], 0);
	go_on(&s);
	assert_int_equal(s.t->text_bytes, 20 * PIECE);
	scene_free(&s);
}

static void
one_that_was_made_to_wait_is_paused(void **state)
{
	struct scene s = scene_new();

	(void)state;
	km_kernel_set_waits(s.k);
	flood(&s, 2);
	assert_true(s.k->paused);
	paper_finish(s.k, "ok");
	rig_settle(s.r);
	scene_free(&s);
}

/* The kernel says nothing more: the marker does not wait for what it says next. */
static void
output_goes_on_when_the_reader_caught_up(void **state)
{
	struct scene s = scene_new();

	(void)state;
	flood(&s, 5);
	go_on(&s);
	assert_string_equal(tape_text(s.t), "1 accepted 0|2 stdout #12000|3 cut 3000 in 1");
	s.t->stall_at = 3;
	flood(&s, 1);
	assert_non_null(strstr(tape_text(s.t), "|4 stdout #3000"));
	s.t->stalls = true; /* and a second time */
	flood(&s, 6);
	s.t->stalls = false;
	go_on(&s);
	paper_finish(s.k, "ok");
	rig_settle(s.r);
	assert_string_equal(strstr(tape_text(s.t), "|4 "),
	                    "|4 stdout #3000|5 stdout #12000|6 cut 6000 in 2|7 done ok");
	scene_free(&s);
}

static void
half_of_it_is_read_before_output_goes_on(void **state)
{
	struct scene s = scene_new();

	(void)state;
	for (unsigned i = 0; i < 4; i++) { /* four events, since they do not merge */
		say(s.k, i % 2 == 0 ? "stdout" : "stderr", PIECE, "\n");
		rig_settle(s.r);
	}
	flood(&s, 1);
	s.t->stall_at = 3; /* it takes two of the four */
	go_on(&s);
	flood(&s, 1);
	assert_null(strstr(tape_text(s.t), "cut"));
	s.t->stall_at = 4;
	go_on(&s);
	flood(&s, 1); /* this one is kept */
	s.t->stall_at = 0;
	go_on(&s);
	paper_finish(s.k, "ok");
	rig_settle(s.r);
	assert_string_equal(tape_text(s.t),
	                    "1 accepted 0|2 stdout #3000|3 stderr #3000|4 stdout #3000|"
	                    "5 stderr #3000|6 cut 6000 in 2|7 stdout #3000|8 done ok");
	scene_free(&s);
}

static json_t *
error_content(const char *name)
{
	return json_pack("{s:s, s:s, s:[]}", "ename", name, "evalue", "v", "traceback");
}

static json_t *
bundle_content(void)
{
	return json_pack("{s:{s:s}, s:{}, s:{s:s}}", "data", "text/plain", "x", "metadata",
	                 "transient", "display_id", "d");
}

/* Of what is no stream: the first error and what ends the run arrive, the rest counts. */
static void
errors_and_done_always_arrive(void **state)
{
	static const char *const lost[] = {"display_data", "update_display_data",
	                                   "execute_result", "clear_output"};
	struct scene s = scene_new();

	(void)state;
	paper_input(s.k, 3);
	flood(&s, 4);
	for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++)
		paper_say(s.k, lost[i], bundle_content(), NULL);
	paper_say(s.k, "error", error_content("First"), NULL);
	flood(&s, 1);
	paper_say(s.k, "error", error_content("Second"), NULL);
	paper_finish(s.k, "error");
	rig_settle(s.r);
	go_on(&s);
	assert_non_null(strstr(tape_text(s.t), "3 stdout #12000|4 cut "));
	assert_non_null(
	    strstr(tape_text(s.t), " in 4|5 error First: v []|6 cut 3001 in 2|7 done error"));
	scene_free(&s);
}

static void
a_death_and_a_timeout_are_told(void **state)
{
	struct scene s = scene_new();

	(void)state;
	flood(&s, 6);
	paper_die(s.k, "signal 9");
	rig_settle(s.r);
	go_on(&s);
	assert_non_null(strstr(tape_text(s.t), "|3 cut 6000 in 2|4 error KernelDied"));
	assert_int_equal(s.t->how, GW_DONE_KERNEL_DIED);
	assert_int_equal(s.t->done_n, 1);
	scene_free(&s);
}

/* What did not fit the sockets is gone with the kernel. */
static void
a_death_while_it_was_held_says_so(void **state)
{
	struct scene s = scene_new();

	(void)state;
	s.k->waits = true;
	flood(&s, 2);
	assert_true(s.k->paused);
	paper_die(s.k, "signal 9");
	rig_settle(s.r);
	go_on(&s);
	assert_non_null(strstr(tape_text(s.t),
	                       "done kernel_died: kernel died: signal 9; it waited for a slow "
	                       "client, so its last output may be missing"));
	scene_free(&s);
}

static void
every_reader_gets_the_same(void **state)
{
	struct scene s = scene_new();
	struct tape *fast = tape_new();

	(void)state;
	gw_sink_hook(&fast->sink, s.ex, 0);
	rig_settle(s.r);
	for (unsigned i = 0; i < 8; i++)
		flood(&s, 1);
	go_on(&s);
	paper_finish(s.k, "ok");
	rig_settle(s.r);
	assert_string_equal(strstr(tape_text(fast), "cut"), strstr(tape_text(s.t), "cut"));
	assert_int_equal(fast->text_bytes, s.t->text_bytes);
	tape_free(fast);
	scene_free(&s);
}

/* Each run that its client leaves unread takes room from the next one, down to event_high_bytes. */
static void
unread_runs_of_a_context_share_the_room(void **state)
{
	struct scene s = scene_new();
	struct tape *next = tape_new();

	(void)state;
	flood(&s, 3);
	paper_finish(s.k, "ok");
	next->stall_at = 1;
	s.k->waits = true;
	(void)rig_exec(s.r->ctx, "2", next);
	rig_settle(s.r);
	s.k->waits = false;
	flood(&s, 1);
	flood(&s, 1); /* it is over what is left, not over what one run may have */
	flood(&s, 1);
	tape_free(s.t); /* that client leaves */
	s.t = next;
	go_on(&s);
	next->stalls = true;
	flood(&s, 1);
	flood(&s, 3);
	next->stalls = false;
	paper_finish(s.k, "ok");
	go_on(&s);
	assert_string_equal(tape_text(next), "1 accepted 0|2 stdout #3000|3 cut 6000 in 2|"
	                                     "4 stdout #3000|5 stdout #9000|6 done ok");
	scene_free(&s);
}

/* --- made to wait by the table's code --------------------------------------------------- */

static const char *
code_of(const struct km_kernel *k)
{
	return json_string_value(json_object_get(k->content, "code"));
}

/* Starts a run in a kernel that does not wait; it was sent the table's code for that. */
static struct scene
unset_scene(void)
{
	struct scene s = {.r = rig_ready(), .t = tape_new(), .k = paper_newest()};

	s.k->waits = false;
	s.ex = rig_exec(s.r->ctx, "1", s.t);
	rig_settle(s.r);
	assert_non_null(strstr(code_of(s.k), "XPUB_NODROP"));
	assert_true(json_is_true(json_object_get(s.k->content, "silent")));
	assert_false(json_is_true(json_object_get(s.k->content, "store_history")));
	return s;
}

/* That said what it may, and the run is the kernel's first. */
static void
runs_as_first(struct scene *s, const char *reply)
{
	paper_print(s->k, "not the client's");
	paper_say(s->k, "error", error_content("Hidden"), NULL);
	paper_finish(s->k, reply);
	rig_settle(s->r);
	assert_string_equal(code_of(s->k), "1");
	paper_input(s->k, 1);
	paper_finish(s->k, "ok");
	rig_settle(s->r);
	assert_string_equal(tape_text(s->t), "1 accepted 0|2 started 1|3 done ok");
}

static void
a_kernel_is_set_up_once(void **state)
{
	struct scene s = unset_scene();

	(void)state;
	runs_as_first(&s, "ok");
	assert_true(s.k->waits);
	s.k->waits = false; /* else there would be no question of it */
	(void)rig_exec(s.r->ctx, "2", NULL);
	rig_settle(s.r);
	assert_string_equal(code_of(s.k), "2");
	paper_die(s.k, "signal 9");
	rig_settle(s.r);
	(void)rig_exec(s.r->ctx, "3", NULL);
	rig_settle(s.r);
	s.k = paper_newest();
	s.k->waits = false;
	paper_ready(s.k);
	rig_settle(s.r);
	assert_non_null(strstr(code_of(s.k), "XPUB_NODROP")); /* it is another kernel */
	paper_finish(s.k, "ok");
	rig_settle(s.r);
	paper_finish(s.k, "ok");
	rig_settle(s.r);
	scene_free(&s);
}

static void
one_that_cannot_be_set_up_runs_nevertheless(void **state)
{
	struct scene s = unset_scene();

	(void)state;
	runs_as_first(&s, "error");
	assert_false(s.k->waits);
	scene_free(&s);
}

static void
a_run_stopped_while_its_kernel_is_set_up(void **state)
{
	struct scene s = unset_scene();

	(void)state;
	gw_exec_stop(s.ex, GW_DONE_INTERRUPTED, 0);
	assert_int_equal(s.k->interrupts_n, 1);
	paper_finish(s.k, "error");
	rig_settle(s.r);
	assert_int_equal(s.k->executes_n, 1);
	assert_string_equal(tape_text(s.t), "1 accepted 0|2 done interrupted");
	scene_free(&s);
}

static void
a_kernel_that_dies_while_it_is_set_up(void **state)
{
	struct scene s = unset_scene();

	(void)state;
	paper_die(s.k, "signal 11");
	rig_settle(s.r);
	assert_int_equal(s.t->how, GW_DONE_KERNEL_DIED);
	scene_free(&s);
}

static void
one_that_gives_no_reply_to_it(void **state)
{
	struct scene s = unset_scene();

	(void)state;
	paper_done(s.k, -EBADMSG);
	rig_settle(s.r);
	assert_int_equal(s.t->how, GW_DONE_KERNEL_DIED);
	scene_free(&s);
}

/* What dialects print of it: a line of its own on stderr. */
static void
the_text_is_a_line(void **state)
{
	static const char line[] = "[kernelbridge: 3000 bytes of output were cut here, as they "
				   "were not read in time (kernel_buffer_bytes)]\n";
	static const char *const ends[] = {"\n", "x", "\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct scene s = scene_new();
		const struct gw_event *ev;

		flood(&s, 4);
		say(s.k, "stderr", 20, "x"); /* it is not kept, so it ends nothing */
		gw_sink_resume(&s.t->sink);
		rig_settle(s.r);
		s.t->stall_at = s.t->last_seq + 1;
		say(s.k, "stderr", PIECE, ends[i]);
		rig_settle(s.r);
		flood(&s, 4);
		flood(&s, 1);
		paper_finish(s.k, "ok");
		ev = gw_evlog_after(&s.ex->log, s.ex->log.last_seq - 2);
		assert_int_equal(ev->kind, GW_EV_CUT);
		assert_true(utf8_valid(ev->text.ptr, ev->text.len));
		assert_string_equal((const char *)ev->text.ptr + (i == 1), line);
		go_on(&s);
		scene_free(&s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(output_is_cut_and_marked_once),
	    cmocka_unit_test(a_reader_that_keeps_up_misses_nothing),
	    cmocka_unit_test(a_kernel_that_waits_is_not_cut),
	    cmocka_unit_test(one_that_was_made_to_wait_is_paused),
	    cmocka_unit_test(output_goes_on_when_the_reader_caught_up),
	    cmocka_unit_test(half_of_it_is_read_before_output_goes_on),
	    cmocka_unit_test(errors_and_done_always_arrive),
	    cmocka_unit_test(a_death_and_a_timeout_are_told),
	    cmocka_unit_test(a_death_while_it_was_held_says_so),
	    cmocka_unit_test(every_reader_gets_the_same),
	    cmocka_unit_test(unread_runs_of_a_context_share_the_room),
	    cmocka_unit_test(the_text_is_a_line),
	    cmocka_unit_test(a_kernel_is_set_up_once),
	    cmocka_unit_test(one_that_cannot_be_set_up_runs_nevertheless),
	    cmocka_unit_test(a_run_stopped_while_its_kernel_is_set_up),
	    cmocka_unit_test(a_kernel_that_dies_while_it_is_set_up),
	    cmocka_unit_test(one_that_gives_no_reply_to_it),
	};

	return cmocka_run_group_tests_name("gw/exec_cut", tests, NULL, NULL);
}
