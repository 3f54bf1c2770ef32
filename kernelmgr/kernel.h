/* kernelmgr/kernel.h - one kernel: from launch to reaped process.
 *
 * One object is one process: a restart is a new object (the context keeps its name).
 * States: kstate.h.  Ready means: kernel_info_reply seen and an iopub message proven live.
 */
#ifndef KM_KERNEL_H
#define KM_KERNEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "kernelmgr/kstate.h"

struct err;
struct km_kernel;
struct km_launcher;
struct km_spec;
struct loop;
struct wire_msg;
struct wire_req;
struct wire_req_ops;

struct km_kernel_config {
	struct loop *lp;              /* borrowed, outlives the kernel */
	struct km_launcher *launcher; /* borrowed, outlives the kernel */
	const struct km_spec *spec;   /* borrowed, outlives the kernel */
	const char *run_dir;          /* 0700; connection file and sockets; copied */
	const char *cwd;              /* absolute; copied */
	const json_t *env;            /* object of strings or NULL; borrowed for the call */
	uint64_t start_timeout_ms;    /* launch to ready, without the time in line */
	uint64_t stop_grace_ms;       /* shutdown_request to SIGTERM, and SIGTERM to SIGKILL */
	uint64_t max_message_bytes; /* a kernel that sends a longer one is killed; 0: none is */
};

/* Called later, never from inside a km_kernel function. The kernel may be freed from them. */
struct km_kernel_ops {
	/* It answers and its iopub is live: requests may be sent from now on, not before. */
	void (*ready)(void *arg);
	/* Last call: the process is gone and reaped, some 20 ms ago, so that what it had
	 * published was delivered first; up to a second where output still flows or is
	 * paused.  why is a phrase for a client, lent: "signal 11", "exit code 3", "did not
	 * answer within 60 s", each with the last lines of stderr after ": " where the start
	 * failed. started is false when it never was ready.  Every request in flight was
	 * completed with -EPIPE before. */
	void (*died)(void *arg, bool started, const char *why);
	/* Output that belongs to no live request: see wire/client.h.  May be NULL. */
	void (*stray)(void *arg, const struct wire_msg *m);
};

/* Launch.  Returns 0 with *ret owned by the caller, or -ENOENT (program or cwd missing),
 * -EINVAL (environment malformed or too large), -EBUSY (no sockets or processes left), -EIO,
 * with err filled and nothing left behind.  ops are copied. */
int km_kernel_start(const struct km_kernel_config *cfg, const struct km_kernel_ops *ops,
                    void *arg, struct km_kernel **ret, struct err *err);

/* Release in any state: the process tree is killed and reaped, files removed.  NULL is fine. */
void km_kernel_free(struct km_kernel *k);

/* Ask it to stop: shutdown_request, then SIGTERM, then SIGKILL to all of it; a kernel that
 * is busy or still starting is killed at once.  died follows. */
void km_kernel_stop(struct km_kernel *k);
/* Kill at once; died follows. */
void km_kernel_kill(struct km_kernel *k);

/* status 0; -EIO: the kernel refused or is gone, why says it, lent until return. */
typedef void km_assigned_fn(void *arg, int status, const char *why);

/* Give a ready kernel that was started ahead, and has run no code, its working directory and
 * variables (an object of strings or NULL, added to those it has, but for those that each kernel
 * has its own of, see km_launch_late_env(); borrowed for the call).  Its
 * kernelspec says `assign`, and env has none of start_env.  fn is called once, later, unless the
 * kernel is freed first; nothing else may be sent before.
 * Source: ours; a shell request kernelbridge_assign_request {"cwd": "/x", "env": {"NAME": "v"}},
 * answered by kernelbridge_assign_reply {"status": "ok"} or {"status": "error", "evalue": why}. */
void km_kernel_assign(struct km_kernel *k, const char *cwd, json_t *env, km_assigned_fn *fn,
                      void *arg);

/* Send execute_request; after ready, at most one in flight (asserted).  content as in
 * "Messaging in Jupyter", execute.  The state is BUSY until the request's done: who loses
 * interest before calls km_kernel_forget().  ops see wire/client.h; they are copied.  A
 * kernel that is stopping completes it with -EPIPE. */
struct wire_req *km_kernel_execute(struct km_kernel *k, json_t *content, json_t *metadata,
                                   const struct wire_req_ops *ops, void *arg);
/* Its owner is gone: ops are not called again.  The state stays BUSY until the request is
 * over. */
void km_kernel_forget(struct km_kernel *k);
/* Any other shell request (complete_request, inspect_request, ...), after ready (asserted). */
struct wire_req *km_kernel_request(struct km_kernel *k, const char *type, json_t *content,
                                   const struct wire_req_ops *ops, void *arg);
int km_kernel_input_reply(struct km_kernel *k, struct wire_req *r, const char *value,
                          size_t len);

/* Interrupt what runs, by the kernelspec's interrupt_mode; nothing before ready or while
 * stopping. May be repeated; an interrupt_request not answered yet is not.  signal mode
 * sends SIGINT to the process group, as a terminal and jupyter_client do, so that a
 * subprocess that the code waits for is interrupted too.  While an interrupt_request is not
 * answered, done waits, up to a second: or it could hit the next execution. */
void km_kernel_interrupt(struct km_kernel *k);

/* True if it blocks while its output is not read, so that pausing it holds its code: as its
 * kernelspec says, or since km_kernel_set_waits(). */
bool km_kernel_waits(const struct km_kernel *k);
/* Code that it ran made it so: from now on few of its messages are kept on this side. */
void km_kernel_set_waits(struct km_kernel *k);
/* Back-pressure: stop and go on reading its output.  When its process has ended, what it sent is
 * read in any case. */
void km_kernel_pause(struct km_kernel *k);
void km_kernel_resume(struct km_kernel *k);

enum km_kstate km_kernel_state(const struct km_kernel *k);
/* The kernelspec that it was made from; borrowed. */
const struct km_spec *km_kernel_spec(const struct km_kernel *k);
pid_t km_kernel_pid(const struct km_kernel *k);
const char *km_kernel_id(const struct km_kernel *k);
/* From died on: the exit code of its process, or -1 if a signal ended it or nobody knows. */
int km_kernel_exit_code(const struct km_kernel *k);

/* Kernels alive in state st, for gauges. */
unsigned km_kernel_count(enum km_kstate st);

#endif /* KM_KERNEL_H */
