/* gateway/sweep.h - CORE: what a gateway that was killed left behind.
 *
 * A run folder holds one ID.json per living kernel, and every process of that kernel has
 * KERNELBRIDGE_KERNEL_ID=ID in its environment: so a later gateway can find and kill them all.
 */
#ifndef GW_SWEEP_H
#define GW_SWEEP_H

/* Kill the kernels and remove the run folders, below run, of gateways that no longer live.  run is
 * locked: no gateway is about to make one. */
void gw_sweep(const char *run);

#endif /* GW_SWEEP_H */
