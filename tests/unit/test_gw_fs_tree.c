/* Unit test of gateway/fs: describing, listing, searching and removing what is in a sandbox. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/fs.h"
#include "tests/unit/fs_rig.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"

/* --- describing --------------------------------------------------------------------------- */

static const char *
field(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void
files_are_described(void **state)
{
	json_t *o = NULL;

	(void)state;
	fs_rig_put("f", "12345");
	assert_int_equal(chmod(fs_rig_path("f"), 0750), 0);
	assert_int_equal(gw_fs_info(rig.fs, "./f", &o, &rig.err), 0);
	assert_string_equal(field(o, "path"), fs_rig_path("f"));
	assert_string_equal(field(o, "type"), "file");
	assert_int_equal(json_integer_value(json_object_get(o, "size")), 5);
	assert_int_equal(json_integer_value(json_object_get(o, "mode")), 750);
	assert_int_equal(gw_fs_check_owner(field(o, "owner"), field(o, "group"), &rig.err), 0);
	assert_int_equal(strlen(field(o, "modified_at")),
	                 strlen("2026-01-01T00:00:00.000000Z"));
	assert_memory_equal(field(o, "created_at"), "20", 2);
	json_decref(o);
	assert_int_equal(gw_fs_info(rig.fs, "~", &o, &rig.err), 0);
	assert_string_equal(field(o, "path"), rig.home);
	assert_string_equal(field(o, "type"), "directory");
	assert_int_equal(json_integer_value(json_object_get(o, "size")), 0);
	json_decref(o);
	assert_int_equal(mkfifo(fs_rig_path("p"), 0644), 0);
	assert_int_equal(gw_fs_info(rig.fs, "p", &o, &rig.err), 0);
	assert_string_equal(field(o, "type"), "other");
	json_decref(o);
	assert_int_equal(gw_fs_info(rig.fs, "none", &o, &rig.err), -ENOENT);
	assert_int_equal(gw_fs_info(rig.fs, "/etc", &o, &rig.err), -EACCES);
}

/* What list or search (pattern not NULL) finds, as "a b/c d" below the home. */
static const char *
found(const char *path, unsigned depth, const char *pattern)
{
	static char text[4096];
	size_t len = 0;
	struct buf b;
	json_t *all;
	json_t *o;
	size_t i;
	int rc;

	buf_init(&b, 1 << 20);
	if (pattern != NULL)
		rc = gw_fs_search(rig.fs, path, pattern, &b, &rig.err);
	else
		rc = gw_fs_list(rig.fs, path, depth, &b, &rig.err);
	if (rc != 0)
		fail_msg("%s", rig.err.text);
	all = json_loadb(b.data, b.len, 0, NULL);
	assert_true(json_is_array(all));
	text[0] = '\0';
	json_array_foreach (all, i, o) {
		const char *p = field(o, "path");

		assert_memory_equal(p, rig.home, strlen(rig.home));
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
		                        i > 0 ? " " : "", p + strlen(rig.home) + 1);
	}
	json_decref(all);
	buf_fini(&b);
	return text;
}

static void
folders_are_listed(void **state)
{
	struct buf b;

	(void)state;
	fs_rig_folder_at("d");
	fs_rig_folder_at("d/e");
	fs_rig_folder_at("d/e/f");
	fs_rig_put("d/e/f/g", "x");
	fs_rig_put("d/e.x", "x"); /* its place is by name in its rig.folder, not by path */
	fs_rig_put("b", "x");
	fs_rig_put(".h", "x");
	fs_rig_link("d", "l");
	fs_rig_link("/etc", "out");
	assert_string_equal(found(".", 0, NULL), "");
	assert_string_equal(found(".", 1, NULL), ".h b d l out");
	assert_string_equal(found(".", 2, NULL), ".h b d d/e d/e.x l out");
	assert_string_equal(found("~", 99, NULL), ".h b d d/e d/e/f d/e/f/g d/e.x l out");
	assert_string_equal(found("d/e", 1, NULL), "d/e/f");
	buf_init(&b, 100000);
	assert_int_equal(gw_fs_list(rig.fs, "l", 1, &b, &rig.err), -EINVAL);
	assert_non_null(strstr(rig.err.text, "symbolic link"));
	assert_int_equal(gw_fs_list(rig.fs, "b", 1, &b, &rig.err), -EINVAL);
	assert_int_equal(gw_fs_list(rig.fs, "none", 1, &b, &rig.err), -ENOENT);
	buf_fini(&b);
	buf_init(&b, 300);
	assert_int_equal(gw_fs_list(rig.fs, ".", 1, &b, &rig.err), -EMSGSIZE);
	buf_fini(&b);
}

static void
files_are_searched(void **state)
{
	struct buf b;

	(void)state;
	fs_rig_folder_at("d");
	fs_rig_folder_at("d/x.py");
	fs_rig_put("d/x.py/a.py", "x");
	fs_rig_put("d/b.py", "x");
	fs_rig_put("c.py", "x");
	fs_rig_put("c.txt", "x");
	fs_rig_link("d", "l.py"); /* told, not entered */
	assert_string_equal(found("~", 0, "*.py"), "c.py d/b.py d/x.py/a.py l.py");
	assert_string_equal(found(".", 0, "**"), "c.py c.txt d/b.py d/x.py/a.py l.py");
	assert_string_equal(found(".", 0, "d/*.py"), "d/b.py");
	assert_string_equal(found("d", 0, "*/*"), "d/x.py/a.py");
	assert_string_equal(found("d", 0, "b.{py,c}"), "d/b.py");
	assert_string_equal(found("c.txt", 0, "c.*"), "c.txt");
	assert_string_equal(found("c.txt", 0, "d"), "");
	assert_string_equal(found("l.py", 0, "b*"), "l.py/b.py");
	buf_init(&b, 100000);
	assert_int_equal(gw_fs_search(rig.fs, "none", "*", &b, &rig.err), -ENOENT);
	assert_int_equal(gw_fs_search(rig.fs, ".", "[", &b, &rig.err), -EINVAL);
	buf_fini(&b);
}

static void
odd_names(void **state)
{
	char longest[NAME_MAX + 2];
	struct buf b;
	json_t *o;

	(void)state;
	memset(longest, 'n', sizeof(longest));
	longest[NAME_MAX + 1] = '\0';
	assert_int_equal(fs_rig_place(longest, "x", 0644), -EINVAL);
	longest[NAME_MAX] = '\0';
	assert_int_equal(fs_rig_place(longest, "x", 0644), 0);
	assert_int_equal(fs_rig_first(longest), 'x');
	assert_int_equal(gw_fs_remove(rig.fs, longest, &rig.err), 0);
	assert_int_equal(fs_rig_place("two\nlines", "x", 0644), 0);
	assert_string_equal(found(".", 1, NULL), "two\nlines");
	assert_int_equal(gw_fs_remove(rig.fs, "two\nlines", &rig.err), 0);
	fs_rig_folder_at("b\xff"
	                 "d");
	fs_rig_put("b\xff"
	           "d/\xc3",
	           "x");
	buf_init(&b, 100000);
	assert_int_equal(gw_fs_search(rig.fs, ".", "?", &b, &rig.err), 0);
	o = json_loadb(b.data, b.len, 0, NULL);
	assert_int_equal(json_array_size(o), 1);
	assert_non_null(strstr(field(json_array_get(o, 0), "path"), "/b\xef\xbf\xbd"
	                                                            "d/\xef\xbf\xbd"));
	json_decref(o);
	buf_fini(&b);
	assert_int_equal(gw_fs_remove_tree(rig.fs,
	                                   "b\xff"
	                                   "d",
	                                   &rig.err),
	                 0);
	assert_string_equal(found(".", 1, NULL), "");
}

/* --- trees -------------------------------------------------------------------------------- */

static void
trees_are_removed(void **state)
{
	char outside[100];

	(void)state;
	(void)snprintf(outside, sizeof(outside), "%s/outside", rig.box);
	assert_int_equal(mkdir(outside, 0755), 0);
	fs_rig_folder_at("t");
	fs_rig_folder_at("t/a");
	fs_rig_folder_at("t/a/b");
	fs_rig_put("t/a/b/f", "x");
	fs_rig_put("t/a/g", "x");
	assert_int_equal(mkfifo(fs_rig_path("t/p"), 0644), 0);
	fs_rig_link("../../outside", "t/out");
	fs_rig_link("t", "l");
	assert_int_equal(gw_fs_remove_tree(rig.fs, "l", &rig.err), 0);
	assert_true(fs_rig_exists("t") && !fs_rig_exists("l"));
	assert_int_equal(gw_fs_remove_tree(rig.fs, "t", &rig.err), 0);
	assert_false(fs_rig_exists("t"));
	assert_int_equal(access(outside, F_OK), 0);
	assert_int_equal(gw_fs_remove_tree(rig.fs, "t", &rig.err), 0);
	assert_int_equal(gw_fs_remove_tree(rig.fs, "none/t", &rig.err), 0);
	fs_rig_put("f", "x");
	assert_int_equal(gw_fs_remove_tree(rig.fs, "f", &rig.err), 0);
	assert_false(fs_rig_exists("f"));
	assert_int_equal(gw_fs_remove_tree(rig.fs, "~", &rig.err), -EINVAL);
	assert_int_equal(gw_fs_remove_tree(rig.fs, ".", &rig.err), -EINVAL);
	assert_int_equal(gw_fs_remove_tree(rig.fs, rig.home, &rig.err), -EINVAL);
}

/* Folders in folders, n deep, as code makes them: by going into each. */
static void
dig(const char *name, unsigned n)
{
	int dir;
	int next;

	fs_rig_folder_at(name);
	dir = open(fs_rig_path(name), O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(mkdirat(dir, "d", 0755), 0);
		next = openat(dir, "d", O_PATH | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		assert_int_equal(close(dir), 0);
		dir = next;
		if (i % 10 == 0)
			assert_int_equal(mkdirat(dir, "deep.0", 0755), 0);
	}
	assert_int_equal(close(dir), 0);
}

static void
a_deep_tree(void **state)
{
	struct buf b;

	(void)state;
	dig("deep", 10000);
	buf_init(&b, 64 << 20);
	assert_int_equal(gw_fs_list(rig.fs, "deep", 2, &b, &rig.err), 0);
	assert_int_equal(gw_fs_search(rig.fs, ".", "*", &b, &rig.err), -EMSGSIZE);
	assert_non_null(strstr(rig.err.text, "bytes of a path"));
	buf_fini(&b);
	assert_int_equal(gw_fs_remove_tree(rig.fs, "deep", &rig.err), 0);
	assert_false(fs_rig_exists("deep"));
}

static void
a_wide_folder(void **state)
{
	struct buf b;
	int dir;

	(void)state;
	fs_rig_folder_at("w");
	dir = open(fs_rig_path("w"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	for (unsigned i = 0; i < GW_FS_ENTRIES_MAX; i++) {
		char name[16];
		int fd;

		(void)snprintf(name, sizeof(name), "%u", i);
		fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		assert_true(fd >= 0);
		assert_int_equal(close(fd), 0);
	}
	assert_int_equal(close(dir), 0);
	buf_init(&b, 64 << 20);
	assert_int_equal(gw_fs_list(rig.fs, "w", 1, &b, &rig.err), 0);
	buf_fini(&b);
	buf_init(&b, 64 << 20);
	assert_int_equal(gw_fs_list(rig.fs, ".", 2, &b, &rig.err), -EMSGSIZE); /* one more */
	assert_non_null(strstr(rig.err.text, "100000 entries"));
	buf_fini(&b);
	assert_string_equal(found(".", 0, "9999?"),
	                    "w/99990 w/99991 w/99992 w/99993 w/99994 w/99995 w/99996 w/99997 "
	                    "w/99998 w/99999");
	assert_int_equal(gw_fs_remove_tree(rig.fs, "w", &rig.err), 0);
}

#define LONG 1024 /* only a description is: its name takes six bytes for each of its own */

/* Of jansson's allocations. */
static unsigned long_n;
static bool refusing;

static void *
counting(size_t size)
{
	if (size < LONG)
		return malloc(size);
	long_n++;
	return refusing ? NULL : malloc(size);
}

/* Folders with names of 250 control characters, n below path. */
static void
put_long_names(const char *path, unsigned n)
{
	char name[300];

	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "%s%0250u", path, i);
		for (char *p = name + strlen(path); *p != '\0'; p++)
			*p = (char)(*p - '0' + 1);
		fs_rig_folder_at(name);
	}
}

/* What cannot be answered is not described until the walk comes there. */
static void
descriptions_are_counted_when_they_are_made(void **state)
{
	struct buf b;

	(void)state;
	fs_rig_folder_at("w");
	put_long_names("w/", 100);
	json_set_alloc_funcs(counting, free);
	buf_init(&b, 1 << 20);
	assert_int_equal(gw_fs_list(rig.fs, "w", 1, &b, &rig.err), 0);
	assert_true(long_n >= 100);
	buf_fini(&b);

	buf_init(&b, 20000);
	long_n = 0;
	assert_int_equal(gw_fs_list(rig.fs, ".", 2, &b, &rig.err), -EMSGSIZE);
	assert_non_null(strstr(rig.err.text, "20000 bytes of an answer"));
	assert_true(long_n > 0 && long_n < 100);
	assert_int_equal(gw_fs_search(rig.fs, "w", "*", &b, &rig.err), 0); /* no files */

	refusing = true; /* an entry is not left out */
	assert_int_equal(gw_fs_list(rig.fs, "w", 1, &b, &rig.err), -EIO);
	refusing = false;
	json_set_alloc_funcs(malloc, free);
	buf_fini(&b);
}

/* What takes long ends with its sandbox. */
static void
the_sandbox_goes(void **state)
{
	struct buf b;
	uint64_t n;

	(void)state;
	fs_rig_folder_at("d");
	fs_rig_put("d/f", "ab");
	gw_fs_end(rig.fs);
	gw_fs_end(NULL);
	buf_init(&b, 10000);
	assert_int_equal(gw_fs_list(rig.fs, ".", 1, &b, &rig.err), -ECANCELED);
	assert_int_equal(gw_fs_search(rig.fs, ".", "*", &b, &rig.err), -ECANCELED);
	buf_fini(&b);
	assert_int_equal(gw_fs_replace(rig.fs, "d/f", "a", "b", &n, &rig.err), -ECANCELED);
	assert_int_equal(gw_fs_remove_tree(rig.fs, "d", &rig.err), -ECANCELED);
	fs_rig_assert_text("d/f", "ab");
	assert_int_equal(fs_rig_first("d/f"), 'a'); /* what is quick ends by itself */
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fs_rig_new, fs_rig_free)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(files_are_described),
	    CASE(folders_are_listed),
	    CASE(files_are_searched),
	    CASE(odd_names),
	    CASE(trees_are_removed),
	    CASE(a_deep_tree),
	    CASE(a_wide_folder),
	    CASE(the_sandbox_goes),
	    CASE(descriptions_are_counted_when_they_are_made),
	};

	return cmocka_run_group_tests_name("gw/fs_tree", tests, fs_rig_begin_quick, fs_rig_end);
}
