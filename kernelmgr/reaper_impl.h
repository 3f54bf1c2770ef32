/* kernelmgr/reaper_impl.h - the inside of the reaper: for reaper.c and reaper_watch.c only. */
#ifndef KM_REAPER_IMPL_H
#define KM_REAPER_IMPL_H

#include <stdint.h>

#include "kernelmgr/reaper.h"
#include "wire/base/list.h"
#include "wire/base/loop.h"

#define UNSURE_MIN_MS 5
#define STRANGERS_MAX 64
#define VAIN_LOOKS    4

struct km_reaper {
	struct loop *lp; /* borrowed */
	struct loop_signal *sigchld;
	struct loop_task again;   /* a pass is due */
	struct loop_timer *later; /* pending: look at the unsure ones again */
	uint64_t later_ms;        /* its next interval */
	bool unsure;              /* a child had no environment in the last pass */
	struct list expected;     /* km_watch: no pid yet */
	struct list running;      /* km_watch */
	struct list ended;        /* km_watch: zombies, owner not told yet */
	struct list members;      /* member */
	struct list crews;        /* km_crew */
	unsigned orphans;         /* killed in the last pass, not reaped yet */
	struct {                  /* reaped while some were expected: the newest */
		pid_t pid;
		int status;
	} strangers[STRANGERS_MAX];
	unsigned strangers_n;
	unsigned vain_n; /* looks left for those that were expected in vain: they come late */
};

struct km_crew {
	struct list node;
	struct km_reaper *r;
	char *id;
	struct list drains;
	bool ending; /* its owner has left it */
	km_crew_gone_fn *gone;
	void *arg;
};

/* A child of ours that nobody watches and that belongs to a crew. */
struct member {
	struct list node;
	pid_t pid, session; /* session as of the last pass */
	struct km_crew *crew;
};

struct km_watch {
	struct list node;
	struct km_reaper *r;
	pid_t pid;            /* 0: not known yet, or told */
	bool gone;            /* it was reaped already, with status */
	int status;           /* -1: not known */
	char *kernel_id;      /* NULL: a crew's */
	struct km_crew *crew; /* NULL: a kernel's */
	km_reaped_fn *fn;     /* NULL: forgotten */
	void *arg;
};

/* The watch of pid in a list of them, or NULL. */
struct km_watch *km_reaper_find_pid(const struct list *l, pid_t pid);
/* The member with pid, or NULL. */
struct member *km_reaper_find_member(const struct km_reaper *r, pid_t pid);

#endif /* KM_REAPER_IMPL_H */
