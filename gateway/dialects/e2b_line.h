/* gateway/dialects/e2b_line.h - an execution's events as E2B's lines.  Pure.
 *
 * A line is one JSON object of ASCII only, ended by one newline: E2B's JavaScript SDK decodes
 * each network chunk by itself, and its Python SDK cuts lines at U+2028 and the like
 * (protocols: E2B, 3.1).  The error of a run is held back until it is known how the run ends,
 * so at most one is sent, after all output.
 */
#ifndef GW_E2B_LINE_H
#define GW_E2B_LINE_H

#include <stdbool.h>

#include "wire/base/buf.h"

struct gw_event;

struct gw_e2b_line {
	struct buf out;  /* lines to be sent; the owner consumes them */
	struct buf held; /* the error's line, or empty */
};

/* Embedded. */
void gw_e2b_line_init(struct gw_e2b_line *l);
void gw_e2b_line_fini(struct gw_e2b_line *l);

/* Append to out what ev is for a client of E2B: no line, one, or with DONE the error (if any)
 * and the end.  Where there is no memory for it, the run ends with an error that says so.  now is
 * the RFC 3339 time that output gets.  Returns 0, or -ENOMEM: DONE could not be said at all, so
 * that the answer must be cut off. */
int gw_e2b_line_event(struct gw_e2b_line *l, const struct gw_event *ev, const char *now);

/* Append a line that says nothing. */
void gw_e2b_line_keepalive(struct gw_e2b_line *l);

#endif /* GW_E2B_LINE_H */
