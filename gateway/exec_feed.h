/* gateway/exec_feed.h - CORE: how the events of an execution come to its sinks, and when its kernel
 * waits for them.
 *
 * Events are logged as they come; at the end of the loop turn each sink is given what it has not
 * seen.  When the slowest is far behind, the kernel waits; one that cannot: exec_cut.h.
 */
#ifndef GW_EXEC_FEED_H
#define GW_EXEC_FEED_H

#include <stddef.h>

struct gw_event;
struct gw_exec;

/* Add ev to its log, after the marker of what was cut before it. */
void gw_exec_append(struct gw_exec *ex, const struct gw_event *ev);

/* The task of an execution, arg: sinks have something to read. */
void gw_exec_pump(void *arg);

/* Let the kernel wait when the slowest sink is event_high_bytes behind; let it go on when that
 * sink has caught up with half of it.  A run that is being stopped gets more room: its end comes
 * after what it has printed already, and it would be killed for its client's slowness. */
void gw_exec_balance(struct gw_exec *ex);
/* Let it go on, whoever is behind. */
void gw_exec_go_on(struct gw_exec *ex);

/* Bytes that its slowest sink has not taken; 0 where it has none. */
size_t gw_exec_behind(const struct gw_exec *ex);

#endif /* GW_EXEC_FEED_H */
