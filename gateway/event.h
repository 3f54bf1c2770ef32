/* gateway/event.h - CORE: the facts of one execution, the same for every dialect.
 *
 * An execution yields ACCEPTED first and DONE last, each exactly once, whatever
 * happens to client, kernel or gateway; the others come in between, in the
 * order in which the kernel sent them.
 */
#ifndef GW_EVENT_H
#define GW_EVENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "wire/sign.h" /* struct wire_slice */

enum gw_event_kind {
	GW_EV_ACCEPTED, /* queued in its context; count: executions before it */
	GW_EV_STARTED,  /* the kernel took it; count */
	GW_EV_STDOUT,   /* text */
	GW_EV_STDERR,   /* text */
	GW_EV_DISPLAY,  /* bundle, metadata, id if it can be updated */
	GW_EV_UPDATE,   /* bundle, metadata, id */
	GW_EV_CLEAR,    /* flag: wait for the next output */
	GW_EV_RESULT,   /* bundle, metadata, count */
	GW_EV_ERROR,    /* name, text, traceback, plain */
	GW_EV_INPUT,    /* text is the prompt; flag: do not echo */
	GW_EV_CUT,  /* output is missing here: cut_bytes, cut_messages; text: a line on it */
	GW_EV_DONE, /* how, count, elapsed_ms, text says why where how alone does not */
	GW_EV_N
};

enum gw_done {
	GW_DONE_OK,
	GW_DONE_ERROR,       /* the code raised; ERROR came before */
	GW_DONE_ABORTED,     /* never ran to its end: cancelled, or its context was deleted */
	GW_DONE_INTERRUPTED, /* stopped on request */
	GW_DONE_TIMEOUT,
	GW_DONE_KERNEL_DIED, /* ERROR came before */
	GW_DONE_OVERRUN,     /* more output than max_output_bytes */
	GW_DONE_N
};

/* Everything in it is lent until the sink returns.  Unused fields are 0. */
struct gw_event {
	enum gw_event_kind kind;
	enum gw_done how;
	uint64_t seq;  /* 1, 2, ... within its execution */
	int64_t count; /* the kernel's execution_count */
	uint64_t elapsed_ms;
	uint64_t cut_bytes;
	uint64_t cut_messages;
	bool flag;
	const char *id;         /* display id */
	const char *name;       /* exception class */
	struct wire_slice text; /* valid UTF-8, may hold NULs; NUL-terminated as well */
	json_t *bundle;         /* object: MIME type -> value */
	json_t *metadata;       /* object: MIME type -> what to know to show it */
	json_t *traceback;      /* array of strings, as the kernel formats them */
	json_t *plain; /* object name, value, traceback: as plain Python prints it, or NULL */
};

/* Static, lower-case names, for logs, metrics and the native dialect. */
const char *gw_event_name(enum gw_event_kind kind);
const char *gw_done_name(enum gw_done how);

#endif /* GW_EVENT_H */
