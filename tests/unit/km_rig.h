/* tests/unit/km_rig.h - a loop with a reaper, a launcher and at most one kernel, for tests. */
#ifndef TESTS_KM_RIG_H
#define TESTS_KM_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernelmgr/kernel.h"
#include "kernelmgr/spec.h"
#include "tests/unit/km_run.h"

#define RIG_START_MS 60000
#define RIG_GRACE_MS 10000

struct err;
struct km_launcher;
struct km_reaper;
struct wire_req;

struct rig {
	struct loop *lp;
	struct km_reaper *reaper;
	struct km_launcher *launcher; /* local, or zygote over it: KM_TEST_LAUNCHER says it */
	struct km_launcher *local;
	bool forks;             /* python is forked */
	struct km_spec *python; /* NULL: not installed */
	char *run_dir;
	uint64_t grace_ms; /* of the next start */

	struct km_kernel *k;
	unsigned ready_n, died_n;
	bool started;
	bool free_in_ready, free_in_died;
	char why[600];
	char strays
	    [4096]; /* what came of no live request: "type text\n" each, statuses left out */

	struct wire_req *req;
	unsigned done_n, looks_n;
	int done_status;
	bool allow_stdin;
	char text[4096];  /* start of the execution's stdout and stderr */
	size_t out_bytes; /* all of it */
	char order[256];  /* "stream reply idle ": what came, statuses by state, repeats once */
	char reply_status[16], ename[64];
};

/* For cmocka; teardown sees that nothing of a kernel is left. */
int rig_setup(void **state);
int rig_teardown(void **state);

/* Free the kernel, and see that no process, file or gauge is left. */
void rig_free_kernel(struct rig *r);
void rig_assert_clean(struct rig *r);

/* A kernelspec whose argv is sh -c script. */
struct km_spec *rig_shell_spec(const char *script, bool tcp);

int rig_start_with(struct rig *r, const struct km_spec *spec, uint64_t start_ms,
                   struct err *err);
/* Starts, or the test fails. */
void rig_must_start(struct rig *r, const struct km_spec *spec);
/* Is ready in the end, or the test fails. */
void rig_must_be_ready(struct rig *r, const struct km_spec *spec);

/* Run code in the kernel; the fields above tell what came of it. */
void rig_execute(struct rig *r, const char *code);

/* Conditions for run_until(). */
bool rig_once(void *turns);   /* pointer to an unsigned 0: at the second look */
bool rig_is_clear(void *rig); /* no process but a zygote */
bool rig_is_ready(void *rig); /* or dead */
bool rig_is_dead(void *rig);
bool rig_is_done(void *rig);
bool rig_has_text(void *rig);

#endif /* TESTS_KM_RIG_H */
