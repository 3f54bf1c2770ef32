/* gateway/dialects/osb_command.c - see gateway/dialects/osb.h. */
#include "gateway/dialects/osb.h"

void
gw_osb_command(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_command_interrupt(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_command_status(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_command_logs(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}
