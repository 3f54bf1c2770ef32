/* gateway/execinfo.c - see gateway/execinfo.h. */
#include "gateway/execinfo.h"

#include <stddef.h>

#include "gateway/context.h"
#include "gateway/evlog.h"
#include "gateway/exec.h"
#include "gateway/sink.h"

void
gw_execinfo_get(struct gw_exec *ex, struct gw_execinfo *ret)
{
	const struct gw_event *first = gw_evlog_after(&ex->log, 0);
	const struct gw_event *last = gw_evlog_after(&ex->log, ex->log.last_seq - 1);

	*ret = (struct gw_execinfo){
	    .state = gw_exec_state_name(ex->state),
	    .context = ex->ctx != NULL ? gw_ctx_id(ex->ctx) : NULL,
	    .first_seq = first != NULL ? first->seq : 0,
	    .last_seq = ex->log.last_seq,
	    .count = ex->count,
	};
	ex->read_seq = ex->log.last_seq;
	if (last != NULL && last->kind == GW_EV_DONE)
		ret->how = gw_done_name(last->how);
	if (!list_empty(&ex->sinks))
		ret->owner = list_entry(ex->sinks.next, struct gw_sink, node);
}
