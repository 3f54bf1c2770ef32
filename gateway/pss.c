/* gateway/pss.c - see gateway/pss.h. */
#include "gateway/pss.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/loop.h"
#include "wire/base/mem.h"

struct gw_pss {
	char path[64];
	gw_pss_fn *fn; /* NULL: cancelled */
	void *arg;
	size_t bytes;
};

/* Source: Linux, Documentation/filesystems/proc.rst: a line "Pss:   1234 kB". */
static void
work(void *arg)
{
	struct gw_pss *r = arg;
	FILE *f = fopen(r->path, "re");
	char line[256];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "Pss:", 4) == 0)
			r->bytes = (size_t)strtoull(line + 4, NULL, 10) * 1024;
	if (f != NULL)
		(void)fclose(f);
}

static void
done(void *arg)
{
	struct gw_pss *r = arg;
	gw_pss_fn *fn = r->fn;
	void *fn_arg = r->arg;
	size_t bytes = r->bytes;

	mem_free(r);
	if (fn != NULL)
		fn(fn_arg, bytes);
}

struct gw_pss *
gw_pss_read(struct loop *lp, pid_t pid, gw_pss_fn *fn, void *arg)
{
	struct gw_pss *r = mem_new(sizeof(*r));

	(void)snprintf(r->path, sizeof(r->path), "/proc/%d/smaps_rollup", (int)pid);
	r->fn = fn;
	r->arg = arg;
	loop_work(lp, work, done, r);
	return r;
}

void
gw_pss_cancel(struct gw_pss *r)
{
	if (r != NULL)
		r->fn = NULL;
}
