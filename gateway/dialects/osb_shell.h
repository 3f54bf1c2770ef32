/* gateway/dialects/osb_shell.h - what commands and shell sessions share: fields of a request, and
 * output as events, one for each line.
 */
#ifndef GW_OSB_SHELL_H
#define GW_OSB_SHELL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/dialects/osb_lines.h"
#include "gateway/dialects/osb_stream.h"

struct err;
struct gw_sandbox;

/* --- requests ---------------------------------------------------------------------------- */

/* A field of the request o; one that is absent or null leaves *ret as it is.  Each returns 0, or
 * -EINVAL with err naming the field. */
int gw_osb_shell_string(const json_t *o, const char *key, const char **ret, struct err *err);
int gw_osb_shell_flag(const json_t *o, const char *key, bool *ret, struct err *err);
int gw_osb_shell_number(const json_t *o, const char *key, json_int_t *ret, struct err *err);
/* "command": text that is not empty. */
int gw_osb_shell_command(const json_t *o, const char **ret, struct err *err);
/* "timeout", in milliseconds; 0: none. */
int gw_osb_shell_timeout(const json_t *o, uint64_t *ret, struct err *err);

/* "cwd" as an absolute path, owned by the caller, or NULL: none.  $NAME and ${NAME} are variables
 * of vars (object of strings, or NULL), the sandbox or the gateway; "~" and "~/..." are in the
 * sandbox's home, and so is what is relative. */
int gw_osb_shell_cwd(const json_t *o, const struct gw_sandbox *sb, const json_t *vars,
                     char **ret, struct err *err);

/* --- output ------------------------------------------------------------------------------ */

/* Embedded: an answer whose output comes line by line. */
struct gw_osb_shell {
	struct gw_osb_stream st;
	struct gw_osb_lines out, err;
};

/* Begin the answer with init; id is what the client may interrupt.  ops and arg as for the
 * stream. */
void gw_osb_shell_begin(struct gw_osb_shell *sh, struct gw_core *core, struct gw_http *x,
                        const char *id, const struct gw_osb_stream_ops *ops, void *arg);
void gw_osb_shell_fini(struct gw_osb_shell *sh);

/* Bytes of stream 1 (stdout) or 2 (stderr).  Returns 0, -EAGAIN (taken, but wait for drained), or
 * -ENOMEM: the answer has ended with an error, and its owner stops what it shows. */
int gw_osb_shell_put(struct gw_osb_shell *sh, int stream, const char *data, size_t len);

/* End the answer: with what is left of the output, then execution_complete, or an error of the
 * name, value and one line that explains it (NULL: none). */
void gw_osb_shell_complete(struct gw_osb_shell *sh, uint64_t elapsed_ms);
void gw_osb_shell_fail(struct gw_osb_shell *sh, const char *name, const char *value,
                       const char *why);
/* The same for a program that ended with this status, not 0. */
void gw_osb_shell_status(struct gw_osb_shell *sh, int status, const char *why);

#endif /* GW_OSB_SHELL_H */
