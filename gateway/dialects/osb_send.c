/* gateway/dialects/osb_send.c - see gateway/dialects/osb_send.h. */
#include "gateway/dialects/osb_send.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "gateway/dialect.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define PIECE_BYTES (256U << 10)

struct sender {
	struct loop *lp;
	struct gw_http *x; /* NULL: answered, or the client has left */
	struct gw_range_lines lines;
	/* The thread's, while there is one. */
	bool busy;
	int fd;
	uint64_t at, left; /* what of the file is still to be read */
	size_t piece_n;
	char piece[];
};

static void
sender_free(struct sender *s)
{
	assert(s->x == NULL && !s->busy);
	(void)close(s->fd);
	mem_free(s);
}

static void
end(struct sender *s, bool whole)
{
	struct gw_http *x = s->x;

	s->x = NULL;
	if (whole)
		gw_http_stream_end(x);
	else
		gw_http_stream_cut(x);
	sender_free(s);
}

static void
read_piece(void *arg)
{
	struct sender *s = arg;
	size_t want = s->left < PIECE_BYTES ? (size_t)s->left : PIECE_BYTES;
	ssize_t n;

	do
		n = pread(s->fd, s->piece, want, (off_t)s->at);
	while (n < 0 && errno == EINTR);
	s->piece_n = n > 0 ? (size_t)n : 0;
	s->at += s->piece_n;
	s->left -= s->piece_n;
}

static void on_piece(void *arg);

static void
read_more(struct sender *s)
{
	s->busy = true;
	loop_work(s->lp, read_piece, on_piece, s);
}

static void
on_piece(void *arg)
{
	struct sender *s = arg;
	const char *data = s->piece;
	size_t len = s->piece_n;
	bool more;
	int rc;

	s->busy = false;
	if (s->x == NULL) {
		sender_free(s);
		return;
	}
	if (len == 0) { /* it is shorter now, or cannot be read */
		end(s, false);
		return;
	}
	more = gw_range_lines_step(&s->lines, data, len, &data, &len) && s->left > 0;
	rc = len > 0 ? gw_http_stream_write(s->x, data, len) : 0;
	if (!more)
		end(s, true);
	else if (rc == 0)
		read_more(s);
}

static void
on_drained(void *arg)
{
	struct sender *s = arg;

	if (!s->busy)
		read_more(s);
}

static void
on_closed(void *arg)
{
	struct sender *s = arg;

	s->x = NULL;
	if (!s->busy)
		sender_free(s);
}

void
gw_osb_send(struct loop *lp, struct gw_http *x, int fd, uint64_t first, uint64_t len,
            struct gw_range_lines lines)
{
	static const struct gw_http_ops ops = {.drained = on_drained, .closed = on_closed};
	struct sender *s = mem_raw(sizeof(*s) + PIECE_BYTES);

	assert(len > 0);
	*s = (struct sender){
	    .lp = lp, .x = x, .lines = lines, .fd = fd, .at = first, .left = len};
	gw_http_set_ops(x, &ops, s);
	read_more(s);
}
