/* gateway/exec_setup.c - see gateway/exec_setup.h.
 *
 * An ipykernel with XPUB_NODROP counts as one that waits, though its mark is a thousand messages
 * of any size and its `print` goes on meanwhile: what is not read stays in the kernel's memory, as
 * much as its code prints and charged to it, and nothing is lost.  Reading it at once would only
 * move it here, and then lose it.
 */
#include "gateway/exec_setup.h"

#include <errno.h>
#include <string.h>

#include "gateway/context.h"
#include "gateway/exec.h"
#include "gateway/exec_around.h"
#include "gateway/language.h"
#include "kernelmgr/kernel.h"
#include "wire/base/buf.h"
#include "wire/client.h"
#include "wire/msg.h"

bool
gw_exec_setup_needed(const struct gw_exec *ex)
{
	const struct gw_ctx *c = ex->ctx;

	return c->row != NULL && c->row->setup != NULL && c->set_up != c->starts &&
	       !km_kernel_waits(ex->kernel);
}

static void
on_reply(void *arg, const struct wire_msg *m)
{
	struct gw_exec *ex = arg;
	const char *said = json_string_value(json_object_get(m->content, "status"));

	if (said != NULL && strcmp(said, "ok") == 0)
		km_kernel_set_waits(ex->kernel);
}

static void
on_done(void *arg, int status)
{
	struct gw_exec *ex = arg;

	ex->req = NULL;
	if (status == -EPIPE && km_kernel_state(ex->kernel) != KM_READY)
		return; /* the context ends us */
	if (status == -EBADMSG)
		gw_exec_finish(ex, GW_DONE_KERNEL_DIED, "the kernel gave no reply");
	else if (ex->state == GW_EXEC_STOPPING)
		gw_exec_around_end(ex, ex->stop, NULL);
	else
		gw_exec_enter(ex);
}

void
gw_exec_setup(struct gw_exec *ex)
{
	static const struct wire_req_ops ops = {.reply = on_reply, .done = on_done};
	const char *text = ex->ctx->row->setup;
	struct buf code;

	ex->ctx->set_up = ex->ctx->starts;
	buf_init(&code, strlen(text) + 1);
	(void)buf_append(&code, text, strlen(text));
	gw_exec_around_send(ex, &code, &ops);
	buf_fini(&code);
}
