/* gateway/evlog.c - see gateway/evlog.h. */
#include "gateway/evlog.h"

#include <string.h>

#include "gateway/metrics.h"
#include "wire/base/mem.h"

struct record {
	struct list node;
	struct gw_event ev; /* its pointers are owned by the record */
	char *text;
	size_t text_cap;
	size_t bytes; /* counted in the log */
	char *id, *name;
};

static struct record *
record_of(struct list *node)
{
	return list_entry(node, struct record, node);
}

static void
count_bytes(struct gw_evlog *l, struct record *r, size_t more)
{
	r->bytes += more;
	l->bytes += more;
	gw_metric[GW_M_EVENTS_BYTES] += (int64_t)more;
}

static void
record_free(struct gw_evlog *l, struct record *r)
{
	l->bytes -= r->bytes;
	gw_metric[GW_M_EVENTS_BYTES] -= (int64_t)r->bytes;
	list_del(&r->node);
	json_decref(r->ev.bundle);
	json_decref(r->ev.metadata);
	json_decref(r->ev.traceback);
	json_decref(r->ev.plain);
	mem_free(r->text);
	mem_free(r->id);
	mem_free(r->name);
	mem_free(r);
}

static void
text_append(struct gw_evlog *l, struct record *r, const char *ptr, size_t len)
{
	size_t need = r->ev.text.len + len + 1;

	if (need > r->text_cap) {
		r->text_cap = need > 2 * r->text_cap ? need : 2 * r->text_cap;
		r->text = mem_realloc(r->text, r->text_cap);
	}
	if (len > 0)
		memcpy(r->text + r->ev.text.len, ptr, len);
	r->ev.text.ptr = r->text;
	r->ev.text.len += len;
	r->text[r->ev.text.len] = '\0';
	count_bytes(l, r, len);
}

/* About what the JSON value takes, without serialising it: strings dominate. */
static size_t
json_bytes(const json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;
	size_t sum = 16;

	if (json_is_string(v))
		return sum + json_string_length(v);
	if (json_is_array(v)) {
		json_array_foreach (v, i, item)
			sum += json_bytes(item);
	} else if (json_is_object(v)) {
		json_object_foreach ((json_t *)(uintptr_t)v, key, item)
			sum += strlen(key) + json_bytes(item);
	}
	return sum;
}

static void
add_record(struct gw_evlog *l, const struct gw_event *ev, const char *text, size_t len)
{
	struct record *r = mem_new(sizeof(*r));

	r->ev = *ev;
	r->ev.seq = ++l->last_seq;
	r->ev.text = (struct wire_slice){NULL, 0};
	r->ev.id = r->id = ev->id != NULL ? mem_strdup(ev->id) : NULL;
	r->ev.name = r->name = ev->name != NULL ? mem_strdup(ev->name) : NULL;
	json_incref(r->ev.bundle);
	json_incref(r->ev.metadata);
	json_incref(r->ev.traceback);
	json_incref(r->ev.plain);
	list_add_before(&l->records, &r->node);
	count_bytes(l, r,
	            sizeof(*r) + json_bytes(ev->bundle) + json_bytes(ev->metadata) +
	                json_bytes(ev->traceback) + json_bytes(ev->plain));
	text_append(l, r, text, len);
}

/* The longest prefix of at most max bytes that ends between code points. */
static size_t
cut(const char *text, size_t len, size_t max)
{
	size_t n = max;

	if (len <= max)
		return len;
	while (n > max - 4 && ((unsigned char)text[n] & 0xC0) == 0x80)
		n--;
	return n;
}

static struct record *
last_growing(struct gw_evlog *l, const struct gw_event *ev, uint64_t read_seq)
{
	struct record *r;

	if (list_empty(&l->records))
		return NULL;
	r = record_of(l->records.prev);
	if (r->ev.kind != ev->kind || r->ev.seq <= read_seq || r->ev.text.len >= GW_EVLOG_PIECE)
		return NULL;
	return r;
}

void
gw_evlog_init(struct gw_evlog *l)
{
	*l = (struct gw_evlog){0};
	list_init(&l->records);
}

void
gw_evlog_fini(struct gw_evlog *l)
{
	while (!list_empty(&l->records))
		record_free(l, record_of(l->records.next));
}

void
gw_evlog_append(struct gw_evlog *l, const struct gw_event *ev, uint64_t read_seq)
{
	const char *text = ev->text.ptr;
	size_t left = ev->text.len;
	struct record *r;

	if (ev->kind != GW_EV_STDOUT && ev->kind != GW_EV_STDERR) {
		add_record(l, ev, text, left);
		return;
	}
	r = last_growing(l, ev, read_seq);
	while (left > 0) {
		size_t room = r != NULL ? GW_EVLOG_PIECE - r->ev.text.len : GW_EVLOG_PIECE;
		size_t n = room >= 4 ? cut(text, left, room) : 0;

		if (n > 0 && r != NULL)
			text_append(l, r, text, n);
		else if (n > 0)
			add_record(l, ev, text, n);
		text += n;
		left -= n;
		r = NULL;
	}
}

const struct gw_event *
gw_evlog_after(const struct gw_evlog *l, uint64_t seq)
{
	struct list *it = l->records.prev;

	while (it != &l->records && record_of(it)->ev.seq > seq)
		it = it->prev;
	return it->next == &l->records ? NULL : &record_of(it->next)->ev;
}

const struct gw_event *
gw_evlog_next(const struct gw_evlog *l, const struct gw_event *ev)
{
	const struct record *r = list_entry(ev, struct record, ev);

	return r->node.next == &l->records ? NULL : &record_of(r->node.next)->ev;
}

size_t
gw_evlog_bytes_after(const struct gw_evlog *l, uint64_t seq)
{
	const struct list *it = l->records.prev;
	size_t sum = 0;

	while (it != &l->records) {
		const struct record *r = list_entry(it, struct record, node);

		if (r->ev.seq <= seq)
			break;
		sum += r->bytes;
		it = it->prev;
	}
	return sum;
}

void
gw_evlog_trim(struct gw_evlog *l, uint64_t seq, size_t max)
{
	while (l->bytes > max && !list_empty(&l->records)) {
		struct record *r = record_of(l->records.next);

		if (r->ev.seq > seq)
			return;
		record_free(l, r);
	}
}
