/* gateway/fs_tree.c - see gateway/fs.h: removing a folder with all in it.
 *
 * However deep it is, at most LEVELS folders are open at a time: what is deeper moves up to the top
 * of the tree first, and is found there again.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/fs.h"
#include "gateway/fs_look.h"
#include "wire/base/err.h"

#define LEVELS    24
#define STEPS_MAX 20000000U /* code that makes files faster than we remove them has won */
#define IDLE_MAX  100       /* times that nothing could be removed and it was not empty */

struct removal {
	const struct gw_fs *fs;
	int top;
	uint64_t steps;
	uint64_t done; /* removed, or moved up */
};

static int remove_all(struct removal *r, int fd, unsigned level);

/* Move the folder name, in dir, to the top.  Returns 0 or -errno. */
static int
hoist(struct removal *r, int dir, const char *name)
{
	char fresh[40];
	int rc;

	do {
		(void)snprintf(fresh, sizeof(fresh), "deep.%llu",
		               (unsigned long long)r->steps++);
		rc = renameat2(dir, name, r->top, fresh, RENAME_NOREPLACE) == 0 ? 0 : -errno;
	} while (rc == -EEXIST && r->steps < STEPS_MAX);
	r->done++;
	return rc == -ENOENT ? 0 : rc;
}

/* A folder, not empty.  What is not what it was a moment ago is left to the next pass. */
static int
remove_folder(struct removal *r, int dir, const char *name, unsigned level)
{
	int fd;
	int rc;

	if (level >= LEVELS)
		return hoist(r, dir, name);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : -errno;
	rc = remove_all(r, fd, level + 1);
	if (rc == 0 && unlinkat(dir, name, AT_REMOVEDIR) != 0 && errno != ENOTEMPTY &&
	    errno != EEXIST && errno != ENOENT && errno != ENOTDIR)
		rc = -errno;
	return rc;
}

/* Returns 0 or -errno; *ret_folder: name is a folder with something in it. */
static int
remove_one(struct removal *r, int dir, const char *name, bool *ret_folder)
{
	*ret_folder = false;
	r->done++;
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return -errno;
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT || errno == ENOTDIR)
		return 0;
	*ret_folder = errno == ENOTEMPTY || errno == EEXIST;
	r->done--;
	return *ret_folder ? 0 : -errno;
}

/* Remove what is in the folder fd, which is taken.  Returns 0 or -errno. */
static int
remove_all(struct removal *r, int fd, unsigned level)
{
	DIR *d = fdopendir(fd);
	const struct dirent *e;
	bool folder;
	int rc = 0;

	if (d == NULL) {
		rc = -errno;
		(void)close(fd);
		return rc;
	}
	errno = 0;
	while (rc == 0 &&
	       (e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): its own stream */
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (++r->steps >= STEPS_MAX)
			rc = -EFBIG;
		else if (gw_fs_look_ended(r->fs))
			rc = -ECANCELED;
		else
			rc = remove_one(r, dirfd(d), e->d_name, &folder);
		if (rc == 0 && folder)
			rc = remove_folder(r, dirfd(d), e->d_name, level);
		errno = 0;
	}
	if (rc == 0 && errno != 0)
		rc = -errno;
	(void)closedir(d);
	return rc;
}

/* Returns 0 or -errno. */
static int
remove_tree(const struct gw_fs *fs, int dir, const char *name)
{
	struct removal r = {.fs = fs, .top = -1};
	unsigned idle = 0;
	bool folder = false;
	int rc = remove_one(&r, dir, name, &folder);

	while (rc == 0 && folder) {
		uint64_t before = r.done;

		r.top = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (r.top < 0)
			return errno == ENOENT ? 0 : -errno;
		rc = remove_all(&r, fcntl(r.top, F_DUPFD_CLOEXEC, 0), 1);
		(void)close(r.top);
		if (rc == 0)
			rc = remove_one(&r, dir, name, &folder);
		if (rc == 0 && folder && r.done == before && ++idle >= IDLE_MAX)
			rc = -ENOTEMPTY;
	}
	return rc;
}

int
gw_fs_remove_tree(const struct gw_fs *fs, const char *path, struct err *err)
{
	struct gw_fs_spot s;
	int rc = gw_fs_look_spot(fs, path, false, &s, err);

	if (rc == -ENOENT)
		return 0;
	if (rc != 0)
		return rc;
	rc = remove_tree(fs, s.fd, s.name);
	if (rc == -EFBIG)
		rc = gw_fs_look_fail(err, -EMSGSIZE, path,
		                     "more than %u files, or more come meanwhile", STEPS_MAX);
	else if (rc != 0)
		rc = gw_fs_look_errno(-rc, path, err);
	gw_fs_look_spot_fini(&s);
	return rc;
}
