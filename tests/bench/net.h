/* tests/bench/net.h - the clients' side of HTTP and WebSockets, for measuring: blocking sockets and
 * no library, so that the client is not what is slow.
 *
 * What goes wrong before the measured request is answered ends the program with a line on stderr
 * and status 1.
 */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_MORE  0x0U /* a frame that continues a message (RFC 6455, 5.2) */
#define NET_TEXT  0x1U
#define NET_CLOSE 0x8U
#define NET_GONE  0x100U /* no frame: the connection ended without one */

/* Where a server is: an IPv4 address, a port, what stands before a protocol's paths, a token. */
struct net_place {
	char host[64];
	int port;
	char base[256];
	const char *token; /* borrowed; "": none */
};

/* text is PORT, which is a kernelbridge on this machine, whose paths begin with base; or
 * [http://]HOST:PORT[/BASE]. */
void net_place_parse(const char *text, const char *base, const char *token,
                     struct net_place *ret);

struct net_conn {
	int fd;
	char *in;
	size_t room;     /* of in: the largest frame or chunk, with some to read on */
	size_t at, have; /* in[at..have) is unread */
};

/* The room is there, and its pages are touched, before this returns. */
void net_connect(struct net_conn *c, const struct net_place *place, size_t room);
/* As that, with the room that c has. */
void net_connect_again(struct net_conn *c, const struct net_place *place);
void net_disconnect(struct net_conn *c);

void net_send(const struct net_conn *c, const void *ptr, size_t len);
/* Read until n bytes are unread; false: the connection ended before. */
bool net_need(struct net_conn *c, size_t n);
/* Read a head up to its empty line and drop both; the status must be the one given. */
void net_read_head(struct net_conn *c, const char *status);
/* Read more, whatever there is; false: the connection ended. */
bool net_receive(struct net_conn *c);

/* On a connection: become a WebSocket at that path. */
void net_upgrade(struct net_conn *c, const struct net_place *to, const char *path);
/* One masked frame, of at most 64 KiB. */
void net_send_frame(const struct net_conn *c, unsigned op, const void *ptr, size_t len);
/* The next frame's opcode; *ret points at its payload of *ret_len bytes until the next call. */
unsigned net_next_frame(struct net_conn *c, const char **ret, size_t *ret_len);

/* Send a POST with a body of JSON. */
void net_post(const struct net_conn *c, const struct net_place *to, const char *path,
              const char *body);
/* The size of the chunk that follows (RFC 9112, 7.1); false: the connection ended. */
bool net_chunk(struct net_conn *c, size_t *ret);

/* Write {HEAD"code":"..."TAIL} with the code escaped. */
void net_make_request(char *out, size_t size, const char *head, const char *code, size_t len,
                      const char *tail);

/* Monotonic clock. */
uint64_t net_now_us(void);

/* Print why and exit with status 1. */
_Noreturn void net_die(const char *why);

#endif /* BENCH_NET_H */
