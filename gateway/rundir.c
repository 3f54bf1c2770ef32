/* gateway/rundir.c - see gateway/rundir.h. */
#include "gateway/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/files.h"
#include "gateway/sweep.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/mem.h"

#define PATH_ROOM 4096
#define NAMES_MAX 100 /* gateways that share state_dir and, in their containers, the pid */

/* A Unix socket's path has at most 107 bytes; a kernel's files add 1 + 36 + 5. */
#define RUN_DIR_MAX 64

struct gw_rundir {
	char *path;
	char *link; /* to path, or NULL */
	int lock;   /* its .lock, -1: not yet */
};

static int
open_lock(const char *dir, int flags)
{
	char path[PATH_ROOM + sizeof("/.lock")];

	(void)snprintf(path, sizeof(path), "%s/.lock", dir);
	return open(path, flags | O_CLOEXEC, 0600);
}

bool
gw_rundir_is_held(const char *path)
{
	int fd = open_lock(path, O_RDWR);
	bool held;

	if (fd < 0)
		return false;
	held = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
	(void)close(fd);
	return held;
}

/* Make the folder called path, or a short one and a link to it.  Returns 0 or -errno. */
static int
make(struct gw_rundir *r, const char *path)
{
	char short_path[] = "/tmp/kernelbridge-XXXXXX";
	int rc = 0;

	if (strlen(path) <= RUN_DIR_MAX) {
		if (mkdir(path, 0700) != 0)
			return -errno;
		r->path = mem_strdup(path);
		return 0;
	}
	if (mkdtemp(short_path) == NULL)
		return -errno;
	if (symlink(short_path, path) != 0) {
		rc = -errno;
		(void)rmdir(short_path);
		return rc;
	}
	r->path = mem_strdup(short_path);
	r->link = mem_strdup(path);
	return 0;
}

/* Under the first name that is free: PID, PID.1, ... */
static int
make_any(struct gw_rundir *r, const char *run, struct err *err)
{
	char path[PATH_ROOM];
	int rc = -EEXIST;

	for (int i = 0; i < NAMES_MAX && rc == -EEXIST; i++) {
		int n = snprintf(path, sizeof(path), "%s/%ld", run, (long)getpid());

		if (i > 0)
			(void)snprintf(path + n, sizeof(path) - (size_t)n, ".%d", i);
		rc = make(r, path);
	}
	if (rc == 0) {
		r->lock = open_lock(r->path, O_RDWR | O_CREAT);
		rc = r->lock >= 0 && flock(r->lock, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
	}
	return rc == 0 ? 0
	               : err_set(err, -EIO, "cannot make the folder %s: %s", path,
	                         strerrordesc_np(-rc));
}

int
gw_rundir_new(const char *state_dir, struct gw_rundir **ret, struct err *err)
{
	struct gw_rundir *r;
	char run[PATH_ROOM];
	int all;
	int rc;

	(void)snprintf(run, sizeof(run), "%.4000s/run", state_dir);
	rc = gw_files_mkdirs(run, err);
	if (rc != 0)
		return rc;
	all = open_lock(run, O_RDWR | O_CREAT);
	if (all < 0 || flock(all, LOCK_EX) != 0) /* waits: another one is starting */
		rc = err_set(err, -EIO, "cannot lock %s: %s", run, strerrordesc_np(errno));
	r = mem_new(sizeof(*r));
	r->lock = -1;
	if (rc == 0) {
		gw_sweep(run);
		rc = make_any(r, run, err);
	}
	if (all >= 0)
		(void)close(all);
	if (rc != 0)
		gw_rundir_free(r);
	else
		*ret = r;
	return rc;
}

void
gw_rundir_free(struct gw_rundir *r)
{
	char path[PATH_ROOM];

	if (r == NULL)
		return;
	if (r->path != NULL) {
		(void)snprintf(path, sizeof(path), "%s/.lock", r->path);
		(void)unlink(path);
		if (rmdir(r->path) != 0 && errno != ENOENT)
			log_warn(NULL, "cannot remove %s: %s", r->path, strerrordesc_np(errno));
	}
	if (r->link != NULL)
		(void)unlink(r->link);
	if (r->lock >= 0)
		(void)close(r->lock);
	mem_free(r->path);
	mem_free(r->link);
	mem_free(r);
}

const char *
gw_rundir_path(const struct gw_rundir *r)
{
	return r->path;
}
