/* gateway/pool.h - CORE: kernels that were started ahead and wait for a context.
 *
 * At rest the pool holds as many kernels of a kernelspec as the configuration says (pool_python),
 * and more for a while when they go faster than they come, up to the memory that it may take
 * (pool_bytes) and to the contexts that may still be made (max_contexts).  It refills itself in
 * the background, behind the kernels that clients wait for.
 * A pooled kernel has run no code; who takes it gives it its directory and variables
 * (km_kernel_assign()).  Kernels of one pool are of one trust domain (kernelmgr/launcher.h).
 */
#ifndef GW_POOL_H
#define GW_POOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct gw_core;
struct gw_pool;
struct gw_seat;
struct km_spec;

/* Fills when the default Python kernel answers, or is known not to.  Never returns NULL. */
struct gw_pool *gw_pool_new(struct gw_core *core);
/* Ends its kernels; before the core's seats are released.  NULL is fine. */
void gw_pool_free(struct gw_pool *p);

/* A ready kernel of spec's, or NULL: none is there, or env (an object or NULL) has variables that
 * only a kernel started with them can have.  The seat is the caller's, who assigns it.  Kernels of
 * another version of that kernelspec end. */
struct gw_seat *gw_pool_take(struct gw_pool *p, const struct km_spec *spec, const json_t *env);

/* Look again, at the end of the turn: kernels came or went, or the configuration is another, or
 * the gateway drains.  NULL is fine. */
void gw_pool_wake(struct gw_pool *p);

/* Give back what it has, at once, and rest for a while: somebody needs a kernel and there may be
 * no more.  Returns true if it had any. */
bool gw_pool_yield(struct gw_pool *p);

#endif /* GW_POOL_H */
