/* Unit test of gateway/command: logs, limits, what is kept, and how all of it ends. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "kernelmgr/reaper.h"
#include "tests/unit/command_rig.h"
#include "tests/unit/km_run.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

/* --- in the background -------------------------------------------------------------------- */

/* What the log of c holds, owned by the caller. */
static char *
read_log(const struct gw_command *c)
{
	uint64_t bytes;
	const char *path = gw_command_log(c, &bytes);
	struct stat st;
	char *ret;
	FILE *f;

	assert_non_null(path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, bytes);
	assert_int_equal(st.st_mode & 0777, 0600);
	ret = mem_new((size_t)bytes + 1);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fread(ret, 1, (size_t)bytes, f), bytes);
	(void)fclose(f);
	return ret;
}

static void
a_log(void **state)
{
	struct rig *r = rig_new();
	struct gw_command_request rq = {
	    .command = "for i in 1 2 3; do echo o$i; echo e$i >&2; done; exit 4",
	    .background = true};
	struct gw_command *c, *fg;
	struct reader rd;
	struct stat st;
	char *log, dir[600];
	uint64_t bytes;

	(void)state;
	c = command_start(r->sandbox, &rq, NULL);
	assert_true(gw_command_is_background(c));
	assert_true(command_runs(c));
	assert_int_equal(gw_core_executions(r->core), 0); /* a drain does not wait for it */
	assert_int_equal(gw_metric[GW_M_COMMANDS_RUNNING], 1);
	command_wait(r, c);
	log = read_log(c);
	assert_string_equal(log, "o1\ne1\no2\ne2\no3\ne3\n");
	mem_free(log);
	assert_int_equal(command_number(c, "exit_code"), 4);
	assert_string_equal(command_text(c, "error"), "exit status 4");
	(void)snprintf(dir, sizeof(dir), "%s/commands", r->sandbox->folder->dir);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);

	command_run(r, "true", &rd);
	fg = gw_command_find(r->sandbox, rd.id);
	assert_non_null(fg);
	assert_false(gw_command_is_background(fg));
	assert_null(gw_command_log(fg, &bytes));
	assert_int_equal(bytes, 0);
	reader_fini(&rd);
	command_leave(r);
}

static void
a_full_log_says_so(void **state)
{
	static const char end[] = "\n[the log is full: only the first 5000 bytes are kept]\n";
	struct rig *r = rig_new();
	struct gw_command_request rq = {.background = true};
	struct gw_command *c;
	char *log;

	(void)state;
	r->cfg->command_log_bytes = 5000;
	rq.command = "head -c 5000 /dev/zero | tr '\\0' x";
	c = command_start(r->sandbox, &rq, NULL);
	command_wait(r, c);
	log = read_log(c);
	assert_int_equal(strlen(log), 5000);
	mem_free(log);

	rq.command = "head -c 3000000 /dev/zero | tr '\\0' x; exit 6";
	c = command_start(r->sandbox, &rq, NULL);
	command_wait(r, c);
	log = read_log(c);
	assert_int_equal(strlen(log), 5000 + strlen(end));
	assert_string_equal(log + 5000, end);
	assert_int_equal(command_number(c, "exit_code"), 6); /* it was not stopped by that */
	mem_free(log);

	r->cfg->command_log_bytes = 64U << 20;
	rq.command = "seq 1 300000";
	c = command_start(r->sandbox, &rq, NULL);
	command_wait(r, c);
	log = read_log(c);
	assert_int_equal(strlen(log), 1988895); /* seq 1 300000 | wc -c */
	assert_string_equal(log + 1988895 - 7, "300000\n");
	mem_free(log);
	command_leave(r);
}

struct grown {
	struct gw_command *c;
	uint64_t bytes;
};

static bool
has_grown(void *arg)
{
	const struct grown *g = arg;
	uint64_t bytes;

	(void)gw_command_log(g->c, &bytes);
	return bytes >= g->bytes;
}

static void
a_background_command_ends_on_demand(void **state)
{
	struct rig *r = rig_new();
	struct gw_command_request rq = {.command = "echo on; exec sleep 1000",
	                                .background = true};
	struct gw_command *c;
	char *log;

	(void)state;
	c = command_start(r->sandbox, &rq, NULL);
	assert_true(run_until(r->lp, has_grown, &(struct grown){c, 3}));
	gw_command_interrupt(c);
	command_wait(r, c);
	assert_int_equal(command_number(c, "exit_code"), 130);
	log = read_log(c);
	assert_string_equal(log, "on\n");
	mem_free(log);

	rq.timeout_ms = 100;
	c = command_start(r->sandbox, &rq, NULL);
	command_wait(r, c);
	assert_string_equal(command_text(c, "error"), "timed out after 100 ms");
	command_leave(r);
}

static void
no_folder_for_logs(void **state)
{
	struct rig *r = rig_new();
	struct gw_command_request rq = {.command = "true", .background = true};
	char path[600];
	const char *says;
	int rc;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/commands", r->sandbox->folder->dir);
	assert_int_equal(symlink("/dev/null", path), 0);
	says = command_refusal(r, &rq, &rc);
	assert_int_equal(rc, -EIO);
	assert_non_null(strstr(says, path));
	assert_non_null(strstr(says, "Not a directory"));
	command_leave(r);
}

/* --- what is kept, what is too much ------------------------------------------------------- */

static void
limits(void **state)
{
	struct rig *r = rig_new();
	const struct gw_command_request rq = {.command = "echo x; read x; sleep 1000"};
	struct gw_sandbox *sb = command_sandbox(r, json_object());
	struct reader a, b, other;
	const char *says;
	int rc;

	(void)state;
	r->cfg->max_commands = 2;
	(void)command_start(r->sandbox, &rq, &a);
	(void)command_start(r->sandbox, &rq, &b);
	says = command_refusal(r, &rq, &rc);
	assert_int_equal(rc, -EBUSY);
	assert_non_null(strstr(says, "2 commands run in sandbox 'default'"));
	assert_non_null(strstr(says, "max_commands"));
	(void)command_start(sb, &rq, &other); /* each sandbox has its own */
	assert_int_equal(gw_core_executions(r->core), 3);
	rig_wait_n(r, &a.outputs_n, 1);
	gw_command_kill(a.c);
	rig_wait_n(r, &a.ended_n, 1);
	reader_fini(&a);
	(void)command_start(r->sandbox, &rq, &a);
	gw_core_stop(r->core, "the gateway is stopping");
	assert_int_equal(a.ended_n + b.ended_n + other.ended_n, 3);
	assert_int_equal(b.code, -1);
	assert_string_equal(b.why, "the gateway is stopping");
	assert_int_equal(gw_core_executions(r->core), 0);
	reader_fini(&a);
	reader_fini(&b);
	reader_fini(&other);
	command_leave(r);
}

static void
the_newest_are_kept(void **state)
{
	struct rig *r = rig_new();
	struct gw_command_request rq = {.command = "echo x", .background = true};
	char first[33], second[33], path[600];
	struct gw_command *c = command_start(r->sandbox, &rq, NULL);
	uint64_t bytes;

	(void)state;
	(void)snprintf(first, sizeof(first), "%s", gw_command_id(c));
	(void)snprintf(path, sizeof(path), "%s", gw_command_log(c, &bytes));
	command_wait(r, c);
	assert_int_equal(bytes, 0);
	rq.background = false;
	for (int i = 1; i < 101; i++) {
		struct reader rd;

		assert_non_null(gw_command_find(r->sandbox, first));
		c = command_start(r->sandbox, &rq, &rd);
		if (i == 1)
			(void)snprintf(second, sizeof(second), "%s", gw_command_id(c));
		rig_wait_n(r, &rd.ended_n, 1);
		reader_fini(&rd);
	}
	assert_null(gw_command_find(r->sandbox, first));
	assert_non_null(gw_command_find(r->sandbox, second));
	assert_true(run_until(r->lp, command_path_is_gone, path));
	command_leave(r);
}

static void
what_is_told(void **state)
{
	struct rig *r = rig_new();
	char *command = mem_new(70001);
	const char *content;
	struct gw_command *c;
	struct reader rd;
	json_t *o;

	(void)state;
	memcpy(command, "true #", 6);
	for (size_t i = 6; i + 1 < 70000; i += 2)
		memcpy(command + i, "\xc3\xa4", 2);
	c = command_start(r->sandbox, &(struct gw_command_request){.command = command}, &rd);
	assert_int_equal(strlen(gw_command_id(c)), 32);
	assert_int_equal(strspn(gw_command_id(c), "0123456789abcdef"), 32);
	o = gw_command_describe(c);
	assert_true(json_is_true(json_object_get(o, "running")));
	assert_int_equal(json_object_size(o), 4); /* id, content, running, started_at */
	assert_string_equal(json_string_value(json_object_get(o, "id")), gw_command_id(c));
	content = json_string_value(json_object_get(o, "content"));
	assert_non_null(content);
	assert_int_equal(strlen(content), 65536);
	assert_memory_equal(content, command, 65536);
	json_decref(o);
	rig_wait_n(r, &rd.ended_n, 1);
	o = gw_command_describe(c);
	assert_true(json_is_false(json_object_get(o, "running")));
	assert_int_equal(json_object_size(o), 6); /* and exit_code, finished_at */
	assert_true(strcmp(json_string_value(json_object_get(o, "finished_at")),
	                   json_string_value(json_object_get(o, "started_at"))) >= 0);
	json_decref(o);
	assert_null(gw_command_find(r->sandbox, "00000000000000000000000000000000"));
	assert_null(gw_command_find(r->sandbox, ""));
	reader_fini(&rd);

	(void)command_start(r->sandbox,
	                    &(struct gw_command_request){.command = "true \xff#\xc3"}, &rd);
	rig_wait_n(r, &rd.ended_n, 1);
	c = gw_command_find(r->sandbox, rd.id);
	assert_string_equal(command_text(c, "content"), "true \xef\xbf\xbd#\xef\xbf\xbd");
	reader_fini(&rd);
	mem_free(command);
	command_leave(r);
}

/* --- ends --------------------------------------------------------------------------------- */

/* Entries of the run folder that are a crew's mark. */
static unsigned
count_marks(const struct rig *r)
{
	char path[600];
	const struct dirent *e;
	unsigned n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "%s/state/run/%d", r->dir, (int)getpid());
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		n += strstr(e->d_name, ".json") != NULL;
	(void)closedir(d);
	return n;
}

/* What it started, even in a session of its own, ends with the sandbox; the home goes after. */
static void
deletion_takes_everything(void **state)
{
	static const char script[] =
	    "(setsid sh -c 'echo $$; while :; do echo x >> leftover; done' &); "
	    "nohup sleep 1000 > /dev/null & echo $!; exec sleep 1000";
	struct rig *r = rig_new();
	struct gw_sandbox *sb = command_sandbox(r, json_object());
	const struct gw_command_request rq = {.command = script};
	struct gw_command_request quiet = {.command = "sleep 1000", .background = true};
	struct reader rd;
	struct gw_home *h;
	char folder[600];
	pid_t pids[2];
	int both[2];

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s", sb->folder->dir);
	(void)command_start(sb, &rq, &rd);
	(void)command_start(sb, &quiet, NULL);
	while (sscanf(reader_text(&rd.out), "%d %d", &both[0], &both[1]) < 2 ||
	       strchr(strchr(reader_text(&rd.out), '\n') + 1, '\n') == NULL) {
		rig_wait_n(r, &rd.outputs_n, 1);
		rd.outputs_n = 0;
	}
	assert_int_equal(count_marks(r), 1);
	h = gw_home_hold(sb->folder);
	gw_sandbox_delete(sb, "sandbox deleted");
	assert_int_equal(rd.ended_n, 1);
	assert_int_equal(rd.code, -1);
	assert_string_equal(rd.why, "sandbox deleted");
	assert_int_equal(gw_metric[GW_M_COMMANDS_RUNNING], 0);
	assert_int_not_equal(km_reaper_pending(r->core->reaper), 0);
	assert_int_equal(h->holders_n, 2); /* they are not reaped */
	for (int i = 0; i < 2; i++) {
		pids[i] = both[i];
		assert_true(run_until(r->lp, run_is_gone, &pids[i]));
	}
	assert_true(run_until(r->lp, command_is_clear, r));
	assert_int_equal(h->holders_n, 1);
	gw_home_release(h);
	assert_true(run_until(r->lp, command_path_is_gone, folder));
	assert_int_equal(count_marks(r), 0);
	reader_fini(&rd);
	command_leave(r);
}

/* Deleted while the environment is read, and while a log is written. */
static void
deletion_at_any_time(void **state)
{
	struct rig *r = rig_new();
	struct gw_command_request rq = {.command = "seq 1 10000000", .background = true};
	struct reader rd;
	struct gw_command *c;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct gw_sandbox *sb = command_sandbox(r, json_object());

		command_write_envs(sb, "A=1\n");
		(void)command_start(sb, &(struct gw_command_request){.command = "echo x"}, &rd);
		c = command_start(sb, &rq, NULL);
		if (i == 1)
			rig_settle(r);
		if (i == 2)
			assert_true(run_until(r->lp, has_grown, &(struct grown){c, 1}));
		gw_sandbox_delete(sb, "sandbox deleted");
		assert_int_equal(rd.ended_n, 1);
		reader_fini(&rd);
	}
	command_leave(r);
}

static bool
pid_is_there(void *arg)
{
	return kill(*(pid_t *)arg, 0) == 0;
}

/* A server that a command has started serves until the sandbox stops; then there is a new crew. */
static void
the_background_lives_as_long_as_the_sandbox(void **state)
{
	struct rig *r = rig_new();
	struct reader rd;
	pid_t pid;

	(void)state;
	command_run(r, "nohup sleep 1000 >/dev/null 2>&1 & echo $!", &rd);
	pid = (pid_t)strtol(reader_text(&rd.out), NULL, 10);
	reader_fini(&rd);
	command_run(r, "true", &rd);
	reader_fini(&rd);
	assert_true(pid_is_there(&pid));
	gw_sandbox_stop(r->sandbox, "stopped");
	gw_sandbox_start(r->sandbox);
	command_run(r, "echo again", &rd); /* while the old crew ends */
	assert_string_equal(reader_text(&rd.out), "again\n");
	reader_fini(&rd);
	assert_true(run_until(r->lp, run_is_gone, &pid));
	command_leave(r);
}

struct twenty {
	struct reader rd[20];
};

static bool
all_have_ended(void *arg)
{
	const struct twenty *t = arg;

	for (int i = 0; i < 20; i++)
		if (t->rd[i].ended_n == 0)
			return false;
	return true;
}

static void
many(void **state)
{
	struct rig *r = rig_new();
	struct twenty t;
	unsigned fds = 0;

	(void)state;
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 20; i++)
			(void)command_start(
			    r->sandbox,
			    &(struct gw_command_request){
				.command = "echo out; (echo bye >&2 &) ; exit 5",
				.timeout_ms = 600000},
			    &t.rd[i]);
		assert_true(run_until(r->lp, all_have_ended, &t));
		for (int i = 0; i < 20; i++) {
			assert_string_equal(reader_text(&t.rd[i].out), "out\n");
			assert_int_equal(t.rd[i].code, 5);
			reader_fini(&t.rd[i]);
		}
		assert_true(run_until(r->lp, command_is_clear, r));
		if (round == 0)
			fds = run_count_fds();
	}
	assert_true(run_until(r->lp, command_fds_are, &fds));
	command_leave(r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_log),
	    cmocka_unit_test(a_full_log_says_so),
	    cmocka_unit_test(a_background_command_ends_on_demand),
	    cmocka_unit_test(no_folder_for_logs),
	    cmocka_unit_test(limits),
	    cmocka_unit_test(the_newest_are_kept),
	    cmocka_unit_test(what_is_told),
	    cmocka_unit_test(deletion_takes_everything),
	    cmocka_unit_test(deletion_at_any_time),
	    cmocka_unit_test(the_background_lives_as_long_as_the_sandbox),
	    cmocka_unit_test(many),
	};

	return cmocka_run_group_tests_name("gw/command_end", tests, NULL, NULL);
}
