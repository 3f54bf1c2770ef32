/* tests/fuzz/fuzz_gw_glob.c - a pattern and a path.
 *
 * Input: the pattern, a NUL, the path.  What is simple enough is matched by a second matcher too,
 * one that tries everything; and the path's own text, escaped, must match it and nothing longer.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/glob.h"
#include "tests/fuzz/fuzz.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define SIMPLE_MAX 100 /* bytes of what the second matcher gets */

/* Whether form matches text, both ASCII, form without classes, braces and escapes: what is known of
 * the two rests is kept in seen. */
static bool
naive(const char *form, const char *p, const char *text, const char *t,
      signed char seen[SIMPLE_MAX][SIMPLE_MAX])
{
	signed char *known = &seen[p - form][t - text];
	bool part = p == form || p[-1] == '/';
	bool yes = false;

	if (*known != 0)
		return *known > 0;
	if (part && strcmp(p, "**") == 0) {
		yes = *t != '\0';
	} else if (part && strncmp(p, "**/", 3) == 0) {
		const char *at = t - 1;

		while (!yes && at != NULL) {
			yes = naive(form, p + 3, text, at + 1, seen);
			at = strchr(at + 1, '/');
		}
	} else if (*p == '*') {
		yes = naive(form, p + 1, text, t, seen) ||
		      (*t != '\0' && *t != '/' && naive(form, p, text, t + 1, seen));
	} else if (*p == '\0' || *t == '\0') {
		yes = *p == *t;
	} else if (*p == '?' ? *t != '/' : *p == *t) {
		yes = naive(form, p + 1, text, t + 1, seen);
	}
	*known = yes ? 1 : -1;
	return yes;
}

static bool
is_simple(const char *text, const char *without)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] >= 0x80)
			return false;
	}
	return len > 0 && len < SIMPLE_MAX && strcspn(text, without) == len;
}

static void
compare(const char *pattern, const char *path, bool yes)
{
	static signed char seen[SIMPLE_MAX][SIMPLE_MAX];
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;

	if (!is_simple(pattern, "[{\\") || !is_simple(path, "") ||
	    strncmp(pattern, "./", 2) == 0)
		return;
	memset(seen, 0, sizeof(seen));
	if (strchr(pattern, '/') != NULL)
		assert(naive(pattern, pattern, path, path, seen) == yes);
	else
		assert(naive(pattern, pattern, name, name, seen) == yes);
}

/* The path as a pattern for itself; owned by the caller. */
static char *
escaped(const char *path)
{
	char *out = mem_new(2 * strlen(path) + 1);
	size_t n = 0;

	for (const char *p = path; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x80 && *p != '/')
			out[n++] = '\\';
		out[n++] = *p;
	}
	return out;
}

static void
match_itself(const char *path)
{
	char *pattern = escaped(path);
	size_t len = strlen(path);
	char *longer = mem_new(len + 2);
	struct gw_glob *g;
	struct err err;

	memcpy(longer, path, len);
	longer[len] = '!';
	if (gw_glob_new(pattern, &g, &err) == 0) {
		assert(gw_glob_match(g, path));
		assert(!gw_glob_match(g, longer));
		gw_glob_free(g);
	} else {
		assert(len == 0 || strlen(pattern) > GW_GLOB_MAX);
	}
	mem_free(longer);
	mem_free(pattern);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_new(size + 2); /* pattern and path each end with a NUL */
	const char *path = text;
	struct gw_glob *g = NULL;
	struct err err = {""};
	int rc;

	if (size > 0)
		memcpy(text, data, size);
	path += strlen(text) + 1;
	rc = gw_glob_new(text, &g, &err);
	if (rc == 0) {
		bool yes = gw_glob_match(g, path);

		assert(gw_glob_steps(g) <= ((uint64_t)GW_GLOB_MAX * 2 + 2) *
		                               (strlen(path) + 1) * (strlen(path) + 1) *
		                               GW_GLOB_FORMS_MAX);
		assert(gw_glob_match(g, path) == yes);
		compare(text, path, yes);
		gw_glob_free(g);
	} else {
		assert(rc == -EINVAL || rc == -EMSGSIZE);
		assert(strncmp(err.text, "pattern: ", 9) == 0);
	}
	if (path[0] != '\0' && path[0] != '/')
		match_itself(path);
	mem_free(text);
	return 0;
}
