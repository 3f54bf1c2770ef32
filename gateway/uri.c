/* gateway/uri.c - see gateway/uri.h. */
#include "gateway/uri.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "wire/base/utf8.h"

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
gw_uri_decode(char *s, size_t len, bool plus)
{
	size_t out = 0;

	if (len > INT_MAX)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int hi, lo;

		if (s[i] != '%') {
			s[out++] = (char)(plus && s[i] == '+' ? ' ' : s[i]);
			continue;
		}
		if (len - i < 3 || (hi = hex(s[i + 1])) < 0 || (lo = hex(s[i + 2])) < 0)
			return -EINVAL;
		s[out++] = (char)(hi * 16 + lo);
		i += 2;
	}
	s[out] = '\0';
	if (memchr(s, '\0', out) != NULL || !utf8_valid(s, out))
		return -EINVAL;
	return (int)out;
}

int
gw_uri_query(char *query, struct gw_uri_pair *ret, size_t max)
{
	size_t n = 0;
	char *next;

	for (char *p = query; p != NULL && *p != '\0'; p = next) {
		char *end = strchr(p, '&'), *eq;

		next = end != NULL ? end + 1 : NULL;
		if (end == NULL)
			end = p + strlen(p);
		*end = '\0';
		if (end == p)
			continue;
		if (n == max)
			return -EINVAL;
		eq = strchr(p, '=');
		if (eq != NULL)
			*eq++ = '\0';
		else
			eq = end;
		if (gw_uri_decode(p, strlen(p), true) < 0 ||
		    gw_uri_decode(eq, (size_t)(end - eq), true) < 0)
			return -EINVAL;
		ret[n++] = (struct gw_uri_pair){.name = p, .value = eq};
	}
	return (int)n;
}

const char *
gw_uri_find(const struct gw_uri_pair *pairs, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(pairs[i].name, name) == 0)
			return pairs[i].value;
	return NULL;
}
