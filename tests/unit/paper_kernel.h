/* tests/unit/paper_kernel.h - kernelmgr/kernel.h on paper: no process, no socket.
 *
 * It implements the functions of kernelmgr/kernel.h for tests of the gateway core: it writes
 * down what the core asked for, and says what the test tells it to say.  The paper_* functions
 * are called from outside of the loop, or from a callback of it, as the real one does.
 */
#ifndef TESTS_PAPER_KERNEL_H
#define TESTS_PAPER_KERNEL_H

#include <jansson.h>
#include <stdbool.h>

#include "kernelmgr/kernel.h"
#include "wire/base/list.h"
#include "wire/client.h"

/* Open to tests. */
struct km_kernel {
	struct list node; /* in paper_kernels */
	enum km_kstate state;
	const struct km_spec *spec; /* borrowed */
	struct km_kernel_ops ops;
	void *arg;
	bool in_flight;  /* an execute_request is */
	char req_id[24]; /* of the last execute_request: "paper-1" */
	struct wire_req_ops exec_ops;
	void *exec_arg;
	json_t *content;  /* of the last execute_request */
	json_t *metadata; /* of it, or NULL */
	json_t *env;      /* given at the start or assigned since, or NULL */
	char cwd[4096];
	char input[64];      /* last answer to input */
	unsigned executes_n; /* how often it was asked to do that */
	unsigned interrupts_n;
	unsigned kills_n;
	unsigned stops_n;
	unsigned inputs_n;
	bool paused;
	bool waits;               /* from its kernelspec, or it was made to */
	km_assigned_fn *assigned; /* km_kernel_assign() is not answered */
	void *assign_arg;
	unsigned assigns_n;
	pid_t pid;     /* 0, or what the test says */
	int exit_code; /* -1, or what the test sets before paper_die() */
};

/* All that were started and not freed, oldest first. */
extern struct list paper_kernels;
/* km_kernel_start() returns this when it is not 0, with paper_start_why as its text. */
extern int paper_start_rc;
extern const char *paper_start_why;

/* The newest kernel; NULL: none lives. */
struct km_kernel *paper_newest(void);
unsigned paper_count(void);

/* It answers. */
void paper_ready(struct km_kernel *k);
/* It answers km_kernel_assign(): status 0, or -EIO with why.  k may be gone afterwards. */
void paper_assigned(struct km_kernel *k, int status, const char *why);
/* A message of the execution in flight; content and metadata are taken, metadata may be NULL. */
void paper_say(struct km_kernel *k, const char *type, json_t *content, json_t *metadata);
/* stream on stdout; execute_input with count. */
void paper_print(struct km_kernel *k, const char *text);
void paper_input(struct km_kernel *k, int count);
/* execute_reply; taken. */
void paper_reply(struct km_kernel *k, json_t *content);
/* The execution in flight is complete: wire_req_ops.done. */
void paper_done(struct km_kernel *k, int status);
/* Reply with status and done: what a kernel does at the end of a run. */
void paper_finish(struct km_kernel *k, const char *status);
/* Its process ended.  It is freed by its owner. */
void paper_die(struct km_kernel *k, const char *why);
/* Every kernel does what it was asked: gets ready, is assigned, completes what is in flight, dies
 * if it was told to. Returns true if any had something to do. */
bool paper_obey(void);

#endif /* TESTS_PAPER_KERNEL_H */
