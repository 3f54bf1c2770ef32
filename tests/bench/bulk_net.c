/* tests/bench/bulk_net.c - see tests/bench/bulk.h: through a server. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bulk.h"
#include "net.h"

#define ROOM     ((size_t)160 << 20) /* the largest frame or line, with room to read on */
#define BODY_MAX 2048

/* After the first output: read nothing for as long as the run says. */
static void
stall(struct bulk_run *r)
{
	if (r->stall_ms > 0 && r->check.messages > 0) {
		(void)usleep(r->stall_ms * 1000);
		r->stall_ms = 0;
	}
}

/* OpenSandbox's: events that have a text and are no output. */
static bool
is_news(const char *json, size_t len)
{
	size_t head = len < 64 ? len : 64;

	return memmem(json, head, "\"type\":\"init\"", 13) != NULL ||
	       memmem(json, head, "\"type\":\"ping\"", 13) != NULL;
}

static void
take(struct bulk_run *r, const char *json, size_t len, bool begins)
{
	if (len > r->largest)
		r->largest = len;
	if (begins && is_news(json, len))
		len = 0;
	bulk_check_take(&r->check, json, len, begins);
	stall(r);
}

/* --- WebSockets ------------------------------------------------------------------------- */

/* last: what the first bytes of the last message have in them. */
static void
run_ws(struct bulk_run *r, const struct net_place *to, const char *path, const char *head,
       const char *last)
{
	struct net_conn c;
	char request[BODY_MAX];
	const char *data = "";
	size_t len = 0;

	net_make_request(request, sizeof(request), head, r->code, r->len, "");
	net_connect(&c, to, ROOM);
	net_upgrade(&c, to, path);
	r->took_us = net_now_us();
	net_send_frame(&c, NET_TEXT, request, strlen(request));
	for (;;) {
		unsigned op = net_next_frame(&c, &data, &len);

		if (op == NET_GONE || op == NET_CLOSE)
			break;
		r->ended = op == NET_TEXT &&
		           memmem(data, len < 256 ? len : 256, last, strlen(last)) != NULL;
		if (r->ended)
			break;
		if (op == NET_TEXT || op == NET_MORE)
			take(r, data, len, op == NET_TEXT);
	}
	r->took_us = net_now_us() - r->took_us;
	net_disconnect(&c);
}

void
bulk_native(struct bulk_run *r, const struct net_place *to)
{
	run_ws(r, to, "/v1/ws", "\"id\":1,\"op\":\"execute\",", "\"event\":\"done\"");
}

void
bulk_daytona(struct bulk_run *r, const struct net_place *to)
{
	run_ws(r, to, "/process/interpreter/execute", "", "\"type\":\"control\"");
}

/* --- lines over chunked HTTP ------------------------------------------------------------ */

/* Check text[0..len), which begins a line or goes on with one.  Returns whether the next begins. */
static bool
take_lines(struct bulk_run *r, const char *text, size_t len, bool begins)
{
	const char *nl;

	while (len > 0) {
		size_t n =
		    (nl = memchr(text, '\n', len)) != NULL ? (size_t)(nl + 1 - text) : len;

		take(r, text, n, begins);
		begins = nl != NULL;
		text += n;
		len -= n;
	}
	return begins;
}

static void
run_post(struct bulk_run *r, const struct net_place *to, const char *path, const char *tail)
{
	struct net_conn c;
	char body[BODY_MAX];
	bool begins = true;
	size_t n = 0;

	net_make_request(body, sizeof(body), "", r->code, r->len, tail);
	net_connect(&c, to, ROOM);
	r->took_us = net_now_us();
	net_post(&c, to, path, body);
	net_read_head(&c, "HTTP/1.1 200");
	while (net_chunk(&c, &n)) {
		r->ended = n == 0;
		if (n == 0 || !net_need(&c, n + 2))
			break;
		begins = take_lines(r, c.in + c.at, n, begins);
		c.at += n + 2;
	}
	r->took_us = net_now_us() - r->took_us;
	net_disconnect(&c);
}

void
bulk_e2b(struct bulk_run *r, const struct net_place *to)
{
	run_post(r, to, "/execute", "");
}

void
bulk_opensandbox(struct bulk_run *r, const struct net_place *to)
{
	run_post(r, to, "/code", ",\"context\":{\"language\":\"python\"}");
}
