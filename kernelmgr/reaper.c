/* kernelmgr/reaper.c - see kernelmgr/reaper.h; whose a child is, reaper_child.c finds out; watches
 * and crews are made in reaper_watch.c.
 *
 * A pid is safe to use as long as its process is not reaped: so a process that ended is
 * first only looked at (WNOWAIT), its group and session are killed, the orphans are looked
 * for, and only then it is reaped, just before its owner is told.  Killed orphans are the
 * gateway's children too: their end is the next SIGCHLD, which looks for what they leave.
 */
#include "kernelmgr/reaper.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernelmgr/drain.h"
#include "kernelmgr/proc.h"
#include "kernelmgr/reaper_impl.h"
#include "wire/base/list.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

/* Move the watched processes that are zombies to ended; what is left of their groups is
 * killed, unless it is a crew's, and the orphans that are known. */
static void
look(struct km_reaper *r)
{
	struct list *it, *tmp;

	list_each (it, tmp, &r->running) {
		struct km_watch *w = list_entry(it, struct km_watch, node);
		siginfo_t si = {0};

		if (waitid(P_PID, (id_t)w->pid, &si, WEXITED | WNOHANG | WNOWAIT) != 0)
			w->gone = true; /* its pid may be another's by now */
		if (!w->gone && si.si_pid == 0)
			continue;
		if (!w->gone && (w->crew == NULL || w->crew->ending))
			(void)killpg(w->pid, SIGKILL);
		list_del(&w->node);
		km_reaper_end_watch(w);
	}
}

/* An expected child may end before its pid is known. */
static void
reap_stranger(struct km_reaper *r, pid_t pid)
{
	unsigned i = r->strangers_n % STRANGERS_MAX;
	int status;

	if (waitpid(pid, &status, WNOHANG) != pid || list_empty(&r->expected))
		return;
	r->strangers[i].pid = pid;
	r->strangers[i].status = status;
	r->strangers_n++;
}

/* Reap zombies nobody watches.  Returns false when a watched one is in the way. */
static bool
reap_others(struct km_reaper *r)
{
	for (;;) {
		siginfo_t si = {0};

		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) != 0 || si.si_pid == 0)
			return true;
		if (km_reaper_find_watch(r, si.si_pid) != NULL)
			return false;
		km_reaper_forget_child(r, km_reaper_find_child(r, si.si_pid));
		reap_stranger(r, si.si_pid);
	}
}

/* Reap and tell, one by one: a callback may free any watch or start another. */
static void
tell(struct km_reaper *r)
{
	while (!list_empty(&r->ended)) {
		struct km_watch *w = list_entry(r->ended.next, struct km_watch, node);
		km_reaped_fn *fn = w->fn;
		void *arg = w->arg;
		int status = w->status;

		if (!w->gone)
			(void)waitpid(w->pid, &status, WNOHANG);
		list_del(&w->node);
		table_del(&r->watch_pids, &w->by_pid);
		if (w->crew != NULL)
			w->crew->n--;
		w->pid = 0;
		w->crew = NULL;
		if (fn != NULL) {
			fn(arg, status);
		} else {
			mem_free(w->kernel_id);
			mem_free(w);
		}
	}
}

static void
bury(struct km_crew *c)
{
	km_crew_gone_fn *gone = c->gone;
	void *arg = c->arg;

	list_del(&c->node);
	table_del(&c->r->crew_ids, &c->by_id);
	mem_free(c->id);
	mem_free(c);
	if (gone != NULL)
		gone(arg);
}

/* True if nothing of c is left, as far as can be told: what it left may be between two programs. */
static bool
is_over(const struct km_crew *c)
{
	const struct km_reaper *r = c->r;

	return c->n == 0 &&
	       (r->unsure_n == 0 || loop_now_ms(r->lp) >= c->end_ms + UNSURE_ALL_MS);
}

/* The crews that have ended and of which nothing is left; gone may make or free others. */
static void
bury_crews(struct km_reaper *r)
{
	struct list *it = r->ending.next;

	while (it != &r->ending) {
		struct km_crew *c = list_entry(it, struct km_crew, node);

		it = it->next; /* others are added at the end only */
		if (is_over(c))
			bury(c);
	}
}

static void on_later(void *arg);

/* Wait for the earliest look that is due. */
static void
set_later(struct km_reaper *r)
{
	uint64_t now_ms = loop_now_ms(r->lp), due_ms = UINT64_MAX;

	for (unsigned n = 0; n < UNSURE_LOOKS; n++) {
		const struct child *c = list_entry(r->unsure[n].next, struct child, unsure);

		if (!list_empty(&r->unsure[n]) && c->look_ms < due_ms)
			due_ms = c->look_ms;
	}
	if (r->vain_n > 0 && r->vain_ms < due_ms)
		due_ms = r->vain_ms;
	if (r->later != NULL && r->later_ms == due_ms)
		return;
	loop_timer_free(r->later);
	r->later = NULL;
	r->later_ms = due_ms;
	if (due_ms != UINT64_MAX)
		r->later =
		    loop_timer_new(r->lp, due_ms > now_ms ? due_ms - now_ms : 0, on_later, r);
}

static void
on_pass(void *arg)
{
	struct km_reaper *r = arg;

	look(r);
	km_proc_children(km_reaper_check_child, r);
	tell(r);
	if (!reap_others(r))
		loop_task_post(&r->again);
	else
		bury_crews(r);
	set_later(r);
}

static void
on_later(void *arg)
{
	struct km_reaper *r = arg;

	loop_timer_free(r->later);
	r->later = NULL;
	km_reaper_look_again(r);
	if (r->vain_n > 0 && loop_now_ms(r->lp) >= r->vain_ms) {
		r->vain_n--;
		r->vain_ms += UNSURE_MS(VAIN_LOOKS - r->vain_n);
		on_pass(r);
		return;
	}
	bury_crews(r);
	set_later(r);
}

/* One pass a turn: hundreds of signals may come in one, and each pass looks at every child. */
static void
on_sigchld(void *arg)
{
	struct km_reaper *r = arg;

	loop_task_post(&r->again);
}

struct km_reaper *
km_reaper_new(struct loop *lp)
{
	struct km_reaper *r = mem_new(sizeof(*r));

	list_init(&r->expected);
	list_init(&r->running);
	list_init(&r->ended);
	list_init(&r->strays);
	list_init(&r->crews);
	list_init(&r->ending);
	for (unsigned n = 0; n < UNSURE_LOOKS; n++)
		list_init(&r->unsure[n]);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L); /* fails on no kernel since 3.4 */
	r->lp = lp;
	loop_task_init(&r->again, lp, on_pass, r);
	r->sigchld = loop_signal_new(lp, SIGCHLD, on_sigchld, r);
	return r;
}

static void
forget_all(struct list *l)
{
	struct list *it, *tmp;

	list_each (it, tmp, l) {
		struct km_watch *w = list_entry(it, struct km_watch, node);

		assert(w->fn == NULL);
		km_reaper_forget_children(w->r, &w->children);
		list_del(&w->node);
		mem_free(w->kernel_id);
		mem_free(w);
	}
}

void
km_reaper_free(struct km_reaper *r)
{
	if (r == NULL)
		return;
	assert(list_empty(&r->expected));
	table_fini(&r->watch_pids);
	table_fini(&r->watch_ids);
	forget_all(&r->running);
	forget_all(&r->ended);
	km_reaper_forget_children(r, &r->strays);
	assert(list_empty(&r->crews));
	while (!list_empty(&r->ending)) {
		struct km_crew *c = list_entry(r->ending.next, struct km_crew, node);

		km_reaper_forget_children(r, &c->children);
		bury(c);
	}
	table_fini(&r->child_pids);
	table_fini(&r->sessions);
	table_fini(&r->crew_ids);
	loop_task_cancel(&r->again);
	loop_timer_free(r->later);
	loop_signal_free(r->sigchld);
	mem_free(r);
}
