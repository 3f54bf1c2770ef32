/* gateway/dialects/osb_head.h - what the answer of a download says of its file, and what the
 * client knows of it already: RFC 9110 (sections 8.8, 13), RFC 6266.
 */
#ifndef GW_DIALECT_OSB_HEAD_H
#define GW_DIALECT_OSB_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct buf;
struct gw_http;
struct stat;

/* Embedded; x is borrowed. */
struct gw_osb_head {
	struct gw_http *x;
	char etag[64];
	char date[32]; /* of the last change; "": it cannot be written */
	time_t changed;
};

void gw_osb_head_init(struct gw_osb_head *h, struct gw_http *x, const struct stat *st);

/* If-None-Match or If-Modified-Since say that the client has it: 304. */
bool gw_osb_head_is_known(const struct gw_osb_head *h);
/* False: If-Range names another version, so that a Range is to be ignored. */
bool gw_osb_head_may_range(const struct gw_osb_head *h);

/* Add ETag and Last-Modified; Content-Disposition with the last name of path, and whether ranges
 * can be had. */
void gw_osb_head_add(const struct gw_osb_head *h);
void gw_osb_head_add_file(const struct gw_osb_head *h, const char *path, bool ranges);

/* Append `attachment; filename="..."` to ret: characters that are unsafe there become _, and
 * filename* (RFC 8187) has the name itself.  Pure. */
void gw_osb_head_disposition(const char *path, struct buf *ret);

/* True if the list of entity tags has tag, compared weakly.  Pure. */
bool gw_osb_head_has_tag(const char *list, const char *tag);

#endif /* GW_DIALECT_OSB_HEAD_H */
