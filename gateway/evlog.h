/* gateway/evlog.h - CORE: the ordered events of one execution, kept for those who read later.
 *
 * A log owns copies of its events.  Stream text longer than GW_EVLOG_PIECE is split, on
 * code-point boundaries, so no reader ever meets a larger piece; short pieces that nobody has
 * read yet are merged: that is the coalescing under load.  Finding an event and counting what comes
 * after it takes the same time however long the log is.
 */
#ifndef GW_EVLOG_H
#define GW_EVLOG_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/event.h"

#define GW_EVLOG_PIECE ((size_t)128 * 1024) /* bytes of stream text in one event, at most */

struct gw_evrec;

struct gw_evlog {
	struct gw_evrec **rec; /* records rec[head..head + n), numbered without gaps */
	size_t cap, head, n;
	uint64_t last_seq; /* of the newest event, 0: none yet */
	size_t bytes;      /* what the records hold, about */
	uint64_t total;    /* the same of all that were ever there */
};

void gw_evlog_init(struct gw_evlog *l);
void gw_evlog_fini(struct gw_evlog *l);

/* Bytes that a log takes to keep ev, about. */
size_t gw_evlog_cost(const struct gw_event *ev);

/* Append a copy of ev (its seq is ignored and numbered here).  read_seq is the highest
 * number that any reader has taken: what is newer may still grow. */
void gw_evlog_append(struct gw_evlog *l, const struct gw_event *ev, uint64_t read_seq);

/* The first event after seq, or NULL; lent until trimmed.  gw_evlog_next() goes on from it. */
const struct gw_event *gw_evlog_after(const struct gw_evlog *l, uint64_t seq);
const struct gw_event *gw_evlog_next(const struct gw_evlog *l, const struct gw_event *ev);

/* Bytes of the events after seq. */
size_t gw_evlog_bytes_after(const struct gw_evlog *l, uint64_t seq);

/* Drop events from the oldest on, up to and including seq, while more than max bytes are held. */
void gw_evlog_trim(struct gw_evlog *l, uint64_t seq, size_t max);

#endif /* GW_EVLOG_H */
