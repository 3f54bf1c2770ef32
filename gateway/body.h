/* gateway/body.h - EDGE, private: a request's body, kept until it is whole, or handed to a dialect
 * in pieces as it comes (gateway/dialect.h).
 */
#ifndef GW_BODY_H
#define GW_BODY_H

#include <stdbool.h>

struct gw_http;

/* The head of x is admitted: its body may come. */
void gw_body_begin(struct gw_http *x);

/* Use what is in x->c->in, which is not empty, for the body of x. */
void gw_body_read(struct gw_http *x);

/* The last byte was read. */
bool gw_body_is_read(const struct gw_http *x);

/* The body was read: ask the dialect, tell it that it has all pieces, or refuse. */
void gw_body_end(struct gw_http *x);

#endif /* GW_BODY_H */
