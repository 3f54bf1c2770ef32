/* kernelmgr/proc.h - what /proc knows of processes: children, sessions, environments. */
#ifndef KM_PROC_H
#define KM_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef void km_proc_fn(void *arg, pid_t pid);

/* Call fn(arg, pid) for every child of this process, zombies included. */
void km_proc_children(km_proc_fn *fn, void *arg);

/* Parent and session of pid.  Returns false when it is gone, or a zombie. */
bool km_proc_stat(pid_t pid, pid_t *ret_parent, pid_t *ret_session);

/* What pid's environment had for name when its program was started.  Returns 0 with *ret owned by
 * the caller, -ENOENT (not set, no such process, or one whose environment may not be read: another
 * user's, or not dumpable, as prctl(2) says), or -EAGAIN: it has no environment, perhaps because it
 * is between two programs (execve(2)). */
int km_proc_var(pid_t pid, const char *name, char **ret);

/* Bytes of memory that pid has resident, shared ones too; 0 when it is gone. */
size_t km_proc_resident(pid_t pid);

#endif /* KM_PROC_H */
