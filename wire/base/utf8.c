/* wire/base/utf8.c - see wire/base/utf8.h. */
#include "wire/base/utf8.h"

#include <stdint.h>
#include <string.h>

#include "wire/base/buf.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* Length of the run of ASCII at the start, eight bytes at a time. */
static size_t
ascii_span(const char *text, size_t len)
{
	size_t i = 0;
	uint64_t eight;

	for (; len - i >= sizeof(eight); i += sizeof(eight)) {
		memcpy(&eight, text + i, sizeof(eight));
		if ((eight & UINT64_C(0x8080808080808080)) != 0)
			break;
	}
	while (i < len && (unsigned char)text[i] < 0x80)
		i++;
	return i;
}

static bool
is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Length of the character that starts at p with len > 0 bytes left, or 0.  The second byte
 * has a narrower range after some first ones (Unicode, table 3-7). */
static size_t
char_len(const unsigned char *p, size_t len)
{
	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	if (p[0] < 0xe0)
		return len >= 2 && is_tail(p[1]) ? 2 : 0;
	if (p[0] < 0xf0) {
		unsigned char min = p[0] == 0xe0 ? 0xa0 : 0x80,
			      max = p[0] == 0xed ? 0x9f : 0xbf;

		return len >= 3 && p[1] >= min && p[1] <= max && is_tail(p[2]) ? 3 : 0;
	}
	unsigned char min = p[0] == 0xf0 ? 0x90 : 0x80, max = p[0] == 0xf4 ? 0x8f : 0xbf;

	return len >= 4 && p[1] >= min && p[1] <= max && is_tail(p[2]) && is_tail(p[3]) ? 4 : 0;
}

size_t
utf8_span(const char *text, size_t len)
{
	size_t i = 0, n;

	while (i < len) {
		i += ascii_span(text + i, len - i);
		if (i == len)
			break;
		n = char_len((const unsigned char *)text + i, len - i);
		if (n == 0)
			break;
		i += n;
	}
	return i;
}

int
utf8_repair(struct buf *out, const char *text, size_t len)
{
	size_t i = 0;

	while (i < len) {
		size_t good = utf8_span(text + i, len - i);
		int rc = buf_append(out, text + i, good);

		if (rc != 0)
			return rc;
		i += good;
		if (i == len)
			break;
		rc = buf_append(out, REPLACEMENT, sizeof(REPLACEMENT) - 1);
		if (rc != 0)
			return rc;
		i++;
	}
	return 0;
}
