/* gateway/route.h - EDGE: method and path to a row of a dialect's table.
 *
 * Of several rows that match, one with a header condition wins, then the one that is
 * literal for longer.  Paths are cut at their slashes before they are decoded, so that an
 * encoded slash stays inside its segment.
 */
#ifndef GW_ROUTE_H
#define GW_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/uri.h"

struct buf;
struct gw_dialect;
struct gw_route;
struct gw_route_table;

#define GW_ROUTE_PARAMS_MAX   8
#define GW_ROUTE_SEGMENTS_MAX 32

struct gw_route_match {
	const struct gw_route *row;
	const struct gw_dialect *dialect;
	size_t n;
	struct gw_uri_pair param[GW_ROUTE_PARAMS_MAX]; /* values point into text */
	char *text;                                    /* owned */
};

/* Tells whether the request has this header (lower case). */
typedef bool gw_route_has_fn(const void *arg, const char *header);

/* dialects is NULL-terminated and borrowed.  A row that cannot be served is a programmer error. */
struct gw_route_table *gw_route_table_new(const struct gw_dialect *const *dialects);
void gw_route_table_free(struct gw_route_table *t);

/* Find the row for method ("WS" for an upgrade; HEAD may find a GET) and path, still encoded.
 * Returns 0 with *ret, -EINVAL (malformed path), -ENOENT (no such path), or -EACCES (the path
 * exists for other methods). */
int gw_route_find(const struct gw_route_table *t, const char *method, const char *path,
                  gw_route_has_fn *has, const void *arg, struct gw_route_match *ret);
void gw_route_match_fini(struct gw_route_match *m);

/* Append the methods of path, as in an Allow header, without "WS". */
void gw_route_allow(const struct gw_route_table *t, const char *path, struct buf *ret);

/* The dialect whose prefix owns path, still encoded: its errors are worded by it.  Of several the
 * longest prefix does, as it is written.  NULL: nobody's. */
const struct gw_dialect *gw_route_owner(const struct gw_route_table *t, const char *path);

#endif /* GW_ROUTE_H */
