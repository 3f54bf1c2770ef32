/* kernelmgr/kernel_end.c - see kernelmgr/kernel.h: how a kernel ends, by itself or asked to.
 *
 * The process's exit is the truth about death.  What the kernel published before it is still
 * in the sockets then, so the client stays open until nothing has come for DRAIN_QUIET_MS.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "kernelmgr/kernel_impl.h"
#include "kernelmgr/launcher.h"
#include "kernelmgr/spec.h"
#include "wire/base/err.h"

/* To a point from which each interval has a look at the sockets in it. */
#define DRAIN_FIRST_MS 1
#define DRAIN_QUIET_MS 20
#define DRAIN_MAX_MS   1000
#define PORT_TRIES     5
#define CUT_MS         500 /* for the exit of a process whose sockets are closed to be seen */

void
km_kernel_on_end(void *arg)
{
	struct km_kernel *k = arg;

	log_info(&k->id, "ended after_ms=%llu: %s",
	         (unsigned long long)(loop_now_ms(k->cfg.lp) - k->born_ms), k->cause);
	k->ops.died(k->arg, k->ready_ms != 0, k->cause);
}

static void
stop_timers(struct km_kernel *k)
{
	km_kernel_stop_timer(&k->ask);
	km_kernel_stop_timer(&k->deadline);
	km_kernel_stop_timer(&k->grace);
	km_kernel_stop_timer(&k->drain);
	km_kernel_stop_timer(&k->cut);
	km_kernel_stop_timer(&k->release);
}

/* Fail what is in flight, then tell the owner. */
static void
finish(struct km_kernel *k)
{
	stop_timers(k);
	km_kernel_set_state(k, KM_DEAD, "process reaped");
	if (k->client != NULL)
		wire_client_close(k->client); /* completes requests later, before k->end runs */
	loop_task_post(&k->end);
}

static void
on_drain(void *arg)
{
	struct km_kernel *k = arg;
	bool quiet = k->seen_n == k->drained_n;

	km_kernel_stop_timer(&k->drain);
	k->drained_n = k->seen_n;
	if (k->exec == NULL || quiet || loop_now_ms(k->cfg.lp) - k->ended_ms > DRAIN_MAX_MS)
		finish(k);
	else
		km_kernel_set_timer(k, &k->drain, DRAIN_QUIET_MS, on_drain);
}

/* Timers come before sockets in a turn of the loop, so an interval that begins in a timer has a
 * look at the sockets in it, however long the turn.  One that begins where an end is seen has
 * none. */
static void
on_drain_first(void *arg)
{
	struct km_kernel *k = arg;

	km_kernel_stop_timer(&k->drain);
	k->drained_n = k->seen_n;
	km_kernel_set_timer(k, &k->drain, DRAIN_QUIET_MS, on_drain);
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
	km_kernel_unlaunch(k);
	if (km_kernel_launch(k, &err) == 0)
		return;
	(void)snprintf(k->cause, sizeof(k->cause), "%s", err.text);
	finish(k);
}

void
km_kernel_on_exited(void *arg, int how)
{
	struct km_kernel *k = arg;
	const char *tail = k->cfg.launcher->ops->stderr_tail(k->job);

	if (lost_its_port(k, tail)) {
		launch_again(k);
		return;
	}
	if (k->cause[0] == '\0') {
		k->exit_code = how < KM_SIGNALLED ? how : -1;
		km_cause_exit(how, k->cause);
	}
	if (k->ready_ms == 0)
		km_cause_quote(k->cause, tail);
	k->cfg.launcher->ops->free(k->job);
	k->job = NULL;
	k->ended_ms = loop_now_ms(k->cfg.lp);
	stop_timers(k);
	if (k->exec == NULL) {
		finish(k);
		return;
	}
	if (k->state != KM_STOPPING)
		km_kernel_set_state(k, KM_STOPPING, "process ended");
	km_kernel_resume(k); /* what is here already is all that there will be */
	km_kernel_set_timer(k, &k->drain, DRAIN_FIRST_MS, on_drain_first);
}

static void
on_mute(void *arg)
{
	struct km_kernel *k = arg;

	km_kernel_stop_timer(&k->cut);
	(void)snprintf(
	    k->cause, sizeof(k->cause),
	    "it sent a message larger than max_kernel_message_bytes (%llu), or closed "
	    "its sockets",
	    (unsigned long long)k->cfg.max_message_bytes);
	km_kernel_kill(k);
}

void
km_kernel_on_cut(void *arg)
{
	struct km_kernel *k = arg;

	if (k->job != NULL && k->state != KM_STOPPING && k->state != KM_DEAD)
		km_kernel_set_timer(k, &k->cut, CUT_MS, on_mute);
}

static void
on_grace(void *arg)
{
	static const int ladder[] = {SIGTERM, SIGKILL};
	struct km_kernel *k = arg;

	km_kernel_stop_timer(&k->grace);
	km_kernel_send_signal(k, ladder[k->rung++]);
	if (k->rung < sizeof(ladder) / sizeof(ladder[0]))
		km_kernel_set_timer(k, &k->grace, k->cfg.stop_grace_ms, on_grace);
}

void
km_kernel_stop(struct km_kernel *k)
{
	if (k->state == KM_STARTING || k->state == KM_BUSY)
		km_kernel_kill(k);
	if (k->state != KM_READY)
		return;
	km_kernel_set_state(k, KM_STOPPING, "asked to stop");
	km_kernel_ask_shutdown(k);
	km_kernel_set_timer(k, &k->grace, k->cfg.stop_grace_ms, on_grace);
}

void
km_kernel_kill(struct km_kernel *k)
{
	if (k->state == KM_DEAD)
		return;
	if (k->state != KM_STOPPING)
		km_kernel_set_state(k, KM_STOPPING, "killed");
	km_kernel_stop_timer(&k->ask);
	km_kernel_stop_timer(&k->deadline);
	km_kernel_stop_timer(&k->grace);
	km_kernel_send_signal(k, SIGKILL); /* its exit follows, or it is draining already */
}
