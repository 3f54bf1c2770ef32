/* gateway/outq.c - see gateway/outq.h. */
#include "gateway/outq.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "wire/base/buf.h"
#include "wire/base/mem.h"

#define PIECE_MIN 4096
#define PIECE_BIG 65536 /* once this much waits, small puts share larger pieces */

struct gw_outq_piece {
	struct gw_outq_piece *next;
	size_t off; /* sent already */
	size_t len; /* filled, from 0 */
	size_t cap;
	size_t room; /* of a taken one: where it began */
	char *data;  /* inside, or taken */
	char inside[];
};

static void
free_piece(struct gw_outq_piece *p)
{
	if (p->data != p->inside)
		free(p->data);
	free(p);
}

void
gw_outq_init(struct gw_outq *q, size_t max_bytes)
{
	*q = (struct gw_outq){.max_bytes = max_bytes, .limit = max_bytes};
}

void
gw_outq_fini(struct gw_outq *q)
{
	struct gw_outq_piece *p = q->head, *next;

	for (; p != NULL; p = next) {
		next = p->next;
		free_piece(p);
	}
	gw_outq_init(q, q->max_bytes);
}

static void
append(struct gw_outq *q, struct gw_outq_piece *p)
{
	if (q->tail != NULL)
		q->tail->next = p;
	else
		q->head = p;
	q->tail = p;
}

static struct gw_outq_piece *
add_piece(struct gw_outq *q, size_t need)
{
	size_t cap = q->bytes >= PIECE_BIG ? PIECE_BIG : PIECE_MIN;
	struct gw_outq_piece *p;

	if (cap < need)
		cap = need;
	p = malloc(sizeof(*p) + cap); /* may be refused: a client chose how far it is behind */
	if (p == NULL)
		return NULL;
	*p = (struct gw_outq_piece){.cap = cap, .data = p->inside};
	append(q, p);
	return p;
}

int
gw_outq_put(struct gw_outq *q, const void *a, size_t an, const void *b, size_t bn)
{
	struct gw_outq_piece *p = q->tail;

	if (an > q->limit - q->bytes || bn > q->limit - q->bytes - an)
		return -EMSGSIZE;
	if (an + bn == 0)
		return 0;
	if (p == NULL || p->cap - p->len < an + bn)
		p = add_piece(q, an + bn);
	if (p == NULL)
		return -ENOMEM;
	if (an > 0)
		memcpy(p->data + p->len, a, an);
	if (bn > 0)
		memcpy(p->data + p->len + an, b, bn);
	p->len += an + bn;
	q->bytes += an + bn;
	return 0;
}

int
gw_outq_take(struct gw_outq *q, struct buf *b, size_t room)
{
	struct gw_outq_piece *p;

	assert(b->cap > 0 && b->len > room);
	if (b->len - room > q->limit - q->bytes) {
		if (q->bytes > q->max_bytes)
			return -EMSGSIZE;
		q->limit = q->bytes + (b->len - room) + q->max_bytes;
	}
	p = mem_new(sizeof(*p));
	/* full, so that nothing is put behind it */
	*p = (struct gw_outq_piece){
	    .off = room, .len = b->len, .cap = b->len, .room = room, .data = b->data};
	append(q, p);
	q->bytes += b->len - room;
	buf_init(b, b->max);
	return 0;
}

bool
gw_outq_first_taken(const struct gw_outq *q, struct gw_outq_taken *ret)
{
	const struct gw_outq_piece *p = q->head;

	if (p == NULL || p->data == p->inside)
		return false;
	*ret = (struct gw_outq_taken){
	    .at = p->data + p->off, .left = p->len - p->off, .begun = p->off > p->room};
	return true;
}

size_t
gw_outq_vec(const struct gw_outq *q, struct iovec *ret, size_t max)
{
	struct gw_outq_piece *p = q->head;
	size_t n = 0;

	for (; p != NULL && n < max; p = p->next, n++)
		ret[n] =
		    (struct iovec){.iov_base = p->data + p->off, .iov_len = p->len - p->off};
	return n;
}

void
gw_outq_drop(struct gw_outq *q, size_t n)
{
	assert(n <= q->bytes);
	q->bytes -= n;
	if (q->bytes <= q->max_bytes)
		q->limit = q->max_bytes;
	while (n > 0) {
		struct gw_outq_piece *p = q->head;
		size_t have;

		assert(p != NULL); /* bytes said so */
		have = p->len - p->off;
		if (n < have) {
			p->off += n;
			return;
		}
		n -= have;
		q->head = p->next;
		if (q->head == NULL)
			q->tail = NULL;
		free_piece(p);
	}
}
