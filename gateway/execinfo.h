/* gateway/execinfo.h - CORE: what a client may know of an execution without its events. */
#ifndef GW_EXECINFO_H
#define GW_EXECINFO_H

#include <stdint.h>

struct gw_ctx;
struct gw_exec;
struct gw_sink;

struct gw_execinfo {
	const char *state;     /* static: queued, running, stopping, done */
	const char *how;       /* static: how it ended, NULL while it is live */
	const char *context;   /* its context's id, NULL once it is done; borrowed */
	uint64_t first_seq;    /* oldest event that is still kept; 0: none is */
	uint64_t last_seq;     /* newest event */
	int64_t count;         /* execution_count, 0: not started */
	struct gw_sink *owner; /* of its sinks the one hooked first, or NULL; borrowed.  Whoever
	                        * started it, and after that one has gone the next in line: it
	                        * alone answers input. */
};

/* The newest event grows no more then: who is told its number may ask for what comes after it. */
void gw_execinfo_get(struct gw_exec *ex, struct gw_execinfo *ret);

#endif /* GW_EXECINFO_H */
