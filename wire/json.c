/* wire/json.c - see wire/json.h.
 *
 * A reader of our own: jansson's goes byte by byte, and a kernel's messages are most of all long
 * strings, which are found eight bytes at a time here and copied once.
 */
#include "wire/json.h"

#include <endian.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/buf.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"
#include "wire/sign.h" /* struct wire_slice */

#define DEPTH_MAX    2048 /* of arrays and objects, as in jansson */
#define UNICODE_ESC  6    /* length of \uXXXX */
#define SMALL_DIGITS 18   /* always fit */
#define REPLACEMENT  0xFFFDU

#define EACH(byte)   (UINT64_C(0x0101010101010101) * (byte))
#define HIGH_BITS    EACH(0x80)

struct reader {
	const char *p, *end;
	unsigned depth;
	struct buf scratch; /* a string with escapes, or a number */
	bool skip;          /* make no values: null stands for each */
	const struct wire_json_pick *picks;
	size_t picks_n;
};

static json_t *read_value(struct reader *r);

/* --- strings ---------------------------------------------------------------------------- */

static uint64_t
has_zero(uint64_t w)
{
	return (w - EACH(1)) & ~w & HIGH_BITS;
}

/* The high bits of the bytes of w that may not stand for themselves.  The lowest one set is right;
 * those above it may be others' carries. */
static uint64_t
special_bytes(uint64_t w)
{
	return ((w - EACH(0x20)) & ~w & HIGH_BITS) | has_zero(w ^ EACH('"')) |
	       has_zero(w ^ EACH('\\'));
}

size_t
wire_json_span(const char *text, size_t len)
{
	size_t i = 0;
	uint64_t w, special;

	for (; len - i >= sizeof(w); i += sizeof(w)) {
		memcpy(&w, text + i, sizeof(w));
		special = special_bytes(le64toh(w));
		if (special != 0)
			return i + (size_t)__builtin_ctzll(special) / 8;
	}
	while (i < len && (unsigned char)text[i] >= 0x20 && text[i] != '"' && text[i] != '\\')
		i++;
	return i;
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
put_code_point(struct buf *b, uint32_t cp)
{
	char c[4] = {(char)cp};
	size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;

	for (size_t i = n; n > 1 && i-- > 1; cp >>= 6)
		c[i] = (char)(0x80U | (cp & 0x3FU));
	if (n > 1)
		c[0] = (char)((0xF00U >> n & 0xFFU) | cp);
	return buf_append(b, c, n);
}

/* \uXXXX, or two that are a pair, at p. */
static int
read_unicode(struct reader *r, bool nul_ok)
{
	long unit = escaped_unit(r->p, r->end), low;
	uint32_t cp = (uint32_t)unit;

	if (unit < 0)
		return -EBADMSG;
	r->p += UNICODE_ESC;
	if (unit >= 0xd800 && unit <= 0xdfff) {
		low = escaped_unit(r->p, r->end);
		cp = REPLACEMENT;
		if (unit < 0xdc00 && low >= 0xdc00 && low <= 0xdfff) {
			r->p += UNICODE_ESC;
			cp = 0x10000U + ((uint32_t)(unit - 0xd800) << 10) +
			     (uint32_t)(low - 0xdc00);
		}
	}
	return put_code_point(&r->scratch, cp == 0 && !nul_ok ? REPLACEMENT : cp);
}

/* A backslash is at p. */
static int
read_escape(struct reader *r, bool nul_ok)
{
	static const char names[] = "\"\"\\\\//b\bf\fn\nr\rt\t";

	if (r->end - r->p < 2)
		return -EBADMSG;
	if (r->p[1] == 'u')
		return read_unicode(r, nul_ok);
	for (const char *s = names; *s != '\0'; s += 2) {
		if (r->p[1] == *s) {
			r->p += 2;
			return buf_append(&r->scratch, s + 1, 1);
		}
	}
	return -EBADMSG;
}

/* The string whose opening quote is at p: *ret is lent by the text, or by scratch until the next
 * string or number. */
static int
read_string(struct reader *r, bool nul_ok, struct wire_slice *ret)
{
	size_t n;
	int rc = 0;

	r->p++;
	n = wire_json_span(r->p, (size_t)(r->end - r->p));
	if (r->p + n < r->end && r->p[n] == '"' && utf8_valid(r->p, n)) {
		*ret = (struct wire_slice){r->p, n};
		r->p += n + 1;
		return 0;
	}
	buf_consume(&r->scratch, r->scratch.len);
	while (rc == 0) {
		rc = utf8_repair(&r->scratch, r->p, n);
		r->p += n;
		if (rc != 0 || r->p == r->end || (*r->p != '"' && *r->p != '\\'))
			return -EBADMSG; /* cut, or a control character */
		if (*r->p == '"')
			break;
		rc = read_escape(r, nul_ok);
		n = wire_json_span(r->p, (size_t)(r->end - r->p));
	}
	r->p++;
	*ret = (struct wire_slice){r->scratch.data, r->scratch.len};
	return rc;
}

/* The same without reading it. */
static bool
skip_string(struct reader *r)
{
	for (;;) {
		r->p++; /* a quote, or what an escape ends with */
		r->p += wire_json_span(r->p, (size_t)(r->end - r->p));
		if (r->p == r->end || (*r->p != '"' && *r->p != '\\'))
			return false;
		if (*r->p == '"')
			break;
		if (r->end - r->p < 2)
			return false;
		if (r->p[1] == 'u' && escaped_unit(r->p, r->end) < 0)
			return false;
		if (strchr("\"\\/bfnrtu", r->p[1]) == NULL || r->p[1] == '\0')
			return false;
		r->p += r->p[1] == 'u' ? UNICODE_ESC - 1 : 1;
	}
	r->p++;
	return true;
}

/* --- numbers and words ------------------------------------------------------------------ */

static bool
take(struct reader *r, char c)
{
	bool is_there = r->p < r->end && *r->p == c;

	r->p += is_there;
	return is_there;
}

static bool
digits(struct reader *r)
{
	const char *from = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return r->p > from;
}

/* Step over a number (RFC 8259, section 6).  Returns false if there is none. */
static bool
span_number(struct reader *r, bool *ret_real)
{
	(void)take(r, '-');
	if (!take(r, '0') && !digits(r))
		return false;
	*ret_real = false;
	if (take(r, '.')) {
		*ret_real = true;
		if (!digits(r))
			return false;
	}
	if (take(r, 'e') || take(r, 'E')) {
		*ret_real = true;
		if (!take(r, '+'))
			(void)take(r, '-');
		return digits(r);
	}
	return true;
}

/* An integer of at most SMALL_DIGITS digits and sign. */
static json_int_t
small_number(const char *p, const char *end)
{
	const bool minus = *p == '-';
	json_int_t n = 0;

	for (p += minus; p < end; p++)
		n = n * 10 + (*p - '0');
	return minus ? -n : n;
}

static json_t *
read_number(struct reader *r)
{
	const char *from = r->p;
	bool real = false;
	long long n;
	double d;

	if (!span_number(r, &real))
		return NULL;
	if (r->skip)
		return json_null();
	if (!real && r->p - from <= SMALL_DIGITS)
		return json_integer(small_number(from, r->p));
	buf_consume(&r->scratch, r->scratch.len);
	if (buf_append(&r->scratch, from, (size_t)(r->p - from)) != 0)
		return NULL;
	errno = 0;
	n = real ? 0 : strtoll(r->scratch.data, NULL, 10);
	if (!real && errno == 0)
		return json_integer(n);
	d = strtod(r->scratch.data, NULL);
	return isinf(d) ? json_null() : json_real(d);
}

static json_t *
read_word(struct reader *r)
{
	static const struct {
		const char *word;
		size_t len;
		json_type type;
	} words[] = {
	    {"null", 4, JSON_NULL}, {"true", 4, JSON_TRUE},     {"false", 5, JSON_FALSE},
	    {"NaN", 3, JSON_NULL},  {"Infinity", 8, JSON_NULL}, {"-Infinity", 9, JSON_NULL},
	};
	size_t left = (size_t)(r->end - r->p);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (left < words[i].len || memcmp(r->p, words[i].word, words[i].len) != 0)
			continue;
		r->p += words[i].len;
		if (words[i].type == JSON_NULL)
			return json_null();
		return json_boolean(words[i].type == JSON_TRUE);
	}
	return *r->p == '-' || (*r->p >= '0' && *r->p <= '9') ? read_number(r) : NULL;
}

/* --- arrays and objects ----------------------------------------------------------------- */

/* The next character that is not white space, or NUL at the end. */
static char
peek(struct reader *r)
{
	while (r->p < r->end &&
	       (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
		r->p++;
	return (char)(r->p < r->end ? *r->p : '\0');
}

static bool
add_item(struct reader *r, json_t *array)
{
	json_t *v = read_value(r);

	return r->skip ? v != NULL : json_array_append_new(array, v) == 0;
}

static const struct wire_json_pick *
find_pick(const struct reader *r, struct wire_slice key)
{
	for (size_t i = 0; i < r->picks_n; i++)
		if (strncmp(r->picks[i].key, key.ptr, key.len) == 0 &&
		    r->picks[i].key[key.len] == '\0')
			return &r->picks[i];
	return NULL;
}

static void
keep(const struct wire_json_pick *pick, struct wire_slice text)
{
	const char *nul = memchr(text.ptr, '\0', text.len);
	size_t n = nul != NULL ? (size_t)(nul - (const char *)text.ptr) : text.len;

	if (n > pick->size - 1)
		n = utf8_span(text.ptr, pick->size - 1);
	memcpy(pick->ret, text.ptr, n);
	pick->ret[n] = '\0';
}

/* A member of an object of which no value is made. */
static bool
skip_member(struct reader *r)
{
	const struct wire_json_pick *pick = NULL;
	struct wire_slice text;

	if (peek(r) != '"')
		return false;
	if (r->depth > 1 || r->picks_n == 0) {
		if (!skip_string(r))
			return false;
	} else {
		if (read_string(r, false, &text) != 0)
			return false;
		pick = find_pick(r, text);
	}
	if (peek(r) != ':')
		return false;
	r->p++;
	if (pick == NULL)
		return read_value(r) != NULL;
	pick->ret[0] = '\0';
	if (peek(r) != '"')
		return read_value(r) != NULL;
	if (read_string(r, true, &text) != 0)
		return false;
	keep(pick, text);
	return true;
}

static bool
add_member(struct reader *r, json_t *object)
{
	struct wire_slice key;
	char *copy = NULL;
	bool done;

	if (r->skip)
		return skip_member(r);
	if (peek(r) != '"' || read_string(r, false, &key) != 0 || peek(r) != ':')
		return false;
	r->p++;
	if (key.ptr == r->scratch.data) { /* the value may need it */
		copy = mem_new(key.len + 1);
		memcpy(copy, key.ptr, key.len);
		key.ptr = copy;
	}
	done = json_object_setn_new_nocheck(object, key.ptr, key.len, read_value(r)) == 0;
	mem_free(copy);
	return done;
}

/* What is between the bracket at p and the one that closes it; whole is taken. */
static json_t *
read_items(struct reader *r, json_t *whole, char closing,
           bool (*add)(struct reader *r, json_t *whole))
{
	bool good = ++r->depth <= DEPTH_MAX;

	r->p++;
	if (good && peek(r) == closing) {
		r->p++;
		r->depth--;
		return whole;
	}
	while (good) {
		good = add(r, whole);
		if (!good || peek(r) != ',')
			break;
		r->p++;
	}
	r->depth--;
	if (good && take(r, closing))
		return whole;
	json_decref(whole);
	return NULL;
}

static json_t *
read_value(struct reader *r)
{
	struct wire_slice text;

	switch (peek(r)) {
	case '"':
		if (r->skip)
			return skip_string(r) ? json_null() : NULL;
		if (read_string(r, true, &text) != 0)
			return NULL;
		return json_stringn_nocheck(text.ptr, text.len);
	case '[':
		return read_items(r, r->skip ? json_null() : json_array(), ']', add_item);
	case '{':
		return read_items(r, r->skip ? json_null() : json_object(), '}', add_member);
	case '\0':
		return NULL; /* a NUL byte is nothing either */
	default:
		return read_word(r);
	}
}

json_t *
wire_json_parse(const char *text, size_t len)
{
	struct reader r = {.p = text, .end = text + len};
	json_t *v;

	buf_init(&r.scratch, SIZE_MAX / 2); /* at most 3 x len, which was received whole */
	v = read_value(&r);
	if (v != NULL && (peek(&r) != '\0' || r.p < r.end)) {
		json_decref(v);
		v = NULL;
	}
	buf_fini(&r.scratch);
	return v;
}

/* Where the string that begins at text[i] ends, behind its quote. */
static size_t
pass_string(const char *text, size_t len, size_t i)
{
	while (i < len && text[i] != '"') {
		i += wire_json_span(text + i, len - i);
		if (i < len && text[i] != '"')
			i += text[i] == '\\' ? 2 : 1;
	}
	return i + 1;
}

bool
wire_json_is_few(const char *text, size_t len, size_t max)
{
	size_t n = 1;

	for (size_t i = 0; i < len && n <= max;) {
		char c = text[i++];

		if (c == '"')
			i = pass_string(text, len, i);
		else /* before each value but the first there is one of these */
			n += c == ',' || c == '[' || c == '{';
	}
	return n <= max;
}

int
wire_json_pick(const char *text, size_t len, const struct wire_json_pick *picks, size_t n)
{
	struct reader r = {
	    .p = text, .end = text + len, .skip = true, .picks = picks, .picks_n = n};
	bool good;

	for (size_t i = 0; i < n; i++)
		picks[i].ret[0] = '\0';
	buf_init(&r.scratch, SIZE_MAX / 2);
	good = peek(&r) == '{' && read_value(&r) != NULL && peek(&r) == '\0' && r.p == r.end;
	buf_fini(&r.scratch);
	return good ? 0 : -EBADMSG;
}
