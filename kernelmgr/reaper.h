/* kernelmgr/reaper.h - every child of the gateway is waited for, and what can be told to be a
 * kernel's does not outlive it.
 *
 * The gateway makes itself a child subreaper (prctl(2)), so what a kernel's code put in the
 * background, even by setsid or a double fork, becomes the gateway's child when its parent
 * ends.  A child that is no watched process is looked at when it is first seen.  It is a
 * kernel's or a crew's if its environment names that one's id as KERNELBRIDGE_KERNEL_ID, or
 * else if its session is led by, or has in it, a process that is known to be; and stays so
 * whatever it becomes.  What is a kernel's is killed when the kernel's process has ended, and
 * what names an id that no watched process and no crew has, at once.
 *
 * Nobody's, and left alone: a child in a session of which no process is known, that by then
 * has no environment (for some seconds), or one without the id, or one that may not be read.
 */
#ifndef KM_REAPER_H
#define KM_REAPER_H

#include <stdbool.h>
#include <sys/types.h>

struct km_crew;
struct km_reaper;
struct km_watch;
struct loop;

/* status as of waitpid(2), or -1 when nobody knows. */
typedef void km_reaped_fn(void *arg, int status);

/* Takes over SIGCHLD; one per process.  Never returns NULL. */
struct km_reaper *km_reaper_new(struct loop *lp);
void km_reaper_free(struct km_reaper *r);

/* Call fn(arg, status) once when child pid has ended and its group was killed; kernel_id
 * (copied) marks what descends from it. */
struct km_watch *km_reaper_watch(struct km_reaper *r, pid_t pid, const char *kernel_id,
                                 km_reaped_fn *fn, void *arg);

/* The same for a child that is not known yet, or not there: what has kernel_id is left alone from
 * now on, and km_watch_set_pid() says, once, which process it is. */
struct km_watch *km_reaper_expect(struct km_reaper *r, const char *kernel_id, km_reaped_fn *fn,
                                  void *arg);
/* Returns true, or false if there is no such child any more, or it is another's: fn is called all
 * the same, with what is known of its end. */
bool km_watch_set_pid(struct km_watch *w, pid_t pid);

/* No more calls; a process still running goes on to be reaped silently, and one that was expected
 * in vain is killed when it comes.  NULL is fine. */
void km_watch_free(struct km_watch *w);

/* What is not reaped yet, watched, expected, forgotten, killed or known to be a crew's, crews that
 * end, and whether something may be left of what ended a moment ago: 0 when nothing is left. */
unsigned km_reaper_pending(const struct km_reaper *r);

/* --- crews ----------------------------------------------------------------------------------
 *
 * A crew: processes that may leave others running behind them, which live as long as the crew.
 * To it belong the watched ones and, once they are the gateway's children, those whose environment
 * has its id as KERNELBRIDGE_KERNEL_ID, or whose session is that of one that belongs to it. */

typedef void km_crew_gone_fn(void *arg);

/* id is copied, and never used for another.  Never returns NULL. */
struct km_crew *km_crew_new(struct km_reaper *r, const char *id);
/* Kill what runs of it and what it left, and call gone(arg) once, later, when the last of it is
 * reaped (in km_reaper_free() at the latest); gone may be NULL.  Children of which it is not known
 * yet whose they are delay that, for some seconds at most.  The crew is not to be used any more.
 * NULL is fine: no call. */
void km_crew_free(struct km_crew *c, km_crew_gone_fn *gone, void *arg);
const char *km_crew_id(const struct km_crew *c);

/* As km_reaper_watch(), but when pid has ended its group is left alone. */
struct km_watch *km_crew_watch(struct km_crew *c, pid_t pid, km_reaped_fn *fn, void *arg);

/* Take fd, a pipe's reading end that does not block: what processes of the crew go on to write
 * there is read and dropped, until they close it or the crew goes. */
void km_crew_drain(struct km_crew *c, int fd);

#endif /* KM_REAPER_H */
