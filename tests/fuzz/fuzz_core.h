/* tests/fuzz/fuzz_core.h - a gateway core for fuzzers of dialects: kernels on paper, no files.
 *
 * It implements gateway/files.h: once the core is set up, nothing touches the disk.
 */
#ifndef TESTS_FUZZ_CORE_H
#define TESTS_FUZZ_CORE_H

#include <stddef.h>

struct gw_core;

/* The core, with one kernelspec (python3) and the token "token"; made at the first call, torn
 * down at exit. */
struct gw_core *fuzz_core(void);

/* Run the loop until only timers are left to wait for. */
void fuzz_core_settle(void);

/* Let every kernel do what it was asked for, then forget what this input has made. */
void fuzz_core_clean(void);

/* The next line of text, cut from it; owned by the caller.  Percent-decoded names are UTF-8
 * without NUL, or the edge refuses them. */
char *fuzz_core_line(const char **text, size_t *len);

#endif /* TESTS_FUZZ_CORE_H */
