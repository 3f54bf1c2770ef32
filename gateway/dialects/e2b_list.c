/* gateway/dialects/e2b_list.c - E2B's list of sandboxes: filters, order, pages. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/core.h"
#include "gateway/dialects/e2b.h"
#include "gateway/labels.h"
#include "gateway/sandbox.h"
#include "gateway/text.h"
#include "gateway/time.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define LIMIT    100 /* of a page: what is served at most, and by default */
#define MARK_MAX 80  /* of a sandbox's place in the list */

/* --- filters ------------------------------------------------------------------------------ */

struct filter {
	json_t *metadata;     /* object: all of them must match */
	const char *states;   /* comma-separated, or NULL: all */
	const char *template; /* or NULL */
	const char *after;    /* place of the last one that the client has, or NULL */
	int64_t started_ms;   /* not before; -1: all */
	uint64_t limit;
	bool newest_first;
};

/* Where it stands: sorts as text does. */
static const char *
place(const struct gw_sandbox *sb, char mark[MARK_MAX])
{
	(void)snprintf(mark, MARK_MAX, "%s_%s", sb->created, sb->id.id);
	return mark;
}

static bool
matches(const struct gw_sandbox *sb, const struct filter *f)
{
	char mark[MARK_MAX];
	int cmp = f->after != NULL ? strcmp(place(sb, mark), f->after) : 0;

	return strcmp(sb->id.id, GW_SANDBOX_DEFAULT) != 0 &&
	       gw_labels_match(sb->labels, f->metadata) &&
	       (f->states == NULL || strstr(f->states, gw_e2b_state(sb)) != NULL) &&
	       (f->template == NULL || strcmp(f->template, sb->image) == 0) &&
	       gw_time_parse(sb->created) >= f->started_ms &&
	       (f->after == NULL || (f->newest_first ? cmp < 0 : cmp > 0));
}

/* A query value that is not empty, or NULL. */
static const char *
query(const struct gw_http *x, const char *name)
{
	const char *v = gw_http_query(x, name);

	return v != NULL && v[0] != '\0' ? v : NULL;
}

static int
check_states(const char *states, struct err *err)
{
	const char *p = states;

	while (p != NULL) {
		size_t n = strcspn(p, ",");

		if ((n != 7 || strncmp(p, "running", n) != 0) &&
		    (n != 6 || strncmp(p, "paused", n) != 0))
			return err_set(err, -EINVAL,
			               "state=%.60s: expected running, paused or both", states);
		p = p[n] == ',' ? p + n + 1 : NULL;
	}
	return 0;
}

static int
read_filter(const struct gw_http *x, struct filter *f, struct err *err)
{
	const char *limit = query(x, "limit");
	const char *order = query(x, "order");
	const char *started = query(x, "startedAfter");
	struct err why;

	f->states = query(x, "state");
	f->template = query(x, "template");
	f->after = query(x, "nextToken");
	f->newest_first = order == NULL || strcmp(order, "desc") == 0;
	f->started_ms = started != NULL ? gw_time_parse(started) : -1;
	f->limit = LIMIT;
	if (limit != NULL && gw_text_number(limit, 1, LIMIT, &f->limit, &why) != 0)
		return err_set(err, -EINVAL, "limit=%.40s: %s", limit, why.text);
	if (!f->newest_first && strcmp(order, "asc") != 0)
		return err_set(err, -EINVAL, "order=%.40s: expected asc or desc", order);
	if (started != NULL && f->started_ms < 0)
		return err_set(err, -EINVAL, "startedAfter=%.40s: expected an RFC 3339 time",
		               started);
	return check_states(f->states, err);
}

/* --- the list ----------------------------------------------------------------------------- */

static int
by_place(const void *a, const void *b)
{
	char ma[MARK_MAX];
	char mb[MARK_MAX];

	return strcmp(place(*(struct gw_sandbox *const *)a, ma),
	              place(*(struct gw_sandbox *const *)b, mb));
}

/* Those that match, oldest first; owned by the caller. */
static struct gw_sandbox **
collect(struct gw_core *core, const struct filter *f, size_t *ret_n)
{
	struct gw_sandbox **all;
	struct list *it;
	struct list *tmp;
	size_t n = 0;

	list_each (it, tmp, &core->sandboxes)
		n++;
	all = mem_new((n + 1) * sizeof(struct gw_sandbox *));
	n = 0;
	list_each (it, tmp, &core->sandboxes) {
		struct gw_sandbox *sb = list_entry(it, struct gw_sandbox, node);

		if (matches(sb, f))
			all[n++] = sb;
	}
	qsort(all, n, sizeof(struct gw_sandbox *), by_place);
	*ret_n = n;
	return all;
}

static void
reply_page(struct gw_core *core, struct gw_http *x, const struct filter *f)
{
	json_t *page = json_array();
	char mark[MARK_MAX];
	size_t n;
	struct gw_sandbox **all = collect(core, f, &n);

	for (size_t i = 0; i < n && i < f->limit; i++) {
		const struct gw_sandbox *sb = all[f->newest_first ? n - 1 - i : i];

		json_array_append_new(page, gw_e2b_describe(sb));
		if (i + 1 == f->limit && n > f->limit)
			gw_http_add_header(x, "X-Next-Token", place(sb, mark));
	}
	mem_free(all);
	gw_http_reply_json(x, 200, page);
}

void
gw_e2b_sandbox_list(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	const char *metadata = query(x, "metadata");
	struct filter f = {0};
	struct err err;

	(void)body;
	(void)len;
	f.metadata = gw_labels_parse(metadata != NULL ? metadata : "", 2); /* as the SDKs do */
	if (read_filter(x, &f, &err) == 0)
		reply_page(core, x, &f);
	else
		gw_e2b_fail(x, 400, "%s", err.text);
	json_decref(f.metadata);
}
