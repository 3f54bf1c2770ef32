/* Unit test of kernelmgr/reaper: who is told, who is killed, and who is left alone; crews. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "kernelmgr/reaper.h"
#include "tests/unit/km_run.h"

/* A shell of its own session that was told what to do; it may print pids and waits for
 * release(). */
struct child {
	pid_t pid;
	int in, out;
	FILE *lines;
	struct km_watch *watch;
	int called, status;
};

struct world {
	struct loop *lp;
	struct km_reaper *reaper;
};

/* A crew's end, as its owner is told. */
struct end {
	int called;
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->lp = loop_new();
	w->reaper = km_reaper_new(w->lp);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	km_reaper_free(w->reaper);
	loop_free(w->lp);
	free(w);
	return 0;
}

static void
on_reaped(void *arg, int status)
{
	struct child *c = arg;

	c->called++;
	c->status = status;
}

/* Start sh -c script with KERNELBRIDGE_KERNEL_ID=id, or without it. */
static void
child_spawn(struct child *c, const char *id, const char *script)
{
	char var[64], path[] = "PATH=/usr/bin:/bin";
	char *env[] = {path, id != NULL ? var : NULL, NULL};
	char sh[] = "sh", dash_c[] = "-c";
	char *text = strdup(script);
	char *argv[] = {sh, dash_c, text, NULL};
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	int in[2], out[2];

	(void)snprintf(var, sizeof(var), "KERNELBRIDGE_KERNEL_ID=%s", id != NULL ? id : "");
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	(void)posix_spawn_file_actions_init(&fa);
	(void)posix_spawn_file_actions_adddup2(&fa, in[0], 0);
	(void)posix_spawn_file_actions_adddup2(&fa, out[1], 1);
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
	assert_int_equal(posix_spawn(&c->pid, "/bin/sh", &fa, &attr, argv, env), 0);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&fa);
	free(text);
	close(in[0]);
	close(out[1]);
	c->in = in[1];
	c->lines = fdopen(out[0], "r");
	c->called = 0;
	c->watch = NULL;
}

static void
child_start(struct world *w, struct child *c, const char *id, const char *script)
{
	child_spawn(c, id, script);
	c->watch = km_reaper_watch(w->reaper, c->pid, id != NULL ? id : "none", on_reaped, c);
}

/* A pid that the script printed. */
static pid_t
child_read_pid(struct child *c)
{
	int pid = 0;

	assert_int_equal(fscanf(c->lines, "%d", &pid), 1);
	return pid;
}

static bool
was_told(void *arg)
{
	return ((struct child *)arg)->called > 0;
}

static bool
is_clear(void *arg)
{
	return km_reaper_pending(arg) == 0;
}

/* Let it go on after its "read x". */
static void
child_release(struct child *c)
{
	close(c->in);
	c->in = -1;
}

static void
child_fini(struct child *c)
{
	km_watch_free(c->watch);
	if (c->in >= 0)
		close(c->in);
	fclose(c->lines);
}

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
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct child c;

		child_start(w, &c, "a", cases[i].script);
		assert_int_equal(km_reaper_pending(w->reaper), 1);
		assert_int_equal(c.called, 0);
		assert_true(run_until(w->lp, was_told, &c));
		if (cases[i].sig != 0)
			assert_int_equal(WTERMSIG(c.status), cases[i].sig);
		else
			assert_int_equal(WEXITSTATUS(c.status), cases[i].code);
		assert_int_equal(c.called, 1);
		assert_true(run_until(w->lp, is_clear, w->reaper));
		child_fini(&c);
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
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct child c;
		pid_t left;

		child_start(w, &c, "a", cases[i].script);
		left = child_read_pid(&c);
		assert_int_equal(kill(left, 0), 0);
		child_release(&c);
		assert_true(run_until(w->lp, was_told, &c));
		if (!run_until(w->lp, run_is_gone, &left))
			fail_msg("still there: %s", cases[i].why);
		assert_true(run_until(w->lp, is_clear, w->reaper));
		child_fini(&c);
	}
}

static void
kills_chains(void **state)
{
	struct world *w = *state;
	struct child c;
	pid_t pids[3];

	child_start(w, &c, "a",
	            "setsid sh -c 'echo $$; setsid sh -c \"echo \\$\\$; setsid sh -c "
	            "\\\"echo \\\\\\$\\\\\\$; exec sleep 1000\\\" & wait\" & wait' & read x");
	for (int i = 0; i < 3; i++)
		pids[i] = child_read_pid(&c);
	assert_int_not_equal(pids[1], pids[2]);
	child_release(&c);
	for (int i = 0; i < 3; i++)
		assert_true(run_until(w->lp, run_is_gone, &pids[i]));
	assert_true(run_until(w->lp, is_clear, w->reaper));
	assert_int_equal(c.called, 1);
	child_fini(&c);
}

/* Orphans without the variable, and those of a kernel that still runs, stay. */
static void
leaves_others_alone(void **state)
{
	static const char orphan[] = "(setsid sh -c 'echo $$; exec sleep 1000' &) ; read x";
	struct world *w = *state;
	struct child dying, living, unmarked;
	pid_t of_dying, of_living, of_unmarked;

	child_start(w, &unmarked, NULL, orphan);
	child_start(w, &living, "living", orphan);
	child_start(w, &dying, "dying", orphan);
	of_unmarked = child_read_pid(&unmarked);
	of_living = child_read_pid(&living);
	of_dying = child_read_pid(&dying);
	child_release(&unmarked);
	assert_true(run_until(w->lp, was_told, &unmarked));
	child_release(&dying);
	assert_true(run_until(w->lp, was_told, &dying));
	assert_true(run_until(w->lp, run_is_gone, &of_dying)); /* so the others were seen too */
	assert_int_equal(kill(of_living, 0), 0);
	assert_int_equal(kill(of_unmarked, 0), 0);

	child_release(&living);
	assert_true(run_until(w->lp, run_is_gone, &of_living));
	assert_int_equal(kill(of_unmarked, 0), 0);
	assert_int_equal(kill(of_unmarked, SIGKILL), 0);
	assert_true(run_until(w->lp, run_is_gone, &of_unmarked));
	assert_true(run_until(w->lp, is_clear, w->reaper));
	child_fini(&dying);
	child_fini(&living);
	child_fini(&unmarked);
}

static void
forgotten_is_reaped_silently(void **state)
{
	struct world *w = *state;
	struct child c;

	child_start(w, &c, "a", "read x; exit 1");
	km_watch_free(c.watch);
	c.watch = NULL;
	assert_int_equal(km_reaper_pending(w->reaper), 1);
	child_release(&c);
	assert_true(run_until(w->lp, run_is_gone, &c.pid));
	assert_true(run_until(w->lp, is_clear, w->reaper));
	assert_int_equal(c.called, 0);
	child_fini(&c);
}

struct pair {
	struct child a, b;
};

static void
on_reaped_free_both(void *arg, int status)
{
	struct pair *p = arg;

	on_reaped(&p->a, status);
	km_watch_free(p->a.watch);
	km_watch_free(p->b.watch);
	p->a.watch = p->b.watch = NULL;
}

/* Both end before the loop looks: the first to be told frees both. */
static void
callback_may_free_any(void **state)
{
	struct world *w = *state;
	struct pair p;
	siginfo_t si;

	child_spawn(&p.a, "a", "exit 1");
	child_spawn(&p.b, "b", "exit 2");
	p.a.watch = km_reaper_watch(w->reaper, p.a.pid, "a", on_reaped_free_both, &p);
	p.b.watch = km_reaper_watch(w->reaper, p.b.pid, "b", on_reaped_free_both, &p);
	assert_int_equal(waitid(P_PID, (id_t)p.a.pid, &si, WEXITED | WNOWAIT), 0);
	assert_int_equal(waitid(P_PID, (id_t)p.b.pid, &si, WEXITED | WNOWAIT), 0);
	assert_true(run_until(w->lp, is_clear, w->reaper));
	assert_int_equal(p.a.called, 1);
	child_fini(&p.a);
	child_fini(&p.b);
}

/* --- expected ones ------------------------------------------------------------------------ */

/* Have the reaper look at every child once: an end of one that nobody knows. */
static void
look(struct world *w)
{
	struct child c;

	child_start(w, &c, NULL, "exit 0");
	assert_true(run_until(w->lp, was_told, &c));
	child_fini(&c);
}

/* A child with the id of one that is expected is left alone, and told once it is known. */
static void
expected_is_left_alone(void **state)
{
	static const struct {
		const char *script;
		int status;
	} cases[] = {{"echo $$; read x; exit 7", 7 << 8},
	             {"echo $$; read x; kill -KILL $$", SIGKILL}};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct child c;

		child_spawn(&c, "soon", cases[i].script);
		assert_int_equal(child_read_pid(&c), c.pid); /* it has its environment */
		c.watch = km_reaper_expect(w->reaper, "soon", on_reaped, &c);
		assert_int_equal(km_reaper_pending(w->reaper), 1);
		look(w);
		assert_int_equal(kill(c.pid, 0), 0);
		assert_true(km_watch_set_pid(c.watch, c.pid));
		assert_int_equal(km_reaper_pending(w->reaper), 1);
		child_release(&c);
		assert_true(run_until(w->lp, was_told, &c));
		assert_int_equal(c.status, cases[i].status);
		assert_true(run_until(w->lp, is_clear, w->reaper));
		assert_int_equal(c.called, 1);
		child_fini(&c);
	}
}

/* It ended and was reaped before its pid was known: its status is, and what it left goes. */
static void
expected_may_end_first(void **state)
{
	struct world *w = *state;
	struct child c;
	pid_t left;

	child_spawn(&c, "soon", "(setsid sh -c 'echo $$; exec sleep 1000' &) ; exit 7");
	left = child_read_pid(&c);
	c.watch = km_reaper_expect(w->reaper, "soon", on_reaped, &c);
	assert_true(run_until(w->lp, run_is_gone, &c.pid));
	assert_int_equal(kill(left, 0), 0);
	assert_int_equal(c.called, 0);
	assert_false(km_watch_set_pid(c.watch, c.pid));
	assert_int_equal(c.called, 0);
	assert_true(run_until(w->lp, was_told, &c));
	assert_int_equal(c.status, 7 << 8);
	assert_true(run_until(w->lp, run_is_gone, &left));
	assert_true(run_until(w->lp, is_clear, w->reaper));
	assert_int_equal(c.called, 1);
	child_fini(&c);
}

/* Whoever is expected no more is killed when it comes, or is there. */
static void
expected_in_vain(void **state)
{
	struct world *w = *state;
	struct child c;

	child_spawn(&c, "never", "exec sleep 1000");
	c.watch = km_reaper_expect(w->reaper, "never", on_reaped, &c);
	look(w);
	assert_int_equal(kill(c.pid, 0), 0);
	km_watch_free(c.watch);
	c.watch = NULL;
	assert_true(run_until(w->lp, run_is_gone, &c.pid));
	assert_true(run_until(w->lp, is_clear, w->reaper));
	assert_int_equal(c.called, 0);
	child_fini(&c);
}

/* Pids that cannot be its: no child, and another's.  Nobody is killed for it. */
static void
expected_with_a_wrong_pid(void **state)
{
	struct world *w = *state;
	struct child other, c = {.in = -1};

	child_start(w, &other, "other", "read x; exit 0");
	for (int i = 0; i < 2; i++) {
		c.called = 0;
		c.watch = km_reaper_expect(w->reaper, "soon", on_reaped, &c);
		assert_false(km_watch_set_pid(c.watch, i == 0 ? getppid() : other.pid));
		assert_true(run_until(w->lp, was_told, &c));
		assert_int_equal(c.status, -1);
		km_watch_free(c.watch);
	}
	assert_int_equal(other.called, 0);
	child_release(&other);
	assert_true(run_until(w->lp, was_told, &other));
	assert_int_equal(other.status, 0);
	assert_true(run_until(w->lp, is_clear, w->reaper));
	child_fini(&other);
}

/* --- crews -------------------------------------------------------------------------------- */

static void
crew_start(struct km_crew *crew, struct child *c, const char *script)
{
	child_spawn(c, km_crew_id(crew), script);
	c->watch = km_crew_watch(crew, c->pid, on_reaped, c);
}

static void
on_gone(void *arg)
{
	struct end *e = arg;

	e->called++;
}

static bool
is_ended(void *arg)
{
	return ((struct end *)arg)->called > 0;
}

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
	struct world *w = *state;

	for (size_t i = 0; i < LEAVES_N; i++) {
		struct end e = {.called = 0};
		struct km_crew *crew = km_crew_new(w->reaper, "crew-a");
		struct child c, other;
		pid_t left;

		crew_start(crew, &c, leaves[i].script);
		left = child_read_pid(&c);
		child_release(&c);
		assert_true(run_until(w->lp, was_told, &c));
		assert_true(WIFEXITED(c.status));
		/* another's end makes the reaper look again */
		child_start(w, &other, "other", "exit 0");
		assert_true(run_until(w->lp, was_told, &other));
		if (kill(left, 0) != 0)
			fail_msg("killed: %s", leaves[i].why);
		km_crew_free(crew, on_gone, &e);
		assert_int_equal(e.called, 0);
		assert_int_not_equal(km_reaper_pending(w->reaper), 0);
		assert_true(run_until(w->lp, is_ended, &e));
		if (!run_is_gone(&left))
			fail_msg("still there: %s", leaves[i].why);
		assert_true(run_until(w->lp, is_clear, w->reaper));
		assert_int_equal(e.called, 1);
		child_fini(&c);
		child_fini(&other);
	}
}

static void
a_crew_takes_running_ones_with_it(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < LEAVES_N; i++) {
		struct end e = {.called = 0};
		struct km_crew *crew = km_crew_new(w->reaper, "crew-a");
		struct child c;
		pid_t left;

		crew_start(crew, &c, leaves[i].script);
		left = child_read_pid(&c);
		if (i % 2 == 0) {
			km_watch_free(c.watch);
			c.watch = NULL;
		}
		km_crew_free(crew, on_gone, &e);
		assert_true(run_until(w->lp, is_ended, &e));
		if (!run_is_gone(&left) || !run_is_gone(&c.pid))
			fail_msg("still there: %s", leaves[i].why);
		assert_int_equal(c.called, i % 2 != 0);
		assert_true(run_until(w->lp, is_clear, w->reaper));
		child_fini(&c);
	}
}

static void
crews_are_apart(void **state)
{
	struct world *w = *state;
	struct km_crew *a = km_crew_new(w->reaper, "a"), *b = km_crew_new(w->reaper, "b");
	struct end ea = {.called = 0}, eb = {.called = 0};
	struct child of_a, of_b, kernel;
	pid_t left_a, left_b, left_k;

	crew_start(a, &of_a, leaves[3].script);
	crew_start(b, &of_b, leaves[3].script);
	child_start(w, &kernel, "k", leaves[3].script);
	left_a = child_read_pid(&of_a);
	left_b = child_read_pid(&of_b);
	left_k = child_read_pid(&kernel);
	child_release(&of_b);
	assert_true(run_until(w->lp, was_told, &of_b));
	km_crew_free(a, on_gone, &ea);
	assert_true(run_until(w->lp, is_ended, &ea));
	assert_true(run_is_gone(&left_a));
	assert_true(run_until(w->lp, was_told, &of_a));
	assert_int_equal(WTERMSIG(of_a.status), SIGKILL);
	assert_int_equal(kill(left_b, 0), 0);
	assert_int_equal(kill(left_k, 0), 0);
	assert_int_equal(eb.called, 0);

	km_crew_free(b, on_gone, &eb);
	assert_true(run_until(w->lp, is_ended, &eb));
	assert_true(run_is_gone(&left_b));
	assert_int_equal(kill(left_k, 0), 0);
	child_release(&kernel);
	assert_true(run_until(w->lp, run_is_gone, &left_k));
	assert_true(run_until(w->lp, is_clear, w->reaper));
	child_fini(&of_a);
	child_fini(&of_b);
	child_fini(&kernel);
}

static void
an_empty_crew_ends_later(void **state)
{
	struct world *w = *state;
	struct end e = {.called = 0};

	km_crew_free(NULL, on_gone, &e);
	km_crew_free(km_crew_new(w->reaper, "quiet"), NULL, NULL);
	km_crew_free(km_crew_new(w->reaper, "told"), on_gone, &e);
	assert_int_equal(e.called, 0);
	assert_true(run_until(w->lp, is_ended, &e));
	assert_true(run_until(w->lp, is_clear, w->reaper));
	assert_int_equal(e.called, 1);
}

/* The reaper's own end tells as well: what is held for the crew is released. */
static void
the_reapers_end_tells(void **state)
{
	struct world *w = *state;
	struct end e = {.called = 0};
	struct km_crew *crew = km_crew_new(w->reaper, "a");
	struct child c;

	crew_start(crew, &c, "sleep 1000 & read x");
	km_watch_free(c.watch);
	c.watch = NULL;
	km_crew_free(crew, on_gone, &e);
	km_reaper_free(w->reaper);
	assert_int_equal(e.called, 1);
	w->reaper = km_reaper_new(w->lp);
	while (!run_is_gone(&c.pid)) { /* killed, but reaped by whom another's end wakes */
		struct child other;

		child_start(w, &other, "other", "exit 0");
		assert_true(run_until(w->lp, was_told, &other));
		child_fini(&other);
	}
	child_fini(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(tells_status_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(kills_what_is_left, setup, teardown),
	    cmocka_unit_test_setup_teardown(kills_chains, setup, teardown),
	    cmocka_unit_test_setup_teardown(leaves_others_alone, setup, teardown),
	    cmocka_unit_test_setup_teardown(forgotten_is_reaped_silently, setup, teardown),
	    cmocka_unit_test_setup_teardown(callback_may_free_any, setup, teardown),
	    cmocka_unit_test_setup_teardown(expected_is_left_alone, setup, teardown),
	    cmocka_unit_test_setup_teardown(expected_may_end_first, setup, teardown),
	    cmocka_unit_test_setup_teardown(expected_in_vain, setup, teardown),
	    cmocka_unit_test_setup_teardown(expected_with_a_wrong_pid, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_a_crew_leaves_lives_until_the_crew_goes, setup,
	                                    teardown),
	    cmocka_unit_test_setup_teardown(a_crew_takes_running_ones_with_it, setup, teardown),
	    cmocka_unit_test_setup_teardown(crews_are_apart, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_empty_crew_ends_later, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_reapers_end_tells, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
