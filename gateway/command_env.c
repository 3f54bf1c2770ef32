/* gateway/command_env.c - see gateway/command_env.h.
 *
 * The file is the sandbox's: it may be anything, of any size.  So it is opened without waiting and
 * without following a link, and read and parsed in a thread; mostly there is none.
 */
#include "gateway/command_env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/core.h"
#include "gateway/envfile.h"
#include "gateway/sandbox.h"
#include "kernelmgr/env.h"
#include "wire/base/err.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"

#define PATH_ROOM 4096

/* What the thread works on. */
struct job {
	struct gw_command_env *e; /* NULL: its owner has gone */
	struct loop *lp;
	struct km_env *env;
	json_t *over;
	int fd; /* of the file, -1: there is none */
	int rc;
	struct err err;
};

struct gw_command_env {
	struct job *job; /* NULL: done was called */
	gw_command_env_fn *done;
	void *arg;
};

static void
job_free(struct job *job)
{
	km_env_free(job->env);
	json_decref(job->over);
	if (job->fd >= 0)
		(void)close(job->fd);
	mem_free(job);
}

static void
on_done(void *arg)
{
	struct job *job = arg;
	struct gw_command_env *e = job->e;
	char why[sizeof(job->err.text) + 32];

	if (e != NULL) {
		e->job = NULL;
		if (job->rc == 0)
			job->rc = km_env_add(job->env, job->over, NULL, &job->err);
		(void)snprintf(why, sizeof(why), "environment: %s", job->err.text);
		if (job->rc == 0)
			e->done(e->arg, job->env, NULL);
		else
			e->done(e->arg, NULL, why);
	}
	job_free(job);
}

/* In a thread. */
static void
read_file(void *arg)
{
	struct job *job = arg;
	char *text = NULL;
	struct stat st;
	size_t len = 0;
	ssize_t n = 1;

	if (fstat(job->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		job->rc = err_set(&job->err, -EINVAL, "EXECD_ENVS is not a regular file");
		return;
	}
	text = mem_new(GW_ENVFILE_MAX + 1);
	while (n > 0 && len <= GW_ENVFILE_MAX) {
		n = read(job->fd, text + len, GW_ENVFILE_MAX + 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		job->rc = err_set(&job->err, -EIO, "cannot read EXECD_ENVS: %s",
		                  strerrordesc_np(errno));
	else
		job->rc = gw_envfile_parse(text, len, job->env, &job->err);
	mem_free(text);
}

/* What the sandbox has, but for the file, whose path is written to it. */
static int
build(const struct gw_sandbox *sb, const char *path, struct km_env *env, struct err *err)
{
	json_t *vars = gw_sandbox_vars(sb);
	char port[16];
	int rc;

	km_env_inherit(env);
	rc = km_env_add(env, vars, NULL, err);
	json_decref(vars);
	(void)snprintf(port, sizeof(port), "%u", sb->core->port);
	if (sb->core->port != 0)
		km_env_set(env, "JUPYTER_PORT", port);
	km_env_set(env, "EXECD_ENVS", path);
	return rc;
}

struct gw_command_env *
gw_command_env_new(struct gw_sandbox *sb, const json_t *over, gw_command_env_fn *done,
                   void *arg)
{
	struct gw_command_env *e = mem_new(sizeof(*e));
	struct job *job = mem_new(sizeof(*job));
	char path[PATH_ROOM];

	e->done = done;
	e->arg = arg;
	e->job = job;
	job->e = e;
	job->lp = sb->core->lp;
	job->env = km_env_new();
	job->over = json_is_object(over) ? json_deep_copy(over) : NULL;
	(void)snprintf(path, sizeof(path), "%.4000s/envs", sb->folder->dir);
	job->rc = build(sb, path, job->env, &job->err);
	job->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (job->fd < 0 && errno != ENOENT && job->rc == 0)
		job->rc = err_set(&job->err, -EIO, "cannot open EXECD_ENVS: %s",
		                  strerrordesc_np(errno));
	if (job->rc == 0 && job->fd >= 0)
		loop_work(job->lp, read_file, on_done, job);
	else
		loop_later(job->lp, on_done, job);
	return e;
}

void
gw_command_env_free(struct gw_command_env *e)
{
	if (e == NULL)
		return;
	if (e->job != NULL)
		e->job->e = NULL; /* on_done frees it */
	mem_free(e);
}

json_t *
gw_command_env_vars(const struct km_env *env)
{
	json_t *vars = json_object();

	for (char *const *p = km_env_list(env); *p != NULL; p++) {
		const char *eq = strchr(*p, '=');
		const char *ours;
		char *name;

		if (eq == NULL) /* inherited: whoever started us may pass anything */
			continue;
		name = mem_strdup(*p);
		name[eq - *p] = '\0';
		ours = getenv(name); /* NOLINT(concurrency-mt-unsafe) */
		if (ours == NULL || strcmp(ours, eq + 1) != 0)
			json_object_set_new_nocheck(vars, name, json_string_nocheck(eq + 1));
		mem_free(name);
	}
	return vars;
}
