/* kernelmgr/drain.c - see kernelmgr/drain.h. */
#include "kernelmgr/drain.h"

#include <errno.h>
#include <unistd.h>

#include "wire/base/list.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define DRAINS_MAX 256   /* of one owner */
#define CHUNK      65536 /* read in a turn */

struct drain {
	struct list node;
	int fd;
	struct loop_fd *watch;
};

static void
drain_free(struct drain *d)
{
	loop_fd_free(d->watch);
	(void)close(d->fd);
	list_del(&d->node);
	mem_free(d);
}

static void
on_readable(void *arg, unsigned events)
{
	struct drain *d = arg;
	char chunk[CHUNK];
	ssize_t n = read(d->fd, chunk, sizeof(chunk));

	(void)events;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		drain_free(d);
}

void
km_drain_add(struct loop *lp, int fd, struct list *owner)
{
	struct drain *d = mem_new(sizeof(*d));
	struct list *it, *tmp;
	unsigned n = 0;

	d->fd = fd;
	list_add_before(owner, &d->node);
	d->watch = loop_fd_new(lp, fd, LOOP_READ, on_readable, d);
	if (d->watch == NULL) {
		drain_free(d);
		return;
	}
	list_each (it, tmp, owner)
		n++;
	if (n > DRAINS_MAX)
		drain_free(list_entry(owner->next, struct drain, node));
}

void
km_drain_end(struct list *owner)
{
	while (!list_empty(owner))
		drain_free(list_entry(owner->next, struct drain, node));
}
