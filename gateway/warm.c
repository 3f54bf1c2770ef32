/* gateway/warm.c - see gateway/warm.h. */
#include "gateway/warm.h"

#include <stdint.h>

#include "gateway/context.h"
#include "gateway/core.h"
#include "gateway/sandbox.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define RETRY_MS     1000 /* after a failed start; doubled each time */
#define RETRY_MAX_MS 60000

struct gw_warm {
	struct gw_sandbox *sandbox; /* borrowed */
	struct gw_ctx_wait wait;    /* for the kernel, while no pause is made */
	struct loop_timer *pause;   /* pending, or NULL */
	unsigned failed_n;          /* tries in a row */
	bool done;
};

static void try_now(struct gw_warm *w);

static void
on_pause_over(void *arg)
{
	struct gw_warm *w = arg;

	loop_timer_free(w->pause);
	w->pause = NULL;
	if (!gw_warm_is_done(w))
		try_now(w);
}

static void
try_later(struct gw_warm *w)
{
	uint64_t msec = loop_backoff_ms(RETRY_MS, ++w->failed_n, RETRY_MAX_MS);

	w->pause = loop_timer_new(w->sandbox->core->lp, msec, on_pause_over, w);
}

static void
on_told(void *arg, int status, const char *why)
{
	struct gw_warm *w = arg;

	(void)why; /* the context has logged it */
	if (status == 0)
		w->done = true;
	else
		try_later(w);
}

static void
try_now(struct gw_warm *w)
{
	struct gw_ctx *c;
	struct err err;
	int rc = gw_ctx_default(w->sandbox, NULL, &c, &err);

	if (rc == 0) {
		gw_ctx_wait(c, &w->wait, on_told, w);
		return;
	}
	if (w->failed_n == 0)
		log_warn(NULL, "no default Python context, trying again: %s", err.text);
	try_later(w);
}

struct gw_warm *
gw_warm_new(struct gw_sandbox *sb)
{
	struct gw_warm *w = mem_new(sizeof(*w));

	w->sandbox = sb;
	try_now(w);
	return w;
}

void
gw_warm_free(struct gw_warm *w)
{
	if (w == NULL)
		return;
	loop_timer_free(w->pause);
	gw_ctx_wait_cancel(&w->wait);
	mem_free(w);
}

bool
gw_warm_is_done(struct gw_warm *w)
{
	const struct gw_ctx *c = w != NULL ? gw_ctx_find(w->sandbox, "default") : NULL;

	if (c != NULL && gw_ctx_kernel(c) != NULL)
		w->done = true; /* a client has tried it during a pause */
	return w != NULL && w->done;
}
