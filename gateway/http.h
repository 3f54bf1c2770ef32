/* gateway/http.h - EDGE: words of HTTP. */
#ifndef GW_HTTP_H
#define GW_HTTP_H

/* The reason phrase of status; "Status" for one that we do not know. */
const char *gw_http_reason(int status);

#endif /* GW_HTTP_H */
