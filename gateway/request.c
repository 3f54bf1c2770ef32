/* gateway/request.c - see gateway/request.h. */
#include "gateway/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "gateway/auth.h"
#include "gateway/dialect.h"
#include "gateway/metrics.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/mem.h"

#define PROTOCOL       "kernelbridge.v1"
#define PROTOCOL_TOKEN "kernelbridge.token."
#define TOKEN_MAX      1024

struct gw_request *
gw_request_new(void)
{
	return mem_new(sizeof(struct gw_request));
}

void
gw_request_free(struct gw_request *r)
{
	if (r == NULL)
		return;
	gw_route_match_fini(&r->match);
	gw_head_fini(&r->head);
	mem_free(r->query);
	mem_free(r->self);
	mem_free(r->token_sandbox);
	mem_free(r->subprotocol);
	mem_free(r);
}

const char *
gw_request_param(const struct gw_request *r, const char *name)
{
	return gw_uri_find(r->match.param, r->match.n, name);
}

__attribute__((format(printf, 3, 4))) static bool
refuse(struct gw_request_refusal *ret, int status, const char *fmt, ...)
{
	va_list ap;

	ret->status = status;
	va_start(ap, fmt);
	(void)vsnprintf(ret->why, sizeof(ret->why), fmt, ap);
	va_end(ap);
	return false;
}

static bool
has_header(const void *arg, const char *header)
{
	const struct gw_request *r = arg;

	return gw_head_get(&r->head, header) != NULL;
}

static void
name_self(struct gw_request *r)
{
	const char *proto = gw_head_get(&r->head, "x-forwarded-proto");
	const char *host = r->head.host != NULL ? r->head.host : "localhost";
	size_t size = strlen(host) + sizeof("https://");

	r->self = mem_new(size);
	(void)snprintf(r->self, size, "%s://%s",
	               proto != NULL && strcasecmp(proto, "https") == 0 ? "https" : "http",
	               host);
}

static bool
check_host(struct gw_request *r, const struct gw_request_policy *p,
           struct gw_request_refusal *ret)
{
	char safe[LOG_SAFE_MAX];
	const char *host = r->head.host;

	if (host == NULL || gw_origin_host_ok(&p->origin, host))
		return true; /* only HTTP/1.0 may leave it out, and no browser speaks that */
	gw_metric[GW_M_REFUSED_ORIGIN]++;
	return refuse(ret, 403, "host not allowed: %s", log_safe(host, strlen(host), safe));
}

static bool
is_safe_method(const char *method)
{
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static bool
check_origin(struct gw_request *r, const struct gw_request_policy *p,
             struct gw_request_refusal *ret)
{
	const char *origin = gw_head_get(&r->head, "origin");
	char safe[LOG_SAFE_MAX];

	if (origin == NULL || gw_origin_same(origin, r->self))
		return true;
	if (gw_origin_ok(&p->origin, origin, r->self)) {
		r->foreign = origin;
		return true;
	}
	if (is_safe_method(r->head.method) && !r->head.websocket)
		return true; /* the browser keeps the answer from that page */
	gw_metric[GW_M_REFUSED_ORIGIN]++;
	return refuse(ret, 403, "origin not allowed: %s",
	              log_safe(origin, strlen(origin), safe));
}

static bool
is_known_method(const char *method)
{
	static const char *const known[] = {"GET",   "HEAD",   "POST",   "PUT",
	                                    "PATCH", "DELETE", "OPTIONS"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i], method) == 0)
			return true;
	return false;
}

static bool
read_query(struct gw_request *r, struct gw_request_refusal *ret)
{
	const size_t max = gw_uri_query_max(r->head.query);
	struct err err;
	int n;

	if (r->head.query[0] == '\0')
		return true;
	if (max > GW_REQUEST_QUERY_MAX)
		return refuse(ret, 400, "too many query parameters: at most %d",
		              GW_REQUEST_QUERY_MAX);
	r->query = mem_new(max * sizeof(*r->query));
	n = gw_uri_query(r->head.query, r->query, &err);
	if (n < 0)
		return refuse(ret, 400, "malformed query string: %s", err.text);
	r->query_n = (size_t)n;
	return true;
}

static bool
find_route(struct gw_request *r, const struct gw_request_policy *p,
           struct gw_request_refusal *ret)
{
	const struct gw_head *h = &r->head;
	char safe[LOG_SAFE_MAX];
	int rc;

	if (!is_known_method(h->method))
		return refuse(ret, 501, "unknown method: %s",
		              log_safe(h->method, strlen(h->method), safe));
	rc = gw_route_find(p->routes, h->websocket ? "WS" : h->method, h->path, has_header, r,
	                   &r->match);
	if (rc == 0)
		return true;
	if (rc == -EINVAL)
		return refuse(ret, 400, "malformed path: %s",
		              log_safe(h->path, strlen(h->path), safe));
	if (rc == -ENOENT)
		return refuse(ret, 404, "not found");
	if (h->websocket)
		return refuse(ret, 404, "no WebSocket here");
	if (strcmp(h->method, "OPTIONS") == 0)
		return refuse(ret, 204, "%s", "");
	if (is_safe_method(h->method) &&
	    gw_route_find(p->routes, "WS", h->path, has_header, r, &r->match) == 0) {
		gw_route_match_fini(&r->match);
		return refuse(ret, 426, "this path speaks WebSocket only");
	}
	return refuse(ret, 405, "method not allowed");
}

/* Copy to out what follows word and spaces in value.  False if it does not begin so. */
static const char *
after_word(const char *value, const char *word)
{
	size_t len = strlen(word);

	if (strncasecmp(value, word, len) != 0 || value[len] != ' ')
		return NULL;
	return value + len + strspn(value + len, " ");
}

/* Is this text a token that opens the row?  Sets token_sandbox when it is one sandbox's. */
static bool
opens(struct gw_request *r, const struct gw_auth *auth, const char *token)
{
	const char *sandbox = gw_request_param(r, "sandbox");

	if (token == NULL || token[0] == '\0')
		return false;
	if (gw_auth_check(auth, token))
		return true;
	mem_free(r->token_sandbox);
	r->token_sandbox = gw_auth_token_sandbox(auth, token);
	if (r->token_sandbox != NULL &&
	    (sandbox != NULL ? strcmp(sandbox, r->token_sandbox) == 0
	                     : r->match.row->access == GW_ACCESS_SANDBOX))
		return true;
	mem_free(r->token_sandbox);
	r->token_sandbox = NULL;
	return false;
}

static const char *const token_headers[] = {
    "x-api-key",
    "open-sandbox-api-key",
    "x-access-token",
    "x-daytona-preview-token",
    "x-execd-access-token",
    "e2b-traffic-access-token",
};

#define TOKEN_HEADERS (sizeof(token_headers) / sizeof(token_headers[0]))

static bool
opens_by_header(struct gw_request *r, const struct gw_auth *auth)
{
	const char *v = gw_head_get(&r->head, "authorization");

	if (v != NULL &&
	    (opens(r, auth, after_word(v, "Bearer")) || opens(r, auth, after_word(v, "token"))))
		return true;
	for (size_t i = 0; i < TOKEN_HEADERS; i++)
		if (opens(r, auth, gw_head_get(&r->head, token_headers[i])))
			return true;
	return false;
}

/* The Ruby SDK of Daytona sends the gateway's token to come in, and a sandbox's to say which
 * sandbox it means. */
static void
note_sandbox(struct gw_request *r, const struct gw_auth *auth)
{
	if (r->match.row->access != GW_ACCESS_SANDBOX)
		return;
	for (size_t i = 0; i < TOKEN_HEADERS && r->token_sandbox == NULL; i++) {
		const char *token = gw_head_get(&r->head, token_headers[i]);

		if (token != NULL)
			r->token_sandbox = gw_auth_token_sandbox(auth, token);
	}
}

static bool
opens_by_cookie(struct gw_request *r, const struct gw_auth *auth)
{
	static const char name[] = "DAYTONA_SANDBOX_AUTH_KEY=";
	const char *p = gw_head_get(&r->head, "cookie");
	char token[TOKEN_MAX];
	bool ok = false;

	for (; p != NULL && !ok; p = strchr(p, ';')) {
		size_t len;

		p += strspn(p, "; ");
		len = strcspn(p, ";");
		if (strncmp(p, name, sizeof(name) - 1) != 0 ||
		    len - sizeof(name) + 1 >= TOKEN_MAX)
			continue;
		len -= sizeof(name) - 1;
		memcpy(token, p + sizeof(name) - 1, len);
		token[len] = '\0';
		ok = opens(r, auth, token);
	}
	mem_wipe(token, sizeof(token));
	return ok;
}

/* A browser cannot set headers on a WebSocket, but it can offer subprotocols. */
static bool
opens_by_subprotocol(struct gw_request *r, const struct gw_auth *auth)
{
	const size_t skip = sizeof(PROTOCOL_TOKEN) - 1;
	struct gw_head_list offers = {.h = &r->head, .name = "sec-websocket-protocol"};
	char token[TOKEN_MAX];
	const char *el;
	bool ok = false;
	size_t len;

	while (!ok && (len = gw_head_list_next(&offers, &el)) > 0) {
		if (len <= skip || len - skip >= TOKEN_MAX ||
		    strncmp(el, PROTOCOL_TOKEN, skip) != 0)
			continue;
		memcpy(token, el + skip, len - skip);
		token[len - skip] = '\0';
		ok = opens(r, auth, token);
	}
	mem_wipe(token, sizeof(token));
	return ok;
}

static bool
check_access(struct gw_request *r, const struct gw_auth *auth, struct gw_request_refusal *ret)
{
	switch (r->match.row->access) {
	case GW_ACCESS_PUBLIC:
	case GW_ACCESS_LATE:
		return true;
	case GW_ACCESS_USER:
	case GW_ACCESS_SANDBOX:
		if (gw_auth_check(auth, NULL) || opens_by_header(r, auth) ||
		    opens(r, auth, gw_uri_find(r->query, r->query_n, "token")) ||
		    opens(r, auth,
		          gw_uri_find(r->query, r->query_n, "DAYTONA_SANDBOX_AUTH_KEY")) ||
		    opens_by_cookie(r, auth) || opens_by_subprotocol(r, auth)) {
			note_sandbox(r, auth);
			return true;
		}
		gw_metric[GW_M_REFUSED_AUTH]++;
		return refuse(ret, 401, "a valid token is needed");
	case GW_ACCESS_DENY:
		break;
	}
	return refuse(ret, 403, "forbidden");
}

/* RFC 6455, section 4.2.1; and which of the offered subprotocols to echo. */
static bool
check_websocket(struct gw_request *r, struct gw_request_refusal *ret)
{
	const struct gw_head *h = &r->head;
	const char *key = gw_head_get(h, "sec-websocket-key"), *el;
	const char *version = gw_head_get(h, "sec-websocket-version");
	const char *want = r->match.row->subprotocol;
	struct gw_head_list offers = {.h = h, .name = "sec-websocket-protocol"};
	size_t len;

	if (strcmp(h->method, "GET") != 0 || h->chunked || h->length > 0)
		return refuse(ret, 400, "a WebSocket starts with a GET without a body");
	if (version == NULL || strcmp(version, "13") != 0)
		return refuse(ret, 426, "the WebSocket version spoken here is 13");
	if (key == NULL || strlen(key) != 24 || strcmp(key + 22, "==") != 0)
		return refuse(ret, 400, "malformed Sec-WebSocket-Key");
	while (r->subprotocol == NULL && (len = gw_head_list_next(&offers, &el)) > 0)
		if ((len == sizeof(PROTOCOL) - 1 && strncmp(el, PROTOCOL, len) == 0) ||
		    (want != NULL && len >= strlen(want) && len < TOKEN_MAX &&
		     strncmp(el, want, strlen(want)) == 0)) {
			r->subprotocol = mem_new(len + 1);
			memcpy(r->subprotocol, el, len);
		}
	return true;
}

bool
gw_request_admit(struct gw_request *r, const struct gw_request_policy *p,
                 struct gw_request_refusal *ret)
{
	name_self(r);
	return check_host(r, p, ret) && check_origin(r, p, ret) && read_query(r, ret) &&
	       find_route(r, p, ret) && check_access(r, p->auth, ret) &&
	       (!r->head.websocket || check_websocket(r, ret));
}

bool
gw_request_authenticate(struct gw_request *r, const struct gw_auth *auth, const char *token)
{
	if (gw_auth_check(auth, NULL) || opens(r, auth, token))
		return true;
	gw_metric[GW_M_REFUSED_AUTH]++;
	return false;
}
