/* wire/base/utf8.h - where bytes stop being UTF-8, and putting that right.
 *
 * Strict, as RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef WIRE_BASE_UTF8_H
#define WIRE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* Length of the longest run of valid UTF-8 at the start of text[0..len). */
size_t utf8_span(const char *text, size_t len);

static inline bool
utf8_valid(const char *text, size_t len)
{
	return utf8_span(text, len) == len;
}

/* Append text to out with each byte that belongs to no character replaced by U+FFFD.
 * Returns 0, or what buf_append() returned. */
int utf8_repair(struct buf *out, const char *text, size_t len);

#endif /* WIRE_BASE_UTF8_H */
