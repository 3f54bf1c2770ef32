/* gateway/dialects/osb_files.h - what clients ask of files, read. */
#ifndef GW_DIALECT_OSB_FILES_H
#define GW_DIALECT_OSB_FILES_H

#include <jansson.h>
#include <stddef.h>
#include <sys/types.h>

struct err;

#define GW_OSB_FILES_MAX 10000 /* items of one request */

/* Each reads a body that clients sent: {path: {"mode"?, "owner"?, "group"?}}, {path: {"old",
 * "new"?}}, or [{"src", "dest"}].  What is null counts as absent, and unknown fields do not matter.
 * All return 0 with *ret, of that form and owned by the caller, -EINVAL (err names the field) or
 * -EMSGSIZE. */
int gw_osb_files_permissions(const char *body, size_t len, json_t **ret, struct err *err);
int gw_osb_files_replacements(const char *body, size_t len, json_t **ret, struct err *err);
int gw_osb_files_moves(const char *body, size_t len, json_t **ret, struct err *err);

/* The metadata of one file that is uploaded: {"path", "mode"?, "owner"?, "group"?}. */
int gw_osb_files_metadata(const char *text, size_t len, json_t **ret, struct err *err);

/* The permissions of an item: those whose octal digits its mode has as decimal ones (755);
 * GW_FS_MODE_KEEP without one, and for 0, which is what some SDKs send then. */
mode_t gw_osb_files_mode(const json_t *item);

/* Read a depth: NULL or "": 1.  Returns 0 or -EINVAL. */
int gw_osb_files_depth(const char *text, unsigned *ret, struct err *err);

#endif /* GW_DIALECT_OSB_FILES_H */
