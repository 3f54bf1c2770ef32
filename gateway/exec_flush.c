/* gateway/exec_flush.c - see gateway/exec_flush.h. */
#include "gateway/exec_flush.h"

#include <errno.h>
#include <string.h>

#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/exec_around.h"
#include "gateway/exec_msg.h"
#include "gateway/language.h"
#include "kernelmgr/kernel.h"
#include "kernelmgr/spec.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"
#include "wire/client.h"

/* The mark is missing, as code can take the printing function away: then silence is the end. */
#define QUIET_MS 1000
#define LAST_MS  60000 /* or this, where code prints for ever */
#define CODE_MAX ((size_t)1 << 20)

static void on_timer(void *arg);

bool
gw_exec_flush_needed(const struct gw_exec *ex)
{
	const struct gw_language *l = ex->ctx->row;

	return l != NULL && !km_kernel_spec(ex->kernel)->complete && l->flush != NULL;
}

static void
wait_more(struct gw_exec *ex, uint64_t ms)
{
	loop_timer_free(ex->late);
	ex->late = loop_timer_new(ex->core->lp, ms, on_timer, ex);
}

void
gw_exec_flush_fini(struct gw_exec *ex)
{
	loop_timer_free(ex->late);
	ex->late = NULL;
	mem_free(ex->mark);
	mem_free(ex->flush_id);
	ex->mark = ex->flush_id = NULL;
}

static void
settle(struct gw_exec *ex)
{
	gw_exec_flush_fini(ex);
	gw_exec_around_leave(ex);
}

/* The request is answered but the mark is missing, or the request takes long. */
static void
on_timer(void *arg)
{
	struct gw_exec *ex = arg;
	bool more = ex->more || ex->paused;

	loop_timer_free(ex->late);
	ex->late = NULL;
	ex->more = false;
	if (ex->req != NULL && more)
		wait_more(ex, ex->core->cfg->interrupt_grace_ms);
	else if (ex->req != NULL)
		gw_exec_guard(ex);
	else if (more && loop_now_ms(ex->core->lp) - ex->ended_ms < LAST_MS)
		wait_more(ex, QUIET_MS);
	else
		settle(ex);
}

/* Output of ex, or our mark, or what was before it in one message. */
static void
take(struct gw_exec *ex, const struct wire_msg *m)
{
	struct wire_slice text;
	const char *mark;

	ex->more = true;
	if (strcmp(m->type, "display_data") == 0 || strcmp(m->type, "update_display_data") == 0)
		gw_exec_msg_take(ex, m);
	if (strcmp(m->type, "stream") != 0)
		return;
	text = wire_msg_text(json_object_get(m->content, "text"));
	mark = ex->mark != NULL ? memmem(text.ptr, text.len, ex->mark, strlen(ex->mark)) : NULL;
	if (mark == NULL) {
		gw_exec_msg_take(ex, m);
		return;
	}
	text.len = (size_t)(mark - (const char *)text.ptr);
	gw_exec_msg_stream(ex, m->content, text);
	mem_free(ex->mark);
	ex->mark = NULL;
	if (ex->req == NULL)
		settle(ex);
}

static void
on_message(void *arg, const struct wire_msg *m)
{
	take(arg, m);
}

static void
on_done(void *arg, int status)
{
	struct gw_exec *ex = arg;

	ex->req = NULL;
	if (status == -EPIPE && km_kernel_state(ex->kernel) != KM_READY)
		return; /* the context ends us, as outcome says */
	if (ex->mark == NULL || status != 0)
		settle(ex);
	else
		wait_more(ex, QUIET_MS);
}

bool
gw_exec_flush_late(struct gw_exec *ex, const struct wire_msg *m)
{
	if (!ex->ended || ex->req_id == NULL)
		return false;
	if (ex->flush_id != NULL && strcmp(m->parent_id, ex->flush_id) == 0) {
		take(ex, m);
		return true;
	}
	if (strcmp(m->parent_id, ex->req_id) != 0)
		return false;
	ex->more = true;
	gw_exec_msg_take(ex, m);
	return true;
}

void
gw_exec_flush(struct gw_exec *ex)
{
	static const struct wire_req_ops ops = {.message = on_message, .done = on_done};
	const struct gw_language *l = ex->ctx->row;
	struct buf code;

	ex->ended_ms = loop_now_ms(ex->core->lp);
	ex->mark = mem_new(WIRE_UUID_LEN + 1);
	wire_uuid(ex->mark);
	buf_init(&code, CODE_MAX);
	if (gw_language_flush(l, ex->mark, &code) == 0) {
		gw_exec_around_send(ex, &code, &ops);
		ex->flush_id = mem_strdup(wire_req_id(ex->req));
	}
	buf_fini(&code);
	wait_more(ex, ex->core->cfg->interrupt_grace_ms);
}
