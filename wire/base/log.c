/* wire/base/log.c - see wire/base/log.h.
 *
 * A line is put together in a buffer on the stack and written at once, so that
 * lines of several processes on one stderr do not mix.
 */
#include "wire/base/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
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
static unsigned lost_n; /* lines, since one was written */

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

static void
put_bytes(struct line *l, const char *p, size_t n)
{
	size_t room = sizeof(l->data) - l->len;

	if (n > room)
		n = room;
	memcpy(l->data + l->len, p, n);
	l->len += n;
}

static void
put(struct line *l, const char *s)
{
	put_bytes(l, s, strlen(s));
}

/* lead and c as two hex digits. */
static void
put_escape(struct line *l, const char *lead, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	const char text[] = {hex[c >> 4], hex[c & 15]};

	put(l, lead);
	put_bytes(l, text, sizeof(text));
}

static bool
is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7f;
}

/* One line is one event: whatever could end it early is escaped. */
static void
put_text(struct line *l, const char *s)
{
	while (*s != '\0') {
		size_t n = 0;

		while (s[n] != '\0' && !is_control((unsigned char)s[n]))
			n++;
		put_bytes(l, s, n);
		s += n;
		if (*s != '\0')
			put_escape(l, "\\x", (unsigned char)*s++);
	}
}

/* Length of the run of valid UTF-8 at s that stands for itself in a JSON string. */
static size_t
json_span(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && s[n] != '"' && s[n] != '\\' && !is_control((unsigned char)s[n]))
		n++;
	return utf8_span(s, n);
}

static void
put_json(struct line *l, const char *s)
{
	size_t len = strlen(s);

	while (len > 0) {
		size_t n = json_span(s, len);

		put_bytes(l, s, n);
		s += n;
		len -= n;
		if (len == 0)
			break;
		if (*s == '"')
			put(l, "\\\"");
		else if (*s == '\\')
			put(l, "\\\\");
		else if (is_control((unsigned char)*s))
			put_escape(l, "\\u00", (unsigned char)*s);
		else
			put(l, "\\ufffd");
		s++;
		len--;
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
format_json(struct line *l, enum log_level level, const struct log_id *id, const char *sentence)
{
	put(l, "\",\"level\":\"");
	put(l, names[level]);
	if (id != NULL) {
		put(l, "\",\"");
		put(l, id->kind);
		put(l, "\":\"");
		put_json(l, id->id);
	}
	put(l, "\",\"msg\":\"");
	put_json(l, sentence);
	put(l, "\"}\n");
}

static void
format_text(struct line *l, enum log_level level, const struct log_id *id, const char *sentence)
{
	static const char *const columns[LOG_LEVEL_N] = {" error ", " warn  ", " info  ",
	                                                 " debug "};

	put(l, columns[level]);
	if (id != NULL) {
		put(l, id->kind);
		put(l, "=");
		put_text(l, id->id);
		put(l, " ");
	}
	put_text(l, sentence);
	put(l, "\n");
}

/* Where nobody reads, the line is lost and the gateway goes on: a pipe takes PIPE_BUF without
 * blocking when poll(2) says that it can be written. */
static bool
write_line(const struct line *l)
{
	size_t off = 0;

	while (off < l->len) {
		struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
		size_t n = l->len - off < PIPE_BUF ? l->len - off : PIPE_BUF;
		ssize_t w;

		if (poll(&p, 1, 0) == 0)
			return false;
		w = write(STDERR_FILENO, l->data + off, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return false;
		off += (size_t)w;
	}
	return true;
}

static bool
write_sentence(enum log_level level, const struct log_id *id, const char *sentence)
{
	char when[40];
	struct line l; /* only what is used of it is written */

	stamp(when, sizeof(when));
	l.len = 0;
	if (as_json)
		put(&l, "{\"time\":\"");
	put(&l, when);
	(as_json ? format_json : format_text)(&l, level, id, sentence);
	return write_line(&l);
}

/* Say how many lines were lost, once somebody reads again. */
static void
tell_lost(void)
{
	char sentence[80];

	(void)snprintf(sentence, sizeof(sentence), "nobody read stderr: lines lost=%u", lost_n);
	if (lost_n > 0 && write_sentence(LOG_WARN, NULL, sentence))
		lost_n = 0;
}

void
log_write(enum log_level level, const struct log_id *id, const char *fmt, ...)
{
	char sentence[SENTENCE_MAX];
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
	tell_lost();
	if (!write_sentence(level, id, n < 0 ? fmt : sentence))
		lost_n++;
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
