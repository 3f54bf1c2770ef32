/* gateway/dialects/await.h - answer an exchange when a context's kernel does. */
#ifndef GW_AWAIT_H
#define GW_AWAIT_H

#include <stdbool.h>

struct gw_ctx;
struct gw_http;

/* Answer x.  status and why as gw_ctx_ready_fn's; c is there until return. */
typedef void gw_await_fn(struct gw_http *x, const struct gw_ctx *c, int status,
                         const char *why);

/* Call fn once, later, unless x's client leaves before.  fresh says that c was made for x, so
 * that nobody else knows its id (no list has it until its kernel answers): it goes when its kernel
 * cannot start, or when that client leaves. */
void gw_await_kernel(struct gw_http *x, struct gw_ctx *c, bool fresh, gw_await_fn *fn);

#endif /* GW_AWAIT_H */
