/* wire/json_put.c - see wire/json_put.h. */
#include "wire/json_put.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "wire/base/buf.h"
#include "wire/json.h"

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
#define REAL_MAX   64 /* bytes of a double as jansson writes it */

/* Length of the run of ASCII at p. */
static size_t
ascii_span(const char *p, size_t len)
{
	size_t i = 0;
	uint64_t w;

	for (; len - i >= sizeof(w); i += sizeof(w)) {
		memcpy(&w, p + i, sizeof(w));
		if ((w & EACH(0x80)) != 0)
			break;
	}
	while (i < len && (unsigned char)p[i] < 0x80)
		i++;
	return i;
}

static int
put_unit(struct buf *b, uint32_t unit)
{
	static const char hex[] = "0123456789abcdef";
	char text[6] = "\\u";

	for (int i = 0; i < 4; i++)
		text[2 + i] = hex[unit >> (12 - 4 * i) & 15];
	return buf_append(b, text, sizeof(text));
}

/* The character at *p, at least two bytes of valid UTF-8, as one escape or two. */
static int
put_wide(struct buf *b, const char **p, const char *end)
{
	const unsigned char *c = (const unsigned char *)*p;
	size_t n = c[0] >= 0xF0 ? 4 : c[0] >= 0xE0 ? 3 : 2;
	uint32_t cp = c[0] & (0x7FU >> n);
	int rc;

	if ((size_t)(end - *p) < n)
		n = (size_t)(end - *p); /* not reached: the text is valid */
	for (size_t i = 1; i < n; i++)
		cp = cp << 6 | (c[i] & 0x3FU);
	*p += n;
	if (cp < 0x10000)
		return put_unit(b, cp);
	rc = put_unit(b, 0xD800 + ((cp - 0x10000) >> 10 & 0x3FF));
	return rc == 0 ? put_unit(b, 0xDC00 + ((cp - 0x10000) & 0x3FF)) : rc;
}

static int
put_control(struct buf *b, char c)
{
	static const char names[] = "\"\"\\\\\nn\tt\rr\bb\ff";

	for (const char *s = names; *s != '\0'; s += 2) {
		const char text[2] = {'\\', s[1]};

		if (*s == c)
			return buf_append(b, text, sizeof(text));
	}
	return put_unit(b, (unsigned char)c);
}

/* U+0085, U+2028 or U+2029 at p? */
static bool
ends_line(const char *p, size_t len)
{
	return (len >= 2 && memcmp(p, "\xC2\x85", 2) == 0) ||
	       (len >= 3 && memcmp(p, "\xE2\x80", 2) == 0 &&
	        (p[2] == '\xA8' || p[2] == '\xA9'));
}

/* Length of the run at p that stands for itself. */
static size_t
kept_span(const char *p, size_t len, enum wire_json_escape how)
{
	size_t i = ascii_span(p, len);

	while (how == WIRE_JSON_LINES && i < len && !ends_line(p + i, len - i)) {
		i++; /* within a character is no start of another one */
		if (i < len && (unsigned char)p[i] < 0x80)
			i += ascii_span(p + i, len - i);
	}
	return i;
}

/* A run without quotes, backslashes and control characters. */
static int
put_run(struct buf *b, const char *p, size_t len, enum wire_json_escape how)
{
	const char *end = p + len;
	int rc = 0;

	while (rc == 0 && p < end) {
		size_t n = kept_span(p, (size_t)(end - p), how);

		rc = buf_append(b, p, n);
		p += n;
		if (rc == 0 && p < end)
			rc = put_wide(b, &p, end);
	}
	return rc;
}

int
wire_json_put_string(struct buf *b, struct wire_slice text, enum wire_json_escape how)
{
	const char *p = text.ptr;
	size_t left = text.len;
	int rc = buf_append(b, "\"", 1);

	while (rc == 0 && left > 0) {
		size_t n = wire_json_span(p, left);

		rc = how == WIRE_JSON_PLAIN ? buf_append(b, p, n) : put_run(b, p, n, how);
		p += n;
		left -= n;
		if (rc == 0 && left > 0) {
			rc = put_control(b, *p);
			p++;
			left--;
		}
	}
	return rc == 0 ? buf_append(b, "\"", 1) : rc;
}

static int
put_integer(struct buf *b, json_int_t n)
{
	char text[24];
	size_t at = sizeof(text);
	json_int_t left = n;

	do {
		text[--at] = (char)('0' + (left < 0 ? -(left % 10) : left % 10));
		left /= 10;
	} while (left != 0);
	if (n < 0)
		text[--at] = '-';
	return buf_append(b, text + at, sizeof(text) - at);
}

static int
put_real(struct buf *b, const json_t *v)
{
	char text[REAL_MAX];
	size_t n = json_dumpb(v, text, sizeof(text), JSON_ENCODE_ANY);

	return n == 0 || n > sizeof(text) ? buf_append(b, "null", 4) : buf_append(b, text, n);
}

static int
put_array(struct buf *b, const json_t *array, enum wire_json_escape how)
{
	const json_t *item;
	size_t i;
	int rc = buf_append(b, "[", 1);

	json_array_foreach (array, i, item) {
		if (rc == 0 && i > 0)
			rc = buf_append(b, ",", 1);
		if (rc == 0)
			rc = wire_json_put(b, item, how);
	}
	return rc == 0 ? buf_append(b, "]", 1) : rc;
}

int
wire_json_put_members(struct buf *b, const json_t *object, enum wire_json_escape how)
{
	const char *comma = "";
	const char *key;
	size_t len;
	json_t *v;
	int rc = 0;

	json_object_keylen_foreach((json_t *)(uintptr_t)object, key, len, v)
	{
		if (rc == 0)
			rc = buf_append(b, comma, strlen(comma));
		if (rc == 0)
			rc = wire_json_put_string(b, (struct wire_slice){key, len}, how);
		if (rc == 0)
			rc = buf_append(b, ":", 1);
		if (rc == 0)
			rc = wire_json_put(b, v, how);
		comma = ",";
	}
	return rc;
}

int
wire_json_put(struct buf *b, const json_t *v, enum wire_json_escape how)
{
	int rc;

	switch (json_typeof(v)) {
	case JSON_STRING:
		return wire_json_put_string(
		    b, (struct wire_slice){json_string_value(v), json_string_length(v)}, how);
	case JSON_OBJECT:
		rc = buf_append(b, "{", 1);
		if (rc == 0)
			rc = wire_json_put_members(b, v, how);
		return rc == 0 ? buf_append(b, "}", 1) : rc;
	case JSON_ARRAY:
		return put_array(b, v, how);
	case JSON_INTEGER:
		return put_integer(b, json_integer_value(v));
	case JSON_REAL:
		return put_real(b, v);
	case JSON_TRUE:
		return buf_append(b, "true", 4);
	case JSON_FALSE:
		return buf_append(b, "false", 5);
	case JSON_NULL:
	default:
		return buf_append(b, "null", 4);
	}
}
