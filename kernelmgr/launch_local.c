/* kernelmgr/launch_local.c - see kernelmgr/launch_local.h. */
#include "kernelmgr/launch_local.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernelmgr/cmdline.h"
#include "kernelmgr/env.h"
#include "kernelmgr/launcher.h"
#include "kernelmgr/reaper.h"
#include "kernelmgr/spawn.h"
#include "kernelmgr/spec.h"
#include "wire/base/err.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define TAIL_BYTES   8192
#define DRAIN_READS  32 /* of TAIL_BYTES: more than a pipe holds */
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

struct local {
	struct km_launcher base;  /* first: what callers hold */
	struct loop *lp;          /* borrowed */
	struct km_reaper *reaper; /* borrowed */
	char *prefix;
};

struct km_job {
	pid_t pid; /* also its process group; 0 once reaped */
	struct km_watch *watch;
	int out;                /* read end of its stdout and stderr, -1 when closed */
	struct loop_fd *out_fd; /* NULL when closed */
	size_t tail_len;
	char tail[TAIL_BYTES + 1];
	km_exited_fn *exited;
	void *arg;
};

static void
close_out(struct km_job *job)
{
	loop_fd_free(job->out_fd);
	job->out_fd = NULL;
	if (job->out >= 0)
		(void)close(job->out);
	job->out = -1;
}

/* Keep the last TAIL_BYTES of what was there and text[0..len), len <= TAIL_BYTES. */
static void
tail_append(struct km_job *job, const char *text, size_t len)
{
	size_t keep = job->tail_len;

	if (keep > TAIL_BYTES - len)
		keep = TAIL_BYTES - len;
	memmove(job->tail, job->tail + job->tail_len - keep, keep);
	for (size_t i = 0; i < len; i++)
		job->tail[keep + i] = (char)(text[i] != '\0' ? text[i] : ' ');
	job->tail_len = keep + len;
	job->tail[job->tail_len] = '\0';
}

/* Read once.  Returns false when there is no more for now, or for ever. */
static bool
read_out(struct km_job *job)
{
	char chunk[TAIL_BYTES];
	ssize_t n = read(job->out, chunk, sizeof(chunk));

	if (n > 0)
		tail_append(job, chunk, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_out(job);
	return n > 0;
}

static void
on_out(void *arg, unsigned events)
{
	struct km_job *job = arg;

	(void)events;
	(void)read_out(job); /* once: a flood waits for the next turn */
}

static void
on_reaped(void *arg, int status)
{
	struct km_job *job = arg;
	int how = -1;

	job->pid = 0;
	/* something that it started may hold the pipe open: take what is there and close */
	for (int i = 0; i < DRAIN_READS && job->out >= 0 && read_out(job); i++)
		;
	close_out(job);
	if (WIFEXITED(status))
		how = WEXITSTATUS(status);
	else if (WIFSIGNALED(status))
		how = KM_SIGNALLED + WTERMSIG(status);
	job->exited(job->arg, how); /* may free job */
}

static int
build_env(const struct km_launch *what, struct km_env **ret, struct err *err)
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
	km_env_set(env, "JPY_PARENT_PID", pid);
	km_env_set(env, "KERNELBRIDGE_KERNEL_ID", what->kernel_id);
	km_env_free(ours);
	if (status != 0) {
		km_env_free(env);
		return status;
	}
	*ret = env;
	return 0;
}

/* The arguments, argv[0] being the program's path: an interpreter finds its own files by it. */
static int
build_argv(const struct local *l, const struct km_launch *what, const struct km_env *env,
           char ***ret, struct err *err)
{
	const struct km_cmdline_vars vars = {.connection_file = what->connection_file,
	                                     .prefix = l->prefix,
	                                     .resource_dir = what->spec->dir};
	char **argv = km_cmdline_new(what->spec->argv, &vars);
	const char *path = km_env_find(env, "PATH");
	char *program = km_cmdline_program(argv[0], what->spec->dir, l->prefix,
	                                   path != NULL ? path : DEFAULT_PATH);
	int status = 0;

	if (program != NULL) {
		mem_free(argv[0]);
		argv[0] = program;
		*ret = argv;
	} else {
		(void)err_set(err, -ENOENT, "program '%.80s' of kernelspec '%s' is not there",
		              argv[0], what->spec->name);
		status = -ENOENT;
		km_cmdline_free(argv);
	}
	return status;
}

/* Make the pipe and the process.  *ret_out is the pipe's read end. */
static int
spawn_piped(const struct km_launch *what, char *const *argv, char *const *env, pid_t *ret_pid,
            int *ret_out, struct err *err)
{
	char whose[64];
	struct km_spawn sp = {
	    .program = argv[0], .argv = argv, .env = env, .cwd = what->cwd, .whose = whose};
	int fds[2], rc = km_spawn_pipe(fds, err);

	if (rc != 0)
		return rc;
	(void)snprintf(whose, sizeof(whose), "kernelspec '%.40s'", what->spec->name);
	sp.out = sp.err = fds[1];
	rc = km_spawn(&sp, ret_pid, err);
	(void)close(fds[1]);
	if (rc == 0)
		*ret_out = fds[0];
	else
		(void)close(fds[0]);
	return rc;
}

static int
start(struct km_launcher *base, const struct km_launch *what, km_exited_fn *exited, void *arg,
      struct km_job **ret, struct err *err)
{
	const struct local *l = (const struct local *)base;
	struct km_env *env = NULL;
	char **argv = NULL;
	struct km_job *job;
	int out = -1;
	pid_t pid = 0;
	int status = km_spawn_check_cwd(what->cwd, err);

	if (status == 0)
		status = build_env(what, &env, err);
	if (status == 0)
		status = build_argv(l, what, env, &argv, err);
	if (status == 0)
		status = spawn_piped(what, argv, km_env_list(env), &pid, &out, err);
	if (status != 0)
		goto out;
	job = mem_new(sizeof(*job));
	job->pid = pid;
	job->out = out;
	job->exited = exited;
	job->arg = arg;
	job->watch = km_reaper_watch(l->reaper, pid, what->kernel_id, on_reaped, job);
	job->out_fd =
	    loop_fd_new(l->lp, out, LOOP_READ, on_out, job); /* NULL: no stderr quoted */
	*ret = job;
out:
	km_env_free(env);
	km_cmdline_free(argv);
	return status;
}

static void
job_signal(struct km_job *job, int signum)
{
	if (job->pid != 0)
		(void)killpg(job->pid, signum);
}

static const char *
job_stderr_tail(struct km_job *job)
{
	return job->tail;
}

static pid_t
job_pid(const struct km_job *job)
{
	return job->pid;
}

static void
job_free(struct km_job *job)
{
	if (job == NULL)
		return;
	job_signal(job, SIGKILL);
	km_watch_free(job->watch); /* the reaper does the rest */
	close_out(job);
	mem_free(job);
}

static const struct km_launcher_ops local_ops = {
    .name = "local",
    .start = start,
    .signal = job_signal,
    .stderr_tail = job_stderr_tail,
    .pid = job_pid,
    .free = job_free,
};

struct km_launcher *
km_launch_local_new(struct loop *lp, struct km_reaper *reaper, const char *prefix)
{
	struct local *l = mem_new(sizeof(*l));

	l->base.ops = &local_ops;
	l->lp = lp;
	l->reaper = reaper;
	l->prefix = mem_strdup(prefix);
	return &l->base;
}

void
km_launch_local_free(struct km_launcher *l)
{
	struct local *local = (struct local *)l;

	if (local == NULL)
		return;
	mem_free(local->prefix);
	mem_free(local);
}
