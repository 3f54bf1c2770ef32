/* tests/unit/command_rig.h - commands of a rig's sandboxes, and who reads what they print. */
#ifndef TESTS_COMMAND_RIG_H
#define TESTS_COMMAND_RIG_H

#include <jansson.h>
#include <stdbool.h>

#include "gateway/command.h"
#include "tests/unit/gw_rig.h"
#include "wire/base/buf.h"

struct reader {
	struct gw_command *c; /* NULL once it ended */
	struct buf out, err;
	unsigned outputs_n, ended_n;
	bool stalls; /* takes one piece at a time */
	bool stalled;
	int code;
	char why[300];
	char id[40];
};

void reader_fini(struct reader *rd);
/* What came so far. */
const char *reader_text(const struct buf *b);

/* Start rq, which must be fine, for rd, which is made (NULL: in the background). */
struct gw_command *command_start(struct gw_sandbox *sb, const struct gw_command_request *rq,
                                 struct reader *rd);
/* Start it in the default sandbox, which must refuse: the error's text, and the code in *rc. */
const char *command_refusal(struct rig *r, const struct gw_command_request *rq, int *rc);
/* Run command to its end in the foreground. */
void command_run(struct rig *r, const char *command, struct reader *rd);
/* Run the loop until c, of the default sandbox, is over or forgotten. */
void command_wait(struct rig *r, struct gw_command *c);
/* Stop, wait until nothing is left, and release. */
void command_leave(struct rig *r);

/* Of its description: a text, lent until the next call; a number. */
const char *command_text(const struct gw_command *c, const char *key);
json_int_t command_number(const struct gw_command *c, const char *key);
bool command_runs(const struct gw_command *c);

/* A sandbox called "mine" with these variables (taken). */
struct gw_sandbox *command_sandbox(struct rig *r, json_t *env);
/* Its file of variables. */
void command_write_envs(const struct gw_sandbox *sb, const char *content);

/* For run_until(): nothing is left to be reaped (rig); no such path (char *); as many descriptors
 * (unsigned *). */
bool command_is_clear(void *arg);
bool command_path_is_gone(void *path);
bool command_fds_are(void *arg);

#endif /* TESTS_COMMAND_RIG_H */
