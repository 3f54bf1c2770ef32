/* gateway/dialects/osb_lines.h - what a program prints, as execd's clients get it: line by line.
 * Pure.
 *
 * A line ends with \n, \r\n or \r, which are not part of it, so that a progress bar's steps are
 * lines too.  An empty line is the text "\n", since an event without text is none.  A line longer
 * than max bytes comes in several pieces, each whole characters.  Bytes that are no UTF-8 become
 * U+FFFD.  However the output was cut into pieces on its way, the lines are the same.
 */
#ifndef GW_OSB_LINES_H
#define GW_OSB_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/base/buf.h"
#include "wire/sign.h" /* struct wire_slice */

#define GW_OSB_LINE_MAX ((size_t)1 << 20)

/* A line or a piece of one, lent until return: valid UTF-8, not empty.  Returns 0, or what ends
 * the call that it is made from. */
typedef int gw_osb_line_fn(void *arg, struct wire_slice text);

/* Embedded; one for each stream. */
struct gw_osb_lines {
	struct buf part;  /* the beginning of a line */
	struct buf fixed; /* a line whose bytes were repaired */
	size_t max;
	bool after_cr; /* \n belongs to the end that was there already */
	bool cut;      /* a piece of this line was given */
	gw_osb_line_fn *fn;
	void *arg;
};

/* max is at least 4. */
void gw_osb_lines_init(struct gw_osb_lines *l, size_t max, gw_osb_line_fn *fn, void *arg);
void gw_osb_lines_fini(struct gw_osb_lines *l);

/* More output; fn is called for each line that is complete now.  Returns 0, what fn returned, or
 * -ENOMEM. */
int gw_osb_lines_put(struct gw_osb_lines *l, const char *data, size_t len);
/* There is no more: the rest, if any, is a line.  Same returns. */
int gw_osb_lines_end(struct gw_osb_lines *l);

/* The length of text[0..len) without a last character that goes on behind it. */
size_t gw_osb_lines_whole(const char *text, size_t len);

#endif /* GW_OSB_LINES_H */
