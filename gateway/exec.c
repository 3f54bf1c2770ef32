/* gateway/exec.c - see gateway/exec.h. */
#include "gateway/exec.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/exec_around.h"
#include "gateway/exec_feed.h"
#include "gateway/exec_flush.h"
#include "gateway/exec_msg.h"
#include "gateway/exec_setup.h"
#include "gateway/files.h"
#include "gateway/metrics.h"
#include "gateway/sink.h"
#include "kernelmgr/kernel.h"
#include "kernelmgr/spec.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/client.h"

#define AGAIN_MS 50 /* an interrupt that came before the code ran is lost: ask again */

#define TO(st)   (1U << (st))

/* clang-format off */
static const struct {
	const char *name;
	unsigned next;
} states[GW_EXEC_N] = {
	[GW_EXEC_QUEUED]   = {"queued",   TO(GW_EXEC_RUNNING)  | TO(GW_EXEC_DONE)},
	[GW_EXEC_RUNNING]  = {"running",  TO(GW_EXEC_STOPPING) | TO(GW_EXEC_DONE)},
	[GW_EXEC_STOPPING] = {"stopping", TO(GW_EXEC_DONE)},
	[GW_EXEC_DONE]     = {"done",     0},
};
/* clang-format on */

const char *
gw_exec_state_name(enum gw_exec_state st)
{
	assert((unsigned)st < GW_EXEC_N);
	return states[st].name;
}

bool
gw_exec_may(enum gw_exec_state from, enum gw_exec_state to)
{
	assert((unsigned)from < GW_EXEC_N);
	return (states[from].next & TO(to)) != 0;
}

static void
count_state(enum gw_exec_state st, int by)
{
	if (st == GW_EXEC_QUEUED)
		gw_metric[GW_M_EXECUTIONS_QUEUED] += by;
	else if (st != GW_EXEC_DONE)
		gw_metric[GW_M_EXECUTIONS_RUNNING] += by;
}

static void
set_state(struct gw_exec *ex, enum gw_exec_state to)
{
	assert(gw_exec_may(ex->state, to));
	log_debug(&ex->id, "%s -> %s", states[ex->state].name, states[to].name);
	count_state(ex->state, -1);
	count_state(to, 1);
	ex->state = to;
}

/* --- the end ---------------------------------------------------------------------------- */

static void
stop_timers(struct gw_exec *ex)
{
	loop_timer_free(ex->timeout);
	loop_timer_free(ex->again);
	loop_timer_free(ex->grace);
	loop_timer_free(ex->late);
	ex->timeout = ex->again = ex->grace = ex->late = NULL;
}

/* A kernel that was held held back what did not fit the sockets, in memory that is gone. */
#define HELD_BACK "; it waited for a slow client, so its last output may be missing"

static void
append_death(struct gw_exec *ex, const char *why)
{
	const struct gw_event ev = {
	    .kind = GW_EV_ERROR, .name = "KernelDied", .text = {why, strlen(why)}};

	ex->saw_error = true;
	gw_exec_append(ex, &ev);
}

void
gw_exec_finish(struct gw_exec *ex, enum gw_done how, const char *why)
{
	struct gw_event ev = {.kind = GW_EV_DONE, .count = ex->count};
	struct gw_ctx *ctx = ex->ctx;
	uint64_t now = loop_now_ms(ex->core->lp);
	struct err text;

	if (ex->ended && how == GW_DONE_KERNEL_DIED) {
		how = ex->outcome;
		why = ex->outcome_why;
	} else if (ex->state == GW_EXEC_STOPPING && how == GW_DONE_KERNEL_DIED) {
		how = ex->stop;
		if (ex->killed)
			why = "the kernel did not stop when interrupted and was killed: its "
			      "state is lost";
	}
	if (how == GW_DONE_KERNEL_DIED) {
		assert(why != NULL);
		if (ex->paused)
			(void)err_set(&text, 0, "%s" HELD_BACK, why);
		why = ex->paused ? text.text : why;
		append_death(ex, why);
	}
	stop_timers(ex);
	gw_exec_flush_fini(ex);
	gw_exec_go_on(ex);
	if (ex->req != NULL)
		km_kernel_forget(ex->kernel);
	ex->req = NULL;
	ex->kernel = NULL;
	ex->drops = ex->input_waits = false;
	json_decref(ex->reply);
	ex->reply = NULL;
	ev.elapsed_ms = ex->started_ms > 0 ? now - ex->started_ms : 0;
	ev.how = how;
	if (why != NULL)
		ev.text = (struct wire_slice){why, strlen(why)};
	set_state(ex, GW_EXEC_DONE);
	gw_metric_done[how]++;
	gw_exec_append(ex, &ev);
	log_info(&ex->id, "execution done how=%s ctx=%.8s elapsed_ms=%llu output_bytes=%zu%s%s",
	         gw_done_name(how), ctx->id.id, (unsigned long long)ev.elapsed_ms,
	         ex->output_bytes, why != NULL ? " why=" : "", why != NULL ? why : "");
	gw_ctx_dequeue(ctx, ex);
	ex->ctx = NULL;
	gw_core_keep(ex->core, ex);
}

/* --- stopping it ------------------------------------------------------------------------ */

static void
on_again(void *arg)
{
	struct gw_exec *ex = arg;

	loop_timer_free(ex->again);
	ex->again = NULL;
	km_kernel_interrupt(ex->kernel);
	if (!ex->began)
		ex->again = loop_timer_new(ex->core->lp, AGAIN_MS, on_again, ex);
}

static void
on_grace(void *arg)
{
	struct gw_exec *ex = arg;

	loop_timer_free(ex->grace);
	ex->grace = NULL;
	ex->killed = true;
	log_warn(&ex->id, "the kernel ignores interrupts, killing it");
	km_kernel_kill(ex->kernel); /* the context ends us when it is dead */
}

void
gw_exec_stop(struct gw_exec *ex, enum gw_done how, uint64_t kill_ms)
{
	if (ex->state == GW_EXEC_DONE || ex->ended)
		return;
	if (ex->state == GW_EXEC_QUEUED) {
		gw_exec_finish(ex, GW_DONE_ABORTED, "cancelled before it ran");
		return;
	}
	if (ex->state == GW_EXEC_RUNNING) {
		set_state(ex, GW_EXEC_STOPPING);
		ex->stop = how;
		gw_exec_balance(ex);
		if (!ex->began || ex->silent)
			ex->again = loop_timer_new(ex->core->lp, AGAIN_MS, on_again, ex);
	} else if (how > ex->stop) {
		ex->stop = how; /* OVERRUN tells of a cut, TIMEOUT that nobody asked */
	}
	if (ex->req != NULL)
		km_kernel_interrupt(ex->kernel);
	if (kill_ms > 0 && ex->grace == NULL)
		ex->grace = loop_timer_new(ex->core->lp, kill_ms, on_grace, ex);
}

void
gw_exec_set_orphan(struct gw_exec *ex, enum gw_orphan rule)
{
	ex->orphan = rule;
}

void
gw_exec_orphaned(struct gw_exec *ex)
{
	if (ex->orphan == GW_ORPHAN_FINISH || ex->state == GW_EXEC_DONE)
		return;
	if (ex->state == GW_EXEC_QUEUED)
		gw_exec_finish(ex, GW_DONE_ABORTED, "the client went away");
	else if (ex->orphan == GW_ORPHAN_INTERRUPT)
		gw_exec_stop(ex, GW_DONE_INTERRUPTED, ex->core->cfg->interrupt_grace_ms);
}

static void
on_timeout(void *arg)
{
	struct gw_exec *ex = arg;

	loop_timer_free(ex->timeout);
	ex->timeout = NULL;
	gw_exec_stop(ex, GW_DONE_TIMEOUT, ex->core->cfg->interrupt_grace_ms);
}

/* --- what the kernel says ---------------------------------------------------------------- */

static void
on_message(void *arg, const struct wire_msg *m)
{
	gw_exec_msg_take(arg, m);
}

static void
on_reply(void *arg, const struct wire_msg *m)
{
	struct gw_exec *ex = arg;

	json_decref(ex->reply);
	ex->reply = json_incref(m->content);
	ex->input_waits = false;
}

/* Reply and idle are both here, or will never come. */
static void
on_done(void *arg, int status)
{
	struct gw_exec *ex = arg;
	const char *said = json_string_value(json_object_get(ex->reply, "status"));
	struct err err;

	ex->req = NULL;
	if (said == NULL)
		said = "";
	if (status == -EPIPE && km_kernel_state(ex->kernel) != KM_READY)
		return; /* the kernel is dead; the context knows why and ends us */
	if (status == -EIO) {
		gw_exec_around_end(ex, GW_DONE_OVERRUN,
		                   "the kernel dropped output that nobody read");
		return;
	}
	if (status == -EBADMSG || status == -EPIPE) {
		gw_exec_finish(ex, GW_DONE_KERNEL_DIED, "the kernel gave no reply");
		return;
	}
	if (status != 0) {
		(void)err_set(&err, status, "it could not be sent to the kernel: %s",
		              strerrordesc_np(-status));
		gw_exec_finish(ex, GW_DONE_ABORTED, err.text);
		return;
	}
	if (strcmp(said, "error") == 0 && !ex->saw_error)
		gw_exec_msg_error(ex, ex->reply, NULL); /* Deno tells of some only here */
	if (ex->state == GW_EXEC_STOPPING)
		gw_exec_around_end(ex, ex->stop, NULL);
	else if (strcmp(said, "ok") == 0 && !ex->saw_error)
		gw_exec_around_end(ex, GW_DONE_OK, NULL);
	else if (strcmp(said, "ok") == 0 || strcmp(said, "error") == 0)
		gw_exec_around_end(ex, GW_DONE_ERROR, NULL);
	else
		gw_exec_around_end(ex, GW_DONE_ABORTED, "the kernel aborted it");
}

/* --- its life --------------------------------------------------------------------------- */

static const struct wire_req_ops req_ops = {
    .message = on_message,
    .reply = on_reply,
    .done = on_done,
};

/* What only our own kernels understand: owned by the caller, or NULL. */
static json_t *
metadata_of(const struct gw_exec *ex)
{
	json_t *ours;

	if (!km_kernel_spec(ex->kernel)->takes_env)
		return NULL;
	ours = json_object();
	if (ex->envs != NULL)
		json_object_set(ours, "env", ex->envs);
	if (ex->cwd != NULL)
		json_object_set_new(ours, "cwd", json_string(ex->cwd));
	if (ex->stdin_mode == GW_STDIN_DENY)
		json_object_set_new(ours, "stdin", json_string("deny"));
	if (ex->rich)
		json_object_set_new(ours, "rich", json_true());
	return json_pack("{s:o}", "kernelbridge", ours);
}

void
gw_exec_send(struct gw_exec *ex)
{
	struct km_kernel *k = ex->kernel;
	/* Where the kernel knows the end of file by itself, no stdin channel is needed. */
	bool ask = ex->stdin_mode == GW_STDIN_ASK ||
	           (ex->stdin_mode == GW_STDIN_EOF && !km_kernel_spec(k)->stdin_eof);
	json_t *metadata = metadata_of(ex);
	json_t *content = json_pack("{s:o, s:b, s:b, s:{}, s:b, s:b}", "code",
	                            json_stringn_nocheck(ex->code, ex->code_len), "silent",
	                            ex->silent, "store_history", !ex->silent,
	                            "user_expressions", "allow_stdin", ask, "stop_on_error", 1);

	ex->req = km_kernel_execute(k, content, metadata, &req_ops, ex);
	ex->req_id = mem_strdup(wire_req_id(ex->req));
	json_decref(content);
	json_decref(metadata);
	mem_free(ex->code);
	ex->code = NULL;
}

void
gw_exec_enter(struct gw_exec *ex)
{
	if (gw_exec_around_needed(ex))
		gw_exec_around_enter(ex);
	else
		gw_exec_send(ex);
}

void
gw_exec_run(struct gw_exec *ex, struct km_kernel *k)
{
	set_state(ex, GW_EXEC_RUNNING);
	ex->kernel = k;
	ex->started_ms = loop_now_ms(ex->core->lp);
	if (ex->timeout_ms > 0)
		ex->timeout = loop_timer_new(ex->core->lp, ex->timeout_ms, on_timeout, ex);
	if (gw_exec_setup_needed(ex))
		gw_exec_setup(ex);
	else
		gw_exec_enter(ex);
}

void
gw_exec_ended(struct gw_exec *ex)
{
	ex->ended = true;
	stop_timers(ex);
	gw_exec_go_on(ex);
}

void
gw_exec_guard(struct gw_exec *ex)
{
	ex->grace =
	    loop_timer_new(ex->core->lp, ex->core->cfg->interrupt_grace_ms, on_grace, ex);
}

void
gw_exec_exited(struct gw_exec *ex, int code)
{
	char text[16];
	struct gw_event ev = {.kind = GW_EV_ERROR, .name = "SystemExit"};
	int n = snprintf(text, sizeof(text), "%d", code);

	ev.text = (struct wire_slice){text, (size_t)n};
	gw_exec_append(ex, &ev);
	gw_exec_finish(ex, GW_DONE_ERROR, "the code ended its kernel: its state is lost");
}

int
gw_exec_new(struct gw_ctx *ctx, const struct gw_exec_request *rq, struct gw_exec **ret,
            struct err *err)
{
	struct gw_core *core = ctx->core;
	struct gw_event accepted = {.kind = GW_EV_ACCEPTED, .count = ctx->queue_n};
	struct gw_exec *ex;

	if (core->draining)
		return err_set(err, -ECANCELED, "the gateway is stopping");
	if (rq->cwd != NULL && gw_files_check_dir(rq->cwd, err) != 0)
		return -EINVAL;
	if (ctx->queue_n >= core->cfg->max_queue)
		return err_set(err, -EBUSY, "the context has %u executions waiting, the limit",
		               ctx->queue_n);
	ex = mem_new(sizeof(*ex));
	ex->core = core;
	ex->ctx = ctx;
	ex->id.kind = "exec";
	wire_uuid(ex->id.id);
	ex->ctx_id = ctx->id;
	ex->code = mem_new(rq->code_len + 1);
	memcpy(ex->code, rq->code, rq->code_len);
	ex->code_len = rq->code_len;
	if (json_object_size(rq->envs) > 0)
		ex->envs = json_deep_copy(rq->envs);
	ex->cwd = rq->cwd != NULL ? mem_strdup(rq->cwd) : NULL;
	ex->rich = rq->rich;
	ex->timeout_ms = rq->timeout_ms;
	ex->stdin_mode = rq->stdin_mode;
	ex->orphan = rq->orphan;
	ex->silent = rq->silent;
	list_init(&ex->node);
	list_init(&ex->sinks);
	gw_evlog_init(&ex->log);
	loop_task_init(&ex->pump, core->lp, gw_exec_pump, ex);
	count_state(GW_EXEC_QUEUED, 1);
	gw_exec_append(ex, &accepted);
	gw_ctx_enqueue(ctx, ex);
	*ret = ex;
	return 0;
}

int
gw_exec_input(struct gw_exec *ex, const char *value, size_t len)
{
	if (!ex->input_waits || ex->req == NULL)
		return -ENOENT;
	ex->input_waits = false;
	return km_kernel_input_reply(ex->kernel, ex->req, value, len);
}

const char *
gw_exec_id(const struct gw_exec *ex)
{
	return ex->id.id;
}

unsigned
gw_exec_position(const struct gw_exec *ex)
{
	const struct list *it;
	unsigned n = 0;

	if (ex->ctx == NULL)
		return 0;
	for (it = ex->ctx->queue.next; it != &ex->node; it = it->next)
		n++;
	return n;
}

void
gw_exec_free(struct gw_exec *ex)
{
	if (ex == NULL)
		return;
	while (!list_empty(&ex->sinks)) {
		struct gw_sink *s = list_entry(ex->sinks.next, struct gw_sink, node);

		list_del(&s->node);
		s->exec = NULL;
	}
	count_state(ex->state, -1);
	stop_timers(ex);
	gw_exec_flush_fini(ex);
	loop_task_cancel(&ex->pump);
	if (ex->req != NULL)
		km_kernel_forget(ex->kernel);
	list_del(&ex->node);
	gw_evlog_fini(&ex->log);
	json_decref(ex->envs);
	json_decref(ex->reply);
	mem_free(ex->code);
	mem_free(ex->cwd);
	mem_free(ex->req_id);
	mem_free(ex);
}
