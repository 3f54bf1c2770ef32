/* wire/client.c - see wire/client.h.
 *
 * A request lives in its client's list from wire_client_request() until done()
 * or wire_req_free(); both take it out first, so that what comes later for it
 * is stray.  Memory goes at the end of the turn, since either may happen
 * inside a callback that this file is still returning from.
 */
#include "wire/client.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "wire/base/list.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"
#include "wire/connfile.h"
#include "wire/msg.h"

#define WAITING_HWM 16   /* receive mark for a kernel that waits: design, section 6 */
#define OVERDUE_MS  5000 /* from one of reply and idle to missing the other */

/* Does the kernel answer questions on control?  Go's and R's do not. */
enum control { UNKNOWN, ANSWERS, IS_DEAF, CONTROL_N };

/* How long an input_request waits for such an answer, at most. */
static const uint64_t order_ms[CONTROL_N] = {
    [UNKNOWN] = 500, [ANSWERS] = 10000, [IS_DEAF] = 50};

struct wire_client {
	struct loop *lp; /* borrowed */
	struct wire_sign *sign;
	char session[WIRE_UUID_LEN + 1];
	struct wire_channel *channels[WIRE_CHANNEL_N]; /* no WIRE_HB; NULL: not open */
	char *endpoints[WIRE_CHANNEL_N]; /* of those that open when they are used */
	struct list reqs;                /* struct wire_req.node */
	const struct wire_client_ops *ops;
	void *arg;
	bool live;   /* an iopub message came */
	bool paused; /* iopub is not read */
	enum control control;
	bool stdin_live; /* stdin is connected */
	bool closed;
	bool freed; /* memory waits for the end of the turn */
	uint64_t dropped;
};

static uint64_t dropped_all;

struct wire_req {
	struct list node;           /* in client->reqs; empty once over */
	struct wire_client *client; /* borrowed */
	char id[WIRE_UUID_LEN + 1];
	enum wire_channel_kind channel; /* where its reply comes */
	const struct wire_req_ops *ops;
	void *arg;
	bool replied;
	bool idle;
	bool wait_idle;
	bool is_probe;           /* made by ask_for_idle(): asks no further */
	struct wire_out *held;   /* not sent yet: waits for stdin, or NULL */
	json_t *input;           /* header of the input_request that waits, or NULL */
	struct asked *asked;     /* an input_request that is not told yet, or NULL */
	struct loop_timer *late; /* pending: one of reply and idle is overdue */
	struct wire_req *probe;  /* in flight: its idle proves that ours was dropped */
	struct loop_task end;    /* pending: done(status) */
	int status;
};

/* An input_request that overtook what the kernel had published before: they travel on different
 * sockets.  iopub keeps its order, so it is told when the idle of a question asked after it is
 * here. */
struct asked {
	struct wire_req *req;    /* owner */
	struct wire_req *probe;  /* the question, or NULL */
	struct loop_timer *late; /* pending: do without the probe */
	struct loop_task due;    /* at the end of that turn, when iopub was read once more */
	struct wire_msg m;       /* its JSON values are owned, raw and buffers empty */
};

static void
asked_free(struct asked *a)
{
	if (a == NULL)
		return;
	wire_req_free(a->probe);
	loop_timer_free(a->late);
	loop_task_cancel(&a->due);
	json_decref(a->m.header);
	json_decref(a->m.parent);
	json_decref(a->m.content);
	json_decref(a->m.metadata);
	mem_free(a);
}

static void
release_req(void *arg)
{
	mem_free(arg);
}

/* Take r out of its client and stop everything; its memory goes at the end of the turn. */
static void
detach(struct wire_req *r)
{
	list_del(&r->node);
	loop_timer_free(r->late);
	wire_req_free(r->probe);
	r->late = NULL;
	r->probe = NULL;
	asked_free(r->asked);
	r->asked = NULL;
	loop_task_cancel(&r->end);
	json_decref(r->input);
	r->input = NULL;
	wire_out_free(r->held);
	r->held = NULL;
	loop_later(r->client->lp, release_req, r);
}

/* The only way out of a request that nobody freed. */
static void
finish(struct wire_req *r, int status)
{
	detach(r);
	if (r->ops->done != NULL)
		r->ops->done(r->arg, status); /* may free the client */
}

static void
on_end(void *arg)
{
	struct wire_req *r = arg;

	finish(r, r->status);
}

/* Fail r at the end of the turn. */
static void
fail_later(struct wire_req *r, int status)
{
	r->status = status;
	loop_task_post(&r->end);
}

static bool
is_over(const struct wire_req *r)
{
	return list_empty(&r->node);
}

static void
on_probed(void *arg, int status)
{
	struct wire_req *r = arg;

	r->probe = NULL;
	if (status != -EPIPE)
		finish(r, -EIO);
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

/* Everything published before it is told: now the input_request itself. */
static void
tell_asked(void *arg)
{
	struct asked *a = arg;
	struct wire_req *r = a->req;

	r->asked = NULL;
	if (r->ops->message != NULL)
		r->ops->message(r->arg, &a->m);
	asked_free(a);
}

static void
on_in_order(void *arg, int status)
{
	struct asked *a = arg;

	a->probe = NULL;
	if (status == 0)
		a->req->client->control = ANSWERS;
	if (status != -EPIPE)
		tell_asked(a);
}

static void
on_no_order(void *arg)
{
	struct asked *a = arg;
	struct wire_client *c = a->req->client;

	loop_timer_free(a->late);
	a->late = NULL;
	if (c->paused) {
		a->late = loop_timer_new(c->lp, order_ms[c->control], on_no_order, a);
		return;
	}
	if (c->control == UNKNOWN)
		c->control = IS_DEAF;
	loop_task_post(&a->due);
}

static void
tell_in_order(struct wire_req *r, const struct wire_msg *m)
{
	static const struct wire_req_ops ops = {.done = on_in_order};
	static const struct wire_ask question = {
	    .channel = WIRE_CONTROL, .type = "kernel_info_request", .wait_idle = true};
	struct wire_client *c = r->client;
	struct asked *a = mem_new(sizeof(*a));
	const json_t *id = json_object_get(m->header, "msg_id");

	asked_free(r->asked);
	r->asked = a;
	a->req = r;
	loop_task_init(&a->due, c->lp, tell_asked, a);
	a->m = (struct wire_msg){.channel = m->channel,
	                         .type = "input_request",
	                         .header = json_incref(m->header),
	                         .parent = json_incref(m->parent),
	                         .content = json_incref(m->content),
	                         .metadata = json_incref(m->metadata)};
	a->m.id = json_string_length(id) > 0 ? json_string_value(id) : "";
	a->m.parent_id = r->id;
	a->late = loop_timer_new(c->lp, order_ms[c->control], on_no_order, a);
	if (c->control == IS_DEAF)
		return;
	a->probe = wire_client_request(c, &question, &ops, a);
	a->probe->is_probe = true;
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
		finish(r, -EBADMSG);
}

static void
check_complete(struct wire_req *r)
{
	if (is_over(r) || loop_task_pending(&r->end))
		return;
	if (r->replied && (r->idle || !r->wait_idle))
		finish(r, 0);
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
	const char *state = json_string_value(json_object_get(m->content, "execution_state"));

	return strcmp(m->type, "status") == 0 && state != NULL && strcmp(state, "idle") == 0;
}

static void
on_reply(struct wire_req *r, const struct wire_msg *m)
{
	if (r->replied || r->channel != m->channel)
		return; /* one reply to a request: a second one says nothing */
	r->replied = true;
	json_decref(r->input);
	r->input = NULL;
	asked_free(r->asked);
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
	if (!is_over(r) && is_idle(m)) {
		r->idle = true;
		check_complete(r);
	}
}

static void
on_stdin(struct wire_req *r, const struct wire_msg *m)
{
	if (strcmp(m->type, "input_request") != 0 || r->replied)
		return;
	json_decref(r->input);
	r->input = json_incref(m->header);
	tell_in_order(r, m);
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

static void
on_frames(void *arg, enum wire_channel_kind kind, const struct wire_slice *frames, size_t n)
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

static void on_stdin_connected(void *arg);

static int
open_channel(struct wire_client *c, enum wire_channel_kind kind, const char *endpoint, int hwm)
{
	/* The kernel sends an input_request to the identity that the request came from. */
	struct wire_channel_conf conf = {
	    .kind = kind,
	    .endpoint = endpoint,
	    .identity = kind == WIRE_SHELL || kind == WIRE_STDIN ? c->session : NULL,
	    .iopub_hwm = hwm,
	    .connected = kind == WIRE_STDIN ? on_stdin_connected : NULL,
	};

	if (c->channels[kind] == NULL)
		c->channels[kind] = wire_channel_new(c->lp, &conf, on_frames, c);
	return c->channels[kind] == NULL ? -errno : 0;
}

struct wire_client *
wire_client_new(struct loop *lp, const struct wire_connfile *cf, bool kernel_waits,
                const struct wire_client_ops *ops, void *arg)
{
	struct wire_client *c = mem_new(sizeof(*c));
	const char *key = wire_connfile_key(cf);
	int rc;

	c->lp = lp;
	c->ops = ops;
	c->arg = arg;
	list_init(&c->reqs);
	c->sign = wire_sign_new(key, strlen(key));
	wire_uuid(c->session);
	c->endpoints[WIRE_STDIN] = mem_strdup(wire_connfile_endpoint(cf, WIRE_STDIN));
	c->endpoints[WIRE_CONTROL] = mem_strdup(wire_connfile_endpoint(cf, WIRE_CONTROL));
	rc = open_channel(c, WIRE_IOPUB, wire_connfile_endpoint(cf, WIRE_IOPUB),
	                  kernel_waits ? WAITING_HWM : 0);
	if (rc == 0)
		rc = open_channel(c, WIRE_SHELL, wire_connfile_endpoint(cf, WIRE_SHELL), 0);
	if (rc != 0) {
		wire_client_free(c);
		errno = -rc;
		return NULL;
	}
	return c;
}

static void
close_channels(struct wire_client *c)
{
	for (int i = 0; i < WIRE_CHANNEL_N; i++) {
		wire_channel_free(c->channels[i]);
		c->channels[i] = NULL;
	}
	c->closed = true;
}

void
wire_client_close(struct wire_client *c)
{
	struct list *it, *tmp;

	close_channels(c);
	list_each (it, tmp, &c->reqs)
		fail_later(list_entry(it, struct wire_req, node), -EPIPE);
}

static void
release_client(void *arg)
{
	struct wire_client *c = arg;

	for (int i = 0; i < WIRE_CHANNEL_N; i++)
		mem_free(c->endpoints[i]);
	wire_sign_free(c->sign);
	mem_free(c);
}

void
wire_client_free(struct wire_client *c)
{
	if (c == NULL)
		return;
	assert(!c->freed);
	c->freed = true;
	close_channels(c);
	while (!list_empty(&c->reqs)) /* detaching one may detach its probe */
		detach(list_entry(c->reqs.next, struct wire_req, node));
	loop_later(c->lp, release_client, c);
}

static int
send(struct wire_client *c, enum wire_channel_kind channel, const struct wire_out *o)
{
	const struct wire_slice *frames;
	size_t n;
	int rc = open_channel(c, channel, c->endpoints[channel], 0);

	if (rc != 0)
		return rc;
	frames = wire_out_frames(o, &n);
	return wire_channel_send(c->channels[channel], frames, n);
}

static void
on_stdin_connected(void *arg)
{
	struct wire_client *c = arg;
	struct list *it, *tmp;

	c->stdin_live = true;
	list_each (it, tmp, &c->reqs) {
		struct wire_req *r = list_entry(it, struct wire_req, node);
		int rc = r->held != NULL ? send(c, r->channel, r->held) : 0;

		wire_out_free(r->held);
		r->held = NULL;
		if (rc != 0)
			fail_later(r, rc);
	}
}

struct wire_req *
wire_client_request(struct wire_client *c, const struct wire_ask *ask,
                    const struct wire_req_ops *ops, void *arg)
{
	struct wire_req *r = mem_new(sizeof(*r));
	struct wire_out *o =
	    wire_out_new(c->sign, c->session, ask->type, NULL, ask->metadata, ask->content);
	bool hold = ask->stdin_too && !c->stdin_live;
	int rc = 0;

	assert(ask->channel == WIRE_SHELL || ask->channel == WIRE_CONTROL);
	assert(!c->freed);
	r->client = c;
	r->channel = ask->channel;
	r->wait_idle = ask->wait_idle;
	r->ops = ops;
	r->arg = arg;
	loop_task_init(&r->end, c->lp, on_end, r);
	list_add_before(&c->reqs, &r->node);
	if (o == NULL)
		rc = -EINVAL;
	else if (c->closed)
		rc = -EPIPE;
	else if (hold)
		rc = open_channel(c, WIRE_STDIN, c->endpoints[WIRE_STDIN], 0);
	else
		rc = send(c, ask->channel, o);
	if (o != NULL)
		memcpy(r->id, wire_out_id(o), sizeof(r->id));
	if (rc != 0)
		fail_later(r, rc);
	else if (hold)
		r->held = o;
	if (r->held == NULL)
		wire_out_free(o);
	return r;
}

void
wire_req_free(struct wire_req *r)
{
	if (r == NULL || is_over(r))
		return; /* inside done(): it goes by itself */
	detach(r);
}

const char *
wire_req_id(const struct wire_req *r)
{
	return r->id;
}

int
wire_client_input_reply(struct wire_client *c, struct wire_req *r, const char *value,
                        size_t len)
{
	json_t *content;
	struct wire_out *o;
	int rc = -EINVAL;

	if (c->closed || is_over(r) || r->input == NULL)
		return -ENOENT;
	content = json_pack("{s:s%}", "value", value, len);
	o = content == NULL
	        ? NULL
	        : wire_out_new(c->sign, c->session, "input_reply", r->input, NULL, content);
	if (o != NULL) {
		rc = send(c, WIRE_STDIN, o);
		json_decref(r->input);
		r->input = NULL;
	}
	wire_out_free(o);
	json_decref(content);
	return rc;
}

void
wire_client_pause(struct wire_client *c)
{
	c->paused = true;
	if (!c->closed)
		wire_channel_pause(c->channels[WIRE_IOPUB]);
}

void
wire_client_resume(struct wire_client *c)
{
	c->paused = false;
	if (!c->closed)
		wire_channel_resume(c->channels[WIRE_IOPUB]);
}

void
wire_client_set_waits(struct wire_client *c)
{
	if (!c->closed)
		wire_channel_set_hwm(c->channels[WIRE_IOPUB], WAITING_HWM);
}

bool
wire_client_iopub_live(const struct wire_client *c)
{
	return c->live;
}

uint64_t
wire_client_dropped(const struct wire_client *c)
{
	return c->dropped;
}

uint64_t
wire_client_dropped_all(void)
{
	return dropped_all;
}
