/* kernelmgr/process.c - see kernelmgr/process.h.
 *
 * Something in the background may hold the pipes for ever, so their end is not waited for: when
 * the process is reaped, what the pipes hold then is all that it can have printed.
 */
#include "kernelmgr/process.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernelmgr/cmdline.h"
#include "kernelmgr/env.h"
#include "kernelmgr/launcher.h"
#include "kernelmgr/reaper.h"
#include "kernelmgr/spawn.h"
#include "wire/base/err.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define CHUNK        65536 /* read at once: what a pipe holds */
#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

struct source {
	struct km_process *p;
	int stream;
	int fd;                /* -1: closed, or not opened */
	struct loop_fd *watch; /* NULL while paused, and when the process is over */
	size_t left;           /* when it is over: bytes still to be delivered */
};

struct km_process {
	struct loop *lp;      /* borrowed */
	struct km_crew *crew; /* borrowed */
	struct km_watch *watch;
	pid_t pid; /* also its process group; 0 once reaped */
	struct source sources[2];
	struct loop_task rest; /* it is over: deliver what is left */
	int how;
	bool paused;
	bool freed; /* by its owner, from inside output() perhaps */
	const struct km_process_ops *ops;
	void *arg;
};

static void
close_source(struct source *s)
{
	loop_fd_free(s->watch);
	s->watch = NULL;
	if (s->fd >= 0)
		(void)close(s->fd);
	s->fd = -1;
	s->left = 0;
}

static void
unwatch(struct km_process *p)
{
	for (size_t i = 0; i < 2; i++) {
		loop_fd_free(p->sources[i].watch);
		p->sources[i].watch = NULL;
	}
}

/* Read up to max bytes and hand them on.  The process may be freed afterwards. */
static void
take(struct source *s, size_t max)
{
	struct km_process *p = s->p;
	char chunk[CHUNK];
	ssize_t n = read(s->fd, chunk, max < sizeof(chunk) ? max : sizeof(chunk));

	if (n > 0) {
		s->left -= s->left < (size_t)n ? s->left : (size_t)n;
		if (p->ops->output(p->arg, s->stream, chunk, (size_t)n) == -EAGAIN &&
		    !p->freed) {
			p->paused = true;
			unwatch(p);
		}
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		close_source(s);
	} else if (errno == EAGAIN) {
		s->left = 0; /* somebody else read it */
	}
}

static void
on_readable(void *arg, unsigned events)
{
	(void)events;
	take(arg, CHUNK); /* once: a flood waits for the next turn */
}

static void
watch(struct km_process *p)
{
	for (size_t i = 0; i < 2; i++) {
		struct source *s = &p->sources[i];

		if (s->fd < 0 || s->watch != NULL)
			continue;
		s->watch = loop_fd_new(p->lp, s->fd, LOOP_READ, on_readable, s);
		if (s->watch == NULL) /* out of memory there: what it prints cannot be had */
			km_process_signal(p, SIGKILL);
	}
}

/* What the background goes on to print is read by the crew. */
static void
leave_source(struct source *s, struct km_crew *crew)
{
	char chunk[CHUNK];
	ssize_t n = s->fd >= 0 ? read(s->fd, chunk, sizeof(chunk)) : 0;

	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) {
		km_crew_drain(crew, s->fd);
		s->fd = -1;
	}
	close_source(s);
}

static void
finish(struct km_process *p)
{
	for (size_t i = 0; i < 2; i++)
		leave_source(&p->sources[i], p->crew);
	p->ops->ended(p->arg, p->how); /* may free p */
}

static void
on_rest(void *arg)
{
	struct km_process *p = arg;

	for (size_t i = 0; i < 2 && !p->paused && !p->freed; i++)
		if (p->sources[i].left > 0)
			take(&p->sources[i], p->sources[i].left);
	if (p->paused || p->freed)
		return;
	if (p->sources[0].left > 0 || p->sources[1].left > 0)
		loop_task_post(&p->rest);
	else
		finish(p);
}

static void
on_reaped(void *arg, int status)
{
	struct km_process *p = arg;

	p->pid = 0;
	p->how = -1;
	if (WIFEXITED(status))
		p->how = WEXITSTATUS(status);
	else if (WIFSIGNALED(status))
		p->how = KM_SIGNALLED + WTERMSIG(status);
	unwatch(p);
	for (size_t i = 0; i < 2; i++) {
		int n = 0;

		if (p->sources[i].fd >= 0 && ioctl(p->sources[i].fd, FIONREAD, &n) == 0)
			p->sources[i].left = (size_t)n;
	}
	if (!p->paused)
		loop_task_post(&p->rest);
}

/* --- the start ------------------------------------------------------------------------------ */

static int
open_pipes(struct km_process *p, bool merged, int ret_out[2], struct err *err)
{
	int fds[2], rc = 0;

	for (size_t i = 0; i < (merged ? 1 : 2) && rc == 0; i++) {
		rc = km_spawn_pipe(fds, err);
		if (rc == 0) {
			p->sources[i].fd = fds[0];
			ret_out[i] = fds[1];
		}
	}
	return rc;
}

/* Returns what km_spawn() does, and as it. */
static int
spawn(const struct km_process_start *what, int out, int err_fd, pid_t *ret, struct err *err)
{
	const char *path = km_env_find(what->env, "PATH");
	char *program =
	    km_cmdline_program(what->argv[0], "", "", path != NULL ? path : DEFAULT_PATH);
	int rc;

	if (program == NULL)
		return err_set(err, -ENOENT, "program '%.80s' is not there", what->argv[0]);
	km_env_set(what->env, "KERNELBRIDGE_KERNEL_ID", km_crew_id(what->crew));
	const struct km_spawn sp = {
	    .program = program,
	    .argv = (char *const *)(uintptr_t)what->argv, /* exec changes none */
	    .env = km_env_list(what->env),
	    .cwd = what->cwd,
	    .out = out,
	    .err = err_fd,
	};
	rc = km_spawn(&sp, ret, err);
	mem_free(program);
	return rc;
}

int
km_process_new(struct loop *lp, const struct km_process_start *what,
               const struct km_process_ops *ops, void *arg, struct km_process **ret,
               struct err *err)
{
	struct km_process *p = mem_new(sizeof(*p));
	int out[2] = {-1, -1}, rc;

	p->lp = lp;
	p->crew = what->crew;
	p->ops = ops;
	p->arg = arg;
	p->sources[0] = (struct source){.p = p, .stream = 1, .fd = -1};
	p->sources[1] = (struct source){.p = p, .stream = 2, .fd = -1};
	loop_task_init(&p->rest, lp, on_rest, p);
	rc = open_pipes(p, what->merged, out, err);
	if (rc == 0)
		rc = spawn(what, out[0], what->merged ? out[0] : out[1], &p->pid, err);
	for (size_t i = 0; i < 2; i++)
		if (out[i] >= 0)
			(void)close(out[i]);
	if (rc != 0) {
		km_process_free(p);
		return rc;
	}
	p->watch = km_crew_watch(what->crew, p->pid, on_reaped, p);
	watch(p);
	*ret = p;
	return 0;
}

/* --- its life ------------------------------------------------------------------------------- */

void
km_process_resume(struct km_process *p)
{
	if (!p->paused)
		return;
	p->paused = false;
	if (p->pid != 0)
		watch(p);
	else
		loop_task_post(&p->rest);
}

void
km_process_signal(struct km_process *p, int signum)
{
	if (p->pid != 0)
		(void)killpg(p->pid, signum);
}

pid_t
km_process_pid(const struct km_process *p)
{
	return p->pid;
}

void
km_process_free(struct km_process *p)
{
	if (p == NULL)
		return;
	km_process_signal(p, SIGKILL);
	km_watch_free(p->watch); /* the reaper does the rest */
	loop_task_cancel(&p->rest);
	close_source(&p->sources[0]);
	close_source(&p->sources[1]);
	p->freed = true;
	loop_later(p->lp, mem_free, p); /* output() may be on the stack */
}
