/* gateway/language_table.c - reading the table of gateway/language.h, and finding rows. */
#include "gateway/language.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "gateway/config_value.h"
#include "gateway/files.h"
#include "kernelmgr/spec.h"
#include "languages.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define FILE_MAX_BYTES ((size_t)1 << 20)

/* --- reading ------------------------------------------------------------------------------ */

enum type { T_TEXT, T_NAMES, T_CODE, T_CHOICE };

struct key {
	const char *name;
	enum type type;
	size_t offset;
	const char *off, *on; /* T_CHOICE: what false and true are called */
};

#define AT(field) offsetof(struct gw_language, field)

/* clang-format off */
static const struct key keys[] = {
	{"aliases",        T_NAMES,  AT(aliases),     NULL, NULL},
	{"kernelspec",     T_TEXT,   AT(kernelspec),  NULL, NULL},
	{"install",        T_TEXT,   AT(install),     NULL, NULL},
	{"version_env",    T_TEXT,   AT(version_env), NULL, NULL},
	{"interrupt",      T_CHOICE, AT(message),     "signal", "message"},
	{"transport",      T_CHOICE, AT(tcp),         "ipc", "tcp"},
	{"exit",           T_CHOICE, AT(exit_ends),   "code", "kernel"},
	{"quote",          T_CHOICE, AT(ansi_c),      "json", "ansi-c"},
	{"enter",          T_CODE,   AT(enter),       NULL, NULL},
	{"enter_each",     T_CODE,   AT(enter_each),  NULL, NULL},
	{"enter_cd",       T_CODE,   AT(enter_cd),    NULL, NULL},
	{"leave",          T_CODE,   AT(leave),       NULL, NULL},
	{"leave_each",     T_CODE,   AT(leave_each),  NULL, NULL},
	{"leave_cd",       T_CODE,   AT(leave_cd),    NULL, NULL},
	{"flush",          T_CODE,   AT(flush),       NULL, NULL},
	{"setup",          T_CODE,   AT(setup),       NULL, NULL},
};
/* clang-format on */

#define KEYS (sizeof(keys) / sizeof(keys[0]))

static bool
is_text(const json_t *v)
{
	return json_is_string(v) && json_string_length(v) > 0 &&
	       strlen(json_string_value(v)) == json_string_length(v);
}

static bool
are_texts(const json_t *v)
{
	size_t i;
	json_t *item;

	json_array_foreach ((json_t *)(uintptr_t)v, i, item) {
		if (!json_is_string(item) ||
		    strlen(json_string_value(item)) != json_string_length(item))
			return false;
	}
	return json_is_array(v);
}

/* The strings of array v, joined by newlines; owned by the caller. */
static char *
join(const json_t *v)
{
	struct buf b;
	size_t i;
	json_t *item;
	char *ret;

	buf_init(&b, FILE_MAX_BYTES);
	json_array_foreach ((json_t *)(uintptr_t)v, i, item) {
		(void)buf_append(&b, "\n", i > 0);
		(void)buf_append(&b, json_string_value(item), json_string_length(item));
	}
	ret = mem_strdup(b.len > 0 ? b.data : "");
	buf_fini(&b);
	return ret;
}

static const char *
read_choice(const struct key *k, const json_t *v, bool *ret)
{
	const char *text = json_string_value(v);

	if (text == NULL || (strcmp(text, k->on) != 0 && strcmp(text, k->off) != 0))
		return "is neither of its two words";
	*ret = strcmp(text, k->on) == 0;
	return NULL;
}

/* Returns NULL, or what is wrong with v. */
static const char *
read_key(const struct key *k, const json_t *v, struct gw_language *l)
{
	void *at = (char *)l + k->offset;
	size_t i;
	json_t *item;

	switch (k->type) {
	case T_TEXT:
		if (!is_text(v))
			return "is not a string, or an empty one";
		*(char **)at = mem_strdup(json_string_value(v));
		return NULL;
	case T_CODE:
		if (!is_text(v) && !are_texts(v))
			return "is neither a string nor an array of strings";
		*(char **)at = json_is_array(v) ? join(v) : mem_strdup(json_string_value(v));
		return NULL;
	case T_NAMES:
		if (!are_texts(v))
			return "is not an array of strings";
		json_array_foreach ((json_t *)(uintptr_t)v, i, item)
			gw_config_value_push(at, json_string_value(item),
			                     json_string_length(item));
		return NULL;
	case T_CHOICE:
	default:
		return read_choice(k, v, at);
	}
}

static int
read_row(const char *what, const char *name, const json_t *o, struct gw_language *l,
         struct err *err)
{
	const char *key;
	json_t *v;

	if (!json_is_object(o))
		return err_set(err, -EINVAL, "%.100s: %.40s is not an object", what, name);
	l->name = mem_strdup(name);
	for (char *p = l->name; *p != '\0'; p++)
		*p = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
	json_object_foreach ((json_t *)(uintptr_t)o, key, v) {
		const char *wrong = "is no key of a language";

		for (size_t i = 0; i < KEYS; i++) {
			if (strcmp(keys[i].name, key) == 0)
				wrong = read_key(&keys[i], v, l);
		}
		if (wrong != NULL)
			return err_set(err, -EINVAL, "%.100s: %.40s.%.40s %s", what, name, key,
			               wrong);
	}
	if (l->kernelspec == NULL)
		l->kernelspec = mem_strdup(l->name);
	if (l->install == NULL)
		l->install = mem_strdup(l->name);
	return 0;
}

static void
row_fini(struct gw_language *l)
{
	mem_free(l->name);
	gw_config_value_free_list(l->aliases);
	mem_free(l->kernelspec);
	mem_free(l->install);
	mem_free(l->version_env);
	mem_free(l->enter);
	mem_free(l->enter_each);
	mem_free(l->enter_cd);
	mem_free(l->leave);
	mem_free(l->leave_each);
	mem_free(l->leave_cd);
	mem_free(l->flush);
	mem_free(l->setup);
}

/* Each name and alias is good for one row only. */
static int
check_names(const struct gw_languages *t, const char *what, struct err *err)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct gw_language *l = &t->row[i];

		if (gw_languages_find(t, l->name) != l)
			return err_set(err, -EINVAL, "%.100s: %.40s is there twice", what,
			               l->name);
		for (char **a = l->aliases; a != NULL && *a != NULL; a++) {
			if (gw_languages_find(t, *a) != l)
				return err_set(err, -EINVAL,
				               "%.100s: alias %.40s is there twice", what, *a);
		}
	}
	return 0;
}

int
gw_languages_parse(const char *what, const char *bytes, size_t len, struct gw_languages **ret,
                   struct err *err)
{
	json_error_t je;
	json_t *root = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &je);
	struct gw_languages *t = mem_new(sizeof(*t));
	const char *name;
	json_t *o;
	int rc = 0;

	if (!json_is_object(root)) {
		rc = root == NULL
		         ? err_set(err, -EINVAL, "%.100s:%d: %.80s", what, je.line, je.text)
		         : err_set(err, -EINVAL, "%.100s is not an object", what);
		goto out;
	}
	t->row = mem_new(sizeof(*t->row) * (json_object_size(root) + 1));
	json_object_foreach (root, name, o) {
		rc = read_row(what, name, o, &t->row[t->n++], err);
		if (rc != 0)
			goto out;
	}
	rc = check_names(t, what, err);
out:
	json_decref(root);
	if (rc != 0)
		gw_languages_free(t);
	else
		*ret = t;
	return rc;
}

int
gw_languages_load(const char *path, struct gw_languages **ret, struct err *err)
{
	char *bytes;
	size_t len;
	int rc;

	if (path[0] == '\0')
		return gw_languages_parse("languages.json", (const char *)languages_json,
		                          sizeof(languages_json), ret, err);
	rc = gw_files_read(path, FILE_MAX_BYTES, &bytes, &len, err);
	if (rc != 0)
		return rc;
	rc = gw_languages_parse(path, bytes, len, ret, err);
	mem_free(bytes);
	return rc;
}

void
gw_languages_free(struct gw_languages *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++)
		row_fini(&t->row[i]);
	mem_free(t->row);
	mem_free(t);
}

const struct gw_language *
gw_languages_find(const struct gw_languages *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct gw_language *l = &t->row[i];

		if (strcasecmp(l->name, name) == 0)
			return l;
		for (char **a = l->aliases; a != NULL && *a != NULL; a++) {
			if (strcasecmp(*a, name) == 0)
				return l;
		}
	}
	return NULL;
}

const struct gw_language *
gw_language_of(const struct gw_languages *t, const struct km_spec *spec)
{
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->row[i].kernelspec, spec->name) == 0)
			return &t->row[i];
	}
	return gw_languages_find(t, spec->language);
}
