/* wire/connfile.h - the connection file of one kernel.
 *
 * Source: jupyter_client "Making kernels", connection files.  The key is the UTF-8 bytes of the
 * string in the file.  ipc endpoints are ipc://{ip}-{port}, ip being a path
 * prefix; tcp endpoints tcp://{ip}:{port}.
 */
#ifndef WIRE_CONNFILE_H
#define WIRE_CONNFILE_H

#include <stddef.h>

#include "wire/channel.h"

struct err;
struct wire_connfile;

/* New connection with a fresh random key (64 hex digits) and hmac-sha256.
 * transport is "ipc" or "tcp".  For ipc the sockets are DIR/ID-1 ... DIR/ID-5;
 * for tcp ip is 127.0.0.1, and five free ports, of those that the system gives to no connection
 * unasked, are picked by binding and closing (a race that the caller answers by starting again).
 * Writes DIR/ID.json, 0600; dir must be 0700.
 * Returns 0 with *ret owned by the caller, -EINVAL (path too long for a socket: 107
 * bytes), or -EIO, with err filled. */
int wire_connfile_create(const char *dir, const char *id, const char *transport,
                         const char *kernel_name, struct wire_connfile **ret, struct err *err);

/* Parse a connection file's bytes (of a kernel started by somebody else, or rewritten by the
 * kernel).  Returns 0, or -EINVAL naming the key at fault.  Accepts an empty key, hmac-sha256 only
 * as scheme when the key is not empty. */
int wire_connfile_parse(const char *bytes, size_t len, struct wire_connfile **ret,
                        struct err *err);

/* Remove the file and the socket files of ipc, if it was created here; wipe the key. */
void wire_connfile_free(struct wire_connfile *cf);

/* Borrowed until freed.  path is NULL for a parsed one. */
const char *wire_connfile_path(const struct wire_connfile *cf);
const char *wire_connfile_key(const struct wire_connfile *cf);
const char *wire_connfile_endpoint(const struct wire_connfile *cf, enum wire_channel_kind kind);

#endif /* WIRE_CONNFILE_H */
