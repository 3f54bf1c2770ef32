/* gateway/sweep.c - see gateway/sweep.h. */
#include "gateway/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/crew.h"
#include "gateway/files.h"
#include "gateway/rundir.h"
#include "gateway/sandbox.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/mem.h"

#define PATH_ROOM   4096
#define ENVIRON_MAX 262144
#define MARK        "KERNELBRIDGE_KERNEL_ID="

/* Call fn(arg, name) for every entry of the folder path. */
static void
each_entry(const char *path, void (*fn)(void *arg, const char *name), void *arg)
{
	DIR *d = opendir(path);
	const struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
		if (e->d_name[0] != '.')
			fn(arg, e->d_name);
	}
	(void)closedir(d);
}

/* --- kernels that outlived their gateway ------------------------------------------------- */

/* The length of name before suffix; 0: it ends otherwise. */
static size_t
stem(const char *name, const char *suffix)
{
	size_t len = strlen(name), n = strlen(suffix);

	return len > n && strcmp(name + len - n, suffix) == 0 ? len - n : 0;
}

static void
add_id(void *arg, const char *name)
{
	if (stem(name, GW_SWEEP_CREW) > 0)
		json_object_set_new(arg, name, json_true());
}

static bool
is_marked(const char *environ_text, size_t len, json_t *ids)
{
	const char *at = memmem(environ_text, len, MARK, strlen(MARK));
	char name[128];

	if (at == NULL)
		return false;
	(void)snprintf(name, sizeof(name), "%.100s" GW_SWEEP_CREW, at + strlen(MARK));
	return json_object_get(ids, name) != NULL;
}

static void
kill_marked(void *arg, const char *name)
{
	char path[300];
	char *text = NULL;
	size_t len;
	struct err ignored;
	long pid = strtol(name, NULL, 10);

	(void)snprintf(path, sizeof(path), "/proc/%.200s/environ", name);
	if (pid <= 1 || pid == getpid() ||
	    gw_files_read(path, ENVIRON_MAX, &text, &len, &ignored) != 0)
		return;
	if (is_marked(text, len, arg)) {
		log_warn(NULL, "killing pid=%ld, which outlived its gateway", pid);
		(void)kill((pid_t)pid, SIGKILL);
	}
	mem_free(text);
}

/* --- folders ------------------------------------------------------------------------------ */

static void
remove_if_there(const char *path)
{
	if (access(path, F_OK) == 0)
		gw_files_remove_tree(path);
}

/* What the mark name stands for, in the folder of sandboxes; arg is that of run folders. */
static void
remove_marked(void *arg, const char *name)
{
	const char *run = arg;
	char path[PATH_ROOM];
	int sandbox = (int)stem(name, GW_SWEEP_SANDBOX), crew = (int)stem(name, GW_SWEEP_CREW);

	if (sandbox > 0) {
		(void)snprintf(path, sizeof(path), "%.3700s/../sandboxes/%.*s", run, sandbox,
		               name);
		remove_if_there(path);
	} else if (crew > 0) {
		(void)snprintf(path, sizeof(path),
		               "%.3700s/../sandboxes/" GW_SANDBOX_DEFAULT "/" GW_CREW_LOGS
		               "/%.*s",
		               run, crew, name);
		remove_if_there(path);
	}
}

static void
sweep_one(void *arg, const char *name)
{
	const char *run = arg;
	char path[PATH_ROOM];
	char target[PATH_ROOM];
	ssize_t n;
	json_t *ids;

	(void)snprintf(path, sizeof(path), "%.3700s/%.255s", run, name);
	if (gw_rundir_is_held(path))
		return;
	log_info(NULL, "removing what a dead gateway left: %s", path);
	ids = json_object();
	each_entry(path, add_id, ids);
	if (json_object_size(ids) > 0)
		each_entry("/proc", kill_marked, ids);
	json_decref(ids);
	each_entry(path, remove_marked, arg);
	n = readlink(path, target, sizeof(target) - 1);
	if (n > 0) {
		target[n] = '\0';
		gw_files_remove_tree(target);
	}
	/* Renamed first: it goes in the background, and our own folder may need its name. */
	(void)snprintf(target, sizeof(target), "%.4000s.dead", path);
	(void)rename(path, target);
	gw_files_remove_tree(target);
}

void
gw_sweep(const char *run)
{
	char *copy = mem_strdup(run);

	each_entry(run, sweep_one, copy);
	mem_free(copy);
}
