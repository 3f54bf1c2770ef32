/* kernelmgr/spec_parse.c - kernel.json to struct km_spec; see kernelmgr/spec.h.
 *
 * Types are checked as strictly as jupyter_client's KernelSpec traits do; unknown keys are ignored.
 */
#include "kernelmgr/spec.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "wire/base/err.h"
#include "wire/base/mem.h"

/* What every error names. */
struct where {
	const char *name, *dir;
	struct err *err;
};

#define BROKEN(w, fmt, ...)                                                                    \
	((void)err_set((w)->err, -EINVAL, "kernel.json of '%s': " fmt " (in %s)", (w)->name,   \
	               __VA_ARGS__, (w)->dir),                                                 \
	 -EINVAL)

static char *
lower(const char *s)
{
	char *copy = mem_strdup(s);

	for (char *p = copy; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

/* A string that C can hold: json allows NUL in it. */
static bool
is_text(const json_t *v)
{
	return json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v);
}

/* The string at key, or fallback when there is none. */
static int
get_text(const struct where *w, const json_t *obj, const char *key, const char *fallback,
         const char **ret)
{
	const json_t *v = json_object_get(obj, key);

	if (v == NULL) {
		*ret = fallback;
		return 0;
	}
	if (!is_text(v))
		return BROKEN(w, "%s is not a string", key);
	*ret = json_string_value(v);
	return 0;
}

/* The object at key, or an empty one; a new reference. */
static int
get_object(const struct where *w, const json_t *obj, const char *key, json_t **ret)
{
	json_t *v = json_object_get(obj, key);

	if (v != NULL && !json_is_object(v))
		return BROKEN(w, "%s is not an object", key);
	*ret = v != NULL ? json_incref(v) : json_object();
	return 0;
}

/* The array of strings v, called name in errors; *ret is the caller's, also after an error. */
static int
get_words(const struct where *w, const json_t *v, const char *name, char ***ret)
{
	size_t n = json_array_size(v);

	if (!json_is_array(v))
		return BROKEN(w, "%s is not an array", name);
	if (n == 0)
		return BROKEN(w, "%s is empty", name);
	*ret = mem_new((n + 1) * sizeof(**ret));
	for (size_t i = 0; i < n; i++) {
		if (!is_text(json_array_get(v, i)))
			return BROKEN(w, "%s[%zu] is not a string", name, i);
		(*ret)[i] = mem_strdup(json_string_value(json_array_get(v, i)));
	}
	return 0;
}

/* The same, of a command line. */
static int
get_argv(const struct where *w, const json_t *v, const char *name, char ***ret)
{
	int rc = get_words(w, v, name, ret);

	if (rc == 0 && (*ret)[0][0] == '\0')
		return BROKEN(w, "%s[0] is empty", name);
	return rc;
}

static int
parse_argv(const struct where *w, const json_t *root, struct km_spec *s)
{
	const json_t *argv = json_object_get(root, "argv");

	if (argv == NULL)
		return BROKEN(w, "%s is missing", "argv");
	return get_argv(w, argv, "argv", &s->argv);
}

static int
parse_env(const struct where *w, const json_t *root, struct km_spec *s)
{
	const char *name;
	json_t *value;
	int ret = get_object(w, root, "env", &s->env);

	if (ret != 0)
		return ret;
	json_object_foreach (s->env, name, value) {
		if (name[0] == '\0' || strchr(name, '=') != NULL)
			return BROKEN(w, "env has a name that is empty or has '=': '%.40s'",
			              name);
		if (!is_text(value))
			return BROKEN(w, "env.%.40s is not a string", name);
	}
	return 0;
}

static int
parse_interrupt_mode(const struct where *w, const json_t *root, struct km_spec *s)
{
	const char *mode;
	int ret = get_text(w, root, "interrupt_mode", "signal", &mode);

	if (ret != 0)
		return ret;
	s->interrupt_given = json_object_get(root, "interrupt_mode") != NULL;
	if (strcmp(mode, "signal") == 0)
		s->interrupt_mode = KM_INTERRUPT_SIGNAL;
	else if (strcmp(mode, "message") == 0)
		s->interrupt_mode = KM_INTERRUPT_MESSAGE;
	else
		return BROKEN(w, "interrupt_mode is '%.20s', not 'signal' or 'message'", mode);
	return 0;
}

static int
get_flag(const struct where *w, const json_t *ours, const char *key, bool *ret)
{
	const json_t *v = json_object_get(ours, key);

	if (v != NULL && !json_is_boolean(v))
		return BROKEN(w, "metadata.kernelbridge.%s is not true or false", key);
	*ret = json_is_true(v);
	return 0;
}

/* How such kernels can be had ready: forked, started ahead. */
static int
parse_ahead(const struct where *w, const json_t *ours, struct km_spec *s)
{
	const json_t *zygote = json_object_get(ours, "zygote");
	const json_t *start_env = json_object_get(ours, "start_env");
	int ret = get_flag(w, ours, "assign", &s->assign);

	if (ret == 0 && zygote != NULL)
		ret = get_argv(w, zygote, "metadata.kernelbridge.zygote", &s->zygote);
	if (ret == 0 && start_env != NULL)
		ret = get_words(w, start_env, "metadata.kernelbridge.start_env", &s->start_env);
	for (char **name = s->start_env; ret == 0 && name != NULL && *name != NULL; name++)
		if ((*name)[(*name)[0] == '!'] == '\0' || strchr(*name, '=') != NULL)
			return BROKEN(w, "metadata.kernelbridge.start_env has '%.40s'", *name);
	return ret;
}

/* metadata.kernelbridge: what Jupyter's format cannot say. */
static int
parse_ours(const struct where *w, const json_t *root, struct km_spec *s)
{
	const char *transport, *version;
	json_t *ours;
	int ret = get_object(w, root, "metadata", &s->metadata);

	if (ret != 0)
		return ret;
	ours = json_object_get(s->metadata, "kernelbridge");
	if (ours == NULL) {
		s->version = mem_strdup("");
		s->tcp =
		    true; /* every kernel can; not all do ipc, or only in short paths (xeus) */
		return 0;
	}
	if (!json_is_object(ours))
		return BROKEN(w, "%s is not an object", "metadata.kernelbridge");
	ret = get_flag(w, ours, "waits", &s->waits);
	if (ret == 0)
		ret = get_flag(w, ours, "stdin_eof", &s->stdin_eof);
	if (ret == 0)
		ret = get_flag(w, ours, "complete", &s->complete);
	if (ret == 0)
		ret = get_flag(w, ours, "env", &s->takes_env);
	if (ret == 0)
		ret = parse_ahead(w, ours, s);
	if (ret == 0)
		ret = get_text(w, ours, "transport", "ipc", &transport);
	if (ret == 0)
		ret = get_text(w, ours, "version", "", &version);
	if (ret != 0)
		return ret;
	s->version = mem_strdup(version);
	s->tcp = strcmp(transport, "tcp") == 0;
	if (!s->tcp && strcmp(transport, "ipc") != 0)
		return BROKEN(w, "transport is '%.20s', not 'ipc' or 'tcp'", transport);
	return 0;
}

static int
parse_fields(const struct where *w, const json_t *root, struct km_spec *s)
{
	const char *display_name, *language;
	int ret;

	if (!json_is_object(root))
		return BROKEN(w, "%s", "it is not an object");
	ret = parse_argv(w, root, s);
	if (ret == 0)
		ret = get_text(w, root, "display_name", w->name, &display_name);
	if (ret == 0)
		s->display_name = mem_strdup(display_name);
	if (ret == 0)
		ret = get_text(w, root, "language", "", &language);
	if (ret == 0)
		s->language = lower(language);
	if (ret == 0)
		ret = parse_interrupt_mode(w, root, s);
	if (ret == 0)
		ret = parse_env(w, root, s);
	if (ret == 0)
		ret = parse_ours(w, root, s);
	return ret;
}

int
km_spec_parse(const char *name, const char *dir, const char *bytes, size_t len,
              struct km_spec **ret, struct err *err)
{
	const struct where w = {.name = name, .dir = dir, .err = err};
	struct km_spec *s = NULL;
	json_error_t je;
	json_t *root = json_loadb(bytes, len, 0, &je);
	int status;

	if (root == NULL) {
		status = BROKEN(&w, "line %d column %d: %.80s", je.line, je.column, je.text);
		goto out;
	}
	s = mem_new(sizeof(*s));
	s->name = lower(name);
	s->dir = mem_strdup(dir);
	status = parse_fields(&w, root, s);
	if (status == 0) {
		*ret = s;
		s = NULL;
	}
out:
	km_spec_free(s);
	json_decref(root);
	return status;
}

static void
free_words(char **words)
{
	for (char **word = words; word != NULL && *word != NULL; word++)
		mem_free(*word);
	mem_free(words);
}

void
km_spec_free(struct km_spec *s)
{
	if (s == NULL)
		return;
	free_words(s->argv);
	free_words(s->zygote);
	free_words(s->start_env);
	mem_free(s->name);
	mem_free(s->dir);
	mem_free(s->display_name);
	mem_free(s->language);
	mem_free(s->version);
	json_decref(s->env);
	json_decref(s->metadata);
	mem_free(s);
}
