/* gateway/rundir.h - CORE: the folder of this process's connection files and sockets.
 *
 * STATE_DIR/run/PID is a folder, or a link to one in /tmp where the path would be too long for
 * a Unix socket.  Its file .lock is locked (flock(2)) for as long as its gateway lives: that
 * tells a living gateway from a dead one, also where pids are used again, as in containers, and
 * where the program on disk was replaced.
 */
#ifndef GW_RUNDIR_H
#define GW_RUNDIR_H

#include <stdbool.h>

struct err;
struct gw_rundir;

/* Sweep up after dead gateways (gateway/sweep.h), then make and lock ours, 0700.  Returns 0
 * with *ret owned by the caller, or -EIO with err. */
int gw_rundir_new(const char *state_dir, struct gw_rundir **ret, struct err *err);

/* Remove it; it must be empty but for what dead kernels left.  NULL is fine. */
void gw_rundir_free(struct gw_rundir *r);

/* Its path, short enough for sockets in it; borrowed. */
const char *gw_rundir_path(const struct gw_rundir *r);

/* True if a gateway holds the lock of the run folder path. */
bool gw_rundir_is_held(const char *path);

#endif /* GW_RUNDIR_H */
