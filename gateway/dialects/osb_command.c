/* gateway/dialects/osb_command.c - /command: programs beside the kernels, as execd runs them.
 *
 * A command in the foreground answers with its output, line by line; when its client leaves, it
 * is killed with its process group, as execd does: what it has put into a session or a group of its
 * own (setsid, bash -m) lives on until the sandbox ends.  One in the background answers at once and
 * writes a log.  An error's value is the exit status (the SDKs' exit_code): 128 + signal where a
 * signal ended it, so 137 after a timeout, where execd says -1; its traceback says it in words.
 */
#include <errno.h>
#include <unistd.h>

#include "gateway/command.h"
#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/dialects/osb.h"
#include "gateway/dialects/osb_shell.h"
#include "gateway/exec.h"
#include "gateway/sandbox.h"
#include "gateway/status.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

/* --- output ------------------------------------------------------------------------------ */

struct run {
	struct gw_osb_shell sh;
	struct gw_command *cmd; /* borrowed; NULL: it ended, or goes on without us */
};

/* Nobody will read what it prints. */
static void
leave(struct run *r)
{
	struct gw_command *cmd = r->cmd;

	r->cmd = NULL;
	if (cmd == NULL)
		return;
	gw_command_detach(cmd);
	gw_command_kill(cmd);
}

static int
on_output(void *arg, int stream, const char *data, size_t len)
{
	struct run *r = arg;
	int rc = gw_osb_shell_put(&r->sh, stream, data, len);

	if (rc != -ENOMEM)
		return rc;
	leave(r);
	return 0;
}

static void
on_ended(void *arg, const struct gw_command_end *e)
{
	struct run *r = arg;

	r->cmd = NULL;
	if (e->code == 0)
		gw_osb_shell_complete(&r->sh, e->elapsed_ms);
	else
		gw_osb_shell_status(&r->sh, e->code, e->why);
}

static const struct gw_command_ops command_ops = {.output = on_output, .ended = on_ended};

static void
on_drained(void *arg)
{
	struct run *r = arg;

	if (r->cmd != NULL)
		gw_command_resume(r->cmd);
}

static void
on_closed(void *arg, bool gone)
{
	struct run *r = arg;

	(void)gone;
	leave(r);
	gw_osb_shell_fini(&r->sh);
	mem_free(r);
}

static const struct gw_osb_stream_ops stream_ops = {.drained = on_drained, .closed = on_closed};

/* --- the request ------------------------------------------------------------------------- */

struct request {
	struct gw_command_request rq;
	char *cwd; /* owned, or NULL */
};

/* Exactly one of them is the program. */
static int
read_program(const json_t *o, struct gw_command_request *rq, struct err *err)
{
	const json_t *argv = json_object_get(o, "argv");
	const json_t *command = json_object_get(o, "command");
	size_t i;
	const json_t *word;

	if (argv == NULL || json_is_null(argv))
		return gw_osb_shell_command(o, &rq->command, err);
	if (command != NULL && !json_is_null(command))
		return err_set(err, -EINVAL, "command and argv: only one of them can be given");
	if (!json_is_array(argv) || json_array_size(argv) == 0)
		return err_set(err, -EINVAL, "argv is not a list of at least one string");
	json_array_foreach (argv, i, word)
		if (!json_is_string(word))
			return err_set(err, -EINVAL, "argv[%zu] is not a string", i);
	if (json_string_length(json_array_get(argv, 0)) == 0)
		return err_set(err, -EINVAL, "argv[0] is empty");
	rq->argv = argv;
	return 0;
}

/* Commands run as whom the gateway runs as. */
static int
check_owner(const json_t *o, struct err *err)
{
	json_int_t uid = -1;
	json_int_t gid = -1;
	int rc = gw_osb_shell_number(o, "uid", &uid, err);

	if (rc == 0)
		rc = gw_osb_shell_number(o, "gid", &gid, err);
	if (rc != 0)
		return rc;
	if (gid >= 0 && uid < 0)
		return err_set(err, -EINVAL, "uid is required when gid is provided");
	if (uid >= 0 && uid != (json_int_t)geteuid())
		return err_set(err, -EINVAL,
		               "uid %" JSON_INTEGER_FORMAT
		               ": commands can run as user %u only, as the gateway does",
		               uid, (unsigned)geteuid());
	if (gid >= 0 && gid != (json_int_t)getegid())
		return err_set(err, -EINVAL,
		               "gid %" JSON_INTEGER_FORMAT
		               ": commands can run with group %u only, as the gateway does",
		               gid, (unsigned)getegid());
	return 0;
}

static int
read_request(const struct gw_sandbox *sb, const json_t *o, struct request *r, struct err *err)
{
	const json_t *envs = json_object_get(o, "envs");
	int rc = read_program(o, &r->rq, err);

	if (rc == 0)
		rc = gw_env_check(envs, "envs", err);
	if (rc == 0)
		rc = gw_osb_shell_cwd(o, sb, envs, &r->cwd, err);
	if (rc == 0)
		rc = gw_osb_shell_flag(o, "background", &r->rq.background, err);
	if (rc == 0)
		rc = gw_osb_shell_timeout(o, &r->rq.timeout_ms, err);
	if (rc == 0)
		rc = check_owner(o, err);
	r->rq.env = json_is_object(envs) ? envs : NULL;
	r->rq.cwd = r->cwd;
	return rc;
}

static void
refuse(struct gw_http *x, int rc, const struct err *err)
{
	if (rc == -EINVAL || rc == -ENOENT) /* the directory */
		gw_osb_fail(x, 400, GW_OSB_BAD_BODY, "invalid request: %s", err->text);
	else
		gw_osb_fail(x, gw_status_http(rc), GW_OSB_RUNTIME, "error running commands: %s",
		            err->text);
}

static void
start(struct gw_sandbox *sb, struct gw_http *x, const struct gw_command_request *rq)
{
	struct run *r = mem_new(sizeof(*r));
	struct gw_command *cmd;
	struct err err;
	int rc = gw_command_new(sb, rq, rq->background ? NULL : &command_ops, r, &cmd, &err);

	if (rc != 0) {
		mem_free(r);
		refuse(x, rc, &err);
		return;
	}
	gw_osb_shell_begin(&r->sh, sb->core, x, gw_command_id(cmd), &stream_ops, r);
	if (rq->background)
		gw_osb_shell_complete(&r->sh, 0);
	else
		r->cmd = cmd;
}

void
gw_osb_command(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = gw_osb_sandbox(core, x);
	json_t *o = sb != NULL ? gw_osb_object(x, body, len, GW_OSB_BODY_MAX, false) : NULL;
	struct request r = {.cwd = NULL};
	struct err err;
	int rc;

	if (o == NULL)
		return;
	rc = read_request(sb, o, &r, &err);
	if (rc == 0)
		start(sb, x, &r.rq);
	else
		refuse(x, rc, &err);
	mem_free(r.cwd);
	json_decref(o);
}

/* --- one of them ------------------------------------------------------------------------- */

/* Also what runs in a session or context of that id, or waits until its kernel has started: their
 * runs' ids are theirs.  What has ended already needs no interruption. */
void
gw_osb_command_interrupt(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = gw_osb_sandbox(core, x);
	const char *id = gw_http_query(x, "id");
	struct gw_command *cmd;
	struct gw_exec *ex;
	struct gw_ctx *c;

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	if (id == NULL || id[0] == '\0') {
		gw_osb_fail(x, 400, GW_OSB_BAD_QUERY, "missing query parameter 'id'");
		return;
	}
	cmd = gw_command_find(sb, id);
	c = cmd == NULL ? gw_ctx_find(sb, id) : NULL;
	ex = c != NULL ? gw_ctx_first(c) : NULL;
	if (cmd == NULL && c == NULL) {
		gw_osb_fail(x, 500, GW_OSB_RUNTIME,
		            "error interrupting command: no such session: %.64s", id);
		return;
	}
	if (cmd != NULL)
		gw_command_interrupt(cmd);
	else if (ex != NULL)
		gw_exec_stop(ex, GW_DONE_INTERRUPTED, 0);
	gw_http_reply(x, 200, NULL, "", 0);
}

/* The command of the path; NULL: answered. */
static struct gw_command *
named(struct gw_core *core, struct gw_http *x)
{
	struct gw_sandbox *sb = gw_osb_sandbox(core, x);
	const char *id = gw_http_param(x, "id");
	struct gw_command *cmd = sb != NULL ? gw_command_find(sb, id) : NULL;

	if (sb != NULL && cmd == NULL)
		gw_osb_fail(x, 404, GW_OSB_NO_COMMAND, "command not found: %.64s", id);
	return cmd;
}

void
gw_osb_command_status(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	const struct gw_command *cmd = named(core, x);

	(void)body;
	(void)len;
	if (cmd != NULL)
		gw_http_reply_json(x, 200, gw_command_describe(cmd));
}
