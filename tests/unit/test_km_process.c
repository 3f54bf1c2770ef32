/* Unit test of kernelmgr/process: what programs print, how they end, what they leave; real ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "kernelmgr/env.h"
#include "kernelmgr/launcher.h"
#include "kernelmgr/process.h"
#include "kernelmgr/reaper.h"
#include "tests/unit/km_run.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"

struct world {
	struct loop *lp;
	struct km_reaper *reaper;
	struct km_crew *crew;
	char *dir;
	unsigned gone;
};

/* A process and what it told. */
struct prog {
	struct world *w;
	struct km_process *p;
	struct buf text[2]; /* stdout, stderr */
	unsigned outputs_n, ended_n;
	bool stalls, stalled;
	bool frees; /* at the first output */
	size_t waits_for;
	int how;
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->lp = loop_new();
	w->reaper = km_reaper_new(w->lp);
	w->crew = km_crew_new(w->reaper, "crew-of-the-test");
	w->dir = run_tmpdir();
	*state = w;
	return 0;
}

static void
on_gone(void *arg)
{
	((struct world *)arg)->gone++;
}

static bool
is_gone(void *arg)
{
	struct world *w = arg;

	return w->gone > 0 && km_reaper_pending(w->reaper) == 0;
}

/* End the crew; whatever a test left has to go with it. */
static void
end_crew(struct world *w)
{
	km_crew_free(w->crew, on_gone, w);
	w->crew = NULL;
	assert_true(run_until(w->lp, is_gone, w));
}

static int
teardown(void **state)
{
	struct world *w = *state;

	if (w->crew != NULL)
		end_crew(w);
	km_reaper_free(w->reaper);
	loop_free(w->lp);
	run_remove(w->dir);
	free(w);
	return 0;
}

static int
on_output(void *arg, int stream, const char *data, size_t len)
{
	struct prog *g = arg;

	assert_non_null(g->p);
	assert_int_equal(g->ended_n, 0);
	assert_false(g->stalled);
	assert_true(len > 0 && (stream == 1 || stream == 2));
	g->outputs_n++;
	assert_int_equal(buf_append(&g->text[stream - 1], data, len), 0);
	if (g->frees) {
		km_process_free(g->p);
		g->p = NULL;
	}
	g->stalled = g->stalls;
	return g->stalls ? -EAGAIN : 0;
}

static void
on_ended(void *arg, int how)
{
	struct prog *g = arg;

	assert_int_equal(km_process_pid(g->p), 0);
	g->ended_n++;
	g->how = how;
	km_process_free(g->p);
	g->p = NULL;
}

static const struct km_process_ops ops = {.output = on_output, .ended = on_ended};

static void
prog_init(struct prog *g, struct world *w)
{
	memset(g, 0, sizeof(*g));
	g->w = w;
	buf_init(&g->text[0], 1U << 30);
	buf_init(&g->text[1], 1U << 30);
}

static void
prog_fini(struct prog *g)
{
	km_process_free(g->p);
	buf_fini(&g->text[0]);
	buf_fini(&g->text[1]);
}

static int
launch(struct prog *g, const char *const *argv, const char *cwd, bool merged, struct err *err)
{
	struct km_env *env = km_env_new();
	const struct km_process_start what = {
	    .argv = argv, .cwd = cwd, .env = env, .crew = g->w->crew, .merged = merged};
	int rc;

	km_env_set(env, "PATH", "/usr/bin:/bin");
	km_env_set(env, "KERNELBRIDGE_KERNEL_ID", "not this");
	km_env_set(env, "ODD", "a\"b'c $HOME");
	rc = km_process_new(g->w->lp, &what, &ops, g, &g->p, err);
	km_env_free(env);
	return rc;
}

static void
start_merged(struct prog *g, struct world *w, const char *script, bool merged)
{
	const char *const argv[] = {"sh", "-c", script, "zero", NULL};
	struct err err = {""};

	prog_init(g, w);
	if (launch(g, argv, w->dir, merged, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(g->outputs_n + g->ended_n, 0);
}

static void
start(struct prog *g, struct world *w, const char *script)
{
	start_merged(g, w, script, false);
}

static bool
has_ended(void *arg)
{
	return ((struct prog *)arg)->ended_n > 0;
}

static bool
has_printed(void *arg)
{
	const struct prog *g = arg;

	return g->text[0].len + g->text[1].len >= g->waits_for;
}

static const char *
text(const struct prog *g, int stream)
{
	const struct buf *b = &g->text[stream - 1];

	return b->len > 0 ? b->data : "";
}

static void
wait_text(struct prog *g, size_t bytes)
{
	g->waits_for = bytes;
	assert_true(run_until(g->w->lp, has_printed, g));
}

static void
wait_end(struct prog *g)
{
	assert_true(run_until(g->w->lp, has_ended, g));
	assert_int_equal(g->ended_n, 1);
}

static void
output_and_end(void **state)
{
	static const struct {
		const char *script, *out, *err;
		int how;
	} cases[] = {
	    {"exit 0", "", "", 0},
	    {"exit 255", "", "", 255},
	    {"echo out; echo err >&2; exit 3", "out\n", "err\n", 3},
	    {"printf 'no newline'", "no newline", "", 0},
	    {"kill -SEGV $$", "", "", KM_SIGNALLED + SIGSEGV},
	    {"exec >&- 2>&-; exit 4", "", "", 4},
	    {"cat; echo $?", "0\n", "", 0}, /* stdin is empty */
	    {"echo \"$ODD\"; echo $KERNELBRIDGE_KERNEL_ID", "a\"b'c $HOME\ncrew-of-the-test\n",
	     "", 0},
	    {"ls /proc/self/fd | wc -l", "4\n", "", 0}, /* and the one that ls reads */
	    {"test $(ps -o sid= $$) -eq $$ && test $(ps -o pgid= $$) -eq $$ && echo own",
	     "own\n", "", 0},
	};
	struct world *w = *state;
	int leak = open("/dev/null", O_RDONLY); /* no CLOEXEC: as a careless library has it */

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct prog g;

		start(&g, w, cases[i].script);
		wait_end(&g);
		assert_string_equal(text(&g, 1), cases[i].out);
		assert_string_equal(text(&g, 2), cases[i].err);
		assert_int_equal(g.how, cases[i].how);
		prog_fini(&g);
	}
	close(leak);
}

static void
programs_and_folders(void **state)
{
	const char *const nothing[] = {"no-such-program", NULL};
	const char *const nowhere[] = {"/nowhere/at/all", NULL};
	const char *const folder[] = {"/tmp", NULL};
	const char *const mine[] = {"./mine", "argument", NULL};
	const char *const name[] = {"sh", "-c", "echo $0; pwd", NULL};
	struct world *w = *state;
	unsigned fds = run_count_fds();
	struct prog g;
	struct err err;
	char path[300];
	FILE *f;

	prog_init(&g, w);
	assert_int_equal(launch(&g, nothing, w->dir, false, &err), -ENOENT);
	assert_string_equal(err.text, "program 'no-such-program' is not there");
	assert_int_equal(launch(&g, nowhere, w->dir, false, &err), -ENOENT);
	assert_non_null(strstr(err.text, "'/nowhere/at/all'"));
	assert_int_equal(launch(&g, folder, w->dir, false, &err), -ENOENT);
	assert_int_equal(launch(&g, name, "/nowhere/at/all", false, &err), -ENOENT);
	assert_non_null(strstr(err.text, "working directory '/nowhere/at/all'"));
	assert_null(g.p);
	(void)snprintf(path, sizeof(path), "%s/mine", w->dir);
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fputs("#!/bin/sh\necho \"$0 $1\"", f);
	(void)fclose(f);
	assert_int_equal(launch(&g, mine, w->dir, false, &err), -ENOENT); /* not executable */
	assert_int_equal(chmod(path, 0700), 0);
	assert_int_equal(launch(&g, mine, w->dir, false, &err), 0);
	wait_end(&g);
	assert_string_equal(text(&g, 1), "./mine argument\n");
	prog_fini(&g);

	prog_init(&g, w);
	assert_int_equal(launch(&g, name, w->dir, false, &err), 0);
	wait_end(&g);
	(void)snprintf(path, sizeof(path), "sh\n%s\n", w->dir);
	assert_string_equal(text(&g, 1), path);
	prog_fini(&g);
	assert_int_equal(run_count_fds(), fds);
}

static void
both_streams_in_order(void **state)
{
	struct world *w = *state;
	struct prog g;

	start_merged(&g, w, "for i in 1 2 3 4 5 6 7 8; do echo o$i; echo e$i >&2; done", true);
	wait_end(&g);
	assert_string_equal(text(&g, 1), "o1\ne1\no2\ne2\no3\ne3\no4\ne4\n"
	                                 "o5\ne5\no6\ne6\no7\ne7\no8\ne8\n");
	assert_int_equal(g.text[1].len, 0);
	prog_fini(&g);
}

/* More than a pipe holds, and what its last write left there is not lost. */
static void
a_lot_of_output(void **state)
{
	struct world *w = *state;
	struct prog g;

	start(&g, w, "seq 1 200000; seq 1 200000 >&2");
	wait_end(&g);
	assert_int_equal(g.text[0].len, 1288895); /* seq 1 200000 | wc -c */
	assert_int_equal(g.text[1].len, 1288895);
	assert_string_equal(g.text[0].data + g.text[0].len - 7, "200000\n");
	prog_fini(&g);
}

/* It waits in write(2) as long as nobody wants its output. */
static void
a_slow_reader_makes_it_wait(void **state)
{
	struct world *w = *state;
	struct prog g;
	char path[300];
	unsigned steps = 0;

	start(&g, w, "head -c 1000000 /dev/zero; echo done > done");
	g.stalls = true;
	(void)snprintf(path, sizeof(path), "%s/done", w->dir);
	while (g.ended_n == 0) {
		unsigned before = g.outputs_n;

		wait_text(&g, g.text[0].len + (steps == 0));
		if (g.text[0].len < 900000)
			assert_int_not_equal(access(path, F_OK), 0);
		assert_true(g.outputs_n <= before + 1);
		if (g.stalled) {
			g.stalled = false;
			km_process_resume(g.p);
		}
		steps++;
	}
	assert_int_equal(g.text[0].len, 1000000);
	assert_int_equal(g.how, 0);
	prog_fini(&g);
}

static bool
is_over(void *arg)
{
	struct prog *g = arg;

	return km_process_pid(g->p) == 0;
}

/* Its end comes when the reader has taken everything, not before. */
static void
the_end_waits_for_the_reader(void **state)
{
	struct world *w = *state;
	struct prog g;

	start(&g, w, "echo one; read x; echo two; echo three >&2");
	g.stalls = true;
	assert_true(run_until(w->lp, is_over, &g)); /* stdin is empty: it goes on */
	wait_text(&g, 4);
	while (g.ended_n == 0) {
		struct prog before = g;

		assert_true(g.stalled);
		g.stalled = false;
		km_process_resume(g.p);
		g.waits_for = before.text[0].len + before.text[1].len + 1;
		if (g.waits_for > strlen("one\ntwo\nthree\n"))
			wait_end(&g);
		else
			wait_text(&g, g.waits_for);
	}
	assert_string_equal(text(&g, 1), "one\ntwo\n");
	assert_string_equal(text(&g, 2), "three\n");
	prog_fini(&g);
}

static bool
file_is_there(void *path)
{
	return access(path, F_OK) == 0;
}

/* The end does not wait for what is left in the background, which may print for ever, neither
 * waits nor dies of that, and ends with the crew. */
static void
the_background_goes_on(void **state)
{
	struct world *w = *state;
	unsigned fds = run_count_fds();
	struct prog g;
	char path[300];
	pid_t pid;

	start(&g, w,
	      "(while [ ! -e go ]; do sleep 0.01; done; head -c 300000 /dev/zero; "
	      "head -c 300000 /dev/zero >&2; echo alive > alive; exec sleep 1000) & echo $!");
	wait_end(&g);
	assert_int_equal(g.how, 0);
	assert_true(g.text[0].len > 0);
	pid = (pid_t)strtol(g.text[0].data, NULL, 10);
	assert_true(pid > 0 && kill(pid, 0) == 0);
	(void)snprintf(path, sizeof(path), "%s/go", w->dir);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	(void)snprintf(path, sizeof(path), "%s/alive", w->dir);
	assert_true(run_until(w->lp, file_is_there, path));
	assert_int_equal(kill(pid, 0), 0);
	assert_int_equal(run_count_fds(), fds + 2); /* that are read and dropped */
	prog_fini(&g);
	end_crew(w);
	assert_true(run_is_gone(&pid));
	assert_int_equal(run_count_fds(), fds);
}

static bool
fds_are(void *arg)
{
	return run_count_fds() == *(unsigned *)arg;
}

/* When the background closes its end, nothing is read any more. */
static void
the_background_ends(void **state)
{
	struct world *w = *state;
	unsigned fds = run_count_fds();
	struct prog g;
	char path[300];

	start(&g, w, "(while [ ! -e go ]; do sleep 0.01; done; echo bye) &");
	wait_end(&g);
	assert_int_equal(g.text[0].len, 0);
	assert_int_equal(run_count_fds(), fds + 2);
	(void)snprintf(path, sizeof(path), "%s/go", w->dir);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_true(run_until(w->lp, fds_are, &fds));
	prog_fini(&g);
}

/* What a crew reads only to drop it has a limit: the oldest goes. */
static void
drains_are_bounded(void **state)
{
	enum { N = 300, MAX = 256 };
	struct world *w = *state;
	unsigned fds = run_count_fds();
	int writers[N], ends[2];

	for (int i = 0; i < N; i++) {
		assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
		km_crew_drain(w->crew, ends[0]);
		writers[i] = ends[1];
	}
	assert_int_equal(run_count_fds(), fds + N + MAX);
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(write(writers[0], "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(write(writers[N - 1], "x", 1), 1);
	for (int i = 0; i < N; i++)
		close(writers[i]);
	assert_true(run_until(w->lp, fds_are, &fds));
}

static void
signals_go_to_the_group(void **state)
{
	struct world *w = *state;
	struct prog g;
	pid_t child;

	start(&g, w, "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1000; done' & wait");
	wait_text(&g, 2);
	child = (pid_t)strtol(g.text[0].data, NULL, 10);
	km_process_signal(g.p, SIGTERM);
	wait_end(&g);
	assert_int_equal(g.how, KM_SIGNALLED + SIGTERM);
	assert_int_equal(kill(child, 0), 0); /* it did not want to; it is the crew's now */
	prog_fini(&g);

	start(&g, w, "sleep 1000 & echo $!; wait");
	wait_text(&g, 2);
	child = (pid_t)strtol(g.text[0].data, NULL, 10);
	km_process_signal(g.p, SIGKILL);
	wait_end(&g);
	assert_int_equal(g.how, KM_SIGNALLED + SIGKILL);
	assert_true(run_until(w->lp, run_is_gone, &child));
	prog_fini(&g);
}

static void
freed_in_any_state(void **state)
{
	struct world *w = *state;
	unsigned fds = run_count_fds();
	struct prog g;
	pid_t pid;

	km_process_free(NULL);
	start(&g, w, "sleep 1000 & sleep 1000");
	pid = km_process_pid(g.p);
	km_process_free(g.p); /* at once */
	g.p = NULL;
	assert_true(run_until(w->lp, run_is_gone, &pid));
	prog_fini(&g);

	start(&g, w, "echo x; echo y >&2; sleep 1000");
	g.frees = true;
	pid = km_process_pid(g.p);
	wait_text(&g, 2); /* while it prints */
	assert_true(run_until(w->lp, run_is_gone, &pid));
	assert_int_equal(g.ended_n, 0);
	prog_fini(&g);

	start(&g, w, "echo x; echo y >&2");
	g.stalls = true;
	assert_true(run_until(w->lp, is_over, &g)); /* with output on its way */
	prog_fini(&g);
	g.p = NULL;
	end_crew(w);
	assert_int_equal(g.ended_n, 0);
	assert_int_equal(run_count_fds(), fds);
}

static bool
all_have_ended(void *arg)
{
	const struct prog *g = arg;

	for (int i = 0; i < 20; i++)
		if (g[i].ended_n == 0)
			return false;
	return true;
}

static void
many(void **state)
{
	struct world *w = *state;
	struct prog g[20];
	unsigned fds = run_count_fds();

	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 20; i++)
			start(&g[i], w, "echo out; echo err >&2; exit 5");
		assert_true(run_until(w->lp, all_have_ended, g));
		for (int i = 0; i < 20; i++) {
			assert_string_equal(text(&g[i], 1), "out\n");
			assert_string_equal(text(&g[i], 2), "err\n");
			assert_int_equal(g[i].how, 5);
			prog_fini(&g[i]);
		}
	}
	assert_int_equal(run_count_fds(), fds);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(output_and_end, setup, teardown),
	    cmocka_unit_test_setup_teardown(programs_and_folders, setup, teardown),
	    cmocka_unit_test_setup_teardown(both_streams_in_order, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_lot_of_output, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_slow_reader_makes_it_wait, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_end_waits_for_the_reader, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_background_goes_on, setup, teardown),
	    cmocka_unit_test_setup_teardown(the_background_ends, setup, teardown),
	    cmocka_unit_test_setup_teardown(drains_are_bounded, setup, teardown),
	    cmocka_unit_test_setup_teardown(signals_go_to_the_group, setup, teardown),
	    cmocka_unit_test_setup_teardown(freed_in_any_state, setup, teardown),
	    cmocka_unit_test_setup_teardown(many, setup, teardown),
	};

	return cmocka_run_group_tests_name("km/process", tests, NULL, NULL);
}
