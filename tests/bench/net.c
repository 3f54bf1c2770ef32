/* tests/bench/net.c - see tests/bench/net.h. */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_MAX ((size_t)1 << 20)
#define HEAD_MAX 2048
#define SEND_MAX 65536

uint64_t
net_now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void
net_die(const char *why)
{
	(void)fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, why,
	              strerrordesc_np(errno));
	exit(1);
}

void
net_place_parse(const char *text, const char *base, const char *token, struct net_place *ret)
{
	const char *colon;
	const char *path;

	*ret = (struct net_place){.host = "127.0.0.1", .token = token};
	if (strncmp(text, "http://", 7) == 0)
		text += 7;
	colon = strchr(text, ':');
	path = strchr(text, '/');
	if (colon != NULL)
		(void)snprintf(ret->host, sizeof(ret->host), "%.*s", (int)(colon - text), text);
	ret->port = (int)strtol(colon == NULL ? text : colon + 1, NULL, 10);
	if (colon == NULL)
		path = base;
	(void)snprintf(ret->base, sizeof(ret->base), "%s", path == NULL ? "" : path);
}

/* --- connections ------------------------------------------------------------------------ */

void
net_connect_again(struct net_conn *c, const struct net_place *place)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
	                         .sin_port = htons((uint16_t)place->port)};
	int one = 1;

	if (inet_pton(AF_INET, place->host, &to.sin_addr) != 1)
		net_die("the host must be an IPv4 address");
	c->at = c->have = 0;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
		net_die("connect");
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

void
net_connect(struct net_conn *c, const struct net_place *place, size_t room)
{
	c->in = malloc(room);
	if (c->in == NULL)
		net_die("memory");
	c->room = room;
	memset(c->in, 0, room); /* the pages are there before the clock runs */
	net_connect_again(c, place);
}

void
net_disconnect(struct net_conn *c)
{
	(void)close(c->fd);
	free(c->in);
	c->in = NULL;
}

void
net_send(const struct net_conn *c, const void *ptr, size_t len)
{
	if (send(c->fd, ptr, len, MSG_NOSIGNAL) != (ssize_t)len)
		net_die("send");
}

bool
net_receive(struct net_conn *c)
{
	size_t free_n;
	ssize_t n;

	if (c->at == c->have)
		c->at = c->have = 0;
	if (c->at > 0 && c->room - c->have < READ_MAX) {
		memmove(c->in, c->in + c->at, c->have - c->at);
		c->have -= c->at;
		c->at = 0;
	}
	free_n = c->room - c->have;
	if (free_n == 0)
		net_die("a message is too large");
	n = recv(c->fd, c->in + c->have, free_n < READ_MAX ? free_n : READ_MAX, 0);
	if (n > 0)
		c->have += (size_t)n;
	return n > 0;
}

bool
net_need(struct net_conn *c, size_t n)
{
	while (c->have - c->at < n)
		if (!net_receive(c))
			return false;
	return true;
}

void
net_read_head(struct net_conn *c, const char *status)
{
	char *end;

	if (!net_need(c, strlen(status)))
		net_die("no answer");
	if (memcmp(c->in + c->at, status, strlen(status)) != 0)
		net_die("refused");
	while ((end = memmem(c->in + c->at, c->have - c->at, "\r\n\r\n", 4)) == NULL)
		if (!net_receive(c))
			net_die("no answer");
	c->at = (size_t)(end + 4 - c->in);
}

/* The token under each of the names that the protocols have for it, or nothing. */
static const char *
credentials(const struct net_place *to, char *out, size_t size)
{
	out[0] = '\0';
	if (to->token[0] != '\0')
		(void)snprintf(out, size,
		               "Authorization: Bearer %s\r\nX-Access-Token: %s\r\n"
		               "X-EXECD-ACCESS-TOKEN: %s\r\n",
		               to->token, to->token, to->token);
	return out;
}

/* --- WebSockets ------------------------------------------------------------------------- */

void
net_upgrade(struct net_conn *c, const struct net_place *to, const char *path)
{
	char head[HEAD_MAX], access[HEAD_MAX / 2];

	(void)snprintf(head, sizeof(head),
	               "GET %s%s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\n"
	               "Connection: Upgrade\r\nSec-WebSocket-Key: a2VybmVsYnJpZGdlLTAwMQ==\r\n"
	               "Sec-WebSocket-Version: 13\r\n%s\r\n",
	               to->base, path, to->host, to->port,
	               credentials(to, access, sizeof(access)));
	net_send(c, head, strlen(head));
	net_read_head(c, "HTTP/1.1 101");
}

/* The mask is zero, which is a mask like any other (RFC 6455, 5.2). */
void
net_send_frame(const struct net_conn *c, unsigned op, const void *ptr, size_t len)
{
	unsigned char frame[SEND_MAX] = {0};
	size_t head = len < 126 ? 2 : 4;

	if (head + 4 + len > sizeof(frame))
		net_die("a frame is too long");
	frame[0] = (unsigned char)(0x80U | op);
	frame[1] = (unsigned char)(0x80U | (len < 126 ? len : 126));
	frame[2] = (unsigned char)(len < 126 ? 0 : len >> 8);
	frame[3] = (unsigned char)(len < 126 ? 0 : len & 0xFF);
	memcpy(frame + head + 4, ptr, len);
	net_send(c, frame, head + 4 + len);
}

unsigned
net_next_frame(struct net_conn *c, const char **ret, size_t *ret_len)
{
	const unsigned char *p;
	size_t head = 2, len;
	unsigned op;

	if (!net_need(c, 2))
		return NET_GONE;
	len = (unsigned char)c->in[c->at + 1] & 0x7FU;
	if (len >= 126) {
		head = len == 126 ? 4 : 10;
		if (!net_need(c, head))
			return NET_GONE;
		len = 0;
		p = (const unsigned char *)c->in + c->at;
		for (size_t i = 2; i < head; i++)
			len = len << 8 | p[i];
	}
	if (!net_need(c, head + len))
		return NET_GONE;
	op = (unsigned char)c->in[c->at] & 0x0FU;
	*ret = c->in + c->at + head;
	*ret_len = len;
	c->at += head + len;
	return op;
}

/* --- requests --------------------------------------------------------------------------- */

void
net_post(const struct net_conn *c, const struct net_place *to, const char *path,
         const char *body)
{
	char text[HEAD_MAX + SEND_MAX], access[HEAD_MAX / 2];
	int n = snprintf(text, sizeof(text),
	                 "POST %s%s HTTP/1.1\r\nHost: %s:%d\r\n%s"
	                 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	                 to->base, path, to->host, to->port,
	                 credentials(to, access, sizeof(access)), strlen(body), body);

	if (n < 0 || (size_t)n >= sizeof(text))
		net_die("a request is too long");
	net_send(c, text, (size_t)n);
}

bool
net_chunk(struct net_conn *c, size_t *ret)
{
	char *end;

	if (!net_need(c, 3))
		return false;
	while ((end = memchr(c->in + c->at, '\n', c->have - c->at)) == NULL)
		if (!net_receive(c))
			return false;
	*ret = strtoul(c->in + c->at, NULL, 16);
	c->at = (size_t)(end + 1 - c->in);
	return true;
}

void
net_make_request(char *out, size_t size, const char *head, const char *code, size_t len,
                 const char *tail)
{
	size_t n = (size_t)snprintf(out, size, "{%s\"code\":\"", head);

	if (n + 2 * len + strlen(tail) + 3 > size)
		net_die("the code is too long");
	for (size_t i = 0; i < len; i++) {
		if (code[i] == '\n' || code[i] == '"' || code[i] == '\\')
			out[n++] = '\\';
		out[n++] = code[i];
		if (code[i] == '\n')
			out[n - 1] = 'n';
	}
	(void)snprintf(out + n, size - n, "\"%s}", tail);
}
