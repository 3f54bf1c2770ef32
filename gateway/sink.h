/* gateway/sink.h - CORE: where the events of an execution go.
 *
 * A dialect embeds a sink in what it keeps per exchange and hooks it to an execution.  Events are
 * pulled for it from the execution's log, at the end of a loop turn, so a sink that stalls merely
 * falls behind; when the slowest one is too far behind, the kernel is made to wait.
 */
#ifndef GW_SINK_H
#define GW_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/list.h"

struct gw_event;
struct gw_exec;
struct gw_sink;

struct gw_sink_ops {
	/* Take ev.  Returns 0, or -EAGAIN: taken, but no more until gw_sink_resume().  It may
	 * unhook its own sink.  With GW_EV_DONE the sink is unhooked already and may be freed. */
	int (*event)(struct gw_sink *sink, const struct gw_event *ev);
};

struct gw_sink {
	const struct gw_sink_ops *ops;
	struct gw_exec *exec; /* hooked to, or NULL; borrowed */
	struct list node;     /* in exec's list of sinks */
	uint64_t seq;         /* of the last event taken */
	bool stalled;
};

void gw_sink_init(struct gw_sink *s, const struct gw_sink_ops *ops);

/* Get the events of exec after number seq, from its log and then live; later, up to DONE, which
 * comes in any case.  Events that the log has dropped already are skipped: the first event's seq
 * tells. */
void gw_sink_hook(struct gw_sink *s, struct gw_exec *exec, uint64_t seq);

/* No more calls.  Fine when it is not hooked. */
void gw_sink_unhook(struct gw_sink *s);

/* It may go on. */
void gw_sink_resume(struct gw_sink *s);

#endif /* GW_SINK_H */
