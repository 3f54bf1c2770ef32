/* gateway/dialects/native_stream.h - an execution's events as the answer of one HTTP exchange. */
#ifndef GW_NATIVE_STREAM_H
#define GW_NATIVE_STREAM_H

#include <stdint.h>

struct gw_core;
struct gw_exec;
struct gw_http;

/* Answer x with the events of ex after number after, one JSON object a line
 * (application/x-ndjson), each sent as it comes; the answer ends after the event done. */
void gw_native_stream_events(struct gw_core *core, struct gw_http *x, struct gw_exec *ex,
                             uint64_t after);

/* Answer x with one JSON object, when ex is done: stdout, stderr, results, error, how. */
void gw_native_stream_wait(struct gw_core *core, struct gw_http *x, struct gw_exec *ex);

#endif /* GW_NATIVE_STREAM_H */
