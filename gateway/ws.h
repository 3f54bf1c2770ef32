/* gateway/ws.h - EDGE, private to ws.c and wsd.c: where libwebsockets begins. */
#ifndef GW_WS_H
#define GW_WS_H

#include <libwebsockets.h>

#include "gateway/edge.h"

struct gw_wsd {
	struct gw_server *s;
	struct lws_context *ctx; /* set to NULL by libwebsockets when it is gone */
	struct lws_vhost *vhost;
	struct lws_protocols protocols[2];
	void *loops[1];
	struct gw_ws *adopting; /* the one whose descriptor is being handed over */
};

/* What libwebsockets calls, for every WebSocket. */
int gw_ws_on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                 size_t len);

#endif /* GW_WS_H */
