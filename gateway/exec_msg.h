/* gateway/exec_msg.h - CORE: what a kernel says about an execution, as events.
 *
 * Source: "Messaging in Jupyter", messages on the iopub and stdin channels; and what kernels do
 * beside it.
 */
#ifndef GW_EXEC_MSG_H
#define GW_EXEC_MSG_H

#include <jansson.h>

#include "wire/sign.h" /* struct wire_slice */

struct gw_exec;
struct wire_msg;

/* A message of ex on iopub or stdin: an event, a limit passed, or nothing. */
void gw_exec_msg_take(struct gw_exec *ex, const struct wire_msg *m);

/* text of a stream message's content. */
void gw_exec_msg_stream(struct gw_exec *ex, const json_t *content, struct wire_slice text);

/* An ERROR event from the content (ename, evalue, traceback: a list, or one string) of an error or
 * of a reply; metadata may be NULL. */
void gw_exec_msg_error(struct gw_exec *ex, const json_t *content, const json_t *metadata);

#endif /* GW_EXEC_MSG_H */
