/* gateway/dialects/native_ws.c - the native WebSocket: many executions on one connection. */
#include <errno.h>
#include <string.h>

#include "gateway/ask.h"
#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/dialects/native.h"
#include "gateway/dialects/native_events.h"
#include "gateway/dialects/native_request.h"
#include "gateway/exec.h"
#include "gateway/execinfo.h"
#include "gateway/sandbox.h"
#include "gateway/sink.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define RUNS_MAX     256        /* executions that one connection follows at once */
#define WAITS_MAX    256        /* its answers that are still to come */
#define UNREAD_MAX   4096       /* answers queued for a client that does not read */
#define KEEP_BYTES   (1U << 20) /* an encoder larger than this is given back */
#define CLOSE_POLICY 1008
#define CLOSE_FAILED 1011

struct session {
	struct gw_core *core;
	struct gw_ws *ws;
	struct list runs;
	unsigned runs_n;
	struct list waits;
	unsigned waits_n;
	unsigned unread; /* answers since the queue was over its high mark; 0: it is not */
	struct buf out;  /* one message being encoded */
};

/* An execution that the connection follows. */
struct run {
	struct list node;
	struct session *s;
	struct gw_exec *exec; /* borrowed while the sink is hooked */
	struct gw_sink sink;
};

/* A request whose answer comes later. */
struct wait {
	struct list node;
	struct session *s;
	json_t *id;
	struct gw_ctx *ctx; /* borrowed; for on_ready */
	bool fresh;         /* ctx was made for it, and nobody else knows its id */
	struct gw_ctx_wait ready;
	struct gw_ask *ask; /* or NULL */
};

/* --- answers ---------------------------------------------------------------------------- */

static void
send_answer(struct session *s, json_t *answer)
{
	if (gw_ws_send_json(s->ws, answer) == -EAGAIN || s->unread > 0)
		s->unread++;
	if (s->unread == UNREAD_MAX)
		gw_ws_close(s->ws, CLOSE_POLICY, "answers are not read");
}

/* fields is taken. */
static void
answer_ok(struct session *s, const json_t *id, json_t *fields)
{
	json_object_set_new(fields, "id", json_deep_copy(id));
	json_object_set_new(fields, "ok", json_true());
	send_answer(s, fields);
}

static void
answer_error(struct session *s, const json_t *id, int rc, const char *message)
{
	char safe[LOG_SAFE_MAX];

	log_debug(NULL, "native request refused: %s", log_safe(message, strlen(message), safe));
	send_answer(s, json_pack("{s:o, s:b, s:o}", "id",
	                         id != NULL ? json_deep_copy(id) : json_null(), "ok", 0,
	                         "error", gw_native_error(rc, message)));
}

/* --- executions ------------------------------------------------------------------------- */

static void
run_free(struct run *r)
{
	gw_sink_unhook(&r->sink);
	list_del(&r->node);
	r->s->runs_n--;
	mem_free(r);
}

static int
on_event(struct gw_sink *sink, const struct gw_event *ev)
{
	static const char room[GW_WS_ROOM];
	struct run *r = list_entry(sink, struct run, sink);
	struct session *s = r->s;
	int rc = buf_append(&s->out, room, sizeof(room));

	if (rc == 0)
		rc = gw_native_events_encode(&s->out, gw_exec_id(r->exec), ev);
	if (ev->kind == GW_EV_DONE)
		run_free(r);
	if (rc == 0)
		rc = gw_ws_send_buf(s->ws, &s->out);
	else
		gw_ws_close(s->ws, CLOSE_FAILED, "an event is too large to send");
	if (s->out.cap > KEEP_BYTES)
		buf_fini(&s->out);
	else
		buf_consume(&s->out, s->out.len);
	return rc;
}

const struct gw_sink_ops gw_native_ws_sink = {.event = on_event};

static struct run *
find_run(const struct session *s, const struct gw_exec *ex)
{
	const struct list *it;

	for (it = s->runs.next; it != &s->runs; it = it->next) {
		struct run *r = list_entry(it, struct run, node);

		if (r->exec == ex)
			return r;
	}
	return NULL;
}

static void
follow(struct session *s, struct gw_exec *ex, uint64_t after)
{
	struct run *r = mem_new(sizeof(*r));

	r->s = s;
	r->exec = ex;
	gw_sink_init(&r->sink, &gw_native_ws_sink);
	list_add_before(&s->runs, &r->node);
	s->runs_n++;
	gw_sink_hook(&r->sink, ex, after);
}

static int
check_room(const struct session *s, struct err *err)
{
	if (s->runs_n < RUNS_MAX)
		return 0;
	return err_set(err, -EBUSY, "the connection follows %u executions, the limit",
	               s->runs_n);
}

static int
execute(struct session *s, const struct gw_native_request *rq, json_t **ret, struct err *err)
{
	struct gw_execinfo info;
	struct gw_exec *ex;
	int rc = check_room(s, err);

	if (rc == 0)
		rc = gw_native_execute(s->core, rq, &ex, err);
	if (rc != 0)
		return rc;
	gw_execinfo_get(ex, &info);
	*ret = json_pack("{s:s, s:s}", "execution", gw_exec_id(ex), "context", info.context);
	follow(s, ex, 0);
	return 0;
}

static int
attach(struct session *s, const struct gw_native_request *rq, json_t **ret, struct err *err)
{
	struct gw_execinfo info;
	struct gw_exec *ex;
	int rc = check_room(s, err);

	if (rc == 0)
		rc = gw_native_execution(s->core, rq, &ex, err);
	if (rc != 0)
		return rc;
	if (find_run(s, ex) != NULL)
		return err_set(err, -EEXIST, "this connection follows the execution already");
	gw_execinfo_get(ex, &info);
	if (rq->after > info.last_seq)
		return err_set(err, -EINVAL, "'after' is %llu, but the last event is %llu",
		               (unsigned long long)rq->after,
		               (unsigned long long)info.last_seq);
	*ret = gw_native_describe_exec(ex);
	if (info.how == NULL || rq->after < info.last_seq)
		follow(s, ex, rq->after);
	return 0;
}

static int
find_followed(const struct session *s, const struct gw_native_request *rq, struct run **ret,
              struct err *err)
{
	struct gw_exec *ex;
	int rc = gw_native_execution(s->core, rq, &ex, err);

	if (rc != 0)
		return rc;
	*ret = find_run(s, ex);
	if (*ret == NULL)
		return err_set(err, -ENOENT, "this connection does not follow the execution");
	return 0;
}

/* It goes on without us, whatever on_disconnect said. */
static int
detach(struct session *s, const struct gw_native_request *rq, json_t **ret, struct err *err)
{
	struct run *r;
	int rc = find_followed(s, rq, &r, err);

	if (rc != 0)
		return rc;
	*ret = json_pack("{s:s, s:I}", "execution", gw_exec_id(r->exec), "after",
	                 (json_int_t)r->sink.seq);
	gw_exec_set_orphan(r->exec, GW_ORPHAN_FINISH);
	run_free(r);
	return 0;
}

static int
input(struct session *s, const struct gw_native_request *rq, json_t **ret, struct err *err)
{
	struct gw_execinfo info;
	struct run *r;
	int rc = find_followed(s, rq, &r, err);

	if (rc != 0)
		return rc;
	gw_execinfo_get(r->exec, &info);
	if (info.owner != &r->sink)
		return err_set(err, -EACCES,
		               "another client answers the input of the execution");
	rc = gw_native_input(r->exec, rq, err);
	if (rc == 0)
		*ret = json_object();
	return rc;
}

/* --- answers that come later ------------------------------------------------------------ */

static struct wait *
wait_new(struct session *s, const json_t *id)
{
	struct wait *w = mem_new(sizeof(*w));

	w->s = s;
	w->id = json_deep_copy(id);
	list_init(&w->ready.node);
	list_add_before(&s->waits, &w->node);
	s->waits_n++;
	return w;
}

static void
wait_free(struct wait *w)
{
	gw_ctx_wait_cancel(&w->ready);
	list_del(&w->node);
	w->s->waits_n--;
	json_decref(w->id);
	mem_free(w);
}

static void
on_ready(void *arg, int status, const char *why)
{
	struct wait *w = arg;

	if (status == 0)
		answer_ok(w->s, w->id, gw_native_describe(w->ctx));
	else
		answer_error(w->s, w->id, status, why);
	wait_free(w);
}

static void
on_asked(void *arg, int status, const json_t *content, const char *why)
{
	struct wait *w = arg;
	const char *said = json_string_value(json_object_get(content, "status"));
	json_t *fields;

	w->ask = NULL;
	if (status == 0 && said != NULL && strcmp(said, "ok") == 0) {
		fields = json_pack("{s:O}", "reply", content);
		answer_ok(w->s, w->id, fields);
	} else if (status == 0) {
		answer_error(w->s, w->id, -EIO, "the kernel has no answer to this");
	} else {
		answer_error(w->s, w->id, status, why);
	}
	wait_free(w);
}

static int
await_ready(struct session *s, const struct gw_native_request *rq, struct err *err)
{
	struct gw_ctx *c;
	struct wait *w;
	int rc;

	if (rq->op == GW_NATIVE_RESTART_CONTEXT) {
		rc = gw_native_context(s->core, rq, &c, err);
		if (rc == 0)
			rc = gw_ctx_restart(c, err);
	} else {
		rc = gw_native_create(s->core, rq, &c, err);
	}
	if (rc != 0)
		return rc;
	w = wait_new(s, rq->id);
	w->ctx = c;
	w->fresh = rq->op == GW_NATIVE_CREATE_CONTEXT;
	gw_ctx_wait(c, &w->ready, on_ready, w);
	return 0;
}

static int
ask_kernel(struct session *s, const struct gw_native_request *rq, struct err *err)
{
	bool inspect = rq->op == GW_NATIVE_INSPECT;
	json_t *content;
	struct gw_ctx *c;
	struct wait *w;
	int rc = gw_native_context(s->core, rq, &c, err);

	if (rc != 0)
		return rc;
	content = json_pack("{s:s%, s:I}", "code", rq->code.ptr, rq->code.len, "cursor_pos",
	                    (json_int_t)rq->cursor_pos);
	if (inspect)
		json_object_set_new(content, "detail_level",
		                    json_integer((json_int_t)rq->detail_level));
	w = wait_new(s, rq->id);
	w->ask = gw_ask_new(c, inspect ? "inspect_request" : "complete_request", content,
	                    on_asked, w);
	return 0;
}

/* --- the connection --------------------------------------------------------------------- */

/* Returns 0 with *ret, or with NULL when the answer comes later. */
static int
perform(struct session *s, const struct gw_native_request *rq, json_t **ret, struct err *err)
{
	bool later = rq->op == GW_NATIVE_CREATE_CONTEXT ||
	             rq->op == GW_NATIVE_RESTART_CONTEXT || rq->op == GW_NATIVE_COMPLETE ||
	             rq->op == GW_NATIVE_INSPECT;

	if (later && s->waits_n >= WAITS_MAX)
		return err_set(err, -EBUSY, "the connection waits for %u answers, the limit",
		               s->waits_n);
	if (rq->op == GW_NATIVE_EXECUTE)
		return execute(s, rq, ret, err);
	if (rq->op == GW_NATIVE_ATTACH)
		return attach(s, rq, ret, err);
	if (rq->op == GW_NATIVE_DETACH)
		return detach(s, rq, ret, err);
	if (rq->op == GW_NATIVE_INPUT)
		return input(s, rq, ret, err);
	if (rq->op == GW_NATIVE_COMPLETE || rq->op == GW_NATIVE_INSPECT)
		return ask_kernel(s, rq, err);
	return later ? await_ready(s, rq, err) : gw_native_do(s->core, rq, ret, err);
}

static void
on_message(struct gw_core *core, struct gw_ws *c, const char *msg, size_t len, bool binary)
{
	struct session *s = gw_ws_data(c);
	struct gw_native_request rq;
	json_t *fields = NULL;
	struct err err;
	int rc;

	(void)core;
	if (binary) {
		answer_error(s, NULL, -EINVAL, "messages are text, not binary");
		return;
	}
	rc = gw_native_request_parse(msg, len, &rq, &err);
	if (rc == 0)
		rc = perform(s, &rq, &fields, &err);
	if (rc != 0)
		answer_error(s, rq.id, rc, err.text);
	else if (fields != NULL)
		answer_ok(s, rq.id, fields);
	gw_native_request_fini(&rq);
}

static void
on_opened(struct gw_core *core, struct gw_ws *c)
{
	struct session *s = mem_new(sizeof(*s));

	s->core = core;
	s->ws = c;
	list_init(&s->runs);
	list_init(&s->waits);
	buf_init(&s->out, SIZE_MAX / 4);
	gw_ws_set_data(c, s);
}

static void
on_drained(struct gw_core *core, struct gw_ws *c)
{
	struct session *s = gw_ws_data(c);
	struct list *it;
	struct list *tmp;

	(void)core;
	s->unread = 0;
	list_each (it, tmp, &s->runs)
		gw_sink_resume(&list_entry(it, struct run, node)->sink);
}

static void
on_closed(struct gw_core *core, struct gw_ws *c)
{
	struct session *s = gw_ws_data(c);

	(void)core;
	if (s == NULL)
		return;
	while (!list_empty(&s->waits)) {
		struct wait *w = list_entry(s->waits.next, struct wait, node);
		struct gw_ctx *orphan = w->fresh ? w->ctx : NULL;

		gw_ask_free(w->ask);
		wait_free(w);
		if (orphan != NULL)
			gw_ctx_delete(orphan);
	}
	while (!list_empty(&s->runs))
		run_free(list_entry(s->runs.next, struct run, node));
	buf_fini(&s->out);
	gw_ws_set_data(c, NULL);
	mem_free(s);
}

const struct gw_ws_ops gw_native_ws = {
    .opened = on_opened,
    .message = on_message,
    .drained = on_drained,
    .closed = on_closed,
};
