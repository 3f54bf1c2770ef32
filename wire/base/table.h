/* wire/base/table.h - intrusive hash table of objects by a name of theirs.
 *
 * A node is in at most one table.  The order of objects is a list's matter.
 */
#ifndef WIRE_BASE_TABLE_H
#define WIRE_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_node {
	struct table_node *next;
	const char *key; /* borrowed from the object; NULL: in no table */
	uint32_t hash;
};

/* Embedded; all zero is an empty one. */
struct table {
	struct table_node **slots;
	size_t slots_n; /* 0, or a power of two that is not below n */
	size_t n;
};

/* Add node under key, which stays as it is while it is there; of two with the same key,
 * table_find() finds the later. */
void table_add(struct table *t, struct table_node *node, const char *key);
/* Fine when it is in none. */
void table_del(struct table *t, struct table_node *node);
/* Returns NULL if there is none. */
struct table_node *table_find(const struct table *t, const char *key);

/* Release; its nodes are in no table then. */
void table_fini(struct table *t);

#endif /* WIRE_BASE_TABLE_H */
