/* kernelmgr/spec.c - see kernelmgr/spec.h; kernel.json itself is read in spec_parse.c. */
#include "kernelmgr/spec.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define NAME_MAX_LEN   100
#define FILE_MAX_BYTES 65536
#define LIST_MAX_BYTES 120 /* of names in an error */

struct km_spec_path {
	char **dirs; /* DATADIR/kernels, in search order */
	size_t n;
};

/* A name that the search found, before its kernel.json is read. */
struct found {
	char *name; /* as on disk */
	char *dir;
};

struct found_list {
	struct found *items;
	size_t n;
};

/* Add DATADIR/kernels; datadir is base[0..len) and tail. */
static void
add_dir(struct km_spec_path *p, const char *base, size_t len, const char *tail)
{
	size_t size = len + strlen(tail) + sizeof("/kernels");
	char *dir;

	if (len == 0)
		return;
	dir = mem_new(size);
	(void)snprintf(dir, size, "%.*s%s/kernels", (int)len, base, tail);
	p->dirs = mem_realloc(p->dirs, (p->n + 1) * sizeof(*p->dirs));
	p->dirs[p->n++] = dir;
}

static void
add_list(struct km_spec_path *p, const char *list)
{
	while (list != NULL && *list != '\0') {
		size_t len = strcspn(list, ":");

		add_dir(p, list, len, "");
		list += len + (list[len] == ':');
	}
}

static const char *
env(const char *name)
{
	return getenv(name); /* NOLINT(concurrency-mt-unsafe): nothing sets any */
}

/* jupyter_core.paths.jupyter_data_dir() on Linux. */
static void
add_user(struct km_spec_path *p)
{
	const char *data = env("JUPYTER_DATA_DIR");
	const char *xdg = env("XDG_DATA_HOME");
	const char *home = env("HOME");

	if (data != NULL && *data != '\0')
		add_dir(p, data, strlen(data), "");
	else if (xdg != NULL && *xdg != '\0')
		add_dir(p, xdg, strlen(xdg), "/jupyter");
	else if (home != NULL && *home != '\0')
		add_dir(p, home, strlen(home), "/.local/share/jupyter");
}

struct km_spec_path *
km_spec_path_new(const char *prefix)
{
	static const char *const system[] = {"/usr/local/share/jupyter", "/usr/share/jupyter"};
	struct km_spec_path *p = mem_new(sizeof(*p));

	add_list(p, env("JUPYTER_PATH"));
	add_dir(p, prefix, strlen(prefix), "/share/jupyter");
	add_user(p);
	for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++)
		add_dir(p, system[i], strlen(system[i]), "");
	return p;
}

void
km_spec_path_free(struct km_spec_path *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->n; i++)
		mem_free(p->dirs[i]);
	mem_free(p->dirs);
	mem_free(p);
}

static bool
is_name(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > NAME_MAX_LEN || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isascii((unsigned char)name[i]) ||
		    (!isalnum((unsigned char)name[i]) && strchr("._-", name[i]) == NULL))
			return false;
	return true;
}

static bool
is_found(const struct found_list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcasecmp(l->items[i].name, name) == 0)
			return true;
	return false;
}

/* Note DIR/NAME if it has a kernel.json and no earlier directory had that name. */
static void
note(struct found_list *l, const char *kernels, const char *name)
{
	size_t size = strlen(kernels) + strlen(name) + sizeof("//kernel.json");
	char *path = mem_new(size);
	struct stat st;

	(void)snprintf(path, size, "%s/%s/kernel.json", kernels, name);
	if (is_name(name) && !is_found(l, name) && stat(path, &st) == 0) {
		path[strlen(kernels) + 1 + strlen(name)] = '\0';
		l->items = mem_realloc(l->items, (l->n + 1) * sizeof(*l->items));
		l->items[l->n++] = (struct found){.name = mem_strdup(name), .dir = path};
		path = NULL;
	}
	mem_free(path);
}

/* Everything the path shows, in search order, sorted within a directory. */
static void
search(const struct km_spec_path *p, struct found_list *l)
{
	for (size_t i = 0; i < p->n; i++) {
		struct dirent **names = NULL;
		int n = scandir(p->dirs[i], &names, NULL, alphasort);

		for (int k = 0; k < n; k++) {
			note(l, p->dirs[i], names[k]->d_name);
			free(names[k]);
		}
		free(names);
	}
}

static void
found_list_fini(struct found_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		mem_free(l->items[i].name);
		mem_free(l->items[i].dir);
	}
	mem_free(l->items);
}

/* Read a whole regular file.  Returns 0, -EMSGSIZE or another -errno. */
static int
read_file(const char *path, struct buf *b)
{
	char chunk[4096];
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int status = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
		status = -EINVAL;
	while (status == 0 && n > 0) {
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0)
			status = -errno;
		else
			status = buf_append(b, chunk, (size_t)n);
	}
	(void)close(fd);
	return status;
}

static int
load(const struct found *f, struct km_spec **ret, struct err *err)
{
	size_t size = strlen(f->dir) + sizeof("/kernel.json");
	char *path = mem_new(size);
	struct buf b;
	int status;

	buf_init(&b, FILE_MAX_BYTES);
	(void)snprintf(path, size, "%s/kernel.json", f->dir);
	status = read_file(path, &b);
	if (status == -EMSGSIZE)
		status =
		    err_set(err, -EINVAL, "kernel.json of '%s': larger than %d bytes (in %s)",
		            f->name, FILE_MAX_BYTES, f->dir);
	else if (status != 0)
		status =
		    err_set(err, -EINVAL, "kernel.json of '%s': cannot be read: %s (in %s)",
		            f->name, strerrordesc_np(-status), f->dir);
	else
		status =
		    km_spec_parse(f->name, f->dir, b.len > 0 ? b.data : "", b.len, ret, err);
	buf_fini(&b);
	mem_free(path);
	return status;
}

static int
none(const struct found_list *l, const char *what, const char *name, struct err *err)
{
	char names[LIST_MAX_BYTES] = "";
	size_t len = 0;

	for (size_t i = 0; i < l->n; i++) {
		size_t more = strlen(l->items[i].name) + 2;

		if (len + more + sizeof(", ...") > sizeof(names)) {
			(void)snprintf(names + len, sizeof(names) - len, ", ...");
			break;
		}
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
		                        i > 0 ? ", " : "", l->items[i].name);
	}
	return err_set(err, -ENOENT, "no kernelspec %s '%.40s'; %s%s", what, name,
	               l->n > 0 ? "there are: " : "none is installed", names);
}

/* True if pattern, whose last * stands for any end, is name's. */
static bool
is_named_by(const char *pattern, const char *name)
{
	size_t len = strlen(pattern);

	if (len > 0 && pattern[len - 1] == '*')
		return strncmp(name, pattern, len - 1) == 0;
	return strcmp(name, pattern) == 0;
}

static bool
is_start_var(const struct km_spec *spec, const char *name)
{
	bool is = false;

	for (char *const *p = spec->start_env; p != NULL && *p != NULL; p++) {
		if ((*p)[0] != '!')
			is = is || is_named_by(*p, name);
		else if (is_named_by(*p + 1, name))
			return false;
	}
	return is;
}

bool
km_spec_env_is_late(const struct km_spec *spec, const json_t *env)
{
	const json_t *value;
	const char *name;

	/* NOLINTNEXTLINE(cast-qual): nothing is changed */
	json_object_foreach ((json_t *)(uintptr_t)env, name, value)
		if (is_start_var(spec, name))
			return false;
	return true;
}

int
km_spec_find(const struct km_spec_path *p, const char *name, struct km_spec **ret,
             struct err *err)
{
	struct found_list l = {0};
	const struct found *f = NULL;
	int status;

	if (!is_name(name))
		return err_set(err, -EINVAL,
		               "a kernelspec name has letters, digits and '._-' only");
	search(p, &l);
	for (size_t i = 0; i < l.n && f == NULL; i++)
		if (strcasecmp(l.items[i].name, name) == 0)
			f = &l.items[i];
	status = f != NULL ? load(f, ret, err) : none(&l, "is called", name, err);
	found_list_fini(&l);
	return status;
}

int
km_spec_find_language(const struct km_spec_path *p, const char *language, struct km_spec **ret,
                      struct err *err)
{
	struct found_list l = {0};
	struct km_spec *s = NULL;
	bool found = false;
	int status;

	search(p, &l);
	for (size_t i = 0; i < l.n && !found; i++) {
		s = NULL;
		(void)load(&l.items[i], &s,
		           NULL); /* a broken one is not for everybody to see */
		if (s == NULL)
			continue;
		found = language == NULL || strcasecmp(s->language, language) == 0;
		if (!found)
			km_spec_free(s);
	}
	status = found ? 0 : none(&l, "has language", language != NULL ? language : "*", err);
	if (found)
		*ret = s;
	found_list_fini(&l);
	return status;
}

void
km_spec_each(const struct km_spec_path *p, void (*fn)(void *arg, const struct km_spec *spec),
             void *arg)
{
	struct found_list l = {0};
	struct km_spec *s;

	search(p, &l);
	for (size_t i = 0; i < l.n; i++) {
		s = NULL;
		(void)load(&l.items[i], &s, NULL);
		if (s == NULL)
			continue;
		fn(arg, s);
		km_spec_free(s);
	}
	found_list_fini(&l);
}
