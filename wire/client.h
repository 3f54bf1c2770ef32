/* wire/client.h - requests to one kernel, and what it publishes.
 *
 * Opens shell, iopub, stdin and control of one connection file.  A request is
 * complete when its reply has come and, where the kernel publishes it, its idle status has come
 * on iopub, in either order ("Messaging in Jupyter", kernel status).
 * Messages are matched by the parent's msg_id alone.
 */
#ifndef WIRE_CLIENT_H
#define WIRE_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "wire/channel.h"

struct loop;
struct wire_client;
struct wire_connfile;
struct wire_msg;
struct wire_req;

/* What concerns the whole kernel. */
struct wire_client_ops {
	/* An iopub message of no live request: output after idle, parentless status,
	 * iopub_welcome (which is filtered out once the client is live); also a stdin
	 * message of none.  Lent until return. */
	void (*stray)(void *arg, const struct wire_msg *m);
	/* Once, later: a connection that messages came over is gone, while a request waits.  The
	 * kernel has ended, or it sent more than frame_max_bytes: nothing more is heard of it. */
	void (*cut)(void *arg);
};

/* What concerns one request.  Each may be NULL.  Ops are borrowed, usually static. */
struct wire_req_ops {
	/* An iopub or stdin message with this request as its parent (status included), lent
	 * until return.  An input_request comes after all that the kernel published before it,
	 * though it travels on another socket; with a kernel that answers nothing on control,
	 * half a second later the first time, then 50 ms. */
	void (*message)(void *arg, const struct wire_msg *m);
	/* The shell or control reply, lent until return. */
	void (*reply)(void *arg, const struct wire_msg *m);
	/* Exactly once, last, unless the request is freed first.  The request is freed by
	 * itself after it.  status is
	 *   0         complete;
	 *   -EPIPE    the client was closed (wire_client_close()) before;
	 *   -EBADMSG  the kernel went idle and gave no reply within five seconds;
	 *   -EIO      the reply came but its idle was dropped by the kernel, as later messages
	 *             prove: output may be missing as well;
	 *   -EINVAL   content or metadata cannot be written as JSON: nothing was sent;
	 *   another   nothing was sent either: there is no descriptor left for a channel that
	 *             opens with it (-EMFILE, -ENFILE), or ZMQ did not take it. */
	void (*done)(void *arg, int status);
};

struct wire_client_conf {
	bool kernel_waits;
	uint64_t frame_max_bytes; /* most of a message is one frame; 0: no ceiling */
};

/* Open shell and iopub of cf (borrowed for the call, as conf is); control and stdin open when they
 * are first used, since most kernels never need them and each socket takes about 35 KiB.
 * kernel_waits says that the kernel blocks when its subscriber is slow (our own launcher's
 * XPUB_NODROP): iopub then keeps only a few messages on this side, so that pausing holds the
 * kernel.  Any other kernel drops output instead, so what it sends is taken in at once and it is
 * not to be paused; only where this process gets so little of the processor that 65,536 messages
 * wait here, the kernel drops nevertheless.  Returns NULL when ZMQ has no sockets left (errno
 * tells). */
struct wire_client *wire_client_new(struct loop *lp, const struct wire_connfile *cf,
                                    const struct wire_client_conf *conf,
                                    const struct wire_client_ops *ops, void *arg);

/* Close the channels at once and complete every request with -EPIPE, later. */
void wire_client_close(struct wire_client *c);

/* Close and release; requests left are dropped without done.  NULL is fine; legal in callbacks. */
void wire_client_free(struct wire_client *c);

/* What to send.  Everything is borrowed for the call. */
struct wire_ask {
	enum wire_channel_kind channel; /* WIRE_SHELL or WIRE_CONTROL */
	const char *type;
	json_t *metadata; /* NULL: {} */
	json_t *content;  /* NULL: {} */
	bool wait_idle;   /* complete only after idle as well */
	bool
	    stdin_too; /* the kernel may ask for input: sent once stdin is proven connected, since a
	                   * kernel drops an input_request to a peer that it does not know */
};

/* Send a request.  Never returns NULL; failure comes through done. */
struct wire_req *wire_client_request(struct wire_client *c, const struct wire_ask *ask,
                                     const struct wire_req_ops *ops, void *arg);

/* Forget a request: no more calls; later messages of it are stray.  NULL is fine. */
void wire_req_free(struct wire_req *r);
const char *wire_req_id(const struct wire_req *r); /* msg_id, borrowed */

/* Answer the input_request that request r received last, with value (len bytes of UTF-8).
 * Returns 0; -ENOENT if none waits; -EINVAL if value is not UTF-8, or another where it could not be
 * sent (it still waits then). */
int wire_client_input_reply(struct wire_client *c, struct wire_req *r, const char *value,
                            size_t len);

/* Stop and go on reading iopub (back-pressure). */
void wire_client_pause(struct wire_client *c);
void wire_client_resume(struct wire_client *c);

/* The kernel blocks from now on, as with kernel_waits. */
void wire_client_set_waits(struct wire_client *c);

/* True once any iopub message came: the subscription is proven live. */
bool wire_client_iopub_live(const struct wire_client *c);

/* Messages dropped for a bad signature or bad bytes. */
uint64_t wire_client_dropped(const struct wire_client *c);
/* The same of all clients that this process has had. */
uint64_t wire_client_dropped_all(void);

#endif /* WIRE_CLIENT_H */
