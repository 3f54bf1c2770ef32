/* gateway/fsput.h - CORE: one file on its way into a sandbox, in pieces.
 *
 * It is written beside the home, and gets its place when it is whole: nobody sees a half.  All of
 * it may block and is for loop_work(), one call at a time; errors are those of gateway/fs.h.
 */
#ifndef GW_FSPUT_H
#define GW_FSPUT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct gw_fs;
struct gw_fsput;

/* Begin: path is looked at, and refused where it cannot get the file.  GW_FS_MODE_KEEP: with the
 * permissions of the file that it replaces, else 0755.  fs is borrowed until the end; a file of
 * more than max bytes (max_upload_bytes) is refused.  Returns 0 with *ret owned by the caller. */
int gw_fsput_new(const struct gw_fs *fs, const char *path, mode_t mode, uint64_t max,
                 struct gw_fsput **ret, struct err *err);
/* Append.  -EMSGSIZE: more than max. */
int gw_fsput_write(struct gw_fsput *p, const char *data, size_t len, struct err *err);
/* It is whole: place it.  *p is taken, also when it fails: then nothing is left of it. */
int gw_fsput_place(struct gw_fsput **p, struct err *err);
/* Forget it.  NULL is fine. */
void gw_fsput_drop(struct gw_fsput *p);

#endif /* GW_FSPUT_H */
