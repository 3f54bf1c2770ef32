/* wire/client_route.c - see wire/client_impl.h: what a kernel says, to the request that it answers. */
#include <errno.h>
#include <string.h>

#include "wire/base/loop.h"
#include "wire/client_impl.h"

#define OVERDUE_MS 5000 /* from one of reply and idle to missing the other */

static uint64_t dropped_all;

static void
on_probed(void *arg, int status)
{
	struct wire_req *r = arg;

	r->probe = NULL;
	if (status != -EPIPE)
		wire_client_finish(r, -EIO);
}

/* iopub keeps its order, so the idle of a question asked now comes after r's idle, unless that
 * one was dropped at the kernel's send mark.  Where r was answered, so is the question: three of
 * six kernels publish nothing for one on control. */
static void
ask_for_idle(struct wire_req *r)
{
	static const struct wire_req_ops ops = {.done = on_probed};
	const struct wire_ask question = {
	    .channel = r->channel, .type = "kernel_info_request", .wait_idle = true};

	r->probe = wire_client_request(r->client, &question, &ops, r);
	r->probe->is_probe = true;
}

static void
on_late(void *arg)
{
	struct wire_req *r = arg;

	loop_timer_free(r->late);
	r->late = NULL;
	if (r->replied)
		ask_for_idle(r);
	else
		wire_client_finish(r, -EBADMSG);
}

static void
check_complete(struct wire_req *r)
{
	if (wire_client_is_over(r) || loop_task_pending(&r->end))
		return;
	if (r->replied && (r->idle || !r->wait_idle))
		wire_client_finish(r, 0);
	else if (r->late == NULL && (r->idle || (r->replied && !r->is_probe)))
		r->late = loop_timer_new(r->client->lp, OVERDUE_MS, on_late, r);
}

static struct wire_req *
find(struct wire_client *c, const char *id)
{
	struct list *it, *tmp;

	if (id[0] == '\0')
		return NULL; /* not the one that could not be sent */
	list_each (it, tmp, &c->reqs) {
		struct wire_req *r = list_entry(it, struct wire_req, node);

		if (strcmp(r->id, id) == 0)
			return r;
	}
	return NULL;
}

static bool
is_idle(const struct wire_msg *m)
{
	return strcmp(m->state, "idle") == 0;
}

static void
on_reply(struct wire_req *r, const struct wire_msg *m)
{
	if (r->replied || r->channel != m->channel)
		return; /* one reply to a request: a second one says nothing */
	r->replied = true;
	buf_fini(&r->input);
	wire_client_asked_free(r->asked);
	r->asked = NULL;
	if (r->ops->reply != NULL)
		r->ops->reply(r->arg, m);
	check_complete(r);
}

static void
on_published(struct wire_req *r, const struct wire_msg *m)
{
	if (r->ops->message != NULL)
		r->ops->message(r->arg, m);
	if (!wire_client_is_over(r) && is_idle(m)) {
		r->idle = true;
		check_complete(r);
	}
}

static void
on_stdin(struct wire_req *r, const struct wire_msg *m)
{
	if (strcmp(m->type, "input_request") != 0 || r->replied)
		return;
	buf_consume(&r->input, r->input.len);
	if (buf_append(&r->input, m->raw[WIRE_HEADER].ptr, m->raw[WIRE_HEADER].len) != 0)
		return; /* no room: as if it had not come */
	wire_client_tell_in_order(r, m);
}

static void
on_stray(struct wire_client *c, const struct wire_msg *m, bool was_live)
{
	if (m->channel != WIRE_IOPUB && m->channel != WIRE_STDIN)
		return; /* the reply to a request that was freed */
	if (was_live && strcmp(m->type, "iopub_welcome") == 0)
		return;
	if (c->ops != NULL && c->ops->stray != NULL)
		c->ops->stray(c->arg, m);
}

void
wire_client_route(void *arg, enum wire_channel_kind kind, const struct wire_slice *frames,
                  size_t n)
{
	struct wire_client *c = arg;
	struct wire_req *r;
	struct wire_msg m;
	bool was_live = c->live;

	if (wire_msg_parse(&m, kind, c->sign, frames, n) != 0) {
		c->dropped++;
		dropped_all++;
		return;
	}
	if (kind == WIRE_IOPUB)
		c->live = true;
	r = find(c, m.parent_id);
	if (r == NULL)
		on_stray(c, &m, was_live);
	else if (kind == WIRE_IOPUB)
		on_published(r, &m);
	else if (kind == WIRE_STDIN)
		on_stdin(r, &m);
	else
		on_reply(r, &m);
	wire_msg_fini(&m);
}

uint64_t
wire_client_dropped_all(void)
{
	return dropped_all;
}
