/* gateway/sweep.h - CORE: the folder of connection files, and what a gateway that was killed left behind.
 *
 * STATE_DIR/run/PID is a folder, or a link to one in /tmp where the path would be too long for a Unix
 * socket.  It holds one ID.json per living kernel, and every process of that kernel has
 * KERNELBRIDGE_KERNEL_ID=ID in its environment: so a later gateway can find and kill them all.
 */
#ifndef GW_SWEEP_H
#define GW_SWEEP_H

struct err;

/* Kill the kernels and remove the run folders of gateways that no longer run. Called once, at the start. */
void gw_sweep(const char *state_dir);

/* Make this process's run folder, 0700.  Returns 0 with *ret, its short path, owned by the caller, or -EIO. */
int gw_sweep_run_dir(const char *state_dir, char **ret, struct err *err);

/* Remove it; it must be empty but for what dead kernels left. */
void gw_sweep_remove(const char *state_dir, const char *run_dir);

#endif /* GW_SWEEP_H */
