/* kernelmgr/process.h - a program that is no kernel: what it prints, piece by piece, and its end.
 *
 * It is a session and process group of its own (spawn.h), with pipes that are read only while
 * their owner wants more: a program whose client is slow waits in its write.  What it leaves
 * running in the background lives until its crew goes (reaper.h), and may go on to print: that is
 * read and dropped.
 */
#ifndef KM_PROCESS_H
#define KM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;
struct km_crew;
struct km_env;
struct km_process;
struct loop;

struct km_process_ops {
	/* It printed data[0..len), len > 0, lent until return; stream is 1 (stdout) or 2
	 * (stderr), in order within each.  Returns 0, or -EAGAIN: taken, but no more of either
	 * until _resume(). */
	int (*output)(void *arg, int stream, const char *data, size_t len);
	/* It is over and all that was printed until then is delivered; how as km_exited_fn says.
	 * The last call, once; the owner frees it. */
	void (*ended)(void *arg, int how);
};

/* What to start; everything is borrowed for the call. */
struct km_process_start {
	const char *const *argv; /* argv[0]: a path, if relative to cwd, or a name: see PATH */
	const char *cwd;         /* absolute */
	struct km_env
	    *env; /* all of it; KERNELBRIDGE_KERNEL_ID becomes the crew's, PATH is used */
	struct km_crew *crew; /* whose it is; outlives it */
	bool merged;          /* one pipe for both, told as stdout: the order is exact */
};

/* Returns 0 with *ret owned by the caller, or, with err naming the program or the cwd, as
 * km_spawn(): -ENOENT, -EINVAL, -EBUSY or -EIO. */
int km_process_new(struct loop *lp, const struct km_process_start *what,
                   const struct km_process_ops *ops, void *arg, struct km_process **ret,
                   struct err *err);

/* More output, after -EAGAIN. */
void km_process_resume(struct km_process *p);

/* Send signum to its process group.  Ignored once it is over. */
void km_process_signal(struct km_process *p, int signum);

/* Its pid; 0: it is over, but its output may still be on its way. */
pid_t km_process_pid(const struct km_process *p);

/* Forget it; one that still runs is killed with its process group.  NULL is fine. */
void km_process_free(struct km_process *p);

#endif /* KM_PROCESS_H */
