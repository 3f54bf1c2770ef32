/* wire/json.c - see wire/json.h.
 *
 * What jansson takes at once is never copied.  What it refuses is copied token
 * by token with the offending tokens replaced, and given to it once more.
 */
#include "wire/json.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/buf.h"
#include "wire/base/utf8.h"

#define FLAGS        (JSON_ALLOW_NUL | JSON_DECODE_ANY)
#define NUMBER_MAX   400 /* digits of a number that may still be a double */
#define INT64_DIGITS 18  /* integers of so many digits always fit */
#define UNICODE_ESC  6   /* length of \uXXXX */

struct scan {
	const char *p, *end;
	struct buf *out;
	bool nul_ok; /* \u0000 may stay; it may not in an object's key */
};

static int
copy(struct scan *s, size_t n)
{
	int rc = buf_append(s->out, s->p, n);

	s->p += n;
	return rc;
}

static int
replace(struct scan *s, size_t n, const char *by)
{
	s->p += n;
	return buf_append(s->out, by, strlen(by));
}

/* The code unit of the escape \uXXXX at p, or -1 if there is none. */
static long
escaped_unit(const char *p, const char *end)
{
	long unit = 0;

	if (end - p < UNICODE_ESC || p[0] != '\\' || p[1] != 'u')
		return -1;
	for (int i = 2; i < UNICODE_ESC; i++) {
		int c = p[i] | 0x20, digit = c >= 'a' ? c - 'a' + 10 : c - '0';

		if (digit < 0 || digit > 15)
			return -1;
		unit = unit * 16 + digit;
	}
	return unit;
}

static int
scan_escape(struct scan *s)
{
	long unit = escaped_unit(s->p, s->end), next;

	if (unit < 0) /* \n and the like, or broken: jansson decides */
		return copy(s, s->end - s->p < 2 ? 1 : 2);
	if (unit == 0 && !s->nul_ok)
		return replace(s, UNICODE_ESC, "\\ufffd");
	if (unit < 0xd800 || unit > 0xdfff)
		return copy(s, UNICODE_ESC);
	next = escaped_unit(s->p + UNICODE_ESC, s->end);
	if (unit < 0xdc00 && next >= 0xdc00 && next <= 0xdfff)
		return copy(s, (size_t)2 * UNICODE_ESC);
	return replace(s, UNICODE_ESC, "\\ufffd");
}

static int
scan_string(struct scan *s)
{
	int rc = copy(s, 1);

	while (rc == 0 && s->p < s->end && *s->p != '"') {
		size_t n = 0, left = (size_t)(s->end - s->p);

		while (n < left && s->p[n] != '"' && s->p[n] != '\\')
			n++;
		rc = n > 0 ? copy(s, n) : scan_escape(s);
	}
	if (rc == 0 && s->p < s->end)
		rc = copy(s, 1);
	return rc;
}

/* Length of the bare token at p: a number, true, NaN, -Infinity... */
static size_t
token_len(const struct scan *s)
{
	const char *p = s->p;

	while (p < s->end && (*p == '-' || *p == '+' || *p == '.' || (*p >= '0' && *p <= '9') ||
	                      ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z')))
		p++;
	return (size_t)(p - s->p);
}

static bool
is_word(const char *p, size_t n, const char *word)
{
	return n == strlen(word) && memcmp(p, word, n) == 0;
}

/* A number that jansson may find too large. */
static int
scan_number(struct scan *s, size_t n)
{
	char text[NUMBER_MAX + 1];
	bool is_int = true;
	int rc;

	if (n > NUMBER_MAX)
		return replace(s, n, "null");
	memcpy(text, s->p, n);
	text[n] = '\0';
	if (isinf(strtod(text, NULL)))
		return replace(s, n, "null");
	for (size_t i = 0; i < n; i++)
		is_int = is_int && (text[i] == '-' || (text[i] >= '0' && text[i] <= '9'));
	rc = copy(s, n);
	if (rc == 0 && is_int && n > INT64_DIGITS) {
		errno = 0;
		(void)strtoll(text, NULL, 10);
		if (errno == ERANGE)
			rc = buf_append(s->out, "e0", 2);
	}
	return rc;
}

static int
scan_token(struct scan *s)
{
	size_t n = token_len(s);

	if (n == 0)
		return copy(s, 1);
	if (is_word(s->p, n, "NaN") || is_word(s->p, n, "Infinity") ||
	    is_word(s->p, n, "-Infinity"))
		return replace(s, n, "null");
	if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9'))
		return scan_number(s, n);
	return copy(s, n);
}

static json_t *
parse_repaired(const char *text, size_t len, bool nul_ok, json_error_t *je)
{
	struct buf out;
	struct scan s = {.p = text, .end = text + len, .out = &out, .nul_ok = nul_ok};
	json_t *v = NULL;
	int rc = 0;

	buf_init(&out, SIZE_MAX / 2); /* at most 3 x len, which was received whole */
	while (rc == 0 && s.p < s.end)
		rc = *s.p == '"' ? scan_string(&s) : scan_token(&s);
	if (rc == 0)
		v = json_loadb(out.data, out.len, FLAGS, je);
	buf_fini(&out);
	return v;
}

static json_t *
parse_utf8(const char *text, size_t len)
{
	json_error_t je;
	json_t *v = json_loadb(text, len, FLAGS, &je);

	if (v == NULL && json_error_code(&je) != json_error_null_byte_in_key)
		v = parse_repaired(text, len, true, &je);
	if (v == NULL && json_error_code(&je) == json_error_null_byte_in_key)
		v = parse_repaired(text, len, false, &je);
	return v;
}

json_t *
wire_json_parse(const char *text, size_t len)
{
	struct buf fixed;
	json_t *v = NULL;

	if (utf8_valid(text, len))
		return parse_utf8(text, len);
	buf_init(&fixed, SIZE_MAX / 2); /* at most 3 x len */
	if (utf8_repair(&fixed, text, len) == 0)
		v = parse_utf8(fixed.data, fixed.len);
	buf_fini(&fixed);
	return v;
}
