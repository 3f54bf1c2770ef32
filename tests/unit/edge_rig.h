/* tests/unit/edge_rig.h - a gateway/server and its clients, raw sockets, on one loop. */
#ifndef TESTS_EDGE_RIG_H
#define TESTS_EDGE_RIG_H

#include <stddef.h>

#include "gateway/server.h"
#include "wire/base/buf.h"

#define HOST  "Host: localhost\r\n"
#define CLOSE "Connection: close\r\n\r\n"

struct gw_dialect;

struct edge {
	struct loop *lp;
	struct gw_auth *auth; /* the token is "secret" */
	struct gw_server *server;
	struct gw_server_config cfg; /* small limits; may be written to before edge_restart() */
	const char *listen[2];
};

/* Start a server of these dialects.  Fails the test where it cannot. */
struct edge *edge_new(const struct gw_dialect *const *dialects);
/* End it and start another, as cfg says now. */
void edge_restart(struct edge *r);
/* Free it, and fail the test unless every gauge is back to zero. */
void edge_free(struct edge *r);

/* Run the loop until someone stops it; fails the test when nobody does for long. */
void edge_run(struct edge *r);

/* Run what is due on the loop now. */
void edge_settle(struct edge *r);
/* Run it until this is so; fails the test when it is not for long. */
#define edge_until(r, condition)                                                               \
	do {                                                                                   \
		for (unsigned n_ = 0; !(condition); n_++) {                                    \
			if (n_ == 2000)                                                        \
				fail_msg("never: %s", #condition);                             \
			edge_settle(r);                                                        \
		}                                                                              \
	} while (0)

/* A connection to it, not blocking. */
int edge_dial(struct edge *r);

/* Write it all: fails the test where the socket does not take it at once. */
void edge_send(int fd, const void *text, size_t len);

/* Send text on fd and append to b what comes, until `until` is there; NULL: until the server
 * closes. */
void edge_talk(struct edge *r, int fd, const char *text, size_t len, const char *until,
               struct buf *b);

/* One request on a connection of its own; the answer must start with status, and come up to end as
 * in edge_talk(). */
void edge_expect(struct edge *r, const char *request, const char *status, const char *end);

#endif /* TESTS_EDGE_RIG_H */
