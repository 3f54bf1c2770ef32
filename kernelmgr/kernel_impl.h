/* kernelmgr/kernel_impl.h - the inside of a kernel: for kernel*.c only. */
#ifndef KM_KERNEL_IMPL_H
#define KM_KERNEL_IMPL_H

#include "kernelmgr/cause.h"
#include "kernelmgr/kernel.h"
#include "wire/base/log.h"
#include "wire/base/loop.h"
#include "wire/client.h"

struct km_assign;

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
	struct km_assign *assign;   /* kernelbridge_assign_request, likewise */
	struct wire_req_ops exec_ops;
	void *exec_arg;
	bool
	    exec_held; /* exec is over, with status 0, and not told: an interrupt is under way */

	struct loop_timer *ask;      /* pending: send kernel_info_request again */
	struct loop_timer *deadline; /* pending: give up starting */
	struct loop_timer *grace;    /* pending: next rung of the stop ladder */
	struct loop_timer *drain;    /* pending: see whether output still comes */
	struct loop_timer *cut;      /* pending: it is killed, unless it has ended by then */
	struct loop_timer *release;  /* pending: wait no longer for the interrupt's reply */
	struct loop_task end;        /* posted: tell the owner */

	uint64_t born_ms, ready_ms; /* loop time; ready_ms 0: never was */
	uint64_t ended_ms;
	uint64_t ask_ms; /* next interval */
	unsigned launch_n;
	bool logged;                /* that it started */
	unsigned rung;              /* of the stop ladder */
	uint64_t seen_n, drained_n; /* messages so far; and at the last look of drain */
	bool paused;
	bool waits;    /* whatever its kernelspec says */
	bool answered; /* its kernel_info_reply is here */
	int exit_code; /* -1: none */
	char cause[KM_CAUSE_MAX];
};

/* kernel.c */

/* The only writer of k->state. */
void km_kernel_set_state(struct km_kernel *k, enum km_kstate to, const char *why);

/* One of k's timers: stop it, or let it call fn(k) in ms. */
void km_kernel_stop_timer(struct loop_timer **t);
void km_kernel_set_timer(struct km_kernel *k, struct loop_timer **t, uint64_t ms, loop_fn *fn);

void km_kernel_send_signal(struct km_kernel *k, int signum);
/* Send a shutdown_request. */
void km_kernel_ask_shutdown(struct km_kernel *k);

/* Make connection file, client and process, and ask it whether it is ready.  Returns as
 * km_kernel_start(); km_kernel_unlaunch() closes and removes what was made. */
int km_kernel_launch(struct km_kernel *k, struct err *err);
void km_kernel_unlaunch(struct km_kernel *k);

/* kernel_end.c */

/* What the launcher calls. */
void km_kernel_on_exited(void *arg, int how);
/* Nothing is heard of it any more. */
void km_kernel_on_cut(void *arg);
/* The task k->end: tell the owner. */
void km_kernel_on_end(void *arg);

#endif /* KM_KERNEL_IMPL_H */
