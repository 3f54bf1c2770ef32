/* tests/unit/reaper_rig.h - a reaper over shells that do as they are told, and crews of them. */
#ifndef TESTS_REAPER_RIG_H
#define TESTS_REAPER_RIG_H

#include "kernelmgr/reaper.h"
#include "tests/unit/km_run.h"

/* A shell of its own session that was told what to do; it may print pids and waits for
 * release(). */
struct rr_child {
	pid_t pid;
	int in, out;
	FILE *lines;
	struct km_watch *watch;
	int called, status;
};

struct rr {
	struct loop *lp;
	struct km_reaper *reaper;
};

/* A crew's end, as its owner is told. */
struct rr_end {
	int called;
};

int rr_setup(void **state);
int rr_teardown(void **state);

/* Start sh -c script with KERNELBRIDGE_KERNEL_ID=id, or without it; and watch it. */
void rr_spawn(struct rr_child *c, const char *id, const char *script);
void rr_start(struct rr *w, struct rr_child *c, const char *id, const char *script);
/* The same in a crew. */
void rr_crew_start(struct km_crew *crew, struct rr_child *c, const char *script);
/* A pid that the script printed. */
pid_t rr_read_pid(struct rr_child *c);
/* Let it go on after its "read x". */
void rr_release(struct rr_child *c);
void rr_fini(struct rr_child *c);
/* Have the reaper look at every child once: an end of one that nobody knows. */
void rr_look(struct rr *w);

/* What is told, to an rr_child and an rr_end. */
void rr_on_reaped(void *arg, int status);
void rr_on_gone(void *arg);

/* run_cond_fn: an rr_child was told; nothing is left in a km_reaper; an rr_end was told. */
bool rr_was_told(void *arg);
bool rr_is_clear(void *arg);
bool rr_is_ended(void *arg);

#endif /* TESTS_REAPER_RIG_H */
