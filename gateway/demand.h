/* gateway/demand.h - CORE: how many of something should be ready, by how many were asked for.
 *
 * At rest that is the base.  When more were asked for than should be ready, since all of them last
 * were, it doubles, up to GW_DEMAND_GROWTH times the base; after a minute in which no more than
 * the base were asked for it is the base again.
 */
#ifndef GW_DEMAND_H
#define GW_DEMAND_H

#include <stddef.h>

#include "wire/base/loop.h"

#define GW_DEMAND_GROWTH   8
#define GW_DEMAND_QUIET_MS 60000

/* Embedded; target is what others read. */
struct gw_demand {
	struct loop *lp; /* borrowed */
	loop_fn *shrank; /* called later, when target fell */
	void *arg;
	size_t base, target;
	size_t asked_n;           /* since all were ready */
	size_t window_n;          /* in this minute */
	struct loop_timer *quiet; /* pending: target is more than base; or NULL */
};

/* With base 0: nothing should be ready. */
void gw_demand_init(struct gw_demand *d, struct loop *lp, loop_fn *shrank, void *arg);
void gw_demand_fini(struct gw_demand *d);

/* A new base; what was learnt with another one is forgotten. */
void gw_demand_set_base(struct gw_demand *d, size_t base);
/* One is asked for. */
void gw_demand_ask(struct gw_demand *d);
/* All that should be are ready. */
void gw_demand_met(struct gw_demand *d);

#endif /* GW_DEMAND_H */
