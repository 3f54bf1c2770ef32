/* wire/base/loop.h - one thread, one loop: descriptors, timers, signals, later-calls.
 *
 * A thin contract over libuv.  Every callback runs on the loop thread, from
 * loop_run() only: never from inside the function that registered it.  After a
 * *_free() (or loop_task_cancel()) the callback of that registration is not
 * called again, even if its event is already due.  Every *_free() takes NULL.
 */
#ifndef WIRE_BASE_LOOP_H
#define WIRE_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct loop_fd;
struct loop_signal;
struct loop_timer;

typedef void loop_fn(void *arg);
typedef void loop_fd_fn(void *arg, unsigned events);

#define LOOP_READ  1U
#define LOOP_WRITE 2U

/* Make a loop.  Never returns NULL.  loop_free() closes what its users have
 * freed before; it asserts that no registration is left. */
struct loop *loop_new(void);
void loop_free(struct loop *lp);

/* Run until loop_stop(), which may be called from any callback. */
void loop_run(struct loop *lp);
void loop_stop(struct loop *lp);

/* Monotonic milliseconds; loop_now_ms is read once per turn, loop_clock_us now. */
uint64_t loop_now_ms(const struct loop *lp);
uint64_t loop_clock_us(void);

/* The pause before a try after n failures (at least 1): first_ms, then twice as much each time, at
 * most max_ms. */
uint64_t loop_backoff_ms(uint64_t first_ms, unsigned n, uint64_t max_ms);

/* The uv_loop_t, for a library that brings its own libuv integration. */
void *loop_uv(struct loop *lp);

/* Call fn(arg) once, msec from now.  The timer is owned by the caller and
 * must be freed by it, also after it fired.  Never returns NULL. */
struct loop_timer *loop_timer_new(struct loop *lp, uint64_t msec, loop_fn *fn, void *arg);
void loop_timer_free(struct loop_timer *t);

/* Call fn(arg, events) whenever fd is readable or writable as asked (level
 * triggered).  fd is borrowed and must stay open until loop_fd_free().
 * Returns NULL only when the system cannot watch fd (errno tells). */
struct loop_fd *loop_fd_new(struct loop *lp, int fd, unsigned events, loop_fd_fn *fn,
                            void *arg);
void loop_fd_free(struct loop_fd *w);

/* Call fn(arg) on the loop for each arrival of signum. */
struct loop_signal *loop_signal_new(struct loop *lp, int signum, loop_fn *fn, void *arg);
void loop_signal_free(struct loop_signal *s);

/* Call fn(arg) once, at the end of this turn of the loop: the place to free
 * an object that may still be on the call stack.  Cannot be cancelled. */
void loop_later(struct loop *lp, loop_fn *fn, void *arg);

/* Call work(arg) in a thread of a small pool, for what would block this one, then done(arg) once
 * on the loop.  work touches nothing that the loop thread does, and does not log.  Cannot be
 * cancelled: an owner that goes before done leaves arg to it.  loop_free() waits for it. */
void loop_work(struct loop *lp, loop_fn *work, loop_fn *done, void *arg);

/* An embedded, cancellable later-call: posting it while it is pending is fine
 * and still calls fn(arg) once.  fn may post it again (it then runs in the
 * next turn, after I/O, so that it starves nobody). */
struct loop_task {
	struct loop *lp;
	loop_fn *fn;
	void *arg;
	struct loop_task *prev, *next; /* pending list of the loop, or NULL */
};

void loop_task_init(struct loop_task *t, struct loop *lp, loop_fn *fn, void *arg);
void loop_task_post(struct loop_task *t);
void loop_task_cancel(struct loop_task *t);
bool loop_task_pending(const struct loop_task *t);

#endif /* WIRE_BASE_LOOP_H */
