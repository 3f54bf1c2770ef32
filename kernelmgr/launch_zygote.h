/* kernelmgr/launch_zygote.h - the zygote launcher: kernels forked from a process that has loaded
 * all that they need.
 *
 * A kernelspec whose metadata.kernelbridge has `zygote`, an argv, can be forked: that program loads
 * what a kernel has loaded after its first run, then waits on descriptor 3, a SOCK_SEQPACKET pair,
 * one JSON object per packet:
 *
 *   zygote   {"ready": true}                  once, when it can fork
 *   gateway  {"n": 7, "connection_file": "/x.json", "kernel_id": "ab12cd34", "cwd": "/home",
 *             "env": {"NAME": "value"}}       with one descriptor (SCM_RIGHTS): stdout and stderr
 *   kernel   {"n": 7, "pid": 123}             it is there, or
 *   zygote   {"n": 7, "error": "why"}         it is not; ignored after the other
 *
 * env is the whole environment.  The zygote forks twice, so that the kernel becomes a child of the
 * gateway, a subreaper (reaper.h): it outlives its zygote, and its exit status comes from
 * waitpid(2).  It answers itself, before it serves: so one that serves is known, whatever becomes
 * of its zygote.  Then it is a session of its own, and what /proc shows as its environment has its
 * KERNELBRIDGE_KERNEL_ID (as long as the zygote's own): that marks what descends from it.
 *
 * A zygote serves one kernelspec in one trust domain (struct km_launch).  One that ends, does not
 * answer or grows is replaced; what it had not done yet, the next one does.  Everything else is
 * started by the local launcher: other kernelspecs, launches that set a variable of start_env, the
 * first one while a zygote loads, and all of them while none can be had.
 */
#ifndef KM_LAUNCH_ZYGOTE_H
#define KM_LAUNCH_ZYGOTE_H

#include <stdint.h>

struct km_launcher;
struct km_reaper;
struct km_spec;
struct loop;

struct km_launch_zygote_config {
	struct loop *lp; /* borrowed, as all the others; they outlive the launcher */
	struct km_reaper *reaper;
	struct km_launcher *local;
	const char *prefix;    /* replaces {prefix} in argv; copied */
	char *const *preload;  /* NULL-terminated: further arguments of a zygote; copied */
	unsigned starting_max; /* forked kernels that do not answer yet; others wait in line */
	/* 0: the default.  A zygote has boot_ms (30 s) to get ready and reply_ms (10 s) for each
	 * answer; after one that forked nothing the next is tried in retry_ms (1 s), doubled each
	 * time.  A kernel that does not answer within start_ms (5 s) counts as starting no more:
	 * those that hang keep nobody waiting. */
	uint64_t boot_ms, reply_ms, retry_ms, start_ms;
};

/* Never returns NULL.  Freed when its jobs are. */
struct km_launcher *km_launch_zygote_new(const struct km_launch_zygote_config *cfg);
void km_launch_zygote_free(struct km_launcher *launcher);

/* Load spec's zygote of the gateway's own domain now, if it can have one and has none: so that the
 * next start finds it. */
void km_launch_zygote_warm(struct km_launcher *launcher, const struct km_spec *spec);

/* End the zygotes; what is still in line ends, and what is started from now on is spawned. */
void km_launch_zygote_stop(struct km_launcher *launcher);

/* Zygotes that run. */
unsigned km_launch_zygote_count(const struct km_launcher *launcher);

#endif /* KM_LAUNCH_ZYGOTE_H */
