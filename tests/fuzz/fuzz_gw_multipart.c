/* tests/fuzz/fuzz_gw_multipart.c - any bytes as multipart/form-data.
 *
 * Input: a Content-Type up to NUL; a byte for the size of the pieces; the body.  In pieces it is
 * read as it is whole, and what was read is in the body, in order.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "gateway/multipart.h"
#include "tests/fuzz/fuzz.h"
#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/utf8.h"

/* Read body in pieces of step bytes; what came of it, in one text.  Returns the last code. */
static int
read_all(struct gw_multipart *m, const char *body, size_t len, size_t step, struct buf *out)
{
	struct err err = {.text = ""};
	bool in_part = false;
	int rc = 0;

	while (len > 0 && rc == 0) {
		size_t n = len < step ? len : step, used = 0;
		struct gw_multipart_event ev;

		rc = gw_multipart_step(m, body, n, &used, &ev, &err);
		if (rc < 0)
			break;
		assert(used <= n && (ev.what != GW_MULTIPART_NEED || used == n));
		assert(in_part ==
		           (ev.what == GW_MULTIPART_DATA || ev.what == GW_MULTIPART_END) ||
		       ev.what == GW_MULTIPART_NEED);
		body += used;
		len -= used;
		if (ev.what == GW_MULTIPART_BEGIN) {
			assert(ev.name[0] != '\0');
			in_part = true;
			rc = buf_printf(out, "[%s:", ev.name);
		} else if (ev.what == GW_MULTIPART_END) {
			in_part = false;
			rc = buf_append(out, "]", 1);
		} else if (ev.what == GW_MULTIPART_DATA) {
			assert(ev.len > 0);
			rc = buf_append(out, ev.data, ev.len);
		}
		assert(rc == 0);
	}
	assert(rc == 0 || rc == -EBADMSG || rc == -EMSGSIZE);
	assert((rc == 0) == (err.text[0] == '\0') && utf8_valid(err.text, strlen(err.text)));
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *type = (const char *)data, *body;
	const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
	struct gw_multipart *whole, *pieces;
	struct buf a, b;
	size_t step;
	int rc;

	if (nul == NULL || nul + 1 == data + size || gw_multipart_new(type, &whole, NULL) != 0)
		return 0;
	rc = gw_multipart_new(type, &pieces, NULL);
	assert(rc == 0);
	step = (size_t)nul[1] + 1;
	body = (const char *)nul + 2;
	size -= (size_t)(body - type);
	buf_init(&a, SIZE_MAX / 4);
	buf_init(&b, SIZE_MAX / 4);
	rc = read_all(whole, body, size, size > 0 ? size : 1, &a);
	assert(read_all(pieces, body, size, step, &b) == rc);
	/* Data may be out before an error in the same piece was seen. */
	assert(rc < 0 ||
	       (a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0)));
	assert(rc < 0 || gw_multipart_is_done(whole) == gw_multipart_is_done(pieces));
	buf_fini(&a);
	buf_fini(&b);
	gw_multipart_free(whole);
	gw_multipart_free(pieces);
	return 0;
}
