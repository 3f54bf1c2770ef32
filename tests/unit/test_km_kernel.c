/* Unit test of kernelmgr/kernel: one kernel's life, with real processes.
 *
 * What needs a Python kernel runs with the one below KERNELBRIDGE_PREFIX (default build/prefix) and is
 * skipped where there is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "kernelmgr/kernel.h"
#include "kernelmgr/launch_local.h"
#include "kernelmgr/reaper.h"
#include "kernelmgr/spec.h"
#include "tests/unit/km_run.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/channel.h"
#include "wire/client.h"
#include "wire/msg.h"

#define START_MS 60000
#define GRACE_MS 10000

struct world {
	struct loop *lp;
	struct km_reaper *reaper;
	struct km_launcher *launcher;
	struct km_spec *python; /* NULL: not installed */
	char *run_dir;

	struct km_kernel *k;
	unsigned ready_n, died_n;
	bool started;
	bool free_in_ready, free_in_died;
	char why[600];

	unsigned done_n, looks_n;
	int done_status;
	char text[4096]; /* stdout of the execution */
	char reply_status[16], ename[64];
};

static const char *
prefix(void)
{
	const char *p = getenv("KERNELBRIDGE_PREFIX");

	return p != NULL ? p : KM_TEST_PREFIX;
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct km_spec_path *path = km_spec_path_new(prefix());

	assert_int_equal(wire_channel_setup(100), 0);
	(void)km_spec_find(path, "python3", &w->python, NULL);
	km_spec_path_free(path);
	w->lp = loop_new();
	w->reaper = km_reaper_new(w->lp);
	w->launcher = km_launch_local_new(w->lp, w->reaper, prefix());
	w->run_dir = run_tmpdir();
	*state = w;
	return 0;
}

static bool
is_clear(void *arg)
{
	return km_reaper_pending(arg) == 0;
}

static unsigned
count_entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		(void)closedir(d);
	return n - 2;
}

static bool
once(void *arg)
{
	return (*(unsigned *)arg)++ > 0;
}

/* No process, file, descriptor or gauge of a kernel is left. */
static void
assert_clean(struct world *w)
{
	unsigned turns = 0;

	assert_true(run_until(w->lp, is_clear, w->reaper));
	assert_true(run_until(w->lp, once, &turns)); /* what waits for the end of a turn */
	assert_int_equal(count_entries(w->run_dir), 0);
	for (int st = 0; st < KM_KSTATE_N; st++)
		assert_int_equal(km_kernel_count((enum km_kstate)st), 0);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	km_kernel_free(w->k);
	w->k = NULL;
	assert_clean(w);
	km_spec_free(w->python);
	km_launch_local_free(w->launcher);
	km_reaper_free(w->reaper);
	loop_free(w->lp);
	wire_channel_term();
	run_remove(w->run_dir);
	free(w);
	return 0;
}

static void
on_ready(void *arg)
{
	struct world *w = arg;

	w->ready_n++;
	assert_int_equal(w->died_n, 0);
	if (w->free_in_ready) {
		km_kernel_free(w->k);
		w->k = NULL;
	}
}

static void
on_died(void *arg, bool started, const char *why)
{
	struct world *w = arg;

	w->died_n++;
	w->started = started;
	(void)snprintf(w->why, sizeof(w->why), "%s", why);
	assert_int_equal(km_kernel_state(w->k), KM_DEAD);
	assert_int_equal(km_kernel_pid(w->k), 0);
	if (w->free_in_died) {
		km_kernel_free(w->k);
		w->k = NULL;
	}
}

static void
on_stray(void *arg, const struct wire_msg *m)
{
	(void)arg;
	assert_string_not_equal(m->type, "");
}

static const struct km_kernel_ops ops = {.ready = on_ready, .died = on_died, .stray = on_stray};

static int
start_with(struct world *w, const struct km_spec *spec, uint64_t start_ms, struct err *err)
{
	const struct km_kernel_config cfg = {
	    .lp = w->lp,
	    .launcher = w->launcher,
	    .spec = spec,
	    .run_dir = w->run_dir,
	    .cwd = "/tmp",
	    .start_timeout_ms = start_ms,
	    .stop_grace_ms = GRACE_MS,
	};

	return km_kernel_start(&cfg, &ops, w, &w->k, err);
}

static bool
is_ready(void *arg)
{
	const struct world *w = arg;

	return w->ready_n > 0 || w->died_n > 0;
}

static bool
is_dead(void *arg)
{
	return ((struct world *)arg)->died_n > 0;
}

static bool
is_done(void *arg)
{
	return ((struct world *)arg)->done_n > 0;
}

static bool
has_text(void *arg)
{
	return ((struct world *)arg)->text[0] != '\0';
}

static void
must_start(struct world *w, const struct km_spec *spec)
{
	struct err err = {""};

	if (start_with(w, spec, START_MS, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(km_kernel_state(w->k), KM_STARTING);
	assert_int_equal(km_kernel_count(KM_STARTING), 1);
	assert_true(km_kernel_pid(w->k) > 0);
	assert_int_equal(w->ready_n, 0);
}

/* The test goes on with a ready Python kernel, or not at all. */
static void
must_start_python(struct world *w)
{
	if (w->python == NULL)
		skip();
	must_start(w, w->python);
	assert_true(run_until(w->lp, is_ready, w));
	if (w->died_n > 0)
		fail_msg("%s", w->why);
	assert_int_equal(km_kernel_state(w->k), KM_READY);
	assert_string_equal(km_kernel_language(w->k), "python");
}

/* A kernelspec whose argv is sh -c script. */
static struct km_spec *
shell_spec(const char *script, bool tcp)
{
	json_t *root = json_pack("{s:[s,s,s], s:{s:{s:s}}}", "argv", "sh", "-c", script,
	                         "metadata", "kernelbridge", "transport", tcp ? "tcp" : "ipc");
	char *bytes = json_dumps(root, 0);
	struct km_spec *spec = NULL;

	assert_int_equal(km_spec_parse("shell", "/r", bytes, strlen(bytes), &spec, NULL), 0);
	free(bytes);
	json_decref(root);
	return spec;
}

static void
on_message(void *arg, const struct wire_msg *m)
{
	struct world *w = arg;

	if (strcmp(m->type, "stream") == 0)
		strncat(w->text, json_string_value(json_object_get(m->content, "text")),
		        sizeof(w->text) - strlen(w->text) - 1);
}

static void
on_reply(void *arg, const struct wire_msg *m)
{
	struct world *w = arg;
	const char *ename = json_string_value(json_object_get(m->content, "ename"));

	(void)snprintf(w->reply_status, sizeof(w->reply_status), "%s",
	               json_string_value(json_object_get(m->content, "status")));
	(void)snprintf(w->ename, sizeof(w->ename), "%s", ename != NULL ? ename : "");
}

static void
on_done(void *arg, int status)
{
	struct world *w = arg;

	w->done_n++;
	w->done_status = status;
	assert_int_equal(w->died_n, 0);
}

static const struct wire_req_ops exec_ops = {
    .message = on_message, .reply = on_reply, .done = on_done};

static void
execute(struct world *w, const char *code)
{
	json_t *content = json_pack("{s:s, s:b, s:b, s:{}, s:b, s:b}", "code", code, "silent",
	                            0, "store_history", 1, "user_expressions", "allow_stdin", 0,
	                            "stop_on_error", 0);

	w->done_n = 0;
	w->text[0] = w->reply_status[0] = w->ename[0] = '\0';
	assert_non_null(km_kernel_execute(w->k, content, NULL, &exec_ops, w));
	json_decref(content);
}

static void
stop_and_see(struct world *w)
{
	km_kernel_stop(w->k);
	km_kernel_stop(w->k); /* asked already */
	assert_true(run_until(w->lp, is_dead, w));
	assert_int_equal(w->died_n, 1);
}

static void
runs_code_and_stops(void **state)
{
	struct world *w = *state;

	must_start_python(w);
	execute(w, "print('hi'); 1+1");
	assert_int_equal(km_kernel_state(w->k), KM_BUSY);
	assert_true(run_until(w->lp, is_done, w));
	assert_int_equal(w->done_status, 0);
	assert_string_equal(w->text, "hi\n");
	assert_string_equal(w->reply_status, "ok");
	assert_int_equal(km_kernel_state(w->k), KM_READY);
	execute(w, "import os; print(os.getcwd(), os.environ['KERNELBRIDGE_KERNEL_ID'])");
	assert_true(run_until(w->lp, is_done, w));
	assert_true(strncmp(w->text, "/tmp ", 5) == 0);
	assert_true(strncmp(w->text + 5, km_kernel_id(w->k), 8) == 0);
	stop_and_see(w);
	assert_true(w->started);
	assert_string_equal(w->why, "exit code 0");
	assert_int_equal(w->ready_n, 1);
}

/* Interrupts are repeated until one is heard, as the gateway does it, but not so often that one
 * is still on its way when the next code runs. */
static bool
is_done_interrupting(void *arg)
{
	struct world *w = arg;

	if (w->done_n == 0 && w->looks_n++ % 500 == 0)
		km_kernel_interrupt(w->k);
	return w->done_n > 0;
}

static void
interrupt_with(struct world *w, enum km_interrupt_mode mode)
{
	if (w->python == NULL)
		skip();
	w->python->interrupt_mode = mode;
	must_start(w, w->python);
	km_kernel_interrupt(w->k); /* would end it: not while it starts */
	assert_true(run_until(w->lp, is_ready, w));
	assert_int_equal(w->died_n, 0);
	execute(w, "import time\nprint('go', flush=True)\nwhile True: time.sleep(0.01)");
	assert_true(run_until(w->lp, has_text, w));
	assert_true(run_until(w->lp, is_done_interrupting, w));
	assert_int_equal(w->done_status, 0);
	assert_string_equal(w->reply_status, "error");
	assert_string_equal(w->ename, "KeyboardInterrupt");
	execute(w, "print('alive')");
	assert_true(run_until(w->lp, is_done, w));
	assert_string_equal(w->text, "alive\n");
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

/* As in a terminal: what the code waits for hears it too. */
static void
interrupts_subprocesses(void **state)
{
	struct world *w = *state;

	must_start_python(w);
	execute(w, "import subprocess\nprint('go', flush=True)\n"
	           "subprocess.run(['sh', '-c', 'sleep 1000; echo end'])");
	assert_true(run_until(w->lp, has_text, w));
	assert_true(run_until(w->lp, is_done_interrupting, w));
	assert_string_equal(w->ename, "KeyboardInterrupt");
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
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		w->ready_n = w->died_n = 0;
		must_start_python(w);
		execute(w, cases[i].code);
		assert_true(run_until(w->lp, is_dead, w));
		assert_int_equal(w->done_n, 1);
		assert_int_equal(w->done_status, -EPIPE);
		assert_int_equal(w->died_n, 1);
		assert_true(w->started);
		assert_string_equal(w->why, cases[i].why);
		km_kernel_free(w->k);
		w->k = NULL;
	}
}

static void
death_while_idle(void **state)
{
	struct world *w = *state;

	must_start_python(w);
	assert_int_equal(kill(km_kernel_pid(w->k), SIGKILL), 0);
	assert_true(run_until(w->lp, is_dead, w));
	assert_true(w->started);
	assert_string_equal(w->why, "signal 9");
	execute(w, "1"); /* of a dead kernel: fails, later */
	assert_int_equal(w->done_n, 0);
}

static void
late_request_fails(void **state)
{
	struct world *w = *state;

	must_start_python(w);
	km_kernel_kill(w->k);
	assert_int_equal(km_kernel_state(w->k), KM_STOPPING);
	execute(w, "1");
	assert_true(run_until(w->lp, is_dead, w));
	assert_int_equal(w->done_n, 1);
	assert_int_equal(w->done_status, -EPIPE);
}

static void
busy_kernel_is_killed(void **state)
{
	struct world *w = *state;

	must_start_python(w);
	execute(w, "print('go', flush=True)\nwhile True: pass");
	assert_true(run_until(w->lp, has_text, w));
	stop_and_see(w);
	assert_int_equal(w->done_status, -EPIPE);
	assert_string_equal(w->why, "signal 9");
}

static void
start_failures(void **state)
{
	static const struct {
		const char *script;
		uint64_t timeout_ms;
		const char *why;
	} cases[] = {
	    {"exit 3", START_MS, "exit code 3"},
	    {"echo one >&2; echo two; exit 1", START_MS, "exit code 1: one two"},
	    {"kill -ABRT $$", START_MS, "signal 6"},
	    {"echo 'still here' >&2; exec sleep 1000", 300,
	     "did not answer within 0.3 s: still here"},
	    {"sleep 1000 & echo bg; exit 4", START_MS, "exit code 4: bg"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct km_spec *spec = shell_spec(cases[i].script, false);

		w->died_n = 0;
		assert_int_equal(start_with(w, spec, cases[i].timeout_ms, NULL), 0);
		assert_true(run_until(w->lp, is_dead, w));
		assert_int_equal(w->died_n, 1);
		assert_false(w->started);
		assert_string_equal(w->why, cases[i].why);
		km_kernel_free(w->k);
		w->k = NULL;
		assert_clean(w);
		km_spec_free(spec);
	}
	assert_int_equal(w->ready_n, 0);
}

static void
missing_module_is_quoted(void **state)
{
	struct world *w = *state;
	struct km_spec *spec;

	if (w->python == NULL)
		skip();
	spec = shell_spec("exec \"$PYTHON\" -c 'import no_such_module'", false);
	assert_int_equal(setenv("PYTHON", w->python->argv[0], 1), 0);
	must_start(w, spec);
	assert_true(run_until(w->lp, is_dead, w));
	assert_true(strncmp(w->why, "exit code 1: ", 13) == 0);
	assert_non_null(
	    strstr(w->why, "ModuleNotFoundError: No module named 'no_such_module'"));
	km_kernel_free(w->k);
	w->k = NULL;
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
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char script[256], *dir = run_tmpdir(), path[128];
		struct km_spec *spec;
		FILE *f;

		(void)snprintf(path, sizeof(path), "%s/tries", dir);
		(void)snprintf(script, sizeof(script), "echo x >> %s; echo '%s' >&2; exit 1",
		               path, cases[i].says);
		spec = shell_spec(script, cases[i].tcp);
		w->died_n = 0;
		must_start(w, spec);
		assert_true(run_until(w->lp, is_dead, w));
		assert_false(w->started);
		f = fopen(path, "r");
		assert_non_null(f);
		(void)fseek(f, 0, SEEK_END);
		assert_int_equal(ftell(f), 2 * cases[i].tries);
		fclose(f);
		km_kernel_free(w->k);
		w->k = NULL;
		assert_clean(w);
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
	struct world *w = *state;
	struct km_spec *spec = shell_spec("exit 0", false);
	unsigned before, turns = 0;
	struct err err = {""};
	char *run_dir = w->run_dir, long_dir[200] = "/tmp/", none[] = "/no/such/dir";

	mem_free(spec->argv[0]);
	spec->argv[0] = mem_strdup("no-such-program");
	assert_int_equal(start_with(w, spec, START_MS, &err), -ENOENT);
	assert_non_null(strstr(err.text, "no-such-program"));
	assert_true(run_until(w->lp, once, &turns));
	before = run_count_fds(); /* with what libzmq keeps */
	for (int i = 0; i < 3; i++)
		assert_int_equal(start_with(w, spec, START_MS, &err), -ENOENT);
	assert_true(run_until(w->lp, has_few_fds, &before));
	w->run_dir = none;
	assert_int_equal(start_with(w, spec, START_MS, &err), -EIO);
	assert_non_null(strstr(err.text, none));
	(void)memset(long_dir + 5, 'x', 120);
	assert_int_equal(mkdir(long_dir, 0700), 0);
	w->run_dir = long_dir;
	assert_int_equal(start_with(w, spec, START_MS, &err), -EIO);
	assert_non_null(strstr(err.text, "too long"));
	(void)rmdir(long_dir);
	w->run_dir = run_dir;
	assert_null(w->k);
	assert_clean(w);
	km_spec_free(spec);
}

enum when { AT_START, AT_READY, AT_BUSY, AT_STOPPING, AT_KILLED, IN_READY, IN_DIED, WHEN_N };

static void
bring_to(struct world *w, enum when when)
{
	w->free_in_ready = when == IN_READY;
	w->free_in_died = when == IN_DIED;
	must_start(w, w->python);
	if (when == AT_START)
		return;
	assert_true(run_until(w->lp, is_ready, w));
	if (when == AT_BUSY || when == IN_DIED) {
		execute(w,
		        "import os; os.system('setsid sleep 1000 &'); print('go', flush=True)\n"
		        "while True: pass");
		assert_true(run_until(w->lp, has_text, w));
	}
	if (when == AT_STOPPING)
		km_kernel_stop(w->k);
	if (when == AT_KILLED || when == IN_DIED)
		km_kernel_kill(w->k);
	if (when == IN_DIED)
		assert_true(run_until(w->lp, is_dead, w));
}

static void
freed_in_any_state(void **state)
{
	struct world *w = *state;
	unsigned fds = 0;

	if (w->python == NULL)
		skip();
	for (enum when when = AT_START; when < WHEN_N; when++) {
		w->ready_n = w->died_n = w->done_n = 0;
		bring_to(w, when);
		km_kernel_free(w->k);
		w->k = NULL;
		assert_clean(w);
		assert_int_equal(w->died_n, when == IN_DIED);
		assert_int_equal(w->done_n, when == IN_DIED);
		/* libzmq closes its own in its own thread, and keeps a few for good */
		if (when == AT_START)
			fds = run_count_fds();
		assert_true(run_until(w->lp, has_few_fds, &fds));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(start_failures, setup, teardown),
	    cmocka_unit_test_setup_teardown(refused_start_leaves_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(taken_port_is_tried_again, setup, teardown),
	    cmocka_unit_test_setup_teardown(missing_module_is_quoted, setup, teardown),
	    cmocka_unit_test_setup_teardown(runs_code_and_stops, setup, teardown),
	    cmocka_unit_test_setup_teardown(interrupts_by_signal, setup, teardown),
	    cmocka_unit_test_setup_teardown(interrupts_by_message, setup, teardown),
	    cmocka_unit_test_setup_teardown(interrupts_subprocesses, setup, teardown),
	    cmocka_unit_test_setup_teardown(death_while_running, setup, teardown),
	    cmocka_unit_test_setup_teardown(death_while_idle, setup, teardown),
	    cmocka_unit_test_setup_teardown(late_request_fails, setup, teardown),
	    cmocka_unit_test_setup_teardown(busy_kernel_is_killed, setup, teardown),
	    cmocka_unit_test_setup_teardown(freed_in_any_state, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
