/* gateway/dialects/native.h - what the files of the native dialect share; for native*.c only. */
#ifndef GW_NATIVE_H
#define GW_NATIVE_H

#include <jansson.h>
#include <stddef.h>

#include "gateway/context.h"
#include "gateway/dialect.h"

struct err;
struct gw_exec;
struct gw_native_request;
struct gw_sink_ops;

extern const struct gw_ws_ops gw_native_ws;        /* GET /v1/ws */
extern const struct gw_sink_ops gw_native_ws_sink; /* tells sinks of connections from others */
extern const struct gw_route
    gw_native_rest[]; /* the table of routes, the WebSocket's included */

/* {"code", "message"} of a failure; message is cut before the first byte that is not UTF-8. */
json_t *gw_native_error(int rc, const char *message);

/* The sandbox that rq names, or the default one.  Returns 0 or -ENOENT. */
int gw_native_sandbox(struct gw_core *core, const struct gw_native_request *rq,
                      struct gw_sandbox **ret, struct err *err);
/* The context or the execution that rq names.  Returns 0 with *ret borrowed, or -ENOENT. */
int gw_native_context(struct gw_core *core, const struct gw_native_request *rq,
                      struct gw_ctx **ret, struct err *err);
int gw_native_execution(struct gw_core *core, const struct gw_native_request *rq,
                        struct gw_exec **ret, struct err *err);

/* Make the context that rq asks for; whoever waits for its kernel comes next: if that does not
 * start, the context goes.  Returns what gw_ctx_new() returns, or -ENOENT. */
int gw_native_create(struct gw_core *core, const struct gw_native_request *rq,
                     struct gw_ctx **ret, struct err *err);

/* Queue what rq asks for.  Returns what gw_exec_new() and gw_ctx_default() return, or -ENOENT. */
int gw_native_execute(struct gw_core *core, const struct gw_native_request *rq,
                      struct gw_exec **ret, struct err *err);

/* Do what needs no waiting: interrupt, lists, deletions, sandboxes, ping.  Returns 0 with
 * the fields of the answer in *ret, owned by the caller, or -errno with err. */
int gw_native_do(struct gw_core *core, const struct gw_native_request *rq, json_t **ret,
                 struct err *err);

/* Pass rq's value or end of file to ex.  Returns 0 or -ENOENT. */
int gw_native_input(struct gw_exec *ex, const struct gw_native_request *rq, struct err *err);

/* What clients are told of a context and of an execution: objects owned by the caller. */
json_t *gw_native_describe(const struct gw_ctx *c);
json_t *gw_native_describe_exec(struct gw_exec *ex);

#endif /* GW_NATIVE_H */
