/* gateway/dialects/osb_lines.c - see gateway/dialects/osb_lines.h. */
#include "gateway/dialects/osb_lines.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "wire/base/utf8.h"

#define REPAIR_GROWTH 3 /* a byte becomes U+FFFD */

void
gw_osb_lines_init(struct gw_osb_lines *l, size_t max, gw_osb_line_fn *fn, void *arg)
{
	assert(max >= 4);
	*l = (struct gw_osb_lines){.max = max, .fn = fn, .arg = arg};
	buf_init(&l->part, max);
	buf_init(&l->fixed, max * REPAIR_GROWTH);
}

void
gw_osb_lines_fini(struct gw_osb_lines *l)
{
	buf_fini(&l->part);
	buf_fini(&l->fixed);
}

size_t
gw_osb_lines_whole(const char *text, size_t len)
{
	size_t n = 1; /* bytes from the last first byte on */
	unsigned char c = 0;

	for (; n <= 3 && n <= len; n++) {
		c = (unsigned char)text[len - n];
		if ((c & 0xc0) != 0x80)
			break;
	}
	if (n > 3 || n > len || c < 0xc2 || c > 0xf4)
		return len;
	return n < (c < 0xe0 ? 2U : c < 0xf0 ? 3U : 4U) ? len - n : len;
}

/* Hand over a line or a piece of one. */
static int
give(struct gw_osb_lines *l, const char *text, size_t len)
{
	int rc;

	if (utf8_valid(text, len))
		return l->fn(l->arg, (struct wire_slice){text, len});
	buf_consume(&l->fixed, l->fixed.len);
	rc = utf8_repair(&l->fixed, text, len);
	return rc != 0 ? rc : l->fn(l->arg, (struct wire_slice){l->fixed.data, l->fixed.len});
}

/* text[0..len) belongs to the line; give what is more than it may have. */
static int
add(struct gw_osb_lines *l, const char *text, size_t len)
{
	int rc = 0;

	while (rc == 0 && len > l->max - l->part.len) {
		size_t room = l->max - l->part.len;
		size_t n;

		rc = buf_append(&l->part, text, room);
		if (rc != 0)
			return rc;
		n = gw_osb_lines_whole(l->part.data, l->part.len);
		rc = give(l, l->part.data, n);
		buf_consume(&l->part, n);
		l->cut = true;
		text += room;
		len -= room;
	}
	return rc != 0 ? rc : buf_append(&l->part, text, len);
}

/* text[0..len) is the rest of a line that ends here. */
static int
end_line(struct gw_osb_lines *l, const char *text, size_t len)
{
	int rc;

	if (l->part.len == 0 && len <= l->max) { /* mostly: nothing is copied */
		if (len == 0 && !l->cut)
			rc = give(l, "\n", 1);
		else
			rc = len > 0 ? give(l, text, len) : 0;
		l->cut = false;
		return rc;
	}
	rc = add(l, text, len);
	if (rc == 0 && l->part.len > 0)
		rc = give(l, l->part.data, l->part.len);
	buf_consume(&l->part, l->part.len);
	l->cut = false;
	return rc;
}

int
gw_osb_lines_put(struct gw_osb_lines *l, const char *data, size_t len)
{
	const char *p = data;
	const char *const stop = data + len;
	const char *nl = NULL; /* the next \n, or stop; found once */
	int rc = 0;

	while (rc == 0 && p < stop) {
		const char *end;

		if (l->after_cr && *p == '\n')
			p++;
		l->after_cr = false;
		if (p == stop)
			break;
		if (nl == NULL || nl < p) {
			nl = memchr(p, '\n', (size_t)(stop - p));
			nl = nl != NULL ? nl : stop;
		}
		end = memchr(p, '\r', (size_t)(nl - p));
		end = end != NULL ? end : nl;
		if (end == stop)
			return add(l, p, (size_t)(stop - p));
		l->after_cr = *end == '\r';
		rc = end_line(l, p, (size_t)(end - p));
		p = end + 1;
	}
	return rc;
}

int
gw_osb_lines_end(struct gw_osb_lines *l)
{
	int rc = 0;

	if (l->part.len > 0)
		rc = end_line(l, "", 0);
	l->cut = false;
	l->after_cr = false;
	return rc;
}
