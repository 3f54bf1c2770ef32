/* gateway/crew.c - see gateway/crew.h. */
#include "gateway/crew.h"

#include <stdio.h>
#include <unistd.h>

#include "gateway/core.h"
#include "gateway/files.h"
#include "gateway/rundir.h"
#include "gateway/sandbox.h"
#include "gateway/sweep.h"
#include "kernelmgr/reaper.h"
#include "wire/base/err.h"
#include "wire/base/log.h"
#include "wire/base/mem.h"
#include "wire/msg.h"

#define PATH_ROOM 4096

/* What stays until the last process of a sandbox is reaped. */
struct leftover {
	struct gw_home *folder; /* held: they may write there */
	char *logs;
	char *mark; /* file in the run folder: a later gateway kills what has this id */
};

static char *
path_new(const char *dir, const char *name, const char *suffix)
{
	char path[PATH_ROOM];

	(void)snprintf(path, sizeof(path), "%.3900s/%.100s%s", dir, name, suffix);
	return mem_strdup(path);
}

static char *
mark_path(const struct gw_sandbox *sb, const char *crew_id)
{
	return path_new(gw_rundir_path(sb->core->rundir), crew_id, GW_SWEEP_CREW);
}

static void
on_crew_gone(void *arg)
{
	struct leftover *left = arg;

	if (access(left->logs, F_OK) == 0)
		gw_files_remove_tree(left->logs);
	(void)unlink(left->mark);
	gw_home_release(left->folder);
	mem_free(left->logs);
	mem_free(left->mark);
	mem_free(left);
}

struct km_crew *
gw_crew_of(struct gw_sandbox *sb)
{
	char id[WIRE_UUID_LEN + 1], *mark;
	struct err err;

	if (sb->crew != NULL)
		return sb->crew;
	wire_uuid(id);
	mark = mark_path(sb, id);
	if (gw_files_touch(mark, &err) != 0)
		log_warn(&sb->id, "its commands would outlive a gateway that is killed: %s",
		         err.text);
	mem_free(mark);
	sb->crew = km_crew_new(sb->core->reaper, id);
	return sb->crew;
}

char *
gw_crew_logs(struct gw_sandbox *sb)
{
	return path_new(sb->folder->dir, GW_CREW_LOGS "/", km_crew_id(gw_crew_of(sb)));
}

void
gw_crew_end(struct gw_sandbox *sb)
{
	struct leftover *left;

	if (sb->crew == NULL)
		return;
	left = mem_new(sizeof(*left));
	left->folder = gw_home_hold(sb->folder);
	left->logs = gw_crew_logs(sb);
	left->mark = mark_path(sb, km_crew_id(sb->crew));
	km_crew_free(sb->crew, on_crew_gone, left);
	sb->crew = NULL;
}
