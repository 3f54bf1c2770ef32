/* kernelmgr/reaper.c - see kernelmgr/reaper.h.
 *
 * A pid is safe to use as long as its process is not reaped: so a process that ended is
 * first only looked at (WNOWAIT), its group and session are killed, the orphans are looked
 * for, and only then it is reaped, just before its owner is told.  Killed orphans are the
 * gateway's children too: their end is the next SIGCHLD, which looks for what they leave.
 */
#include "kernelmgr/reaper.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/base/buf.h"
#include "wire/base/list.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define ID_VAR        "KERNELBRIDGE_KERNEL_ID="
#define PROC_FILE_MAX 4194304 /* a larger environment is not read to its end */
#define PROC_PATH_MAX 64
#define PROC_STAT_MAX 1024
#define UNSURE_MIN_MS 5
#define UNSURE_MAX_MS 1280

struct km_reaper {
	struct loop *lp; /* borrowed */
	struct loop_signal *sigchld;
	struct loop_task again;   /* more to reap than one pass took */
	struct loop_timer *later; /* pending: look at the unsure ones again */
	uint64_t later_ms;        /* its next interval */
	bool unsure;              /* a child had no environment in the last pass */
	struct list running;      /* km_watch */
	struct list ended;        /* km_watch: zombies, owner not told yet */
	unsigned orphans;         /* killed in the last pass, not reaped yet */
};

struct km_watch {
	struct list node;
	struct km_reaper *r;
	pid_t pid;
	char *kernel_id;
	km_reaped_fn *fn; /* NULL: forgotten */
	void *arg;
};

static struct km_watch *
find_pid(const struct list *l, pid_t pid)
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
is_running_id(const struct km_reaper *r, const char *kernel_id)
{
	struct list *it, *tmp;

	list_each (it, tmp, &r->running) {
		struct km_watch *w = list_entry(it, struct km_watch, node);

		if (strcmp(w->kernel_id, kernel_id) == 0)
			return true;
	}
	return false;
}

/* Read /proc/PID/NAME up to b's ceiling.  Returns false when there is no such file. */
static bool
read_proc(pid_t pid, const char *name, struct buf *b)
{
	char path[PROC_PATH_MAX], chunk[4096];
	ssize_t n = 1;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (n > 0) {
		n = read(fd, chunk, sizeof(chunk));
		if (n > 0 && buf_append(b, chunk, (size_t)n) != 0)
			break;
	}
	(void)close(fd);
	return true;
}

/* Parent and session of pid.  Returns false when it is gone, or a zombie. */
static bool
read_stat(pid_t pid, pid_t *ret_parent, pid_t *ret_session)
{
	struct buf b;
	const char *after; /* the command's name may hold anything, also ')' */
	int parent, session;
	char state;
	bool ok;

	buf_init(&b, PROC_STAT_MAX);
	(void)read_proc(pid, "stat", &b);
	after = b.len > 0 ? strrchr(b.data, ')') : NULL;
	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
	ok = after != NULL && sscanf(after, ") %c %d %*d %d", &state, &parent, &session) == 3 &&
	     strchr("ZX", state) == NULL;
	if (ok) {
		*ret_parent = parent;
		*ret_session = session;
	}
	buf_fini(&b);
	return ok;
}

/* True if pid's environment names a kernel that does not run.  Where it has none, it may be
 * between two programs (execve(2)): then it is looked at again. */
static bool
has_ended_id(struct km_reaper *r, pid_t pid)
{
	struct buf b;
	const char *id = NULL;

	buf_init(&b, PROC_FILE_MAX);
	if (read_proc(pid, "environ", &b) && b.len == 0)
		r->unsure = true;
	for (size_t at = 0; at < b.len && id == NULL; at += strlen(b.data + at) + 1)
		if (strncmp(b.data + at, ID_VAR, sizeof(ID_VAR) - 1) == 0)
			id = b.data + at + sizeof(ID_VAR) - 1;
	id = id != NULL && !is_running_id(r, id) ? id : NULL;
	buf_fini(&b);
	return id != NULL;
}

/* Kill child pid if it is what a kernel that has ended left behind. */
static void
check_child(struct km_reaper *r, pid_t pid, pid_t session)
{
	if (find_pid(&r->running, pid) != NULL || find_pid(&r->ended, pid) != NULL)
		return;
	if (find_pid(&r->ended, session) == NULL && !has_ended_id(r, pid))
		return;
	/* ours until reaped, and only this file reaps */
	if (kill(pid, SIGKILL) == 0)
		r->orphans++;
}

static pid_t
parse_pid(const char *s)
{
	char *end;
	long n = strtol(s, &end, 10);

	return end != s && n > 0 && n <= INT32_MAX ? (pid_t)n : 0;
}

/* Children of one thread of ours.  Returns false where the system has no such list. */
static bool
sweep_thread(struct km_reaper *r, const char *tid)
{
	char name[PROC_PATH_MAX];
	struct buf b;
	bool has;

	(void)snprintf(name, sizeof(name), "task/%.20s/children", tid);
	buf_init(&b, PROC_FILE_MAX);
	has = read_proc(getpid(), name, &b);
	for (size_t at = 0; at < b.len; at += strcspn(b.data + at, " ") + 1) {
		pid_t pid = parse_pid(b.data + at), parent, session;

		if (pid > 0 && find_pid(&r->running, pid) == NULL &&
		    read_stat(pid, &parent, &session)) /* most are kernels: no file for them */
			check_child(r, pid, session);
	}
	buf_fini(&b);
	return has;
}

static bool
sweep_children(struct km_reaper *r)
{
	DIR *d = opendir("/proc/self/task");
	bool has = d != NULL;
	const struct dirent *e;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread, one DIR */
	while (has && (e = readdir(d)) != NULL)
		if (parse_pid(e->d_name) > 0)
			has = sweep_thread(r, e->d_name);
	if (d != NULL)
		(void)closedir(d);
	return has;
}

/* Where /proc has no lists of children (CONFIG_PROC_CHILDREN): all processes. */
static void
sweep_all(struct km_reaper *r)
{
	DIR *d = opendir("/proc");
	const struct dirent *e;
	pid_t pid, parent, session;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread, one DIR */
	while (d != NULL && (e = readdir(d)) != NULL) {
		pid = parse_pid(e->d_name);
		if (pid > 0 && read_stat(pid, &parent, &session) && parent == getpid())
			check_child(r, pid, session);
	}
	if (d != NULL)
		(void)closedir(d);
}

/* Move the watched processes that are zombies to ended; what is left of their groups is
 * killed. */
static void
look(struct km_reaper *r)
{
	struct list *it, *tmp;

	list_each (it, tmp, &r->running) {
		struct km_watch *w = list_entry(it, struct km_watch, node);
		siginfo_t si = {0};

		if (waitid(P_PID, (id_t)w->pid, &si, WEXITED | WNOHANG | WNOWAIT) != 0)
			si.si_pid = -1; /* gone: its pid may be another's by now */
		if (si.si_pid == 0)
			continue;
		if (si.si_pid > 0)
			(void)killpg(w->pid, SIGKILL);
		list_del(&w->node);
		list_add_before(&r->ended, &w->node);
	}
}

/* Reap zombies nobody watches.  Returns false when a watched one is in the way. */
static bool
reap_others(struct km_reaper *r)
{
	for (;;) {
		siginfo_t si = {0};

		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) != 0 || si.si_pid == 0)
			return true;
		if (find_pid(&r->running, si.si_pid) != NULL)
			return false;
		(void)waitpid(si.si_pid, NULL, WNOHANG);
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
		int status = 0;

		(void)waitpid(w->pid, &status, WNOHANG);
		list_del(&w->node);
		w->pid = 0;
		if (fn != NULL) {
			fn(arg, status);
		} else {
			mem_free(w->kernel_id);
			mem_free(w);
		}
	}
}

static void on_later(void *arg);

static void
pass(struct km_reaper *r)
{
	look(r);
	r->orphans = 0;
	r->unsure = false;
	if (!sweep_children(r))
		sweep_all(r);
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
on_sigchld(void *arg)
{
	struct km_reaper *r = arg;

	r->later_ms = UNSURE_MIN_MS;
	pass(r);
}

struct km_reaper *
km_reaper_new(struct loop *lp)
{
	struct km_reaper *r = mem_new(sizeof(*r));

	list_init(&r->running);
	list_init(&r->ended);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L); /* fails on no kernel since 3.4 */
	r->lp = lp;
	loop_task_init(&r->again, lp, on_sigchld, r);
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
	forget_all(&r->running);
	forget_all(&r->ended);
	loop_task_cancel(&r->again);
	loop_timer_free(r->later);
	loop_signal_free(r->sigchld);
	mem_free(r);
}

struct km_watch *
km_reaper_watch(struct km_reaper *r, pid_t pid, const char *kernel_id, km_reaped_fn *fn,
                void *arg)
{
	struct km_watch *w = mem_new(sizeof(*w));

	*w = (struct km_watch){.r = r, .pid = pid, .fn = fn, .arg = arg};
	w->kernel_id = mem_strdup(kernel_id);
	list_add_before(&r->running, &w->node);
	return w;
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
	mem_free(w->kernel_id);
	mem_free(w);
}

unsigned
km_reaper_pending(const struct km_reaper *r)
{
	struct list *it, *tmp;
	unsigned n = r->orphans + (r->later != NULL);

	list_each (it, tmp, &r->running)
		n++;
	list_each (it, tmp, &r->ended)
		n++;
	return n;
}
