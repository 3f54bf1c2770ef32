/* Unit test of kernelmgr/reaper: who is told, who is killed, and who is left alone; crews. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/wait.h>

#include "kernelmgr/reaper.h"
#include "tests/unit/reaper_rig.h"

static void
tells_status_once(void **state)
{
	static const struct {
		const char *script;
		int code, sig;
	} cases[] = {
	    {"exit 0", 0, 0},
	    {"exit 7", 7, 0},
	    {"kill -SEGV $$", 0, SIGSEGV},
	    {"kill -KILL $$", 0, SIGKILL},
	};
	struct rr *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rr_child c;

		rr_start(w, &c, "a", cases[i].script);
		assert_int_equal(km_reaper_pending(w->reaper), 1);
		assert_int_equal(c.called, 0);
		assert_true(run_until(w->lp, rr_was_told, &c));
		if (cases[i].sig != 0)
			assert_int_equal(WTERMSIG(c.status), cases[i].sig);
		else
			assert_int_equal(WEXITSTATUS(c.status), cases[i].code);
		assert_int_equal(c.called, 1);
		assert_true(run_until(w->lp, rr_is_clear, w->reaper));
		rr_fini(&c);
	}
}

/* What is left of a kernel: each script prints the pid of something that outlives it. */
static void
kills_what_is_left(void **state)
{
	static const struct {
		const char *why, *script;
	} cases[] = {
	    {"background job in the group", "sleep 1000 & echo $!; read x"},
	    {"session of its own", "setsid sh -c 'echo $$; exec sleep 1000' & read x"},
	    {"double fork and session of its own",
	     "(setsid sh -c 'echo $$; exec sleep 1000' &) ; read x"},
	    {"ignores signals", "(setsid sh -c 'trap \"\" INT TERM HUP; echo $$; "
	                        "while :; do sleep 1000; done' &) ; read x"},
	    {"another group, environment cleared",
	     "exec bash -c 'set -m; env -i /bin/sleep 1000 & echo $!; read x'"},
	};
	struct rr *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rr_child c;
		pid_t left;

		rr_start(w, &c, "a", cases[i].script);
		left = rr_read_pid(&c);
		assert_int_equal(kill(left, 0), 0);
		rr_release(&c);
		assert_true(run_until(w->lp, rr_was_told, &c));
		if (!run_until(w->lp, run_is_gone, &left))
			fail_msg("still there: %s", cases[i].why);
		assert_true(run_until(w->lp, rr_is_clear, w->reaper));
		rr_fini(&c);
	}
}

static void
kills_chains(void **state)
{
	struct rr *w = *state;
	struct rr_child c;
	pid_t pids[3];

	rr_start(w, &c, "a",
	         "setsid sh -c 'echo $$; setsid sh -c \"echo \\$\\$; setsid sh -c "
	         "\\\"echo \\\\\\$\\\\\\$; exec sleep 1000\\\" & wait\" & wait' & read x");
	for (int i = 0; i < 3; i++)
		pids[i] = rr_read_pid(&c);
	assert_int_not_equal(pids[1], pids[2]);
	rr_release(&c);
	for (int i = 0; i < 3; i++)
		assert_true(run_until(w->lp, run_is_gone, &pids[i]));
	assert_true(run_until(w->lp, rr_is_clear, w->reaper));
	assert_int_equal(c.called, 1);
	rr_fini(&c);
}

/* Orphans without the variable, and those of a kernel that still runs, stay. */
static void
leaves_others_alone(void **state)
{
	static const char orphan[] = "(setsid sh -c 'echo $$; exec sleep 1000' &) ; read x";
	struct rr *w = *state;
	struct rr_child dying, living, unmarked;
	pid_t of_dying, of_living, of_unmarked;

	rr_start(w, &unmarked, NULL, orphan);
	rr_start(w, &living, "living", orphan);
	rr_start(w, &dying, "dying", orphan);
	of_unmarked = rr_read_pid(&unmarked);
	of_living = rr_read_pid(&living);
	of_dying = rr_read_pid(&dying);
	rr_release(&unmarked);
	assert_true(run_until(w->lp, rr_was_told, &unmarked));
	rr_release(&dying);
	assert_true(run_until(w->lp, rr_was_told, &dying));
	assert_true(run_until(w->lp, run_is_gone, &of_dying)); /* so the others were seen too */
	assert_int_equal(kill(of_living, 0), 0);
	assert_int_equal(kill(of_unmarked, 0), 0);

	rr_release(&living);
	assert_true(run_until(w->lp, run_is_gone, &of_living));
	assert_int_equal(kill(of_unmarked, 0), 0);
	assert_int_equal(kill(of_unmarked, SIGKILL), 0);
	assert_true(run_until(w->lp, run_is_gone, &of_unmarked));
	assert_true(run_until(w->lp, rr_is_clear, w->reaper));
	rr_fini(&dying);
	rr_fini(&living);
	rr_fini(&unmarked);
}

static void
forgotten_is_reaped_silently(void **state)
{
	struct rr *w = *state;
	struct rr_child c;

	rr_start(w, &c, "a", "read x; exit 1");
	km_watch_free(c.watch);
	c.watch = NULL;
	assert_int_equal(km_reaper_pending(w->reaper), 1);
	rr_release(&c);
	assert_true(run_until(w->lp, run_is_gone, &c.pid));
	assert_true(run_until(w->lp, rr_is_clear, w->reaper));
	assert_int_equal(c.called, 0);
	rr_fini(&c);
}

struct pair {
	struct rr_child a, b;
};

static void
on_reaped_free_both(void *arg, int status)
{
	struct pair *p = arg;

	rr_on_reaped(&p->a, status);
	km_watch_free(p->a.watch);
	km_watch_free(p->b.watch);
	p->a.watch = p->b.watch = NULL;
}

/* Both end before the loop looks: the first to be told frees both. */
static void
callback_may_free_any(void **state)
{
	struct rr *w = *state;
	struct pair p;
	siginfo_t si;

	rr_spawn(&p.a, "a", "exit 1");
	rr_spawn(&p.b, "b", "exit 2");
	p.a.watch = km_reaper_watch(w->reaper, p.a.pid, "a", on_reaped_free_both, &p);
	p.b.watch = km_reaper_watch(w->reaper, p.b.pid, "b", on_reaped_free_both, &p);
	assert_int_equal(waitid(P_PID, (id_t)p.a.pid, &si, WEXITED | WNOWAIT), 0);
	assert_int_equal(waitid(P_PID, (id_t)p.b.pid, &si, WEXITED | WNOWAIT), 0);
	assert_true(run_until(w->lp, rr_is_clear, w->reaper));
	assert_int_equal(p.a.called, 1);
	rr_fini(&p.a);
	rr_fini(&p.b);
}

/* --- expected ones ------------------------------------------------------------------------ */

/* A child with the id of one that is expected is left alone, and told once it is known. */
static void
expected_is_left_alone(void **state)
{
	static const struct {
		const char *script;
		int status;
	} cases[] = {{"echo $$; read x; exit 7", 7 << 8},
	             {"echo $$; read x; kill -KILL $$", SIGKILL}};
	struct rr *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rr_child c;

		rr_spawn(&c, "soon", cases[i].script);
		assert_int_equal(rr_read_pid(&c), c.pid); /* it has its environment */
		c.watch = km_reaper_expect(w->reaper, "soon", rr_on_reaped, &c);
		assert_int_equal(km_reaper_pending(w->reaper), 1);
		rr_look(w);
		assert_int_equal(kill(c.pid, 0), 0);
		assert_true(km_watch_set_pid(c.watch, c.pid));
		assert_int_equal(km_reaper_pending(w->reaper), 1);
		rr_release(&c);
		assert_true(run_until(w->lp, rr_was_told, &c));
		assert_int_equal(c.status, cases[i].status);
		assert_true(run_until(w->lp, rr_is_clear, w->reaper));
		assert_int_equal(c.called, 1);
		rr_fini(&c);
	}
}

/* It ended and was reaped before its pid was known: its status is, and what it left goes. */
static void
expected_may_end_first(void **state)
{
	struct rr *w = *state;
	struct rr_child c;
	pid_t left;

	rr_spawn(&c, "soon", "(setsid sh -c 'echo $$; exec sleep 1000' &) ; exit 7");
	left = rr_read_pid(&c);
	c.watch = km_reaper_expect(w->reaper, "soon", rr_on_reaped, &c);
	assert_true(run_until(w->lp, run_is_gone, &c.pid));
	assert_int_equal(kill(left, 0), 0);
	assert_int_equal(c.called, 0);
	assert_false(km_watch_set_pid(c.watch, c.pid));
	assert_int_equal(c.called, 0);
	assert_true(run_until(w->lp, rr_was_told, &c));
	assert_int_equal(c.status, 7 << 8);
	assert_true(run_until(w->lp, run_is_gone, &left));
	assert_true(run_until(w->lp, rr_is_clear, w->reaper));
	assert_int_equal(c.called, 1);
	rr_fini(&c);
}

/* Whoever is expected no more is killed when it comes, or is there. */
static void
expected_in_vain(void **state)
{
	struct rr *w = *state;
	struct rr_child c;

	rr_spawn(&c, "never", "exec sleep 1000");
	c.watch = km_reaper_expect(w->reaper, "never", rr_on_reaped, &c);
	rr_look(w);
	assert_int_equal(kill(c.pid, 0), 0);
	km_watch_free(c.watch);
	c.watch = NULL;
	assert_true(run_until(w->lp, run_is_gone, &c.pid));
	assert_true(run_until(w->lp, rr_is_clear, w->reaper));
	assert_int_equal(c.called, 0);
	rr_fini(&c);
}

/* Pids that cannot be its: no child, and another's.  Nobody is killed for it. */
static void
expected_with_a_wrong_pid(void **state)
{
	struct rr *w = *state;
	struct rr_child other, c = {.in = -1};

	rr_start(w, &other, "other", "read x; exit 0");
	for (int i = 0; i < 2; i++) {
		c.called = 0;
		c.watch = km_reaper_expect(w->reaper, "soon", rr_on_reaped, &c);
		assert_false(km_watch_set_pid(c.watch, i == 0 ? getppid() : other.pid));
		assert_true(run_until(w->lp, rr_was_told, &c));
		assert_int_equal(c.status, -1);
		km_watch_free(c.watch);
	}
	assert_int_equal(other.called, 0);
	rr_release(&other);
	assert_true(run_until(w->lp, rr_was_told, &other));
	assert_int_equal(other.status, 0);
	assert_true(run_until(w->lp, rr_is_clear, w->reaper));
	rr_fini(&other);
}

/* --- crews -------------------------------------------------------------------------------- */

/* What a command may leave running: each script prints its pid, and ends when released. */
static const struct {
	const char *why, *script;
} leaves[] = {
    {"background job in the group", "sleep 1000 & echo $!; read x"},
    {"background job, deaf to its terminal", "nohup sleep 1000 >/dev/null & echo $!; read x"},
    {"session of its own", "setsid sh -c 'echo $$; exec sleep 1000' & read x"},
    {"double fork and session of its own",
     "(setsid sh -c 'echo $$; exec sleep 1000' &) ; read x"},
    {"ignores signals", "(setsid sh -c 'trap \"\" INT TERM HUP; echo $$; "
                        "while :; do sleep 1000; done' &) ; read x"},
    {"child of something that is alive and of its own session",
     "(setsid sh -c '(setsid sh -c \"echo \\$\\$; exec sleep 1000\" &); sleep 1000' &) ; "
     "read x"},
    {"another group, environment cleared",
     "exec bash -c 'set -m; env -i /bin/sleep 1000 & echo $!; read x'"},
};

#define LEAVES_N (sizeof(leaves) / sizeof(leaves[0]))

static void
what_a_crew_leaves_lives_until_the_crew_goes(void **state)
{
	struct rr *w = *state;

	for (size_t i = 0; i < LEAVES_N; i++) {
		struct rr_end e = {.called = 0};
		struct km_crew *crew = km_crew_new(w->reaper, "crew-a");
		struct rr_child c, other;
		pid_t left;

		rr_crew_start(crew, &c, leaves[i].script);
		left = rr_read_pid(&c);
		rr_release(&c);
		assert_true(run_until(w->lp, rr_was_told, &c));
		assert_true(WIFEXITED(c.status));
		/* another's end makes the reaper look again */
		rr_start(w, &other, "other", "exit 0");
		assert_true(run_until(w->lp, rr_was_told, &other));
		if (kill(left, 0) != 0)
			fail_msg("killed: %s", leaves[i].why);
		km_crew_free(crew, rr_on_gone, &e);
		assert_int_equal(e.called, 0);
		assert_int_not_equal(km_reaper_pending(w->reaper), 0);
		assert_true(run_until(w->lp, rr_is_ended, &e));
		if (!run_is_gone(&left))
			fail_msg("still there: %s", leaves[i].why);
		assert_true(run_until(w->lp, rr_is_clear, w->reaper));
		assert_int_equal(e.called, 1);
		rr_fini(&c);
		rr_fini(&other);
	}
}

static void
a_crew_takes_running_ones_with_it(void **state)
{
	struct rr *w = *state;

	for (size_t i = 0; i < LEAVES_N; i++) {
		struct rr_end e = {.called = 0};
		struct km_crew *crew = km_crew_new(w->reaper, "crew-a");
		struct rr_child c;
		pid_t left;

		rr_crew_start(crew, &c, leaves[i].script);
		left = rr_read_pid(&c);
		if (i % 2 == 0) {
			km_watch_free(c.watch);
			c.watch = NULL;
		}
		km_crew_free(crew, rr_on_gone, &e);
		assert_true(run_until(w->lp, rr_is_ended, &e));
		if (!run_is_gone(&left) || !run_is_gone(&c.pid))
			fail_msg("still there: %s", leaves[i].why);
		assert_int_equal(c.called, i % 2 != 0);
		assert_true(run_until(w->lp, rr_is_clear, w->reaper));
		rr_fini(&c);
	}
}

static void
crews_are_apart(void **state)
{
	struct rr *w = *state;
	struct km_crew *a = km_crew_new(w->reaper, "a"), *b = km_crew_new(w->reaper, "b");
	struct rr_end ea = {.called = 0}, eb = {.called = 0};
	struct rr_child of_a, of_b, kernel;
	pid_t left_a, left_b, left_k;

	rr_crew_start(a, &of_a, leaves[3].script);
	rr_crew_start(b, &of_b, leaves[3].script);
	rr_start(w, &kernel, "k", leaves[3].script);
	left_a = rr_read_pid(&of_a);
	left_b = rr_read_pid(&of_b);
	left_k = rr_read_pid(&kernel);
	rr_release(&of_b);
	assert_true(run_until(w->lp, rr_was_told, &of_b));
	km_crew_free(a, rr_on_gone, &ea);
	assert_true(run_until(w->lp, rr_is_ended, &ea));
	assert_true(run_is_gone(&left_a));
	assert_true(run_until(w->lp, rr_was_told, &of_a));
	assert_int_equal(WTERMSIG(of_a.status), SIGKILL);
	assert_int_equal(kill(left_b, 0), 0);
	assert_int_equal(kill(left_k, 0), 0);
	assert_int_equal(eb.called, 0);

	km_crew_free(b, rr_on_gone, &eb);
	assert_true(run_until(w->lp, rr_is_ended, &eb));
	assert_true(run_is_gone(&left_b));
	assert_int_equal(kill(left_k, 0), 0);
	rr_release(&kernel);
	assert_true(run_until(w->lp, run_is_gone, &left_k));
	assert_true(run_until(w->lp, rr_is_clear, w->reaper));
	rr_fini(&of_a);
	rr_fini(&of_b);
	rr_fini(&kernel);
}

static void
an_empty_crew_ends_later(void **state)
{
	struct rr *w = *state;
	struct rr_end e = {.called = 0};

	km_crew_free(NULL, rr_on_gone, &e);
	km_crew_free(km_crew_new(w->reaper, "quiet"), NULL, NULL);
	km_crew_free(km_crew_new(w->reaper, "told"), rr_on_gone, &e);
	assert_int_equal(e.called, 0);
	assert_true(run_until(w->lp, rr_is_ended, &e));
	assert_true(run_until(w->lp, rr_is_clear, w->reaper));
	assert_int_equal(e.called, 1);
}

/* The reaper's own end tells as well: what is held for the crew is released. */
static void
the_reapers_end_tells(void **state)
{
	struct rr *w = *state;
	struct rr_end e = {.called = 0};
	struct km_crew *crew = km_crew_new(w->reaper, "a");
	struct rr_child c;

	rr_crew_start(crew, &c, "sleep 1000 & read x");
	km_watch_free(c.watch);
	c.watch = NULL;
	km_crew_free(crew, rr_on_gone, &e);
	km_reaper_free(w->reaper);
	assert_int_equal(e.called, 1);
	w->reaper = km_reaper_new(w->lp);
	while (!run_is_gone(&c.pid)) { /* killed, but reaped by whom another's end wakes */
		struct rr_child other;

		rr_start(w, &other, "other", "exit 0");
		assert_true(run_until(w->lp, rr_was_told, &other));
		rr_fini(&other);
	}
	rr_fini(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(tells_status_once, rr_setup, rr_teardown),
	    cmocka_unit_test_setup_teardown(kills_what_is_left, rr_setup, rr_teardown),
	    cmocka_unit_test_setup_teardown(kills_chains, rr_setup, rr_teardown),
	    cmocka_unit_test_setup_teardown(leaves_others_alone, rr_setup, rr_teardown),
	    cmocka_unit_test_setup_teardown(forgotten_is_reaped_silently, rr_setup,
	                                    rr_teardown),
	    cmocka_unit_test_setup_teardown(callback_may_free_any, rr_setup, rr_teardown),
	    cmocka_unit_test_setup_teardown(expected_is_left_alone, rr_setup, rr_teardown),
	    cmocka_unit_test_setup_teardown(expected_may_end_first, rr_setup, rr_teardown),
	    cmocka_unit_test_setup_teardown(expected_in_vain, rr_setup, rr_teardown),
	    cmocka_unit_test_setup_teardown(expected_with_a_wrong_pid, rr_setup, rr_teardown),
	    cmocka_unit_test_setup_teardown(what_a_crew_leaves_lives_until_the_crew_goes,
	                                    rr_setup, rr_teardown),
	    cmocka_unit_test_setup_teardown(a_crew_takes_running_ones_with_it, rr_setup,
	                                    rr_teardown),
	    cmocka_unit_test_setup_teardown(crews_are_apart, rr_setup, rr_teardown),
	    cmocka_unit_test_setup_teardown(an_empty_crew_ends_later, rr_setup, rr_teardown),
	    cmocka_unit_test_setup_teardown(the_reapers_end_tells, rr_setup, rr_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
