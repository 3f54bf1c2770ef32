/* kernelmgr/zygote.h - one zygote: its process, its socket, and what it was asked for.
 *
 * The protocol is in launch_zygote.h.  A zygote that breaks it, or does not answer in time, is
 * killed.
 */
#ifndef KM_ZYGOTE_H
#define KM_ZYGOTE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire/base/list.h"

struct err;
struct km_reaper;
struct km_spec;
struct km_zygote;
struct log_id;
struct loop;

struct km_zygote_ops {
	void (*ready)(void *arg);
	/* After -EAGAIN: there is room for more. */
	void (*room)(void *arg);
	/* It takes more than twice the memory that it took when it was ready; told once. */
	void (*bloated)(void *arg);
	/* The last call: its process is reaped, and every request was answered or completed with
	 * -EPIPE before.  why is a phrase, lent, with the last lines of its stderr after ": ". */
	void (*ended)(void *arg, const char *why);
};

/* status 0: pid is the kernel's; -EIO: it refused, why says it; -EPIPE: it ended first, and may
 * have made the kernel or not.  why is lent until return. */
typedef void km_zygote_forked_fn(void *arg, int status, pid_t pid, const char *why);

/* A request, in an object of its owner's, who keeps it until fn was called. */
struct km_zygote_ask {
	struct list node;
	unsigned n; /* set by the owner, as fn and arg */
	km_zygote_forked_fn *fn;
	void *arg;
};

struct km_zygote_config {
	struct loop *lp; /* borrowed, outlives it; as reaper */
	struct km_reaper *reaper;
	const struct km_spec *spec; /* borrowed for the call, as the rest */
	const char *prefix;
	char *const *preload;       /* further arguments */
	uint64_t boot_ms, reply_ms; /* until it is killed */
};

/* Start one.  Returns 0 with *ret owned by the caller, or as km_spawn(), -EINVAL for a kernelspec
 * whose env cannot be, with err. */
int km_zygote_new(const struct km_zygote_config *cfg, const struct km_zygote_ops *ops,
                  void *arg, struct km_zygote **ret, struct err *err);
/* Kill it; nothing is called any more, also no request's fn.  Legal in ops; NULL is fine. */
void km_zygote_free(struct km_zygote *z);

/* Kill it, at once or when it has answered what it was asked for; ended follows. */
void km_zygote_kill(struct km_zygote *z);
void km_zygote_retire(struct km_zygote *z);

/* Send packet, that asks for fork a->n with fd as its stdout and stderr (fd stays the caller's).
 * Returns 0 (a->fn will be called), -EAGAIN (not now: room tells), -EMSGSIZE, or -EPIPE (it is
 * ending). */
int km_zygote_ask(struct km_zygote *z, struct km_zygote_ask *a, const char *packet, int fd);

/* Kernels forked so far. */
unsigned km_zygote_forks(const struct km_zygote *z);

/* Who it is, for the log. */
const struct log_id *km_zygote_id(const struct km_zygote *z);

#endif /* KM_ZYGOTE_H */
