/* gateway/exec_around.c - see gateway/exec_around.h. */
#include "gateway/exec_around.h"

#include <errno.h>
#include <string.h>

#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/exec.h"
#include "gateway/exec_feed.h"
#include "gateway/exec_flush.h"
#include "gateway/exec_msg.h"
#include "gateway/language.h"
#include "kernelmgr/kernel.h"
#include "kernelmgr/spec.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/client.h"

#define STAYED   "the variables or the directory of a run stayed: "
#define CODE_MAX ((size_t)4 << 30) /* values are bounded by the request; quoting makes more */

bool
gw_exec_around_needed(const struct gw_exec *ex)
{
	return (ex->envs != NULL || ex->cwd != NULL) && !km_kernel_spec(ex->kernel)->takes_env;
}

static void
on_message(void *arg, const struct wire_msg *m)
{
	struct gw_exec *ex = arg;

	if (strcmp(m->type, "error") == 0 && !ex->ended)
		gw_exec_msg_error(ex, m->content, m->metadata);
}

static void
on_reply(void *arg, const struct wire_msg *m)
{
	struct gw_exec *ex = arg;
	const char *said = json_string_value(json_object_get(m->content, "status"));
	const char *why = json_string_value(json_object_get(m->content, "evalue"));

	if (said == NULL || strcmp(said, "error") != 0)
		return;
	if (ex->ended)
		log_warn(&ex->id, STAYED "%.200s", why != NULL ? why : "no reason given");
	else if (!ex->saw_error)
		gw_exec_msg_error(ex, m->content, NULL);
}

void
gw_exec_around_send(struct gw_exec *ex, const struct buf *code, const struct wire_req_ops *ops)
{
	json_t *content =
	    json_pack("{s:o, s:b, s:b, s:{}, s:b, s:b}", "code",
	              json_stringn_nocheck(code->data, code->len), "silent", 1, "store_history",
	              0, "user_expressions", "allow_stdin", 0, "stop_on_error", 1);

	ex->ctx->surrounded = true;
	ex->req = km_kernel_execute(ex->kernel, content, NULL, ops, ex);
	json_decref(content);
}

/* --- before ------------------------------------------------------------------------------- */

static void
on_entered(void *arg, int status)
{
	struct gw_exec *ex = arg;

	ex->req = NULL;
	if (status == -EPIPE && km_kernel_state(ex->kernel) != KM_READY)
		return; /* the context ends us */
	if (status != 0)
		gw_exec_finish(ex, GW_DONE_KERNEL_DIED, "the kernel gave no reply");
	else if (ex->state == GW_EXEC_STOPPING)
		gw_exec_around_end(ex, ex->stop, NULL);
	else if (ex->saw_error)
		gw_exec_around_end(ex, GW_DONE_ERROR, "its variables could not be set");
	else
		gw_exec_send(ex);
}

static void
refuse(struct gw_exec *ex, const char *why)
{
	const struct gw_event ev = {
	    .kind = GW_EV_ERROR, .name = "NotSupported", .text = {why, strlen(why)}};

	gw_exec_append(ex, &ev);
	gw_exec_finish(ex, GW_DONE_ERROR, NULL);
}

void
gw_exec_around_enter(struct gw_exec *ex)
{
	static const struct wire_req_ops ops = {
	    .message = on_message, .reply = on_reply, .done = on_entered};
	const struct gw_language *l = ex->ctx->row;
	struct err err;
	struct buf code;
	int rc;

	buf_init(&code, CODE_MAX);
	if (l == NULL)
		rc = err_set(&err, -ENOTSUP,
		             "kernelspec '%s' is not in the language table, which says how "
		             "variables and a directory are set for one run",
		             ex->ctx->spec);
	else
		rc = gw_language_enter(l, ex->envs, ex->cwd, &code, &err);
	if (rc == 0) {
		ex->entered = true;
		gw_exec_around_send(ex, &code, &ops);
	}
	buf_fini(&code);
	if (rc != 0)
		refuse(ex, err.text);
}

/* --- after -------------------------------------------------------------------------------- */

static void
on_left(void *arg, int status)
{
	struct gw_exec *ex = arg;

	ex->req = NULL;
	if (status == -EPIPE && km_kernel_state(ex->kernel) != KM_READY)
		return; /* the context ends us, as outcome says */
	gw_exec_finish(ex, ex->outcome, ex->outcome_why);
}

static void
leave(struct gw_exec *ex)
{
	static const struct wire_req_ops ops = {
	    .message = on_message, .reply = on_reply, .done = on_left};
	struct buf code;
	struct err err;
	int rc;

	buf_init(&code, CODE_MAX);
	/* what could be entered can be left, if there is memory for it */
	rc = gw_language_leave(ex->ctx->row, ex->envs, ex->cwd, ex->ctx->cwd, &code, &err);
	if (rc == 0)
		gw_exec_around_send(ex, &code, &ops);
	buf_fini(&code);
	if (rc == 0) {
		gw_exec_guard(ex); /* it may hang as any code may */
	} else {
		log_warn(&ex->id, STAYED "%s", err.text);
		gw_exec_finish(ex, ex->outcome, ex->outcome_why);
	}
}

void
gw_exec_around_leave(struct gw_exec *ex)
{
	gw_exec_ended(ex); /* a slow client may have paused the kernel meanwhile */
	if (ex->entered)
		leave(ex);
	else
		gw_exec_finish(ex, ex->outcome, ex->outcome_why);
}

void
gw_exec_around_end(struct gw_exec *ex, enum gw_done how, const char *why)
{
	bool late = gw_exec_flush_needed(ex);

	if (!late && !ex->entered) {
		gw_exec_finish(ex, how, why);
		return;
	}
	gw_exec_ended(ex);
	ex->outcome = how;
	ex->outcome_why = why;
	if (late)
		gw_exec_flush(ex);
	else
		gw_exec_around_leave(ex);
}
