/* gateway/dialects/osb_session.c - see gateway/dialects/osb.h. */
#include "gateway/dialects/osb.h"

void
gw_osb_session_create(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_session_run(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_session_delete(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}
