/* gateway/dialects/osb_send.h - bytes or lines of a file as the rest of an answer.
 *
 * Read in a thread, a piece at a time; the next one when the client has taken the last.  What the
 * answer announces is the size at its beginning: a file that grows is sent up to there, of one
 * that shrinks the answer is cut off.
 */
#ifndef GW_OSB_SEND_H
#define GW_OSB_SEND_H

#include <stdint.h>

#include "gateway/range.h"

struct gw_http;
struct loop;

/* How a request for all lines has them sent: as they are. */
#define GW_OSB_ALL_LINES ((struct gw_range_lines){0, UINT64_MAX})

/* Send len > 0 bytes of fd from first on, but for what lines leaves out, and end the answer: x has
 * begun it (gw_http_stream_begin()), without a length where lines leaves out any.  Takes x and
 * fd. */
void gw_osb_send(struct loop *lp, struct gw_http *x, int fd, uint64_t first, uint64_t len,
                 struct gw_range_lines lines);

#endif /* GW_OSB_SEND_H */
