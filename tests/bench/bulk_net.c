/* tests/bench/bulk_net.c - see tests/bench/bulk.h: through the gateway.
 *
 * Blocking sockets and no library: the client must not be what is slow.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bulk.h"

#define ROOM     ((size_t)96 << 20) /* the largest frame or line, with room to read on */
#define READ_MAX ((size_t)1 << 20)
#define OP_TEXT  0x1
#define OP_CLOSE 0x8

struct conn {
	int fd;
	char *in;        /* ROOM bytes */
	size_t at, have; /* in[at..have) is unread */
};

static void
send_all(const struct conn *c, const void *ptr, size_t len)
{
	if (send(c->fd, ptr, len, MSG_NOSIGNAL) != (ssize_t)len)
		bulk_die("send");
}

/* More bytes to in[have..). */
static void
receive(struct conn *c)
{
	ssize_t n;

	if (c->at == c->have)
		c->at = c->have = 0;
	if (c->at > 0 && ROOM - c->have < READ_MAX) {
		memmove(c->in, c->in + c->at, c->have - c->at);
		c->have -= c->at;
		c->at = 0;
	}
	if (c->have == ROOM)
		bulk_die("a message is too large");
	n = ROOM - c->have < READ_MAX ? (ssize_t)(ROOM - c->have) : (ssize_t)READ_MAX;
	n = recv(c->fd, c->in + c->have, (size_t)n, 0);
	if (n <= 0)
		bulk_die("the gateway closed the connection");
	c->have += (size_t)n;
}

static void
need(struct conn *c, size_t n)
{
	while (c->have - c->at < n)
		receive(c);
}

/* Read a head up to the empty line, which is dropped with it; the status must be the one given. */
static void
read_head(struct conn *c, const char *status)
{
	char *end;

	need(c, strlen(status));
	if (memcmp(c->in + c->at, status, strlen(status)) != 0)
		bulk_die("refused");
	while ((end = memmem(c->in + c->at, c->have - c->at, "\r\n\r\n", 4)) == NULL)
		receive(c);
	c->at = (size_t)(end + 4 - c->in);
}

static void
connect_to(struct conn *c, int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int one = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	c->in = malloc(ROOM);
	if (c->in == NULL || c->fd < 0 ||
	    connect(c->fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
		bulk_die("connect");
	memset(c->in, 0, ROOM); /* the pages are there before the clock runs */
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void
disconnect(struct conn *c)
{
	(void)close(c->fd);
	free(c->in);
}

/* --- WebSockets ------------------------------------------------------------------------- */

static void
upgrade(struct conn *c, int port, const char *path, const char *token)
{
	char head[1024];

	connect_to(c, port);
	(void)snprintf(head, sizeof(head),
	               "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
	               "Connection: Upgrade\r\nSec-WebSocket-Key: a2VybmVsYnJpZGdlLTAwMQ==\r\n"
	               "Sec-WebSocket-Version: 13\r\nAuthorization: Bearer %s\r\n\r\n",
	               path, port, token);
	send_all(c, head, strlen(head));
	read_head(c, "HTTP/1.1 101");
}

/* One masked frame (RFC 6455, 5.2); the mask is zero, which is a mask like any other. */
static void
send_frame(const struct conn *c, const char *text)
{
	unsigned char frame[4096] = {0x80U | OP_TEXT, 0x80U | 126U};
	size_t len = strlen(text);

	frame[2] = (unsigned char)(len >> 8);
	frame[3] = (unsigned char)(len & 0xFF);
	memcpy(frame + 8, text, len);
	send_all(c, frame, 8 + len);
}

/* The next frame's opcode, 0 for what continues a message; *ret points at its payload of *ret_len
 * bytes until the next call. */
static unsigned
next_frame(struct conn *c, const char **ret, size_t *ret_len)
{
	const unsigned char *p;
	size_t head = 2, len;
	unsigned op;

	need(c, 2);
	len = (unsigned char)c->in[c->at + 1] & 0x7FU;
	if (len >= 126) {
		head = len == 126 ? 4 : 10;
		need(c, head);
		len = 0;
		p = (const unsigned char *)c->in + c->at;
		for (size_t i = 2; i < head; i++)
			len = len << 8 | p[i];
	}
	need(c, head + len);
	op = (unsigned char)c->in[c->at] & 0x0FU;
	*ret = c->in + c->at + head;
	*ret_len = len;
	c->at += head + len;
	return op;
}

/* {HEAD"code":"..."} */
static void
make_request(char *out, size_t size, const char *head, const char *code, size_t len)
{
	size_t n = (size_t)snprintf(out, size, "{%s\"code\":\"", head);

	if (n + 2 * len + 3 > size)
		bulk_die("the code is too long");
	for (size_t i = 0; i < len; i++) {
		if (code[i] == '\n' || code[i] == '"' || code[i] == '\\')
			out[n++] = '\\';
		out[n++] = code[i];
		if (code[i] == '\n')
			out[n - 1] = 'n';
	}
	memcpy(out + n, "\"}", 3);
}

static uint64_t
run_ws(struct conn *c, const char *request, const char *last, struct bulk_check *check)
{
	const char *data;
	size_t len;
	uint64_t from = bulk_now_us();

	send_frame(c, request);
	for (;;) {
		unsigned op = next_frame(c, &data, &len);

		if (op == OP_CLOSE)
			bulk_die("closed");
		if (op == OP_TEXT &&
		    memmem(data, len < 256 ? len : 256, last, strlen(last)) != NULL)
			break;
		bulk_check_take(check, data, len, op == OP_TEXT);
	}
	return bulk_now_us() - from;
}

uint64_t
bulk_native(int port, const char *token, const char *code, size_t len, struct bulk_check *check)
{
	struct conn c = {0};
	char request[2048];
	uint64_t took;

	make_request(request, sizeof(request), "\"id\":1,\"op\":\"execute\",", code, len);
	upgrade(&c, port, "/v1/ws", token);
	took = run_ws(&c, request, "\"event\":\"done\"", check);
	disconnect(&c);
	return took;
}

uint64_t
bulk_daytona(int port, const char *token, const char *code, size_t len,
             struct bulk_check *check)
{
	struct conn c = {0};
	char request[2048];
	uint64_t took;

	make_request(request, sizeof(request), "", code, len);
	upgrade(&c, port, "/daytona/toolbox/default/process/interpreter/execute", token);
	took = run_ws(&c, request, "\"type\":\"control\"", check);
	disconnect(&c);
	return took;
}

/* --- lines over chunked HTTP ------------------------------------------------------------ */

/* The number at the start of a chunk (RFC 9112, 7.1), with its line. */
static size_t
chunk_size(struct conn *c)
{
	char *end;
	size_t n;

	need(c, 3);
	while ((end = memchr(c->in + c->at, '\n', c->have - c->at)) == NULL)
		receive(c);
	n = strtoul(c->in + c->at, NULL, 16);
	c->at = (size_t)(end + 1 - c->in);
	return n;
}

/* Check text[0..len), which begins a line or goes on with one.  Returns whether the next begins. */
static bool
take_lines(struct bulk_check *check, const char *text, size_t len, bool begins)
{
	const char *nl;

	while (len > 0) {
		size_t n =
		    (nl = memchr(text, '\n', len)) != NULL ? (size_t)(nl + 1 - text) : len;

		bulk_check_take(check, text, n, begins);
		begins = nl != NULL;
		text += n;
		len -= n;
	}
	return begins;
}

uint64_t
bulk_e2b(int port, const char *token, const char *code, size_t len, struct bulk_check *check)
{
	struct conn c = {0};
	char body[2048], head[1024];
	bool begins = true;
	size_t n;
	uint64_t took;

	make_request(body, sizeof(body), "", code, len);
	(void)snprintf(head, sizeof(head),
	               "POST /execute HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-Access-Token: %s\r\n"
	               "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
	               port, token, strlen(body));
	connect_to(&c, port);
	took = bulk_now_us();
	send_all(&c, head, strlen(head));
	send_all(&c, body, strlen(body));
	read_head(&c, "HTTP/1.1 200");
	while ((n = chunk_size(&c)) > 0) {
		need(&c, n + 2);
		begins = take_lines(check, c.in + c.at, n, begins);
		c.at += n + 2;
	}
	took = bulk_now_us() - took;
	disconnect(&c);
	return took;
}
