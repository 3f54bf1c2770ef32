/* gateway/dialects/native_events.h - an event as JSON text.  Pure.
 *
 * {"execution": id, "seq": n, "event": kind, ...}: the same text on a WebSocket, where it is
 * one message, and in a stream, where it is one line.  Fields by kind: docs/native-api.md.
 */
#ifndef GW_NATIVE_EVENTS_H
#define GW_NATIVE_EVENTS_H

#include <jansson.h>

#include "wire/sign.h" /* struct wire_slice */

struct buf;
struct gw_event;

/* Append ev of the execution to b.  Returns 0, or -EMSGSIZE or -ENOMEM of the buffer; what was
 * appended then is to be dropped. */
int gw_native_events_encode(struct buf *b, const char *execution, const struct gw_event *ev);

/* Append text (valid UTF-8) as a JSON string with its quotes.  Same returns. */
int gw_native_events_string(struct buf *b, struct wire_slice text);

/* The fields that an event of a kind with a bundle or an error has beside seq: a new object,
 * owned by the caller; NULL for a kind that is text. */
json_t *gw_native_events_fields(const struct gw_event *ev);

#endif /* GW_NATIVE_EVENTS_H */
