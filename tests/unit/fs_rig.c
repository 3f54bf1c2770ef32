/* tests/unit/fs_rig.c - see tests/unit/fs_rig.h. */
#include "tests/unit/fs_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/files.h"
#include "gateway/sandbox.h"
#include "wire/base/mem.h"

struct fs_rig rig;

static char top[] = "/dev/shm/gw_fs_XXXXXX"; /* of all tests: each has a folder in it */
static char at[512];

/* --- what a sandbox's code does, by plain paths ------------------------------------------- */

const char *
fs_rig_path(const char *name)
{
	(void)snprintf(at, sizeof(at), "%s/%s", rig.home, name);
	return at;
}

void
fs_rig_put_at(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

void
fs_rig_put(const char *name, const char *text)
{
	fs_rig_put_at(fs_rig_path(name), text);
}

void
fs_rig_folder_at(const char *name)
{
	assert_int_equal(mkdir(fs_rig_path(name), 0755), 0);
}

void
fs_rig_link(const char *target, const char *name)
{
	assert_int_equal(symlink(target, fs_rig_path(name)), 0);
}

bool
fs_rig_exists(const char *name)
{
	struct stat st;

	return lstat(fs_rig_path(name), &st) == 0;
}

mode_t
fs_rig_mode(const char *name)
{
	struct stat st;

	assert_int_equal(stat(fs_rig_path(name), &st), 0);
	return st.st_mode & 07777;
}

char *
fs_rig_text(const char *name)
{
	char *text = NULL;
	size_t len;

	assert_int_equal(gw_files_read(fs_rig_path(name), 1 << 20, &text, &len, &rig.err), 0);
	return text;
}

void
fs_rig_assert_text(const char *name, const char *want)
{
	char *text = fs_rig_text(name);

	assert_string_equal(text, want);
	mem_free(text);
}

/* --- a sandbox ---------------------------------------------------------------------------- */

int
fs_rig_new(void **state)
{
	static unsigned n;

	(void)state;
	(void)snprintf(rig.box, sizeof(rig.box), "%s/%u", top, n++);
	(void)snprintf(rig.home, sizeof(rig.home), "%s/home", rig.box);
	if (gw_files_mkdirs(rig.home, &rig.err) != 0)
		return -1;
	rig.folder = mem_new(sizeof(*rig.folder));
	rig.folder->dir = mem_strdup(rig.box);
	(void)gw_home_hold(rig.folder);
	return gw_fs_new(rig.folder, rig.home, &rig.fs, &rig.err);
}

int
fs_rig_free(void **state)
{
	(void)state;
	gw_fs_release(rig.fs);
	gw_home_release(rig.folder);
	return 0;
}

int
fs_rig_begin(void **state)
{
	(void)state;
	(void)snprintf(top, sizeof(top), "/tmp/gw_fs_XXXXXX");
	return mkdtemp(top) == NULL;
}

int
fs_rig_begin_quick(void **state)
{
	return mkdtemp(top) == NULL ? fs_rig_begin(state) : 0;
}

int
fs_rig_end(void **state)
{
	int status;

	(void)state;
	gw_files_remove_tree(top);
	return wait(&status) > 0 ? status : -1;
}

int
fs_rig_first(const char *path)
{
	struct stat st;
	char c = 0;
	int fd;
	int rc = gw_fs_open(rig.fs, path, &fd, &st, &rig.err);

	if (rc != 0)
		return rc;
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(read(fd, &c, 1), 1);
	assert_int_equal(close(fd), 0);
	return c;
}

int
fs_rig_place(const char *path, const char *text, mode_t mode)
{
	char name[GW_FS_NAME_MAX];
	int fd;
	int rc;

	assert_int_equal(gw_fs_temp(rig.fs, &fd, name, &rig.err), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
	rc = gw_fs_temp_place(rig.fs, name, path, mode, &rig.err);
	if (rc != 0)
		gw_fs_temp_drop(rig.fs, name);
	return rc;
}
