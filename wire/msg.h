/* wire/msg.h - one Jupyter message: frames to fields and back.  Pure: no I/O.
 *
 * Source: "Messaging in Jupyter", general message format.  Layout of the frames:
 * [identity...] "<IDS|MSG>" signature header parent_header metadata content [buffer...].
 */
#ifndef WIRE_MSG_H
#define WIRE_MSG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "wire/channel.h"
#include "wire/sign.h"

enum wire_msg_part { WIRE_HEADER, WIRE_PARENT, WIRE_METADATA, WIRE_CONTENT };

#define WIRE_MSG_NAME                                                                          \
	64 /* of a type or id, with its NUL; what is longer is nothing of ours: cut */

/* A received message.  Everything is borrowed from it and lives until its end; it is not copied,
 * since the names point into it. */
struct wire_msg {
	enum wire_channel_kind channel;
	const char *type;      /* header.msg_type, never NULL */
	const char *id;        /* header.msg_id, "" if missing */
	const char *parent_id; /* parent_header.msg_id, "" if null or missing */
	const char *state;     /* of a status message: content.execution_state, else "" */
	json_t *content;       /* object, what is not UTF-8 in it repaired: wire/json.h; of a
	                        * status message NULL: it says nothing else */
	json_t *metadata;      /* object, or NULL: empty */
	struct wire_slice raw[WIRE_SIGN_PARTS]; /* the four frames as they came */
	const struct wire_slice *buffers;
	size_t buffers_n;
	char names[4][WIRE_MSG_NAME];
};

/* Check the signature over the bytes received and parse.  frames are borrowed until
 * wire_msg_fini().  Returns 0, or -EBADMSG (no delimiter, too few frames, bad signature, not
 * JSON, not an object, no msg_type, or nested too deep); then nothing is to be released. */
int wire_msg_parse(struct wire_msg *m, enum wire_channel_kind channel,
                   const struct wire_sign *sign, const struct wire_slice *frames, size_t n);
void wire_msg_fini(struct wire_msg *m);

/* Text of a JSON string with its length (may hold NULs); "" when v is not a string. */
struct wire_slice wire_msg_text(const json_t *v);

/* An outgoing message: serialised, signed, ready for wire_channel_send(). */
struct wire_out;

/* content and metadata are borrowed (NULL: {}); parent is empty for a request, else the header
 * answered, as it came.  A fresh msg_id is made; session is the client's session id.  Returns
 * NULL if one of them cannot be written as JSON (a string that is not UTF-8). */
struct wire_out *wire_out_new(const struct wire_sign *sign, const char *session,
                              const char *type, struct wire_slice parent,
                              const json_t *metadata, const json_t *content);
void wire_out_free(struct wire_out *o);
const char *wire_out_id(const struct wire_out *o); /* msg_id, borrowed */
const struct wire_slice *wire_out_frames(const struct wire_out *o, size_t *ret_n);

/* Random (version 4) UUID, lower case, from libsodium. */
#define WIRE_UUID_LEN 36
void wire_uuid(char out[WIRE_UUID_LEN + 1]);

#endif /* WIRE_MSG_H */
