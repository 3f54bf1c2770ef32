/* gateway/fs_walk.c - see gateway/fs.h: what is below a folder.
 *
 * Folders that are still to be looked into are kept as paths and opened one at a time, so a walk
 * needs two descriptors and no recursion, however deep it goes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/fs.h"
#include "gateway/fs_info.h"
#include "gateway/fs_look.h"
#include "gateway/glob.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define NAMES_MAX (128U << 20) /* bytes of names and paths that are met */
#define STEPS_MAX 1000000000U  /* of a pattern; some seconds */

/* Something met: told, looked into, or both. */
struct item {
	char *text;     /* its description as JSON, or NULL: not asked for */
	char *path;     /* below the root, of a folder that is to be looked into, or NULL */
	unsigned depth; /* of what is in it: 1 for what is in the root */
};

struct walk {
	const struct gw_fs *fs;
	int root;             /* O_PATH */
	char *prefix;         /* what comes before a path below the root, to be absolute */
	struct gw_glob *glob; /* NULL: a listing */
	unsigned depth;       /* of a listing */
	struct gw_fs_names names;
	struct item *todo; /* the next one last */
	size_t n, cap;
	size_t visited_n, found_n;
	size_t bytes;     /* of names and paths */
	size_t told;      /* bytes of the answer: what is in out, and what waits in todo */
	struct buf *out;  /* borrowed */
	const char *path; /* as the client wrote it; borrowed */
	struct err *err;
};

/* --- names of one folder ------------------------------------------------------------------ */

struct names {
	char **v; /* each: its d_type, then the name */
	size_t n, cap;
};

static void
names_fini(struct names *s)
{
	for (size_t i = 0; i < s->n; i++)
		mem_free(s->v[i]);
	mem_free(s->v);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a + 1, *(char *const *)b + 1);
}

static int
too_much(const struct walk *w, size_t max, const char *what)
{
	return gw_fs_look_fail(w->err, -EMSGSIZE, w->path, "more than %zu %s", max, what);
}

static int
count(struct walk *w, size_t bytes)
{
	if (gw_fs_look_unwanted(w->fs))
		return gw_fs_look_errno(ECANCELED, w->path, w->err);
	w->bytes += bytes;
	return w->bytes > NAMES_MAX ? too_much(w, NAMES_MAX, "bytes of names") : 0;
}

static int
names_add(struct walk *w, struct names *s, const struct dirent *e)
{
	size_t len = strlen(e->d_name);
	char *copy;
	int rc = count(w, len + 16);

	if (rc != 0)
		return rc;
	if (++w->visited_n > GW_FS_VISITED_MAX)
		return too_much(w, GW_FS_VISITED_MAX, "files");
	if (s->n == s->cap) {
		s->cap = s->cap > 0 ? s->cap * 2 : 32;
		s->v = mem_realloc(s->v, s->cap * sizeof(*s->v));
	}
	copy = mem_new(len + 2);
	copy[0] = (char)e->d_type;
	memcpy(copy + 1, e->d_name, len);
	s->v[s->n++] = copy;
	return 0;
}

/* All names in the folder, in order.  Returns 0, or an error with w->err. */
static int
names_read(struct walk *w, DIR *d, struct names *s)
{
	const struct dirent *e;
	int rc = 0;

	errno = 0;
	while (rc == 0 &&
	       (e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): its own stream */
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = names_add(w, s, e);
	}
	if (rc == 0 && errno != 0)
		rc = gw_fs_look_errno(errno, w->path, w->err);
	if (rc == 0 && s->n > 0)
		qsort(s->v, s->n, sizeof(*s->v), by_name);
	return rc;
}

/* --- items -------------------------------------------------------------------------------- */

static char *
join(const char *a, const char *b)
{
	size_t room = strlen(a) + strlen(b) + 2;
	char *s = mem_new(room);

	(void)snprintf(s, room, "%s%s%s", a, a[0] != '\0' && b[0] != '\0' ? "/" : "", b);
	return s;
}

/* What it points to is taken. */
static int
push(struct walk *w, struct item it)
{
	if (w->n == w->cap) {
		w->cap = w->cap > 0 ? w->cap * 2 : 64;
		w->todo = mem_realloc(w->todo, w->cap * sizeof(*w->todo));
	}
	w->todo[w->n++] = it;
	return count(w, it.path != NULL ? strlen(it.path) : 0);
}

/* Take text, of what was described, into account: what cannot be answered is not kept until it is
 * told, for all of a folder is described before. */
static int
count_text(struct walk *w, const char *text)
{
	if (text == NULL)
		return gw_fs_look_errno(ENOMEM, w->path, w->err);
	w->told += strlen(text) + 1;
	if (w->told >= w->out->max) /* the brackets are two more, the first has no comma */
		return too_much(w, w->out->max, "bytes of an answer");
	if (++w->found_n > GW_FS_ENTRIES_MAX)
		return too_much(w, GW_FS_ENTRIES_MAX, "entries");
	return 0;
}

/* Describe what is called name in dir, and path below the root.  Returns 0 with *ret NULL where it
 * has gone, or an error. */
static int
describe(struct walk *w, int dir, const char *name, const char *path, char **ret)
{
	char *whole = join(w->prefix, path);
	json_t *info = NULL;
	char *text;
	int rc = gw_fs_info_new(dir, name, whole, &w->names, &info);

	mem_free(whole);
	if (rc == -ENOENT)
		return 0;
	if (rc != 0)
		return gw_fs_look_errno(-rc, path, w->err);
	text = json_dumps(info, JSON_COMPACT);
	json_decref(info);
	rc = count_text(w, text);
	if (rc == 0)
		*ret = text;
	else
		mem_free(text);
	return rc;
}

/* Only a hint, but some file systems give none. */
static bool
is_folder(int dir, const char *name, unsigned char type)
{
	struct stat st;

	if (type != DT_UNKNOWN)
		return type == DT_DIR;
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int
matches(struct walk *w, const char *path, bool *ret)
{
	*ret = gw_glob_match(w->glob, path);
	if (gw_glob_steps(w->glob) <= STEPS_MAX)
		return 0;
	return gw_fs_look_fail(w->err, -EMSGSIZE, w->path, "the pattern takes too long");
}

/* Meet one entry of a folder: entry is its type and name, depth how deep it is.  path is taken. */
static int
meet(struct walk *w, int dir, const char *entry, unsigned depth, char *path)
{
	bool folder = is_folder(dir, entry + 1, (unsigned char)entry[0]);
	bool told = w->glob == NULL;
	char *text = NULL;
	int rc = 0;

	if (w->glob != NULL && !folder)
		rc = matches(w, path, &told);
	if (rc == 0 && told)
		rc = describe(w, dir, entry + 1, path, &text);
	if (!folder || (w->glob == NULL && depth >= w->depth)) {
		mem_free(path);
		path = NULL;
	}
	if (text == NULL && path == NULL)
		return rc;
	if (rc == 0)
		return push(w, (struct item){text, path, depth + 1});
	mem_free(text);
	mem_free(path);
	return rc;
}

/* --- the walk ----------------------------------------------------------------------------- */

/* What vanished, or was replaced by a link, since its folder was read is not there. */
static bool
has_gone(int e)
{
	return e == ENOENT || e == ELOOP || e == ENOTDIR;
}

/* Meet all that is in the folder path, the last one first. */
static int
look_into(struct walk *w, const char *path, unsigned depth)
{
	struct names s = {NULL, 0, 0};
	int fd = gw_fs_look_sub(w->root, path[0] != '\0' ? path : ".",
	                        O_RDONLY | O_DIRECTORY | O_NONBLOCK);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	int rc;

	if (d == NULL) {
		int e = fd < 0 ? -fd : errno;

		if (fd >= 0)
			(void)close(fd);
		if (path[0] != '\0' && has_gone(e))
			return 0;
		if (e == ENAMETOOLONG)
			return too_much(w, PATH_MAX, "bytes of a path");
		return gw_fs_look_errno(e, path[0] != '\0' ? path : w->path, w->err);
	}
	rc = names_read(w, d, &s);
	for (size_t i = s.n; rc == 0 && i > 0; i--)
		rc = meet(w, dirfd(d), s.v[i - 1], depth, join(path, s.v[i - 1] + 1));
	names_fini(&s);
	(void)closedir(d);
	return rc;
}

static int
tell(struct walk *w, const char *text)
{
	int rc = 0;

	if (w->out->data[w->out->len - 1] != '[')
		rc = buf_append(w->out, ",", 1);
	if (rc == 0)
		rc = buf_append(w->out, text, strlen(text));
	return rc == 0 ? 0 : too_much(w, w->out->max, "bytes of an answer");
}

static int
walk(struct walk *w)
{
	int rc = buf_append(w->out, "[", 1);

	if (rc == 0)
		rc = look_into(w, "", 1);
	while (rc == 0 && w->n > 0) {
		struct item it = w->todo[--w->n];

		if (it.text != NULL)
			rc = tell(w, it.text);
		if (rc == 0 && it.path != NULL)
			rc = look_into(w, it.path, it.depth);
		mem_free(it.text);
		mem_free(it.path);
	}
	return rc == 0 ? buf_append(w->out, "]", 1) : rc;
}

static void
walk_fini(struct walk *w)
{
	for (size_t i = 0; i < w->n; i++) {
		mem_free(w->todo[i].text);
		mem_free(w->todo[i].path);
	}
	mem_free(w->todo);
	mem_free(w->prefix);
	gw_glob_free(w->glob);
	if (w->root >= 0)
		(void)close(w->root);
}

/* --- listings and searches ---------------------------------------------------------------- */

/* Open path with flags as the walk's root. */
static int
open_root(const struct gw_fs *fs, struct walk *w, uint64_t flags)
{
	char *here = NULL;
	int rc = gw_fs_here(fs, w->path, &here, w->err);

	if (rc == 0)
		rc = gw_fs_look(fs, here, O_PATH | flags, &w->root, w->err);
	if (rc == 0)
		w->prefix = join(gw_fs_home(fs), strcmp(here, ".") != 0 ? here : "");
	mem_free(here);
	return rc;
}

/* What can be listed: a folder, not a link to one. */
static int
check_root(const struct gw_fs *fs, const char *path, struct err *err)
{
	json_t *info = NULL;
	const char *type;
	int rc = gw_fs_info(fs, path, &info, err);

	if (rc != 0)
		return rc;
	type = json_string_value(json_object_get(info, "type"));
	if (strcmp(type, "symlink") == 0)
		rc = gw_fs_look_fail(err, -EINVAL, path,
		                     "is a symbolic link, which is not followed");
	else if (strcmp(type, "directory") != 0)
		rc = gw_fs_look_fail(err, -EINVAL, path, "is not a directory");
	json_decref(info);
	return rc;
}

int
gw_fs_list(const struct gw_fs *fs, const char *path, unsigned depth, struct buf *ret,
           struct err *err)
{
	struct walk w = {
	    .fs = fs, .root = -1, .depth = depth, .out = ret, .path = path, .err = err};
	int rc = check_root(fs, path, err);

	if (rc == 0)
		rc = open_root(fs, &w, O_DIRECTORY);
	if (rc == 0 && depth == 0)
		rc = buf_append(ret, "[]", 2);
	else if (rc == 0)
		rc = walk(&w);
	walk_fini(&w);
	return rc;
}

/* The root is a file: the only one there is. */
static int
search_file(struct walk *w)
{
	const char *slash = strrchr(w->prefix, '/');
	char *text = NULL;
	bool match;
	int rc = matches(w, slash != NULL ? slash + 1 : w->prefix, &match);

	if (rc == 0 && match)
		rc = describe(w, w->root, "", "", &text);
	if (rc == 0)
		rc = buf_printf(w->out, "[%s]", text != NULL ? text : "");
	mem_free(text);
	return rc;
}

int
gw_fs_search(const struct gw_fs *fs, const char *path, const char *pattern, struct buf *ret,
             struct err *err)
{
	struct walk w = {.fs = fs, .root = -1, .out = ret, .path = path, .err = err};
	struct stat st;
	int rc = gw_glob_new(pattern, &w.glob, err);

	if (rc == 0)
		rc = open_root(fs, &w, 0);
	if (rc == 0 && fstat(w.root, &st) != 0)
		rc = gw_fs_look_errno(errno, path, err);
	if (rc == 0)
		rc = S_ISDIR(st.st_mode) ? walk(&w) : search_file(&w);
	walk_fini(&w);
	return rc;
}
