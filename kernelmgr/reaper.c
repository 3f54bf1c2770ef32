/* kernelmgr/reaper.c - see kernelmgr/reaper.h; watches and crews are made in reaper_watch.c.
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

#define ID_VAR        "KERNELBRIDGE_KERNEL_ID"
#define UNSURE_MAX_MS 1280

struct km_watch *
km_reaper_find_pid(const struct list *l, pid_t pid)
{
	struct list *it, *tmp;

	list_each (it, tmp, l) {
		struct km_watch *w = list_entry(it, struct km_watch, node);

		if (w->pid == pid)
			return w;
	}
	return NULL;
}

static bool
has_id(const struct list *l, const char *kernel_id)
{
	struct list *it, *tmp;

	list_each (it, tmp, l) {
		struct km_watch *w = list_entry(it, struct km_watch, node);

		if (w->kernel_id != NULL && strcmp(w->kernel_id, kernel_id) == 0)
			return true;
	}
	return false;
}

static bool
is_running_id(const struct km_reaper *r, const char *kernel_id)
{
	return has_id(&r->running, kernel_id) || has_id(&r->expected, kernel_id);
}

/* --- whose a child is --------------------------------------------------------------------- */

struct member *
km_reaper_find_member(const struct km_reaper *r, pid_t pid)
{
	struct list *it, *tmp;

	list_each (it, tmp, &r->members) {
		struct member *m = list_entry(it, struct member, node);

		if (m->pid == pid)
			return m;
	}
	return NULL;
}

/* A session's number stays its own while a process that is not reaped is in it. */
static struct km_crew *
crew_of_session(const struct km_reaper *r, pid_t session)
{
	const struct km_watch *w = km_reaper_find_pid(&r->running, session);
	struct list *it, *tmp;

	if (w == NULL)
		w = km_reaper_find_pid(&r->ended, session);
	if (w != NULL)
		return w->crew;
	list_each (it, tmp, &r->members) {
		const struct member *m = list_entry(it, struct member, node);

		if (m->session == session)
			return m->crew;
	}
	return NULL;
}

static struct km_crew *
crew_of_id(const struct km_reaper *r, const char *id)
{
	struct list *it, *tmp;

	list_each (it, tmp, &r->crews) {
		struct km_crew *c = list_entry(it, struct km_crew, node);

		if (strcmp(c->id, id) == 0)
			return c;
	}
	return NULL;
}

/* Whose child pid is by its environment: *ret is a crew, or NULL.  Returns true if it is what a
 * kernel that has ended left behind. */
static bool
look_at_id(struct km_reaper *r, pid_t pid, struct km_crew **ret)
{
	char *id = NULL;
	bool left;

	*ret = NULL;
	if (km_proc_var(pid, ID_VAR, &id) == -EAGAIN)
		r->unsure = true;
	if (id != NULL)
		*ret = crew_of_id(r, id);
	left = id != NULL && *ret == NULL && !is_running_id(r, id);
	mem_free(id);
	return left;
}

static void
member_new(struct km_crew *c, pid_t pid, pid_t session)
{
	struct member *m = mem_new(sizeof(*m));

	*m = (struct member){.pid = pid, .session = session, .crew = c};
	list_add_before(&c->r->members, &m->node);
}

/* Kill child pid if it is what a kernel or a crew that has ended left behind; note it if a crew's
 * that has not. */
static void
check_child(void *arg, pid_t pid)
{
	struct km_reaper *r = arg;
	struct member *m = km_reaper_find_member(r, pid);
	struct km_crew *c;
	pid_t parent, session;
	bool left = false;

	if (km_reaper_find_pid(&r->running, pid) !=
	    NULL) /* most are kernels: no file for them */
		return;
	if (!km_proc_stat(pid, &parent, &session) || km_reaper_find_pid(&r->ended, pid) != NULL)
		return;
	c = m != NULL ? m->crew : crew_of_session(r, session);
	if (c == NULL)
		left = km_reaper_find_pid(&r->ended, session) != NULL || look_at_id(r, pid, &c);
	if (m != NULL)
		m->session = session;
	else if (c != NULL)
		member_new(c, pid, session);
	/* ours until reaped, and only this file reaps */
	if ((left || (c != NULL && c->ending)) && kill(pid, SIGKILL) == 0)
		r->orphans++;
}

/* Move the watched processes that are zombies to ended; what is left of their groups is
 * killed, unless it is a crew's. */
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
		list_add_before(&r->ended, &w->node);
	}
}

static void
forget_member(struct member *m)
{
	if (m == NULL)
		return;
	list_del(&m->node);
	mem_free(m);
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
		if (km_reaper_find_pid(&r->running, si.si_pid) != NULL)
			return false;
		forget_member(km_reaper_find_member(r, si.si_pid));
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

static bool
has_crew(const struct list *watches, const struct km_crew *c)
{
	struct list *it, *tmp;

	list_each (it, tmp, watches)
		if (list_entry(it, struct km_watch, node)->crew == c)
			return true;
	return false;
}

static bool
is_left_of(const struct km_crew *c)
{
	struct list *it, *tmp;

	list_each (it, tmp, &c->r->members)
		if (list_entry(it, struct member, node)->crew == c)
			return true;
	return has_crew(&c->r->running, c) || has_crew(&c->r->ended, c);
}

static void
bury(struct km_crew *c)
{
	km_crew_gone_fn *gone = c->gone;
	void *arg = c->arg;

	list_del(&c->node);
	mem_free(c->id);
	mem_free(c);
	if (gone != NULL)
		gone(arg);
}

/* The crews that have ended and of which nothing is left; gone may make or free others. */
static void
bury_crews(struct km_reaper *r)
{
	struct list *it = r->crews.next;

	while (it != &r->crews && r->later == NULL) {
		struct km_crew *c = list_entry(it, struct km_crew, node);
		bool over = c->ending && !is_left_of(c);

		it = it->next; /* freeing another crew only marks it */
		if (over)
			bury(c);
	}
}

static void on_later(void *arg);

static void
pass(struct km_reaper *r)
{
	look(r);
	r->orphans = 0;
	r->unsure = false;
	km_proc_children(check_child, r);
	if (r->vain_n > 0) {
		r->vain_n--;
		r->unsure = true;
	}
	if (!r->unsure) {
		loop_timer_free(r->later);
		r->later = NULL;
	} else if (r->later == NULL && r->later_ms <= UNSURE_MAX_MS) {
		r->later = loop_timer_new(r->lp, r->later_ms, on_later, r);
		r->later_ms *= 2;
	}
	tell(r);
	if (!reap_others(r))
		loop_task_post(&r->again);
	else
		bury_crews(r);
}

static void
on_later(void *arg)
{
	struct km_reaper *r = arg;

	loop_timer_free(r->later);
	r->later = NULL;
	pass(r);
}

static void
on_again(void *arg)
{
	struct km_reaper *r = arg;

	r->later_ms = UNSURE_MIN_MS;
	pass(r);
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
	list_init(&r->members);
	list_init(&r->crews);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L); /* fails on no kernel since 3.4 */
	r->lp = lp;
	loop_task_init(&r->again, lp, on_again, r);
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
	forget_all(&r->running);
	forget_all(&r->ended);
	while (!list_empty(&r->members))
		forget_member(list_entry(r->members.next, struct member, node));
	while (!list_empty(&r->crews)) {
		struct km_crew *c = list_entry(r->crews.next, struct km_crew, node);

		assert(c->ending);
		bury(c);
	}
	loop_task_cancel(&r->again);
	loop_timer_free(r->later);
	loop_signal_free(r->sigchld);
	mem_free(r);
}
