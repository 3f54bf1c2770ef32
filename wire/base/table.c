/* wire/base/table.c - see wire/base/table.h. */
#include "wire/base/table.h"

#include <string.h>
#include <sys/random.h>

#include "wire/base/mem.h"

#define FIRST_SLOTS 16

/* FNV-1a from a start of this process's own: who chooses names does not choose slots. */
static uint32_t
hash_of(const char *key)
{
	static uint64_t start;
	uint64_t hash;

	if (start == 0 && getrandom(&start, sizeof(start), 0) != sizeof(start))
		start = 1;
	hash = start;
	for (; *key != '\0'; key++)
		hash = (hash ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
	return (uint32_t)(hash >> 32 ^ hash);
}

static struct table_node **
slot_of(const struct table *t, uint32_t hash)
{
	return &t->slots[hash & (t->slots_n - 1)];
}

static void
grow(struct table *t)
{
	struct table old = *t;

	t->slots_n = old.slots_n == 0 ? FIRST_SLOTS : old.slots_n * 2;
	t->slots = mem_new(t->slots_n * sizeof(struct table_node *));
	for (size_t i = 0; i < old.slots_n; i++) {
		struct table_node *next;
		struct table_node **end;

		for (struct table_node *node = old.slots[i]; node != NULL; node = next) {
			next = node->next;
			node->next = NULL;
			end = slot_of(t, node->hash);
			while (*end != NULL) /* the later of a name stays the first */
				end = &(*end)->next;
			*end = node;
		}
	}
	mem_free(old.slots);
}

void
table_add(struct table *t, struct table_node *node, const char *key)
{
	struct table_node **slot;

	if (t->n == t->slots_n)
		grow(t);
	node->key = key;
	node->hash = hash_of(key);
	slot = slot_of(t, node->hash);
	node->next = *slot;
	*slot = node;
	t->n++;
}

void
table_del(struct table *t, struct table_node *node)
{
	struct table_node **at;

	if (node->key == NULL)
		return;
	at = slot_of(t, node->hash);
	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	node->key = NULL;
	t->n--;
}

struct table_node *
table_find(const struct table *t, const char *key)
{
	uint32_t hash;
	struct table_node *node;

	if (t->n == 0)
		return NULL;
	hash = hash_of(key);
	node = *slot_of(t, hash);
	while (node != NULL && (node->hash != hash || strcmp(node->key, key) != 0))
		node = node->next;
	return node;
}

void
table_fini(struct table *t)
{
	for (size_t i = 0; i < t->slots_n; i++)
		for (struct table_node *node = t->slots[i]; node != NULL; node = node->next)
			node->key = NULL;
	mem_free(t->slots);
	*t = (struct table){0};
}
