/* wire/base/log.c - see wire/base/log.h.
 *
 * A line is put together in a buffer on the stack and written at once, so that
 * lines of several processes on one stderr do not mix.
 */
#include "wire/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wire/base/utf8.h"

#define SAFE_INPUT_MAX 64
#define SENTENCE_MAX   1024
#define LINE_MAX_BYTES (SENTENCE_MAX * 6 + 256)

static const char *const names[LOG_LEVEL_N] = {"error", "warn", "info", "debug"};

static enum log_level max_level = LOG_INFO;
static bool as_json;

struct line {
	char data[LINE_MAX_BYTES];
	size_t len;
};

void
log_setup(enum log_level level, bool json)
{
	max_level = level;
	as_json = json;
}

int
log_level_parse(const char *name)
{
	for (int i = 0; i < LOG_LEVEL_N; i++) {
		if (strcmp(names[i], name) == 0)
			return i;
	}
	return -EINVAL;
}

static void __attribute__((format(printf, 2, 3))) put(struct line *l, const char *fmt, ...)
{
	size_t room = sizeof(l->data) - l->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->data + l->len, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->len += (size_t)n < room ? (size_t)n : room - 1;
}

/* One line is one event: whatever could end it early is escaped. */
static void
put_text(struct line *l, const char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			put(l, "\\x%02x", (unsigned char)*s);
		else
			put(l, "%c", *s);
	}
}

static void
put_json(struct line *l, const char *s)
{
	size_t len = strlen(s), good = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (i == good)
			good += utf8_span(s + i, len - i);
		if (i == good)
			put(l, "\\ufffd"), good++;
		else if (c == '"' || c == '\\')
			put(l, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			put(l, "\\u%04x", c);
		else
			put(l, "%c", c);
	}
}

static void
stamp(char *out, size_t size)
{
	struct timespec now = {0};
	struct tm tm = {0};
	size_t n;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &tm);
	n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out + n, size - n, ".%03ldZ", now.tv_nsec / 1000000);
}

static void
format_line(struct line *l, enum log_level level, const struct log_id *id, const char *sentence)
{
	char when[40];

	stamp(when, sizeof(when));
	if (as_json) {
		put(l, "{\"time\":\"%s\",\"level\":\"%s\"", when, names[level]);
		if (id != NULL) {
			put(l, ",\"%s\":\"", id->kind);
			put_json(l, id->id);
			put(l, "\"");
		}
		put(l, ",\"msg\":\"");
		put_json(l, sentence);
		put(l, "\"}\n");
		return;
	}
	put(l, "%s %-5s ", when, names[level]);
	if (id != NULL) {
		put(l, "%s=", id->kind);
		put_text(l, id->id);
		put(l, " ");
	}
	put_text(l, sentence);
	put(l, "\n");
}

void
log_write(enum log_level level, const struct log_id *id, const char *fmt, ...)
{
	char sentence[SENTENCE_MAX];
	struct line l = {.len = 0};
	int saved = errno;
	va_list ap;
	int n;

	if (level > max_level)
		return;
	va_start(ap, fmt);
	n = vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(sentence))
		memcpy(sentence + sizeof(sentence) - 4, "...", 4);
	format_line(&l, level, id, n < 0 ? fmt : sentence);
	for (size_t off = 0; off < l.len;) {
		ssize_t w = write(STDERR_FILENO, l.data + off, l.len - off);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			break; /* nobody listens: the line is lost, the gateway is not */
		off += (size_t)w;
	}
	errno = saved;
}

const char *
log_safe(const char *text, size_t len, char buf[LOG_SAFE_MAX])
{
	size_t n = len < SAFE_INPUT_MAX ? len : SAFE_INPUT_MAX, at = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c >= 0x20 && c < 0x7f && c != '\\')
			buf[at++] = (char)c;
		else
			at += (size_t)snprintf(buf + at, LOG_SAFE_MAX - at, "\\x%02x", c);
	}
	(void)snprintf(buf + at, LOG_SAFE_MAX - at, "%s", len > n ? "..." : "");
	return buf;
}
