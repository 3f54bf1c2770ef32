/* kernelmgr/tail.c - see kernelmgr/tail.h. */
#include "kernelmgr/tail.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define TAIL_BYTES  8192
#define DRAIN_READS 32 /* of TAIL_BYTES: more than a pipe holds */

struct km_tail {
	int fd;                /* -1 when closed */
	struct loop_fd *watch; /* NULL when closed, or the system cannot watch it */
	km_tail_ended_fn *ended;
	void *arg;
	size_t len;
	char text[TAIL_BYTES + 1];
};

static void
close_pipe(struct km_tail *t)
{
	loop_fd_free(t->watch);
	t->watch = NULL;
	if (t->fd >= 0)
		(void)close(t->fd);
	t->fd = -1;
}

/* Keep the last TAIL_BYTES of what was there and text[0..len), len <= TAIL_BYTES. */
static void
append(struct km_tail *t, const char *text, size_t len)
{
	size_t keep = t->len;

	if (keep > TAIL_BYTES - len)
		keep = TAIL_BYTES - len;
	memmove(t->text, t->text + t->len - keep, keep);
	for (size_t i = 0; i < len; i++)
		t->text[keep + i] = (char)(text[i] != '\0' ? text[i] : ' ');
	t->len = keep + len;
	t->text[t->len] = '\0';
}

/* Read once.  Returns false when there is no more for now, or for ever. */
static bool
read_once(struct km_tail *t)
{
	char chunk[TAIL_BYTES];
	ssize_t n = read(t->fd, chunk, sizeof(chunk));

	if (n > 0)
		append(t, chunk, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_pipe(t);
	return n > 0;
}

static void
on_readable(void *arg, unsigned events)
{
	struct km_tail *t = arg;

	(void)events;
	(void)read_once(t); /* once: a flood waits for the next turn */
	if (t->fd < 0 && t->ended != NULL)
		t->ended(t->arg); /* may free t */
}

struct km_tail *
km_tail_new(struct loop *lp, int fd, km_tail_ended_fn *ended, void *arg)
{
	struct km_tail *t = mem_new(sizeof(*t));

	t->fd = fd;
	t->ended = ended;
	t->arg = arg;
	t->watch = loop_fd_new(lp, fd, LOOP_READ, on_readable, t); /* NULL: no stderr quoted */
	return t;
}

void
km_tail_free(struct km_tail *t)
{
	if (t == NULL)
		return;
	close_pipe(t);
	mem_free(t);
}

void
km_tail_close(struct km_tail *t)
{
	if (t == NULL)
		return;
	/* something may hold the other end open: take what is there and close */
	for (int i = 0; i < DRAIN_READS && t->fd >= 0 && read_once(t); i++)
		;
	close_pipe(t);
}

bool
km_tail_is_closed(const struct km_tail *t)
{
	return t->fd < 0;
}

const char *
km_tail_text(const struct km_tail *t)
{
	return t != NULL ? t->text : "";
}
