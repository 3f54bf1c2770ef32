/* gateway/ask.h - CORE: one question to the kernel of a context: completion, inspection.
 *
 * It waits until the kernel answers at all; behind running code it waits in the kernel's own
 * queue.
 */
#ifndef GW_ASK_H
#define GW_ASK_H

#include <jansson.h>

struct gw_ask;
struct gw_ctx;

/* status 0 with the content of the reply, or -EIO (the kernel died or could not start, or
 * the context is gone) with why.  All lent until return. */
typedef void gw_ask_fn(void *arg, int status, const json_t *content, const char *why);

/* Send a shell request of that type (a static string).  content is taken.  fn is called
 * once, later, and the question is released after it. */
struct gw_ask *gw_ask_new(struct gw_ctx *c, const char *type, json_t *content, gw_ask_fn *fn,
                          void *arg);

/* Forget it: fn is not called.  NULL is fine; not from inside fn. */
void gw_ask_free(struct gw_ask *a);

#endif /* GW_ASK_H */
