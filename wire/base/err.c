/* wire/base/err.c - see wire/base/err.h. */
#include "wire/base/err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "wire/base/utf8.h"

/* Bytes of no character, and half a character at the end, become question marks. */
static void
repair(char *text)
{
	size_t len = strlen(text);
	size_t at = utf8_span(text, len);

	while (at < len) {
		text[at++] = '?';
		at += utf8_span(text + at, len - at);
	}
}

int
err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return code;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	repair(e->text);
	return code;
}
