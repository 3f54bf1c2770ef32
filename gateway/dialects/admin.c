/* gateway/dialects/admin.c - health, readiness and metrics: for operators and supervisors. */
#include <string.h>

#include "gateway/core.h"
#include "gateway/dialect.h"
#include "gateway/dialects/dialects.h"
#include "gateway/dialects/e2b.h"
#include "wire/base/buf.h"

#define METRICS_MAX (1U << 20)

/* 200 while requests are served.  A request that names a sandbox asks about that one: E2B's
 * is_running() wants 502 for one that is gone or paused (protocols: E2B, control plane). */
static void
health(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	const char *id = gw_http_header(x, "e2b-sandbox-id");

	(void)body;
	(void)len;
	if (id != NULL && gw_e2b_running(core, id) == NULL)
		gw_e2b_fail(x, 502, "The sandbox %.64s does not run", id);
	else
		gw_http_reply_json(x, 200, json_string("OK"));
}

static void
ready(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	const char *missing = gw_core_not_ready(core);

	(void)body;
	(void)len;
	if (missing == NULL)
		gw_http_reply_json(x, 200, json_pack("{s:b}", "ready", 1));
	else
		gw_http_reply_json(x, 503,
		                   json_pack("{s:b, s:s}", "ready", 0, "reason", missing));
}

static void
metrics(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct buf b;

	(void)body;
	(void)len;
	buf_init(&b, METRICS_MAX);
	gw_core_print_metrics(core, &b);
	gw_http_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", b.data, b.len);
	buf_fini(&b);
}

static const struct gw_route routes[] = {
    {.method = "GET", .path = "/health", .access = GW_ACCESS_PUBLIC, .http = health},
    {.method = "GET", .path = "/ready", .access = GW_ACCESS_PUBLIC, .http = ready},
    {.method = "GET", .path = "/metrics", .access = GW_ACCESS_USER, .http = metrics},
    {.method = NULL},
};

const struct gw_dialect gw_admin = {.name = "admin", .prefix = "", .routes = routes};
