/* wire/json.h - JSON as kernels write it, as jansson's values.  Pure.
 *
 * Python's json module writes what RFC 8259 does not have, and strings hold what UTF-8 does
 * not: raw bytes and \udc80 from lone surrogates, NaN, Infinity, integers of any size, NUL.
 */
#ifndef WIRE_JSON_H
#define WIRE_JSON_H

#include <jansson.h>
#include <stddef.h>

/* Parse text[0..len) into an owned value, or NULL if no reading makes sense of it.
 * Bytes that are not UTF-8 and lone surrogates become U+FFFD, NaN and infinities become
 * null, integers past 64 bits become reals (null past the range of a double). */
json_t *wire_json_parse(const char *text, size_t len);

/* Length of the run at the start of text that stands for itself in a JSON string: no quote, no
 * backslash, no control character. */
size_t wire_json_span(const char *text, size_t len);

#endif /* WIRE_JSON_H */
