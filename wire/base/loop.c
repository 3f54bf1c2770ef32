/* wire/base/loop.c - see wire/base/loop.h.
 *
 * libuv frees nothing at once: a closed handle belongs to it until its close
 * callback.  So every registration is its own allocation, released there.
 *
 * Later-calls run in uv_check, which follows the poll for I/O.  While some
 * wait, an idle handle is active, which makes that poll return at once; it is
 * stopped when none is left, so that an idle gateway sleeps.
 */
#include "wire/base/loop.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <uv.h>

#include "wire/base/mem.h"

#define DRAIN_TURNS 1000

struct loop {
	uv_loop_t uv;
	uv_check_t check;         /* runs the tasks; keeps the loop alive */
	uv_idle_t idle;           /* active while tasks wait */
	struct loop_task pending; /* head of the circular list of tasks */
	size_t works;             /* in threads, or their done is due */
	size_t registered;        /* timers, descriptors and signals not freed yet */
};

struct loop_timer {
	uv_timer_t uv; /* first: freed as a uv_handle_t */
	struct loop *lp;
	loop_fn *fn;
	void *arg;
};

struct loop_fd {
	uv_poll_t uv; /* first */
	struct loop *lp;
	unsigned events;
	loop_fd_fn *fn;
	void *arg;
};

struct loop_signal {
	uv_signal_t uv; /* first */
	struct loop *lp;
	loop_fn *fn;
	void *arg;
};

struct work {
	uv_work_t uv; /* first */
	struct loop *lp;
	loop_fn *work, *done;
	void *arg;
};

struct later {
	struct loop_task task; /* first */
	loop_fn *fn;
	void *arg;
};

static void
on_idle(uv_idle_t *h)
{
	(void)h; /* its being active is all */
}

/* Take what is pending now; what these post runs in the next turn. */
static void
on_check(uv_check_t *h)
{
	struct loop *lp = h->data;
	struct loop_task now = {.prev = &now, .next = &now};

	if (lp->pending.next == &lp->pending) {
		(void)uv_idle_stop(&lp->idle); /* all were cancelled */
		return;
	}
	now.next = lp->pending.next;
	now.prev = lp->pending.prev;
	now.next->prev = now.prev->next = &now;
	lp->pending.next = lp->pending.prev = &lp->pending;
	while (now.next != &now) {
		struct loop_task *t = now.next;

		loop_task_cancel(t);
		t->fn(t->arg); /* may cancel others, post anything, free t */
	}
	if (lp->pending.next == &lp->pending)
		(void)uv_idle_stop(&lp->idle);
}

struct loop *
loop_new(void)
{
	struct loop *lp = mem_new(sizeof(*lp));
	int rc = uv_loop_init(&lp->uv);

	assert(rc == 0); /* no epoll descriptor: nothing can run */
	lp->pending.next = lp->pending.prev = &lp->pending;
	(void)uv_check_init(&lp->uv, &lp->check);
	(void)uv_check_start(&lp->check, on_check);
	(void)uv_idle_init(&lp->uv, &lp->idle);
	lp->check.data = lp;
	return lp;
}

void
loop_free(struct loop *lp)
{
	if (lp == NULL)
		return;
	while (lp->works > 0)
		(void)uv_run(&lp->uv, UV_RUN_ONCE);
	for (int i = 0; i < DRAIN_TURNS && lp->pending.next != &lp->pending; i++)
		(void)uv_run(&lp->uv, UV_RUN_NOWAIT);
	assert(lp->pending.next == &lp->pending);
	assert(lp->registered == 0);
	uv_close((uv_handle_t *)&lp->check, NULL);
	uv_close((uv_handle_t *)&lp->idle, NULL);
	(void)uv_run(&lp->uv, UV_RUN_DEFAULT);
	int rc = uv_loop_close(&lp->uv);

	assert(rc == 0); /* a handle of somebody else is left on the loop */
	mem_free(lp);
}

void
loop_run(struct loop *lp)
{
	(void)uv_run(&lp->uv, UV_RUN_DEFAULT);
}

void
loop_stop(struct loop *lp)
{
	uv_stop(&lp->uv);
}

uint64_t
loop_now_ms(const struct loop *lp)
{
	return uv_now(&lp->uv);
}

uint64_t
loop_backoff_ms(uint64_t first_ms, unsigned n, uint64_t max_ms)
{
	uint64_t msec = first_ms;

	while (--n > 0 && msec < max_ms)
		msec *= 2;
	return msec < max_ms ? msec : max_ms;
}

uint64_t
loop_clock_us(void)
{
	return uv_hrtime() / 1000;
}

void *
loop_uv(struct loop *lp)
{
	return &lp->uv;
}

static void
on_close(uv_handle_t *h)
{
	mem_free(h);
}

static void
on_timer(uv_timer_t *h)
{
	struct loop_timer *t = h->data;

	t->fn(t->arg);
}

struct loop_timer *
loop_timer_new(struct loop *lp, uint64_t msec, loop_fn *fn, void *arg)
{
	struct loop_timer *t = mem_new(sizeof(*t));
	uint64_t now = uv_hrtime() / 1000000, turn = uv_now(&lp->uv);

	t->lp = lp;
	t->fn = fn;
	t->arg = arg;
	(void)uv_timer_init(&lp->uv, &t->uv);
	t->uv.data = t;
	/* libuv counts from the start of the turn, which may be long ago. */
	(void)uv_timer_start(&t->uv, on_timer, msec + (now > turn ? now - turn : 0), 0);
	lp->registered++;
	return t;
}

void
loop_timer_free(struct loop_timer *t)
{
	if (t == NULL)
		return;
	t->lp->registered--;
	uv_close((uv_handle_t *)&t->uv, on_close);
}

static void on_poll(uv_poll_t *h, int status, int events);

static void
start_poll(struct loop_fd *w)
{
	int uv_events = 0;

	if ((w->events & LOOP_READ) != 0)
		uv_events |= UV_READABLE;
	if ((w->events & LOOP_WRITE) != 0)
		uv_events |= UV_WRITABLE;
	(void)uv_poll_start(&w->uv, uv_events, on_poll);
}

static void
on_poll(uv_poll_t *h, int status, int events)
{
	struct loop_fd *w = h->data;
	unsigned e = 0;

	if (status < 0) {      /* let its reader or writer meet the error */
		start_poll(w); /* libuv stopped it, but there may be more to read before that */
		w->fn(w->arg, w->events);
		return;
	}
	if ((events & UV_READABLE) != 0)
		e |= LOOP_READ;
	if ((events & UV_WRITABLE) != 0)
		e |= LOOP_WRITE;
	if (e != 0)
		w->fn(w->arg, e);
}

struct loop_fd *
loop_fd_new(struct loop *lp, int fd, unsigned events, loop_fd_fn *fn, void *arg)
{
	struct loop_fd *w = mem_new(sizeof(*w));
	int rc = uv_poll_init(&lp->uv, &w->uv, fd);

	if (rc < 0) {
		mem_free(w);
		errno = -rc;
		return NULL;
	}
	w->lp = lp;
	w->events = events;
	w->fn = fn;
	w->arg = arg;
	w->uv.data = w;
	start_poll(w);
	lp->registered++;
	return w;
}

void
loop_fd_free(struct loop_fd *w)
{
	if (w == NULL)
		return;
	w->lp->registered--;
	uv_close((uv_handle_t *)&w->uv, on_close);
}

static void
on_signal(uv_signal_t *h, int signum)
{
	struct loop_signal *s = h->data;

	(void)signum;
	s->fn(s->arg);
}

struct loop_signal *
loop_signal_new(struct loop *lp, int signum, loop_fn *fn, void *arg)
{
	struct loop_signal *s = mem_new(sizeof(*s));
	int rc = uv_signal_init(&lp->uv, &s->uv);

	s->lp = lp;
	s->fn = fn;
	s->arg = arg;
	s->uv.data = s;
	if (rc == 0)
		rc = uv_signal_start(&s->uv, on_signal, signum);
	assert(rc == 0); /* SIGKILL, SIGSTOP, or no signal at all */
	lp->registered++;
	return s;
}

void
loop_signal_free(struct loop_signal *s)
{
	if (s == NULL)
		return;
	s->lp->registered--;
	uv_close((uv_handle_t *)&s->uv, on_close);
}

static void
on_later(void *arg)
{
	struct later *l = arg;
	loop_fn *fn = l->fn;
	void *fn_arg = l->arg;

	mem_free(l);
	fn(fn_arg);
}

void
loop_later(struct loop *lp, loop_fn *fn, void *arg)
{
	struct later *l = mem_new(sizeof(*l));

	l->fn = fn;
	l->arg = arg;
	loop_task_init(&l->task, lp, on_later, l);
	loop_task_post(&l->task);
}

static void
in_thread(uv_work_t *uv)
{
	struct work *w = (struct work *)uv;

	w->work(w->arg);
}

static void
after_work(uv_work_t *uv, int status)
{
	struct work *w = (struct work *)uv;

	assert(status == 0); /* nobody cancels */
	w->lp->works--;
	w->done(w->arg);
	mem_free(w);
}

void
loop_work(struct loop *lp, loop_fn *work, loop_fn *done, void *arg)
{
	struct work *w = mem_new(sizeof(*w));
	int rc;

	w->lp = lp;
	w->work = work;
	w->done = done;
	w->arg = arg;
	lp->works++;
	rc = uv_queue_work(&lp->uv, &w->uv, in_thread, after_work);
	assert(rc == 0); /* only without a function */
}

void
loop_task_init(struct loop_task *t, struct loop *lp, loop_fn *fn, void *arg)
{
	*t = (struct loop_task){.lp = lp, .fn = fn, .arg = arg};
}

void
loop_task_post(struct loop_task *t)
{
	struct loop_task *head = &t->lp->pending;

	if (t->next != NULL)
		return;
	if (head->next == head)
		(void)uv_idle_start(&t->lp->idle, on_idle);
	t->prev = head->prev;
	t->next = head;
	head->prev->next = t;
	head->prev = t;
}

void
loop_task_cancel(struct loop_task *t)
{
	if (t->next == NULL)
		return;
	t->prev->next = t->next;
	t->next->prev = t->prev;
	t->prev = t->next = NULL;
}

bool
loop_task_pending(const struct loop_task *t)
{
	return t->next != NULL;
}
