/* gateway/exec_cut.h - CORE: output of a kernel that cannot wait, for clients that read slowly.
 *
 * Pausing such a kernel (Deno's, R's, Go's, most that users bring) would only move its output into
 * ZMQ's queues, which have no ceiling in bytes, or lose it in the kernel without a word.  So it is
 * never paused.  What it sends is logged until the slowest sink is kernel_buffer_bytes behind;
 * then output is dropped and counted until that sink has caught up with half of it, and one CUT
 * event stands where it is missing.  What ends a run, and its first error, always arrive.
 */
#ifndef GW_EXEC_CUT_H
#define GW_EXEC_CUT_H

#include <stdbool.h>
#include <stddef.h>

struct gw_exec;

/* Output of so many bytes comes.  True: it is dropped. */
bool gw_exec_cut_drops(struct gw_exec *ex, size_t bytes);

/* Sinks have taken something: go on if they caught up. */
void gw_exec_cut_balance(struct gw_exec *ex);

/* Log the marker of what was dropped, if anything was since the last one. */
void gw_exec_cut_mark(struct gw_exec *ex);

#endif /* GW_EXEC_CUT_H */
