/* gateway/dialects/osb_log.c - GET /command/{id}/logs: what a background command has printed.
 *
 * The bytes from cursor on, stdout and stderr as they came, at most ANSWER_BYTES of them; the
 * header EXECD-COMMANDS-TAIL-CURSOR is the cursor for what follows (execd counts bytes too, though
 * its API says lines).  While the command runs, a character whose end is not written yet is left
 * for the next answer, and so is one that the ceiling would cut.  The file is read in threads, a
 * piece ahead of what the client takes.
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
#include "gateway/sandbox.h"
#include "gateway/text.h"
#include "wire/base/err.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define ANSWER_BYTES ((uint64_t)16 << 20)
#define PIECE_BYTES  ((size_t)256 << 10)
#define TAIL_BYTES   4 /* of a character */

struct reader {
	struct gw_http *x;    /* NULL: the client left */
	struct gw_core *core; /* borrowed */
	char *path;
	char *piece;
	int fd; /* -1: not open yet */
	int error;
	uint64_t at;  /* of the next byte */
	uint64_t end; /* behind the last one */
	size_t got;   /* bytes in piece */
	bool whole;   /* the last character is whole, or never will be */
	bool full;    /* drained is due */
	bool reading; /* a thread has this */
	bool begun;
};

static void
reader_free(struct reader *r)
{
	if (r->fd >= 0)
		(void)close(r->fd);
	mem_free(r->piece);
	mem_free(r->path);
	mem_free(r);
}

/* --- in a thread ------------------------------------------------------------------------- */

/* Leave the beginning of a character at the end to the next answer. */
static void
end_at_character(struct reader *r)
{
	size_t want = r->end - r->at < TAIL_BYTES ? (size_t)(r->end - r->at) : TAIL_BYTES;
	char tail[TAIL_BYTES];
	ssize_t n = pread(r->fd, tail, want, (off_t)(r->end - want));

	if (n == (ssize_t)want)
		r->end -= want - gw_osb_lines_whole(tail, want);
}

/* The sandbox's code can put anything in its place: a pipe would hold the thread for ever. */
static void
open_log(struct reader *r)
{
	struct stat st;

	r->fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (r->fd < 0 || fstat(r->fd, &st) != 0)
		r->error = errno;
	else if (!S_ISREG(st.st_mode))
		r->error = EINVAL;
	else if (!r->whole)
		end_at_character(r);
}

static void
work(void *arg)
{
	struct reader *r = arg;
	ssize_t n;

	if (r->fd < 0)
		open_log(r);
	r->got = 0;
	if (r->error != 0 || r->at == r->end)
		return;
	n = r->end - r->at < PIECE_BYTES ? (ssize_t)(r->end - r->at) : (ssize_t)PIECE_BYTES;
	n = pread(r->fd, r->piece, (size_t)n, (off_t)r->at);
	if (n <= 0)
		r->error = n < 0 ? errno : ENODATA;
	else
		r->got = (size_t)n;
}

/* --- on the loop ------------------------------------------------------------------------- */

static void on_piece(void *arg);

static void
read_on(struct reader *r)
{
	r->reading = true;
	loop_work(r->core->lp, work, on_piece, r);
}

static void
begin(struct reader *r)
{
	char cursor[32];

	(void)snprintf(cursor, sizeof(cursor), "%" PRIu64, r->end);
	gw_http_add_header(r->x, "EXECD-COMMANDS-TAIL-CURSOR", cursor);
	gw_http_stream_begin_sized(r->x, 200, "text/plain; charset=utf-8", r->end - r->at);
	r->begun = true;
}

static void
on_piece(void *arg)
{
	struct reader *r = arg;

	r->reading = false;
	if (r->x == NULL) {
		reader_free(r);
		return;
	}
	if (r->error != 0 && !r->begun) {
		gw_osb_fail(r->x, 500, GW_OSB_RUNTIME, "cannot read the log: %s",
		            strerrordesc_np(r->error));
		reader_free(r);
		return;
	}
	if (!r->begun)
		begin(r);
	if (r->got > 0)
		r->full = gw_http_stream_write(r->x, r->piece, r->got) == -EAGAIN;
	r->at += r->got;
	if (r->error == 0 && r->at < r->end) {
		if (!r->full)
			read_on(r);
		return;
	}
	if (r->error != 0)
		gw_http_stream_cut(r->x);
	else
		gw_http_stream_end(r->x);
	reader_free(r);
}

static void
on_drained(void *arg)
{
	struct reader *r = arg;

	if (r->full && !r->reading)
		read_on(r);
	r->full = false;
}

static void
on_closed(void *arg)
{
	struct reader *r = arg;

	r->x = NULL;
	if (!r->reading)
		reader_free(r);
}

static const struct gw_http_ops http_ops = {.drained = on_drained, .closed = on_closed};

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
	struct reader *r = mem_new(sizeof(*r));
	uint64_t written;

	r->x = x;
	r->core = core;
	r->fd = -1;
	r->path = mem_strdup(gw_command_log(cmd, &written));
	r->piece = mem_new(PIECE_BYTES);
	r->at = cursor;
	r->end = written > cursor ? written : cursor; /* behind the end there is nothing */
	r->whole = !is_running(cmd);
	if (r->end - r->at > ANSWER_BYTES) {
		r->end = r->at + ANSWER_BYTES;
		r->whole = false;
	}
	gw_http_set_ops(x, &http_ops, r);
	read_on(r);
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
