/* gateway/dialects/osb_form.c - see gateway/dialects/osb_form.h. */
#include "gateway/dialects/osb_form.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>

#include "gateway/dialects/osb.h"
#include "gateway/dialects/osb_files.h"
#include "gateway/fs.h"
#include "gateway/fsput.h"
#include "gateway/multipart.h"
#include "gateway/status.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"

#define METADATA_MAX 65536
#define AHEAD_MAX    128 /* metadata that came, whose files did not yet */

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
	if (rc == -EACCES)
		return refuse(no, 403, GW_OSB_FORBIDDEN);
	if (rc == -EINVAL)
		return refuse(no, 400, GW_OSB_BAD_METADATA);
	if (rc == -EMSGSIZE)
		return refuse(no, 413, GW_OSB_BAD_CONTENT);
	return refuse(no, gw_status_http(rc), GW_OSB_RUNTIME);
}

/* --- metadata ----------------------------------------------------------------------------- */

/* What the metadata of one file says of it. */
static int
read_metadata(const char *text, size_t len, struct target *ret, struct err *err)
{
	const char *owner, *group;
	json_t *o = NULL;
	int rc = gw_osb_files_metadata(text, len, &o, err);

	if (rc != 0)
		return rc;
	owner = json_string_value(json_object_get(o, "owner"));
	group = json_string_value(json_object_get(o, "group"));
	if (owner != NULL || group != NULL)
		rc = gw_fs_check_owner(owner, group, err);
	if (rc == 0)
		*ret =
		    (struct target){mem_strdup(json_string_value(json_object_get(o, "path"))),
		                    gw_osb_files_mode(o)};
	json_decref(o);
	return rc;
}

static int
end_metadata(struct gw_osb_form *f, struct gw_osb_form_no *no)
{
	struct target *t = &f->ahead[f->metadata_n % AHEAD_MAX];
	const char *text = f->metadata.data != NULL ? f->metadata.data : "";
	int rc = read_metadata(text, f->metadata.len, t, &no->why);

	f->in_metadata = false;
	buf_consume(&f->metadata, f->metadata.len);
	if (rc != 0)
		return refuse(no, 400, GW_OSB_BAD_METADATA);
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
