/* tests/unit/gw_rig.h - a gateway core with paper kernels, and a tape that records events. */
#ifndef TESTS_GW_RIG_H
#define TESTS_GW_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/exec.h"
#include "gateway/metrics.h"
#include "gateway/sandbox.h"
#include "gateway/sink.h"
#include "tests/unit/paper_kernel.h"
#include "wire/base/buf.h"

struct rig {
	struct loop *lp;
	struct gw_config *cfg; /* may be written to */
	struct gw_core *core;
	struct gw_sandbox *sandbox; /* the default one */
	struct gw_ctx *ctx;         /* its default Python context */
	char *dir;                  /* removed at the end */
};

/* A core in a fresh folder with one kernelspec, python3; its first kernel is starting. */
struct rig *rig_new(void);
/* The same, and that kernel is ready. */
struct rig *rig_ready(void);
/* The same for dialects: with a token, "token", that sandboxes' tokens are made of. */
struct rig *rig_with_auth(void);
/* Release, and fail the test unless every gauge is back to zero. */
void rig_free(struct rig *r);

/* The same when contexts were deleted: their kernels end first. */
void rig_end(struct rig *r);

/* Run the loop until only timers are left to wait for. */
void rig_settle(struct rig *r);
/* Run it until *n is at least want: for what a timer brings. */
void rig_wait_n(struct rig *r, const unsigned *n, unsigned want);

/* A sink that writes events down: "1 accepted 0|2 stdout hi|3 done ok". */
struct tape {
	struct gw_sink sink;
	struct buf text;
	unsigned events_n;
	unsigned done_n;
	enum gw_done how;
	uint64_t last_seq;
	size_t text_bytes; /* of stdout and stderr */
	size_t longest;    /* of one of them */
	/* What event() does when the event of this number comes, 0: never. */
	uint64_t stall_at, unhook_at, free_at;
	bool stalls; /* every event */
	bool gone;   /* it must not be called any more */
};

struct tape *tape_new(void);
void tape_free(struct tape *t);
const char *tape_text(const struct tape *t);

/* Queue code in ctx with defaults, hooked to t (may be NULL). */
struct gw_exec *rig_exec(struct gw_ctx *ctx, const char *code, struct tape *t);
struct gw_exec *rig_exec_with(struct gw_ctx *ctx, const struct gw_exec_request *rq,
                              struct tape *t);

/* Who waits for a context's kernel, and what it was told. */
struct waiter {
	struct gw_ctx_wait w;
	unsigned calls_n;
	int status; /* 1 before */
	char why[128];
};

/* Wait for c's kernel; *w is made anew. */
void rig_wait(struct gw_ctx *c, struct waiter *w);

/* A text that the last request carried for our own kernels: metadata.kernelbridge.key, or NULL. */
const char *rig_meta(const struct km_kernel *k, const char *key);

/* Write the kernelspec name with these bytes as its kernel.json. */
void rig_spec(struct rig *r, const char *name, const char *json);

#endif /* TESTS_GW_RIG_H */
