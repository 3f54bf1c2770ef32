/* kernelmgr/reaper_watch.c - see kernelmgr/reaper.h: who is watched, expected, and of a crew. */
#include <assert.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernelmgr/drain.h"
#include "kernelmgr/reaper_impl.h"
#include "wire/base/mem.h"

static struct km_watch *
watch_new(struct km_reaper *r, pid_t pid, km_reaped_fn *fn, void *arg)
{
	struct km_watch *w = mem_new(sizeof(*w));

	*w = (struct km_watch){.r = r, .pid = pid, .status = -1, .fn = fn, .arg = arg};
	list_add_before(&r->running, &w->node);
	return w;
}

struct km_watch *
km_reaper_watch(struct km_reaper *r, pid_t pid, const char *kernel_id, km_reaped_fn *fn,
                void *arg)
{
	struct km_watch *w = watch_new(r, pid, fn, arg);

	w->kernel_id = mem_strdup(kernel_id);
	return w;
}

struct km_watch *
km_reaper_expect(struct km_reaper *r, const char *kernel_id, km_reaped_fn *fn, void *arg)
{
	struct km_watch *w = km_reaper_watch(r, 0, kernel_id, fn, arg);

	list_del(&w->node);
	list_add_before(&r->expected, &w->node);
	return w;
}

/* Status of a pid that was reaped already, or -1. */
static int
status_of_stranger(const struct km_reaper *r, pid_t pid)
{
	for (unsigned i = 0; i < STRANGERS_MAX && i < r->strangers_n; i++)
		if (r->strangers[i].pid == pid)
			return r->strangers[i].status;
	return -1;
}

/* w is expected no more. */
static void
unexpect(struct km_watch *w)
{
	list_del(&w->node);
	if (list_empty(&w->r->expected))
		w->r->strangers_n = 0;
}

bool
km_watch_set_pid(struct km_watch *w, pid_t pid)
{
	struct km_reaper *r = w->r;
	siginfo_t si = {0};

	assert(w->pid == 0 && pid > 0);
	w->gone = km_reaper_find_pid(&r->running, pid) != NULL ||
	          km_reaper_find_pid(&r->ended, pid) != NULL ||
	          km_reaper_find_member(r, pid) != NULL ||
	          waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) != 0;
	w->pid = pid;
	if (w->gone)
		w->status = status_of_stranger(r, pid);
	unexpect(w);
	list_add_before(w->gone ? &r->ended : &r->running, &w->node);
	loop_task_post(&r->again); /* its SIGCHLD may have come before */
	return !w->gone;
}

void
km_watch_free(struct km_watch *w)
{
	if (w == NULL)
		return;
	if (w->pid != 0) {
		w->fn = NULL; /* on_sigchld goes on to reap it */
		return;
	}
	if (!list_empty(&w->node)) { /* it may be there already */
		unexpect(w);
		w->r->vain_n = VAIN_LOOKS;
		w->r->later_ms = UNSURE_MIN_MS;
		loop_task_post(&w->r->again);
	}
	mem_free(w->kernel_id);
	mem_free(w);
}

unsigned
km_reaper_pending(const struct km_reaper *r)
{
	struct list *it, *tmp;
	unsigned n = r->orphans + (r->later != NULL);

	list_each (it, tmp, &r->expected)
		n++;
	list_each (it, tmp, &r->running)
		n++;
	list_each (it, tmp, &r->ended)
		n++;
	list_each (it, tmp, &r->members)
		n++;
	list_each (it, tmp, &r->crews)
		n += list_entry(it, struct km_crew, node)->ending;
	return n;
}

/* --- crews ---------------------------------------------------------------------------------- */

struct km_crew *
km_crew_new(struct km_reaper *r, const char *id)
{
	struct km_crew *c = mem_new(sizeof(*c));

	c->r = r;
	c->id = mem_strdup(id);
	list_init(&c->drains);
	list_add_before(&r->crews, &c->node);
	return c;
}

/* The process and its group: a group's number is its own while a process that is not reaped is in
 * it. */
static void
kill_member(const struct member *m)
{
	pid_t group = getpgid(m->pid);

	(void)kill(m->pid, SIGKILL);
	if (group > 0 && group != getpgrp())
		(void)killpg(group, SIGKILL);
}

void
km_crew_free(struct km_crew *c, km_crew_gone_fn *gone, void *arg)
{
	struct list *it, *tmp;

	if (c == NULL)
		return;
	c->ending = true;
	c->gone = gone;
	c->arg = arg;
	km_drain_end(&c->drains);
	list_each (it, tmp, &c->r->running) {
		const struct km_watch *w = list_entry(it, struct km_watch, node);

		if (w->crew == c)
			(void)killpg(w->pid, SIGKILL);
	}
	list_each (it, tmp, &c->r->members) {
		const struct member *m = list_entry(it, struct member, node);

		if (m->crew == c)
			kill_member(m);
	}
	c->r->later_ms = UNSURE_MIN_MS;
	loop_task_post(&c->r->again); /* for those that are not known to be ours yet */
}

const char *
km_crew_id(const struct km_crew *c)
{
	return c->id;
}

struct km_watch *
km_crew_watch(struct km_crew *c, pid_t pid, km_reaped_fn *fn, void *arg)
{
	struct km_watch *w = watch_new(c->r, pid, fn, arg);

	w->crew = c;
	return w;
}

void
km_crew_drain(struct km_crew *c, int fd)
{
	km_drain_add(c->r->lp, fd, &c->drains);
}
