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

#include "gateway/files.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/mem.h"

#define PATH_ROOM   4096
#define ENVIRON_MAX (256 * 1024)
#define MARK        "KERNELBRIDGE_KERNEL_ID="

/* A Unix socket's path has at most 107 bytes; a kernel's files add 1 + 36 + 5. */
#define RUN_DIR_MAX 64

static void
run_path(const char *state_dir, long pid, char out[PATH_ROOM])
{
	(void)snprintf(out, PATH_ROOM, "%s/run/%ld", state_dir, pid);
}

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

static void
add_id(void *arg, const char *name)
{
	size_t len = strlen(name);

	if (len > 5 && strcmp(name + len - 5, ".json") == 0)
		json_object_set_new(arg, name, json_true());
}

static bool
is_marked(const char *environ_text, size_t len, json_t *ids)
{
	const char *at = memmem(environ_text, len, MARK, strlen(MARK));
	char name[128];

	if (at == NULL)
		return false;
	(void)snprintf(name, sizeof(name), "%.100s.json", at + strlen(MARK));
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

static bool
is_gateway(long pid)
{
	char path[64];
	char theirs[PATH_ROOM] = "";
	char ours[PATH_ROOM] = "";

	(void)snprintf(path, sizeof(path), "/proc/%ld/exe", pid);
	return readlink(path, theirs, sizeof(theirs) - 1) > 0 &&
	       readlink("/proc/self/exe", ours, sizeof(ours) - 1) > 0 && pid != getpid() &&
	       strcmp(theirs, ours) == 0;
}

static void
sweep_one(void *arg, const char *name)
{
	char path[PATH_ROOM];
	char target[PATH_ROOM];
	ssize_t n;
	long pid = strtol(name, NULL, 10);
	json_t *ids;

	if (pid < 1 || is_gateway(pid))
		return;
	run_path(arg, pid, path);
	log_info(NULL, "removing what a dead gateway left: %s", path);
	ids = json_object();
	each_entry(path, add_id, ids);
	if (json_object_size(ids) > 0)
		each_entry("/proc", kill_marked, ids);
	json_decref(ids);
	n = readlink(path, target, sizeof(target) - 1);
	if (n > 0) {
		target[n] = '\0';
		gw_files_remove_tree(target);
	}
	/* Renamed first: in a container our own pid may be the dead one's. */
	(void)snprintf(target, sizeof(target), "%.4000s.dead", path);
	(void)rename(path, target);
	gw_files_remove_tree(target);
}

void
gw_sweep(const char *state_dir)
{
	char path[PATH_ROOM];
	char *copy = mem_strdup(state_dir);

	(void)snprintf(path, sizeof(path), "%s/run", state_dir);
	each_entry(path, sweep_one, copy);
	mem_free(copy);
}

int
gw_sweep_run_dir(const char *state_dir, char **ret, struct err *err)
{
	char path[PATH_ROOM];
	char short_path[] = "/tmp/kernelbridge-XXXXXX";
	int rc;

	(void)snprintf(path, sizeof(path), "%s/run", state_dir);
	rc = gw_files_mkdirs(path, err);
	if (rc != 0)
		return rc;
	run_path(state_dir, (long)getpid(), path);
	(void)unlink(path); /* a link of a dead gateway that had our pid */
	if (strlen(path) <= RUN_DIR_MAX) {
		rc = gw_files_mkdirs(path, err);
		if (rc == 0)
			*ret = mem_strdup(path);
		return rc;
	}
	if (mkdtemp(short_path) == NULL)
		return err_set(err, -EIO, "cannot make a folder in /tmp: %s", strerror(errno));
	if (symlink(short_path, path) != 0)
		return err_set(err, -EIO, "cannot make the link %s: %s", path, strerror(errno));
	*ret = mem_strdup(short_path);
	return 0;
}

void
gw_sweep_remove(const char *state_dir, const char *run_dir)
{
	char path[PATH_ROOM];

	if (rmdir(run_dir) != 0 && errno != ENOENT)
		log_warn(NULL, "cannot remove %s: %s", run_dir, strerror(errno));
	run_path(state_dir, (long)getpid(), path);
	(void)unlink(path); /* fails where it was no link, and is gone already */
}
