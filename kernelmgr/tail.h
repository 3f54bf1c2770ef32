/* kernelmgr/tail.h - the last of what a process wrote to a pipe. */
#ifndef KM_TAIL_H
#define KM_TAIL_H

#include <stdbool.h>

struct km_tail;
struct loop;

typedef void km_tail_ended_fn(void *arg);

/* Take fd, a pipe's reading end that does not block, and read it as it fills.  ended(arg), which
 * may be NULL, is called once, later, when nobody has the other end any more, unless the tail is
 * closed or freed before.  Never returns NULL. */
struct km_tail *km_tail_new(struct loop *lp, int fd, km_tail_ended_fn *ended, void *arg);
void km_tail_free(struct km_tail *t);

/* Read what is there and close the pipe, whoever may still hold its other end. */
void km_tail_close(struct km_tail *t);

/* True when the pipe is closed. */
bool km_tail_is_closed(const struct km_tail *t);

/* The last 8 KiB that were read, a NUL-terminated string lent until the next turn of the loop, with
 * spaces for NUL.  NULL for t: "". */
const char *km_tail_text(const struct km_tail *t);

#endif /* KM_TAIL_H */
