/* gateway/uri.h - EDGE: percent-encoding and query strings (RFC 3986).
 *
 * Decoded text is UTF-8 without NUL, or it is refused.
 */
#ifndef GW_URI_H
#define GW_URI_H

#include <stdbool.h>
#include <stddef.h>

struct err;

struct gw_uri_pair {
	const char *name;
	const char *value;
};

/* Decode s[0..len) in place and end it with a NUL, for which s[len] must have room.  plus: '+' is
 * a space.  Returns the new length, or -EINVAL. */
int gw_uri_decode(char *s, size_t len, bool plus);

/* Cut "a=1&b=2" into decoded pairs, in place; a name without '=' has the value "".  Returns how
 * many were written, at most as many as gw_uri_query_max() says; or -EINVAL with err saying which
 * one is malformed, and how. */
int gw_uri_query(char *query, struct gw_uri_pair *ret, struct err *err);
size_t gw_uri_query_max(const char *query);

/* The value of the first pair called name, or NULL. */
const char *gw_uri_find(const struct gw_uri_pair *pairs, size_t n, const char *name);

#endif /* GW_URI_H */
