/* tests/unit/fs_rig.h - a sandbox's files for a test: its folder, a home in it, and what code does
 * there by plain paths. */
#ifndef FS_RIG_H
#define FS_RIG_H

#include <stdbool.h>
#include <sys/types.h>

#include "gateway/fs.h"
#include "wire/base/err.h"

/* Of the test that runs. */
struct fs_rig {
	char box[64];  /* the sandbox's folder */
	char home[80]; /* in it */
	struct gw_home *folder;
	struct gw_fs *fs;
	struct err err;
};
extern struct fs_rig rig;

/* Setup and teardown of all tests, and of each, for cmocka.  quick: in memory where there is such a
 * file system, for tests that make very many files. */
int fs_rig_begin(void **state);
int fs_rig_begin_quick(void **state);
int fs_rig_end(void **state);
int fs_rig_new(void **state);
int fs_rig_free(void **state);

/* The absolute path of name, good until the next call. */
const char *fs_rig_path(const char *name);
/* Write a file (by any path; in the home), make a folder, make a link; all must work. */
void fs_rig_put_at(const char *path, const char *text);
void fs_rig_put(const char *name, const char *text);
void fs_rig_folder_at(const char *name);
void fs_rig_link(const char *target, const char *name);

bool fs_rig_exists(const char *name);
mode_t fs_rig_mode(const char *name);
char *fs_rig_text(const char *name); /* owned by the caller */
void fs_rig_assert_text(const char *name, const char *want);

/* Open path and give the first byte that is in it, or the error. */
int fs_rig_first(const char *path);
/* Write text by way of a temporary file. */
int fs_rig_place(const char *path, const char *text, mode_t mode);

#endif /* FS_RIG_H */
