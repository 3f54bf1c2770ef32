/* kernelmgr/zygote_job.c - one job of the zygote launcher: see kernelmgr/launch_zygote.h.
 *
 * A job waits in line, is asked for, and runs; or the local launcher has it.  When its zygote ends
 * before it answered, the kernel may be there or not.  Whatever became of the request holds the
 * writing end of the job's pipe: the socket's queue, the zygote, the kernel.  So its id is expected
 * no more, which lets the reaper kill what has it, and when the pipe ends nothing is left, and the
 * job goes back to its place in line.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kernelmgr/env.h"
#include "kernelmgr/launch.h"
#include "kernelmgr/launch_zygote_impl.h"
#include "kernelmgr/reaper.h"
#include "kernelmgr/spawn.h"
#include "kernelmgr/tail.h"
#include "kernelmgr/zygote_msg.h"
#include "wire/base/log.h"
#include "wire/base/mem.h"

#define TRIES_MAX 2 /* zygotes that may end over one job; then it is spawned */

static void
release_start(struct km_job *job)
{
	loop_timer_free(job->start);
	job->start = NULL;
	if (!job->starting)
		return;
	job->starting = false;
	job->l->starting_n--;
}

static void
on_slow(void *arg)
{
	struct km_job *job = arg;

	release_start(job);
	km_launch_zygote_pump(job->l);
}

static void
set_since(struct km_job *job)
{
	if (job->since == 0)
		job->since = loop_now_ms(job->l->cfg.lp);
}

void
km_zygote_job_free(struct km_job *job)
{
	release_start(job);
	list_del(&job->node);
	loop_task_cancel(&job->tell);
	if (job->pid != 0)
		(void)killpg(job->pid, SIGKILL);
	km_watch_free(job->watch); /* the reaper does the rest */
	km_tail_free(job->tail);
	if (job->local != NULL)
		job->l->local->ops->free(job->local);
	km_launch_zygote_release(job->kind);
	mem_free(job->connection_file);
	mem_free(job->kernel_id);
	mem_free(job->cwd);
	mem_free(job->domain);
	mem_free(job->packet);
	json_decref(job->what.env);
	mem_free(job);
}

static void
on_tell(void *arg)
{
	struct km_job *job = arg;

	job->exited(job->arg, job->how); /* may free job */
}

/* It is over and never had a process that anybody saw. */
static void
end(struct km_job *job, int how)
{
	release_start(job);
	list_del(&job->node);
	job->state = ENDED;
	job->how = how;
	loop_task_post(&job->tell);
}

void
km_zygote_job_stop(struct km_job *job)
{
	(void)err_set(&job->why, -ECANCELED, "the gateway is stopping");
	end(job, -1);
}

static void
on_local_exited(void *arg, int how)
{
	struct km_job *job = arg;

	job->exited(job->arg, how); /* may free job */
}

int
km_zygote_job_spawn(struct km_job *job, struct err *err)
{
	struct km_launcher *local = job->l->local;
	int rc;

	release_start(job);
	list_del(&job->node);
	set_since(job);
	rc = local->ops->start(local, &job->what, on_local_exited, job, &job->local, err);
	if (rc == 0)
		job->state = LOCAL;
	return rc;
}

void
km_zygote_job_spawn_later(struct km_job *job)
{
	if (km_zygote_job_spawn(job, &job->why) != 0)
		end(job, -1);
}

static void
on_reaped(void *arg, int status)
{
	struct km_job *job = arg;

	job->pid = 0;
	km_tail_close(job->tail);
	release_start(job);
	km_launch_zygote_pump(job->l);
	job->exited(job->arg, km_launch_how(status)); /* may free job */
}

void
km_zygote_job_wait(struct km_job *job)
{
	struct list *it = job->l->line.next;

	while (it != &job->l->line && list_entry(it, struct km_job, node)->ask.n < job->ask.n)
		it = it->next;
	job->state = WAITING;
	list_add_before(it, &job->node);
}

/* Nothing is left of what the zygote may have made for it. */
static void
on_cleared(void *arg)
{
	struct km_job *job = arg;

	if (job->state != CLEARING)
		return; /* it closed its own output */
	km_tail_free(job->tail);
	job->tail = NULL;
	if (job->l->stopping)
		km_zygote_job_stop(job);
	else if (job->tries_n >= TRIES_MAX)
		km_zygote_job_spawn_later(job);
	else
		km_zygote_job_wait(job);
	if (job->state == WAITING)
		km_launch_zygote_changed(job->kind);
}

static void
on_refused(struct km_job *job, const char *why)
{
	struct log_id id = {.kind = "kernel"};

	(void)snprintf(id.id, sizeof(id.id), "%s", job->kernel_id);
	log_warn(&id, "fork refused: %s; it is spawned", why);
	km_watch_free(job->watch);
	km_tail_free(job->tail);
	job->watch = NULL;
	job->tail = NULL;
	if (job->killed)
		end(job, KM_SIGNALLED + SIGKILL);
	else if (job->l->stopping)
		km_zygote_job_stop(job);
	else
		km_zygote_job_spawn_later(job);
}

/* It goes back to its place in line once the pipe has ended. */
static void
on_lost(struct km_job *job)
{
	release_start(job);
	km_watch_free(job->watch);
	job->watch = NULL;
	job->tries_n++;
	job->state = CLEARING;
	if (job->killed)
		end(job, KM_SIGNALLED + SIGKILL);
	else if (km_tail_is_closed(job->tail))
		on_cleared(job);
}

static void
on_forked(void *arg, int status, pid_t pid, const char *why)
{
	struct km_job *job = arg;
	struct launcher *l = job->l;

	list_del(&job->node);
	if (status == 0) {
		job->state = FORKED;
		job->pid = km_watch_set_pid(job->watch, pid) ? pid : 0;
		if (job->killed && job->pid != 0)
			(void)killpg(job->pid, SIGKILL);
	}
	if (job->exited == NULL) {
		km_zygote_job_free(job);
		km_launch_zygote_pump(l);
	} else if (status == -EIO) {
		on_refused(job, why);
		km_launch_zygote_pump(l);
	} else if (status != 0) {
		on_lost(job);
	}
}

int
km_zygote_job_ask(struct km_job *job)
{
	struct launcher *l = job->l;
	int fds[2], rc = km_spawn_pipe(fds, &job->why);

	if (rc != 0)
		return rc;
	rc = km_zygotes_ask(job->kind->zs, &job->ask, job->packet, fds[1]);
	(void)close(fds[1]);
	if (rc != 0) {
		(void)close(fds[0]);
		return rc == -EPIPE ? -EAGAIN : rc; /* its end is told soon */
	}
	job->tail = km_tail_new(l->cfg.lp, fds[0], on_cleared, job);
	job->watch = km_reaper_expect(l->cfg.reaper, job->kernel_id, on_reaped, job);
	job->state = ASKED;
	set_since(job);
	job->starting = true;
	job->start = loop_timer_new(l->cfg.lp, l->start_ms, on_slow, job);
	l->starting_n++;
	list_del(&job->node);
	list_add_before(&l->asked, &job->node);
	return 0;
}

struct km_job *
km_zygote_job_new(struct launcher *l, const struct km_launch *what, km_exited_fn *exited,
                  void *arg)
{
	struct km_job *job = mem_new(sizeof(*job));

	job->l = l;
	list_init(&job->node);
	loop_task_init(&job->tell, l->cfg.lp, on_tell, job);
	job->connection_file = mem_strdup(what->connection_file);
	job->kernel_id = mem_strdup(what->kernel_id);
	job->cwd = mem_strdup(what->cwd);
	job->domain = what->domain != NULL ? mem_strdup(what->domain) : NULL;
	job->what = (struct km_launch){.spec = what->spec,
	                               .connection_file = job->connection_file,
	                               .kernel_id = job->kernel_id,
	                               .cwd = job->cwd,
	                               .env = json_incref(what->env),
	                               .domain = job->domain};
	job->ask.n = ++l->last_n;
	job->ask.fn = on_forked;
	job->ask.arg = job;
	job->exited = exited;
	job->arg = arg;
	return job;
}

int
km_zygote_job_prepare(struct km_job *job, struct err *err)
{
	struct km_zygote_fork f = {.n = job->ask.n,
	                           .connection_file = job->connection_file,
	                           .kernel_id = job->kernel_id,
	                           .cwd = job->cwd};
	struct km_env *env = NULL;
	int rc = km_spawn_check_cwd(job->cwd, err);

	if (rc == 0)
		rc = km_launch_env(&job->what, &env, err);
	if (rc != 0)
		return rc;
	f.env = km_env_list(env);
	job->packet = km_zygote_msg_fork(&f);
	km_env_free(env);
	return 0;
}

static void
job_signal(struct km_job *job, int signum)
{
	struct launcher *l = job->l;

	switch (job->state) {
	case WAITING:
	case CLEARING: /* the reaper kills what may be left */
		if (signum == SIGKILL)
			end(job, KM_SIGNALLED + SIGKILL);
		break;
	case ASKED:
		job->killed = job->killed || signum == SIGKILL;
		break;
	case FORKED:
		if (job->pid != 0)
			(void)killpg(job->pid, signum);
		break;
	case LOCAL:
		l->local->ops->signal(job->local, signum);
		break;
	case ENDED:
	default:
		break;
	}
}

static const char *
job_stderr_tail(struct km_job *job)
{
	if (job->state == LOCAL)
		return job->l->local->ops->stderr_tail(job->local);
	return job->state == ENDED ? job->why.text : km_tail_text(job->tail);
}

static pid_t
job_pid(const struct km_job *job)
{
	return job->state == LOCAL ? job->l->local->ops->pid(job->local) : job->pid;
}

static uint64_t
job_since(const struct km_job *job)
{
	return job->since;
}

static const char *
job_by(const struct km_job *job)
{
	return job->state == LOCAL ? job->l->local->ops->name : "zygote";
}

static void
job_ready(struct km_job *job)
{
	release_start(job);
	km_launch_zygote_pump(job->l);
}

static void
job_free(struct km_job *job)
{
	struct launcher *l;

	if (job == NULL)
		return;
	l = job->l;
	if (job->state == ASKED) { /* until the answer tells whom to kill */
		job->exited = NULL;
		job->killed = true;
		return;
	}
	km_zygote_job_free(job);
	km_launch_zygote_pump(l);
}

const struct km_launcher_ops km_zygote_job_ops = {
    .name = "zygote",
    .start = km_launch_zygote_start,
    .signal = job_signal,
    .stderr_tail = job_stderr_tail,
    .pid = job_pid,
    .ready = job_ready,
    .since = job_since,
    .by = job_by,
    .free = job_free,
};
