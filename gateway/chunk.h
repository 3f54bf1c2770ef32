/* gateway/chunk.h - EDGE: bodies sent as Transfer-Encoding: chunked (RFC 9112, section 7.1).
 *
 * Strict: CRLF line ends only, sizes of at most 15 hex digits, extensions and
 * trailers read and thrown away.
 */
#ifndef GW_CHUNK_H
#define GW_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gw_chunk_at {
	GW_CHUNK_SIZE,    /* in the hex digits */
	GW_CHUNK_EXT,     /* after them, up to CR */
	GW_CHUNK_SIZE_LF, /* the LF after a size line */
	GW_CHUNK_DATA,
	GW_CHUNK_DATA_CR,
	GW_CHUNK_DATA_LF,
	GW_CHUNK_TRAILER,    /* at the start of a trailer line */
	GW_CHUNK_TRAILER_IN, /* inside one */
	GW_CHUNK_TRAILER_LF,
	GW_CHUNK_END_LF, /* the last LF of all */
	GW_CHUNK_DONE,
};

/* Embedded; all zero is the start. */
struct gw_chunk {
	enum gw_chunk_at at;
	unsigned digits;
	uint64_t left;  /* data bytes of the chunk still to come */
	size_t extra_n; /* bytes of extensions and trailers seen, which are bounded */
};

/* A step over buf[0..len).  Returns how many bytes of it were used, or -EBADMSG.  Where data was
 * among them, [*ret_data, +*ret_data_len) points into buf; else its length is 0.  Call again with
 * the rest until nothing is left or gw_chunk_is_done(). */
int gw_chunk_step(struct gw_chunk *c, const char *buf, size_t len, const char **ret_data,
                  size_t *ret_data_len);

static inline bool
gw_chunk_is_done(const struct gw_chunk *c)
{
	return c->at == GW_CHUNK_DONE;
}

#endif /* GW_CHUNK_H */
