/* Unit test of wire/base/loop: order, freeing inside callbacks, and no call after a free. */
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <uv.h>

#include "wire/base/loop.h"

struct world {
	struct loop *lp;
	char trace[64]; /* one letter per call */
	struct loop_timer *timers[3];
	struct loop_fd *fds[2];
	struct loop_signal *sig;
	struct loop_task tasks[3];
	int pipe[2];
	int n;
};

static struct world *w; /* of the test that runs */

static int
setup(void **state)
{
	static struct world world;

	memset(&world, 0, sizeof(world));
	w = &world;
	w->lp = loop_new();
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	loop_free(w->lp);
	return 0;
}

static void
trace(char c)
{
	size_t n = strlen(w->trace);

	assert_true(n + 1 < sizeof(w->trace));
	w->trace[n] = c;
}

static void
say(void *arg)
{
	trace(*(const char *)arg);
}

static void
say_and_stop(void *arg)
{
	say(arg);
	loop_stop(w->lp);
}

static char letters[] = "abcdefgh";

static void
later_calls_run_in_order(void **state)
{
	(void)state;
	loop_later(w->lp, say, &letters[0]);
	loop_later(w->lp, say, &letters[1]);
	loop_later(w->lp, say_and_stop, &letters[2]);
	assert_string_equal(w->trace, ""); /* never from inside */
	loop_run(w->lp);
	assert_string_equal(w->trace, "abc");
}

static void
on_first_timer(void *arg)
{
	say(arg);
	loop_later(w->lp, say, &letters[2]);
	loop_timer_free(w->timers[0]);
	w->timers[0] = NULL;
}

static void
later_is_before_the_next_timer(void **state)
{
	(void)state;
	w->timers[0] = loop_timer_new(w->lp, 0, on_first_timer, &letters[0]);
	w->timers[1] = loop_timer_new(w->lp, 30, say_and_stop, &letters[1]);
	loop_run(w->lp);
	assert_string_equal(w->trace, "acb");
	loop_timer_free(w->timers[1]);
	loop_timer_free(NULL);
}

static void
on_killer(void *arg)
{
	say(arg);
	for (int i = 0; i < 3; i++) {
		loop_timer_free(w->timers[i]);
		w->timers[i] = NULL;
	}
	loop_later(w->lp, say_and_stop, &letters[7]);
}

static void
freed_timer_that_is_due_is_silent(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		w->timers[i] = loop_timer_new(w->lp, 1, on_killer, &letters[i]);
	loop_run(w->lp);
	assert_string_equal(w->trace, "ah");
}

static void
count_to_three(void *arg)
{
	struct loop_task *t = arg;

	trace('t');
	if (++w->n < 3)
		loop_task_post(t);
	else
		loop_stop(w->lp);
}

static void
task_posts_itself_for_the_next_turn(void **state)
{
	(void)state;
	loop_task_init(&w->tasks[0], w->lp, count_to_three, &w->tasks[0]);
	loop_task_post(&w->tasks[0]);
	loop_task_post(&w->tasks[0]); /* pending: once */
	loop_later(w->lp, say, &letters[0]);
	loop_run(w->lp);
	assert_string_equal(w->trace, "tatt");
	assert_false(loop_task_pending(&w->tasks[0]));
}

static void
cancel_the_others(void *arg)
{
	say(arg);
	loop_task_cancel(&w->tasks[1]);
	loop_later(w->lp, say_and_stop, &letters[7]);
}

static void
cancelled_task_is_silent(void **state)
{
	(void)state;
	loop_task_init(&w->tasks[0], w->lp, cancel_the_others, &letters[0]);
	loop_task_init(&w->tasks[1], w->lp, say, &letters[1]);
	loop_task_init(&w->tasks[2], w->lp, say, &letters[2]);
	for (int i = 0; i < 3; i++)
		loop_task_post(&w->tasks[i]);
	assert_true(loop_task_pending(&w->tasks[1]));
	loop_run(w->lp);
	assert_string_equal(w->trace, "ach");
	loop_task_cancel(&w->tasks[1]); /* not pending: fine */
}

static void
on_turn(uv_prepare_t *h)
{
	(void)h;
	w->n++;
}

/* A cancelled task leaves the loop asleep, not spinning. */
static void
idle_loop_sleeps(void **state)
{
	(void)state;
	static uv_prepare_t turns;

	(void)uv_prepare_init(loop_uv(w->lp), &turns);
	(void)uv_prepare_start(&turns, on_turn);
	loop_task_init(&w->tasks[0], w->lp, say, &letters[0]);
	loop_task_post(&w->tasks[0]);
	loop_task_cancel(&w->tasks[0]);
	w->timers[0] = loop_timer_new(w->lp, 100, say_and_stop, &letters[1]);
	loop_run(w->lp);
	assert_string_equal(w->trace, "b");
	assert_in_range(w->n, 1, 20);
	loop_timer_free(w->timers[0]);
	uv_close((uv_handle_t *)&turns, NULL);
}

static void
on_fd(void *arg, unsigned events)
{
	char c = 0;
	int i = *(const int *)arg;

	assert_int_equal(events, LOOP_READ);
	assert_int_equal(read(w->pipe[i], &c, 1), 1);
	trace(c);
	if (c == 'x') {
		loop_fd_free(w->fds[0]);
		loop_fd_free(w->fds[1]);
		w->fds[0] = w->fds[1] = NULL;
		loop_later(w->lp, say_and_stop, &letters[7]);
	} else if (c == 's') {
		loop_stop(w->lp);
	}
}

static void
descriptors_are_level_triggered(void **state)
{
	(void)state;
	int zero = 0, p[2];

	assert_int_equal(pipe(p), 0);
	w->pipe[0] = p[0];
	w->fds[0] = loop_fd_new(w->lp, p[0], LOOP_READ, on_fd, &zero);
	assert_non_null(w->fds[0]);
	assert_int_equal(write(p[1], "abs", 3), 3);
	loop_run(w->lp);
	assert_string_equal(w->trace, "abs");
	loop_fd_free(w->fds[0]);
	loop_fd_free(NULL);
	close(p[0]);
	close(p[1]);
}

/* Both are readable in one turn: the first to be served frees both. */
static void
freed_descriptor_that_is_due_is_silent(void **state)
{
	(void)state;
	int index[2] = {0, 1}, a[2], b[2];

	assert_int_equal(pipe(a), 0);
	assert_int_equal(pipe(b), 0);
	w->pipe[0] = a[0];
	w->pipe[1] = b[0];
	w->fds[0] = loop_fd_new(w->lp, a[0], LOOP_READ, on_fd, &index[0]);
	w->fds[1] = loop_fd_new(w->lp, b[0], LOOP_READ, on_fd, &index[1]);
	assert_int_equal(write(a[1], "x", 1), 1);
	assert_int_equal(write(b[1], "x", 1), 1);
	loop_run(w->lp);
	assert_string_equal(w->trace, "xh");
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
}

static void
on_writable(void *arg, unsigned events)
{
	(void)arg;
	trace((events & LOOP_WRITE) != 0 ? 'w' : '?');
	loop_stop(w->lp);
}

static void
write_side_and_hang_up(void **state)
{
	(void)state;
	int s[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	w->fds[0] = loop_fd_new(w->lp, s[0], LOOP_WRITE, on_writable, NULL);
	loop_run(w->lp);
	close(s[1]);
	loop_run(w->lp); /* the error is told as readiness */
	assert_string_equal(w->trace, "ww");
	loop_fd_free(w->fds[0]);
	close(s[0]);
}

/* Two ends of a TCP connection: only these can be reset. */
static void
tcp_pair(int ret[2])
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
	ret[1] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(ret[1], (struct sockaddr *)&sin, len), 0);
	ret[0] = accept(listener, NULL, NULL);
	assert_true(ret[0] >= 0);
	(void)close(listener);
}

static void
on_byte(void *arg, unsigned events)
{
	char byte;
	ssize_t n = recv(*(int *)arg, &byte, 1, 0);

	assert_true((events & LOOP_READ) != 0);
	w->trace[strlen(w->trace)] = (char)(n < 0 ? 'E' : n == 0 ? '.' : byte);
	if (n <= 0)
		loop_stop(w->lp);
}

/* What came before a reset is read, one call at a time, and then the reset is. */
static void
a_reset_does_not_end_the_watch(void **state)
{
	const struct linger abort_on_close = {.l_onoff = 1};
	int pair[2];

	(void)state;
	tcp_pair(pair);
	assert_int_equal(write(pair[1], "ab", 2), 2);
	(void)setsockopt(pair[1], SOL_SOCKET, SO_LINGER, &abort_on_close,
	                 sizeof(abort_on_close));
	(void)close(pair[1]);
	w->fds[0] = loop_fd_new(w->lp, pair[0], LOOP_READ, on_byte, &pair[0]);
	loop_run(w->lp);
	assert_true(strcmp(w->trace, "abE") == 0 || strcmp(w->trace, "E") == 0);
	loop_fd_free(w->fds[0]);
	(void)close(pair[0]);
}

static void
bad_descriptor_is_refused(void **state)
{
	(void)state;
	assert_null(loop_fd_new(w->lp, -1, LOOP_READ, on_fd, NULL));
}

static void
on_sig(void *arg)
{
	say(arg);
	loop_signal_free(w->sig);
	loop_later(w->lp, say_and_stop, &letters[7]);
}

static void
signals_arrive_on_the_loop(void **state)
{
	(void)state;
	w->sig = loop_signal_new(w->lp, SIGUSR1, on_sig, &letters[0]);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_string_equal(w->trace, "");
	loop_run(w->lp);
	assert_string_equal(w->trace, "ah");
	loop_signal_free(NULL);
}

static void
what_waits_runs_before_the_end(void **state)
{
	(void)state;
	loop_later(w->lp, say, &letters[0]);
	loop_free(w->lp);
	assert_string_equal(w->trace, "a");
	w->lp = NULL;
	loop_free(NULL);
}

static void
clocks(void **state)
{
	(void)state;
	uint64_t us = loop_clock_us(), turn;

	w->timers[0] = loop_timer_new(w->lp, 5, say_and_stop, &letters[0]);
	loop_run(w->lp);
	turn = loop_now_ms(w->lp);
	assert_true(loop_clock_us() - us >= 4000);
	assert_int_equal(loop_now_ms(w->lp), turn);
	assert_true(turn <= loop_clock_us() / 1000);
	loop_timer_free(w->timers[0]);
}

struct job {
	pthread_t worked, told;
	int steps;
	bool stop;
};

static void
job_work(void *arg)
{
	struct job *j = arg;

	j->worked = pthread_self();
	j->steps = j->steps == 0 ? 1 : -1;
}

static void
job_done(void *arg)
{
	struct job *j = arg;

	j->told = pthread_self();
	j->steps = j->steps == 1 ? 2 : -1;
	if (j->stop)
		loop_stop(w->lp);
}

static void
work_runs_elsewhere_and_tells_the_loop(void **state)
{
	struct job j = {.stop = true};

	(void)state;
	loop_work(w->lp, job_work, job_done, &j);
	assert_int_not_equal(j.steps, 2);
	loop_run(w->lp);
	assert_int_equal(j.steps, 2);
	assert_false(pthread_equal(j.worked, pthread_self()));
	assert_true(pthread_equal(j.told, pthread_self()));
}

static void
work_is_done_before_the_end(void **state)
{
	struct job j[8] = {{.steps = 0}};

	(void)state;
	for (size_t i = 0; i < 8; i++)
		loop_work(w->lp, job_work, job_done, &j[i]);
	loop_free(w->lp);
	w->lp = NULL;
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(j[i].steps, 2);
}

/* Somebody else runs the uv loop, as libwebsockets does: tasks run all the same. */
static void
tasks_run_under_a_foreign_driver(void **state)
{
	(void)state;
	uv_loop_t *uv = loop_uv(w->lp);

	loop_task_init(&w->tasks[0], w->lp, count_to_three, &w->tasks[0]);
	loop_task_post(&w->tasks[0]);
	while (w->n < 3)
		(void)uv_run(uv, UV_RUN_ONCE);
	assert_string_equal(w->trace, "ttt");
}

static void
pauses_grow(void **state)
{
	static const struct {
		uint64_t first;
		unsigned n;
		uint64_t max, want;
	} cases[] = {
	    {1000, 1, 60000, 1000},         {1000, 2, 60000, 2000}, {1000, 6, 60000, 32000},
	    {1000, 7, 60000, 60000},        {10, 8, 1000, 1000},    {50, 1, 20, 20},
	    {1000, UINT_MAX, 60000, 60000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(loop_backoff_ms(cases[i].first, cases[i].n, cases[i].max),
		                 cases[i].want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pauses_grow),
	    cmocka_unit_test_setup_teardown(later_calls_run_in_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(later_is_before_the_next_timer, setup, teardown),
	    cmocka_unit_test_setup_teardown(freed_timer_that_is_due_is_silent, setup, teardown),
	    cmocka_unit_test_setup_teardown(task_posts_itself_for_the_next_turn, setup,
	                                    teardown),
	    cmocka_unit_test_setup_teardown(cancelled_task_is_silent, setup, teardown),
	    cmocka_unit_test_setup_teardown(idle_loop_sleeps, setup, teardown),
	    cmocka_unit_test_setup_teardown(descriptors_are_level_triggered, setup, teardown),
	    cmocka_unit_test_setup_teardown(freed_descriptor_that_is_due_is_silent, setup,
	                                    teardown),
	    cmocka_unit_test_setup_teardown(write_side_and_hang_up, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_reset_does_not_end_the_watch, setup, teardown),
	    cmocka_unit_test_setup_teardown(bad_descriptor_is_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(signals_arrive_on_the_loop, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_waits_runs_before_the_end, setup, teardown),
	    cmocka_unit_test_setup_teardown(work_runs_elsewhere_and_tells_the_loop, setup,
	                                    teardown),
	    cmocka_unit_test_setup_teardown(work_is_done_before_the_end, setup, teardown),
	    cmocka_unit_test_setup_teardown(clocks, setup, teardown),
	    cmocka_unit_test_setup_teardown(tasks_run_under_a_foreign_driver, setup, teardown),
	};

	return cmocka_run_group_tests_name("wire/base/loop", tests, NULL, NULL);
}
