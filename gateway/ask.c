/* gateway/ask.c - see gateway/ask.h. */
#include "gateway/ask.h"

#include <errno.h>
#include <stddef.h>

#include "gateway/context.h"
#include "kernelmgr/kernel.h"
#include "wire/base/mem.h"
#include "wire/client.h"
#include "wire/msg.h"

struct gw_ask {
	struct gw_ctx *ctx; /* borrowed; used by on_ready only */
	struct gw_ctx_wait wait;
	struct wire_req *req; /* in flight, or NULL */
	const char *type;     /* static */
	json_t *content;
	json_t *reply; /* or NULL: not yet */
	gw_ask_fn *fn;
	void *arg;
};

/* The only way out. */
static void
finish(struct gw_ask *a, int status, const char *why)
{
	a->fn(a->arg, status, a->reply, why);
	gw_ask_free(a);
}

static void
on_reply(void *arg, const struct wire_msg *m)
{
	struct gw_ask *a = arg;

	json_decref(a->reply);
	a->reply = json_incref(m->content);
}

static void
on_done(void *arg, int status)
{
	struct gw_ask *a = arg;

	a->req = NULL;
	if (status == 0 && a->reply != NULL)
		finish(a, 0, NULL);
	else
		finish(a, -EIO, "the kernel died or gave no reply");
}

static const struct wire_req_ops req_ops = {
    .reply = on_reply,
    .done = on_done,
};

static void
on_ready(void *arg, int status, const char *why)
{
	struct gw_ask *a = arg;
	struct km_kernel *k = status == 0 ? gw_ctx_kernel(a->ctx) : NULL;

	if (k == NULL)
		finish(a, -EIO, why != NULL ? why : "no kernel runs");
	else
		a->req = km_kernel_request(k, a->type, a->content, &req_ops, a);
}

struct gw_ask *
gw_ask_new(struct gw_ctx *c, const char *type, json_t *content, gw_ask_fn *fn, void *arg)
{
	struct gw_ask *a = mem_new(sizeof(*a));

	a->ctx = c;
	a->type = type;
	a->content = content;
	a->fn = fn;
	a->arg = arg;
	list_init(&a->wait.node);
	gw_ctx_wait(c, &a->wait, on_ready, a);
	return a;
}

void
gw_ask_free(struct gw_ask *a)
{
	if (a == NULL)
		return;
	gw_ctx_wait_cancel(&a->wait);
	wire_req_free(a->req);
	json_decref(a->content);
	json_decref(a->reply);
	mem_free(a);
}
