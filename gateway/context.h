/* gateway/context.h - CORE: a named interpreter state: one kernel at a time, a FIFO of
 * executions.
 *
 * The id stays valid whatever happens to the kernel: when it dies, the next execution gets a
 * fresh one.  One execute_request is in flight at a time, so nothing ever meets the kernel's
 * abort of queued requests.
 */
#ifndef GW_CONTEXT_H
#define GW_CONTEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "wire/base/list.h"
#include "wire/base/log.h"
#include "wire/base/loop.h"
#include "wire/base/table.h"

struct err;
struct gw_core;
struct gw_ctx;
struct gw_exec;
struct gw_language;
struct gw_sandbox;
struct gw_seat;
struct km_kernel;

/* status 0, or -EIO with why naming what went wrong, lent until return.  It may not delete the
 * context. */
typedef void gw_ctx_ready_fn(void *arg, int status, const char *why);

/* Somebody who waits until the kernel answers; embedded. */
struct gw_ctx_wait {
	struct list node;
	gw_ctx_ready_fn *fn;
	void *arg;
};

/* Open to core files only; dialects use the functions. */
struct gw_ctx {
	struct list node;        /* in its sandbox */
	struct table_node by_id; /* in the core */
	struct gw_core *core;
	struct gw_sandbox *sandbox;
	struct gw_seat *seat;  /* its kernel; NULL: none runs */
	struct list queue;     /* gw_exec: the first one runs */
	struct list waits;     /* gw_ctx_wait */
	struct loop_task next; /* look at the queue and the kernel at the end of the turn */
	char *spec;            /* kernelspec's name; read again for each kernel */
	const struct gw_language *row; /* of the table, or NULL; borrowed */
	struct log_id id;
	char *language; /* its name in the language table, or the kernelspec's */
	char *cwd;
	json_t *env;      /* object: its own variables over the sandbox's */
	char created[32]; /* RFC 3339 */
	bool is_default;
	bool hidden;      /* a dialect's own: in no list of contexts */
	bool provisional; /* it goes when its first kernel cannot start; in no list either */
	unsigned queue_n;
	unsigned starts; /* kernels started so far */
	/* Counts that this kernel gave to runs of ours: see exec_msg.c. */
	json_int_t unasked;
	json_int_t asked; /* what it counted when it last ran a client's code */
	bool surrounded;  /* it has run code of ours since */
	unsigned set_up;  /* starts, when the last kernel was: see exec_setup.h */
};

struct gw_ctx_request {
	const char *language; /* or an alias, or a kernelspec's name; NULL or "": python */
	const char *cwd;      /* NULL or "": the sandbox's home */
	const json_t *env;    /* object of strings or NULL: over the sandbox's; copied */
	bool hidden;          /* dialects leave it out of their lists; found by its id only */
};

/* Make a context and launch its kernel.  Returns 0 with *ret borrowed (owned by the sandbox);
 * -EINVAL (cwd is not an absolute path of a directory, env is none), -ENOENT (no such
 * language, or not in the version that the sandbox asks for), -EBUSY (max_contexts reached),
 * -EIO (the kernel could not be launched), -ECANCELED (the gateway is stopping); err says what
 * and where. */
int gw_ctx_new(struct gw_sandbox *sb, const struct gw_ctx_request *rq, struct gw_ctx **ret,
               struct err *err);

/* The sandbox's default context for language, made on first use.  Same returns. */
int gw_ctx_default(struct gw_sandbox *sb, const char *language, struct gw_ctx **ret,
                   struct err *err);

/* By id; "default" is the default Python context if it exists.  NULL: none. */
struct gw_ctx *gw_ctx_find(struct gw_sandbox *sb, const char *id);
/* By id in any sandbox. */
struct gw_ctx *gw_ctx_find_any(struct gw_core *core, const char *id);

/* End it: executions get DONE(aborted, "context deleted"), the kernel is stopped in the
 * background. */
void gw_ctx_delete(struct gw_ctx *c);
/* The same with another reason, for sandboxes and shutdown. */
void gw_ctx_free(struct gw_ctx *c, const char *why);

/* A fresh kernel under the same id: the running execution and the queue end with ABORTED
 * "context restarted".  Returns 0, or with err -ECANCELED (the gateway is stopping; nothing
 * happened) or what gw_ctx_new() says of kernels. */
int gw_ctx_restart(struct gw_ctx *c, struct err *err);

/* Call w->fn once, later, when its kernel answers or failed to start.  Cancel is fine at any
 * time. */
void gw_ctx_wait(struct gw_ctx *c, struct gw_ctx_wait *w, gw_ctx_ready_fn *fn, void *arg);
void gw_ctx_wait_cancel(struct gw_ctx_wait *w);

/* For a dialect that tells its client of a context only when the kernel answers: until then it is
 * in no list, so that nobody else learns its id; and if that fails, it is deleted, once those who
 * wait were told. */
void gw_ctx_set_provisional(struct gw_ctx *c);

/* Accessors for dialects; strings are borrowed while the context lives. */
const char *gw_ctx_id(const struct gw_ctx *c);
const char *gw_ctx_language(const struct gw_ctx *c);
const char *gw_ctx_cwd(const struct gw_ctx *c);
const char *gw_ctx_created(const struct gw_ctx *c);
bool gw_ctx_is_default(const struct gw_ctx *c);
bool gw_ctx_is_hidden(const struct gw_ctx *c);
/* False of a hidden one, and while it is provisional. */
bool gw_ctx_is_listed(const struct gw_ctx *c);
/* True if language, or the alias of one, is what it was made for. */
bool gw_ctx_speaks(const struct gw_ctx *c, const char *language);
struct gw_sandbox *gw_ctx_sandbox(const struct gw_ctx *c);
/* "none" when no kernel runs, else the name of its state. */
const char *gw_ctx_state(const struct gw_ctx *c);
/* True if a kernel runs or starts. */
bool gw_ctx_is_active(const struct gw_ctx *c);
/* The execution that its kernel works on, or where that is not ready yet the one that comes first
 * then, or NULL; borrowed. */
struct gw_exec *gw_ctx_first(const struct gw_ctx *c);
/* Its kernel if it answers, or NULL; borrowed. */
struct km_kernel *gw_ctx_kernel(const struct gw_ctx *c);

/* For exec.c: put ex at the end of the queue; take it out (and start the next one). */
void gw_ctx_enqueue(struct gw_ctx *c, struct gw_exec *ex);
void gw_ctx_dequeue(struct gw_ctx *c, struct gw_exec *ex);

#endif /* GW_CONTEXT_H */
