/* gateway/dialects/osb_context.c - see gateway/dialects/osb.h. */
#include "gateway/dialects/osb.h"

void
gw_osb_context_create(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_context_list(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_context_get(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_context_delete(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_contexts_delete(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}
