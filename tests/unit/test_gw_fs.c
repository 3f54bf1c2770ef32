/* Unit test of gateway/fs: the files of a sandbox, and what tries to get out of it; on a real file
 * system. */
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/files.h"
#include "gateway/fs.h"
#include "gateway/sandbox.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

static char top[] = "/tmp/gw_fs_XXXXXX"; /* of all tests: each has a folder in it */
static char box[64];                     /* the sandbox's folder */
static char home[80];
static char at[512];
static struct gw_home *folder;
static struct gw_fs *fs;
static struct err err;

/* --- what a sandbox's code does, by plain paths ------------------------------------------- */

static const char *
in_home(const char *name)
{
	(void)snprintf(at, sizeof(at), "%s/%s", home, name);
	return at;
}

static void
put_at(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static void
put(const char *name, const char *text)
{
	put_at(in_home(name), text);
}

static void
folder_at(const char *name)
{
	assert_int_equal(mkdir(in_home(name), 0755), 0);
}

static void
link_to(const char *target, const char *name)
{
	assert_int_equal(symlink(target, in_home(name)), 0);
}

static bool
exists(const char *name)
{
	struct stat st;

	return lstat(in_home(name), &st) == 0;
}

static mode_t
mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(in_home(name), &st), 0);
	return st.st_mode & 07777;
}

static char *
text_of(const char *name)
{
	char *text = NULL;
	size_t len;

	assert_int_equal(gw_files_read(in_home(name), 1 << 20, &text, &len, &err), 0);
	return text;
}

static void
assert_text(const char *name, const char *want)
{
	char *text = text_of(name);

	assert_string_equal(text, want);
	mem_free(text);
}

/* --- a sandbox ---------------------------------------------------------------------------- */

static int
setup(void **state)
{
	static unsigned n;

	(void)state;
	(void)snprintf(box, sizeof(box), "%s/%u", top, n++);
	(void)snprintf(home, sizeof(home), "%s/home", box);
	if (gw_files_mkdirs(home, &err) != 0)
		return -1;
	folder = mem_new(sizeof(*folder));
	folder->dir = mem_strdup(box);
	(void)gw_home_hold(folder);
	return gw_fs_new(folder, home, &fs, &err);
}

static int
teardown(void **state)
{
	(void)state;
	gw_fs_release(fs);
	gw_home_release(folder);
	return 0;
}

static int
group_setup(void **state)
{
	(void)state;
	return mkdtemp(top) == NULL;
}

static int
group_teardown(void **state)
{
	int status;

	(void)state;
	gw_files_remove_tree(top);
	return wait(&status) > 0 ? status : -1;
}

/* Open path and give the first byte that is in it, or the error. */
static int
first_byte(const char *path)
{
	struct stat st;
	char c = 0;
	int fd;
	int rc = gw_fs_open(fs, path, &fd, &st, &err);

	if (rc != 0)
		return rc;
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(read(fd, &c, 1), 1);
	assert_int_equal(close(fd), 0);
	return c;
}

/* Write text by way of a temporary file. */
static int
write_by_temp(const char *path, const char *text, mode_t mode)
{
	char name[GW_FS_NAME_MAX];
	int fd;
	int rc;

	assert_int_equal(gw_fs_temp(fs, &fd, name, &err), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
	rc = gw_fs_temp_place(fs, name, path, mode, &err);
	if (rc != 0)
		gw_fs_temp_drop(fs, name);
	return rc;
}

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
		assert_int_equal(gw_fs_here(fs, good[i].path, &here, &err), 0);
		assert_string_equal(here, good[i].here);
		mem_free(here);
	}
	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
		assert_int_equal(gw_fs_here(fs, out[i], &here, &err), -EACCES);
		assert_non_null(strstr(err.text, home)); /* the error names it */
	}
	assert_int_equal(gw_fs_here(fs, "", &here, &err), -EINVAL);
	memset(long_path, 'a', sizeof(long_path));
	long_path[PATH_MAX] = '\0';
	assert_int_equal(gw_fs_here(fs, long_path, &here, &err), -EINVAL);
	long_path[PATH_MAX - 1] = '\0';
	assert_int_equal(gw_fs_here(fs, long_path, &here, &err), 0);
	mem_free(here);
}

static void
absolute_paths(void **state)
{
	char *here = NULL;

	(void)state;
	assert_string_equal(gw_fs_home(fs), home);
	assert_int_equal(gw_fs_here(fs, home, &here, &err), 0);
	assert_string_equal(here, ".");
	mem_free(here);
	assert_int_equal(gw_fs_here(fs, in_home("x/../y/./z"), &here, &err), 0);
	assert_string_equal(here, "y/z");
	mem_free(here);
	(void)snprintf(at, sizeof(at), "%sx/y", home); /* only looks like it */
	assert_int_equal(gw_fs_here(fs, at, &here, &err), -EACCES);
	assert_int_equal(gw_fs_here(fs, in_home("../x"), &here, &err), -EACCES);
	assert_int_equal(gw_fs_here(fs, box, &here, &err), -EACCES);
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
	(void)snprintf(link_path, sizeof(link_path), "%s-link", box);
	(void)snprintf(link_home, sizeof(link_home), "%s/home", link_path);
	assert_int_equal(symlink(box, link_path), 0);
	h->dir = mem_strdup(link_path);
	(void)gw_home_hold(h);
	assert_int_equal(gw_fs_new(h, link_home, &other, &err), 0);
	assert_string_equal(gw_fs_home(other), home);
	(void)snprintf(at, sizeof(at), "%s/f", link_home);
	assert_int_equal(gw_fs_here(other, at, &here, &err), 0);
	assert_string_equal(here, "f");
	mem_free(here);
	assert_int_equal(gw_fs_here(other, in_home("f"), &here, &err), 0);
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
	folder_at("d");
	put("d/f", "i");
	link_to("d", "l");
	link_to("d/f", "lf");
	link_to("../d/f", "d/up");
	(void)snprintf(target, sizeof(target), "%s/d", home);
	link_to(target, "abs"); /* as code makes them with its cwd */
	link_to("abs/up", "chain");
	assert_int_equal(first_byte("l/f"), 'i');
	assert_int_equal(first_byte("lf"), 'i');
	assert_int_equal(first_byte("d/up"), 'i');
	assert_int_equal(first_byte("abs/f"), 'i');
	assert_int_equal(first_byte("chain"), 'i');
	assert_int_equal(first_byte("abs/none"), -ENOENT);
	assert_int_equal(write_by_temp("abs/new/f", "x", 0644), 0);
	assert_text("d/new/f", "x");
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
	folder_at("d");
	(void)snprintf(secret, sizeof(secret), "%s/secret", box);
	put_at(secret, "s");
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		link_to(targets[i], "out");
		assert_int_equal(first_byte("out"), -EACCES);
		assert_int_equal(first_byte("out/passwd"), -EACCES);
		assert_non_null(strstr(err.text, "leads out of the sandbox"));
		assert_int_equal(write_by_temp("out/f", "x", 0644), -EACCES);
		assert_int_equal(gw_fs_mkdirs(fs, "out/new", 0755, &err), -EACCES);
		assert_int_equal(gw_fs_remove(fs, "out/secret", &err), -EACCES);
		assert_int_equal(gw_fs_remove_tree(fs, "out/secret", &err), -EACCES);
		assert_int_equal(gw_fs_chmod(fs, "out", 0777, &err), -EACCES);
		assert_int_equal(gw_fs_move(fs, "out/secret", "mine", &err), -EACCES);
		assert_int_equal(gw_fs_move(fs, "d", "out/d", &err), -EACCES);
		assert_int_equal(gw_fs_info(fs, "out/secret", &info, &err), -EACCES);
		buf_init(&list, 1000);
		assert_int_equal(gw_fs_list(fs, "out/d", 1, &list, &err), -EACCES);
		assert_int_equal(gw_fs_search(fs, "out", "*", &list, &err), -EACCES);
		buf_fini(&list);
		/* the link itself is the sandbox's */
		assert_int_equal(gw_fs_info(fs, "out", &info, &err), 0);
		assert_string_equal(json_string_value(json_object_get(info, "type")),
		                    "symlink");
		json_decref(info);
		assert_int_equal(gw_fs_remove(fs, "out", &err), 0);
	}
	assert_int_equal(access(secret, F_OK), 0);
}

static void
loops_of_links(void **state)
{
	(void)state;
	link_to("b", "a");
	link_to("a", "b");
	assert_int_equal(first_byte("a"), -EINVAL);
	assert_int_equal(first_byte("a/x"), -EINVAL);
	link_to(in_home("q"), "p");
	link_to(in_home("p"), "q");
	assert_int_equal(first_byte("p"), -EACCES);
	link_to("none", "dangling");
	assert_int_equal(first_byte("dangling"), -ENOENT);
}

static void
only_files_are_opened(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	folder_at("d");
	assert_int_equal(first_byte("d"), -EINVAL);
	assert_non_null(strstr(err.text, "a folder"));
	assert_int_equal(mkfifo(in_home("p"), 0644), 0);
	assert_int_equal(first_byte("p"), -EINVAL); /* and nobody waits for a writer */
	assert_non_null(strstr(err.text, "a pipe"));
	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/s", home);
	assert_int_equal(bind(s, (const struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(first_byte("s"), -EINVAL);
	assert_non_null(strstr(err.text, "a socket"));
	assert_int_equal(close(s), 0);
	put("f", "x");
	assert_int_equal(first_byte("f/x"), -EINVAL);
	assert_int_equal(first_byte("none"), -ENOENT);
	assert_int_equal(first_byte("none/x"), -ENOENT);
}

static void
devices_are_refused(void **state)
{
	uint64_t n;

	(void)state;
	if (mknod(in_home("null"), S_IFCHR | 0666, makedev(1, 3)) != 0)
		skip(); /* only root may */
	assert_int_equal(first_byte("null"), -EINVAL);
	assert_non_null(strstr(err.text, "a device"));
	assert_int_equal(gw_fs_replace(fs, "null", "a", "b", &n, &err), -EINVAL);
	assert_int_equal(write_by_temp("null", "x", 0600), 0); /* in its place */
	assert_int_equal(first_byte("null"), 'x');
}

/* --- somebody changes names meanwhile ----------------------------------------------------- */

static atomic_bool stop_swapping;

static void *
swap(void *arg)
{
	char a[100];
	char b[100];

	(void)arg;
	(void)snprintf(a, sizeof(a), "%s/a/x", home);
	(void)snprintf(b, sizeof(b), "%s/a/y", home);
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
	(void)snprintf(outside, sizeof(outside), "%s/outside", box);
	assert_int_equal(mkdir(outside, 0755), 0);
	(void)snprintf(at, sizeof(at), "%s/f", outside);
	put_at(at, "o");
	folder_at("a");
	folder_at("a/x");
	put("a/x/f", "i");
	link_to("../../outside", "a/y");
	link_to("a/x/../x", "via"); /* with .., which openat2 may have to try again */
	atomic_store(&stop_swapping, false);
	assert_int_equal(pthread_create(&thread, NULL, swap, NULL), 0);
	for (unsigned i = 0; i < 1000000 && (i < 10000 || in_n == 0 || refused_n == 0); i++) {
		int c = first_byte(i % 2 == 0 ? "a/x/f" : "via/f");

		if (c != 'i' && c != -EACCES && c != -EIO)
			fail_msg("%d: %s", c, err.text);
		in_n += c == 'i';
		refused_n += c == -EACCES;
		if (i % 8 == 0) {
			(void)write_by_temp("a/x/new", "n", 0644);
			(void)gw_fs_mkdirs(fs, "a/x/made", 0700, &err);
			(void)gw_fs_chmod(fs, "a/x/f", 0600, &err);
			(void)gw_fs_move(fs, "a/x/new", "a/x/newer", &err);
			(void)gw_fs_remove_tree(fs, "a/x/newer", &err);
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
static void
a_new_home(void **state)
{
	char other[100];

	(void)state;
	(void)snprintf(other, sizeof(other), "%s/old", box);
	assert_int_equal(rename(home, other), 0);
	assert_int_equal(first_byte("f"), -ENOENT);
	assert_int_equal(mkdir(home, 0700), 0);
	put("f", "n");
	assert_int_equal(first_byte("f"), 'n');
	assert_int_equal(unlink(in_home("f")), 0);
	assert_int_equal(rmdir(home), 0);
	assert_int_equal(symlink("/etc", home), 0); /* no home */
	assert_int_equal(first_byte("passwd"), -EINVAL);
	assert_int_equal(write_by_temp("f", "x", 0644), -EINVAL);
}

/* --- writing ------------------------------------------------------------------------------ */

static void
files_get_their_place_at_once(void **state)
{
	(void)state;
	assert_int_equal(write_by_temp("a/b/c", "one", 0640), 0);
	assert_text("a/b/c", "one");
	assert_int_equal(mode_of("a/b/c"), 0640);
	assert_int_equal(mode_of("a/b"), 0755);
	assert_int_equal(write_by_temp("a/b/c", "two", 0400), 0);
	assert_text("a/b/c", "two");
	link_to("a/b/c", "l");
	assert_int_equal(write_by_temp("l", "three", 0644), 0); /* the link gives way */
	assert_text("l", "three");
	assert_text("a/b/c", "two");
	assert_int_equal(write_by_temp("a", "x", 0644), -EINVAL);
	assert_int_equal(write_by_temp("~", "x", 0644), -EINVAL);
	assert_int_equal(write_by_temp("l/x", "x", 0644), -EINVAL);
	assert_int_equal(write_by_temp("../x", "x", 0644), -EACCES);
}

static void
what_a_dead_gateway_wrote_goes(void **state)
{
	char left[128];
	char ours[GW_FS_NAME_MAX];
	struct gw_fs *again;
	int fd;

	(void)state;
	(void)snprintf(left, sizeof(left), "%s/put.999999999.0123", box);
	put_at(left, "x");
	assert_int_equal(gw_fs_new(folder, home, &again, &err), 0);
	assert_int_equal(access(left, F_OK), -1);
	assert_int_equal(gw_fs_temp(again, &fd, ours, &err), 0);
	(void)snprintf(left, sizeof(left), "%s/%s", box, ours);
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
	assert_int_equal(gw_fs_mkdirs(fs, "a/b/c", 0700, &err), 0);
	assert_int_equal(mode_of("a/b/c"), 0700);
	assert_int_equal(mode_of("a/b"), 0755);
	assert_int_equal(gw_fs_mkdirs(fs, "a/b/c", 0750, &err), 0);
	assert_int_equal(mode_of("a/b/c"), 0750);
	assert_int_equal(gw_fs_mkdirs(fs, "a/b/c", GW_FS_MODE_KEEP, &err), 0);
	assert_int_equal(mode_of("a/b/c"), 0750);
	assert_int_equal(gw_fs_mkdirs(fs, "~", GW_FS_MODE_KEEP, &err), 0);
	put("f", "x");
	assert_int_equal(gw_fs_mkdirs(fs, "f", 0755, &err), -EINVAL);
	assert_int_equal(gw_fs_mkdirs(fs, "f/g", 0755, &err), -EINVAL);
	link_to("a", "l");
	assert_int_equal(gw_fs_mkdirs(fs, "l/d/e", 0755, &err), 0);
	assert_true(exists("a/d/e"));
	link_to("none", "dangling");
	assert_int_not_equal(gw_fs_mkdirs(fs, "dangling/x", 0755, &err), 0);
	assert_false(exists("none"));
}

static void
permissions_change(void **state)
{
	(void)state;
	put("f", "x");
	link_to("f", "l");
	assert_int_equal(gw_fs_chmod(fs, "f", 0604, &err), 0);
	assert_int_equal(mode_of("f"), 0604);
	assert_int_equal(gw_fs_chmod(fs, "l", 0641, &err), 0);
	assert_int_equal(mode_of("f"), 0641);
	assert_int_equal(gw_fs_chmod(fs, "f", GW_FS_MODE_KEEP, &err), 0);
	assert_int_equal(mode_of("f"), 0641);
	assert_int_equal(gw_fs_chmod(fs, "none", GW_FS_MODE_KEEP, &err), -ENOENT);
	assert_int_equal(mkfifo(in_home("p"), 0644), 0);
	assert_int_equal(gw_fs_chmod(fs, "p", 0600, &err), 0); /* and nobody waits */
	assert_int_equal(mode_of("p"), 0600);
}

static void
owners(void **state)
{
	char number[24];

	(void)state;
	(void)snprintf(number, sizeof(number), "%lu", (unsigned long)geteuid());
	assert_int_equal(gw_fs_check_owner(NULL, NULL, &err), 0);
	assert_int_equal(gw_fs_check_owner("", "", &err), 0);
	assert_int_equal(gw_fs_check_owner(number, NULL, &err), 0);
	assert_int_equal(gw_fs_check_owner("nobody-we-know", NULL, &err), -EINVAL);
	assert_non_null(strstr(err.text, "owner 'nobody-we-know'"));
	assert_int_equal(gw_fs_check_owner(NULL, "no-group", &err), -EINVAL);
	assert_non_null(strstr(err.text, "group 'no-group'"));
	assert_int_equal(gw_fs_check_owner(NULL, "4294967294", &err), -EINVAL);
}

static void
names_move(void **state)
{
	(void)state;
	put("f", "f");
	put("g", "g");
	folder_at("d");
	assert_int_equal(gw_fs_move(fs, "f", "d/f2", &err), 0);
	assert_text("d/f2", "f");
	assert_int_equal(gw_fs_move(fs, "d/f2", "new/er/f", &err), 0);
	assert_text("new/er/f", "f");
	assert_int_equal(gw_fs_move(fs, "new/er/f", "g", &err), -EEXIST);
	assert_text("g", "g");
	assert_int_equal(gw_fs_move(fs, "g", "g", &err), -EEXIST);
	assert_int_equal(gw_fs_move(fs, "new", "d/new", &err), 0);
	assert_text("d/new/er/f", "f");
	assert_int_equal(gw_fs_move(fs, "d", "d/new/d", &err), -EINVAL);
	assert_non_null(strstr(err.text, "into itself"));
	assert_int_equal(gw_fs_move(fs, "none", "made/x", &err), -ENOENT);
	assert_false(exists("made"));
	assert_int_equal(gw_fs_move(fs, "~", "x", &err), -EINVAL);
	assert_int_equal(gw_fs_move(fs, "g", "../g", &err), -EACCES);
	link_to("/etc/passwd", "out");
	assert_int_equal(gw_fs_move(fs, "out", "moved", &err), 0); /* the link */
	assert_true(exists("moved"));
}

static void
files_are_removed(void **state)
{
	(void)state;
	put("f", "x");
	folder_at("d");
	link_to("d", "l");
	assert_int_equal(gw_fs_remove(fs, "f", &err), 0);
	assert_false(exists("f"));
	assert_int_equal(gw_fs_remove(fs, "f", &err), 0);
	assert_int_equal(gw_fs_remove(fs, "none/f", &err), 0);
	assert_int_equal(gw_fs_remove(fs, "d", &err), -EINVAL);
	assert_non_null(strstr(err.text, "is a folder"));
	assert_int_equal(gw_fs_remove(fs, "l", &err), 0);
	assert_true(exists("d") && !exists("l"));
	assert_int_equal(gw_fs_remove(fs, "~", &err), -EINVAL);
}

/* --- text --------------------------------------------------------------------------------- */

static void
text_is_replaced(void **state)
{
	uint64_t n = 99;
	struct stat before;
	struct stat after;

	(void)state;
	put("f", "aXbXXc");
	assert_int_equal(chmod(in_home("f"), 0604), 0);
	assert_int_equal(gw_fs_replace(fs, "f", "X", "long", &n, &err), 0);
	assert_int_equal(n, 3);
	assert_text("f", "alongblonglongc");
	assert_int_equal(mode_of("f"), 0604);
	assert_int_equal(gw_fs_replace(fs, "f", "long", "", &n, &err), 0);
	assert_int_equal(n, 3);
	assert_text("f", "abc");
	assert_int_equal(stat(in_home("f"), &before), 0);
	assert_int_equal(gw_fs_replace(fs, "f", "none", "x", &n, &err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(stat(in_home("f"), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino); /* untouched */
	put("aa", "aaaaa");
	assert_int_equal(gw_fs_replace(fs, "aa", "aa", "b", &n, &err), 0);
	assert_int_equal(n, 2);
	assert_text("aa", "bba");
	assert_int_equal(gw_fs_replace(fs, "aa", "", "b", &n, &err), -EINVAL);
	assert_int_equal(gw_fs_replace(fs, "none", "a", "b", &n, &err), -ENOENT);
	assert_int_equal(gw_fs_replace(fs, ".", "a", "b", &n, &err), -EINVAL);
	put("empty", "");
	assert_int_equal(gw_fs_replace(fs, "empty", "a", "b", &n, &err), 0);
	assert_int_equal(n, 0);
	folder_at("~");
	put("~/f", "ab");
	link_to("~/f", "l"); /* in a folder whose name is a tilde */
	assert_int_equal(gw_fs_replace(fs, "l", "a", "x", &n, &err), 0);
	assert_text("~/f", "xb");
	assert_int_equal(lstat(in_home("l"), &after), 0);
	assert_true(S_ISLNK(after.st_mode));
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
		put("big", text);
		assert_int_equal(gw_fs_replace(fs, "big", old, "", &n, &err), 0);
		assert_int_equal(n, want);
		back = text_of("big");
		assert_int_equal(strlen(back), SIZE - want * len);
		assert_int_equal(strspn(back, "."), strlen(back));
		mem_free(back);
		mem_free(old);
	}
	mem_free(text);
}

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
	put("f", "12345");
	assert_int_equal(chmod(in_home("f"), 0750), 0);
	assert_int_equal(gw_fs_info(fs, "./f", &o, &err), 0);
	assert_string_equal(field(o, "path"), in_home("f"));
	assert_string_equal(field(o, "type"), "file");
	assert_int_equal(json_integer_value(json_object_get(o, "size")), 5);
	assert_int_equal(json_integer_value(json_object_get(o, "mode")), 750);
	assert_int_equal(gw_fs_check_owner(field(o, "owner"), field(o, "group"), &err), 0);
	assert_int_equal(strlen(field(o, "modified_at")),
	                 strlen("2026-01-01T00:00:00.000000Z"));
	assert_memory_equal(field(o, "created_at"), "20", 2);
	json_decref(o);
	assert_int_equal(gw_fs_info(fs, "~", &o, &err), 0);
	assert_string_equal(field(o, "path"), home);
	assert_string_equal(field(o, "type"), "directory");
	assert_int_equal(json_integer_value(json_object_get(o, "size")), 0);
	json_decref(o);
	assert_int_equal(mkfifo(in_home("p"), 0644), 0);
	assert_int_equal(gw_fs_info(fs, "p", &o, &err), 0);
	assert_string_equal(field(o, "type"), "other");
	json_decref(o);
	assert_int_equal(gw_fs_info(fs, "none", &o, &err), -ENOENT);
	assert_int_equal(gw_fs_info(fs, "/etc", &o, &err), -EACCES);
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
		rc = gw_fs_search(fs, path, pattern, &b, &err);
	else
		rc = gw_fs_list(fs, path, depth, &b, &err);
	if (rc != 0)
		fail_msg("%s", err.text);
	all = json_loadb(b.data, b.len, 0, NULL);
	assert_true(json_is_array(all));
	text[0] = '\0';
	json_array_foreach (all, i, o) {
		const char *p = field(o, "path");

		assert_memory_equal(p, home, strlen(home));
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
		                        i > 0 ? " " : "", p + strlen(home) + 1);
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
	folder_at("d");
	folder_at("d/e");
	folder_at("d/e/f");
	put("d/e/f/g", "x");
	put("d/e.x", "x"); /* its place is by name in its folder, not by path */
	put("b", "x");
	put(".h", "x");
	link_to("d", "l");
	link_to("/etc", "out");
	assert_string_equal(found(".", 0, NULL), "");
	assert_string_equal(found(".", 1, NULL), ".h b d l out");
	assert_string_equal(found(".", 2, NULL), ".h b d d/e d/e.x l out");
	assert_string_equal(found("~", 99, NULL), ".h b d d/e d/e/f d/e/f/g d/e.x l out");
	assert_string_equal(found("d/e", 1, NULL), "d/e/f");
	buf_init(&b, 100000);
	assert_int_equal(gw_fs_list(fs, "l", 1, &b, &err), -EINVAL);
	assert_non_null(strstr(err.text, "symbolic link"));
	assert_int_equal(gw_fs_list(fs, "b", 1, &b, &err), -EINVAL);
	assert_int_equal(gw_fs_list(fs, "none", 1, &b, &err), -ENOENT);
	buf_fini(&b);
	buf_init(&b, 300);
	assert_int_equal(gw_fs_list(fs, ".", 1, &b, &err), -EMSGSIZE);
	buf_fini(&b);
}

static void
files_are_searched(void **state)
{
	struct buf b;

	(void)state;
	folder_at("d");
	folder_at("d/x.py");
	put("d/x.py/a.py", "x");
	put("d/b.py", "x");
	put("c.py", "x");
	put("c.txt", "x");
	link_to("d", "l.py"); /* told, not entered */
	assert_string_equal(found("~", 0, "*.py"), "c.py d/b.py d/x.py/a.py l.py");
	assert_string_equal(found(".", 0, "**"), "c.py c.txt d/b.py d/x.py/a.py l.py");
	assert_string_equal(found(".", 0, "d/*.py"), "d/b.py");
	assert_string_equal(found("d", 0, "*/*"), "d/x.py/a.py");
	assert_string_equal(found("d", 0, "b.{py,c}"), "d/b.py");
	assert_string_equal(found("c.txt", 0, "c.*"), "c.txt");
	assert_string_equal(found("c.txt", 0, "d"), "");
	assert_string_equal(found("l.py", 0, "b*"), "l.py/b.py");
	buf_init(&b, 100000);
	assert_int_equal(gw_fs_search(fs, "none", "*", &b, &err), -ENOENT);
	assert_int_equal(gw_fs_search(fs, ".", "[", &b, &err), -EINVAL);
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
	assert_int_equal(write_by_temp(longest, "x", 0644), -EINVAL);
	longest[NAME_MAX] = '\0';
	assert_int_equal(write_by_temp(longest, "x", 0644), 0);
	assert_int_equal(first_byte(longest), 'x');
	assert_int_equal(gw_fs_remove(fs, longest, &err), 0);
	assert_int_equal(write_by_temp("two\nlines", "x", 0644), 0);
	assert_string_equal(found(".", 1, NULL), "two\nlines");
	assert_int_equal(gw_fs_remove(fs, "two\nlines", &err), 0);
	folder_at("b\xff"
	          "d");
	put("b\xff"
	    "d/\xc3",
	    "x");
	buf_init(&b, 100000);
	assert_int_equal(gw_fs_search(fs, ".", "?", &b, &err), 0);
	o = json_loadb(b.data, b.len, 0, NULL);
	assert_int_equal(json_array_size(o), 1);
	assert_non_null(strstr(field(json_array_get(o, 0), "path"), "/b\xef\xbf\xbd"
	                                                            "d/\xef\xbf\xbd"));
	json_decref(o);
	buf_fini(&b);
	assert_int_equal(gw_fs_remove_tree(fs,
	                                   "b\xff"
	                                   "d",
	                                   &err),
	                 0);
	assert_string_equal(found(".", 1, NULL), "");
}

/* --- trees -------------------------------------------------------------------------------- */

static void
trees_are_removed(void **state)
{
	char outside[100];

	(void)state;
	(void)snprintf(outside, sizeof(outside), "%s/outside", box);
	assert_int_equal(mkdir(outside, 0755), 0);
	folder_at("t");
	folder_at("t/a");
	folder_at("t/a/b");
	put("t/a/b/f", "x");
	put("t/a/g", "x");
	assert_int_equal(mkfifo(in_home("t/p"), 0644), 0);
	link_to("../../outside", "t/out");
	link_to("t", "l");
	assert_int_equal(gw_fs_remove_tree(fs, "l", &err), 0);
	assert_true(exists("t") && !exists("l"));
	assert_int_equal(gw_fs_remove_tree(fs, "t", &err), 0);
	assert_false(exists("t"));
	assert_int_equal(access(outside, F_OK), 0);
	assert_int_equal(gw_fs_remove_tree(fs, "t", &err), 0);
	assert_int_equal(gw_fs_remove_tree(fs, "none/t", &err), 0);
	put("f", "x");
	assert_int_equal(gw_fs_remove_tree(fs, "f", &err), 0);
	assert_false(exists("f"));
	assert_int_equal(gw_fs_remove_tree(fs, "~", &err), -EINVAL);
	assert_int_equal(gw_fs_remove_tree(fs, ".", &err), -EINVAL);
	assert_int_equal(gw_fs_remove_tree(fs, home, &err), -EINVAL);
}

/* Folders in folders, n deep, as code makes them: by going into each. */
static void
dig(const char *name, unsigned n)
{
	int dir;
	int next;

	folder_at(name);
	dir = open(in_home(name), O_PATH | O_DIRECTORY | O_CLOEXEC);
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
	assert_int_equal(gw_fs_list(fs, "deep", 2, &b, &err), 0);
	assert_int_equal(gw_fs_search(fs, ".", "*", &b, &err), -EMSGSIZE);
	assert_non_null(strstr(err.text, "bytes of a path"));
	buf_fini(&b);
	assert_int_equal(gw_fs_remove_tree(fs, "deep", &err), 0);
	assert_false(exists("deep"));
}

static void
a_wide_folder(void **state)
{
	struct buf b;
	int dir;

	(void)state;
	folder_at("w");
	dir = open(in_home("w"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
	assert_int_equal(gw_fs_list(fs, "w", 1, &b, &err), 0);
	buf_fini(&b);
	buf_init(&b, 64 << 20);
	assert_int_equal(gw_fs_list(fs, ".", 2, &b, &err), -EMSGSIZE); /* one more */
	assert_non_null(strstr(err.text, "100000 entries"));
	buf_fini(&b);
	assert_string_equal(found(".", 0, "9999?"),
	                    "w/99990 w/99991 w/99992 w/99993 w/99994 w/99995 w/99996 w/99997 "
	                    "w/99998 w/99999");
	assert_int_equal(gw_fs_remove_tree(fs, "w", &err), 0);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

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
	    CASE(a_new_home),
	    CASE(files_get_their_place_at_once),
	    CASE(what_a_dead_gateway_wrote_goes),
	    CASE(folders_are_made),
	    CASE(permissions_change),
	    CASE(owners),
	    CASE(names_move),
	    CASE(files_are_removed),
	    CASE(text_is_replaced),
	    CASE(text_across_pieces),
	    CASE(files_are_described),
	    CASE(folders_are_listed),
	    CASE(files_are_searched),
	    CASE(odd_names),
	    CASE(trees_are_removed),
	    CASE(a_deep_tree),
	    CASE(a_wide_folder),
	};

	return cmocka_run_group_tests_name("gw/fs", tests, group_setup, group_teardown);
}
