/* wire/base/log.h - levelled lines with an object's identity, on stderr.
 *
 * Text: `2026-11-21T10:09:56.497Z info  ctx=7f3a sentence key=value`; JSON: one
 * object per line with time, level, the identity's kind as a key, and msg.
 * Where stderr is a pipe or a terminal that nobody reads, lines are lost, and counted once it is
 * read again: nothing waits for it.
 * The owner of an operation logs its end, once.  wire/ itself never logs.
 * Never log user code, output, tokens or keys.
 */
#ifndef WIRE_BASE_LOG_H
#define WIRE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVEL_N };

/* Who a line is about: kind "ctx", id "7f3a..."; NULL id means the gateway. */
struct log_id {
	const char *kind;
	char id[40];
};

/* Lines above level are dropped.  Default: info, text. */
void log_setup(enum log_level level, bool json);

/* Returns the level named by name, or -EINVAL. */
int log_level_parse(const char *name);

#define log_error(id, ...) log_write(LOG_ERROR, (id), __VA_ARGS__)
#define log_warn(id, ...)  log_write(LOG_WARN, (id), __VA_ARGS__)
#define log_info(id, ...)  log_write(LOG_INFO, (id), __VA_ARGS__)
#define log_debug(id, ...) log_write(LOG_DEBUG, (id), __VA_ARGS__)

void log_write(enum log_level level, const struct log_id *id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Make client-supplied text fit for a log line: control characters and bytes
 * that are not ASCII escaped as \xNN, cut at 64 bytes with "...".  Returns buf. */
#define LOG_SAFE_MAX 272
const char *log_safe(const char *text, size_t len, char buf[LOG_SAFE_MAX]);

#endif /* WIRE_BASE_LOG_H */
