/* kernelmgr/reaper_impl.h - the inside of the reaper: for reaper.c, reaper_child.c and
 * reaper_watch.c only. */
#ifndef KM_REAPER_IMPL_H
#define KM_REAPER_IMPL_H

#include <stdint.h>

#include "kernelmgr/reaper.h"
#include "wire/base/list.h"
#include "wire/base/loop.h"
#include "wire/base/table.h"

#define STRANGERS_MAX 64
#define VAIN_LOOKS    4
#define UNSURE_LOOKS  9
#define PID_KEY       12
/* The wait after look n, from 0 on; and after all that an unsure child is given. */
#define UNSURE_MS(n)  (UINT64_C(5) << (n))
#define UNSURE_ALL_MS (UNSURE_MS(UNSURE_LOOKS) - UNSURE_MS(0))

struct km_reaper {
	struct loop *lp; /* borrowed */
	struct loop_signal *sigchld;
	struct loop_task again;   /* a pass is due */
	struct loop_timer *later; /* pending: the earliest look is due, at later_ms */
	uint64_t later_ms;
	struct list expected;    /* km_watch: no pid yet, the oldest first */
	struct list running;     /* km_watch */
	struct list ended;       /* km_watch: zombies, owner not told yet */
	struct table watch_pids; /* km_watch: of running and ended, but those that are gone */
	struct table watch_ids;  /* km_watch: kernels', of running and expected */
	struct table child_pids; /* child: all */
	struct table sessions;   /* session */
	struct list strays;      /* child: nobody's, or left behind */
	struct list crews;       /* km_crew: in use */
	struct list ending;      /* km_crew: freed by its owner, the oldest first */
	struct table crew_ids;   /* km_crew: of both */
	struct list unsure[UNSURE_LOOKS]; /* child: looked at n + 1 times, the next due first */
	unsigned unsure_n;
	unsigned members_n; /* children that are a crew's */
	unsigned killed_n;  /* children that are left behind, and killed */
	uint64_t asked_n;   /* watches that were ever expected */
	uint64_t end_ms;    /* when a watched process or a crew last ended */
	struct {            /* reaped while some were expected: the newest */
		pid_t pid;
		int status;
	} strangers[STRANGERS_MAX];
	unsigned strangers_n;
	unsigned vain_n; /* looks left for those that were expected in vain: they come late */
	uint64_t vain_ms;
};

struct km_crew {
	struct list node;
	struct table_node by_id;
	struct km_reaper *r;
	char *id;
	struct list drains;
	struct list children; /* child */
	unsigned n;           /* its children, and its watches whose process is not reaped */
	bool ending;          /* its owner has left it, at end_ms */
	uint64_t end_ms;
	km_crew_gone_fn *gone;
	void *arg;
};

struct km_watch {
	struct list node;
	struct table_node by_pid, by_id;
	char pid_key[PID_KEY];
	struct km_reaper *r;
	pid_t pid;            /* 0: not known yet, or told */
	bool over;            /* it has ended, or is expected no more */
	bool gone;            /* it was reaped already, with status */
	int status;           /* -1: not known */
	char *kernel_id;      /* NULL: a crew's */
	struct km_crew *crew; /* NULL: a kernel's */
	struct list children; /* child: a kernel's */
	uint64_t asked_n;     /* r->asked_n since it is expected */
	km_reaped_fn *fn;     /* NULL: forgotten */
	void *arg;
};

/* Whose a child is: one of the three, or nobody's. */
struct whose {
	struct km_crew *crew;
	struct km_watch *kernel; /* running or expected */
	bool left;               /* it was a kernel's that has ended, or has an unknown id */
};

/* A child of ours that nobody watches, from the first look at it until it is reaped.  Its pid is
 * its own as long: only reaper.c reaps. */
struct child {
	struct list node;       /* its owner's children, or strays */
	struct list unsure;     /* empty: it is not looked at again */
	struct list in_session; /* empty: nobody's, or known to have left it */
	struct table_node by_pid;
	char pid_key[PID_KEY];
	pid_t pid;
	struct session *session;
	struct whose of;
	uint64_t asked_n; /* r->asked_n as of the last look */
	uint64_t look_ms; /* the next look, if unsure */
	unsigned looks_n;
	bool killed;
};

/* --- reaper_child.c ------------------------------------------------------------------------- */

/* The watch of pid whose process is not reaped, or NULL. */
struct km_watch *km_reaper_find_watch(const struct km_reaper *r, pid_t pid);
/* The child with pid, or NULL. */
struct child *km_reaper_find_child(const struct km_reaper *r, pid_t pid);
/* What is called for every child of ours (km_proc_fn): look at one that is new, and kill what is
 * left of a kernel or a crew that has ended. */
void km_reaper_check_child(void *reaper, pid_t pid);
/* Look at the unsure ones whose time has come. */
void km_reaper_look_again(struct km_reaper *r);
/* Kill c if it is left of a kernel or a crew that has ended. */
void km_reaper_kill_if_left(struct km_reaper *r, struct child *c);
/* It is reaped, or watched from now on; NULL is fine. */
void km_reaper_forget_child(struct km_reaper *r, struct child *c);
void km_reaper_forget_children(struct km_reaper *r, struct list *children);

/* w's process has ended, or will never come: its children are killed. */
void km_reaper_end_children(struct km_watch *w);

/* --- reaper_watch.c ------------------------------------------------------------------------- */

/* w, which is in no list, has ended. */
void km_reaper_end_watch(struct km_watch *w);

#endif /* KM_REAPER_IMPL_H */
