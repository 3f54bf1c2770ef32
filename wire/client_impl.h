/* wire/client_impl.h - private to client*.c: what a client and its requests are.
 *
 * client.c opens, sends and frees; client_route.c gives what comes to whom it concerns and tells
 * when a request is complete; client_input.c puts input_requests in order.
 */
#ifndef WIRE_CLIENT_IMPL_H
#define WIRE_CLIENT_IMPL_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/buf.h"
#include "wire/base/list.h"
#include "wire/base/loop.h"
#include "wire/client.h"
#include "wire/msg.h"

/* Does the kernel answer questions on control?  Go's and R's do not. */
enum wire_client_control {
	WIRE_CLIENT_UNKNOWN,
	WIRE_CLIENT_ANSWERS,
	WIRE_CLIENT_IS_DEAF,
	WIRE_CLIENT_CONTROL_N
};

struct wire_client_asked;

struct wire_client {
	struct loop *lp; /* borrowed */
	struct wire_sign *sign;
	char session[WIRE_UUID_LEN + 1];
	struct wire_channel *channels[WIRE_CHANNEL_N]; /* no WIRE_HB; NULL: not open */
	char *endpoints[WIRE_CHANNEL_N]; /* of those that open when they are used */
	struct list reqs;                /* struct wire_req.node */
	struct wire_client_conf conf;
	const struct wire_client_ops *ops;
	void *arg;
	bool cut;    /* told */
	bool live;   /* an iopub message came */
	bool paused; /* iopub is not read */
	enum wire_client_control control;
	bool stdin_live;         /* stdin is connected */
	bool shell_muted;        /* nobody waits for a reply alone: see client_route.c */
	unsigned late_replies;   /* in a row that came after their idle */
	struct loop_timer *look; /* pending, while requests wait, or NULL */
	bool closed;
	bool freed; /* memory waits for the end of the turn */
	uint64_t dropped;
};

struct wire_req {
	struct list node;           /* in client->reqs; empty once over */
	struct wire_client *client; /* borrowed */
	char id[WIRE_UUID_LEN + 1];
	enum wire_channel_kind channel; /* where its reply comes */
	const struct wire_req_ops *ops;
	void *arg;
	bool replied;
	bool idle;
	bool wait_idle;
	bool is_probe;         /* made by ask_for_idle(): asks no further */
	struct wire_out *held; /* not sent yet: waits for stdin, or NULL */
	struct buf input;      /* header of the input_request that waits; empty: none */
	struct wire_client_asked *asked; /* an input_request that is not told yet, or NULL */
	struct loop_timer *late;         /* pending: one of reply and idle is overdue */
	struct wire_req *probe;          /* in flight: its idle proves that ours was dropped */
	struct loop_task end;            /* pending: done(status) */
	int status;
};

/* No callback for it any more, and it is found no more. */
bool wire_client_is_over(const struct wire_req *r);

/* The only way out of a request that nobody freed. */
void wire_client_finish(struct wire_req *r, int status);

/* A wire_channel_fn; arg is the client. */
void wire_client_route(void *arg, enum wire_channel_kind kind, const struct wire_slice *frames,
                       size_t n);

/* A request was sent on channel. */
void wire_client_sent(struct wire_client *c, enum wire_channel_kind channel);

/* An input_request came: tell it when what was published before it is told. */
void wire_client_tell_in_order(struct wire_req *r, const struct wire_msg *m);
/* It is not to be told any more.  NULL is fine. */
void wire_client_asked_free(struct wire_client_asked *a);

#endif /* WIRE_CLIENT_IMPL_H */
