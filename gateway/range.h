/* gateway/range.h - CORE: which part of a file a client asks for: bytes (RFC 9110, section 14.2)
 * or lines.  Pure.
 */
#ifndef GW_RANGE_H
#define GW_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gw_range {
	GW_RANGE_WHOLE, /* no Range, or none that we understand: such a one is to be ignored */
	GW_RANGE_PART,
	GW_RANGE_NONE, /* 416: it lies behind the end */
};

/* What the Range header value (or NULL) selects of size bytes: with PART, *ret_len > 0 of them from
 * *ret_first on.  Of several ranges it is the first that can be had: RFC 9110 lets a server send
 * fewer than were asked for, in an answer that says which, and execd does so. */
enum gw_range gw_range_parse(const char *value, uint64_t size, uint64_t *ret_first,
                             uint64_t *ret_len);

/* Some lines of a text that is read in pieces. */
struct gw_range_lines {
	uint64_t skip; /* lines before them */
	uint64_t left; /* how many; UINT64_MAX: all */
};

/* A piece: [*ret_data, +*ret_len) of it is of these lines, with their ends.  Returns false when
 * nothing after it can be. */
bool gw_range_lines_step(struct gw_range_lines *l, const char *buf, size_t len,
                         const char **ret_data, size_t *ret_len);

#endif /* GW_RANGE_H */
