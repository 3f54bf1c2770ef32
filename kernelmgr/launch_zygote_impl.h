/* kernelmgr/launch_zygote_impl.h - the inside of the zygote launcher: for launch_zygote.c and
 * zygote_job.c only. */
#ifndef KM_LAUNCH_ZYGOTE_IMPL_H
#define KM_LAUNCH_ZYGOTE_IMPL_H

#include "kernelmgr/launch_zygote.h"
#include "kernelmgr/launcher.h"
#include "kernelmgr/zygote.h"
#include "kernelmgr/zygotes.h"
#include "wire/base/err.h"
#include "wire/base/list.h"
#include "wire/base/loop.h"

struct launcher {
	struct km_launcher base; /* first: what callers hold */
	struct km_zygotes_config cfg;
	struct km_launcher *local; /* borrowed */
	char *prefix;
	char **preload;
	unsigned starting_n, starting_max;
	uint64_t start_ms;
	unsigned last_n; /* of the newest request */
	bool stopping;
	struct list kinds;
	struct list line;  /* km_job: WAITING, oldest first */
	struct list asked; /* km_job: ASKED */
};

/* A kernelspec in a domain. */
struct kind {
	struct list node;
	struct launcher *l;
	struct km_zygotes *zs;
	unsigned jobs_n;
	bool spared;  /* one was spawned while this zygote loads: the others wait */
	bool leaving; /* its domain has no kernel any more, or the kernelspec is another */
};

enum job_state {
	WAITING,  /* in line */
	ASKED,    /* a zygote was asked */
	CLEARING, /* that one ended: until nothing is left of it */
	FORKED,   /* runs, or has ended */
	LOCAL,    /* the local launcher's */
	ENDED     /* never came to be */
};

struct km_job {
	struct list node; /* in line or asked */
	struct launcher *l;
	struct kind *kind; /* NULL: cannot be forked */
	enum job_state state;
	struct km_launch what;
	char *connection_file, *kernel_id, *cwd, *domain; /* what's */

	char *packet; /* the request; NULL: it cannot be forked */
	struct km_zygote_ask ask;
	unsigned tries_n;         /* that came to nothing */
	bool starting;            /* counted in starting_n */
	struct loop_timer *start; /* pending: it counts no more; or NULL */
	bool killed;              /* by SIGKILL, before it had a pid */
	uint64_t since;           /* loop time when it left the line; 0: not yet */

	pid_t pid; /* also its process group; 0 until forked and once reaped */
	struct km_watch *watch;
	struct km_tail *tail;
	struct km_job *local; /* the local launcher's own, of LOCAL */
	struct loop_task tell;
	int how;        /* to be told */
	struct err why; /* of ENDED */

	km_exited_fn *exited; /* NULL: its owner has freed it */
	void *arg;
};

/* launch_zygote.c */

/* Ask for what is in line, as long as few enough start. */
void km_launch_zygote_pump(struct launcher *l);
/* Something is new about the zygotes of arg, a kind. */
void km_launch_zygote_changed(void *arg);
/* A job of kd is gone; kd may be gone too.  NULL is fine. */
void km_launch_zygote_release(struct kind *kd);
/* km_launcher_ops.start. */
int km_launch_zygote_start(struct km_launcher *launcher, const struct km_launch *what,
                           km_exited_fn *exited, void *arg, struct km_job **ret,
                           struct err *err);

/* zygote_job.c */

extern const struct km_launcher_ops km_zygote_job_ops;

struct km_job *km_zygote_job_new(struct launcher *l, const struct km_launch *what,
                                 km_exited_fn *exited, void *arg);
/* At once: what runs of it is killed. */
void km_zygote_job_free(struct km_job *job);
/* Make its request.  Returns 0, also where it cannot be one (packet stays NULL), or -ENOENT or
 * -EINVAL with err. */
int km_zygote_job_prepare(struct km_job *job, struct err *err);
/* To its place in line. */
void km_zygote_job_wait(struct km_job *job);
/* Ask for it.  Returns 0, or -EAGAIN: it stays in line, or another -errno: it cannot be forked. */
int km_zygote_job_ask(struct km_job *job);
/* Give it to the local launcher: returns what that returned; later: or it ends with the reason. */
int km_zygote_job_spawn(struct km_job *job, struct err *err);
void km_zygote_job_spawn_later(struct km_job *job);
/* It ends, as the gateway does. */
void km_zygote_job_stop(struct km_job *job);

#endif /* KM_LAUNCH_ZYGOTE_IMPL_H */
