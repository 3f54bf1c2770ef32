/* gateway/exec_feed.c - see gateway/exec_feed.h. */
#include "gateway/exec_feed.h"

#include <errno.h>
#include <stdbool.h>

#include "gateway/core.h"
#include "gateway/exec.h"
#include "gateway/exec_cut.h"
#include "gateway/metrics.h"
#include "gateway/sink.h"
#include "kernelmgr/kernel.h"

#define LAST_WORDS (8U << 20) /* what is still printed and under way when a run is stopped */

/* The last event that every sink has taken. */
static uint64_t
slowest_seq(const struct gw_exec *ex)
{
	uint64_t seq = ex->log.last_seq;
	struct list *it;
	struct list *tmp;

	list_each (it, tmp, &ex->sinks) {
		const struct gw_sink *s = list_entry(it, struct gw_sink, node);

		if (s->seq < seq)
			seq = s->seq;
	}
	return seq;
}

size_t
gw_exec_behind(const struct gw_exec *ex)
{
	return gw_evlog_bytes_after(&ex->log, slowest_seq(ex));
}

static void
set_paused(struct gw_exec *ex, bool paused)
{
	if (paused == ex->paused)
		return;
	ex->paused = paused;
	gw_metric[GW_M_KERNELS_PAUSED] += paused ? 1 : -1;
	if (paused)
		km_kernel_pause(ex->kernel);
	else
		km_kernel_resume(ex->kernel);
}

void
gw_exec_go_on(struct gw_exec *ex)
{
	set_paused(ex, false);
}

void
gw_exec_balance(struct gw_exec *ex)
{
	size_t high = ex->core->cfg->event_high_bytes;
	size_t low = high / 2;
	size_t behind;

	if (ex->state == GW_EXEC_STOPPING) {
		low = high + LAST_WORDS / 2;
		high += LAST_WORDS;
	}
	if ((ex->req == NULL && ex->mark == NULL) || (ex->ended && ex->late == NULL) ||
	    (!ex->paused && ex->log.bytes <= high) || !km_kernel_waits(ex->kernel))
		return;
	behind = gw_exec_behind(ex);
	if (behind > high)
		set_paused(ex, true);
	else if (behind <= low)
		set_paused(ex, false);
}

void
gw_exec_append(struct gw_exec *ex, const struct gw_event *ev)
{
	gw_exec_cut_mark(ex);
	gw_evlog_append(&ex->log, ev, ex->read_seq);
	gw_exec_balance(ex);
	loop_task_post(&ex->pump);
}

/* Give s what it has not seen.  It may unhook and free itself, and others, meanwhile. */
static void
feed(struct gw_exec *ex, struct gw_sink *s)
{
	const struct gw_event *ev = gw_evlog_after(&ex->log, s->seq);

	ex->feeding = s;
	while (ev != NULL && !s->stalled) {
		s->seq = ev->seq;
		if (ev->seq > ex->read_seq)
			ex->read_seq = ev->seq;
		if (ev->kind == GW_EV_DONE) {
			list_del(&s->node);
			s->exec = NULL;
			(void)s->ops->event(s, ev);
			break;
		}
		if (s->ops->event(s, ev) == -EAGAIN && ex->feeding == s)
			s->stalled = true;
		if (ex->feeding != s)
			break;
		ev = gw_evlog_next(&ex->log, ev);
	}
	ex->feeding = NULL;
}

/* A sink that may take an event that is there, or NULL. */
static struct gw_sink *
hungry(const struct gw_exec *ex)
{
	struct list *it;
	struct list *tmp;

	list_each (it, tmp, &ex->sinks) {
		struct gw_sink *s = list_entry(it, struct gw_sink, node);

		if (!s->stalled && gw_evlog_after(&ex->log, s->seq) != NULL)
			return s;
	}
	return NULL;
}

void
gw_exec_pump(void *arg)
{
	struct gw_exec *ex = arg;
	struct gw_sink *s;

	while ((s = hungry(ex)) != NULL) /* the list may change in between */
		feed(ex, s);
	gw_evlog_trim(&ex->log, slowest_seq(ex), ex->core->cfg->event_log_bytes);
	gw_exec_cut_balance(ex);
	gw_exec_balance(ex);
}
