/* gateway/files.c - see gateway/files.h. */
#include "gateway/files.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/mem.h"

int
gw_files_mkdirs(const char *path, struct err *err)
{
	char *copy = mem_strdup(path);
	char *p = copy;
	struct stat st;
	int rc = 0;

	do {
		p = strchr(p + 1, '/');
		if (p != NULL)
			*p = '\0';
		if (mkdir(copy, 0700) != 0 && errno != EEXIST)
			rc = err_set(err, -EIO, "cannot make folder %s: %s", copy,
			             strerrordesc_np(errno));
		if (p != NULL)
			*p = '/';
	} while (p != NULL && rc == 0);
	mem_free(copy);
	if (rc == 0 && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
		rc = err_set(err, -EIO, "%s is not a folder", path);
	return rc;
}

int
gw_files_touch(const char *path, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set(err, -EIO, "cannot make %s: %s", path, strerrordesc_np(errno));
	(void)close(fd);
	return 0;
}

void
gw_files_remove_tree(const char *path)
{
	char rm[] = "rm";
	char flags[] = "-rf";
	char end[] = "--";
	char *copy = mem_strdup(path);
	char *argv[] = {rm, flags, end, copy, NULL};
	pid_t pid;
	int rc = posix_spawnp(&pid, rm, NULL, NULL, argv, environ);

	if (rc != 0)
		log_warn(NULL, "cannot remove %s: %s", path, strerrordesc_np(rc));
	mem_free(copy);
}

int
gw_files_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *data;
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return err_set(err, errno == ENOENT ? -ENOENT : -EIO, "cannot open %s: %s",
		               path, strerrordesc_np(errno));
	data = mem_new(max + 2);
	while ((n = read(fd, data + len, max + 1 - len)) > 0)
		len += (size_t)n;
	(void)close(fd);
	if (n == 0 && len <= max) {
		data[len] = '\0';
		*ret = data;
		*ret_len = len;
		return 0;
	}
	mem_free(data);
	if (n < 0)
		return err_set(err, -EIO, "cannot read %s: %s", path, strerrordesc_np(errno));
	return err_set(err, -EMSGSIZE, "%s is larger than %zu bytes", path, max);
}

int
gw_files_check_dir(const char *path, struct err *err)
{
	struct stat st;

	if (path[0] != '/')
		return err_set(err, -EINVAL, "cwd '%s' is not an absolute path", path);
	if (stat(path, &st) != 0)
		return errno == ENOENT
		           ? err_set(err, -EINVAL, "cwd '%s' does not exist", path)
		           : err_set(err, -EINVAL, "cwd '%s' cannot be looked at: %s", path,
		                     strerrordesc_np(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, -EINVAL, "cwd '%s' is not a directory", path);
	if (access(path, X_OK) != 0)
		return err_set(err, -EINVAL, "cwd '%s' cannot be entered: %s", path,
		               strerrordesc_np(errno));
	return 0;
}
