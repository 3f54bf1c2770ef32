/* gateway/sweep.h - CORE: what a gateway that was killed left behind.
 *
 * A run folder holds one ID.json per living kernel and crew (kernelmgr/reaper.h), and every process
 * of it has KERNELBRIDGE_KERNEL_ID=ID in its environment: so a later gateway can find and kill them
 * all.  It also holds one ID.sandbox per sandbox that ends with its gateway.
 */
#ifndef GW_SWEEP_H
#define GW_SWEEP_H

#define GW_SWEEP_CREW    ".json"    /* after the id of a kernel or crew */
#define GW_SWEEP_SANDBOX ".sandbox" /* after the id of a sandbox */

/* Kill the kernels and remove the run folders, below run, of gateways that no longer live, the
 * folders of their sandboxes and what their commands logged.  run is locked: no gateway is about to
 * make one. */
void gw_sweep(const char *run);

#endif /* GW_SWEEP_H */
