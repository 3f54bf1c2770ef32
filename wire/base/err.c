/* wire/base/err.c - see wire/base/err.h. */
#include "wire/base/err.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

int
err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return code;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return code;
}
