/* gateway/head.h - EDGE: the head of an HTTP/1 request (RFC 9112), strictly read.
 *
 * What two parsers could read differently is refused, not guessed: bare LF, folded lines, space
 * before a colon, two lengths, a length beside chunked.
 */
#ifndef GW_HEAD_H
#define GW_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define GW_HEAD_FIELDS_MAX 100
#define GW_HEAD_TARGET_MAX 8192

struct gw_head_field {
	const char *name; /* lower case */
	const char *value;
};

struct gw_head {
	char *text;         /* owned: the bytes, cut into the strings below; wiped when freed */
	size_t len;         /* of it */
	const char *method; /* as sent */
	const char *path;   /* of the target, still percent-encoded */
	char *query;        /* after '?', still encoded; "" without one */
	const char *host;   /* of the target or the Host field; NULL without one (HTTP/1.0) */
	bool http10;
	bool keep_alive;
	bool wants_continue;
	bool websocket; /* asks for an upgrade to it; other upgrades are ignored */
	bool chunked;
	uint64_t length; /* of the body; 0 when chunked */
	size_t n;
	struct gw_head_field field[GW_HEAD_FIELDS_MAX];
};

/* Length of the head at the start of buf, with the blank line that ends it; 0: not all there
 * yet. */
size_t gw_head_end(const char *buf, size_t len);

/* Parse the head buf[0..len), len as gw_head_end() said.  Returns 0 and fills h, or the HTTP
 * status to refuse it with, and err; h then has at most a path.  What is wrong is named by the
 * number of its line, since a token may be in it. */
int gw_head_parse(struct gw_head *h, const char *buf, size_t len, struct err *err);

void gw_head_fini(struct gw_head *h);

/* The value of the first field called name (lower case), or NULL. */
const char *gw_head_get(const struct gw_head *h, const char *name);

/* The elements of a comma-separated list, which may be spread over several fields (RFC 9110,
 * section 5.3).  Begin with {.h, .name}; the rest is for gw_head_list_next(). */
struct gw_head_list {
	const struct gw_head *h;
	const char *name; /* lower case */
	size_t at;        /* the next field */
	const char *rest; /* of the one before it, or NULL */
};

/* The next element, which *ret points at: its length; 0 at the end. */
size_t gw_head_list_next(struct gw_head_list *l, const char **ret);

/* True if the list called name has token, in any case. */
bool gw_head_list_has(const struct gw_head *h, const char *name, const char *token);

#endif /* GW_HEAD_H */
