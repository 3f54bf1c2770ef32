/* gateway/warm.h - CORE: the default Python context's kernel, started with the gateway.
 *
 * A gateway is ready once it has answered; until then it is tried again, a second after the first
 * failure and a minute at most after each further one: a machine can be too busy at boot, and a
 * kernelspec may be installed later.
 */
#ifndef GW_WARM_H
#define GW_WARM_H

#include <stdbool.h>

struct gw_sandbox;
struct gw_warm;

/* Make sb's default context and start its kernel; sb outlives it.  Never returns NULL: what goes
 * wrong is a warning in the log. */
struct gw_warm *gw_warm_new(struct gw_sandbox *sb);
/* Tries no more.  Before sb is freed.  NULL is fine. */
void gw_warm_free(struct gw_warm *w);

/* True once the kernel has answered, for ever.  False for NULL. */
bool gw_warm_is_done(struct gw_warm *w);

#endif /* GW_WARM_H */
