/* gateway/dialects/osb_form.c - see gateway/dialects/osb_form.h. */
#include "gateway/dialects/osb_form.h"

#include <errno.h>
#include <grp.h>
#include <jansson.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "gateway/dialects/osb.h"
#include "gateway/fsput.h"
#include "gateway/multipart.h"
#include "gateway/status.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"

#define METADATA_MAX 65536
#define AHEAD_MAX    128 /* metadata that came, whose files did not yet */
#define ACCOUNT_MAX  4096

/* Where a file goes. */
struct target {
	char *path;
	mode_t mode;
};

struct gw_osb_form {
	const struct gw_fs *fs; /* borrowed */
	uint64_t max_file;
	struct gw_multipart *parser;
	struct buf metadata; /* its text, while in_metadata */
	bool in_metadata;
	struct gw_fsput *put;           /* the file that is being written, or NULL */
	struct target ahead[AHEAD_MAX]; /* a ring: from files_n to metadata_n */
	size_t metadata_n, files_n;
};

static int
refuse(struct gw_osb_form_no *no, int status, const char *code)
{
	no->status = status;
	no->code = code;
	return -1;
}

/* What gateway/fsput.h said of a path or a file. */
static int
refuse_file(struct gw_osb_form_no *no, int rc)
{
	if (rc == -EINVAL || rc == -EACCES)
		return refuse(no, gw_status_http(rc), GW_OSB_BAD_METADATA);
	if (rc == -EMSGSIZE)
		return refuse(no, 413, GW_OSB_BAD_CONTENT);
	return refuse(no, gw_status_http(rc), GW_OSB_RUNTIME);
}

/* --- metadata ----------------------------------------------------------------------------- */

static bool
is_number(const char *text, unsigned id)
{
	char own[16];

	(void)snprintf(own, sizeof(own), "%u", id);
	return strcmp(text, own) == 0;
}

static bool
is_our_user(const char *name)
{
	char room[ACCOUNT_MAX];
	struct passwd pw, *got = NULL;

	if (is_number(name, (unsigned)geteuid()))
		return true;
	return getpwuid_r(geteuid(), &pw, room, sizeof(room), &got) == 0 && got != NULL &&
	       strcmp(got->pw_name, name) == 0;
}

static bool
is_our_group(const char *name)
{
	char room[ACCOUNT_MAX];
	struct group gr, *got = NULL;

	if (is_number(name, (unsigned)getegid()))
		return true;
	return getgrgid_r(getegid(), &gr, room, sizeof(room), &got) == 0 && got != NULL &&
	       strcmp(got->gr_name, name) == 0;
}

static int
check_account(const json_t *o, const char *key, bool (*is_ours)(const char *), struct err *err)
{
	const json_t *v = json_object_get(o, key);
	const char *name = json_string_value(v);

	if (v == NULL || json_is_null(v) || (name != NULL && name[0] == '\0'))
		return 0;
	if (name == NULL)
		return err_set(err, -EINVAL, "%s is not a string", key);
	if (is_ours(name))
		return 0;
	return err_set(err, -EINVAL,
	               "%s %.64s: files belong to whom the gateway runs as, %u:%u", key, name,
	               (unsigned)geteuid(), (unsigned)getegid());
}

/* The mode whose octal digits are v's decimal ones. */
static int
read_mode(const json_t *v, mode_t *ret, struct err *err)
{
	json_int_t n = json_integer_value(v);

	*ret = GW_FSPUT_KEEP;
	if (v == NULL || json_is_null(v) || (json_is_integer(v) && n == 0))
		return 0;
	if (!json_is_integer(v) || n < 0 || n > 777 || n % 10 > 7 || n / 10 % 10 > 7)
		return err_set(err, -EINVAL, "mode is not 0 to 777, as octal digits");
	*ret = (mode_t)(n % 10 + n / 10 % 10 * 8 + n / 100 * 64);
	return 0;
}

static int
read_metadata(const json_t *o, struct target *ret, struct err *err)
{
	const char *path = json_string_value(json_object_get(o, "path"));
	mode_t mode;
	int rc;

	if (!json_is_object(o))
		return err_set(err, -EINVAL, "it is not an object");
	if (path == NULL || path[0] == '\0')
		return err_set(err, -EINVAL, "metadata path is empty");
	if (strlen(path) >= PATH_MAX)
		return err_set(err, -EINVAL, "path has more than %d bytes", PATH_MAX - 1);
	rc = read_mode(json_object_get(o, "mode"), &mode, err);
	if (rc == 0)
		rc = check_account(o, "owner", is_our_user, err);
	if (rc == 0)
		rc = check_account(o, "group", is_our_group, err);
	if (rc == 0)
		*ret = (struct target){mem_strdup(path), mode};
	return rc;
}

static int
end_metadata(struct gw_osb_form *f, struct gw_osb_form_no *no)
{
	struct target *t = &f->ahead[f->metadata_n % AHEAD_MAX];
	json_error_t why = {.text = ""};
	json_t *o = json_loadb(f->metadata.data != NULL ? f->metadata.data : "",
	                       f->metadata.len, 0, &why);
	struct err err = {.text = ""};
	int rc;

	f->in_metadata = false;
	buf_consume(&f->metadata, f->metadata.len);
	if (o == NULL)
		rc = err_set(&err, -EINVAL, "%.120s", why.text);
	else
		rc = read_metadata(o, t, &err);
	json_decref(o);
	if (rc != 0) {
		(void)err_set(&no->why, rc, "invalid metadata: %.180s", err.text);
		return refuse(no, 400, GW_OSB_BAD_METADATA);
	}
	f->metadata_n++;
	return 0;
}

/* --- parts -------------------------------------------------------------------------------- */

static int
begin_part(struct gw_osb_form *f, const char *name, struct gw_osb_form_no *no)
{
	struct target *t = &f->ahead[f->files_n % AHEAD_MAX];
	int rc;

	if (strcmp(name, "metadata") == 0) {
		f->in_metadata = true;
		if (f->metadata_n - f->files_n < AHEAD_MAX)
			return 0;
		(void)err_set(&no->why, 0, "more than %d metadata parts wait for their files",
		              AHEAD_MAX);
		return refuse(no, 400, GW_OSB_BAD_METADATA);
	}
	if (strcmp(name, "file") != 0)
		return 0;
	if (f->files_n == f->metadata_n) {
		(void)err_set(&no->why, 0, "file %zu has no metadata part before it",
		              f->files_n + 1);
		return refuse(no, 400, GW_OSB_BAD_METADATA);
	}
	f->files_n++;
	rc = gw_fsput_new(f->fs, t->path, t->mode, f->max_file, &f->put, &no->why);
	mem_free(t->path);
	t->path = NULL;
	return rc == 0 ? 0 : refuse_file(no, rc);
}

static int
on_data(struct gw_osb_form *f, const char *data, size_t len, struct gw_osb_form_no *no)
{
	int rc = 0;

	if (f->put != NULL) {
		rc = gw_fsput_write(f->put, data, len, &no->why);
		return rc == 0 ? 0 : refuse_file(no, rc);
	}
	if (f->in_metadata && buf_append(&f->metadata, data, len) < 0) {
		(void)err_set(&no->why, 0, "metadata has more than %d bytes", METADATA_MAX);
		return refuse(no, 413, GW_OSB_BAD_METADATA);
	}
	return 0;
}

static int
end_part(struct gw_osb_form *f, struct gw_osb_form_no *no)
{
	int rc;

	if (f->in_metadata)
		return end_metadata(f, no);
	if (f->put == NULL)
		return 0;
	rc = gw_fsput_place(&f->put, &no->why);
	return rc == 0 ? 0 : refuse_file(no, rc);
}

static int
on_event(struct gw_osb_form *f, const struct gw_multipart_event *ev, struct gw_osb_form_no *no)
{
	switch (ev->what) {
	case GW_MULTIPART_BEGIN:
		return begin_part(f, ev->name, no);
	case GW_MULTIPART_DATA:
		return on_data(f, ev->data, ev->len, no);
	case GW_MULTIPART_END:
		return end_part(f, no);
	case GW_MULTIPART_NEED:
		break;
	}
	return 0;
}

/* Whatever was refused, the file that was being written is not to be. */
static int
give_up(struct gw_osb_form *f)
{
	gw_fsput_drop(f->put);
	f->put = NULL;
	return -1;
}

int
gw_osb_form_take(struct gw_osb_form *f, const char *data, size_t len, struct gw_osb_form_no *no)
{
	struct gw_multipart_event ev;

	do {
		size_t used = 0;
		int rc = gw_multipart_step(f->parser, data, len, &used, &ev, &no->why);

		if (rc < 0)
			(void)refuse(no, gw_status_http(rc), GW_OSB_BAD_FILE);
		else
			rc = on_event(f, &ev, no);
		if (rc < 0)
			return give_up(f);
		data += used;
		len -= used;
	} while (ev.what != GW_MULTIPART_NEED);
	return 0;
}

int
gw_osb_form_end(struct gw_osb_form *f, struct gw_osb_form_no *no)
{
	if (!gw_multipart_is_done(f->parser)) {
		(void)err_set(&no->why, 0, "multipart: the body ends before its last boundary");
		(void)refuse(no, 400, GW_OSB_BAD_FILE);
		return give_up(f);
	}
	if (f->metadata_n > 0 && f->metadata_n == f->files_n)
		return 0;
	if (f->metadata_n == 0)
		(void)err_set(&no->why, 0, "metadata file is missing");
	else if (f->files_n == 0)
		(void)err_set(&no->why, 0, "file is missing");
	else
		(void)err_set(&no->why, 0, "metadata and file count mismatch: %zu vs %zu",
		              f->metadata_n, f->files_n);
	return refuse(no, 400,
	              f->metadata_n == 0 ? GW_OSB_BAD_METADATA
	              : f->files_n == 0  ? GW_OSB_BAD_CONTENT
	                                 : GW_OSB_BAD_FILE);
}

/* --- life --------------------------------------------------------------------------------- */

int
gw_osb_form_new(const char *content_type, const struct gw_fs *fs, uint64_t max_file,
                struct gw_osb_form **ret, struct gw_osb_form_no *no)
{
	struct gw_multipart *parser;
	struct gw_osb_form *f;

	if (gw_multipart_new(content_type, &parser, &no->why) != 0)
		return refuse(no, 400, GW_OSB_BAD_FILE);
	f = mem_new(sizeof(*f));
	f->fs = fs;
	f->max_file = max_file;
	f->parser = parser;
	buf_init(&f->metadata, METADATA_MAX);
	*ret = f;
	return 0;
}

void
gw_osb_form_free(struct gw_osb_form *f)
{
	if (f == NULL)
		return;
	gw_fsput_drop(f->put);
	for (size_t i = 0; i < AHEAD_MAX; i++)
		mem_free(f->ahead[i].path);
	gw_multipart_free(f->parser);
	buf_fini(&f->metadata);
	mem_free(f);
}
