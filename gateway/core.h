/* gateway/core.h - CORE: what all dialects share: sandboxes, kernelspecs, limits, kept
 * executions. */
#ifndef GW_CORE_H
#define GW_CORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/config.h"
#include "wire/base/list.h"
#include "wire/base/loop.h"
#include "wire/base/table.h"

struct buf;
struct err;
struct gw_auth;
struct gw_exec;
struct gw_languages;
struct gw_pool;
struct gw_rundir;
struct gw_sandbox;
struct gw_warm;
struct km_kernel;
struct km_launcher;
struct km_reaper;
struct km_spec_path;

/* Open to core files only, but for the fields that dialects read: lp, cfg, auth, languages. */
struct gw_core {
	struct loop *lp;             /* borrowed */
	const struct gw_config *cfg; /* borrowed; replaced by a reload */
	struct gw_auth *auth;        /* borrowed */
	struct km_spec_path *specs;
	struct gw_languages *languages;
	struct km_reaper *reaper;
	struct km_launcher *launcher;       /* zygote, or else local */
	struct km_launcher *local, *zygote; /* zygote: NULL if not configured */
	struct gw_rundir *rundir;
	struct list sandboxes;
	struct table sandbox_ids, sandbox_names; /* gw_sandbox */
	struct table contexts;                   /* gw_ctx of all sandboxes, by id */
	struct list kept;                        /* gw_exec: done, oldest first */
	struct list seats; /* kernels that wait, or are on their way out, included */
	struct gw_pool *pool;
	size_t kept_n;
	size_t commands_n;         /* in the foreground, running */
	unsigned port;             /* where 127.0.0.1 reaches a listener; 0: none does */
	struct loop_timer *expire; /* the oldest kept execution is to go */
	struct loop_task trim;     /* too many are kept */
	struct gw_warm *warm;      /* the default Python kernel; NULL: not tried, or no more */
	bool draining;
};

/* Make the state and run directories, remove what a dead gateway left there, make the
 * default sandbox and begin with the default Python context (gateway/warm.h).  Returns 0 or -EIO
 * with err. */
int gw_core_new(struct loop *lp, const struct gw_config *cfg, struct gw_auth *auth,
                struct gw_core **ret, struct err *err);

/* A reload: from now on cfg, borrowed. */
void gw_core_set_config(struct gw_core *core, const struct gw_config *cfg);

/* Refuse new executions from now on, and end the kernels that wait for a context. */
void gw_core_drain(struct gw_core *core);
/* Executions that are not done, or that a client still reads, and commands in the foreground;
 * kernels that are not reaped yet. */
size_t gw_core_executions(const struct gw_core *core);
size_t gw_core_kernels(const struct gw_core *core);
/* True if a process is not reaped yet: of a kernel or command, or what it left behind. */
bool gw_core_has_processes(const struct gw_core *core);

/* Append every metric as Prometheus text (gateway/metrics.h). */
void gw_core_print_metrics(const struct gw_core *core, struct buf *b);

/* End every context, with why; kernels go in the background. */
void gw_core_stop(struct gw_core *core, const char *why);

/* Kill and release what is left.  NULL is fine. */
void gw_core_free(struct gw_core *core);

/* Take over a finished execution and forget it after keep_executions_ms, or earlier
 * when too many or too large ones are kept.  For exec.c. */
void gw_core_keep(struct gw_core *core, struct gw_exec *ex);

/* NULL once the default Python kernel has answered, else a phrase that says what is missing. */
const char *gw_core_not_ready(const struct gw_core *core);

/* The time msec from now as RFC 3339 with milliseconds and Z; the year 9999 ends it. */
void gw_core_time(uint64_t msec, char out[32]);

/* Read-only access to the kernelspecs, for dialects that list them: array of objects name,
 * display_name, language; owned by the caller. */
json_t *gw_core_kernelspecs(const struct gw_core *core);

/* Which versions of languages env asks for in vain: see gw_language_unmet(). */
void gw_core_unmet_versions(const struct gw_core *core, const json_t *env, struct buf *ret);

#endif /* GW_CORE_H */
