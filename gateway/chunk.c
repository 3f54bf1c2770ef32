/* gateway/chunk.c - see gateway/chunk.h. */
#include "gateway/chunk.h"

#include <errno.h>
#include <limits.h>

#define DIGITS_MAX 15
#define EXTRA_MAX  4096

static int
on_size(struct gw_chunk *c, char ch)
{
	unsigned v;

	if (ch >= '0' && ch <= '9')
		v = (unsigned)(ch - '0');
	else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f')
		v = (unsigned)((ch | 0x20) - 'a') + 10;
	else if (c->digits > 0 && ch == '\r')
		return c->at = GW_CHUNK_SIZE_LF, 0;
	else if (c->digits > 0 && ch == ';')
		return c->at = GW_CHUNK_EXT, 0;
	else
		return -EBADMSG;
	if (++c->digits > DIGITS_MAX)
		return -EBADMSG;
	c->left = c->left * 16 + v;
	return 0;
}

/* Extensions and trailers: anything but control characters, up to CR. */
static int
on_extra(struct gw_chunk *c, char ch, enum gw_chunk_at after_cr)
{
	if (++c->extra_n > EXTRA_MAX)
		return -EBADMSG;
	if (ch == '\r')
		c->at = after_cr;
	else if ((unsigned char)ch < 0x20 && ch != '\t')
		return -EBADMSG;
	return 0;
}

static int
expect(struct gw_chunk *c, char ch, char want, enum gw_chunk_at next)
{
	if (ch != want)
		return -EBADMSG;
	c->at = next;
	return 0;
}

static int
on_char(struct gw_chunk *c, char ch)
{
	int rc;

	switch (c->at) {
	case GW_CHUNK_SIZE:
		return on_size(c, ch);
	case GW_CHUNK_EXT:
		return on_extra(c, ch, GW_CHUNK_SIZE_LF);
	case GW_CHUNK_SIZE_LF:
		return expect(c, ch, '\n', c->left > 0 ? GW_CHUNK_DATA : GW_CHUNK_TRAILER);
	case GW_CHUNK_DATA_CR:
		return expect(c, ch, '\r', GW_CHUNK_DATA_LF);
	case GW_CHUNK_DATA_LF:
		c->digits = 0;
		return expect(c, ch, '\n', GW_CHUNK_SIZE);
	case GW_CHUNK_TRAILER:
		if (ch == '\r')
			return c->at = GW_CHUNK_END_LF, 0;
		rc = on_extra(c, ch, GW_CHUNK_TRAILER_LF);
		c->at = GW_CHUNK_TRAILER_IN;
		return rc;
	case GW_CHUNK_TRAILER_IN:
		return on_extra(c, ch, GW_CHUNK_TRAILER_LF);
	case GW_CHUNK_TRAILER_LF:
		return expect(c, ch, '\n', GW_CHUNK_TRAILER);
	case GW_CHUNK_END_LF:
		return expect(c, ch, '\n', GW_CHUNK_DONE);
	case GW_CHUNK_DATA:
	case GW_CHUNK_DONE:
		break;
	}
	return -EBADMSG;
}

int
gw_chunk_step(struct gw_chunk *c, const char *buf, size_t len, const char **ret_data,
              size_t *ret_data_len)
{
	size_t i = 0;

	*ret_data = buf;
	*ret_data_len = 0;
	if (len > INT_MAX)
		len = INT_MAX;
	while (i < len && c->at != GW_CHUNK_DONE && c->at != GW_CHUNK_DATA)
		if (on_char(c, buf[i++]) < 0)
			return -EBADMSG;
	if (i < len && c->at == GW_CHUNK_DATA) {
		size_t n = len - i < c->left ? len - i : (size_t)c->left;

		*ret_data = buf + i;
		*ret_data_len = n;
		c->left -= n;
		i += n;
		if (c->left == 0)
			c->at = GW_CHUNK_DATA_CR;
	}
	return (int)i;
}
