/* tests/fuzz/fuzz_core.c - see tests/fuzz/fuzz_core.h. */
#include "tests/fuzz/fuzz_core.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gateway/auth.h"
#include "gateway/config.h"
#include "gateway/core.h"
#include "gateway/files.h"
#include "gateway/metrics.h"
#include "gateway/sandbox.h"
#include "kernelmgr/launcher.h"
#include "kernelmgr/process.h"
#include "tests/unit/km_run.h"
#include "tests/unit/paper_kernel.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/loop.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define TURNS 8 /* of the loop: context, run, pump */

static struct {
	struct loop *lp;
	struct gw_config *cfg;
	struct gw_auth *auth;
	struct gw_core *core;
	char *dir;
	struct loop_task task;
	unsigned turns;
} fz;

/* --- gateway/files.h: once it is set up, nothing touches the disk ----------------------- */

int
gw_files_mkdirs(const char *path, struct err *err)
{
	char *copy = mem_strdup(path);

	(void)err;
	for (char *p = strchr(copy + 1, '/'); fz.core == NULL; p = strchr(p + 1, '/')) {
		if (p != NULL)
			*p = '\0';
		(void)mkdir(copy, 0700);
		if (p == NULL)
			break;
		*p = '/';
	}
	mem_free(copy);
	return 0;
}

int
gw_files_touch(const char *path, struct err *err)
{
	(void)path;
	(void)err;
	return 0;
}

void
gw_files_remove_tree(const char *path)
{
	(void)path;
}

int
gw_files_check_dir(const char *path, struct err *err)
{
	return path[0] == '/' ? 0 : err_set(err, -EINVAL, "cwd '%s' is not absolute", path);
}

int
gw_files_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err)
{
	(void)max;
	*ret = NULL;
	*ret_len = 0;
	return err_set(err, -ENOENT, "no file %s", path);
}

/* --- kernelmgr/process.h: no program runs ------------------------------------------------- */

/* It prints its last argument, once, and ends when its owner has taken that, or by a signal. */
struct km_process {
	struct loop_task next;
	const struct km_process_ops *ops;
	void *arg;
	char *text; /* NULL: printed */
	int how;
	bool paused, freed;
};

static void
on_process(void *arg)
{
	struct km_process *p = arg;
	char *s = p->text;

	p->text = NULL;
	if (s != NULL && s[0] != '\0')
		p->paused = p->ops->output(p->arg, 1, s, strlen(s)) == -EAGAIN;
	mem_free(s);
	if (s != NULL && !p->paused && !p->freed)
		loop_task_post(&p->next);
	else if (s == NULL)
		p->ops->ended(p->arg, p->how);
}

int
km_process_new(struct loop *lp, const struct km_process_start *what,
               const struct km_process_ops *ops, void *arg, struct km_process **ret,
               struct err *err)
{
	struct km_process *p;
	size_t n = 0;

	if (what->argv[0][0] == '\0')
		return err_set(err, -ENOENT, "program '' is not there");
	p = mem_new(sizeof(*p));
	while (what->argv[n + 1] != NULL)
		n++;
	p->text = mem_strdup(what->argv[n]);
	p->ops = ops;
	p->arg = arg;
	loop_task_init(&p->next, lp, on_process, p);
	loop_task_post(&p->next);
	*ret = p;
	return 0;
}

void
km_process_resume(struct km_process *p)
{
	p->paused = false;
	loop_task_post(&p->next);
}

void
km_process_signal(struct km_process *p, int signum)
{
	p->how = KM_SIGNALLED + signum;
}

pid_t
km_process_pid(const struct km_process *p)
{
	return p->text != NULL ? 1 : 0;
}

void
km_process_free(struct km_process *p)
{
	if (p == NULL)
		return;
	loop_task_cancel(&p->next);
	mem_free(p->text);
	p->text = NULL;
	p->freed = true;
	loop_later(p->next.lp, mem_free, p);
}

/* --- the core --------------------------------------------------------------------------- */

static void
on_turn(void *arg)
{
	(void)arg;
	if (++fz.turns < TURNS)
		loop_task_post(&fz.task);
	else
		loop_stop(fz.lp);
}

void
fuzz_core_settle(void)
{
	fz.turns = 0;
	loop_task_post(&fz.task);
	loop_run(fz.lp);
}

static void
tear_down(void)
{
	gw_core_free(fz.core);
	gw_auth_free(fz.auth);
	loop_free(fz.lp);
	gw_config_free(fz.cfg);
	run_remove(fz.dir);
}

static void
write_spec(void)
{
	char path[600];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/share/jupyter/kernels/python3", fz.dir);
	(void)gw_files_mkdirs(path, NULL);
	(void)snprintf(path, sizeof(path), "%s/share/jupyter/kernels/python3/kernel.json",
	               fz.dir);
	f = fopen(path, "we");
	assert(f != NULL);
	(void)fputs("{\"argv\": [\"python3\"], \"language\": \"python\", "
	            "\"metadata\": {\"kernelbridge\": {\"env\": true}}}",
	            f);
	(void)fclose(f);
}

static void
set_up(void)
{
	char state[600], prefix[600];
	char keep[] = "--keep_executions=0";
	char *argv[] = {state, prefix, keep};
	struct err err;
	int rc;

	log_setup(LOG_ERROR, false);
	fz.dir = run_tmpdir();
	assert(fz.dir != NULL);
	write_spec();
	(void)snprintf(state, sizeof(state), "--state_dir=%s/state", fz.dir);
	(void)snprintf(prefix, sizeof(prefix), "--prefix=%s", fz.dir);
	fz.lp = loop_new();
	loop_task_init(&fz.task, fz.lp, on_turn, NULL);
	rc = gw_config_load(3, argv, &fz.cfg, &err);
	assert(rc == 0);
	fz.auth = gw_auth_new(false, "token");
	rc = gw_core_new(fz.lp, fz.cfg, fz.auth, &fz.core, &err);
	assert(rc == 0);
	(void)atexit(tear_down);
}

struct gw_core *
fuzz_core(void)
{
	if (fz.core == NULL)
		set_up();
	return fz.core;
}

void
fuzz_core_clean(void)
{
	struct gw_sandbox *sb = gw_sandbox_find(fz.core, GW_SANDBOX_DEFAULT);
	struct list *it;
	struct list *tmp;

	do
		fuzz_core_settle();
	while (paper_obey());
	list_each (it, tmp, &fz.core->sandboxes) {
		struct gw_sandbox *other = list_entry(it, struct gw_sandbox, node);

		if (other != sb)
			gw_sandbox_free(other, "end of input");
	}
	gw_sandbox_stop(sb, "end of input");
	gw_sandbox_start(sb);
	while (paper_obey())
		fuzz_core_settle();
	assert(paper_count() == 0);
	assert(gw_core_executions(fz.core) == 0);
	assert(gw_metric[GW_M_COMMANDS_RUNNING] == 0);
	assert(gw_metric[GW_M_CONTEXTS] == 0 && gw_metric[GW_M_SANDBOXES] == 1);
}

char *
fuzz_core_line(const char **text, size_t *len)
{
	const char *end = memchr(*text, '\n', *len);
	size_t n = end != NULL ? (size_t)(end - *text) : *len;
	char *s = mem_new(n + 1);

	memcpy(s, *text, n);
	*text += end != NULL ? n + 1 : n;
	*len -= end != NULL ? n + 1 : n;
	s[strlen(s) == n ? utf8_span(s, n) : 0] = '\0';
	return s;
}
