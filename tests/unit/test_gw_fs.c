/* Unit test of gateway/fs: what a path means, what tries to get out, and what changes; on a real
 * file system. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/fs.h"
#include "gateway/sandbox.h"
#include "tests/unit/fs_rig.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

static char at[512];

/* --- paths -------------------------------------------------------------------------------- */

static void
what_a_path_means(void **state)
{
	static const struct {
		const char *path, *here;
	} good[] = {
	    {"a", "a"},         {"a/b", "a/b"}, {"./a//b/", "a/b"}, {"a/../b", "b"},
	    {".", "."},         {"~", "."},     {"~/", "."},        {"~/a", "a"},
	    {"~a", "~a"},       {"a/~", "a/~"}, {"a/..", "."},      {"a\nb", "a\nb"},
	    {"...", "..."},     {"..a", "..a"}, {"../home/a", "a"}, {"$HOME", "$HOME"},
	    {"~/../home", "."},
	};
	static const char *const out[] = {
	    "..",          "../a", "a/../..", "a/../../b", "/",
	    "/etc/passwd", "//",   "/..",     "~/..",      "~/../a",
	};
	char long_path[PATH_MAX + 10];
	char *here = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(gw_fs_here(rig.fs, good[i].path, &here, &rig.err), 0);
		assert_string_equal(here, good[i].here);
		mem_free(here);
	}
	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
		assert_int_equal(gw_fs_here(rig.fs, out[i], &here, &rig.err), -EACCES);
		assert_non_null(strstr(rig.err.text, rig.home)); /* the error names it */
	}
	assert_int_equal(gw_fs_here(rig.fs, "", &here, &rig.err), -EINVAL);
	memset(long_path, 'a', sizeof(long_path));
	long_path[PATH_MAX] = '\0';
	assert_int_equal(gw_fs_here(rig.fs, long_path, &here, &rig.err), -EINVAL);
	long_path[PATH_MAX - 1] = '\0';
	assert_int_equal(gw_fs_here(rig.fs, long_path, &here, &rig.err), 0);
	mem_free(here);
}

static void
absolute_paths(void **state)
{
	char *here = NULL;

	(void)state;
	assert_string_equal(gw_fs_home(rig.fs), rig.home);
	assert_int_equal(gw_fs_here(rig.fs, rig.home, &here, &rig.err), 0);
	assert_string_equal(here, ".");
	mem_free(here);
	assert_int_equal(gw_fs_here(rig.fs, fs_rig_path("x/../y/./z"), &here, &rig.err), 0);
	assert_string_equal(here, "y/z");
	mem_free(here);
	(void)snprintf(at, sizeof(at), "%sx/y", rig.home); /* only looks like it */
	assert_int_equal(gw_fs_here(rig.fs, at, &here, &rig.err), -EACCES);
	assert_int_equal(gw_fs_here(rig.fs, fs_rig_path("../x"), &here, &rig.err), -EACCES);
	assert_int_equal(gw_fs_here(rig.fs, rig.box, &here, &rig.err), -EACCES);
}

/* The state folder may be reached by a link: code in the sandbox sees the real path. */
static void
a_home_behind_a_link(void **state)
{
	struct gw_home *h = mem_new(sizeof(*h));
	struct gw_fs *other;
	char link_path[80];
	char link_home[100];
	char *here = NULL;

	(void)state;
	(void)snprintf(link_path, sizeof(link_path), "%s-link", rig.box);
	(void)snprintf(link_home, sizeof(link_home), "%s/home", link_path);
	assert_int_equal(symlink(rig.box, link_path), 0);
	h->dir = mem_strdup(link_path);
	(void)gw_home_hold(h);
	assert_int_equal(gw_fs_new(h, link_home, &other, &rig.err), 0);
	assert_string_equal(gw_fs_home(other), rig.home);
	(void)snprintf(at, sizeof(at), "%s/f", link_home);
	assert_int_equal(gw_fs_here(other, at, &here, &rig.err), 0);
	assert_string_equal(here, "f");
	mem_free(here);
	assert_int_equal(gw_fs_here(other, fs_rig_path("f"), &here, &rig.err), 0);
	assert_string_equal(here, "f");
	mem_free(here);
	gw_fs_release(gw_fs_hold(other));
	gw_fs_release(other);
	gw_home_release(h);
}

/* --- links and kinds ---------------------------------------------------------------------- */

static void
links_inside_are_followed(void **state)
{
	char target[128];

	(void)state;
	fs_rig_folder_at("d");
	fs_rig_put("d/f", "i");
	fs_rig_link("d", "l");
	fs_rig_link("d/f", "lf");
	fs_rig_link("../d/f", "d/up");
	(void)snprintf(target, sizeof(target), "%s/d", rig.home);
	fs_rig_link(target, "abs"); /* as code makes them with its cwd */
	fs_rig_link("abs/up", "chain");
	assert_int_equal(fs_rig_first("l/f"), 'i');
	assert_int_equal(fs_rig_first("lf"), 'i');
	assert_int_equal(fs_rig_first("d/up"), 'i');
	assert_int_equal(fs_rig_first("abs/f"), 'i');
	assert_int_equal(fs_rig_first("chain"), 'i');
	assert_int_equal(fs_rig_first("abs/none"), -ENOENT);
	assert_int_equal(fs_rig_place("abs/new/f", "x", 0644), 0);
	fs_rig_assert_text("d/new/f", "x");
}

static void
links_outside_are_refused(void **state)
{
	static const char *const targets[] = {
	    "/etc",  "/proc/self/root/etc", "/proc/self/cwd", "..",
	    "../..", "../../../../../etc",  "d/../../secret", "/",
	};
	char secret[100];
	json_t *info = NULL;
	struct buf list;

	(void)state;
	fs_rig_folder_at("d");
	(void)snprintf(secret, sizeof(secret), "%s/secret", rig.box);
	fs_rig_put_at(secret, "s");
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		fs_rig_link(targets[i], "out");
		assert_int_equal(fs_rig_first("out"), -EACCES);
		assert_int_equal(fs_rig_first("out/passwd"), -EACCES);
		assert_non_null(strstr(rig.err.text, "leads out of the sandbox"));
		assert_int_equal(fs_rig_place("out/f", "x", 0644), -EACCES);
		assert_int_equal(gw_fs_mkdirs(rig.fs, "out/new", 0755, &rig.err), -EACCES);
		assert_int_equal(gw_fs_remove(rig.fs, "out/secret", &rig.err), -EACCES);
		assert_int_equal(gw_fs_remove_tree(rig.fs, "out/secret", &rig.err), -EACCES);
		assert_int_equal(gw_fs_chmod(rig.fs, "out", 0777, &rig.err), -EACCES);
		assert_int_equal(gw_fs_move(rig.fs, "out/secret", "mine", &rig.err), -EACCES);
		assert_int_equal(gw_fs_move(rig.fs, "d", "out/d", &rig.err), -EACCES);
		assert_int_equal(gw_fs_info(rig.fs, "out/secret", &info, &rig.err), -EACCES);
		buf_init(&list, 1000);
		assert_int_equal(gw_fs_list(rig.fs, "out/d", 1, &list, &rig.err), -EACCES);
		assert_int_equal(gw_fs_search(rig.fs, "out", "*", &list, &rig.err), -EACCES);
		buf_fini(&list);
		/* the link itself is the sandbox's */
		assert_int_equal(gw_fs_info(rig.fs, "out", &info, &rig.err), 0);
		assert_string_equal(json_string_value(json_object_get(info, "type")),
		                    "symlink");
		json_decref(info);
		assert_int_equal(gw_fs_remove(rig.fs, "out", &rig.err), 0);
	}
	assert_int_equal(access(secret, F_OK), 0);
}

static void
loops_of_links(void **state)
{
	(void)state;
	fs_rig_link("b", "a");
	fs_rig_link("a", "b");
	assert_int_equal(fs_rig_first("a"), -EINVAL);
	assert_int_equal(fs_rig_first("a/x"), -EINVAL);
	fs_rig_link(fs_rig_path("q"), "p");
	fs_rig_link(fs_rig_path("p"), "q");
	assert_int_equal(fs_rig_first("p"), -EACCES);
	fs_rig_link("none", "dangling");
	assert_int_equal(fs_rig_first("dangling"), -ENOENT);
}

static void
only_files_are_opened(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	fs_rig_folder_at("d");
	assert_int_equal(fs_rig_first("d"), -EINVAL);
	assert_non_null(strstr(rig.err.text, "a folder"));
	assert_int_equal(mkfifo(fs_rig_path("p"), 0644), 0);
	assert_int_equal(fs_rig_first("p"), -EINVAL); /* and nobody waits for a writer */
	assert_non_null(strstr(rig.err.text, "a pipe"));
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/s", rig.home);
	assert_int_equal(bind(s, (const struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(fs_rig_first("s"), -EINVAL);
	assert_non_null(strstr(rig.err.text, "a socket"));
	assert_int_equal(close(s), 0);
	fs_rig_put("f", "x");
	assert_int_equal(fs_rig_first("f/x"), -EINVAL);
	assert_int_equal(fs_rig_first("none"), -ENOENT);
	assert_int_equal(fs_rig_first("none/x"), -ENOENT);
}

static void
devices_are_refused(void **state)
{
	uint64_t n;

	(void)state;
	if (mknod(fs_rig_path("null"), S_IFCHR | 0666, makedev(1, 3)) != 0)
		skip(); /* only root may */
	assert_int_equal(fs_rig_first("null"), -EINVAL);
	assert_non_null(strstr(rig.err.text, "a device"));
	assert_int_equal(gw_fs_replace(rig.fs, "null", "a", "b", &n, &rig.err), -EINVAL);
	assert_int_equal(fs_rig_place("null", "x", 0600), 0); /* in its place */
	assert_int_equal(fs_rig_first("null"), 'x');
}

/* --- somebody changes names meanwhile ----------------------------------------------------- */

static atomic_bool stop_swapping;

static void *
swap(void *arg)
{
	char a[100];
	char b[100];

	(void)arg;
	(void)snprintf(a, sizeof(a), "%s/a/x", rig.home);
	(void)snprintf(b, sizeof(b), "%s/a/y", rig.home);
	while (!atomic_load(&stop_swapping))
		(void)renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
	return NULL;
}

static void
a_race_is_never_won(void **state)
{
	char outside[100];
	unsigned in_n = 0;
	unsigned refused_n = 0;
	pthread_t thread;

	(void)state;
	(void)snprintf(outside, sizeof(outside), "%s/outside", rig.box);
	assert_int_equal(mkdir(outside, 0755), 0);
	(void)snprintf(at, sizeof(at), "%s/f", outside);
	fs_rig_put_at(at, "o");
	fs_rig_folder_at("a");
	fs_rig_folder_at("a/x");
	fs_rig_put("a/x/f", "i");
	fs_rig_link("../../outside", "a/y");
	fs_rig_link("a/x/../x", "via"); /* with .., which openat2 may have to try again */
	atomic_store(&stop_swapping, false);
	assert_int_equal(pthread_create(&thread, NULL, swap, NULL), 0);
	for (unsigned i = 0; i < 1000000 && (i < 10000 || in_n == 0 || refused_n == 0); i++) {
		int c = fs_rig_first(i % 2 == 0 ? "a/x/f" : "via/f");

		if (c != 'i' && c != -EACCES && c != -EIO)
			fail_msg("%d: %s", c, rig.err.text);
		in_n += c == 'i';
		refused_n += c == -EACCES;
		if (i % 8 == 0) {
			(void)fs_rig_place("a/x/new", "n", 0644);
			(void)gw_fs_mkdirs(rig.fs, "a/x/made", 0700, &rig.err);
			(void)gw_fs_chmod(rig.fs, "a/x/f", 0600, &rig.err);
			(void)gw_fs_move(rig.fs, "a/x/new", "a/x/newer", &rig.err);
			(void)gw_fs_remove_tree(rig.fs, "a/x/newer", &rig.err);
		}
	}
	atomic_store(&stop_swapping, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(in_n > 0 && refused_n > 0);
	(void)snprintf(at, sizeof(at), "%s/f", outside);
	assert_int_equal(access(at, F_OK), 0);
	assert_int_equal(unlink(at), 0);
	assert_int_equal(rmdir(outside), 0); /* nothing else is in it */
}

/* Code may throw its home away and make another one. */
/* The sandbox's code put a link in its place before the first call: what paths mean stays. */
static void
a_home_that_was_a_link(void **state)
{
	struct gw_fs *again = NULL;
	char aside[4096];

	(void)state;
	(void)snprintf(aside, sizeof(aside), "%s.aside", rig.home);
	assert_int_equal(rename(rig.home, aside), 0);
	assert_int_equal(symlink("/", rig.home), 0);
	assert_int_equal(gw_fs_new(rig.folder, rig.home, &again, &rig.err), 0);
	assert_int_equal(unlink(rig.home), 0);
	assert_int_equal(rename(aside, rig.home), 0);
	assert_string_equal(gw_fs_home(again), gw_fs_home(rig.fs));
	gw_fs_release(again);
}

static void
a_new_home(void **state)
{
	char other[100];

	(void)state;
	(void)snprintf(other, sizeof(other), "%s/old", rig.box);
	assert_int_equal(rename(rig.home, other), 0);
	assert_int_equal(fs_rig_first("f"), -ENOENT);
	assert_int_equal(mkdir(rig.home, 0700), 0);
	fs_rig_put("f", "n");
	assert_int_equal(fs_rig_first("f"), 'n');
	assert_int_equal(unlink(fs_rig_path("f")), 0);
	assert_int_equal(rmdir(rig.home), 0);
	assert_int_equal(symlink("/etc", rig.home), 0); /* no rig.home */
	assert_int_equal(fs_rig_first("passwd"), -EINVAL);
	assert_int_equal(fs_rig_place("f", "x", 0644), -EINVAL);
}

/* --- writing ------------------------------------------------------------------------------ */

static void
files_get_their_place_at_once(void **state)
{
	(void)state;
	assert_int_equal(fs_rig_place("a/b/c", "one", 0640), 0);
	fs_rig_assert_text("a/b/c", "one");
	assert_int_equal(fs_rig_mode("a/b/c"), 0640);
	assert_int_equal(fs_rig_mode("a/b"), 0755);
	assert_int_equal(fs_rig_place("a/b/c", "two", 0400), 0);
	fs_rig_assert_text("a/b/c", "two");
	fs_rig_link("a/b/c", "l");
	assert_int_equal(fs_rig_place("l", "three", 0644), 0); /* the link gives way */
	fs_rig_assert_text("l", "three");
	fs_rig_assert_text("a/b/c", "two");
	assert_int_equal(fs_rig_place("a", "x", 0644), -EINVAL);
	assert_int_equal(fs_rig_place("~", "x", 0644), -EINVAL);
	assert_int_equal(fs_rig_place("l/x", "x", 0644), -EINVAL);
	assert_int_equal(fs_rig_place("../x", "x", 0644), -EACCES);
}

static void
what_a_dead_gateway_wrote_goes(void **state)
{
	char left[128];
	char ours[GW_FS_NAME_MAX];
	struct gw_fs *again;
	int fd;

	(void)state;
	(void)snprintf(left, sizeof(left), "%s/put.999999999.0123", rig.box);
	fs_rig_put_at(left, "x");
	assert_int_equal(gw_fs_new(rig.folder, rig.home, &again, &rig.err), 0);
	assert_int_equal(access(left, F_OK), -1);
	assert_int_equal(gw_fs_temp(again, &fd, ours, &rig.err), 0);
	(void)snprintf(left, sizeof(left), "%s/%s", rig.box, ours);
	assert_int_equal(access(left, F_OK), 0);
	gw_fs_temp_drop(again, ours);
	assert_int_equal(access(left, F_OK), -1);
	assert_int_equal(close(fd), 0);
	gw_fs_release(again);
}

static void
folders_are_made(void **state)
{
	(void)state;
	assert_int_equal(gw_fs_mkdirs(rig.fs, "a/b/c", 0700, &rig.err), 0);
	assert_int_equal(fs_rig_mode("a/b/c"), 0700);
	assert_int_equal(fs_rig_mode("a/b"), 0755);
	assert_int_equal(gw_fs_mkdirs(rig.fs, "a/b/c", 0750, &rig.err), 0);
	assert_int_equal(fs_rig_mode("a/b/c"), 0750);
	assert_int_equal(gw_fs_mkdirs(rig.fs, "a/b/c", GW_FS_MODE_KEEP, &rig.err), 0);
	assert_int_equal(fs_rig_mode("a/b/c"), 0750);
	assert_int_equal(gw_fs_mkdirs(rig.fs, "~", GW_FS_MODE_KEEP, &rig.err), 0);
	fs_rig_put("f", "x");
	assert_int_equal(gw_fs_mkdirs(rig.fs, "f", 0755, &rig.err), -EINVAL);
	assert_int_equal(gw_fs_mkdirs(rig.fs, "f/g", 0755, &rig.err), -EINVAL);
	fs_rig_link("a", "l");
	assert_int_equal(gw_fs_mkdirs(rig.fs, "l/d/e", 0755, &rig.err), 0);
	assert_true(fs_rig_exists("a/d/e"));
	fs_rig_link("none", "dangling");
	assert_int_not_equal(gw_fs_mkdirs(rig.fs, "dangling/x", 0755, &rig.err), 0);
	assert_false(fs_rig_exists("none"));
}

static void
permissions_change(void **state)
{
	(void)state;
	fs_rig_put("f", "x");
	fs_rig_link("f", "l");
	assert_int_equal(gw_fs_chmod(rig.fs, "f", 0604, &rig.err), 0);
	assert_int_equal(fs_rig_mode("f"), 0604);
	assert_int_equal(gw_fs_chmod(rig.fs, "l", 0641, &rig.err), 0);
	assert_int_equal(fs_rig_mode("f"), 0641);
	assert_int_equal(gw_fs_chmod(rig.fs, "f", GW_FS_MODE_KEEP, &rig.err), 0);
	assert_int_equal(fs_rig_mode("f"), 0641);
	assert_int_equal(gw_fs_chmod(rig.fs, "none", GW_FS_MODE_KEEP, &rig.err), -ENOENT);
	assert_int_equal(mkfifo(fs_rig_path("p"), 0644), 0);
	assert_int_equal(gw_fs_chmod(rig.fs, "p", 0600, &rig.err), 0); /* and nobody waits */
	assert_int_equal(fs_rig_mode("p"), 0600);
}

static void
owners(void **state)
{
	char number[24];

	(void)state;
	(void)snprintf(number, sizeof(number), "%lu", (unsigned long)geteuid());
	assert_int_equal(gw_fs_check_owner(NULL, NULL, &rig.err), 0);
	assert_int_equal(gw_fs_check_owner("", "", &rig.err), 0);
	assert_int_equal(gw_fs_check_owner(number, NULL, &rig.err), 0);
	assert_int_equal(gw_fs_check_owner("nobody-we-know", NULL, &rig.err), -EINVAL);
	assert_non_null(strstr(rig.err.text, "owner 'nobody-we-know'"));
	assert_int_equal(gw_fs_check_owner(NULL, "no-group", &rig.err), -EINVAL);
	assert_non_null(strstr(rig.err.text, "group 'no-group'"));
	assert_int_equal(gw_fs_check_owner(NULL, "4294967294", &rig.err), -EINVAL);
}

static void
names_move(void **state)
{
	(void)state;
	fs_rig_put("f", "f");
	fs_rig_put("g", "g");
	fs_rig_folder_at("d");
	assert_int_equal(gw_fs_move(rig.fs, "f", "d/f2", &rig.err), 0);
	fs_rig_assert_text("d/f2", "f");
	assert_int_equal(gw_fs_move(rig.fs, "d/f2", "new/er/f", &rig.err), 0);
	fs_rig_assert_text("new/er/f", "f");
	assert_int_equal(gw_fs_move(rig.fs, "new/er/f", "g", &rig.err), -EEXIST);
	fs_rig_assert_text("g", "g");
	assert_int_equal(gw_fs_move(rig.fs, "g", "g", &rig.err), -EEXIST);
	assert_int_equal(gw_fs_move(rig.fs, "new", "d/new", &rig.err), 0);
	fs_rig_assert_text("d/new/er/f", "f");
	assert_int_equal(gw_fs_move(rig.fs, "d", "d/new/d", &rig.err), -EINVAL);
	assert_non_null(strstr(rig.err.text, "into itself"));
	assert_int_equal(gw_fs_move(rig.fs, "none", "made/x", &rig.err), -ENOENT);
	assert_false(fs_rig_exists("made"));
	assert_int_equal(gw_fs_move(rig.fs, "~", "x", &rig.err), -EINVAL);
	assert_int_equal(gw_fs_move(rig.fs, "g", "../g", &rig.err), -EACCES);
	fs_rig_link("/etc/passwd", "out");
	assert_int_equal(gw_fs_move(rig.fs, "out", "moved", &rig.err), 0); /* the link */
	assert_true(fs_rig_exists("moved"));
}

static void
files_are_removed(void **state)
{
	(void)state;
	fs_rig_put("f", "x");
	fs_rig_folder_at("d");
	fs_rig_link("d", "l");
	assert_int_equal(gw_fs_remove(rig.fs, "f", &rig.err), 0);
	assert_false(fs_rig_exists("f"));
	assert_int_equal(gw_fs_remove(rig.fs, "f", &rig.err), 0);
	assert_int_equal(gw_fs_remove(rig.fs, "none/f", &rig.err), 0);
	assert_int_equal(gw_fs_remove(rig.fs, "d", &rig.err), -EINVAL);
	assert_non_null(strstr(rig.err.text, "is a folder"));
	assert_int_equal(gw_fs_remove(rig.fs, "l", &rig.err), 0);
	assert_true(fs_rig_exists("d") && !fs_rig_exists("l"));
	assert_int_equal(gw_fs_remove(rig.fs, "~", &rig.err), -EINVAL);
}

/* --- text --------------------------------------------------------------------------------- */

static void
text_is_replaced(void **state)
{
	uint64_t n = 99;
	struct stat before;
	struct stat after;

	(void)state;
	fs_rig_put("f", "aXbXXc");
	assert_int_equal(chmod(fs_rig_path("f"), 0604), 0);
	assert_int_equal(gw_fs_replace(rig.fs, "f", "X", "long", &n, &rig.err), 0);
	assert_int_equal(n, 3);
	fs_rig_assert_text("f", "alongblonglongc");
	assert_int_equal(fs_rig_mode("f"), 0604);
	assert_int_equal(gw_fs_replace(rig.fs, "f", "long", "", &n, &rig.err), 0);
	assert_int_equal(n, 3);
	fs_rig_assert_text("f", "abc");
	assert_int_equal(stat(fs_rig_path("f"), &before), 0);
	assert_int_equal(gw_fs_replace(rig.fs, "f", "none", "x", &n, &rig.err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(stat(fs_rig_path("f"), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino); /* untouched */
	fs_rig_put("aa", "aaaaa");
	assert_int_equal(gw_fs_replace(rig.fs, "aa", "aa", "b", &n, &rig.err), 0);
	assert_int_equal(n, 2);
	fs_rig_assert_text("aa", "bba");
	assert_int_equal(gw_fs_replace(rig.fs, "aa", "", "b", &n, &rig.err), -EINVAL);
	assert_int_equal(gw_fs_replace(rig.fs, "none", "a", "b", &n, &rig.err), -ENOENT);
	assert_int_equal(gw_fs_replace(rig.fs, ".", "a", "b", &n, &rig.err), -EINVAL);
	fs_rig_put("empty", "");
	assert_int_equal(gw_fs_replace(rig.fs, "empty", "a", "b", &n, &rig.err), 0);
	assert_int_equal(n, 0);
	fs_rig_folder_at("~");
	fs_rig_put("~/f", "ab");
	fs_rig_link("~/f", "l"); /* in a rig.folder whose name is a tilde */
	assert_int_equal(gw_fs_replace(rig.fs, "l", "a", "x", &n, &rig.err), 0);
	fs_rig_assert_text("~/f", "xb");
	assert_int_equal(lstat(fs_rig_path("l"), &after), 0);
	assert_true(S_ISLNK(after.st_mode));
}

/* The linker wants these names.  NOLINTBEGIN(bugprone-reserved-identifier) */
void *__real_memmem(const void *hay, size_t hay_len, const void *needle, size_t needle_len);
void *__wrap_memmem(const void *hay, size_t hay_len, const void *needle, size_t needle_len);
/* NOLINTEND(bugprone-reserved-identifier) */

static size_t searched; /* bytes */

void *
__wrap_memmem(const void *hay, size_t hay_len, const void *needle, size_t needle_len)
{
	searched += hay_len + needle_len;
	return __real_memmem(hay, hay_len, needle, needle_len);
}

/* The work is a matter of the file's size, not of that times the text's. */
static void
long_text_is_searched_for_once(void **state)
{
	enum { SIZE = 16 << 20, LEN = 4 << 20 };
	char *text = mem_new(SIZE + 1);
	char *old = mem_new(LEN + 1);
	uint64_t n;

	(void)state;
	memset(text, '.', SIZE);
	memset(old, 'o', LEN);
	memcpy(text + SIZE - LEN, old, LEN);
	fs_rig_put("big", text);
	searched = 0;
	assert_int_equal(gw_fs_replace(rig.fs, "big", old, "", &n, &rig.err), 0);
	assert_int_equal(n, 1);
	assert_true(searched < (size_t)4 * SIZE);
	mem_free(old);
	mem_free(text);
}

/* Text that lies across the pieces in which a file is read, of one length and another. */
static void
text_across_pieces(void **state)
{
	enum { SIZE = 1 << 20 };
	char *text = mem_new(SIZE + 1);
	char *back;
	uint64_t n;

	(void)state;
	for (size_t len = 1; len <= 300000; len = len * 7 + 3) {
		char *old = mem_new(len + 1);
		uint64_t want = 0;

		memset(text, '.', SIZE);
		memset(old, 'o', len);
		old[len - 1] = 'e';
		for (size_t i = 1000; i + len <= SIZE; i += len + 4093) {
			memcpy(text + i, old, len);
			want++;
		}
		fs_rig_put("big", text);
		assert_int_equal(gw_fs_replace(rig.fs, "big", old, "", &n, &rig.err), 0);
		assert_int_equal(n, want);
		back = fs_rig_text("big");
		assert_int_equal(strlen(back), SIZE - want * len);
		assert_int_equal(strspn(back, "."), strlen(back));
		mem_free(back);
		mem_free(old);
	}
	mem_free(text);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, fs_rig_new, fs_rig_free)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(what_a_path_means),
	    CASE(absolute_paths),
	    CASE(a_home_behind_a_link),
	    CASE(links_inside_are_followed),
	    CASE(links_outside_are_refused),
	    CASE(loops_of_links),
	    CASE(only_files_are_opened),
	    CASE(devices_are_refused),
	    CASE(a_race_is_never_won),
	    CASE(a_home_that_was_a_link),
	    CASE(a_new_home),
	    CASE(files_get_their_place_at_once),
	    CASE(what_a_dead_gateway_wrote_goes),
	    CASE(folders_are_made),
	    CASE(permissions_change),
	    CASE(owners),
	    CASE(names_move),
	    CASE(files_are_removed),
	    CASE(text_is_replaced),
	    CASE(long_text_is_searched_for_once),
	    CASE(text_across_pieces),
	};

	return cmocka_run_group_tests_name("gw/fs", tests, fs_rig_begin, fs_rig_end);
}
