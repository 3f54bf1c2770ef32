/* gateway/config_value.c - see gateway/config_value.h. */
#include "gateway/config_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/base/buf.h"
#include "wire/base/err.h"
#include "wire/base/mem.h"

#define VALUE_MAX (1U << 30) /* nobody's argument is that long */

void
gw_config_value_free_list(char **l)
{
	for (size_t i = 0; l != NULL && l[i] != NULL; i++)
		mem_free(l[i]);
	mem_free(l);
}

void
gw_config_value_push(char ***l, const char *ptr, size_t len)
{
	size_t n = 0;
	char *item = mem_new(len + 1);

	while (*l != NULL && (*l)[n] != NULL)
		n++;
	*l = mem_realloc(*l, (n + 2) * sizeof(char *));
	memcpy(item, ptr, len);
	(*l)[n] = item;
	(*l)[n + 1] = NULL;
}

void
gw_config_value_split(char ***l, const char *value)
{
	const char *p = value;

	for (;;) {
		size_t len;

		p += strspn(p, ", \t");
		len = strcspn(p, ", \t");
		if (len == 0)
			break;
		gw_config_value_push(l, p, len);
		p += len;
	}
	if (*l == NULL)
		*l = mem_new(sizeof(char *));
}

bool
gw_config_value_is_choice(const char *choices, const char *value)
{
	size_t len = strlen(value);
	const char *p = choices;

	for (;;) {
		size_t word = strcspn(p, "|");

		if (word == len && strncmp(p, value, len) == 0)
			return true;
		if (p[word] == '\0')
			return false;
		p += word + 1;
	}
}

int
gw_config_value_number(const char *name, const char *value, uint64_t min, uint64_t max,
                       uint64_t *ret, struct err *err)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(value, &end, 10);
	if (!isdigit((unsigned char)value[0]) || *end != '\0' || errno != 0 || n < min ||
	    n > max)
		return err_set(err, -EINVAL,
		               "%s = %.40s: expected a whole number from %llu to %llu", name,
		               value, (unsigned long long)min, (unsigned long long)max);
	*ret = n;
	return 0;
}

char *
gw_config_value_expand(const char *value)
{
	const char *home = getenv("HOME"); /* NOLINT(concurrency-mt-unsafe) */
	const char *sep = strstr(value, ":-");
	const char *close = strchr(value, '}');
	struct buf b;
	char name[64];
	char *rest;

	buf_init(&b, VALUE_MAX);
	if (strncmp(value, "${", 2) == 0 && sep != NULL && close != NULL && close > sep &&
	    (size_t)(sep - value - 2) < sizeof(name)) {
		const char *set;

		(void)snprintf(name, sizeof(name), "%.*s", (int)(sep - value - 2), value + 2);
		set = getenv(name); /* NOLINT(concurrency-mt-unsafe) */
		if (set != NULL && set[0] != '\0')
			(void)buf_printf(&b, "%s%s", set, close + 1);
		else
			(void)buf_printf(&b, "%.*s%s", (int)(close - sep - 2), sep + 2,
			                 close + 1);
	} else {
		(void)buf_printf(&b, "%s", value);
	}
	rest = b.data[0] == '~' && b.data[1] == '/' && home != NULL ? b.data + 1 : NULL;
	if (rest != NULL) {
		struct buf whole;

		buf_init(&whole, VALUE_MAX);
		(void)buf_printf(&whole, "%s%s", home, rest);
		buf_fini(&b);
		b = whole;
	}
	rest = mem_strdup(b.data);
	buf_fini(&b);
	return rest;
}
