/* gateway/labels.c - see gateway/labels.h. */
#include "gateway/labels.h"

#include <stdint.h>
#include <string.h>

#include "wire/base/mem.h"

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode percents in place; what is no encoding stays.  plus: '+' is a space. */
static void
decode(char *s, bool plus)
{
	char *out = s;

	for (; *s != '\0'; s++) {
		int hi = *s == '%' ? hex(s[1]) : -1;
		int lo = hi >= 0 ? hex(s[2]) : -1;

		if (lo >= 0 && hi + lo > 0) {
			*out++ = (char)(hi << 4 | lo);
			s += 2;
		} else {
			*out++ = (char)(plus && *s == '+' ? ' ' : *s);
		}
	}
	*out = '\0';
}

json_t *
gw_labels_parse(const char *text, unsigned times)
{
	json_t *o = json_object();
	char *copy = mem_strdup(text);
	char *next = copy;

	while (next != NULL && *next != '\0') {
		char *name = next;
		char *end = strchr(name, '&');
		char *value;

		next = end != NULL ? end + 1 : NULL;
		if (end != NULL)
			*end = '\0';
		value = strchr(name, '=');
		if (value != NULL)
			*value++ = '\0';
		else
			value = name + strlen(name);
		for (unsigned i = 0; i < times; i++) {
			decode(name, i == 0);
			decode(value, i == 0);
		}
		if (name[0] != '\0' || value[0] != '\0')
			(void)json_object_set_new(o, name, json_string(value));
	}
	mem_free(copy);
	return o;
}

bool
gw_labels_match(const json_t *labels, const json_t *wanted)
{
	const char *key;
	json_t *want;

	json_object_foreach ((json_t *)(uintptr_t)wanted, key, want)
		if (!json_equal(json_object_get(labels, key), want))
			return false;
	return true;
}
