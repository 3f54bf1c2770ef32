/* tests/unit/km_run.h - for tests of kernelmgr/: run a loop until something is true.
 *
 * Facts about other processes have no event to wait for, so they are looked at every 2 ms;
 * the deadline is there for a broken program only.
 */
#ifndef TESTS_KM_RUN_H
#define TESTS_KM_RUN_H

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "wire/base/loop.h"

#define RUN_LOOK_MS     2
#define RUN_DEADLINE_MS 60000

typedef bool run_cond_fn(void *arg);

struct run_state {
	struct loop *lp;
	struct loop_timer *look;
	run_cond_fn *cond;
	void *arg;
	uint64_t start_ms;
	bool met;
};

static inline void
run_look(void *p)
{
	struct run_state *s = p;

	loop_timer_free(s->look);
	s->look = NULL;
	s->met = s->cond(s->arg);
	if (s->met || loop_now_ms(s->lp) - s->start_ms > RUN_DEADLINE_MS)
		loop_stop(s->lp);
	else
		s->look = loop_timer_new(s->lp, RUN_LOOK_MS, run_look, s);
}

/* Run lp until cond(arg).  Returns whether it came to that: the turn goes on after it. */
static inline bool
run_until(struct loop *lp, run_cond_fn *cond, void *arg)
{
	struct run_state s = {.lp = lp, .cond = cond, .arg = arg, .start_ms = loop_now_ms(lp)};

	s.look = loop_timer_new(lp, 0, run_look, &s);
	loop_run(lp);
	loop_timer_free(s.look);
	return s.met;
}

static inline bool
run_is_gone(void *pid)
{
	return kill(*(pid_t *)pid, 0) != 0 && errno == ESRCH;
}

/* Open descriptors of this process. */
static inline unsigned
run_count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		(void)closedir(d);
	return n;
}

/* A fresh directory, removed by run_remove(). */
static inline char *
run_tmpdir(void)
{
	char path[] = "/tmp/km_test_XXXXXX";
	const char *dir = mkdtemp(path);

	return dir != NULL ? strdup(dir) : NULL;
}

/* Remove dir with its files and directories and release the name. */
static inline void
run_remove(char *dir)
{
	DIR *d = opendir(dir);
	const struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		char path[1024];

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (unlink(path) != 0)
			run_remove(strdup(path));
	}
	if (d != NULL)
		(void)closedir(d);
	(void)rmdir(dir);
	free(dir);
}

#endif /* TESTS_KM_RUN_H */
