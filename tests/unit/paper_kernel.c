/* tests/unit/paper_kernel.c - see tests/unit/paper_kernel.h. */
#include "tests/unit/paper_kernel.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kernelmgr/spec.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/msg.h"

struct list paper_kernels = {&paper_kernels, &paper_kernels};
int paper_start_rc;
const char *paper_start_why = "no such program";

static unsigned counts[KM_KSTATE_N];

static void
set_state(struct km_kernel *k, enum km_kstate to)
{
	assert(km_kstate_may(k->state, to));
	counts[k->state]--;
	counts[to]++;
	k->state = to;
}

/* --- what the test says ----------------------------------------------------------------- */

struct km_kernel *
paper_newest(void)
{
	return list_empty(&paper_kernels)
	           ? NULL
	           : list_entry(paper_kernels.prev, struct km_kernel, node);
}

unsigned
paper_count(void)
{
	const struct list *it;
	unsigned n = 0;

	for (it = paper_kernels.next; it != &paper_kernels; it = it->next)
		n++;
	return n;
}

void
paper_ready(struct km_kernel *k)
{
	set_state(k, KM_READY);
	k->ops.ready(k->arg);
}

void
paper_assigned(struct km_kernel *k, int status, const char *why)
{
	km_assigned_fn *fn = k->assigned;

	assert(fn != NULL);
	k->assigned = NULL;
	fn(k->assign_arg, status, why);
}

static void
deliver(struct km_kernel *k, const char *type, json_t *content, json_t *metadata, bool reply)
{
	char *bytes = json_dumps(content, JSON_COMPACT);
	json_t *empty = json_object();
	struct wire_msg m = {
	    .type = type,
	    .content = content,
	    .metadata = metadata != NULL ? metadata : empty,
	    .raw[3] = {bytes, strlen(bytes)},
	};

	assert(k->in_flight);
	if (reply && k->exec_ops.reply != NULL)
		k->exec_ops.reply(k->exec_arg, &m);
	else if (!reply && k->exec_ops.message != NULL)
		k->exec_ops.message(k->exec_arg, &m);
	json_decref(content);
	json_decref(metadata);
	json_decref(empty);
	mem_free(bytes);
}

void
paper_say(struct km_kernel *k, const char *type, json_t *content, json_t *metadata)
{
	deliver(k, type, content, metadata, false);
}

void
paper_print(struct km_kernel *k, const char *text)
{
	paper_say(k, "stream", json_pack("{s:s, s:s}", "name", "stdout", "text", text), NULL);
}

void
paper_input(struct km_kernel *k, int count)
{
	paper_say(k, "execute_input",
	          json_pack("{s:i, s:s}", "execution_count", count, "code", ""), NULL);
}

void
paper_reply(struct km_kernel *k, json_t *content)
{
	deliver(k, "execute_reply", content, NULL, true);
}

void
paper_done(struct km_kernel *k, int status)
{
	assert(k->in_flight);
	k->in_flight = false;
	if (k->state == KM_BUSY)
		set_state(k, KM_READY);
	if (k->exec_ops.done != NULL)
		k->exec_ops.done(k->exec_arg, status);
}

void
paper_finish(struct km_kernel *k, const char *status)
{
	paper_reply(k, json_pack("{s:s, s:i, s:s, s:s}", "status", status, "execution_count", 1,
	                         "ename", "Interrupt", "evalue", "stop"));
	paper_done(k, 0);
}

static bool
is_there(const struct km_kernel *k)
{
	const struct list *it = paper_kernels.next;

	while (it != &paper_kernels && it != &k->node)
		it = it->next;
	return it != &paper_kernels;
}

void
paper_die(struct km_kernel *k, const char *why)
{
	bool started = k->state != KM_STARTING;

	if (k->state != KM_STOPPING)
		set_state(k, KM_STOPPING);
	if (k->in_flight)
		paper_done(k, -EPIPE);
	if (k->assigned != NULL) {
		paper_assigned(k, -EIO, "the kernel is gone");
		if (!is_there(k))
			return;
	}
	set_state(k, KM_DEAD);
	k->ops.died(k->arg, started, why);
}

static bool
obey(struct km_kernel *k)
{
	switch (k->state) {
	case KM_STARTING:
		paper_ready(k);
		return true;
	case KM_BUSY:
		paper_finish(k, k->interrupts_n > 0 ? "error" : "ok");
		return true;
	case KM_STOPPING:
		paper_die(k, "signal 9");
		return true;
	case KM_READY:
		if (k->assigned == NULL)
			return false;
		paper_assigned(k, 0, "");
		return true;
	case KM_DEAD:
	case KM_KSTATE_N:
	default:
		return false;
	}
}

bool
paper_obey(void)
{
	struct list *it;
	struct list *tmp;
	bool any = false;

	list_each (it, tmp, &paper_kernels)
		any = obey(list_entry(it, struct km_kernel, node)) || any;
	return any;
}

/* --- kernelmgr/kernel.h ----------------------------------------------------------------- */

int
km_kernel_start(const struct km_kernel_config *cfg, const struct km_kernel_ops *ops, void *arg,
                struct km_kernel **ret, struct err *err)
{
	struct km_kernel *k;

	if (paper_start_rc != 0)
		return err_set(err, paper_start_rc, "%s", paper_start_why);
	k = mem_new(sizeof(*k));
	k->ops = *ops;
	k->arg = arg;
	k->spec = cfg->spec;
	k->waits = cfg->spec->waits;
	k->exit_code = -1;
	k->env = json_deep_copy(cfg->env);
	(void)snprintf(k->cwd, sizeof(k->cwd), "%s", cfg->cwd);
	counts[KM_STARTING]++;
	list_add_before(&paper_kernels, &k->node);
	*ret = k;
	return 0;
}

void
km_kernel_free(struct km_kernel *k)
{
	if (k == NULL)
		return;
	counts[k->state]--;
	list_del(&k->node);
	json_decref(k->content);
	json_decref(k->metadata);
	json_decref(k->env);
	mem_free(k);
}

void
km_kernel_stop(struct km_kernel *k)
{
	k->stops_n++;
	if (k->state == KM_STARTING || k->state == KM_READY || k->state == KM_BUSY)
		set_state(k, KM_STOPPING);
}

void
km_kernel_kill(struct km_kernel *k)
{
	k->kills_n++;
	if (k->state == KM_STARTING || k->state == KM_READY || k->state == KM_BUSY)
		set_state(k, KM_STOPPING);
}

void
km_kernel_assign(struct km_kernel *k, const char *cwd, json_t *env, km_assigned_fn *fn,
                 void *arg)
{
	assert(k->state != KM_STARTING && !k->in_flight && k->assigned == NULL);
	k->assigns_n++;
	k->assigned = fn;
	k->assign_arg = arg;
	(void)snprintf(k->cwd, sizeof(k->cwd), "%s", cwd);
	if (k->env == NULL)
		k->env = json_object();
	(void)json_object_update(k->env, env);
}

struct wire_req *
km_kernel_execute(struct km_kernel *k, json_t *content, json_t *metadata,
                  const struct wire_req_ops *ops, void *arg)
{
	assert(!k->in_flight && k->state == KM_READY);
	set_state(k, KM_BUSY);
	k->in_flight = true;
	k->executes_n++;
	k->interrupts_n = 0;
	k->exec_ops = *ops;
	k->exec_arg = arg;
	json_decref(k->content);
	json_decref(k->metadata);
	k->content = json_incref(content);
	k->metadata = json_incref(metadata);
	(void)snprintf(k->req_id, sizeof(k->req_id), "paper-%u", k->executes_n);
	return (struct wire_req *)k; /* opaque to the core */
}

const char *
wire_req_id(const struct wire_req *r)
{
	return ((const struct km_kernel *)r)->req_id;
}

void
wire_req_free(struct wire_req *r)
{
	(void)r;
}

uint64_t
wire_client_dropped_all(void)
{
	return 0;
}

void
km_kernel_forget(struct km_kernel *k)
{
	k->exec_ops = (struct wire_req_ops){0};
	k->exec_arg = NULL;
}

struct wire_req *
km_kernel_request(struct km_kernel *k, const char *type, json_t *content,
                  const struct wire_req_ops *ops, void *arg)
{
	(void)type;
	(void)content;
	(void)ops;
	(void)arg;
	return (struct wire_req *)k;
}

int
km_kernel_input_reply(struct km_kernel *k, struct wire_req *r, const char *value, size_t len)
{
	assert(r == (struct wire_req *)k && k->in_flight);
	k->inputs_n++;
	(void)snprintf(k->input, sizeof(k->input), "%.*s", (int)len, value);
	return 0;
}

void
km_kernel_interrupt(struct km_kernel *k)
{
	if (k->state == KM_READY || k->state == KM_BUSY)
		k->interrupts_n++;
}

bool
km_kernel_waits(const struct km_kernel *k)
{
	return k->waits;
}

void
km_kernel_set_waits(struct km_kernel *k)
{
	k->waits = true;
}

void
km_kernel_pause(struct km_kernel *k)
{
	assert(!k->paused);
	k->paused = true;
}

void
km_kernel_resume(struct km_kernel *k)
{
	assert(k->paused);
	k->paused = false;
}

enum km_kstate
km_kernel_state(const struct km_kernel *k)
{
	return k->state;
}

const struct km_spec *
km_kernel_spec(const struct km_kernel *k)
{
	return k->spec;
}

pid_t
km_kernel_pid(const struct km_kernel *k)
{
	return k->pid;
}

const char *
km_kernel_id(const struct km_kernel *k)
{
	(void)k;
	return "paper";
}

int
km_kernel_exit_code(const struct km_kernel *k)
{
	return k->exit_code;
}

unsigned
km_kernel_count(enum km_kstate st)
{
	return counts[st];
}
