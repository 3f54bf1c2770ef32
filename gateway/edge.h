/* gateway/edge.h - EDGE, private: what its files know of each other.
 *
 *   server.c  listeners, limits, the clock of all connections
 *   conn.c    one socket: bytes in, bytes out, closing
 *   http.c    the exchanges on a socket; body.c what comes, answer.c what goes back
 *   ws.c      WebSockets, on libwebsockets; wsd.c its context
 *
 * A connection begins as HTTP on our own loop.  An accepted upgrade hands its descriptor to
 * libwebsockets, which speaks RFC 6455 on it from then on.  HTTP/1.1 itself is ours because
 * libwebsockets 4.1.6 cannot do what the dialects need of it: it neither sees a client that
 * leaves during a GET (it spins instead) nor decodes chunked bodies.
 */
#ifndef GW_EDGE_H
#define GW_EDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/outq.h"
#include "gateway/request.h"
#include "gateway/server.h"
#include "wire/base/buf.h"
#include "wire/base/list.h"
#include "wire/base/log.h"
#include "wire/base/loop.h"

#define GW_EDGE_QUEUE_MAX (64U << 20) /* bytes that may wait for one client */
#define GW_EDGE_READ_MAX  (64U << 10) /* what one read takes: the size of scratch */

struct gw_conn;
struct gw_dialect;
struct gw_http;
struct gw_listener;
struct gw_ws;
struct gw_wsd;

struct gw_server {
	struct gw_server_config cfg;
	char **allow_hosts, **allow_origins; /* owned; cfg points at them */
	struct gw_route_table *routes;
	struct gw_wsd *wsd; /* the WebSocket engine */
	struct gw_listener *listeners;
	size_t listeners_n;
	struct list conns;      /* HTTP */
	struct list websockets; /* WebSockets */
	size_t open_n;          /* both */
	size_t refused_n;       /* of them, being told that there are too many */
	uint64_t last_id;
	struct loop_timer *clock;
	uint64_t tick_ms;
	int spare_fd;  /* given up to accept and refuse when there are no more */
	bool draining; /* no more clients */
	bool stopping; /* and those that are here must go */
	char *scratch;
};

/* One warning a second of each kind; the rest are counted in the next. */
struct gw_edge_warn {
	uint64_t next_ms;
	uint64_t held;
};
bool gw_edge_may_warn(struct gw_server *s, struct gw_edge_warn *w, uint64_t *ret_held);

/* Which Hosts and Origins this listener takes. */
const struct gw_origin_rules *gw_edge_rules(const struct gw_listener *l);

/* --- conn.c ------------------------------------------------------------------------------- */

enum gw_conn_state {
	GW_CONN_READING,  /* a head, or the body of x */
	GW_CONN_BUSY,     /* x is the dialect's turn, also while it holds a body in pieces */
	GW_CONN_FLUSHING, /* x is answered, its bytes are leaving */
	GW_CONN_LINGER,   /* we said all; reading to nowhere until the client closes */
	GW_CONN_DEAD,     /* closed, freed at the end of the turn */
	GW_CONN_STATE_N
};

struct gw_conn {
	struct list node; /* of conns */
	struct gw_server *s;
	const struct gw_listener *from;
	struct log_id id;
	char peer[46]; /* its address */
	enum gw_conn_state state;
	int fd;
	struct loop_fd *watch;
	unsigned watching;     /* LOOP_READ | LOOP_WRITE */
	struct loop_task turn; /* end of this turn: send, go on */
	struct buf in;
	struct gw_outq out;
	struct gw_http *x;    /* the exchange in progress, or NULL */
	bool eof;             /* the client will send no more */
	bool close_after;     /* what is in out is the last */
	bool full;            /* over the high mark, drained is due */
	bool blocked;         /* the socket takes no more for now */
	bool refused;         /* counted in refused_n */
	uint64_t since_ms;    /* of what deadline_ms measures */
	uint64_t deadline_ms; /* 0: none */
	uint64_t requests_n;
};

/* A new connection on fd, which is taken. */
void gw_conn_new(struct gw_server *s, const struct gw_listener *from, int fd, const char *peer);

/* Queue bytes; they leave at the end of the turn. */
void gw_conn_put(struct gw_conn *c, const void *a, size_t an, const void *b, size_t bn);
/* The same without a copy where there are many, and also past the queue's ceiling, unless it waits
 * for such a one already.  b is empty after it. */
void gw_conn_put_buf(struct gw_conn *c, struct buf *b);

/* Over the high mark? Then ask to be told. */
bool gw_conn_is_full(struct gw_conn *c);

void gw_conn_set_state(struct gw_conn *c, enum gw_conn_state to);

/* Close now, whatever waits; the exchange learns of it.  c is freed at the end of the turn. */
void gw_conn_drop(struct gw_conn *c, const char *why);

/* The gateway stops: drop c, or, if an answer is on its way, close soon after it. */
void gw_conn_wind_up(struct gw_conn *c);

/* Give up the descriptor to the caller and go, at the end of the turn. */
int gw_conn_release(struct gw_conn *c);

/* Check its deadline. */
void gw_conn_tick(struct gw_conn *c, uint64_t now_ms);

/* --- http.c ------------------------------------------------------------------------------- */

/* Use what is in c->in: called when more came, or when an exchange has ended. */
void gw_http_input(struct gw_conn *c);

/* The dialect takes no more of the body of c->x for now. */
bool gw_http_holds(const struct gw_conn *c);

/* The end of a turn: pieces that were asked for. */
void gw_http_turn(struct gw_conn *c);

/* The queue of c fell below its low mark. */
void gw_http_drained(struct gw_conn *c);

/* Answer with an error made by the edge, and close.  Where c->x exists, it is its answer. */
void gw_http_refuse(struct gw_conn *c, int status, const char *why);

/* The answer of c->x has left, or its socket died: free it, telling the dialect if it still
 * waited. */
void gw_http_end(struct gw_conn *c);

/* The client has closed its side. True if an exchange still needs the connection. */
bool gw_http_wants_out(const struct gw_conn *c);

/* --- ws.c, wsd.c --------------------------------------------------------------------------- */

/* The engine; NULL where libwebsockets lacks its libuv event library. */
struct gw_wsd *gw_wsd_new(struct gw_server *s);
/* Close every WebSocket at once and release the engine; runs the loop until that is done. */
void gw_wsd_free(struct gw_wsd *d);

/* Turn from, whose request r was admitted and is taken, into a WebSocket; from ends by that. */
void gw_ws_adopt(struct gw_conn *from, struct gw_request *r);

/* Ask every client to go: close code 1001. */
void gw_ws_close_all(struct gw_server *s);

/* Pings and deadlines. */
void gw_ws_tick(struct gw_ws *c, uint64_t now_ms);
struct gw_ws *gw_ws_of_node(struct list *node);

#endif /* GW_EDGE_H */
