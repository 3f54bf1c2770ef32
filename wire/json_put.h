/* wire/json_put.h - JSON values as text, fast where they are long strings.  Pure.
 *
 * jansson's dump goes byte by byte; what a kernel shows is most of all plain text and base64,
 * which is copied run by run here.
 */
#ifndef WIRE_JSON_PUT_H
#define WIRE_JSON_PUT_H

#include <jansson.h>

#include "wire/sign.h" /* struct wire_slice */

struct buf;

/* Which characters of a string become \uXXXX, besides those that always do. */
enum wire_json_escape {
	WIRE_JSON_PLAIN, /* none */
	WIRE_JSON_ASCII, /* all but ASCII */
	WIRE_JSON_LINES, /* U+0085, U+2028, U+2029: where Unicode ends a line, ours goes on */
};

/* Append v (any value, borrowed), compact.  Returns 0, or -EMSGSIZE or -ENOMEM of the buffer; what
 * was appended then is to be dropped. */
int wire_json_put(struct buf *b, const json_t *v, enum wire_json_escape how);

/* Append text (valid UTF-8; NULL with length 0 is fine) as a string with its quotes.  Same
 * returns. */
int wire_json_put_string(struct buf *b, struct wire_slice text, enum wire_json_escape how);

/* Append the members of object without its braces: "key":value,...  Same returns. */
int wire_json_put_members(struct buf *b, const json_t *object, enum wire_json_escape how);

#endif /* WIRE_JSON_PUT_H */
