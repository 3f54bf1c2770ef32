/* gateway/fs.h - CORE: the files of one sandbox, and no others.
 *
 * A client's path is relative to the sandbox's home, "~" or "~/...", or the absolute path of
 * something in it; every other path is refused.  ".." takes the name before it away, whatever that
 * is, as Go's filepath.Clean() does.  What is left is looked up below the home's descriptor by
 * openat2(2) (Linux 5.6: RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS), so that no symbolic link leads
 * out, whatever the sandbox's code changes meanwhile.  A link in the home to something in the home
 * is followed, also one that is absolute; one that leads out is refused.
 *
 * new, hold, release and end belong to the loop; home and here are good anywhere.  All others may
 * block, and are for loop_work(); they return 0, or with err naming the path: -EINVAL (no path, too
 * long, of the wrong kind), -EACCES (outside of the sandbox's files, or forbidden), -ENOENT,
 * -EEXIST, -EMSGSIZE (a ceiling), -EBUSY (no descriptor left), -ECANCELED (ended) or -EIO.
 */
#ifndef GW_FS_H
#define GW_FS_H

#include <jansson.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "wire/base/list.h"
#include "wire/base/loop.h"

struct buf;
struct err;
struct gw_fs;
struct gw_home;

#define GW_FS_THREADS     2       /* of four that there are */
#define GW_FS_ENTRIES_MAX 100000  /* of one listing or search */
#define GW_FS_VISITED_MAX 1000000 /* that a search looks at */
#define GW_FS_REPLACE_MAX                                                                      \
	(1U << 30)         /* bytes of a file whose text is replaced, before and after */
#define GW_FS_NAME_MAX  48 /* of a temporary file, with its NUL */
#define GW_FS_MODE_KEEP ((mode_t)-1) /* permissions: as they are, or 0755 for a new folder */

/* folder is held as long as this lives; home is its path of the home.  Returns 0 with *ret held
 * once, or -EIO. */
int gw_fs_new(struct gw_home *folder, const char *home, struct gw_fs **ret, struct err *err);
struct gw_fs *gw_fs_hold(struct gw_fs *fs);
void gw_fs_release(struct gw_fs *fs); /* NULL is fine */
/* The sandbox goes: what still works on its files, and takes long, gives up with -ECANCELED.  NULL
 * is fine. */
void gw_fs_end(struct gw_fs *fs);
/* Work on fs in a thread, embedded in its owner.  At most GW_FS_THREADS of one sandbox are at work
 * at once, in the order in which they came, so that no sandbox keeps another from its files. */
struct gw_fs_work {
	struct list node; /* of those that wait */
	struct loop *lp;
	struct gw_fs *fs;
	loop_fn *work, *done;
	void *arg;
	atomic_bool left;
};

/* As loop_work(); fs is held until done was called, w and arg are the caller's from then on. */
void gw_fs_work(struct loop *lp, struct gw_fs *fs, struct gw_fs_work *w, loop_fn *work,
                loop_fn *done, void *arg);
/* Nobody wants it any more: if it has not begun it will not, only done is called; if it has, a
 * list or search gives up with -ECANCELED, and a change is made all the same. */
void gw_fs_work_leave(struct gw_fs_work *w);

const char *gw_fs_home(const struct gw_fs *fs);

/* What path means: relative to the home, "." for the home itself; owned by the caller.  Pure. */
int gw_fs_here(const struct gw_fs *fs, const char *path, char **ret, struct err *err);

/* Open a regular file to read it; *ret_fd is owned by the caller. */
int gw_fs_open(const struct gw_fs *fs, const char *path, int *ret_fd, struct stat *ret_st,
               struct err *err);

/* A file to write to before it gets its place: not in the home, but on its file system.  *ret_fd is
 * owned by the caller, who also drops or places the file. */
int gw_fs_temp(const struct gw_fs *fs, int *ret_fd, char ret_name[GW_FS_NAME_MAX],
               struct err *err);
void gw_fs_temp_drop(const struct gw_fs *fs, const char *name);
/* Give it the path and the permissions (0 to 0777), at once and in place of a file, link, device
 * or socket of that name; folders that miss are made.  Where this fails it is not dropped. */
int gw_fs_temp_place(const struct gw_fs *fs, const char *name, const char *path, mode_t mode,
                     struct err *err);

/* Check that files may be given to owner and group: NULL or "" (nobody said), or what the gateway
 * runs as, by name or number.  Returns 0 or -EINVAL. */
int gw_fs_check_owner(const char *owner, const char *group, struct err *err);

/* One object: path (absolute), type ("file", "directory", "symlink", "other"), size (bytes; 0 of a
 * directory), modified_at, created_at (RFC 3339, UTC), owner, group (names, or numbers where they
 * have none), mode (an integer whose decimal digits are the octal ones: 644).  Text that is no
 * UTF-8 is repaired.  *ret is owned by the caller.  A link is described itself.  (execd-api:
 * FileInfo) */
int gw_fs_info(const struct gw_fs *fs, const char *path, json_t **ret, struct err *err);
/* Append a JSON array of these to ret: of what is below path, depth levels deep (1: its entries),
 * each folder before what is in it, in byte order.  Links are not followed, and path must not be
 * one. */
int gw_fs_list(const struct gw_fs *fs, const char *path, unsigned depth, struct buf *ret,
               struct err *err);
/* The same of all files (no folders) below path, or of the file path itself, that match pattern
 * (gateway/glob.h) by name, or by their path below it where the pattern has a slash. */
int gw_fs_search(const struct gw_fs *fs, const char *path, const char *pattern, struct buf *ret,
                 struct err *err);

/* Make a folder and those above it; one that is there gets the permissions. */
int gw_fs_mkdirs(const struct gw_fs *fs, const char *path, mode_t mode, struct err *err);
/* Remove a file or link: -EINVAL for a folder.  Remove a folder with all in it (or a file, or a
 * link), never the home itself.  What is not there is fine. */
int gw_fs_remove(const struct gw_fs *fs, const char *path, struct err *err);
int gw_fs_remove_tree(const struct gw_fs *fs, const char *path, struct err *err);
/* Rename, a link itself.  The folders of to are made; what is there already stays (-EEXIST). */
int gw_fs_move(const struct gw_fs *fs, const char *from, const char *to, struct err *err);
/* Of what a link leads to. */
int gw_fs_chmod(const struct gw_fs *fs, const char *path, mode_t mode, struct err *err);
/* Replace every old (not empty) by new_text; *ret_n: how many.  Who reads sees the old text or the
 * new, never half of it; the permissions stay, hard links do not.  A link stays one. */
int gw_fs_replace(const struct gw_fs *fs, const char *path, const char *old,
                  const char *new_text, uint64_t *ret_n, struct err *err);

#endif /* GW_FS_H */
