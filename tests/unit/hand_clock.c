/* tests/unit/hand_clock.c - see tests/unit/hand_clock.h. */
#include "tests/unit/hand_clock.h"

#include <stdbool.h>
#include <stddef.h>

#include "tests/unit/gw_rig.h"
#include "wire/base/list.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

struct loop_timer {
	struct list node; /* in timers; empty once it fired */
	uint64_t due_ms;
	loop_fn *fn;
	void *arg;
};

static struct list timers = {&timers, &timers};
static uint64_t now_ms = 1;

/* The linker wants these names.  NOLINTBEGIN(bugprone-reserved-identifier) */
struct loop_timer *__wrap_loop_timer_new(struct loop *lp, uint64_t msec, loop_fn *fn,
                                         void *arg);
void __wrap_loop_timer_free(struct loop_timer *t);
uint64_t __wrap_loop_now_ms(const struct loop *lp);
void __wrap_loop_work(struct loop *lp, loop_fn *work, loop_fn *done, void *arg);
/* NOLINTEND(bugprone-reserved-identifier) */

struct loop_timer *
__wrap_loop_timer_new(struct loop *lp, uint64_t msec, loop_fn *fn, void *arg)
{
	struct loop_timer *t = mem_new(sizeof(*t));

	(void)lp;
	t->due_ms = now_ms + msec;
	t->fn = fn;
	t->arg = arg;
	list_add_before(&timers, &t->node);
	return t;
}

void
__wrap_loop_timer_free(struct loop_timer *t)
{
	if (t != NULL)
		list_del(&t->node);
	mem_free(t);
}

uint64_t
__wrap_loop_now_ms(const struct loop *lp)
{
	(void)lp;
	return now_ms;
}

void
__wrap_loop_work(struct loop *lp, loop_fn *work, loop_fn *done, void *arg)
{
	work(arg);
	loop_later(lp, done, arg);
}

static struct loop_timer *
next_until(uint64_t end_ms)
{
	struct loop_timer *next = NULL;
	struct list *it;
	struct list *tmp;

	list_each (it, tmp, &timers) {
		struct loop_timer *t = list_entry(it, struct loop_timer, node);

		if (t->due_ms <= end_ms && (next == NULL || t->due_ms < next->due_ms))
			next = t;
	}
	return next;
}

void
hand_clock_pass(struct rig *r, uint64_t msec)
{
	uint64_t end_ms = now_ms + msec;
	struct loop_timer *t;

	rig_settle(r);
	while ((t = next_until(end_ms)) != NULL) {
		if (t->due_ms > now_ms)
			now_ms = t->due_ms;
		list_del(&t->node);
		t->fn(t->arg);
		rig_settle(r);
	}
	now_ms = end_ms;
}
