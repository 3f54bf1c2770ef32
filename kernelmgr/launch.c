/* kernelmgr/launch.c - see kernelmgr/launch.h. */
#include "kernelmgr/launch.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernelmgr/cmdline.h"
#include "kernelmgr/env.h"
#include "kernelmgr/launcher.h"
#include "kernelmgr/spawn.h"
#include "kernelmgr/spec.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define PARENT_VAR   "JPY_PARENT_PID"
#define ID_VAR       "KERNELBRIDGE_KERNEL_ID"
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

int
km_launch_env(const struct km_launch *what, struct km_env **ret, struct err *err)
{
	struct km_env *env = km_env_new(), *ours = km_env_new();
	char pid[16];
	int status;

	km_env_inherit(ours);
	km_env_inherit(env);
	status = km_env_add(env, what->spec->env, ours, err);
	if (status == 0)
		status = km_env_add(env, what->env, NULL, err);
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	km_env_set(env, PARENT_VAR, pid);
	km_env_set(env, ID_VAR, what->kernel_id);
	km_env_free(ours);
	if (status != 0) {
		km_env_free(env);
		return status;
	}
	*ret = env;
	return 0;
}

json_t *
km_launch_late_env(const json_t *env)
{
	json_t *late = json_copy((json_t *)(uintptr_t)env); /* which it only reads */

	(void)json_object_del(late, PARENT_VAR);
	(void)json_object_del(late, ID_VAR);
	return late;
}

/* argv[0] becomes the program's path: an interpreter finds its own files by it. */
int
km_launch_argv(char *const *argv, const struct km_launch *what, const char *prefix,
               const struct km_env *env, char ***ret, struct err *err)
{
	const struct km_cmdline_vars vars = {.connection_file = what->connection_file,
	                                     .prefix = prefix,
	                                     .resource_dir = what->spec->dir};
	char **words = km_cmdline_new(argv, &vars);
	const char *path = km_env_find(env, "PATH");
	char *program = km_cmdline_program(words[0], what->spec->dir, prefix,
	                                   path != NULL ? path : DEFAULT_PATH);

	if (program == NULL) {
		(void)err_set(err, -ENOENT, "program '%.80s' of kernelspec '%s' is not there",
		              words[0], what->spec->name);
		km_cmdline_free(words);
		return -ENOENT;
	}
	mem_free(words[0]);
	words[0] = program;
	*ret = words;
	return 0;
}

int
km_launch_spawn(const struct km_launch *what, char *const *argv, const struct km_env *env,
                int more, struct km_launched *ret, struct err *err)
{
	char whose[64];
	struct km_spawn sp = {.program = argv[0],
	                      .argv = argv,
	                      .env = km_env_list(env),
	                      .cwd = what->cwd,
	                      .more = more,
	                      .whose = whose};
	int fds[2], rc = km_spawn_pipe(fds, err);

	if (rc != 0)
		return rc;
	(void)snprintf(whose, sizeof(whose), "kernelspec '%.40s'", what->spec->name);
	sp.out = sp.err = fds[1];
	rc = km_spawn(&sp, &ret->pid, err);
	(void)close(fds[1]);
	if (rc == 0)
		ret->out = fds[0];
	else
		(void)close(fds[0]);
	return rc;
}

int
km_launch_how(int status)
{
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	return WIFSIGNALED(status) ? KM_SIGNALLED + WTERMSIG(status) : -1;
}
