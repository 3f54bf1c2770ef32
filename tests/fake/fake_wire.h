/* tests/fake/fake_wire.h - the kernel's end of a connection file: sockets, frames, signatures.
 *
 * For fake_kernel.c.  Whatever goes wrong in here ends the process with a line on stderr: it
 * is a fault of a test, not of what is tested.
 */
#ifndef FAKE_WIRE_H
#define FAKE_WIRE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "wire/channel.h"

struct fake_wire;

/* A request that came on shell or control, or an answer on stdin. */
struct fake_request {
	enum wire_channel_kind channel;
	char *type;
	char *header; /* as it came: the parent_header of all that answers it */
	char *peer;   /* routing id of who asked */
	size_t peer_len;
	json_t *content;
	json_t *metadata;
};

/* How to get a message wrong. */
#define FAKE_BAD_SIGNATURE 1U
#define FAKE_TWICE         2U /* the same frames, so the same signature */
#define FAKE_NO_PARENT     4U /* parent_header: null */

/* Bind the sockets of the connection file at path.  old_pub: iopub is a PUB without
 * iopub_welcome (ipykernel 6), else an XPUB with XPUB_NODROP that blocks when its one
 * subscriber is slow. */
struct fake_wire *fake_wire_open(const char *path, bool old_pub);

/* Wait at most ms for something on the channels of the set (1U << kind); heartbeats and
 * subscriptions are served here.  Returns those that are readable; none also after a signal. */
unsigned fake_wire_wait(struct fake_wire *w, unsigned kinds, int ms);

/* The next message of a readable channel, NULL if its signature is wrong. */
struct fake_request *fake_wire_receive(struct fake_wire *w, enum wire_channel_kind kind);
void fake_request_free(struct fake_request *r);

/* Publish content (JSON text, len bytes, not checked) with parent r, NULL for none.  Returns
 * false when the subscriber is slow and it would have to wait. */
bool fake_wire_publish(struct fake_wire *w, const struct fake_request *r, const char *type,
                       const char *content, size_t len, unsigned wrong);
/* Send content to who asked r, on channel kind. */
void fake_wire_answer(struct fake_wire *w, const struct fake_request *r,
                      enum wire_channel_kind kind, const char *type, const char *content);

/* Hand all that was sent to the peer, for at most a second, and close. */
void fake_wire_close(struct fake_wire *w);

#endif /* FAKE_WIRE_H */
