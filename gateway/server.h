/* gateway/server.h - EDGE: listeners, HTTP of our own, WebSockets on libwebsockets.
 *
 * One server serves every dialect on every listener, told apart by the route table.  It checks,
 * in this order: limits, Host and Origin (a web page elsewhere must not reach a gateway on
 * loopback), the route, the access column.  HTTP/1.1 is read here, WebSockets are
 * libwebsockets': of the server, only ws.c and wsd.c know struct lws.
 */
#ifndef GW_SERVER_H
#define GW_SERVER_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct gw_auth;
struct gw_core;
struct gw_dialect;
struct gw_metrics;
struct gw_server;
struct loop;

struct gw_server_config {
	struct loop *lp;                          /* borrowed */
	struct gw_core *core;                     /* borrowed; passed to the dialects */
	struct gw_auth *auth;                     /* borrowed */
	const struct gw_dialect *const *dialects; /* NULL-terminated, borrowed for ever */
	const char *const *listen; /* "ADDR:PORT", "[v6]:PORT"; NULL-terminated; port 0: any */
	const char *const
	    *allow_origins;             /* further origins; "*" any; NULL-terminated; copied */
	const char *const *allow_hosts; /* further Host names; the same */
	const char *domain;             /* Host names below it too; NULL: none; borrowed */
	size_t max_body_bytes;
	size_t max_message_bytes; /* one WebSocket message from a client */
	size_t max_header_bytes;
	size_t max_connections;
	uint64_t max_descriptors; /* that the process may come to have, for all its limits */
	size_t send_high_bytes;   /* -EAGAIN above */
	size_t send_low_bytes;    /* drained below */
	uint64_t idle_timeout_ms; /* keep-alive connections and half-sent requests */
	uint64_t ping_every_ms;   /* WebSocket keepalive; closed when two go unanswered */
};

/* Open every listener, or none: returns 0, or -EINVAL/-EADDRINUSE/-EIO with err naming the one. */
int gw_server_start(const struct gw_server_config *cfg, struct gw_server **ret,
                    struct err *err);

/* "http://127.0.0.1:8686" of listener i, NULL past the last; lent until freed. */
const char *gw_server_url(const struct gw_server *s, size_t i);

/* The port of the first listener that a connection to 127.0.0.1 reaches: one bound to it, or to
 * 0.0.0.0 (IPv6 listeners take no IPv4).  0: there is none. */
unsigned gw_server_port_of_loopback(const struct gw_server *s);

/* Stop accepting; what is open goes on.  Then close all: WebSockets with 1001; an answer on
 * its way may still leave.  What takes more than five seconds is dropped. */
void gw_server_drain(struct gw_server *s);
void gw_server_close_all(struct gw_server *s);
size_t gw_server_connections(const struct gw_server *s);

/* Closes all; returns when every descriptor is closed.  Call it from outside loop_run(): it
 * runs the loop itself, since libwebsockets closes in later turns.  NULL is fine. */
void gw_server_free(struct gw_server *s);

#endif /* GW_SERVER_H */
