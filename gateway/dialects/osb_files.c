/* gateway/dialects/osb_files.c - see gateway/dialects/osb.h. */
#include "gateway/dialects/osb.h"

void
gw_osb_files_info(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_files_delete(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_files_move(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_files_chmod(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_files_search(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_files_replace(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_dirs_make(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_dirs_delete(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}

void
gw_osb_dirs_list(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	(void)core;
	(void)body;
	(void)len;
	gw_osb_fail(x, 501, GW_OSB_UNSUPPORTED, "not served yet");
}
