/* gateway/text.c - see gateway/text.h. */
#include "gateway/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

/* Length of the escape sequence at p (ECMA-48: ESC and a byte, or CSI, parameters and a final
 * byte), or 0.  It never ends inside a character: what is no sequence is a lone ESC. */
static size_t
escape_len(const char *p, const char *end)
{
	const char *q = p + 1;

	if (p[0] != '\x1b')
		return 0;
	if (q < end && *q == '[') {
		do
			q++;
		while (q < end && (unsigned char)*q >= 0x20 && (unsigned char)*q < 0x40);
	}
	if (q < end && (unsigned char)*q >= 0x20 && (unsigned char)*q < 0x7f)
		q++;
	return (size_t)(q - p);
}

static char *
put_plain(char *out, const char *p, size_t len)
{
	const char *end = p + len;

	while (p < end) {
		size_t skip = escape_len(p, end);

		if (skip == 0 && *p != '\0')
			*out++ = *p;
		p += skip > 0 ? skip : 1;
	}
	return out;
}

static char *
join(const json_t *lines, bool end_each)
{
	const json_t *line;
	size_t total = 1;
	size_t i;
	char *text;
	char *out;

	json_array_foreach (lines, i, line)
		total += json_string_length(line) + 1;
	text = out = mem_new(total);
	json_array_foreach (lines, i, line) {
		if (!json_is_string(line))
			continue;
		out = put_plain(out, json_string_value(line), json_string_length(line));
		if (end_each && out > text && out[-1] != '\n')
			*out++ = '\n';
	}
	*out = '\0';
	return text;
}

char *
gw_text_traceback(const json_t *lines)
{
	return join(lines, true);
}

char *
gw_text_joined(const json_t *lines)
{
	return join(lines, false);
}

json_t *
gw_text_ends(struct wire_slice text, size_t max)
{
	const char *p = text.ptr;
	size_t head;
	size_t tail;
	struct buf b;
	json_t *s;

	if (text.len <= max)
		return json_stringn(text.len > 0 ? p : "", text.len);
	head = utf8_span(p, max / 2);
	tail = text.len - max / 2;
	while (tail < text.len && ((unsigned char)p[tail] & 0xC0) == 0x80)
		tail++;
	buf_init(&b, max + 64); /* so that it all fits */
	(void)buf_append(&b, p, head);
	(void)buf_printf(&b, "\n... %zu bytes left out ...\n", tail - head);
	(void)buf_append(&b, p + tail, text.len - tail);
	s = json_stringn(b.data, b.len);
	buf_fini(&b);
	return s;
}

int
gw_text_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct err *err)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && n >= min &&
	    n <= max) {
		*ret = n;
		return 0;
	}
	if (max >= INT64_MAX)
		return err_set(err, -EINVAL, "expected a number from %" PRIu64 " on", min);
	return err_set(err, -EINVAL, "expected a number from %" PRIu64 " to %" PRIu64, min,
	               max);
}
