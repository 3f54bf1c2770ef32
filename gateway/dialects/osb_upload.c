/* gateway/dialects/osb_upload.c - POST /files/upload: what comes is read and written in a thread.
 *
 * Two buffers: one that the thread has, one that fills meanwhile.  When that is full, the client
 * waits.  So an upload takes the same memory whatever its size, and a disk that is slower than the
 * client slows it down.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "gateway/core.h"
#include "gateway/dialects/osb.h"
#include "gateway/dialects/osb_form.h"
#include "gateway/fs.h"
#include "gateway/sandbox.h"
#include "gateway/status.h"
#include "wire/base/buf.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define FULL_BYTES  (256U << 10) /* that wait for the thread */
#define QUEUE_BYTES (8U << 20)   /* never: FULL_BYTES and one piece */

struct upload {
	struct loop *lp;
	struct gw_core *core; /* there as long as x is */
	struct gw_http *x;    /* NULL: answered, or the client has left */
	struct gw_fs *fs;     /* held */
	char sandbox[sizeof((struct log_id){0}.id)];
	struct buf in; /* not given to the thread yet */
	bool full;     /* the client waits until it is */
	bool ended;    /* the body is complete */
	/* The thread's, while there is one. */
	bool busy, last;
	struct buf work;
	struct gw_osb_form *form;
	int rc;
	struct gw_osb_form_no no;
};

static void next(struct upload *u);

/* --- the end ------------------------------------------------------------------------------ */

static void
close_form(void *arg)
{
	struct upload *u = arg;

	gw_osb_form_free(u->form);
}

static void
on_closed_form(void *arg)
{
	struct upload *u = arg;

	gw_fs_release(u->fs);
	buf_fini(&u->in);
	buf_fini(&u->work);
	mem_free(u);
}

/* --- the thread --------------------------------------------------------------------------- */

static void
work(void *arg)
{
	struct upload *u = arg;

	u->rc = gw_osb_form_take(u->form, u->work.data, u->work.len, &u->no);
	if (u->rc == 0 && u->last)
		u->rc = gw_osb_form_end(u->form, &u->no);
}

/* Answer, if there is something to say. */
static void
answer(struct upload *u)
{
	struct gw_http *x = u->x;

	if (gw_sandbox_find(u->core, u->sandbox) == NULL) {
		u->x = NULL;
		gw_osb_fail(x, 404, GW_OSB_NO_SANDBOX, "sandbox %.64s was deleted", u->sandbox);
	} else if (u->rc != 0) {
		u->x = NULL;
		gw_osb_fail(x, u->no.status, u->no.code, "%s", u->no.why.text);
	} else if (u->last) {
		u->x = NULL;
		gw_http_reply(x, 200, NULL, "", 0);
	}
}

static void
on_worked(void *arg)
{
	struct upload *u = arg;

	u->busy = false;
	buf_consume(&u->work, u->work.len);
	if (u->x != NULL)
		answer(u);
	next(u);
}

/* Give the thread what there is, and take more. */
static void
next(struct upload *u)
{
	struct buf empty = u->work;

	if (u->busy)
		return;
	if (u->x == NULL) {
		u->busy = true;
		loop_work(u->lp, close_form, on_closed_form, u);
		return;
	}
	if (u->in.len == 0 && !u->ended)
		return;
	u->work = u->in;
	u->in = empty;
	u->last = u->ended;
	u->busy = true;
	loop_work(u->lp, work, on_worked, u);
	if (u->full) {
		u->full = false;
		gw_http_receive(u->x);
	}
}

/* --- the client --------------------------------------------------------------------------- */

static int
on_body(void *arg, const char *data, size_t len)
{
	struct upload *u = arg;
	struct gw_http *x = u->x;

	if (x == NULL)
		return 0;
	if (buf_append(&u->in, data, len) < 0) {
		u->x = NULL;
		gw_osb_fail(x, 500, GW_OSB_RUNTIME, "out of memory");
	}
	next(u);
	u->full = u->in.len >= FULL_BYTES;
	return u->full ? -EAGAIN : 0;
}

static void
on_body_end(void *arg)
{
	struct upload *u = arg;

	u->ended = true;
	u->full = false;
	next(u);
}

static void
on_closed(void *arg)
{
	struct upload *u = arg;

	u->x = NULL;
	next(u);
}

static const struct gw_http_ops ops = {
    .closed = on_closed,
    .body = on_body,
    .body_end = on_body_end,
};

void
gw_osb_upload(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = gw_osb_sandbox(core, x);
	struct gw_osb_form_no no = {.why = {""}};
	struct gw_osb_form *form;
	struct gw_fs *fs;
	struct upload *u;
	int rc;

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	rc = gw_sandbox_fs(sb, &fs, &no.why);
	if (rc != 0) {
		gw_osb_fail(x, gw_status_http(rc), GW_OSB_RUNTIME, "%s", no.why.text);
		return;
	}
	if (gw_osb_form_new(gw_http_header(x, "content-type"), fs, core->cfg->max_upload_bytes,
	                    &form, &no) != 0) {
		gw_osb_fail(x, no.status, no.code, "%s", no.why.text);
		return;
	}
	u = mem_new(sizeof(*u));
	u->lp = core->lp;
	u->core = core;
	u->x = x;
	u->fs = gw_fs_hold(fs);
	u->form = form;
	(void)snprintf(u->sandbox, sizeof(u->sandbox), "%s", sb->id.id);
	buf_init(&u->in, QUEUE_BYTES);
	buf_init(&u->work, QUEUE_BYTES);
	gw_http_set_ops(x, &ops, u);
}
