/* gateway/command.c - see gateway/command.h.
 *
 * A command is STARTING while its environment is read, RUNNING while its process lives or its
 * output is on its way, and ENDED when its reader was told and its log is whole.
 */
#include "gateway/command.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "gateway/cmdlog.h"
#include "gateway/command_env.h"
#include "gateway/command_request.h"
#include "gateway/core.h"
#include "gateway/crew.h"
#include "gateway/files.h"
#include "gateway/metrics.h"
#include "gateway/sandbox.h"
#include "kernelmgr/launcher.h"
#include "kernelmgr/process.h"
#include "kernelmgr/spawn.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"
#include "wire/msg.h"

#define KEEP_ENDED  100 /* of a sandbox */
#define PATH_ROOM   4096
#define TIMEOUT_MAX UINT64_C(1000000000000) /* 31 years */

enum state { STARTING, RUNNING, ENDED };

struct gw_command {
	struct list node; /* in its sandbox, oldest first */
	struct gw_sandbox *sb;
	struct log_id id; /* 32 hexadecimal digits */
	enum state state;
	bool background;
	bool interrupted; /* before it was started */
	bool timed_out;   /* killed for that */
	char *content;    /* what the client called it, bounded, valid UTF-8 */
	json_t *argv;     /* array of strings; NULL: content is for a shell */
	char *shell;      /* what the shell gets, or NULL; released when it runs */
	char *cwd;
	uint64_t timeout_ms, started_ms;
	char started[32], finished[32]; /* RFC 3339 */
	struct gw_command_env *env;     /* while STARTING */
	struct km_process *process;     /* while RUNNING */
	struct loop_timer *timeout, *grace;
	struct gw_cmdlog *log;            /* of one in the background, until it is whole */
	char *log_path;                   /* the same, or NULL */
	uint64_t log_bytes;               /* once it is whole */
	int code;                         /* as of struct gw_command_end */
	char why[256];                    /* "" while it is not known */
	const struct gw_command_ops *ops; /* NULL: nobody reads */
	void *arg;
};

/* --- the end ------------------------------------------------------------------------------ */

static void
command_free(struct gw_command *c)
{
	if (c->log_path != NULL)
		gw_cmdlog_remove(c->sb->core->lp, c->log_path);
	list_del(&c->node);
	mem_free(c->content);
	mem_free(c->shell);
	mem_free(c->cwd);
	mem_free(c->log_path);
	json_decref(c->argv);
	mem_free(c);
}

/* Forget the oldest of those that ended, but never c. */
static void
forget_old(struct gw_sandbox *sb, const struct gw_command *c)
{
	struct list *it, *tmp;
	unsigned n = 0;

	list_each (it, tmp, &sb->commands)
		n += list_entry(it, struct gw_command, node)->state == ENDED;
	list_each (it, tmp, &sb->commands) {
		struct gw_command *old = list_entry(it, struct gw_command, node);

		if (n <= KEEP_ENDED)
			break;
		if (old->state != ENDED || old == c)
			continue;
		command_free(old);
		n--;
	}
}

/* Release what only a running one has. */
static void
let_go(struct gw_command *c)
{
	gw_command_env_free(c->env);
	km_process_free(c->process);
	loop_timer_free(c->timeout);
	loop_timer_free(c->grace);
	if (c->log != NULL)
		c->log_bytes = gw_cmdlog_bytes(c->log);
	gw_cmdlog_free(c->log);
	c->env = NULL;
	c->process = NULL;
	c->timeout = c->grace = NULL;
	c->log = NULL;
}

/* The one way a command ends: code and why are set. */
static void
finish(struct gw_command *c)
{
	const struct gw_command_ops *ops = c->ops;
	struct gw_core *core = c->sb->core;
	struct gw_command_end e = {c->code, c->why, loop_now_ms(core->lp) - c->started_ms};
	char why[sizeof(c->why)];

	let_go(c);
	c->state = ENDED;
	c->ops = NULL;
	gw_core_time(0, c->finished);
	gw_metric[GW_M_COMMANDS_RUNNING]--;
	core->commands_n -= !c->background;
	log_info(&c->id, "command ended code=%d ms=%llu: %s", c->code,
	         (unsigned long long)e.elapsed_ms, c->why);
	forget_old(c->sb, c);
	if (ops == NULL)
		return;
	(void)snprintf(why, sizeof(why), "%s", c->why); /* c may go meanwhile */
	e.why = why;
	ops->ended(c->arg, &e);
}

/* It is over, but for its log. */
static void
settle(struct gw_command *c)
{
	if (c->log != NULL)
		gw_cmdlog_end(c->log);
	else
		finish(c);
}

static void
fail(struct gw_command *c, const char *why)
{
	c->code = -1;
	(void)snprintf(c->why, sizeof(c->why), "%s", why);
	settle(c);
}

/* --- the process's callbacks -------------------------------------------------------------- */

static int
on_output(void *arg, int stream, const char *data, size_t len)
{
	struct gw_command *c = arg;

	if (c->log != NULL)
		return gw_cmdlog_write(c->log, data, len);
	return c->ops != NULL ? c->ops->output(c->arg, stream, data, len) : 0;
}

static void
on_ended(void *arg, int how)
{
	struct gw_command *c = arg;
	int sig = how >= KM_SIGNALLED ? how - KM_SIGNALLED : 0;
	const char *name = sig != 0 ? sigdescr_np(sig) : NULL;

	c->code = sig != 0 ? 128 + sig : how;
	if (c->timed_out)
		(void)snprintf(c->why, sizeof(c->why), "timed out after %llu ms",
		               (unsigned long long)c->timeout_ms);
	else if (sig != 0)
		(void)snprintf(c->why, sizeof(c->why), "killed by signal %d (%s)", sig,
		               name != NULL ? name : "unknown");
	else if (how >= 0)
		(void)snprintf(c->why, sizeof(c->why), "exit status %d", how);
	else
		(void)snprintf(c->why, sizeof(c->why), "the process is gone");
	settle(c);
}

static const struct km_process_ops process_ops = {.output = on_output, .ended = on_ended};

static void
on_log_drained(void *arg)
{
	struct gw_command *c = arg;

	if (c->process != NULL)
		km_process_resume(c->process);
}

static void
on_log_closed(void *arg)
{
	finish(arg);
}

static const struct gw_cmdlog_ops log_ops = {.drained = on_log_drained,
                                             .closed = on_log_closed};

static void
on_timeout(void *arg)
{
	struct gw_command *c = arg;

	if (c->process == NULL || km_process_pid(c->process) == 0)
		return; /* it ended by itself */
	c->timed_out = true;
	km_process_signal(c->process, SIGKILL);
}

static void
on_grace(void *arg)
{
	struct gw_command *c = arg;

	if (c->process != NULL)
		km_process_signal(c->process, SIGKILL);
}

/* --- the start ---------------------------------------------------------------------------- */

static int
start_process(struct gw_command *c, struct km_env *env, const char *const *argv,
              struct err *err)
{
	const struct km_process_start what = {
	    .argv = argv,
	    .cwd = c->cwd,
	    .env = env,
	    .crew = gw_crew_of(c->sb),
	    .merged = c->background,
	};

	return km_process_new(c->sb->core->lp, &what, &process_ops, c, &c->process, err);
}

/* bash, or sh where there is none. */
static int
start_shell(struct gw_command *c, struct km_env *env, struct err *err)
{
	const char *argv[] = {"bash", "-c", c->shell, NULL};
	int rc = start_process(c, env, argv, err);

	if (rc == -ENOENT && km_spawn_check_cwd(c->cwd, err) == 0) {
		argv[0] = "sh";
		rc = start_process(c, env, argv, err);
	}
	return rc;
}

static int
start_argv(struct gw_command *c, struct km_env *env, struct err *err)
{
	size_t n = json_array_size(c->argv);
	const char **argv = mem_new((n + 1) * sizeof(*argv));
	int rc;

	for (size_t i = 0; i < n; i++)
		argv[i] = json_string_value(json_array_get(c->argv, i));
	rc = start_process(c, env, argv, err);
	mem_free(argv);
	return rc;
}

static void
on_env(void *arg, struct km_env *env, const char *why)
{
	struct gw_command *c = arg;
	struct err err;
	int rc = 0;

	c->state = RUNNING;
	if (env == NULL) {
		fail(c, why);
		return;
	}
	if (c->interrupted) {
		c->code = 128 + SIGINT;
		(void)snprintf(c->why, sizeof(c->why), "interrupted before it was started");
		settle(c);
		return;
	}
	rc = c->argv != NULL ? start_argv(c, env, &err) : start_shell(c, env, &err);
	mem_free(c->shell);
	c->shell = NULL;
	if (rc != 0)
		fail(c, err.text);
	else if (c->timeout_ms > 0)
		c->timeout = loop_timer_new(c->sb->core->lp, c->timeout_ms, on_timeout, c);
}

/* --- making one --------------------------------------------------------------------------- */

static unsigned
running_n(const struct gw_sandbox *sb)
{
	const struct list *it;
	unsigned n = 0;

	for (it = sb->commands.next; it != &sb->commands; it = it->next)
		n += list_entry(it, struct gw_command, node)->state != ENDED;
	return n;
}

static int
check(const struct gw_sandbox *sb, const struct gw_command_request *rq, struct err *err)
{
	int rc = gw_command_request_check(sb, rq, err);

	if (rc == 0 && running_n(sb) >= sb->core->cfg->max_commands)
		rc = err_set(err, -EBUSY,
		             "%llu commands run in sandbox '%.40s', the limit (max_commands)",
		             (unsigned long long)sb->core->cfg->max_commands, sb->name);
	return rc;
}

/* Make the folder of logs, and the log. */
static int
open_log(struct gw_command *c, struct err *err)
{
	struct gw_sandbox *sb = c->sb;
	char *dir = gw_crew_logs(sb), path[PATH_ROOM];
	int rc = gw_files_mkdirs(dir, err);

	(void)snprintf(path, sizeof(path), "%.3950s/%s.log", dir, c->id.id);
	mem_free(dir);
	if (rc != 0)
		return rc;
	c->log = gw_cmdlog_new(sb->core->lp, path, sb->core->cfg->command_log_bytes, &log_ops,
	                       c, err);
	if (c->log == NULL)
		return -EIO;
	c->log_path = mem_strdup(path);
	return 0;
}

static void
make_id(char id[33])
{
	char uuid[WIRE_UUID_LEN + 1];
	size_t n = 0;

	wire_uuid(uuid);
	for (const char *s = uuid; *s != '\0'; s++)
		if (*s != '-')
			id[n++] = *s;
	id[n] = '\0';
}

int
gw_command_new(struct gw_sandbox *sb, const struct gw_command_request *rq,
               const struct gw_command_ops *ops, void *arg, struct gw_command **ret,
               struct err *err)
{
	struct gw_command *c;
	char *cwd = NULL;
	int rc = check(sb, rq, err);

	if (rc == 0)
		rc = gw_command_request_cwd(sb, rq->cwd, &cwd, err);
	if (rc != 0)
		return rc;
	c = mem_new(sizeof(*c));
	c->sb = sb;
	c->id.kind = "command";
	make_id(c->id.id);
	c->cwd = cwd;
	c->background = rq->background;
	c->timeout_ms = rq->timeout_ms < TIMEOUT_MAX ? rq->timeout_ms : TIMEOUT_MAX;
	c->started_ms = loop_now_ms(sb->core->lp);
	gw_core_time(0, c->started);
	c->content = gw_command_request_text(rq);
	if (rq->command != NULL)
		c->shell = mem_strdup(rq->command);
	else
		c->argv = json_deep_copy(rq->argv);
	list_add_before(&sb->commands, &c->node);
	rc = c->background ? open_log(c, err) : 0;
	if (rc != 0) {
		command_free(c);
		return rc;
	}
	if (!c->background) {
		c->ops = ops;
		c->arg = arg;
		sb->core->commands_n++;
	}
	gw_metric[GW_M_COMMANDS_RUNNING]++;
	c->env = gw_command_env_new(sb, rq->env, on_env, c);
	*ret = c;
	return 0;
}

/* --- its life ------------------------------------------------------------------------------ */

void
gw_command_resume(struct gw_command *c)
{
	if (c->process != NULL && c->log == NULL)
		km_process_resume(c->process);
}

void
gw_command_detach(struct gw_command *c)
{
	c->ops = NULL;
	gw_command_resume(c);
}

void
gw_command_interrupt(struct gw_command *c)
{
	if (c->state == STARTING)
		c->interrupted = true;
	if (c->process == NULL || km_process_pid(c->process) == 0)
		return;
	km_process_signal(c->process, SIGINT);
	if (c->grace == NULL)
		c->grace = loop_timer_new(c->sb->core->lp, c->sb->core->cfg->interrupt_grace_ms,
		                          on_grace, c);
}

void
gw_command_kill(struct gw_command *c)
{
	if (c->state == STARTING)
		c->interrupted = true;
	if (c->process != NULL)
		km_process_signal(c->process, SIGKILL);
}

struct gw_command *
gw_command_find(struct gw_sandbox *sb, const char *id)
{
	struct list *it, *tmp;

	list_each (it, tmp, &sb->commands) {
		struct gw_command *c = list_entry(it, struct gw_command, node);

		if (strcmp(c->id.id, id) == 0)
			return c;
	}
	return NULL;
}

const char *
gw_command_id(const struct gw_command *c)
{
	return c->id.id;
}

bool
gw_command_is_background(const struct gw_command *c)
{
	return c->background;
}

json_t *
gw_command_describe(const struct gw_command *c)
{
	json_t *o = json_pack("{s:s, s:s, s:b, s:s}", "id", c->id.id, "content", c->content,
	                      "running", c->state != ENDED, "started_at", c->started);

	if (c->state != ENDED)
		return o;
	json_object_set_new(o, "exit_code", json_integer(c->code));
	json_object_set_new(o, "finished_at", json_string(c->finished));
	if (c->code != 0)
		json_object_set_new(o, "error", json_string(c->why));
	return o;
}

const char *
gw_command_log(const struct gw_command *c, uint64_t *ret_bytes)
{
	*ret_bytes = c->log != NULL ? gw_cmdlog_bytes(c->log) : c->log_bytes;
	return c->log_path;
}

void
gw_commands_end(struct gw_sandbox *sb, const char *why)
{
	while (!list_empty(&sb->commands)) {
		struct gw_command *c = list_entry(sb->commands.next, struct gw_command, node);

		if (c->state != ENDED) {
			c->code = -1;
			(void)snprintf(c->why, sizeof(c->why), "%s", why);
			finish(c);
		}
		command_free(c);
	}
	gw_crew_end(sb);
}
