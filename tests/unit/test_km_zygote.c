/* Unit test of kernelmgr/launch_zygote: who is forked, who is spawned, who waits; what a forked
 * kernel finds, and what its end tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernelmgr/spec.h"
#include "tests/unit/zygote_rig.h"
#include "wire/base/err.h"

#define SLEEP  "exec sleep 1000"
#define LARGE  100000 /* of a variable; two fill a socket */
#define JOBS_N 6

/* --- what a kernel finds ---------------------------------------------------------------------- */

/* What is in the file of the jobs' folder, owned by the caller. */
static char *
content(const struct zr *r, const char *name)
{
	char path[400], *text = calloc(1, 65536);
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", r->dir, name);
	f = fopen(path, "re");
	assert_non_null(f);
	(void)fread(text, 1, 65535, f);
	(void)fclose(f);
	return text;
}

static void
environment(void **state)
{
	struct zr *r = *state;
	struct err err = {""};
	char mine[64], *text;
	struct zj j;

	assert_int_equal(setenv("KM_TEST_OUTER", "outer value", 1), 0);
	assert_int_equal(setenv("KERNELBRIDGE_TOKEN", "km-test-secret", 1), 0);
	zr_open_loaded(r, "ok", 2);
	assert_int_equal(zr_try(r, &j, "env > out; pwd >> out",
	                        json_pack("{s:s,s:s}", "ODD", "a\"b'c$HOME\n\xc3\xa9",
	                                  "JPY_PARENT_PID", "1"),
	                        NULL, &err),
	                 0);
	assert_int_equal(zr_wait(&j), 0);
	zr_free(&j);
	text = content(r, "out");
	(void)snprintf(mine, sizeof(mine), "JPY_PARENT_PID=%d\n", (int)getpid());
	assert_non_null(strstr(text, mine));
	assert_non_null(strstr(text, "KERNELBRIDGE_KERNEL_ID=k0"));
	assert_non_null(strstr(text, "FROM_SPEC=<outer value>\n"));
	assert_non_null(strstr(text, "ODD=a\"b'c$HOME\n\xc3\xa9\n"));
	assert_non_null(strstr(text, r->dir));
	assert_null(strstr(text, "km-test-secret"));
	free(text);
}

static void
ends(void **state)
{
	static const struct {
		const char *script;
		int how;
		const char *tail;
	} cases[] = {
	    {"exit 0", 0, ""},
	    {"echo out; echo err >&2; exit 3", 3, "out\nerr\n"},
	    {"kill -SEGV $$", KM_SIGNALLED + SIGSEGV, ""},
	    {"exec >&- 2>&-; sleep 0; exit 4", 4, ""},
	    {"exec setsid -f sleep 1000", 0, ""}, /* which keeps the pipe open */
	};
	struct zr *r = *state;

	zr_open_loaded(r, "ok", 2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct zj j;

		zr_start(r, &j, cases[i].script);
		if (zr_wait(&j) != cases[i].how)
			fail_msg("%s: %d", cases[i].script, j.how);
		assert_string_equal(zr_by(&j), "zygote");
		assert_string_equal(zr_tail(&j), cases[i].tail);
		zr_signal(&j, SIGKILL); /* of an ended job: nothing */
		zr_free(&j);
	}
	assert_int_equal(zr_logged(r, "zygote"), 1);
}

static bool
has_said_go(void *arg)
{
	return strstr(zr_tail(arg), "go") != NULL;
}

static void
signals_reach_the_group(void **state)
{
	struct zr *r = *state;
	struct zj j;

	zr_open_loaded(r, "ok", 2);
	zr_start(r, &j,
	         "trap 'exit 4' INT; sh -c 'trap \"exit 5\" INT; echo go; "
	         "while :; do sleep 0.01; done'; exit 6");
	assert_true(run_until(r->lp, has_said_go, &j));
	assert_int_equal(getsid(zr_pid(&j)), zr_pid(&j));
	zr_signal(&j, SIGINT);
	assert_int_equal(zr_wait(&j), 4);
	zr_free(&j);
}

/* What a kernel leaves behind goes with it. */
static void
frees_what_runs(void **state)
{
	struct zr *r = *state;
	struct zj j;

	zr_open_loaded(r, "ok", 2);
	zr_start(r, &j, "setsid sleep 1000 & (setsid sleep 1000 &); echo go; wait");
	assert_true(run_until(r->lp, has_said_go, &j));
	zr_free(&j);
	zr_wait_children(r, 0);
	assert_int_equal(j.told_n, 0);
}

/* --- who is forked ---------------------------------------------------------------------------- */

static void
first_is_spawned_others_wait(void **state)
{
	struct zr *r = *state;
	struct zj j[3];

	zr_open(r, "ok", 4);
	assert_int_equal(km_launch_zygote_count(r->launcher), 0);
	for (int i = 0; i < 3; i++)
		zr_start(r, &j[i], SLEEP);
	assert_int_equal(km_launch_zygote_count(r->launcher), 1);
	assert_true(zr_pid(&j[0]) > 0);
	assert_string_equal(zr_by(&j[0]), "local");
	for (int i = 1; i < 3; i++)
		assert_int_equal(zr_pid(&j[i]), 0);
	for (int i = 1; i < 3; i++) {
		zr_wait_pid(&j[i]);
		assert_string_equal(zr_by(&j[i]), "zygote");
	}
	for (int i = 0; i < 3; i++)
		zr_free(&j[i]);
	zr_wait_children(r, 0);
}

static void
warm_boots_once(void **state)
{
	struct zr *r = *state;
	struct zj j;

	zr_open(r, "ok", 4);
	km_launch_zygote_warm(r->launcher, r->spec);
	km_launch_zygote_warm(r->launcher, r->spec);
	assert_int_equal(km_launch_zygote_count(r->launcher), 1);
	zr_start(r, &j, "exit 0");
	assert_string_equal(zr_by(&j), "local");
	assert_int_equal(zr_wait(&j), 0);
	zr_free(&j);
	zr_wait_logged(r, "zygote", 1);
}

/* Each start gets its turn: two run, the others wait in order. */
static void
in_order_and_few_at_once(void **state)
{
	struct zr *r = *state;
	struct zj j[JOBS_N];

	zr_open_loaded(r, "ok", 2);
	for (int i = 0; i < JOBS_N; i++)
		zr_start(r, &j[i], SLEEP);
	for (int i = 0; i < JOBS_N; i++) {
		zr_wait_pid(&j[i < JOBS_N - 1 ? i + 1 : i]);
		zr_turns(r);
		for (int k = i; k < JOBS_N; k++)
			assert_int_equal(zr_pid(&j[k]) != 0, k < i + 2);
		if (i % 2 == 0) {
			zr_ready(&j[i]);
			zr_ready(&j[i]); /* counts once */
		} else {
			zr_signal(&j[i], SIGKILL);
			assert_int_equal(zr_wait(&j[i]), KM_SIGNALLED + SIGKILL);
			zr_free(&j[i]);
		}
	}
	for (int i = 0; i < JOBS_N; i += 2)
		zr_free(&j[i]);
}

/* Those that hang while they start keep the others waiting for a while only. */
static void
hanging_ones_count_no_more(void **state)
{
	struct zr *r = *state;
	struct zj j[JOBS_N];

	r->start_ms = 1;
	zr_open_loaded(r, "ok", 1);
	for (int i = 0; i < JOBS_N; i++)
		zr_start(r, &j[i], SLEEP);
	for (int i = 0; i < JOBS_N; i++)
		zr_wait_pid(&j[i]);
	zr_ready(&j[0]);
	for (int i = 0; i < JOBS_N; i++)
		zr_free(&j[i]);
}

/* Start one that must be spawned. */
static void
expect_local(struct zr *r, json_t *more)
{
	struct err err = {""};
	struct zj j;

	if (zr_try(r, &j, "exit 7", more, NULL, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(zr_wait(&j), 7);
	assert_string_equal(zr_by(&j), "local");
	zr_free(&j);
}

static void
some_are_spawned(void **state)
{
	struct zr *r = *state;
	char *large = calloc(1, LARGE + 1);
	char **zygote;

	(void)memset(large, 'x', LARGE);
	zr_open_loaded(r, "ok", 2);
	expect_local(r, json_pack("{s:s}", "STARTER_X", "1"));
	expect_local(r, json_pack("{s:s,s:s,s:s}", "A", large, "B", large, "C", large));
	assert_int_equal(setenv("KM_TEST_OUTER", "\xff", 1), 0); /* which JSON cannot say */
	expect_local(r, NULL);
	(void)unsetenv("KM_TEST_OUTER");
	zygote = r->spec->zygote;
	r->spec->zygote = NULL;
	expect_local(r, NULL);
	r->spec->zygote = zygote;
	assert_int_equal(zr_logged(r, "fork"), 1);
	free(large);
}

static void
errors_are_told_at_once(void **state)
{
	struct zr *r = *state;
	struct err err = {""};
	char *dir;
	struct zj j;

	zr_open_loaded(r, "ok", 2);
	assert_int_equal(zr_try(r, &j, "", json_pack("{s:s}", "A=B", ""), NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "'A=B'"));
	dir = r->dir;
	r->dir = strdup("/no/such/dir");
	assert_int_equal(zr_try(r, &j, "", NULL, NULL, &err), -ENOENT);
	free(r->dir);
	r->dir = dir;
	assert_non_null(strstr(err.text, "'/no/such/dir'"));
}

/* The socket is full: the rest waits until the zygote reads. */
static void
full_socket(void **state)
{
	struct zr *r = *state;
	char *large = calloc(1, LARGE + 1);
	struct zj j[JOBS_N];
	struct err err = {""};

	(void)memset(large, 'x', LARGE);
	zr_open(r, "deaf %s", JOBS_N);
	zr_start(r, &j[0], "exit 0");
	for (int i = 1; i < JOBS_N; i++)
		assert_int_equal(
		    zr_try(r, &j[i], "exit 0", json_pack("{s:s}", "LARGE", large), NULL, &err),
		    0);
	assert_int_equal(zr_wait(&j[0]), 0);
	zr_wait_logged(r, "zygote", 1);
	zr_turns(r);
	zr_go(r);
	for (int i = 0; i < JOBS_N; i++) {
		assert_int_equal(zr_wait(&j[i]), 0);
		assert_string_equal(zr_by(&j[i]), i == 0 ? "local" : "zygote");
		zr_free(&j[i]);
	}
	assert_int_equal(zr_logged(r, "zygote"), 1);
	free(large);
}

/* --- domains ---------------------------------------------------------------------------------- */

static void
start_in(struct zr *r, struct zj *j, const char *domain)
{
	struct err err = {""};

	assert_int_equal(zr_try(r, j, SLEEP, NULL, domain, &err), 0);
}

static void
a_zygote_for_each_domain(void **state)
{
	struct zr *r = *state;
	struct zj a[2], b[2], none;

	zr_open_loaded(r, "ok", 8);
	for (int i = 0; i < 2; i++) {
		start_in(r, &a[i], "a");
		start_in(r, &b[i], "b");
	}
	assert_int_equal(km_launch_zygote_count(r->launcher), 3);
	zr_wait_pid(&a[1]);
	zr_wait_pid(&b[1]);
	start_in(r, &none, NULL);
	zr_wait_pid(&none);
	assert_int_equal(zr_logged(r, "zygote"), 3);
	zr_free(&a[0]);
	zr_turns(r);
	assert_int_equal(km_launch_zygote_count(r->launcher), 3);
	zr_free(&a[1]);
	zr_wait_zygotes(r, 2);
	start_in(r, &a[0], "a"); /* again */
	start_in(r, &a[1], "a");
	zr_wait_pid(&a[1]);
	assert_string_equal(zr_by(&a[0]), "local");
	assert_string_equal(zr_by(&a[1]), "zygote");
	for (int i = 0; i < 2; i++) {
		zr_free(&a[i]);
		zr_free(&b[i]);
	}
	zr_free(&none);
	zr_wait_zygotes(r, 1);
	zr_wait_children(r, 0);
}

/* A domain that is used again while its zygote goes. */
static void
domain_comes_back(void **state)
{
	struct zr *r = *state;
	struct zj a, b;

	zr_open(r, "ok", 2);
	start_in(r, &a, "a");
	zr_wait_logged(r, "zygote", 1);
	zr_free(&a);
	start_in(r, &a, "a");
	start_in(r, &b, "a");
	zr_wait_pid(&b);
	assert_string_equal(zr_by(&b), "zygote");
	assert_int_equal(zr_logged(r, "zygote"), 2);
	zr_free(&b);
	zr_free(&a);
	zr_wait_children(r, 0);
}

/* Of a kernelspec that has changed: what was forked goes on. */
static void
changed_kernelspec_gets_another(void **state)
{
	struct zr *r = *state;
	json_t *env;
	struct zj a, b, c;

	zr_open_loaded(r, "ok", 2);
	zr_start(r, &a, SLEEP);
	zr_wait_pid(&a);
	env = json_copy(r->spec->env);
	json_decref(r->spec->env);
	r->spec->env = env;
	(void)json_object_set_new(env, "MORE", json_string("x"));
	zr_start(r, &b, SLEEP);
	zr_start(r, &c, SLEEP);
	zr_wait_pid(&c);
	assert_string_equal(zr_by(&b), "local"); /* as the first one of all */
	assert_string_equal(zr_by(&c), "zygote");
	assert_int_equal(zr_logged(r, "zygote"), 2);
	zr_wait_zygotes(r, 1);
	assert_int_equal(a.told_n, 0);
	zr_free(&a);
	zr_free(&b);
	zr_free(&c);
}

/* One that waits for a zygote of what it was. */
static void
changed_kernelspec_leaves_nobody_waiting(void **state)
{
	struct zr *r = *state;
	json_t *env;
	struct zj j[JOBS_N];

	zr_open(r, "never", 2);
	for (int i = 0; i < JOBS_N - 1; i++)
		zr_start(r, &j[i], SLEEP);
	env = json_copy(r->spec->env);
	json_decref(r->spec->env);
	r->spec->env = env;
	(void)json_object_set_new(env, "MORE", json_string("x"));
	zr_start(r, &j[JOBS_N - 1], SLEEP);
	for (int i = 0; i < JOBS_N; i++) {
		zr_wait_pid(&j[i]);
		assert_string_equal(zr_by(&j[i]), "local");
		zr_free(&j[i]);
	}
	zr_wait_zygotes(r, 1);
}

/* --- memory ----------------------------------------------------------------------------------- */

/* Its successor takes over, the second one as the first does not load, and no job notices. */
static void
grown_zygote_is_replaced(void **state)
{
	struct zr *r = *state;
	unsigned n = 0;
	struct zj j;

	r->retry_ms = 1;
	zr_open_loaded(r, "grow:5;exit;ok", 2);
	while (zr_logged(r, "zygote") < 3 && n++ < 1000) {
		zr_start(r, &j, "exit 0");
		assert_int_equal(zr_wait(&j), 0);
		assert_string_equal(zr_by(&j), "zygote");
		zr_free(&j);
	}
	assert_in_range(n, 63, 999);
	zr_wait_zygotes(r, 1);
	zr_start(r, &j, "exit 0");
	assert_int_equal(zr_wait(&j), 0);
	assert_string_equal(zr_by(&j), "zygote");
	zr_free(&j);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, zr_setup, zr_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(environment),
	    TEST(ends),
	    TEST(signals_reach_the_group),
	    TEST(frees_what_runs),
	    TEST(first_is_spawned_others_wait),
	    TEST(warm_boots_once),
	    TEST(in_order_and_few_at_once),
	    TEST(hanging_ones_count_no_more),
	    TEST(some_are_spawned),
	    TEST(errors_are_told_at_once),
	    TEST(full_socket),
	    TEST(a_zygote_for_each_domain),
	    TEST(domain_comes_back),
	    TEST(changed_kernelspec_gets_another),
	    TEST(changed_kernelspec_leaves_nobody_waiting),
	    TEST(grown_zygote_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
