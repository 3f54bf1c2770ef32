/* kernelmgr/zygote_msg.c - see kernelmgr/zygote_msg.h. */
#include "kernelmgr/zygote_msg.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int
parse_answer(const json_t *root, struct km_zygote_msg *m)
{
	json_int_t n = json_integer_value(json_object_get(root, "n"));
	const json_t *pid = json_object_get(root, "pid");
	const char *why = json_string_value(json_object_get(root, "error"));

	if (n < 1 || n > UINT_MAX || (pid != NULL) == (why != NULL))
		return -EBADMSG;
	m->n = (unsigned)n;
	if (why != NULL) {
		m->word = KM_ZYGOTE_REFUSED;
		(void)snprintf(m->why, sizeof(m->why), "%s", why);
		return 0;
	}
	if (json_integer_value(pid) <= 1 || json_integer_value(pid) > INT32_MAX)
		return -EBADMSG;
	m->word = KM_ZYGOTE_FORKED;
	m->pid = (pid_t)json_integer_value(pid);
	return 0;
}

int
km_zygote_msg_parse(const char *bytes, size_t len, struct km_zygote_msg *ret)
{
	struct km_zygote_msg m = {.word = KM_ZYGOTE_READY};
	json_t *root = json_loadb(bytes, len, 0, NULL);
	const json_t *ready = json_object_get(root, "ready");
	int rc = 0;

	if (ready == NULL)
		rc = parse_answer(root, &m);
	else if (!json_is_true(ready))
		rc = -EBADMSG;
	json_decref(root);
	if (rc == 0)
		*ret = m;
	return rc;
}

/* An object of "NAME=value" strings, or NULL: one is not UTF-8. */
static json_t *
env_object(char *const *env)
{
	json_t *object = json_object();

	for (; *env != NULL; env++) {
		const char *value = strchr(*env, '=');

		if (value == NULL)
			continue;
		if (json_object_setn_new(object, *env, (size_t)(value - *env),
		                         json_string(value + 1)) != 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

char *
km_zygote_msg_fork(const struct km_zygote_fork *what)
{
	json_t *env = env_object(what->env);
	json_t *root = env == NULL
	                   ? NULL
	                   : json_pack("{s:I, s:s, s:s, s:s, s:o}", "n", (json_int_t)what->n,
	                               "connection_file", what->connection_file, "kernel_id",
	                               what->kernel_id, "cwd", what->cwd, "env", env);
	char *bytes = root != NULL ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	return bytes;
}
