/* gateway/fs_change.c - see gateway/fs.h: what changes names and contents. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/fs.h"
#include "gateway/fs_look.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define PIECE (256U << 10) /* bytes read at once, or as many as the old text has */

/* --- permissions -------------------------------------------------------------------------- */

int
gw_fs_chmod(const struct gw_fs *fs, const char *path, mode_t mode, struct err *err)
{
	char proc[GW_FS_LOOK_PROC_MAX];
	char *here = NULL;
	int fd = -1;
	int rc = gw_fs_here(fs, path, &here, err);

	if (rc == 0)
		rc = gw_fs_look(fs, here, O_PATH, &fd, err);
	mem_free(here);
	if (rc != 0)
		return rc;
	gw_fs_look_proc(fd, proc);
	if (mode != GW_FS_MODE_KEEP && chmod(proc, mode) != 0)
		rc = gw_fs_look_errno(errno, path, err);
	(void)close(fd);
	return rc;
}

int
gw_fs_mkdirs(const struct gw_fs *fs, const char *path, mode_t mode, struct err *err)
{
	char *here = NULL;
	int rc = gw_fs_here(fs, path, &here, err);

	if (rc == 0)
		rc = gw_fs_look_make(fs, here, err);
	if (rc == 0)
		rc = gw_fs_chmod(fs, path, mode, err);
	mem_free(here);
	return rc;
}

/* --- names -------------------------------------------------------------------------------- */

int
gw_fs_remove(const struct gw_fs *fs, const char *path, struct err *err)
{
	struct gw_fs_spot s;
	int rc = gw_fs_look_spot(fs, path, false, &s, err);

	if (rc == -ENOENT)
		return 0;
	if (rc != 0)
		return rc;
	if (unlinkat(s.fd, s.name, 0) != 0 && errno != ENOENT)
		rc = gw_fs_look_errno(errno, path, err);
	gw_fs_look_spot_fini(&s);
	return rc;
}

/* Returns 0 or -errno. */
static int
rename_new(const struct gw_fs_spot *a, const struct gw_fs_spot *b)
{
	struct stat st;

	if (renameat2(a->fd, a->name, b->fd, b->name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	/* into itself; or a file system that cannot do it in one step */
	if (fstatat(b->fd, b->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return renameat(a->fd, a->name, b->fd, b->name) == 0 ? 0 : -errno;
}

static int
move(const struct gw_fs_spot *a, const char *from, const struct gw_fs_spot *b, const char *to,
     struct err *err)
{
	int rc = rename_new(a, b);

	if (rc == -EINVAL)
		return gw_fs_look_fail(err, rc, from, "cannot move into itself");
	if (rc == -EXDEV)
		return gw_fs_look_fail(err, -EIO, to, "is on another file system");
	if (rc == -ENOENT)
		return gw_fs_look_errno(ENOENT, from, err);
	return rc == 0 ? 0 : gw_fs_look_errno(-rc, to, err);
}

int
gw_fs_move(const struct gw_fs *fs, const char *from, const char *to, struct err *err)
{
	struct gw_fs_spot a;
	struct gw_fs_spot b;
	struct stat st;
	int rc = gw_fs_look_spot(fs, from, false, &a, err);

	if (rc != 0)
		return rc;
	if (fstatat(a.fd, a.name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		/* before folders are made for it */
		rc = gw_fs_look_errno(errno, from, err);
		gw_fs_look_spot_fini(&a);
		return rc;
	}
	rc = gw_fs_look_spot(fs, to, true, &b, err);
	if (rc == 0) {
		rc = move(&a, from, &b, to, err);
		gw_fs_look_spot_fini(&b);
	}
	gw_fs_look_spot_fini(&a);
	return rc;
}

/* --- text --------------------------------------------------------------------------------- */

/* A file that is read piece by piece, and written with its text replaced. */
struct copy {
	const struct gw_fs *fs;
	int in, out;
	const char *old, *new_text;
	size_t old_len, new_len;
	uint64_t n;       /* replaced */
	uint64_t written; /* bytes */
	struct buf b;     /* read, not yet written */
};

/* Returns 0 or -errno. */
static int
put(struct copy *c, const char *data, size_t len)
{
	c->written += len;
	if (c->written > GW_FS_REPLACE_MAX)
		return -EFBIG;
	while (len > 0) {
		ssize_t n = write(c->out, data, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* Write what is settled: all but what may be the beginning of an old one; at the end, all. */
static int
settle(struct copy *c, bool end)
{
	size_t at = 0;
	const char *hit;
	int rc = 0;

	while (rc == 0 &&
	       (hit = memmem(c->b.data + at, c->b.len - at, c->old, c->old_len)) != NULL) {
		rc = put(c, c->b.data + at, (size_t)(hit - c->b.data) - at);
		if (rc == 0)
			rc = put(c, c->new_text, c->new_len);
		at = (size_t)(hit - c->b.data) + c->old_len;
		c->n++;
	}
	if (rc == 0) {
		size_t left = c->b.len - at;
		size_t keep = end ? 0 : left < c->old_len - 1 ? left : c->old_len - 1;

		rc = put(c, c->b.data + at, left - keep);
		buf_consume(&c->b, c->b.len - keep);
	}
	return rc;
}

/* Returns 0 or -errno. */
static int
copy(struct copy *c)
{
	/* What may be the beginning of an old one is searched again with the next piece: in smaller
	 * pieces a long old text would be searched for many times over. */
	size_t size = c->old_len > PIECE ? c->old_len : PIECE;
	char *piece = mem_raw(size);
	ssize_t n = 1;
	int rc = 0;

	buf_init(&c->b, size + c->old_len);
	while (rc == 0 && n > 0) {
		n = read(c->in, piece, size);
		if (n < 0) {
			rc = -errno;
		} else if (gw_fs_look_ended(c->fs)) {
			rc = -ECANCELED;
		} else if (n > 0) {
			rc = buf_append(&c->b, piece, (size_t)n);
			if (rc == 0)
				rc = settle(c, false);
		}
	}
	if (rc == 0 && c->b.len > 0)
		rc = settle(c, true);
	buf_fini(&c->b);
	mem_free(piece);
	return rc;
}

/* Another's file stays theirs, where we may do that. */
static void
keep_owner(int fd, const struct stat *st)
{
	int rc = fchown(fd, st->st_uid, st->st_gid);

	(void)rc;
}

/* Put the file name in the place of path, or of what path is a link to. */
static int
put_back(const struct gw_fs *fs, const char *name, const char *path, const struct stat *st,
         struct err *err)
{
	char *here = NULL;
	char *real = NULL;
	char *place = NULL;
	int rc = gw_fs_here(fs, path, &here, err);

	if (rc == 0)
		rc = gw_fs_look_real(fs, here, &real, err);
	if (rc == 0) {
		size_t room = strlen(real) + 3;

		place = mem_new(room);
		(void)snprintf(place, room, "./%s", real); /* its name may begin with ~ */
		rc = gw_fs_temp_place(fs, name, place, st->st_mode & 07777, err);
	}
	mem_free(place);
	mem_free(real);
	mem_free(here);
	return rc;
}

int
gw_fs_replace(const struct gw_fs *fs, const char *path, const char *old, const char *new_text,
              uint64_t *ret_n, struct err *err)
{
	struct copy c = {
	    .fs = fs,
	    .in = -1,
	    .out = -1,
	    .old = old,
	    .new_text = new_text,
	    .old_len = strlen(old),
	    .new_len = strlen(new_text),
	};
	char name[GW_FS_NAME_MAX];
	struct stat st;
	int rc;

	if (c.old_len == 0)
		return gw_fs_look_fail(err, -EINVAL, path, "the text to replace is empty");
	rc = gw_fs_open(fs, path, &c.in, &st, err);
	if (rc != 0)
		return rc;
	rc = gw_fs_temp(fs, &c.out, name, err);
	if (rc == 0) {
		rc = copy(&c);
		if (rc == -EFBIG)
			rc = gw_fs_look_fail(err, -EMSGSIZE, path,
			                     "is, or becomes, larger than %u bytes",
			                     GW_FS_REPLACE_MAX);
		else if (rc != 0)
			rc = gw_fs_look_errno(-rc, path, err);
		keep_owner(c.out, &st);
		(void)close(c.out);
		if (rc == 0 && c.n > 0)
			rc = put_back(fs, name, path, &st, err);
		if (rc != 0 || c.n == 0)
			gw_fs_temp_drop(fs, name);
	}
	(void)close(c.in);
	if (rc == 0)
		*ret_n = c.n;
	return rc;
}
