/* gateway/command.h - CORE: a command that runs in a sandbox beside its kernels.
 *
 * It gets the sandbox's variables and home.  In the foreground its output goes to one reader, who
 * may be slow: the command then waits.  In the background it goes to a log of at most
 * command_log_bytes in the sandbox's folder; what comes after that is dropped, and the log's end
 * says so.  A sandbox keeps what it knows of its newest commands, and kills what runs when it goes.
 */
#ifndef GW_COMMAND_H
#define GW_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct gw_command;
struct gw_sandbox;

struct gw_command_request {
	const char *command; /* for bash -c (sh where there is no bash), or NULL: argv */
	const json_t *argv;  /* array of strings without NUL, at least one; borrowed */
	const char *cwd;     /* absolute, or relative to the home, also ~/...; NULL: the home */
	const json_t *env;   /* object of strings or NULL, over the others: command_env.h */
	uint64_t timeout_ms; /* then it is killed; 0: never */
	bool background;
};

/* How a command ended. */
struct gw_command_end {
	/* Of exit, or 128 + signal, or -1: it could not be started, or its sandbox ended. */
	int code;
	/* "exit status 7", "killed by signal 9 (Killed)", "timed out after 50 ms", ... */
	const char *why;
	uint64_t elapsed_ms;
};

struct gw_command_ops {
	/* Bytes, of any kind, from stdout (1) or stderr (2), lent until return.  Returns 0, or
	 * -EAGAIN: taken, but no more until gw_command_resume(). */
	int (*output)(void *arg, int stream, const char *data, size_t len);
	/* The last call, once; also when the sandbox goes.  e is lent until return; the command is
	 * the sandbox's to forget from here on. */
	void (*ended)(void *arg, const struct gw_command_end *e);
};

/* Start it.  ops (foreground only) are called later, never from inside.  *ret is borrowed: owned
 * by the sandbox.  A program or shell that cannot be started is not an error here: it ends at
 * once, with code -1.  Returns 0; -EINVAL (environment, argv, a command too long, a sandbox that
 * is stopped or paused), -ENOENT (cwd), -EBUSY (too many running: max_commands), -EIO (no log) or
 * -ECANCELED (the gateway is stopping), with err. */
int gw_command_new(struct gw_sandbox *sb, const struct gw_command_request *rq,
                   const struct gw_command_ops *ops, void *arg, struct gw_command **ret,
                   struct err *err);

/* More output; nobody reads any more (it runs on, its output is dropped); interrupt it: SIGINT to
 * its group, SIGKILL interrupt_grace_ms later; kill it: SIGKILL to its group, which what it has in
 * the background is in too, unless it made itself another (setsid): that ends with the sandbox. */
void gw_command_resume(struct gw_command *c);
void gw_command_detach(struct gw_command *c);
void gw_command_interrupt(struct gw_command *c);
void gw_command_kill(struct gw_command *c);

/* By id, running or kept; borrowed, or NULL. */
struct gw_command *gw_command_find(struct gw_sandbox *sb, const char *id);
const char *gw_command_id(const struct gw_command *c); /* 32 hexadecimal digits */
bool gw_command_is_background(const struct gw_command *c);
/* {"id", "content", "running", "exit_code"?, "error"?, "started_at", "finished_at"?}; owned by
 * the caller.  (execd-api: CommandStatusResponse) */
json_t *gw_command_describe(const struct gw_command *c);
/* Of a background one: the path of its log, borrowed, which no client names; and how many of its
 * bytes are written. */
const char *gw_command_log(const struct gw_command *c, uint64_t *ret_bytes);

/* Kill and forget all of a sandbox, telling their readers.  For sandbox.c. */
void gw_commands_end(struct gw_sandbox *sb, const char *why);

#endif /* GW_COMMAND_H */
