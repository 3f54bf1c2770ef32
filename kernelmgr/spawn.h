/* kernelmgr/spawn.h - start a program: the one way for kernels and commands.
 *
 * It is a session and process group of its own, with default signal dispositions and an empty
 * mask, stdin from /dev/null, and no descriptor of ours but those that it is given.
 */
#ifndef KM_SPAWN_H
#define KM_SPAWN_H

#include <sys/types.h>

struct err;

/* Everything is borrowed for the call. */
struct km_spawn {
	const char *program; /* its path; if relative, to cwd */
	char *const *argv;   /* NULL-terminated, as env */
	char *const *env;
	const char *cwd;
	int out, err;      /* become its stdout and stderr */
	int more;          /* becomes its descriptor 3; 0: none */
	const char *whose; /* for err: "kernelspec 'x'", or NULL */
};

/* Returns 0, or with err naming program or cwd -ENOENT (it is not there, or no program), -EINVAL
 * (arguments and environment are too large), -EBUSY (no process or memory left) or -EIO. */
int km_spawn(const struct km_spawn *what, pid_t *ret, struct err *err);

/* Returns 0 if cwd is a folder, else -ENOENT with err. */
int km_spawn_check_cwd(const char *cwd, struct err *err);

/* A pipe: ret[0] to read from without blocking, ret[1] to be given away; both are closed by exec
 * and owned by the caller.  Returns 0, or -EBUSY with err. */
int km_spawn_pipe(int ret[2], struct err *err);

#endif /* KM_SPAWN_H */
