/* wire/channel.h - one ZMQ socket of a kernel on the loop.
 *
 * The only file that touches ZMQ.  ZMQ_FD tells of a change, not of a state,
 * and sends consume it too: after every operation ZMQ_EVENTS is read again and,
 * if something is left, the channel runs again later in the loop
 * (libzmq zmq_getsockopt(3), ZMQ_FD).
 */
#ifndef WIRE_CHANNEL_H
#define WIRE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/base/loop.h"
#include "wire/sign.h" /* struct wire_slice */

struct wire_channel;

enum wire_channel_kind {
	WIRE_SHELL,   /* DEALER */
	WIRE_IOPUB,   /* SUB, subscribed to everything */
	WIRE_STDIN,   /* DEALER, same identity as shell */
	WIRE_CONTROL, /* DEALER */
	WIRE_HB, /* REQ; endpoint known, never opened: a local kernel's exit is the truth */
	WIRE_CHANNEL_N
};

/* frames[0..n) is one whole multipart message, lent until return. */
typedef void wire_channel_fn(void *arg, enum wire_channel_kind kind,
                             const struct wire_slice *frames, size_t n);

/* What to open.  Strings are borrowed for the call. */
struct wire_channel_conf {
	enum wire_channel_kind kind;
	const char *endpoint;
	const char *identity;     /* ZMQ routing id of a DEALER, or NULL: ZMQ makes one */
	int iopub_hwm;            /* receive mark of IOPUB in messages; 0 keeps all of them */
	uint64_t frame_max_bytes; /* a longer one cuts the connection for good; 0: none is */
	loop_fn
	    *connected; /* called once, with arg, when the kernel's side is there; or NULL */
};

/* Open and connect (the kernel may bind later: retried every 10 to 30 ms).  LINGER 0, no
 * send mark; all but IOPUB have a receive mark of 64 messages.  At most 64 messages are delivered
 * per turn.  Returns NULL when ZMQ has no socket left or does not take the endpoint (errno
 * tells). */
struct wire_channel *wire_channel_new(struct loop *lp, const struct wire_channel_conf *conf,
                                      wire_channel_fn *fn, void *arg);
/* Legal in every state, also from inside fn.  NULL is fine. */
void wire_channel_free(struct wire_channel *ch);

/* Queue one multipart message.  Returns 0, or -EPIPE where ZMQ does not take it. */
int wire_channel_send(struct wire_channel *ch, const struct wire_slice *frames, size_t n);

/* Stop and go on delivering; messages wait in ZMQ meanwhile, then in the kernel. */
void wire_channel_pause(struct wire_channel *ch);
void wire_channel_resume(struct wire_channel *ch);

/* Wake for what arrives no more, and again; wire_channel_look() delivers it meanwhile: at once,
 * before it returns, so not from this channel's own fn. */
void wire_channel_mute(struct wire_channel *ch);
void wire_channel_unmute(struct wire_channel *ch);
void wire_channel_look(struct wire_channel *ch);

/* True when messages have come over a connection that is no more: the kernel's end was closed, or
 * it sent a frame that is too long.  ZMQ does not tell; asking takes a system call. */
bool wire_channel_is_cut(const struct wire_channel *ch);

/* A lower receive mark, for what arrives from now on; not below twice what was received since ZMQ
 * last told the other side of it, or that would wait for ever. */
void wire_channel_set_hwm(struct wire_channel *ch, int hwm);

/* Before the first channel and after the last: the ZMQ context with room for max_sockets.
 * wire_channel_term() asserts that every channel was freed. */
int wire_channel_setup(int max_sockets);
void wire_channel_term(void);

#endif /* WIRE_CHANNEL_H */
