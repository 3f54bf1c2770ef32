/* gateway/dialects/osb_stream.h - an answer of events: what is written to out leaves as the client
 * takes it, and a ping goes out when nothing else did for a while.
 */
#ifndef GW_OSB_STREAM_H
#define GW_OSB_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/dialect.h"
#include "wire/base/buf.h"
#include "wire/base/loop.h"

struct gw_core;

struct gw_osb_stream_ops {
	/* The client took what there was: write on.  May be NULL. */
	void (*drained)(void *arg);
	/* The last call, once: all was sent, or the client left (gone).  Frees the owner, which
	 * calls _fini() first. */
	void (*closed)(void *arg, bool gone);
};

/* Embedded. */
struct gw_osb_stream {
	struct gw_http *x;    /* NULL: the answer ended, or its client left */
	struct gw_core *core; /* borrowed */
	struct buf out;       /* events to be sent */
	bool full;            /* drained is due */
	bool ending;
	struct loop_timer *beat;
	uint64_t last_ms; /* of the last event */
	struct loop_task over;
	const struct gw_osb_stream_ops *ops;
	void *arg;
};

/* Begin the answer (200, text/event-stream).  Events may be put into st->out from now on. */
void gw_osb_stream_begin(struct gw_osb_stream *st, struct gw_core *core, struct gw_http *x,
                         const struct gw_osb_stream_ops *ops, void *arg);
/* Send what is in out.  Returns 0, or -EAGAIN: all is kept, but wait for drained.  A client that
 * left takes everything. */
int gw_osb_stream_push(struct gw_osb_stream *st);
/* Send the rest and end the answer; closed comes later, never from inside.  Nothing more may be
 * put. */
void gw_osb_stream_end(struct gw_osb_stream *st);
void gw_osb_stream_fini(struct gw_osb_stream *st);

#endif /* GW_OSB_STREAM_H */
