/* gateway/fs_look.c - see gateway/fs_look.h. */
#include "gateway/fs_look.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "gateway/fs.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define TRIES     256 /* openat2(2) says EAGAIN when something was renamed beside its ".." */
#define WHY_MAX   128 /* of an error, without the path */
#define LINKS_MAX 40  /* the system's own limit */

/* --- errors ------------------------------------------------------------------------------- */

int
gw_fs_look_fail(struct err *err, int code, const char *path, const char *why, ...)
{
	char text[WHY_MAX];
	size_t len = strlen(path);
	size_t room = sizeof(err->text) - sizeof(": ...");
	va_list ap;

	va_start(ap, why);
	(void)vsnprintf(text, sizeof(text), why, ap);
	va_end(ap);
	room -= strlen(text);
	if (len <= room)
		return err_set(err, code, "%s: %s", path, text);
	path += len - room;
	while (((unsigned char)*path & 0xc0) == 0x80) /* not from within a character */
		path++;
	return err_set(err, code, "...%s: %s", path, text);
}

int
gw_fs_look_errno(int e, const char *path, struct err *err)
{
	static const struct {
		int e, rc;
		const char *why; /* NULL: the system's words */
	} table[] = {
	    {ENOENT, -ENOENT, "no such file or directory"},
	    {EXDEV, -EACCES, "leads out of the sandbox"},
	    {EACCES, -EACCES, NULL},
	    {EPERM, -EACCES, NULL},
	    {EROFS, -EACCES, NULL},
	    {EEXIST, -EEXIST, "is there already"},
	    {ENOTEMPTY, -EEXIST, NULL},
	    {EISDIR, -EINVAL, "is a folder"},
	    {ENOTDIR, -EINVAL, "is not a folder, or below what is none"},
	    {ELOOP, -EINVAL, "too many links"},
	    {ENAMETOOLONG, -EINVAL, "the path, or a name in it, is too long"},
	    {EINVAL, -EINVAL, NULL},
	    {ENXIO, -EINVAL, "is not a file"},
	    {EMFILE, -EBUSY, NULL},
	    {ENFILE, -EBUSY, NULL},
	    {ECANCELED, -ECANCELED, "the sandbox has gone"},
	    {EAGAIN, -EIO, "its folders change all the time"},
	    {ENOSYS, -EIO, "needs openat2, which Linux has since 5.6"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].e == e)
			return gw_fs_look_fail(err, table[i].rc, path, "%s",
			                       table[i].why != NULL ? table[i].why
			                                            : strerrordesc_np(e));
	}
	return gw_fs_look_fail(err, -EIO, path, "%s", strerrordesc_np(e));
}

/* --- one look ----------------------------------------------------------------------------- */

/* Returns a descriptor or -errno. */
static int
open_beneath(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {
	    .flags = flags | O_CLOEXEC,
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve,
	};
	long fd = -1;

	errno = EAGAIN;
	for (int i = 0; i < TRIES && fd < 0 && (errno == EAGAIN || errno == EINTR); i++)
		fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

int
gw_fs_look_sub(int dir, const char *path, uint64_t flags)
{
	return open_beneath(dir, path, flags, RESOLVE_NO_SYMLINKS);
}

int
gw_fs_look_home(const struct gw_fs *fs, int *ret, struct err *err)
{
	int fd = open_beneath(gw_fs_look_folder(fs), gw_fs_look_name(fs), O_PATH | O_DIRECTORY,
	                      RESOLVE_NO_SYMLINKS);

	if (fd < 0)
		return gw_fs_look_errno(-fd, "the sandbox's home", err);
	*ret = fd;
	return 0;
}

/* --- links -------------------------------------------------------------------------------- */

/* A path being walked: what is behind us has no link, what is ahead is still to be seen. */
struct walk {
	const struct gw_fs *fs;
	int home;
	unsigned links_n;
	char done[PATH_MAX]; /* without a slash at its ends */
	char todo[PATH_MAX];
};

/* Put target, a link's, before what is still to be seen.  Returns 0 or -errno. */
static int
follow(struct walk *w, const char *target)
{
	char rest[PATH_MAX];

	if (++w->links_n > LINKS_MAX)
		return -ELOOP;
	if (target[0] == '/') {
		target = gw_fs_look_below(w->fs, target);
		if (target == NULL)
			return -EXDEV;
		w->done[0] = '\0';
	}
	memcpy(rest, w->todo, sizeof(rest));
	if (snprintf(w->todo, sizeof(w->todo), "%s/%s", target, rest) >= (int)sizeof(w->todo))
		return -ENAMETOOLONG;
	return 0;
}

/* Go one name on.  Returns 0 or -errno. */
static int
step(struct walk *w, const char *name)
{
	char target[PATH_MAX];
	size_t len = strlen(w->done);
	ssize_t n;
	int fd;

	if (strcmp(name, "..") == 0) {
		char *slash = strrchr(w->done, '/');

		if (len == 0)
			return -EXDEV;
		*(slash != NULL ? slash : w->done) = '\0';
		return 0;
	}
	if (len + strlen(name) + 2 > sizeof(w->done))
		return -ENAMETOOLONG;
	(void)snprintf(w->done + len, sizeof(w->done) - len, "%s%s", len > 0 ? "/" : "", name);
	fd = open_beneath(w->home, w->done, O_PATH | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	n = readlinkat(fd, "", target, sizeof(target));
	(void)close(fd);
	if (n < 0)
		return 0; /* no link */
	if ((size_t)n == sizeof(target))
		return -ENAMETOOLONG;
	target[n] = '\0';
	w->done[len] = '\0';
	return follow(w, target);
}

/* Returns 0 with w->done, or -errno. */
static int
walk(struct walk *w)
{
	int rc = 0;

	while (rc == 0 && w->todo[0] != '\0') {
		size_t slashes = strspn(w->todo, "/");
		size_t n = strcspn(w->todo + slashes, "/");
		char name[PATH_MAX];

		memcpy(name, w->todo + slashes, n);
		name[n] = '\0';
		memmove(w->todo, w->todo + slashes + n, strlen(w->todo + slashes + n) + 1);
		if (n > 0 && strcmp(name, ".") != 0)
			rc = step(w, name);
	}
	return rc;
}

int
gw_fs_look_real(const struct gw_fs *fs, const char *here, char **ret, struct err *err)
{
	struct walk *w = mem_new(sizeof(*w));
	int rc = gw_fs_look_home(fs, &w->home, err);

	if (rc != 0) {
		mem_free(w);
		return rc;
	}
	w->fs = fs;
	(void)snprintf(w->todo, sizeof(w->todo), "%s", here);
	rc = walk(w);
	(void)close(w->home);
	if (rc == 0)
		*ret = mem_strdup(w->done[0] != '\0' ? w->done : ".");
	else
		rc = gw_fs_look_errno(-rc, here, err);
	mem_free(w);
	return rc;
}

int
gw_fs_look(const struct gw_fs *fs, const char *here, uint64_t flags, int *ret, struct err *err)
{
	char *real = NULL;
	int home = -1;
	int rc = gw_fs_look_home(fs, &home, err);
	int fd;

	if (rc != 0)
		return rc;
	fd = open_beneath(home, here, flags, 0);
	if (fd == -EXDEV && gw_fs_look_real(fs, here, &real, NULL) == 0) {
		/* a link with the home's own path; what it means is looked up as strictly */
		fd = open_beneath(home, real, flags, RESOLVE_NO_SYMLINKS);
		if (fd == -ELOOP)
			fd = -EAGAIN; /* it was no link a moment ago */
	}
	(void)close(home);
	mem_free(real);
	if (fd < 0)
		return gw_fs_look_errno(-fd, here, err);
	*ret = fd;
	return 0;
}

/* --- where an entry is -------------------------------------------------------------------- */

/* Make the folder of one name in the folder above it.  Returns 0, also when it is there. */
static int
make_one(const struct gw_fs *fs, const char *above, const char *name, struct err *err)
{
	int fd = -1;
	int rc = gw_fs_look(fs, above, O_PATH | O_DIRECTORY, &fd, err);

	if (rc != 0)
		return rc;
	if (mkdirat(fd, name, 0755) != 0 && errno != EEXIST)
		rc = gw_fs_look_errno(errno, name, err);
	(void)close(fd);
	return rc;
}

int
gw_fs_look_make(const struct gw_fs *fs, const char *here, struct err *err)
{
	char *path = mem_strdup(here);
	char *at = path;
	int fd = -1;
	int rc = gw_fs_look(fs, here, O_PATH | O_DIRECTORY, &fd, err);

	while (rc == -ENOENT && at != NULL) {
		char *name = at > path ? at + 1 : at;
		char *end = strchr(name, '/');
		int made;

		if (end != NULL)
			*end = '\0';
		if (at > path)
			*at = '\0';
		made = make_one(fs, at > path ? path : ".", name, err);
		if (at > path)
			*at = '/';
		if (end != NULL)
			*end = '/';
		at = end;
		if (made != 0)
			rc = made == -ENOENT ? -EIO : made;
	}
	mem_free(path);
	if (rc == -ENOENT) /* all were made */
		rc = gw_fs_look(fs, here, O_PATH | O_DIRECTORY, &fd, err);
	if (rc == 0)
		(void)close(fd);
	return rc;
}

int
gw_fs_look_spot(const struct gw_fs *fs, const char *path, bool make, struct gw_fs_spot *ret,
                struct err *err)
{
	struct gw_fs_spot s = {.fd = -1};
	char *slash;
	int rc = gw_fs_here(fs, path, &s.here, err);

	if (rc != 0)
		return rc;
	if (strcmp(s.here, ".") == 0) {
		mem_free(s.here);
		return gw_fs_look_fail(err, -EINVAL, path, "is the sandbox's home itself");
	}
	slash = strrchr(s.here, '/');
	s.name = slash != NULL ? slash + 1 : s.here;
	if (slash != NULL)
		*slash = '\0';
	if (make && slash != NULL)
		rc = gw_fs_look_make(fs, s.here, err);
	if (rc == 0)
		rc = gw_fs_look(fs, slash != NULL ? s.here : ".", O_PATH | O_DIRECTORY, &s.fd,
		                err);
	if (slash != NULL)
		*slash = '/';
	if (rc == 0)
		*ret = s;
	else
		mem_free(s.here);
	return rc;
}

void
gw_fs_look_spot_fini(struct gw_fs_spot *s)
{
	(void)close(s->fd);
	mem_free(s->here);
}

void
gw_fs_look_proc(int fd, char ret[GW_FS_LOOK_PROC_MAX])
{
	(void)snprintf(ret, GW_FS_LOOK_PROC_MAX, "/proc/self/fd/%d", fd);
}
