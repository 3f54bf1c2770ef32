/* gateway/dialects/osb_form.h - what POST /files/upload brings: files, each after its metadata.
 *
 * A form has a part `metadata` (osb_files.h) and a part `file` for each file.  The nth file belongs
 * to the nth metadata, which comes before it; other parts are skipped.  A file is in its place when
 * its part has ended, and stays there whatever follows.  (execd-api: /files/upload)
 *
 * new is for the loop; the others may block, and are for loop_work(), one call at a time.
 */
#ifndef GW_DIALECT_OSB_FORM_H
#define GW_DIALECT_OSB_FORM_H

#include <stddef.h>
#include <stdint.h>

#include "wire/base/err.h"

struct gw_fs;
struct gw_osb_form;

#define GW_OSB_BAD_FILE     "INVALID_FILE"
#define GW_OSB_BAD_METADATA "INVALID_FILE_METADATA"
#define GW_OSB_BAD_CONTENT  "INVALID_FILE_CONTENT"

/* How an upload is refused. */
struct gw_osb_form_no {
	int status;
	const char *code;
	struct err why;
};

/* fs is borrowed until it is freed.  Returns 0 with *ret owned by the caller, or -1 with *no. */
int gw_osb_form_new(const char *content_type, const struct gw_fs *fs, uint64_t max_file,
                    struct gw_osb_form **ret, struct gw_osb_form_no *no);
/* Drops a file that is not whole.  NULL is fine. */
void gw_osb_form_free(struct gw_osb_form *f);

/* The next bytes of the body, and its end.  Returns 0, or -1 with *no; then only free follows, and
 * nothing is left of a file that was not whole. */
int gw_osb_form_take(struct gw_osb_form *f, const char *data, size_t len,
                     struct gw_osb_form_no *no);
int gw_osb_form_end(struct gw_osb_form *f, struct gw_osb_form_no *no);

#endif /* GW_DIALECT_OSB_FORM_H */
