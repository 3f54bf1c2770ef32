/* kernelmgr/launcher.h - a way to start kernels: spawn here, fork from a zygote, elsewhere.
 *
 * kernel.c sees only this.  All callbacks follow wire/base/loop.h: later, and
 * exactly once unless the job is freed first.
 */
#ifndef KM_LAUNCHER_H
#define KM_LAUNCHER_H

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct km_job;
struct km_launcher;
struct km_spec;

/* What to start; everything is borrowed for the call, but spec for the job's life; env does
 * not change meanwhile. */
struct km_launch {
	const struct km_spec *spec;
	const char *connection_file; /* its path */
	const char *kernel_id;       /* goes to the environment as KERNELBRIDGE_KERNEL_ID */
	const char *cwd;             /* absolute; -ENOENT if it does not exist */
	json_t *env; /* object of strings: added to the kernelspec's; may be NULL */
	/* Trust domain: only kernels of one domain may be forked from one process, since forks
	 * share hash seed and memory layout.  NULL: the gateway's own. */
	const char *domain;
};

/* The process is over, and what it left is killed: how is its exit code (0-255), KM_SIGNALLED +
 * signal, or -1 when unknown.  The job stays until it is freed. */
#define KM_SIGNALLED 256
typedef void km_exited_fn(void *arg, int how);

struct km_launcher_ops {
	const char *name;

	/* Start a process, at once or when those before it have started; what goes wrong then
	 * is told by exited (how -1, the reason as stderr_tail).  Returns 0 with *ret owned by the
	 * caller, or, with err filled (names the program and why, or the cwd) and no callback to
	 * come, -ENOENT (program or cwd missing), -EINVAL (environment malformed or too large),
	 * -EBUSY (no process or descriptor left) or -EIO. */
	int (*start)(struct km_launcher *l, const struct km_launch *what, km_exited_fn *exited,
	             void *arg, struct km_job **ret, struct err *err);

	/* Send signum to the kernel's process group.  A job that has ended ignores it. */
	void (*signal)(struct km_job *job, int signum);

	/* What the process wrote to its own stderr and stdout: the last 8 KiB that were
	 * read, a NUL-terminated string lent until the next turn of the loop; complete once
	 * exited was called. May hold any bytes but NUL. */
	const char *(*stderr_tail)(struct km_job *job);

	/* Pid of the process, 0 when it has ended or is not there yet. */
	pid_t (*pid)(const struct km_job *job);

	/* Its kernel answers: it starts no more.  NULL where no launcher wants to know. */
	void (*ready)(struct km_job *job);

	/* Loop time (ms) when its turn came, 0 while it is in line.  NULL: when start returned. */
	uint64_t (*since)(const struct km_job *job);

	/* Name of the launcher that started it in the end, once pid is known.  NULL: this one. */
	const char *(*by)(const struct km_job *job);

	/* Forget it, in any state; what still runs of it is killed (SIGKILL to the whole
	 * tree) and reaped without a callback.  NULL is fine. */
	void (*free)(struct km_job *job);
};

struct km_launcher {
	const struct km_launcher_ops *ops;
};

#endif /* KM_LAUNCHER_H */
