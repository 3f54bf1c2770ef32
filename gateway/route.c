/* gateway/route.c - see gateway/route.h. */
#include "gateway/route.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/dialect.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"

enum kind { LITERAL, PARAM, REST, END }; /* in the order of preference */

struct segment {
	enum kind kind;
	char *text; /* literal, or the parameter's name */
};

struct row {
	const struct gw_route *route;
	const struct gw_dialect *dialect;
	size_t order; /* as registered */
	size_t n;
	struct segment seg[GW_ROUTE_SEGMENTS_MAX];
};

struct gw_route_table {
	const struct gw_dialect *const *dialects; /* borrowed */
	size_t n;
	struct row **rows; /* the preferred first */
};

/* A request's path, cut and decoded. */
struct path {
	char *text;
	size_t n;
	char *seg[GW_ROUTE_SEGMENTS_MAX];
};

/* What stands between two slashes of a template. */
static struct segment
compile_segment(const char *p, size_t len)
{
	const bool braces = len > 2 && p[0] == '{' && p[len - 1] == '}';
	struct segment s = {.text = mem_new(len + 1)};
	char *dots;

	memcpy(s.text, braces ? p + 1 : p, braces ? len - 2 : len);
	if (!braces)
		return s;
	dots = strstr(s.text, "...");
	s.kind = dots != NULL ? REST : PARAM;
	if (dots != NULL)
		*dots = '\0';
	return s;
}

static struct row *
compile(const struct gw_dialect *d, const struct gw_route *route, size_t order)
{
	struct row *r = mem_new(sizeof(*r));
	const char *p = route->path;

	assert(p[0] == '/');
	assert(strcmp(route->method, "WS") == 0 ? route->ws != NULL : route->http != NULL);
	*r = (struct row){.route = route, .dialect = d, .order = order};
	while (*p == '/') {
		size_t len = strcspn(++p, "/");

		assert(r->n < GW_ROUTE_SEGMENTS_MAX);
		assert(r->n == 0 || r->seg[r->n - 1].kind != REST);
		r->seg[r->n++] = compile_segment(p, len);
		p += len;
	}
	return r;
}

static enum kind
kind_at(const struct row *r, size_t i)
{
	return i < r->n ? r->seg[i].kind : END;
}

static int
by_preference(const void *pa, const void *pb)
{
	const struct row *a = *(struct row *const *)pa, *b = *(struct row *const *)pb;

	if ((a->route->header != NULL) != (b->route->header != NULL))
		return a->route->header != NULL ? -1 : 1;
	for (size_t i = 0; i < a->n || i < b->n; i++)
		if (kind_at(a, i) != kind_at(b, i))
			return kind_at(a, i) < kind_at(b, i) ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

struct gw_route_table *
gw_route_table_new(const struct gw_dialect *const *dialects)
{
	struct gw_route_table *t = mem_new(sizeof(*t));
	size_t n = 0;

	t->dialects = dialects;
	for (const struct gw_dialect *const *d = dialects; *d != NULL; d++)
		for (const struct gw_route *r = (*d)->routes; r->method != NULL; r++)
			n++;
	t->rows = mem_new((n + 1) * sizeof(struct row *));
	for (const struct gw_dialect *const *d = dialects; *d != NULL; d++)
		for (const struct gw_route *r = (*d)->routes; r->method != NULL; r++, t->n++)
			t->rows[t->n] = compile(*d, r, t->n);
	qsort(t->rows, t->n, sizeof(struct row *), by_preference);
	return t;
}

void
gw_route_table_free(struct gw_route_table *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++) {
		for (size_t k = 0; k < t->rows[i]->n; k++)
			mem_free(t->rows[i]->seg[k].text);
		mem_free(t->rows[i]);
	}
	mem_free(t->rows);
	mem_free(t);
}

/* Returns 0, or -EINVAL: bad encoding, "." or "..", or more segments than any row has. */
static int
cut(const char *path, struct path *ret)
{
	char *p = mem_strdup(path);

	*ret = (struct path){.text = p};
	for (bool more = *p == '/'; more;) {
		char *s = p + 1;
		size_t len = strcspn(s, "/");

		if (ret->n == GW_ROUTE_SEGMENTS_MAX)
			return -EINVAL;
		p = s + len;
		more = *p == '/';
		*p = '\0';
		if (gw_uri_decode(s, len, false) < 0 || strcmp(s, ".") == 0 ||
		    strcmp(s, "..") == 0)
			return -EINVAL;
		ret->seg[ret->n++] = s;
	}
	return ret->n > 0 ? 0 : -EINVAL;
}

static bool
fits(const struct row *r, const struct path *p)
{
	for (size_t i = 0; i < r->n; i++) {
		if (r->seg[i].kind == REST)
			return i < p->n;
		if (i >= p->n)
			return false;
		if (r->seg[i].kind == LITERAL ? strcmp(r->seg[i].text, p->seg[i]) != 0
		                              : p->seg[i][0] == '\0')
			return false;
	}
	return r->n == p->n;
}

/* Join segment i and those after it again, in place: decoded, they only shrank. */
static void
join_rest(struct path *p, size_t i)
{
	char *end = p->seg[i] + strlen(p->seg[i]);

	for (size_t k = i + 1; k < p->n; k++) {
		size_t len = strlen(p->seg[k]);

		*end++ = '/';
		memmove(end, p->seg[k], len + 1);
		end += len;
	}
}

/* Moves p's text to the match. */
static void
bind_params(const struct row *r, struct path *p, struct gw_route_match *m)
{
	*m = (struct gw_route_match){.row = r->route, .dialect = r->dialect, .text = p->text};
	p->text = NULL;
	for (size_t i = 0; i < r->n; i++) {
		if (r->seg[i].kind == LITERAL)
			continue;
		assert(m->n < GW_ROUTE_PARAMS_MAX);
		if (r->seg[i].kind == REST)
			join_rest(p, i);
		m->param[m->n++] =
		    (struct gw_uri_pair){.name = r->seg[i].text, .value = p->seg[i]};
	}
}

static bool
method_fits(const char *row, const char *method)
{
	return strcmp(row, method) == 0 ||
	       (strcmp(method, "HEAD") == 0 && strcmp(row, "GET") == 0);
}

int
gw_route_find(const struct gw_route_table *t, const char *method, const char *path,
              gw_route_has_fn *has, const void *arg, struct gw_route_match *ret)
{
	struct path p;
	int rc = cut(path, &p);

	if (rc == 0)
		rc = -ENOENT;
	for (size_t i = 0; i < t->n && rc != -EINVAL; i++) {
		const struct row *r = t->rows[i];

		if (!fits(r, &p) || (r->route->header != NULL && !has(arg, r->route->header)))
			continue;
		rc = -EACCES;
		if (method_fits(r->route->method, method)) {
			bind_params(r, &p, ret);
			rc = 0;
			break;
		}
	}
	mem_free(p.text);
	return rc;
}

void
gw_route_match_fini(struct gw_route_match *m)
{
	mem_free(m->text);
	*m = (struct gw_route_match){.row = NULL};
}

void
gw_route_allow(const struct gw_route_table *t, const char *path, struct buf *ret)
{
	static const char *const methods[] = {"GET",   "HEAD",   "POST",   "PUT",
	                                      "PATCH", "DELETE", "OPTIONS"};
	struct path p;

	if (cut(path, &p) == 0)
		for (size_t k = 0; k < sizeof(methods) / sizeof(methods[0]); k++)
			for (size_t i = 0; i < t->n; i++)
				if (fits(t->rows[i], &p) &&
				    method_fits(t->rows[i]->route->method, methods[k])) {
					(void)buf_printf(ret, "%s%s", ret->len > 0 ? ", " : "",
					                 methods[k]);
					break;
				}
	mem_free(p.text);
}

/* Is path at the prefix or below?  A segment {name} of it fits any that is not empty. */
static bool
owns(const char *prefix, const char *path)
{
	char last = '/'; /* of the prefix, "" standing for "/" */

	while (*prefix != '\0') {
		if (*prefix == '{' && *path != '/' && *path != '\0') {
			prefix += strcspn(prefix, "/");
			path += strcspn(path, "/");
			last = '}';
		} else if (*prefix == *path++) {
			last = *prefix++;
		} else {
			return false;
		}
	}
	return last == '/' || *path == '/' || *path == '\0';
}

const struct gw_dialect *
gw_route_owner(const struct gw_route_table *t, const char *path)
{
	const struct gw_dialect *best = NULL;

	for (const struct gw_dialect *const *d = t->dialects; *d != NULL; d++)
		if (owns((*d)->prefix, path) &&
		    (best == NULL || strlen((*d)->prefix) > strlen(best->prefix)))
			best = *d;
	return best;
}
