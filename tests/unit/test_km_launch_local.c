/* Unit test of kernelmgr/launch_local: what a kernel's process finds, and what its end tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "kernelmgr/launch_local.h"
#include "kernelmgr/launcher.h"
#include "kernelmgr/reaper.h"
#include "kernelmgr/spec.h"
#include "tests/unit/km_run.h"
#include "wire/base/err.h"

#define NOT_YET (-1000)

struct world {
	struct loop *lp;
	struct km_reaper *reaper;
	struct km_launcher *launcher;
	char *dir; /* cwd of what is launched; "out" in it is what it tells */
	int how;
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->lp = loop_new();
	w->reaper = km_reaper_new(w->lp);
	w->launcher = km_launch_local_new(w->lp, w->reaper, "/nowhere/prefix");
	w->dir = run_tmpdir();
	w->how = NOT_YET;
	*state = w;
	return 0;
}

static bool
is_clear(void *arg)
{
	return km_reaper_pending(arg) == 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	if (!run_until(w->lp, is_clear, w->reaper))
		return -1;
	km_launch_local_free(w->launcher);
	km_reaper_free(w->reaper);
	loop_free(w->lp);
	run_remove(w->dir);
	free(w);
	return 0;
}

static void
on_exited(void *arg, int how)
{
	struct world *w = arg;

	assert_int_equal(w->how, NOT_YET);
	w->how = how;
}

static bool
has_exited(void *arg)
{
	return ((struct world *)arg)->how != NOT_YET;
}

static struct km_spec *
spec_of(json_t *root)
{
	char *bytes = json_dumps(root, 0);
	struct km_spec *spec = NULL;
	struct err err = {""};

	if (km_spec_parse("testspec", "/resource/dir", bytes, strlen(bytes), &spec, &err) != 0)
		fail_msg("%s", err.text);
	free(bytes);
	json_decref(root);
	return spec;
}

/* Launch sh -c script; env is taken. */
static int
launch(struct world *w, const char *script, json_t *env, struct km_job **ret, struct err *err)
{
	struct km_spec *spec = spec_of(
	    json_pack("{s:[s,s,s,s,s,s,s], s:{s:s,s:s}}", "argv", "sh", "-c", script, "sh",
	              "{connection_file}", "p={prefix}", "{resource_dir}{unknown}", "env",
	              "FROM_SPEC", "<${KM_TEST_OUTER}>", "BOTH", "spec"));
	const struct km_launch what = {.spec = spec,
	                               .connection_file = "/run/conn.json",
	                               .kernel_id = "0badcafe",
	                               .cwd = w->dir,
	                               .env = env};
	int status = w->launcher->ops->start(w->launcher, &what, on_exited, w, ret, err);

	km_spec_free(spec);
	json_decref(env);
	return status;
}

static struct km_job *
must_launch(struct world *w, const char *script, json_t *env)
{
	struct km_job *job = NULL;
	struct err err = {""};

	if (launch(w, script, env, &job, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(w->how, NOT_YET);
	return job;
}

/* Run script to its end; returns what it wrote to the file "out", owned by the caller. */
static char *
run_script(struct world *w, const char *script, json_t *env)
{
	struct km_job *job = must_launch(w, script, env);
	char path[256], *text = calloc(1, 65536);
	FILE *f;

	assert_true(run_until(w->lp, has_exited, w));
	if (w->how != 0)
		fail_msg("%d: %s", w->how, w->launcher->ops->stderr_tail(job));
	w->launcher->ops->free(job);
	(void)snprintf(path, sizeof(path), "%s/out", w->dir);
	f = fopen(path, "r");
	assert_non_null(f);
	(void)fread(text, 1, 65535, f);
	fclose(f);
	return text;
}

static void
environment(void **state)
{
	struct world *w = *state;
	char mine[32], *text;

	assert_int_equal(setenv("KM_TEST_OUTER", "outer value", 1), 0);
	assert_int_equal(setenv("KERNELBRIDGE_TOKEN", "km-test-secret", 1), 0);
	assert_int_equal(setenv("KERNELBRIDGE_KERNEL_ID", "not this", 1), 0);
	text = run_script(w, "env > out",
	                  json_pack("{s:s,s:s,s:s}", "BOTH", "launch", "ODD", "a\"b'c$HOME",
	                            "JPY_PARENT_PID", "1"));
	(void)snprintf(mine, sizeof(mine), "JPY_PARENT_PID=%d\n", (int)getpid());
	assert_non_null(strstr(text, mine));
	assert_non_null(strstr(text, "KERNELBRIDGE_KERNEL_ID=0badcafe\n"));
	assert_non_null(strstr(text, "KM_TEST_OUTER=outer value\n"));
	assert_non_null(strstr(text, "FROM_SPEC=<outer value>\n"));
	assert_non_null(strstr(text, "BOTH=launch\n"));
	assert_non_null(strstr(text, "ODD=a\"b'c$HOME\n"));
	assert_null(strstr(text, "km-test-secret"));
	assert_null(strstr(text, "not this"));
	free(text);
}

static void
arguments_and_cwd(void **state)
{
	struct world *w = *state;
	char expect[512], *text = run_script(w, "echo \"$1|$2|$3|$(pwd)\" > out", NULL);

	(void)snprintf(expect, sizeof(expect),
	               "/run/conn.json|p=/nowhere/prefix|/resource/dir{unknown}|%s\n", w->dir);
	assert_string_equal(text, expect);
	free(text);
}

/* Descriptors of process pid other than 0, 1 and 2. */
static unsigned
count_more_fds(pid_t pid)
{
	char path[64];
	const struct dirent *e;
	unsigned n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		n += strtol(e->d_name, NULL, 10) > 2;
	(void)closedir(d);
	return n;
}

/* It is sleep, with no other descriptors; while it is loaded it has one of a library. */
static bool
is_sleep_alone(void *arg)
{
	pid_t pid = *(pid_t *)arg;
	char path[64], name[16] = "";
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "r");
	assert_non_null(f);
	(void)fscanf(f, "%15s", name);
	(void)fclose(f);
	return strcmp(name, "sleep") == 0 && count_more_fds(pid) == 0;
}

static void
descriptors(void **state)
{
	struct world *w = *state;
	int leak = open("/dev/null", O_RDONLY); /* no CLOEXEC: as a careless library has it */
	struct km_job *job;
	pid_t pid;
	char *text;

	assert_true(leak >= 3);
	job = must_launch(w, "exec sleep 1000", NULL);
	pid = w->launcher->ops->pid(job);
	assert_true(run_until(w->lp, is_sleep_alone, &pid));
	w->launcher->ops->free(job);
	text = run_script(w,
	                  "readlink /proc/$$/fd/0 > out;"
	                  "test /proc/$$/fd/1 -ef /proc/$$/fd/2 && echo same >> out",
	                  NULL);
	assert_string_equal(text, "/dev/null\nsame\n");
	close(leak);
	free(text);
}

static void
signals_and_group(void **state)
{
	struct world *w = *state;
	unsigned long long blocked, ignored;
	sigset_t block, before;
	char *text, word[8];

	(void)sigemptyset(&block);
	(void)sigaddset(&block, SIGUSR1);
	(void)sigaddset(&block, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &block, &before);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGUSR2, SIG_IGN);
	text = run_script(w,
	                  "grep -E '^Sig(Blk|Ign)' /proc/self/status > out;"
	                  "cut -d' ' -f1,5,6 /proc/$$/stat | "
	                  "{ read p g s; test $p = $g && test $p = $s && echo leader >> out; }",
	                  NULL);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)signal(SIGUSR2, SIG_DFL);
	assert_int_equal(
	    sscanf(text, "SigBlk: %llx SigIgn: %llx %7s", &blocked, &ignored, word), 3);
	assert_true(blocked == 0);
	/* glibc's posix_spawn leaves its own two signals, 32 and 33, ignored */
	assert_true((ignored & ~0x180000000ULL) == 0);
	assert_string_equal(word, "leader");
	free(text);
}

static void
ends(void **state)
{
	static const struct {
		const char *script;
		int how;
	} cases[] = {
	    {"exit 0", 0},
	    {"exit 3", 3},
	    {"exit 139", 139},
	    {"kill -SEGV $$", KM_SIGNALLED + SIGSEGV},
	    {"exec setsid -f sh -c 'exec sleep 1000'", 0}, /* which keeps the pipe open */
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct km_job *job = must_launch(w, cases[i].script, NULL);

		assert_true(w->launcher->ops->pid(job) > 0);
		assert_true(run_until(w->lp, has_exited, w));
		if (w->how != cases[i].how)
			fail_msg("%s: %d", cases[i].script, w->how);
		assert_int_equal(w->launcher->ops->pid(job), 0);
		w->launcher->ops->signal(job, SIGKILL); /* of an ended job: nothing */
		w->launcher->ops->free(job);
		w->how = NOT_YET;
	}
}

static void
tail_is_bounded(void **state)
{
	static const struct {
		const char *script;
		size_t len;
		const char *end;
	} cases[] = {
	    {"true", 0, ""},
	    {"echo out; echo err >&2", 8, "out\nerr\n"},
	    {"printf 'a\\000b'", 3, "a b"},
	    {"head -c 3000000 /dev/zero | tr '\\0' x; echo END >&2", 8192, "xEND\n"},
	    {"head -c 8191 /dev/zero | tr '\\0' x; sleep 0; echo yz", 8192, "xyz\n"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct km_job *job = must_launch(w, cases[i].script, NULL);
		const char *tail;

		assert_true(run_until(w->lp, has_exited, w));
		tail = w->launcher->ops->stderr_tail(job);
		if (strlen(tail) != cases[i].len)
			fail_msg("%s: %zu bytes", cases[i].script, strlen(tail));
		assert_string_equal(tail + cases[i].len - strlen(cases[i].end), cases[i].end);
		w->launcher->ops->free(job);
		w->how = NOT_YET;
	}
}

static void
frees_what_runs(void **state)
{
	struct world *w = *state;
	unsigned before = run_count_fds();
	struct km_job *job = must_launch(w, "setsid sleep 1000 & sleep 1000 & wait", NULL);
	pid_t pid = w->launcher->ops->pid(job);

	w->launcher->ops->free(job);
	w->launcher->ops->free(NULL);
	assert_true(run_until(w->lp, run_is_gone, &pid));
	assert_true(run_until(w->lp, is_clear, w->reaper));
	assert_int_equal(w->how, NOT_YET);
	assert_int_equal(run_count_fds(), before);
}

struct told {
	struct world *w;
	struct km_job *job;
};

static bool
has_said_go(void *arg)
{
	const struct told *t = arg;

	return strstr(t->w->launcher->ops->stderr_tail(t->job), "go") != NULL;
}

/* The shell's trap runs after its child ended: both were told. */
static void
signals_the_group(void **state)
{
	struct world *w = *state;
	struct told t = {.w = w};

	t.job = must_launch(w,
	                    "trap 'exit 4' INT; sh -c 'trap \"exit 5\" INT; echo go; "
	                    "while :; do sleep 0.01; done'; exit 6",
	                    NULL);
	assert_true(run_until(w->lp, has_said_go, &t));
	w->launcher->ops->signal(t.job, SIGINT);
	assert_true(run_until(w->lp, has_exited, w));
	assert_int_equal(w->how, 4);
	w->launcher->ops->free(t.job);
}

static int
launch_argv0(struct world *w, const char *argv0, const char *cwd, struct err *err)
{
	struct km_spec *spec = spec_of(json_pack("{s:[s]}", "argv", argv0));
	const struct km_launch what = {
	    .spec = spec, .connection_file = "/c", .kernel_id = "1", .cwd = cwd};
	struct km_job *job = NULL;
	int status = w->launcher->ops->start(w->launcher, &what, on_exited, w, &job, err);

	w->launcher->ops->free(job);
	km_spec_free(spec);
	return status;
}

static void
refusals(void **state)
{
	static const struct {
		const char *argv0, *cwd;
		int status;
		const char *says[2];
	} cases[] = {
	    {"no-such-program", "/", -ENOENT, {"'no-such-program'", "'testspec'"}},
	    {"/no/such/program", "/", -ENOENT, {"'/no/such/program'", "'testspec'"}},
	    {"/etc/passwd", "/", -ENOENT, {"'/etc/passwd'", "Permission denied"}},
	    {"/", "/", -ENOENT, {"'/'", "'testspec'"}},
	    {"python9.99", "/", -ENOENT, {"'python9.99'", "'testspec'"}},
	    {"sh", "/no/such/dir", -ENOENT, {"'/no/such/dir'", "No such file"}},
	    {"sh", "/etc/passwd", -ENOENT, {"'/etc/passwd'", "not a directory"}},
	};
	struct world *w = *state;
	unsigned before = run_count_fds();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {""};
		int status = launch_argv0(w, cases[i].argv0, cases[i].cwd, &err);

		if (status != cases[i].status || strstr(err.text, cases[i].says[0]) == NULL ||
		    strstr(err.text, cases[i].says[1]) == NULL)
			fail_msg("%s in %s: %d %s", cases[i].argv0, cases[i].cwd, status,
			         err.text);
	}
	assert_int_equal(run_count_fds(), before);
	assert_int_equal(km_reaper_pending(w->reaper), 0);
}

static void
bad_environment(void **state)
{
	struct world *w = *state;
	char *big = calloc(1, 200001);
	const struct {
		json_t *env;
		const char *says;
	} cases[] = {
	    {json_pack("{s:s}", "A=B", "x"), "'A=B'"},
	    {json_pack("{s:s}", "", "x"), "''"},
	    {json_pack("{s:i}", "NUM", 1), "NUM"},
	    {json_pack("{s:s#}", "NUL", "a\0b", (size_t)3), "NUL"},
	    {json_pack("{s:s}", "BIG", memset(big, 'x', 200000)), "BIG"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct km_job *job = NULL;
		struct err err = {""};

		assert_int_equal(launch(w, "exit 0", cases[i].env, &job, &err), -EINVAL);
		if (strstr(err.text, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].says, err.text);
		assert_null(job);
	}
	free(big);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(environment, setup, teardown),
	    cmocka_unit_test_setup_teardown(arguments_and_cwd, setup, teardown),
	    cmocka_unit_test_setup_teardown(descriptors, setup, teardown),
	    cmocka_unit_test_setup_teardown(signals_and_group, setup, teardown),
	    cmocka_unit_test_setup_teardown(ends, setup, teardown),
	    cmocka_unit_test_setup_teardown(tail_is_bounded, setup, teardown),
	    cmocka_unit_test_setup_teardown(frees_what_runs, setup, teardown),
	    cmocka_unit_test_setup_teardown(signals_the_group, setup, teardown),
	    cmocka_unit_test_setup_teardown(refusals, setup, teardown),
	    cmocka_unit_test_setup_teardown(bad_environment, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
