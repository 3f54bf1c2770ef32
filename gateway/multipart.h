/* gateway/multipart.h - CORE: bodies of multipart/form-data (RFC 7578, RFC 2046), as they come.
 *
 * Pure.  Strict: line ends are CRLF, headers are not folded, a part has a name, content is not
 * encoded.  A line that only begins like a boundary belongs to the data.
 */
#ifndef GW_MULTIPART_H
#define GW_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#define GW_MULTIPART_PARTS_MAX 2000
#define GW_MULTIPART_HEADER_MAX                                                                \
	16384 /* of one part; also before the first and after the last */

struct err;
struct gw_multipart;

enum gw_multipart_what {
	GW_MULTIPART_NEED,  /* all bytes were used: more, or the end */
	GW_MULTIPART_BEGIN, /* a part: name is borrowed until the next BEGIN */
	GW_MULTIPART_DATA,  /* of it: data[0..len), len > 0, borrowed until the next step */
	GW_MULTIPART_END,   /* it is complete */
};

struct gw_multipart_event {
	enum gw_multipart_what what;
	const char *name;
	const char *data;
	size_t len;
};

/* A parser for the body that the request's Content-Type (or NULL) announces.  Returns 0 with *ret
 * owned by the caller, or -EBADMSG: no form, or no boundary of 1 to 70 characters. */
int gw_multipart_new(const char *content_type, struct gw_multipart **ret, struct err *err);
void gw_multipart_free(struct gw_multipart *m); /* NULL is fine */

/* A step over buf[0..len).  Returns 0 with how many bytes of it were used and what came of them;
 * call again with the rest until that is NEED.  Or, for good, -EBADMSG or -EMSGSIZE (a ceiling
 * above). */
int gw_multipart_step(struct gw_multipart *m, const char *buf, size_t len, size_t *ret_used,
                      struct gw_multipart_event *ret, struct err *err);

/* The last boundary was seen, so that the body may end here. */
bool gw_multipart_is_done(const struct gw_multipart *m);

#endif /* GW_MULTIPART_H */
