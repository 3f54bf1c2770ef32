/* tests/fuzz/fake_edge.h - gateway/dialect.h's edge without sockets, for fuzzers and unit
 * tests.
 *
 * The test fills in a request and calls a dialect's handler; what the dialect answers is
 * written down here.  A promise of dialect.h that the dialect breaks is an assert: two answers,
 * JSON that cannot be made, text that is no UTF-8, a message after the close.
 */
#ifndef TESTS_FAKE_EDGE_H
#define TESTS_FAKE_EDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/dialect.h"
#include "wire/base/buf.h"

/* A name and its value; an array of them ends with a NULL name. */
struct fake_pair {
	const char *name;
	const char *value;
};

struct gw_http {
	/* The request; NULL where it has none. */
	const char *method;
	const char *path;
	const char *origin;
	const char *token_sandbox;
	const struct fake_pair *params, *query, *headers;
	bool full; /* the queue is: writes return -EAGAIN */
	/* The answer. */
	unsigned answers_n; /* begun; at most 1 */
	bool ended;
	bool cut;
	bool sized; /* exactly promised bytes are due */
	uint64_t promised;
	unsigned receives_n; /* calls of gw_http_receive() */
	int status;
	struct buf body;
	struct buf added; /* "name: value\n" per header */
	const struct gw_http_ops *ops;
	void *ops_arg;
};

struct gw_ws {
	/* The upgrade request. */
	const char *origin;
	const char *token_sandbox;
	const struct fake_pair *params, *query, *headers;
	const char *good_token; /* for gw_ws_authenticate() */
	bool full;              /* the queue is: sends return -EAGAIN */
	/* What came. */
	void *data;
	struct buf sent; /* a message per line */
	unsigned sent_n;
	size_t longest; /* of one message */
	int close_code; /* 0: open */
	struct buf reason;
};

void fake_http_init(struct gw_http *x, const char *method, const char *path);
void fake_http_fini(struct gw_http *x);
void fake_ws_init(struct gw_ws *c);
void fake_ws_fini(struct gw_ws *c);

/* A body of len bytes that begins and ends so, with as many x between; owned by the caller. */
char *fake_long_body(const char *begin, size_t len, const char *end);

#endif /* TESTS_FAKE_EDGE_H */
