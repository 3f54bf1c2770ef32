/* Unit test of gateway/sink: replay, stalling, back-pressure, and what event() may do to itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/execinfo.h"
#include "tests/unit/gw_rig.h"
#include "wire/base/mem.h"

#define KIB 1024U

static void
print_bytes(struct km_kernel *k, size_t len)
{
	char *text = mem_new(len + 1);

	memset(text, 'x', len);
	paper_print(k, text);
	mem_free(text);
}

static void
print_clears(struct km_kernel *k, unsigned n)
{
	for (unsigned i = 0; i < n; i++) /* events that do not merge */
		paper_say(k, "clear_output", json_object(), NULL);
}

static void
attach_after_a_number(void **state)
{
	struct rig *r = rig_ready();
	struct tape *first = tape_new();
	struct tape *t = tape_new();
	struct gw_exec *ex = rig_exec(r->ctx, "1", first);
	struct km_kernel *k;

	(void)state;
	rig_settle(r);
	k = paper_newest();
	paper_input(k, 1);
	paper_print(k, "a");
	rig_settle(r);
	gw_sink_hook(&t->sink, ex, 2);
	assert_int_equal(t->events_n, 0); /* later, never at once */
	rig_settle(r);
	assert_string_equal(tape_text(t), "3 stdout a");
	paper_print(k, "b");
	paper_finish(k, "ok");
	rig_settle(r);
	assert_string_equal(tape_text(t), "3 stdout a|4 stdout b|5 done ok");
	assert_string_equal(tape_text(first),
	                    "1 accepted 0|2 started 1|3 stdout a|4 stdout b|5 done ok");
	tape_free(t);
	tape_free(first);
	rig_free(r);
}

static const char *
attached(struct rig *r, struct gw_exec *ex, uint64_t seq, char out[256])
{
	struct tape *t = tape_new();

	gw_sink_hook(&t->sink, ex, seq);
	rig_settle(r);
	(void)snprintf(out, 256, "%s", tape_text(t));
	tape_free(t);
	return out;
}

static void
attach_when_it_is_over(void **state)
{
	struct rig *r = rig_ready();
	struct gw_exec *ex = rig_exec(r->ctx, "1", NULL);
	char text[256];

	(void)state;
	rig_settle(r);
	paper_print(paper_newest(), "a");
	paper_finish(paper_newest(), "ok");
	rig_settle(r);
	assert_string_equal(attached(r, ex, 0, text), "1 accepted 0|2 stdout a|3 done ok");
	assert_string_equal(attached(r, ex, 1, text), "2 stdout a|3 done ok");
	assert_string_equal(attached(r, ex, 2, text), "3 done ok");
	/* DONE comes in any case, or whoever waits would wait for ever */
	assert_string_equal(attached(r, ex, 3, text), "3 done ok");
	assert_string_equal(attached(r, ex, UINT64_MAX, text), "3 done ok");
	rig_free(r);
}

/* Nobody has read the newest event, but somebody knows its number: what is printed then is another
 * one. */
static void
attach_after_a_number_that_was_told(void **state)
{
	struct rig *r = rig_ready();
	struct tape *t = tape_new();
	struct gw_exec *ex = rig_exec(r->ctx, "1", NULL);
	struct gw_execinfo info;

	(void)state;
	rig_settle(r);
	paper_print(paper_newest(), "a");
	rig_settle(r);
	gw_execinfo_get(ex, &info);
	assert_int_equal(info.last_seq, 2);
	paper_print(paper_newest(), "b");
	rig_settle(r);
	gw_sink_hook(&t->sink, ex, info.last_seq);
	paper_finish(paper_newest(), "ok");
	rig_settle(r);
	assert_string_equal(tape_text(t), "3 stdout b|4 done ok");
	tape_free(t);
	rig_free(r);
}

static void
attach_ahead_of_a_running_one(void **state)
{
	struct rig *r = rig_ready();
	struct tape *t = tape_new();
	struct gw_exec *ex = rig_exec(r->ctx, "1", NULL);

	(void)state;
	rig_settle(r);
	gw_sink_hook(&t->sink, ex, 1000);
	rig_settle(r);
	paper_print(paper_newest(), "a");
	paper_finish(paper_newest(), "ok");
	rig_settle(r);
	assert_string_equal(tape_text(t), "2 stdout a|3 done ok");
	tape_free(t);
	rig_free(r);
}

static void
a_stalled_sink_waits_for_resume(void **state)
{
	struct rig *r = rig_ready();
	struct tape *t = tape_new();
	struct tape *other = tape_new();
	struct gw_exec *ex = rig_exec(r->ctx, "1", t);

	(void)state;
	gw_sink_hook(&other->sink, ex, 0);
	t->stall_at = 1;
	rig_settle(r);
	paper_print(paper_newest(), "a");
	rig_settle(r);
	paper_print(paper_newest(), "b");
	paper_finish(paper_newest(), "ok");
	rig_settle(r);
	assert_string_equal(tape_text(t), "1 accepted 0");
	assert_string_equal(tape_text(other), "1 accepted 0|2 stdout a|3 stdout b|4 done ok");
	gw_sink_resume(&t->sink);
	assert_string_equal(tape_text(t), "1 accepted 0"); /* later */
	rig_settle(r);
	assert_string_equal(tape_text(t), tape_text(other));
	gw_sink_resume(&t->sink); /* fine when it is not hooked */
	tape_free(t);
	tape_free(other);
	rig_free(r);
}

static void
what_nobody_read_is_merged(void **state)
{
	struct rig *r = rig_ready();
	struct tape *t = tape_new();
	struct km_kernel *k;

	(void)state;
	t->stall_at = 1;
	(void)rig_exec(r->ctx, "1", t);
	rig_settle(r);
	k = paper_newest();
	for (unsigned i = 0; i < 1000; i++) {
		paper_print(k, "line\n");
		if (i % 100 == 0)
			rig_settle(r);
	}
	paper_finish(k, "ok");
	gw_sink_resume(&t->sink);
	rig_settle(r);
	assert_string_equal(tape_text(t), "1 accepted 0|2 stdout #5000|3 done ok");
	tape_free(t);
	rig_free(r);
}

static void
a_slow_sink_makes_the_kernel_wait(void **state)
{
	struct rig *r = rig_ready();
	struct tape *slow = tape_new();
	struct tape *fast = tape_new();
	struct gw_exec *ex = rig_exec(r->ctx, "1", slow);
	struct km_kernel *k = paper_newest();

	(void)state;
	r->cfg->event_high_bytes = 64 * KIB;
	gw_sink_hook(&fast->sink, ex, 0);
	slow->stalls = true;
	rig_settle(r);
	print_bytes(k, 32 * KIB);
	rig_settle(r);
	assert_false(k->paused);
	print_bytes(k, 64 * KIB);
	assert_true(k->paused);
	rig_settle(r);
	assert_true(k->paused);
	assert_int_equal(fast->text_bytes, 96 * KIB); /* it need not wait */
	gw_sink_resume(&slow->sink);                  /* takes one piece */
	rig_settle(r);
	gw_sink_resume(&slow->sink);
	rig_settle(r);
	assert_false(k->paused);
	print_bytes(k, 96 * KIB);
	rig_settle(r);
	assert_true(k->paused);
	tape_free(slow); /* whoever leaves holds nobody up */
	rig_settle(r);
	assert_false(k->paused);
	paper_finish(k, "ok");
	rig_settle(r);
	assert_int_equal(fast->text_bytes, 192 * KIB);
	assert_true(fast->longest <= GW_EVLOG_PIECE);
	tape_free(fast);
	rig_free(r);
}

static void
done_lets_a_waiting_kernel_go(void **state)
{
	struct rig *r = rig_ready();
	struct tape *slow = tape_new();
	struct km_kernel *k = paper_newest();

	(void)state;
	r->cfg->event_high_bytes = 64 * KIB;
	slow->stall_at = 1;
	(void)rig_exec(r->ctx, "1", slow);
	rig_settle(r);
	print_bytes(k, 128 * KIB);
	assert_true(k->paused);
	paper_finish(k, "ok"); /* it had sent all of it */
	assert_false(k->paused);
	rig_settle(r);
	(void)rig_exec(r->ctx, "2", NULL);
	rig_settle(r);
	assert_int_equal(k->executes_n, 2); /* a slow reader of the past is no hindrance */
	gw_sink_resume(&slow->sink);
	rig_settle(r);
	assert_int_equal(slow->how, GW_DONE_OK);
	assert_int_equal(slow->text_bytes, 128 * KIB);
	tape_free(slow);
	paper_finish(k, "ok");
	rig_settle(r);
	rig_free(r);
}

static void
the_log_of_an_unread_run_is_bounded(void **state)
{
	struct rig *r = rig_ready();
	struct km_kernel *k = paper_newest();
	struct gw_exec *ex = rig_exec(r->ctx, "1", NULL);
	struct tape *t = tape_new();

	(void)state;
	r->cfg->event_log_bytes = 256 * KIB;
	rig_settle(r);
	for (unsigned i = 0; i < 100; i++) {
		print_bytes(k, 64 * KIB);
		rig_settle(r);
		assert_false(k->paused); /* nobody reads: nobody is waited for */
	}
	assert_true(ex->log.bytes <= 256 * KIB);
	paper_finish(k, "ok");
	rig_settle(r);
	gw_sink_hook(&t->sink, ex, 0);
	rig_settle(r);
	assert_int_equal(t->how, GW_DONE_OK);
	assert_true(t->text_bytes > 0 && t->text_bytes <= 256 * KIB);
	assert_int_not_equal(tape_text(t)[0], '1'); /* its first number tells of the gap */
	tape_free(t);
	rig_free(r);
}

/* --- what event() may do ---------------------------------------------------------------- */

static void
unhook_and_free_inside_event(void **state)
{
	(void)state;
	for (uint64_t at = 1; at <= 4; at++) {
		for (unsigned frees = 0; frees < 2; frees++) {
			struct rig *r = rig_ready();
			struct tape *t = tape_new();
			struct tape *other = tape_new();
			struct gw_exec *ex = rig_exec(r->ctx, "1", t);
			struct km_kernel *k = paper_newest();

			gw_sink_hook(&other->sink, ex, 0);
			t->free_at = frees == 1 ? at : 0;
			t->unhook_at = frees == 1 ? 0 : at;
			rig_settle(r);
			print_clears(k, 2);
			paper_finish(k, "ok");
			rig_settle(r);
			assert_string_equal(tape_text(other),
			                    "1 accepted 0|2 clear|3 clear|4 done ok");
			if (frees == 0) {
				assert_int_equal(t->last_seq, at);
				tape_free(t);
			}
			tape_free(other);
			rig_free(r);
		}
	}
}

/* A sink that takes another one with it, as a connection with two subscriptions does. */
struct killer {
	struct gw_sink sink;
	struct tape *victim;
	unsigned done_n;
};

static int
kill_event(struct gw_sink *s, const struct gw_event *ev)
{
	struct killer *k = list_entry(s, struct killer, sink);

	if (k->victim != NULL)
		tape_free(k->victim);
	k->victim = NULL;
	k->done_n += ev->kind == GW_EV_DONE;
	return 0;
}

static void
free_the_next_sink_inside_event(void **state)
{
	static const struct gw_sink_ops ops = {.event = kill_event};
	struct rig *r = rig_ready();
	struct killer k = {.victim = tape_new()};
	struct tape *last = tape_new();
	struct gw_exec *ex = rig_exec(r->ctx, "1", NULL);

	(void)state;
	gw_sink_init(&k.sink, &ops);
	gw_sink_hook(&k.sink, ex, 0);
	gw_sink_hook(&k.victim->sink, ex, 0);
	gw_sink_hook(&last->sink, ex, 0);
	rig_settle(r);
	assert_null(k.victim);
	paper_finish(paper_newest(), "ok");
	rig_settle(r);
	assert_int_equal(k.done_n, 1);
	assert_int_equal(last->done_n, 1);
	tape_free(last);
	rig_free(r);
}

/* A sink that deletes the context at its first event. */
struct deleter {
	struct gw_sink sink;
	struct gw_ctx *ctx;
	char last[64];
};

static int
delete_event(struct gw_sink *s, const struct gw_event *ev)
{
	struct deleter *d = list_entry(s, struct deleter, sink);

	if (d->ctx != NULL)
		gw_ctx_delete(d->ctx);
	d->ctx = NULL;
	(void)snprintf(d->last, sizeof(d->last), "%s", gw_event_name(ev->kind));
	return 0;
}

static void
delete_the_context_inside_event(void **state)
{
	static const struct gw_sink_ops ops = {.event = delete_event};
	struct rig *r = rig_ready();
	struct deleter d = {.ctx = r->ctx};
	struct gw_exec *ex = rig_exec(r->ctx, "1", NULL);

	(void)state;
	gw_sink_init(&d.sink, &ops);
	gw_sink_hook(&d.sink, ex, 0);
	rig_settle(r);
	assert_string_equal(d.last, "done");
	assert_null(d.sink.exec);
	rig_free(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(attach_after_a_number),
	    cmocka_unit_test(attach_when_it_is_over),
	    cmocka_unit_test(attach_after_a_number_that_was_told),
	    cmocka_unit_test(attach_ahead_of_a_running_one),
	    cmocka_unit_test(a_stalled_sink_waits_for_resume),
	    cmocka_unit_test(what_nobody_read_is_merged),
	    cmocka_unit_test(a_slow_sink_makes_the_kernel_wait),
	    cmocka_unit_test(done_lets_a_waiting_kernel_go),
	    cmocka_unit_test(the_log_of_an_unread_run_is_bounded),
	    cmocka_unit_test(unhook_and_free_inside_event),
	    cmocka_unit_test(free_the_next_sink_inside_event),
	    cmocka_unit_test(delete_the_context_inside_event),
	};

	return cmocka_run_group_tests_name("gw/sink", tests, NULL, NULL);
}
