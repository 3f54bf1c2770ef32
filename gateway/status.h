/* gateway/status.h - CORE: what an error code means to clients: one table, so that dialects
 * agree. */
#ifndef GW_STATUS_H
#define GW_STATUS_H

/* HTTP status for 0 or -errno of the closed set (style: errors): 200, 400, 403, 404, 409,
 * 413, 429, 503, 504, 500. */
int gw_status_http(int rc);

/* A lower-case word for a code field: "ok", "invalid", "forbidden", "not_found", "exists",
 * "too_large", "busy", "stopping", "timeout", "failed". */
const char *gw_status_word(int rc);

/* The reason phrase of an HTTP status: "Not Found". */
const char *gw_status_phrase(int status);

#endif /* GW_STATUS_H */
