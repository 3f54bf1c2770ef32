/* kernelmgr/cmdline.c - see kernelmgr/cmdline.h. */
#include "kernelmgr/cmdline.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/mem.h"

#define KERNELS "/share/jupyter/kernels"

/* Value of the template at s ("{name}..."), or NULL; *used is its length. */
static const char *
template_at(const char *s, const struct km_cmdline_vars *vars, size_t *used)
{
	const struct {
		const char *word, *value;
	} known[] = {
	    {"{connection_file}", vars->connection_file},
	    {"{prefix}", vars->prefix},
	    {"{resource_dir}", vars->resource_dir},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		*used = strlen(known[i].word);
		if (strncmp(s, known[i].word, *used) == 0)
			return known[i].value;
	}
	return NULL;
}

/* Write s with its templates replaced to out, unless NULL.  Returns the length. */
static size_t
fill(const char *s, const struct km_cmdline_vars *vars, char *out)
{
	size_t len = 0;

	while (*s != '\0') {
		size_t used = 1, n = 1;
		const char *value = *s == '{' ? template_at(s, vars, &used) : NULL;

		if (value != NULL) {
			n = strlen(value);
		} else {
			value = s;
			used = 1;
		}
		if (out != NULL)
			memcpy(out + len, value, n);
		len += n;
		s += used;
	}
	return len;
}

char **
km_cmdline_new(char *const *argv, const struct km_cmdline_vars *vars)
{
	size_t n = 0;
	char **ret;

	while (argv[n] != NULL)
		n++;
	ret = mem_new((n + 1) * sizeof(*ret));
	for (size_t i = 0; i < n; i++) {
		ret[i] = mem_new(fill(argv[i], vars, NULL) + 1);
		(void)fill(argv[i], vars, ret[i]);
	}
	return ret;
}

char **
km_cmdline_copy(char *const *words)
{
	size_t n = 0;
	char **ret;

	while (words != NULL && words[n] != NULL)
		n++;
	ret = mem_new((n + 1) * sizeof(*ret));
	for (size_t i = 0; i < n; i++)
		ret[i] = mem_strdup(words[i]);
	return ret;
}

void
km_cmdline_free(char **argv)
{
	for (char **arg = argv; arg != NULL && *arg != NULL; arg++)
		mem_free(*arg);
	mem_free(argv);
}

/* DIR[0..len)MIDDLE/NAME if that is a program, else NULL. */
static char *
program_at(const char *dir, size_t len, const char *middle, const char *name)
{
	size_t size = len + strlen(middle) + strlen(name) + sizeof("/");
	char *path = mem_new(size);
	struct stat st;

	(void)snprintf(path, size, "%.*s%s/%s", (int)len, dir, middle, name);
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0)
		return path;
	mem_free(path);
	return NULL;
}

/* ENV/bin/NAME, where dir is ENV/share/jupyter/kernels/KERNEL. */
static char *
program_of_owner(const char *dir, const char *name)
{
	const char *last = strrchr(dir, '/');
	size_t len = last != NULL ? (size_t)(last - dir) : 0;
	size_t tail = sizeof(KERNELS) - 1;

	if (len < tail || strncmp(dir + len - tail, KERNELS, tail) != 0)
		return NULL;
	return program_at(dir, len - tail, "/bin", name);
}

char *
km_cmdline_program(const char *name, const char *dir, const char *prefix,
                   const char *search_path)
{
	char *path;

	if (strchr(name, '/') != NULL)
		return mem_strdup(name);
	path = program_of_owner(dir, name);
	if (path == NULL && prefix[0] != '\0')
		path = program_at(prefix, strlen(prefix), "/venv/bin", name);
	while (path == NULL && *search_path != '\0') {
		size_t len = strcspn(search_path, ":");

		/* an empty element would mean the kernel's cwd, which users write to */
		if (len > 0)
			path = program_at(search_path, len, "", name);
		search_path += len + (search_path[len] == ':');
	}
	return path;
}
