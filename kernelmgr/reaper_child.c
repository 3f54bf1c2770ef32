/* kernelmgr/reaper_child.c - see kernelmgr/reaper.h: whose the children are that nobody watches.
 *
 * A child is looked at once, which takes two files of /proc, and what was found holds until it
 * is reaped: a process that changes its environment or its session later stays whose it was.
 * Two things are not settled by one look:
 *
 * - A child without environment may be between two programs (execve(2)).  It is looked at again
 *   at doubling intervals of its own, and is nobody's in the end.
 *
 * - A kernel that a zygote forks is our child before its pid is told (km_watch_set_pid()), and
 *   is noted like any other.  Its environment names the expected kernel, never the zygote: the
 *   process between them writes the id before it forks the kernel (zygote.py).  But its session
 *   may still be the zygote's, so where a session leads to a kernel's process the environment
 *   is asked first.  Should an owner be wrong all the same, as where an environment may not be
 *   read, then nothing comes of it before that owner ends; and what was noted while a kernel
 *   was expected that still is, is then looked at again and not killed unseen.
 *   km_watch_set_pid() takes a child over whosever it was noted to be: only a crew's cannot be
 *   a kernel, for no zygote is in a crew.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "kernelmgr/proc.h"
#include "kernelmgr/reaper_impl.h"
#include "wire/base/mem.h"

#define ID_VAR "KERNELBRIDGE_KERNEL_ID"

/* A session that children with an owner are in, or were when they were looked at. */
struct session {
	struct table_node by_number;
	char key[PID_KEY];
	struct list children;
};

static void
set_key(char key[PID_KEY], pid_t pid)
{
	(void)snprintf(key, PID_KEY, "%d", (int)pid);
}

static struct km_watch *
find_watch(const struct km_reaper *r, const char *key)
{
	struct table_node *node = table_find(&r->watch_pids, key);

	return node != NULL ? list_entry(node, struct km_watch, by_pid) : NULL;
}

static struct child *
find_child(const struct km_reaper *r, const char *key)
{
	struct table_node *node = table_find(&r->child_pids, key);

	return node != NULL ? list_entry(node, struct child, by_pid) : NULL;
}

static struct session *
find_session(const struct km_reaper *r, const char *key)
{
	struct table_node *node = table_find(&r->sessions, key);

	return node != NULL ? list_entry(node, struct session, by_number) : NULL;
}

struct km_watch *
km_reaper_find_watch(const struct km_reaper *r, pid_t pid)
{
	char key[PID_KEY];

	set_key(key, pid);
	return find_watch(r, key);
}

struct child *
km_reaper_find_child(const struct km_reaper *r, pid_t pid)
{
	char key[PID_KEY];

	set_key(key, pid);
	return find_child(r, key);
}

/* --- sessions ------------------------------------------------------------------------------- */

static void
leave_session(struct km_reaper *r, struct child *c)
{
	if (list_empty(&c->in_session))
		return;
	list_del(&c->in_session);
	if (list_empty(&c->session->children)) {
		table_del(&r->sessions, &c->session->by_number);
		mem_free(c->session);
	}
	c->session = NULL;
}

static void
join_session(struct km_reaper *r, struct child *c, pid_t number)
{
	struct session *s;
	char key[PID_KEY];

	set_key(key, number);
	s = find_session(r, key);
	if (s == NULL) {
		s = mem_new(sizeof(*s));
		set_key(s->key, number);
		list_init(&s->children);
		table_add(&r->sessions, &s->by_number, s->key);
	}
	c->session = s;
	list_add_before(&s->children, &c->in_session);
}

/* --- whose a child is ----------------------------------------------------------------------- */

static bool
is_nobodys(const struct whose *of)
{
	return of->crew == NULL && of->kernel == NULL && !of->left;
}

static struct whose
of_known(const struct child *c)
{
	struct whose left = {.left = true};

	return c->of.kernel != NULL && c->of.kernel->over ? left : c->of;
}

/* By the one that leads it, or another that is in it: a session's number stays its own while a
 * process that is not reaped is in it.  A child may have left its session since it was noted. */
static struct whose
of_session(struct km_reaper *r, pid_t number)
{
	struct whose of = {0};
	struct km_watch *w;
	struct child *c;
	struct session *s;
	char key[PID_KEY];

	if (number <= 0 || number == getsid(0))
		return of;
	set_key(key, number);
	w = find_watch(r, key);
	if (w != NULL) {
		of.crew = w->crew;
		of.kernel = w->crew == NULL && !w->over ? w : NULL;
		of.left = w->crew == NULL && w->over;
		return of;
	}
	c = find_child(r, key);
	if (c != NULL && !is_nobodys(&c->of))
		return of_known(c);
	while ((s = find_session(r, key)) != NULL) {
		c = list_entry(s->children.next, struct child, in_session);
		if (getsid(c->pid) == number) /* zombies as well */
			return of_known(c);
		leave_session(r, c);
	}
	return of;
}

static struct whose
of_id(const struct km_reaper *r, const char *id)
{
	struct whose of = {0};
	struct table_node *node = table_find(&r->crew_ids, id);

	if (node != NULL)
		of.crew = list_entry(node, struct km_crew, by_id);
	else if ((node = table_find(&r->watch_ids, id)) != NULL)
		of.kernel = list_entry(node, struct km_watch, by_id);
	else
		of.left = true;
	return of;
}

/* Whose pid is, in session number.  *ret_unsure tells if that may be another's soon. */
static struct whose
of_child(struct km_reaper *r, pid_t pid, pid_t number, bool *ret_unsure)
{
	struct whose of = of_session(r, number);
	char *id = NULL;
	int rc;

	*ret_unsure = false;
	if (of.crew != NULL)
		return of;
	rc = km_proc_var(pid, ID_VAR, &id);
	if (rc == 0)
		of = of_id(r, id);
	*ret_unsure = rc == -EAGAIN && is_nobodys(&of);
	mem_free(id);
	return of;
}

/* --- what is noted -------------------------------------------------------------------------- */

static void
set_sure(struct km_reaper *r, struct child *c)
{
	r->unsure_n -= !list_empty(&c->unsure);
	list_del(&c->unsure);
}

static void
set_unsure(struct km_reaper *r, struct child *c)
{
	unsigned n = c->looks_n++;

	if (n == UNSURE_LOOKS)
		return; /* nobody's then */
	c->look_ms = loop_now_ms(r->lp) + UNSURE_MS(n);
	list_add_before(&r->unsure[n], &c->unsure);
	r->unsure_n++;
}

static void
disown(struct km_reaper *r, struct child *c)
{
	if (c->of.crew != NULL) {
		c->of.crew->n--;
		r->members_n--;
	} else if (c->killed) {
		r->killed_n--;
	}
	list_del(&c->node);
}

static void
set_owner(struct km_reaper *r, struct child *c, struct whose of)
{
	struct list *children = &r->strays;

	disown(r, c);
	c->of = of;
	if (of.crew != NULL) {
		children = &of.crew->children;
		of.crew->n++;
		r->members_n++;
	} else if (of.kernel != NULL) {
		children = &of.kernel->children;
	}
	list_add_before(children, &c->node);
}

/* Find out whose it is, in session number; what was known of it does not count. */
static void
look_at(struct km_reaper *r, struct child *c, pid_t number)
{
	struct whose of = {0};
	bool unsure;

	set_sure(r, c);
	leave_session(r, c);
	set_owner(r, c, of);
	of = of_child(r, c->pid, number, &unsure);
	set_owner(r, c, of);
	c->asked_n = r->asked_n;
	if (!is_nobodys(&of))
		join_session(r, c, number);
	if (unsure)
		set_unsure(r, c);
}

static struct child *
child_new(struct km_reaper *r, pid_t pid)
{
	struct child *c = mem_new(sizeof(*c));

	list_init(&c->unsure);
	list_init(&c->in_session);
	list_add_before(&r->strays, &c->node);
	c->pid = pid;
	set_key(c->pid_key, pid);
	table_add(&r->child_pids, &c->by_pid, c->pid_key);
	return c;
}

void
km_reaper_forget_child(struct km_reaper *r, struct child *c)
{
	if (c == NULL)
		return;
	set_sure(r, c);
	leave_session(r, c);
	disown(r, c);
	table_del(&r->child_pids, &c->by_pid);
	mem_free(c);
}

void
km_reaper_forget_children(struct km_reaper *r, struct list *children)
{
	while (!list_empty(children))
		km_reaper_forget_child(r, list_entry(children->next, struct child, node));
}

/* --- looks ---------------------------------------------------------------------------------- */

void
km_reaper_kill_if_left(struct km_reaper *r, struct child *c)
{
	if (c->killed || !(c->of.left || (c->of.crew != NULL && c->of.crew->ending)))
		return;
	c->killed = kill(c->pid, SIGKILL) == 0; /* another user's may become ours */
	r->killed_n += c->killed && c->of.crew == NULL;
}

void
km_reaper_check_child(void *reaper, pid_t pid)
{
	struct km_reaper *r = reaper;
	struct child *c;
	pid_t parent, session;
	char key[PID_KEY];

	set_key(key, pid);
	if (find_watch(r, key) != NULL)
		return;
	c = find_child(r, key);
	if (c == NULL) {
		if (!km_proc_stat(pid, &parent, &session))
			return;
		c = child_new(r, pid);
		look_at(r, c, session);
	}
	km_reaper_kill_if_left(r, c);
}

void
km_reaper_look_again(struct km_reaper *r)
{
	uint64_t now_ms = loop_now_ms(r->lp);

	for (unsigned n = 0; n < UNSURE_LOOKS; n++) {
		while (!list_empty(&r->unsure[n])) {
			struct child *c = list_entry(r->unsure[n].next, struct child, unsure);
			pid_t parent, session;

			if (c->look_ms > now_ms)
				break;
			set_sure(r, c);
			if (km_proc_stat(c->pid, &parent, &session))
				look_at(r, c, session);
			km_reaper_kill_if_left(r, c);
		}
	}
}

/* True if c may be a kernel that was expected when c was looked at, and still is. */
static bool
may_be_expected(const struct km_reaper *r, const struct child *c)
{
	return !list_empty(&r->expected) &&
	       list_entry(r->expected.next, struct km_watch, node)->asked_n <= c->asked_n;
}

void
km_reaper_end_children(struct km_watch *w)
{
	struct km_reaper *r = w->r;

	while (!list_empty(&w->children)) {
		struct child *c = list_entry(w->children.next, struct child, node);
		pid_t parent, session;

		if (may_be_expected(r, c) && km_proc_stat(c->pid, &parent, &session))
			look_at(r, c, session);
		else
			set_owner(r, c, (struct whose){.left = true});
		km_reaper_kill_if_left(r, c);
	}
}
