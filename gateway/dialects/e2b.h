/* gateway/dialects/e2b.h - shared by the files of the E2B dialect.
 *
 * Facts: the E2B SDKs of 2026 and the Code Interpreter's template server (protocols: E2B).
 * Two APIs on one origin: sandboxes (errors are JSON) and the interpreter (errors are text, or
 * FastAPI's).
 */
#ifndef GW_DIALECT_E2B_H
#define GW_DIALECT_E2B_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/dialect.h"
#include "gateway/exec.h"

struct err;
struct gw_core;
struct gw_sandbox;

#define GW_E2B_HOME            "/home/user" /* what clients call a sandbox's home */
#define GW_E2B_TIMEOUT_DEFAULT 300          /* s; E2B's own */

/* --- which sandbox (e2b.c) ------------------------------------------------------------------ */

/* The sandbox called id; NULL, "" and the SDKs' "debug_sandbox_id" mean the default one.
 * Returns it borrowed, or NULL. */
struct gw_sandbox *gw_e2b_find(struct gw_core *core, const char *id);
/* The same for one that runs: NULL also when it is paused or stopped. */
struct gw_sandbox *gw_e2b_running(struct gw_core *core, const char *id);

/* The sandbox of a request to the interpreter: by its header, else by its token.  NULL: answered,
 * with 502 when it does not run, 403 when the token is another's.  One that is paused wakes up
 * if its client wanted that (autoResume). */
struct gw_sandbox *gw_e2b_sandbox(struct gw_core *core, struct gw_http *x);

/* Answer x with a line of text, as the interpreter words its errors. */
void gw_e2b_text(struct gw_http *x, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Answer x with {"code", "message"}, as the sandboxes' API does. */
void gw_e2b_fail(struct gw_http *x, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* --- bodies of the interpreter (e2b_body.c); pure ------------------------------------------- */

struct gw_e2b_execute {
	json_t *root;         /* owns what the rest points into; json_decref() it */
	const char *context;  /* or NULL */
	const char *language; /* or NULL */
	struct gw_exec_request rq;
};

struct gw_e2b_context {
	json_t *root;
	const char *language; /* or NULL */
	const char *cwd;      /* or NULL */
};

/* Read a body.  Returns 0 with *ret, or -EINVAL with *detail: FastAPI's array of what is wrong
 * (type, loc, msg, input), owned by the caller. */
int gw_e2b_parse_execute(const char *body, size_t len, struct gw_e2b_execute *ret,
                         json_t **detail);
int gw_e2b_parse_context(const char *body, size_t len, struct gw_e2b_context *ret,
                         json_t **detail);

/* --- handlers ------------------------------------------------------------------------------- */

gw_http_fn gw_e2b_execute; /* e2b_exec.c */

/* e2b_context.c */
gw_http_fn gw_e2b_context_create;
gw_http_fn gw_e2b_context_list;
gw_http_fn gw_e2b_context_restart;
gw_http_fn gw_e2b_context_delete;

/* e2b_sandbox.c */
gw_http_fn gw_e2b_sandbox_create;
gw_http_fn gw_e2b_sandbox_connect;
gw_http_fn gw_e2b_sandbox_get;
gw_http_fn gw_e2b_sandbox_kill;
gw_http_fn gw_e2b_sandbox_timeout;
gw_http_fn gw_e2b_sandbox_pause;
gw_http_fn gw_e2b_sandbox_resume;
gw_http_fn gw_e2b_sandbox_metrics;
gw_http_fn gw_e2b_sandbox_list; /* e2b_list.c */

/* --- parts of these, for tests -------------------------------------------------------------- */

/* A path as clients write it, on this machine, and back: owned by the caller. */
char *gw_e2b_path_here(const char *home, const char *path);
char *gw_e2b_path_theirs(const char *home, const char *path);

/* What clients are told of a sandbox; owned by the caller. */
json_t *gw_e2b_describe(const struct gw_sandbox *sb);
/* "running" or "paused". */
const char *gw_e2b_state(const struct gw_sandbox *sb);

#endif /* GW_DIALECT_E2B_H */
