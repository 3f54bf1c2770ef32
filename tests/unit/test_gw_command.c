/* Unit test of gateway/command: programs in a sandbox: output, environment, deadlines; real ones,
 * beside kernels on paper. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/command_env.h"
#include "kernelmgr/env.h"
#include "tests/unit/command_rig.h"
#include "tests/unit/km_run.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

static void
output_and_status(void **state)
{
	static const struct {
		const char *command, *out, *err;
		int code;
		const char *why;
	} cases[] = {
	    {"echo hi", "hi\n", "", 0, "exit status 0"},
	    {"echo oops >&2; exit 7", "", "oops\n", 7, "exit status 7"},
	    {"printf 'a\\0b'; printf '\\377' >&2", "a", "\377", 0, "exit status 0"},
	    {"kill -TERM $$", "", "", 143, "killed by signal 15 (Terminated)"},
	    {"kill -KILL $$", "", "", 137, "killed by signal 9 (Killed)"},
	    {"nosuchprogram", "", "bash: line 1: nosuchprogram: command not found\n", 127,
	     "exit status 127"},
	    {"cat", "", "", 0, "exit status 0"},
	};
	struct rig *r = rig_new();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reader rd;

		command_run(r, cases[i].command, &rd);
		assert_string_equal(reader_text(&rd.out), cases[i].out);
		assert_string_equal(reader_text(&rd.err), cases[i].err);
		assert_int_equal(rd.code, cases[i].code);
		assert_string_equal(rd.why, cases[i].why);
		reader_fini(&rd);
	}
	command_leave(r);
}

static void
arguments(void **state)
{
	struct rig *r = rig_new();
	json_t *argv = json_pack("[s,s,s,s]", "printf", "<%s>", "a b", "$HOME\n*");
	const struct gw_command_request rq = {.argv = argv};
	struct gw_command *c;
	struct reader rd;

	(void)state;
	c = command_start(r->sandbox, &rq, &rd);
	json_decref(argv);
	rig_wait_n(r, &rd.ended_n, 1);
	assert_string_equal(reader_text(&rd.out), "<a b><$HOME\n*>");
	assert_string_equal(command_text(c, "content"), "printf <%s> a b $HOME\n*");
	reader_fini(&rd);

	argv = json_pack("[s]", "no-such-program");
	(void)command_start(r->sandbox, &(struct gw_command_request){.argv = argv}, &rd);
	json_decref(argv);
	rig_wait_n(r, &rd.ended_n, 1);
	assert_int_equal(rd.code, -1);
	assert_string_equal(rd.why, "program 'no-such-program' is not there");
	reader_fini(&rd);
	command_leave(r);
}

static void
what_is_refused(void **state)
{
	static const struct {
		const char *json; /* {"argv", "cwd", "env"} */
		int rc;
		const char *says;
	} cases[] = {
	    {"{}", -EINVAL, "argv is not a list"},
	    {"{\"argv\": []}", -EINVAL, "argv is not a list"},
	    {"{\"argv\": {\"a\": \"b\"}}", -EINVAL, "argv is not a list"},
	    {"{\"argv\": [\"a\", 1]}", -EINVAL, "argv[1] is not a string"},
	    {"{\"argv\": [\"a\\u0000b\"]}", -EINVAL, "argv[0] holds a NUL"},
	    {"{\"argv\": [\"true\"], \"env\": {\"A=B\": \"\"}}", -EINVAL, "'A=B' cannot be"},
	    {"{\"argv\": [\"true\"], \"env\": {\"A\": 1}}", -EINVAL, "envs.A is not a string"},
	    {"{\"argv\": [\"true\"], \"cwd\": \"no/such\"}", -ENOENT, "home/no/such'"},
	    {"{\"argv\": [\"true\"], \"cwd\": \"/no/such\"}", -ENOENT, "'/no/such'"},
	    {"{\"argv\": [\"true\"], \"cwd\": \"/dev/null\"}", -ENOENT, "is not a directory"},
	    {"{\"argv\": [\"true\"], \"cwd\": \"~other\"}", -ENOENT, "home/~other'"},
	};
	struct rig *r = rig_new();
	struct gw_command_request rq = {.argv = NULL};
	char *large = mem_new(140000);
	const char *says;
	int rc;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *o = json_loads(cases[i].json, JSON_ALLOW_NUL, NULL);

		assert_non_null(o);
		rq.argv = json_object_get(o, "argv");
		rq.env = json_object_get(o, "env");
		rq.cwd = json_string_value(json_object_get(o, "cwd"));
		says = command_refusal(r, &rq, &rc);
		if (rc != cases[i].rc || strstr(says, cases[i].says) == NULL)
			fail_msg("%s: %d %s", cases[i].json, rc, says);
		json_decref(o);
	}
	memset(large, 'x', 139999);
	rq = (struct gw_command_request){.command = large};
	assert_non_null(strstr(command_refusal(r, &rq, &rc), "longer than 131071 bytes"));
	assert_int_equal(rc, -EINVAL);
	rq = (struct gw_command_request){.command = "true", .cwd = large};
	assert_non_null(strstr(command_refusal(r, &rq, &rc), "too long"));
	assert_int_equal(rc, -ENOENT);
	mem_free(large);

	rq.cwd = NULL;
	gw_sandbox_pause(r->sandbox);
	assert_non_null(strstr(command_refusal(r, &rq, &rc), "is paused"));
	assert_int_equal(rc, -EINVAL);
	gw_sandbox_resume(r->sandbox, 0);
	gw_sandbox_stop(r->sandbox, "stop");
	assert_non_null(strstr(command_refusal(r, &rq, &rc), "is stopped"));
	gw_sandbox_start(r->sandbox);
	gw_core_drain(r->core);
	assert_non_null(strstr(command_refusal(r, &rq, &rc), "stopping"));
	assert_int_equal(rc, -ECANCELED);
	command_leave(r);
}

static void
folders(void **state)
{
	struct rig *r = rig_new();
	struct reader rd;
	char sub[600], expect[700];
	const struct {
		const char *cwd, *below;
	} cases[] = {
	    {NULL, ""},      {"", ""},          {"~", ""},     {".", ""},
	    {"sub", "/sub"}, {"~/sub", "/sub"}, {sub, "/sub"}, {"sub/..", ""},
	};

	(void)state;
	(void)snprintf(sub, sizeof(sub), "%s/sub", r->sandbox->home);
	assert_int_equal(mkdir(sub, 0700), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct gw_command_request rq = {.command = "pwd -P", .cwd = cases[i].cwd};

		(void)command_start(r->sandbox, &rq, &rd);
		rig_wait_n(r, &rd.ended_n, 1);
		(void)snprintf(expect, sizeof(expect), "%s%s\n", r->sandbox->home,
		               cases[i].below);
		assert_string_equal(reader_text(&rd.out), expect);
		reader_fini(&rd);
	}
	/* it goes while the environment is made */
	(void)command_start(r->sandbox,
	                    &(struct gw_command_request){.command = "pwd", .cwd = "sub"}, &rd);
	assert_int_equal(rmdir(sub), 0);
	rig_wait_n(r, &rd.ended_n, 1);
	assert_int_equal(rd.code, -1);
	assert_non_null(strstr(rd.why, "home/sub': No such file"));
	reader_fini(&rd);
	command_leave(r);
}

/* --- the environment ---------------------------------------------------------------------- */

/* Run "echo WHAT" with env (taken) and return what it prints, owned by the caller. */
static char *
echo_in(struct rig *r, struct gw_sandbox *sb, const char *what, json_t *env)
{
	char command[300], *ret;
	const struct gw_command_request rq = {.command = command, .env = env};
	struct reader rd;

	(void)snprintf(command, sizeof(command), "printf %%s \"%s\"", what);
	(void)command_start(sb, &rq, &rd);
	json_decref(env);
	rig_wait_n(r, &rd.ended_n, 1);
	if (rd.code != 0)
		fail_msg("%s: %s", what, rd.why);
	ret = mem_strdup(reader_text(&rd.out));
	reader_fini(&rd);
	return ret;
}

static void
assert_echo(struct rig *r, struct gw_sandbox *sb, const char *what, json_t *env,
            const char *expect)
{
	char *got = echo_in(r, sb, what, env);

	assert_string_equal(got, expect);
	mem_free(got);
}

/* What starts the gateway can give it anything. */
static void
odd_inheritance(void **state)
{
	char odd_var[] = "GW_TEST_ODD";
	char var[] = "GW_TEST_A=a";
	char *odd[] = {odd_var, var, NULL};
	char **own = environ;
	struct km_env *env = km_env_new();
	json_t *vars;

	(void)state;
	environ = odd;
	km_env_inherit(env);
	km_env_set(env, "GW_TEST_B", "b");
	vars = gw_command_env_vars(env);
	environ = own;
	assert_int_equal(json_object_size(vars), 1);
	assert_string_equal(json_string_value(json_object_get(vars, "GW_TEST_B")), "b");
	json_decref(vars);
	km_env_free(env);
}

static void
environment(void **state)
{
	struct rig *r = rig_new();
	struct gw_sandbox *sb;
	char path[600];

	(void)state;
	assert_int_equal(setenv("GW_TEST_OUTER", "outer", 1), 0);
	assert_int_equal(setenv("KERNELBRIDGE_TOKEN", "gw-test-secret", 1), 0);
	sb = command_sandbox(r, json_pack("{s:s,s:s,s:s,s:s}", "A", "sandbox", "B", "sandbox",
	                                  "C", "sandbox", "ODD", "a\"b'c $HOME\n"));
	assert_echo(r, sb, "$GW_TEST_OUTER:$KERNELBRIDGE_TOKEN", NULL, "outer:");
	assert_echo(r, sb, "$HOME", NULL, sb->home);
	assert_echo(r, sb, "$ODD", NULL, "a\"b'c $HOME\n");
	assert_echo(r, sb, "${JUPYTER_PORT-none}", NULL, "none");
	r->core->port = 4711;
	assert_echo(r, sb, "$JUPYTER_PORT", NULL, "4711");
	(void)snprintf(path, sizeof(path), "%s/envs", sb->folder->dir);
	assert_echo(r, sb, "$EXECD_ENVS", NULL, path);

	command_write_envs(sb, "B=file\nC='file'\nD=\"$A $GW_TEST_OUTER\"\n");
	assert_echo(r, sb, "$A $B $C $D", json_pack("{s:s}", "C", "request"),
	            "sandbox file request sandbox outer");
	assert_echo(r, r->sandbox, "${A-none}", NULL, "none"); /* another sandbox */
	assert_int_equal(unlink(path), 0);
	/* a command keeps a variable for the next ones, as the SDKs do it */
	mem_free(echo_in(r, sb, "$(printf '%s\\n' \"KEPT='it is'\" >> $EXECD_ENVS)", NULL));
	assert_echo(r, sb, "$KEPT", NULL, "it is");
	assert_int_equal(unsetenv("KERNELBRIDGE_TOKEN"), 0);
	command_leave(r);
}

/* Make the sandbox's file of variables something else: the commands that follow end at once. */
static void
a_bad_file_of_variables(void **state)
{
	enum { FOLDER, LINK, FIFO, LARGE, N };
	static const char *const says[N] = {
	    "environment: EXECD_ENVS is not a regular file",
	    "environment: cannot open EXECD_ENVS: Too many levels of symbolic links",
	    "environment: EXECD_ENVS is not a regular file",
	    "environment: it has more than 1048576 bytes, 1024 variables or 4096 references to "
	    "some",
	};
	struct rig *r = rig_new();
	char path[600];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/envs", r->sandbox->folder->dir);
	for (int i = 0; i < N; i++) {
		struct reader rd;

		if (i == FOLDER) {
			assert_int_equal(mkdir(path, 0700), 0);
		} else if (i == LINK) {
			assert_int_equal(symlink("/etc/passwd", path), 0);
		} else if (i == FIFO) {
			assert_int_equal(mkfifo(path, 0600), 0);
		} else {
			command_write_envs(r->sandbox, "");
			assert_int_equal(truncate(path, 1 << 30), 0);
		}
		command_run(r, "echo never", &rd);
		assert_int_equal(rd.code, -1);
		assert_string_equal(rd.why, says[i]);
		assert_int_equal(rd.outputs_n, 0);
		reader_fini(&rd);
		assert_int_equal(remove(path), 0);
	}
	command_leave(r);
}

static void
shells(void **state)
{
	struct rig *r = rig_new();
	struct gw_sandbox *sb = command_sandbox(r, json_object());
	char bin[600], sh[700];
	struct reader rd;
	json_t *env;

	(void)state;
	assert_echo(r, sb, "${BASH_VERSION:+bash}", NULL, "bash");
	(void)snprintf(bin, sizeof(bin), "%s/bin", sb->folder->dir);
	assert_int_equal(mkdir(bin, 0700), 0);
	env = json_pack("{s:s}", "PATH", bin);
	(void)command_start(sb, &(struct gw_command_request){.command = "true", .env = env},
	                    &rd);
	rig_wait_n(r, &rd.ended_n, 1);
	assert_int_equal(rd.code, -1);
	assert_string_equal(rd.why, "program 'sh' is not there");
	reader_fini(&rd);
	(void)snprintf(sh, sizeof(sh), "%s/sh", bin);
	assert_int_equal(symlink("/bin/dash", sh), 0);
	assert_echo(r, sb, "$0", env, "sh");
	command_leave(r);
}

/* --- slow readers, deadlines, interrupts -------------------------------------------------- */

static void
a_slow_reader_makes_it_wait(void **state)
{
	struct rig *r = rig_new();
	struct reader rd;

	(void)state;
	(void)command_start(
	    r->sandbox, &(struct gw_command_request){.command = "seq 1 40000; echo done >&2"},
	    &rd);
	rd.stalls = true;
	while (rd.ended_n == 0) {
		rig_wait_n(r, &rd.outputs_n, 1);
		rd.outputs_n = 0;
		assert_true(rd.stalled);
		rig_settle(r); /* nothing comes meanwhile: on_output() would fail */
		rd.stalled = false;
		gw_command_resume(rd.c);
		if (rd.err.len == strlen("done\n") && rd.out.len == 228894)
			rig_wait_n(r, &rd.ended_n, 1);
	}
	assert_int_equal(rd.out.len, 228894); /* seq 1 40000 | wc -c */
	assert_string_equal(reader_text(&rd.err), "done\n");
	reader_fini(&rd);
	command_leave(r);
}

static void
nobody_reads_any_more(void **state)
{
	struct rig *r = rig_new();
	struct reader rd;
	struct gw_command *c;

	(void)state;
	c = command_start(r->sandbox,
	                  &(struct gw_command_request){.command = "seq 1 40000; exit 3"}, &rd);
	rd.stalls = true;
	rig_wait_n(r, &rd.outputs_n, 1);
	gw_command_detach(c);
	assert_int_equal(gw_core_executions(r->core), 1); /* it runs on */
	command_wait(r, c);
	assert_int_equal(rd.outputs_n, 1);
	assert_int_equal(rd.ended_n, 0);
	assert_int_equal(command_number(c, "exit_code"), 3);
	assert_int_equal(gw_core_executions(r->core), 0);
	reader_fini(&rd);
	command_leave(r);
}

static void
a_deadline_kills_the_group(void **state)
{
	struct rig *r = rig_new();
	struct gw_command_request rq = {.command = "echo $$; (trap '' INT TERM; sleep 1000) & "
	                                           "trap '' INT TERM; echo $!; wait",
	                                .timeout_ms = 300};
	struct reader rd, later;
	pid_t pids[2];
	int both[2];

	(void)state;
	(void)command_start(r->sandbox, &rq, &rd);
	rig_wait_n(r, &rd.ended_n, 1);
	assert_int_equal(rd.code, 137);
	assert_string_equal(rd.why, "timed out after 300 ms");
	assert_int_equal(sscanf(reader_text(&rd.out), "%d %d", &both[0], &both[1]), 2);
	for (int i = 0; i < 2; i++) {
		pids[i] = both[i];
		assert_true(run_until(r->lp, run_is_gone, &pids[i]));
	}
	reader_fini(&rd);

	/* it is over, only its reader is late: no timeout, when another one's has come */
	rq.command = "echo x; exit 3";
	rq.timeout_ms = 400;
	(void)command_start(r->sandbox, &rq, &rd);
	rd.stalls = true;
	rig_wait_n(r, &rd.outputs_n, 1);
	rq.command = "sleep 1000";
	(void)command_start(r->sandbox, &rq, &later);
	rig_wait_n(r, &later.ended_n, 1);
	assert_string_equal(later.why, "timed out after 400 ms");
	reader_fini(&later);
	assert_int_equal(rd.ended_n, 0);
	rq.command = "echo x; exit 3";
	rd.stalled = false;
	gw_command_resume(rd.c);
	rig_wait_n(r, &rd.ended_n, 1);
	assert_string_equal(rd.why, "exit status 3");
	reader_fini(&rd);

	rq.timeout_ms = UINT64_MAX;
	(void)command_start(r->sandbox, &rq, &rd);
	rig_wait_n(r, &rd.ended_n, 1);
	assert_string_equal(rd.why, "exit status 3");
	reader_fini(&rd);
	command_leave(r);
}

static void
interrupts(void **state)
{
	struct rig *r = rig_new();
	struct reader rd;
	struct gw_command *c;

	(void)state;
	r->cfg->interrupt_grace_ms = 100;
	c = command_start(r->sandbox,
	                  &(struct gw_command_request){.command = "echo x; exec sleep 1000"},
	                  &rd);
	rig_wait_n(r, &rd.outputs_n, 1);
	gw_command_interrupt(c);
	gw_command_interrupt(c);
	rig_wait_n(r, &rd.ended_n, 1);
	assert_int_equal(rd.code, 130);
	assert_string_equal(rd.why, "killed by signal 2 (Interrupt)");
	gw_command_interrupt(c); /* it is kept: nothing happens */
	reader_fini(&rd);

	c = command_start(
	    r->sandbox,
	    &(struct gw_command_request){
		.command = "trap 'echo caught; exit 9' INT; echo x; sleep 1000 & wait"},
	    &rd);
	rig_wait_n(r, &rd.outputs_n, 1);
	gw_command_interrupt(c);
	rig_wait_n(r, &rd.ended_n, 1);
	assert_string_equal(reader_text(&rd.out), "x\ncaught\n");
	assert_int_equal(rd.code, 9);
	reader_fini(&rd);

	c = command_start(r->sandbox,
	                  &(struct gw_command_request){
			      .command = "trap '' INT; echo x; while :; do sleep 1000; done"},
	                  &rd);
	rig_wait_n(r, &rd.outputs_n, 1);
	gw_command_interrupt(c);
	rig_wait_n(r, &rd.ended_n, 1);
	assert_string_equal(rd.why, "killed by signal 9 (Killed)");
	reader_fini(&rd);

	c = command_start(r->sandbox, &(struct gw_command_request){.command = "echo never"},
	                  &rd);
	gw_command_interrupt(c);
	rig_wait_n(r, &rd.ended_n, 1);
	assert_int_equal(rd.code, 130);
	assert_int_equal(rd.outputs_n, 0);
	reader_fini(&rd);

	c = command_start(r->sandbox,
	                  &(struct gw_command_request){.command = "echo x; sleep 1000"}, &rd);
	rig_wait_n(r, &rd.outputs_n, 1);
	gw_command_kill(c);
	rig_wait_n(r, &rd.ended_n, 1);
	assert_int_equal(rd.code, 137);
	reader_fini(&rd);
	command_leave(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(output_and_status),
	    cmocka_unit_test(arguments),
	    cmocka_unit_test(what_is_refused),
	    cmocka_unit_test(folders),
	    cmocka_unit_test(environment),
	    cmocka_unit_test(odd_inheritance),
	    cmocka_unit_test(a_bad_file_of_variables),
	    cmocka_unit_test(shells),
	    cmocka_unit_test(a_slow_reader_makes_it_wait),
	    cmocka_unit_test(nobody_reads_any_more),
	    cmocka_unit_test(a_deadline_kills_the_group),
	    cmocka_unit_test(interrupts),
	};

	return cmocka_run_group_tests_name("gw/command", tests, NULL, NULL);
}
