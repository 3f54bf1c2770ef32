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
#include "wire/client_impl.h"
#include "wire/connfile.h"
#include "wire/msg.h"

#define INPUT_MAX   (64U << 10) /* header of an input_request */
#define TAKEN_HWM   65536       /* for another: messages that ZMQ holds while we are busy */
#define WAITING_HWM 16          /* receive mark for a kernel that waits: design, section 6 */

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
	wire_client_asked_free(r->asked);
	r->asked = NULL;
	loop_task_cancel(&r->end);
	buf_fini(&r->input);
	wire_out_free(r->held);
	r->held = NULL;
	loop_later(r->client->lp, release_req, r);
}

void
wire_client_finish(struct wire_req *r, int status)
{
	detach(r);
	if (r->ops->done != NULL)
		r->ops->done(r->arg, status); /* may free the client */
}

static void
on_end(void *arg)
{
	struct wire_req *r = arg;

	wire_client_finish(r, r->status);
}

/* Fail r at the end of the turn. */
static void
fail_later(struct wire_req *r, int status)
{
	r->status = status;
	loop_task_post(&r->end);
}

bool
wire_client_is_over(const struct wire_req *r)
{
	return list_empty(&r->node);
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
	    .frame_max_bytes = c->conf.frame_max_bytes,
	    .connected = kind == WIRE_STDIN ? on_stdin_connected : NULL,
	};

	if (c->channels[kind] == NULL)
		c->channels[kind] = wire_channel_new(c->lp, &conf, wire_client_route, c);
	return c->channels[kind] == NULL ? -errno : 0;
}

struct wire_client *
wire_client_new(struct loop *lp, const struct wire_connfile *cf,
                const struct wire_client_conf *conf, const struct wire_client_ops *ops,
                void *arg)
{
	struct wire_client *c = mem_new(sizeof(*c));
	const char *key = wire_connfile_key(cf);
	int rc;

	c->lp = lp;
	c->conf = *conf;
	c->ops = ops;
	c->arg = arg;
	list_init(&c->reqs);
	c->sign = wire_sign_new(key, strlen(key));
	wire_uuid(c->session);
	c->endpoints[WIRE_STDIN] = mem_strdup(wire_connfile_endpoint(cf, WIRE_STDIN));
	c->endpoints[WIRE_CONTROL] = mem_strdup(wire_connfile_endpoint(cf, WIRE_CONTROL));
	rc = open_channel(c, WIRE_IOPUB, wire_connfile_endpoint(cf, WIRE_IOPUB),
	                  conf->kernel_waits ? WAITING_HWM : TAKEN_HWM);
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
	loop_timer_free(c->look);
	c->look = NULL;
	c->shell_muted = false;
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
	rc = wire_channel_send(c->channels[channel], frames, n);
	if (rc == 0)
		wire_client_sent(c, channel);
	return rc;
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
	static const struct wire_slice no_parent;
	struct wire_req *r = mem_new(sizeof(*r));
	struct wire_out *o = wire_out_new(c->sign, c->session, ask->type, no_parent,
	                                  ask->metadata, ask->content);
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
	buf_init(&r->input, INPUT_MAX);
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
	if (r == NULL || wire_client_is_over(r))
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
	struct wire_out *o = NULL;
	int rc = -EINVAL;

	if (c->closed || wire_client_is_over(r) || r->input.len == 0)
		return -ENOENT;
	content = json_pack("{s:s%}", "value", value, len);
	if (content != NULL)
		o = wire_out_new(c->sign, c->session, "input_reply",
		                 (struct wire_slice){r->input.data, r->input.len}, NULL,
		                 content);
	if (o != NULL) {
		rc = send(c, WIRE_STDIN, o);
		if (rc == 0)
			buf_fini(&r->input);
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
