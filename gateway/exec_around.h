/* gateway/exec_around.h - CORE: what surrounds the code of a run.
 *
 * Variables and a directory for one run are set before it and taken back after it by silent
 * requests of our own, where the kernel does not do that itself (struct km_spec, takes_env).
 * What the code is, the language table says.  Kernels that count silent requests too have
 * their counts corrected.
 */
#ifndef GW_EXEC_AROUND_H
#define GW_EXEC_AROUND_H

#include <stdbool.h>

#include "gateway/event.h"

struct buf;
struct gw_exec;
struct wire_req_ops;

/* True if ex needs it in its kernel. */
bool gw_exec_around_needed(const struct gw_exec *ex);

/* Set them; gw_exec_send() follows, or its end where that fails. */
void gw_exec_around_enter(struct gw_exec *ex);

/* Send code of our own, unseen by the client, as ex's request. */
void gw_exec_around_send(struct gw_exec *ex, const struct buf *code,
                         const struct wire_req_ops *ops);

/* The code is over and ex shall end like that; take them back first where they were set.
 * gw_exec_finish() follows, later or at once. */
void gw_exec_around_end(struct gw_exec *ex, enum gw_done how, const char *why);
/* The second half of that, when all output is there.  For exec_flush.c. */
void gw_exec_around_leave(struct gw_exec *ex);

#endif /* GW_EXEC_AROUND_H */
