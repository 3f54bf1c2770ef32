/* wire/json.h - JSON as kernels write it, as jansson's values.  Pure.
 *
 * Python's json module writes what RFC 8259 does not have, and strings hold what UTF-8 does
 * not: raw bytes and \udc80 from lone surrogates, NaN, Infinity, integers of any size, NUL.
 */
#ifndef WIRE_JSON_H
#define WIRE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Parse text[0..len) into an owned value, or NULL if no reading makes sense of it.
 * Bytes that are not UTF-8 and lone surrogates become U+FFFD, NaN and infinities become
 * null, integers past 64 bits become reals (null past the range of a double). */
json_t *wire_json_parse(const char *text, size_t len);

/* True if text[0..len), where it is JSON, is of at most max values, those within others included.
 * A value takes up to a hundred bytes of memory and two of text: look before what strangers sent
 * is parsed.  Of what is no JSON nothing is said. */
bool wire_json_is_few(const char *text, size_t len, size_t max);

/* A member of an object whose value is wanted where it is a string: NUL-terminated in ret, which
 * has room for size bytes; cut there, between characters, or at a NUL of its own. */
struct wire_json_pick {
	const char *key;
	char *ret;
	size_t size;
};

/* Find those in text[0..len) without making values: "" where there is no such member or it is no
 * string; of two, the last counts.  Returns 0, or -EBADMSG if wire_json_parse() would not make an
 * object of text. */
int wire_json_pick(const char *text, size_t len, const struct wire_json_pick *picks, size_t n);

/* Length of the run at the start of text that stands for itself in a JSON string: no quote, no
 * backslash, no control character. */
size_t wire_json_span(const char *text, size_t len);

#endif /* WIRE_JSON_H */
