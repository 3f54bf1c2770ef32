/* kernelmgr/launch_local.c - see kernelmgr/launch_local.h. */
#include "kernelmgr/launch_local.h"

#include <signal.h>
#include <stddef.h>

#include "kernelmgr/cmdline.h"
#include "kernelmgr/env.h"
#include "kernelmgr/launch.h"
#include "kernelmgr/launcher.h"
#include "kernelmgr/reaper.h"
#include "kernelmgr/spawn.h"
#include "kernelmgr/spec.h"
#include "kernelmgr/tail.h"
#include "wire/base/mem.h"

struct local {
	struct km_launcher base;  /* first: what callers hold */
	struct loop *lp;          /* borrowed */
	struct km_reaper *reaper; /* borrowed */
	char *prefix;
};

struct km_job {
	pid_t pid; /* also its process group; 0 once reaped */
	struct km_watch *watch;
	struct km_tail *tail;
	km_exited_fn *exited;
	void *arg;
};

static void
on_reaped(void *arg, int status)
{
	struct km_job *job = arg;

	job->pid = 0;
	km_tail_close(job->tail);
	job->exited(job->arg, km_launch_how(status)); /* may free job */
}

static int
start(struct km_launcher *base, const struct km_launch *what, km_exited_fn *exited, void *arg,
      struct km_job **ret, struct err *err)
{
	const struct local *l = (const struct local *)base;
	struct km_env *env = NULL;
	char **argv = NULL;
	struct km_job *job;
	struct km_launched made;
	int status = km_spawn_check_cwd(what->cwd, err);

	if (status == 0)
		status = km_launch_env(what, &env, err);
	if (status == 0)
		status = km_launch_argv(what->spec->argv, what, l->prefix, env, &argv, err);
	if (status == 0)
		status = km_launch_spawn(what, argv, env, 0, &made, err);
	if (status != 0)
		goto out;
	job = mem_new(sizeof(*job));
	job->pid = made.pid;
	job->exited = exited;
	job->arg = arg;
	job->watch = km_reaper_watch(l->reaper, made.pid, what->kernel_id, on_reaped, job);
	job->tail = km_tail_new(l->lp, made.out, NULL, NULL);
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
	return km_tail_text(job->tail);
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
	km_tail_free(job->tail);
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
