/* tests/fake/fake.h - the fake kernel's inside: see fake_kernel.c for what it does. */
#ifndef FAKE_H
#define FAKE_H

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/fake/fake_wire.h"

#define FAKE_TICK_MS 2

struct fake {
	struct fake_wire *w;
	const struct fake_request *run; /* the execute_request that runs, or NULL */
	bool mute;                      /* publishes nothing */
	bool keeps_on;                  /* whatever shutdown_request says */
	bool leaving;                   /* shutdown_request was honoured */
	int count;                      /* of executions */
	volatile sig_atomic_t interrupted;

	/* about the end of the execution that runs */
	const char *status; /* of the reply; static */
	char *ename, *evalue;
	char late[256];
	bool reply_first, idle_first, noreply, noidle, traceback_string;
};

/* fake_kernel.c */

uint64_t fake_now_ms(void);

/* Let control be served for a moment.  Returns false when what runs was interrupted. */
bool fake_tick(struct fake *f);

/* Publish with parent r, waiting for a slow subscriber.  Returns false when that was
 * interrupted. */
bool fake_publish_bytes(struct fake *f, const struct fake_request *r, const char *type,
                        const char *content, size_t len, unsigned wrong);
/* The same; content is taken. */
bool fake_publish(struct fake *f, const struct fake_request *r, const char *type,
                  json_t *content);
/* The same, interrupted or not. */
void fake_publish_always(struct fake *f, const struct fake_request *r, const char *type,
                         json_t *content);
/* text and end on stream name, of the execution that runs. */
bool fake_stream(struct fake *f, const char *name, const char *text, const char *end,
                 unsigned wrong);

/* fake_script.c */

/* Find the words about the end of the execution, then run the rest. */
void fake_script_look(struct fake *f, const char *code);
void fake_script_run(struct fake *f, const char *code);

#endif /* FAKE_H */
