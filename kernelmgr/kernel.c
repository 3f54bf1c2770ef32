/* kernelmgr/kernel.c - see kernelmgr/kernel.h.
 *
 * The process's exit is the truth about death.  What the kernel published before it is still
 * in the sockets then, so the client stays open until nothing has come for DRAIN_QUIET_MS.
 */
#include "kernelmgr/kernel.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "kernelmgr/cause.h"
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
#define DRAIN_QUIET_MS     20
#define DRAIN_MAX_MS       1000
#define PORT_TRIES         5
#define ID_LEN             8

struct km_kernel {
	struct log_id id;
	enum km_kstate state;
	struct km_kernel_config cfg; /* its strings are the next three's */
	char *run_dir, *cwd;
	json_t *env;
	struct km_kernel_ops ops;
	void *arg;

	struct wire_connfile *cf;
	struct km_job *job; /* NULL when its process has ended */
	struct wire_client *client;

	struct wire_req *info;      /* kernel_info_request in flight, or NULL */
	struct wire_req *interrupt; /* interrupt_request, likewise */
	struct wire_req *shutdown;  /* shutdown_request, likewise */
	struct wire_req *exec;      /* execute_request, likewise */
	struct wire_req_ops exec_ops;
	void *exec_arg;

	struct loop_timer *ask;      /* pending: send kernel_info_request again */
	struct loop_timer *deadline; /* pending: give up starting */
	struct loop_timer *grace;    /* pending: next rung of the stop ladder */
	struct loop_timer *drain;    /* pending: see whether output still comes */
	struct loop_task end;        /* posted: tell the owner */

	uint64_t born_ms, ready_ms; /* loop time; ready_ms 0: never was */
	uint64_t ended_ms;
	uint64_t ask_ms; /* next interval */
	unsigned launch_n;
	unsigned rung;              /* of the stop ladder */
	uint64_t seen_n, drained_n; /* messages so far; and at the last look of drain */
	bool paused;
	char *language; /* NULL: no kernel_info_reply yet */
	char cause[KM_CAUSE_MAX];
};

static unsigned counts[KM_KSTATE_N];

static void ask(struct km_kernel *k);
static int launch(struct km_kernel *k, struct err *err);

static void
set_state(struct km_kernel *k, enum km_kstate to, const char *why)
{
	assert(km_kstate_may(k->state, to));
	log_debug(&k->id, "%s -> %s: %s", km_kstate_name(k->state), km_kstate_name(to), why);
	counts[k->state]--;
	counts[to]++;
	k->state = to;
}

static void
stop_timer(struct loop_timer **t)
{
	loop_timer_free(*t);
	*t = NULL;
}

static void
set_timer(struct km_kernel *k, struct loop_timer **t, uint64_t ms, loop_fn *fn)
{
	loop_timer_free(*t);
	*t = loop_timer_new(k->cfg.lp, ms, fn, k);
}

static void
send_signal(struct km_kernel *k, int signum)
{
	if (k->job != NULL)
		k->cfg.launcher->ops->signal(k->job, signum);
}

/* Close and remove everything that launch() made. */
static void
unlaunch(struct km_kernel *k)
{
	stop_timer(&k->ask);
	wire_client_free(k->client); /* drops the requests */
	k->info = k->interrupt = k->shutdown = k->exec = NULL;
	k->client = NULL;
	if (k->job != NULL)
		k->cfg.launcher->ops->free(k->job);
	k->job = NULL;
	wire_connfile_free(k->cf);
	k->cf = NULL;
}

/* Becoming ready */

/* True when nothing is missing any more; the owner was told then and k may be gone. */
static bool
check_ready(struct km_kernel *k)
{
	if (k->state != KM_STARTING || k->language == NULL ||
	    !wire_client_iopub_live(k->client))
		return false;
	stop_timer(&k->ask);
	stop_timer(&k->deadline);
	k->ready_ms = loop_now_ms(k->cfg.lp);
	set_state(k, KM_READY, "answered");
	log_info(&k->id, "ready after_ms=%llu", (unsigned long long)(k->ready_ms - k->born_ms));
	k->ops.ready(k->arg);
	return true;
}

static void
on_ask(void *arg)
{
	struct km_kernel *k = arg;

	stop_timer(&k->ask);
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
	json_t *info = json_object_get(m->content, "language_info");
	const char *name = json_string_value(json_object_get(info, "name"));

	mem_free(k->language);
	k->language = mem_strdup(name != NULL ? name : "");
	if (k->state == KM_STARTING)
		set_timer(k, &k->ask, ASK_AFTER_REPLY_MS, on_ask);
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
	set_timer(k, &k->ask, k->ask_ms, on_ask);
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

static const struct wire_client_ops client_ops = {.stray = on_stray};

static void
on_deadline(void *arg)
{
	struct km_kernel *k = arg;

	stop_timer(&k->deadline);
	(void)snprintf(k->cause, sizeof(k->cause), "did not answer within %g s",
	               (double)k->cfg.start_timeout_ms / 1000);
	km_kernel_kill(k);
}

/* The end */

static void
on_end(void *arg)
{
	struct km_kernel *k = arg;

	log_info(&k->id, "ended after_ms=%llu: %s",
	         (unsigned long long)(loop_now_ms(k->cfg.lp) - k->born_ms), k->cause);
	k->ops.died(k->arg, k->ready_ms != 0, k->cause);
}

/* Fail what is in flight, then tell the owner. */
static void
finish(struct km_kernel *k)
{
	stop_timer(&k->drain);
	set_state(k, KM_DEAD, "process reaped");
	if (k->client != NULL)
		wire_client_close(k->client); /* completes requests later, and before on_end */
	loop_task_post(&k->end);
}

static void
on_drain(void *arg)
{
	struct km_kernel *k = arg;
	bool quiet = k->seen_n == k->drained_n && !k->paused;

	stop_timer(&k->drain);
	k->drained_n = k->seen_n;
	if (k->exec == NULL || quiet || loop_now_ms(k->cfg.lp) - k->ended_ms > DRAIN_MAX_MS)
		finish(k);
	else
		set_timer(k, &k->drain, DRAIN_QUIET_MS, on_drain);
}

/* Picking free ports is a race that another program can win (wire/connfile.h). */
static bool
lost_its_port(const struct km_kernel *k, const char *tail)
{
	return k->state == KM_STARTING && k->cfg.spec->tcp && k->launch_n < PORT_TRIES &&
	       (strstr(tail, "ddress already in use") != NULL ||
	        strstr(tail, "EADDRINUSE") != NULL);
}

static void
launch_again(struct km_kernel *k)
{
	struct err err;

	log_debug(&k->id, "port taken, starting again");
	unlaunch(k);
	if (launch(k, &err) == 0)
		return;
	(void)snprintf(k->cause, sizeof(k->cause), "%s", err.text);
	finish(k);
}

static void
on_exited(void *arg, int how)
{
	struct km_kernel *k = arg;
	const char *tail = k->cfg.launcher->ops->stderr_tail(k->job);

	if (lost_its_port(k, tail)) {
		launch_again(k);
		return;
	}
	if (k->cause[0] == '\0')
		km_cause_exit(how, k->cause);
	if (k->ready_ms == 0)
		km_cause_quote(k->cause, tail);
	k->cfg.launcher->ops->free(k->job);
	k->job = NULL;
	k->ended_ms = loop_now_ms(k->cfg.lp);
	stop_timer(&k->ask);
	stop_timer(&k->deadline);
	stop_timer(&k->grace);
	if (k->exec == NULL) {
		finish(k);
		return;
	}
	if (k->state != KM_STOPPING)
		set_state(k, KM_STOPPING, "process ended");
	k->drained_n = k->seen_n;
	set_timer(k, &k->drain, DRAIN_QUIET_MS, on_drain);
}

/* Launch and release */

static int
launch(struct km_kernel *k, struct err *err)
{
	const struct km_spec *spec = k->cfg.spec;
	struct km_launch what = {
	    .spec = spec, .kernel_id = k->id.id, .cwd = k->cfg.cwd, .env = k->env};
	int status = wire_connfile_create(k->cfg.run_dir, k->id.id, spec->tcp ? "tcp" : "ipc",
	                                  spec->name, &k->cf, err);

	k->launch_n++;
	if (status != 0)
		return -EIO;
	k->client = wire_client_new(k->cfg.lp, k->cf, spec->waits, &client_ops, k);
	if (k->client == NULL)
		return err_set(err, -EBUSY, "no sockets left for a kernel");
	what.connection_file = wire_connfile_path(k->cf);
	status =
	    k->cfg.launcher->ops->start(k->cfg.launcher, &what, on_exited, k, &k->job, err);
	if (status != 0)
		return status;
	log_info(&k->id, "started spec=%s launcher=%s pid=%d", spec->name,
	         k->cfg.launcher->ops->name, (int)km_kernel_pid(k));
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
	counts[KM_STARTING]++;
	k->cfg = *cfg;
	k->cfg.run_dir = k->run_dir = mem_strdup(cfg->run_dir);
	k->cfg.cwd = k->cwd = mem_strdup(cfg->cwd);
	k->cfg.env = k->env = json_deep_copy(cfg->env);
	k->ops = *ops;
	k->arg = arg;
	k->born_ms = loop_now_ms(cfg->lp);
	loop_task_init(&k->end, cfg->lp, on_end, k);
	status = launch(k, err);
	if (status != 0) {
		km_kernel_free(k);
		return status;
	}
	set_timer(k, &k->deadline, cfg->start_timeout_ms, on_deadline);
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
	stop_timer(&k->deadline);
	stop_timer(&k->grace);
	stop_timer(&k->drain);
	loop_task_cancel(&k->end);
	unlaunch(k);
	mem_free(k->run_dir);
	mem_free(k->cwd);
	json_decref(k->env);
	mem_free(k->language);
	mem_free(k);
}

/* Stopping */

static void
ignore_done(void *arg, int status)
{
	struct wire_req **req = arg;

	(void)status;
	*req = NULL;
}

static const struct wire_req_ops ignore_ops = {.done = ignore_done};

/* Send a request on control whose reply means nothing; *req is it while in flight. */
static void
send_control(struct km_kernel *k, struct wire_req **req, const char *type, json_t *content)
{
	const struct wire_ask what = {
	    .channel = WIRE_CONTROL, .type = type, .content = content};

	assert(*req == NULL);
	*req = wire_client_request(k->client, &what, &ignore_ops, req);
	json_decref(content);
}

static void
on_grace(void *arg)
{
	static const int ladder[] = {SIGTERM, SIGKILL};
	struct km_kernel *k = arg;

	stop_timer(&k->grace);
	send_signal(k, ladder[k->rung++]);
	if (k->rung < sizeof(ladder) / sizeof(ladder[0]))
		set_timer(k, &k->grace, k->cfg.stop_grace_ms, on_grace);
}

void
km_kernel_stop(struct km_kernel *k)
{
	if (k->state == KM_STARTING || k->state == KM_BUSY)
		km_kernel_kill(k);
	if (k->state != KM_READY)
		return;
	set_state(k, KM_STOPPING, "asked to stop");
	send_control(k, &k->shutdown, "shutdown_request", json_pack("{s:b}", "restart", 0));
	set_timer(k, &k->grace, k->cfg.stop_grace_ms, on_grace);
}

void
km_kernel_kill(struct km_kernel *k)
{
	if (k->state == KM_DEAD)
		return;
	if (k->state != KM_STOPPING)
		set_state(k, KM_STOPPING, "killed");
	stop_timer(&k->ask);
	stop_timer(&k->deadline);
	stop_timer(&k->grace);
	send_signal(k, SIGKILL); /* on_exited follows, or it is draining already */
}

/* Requests */

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
on_exec_done(void *arg, int status)
{
	struct km_kernel *k = arg;

	k->exec = NULL;
	if (k->state == KM_BUSY)
		set_state(k, KM_READY, "done");
	if (k->exec_ops.done != NULL)
		k->exec_ops.done(k->exec_arg, status);
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
		set_state(k, KM_BUSY, "execute_request");
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
	if (k->state != KM_READY && k->state != KM_BUSY)
		return; /* SIGINT would end an interpreter that is still starting */
	if (k->cfg.spec->interrupt_mode == KM_INTERRUPT_SIGNAL)
		send_signal(k, SIGINT);
	else if (k->interrupt == NULL) /* one that waits would hit what runs next */
		send_control(k, &k->interrupt, "interrupt_request", NULL);
}

void
km_kernel_pause(struct km_kernel *k)
{
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

const char *
km_kernel_language(const struct km_kernel *k)
{
	return k->language != NULL ? k->language : "";
}

unsigned
km_kernel_count(enum km_kstate st)
{
	assert((unsigned)st < KM_KSTATE_N);
	return counts[st];
}
