/* gateway/pss.h - CORE: how much memory a process takes; what it shares counts in part. */
#ifndef GW_PSS_H
#define GW_PSS_H

#include <stddef.h>
#include <sys/types.h>

struct gw_pss;
struct loop;

/* bytes is 0 when the system does not tell. */
typedef void gw_pss_fn(void *arg, size_t bytes);

/* Read /proc/PID/smaps_rollup in a thread (for a large process it takes milliseconds) and call
 * fn(arg, bytes) once, later, unless it is cancelled before.  Returned for that only; never
 * NULL. */
struct gw_pss *gw_pss_read(struct loop *lp, pid_t pid, gw_pss_fn *fn, void *arg);
/* NULL is fine. */
void gw_pss_cancel(struct gw_pss *r);

#endif /* GW_PSS_H */
