/* kernelmgr/reaper_watch.c - see kernelmgr/reaper.h: who is watched, expected, and of a crew. */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernelmgr/drain.h"
#include "kernelmgr/reaper_impl.h"
#include "wire/base/mem.h"

void
km_reaper_end_watch(struct km_watch *w)
{
	struct km_reaper *r = w->r;

	w->over = true;
	r->end_ms = loop_now_ms(r->lp);
	list_add_before(&r->ended, &w->node);
	table_del(&r->watch_ids, &w->by_id);
	if (w->gone) /* its pid may be another's by now */
		table_del(&r->watch_pids, &w->by_pid);
	km_reaper_end_children(w);
}

static struct km_watch *
watch_new(struct km_reaper *r, km_reaped_fn *fn, void *arg)
{
	struct km_watch *w = mem_new(sizeof(*w));

	*w = (struct km_watch){.r = r, .status = -1, .fn = fn, .arg = arg};
	list_init(&w->node);
	list_init(&w->children);
	return w;
}

static struct km_watch *
kernel_new(struct km_reaper *r, const char *kernel_id, km_reaped_fn *fn, void *arg)
{
	struct km_watch *w = watch_new(r, fn, arg);

	w->kernel_id = mem_strdup(kernel_id);
	table_add(&r->watch_ids, &w->by_id, w->kernel_id);
	return w;
}

static void
set_running(struct km_watch *w, pid_t pid)
{
	km_reaper_forget_child(w->r, km_reaper_find_child(w->r, pid));
	w->pid = pid;
	(void)snprintf(w->pid_key, sizeof(w->pid_key), "%d", (int)pid);
	table_add(&w->r->watch_pids, &w->by_pid, w->pid_key);
	list_add_before(&w->r->running, &w->node);
}

struct km_watch *
km_reaper_watch(struct km_reaper *r, pid_t pid, const char *kernel_id, km_reaped_fn *fn,
                void *arg)
{
	struct km_watch *w = kernel_new(r, kernel_id, fn, arg);

	set_running(w, pid);
	return w;
}

struct km_watch *
km_reaper_expect(struct km_reaper *r, const char *kernel_id, km_reaped_fn *fn, void *arg)
{
	struct km_watch *w = kernel_new(r, kernel_id, fn, arg);

	w->asked_n = ++r->asked_n;
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
	const struct child *c = km_reaper_find_child(r, pid);
	siginfo_t si = {0};

	assert(w->pid == 0 && pid > 0);
	w->gone = km_reaper_find_watch(r, pid) != NULL || (c != NULL && c->of.crew != NULL) ||
	          waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) != 0;
	if (w->gone)
		w->status = status_of_stranger(r, pid);
	unexpect(w);
	loop_task_post(&r->again); /* its SIGCHLD may have come before */
	if (!w->gone) {
		set_running(w, pid);
		return true;
	}
	w->pid = pid;
	km_reaper_end_watch(w);
	return false;
}

void
km_watch_free(struct km_watch *w)
{
	struct km_reaper *r;

	if (w == NULL)
		return;
	if (w->pid != 0) {
		w->fn = NULL; /* on_sigchld goes on to reap it */
		return;
	}
	r = w->r;
	if (!list_empty(&w->node)) { /* it may be there already */
		unexpect(w);
		w->over = true;
		table_del(&r->watch_ids, &w->by_id);
		km_reaper_end_children(w);
		r->end_ms = loop_now_ms(r->lp);
		r->vain_n = VAIN_LOOKS;
		r->vain_ms = r->end_ms + UNSURE_MS(0);
		loop_task_post(&r->again);
	}
	mem_free(w->kernel_id);
	mem_free(w);
}

unsigned
km_reaper_pending(const struct km_reaper *r)
{
	const struct list *it;
	unsigned n = r->killed_n + r->members_n + (r->vain_n > 0);

	/* it may be left of what has ended; those that come later are not */
	n += r->unsure_n > 0 && loop_now_ms(r->lp) < r->end_ms + UNSURE_ALL_MS;
	for (it = r->expected.next; it != &r->expected; it = it->next)
		n++;
	for (it = r->running.next; it != &r->running; it = it->next)
		n++;
	for (it = r->ended.next; it != &r->ended; it = it->next)
		n++;
	for (it = r->ending.next; it != &r->ending; it = it->next)
		n++;
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
	list_init(&c->children);
	list_add_before(&r->crews, &c->node);
	table_add(&r->crew_ids, &c->by_id, c->id);
	return c;
}

/* The process and its group: a group's number is its own while a process that is not reaped is in
 * it. */
static void
kill_member(struct km_reaper *r, struct child *c)
{
	pid_t group = getpgid(c->pid);

	km_reaper_kill_if_left(r, c);
	if (group > 0 && group != getpgrp())
		(void)killpg(group, SIGKILL);
}

void
km_crew_free(struct km_crew *c, km_crew_gone_fn *gone, void *arg)
{
	struct list *it, *tmp;
	struct km_reaper *r;

	if (c == NULL)
		return;
	r = c->r;
	c->ending = true;
	c->end_ms = r->end_ms = loop_now_ms(r->lp);
	c->gone = gone;
	c->arg = arg;
	km_drain_end(&c->drains);
	list_del(&c->node);
	list_add_before(&r->ending, &c->node);
	list_each (it, tmp, &r->running) {
		const struct km_watch *w = list_entry(it, struct km_watch, node);

		if (w->crew == c)
			(void)killpg(w->pid, SIGKILL);
	}
	list_each (it, tmp, &c->children)
		kill_member(r, list_entry(it, struct child, node));
	loop_task_post(&r->again); /* for those that are not known to be ours yet */
}

const char *
km_crew_id(const struct km_crew *c)
{
	return c->id;
}

struct km_watch *
km_crew_watch(struct km_crew *c, pid_t pid, km_reaped_fn *fn, void *arg)
{
	struct km_watch *w = watch_new(c->r, fn, arg);

	w->crew = c;
	c->n++;
	set_running(w, pid);
	return w;
}

void
km_crew_drain(struct km_crew *c, int fd)
{
	km_drain_add(c->r->lp, fd, &c->drains);
}
