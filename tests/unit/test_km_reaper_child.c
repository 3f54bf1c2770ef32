/* Unit test of kernelmgr/reaper_child: whose an orphan is, how long that holds, and what it
 * takes to know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "kernelmgr/proc.h"
#include "kernelmgr/reaper.h"
#include "tests/unit/reaper_rig.h"

#define ORPHANS_N 500

static unsigned reads_n; /* files of processes that this program has opened */

/* In place of open(2), for kernelmgr/proc.c as well. */
int /* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc's are its own */
open(const char *path, int flags, ...)
{
	va_list more;
	mode_t mode;
	int pid, end = 0;

	if (sscanf(path, "/proc/%d/%n", &pid, &end) == 1 && end > 0 &&
	    (strcmp(path + end, "stat") == 0 || strcmp(path + end, "environ") == 0))
		reads_n++;
	va_start(more, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
	va_end(more);
	return openat(AT_FDCWD, path, flags, mode);
}

static bool
is_ours(void *arg)
{
	pid_t parent, session;

	return km_proc_stat(*(pid_t *)arg, &parent, &session) && parent == getpid();
}

/* A pid that c's script printed, once it is ours and the reaper has looked at it. */
static pid_t
read_orphan(struct rr *w, struct rr_child *c)
{
	pid_t pid = rr_read_pid(c);

	assert_true(run_until(w->lp, is_ours, &pid));
	rr_look(w);
	return pid;
}

/* Let the one that reads a line go on. */
static void
go_on(struct rr_child *c)
{
	assert_int_equal(write(c->in, "\n", 1), 1);
}

static void
end(struct rr *w, struct rr_child *c)
{
	assert_int_equal(kill(c->pid, SIGKILL), 0);
	assert_true(run_until(w->lp, rr_was_told, c));
}

static bool
is_sleep(void *pid)
{
	char path[64], name[16] = "";
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)*(pid_t *)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	(void)fscanf(f, "%15s", name);
	(void)fclose(f);
	return strcmp(name, "sleep") == 0;
}

/* --- how long it holds ---------------------------------------------------------------------- */

static void
stays_a_kernels_without_environment(void **state)
{
	struct rr *w = *state;
	struct rr_child c;
	pid_t orphan;

	rr_start(
	    w, &c, "a",
	    "exec 3<&0; (setsid sh -c 'echo $$; read x <&3; exec env -i /bin/sleep 1000' &); "
	    "exec sleep 1000");
	orphan = read_orphan(w, &c);
	go_on(&c);
	assert_true(run_until(w->lp, is_sleep, &orphan));
	rr_look(w);
	assert_int_equal(kill(orphan, 0), 0);
	end(w, &c);
	assert_true(run_until(w->lp, run_is_gone, &orphan));
	assert_true(run_until(w->lp, rr_is_clear, w->reaper));
	rr_fini(&c);
}

/* A session that a kernel's orphan has made, and others without environment in it: one that is
 * seen while its leader lives, and one that it makes when that has ended.  It takes nothing from
 * it that a kernel is expected, for which they are looked at again at the end. */
static void
finds_a_kernels_sessions(void **state)
{
	static const char script[] =
	    "exec 3<&0; LAST='echo $$; kill -STOP $$'; "
	    "NEXT='echo $$; read x <&3; (/bin/sh -c \"$1\" &); kill -STOP $$'; "
	    "LEADER='echo $$; (env -i /bin/sh -c \"$1\" sh \"$2\" &); kill -STOP $$'; "
	    "(setsid sh -c \"$LEADER\" sh \"$NEXT\" \"$LAST\" &); exec sleep 1000";
	struct rr *w = *state;

	for (int expected = 0; expected < 2; expected++) {
		struct rr_child c, other;
		pid_t leader, next, last;

		other.watch =
		    expected ? km_reaper_expect(w->reaper, "soon", rr_on_reaped, &other) : NULL;
		rr_start(w, &c, "a", script);
		leader = read_orphan(w, &c);
		next = read_orphan(w, &c);
		assert_int_equal(getsid(next), leader);
		assert_int_equal(kill(leader, SIGKILL), 0);
		assert_true(run_until(w->lp, run_is_gone, &leader));
		go_on(&c);
		last = read_orphan(w, &c);
		assert_int_equal(getsid(last), leader);
		end(w, &c);
		assert_true(run_until(w->lp, run_is_gone, &next));
		assert_true(run_until(w->lp, run_is_gone, &last));
		km_watch_free(other.watch);
		assert_true(run_until(w->lp, rr_is_clear, w->reaper));
		rr_fini(&c);
	}
}

/* --- kernels that are expected -------------------------------------------------------------- */

/* What a zygote may fork: seen in its session, with nothing that names it, and then in one of
 * its own.  It ends with 7 at the second line. */
static const char zygote[] =
    "exec 3<&0; (env -i /bin/sh -c 'echo $$; read x <&3; exec setsid /bin/sh -c "
    "\"echo \\$\\$; read x <&3; exit 7\"' &); exec sleep 1000";

/* The zygote ends before the kernel's pid is known: who is expected lives. */
static void
is_not_killed_for_a_zygote_while_it_is_expected(void **state)
{
	struct rr *w = *state;

	for (int expected = 0; expected < 2; expected++) {
		struct rr_child z, k = {.in = -1};
		pid_t pid;

		rr_start(w, &z, "zygote", zygote);
		if (expected)
			k.watch = km_reaper_expect(w->reaper, "soon", rr_on_reaped, &k);
		pid = read_orphan(w, &z);
		assert_int_equal(getsid(pid), z.pid);
		go_on(&z);
		assert_int_equal(read_orphan(w, &z), pid);
		assert_int_equal(getsid(pid), pid);
		end(w, &z);
		if (expected) {
			rr_look(w);
			assert_int_equal(kill(pid, 0), 0);
			assert_true(km_watch_set_pid(k.watch, pid));
			go_on(&z);
			assert_true(run_until(w->lp, rr_was_told, &k));
			assert_int_equal(k.status, 7 << 8);
			km_watch_free(k.watch);
		} else {
			assert_true(run_until(w->lp, run_is_gone, &pid));
		}
		assert_true(run_until(w->lp, rr_is_clear, w->reaper));
		rr_fini(&z);
	}
}

/* The zygote ends after it: a kernel is its own. */
static void
is_no_orphan_once_it_is_watched(void **state)
{
	struct rr *w = *state;
	struct rr_child z, k = {.in = -1};
	pid_t pid;

	rr_start(w, &z, "zygote", zygote);
	k.watch = km_reaper_expect(w->reaper, "soon", rr_on_reaped, &k);
	pid = read_orphan(w, &z);
	go_on(&z);
	assert_int_equal(read_orphan(w, &z), pid);
	assert_true(km_watch_set_pid(k.watch, pid));
	end(w, &z);
	rr_look(w);
	assert_int_equal(kill(pid, 0), 0);
	go_on(&z);
	assert_true(run_until(w->lp, rr_was_told, &k));
	assert_int_equal(k.status, 7 << 8);
	km_watch_free(k.watch);
	assert_true(run_until(w->lp, rr_is_clear, w->reaper));
	rr_fini(&z);
}

/* --- what it takes -------------------------------------------------------------------------- */

static void
reads_no_file_of_those_it_knows(void **state)
{
	struct rr *w = *state;
	struct rr_child c;
	char script[200];
	pid_t pids[ORPHANS_N];

	(void)snprintf(script, sizeof(script),
	               "exec 3<&0; for i in $(seq %d); do "
	               "(setsid sh -c 'echo $$; read x <&3' &); done; exec sleep 1000",
	               ORPHANS_N);
	rr_start(w, &c, "a", script);
	for (size_t i = 0; i < ORPHANS_N; i++)
		pids[i] = rr_read_pid(&c);
	for (size_t i = 0; i < ORPHANS_N; i++)
		assert_true(run_until(w->lp, is_ours, &pids[i]));
	assert_true(reads_n >= ORPHANS_N);
	rr_look(w);
	reads_n = 0;
	rr_look(w);
	assert_int_equal(reads_n, 0);
	end(w, &c);
	for (size_t i = 0; i < ORPHANS_N; i++)
		assert_true(run_until(w->lp, run_is_gone, &pids[i]));
	assert_true(run_until(w->lp, rr_is_clear, w->reaper));
	rr_fini(&c);
}

/* A child of nobody's, without environment. */
static pid_t
spawn_bare(void)
{
	char sleep[] = "sleep", time[] = "1000";
	char *argv[] = {sleep, time, NULL}, *env[] = {NULL};
	posix_spawnattr_t attr;
	pid_t pid;

	(void)posix_spawnattr_init(&attr);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
	assert_int_equal(posix_spawn(&pid, "/bin/sleep", NULL, &attr, argv, env), 0);
	(void)posix_spawnattr_destroy(&attr);
	return pid;
}

/* A stream of them: when one ends there is another that the reaper has not seen. */
struct stream {
	struct rr_end end;
	pid_t last;
};

static bool
is_ended_amid(void *arg)
{
	struct stream *s = arg;

	if (!rr_is_ended(&s->end)) {
		assert_int_equal(kill(s->last, SIGKILL), 0);
		s->last = spawn_bare();
	}
	return rr_is_ended(&s->end);
}

static void
a_crew_ends_amid_others_without_environment(void **state)
{
	struct rr *w = *state;
	struct stream s = {.last = spawn_bare()};
	struct km_crew *crew = km_crew_new(w->reaper, "crew-a");
	pid_t stays = spawn_bare();

	rr_look(w);
	km_crew_free(crew, rr_on_gone, &s.end);
	assert_true(run_until(w->lp, is_ended_amid, &s));
	assert_int_equal(kill(s.last, SIGKILL), 0);
	assert_true(run_until(w->lp, run_is_gone, &s.last));
	assert_true(run_until(w->lp, rr_is_clear, w->reaper));
	assert_int_equal(kill(stays, SIGKILL), 0);
	assert_true(run_until(w->lp, run_is_gone, &stays));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(stays_a_kernels_without_environment, rr_setup,
	                                    rr_teardown),
	    cmocka_unit_test_setup_teardown(finds_a_kernels_sessions, rr_setup, rr_teardown),
	    cmocka_unit_test_setup_teardown(is_not_killed_for_a_zygote_while_it_is_expected,
	                                    rr_setup, rr_teardown),
	    cmocka_unit_test_setup_teardown(is_no_orphan_once_it_is_watched, rr_setup,
	                                    rr_teardown),
	    cmocka_unit_test_setup_teardown(reads_no_file_of_those_it_knows, rr_setup,
	                                    rr_teardown),
	    cmocka_unit_test_setup_teardown(a_crew_ends_amid_others_without_environment,
	                                    rr_setup, rr_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
