/* wire/client_route.c - see wire/client_impl.h: what a kernel says, to the request it answers.
 *
 * A request on shell is complete when its idle is here as well, which most kernels publish after
 * the reply.  So nobody is woken for the reply: shell is looked at when an idle comes, which saves
 * a short run one of four turns.  A kernel whose replies come later than that is told by its first
 * ones, and a timer looks after replies whose idle was dropped.
 */
#include <errno.h>
#include <string.h>

#include "wire/base/loop.h"
#include "wire/client_impl.h"

#define OVERDUE_MS 5000 /* from one of reply and idle to missing the other */
#define LOOK_MS    500  /* while requests wait */
#define LATE_MAX   4    /* replies after their idle, before shell is listened to always */

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

	wire_req_free(r->probe);
	r->probe = wire_client_request(r->client, &question, &ops, r);
	r->probe->is_probe = true;
}

/* The question's idle may be dropped like ours: then it is asked again.  While it waits its turn
 * there, or iopub is not read here, nothing is known. */
static void
on_late(void *arg)
{
	struct wire_req *r = arg;

	loop_timer_free(r->late);
	r->late = NULL;
	if (!r->replied) {
		wire_client_finish(r, -EBADMSG);
		return;
	}
	if (r->probe == NULL || (r->probe->replied && !r->client->paused))
		ask_for_idle(r);
	r->late = loop_timer_new(r->client->lp, OVERDUE_MS, on_late, r);
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

static bool
is_cut(const struct wire_client *c)
{
	for (int i = 0; i < WIRE_CHANNEL_N; i++)
		if (c->channels[i] != NULL && wire_channel_is_cut(c->channels[i]))
			return true;
	return false;
}

static void
on_look(void *arg)
{
	struct wire_client *c = arg;

	loop_timer_free(c->look);
	c->look = list_empty(&c->reqs) ? NULL : loop_timer_new(c->lp, LOOK_MS, on_look, c);
	if (c->shell_muted)
		wire_channel_look(c->channels[WIRE_SHELL]); /* may close c */
	if (c->closed || c->cut || list_empty(&c->reqs) || !is_cut(c))
		return;
	c->cut = true;
	if (c->ops != NULL && c->ops->cut != NULL)
		c->ops->cut(c->arg);
}

static void
listen_to_shell(struct wire_client *c)
{
	c->shell_muted = false;
	wire_channel_unmute(c->channels[WIRE_SHELL]);
}

void
wire_client_sent(struct wire_client *c, enum wire_channel_kind channel)
{
	if (!c->live)
		return; /* before that, no idle may come */
	if (channel == WIRE_SHELL && !c->shell_muted && c->late_replies < LATE_MAX) {
		c->shell_muted = true;
		wire_channel_mute(c->channels[WIRE_SHELL]);
	}
	if (c->look == NULL)
		c->look = loop_timer_new(c->lp, LOOK_MS, on_look, c);
}

/* r's idle is here, and not told yet. */
static void
look_for_reply(struct wire_req *r)
{
	struct wire_client *c = r->client;

	if (r->channel != WIRE_SHELL || r->replied || !c->shell_muted)
		return;
	wire_channel_look(c->channels[WIRE_SHELL]); /* may complete r, and close c */
	if (wire_client_is_over(r) || r->replied || c->closed) {
		c->late_replies = 0;
		return;
	}
	c->late_replies++;
	listen_to_shell(c);
}

static void
on_published(struct wire_req *r, const struct wire_msg *m)
{
	if (is_idle(m))
		look_for_reply(r);
	if (!wire_client_is_over(r) && r->ops->message != NULL)
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
