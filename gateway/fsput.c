/* gateway/fsput.c - see gateway/fsput.h. */
#include "gateway/fsput.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/fs.h"
#include "gateway/fs_look.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define MODE_NEW 0755 /* what a client's file gets that says nothing of it: execd's */

struct gw_fsput {
	const struct gw_fs *fs; /* borrowed */
	char *path;
	mode_t mode;
	uint64_t max, written;
	int fd; /* -1: closed */
	char name[GW_FS_NAME_MAX];
};

/* Nobody wants to send a gigabyte to hear then that there is a folder.  What is not there yet is
 * fine; what it is in the end decides gw_fs_temp_place(). */
static int
look_ahead(const struct gw_fs *fs, const char *path, mode_t *mode, struct err *err)
{
	const bool keep = *mode == GW_FS_MODE_KEEP;
	struct gw_fs_spot s;
	struct stat st;
	int rc = gw_fs_look_spot(fs, path, false, &s, err);

	if (keep)
		*mode = MODE_NEW;
	if (rc != 0)
		return rc == -ENOENT ? 0 : rc;
	if (fstatat(s.fd, s.name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISDIR(st.st_mode))
			rc = err_set(err, -EINVAL, "%.120s is a folder", path);
		else if (S_ISREG(st.st_mode) && keep)
			*mode = st.st_mode & 0777;
	}
	gw_fs_look_spot_fini(&s);
	return rc;
}

int
gw_fsput_new(const struct gw_fs *fs, const char *path, mode_t mode, uint64_t max,
             struct gw_fsput **ret, struct err *err)
{
	char name[GW_FS_NAME_MAX];
	struct gw_fsput *p;
	int fd = -1;
	int rc = look_ahead(fs, path, &mode, err);

	if (rc == 0)
		rc = gw_fs_temp(fs, &fd, name, err);
	if (rc != 0)
		return rc;
	p = mem_new(sizeof(*p));
	*p = (struct gw_fsput){
	    .fs = fs, .path = mem_strdup(path), .mode = mode, .max = max, .fd = fd};
	memcpy(p->name, name, sizeof(name));
	*ret = p;
	return 0;
}

int
gw_fsput_write(struct gw_fsput *p, const char *data, size_t len, struct err *err)
{
	if (len > p->max - p->written)
		return err_set(err, -EMSGSIZE,
		               "%.100s: a file may have %llu bytes (max_upload_bytes)", p->path,
		               (unsigned long long)p->max);
	p->written += len;
	while (len > 0) {
		ssize_t n = write(p->fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, -EIO, "%.120s: %s", p->path,
			               strerrordesc_np(errno));
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static void
fini(struct gw_fsput *p)
{
	if (p->fd >= 0)
		(void)close(p->fd);
	mem_free(p->path);
	mem_free(p);
}

int
gw_fsput_place(struct gw_fsput **p_, struct err *err)
{
	struct gw_fsput *p = *p_;
	int fd = p->fd;
	int rc = 0;

	*p_ = NULL;
	p->fd = -1;
	if (close(fd) != 0 && errno != EINTR) /* where a quota is counted late */
		rc = err_set(err, -EIO, "%.120s: %s", p->path, strerrordesc_np(errno));
	if (rc == 0)
		rc = gw_fs_temp_place(p->fs, p->name, p->path, p->mode, err);
	if (rc == 0)
		fini(p);
	else
		gw_fsput_drop(p);
	return rc;
}

void
gw_fsput_drop(struct gw_fsput *p)
{
	if (p == NULL)
		return;
	gw_fs_temp_drop(p->fs, p->name);
	fini(p);
}
