/* gateway/uri.c - see gateway/uri.h. */
#include "gateway/uri.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "wire/base/err.h"
#include "wire/base/log.h"
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

/* Returns the new length, or -EINVAL with what is wrong in *ret_why. */
static int
decode(char *s, size_t len, bool plus, const char **ret_why)
{
	size_t out = 0;

	*ret_why = "has a malformed percent-encoding";
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
	*ret_why = "has a zero byte";
	if (memchr(s, '\0', out) != NULL)
		return -EINVAL;
	*ret_why = "is no UTF-8 text";
	return utf8_valid(s, out) ? (int)out : -EINVAL;
}

int
gw_uri_decode(char *s, size_t len, bool plus)
{
	const char *why;

	return decode(s, len, plus, &why);
}

/* Decode one pair, whose strings end with a NUL. */
static int
decode_pair(char *name, char *value, struct err *err)
{
	char safe[LOG_SAFE_MAX];
	const char *why;

	if (decode(name, strlen(name), true, &why) < 0)
		return err_set(err, -EINVAL, "the name of a parameter %s", why);
	if (decode(value, strlen(value), true, &why) < 0)
		return err_set(err, -EINVAL, "the value of '%.60s' %s",
		               log_safe(name, strlen(name), safe), why);
	return 0;
}

size_t
gw_uri_query_max(const char *query)
{
	size_t n = 1;

	for (; (query = strchr(query, '&')) != NULL; query++)
		n++;
	return n;
}

int
gw_uri_query(char *query, struct gw_uri_pair *ret, struct err *err)
{
	int n = 0, rc;
	char *next;

	for (char *p = query; p != NULL && *p != '\0'; p = next) {
		char *end = strchr(p, '&'), *eq;

		next = end != NULL ? end + 1 : NULL;
		if (end == NULL)
			end = p + strlen(p);
		*end = '\0';
		if (end == p)
			continue;
		eq = strchr(p, '=');
		if (eq != NULL)
			*eq++ = '\0';
		else
			eq = end;
		rc = decode_pair(p, eq, err);
		if (rc < 0)
			return rc;
		ret[n++] = (struct gw_uri_pair){.name = p, .value = eq};
	}
	return n;
}

const char *
gw_uri_find(const struct gw_uri_pair *pairs, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(pairs[i].name, name) == 0)
			return pairs[i].value;
	return NULL;
}
