/* gateway/exec_flush.h - CORE: output that a kernel publishes after it said that it is idle.
 *
 * Deno's comes from a queue of its own and says whose it is only when it leaves there: a hundred
 * thousand lines go on for seconds after the run's idle, and would become the next run's.  Where
 * the language table has `flush`, a silent request of ours prints a mark after each run: what
 * comes before the mark is the run's.
 */
#ifndef GW_EXEC_FLUSH_H
#define GW_EXEC_FLUSH_H

#include <stdbool.h>

#include "gateway/exec.h"

/* True if output of ex's kernel may be late. */
bool gw_exec_flush_needed(const struct gw_exec *ex);

/* ex has ended: gather what is still to come, then gw_exec_around_leave(). */
void gw_exec_flush(struct gw_exec *ex);

/* A message that came after the idle of its request; true if it is of ex. */
bool gw_exec_flush_late(struct gw_exec *ex, const struct wire_msg *m);

/* Stop gathering: ex is done. */
void gw_exec_flush_fini(struct gw_exec *ex);

#endif /* GW_EXEC_FLUSH_H */
