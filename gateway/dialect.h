/* gateway/dialect.h - one client-facing API, and what the edge offers it.
 *
 * A dialect is a table of routes and two translations: bytes of a request to a
 * call of the core, and events to bytes.  It owns no socket and starts no kernel.
 * The functions gw_http_* and gw_ws_* are the edge's; the fuzzers link a fake edge instead.
 */
#ifndef GW_DIALECT_H
#define GW_DIALECT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct gw_core;
struct gw_http;
struct gw_ws;

/* What a route asks of the caller. DENY is the zero value: a row that forgets it serves nobody. */
enum gw_access {
	GW_ACCESS_DENY,
	GW_ACCESS_PUBLIC, /* no token: health, the page, CORS preflights */
	GW_ACCESS_USER,   /* the gateway's token, or a token made for the sandbox it names */
	GW_ACCESS_LATE,   /* WebSocket only: no token asked, the first message brings it */
	/* As USER, for a row whose path names no sandbox: a token made for any one sandbox
	 * is good too, and the handler compares gw_http_token_sandbox() with the one it acts
	 * on. */
	GW_ACCESS_SANDBOX,
};

/* --- one HTTP exchange ------------------------------------------------------------------ */

/* body[0..len) is the whole body, lent until return.  The answer, now or later, is exactly
 * one of gw_http_reply*() or gw_http_stream_begin() ... gw_http_stream_end() or _cut(). */
typedef void gw_http_fn(struct gw_core *core, struct gw_http *x, const char *body, size_t len);

/* Request accessors; strings are borrowed until the answer is complete, NULL when absent.
 * Parameters and query values are percent-decoded; header names are given in lower case. */
const char *gw_http_method(const struct gw_http *x);
const char *gw_http_path(const struct gw_http *x);
const char *gw_http_param(const struct gw_http *x, const char *name);
const char *gw_http_query(const struct gw_http *x, const char *name);
/* The i-th value, from 0, of a query parameter that is given several times. */
const char *gw_http_query_at(const struct gw_http *x, const char *name, size_t i);
const char *gw_http_header(const struct gw_http *x, const char *name);
/* "http://host:port" as the client named this gateway (Host, X-Forwarded-Proto). */
const char *gw_http_origin(const struct gw_http *x);

/* The one sandbox that the caller's token is good for; NULL: the gateway's own token, or
 * none asked. */
const char *gw_http_token_sandbox(const struct gw_http *x);

/* Add a response header; before the answer begins. */
void gw_http_add_header(struct gw_http *x, const char *name, const char *value);

/* Answer whole.  body is copied; json is taken.  content_type NULL: the answer names none.  JSON
 * longer than GW_HTTP_JSON_MAX becomes an error that says so. */
#define GW_HTTP_JSON_MAX (256U << 20)
void gw_http_reply(struct gw_http *x, int status, const char *content_type, const void *body,
                   size_t len);
void gw_http_reply_json(struct gw_http *x, int status, json_t *json);

/* Answer in pieces (chunked).  write returns 0, also for no bytes, or -EAGAIN: taken, but wait for
 * drained. */
struct gw_http_ops {
	void (*drained)(void *arg);
	/* The client went away before the answer was complete, or its body in pieces was none and
	 * the edge says so (400, 408, 413); x is gone. */
	void (*closed)(void *arg);
	/* Of a dialect whose bodies come in pieces, else NULL: the next len > 0 bytes, lent until
	 * return.  Returns 0, or -EAGAIN: taken, but no more until gw_http_receive(). */
	int (*body)(void *arg, const char *data, size_t len);
	/* The body is complete: answer, now or later. */
	void (*body_end)(void *arg);
};
/* An exchange that is not answered at once says whom to tell; also without a stream. */
void gw_http_set_ops(struct gw_http *x, const struct gw_http_ops *ops, void *arg);
void gw_http_stream_begin(struct gw_http *x, int status, const char *content_type);
/* The same where the length of the body is known: exactly length bytes are to be written before
 * the end, or the answer is cut. */
void gw_http_stream_begin_sized(struct gw_http *x, int status, const char *content_type,
                                uint64_t length);
int gw_http_stream_write(struct gw_http *x, const void *ptr, size_t len);
/* The same without a copy where b is large: however large, if nothing is written between -EAGAIN
 * and drained.  b is empty after it. */
int gw_http_stream_write_buf(struct gw_http *x, struct buf *b);
void gw_http_stream_end(struct gw_http *x);
/* End it as if the gateway had broken down: the connection closes, and the client knows that
 * something is missing. */
void gw_http_stream_cut(struct gw_http *x);

/* --- a body in pieces -------------------------------------------------------------------- */

/* The handler of a dialect with .pieces gets body NULL, once the head was admitted, and sets its
 * ops or answers at once.  The pieces come in later turns, never while that handler or
 * gw_http_receive() is on the stack; max_body_bytes bounds them in public rows only.  An answer
 * before body_end leaves the rest unread, and the connection closes after it; neither body nor
 * body_end follow.  Between -EAGAIN and gw_http_receive() nothing is read: that the client has left
 * is noticed after it. */

/* More, after body returned -EAGAIN. */
void gw_http_receive(struct gw_http *x);

/* --- one WebSocket ---------------------------------------------------------------------- */

struct gw_ws_ops {
	/* The upgrade was accepted (101 is on its way). */
	void (*opened)(struct gw_core *core, struct gw_ws *c);
	/* msg[0..len) is one whole message, lent until return; text is valid UTF-8 (else the
	 * edge closed with 1007). */
	void (*message)(struct gw_core *core, struct gw_ws *c, const char *msg, size_t len,
	                bool binary);
	/* The outgoing queue fell below its low mark.  May be NULL. */
	void (*drained)(struct gw_core *core, struct gw_ws *c);
	/* Last call, whoever closed; c is gone when it returns. */
	void (*closed)(struct gw_core *core, struct gw_ws *c);
};

/* Same accessors as an exchange has, from the upgrade request; borrowed until closed. */
const char *gw_ws_param(const struct gw_ws *c, const char *name);
const char *gw_ws_query(const struct gw_ws *c, const char *name);
const char *gw_ws_header(const struct gw_ws *c, const char *name);
const char *gw_ws_origin(const struct gw_ws *c);
const char *gw_ws_token_sandbox(const struct gw_ws *c);

/* What the dialect keeps per connection. */
void gw_ws_set_data(struct gw_ws *c, void *data);
void *gw_ws_data(const struct gw_ws *c);

/* Queue a text message (copied).  Returns 0, or -EAGAIN: taken, but wait for drained. */
int gw_ws_send(struct gw_ws *c, const void *ptr, size_t len);
/* The same for JSON, which is taken. */
int gw_ws_send_json(struct gw_ws *c, json_t *json);
/* The same without a copy where it is large: b begins with GW_WS_ROOM bytes of any kind, then the
 * message.  b is empty after it.  A large message goes in fragments. */
#define GW_WS_ROOM 10
int gw_ws_send_buf(struct gw_ws *c, struct buf *b);
/* Send what is queued, then a close frame (reason is cut to 123 bytes).  No message follows;
 * closed comes when the peer has answered or after a few seconds. */
void gw_ws_close(struct gw_ws *c, int code, const char *reason);

/* Present a late token (GW_ACCESS_LATE).  True if it is good. */
bool gw_ws_authenticate(struct gw_ws *c, const char *token);

/* --- routes ----------------------------------------------------------------------------- */

struct gw_route {
	const char *method; /* "GET", ..., or "WS" */
	/* "/contexts/{id}/execute"; {name} matches one segment, a last {name...} the rest */
	const char *path;
	enum gw_access access;
	gw_http_fn *http;
	const struct gw_ws_ops *ws;
	/* What identifies this row besides method and path: a request header (lower case)
	 * that must be present, or NULL.  Rows with one are tried first. */
	const char *header;
	/* WebSocket: an offered subprotocol that starts with this is accepted and echoed; or
	 * NULL. */
	const char *subprotocol;
};

/* How a dialect says no: a JSON body in its own shape for statuses that the edge itself detects
 * (401, 403, 404, 405, 413, 431, 503) below its prefix. */
typedef json_t *gw_error_fn(int status, const char *message, const char *path);

struct gw_dialect {
	const char *name;
	/* Longest matching prefix owns the edge's errors; "" for root.  A segment {name} matches
	 * any one segment, and counts as long as it is written. */
	const char *prefix;
	const struct gw_route *routes; /* ends with a NULL method */
	gw_error_fn *error;            /* NULL: {"error": {"code", "message"}} */
	bool pieces; /* bodies of its rows come in pieces (gw_http_ops.body), not whole */
};

#endif /* GW_DIALECT_H */
