/* gateway/sandbox.h - CORE: a tenant's space: home folder, variables, contexts.
 *
 * The sandbox `default` always exists.
 */
#ifndef GW_SANDBOX_H
#define GW_SANDBOX_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "wire/base/list.h"
#include "wire/base/log.h"
#include "wire/base/table.h"

struct err;
struct gw_core;
struct gw_fs;
struct km_crew;
struct loop_timer;

#define GW_SANDBOX_DEFAULT "default" /* its id */

/* The folder of a sandbox.  Kernels and commands that still end hold it after the sandbox has
 * gone; the last holder removes it.  Only the default sandbox's stays: no other can be named again
 * when its gateway has ended. */
struct gw_home {
	char *dir; /* absolute; the home is below it */
	unsigned holders_n;
	char *
	    mark; /* file in the run folder, of its name: who sweeps up after a gateway that was
	             * killed removes the folder (gateway/sweep.h); NULL: it stays */
};

struct gw_home *gw_home_hold(struct gw_home *h);
void gw_home_release(struct gw_home *h);

struct gw_sandbox {
	struct list node;                 /* in the core */
	struct table_node by_id, by_name; /* likewise */
	struct gw_core *core;
	struct log_id id;
	char *name;
	struct gw_home *folder;
	char *home;     /* absolute, exists */
	json_t *env;    /* object of strings: every kernel gets them */
	json_t *labels; /* object of strings */
	char *image;    /* what its client calls the template or image; told, not used */
	json_t *told;   /* object: what else its client said of it, for its dialect to repeat */
	bool stopped;   /* on request: no kernel runs until started */
	bool paused;    /* its clock stands still, its kernels stay */
	bool pauses;    /* at its end, instead of being deleted */
	bool
	    any_version; /* a language in a version that is not installed runs in one that is */
	bool wakes;      /* a request to it ends its pause, where the dialect knows that */
	char created[32];
	char ends[32];             /* when it is deleted, RFC 3339; "": never */
	struct loop_timer *expiry; /* or NULL: never */
	uint64_t due_ms;           /* when, in the loop's time */
	uint64_t span_ms;          /* the time it was given last */
	uint64_t left_ms;          /* of a paused one: what it had left, 0: for ever */
	struct list contexts;      /* gw_ctx, oldest first */
	struct gw_fs *fs;          /* NULL until it is asked for */
	struct list commands;      /* gw_command, oldest first */
	struct km_crew *crew;      /* what commands are and leave; NULL: there was none yet */
};

struct gw_sandbox_request {
	const char *id;       /* NULL: a fresh UUID */
	const char *name;     /* NULL: the id */
	const json_t *env;    /* object of strings or NULL; copied */
	const json_t *labels; /* object of strings or NULL; copied */
	const char *image;    /* NULL: "" */
	const json_t *told;   /* object or NULL; copied */
	uint64_t timeout_ms;  /* until it is deleted or paused; 0: never */
	bool pauses, wakes, any_version;
};

/* Check o as NULL, null, or an object of strings.  Returns 0 or -EINVAL. */
int gw_strings_check(const json_t *o, const char *what, struct err *err);

/* Ceilings of one set of environment variables: sets are merged name by name, on the loop. */
#define GW_ENV_VARS_MAX 4096
#define GW_ENV_NAME_MAX 255 /* bytes */

/* Check o as a set of environment variables: NULL, null, or an object of strings, with names
 * that have no = and nothing that has a NUL, within the ceilings.  Returns 0 or -EINVAL; what is
 * how the client calls it. */
int gw_env_check(const json_t *o, const char *what, struct err *err);

/* Ceilings of what a sandbox keeps for its client, since lists repeat it; in bytes. */
#define GW_SANDBOX_LABELS_MAX (64U << 10) /* names and values together */
#define GW_SANDBOX_ENV_MAX    (1U << 20)  /* likewise */
#define GW_SANDBOX_NAME_MAX   1024U       /* of its name, and of its image's */

/* How many bytes the names and values of o have, an object of strings, NULL or null; and check that
 * they are at most max.  Returns 0 or -EINVAL; what is how the client calls it. */
size_t gw_strings_bytes(const json_t *o);
int gw_strings_size(const json_t *o, size_t max, const char *what, struct err *err);

/* Returns 0 with *ret borrowed (owned by the core), -EEXIST (the name is taken), -EBUSY
 * (max_sandboxes), -EINVAL (env or labels are not strings, or something is above its ceiling) or
 * -EIO (no home), with err. */
int gw_sandbox_new(struct gw_core *core, const struct gw_sandbox_request *rq,
                   struct gw_sandbox **ret, struct err *err);

/* The variables that its kernels and commands get over the gateway's own: HOME is its home, caches
 * and IPython's settings stay the gateway's (a new font cache costs seconds), then its env.
 * Owned by the caller. */
json_t *gw_sandbox_vars(const struct gw_sandbox *sb);

/* By id or by name; NULL: none. */
struct gw_sandbox *gw_sandbox_find(struct gw_core *core, const char *id_or_name);

/* Delete every context and command, and make none until start; why goes to the clients. */
void gw_sandbox_stop(struct gw_sandbox *sb, const char *why);
void gw_sandbox_start(struct gw_sandbox *sb);

/* Delete (or pause) it msec from now, whatever was said before; 0: never.  No effect on the default
 * sandbox, which stays. */
void gw_sandbox_set_timeout(struct gw_sandbox *sb, uint64_t msec);

/* Its files (gateway/fs.h).  Returns 0 with *ret borrowed, until it goes: hold it. */
int gw_sandbox_fs(struct gw_sandbox *sb, struct gw_fs **ret, struct err *err);

/* Stop its clock and let no new context in (its kernels and what runs there stay), and go on
 * with msec to live (0: for ever), which may be its left_ms: one that was paused because its time
 * was over has all of that time left again.  Pausing a paused one is fine. */
void gw_sandbox_pause(struct gw_sandbox *sb);
void gw_sandbox_resume(struct gw_sandbox *sb, uint64_t msec);

/* Release, and remove its home once the last of its kernels and processes has ended; the default
 * sandbox's home stays, and it must not be deleted. */
void gw_sandbox_free(struct gw_sandbox *sb, const char *why);
void gw_sandbox_delete(struct gw_sandbox *sb, const char *why);

#endif /* GW_SANDBOX_H */
