/* Unit test of gateway/fsput: files that are placed whole, and what is left of the others. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/files.h"
#include "gateway/fs.h"
#include "gateway/fsput.h"
#include "gateway/sandbox.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define MAX 100000

static char top[] = "/tmp/gw_fsput_XXXXXX"; /* the sandbox's folder */
static char home[64];
static char at[128];
static struct gw_home *folder;
static struct gw_fs *fs;
static struct err err;

static const char *
in_home(const char *name)
{
	(void)snprintf(at, sizeof(at), "%s/%s", home, name);
	return at;
}

/* Entries of a folder. */
static unsigned
count(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL) /* NOLINT(concurrency-mt-unsafe): one thread */
		n++;
	assert_int_equal(closedir(d), 0);
	return n - 2;
}

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(top) == NULL)
		return -1;
	(void)snprintf(home, sizeof(home), "%s/home", top);
	if (gw_files_mkdirs(home, &err) != 0)
		return -1;
	folder = mem_new(sizeof(*folder));
	folder->dir = mem_strdup(top);
	(void)gw_home_hold(folder);
	return gw_fs_new(folder, home, &fs, &err);
}

static int
teardown(void **state)
{
	int status;

	(void)state;
	gw_fs_release(fs);
	gw_home_release(folder);
	gw_files_remove_tree(top);
	return wait(&status) > 0 ? status : -1;
}

static struct gw_fsput *
begin(const char *path, mode_t mode)
{
	struct gw_fsput *p;

	assert_int_equal(gw_fsput_new(fs, path, mode, MAX, &p, &err), 0);
	assert_int_equal(count(top), 2); /* beside the home */
	return p;
}

static void
write_text(struct gw_fsput *p, const char *text)
{
	assert_int_equal(gw_fsput_write(p, text, strlen(text), &err), 0);
}

static void
place(const char *path, mode_t mode, const char *text)
{
	struct gw_fsput *p = begin(path, mode);

	write_text(p, text);
	assert_int_equal(gw_fsput_place(&p, &err), 0);
	assert_null(p);
	assert_int_equal(count(top), 1);
}

static mode_t
mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(in_home(name), &st), 0);
	return st.st_mode & 07777;
}

static void
assert_text(const char *name, const char *want)
{
	char *text;
	size_t len;

	assert_int_equal(gw_files_read(in_home(name), MAX, &text, &len, &err), 0);
	assert_string_equal(text, want);
	mem_free(text);
}

static void
it_is_there_when_it_is_whole(void **state)
{
	struct gw_fsput *p = begin("a/b", 0640);

	(void)state;
	write_text(p, "one ");
	write_text(p, "two");
	assert_int_equal(count(home), 0);
	assert_int_equal(gw_fsput_place(&p, &err), 0);
	assert_text("a/b", "one two");
	assert_int_equal(mode_of("a/b"), 0640);
	place("a/b", 0600, "");
	assert_text("a/b", "");
}

static void
permissions_that_nobody_named(void **state)
{
	(void)state;
	place("new", GW_FS_MODE_KEEP, "x");
	assert_int_equal(mode_of("new"), 0755);
	assert_int_equal(chmod(in_home("new"), 04604), 0);
	place("new", GW_FS_MODE_KEEP, "y");
	assert_int_equal(mode_of("new"), 0604);
	assert_int_equal(symlink("new", in_home("link")), 0);
	place("link", GW_FS_MODE_KEEP, "z");
	assert_int_equal(mode_of("link"), 0755);
	assert_text("new", "y");
}

static void
what_cannot_be_is_refused_before(void **state)
{
	static const struct {
		const char *path;
		int rc;
	} cases[] = {
	    {"", -EINVAL},       {".", -EINVAL},      {"~", -EINVAL},
	    {"dir", -EINVAL},    {"file/x", -EINVAL}, {"../x", -EACCES},
	    {"/etc/x", -EACCES}, {"out/x", -EACCES},  {"dir/../../x", -EACCES},
	    {"loop/x", -EINVAL},
	};

	(void)state;
	assert_int_equal(mkdir(in_home("dir"), 0755), 0);
	assert_int_equal(symlink("/", in_home("out")), 0);
	assert_int_equal(symlink("loop", in_home("loop")), 0);
	place("file", 0644, "x");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gw_fsput *p = NULL;

		err.text[0] = '\0';
		if (gw_fsput_new(fs, cases[i].path, 0644, MAX, &p, &err) != cases[i].rc)
			fail_msg("%s: %s", cases[i].path, err.text);
		assert_true(p == NULL && err.text[0] != '\0');
	}
	assert_int_equal(count(top), 1);
}

static void
nothing_is_left(void **state)
{
	struct gw_fsput *p = begin("gone", 0644);

	(void)state;
	write_text(p, "x");
	gw_fsput_drop(p);
	gw_fsput_drop(NULL);
	assert_int_equal(count(top), 1);
	p = begin("late", 0644);
	assert_int_equal(mkdir(in_home("late"), 0755), 0); /* since it was looked at */
	assert_int_equal(gw_fsput_place(&p, &err), -EINVAL);
	assert_null(p);
	assert_int_equal(count(top), 1);
}

static void
too_large(void **state)
{
	struct gw_fsput *p = begin("large", 0644);
	char *text = mem_new(MAX);

	(void)state;
	assert_int_equal(gw_fsput_write(p, text, MAX - 1, &err), 0);
	assert_int_equal(gw_fsput_write(p, text, 1, &err), 0);
	assert_int_equal(gw_fsput_write(p, text, 1, &err), -EMSGSIZE);
	assert_non_null(strstr(err.text, "max_upload_bytes"));
	gw_fsput_drop(p);
	mem_free(text);
}

/* As a full disk: a write is cut short, the next one fails. */
static void
the_system_has_no_more_room(void **state)
{
	struct rlimit was, now;
	struct gw_fsput *p = begin("room", 0644);
	char *text = mem_new(MAX);

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	now = (struct rlimit){1000, was.rlim_max};
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
	assert_int_equal(gw_fsput_write(p, text, MAX, &err), -EIO);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_string_equal(err.text, "room: File too large");
	gw_fsput_drop(p);
	assert_int_equal(count(top), 1);
	mem_free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_is_there_when_it_is_whole),
	    cmocka_unit_test(permissions_that_nobody_named),
	    cmocka_unit_test(what_cannot_be_is_refused_before),
	    cmocka_unit_test(nothing_is_left),
	    cmocka_unit_test(too_large),
	    cmocka_unit_test(the_system_has_no_more_room),
	};

	return cmocka_run_group_tests_name("gw/fsput", tests, setup, teardown);
}
