/* kernelmgr/kernel_assign.c - see kernelmgr/kernel.h: a kernel that was started ahead gets its
 * owner's directory and variables. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kernelmgr/kernel_impl.h"
#include "kernelmgr/launch.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/msg.h"

struct km_assign {
	struct wire_req *req; /* NULL when it is over */
	bool ok;              /* the kernel said so */
	struct err why;
	km_assigned_fn *fn;
	void *arg;
};

static void
on_reply(void *arg, const struct wire_msg *m)
{
	const struct km_kernel *k = arg;
	struct km_assign *a = k->assign;
	const char *status = json_string_value(json_object_get(m->content, "status"));
	const char *why = json_string_value(json_object_get(m->content, "evalue"));

	a->ok = status != NULL && strcmp(status, "ok") == 0;
	(void)err_set(&a->why, -EIO, "%s", why != NULL ? why : "the kernel refused it");
}

static void
on_done(void *arg, int status)
{
	struct km_kernel *k = arg;
	struct km_assign a = *k->assign;

	mem_free(k->assign);
	k->assign = NULL;
	if (status == 0 && a.ok)
		a.fn(a.arg, 0, "");
	else if (status == 0)
		a.fn(a.arg, -EIO, a.why.text);
	else
		a.fn(a.arg, -EIO,
		     status == -EPIPE ? "the kernel is gone" : "the kernel gave no answer");
}

static const struct wire_req_ops ops = {.reply = on_reply, .done = on_done};

void
km_kernel_assign(struct km_kernel *k, const char *cwd, json_t *env, km_assigned_fn *fn,
                 void *arg)
{
	struct wire_ask what = {.channel = WIRE_SHELL, .type = "kernelbridge_assign_request"};

	assert(k->state != KM_STARTING && k->assign == NULL && k->exec == NULL);
	k->assign = mem_new(sizeof(*k->assign));
	k->assign->fn = fn;
	k->assign->arg = arg;
	what.content = json_pack("{s:o, s:o?}", "cwd", json_string_nocheck(cwd), "env",
	                         km_launch_late_env(env)); /* not UTF-8: it is refused below */
	k->assign->req = wire_client_request(k->client, &what, &ops, k);
	json_decref(what.content);
}
