/* gateway/dialects/osb_download.c - GET /files/download: a file, some of its bytes, some of its
 * lines.
 *
 * Lines are counted while they are read, so that they come without a length.
 */
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
#include "gateway/dialects/osb_send.h"
#include "gateway/fs.h"
#include "gateway/range.h"
#include "gateway/sandbox.h"
#include "gateway/status.h"
#include "gateway/text.h"
#include "wire/base/err.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

/* Until the answer begins. */
struct download {
	struct loop *lp;
	struct gw_http *x; /* NULL: the client has left */
	struct gw_fs *fs;  /* held */
	char *path;
	bool by_lines;
	struct gw_range_lines lines;
	/* What came of it. */
	int rc;
	struct err err;
	int fd; /* -1: not open, or given away */
	struct stat st;
	uint64_t first, len; /* what of the file is to be sent */
};

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
}

/* --- the head ----------------------------------------------------------------------------- */

static void
send_range(struct download *d, uint64_t first, uint64_t len)
{
	char text[80];

	(void)snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, first,
	               first + len - 1, (uint64_t)d->st.st_size);
	gw_http_add_header(d->x, "Content-Range", text);
	d->first = first;
	d->len = len;
	gw_http_stream_begin_sized(d->x, 206, "application/octet-stream", len);
}

static void
send_whole(struct download *d)
{
	d->len = (uint64_t)d->st.st_size;
	if (!d->by_lines)
		gw_http_stream_begin_sized(d->x, 200, "application/octet-stream", d->len);
	else
		gw_http_stream_begin(d->x, 200, "application/octet-stream");
	if (d->lines.left == 0)
		d->len = 0;
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
	if (!head && d->len > 0)
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

	if (d->x != NULL && d->rc != 0) {
		fail(d);
	} else if (d->x != NULL && send_head(d)) {
		gw_osb_send(d->lp, d->x, d->fd, d->first, d->len, d->lines);
		d->fd = -1;
	}
	if (d->fd >= 0)
		(void)close(d->fd);
	gw_fs_release(d->fs);
	mem_free(d->path);
	mem_free(d);
}

static void
on_closed(void *arg)
{
	struct download *d = arg;

	d->x = NULL;
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
	static const struct gw_http_ops ops = {.closed = on_closed};
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
	loop_work(d->lp, open_file, on_opened, d);
}
