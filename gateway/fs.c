/* gateway/fs.c - see gateway/fs.h: whose files they are, what a path means, reading and writing.
 *
 * Of the folder only a descriptor is kept; the home is opened anew for each call, so that code
 * that removes its home and makes another one still has its files served.
 */
#include "gateway/fs.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "gateway/fs_look.h"
#include "gateway/sandbox.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define TEMP_PREFIX "put." /* then the pid and a random number */

struct gw_fs {
	unsigned holders_n;     /* of the loop's thread, as folder is */
	struct gw_home *folder; /* held */
	int fd;                 /* of the folder, O_PATH */
	char *name;             /* of the home, in the folder */
	char *home;             /* absolute, without links */
	char *given;            /* the same as the sandbox writes it */
	unsigned working_n;     /* of gw_fs_work, in threads */
	struct list waiting;    /* gw_fs_work */
	atomic_bool ended;
};

/* Set while this thread does a gw_fs_work: nobody waits for it any more. */
static _Thread_local const atomic_bool *left;

/* --- life --------------------------------------------------------------------------------- */

/* Remove what a gateway left that ended while it wrote.  None of ours is there yet. */
static void
sweep(const struct gw_fs *fs)
{
	DIR *d = opendir(fs->folder->dir);
	const struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): its own stream */
		long pid;

		if (strncmp(e->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) != 0)
			continue;
		pid = strtol(e->d_name + strlen(TEMP_PREFIX), NULL, 10);
		if (pid <= 0 || pid == getpid() || kill((pid_t)pid, 0) != 0)
			(void)unlinkat(fs->fd, e->d_name, 0);
	}
	(void)closedir(d);
}

/* dir/name; owned by the caller. */
static char *
below(const char *dir, const char *name)
{
	size_t room = strlen(dir) + strlen(name) + 2;
	char *path = mem_new(room);

	(void)snprintf(path, room, "%s/%s", dir, name);
	return path;
}

int
gw_fs_new(struct gw_home *folder, const char *home, struct gw_fs **ret, struct err *err)
{
	const char *name = home + strlen(folder->dir) + 1;
	/* Not the home's own: the sandbox's code may have put a link in its place. */
	char *real = realpath(folder->dir, NULL);
	struct gw_fs *fs;
	int fd;

	assert(strncmp(home, folder->dir, strlen(folder->dir)) == 0);
	if (real == NULL)
		return err_set(err, -EIO, "the sandbox's home is lost: %s",
		               strerrordesc_np(errno));
	fd = open(folder->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		free(real);
		return err_set(err, -EIO, "cannot open the sandbox's folder: %s",
		               strerrordesc_np(errno));
	}
	fs = mem_new(sizeof(*fs));
	*fs = (struct gw_fs){
	    .holders_n = 1,
	    .folder = gw_home_hold(folder),
	    .fd = fd,
	    .name = mem_strdup(name),
	    .home = below(real, name),
	    .given = mem_strdup(home),
	};
	free(real);
	list_init(&fs->waiting);
	sweep(fs);
	*ret = fs;
	return 0;
}

struct gw_fs *
gw_fs_hold(struct gw_fs *fs)
{
	fs->holders_n++;
	return fs;
}

void
gw_fs_release(struct gw_fs *fs)
{
	if (fs == NULL || --fs->holders_n > 0)
		return;
	(void)close(fs->fd);
	gw_home_release(fs->folder);
	mem_free(fs->name);
	mem_free(fs->home);
	mem_free(fs->given);
	mem_free(fs);
}

void
gw_fs_end(struct gw_fs *fs)
{
	if (fs != NULL)
		atomic_store(&fs->ended, true);
}

bool
gw_fs_look_ended(const struct gw_fs *fs)
{
	return atomic_load(&fs->ended);
}

bool
gw_fs_look_unwanted(const struct gw_fs *fs)
{
	return gw_fs_look_ended(fs) || (left != NULL && atomic_load(left));
}

/* --- work in threads ---------------------------------------------------------------------- */

static void
in_thread(void *arg)
{
	struct gw_fs_work *w = arg;

	left = &w->left;
	if (!atomic_load(&w->left))
		w->work(w->arg);
	left = NULL;
}

static void start_next(struct gw_fs *fs);

static void
after_thread(void *arg)
{
	struct gw_fs_work *w = arg;
	struct gw_fs *fs = w->fs;

	fs->working_n--;
	w->done(w->arg); /* w may be gone */
	start_next(fs);
	gw_fs_release(fs);
}

static void
start_next(struct gw_fs *fs)
{
	while (fs->working_n < GW_FS_THREADS && !list_empty(&fs->waiting)) {
		struct gw_fs_work *w = list_entry(fs->waiting.next, struct gw_fs_work, node);

		list_del(&w->node);
		fs->working_n++;
		loop_work(w->lp, in_thread, after_thread, w);
	}
}

void
gw_fs_work(struct loop *lp, struct gw_fs *fs, struct gw_fs_work *w, loop_fn *work,
           loop_fn *done, void *arg)
{
	w->lp = lp;
	w->fs = gw_fs_hold(fs);
	w->work = work;
	w->done = done;
	w->arg = arg;
	list_add_before(&fs->waiting, &w->node);
	start_next(fs);
}

void
gw_fs_work_leave(struct gw_fs_work *w)
{
	atomic_store(&w->left, true);
}

const char *
gw_fs_home(const struct gw_fs *fs)
{
	return fs->home;
}

int
gw_fs_look_folder(const struct gw_fs *fs)
{
	return fs->fd;
}

/* The home is the entry of this name: gateway/fs_look.c opens it. */
const char *
gw_fs_look_name(const struct gw_fs *fs)
{
	return fs->name;
}

/* --- paths -------------------------------------------------------------------------------- */

/* Take out "//", "/./" and "/../" of an absolute path, in place. */
static void
clean(char *path)
{
	const char *in = path;
	char *out = path;

	while (*in != '\0') {
		size_t n;

		in += strspn(in, "/");
		n = strcspn(in, "/");
		if (n == 2 && in[0] == '.' && in[1] == '.') {
			while (out > path && *--out != '/')
				;
		} else if (n > 0 && !(n == 1 && in[0] == '.')) {
			*out++ = '/';
			memmove(out, in, n);
			out += n;
		}
		in += n;
	}
	if (out == path)
		*out++ = '/';
	*out = '\0';
}

static const char *
after(const char *dir, const char *path)
{
	size_t n = strlen(dir);

	if (strncmp(path, dir, n) != 0)
		return NULL;
	if (path[n] == '\0')
		return path + n;
	return path[n] == '/' ? path + n + 1 : NULL;
}

const char *
gw_fs_look_below(const struct gw_fs *fs, const char *path)
{
	const char *rest = after(fs->home, path);

	return rest != NULL ? rest : after(fs->given, path);
}

int
gw_fs_here(const struct gw_fs *fs, const char *path, char **ret, struct err *err)
{
	bool tilde = path[0] == '~' && (path[1] == '\0' || path[1] == '/');
	const char *home = path[0] == '/' ? "" : fs->home;
	size_t room = strlen(home) + strlen(path) + 2;
	const char *rest;
	char *whole;
	int rc = 0;

	if (path[0] == '\0')
		return err_set(err, -EINVAL, "the path is empty");
	whole = mem_new(room);
	(void)snprintf(whole, room, "%s/%s", home, path + (tilde ? 1 : 0));
	clean(whole);
	rest = gw_fs_look_below(fs, whole);
	if (rest == NULL)
		rc = err_set(err, -EACCES, "%.40s: is not below the sandbox's home, %s", path,
		             fs->home);
	else if (strlen(rest) >= PATH_MAX)
		rc = gw_fs_look_fail(err, -EINVAL, path, "the path is longer than %d bytes",
		                     PATH_MAX - 1);
	else
		*ret = mem_strdup(rest[0] != '\0' ? rest : ".");
	mem_free(whole);
	return rc;
}

/* --- reading ------------------------------------------------------------------------------ */

static const char *
kind(mode_t mode)
{
	if (S_ISDIR(mode))
		return "a folder";
	if (S_ISFIFO(mode))
		return "a pipe";
	if (S_ISSOCK(mode))
		return "a socket";
	return "a device";
}

/* Open what the O_PATH descriptor at is, once it is known to be a file: to open a device or pipe
 * already does something to it. */
static int
open_file(int at, const char *path, int *ret_fd, struct stat *ret_st, struct err *err)
{
	char proc[GW_FS_LOOK_PROC_MAX];
	struct stat st;
	int fd;

	if (fstat(at, &st) != 0)
		return gw_fs_look_errno(errno, path, err);
	if (!S_ISREG(st.st_mode))
		return gw_fs_look_fail(err, -EINVAL, path, "is %s, not a file",
		                       kind(st.st_mode));
	gw_fs_look_proc(at, proc);
	fd = open(proc, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return gw_fs_look_errno(errno, path, err);
	*ret_fd = fd;
	*ret_st = st;
	return 0;
}

int
gw_fs_open(const struct gw_fs *fs, const char *path, int *ret_fd, struct stat *ret_st,
           struct err *err)
{
	char *here = NULL;
	int at = -1;
	int rc = gw_fs_here(fs, path, &here, err);

	if (rc == 0)
		rc = gw_fs_look(fs, here, O_PATH, &at, err);
	if (rc == 0)
		rc = open_file(at, path, ret_fd, ret_st, err);
	if (at >= 0)
		(void)close(at);
	mem_free(here);
	return rc;
}

/* --- writing ------------------------------------------------------------------------------ */

int
gw_fs_temp(const struct gw_fs *fs, int *ret_fd, char ret_name[GW_FS_NAME_MAX], struct err *err)
{
	char name[GW_FS_NAME_MAX];
	uint64_t number;
	int fd;

	do {
		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			return err_set(err, -EIO, "no random number: %s",
			               strerrordesc_np(errno));
		(void)snprintf(name, sizeof(name), TEMP_PREFIX "%ld.%016llx", (long)getpid(),
		               (unsigned long long)number);
		fd = openat(fs->fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		            0600);
	} while (fd < 0 && errno == EEXIST);
	if (fd < 0)
		return gw_fs_look_errno(errno, "a temporary file", err);
	memcpy(ret_name, name, sizeof(name));
	*ret_fd = fd;
	return 0;
}

void
gw_fs_temp_drop(const struct gw_fs *fs, const char *name)
{
	(void)unlinkat(fs->fd, name, 0);
}

int
gw_fs_temp_place(const struct gw_fs *fs, const char *name, const char *path, mode_t mode,
                 struct err *err)
{
	struct gw_fs_spot s;
	int rc = gw_fs_look_spot(fs, path, true, &s, err);

	if (rc != 0)
		return rc;
	if (fchmodat(fs->fd, name, mode, AT_SYMLINK_NOFOLLOW) != 0 ||
	    renameat(fs->fd, name, s.fd, s.name) != 0)
		rc = errno == EXDEV
		         ? gw_fs_look_fail(err, -EIO, path, "is on another file system")
		         : gw_fs_look_errno(errno, path, err);
	gw_fs_look_spot_fini(&s);
	return rc;
}
