/* gateway/fs_info.h - CORE: one file described, as gw_fs_info() does; for gateway/fs*.c. */
#ifndef GW_FS_INFO_H
#define GW_FS_INFO_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/* The names of owners that were looked up last: most files of a sandbox have the same. */
struct gw_fs_names {
	bool known;
	uid_t uid;
	gid_t gid;
	char owner[64];
	char group[64];
};

/* Write the names of uid and gid, or the numbers where they have none. */
void gw_fs_info_names(uid_t uid, gid_t gid, struct gw_fs_names *ret);

/* Describe name in the folder dir (or dir itself: ""), a link itself, as path.  names starts
 * zeroed.  Returns 0 with *ret owned by the caller, or -errno. */
int gw_fs_info_new(int dir, const char *name, const char *path, struct gw_fs_names *names,
                   json_t **ret);

/* A JSON string of text, repaired where it is no UTF-8. */
json_t *gw_fs_info_text(const char *text);

#endif /* GW_FS_INFO_H */
