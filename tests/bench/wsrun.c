/* tests/bench/wsrun.c - what one execution costs through a server: a bare client.
 *
 * wsrun WAY PLACE TOKEN N: run `1` N times, one after the other, after ten runs to warm up, in the
 * default context of a kernelbridge or of another server of that protocol (PLACE: net.h).
 *
 *   native       one WebSocket for all, from the request to the event `done`
 *   daytona      a new WebSocket per run, as the Daytona SDKs do, from connect() to the close frame
 *   e2b          POST /execute on one connection for all, from the request to the answer's end
 *   opensandbox  POST /code, the same
 *   e2b-fresh, fresh   the same two with a new connection per run, from connect()
 *
 * Prints one JSON object with n, min_ms, p50_ms and p99_ms.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net.h"

#define WARM_UP 10
#define ROOM    ((size_t)2 << 20)

/* A protocol, and how its clients use connections. */
struct way {
	const char *name;
	const char *base; /* of a kernelbridge */
	const char *path;
	const char *body;
	const char *last; /* what the end of a run has in it */
	bool websocket;
	bool kept; /* one connection for all runs */
};

static const char osb_body[] = "{\"code\":\"1\",\"context\":{\"language\":\"python\"}}";

static const struct way ways[] = {
    {.name = "native",
     .base = "",
     .path = "/v1/ws",
     .body = "{\"id\":1,\"op\":\"execute\",\"code\":\"1\"}",
     .last = "\"event\":\"done\"",
     .websocket = true,
     .kept = true},
    {.name = "daytona",
     .base = "/daytona/toolbox/default",
     .path = "/process/interpreter/execute",
     .body = "{\"code\":\"1\"}",
     .websocket = true},
    {.name = "e2b",
     .base = "",
     .path = "/execute",
     .body = "{\"code\":\"1\"}",
     .last = "end_of_execution",
     .kept = true},
    {.name = "e2b-fresh",
     .base = "",
     .path = "/execute",
     .body = "{\"code\":\"1\"}",
     .last = "end_of_execution"},
    {.name = "opensandbox",
     .base = "/sandboxes/default/proxy/44772",
     .path = "/code",
     .body = osb_body,
     .last = "execution_complete",
     .kept = true},
    {.name = "fresh",
     .base = "/sandboxes/default/proxy/44772",
     .path = "/code",
     .body = osb_body,
     .last = "execution_complete"},
};

/* To the message that is the last, or to the close frame where there is none. */
static void
run_ws(struct net_conn *c, const struct way *w)
{
	const char *data = "";
	size_t len = 0;
	unsigned op;

	net_send_frame(c, NET_TEXT, w->body, strlen(w->body));
	do {
		op = net_next_frame(c, &data, &len);
		if (op == NET_GONE || (op == NET_CLOSE && w->last != NULL))
			net_die("the server closed the connection");
	} while (w->last != NULL ? memmem(data, len, w->last, strlen(w->last)) == NULL
	                         : op != NET_CLOSE);
}

/* To the chunk of no bytes. */
static void
run_post(struct net_conn *c, const struct way *w, const struct net_place *to)
{
	size_t n = 0;
	bool done = false;

	net_post(c, to, w->path, w->body);
	net_read_head(c, "HTTP/1.1 200");
	do {
		if (!net_chunk(c, &n) || !net_need(c, n + 2))
			net_die("the server closed the connection");
		done = done || memmem(c->in + c->at, n, w->last, strlen(w->last)) != NULL;
		c->at += n + 2;
	} while (n > 0);
	if (!done)
		net_die("the run failed");
}

static uint64_t
run_once(struct net_conn *c, const struct way *w, const struct net_place *to)
{
	uint64_t from = net_now_us();
	uint64_t took;

	if (!w->kept)
		net_connect_again(c, to);
	if (!w->kept && w->websocket)
		net_upgrade(c, to, w->path);
	if (w->websocket)
		run_ws(c, w);
	else
		run_post(c, w, to);
	took = net_now_us() - from;
	if (!w->kept && w->websocket)
		net_send_frame(c, NET_CLOSE, "\x03\xe8", 2);
	if (!w->kept)
		(void)close(c->fd);
	return took;
}

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
measure(const struct way *w, const struct net_place *to, uint64_t *took, size_t n)
{
	struct net_conn c = {0};

	net_connect(&c, to, ROOM);
	if (w->kept && w->websocket)
		net_upgrade(&c, to, w->path);
	if (!w->kept)
		(void)close(c.fd);
	for (size_t i = 0; i < WARM_UP + n; i++) {
		uint64_t us = run_once(&c, w, to);

		if (i >= WARM_UP)
			took[i - WARM_UP] = us;
	}
	qsort(took, n, sizeof(*took), by_value);
	(void)printf("{\"n\": %zu, \"min_ms\": %.3f, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n", n,
	             (double)took[0] / 1e3, (double)took[n / 2] / 1e3,
	             (double)took[n * 99 / 100] / 1e3);
}

int
main(int argc, char **argv)
{
	const struct way *w = NULL;
	struct net_place to;
	uint64_t *took;
	size_t n = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;

	for (size_t i = 0; argc == 5 && i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(argv[1], ways[i].name) == 0)
			w = &ways[i];
	if (w == NULL || n == 0 || n > 10000000) {
		(void)fprintf(
		    stderr, "usage: wsrun native|daytona|e2b|e2b-fresh|opensandbox|fresh PLACE "
			    "TOKEN N\n");
		return 2;
	}
	net_place_parse(argv[2], w->base, argv[3], &to);
	took = calloc(n, sizeof(*took));
	if (took == NULL)
		net_die("memory");
	measure(w, &to, took, n);
	free(took);
	return 0;
}
