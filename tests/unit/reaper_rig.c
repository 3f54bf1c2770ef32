/* tests/unit/reaper_rig.c - see tests/unit/reaper_rig.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <spawn.h>

#include "tests/unit/reaper_rig.h"

int
rr_setup(void **state)
{
	struct rr *w = calloc(1, sizeof(*w));

	w->lp = loop_new();
	w->reaper = km_reaper_new(w->lp);
	*state = w;
	return 0;
}

int
rr_teardown(void **state)
{
	struct rr *w = *state;

	km_reaper_free(w->reaper);
	loop_free(w->lp);
	free(w);
	return 0;
}

void
rr_on_reaped(void *arg, int status)
{
	struct rr_child *c = arg;

	c->called++;
	c->status = status;
}

void
rr_spawn(struct rr_child *c, const char *id, const char *script)
{
	char var[64], path[] = "PATH=/usr/bin:/bin";
	char *env[] = {path, id != NULL ? var : NULL, NULL};
	char sh[] = "sh", dash_c[] = "-c";
	char *text = strdup(script);
	char *argv[] = {sh, dash_c, text, NULL};
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	int in[2], out[2];

	(void)snprintf(var, sizeof(var), "KERNELBRIDGE_KERNEL_ID=%s", id != NULL ? id : "");
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	(void)posix_spawn_file_actions_init(&fa);
	(void)posix_spawn_file_actions_adddup2(&fa, in[0], 0);
	(void)posix_spawn_file_actions_adddup2(&fa, out[1], 1);
	(void)posix_spawnattr_init(&attr);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID);
	assert_int_equal(posix_spawn(&c->pid, "/bin/sh", &fa, &attr, argv, env), 0);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&fa);
	free(text);
	close(in[0]);
	close(out[1]);
	c->in = in[1];
	c->lines = fdopen(out[0], "r");
	c->called = 0;
	c->watch = NULL;
}

void
rr_start(struct rr *w, struct rr_child *c, const char *id, const char *script)
{
	rr_spawn(c, id, script);
	c->watch =
	    km_reaper_watch(w->reaper, c->pid, id != NULL ? id : "none", rr_on_reaped, c);
}

pid_t
rr_read_pid(struct rr_child *c)
{
	int pid = 0;

	assert_int_equal(fscanf(c->lines, "%d", &pid), 1);
	return pid;
}

bool
rr_was_told(void *arg)
{
	return ((struct rr_child *)arg)->called > 0;
}

bool
rr_is_clear(void *arg)
{
	return km_reaper_pending(arg) == 0;
}

void
rr_release(struct rr_child *c)
{
	close(c->in);
	c->in = -1;
}

void
rr_fini(struct rr_child *c)
{
	km_watch_free(c->watch);
	if (c->in >= 0)
		close(c->in);
	fclose(c->lines);
}

void
rr_crew_start(struct km_crew *crew, struct rr_child *c, const char *script)
{
	rr_spawn(c, km_crew_id(crew), script);
	c->watch = km_crew_watch(crew, c->pid, rr_on_reaped, c);
}

void
rr_on_gone(void *arg)
{
	struct rr_end *e = arg;

	e->called++;
}

bool
rr_is_ended(void *arg)
{
	return ((struct rr_end *)arg)->called > 0;
}

void
rr_look(struct rr *w)
{
	struct rr_child c;

	rr_start(w, &c, NULL, "exit 0");
	assert_true(run_until(w->lp, rr_was_told, &c));
	rr_fini(&c);
}
