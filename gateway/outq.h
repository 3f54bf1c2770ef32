/* gateway/outq.h - EDGE: bytes that wait for a client.
 *
 * What one put() takes stays in one piece, so that a WebSocket frame is never
 * torn; small ones share a piece, so that a burst leaves in one system call.
 */
#ifndef GW_OUTQ_H
#define GW_OUTQ_H

#include <stdbool.h>
#include <stddef.h>

struct gw_outq_piece;
struct iovec;

/* Embedded. max_bytes is a hard ceiling: a client that far behind is given up. */
struct gw_outq {
	struct gw_outq_piece *head, *tail;
	size_t bytes; /* in all pieces */
	size_t max_bytes;
};

void gw_outq_init(struct gw_outq *q, size_t max_bytes);
void gw_outq_fini(struct gw_outq *q);

/* Append a[0..an) and b[0..bn), copied, next to each other.  Returns 0; -EMSGSIZE past the ceiling
 * or -ENOMEM, and then nothing was taken. */
int gw_outq_put(struct gw_outq *q, const void *a, size_t an, const void *b, size_t bn);

/* Point up to max vectors at what is first.  Returns how many; lent until the queue changes. */
size_t gw_outq_vec(const struct gw_outq *q, struct iovec *ret, size_t max);

/* Drop the first n bytes, n <= bytes. */
void gw_outq_drop(struct gw_outq *q, size_t n);

#endif /* GW_OUTQ_H */
