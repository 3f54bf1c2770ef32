/* Unit test of gateway/dialects/osb_files: its way through the threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/dialects/osb.h"
#include "gateway/fs.h"
#include "tests/fuzz/fake_edge.h"
#include "tests/unit/gw_rig.h"
#include "tests/unit/km_run.h"
#include "wire/base/err.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define THREADS 4 /* of libuv's pool */

/* All threads are in work that ends when the gate opens. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned inside_n;
	unsigned done_n;
	bool open;
};

static void
pass(void *arg)
{
	struct gate *g = arg;

	(void)pthread_mutex_lock(&g->lock);
	g->inside_n++;
	(void)pthread_cond_broadcast(&g->changed);
	while (!g->open)
		(void)pthread_cond_wait(&g->changed, &g->lock);
	(void)pthread_mutex_unlock(&g->lock);
}

static void
on_passed(void *arg)
{
	struct gate *g = arg;

	g->done_n++;
}

static void
gate_close(struct gate *g, struct loop *lp)
{
	for (unsigned i = 0; i < THREADS; i++)
		loop_work(lp, pass, on_passed, g);
	(void)pthread_mutex_lock(&g->lock);
	while (g->inside_n < THREADS)
		(void)pthread_cond_wait(&g->changed, &g->lock);
	(void)pthread_mutex_unlock(&g->lock);
}

static void
gate_open(struct gate *g)
{
	(void)pthread_mutex_lock(&g->lock);
	g->open = true;
	(void)pthread_cond_broadcast(&g->changed);
	(void)pthread_mutex_unlock(&g->lock);
}

static bool
is_answered(void *arg)
{
	const struct gw_http *x = arg;

	return x->ended;
}

/* Whatever they ask for: it is read on the loop. */
static void
bodies_that_are_too_large(void **state)
{
	static gw_http_fn *const handlers[] = {gw_osb_files_move, gw_osb_files_chmod,
	                                       gw_osb_dirs_make, gw_osb_files_replace};
	size_t size = (8 << 20) + 1;
	char *body = mem_new(size);
	struct rig *r = rig_with_auth();

	(void)state;
	memset(body, ' ', size);
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		struct gw_http x;

		fake_http_init(&x, "POST", "/");
		handlers[i](r->core, &x, body, size);
		assert_true(x.ended);
		assert_int_equal(x.status, 413);
		assert_non_null(strstr(x.body.data, "more than 8388608 bytes"));
		fake_http_fini(&x);
	}
	mem_free(body);
	rig_end(r);
}

/* Two clients ask to remove a file each while no thread is free; the first one leaves. */
static void
what_waits_for_nobody_is_not_begun(void **state)
{
	static const struct fake_pair place[] = {
	    {"sandbox", "default"}, {"port", "44772"}, {NULL, NULL}};
	static const char *const names[] = {"kept", "removed"};
	struct gate g = {.lock = PTHREAD_MUTEX_INITIALIZER,
	                 .changed = PTHREAD_COND_INITIALIZER};
	struct rig *r = rig_with_auth();
	struct gw_http x[2];
	char path[2][4096];

	(void)state;
	gate_close(&g, r->lp);
	for (size_t i = 0; i < 2; i++) {
		const struct fake_pair query[] = {{"path", names[i]}, {NULL, NULL}};
		FILE *f;

		(void)snprintf(path[i], sizeof(path[i]), "%s/%s", r->sandbox->home, names[i]);
		f = fopen(path[i], "w");
		assert_non_null(f);
		(void)fclose(f);
		fake_http_init(&x[i], "DELETE", "/");
		x[i].params = place;
		x[i].query = query;
		gw_osb_files_delete(r->core, &x[i], "", 0);
	}
	x[0].ops->closed(x[0].ops_arg);
	gate_open(&g);
	if (!run_until(r->lp, is_answered, &x[1]))
		fail_msg("no answer");
	rig_wait_n(r, &g.done_n, THREADS);
	assert_int_equal(x[1].status, 200);
	assert_int_equal(access(path[0], F_OK), 0);
	assert_int_equal(access(path[1], F_OK), -1);
	fake_http_fini(&x[0]);
	fake_http_fini(&x[1]);
	rig_end(r);
}

static struct gw_fs *
files_of(struct gw_sandbox *sb)
{
	struct gw_fs *fs = NULL;
	struct err err;

	if (gw_sandbox_fs(sb, &fs, &err) != 0)
		fail_msg("%s", err.text);
	return fs;
}

static void
count(void *arg)
{
	unsigned *n = arg;

	(*n)++;
}

/* One sandbox asks for as much as there are threads, and more; another one is served meanwhile. */
static void
a_sandbox_leaves_threads_to_others(void **state)
{
	struct gate g = {.lock = PTHREAD_MUTEX_INITIALIZER,
	                 .changed = PTHREAD_COND_INITIALIZER};
	const struct gw_sandbox_request rq = {.name = "other"};
	struct gw_fs_work many[THREADS + 1] = {{.lp = NULL}}, one = {.lp = NULL};
	struct rig *r = rig_with_auth();
	struct gw_sandbox *other;
	unsigned other_n[2] = {0, 0};
	struct err err;

	(void)state;
	assert_int_equal(gw_sandbox_new(r->core, &rq, &other, &err), 0);
	for (size_t i = 0; i <= THREADS; i++)
		gw_fs_work(r->lp, files_of(r->sandbox), &many[i], pass, on_passed, &g);
	gw_fs_work(r->lp, files_of(other), &one, count, count, other_n);
	rig_wait_n(r, other_n, 2);
	assert_int_equal(g.done_n, 0);
	assert_true(g.inside_n <= GW_FS_THREADS);
	gw_fs_work_leave(&many[THREADS]);
	gate_open(&g);
	rig_wait_n(r, &g.done_n, THREADS + 1);
	assert_int_equal(g.inside_n, THREADS); /* the last one was not begun */
	gw_sandbox_delete(other, "");
	rig_end(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bodies_that_are_too_large),
	    cmocka_unit_test(what_waits_for_nobody_is_not_begun),
	    cmocka_unit_test(a_sandbox_leaves_threads_to_others),
	};

	return cmocka_run_group_tests_name("gw/osb_jobs", tests, NULL, NULL);
}
