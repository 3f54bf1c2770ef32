/* gateway/dialects/osb_sandbox.c - see gateway/dialects/osb.h. */
#include "gateway/dialects/osb.h"

void
gw_osb_create(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_get(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_kill(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_renew(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_pause(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_resume(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_patch_metadata(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_endpoint(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_event(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}
