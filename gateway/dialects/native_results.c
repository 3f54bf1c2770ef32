/* gateway/dialects/native_results.c - see gateway/dialects/native_results.h.
 *
 * Updates are put into the array when it is taken: code may update a thousand results as often as
 * it likes.  What they replace is kept until then, and so counts.
 */
#include "gateway/dialects/native_results.h"

#include <stdint.h>
#include <string.h>

#include "gateway/dialects/native_events.h"
#include "gateway/event.h"
#include "gateway/evlog.h"
#include "wire/base/mem.h"

/* The results with one display id. */
struct shown {
	struct list node;
	struct table_node by_id;
	char *id;
	size_t n;
	size_t bytes;     /* of the update that follows, in all of them */
	size_t updated_n; /* those among the first so many of the array have what follows */
	json_t *bundle, *metadata;
};

static void
shown_free(struct shown *s)
{
	list_del(&s->node);
	mem_free(s->id);
	json_decref(s->bundle);
	json_decref(s->metadata);
	mem_free(s);
}

static struct shown *
find(const struct gw_native_results *r, const char *id)
{
	struct table_node *node = id != NULL ? table_find(&r->ids, id) : NULL;

	return node != NULL ? list_entry(node, struct shown, by_id) : NULL;
}

static struct shown *
find_or_add(struct gw_native_results *r, const char *id)
{
	struct shown *s = find(r, id);

	if (s != NULL)
		return s;
	s = mem_new(sizeof(*s));
	s->id = mem_strdup(id);
	list_add_before(&r->shown, &s->node);
	table_add(&r->ids, &s->by_id, s->id);
	return s;
}

void
gw_native_results_init(struct gw_native_results *r, size_t max)
{
	*r = (struct gw_native_results){.array = json_array(), .max = max};
	list_init(&r->shown);
}

void
gw_native_results_fini(struct gw_native_results *r)
{
	struct list *it, *tmp;

	table_fini(&r->ids);
	list_each (it, tmp, &r->shown)
		shown_free(list_entry(it, struct shown, node));
	json_decref(r->array);
	r->array = NULL;
}

/* Count what takes bytes n times in the place of what took old.  False: it does not fit. */
static bool
count(struct gw_native_results *r, size_t n, size_t bytes, size_t old)
{
	if (bytes > (r->max - (r->bytes - old)) / n) {
		r->truncated = true;
		return false;
	}
	r->bytes = r->bytes - old + n * bytes;
	return true;
}

static void
update(struct gw_native_results *r, const struct gw_event *ev)
{
	struct shown *s = find(r, ev->id);
	const size_t cost = gw_evlog_cost(ev);

	if (s == NULL || !count(r, s->n, cost, s->bytes))
		return;
	s->bytes = s->n * cost;
	s->updated_n = json_array_size(r->array);
	json_decref(s->bundle);
	json_decref(s->metadata);
	s->bundle = json_incref(ev->bundle);
	s->metadata = ev->metadata != NULL ? json_incref(ev->metadata) : json_object();
}

void
gw_native_results_add(struct gw_native_results *r, const struct gw_event *ev)
{
	json_t *o;

	if (ev->kind == GW_EV_UPDATE) {
		update(r, ev);
		return;
	}
	if (!count(r, 1, gw_evlog_cost(ev), 0))
		return;
	o = gw_native_events_fields(ev);
	json_object_set_new(o, "event", json_string(gw_event_name(ev->kind)));
	json_array_append_new(r->array, o);
	if (ev->id != NULL)
		find_or_add(r, ev->id)->n++;
}

json_t *
gw_native_results_take(struct gw_native_results *r)
{
	json_t *array = r->array, *o;
	size_t i;

	json_array_foreach (array, i, o) {
		struct shown *s = find(r, json_string_value(json_object_get(o, "display_id")));

		if (s == NULL || i >= s->updated_n)
			continue;
		json_object_set(o, "bundle", s->bundle);
		json_object_set(o, "metadata", s->metadata);
	}
	r->array = NULL;
	return array;
}
