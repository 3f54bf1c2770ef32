/* gateway/dialects/await.c - see gateway/dialects/await.h. */
#include "gateway/dialects/await.h"

#include "gateway/context.h"
#include "gateway/dialect.h"
#include "wire/base/mem.h"

struct await {
	struct gw_http *x;
	struct gw_ctx *ctx; /* borrowed */
	struct gw_ctx_wait ready;
	bool fresh;
	gw_await_fn *fn;
};

static void
await_free(struct await *a)
{
	gw_ctx_wait_cancel(&a->ready);
	mem_free(a);
}

static void
on_ready(void *arg, int status, const char *why)
{
	struct await *a = arg;

	a->fn(a->x, a->ctx, status, why);
	await_free(a);
}

static void
on_closed(void *arg)
{
	struct await *a = arg;
	struct gw_ctx *c = a->fresh ? a->ctx : NULL;

	await_free(a);
	if (c != NULL)
		gw_ctx_delete(c);
}

static const struct gw_http_ops ops = {.closed = on_closed};

void
gw_await_kernel(struct gw_http *x, struct gw_ctx *c, bool fresh, gw_await_fn *fn)
{
	struct await *a = mem_new(sizeof(*a));

	a->x = x;
	a->ctx = c;
	a->fresh = fresh;
	a->fn = fn;
	list_init(&a->ready.node);
	if (fresh)
		gw_ctx_set_provisional(c);
	gw_http_set_ops(x, &ops, a);
	gw_ctx_wait(c, &a->ready, on_ready, a);
}
