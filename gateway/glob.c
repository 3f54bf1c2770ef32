/* gateway/glob.c - see gateway/glob.h.
 *
 * Braces are spelled out first, so that what is left is matched by going back to the last star,
 * and past it to the last ** only: never exponential.
 */
#include "gateway/glob.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

struct gw_glob {
	char *forms[GW_GLOB_FORMS_MAX];
	size_t n;
	uint64_t steps;
};

/* --- reading a pattern -------------------------------------------------------------------- */

/* The end of the class that begins at p[0] == '[', behind its ']'; NULL: it has none, or is
 * empty. */
static const char *
class_end(const char *p)
{
	p++;
	if (*p == '!' || *p == '^')
		p++;
	if (*p == ']')
		return NULL;
	for (; *p != '\0' && *p != ']'; p++) {
		if (*p == '\\' && *++p == '\0')
			return NULL;
	}
	return *p == ']' ? p + 1 : NULL;
}

/* Behind the next element of a pattern: a class, an escaped character, or a byte. */
static const char *
next(const char *p)
{
	const char *end = *p == '[' ? class_end(p) : NULL;

	if (end != NULL)
		return end;
	return *p == '\\' && p[1] != '\0' ? p + 2 : p + 1;
}

static int
check(const char *pattern, struct err *err)
{
	unsigned open_n = 0;

	for (const char *p = pattern; *p != '\0'; p = next(p)) {
		if (*p == '[' && class_end(p) == NULL)
			return err_set(err, -EINVAL, "pattern: a '[' that nothing closes");
		if (*p == '\\' && p[1] == '\0')
			return err_set(err, -EINVAL, "pattern: a '\\' at its end");
		if (*p == '{')
			open_n++;
		else if (*p == '}' && open_n > 0)
			open_n--;
	}
	if (open_n > 0)
		return err_set(err, -EINVAL, "pattern: a '{' that nothing closes");
	return 0;
}

/* --- braces ------------------------------------------------------------------------------- */

/* The first '{' of a form, or NULL. */
static const char *
brace(const char *p)
{
	while (*p != '\0' && *p != '{')
		p = next(p);
	return *p == '{' ? p : NULL;
}

/* Behind the alternative that begins at p, one that a ',' or '}' ends. */
static const char *
alternative_end(const char *p)
{
	unsigned depth = 0;

	while (depth > 0 || (*p != ',' && *p != '}')) {
		if (*p == '{')
			depth++;
		else if (*p == '}')
			depth--;
		p = next(p);
	}
	return p;
}

/* Replace form i by what its first braces, at open, spell out.  Returns 0 or -EMSGSIZE. */
static int
spell(struct gw_glob *g, size_t i, const char *open)
{
	char *form = g->forms[i];
	const char *close = open;
	bool first = true;

	do
		close = alternative_end(close + 1);
	while (*close != '}');
	for (const char *at = open; at < close;) {
		const char *end = alternative_end(at + 1);
		size_t room = strlen(form) + 1;
		char *one;

		if (!first && g->n == GW_GLOB_FORMS_MAX) {
			mem_free(form);
			return -EMSGSIZE;
		}
		one = mem_new(room);
		(void)snprintf(one, room, "%.*s%.*s%s", (int)(open - form), form,
		               (int)(end - at - 1), at + 1, close + 1);
		g->forms[first ? i : g->n++] = one;
		first = false;
		at = end;
	}
	mem_free(form);
	return 0;
}

int
gw_glob_new(const char *pattern, struct gw_glob **ret, struct err *err)
{
	struct gw_glob *g;
	int rc;

	if (strlen(pattern) > GW_GLOB_MAX)
		return err_set(err, -EMSGSIZE, "pattern: longer than %d bytes", GW_GLOB_MAX);
	while (pattern[0] == '.' && pattern[1] == '/')
		pattern += 2;
	if (pattern[0] == '\0')
		return err_set(err, -EINVAL, "pattern: it is empty");
	rc = check(pattern, err);
	if (rc != 0)
		return rc;
	g = mem_new(sizeof(*g));
	g->forms[g->n++] = mem_strdup(pattern);
	for (size_t i = 0; rc == 0 && i < g->n;) {
		const char *open = brace(g->forms[i]);

		if (open != NULL)
			rc = spell(g, i, open);
		else
			i++;
	}
	if (rc != 0) {
		gw_glob_free(g);
		return err_set(err, rc, "pattern: its braces spell more than %d forms",
		               GW_GLOB_FORMS_MAX);
	}
	*ret = g;
	return 0;
}

void
gw_glob_free(struct gw_glob *g)
{
	if (g == NULL)
		return;
	for (size_t i = 0; i < g->n; i++)
		mem_free(g->forms[i]);
	mem_free(g);
}

/* --- matching ----------------------------------------------------------------------------- */

/* The character at *at, which goes on behind it; a byte of none gets a number that no character
 * has. */
static uint32_t
take(const char **at)
{
	const unsigned char *u = (const unsigned char *)*at;
	size_t len = u[0] < 0xc0 ? 1 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	uint32_t c = u[0];

	if (c >= 0x80 && (strnlen(*at, len) < len || !utf8_valid(*at, len))) {
		len = 1;
		c |= 0x80000000;
	} else if (len > 1) {
		c &= 0xffU >> (len + 1);
		for (size_t i = 1; i < len; i++)
			c = c << 6 | (u[i] & 0x3f);
	}
	*at += len;
	return c;
}

/* One character of a class, perhaps escaped. */
static uint32_t
take_member(const char **at)
{
	if (**at == '\\')
		++*at;
	return take(at);
}

/* Whether the class at *p, which goes on behind it, has c. */
static bool
in_class(const char **p, uint32_t c)
{
	const char *at = *p + 1;
	bool not = *at == '!' || *at == '^';
	bool found = false;

	if (not )
		at++;
	while (*at != ']') {
		uint32_t low = take_member(&at);
		uint32_t high = low;

		if (at[0] == '-' && at[1] != ']') {
			at++;
			high = take_member(&at);
		}
		found = found || (low <= c && c <= high);
	}
	*p = at + 1;
	return found != not ;
}

/* Match one element, no star, and go on behind it in both. */
static bool
match_one(const char **p, const char **t)
{
	const char *at = *t;
	uint32_t c;
	bool ok;

	if (**p == '\0' || *at == '\0')
		return false;
	c = take(&at);
	if (**p == '?') {
		++*p;
		ok = c != '/';
	} else if (**p == '[') {
		ok = in_class(p, c) && c != '/';
	} else {
		ok = take_member(p) == c;
	}
	if (ok)
		*t = at;
	return ok;
}

/* Whether p is a whole part "**" of form; *ret is what comes after it and its slash. */
static bool
is_deep(const char *form, const char *p, const char **ret)
{
	if ((p > form && p[-1] != '/') || p[0] != '*' || p[1] != '*' ||
	    (p[2] != '/' && p[2] != '\0'))
		return false;
	*ret = p + (p[2] == '/' ? 3 : 2);
	return true;
}

/* Where to try again: t is how far the star, or the ** before it, reached. */
struct retry {
	const char *p, *t; /* p NULL: nowhere */
};

static bool
go_back(struct retry *star, struct retry *deep, const char **p, const char **t)
{
	if (star->p != NULL && *star->t != '\0' && *star->t != '/') {
		(void)take(&star->t);
		*p = star->p;
		*t = star->t;
		return true;
	}
	if (deep->p == NULL || (deep->t = strchr(deep->t, '/')) == NULL)
		return false;
	star->p = NULL;
	*p = deep->p;
	*t = ++deep->t;
	return true;
}

static bool
match_form(struct gw_glob *g, const char *form, const char *text)
{
	struct retry star = {NULL, NULL};
	struct retry deep = {NULL, NULL};
	const char *p = form;
	const char *t = text;
	const char *rest;

	for (;;) {
		const char *was = p;

		g->steps++;
		if (is_deep(form, p, &rest)) {
			if (rest[-1] == '*') /* it ends with it */
				return *t != '\0';
			p = rest;
			deep = (struct retry){p, t};
			star.p = NULL;
		} else if (*p == '*') {
			star = (struct retry){++p, t};
		} else if (*p == '\0' && *t == '\0') {
			return true;
		} else {
			bool ok = match_one(&p, &t);

			if (*was == '[') /* it is looked through */
				g->steps += (uint64_t)(p - was);
			if (!ok && !go_back(&star, &deep, &p, &t))
				return false;
		}
	}
}

bool
gw_glob_match(struct gw_glob *g, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;

	for (size_t i = 0; i < g->n; i++) {
		bool whole = strchr(g->forms[i], '/') != NULL;

		if (match_form(g, g->forms[i], whole ? path : name))
			return true;
	}
	return false;
}

uint64_t
gw_glob_steps(const struct gw_glob *g)
{
	return g->steps;
}
