/* Unit test of kernelmgr/kernel with the fake kernel: what a Python kernel does not do on
 * demand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernelmgr/reaper.h"
#include "tests/unit/km_rig.h"

#define SOON_MS 300

/* The fake kernel's own, with start and shutdown for its environment (NULL: none). */
static struct km_spec *
fake_spec(const char *start, const char *shutdown, enum km_interrupt_mode mode)
{
	json_t *root = json_pack("{s:[s,s,s], s:s, s:{s:{s:b}}}", "argv", FAKE_KERNEL, "-f",
	                         "{connection_file}", "interrupt_mode",
	                         mode == KM_INTERRUPT_MESSAGE ? "message" : "signal",
	                         "metadata", "kernelbridge", "waits", 1);
	json_t *env = json_object();
	struct km_spec *spec = NULL;
	char *bytes;

	if (start != NULL)
		(void)json_object_set_new(env, "FAKE_START", json_string(start));
	if (shutdown != NULL)
		(void)json_object_set_new(env, "FAKE_SHUTDOWN", json_string(shutdown));
	(void)json_object_set_new(root, "env", env);
	bytes = json_dumps(root, 0);
	assert_int_equal(km_spec_parse("fake", "/r", bytes, strlen(bytes), &spec, NULL), 0);
	free(bytes);
	json_decref(root);
	return spec;
}

/* A ready fake kernel; its spec is held by the caller. */
static struct km_spec *
ready_fake(struct rig *r, const char *start, const char *shutdown)
{
	struct km_spec *spec = fake_spec(start, shutdown, KM_INTERRUPT_SIGNAL);

	rig_must_be_ready(r, spec);
	return spec;
}

static void
finish(struct rig *r, struct km_spec *spec)
{
	rig_free_kernel(r);
	r->ready_n = r->died_n = 0;
	km_spec_free(spec);
}

static void
starts(void **state)
{
	static const struct {
		const char *start;
		bool ready;
		const char *why;
	} cases[] = {
	    {NULL, true, ""},
	    {"oldpub", true, ""},
	    {"silent", false, "did not answer within 0.3 s"},
	    {"mute", false, "did not answer within 0.3 s"},
	    {"exit:7", false, "exit code 7: fake_kernel: FAKE_START=exit:7"},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct km_spec *spec = fake_spec(cases[i].start, NULL, KM_INTERRUPT_SIGNAL);

		r->why[0] = '\0';
		assert_int_equal(
		    rig_start_with(r, spec, cases[i].ready ? RIG_START_MS : SOON_MS, NULL), 0);
		assert_true(run_until(r->lp, rig_is_ready, r));
		assert_int_equal(r->ready_n, cases[i].ready);
		assert_int_equal(r->died_n, !cases[i].ready);
		assert_string_equal(r->why, cases[i].why);
		finish(r, spec);
	}
}

static void
slow_start(void **state)
{
	struct rig *r = *state;
	char *dir = run_tmpdir(), start[256], *path = start + strlen("slow:");
	struct km_spec *spec;
	unsigned turns = 0;
	FILE *f;

	(void)snprintf(start, sizeof(start), "slow:%s/go", dir);
	spec = fake_spec(start, NULL, KM_INTERRUPT_SIGNAL);
	rig_must_start(r, spec);
	assert_true(run_until(r->lp, rig_once, &turns));
	assert_int_equal(r->ready_n, 0);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	assert_true(run_until(r->lp, rig_is_ready, r));
	assert_int_equal(r->ready_n, 1);
	finish(r, spec);
	run_remove(dir);
}

static void
executions(void **state)
{
	static const struct {
		const char *code;
		int status;
		const char *reply, *text, *order, *strays;
	} cases[] = {
	    {"print a\nstderr b", 0, "ok", "a\nb\n", NULL, ""},
	    {"reply-first\nprint a", 0, "ok", "a\n", "busy execute_input stream reply idle ",
	     ""},
	    {"idle-first\nprint a", 0, "ok", "a\n", "busy execute_input stream idle reply ",
	     ""},
	    {"reply-first\nresult 1\ndisplay 2\nupdate 1 x\nclear", 0, "ok", "",
	     "busy execute_input execute_result display_data update_display_data clear_output "
	     "reply idle ",
	     ""},
	    {"error A b", 0, "error", "", NULL, ""},
	    {"traceback-string\nerror A b", 0, "error", "", NULL, ""},
	    {"reply-first\naborted\nprint a", 0, "aborted", "", "busy reply idle ", ""},
	    {"noreply\nprint a", -EBADMSG, "", "a\n", "busy execute_input stream idle ", ""},
	    {"badsig\nprint a", 0, "ok", "a\n", NULL, ""},
	    {"dupsig", 0, "ok", "dupsig\ndupsig\n", NULL, ""},
	    {"noparent\nprint a", 0, "ok", "a\n", NULL, "stream noparent\n\n"},
	    {"badutf8", 0, "ok", "bad\xef\xbf\xbdutf8\n", NULL, ""},
	    {"input name?", 0, "error", "", NULL, ""},
	};
	struct rig *r = *state;
	struct km_spec *spec = ready_fake(r, NULL, NULL);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rig_execute(r, cases[i].code);
		assert_true(run_until(r->lp, rig_is_done, r));
		assert_int_equal(r->done_status, cases[i].status);
		assert_string_equal(r->reply_status, cases[i].reply);
		assert_string_equal(r->text, cases[i].text);
		assert_string_equal(r->strays, cases[i].strays);
		if (cases[i].order != NULL)
			assert_string_equal(r->order, cases[i].order);
		assert_int_equal(km_kernel_state(r->k), KM_READY);
	}
	finish(r, spec);
}

static bool
has_strays(void *arg)
{
	return ((struct rig *)arg)->strays[0] != '\0';
}

static void
late_output_is_stray(void **state)
{
	struct rig *r = *state;
	struct km_spec *spec = ready_fake(r, NULL, NULL);

	rig_execute(r, "reply-first\nlate after\nprint before");
	assert_true(run_until(r->lp, rig_is_done, r));
	assert_true(run_until(r->lp, has_strays, r));
	assert_string_equal(r->text, "before\n");
	assert_string_equal(r->strays, "stream after\n\n");
	finish(r, spec);
}

static void
input_is_answered(void **state)
{
	struct rig *r = *state;
	struct km_spec *spec = ready_fake(r, NULL, NULL);

	r->allow_stdin = true;
	rig_execute(r, "input name?");
	assert_true(run_until(r->lp, rig_is_done, r));
	assert_string_equal(r->reply_status, "ok");
	assert_string_equal(r->text, "answer\n");
	finish(r, spec);
}

/* What a kernel published before it died is delivered before its request fails. */
static void
last_output_comes(void **state)
{
	static const struct {
		const char *code;
		size_t bytes;
		const char *why;
	} cases[] = {
	    {"print last words\nexit 3", 11, "exit code 3"},
	    {"print last words\ndie 9", 11, "signal 9"},
	    {"flood 10000000\ndie 11", 10000000, "signal 11"},
	    {"flood 10000000\nexit 0", 10000000, "exit code 0"},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct km_spec *spec = ready_fake(r, NULL, NULL);

		rig_execute(r, cases[i].code);
		assert_true(run_until(r->lp, rig_is_dead, r));
		assert_int_equal(r->done_n, 1);
		assert_int_equal(r->done_status, -EPIPE);
		assert_int_equal(r->out_bytes, cases[i].bytes);
		assert_string_equal(r->why, cases[i].why);
		assert_true(r->started);
		finish(r, spec);
	}
}

/* Replied, but died before idle: what ran is over, and its request still fails. */
static void
death_between_reply_and_idle(void **state)
{
	struct rig *r = *state;
	struct km_spec *spec = ready_fake(r, NULL, NULL);

	rig_execute(r, "noidle\nprint x");
	assert_true(run_until(r->lp, rig_has_text, r));
	assert_int_equal(kill(km_kernel_pid(r->k), SIGKILL), 0);
	assert_true(run_until(r->lp, rig_is_dead, r));
	assert_int_equal(r->done_n, 1);
	assert_int_equal(r->done_status, -EPIPE);
	finish(r, spec);
}

static bool
is_file(void *path)
{
	return access(path, F_OK) == 0;
}

static void
interrupts(void **state)
{
	static const char *const hangs[] = {"hang", "sleep 1000000", "wait /no/such/file",
	                                    "flood 100000000000", "input x"};
	struct rig *r = *state;

	r->allow_stdin = true;
	for (int mode = KM_INTERRUPT_SIGNAL; mode <= KM_INTERRUPT_MESSAGE; mode++) {
		struct km_spec *spec = fake_spec(NULL, NULL, (enum km_interrupt_mode)mode);

		rig_must_be_ready(r, spec);
		for (size_t i = 0; i < sizeof(hangs) / sizeof(hangs[0]) - 1; i++) {
			char code[128], *dir = run_tmpdir(), path[64];

			(void)snprintf(path, sizeof(path), "%s/here", dir);
			(void)snprintf(code, sizeof(code), "touch %s\n%s", path, hangs[i]);
			rig_execute(r, code);
			assert_true(run_until(r->lp, is_file, path));
			assert_int_equal(r->done_n, 0);
			km_kernel_interrupt(r->k);
			assert_true(run_until(r->lp, rig_is_done, r));
			assert_string_equal(r->ename, "KeyboardInterrupt");
			run_remove(dir);
		}
		rig_execute(r, "print alive");
		assert_true(run_until(r->lp, rig_is_done, r));
		assert_string_equal(r->text, "alive\n");
		finish(r, spec);
	}
}

/* An interrupt that finds its execution over does not hit the one that follows. */
static void
late_interrupts(void **state)
{
	struct rig *r = *state;
	struct km_spec *spec = fake_spec(NULL, NULL, KM_INTERRUPT_MESSAGE);

	rig_must_be_ready(r, spec);
	for (unsigned i = 0; i < 50; i++) {
		rig_execute(r, "print a");
		km_kernel_interrupt(r->k);
		assert_true(run_until(r->lp, rig_is_done, r));
		assert_int_equal(r->done_status, 0);
		rig_execute(r, "print b\nsleep 2");
		assert_true(run_until(r->lp, rig_is_done, r));
		assert_string_equal(r->reply_status, "ok");
	}
	finish(r, spec);
}

static void
deaf_kernel_can_be_killed(void **state)
{
	struct rig *r = *state;
	struct km_spec *spec = ready_fake(r, NULL, NULL);

	rig_execute(r, "print here\ndeaf");
	assert_true(run_until(r->lp, rig_has_text, r));
	km_kernel_interrupt(r->k);
	km_kernel_interrupt(r->k);
	assert_int_equal(r->done_n, 0);
	km_kernel_stop(r->k); /* busy: at once */
	assert_true(run_until(r->lp, rig_is_dead, r));
	assert_string_equal(r->why, "signal 9");
	assert_int_equal(r->done_status, -EPIPE);
	finish(r, spec);
}

static void
stop_ladder(void **state)
{
	static const struct {
		const char *shutdown;
		uint64_t grace_ms;
		const char *why;
	} cases[] = {
	    {NULL, RIG_GRACE_MS, "exit code 0"},
	    {"ignore", 50, "signal 15"},
	    {"deaf", 50, "signal 9"},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct km_spec *spec;

		r->grace_ms = cases[i].grace_ms;
		spec = ready_fake(r, NULL, cases[i].shutdown);
		km_kernel_stop(r->k);
		assert_int_equal(km_kernel_state(r->k), KM_STOPPING);
		assert_true(run_until(r->lp, rig_is_dead, r));
		assert_string_equal(r->why, cases[i].why);
		finish(r, spec);
	}
}

/* Back-pressure: a kernel whose reader pauses waits, and loses nothing. */
static void
pause_holds_the_kernel(void **state)
{
	struct rig *r = *state;
	struct km_spec *spec = ready_fake(r, NULL, NULL);
	char *dir = run_tmpdir(), code[128], path[64];
	size_t before;
	unsigned turns = 0;

	(void)snprintf(path, sizeof(path), "%s/end", dir);
	(void)snprintf(code, sizeof(code), "flood 20000000\ntouch %s", path);
	rig_execute(r, code);
	km_kernel_pause(r->k);
	before = r->out_bytes;
	for (int i = 0; i < 50; i++, turns = 0)
		assert_true(run_until(r->lp, rig_once, &turns));
	assert_int_equal(r->out_bytes, before);
	assert_false(is_file(path)); /* it has 20 MB to say and nobody listens */
	km_kernel_resume(r->k);
	assert_true(run_until(r->lp, rig_is_done, r));
	assert_int_equal(r->done_status, 0);
	assert_int_equal(r->out_bytes, 20000000);
	assert_true(is_file(path));
	finish(r, spec);
	run_remove(dir);
}

/* A reader that never goes on must not keep a dead kernel. */
static void
death_while_paused(void **state)
{
	struct rig *r = *state;
	struct km_spec *spec = ready_fake(r, NULL, NULL);

	rig_execute(r, "print x\nhang");
	assert_true(run_until(r->lp, rig_has_text, r));
	km_kernel_pause(r->k);
	assert_int_equal(kill(km_kernel_pid(r->k), SIGKILL), 0);
	assert_true(run_until(r->lp, rig_is_dead, r));
	assert_int_equal(r->done_status, -EPIPE);
	finish(r, spec);
}

struct slow {
	struct rig *r;
	struct loop_task turn;
};

static void
on_slow_turn(void *arg)
{
	struct slow *s = arg;

	(void)usleep(25000);
	/* The reaper looks in the next turn, before we sleep in it. */
	km_watch_free(km_reaper_expect(s->r->reaper, "nobody", NULL, NULL));
	loop_task_post(&s->turn);
}

/* Turns that take longer than a dead kernel is listened to when it is silent: what it said is in
 * the sockets all the same. */
static void
last_words_in_a_slow_loop(void **state)
{
	struct rig *r = *state;
	struct km_spec *spec = ready_fake(r, NULL, NULL);
	struct slow s = {.r = r};

	rig_execute(r, "print a\nprint b\nprint c\nprint d\nprint e\nprint f\nexit 1");
	km_kernel_pause(r->k);
	loop_task_init(&s.turn, r->lp, on_slow_turn, &s);
	loop_task_post(&s.turn);
	assert_true(run_until(r->lp, rig_is_dead, r));
	loop_task_cancel(&s.turn);
	assert_string_equal(r->text, "a\nb\nc\nd\ne\nf\n");
	finish(r, spec);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(starts, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(slow_start, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(executions, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(late_output_is_stray, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(input_is_answered, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(last_output_comes, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(death_between_reply_and_idle, rig_setup,
	                                    rig_teardown),
	    cmocka_unit_test_setup_teardown(interrupts, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(late_interrupts, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(deaf_kernel_can_be_killed, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(stop_ladder, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(pause_holds_the_kernel, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(death_while_paused, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(last_words_in_a_slow_loop, rig_setup, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
