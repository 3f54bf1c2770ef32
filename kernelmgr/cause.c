/* kernelmgr/cause.c - see kernelmgr/cause.h. */
#include "kernelmgr/cause.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "kernelmgr/launcher.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"
#include "wire/base/utf8.h"

#define QUOTE_BYTES 400

void
km_cause_exit(int how, char out[KM_CAUSE_MAX])
{
	if (how < 0)
		(void)snprintf(out, KM_CAUSE_MAX, "the process is gone");
	else if (how >= KM_SIGNALLED)
		(void)snprintf(out, KM_CAUSE_MAX, "signal %d", how - KM_SIGNALLED);
	else
		(void)snprintf(out, KM_CAUSE_MAX, "exit code %d", how);
}

/* Length of the terminal sequence at s (ECMA-48 CSI: ESC [ parameters final). */
static size_t
escape_len(const char *s)
{
	size_t n = 1;

	if (s[1] != '[')
		return n;
	n = 2 + strspn(s + 2, "0123456789:;<=>? ");
	return n + (s[n] != '\0');
}

/* Copy s to out with each run of white space and control characters as one space.  Returns the
 * length. */
static size_t
squeeze(const char *s, char *out)
{
	size_t len = 0;

	while (*s != '\0') {
		unsigned char c = (unsigned char)*s;

		if (c == 0x1b) {
			s += escape_len(s);
			continue;
		}
		if (c > ' ' && c != 0x7f)
			out[len++] = *s;
		else if (len > 0 && out[len - 1] != ' ')
			out[len++] = ' ';
		s++;
	}
	if (len > 0 && out[len - 1] == ' ')
		len--;
	out[len] = '\0';
	return len;
}

void
km_cause_quote(char out[KM_CAUSE_MAX], const char *tail)
{
	size_t used = strlen(out), len;
	char *text = mem_new(strlen(tail) + 1);
	char *start = text;
	struct buf b;
	bool cut;

	buf_init(&b, KM_CAUSE_MAX);
	len = squeeze(tail, text);
	cut = len > QUOTE_BYTES;
	if (cut) {
		start = text + len - QUOTE_BYTES;
		while (((unsigned char)*start & 0xc0) == 0x80)
			start++; /* not in the middle of a character */
	}
	/* -EMSGSIZE when most of it was no UTF-8: then it ends there */
	(void)utf8_repair(&b, start, strlen(start));
	if (b.len > 0 && used < KM_CAUSE_MAX)
		(void)snprintf(out + used, KM_CAUSE_MAX - used, ": %s%s", cut ? "... " : "",
		               b.data);
	out[utf8_span(out, strlen(out))] = '\0'; /* no half character at the end */
	buf_fini(&b);
	mem_free(text);
}
