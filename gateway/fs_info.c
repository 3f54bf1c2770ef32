/* gateway/fs_info.c - see gateway/fs_info.h; and gw_fs_info() and gw_fs_check_owner() of
 * gateway/fs.h. */
#include "gateway/fs_info.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gateway/fs.h"
#include "gateway/fs_look.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define ACCOUNT_ROOM 4096 /* of one line of the system's tables */

/* --- owners ------------------------------------------------------------------------------- */

void
gw_fs_info_names(uid_t uid, gid_t gid, struct gw_fs_names *ret)
{
	char room[ACCOUNT_ROOM];
	struct passwd pw;
	struct passwd *user = NULL;
	struct group gr;
	struct group *group = NULL;

	if (ret->known && ret->uid == uid && ret->gid == gid)
		return;
	*ret = (struct gw_fs_names){.known = true, .uid = uid, .gid = gid};
	if (getpwuid_r(uid, &pw, room, sizeof(room), &user) == 0 && user != NULL)
		(void)snprintf(ret->owner, sizeof(ret->owner), "%s", pw.pw_name);
	else
		(void)snprintf(ret->owner, sizeof(ret->owner), "%lu", (unsigned long)uid);
	if (getgrgid_r(gid, &gr, room, sizeof(room), &group) == 0 && group != NULL)
		(void)snprintf(ret->group, sizeof(ret->group), "%s", gr.gr_name);
	else
		(void)snprintf(ret->group, sizeof(ret->group), "%lu", (unsigned long)gid);
}

/* Whether text is the name that an account has, or its number. */
static bool
is_account(const char *text, const char *name, unsigned long number)
{
	char digits[24];

	(void)snprintf(digits, sizeof(digits), "%lu", number);
	return strcmp(text, name) == 0 || strcmp(text, digits) == 0;
}

int
gw_fs_check_owner(const char *owner, const char *group, struct err *err)
{
	struct gw_fs_names us = {.known = false};

	gw_fs_info_names(geteuid(), getegid(), &us);
	if (owner != NULL && owner[0] != '\0' && !is_account(owner, us.owner, us.uid))
		return err_set(err, -EINVAL,
		               "owner '%.40s': files belong to '%s' (%lu), as whom all "
		               "sandboxes run",
		               owner, us.owner, (unsigned long)us.uid);
	if (group != NULL && group[0] != '\0' && !is_account(group, us.group, us.gid))
		return err_set(err, -EINVAL,
		               "group '%.40s': files belong to '%s' (%lu), as whom all "
		               "sandboxes run",
		               group, us.group, (unsigned long)us.gid);
	return 0;
}

/* --- one file ----------------------------------------------------------------------------- */

json_t *
gw_fs_info_text(const char *text)
{
	size_t len = strlen(text);
	struct buf b;
	json_t *s;

	if (utf8_valid(text, len))
		return json_stringn(text, len);
	buf_init(&b, 3 * len);
	(void)utf8_repair(&b, text, len); /* a byte becomes at most three */
	s = json_stringn(b.len > 0 ? b.data : "", b.len);
	buf_fini(&b);
	return s;
}

static json_t *
time_text(const struct statx_timestamp *ts)
{
	time_t sec = (time_t)ts->tv_sec;
	struct tm tm = {0};
	char day[40] = "";

	(void)gmtime_r(&sec, &tm);
	(void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	return json_sprintf("%s.%06uZ", day, (unsigned)ts->tv_nsec / 1000);
}

static const char *
type_word(mode_t mode)
{
	if (S_ISREG(mode))
		return "file";
	if (S_ISDIR(mode))
		return "directory";
	return S_ISLNK(mode) ? "symlink" : "other";
}

/* 0644 as 644. */
static int
octal_as_decimal(mode_t mode)
{
	return (int)((mode >> 6 & 7) * 100 + (mode >> 3 & 7) * 10 + (mode & 7));
}

int
gw_fs_info_new(int dir, const char *name, const char *path, struct gw_fs_names *names,
               json_t **ret)
{
	const struct statx_timestamp *born;
	struct statx st;
	mode_t mode;

	if (statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH,
	          STATX_BASIC_STATS | STATX_BTIME, &st) != 0)
		return -errno;
	mode = st.stx_mode;
	/* not every file system knows when a file was made */
	born = (st.stx_mask & STATX_BTIME) != 0 ? &st.stx_btime : &st.stx_ctime;
	gw_fs_info_names(st.stx_uid, st.stx_gid, names);
	*ret = json_pack("{s:o, s:s, s:I, s:o, s:o, s:o, s:o, s:i}", "path",
	                 gw_fs_info_text(path), "type", type_word(mode), "size",
	                 S_ISDIR(mode) ? (json_int_t)0 : (json_int_t)st.stx_size, "modified_at",
	                 time_text(&st.stx_mtime), "created_at", time_text(born), "owner",
	                 gw_fs_info_text(names->owner), "group", gw_fs_info_text(names->group),
	                 "mode", octal_as_decimal(mode));
	return 0;
}

/* here as an absolute path; owned by the caller. */
static char *
absolute(const struct gw_fs *fs, const char *here)
{
	size_t room = strlen(gw_fs_home(fs)) + strlen(here) + 2;
	char *path = mem_new(room);
	bool home = strcmp(here, ".") == 0;

	(void)snprintf(path, room, "%s%s%s", gw_fs_home(fs), home ? "" : "/", home ? "" : here);
	return path;
}

int
gw_fs_info(const struct gw_fs *fs, const char *path, json_t **ret, struct err *err)
{
	struct gw_fs_names names = {.known = false};
	struct gw_fs_spot s = {.fd = -1, .name = ""};
	char *here = NULL;
	char *whole;
	int rc = gw_fs_here(fs, path, &here, err);

	if (rc != 0)
		return rc;
	if (strcmp(here, ".") == 0)
		rc = gw_fs_look_home(fs, &s.fd, err);
	else
		rc = gw_fs_look_spot(fs, path, false, &s, err);
	if (rc == 0) {
		whole = absolute(fs, here);
		rc = gw_fs_info_new(s.fd, s.name, whole, &names, ret);
		if (rc != 0)
			rc = gw_fs_look_errno(-rc, path, err);
		mem_free(whole);
		gw_fs_look_spot_fini(&s);
	}
	mem_free(here);
	return rc;
}
