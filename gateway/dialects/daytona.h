/* gateway/dialects/daytona.h - shared by the files of the Daytona dialect.
 *
 * Facts: Daytona v0.190's API server, toolbox and interpreter, as its SDKs use them.
 */
#ifndef GW_DIALECT_DAYTONA_H
#define GW_DIALECT_DAYTONA_H

#include <jansson.h>
#include <stddef.h>

#include "gateway/dialect.h"
#include "gateway/exec.h"

struct err;
struct gw_core;
struct gw_event;

/* --- errors: {"statusCode", "message", "error", "path", "timestamp", "code", "source"} ------ */

json_t *gw_daytona_error(int status, const char *message, const char *path);
/* Answer x with the error rc (-errno) and err's text. */
void gw_daytona_fail(struct gw_http *x, int rc, const struct err *err);
/* Read a body, which must be an object.  Returns 0 with *ret owned by the caller, -EINVAL, or
 * -EMSGSIZE. */
int gw_daytona_object(const char *body, size_t len, json_t **ret, struct err *err);

/* --- interpreter REST (daytona_rest.c) and control plane (daytona.c) ------------------------ */

void gw_daytona_context_create(struct gw_core *core, struct gw_http *x, const char *body,
                               size_t len);
void gw_daytona_context_list(struct gw_core *core, struct gw_http *x, const char *body,
                             size_t len);
void gw_daytona_context_delete(struct gw_core *core, struct gw_http *x, const char *body,
                               size_t len);
/* GET without an upgrade: 400; any other method: 404. */
void gw_daytona_execute_plain(struct gw_core *core, struct gw_http *x, const char *body,
                              size_t len);

/* The sandbox that a request names: by its path (param), else by its token (made_for), else the
 * default one.  NULL with err when there is none.  Both are borrowed, or NULL. */
struct gw_sandbox *gw_daytona_sandbox(struct gw_core *core, const char *param,
                                      const char *made_for, struct err *err);

/* --- the execute WebSocket (daytona_exec.c) -------------------------------------------------- */

extern const struct gw_ws_ops gw_daytona_execute_ws;
extern const struct gw_ws_ops gw_daytona_socketio_ws;

/* The first frame of an execute connection. */
struct gw_daytona_request {
	json_t *root;        /* owns what rq and context point into; json_decref() it */
	const char *context; /* contextId, or NULL: the default one */
	struct gw_exec_request rq;
};

/* Parse it.  Returns 0 with *ret, or the close code (1002, 1008) with err the close reason. */
int gw_daytona_parse(const char *msg, size_t len, struct gw_daytona_request *ret,
                     struct err *err);

/* The frame of an event, owned by the caller, or NULL if it has none.  ERROR and DONE are not
 * translated here: their order depends on how it ends. */
json_t *gw_daytona_frame(const struct gw_event *ev);
/* The error frame of an ERROR event, or NULL for SystemExit, which Daytona completes cleanly. */
json_t *gw_daytona_error_frame(const struct gw_event *ev);

#endif /* GW_DIALECT_DAYTONA_H */
