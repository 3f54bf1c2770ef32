/* gateway/dialects/osb_shell.c - see gateway/dialects/osb_shell.h. */
#include "gateway/dialects/osb_shell.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/dialects/osb.h"
#include "gateway/dialects/osb_event.h"
#include "gateway/sandbox.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define CWD_MAX  ((size_t)4095)
#define NAME_LEN 128

/* --- requests ---------------------------------------------------------------------------- */

int
gw_osb_shell_string(const json_t *o, const char *key, const char **ret, struct err *err)
{
	const json_t *v = json_object_get(o, key);

	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_string(v))
		return err_set(err, -EINVAL, "%s is not a string", key);
	*ret = json_string_value(v);
	return 0;
}

int
gw_osb_shell_flag(const json_t *o, const char *key, bool *ret, struct err *err)
{
	const json_t *v = json_object_get(o, key);

	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_boolean(v))
		return err_set(err, -EINVAL, "%s is not true or false", key);
	*ret = json_is_true(v);
	return 0;
}

int
gw_osb_shell_number(const json_t *o, const char *key, json_int_t *ret, struct err *err)
{
	const json_t *v = json_object_get(o, key);

	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return err_set(err, -EINVAL, "%s is not a whole number from 0 on", key);
	*ret = json_integer_value(v);
	return 0;
}

int
gw_osb_shell_command(const json_t *o, const char **ret, struct err *err)
{
	const char *text = NULL;
	int rc = gw_osb_shell_string(o, "command", &text, err);

	if (rc != 0)
		return rc;
	if (text == NULL || text[0] == '\0')
		return err_set(err, -EINVAL, "command is missing or empty");
	*ret = text;
	return 0;
}

int
gw_osb_shell_timeout(const json_t *o, uint64_t *ret, struct err *err)
{
	json_int_t ms = 0;
	int rc = gw_osb_shell_number(o, "timeout", &ms, err);

	if (rc == 0)
		*ret = (uint64_t)ms;
	return rc;
}

/* --- cwd --------------------------------------------------------------------------------- */

static const char *
variable(const char *name, const struct gw_sandbox *sb, const json_t *vars)
{
	const char *value = json_string_value(json_object_get(vars, name));

	if (value == NULL)
		value = json_string_value(json_object_get(sb->env, name));
	if (value == NULL && strcmp(name, "HOME") == 0)
		value = sb->home;
	if (value == NULL)
		value = getenv(name); /* NOLINT(concurrency-mt-unsafe) */
	return value;
}

/* The length of the $NAME or ${NAME} at p, with its name in out; 0: it is none. */
static size_t
read_name(const char *p, char out[NAME_LEN])
{
	const char *begin = p + (p[1] == '{' ? 2 : 1);
	const char *end = begin;

	while (*end == '_' || isalpha((unsigned char)*end) ||
	       (end > begin && isdigit((unsigned char)*end)))
		end++;
	if (end == begin || end - begin >= NAME_LEN || (p[1] == '{' && *end != '}'))
		return 0;
	memcpy(out, begin, (size_t)(end - begin));
	out[end - begin] = '\0';
	return (size_t)(end - p) + (p[1] == '{');
}

/* Append cwd with its variables replaced. */
static int
expand(struct buf *b, const char *cwd, const struct gw_sandbox *sb, const json_t *vars,
       struct err *err)
{
	int rc = 0;

	for (const char *p = cwd; *p != '\0' && rc == 0;) {
		size_t n = strcspn(p + 1, "$") + 1;
		char name[NAME_LEN];
		size_t named = *p == '$' ? read_name(p, name) : 0;
		const char *value = named > 0 ? variable(name, sb, vars) : NULL;

		if (named > 0 && value == NULL)
			return err_set(err, -EINVAL, "cwd: the variable %s is not set", name);
		rc = named > 0 ? buf_append(b, value, strlen(value)) : buf_append(b, p, n);
		p += named > 0 ? named : n;
	}
	return rc != 0 ? err_set(err, -EINVAL, "cwd is longer than %zu bytes", CWD_MAX) : 0;
}

int
gw_osb_shell_cwd(const json_t *o, const struct gw_sandbox *sb, const json_t *vars, char **ret,
                 struct err *err)
{
	const char *cwd = NULL;
	const char *rest;
	struct buf given;
	struct buf path;
	int rc = gw_osb_shell_string(o, "cwd", &cwd, err);

	if (rc != 0 || cwd == NULL || cwd[0] == '\0')
		return rc;
	buf_init(&given, CWD_MAX);
	buf_init(&path, 2 * CWD_MAX);
	rc = expand(&given, cwd, sb, vars, err);
	rest = given.data;
	if (rest[0] == '~' && (rest[1] == '/' || rest[1] == '\0'))
		rest += rest[1] == '/' ? 2 : 1;
	if (rc == 0 && rest[0] != '/')
		rc = buf_printf(&path, rest[0] != '\0' ? "%s/%s" : "%s%s", sb->home, rest);
	else if (rc == 0)
		rc = buf_append(&path, rest, strlen(rest));
	if (rc == 0)
		*ret = mem_strdup(path.data);
	buf_fini(&given);
	buf_fini(&path);
	return rc;
}

/* --- output ------------------------------------------------------------------------------ */

static int
put_line(struct gw_osb_shell *sh, const char *type, struct wire_slice text)
{
	return gw_osb_put_text(&sh->st.out, gw_osb_now(), type, text);
}

static int
on_out(void *arg, struct wire_slice text)
{
	return put_line(arg, "stdout", text);
}

static int
on_err(void *arg, struct wire_slice text)
{
	return put_line(arg, "stderr", text);
}

void
gw_osb_shell_begin(struct gw_osb_shell *sh, struct gw_core *core, struct gw_http *x,
                   const char *id, const struct gw_osb_stream_ops *ops, void *arg)
{
	gw_osb_lines_init(&sh->out, GW_OSB_LINE_MAX, on_out, sh);
	gw_osb_lines_init(&sh->err, GW_OSB_LINE_MAX, on_err, sh);
	gw_osb_stream_begin(&sh->st, core, x, ops, arg);
	(void)gw_osb_put_init(&sh->st.out, gw_osb_now(), id);
	(void)gw_osb_stream_push(&sh->st);
}

void
gw_osb_shell_fini(struct gw_osb_shell *sh)
{
	gw_osb_lines_fini(&sh->out);
	gw_osb_lines_fini(&sh->err);
	gw_osb_stream_fini(&sh->st);
}

/* The client must not take what it has for the whole. */
static void
lose(struct gw_osb_shell *sh)
{
	(void)gw_osb_put_error(&sh->st.out, gw_osb_now(), "OutputLost",
	                       "the gateway had no memory for a part of the output", NULL);
	gw_osb_stream_end(&sh->st);
}

int
gw_osb_shell_put(struct gw_osb_shell *sh, int stream, const char *data, size_t len)
{
	if (gw_osb_lines_put(stream == 2 ? &sh->err : &sh->out, data, len) != 0) {
		lose(sh);
		return -ENOMEM;
	}
	return gw_osb_stream_push(&sh->st);
}

/* What is left of the output. */
static bool
is_flushed(struct gw_osb_shell *sh)
{
	if (gw_osb_lines_end(&sh->out) == 0 && gw_osb_lines_end(&sh->err) == 0)
		return true;
	lose(sh);
	return false;
}

void
gw_osb_shell_complete(struct gw_osb_shell *sh, uint64_t elapsed_ms)
{
	if (is_flushed(sh)) {
		(void)gw_osb_put_complete(&sh->st.out, gw_osb_now(), elapsed_ms);
		gw_osb_stream_end(&sh->st);
	}
}

void
gw_osb_shell_fail(struct gw_osb_shell *sh, const char *name, const char *value, const char *why)
{
	json_t *lines = why != NULL ? json_pack("[s]", why) : NULL;

	if (is_flushed(sh)) {
		(void)gw_osb_put_error(&sh->st.out, gw_osb_now(), name, value, lines);
		gw_osb_stream_end(&sh->st);
	}
	json_decref(lines);
}

void
gw_osb_shell_status(struct gw_osb_shell *sh, int status, const char *why)
{
	char value[16];

	(void)snprintf(value, sizeof(value), "%d", status);
	gw_osb_shell_fail(sh, "CommandExecError", value, why);
}
