/* gateway/exec.h - CORE: one run of code in a context: wire messages in, events out.
 *
 *	QUEUED -> RUNNING -> STOPPING -> DONE     each may also go to DONE at once
 *
 * An execution belongs to its context while it is live; then the core keeps it for a while, so
 * that a client that lost its connection can read the rest.
 */
#ifndef GW_EXEC_H
#define GW_EXEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/event.h"
#include "gateway/evlog.h"
#include "wire/base/list.h"
#include "wire/base/log.h"
#include "wire/base/loop.h"
#include "wire/msg.h"

struct err;
struct gw_core;
struct gw_ctx;
struct gw_sink;
struct km_kernel;
struct wire_req;

enum gw_exec_state {
	GW_EXEC_QUEUED,
	GW_EXEC_RUNNING,
	GW_EXEC_STOPPING,
	GW_EXEC_DONE,
	GW_EXEC_N
};

const char *gw_exec_state_name(enum gw_exec_state st);
bool gw_exec_may(enum gw_exec_state from, enum gw_exec_state to);

/* What a program that reads stdin gets. */
enum gw_stdin {
	GW_STDIN_DENY, /* the kernel refuses: StdinNotImplementedError in Python */
	GW_STDIN_EOF,  /* end of file: EOFError */
	GW_STDIN_ASK,  /* an INPUT event; gw_exec_input() answers */
};

/* What happens when its last sink goes away. */
enum gw_orphan {
	GW_ORPHAN_FINISH,    /* it runs, now or when its turn comes */
	GW_ORPHAN_DROP,      /* it is dropped while queued; once it runs it finishes */
	GW_ORPHAN_INTERRUPT, /* it is dropped while queued, interrupted when it runs */
};

struct gw_exec_request {
	const char *code; /* UTF-8 */
	size_t code_len;
	const json_t *envs;  /* object of strings or NULL; borrowed for the call */
	const char *cwd;     /* for this run, absolute; or NULL: where the kernel is */
	uint64_t timeout_ms; /* from the start of the run; 0: none */
	enum gw_stdin stdin_mode;
	enum gw_orphan orphan;
	bool silent; /* no count, no result, no history */
	bool rich; /* further forms of results: e2b/data, application/json of lists and dicts */
};

/* Open to core files only; dialects use the functions. */
struct gw_exec {
	struct list node; /* in the context's queue, or the core's kept ones */
	struct gw_core *core;
	struct gw_ctx *ctx;       /* NULL once the context is gone */
	struct km_kernel *kernel; /* runs it, or NULL; borrowed */
	struct wire_req *req;     /* in flight at kernel, or NULL */
	struct log_id id;
	struct log_id ctx_id; /* also when ctx is gone */
	enum gw_exec_state state;
	enum gw_done stop; /* STOPPING: what it will be */
	char *code;
	size_t code_len;
	json_t *envs; /* object or NULL */
	char *cwd;    /* or NULL */
	uint64_t timeout_ms;
	enum gw_stdin stdin_mode;
	enum gw_orphan orphan;
	bool silent;
	bool rich;
	bool input_waits;   /* an input_request is unanswered */
	bool paused;        /* the kernel waits for the sinks */
	bool saw_error;     /* an ERROR event went out */
	bool began;         /* the kernel works on the code: an interrupt reaches it */
	bool cut;           /* max_output_bytes was passed: no more output */
	bool drops;         /* its sinks are too far behind: see exec_cut.h */
	uint64_t cut_bytes; /* dropped since the last marker; messages likewise */
	uint64_t cut_messages;
	size_t older_bytes;   /* what sinks have not taken of its context's earlier runs */
	bool in_line;         /* stderr is amid a line */
	bool killed;          /* its kernel was, since it ignored the interrupt */
	bool entered;         /* what surrounds the code was set: see exec_around.h */
	bool ended;           /* the kernel is done with the code; what is left to do is ours */
	enum gw_done outcome; /* ended: how, and a static phrase or NULL */
	const char *outcome_why;
	char *req_id;            /* of the code's request, while it runs or has ended */
	struct loop_timer *late; /* ended: output may still come, or NULL */
	char *mark;              /* what ends it, or NULL: see exec_flush.h */
	char *flush_id;          /* of the request that prints the mark, or NULL */
	bool more;               /* some came since late was set */
	uint64_t ended_ms;
	json_t *reply;       /* content of execute_reply, or NULL: not yet */
	int64_t count;       /* execution_count, 0: not started */
	uint64_t started_ms; /* loop time of the request, then of the end */
	size_t output_bytes;
	struct gw_evlog log;
	uint64_t
	    read_seq; /* the newest event that a client has, or was told of: it grows no more */
	struct list sinks;
	struct gw_sink *feeding;    /* whose event() is on the stack, or NULL */
	struct loop_task pump;      /* sinks have something to read */
	struct loop_timer *timeout; /* pending, or NULL */
	struct loop_timer *again;   /* STOPPING: interrupt again until it has started */
	struct loop_timer *grace;   /* STOPPING: then kill */
};

/* Queue code in ctx.  Returns 0 with *ret, borrowed: live at least until DONE reached its sinks
 * (hook one now).  -EINVAL: cwd is not an absolute path of a directory; -EBUSY: the queue is
 * full; -ECANCELED: the gateway is stopping. */
int gw_exec_new(struct gw_ctx *ctx, const struct gw_exec_request *rq, struct gw_exec **ret,
                struct err *err);

/* Send it to a ready kernel.  For context.c. */
void gw_exec_run(struct gw_exec *ex, struct km_kernel *k);

/* Its kernel is set up: send what surrounds its code, or the code.  For exec_setup.c. */
void gw_exec_enter(struct gw_exec *ex);

/* Send its code, once what surrounds it is set; the kernel is done with it, so that nothing
 * interrupts or pauses it any more; kill the kernel if it has not finished when the grace is
 * over.  For exec_around.c. */
void gw_exec_send(struct gw_exec *ex);
void gw_exec_ended(struct gw_exec *ex);
void gw_exec_guard(struct gw_exec *ex);

/* The code ended its kernel with this exit code, as exit() of some languages does.  For
 * context.c. */
void gw_exec_exited(struct gw_exec *ex, int code);

/* Stop it on purpose: a queued one is done at once, a running one is interrupted and, with
 * kill_ms > 0, its kernel killed that much later.  how: INTERRUPTED, ABORTED, TIMEOUT or
 * OVERRUN. */
void gw_exec_stop(struct gw_exec *ex, enum gw_done how, uint64_t kill_ms);

/* End it now: DONE(how) with why (a phrase; NULL only without KERNEL_DIED, which adds an
 * ERROR event before).  Legal in every state but DONE; the kernel of a running one is dead
 * or is being left, or nothing would tell when it can run the next one.  For context.c. */
void gw_exec_finish(struct gw_exec *ex, enum gw_done how, const char *why);

/* Answer its INPUT event.  Returns 0, or -ENOENT if none waits. */
int gw_exec_input(struct gw_exec *ex, const char *value, size_t len);

/* A live or kept execution, or NULL; borrowed. */
struct gw_exec *gw_exec_find(struct gw_core *core, const char *id);
const char *gw_exec_id(const struct gw_exec *ex);
/* Executions before it in its context. */
unsigned gw_exec_position(const struct gw_exec *ex);

/* From now on, rule says what happens when its last sink goes away. */
void gw_exec_set_orphan(struct gw_exec *ex, enum gw_orphan rule);

/* Its last sink went away: do what its orphan rule says.  For sink.c. */
void gw_exec_orphaned(struct gw_exec *ex);

/* Release; sinks are unhooked without a word.  NULL is fine. */
void gw_exec_free(struct gw_exec *ex);

#endif /* GW_EXEC_H */
