/* gateway/range.c - see gateway/range.h. */
#include "gateway/range.h"

#include <string.h>
#include <strings.h>

static void
skip_space(const char **p)
{
	while (**p == ' ' || **p == '\t')
		(*p)++;
}

/* Digits; a number too large for 64 bits is as good as the largest.  Returns false without one. */
static bool
take_number(const char **p, uint64_t *ret)
{
	uint64_t v = 0;
	const char *from = *p;

	for (; **p >= '0' && **p <= '9'; (*p)++) {
		uint64_t digit = (uint64_t)(**p - '0');

		v = v > (UINT64_MAX - digit) / 10 ? UINT64_MAX : v * 10 + digit;
	}
	*ret = v;
	return *p != from;
}

/* One range: 1-2, 1-, -2.  Returns false when it is none. */
static bool
take_range(const char **p, uint64_t size, uint64_t *ret_first, uint64_t *ret_len)
{
	uint64_t first, last;
	bool has_first = take_number(p, &first);
	bool has_last;

	if (**p != '-')
		return false;
	(*p)++;
	has_last = take_number(p, &last);
	if (!has_first && !has_last)
		return false;
	if (!has_first) { /* the last n bytes */
		*ret_len = last < size ? last : size;
		*ret_first = size - *ret_len;
		return true;
	}
	if (has_last && last < first)
		return false;
	if (!has_last || last >= size)
		last = size > 0 ? size - 1 : 0;
	*ret_first = first;
	*ret_len = first < size ? last - first + 1 : 0;
	return true;
}

enum gw_range
gw_range_parse(const char *value, uint64_t size, uint64_t *ret_first, uint64_t *ret_len)
{
	uint64_t found_first = 0, found_len = 0;
	const char *p = value;
	bool any = false;

	if (p == NULL || strncasecmp(p, "bytes=", 6) != 0)
		return GW_RANGE_WHOLE;
	p += 6;
	do {
		uint64_t first, len;

		skip_space(&p);
		if (*p == ',' || *p == '\0')
			continue; /* an empty element is fine: RFC 9110, section 5.6.1 */
		if (!take_range(&p, size, &first, &len))
			return GW_RANGE_WHOLE;
		skip_space(&p);
		any = true;
		if (found_len == 0 && len > 0) {
			found_first = first;
			found_len = len;
		}
	} while (*p++ == ',');
	if (!any || p[-1] != '\0')
		return GW_RANGE_WHOLE;
	if (found_len == 0)
		return GW_RANGE_NONE;
	*ret_first = found_first;
	*ret_len = found_len;
	return GW_RANGE_PART;
}

/* The end of the nth line in buf[0..len); *n is what is left of them. */
static const char *
after_lines(const char *buf, size_t len, uint64_t *n)
{
	const char *end = buf + len;

	while (*n > 0 && buf < end) {
		const char *lf = memchr(buf, '\n', (size_t)(end - buf));

		if (lf == NULL)
			return end;
		buf = lf + 1;
		(*n)--;
	}
	return buf;
}

bool
gw_range_lines_step(struct gw_range_lines *l, const char *buf, size_t len,
                    const char **ret_data, size_t *ret_len)
{
	const char *end = buf + len;
	const char *from = after_lines(buf, len, &l->skip);
	const char *to = end;

	*ret_data = from;
	*ret_len = 0;
	if (l->skip > 0)
		return true;
	if (l->left != UINT64_MAX)
		to = after_lines(from, (size_t)(end - from), &l->left);
	*ret_len = (size_t)(to - from);
	return l->left > 0;
}
