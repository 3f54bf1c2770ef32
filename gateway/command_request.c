/* gateway/command_request.c - see gateway/command_request.h. */
#include "gateway/command_request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "gateway/command.h"
#include "gateway/core.h"
#include "gateway/sandbox.h"
#include "kernelmgr/spawn.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define TEXT_BYTES 65536UL /* of a command that are told */
#define ARG_BYTES  131071  /* execve(2): MAX_ARG_STRLEN */
#define ARGS_MAX   4096
#define PATH_ROOM  4096

static int
check_argv(const json_t *argv, struct err *err)
{
	size_t i;
	const json_t *s;

	if (!json_is_array(argv) || json_array_size(argv) == 0 ||
	    json_array_size(argv) > ARGS_MAX)
		return err_set(err, -EINVAL, "argv is not a list of 1 to %d strings", ARGS_MAX);
	json_array_foreach (argv, i, s) {
		if (!json_is_string(s))
			return err_set(err, -EINVAL, "argv[%zu] is not a string", i);
		if (strlen(json_string_value(s)) != json_string_length(s))
			return err_set(err, -EINVAL, "argv[%zu] holds a NUL", i);
	}
	return 0;
}

int
gw_command_request_check(const struct gw_sandbox *sb, const struct gw_command_request *rq,
                         struct err *err)
{
	int rc = 0;

	if (sb->core->draining)
		return err_set(err, -ECANCELED, "the gateway is stopping");
	if (sb->stopped || sb->paused)
		return err_set(err, -EINVAL, "sandbox '%s' is %s", sb->name,
		               sb->stopped ? "stopped" : "paused");
	if (rq->command == NULL)
		rc = check_argv(rq->argv, err);
	else if (strlen(rq->command) > ARG_BYTES)
		rc = err_set(err, -EINVAL, "the command is longer than %d bytes", ARG_BYTES);
	if (rc == 0)
		rc = gw_env_check(rq->env, "envs", err);
	return rc;
}

int
gw_command_request_cwd(const struct gw_sandbox *sb, const char *cwd, char **ret,
                       struct err *err)
{
	char path[PATH_ROOM];
	int n, rc;

	if (cwd == NULL || cwd[0] == '\0' || strcmp(cwd, "~") == 0)
		n = snprintf(path, sizeof(path), "%s", sb->home);
	else if (cwd[0] == '/')
		n = snprintf(path, sizeof(path), "%s", cwd);
	else
		n = snprintf(path, sizeof(path), "%s/%s", sb->home,
		             strncmp(cwd, "~/", 2) == 0 ? cwd + 2 : cwd);
	if (n < 0 || (size_t)n >= sizeof(path))
		return err_set(err, -ENOENT, "working directory: its path is too long");
	rc = km_spawn_check_cwd(path, err);
	if (rc == 0)
		*ret = mem_strdup(path);
	return rc;
}

char *
gw_command_request_text(const struct gw_command_request *rq)
{
	struct buf all, good;
	size_t i, len;
	const json_t *s;
	char *ret;

	buf_init(&all, (size_t)ARGS_MAX * ARG_BYTES);
	buf_init(&good, 4 * TEXT_BYTES);
	if (rq->command != NULL) {
		(void)buf_append(&all, rq->command, strlen(rq->command));
	} else {
		json_array_foreach (rq->argv, i, s)
			if (all.len <= TEXT_BYTES)
				(void)buf_printf(&all, "%s%s", i > 0 ? " " : "",
				                 json_string_value(s));
	}
	len = all.len;
	if (len > TEXT_BYTES)
		len = utf8_span(all.data, TEXT_BYTES);
	(void)utf8_repair(&good, all.len > 0 ? all.data : "", len);
	ret = mem_strdup(good.len > 0 ? good.data : "");
	buf_fini(&all);
	buf_fini(&good);
	return ret;
}
