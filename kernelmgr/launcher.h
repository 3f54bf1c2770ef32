/* kernelmgr/launcher.h - a way to start kernels: spawn here, fork from a zygote, elsewhere.
 *
 * kernel.c sees only this.  All callbacks follow wire/base/loop.h: later, and
 * exactly once unless the job is freed first.
 */
#ifndef KM_LAUNCHER_H
#define KM_LAUNCHER_H

#include <jansson.h>
#include <sys/types.h>

struct err;
struct km_job;
struct km_launcher;
struct km_spec;

/* What to start; everything is borrowed for the call. */
struct km_launch {
	const struct km_spec *spec;
	const char *connection_file; /* its path */
	const char *kernel_id;       /* goes to the environment as KERNELBRIDGE_KERNEL_ID */
	const char *cwd;             /* absolute, exists */
	const json_t *env;           /* object of strings: added to the kernelspec's; may be NULL */
};

/* The process is over and nothing of it is left: how is its exit code, or 128 + signal, or
 * -1 when unknown. */
typedef void km_exited_fn(void *arg, int how);

struct km_launcher_ops {
	const char *name;

	/* Start a process.  Returns the job, or NULL with err filled (names the program and why, or
	 * the cwd) and no callback to come. */
	struct km_job *(*start)(struct km_launcher *l, const struct km_launch *what,
	                        km_exited_fn *exited, void *arg, struct err *err);

	/* Send signum to the kernel's process group.  A job that has ended ignores it. */
	void (*signal)(struct km_job *job, int signum);

	/* What the process wrote to its own stderr and stdout so far: the last 8 KiB, a NUL-terminated
	 * string lent until the job is freed.  May hold any bytes but NUL. */
	const char *(*stderr_tail)(struct km_job *job);

	/* Pid of the process, 0 when it has ended. */
	pid_t (*pid)(const struct km_job *job);

	/* Forget it, in any state; what still runs of it is killed (SIGKILL to the whole tree) and
	 * reaped without a callback.  NULL is fine. */
	void (*free)(struct km_job *job);
};

struct km_launcher {
	const struct km_launcher_ops *ops;
};

#endif /* KM_LAUNCHER_H */
