/* tests/unit/zygote_rig.h - the zygote launcher over tests/fake/fake_zygote, and jobs that are
 * shell scripts, wherever they run. */
#ifndef TESTS_ZYGOTE_RIG_H
#define TESTS_ZYGOTE_RIG_H

#include <jansson.h>
#include <stdbool.h>

#include "kernelmgr/launch_zygote.h"
#include "kernelmgr/launcher.h"
#include "tests/unit/km_run.h"

#define ZR_NOT_YET (-1000)
#define ZR_LINES   8192

struct km_spec;

struct zr {
	struct loop *lp;
	struct km_reaper *reaper;
	struct km_launcher *local, *launcher;
	struct km_spec *spec;
	char *dir;              /* the jobs' cwd */
	char log[300], go[300]; /* FAKE_LOG; a file that the orders may name */
	unsigned fds;           /* open descriptors before */
	unsigned jobs_n;
	uint64_t boot_ms, reply_ms, retry_ms, start_ms; /* 0: long enough */
};

/* A job, as kernel.c would hold it. */
struct zj {
	struct zr *r;
	struct km_job *job;
	int how;
	unsigned told_n; /* how often it was told that it exited */
	bool free_in_exited;
};

int zr_setup(void **state);
/* Sees that nothing is left: no job in line, process, or descriptor. */
int zr_teardown(void **state);

/* Make the launcher and a kernelspec whose zygotes do as orders say (%s in them: go); max starts
 * at once. */
void zr_open(struct zr *r, const char *orders, unsigned max);
/* The same, and let one load. */
void zr_open_loaded(struct zr *r, const char *orders, unsigned max);

/* Start a job; it may wait.  more, an object or NULL, is taken: added to its variables. */
int zr_try(struct zr *r, struct zj *j, const char *script, json_t *more, const char *domain,
           struct err *err);
void zr_start(struct zr *r, struct zj *j, const char *script);
void zr_free(struct zj *j);

pid_t zr_pid(const struct zj *j);
const char *zr_by(const struct zj *j);
const char *zr_tail(const struct zj *j);
void zr_signal(const struct zj *j, int signum);
void zr_ready(const struct zj *j);

/* Wait: it has a pid; it has exited, returns how. */
void zr_wait_pid(struct zj *j);
int zr_wait(struct zj *j);
/* Some turns of the loop, so that what was to happen has. */
void zr_turns(struct zr *r);

/* Make the file go. */
void zr_go(struct zr *r);
/* Lines of the log that begin with word. */
unsigned zr_logged(const struct zr *r, const char *word);
/* Children of this process. */
unsigned zr_children(void);
/* Wait until the log has n such lines; until there are n children besides
 * zygotes, n zygotes. */
void zr_wait_logged(struct zr *r, const char *word, unsigned n);
void zr_wait_children(struct zr *r, unsigned n);
void zr_wait_zygotes(struct zr *r, unsigned n);

#endif /* TESTS_ZYGOTE_RIG_H */
