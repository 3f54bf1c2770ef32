/* wire/json_put.h - JSON values as text, fast where they are long strings.  Pure.
 *
 * jansson's dump goes byte by byte; what a kernel shows is most of all plain text and base64,
 * which is copied run by run here.
 */
#ifndef WIRE_JSON_PUT_H
#define WIRE_JSON_PUT_H

#include <jansson.h>
#include <stdbool.h>

#include "wire/sign.h" /* struct wire_slice */

struct buf;

/* Append v (any value, borrowed), compact.  ascii: what is not ASCII becomes \uXXXX.  Returns 0,
 * or -EMSGSIZE or -ENOMEM of the buffer; what was appended then is to be dropped. */
int wire_json_put(struct buf *b, const json_t *v, bool ascii);

/* Append text (valid UTF-8; NULL with length 0 is fine) as a string with its quotes.  Same
 * returns. */
int wire_json_put_string(struct buf *b, struct wire_slice text, bool ascii);

/* Append the members of object without its braces: "key":value,...  Same returns. */
int wire_json_put_members(struct buf *b, const json_t *object, bool ascii);

#endif /* WIRE_JSON_PUT_H */
