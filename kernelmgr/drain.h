/* kernelmgr/drain.h - a pipe's end that nobody wants to read: read all the same and dropped.
 *
 * Else its writers would wait for ever, or die of SIGPIPE.
 */
#ifndef KM_DRAIN_H
#define KM_DRAIN_H

struct list;
struct loop;

/* Take fd, which does not block, until its writers have closed it; add this to those of owner.
 * When owner has too many, the oldest is closed. */
void km_drain_add(struct loop *lp, int fd, struct list *owner);

/* Close all of owner. */
void km_drain_end(struct list *owner);

#endif /* KM_DRAIN_H */
