/* gateway/runconn.h - EDGE: HTTP requests to a gateway, for the command-line client; on
 * libwebsockets.
 *
 * A small loop of its own, without threads: requests, one descriptor for the terminal, one
 * signal flag.
 */
#ifndef GW_RUNCONN_H
#define GW_RUNCONN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct err;
struct gw_runconn;

/* Called from gw_runconn_turn() only. */
struct gw_runconn_ops {
	/* The answer's HTTP status; then its body in pieces, lent until return. */
	void (*status)(void *arg, int status);
	void (*data)(void *arg, const char *ptr, size_t len);
	/* Last: the answer is complete (why NULL), or the connection failed or broke. */
	void (*ended)(void *arg, const char *why);
};

/* url is "http[s]://HOST[:PORT][/PREFIX]".  Returns 0 with *ret owned by the caller, -EINVAL
 * or -EIO, with err. */
int gw_runconn_new(const char *url, struct gw_runconn **ret, struct err *err);
/* Breaks off what is under way, without a call.  NULL is fine. */
void gw_runconn_free(struct gw_runconn *rc);

/* True if the url names this machine by a loopback name or address. */
bool gw_runconn_is_local(const struct gw_runconn *rc);

/* Show this token with every request; copied. */
void gw_runconn_set_token(struct gw_runconn *rc, const char *token);

/* POST body (taken) to path.  ended follows, also when the connection cannot even be tried. */
void gw_runconn_post(struct gw_runconn *rc, const char *path, json_t *body,
                     const struct gw_runconn_ops *ops, void *arg);

/* Call fn(arg, bytes, len) whenever fd 0 has some, len 0 at its end or on an error, until
 * gw_runconn_unwatch().  Watching twice is fine. */
typedef void gw_runconn_input_fn(void *arg, const char *ptr, size_t len);
void gw_runconn_watch(struct gw_runconn *rc, gw_runconn_input_fn *fn, void *arg);
void gw_runconn_unwatch(struct gw_runconn *rc);

/* Wait for what comes next and handle it. */
void gw_runconn_turn(struct gw_runconn *rc);

/* Make a turn that waits return; legal in a signal handler. */
void gw_runconn_wake(struct gw_runconn *rc);

#endif /* GW_RUNCONN_H */
