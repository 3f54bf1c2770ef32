/* gateway/outq.h - EDGE: bytes that wait for a client.
 *
 * What one put() takes stays in one piece, so that a WebSocket frame is never
 * torn; small ones share a piece, so that a burst leaves in one system call.
 */
#ifndef GW_OUTQ_H
#define GW_OUTQ_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct gw_outq_piece;
struct iovec;

/* Embedded. max_bytes is a hard ceiling: a client that far behind is given up. */
struct gw_outq {
	struct gw_outq_piece *head, *tail;
	size_t bytes; /* in all pieces */
	size_t max_bytes;
	size_t limit; /* higher than that while a large one waits */
};

void gw_outq_init(struct gw_outq *q, size_t max_bytes);
void gw_outq_fini(struct gw_outq *q);

/* Append a[0..an) and b[0..bn), copied, next to each other.  Returns 0; -EMSGSIZE past the ceiling
 * or -ENOMEM, and then nothing was taken. */
int gw_outq_put(struct gw_outq *q, const void *a, size_t an, const void *b, size_t bn);

/* Append what b holds after its first room bytes, without a copy: b is empty after it, and its
 * memory goes when it is sent.  One may pass the ceiling, since what is that large had one of its
 * own; then the ceiling is for what comes behind it.  Returns 0, or -EMSGSIZE when one such waits:
 * then b is as it was. */
int gw_outq_take(struct gw_outq *q, struct buf *b, size_t room);

/* What is first, where it was taken. */
struct gw_outq_taken {
	char *
	    at; /* what is left to send; what was sent or room lies before it, to be written over */
	size_t left; /* bytes */
	bool begun;  /* some of it was sent */
};

/* Returns false where nothing is first, or it was put. */
bool gw_outq_first_taken(const struct gw_outq *q, struct gw_outq_taken *ret);

/* Point up to max vectors at what is first.  Returns how many; lent until the queue changes. */
size_t gw_outq_vec(const struct gw_outq *q, struct iovec *ret, size_t max);

/* Drop the first n bytes, n <= bytes. */
void gw_outq_drop(struct gw_outq *q, size_t n);

#endif /* GW_OUTQ_H */
