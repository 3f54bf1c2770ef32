/* gateway/dialects/osb.h - shared by the files of the OpenSandbox dialect.
 *
 * Facts: the OpenSandbox SDKs 1.1 of 2026 and execd, their daemon in a sandbox (protocols:
 * OpenSandbox; execd-api: the project's OpenAPI description of execd).
 * Two APIs on one origin: the lifecycle of sandboxes below /v1, and execd's below
 * /sandboxes/{sandbox}/proxy/{port}, the path that the first hands out as a sandbox's endpoint.
 */
#ifndef GW_DIALECT_OSB_H
#define GW_DIALECT_OSB_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/dialect.h"

struct err;
struct gw_core;
struct gw_ctx;
struct gw_sandbox;

/* --- common (osb.c) -------------------------------------------------------------------------- */

/* Codes of errors, as the servers and SDKs know them. */
#define GW_OSB_BAD_BODY    "INVALID_REQUEST_BODY"
#define GW_OSB_BAD_QUERY   "MISSING_QUERY"
#define GW_OSB_RUNTIME     "RUNTIME_ERROR"
#define GW_OSB_NO_CONTEXT  "CONTEXT_NOT_FOUND"
#define GW_OSB_NO_COMMAND  "COMMAND_NOT_FOUND"
#define GW_OSB_NO_FILE     "FILE_NOT_FOUND"
#define GW_OSB_FORBIDDEN   "FORBIDDEN_PATH"
#define GW_OSB_NO_SANDBOX  "SANDBOX_NOT_FOUND"
#define GW_OSB_UNSUPPORTED "NOT_SUPPORTED"

/* Answer x with {"code", "message"}; the message is cut at the end of a character. */
void gw_osb_fail(struct gw_http *x, int status, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The sandbox {sandbox} of an execd path, if it runs, and if the {uid} and {gid} that some paths
 * have are the gateway's own; NULL: answered (404, 409 when paused, or 400). */
struct gw_sandbox *gw_osb_sandbox(struct gw_core *core, struct gw_http *x);

/* Bodies are read on the loop: ten milliseconds for each of these. */
#define GW_OSB_BODY_MAX (1U << 20)

/* Read a body: an object, or nothing at all where empty_ok (then an empty one).  Returns it, owned
 * by the caller, or NULL: answered with 400, or with 413 where it has more than max bytes. */
json_t *gw_osb_object(struct gw_http *x, const char *body, size_t len, size_t max,
                      bool empty_ok);

/* Milliseconds since 1970, for events. */
int64_t gw_osb_now(void);

/* --- contexts (osb_context.c) ---------------------------------------------------------------- */

/* The context of sb with that id, unless it is a bash session's; NULL: none. */
struct gw_ctx *gw_osb_context(struct gw_sandbox *sb, const char *id);

/* Answer x with why gw_ctx_new() or gw_ctx_default() made none for language; what was tried is how
 * the message begins. */
void gw_osb_context_fail(struct gw_core *core, struct gw_http *x, const char *what,
                         const char *language, int rc, const struct err *err);

/* Read the string that o has as key; what is null or absent is NULL.  *ret is borrowed from o.
 * False: answered with 400, also where it holds a NUL. */
bool gw_osb_string(struct gw_http *x, const json_t *o, const char *key, const char **ret);

/* --- handlers -------------------------------------------------------------------------------- */

/* osb_sandbox.c, osb_list.c: the lifecycle */
gw_http_fn gw_osb_create;
gw_http_fn gw_osb_list;
gw_http_fn gw_osb_get;
gw_http_fn gw_osb_kill;
gw_http_fn gw_osb_renew;
gw_http_fn gw_osb_pause;
gw_http_fn gw_osb_resume;
gw_http_fn gw_osb_patch_metadata;
gw_http_fn gw_osb_endpoint;
gw_http_fn gw_osb_event; /* POST /v1/metrics/events */

/* osb_code.c, osb_context.c */
gw_http_fn gw_osb_code;
gw_http_fn gw_osb_code_interrupt;
gw_http_fn gw_osb_context_create;
gw_http_fn gw_osb_context_list;
gw_http_fn gw_osb_context_get;
gw_http_fn gw_osb_context_delete;
gw_http_fn gw_osb_contexts_delete;

/* osb_command.c, osb_log.c, osb_session.c */
gw_http_fn gw_osb_command;
gw_http_fn gw_osb_command_interrupt;
gw_http_fn gw_osb_command_status;
gw_http_fn gw_osb_command_logs;
gw_http_fn gw_osb_session_create;
gw_http_fn gw_osb_session_run;
gw_http_fn gw_osb_session_delete;

/* osb_files.c, osb_upload.c, osb_download.c */
gw_http_fn gw_osb_files_info;
gw_http_fn gw_osb_files_delete;
gw_http_fn gw_osb_files_move;
gw_http_fn gw_osb_files_chmod;
gw_http_fn gw_osb_files_search;
gw_http_fn gw_osb_files_replace;
gw_http_fn gw_osb_dirs_make;
gw_http_fn gw_osb_dirs_delete;
gw_http_fn gw_osb_dirs_list;
gw_http_fn gw_osb_upload; /* its body comes in pieces */
gw_http_fn gw_osb_download;

/* osb_metrics.c */
gw_http_fn gw_osb_metrics;
gw_http_fn gw_osb_metrics_watch;

#endif /* GW_DIALECT_OSB_H */
