/* gateway/evlog.c - see gateway/evlog.h. */
#include "gateway/evlog.h"

#include <string.h>

#include "gateway/metrics.h"
#include "wire/base/mem.h"

#define SLOT sizeof(void *) /* of gw_evlog.rec */

struct gw_evrec {
	struct gw_event ev; /* its pointers are owned by the record */
	char *text;
	size_t text_cap;
	size_t bytes; /* counted in the log */
	uint64_t end; /* the log's total when this was the newest */
	char *id, *name;
};

static struct gw_evrec *
newest(const struct gw_evlog *l)
{
	return l->n > 0 ? l->rec[l->head + l->n - 1] : NULL;
}

static void
count_bytes(struct gw_evlog *l, struct gw_evrec *r, size_t more)
{
	r->bytes += more;
	l->bytes += more;
	l->total += more;
	r->end = l->total;
	gw_metric[GW_M_EVENTS_BYTES] += (int64_t)more;
}

static void
free_oldest(struct gw_evlog *l)
{
	struct gw_evrec *r = l->rec[l->head];

	l->head++;
	l->n--;
	l->bytes -= r->bytes;
	gw_metric[GW_M_EVENTS_BYTES] -= (int64_t)r->bytes;
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
text_append(struct gw_evlog *l, struct gw_evrec *r, const char *ptr, size_t len)
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

/* About what the JSON value takes in memory (jansson 2.14), without serialising it. */
static size_t
json_bytes(const json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;
	size_t sum = v != NULL ? 48 : 0;

	if (json_is_string(v))
		return sum + json_string_length(v);
	if (json_is_array(v)) {
		sum += 64;
		json_array_foreach (v, i, item)
			sum += 8 + json_bytes(item);
	} else if (json_is_object(v)) {
		sum += 192;
		json_object_foreach ((json_t *)(uintptr_t)v, key, item)
			sum += 64 + strlen(key) + json_bytes(item);
	}
	return sum;
}

static void
make_room(struct gw_evlog *l)
{
	if (l->head + l->n < l->cap)
		return;
	if (l->head > l->n) {
		memmove(l->rec, l->rec + l->head, l->n * SLOT);
		l->head = 0;
		return;
	}
	l->cap = l->cap > 0 ? 2 * l->cap : 8;
	l->rec = mem_realloc(l->rec, l->cap * SLOT);
}

static void
add_record(struct gw_evlog *l, const struct gw_event *ev, const char *text, size_t len)
{
	struct gw_evrec *r = mem_new(sizeof(*r));

	make_room(l);
	l->rec[l->head + l->n++] = r;
	r->ev = *ev;
	r->ev.seq = ++l->last_seq;
	r->ev.text = (struct wire_slice){NULL, 0};
	r->ev.id = r->id = ev->id != NULL ? mem_strdup(ev->id) : NULL;
	r->ev.name = r->name = ev->name != NULL ? mem_strdup(ev->name) : NULL;
	json_incref(r->ev.bundle);
	json_incref(r->ev.metadata);
	json_incref(r->ev.traceback);
	json_incref(r->ev.plain);
	count_bytes(l, r, gw_evlog_cost(ev) - ev->text.len);
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

static struct gw_evrec *
last_growing(struct gw_evlog *l, const struct gw_event *ev, uint64_t read_seq)
{
	struct gw_evrec *r = newest(l);

	if (r == NULL || r->ev.kind != ev->kind || r->ev.seq <= read_seq ||
	    r->ev.text.len >= GW_EVLOG_PIECE)
		return NULL;
	return r;
}

void
gw_evlog_init(struct gw_evlog *l)
{
	*l = (struct gw_evlog){0};
}

void
gw_evlog_fini(struct gw_evlog *l)
{
	while (l->n > 0)
		free_oldest(l);
	mem_free(l->rec);
	l->rec = NULL;
	l->cap = l->head = 0;
}

size_t
gw_evlog_cost(const struct gw_event *ev)
{
	return sizeof(struct gw_evrec) + (ev->id != NULL ? strlen(ev->id) : 0) +
	       (ev->name != NULL ? strlen(ev->name) : 0) + json_bytes(ev->bundle) +
	       json_bytes(ev->metadata) + json_bytes(ev->traceback) + json_bytes(ev->plain) +
	       ev->text.len;
}

void
gw_evlog_append(struct gw_evlog *l, const struct gw_event *ev, uint64_t read_seq)
{
	const char *text = ev->text.ptr;
	size_t left = ev->text.len;
	struct gw_evrec *r;

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

/* Number of the last event that is gone. */
static uint64_t
gone_seq(const struct gw_evlog *l)
{
	return l->last_seq - l->n;
}

const struct gw_event *
gw_evlog_after(const struct gw_evlog *l, uint64_t seq)
{
	uint64_t gone = gone_seq(l);

	if (seq >= l->last_seq || l->n == 0)
		return NULL;
	return &l->rec[l->head + (seq > gone ? seq - gone : 0)]->ev;
}

const struct gw_event *
gw_evlog_next(const struct gw_evlog *l, const struct gw_event *ev)
{
	return gw_evlog_after(l, ev->seq);
}

size_t
gw_evlog_bytes_after(const struct gw_evlog *l, uint64_t seq)
{
	uint64_t gone = gone_seq(l);

	if (seq >= l->last_seq || l->n == 0)
		return 0;
	if (seq <= gone)
		return l->bytes;
	return (size_t)(l->total - l->rec[l->head + (seq - gone) - 1]->end);
}

void
gw_evlog_trim(struct gw_evlog *l, uint64_t seq, size_t max)
{
	while (l->bytes > max && l->n > 0 && gone_seq(l) < seq)
		free_oldest(l);
}
