/* gateway/dialects/osb_sandbox.h - parts of OpenSandbox's lifecycle: what a create asks for, and
 * what clients are told of a sandbox.
 *
 * Source: protocols: OpenSandbox (a), and the project's OpenAPI description of the lifecycle.
 */
#ifndef GW_DIALECT_OSB_SANDBOX_H
#define GW_DIALECT_OSB_SANDBOX_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/sandbox.h"

struct err;

/* Metadata of ours begins so; it is shown with a sandbox's own, and clients cannot set it. */
#define GW_OSB_OURS         "kernelbridge."
#define GW_OSB_HOME         GW_OSB_OURS "home"         /* where its files are */
#define GW_OSB_NOT_ENFORCED GW_OSB_OURS "not-enforced" /* "networkPolicy, volumes" */
#define GW_OSB_NOT_INSTALLED                                                                   \
	GW_OSB_OURS "not-installed" /* "GO_VERSION=1.24 (installed: 1.26.6)" */

/* A hundred years; nothing lives longer. */
#define GW_OSB_LIFE_MAX_MS (INT64_C(3153600000) * 1000)

struct gw_osb_create {
	json_t *root; /* owns what rq points into */
	struct gw_sandbox_request rq;
	/* For rq.told: entrypoint, and of extensions, platform and notes what there is; notes is
	 * metadata of ours. */
	json_t *told;
};

/* Read the body of a create.  What was asked for and cannot be enforced is named in told.notes.
 * Returns 0 with *ret, to be ended by _fini(); -EINVAL, -EMSGSIZE, or -ENOTSUP (a snapshot, a
 * template, a pool) with err. */
int gw_osb_create_parse(const char *body, size_t len, struct gw_osb_create *ret,
                        struct err *err);
void gw_osb_create_fini(struct gw_osb_create *c);

/* Add metadata of ours to told. */
void gw_osb_note(json_t *told, const char *key, const char *text);

/* Check o (object, or NULL) as metadata that a client sets: strings, or null where it may delete
 * (patch), under no name of ours or of OpenSandbox's own.  Returns 0 or -EINVAL. */
int gw_osb_metadata_check(const json_t *o, bool patch, struct err *err);

/* What clients are told of a sandbox, and its metadata alone; owned by the caller. */
json_t *gw_osb_describe(const struct gw_sandbox *sb);
json_t *gw_osb_metadata(const struct gw_sandbox *sb);
/* "Running" or "Paused". */
const char *gw_osb_state(const struct gw_sandbox *sb);

#endif /* GW_DIALECT_OSB_SANDBOX_H */
