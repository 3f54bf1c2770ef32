/* kernelmgr/launch.h - what launchers share: environment and arguments of a kernel's process, and
 * how it ended. */
#ifndef KM_LAUNCH_H
#define KM_LAUNCH_H

#include <jansson.h>
#include <sys/types.h>

struct err;
struct km_env;
struct km_launch;

/* The gateway's environment (without KERNELBRIDGE_*), then the kernelspec's env with ${VAR}
 * expanded, then what->env, then JPY_PARENT_PID and KERNELBRIDGE_KERNEL_ID.  Returns 0 with *ret
 * owned by the caller, or -EINVAL with err: see km_env_add(). */
int km_launch_env(const struct km_launch *what, struct km_env **ret, struct err *err);

/* What of env, an object or NULL, a process that runs already can be given: all but those two.
 * Owned by the caller. */
json_t *km_launch_late_env(const json_t *env);

/* argv, of what->spec, with its templates replaced; argv[0] is the program's path, looked for in
 * env's PATH too.  Returns 0 with *ret for km_cmdline_free(), or -ENOENT with err. */
int km_launch_argv(char *const *argv, const struct km_launch *what, const char *prefix,
                   const struct km_env *env, char ***ret, struct err *err);

struct km_launched {
	pid_t pid;
	int out; /* reading end of the pipe that is its stdout and stderr */
};

/* Start argv; more becomes its descriptor 3, unless it is 0.  Returns as km_spawn(), ret->out is
 * the caller's. */
int km_launch_spawn(const struct km_launch *what, char *const *argv, const struct km_env *env,
                    int more, struct km_launched *ret, struct err *err);

/* What km_exited_fn is told of a status of km_reaped_fn. */
int km_launch_how(int status);

#endif /* KM_LAUNCH_H */
