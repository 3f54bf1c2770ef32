/* gateway/dialects/native_do.c - what the WebSocket and the REST twins both do; see native.h. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/dialects/native.h"
#include "gateway/dialects/native_request.h"
#include "gateway/exec.h"
#include "gateway/execinfo.h"
#include "gateway/sandbox.h"
#include "gateway/status.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/utf8.h"

#define END_OF_FILE "\x04" /* what ipykernel's input() takes for it */

json_t *
gw_native_error(int rc, const char *message)
{
	size_t len = utf8_span(message, strlen(message));

	return json_pack("{s:s, s:s%}", "code", gw_status_word(rc), "message", message, len);
}

/* --- finding ---------------------------------------------------------------------------- */

static int
unknown(const char *what, const char *id, struct err *err)
{
	char safe[LOG_SAFE_MAX];

	return err_set(err, -ENOENT, "no %s '%s'", what, log_safe(id, strlen(id), safe));
}

int
gw_native_sandbox(struct gw_core *core, const struct gw_native_request *rq,
                  struct gw_sandbox **ret, struct err *err)
{
	const char *id = rq->sandbox != NULL ? rq->sandbox : GW_SANDBOX_DEFAULT;
	struct gw_sandbox *sb = gw_sandbox_find(core, id);

	if (sb == NULL)
		return unknown("sandbox", id, err);
	*ret = sb;
	return 0;
}

int
gw_native_context(struct gw_core *core, const struct gw_native_request *rq, struct gw_ctx **ret,
                  struct err *err)
{
	struct gw_sandbox *sb = gw_sandbox_find(core, GW_SANDBOX_DEFAULT);
	struct gw_ctx *c = sb != NULL ? gw_ctx_find(sb, rq->context) : NULL;

	if (c == NULL && strcmp(rq->context, "default") != 0)
		c = gw_ctx_find_any(core, rq->context);
	if (c == NULL)
		return unknown("context", rq->context, err);
	*ret = c;
	return 0;
}

int
gw_native_execution(struct gw_core *core, const struct gw_native_request *rq,
                    struct gw_exec **ret, struct err *err)
{
	struct gw_exec *ex = gw_exec_find(core, rq->execution);

	if (ex == NULL)
		return unknown("execution", rq->execution, err);
	*ret = ex;
	return 0;
}

/* --- describing ------------------------------------------------------------------------- */

json_t *
gw_native_describe(const struct gw_ctx *c)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "context", gw_ctx_id(c),
	                 "sandbox", gw_ctx_sandbox(c)->id.id, "language", gw_ctx_language(c),
	                 "cwd", gw_ctx_cwd(c), "state", gw_ctx_state(c), "created",
	                 gw_ctx_created(c), "default", gw_ctx_is_default(c));
}

json_t *
gw_native_describe_exec(struct gw_exec *ex)
{
	struct gw_execinfo info;
	json_t *o;

	gw_execinfo_get(ex, &info);
	o = json_pack("{s:s, s:s, s:I, s:I, s:I}", "execution", gw_exec_id(ex), "state",
	              info.state, "first_seq", (json_int_t)info.first_seq, "last_seq",
	              (json_int_t)info.last_seq, "position", (json_int_t)gw_exec_position(ex));
	if (info.context != NULL)
		json_object_set_new(o, "context", json_string(info.context));
	if (info.count > 0)
		json_object_set_new(o, "count", json_integer(info.count));
	if (info.how != NULL)
		json_object_set_new(o, "how", json_string(info.how));
	return o;
}

static json_t *
describe_sandbox(const struct gw_sandbox *sb)
{
	json_t *o =
	    json_pack("{s:s, s:s, s:s, s:s, s:O, s:b, s:b}", "sandbox", sb->id.id, "name",
	              sb->name, "home", sb->home, "created", sb->created, "labels", sb->labels,
	              "stopped", sb->stopped, "paused", sb->paused);

	if (sb->ends[0] != '\0')
		json_object_set_new(o, "ends", json_string(sb->ends));
	return o;
}

/* --- doing ------------------------------------------------------------------------------ */

int
gw_native_create(struct gw_core *core, const struct gw_native_request *rq, struct gw_ctx **ret,
                 struct err *err)
{
	const struct gw_ctx_request want = {
	    .language = rq->language, .cwd = rq->cwd, .env = rq->envs};
	struct gw_sandbox *sb = NULL;
	int rc = gw_native_sandbox(core, rq, &sb, err);

	if (rc == 0)
		rc = gw_ctx_new(sb, &want, ret, err);
	if (rc == 0)
		gw_ctx_set_provisional(*ret);
	return rc;
}

int
gw_native_execute(struct gw_core *core, const struct gw_native_request *rq,
                  struct gw_exec **ret, struct err *err)
{
	const struct gw_exec_request run = {
	    .code = rq->code.ptr,
	    .code_len = rq->code.len,
	    .envs = rq->envs,
	    .cwd = rq->cwd,
	    .rich = rq->rich,
	    .timeout_ms = rq->timeout_ms,
	    .stdin_mode = rq->stdin_ask ? GW_STDIN_ASK : GW_STDIN_DENY,
	    .orphan = rq->finish || rq->detach ? GW_ORPHAN_FINISH : GW_ORPHAN_INTERRUPT,
	    .silent = rq->silent,
	};
	bool named = rq->context != NULL && strcmp(rq->context, "default") != 0;
	struct gw_sandbox *sb = NULL;
	struct gw_ctx *c = NULL;
	int rc;

	if (named) {
		rc = gw_native_context(core, rq, &c, err);
	} else {
		rc = gw_native_sandbox(core, rq, &sb, err);
		if (rc == 0)
			rc = gw_ctx_default(sb, rq->language, &c, err);
	}
	return rc == 0 ? gw_exec_new(c, &run, ret, err) : rc;
}

int
gw_native_input(struct gw_exec *ex, const struct gw_native_request *rq, struct err *err)
{
	struct wire_slice value = rq->value;
	int rc;

	if (rq->eof)
		value = (struct wire_slice){END_OF_FILE, 1};
	rc = gw_exec_input(ex, value.ptr, value.len);
	return rc == 0 ? 0 : err_set(err, rc, "the execution does not wait for input");
}

static int
interrupt(struct gw_core *core, const struct gw_native_request *rq, json_t **ret,
          struct err *err)
{
	struct gw_exec *ex = NULL;
	struct gw_ctx *c = NULL;
	int rc;

	if (rq->execution != NULL) {
		rc = gw_native_execution(core, rq, &ex, err);
	} else {
		rc = gw_native_context(core, rq, &c, err);
		if (rc == 0)
			ex = gw_ctx_first(c);
	}
	if (rc != 0)
		return rc;
	*ret = json_object();
	json_object_set_new(*ret, "execution",
	                    ex != NULL ? json_string(gw_exec_id(ex)) : json_null());
	if (ex != NULL)
		gw_exec_stop(ex, GW_DONE_INTERRUPTED, rq->kill_after_ms);
	return 0;
}

static void
add_contexts(json_t *list, const struct gw_sandbox *sb)
{
	struct list *head = (struct list *)(uintptr_t)&sb->contexts;
	struct list *it;
	struct list *tmp;

	list_each (it, tmp, head) {
		const struct gw_ctx *c = list_entry(it, struct gw_ctx, node);

		if (gw_ctx_is_listed(c))
			json_array_append_new(list, gw_native_describe(c));
	}
}

static int
list_contexts(struct gw_core *core, const struct gw_native_request *rq, json_t **ret,
              struct err *err)
{
	json_t *all = json_array();
	struct gw_sandbox *sb = NULL;
	struct list *it;
	struct list *tmp;
	int rc = rq->sandbox != NULL ? gw_native_sandbox(core, rq, &sb, err) : 0;

	list_each (it, tmp, &core->sandboxes) {
		struct gw_sandbox *each = list_entry(it, struct gw_sandbox, node);

		if (rc == 0 && (sb == NULL || sb == each))
			add_contexts(all, each);
	}
	if (rc == 0)
		*ret = json_pack("{s:O}", "contexts", all);
	json_decref(all);
	return rc;
}

static int
delete_context(struct gw_core *core, const struct gw_native_request *rq, json_t **ret,
               struct err *err)
{
	struct gw_ctx *c = NULL;
	int rc = gw_native_context(core, rq, &c, err);

	if (rc != 0)
		return rc;
	*ret = json_pack("{s:s}", "context", gw_ctx_id(c));
	gw_ctx_delete(c);
	return 0;
}

static int
create_sandbox(struct gw_core *core, const struct gw_native_request *rq, json_t **ret,
               struct err *err)
{
	const struct gw_sandbox_request make = {
	    .name = rq->name,
	    .env = rq->envs,
	    .labels = rq->labels,
	    .timeout_ms = rq->timeout_ms,
	};
	struct gw_sandbox *sb = NULL;
	int rc = gw_sandbox_new(core, &make, &sb, err);

	if (rc == 0)
		*ret = describe_sandbox(sb);
	return rc;
}

static json_t *
list_sandboxes(struct gw_core *core)
{
	json_t *all = json_array();
	struct list *it;
	struct list *tmp;

	list_each (it, tmp, &core->sandboxes)
		json_array_append_new(
		    all, describe_sandbox(list_entry(it, struct gw_sandbox, node)));
	return json_pack("{s:o}", "sandboxes", all);
}

static int
delete_sandbox(struct gw_core *core, const struct gw_native_request *rq, json_t **ret,
               struct err *err)
{
	struct gw_sandbox *sb = NULL;
	int rc = gw_native_sandbox(core, rq, &sb, err);

	if (rc != 0)
		return rc;
	assert(sb != NULL);
	if (strcmp(sb->id.id, GW_SANDBOX_DEFAULT) == 0)
		return err_set(err, -EINVAL, "the default sandbox cannot be deleted");
	*ret = json_pack("{s:s}", "sandbox", sb->id.id);
	gw_sandbox_delete(sb, "sandbox deleted");
	return 0;
}

int
gw_native_do(struct gw_core *core, const struct gw_native_request *rq, json_t **ret,
             struct err *err)
{
	int rc = 0;

	if (rq->op == GW_NATIVE_INTERRUPT || rq->op == GW_NATIVE_REST_INTERRUPT)
		rc = interrupt(core, rq, ret, err);
	else if (rq->op == GW_NATIVE_LIST_CONTEXTS)
		rc = list_contexts(core, rq, ret, err);
	else if (rq->op == GW_NATIVE_DELETE_CONTEXT)
		rc = delete_context(core, rq, ret, err);
	else if (rq->op == GW_NATIVE_CREATE_SANDBOX)
		rc = create_sandbox(core, rq, ret, err);
	else if (rq->op == GW_NATIVE_DELETE_SANDBOX)
		rc = delete_sandbox(core, rq, ret, err);
	else if (rq->op == GW_NATIVE_LIST_SANDBOXES)
		*ret = list_sandboxes(core);
	else if (rq->op == GW_NATIVE_LIST_KERNELSPECS)
		*ret = json_pack("{s:o}", "kernelspecs", gw_core_kernelspecs(core));
	else
		*ret = json_object(); /* ping */
	return rc;
}
