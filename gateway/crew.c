/* gateway/crew.c - see gateway/crew.h. */
#include "gateway/crew.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "gateway/core.h"
#include "gateway/files.h"
#include "gateway/rundir.h"
#include "gateway/sandbox.h"
#include "kernelmgr/reaper.h"
#include "wire/base/mem.h"
#include "wire/msg.h"

#define PATH_ROOM 4096

/* What stays until the last process of a sandbox is reaped. */
struct leftover {
	struct gw_home *folder; /* held: they may write there */
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
	return path_new(gw_rundir_path(sb->core->rundir), crew_id, ".json");
}

static void
on_crew_gone(void *arg)
{
	struct leftover *left = arg;

	(void)unlink(left->mark);
	gw_home_release(left->folder);
	mem_free(left->mark);
	mem_free(left);
}

/* What a gateway that was killed left there goes. */
static void
clear_logs(const struct gw_sandbox *sb)
{
	char *dir = path_new(sb->folder->dir, GW_CREW_LOGS, "");
	char *old, id[WIRE_UUID_LEN + 1];

	wire_uuid(id);
	old = path_new(sb->folder->dir, id, ".old");
	if (rename(dir, old) == 0)
		gw_files_remove_tree(old);
	mem_free(dir);
	mem_free(old);
}

struct km_crew *
gw_crew_of(struct gw_sandbox *sb)
{
	char id[WIRE_UUID_LEN + 1], *mark;
	int fd;

	if (sb->crew != NULL)
		return sb->crew;
	clear_logs(sb);
	wire_uuid(id);
	mark = mark_path(sb, id);
	fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)close(fd);
	mem_free(mark);
	sb->crew = km_crew_new(sb->core->reaper, id);
	return sb->crew;
}

void
gw_crew_end(struct gw_sandbox *sb)
{
	struct leftover *left;

	if (sb->crew == NULL)
		return;
	left = mem_new(sizeof(*left));
	left->folder = gw_home_hold(sb->folder);
	left->mark = mark_path(sb, km_crew_id(sb->crew));
	km_crew_free(sb->crew, on_crew_gone, left);
	sb->crew = NULL;
}
