/* gateway/dialects/native.c - the gateway's own API for browsers, programs and tests.
 *
 * Events go out one to one (native_events.c); requests are read by one table
 * (native_request.c) for the WebSocket (native_ws.c) and for its REST twins (native_rest.c).
 * The paths are those of the design that OpenSandbox's /v1/sandboxes does not take.
 */
#include <stddef.h>

#include "gateway/dialects/dialects.h"
#include "gateway/dialects/native.h"

const struct gw_dialect gw_native = {
    .name = "native",
    .prefix = "/v1",
    .routes = gw_native_rest,
};
