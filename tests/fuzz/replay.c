/* tests/fuzz/replay.c - run a fuzzer over its corpus, without libFuzzer.
 *
 * fuzz_NAME DIR: the empty input, then each file of DIR.  Fails if there is none.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "wire/base/mem.h"

/* Returns 0, or -1 when the file cannot be read whole. */
static int
replay(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC), rc = -1;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		size_t size = (size_t)st.st_size;
		uint8_t *data = mem_new(size + 1);

		if (read(fd, data, size) == st.st_size) {
			(void)LLVMFuzzerTestOneInput(data, size);
			rc = 0;
		}
		mem_free(data);
	}
	if (fd >= 0)
		(void)close(fd);
	return rc;
}

int
main(int argc, char **argv)
{
	DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
	int n = 0, failed = 0;

	if (dir == NULL) {
		(void)fprintf(stderr, "usage: %s CORPUS_DIR\n", argv[0]);
		return 2;
	}
	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	/* One thread; readdir_r is deprecated. NOLINTNEXTLINE(concurrency-mt-unsafe) */
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		if (replay(dirfd(dir), e->d_name) != 0) {
			(void)fprintf(stderr, "%s: cannot be read\n", e->d_name);
			failed++;
		}
	}
	(void)closedir(dir);
	printf("%d inputs\n", n);
	return n > 0 && failed == 0 ? 0 : 1;
}
