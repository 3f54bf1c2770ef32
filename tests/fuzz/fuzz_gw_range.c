/* tests/fuzz/fuzz_gw_range.c - a client's Range header, and lines of any text.
 *
 * Input: eight bytes (the size of the file); a value up to NUL; a byte for the lines to skip, one
 * for how many, one for the size of the pieces; the text.  Lines that come in pieces are those of
 * the whole, found the slow way.
 */
#include <assert.h>
#include <string.h>

#include "gateway/range.h"
#include "tests/fuzz/fuzz.h"

static void
check_range(const char *value, uint64_t size)
{
	uint64_t first = 7, len = 0;
	enum gw_range got = gw_range_parse(value, size, &first, &len);

	if (got == GW_RANGE_PART)
		assert(len > 0 && first < size && len <= size - first);
	else
		assert(first == 7 && len == 0);
}

/* The first byte behind n lines. */
static size_t
slow_skip(const char *text, size_t len, size_t at, unsigned n)
{
	for (; n > 0 && at < len; at++)
		n -= text[at] == '\n';
	return at;
}

static void
check_lines(const char *text, size_t len, unsigned skip, unsigned left, size_t step)
{
	struct gw_range_lines l = {skip, left};
	size_t from = slow_skip(text, len, 0, skip);
	size_t to = slow_skip(text, len, from, left);
	size_t at = from;
	bool more = true;

	for (size_t i = 0; i < len && more; i += step) {
		const char *data;
		size_t data_len;

		more = gw_range_lines_step(&l, text + i, len - i < step ? len - i : step, &data,
		                           &data_len);
		assert(data_len == 0 || data == text + at);
		at += data_len;
	}
	assert(at == to);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *value = (const char *)data + 8;
	uint64_t file;

	if (size < 8 || memchr(value, '\0', size - 8) == NULL)
		return 0;
	memcpy(&file, data, sizeof(file));
	check_range(value, file);
	data += 8 + strlen(value) + 1;
	size -= 8 + strlen(value) + 1;
	if (size >= 3 && data[2] > 0)
		check_lines((const char *)data + 3, size - 3, data[0], data[1], data[2]);
	return 0;
}
