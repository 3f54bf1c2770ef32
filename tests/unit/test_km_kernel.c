/* Unit test of kernelmgr/kernel: one kernel's life, with real processes.
 *
 * What needs a Python kernel runs with the one below KERNELBRIDGE_PREFIX (default
 * build/prefix) and is skipped where there is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "kernelmgr/kernel.h"
#include "tests/unit/km_rig.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

/* The test goes on with a ready Python kernel, or not at all. */
static void
must_start_python(struct rig *r)
{
	if (r->python == NULL)
		skip();
	rig_must_be_ready(r, r->python);
}

static void
stop_and_see(struct rig *r)
{
	km_kernel_stop(r->k);
	km_kernel_stop(r->k); /* asked already */
	assert_true(run_until(r->lp, rig_is_dead, r));
	assert_int_equal(r->died_n, 1);
}

static void
runs_code_and_stops(void **state)
{
	struct rig *r = *state;

	must_start_python(r);
	rig_execute(r, "print('hi'); 1+1");
	assert_int_equal(km_kernel_state(r->k), KM_BUSY);
	assert_true(run_until(r->lp, rig_is_done, r));
	assert_int_equal(r->done_status, 0);
	assert_string_equal(r->text, "hi\n");
	assert_string_equal(r->reply_status, "ok");
	assert_int_equal(km_kernel_state(r->k), KM_READY);
	rig_execute(r, "import os; print(os.getcwd(), os.environ['KERNELBRIDGE_KERNEL_ID'])");
	assert_true(run_until(r->lp, rig_is_done, r));
	assert_true(strncmp(r->text, "/tmp ", 5) == 0);
	assert_true(strncmp(r->text + 5, km_kernel_id(r->k), 8) == 0);
	stop_and_see(r);
	assert_true(r->started);
	assert_string_equal(r->why, "exit code 0");
	assert_int_equal(r->ready_n, 1);
}

/* Interrupts are repeated until one is heard, as the gateway does it, but not so often that one
 * is still on its way when the next code runs. */
static bool
is_done_interrupting(void *arg)
{
	struct rig *r = arg;

	if (r->done_n == 0 && r->looks_n++ % 500 == 0)
		km_kernel_interrupt(r->k);
	return r->done_n > 0;
}

static void
interrupt_with(struct rig *r, enum km_interrupt_mode mode)
{
	if (r->python == NULL)
		skip();
	r->python->interrupt_mode = mode;
	rig_must_start(r, r->python);
	km_kernel_interrupt(r->k); /* would end it: not while it starts */
	assert_true(run_until(r->lp, rig_is_ready, r));
	assert_int_equal(r->died_n, 0);
	rig_execute(r, "import time\nprint('go', flush=True)\nwhile True: time.sleep(0.01)");
	assert_true(run_until(r->lp, rig_has_text, r));
	assert_true(run_until(r->lp, is_done_interrupting, r));
	assert_int_equal(r->done_status, 0);
	assert_string_equal(r->reply_status, "error");
	assert_string_equal(r->ename, "KeyboardInterrupt");
	rig_execute(r, "print('alive')");
	assert_true(run_until(r->lp, rig_is_done, r));
	assert_string_equal(r->text, "alive\n");
}

static void
interrupts_by_signal(void **state)
{
	interrupt_with(*state, KM_INTERRUPT_SIGNAL);
}

static void
interrupts_by_message(void **state)
{
	interrupt_with(*state, KM_INTERRUPT_MESSAGE);
}

struct given {
	unsigned n;
	int status;
	char why[200];
};

static void
on_assigned(void *arg, int status, const char *why)
{
	struct given *g = arg;

	g->n++;
	g->status = status;
	(void)snprintf(g->why, sizeof(g->why), "%s", why);
}

static bool
is_given(void *arg)
{
	return ((struct given *)arg)->n > 0;
}

static struct given
assign(struct rig *r, const char *cwd, json_t *env)
{
	struct given g = {0};

	km_kernel_assign(r->k, cwd, env, on_assigned, &g);
	json_decref(env);
	assert_int_equal(g.n, 0);
	assert_true(run_until(r->lp, is_given, &g));
	assert_int_equal(g.n, 1);
	return g;
}

static void
is_assigned(void **state)
{
	struct rig *r = *state;
	struct given g;

	must_start_python(r);
	g = assign(r, "/no/such/dir", NULL);
	assert_int_equal(g.status, -EIO);
	assert_non_null(strstr(g.why, "/no/such/dir"));
	g = assign(r, "/usr",
	           json_pack("{s:s, s:s, s:s, s:s}", "KM_A", "a\"b", "KM_B", "",
	                     "KERNELBRIDGE_KERNEL_ID", "another1", "JPY_PARENT_PID", "1"));
	assert_string_equal(g.why, "");
	assert_int_equal(g.status, 0);
	rig_execute(r, "import os; print(os.getcwd(), os.environ['KM_A'], os.environ['KM_B'])");
	assert_true(run_until(r->lp, rig_is_done, r));
	assert_string_equal(r->text, "/usr a\"b \n");
	rig_execute(r, "print(os.environ['KERNELBRIDGE_KERNEL_ID'] != 'another1', "
	               "int(os.environ['JPY_PARENT_PID']) == os.getppid())");
	assert_true(run_until(r->lp, rig_is_done, r));
	assert_non_null(strstr(r->text, "True True\n"));
	assert_string_equal(r->strays, "");
	stop_and_see(r);
}

static void
dies_while_it_is_assigned(void **state)
{
	struct rig *r = *state;
	struct given g = {0};

	must_start_python(r);
	km_kernel_assign(r->k, "/usr", NULL, on_assigned, &g);
	assert_int_equal(kill(km_kernel_pid(r->k), SIGKILL), 0);
	assert_true(run_until(r->lp, rig_is_dead, r));
	assert_int_equal(g.n, 1); /* before */
	assert_true(g.status == 0 || strcmp(g.why, "the kernel is gone") == 0);
	rig_free_kernel(r);
	r->died_n = r->ready_n = g.n = 0;
	must_start_python(r);
	km_kernel_assign(r->k, "/usr", NULL, on_assigned, &g);
	rig_free_kernel(r);
	assert_int_equal(g.n, 0);
}

/* As in a terminal: what the code waits for hears it too. */
static void
interrupts_subprocesses(void **state)
{
	struct rig *r = *state;

	must_start_python(r);
	rig_execute(r, "import subprocess\nprint('go', flush=True)\n"
	               "subprocess.run(['sh', '-c', 'sleep 1000; echo end'])");
	assert_true(run_until(r->lp, rig_has_text, r));
	assert_true(run_until(r->lp, is_done_interrupting, r));
	assert_string_equal(r->ename, "KeyboardInterrupt");
}

static void
death_while_running(void **state)
{
	static const struct {
		const char *code, *why;
	} cases[] = {
	    {"import os; print('out', flush=True); os.kill(os.getpid(), 9)", "signal 9"},
	    {"import os; print('out', flush=True); os.kill(os.getpid(), 11)", "signal 11"},
	    {"import os; print('out', flush=True); os._exit(3)", "exit code 3"},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		r->ready_n = r->died_n = 0;
		must_start_python(r);
		rig_execute(r, cases[i].code);
		assert_true(run_until(r->lp, rig_is_dead, r));
		assert_int_equal(r->done_n, 1);
		assert_int_equal(r->done_status, -EPIPE);
		assert_int_equal(r->died_n, 1);
		assert_true(r->started);
		assert_string_equal(r->why, cases[i].why);
		km_kernel_free(r->k);
		r->k = NULL;
	}
}

static void
death_while_idle(void **state)
{
	struct rig *r = *state;

	must_start_python(r);
	assert_int_equal(kill(km_kernel_pid(r->k), SIGKILL), 0);
	assert_true(run_until(r->lp, rig_is_dead, r));
	assert_true(r->started);
	assert_string_equal(r->why, "signal 9");
	rig_execute(r, "1"); /* of a dead kernel: fails, later */
	assert_int_equal(r->done_n, 0);
}

static void
late_request_fails(void **state)
{
	struct rig *r = *state;

	must_start_python(r);
	km_kernel_kill(r->k);
	assert_int_equal(km_kernel_state(r->k), KM_STOPPING);
	rig_execute(r, "1");
	assert_true(run_until(r->lp, rig_is_dead, r));
	assert_int_equal(r->done_n, 1);
	assert_int_equal(r->done_status, -EPIPE);
}

static void
busy_kernel_is_killed(void **state)
{
	struct rig *r = *state;

	must_start_python(r);
	rig_execute(r, "print('go', flush=True)\nwhile True: pass");
	assert_true(run_until(r->lp, rig_has_text, r));
	stop_and_see(r);
	assert_int_equal(r->done_status, -EPIPE);
	assert_string_equal(r->why, "signal 9");
}

static void
start_failures(void **state)
{
	static const struct {
		const char *script;
		uint64_t timeout_ms;
		const char *why;
	} cases[] = {
	    {"exit 3", RIG_START_MS, "exit code 3"},
	    {"echo one >&2; echo two; exit 1", RIG_START_MS, "exit code 1: one two"},
	    {"kill -ABRT $$", RIG_START_MS, "signal 6"},
	    {"echo 'still here' >&2; exec sleep 1000", 300,
	     "did not answer within 0.3 s: still here"},
	    {"sleep 1000 & echo bg; exit 4", RIG_START_MS, "exit code 4: bg"},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct km_spec *spec = rig_shell_spec(cases[i].script, false);

		r->died_n = 0;
		assert_int_equal(rig_start_with(r, spec, cases[i].timeout_ms, NULL), 0);
		assert_true(run_until(r->lp, rig_is_dead, r));
		assert_int_equal(r->died_n, 1);
		assert_false(r->started);
		assert_string_equal(r->why, cases[i].why);
		rig_free_kernel(r);
		km_spec_free(spec);
	}
	assert_int_equal(r->ready_n, 0);
}

static void
missing_module_is_quoted(void **state)
{
	struct rig *r = *state;
	struct km_spec *spec;

	if (r->python == NULL)
		skip();
	spec = rig_shell_spec("exec \"$PYTHON\" -c 'import no_such_module'", false);
	assert_int_equal(setenv("PYTHON", r->python->argv[0], 1), 0);
	rig_must_start(r, spec);
	assert_true(run_until(r->lp, rig_is_dead, r));
	assert_true(strncmp(r->why, "exit code 1: ", 13) == 0);
	assert_non_null(
	    strstr(r->why, "ModuleNotFoundError: No module named 'no_such_module'"));
	km_kernel_free(r->k);
	r->k = NULL;
	km_spec_free(spec);
}

/* Each try says so in a file; every one finds its port taken. */
static void
taken_port_is_tried_again(void **state)
{
	static const struct {
		const char *says;
		bool tcp;
		long tries;
	} cases[] = {
	    {"zmq.error.ZMQError: Address already in use (addr=...)", true, 5},
	    {"Error: listen EADDRINUSE", true, 5},
	    {"Address already in use", false, 1},
	    {"something else", true, 1},
	};
	struct rig *r = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char script[256], *dir = run_tmpdir(), path[128];
		struct km_spec *spec;
		FILE *f;

		(void)snprintf(path, sizeof(path), "%s/tries", dir);
		(void)snprintf(script, sizeof(script), "echo x >> %s; echo '%s' >&2; exit 1",
		               path, cases[i].says);
		spec = rig_shell_spec(script, cases[i].tcp);
		r->died_n = 0;
		rig_must_start(r, spec);
		assert_true(run_until(r->lp, rig_is_dead, r));
		assert_false(r->started);
		f = fopen(path, "r");
		assert_non_null(f);
		(void)fseek(f, 0, SEEK_END);
		assert_int_equal(ftell(f), 2 * cases[i].tries);
		fclose(f);
		rig_free_kernel(r);
		km_spec_free(spec);
		run_remove(dir);
	}
}

static bool
has_few_fds(void *arg)
{
	return run_count_fds() <= *(unsigned *)arg;
}

static void
refused_start_leaves_nothing(void **state)
{
	struct rig *r = *state;
	struct km_spec *spec = rig_shell_spec("exit 0", false);
	unsigned before, turns = 0;
	struct err err = {""};
	char *run_dir = r->run_dir, long_dir[200] = "/tmp/", none[] = "/no/such/dir";

	mem_free(spec->argv[0]);
	spec->argv[0] = mem_strdup("no-such-program");
	assert_int_equal(rig_start_with(r, spec, RIG_START_MS, &err), -ENOENT);
	assert_non_null(strstr(err.text, "no-such-program"));
	assert_true(run_until(r->lp, rig_once, &turns));
	before = run_count_fds(); /* with what libzmq keeps */
	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_start_with(r, spec, RIG_START_MS, &err), -ENOENT);
	assert_true(run_until(r->lp, has_few_fds, &before));
	r->run_dir = none;
	assert_int_equal(rig_start_with(r, spec, RIG_START_MS, &err), -EIO);
	assert_non_null(strstr(err.text, none));
	(void)memset(long_dir + 5, 'x', 120);
	assert_int_equal(mkdir(long_dir, 0700), 0);
	r->run_dir = long_dir;
	assert_int_equal(rig_start_with(r, spec, RIG_START_MS, &err), -EIO);
	assert_non_null(strstr(err.text, "too long"));
	(void)rmdir(long_dir);
	r->run_dir = run_dir;
	assert_null(r->k);
	rig_assert_clean(r);
	km_spec_free(spec);
}

enum when { AT_START, AT_READY, AT_BUSY, AT_STOPPING, AT_KILLED, IN_READY, IN_DIED, WHEN_N };

static void
bring_to(struct rig *r, enum when when)
{
	r->free_in_ready = when == IN_READY;
	r->free_in_died = when == IN_DIED;
	rig_must_start(r, r->python);
	if (when == AT_START)
		return;
	assert_true(run_until(r->lp, rig_is_ready, r));
	if (when == AT_BUSY || when == IN_DIED) {
		rig_execute(
		    r, "import os; os.system('setsid sleep 1000 &'); print('go', flush=True)\n"
		       "while True: pass");
		assert_true(run_until(r->lp, rig_has_text, r));
	}
	if (when == AT_STOPPING)
		km_kernel_stop(r->k);
	if (when == AT_KILLED || when == IN_DIED)
		km_kernel_kill(r->k);
	if (when == IN_DIED)
		assert_true(run_until(r->lp, rig_is_dead, r));
}

static void
freed_in_any_state(void **state)
{
	struct rig *r = *state;
	unsigned fds = 0;

	if (r->python == NULL)
		skip();
	for (enum when when = AT_START; when < WHEN_N; when++) {
		r->ready_n = r->died_n = r->done_n = 0;
		bring_to(r, when);
		rig_free_kernel(r);
		assert_int_equal(r->died_n, when == IN_DIED);
		assert_int_equal(r->done_n, when == IN_DIED);
		/* libzmq closes its own in its own thread, and keeps a few for good */
		if (when == AT_START)
			fds = run_count_fds();
		assert_true(run_until(r->lp, has_few_fds, &fds));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(start_failures, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(refused_start_leaves_nothing, rig_setup,
	                                    rig_teardown),
	    cmocka_unit_test_setup_teardown(taken_port_is_tried_again, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(missing_module_is_quoted, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(runs_code_and_stops, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(is_assigned, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(dies_while_it_is_assigned, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(interrupts_by_signal, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(interrupts_by_message, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(interrupts_subprocesses, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(death_while_running, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(death_while_idle, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(late_request_fails, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(busy_kernel_is_killed, rig_setup, rig_teardown),
	    cmocka_unit_test_setup_teardown(freed_in_any_state, rig_setup, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
