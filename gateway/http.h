/* gateway/http.h - EDGE, private: one HTTP exchange, which http.c reads and answer.c answers. */
#ifndef GW_HTTP_H
#define GW_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/chunk.h"
#include "gateway/request.h"
#include "wire/base/buf.h"

#define GW_HTTP_EXTRA_MAX 8192 /* header lines that a dialect adds */

struct gw_conn;
struct gw_http_ops;

enum gw_http_phase {
	GW_HTTP_BODY,   /* its body is being read */
	GW_HTTP_PIECES, /* the same, and the dialect has it, and what came so far */
	GW_HTTP_ASKED,  /* the dialect has it all */
	GW_HTTP_STREAM, /* and has begun to answer */
	GW_HTTP_DONE,
};

struct gw_http {
	struct gw_conn *c; /* NULL: the client left and nobody wanted to know */
	struct gw_request *r;
	enum gw_http_phase phase;
	struct buf body;
	struct gw_chunk chunk;
	uint64_t body_left;                /* of a body with a length */
	uint64_t body_room;                /* how much more may come in pieces */
	bool due;                          /* the dialect wants the next piece */
	struct gw_request_refusal refusal; /* status 0: none; else the body goes nowhere */
	bool chunks_out;                   /* the answer's body is framed */
	bool sized_out;                    /* its length was promised */
	uint64_t owed;                     /* of it */
	struct buf extra;                  /* header lines from the dialect */
	const struct gw_http_ops *ops;
	void *arg;
};

/* Send the refusal kept in x, worded by the dialect that owns the path. */
void gw_http_answer_refusal(struct gw_http *x);

/* A loop_fn: free the exchange arg. */
void gw_http_free(void *arg);

#endif /* GW_HTTP_H */
