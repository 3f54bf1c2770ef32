/* gateway/dialects/osb_event.h - execd's server-sent events: one line of bare JSON, then an empty
 * line.  Pure.
 *
 * No "data:" (the Kotlin SDK parses every line as JSON), and no character that a splitter of lines
 * could take for a line's end: U+0085, U+2028 and U+2029 are escaped (protocols: OpenSandbox, SSE
 * framing).  Each returns 0, or -EMSGSIZE or -ENOMEM of the buffer, which then is as it was.
 */
#ifndef GW_OSB_EVENT_H
#define GW_OSB_EVENT_H

#include <jansson.h>
#include <stdint.h>

#include "wire/sign.h" /* struct wire_slice */

struct buf;

/* now: milliseconds since 1970. */
int gw_osb_put_init(struct buf *b, int64_t now, const char *id);
int gw_osb_put_ping(struct buf *b, int64_t now);
/* type is "stdout" or "stderr"; text is valid UTF-8 and not empty. */
int gw_osb_put_text(struct buf *b, int64_t now, const char *type, struct wire_slice text);
int gw_osb_put_count(struct buf *b, int64_t now, json_int_t count);
/* bundle: MIME type to value; "text/plain" is called "text". */
int gw_osb_put_result(struct buf *b, int64_t now, const json_t *bundle);
/* traceback: array of strings, or NULL: none */
int gw_osb_put_error(struct buf *b, int64_t now, const char *name, const char *value,
                     const json_t *traceback);
/* The same where value may hold NULs. */
int gw_osb_put_raised(struct buf *b, int64_t now, const char *name, struct wire_slice value,
                      const json_t *traceback);
int gw_osb_put_complete(struct buf *b, int64_t now, uint64_t elapsed_ms);

#endif /* GW_OSB_EVENT_H */
