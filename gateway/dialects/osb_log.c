/* gateway/dialects/osb_log.c - GET /command/{id}/logs: what a background command has printed.
 *
 * The bytes from cursor on, stdout and stderr as they came, at most ANSWER_BYTES of them; the
 * header EXECD-COMMANDS-TAIL-CURSOR is the cursor for what follows (execd counts bytes too, though
 * its API says lines).  While the command runs, a character whose end is not written yet is left
 * for the next answer, and so is one that the ceiling would cut.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/command.h"
#include "gateway/core.h"
#include "gateway/dialects/osb.h"
#include "gateway/dialects/osb_lines.h"
#include "gateway/dialects/osb_send.h"
#include "gateway/sandbox.h"
#include "gateway/text.h"
#include "wire/base/err.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define ANSWER_BYTES ((uint64_t)16 << 20)
#define TAIL_BYTES   4 /* of a character */

/* Until the answer begins. */
struct opening {
	struct gw_http *x; /* NULL: the client left */
	struct loop *lp;
	char *path;
	int fd; /* -1: not open, or given away */
	int error;
	uint64_t at;  /* of the next byte */
	uint64_t end; /* behind the last one */
	bool whole;   /* the last character is whole, or never will be */
};

/* --- in a thread ------------------------------------------------------------------------- */

/* Leave the beginning of a character at the end to the next answer. */
static void
end_at_character(struct opening *o)
{
	size_t want = o->end - o->at < TAIL_BYTES ? (size_t)(o->end - o->at) : TAIL_BYTES;
	char tail[TAIL_BYTES];
	ssize_t n = pread(o->fd, tail, want, (off_t)(o->end - want));

	if (n == (ssize_t)want)
		o->end -= want - gw_osb_lines_whole(tail, want);
}

/* The sandbox's code can put anything in its place: a pipe would hold the thread for ever. */
static void
open_log(void *arg)
{
	struct opening *o = arg;
	struct stat st;

	o->fd = open(o->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (o->fd < 0 || fstat(o->fd, &st) != 0)
		o->error = errno;
	else if (!S_ISREG(st.st_mode))
		o->error = EINVAL;
	else if (!o->whole)
		end_at_character(o);
}

/* --- on the loop ------------------------------------------------------------------------- */

static void
begin(struct opening *o)
{
	uint64_t len = o->end - o->at;
	char cursor[32];

	(void)snprintf(cursor, sizeof(cursor), "%" PRIu64, o->end);
	gw_http_add_header(o->x, "EXECD-COMMANDS-TAIL-CURSOR", cursor);
	gw_http_stream_begin_sized(o->x, 200, "text/plain; charset=utf-8", len);
	if (len == 0) {
		gw_http_stream_end(o->x);
		return;
	}
	gw_osb_send(o->lp, o->x, o->fd, o->at, len, GW_OSB_ALL_LINES);
	o->fd = -1;
}

static void
on_opened(void *arg)
{
	struct opening *o = arg;

	if (o->x != NULL && o->error != 0)
		gw_osb_fail(o->x, 500, GW_OSB_RUNTIME, "cannot read the log: %s",
		            strerrordesc_np(o->error));
	else if (o->x != NULL)
		begin(o);
	if (o->fd >= 0)
		(void)close(o->fd);
	mem_free(o->path);
	mem_free(o);
}

static void
on_closed(void *arg)
{
	struct opening *o = arg;

	o->x = NULL;
}

/* --- the request ------------------------------------------------------------------------- */

/* 0 without one.  False: answered. */
static bool
read_cursor(struct gw_http *x, uint64_t *ret)
{
	const char *text = gw_http_query(x, "cursor");
	struct err why;

	*ret = 0;
	if (text == NULL || text[0] == '\0' ||
	    gw_text_number(text, 0, INT64_MAX, ret, &why) == 0)
		return true;
	gw_osb_fail(x, 400, GW_OSB_BAD_QUERY, "cursor=%.40s: %s", text, why.text);
	return false;
}

static bool
is_running(const struct gw_command *cmd)
{
	json_t *o = gw_command_describe(cmd);
	bool running = json_is_true(json_object_get(o, "running"));

	json_decref(o);
	return running;
}

static void
answer(struct gw_core *core, struct gw_http *x, const struct gw_command *cmd, uint64_t cursor)
{
	static const struct gw_http_ops ops = {.closed = on_closed};
	struct opening *o = mem_new(sizeof(*o));
	uint64_t written;

	o->x = x;
	o->lp = core->lp;
	o->fd = -1;
	o->path = mem_strdup(gw_command_log(cmd, &written));
	o->at = cursor;
	o->end = written > cursor ? written : cursor; /* behind the end there is nothing */
	o->whole = !is_running(cmd);
	if (o->end - o->at > ANSWER_BYTES) {
		o->end = o->at + ANSWER_BYTES;
		o->whole = false;
	}
	gw_http_set_ops(x, &ops, o);
	loop_work(o->lp, open_log, on_opened, o);
}

void
gw_osb_command_logs(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = gw_osb_sandbox(core, x);
	const char *id = gw_http_param(x, "id");
	const struct gw_command *cmd = sb != NULL ? gw_command_find(sb, id) : NULL;
	uint64_t cursor;

	(void)body;
	(void)len;
	if (sb == NULL)
		return;
	if (cmd == NULL)
		gw_osb_fail(x, 404, GW_OSB_NO_COMMAND, "command not found: %.64s", id);
	else if (!gw_command_is_background(cmd))
		gw_osb_fail(x, 400, GW_OSB_BAD_BODY,
		            "command %.64s is not running in background", id);
	else if (read_cursor(x, &cursor))
		answer(core, x, cmd, cursor);
}
