/* gateway/sink.c - see gateway/sink.h.  The feeding itself is exec_feed.c's. */
#include "gateway/sink.h"

#include <assert.h>
#include <stddef.h>

#include "gateway/exec.h"

void
gw_sink_init(struct gw_sink *s, const struct gw_sink_ops *ops)
{
	*s = (struct gw_sink){.ops = ops};
	list_init(&s->node);
}

void
gw_sink_hook(struct gw_sink *s, struct gw_exec *exec, uint64_t seq)
{
	uint64_t last = exec->log.last_seq;

	if (exec->state == GW_EXEC_DONE)
		last--; /* DONE comes once more, or nothing would ever */
	assert(s->exec == NULL);
	s->exec = exec;
	s->seq = seq < last ? seq : last;
	s->stalled = false;
	list_add_before(&exec->sinks, &s->node);
	loop_task_post(&exec->pump);
}

void
gw_sink_unhook(struct gw_sink *s)
{
	struct gw_exec *ex = s->exec;

	if (ex == NULL)
		return;
	s->exec = NULL;
	list_del(&s->node);
	if (ex->feeding == s)
		ex->feeding = NULL;
	loop_task_post(&ex->pump);
	if (list_empty(&ex->sinks))
		gw_exec_orphaned(ex);
}

void
gw_sink_resume(struct gw_sink *s)
{
	if (s->exec == NULL || !s->stalled)
		return;
	s->stalled = false;
	loop_task_post(&s->exec->pump);
}
