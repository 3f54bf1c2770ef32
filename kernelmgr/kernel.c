/* kernelmgr/kernel.c - see kernelmgr/kernel.h; how a kernel ends is in kernel_end.c. */
#include "kernelmgr/kernel.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "kernelmgr/kernel_impl.h"
#include "kernelmgr/launcher.h"
#include "kernelmgr/spec.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"
#include "wire/client.h"
#include "wire/connfile.h"
#include "wire/msg.h"

#define ASK_AFTER_REPLY_MS 20   /* answered, but iopub is not live yet */
#define ASK_FIRST_MS       1000 /* not answered; doubled each time, since requests queue */
#define INTERRUPTED_MS     1000 /* a kernel that has not answered an interrupt by then never will */
#define ID_LEN             8

static unsigned counts[KM_KSTATE_N];

static void ask(struct km_kernel *k);

void
km_kernel_set_state(struct km_kernel *k, enum km_kstate to, const char *why)
{
	assert(km_kstate_may(k->state, to));
	log_debug(&k->id, "%s -> %s: %s", km_kstate_name(k->state), km_kstate_name(to), why);
	counts[k->state]--;
	counts[to]++;
	k->state = to;
}

void
km_kernel_stop_timer(struct loop_timer **t)
{
	loop_timer_free(*t);
	*t = NULL;
}

void
km_kernel_set_timer(struct km_kernel *k, struct loop_timer **t, uint64_t ms, loop_fn *fn)
{
	loop_timer_free(*t);
	*t = loop_timer_new(k->cfg.lp, ms, fn, k);
}

void
km_kernel_send_signal(struct km_kernel *k, int signum)
{
	if (k->job != NULL)
		k->cfg.launcher->ops->signal(k->job, signum);
}

/* Close and remove everything that km_kernel_launch() made. */
void
km_kernel_unlaunch(struct km_kernel *k)
{
	km_kernel_stop_timer(&k->ask);
	wire_client_free(k->client); /* drops the requests */
	k->info = k->interrupt = k->shutdown = k->exec = NULL;
	mem_free(k->assign);
	k->assign = NULL;
	k->client = NULL;
	if (k->job != NULL)
		k->cfg.launcher->ops->free(k->job);
	k->job = NULL;
	wire_connfile_free(k->cf);
	k->cf = NULL;
}

/* Once, when its pid is known. */
static void
log_started(struct km_kernel *k)
{
	const struct km_launcher_ops *ops = k->cfg.launcher->ops;

	if (k->logged || k->job == NULL || ops->pid(k->job) == 0)
		return;
	k->logged = true;
	log_info(&k->id, "started spec=%s launcher=%s pid=%d", k->cfg.spec->name,
	         ops->by != NULL ? ops->by(k->job) : ops->name, (int)ops->pid(k->job));
}

/* Becoming ready */

/* True when nothing is missing any more; the owner was told then and k may be gone. */
static bool
check_ready(struct km_kernel *k)
{
	if (k->state != KM_STARTING || !k->answered || !wire_client_iopub_live(k->client))
		return false;
	km_kernel_stop_timer(&k->ask);
	km_kernel_stop_timer(&k->deadline);
	k->ready_ms = loop_now_ms(k->cfg.lp);
	km_kernel_set_state(k, KM_READY, "answered");
	if (k->cfg.launcher->ops->ready != NULL)
		k->cfg.launcher->ops->ready(k->job);
	log_started(k);
	log_info(&k->id, "ready after_ms=%llu", (unsigned long long)(k->ready_ms - k->born_ms));
	k->ops.ready(k->arg);
	return true;
}

static void
on_ask(void *arg)
{
	struct km_kernel *k = arg;

	km_kernel_stop_timer(&k->ask);
	if (!check_ready(k))
		ask(k);
}

static void
on_info_message(void *arg, const struct wire_msg *m)
{
	(void)m;
	(void)check_ready(arg);
}

static void
on_info_reply(void *arg, const struct wire_msg *m)
{
	struct km_kernel *k = arg;

	(void)m;
	k->answered = true;
	if (k->state == KM_STARTING)
		km_kernel_set_timer(k, &k->ask, ASK_AFTER_REPLY_MS, on_ask);
	(void)check_ready(k);
}

static void
on_info_done(void *arg, int status)
{
	struct km_kernel *k = arg;

	(void)status; /* the ask timer goes on, or it is ready, or it dies */
	k->info = NULL;
}

static const struct wire_req_ops info_ops = {
    .message = on_info_message,
    .reply = on_info_reply,
    .done = on_info_done,
};

static void
ask(struct km_kernel *k)
{
	static const struct wire_ask question = {
	    .channel = WIRE_SHELL, .type = "kernel_info_request", .wait_idle = true};

	wire_req_free(k->info); /* forget the unanswered one */
	k->info = wire_client_request(k->client, &question, &info_ops, k);
	km_kernel_set_timer(k, &k->ask, k->ask_ms, on_ask);
	k->ask_ms *= 2;
}

static void
on_stray(void *arg, const struct wire_msg *m)
{
	struct km_kernel *k = arg;

	k->seen_n++;
	if (check_ready(k))
		return;
	/* before ready: notices of the start, of no interest to anybody */
	if (k->ready_ms != 0 && k->ops.stray != NULL)
		k->ops.stray(k->arg, m);
}

static const struct wire_client_ops client_ops = {.stray = on_stray, .cut = km_kernel_on_cut};

/* The time that it has to get ready does not pass while it is in line. */
static uint64_t
start_left_ms(const struct km_kernel *k)
{
	const struct km_launcher_ops *ops = k->cfg.launcher->ops;
	uint64_t since = ops->since != NULL ? ops->since(k->job) : k->born_ms;
	uint64_t end = since + k->cfg.start_timeout_ms, now = loop_now_ms(k->cfg.lp);

	if (since == 0)
		return k->cfg.start_timeout_ms;
	return end > now ? end - now : 0;
}

static void
on_deadline(void *arg)
{
	struct km_kernel *k = arg;

	km_kernel_stop_timer(&k->deadline);
	if (start_left_ms(k) > 0) {
		km_kernel_set_timer(k, &k->deadline, start_left_ms(k), on_deadline);
		return;
	}
	(void)snprintf(k->cause, sizeof(k->cause), "did not answer within %g s",
	               (double)k->cfg.start_timeout_ms / 1000);
	km_kernel_kill(k);
}

/* Launch and release */

int
km_kernel_launch(struct km_kernel *k, struct err *err)
{
	const struct km_spec *spec = k->cfg.spec;
	struct km_launch what = {
	    .spec = spec, .kernel_id = k->id.id, .cwd = k->cfg.cwd, .env = k->env};
	const struct wire_client_conf conf = {.kernel_waits = spec->waits,
	                                      .frame_max_bytes = k->cfg.max_message_bytes};
	int status = wire_connfile_create(k->cfg.run_dir, k->id.id, spec->tcp ? "tcp" : "ipc",
	                                  spec->name, &k->cf, err);

	k->launch_n++;
	if (status != 0)
		return -EIO;
	k->client = wire_client_new(k->cfg.lp, k->cf, &conf, &client_ops, k);
	if (k->client == NULL)
		return err_set(err, -EBUSY, "no sockets left for a kernel");
	what.connection_file = wire_connfile_path(k->cf);
	status = k->cfg.launcher->ops->start(k->cfg.launcher, &what, km_kernel_on_exited, k,
	                                     &k->job, err);
	if (status != 0)
		return status;
	k->logged = false;
	log_started(k);
	k->ask_ms = ASK_FIRST_MS;
	ask(k);
	return 0;
}

int
km_kernel_start(const struct km_kernel_config *cfg, const struct km_kernel_ops *ops, void *arg,
                struct km_kernel **ret, struct err *err)
{
	struct km_kernel *k = mem_new(sizeof(*k));
	char uuid[WIRE_UUID_LEN + 1];
	int status;

	wire_uuid(uuid);
	k->id.kind = "kernel";
	(void)snprintf(k->id.id, sizeof(k->id.id), "%.*s", ID_LEN, uuid);
	k->state = KM_STARTING;
	k->exit_code = -1;
	counts[KM_STARTING]++;
	k->cfg = *cfg;
	k->cfg.run_dir = k->run_dir = mem_strdup(cfg->run_dir);
	k->cfg.cwd = k->cwd = mem_strdup(cfg->cwd);
	k->cfg.env = k->env = json_deep_copy(cfg->env);
	k->ops = *ops;
	k->arg = arg;
	k->born_ms = loop_now_ms(cfg->lp);
	loop_task_init(&k->end, cfg->lp, km_kernel_on_end, k);
	status = km_kernel_launch(k, err);
	if (status != 0) {
		km_kernel_free(k);
		return status;
	}
	km_kernel_set_timer(k, &k->deadline, cfg->start_timeout_ms, on_deadline);
	*ret = k;
	return 0;
}

void
km_kernel_free(struct km_kernel *k)
{
	if (k == NULL)
		return;
	if (k->job != NULL)
		log_info(&k->id, "ended after_ms=%llu: released",
		         (unsigned long long)(loop_now_ms(k->cfg.lp) - k->born_ms));
	counts[k->state]--;
	km_kernel_stop_timer(&k->deadline);
	km_kernel_stop_timer(&k->grace);
	km_kernel_stop_timer(&k->drain);
	km_kernel_stop_timer(&k->cut);
	km_kernel_stop_timer(&k->release);
	loop_task_cancel(&k->end);
	km_kernel_unlaunch(k);
	mem_free(k->run_dir);
	mem_free(k->cwd);
	json_decref(k->env);
	mem_free(k);
}

/* Requests */

static void
on_shutdown_done(void *arg, int status)
{
	struct km_kernel *k = arg;

	(void)status; /* its process tells */
	k->shutdown = NULL;
}

void
km_kernel_ask_shutdown(struct km_kernel *k)
{
	static const struct wire_req_ops ops = {.done = on_shutdown_done};
	struct wire_ask what = {.channel = WIRE_CONTROL, .type = "shutdown_request"};

	assert(k->shutdown == NULL);
	what.content = json_pack("{s:b}", "restart", 0);
	k->shutdown = wire_client_request(k->client, &what, &ops, k);
	json_decref(what.content);
}

static void
on_exec_message(void *arg, const struct wire_msg *m)
{
	struct km_kernel *k = arg;

	k->seen_n++;
	if (k->exec_ops.message != NULL)
		k->exec_ops.message(k->exec_arg, m);
}

static void
on_exec_reply(void *arg, const struct wire_msg *m)
{
	struct km_kernel *k = arg;

	k->seen_n++;
	if (k->exec_ops.reply != NULL)
		k->exec_ops.reply(k->exec_arg, m);
}

static void
tell_exec_done(struct km_kernel *k, int status)
{
	k->exec_held = false;
	km_kernel_stop_timer(&k->release);
	if (k->state == KM_BUSY)
		km_kernel_set_state(k, KM_READY, "done");
	if (k->exec_ops.done != NULL)
		k->exec_ops.done(k->exec_arg, status);
}

static void
on_release(void *arg)
{
	struct km_kernel *k = arg;

	wire_req_free(k->interrupt);
	k->interrupt = NULL;
	tell_exec_done(k, 0);
}

/* control overtakes shell: an interrupt_request that came too late for this execution could hit
 * the next one, so that one may begin only when it was answered. */
static void
on_exec_done(void *arg, int status)
{
	struct km_kernel *k = arg;

	k->exec = NULL;
	if (status != 0 || k->interrupt == NULL) {
		tell_exec_done(k, status);
		return;
	}
	k->exec_held = true;
	km_kernel_set_timer(k, &k->release, INTERRUPTED_MS, on_release);
}

static void
on_interrupt_done(void *arg, int status)
{
	struct km_kernel *k = arg;

	(void)status;
	k->interrupt = NULL;
	if (k->exec_held)
		tell_exec_done(k, 0);
}

static const struct wire_req_ops exec_ops = {
    .message = on_exec_message,
    .reply = on_exec_reply,
    .done = on_exec_done,
};

struct wire_req *
km_kernel_execute(struct km_kernel *k, json_t *content, json_t *metadata,
                  const struct wire_req_ops *ops, void *arg)
{
	const struct wire_ask what = {
	    .channel = WIRE_SHELL,
	    .type = "execute_request",
	    .metadata = metadata,
	    .content = content,
	    .wait_idle = true,
	    .stdin_too = json_is_true(json_object_get(content, "allow_stdin"))};

	assert(k->state != KM_STARTING && k->exec == NULL);
	k->exec_ops = *ops;
	k->exec_arg = arg;
	k->exec = wire_client_request(k->client, &what, &exec_ops, k);
	if (k->state == KM_READY)
		km_kernel_set_state(k, KM_BUSY, "execute_request");
	return k->exec;
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
	const struct wire_ask what = {
	    .channel = WIRE_SHELL, .type = type, .content = content, .wait_idle = true};

	assert(k->state != KM_STARTING);
	return wire_client_request(k->client, &what, ops, arg);
}

int
km_kernel_input_reply(struct km_kernel *k, struct wire_req *r, const char *value, size_t len)
{
	return wire_client_input_reply(k->client, r, value, len);
}

void
km_kernel_interrupt(struct km_kernel *k)
{
	static const struct wire_req_ops ops = {.done = on_interrupt_done};
	static const struct wire_ask what = {.channel = WIRE_CONTROL,
	                                     .type = "interrupt_request"};

	if (k->state != KM_READY && k->state != KM_BUSY)
		return; /* SIGINT would end an interpreter that is still starting */
	if (k->cfg.spec->interrupt_mode == KM_INTERRUPT_SIGNAL)
		km_kernel_send_signal(k, SIGINT);
	else if (k->interrupt == NULL) /* one that waits would hit what runs next */
		k->interrupt = wire_client_request(k->client, &what, &ops, k);
}

bool
km_kernel_waits(const struct km_kernel *k)
{
	return k->waits || k->cfg.spec->waits;
}

void
km_kernel_set_waits(struct km_kernel *k)
{
	k->waits = true;
	if (k->client != NULL)
		wire_client_set_waits(k->client);
}

void
km_kernel_pause(struct km_kernel *k)
{
	if (k->job == NULL)
		return; /* its last words are few, and would be lost */
	k->paused = true;
	if (k->client != NULL)
		wire_client_pause(k->client);
}

void
km_kernel_resume(struct km_kernel *k)
{
	k->paused = false;
	if (k->client != NULL)
		wire_client_resume(k->client);
}

enum km_kstate
km_kernel_state(const struct km_kernel *k)
{
	return k->state;
}

const struct km_spec *
km_kernel_spec(const struct km_kernel *k)
{
	return k->cfg.spec;
}

pid_t
km_kernel_pid(const struct km_kernel *k)
{
	return k->job != NULL ? k->cfg.launcher->ops->pid(k->job) : 0;
}

const char *
km_kernel_id(const struct km_kernel *k)
{
	return k->id.id;
}

int
km_kernel_exit_code(const struct km_kernel *k)
{
	return k->exit_code;
}

unsigned
km_kernel_count(enum km_kstate st)
{
	assert((unsigned)st < KM_KSTATE_N);
	return counts[st];
}
