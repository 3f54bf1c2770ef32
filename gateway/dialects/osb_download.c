/* gateway/dialects/osb_download.c - GET /files/download: a file, some of its bytes, some of its
 * lines.
 *
 * Read in a thread, a piece at a time; the next one when the client has taken the last.  What is
 * announced is the size at the beginning: a file that grows is sent up to there, of one that
 * shrinks the answer is cut off.  Lines are counted while they are read, so that they come without
 * a length.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gateway/core.h"
#include "gateway/dialects/osb.h"
#include "gateway/dialects/osb_head.h"
#include "gateway/fs.h"
#include "gateway/range.h"
#include "gateway/sandbox.h"
#include "gateway/status.h"
#include "gateway/text.h"
#include "wire/base/err.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define PIECE_BYTES (256U << 10)

struct download {
	struct loop *lp;
	struct gw_http *x; /* NULL: answered, or the client has left */
	struct gw_fs *fs;  /* held until the file is open */
	char *path;
	bool by_lines;
	struct gw_range_lines lines;
	/* The thread's, while there is one. */
	bool busy;
	int fd; /* -1: not open */
	struct stat st;
	int rc;
	struct err err;
	uint64_t at, left; /* what of the file is still to be read */
	char *piece;
	size_t piece_n;
};

/* --- the end ------------------------------------------------------------------------------ */

static void
finish(struct download *d)
{
	assert(d->x == NULL && !d->busy);
	if (d->fd >= 0)
		(void)close(d->fd);
	gw_fs_release(d->fs);
	mem_free(d->path);
	mem_free(d->piece);
	mem_free(d);
}

/* It was not opened. */
static void
fail(struct download *d)
{
	const char *code = GW_OSB_RUNTIME;

	if (d->rc == -ENOENT)
		code = GW_OSB_NO_FILE;
	else if (d->rc == -EACCES)
		code = GW_OSB_FORBIDDEN;
	else if (d->rc == -EINVAL)
		code = "INVALID_FILE";
	gw_osb_fail(d->x, gw_status_http(d->rc), code, "%s", d->err.text);
	d->x = NULL;
}

/* --- the content -------------------------------------------------------------------------- */

static void
read_piece(void *arg)
{
	struct download *d = arg;
	size_t want = d->left < PIECE_BYTES ? (size_t)d->left : PIECE_BYTES;
	ssize_t n;

	do
		n = pread(d->fd, d->piece, want, (off_t)d->at);
	while (n < 0 && errno == EINTR);
	d->piece_n = n > 0 ? (size_t)n : 0;
	d->at += d->piece_n;
	d->left -= d->piece_n;
}

static void on_piece(void *arg);

static void
read_more(struct download *d)
{
	d->busy = true;
	loop_work(d->lp, read_piece, on_piece, d);
}

static void
end(struct download *d, bool whole)
{
	struct gw_http *x = d->x;

	d->x = NULL;
	if (whole)
		gw_http_stream_end(x);
	else
		gw_http_stream_cut(x);
	finish(d);
}

static void
on_piece(void *arg)
{
	struct download *d = arg;
	const char *data = d->piece;
	size_t len = d->piece_n;
	bool more = d->left > 0;
	int rc;

	d->busy = false;
	if (d->x == NULL) {
		finish(d);
		return;
	}
	if (d->piece_n == 0) { /* it is shorter now, or cannot be read */
		end(d, false);
		return;
	}
	if (d->by_lines)
		more = gw_range_lines_step(&d->lines, data, len, &data, &len) && more;
	rc = len > 0 ? gw_http_stream_write(d->x, data, len) : 0;
	if (!more)
		end(d, true);
	else if (rc == 0)
		read_more(d);
}

static void
on_drained(void *arg)
{
	struct download *d = arg;

	if (!d->busy)
		read_more(d);
}

static void
on_closed(void *arg)
{
	struct download *d = arg;

	d->x = NULL;
	if (!d->busy)
		finish(d);
}

static const struct gw_http_ops ops = {.drained = on_drained, .closed = on_closed};

/* --- the head ----------------------------------------------------------------------------- */

static void
send_range(struct download *d, uint64_t first, uint64_t len)
{
	char text[80];

	(void)snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
	               first + len - 1, (uint64_t)d->st.st_size);
	gw_http_add_header(d->x, "Content-Range", text);
	d->at = first;
	d->left = len;
	gw_http_stream_begin_sized(d->x, 206, "application/octet-stream", len);
}

static void
send_whole(struct download *d)
{
	d->left = (uint64_t)d->st.st_size;
	if (!d->by_lines)
		gw_http_stream_begin_sized(d->x, 200, "application/octet-stream", d->left);
	else
		gw_http_stream_begin(d->x, 200, "application/octet-stream");
	if (d->by_lines && d->lines.left == 0)
		d->left = 0;
}

/* Begin the answer.  Returns false when it is complete already. */
static bool
send_head(struct download *d)
{
	bool head = strcmp(gw_http_method(d->x), "HEAD") == 0;
	enum gw_range range = GW_RANGE_WHOLE;
	struct gw_osb_head h;
	uint64_t first, len;
	char text[64];

	gw_osb_head_init(&h, d->x, &d->st);
	if (gw_osb_head_is_known(&h)) {
		gw_osb_head_add(&h);
		gw_http_reply(d->x, 304, NULL, "", 0);
		return false;
	}
	/* RFC 9110, section 14.2: only of a GET. */
	if (!head && !d->by_lines && gw_osb_head_may_range(&h))
		range = gw_range_parse(gw_http_header(d->x, "range"), (uint64_t)d->st.st_size,
		                       &first, &len);
	switch (range) {
	case GW_RANGE_NONE:
		(void)snprintf(text, sizeof(text), "bytes */%" PRIu64, (uint64_t)d->st.st_size);
		gw_http_add_header(d->x, "Content-Range", text);
		gw_osb_fail(d->x, 416, "UNKNOWN", "the file has %" PRIu64 " bytes",
		            (uint64_t)d->st.st_size);
		return false;
	case GW_RANGE_PART:
		gw_osb_head_add(&h);
		gw_osb_head_add_file(&h, d->path, true);
		send_range(d, first, len);
		break;
	case GW_RANGE_WHOLE:
		gw_osb_head_add(&h);
		gw_osb_head_add_file(&h, d->path, !d->by_lines);
		send_whole(d);
		break;
	}
	if (!head && d->left > 0)
		return true;
	gw_http_stream_end(d->x);
	return false;
}

static void
open_file(void *arg)
{
	struct download *d = arg;

	d->rc = gw_fs_open(d->fs, d->path, &d->fd, &d->st, &d->err);
}

static void
on_opened(void *arg)
{
	struct download *d = arg;

	d->busy = false;
	gw_fs_release(d->fs);
	d->fs = NULL;
	if (d->x == NULL) {
		finish(d);
		return;
	}
	if (d->rc != 0) {
		fail(d);
		finish(d);
		return;
	}
	if (send_head(d)) {
		d->piece = mem_new(PIECE_BYTES);
		read_more(d);
		return;
	}
	d->x = NULL;
	finish(d);
}

/* --- the request -------------------------------------------------------------------------- */

/* Read the number that the query has as key, into *ret where there is one. */
static bool
read_number(struct gw_http *x, const char *key, uint64_t least, uint64_t *ret)
{
	const char *text = gw_http_query(x, key);
	struct err why;

	if (text == NULL || text[0] == '\0' ||
	    gw_text_number(text, least, UINT64_MAX, ret, &why) == 0)
		return true;
	gw_osb_fail(x, 400, GW_OSB_BAD_BODY, "query parameter '%s' is not a number from %d on",
	            key, (int)least);
	return false;
}

/* Returns false: answered. */
static bool
read_query(struct gw_http *x, bool *by_lines, struct gw_range_lines *lines)
{
	const char *path = gw_http_query(x, "path");
	uint64_t offset = 0, limit = UINT64_MAX;

	if (path == NULL || path[0] == '\0') {
		gw_osb_fail(x, 400, GW_OSB_BAD_QUERY, "missing query parameter 'path'");
		return false;
	}
	if (!read_number(x, "offset", 1, &offset) || !read_number(x, "limit", 0, &limit))
		return false;
	*by_lines = offset > 0 || limit != UINT64_MAX;
	*lines = (struct gw_range_lines){offset > 0 ? offset - 1 : 0, limit};
	if (*by_lines && gw_http_header(x, "range") != NULL) {
		gw_osb_fail(x, 400, GW_OSB_BAD_BODY,
		            "a Range and 'offset' or 'limit' exclude each other");
		return false;
	}
	return true;
}

void
gw_osb_download(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct gw_sandbox *sb = gw_osb_sandbox(core, x);
	struct gw_range_lines lines = {0, 0};
	struct err err = {.text = ""};
	struct download *d;
	bool by_lines;
	struct gw_fs *fs;
	int rc;

	(void)body;
	(void)len;
	if (sb == NULL || !read_query(x, &by_lines, &lines))
		return;
	rc = gw_sandbox_fs(sb, &fs, &err);
	if (rc != 0) {
		gw_osb_fail(x, gw_status_http(rc), GW_OSB_RUNTIME, "%s", err.text);
		return;
	}
	d = mem_new(sizeof(*d));
	d->lp = core->lp;
	d->x = x;
	d->fs = gw_fs_hold(fs);
	d->path = mem_strdup(gw_http_query(x, "path"));
	d->by_lines = by_lines;
	d->lines = lines;
	d->fd = -1;
	gw_http_set_ops(x, &ops, d);
	d->busy = true;
	loop_work(d->lp, open_file, on_opened, d);
}
