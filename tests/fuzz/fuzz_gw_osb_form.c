/* tests/fuzz/fuzz_gw_osb_form.c - an OpenSandbox client's upload, with files on paper.
 *
 * Input: a byte for the size of the pieces; the body, its boundary being b.  In pieces it brings
 * the same files and the same answer as whole, and every file that was begun is placed or dropped,
 * at once when it is refused.  It implements gateway/fsput.h: a path with / at its start is
 * refused, one with ! cannot be placed, ? cannot be written.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "gateway/dialects/osb_form.h"
#include "gateway/fs.h"
#include "gateway/fsput.h"
#include "tests/fuzz/fuzz.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define FILE_MAX 500

/* --- files on paper ----------------------------------------------------------------------- */

struct gw_fsput {
	char *path;
	mode_t mode;
	struct buf data;
};

static unsigned open_n;
static struct buf tape; /* of what was placed: "path mode data\n" */

int
gw_fsput_new(const struct gw_fs *fs, const char *path, mode_t mode, uint64_t max,
             struct gw_fsput **ret, struct err *err)
{
	struct gw_fsput *p;

	assert(fs == NULL && max == FILE_MAX && open_n == 0);
	assert(path[0] != '\0' && utf8_valid(path, strlen(path)));
	assert(mode == GW_FS_MODE_KEEP || (mode > 0 && mode <= 0777));
	if (path[0] == '/')
		return err_set(err, -EACCES, "%.60s: not yours", path);
	p = mem_new(sizeof(*p));
	p->path = mem_strdup(path);
	p->mode = mode;
	buf_init(&p->data, FILE_MAX);
	open_n++;
	*ret = p;
	return 0;
}

int
gw_fsput_write(struct gw_fsput *p, const char *data, size_t len, struct err *err)
{
	assert(len > 0);
	if (p->path[0] == '?')
		return err_set(err, -EIO, "the disk is full");
	if (buf_append(&p->data, data, len) < 0)
		return err_set(err, -EMSGSIZE, "too large");
	return 0;
}

void
gw_fsput_drop(struct gw_fsput *p)
{
	if (p == NULL)
		return;
	open_n--;
	buf_fini(&p->data);
	mem_free(p->path);
	mem_free(p);
}

int
gw_fsput_place(struct gw_fsput **p, struct err *err)
{
	bool fails = (*p)->path[0] == '!';
	int rc = buf_printf(&tape, "%s %o ", (*p)->path, fails ? 0 : (*p)->mode);

	assert(rc == 0);
	rc = buf_append(&tape, (*p)->data.data, (*p)->data.len);
	assert(rc == 0);
	gw_fsput_drop(*p);
	*p = NULL;
	return fails ? err_set(err, -EIO, "cannot be placed") : 0;
}

/* --- an upload ---------------------------------------------------------------------------- */

/* What it brings, and how it is answered, in ret. */
static void
run(const char *body, size_t len, size_t step, struct buf *ret)
{
	struct gw_osb_form_no no = {.why = {""}};
	struct gw_osb_form *f;
	int rc = gw_osb_form_new("multipart/form-data; boundary=b", NULL, FILE_MAX, &f, &no);

	assert(rc == 0);
	buf_init(&tape, SIZE_MAX / 4);
	while (rc == 0 && len > 0) {
		size_t n = len < step ? len : step;

		rc = gw_osb_form_take(f, body, n, &no);
		body += n;
		len -= n;
	}
	if (rc == 0)
		rc = gw_osb_form_end(f, &no);
	assert(open_n == 0);
	gw_osb_form_free(f);
	if (rc != 0) {
		assert(rc == -1 && no.status >= 400 && no.code != NULL);
		assert(no.why.text[0] != '\0');
		assert(utf8_valid(no.why.text, strlen(no.why.text)));
		rc = buf_printf(&tape, "\n%d %s %s", no.status, no.code, no.why.text);
		assert(rc == 0);
	}
	*ret = tape;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, pieces;

	if (size < 2)
		return 0;
	run((const char *)data + 1, size - 1, size, &whole);
	run((const char *)data + 1, size - 1, (size_t)data[0] + 1, &pieces);
	assert(whole.len == pieces.len);
	assert(whole.len == 0 || memcmp(whole.data, pieces.data, whole.len) == 0);
	buf_fini(&whole);
	buf_fini(&pieces);
	return 0;
}
