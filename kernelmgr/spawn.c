/* kernelmgr/spawn.c - see kernelmgr/spawn.h.
 *
 * posix_spawn(3), not fork: libzmq has threads, and glibc's child runs nothing but system calls
 * between vfork and exec and reports a failed exec as its own errno.
 */
#include "kernelmgr/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/err.h"

#define MORE_FILENO (STDERR_FILENO + 1)

int
km_spawn_check_cwd(const char *cwd, struct err *err)
{
	struct stat st;

	if (stat(cwd, &st) != 0)
		return err_set(err, -ENOENT, "working directory '%.120s': %s", cwd,
		               strerrordesc_np(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, -ENOENT, "working directory '%.120s' is not a directory",
		               cwd);
	if (access(cwd, X_OK) != 0)
		return err_set(err, -ENOENT, "working directory '%.120s': %s", cwd,
		               strerrordesc_np(errno));
	return 0;
}

int
km_spawn_pipe(int ret[2], struct err *err)
{
	if (pipe2(ret, O_CLOEXEC) != 0)
		return err_set(err, -EBUSY, "no pipe for a process: %s",
		               strerrordesc_np(errno));
	(void)fcntl(ret[0], F_SETFL, O_NONBLOCK); /* our end only */
	return 0;
}

/* Descriptors and folder.  Returns 0 or an errno. */
static int
set_actions(posix_spawn_file_actions_t *fa, const struct km_spawn *what)
{
	int e = posix_spawn_file_actions_addopen(fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

	if (e == 0)
		e = posix_spawn_file_actions_adddup2(fa, what->out, STDOUT_FILENO);
	if (e == 0)
		e = posix_spawn_file_actions_adddup2(fa, what->err, STDERR_FILENO);
	if (e == 0 && what->more != 0)
		e = posix_spawn_file_actions_adddup2(fa, what->more, MORE_FILENO);
	if (e == 0)
		e = posix_spawn_file_actions_addclosefrom_np(
		    fa, what->more != 0 ? MORE_FILENO + 1 : MORE_FILENO);
	if (e == 0)
		e = posix_spawn_file_actions_addchdir_np(fa, what->cwd);
	return e;
}

/* Returns 0 or an errno. */
static int
spawn(const struct km_spawn *what, pid_t *ret)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int e = posix_spawn_file_actions_init(&fa);

	if (e != 0)
		return e;
	e = posix_spawnattr_init(&attr);
	if (e != 0) {
		(void)posix_spawn_file_actions_destroy(&fa);
		return e;
	}
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &all);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
	                                          POSIX_SPAWN_SETSIGDEF);
	e = set_actions(&fa, what);
	if (e == 0)
		e = posix_spawn(ret, what->program, &fa, &attr, what->argv, what->env);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&fa);
	return e;
}

/* What a failed spawn means to the caller. */
static int
spawn_status(int e)
{
	switch (e) {
	case ENOENT:
	case ENOTDIR:
	case EACCES:
	case ENOEXEC:
	case EISDIR:
	case ELOOP:
		return -ENOENT;
	case E2BIG:
		return -EINVAL;
	case EAGAIN:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return -EBUSY;
	default:
		return -EIO;
	}
}

int
km_spawn(const struct km_spawn *what, pid_t *ret, struct err *err)
{
	int rc = km_spawn_check_cwd(what->cwd, err);
	int e = rc == 0 ? spawn(what, ret) : 0;

	if (e != 0)
		rc = err_set(err, spawn_status(e), "cannot start '%.80s'%s%s: %s",
		             what->program, what->whose != NULL ? " of " : "",
		             what->whose != NULL ? what->whose : "", strerrordesc_np(e));
	return rc;
}
