/* gateway/files.h - CORE: the few things that the gateway does with files and folders. */
#ifndef GW_FILES_H
#define GW_FILES_H

#include <stddef.h>

struct err;

/* Make path and the folders above it, 0700 each.  Returns 0 (also when it exists) or -EIO
 * naming the folder. */
int gw_files_mkdirs(const char *path, struct err *err);

/* Make an empty file, 0600.  Returns 0 (also when it exists) or -EIO naming it. */
int gw_files_touch(const char *path, struct err *err);

/* Returns 0 if path is absolute and a folder, else -EINVAL with err calling it cwd. */
int gw_files_check_dir(const char *path, struct err *err);

/* Remove path and all below it, in a process of its own: a large tree must not stop the loop. */
void gw_files_remove_tree(const char *path);

/* Read a small file whole.  Returns 0 with *ret (NUL-terminated, owned by the caller),
 * -ENOENT, -EMSGSIZE (larger than max) or -EIO, with err naming it. */
int gw_files_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err);

#endif /* GW_FILES_H */
