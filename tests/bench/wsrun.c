/* tests/bench/wsrun.c - what one execution costs through the gateway: a bare client.
 *
 * wsrun native|daytona|opensandbox|fresh PORT TOKEN N: run `1` N times, one after the other, after
 * ten runs to warm up.  native: one WebSocket for all, timed from the request to the `done` event.
 * daytona: a new WebSocket per run, as the Daytona SDKs do, timed from connect() to the server's
 * close frame.  opensandbox: POST /code on one connection for all, as the OpenSandbox SDKs do,
 * timed from the request to the end of the answer; fresh: the same with a new connection per run.
 * Prints one JSON object with n, min_ms, p50_ms and p99_ms.
 *
 * Blocking sockets and no library, so that the client's own cost is a few system calls.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WARM_UP  10
#define IN_MAX   65536
#define OP_TEXT  0x1
#define OP_CLOSE 0x8

struct conn {
	int fd;
	unsigned char in[IN_MAX];
	size_t in_len;
	size_t used; /* of the frame handed out last */
};

static void
die(const char *what)
{
	(void)fprintf(stderr, "wsrun: %s: %s\n", what, strerrordesc_np(errno));
	exit(1);
}

static uint64_t
now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void
send_all(const struct conn *c, const void *ptr, size_t len)
{
	if (send(c->fd, ptr, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("send");
}

/* One masked frame (RFC 6455, 5.2); the mask is zero, which is a mask like any other. */
static void
send_frame(const struct conn *c, unsigned op, const char *text)
{
	unsigned char frame[512] = {0};
	size_t len = strlen(text);
	size_t head = len < 126 ? 2 : 4;

	frame[0] = (unsigned char)(0x80U | op);
	frame[1] = (unsigned char)(0x80U | (len < 126 ? len : 126));
	frame[2] = (unsigned char)(len < 126 ? 0 : len >> 8);
	frame[3] = (unsigned char)(len < 126 ? 0 : len & 0xFF);
	memcpy(frame + head + 4, text, len);
	send_all(c, frame, head + 4 + len);
}

static void
receive(struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_len, IN_MAX - 1 - c->in_len, 0);

	if (n <= 0)
		die("the gateway closed the connection");
	c->in_len += (size_t)n;
	c->in[c->in_len] = '\0';
}

static void
drop(struct conn *c, size_t n)
{
	memmove(c->in, c->in + n, c->in_len - n);
	c->in_len -= n;
	c->in[c->in_len] = '\0';
}

/* The next frame's opcode; *ret points at its payload of *ret_len bytes until the next call. */
static unsigned
next_frame(struct conn *c, const char **ret, size_t *ret_len)
{
	drop(c, c->used);
	for (;;) {
		size_t len = c->in[1] & 0x7FU;
		size_t head = len < 126 ? 2 : 4;

		if (c->in_len >= head && len == 126)
			len = (size_t)c->in[2] << 8 | c->in[3];
		if (c->in_len >= head && c->in_len >= head + len) {
			c->used = head + len;
			*ret = (const char *)c->in + head;
			*ret_len = len;
			return c->in[0] & 0x0FU;
		}
		receive(c);
	}
}

static void
connect_to(struct conn *c, int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int one = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	c->in_len = c->used = 0;
	c->in[0] = '\0';
	if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
		die("connect");
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* Read a head up to its empty line and drop both; the status must be the one given. */
static void
read_head(struct conn *c, const char *status)
{
	char *end;

	while ((end = strstr((const char *)c->in, "\r\n\r\n")) == NULL)
		receive(c);
	if (strncmp((const char *)c->in, status, strlen(status)) != 0)
		die("refused");
	drop(c, (size_t)(end + 4 - (char *)c->in));
}

static void
upgrade(struct conn *c, int port, const char *path, const char *token)
{
	char request[1024];

	connect_to(c, port);
	(void)snprintf(request, sizeof(request),
	               "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
	               "Connection: Upgrade\r\nSec-WebSocket-Key: a2VybmVsYnJpZGdlLTAwMQ==\r\n"
	               "Sec-WebSocket-Version: 13\r\nAuthorization: Bearer %s\r\n\r\n",
	               path, port, token);
	send_all(c, request, strlen(request));
	read_head(c, "HTTP/1.1 101");
}

static uint64_t
run_daytona(int port, const char *token)
{
	struct conn c;
	const char *data;
	size_t len;
	uint64_t from = now_us();
	uint64_t took;

	upgrade(&c, port, "/daytona/toolbox/default/process/interpreter/execute", token);
	send_frame(&c, OP_TEXT, "{\"code\":\"1\"}");
	while (next_frame(&c, &data, &len) != OP_CLOSE)
		;
	took = now_us() - from;
	send_frame(&c, OP_CLOSE, "\x03\xe8");
	(void)close(c.fd);
	return took;
}

static uint64_t
run_native(struct conn *c)
{
	const char *data;
	size_t len;
	uint64_t from = now_us();

	send_frame(c, OP_TEXT, "{\"id\":1,\"op\":\"execute\",\"code\":\"1\"}");
	do {
		(void)next_frame(c, &data, &len);
	} while (memmem(data, len, "\"event\":\"done\"", 14) == NULL);
	return now_us() - from;
}

/* POST /code in the default sandbox; the answer ends with the chunk of no bytes. */
static void
post_code(struct conn *c, int port, const char *token)
{
	static const char body[] = "{\"code\":\"1\",\"context\":{\"language\":\"python\"}}";
	static const char end[] = "\r\n0\r\n\r\n";
	char request[1024];

	(void)snprintf(request, sizeof(request),
	               "POST /sandboxes/default/proxy/44772/code HTTP/1.1\r\n"
	               "Host: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n"
	               "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	               port, token, sizeof(body) - 1, body);
	send_all(c, request, strlen(request));
	read_head(c, "HTTP/1.1 200");
	while (c->in_len < sizeof(end) - 1 ||
	       memcmp(c->in + c->in_len - (sizeof(end) - 1), end, sizeof(end) - 1) != 0)
		receive(c);
	if (strstr((const char *)c->in, "execution_complete") == NULL)
		die("the run failed");
	drop(c, c->in_len);
}

static uint64_t
run_opensandbox(struct conn *c, int port, const char *token)
{
	uint64_t from = now_us();

	post_code(c, port, token);
	return now_us() - from;
}

static uint64_t
run_fresh(int port, const char *token)
{
	static struct conn c;
	uint64_t from = now_us();
	uint64_t took;

	connect_to(&c, port);
	post_code(&c, port, token);
	took = now_us() - from;
	(void)close(c.fd);
	return took;
}

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* c: of those ways that keep one. */
static uint64_t
run_once(const char *how, struct conn *c, int port, const char *token)
{
	if (strcmp(how, "native") == 0)
		return run_native(c);
	if (strcmp(how, "opensandbox") == 0)
		return run_opensandbox(c, port, token);
	return strcmp(how, "fresh") == 0 ? run_fresh(port, token) : run_daytona(port, token);
}

int
main(int argc, char **argv)
{
	static struct conn kept;
	const char *how = argc == 5 ? argv[1] : "";
	uint64_t *took;
	size_t n;
	int port;

	if (strcmp(how, "native") != 0 && strcmp(how, "daytona") != 0 &&
	    strcmp(how, "opensandbox") != 0 && strcmp(how, "fresh") != 0) {
		(void)fprintf(stderr,
		              "usage: wsrun native|daytona|opensandbox|fresh PORT TOKEN N\n");
		return 2;
	}
	port = (int)strtol(argv[2], NULL, 10);
	n = strtoul(argv[4], NULL, 10);
	if (n == 0 || n > 10000000)
		return 2;
	took = calloc(n, sizeof(*took));
	if (took == NULL)
		die("memory");
	if (strcmp(how, "native") == 0)
		upgrade(&kept, port, "/v1/ws", argv[3]);
	else if (strcmp(how, "opensandbox") == 0)
		connect_to(&kept, port);
	for (size_t i = 0; i < WARM_UP + n; i++) {
		uint64_t us = run_once(how, &kept, port, argv[3]);

		if (i >= WARM_UP)
			took[i - WARM_UP] = us;
	}
	qsort(took, n, sizeof(*took), by_value);
	(void)printf("{\"n\": %zu, \"min_ms\": %.3f, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n", n,
	             (double)took[0] / 1e3, (double)took[n / 2] / 1e3,
	             (double)took[n * 99 / 100] / 1e3);
	free(took);
	return 0;
}
