/* gateway/request.h - EDGE: one request as the dialects see it, and whether it may come in.
 *
 * Shared by an HTTP exchange and by the WebSocket that an upgrade makes of it.
 */
#ifndef GW_REQUEST_H
#define GW_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/head.h"
#include "gateway/origin.h"
#include "gateway/route.h"
#include "gateway/uri.h"

#define GW_REQUEST_QUERY_MAX 1024 /* a list of files is one parameter each */

struct gw_auth;

struct gw_request {
	struct gw_head head;
	struct gw_route_match match;
	size_t query_n;
	struct gw_uri_pair *query; /* owned; may be NULL without any */
	char *self;                /* "http://host:port", as the client named us */
	const char *foreign; /* an allowed Origin that is not self: CORS headers are due */
	char *token_sandbox; /* the one sandbox its token is good for, or NULL */
	char *subprotocol;   /* to echo on an upgrade, or NULL */
};

/* Why a request was turned away. */
struct gw_request_refusal {
	int status;
	char why[160];
};

struct gw_request *gw_request_new(void);
void gw_request_free(struct gw_request *r);

/* What admission needs to know; borrowed. */
struct gw_request_policy {
	const struct gw_route_table *routes;
	const struct gw_auth *auth;
	struct gw_origin_rules origin;
};

/* Check Host, Origin, route and access of r, whose head is parsed, in this order.  Returns true, or
 * false with *ret filled.  A CORS preflight passes with status 204 in *ret and no row. */
bool gw_request_admit(struct gw_request *r, const struct gw_request_policy *p,
                      struct gw_request_refusal *ret);

/* For a row of GW_ACCESS_LATE: is this token good for it? */
bool gw_request_authenticate(struct gw_request *r, const struct gw_auth *auth,
                             const char *token);

const char *gw_request_param(const struct gw_request *r, const char *name);

#endif /* GW_REQUEST_H */
