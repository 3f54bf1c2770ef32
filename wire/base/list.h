/* wire/base/list.h - intrusive, circular, doubly linked list.
 *
 * The head is a node that belongs to no object.  A node is in at most one
 * list; list_del() leaves it empty, so deleting twice is harmless.
 */
#ifndef WIRE_BASE_LIST_H
#define WIRE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct list {
	struct list *prev, *next;
};

/* The object of type that holds node as its member. */
#define list_entry(node, type, member)                                                         \
	((type *)((uintptr_t)(node)-offsetof(type, member))) /* NOLINT */

/* Visit every node; the visited one may be removed meanwhile, others not. */
#define list_each(it, tmp, head)                                                               \
	for ((it) = (head)->next, (tmp) = (it)->next; (it) != (head);                          \
	     (it) = (tmp), (tmp) = (it)->next)

static inline void
list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool
list_empty(const struct list *l)
{
	return l->next == l;
}

/* Insert node before at: at the end when at is the head. */
static inline void
list_add_before(struct list *at, struct list *node)
{
	node->prev = at->prev;
	node->next = at;
	at->prev->next = node;
	at->prev = node;
}

static inline void
list_del(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#endif /* WIRE_BASE_LIST_H */
