/* kernelmgr/env.c - see kernelmgr/env.h. */
#include "kernelmgr/env.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define OURS          "KERNELBRIDGE_"
#define VALUE_MAX     131072 /* execve(2): MAX_ARG_STRLEN, for name, '=' and value */
#define NAME_ALPHABET "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"

struct km_env {
	char **vars; /* n pairs "NAME=value", then NULL */
	size_t n;
};

struct km_env *
km_env_new(void)
{
	struct km_env *e = mem_new(sizeof(*e));

	e->vars = mem_new(sizeof(*e->vars));
	return e;
}

void
km_env_free(struct km_env *e)
{
	if (e == NULL)
		return;
	for (size_t i = 0; i < e->n; i++)
		mem_free(e->vars[i]);
	mem_free(e->vars);
	mem_free(e);
}

/* Index of name[0..len), or n. */
static size_t
index_of(const struct km_env *e, const char *name, size_t len)
{
	size_t i = 0;

	while (i < e->n && (strncmp(e->vars[i], name, len) != 0 || e->vars[i][len] != '='))
		i++;
	return i;
}

static void
append(struct km_env *e, char *pair)
{
	e->vars = mem_realloc(e->vars, (e->n + 2) * sizeof(*e->vars));
	e->vars[e->n++] = pair;
	e->vars[e->n] = NULL;
}

void
km_env_inherit(struct km_env *e)
{
	for (char **var = environ; *var != NULL; var++)
		if (strncmp(*var, OURS, sizeof(OURS) - 1) != 0)
			append(e, mem_strdup(*var));
}

void
km_env_set(struct km_env *e, const char *name, const char *value)
{
	size_t size = strlen(name) + strlen(value) + sizeof("=");
	size_t i = index_of(e, name, strlen(name));
	char *pair = mem_new(size);

	(void)snprintf(pair, size, "%s=%s", name, value);
	if (i == e->n) {
		append(e, pair);
	} else {
		mem_free(e->vars[i]);
		e->vars[i] = pair;
	}
}

static const char *
find(const struct km_env *e, const char *name, size_t len)
{
	size_t i = index_of(e, name, len);

	return i < e->n ? e->vars[i] + len + 1 : NULL;
}

const char *
km_env_find(const struct km_env *e, const char *name)
{
	return find(e, name, strlen(name));
}

/* Length of the identifier at s, 0 if none. */
static size_t
name_len(const char *s)
{
	return *s >= '0' && *s <= '9' ? 0 : strspn(s, NAME_ALPHABET);
}

/* Append what the reference at s ('$'...) stands for; *used is its length. */
static int
expand_one(struct buf *b, const char *s, const struct km_env *values, size_t *used)
{
	size_t brace = s[1] == '{';
	const char *name = s + 1 + brace;
	size_t len = name_len(name);
	const char *value = NULL;

	*used = 1;
	if (s[1] == '$') {
		*used = 2;
	} else if (len > 0 && (!brace || name[len] == '}')) {
		*used = 1 + len + 2 * brace;
		value = find(values, name, len);
		if (value == NULL)
			return buf_append(b, s, *used);
		return buf_append(b, value, strlen(value));
	}
	return buf_append(b, "$", 1);
}

static int
expand(struct buf *b, const char *s, const struct km_env *values)
{
	int ret = 0;

	while (ret == 0 && *s != '\0') {
		size_t used = strcspn(s, "$");

		if (used > 0)
			ret = buf_append(b, s, used);
		else
			ret = expand_one(b, s, values, &used);
		s += used;
	}
	return ret;
}

static int
add_one(struct km_env *e, const char *name, const char *value, const struct km_env *values)
{
	struct buf b;
	int ret;

	buf_init(&b, VALUE_MAX - strlen(name) - 2);
	ret = values != NULL ? expand(&b, value, values) : buf_append(&b, value, strlen(value));
	if (ret == 0)
		km_env_set(e, name, b.len > 0 ? b.data : "");
	buf_fini(&b);
	return ret;
}

int
km_env_add(struct km_env *e, json_t *vars, const struct km_env *values, struct err *err)
{
	const char *name;
	json_t *value;

	json_object_foreach (vars, name, value) {
		const char *text = json_string_value(value);

		if (name[0] == '\0' || strchr(name, '=') != NULL ||
		    strlen(name) > VALUE_MAX / 2)
			return err_set(err, -EINVAL,
			               "environment variable name '%.40s' is empty, has '=' or "
			               "is too long",
			               name);
		if (text == NULL || strlen(text) != json_string_length(value))
			return err_set(
			    err, -EINVAL,
			    "environment variable %.40s is not a string, or has a NUL", name);
		if (add_one(e, name, text, values) != 0)
			return err_set(err, -EINVAL,
			               "environment variable %.40s is larger than %d bytes",
			               name, VALUE_MAX);
	}
	return 0;
}

char *const *
km_env_list(const struct km_env *e)
{
	return e->vars;
}
