/* Unit test of kernelmgr/launch_zygote: zygotes that end, lie or do not answer; jobs that are
 * killed or forgotten before they have a process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernelmgr/spec.h"
#include "tests/unit/zygote_rig.h"
#include "wire/base/err.h"

#define SLEEP    "exec sleep 1000"
#define JOBS_N   4
#define SHORT_MS 200

/* --- zygotes that fail ---------------------------------------------------------------- */

/* Start jobs that stay, and see that each has one process in the end. */
static void
all_come_to_run(struct zr *r, struct zj j[JOBS_N])
{
	for (int i = 0; i < JOBS_N; i++)
		zr_start(r, &j[i], SLEEP);
	for (int i = 0; i < JOBS_N; i++) {
		zr_wait_pid(&j[i]);
		assert_int_equal(j[i].told_n, 0);
		zr_ready(&j[i]);
	}
	zr_wait_children(r, JOBS_N);
}

static void
free_all(struct zj j[JOBS_N])
{
	for (int i = 0; i < JOBS_N; i++)
		zr_free(&j[i]);
}

/* The first zygote fails at a request; the others are served by its successor. */
static void
failures_are_not_noticed(void **state)
{
	static const char *const orders[] = {
	    "die:3;ok",   "born:3;ok",  "told:3;ok",    "mute:3;ok", "close:3;ok",
	    "wrong:3;ok", "large:3;ok", "garbage:3;ok", "born:2;ok", "die:4;ok",
	};

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		struct zj j[JOBS_N];
		struct zr *r;

		(void)zr_teardown(state);
		(void)zr_setup(state);
		r = *state;
		r->reply_ms = strncmp(orders[i], "mute", 4) == 0 ? SHORT_MS : 0;
		zr_open_loaded(r, orders[i], JOBS_N);
		all_come_to_run(r, j);
		for (int k = 0; k < JOBS_N; k++)
			assert_string_equal(zr_by(&j[k]), "zygote");
		assert_int_equal(zr_logged(r, "zygote"), 2);
		free_all(j);
		zr_wait_children(r, 0);
	}
}

/* One that serves nobody is not followed by another at once. */
static void
useless_ones_are_not_waited_for(void **state)
{
	static const char *const orders[] = {"exit",  "never", "again",
	                                     "early", "die:1", "born:1"};

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		struct zj j[JOBS_N];
		struct zr *r;

		(void)zr_teardown(state);
		(void)zr_setup(state);
		r = *state;
		r->boot_ms = strcmp(orders[i], "never") == 0 ? SHORT_MS : 0;
		zr_open(r, orders[i], JOBS_N);
		all_come_to_run(r, j);
		for (int k = 0; k < JOBS_N; k++)
			assert_string_equal(zr_by(&j[k]), "local");
		assert_int_equal(zr_logged(r, "zygote"), 1);
		free_all(j);
		zr_wait_children(r, 0);
	}
}

static void
missing_program(void **state)
{
	struct zr *r = *state;
	struct zj j[JOBS_N];

	zr_open(r, "ok", JOBS_N);
	r->spec->zygote[0][0] = 'x'; /* no such path */
	all_come_to_run(r, j);
	for (int i = 0; i < JOBS_N; i++)
		assert_string_equal(zr_by(&j[i]), "local");
	assert_int_equal(km_launch_zygote_count(r->launcher), 0);
	free_all(j);
}

/* Else it starts another. */
static bool
was_forked(void *arg)
{
	struct zj *j = arg;

	if (j->told_n == 0 || strcmp(zr_by(j), "zygote") == 0)
		return j->told_n > 0;
	zr_free(j);
	zr_start(j->r, j, "exit 0");
	return false;
}

/* After some time the next is tried. */
static void
tried_again(void **state)
{
	struct zr *r = *state;
	struct zj j;

	r->retry_ms = SHORT_MS;
	zr_open(r, "exit;exit;ok", 1);
	zr_start(r, &j, "exit 0");
	assert_true(run_until(r->lp, was_forked, &j));
	assert_int_equal(zr_logged(r, "zygote"), 3);
	zr_free(&j);
}

static void
refused_ones_are_spawned(void **state)
{
	struct zr *r = *state;
	struct zj j[JOBS_N];

	zr_open_loaded(r, "refuse:3", JOBS_N);
	all_come_to_run(r, j);
	for (int i = 0; i < JOBS_N; i++)
		assert_string_equal(zr_by(&j[i]), i == 1 ? "local" : "zygote");
	free_all(j);
}

/* A kernel that answered may end before its zygote has seen that it did. */
static void
error_after_an_answer_is_ignored(void **state)
{
	struct zr *r = *state;
	struct zj j[JOBS_N];

	zr_open_loaded(r, "both:3", JOBS_N);
	all_come_to_run(r, j);
	for (int i = 0; i < JOBS_N; i++)
		assert_string_equal(zr_by(&j[i]), "zygote");
	assert_int_equal(zr_logged(r, "zygote"), 1);
	free_all(j);
}

/* A local start that fails later is told as an end, with the reason. */
static void
spawn_fails_later(void **state)
{
	struct zr *r = *state;
	struct zj first, j;

	zr_open(r, "exit", 2);
	zr_start(r, &first, SLEEP);
	zr_start(r, &j, SLEEP);
	assert_int_equal(zr_pid(&j), 0);
	assert_int_equal(rename(r->dir, "/tmp/km_test_moved"), 0); /* its folder is gone */
	assert_int_equal(zr_wait(&j), -1);
	assert_int_equal(rename("/tmp/km_test_moved", r->dir), 0);
	assert_non_null(strstr(zr_tail(&j), "working directory"));
	assert_int_equal(zr_pid(&j), 0);
	zr_free(&j);
	zr_free(&first);
}

/* Who is nobody's child is not killed, and its job ends. */
static void
pid_of_no_child(void **state)
{
	struct zr *r = *state;
	struct zj j;

	zr_open_loaded(r, "nobody:2", 2);
	zr_start(r, &j, SLEEP);
	assert_int_equal(zr_wait(&j), -1);
	zr_free(&j);
	zr_start(r, &j, "exit 0"); /* the zygote lives */
	assert_int_equal(zr_wait(&j), 0);
	assert_int_equal(zr_logged(r, "zygote"), 1);
	zr_free(&j);
}

/* It ended, and was reaped, before its zygote told its pid. */
static void
ended_before_it_was_known(void **state)
{
	struct zr *r = *state;
	struct zj j;

	zr_open_loaded(r, "hold:2 %s", 2);
	zr_start(r, &j, "sleep 1000 & exit 5");
	zr_wait_logged(r, "fork", 2);
	zr_wait_children(r, 1);
	zr_turns(r);
	assert_int_equal(j.told_n, 0);
	zr_go(r);
	assert_int_equal(zr_wait(&j), 5);
	zr_wait_children(r, 0);
	zr_free(&j);
}

/* Something holds on to what the zygote was asked for: its job waits, others do not; and a job over
 * which two zygotes ended is spawned. */
static void
waits_until_it_is_clear(void **state)
{
	struct zr *r = *state;
	struct zj j, other[2];

	zr_open_loaded(r, "held:2 %s;die:2", 2);
	zr_start(r, &j, SLEEP);
	zr_wait_logged(r, "zygote", 2);
	zr_start(r, &other[0], SLEEP); /* spawned or forked, while that one waits */
	zr_start(r, &other[1], SLEEP);
	zr_wait_pid(&other[0]);
	zr_wait_logged(r, "fork", 3);
	zr_wait_pid(&other[1]);
	zr_ready(&other[0]);
	zr_ready(&other[1]);
	assert_int_equal(zr_pid(&j), 0);
	zr_go(r);
	zr_wait_pid(&j);
	assert_string_equal(zr_by(&j), "local");
	zr_free(&j);
	zr_free(&other[0]);
	zr_free(&other[1]);
}

/* --- jobs that are not wanted any more -------------------------------------------------------- */

/* How far a job has come. */
enum when {
	IN_LINE,  /* the zygote loads */
	BEHIND,   /* others start */
	ASKED,    /* forked, not answered */
	CLEARING, /* its zygote has ended */
	RUNNING,
	SPAWNED,
	REFUSED, /* it could not even be spawned; not told yet */
	WHEN_N
};

static void
bring_to(struct zr *r, struct zj *j, struct zj *other, enum when when)
{
	static const char *const orders[WHEN_N] = {
	    [IN_LINE] = "never", [BEHIND] = "ok",          [ASKED] = "hold:2 %s",
	    [RUNNING] = "ok",    [CLEARING] = "held:2 %s", [SPAWNED] = "never",
	    [REFUSED] = "exit"};

	if (when == IN_LINE || when == SPAWNED || when == REFUSED)
		zr_open(r, orders[when], 1);
	else
		zr_open_loaded(r, orders[when], 1);
	if (when == IN_LINE || when == BEHIND || when == REFUSED)
		zr_start(r, other, SLEEP);
	zr_start(r, j, SLEEP);
	if (when == BEHIND)
		zr_wait_pid(other);
	if (when == ASKED)
		zr_wait_logged(r, "fork", 2);
	if (when == CLEARING) {
		zr_wait_logged(r, "zygote", 2);
		zr_turns(r);
	}
	if (when == RUNNING)
		zr_wait_pid(j);
}

static void
freed_at_any_time(void **state)
{
	for (enum when when = IN_LINE; when < WHEN_N; when++) {
		struct zj j, other = {0};
		struct zr *r;

		(void)zr_teardown(state);
		(void)zr_setup(state);
		r = *state;
		bring_to(r, &j, &other, when);
		zr_free(&j);
		zr_go(r);
		zr_turns(r);
		assert_int_equal(j.told_n, 0);
		if (other.job != NULL)
			zr_free(&other);
		zr_wait_children(r, 0);
	}
}

static void
killed_at_any_time(void **state)
{
	for (enum when when = IN_LINE; when < REFUSED; when++) {
		struct zj j, other = {0};
		struct zr *r;

		(void)zr_teardown(state);
		(void)zr_setup(state);
		r = *state;
		bring_to(r, &j, &other, when);
		if (when < RUNNING) {
			zr_signal(&j, SIGTERM); /* not there yet: nothing */
			assert_int_equal(zr_pid(&j), 0);
		}
		j.free_in_exited = true;
		zr_signal(&j, SIGKILL);
		zr_signal(&j, SIGKILL);
		assert_int_equal(j.told_n, 0);
		zr_go(r);
		assert_int_equal(zr_wait(&j), KM_SIGNALLED + SIGKILL);
		if (other.job != NULL)
			zr_free(&other);
		zr_wait_children(r, 0);
		assert_int_equal(j.told_n, 1);
	}
}

/* The launcher stops with jobs in all states: those without a process end, the others run on. */
static void
stopped_at_any_time(void **state)
{
	for (enum when when = IN_LINE; when < REFUSED; when++) {
		struct zj j, other = {0};
		struct zr *r;

		(void)zr_teardown(state);
		(void)zr_setup(state);
		r = *state;
		bring_to(r, &j, &other, when);
		km_launch_zygote_stop(r->launcher);
		km_launch_zygote_stop(r->launcher);
		zr_go(r);
		zr_wait_zygotes(r, 0);
		if (when == RUNNING || when == SPAWNED)
			assert_int_equal(j.told_n, 0);
		else if (zr_wait(&j) == -1)
			assert_non_null(strstr(zr_tail(&j), "stopping"));
		zr_free(&j);
		if (other.job != NULL)
			zr_free(&other);
		zr_start(r, &j, SLEEP); /* from now on */
		assert_string_equal(zr_by(&j), "local");
		zr_free(&j);
		zr_wait_children(r, 0);
	}
}

/* Freed with requests that are not answered: the launcher goes first, the kernel is killed. */
static void
freed_launcher(void **state)
{
	struct zr *r = *state;
	struct zj j;

	zr_open_loaded(r, "hold:2 %s", 2);
	zr_start(r, &j, SLEEP);
	zr_wait_logged(r, "fork", 2);
	zr_free(&j);
	km_launch_zygote_free(r->launcher);
	r->launcher = NULL;
	zr_wait_children(r, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, zr_setup, zr_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(failures_are_not_noticed),  TEST(useless_ones_are_not_waited_for),
	    TEST(missing_program),           TEST(tried_again),
	    TEST(refused_ones_are_spawned),  TEST(error_after_an_answer_is_ignored),
	    TEST(spawn_fails_later),         TEST(pid_of_no_child),
	    TEST(ended_before_it_was_known), TEST(waits_until_it_is_clear),
	    TEST(freed_at_any_time),         TEST(killed_at_any_time),
	    TEST(stopped_at_any_time),       TEST(freed_launcher),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
