/* gateway/dialects/native_request.h - what a native client asks for: JSON to a struct.  Pure.
 *
 * One table of keys serves the WebSocket and the REST twins; docs/native-api.md is its prose.
 */
#ifndef GW_NATIVE_REQUEST_H
#define GW_NATIVE_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/sign.h" /* struct wire_slice */

struct err;

enum gw_native_op {
	GW_NATIVE_EXECUTE,
	GW_NATIVE_INPUT,
	GW_NATIVE_INTERRUPT,
	GW_NATIVE_ATTACH,
	GW_NATIVE_DETACH,
	GW_NATIVE_CREATE_CONTEXT,
	GW_NATIVE_LIST_CONTEXTS,
	GW_NATIVE_DELETE_CONTEXT,
	GW_NATIVE_RESTART_CONTEXT,
	GW_NATIVE_COMPLETE,
	GW_NATIVE_INSPECT,
	GW_NATIVE_LIST_KERNELSPECS,
	GW_NATIVE_CREATE_SANDBOX,
	GW_NATIVE_LIST_SANDBOXES,
	GW_NATIVE_DELETE_SANDBOX,
	GW_NATIVE_PING,
	/* Bodies of the REST twins that differ: what the path names is no key. */
	GW_NATIVE_REST_EXECUTE,
	GW_NATIVE_REST_INPUT,
	GW_NATIVE_REST_INTERRUPT,
	GW_NATIVE_REST_EMPTY,
	GW_NATIVE_OP_N
};

/* Keys that were not given are NULL, false or 0. */
struct gw_native_request {
	enum gw_native_op op;
	json_t *root;     /* owned; what follows is borrowed from it */
	const json_t *id; /* the client's: string or integer, or NULL */
	json_t *envs;     /* object of strings */
	json_t *labels;   /* object of strings */
	const char *context;
	const char *cwd;
	const char *execution;
	const char *language;
	const char *name;
	const char *sandbox;
	struct wire_slice code;
	struct wire_slice value;
	uint64_t after;
	uint64_t cursor_pos;
	uint64_t detail_level;
	uint64_t kill_after_ms;
	uint64_t timeout_ms;
	bool rich;
	bool finish; /* on_disconnect */
	bool detach;
	bool eof;
	bool silent;
	bool stdin_ask;
	bool wait;
};

/* A WebSocket message.  Returns 0, or -EINVAL with err (required) naming the key and what was
 * expected; ret->id is set whenever one could be read.  gw_native_request_fini() in both cases. */
int gw_native_request_parse(const char *text, size_t len, struct gw_native_request *ret,
                            struct err *err);

/* The body of a REST request whose route says op; an empty one is {}.  Same contract. */
int gw_native_request_parse_body(enum gw_native_op op, const char *text, size_t len,
                                 struct gw_native_request *ret, struct err *err);

void gw_native_request_fini(struct gw_native_request *rq);

#endif /* GW_NATIVE_REQUEST_H */
