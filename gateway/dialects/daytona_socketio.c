/* gateway/dialects/daytona_socketio.c - as much of Socket.IO as lets Daytona's SDKs rest.
 *
 * The SDKs keep a Socket.IO connection for state updates; a TypeScript program does not exit while
 * it cannot connect.  Engine.IO 4 over WebSocket, text packets: 0 open, 1 close, 2 ping, 3 pong,
 * 4 message; Socket.IO 5 in messages: 40 connect, 41 disconnect, 44 refused.
 */
#include <string.h>

#include "gateway/core.h"
#include "gateway/dialects/daytona.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"
#include "wire/msg.h"

#define PING_MS 25000
#define HELLO                                                                                  \
	"\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}"

struct session {
	struct gw_ws *ws;
	struct loop *lp;
	struct loop_timer *ping;
	bool asked; /* a ping is unanswered */
};

static void
send_text(struct gw_ws *ws, const char *text)
{
	(void)gw_ws_send(ws, text, strlen(text));
}

static void
send_with_id(struct gw_ws *ws, const char *head, const char *tail)
{
	char id[WIRE_UUID_LEN + 1];
	char text[256];

	wire_uuid(id);
	(void)snprintf(text, sizeof(text), "%s{\"sid\":\"%s\"%s", head, id, tail);
	send_text(ws, text);
}

static void
on_ping(void *arg)
{
	struct session *s = arg;

	loop_timer_free(s->ping);
	s->ping = NULL;
	if (s->asked) {
		gw_ws_close(s->ws, 1001, "ping timeout");
		return;
	}
	s->asked = true;
	send_text(s->ws, "2");
	s->ping = loop_timer_new(s->lp, PING_MS, on_ping, s);
}

static void
on_opened(struct gw_core *core, struct gw_ws *ws)
{
	struct session *s = mem_new(sizeof(*s));

	s->ws = ws;
	s->lp = core->lp;
	gw_ws_set_data(ws, s);
	send_with_id(ws, "0", "," HELLO);
	s->ping = loop_timer_new(core->lp, PING_MS, on_ping, s);
}

/* "40{"token":"..."}": a Socket.IO client joins the default namespace. */
static void
join(struct gw_ws *ws, const char *json, size_t len)
{
	json_t *auth = json_loadb(json, len, 0, NULL);
	const char *token = json_string_value(json_object_get(auth, "token"));

	if (gw_ws_authenticate(ws, token != NULL ? token : ""))
		send_with_id(ws, "40", "}");
	else
		send_text(ws, "44{\"message\":\"Unauthorized\"}");
	json_decref(auth);
}

static void
on_message(struct gw_core *core, struct gw_ws *ws, const char *msg, size_t len, bool binary)
{
	struct session *s = gw_ws_data(ws);

	(void)core;
	(void)binary;
	s->asked = false;
	if (len >= 2 && memcmp(msg, "40", 2) == 0)
		join(ws, msg + 2, len - 2);
	else if ((len >= 2 && memcmp(msg, "41", 2) == 0) || (len == 1 && msg[0] == '1'))
		gw_ws_close(ws, 1000, "");
	else if (len >= 1 && msg[0] == '2')
		send_text(ws, "3");
}

static void
on_closed(struct gw_core *core, struct gw_ws *ws)
{
	struct session *s = gw_ws_data(ws);

	(void)core;
	loop_timer_free(s->ping);
	mem_free(s);
}

const struct gw_ws_ops gw_daytona_socketio_ws = {
    .opened = on_opened,
    .message = on_message,
    .closed = on_closed,
};
