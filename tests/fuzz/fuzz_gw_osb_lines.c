/* tests/fuzz/fuzz_gw_osb_lines.c - output of any bytes as lines, fed whole and in small pieces.
 *
 * The first byte says how long a line may be and how the rest is cut.
 */
#include <assert.h>
#include <string.h>

#include "gateway/dialects/osb_lines.h"
#include "tests/fuzz/fuzz.h"
#include "wire/base/utf8.h"

struct heard {
	struct buf lines; /* each ended by \n */
	size_t max;
};

static int
on_line(void *arg, struct wire_slice text)
{
	struct heard *h = arg;

	assert(text.len > 0 && text.len <= 3 * h->max);
	assert(utf8_valid(text.ptr, text.len));
	assert(memchr(text.ptr, '\r', text.len) == NULL);
	assert(memchr(text.ptr, '\n', text.len) == NULL ||
	       (text.len == 1 && *(const char *)text.ptr == '\n'));
	(void)buf_append(&h->lines, text.ptr, text.len);
	return buf_append(&h->lines, "\n", 1);
}

static void
feed(struct heard *h, const char *data, size_t len, size_t step)
{
	struct gw_osb_lines l;
	int rc = 0;

	buf_init(&h->lines, SIZE_MAX / 4);
	gw_osb_lines_init(&l, h->max, on_line, h);
	for (size_t i = 0; i < len && rc == 0; i += step)
		rc = gw_osb_lines_put(&l, data + i, step < len - i ? step : len - i);
	if (rc == 0)
		rc = gw_osb_lines_end(&l);
	assert(rc == 0);
	gw_osb_lines_fini(&l);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t way = size > 0 ? data[0] : 0;
	const char *text = size > 0 ? (const char *)data + 1 : "";
	size_t len = size > 0 ? size - 1 : 0;
	struct heard whole = {.max = 4 + way % 13};
	struct heard pieces = {.max = whole.max};

	assert(gw_osb_lines_whole(text, len) + 3 >= len);
	feed(&whole, text, len, len + 1);
	feed(&pieces, text, len, 1 + way % 7);
	assert(whole.lines.len == pieces.lines.len);
	assert(memcmp(whole.lines.data, pieces.lines.data, whole.lines.len) == 0);
	buf_fini(&whole.lines);
	buf_fini(&pieces.lines);
	return 0;
}
