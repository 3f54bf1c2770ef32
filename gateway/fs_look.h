/* gateway/fs_look.h - CORE: names of a sandbox's files to descriptors; for gateway/fs*.c.
 *
 * here is a path as gw_fs_here() returns it.  All of it may block.  Nothing opened here is outside
 * of the home, and nothing is opened but by openat2(2).
 */
#ifndef GW_FS_LOOK_H
#define GW_FS_LOOK_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct gw_fs;

/* Say "PATH: WHY", of a long path its end.  Returns code. */
int gw_fs_look_fail(struct err *err, int code, const char *path, const char *why, ...)
    __attribute__((format(printf, 4, 5)));

/* What errno e means for path.  Returns the code, with err. */
int gw_fs_look_errno(int e, const char *path, struct err *err);

/* Open with flags (O_CLOEXEC is added); links are followed, the last one too.  Returns 0 with *ret
 * owned by the caller, or as gw_fs_look_errno(). */
int gw_fs_look(const struct gw_fs *fs, const char *here, uint64_t flags, int *ret,
               struct err *err);

/* The same below the folder dir, where no part of path may be a link.  Returns a descriptor, owned
 * by the caller, or -errno (-ELOOP: a link). */
int gw_fs_look_sub(int dir, const char *path, uint64_t flags);

/* here with its links replaced by what they mean, as far as it exists; owned by the caller.  Only
 * as good as the moment: open what it names, beneath.  Returns 0, -EINVAL, -EACCES or -EIO. */
int gw_fs_look_real(const struct gw_fs *fs, const char *here, char **ret, struct err *err);

/* The folder that an entry is in, and its name there. */
struct gw_fs_spot {
	int fd; /* of the folder, O_PATH */
	char *here;
	const char *name; /* in here: never empty, ".", or ".." */
};

/* make: folders that miss are made.  Returns 0 with *ret to be given to fini, or an error: the home
 * itself has no spot (-EINVAL). */
int gw_fs_look_spot(const struct gw_fs *fs, const char *path, bool make, struct gw_fs_spot *ret,
                    struct err *err);
void gw_fs_look_spot_fini(struct gw_fs_spot *s);

/* Make the folder and those above it, 0755. */
int gw_fs_look_make(const struct gw_fs *fs, const char *here, struct err *err);

/* "/proc/self/fd/N", by which an O_PATH descriptor is opened or changed. */
#define GW_FS_LOOK_PROC_MAX 32
void gw_fs_look_proc(int fd, char ret[GW_FS_LOOK_PROC_MAX]);

/* A descriptor of the home, O_PATH, owned by the caller. */
int gw_fs_look_home(const struct gw_fs *fs, int *ret, struct err *err);

/* Of fs.c.  Whether what takes long should give up, with ECANCELED: the sandbox ends, or nobody
 * waits for what this thread looks up, either. */
bool gw_fs_look_ended(const struct gw_fs *fs);
bool gw_fs_look_unwanted(const struct gw_fs *fs);
/* The descriptor of the folder that the home is in, and the home's name there, both borrowed. */
int gw_fs_look_folder(const struct gw_fs *fs);
const char *gw_fs_look_name(const struct gw_fs *fs);

/* Whether the absolute path is below the home: what comes after it ("" for itself), else NULL. */
const char *gw_fs_look_below(const struct gw_fs *fs, const char *path);

#endif /* GW_FS_LOOK_H */
