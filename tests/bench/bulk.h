/* tests/bench/bulk.h - one run of code with a lot of output: how long, and is it all there? */
#ifndef BULK_H
#define BULK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net_place;

/* What the values of one key of all messages must be, put together in the order of arrival: the
 * inside of their JSON strings, escapes as they are. */
struct bulk_check {
	const char *key; /* with its quotes and the colon: "text": */
	size_t key_len;
	const char *want;
	size_t want_len;
	size_t at;       /* bytes that were right so far */
	size_t total;    /* bytes of values, right or not */
	size_t messages; /* that had the key */
	bool open;       /* the message goes on inside the value */
	bool escaped;    /* open: and with a character after a backslash */
	bool wrong;
};

/* The first part of a JSON text, or a later one.  A text whose first part has no such key, or no
 * string there, counts for nothing.  Only the key's first place is looked at. */
void bulk_check_take(struct bulk_check *c, const char *json, size_t len, bool begins);

/* One run, and what came of it. */
struct bulk_run {
	const char *code;
	size_t len;
	unsigned
	    stall_ms; /* how long to read nothing after the first output; not by bulk_zmq() */
	struct bulk_check check;
	uint64_t took_us; /* from the request to its end; connections are made before */
	size_t largest;   /* bytes of the largest frame or chunk; 0 by bulk_zmq() */
	bool ended;       /* as the protocol says, not by a lost connection */
};

/* Run the code and check what comes.
 *   zmq          the frames of a kernel of its own, neither authenticated nor parsed
 *   wire         the same by wire/: authenticated and parsed
 *   native       the gateway's own WebSocket, to the event `done`
 *   e2b          POST /execute, to the end of the answer
 *   opensandbox  POST /code, to the end of the answer
 *   daytona      a WebSocket of its own, to the frame `control` */
void bulk_zmq(struct bulk_run *r, const char *connfile, bool parsed);
void bulk_native(struct bulk_run *r, const struct net_place *to);
void bulk_e2b(struct bulk_run *r, const struct net_place *to);
void bulk_opensandbox(struct bulk_run *r, const struct net_place *to);
void bulk_daytona(struct bulk_run *r, const struct net_place *to);

#endif /* BULK_H */
