/* gateway/dialects/osb_list.c - see gateway/dialects/osb.h: filters and pages. */
#include "gateway/dialects/osb.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "gateway/core.h"
#include "gateway/dialects/osb_sandbox.h"
#include "gateway/labels.h"
#include "gateway/sandbox.h"
#include "gateway/text.h"
#include "wire/base/err.h"

#define SIZE_DEFAULT 20
#define SIZE_LIMIT   200 /* the lifecycle server's own */
#define PAGE_MAX     1000000

struct pages {
	uint64_t page; /* from 1 */
	uint64_t size;
};

/* --- the query ---------------------------------------------------------------------------- */

static int
read_number(const struct gw_http *x, const char *name, uint64_t max, uint64_t *ret,
            struct err *err)
{
	const char *text = gw_http_query(x, name);
	struct err why;

	if (text == NULL || gw_text_number(text, 1, max, ret, &why) == 0)
		return 0;
	return err_set(err, -EINVAL, "%s=%.40s: %s", name, text, why.text);
}

/* The object that metadata= asks for, owned by the caller; empty: all. */
static int
read_metadata(const struct gw_http *x, json_t **ret, struct err *err)
{
	const char *text = gw_http_query(x, "metadata");
	const char *p = text != NULL ? text : "";

	for (size_t n; *p != '\0'; p += n + (p[n] == '&')) {
		n = strcspn(p, "&");
		if (memchr(p, '=', n) == NULL)
			return err_set(err, -EINVAL,
			               "metadata=%.60s: expected name=value, joined by &",
			               text);
	}
	*ret = gw_labels_parse(text != NULL ? text : "", 1);
	return 0;
}

/* Any of the states that are asked for; those that nothing here is ever in match nothing. */
static bool
state_wanted(const struct gw_http *x, const char *state)
{
	const char *want = gw_http_query(x, "state");

	for (size_t i = 0; want != NULL; want = gw_http_query_at(x, "state", ++i))
		if (strcasecmp(want, state) == 0)
			return true;
	return gw_http_query(x, "state") == NULL;
}

static bool
matches(const struct gw_http *x, const struct gw_sandbox *sb, const json_t *metadata)
{
	json_t *shown;
	bool ok;

	if (!state_wanted(x, gw_osb_state(sb)))
		return false;
	if (json_object_size(metadata) == 0)
		return true;
	shown = gw_osb_metadata(sb);
	ok = gw_labels_match(shown, metadata);
	json_decref(shown);
	return ok;
}

/* --- the list ----------------------------------------------------------------------------- */

/* Newest first, as the lifecycle server does. */
static json_t *
page_of(struct gw_core *core, const struct gw_http *x, const struct pages *p,
        const json_t *metadata)
{
	const size_t first = (p->page - 1) * p->size;
	json_t *items = json_array();
	size_t n = 0;
	size_t pages;

	for (const struct list *it = core->sandboxes.prev; it != &core->sandboxes;
	     it = it->prev) {
		const struct gw_sandbox *sb = list_entry(it, struct gw_sandbox, node);

		if (!matches(x, sb, metadata))
			continue;
		if (n >= first && n < first + p->size)
			json_array_append_new(items, gw_osb_describe(sb));
		n++;
	}
	assert(p->size > 0);
	pages = (n + p->size - 1) / p->size;
	return json_pack("{s:o, s:{s:I, s:I, s:I, s:I, s:b}}", "items", items, "pagination",
	                 "page", (json_int_t)p->page, "pageSize", (json_int_t)p->size,
	                 "totalItems", (json_int_t)n, "totalPages", (json_int_t)pages,
	                 "hasNextPage", p->page < pages);
}

void
gw_osb_list(struct gw_core *core, struct gw_http *x, const char *body, size_t len)
{
	struct pages p = {.page = 1, .size = SIZE_DEFAULT};
	json_t *metadata = NULL;
	struct err err;
	int rc = read_number(x, "page", PAGE_MAX, &p.page, &err);

	(void)body;
	(void)len;
	if (rc == 0)
		rc = read_number(x, "pageSize", SIZE_LIMIT, &p.size, &err);
	if (rc == 0)
		rc = read_metadata(x, &metadata, &err);
	if (rc == 0)
		gw_http_reply_json(x, 200, page_of(core, x, &p, metadata));
	else
		gw_osb_fail(x, 400, "INVALID_PARAMETER", "%s", err.text);
	json_decref(metadata);
}
