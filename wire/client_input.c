/* wire/client_input.c - see wire/client_impl.h: input_requests after what was published before.
 *
 * One overtakes that, since they travel on different sockets.  iopub keeps its order, so it is
 * told when the idle of a question asked after it is here.
 */
#include <errno.h>

#include "wire/base/loop.h"
#include "wire/base/mem.h"
#include "wire/client_impl.h"

/* How long an input_request waits for such an answer, at most. */
static const uint64_t order_ms[WIRE_CLIENT_CONTROL_N] = {
    [WIRE_CLIENT_UNKNOWN] = 500, [WIRE_CLIENT_ANSWERS] = 10000, [WIRE_CLIENT_IS_DEAF] = 50};

struct wire_client_asked {
	struct wire_req *req;    /* owner */
	struct wire_req *probe;  /* the question, or NULL */
	struct loop_timer *late; /* pending: do without the probe */
	struct loop_task due;    /* at the end of that turn, when iopub was read once more */
	json_t *content;
};

void
wire_client_asked_free(struct wire_client_asked *a)
{
	if (a == NULL)
		return;
	wire_req_free(a->probe);
	loop_timer_free(a->late);
	loop_task_cancel(&a->due);
	json_decref(a->content);
	mem_free(a);
}

/* Everything published before it is told: now the input_request itself. */
static void
tell_asked(void *arg)
{
	struct wire_client_asked *a = arg;
	struct wire_req *r = a->req;
	const struct wire_msg m = {.channel = WIRE_STDIN,
	                           .type = "input_request",
	                           .id = "",
	                           .parent_id = r->id,
	                           .state = "",
	                           .content = a->content};

	r->asked = NULL;
	if (r->ops->message != NULL)
		r->ops->message(r->arg, &m);
	wire_client_asked_free(a);
}

static void
on_in_order(void *arg, int status)
{
	struct wire_client_asked *a = arg;

	a->probe = NULL;
	if (status == 0)
		a->req->client->control = WIRE_CLIENT_ANSWERS;
	if (status != -EPIPE)
		tell_asked(a);
}

static void
on_no_order(void *arg)
{
	struct wire_client_asked *a = arg;
	struct wire_client *c = a->req->client;

	loop_timer_free(a->late);
	a->late = NULL;
	if (c->paused) {
		a->late = loop_timer_new(c->lp, order_ms[c->control], on_no_order, a);
		return;
	}
	if (c->control == WIRE_CLIENT_UNKNOWN)
		c->control = WIRE_CLIENT_IS_DEAF;
	loop_task_post(&a->due);
}

void
wire_client_tell_in_order(struct wire_req *r, const struct wire_msg *m)
{
	static const struct wire_req_ops ops = {.done = on_in_order};
	static const struct wire_ask question = {
	    .channel = WIRE_CONTROL, .type = "kernel_info_request", .wait_idle = true};
	struct wire_client *c = r->client;
	struct wire_client_asked *a = mem_new(sizeof(*a));

	wire_client_asked_free(r->asked);
	r->asked = a;
	a->req = r;
	a->content = json_incref(m->content);
	loop_task_init(&a->due, c->lp, tell_asked, a);
	a->late = loop_timer_new(c->lp, order_ms[c->control], on_no_order, a);
	if (c->control == WIRE_CLIENT_IS_DEAF)
		return;
	a->probe = wire_client_request(c, &question, &ops, a);
	a->probe->is_probe = true;
}
