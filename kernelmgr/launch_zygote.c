/* kernelmgr/launch_zygote.c - see kernelmgr/launch_zygote.h.
 *
 * A job waits in line, is asked for, and runs; or the local launcher has it.  When its zygote ends
 * before it answered, the kernel may be there or not.  Whatever became of the request holds the
 * writing end of the job's pipe: the socket's queue, the zygote, the kernel.  So its id is not
 * expected any more, which lets the reaper kill what has it, and when the pipe ends nothing is left,
 * and the job goes back to its place in line.
 */
#include "kernelmgr/launch_zygote.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kernelmgr/env.h"
#include "kernelmgr/launch.h"
#include "kernelmgr/launcher.h"
#include "kernelmgr/reaper.h"
#include "kernelmgr/spawn.h"
#include "kernelmgr/spec.h"
#include "kernelmgr/tail.h"
#include "kernelmgr/zygote.h"
#include "kernelmgr/zygote_msg.h"
#include "kernelmgr/zygotes.h"
#include "wire/base/err.h"
#include "wire/base/list.h"
#include "wire/base/log.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define BOOT_MS   30000
#define REPLY_MS  10000
#define RETRY_MS  1000
#define TRIES_MAX 2 /* zygotes that may end over one job; then it is spawned */

struct launcher {
	struct km_launcher base; /* first: what callers hold */
	struct km_zygotes_config cfg;
	struct km_launcher *local; /* borrowed */
	char *prefix;
	char **preload;
	unsigned starting_n, starting_max;
	unsigned last_n; /* of the newest request */
	bool stopping;
	struct list kinds;
	struct list line;  /* km_job: WAITING, oldest first */
	struct list asked; /* km_job: ASKED */
};

/* A kernelspec in a domain. */
struct kind {
	struct list node;
	struct launcher *l;
	struct km_zygotes *zs;
	unsigned jobs_n;
	bool spared;  /* one was spawned while this zygote loads: the others wait */
	bool leaving; /* its domain has no kernel any more */
};

enum job_state {
	WAITING,  /* in line */
	ASKED,    /* a zygote was asked */
	CLEARING, /* that one ended: until nothing is left of it */
	FORKED,   /* runs, or has ended */
	LOCAL,    /* the local launcher's */
	ENDED     /* never came to be */
};

struct km_job {
	struct list node; /* in line or asked */
	struct launcher *l;
	struct kind *kind; /* NULL: cannot be forked */
	enum job_state state;
	struct km_launch what;
	char *connection_file, *kernel_id, *cwd, *domain; /* what's */

	char *packet; /* the request; NULL: it cannot be forked */
	struct km_zygote_ask ask;
	unsigned tries_n; /* that came to nothing */
	bool starting;    /* counted in starting_n */
	bool killed;      /* by SIGKILL, before it had a pid */
	uint64_t since;   /* loop time when it left the line; 0: not yet */

	pid_t pid; /* also its process group; 0 until forked and once reaped */
	struct km_watch *watch;
	struct km_tail *tail;
	struct km_job *local; /* the local launcher's own, of LOCAL */
	struct loop_task tell;
	int how;        /* to be told */
	struct err why; /* of ENDED */

	km_exited_fn *exited; /* NULL: its owner has freed it */
	void *arg;
};

static void pump(struct launcher *l);

/* --- kinds ---------------------------------------------------------------------------------- */

static void on_changed(void *arg);

static struct kind *
kind_of(struct launcher *l, const struct km_spec *spec, const char *domain)
{
	struct list *it, *tmp;
	struct kind *kd;

	list_each (it, tmp, &l->kinds) {
		kd = list_entry(it, struct kind, node);
		if (!kd->leaving && km_zygotes_are_for(kd->zs, spec, domain))
			return kd;
	}
	kd = mem_new(sizeof(*kd));
	kd->l = l;
	kd->zs = km_zygotes_new(&l->cfg, spec, domain, on_changed, kd);
	list_add_before(&l->kinds, &kd->node);
	return kd;
}

static void
kind_free(struct kind *kd)
{
	list_del(&kd->node);
	km_zygotes_free(kd->zs);
	mem_free(kd);
}

/* A domain's zygote goes with its last kernel; the gateway's own stays. */
static void
kind_release(struct kind *kd)
{
	if (kd == NULL || --kd->jobs_n > 0 || km_zygotes_domain(kd->zs) == NULL)
		return;
	kd->leaving = true;
	km_zygotes_end(kd->zs);
	if (km_zygotes_count(kd->zs) == 0)
		kind_free(kd);
}

/* True if a job may wait for a zygote: one serves, or loads and another was spawned meanwhile. */
static bool
may_wait(struct kind *kd)
{
	enum km_zygotes_state st = km_zygotes_state(kd->zs);

	if (st == KM_ZYGOTES_NONE && km_zygotes_want(kd->zs)) {
		st = KM_ZYGOTES_LOADING;
		kd->spared = false;
	}
	if (st == KM_ZYGOTES_LOADING && !kd->spared) {
		kd->spared = true;
		return false;
	}
	return st != KM_ZYGOTES_NONE;
}

/* --- jobs ----------------------------------------------------------------------------------- */

static void
release_start(struct km_job *job)
{
	if (!job->starting)
		return;
	job->starting = false;
	job->l->starting_n--;
}

static void
set_since(struct km_job *job)
{
	if (job->since == 0)
		job->since = loop_now_ms(job->l->cfg.lp);
}

static void
destroy(struct km_job *job)
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
	kind_release(job->kind);
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

static void
end_stopping(struct km_job *job)
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

static int
start_local(struct km_job *job, struct err *err)
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

/* The same for a job whose start() has returned. */
static void
start_local_later(struct km_job *job)
{
	if (start_local(job, &job->why) != 0)
		end(job, -1);
}

static void
on_reaped(void *arg, int status)
{
	struct km_job *job = arg;

	job->pid = 0;
	km_tail_close(job->tail);
	release_start(job);
	pump(job->l);
	job->exited(job->arg, km_launch_how(status)); /* may free job */
}

/* Back to its place in line. */
static void
wait_again(struct km_job *job)
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
		end_stopping(job);
	else if (job->tries_n >= TRIES_MAX)
		start_local_later(job);
	else
		wait_again(job);
	if (job->state == WAITING)
		on_changed(job->kind);
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
		end_stopping(job);
	else
		start_local_later(job);
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
		destroy(job);
		pump(l);
	} else if (status == -EIO) {
		on_refused(job, why);
		pump(l);
	} else if (status != 0) {
		on_lost(job);
	}
}

/* --- the line ------------------------------------------------------------------------------- */

/* Ask for it.  Returns 0, or -EAGAIN: it stays in line, or another -errno: it cannot be forked. */
static int
ask(struct km_job *job)
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
	l->starting_n++;
	list_del(&job->node);
	list_add_before(&l->asked, &job->node);
	return 0;
}

/* Ask for what is in line, as long as few enough start. */
static void
pump(struct launcher *l)
{
	struct list *it, *tmp;

	list_each (it, tmp, &l->line) {
		struct km_job *job = list_entry(it, struct km_job, node);
		int rc;

		if (l->starting_n >= l->starting_max)
			break;
		if (km_zygotes_state(job->kind->zs) != KM_ZYGOTES_SERVING)
			continue;
		rc = ask(job);
		if (rc != 0 && rc != -EAGAIN)
			start_local_later(job);
	}
}

/* Nothing that waits for kd's zygotes waits in vain. */
static void
on_changed(void *arg)
{
	struct kind *kd = arg;
	struct launcher *l = kd->l;
	bool none = km_zygotes_state(kd->zs) == KM_ZYGOTES_NONE;
	struct list *it, *tmp;

	if (kd->leaving && km_zygotes_count(kd->zs) == 0) {
		kind_free(kd);
		return;
	}
	if (km_zygotes_state(kd->zs) != KM_ZYGOTES_LOADING)
		kd->spared = false;
	list_each (it, tmp, &l->line) {
		struct km_job *job = list_entry(it, struct km_job, node);

		if (none && job->kind == kd)
			start_local_later(job);
	}
	pump(l);
}

/* --- what kernel.c calls -------------------------------------------------------------------- */

static struct km_job *
job_new(struct launcher *l, const struct km_launch *what, km_exited_fn *exited, void *arg)
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

/* Make its request.  Returns 0, also where it cannot be one, or -ENOENT or -EINVAL with err. */
static int
make_packet(struct km_job *job, struct err *err)
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

static int
start(struct km_launcher *base, const struct km_launch *what, km_exited_fn *exited, void *arg,
      struct km_job **ret, struct err *err)
{
	struct launcher *l = (struct launcher *)base;
	struct km_job *job = job_new(l, what, exited, arg);
	bool waits = false;
	int rc = 0;

	if (what->spec->zygote != NULL && !l->stopping &&
	    km_spec_env_is_late(what->spec, what->env)) {
		job->kind = kind_of(l, what->spec, what->domain);
		job->kind->jobs_n++;
		waits = may_wait(job->kind);
	}
	if (waits)
		rc = make_packet(job, err);
	if (rc == 0 && job->packet == NULL)
		rc = start_local(job, err);
	if (rc != 0) {
		destroy(job);
		return rc;
	}
	if (job->state != LOCAL)
		wait_again(job);
	pump(l);
	*ret = job;
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
	pump(job->l);
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
	destroy(job);
	pump(l);
}

static const struct km_launcher_ops zygote_ops = {
    .name = "zygote",
    .start = start,
    .signal = job_signal,
    .stderr_tail = job_stderr_tail,
    .pid = job_pid,
    .ready = job_ready,
    .since = job_since,
    .by = job_by,
    .free = job_free,
};

/* --- its own life --------------------------------------------------------------------------- */

static char **
copy_words(char *const *words)
{
	size_t n = 0;
	char **ret;

	while (words != NULL && words[n] != NULL)
		n++;
	ret = mem_new((n + 1) * sizeof(*ret));
	for (size_t i = 0; i < n; i++)
		ret[i] = mem_strdup(words[i]);
	return ret;
}

struct km_launcher *
km_launch_zygote_new(const struct km_launch_zygote_config *cfg)
{
	struct launcher *l = mem_new(sizeof(*l));

	l->base.ops = &zygote_ops;
	l->local = cfg->local;
	l->prefix = mem_strdup(cfg->prefix);
	l->preload = copy_words(cfg->preload);
	l->starting_max = cfg->starting_max > 0 ? cfg->starting_max : 1;
	l->cfg = (struct km_zygotes_config){
	    .lp = cfg->lp,
	    .reaper = cfg->reaper,
	    .prefix = l->prefix,
	    .preload = l->preload,
	    .boot_ms = cfg->boot_ms > 0 ? cfg->boot_ms : BOOT_MS,
	    .reply_ms = cfg->reply_ms > 0 ? cfg->reply_ms : REPLY_MS,
	    .retry_ms = cfg->retry_ms > 0 ? cfg->retry_ms : RETRY_MS,
	};
	list_init(&l->kinds);
	list_init(&l->line);
	list_init(&l->asked);
	return &l->base;
}

void
km_launch_zygote_free(struct km_launcher *base)
{
	struct launcher *l = (struct launcher *)base;

	if (l == NULL)
		return;
	assert(list_empty(&l->line));
	while (!list_empty(&l->asked)) {
		struct km_job *job = list_entry(l->asked.next, struct km_job, node);

		assert(job->exited == NULL);
		list_del(&job->ask.node);
		destroy(job);
	}
	while (!list_empty(&l->kinds))
		kind_free(list_entry(l->kinds.next, struct kind, node));
	for (char **word = l->preload; *word != NULL; word++)
		mem_free(*word);
	mem_free(l->preload);
	mem_free(l->prefix);
	mem_free(l);
}

void
km_launch_zygote_warm(struct km_launcher *base, const struct km_spec *spec)
{
	struct launcher *l = (struct launcher *)base;
	struct kind *kd;

	if (spec->zygote == NULL || l->stopping)
		return;
	kd = kind_of(l, spec, NULL);
	if (km_zygotes_want(kd->zs))
		kd->spared = false;
}

void
km_launch_zygote_stop(struct km_launcher *base)
{
	struct launcher *l = (struct launcher *)base;
	struct list *it, *tmp;

	l->stopping = true;
	list_each (it, tmp, &l->line) {
		struct km_job *job = list_entry(it, struct km_job, node);

		end_stopping(job);
	}
	list_each (it, tmp, &l->kinds)
		km_zygotes_end(list_entry(it, struct kind, node)->zs);
}

unsigned
km_launch_zygote_count(const struct km_launcher *base)
{
	const struct launcher *l = (const struct launcher *)base;
	struct list *it, *tmp;
	unsigned n = 0;

	list_each (it, tmp, &l->kinds)
		n += km_zygotes_count(list_entry(it, struct kind, node)->zs);
	return n;
}
