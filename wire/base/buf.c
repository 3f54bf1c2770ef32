/* wire/base/buf.c - see wire/base/buf.h. */
#include "wire/base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 64
#define PRINTED   96 /* what most formats come to */

/* What data points at while nothing is allocated: never written to. */
static char nothing[1];

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.data = nothing, .max = max};
}

void
buf_fini(struct buf *b)
{
	if (b->cap > 0)
		free(b->data);
	buf_init(b, b->max);
}

int
buf_reserve(struct buf *b, size_t len)
{
	size_t cap = b->cap < FIRST_CAP ? FIRST_CAP : b->cap;
	char *grown;

	assert(b->data != NULL);
	if (len > b->max - b->len)
		return -EMSGSIZE;
	if (b->len + len < b->cap)
		return 0;
	while (cap <= b->len + len)
		cap = cap > SIZE_MAX / 2 ? b->len + len + 1 : cap * 2;
	if (cap - 1 > b->max && b->max < SIZE_MAX)
		cap = b->max + 1;
	grown = realloc(b->cap > 0 ? b->data : NULL, cap);
	if (grown == NULL)
		return -ENOMEM;
	b->data = grown;
	b->cap = cap;
	b->data[b->len] = '\0';
	return 0;
}

int
buf_append(struct buf *b, const void *ptr, size_t len)
{
	int rc;

	if (len == 0)
		return 0;
	rc = buf_reserve(b, len);
	if (rc != 0)
		return rc;
	memcpy(b->data + b->len, ptr, len);
	b->len += len;
	b->data[b->len] = '\0';
	return 0;
}

int
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int len, rc = b->cap - b->len < PRINTED ? buf_reserve(b, PRINTED) : 0;
	size_t room = rc == 0 ? b->cap - b->len : 0; /* else near the ceiling */

	va_start(ap, fmt);
	len = vsnprintf(room > 0 ? b->data + b->len : NULL, room, fmt, ap);
	va_end(ap);
	if (len > 0 && (size_t)len < room && (size_t)len <= b->max - b->len) {
		b->len += (size_t)len;
		return 0;
	}
	if (room > 0)
		b->data[b->len] = '\0';
	if (len <= 0)
		return len < 0 ? -EMSGSIZE : 0;
	rc = buf_reserve(b, (size_t)len);
	if (rc != 0)
		return rc;
	va_start(ap, fmt);
	(void)vsnprintf(b->data + b->len, (size_t)len + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)len;
	return 0;
}

void
buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->len);
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n + 1);
	b->len -= n;
}
