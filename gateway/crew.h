/* gateway/crew.h - CORE: the processes of a sandbox that are no kernels; they end with it. */
#ifndef GW_CREW_H
#define GW_CREW_H

struct gw_sandbox;
struct km_crew;

#define GW_CREW_LOGS "commands" /* folder in a sandbox's folder: a folder of logs per crew */

/* The crew of sb, borrowed; made on first use. */
struct km_crew *gw_crew_of(struct gw_sandbox *sb);

/* The path of the folder for logs of its commands, which need not be there: owned by the caller.
 * It goes when the last process of the crew is reaped. */
char *gw_crew_logs(struct gw_sandbox *sb);

/* Kill all of it; the sandbox's folder is held until the last process is reaped. */
void gw_crew_end(struct gw_sandbox *sb);

#endif /* GW_CREW_H */
