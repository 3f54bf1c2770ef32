/* gateway/dialects/dialects.h - the dialects, by name; main.c serves them all. */
#ifndef GW_DIALECTS_H
#define GW_DIALECTS_H

struct gw_dialect;

extern const struct gw_dialect gw_admin;   /* /health, /ready, /metrics */
extern const struct gw_dialect gw_daytona; /* the Daytona SDKs' code_interpreter */
/* The E2B SDKs: one API, but its paths have no prefix in common. */
extern const struct gw_dialect gw_e2b, gw_e2b_contexts, gw_e2b_sandboxes, gw_e2b_sandboxes_v2;
/* The OpenSandbox SDKs: lifecycle and execd. */
extern const struct gw_dialect gw_osb, gw_osb_events, gw_osb_execd, gw_osb_uploads;
extern const struct gw_dialect gw_native; /* /v1: docs/native-api.md */
extern const struct gw_dialect gw_page;   /* /: the page that uses the native dialect */

#endif /* GW_DIALECTS_H */
