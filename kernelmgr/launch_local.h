/* kernelmgr/launch_local.h - the local launcher: a process per kernel, on this machine.
 *
 * Each process is a session and process group of its own, with default signal dispositions
 * and an empty mask, stdin from /dev/null, stdout and stderr to a pipe that the gateway
 * reads into a bounded log, and no other descriptor of ours.  Its environment is the
 * gateway's (without KERNELBRIDGE_*), then the kernelspec's env with ${VAR} expanded, then
 * the launch's env, then JPY_PARENT_PID and KERNELBRIDGE_KERNEL_ID.
 */
#ifndef KM_LAUNCH_LOCAL_H
#define KM_LAUNCH_LOCAL_H

struct km_launcher;
struct km_reaper;
struct loop;

/* prefix replaces {prefix} in argv.  lp and reaper are borrowed and outlive the launcher. */
struct km_launcher *km_launch_local_new(struct loop *lp, struct km_reaper *reaper,
                                        const char *prefix);
void km_launch_local_free(struct km_launcher *l);

#endif /* KM_LAUNCH_LOCAL_H */
