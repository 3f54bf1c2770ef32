/* kernelmgr/proc.c - see kernelmgr/proc.h. */
#include "kernelmgr/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire/base/buf.h"
#include "wire/base/mem.h"

#define FILE_MAX     4194304 /* a larger environment is not read to its end */
#define PATH_MAX_LEN 64
#define STAT_MAX     1024

/* Read /proc/PID/NAME up to b's ceiling.  Returns false when there is no such file. */
static bool
read_file(pid_t pid, const char *name, struct buf *b)
{
	char path[PATH_MAX_LEN], chunk[4096];
	ssize_t n = 1;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (n > 0) {
		n = read(fd, chunk, sizeof(chunk));
		if (n > 0 && buf_append(b, chunk, (size_t)n) != 0)
			break;
	}
	(void)close(fd);
	return true;
}

bool
km_proc_stat(pid_t pid, pid_t *ret_parent, pid_t *ret_session)
{
	struct buf b;
	const char *after; /* the command's name may hold anything, also ')' */
	int parent, session;
	char state;
	bool ok;

	buf_init(&b, STAT_MAX);
	(void)read_file(pid, "stat", &b);
	after = b.len > 0 ? strrchr(b.data, ')') : NULL;
	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
	ok = after != NULL && sscanf(after, ") %c %d %*d %d", &state, &parent, &session) == 3 &&
	     strchr("ZX", state) == NULL;
	if (ok) {
		*ret_parent = parent;
		*ret_session = session;
	}
	buf_fini(&b);
	return ok;
}

size_t
km_proc_resident(pid_t pid)
{
	unsigned long pages = 0;
	struct buf b;

	buf_init(&b, STAT_MAX);
	(void)read_file(pid, "statm", &b);
	/* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
	if (b.len == 0 || sscanf(b.data, "%*u %lu", &pages) != 1)
		pages = 0;
	buf_fini(&b);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

int
km_proc_var(pid_t pid, const char *name, char **ret)
{
	size_t len = strlen(name);
	struct buf b;
	int rc = -ENOENT;

	buf_init(&b, FILE_MAX);
	if (read_file(pid, "environ", &b) && b.len == 0)
		rc = -EAGAIN;
	for (size_t at = 0; at < b.len && rc != 0; at += strlen(b.data + at) + 1) {
		if (strncmp(b.data + at, name, len) == 0 && b.data[at + len] == '=') {
			*ret = mem_strdup(b.data + at + len + 1);
			rc = 0;
		}
	}
	buf_fini(&b);
	return rc;
}

static pid_t
parse_pid(const char *s)
{
	char *end;
	long n = strtol(s, &end, 10);

	return end != s && n > 0 && n <= INT32_MAX ? (pid_t)n : 0;
}

/* Children of one thread of ours.  Returns false where the system has no such list. */
static bool
each_of_thread(const char *tid, km_proc_fn *fn, void *arg)
{
	char name[PATH_MAX_LEN];
	struct buf b;
	bool has;

	(void)snprintf(name, sizeof(name), "task/%.20s/children", tid);
	buf_init(&b, FILE_MAX);
	has = read_file(getpid(), name, &b);
	for (size_t at = 0; at < b.len; at += strcspn(b.data + at, " ") + 1) {
		pid_t pid = parse_pid(b.data + at);

		if (pid > 0)
			fn(arg, pid);
	}
	buf_fini(&b);
	return has;
}

static bool
each_listed(km_proc_fn *fn, void *arg)
{
	DIR *d = opendir("/proc/self/task");
	bool has = d != NULL;
	const struct dirent *e;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread, one DIR */
	while (has && (e = readdir(d)) != NULL)
		if (parse_pid(e->d_name) > 0)
			has = each_of_thread(e->d_name, fn, arg);
	if (d != NULL)
		(void)closedir(d);
	return has;
}

/* Where /proc has no lists of children (CONFIG_PROC_CHILDREN): all processes. */
static void
each_of_all(km_proc_fn *fn, void *arg)
{
	DIR *d = opendir("/proc");
	const struct dirent *e;
	pid_t pid, parent, session;

	/* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread, one DIR */
	while (d != NULL && (e = readdir(d)) != NULL) {
		pid = parse_pid(e->d_name);
		if (pid > 0 && km_proc_stat(pid, &parent, &session) && parent == getpid())
			fn(arg, pid);
	}
	if (d != NULL)
		(void)closedir(d);
}

void
km_proc_children(km_proc_fn *fn, void *arg)
{
	if (!each_listed(fn, arg))
		each_of_all(fn, arg);
}
