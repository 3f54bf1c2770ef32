/* Unit test of gateway/files: folders and small files, on a real file system. */
#include <errno.h>
#include <fcntl.h>
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
#include "wire/base/err.h"
#include "wire/base/mem.h"

static char dir[] = "/tmp/gw_files_XXXXXX";
static char at[512];

static const char *
path(const char *name)
{
	(void)snprintf(at, sizeof(at), "%s/%s", dir, name);
	return at;
}

static void
put(const char *name, const char *text, size_t len)
{
	FILE *f = fopen(path(name), "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void
folders_are_made_private(void **state)
{
	struct err err;
	struct stat st;

	(void)state;
	assert_int_equal(gw_files_mkdirs(path("a/b/c"), &err), 0);
	assert_int_equal(stat(path("a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(path("a/b/c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(gw_files_mkdirs(path("a/b/c"), &err), 0);
	assert_int_equal(gw_files_mkdirs(path("a/b//d/"), &err), 0);
	assert_int_equal(stat(path("a/b/d"), &st), 0);
	assert_int_equal(gw_files_mkdirs("/", &err), 0);
}

static void
folders_that_cannot_be(void **state)
{
	struct err err;

	(void)state;
	put("file", "x", 1);
	assert_int_equal(gw_files_mkdirs(path("file/sub"), &err), -EIO);
	assert_non_null(strstr(err.text, "file/sub"));
	assert_int_equal(gw_files_mkdirs(path("file"), &err), -EIO);
	assert_non_null(strstr(err.text, "is not a folder"));
	assert_int_equal(gw_files_mkdirs("/proc/no/such", &err), -EIO);
}

static void
files_are_read_whole(void **state)
{
	struct err err;
	char *text = NULL;
	size_t len;

	(void)state;
	put("f", "a\0b", 3);
	assert_int_equal(gw_files_read(path("f"), 3, &text, &len, &err), 0);
	assert_int_equal(len, 3);
	assert_memory_equal(text, "a\0b", 4);
	mem_free(text);
	put("empty", "", 0);
	assert_int_equal(gw_files_read(path("empty"), 0, &text, &len, &err), 0);
	assert_int_equal(len, 0);
	assert_string_equal(text, "");
	mem_free(text);
	text = NULL;
	assert_int_equal(gw_files_read(path("f"), 2, &text, &len, &err), -EMSGSIZE);
	assert_int_equal(gw_files_read(path("none"), 2, &text, &len, &err), -ENOENT);
	assert_int_equal(gw_files_read(dir, 2, &text, &len, &err), -EIO);
	assert_non_null(strstr(err.text, dir));
	assert_null(text);
}

static void
trees_are_removed(void **state)
{
	struct err err;
	struct stat st;
	int status;

	(void)state;
	assert_int_equal(gw_files_mkdirs(path("-tree/sub"), &err), 0);
	put("-tree/sub/f", "x", 1);
	gw_files_remove_tree(path("-tree"));
	assert_true(wait(&status) > 0); /* in the gateway the reaper does it */
	assert_int_equal(status, 0);
	assert_int_equal(stat(path("-tree"), &st), -1);
	gw_files_remove_tree(path("no such tree"));
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
}

static int
setup(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL;
}

static int
teardown(void **state)
{
	int status;

	(void)state;
	gw_files_remove_tree(dir);
	return wait(&status) > 0 ? status : -1;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(folders_are_made_private),
	    cmocka_unit_test(folders_that_cannot_be),
	    cmocka_unit_test(files_are_read_whole),
	    cmocka_unit_test(trees_are_removed),
	};

	return cmocka_run_group_tests_name("gw/files", tests, setup, teardown);
}
