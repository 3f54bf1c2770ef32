/* gateway/envfile.c - see gateway/envfile.h. */
#include "gateway/envfile.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "kernelmgr/env.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"

#define NAME_FIRST "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
#define NAME_MORE  NAME_FIRST "0123456789"
#define NAME_MAX   1024

struct reader {
	const char *at, *end;
	const struct km_env *env; /* what variables are outside */
	json_t *vars;             /* what the lines before say; its values may be any bytes */
	size_t added;             /* bytes that stand for variables, in all */
	unsigned named_n;         /* variables that were referred to */
	struct buf value;         /* of the line that is read */
};

static bool
is_in(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* Length of the name at s, 0 if there is none. */
static size_t
name_len(const char *s, const char *end)
{
	size_t n = 0;

	while (s + n < end && is_in(s[n], n == 0 ? NAME_FIRST : NAME_MORE))
		n++;
	return n <= NAME_MAX ? n : 0;
}

static const char *
line_end(const struct reader *r, const char *from)
{
	const char *nl = memchr(from, '\n', (size_t)(r->end - from));

	return nl != NULL ? nl : r->end;
}

static void
skip_blanks(struct reader *r)
{
	while (r->at < r->end && is_in(*r->at, " \t\r"))
		r->at++;
}

/* What name[0..len) stands for; lent. */
static const char *
find(const struct reader *r, const char *name, size_t len)
{
	char copy[NAME_MAX + 1];
	const json_t *v;

	memcpy(copy, name, len);
	copy[len] = '\0';
	v = json_object_get(r->vars, copy);
	return v != NULL ? json_string_value(v) : km_env_find(r->env, copy);
}

/* Append what is at s ('$'...), and set *used to its length.  Returns 0 or -EMSGSIZE. */
static int
put_variable(struct reader *r, const char *s, const char *end, size_t *used)
{
	bool brace = s + 1 < end && s[1] == '{';
	const char *name = s + 1 + brace;
	size_t len = name_len(name, end);
	const char *value;

	if (len == 0 || (brace && (name + len >= end || name[len] != '}'))) {
		*used = 1;
		return buf_append(&r->value, s, 1);
	}
	*used = 1 + len + (brace ? 2 : 0);
	if (++r->named_n > GW_ENVFILE_NAMED_MAX)
		return -EMSGSIZE;
	value = find(r, name, len);
	if (value == NULL)
		return 0;
	r->added += strlen(value);
	if (r->added > GW_ENVFILE_MAX)
		return -EMSGSIZE;
	return buf_append(&r->value, value, strlen(value));
}

/* Append the character that \c stands for, in double quotes. */
static int
put_escaped(struct reader *r, char c)
{
	static const char from[] = "ntr\"\\$", to[] = "\n\t\r\"\\$";
	const char *which = c != '\0' ? strchr(from, c) : NULL;
	const char both[2] = {'\\', c};

	if (which == NULL)
		return buf_append(&r->value, both, sizeof(both));
	return buf_append(&r->value, &to[which - from], 1);
}

/* The quoted text at r->at, which is moved behind it.  Returns 0, -EMSGSIZE, or -EINVAL: no quote
 * ends it. */
static int
read_quoted(struct reader *r)
{
	char quote = *r->at;
	const char *s = r->at + 1;
	int rc = 0;

	while (rc == 0 && s < r->end && *s != quote) {
		size_t used = 1;

		if (quote == '"' && *s == '\\' && s + 1 < r->end) {
			rc = put_escaped(r, s[1]);
			used = 2;
		} else if (quote == '"' && *s == '$') {
			rc = put_variable(r, s, r->end, &used);
		} else {
			rc = buf_append(&r->value, s, 1);
		}
		s += used;
	}
	if (rc == 0 && s >= r->end)
		return -EINVAL;
	r->at = s + 1;
	return rc;
}

static int
read_bare(struct reader *r)
{
	const char *end = line_end(r, r->at);
	const char *s = r->at;
	int rc = 0;

	r->at = end;
	while (end > s && is_in(end[-1], " \t\r"))
		end--;
	while (rc == 0 && s < end) {
		size_t used = 1;

		if (*s == '$')
			rc = put_variable(r, s, end, &used);
		else
			rc = buf_append(&r->value, s, 1);
		s += used;
	}
	return rc;
}

/* The value at r->at, and what may follow it on its line.  Returns as read_quoted(). */
static int
read_value(struct reader *r)
{
	int rc;

	r->value.len = 0;
	if (r->at < r->end && is_in(*r->at, "'\"")) {
		rc = read_quoted(r);
		skip_blanks(r);
		if (rc == 0 && r->at < r->end && !is_in(*r->at, "#\n"))
			rc = -EINVAL;
	} else {
		rc = read_bare(r);
	}
	if (rc == 0 && r->value.len > 0 && memchr(r->value.data, '\0', r->value.len) != NULL)
		rc = -EINVAL;
	return rc;
}

/* One line, or several where a quoted value goes on.  Returns 0, or -EMSGSIZE. */
static int
read_entry(struct reader *r)
{
	static const char export[] = "export ";
	const char *start = r->at, *name;
	char copy[NAME_MAX + 1];
	size_t len;
	int rc = -EINVAL;

	skip_blanks(r);
	if ((size_t)(r->end - r->at) >= sizeof(export) - 1 &&
	    memcmp(r->at, export, sizeof(export) - 1) == 0) {
		r->at += sizeof(export) - 1;
		skip_blanks(r);
	}
	name = r->at;
	len = name_len(name, r->end);
	if (len > 0 && name + len < r->end && name[len] == '=') {
		r->at += len + 1;
		rc = read_value(r);
	}
	if (rc == -EINVAL)
		r->at = start; /* not even the lines that its quotes hold */
	r->at = line_end(r, r->at);
	r->at += r->at < r->end;
	if (rc == 0) {
		memcpy(copy, name, len);
		copy[len] = '\0';
		json_object_set_new(
		    r->vars, copy,
		    json_stringn_nocheck(r->value.len > 0 ? r->value.data : "", r->value.len));
	}
	return rc == -EINVAL ? 0 : rc;
}

int
gw_envfile_parse(const char *text, size_t len, struct km_env *env, struct err *err)
{
	struct reader r = {.at = text, .end = text + len, .env = env, .vars = json_object()};
	int rc = len > GW_ENVFILE_MAX ? -EMSGSIZE : 0;

	buf_init(&r.value, 2UL * GW_ENVFILE_MAX);
	while (rc == 0 && r.at < r.end)
		rc = read_entry(&r);
	if (rc == 0 && json_object_size(r.vars) > GW_ENVFILE_VARS_MAX)
		rc = -EMSGSIZE;
	if (rc == 0)
		rc = km_env_add(env, r.vars, NULL, err);
	else
		(void)err_set(
		    err, rc, "it has more than %u bytes, %d variables or %d references to some",
		    GW_ENVFILE_MAX, GW_ENVFILE_VARS_MAX, GW_ENVFILE_NAMED_MAX);
	json_decref(r.vars);
	buf_fini(&r.value);
	return rc;
}
