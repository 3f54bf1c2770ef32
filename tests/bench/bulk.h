/* tests/bench/bulk.h - one run of code with a lot of output: how long, and is it all there? */
#ifndef BULK_H
#define BULK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the values of one key of all messages must be, put together in the order of arrival: the
 * inside of their JSON strings, escapes as they are. */
struct bulk_check {
	const char *key; /* with its quotes and the colon: "text": */
	size_t key_len;
	const char *want;
	size_t want_len;
	size_t at;       /* bytes that were right so far */
	size_t messages; /* that had the key */
	bool open;       /* the message goes on inside the value */
	bool escaped;    /* open: and with a character after a backslash */
	bool wrong;
};

/* The first part of a JSON text, or a later one.  A text whose first part has no such key, or no
 * string there, counts for nothing.  Only the key's first place is looked at. */
void bulk_check_take(struct bulk_check *c, const char *json, size_t len, bool begins);

/* Monotonic clock. */
uint64_t bulk_now_us(void);

/* Print why and exit with status 1. */
_Noreturn void bulk_die(const char *why);

/* Run code[0..len) and check what comes.  Each returns the time from the request to its end, in
 * us.  Connections are made before and left open.
 *   zmq      the frames of a kernel of its own, neither authenticated nor parsed
 *   wire     the same by wire/: authenticated and parsed
 *   native   the gateway's own WebSocket, to the event `done`
 *   e2b      POST /execute, to the end of the answer
 *   daytona  a WebSocket of its own, to the frame `control` */
uint64_t bulk_zmq(const char *connfile, bool parsed, const char *code, size_t len,
                  struct bulk_check *c);
uint64_t bulk_native(int port, const char *token, const char *code, size_t len,
                     struct bulk_check *c);
uint64_t bulk_e2b(int port, const char *token, const char *code, size_t len,
                  struct bulk_check *c);
uint64_t bulk_daytona(int port, const char *token, const char *code, size_t len,
                      struct bulk_check *c);

#endif /* BULK_H */
